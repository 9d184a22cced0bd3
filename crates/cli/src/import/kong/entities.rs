//! What the file holds, wherever it stands: decK lets a route, a plugin or a credential stand below its owner, or in a
//! list of its own where it names its owner.

use serde_json::Value as Json;

use super::super::names::place;
use super::super::{Import, items, text};
use super::IDLE;

/// Who may own something, as it is named in what is owned and as its list is called.
const OWNERS: [(&str, &str); 4] = [
    ("service", "services"),
    ("route", "routes"),
    ("consumer", "consumers"),
    ("consumer_group", "consumer_groups"),
];
/// The lists whose members name their owner, where they do not stand below it.
const OWNED: [&str; 4] = ["routes", "plugins", "acls", "keyauth_credentials"];

/// The file.
#[derive(Clone, Copy)]
pub(super) struct File<'a>(pub(super) &'a Json);

/// Something of the file, and where it stands.
pub(super) struct Entity<'a> {
    pub(super) at: String,
    pub(super) json: &'a Json,
}

/// A plugin that is on, with what it shares of `_plugin_configs`.
pub(super) struct Plugin<'a> {
    pub(super) at: String,
    pub(super) name: &'a str,
    pub(super) config: Json,
    json: &'a Json,
}

impl<'a> File<'a> {
    /// A list of the file, without what names an owner.
    pub(super) fn list(self, name: &'a str) -> impl Iterator<Item = Entity<'a>> {
        let list = items(self.0, name).iter().enumerate();
        list.filter(|(_, json)| owners(json).next().is_none())
            .map(|(index, json)| Entity {
                at: place("", name, index, json),
                json,
            })
    }

    /// What belongs to an owner: what stands below it, then what names it.
    pub(super) fn of(self, kind: &str, owner: &Entity<'a>, list: &'static str) -> Vec<Entity<'a>> {
        let below = items(owner.json, list).iter().enumerate();
        let below = below.map(|(index, json)| Entity {
            at: place(&owner.at, list, index, json),
            json,
        });
        let naming = items(self.0, list).iter().enumerate().filter(|(_, json)| {
            let mut owners = owners(json);
            let named = owners.next().filter(|(named, _)| *named == kind);
            named.is_some_and(|(_, name)| names(name, owner.json)) && owners.next().is_none()
        });
        let naming = naming.map(|(index, json)| Entity {
            at: place("", list, index, json),
            json,
        });
        below.chain(naming).collect()
    }

    /// The plugins among these that are on; those that are off are listed.
    pub(super) fn on(
        self,
        plugins: impl IntoIterator<Item = Entity<'a>>,
        import: &mut Import,
    ) -> Vec<Plugin<'a>> {
        let mut all = Vec::new();
        for Entity { at, json } in plugins {
            import.simple(&at, json, &["enabled"]);
            if json.get("enabled") == Some(&Json::Bool(false)) {
                import.leave(at, "it is disabled");
                continue;
            }
            let shared = text(json, "_config").and_then(|name| self.0.get("_plugin_configs")?.get(name));
            let mut config = shared.and_then(Json::as_object).cloned().unwrap_or_default();
            let own = json.get("config").and_then(Json::as_object);
            config.extend(
                own.into_iter()
                    .flatten()
                    .map(|(name, value)| (name.clone(), value.clone())),
            );
            all.push(Plugin {
                name: text(json, "name").unwrap_or_default(),
                config: Json::Object(config),
                at,
                json,
            });
        }
        all
    }

    /// Lists what names an owner that is not there, or several.
    pub(super) fn strays(self, import: &mut Import) {
        for list in OWNED {
            for (index, json) in items(self.0, list).iter().enumerate() {
                let at = place("", list, index, json);
                let mut named = owners(json);
                match (named.next(), named.next()) {
                    (Some(_), Some(_)) => import.leave(
                        at,
                        "it holds where several things come together, as a service and a consumer; here limits are \
                         those of a plan or of an API, for all",
                    ),
                    (Some((kind, name)), None) if !self.has(kind, name) => {
                        import.leave(at, format!("the file has no such {}", kind.replace('_', " ")));
                    }
                    (Some(("consumer_group", _)), None) => import.leave(
                        at,
                        "what holds for a group of consumers is written in a plan that they share",
                    ),
                    _ => {}
                }
            }
        }
    }

    fn has(self, kind: &str, name: &Json) -> bool {
        let Some((_, list)) = OWNERS.iter().find(|(known, _)| *known == kind) else {
            return false;
        };
        let services = items(self.0, "services").iter();
        let below = services
            .filter(|_| *list == "routes")
            .flat_map(|service| items(service, list));
        items(self.0, list)
            .iter()
            .chain(below)
            .any(|owner| names(name, owner))
    }
}

impl Plugin<'_> {
    /// Lists what else the plugin says, besides these fields of its `config`.
    pub(super) fn rest(&self, known: &[&str], import: &mut Import) {
        let outside = ["config", "_config", "enabled", "protocols", "run_on"];
        let owners = OWNERS.map(|(kind, _)| kind);
        import.rest(
            &self.at,
            self.json,
            &[&IDLE[..], &outside[..], &owners[..]].concat(),
        );
        import.rest(&self.place(None), &self.config, known);
    }

    /// Where its configuration stands, or a field of that.
    pub(super) fn place(&self, field: Option<&str>) -> String {
        match field {
            Some(field) => format!("{}.config.{field}", self.at),
            None => format!("{}.config", self.at),
        }
    }
}

/// Whom something names as its owners.
fn owners(json: &Json) -> impl Iterator<Item = (&'static str, &Json)> {
    OWNERS.iter().filter_map(|(kind, _)| {
        let named = json.get(*kind).filter(|named| !named.is_null())?;
        Some((*kind, named))
    })
}

/// Whether a name is that of an owner: written by itself, or as a map with one of its names.
fn names(name: &Json, owner: &Json) -> bool {
    const BY: [&str; 4] = ["name", "username", "custom_id", "id"];
    let is = |name: &str| BY.iter().any(|by| text(owner, by) == Some(name));
    match name {
        Json::String(name) => is(name),
        Json::Object(map) => BY
            .iter()
            .any(|by| map.get(*by).and_then(Json::as_str).is_some_and(is)),
        _ => false,
    }
}

//! One environment of a `wrangler.toml`: what it inherits, what it has for itself, and what it builds.

use std::collections::BTreeMap;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// One environment of wrangler; the top of the file is one, too.
pub(super) struct Place<'a> {
    pub(super) name: Option<&'a str>,
    /// Where it begins.
    pub(super) span: Range<usize>,
    pub(super) top: &'a DeTable<'a>,
    pub(super) table: &'a DeTable<'a>,
}

impl<'a> Place<'a> {
    /// A value that an environment inherits from the top.
    pub(super) fn inherited(&self, key: &str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.table.get(key).or_else(|| self.top.get(key))
    }

    /// A value that every environment has for itself.
    pub(super) fn own(&self, key: &str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.table.get(key)
    }

    /// The name of the Worker that it deploys, and where that is said.
    pub(super) fn worker(&self) -> Option<(String, Range<usize>)> {
        let text = |table: &'a DeTable<'a>| {
            let name = table.get("name")?;
            Some((name.get_ref().as_str()?.to_owned(), name.span()))
        };
        text(self.table).or_else(|| {
            let (top, _) = text(self.top)?;
            Some((format!("{top}-{}", self.name?), self.span.clone()))
        })
    }

    /// The beginning of the file, where something is missing for all that is in it.
    pub(super) fn start(&self) -> Range<usize> {
        let first = self.top.keys().map(Spanned::span).min_by_key(|span| span.start);
        first.unwrap_or(0..0)
    }

    pub(super) fn shown(&self) -> String {
        match self.name {
            Some(name) => format!("`env.{name}`"),
            None => "the top of the file".to_owned(),
        }
    }

    /// Which environment of the tree it builds, and where that is said.
    pub(super) fn builds(&self) -> (String, Range<usize>) {
        let command = self
            .inherited("build")
            .and_then(|build| build.get_ref().get("command"));
        let text = command.and_then(|command| command.get_ref().as_str());
        let span = command
            .map(Spanned::span)
            .filter(|_| self.table.get("build").is_some());
        let name = text.and_then(named).unwrap_or("dev");
        (name.to_owned(), span.unwrap_or_else(|| self.span.clone()))
    }
}

/// The environment that a build command names.
fn named(command: &str) -> Option<&str> {
    let mut words = command.split_whitespace();
    let mut found = None;
    while let Some(word) = words.next() {
        let name = match word {
            "--env" => words.next(),
            _ => word
                .strip_prefix("--env=")
                .or_else(|| word.strip_prefix("TURNPIKE_ENV=")),
        };
        found = name.or(found);
    }
    found.map(|name| name.trim_matches(['"', '\'']))
}

/// Whether a command is the call of the script that builds, and nothing else: what a shell makes of more is not known
/// here. `policies` is what the folder of the tree is called.
pub(super) fn is_the_script(command: &str, policies: Option<&str>) -> bool {
    let mut words = command.split_whitespace().peekable();
    while let Some((name, value)) = words.peek().and_then(|word| word.split_once('=')) {
        let known = match name {
            "TURNPIKE_ENV" | "TURNPIKE_AS_OF" | "SOURCE_DATE_EPOCH" => is_plain(value),
            "POLICIES" => policies == Some(unquoted(value).trim_start_matches("./").trim_end_matches('/')),
            _ => false,
        };
        if !known {
            return false;
        }
        words.next();
    }
    if !matches!(words.next(), Some("scripts/build" | "./scripts/build")) {
        return false;
    }
    while let Some(word) = words.next() {
        let known = match word {
            "--dev" => true,
            "--env" => words.next().is_some_and(is_plain),
            _ => false,
        };
        if !known {
            return false;
        }
    }
    true
}

/// Whether a call of the script says which folder the policies lie in.
pub(super) fn names_policies(command: &str) -> bool {
    let mut words = command.split_whitespace();
    words.any(|word| word.starts_with("POLICIES="))
}

/// Whether a shell takes a word for itself alone.
pub(super) fn is_plain(word: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let word = unquoted(word);
    !word.is_empty() && word.bytes().all(plain)
}

/// A word without the quotes around it.
fn unquoted(word: &str) -> &str {
    let within = |quote: char| word.strip_prefix(quote)?.strip_suffix(quote);
    within('"').or_else(|| within('\'')).unwrap_or(word)
}

/// The classes that migrations leave, each with whether its objects store in SQLite.
pub(super) fn classes(place: &Place<'_>) -> BTreeMap<String, bool> {
    let migrations = place
        .inherited("migrations")
        .and_then(|all| all.get_ref().as_array());
    let mut classes = BTreeMap::new();
    for migration in migrations.into_iter().flatten() {
        let list = |key: &str| {
            let list = migration
                .get_ref()
                .get(key)
                .and_then(|list| list.get_ref().as_array());
            list.into_iter().flatten().map(Spanned::get_ref)
        };
        let text = |value: &DeValue<'_>| value.as_str().map(str::to_owned);
        for (key, sqlite) in [("new_sqlite_classes", true), ("new_classes", false)] {
            classes.extend(list(key).filter_map(text).map(|class| (class, sqlite)));
        }
        for renamed in list("renamed_classes") {
            let end = |key: &str| renamed.get(key).and_then(|value| text(value.get_ref()));
            let sqlite = end("from").and_then(|from| classes.remove(&from));
            // What another file created is not known, and is not judged.
            classes.extend(end("to").map(|to| (to, sqlite.unwrap_or(true))));
        }
        for gone in list("deleted_classes").filter_map(text) {
            classes.remove(&gone);
        }
    }
    classes
}

/// A route, or a custom domain.
pub(super) struct Route {
    pub(super) pattern: String,
    pub(super) span: Range<usize>,
    /// The Worker is the origin of its host: nothing lies behind it.
    pub(super) custom_domain: bool,
}

/// The routes: `route`, and `routes` of texts or tables.
pub(super) fn routes(place: &Place<'_>) -> Vec<Route> {
    let one = place.inherited("route").into_iter();
    let more = place
        .inherited("routes")
        .and_then(|routes| routes.get_ref().as_array());
    one.chain(more.into_iter().flatten())
        .filter_map(|route| {
            let value = route.get_ref();
            let pattern = match value.as_str() {
                Some(pattern) => pattern.to_owned(),
                None => value.get("pattern")?.get_ref().as_str()?.to_owned(),
            };
            let custom = value.get("custom_domain");
            Some(Route {
                pattern,
                span: route.span(),
                custom_domain: custom.and_then(|custom| custom.get_ref().as_bool()) == Some(true),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_command_builds() {
        for (command, environment) in [
            ("scripts/build", None),
            ("scripts/build --env staging", Some("staging")),
            ("scripts/build --env=staging", Some("staging")),
            ("TURNPIKE_ENV=\"production\" scripts/build", Some("production")),
            ("TURNPIKE_ENV=a scripts/build --env b", Some("b")),
        ] {
            assert_eq!(named(command), environment, "{command}");
        }
    }

    #[test]
    fn a_command_is_the_scripts_call_and_nothing_else() {
        for (command, script) in [
            ("scripts/build", true),
            ("./scripts/build --env staging --dev", true),
            ("scripts/build --env \"production\"", true),
            ("TURNPIKE_ENV='production' scripts/build", true),
            (
                "POLICIES=./policies SOURCE_DATE_EPOCH=1 scripts/build --env production",
                true,
            ),
            ("POLICIES=other scripts/build --env production", false),
            ("TURNPIKE_BUILD=done scripts/build --env production", false),
            ("BUILD_DIR=x scripts/build --env production", false),
            ("PATH=. scripts/build --env production", false),
            ("TURNPIKE_ENV=$(x) scripts/build", false),
            ("TURNPIKE_ENV=production", false),
            ("true; echo scripts/build --env production", false),
            ("scripts/build --env production; true", false),
            ("scripts/build --env production && true", false),
            ("scripts/build --env production # --env", false),
            ("scripts/build --env `x`", false),
            ("scripts/build --env", false),
            // The script takes it in two words.
            ("scripts/build --env=production", false),
            ("scripts/build --faults --env production", false),
            ("other/scripts/build --env production", false),
            ("echo scripts/build --env production", false),
            ("", false),
        ] {
            assert_eq!(is_the_script(command, Some("policies")), script, "{command}");
        }
    }
}

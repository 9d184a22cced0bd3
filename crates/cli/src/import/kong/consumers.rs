//! Kong's consumers, with their keys, groups and limits.

use std::collections::BTreeSet;

use serde_json::Value as Json;
use sha2::{Digest as _, Sha256};

use super::super::names::named;
use super::super::{Consumer, Import, Plan, items, text};
use super::demand::{self, Demand};
use super::entities::{Entity, File};
use super::plugins::{Groups, Said};
use super::{IDLE, not_here};

/// Credentials that nobody has here.
pub(super) const OTHER_CREDENTIALS: [&str; 6] = [
    "basicauth_credentials",
    "hmacauth_credentials",
    "jwt_secrets",
    "oauth2_credentials",
    "mtls_auth_credentials",
    "keyauth_enc_credentials",
];

/// An API, and who may call each of its operations.
pub(super) struct Door {
    pub(super) api: String,
    pub(super) operations: Vec<Guarded>,
}

/// An operation, and whom it lets in.
pub(super) struct Guarded {
    pub(super) id: String,
    pub(super) groups: Groups,
    pub(super) asked: Demand,
}

pub(super) fn consumers(file: File<'_>, plan: &[String], doors: &[Door], import: &mut Import) {
    let mut names = BTreeSet::new();
    let mut plans = BTreeSet::from(["imported".to_owned()]);
    let mut needed = false;
    for consumer in file.list("consumers") {
        let Entity { at, json } = &consumer;
        let known = [
            "username",
            "custom_id",
            "keyauth_credentials",
            "acls",
            "groups",
            "plugins",
        ];
        import.rest(
            at,
            json,
            &[&IDLE[..], &known[..], &OTHER_CREDENTIALS[..]].concat(),
        );
        for list in OTHER_CREDENTIALS {
            other_credentials(&format!("{at}.{list}"), items(json, list), import);
        }
        let username = text(json, "username").or_else(|| text(json, "custom_id"));
        if text(json, "custom_id").is_some_and(|id| Some(id) != username) {
            import.leave(
                format!("{at}.custom_id"),
                "an upstream is told who calls by `upstream_headers`, or by a token that the gateway signs",
            );
        }
        let name = named(username.unwrap_or("consumer"), &mut names);
        let keys = keys(file, &consumer, import);
        let plugins = file.on(file.of("consumer", &consumer, "plugins"), import);
        let said = Said::by(&plugins, import);
        not_here(&said, &["limits"], import);
        let may = match &said.closed {
            Some(at) => {
                import.leave(
                    at,
                    "the gateway answered this consumer itself: it may call nothing",
                );
                Some(Vec::new())
            }
            None => grants(file, &consumer, &said.asked, doors, import),
        };
        let plan = match said.limits {
            None => {
                needed = true;
                "imported".to_owned()
            }
            Some((_, limits)) => {
                let plan = named(&name, &mut plans);
                import.plans.push(Plan {
                    name: plan.clone(),
                    limits,
                });
                plan
            }
        };
        import.consumers.push(Consumer {
            name,
            plan,
            keys,
            may,
        });
    }
    if needed {
        let mut limits = plan.to_vec();
        if limits.is_empty() {
            import.leave(
                "plans/imported.yaml",
                "consumers had no limit; every plan must have one, and 100/s was written: choose yours",
            );
            limits.push("{ rate: 100/s }".to_owned());
        }
        import.plans.push(Plan {
            name: "imported".to_owned(),
            limits,
        });
    } else if !plan.is_empty() {
        import.leave(
            "plugins (rate-limiting)",
            "no consumer is on a plan without limits of its own",
        );
    }
}

/// What it may call: of each API all operations, or some; `None` says all APIs, where no `acl` keeps anybody out, what
/// it has to show opens every one, and no service was left out.
fn grants(
    file: File<'_>,
    consumer: &Entity<'_>,
    own: &Demand,
    doors: &[Door],
    import: &mut Import,
) -> Option<Vec<(String, Option<Vec<String>>)>> {
    let acls = file.of("consumer", consumer, "acls");
    let groups: Vec<&str> = acls.iter().filter_map(|acl| text(acl.json, "group")).collect();
    let below = items(consumer.json, "groups").iter();
    let named = below.filter_map(|group| group.as_str().or_else(|| text(group, "name")));
    let holding = items(file.0, "consumer_groups").iter().filter(|group| {
        let members = items(group, "consumers").iter();
        let mut members = members.filter_map(|member| member.as_str().or_else(|| text(member, "username")));
        members.any(|member| text(consumer.json, "username") == Some(member))
    });
    let consumer_groups: Vec<&str> = named
        .chain(holding.filter_map(|group| text(group, "name")))
        .collect();
    let kinds = demand::kinds(file, consumer);
    let mut grants = Vec::new();
    let mut shut = Vec::new();
    for Door { api, operations } in doors {
        let admitted = operations
            .iter()
            .filter(|its| its.groups.admits(&groups, &consumer_groups));
        let (open, others): (Vec<&Guarded>, Vec<&Guarded>) =
            admitted.partition(|its| own.clone().and(&its.asked).met_by(&kinds));
        if !others.is_empty() {
            shut.push(api.as_str());
        }
        if !open.is_empty() {
            let ids = open.iter().map(|its| its.id.clone()).collect();
            grants.push((api.clone(), (open.len() < operations.len()).then_some(ids)));
        }
    }
    demand::list(&consumer.at, &shut, import);
    let mut its = doors.iter().flat_map(|door| &door.operations);
    let all = shut.is_empty()
        && doors.len() == items(file.0, "services").len()
        && its.all(|its| its.groups.is_open());
    (!all).then_some(grants)
}

/// The hashes of a consumer's keys.
fn keys(file: File<'_>, consumer: &Entity<'_>, import: &mut Import) -> Vec<String> {
    let mut keys = Vec::new();
    for Entity { at, json } in file.of("consumer", consumer, "keyauth_credentials") {
        import.rest(&at, json, &[&IDLE[..], &["key", "consumer"]].concat());
        match text(json, "key") {
            Some(key) if is_key(key) => {
                let digest = turnpike_policy::hex(&Sha256::digest(key.as_bytes()));
                if !keys.contains(&digest) {
                    keys.push(digest);
                }
            }
            // A key that was made by hand, or stands in a vault.
            _ => import.leave(
                at,
                "the key is too short to be one, or is not in the file: make one with `turnpike new key`",
            ),
        }
    }
    keys
}

/// Whether it is a key by itself, and no name of one that stands elsewhere: `$KEY`, `{vault://env/key}`.
fn is_key(key: &str) -> bool {
    let elsewhere = key.starts_with(['$', '{', '%']) || key.contains("${") || key.contains("{{");
    key.len() >= 16 && !elsewhere && key.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Lists credentials of a kind that there is not.
pub(super) fn other_credentials(at: &str, list: &[Json], import: &mut Import) {
    if !list.is_empty() {
        import.leave(
            at,
            "callers are known by tokens of `issuers`, API keys or client certificates: give them such credentials",
        );
    }
}

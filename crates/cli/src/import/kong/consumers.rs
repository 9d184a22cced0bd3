//! Kong's consumers, with their keys, groups and limits.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value as Json;
use sha2::{Digest as _, Sha256};

use super::super::{Consumer, Import, Plan, items, named, place, text};
use super::{Groups, IDLE, limits, on, unknown};

pub(super) fn consumers(
    json: &Json,
    plan: &[String],
    groups: &BTreeMap<String, Groups>,
    import: &mut Import,
) {
    let mut names = BTreeSet::new();
    let mut plans = BTreeSet::from(["imported".to_owned()]);
    let mut needed = false;
    for (index, consumer) in items(json, "consumers").iter().enumerate() {
        let at = place("", "consumers", index, consumer);
        import.rest(
            &at,
            consumer,
            &[
                &IDLE[..],
                &[
                    "username",
                    "custom_id",
                    "keyauth_credentials",
                    "acls",
                    "groups",
                    "plugins",
                ],
            ]
            .concat(),
        );
        let username = text(consumer, "username").or_else(|| text(consumer, "custom_id"));
        let name = named(username.unwrap_or("consumer"), &mut names);
        let keys = keys(&at, consumer, import);
        let mine: Vec<&str> = ["acls", "groups"]
            .into_iter()
            .flat_map(|list| items(consumer, list))
            .filter_map(|item| text(item, "group").or_else(|| text(item, "name")))
            .collect();
        let may = |its: &Groups| {
            let member = |list: &[String]| list.iter().any(|group| mine.contains(&group.as_str()));
            its.allow.as_deref().is_none_or(member) && !member(&its.deny)
        };
        let apis: Vec<_> = groups
            .iter()
            .filter(|(_, its)| may(its))
            .map(|(api, _)| api.clone())
            .collect();
        let mut own = Vec::new();
        for (index, plugin) in items(consumer, "plugins").iter().enumerate() {
            let at = place(&at, "plugins", index, plugin);
            match text(plugin, "name") {
                Some("rate-limiting") if on(plugin) => own.extend(limits(&at, plugin, import)),
                _ => unknown(&at, plugin, import),
            }
        }
        let plan = if own.is_empty() {
            needed = true;
            "imported".to_owned()
        } else {
            let plan = named(&name, &mut plans);
            import.plans.push(Plan {
                name: plan.clone(),
                limits: own,
            });
            plan
        };
        let all = groups
            .values()
            .all(|its| its.allow.is_none() && its.deny.is_empty());
        import.consumers.push(Consumer {
            name,
            plan,
            keys,
            apis: (!all).then_some(apis),
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

/// The hashes of a consumer's keys.
fn keys(at: &str, consumer: &Json, import: &mut Import) -> Vec<String> {
    let mut keys = Vec::new();
    for (index, key) in items(consumer, "keyauth_credentials").iter().enumerate() {
        let at = format!("{at}.keyauth_credentials[{index}]");
        match text(key, "key") {
            Some(key) if key.len() >= 16 && !key.contains(|c: char| c.is_whitespace() || c.is_control()) => {
                let digest = Sha256::digest(key.as_bytes());
                keys.push(turnpike_engine::accept::hex(&digest));
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

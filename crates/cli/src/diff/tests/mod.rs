//! Nothing is passed over: whatever a bundle holds is changed, one thing after the other, each together with a
//! title that has nothing to do with it.

use std::collections::BTreeSet;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value as Json;
use turnpike_policy::{CertificateName, Compiled, KeyCredential, Plan};

pub(super) mod everything;

use super::change::{Change, Changes, UNTOLD};
use super::side::{Form, Side};
use everything::{everything, plan, t};

/// What is changed beside everything else, and must not hide it.
const TITLE: &str = "title: Other → Another";
/// What is no rule, or is told by what it belongs to: a place in a file, the environment, which is the same on both
/// sides of a comparison; what nothing named before, or names any more; and the weight of a fallback, which has none.
const SILENT: [&str; 9] = [
    "/origin",
    "/scopes_origin",
    "gateway/0/environment",
    "claims/0/kind",
    "claims/0/path",
    "claims/0/path/0",
    "zones/0/name",
    "mocks/0/name",
    "fallback/0/weight",
];
/// The words for which there is no other way to find another one.
const WORDS: [&str; 22] = [
    "MaxCompletionTokens",
    "Address",
    "Equal",
    "Hour",
    "Number",
    "All",
    "Failures",
    "ES256",
    "RS256",
    "Refused",
    "Accepted",
    "Exact",
    "Local",
    "Open",
    "Closed",
    "Tokens",
    "Bytes",
    "Month",
    "Retired",
    "Put",
    "Complete",
    "Overloaded",
];

/// What is told of a change between two bundles.
fn told(was: &Compiled, is: &Compiled) -> Vec<Change> {
    let form = |compiled: &Compiled| Form {
        compiled: compiled.clone(),
        drift: None,
        cases: None,
    };
    let side = |compiled: &Compiled| Side::bundle("a bundle", compiled.clone());
    let mut changes = Changes::default();
    super::compare(
        (&form(was), &side(was)),
        (&form(is), &side(is)),
        1_800_000_000_000,
        ("production", "production"),
        &mut changes,
    )
    .expect("bundles");
    changes.finish()
}

/// Another thing of the same kind, and what makes it another one.
fn others<T: Serialize + DeserializeOwned + PartialEq>(thing: &T) -> Vec<(String, T)> {
    fn walk(value: &Json, at: &str, found: &mut Vec<(String, Vec<Json>)>) {
        let mut instead = Vec::new();
        match value {
            Json::Null => panic!("{at} has nothing that could be another one"),
            Json::Bool(flag) => instead.push((!flag).into()),
            Json::Number(number) => match number.as_u64() {
                // Of what is numbered there are two at least.
                Some(0) | None => instead.push(1.into()),
                Some(number) => instead.push((number - 1).into()),
            },
            Json::String(text) => {
                instead.push(format!("{text}x").into());
                let words = WORDS.into_iter().filter(|word| word != text);
                instead.extend(words.map(Json::from));
            }
            Json::Array(items) => {
                for (place, item) in items.iter().enumerate() {
                    walk(item, &format!("{at}/{place}"), found);
                }
                let fewer = items.split_last().map(|(_, fewer)| fewer.to_vec().into());
                found.push((format!("{at}/-"), fewer.into_iter().collect()));
            }
            Json::Object(members) => {
                for (name, member) in members {
                    walk(member, &format!("{at}/{name}"), found);
                }
            }
        }
        if !instead.is_empty() {
            found.push((at.to_owned(), instead));
        }
        // Where there may be nothing, that is another thing too.
        found.push((format!("{at}?"), vec![Json::Null]));
    }
    let whole = serde_json::to_value(thing).expect("a value");
    let mut found = Vec::new();
    walk(&whole, "", &mut found);
    let mut others = Vec::new();
    for (at, instead) in found {
        let place = at.trim_end_matches('?').trim_end_matches("/-");
        let other = instead.into_iter().find_map(|value| {
            let mut changed = whole.clone();
            *changed.pointer_mut(place)? = value;
            serde_json::from_value::<T>(changed)
                .ok()
                .filter(|changed| changed != thing)
        });
        match other {
            Some(other) => others.push((at, other)),
            // An array may have a fixed length, and not everything may be nothing.
            None => assert!(at.ends_with(['-', '?']), "{at}: nothing else can stand there"),
        }
    }
    others
}

/// Changes each thing of a list by itself, and looks for it among what is told of its kind.
fn each<T: Serialize + DeserializeOwned + PartialEq>(
    kind: &str,
    list: &str,
    length: usize,
    thing: impl Fn(&mut Compiled, usize) -> &mut T,
    hidden: &mut BTreeSet<String>,
) {
    let was = everything();
    for place in 0..length {
        let mut whole = was.clone();
        for (at, other) in others(thing(&mut whole, place)) {
            let what = format!("{list}/{place}{at}");
            let field = what.trim_end_matches('?').trim_end_matches("/-");
            if SILENT.iter().any(|silent| field.ends_with(silent)) {
                continue;
            }
            if !tells(kind, |is| *thing(is, place) = other) {
                hidden.insert(what);
            }
        }
    }
}

/// Whether something is told of a kind when that is changed, and a title beside it.
fn tells(kind: &str, change: impl FnOnce(&mut Compiled)) -> bool {
    let was = everything();
    let mut is = was.clone();
    change(&mut is);
    is.apis.get_mut(1).unwrap().title = t("Another");
    told(&was, &is).iter().any(|change| {
        change.group.split(' ').next() == Some(kind) && change.text != TITLE && !change.text.contains(UNTOLD)
    })
}

#[test]
fn whatever_is_changed_is_told_beside_whatever_else() {
    let was = everything();
    let mut hidden = BTreeSet::new();
    let h = &mut hidden;
    each("gateway", "gateway", 1, |all, _| &mut all.gateway, h);
    each("gateway", "claims", 1, |all, at| &mut all.claims[at], h);
    each("gateway", "zones", 1, |all, at| &mut all.zones[at], h);
    each("gateway", "secrets", 1, |all, at| &mut all.secrets[at], h);
    each(
        "issuer",
        "issuers",
        was.issuers.len(),
        |all, at| &mut all.issuers[at],
        h,
    );
    each("decision", "points", 2, |all, at| &mut all.points[at], h);
    each("plan", "plans", 2, |all, at| &mut all.plans[at], h);
    each(
        "consumer",
        "consumers",
        2,
        |all, at| all.consumers.get_mut(at).unwrap(),
        h,
    );
    each("consumer", "identities", 1, |all, at| &mut all.identities[at], h);
    each(
        "consumer",
        "certificates",
        1,
        |all, at| &mut all.certificates[at],
        h,
    );
    each("API", "apis", 1, |all, at| all.apis.get_mut(at).unwrap(), h);
    each(
        "API",
        "operations",
        4,
        |all, at| all.operations.get_mut(at).unwrap(),
        h,
    );
    each("model", "models", 2, |all, at| &mut all.models[at], h);
    each("provider", "providers", 3, |all, at| &mut all.providers[at], h);
    each("mock", "mocks", 1, |all, at| &mut all.mocks[at], h);
    assert!(hidden.is_empty(), "{hidden:#?}");
    // Digests are bytes, which JSON has not.
    let keys: [fn(&mut KeyCredential); 5] = [
        |key| key.sha256[31] += 1,
        |key| key.consumer = 0,
        |key| key.expires = None,
        |key| key.expires = Some(1),
        |key| key.scopes.clear(),
    ];
    for (at, change) in keys.into_iter().enumerate() {
        assert!(tells("consumer", |all| change(&mut all.keys[0])), "key, {at}");
    }
    let another = CertificateName::Key([8; 32]);
    assert!(tells("consumer", |all| all.certificates[1].by = another));
}

/// What has no words is told all the same, and only then.
#[test]
fn what_has_no_words_is_told_all_the_same() {
    let says = |before, was: &Plan, is: &Plan| {
        let mut changes = Changes::default();
        changes.begin("plan gold", "production");
        changes.rest(before, "", "it", (was, is));
        changes
            .finish()
            .into_iter()
            .map(|change| change.text)
            .collect::<Vec<_>>()
    };
    let was = plan("gold");
    let mut moved = was.clone();
    moved.limits[0].origin = t("policies/plans/gold.yaml:4");
    let mut other = moved.clone();
    other.limits[0].shadow = true;
    assert_eq!(says(0, &was, &moved), [""; 0]);
    assert_eq!(says(0, &was, &other), [format!("it {UNTOLD}")]);
    assert_eq!(says(1, &was, &other), [""; 0]);
}

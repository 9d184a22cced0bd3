//! The logic of conditions, over every way in which claims can be right, missing, or of another type.

use proptest::prelude::*;
use serde_json::{Value, json};
use turnpike_policy::source::conditions::parse;
use turnpike_policy::{Claim, ClaimKind, Compiled, Condition, Method};

use super::Facts;
use crate::identify::{ClaimValue, Principal};

/// Claims that an issuer declares.
const DECLARED: &[(&str, ClaimKind)] = &[
    ("department", ClaimKind::Text),
    ("level", ClaimKind::Number),
    ("roles", ClaimKind::Texts),
    ("verified", ClaimKind::Flag),
];

/// A claim of each kind: right, missing, or of another type.
fn any_claims() -> impl Strategy<Value = [Option<Value>; 4]> {
    let some = prop_oneof![
        Just(json!("a")),
        Just(json!("b")),
        Just(json!(1)),
        Just(json!(2)),
        Just(json!(true)),
        Just(json!(false)),
        Just(json!(["a"])),
        Just(json!(["b", "c"])),
        Just(json!([1])),
        Just(json!({})),
        Just(json!(null)),
    ];
    prop::array::uniform4(prop::option::of(some))
}

/// Conditions on these claims, with every operator.
fn any_condition() -> impl Strategy<Value = Condition> {
    let leaves: Vec<Condition> = [
        "claims.department == 'a'",
        "claims.department != 'a'",
        "claims.department in ['a', 'b']",
        "claims.department.startsWith('a')",
        "claims.department in claims.roles",
        "'a' in claims.roles",
        "claims.level < 2",
        "claims.level >= 2",
        "claims.level in [1]",
        "claims.verified",
        "claims.verified == false",
        "request.method == 'GET'",
        "request.method == 'PUT'",
    ]
    .into_iter()
    .map(|text| parse(text).expect("a condition"))
    .collect();
    prop::sample::select(leaves).prop_recursive(4, 24, 3, |inner| {
        let several = prop::collection::vec(inner.clone(), 2..4);
        prop_oneof![
            inner.prop_map(|part| Condition::Not(Box::new(part))),
            several.clone().prop_map(Condition::All),
            several.prop_map(Condition::Any),
        ]
    })
}

/// Every value that a claim of this kind can have, as far as these conditions tell them apart.
fn domain(kind: ClaimKind) -> Vec<ClaimValue> {
    let text = |text: &str| text.to_owned();
    match kind {
        ClaimKind::Text => ["a", "b", "c", "ab"]
            .map(|one| ClaimValue::Text(text(one)))
            .to_vec(),
        ClaimKind::Number => ["1", "2", "1.5"]
            .map(|one| ClaimValue::Number(text(one)))
            .to_vec(),
        ClaimKind::Flag => vec![ClaimValue::Flag(true), ClaimValue::Flag(false)],
        ClaimKind::Texts => vec![
            ClaimValue::Texts(Vec::new()),
            ClaimValue::Texts(vec![text("a")]),
            ClaimValue::Texts(vec![text("b"), text("c")]),
            ClaimValue::Texts(vec![text("a"), text("b"), text("ab")]),
        ],
    }
}

fn holds(policy: &Compiled, condition: &Condition, claims: &[Option<ClaimValue>]) -> Option<bool> {
    let caller = Principal::claiming(claims.to_vec());
    let facts = Facts {
        policy,
        caller: &caller,
        method: Method::Get,
        template: "/pets",
        path: "/pets",
        country: None,
        now: 0,
    };
    facts.holds(condition)
}

fn declared() -> Compiled {
    let claims = DECLARED.iter().map(|(name, kind)| Claim {
        path: vec![(*name).to_owned()],
        kind: Some(*kind),
        issuers: vec![0],
    });
    Compiled {
        claims: claims.collect(),
        ..Compiled::default()
    }
}

/// The value that is kept of a claim; none where it is missing or of another type.
fn right(value: Option<&Value>, kind: ClaimKind) -> Option<ClaimValue> {
    Some(match (kind, value?) {
        (ClaimKind::Text, Value::String(text)) => ClaimValue::Text(text.clone()),
        (ClaimKind::Number, Value::Number(number)) => ClaimValue::Number(number.to_string()),
        (ClaimKind::Flag, Value::Bool(flag)) => ClaimValue::Flag(*flag),
        (ClaimKind::Texts, Value::Array(items)) => {
            let texts = items.iter().map(|item| item.as_str().map(str::to_owned));
            ClaimValue::Texts(texts.collect::<Option<_>>()?)
        }
        _ => return None,
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    /// A condition and its negation are never both true, and neither is where something that would decide
    /// is missing: a yes in spite of what is missing is a yes whatever that might have been.
    #[test]
    fn nothing_holds_because_something_is_missing(condition in any_condition(), said in any_claims()) {
        let policy = declared();
        let known: Vec<_> = DECLARED
            .iter()
            .zip(&said)
            .map(|((_, kind), value)| right(value.as_ref(), *kind))
            .collect();
        let answer = holds(&policy, &condition, &known);
        let negated = holds(&policy, &Condition::Not(Box::new(condition.clone())), &known);
        prop_assert_eq!(negated, answer.map(|holds| !holds));
        if known.iter().all(Option::is_some) {
            prop_assert!(answer.is_some(), "{condition} of what is all there");
        }
        // Every way to fill what is missing.
        let mut worlds = vec![Vec::new()];
        for ((_, kind), value) in DECLARED.iter().zip(&known) {
            let values = value.clone().map_or_else(|| domain(*kind), |value| vec![value]);
            worlds = worlds
                .into_iter()
                .flat_map(|world: Vec<Option<ClaimValue>>| {
                    values.iter().map(move |value| [world.clone(), vec![Some(value.clone())]].concat()).collect::<Vec<_>>()
                })
                .collect();
        }
        if let Some(answer) = answer {
            for world in &worlds {
                prop_assert_eq!(holds(&policy, &condition, world), Some(answer), "{} in {:?}", condition, world);
            }
        }
        // What the value of another type is makes no difference to what is not there.
        let raw: Vec<_> = said.iter().map(|value| value.as_ref().and_then(raw)).collect();
        prop_assert_eq!(holds(&policy, &condition, &raw), answer, "{} of {:?}", condition, said);
    }
}

/// A value as it is kept whatever it was declared to be.
fn raw(value: &Value) -> Option<ClaimValue> {
    [
        ClaimKind::Text,
        ClaimKind::Number,
        ClaimKind::Flag,
        ClaimKind::Texts,
    ]
    .into_iter()
    .find_map(|kind| right(Some(value), kind))
}

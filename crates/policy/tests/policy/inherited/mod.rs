//! Tighten only, for every field that is inherited: random trees, in which random fields are written on random
//! levels. One whose chains narrow builds, and holds everybody to each level; one that widens does not build.
//!
//! What is tried is the table of `docs/policy.md`, which is made from the checker's own: a field that is added
//! there and not here fails the test.

mod fields;

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::{Value as Json, json};
use turnpike_policy::source::Outcome;
use turnpike_policy::{Api, Compiled, Model, Operation};

use crate::common::{Files, build_with_rules, lines};
use fields::fields;

const PAGE: &str = include_str!("../../../../../docs/policy.md");

/// A level on which a field may be written: in which file, and the path to it there. `+` is an item of a list.
type Level = (&'static str, &'static [&'static str]);

const GATEWAY: &str = "gateway.yaml";
const TEMPLATE: &str = "templates/standard.yaml";
const API: &str = "apis/pets/api.yaml";
const DOCUMENT: &str = "apis/pets/v1.yaml";
const MODEL: &str = "models/chat.yaml";

/// What a tree that was built holds an operation and a model to.
struct Built<'a> {
    compiled: &'a Compiled,
    outcome: &'a Outcome,
    api: &'a Api,
    operation: &'a Operation,
    model: &'a Model,
}

/// How one field is tried.
struct Field {
    /// Its row in the table.
    row: &'static str,
    /// Where it may be written, from above to below.
    levels: &'static [Level],
    /// A value, of 0 to 7; nothing: it is not written at all.
    write: fn(u8) -> Option<Json>,
    /// How one level stands to the next.
    order: Order,
    /// Whether what was built is as tight as a value, on whichever level that was written.
    holds: fn(&Built<'_>, u8) -> bool,
}

#[derive(Clone, Copy, PartialEq)]
enum Order {
    /// A larger number is tighter; a smaller one below is refused.
    Larger,
    /// Of a set of bits, fewer are tighter; others below are refused.
    Fewer,
    /// Whatever is below adds to what is above.
    Adds,
    /// Of a set of bits, as [`Self::Adds`]; the last level passes what it names, and nothing from above.
    Bars,
    /// 0 is to leave out, which is refused wherever it stands.
    Always,
}

impl Order {
    /// Whether a value may stand below others; `last`: on the lowest level.
    fn allows(self, above: &[u8], below: u8, last: bool) -> bool {
        match self {
            Self::Bars => !last || above.iter().all(|above| below & above == 0),
            Self::Larger => above.iter().all(|above| *above <= below),
            Self::Fewer => above.iter().all(|above| below & !above == 0),
            Self::Adds => true,
            Self::Always => below > 0,
        }
    }

    /// The value nearest to one that may stand below others.
    fn narrowed(self, above: &[u8], value: u8, last: bool) -> u8 {
        match self {
            Self::Bars if last => above.iter().fold(value, |value, above| value & !above),
            Self::Larger => above.iter().copied().fold(value, u8::max),
            // Something has to be left, of which the first above is a part.
            Self::Fewer => match above.last() {
                Some(last) if value & last == 0 => *last,
                Some(last) => value & last,
                None => value.max(1),
            },
            Self::Adds | Self::Bars => value,
            Self::Always => value.max(1),
        }
    }
}

/// Writes a value on a level, or takes away what stands there.
fn put(files: &mut std::collections::BTreeMap<String, Json>, (file, path): Level, value: Option<Json>) {
    let mut node = files.entry(file.to_owned()).or_insert_with(|| json!({}));
    let (last, above) = path.split_last().unwrap();
    for name in above {
        // Of one operation: the only item of the list.
        let inner = node.as_object_mut().unwrap();
        node = match *name {
            "operations" => &mut inner
                .entry("operations")
                .or_insert_with(|| json!([{ "for": "all" }]))[0],
            name => inner.entry(name.to_owned()).or_insert(Json::Null),
        };
        if node.is_null() {
            *node = if *last == "+" && Some(name) == above.last() {
                json!([])
            } else {
                json!({})
            };
        }
    }
    match (value, node) {
        (Some(value), Json::Array(items)) => items.push(value),
        (Some(value), node) => node[*last] = value,
        (None, node) => drop(node.as_object_mut().unwrap().remove(*last)),
    }
}

/// The tree of the other tests, as JSON, with a template and what some fields need to be tried.
fn bare(templated: bool) -> std::collections::BTreeMap<String, Json> {
    let gateway = json!({
        "gateway": "test",
        "issuers": { "acme": { "issuer": "https://login.acme.example/", "audience": ["acme"],
            "algorithms": ["RS256"], "claims": { "level": "string" }, "jwks": "https://login.acme.example/jwks" } },
        "exceptions": [{ "rule": "authentication", "for": "apis/pets", "reason": "r", "until": "2099-01-01" }],
        "environments": { "dev": {}, "production": {} },
    });
    let mut api = json!({
        "api": "pets", "title": "Pets", "owner": "team", "path": "/pets",
        "versions": { "v1": { "openapi": "v1.yaml", "state": "active", "upstream": "https://pets.example" } },
        "limits": [{ "rate": "1/s" }],
    });
    let mut model = json!({ "model": "chat", "owner": "team", "targets": [{ "to": "openai/gpt",
        "price": { "input": "1 USD/Mtok", "output": "1 USD/Mtok" } }] });
    let template = json!({ "template": "standard", "api": { "timeouts": {} }, "model": { "timeouts": {} } });
    if templated {
        api["template"] = json!("standard");
        model["template"] = json!("standard");
    }
    let document = json!({ "openapi": "3.1.0", "info": { "title": "Pets", "version": "1.0.0" }, "paths": { "/list": {
        "post": { "operationId": "listPets", "requestBody": { "content": { "application/json": {} } },
            "responses": { "200": { "description": "ok" } } } } } });
    [
        (GATEWAY, gateway),
        (API, api),
        (MODEL, model),
        (TEMPLATE, template),
        (DOCUMENT, document),
        (
            "consumers/app.yaml",
            json!({ "consumer": "app", "owner": "team", "plan": "gold",
            "credentials": [{ "jwt": { "issuer": "acme", "is": "app" } }],
            "may": [{ "api": "pets", "operations": ["listPets"] }, { "models": ["chat"] }] }),
        ),
        (
            "plans/gold.yaml",
            json!({ "plan": "gold", "limits": [{ "rate": "10/s" }] }),
        ),
        (
            "providers/openai.yaml",
            json!({ "provider": "openai", "wire": "openai",
            "base_url": "https://api.openai.example/v1", "secret": "OPENAI_KEY" }),
        ),
    ]
    .into_iter()
    .map(|(path, content)| (path.to_owned(), content))
    .collect()
}

/// What is written of a field: of each level, whether anything, and what.
type Written = Vec<(bool, u8)>;

fn random() -> impl Strategy<Value = (Vec<Written>, bool, Option<usize>)> {
    let count = fields().count();
    let level = (any::<bool>(), 0_u8..8);
    let all = prop::collection::vec(prop::collection::vec(level, 4), count);
    // Which field is left as it came, so that it may widen; of all others each level narrows.
    (all, prop::bool::weighted(0.8), prop::option::of(0..count))
}

#[test]
fn every_row_of_the_table_is_tried() {
    let table = PAGE.split("<!-- inherited -->").nth(1).unwrap();
    let table = table.split("<!-- end of inherited -->").next().unwrap();
    let rows: BTreeSet<_> = table
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
        .collect();
    let tried: BTreeSet<_> = fields().map(|field| field.row).collect();
    assert_eq!(rows, tried);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_weaker_than_anything_above_it((written, templated, widening) in random()) {
        let mut files = bare(templated);
        let (mut good, mut held, mut open) = (true, Vec::new(), false);
        for (at, (field, written)) in fields().zip(&written).enumerate() {
            let mut above: Vec<u8> = Vec::new();
            for (level, (there, value)) in field.levels.iter().zip(written) {
                let of_template = level.0 == TEMPLATE;
                let last = level.0 == DOCUMENT;
                // Nobody who is not known can be asked for scopes.
                if !there || (of_template && !templated) || (open && field.row == "authorize") {
                    continue;
                }
                let mut value = if widening == Some(at) { *value } else { field.order.narrowed(&above, *value, last) };
                if field.row == "authentication" || field.row == "stream.commit" {
                    value = if value > 3 { 7 } else { 0 };
                }
                if field.row == "authentication" {
                    // A template cannot say that an API is open to everybody.
                    value = if of_template { 7 } else { value };
                    open |= value == 0;
                }
                if field.row == "governance" {
                    value = value.min(2);
                }
                if field.row == "retry.attempts" {
                    value &= !1;
                }
                if field.row == "retry.on" {
                    value = value.max(1);
                }
                good &= field.order.allows(&above, value, last);
                above.push(value);
                let mut content = (field.write)(value);
                if last {
                    // What a document passes on are its parameters.
                    let names = content.iter().flat_map(|list| list.as_array().unwrap());
                    content = Some(names.map(|name| json!({ "name": name, "in": "header", "schema": {} })).collect());
                } else {
                    held.push((field, value));
                }
                put(&mut files, *level, content);
            }
        }
        // What limits tokens or money needs a bound of answers.
        let bounded = [(TEMPLATE, "/model/max_output_tokens"), (MODEL, "/max_output_tokens")];
        if bounded.iter().all(|(file, path)| files[*file].pointer(path).is_none()) || !templated {
            let model = files.get_mut(MODEL).unwrap();
            if model.get("max_output_tokens").is_none() {
                model["max_output_tokens"] = json!(100);
            }
        }
        let text: Files = files.iter().map(|(path, json)| (path.clone(), json.to_string())).collect();
        let outcome = build_with_rules(&text, "dev");
        let found: Vec<_> = lines(&outcome).into_iter().filter(|line| line.contains(": error[")).collect();
        prop_assert_eq!(good, found.is_empty(), "{:#?} {:#?}", text, found);
        prop_assert_eq!(good, outcome.compiled.is_some(), "{:#?}", text);
        if let Some(compiled) = &outcome.compiled {
            let built = Built {
                compiled,
                outcome: &outcome,
                api: &compiled.apis[0],
                operation: &compiled.operations[0],
                model: &compiled.models[0],
            };
            for (field, value) in held {
                prop_assert!((field.holds)(&built, value), "{} {value} {:#?}", field.row, text);
            }
        }
    }
}

//! Schemas, written otherwise: with other words, and with another meaning that is known.

use serde_json::{Map, Value as Json, json};

use crate::random::Random;

/// Places of schemas, as JSON pointers, that are reached from `S0` so that what they ask is asked of a value: through
/// members, items, references and `allOf`, not through alternatives; and not through members that have no name, of which
/// any change from nothing at all is a risk.
pub(crate) fn asked_for(schemas: &Json) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = vec!["/S0".to_owned()];
    while let Some(at) = open.pop() {
        if found.contains(&at) || found.len() > 200 {
            continue;
        }
        let Some(Json::Object(schema)) = schemas.pointer(&at) else {
            continue;
        };
        if let Some(target) = schema.get("$ref").and_then(Json::as_str) {
            open.extend(target.strip_prefix("#/components/schemas").map(str::to_owned));
        }
        if schema.contains_key("items") {
            open.push(format!("{at}/items"));
        }
        for (name, _) in schema
            .get("properties")
            .and_then(Json::as_object)
            .into_iter()
            .flatten()
        {
            open.push(format!("{at}/properties/{}", escaped(name)));
        }
        let parts = schema.get("allOf").and_then(Json::as_array).map_or(0, Vec::len);
        open.extend((0..parts).map(|part| format!("{at}/allOf/{part}")));
        found.push(at);
    }
    found
}

/// Places of all schemas, wherever they stand.
pub(crate) fn everywhere(schemas: &Json) -> Vec<String> {
    fn walk(schema: &Json, at: &str, found: &mut Vec<String>) {
        found.push(at.to_owned());
        for (key, value) in schema.as_object().into_iter().flatten() {
            match (key.as_str(), value) {
                (
                    "items"
                    | "additionalProperties"
                    | "not"
                    | "if"
                    | "then"
                    | "else"
                    | "contains"
                    | "propertyNames"
                    | "unevaluatedProperties",
                    _,
                ) => {
                    walk(value, &format!("{at}/{key}"), found);
                }
                ("allOf" | "oneOf" | "anyOf" | "prefixItems", Json::Array(list)) => {
                    for (index, schema) in list.iter().enumerate() {
                        walk(schema, &format!("{at}/{key}/{index}"), found);
                    }
                }
                ("properties" | "patternProperties" | "dependentSchemas", Json::Object(map)) => {
                    for (name, schema) in map {
                        walk(schema, &format!("{at}/{key}/{}", escaped(name)), found);
                    }
                }
                _ => {}
            }
        }
    }
    let mut found = Vec::new();
    for (name, schema) in schemas.as_object().into_iter().flatten() {
        walk(schema, &format!("/{name}"), &mut found);
    }
    found
}

fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// Says the same in other words, somewhere; how.
pub(crate) fn reword(schemas: &mut Json, random: &mut Random) -> &'static str {
    let places = everywhere(schemas);
    let at = random.pick(&places);
    let all = schemas.clone();
    let Some(schema) = schemas.pointer_mut(at) else {
        return "nothing";
    };
    match random.below(9) {
        0 => {
            *schema = json!({ "allOf": [schema.take()] });
            "a part of one"
        }
        1 => {
            let leads = |map: &Map<String, Json>| {
                map.keys()
                    .all(|key| matches!(key.as_str(), "$ref" | "description"))
            };
            if schema.as_object().is_some_and(leads) {
                *schema =
                    json!({ "allOf": [schema.clone(), { "title": "Twice.", "allOf": [schema.take()] }] });
            }
            "twice"
        }
        2 => inline(schema, &all),
        3 => {
            if let Json::Object(map) = schema {
                map.insert("x-words".to_owned(), json!(["more"]));
                map.insert("examples".to_owned(), json!([random.below(9)]));
            } else if *schema == json!(true) {
                *schema = json!({ "description": "Anything." });
            }
            "words"
        }
        4 => {
            for key in ["oneOf", "anyOf", "enum", "required", "type"] {
                if let Some(Json::Array(list)) = schema.get_mut(key) {
                    list.reverse();
                }
            }
            "the other way round"
        }
        5 => {
            if let Some(constant) = schema.get("const").cloned() {
                schema["enum"] = json!([constant]);
                schema.as_object_mut().map(|map| map.remove("const"));
            }
            "a list of one"
        }
        6 => {
            if let Some(Json::String(kind)) = schema.get("type").cloned() {
                schema["type"] = json!([kind]);
                if schema.get("nullable") == Some(&json!(true)) {
                    schema["type"] = json!([kind, "null"]);
                    schema["nullable"] = json!(false);
                }
            }
            "types as a list"
        }
        7 => {
            if let Json::Object(map) = schema {
                for (key, nothing) in [
                    ("items", json!({})),
                    ("minItems", json!(0)),
                    ("readOnly", json!(false)),
                ] {
                    map.entry(key).or_insert(nothing);
                }
            }
            "what holds anyway"
        }
        _ => {
            // What was there is somewhere else.
            let name = format!("Moved{}", all.as_object().map_or(0, Map::len));
            let moved = schema.take();
            *schema = json!({ "$ref": format!("#/components/schemas/{name}") });
            schemas[name] = moved;
            "behind a reference"
        }
    }
}

/// Keywords that may hold of a value more than once and are told apart by their place: what has one of them is not
/// doubled.
const BY_PLACE: [&str; 9] = [
    "not",
    "if",
    "then",
    "else",
    "contains",
    "propertyNames",
    "oneOf",
    "anyOf",
    "prefixItems",
];

/// Puts in the place of a reference what it leads to.
fn inline(schema: &mut Json, all: &Json) -> &'static str {
    let target = schema.get("$ref").and_then(Json::as_str);
    let target = target
        .and_then(|target| all.pointer(target.strip_prefix("#/components/schemas")?))
        .cloned();
    if let (Some(target), Json::Object(map)) = (target, schema) {
        let text = target.to_string();
        if !BY_PLACE.iter().any(|key| text.contains(&format!("\"{key}\""))) {
            map.remove("$ref");
            let mut parts = map
                .get("allOf")
                .and_then(Json::as_array)
                .cloned()
                .unwrap_or_default();
            parts.insert(0, target);
            map.insert("allOf".to_owned(), Json::Array(parts));
        }
    }
    "in place of a reference"
}

/// What is asked for, beside all that was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum More {
    /// A member that nobody knew must be there.
    Required,
    /// A member that nobody knew may be there.
    Member,
    /// A text must be longer than any was.
    Longer,
    /// Something by a keyword that nobody knows.
    Keyword,
}

/// What only [`ask`] writes.
pub(crate) const FRESH: &str = "fresh";

/// Asks for more in a place that is an object.
pub(crate) fn ask(schema: &mut Json, more: More) {
    match more {
        More::Required => match schema.get_mut("required") {
            Some(Json::Array(list)) => list.push(json!(FRESH)),
            _ => schema["required"] = json!([FRESH]),
        },
        More::Member => match schema.get_mut("properties") {
            Some(members @ Json::Object(_)) => members[FRESH] = json!({ "type": "string" }),
            _ => schema["properties"] = json!({ FRESH: { "type": "string" } }),
        },
        More::Longer => schema["minLength"] = json!(1_000_000),
        More::Keyword => schema[FRESH] = json!(1),
    }
}

/// Puts anything in the place of something, anywhere in a document.
pub(crate) fn damage(document: &mut Json, random: &mut Random) {
    let mut place = document;
    loop {
        let inside = match &*place {
            Json::Object(map) => map.len(),
            Json::Array(list) => list.len(),
            _ => 0,
        };
        if inside == 0 || random.below(6) == 0 {
            break;
        }
        let at = random.below(inside);
        place = match place {
            Json::Object(map) => map.values_mut().nth(at).unwrap(),
            Json::Array(list) => &mut list[at],
            _ => return,
        };
    }
    let schema = random.below(6);
    *place = match random.below(14) {
        0 => Json::Null,
        1 => json!(true),
        2 => json!(false),
        3 => json!(-1),
        4 => json!(1e300),
        5 => json!(9_007_199_254_740_993_u64),
        6 => json!(""),
        7 => json!([]),
        8 => json!({}),
        9 => json!([place.take()]),
        10 => json!({ "allOf": [place.take(), { "$ref": "#" }] }),
        11 => json!({ "$ref": format!("#/components/schemas/S{schema}") }),
        12 => {
            json!({ "$ref": *random.pick(&["#", "#/paths/~1list/get", "#/components/callbacks/C", "/", "#/é~"]) })
        }
        _ => (0..40).fold(place.take(), |inner, _| json!({ "items": inner, "not": {} })),
    };
}

//! JSON Schemas of every kind (2020-12), for editors, made from the declarations that the checker obeys.
//!
//! A schema says which fields there are, what they mean and what shape they have. It lets pass what
//! only the whole tree can tell, and never refuses what the checker takes: scalars may be written in
//! any way that YAML has for them, and `${name}` may stand for each.

use serde_json::{Map as Object, Value as Json, json};

use super::declare::Shape;
use super::reference;

/// The schema of a scalar: whatever YAML makes of what was written.
pub(crate) fn scalar(expects: &str) -> Json {
    json!({ "type": ["string", "number", "boolean"], "description": expects })
}

/// The schema of a whole number between two bounds. `1_000` is text to YAML.
pub(crate) fn number(least: u32, most: u32) -> Json {
    json!({ "anyOf": [
        { "type": "integer", "minimum": least, "maximum": most },
        { "type": "string", "pattern": "^[0-9][0-9_]*$" },
        variable(),
    ] })
}

/// The schema of a word among others.
pub(crate) fn words(words: &[&str]) -> Json {
    json!({ "anyOf": [{ "enum": words }, variable()] })
}

/// The schema of one thing or another.
pub(crate) fn either(these: impl IntoIterator<Item = Json>) -> Json {
    json!({ "anyOf": these.into_iter().collect::<Vec<_>>() })
}

/// The schema of a map whose keys are names.
pub(crate) fn map(of: &Json) -> Json {
    json!({ "type": "object", "additionalProperties": of })
}

/// The schema of a list.
pub(crate) fn list(of: &Json) -> Json {
    json!({ "type": "array", "items": of })
}

fn variable() -> Json {
    json!({ "type": "string", "pattern": "\\$\\{" })
}

/// A reference to the schema of a record; as an item it may be limited to environments.
pub(crate) fn record(name: &str, item: bool) -> Json {
    json!({ "$ref": format!("#/$defs/{}", definition(name, item)) })
}

fn definition(name: &str, item: bool) -> String {
    let name = name.replace(' ', "-");
    if item { format!("{name}-item") } else { name }
}

/// Every schema: the name of its file, and its text.
pub fn all() -> Vec<(String, String)> {
    let kinds = reference::kinds().into_iter();
    kinds
        .map(|(file, shapes)| {
            let kind = file.split('/').next().unwrap_or(file).trim_end_matches(".yaml");
            let schema = sorted(schema(file, kind, &shapes));
            let mut text = serde_json::to_string_pretty(&schema).unwrap_or_default();
            text.push('\n');
            (format!("{kind}.json"), text)
        })
        .collect()
}

/// The schema of a kind, by the name of its folder; nothing known of one that there is not.
pub(crate) fn of(kind: &str) -> Json {
    let file = |file: &str| file.split('/').next().unwrap_or(file).trim_end_matches(".yaml") == kind;
    let known = reference::kinds().into_iter().find(|(name, _)| file(name));
    known.map_or(Json::Null, |(file, shapes)| schema(file, kind, &shapes))
}

/// With the keys of every object in order, in case a build makes `Map` keep that of insertion.
fn sorted(value: Json) -> Json {
    match value {
        Json::Array(items) => Json::Array(items.into_iter().map(sorted).collect()),
        Json::Object(members) => {
            let mut members: Vec<_> = members
                .into_iter()
                .map(|(key, value)| (key, sorted(value)))
                .collect();
            members.sort_by(|(a, _), (b, _)| a.cmp(b));
            Json::Object(members.into_iter().collect())
        }
        scalar => scalar,
    }
}

fn schema(file: &str, kind: &str, shapes: &[&'static Shape]) -> Json {
    let mut definitions = Object::new();
    for shape in shapes {
        for item in [false, true] {
            definitions.insert(definition(shape.name, item), object(shape, item));
        }
    }
    // The gateway and its environments exist everywhere.
    let item = !matches!(kind, "gateway" | "environments");
    let root = shapes.first().map_or(json!({}), |shape| record(shape.name, item));
    let root = if kind == "tests" {
        super::cases::TestFile::schema_of_file()
    } else {
        root
    };
    let mut schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": format!("Turnpike: {file}"),
    });
    if let (Some(schema), Json::Object(root)) = (schema.as_object_mut(), root) {
        schema.extend(root);
        prune(schema, &mut definitions);
        schema.insert("$defs".to_owned(), Json::Object(definitions));
    }
    schema
}

/// Takes away definitions that nothing refers to.
fn prune(root: &Object<String, Json>, definitions: &mut Object<String, Json>) {
    let mut needed = std::collections::BTreeSet::new();
    let mut rest = vec![Json::Object(root.clone())];
    while let Some(value) = rest.pop() {
        match value {
            Json::Array(items) => rest.extend(items),
            Json::Object(members) => {
                let target = members.get("$ref").and_then(Json::as_str);
                if let Some(name) = target.and_then(|target| target.strip_prefix("#/$defs/"))
                    && needed.insert(name.to_owned())
                {
                    rest.extend(definitions.get(name).cloned());
                }
                rest.extend(members.into_iter().map(|(_, value)| value));
            }
            _ => {}
        }
    }
    definitions.retain(|name, _| needed.contains(name));
}

fn object(shape: &Shape, item: bool) -> Json {
    let mut properties = Object::new();
    for field in shape.fields {
        let mut schema = (field.schema)();
        let doc = reference::prose(field.doc);
        if let Some(members) = schema.as_object_mut() {
            members.insert("description".to_owned(), Json::String(doc));
            if let Some(default) = field.default {
                members.insert("default".to_owned(), default_value(default));
            }
        }
        properties.insert(field.name.to_owned(), schema);
    }
    if item {
        properties.insert(
            "environments".to_owned(),
            json!({
                "type": "array",
                "items": { "type": "string" },
                "minItems": 1,
                "description": "The environments that it exists in; left out: all of them.",
            }),
        );
    }
    let required: Vec<_> = shape
        .fields
        .iter()
        .filter(|field| field.required)
        .map(|field| field.name)
        .collect();
    let mut object = json!({
        "type": "object",
        "description": reference::prose(shape.doc),
        "properties": properties,
        "additionalProperties": false,
    });
    if let (Some(members), false) = (object.as_object_mut(), required.is_empty()) {
        members.insert("required".to_owned(), json!(required));
    }
    object
}

/// A default as an editor writes it: what YAML makes of its text.
fn default_value(text: &str) -> Json {
    let mut report = super::diagnostic::Report::default();
    let node = super::yaml::parse(u32::MAX, text, &mut report);
    node.as_ref()
        .and_then(super::json::value)
        .unwrap_or_else(|| Json::String(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::super::yaml;
    use super::*;

    fn root() -> std::path::PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
    }

    #[test]
    fn the_schemas_are_those_of_the_source() {
        let folder = root().join("schemas");
        if std::env::var_os("UPDATE").is_some() {
            fs::create_dir_all(&folder).unwrap();
        }
        for (name, text) in all() {
            let path = folder.join(&name);
            if std::env::var_os("UPDATE").is_some() {
                fs::write(&path, &text).unwrap();
            }
            let found = fs::read_to_string(&path).unwrap_or_default();
            assert!(
                found == text,
                "schemas/{name} is not up to date: run `UPDATE=1 cargo test -p turnpike-policy schemas`"
            );
        }
    }

    /// What does not fit, by as much of JSON Schema as these schemas use.
    fn faults(value: &Json, schema: &Json, root: &Json, at: &str) -> Vec<String> {
        if let Some(target) = schema["$ref"].as_str() {
            let name = target.strip_prefix("#/$defs/").unwrap();
            return faults(value, &root["$defs"][name], root, at);
        }
        if let Some(some) = schema["anyOf"].as_array() {
            let all: Vec<_> = some.iter().map(|one| faults(value, one, root, at)).collect();
            return if all.iter().any(Vec::is_empty) {
                Vec::new()
            } else {
                all.concat()
            };
        }
        let mut found = Vec::new();
        if schema["enum"]
            .as_array()
            .is_some_and(|words| !words.contains(value))
        {
            found.push(format!("{at}: {value} is none of {}", schema["enum"]));
        }
        if let Some(pattern) = schema["pattern"].as_str() {
            let regex = regex_lite::Regex::new(pattern).unwrap();
            if !regex.is_match(value.as_str().unwrap_or("")) {
                found.push(format!("{at}: {value} does not match {pattern}"));
            }
        }
        let is = |kind: &Json| match kind.as_str() {
            Some("string") => value.is_string(),
            Some("number") => value.is_number(),
            Some("integer") => value.is_i64(),
            Some("boolean") => value.is_boolean(),
            Some("array") => value.is_array(),
            Some("object") => value.is_object(),
            _ => false,
        };
        let good = match &schema["type"] {
            Json::Null => true,
            Json::Array(kinds) => kinds.iter().any(is),
            kind => is(kind),
        };
        if !good {
            found.push(format!("{at}: {value} is not {}", schema["type"]));
        }
        for (index, item) in value.as_array().into_iter().flatten().enumerate() {
            found.extend(faults(item, &schema["items"], root, &format!("{at}/{index}")));
        }
        for (key, member) in value.as_object().into_iter().flatten() {
            let at = format!("{at}/{key}");
            match (&schema["properties"][key], &schema["additionalProperties"]) {
                (Json::Null, Json::Bool(false)) => found.push(format!("{at}: there is no such field")),
                (Json::Null, others) => found.extend(faults(member, others, root, &at)),
                (known, _) => found.extend(faults(member, known, root, &at)),
            }
        }
        for name in schema["required"].as_array().into_iter().flatten() {
            if value.is_object() && value.get(name.as_str().unwrap()).is_none() {
                found.push(format!("{at}: {name} is missing"));
            }
        }
        found
    }

    fn schema_of(kind: &str) -> Json {
        let (_, text) = all()
            .into_iter()
            .find(|(name, _)| name == &format!("{kind}.json"))
            .unwrap();
        serde_json::from_str(&text).unwrap()
    }

    fn value(text: &str) -> Json {
        let node = yaml::parse(0, text, &mut super::super::diagnostic::Report::default()).unwrap();
        super::super::json::value(&node).unwrap()
    }

    #[test]
    fn what_the_reference_shows_fits_its_schema() {
        let page = fs::read_to_string(root().join("docs/policy.md")).unwrap();
        let mut checked = 0;
        for block in page.split("```yaml\n# ").skip(1) {
            let (path, rest) = block.split_once('\n').unwrap();
            let parts: Vec<&str> = path.split('/').collect();
            let kind = match parts.as_slice() {
                ["gateway.yaml"] => "gateway",
                ["apis", _, "api.yaml"] => "apis",
                ["apis", ..] | [] => continue,
                [kind, ..] => kind,
            };
            let schema = schema_of(kind);
            let found = faults(&value(rest.split("```").next().unwrap()), &schema, &schema, path);
            assert_eq!(found, Vec::<String>::new());
            checked += 1;
        }
        assert!(checked > 12);
    }

    #[test]
    fn what_is_wrong_does_not_fit() {
        for (kind, text) in [
            ("plans", "plan: gold\nlimitz: []"),
            ("plans", "plan: gold"),
            ("plans", "plan: gold\nlimits: 5"),
            ("plans", "plan: gold\nlimits: [{ rat: 5/s }]"),
            ("plans", "plan: gold\nlimits: []\nprecision: exakt"),
            (
                "models",
                "model: a\nowner: b\ntargets: [{ to: x/y, weight: many }]",
            ),
            (
                "gateway",
                "gateway: a\nenvironments: { dev: { environments: [dev], mokcs: allowed } }",
            ),
        ] {
            let schema = schema_of(kind);
            assert!(
                !faults(&value(text), &schema, &schema, kind).is_empty(),
                "{kind}: {text}"
            );
        }
        for (kind, text) in [
            (
                "plans",
                "plan: gold\nenvironments: [dev]\nlimits: [{ rate: 5/s, environments: [dev] }]",
            ),
            (
                "models",
                "model: a\nowner: 12\ntargets: [x/y, { to: x/y, weight: '${w}' }]\nmax_output_tokens: 1_000",
            ),
        ] {
            let schema = schema_of(kind);
            assert_eq!(faults(&value(text), &schema, &schema, kind), Vec::<String>::new());
        }
    }
}

//! Nodes as JSON, in one canonical spelling: keys sorted, no spaces.

use serde_json::{Map, Number, Value as Json};

use super::yaml::{Node, Value};

/// The JSON value that a node stands for (YAML 1.2 core schema); nothing if it has none.
pub(crate) fn value(node: &Node) -> Option<Json> {
    Some(match &node.value {
        Value::Scalar { text, plain: false } => Json::from(text.as_str()),
        Value::Scalar { text, plain: true } => plain(node, text)?,
        Value::List(items) => Json::Array(items.iter().map(value).collect::<Option<_>>()?),
        Value::Map(entries) => {
            let mut pairs = entries
                .iter()
                .map(|(key, item)| Some((key.text()?.to_owned(), value(item)?)))
                .collect::<Option<Vec<_>>>()?;
            // Sorted here too, in case a build makes `Map` keep the order of insertion.
            pairs.sort_by(|(a, _), (b, _)| a.cmp(b));
            Json::Object(pairs.into_iter().collect::<Map<_, _>>())
        }
    })
}

/// As [`value`], of what is compared and never sent on: what JSON has no value for is its text, and what has no key is
/// left out.
pub(crate) fn told(node: &Node) -> Json {
    match &node.value {
        Value::Scalar { text, .. } => value(node).unwrap_or_else(|| Json::from(text.as_str())),
        Value::List(items) => Json::Array(items.iter().map(told).collect()),
        Value::Map(entries) => {
            let pairs = entries
                .iter()
                .filter_map(|(key, item)| Some((key.text()?.to_owned(), told(item))));
            Json::Object(pairs.collect())
        }
    }
}

fn plain(node: &Node, text: &str) -> Option<Json> {
    if node.is_null() {
        return Some(Json::Null);
    }
    match text {
        "true" | "True" | "TRUE" => return Some(Json::Bool(true)),
        "false" | "False" | "FALSE" => return Some(Json::Bool(false)),
        _ => {}
    }
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let radix = |prefix: &str, radix| {
        digits
            .strip_prefix(prefix)
            .and_then(|rest| u64::from_str_radix(rest, radix).ok())
    };
    if let Some(number) = radix("0x", 16).or_else(|| radix("0o", 8)) {
        return Some(Json::from(number));
    }
    let starts_as_number = digits
        .strip_prefix('.')
        .unwrap_or(digits)
        .starts_with(|c: char| c.is_ascii_digit());
    if !starts_as_number {
        return match digits {
            // JSON has no such numbers.
            ".inf" | ".Inf" | ".INF" | ".nan" | ".NaN" | ".NAN" => None,
            _ => Some(Json::from(text)),
        };
    }
    let bare = text.strip_prefix('+').unwrap_or(text);
    if let Ok(number) = bare.parse::<i64>() {
        return Some(Json::from(number));
    }
    if let Ok(number) = bare.parse::<u64>() {
        return Some(Json::from(number));
    }
    let number_like = bare.bytes().all(|b| b.is_ascii_digit() || b"+-.eE".contains(&b));
    let number = number_like
        .then(|| bare.parse::<f64>().ok())
        .flatten()
        .and_then(Number::from_f64);
    Some(number.map_or_else(|| Json::from(text), Json::Number))
}

/// The text of a JSON value.
pub(crate) fn text(value: &Json) -> String {
    // `Display` of a JSON value cannot fail.
    value.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::diagnostic::Report;

    #[test]
    fn scalars_mean_what_yaml_1_2_says() {
        for (yaml, expected) in [
            ("yes", "\"yes\""),
            ("no", "\"no\""),
            ("on", "\"on\""),
            ("true", "true"),
            ("\"true\"", "\"true\""),
            ("012", "12"),
            ("0o17", "15"),
            ("0x1F", "31"),
            ("1.50", "1.5"),
            ("1e3", "1000.0"),
            ("1.2.3", "\"1.2.3\""),
            ("2026-01-01", "\"2026-01-01\""),
            ("12:30", "\"12:30\""),
            ("~", "null"),
            ("{b: 1, a: [x, null]}", "{\"a\":[\"x\",null],\"b\":1}"),
            ("18446744073709551615", "18446744073709551615"),
        ] {
            let mut report = Report::default();
            let file = report.add_file("x".to_owned(), yaml);
            let node = crate::source::yaml::parse(file, yaml, &mut report).unwrap();
            assert_eq!(text(&value(&node).unwrap()), expected, "{yaml}");
        }
    }
}

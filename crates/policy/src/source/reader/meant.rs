//! What people write who mean something that the language has, and writes otherwise.

use super::super::declare::Shape;
use super::super::reference;
use super::super::yaml::Node;
use super::is_plain;

/// A record that was written as one text: how it is written.
pub(super) fn record(shape: &Shape, node: &Node) -> Option<String> {
    let text = node.text().filter(|_| !node.is_null())?;
    match shape.name {
        "expect" if text.len() == 3 && text.bytes().all(|b| b.is_ascii_digit()) => {
            Some(format!("write `{{ status: {text} }}`"))
        }
        "request" => {
            let (method, target) = text.split_once(' ')?;
            let method = method.to_ascii_lowercase();
            let known = shape.fields.iter().any(|field| field.name == method);
            (known && is_plain(target)).then(|| format!("write `{{ {method}: {target} }}`"))
        }
        _ => None,
    }
}

/// A name that belongs into another record, and looks like the beginning of one that belongs here: `upstream` of a
/// version, not `upstream_headers`.
pub(super) fn is_elsewhere(shape: &Shape, name: &str, near: &str) -> bool {
    let begins = near.strip_prefix(name).is_some_and(|rest| rest.starts_with('_'));
    begins && reference::holders(shape, name).is_some()
}

/// What would help where a field is unknown and none is near it, beside the fields that there are.
pub(super) fn field(shape: &Shape, name: &str, value: &Node) -> Option<String> {
    if is_rest_of_number(name) && value.is_null() {
        let help = "in `{ }` and `[ ]` a comma ends a value: write `1_000_000` for a million";
        return Some(help.to_owned());
    }
    if is_of_request(shape, name) {
        return Some("the method is the field, and its value the path: `get: /petstore/v1/pets`".to_owned());
    }
    None
}

/// Whether a request is written with fields for its method and its path.
pub(super) fn is_of_request(shape: &Shape, name: &str) -> bool {
    shape.name == "request" && ["method", "path", "url"].contains(&name)
}

/// Whether a key is what follows a comma in a number: `000/month`.
fn is_rest_of_number(name: &str) -> bool {
    let digits = name.bytes().take_while(u8::is_ascii_digit).count();
    digits == 3 && !name.as_bytes().get(3).is_some_and(u8::is_ascii_alphanumeric)
}

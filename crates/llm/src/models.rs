//! The list of models, as `GET /v1/models` and `GET /v1/models/{model}` answer it.
//!
//! Source: `OpenAI` API reference, "Models".

use crate::json;

/// The body of the list of models, each given by its name and who answers for it.
pub fn list<'a>(models: impl IntoIterator<Item = (&'a str, &'a str)>) -> Vec<u8> {
    let mut out = br#"{"object":"list","data":["#.to_vec();
    for (index, (id, owned_by)) in models.into_iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write(id, owned_by, &mut out);
    }
    out.extend_from_slice(b"]}");
    out
}

/// The body of one model.
pub fn one(id: &str, owned_by: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(96);
    write(id, owned_by, &mut out);
    out
}

/// `created` must be there and is not known: 0.
fn write(id: &str, owned_by: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(br#"{"id":"#);
    json::push_string(out, id);
    out.extend_from_slice(br#","object":"model","created":0,"owned_by":"#);
    json::push_string(out, owned_by);
    out.push(b'}');
}

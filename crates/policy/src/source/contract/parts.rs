//! What an operation says around its schemas, field by field.

use serde_json::Value as Json;

use super::Weight;
use super::call::{self, Part};
use super::callbacks;
use super::flat::Document;
use super::schema::{Walk, Way};
use super::security;
use super::servers;
use crate::Operation;

/// Compares an operation in two documents.
pub(super) fn operation<'d>((old, new): (&'d Operation, &'d Operation), walk: &mut Walk<'d, '_>) {
    let (Some(was), Some(is)) = (find(walk.old, old), find(walk.new, new)) else {
        return;
    };
    let both = (&was, &is);
    walk.at("parameters");
    call::parameters(both, Way::Request, "", walk);
    walk.at("requestBody");
    // Media types that come or go are a rule of the gateway, and compared there.
    call::body(both, Way::Request, None, "", walk);
    walk.at("responses");
    call::answers(both, Way::Response, "", walk);
    walk.at("callbacks");
    callbacks::compare(both, Way::Response, "", walk);
    walk.at("security");
    security::compare(both, walk);
    walk.at("servers");
    servers::compare(both, walk);
    if was.operation.get("deprecated") != is.operation.get("deprecated")
        && is.operation.get("deprecated") == Some(&Json::Bool(true))
    {
        walk.at("deprecated");
        walk.add(Weight::Safe, "is deprecated in its document");
    }
}

fn find<'d>(document: Document<'d>, operation: &'d Operation) -> Option<Part<'d>> {
    let item = document.0.get("paths")?.get(&operation.path)?;
    let item = document.follow(item);
    let method = operation.method.name().to_ascii_lowercase();
    Some(Part {
        path: &operation.path,
        item,
        operation: item.get(&method)?,
    })
}

//! Parameters: what one must say, and which of them reach an upstream.

use std::collections::BTreeMap;

use super::super::declare::unknown_word;
use super::super::diagnostic::{Code, Report, Span};
use super::super::reader::Scalar;
use super::super::scalars::Header;
use super::super::secrets::quote;
use super::super::yaml::{Node, Value};
use super::{Document, grammar};

/// The places that a parameter may have.
const PLACES: [&str; 4] = ["query", "header", "path", "cookie"];

/// One parameter must say its name and its place; one of the path is always required.
pub(super) fn parameter(_: &Document<'_>, parameter: &Node, report: &mut Report) {
    let (name, place) = (parameter.get("name"), parameter.get("in"));
    let lacks =
        |field, value: Option<&Node>| value.is_none() && !grammar::PARAMETER.misspelt(parameter, field);
    if lacks("name", name) || lacks("in", place) {
        report
            .error(
                Code::MalformedDocument,
                parameter.span,
                "a parameter has `name` and `in`",
            )
            .help("write for example `name: limit` and `in: query`");
    }
    if let Some(name) = name.filter(|name| name.text().is_none_or(str::is_empty) || name.is_null()) {
        report
            .error(
                Code::MalformedDocument,
                name.span,
                format!("the name of a parameter is text, this is {}", name.kind()),
            )
            .help("write for example `name: limit`");
    }
    let Some(place) = place else { return };
    let expects = "`query`, `header`, `path` or `cookie`";
    let Some(text) = place.text().filter(|_| !place.is_null()) else {
        let message = format!("expected {expects}, found {}", place.kind());
        report
            .error(Code::WrongType, place.span, message)
            .help("write for example `in: query`");
        return;
    };
    if !PLACES.contains(&text) {
        let fault = unknown_word(text, expects, &PLACES, &[]);
        let help = match (text, fault.help) {
            ("body" | "formData", _) => "OpenAPI 3 has `requestBody` beside `parameters` for it".to_owned(),
            (_, Some(near)) => near,
            (_, None) => "the request body is no parameter: it is `requestBody`".to_owned(),
        };
        report.error(fault.code, place.span, fault.message).help(help);
    }
    if text == "path" {
        required(parameter, name, report);
    }
}

/// A path parameter is there whenever its path is (OpenAPI 3.1.1, 4.8.12.2).
fn required(parameter: &Node, name: Option<&Node>, report: &mut Report) {
    let said = parameter.get("required");
    let is_true = |node: &Node| matches!(&node.value, Value::Scalar { text, plain: true } if text == "true");
    if said.is_some_and(is_true) || grammar::PARAMETER.misspelt(parameter, "required") {
        return;
    }
    let shown = name
        .and_then(Node::text)
        .map_or_else(String::new, |name| format!(" {}", quote(name)));
    let span = said.or(name).map_or(parameter.span, |node| node.span);
    report
        .error(
            Code::MalformedDocument,
            span,
            format!("the path parameter{shown} is not `required: true`"),
        )
        .help("write `required: true`: the path does not match without it");
}

/// No parameter may be listed twice; one of an operation overrides that of its path.
pub(super) fn listed_twice(document: &Document<'_>, owner: &Node, report: &mut Report) {
    let mut seen: BTreeMap<(&str, String), Span> = BTreeMap::new();
    for item in owner.get("parameters").map(Node::items).unwrap_or_default() {
        let Some((place, name)) = document.try_resolve(item).ok().and_then(identity) else {
            continue;
        };
        // Names of headers are compared without regard to case (RFC 9110, 5.1).
        let folded = if place == "header" {
            name.to_ascii_lowercase()
        } else {
            name.to_owned()
        };
        if let Some(first) = seen.get(&(place, folded.clone())) {
            report
                .error(
                    Code::Repeated,
                    item.span,
                    format!("the {place} parameter {} is listed twice", quote(name)),
                )
                .label(*first, "first listed here")
                .help("remove one: a parameter is known by its name and its place");
        } else {
            seen.insert((place, folded), item.span);
        }
    }
}

/// The place and the name by which a parameter is known.
pub(super) fn identity(parameter: &Node) -> Option<(&str, &str)> {
    Some((parameter.get("in")?.text()?, parameter.get("name")?.text()?))
}

/// Header parameters, and query parameters, of an operation.
pub(super) type Names = (Vec<(String, Span)>, Vec<String>);

/// The names of header and query parameters, those of the path's item included.
pub(super) fn forwarded(
    document: &Document<'_>,
    item: &Node,
    operation: &Node,
    report: &mut Report,
) -> Names {
    let mut headers: BTreeMap<String, Span> = BTreeMap::new();
    let mut query: BTreeMap<String, Span> = BTreeMap::new();
    let lists = [item.get("parameters"), operation.get("parameters")];
    for parameter in lists.into_iter().flatten().flat_map(Node::items) {
        let Some(parameter) = document.resolve(parameter, report) else {
            continue;
        };
        // What has no name or no place was reported as the document was checked.
        let (Some((place, text)), Some(name)) = (identity(parameter), parameter.get("name")) else {
            continue;
        };
        match place {
            "header" => match Header::parse(text) {
                Ok(header) => {
                    headers.insert(header.0, name.span);
                }
                Err(fault) => {
                    report
                        .error(fault.code, name.span, fault.message)
                        .maybe_help(fault.help);
                }
            },
            "query" => {
                query.insert(text.to_owned(), name.span);
            }
            "cookie" => {
                report
                    .warning(
                        Code::NotPublished,
                        name.span,
                        format!("the cookie {} never reaches an upstream", quote(text)),
                    )
                    .help("remove it from the document to be rid of this warning");
            }
            _ => {}
        }
    }
    (headers.into_iter().collect(), query.into_keys().collect())
}

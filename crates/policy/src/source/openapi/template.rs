//! Path templates: what can be routed, and whether the parameters are those of the path.

use std::collections::BTreeSet;

use super::super::diagnostic::{Code, Report, Span};
use super::super::names::nearest;
use super::super::secrets::quote;
use super::super::yaml::{Node, Value};
use super::grammar::{self, Kind};
use super::{Document, parameters};

/// How long a path may be. A platform's URL has at most 16 KiB, and the tree of paths is walked.
const MAX_PATH: usize = 1024;
const MAX_SEGMENTS: usize = 32;

/// Checks a path template; reports what the gateway cannot route.
pub(super) fn check_template(path: &str, span: Span, report: &mut Report) -> bool {
    let mut fault = |message: String, help: &str| {
        report.error(Code::BadTemplate, span, message).help(help);
        false
    };
    let Some(rest) = path.strip_prefix('/') else {
        return fault(
            format!("the path {} does not begin with `/`", quote(path)),
            "write `/` before it",
        );
    };
    if rest.is_empty() {
        return true;
    }
    if path.len() > MAX_PATH || rest.split('/').count() > MAX_SEGMENTS {
        return fault(
            "the path is too long to be routed".to_owned(),
            "a path has at most 1024 bytes and 32 segments",
        );
    }
    let mut seen = Vec::new();
    for segment in rest.split('/') {
        if segment.is_empty() {
            return fault(
                format!("the path {} has an empty segment", quote(path)),
                "a path has no `//` and does not end with `/`: those are other paths to some servers and the same to others",
            );
        }
        let inner = segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
        if let Some(name) = inner.filter(|name| !name.is_empty() && !name.contains(['{', '}'])) {
            if seen.contains(&name) {
                return fault(
                    format!("{} occurs twice in {}", quote(name), quote(path)),
                    "give each parameter its own name",
                );
            }
            seen.push(name);
            continue;
        }
        if segment.contains(['{', '}']) {
            return fault(
                format!("the parameter in {} is not a whole segment", quote(segment)),
                "a parameter stands for a whole segment, as in `/pets/{petId}`",
            );
        }
        let good = |b: u8| b.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@".contains(&b);
        if matches!(segment, "." | "..") || !segment.bytes().all(good) {
            return fault(
                format!("the segment {} cannot be routed", quote(segment)),
                "literal segments are letters, digits and `-._~!$&'()*+,;=:@`, never `.` or `..`",
            );
        }
    }
    true
}

/// The methods of a path item, those included that the gateway answers itself.
const METHODS: [&str; 8] = [
    "get", "put", "post", "delete", "options", "head", "patch", "trace",
];

/// The path parameters that a path item, or one of its operations, declares.
#[derive(Default)]
struct Declared<'n> {
    names: Vec<(&'n str, Span)>,
    /// Names of the template that are there, but spelt in another way: one fault, not two.
    meant: BTreeSet<&'n str>,
    /// Some could not be read, and that was reported.
    unclear: bool,
}

impl Declared<'_> {
    fn has(&self, name: &str) -> bool {
        self.unclear || self.meant.contains(name) || self.names.iter().any(|(known, _)| *known == name)
    }
}

/// Checks that each path declares the parameters of its template, and no others.
pub(super) fn check_parameters(document: &Document<'_>, report: &mut Report) {
    // Two paths with the same operations are an error, and are judged by the first.
    let mut seen = BTreeSet::new();
    for (key, item) in document.root.get("paths").map(Node::entries).unwrap_or_default() {
        let Some(names) = key.text().and_then(names) else {
            continue;
        };
        if let Ok(item) = document.try_resolve(item)
            && seen.insert(std::ptr::from_ref(item))
        {
            check_path(document, (key, &names), item, report);
        }
    }
}

/// The names in a template; nothing if it cannot be routed, which is reported elsewhere.
fn names(path: &str) -> Option<Vec<&str>> {
    let path = path.strip_prefix('/').filter(|path| path.len() < MAX_PATH)?;
    let names: Vec<_> = path
        .split('/')
        .take(MAX_SEGMENTS)
        .filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'))
        .collect();
    let whole = path.matches(['{', '}']).count() == names.len() * 2;
    let unique = names.iter().collect::<BTreeSet<_>>().len() == names.len();
    (whole && unique).then_some(names)
}

fn check_path<'d>(
    document: &Document<'d>,
    (key, names): (&Node, &[&'d str]),
    item: &'d Node,
    report: &mut Report,
) {
    let path = key.text().unwrap_or("");
    let mut shared = declared(document, item, &grammar::PATH_ITEM);
    let free: Vec<_> = names.iter().copied().filter(|name| !shared.has(name)).collect();
    strangers(document, &mut shared, path, names, &free, report);
    let mut operations = Vec::new();
    for (method, operation) in item.entries() {
        if method.text().is_some_and(|method| METHODS.contains(&method)) {
            let mut own = declared(document, operation, &grammar::OPERATION);
            strangers(document, &mut own, path, names, &free, report);
            operations.push((method.span, own));
        }
    }
    for name in names.iter().filter(|name| !shared.has(name)) {
        let without: Vec<Span> = operations
            .iter()
            .filter(|(_, own)| !own.has(name))
            .map(|(span, _)| *span)
            .collect();
        // What every operation lacks is missing from the path.
        let places = if !without.is_empty() && without.len() == operations.len() {
            vec![key.span]
        } else {
            without
        };
        for span in places {
            let shown = quote(name);
            report
                .error(
                    Code::PathParameters,
                    span,
                    format!("the path parameter {shown} is not declared"),
                )
                .help(format!(
                    "write under `parameters` of the path: `{{ name: {}, in: path, required: true, schema: {{ type: string }} }}`",
                    shown.trim_matches('`')
                ));
        }
    }
}

/// Reports declared parameters that the template does not have.
fn strangers<'n>(
    document: &Document<'n>,
    declared: &mut Declared<'n>,
    path: &str,
    names: &[&'n str],
    free: &[&'n str],
    report: &mut Report,
) {
    for (name, span) in &declared.names {
        if names.contains(name) {
            continue;
        }
        let compared = document.may_compare(free.len());
        let near = compared.then(|| nearest(name, free.iter().copied())).flatten();
        declared.meant.extend(near);
        let help = match near {
            Some(near) => format!("did you mean {}?", quote(near)),
            None => {
                "write it in the path, in braces and as a whole segment, or remove the parameter".to_owned()
            }
        };
        let message = format!("the path {} has no parameter {}", quote(path), quote(name));
        report.error(Code::PathParameters, *span, message).help(help);
    }
}

fn declared<'n>(document: &Document<'n>, owner: &'n Node, kind: &Kind) -> Declared<'n> {
    let mut found = Declared {
        unclear: kind.misspelt(owner, "parameters"),
        ..Declared::default()
    };
    let Some(list) = owner.get("parameters") else {
        return found;
    };
    found.unclear |= !matches!(list.value, Value::List(_));
    for item in list.items() {
        let parameter = document.try_resolve(item).ok();
        match parameter.and_then(parameters::identity) {
            Some(("path", name)) => {
                let inline = parameter.and_then(|parameter| parameter.get("name"));
                let place = item.get("$ref").or(inline);
                let span = place.map_or(item.span, |place| place.span);
                found.names.push((name, span));
            }
            Some(("query" | "header" | "cookie", _)) => {}
            _ => found.unclear = true,
        }
    }
    found
}

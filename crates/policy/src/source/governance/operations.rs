//! What documents tell about operations: that they say what callers need to know.

use std::collections::BTreeSet;

use super::super::diagnostic::{Code, Span};
use super::super::openapi::media_type;
use super::super::secrets::quote;
use super::super::yaml::Node;
use super::documents::{Described, Opened};
use super::notes::Notes;

/// Words for methods; `get` and the like in a path say twice what the method says.
const VERBS: [&str; 10] = [
    "get", "put", "post", "patch", "delete", "create", "update", "remove", "fetch", "list",
];

pub(super) fn judge(opened: &Opened<'_>, notes: &mut Notes) {
    let info = opened.root.get("info");
    if info.is_none_or(|info| info.get("description").is_none() && info.get("summary").is_none()) {
        let at = info.map_or(opened.root.span, |info| info.span);
        notes
            .say(
                Code::NoDocumentDescription,
                at,
                "the document does not say what it is about",
            )
            .help("write `description` under `info`");
    }
    let tags = opened.root.get("tags").map(Node::items).unwrap_or_default();
    let tags: BTreeSet<&str> = tags.iter().filter_map(|tag| tag.get("name")?.text()).collect();
    let mut silent = Silent::default();
    let mut missing = BTreeSet::new();
    let mut kinds = BTreeSet::new();
    for operation in &opened.operations {
        charsets(operation, &mut kinds, notes);
        described(operation, notes);
        answers(operation, &mut silent, notes);
        body(operation, notes);
        for tag in operation.node.get("tags").map(Node::items).unwrap_or_default() {
            // Once for each tag, however many operations have it.
            if let Some(name) = tag
                .text()
                .filter(|name| !tags.contains(name) && missing.insert(*name))
            {
                notes
                    .say(
                        Code::UnknownTag,
                        tag.span,
                        format!("the document lists no tag {}", quote(name)),
                    )
                    .help(format!(
                        "write `tags: [{{ name: {name}, description: ... }}]` in the document"
                    ));
            }
        }
    }
    silent.say(notes);
    parameters(opened, notes);
    paths(opened, notes);
}

fn described(operation: &Described<'_>, notes: &mut Notes) {
    let says = |field| {
        operation
            .node
            .get(field)
            .and_then(Node::text)
            .is_some_and(|text| !text.trim().is_empty())
    };
    if !says("summary") && !says("description") {
        notes
            .say(
                Code::NoDescription,
                operation.at,
                format!("{} has neither a summary nor a description", operation.shown()),
            )
            .help("say in a line what it does: `summary: All pets, a page at a time.`");
    }
    if let Some(id) = operation.node.get("operationId") {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
        if id.text().is_some_and(|text| !text.bytes().all(plain)) {
            notes
                .say(
                    Code::IdStyle,
                    id.span,
                    format!("{} must be encoded in a URL", operation.shown()),
                )
                .help("use letters, digits, `-`, `.` and `_`");
        }
    }
}

/// What operations do not describe of the answers that they may get.
#[derive(Default)]
struct Silent {
    unauthorized: Vec<Span>,
    too_many: Vec<Span>,
    server: Vec<Span>,
    /// Answers that are described, and not as problem details.
    others: BTreeSet<Span>,
}

impl Silent {
    fn say(&self, notes: &mut Notes) {
        let others: Vec<Span> = self.others.iter().copied().collect();
        notes
            .say_once(Code::NotProblem, &others, |count| {
                format!("errors are not described as problem details in {count}")
            })
            .help("write `content: { application/problem+json: { schema: ... } }` (RFC 9457)");
        notes
            .say_once(Code::NoUnauthorized, &self.unauthorized, |count| {
                format!("the answer to a caller that is not known (401) is not described in {count}")
            })
            .help("describe 401 or `default`: the gateway answers it with problem details");
        notes
            .say_once(Code::NoTooMany, &self.too_many, |count| {
                format!("the answer to a caller over its limits (429) is not described in {count}")
            })
            .help("describe 429 or `default`: the gateway answers it with `Retry-After`");
        notes
            .say_once(Code::NoServerError, &self.server, |count| {
                format!("the answer when something fails (5xx) is not described in {count}")
            })
            .help("describe 500, `5XX` or `default`");
    }
}

fn answers(operation: &Described<'_>, silent: &mut Silent, notes: &mut Notes) {
    let has = |class: char| {
        operation
            .responses
            .iter()
            .any(|(status, _)| status.starts_with(class))
    };
    let any = |wanted: &str| operation.responses.iter().any(|(status, _)| *status == wanted);
    let other = any("default");
    let at = operation
        .node
        .get("responses")
        .map_or(operation.at, |_| operation.at);
    if !has('2') && !has('3') && !has('1') {
        notes
            .say(
                Code::NoSuccess,
                at,
                format!("{} describes no successful answer", operation.shown()),
            )
            .help("describe it under `responses`, for example `200`");
    }
    if !has('4') && !other {
        notes
            .say(
                Code::NoClientError,
                at,
                format!("{} describes no answer to a wrong request", operation.shown()),
            )
            .help("describe 400, `4XX` or `default` under `responses`");
    }
    let open = operation
        .published
        .is_some_and(|published| published.open_until.is_some());
    if !any("401") && !any("4XX") && !any("4xx") && !other && !open {
        silent.unauthorized.push(at);
    }
    if !any("429") && !any("4XX") && !any("4xx") && !other {
        silent.too_many.push(at);
    }
    if !has('5') && !other {
        silent.server.push(at);
    }
    for (status, response) in &operation.responses {
        let content = response.get("content").map(Node::entries).unwrap_or_default();
        if content.is_empty() {
            continue;
        }
        let error = status.starts_with(['4', '5']) || *status == "default";
        let problem = |(kind, _): &(Node, Node)| {
            let kind = kind.text().and_then(media_type);
            kind.is_some_and(|kind| kind == "application/problem+json" || kind == "application/problem+xml")
        };
        if error && !content.iter().any(problem) {
            silent.others.insert(response.span);
        }
        if let Some((kind, _)) = content
            .iter()
            .find(|(_, media)| !error && is_json(media, content) && media.get("schema").is_none())
        {
            notes
                .say(
                    Code::AnswerWithoutSchema,
                    kind.span,
                    format!(
                        "the answer {} of {} has no schema",
                        quote(status),
                        operation.shown()
                    ),
                )
                .help("write `schema` beside the examples");
        }
    }
}

/// Whether a media type is one that a schema describes.
fn is_json(media: &Node, content: &[(Node, Node)]) -> bool {
    let kind = content.iter().find(|(_, value)| std::ptr::eq(value, media));
    let kind = kind.and_then(|(key, _)| media_type(key.text()?));
    kind.is_some_and(|kind| kind.ends_with("/json") || kind.ends_with("+json"))
}

fn body(operation: &Described<'_>, notes: &mut Notes) {
    let Some(body) = operation.body else { return };
    if matches!(operation.method, "get" | "delete") {
        let at = operation
            .node
            .get("requestBody")
            .map_or(operation.at, |node| node.span);
        notes
            .say(
                Code::BodyOfReader,
                at,
                format!(
                    "{} has a request body, which {} gives no meaning",
                    operation.shown(),
                    operation.method.to_uppercase()
                ),
            )
            .help("use parameters, or `post`");
    }
    for (kind, media) in body.get("content").map(Node::entries).unwrap_or_default() {
        let json = kind.text().and_then(media_type);
        let json = json.is_some_and(|kind| kind.ends_with("/json") || kind.ends_with("+json"));
        let empty = media
            .get("schema")
            .is_none_or(|schema| schema.entries().is_empty());
        if json && empty {
            notes
                .say(
                    Code::BodyWithoutSchema,
                    kind.span,
                    format!("the request body of {} has no schema", operation.shown()),
                )
                .help("write `schema`, at least `{ type: object }`");
        }
    }
}

/// Media types that say how text is written, and not as it is read here; `seen` are those that were looked at.
fn charsets(operation: &Described<'_>, seen: &mut BTreeSet<Span>, notes: &mut Notes) {
    let responses = operation.responses.iter().map(|(_, response)| *response);
    let bodies = operation.body.into_iter().chain(responses);
    for (kind, _) in bodies
        .filter_map(|body| body.get("content"))
        .flat_map(Node::entries)
    {
        let Some(charset) = kind.text().and_then(charset) else {
            continue;
        };
        if charset != "utf-8" && charset != "us-ascii" && seen.insert(kind.span) {
            notes
                .say(
                    Code::ForeignCharset,
                    kind.span,
                    format!("{} is not text in UTF-8", quote(kind.text().unwrap_or_default())),
                )
                .help("leave `charset` out, and let what is behind the gateway speak UTF-8");
        }
    }
}

/// The character set that a media type names, in lower case.
fn charset(kind: &str) -> Option<String> {
    let mut parameters = kind.split(';').skip(1).filter_map(|one| one.split_once('='));
    let (_, value) = parameters.find(|(name, _)| name.trim().eq_ignore_ascii_case("charset"))?;
    let value = value.trim().trim_matches('"').to_ascii_lowercase();
    // As many write it.
    Some(if value == "utf8" {
        "utf-8".to_owned()
    } else {
        value
    })
}

fn parameters(opened: &Opened<'_>, notes: &mut Notes) {
    let mut seen = BTreeSet::new();
    let mut silent = Vec::new();
    for parameter in opened
        .operations
        .iter()
        .flat_map(|operation| &operation.parameters)
    {
        if parameter.get("description").is_none() && seen.insert(parameter.span) {
            silent.push(parameter.span);
        }
    }
    notes
        .say_once(Code::NoParameterDescription, &silent, |count| {
            format!("parameters have no description in {count}")
        })
        .help("say what it is, its unit, and what leaving it out means");
}

fn paths(opened: &Opened<'_>, notes: &mut Notes) {
    let mut seen = BTreeSet::new();
    for operation in &opened.operations {
        if !seen.insert(operation.path_at) {
            continue;
        }
        let literals = || {
            operation
                .path
                .split('/')
                .filter(|segment| !segment.starts_with('{'))
        };
        let verb = literals().find(|segment| {
            let lower = segment.to_ascii_lowercase();
            // Alone, `list`, `post` and `patch` may name a thing.
            VERBS.iter().any(|verb| lower == *verb && !matches!(*verb, "list" | "post" | "patch"))
                // `getPet`, `get-pet` and `get_pet`, but not `listings` or `postcards`.
                || VERBS.iter().any(|verb| {
                    segment.strip_prefix(verb).is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_uppercase() || "-_".contains(c)))
                })
        });
        if let Some(verb) = verb {
            notes
                .say(
                    Code::VerbInPath,
                    operation.path_at,
                    format!("{} says what is done, as the method does", quote(verb)),
                )
                .help("name the thing: `POST /pets` instead of `/createPet`");
        }
        if let Some(segment) =
            literals().find(|segment| segment.contains(|c: char| c.is_ascii_uppercase() || c == '_'))
        {
            notes
                .say(
                    Code::PathStyle,
                    operation.path_at,
                    format!("{} has upper case letters or underscores", quote(segment)),
                )
                .help("write lower case words with `-` between them");
        }
    }
}

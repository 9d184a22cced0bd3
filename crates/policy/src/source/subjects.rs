//! Whom a limit counts separately: the caller, what is called, or what the caller's token or request says.

use std::collections::BTreeMap;

use super::compile::Checker;
use super::containers::List;
use super::declare::{Shape, choice, record};
use super::diagnostic::{Code, Span};
use super::headers::never_forwarded;
use super::limits::LimitFields;
use super::reader::{Read, Reader, Scalar, Spanned};
use super::scalars::{Header, Token};
use super::schema;
use super::yaml::{Node, Value};
use crate::{Limit, LimitKind, SubjectPart, Unit};

/// What a limit counts separately.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Subject(Vec<SubjectPart>);

/// One part of it, as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Part(SubjectPart);

/// One part of it that is a word.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Word(SubjectPart);

choice!(Word: "consumer" => Self(SubjectPart::Consumer), "credential" => Self(SubjectPart::Credential),
    "address" => Self(SubjectPart::Address), "api" => Self(SubjectPart::Api),
    "operation" => Self(SubjectPart::Operation), "model" => Self(SubjectPart::Model),
    "upstream" => Self(SubjectPart::Upstream));

record! {
    /// What a limit counts separately that is named: a `claim` or a `header`.
    NamedPart = "subject" {
        /// A claim of the caller's token. Texts, numbers and booleans are told apart; callers whose token
        /// has none, or something else there, are counted together, and so are all API keys.
        claim: optional Token,
        /// A header of the request; requests without it are counted together. A client chooses it, so
        /// beside such a limit there must be one without.
        header: optional Header,
    }
}

impl Read for Part {
    fn expects() -> String {
        format!(
            "{}, or a map (subject)",
            <Word as Scalar>::EXPECTS.replace(" or `", ", `")
        )
    }

    fn schema() -> serde_json::Value {
        schema::either([<Word as Scalar>::schema(), NamedPart::schema()])
    }

    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        if !matches!(node.value, Value::Map(_)) {
            return Word::read(node, reader).map(|word| Self(word.0));
        }
        let named = NamedPart::read(node, reader)?;
        match (named.claim, named.header) {
            (Some(claim), None) => Some(Self(SubjectPart::Claim(claim.value.0))),
            (None, Some(header)) => {
                if let Some(why) = never_forwarded(&header.0) {
                    let message = format!("`{}` is not counted: {why}", header.0);
                    reader
                        .report
                        .error(Code::BadHeader, header.span, message)
                        .help("count by `credential` or `address`, or by a header of your own");
                    return None;
                }
                Some(Self(SubjectPart::Header(header.value.0)))
            }
            (Some(_), Some(header)) => {
                reader
                    .report
                    .error(Code::Conflict, header.span, "one part is a `claim` or a `header`")
                    .help("write `[{ claim: .. }, { header: .. }]` to count each combination");
                None
            }
            (None, None) => {
                if !reader.reported_within(node.span) {
                    reader
                        .report
                        .error(Code::MissingField, node.span, "expected a `claim` or a `header`")
                        .help("write for example `{ claim: tenant }`");
                }
                None
            }
        }
    }

    fn shapes(out: &mut Vec<&'static Shape>) {
        NamedPart::shapes(out);
    }
}

impl Read for Subject {
    fn expects() -> String {
        format!("{}, or a list of them", Part::expects())
    }

    fn schema() -> serde_json::Value {
        schema::either([Part::schema(), List::<Part>::schema()])
    }

    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        if !matches!(node.value, Value::List(_)) {
            return Part::read(node, reader).map(|part| Self(vec![part.0]));
        }
        let list = List::<Part>::read(node, reader)?;
        if list.0.is_empty() && !reader.reported_within(node.span) {
            reader
                .report
                .error(Code::EmptyList, node.span, "a limit counts something")
                .help("write `subject: consumer`, or leave it out");
        }
        let mut parts = BTreeMap::new();
        for part in list.0 {
            if let Some(first) = parts.insert(part.value.0, part.span) {
                reader
                    .report
                    .error(Code::Repeated, part.span, "this part is there already")
                    .help("remove one of them")
                    .label(first, "here");
            }
        }
        Some(Self(parts.into_keys().collect()))
    }

    fn shapes(out: &mut Vec<&'static Shape>) {
        Part::shapes(out);
    }
}

impl Subject {
    /// Whether calls of an upstream are counted apart.
    pub(crate) fn has_upstream(&self) -> bool {
        self.0.contains(&SubjectPart::Upstream)
    }
}

/// What a limit counts separately, as far as that can ever be.
pub(crate) fn of(
    item: &Spanned<LimitFields>,
    kind: LimitKind,
    prefix: &str,
    checker: &mut Checker,
) -> Vec<SubjectPart> {
    use SubjectPart::{Api, Consumer, Model, Operation};
    let parts = item.subject.as_ref().map_or(&[][..], |subject| &subject.0);
    let mut wrong = |at: Span, message: String, help: &str| {
        checker.report().error(Code::Conflict, at, message).help(help);
    };
    let of_models = matches!(kind, LimitKind::Budget { unit, .. } if unit != Unit::Bytes);
    let (in_api, in_model) = (prefix.starts_with("apis/"), prefix.starts_with("models/"));
    let models = item.models.as_ref().filter(|models| !models.0.is_empty());
    if let Some(at) = item.subject.as_ref().map(|subject| subject.span) {
        for part in parts {
            let never = match part {
                Model => in_api,
                Api | Operation => in_model || of_models || models.is_some(),
                _ => false,
            };
            if never {
                let word = part_name(part);
                let message = format!("nothing that has a `{word}` is counted here");
                wrong(at, message, &format!("remove `{word}`"));
            }
        }
        if parts.contains(&Api) && parts.contains(&Operation) {
            wrong(at, "an `operation` is of one `api`".to_owned(), "remove `api`");
        }
    }
    if let Some(models) = models.filter(|_| in_api || in_model) {
        wrong(
            models.span,
            "only the limits of a plan have `models`".to_owned(),
            "remove it: this limit is for what it stands in",
        );
    }
    if parts.is_empty() {
        return vec![Consumer];
    }
    parts.to_vec()
}

/// Reports limits by a header that nothing holds up but what the client chose.
pub(crate) fn check_headers(list: &List<LimitFields>, limits: &[Limit], checker: &mut Checker) {
    let by_header = |limit: &Limit| {
        let mut parts = limit.subject.iter();
        parts.any(|part| matches!(part, SubjectPart::Header(_)))
    };
    let mut kept = limits.iter().filter(|limit| !limit.shadow).peekable();
    if kept.peek().is_none() || kept.any(|limit| !by_header(limit)) {
        return;
    }
    let at = list.0.iter().find_map(|item| {
        let subject = item.subject.as_ref()?;
        let named = subject
            .value
            .0
            .iter()
            .any(|part| matches!(part, SubjectPart::Header(_)));
        named.then_some(subject.span)
    });
    if let Some(at) = at {
        checker
            .report()
            .error(
                Code::Conflict,
                at,
                "a client that changes this header begins anew, and no other limit here holds it",
            )
            .help("write a limit without `header` beside it, for example by `consumer`");
    }
}

/// The word for a part.
pub(crate) const fn part_name(part: &SubjectPart) -> &'static str {
    match part {
        SubjectPart::Consumer => "consumer",
        SubjectPart::Credential => "credential",
        SubjectPart::Address => "address",
        SubjectPart::Api => "api",
        SubjectPart::Operation => "operation",
        SubjectPart::Model => "model",
        SubjectPart::Upstream => "upstream",
        SubjectPart::Claim(_) => "claim",
        SubjectPart::Header(_) => "header",
    }
}

//! The claims of tokens: what issuers declare them to be, and which of them something looks at.

use std::collections::{BTreeMap, BTreeSet};

use super::compile::Checker;
use super::containers::Map;
use super::declare::choice;
use super::diagnostic::{Code, Span};
use super::gateway::GatewayFile;
use super::issuers::Issuer;
use super::reader::{Read, Reader, Spanned};
use super::schema;
use super::secrets::quote;
use super::yaml::{Node, Value};
use crate::{Claim, ClaimKind, Compiled, CredentialValue, Handler, Operand, SubjectPart, claim_name};

/// The most claims, and the most headers, that a tree may look at: each is kept with every request.
const MAX_NAMED: usize = 16;
/// The most claims that one issuer declares.
const MAX_DECLARED: usize = 256;
/// How deep in objects a claim may lie.
const MAX_DEPTH: usize = 4;

choice!(ClaimKind: "string" => Self::Text, "number" => Self::Number, "boolean" => Self::Flag,
    "list of strings" => Self::Texts);

/// What an issuer declares: claims by their paths.
#[derive(Clone, Debug, Default)]
pub(crate) struct Claims(Vec<(Vec<String>, Spanned<ClaimKind>)>);

impl Read for Claims {
    fn expects() -> String {
        format!(
            "a map from claims to {}, or to a map of what is in them",
            <ClaimKind as super::reader::Scalar>::EXPECTS
        )
    }

    fn schema() -> serde_json::Value {
        let kind = <ClaimKind as super::reader::Scalar>::schema();
        schema::map(&schema::either([kind, serde_json::json!({ "type": "object" })]))
    }

    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        let mut claims = Vec::new();
        read_level(node, &mut Vec::new(), &mut claims, reader);
        if claims.len() > MAX_DECLARED {
            let message = format!("an issuer declares at most {MAX_DECLARED} claims");
            reader
                .report
                .error(Code::OutOfRange, node.span, message)
                .help("keep those that a condition or an upstream needs");
            return None;
        }
        Some(Self(claims))
    }
}

fn read_level(
    node: &Node,
    path: &mut Vec<String>,
    claims: &mut Vec<(Vec<String>, Spanned<ClaimKind>)>,
    reader: &mut Reader,
) {
    let Value::Map(entries) = &node.value else {
        reader.wrong_type(node, &Claims::expects());
        return;
    };
    let mut seen = BTreeSet::new();
    for (key, value) in entries {
        // What is no text, or is there twice, was reported as the file was read.
        let Some(name) = key.text().filter(|name| seen.insert(*name)) else {
            continue;
        };
        if name.is_empty() || name.len() > 256 || name.chars().any(char::is_control) {
            reader
                .report
                .error(Code::BadText, key.span, "this is not the name of a claim")
                .help("a name has 1 to 256 bytes and no control characters");
            continue;
        }
        if path.is_empty() && matches!(name, "exp" | "nbf" | "iat") {
            reader
                .report
                .error(
                    Code::Conflict,
                    key.span,
                    format!("the gateway checks `{name}` by itself"),
                )
                .help("remove it; `max_lifetime` bounds how long a token lives");
            continue;
        }
        path.push(name.to_owned());
        if matches!(value.value, Value::Map(_)) {
            if path.len() < MAX_DEPTH {
                read_level(value, path, claims, reader);
            } else {
                reader
                    .report
                    .error(
                        Code::TooDeep,
                        value.span,
                        format!("claims lie at most {MAX_DEPTH} deep"),
                    )
                    .help("declare what lies above");
            }
        } else if let Some(kind) = ClaimKind::read(value, reader) {
            claims.push((path.clone(), Spanned::new(kind, key.span)));
        }
        path.pop();
    }
}

/// What all issuers together declare.
#[derive(Clone, Debug, Default)]
pub(crate) struct Declared(BTreeMap<Vec<String>, Declaration>);

#[derive(Clone, Debug)]
struct Declaration {
    kind: ClaimKind,
    /// By whom, as indices into the compiled list.
    issuers: BTreeSet<u32>,
    /// Where first; nothing for what every token has.
    at: Option<Span>,
}

impl Declared {
    /// What a claim is.
    pub(crate) fn kind(&self, path: &[String]) -> Option<ClaimKind> {
        self.0.get(path).map(|declaration| declaration.kind)
    }

    /// Every claim, as conditions name it.
    pub(crate) fn names(&self) -> impl Iterator<Item = String> {
        self.0.keys().map(|path| claim_name(path))
    }
}

/// Collects what issuers declare; nothing if what they say cannot be known.
pub(crate) fn declared(
    file: Option<&Spanned<GatewayFile>>,
    index: &BTreeMap<String, u32>,
    checker: &mut Checker,
) -> Option<Declared> {
    let issuers: &Spanned<Map<Issuer>> = file?.issuers.as_ref()?;
    let known = !checker.reader.reported_within(issuers.span);
    let mut declared = Declared::default();
    // These two are texts in every token (RFC 7519, 4.1.1 and 4.1.2); the gateway refuses others.
    for name in ["iss", "sub"] {
        let declaration = Declaration {
            kind: ClaimKind::Text,
            issuers: index.values().copied().collect(),
            at: None,
        };
        declared.0.insert(vec![name.to_owned()], declaration);
    }
    for (name, issuer) in &issuers.here {
        let place = index.get(&name.value);
        for (path, kind) in issuer.claims.iter().flat_map(|claims| &claims.0) {
            let declaration = declared.0.entry(path.clone()).or_insert_with(|| Declaration {
                kind: kind.value,
                issuers: BTreeSet::new(),
                at: Some(kind.span),
            });
            if declaration.kind == kind.value {
                declaration.issuers.extend(place);
                continue;
            }
            let (is, first) = (declaration.kind.name(), declaration.at);
            let message = format!("{} is declared as a {is} already", quote(&claim_name(path)));
            let draft = checker.report().error(Code::Conflict, kind.span, message);
            draft.help("a condition is for the callers of all issuers: a claim is the same in all of them");
            if let Some(first) = first {
                draft.label(first, "here");
            }
        }
    }
    known.then_some(declared)
}

/// The claims that conditions, headers and limits look at, and the headers that limits count by; each sorted,
/// each once.
pub(crate) fn used(
    compiled: &Compiled,
    gateway: Option<Span>,
    checker: &mut Checker,
) -> (Vec<Claim>, Vec<String>) {
    let declared = checker.declared.take().unwrap_or_default();
    let mut claims: BTreeMap<Vec<String>, Claim> = BTreeMap::new();
    let mut look = |path: &Vec<String>| {
        let declaration = declared.0.get(path);
        claims.entry(path.clone()).or_insert_with(|| Claim {
            path: path.clone(),
            kind: declaration.map(|declaration| declaration.kind),
            issuers: declaration
                .map(|declaration| declaration.issuers.iter().copied().collect())
                .unwrap_or_default(),
        });
    };
    for rule in compiled.rules() {
        rule.when.operands(&mut |operand| {
            if let Operand::Claim(path) = operand {
                look(path);
            }
        });
    }
    let relations = compiled
        .operations
        .iter()
        .filter_map(|operation| operation.relation.as_ref());
    for relation in relations {
        for entity in [&relation.subject, &relation.resource] {
            if let Operand::Claim(path) = &entity.id {
                look(path);
            }
        }
    }
    for header in compiled.apis.iter().flat_map(|api| &api.upstream_headers) {
        look(&header.claim);
    }
    for operation in &compiled.operations {
        if let Handler::Proxy {
            credential: Some(credential),
            ..
        } = &operation.handler
            && let CredentialValue::Signed(token) = &credential.value
        {
            token.claims.iter().for_each(|repeated| look(&repeated.claim));
        }
    }
    let plans = compiled.plans.iter().flat_map(|plan| &plan.limits);
    let models = compiled.models.iter().flat_map(|model| &model.limits);
    let apis = compiled.apis.iter().flat_map(|api| &api.limits);
    let mut headers = BTreeSet::new();
    for part in plans.chain(models).chain(apis).flat_map(|limit| &limit.subject) {
        match part {
            SubjectPart::Claim(name) => {
                claims.entry(vec![name.clone()]).or_insert_with(|| Claim {
                    path: vec![name.clone()],
                    kind: None,
                    issuers: Vec::new(),
                });
            }
            SubjectPart::Header(name) => {
                headers.insert(name.clone());
            }
            _ => {}
        }
    }
    for (what, count) in [("claims", claims.len()), ("headers", headers.len())] {
        if count > MAX_NAMED {
            let message = format!("the tree looks at {count} {what}, more than {MAX_NAMED}");
            checker
                .report()
                .error(Code::OutOfRange, gateway.unwrap_or_default(), message)
                .help("each is kept with every request: keep those that matter");
        }
    }
    (claims.into_values().collect(), headers.into_iter().collect())
}

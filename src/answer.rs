//! What is answered, as plain values: no web API is touched here, so all of it is tested natively.

use serde::Serialize;

/// An answer, ready to be put on the wire.
#[derive(Debug, PartialEq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Of a body; empty: there is none.
    pub(crate) content_type: &'static str,
    pub(crate) cache_control: &'static str,
    /// One more header, where the answer needs it.
    pub(crate) header: Option<(&'static str, &'static str)>,
    pub(crate) body: String,
}

/// What went wrong. The codes, statuses and titles are rows of `docs/errors.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Problem {
    NotFound,
    MethodNotAllowed,
    SecretMissing,
    Internal,
}

impl Problem {
    #[cfg(test)]
    const ALL: [Self; 4] = [
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::SecretMissing,
        Self::Internal,
    ];

    const fn code(self) -> &'static str {
        match self {
            Self::NotFound => "not_found",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::SecretMissing => "secret_missing",
            Self::Internal => "internal",
        }
    }

    const fn status(self) -> u16 {
        match self {
            Self::NotFound => 404,
            Self::MethodNotAllowed => 405,
            Self::SecretMissing => 503,
            Self::Internal => 500,
        }
    }

    const fn title(self) -> &'static str {
        match self {
            Self::NotFound => "Nothing is published here",
            Self::MethodNotAllowed => "The method is not published here",
            Self::SecretMissing => "The gateway is not ready for this call",
            Self::Internal => "The gateway failed",
        }
    }

    const fn detail(self) -> &'static str {
        match self {
            Self::NotFound => "There is no such page of the gateway itself.",
            Self::MethodNotAllowed => "This page can only be read: GET or HEAD.",
            Self::SecretMissing => "Something that its policies name has not been set yet.",
            Self::Internal => "This is a fault of the gateway, not of the request.",
        }
    }
}

/// Problem details (RFC 9457).
#[derive(Serialize)]
struct ProblemDetails<'a> {
    r#type: String,
    title: &'static str,
    status: u16,
    detail: &'static str,
    code: &'static str,
    request_id: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    missing: &'a [&'a str],
}

/// What every page takes.
const ALLOW: (&str, &str) = ("allow", "GET, HEAD, OPTIONS");

/// The answer to `OPTIONS` of a page.
pub(crate) const fn options() -> Answer {
    Answer {
        status: 204,
        content_type: "",
        cache_control: "no-store",
        header: Some(ALLOW),
        body: String::new(),
    }
}

/// The answer to a request that failed. `missing` names secrets: only where explaining is allowed.
pub(crate) fn problem(problem: Problem, request_id: &str, missing: &[&str]) -> Answer {
    let header = match problem {
        Problem::MethodNotAllowed => Some(ALLOW),
        // A secret is set by a person: asking more often is of no use.
        Problem::SecretMissing => Some(("retry-after", "30")),
        Problem::NotFound | Problem::Internal => None,
    };
    let details = ProblemDetails {
        r#type: format!("urn:turnpike:problem:{}", problem.code()),
        title: problem.title(),
        status: problem.status(),
        detail: problem.detail(),
        code: problem.code(),
        request_id,
        missing,
    };
    Answer {
        status: problem.status(),
        content_type: "application/problem+json",
        cache_control: "no-store",
        header,
        body: json(&details),
    }
}

#[derive(Serialize)]
struct Health {
    status: &'static str,
}

/// Whether the gateway can do what its policies say: `missing` are the secrets that it lacks, and
/// `explain` whether they may be named to whoever asks.
pub(crate) fn health(missing: &[&str], explain: bool, request_id: &str) -> Answer {
    if missing.is_empty() {
        page(&Health { status: "ready" })
    } else {
        problem(
            Problem::SecretMissing,
            request_id,
            if explain { missing } else { &[] },
        )
    }
}

/// What runs: which code, with which policies.
#[derive(Serialize)]
#[expect(clippy::struct_field_names, reason = "the fields are members of the answer")]
pub(crate) struct Version {
    pub(crate) gateway: &'static str,
    pub(crate) bundle: &'static str,
    pub(crate) commit: &'static str,
    pub(crate) dirty: bool,
    pub(crate) environment: &'static str,
    pub(crate) built: &'static str,
    pub(crate) version: &'static str,
}

impl Version {
    pub(crate) fn answer(&self) -> Answer {
        page(self)
    }
}

/// A set of links (RFC 9264).
#[derive(Serialize)]
struct LinkSet<'a> {
    linkset: [Context<'a>; 1],
}

#[derive(Serialize)]
struct Context<'a> {
    anchor: String,
    item: Vec<Link<'a>>,
}

#[derive(Serialize)]
struct Link<'a> {
    href: String,
    title: &'a str,
}

/// Where the catalog is found (RFC 9727).
pub(crate) const CATALOG: &str = "/.well-known/api-catalog";

/// The published APIs that have not ended by now, under the origin that was asked: of each its
/// title, its base path, and when it ends.
pub(crate) fn catalog(apis: &[(&str, &str, Option<u64>)], origin: &str, now: u64) -> Answer {
    let alive = apis
        .iter()
        .filter(|(.., sunset)| sunset.is_none_or(|sunset| now < sunset));
    let item = alive
        .map(|(title, base, _)| Link {
            href: format!("{origin}{base}"),
            title,
        })
        .collect();
    let links = LinkSet {
        linkset: [Context {
            anchor: format!("{origin}{CATALOG}"),
            item,
        }],
    };
    Answer {
        status: 200,
        content_type: "application/linkset+json; profile=\"https://www.rfc-editor.org/info/rfc9727\"",
        cache_control: "public, max-age=300",
        // RFC 9727 asks for it in the answer to HEAD, and HEAD answers as GET does.
        header: Some(("link", "</.well-known/api-catalog>; rel=\"api-catalog\"")),
        body: json(&links),
    }
}

/// What the metadata of a protected resource say (RFC 9728, 2).
#[derive(Serialize)]
struct ProtectedResource<'a> {
    resource: String,
    authorization_servers: &'a [&'a str],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    scopes_supported: &'a [&'a str],
    bearer_methods_supported: [&'static str; 1],
    resource_name: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    dpop_signing_alg_values_supported: &'a [&'a str],
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    dpop_bound_access_tokens_required: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    tls_client_certificate_bound_access_tokens: bool,
}

/// Where the metadata of protected resources are (RFC 9728, 3.1).
const RESOURCE: &str = "/.well-known/oauth-protected-resource";

/// The path of the resource whose metadata a path asks for; empty: the gateway as a whole.
pub(crate) fn resource_path(path: &str) -> Option<&str> {
    let path = path.strip_prefix(RESOURCE)?;
    (path.is_empty() || path.starts_with('/')).then_some(path)
}

/// What is protected, and who gives out the tokens for it.
pub(crate) struct Resources<'a> {
    /// Title, base path, when it ends, scopes.
    pub(crate) list: &'a [(&'a str, &'a str, Option<u64>, &'a [&'a str])],
    pub(crate) issuers: &'a [&'a str],
    /// How proofs may be signed that bind tokens to a key (empty: none are), whether all are bound so, and whether
    /// tokens may be bound to a client certificate.
    pub(crate) bound: (&'a [&'a str], bool, bool),
}

impl Resources<'_> {
    /// The metadata that a path asks for, if there is such a resource and somebody to ask for a token.
    pub(crate) fn metadata(&self, origin: &str, path: &str, now: u64) -> Option<Answer> {
        let wanted = resource_path(path)?;
        let mut list = self.list.iter();
        let (title, base, sunset, scopes) = list.find(|(_, base, ..)| *base == wanted)?;
        if self.issuers.is_empty() || sunset.is_some_and(|sunset| sunset <= now) {
            return None;
        }
        let metadata = ProtectedResource {
            resource: format!("{origin}{base}"),
            authorization_servers: self.issuers,
            scopes_supported: scopes,
            bearer_methods_supported: ["header"],
            resource_name: title,
            dpop_signing_alg_values_supported: self.bound.0,
            dpop_bound_access_tokens_required: self.bound.1,
            tls_client_certificate_bound_access_tokens: self.bound.2,
        };
        Some(Answer {
            status: 200,
            content_type: "application/json",
            cache_control: "public, max-age=300",
            header: None,
            body: json(&metadata),
        })
    }
}

fn page(value: &impl Serialize) -> Answer {
    Answer {
        status: 200,
        content_type: "application/json",
        cache_control: "no-store",
        header: None,
        body: json(value),
    }
}

/// A line of the log that names secrets which are not there.
#[derive(Serialize)]
struct MissingSecrets<'a> {
    event: &'static str,
    missing: &'a [&'a str],
}

/// The log line that operators look for when the gateway is not ready.
pub(crate) fn missing_secrets(missing: &[&str]) -> String {
    json(&MissingSecrets {
        event: "secrets",
        missing,
    })
}

/// Strings, numbers and lists of them always serialize.
fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn body(answer: &Answer) -> Value {
        serde_json::from_str(&answer.body).expect("JSON")
    }

    #[test]
    fn every_problem_is_in_the_reference() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/errors.md");
        let reference = std::fs::read_to_string(path).expect("docs/errors.md");
        for problem in Problem::ALL {
            let row = format!("| `{}` | {} |", problem.code(), problem.status());
            assert!(reference.contains(&row), "docs/errors.md lacks the row {row}");
            assert!(
                reference.contains(problem.title()),
                "docs/errors.md: {}",
                problem.title()
            );
        }
    }

    #[test]
    fn a_problem_is_problem_details() {
        let answer = problem(Problem::NotFound, "r1", &[]);
        assert_eq!(
            (answer.status, answer.content_type),
            (404, "application/problem+json")
        );
        assert_eq!(
            body(&answer),
            json!({
                "type": "urn:turnpike:problem:not_found",
                "title": "Nothing is published here",
                "status": 404,
                "detail": "There is no such page of the gateway itself.",
                "code": "not_found",
                "request_id": "r1",
            })
        );
    }

    #[test]
    fn a_method_that_is_not_allowed_names_those_that_are() {
        let answer = problem(Problem::MethodNotAllowed, "r1", &[]);
        assert_eq!(
            (answer.status, answer.header),
            (405, Some(("allow", "GET, HEAD, OPTIONS")))
        );
        let asked = options();
        assert_eq!(
            (asked.status, asked.header, &*asked.body),
            (204, answer.header, "")
        );
    }

    #[test]
    fn ready_when_no_secret_is_missing() {
        let answer = health(&[], false, "r1");
        assert_eq!((answer.status, answer.cache_control), (200, "no-store"));
        assert_eq!(body(&answer), json!({ "status": "ready" }));
    }

    #[test]
    fn missing_secrets_are_named_only_where_explaining_is_allowed() {
        let told = health(&["OPENAI_KEY"], true, "r1");
        assert_eq!((told.status, told.header), (503, Some(("retry-after", "30"))));
        assert_eq!(body(&told)["missing"], json!(["OPENAI_KEY"]));
        let world = health(&["OPENAI_KEY"], false, "r1");
        assert_eq!(world.status, 503);
        assert!(!world.body.contains("OPENAI_KEY"));
        assert_eq!(
            missing_secrets(&["A", "B"]),
            r#"{"event":"secrets","missing":["A","B"]}"#,
            "the log names them everywhere"
        );
    }

    #[test]
    fn the_catalog_links_every_api_that_has_not_ended() {
        let apis = [
            ("Pet store v1", "/petstore/v1", Some(5)),
            ("Pet store v2", "/petstore/v2", None),
        ];
        let answer = catalog(&apis, "https://api.acme.dev", 5);
        assert_eq!(answer.cache_control, "public, max-age=300");
        assert_eq!(
            body(&answer),
            json!({ "linkset": [{
                "anchor": "https://api.acme.dev/.well-known/api-catalog",
                "item": [{ "href": "https://api.acme.dev/petstore/v2", "title": "Pet store v2" }],
            }] })
        );
    }

    #[test]
    fn a_resource_says_who_opens_it() {
        let resources = Resources {
            list: &[
                ("acme-edge", "", None, &["pets:read", "pets:write"]),
                ("Pet store v1", "/petstore/v1", Some(5), &[]),
                ("Pet store v2", "/petstore/v2", None, &["pets:write"]),
            ],
            issuers: &["https://login.acme.dev/"],
            bound: (&[], false, false),
        };
        let at = |path: &str, now| resources.metadata("https://api.acme.dev", path, now);
        let answer = at("/.well-known/oauth-protected-resource/petstore/v2", 9).expect("there is one");
        assert_eq!(
            body(&answer),
            json!({
                "resource": "https://api.acme.dev/petstore/v2",
                "authorization_servers": ["https://login.acme.dev/"],
                "scopes_supported": ["pets:write"],
                "bearer_methods_supported": ["header"],
                "resource_name": "Pet store v2",
            })
        );
        let whole = at(RESOURCE, 9).expect("there is one");
        assert_eq!(body(&whole)["resource"], "https://api.acme.dev");
        let ending = "/.well-known/oauth-protected-resource/petstore/v1";
        assert!(at(ending, 4).is_some() && at(ending, 5).is_none());
        for path in ["/", "/petstore", "/petstore/v2/", "s", "/petstore/v2/pets"] {
            assert_eq!(at(&format!("{RESOURCE}{path}"), 0), None, "{path}");
        }
        let bound = Resources {
            bound: (&["ES256", "EdDSA"], true, true),
            ..resources
        };
        let bound = bound
            .metadata("https://api.acme.dev", RESOURCE, 0)
            .expect("there is one");
        let bound = body(&bound);
        assert_eq!(
            bound["dpop_signing_alg_values_supported"],
            json!(["ES256", "EdDSA"])
        );
        assert_eq!(bound["dpop_bound_access_tokens_required"], true);
        assert_eq!(bound["tls_client_certificate_bound_access_tokens"], true);
        let nobody = Resources {
            issuers: &[],
            ..resources
        };
        assert_eq!(nobody.metadata("https://api.acme.dev", RESOURCE, 0), None);
    }

    #[test]
    fn a_catalog_may_be_empty() {
        let empty = catalog(&[], "https://a.test", 0);
        assert_eq!(body(&empty)["linkset"][0]["item"], json!([]));
    }
}

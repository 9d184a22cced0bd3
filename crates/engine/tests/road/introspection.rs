//! Opaque tokens on the whole road: what their issuer says of them counts as the claims of a JWT do.

use serde_json::json;
use turnpike_engine::step::Undecided;
use turnpike_policy::source::conditions::parse;
use turnpike_policy::{
    Claim, ClaimKind, Compiled, Introspection, Limit, LimitKind, Precision, Rate, Rule, SubjectPart,
    UpstreamHeader,
};

use crate::policy::{AUDIENCE, INLINE, NOW};
use crate::world::{Answer, Does, Request, World, ask};

const PETS: &str = "/petstore/v2/pets";
const OLD_PETS: &str = "/petstore/v1/pets";

/// A world whose issuer INLINE is asked about opaque tokens.
pub(crate) fn world() -> World {
    world_with(|_| {})
}

fn world_with(change: impl FnOnce(&mut Compiled)) -> World {
    let mut world = World::with(|policy| {
        let issuer = policy.issuers.iter_mut().find(|issuer| issuer.issuer == INLINE);
        let issuer = issuer.expect("an issuer");
        issuer.introspection = Some(Introspection {
            endpoint: "https://inline.example/introspect".to_owned(),
            client_id: "gateway".to_owned(),
            secret: "INTROSPECTION".to_owned(),
            post: false,
            prefix: String::new(),
            timeout: 2_000,
            active_for: 30_000,
            inactive_for: 5_000,
            rate: Rate {
                count: 100,
                period: 1_000,
                burst: 100,
            },
        });
        let index = policy.issuers.iter().position(|issuer| issuer.issuer == INLINE);
        let index = u32::try_from(index.expect("an issuer")).expect("a small number");
        policy.claims = [
            ("department", ClaimKind::Text),
            ("sub", ClaimKind::Text),
            ("tenant", ClaimKind::Text),
        ]
        .map(|(name, kind)| Claim {
            path: vec![name.to_owned()],
            kind: Some(kind),
            issuers: vec![index],
        })
        .to_vec();
        change(policy);
    });
    world.replaces = false;
    world
}

/// What the issuer says of a good token, with these members besides.
fn active(more: &serde_json::Value) -> &'static str {
    let mut said = json!({
        "active": true, "iss": INLINE, "aud": AUDIENCE, "sub": "somebody", "client_id": "app",
        "exp": NOW / 1000 + 600, "iat": NOW / 1000 - 10, "scope": "pets:write",
    });
    for (name, value) in more.as_object().expect("members") {
        said[name] = value.clone();
    }
    said.to_string().leak()
}

fn by(request: Request, token: &str) -> Request {
    request.header("authorization", &format!("Bearer {token}"))
}

fn outcome(answer: &Answer) -> (u16, String) {
    match answer.status {
        200 => (200, String::new()),
        status => (status, answer.code()),
    }
}

#[test]
fn an_active_token_passes_and_is_asked_about_once() {
    let mut world = world();
    world.decides.push_back(Ok(active(&json!({}))));
    for _ in 0..3 {
        let answer = world.send(&by(Request::get(PETS), "opaque"));
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.log()["consumer"], "demo");
        assert_eq!(answer.log()["subject"], "somebody");
        assert!(
            !answer.log().to_string().contains("opaque"),
            "no token is in a log"
        );
    }
    assert_eq!(world.questions.len(), 1);
    // And where SDKs of models put what they call a key.
    let answer = world.send(&ask("fast").header("authorization", "Bearer opaque"));
    assert_eq!(answer.status, 200);
    // After its time it is asked about again, and nothing else will do.
    world.now += 30_000;
    let answer = world.send(&by(Request::get(PETS), "opaque"));
    assert_eq!(outcome(&answer), (503, "introspection_unavailable".to_owned()));
}

#[test]
fn what_goes_wrong_lets_nobody_pass() {
    for (says, status, code) in [
        (Ok(r#"{"active":false}"#), 401, "credential_invalid"),
        (Ok(active(&json!({ "aud": "other" }))), 401, "credential_invalid"),
        (
            Ok(active(&json!({ "cnf": { "jkt": "x" } }))),
            401,
            "credential_invalid",
        ),
        (
            Ok(active(
                &json!({ "iat": NOW / 1000 - 600, "exp": NOW / 1000 - 60 }),
            )),
            401,
            "credential_expired",
        ),
        (
            Ok(active(&json!({ "client_id": "nobody" }))),
            401,
            "credential_invalid",
        ),
        (
            Ok(active(&json!({ "active": "true" }))),
            503,
            "introspection_unavailable",
        ),
        (
            Ok(active(&json!({ "exp": "1" }))),
            503,
            "introspection_unavailable",
        ),
        (Ok("{}"), 503, "introspection_unavailable"),
        (Ok(""), 503, "introspection_unavailable"),
        (Err(Undecided::Late), 503, "introspection_unavailable"),
        (Err(Undecided::Status(401)), 503, "introspection_unavailable"),
        (Err(Undecided::NotJson), 503, "introspection_unavailable"),
        (Err(Undecided::SecretMissing), 503, "introspection_unavailable"),
    ] {
        let mut world = world();
        world.decides.push_back(says);
        let answer = world.send(&by(Request::get(PETS), "opaque"));
        assert_eq!(outcome(&answer), (status, code.to_owned()), "{says:?}");
        assert!(answer.sent.is_empty() && world.objects.is_empty(), "{says:?}");
        assert!(!answer.text().contains("opaque"), "{}", answer.text());
        let challenge = answer.header("www-authenticate");
        assert_eq!(challenge.is_some(), status == 401, "{challenge:?}");
        assert_eq!(answer.header("retry-after").is_some(), status == 503);
    }
}

#[test]
fn what_it_says_counts_as_the_claims_of_a_jwt() {
    let mut world = world_with(|policy| {
        for operation in policy.operations.iter_mut() {
            operation.rules = vec![Rule {
                when: parse("claims.department == 'stores'").expect("a condition"),
                origin: "policies/apis/petstore/api.yaml:20".to_owned(),
            }];
        }
        for api in policy.apis.iter_mut() {
            api.upstream_headers = vec![UpstreamHeader {
                header: "x-user".to_owned(),
                claim: vec!["sub".to_owned()],
            }];
        }
    });
    world
        .decides
        .push_back(Ok(active(&json!({ "department": "stores", "sub": "Mia Lee" }))));
    world
        .decides
        .push_back(Ok(active(&json!({ "department": "hq" }))));
    world.decides.push_back(Ok(active(
        &json!({ "department": "stores", "scope": "pets:read" }),
    )));
    world.expect("pets", [Does::status(200, "{}")]);
    let told = world.send(&by(Request::get(OLD_PETS), "one").header("x-user", "root"));
    assert_eq!(told.status, 200, "{}", told.text());
    let sent = told.sent.last().expect("a call");
    let user = sent.headers.iter().filter(|(name, _)| **name == *"x-user");
    let user: Vec<&str> = user.map(|(_, value)| value.as_str()).collect();
    assert_eq!(user, ["Mia%20Lee"]);
    assert!(
        sent.headers.iter().all(|(_, value)| !value.contains("one")),
        "no credential goes on"
    );
    let other = world.send(&by(Request::get(PETS), "two"));
    assert_eq!(outcome(&other), (403, "condition_not_met".to_owned()));
    let create = by(Request::new("POST", PETS), "three");
    assert_eq!(
        outcome(&world.send(&create)),
        (403, "insufficient_scope".to_owned())
    );
}

#[test]
fn a_claim_of_it_is_a_subject_of_limits() {
    let mut world = world_with(|policy| {
        for plan in &mut policy.plans {
            plan.limits = vec![Limit {
                id: "each-tenant".to_owned(),
                kind: LimitKind::Rate(Rate {
                    count: 1,
                    period: 60_000,
                    burst: 1,
                }),
                subject: vec![SubjectPart::Claim("tenant".to_owned())],
                precision: Precision::Local,
                ..plan.limits.first().expect("a limit").clone()
            }];
        }
    });
    for tenant in ["acme", "acme", "other"] {
        world.decides.push_back(Ok(active(&json!({ "tenant": tenant }))));
    }
    let mut call = |token: &str| world.send(&by(Request::get(PETS), token)).status;
    // Two tokens of one tenant share what is its.
    assert_eq!([call("one"), call("two"), call("three")], [200, 429, 200]);
}

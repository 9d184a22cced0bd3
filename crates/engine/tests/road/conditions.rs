//! Conditions on callers, and claims that become headers, on the whole road.

use serde_json::{Value, json};
use turnpike_policy::source::conditions::parse;
use turnpike_policy::{Claim, ClaimKind, Operand, Rule, UpstreamHeader};

use crate::policy::{INLINE, SECRET};
use crate::world::{Answer, Does, Request, World, token};

/// Claims that the first of these issuers declares and the others do not.
const DECLARED: &[(&str, ClaimKind)] = &[
    ("department", ClaimKind::Text),
    ("level", ClaimKind::Number),
    ("roles", ClaimKind::Texts),
    ("verified", ClaimKind::Flag),
];

/// A world where calls of pets need this, and their upstream is told of the caller.
fn world(conditions: &[&str]) -> World {
    World::with(|compiled| {
        let index = |issuer: &str| {
            let place = compiled.issuers.iter().position(|known| known.issuer == issuer);
            u32::try_from(place.expect("an issuer")).expect("a small number")
        };
        let declared = index(INLINE);
        let mut claims: Vec<Claim> = DECLARED
            .iter()
            .map(|(name, kind)| Claim {
                path: vec![(*name).to_owned()],
                kind: Some(*kind),
                issuers: vec![declared],
            })
            .collect();
        claims.push(Claim {
            path: vec!["sub".to_owned()],
            kind: Some(ClaimKind::Text),
            issuers: vec![index(INLINE), index(SECRET)],
        });
        compiled.claims = claims;
        let rules: Vec<_> = (20..)
            .zip(conditions)
            .map(|(line, text)| Rule {
                when: parse(text).expect("a condition"),
                origin: format!("policies/apis/petstore/api.yaml:{line}"),
            })
            .collect();
        for rule in &rules {
            rule.when
                .operands(&mut |operand| compiled.country |= *operand == Operand::Country);
        }
        for operation in compiled.operations.iter_mut() {
            operation.rules.clone_from(&rules);
        }
        for api in compiled.apis.iter_mut() {
            api.upstream_headers = [("x-level", "level"), ("x-roles", "roles"), ("x-user", "sub")]
                .map(|(header, claim)| UpstreamHeader {
                    header: header.to_owned(),
                    claim: vec![claim.to_owned()],
                })
                .to_vec();
        }
    })
}

fn pets(issuer: &str, claims: &Value) -> Request {
    let token = token(issuer, |all| {
        for (name, value) in claims.as_object().expect("claims") {
            all[name] = value.clone();
        }
    });
    Request::get("/petstore/v2/pets").header("authorization", &format!("Bearer {token}"))
}

fn refused(answer: &Answer) -> bool {
    match (answer.status, answer.code().as_str()) {
        (403, "condition_not_met") => true,
        (200, _) => false,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_condition_lets_pass_whom_it_is_true_for_and_nobody_else() {
    let stores = json!({ "department": "stores" });
    for (condition, claims, passes) in [
        ("claims.department == 'stores'", stores.clone(), true),
        (
            "claims.department == 'stores'",
            json!({ "department": "Stores" }),
            false,
        ),
        // Missing, null, or of another type: also where it is negated.
        ("claims.department == 'stores'", json!({}), false),
        ("!(claims.department == 'stores')", json!({}), false),
        ("claims.department != 'stores'", json!({}), false),
        (
            "!(claims.department != 'stores')",
            json!({ "department": null }),
            false,
        ),
        (
            "claims.department != 'stores'",
            json!({ "department": ["x"] }),
            false,
        ),
        ("claims.department != 'stores'", json!({ "department": 1 }), false),
        ("!claims.verified", json!({ "verified": "false" }), false),
        ("!claims.verified", json!({ "verified": false }), true),
        ("!claims.verified", json!({ "verified": true }), false),
        ("claims.verified", json!({ "verified": "true" }), false),
        ("!('admin' in claims.roles)", json!({ "roles": "admin" }), false),
        (
            "!('admin' in claims.roles)",
            json!({ "roles": ["user", 1] }),
            false,
        ),
        (
            "!('admin' in claims.roles)",
            json!({ "roles": vec!["x"; 257] }),
            false,
        ),
        (
            "!('admin' in claims.roles)",
            json!({ "roles": vec!["x"; 256] }),
            true,
        ),
        ("!('admin' in claims.roles)", json!({ "roles": [] }), true),
        (
            "'admin' in claims.roles",
            json!({ "roles": ["user", "admin"] }),
            true,
        ),
        ("!(claims.level > 3)", json!({ "level": "9" }), false),
        (
            "!(claims.level > 3)",
            json!({ "level": 9_007_199_254_740_993_i64 }),
            false,
        ),
        ("claims.level >= 2.5", json!({ "level": 2.5 }), true),
        ("claims.level in [1, 2]", json!({ "level": 2 }), true),
        ("claims.level in [1, 2]", json!({ "level": 3 }), false),
        ("claims.department.startsWith('st')", stores.clone(), true),
        ("!claims.department.startsWith('st')", json!({}), false),
        // What decides by itself decides, wherever it stands.
        (
            "claims.level > 3 || claims.department == 'stores'",
            stores.clone(),
            true,
        ),
        (
            "claims.department == 'stores' || claims.level > 3",
            stores.clone(),
            true,
        ),
        (
            "claims.level > 3 && claims.department == 'stores'",
            stores.clone(),
            false,
        ),
        (
            "!(claims.level > 3 || claims.department == 'hq')",
            stores.clone(),
            false,
        ),
        (
            "!(claims.level > 3 && claims.department == 'hq')",
            stores.clone(),
            true,
        ),
        ("request.method == 'GET'", json!({}), true),
        ("request.hour >= 0 && request.hour <= 23", json!({}), true),
        ("!(request.country == 'DE')", json!({}), false),
    ] {
        let mut world = world(&[condition]);
        let request = pets(INLINE, &claims);
        let first = world.send(&request);
        assert_eq!(!refused(&first), passes, "{condition} of {claims}");
        // The same of a token that is known already.
        assert_eq!(
            !refused(&world.send(&request)),
            passes,
            "{condition} of {claims}, again"
        );
    }
}

#[test]
fn all_conditions_hold_and_the_log_names_the_one_that_did_not() {
    let mut world = world(&["claims.department == 'stores'", "claims.level > 3"]);
    let answer = world.send(&pets(INLINE, &json!({ "department": "stores", "level": 9 })));
    assert_eq!(answer.status, 200);
    let answer = world.send(&pets(INLINE, &json!({ "department": "stores", "level": 3 })));
    assert!(refused(&answer));
    assert_eq!(answer.log()["policy_line"], "policies/apis/petstore/api.yaml:21");
    assert_eq!(answer.log()["reason"], "the condition does not hold");
    let answer = world.send(&pets(INLINE, &json!({ "level": 9, "department": 5 })));
    assert_eq!(answer.log()["policy_line"], "policies/apis/petstore/api.yaml:20");
    assert_eq!(
        answer.log()["reason"],
        "`claims.department` is missing, or of another type than is declared"
    );
    // The client learns neither what is asked for, nor what it lacked.
    let body = answer.text();
    for told in ["department", "stores", "level", "missing"] {
        assert!(!body.contains(told), "{body}");
    }
}

#[test]
fn claims_of_who_does_not_declare_them_prove_nothing() {
    let claims = json!({ "department": "stores" });
    for condition in ["claims.department == 'stores'", "!(claims.department == 'hq')"] {
        let mut world = world(&[condition]);
        assert_eq!(world.send(&pets(INLINE, &claims)).status, 200);
        assert!(refused(&world.send(&pets(SECRET, &claims))), "{condition}");
        // An API key has no claims at all.
        let by_key = Request::get("/petstore/v2/pets").by("demo");
        assert!(refused(&world.send(&by_key)), "{condition}");
    }
    let mut world = world(&["request.method == 'GET'"]);
    assert_eq!(
        world.send(&Request::get("/petstore/v2/pets").by("demo")).status,
        200
    );
}

#[test]
fn a_request_says_where_it_comes_from_and_when() {
    let mut world = world(&["request.country in ['DE', 'AT'] && request.hour < 12"]);
    world.now = 1_800_000_000_000 / 86_400_000 * 86_400_000;
    let by = |country: Option<&str>| {
        let mut request = Request::get("/petstore/v2/pets").by("demo");
        request.country = country.map(str::to_owned);
        // What a client says of itself is not asked.
        request.header("cf-ipcountry", "DE")
    };
    assert_eq!(world.send(&by(Some("DE"))).status, 200);
    assert_eq!(world.send(&by(Some("AT"))).status, 200);
    for country in [Some("FR"), Some("XX"), Some(""), None] {
        assert!(refused(&world.send(&by(country))), "{country:?}");
    }
    world.now += 12 * 3_600_000 - 1;
    assert_eq!(world.send(&by(Some("DE"))).status, 200);
    world.now += 1;
    assert!(refused(&world.send(&by(Some("DE")))));
}

#[test]
fn a_parameter_of_the_path_is_what_the_upstream_would_read() {
    let own = "request.params.petId == claims.department";
    for (path, department, passes) in [
        ("rex", "rex", true),
        ("rex", "Rex", false),
        ("%72ex", "rex", true),
        ("r%20x", "r x", true),
        ("r%C3%A4x", "räx", true),
    ] {
        let mut world = world(&[own]);
        let mut request = pets(INLINE, &json!({ "department": department }));
        request.url = format!("https://api.example/petstore/v2/pets/{path}");
        assert_eq!(!refused(&world.send(&request)), passes, "{path} for {department}");
    }
}

/// The headers of the last call that reached the upstream.
fn told(world: &mut World, request: &Request) -> Vec<(String, String)> {
    world.expect("pets", [Does::status(200, "{}")]);
    let answer = world.send(request);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let sent = answer.sent.last().expect("a call");
    let names = ["x-level", "x-roles", "x-user", "x_user"];
    let of_ours = sent
        .headers
        .iter()
        .filter(|(name, _)| names.contains(&name.as_str()));
    of_ours
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

#[test]
fn an_upstream_is_told_what_the_token_says_and_nothing_that_the_client_says() {
    let mut world = world(&[]);
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let forged = |request: Request| {
        request
            .header("x-user", "root")
            .header("x_user", "root")
            .header("x-level", "99")
            .header("x-roles", "admin")
    };
    let claims = json!({ "sub": "Mia Lee", "level": 2.5, "roles": ["a,b", "ü", "c\r\nx-admin: 1"] });
    let mut request = forged(pets(INLINE, &claims));
    request.url = request.url.replace("/v2/", "/v1/");
    assert_eq!(
        told(&mut world, &request),
        [
            pair("x-level", "2.5"),
            pair("x-roles", "a%2Cb,%C3%BC,c%0D%0Ax-admin:%201"),
            pair("x-user", "Mia%20Lee"),
        ]
    );
    // What it does not say, or says as something else, is not told.
    let mut request = forged(pets(INLINE, &json!({ "level": "9", "roles": [] })));
    request.url = request.url.replace("/v2/", "/v1/");
    assert_eq!(told(&mut world, &request), [pair("x-user", "somebody")]);
    // Nor what another issuer says by that name, nor anything of an API key.
    let mut request = forged(pets(SECRET, &json!({ "level": 9 })));
    request.url = request.url.replace("/v2/", "/v1/");
    assert_eq!(told(&mut world, &request), [pair("x-user", "somebody")]);
    let request = forged(Request::get("/petstore/v1/pets").by("demo"));
    assert_eq!(told(&mut world, &request), []);
}

#[test]
fn what_cannot_be_told_whole_is_not_told_in_part() {
    let mut world = world(&[]);
    let long = json!({ "roles": vec!["ü".repeat(8); 100] });
    let mut request = pets(INLINE, &long);
    request.url = request.url.replace("/v2/", "/v1/");
    let answer = world.send(&request);
    assert_eq!((answer.status, answer.code().as_str()), (431, "header_too_large"));
    assert_eq!(
        answer.log()["reason"],
        "`x-roles` would have more than 4096 bytes"
    );
    assert_eq!(answer.sent.len(), 0);
}

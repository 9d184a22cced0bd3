//! `turnpike verify`: a gateway that runs, right and wrong.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::thread;

use base64ct::{Base64UrlUnpadded, Encoding as _};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::common::{Output, Tree, finish, sarif};

/// A gateway that answers as it is told, and remembers what it was asked.
pub(crate) struct Gateway {
    address: String,
    pub(crate) version: Arc<Mutex<Value>>,
    seen: Arc<Mutex<Vec<String>>>,
    /// The same with their headers.
    heads: Arc<Mutex<Vec<String>>>,
    /// What operators see of its denials.
    denials: Arc<Mutex<Value>>,
}

/// What a request with this head is answered, status and code; nothing: as a gateway does.
type Answers = fn(&str) -> Option<(u16, &'static str)>;

/// Why a gateway refuses a request with this head, whose credential nobody was given.
fn refusal(head: &str) -> &'static str {
    let names = [
        "authorization:",
        "x-api-key:",
        "api-key:",
        "x-goog-api-key:",
        "x-team-key:",
    ];
    let carried = head
        .lines()
        .any(|line| names.iter().any(|name| line.starts_with(name)));
    match header(head, "dpop") {
        Some(proof) if !is_of_its_key(head, proof) => "dpop_proof_invalid",
        _ if carried || head.lines().next().unwrap().contains("?key=") => "credential_invalid",
        _ => "credential_missing",
    }
}

fn header<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    let mut lines = head.lines();
    lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

/// The header or the claims of a token.
fn decoded(token: &str, part: usize) -> Value {
    let text = token.split('.').nth(part).unwrap();
    serde_json::from_slice(&Base64UrlUnpadded::decode_vec(text).unwrap()).unwrap()
}

/// Whether a proof was made with the key that the token is bound to, for the token and the request, and is signed.
fn is_of_its_key(head: &str, proof: &str) -> bool {
    let token = header(head, "authorization")
        .unwrap()
        .strip_prefix("DPoP ")
        .unwrap();
    let (claims, key) = (decoded(proof, 1), &decoded(proof, 0)["jwk"]);
    let hash = |text: &str| Base64UrlUnpadded::encode_string(&Sha256::digest(text));
    let mut words = head.lines().next().unwrap().split(' ');
    assert_eq!(claims["htm"], words.next().unwrap());
    let url = format!(
        "http://{}{}",
        header(head, "Host").unwrap(),
        words.next().unwrap()
    );
    assert_eq!(
        (&claims["htu"], &claims["ath"]),
        (&url.into(), &hash(token).into())
    );
    let x = key["x"].as_str().unwrap();
    let public: [u8; 32] = Base64UrlUnpadded::decode_vec(x).unwrap().try_into().unwrap();
    let (input, signature) = proof.rsplit_once('.').unwrap();
    let signature = Base64UrlUnpadded::decode_vec(signature).unwrap();
    ed25519_dalek::VerifyingKey::from_bytes(&public)
        .unwrap()
        .verify_strict(
            input.as_bytes(),
            &ed25519_dalek::Signature::from_slice(&signature).unwrap(),
        )
        .unwrap();
    decoded(token, 1)["cnf"]["jkt"] == hash(&format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#))
}

impl Gateway {
    /// `open` is a path that it answers to everybody.
    pub(crate) fn new(open: &'static str) -> Self {
        Self::answering(open, |_| None)
    }

    fn answering(open: &'static str, answers: Answers) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let version = Arc::new(Mutex::new(json!({
            "gateway": "acme", "bundle": "00", "commit": "", "dirty": false,
            "environment": "production", "built": "2026-11-01", "version": "0.1.0",
        })));
        let seen = Arc::new(Mutex::new(Vec::new()));
        let denials = Arc::new(Mutex::new(json!({ "denials": [] })));
        let denied = Arc::clone(&denials);
        let (its, log) = (Arc::clone(&version), Arc::clone(&seen));
        let heads = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&heads);
        thread::spawn(move || {
            let mut shielded = false;
            for connection in listener.incoming() {
                let mut connection = connection.unwrap();
                let mut text = String::new();
                let mut bytes = [0; 4096];
                while !text.contains("\r\n\r\n") {
                    let read = connection.read(&mut bytes).unwrap();
                    if read == 0 {
                        break;
                    }
                    text.push_str(std::str::from_utf8(&bytes[..read]).unwrap());
                }
                let line = text.lines().next().unwrap_or_default().to_owned();
                let path = line.split(' ').nth(1).unwrap_or_default();
                // It is also reached behind a prefix, as another gateway before it would have it.
                let path = path.strip_prefix("/behind").unwrap_or(path).to_owned();
                let (status, body) = if path == "/_turnpike/version" {
                    (200, its.lock().unwrap().to_string())
                } else if path == "/_turnpike/health" {
                    (200, "{}".to_owned())
                } else if path == "/_turnpike/denials"
                    && text.contains("authorization: Bearer an-operator\r\n")
                {
                    (200, denied.lock().unwrap().to_string())
                } else if path == open {
                    (200, "[]".to_owned())
                } else {
                    log.lock().unwrap().push(line);
                    kept.lock().unwrap().push(text.clone());
                    if shielded {
                        let (status, code) = answers(&text).unwrap_or_else(|| (401, refusal(&text)));
                        (status, json!({ "code": code }).to_string())
                    } else {
                        // The shield is met once, and waited for.
                        shielded = true;
                        (429, json!({ "code": "rate_limited" }).to_string())
                    }
                };
                let answer = format!(
                    "HTTP/1.1 {status} A\r\nRetry-After: 1\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                    body.len()
                );
                let _ = connection.write_all(answer.as_bytes());
            }
        });
        Self {
            address,
            version,
            seen,
            heads,
            denials,
        }
    }
}

pub(crate) fn tree() -> Tree {
    let tree = Tree::new();
    tree.change("gateway.yaml", "hosts: [api.acme.example]\n", "");
    tree
}

pub(crate) fn verify(tree: &Tree, gateway: &Gateway, more: &[&str]) -> Output {
    tree.run(&[&["verify", &gateway.address], more].concat())
}

/// The hash of the tree in production.
fn hash(tree: &Tree) -> String {
    hash_as_of(tree, &[])
}

/// The same as of another day, `--as-of` and when.
pub(crate) fn hash_as_of(tree: &Tree, as_of: &[&str]) -> String {
    let asked = ["show", "compliance", "--env", "production", "--format", "json"];
    let out = tree.good(&[&asked[..], as_of].concat());
    let json: Value = serde_json::from_str(&out).unwrap();
    json["bundle"].as_str().unwrap().to_owned()
}

#[test]
fn the_gateway_of_this_tree() {
    let (tree, gateway) = (tree(), Gateway::new("/"));
    let hash = hash(&tree);
    assert_eq!(hash.len(), 64);
    gateway.version.lock().unwrap()["bundle"] = hash.into();
    gateway.seen.lock().unwrap().clear();
    let Output { code, out, err } = verify(&tree, &gateway, &["--env", "production"]);
    assert_eq!(code, 0, "{out}{err}");
    for part in [
        "ok    it serves the policies of policies",
        "ok    it is ready",
        "ok    120 calls refused as the policies say, on 10 routes",
        "it is as the policies say",
    ] {
        assert!(out.contains(part), "{part}\n{out}");
    }
    let seen = gateway.seen.lock().unwrap();
    for line in [
        "POST /pets/v1/pets ",
        "GET /pets/v1/pets/turnpike-verify ",
        "GET /v1/models ",
        "GET /v1/models/turnpike-verify ",
        "POST /_turnpike/limits ",
        "GET /_turnpike/denials ",
        "POST /_turnpike/denials ",
    ] {
        assert!(
            seen.iter().filter(|known| known.starts_with(line)).count() >= 12,
            "{line} {seen:?}"
        );
    }
}

#[test]
fn other_policies() {
    let (tree, gateway) = (tree(), Gateway::new("/"));
    let Output { code, out, .. } = verify(&tree, &gateway, &["--env", "dev"]);
    assert_eq!(code, 1);
    for part in [
        "FAIL  it serves the environment `production`, not `dev`",
        "FAIL  it serves other policies (00) than policies (",
        "skip  4 routes that may change something",
        "2 disagreements",
    ] {
        assert!(out.contains(part), "{part}\n{out}");
    }
    // What it does is not known, so nothing is tried that could change something.
    assert!(
        gateway
            .seen
            .lock()
            .unwrap()
            .iter()
            .all(|line| line.starts_with("GET "))
    );
}

#[test]
fn a_route_that_does_not_refuse() {
    let (tree, gateway) = (tree(), Gateway::new("/pets/v1/pets"));
    let hash = hash(&tree);
    let version = Arc::clone(&gateway.version);
    let late = thread::spawn(move || {
        thread::sleep(std::time::Duration::from_secs(1));
        version.lock().unwrap()["bundle"] = hash.into();
    });
    let Output { code, out, .. } = verify(&tree, &gateway, &["--wait", "60s"]);
    late.join().unwrap();
    assert_eq!(code, 1);
    assert!(out.contains("ok    it serves the policies"), "{out}");
    assert!(
        out.contains("FAIL  GET /pets/v1/pets: with no credential it answers 200; it must refuse, with 401 credential_missing"),
        "{out}"
    );
    assert!(
        out.contains("with a forged token of `acme` it answers 200"),
        "{out}"
    );
    let annotated = verify(&tree, &gateway, &["--format", "github"]);
    assert_eq!(annotated.code, 1);
    assert!(
        annotated
            .out
            .contains("::error title=turnpike verify::GET /pets/v1/pets: with no credential it answers 200"),
        "{}",
        annotated.out
    );
    let results = sarif(&verify(&tree, &gateway, &["--format", "sarif"]).out);
    assert!(results.iter().any(|one| one["level"] == "error"), "{results:#?}");
}

#[test]
fn the_root_of_a_document_is_called_by_the_path_of_its_version() {
    let tree = tree();
    tree.change("apis/pets/v1.yaml", "  /pets:\n", "  /:\n");
    let gateway = Gateway::new("/pets/v1");
    gateway.version.lock().unwrap()["bundle"] = hash(&tree).into();
    let Output { code, out, .. } = verify(&tree, &gateway, &["--env", "production"]);
    assert_eq!(code, 1, "{out}");
    assert!(
        out.contains("FAIL  GET /pets/v1: with no credential it answers 200; it must refuse, with 401 credential_missing"),
        "{out}"
    );
    for show in [
        &["show", "routes"][..],
        &["show", "inventory"],
        &["show", "effective"],
        &["show", "compliance"],
    ] {
        let out = tree.good(&[show, &["--env", "production"]].concat());
        assert!(
            out.contains("/pets/v1") && !out.contains("/pets/v1/ "),
            "{show:?} {out}"
        );
        assert!(
            !out.contains("/pets/v1/\n") && !out.contains("/pets/v1/`"),
            "{show:?} {out}"
        );
    }
}

/// A gateway of this tree, and what `verify` says of it in production.
fn judged(tree: &Tree, answers: Answers) -> (Gateway, Output) {
    let gateway = Gateway::answering("/", answers);
    gateway.version.lock().unwrap()["bundle"] = hash(tree).into();
    gateway.heads.lock().unwrap().clear();
    let output = verify(tree, &gateway, &["--env", "production"]);
    (gateway, output)
}

#[test]
fn keys_are_tried_wherever_the_policies_take_one() {
    let tree = tree();
    tree.change(
        "gateway.yaml",
        "floor:\n",
        "api_keys: { headers: [x-team-key], schemes: [Token], query: [key] }\nexceptions:\n  - { rule: query_credentials, for: gateway, reason: An SDK sends it there., until: 2099-12-31 }\nfloor:\n",
    );
    let (gateway, output) = judged(&tree, |_| None);
    assert_eq!(output.code, 0, "{}{}", output.out, output.err);
    let heads = gateway.heads.lock().unwrap();
    let calls = |part: &str| {
        let its = heads.iter().filter(|head| head.starts_with("GET /pets/v1/pets"));
        its.filter(|head| head.contains(part))
            .cloned()
            .collect::<Vec<_>>()
    };
    let ones = ["\nx-team-key: tpk_", "\nauthorization: token tpk_", "?key=tpk_"];
    for place in ones {
        for key in ["malformed", "turnpike-verify_"] {
            assert!(
                !calls(&format!("{place}{key}")).is_empty(),
                "{place}{key} {heads:#?}"
            );
        }
    }
    // The others are read nowhere now.
    assert!(calls("\nx-api-key:").is_empty());

    // A door for each place: a malformed key stays outside, one that nobody has does not.
    for (answers, said) in [
        (
            (|head| head.contains("\nx-team-key: tpk_turnpike").then_some((200, ""))) as Answers,
            "with a key that nobody has in `x-team-key` it answers 200",
        ),
        (
            |head| {
                head.contains("\nauthorization: token tpk_turnpike")
                    .then_some((200, ""))
            },
            "with a key that nobody has behind `Authorization: token` it answers 200",
        ),
        (
            |head| head.contains("?key=tpk_turnpike").then_some((200, "")),
            "with a key that nobody has in the parameter `key` it answers 200",
        ),
    ] {
        let (_, output) = judged(&tree, answers);
        assert_eq!(output.code, 1);
        let wrong: Vec<_> = output.out.lines().filter(|line| line.contains("FAIL")).collect();
        assert_eq!(wrong.len(), 10, "{}", output.out);
        assert!(
            wrong.iter().all(|line| line.contains(said)),
            "{said} {}",
            output.out
        );
    }
}

#[test]
fn tokens_are_tried_with_proofs_where_they_may_be_bound_to_a_key() {
    let tree = tree();
    tree.change(
        "gateway.yaml",
        "    max_lifetime: 15m\n",
        "    max_lifetime: 15m\n    dpop: accepted\n",
    );
    let (gateway, output) = judged(&tree, |_| None);
    assert_eq!(output.code, 0, "{}{}", output.out, output.err);
    assert!(output.out.contains("ok    140 calls"), "{}", output.out);
    let heads = gateway.heads.lock().unwrap();
    let proofs = heads.iter().filter_map(|head| header(head, "dpop"));
    let mut ids: Vec<_> = proofs.map(|proof| decoded(proof, 1)["jti"].to_string()).collect();
    assert!(ids.len() >= 20, "{ids:?}");
    ids.sort();
    ids.dedup();
    assert!(ids.len() >= 20, "each proof is another one: {ids:?}");

    // One that looks at the proof and not at the token; one that looks at neither.
    for (answers, wrong) in [
        (
            (|head| {
                (header(head, "dpop").is_some() && refusal(head) == "credential_invalid").then_some((200, ""))
            }) as Answers,
            &["with a forged token of `acme` and a proof of its key it answers 200"][..],
        ),
        (
            |head| header(head, "dpop").map(|_| (200, "")),
            &[
                "with a forged token of `acme` and a proof of its key it answers 200; it must refuse, with 401 credential_invalid",
                "with a forged token of `acme` and the proof of another key it answers 200; it must refuse, with 401 dpop_proof_invalid",
            ],
        ),
    ] {
        let (_, output) = judged(&tree, answers);
        assert_eq!(output.code, 1);
        let count = output.out.matches("FAIL").count();
        assert_eq!(count, 10 * wrong.len(), "{}", output.out);
        for said in wrong {
            assert!(output.out.contains(said), "{said} {}", output.out);
        }
    }
}

#[test]
fn what_cannot_be_shown_from_here_is_told() {
    let tree = tree();
    let (_, output) = judged(&tree, |_| None);
    assert!(!output.out.contains("client certificates"), "{}", output.out);
    tree.write(
        "consumers/reports.yaml",
        "consumer: reports\nowner: team-data\nplan: gold\ncredentials: [{ certificate: { spki_sha256: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08 } }]\nmay: [{ api: pets, operations: [listPets] }]\n",
    );
    tree.change(
        "gateway.yaml",
        "    max_lifetime: 15m\n",
        "    max_lifetime: 15m\n    certificate_bound: accepted\n    introspection: { endpoint: https://login.acme.example/introspect, client_id: gateway, secret: ACME_SECRET, prefix: opaque_ }\n",
    );
    let (_, output) = judged(&tree, |_| None);
    assert_eq!(output.code, 0, "{}{}", output.out, output.err);
    for part in [
        "skip  client certificates (of `reports`, to which tokens of `acme` are bound): a foreign one cannot be shown from here",
        "skip  opaque tokens of `acme`: ",
    ] {
        assert!(output.out.contains(part), "{part}\n{}", output.out);
    }
}

#[test]
fn keys_that_the_gateway_cannot_get_are_told_once_and_of_which_issuer() {
    let of_acme = |head: &str| {
        let token = header(head, "authorization")?.strip_prefix("Bearer ")?;
        let named =
            token.split('.').count() == 3 && decoded(token, 1)["iss"] == "https://login.acme.example/";
        named.then_some((503, "keys_unavailable"))
    };
    let (_, output) = judged(&tree(), of_acme);
    assert_eq!(output.code, 1, "{}", output.out);
    let wrong: Vec<_> = output.out.lines().filter(|line| line.contains("FAIL")).collect();
    assert_eq!(
        wrong,
        [
            "  FAIL  it cannot get the keys of `acme` from https://login.acme.example/jwks.json, so that its tokens are refused with 503 keys_unavailable, right ones too, on 10 routes: look whether they can be fetched from there"
        ]
    );
}

#[test]
fn what_cannot_be_asked() {
    let (tree, gateway) = (tree(), Gateway::new("/"));
    for (arguments, said) in [
        (&["verify", "http://127.0.0.1:1"][..], "http://127.0.0.1:1: "),
        (&["verify", "api.acme.example"], "is not the address of a gateway"),
        (
            &["verify", &format!("{}/x", gateway.address)],
            "is it the right address?",
        ),
        (
            &["verify", &gateway.address, "--env", "prod"],
            "did you mean `production`?",
        ),
    ] {
        let output = tree.run(arguments);
        assert_eq!(output.code, 2, "{arguments:?} {}", output.err);
        assert!(output.err.contains(said), "{arguments:?} {}", output.err);
    }
    let hosts = Tree::new();
    let output = verify(&hosts, &gateway, &["--env", "production"]);
    assert_eq!(output.code, 2);
    assert!(
        output.err.contains("`127.0.0.1` is not among the hosts"),
        "{}",
        output.err
    );
}

/// A host is one whatever stands behind it in the address.
#[test]
fn an_address_with_a_prefix_has_the_host_that_it_has() {
    let gateway = Gateway::new("/");
    let said = |hosts: &str| {
        let tree = Tree::new();
        tree.change("gateway.yaml", "hosts: [api.acme.example]", hosts);
        let address = format!("{}/behind", gateway.address);
        tree.run(&["verify", &address, "--env", "production"]).err
    };
    let other = said("hosts: [api.acme.example]");
    assert!(other.contains("`127.0.0.1` is not among the hosts"), "{other}");
    let known = said("hosts: [127.0.0.1]");
    assert!(!known.contains("is not among the hosts"), "{known}");
}

#[test]
fn what_is_denied_beside_the_policies_is_drift() {
    let (tree, gateway) = (tree(), Gateway::new("/"));
    tree.write(
        "consumers/oncall.yaml",
        "consumer: oncall\nowner: team-platform\nplan: gold\noperator: { deny: 7d }\n",
    );
    gateway.version.lock().unwrap()["bundle"] = hash(&tree).into();
    let verify = |credential: &str| {
        let mut command = tree.command(&["verify", &gateway.address]);
        command.env("TURNPIKE_TOKEN", credential);
        finish(command)
    };
    // Without a credential it cannot be seen, and that is said.
    let output = verify("");
    assert_eq!(output.code, 0, "{}{}", output.out, output.err);
    assert!(
        output
            .out
            .contains("skip  what is denied on it: set $TURNPIKE_TOKEN"),
        "{}",
        output.out
    );
    let output = verify("an-operator");
    assert_eq!(output.code, 0, "{}{}", output.out, output.err);
    assert!(
        output.out.contains("ok    nothing is denied on it"),
        "{}",
        output.out
    );
    let denial = |what: &str, value: &str, stands: bool| {
        json!({ "id": "x", "what": what, "value": value, "by": "oncall", "reason": "INC-1",
            "time": 1_800_000_000_000_u64, "until": 1_800_000_060_000_u64, "stands": stands })
    };
    *gateway.denials.lock().unwrap() = json!({ "denials": [
        denial("key", "7f3a", true), denial("consumer", "gone", true), denial("consumer", "oncall", false),
        denial("certificate", "CN=gone,O=Acme", true),
    ] });
    let output = verify("an-operator");
    assert_eq!(output.code, 1);
    for part in [
        "FAIL  key 7f3a is denied until 2027-01-15T08:01:00Z, by oncall: INC-1; the policies do not say so",
        "ok    consumer gone is denied, and these policies have it no more",
        "ok    certificate CN=gone,O=Acme is denied, and these policies have it no more",
        "1 disagreement",
    ] {
        assert!(output.out.contains(part), "{part}\n{}", output.out);
    }
    assert!(!output.out.contains("consumer oncall"), "{}", output.out);
    let output = verify("somebody");
    assert_eq!(output.code, 1);
    assert!(
        output.out.contains("FAIL  what is denied on it cannot be seen"),
        "{}",
        output.out
    );
}

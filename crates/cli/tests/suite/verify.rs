//! `turnpike verify`: a gateway that runs, right and wrong.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::{Value, json};

use crate::common::{Output, Tree, finish, sarif};

/// A gateway that answers as it is told, and remembers what it was asked.
struct Gateway {
    address: String,
    version: Arc<Mutex<Value>>,
    seen: Arc<Mutex<Vec<String>>>,
    /// What operators see of its denials.
    denials: Arc<Mutex<Value>>,
}

impl Gateway {
    /// `open` is a path that it answers to everybody.
    fn new(open: &'static str) -> Self {
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
                let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
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
                    if shielded {
                        let code = if text.contains("authorization:") {
                            "credential_invalid"
                        } else {
                            "credential_missing"
                        };
                        (401, json!({ "code": code }).to_string())
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
            denials,
        }
    }
}

fn tree() -> Tree {
    let tree = Tree::new();
    tree.change("gateway.yaml", "hosts: [api.acme.example]\n", "");
    tree
}

fn verify(tree: &Tree, gateway: &Gateway, more: &[&str]) -> Output {
    tree.run(&[&["verify", &gateway.address], more].concat())
}

/// The hash of the tree, as the command tells it.
fn hash(tree: &Tree, gateway: &Gateway) -> String {
    let output = verify(tree, gateway, &["--format", "json"]);
    let json: Value = serde_json::from_str(&output.out).unwrap();
    json["tree"]["bundle"].as_str().unwrap().to_owned()
}

#[test]
fn the_gateway_of_this_tree() {
    let (tree, gateway) = (tree(), Gateway::new("/"));
    let hash = hash(&tree, &gateway);
    assert_eq!(hash.len(), 64);
    gateway.version.lock().unwrap()["bundle"] = hash.into();
    gateway.seen.lock().unwrap().clear();
    let Output { code, out, err } = verify(&tree, &gateway, &["--env", "production"]);
    assert_eq!(code, 0, "{out}{err}");
    for part in [
        "ok    it serves the policies of policies",
        "ok    it is ready",
        "ok    60 calls refused as the policies say, on 10 routes",
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
            seen.iter().filter(|known| known.starts_with(line)).count() >= 5,
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
    let hash = hash(&tree, &gateway);
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
    assert!(out.contains("with a forged token it answers 200"), "{out}");
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

#[test]
fn what_is_denied_beside_the_policies_is_drift() {
    let (tree, gateway) = (tree(), Gateway::new("/"));
    tree.write(
        "consumers/oncall.yaml",
        "consumer: oncall\nowner: team-platform\nplan: gold\noperator: { deny: 7d }\n",
    );
    gateway.version.lock().unwrap()["bundle"] = hash(&tree, &gateway).into();
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

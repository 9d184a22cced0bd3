//! The `turnpike` command as people run it: arguments in; text, exit code and files out.
#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use base64ct::{Base64UrlUnpadded, Encoding as _};
use ed25519_dalek::{Signature, VerifyingKey};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

const GATEWAY: &str = "\
gateway: test
issuers:
  development:
    environments: [dev]
    issuer: https://development.test/
    audience: [https://api.test, https://other.test]
    algorithms: [EdDSA]
    consumer: azp
    max_lifetime: 30m
    jwks: development
environments:
  dev: { development_issuer: allowed }
  production: {}
";
const PLAN: &str = "plan: free\nlimits:\n  - { rate: 5/s }\n";
const MOBILE: &str = "\
# Who it is.
consumer: mobile-app
owner: team-mobile  # ask them
plan: free
environments: [dev]
credentials:
  - jwt: { issuer: development, is: 0oa1b2c3 }  # their token
may:
  - { apis: all }
";
const BATCH: &str = "consumer: batch\nowner: team-batch\nplan: free\nmay: []\n";

/// A tree of policies in a folder of its own.
struct Tree {
    folder: TempDir,
}

struct Output {
    code: i32,
    out: String,
    err: String,
}

impl Tree {
    fn new() -> Self {
        let tree = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        tree.write("gateway.yaml", GATEWAY);
        tree.write("plans/free.yaml", PLAN);
        tree.write("consumers/mobile-app.yaml", MOBILE);
        tree.write("consumers/batch.yaml", BATCH);
        tree
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("policies").join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        fs::write(self.path(name), text).unwrap();
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    fn key(&self) -> PathBuf {
        self.folder.path().join("key").join("issuer.json")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_turnpike"));
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env("TURNPIKE_DEVELOPMENT_KEY", self.key())
            .env_remove("POLICIES")
            .env_remove("NO_COLOR")
            .env_remove("CLICOLOR_FORCE");
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        finish(self.command(arguments))
    }
}

fn finish(mut command: Command) -> Output {
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Output {
        code: output.status.code().unwrap(),
        out: text(output.stdout),
        err: text(output.stderr),
    }
}

/// Header and claims of a token whose signature is that of the public key.
fn open(token: &str, key: &Value) -> (Value, Value) {
    let parts: Vec<&str> = token.split('.').collect();
    let [header, claims, signature] = parts[..] else {
        panic!("not a token: {token}")
    };
    let decode = |part: &str| Base64UrlUnpadded::decode_vec(part).unwrap();
    let public = decode(key["x"].as_str().unwrap()).try_into().unwrap();
    VerifyingKey::from_bytes(&public)
        .unwrap()
        .verify_strict(
            format!("{header}.{claims}").as_bytes(),
            &Signature::from_slice(&decode(signature)).unwrap(),
        )
        .unwrap();
    let json = |part| serde_json::from_slice(&decode(part)).unwrap();
    (json(header), json(claims))
}

fn token(tree: &Tree, arguments: &[&str]) -> (Value, Value) {
    let output = tree.run(&[&["token", "--consumer", "mobile-app"], arguments].concat());
    assert_eq!((output.code, output.err.as_str()), (0, ""), "{}", output.err);
    let token = output.out.strip_suffix('\n').unwrap();
    assert!(
        !token.contains(char::is_whitespace),
        "one line with one token: {token:?}"
    );
    let key: Value = serde_json::from_slice(&fs::read(tree.key()).unwrap()).unwrap();
    let (header, claims) = open(token, &key);
    assert_eq!(header["kid"], key["kid"]);
    (header, claims)
}

#[test]
fn a_token_of_the_development_issuer() {
    let tree = Tree::new();
    let (header, claims) = token(&tree, &[]);
    assert_eq!(
        (&header["alg"], &header["typ"]),
        (&"EdDSA".into(), &"at+jwt".into())
    );
    assert_eq!(claims["iss"], "https://development.test/");
    assert_eq!(claims["aud"], "https://api.test");
    assert_eq!(claims["azp"], "0oa1b2c3", "the claim that names the consumer");
    assert_eq!(claims["client_id"], "0oa1b2c3");
    assert_eq!(claims["sub"], "0oa1b2c3");
    let (issued, expires) = (claims["iat"].as_u64().unwrap(), claims["exp"].as_u64().unwrap());
    assert_eq!(expires - issued, 30 * 60, "an hour, but for the issuer's bound");
    assert!(claims.get("scope").is_none());
    let (_, other) = token(&tree, &[]);
    assert_ne!(claims["jti"], other["jti"]);
}

#[test]
fn what_a_token_carries() {
    let tree = Tree::new();
    let (_, claims) = token(
        &tree,
        &[
            "--scope",
            "pets:read",
            "--scope",
            "pets:write",
            "--expires",
            "90s",
            "--claim",
            "department=stores",
            "--claim",
            "level:=3",
            "--claim",
            "sub=user-7",
        ],
    );
    assert_eq!(claims["scope"], "pets:read pets:write");
    assert_eq!(
        claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap(),
        90
    );
    assert_eq!(claims["department"], "stores");
    assert_eq!(claims["level"], 3);
    assert_eq!(claims["sub"], "user-7");
    assert_eq!(claims["client_id"], "0oa1b2c3");
}

#[test]
fn the_policies_are_found_by_option_and_variable() {
    let tree = Tree::new();
    let elsewhere = tempfile::tempdir().unwrap();
    let mut command = tree.command(&["token", "--consumer", "mobile-app"]);
    command.current_dir(elsewhere.path());
    let output = finish(command);
    assert_eq!(output.code, 2);
    assert!(
        output.err.contains("there is no folder of policies at policies"),
        "{}",
        output.err
    );

    let policies = tree.path("");
    let mut command = tree.command(&["token", "--consumer", "mobile-app"]);
    command.current_dir(elsewhere.path()).env("POLICIES", &policies);
    assert_eq!(finish(command).code, 0);

    let mut command = tree.command(&["token", "--consumer", "mobile-app", "--policies"]);
    command
        .arg(&policies)
        .current_dir(elsewhere.path())
        .env("POLICIES", "nowhere");
    assert_eq!(finish(command).code, 0);
}

#[test]
fn a_token_that_must_be_bound_is_bound_or_not_made() {
    let tree = Tree::new();
    let gateway = tree.path("gateway.yaml");
    let text = std::fs::read_to_string(&gateway).unwrap();
    let bound = text.replace("jwks: development", "jwks: development\n    dpop: required");
    assert_ne!(text, bound);
    std::fs::write(&gateway, bound).unwrap();
    let output = tree.run(&["token", "--consumer", "mobile-app"]);
    assert_eq!((output.code, output.out.as_str()), (2, ""));
    assert!(
        output
            .err
            .contains("`dpop: required`: its tokens are bound to a key"),
        "{}",
        output.err
    );
    let cnf = r#"cnf:={"jkt":"0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}"#;
    let (_, claims) = token(&tree, &["--claim", cnf]);
    assert_eq!(
        claims["cnf"]["jkt"],
        "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"
    );
}

#[test]
fn why_there_is_no_token() {
    let tree = Tree::new();
    for (arguments, said) in [
        (&["--consumer", "mobil-app"][..], "did you mean `mobile-app`?"),
        (
            &["--consumer", "batch"],
            "jwt: { issuer: development, is: batch }",
        ),
        (
            &["--consumer", "batch", "--env", "production"],
            "has no development issuer",
        ),
        (
            &["--consumer", "mobile-app", "--env", "production"],
            "there is no consumer `mobile-app`",
        ),
        (
            &["--consumer", "mobile-app", "--expires", "31m"],
            "`max_lifetime`",
        ),
        (&["--consumer", "mobile-app", "--expires", "31"], "30m"),
        (
            &["--consumer", "mobile-app", "--claim", "azp=other"],
            "use --consumer",
        ),
        (&["--consumer", "mobile-app", "--claim", "exp=1"], "use --expires"),
        (&["--consumer", "mobile-app", "--claim", "x"], "NAME=TEXT"),
        (&["--consumer", "mobile-app", "--scope", "a b"], "one word"),
        (&[], "--consumer"),
    ] {
        let output = tree.run(&[&["token"], arguments].concat());
        assert_eq!(
            (output.code, output.out.as_str()),
            (2, ""),
            "{arguments:?} {}",
            output.err
        );
        assert!(output.err.contains(said), "{arguments:?}: {}", output.err);
    }
}

#[test]
fn a_token_needs_no_more_than_who_calls() {
    let tree = Tree::new();
    let plan = tree.read("plans/free.yaml");
    for broken in ["plan: free\nlimits: [\n", "plan: free\nlimitz: []\n"] {
        tree.write("plans/free.yaml", broken);
        let output = tree.run(&["token", "--consumer", "mobile-app"]);
        assert_eq!(
            (output.code, output.out.matches('.').count()),
            (0, 2),
            "{}",
            output.err
        );
        assert!(
            output
                .err
                .contains("none about who calls: `turnpike check` shows them"),
            "{}",
            output.err
        );
    }
    tree.write("plans/free.yaml", &plan);
    // Who is known by the same cannot be told apart.
    tree.write("consumers/zeta.yaml", &MOBILE.replace("mobile-app", "zeta"));
    let output = tree.run(&["token", "--consumer", "mobile-app"]);
    assert_eq!((output.code, output.out.as_str()), (1, ""));
    assert!(
        output.err.contains("policies/consumers/zeta.yaml:") && output.err.contains("mend these first"),
        "{}",
        output.err
    );
}

#[test]
fn an_environment_that_is_not_there() {
    let tree = Tree::new();
    for command in [&["token", "--consumer", "mobile-app"][..], &["check"]] {
        for (name, said) in [
            ("prod", "did you mean `production`?"),
            ("prodution", "did you mean `production`?"),
            ("test", "there are: dev, production"),
        ] {
            let output = tree.run(&[command, &["--env", name]].concat());
            assert_eq!((output.code, output.out.as_str()), (2, ""), "{command:?}");
            let missing = format!("there is no environment `{name}` in policies");
            assert!(
                output.err.contains(&missing) && output.err.contains(said),
                "{command:?}: {}",
                output.err
            );
        }
    }
    // Where the environments cannot be read, that is what is said.
    tree.write("gateway.yaml", "gateway: [\n");
    let output = tree.run(&["check", "--env", "prod"]);
    assert_eq!(output.code, 1);
    assert!(
        output.out.contains("policies/gateway.yaml:1:10"),
        "{}",
        output.out
    );
}

#[test]
fn a_damaged_development_key_is_not_replaced() {
    let tree = Tree::new();
    fs::create_dir_all(tree.key().parent().unwrap()).unwrap();
    fs::write(tree.key(), "{}").unwrap();
    let output = tree.run(&["token", "--consumer", "mobile-app"]);
    assert_eq!((output.code, output.out.as_str()), (2, ""));
    assert!(
        output.err.contains("issuer.json") && output.err.contains("move it away"),
        "{}",
        output.err
    );
    assert_eq!(fs::read_to_string(tree.key()).unwrap(), "{}");
}

#[test]
fn policies_that_are_right() {
    let tree = Tree::new();
    tree.write(
        "consumers/batch.yaml",
        &MOBILE.replace("mobile-app", "batch").replace("0oa1b2c3", "b"),
    );
    let output = tree.run(&["check"]);
    assert_eq!((output.code, output.err.as_str()), (0, ""), "{}", output.out);
    let last = output.out.lines().last().unwrap();
    assert!(
        last.starts_with("0 errors, ") && last.ends_with(" in 4 files"),
        "{last}"
    );
    assert!(
        !output.out.contains('\x1b'),
        "no colour where it is not a terminal"
    );
}

#[test]
fn colour_is_for_those_who_want_it() {
    let tree = Tree::new();
    tree.write("plans/free.yaml", "plan: free\n");
    let coloured = |variables: &[(&str, &str)]| {
        let mut command = tree.command(&["check"]);
        command.envs(variables.iter().copied());
        finish(command).out.contains('\x1b')
    };
    assert!(!coloured(&[]));
    assert!(coloured(&[("CLICOLOR_FORCE", "1")]));
    assert!(!coloured(&[("NO_COLOR", "1")]));
}

#[test]
fn every_fault_at_once_and_where_it_holds() {
    let tree = Tree::new();
    tree.write(
        "plans/free.yaml",
        "plan: free\nlimits:\n  - { rate: 5 }\n  - { rat: 5/s }\n",
    );
    tree.write(
        "consumers/mobile-app.yaml",
        &MOBILE.replace("issuer: development", "issuer: developmen"),
    );
    let output = tree.run(&["check"]);
    assert_eq!(output.code, 1);
    for said in [
        "policies/plans/free.yaml:3:",
        "policies/plans/free.yaml:4:",
        "did you mean `development`?",
    ] {
        assert!(output.out.contains(said), "{said}\n{}", output.out);
    }
    assert_eq!(
        output.out.matches("policies/plans/free.yaml:3:").count(),
        1,
        "once: {}",
        output.out
    );
    assert!(output.out.contains("= note: in dev\n"), "{}", output.out);
    let production = tree.run(&["check", "--env", "production"]);
    assert!(!production.out.contains("developmen"), "{}", production.out);
    assert_eq!(production.code, 1);
}

#[test]
fn dates_are_those_of_the_day_asked_for() {
    let tree = Tree::new();
    let hash = "0".repeat(64);
    let key = format!("credentials:\n  - key: {{ sha256: {hash}, expires: 2030-06-30 }}\n");
    tree.write("consumers/batch.yaml", &format!("{BATCH}{key}"));
    let code = |day: &str| tree.run(&["check", "--as-of", day]).code;
    assert_eq!(code("2030-01-01"), 0);
    assert_eq!(code("2031-01-01"), 1);
    assert_eq!(code("2031-02-29"), 2);
    assert!(
        tree.run(&["check", "--as-of", "2030-06-15"])
            .out
            .contains("warning")
    );
}

#[test]
fn what_is_no_policy_tree() {
    let tree = Tree::new();
    fs::remove_file(tree.path("gateway.yaml")).unwrap();
    let output = tree.run(&["check"]);
    assert_eq!(output.code, 1);
    assert!(output.out.contains("gateway.yaml"), "{}", output.out);
    let output = tree.run(&["check", "--policies", "nowhere"]);
    assert_eq!(output.code, 2);
    assert!(output.err.contains("--policies DIR"), "{}", output.err);
}

fn sha256(text: &str) -> String {
    Sha256::digest(text.as_bytes())
        .iter()
        .fold(String::new(), |mut hex, byte| {
            write!(hex, "{byte:02x}").unwrap();
            hex
        })
}

#[test]
fn a_key_is_shown_once_and_its_hash_is_kept() {
    let tree = Tree::new();
    let output = tree.run(&[
        "new",
        "key",
        "--consumer",
        "mobile-app",
        "--expires",
        "2999-01-01",
        "--scope",
        "pets:write",
        "--scope",
        "pets:read",
    ]);
    assert_eq!(output.code, 0, "{}", output.err);
    let key = output.out.strip_suffix('\n').unwrap();
    let [prefix, id, secret] = key.split('_').collect::<Vec<_>>()[..] else {
        panic!("{key}")
    };
    assert_eq!((prefix, id.len(), secret.len()), ("tpk", 8, 32));
    assert!(!output.err.contains(secret));

    let item = format!(
        "  - key: {{ sha256: {}, expires: 2999-01-01, scopes: [pets:read, pets:write] }}  # tpk_{id}\n",
        sha256(key)
    );
    let jwt = "  - jwt: { issuer: development, is: 0oa1b2c3 }  # their token\n";
    let text = tree.read("consumers/mobile-app.yaml");
    assert_eq!(
        text,
        MOBILE.replace(jwt, &format!("{jwt}{item}")),
        "nothing else changes"
    );
    assert_eq!(tree.run(&["check"]).code, 0);
    assert_eq!(
        fs::read_dir(tree.path("consumers")).unwrap().count(),
        2,
        "nothing stays behind"
    );

    let second = tree.run(&["new", "key", "--consumer", "mobile-app"]);
    assert_eq!(second.code, 0, "{}", second.err);
    assert_ne!(second.out, output.out);
    assert_eq!(tree.run(&["check"]).code, 0);
}

#[test]
fn scopes_are_repeated_or_separated_by_commas() {
    for arguments in [
        &["--scope", "pets:write,pets:read"][..],
        &["--scope", "pets:write", "--scope", "pets:read"],
        &["--scope=pets:read", "--scope=pets:write,pets:read"],
    ] {
        let tree = Tree::new();
        let output = tree.run(&[&["new", "key", "--consumer", "batch"], arguments].concat());
        assert_eq!(output.code, 0, "{arguments:?} {}", output.err);
        let text = tree.read("consumers/batch.yaml");
        assert!(
            text.contains("scopes: [pets:read, pets:write] }"),
            "{arguments:?}: {text}"
        );
    }
    let (_, claims) = token(&Tree::new(), &["--scope", "pets:read,pets:write"]);
    assert_eq!(claims["scope"], "pets:read pets:write");
}

#[test]
fn a_first_credential() {
    let tree = Tree::new();
    let output = tree.run(&["new", "key", "--consumer", "batch"]);
    assert_eq!(output.code, 0, "{}", output.err);
    let (key, id) = (output.out.trim(), &output.out[..12]);
    let written = tree.read("consumers/batch.yaml");
    // Nothing was said, so it ends in a year: one that never ends is warned of.
    let expires = written.split("expires: ").nth(1).map_or("", |rest| &rest[..10]);
    let year: u32 = expires[..4].parse().unwrap();
    assert!((2027..2200).contains(&year), "{written}");
    assert_eq!(
        written,
        BATCH.replace(
            "may:",
            &format!(
                "credentials:\n  - key: {{ sha256: {}, expires: {expires} }}  # {id}\nmay:",
                sha256(key)
            )
        )
    );
    let check = tree.run(&["check"]);
    assert!(
        !check.err.contains("P1603") && !check.out.contains("P1603"),
        "{}",
        check.err
    );
}

#[test]
fn why_there_is_no_key() {
    let tree = Tree::new();
    for (arguments, said) in [
        (&["--consumer", "mobil-app"][..], "did you mean `mobile-app`?"),
        (&["--consumer", "../consumers/batch"], "there is no consumer"),
        (&["--consumer", "batch", "--expires", "2020-01-01"], "is over"),
        (
            &["--consumer", "batch", "--expires", "2030-01-01, x: y"],
            "2027-06-30",
        ),
        (&["--consumer", "batch", "--scope", "a b"], "one word"),
        (&["--consumer", "batch", "--scope", "a,"], "one word"),
        (
            &["--consumer", "batch", "--scope", "a, b"],
            "put commas between them",
        ),
    ] {
        let output = tree.run(&[&["new", "key"], arguments].concat());
        assert_eq!(
            (output.code, output.out.as_str()),
            (2, ""),
            "{arguments:?} {}",
            output.err
        );
        assert!(output.err.contains(said), "{arguments:?}: {}", output.err);
    }
    assert_eq!(tree.read("consumers/mobile-app.yaml"), MOBILE);
    assert_eq!(tree.read("consumers/batch.yaml"), BATCH);
}

#[test]
fn policies_with_errors_get_no_key() {
    let tree = Tree::new();
    tree.write("plans/free.yaml", "plan: free\n");
    let output = tree.run(&["new", "key", "--consumer", "batch"]);
    assert_eq!((output.code, output.out.as_str()), (1, ""));
    assert!(output.err.contains("limits"), "{}", output.err);
    assert_eq!(tree.read("consumers/batch.yaml"), BATCH);
}

#[test]
fn what_the_policies_would_refuse_is_taken_back() {
    let tree = Tree::new();
    let looks_like_a_secret = format!("ghp_{}", "a".repeat(36));
    let output = tree.run(&[
        "new",
        "key",
        "--consumer",
        "batch",
        "--scope",
        &looks_like_a_secret,
    ]);
    assert_eq!((output.code, output.out.as_str()), (1, ""));
    assert!(output.err.contains("nothing was changed"), "{}", output.err);
    assert_eq!(tree.read("consumers/batch.yaml"), BATCH);
}

#[test]
fn a_file_that_is_not_understood_is_left_alone() {
    let tree = Tree::new();
    let odd = BATCH.replace("may: []", "may: []\ncredentials: [\n  # none yet\n]");
    tree.write("consumers/batch.yaml", &odd);
    let output = tree.run(&["new", "key", "--consumer", "batch"]);
    assert_eq!(output.code, 2);
    assert!(output.err.contains("batch.yaml is not edited"), "{}", output.err);
    let key = output.out.trim();
    assert!(
        output.err.contains(&sha256(key)) && !output.err.contains(key),
        "{}",
        output.err
    );
    assert_eq!(tree.read("consumers/batch.yaml"), odd);
}

#[cfg(unix)]
#[test]
fn links_and_modes_stay_as_they_are() {
    use std::os::unix::fs::PermissionsExt as _;

    let tree = Tree::new();
    let file = tree.path("consumers/batch.yaml");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    assert_eq!(tree.run(&["new", "key", "--consumer", "batch"]).code, 0);
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o640);
}

#[test]
fn help_teaches() {
    let tree = Tree::new();
    let help = tree.run(&["--help"]);
    assert_eq!(help.code, 0);
    for said in ["check", "token", "new", "Exit codes:"] {
        assert!(help.out.contains(said), "{said}\n{}", help.out);
    }
    let version = tree.run(&["--version"]);
    assert_eq!(version.out, format!("turnpike {}\n", env!("CARGO_PKG_VERSION")));
    assert_eq!(tree.run(&["chek"]).code, 2);
    assert_eq!(tree.run(&[]).code, 2);
    for subcommand in [&["check"][..], &["token"], &["new", "key"]] {
        let help = tree.run(&[subcommand, &["--help"]].concat());
        assert!(help.out.contains("Usage: turnpike"), "{}", help.out);
    }
}

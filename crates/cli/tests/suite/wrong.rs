//! What people type who mean something else: each is told where it is wrong and what to do, by the exit code that
//! docs/cli.md gives it, and nothing is changed.

use std::fs;

use crate::common::Tree;

const API: &str =
    "openapi: 3.1.0\ninfo: { title: A, version: '1' }\nservers: [{ url: 'https://a.example' }]\npaths: {}\n";

/// A call, its exit code, and what standard error must hold.
struct Case(&'static [&'static str], i32, &'static [&'static str]);

#[rustfmt::skip]
const CASES: &[Case] = &[
    // explain
    Case(&["explain", "GET", "pets/v1/pets"], 2, &["`pets/v1/pets` is no URL", "write a path (/petstore/v1/pets)"]),
    Case(&["explain", "GET", "https:///pets"], 2, &["`https:///pets` is no URL", "write a path"]),
    Case(&["explain", "/pets/v1/pets"], 2, &["`/pets/v1/pets` is a URL", "turnpike explain GET /pets/v1/pets"]),
    Case(&["explain", "get"], 2, &["`get` is a method", "write its method and its URL: turnpike explain get /"]),
    Case(&["explain", "P0310"], 2, &["there is no code `P0310`", "did you mean `P0"]),
    Case(&["explain", "nothing"], 2, &["there is no code `nothing`", "docs/diagnostics.md", "turnpike explain GET /"]),
    Case(&["explain", "GET", "/pets/v1/pets", "--as", "ap"], 2, &["there is no consumer `ap` in the environment `dev`", "did you mean `app`?"]),
    Case(&["explain", "GET", "/pets/v1/pets", "--env", "prod"], 2, &["there is no environment `prod` in policies", "did you mean `production`?"]),
    Case(&["explain", "POST", "/pets/v1/pets", "--json", "{name: Rex}"], 2, &["--json is not JSON", "in single quotes"]),
    Case(&["explain", "GET", "/pets/v1/pets", "--policies", "empty"], 1, &["empty/gateway.yaml", "the tree has no `gateway.yaml`", "is this the folder of a policy tree?"]),
    Case(&["explain", "GET", "/pets/v1/pets", "--policies", "a.yaml"], 2, &["a.yaml is a file", "name the one in which `gateway.yaml` lies"]),
    Case(&["explain", "GET", "/pets/v1/pets", "--policies", "none"], 2, &["there is no folder of policies at none", "--policies DIR"]),
    // test
    Case(&["test", "nothing"], 2, &["no test has `nothing`", "`turnpike test` without it"]),
    Case(&["test", "--env", "prod"], 2, &["there is no environment `prod`", "did you mean `production`?"]),
    Case(&["test", "--env", "dev", "--against", "api.acme.example"], 2, &["`api.acme.example` is not the address of a gateway", "write https://api.acme.example"]),
    Case(&["test", "--against", "https://api.acme.example"], 2, &["--env <NAME>"]),
    Case(&["test", "--env", "dev", "--against", "http://127.0.0.1:1", "--credentials", "none.yaml"], 2, &["cannot read none.yaml", "look whether it is called so"]),
    Case(&["test", "--env", "dev", "--against", "http://127.0.0.1:1", "--credentials", "empty"], 2, &["cannot read empty", "it is a folder: name a file in it"]),
    Case(&["test", "--env", "dev", "--against", "http://127.0.0.1:1", "--credentials", "text"], 2, &["text: it is not a map", "write for example `demo: $DEMO_TOKEN`"]),
    Case(&["test", "--env", "dev", "--against", "http://127.0.0.1:1", "--credentials", "unset.yaml"], 2, &["unset.yaml: the credential of `app` is in $TURNPIKE_NEVER_SET", "export it"]),
    Case(&["test", "--junit", "none/report.xml"], 2, &["cannot write none/report.xml", "its folder is not there"]),
    Case(&["test", "--junit", "empty"], 2, &["cannot write empty", "name a file in it"]),
    Case(&["test", "--policies", "empty"], 1, &["empty/gateway.yaml", "mend these first, then test"]),
    // show
    Case(&["show", "inventroy"], 2, &["'inventroy'", "'inventory'"]),
    Case(&["show", "effective", "pets/v1#listPet"], 2, &["there is no operation or model `pets/v1#listPet`", "did you mean `pets/v1#listPets`?"]),
    Case(&["show", "effective", "--as", "ap"], 2, &["there is no consumer `ap`", "did you mean `app`?"]),
    Case(&["show", "routes", "pets"], 2, &["`pets` is for `turnpike show effective` alone", "turnpike show effective pets"]),
    Case(&["show", "routes", "--as", "app"], 2, &["`--as app` is for", "turnpike show effective --as app"]),
    Case(&["show", "consumers", "--env", "prod"], 2, &["there is no environment `prod`", "did you mean `production`?"]),
    Case(&["show", "compliance", "--policies", "empty"], 1, &["empty/gateway.yaml", "is this the folder of a policy tree?"]),
    Case(&["show", "limits", "--as-of", "2027-13-01"], 2, &["`2027-13-01` is not a date", "write a day as `2027-06-30`"]),
    Case(&["show", "inventory"], 0, &["policies has no commit in Git"]),
    Case(&["show", "compliance"], 0, &["policies has no commit in Git"]),
    // new
    Case(&["new", "model", "a", "--owner", "a", "--to", "openai/gpt-5=0"], 2, &["0 is no weight: openai/gpt-5 would get no call; leave it out"]),
    Case(&["new", "model", "a", "--owner", "a", "--to", "openai/gpt-5=half"], 2, &["`half` is no weight", "a whole number from 1 on"]),
    Case(&["new", "api", "Orders", "--from", "a.yaml", "--owner", "a", "--upstream", "https://a.example"], 2, &["'Orders'", "lower case letters"]),
    Case(&["new", "api", "orders", "--from", "none.yaml", "--owner", "a", "--upstream", "https://a.example"], 2, &["cannot read none.yaml", "look whether it is called so"]),
    Case(&["new", "api", "orders", "--from", "empty", "--owner", "a", "--upstream", "https://a.example"], 2, &["cannot read empty", "name a file in it"]),
    Case(&["new", "api", "orders", "--from", "text", "--owner", "a", "--upstream", "https://a.example"], 2, &["text is no OpenAPI document", "`openapi: 3...`"]),
    Case(&["new", "api", "orders", "--from", "a.yaml", "--upstream", "https://a.example"], 2, &["`orders` is a new API", "--owner"]),
    Case(&["new", "api", "orders", "--from", "a.yaml", "--owner", "a", "--upstream", "a.example"], 1, &["policies/apis/orders/api.yaml:9:15", "write for example `https://", "nothing was changed"]),
    Case(&["new", "api", "pets", "--from", "a.yaml", "--upstream", "https://a.example"], 2, &["policies/apis/pets/v1.yaml exists", "choose another --version"]),
    Case(&["new", "api", "orders", "--from", "a.yaml", "--owner", "a", "--upstream", "https://a.example", "--policies", "empty"], 1, &["empty/gateway.yaml", "without it too: mend these first; nothing was changed"]),
    Case(&["new", "model", "chat", "--owner", "a", "--to", "openai/gpt"], 2, &["policies/models/chat.yaml exists", "choose another name"]),
    Case(&["new", "model", "writer", "--owner", "a", "--to", "gpt"], 2, &["'gpt'", "write PROVIDER/MODEL"]),
    Case(&["new", "model", "writer", "--owner", "a", "--to", "opnai/gpt"], 1, &["there is no provider `opnai`", "`openai`", "nothing was changed"]),
    Case(&["new", "consumer", "x", "--owner", "a", "--plan", "glod"], 1, &["there is no plan `glod`", "did you mean `gold`?", "nothing was changed"]),
    Case(&["new", "consumer", "x", "--owner", "a", "--plan", "gold", "--api", "pet"], 1, &["there is no API `pet`", "did you mean `pets`?", "nothing was changed"]),
    Case(&["new", "consumer", "x", "--owner", "a", "--plan", "gold", "--jwt", "acme"], 2, &["write ISSUER=VALUE"]),
    Case(&["new", "consumer", "x", "--owner", "a", "--plan", "gold", "--environments", "prod"], 1, &["there is no environment `prod`", "did you mean `production`?"]),
    Case(&["new", "key", "--consumer", "ap"], 2, &["there is no consumer `ap` in policies", "did you mean `app`?"]),
    Case(&["new", "key", "--consumer", "app", "--expires", "2020-01-01"], 2, &["2020-01-01 is over", "leave --expires out"]),
    // verify
    Case(&["verify", "api.acme.example"], 2, &["`api.acme.example` is not the address of a gateway", "write https://api.acme.example"]),
    Case(&["verify", "localhost:8787"], 2, &["write http://localhost:8787"]),
    Case(&["verify", "ftp://api.acme.example"], 2, &["write for example https://api.acme.example"]),
    Case(&["verify", "http://127.0.0.1:1"], 2, &["http://127.0.0.1:1: ", "whether the gateway runs there"]),
    Case(&["verify", "http://127.0.0.1:1", "--env", "prod"], 2, &["there is no environment `prod`", "did you mean `production`?"]),
    Case(&["verify", "http://127.0.0.1:1", "--wait", "5"], 2, &["'5'", "write for example 90s"]),
    Case(&["verify", "http://127.0.0.1:1", "--policies", "none"], 2, &["there is no folder of policies at none", "--policies DIR"]),
    // import
    Case(&["import", "tyk", "a.yaml", "--into", "new", "--owner", "a"], 2, &["'tyk'", "kong, krakend, openapi"]),
    Case(&["import", "kong", "none.yaml", "--into", "new", "--owner", "a"], 2, &["cannot read none.yaml", "look whether it is called so"]),
    Case(&["import", "kong", "empty", "--into", "new", "--owner", "a"], 2, &["cannot read empty", "name a file in it"]),
    Case(&["import", "kong", "a.yaml", "--into", "new", "--owner", "a"], 2, &["a.yaml: it is no configuration of Kong", "`services`", "deck gateway dump"]),
    Case(&["import", "krakend", "a.yaml", "--into", "new", "--owner", "a"], 2, &["a.yaml: it is no configuration of KrakenD", "`endpoints`", "krakend.json"]),
    Case(&["import", "openapi", "text", "--into", "new", "--owner", "a"], 2, &["text: it is no OpenAPI document", "`openapi: 3...`"]),
    Case(&["import", "openapi", "a.yaml", "--into", "policies", "--owner", "a"], 2, &["policies/gateway.yaml exists", "import into a new folder"]),
    Case(&["import", "openapi", "a.yaml", "--into", "text", "--owner", "a"], 2, &["cannot write text", "name another place"]),
    // diff, which asks Git
    Case(&["diff", "HEAD"], 2, &["`HEAD` cannot be compared", "policies is in no repository of Git", "name a folder or a bundle"]),
];

#[test]
fn each_is_told_where_and_what_to_do() {
    let tree = Tree::new();
    let folder = tree.folder.path();
    fs::create_dir(folder.join("empty")).unwrap();
    for (name, text) in [
        ("a.yaml", API),
        ("text", "just some words\n"),
        ("unset.yaml", "app: $TURNPIKE_NEVER_SET\n"),
    ] {
        fs::write(folder.join(name), text).unwrap();
    }
    tree.write(
        "tests/first.yaml",
        "- { name: nobody, request: { get: /pets/v1/pets }, expect: { status: 401 } }\n",
    );
    let files = || {
        let mut all = Vec::new();
        let mut folders = vec![folder.to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path.clone());
                }
                all.push((path.clone(), fs::read(&path).ok()));
            }
        }
        all.sort();
        all
    };
    let before = files();
    let mut faults = Vec::new();
    for Case(arguments, code, parts) in CASES {
        let output = tree.run(arguments);
        let called = arguments.join(" ");
        if output.code != *code {
            faults.push(format!(
                "{called}: exit code {} and not {code}\n{}",
                output.code, output.err
            ));
        }
        for part in parts.iter().filter(|part| !output.err.contains(**part)) {
            faults.push(format!("{called}: {part:?} is not said\n{}", output.err));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(files() == before, "something was changed");
}

#[test]
fn tests_of_other_environments_are_not_none() {
    let tree = Tree::new();
    assert_eq!(
        tree.good(&["test"]),
        "there are no tests: write some in policies/tests/<name>.yaml (docs/cli.md shows how)\n"
    );
    tree.write(
        "tests/first.yaml",
        "environments: [dev]\ntests:\n  - { name: nobody, request: { get: /pets/v1/pets }, expect: { status: 401 } }\n",
    );
    assert!(tree.good(&["test"]).contains("1 passed"));
    assert_eq!(
        tree.good(&["test", "--env", "production"]),
        "no test in policies/tests is for `production`: their `environments` name others, or the files have none\n"
    );
}

/// What nobody can have meant, and would fill the memory.
#[test]
fn a_file_without_end_is_not_read_whole() {
    let tree = Tree::new();
    let huge = tree.folder.path().join("huge.yaml");
    fs::File::create(&huge).unwrap().set_len(3 << 30).unwrap();
    for arguments in [
        &["fmt", "huge.yaml"][..],
        &["import", "kong", "huge.yaml", "--into", "new", "--owner", "a"],
    ] {
        let output = tree.run(arguments);
        assert_eq!(output.code, 2, "{}", output.err);
        let said = "cannot read huge.yaml: it has more than 64 MiB\n";
        assert!(output.err.contains(said), "{arguments:?} {}", output.err);
    }
}

/// Nobody ever writes into it.
#[cfg(unix)]
#[test]
fn a_pipe_is_not_waited_for() {
    use std::process::{Command, Stdio};
    use std::thread::sleep;
    use std::time::Duration;

    let pipe = |path: &std::path::Path| {
        let made = Command::new("mkfifo").arg(path).status().unwrap();
        assert!(made.success());
    };
    let run = |tree: &Tree, arguments: &[&str]| {
        let mut command = tree.command(arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut running = command.spawn().unwrap();
        let mut waited = 0;
        while running.try_wait().unwrap().is_none() {
            waited += 1;
            if waited > 3_000 {
                running.kill().unwrap();
                panic!("{arguments:?} waits");
            }
            sleep(Duration::from_millis(20));
        }
        let output = running.wait_with_output().unwrap();
        let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        (output.status.code().unwrap(), said)
    };
    let tree = Tree::new();
    pipe(&tree.folder.path().join("pipe"));
    fs::create_dir(tree.folder.path().join("schemas")).unwrap();
    pipe(&tree.folder.path().join("schemas/plans.json"));
    let upstream = ["--owner", "a", "--upstream", "https://a.example"];
    let live = ["--env", "dev", "--against", "http://127.0.0.1:1"];
    for arguments in [
        &[&["new", "api", "orders", "--from", "pipe"], &upstream[..]].concat()[..],
        &["import", "openapi", "pipe", "--into", "new", "--owner", "a"],
        &[&["test", "--credentials", "pipe"], &live[..]].concat(),
        &["test", "--junit", "pipe"],
        &["fmt", "pipe"],
        &["schema", "--out", "schemas"],
        &["diff", "pipe"],
    ] {
        let (code, said) = run(&tree, arguments);
        assert_eq!(code, 2, "{arguments:?} {said}");
        let named = said.contains("it is no file, but a pipe") || arguments[0] == "diff";
        assert!(named, "{arguments:?} {said}");
    }
    // Nor in the tree, or beside it.
    pipe(&tree.path("plans/platinum.yaml"));
    pipe(&tree.folder.path().join("wrangler.toml"));
    let (code, said) = run(&tree, &["check"]);
    assert_eq!(code, 1, "{said}");
    assert!(
        said.contains("error[P0001]: this is not a file\n--> policies/plans/platinum.yaml"),
        "{said}"
    );
    assert!(
        said.contains("error[P2001]: it cannot be read: it is no file"),
        "{said}"
    );
    pipe(&tree.path("apis/orders.yaml"));
    fs::create_dir(tree.path("apis/orders")).unwrap();
    pipe(&tree.path("apis/orders/api.yaml"));
    fs::write(tree.folder.path().join("a.yaml"), API).unwrap();
    for arguments in [
        &[&["new", "api", "orders", "--from", "a.yaml"], &upstream[2..]].concat()[..],
        &["new", "key", "--consumer", "app"],
        &["fmt"],
        &["schema", "--check", "--out", "schemas"],
        &["show", "routes"],
    ] {
        let (code, said) = run(&tree, arguments);
        assert!(code > 0, "{arguments:?} {said}");
    }
}

//! Trees that mean harm, or make no sense: always an answer, never a panic.
#![expect(
    clippy::disallowed_methods,
    reason = "what takes for ever is told by the clock"
)]

use std::fs;
use std::time::{Duration, Instant};

use crate::common::{Folder, base, build, build_at, lines};

/// How long an answer may take, on a machine that is busy.
const SOON: Duration = Duration::from_secs(30);
/// How much is shown of one file: ten thousand findings, the first of each other code, and how many more there are.
const MOST: usize = 10_100;

fn with(path: &str, content: impl AsRef<[u8]>) -> Vec<String> {
    let folder = Folder::new();
    for (path, content) in base() {
        folder.write(&path, content);
    }
    folder.write(path, content);
    lines(&build_at(&folder.0, "dev"))
}

fn one(lines: &[String], start: &str) {
    assert!(
        lines.iter().any(|line| line.starts_with(start)),
        "no {start} in {lines:#?}"
    );
}

#[test]
fn deep_nesting() {
    one(
        &with("plans/gold.yaml", format!("plan: {}", "[".repeat(100_000))),
        "plans/gold.yaml:1:",
    );
    let blocks: String = (0..5_000).map(|at| format!("{}a:\n", " ".repeat(at))).collect();
    one(&with("plans/gold.yaml", blocks), "plans/gold.yaml:");
    let mixed = format!("plan: {}{}", "[{a: ".repeat(40), "}]".repeat(40));
    one(&with("plans/gold.yaml", mixed), "plans/gold.yaml:1:");
}

#[test]
fn aliases_that_multiply() {
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for at in 1..30 {
        let previous = vec![format!("*a{}", at - 1); 10].join(", ");
        bomb += &format!("a{at}: &a{at} [{previous}]\n");
    }
    one(
        &with("plans/gold.yaml", bomb),
        "plans/gold.yaml:5:45: error[P0105]",
    );
    let mut nested = "a0: &a0 [x]\n".to_owned();
    for at in 1..200 {
        nested += &format!("a{at}: &a{at} [*a{}]\n", at - 1);
    }
    one(
        &with("plans/gold.yaml", nested),
        "plans/gold.yaml:63:12: error[P0104]",
    );
}

/// What a build says is read line by line: no name may make a line of its own.
#[test]
fn names_with_control_characters() {
    let name = "apis/pets/v1\ncargo::rustc-env=X=1\n.yaml";
    let folder = Folder::new();
    folder.write(name, "openapi: 3.1.0\n");
    let found = build_at(&folder.0, "dev");
    let told = found
        .diagnostics
        .iter()
        .find(|one| one.message.contains("control characters"))
        .expect("a fault");
    assert_eq!((told.one_line().lines().count(), told.is_error()), (1, true));
    assert!(
        found
            .diagnostics
            .iter()
            .all(|one| !one.to_string().contains("\ncargo::")),
        "{found:?}"
    );
    let named = with(
        "apis/pets/api.yaml",
        "api: pets\nversions: { v1: { openapi: \"v1\\n.yaml\" } }\n",
    );
    assert!(
        named
            .iter()
            .any(|line| line.contains("it holds control characters")),
        "{named:?}"
    );
}

/// A line as long as its file, full of what begins a comment elsewhere.
#[test]
fn a_text_of_hashes() {
    let began = Instant::now();
    let text = document("", &format!("x-a: '{}'\n", " # a".repeat(200_000)));
    assert_eq!(with("apis/pets/v1.yaml", text), Vec::<String>::new());
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
}

#[test]
fn files_too_large_and_too_many() {
    one(
        &with("plans/gold.yaml", format!("# {}", "x".repeat(17 << 20))),
        "plans/gold.yaml:1:1: error[P0002]",
    );
    let folder = Folder::new();
    for at in 0..20_010 {
        folder.write(&format!("plans/p{at}.yaml"), "");
    }
    one(&lines(&build_at(&folder.0, "dev")), "plans/");
}

#[test]
fn more_faults_than_anybody_reads() {
    let text: String = (0..20_000).map(|at| format!("f{at}: 1\n")).collect();
    let found = with("plans/gold.yaml", text);
    assert!(found.len() <= MOST, "{}", found.len());
    assert!(
        found.last().unwrap().contains("error[P0011]"),
        "{}",
        found.last().unwrap()
    );
}

#[test]
fn what_is_not_text() {
    one(
        &with("plans/gold.yaml", b"plan: \xff\xfe"),
        "plans/gold.yaml:1:7: error[P0004]: the byte 0xFF is not UTF-8",
    );
    one(
        &with("plans/gold.yaml", b"# caf\xc3\xa9\n# caf\xe9\nplan: gold\n"),
        "plans/gold.yaml:2:6: error[P0004]: the byte 0xE9 is not UTF-8: in Latin-1 it is `\u{e9}`",
    );
    one(
        &with("plans/gold.yaml", b"\xff\xfep\0l\0a\0n\0"),
        "plans/gold.yaml:1:1: error[P0004]: the file is UTF-16, as its first bytes say, and not UTF-8",
    );
    one(
        &with("plans/gold.yaml", b"\x1f\x8b\x08\0\0\0"),
        "plans/gold.yaml:1:1: error[P0004]: the file is no text: the byte 1 is not UTF-8",
    );
    // What is shown of such a file shows no secret.
    let folder = Folder::new();
    for (path, content) in base() {
        folder.write(&path, content);
    }
    folder.write("plans/gold.yaml", b"plan: sk-aaaaaaaaaaaaaaaaaaaaaaaa \xe9\n");
    for found in build_at(&folder.0, "dev").diagnostics {
        assert!(!found.to_string().contains("sk-aaaa"), "{found}");
        assert!(found.help.is_some(), "{found}");
    }
    one(
        &with("plans/gold.yaml", b"plan: a\0b"),
        "plans/gold.yaml:1:8: error[P0101]",
    );
    one(
        &with("plans/gold.yaml", b"\x7fELF\x02\x01"),
        "plans/gold.yaml:1:1: error[P0101]",
    );
    // A byte order mark is not part of the text.
    assert_eq!(
        with("plans/gold.yaml", "\u{feff}plan: gold\nlimits: [{ rate: 1/s }]"),
        Vec::<String>::new()
    );
}

#[test]
fn folders_that_are_not_there() {
    let folder = Folder::new();
    one(
        &lines(&build_at(&folder.0, "dev")),
        "gateway.yaml:1:1: error[P0006]",
    );
    let found = build_at(&folder.0.join("nowhere"), "dev");
    assert_eq!(found.diagnostics.len(), 1);
    assert_eq!(found.diagnostics[0].code.number(), "P0001");
    assert!(found.bundle.is_none());
    folder.write(
        "plans/gold.yaml/x",
        "a file where a folder should be, and the other way round",
    );
    assert!(build_at(&folder.0, "dev").bundle.is_none());
    assert!(turnpike_policy::source::environments(&folder.0).is_empty());
}

#[cfg(unix)]
#[test]
fn links_out_of_the_tree() {
    use std::os::unix::fs::symlink;

    let folder = Folder::new();
    for (path, content) in base() {
        folder.write(&path, content);
    }
    let outside = folder.0.parent().unwrap().join("outside.yaml");
    fs::write(&outside, "plan: outside\nlimits: [{ rate: 1/s }]\n").unwrap();
    symlink(&outside, folder.0.join("plans/outside.yaml")).unwrap();
    symlink("/etc", folder.0.join("consumers/etc")).unwrap();
    std::os::unix::net::UnixListener::bind(folder.0.join("plans/socket.yaml")).unwrap();
    symlink("nowhere.yaml", folder.0.join("plans/broken.yaml")).unwrap();
    symlink("..", folder.0.join("plans/circle")).unwrap();
    let found = lines(&build_at(&folder.0, "dev"));
    one(&found, "plans/outside.yaml:1:1: error[P0003]");
    one(&found, "consumers/etc:1:1: error[P0003]");
    one(&found, "plans/broken.yaml:1:1: error[P0001]");
    one(&found, "plans/socket.yaml:1:1: error[P0001]");
    one(&found, "plans/circle");
    // A link within the tree is as good as a file.
    let folder = Folder::new();
    for (path, content) in base() {
        folder.write(&path, content);
    }
    fs::rename(
        folder.0.join("apis/pets/v1.yaml"),
        folder.0.join("apis/pets/shared.yaml"),
    )
    .unwrap();
    symlink("shared.yaml", folder.0.join("apis/pets/v1.yaml")).unwrap();
    let found = lines(&build_at(&folder.0, "dev"));
    assert_eq!(found.len(), 1, "{found:?}");
    one(&found, "apis/pets/shared.yaml:1:1: error[P0005]");
}

#[test]
fn documents_that_lead_out_of_the_tree() {
    for path in ["../../../etc/passwd", "/etc/passwd", "a/../../x.yaml"] {
        let mut files = base();
        let api = files.get_mut("apis/pets/api.yaml").unwrap();
        *api = api.replace("v1.yaml", path);
        one(
            &lines(&build(&files, "dev")),
            "apis/pets/api.yaml:7:14: error[P0003]",
        );
    }
}

#[test]
fn paths_without_end() {
    let mut files = base();
    let document = files.get_mut("apis/pets/v1.yaml").unwrap();
    *document = document.replace("/list:", &format!("'{}':", "/a".repeat(400)));
    one(
        &lines(&build(&files, "dev")),
        "apis/pets/v1.yaml:4:3: error[P0605]",
    );
    let api = files.get_mut("apis/pets/api.yaml").unwrap();
    *api = api.replace("path: /pets", &format!("path: {}", "/a".repeat(500_000)));
    one(
        &lines(&build(&files, "dev")),
        "apis/pets/api.yaml:4:7: error[P0218]",
    );
}

#[test]
fn many_secrets_and_many_of_the_same_name() {
    let secrets: String = (0..20_000)
        .map(|at| format!("- sk-abcdefghijklmnopqrstuvwx{at}\n"))
        .collect();
    let found = with("plans/gold.yaml", secrets);
    assert!(found.len() > 5_000 && !found.iter().any(|line| line.contains("sk-abc")));
    let limits: String = (1..20_000).map(|at| format!("- rate: {at}/s\n")).collect();
    assert_eq!(
        with("plans/gold.yaml", format!("plan: gold\nlimits:\n{limits}")),
        ["plans/gold.yaml:19:3: error[P0206]: this is one limit more than 16, which may stand in one place"]
    );
}

#[test]
fn schemas_without_end() {
    let mut files = base();
    let api = files.get_mut("apis/pets/api.yaml").unwrap();
    *api = api.replace("upstream: https://pets.example", "mock: openapi");
    let list = "schema: { $ref: '#/components/schemas/A' }";
    let schemas = "components:
  schemas:
    A:
      type: object
      required: [b]
      properties:
        b: { $ref: '#/components/schemas/B' }
        c: { type: array, items: { $ref: '#/components/schemas/A' } }
        d: { $ref: '#/components/schemas/B' }
        e: { $ref: '#/components/schemas/B' }
        f: { $ref: '#/components/schemas/B' }
    B:
      type: object
      properties:
        a: { $ref: '#/components/schemas/A' }
        g: { $ref: '#/components/schemas/A' }
        h: { $ref: '#/components/schemas/A' }
";
    let document = files.get_mut("apis/pets/v1.yaml").unwrap();
    *document = document.replace("example: []", list) + schemas;
    one(
        &lines(&build(&files, "dev")),
        "apis/pets/v1.yaml:11:13: error[P0606]",
    );
}

/// A document with something at its end.
fn document(paths: &str, rest: &str) -> String {
    let list = "  /list: { get: { operationId: listPets } }\n";
    format!("openapi: 3.1.0\npaths:\n{list}{paths}{rest}")
}

#[test]
fn references_in_circles() {
    let rest = "
components:
  parameters: { A: { $ref: '#/components/parameters/B' }, B: { $ref: '#/components/parameters/A' } }
  responses: { A: { $ref: '#/components/responses/A' } }
  requestBodies: { A: { $ref: '#/components/requestBodies/A' } }
  examples: { A: { $ref: '#/components/examples/A' } }
  schemas: { A: { $ref: '#/components/schemas/B' }, B: { $ref: '#/components/schemas/A' }, C: { $ref: '#' } }
  callbacks: { A: { '{$x}': { $ref: '#/components/pathItems/A' } } }
  pathItems: { A: { post: { callbacks: { a: { $ref: '#/components/callbacks/A' } } } }, B: { $ref: '#/components/pathItems/B' } }
";
    let paths = "
  /a: { get: { operationId: a, parameters: [{ $ref: '#/components/parameters/A' }], requestBody: { $ref: '#/components/requestBodies/A' }, responses: { 200: { $ref: '#/components/responses/A' } } } }
  /b: { $ref: '#/components/pathItems/B' }
  /c: { $ref: '#/paths/~1c' }
  /d: { $ref: '#/paths' }
";
    let found = with("apis/pets/v1.yaml", document(paths, rest));
    one(&found, "apis/pets/v1.yaml:");
    assert!(
        found.iter().any(|line| line.contains("leads in a circle")),
        "{found:#?}"
    );
}

#[test]
fn references_without_end() {
    // Each leads to one of many, through several.
    let many = 12_000;
    let schemas: String = (0..many)
        .map(|at| {
            format!(
                "    s{at}: {{ $ref: '#/components/schemas/s{}' }}\n",
                (at + 1) % many
            )
        })
        .collect();
    let rest = format!("components:\n  schemas:\n{schemas}");
    let found = with("apis/pets/v1.yaml", document("", &rest));
    assert_eq!(found.len(), 1, "{found:#?}");
    one(
        &found,
        "apis/pets/v1.yaml:12005:21: error[P0604]: this `$ref` leads in a circle",
    );
    // Each leads back to all before it.
    let schemas: String = (0..40)
        .map(|at| {
            let parts: String = (0..=at + 1)
                .map(|to| format!("{{ $ref: '#/components/schemas/s{}' }}, ", to % 40))
                .collect();
            format!("    s{at}: {{ allOf: [{parts}] }}\n")
        })
        .collect();
    let rest = format!("components:\n  schemas:\n{schemas}");
    let found = with("apis/pets/v1.yaml", document("", &rest));
    // The last one leads to the first one twice.
    assert_eq!(found.len(), 40 * 41 / 2 + 1, "{:#?}", found.get(..9));
    let lost: String = (0..many)
        .map(|at| format!("    s{at}: {{ $ref: '#/components/schemas/t{at}' }}\n"))
        .collect();
    let rest = format!("components:\n  schemas:\n{lost}");
    let found = with("apis/pets/v1.yaml", document("", &rest));
    assert!(found.len() > 9_000 && found.iter().any(|line| line.contains("error[P0011]")));
}

#[test]
fn one_path_item_for_all_paths() {
    let parameters: String = (0..2_000)
        .map(|at| format!("{{ name: p{at}, in: query }}, "))
        .collect();
    let paths: String = (0..5_000)
        .map(|at| format!("  /p{at}/{{id}}: {{ $ref: '#/components/pathItems/A' }}\n"))
        .collect();
    let rest = format!(
        "components: {{ pathItems: {{ A: {{ parameters: [{parameters}], get: {{ operationId: a }} }} }} }}"
    );
    let found = with("apis/pets/v1.yaml", document(&paths, &rest));
    one(&found, "apis/pets/v1.yaml:4:3: error[P0609]");
    one(&found, "apis/pets/v1.yaml:5:3: error[P0603]");
}

#[test]
fn many_faults_of_a_document() {
    let parameters: String = (0..12_000)
        .map(|at| format!("\n    {{ name: parameter{at}, in: path, requried: true }}, "))
        .collect();
    let names: String = (0..30).map(|at| format!("/{{parameters{at}}}")).collect();
    let paths = format!("  '{names}': {{ get: {{ operationId: a, parameters: [{parameters}] }} }}\n");
    let found = with("apis/pets/v1.yaml", document(&paths, ""));
    assert!(found.len() > 9_000 && found.len() <= MOST, "{}", found.len());
    // An alias shows the same faults again, which are said once, and counted once.
    let anchored = "  /a: { get: { operationId: a, parameters: &p [{ name: a, in: qurey, shema: {} }] } }\n";
    let aliases: String = (0..6_000)
        .map(|at| format!("  /a{at}: {{ get: {{ operationId: a{at}, parameters: *p }} }}\n"))
        .collect();
    let found = with("apis/pets/v1.yaml", document(&format!("{anchored}{aliases}"), ""));
    assert_eq!(found.len(), 2, "{:#?}", found.get(..9));
}

#[test]
fn templates_that_multiply() {
    let mut files = base();
    let words = "a, ".repeat(300_000);
    files.insert(
        "templates/t.yaml".to_owned(),
        format!("template: t\napi: {{ never_forward: [{words}] }}\n"),
    );
    for at in 0..20 {
        let api = files["apis/pets/api.yaml"]
            .replace("api: pets", &format!("api: p{at}\ntemplate: t"))
            .replace("/pets", &format!("/p{at}"));
        files.insert(format!("apis/p{at}/api.yaml"), api);
        files.insert(format!("apis/p{at}/v1.yaml"), files["apis/pets/v1.yaml"].clone());
    }
    let found = lines(&build(&files, "dev"));
    assert!(
        found
            .iter()
            .any(|line| line.contains("error[P0002]: templates have more than")),
        "{found:#?}"
    );
}

#[test]
fn rules_of_ones_own_that_look_at_everything() {
    let mut files = base();
    files.insert(
        "apis/pets/v1.yaml".to_owned(),
        document("  /x: { get: { responses: {} } }\n", ""),
    );
    let many: String = (0..50_000).map(|at| format!("  x{at}: {{ a: b }}\n")).collect();
    files.insert(
        "plans/wide.yaml".to_owned(),
        format!("plan: wide\nlimits: [{{ rate: 1/s }}]\nx:\n{many}"),
    );
    for at in 0..200 {
        let rule =
            format!("rule: r{at}\nfor: plans\nfield: '*.*.*'\nmust: {{ matches: '^(a|b)*$' }}\nmessage: m\n");
        files.insert(format!("governance/r{at}.yaml"), rule);
    }
    let found = lines(&build(&files, "dev"));
    assert!(
        found
            .iter()
            .any(|line| line.contains("error[P0002]: the rules look at more than")),
        "{}",
        found.len()
    );
}

#[test]
fn rules_of_ones_own_with_a_star_for_everything() {
    let kinds = [
        "gateway",
        "apis",
        "documents",
        "consumers",
        "models",
        "plans",
        "providers",
        "mocks",
        "templates",
        "tests",
    ];
    for kind in kinds {
        let stars = vec!["*"; 32].join(".");
        let rule = format!("rule: r\nfor: {kind}\nfield: '{stars}'\nmust: {{ exist: true }}\nmessage: m\n");
        let found = with("governance/r.yaml", rule);
        // In most kinds no place is so deep; in none does it take long to say so.
        assert!(
            found
                .iter()
                .all(|line| line.contains("P0104") || line.starts_with("governance/")),
            "{kind}: {found:#?}"
        );
    }
}

#[test]
fn demands_without_number() {
    let api = &base()["apis/pets/api.yaml"];
    let scopes: String = (0..40_000)
        .map(|at| format!("  - {{ operations: all, scopes: [s{at}] }}\n"))
        .collect();
    let start = Instant::now();
    let found = with("apis/pets/api.yaml", format!("{api}authorize:\n{scopes}"));
    assert!(found.is_empty(), "{found:#?}");
    assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
    let letters = || (b'A'..=b'Z').map(char::from);
    let conditions: String = letters()
        .flat_map(|one| letters().map(move |other| format!("{one}{other}")))
        .flat_map(|country| {
            (1..=6).map(move |hour| {
                format!("  - {{ operations: all, when: \"request.country == '{country}' && request.hour < {hour}\" }}\n")
            })
        })
        .collect();
    let start = Instant::now();
    let found = with("apis/pets/api.yaml", format!("{api}authorize:\n{conditions}"));
    assert!(
        found
            .iter()
            .any(|line| line.contains("has more than 16 conditions")),
        "{found:#?}"
    );
    assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
}

#[test]
fn tests_that_would_never_end() {
    let tests = |number: usize| -> String {
        (0..number)
            .map(|at| {
                format!(
                    "- name: t{at}\n  request: {{ get: /pets/v1/pets, times: 100000 }}\n  expect: {{ status: 401 }}\n"
                )
            })
            .collect()
    };
    assert_eq!(with("tests/a.yaml", tests(2)), Vec::<String>::new());
    let found = with("tests/a.yaml", tests(4));
    assert_eq!(found.len(), 1, "{found:#?}");
    one(
        &found,
        "tests/a.yaml:7:9: error[P0206]: with this one, the tests send more than 200000 requests together",
    );
    // Nor may a few have more than there is room for, by what they send or by what is answered to them.
    let long = "a".repeat(60_000);
    for what in [
        format!("request: {{ post: /pets/v1/pets, times: 2_000, json: {{ a: {long} }} }}"),
        format!("request: {{ get: /pets/v1/pets, times: 2_000 }}\n  upstream: {{ body: {long} }}"),
    ] {
        let test = |what: &str| format!("- name: t\n  {what}\n  expect: {{ status: 401 }}\n");
        let found = with("tests/a.yaml", test(&what));
        assert_eq!(found.len(), 1, "{found:#?}");
        assert!(
            found[0].contains("error[P0206]: these requests have more than 64 MiB together"),
            "{found:#?}"
        );
        let fewer = test(&what.replace("2_000", "1_000"));
        assert_eq!(with("tests/a.yaml", fewer), Vec::<String>::new());
    }
}

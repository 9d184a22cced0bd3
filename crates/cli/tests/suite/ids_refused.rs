//! Operations without an `operationId` that get none: what is refused, and by which lines it is told.

use std::fs;

use crate::common::{Output, Tree};
use crate::ids::HEAD;
use crate::import::Imported;

/// What cannot get an id, or has one that is none, is refused with its place and a remedy.
#[test]
fn what_is_refused() {
    for (paths, code, parts) in [
        (
            "paths:\n  /a:\n    get: &one { tags: [a] }\n    put: *one\n    post: *one\n",
            2,
            &[
                "in: line 7, column 10: PUT /a is written as an alias",
                "write out here what it stands for; 1 more",
            ][..],
        ),
        (
            "paths:\n  /a: &a { get: {} }\n  /b: *a\n",
            2,
            &[
                "line 6, column 7: GET /b is written as an alias",
                "write out here",
            ],
        ),
        (
            "paths:\n  /a:\n    get:\n      ? tags\n      : [a]\n",
            2,
            &["in which none can be added: write these yourself\n  getA: GET /a\n"],
        ),
        // Two paths cannot have the same operations.
        (
            "paths:\n  /a: { $ref: '#/components/pathItems/A' }\n  /b: { $ref: '#/components/pathItems/A' }\ncomponents: { pathItems: { A: { get: {} } } }\n",
            1,
            &["error[P0603]", "write the operations out"],
        ),
        (
            "paths:\n  /a: { get: { operationId: x }, put: { operationId: x } }\n  /b: { get: {} }\n",
            1,
            &[
                "error[P0603]: there is an operation `x` already",
                ":5:34\n",
                "the other one",
            ],
        ),
        (
            "paths:\n  /a: { get: { operationId: a b } }\n",
            1,
            &["error[P0602]", "write for example `operationId: getA`"],
        ),
        (
            "paths:\n  /a: { get: { operationId: '' } }\n",
            1,
            &["error[P0602]", "getA"],
        ),
        (
            "paths:\n  /a: { get: { operationID: a } }\n",
            1,
            &["error[P0201]", "did you mean `operationId`?"],
        ),
        (
            "paths:\n  /a: { get: }\n",
            1,
            &["error[P0608]: expected an operation, found nothing"],
        ),
        (
            "paths:\n  /a: { get: { $ref: '#/x-a' } }\n",
            1,
            &["error[P0201]", "a `$ref` may stand for a whole path"],
        ),
        (
            "paths:\n  /a: { $ref: 'other.yaml#/a' }\n",
            1,
            &["error[P0604]", "bundle it into one file"],
        ),
    ] {
        let imported = Imported::of("openapi", &format!("{HEAD}{paths}"));
        let Output { code: was, err, .. } = &imported.output;
        assert_eq!(*was, code, "{paths}\n{err}");
        for part in parts {
            assert!(err.contains(part), "{paths}: {part}\n{err}");
        }
        assert!(!imported.folder.path().join("tree").exists(), "{paths}");
    }
}

/// What is wrong in a document is told of the one that its authors have, not of the copy, which is gone; and what would
/// help, where it is none.
#[test]
fn what_is_wrong_in_a_document_is_told_of_the_file_of_its_authors() {
    const HEAD: &str = "openapi: 3.1.1\ninfo:\n  title: a\n";
    let tree = Tree::new();
    let new = |text: &str| {
        fs::write(tree.folder.path().join("in.yaml"), text).unwrap();
        let arguments = [
            "new",
            "api",
            "more",
            "--from",
            "in.yaml",
            "--owner",
            "a",
            "--upstream",
        ];
        tree.run(&[&arguments[..], &["https://a.example"]].concat())
    };
    for (text, code, parts) in [
        (
            format!("{HEAD}paths:\n  /a: {{ get: {{ operationId: a, prameters: [] }} }}\n"),
            1,
            &["error[P0201]: unknown field `prameters`", " --> in.yaml:5:32\n"][..],
        ),
        (
            HEAD.replace("3.1.1", "4.0"),
            1,
            &[
                "`4.0` is no version of OpenAPI that is read here",
                " --> in.yaml:1:10\n",
                "::: policies/apis/more/api.yaml:",
            ],
        ),
        (
            HEAD.replace("3.1.1", "\u{201c}3.1.1\u{201d}"),
            1,
            &[
                "the quotes around this value (U+201C, U+201D) are none",
                " --> in.yaml:1:10\n",
                "write plain quotes",
            ],
        ),
        (
            HEAD.replace("  title", "\ttitle"),
            2,
            &[
                "in.yaml is no YAML or JSON: line 3, column 1: tabs",
                "\nindent with spaces",
            ],
        ),
        (
            format!("{HEAD} version: '1'\n"),
            2,
            &[
                "in.yaml is no YAML or JSON: line 4, column 2",
                "\nthe keys of one map begin in the same column",
            ],
        ),
        (
            HEAD.replace("openapi: 3.1.1", "swagger: '2.0'"),
            2,
            &[
                "in.yaml is no OpenAPI document: it is Swagger 2",
                "\nconvert it to OpenAPI 3, for example by `npx swagger2openapi",
            ],
        ),
        (
            HEAD.replace("openapi", "OpenAPI"),
            2,
            &[
                "in.yaml is no OpenAPI document: it says `OpenAPI`",
                "\nwrite the key in small letters",
            ],
        ),
    ] {
        let Output { code: was, err, .. } = new(&text);
        assert_eq!(was, code, "{text}\n{err}");
        for part in parts {
            assert!(err.contains(part), "{text}: {part}\n{err}");
        }
        assert!(!err.contains("v1.yaml:"), "{err}");
        assert!(!tree.path("apis/more").exists());
    }
}

/// Ids add lines: what else is wrong is told by the lines that its authors know.
#[test]
fn other_faults_are_told_by_the_lines_of_the_authors() {
    let tree = Tree::new();
    let document = "\
openapi: 3.1.1
info: { title: a, version: '1' }
paths:
  /a:
    get:
      tags: [a]
  /a/{id}:
    get:
      tags: [a]
  /b/{x}.json:
    get:
      tags: [a]
";
    fs::write(tree.folder.path().join("in.yaml"), document).unwrap();
    let new = |from: &str| {
        let arguments = ["new", "api", "more", "--from", from, "--owner", "a", "--upstream"];
        tree.run(&[&arguments[..], &["https://a.example"]].concat())
    };
    let Output { code, err, .. } = new("in.yaml");
    assert_eq!(code, 1, "{err}");
    for part in [
        "error[P0609]: the path parameter `id` is not declared\n --> in.yaml:7:3\n",
        "error[P0605]: the parameter in `{x}.json` is not a whole segment\n  --> in.yaml:10:3\n",
    ] {
        assert!(err.contains(part), "{part}\n{err}");
    }
    assert!(!err.contains("P0602") && !err.contains("are counted"), "{err}");
    assert!(!tree.path("apis/more").exists());

    // What only shows once there are ids is told as it stands then.
    let two = "parameters: [{ name: a, in: path, required: true }, { name: b, in: path, required: true }]";
    let document = format!(
        "openapi: 3.1.1\ninfo: {{ title: a, version: '1' }}\npaths:\n  '/{{a}}/x/{{b}}':\n    {two}\n    get:\n      tags: [a]\n  '/{{b}}/x/{{a}}':\n    {two}\n    get:\n      tags: [a]\n"
    );
    fs::write(tree.folder.path().join("two.yaml"), document).unwrap();
    let Output { code, err, .. } = new("two.yaml");
    assert_eq!(code, 1, "{err}");
    assert!(err.contains("error[P0701]"), "{err}");
    assert!(
        err.contains("some lines of two.yaml are counted with the ids that its copy was to get\n"),
        "{err}"
    );
    tree.good(&["check"]);
}

//! Templates: what they say holds for what builds on them, and what is wrong with them is told.

use turnpike_policy::{Commit, Handler, Reason};

use crate::common::{Files, base, build, lines};

const TEMPLATE: &str = "\
template: standard
parameters:
  size: { type: size, default: 64KiB }
  scope: { type: scope, description: What callers must have. }
  tries: { type: number, default: 2 }
api:
  authentication: required
  limits: [{ rate: 20/s }, { concurrency: 5 }]
  max_body: ${size}
  authorize: [{ operations: all, scopes: ['${scope}'] }]
  never_forward: [x-internal]
  timeouts: { first_byte: 5s }
model:
  limits: [{ rate: 60/min }]
  max_body: ${size}
  max_output_tokens: 1_000
  retry: { attempts: '${tries}', on: [rate_limited, overloaded] }
  timeouts: { total: 1m, first_token: 20s }
  stream: { commit: complete }
";

fn tree(template: &str, api: &str, version: &str, model: &str) -> Files {
    let mut files = base();
    files.insert("templates/standard.yaml".to_owned(), template.to_owned());
    let with = "template: standard\nwith: { scope: pets:read }\n";
    let text = files["apis/pets/api.yaml"].replace("versions:", &format!("{with}{api}versions:")) + version;
    files.insert("apis/pets/api.yaml".to_owned(), text);
    let text = format!("{}{with}{model}", files["models/chat.yaml"]);
    files.insert("models/chat.yaml".to_owned(), text);
    files
}

#[test]
fn what_a_template_says_holds() {
    let outcome = build(&tree(TEMPLATE, "", "", ""), "dev");
    assert_eq!(lines(&outcome), Vec::<String>::new());
    let compiled = outcome.compiled.unwrap();
    let ids: Vec<_> = compiled.apis[0]
        .limits
        .iter()
        .map(|limit| limit.id.as_str())
        .collect();
    assert_eq!(ids, ["apis/pets:concurrency", "apis/pets:rate-1s"]);
    assert!(
        compiled.apis[0].limits[0]
            .origin
            .starts_with("policies/templates/standard.yaml:8")
    );
    let operation = &compiled.operations[0];
    assert_eq!(
        (operation.max_body, operation.scopes.as_slice()),
        (64 << 10, &["pets:read".to_owned()][..])
    );
    let Handler::Proxy { timeouts, .. } = &operation.handler else {
        panic!("no upstream")
    };
    assert_eq!(timeouts.first, 5000);
    let model = &compiled.models[0];
    assert_eq!(
        (model.max_body, model.max_output_tokens, model.commit),
        (64 << 10, Some(1000), Commit::Complete)
    );
    assert_eq!(
        (model.retry.attempts, model.retry.on.as_slice()),
        (2, &[Reason::RateLimited, Reason::Overloaded][..])
    );
    assert_eq!((model.timeouts.first, model.timeouts.total), (20_000, 60_000));
    assert_eq!(model.limits[0].id, "models/chat:rate-60s");
}

#[test]
fn what_is_written_out_is_the_same_policy() {
    let hash = |files: &Files| {
        let outcome = build(files, "dev");
        assert_eq!(lines(&outcome), Vec::<String>::new());
        outcome.bundle.unwrap().1
    };
    let with = hash(&tree(TEMPLATE, "", "", ""));
    let mut files = base();
    let api = files["apis/pets/api.yaml"].clone()
        + "    timeouts: { first_byte: 5s }\nlimits: [{ rate: 20/s }, { concurrency: 5 }]\nmax_body: 64KiB\nauthorize: [{ operations: all, scopes: [pets:read] }]\nnever_forward: [x-internal]\n";
    files.insert("apis/pets/api.yaml".to_owned(), api);
    let model = files["models/chat.yaml"].clone()
        + "limits: [{ rate: 60/min }]\nmax_body: 64KiB\nmax_output_tokens: 1_000\nretry: { attempts: 2, on: [rate_limited, overloaded] }\ntimeouts: { total: 1m, first_token: 20s }\nstream: { commit: complete }\n";
    files.insert("models/chat.yaml".to_owned(), model);
    assert_eq!(hash(&files), with);
    // Writing out what the template says, and the default of a parameter, changes nothing either.
    let mut same = tree(TEMPLATE, "max_body: 64KiB\n", "", "max_output_tokens: 1_000\n");
    let text = same["apis/pets/api.yaml"].replace("with: { ", "with: { size: 64KiB, ");
    same.insert("apis/pets/api.yaml".to_owned(), text);
    assert_eq!(hash(&same), with);
    assert_ne!(hash(&tree(TEMPLATE, "max_body: 1KiB\n", "", "")), with);
}

/// What is written below the template, and the beginning of what is said.
#[test]
fn what_widens_or_drops_names_both_lines() {
    for (own, version, model, expected) in [
        (
            "max_body: 1MiB\n",
            "",
            "",
            "apis/pets/api.yaml:7:11: error[P0401]",
        ),
        (
            "authentication: none\n",
            "",
            "",
            "apis/pets/api.yaml:7:17: error[P0401]",
        ),
        (
            "",
            "    timeouts: { first_byte: 6s }\n",
            "",
            "apis/pets/api.yaml:12:29: error[P0401]",
        ),
        (
            "limits: [{ concurrency: 6 }]\n",
            "",
            "",
            "apis/pets/api.yaml:7:10: error[P0401]",
        ),
        (
            "operations: [{ for: all, max_body: 65KiB }]\n",
            "",
            "",
            "apis/pets/api.yaml:7:36: error[P0401]",
        ),
        (
            "operations: [{ for: [listPets], timeouts: { first_byte: 6s } }]\n",
            "",
            "",
            "apis/pets/api.yaml:7:57: error[P0401]",
        ),
        ("", "", "max_body: 1MiB\n", "models/chat.yaml:7:11: error[P0401]"),
        (
            "",
            "",
            "max_output_tokens: 1_001\n",
            "models/chat.yaml:7:20: error[P0401]",
        ),
        (
            "",
            "",
            "retry: { attempts: 3 }\n",
            "models/chat.yaml:7:20: error[P0401]",
        ),
        (
            "",
            "",
            "retry: { on: [server_error] }\n",
            "models/chat.yaml:7:14: error[P0401]",
        ),
        (
            "",
            "",
            "timeouts: { total: 2m }\n",
            "models/chat.yaml:7:20: error[P0401]",
        ),
        (
            "",
            "",
            "timeouts: { first_token: 21s }\n",
            "models/chat.yaml:7:26: error[P0401]",
        ),
        (
            "",
            "",
            "stream: { commit: first_token }\n",
            "models/chat.yaml:7:19: error[P0401]",
        ),
    ] {
        let outcome = build(&tree(TEMPLATE, own, version, model), "dev");
        let found = lines(&outcome);
        assert!(
            found.len() == 1 && found[0].starts_with(expected),
            "{expected}: {found:#?}"
        );
        let label = &outcome.diagnostics[0].labels[0];
        assert!(label.file.ends_with("templates/standard.yaml"), "{label:?}");
        assert!(outcome.bundle.is_none());
    }
}

#[test]
fn what_narrows_or_adds_holds() {
    for (own, version, model) in [
        (
            "max_body: 1KiB\nlimits: [{ rate: 1/s }, { concurrency: 4 }]\nauthorize: [{ operations: all, scopes: [b] }]\nnever_forward: [x-other]\n",
            "    timeouts: { first_byte: 4s }\n",
            "max_body: 1KiB\nmax_output_tokens: 10\nretry: { attempts: 1, on: [overloaded] }\ntimeouts: { total: 10s }\nstream: { commit: complete }\nlimits: [{ rate: 1/s }]\n",
        ),
        (
            "operations: [{ for: all, max_body: 1KiB, timeouts: { first_byte: 1s } }, { for: [listPets], max_body: 2KiB }]\n",
            "",
            "",
        ),
    ] {
        let outcome = build(&tree(TEMPLATE, own, version, model), "dev");
        assert_eq!(lines(&outcome), Vec::<String>::new(), "{own}");
        let compiled = outcome.compiled.unwrap();
        assert_eq!(compiled.operations[0].max_body, 1024);
        if !model.is_empty() {
            let model = &compiled.models[0];
            assert_eq!(
                (model.timeouts.first, model.timeouts.total, model.limits.len()),
                (10_000, 10_000, 2)
            );
            assert_eq!(compiled.operations[0].scopes, ["b", "pets:read"]);
        }
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn what_is_wrong_with_a_template_or_its_values() {
    let says = |template: &str, with: &str| {
        let mut files = tree(template, "", "", "");
        for path in ["apis/pets/api.yaml", "models/chat.yaml"] {
            let text = files[path].replace("with: { scope: pets:read }", with);
            files.insert(path.to_owned(), text);
        }
        lines(&build(&files, "dev"))
    };
    let good = "with: { scope: pets:read }";
    for (template, with, expected) in [
        (
            TEMPLATE.to_owned(),
            "with: { scope: pets:read, size: 1 }",
            "apis/pets/api.yaml:6:33: error[P0205]",
        ),
        (
            TEMPLATE.to_owned(),
            "with: { scop: a }",
            "apis/pets/api.yaml:6:9: error[P0201]: the template `standard` has no parameter `scop`",
        ),
        (
            TEMPLATE.to_owned(),
            "with: {}",
            "apis/pets/api.yaml:6:1: error[P0202]: the template `standard` needs `scope`",
        ),
        (TEMPLATE.to_owned(), "", "apis/pets/api.yaml:5:11: error[P0202]"),
        (
            TEMPLATE.replace("default: 64KiB", "default: 64"),
            good,
            "templates/standard.yaml:3:32: error[P0205]",
        ),
        (
            TEMPLATE.replace("type: size", "type: sizes"),
            good,
            "templates/standard.yaml:3:17: error[P0204]",
        ),
        (
            TEMPLATE.replace("max_body: ${size}", "max_body: ${sise}"),
            good,
            "templates/standard.yaml:9:13: error[P0211]",
        ),
        (
            TEMPLATE.replace("max_body: ${size}", "max_body: ${tries}"),
            good,
            "templates/standard.yaml:9:13: error[P0205]",
        ),
        (
            TEMPLATE.replace("max_body: ${size}", "max_bodi: ${size}"),
            good,
            "templates/standard.yaml:9:3: error[P0201]",
        ),
        (
            TEMPLATE.replace("max_body: ${size}", "max_body: 20MiB"),
            good,
            "templates/standard.yaml:9:13: error[P0401]",
        ),
        (
            TEMPLATE.replace("operations: all", "operations: [listPets]"),
            good,
            "templates/standard.yaml:10:29: error[P0210]",
        ),
        (
            TEMPLATE.replace("template: standard", "template: other"),
            good,
            "templates/standard.yaml:1:11: error[P0007]",
        ),
        (
            "template: standard\nparameters: { scope: { type: scope } }\n".to_owned(),
            good,
            "templates/standard.yaml:1:11: error[P0202]",
        ),
        (
            "template: standard\nparameters: { scope: { type: scope } }\nmodel: { max_body: 1KiB }\n"
                .to_owned(),
            good,
            "apis/pets/api.yaml:5:11: error[P0210]: the template `standard` says nothing of an API",
        ),
    ] {
        let found = says(&template, with);
        assert!(
            found.iter().any(|line| line.starts_with(expected)),
            "{expected}: {found:#?}"
        );
    }
    let idle = TEMPLATE.replace("attempts: '${tries}', ", "");
    let found = says(&idle, good);
    assert!(
        found.len() == 1 && found[0].starts_with("templates/standard.yaml:5:3: warning[P0010]"),
        "{found:#?}"
    );
    let mut files = tree(TEMPLATE, "", "", "");
    files.insert(
        "templates/idle.yaml".to_owned(),
        "template: idle\napi: { max_body: 1KiB }\n".to_owned(),
    );
    assert_eq!(lines(&build(&files, "dev")).len(), 1, "nothing builds on it");
    files.insert(
        "templates/idle.yaml".to_owned(),
        "template: idle\nenvironments: [production]\napi: { max_bodi: 1KiB }\n".to_owned(),
    );
    assert!(lines(&build(&files, "dev"))[0].starts_with("templates/idle.yaml:3:8: error[P0201]"));
    // What nobody builds on yet is right or wrong before somebody does.
    for (says, expected) in [
        (
            "max_body: ${sise}",
            Some("templates/idle.yaml:4:13: error[P0211]: the variable `sise` is not set"),
        ),
        (
            "max_body: 20MiB",
            Some("templates/idle.yaml:4:13: error[P0401]: this is larger than the floor"),
        ),
        ("max_body: ${size}", None),
        (
            "authorize: [{ operations: [listPets], scopes: [a] }]",
            Some("templates/idle.yaml:4:29: error[P0210]"),
        ),
    ] {
        let text = format!("template: idle\nparameters: {{ size: {{ type: size }} }}\napi:\n  {says}\n");
        files.insert("templates/idle.yaml".to_owned(), text);
        let found = lines(&build(&files, "dev"));
        let errors: Vec<_> = found.iter().filter(|line| line.contains(": error")).collect();
        match expected {
            Some(start) => assert!(
                errors.len() == 1 && errors[0].starts_with(start),
                "{says}: {found:#?}"
            ),
            None => assert_eq!(errors, Vec::<&String>::new(), "{says}"),
        }
    }
}

/// A value that is too large is told where it was given: of an API that gives too much, its file is named, and
/// of two of them both are.
#[test]
fn a_value_above_the_floor_is_told_where_it_is_given() {
    let mut files = tree(TEMPLATE, "", "", "");
    for (path, size) in [("apis/pets/api.yaml", "20MiB"), ("models/chat.yaml", "30MiB")] {
        let text = files[path].replace("with: { ", &format!("with: {{ size: {size}, "));
        files.insert(path.to_owned(), text);
    }
    let outcome = build(&files, "dev");
    let found = lines(&outcome);
    assert_eq!(found.len(), 2, "{found:#?}");
    for (line, start) in found
        .iter()
        .zip(["apis/pets/api.yaml:6:15", "models/chat.yaml:6:15"])
    {
        assert!(line.starts_with(&format!("{start}: error[P0401]")), "{found:#?}");
    }
    let label = &outcome.diagnostics[0].labels[1];
    assert!(label.file.ends_with("templates/standard.yaml"), "{label:?}");
    assert_eq!(label.line, 9);
}

/// A parameter that was not given is said where it is missing, and nothing of what would hold with it.
#[test]
fn nothing_follows_from_a_value_that_is_missing() {
    let template = TEMPLATE
        .replace("  tries:", "  n: { type: rate }\n  tries:")
        .replace(
            "limits: [{ rate: 20/s }, { concurrency: 5 }]",
            "limits: [{ rate: '${n}' }]",
        );
    let found = lines(&build(&tree(&template, "", "", ""), "dev"));
    assert_eq!(found.len(), 2, "{found:#?}");
    for (line, file) in found.iter().zip(["apis/pets/api.yaml:6:1", "models/chat.yaml:"]) {
        let fits = line.starts_with(file) && line.contains("the template `standard` needs `n`");
        assert!(fits, "{found:#?}");
    }
}

#[test]
fn a_value_is_told_where_it_comes_from() {
    let mut files = base();
    files.insert(
        "environments/dev.yaml".to_owned(),
        "vars: { most: 12 }\n".to_owned(),
    );
    let text = files["models/chat.yaml"].clone() + "max_body: ${most}\n";
    files.insert("models/chat.yaml".to_owned(), text);
    let outcome = build(&files, "dev");
    let found = &outcome.diagnostics[0];
    assert_eq!(found.code.number(), "P0205");
    assert!(found.labels[0].file.ends_with("environments/dev.yaml"), "{found}");
}

#[test]
fn there_are_no_more_limits_than_there_may_be_in_one_list() {
    let limits = |from: u32, to: u32| {
        let all: Vec<String> = (from..to)
            .map(|at| format!("{{ id: l{at}, rate: {at}/s }}"))
            .collect();
        format!("limits: [{}]\n", all.join(", "))
    };
    let template = format!(
        "template: standard\nparameters: {{ scope: {{ type: scope, default: a }} }}\nmodel: {{}}\napi:\n  {}",
        limits(1, 11)
    );
    let says = |own: &str| {
        let mut found = lines(&build(&tree(&template, own, "", ""), "dev"));
        found.retain(|line| line.contains(": error["));
        found
    };
    assert_eq!(says(&limits(11, 13)), Vec::<String>::new());
    assert_eq!(says(&limits(1, 11)), Vec::<String>::new(), "the same once more");
    assert!(
        says(&limits(11, 29))
            .iter()
            .any(|line| line.contains("error[P0206]"))
    );
}

#[test]
fn a_header_that_is_never_forwarded_above_is_never_forwarded_below() {
    let header = "      operationId: listPets\n      parameters: [{ name: X-Internal, in: header, schema: { type: string } }]\n";
    let mut files = tree(TEMPLATE, "", "", "");
    let document = files["apis/pets/v1.yaml"].replace("      operationId: listPets\n", header);
    files.insert("apis/pets/v1.yaml".to_owned(), document);
    let outcome = build(&files, "dev");
    let found = lines(&outcome);
    assert!(
        found.len() == 1 && found[0].starts_with("apis/pets/v1.yaml:7:"),
        "{found:#?}"
    );
    assert!(found[0].contains("error[P0401]"), "{found:#?}");
    assert!(
        outcome.diagnostics[0].labels[0]
            .file
            .ends_with("templates/standard.yaml")
    );
    // Of the API itself, and not of others.
    let mut files = base();
    let document = files["apis/pets/v1.yaml"].replace("      operationId: listPets\n", header);
    files.insert("apis/pets/v1.yaml".to_owned(), document);
    assert_eq!(lines(&build(&files, "dev")), Vec::<String>::new());
    let api = files["apis/pets/api.yaml"].clone() + "never_forward: [x-internal]\n";
    files.insert("apis/pets/api.yaml".to_owned(), api);
    assert!(lines(&build(&files, "dev"))[0].contains("error[P0401]"));
}

//! Rules of good practice: each has a tree that does not meet it, and severities that can be set.

mod cases;
mod custom;
mod subjects;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use turnpike_policy::source::{Code, RULES, Severity};

use cases::{API, APP, CASES, Case, DOC, GATE, WHOLE, clean};

use crate::common::{Files, build_with_rules as build, lines};

fn changed(case: &Case) -> Files {
    let mut files = clean();
    for (path, old, new) in case.0 {
        if *new == "REMOVED" {
            files.remove(*path);
        } else if old.is_empty() {
            files.insert((*path).to_owned(), (*new).to_owned());
        } else {
            let text = files.get_mut(*path).unwrap();
            assert!(text.contains(old), "{path} does not hold {old:?}");
            *text = text.replacen(old, new, 1);
        }
    }
    files
}

/// The clean tree, with texts of it replaced.
fn with(changes: &'static [(&'static str, &'static str, &'static str)]) -> Vec<String> {
    lines(&build(&changed(&Case(changes, &[])), "dev"))
}

#[test]
fn severities_are_set_by_the_gateway() {
    let says = |governance: &str| {
        let mut files = changed(&Case(&[(DOC, "      summary: All pets.\n", "")], &[]));
        files.insert(GATE.to_owned(), format!("{}{governance}\n", clean()[GATE]));
        let outcome = build(&files, "dev");
        (lines(&outcome), outcome.bundle.is_some())
    };
    let at = "apis/pets/v1.yaml:5:5: ";
    for (level, shown, built) in [
        ("note", "note", true),
        ("warning", "warning", true),
        ("error", "error", false),
    ] {
        let (lines, bundle) = says(&format!("governance: {{ P1301: {level} }}"));
        assert!(
            lines.len() == 1 && lines[0].starts_with(&format!("{at}{shown}[P1301]")),
            "{lines:?}"
        );
        assert_eq!(bundle, built, "{level}");
    }
    assert_eq!(says("governance: { P1301: off }"), (vec![], true));
    // The floor raises what is not set, and refuses what is set lower.
    let (lines, bundle) = says("floor: { governance: { P1301: error } }");
    assert!(
        lines[0].starts_with(&format!("{at}error[P1301]")) && !bundle,
        "{lines:?}"
    );
    let (lines, _) = says("governance: { P1301: note }\nfloor: { governance: { P1301: error } }");
    assert!(
        lines
            .iter()
            .any(|line| line.contains("error[P0401]: the floor demands that `P1301` is at least `error`")),
        "{lines:?}"
    );
    let (lines, _) = says("governance: { P1301: error }\nfloor: { governance: { P1301: note } }");
    assert!(lines[0].starts_with(&format!("{at}error[P1301]")), "{lines:?}");
    for (wrong, code) in [
        ("governance: { P9999: off }", "P0301"),
        ("governance: { P0401: off }", "P0301"),
        ("governance: { P1901: off }", "P0301"),
        ("governance: { P1301: loud }", "P0204"),
        ("governance: [P1301]", "P0203"),
    ] {
        let (lines, bundle) = says(wrong);
        assert!(
            lines.iter().any(|line| line.contains(&format!("error[{code}]"))) && !bundle,
            "{wrong}: {lines:?}"
        );
    }
}

#[test]
fn where_there_is_no_consumer_it_is_said_once_what_nobody_may_call() {
    let alone = with(&[(
        APP,
        "",
        "consumer: app\nowner: team\nplan: gold\nenvironments: [production]\n",
    )]);
    assert_eq!(
        alone,
        [
            "apis/pets/api.yaml:1:6: warning[P1409]: nobody may call `pets`: `dev` has no consumer",
            "models/chat.yaml:1:8: warning[P1510]: nobody may call `chat`: `dev` has no consumer",
        ]
    );
    let pets = clean()[API].clone();
    let mut files = changed(&Case(&[(APP, WHOLE, "REMOVED")], &[]));
    let copies = |count: usize, files: &mut Files| {
        for index in 1..=count {
            let api = pets.replace("api: pets", &format!("api: pets{index}"));
            let api = api.replace("path: /pets", &format!("path: /pets{index}"));
            files.insert(format!("apis/pets{index}/api.yaml"), api);
            files.insert(format!("apis/pets{index}/v1.yaml"), clean()[DOC].clone());
        }
        let lines = lines(&build(files, "dev"));
        let said = lines.into_iter().filter(|line| line.contains("P1409"));
        said.collect::<Vec<_>>()
    };
    let said = "apis/pets/api.yaml:1:6: warning[P1409]: nobody may call `pets`";
    assert_eq!(
        copies(1, &mut files),
        [format!("{said}, nor another API: `dev` has no consumer")]
    );
    assert_eq!(
        copies(3, &mut files),
        [format!("{said}, nor 3 other APIs: `dev` has no consumer")]
    );
}

/// Two versions of one API: the first as it is, the other with another number, state and document.
#[test]
fn what_a_number_promises_is_kept_by_the_versions_after_it() {
    let says = |key: &str, state: &str, (old, new): (&str, &str), number: &str| {
        let mut files = clean();
        let version = format!(
            "  {key}: {{ openapi: v2.yaml, {state}, upstream: https://pets2.acme.test, upstream_credential: {{ secret: PETS }}, timeouts: {{ first_byte: 5s }} }}\nauthorize:"
        );
        let api = files[API].replace("authorize:", &version);
        files.insert(API.to_owned(), api);
        let document = files[DOC].replace("version: '1'", &format!("version: {number}"));
        assert!(document.contains(old), "{old}");
        files.insert("apis/pets/v2.yaml".to_owned(), document.replacen(old, new, 1));
        let outcome = build(&files, "dev");
        let broken = lines(&outcome).into_iter().filter(|line| line.contains("P1325"));
        broken.collect::<Vec<_>>()
    };
    let required = ("in: query,", "in: query, required: true,");
    let renamed = ("  /list:", "  /lists:");
    let wider = ("enum: [a, b]", "enum: [a, b, c]");
    let at = "apis/pets/v2.yaml:2:31: warning[P1325]: `v1.2` breaks what `v1` promises under the same first number: ";
    for (change, what) in [
        (required, "listPets: the query parameter `tag` is required"),
        (renamed, "POST /list is gone, and 1 more"),
        (
            ("enum: [a, b]", "enum: [a]"),
            "listPets: the query parameter `tag` is never \"b\" any more",
        ),
    ] {
        assert_eq!(
            says("v1.2", "state: active", change, "1.2.0"),
            [format!("{at}{what}")]
        );
    }
    // Without a number in the version's name its document has one.
    assert_eq!(says("stable", "state: active", required, "1.9.0").len(), 1);
    for (key, state, change, number) in [
        ("v1.2", "state: active", wider, "1.2.0"),
        ("v2", "state: active", required, "2.0.0"),
        ("v1.2", "state: preview", required, "1.2.0"),
        ("v1.2", "state: retired, sunset: 2026-10-01", required, "1.2.0"),
        // That these differ is said by itself, of the document.
        ("v2", "state: active", required, "1.0.0"),
    ] {
        assert!(
            says(key, state, change, number).is_empty(),
            "{key} {state} {number}"
        );
    }
}

/// Whoever has many operations has many findings: those of others are told all the same.
#[test]
fn a_flood_in_one_document_hides_no_rule_of_another() {
    let mut files = clean();
    let paths: String = (0..9_000)
        .map(|at| {
            format!(
                "  /p{at}:\n    get: {{ operationId: o{at}, responses: {{ '204': {{ description: d }} }} }}\n"
            )
        })
        .collect();
    let text = files[DOC].replace("paths:\n", &format!("paths:\n{paths}"));
    let alone = lines(&build(&clean_with_a_slip(), "dev"));
    let slip: Vec<_> = alone.iter().filter(|line| line.contains("apis/zoo/")).collect();
    assert!(!slip.is_empty(), "{alone:#?}");
    for (path, text) in clean_with_a_slip() {
        files.insert(path, text);
    }
    files.insert(DOC.to_owned(), text);
    let outcome = build(&files, "dev");
    let all = lines(&outcome);
    for line in slip {
        assert!(all.contains(line), "{line}");
    }
    let hidden = |path: &str| outcome.hidden.keys().any(|(file, ..)| file.ends_with(path));
    assert!(hidden(DOC) && !hidden("apis/zoo/v1.yaml"), "{:?}", outcome.hidden);
    // It is bounded all the same.
    assert!(all.len() < 50_000, "{}", all.len());
}

/// The same with another API, whose document is the same but for what it says of itself.
fn clean_with_a_slip() -> Files {
    let mut files = clean();
    let api = files[API].replace("pets", "zoo");
    let text = files[DOC].replace("      summary: All pets.\n", "");
    files.insert("apis/zoo/api.yaml".to_owned(), api);
    files.insert("apis/zoo/v1.yaml".to_owned(), text);
    files
}

#[test]
fn what_follows_from_a_fault_is_not_said() {
    // The consumer cannot be read, so nobody can say that no one calls the API; the document is judged.
    let said = with(&[
        (APP, "owner: team", "owner: ' '"),
        (DOC, "      summary: All pets.\n", ""),
    ]);
    assert_eq!(said.len(), 2, "{said:#?}");
    assert!(
        said[0].contains("[P1301]") && said[1].contains("[P0219]"),
        "{said:#?}"
    );
}

#[test]
fn a_flood_of_warnings_hides_no_error_and_fails_no_build() {
    let mut files = clean();
    let paths: String = (0..12_000)
        .map(|at| format!("  /p{at}:\n    get: {{ operationId: o{at}, responses: {{ '204': {{ description: d }}, default: {{ description: d }} }} }}\n"))
        .collect();
    let text = files[DOC].replace("paths:\n", &format!("paths:\n{paths}"));
    files.insert(DOC.to_owned(), text);
    let outcome = build(&files, "dev");
    assert!(outcome.bundle.is_some());
    let last = lines(&outcome).pop().unwrap();
    assert!(
        last.contains("warning[P0011]: 2000 more warnings and notes are not shown"),
        "{last}"
    );
    files.insert("plans/zzz.yaml".to_owned(), "plan: zzz".to_owned());
    let lines = lines(&build(&files, "dev"));
    assert!(
        lines
            .iter()
            .any(|line| line.starts_with("plans/zzz.yaml:1:1: error[P0202]"))
    );
}

#[test]
fn secrets_that_are_found_are_not_shown() {
    let files = changed(&Case(
        &[(
            DOC,
            "description: Which ones.",
            "description: xV3kQ9zT1pLw8RbN5sYc2HfD",
        )],
        &[],
    ));
    for found in build(&files, "dev").diagnostics {
        assert!(!found.to_string().contains("xV3kQ9"), "{found}");
    }
    // Hashes, public keys, dates, identifiers and sentences are none.
    for text in [
        "0b3c8a36-4f3e-4d0c-9d0e-0d9a3f0c1b2a",
        "https://docs.acme.test/Guides/2026-01-01/How-To-Call-V2",
        "getPetsByOwnerAndTagV2Long",
    ] {
        let mut files = clean();
        files.insert(
            DOC.to_owned(),
            files[DOC].replace("Which ones.", &format!("'{text}'")),
        );
        assert_eq!(lines(&build(&files, "dev")), Vec::<String>::new(), "{text}");
    }
}

/// Neither in the message nor in the line that is shown below it.
#[test]
fn what_turns_the_order_of_others_is_not_shown_as_it_is() {
    let files = changed(&Case(
        &[(DOC, "All about pets.", "\"All \u{202e}step\u{2069} about.\"")],
        &[],
    ));
    let found = build(&files, "dev").diagnostics;
    assert_eq!(found.len(), 1, "{found:#?}");
    let shown = found[0].to_string();
    assert!(
        shown.contains("\\u{202e}") && !shown.contains(['\u{202e}', '\u{2069}']),
        "{shown}"
    );
}

/// A rule of one's own, and how the one line begins that is said; nothing, where nothing is.
fn own(cases: &[(&str, Option<&str>)]) {
    for (rule, expected) in cases {
        let mut files = clean();
        files.insert(
            "governance/own.yaml".to_owned(),
            format!("rule: own\n{rule}\nmessage: Our rule.\n"),
        );
        let lines = lines(&build(&files, "dev"));
        let fits = match expected {
            Some(start) => lines.len() == 1 && lines[0].starts_with(start),
            None => lines.is_empty(),
        };
        assert!(fits, "{rule}: {expected:?}, found {lines:#?}");
    }
}

#[test]
fn rules_of_ones_own() {
    own(&[
        ("for: apis\nfield: owner\nmust: { matches: '^te' }", None),
        (
            "for: apis\nfield: owner\nmust: { matches: '^x' }",
            Some("apis/pets/api.yaml:3:8: warning[P1901]: Our rule. (own)"),
        ),
        (
            "for: apis\nfield: owner\nmust: { matches: '^x' }\nexcept: [pets]",
            None,
        ),
        (
            "for: apis\nfield: owner\nmust: { matches: '^x' }\nenvironments: [production]",
            None,
        ),
        (
            "for: apis\nfield: versions.*.timeouts.first_byte\nmust: { exist: true }",
            None,
        ),
        (
            "for: apis\nfield: versions.*.successor\nmust: { exist: true }",
            Some("apis/pets/api.yaml:6:3: warning[P1901]"),
        ),
        ("for: apis\nfield: max_body\nmust: { one_of: [1MiB] }", None),
        (
            "for: apis\nfield: max_body\nmust: { exist: true, one_of: [1MiB] }",
            Some("apis/pets/api.yaml:1:1: warning[P1901]"),
        ),
        (
            "for: apis\nfield: versions.*.upstream\nmust_not: { matches: pets }\nseverity: note",
            Some("apis/pets/api.yaml:9:15: note[P1901]"),
        ),
        (
            "for: documents\nfield: paths.*.*.summary\nmust: { matches: '[.]$' }",
            None,
        ),
        (
            "for: documents\nfield: info.contact\nmust: { exist: true }\nseverity: error",
            Some("apis/pets/v1.yaml:2:1: error[P1901]"),
        ),
        (
            "for: plans\nfield: limits.*.rate\nmust_not: { exist: true }",
            Some("plans/gold.yaml:3:11: warning[P1901]"),
        ),
        ("for: gateway\nfield: hosts.*\nmust: { matches: 'test$' }", None),
        (
            "for: apis\nfield: owner",
            Some("governance/own.yaml:1:1: error[P0202]"),
        ),
        (
            "for: apis\nfield: owner\nmust: {}",
            Some("governance/own.yaml:4:7: error[P0202]"),
        ),
        (
            "for: apis\nfield: owner\nmust: { matches: '(' }",
            Some("governance/own.yaml:4:18: error[P0219]"),
        ),
        (
            "for: apis\nfield: owner\nmust: { matches: 'a{1000}{1000}' }",
            Some("governance/own.yaml:4:18: error[P0219]"),
        ),
        (
            "for: apis\nfield: owner\nmust: { exist: false }",
            Some("governance/own.yaml:4:16: error[P0204]"),
        ),
        (
            "for: apis\nfield: a..b\nmust: { exist: true }",
            Some("governance/own.yaml:3:8: error[P0218]"),
        ),
        (
            "for: apis\nfield: owner\nmust: { exist: true }\nseverity: off",
            Some("governance/own.yaml:5:11: error[P0204]"),
        ),
    ]);
}

#[test]
fn rules_of_ones_own_are_about_what_there_is() {
    own(&[
        (
            "for: apis\nfield: owner\nmust: { matches: '^te' }\nexcept: [pest]",
            Some("governance/own.yaml:5:10: error[P0301]: there is no API `pest`"),
        ),
        (
            "for: documents\nfield: info.title\nmust: { matches: '^P' }\nexcept: [pets]",
            None,
        ),
        (
            "for: plans\nfield: plan\nmust: { matches: '^g' }\nexcept: [god]",
            Some("governance/own.yaml:5:10: error[P0301]: there is no plan `god`"),
        ),
        // What is about a place that there is not would never be broken.
        (
            "for: apis\nfield: ownr\nmust: { matches: '^te' }",
            Some("governance/own.yaml:3:8: error[P0201]: there is no `ownr` in files of `apis`"),
        ),
        (
            "for: apis\nfield: versions.*.upstraem\nmust: { matches: '^https' }",
            Some("governance/own.yaml:3:8: error[P0201]: there is no `upstraem` in `versions.*` of `apis`"),
        ),
        (
            "for: plans\nfield: limits.rate\nmust_not: { exist: true }",
            Some("governance/own.yaml:3:8: error[P0201]: there is no `rate` in `limits` of `plans`"),
        ),
        (
            "for: models\nfield: owner.name\nmust: { matches: '^te' }",
            Some("governance/own.yaml:3:8: error[P0201]: there is no `name` in `owner` of `models`"),
        ),
        (
            "for: documents\nfield: paths.*.*.respnses\nmust: { exist: true }",
            Some(
                "governance/own.yaml:3:8: error[P0201]: there is no `respnses` in `paths.*.*` of `documents`",
            ),
        ),
        // Names are their author's, and what OpenAPI leaves open is open.
        (
            "for: apis\nfield: versions.v9.successor\nmust: { matches: '^v' }",
            None,
        ),
        (
            "for: documents\nfield: paths.*.get.x-owner.name\nmust: { matches: '^x' }",
            None,
        ),
        (
            "for: documents\nfield: components.schemas.*.title\nmust: { matches: '^x' }",
            None,
        ),
        (
            "for: models\nfield: targets.*.price.input\nmust_not: { matches: ' EUR' }",
            None,
        ),
        (
            "for: gateway\nfield: environments.*.mocks\nmust: { matches: 'a|f' }",
            None,
        ),
        (
            "for: tests\nfield: tests.*.name\nmust_not: { matches: '^x' }",
            None,
        ),
        (
            "for: tests\nfield: '*.request.json.model'\nmust_not: { matches: '^x' }",
            None,
        ),
    ]);
}

#[test]
fn rules_are_in_order_and_say_why() {
    let codes: Vec<Code> = RULES.iter().map(|rule| rule.code).collect();
    let mut sorted = codes.clone();
    sorted.sort();
    assert_eq!(codes, sorted);
    for code in Code::ALL.iter().filter(|code| code.number().starts_with("P1")) {
        let rule = code.rule().unwrap();
        assert!(rule.why.ends_with('.') && rule.why.len() > 20, "{code}");
    }
    assert!(RULES.iter().any(|rule| rule.severity == Severity::Error));
    assert!(RULES.len() >= 40);
}

#[test]
fn nothing_is_said_against_the_clean_tree() {
    for environment in ["dev", "production"] {
        assert_eq!(lines(&build(&clean(), environment)), Vec::<String>::new());
    }
}

/// The table of where rules come from names no code that is not there; that each is tripped, other tests hold.
#[test]
fn the_rules_of_others_have_codes_that_exist() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/governance.md");
    let page = fs::read_to_string(page).unwrap();
    let rows = page.lines().filter(|line| {
        line.starts_with("| ") && !line.starts_with("| rule |") && !line.starts_with("| complaint |")
    });
    let mut codes = BTreeSet::new();
    let mut told = String::new();
    for row in rows {
        told += row.split(" | ").next().unwrap_or_default();
        told += "\n";
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        let [_, named, why] = cells[..] else {
            panic!("{row}")
        };
        let found: Vec<&str> = named
            .split(", ")
            .filter_map(|code| code.strip_prefix('`'))
            .collect();
        assert!(!found.is_empty() || named == "-" && !why.is_empty(), "{row}");
        codes.extend(
            found
                .into_iter()
                .map(|code| code.trim_end_matches('`').to_owned()),
        );
    }
    let known: BTreeSet<String> = Code::ALL.iter().map(|code| code.number().to_owned()).collect();
    let unknown: Vec<_> = codes.difference(&known).collect();
    assert!(unknown.is_empty() && codes.len() > 60, "{unknown:?}");
    // Every rule of theirs has its row.
    let hub = "childless duplicate operation-set orphan reference regex release resource selector";
    let audit = "1.1.1 1.1.2 1.2.1 2.1.1 2.1.2 2.1.3 2.1.7 2.1.8 2.1.9 2.2.1 2.2.2 2.2.3 2.2.4 2.2.5 2.3.1 3.1.1 3.1.2 \
        3.1.3 3.3.1 3.3.4 4.1.1 4.1.2 4.1.3 4.2.1 4.3.1 5.1.1 5.1.2 5.1.3 5.1.4 5.1.5 5.1.6 5.1.7 5.2.1 5.2.2 5.2.3 6.1.1 \
        7.1 7.3";
    let owasp = "no-numeric-ids no-http-basic no-api-keys-in-url no-credentials-in-url auth-insecure-schemes \
        jwt-best-practices short-lived-access-tokens write-restricted read-restricted rate-limit rate-limit-retry-after \
        rate-limit-responses-429 array-limit string-limit string-restricted integer-limit integer-limit-legacy \
        integer-format admin-security-unique concerning-url-parameter define-cors-origin no-scheme-http no-server-http \
        define-error-validation define-error-responses-401 -500 inventory-access inventory-environment";
    let spectral = "operation-success-response operation-operationId operation-operationId-unique \
        operation-operationId-valid-in-url operation-parameters operation-tag-defined path-params duplicated-entry-in-enum \
        info-contact info-description no-$ref-siblings no-eval-in-markdown no-script-tags-in-markdown \
        openapi-tags-uniqueness operation-description operation-tags path-declarations-must-exist \
        path-keys-no-trailing-slash path-not-include-query array-items typed-enum oas3-api-servers \
        oas3-examples-value-or-externalValue oas3-operation-security-defined oas3-server-not-example.com \
        oas3-server-trailing-slash oas3-valid-media-example oas3-valid-schema-example oas3-schema oas3-unused-component \
        oas3-server-variables oas3-callbacks-in-callbacks oas2 contact-properties info-license license-url openapi-tags \
        openapi-tags-alphabetical operation-singular-tag tag-description oas3-parameter-description";
    let more = "no-http-verbs-in-path paths-kebab-case no-ambiguous-paths duplicate-paths operation-4xx-response \
        description-duplication oas3-missing-example oas-missing-type info-license-spdx no-request-body \
        paths-specificity-order all-of-conflicts required-fields-defined nullable-enum no-enum-type-mismatch \
        no-identical-paths no-schema-type-mismatch security-defined spec-components-invalid-map-name \
        operation-2xx-response operation-4xx-problem-details-rfc7807 response-contains-header";
    let words: BTreeSet<&str> = told
        .split(|c: char| c.is_whitespace() || ",|".contains(c))
        .collect();
    for rule in [hub, audit, owasp, spectral, more]
        .iter()
        .flat_map(|all| all.split_whitespace())
    {
        assert!(words.contains(rule), "docs/governance.md has no row for {rule}");
    }
}

#[test]
fn every_rule_is_tripped_by_a_tree_and_says_nothing_else() {
    let mut wrong = String::new();
    let mut tripped = BTreeSet::new();
    for (index, case) in CASES.iter().enumerate() {
        let outcome = build(&changed(case), "dev");
        tripped.extend(outcome.diagnostics.iter().map(|found| found.code));
        let found = lines(&outcome);
        if std::env::var_os("PRINT").is_some() {
            println!("CASE {index} {found:?}");
        }
        let fits = found.len() == case.1.len()
            && found
                .iter()
                .zip(case.1)
                .all(|(line, start)| line.starts_with(start));
        if !fits {
            wrong += &format!("case {index}: expected {:#?}\nfound {found:#?}\n\n", case.1);
        }
        for found in &outcome.diagnostics {
            assert!(found.help.is_some(), "{}", found.one_line());
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    let missing: Vec<_> = RULES
        .iter()
        .map(|rule| rule.code)
        .filter(|code| !tripped.contains(code))
        .collect();
    assert!(missing.is_empty(), "no case for {missing:?}");
}

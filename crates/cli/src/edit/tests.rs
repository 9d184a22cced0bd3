//! Keys that are added to files as people write them.

use super::*;

fn entry() -> Entry<'static> {
    Entry {
        sha256: "ab12",
        expires: Some("2027-01-01"),
        scopes: &[],
        label: "tpk_id",
    }
}

#[track_caller]
fn becomes(before: &str, after: &str) {
    let edited = add_key(before, &entry()).unwrap();
    assert_eq!(edited, after, "\n{edited}");
}

const ITEM: &str = "- key: { sha256: ab12, expires: 2027-01-01 }  # tpk_id\n";

#[test]
fn below_the_last_item_of_a_block_list() {
    becomes(
        "consumer: a # who\ncredentials:\n  # the token\n  - jwt: { issuer: x, is: y }  # why\n  # - old\n\nmay: []\n",
        &format!(
            "consumer: a # who\ncredentials:\n  # the token\n  - jwt: {{ issuer: x, is: y }}  # why\n  {ITEM}  # - old\n\nmay: []\n"
        ),
    );
    becomes(
        "credentials:\n- jwt: x\n",
        &format!("credentials:\n- jwt: x\n{ITEM}"),
    );
    becomes(
        "credentials:\n    - jwt: x",
        &format!("credentials:\n    - jwt: x\n    {ITEM}"),
    );
}

#[test]
fn in_the_style_of_the_keys_that_are_there() {
    becomes(
        "credentials:\n  - key:\n      sha256: cd\n      expires: 2026-01-01\n  - jwt: { is: y }\nmay: []\n",
        "credentials:\n  - key:\n      sha256: cd\n      expires: 2026-01-01\n  - jwt: { is: y }\n  - key:  # tpk_id\n      sha256: ab12\n      expires: 2027-01-01\nmay: []\n",
    );
    becomes(
        "credentials:\n  - key:\n        sha256: cd\n",
        "credentials:\n  - key:\n        sha256: cd\n  - key:  # tpk_id\n        sha256: ab12\n        expires: 2027-01-01\n",
    );
}

#[test]
fn where_there_are_none_yet() {
    for none in [
        "credentials: []",
        "credentials: [ ]",
        "credentials: ~",
        "credentials:",
        "credentials: null",
    ] {
        becomes(
            &format!("consumer: a\n{none}\nmay: []\n"),
            &format!("consumer: a\ncredentials:\n  {ITEM}may: []\n"),
        );
        becomes(none, &format!("credentials:\n  {ITEM}"));
    }
    becomes(
        "credentials: []  # none yet\nmay: []\n",
        &format!("credentials:  # none yet\n  {ITEM}may: []\n"),
    );
    becomes(
        "credentials: # none yet\n\nmay: []\n",
        &format!("credentials: # none yet\n  {ITEM}\nmay: []\n"),
    );
}

#[test]
fn where_there_is_no_such_field() {
    becomes(
        "consumer: a\nplan: b\n\n# what it may\nmay:\n  - x\n",
        &format!("consumer: a\nplan: b\n\ncredentials:\n  {ITEM}# what it may\nmay:\n  - x\n"),
    );
    becomes(
        "consumer: a\nplan: b",
        &format!("consumer: a\nplan: b\ncredentials:\n  {ITEM}"),
    );
    becomes(
        "---\nplan: |\n  b\n...\n",
        &format!("---\nplan: |\n  b\ncredentials:\n  {ITEM}...\n"),
    );
}

#[test]
fn in_brackets() {
    becomes(
        "credentials: [{ jwt: x }]  # c\n",
        "credentials: [{ jwt: x }, { key: { sha256: ab12, expires: 2027-01-01 } }]  # c\n",
    );
    becomes(
        "credentials: [\n  { jwt: x },  # c\n]\n",
        "credentials: [\n  { jwt: x },  # c\n  { key: { sha256: ab12, expires: 2027-01-01 } },  # tpk_id\n]\n",
    );
    becomes(
        "{\"consumer\": \"a\", \"credentials\": [{\"jwt\": {}}]}",
        "{\"consumer\": \"a\", \"credentials\": [{\"jwt\": {}}, { \"key\": { \"sha256\": \"ab12\", \"expires\": \"2027-01-01\" } }]}",
    );
    becomes(
        "{\"credentials\": []}",
        "{\"credentials\": [{ \"key\": { \"sha256\": \"ab12\", \"expires\": \"2027-01-01\" } }]}",
    );
}

/// What is said beside or below what is there stays with it.
#[test]
fn comments_stay_with_what_they_are_about() {
    becomes(
        "credentials: [\n  { jwt: x }  # c\n]\n",
        "credentials: [\n  { jwt: x },  # c\n  { key: { sha256: ab12, expires: 2027-01-01 } }  # tpk_id\n]\n",
    );
    becomes(
        "credentials: [\n  { jwt: x }]\n",
        "credentials: [\n  { jwt: x }, { key: { sha256: ab12, expires: 2027-01-01 } }]\n",
    );
    becomes(
        "credentials:\n  - jwt:\n      is: y\n      # which is who\n\nmay: []\n",
        &format!("credentials:\n  - jwt:\n      is: y\n      # which is who\n  {ITEM}\nmay: []\n"),
    );
    becomes(
        "consumer: a\nenvironments:\n  - dev\n  # - staging\n# the end\n",
        &format!("consumer: a\nenvironments:\n  - dev\n  # - staging\ncredentials:\n  {ITEM}# the end\n"),
    );
}

/// The mark of its encoding that an editor writes before a file takes no place in its first line.
#[test]
fn below_a_mark_of_the_encoding() {
    becomes(
        "\u{feff}consumer: a\nplan: b\n",
        &format!("\u{feff}consumer: a\nplan: b\ncredentials:\n  {ITEM}"),
    );
}

#[test]
fn in_braces_as_they_are_written() {
    becomes(
        "{ consumer: a, credentials: [] }\n",
        "{ consumer: a, credentials: [{ key: { sha256: ab12, expires: 2027-01-01 } }] }\n",
    );
}

#[test]
fn lines_end_as_they_do() {
    becomes(
        "consumer: a\r\ncredentials:\r\n  - jwt: x\r\n",
        &format!(
            "consumer: a\r\ncredentials:\r\n  - jwt: x\r\n  {}",
            ITEM.replace('\n', "\r\n")
        ),
    );
    // One that an editor left behind is not how they end.
    becomes(
        "consumer: a\r\nplan: b\ncredentials:\n  - jwt: x\n",
        &format!("consumer: a\r\nplan: b\ncredentials:\n  - jwt: x\n  {ITEM}"),
    );
}

#[test]
fn what_is_not_understood_is_not_touched() {
    for text in [
        "",
        "- a\n",
        "a: [",
        "{ \"consumer\": \"a\" }",
        "credentials: x\n",
        "credentials: { key: x }\n",
        "credentials: [\n  # none\n]\n",
        "credentials:\n  []\n",
        "credentials:\n  -\n    jwt: x\n",
        "credentials:\n  - &a\n    jwt: x\n",
        "a: &x []\ncredentials: *x\n",
        "credentials: []\ncredentials: []\n",
        "credentials: []\n---\ncredentials: []\n",
    ] {
        assert!(add_key(text, &entry()).is_err(), "{text:?}");
    }
}

#[test]
fn scopes_are_quoted_where_they_must_be() {
    let scopes = ["pets:read".to_owned(), "a,b".to_owned(), "no".to_owned()];
    let entry = Entry {
        sha256: "ab",
        expires: None,
        scopes: &scopes,
        label: "tpk_id",
    };
    assert_eq!(
        entry.flow(),
        r#"key: { sha256: ab, scopes: [pets:read, "a,b", "no"] }"#
    );
}

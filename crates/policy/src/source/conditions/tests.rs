//! What can be written, how it reads back, and what is said of the rest.

use super::{parse, places};

#[test]
fn what_is_written_reads_back() {
    for (text, printed) in [
        ("claims.department == 'stores'", "claims.department == 'stores'"),
        ("claims . department=='stores'", "claims.department == 'stores'"),
        (
            r#"claims["https://acme.example/role"] == "it's""#,
            r"claims['https://acme.example/role'] == 'it\'s'",
        ),
        ("claims['department'] != 'a'", "claims.department != 'a'"),
        ("claims['in'] == 'a'", "claims['in'] == 'a'"),
        (
            "'admin' in claims.realm_access.roles",
            "'admin' in claims.realm_access.roles",
        ),
        ("claims.level in [1, -2.50, 3]", "claims.level in [1, -2.5, 3]"),
        ("claims.level >= -0", "claims.level >= 0"),
        (
            "(claims.a || claims.b) && claims.c",
            "(claims.a || claims.b) && claims.c",
        ),
        (
            "claims.a || claims.b && claims.c",
            "claims.a || (claims.b && claims.c)",
        ),
        (
            "claims.a && (claims.b && (claims.c))",
            "claims.a && claims.b && claims.c",
        ),
        ("!claims.a && !!claims.b", "!claims.a && !!claims.b"),
        ("!(claims.a || claims.b)", "!(claims.a || claims.b)"),
        ("!(claims.x == 'a')", "!(claims.x == 'a')"),
        (
            "!request.params['pet-id'].startsWith('x')",
            "!request.params['pet-id'].startsWith('x')",
        ),
        (
            "claims.startsWith.startsWith('a')",
            "claims.startsWith.startsWith('a')",
        ),
        (
            "request.method in ['GET', 'PUT'] && request.country == 'DE' && request.hour < 18",
            "request.method in ['GET', 'PUT'] && request.country == 'DE' && request.hour < 18",
        ),
        (
            "claims.sub == request.params.userId",
            "claims.sub == request.params.userId",
        ),
    ] {
        let parsed = parse(text).unwrap_or_else(|why| panic!("{text}: {why}"));
        assert_eq!(parsed.to_string(), printed, "{text}");
        assert_eq!(parse(printed), Ok(parsed), "{text}");
    }
}

#[test]
fn what_is_no_condition_is_said_to_be_none() {
    for (text, why) in [
        ("", "expected a claim, a fact or a value, and it ends here"),
        ("claims", "which claim?"),
        ("claims.x = 'a'", "`=` has no meaning here"),
        ("claims.x == stores", "there is nothing called `stores`"),
        ("claims.x == 'stores", "this text has no end"),
        (r"claims.x == 'a\n'", "this `\\` escapes nothing"),
        ("claims.x == 'a\nb'", "a text holds a control character"),
        (
            "claims.x == 'a' and claims.y == 'b'",
            "`and` is one too many here",
        ),
        ("claims.x == 'a' & claims.y == 'b'", "`&` is one too many here"),
        ("claims.a < claims.b < 3", "`<` is one too many here"),
        ("!claims.x == 'a'", "`==` is one too many here"),
        ("not claims.x", "expected a condition, found `not`"),
        ("(claims.x == 'a'", "expected `)`, and it ends here"),
        ("has(claims.x)", "there is nothing called `has`"),
        ("claims.x.endsWith('a')", "there is no function `endsWith`"),
        (
            "claims.x.startsWith(claims.y)",
            "expected a text in quotes, found `claims`",
        ),
        ("claims.x.startsWith('')", "every text begins with nothing"),
        (
            "claims.x in []",
            "expected texts, or numbers, and never both in one list",
        ),
        (
            "claims.x in ['a', 1]",
            "expected texts, or numbers, and never both in one list",
        ),
        ("claims.x in ['a', 'a']", "the same text is in this list twice"),
        (
            "claims.for == 'a'",
            "expected a name that is no word of the language",
        ),
        ("claims.x == 9007199254740992", "this number is too large"),
        ("claims.x == 1e3", "this is neither a number nor a name"),
        ("request.params == 'a'", "one parameter of the path is meant"),
        ("request.params.a.b == 'a'", "one parameter of the path is meant"),
        (
            "request.address == 'a'",
            "nothing is known of a request that is called `address`",
        ),
        ("request.method == 'get'", "request.method is never `get`"),
        ("request.method != 'FETCH'", "request.method is never `FETCH`"),
        ("request.country in ['de']", "request.country is never `de`"),
        ("request.country != 'XX'", "request.country is never `XX`"),
        ("request.hour < 24", "request.hour is never `24`"),
        ("request.hour", "request.hour is no condition, it is a number"),
        (
            "request.hour == '8'",
            "request.hour is a number, and '8' is a text",
        ),
        ("request.method > 'A'", "request.method is a text"),
        ("'a' in request.method", "request.method is no list, it is a text"),
        (
            "3 in claims.x && request.hour in ['a']",
            "request.hour is a number, and never in a list of texts",
        ),
        (
            "claims.x == ['a']",
            "['a'] is a list of texts, and is compared with nothing",
        ),
        ("true", "this is the same for every request"),
        ("'a' == 'a'", "this is the same for every request"),
        ("claims.x || true", "this is the same for every request"),
        (
            "'abc'.startsWith('a')",
            "only a claim or a fact that is a text begins with something, not a text",
        ),
        ("claims.x == 'ä' ü", "`ü` has no meaning here"),
    ] {
        let said = parse(text).expect_err(text);
        assert!(said.starts_with(why), "{text}: {said}");
    }
}

#[test]
fn what_is_written_is_bounded() {
    let long = |count: usize| vec!["claims.x"; count].join(" && ");
    assert!(parse(&long(64)).is_ok());
    assert!(parse(&long(65)).is_err_and(|why| why.contains("64 values")));
    let deep = |count: usize| format!("{}claims.x{}", "(".repeat(count), ")".repeat(count));
    assert!(parse(&deep(16)).is_ok());
    assert!(parse(&deep(17)).is_err_and(|why| why.contains("16 deep")));
    assert!(parse(&deep(500)).is_err_and(|why| why.contains("16 deep")));
    assert!(parse(&"!".repeat(17)).is_err());
    assert!(
        parse(&format!("claims.x == '{}'", "a".repeat(1024))).is_err_and(|why| why.contains("1024 bytes"))
    );
}

#[test]
fn a_byte_of_a_text_is_found_in_its_file() {
    for (written, text) in [
        ("claims.x == 'a'", "claims.x == 'a'"),
        ("\"claims.x == 'ä' && y\"", "claims.x == 'ä' && y"),
        (r#""claims.x == \"a\" && y""#, "claims.x == \"a\" && y"),
        ("'claims.x == ''a'' && y'", "claims.x == 'a' && y"),
        (">-\n    claims.x\n    && y\n", "claims.x && y"),
        ("|\n  claims.x\n  && y\n", "claims.x\n&& y\n"),
        ("claims.x\n    && y", "claims.x && y"),
    ] {
        let places = places(written, text).unwrap_or_else(|| panic!("{written}"));
        assert_eq!(places.len(), text.len(), "{written}");
        for (at, byte) in text.bytes().enumerate() {
            if !byte.is_ascii_whitespace() {
                assert_eq!(written.as_bytes()[places[at]], byte, "{written} at {at}");
            }
        }
    }
    // Filled-in variables and longer escapes are not seen through.
    assert_eq!(places("claims.x == '${y}'", "claims.x == 'a'"), None);
    assert_eq!(places(r#""\u0061""#, "a"), None);
}

use super::super::Refusal;
use super::super::credential::{Credential, Presented, pick};

const JWT: &str = "e30.e30.AAAA";
const KEY: &str = "tpk_trial_0a1B-2_c";

/// `Authorization`, `x-api-key`, and the same in `api-key` or `x-goog-api-key`.
#[expect(clippy::panic_in_result_fn, reason = "a test's helper")]
fn picked(headers: [Option<&str>; 3]) -> Result<Credential<'_>, Refusal> {
    let [authorization, x_api_key, other] = headers;
    let presented = Presented {
        authorization,
        x_api_key,
        ..Presented::default()
    };
    let azure = pick(
        &Presented {
            api_key: other,
            ..presented
        },
        &[],
    );
    let google = pick(
        &Presented {
            x_goog_api_key: other,
            ..presented
        },
        &[],
    );
    assert_eq!(azure, google);
    azure
}

#[test]
fn one_credential_is_picked() {
    let key = Ok(Credential::Key {
        key: KEY,
        id: "trial",
    });
    let token = Ok(Credential::Token(JWT));
    let bearer_key = format!("Bearer {KEY}");
    let shouted = format!("BEARER {JWT}");
    let spaced = format!("bearer   {JWT}");
    for (headers, expected) in [
        ([None, None, None], Err(Refusal::Missing)),
        ([Some("Bearer e30.e30.AAAA"), None, None], token.clone()),
        ([Some(&shouted), None, None], token.clone()),
        ([Some(&spaced), None, None], token.clone()),
        ([Some(&bearer_key), None, None], key.clone()),
        ([None, Some(KEY), None], key.clone()),
        ([None, None, Some(KEY)], key.clone()),
        ([None, Some(KEY), Some(KEY)], key.clone()),
        ([Some(&bearer_key), Some(KEY), Some(KEY)], key.clone()),
        ([Some(&spaced), Some(JWT), None], token.clone()),
        // An SDK that knows keys only sends a token as its key.
        ([None, Some(JWT), None], token.clone()),
        ([None, None, Some(JWT)], token.clone()),
    ] {
        assert_eq!(picked(headers), expected, "{headers:?}");
    }
}

#[test]
fn two_credentials_are_refused() {
    for headers in [
        [Some("Bearer e30.e30.AAAA"), Some(KEY), None],
        [None, Some(KEY), Some("tpk_trial_0a1B-2_d")],
        [Some("Bearer e30.e30.AAAA"), None, Some("e30.e30.AAAB")],
        [Some("Basic dTpw"), Some(KEY), None],
        [Some(""), Some(KEY), None],
        [Some("Bearer "), None, Some(KEY)],
        [Some("Bearer e30.e30.AAAA, Bearer e30.e30.AAAA"), None, None],
        [Some("Bearer e30.e30.AAAA,e30.e30.AAAA"), None, None],
        [None, Some("tpk_trial_0a1B, tpk_trial_0a1B"), None],
        [None, None, Some("tpk_trial_0a1B,tpk_trial_0a1B")],
    ] {
        assert_eq!(picked(headers), Err(Refusal::Ambiguous), "{headers:?}");
    }
}

#[test]
fn malformed_credentials_are_refused() {
    let long = format!("Bearer e30.e30.{}", "A".repeat(8 * 1024 - 7));
    let longest = long.strip_suffix('A').unwrap();
    assert!(matches!(
        picked([Some(longest), None, None]),
        Ok(Credential::Token(_))
    ));
    for authorization in [
        "",
        "Bearer",
        "Bearer ",
        "Bearer\te30.e30.AAAA",
        " Bearer e30.e30.AAAA",
        "Basic dTpw",
        "Bearer e30.e30.AAAA ",
        "Bearer e30.e30.AA AA",
        "Bearer e30.e30.AA\u{e4}",
        "Bearer ===",
        "Bearer e30.e30.A=A",
        "Bearer tpk_",
        "Bearer tpk_trial",
        "Bearer tpk_trial_",
        "Bearer tpk__secret",
        "Bearer tpk_tr.al_secret",
        &long,
    ] {
        let found = picked([Some(authorization), None, None]);
        assert!(
            matches!(found, Err(Refusal::Malformed(_))),
            "{authorization:?} {found:?}"
        );
    }
    let long = format!("tpk_trial_{}", "A".repeat(300));
    for key in [
        "",
        " ",
        "e30.e30.AA AA",
        "e30.e30.A\u{e4}",
        "===",
        "tpk_a",
        "tpk_a_b c",
        "tpk_a_\u{e4}",
        "tpk_a_b.c.d",
        &long,
    ] {
        let found = picked([None, Some(key), None]);
        assert!(matches!(found, Err(Refusal::Malformed(_))), "{key:?} {found:?}");
    }
}

#[test]
fn a_key_may_stand_where_the_policy_says() {
    let schemes = ["apikey".to_owned()];
    let key = Credential::Key {
        key: KEY,
        id: "trial",
    };
    let by = |authorization: Option<&'static str>, other: Option<&'static str>| {
        pick(
            &Presented {
                authorization,
                other,
                ..Presented::default()
            },
            &schemes,
        )
    };
    for authorization in [
        "ApiKey tpk_trial_0a1B-2_c",
        "APIKEY  tpk_trial_0a1B-2_c",
        "Bearer tpk_trial_0a1B-2_c",
    ] {
        assert_eq!(by(Some(authorization), None), Ok(key));
        assert_eq!(by(Some(authorization), Some(KEY)), Ok(key), "the same one");
        assert_eq!(by(Some(authorization), Some("tpk_a_b")), Err(Refusal::Ambiguous));
    }
    assert_eq!(by(None, Some(KEY)), Ok(key));
    // Tokens stand behind `Bearer`, and in the headers of SDKs that know keys only; nowhere else.
    for (authorization, other) in [
        (Some("ApiKey e30.e30.AAAA"), None),
        (Some("Token tpk_trial_0a1B-2_c"), None),
        (None, Some(JWT)),
        (Some("Bearer e30.e30.AAAA"), Some(JWT)),
        (None, Some("")),
        (None, Some("tpk_")),
        (None, Some("tpk_trial_0a1B%2D2_c")),
    ] {
        let found = by(authorization, other);
        assert!(
            matches!(found, Err(Refusal::Malformed(_))),
            "{authorization:?} {other:?} {found:?}"
        );
    }
    let several = Presented {
        other: Some(KEY),
        several: true,
        ..Presented::default()
    };
    assert_eq!(pick(&several, &schemes), Err(Refusal::Ambiguous));
}

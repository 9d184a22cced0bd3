//! What an upstream is told of the caller, by headers that only the gateway can send.
//!
//! A claim is told as its issuer declares it: texts as they are, numbers as in the token, booleans as words,
//! lists with `,` between their items. Everything but visible ASCII is percent-encoded, and so are `%` and `,`:
//! whoever undoes that has exactly what the token said, and no value can end a header or begin another item.

use std::borrow::Cow;

use turnpike_policy::{Api, ClaimKind, Compiled};

use crate::error::{Code, Refusal};
use crate::identify::{ClaimValue, Principal};

/// The most bytes of one value as it is sent.
const MAX_VALUE: usize = 4096;

/// Refuses a caller of whom more would have to be told than fits: a part might mean something else.
pub(crate) fn check(policy: &Compiled, api: &Api, caller: &Principal) -> Result<(), Refusal> {
    for told in &api.upstream_headers {
        let Some(value) = texts(policy, caller, &told.claim) else {
            continue;
        };
        let bytes = value.iter().flat_map(|text| text.bytes());
        let length: usize = bytes.map(|byte| if passes(byte) { 1 } else { 3 }).sum();
        if length + value.len() > MAX_VALUE {
            let detail = "The token says more than can be passed on.";
            let why = format!("`{}` would have more than {MAX_VALUE} bytes", told.header);
            return Err(Refusal::new(Code::HeaderTooLarge, detail)
                .because(why)
                .by(&api.origin));
        }
    }
    Ok(())
}

/// The headers that tell an API's upstream of a caller. What its token does not say is not told.
pub(crate) fn headers<'a>(
    policy: &'a Compiled,
    api: &'a Api,
    caller: &'a Principal,
) -> impl Iterator<Item = (Cow<'static, str>, String)> + 'a {
    api.upstream_headers.iter().filter_map(|told| {
        let mut value = String::new();
        for (place, text) in texts(policy, caller, &told.claim)?.iter().enumerate() {
            if place > 0 {
                value.push(',');
            }
            push(&mut value, text);
        }
        (!value.is_empty()).then(|| (Cow::Owned(told.header.clone()), value))
    })
}

/// The texts that a claim consists of, if its issuer declares it and the token has it so.
fn texts<'a>(policy: &Compiled, caller: &'a Principal, path: &[String]) -> Option<Vec<&'a str>> {
    Some(match caller.declared(policy, path)? {
        (ClaimKind::Text, ClaimValue::Text(text)) | (ClaimKind::Number, ClaimValue::Number(text)) => {
            vec![text]
        }
        (ClaimKind::Flag, ClaimValue::Flag(flag)) => vec![if *flag { "true" } else { "false" }],
        (ClaimKind::Texts, ClaimValue::Texts(texts)) => texts.iter().map(String::as_str).collect(),
        _ => return None,
    })
}

/// Whether a byte stands for itself.
const fn passes(byte: u8) -> bool {
    byte.is_ascii_graphic() && byte != b'%' && byte != b','
}

fn push(out: &mut String, text: &str) {
    for byte in text.bytes() {
        if passes(byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            for digit in [byte >> 4, byte & 15] {
                out.push(char::from(if digit < 10 {
                    b'0' + digit
                } else {
                    b'A' - 10 + digit
                }));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> String {
        let mut out = String::new();
        push(&mut out, text);
        out
    }

    #[test]
    fn whatever_a_token_says_stays_one_value_that_reads_back() {
        for (text, value) in [
            ("mia@acme.example", "mia@acme.example"),
            ("Mia Lee", "Mia%20Lee"),
            ("a,b", "a%2Cb"),
            ("50%", "50%25"),
            ("a\r\nx-admin: 1", "a%0D%0Ax-admin:%201"),
            ("Zoë", "Zo%C3%AB"),
            ("\u{0}\u{7f}", "%00%7F"),
        ] {
            assert_eq!(told(text), value);
        }
    }
}

//! Values that must never be in a policy tree, and must never be shown when they are.

use super::diagnostic::{Code, Report, Span};
use super::hidden::is_hidden;
use super::yaml::{Node, Value};

/// Text as it is shown in a message: in backticks, short, nothing in it unseen, and never a secret.
pub(crate) fn quote(text: &str) -> String {
    if what(text).is_some() {
        return "this value".to_owned();
    }
    let mut shown = String::new();
    for c in text.chars().take(60) {
        if is_hidden(c) {
            shown.extend(c.escape_unicode());
        } else {
            shown.push(if c.is_control() { ' ' } else { c });
        }
    }
    if text.chars().nth(60).is_some() {
        shown.push('…');
    }
    format!("`{shown}`")
}

/// Whether a text looks like a secret: then it was reported where it stands.
pub(crate) fn is_secret(text: &str) -> bool {
    what(text).is_some()
}

/// Finds secrets in a document, reports each and keeps it from being shown.
pub(crate) fn search(root: &Node, report: &mut Report) {
    let mut rest = vec![root];
    while let Some(node) = rest.pop() {
        match &node.value {
            Value::Scalar { text, .. } => {
                if let Some(what) = what(text) {
                    report.redact(node.span);
                    found(node.span, what, report);
                }
            }
            Value::List(items) => rest.extend(items),
            Value::Map(entries) => {
                for (key, value) in entries {
                    rest.push(key);
                    rest.push(value);
                }
                if let Some(what) = private_jwk(node, report) {
                    found(node.span, what, report);
                }
            }
        }
    }
}

/// Finds secrets in a text of which no document can be made, which is shown all the same.
pub(crate) fn search_text(file: u32, text: &str, report: &mut Report) {
    let mut at = 0;
    let mut in_key = None;
    for line in text.split_inclusive('\n') {
        // A private key goes on for lines.
        if line.contains("-----BEGIN ") && line.contains("PRIVATE KEY-----") {
            in_key = Some(at);
        }
        if in_key.is_some() {
            report.redact(Span::new(file, at, at + line.len()));
        }
        if let Some(start) = in_key.filter(|_| line.contains("-----END ")) {
            found(Span::new(file, start, start), "a private key (PEM)", report);
            in_key = None;
        }
        let ends = |c: char| c.is_whitespace() || "\"'`,;=:[]{}".contains(c);
        let mut word_at = at;
        for word in line.split_inclusive(ends) {
            let span = Span::new(file, word_at, word_at + word.trim_end_matches(ends).len());
            word_at += word.len();
            if let Some(what) = what(word.trim_end_matches(ends)) {
                report.redact(span);
                found(span, what, report);
            }
        }
        at += line.len();
    }
}

fn found(span: Span, what: &str, report: &mut Report) {
    report
        .error(Code::SecretInTree, span, format!("this looks like {what}"))
        .help("put the value in a Worker secret and write that secret's name here; a key that was in Git must be replaced");
}

/// A JWK with private members, or a symmetric one.
fn private_jwk(map: &Node, report: &mut Report) -> Option<&'static str> {
    let kind = map.get("kty")?.text()?;
    let mut found = None;
    for member in ["d", "p", "q", "dp", "dq", "qi", "k"] {
        if let Some(value) = map.get(member).filter(|value| value.text().is_some()) {
            report.redact(value.span);
            found = Some("a private key (JWK)");
        }
    }
    if kind == "oct" {
        Some("a symmetric key (JWK)")
    } else {
        found
    }
}

/// What kind of secret a text looks like.
fn what(text: &str) -> Option<&'static str> {
    // No kind is shorter, and most texts are.
    if text.len() < 20 || !may_hold_one(text.as_bytes()) {
        return None;
    }
    if text.contains("-----BEGIN ") && text.contains("PRIVATE KEY-----") {
        return Some("a private key (PEM)");
    }
    let word = |prefix: &str, least: usize| {
        text.split(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | ',' | ';' | '='))
            .filter_map(|word| word.strip_prefix(prefix))
            .any(|rest| {
                rest.len() >= least
                    && rest
                        .bytes()
                        .all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b))
            })
    };
    let known = [
        ("sk-", 20, "an API key of a model provider"),
        ("sk_live_", 16, "a secret key"),
        ("AKIA", 16, "an access key of AWS"),
        ("AIza", 30, "an API key of Google"),
        ("ghp_", 30, "a token of GitHub"),
        ("github_pat_", 30, "a token of GitHub"),
        ("glpat-", 18, "a token of GitLab"),
        ("xoxb-", 20, "a token of Slack"),
        ("hf_", 30, "a token of Hugging Face"),
    ];
    if let Some((_, _, what)) = known.into_iter().find(|(prefix, least, _)| word(prefix, *least)) {
        return Some(what);
    }
    text.split_whitespace()
        .any(is_jwt)
        .then_some("a signed token (JWT)")
}

/// Whether a secret of a known kind may begin somewhere in a text: nearly every text of a tree ends here.
fn may_hold_one(text: &[u8]) -> bool {
    let begins = |at: usize, marks: &[&str]| {
        let rest = text.get(at..).unwrap_or_default();
        marks.iter().any(|mark| rest.starts_with(mark.as_bytes()))
    };
    text.iter().enumerate().any(|(at, byte)| match byte {
        b'-' => begins(at, &["-----BEGIN "]),
        b'e' => begins(at, &["eyJ"]),
        b's' => begins(at, &["sk-", "sk_live_"]),
        b'A' => begins(at, &["AKIA", "AIza"]),
        b'g' => begins(at, &["ghp_", "github_pat_", "glpat-"]),
        b'x' => begins(at, &["xoxb-"]),
        b'h' => begins(at, &["hf_"]),
        _ => false,
    })
}

fn is_jwt(word: &str) -> bool {
    let mut parts = word.split('.');
    let (Some(head), Some(claims), Some(signature), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return false;
    };
    let long = |part: &str, least: usize| {
        part.len() >= least
            && part
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b))
    };
    head.starts_with("eyJ")
        && claims.starts_with("eyJ")
        && long(head, 10)
        && long(claims, 10)
        && long(signature, 20)
}

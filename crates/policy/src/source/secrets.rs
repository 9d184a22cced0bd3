//! Values that must never be in a policy tree, and must never be shown when they are.

use super::diagnostic::{Code, Report, Span};
use super::hidden::is_hidden;
use super::yaml::{Node, Value};

/// No private key is longer, in PEM.
const MAX_PEM: usize = 16 << 10;

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
        search_line(file, at, line, report);
        at += line.len();
    }
}

/// Finds secrets in a line of a text.
fn search_line(file: u32, at: usize, line: &str, report: &mut Report) {
    let ends = |c: char| c.is_whitespace() || "\"'`,;=[]{}".contains(c);
    let mut word_at = at;
    for word in line.split_inclusive(ends) {
        let span = Span::new(file, word_at, word_at + word.trim_end_matches(ends).len());
        word_at += word.len();
        if let Some(what) = what(word.trim_end_matches(ends)) {
            report.redact(span);
            found(span, what, report);
        }
    }
}

/// Finds secrets in the comments of a file, which are no part of its document.
pub(crate) fn search_comments(file: u32, text: &str, root: &Node, report: &mut Report) {
    let bytes = text.as_bytes();
    // Where a comment was left: what is in a private key is no other secret.
    let mut done = 0;
    let mut texts = None;
    for (at, _) in text.match_indices('#') {
        let before = at.checked_sub(1).and_then(|before| bytes.get(before));
        let opens = before.is_none_or(u8::is_ascii_whitespace);
        let Some(rest) = text.get(at..).filter(|_| opens && at >= done) else {
            continue;
        };
        let line = rest.lines().next().unwrap_or_default();
        // Nearly every comment ends here; the others may be the text of a node, which was searched.
        if !may_hold_one(line.as_bytes()) || texts.get_or_insert_with(|| root.texts()).hold(at) {
            continue;
        }
        done = at + line.len();
        if line.contains("-----BEGIN ") && line.contains("PRIVATE KEY-----") {
            let end = rest.find("-----END ").filter(|end| *end < MAX_PEM);
            done = done.max(at + end.unwrap_or_default());
            report.redact(Span::new(file, at, done));
            found(Span::new(file, at, at), "a private key (PEM)", report);
        } else {
            search_line(file, at, line, report);
        }
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
    if text.len() < 16 || !may_hold_one(text.as_bytes()) {
        return None;
    }
    if text.contains("-----BEGIN ") && text.contains("PRIVATE KEY-----") {
        return Some("a private key (PEM)");
    }
    let word = |prefix: &str, least: usize| {
        words(text)
            .filter_map(|word| word.strip_prefix(prefix))
            .any(|rest| is_word(rest, least))
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
        ("AGE-SECRET-KEY-1", 40, "a secret key of age"),
    ];
    if let Some((_, _, what)) = known.into_iter().find(|(prefix, least, _)| word(prefix, *least)) {
        return Some(what);
    }
    if words(text).any(is_own_key) {
        return Some("an API key of this gateway");
    }
    if words(text).any(is_sendgrid) {
        return Some("an API key of SendGrid");
    }
    if words(text).any(is_twilio) {
        return Some("an API key of Twilio");
    }
    if words(text).any(is_jwt) {
        return Some("a signed token (JWT)");
    }
    text.match_indices("://")
        .any(|(at, mark)| has_password(text.get(at + mark.len()..).unwrap_or_default()))
        .then_some("a URL with a password")
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| c.is_whitespace() || "\"',;=:()[]{}<>`".contains(c))
}

/// Letters, digits and what joins them, at least so many.
fn is_word(text: &str, least: usize) -> bool {
    let of_word = |b: u8| b.is_ascii_alphanumeric() || b"_-".contains(&b);
    text.len() >= least && text.bytes().all(of_word)
}

/// As `turnpike new key` makes them: `tpk_<id>_<secret>`. One of a short secret is an example.
fn is_own_key(word: &str) -> bool {
    let parts = word.strip_prefix("tpk_").and_then(|rest| rest.split_once('_'));
    parts.is_some_and(|(id, secret)| is_word(id, 1) && is_word(secret, 20))
}

fn is_sendgrid(word: &str) -> bool {
    let parts = word.strip_prefix("SG.").and_then(|rest| rest.split_once('.'));
    parts.is_some_and(|(id, secret)| is_word(id, 16) && is_word(secret.trim_end_matches('.'), 32))
}

fn is_twilio(word: &str) -> bool {
    word.strip_prefix("SK")
        .is_some_and(|rest| rest.len() == 32 && rest.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// Whether what stands after `://` begins with a name and a password: one that is written, and no place for one
/// (`https://user:${PASSWORD}@host`, `https://user:<password>@host`).
fn has_password(rest: &str) -> bool {
    let ends = |c: char| c.is_whitespace() || "/?#\"'`".contains(c);
    let authority = rest.split(ends).next().unwrap_or_default();
    let said = authority
        .rsplit_once('@')
        .and_then(|(said, _)| said.split_once(':'));
    said.is_some_and(|(_, password)| {
        password.len() >= 4 && !password.contains(['$', '<', '{', '[', '*', '\u{2026}'])
    })
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
        b'A' => begins(at, &["AKIA", "AIza", "AGE-SECRET-KEY-1"]),
        b'g' => begins(at, &["ghp_", "github_pat_", "glpat-"]),
        b'x' => begins(at, &["xoxb-"]),
        b'h' => begins(at, &["hf_"]),
        b't' => begins(at, &["tpk_"]),
        b'S' => begins(at, &["SG.", "SK"]),
        b':' => {
            begins(at, &["://"])
                && text
                    .get(at..)
                    .is_some_and(|rest| rest.iter().take(512).any(|b| *b == b'@'))
        }
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
    head.starts_with("eyJ")
        && claims.starts_with("eyJ")
        && is_word(head, 10)
        && is_word(claims, 10)
        && is_word(signature, 20)
}

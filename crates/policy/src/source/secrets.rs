//! Values that must never be in a policy tree, and must never be shown when they are.

use super::comments;
use super::diagnostic::{Code, Report, Span};
use super::hidden::is_hidden;
use super::yaml::{Node, Value};

/// No private key is longer, in PEM.
const MAX_PEM: usize = 16 << 10;

/// How secrets of known kinds begin, how many letters, digits and joints follow at least, and what each is.
const KNOWN: [(&str, usize, &str); 45] = [
    ("sk-", 20, "an API key of a model provider"),
    ("gsk_", 40, "an API key of a model provider"),
    ("pplx-", 40, "an API key of a model provider"),
    ("xai-", 60, "an API key of a model provider"),
    ("r8_", 36, "an API key of a model provider"),
    ("hf_", 30, "a token of Hugging Face"),
    ("sk_live_", 16, "a secret key"),
    ("rk_live_", 16, "a secret key"),
    ("AKIA", 16, "an access key of AWS"),
    ("AIza", 30, "an API key of Google"),
    ("GOCSPX-", 24, "a client's secret of Google"),
    ("ghp_", 30, GITHUB),
    ("gho_", 30, GITHUB),
    ("ghu_", 30, GITHUB),
    ("ghs_", 30, GITHUB),
    ("ghr_", 30, GITHUB),
    ("github_pat_", 30, GITHUB),
    ("glpat-", 18, GITLAB),
    ("gldt-", 18, GITLAB),
    ("glrt-", 18, GITLAB),
    ("glptt-", 18, GITLAB),
    ("glcbt-", 18, GITLAB),
    ("glsoat-", 18, GITLAB),
    ("glsa_", 32, "a token of Grafana"),
    ("xoxa-", 20, SLACK),
    ("xoxb-", 20, SLACK),
    ("xoxe-", 20, SLACK),
    ("xoxo-", 20, SLACK),
    ("xoxp-", 20, SLACK),
    ("xoxr-", 20, SLACK),
    ("xoxs-", 20, SLACK),
    ("xoxe.xoxb-", 20, SLACK),
    ("xoxe.xoxp-", 20, SLACK),
    ("xapp-", 20, SLACK),
    // The name of an index, as every token says it first; without it, as long as no name is.
    ("pypi-AgE", 16, "a token of PyPI"),
    ("pypi-", 60, "a token of PyPI"),
    ("rubygems_", 40, "a token of RubyGems"),
    ("dckr_pat_", 20, "a token of Docker"),
    ("dop_v1_", 40, "a token of DigitalOcean"),
    ("shpat_", 30, "a token of Shopify"),
    ("shpss_", 30, "a token of Shopify"),
    ("lin_api_", 30, "an API key of Linear"),
    ("PMAK-", 30, "an API key of Postman"),
    ("hvs.", 24, "a token of Vault"),
    ("AGE-SECRET-KEY-1", 40, "a secret key of age"),
];
const GITHUB: &str = "a token of GitHub";
const GITLAB: &str = "a token of GitLab";
const SLACK: &str = "a token of Slack";
const AWS_SECRET: &str = "a secret access key of AWS";

/// What is written where a password belongs, by whoever shows how to write one.
const PLACES: [&str; 15] = [
    "accesstoken",
    "apikey",
    "changeme",
    "example",
    "key",
    "login",
    "name",
    "pass",
    "passwd",
    "password",
    "redacted",
    "secret",
    "token",
    "user",
    "username",
];

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
                    // By itself it looks like anything.
                    if value.text().is_some_and(is_aws_secret) && key.text().is_some_and(says_aws_secret) {
                        report.redact(value.span);
                        found(value.span, AWS_SECRET, report);
                    }
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
    let secrets = comments::words(line, ends).filter_map(|(start, word)| Some((start, word, what(word)?)));
    let mut secrets: Vec<_> = secrets.collect();
    if secrets.is_empty() {
        secrets.extend(aws_secret(line).map(|(start, word)| (start, word, AWS_SECRET)));
    }
    for (start, word, what) in secrets {
        let span = Span::new(file, at + start, at + start + word.len());
        report.redact(span);
        found(span, what, report);
    }
}

/// Finds secrets in the comments of a file, which are no part of its document.
pub(crate) fn search_comments(file: u32, text: &str, root: &Node, report: &mut Report) {
    // Where a private key ends: what is in it is no other secret.
    let mut done = 0;
    let may = |line: &str| may_hold_one(line.as_bytes());
    comments::each(text, root, may, |at, line| {
        if at < done {
            return;
        }
        if line.contains("-----BEGIN ") && line.contains("PRIVATE KEY-----") {
            let rest = text.get(at..).unwrap_or_default();
            let near = (0..4).find_map(|less| rest.get(..MAX_PEM - less)).unwrap_or(rest);
            done = at + near.find("-----END ").unwrap_or_default().max(line.len());
            report.redact(Span::new(file, at, done));
            found(Span::new(file, at, at), "a private key (PEM)", report);
        } else {
            search_line(file, at, line, report);
        }
    });
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
    let known = words(text).find_map(|word| {
        let kinds = KNOWN.iter().filter(|(_, least, _)| word.len() >= *least);
        let mut kinds =
            kinds.filter_map(|(prefix, least, what)| Some((word.strip_prefix(prefix)?, least, what)));
        kinds.find_map(|(rest, least, what)| is_word(rest, *least).then_some(*what))
    });
    if known.is_some() {
        return known;
    }
    if words(text).any(is_aws_id) {
        return Some("an access key of AWS");
    }
    if words(text).any(is_google_token) {
        return Some("a token of Google");
    }
    if words(text).any(is_npm_token) {
        return Some("a token of npm");
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
    if text.lines().any(|line| aws_secret(line).is_some()) {
        return Some(AWS_SECRET);
    }
    text.match_indices("://")
        .any(|(at, mark)| has_password(text.get(at + mark.len()..).unwrap_or_default()))
        .then_some("a URL with a password")
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    // A sentence may end with one.
    text.split(ends_word)
        .map(|word| word.trim_end_matches(['.', '!', '?', '\u{2026}']))
}

fn ends_word(c: char) -> bool {
    c.is_whitespace() || "\"',;=:()[]{}<>`".contains(c)
}

/// Letters, digits and what joins them, at least so many.
fn is_word(text: &str, least: usize) -> bool {
    let of_word = |b: u8| b.is_ascii_alphanumeric() || b"_-".contains(&b);
    text.len() >= least && text.bytes().all(of_word)
}

/// The id of a key of AWS, be it for a session.
fn is_aws_id(word: &str) -> bool {
    // `AKIA` is among the known.
    let kinds = ["ASIA", "ABIA", "ACCA"];
    let rest = kinds.iter().find_map(|kind| word.strip_prefix(kind));
    rest.is_some_and(|rest| {
        let of_id = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit();
        // A region is none.
        rest.len() == 16 && rest.bytes().all(of_id) && !rest.starts_with("PACIFIC")
    })
}

/// The secret access key of AWS in a line that says that there is one.
fn aws_secret(line: &str) -> Option<(usize, &str)> {
    let secret = comments::words(line, ends_word).find(|(_, word)| is_aws_secret(word));
    secret.filter(|_| says_aws_secret(line))
}

fn is_aws_secret(word: &str) -> bool {
    let joins = |b: u8| b == b'+' || b == b'/';
    word.len() == 40
        && word.bytes().all(|b| b.is_ascii_alphanumeric() || joins(b))
        && word.bytes().any(|b| b.is_ascii_uppercase())
        && word.bytes().any(|b| b.is_ascii_lowercase())
        && word.bytes().any(|b| b.is_ascii_digit() || joins(b))
}

/// However it is written: `aws_secret_access_key`, `SecretAccessKey`, `AWS secret`.
fn says_aws_secret(text: &str) -> bool {
    let letters = text.chars().filter(char::is_ascii_alphanumeric);
    let letters: String = letters.map(|c| c.to_ascii_lowercase()).collect();
    letters.contains("secretaccesskey") || letters.contains("awssecret")
}

fn is_google_token(word: &str) -> bool {
    word.strip_prefix("ya29.").is_some_and(|rest| {
        let of_token = |b: u8| b.is_ascii_alphanumeric() || b"_-.".contains(&b);
        rest.len() >= 20 && rest.bytes().all(of_token)
    })
}

fn is_npm_token(word: &str) -> bool {
    word.strip_prefix("npm_")
        .is_some_and(|rest| rest.len() >= 36 && rest.bytes().all(|b| b.is_ascii_alphanumeric()))
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
/// (`https://user:${PASSWORD}@host`, `https://user:<password>@host`, `https://username:password@host`).
fn has_password(rest: &str) -> bool {
    let ends = |c: char| c.is_whitespace() || "/?#\"'`".contains(c);
    let authority = rest.split(ends).next().unwrap_or_default();
    let said = authority
        .rsplit_once('@')
        .and_then(|(said, _)| said.split_once(':'));
    said.is_some_and(|(_, password)| {
        password.len() >= 4
            && !password.contains(['$', '<', '{', '[', '*', '\u{2026}'])
            && !stands_for_one(password)
    })
}

/// Whether a text says what is to be written in its place.
fn stands_for_one(text: &str) -> bool {
    let letters = text.chars().filter(char::is_ascii_alphanumeric);
    let letters: String = letters.map(|c| c.to_ascii_lowercase()).collect();
    let whose = ["your", "my", "the"];
    let bare = whose.iter().find_map(|whose| letters.strip_prefix(whose));
    // What has no letters is dots, or lines to be filled in; what is nothing but `x` as well.
    PLACES.contains(&letters.as_str())
        || bare.is_some_and(|bare| PLACES.contains(&bare))
        || text.bytes().all(|b| b"xX._-".contains(&b))
}

/// Whether a secret of a known kind may begin somewhere in a text: nearly every text of a tree ends here.
fn may_hold_one(text: &[u8]) -> bool {
    let begins = |at: usize, marks: &[&str]| {
        let rest = text.get(at..).unwrap_or_default();
        marks.iter().any(|mark| rest.starts_with(mark.as_bytes()))
    };
    let mut pairs = text.windows(2).enumerate();
    pairs.any(|(at, pair)| match pair {
        [b'-', b'-'] => begins(at, &["-----BEGIN "]),
        [b'e', b'y'] => begins(at, &["eyJ"]),
        [b's', b'k'] => begins(at, &["sk-", "sk_live_"]),
        [b'r', b'k'] => begins(at, &["rk_live_"]),
        [b'A', _] => begins(at, &["AKIA", "ASIA", "ABIA", "ACCA", "AIza", "AGE-SECRET-KEY-1"]),
        [b'G', b'O'] => begins(at, &["GOCSPX-"]),
        [b'g', b'h'] => begins(at, &["ghp_", "gho_", "ghu_", "ghs_", "ghr_"]),
        [b'g', b'i'] => begins(at, &["github_pat_"]),
        [b'g', b'l'] => begins(
            at,
            &["glpat-", "gldt-", "glrt-", "glptt-", "glcbt-", "glsoat-", "glsa_"],
        ),
        [b'g', b's'] => begins(at, &["gsk_"]),
        [b'x', b'o'] => begins(
            at,
            &[
                "xoxa-", "xoxb-", "xoxe-", "xoxe.", "xoxo-", "xoxp-", "xoxr-", "xoxs-",
            ],
        ),
        [b'x', b'a'] => begins(at, &["xapp-", "xai-"]),
        [b'h', b'f'] => begins(at, &["hf_"]),
        [b'h', b'v'] => begins(at, &["hvs."]),
        [b't', b'p'] => begins(at, &["tpk_"]),
        [b'n', b'p'] => begins(at, &["npm_"]),
        [b'p', b'y'] => begins(at, &["pypi-"]),
        [b'p', b'p'] => begins(at, &["pplx-"]),
        [b'y', b'a'] => begins(at, &["ya29."]),
        [b'r', b'8'] => begins(at, &["r8_"]),
        [b'r', b'u'] => begins(at, &["rubygems_"]),
        [b'd', b'c'] => begins(at, &["dckr_pat_"]),
        [b'd', b'o'] => begins(at, &["dop_v1_"]),
        [b's', b'h'] => begins(at, &["shpat_", "shpss_"]),
        [b'l', b'i'] => begins(at, &["lin_api_"]),
        [b'P', b'M'] => begins(at, &["PMAK-"]),
        [b'S', b'G'] => begins(at, &["SG."]),
        [b'S', b'K'] => true,
        // As what it is may be said.
        [b'e', b'c'] => begins(at, &["ecret"]),
        [b'E', b'C'] => begins(at, &["ECRET"]),
        [b':', b'/'] => {
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

#[cfg(test)]
mod tests {
    use super::*;

    /// What is not looked at closely would not be found.
    #[test]
    fn every_known_kind_is_looked_at() {
        for (prefix, least, what_it_is) in KNOWN {
            let secret = format!("{prefix}{}", "a1B".repeat(least));
            assert_eq!(what(&secret), Some(what_it_is), "{prefix}");
            assert_eq!(what(&format!("It was {secret}.")), Some(what_it_is), "{prefix}");
        }
    }
}

//! Tests against a gateway that runs.
//!
//! What cannot be known from outside is not pretended: such tests are skipped, with the reason.
//! Requests are sent by `curl`, which sends what it is told, byte for byte (`--path-as-is`), and gets
//! credentials by its standard input, where no other process sees them.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use turnpike_policy::source::{Caller, Case};

use super::{Outcome, compare, request};
use crate::outline::{Kind, Node, outline};
use crate::play::{Answer, Request};
use crate::{Failure, tree};

/// A gateway that runs.
pub(super) struct Gateway {
    base: String,
    credentials: BTreeMap<String, Vec<Credential>>,
}

/// A credential, and the scopes for which it is taken; none: for all.
struct Credential {
    scopes: Option<Vec<String>>,
    value: String,
}

impl Gateway {
    pub(super) fn new(url: &str, credentials: Option<&Path>) -> Result<Self, Failure> {
        let base = url.trim_end_matches('/').to_owned();
        let host = base
            .strip_prefix("https://")
            .or_else(|| base.strip_prefix("http://"));
        if host.is_none_or(|host| host.is_empty() || host.contains(char::is_whitespace)) {
            return Err(Failure::refused(format!(
                "{url} is not the address of a gateway: write for example https://api.acme.example"
            )));
        }
        let credentials = match credentials {
            Some(file) => read(file)?,
            None => BTreeMap::new(),
        };
        Ok(Self { base, credentials })
    }

    pub(super) fn run(&self, case: &Case, root: &Path) -> (Outcome, Vec<String>) {
        if let Some(why) = needs_more(case) {
            return (Outcome::Skipped(why.to_owned()), Vec::new());
        }
        let mut wrong = Vec::new();
        for step in &case.steps {
            let mut request = request(&step.request, &self.base);
            if let Some(caller) = request.caller.take() {
                match self.credential(&caller) {
                    Some(value) => request
                        .headers
                        .push(("authorization".to_owned(), format!("Bearer {value}"))),
                    None => {
                        let why = format!(
                            "--credentials has none for `{}`{}",
                            caller.consumer,
                            scopes_of(&caller)
                        );
                        return (Outcome::Skipped(why), Vec::new());
                    }
                }
            }
            match send(&request) {
                Ok(answer) => wrong.extend(compare::compare(&step.expect, &[answer], root)),
                Err(why) => wrong.push(format!("{}: {why}", tree::place(root, &case.origin))),
            }
        }
        let outcome = if wrong.is_empty() {
            Outcome::Passed
        } else {
            Outcome::Failed(wrong)
        };
        (outcome, Vec::new())
    }

    fn credential(&self, caller: &Caller) -> Option<&str> {
        let all = self.credentials.get(&caller.consumer)?;
        let exact = all
            .iter()
            .find(|one| one.scopes.as_ref().is_some_and(|scopes| *scopes == caller.scopes));
        let any = || all.iter().find(|one| one.scopes.is_none());
        exact.or_else(any).map(|one| one.value.as_str())
    }
}

fn scopes_of(caller: &Caller) -> String {
    if caller.scopes.is_empty() {
        String::new()
    } else {
        format!(" with the scopes {}", caller.scopes.join(" "))
    }
}

/// Why a test can only be played.
fn needs_more(case: &Case) -> Option<&'static str> {
    if case.at.is_some() {
        return Some("needs a virtual clock (`at`)");
    }
    case.steps.iter().find_map(|step| {
        let request = &step.request;
        if step.after > 0 {
            Some("needs a virtual clock (`after`)")
        } else if request.over.is_some() {
            Some("needs a virtual clock (`over`)")
        } else if request.times > 1 {
            Some("needs a virtual clock (`times`: all at one instant)")
        } else if !step.upstream.is_empty() {
            Some("says what an upstream answers")
        } else if step.expect.iter().any(|expected| expected.upstream.is_some()) {
            Some("looks at what an upstream gets")
        } else if step.expect.iter().any(|expected| expected.policy.is_some()) {
            Some("looks at the policy line, which only the log has")
        } else if request.from.is_some() {
            Some("plays a client's address")
        } else if !request.target.starts_with('/') {
            Some("names a host of its own")
        } else if request
            .caller
            .as_ref()
            .is_some_and(|caller| !caller.claims.is_empty())
        {
            Some("makes claims of its own")
        } else {
            None
        }
    })
}

/// The credentials of a file.
fn read(file: &Path) -> Result<BTreeMap<String, Vec<Credential>>, Failure> {
    let bad = |why: &str| Failure::refused(format!("{}: {why}", file.display()));
    let text = fs::read_to_string(file).map_err(|error| bad(&format!("it cannot be read: {error}")))?;
    let root = outline(&text).ok_or_else(|| bad("it is not one plain YAML document"))?;
    let Kind::Map { entries, .. } = &root.kind else {
        return Err(bad("it is not a map from consumers to credentials"));
    };
    let mut all = BTreeMap::new();
    for (key, value) in entries {
        let name = key.text().unwrap_or_default();
        let list: Vec<&Node> = match &value.kind {
            Kind::List { items, .. } => items.iter().collect(),
            _ => vec![value],
        };
        let list: Option<Vec<_>> = list.into_iter().map(one).collect();
        let wrong = || {
            bad(&format!(
                "`{name}` has no credential: write `{name}: $VARIABLE`, or a list of \
                 `{{ scopes: [...], credential: $VARIABLE }}`"
            ))
        };
        let list = list.ok_or_else(wrong)?;
        let filled: Result<Vec<_>, Failure> = list
            .into_iter()
            .map(|credential| match credential.value.strip_prefix('$') {
                None => Ok(credential),
                Some(variable) => match std::env::var(variable) {
                    Ok(value) if !value.is_empty() => Ok(Credential { value, ..credential }),
                    _ => Err(bad(&format!(
                        "the credential of `{name}` is in ${variable}, which is not set"
                    ))),
                },
            })
            .collect();
        all.insert(name.to_owned(), filled?);
    }
    Ok(all)
}

fn one(node: &Node) -> Option<Credential> {
    if let Some(text) = node.text() {
        return (!text.is_empty()).then(|| Credential {
            scopes: None,
            value: text.to_owned(),
        });
    }
    let field = |name: &str| {
        let mut all = node.entries().iter();
        all.find(|(key, _)| key.text() == Some(name))
            .map(|(_, value)| value)
    };
    let scopes = match field("scopes").map(|scopes| &scopes.kind) {
        Some(Kind::List { items, .. }) => Some(
            items
                .iter()
                .filter_map(|item| item.text().map(str::to_owned))
                .collect(),
        ),
        Some(_) => return None,
        None => None,
    };
    Some(Credential {
        scopes,
        value: field("credential")?.text()?.to_owned(),
    })
}

/// Sends a request.
fn send(request: &Request) -> Result<Answer, String> {
    let mut config = String::new();
    let mut line = |option: &str, value: &str| {
        config.push_str(option);
        config.push_str(" = \"");
        for c in value.chars() {
            match c {
                '"' => config.push_str("\\\""),
                '\\' => config.push_str("\\\\"),
                '\n' => config.push_str("\\n"),
                '\r' => config.push_str("\\r"),
                '\t' => config.push_str("\\t"),
                c => config.push(c),
            }
        }
        config.push_str("\"\n");
    };
    line("url", &request.url);
    if request.method == "HEAD" {
        line("output", "-");
    } else {
        line("request", &request.method);
    }
    for (name, value) in &request.headers {
        line("header", &format!("{name}: {value}"));
    }
    if let Some(body) = &request.body {
        line("data-raw", &String::from_utf8_lossy(body));
        line("header", "Expect:");
        if !request.headers.iter().any(|(name, _)| name == "content-type") {
            line("header", "Content-Type:");
        }
    }
    let mut command = Command::new("curl");
    command
        .args([
            "--disable",
            "--silent",
            "--show-error",
            "--include",
            "--path-as-is",
            "--globoff",
        ])
        .args(["--http1.1", "--max-time", "60", "--config", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    if request.method == "HEAD" {
        command.arg("--head");
    }
    let mut child = command
        .spawn()
        .map_err(|error| format!("requests are sent by curl, which cannot be started: {error}"))?;
    if let Some(mut input) = child.stdin.take() {
        input
            .write_all(config.as_bytes())
            .map_err(|error| format!("curl takes no request: {error}"))?;
    }
    let output = child
        .wait_with_output()
        .map_err(|error| format!("curl failed: {error}"))?;
    // A stream that was cut (18, 56) is an answer all the same.
    if !output.status.success() && output.stdout.is_empty() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(said.trim().trim_start_matches("curl: ").to_owned());
    }
    parse(&output.stdout).ok_or_else(|| "the gateway's answer is not HTTP".to_owned())
}

/// Reads an answer with its head; those before the last (100, 103) are left out.
fn parse(mut bytes: &[u8]) -> Option<Answer> {
    loop {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
        let (head, rest) = bytes.split_at_checked(end)?;
        let body = rest.get(4..)?;
        let head = String::from_utf8_lossy(head).into_owned();
        let mut lines = head.split("\r\n");
        let status: u16 = lines.next()?.split(' ').nth(1)?.parse().ok()?;
        if (100..200).contains(&status) {
            bytes = body;
            continue;
        }
        let headers = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.trim().to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        return Some(Answer::of(status, headers, body.to_vec()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_head_counts() {
        let answer = parse(
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 404 Not Found\r\nX-A: b: c\r\n\r\nbody\r\n\r\nmore",
        )
        .unwrap();
        assert_eq!(answer.status, 404);
        assert_eq!(answer.header("x-a"), Some("b: c"));
        assert_eq!(answer.body, b"body\r\n\r\nmore");
        assert!(parse(b"no").is_none());
    }
}

//! Requests to a gateway that runs.
//!
//! They are sent by `curl`, which sends what it is told, byte for byte (`--path-as-is`), and gets
//! credentials by its standard input, where no other process sees them.

use std::io::Write as _;
use std::process::{Command, Stdio};

use crate::Failure;
use crate::play::{Answer, Request};

/// The address of a gateway, without a slash at its end.
pub(crate) fn address(url: &str) -> Result<String, Failure> {
    let base = url.trim_end_matches('/').to_owned();
    let host = base
        .strip_prefix("https://")
        .or_else(|| base.strip_prefix("http://"));
    if host.is_none_or(|host| host.is_empty() || host.contains(char::is_whitespace)) {
        // Whose scheme alone is missing is told as it is to be.
        let named = !url.is_empty()
            && !url.contains("//")
            && !url.contains(char::is_whitespace)
            && !url.starts_with('/');
        let instead = match url.split(['/', ':']).next() {
            Some("localhost" | "127.0.0.1") if named => format!("http://{url}"),
            _ if named => format!("https://{url}"),
            _ => "for example https://api.acme.example".to_owned(),
        };
        return Err(Failure::refused(format!(
            "`{url}` is not the address of a gateway: write {instead}"
        )));
    }
    Ok(base)
}

/// Sends a request.
pub(crate) fn send(request: &Request) -> Result<Answer, String> {
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

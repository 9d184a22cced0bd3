//! Answers held against what a test expects.

use std::fmt::Write as _;
use std::path::Path;

use turnpike_policy::source::{Expected, ExpectedCall, ExpectedCalls};

use super::told;
use crate::play::{Answer, Sent, json_holds};
use crate::{tree, words};

/// How many answers that fit nothing are told.
const TOLD: usize = 3;

/// What is wrong: each answer belongs to the first expectation that it fits, and each of those gets
/// as many as it says.
pub(super) fn compare(expected: &[Expected], answers: &[Answer], root: &Path) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut got: Vec<u64> = vec![0; expected.len()];
    let mut strangers = 0_usize;
    for (index, answer) in answers.iter().enumerate() {
        let differences: Vec<Vec<String>> = expected.iter().map(|one| differences(one, answer)).collect();
        if let Some(place) = differences.iter().position(Vec::is_empty) {
            if let Some(count) = got.get_mut(place) {
                *count += 1;
            }
            continue;
        }
        strangers += 1;
        if strangers > TOLD {
            continue;
        }
        // The nearest one is what was probably meant.
        let nearest = expected
            .iter()
            .zip(&differences)
            .min_by_key(|(_, differences)| differences.len());
        let Some((nearest, differences)) = nearest else {
            continue;
        };
        let which = match answers.len() {
            1 => String::new(),
            all => format!("answer {} of {all}: ", index + 1),
        };
        let mut text = format!(
            "{}: {which}{}",
            tree::place(root, &nearest.origin),
            differences.join("; ")
        );
        let _ = write!(text, "\n  answered: {}", told(answer, root));
        wrong.push(text);
    }
    if strangers > TOLD {
        wrong.push(format!(
            "and {} more answers that were not expected",
            strangers - TOLD
        ));
    }
    for (one, got) in expected.iter().zip(got) {
        if got != u64::from(one.times) && expected.len() > 1 {
            wrong.push(format!(
                "{}: expected {} with {}, got {got}",
                tree::place(root, &one.origin),
                words::count(usize::try_from(one.times).unwrap_or(usize::MAX), "answer"),
                said(one)
            ));
        }
    }
    wrong
}

/// What is expected, in short.
fn said(expected: &Expected) -> String {
    let status = expected.status.map(|status| format!("status {status}"));
    let code = expected.code.as_ref().map(|code| format!("code `{code}`"));
    let both: Vec<_> = status.into_iter().chain(code).collect();
    if both.is_empty() {
        "what is written here".to_owned()
    } else {
        both.join(" and ")
    }
}

fn differences(expected: &Expected, answer: &Answer) -> Vec<String> {
    let mut found = Vec::new();
    if let Some(status) = expected.status
        && status != answer.status
    {
        found.push(format!("status is {}, expected {status}", answer.status));
    }
    if let Some(code) = &expected.code {
        let is = answer.code();
        let is = is.as_deref().unwrap_or("none");
        if is != code {
            found.push(format!("code is `{is}`, expected `{code}`"));
        }
    }
    headers(
        &expected.headers,
        &expected.no_headers,
        |name| answer.header(name),
        "",
        &mut found,
    );
    if let Some(json) = &expected.json {
        match answer.json() {
            Some(body) => found.extend(json_holds(&body, json, "").err()),
            None => found.push("the body is not JSON".to_owned()),
        }
    }
    if let Some(text) = &expected.contains
        && !String::from_utf8_lossy(&answer.body).contains(text.as_str())
    {
        found.push(format!("the body does not hold `{text}`"));
    }
    if let Some(policy) = &expected.policy {
        let is = answer.policy();
        let is = is.as_deref().unwrap_or("none");
        let file = is.rsplit_once(':').map_or(is, |(file, _)| file);
        if is != policy && file != policy {
            found.push(format!("decided by {is}, expected {policy}"));
        }
    }
    match &expected.upstream {
        Some(ExpectedCalls::Nothing) => {
            if let Some(sent) = answer.sent.first() {
                found.push(format!("{} {} reached an upstream", sent.method, sent.url));
            }
        }
        Some(ExpectedCalls::Call(call)) => calls(call, &answer.sent, &mut found),
        None => {}
    }
    found
}

fn calls(expected: &ExpectedCall, sent: &[Sent], found: &mut Vec<String>) {
    if let Some(calls) = expected.calls
        && usize::try_from(calls) != Ok(sent.len())
    {
        found.push(format!(
            "{} calls reached upstreams, expected {calls}",
            sent.len()
        ));
    }
    let all: Vec<_> = sent.iter().map(|sent| call(expected, sent)).collect();
    if all.iter().any(Vec::is_empty) {
        return;
    }
    match all.into_iter().min_by_key(Vec::len) {
        Some(differences) => found.extend(differences),
        None => found.push("nothing reached an upstream".to_owned()),
    }
}

fn call(expected: &ExpectedCall, sent: &Sent) -> Vec<String> {
    let mut found = Vec::new();
    if let Some(url) = &expected.url
        && *url != sent.url
    {
        found.push(format!("the upstream's URL is {}, expected {url}", sent.url));
    }
    if let Some(method) = &expected.method
        && *method != sent.method
    {
        found.push(format!(
            "the upstream's method is {}, expected {method}",
            sent.method
        ));
    }
    let value = |name: &str| {
        let mut all = sent.headers.iter();
        all.find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    };
    headers(
        &expected.headers,
        &expected.no_headers,
        value,
        "the upstream's ",
        &mut found,
    );
    if let Some(json) = &expected.json {
        match serde_json::from_slice(&sent.body) {
            Ok(body) => {
                let wrong = json_holds(&body, json, "").err();
                found.extend(wrong.map(|why| format!("to the upstream: {why}")));
            }
            Err(_) => found.push("what reached the upstream is not JSON".to_owned()),
        }
    }
    found
}

fn headers<'a>(
    expected: &[(String, String)],
    absent: &[String],
    value: impl Fn(&str) -> Option<&'a str>,
    whose: &str,
    found: &mut Vec<String>,
) {
    for (name, expected) in expected {
        match value(name) {
            Some(is) if is == expected => {}
            Some(is) => found.push(format!("{whose}header `{name}` is `{is}`, expected `{expected}`")),
            None => found.push(format!("{whose}header `{name}` is not there")),
        }
    }
    for name in absent {
        if value(name).is_some() {
            found.push(format!("{whose}header `{name}` is there"));
        }
    }
}

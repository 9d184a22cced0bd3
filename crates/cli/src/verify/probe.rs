//! Calls that must be refused.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use turnpike_engine::error::Code;
use turnpike_policy::{Compiled, Keys, Timestamp};

use super::Verdict;
use super::credentials::{self, Credential};
use crate::play::{Answer, Mint, Request, World};
use crate::words::{self, at};
use crate::{Failure, tree, web};

/// How many calls are under way at one time.
const AT_ONCE: usize = 8;
/// How often a call that met the shield is sent again.
const TRIES: usize = 10;
/// What stands for parameters of paths.
const PLACEHOLDER: &str = "turnpike-verify";

/// One call, what it shows, and what the policies answer.
struct Probe<'a> {
    route: String,
    with: &'a Credential,
    /// Without the credential.
    request: Request,
    status: u16,
    code: Option<String>,
}

/// What a probe did that it should not.
struct Wrong {
    route: String,
    what: String,
    /// The issuer whose keys the gateway lacks, by its place in [`Compiled::issuers`]: that is why.
    keyless: Option<usize>,
}

/// Calls every route with credentials that are none, and says what was not refused as it must be.
pub(super) fn probe(
    base: &str,
    compiled: &Compiled,
    same: bool,
    verdict: &mut Verdict,
) -> Result<(), Failure> {
    let now = tree::now()?;
    let mut unread = 0_usize;
    let mut probes = Vec::new();
    let mut count = 0_usize;
    let credentials = credentials::all(compiled, now)?;
    let mut world = World::new(compiled, Mint::new(compiled).map_err(Failure::refused)?);
    for route in routes(compiled) {
        if let Some(until) = route.open_until.filter(|until| now < *until) {
            verdict.skipped.push(format!(
                "{}: open to everybody until {}, by an exception",
                route.name,
                words::last(until)
            ));
            continue;
        }
        // What a gateway does that is not known may be anything: nothing is called that could change something.
        if !same && !matches!(route.method.as_str(), "GET" | "HEAD") {
            unread += 1;
            continue;
        }
        count += 1;
        let request = Request {
            method: route.method.clone(),
            url: format!("{base}{}", route.path),
            ..Request::default()
        };
        for with in &credentials {
            let mut played = with.in_request(&request, probes.len(), now);
            // Each from an address of its own, so that none meets the shield.
            played
                .headers
                .push(("cf-connecting-ip".to_owned(), address(probes.len())));
            let answer = world.play(&[(now, &played)]).map_err(Failure::refused)?.pop();
            let refused = |answer: &Answer| !answer.cold && is_refusal(answer.status);
            let answer = answer.filter(refused).ok_or_else(|| {
                Failure::refused(format!(
                    "{} is no route of the policies: this is a fault of turnpike",
                    route.name
                ))
            })?;
            probes.push(Probe {
                route: route.name.clone(),
                with,
                request: request.clone(),
                status: answer.status,
                code: answer.code(),
            });
        }
    }
    if unread > 0 {
        verdict.skipped.push(format!(
            "{} that may change something: what it would do there is not known, as it serves other policies",
            words::count(unread, "route")
        ));
    }
    if count > 0 {
        verdict.skipped.extend(credentials::left_out(compiled));
    }
    judge(&send(base, &probes)?, (probes.len(), count), compiled, verdict);
    Ok(())
}

/// What each probe did that it should not, in the order of the routes; what follows from keys that are missing is
/// said once for each issuer.
fn judge(
    wrong: &BTreeMap<usize, Wrong>,
    (sent, routes): (usize, usize),
    compiled: &Compiled,
    verdict: &mut Verdict,
) {
    let mut keyless: BTreeMap<usize, BTreeSet<&str>> = BTreeMap::new();
    for Wrong {
        route,
        what,
        keyless: issuer,
    } in wrong.values()
    {
        match issuer {
            Some(issuer) => {
                keyless.entry(*issuer).or_default().insert(route);
            }
            None => verdict.wrong.push(format!("{route}: {what}")),
        }
    }
    for (index, routes) in keyless {
        let Some(issuer) = compiled.issuers.get(index) else {
            continue;
        };
        let from = match &issuer.keys {
            Keys::Url(url) | Keys::Discovered { url, .. } => format!(" from {url}"),
            Keys::Inline(_) | Keys::Secret(_) => String::new(),
        };
        verdict.wrong.push(format!(
            "it cannot get the keys of `{}`{from}, so that its tokens are refused with 503 keys_unavailable, right ones \
             too, on {}: look whether they can be fetched from there",
            issuer.name,
            words::count(routes.len(), "route")
        ));
    }
    if wrong.is_empty() && sent > 0 {
        verdict.good.push(format!(
            "{} refused as the policies say, on {}",
            words::count(sent, "call"),
            words::count(routes, "route")
        ));
    }
}

/// Sends them, several at one time.
fn send(base: &str, probes: &[Probe<'_>]) -> Result<BTreeMap<usize, Wrong>, Failure> {
    let next = AtomicUsize::new(0);
    let wrong = Mutex::new(BTreeMap::new());
    let lost = Mutex::new(None);
    thread::scope(|scope| {
        for _ in 0..AT_ONCE.min(probes.len()) {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(probe) = probes.get(index) else {
                        break;
                    };
                    match patient(probe, index) {
                        Ok(answer) => {
                            if let (Some(found), Ok(mut wrong)) = (differs(probe, &answer), wrong.lock()) {
                                wrong.insert(index, found);
                            }
                        }
                        Err(why) => {
                            if let Ok(mut lost) = lost.lock() {
                                lost.get_or_insert(why);
                            }
                            next.store(probes.len(), Ordering::Relaxed);
                        }
                    }
                }
            });
        }
    });
    match lost.into_inner() {
        Ok(None) => wrong
            .into_inner()
            .map_err(|_| Failure::refused("a probe was lost: this is a fault of turnpike")),
        Ok(Some(why)) => Err(Failure::refused(format!("{base}: {why}"))),
        Err(_) => Err(Failure::refused("a probe was lost: this is a fault of turnpike")),
    }
}

/// Sends one, and again once the shield lets it.
fn patient(probe: &Probe<'_>, number: usize) -> Result<Answer, String> {
    let send = || {
        let now =
            tree::now().map_err(|_| "this machine's clock is wrong: it stands before 1970".to_owned())?;
        web::send(&probe.with.in_request(&probe.request, number, now))
    };
    let mut answer = send()?;
    for _ in 1..TRIES {
        if answer.status != 429 || probe.status == 429 {
            break;
        }
        let wait = answer
            .header("retry-after")
            .and_then(|seconds| seconds.parse().ok());
        thread::sleep(Duration::from_secs(wait.unwrap_or(1).clamp(1, 10)));
        answer = send()?;
    }
    Ok(answer)
}

fn differs(probe: &Probe<'_>, answer: &Answer) -> Option<Wrong> {
    let Probe {
        with, status, code, ..
    } = probe;
    let shown = |status: u16, code: Option<&str>| match code {
        Some(code) => format!("{status} {code}"),
        None => status.to_string(),
    };
    // An answer to HEAD has no body to say its code.
    let theirs = answer.code();
    let unsaid = probe.request.method == "HEAD";
    if answer.status == *status && (unsaid || theirs == *code) {
        return None;
    }
    let right = shown(*status, code.as_deref());
    let what = if answer.status < 400 {
        format!(
            "with {} it answers {}; it must refuse, with {right}",
            with.what, answer.status
        )
    } else {
        format!(
            "with {} it refuses with {}; the policies say {right}",
            with.what,
            shown(answer.status, theirs.as_deref())
        )
    };
    let keyless = theirs.as_deref() == Some(Code::KeysUnavailable.text());
    Some(Wrong {
        route: probe.route.clone(),
        what,
        keyless: with.issuer.filter(|_| keyless),
    })
}

struct Route {
    name: String,
    method: String,
    path: String,
    open_until: Option<Timestamp>,
}

/// Everything that asks for a credential.
fn routes(compiled: &Compiled) -> Vec<Route> {
    let mut routes = Vec::new();
    for operation in &compiled.operations {
        let Some(api) = at(&compiled.apis, operation.api) else {
            continue;
        };
        routes.push(Route {
            name: words::request(api, operation),
            method: operation.method.name().to_owned(),
            path: filled(&turnpike_policy::called(&api.base, &operation.path)),
            open_until: operation.open_until,
        });
    }
    let mut own = |method: &str, path: &str| {
        routes.push(Route {
            name: format!("{method} {path}"),
            method: method.to_owned(),
            path: path.to_owned(),
            open_until: None,
        });
    };
    if !compiled.models.is_empty() {
        own("POST", "/v1/chat/completions");
        own("GET", "/v1/models");
        own("GET", &format!("/v1/models/{PLACEHOLDER}"));
    }
    for path in ["/_turnpike/limits", "/_turnpike/denials"] {
        own("GET", path);
        own("POST", path);
    }
    routes
}

/// Whether an answer of the policies refuses a credential. Where they say that nothing is there, a gateway that says
/// the same has shown nothing of the route.
fn is_refusal(status: u16) -> bool {
    status >= 400 && !matches!(status, 404 | 405)
}

/// A path with something in the place of its parameters.
fn filled(path: &str) -> String {
    let segments = path.split('/').map(|segment| {
        if segment.contains('{') {
            PLACEHOLDER
        } else {
            segment
        }
    });
    segments.collect::<Vec<_>>().join("/")
}

/// An address for each number.
fn address(number: usize) -> String {
    let byte = |shift: usize| (number >> shift) & 0xFF;
    format!("10.{}.{}.{}", byte(16), byte(8), byte(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_filled() {
        assert_eq!(
            filled("/pets/v1/pets/{petId}/a"),
            "/pets/v1/pets/turnpike-verify/a"
        );
        assert_eq!(address(0x1_02_03), "10.1.2.3");
    }

    #[test]
    fn that_nothing_is_there_refuses_nobody() {
        for (status, refusal) in [
            (200, false),
            (204, false),
            (302, false),
            (401, true),
            (403, true),
            (404, false),
            (405, false),
            (410, true),
            (429, true),
            (503, true),
        ] {
            assert_eq!(is_refusal(status), refusal, "{status}");
        }
    }
}

//! `upstream_headers` of an API: what its upstream is told of the caller, and by whom alone.

use super::apis::ApiFile;
use super::compile::Checker;
use super::diagnostic::{Code, Span};
use super::headers::{made_by_gateway, never_forwarded};
use super::secrets::quote;
use crate::UpstreamHeader;

/// The most headers of one API.
const MAX: usize = 16;

/// The headers of an API, each with where its name is written, sorted by name.
pub(crate) fn compile(api: &ApiFile, open: bool, checker: &mut Checker) -> Vec<(UpstreamHeader, Span)> {
    let Some(map) = &api.upstream_headers else {
        return Vec::new();
    };
    if let Some((name, _)) = map.here.first().filter(|_| open) {
        checker
            .report()
            .error(
                Code::Conflict,
                name.span,
                "nothing is known of the callers of an open API",
            )
            .help("remove this, or `authentication: none`");
    }
    if map.here.len() > MAX {
        checker
            .report()
            .error(
                Code::OutOfRange,
                map.span,
                format!("an API tells at most {MAX} headers"),
            )
            .help("keep those that its upstream reads");
    }
    let mut headers: Vec<(UpstreamHeader, Span)> = Vec::new();
    for (name, claim) in &map.here {
        if let Some(why) = refused(&name.value, api) {
            checker
                .report()
                .error(
                    Code::BadHeader,
                    name.span,
                    format!("{} cannot tell a claim: {why}", quote(&name.value)),
                )
                .help("choose a name of your own, for example `x-user`");
            continue;
        }
        if let Some((twin, at)) = headers.iter().find(|(known, _)| same(&known.header, &name.value)) {
            let message = format!(
                "some upstreams take {} for {}",
                quote(&name.value),
                quote(&twin.header)
            );
            let at = *at;
            checker
                .report()
                .error(Code::Repeated, name.span, message)
                .help("keep one of them")
                .label(at, "the other one");
            continue;
        }
        if checker.floor.forward.iter().any(|known| same(known, &name.value)) {
            let message = format!("a client could send {} itself", quote(&name.value));
            checker
                .report()
                .error(Code::Conflict, name.span, message)
                .help("remove it from `forward_headers` of the floor");
            continue;
        }
        let path = claim
            .value
            .check(checker.declared.as_ref(), &mut checker.reader.report);
        if let Some(claim) = path {
            headers.push((
                UpstreamHeader {
                    header: name.value.clone(),
                    claim,
                },
                name.span,
            ));
        }
    }
    headers.sort_by(|(a, _), (b, _)| a.header.cmp(&b.header));
    headers
}

/// Why a header cannot tell a claim, if that is so.
fn refused(name: &str, api: &ApiFile) -> Option<&'static str> {
    let name = name.replace('_', "-");
    if let Some(why) = never_forwarded(&name) {
        return Some(why);
    }
    let of_versions = api.versions.iter().flat_map(|map| &map.here);
    let mut credentials = of_versions.filter_map(|(_, version)| {
        let credential = version.upstream_credential.as_ref()?;
        credential.header.as_ref()
    });
    if credentials.any(|header| same(&header.0, &name)) {
        return Some("it carries the gateway's credential");
    }
    made_by_gateway(&name)
}

/// Whether some upstreams, which read headers as variables of an environment, take two names for one.
pub(crate) fn same(one: &str, other: &str) -> bool {
    let plain = |byte: u8| if byte == b'_' { b'-' } else { byte };
    one.len() == other.len() && one.bytes().zip(other.bytes()).all(|(a, b)| plain(a) == plain(b))
}

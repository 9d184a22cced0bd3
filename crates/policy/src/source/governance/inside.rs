//! What the gateway calls or asks, where that is on no public network: upstreams, providers, issuers, decision points,
//! and who grants tokens.
//!
//! Not where upstreams may be reached without TLS: that is what development is written as, and its upstreams are on the
//! machine or beside it.

use super::super::addresses::{self, Inside};
use super::super::diagnostic::{Code, Span};
use super::super::issuers::{Issuer, KeySource};
use super::super::secrets::quote;
use super::{Judge, host};

pub(super) fn judge(judge: &mut Judge<'_>) {
    let known = judge.subject.known;
    for (_, api) in &known.apis.here {
        for (_, version) in api.versions.iter().flat_map(|map| &map.here) {
            if let Some(url) = &version.upstream {
                judge.upstream(&url.0, url.span, url.from);
            }
            let credential = version.upstream_credential.as_ref();
            let grant = credential.and_then(|credential| credential.grant.as_ref());
            if let Some(url) = grant.and_then(|grant| grant.endpoint.as_ref()) {
                judge.asked("what grants tokens", &url.0, url.span, url.from);
            }
        }
    }
    for (_, provider) in &known.providers.here {
        if let Some(url) = &provider.base_url {
            judge.upstream(&url.0, url.span, url.from);
        }
        let grant = provider.grant.as_ref();
        if let Some(url) = grant.and_then(|grant| grant.endpoint.as_ref()) {
            judge.asked("what grants tokens", &url.0, url.span, url.from);
        }
    }
    for (_, issuer) in &known.issuer_map.here {
        issuer_of(issuer, judge);
    }
    let points = judge
        .subject
        .gateway
        .and_then(|file| file.decision_points.as_ref());
    for (_, point) in points.iter().flat_map(|map| &map.here) {
        if let Some(url) = &point.endpoint {
            judge.asked("this decision point", &url.0, url.span, None);
        }
    }
}

fn issuer_of(issuer: &Issuer, judge: &mut Judge<'_>) {
    let keys = "the keys of this issuer";
    match issuer.jwks.as_ref().map(|keys| (&keys.value, keys.span)) {
        Some((KeySource::Url(url), span)) => judge.asked(keys, &url.0, span, None),
        // Its metadata lie below its name, and may say that the keys are elsewhere.
        None if issuer.secret.is_none() && issuer.algorithms.is_some() => {
            if let Some(id) = &issuer.issuer {
                judge.asked("the metadata of this issuer", &id.0, id.span, None);
            }
            for origin in issuer.key_origins.iter().flat_map(|list| &list.0) {
                judge.asked(keys, &origin.0, origin.span, None);
            }
        }
        Some(_) | None => {}
    }
    let introspection = issuer.introspection.as_ref();
    if let Some(url) = introspection.and_then(|fields| fields.endpoint.as_ref()) {
        judge.asked("what knows the tokens of this issuer", &url.0, url.span, None);
    }
}

impl Judge<'_> {
    /// Where a URL leads, if that is inside and said to be so here.
    pub(super) fn inside(&self, url: &str) -> Option<Inside> {
        let weighs = !self.http_upstreams && self.report.level(Code::InsideAddress).is_some();
        addresses::inside(&host(url).to_ascii_lowercase()).filter(|_| weighs)
    }

    /// An upstream on the machine itself is said by a rule of its own.
    fn upstream(&mut self, url: &str, span: Span, from: Option<Span>) {
        if self.inside(url) != Some(Inside::Itself) {
            self.asked("this upstream", url, span, from);
        }
    }

    fn asked(&mut self, what: &str, url: &str, span: Span, from: Option<Span>) {
        let Some(inside) = self.inside(url) else { return };
        let (said, help) = match inside {
            Inside::Itself => (
                "no deployed gateway has it there",
                "name it by its host, or limit it to development with `environments`",
            ),
            Inside::Metadata | Inside::NoHost => (
                "nothing that a gateway calls is there",
                "name what is meant by its host",
            ),
            Inside::Link | Inside::Private | Inside::Short => (
                "a deployed gateway is on another network",
                "name it by a host that the world can reach, for example that of a tunnel",
            ),
        };
        let message = format!("{what}: {} is {}, and {said}", quote(host(url)), inside.told());
        let draft = self.say(Code::InsideAddress, span, message).help(help);
        if let Some(from) = from {
            draft.label(from, "the environment says where it is");
        }
    }
}

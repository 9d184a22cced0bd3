//! The gateway as a whole: who may reach it, with what, and whose tokens count.

use super::super::diagnostic::Code;
use super::super::files::Item;
use super::super::gateway::is_production;
use super::super::reader::Spanned;
use super::super::secrets::quote;
use super::Judge;
use crate::{Compiled, LogRequests};

/// A shield above this stops no flood.
const WIDE_SHIELD: u64 = 1_000;
const LARGE_BODY: u64 = 25 << 20;
const LONG_TOKEN: u64 = 24 * 60 * 60 * 1000;

pub(super) fn judge(judge: &mut Judge<'_>) {
    let Some(file) = judge.subject.gateway else { return };
    let name = file.gateway.as_ref().map_or(file.span, |name| name.span);
    let Compiled {
        operations, models, ..
    } = judge.subject.compiled;
    let answers = !(operations.is_empty() && models.is_empty());
    if file.hosts.is_none() && answers && !for_trying_out(judge) {
        judge
            .say(
                Code::OpenHosts,
                name,
                "no `hosts` are named: every host that leads here is answered",
            )
            .help("write for example `hosts: [api.example.com]`");
    }
    shield_and_bodies(judge);
    if let Some(any) = file
        .cors
        .iter()
        .filter_map(|cors| cors.origins.as_ref())
        .flat_map(|origins| &origins.0)
        .find(|origin| origin.0 == "*")
    {
        judge
            .say(Code::AnyOrigin, any.span, "pages of every origin may call")
            .help("list the origins of the pages that do");
    }
    if let Some(log) = file.log.as_ref().and_then(|log| log.requests.as_ref())
        && log.value == LogRequests::Failures
    {
        judge
            .say(Code::SparseLog, log.span, "requests that succeed are not logged")
            .help("write `requests: all`, and sample where the log is kept");
    }
    let tested = |file: &Item| {
        let whole = file.node.as_ref();
        // What could not be read may have been tests.
        whole.is_none_or(|whole| {
            let listed = whole.get("tests").unwrap_or(whole);
            !listed.items().is_empty()
        })
    };
    let files = judge.subject.tree.kinds.get("tests");
    if !files.is_some_and(|files| files.iter().any(tested)) {
        judge
            .say(Code::NoTests, name, "the tree has no tests")
            .help("write what the policies must answer in `tests/<name>.yaml`");
    }
    environments(judge);
    exceptions(judge);
    issuers(judge);
}

fn shield_and_bodies(judge: &mut Judge<'_>) {
    let Some(file) = judge.subject.gateway else { return };
    if let Some(rate) = file.shield.as_ref().and_then(|shield| shield.rate.as_ref()) {
        let (count, period) = rate.0;
        if u64::from(count).saturating_mul(1000) > WIDE_SHIELD.saturating_mul(period) {
            judge
                .say(
                    Code::WideShield,
                    rate.span,
                    format!("one address may send more than {WIDE_SHIELD} requests a second"),
                )
                .help("write what one client needs: the limits of plans come on top");
        }
    }
    let Some(floor) = &file.floor else { return };
    if let Some(size) = floor.max_body.as_ref().filter(|size| size.0 > LARGE_BODY) {
        judge
            .say(
                Code::LargeBodies,
                size.span,
                "request bodies above 25MiB are accepted",
            )
            .help("write what the largest API needs, and less in the others");
    }
    let cookies = floor
        .answer_headers
        .iter()
        .flat_map(|list| &list.0)
        .find(|header| header.0 == "set-cookie");
    if let Some(cookies) = cookies {
        judge
            .say(
                Code::CookiesPass,
                cookies.span,
                "cookies of upstreams reach clients",
            )
            .help("remove `set-cookie` from `answer_headers`");
    }
}

/// Whether the environment has the development issuer: such a one is not for the world, and is called by whatever
/// name the machine of whoever tries it has.
fn for_trying_out(judge: &Judge<'_>) -> bool {
    let map = judge.subject.gateway.and_then(|file| file.environments.as_ref());
    let here = &judge.subject.compiled.gateway.environment;
    map.iter()
        .flat_map(|map| &map.here)
        .filter(|(name, _)| name.value == *here)
        .filter_map(|(_, fields)| fields.development_issuer.as_ref())
        .any(Spanned::is_allowed)
}

fn environments(judge: &mut Judge<'_>) {
    let Some(map) = judge.subject.gateway.and_then(|file| file.environments.as_ref()) else {
        return;
    };
    for (name, fields) in &map.here {
        if !is_production(&name.value) {
            continue;
        }
        let allowed = [
            ("mocks", &fields.mocks),
            ("explain", &fields.explain),
            ("development_issuer", &fields.development_issuer),
            ("http_upstreams", &fields.http_upstreams),
        ];
        for (what, field) in allowed {
            if let Some(field) = field.as_ref().filter(|field| field.is_allowed()) {
                judge
                    .say(
                        Code::WideEnvironment,
                        field.span,
                        format!("{} allows `{what}`", quote(&name.value)),
                    )
                    .help("leave it out: what is not written is forbidden");
            }
        }
    }
}

fn exceptions(judge: &mut Judge<'_>) {
    let list = judge.subject.gateway.and_then(|file| file.exceptions.as_ref());
    for exception in list.iter().flat_map(|list| &list.0) {
        if let Some(until) = &exception.until
            && until.0 > judge.as_of.saturating_add(super::YEAR)
        {
            judge
                .say(
                    Code::LongException,
                    until.span,
                    "this exception is good for more than a year",
                )
                .help("write a nearer date: who renews it looks at it again");
        }
    }
}

fn issuers(judge: &mut Judge<'_>) {
    let Some(map) = judge.subject.gateway.and_then(|file| file.issuers.as_ref()) else {
        return;
    };
    for (name, issuer) in &map.here {
        let compiled = judge
            .subject
            .compiled
            .issuers
            .iter()
            .find(|compiled| compiled.name == name.value);
        if let Some(compiled) = compiled {
            let at = issuer.max_lifetime.as_ref().map_or(name.span, |field| field.span);
            match compiled.max_lifetime {
                None => {
                    judge
                        .say(
                            Code::EndlessTokens,
                            at,
                            format!("tokens of {} may live for any time", quote(&name.value)),
                        )
                        .help("write for example `max_lifetime: 1h`");
                }
                Some(seconds) if u64::from(seconds) * 1000 > LONG_TOKEN => {
                    judge
                        .say(Code::LongTokens, at, "tokens may live for more than a day")
                        .help("write an hour or less, and let clients renew their tokens");
                }
                Some(_) => {}
            }
        }
        let hmac = issuer
            .algorithms
            .iter()
            .flat_map(|list| &list.0)
            .find(|algorithm| algorithm.name().starts_with("HS"));
        if let Some(hmac) = hmac {
            judge
                .say(
                    Code::SharedKey,
                    hmac.span,
                    format!(
                        "{} signs with a key that the gateway also has",
                        quote(&name.value)
                    ),
                )
                .help("use `ES256`, `EdDSA` or `RS256`, whose keys only the issuer holds");
        }
        let plain = |text: &str| text.starts_with("http://") && !super::is_local(super::host(text));
        let named = issuer
            .issuer
            .as_ref()
            .filter(|field| plain(&field.0))
            .map(|field| field.span);
        let keys = issuer.jwks.as_ref().filter(|field| match &field.value {
            super::super::issuers::KeySource::Url(url) => plain(&url.0),
            _ => false,
        });
        if let Some(at) = named.or(keys.map(|field| field.span)) {
            judge
                .say(
                    Code::PlainIssuer,
                    at,
                    format!("{} is named without TLS", quote(&name.value)),
                )
                .help("write `https://`");
        }
    }
}

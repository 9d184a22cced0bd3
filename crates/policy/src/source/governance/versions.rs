//! APIs and their versions, each by itself: where they are in their life, and what answers them.

use super::super::addresses::Host;
use super::super::apis::{ApiFile, VersionFields};
use super::super::diagnostic::Code;
use super::super::reader::Spanned;
use super::super::secrets::quote;
use super::{Judge, host, is_local};
use crate::State;

const LONG_TIMEOUT: u64 = 60_000;
const SHORT_NOTICE: u64 = 90 * super::super::gateway::DAY;
const MANY_ACTIVE: usize = 2;

pub(super) fn judge(judge: &mut Judge<'_>) {
    for (name, api) in &judge.subject.known.apis.here {
        let versions = api.versions.iter().flat_map(|map| &map.here);
        for (version, fields) in versions {
            life(api, version, fields, judge);
            upstream(version, fields, judge);
        }
        together(name, api, judge);
    }
}

fn state(fields: &VersionFields) -> Option<State> {
    fields.state.as_ref().map(|state| state.value)
}

fn life(api: &ApiFile, version: &Spanned<String>, fields: &VersionFields, judge: &mut Judge<'_>) {
    let at = fields.state.as_ref().map_or(version.span, |state| state.span);
    let shown = quote(&version.value);
    if state(fields) == Some(State::Deprecated) {
        if fields.sunset.is_none() {
            judge
                .say(
                    Code::NoSunset,
                    at,
                    format!("{shown} is deprecated and does not say when it ends"),
                )
                .help("write `sunset: <date>`; clients are told by a header (RFC 8594)");
        }
        if fields.successor.is_none() {
            judge
                .say(
                    Code::NoSuccessor,
                    at,
                    format!("{shown} is deprecated and names no successor"),
                )
                .help("write `successor: <version>`; clients are told by a link (RFC 5829)");
        }
    }
    if let (Some(start), Some(end)) = (&fields.deprecated, &fields.sunset)
        && start.0 <= end.0
        && end.0 - start.0 < SHORT_NOTICE
    {
        judge
            .say(
                Code::ShortNotice,
                end.span,
                format!("{shown} ends less than 90 days after it was deprecated"),
            )
            .label(start.span, "deprecated here")
            .help("leave callers the time that they need to move");
    }
    if let (Some(State::Retired), Some(end)) = (state(fields), &fields.sunset)
        && end.0.saturating_add(super::YEAR) < judge.as_of
    {
        judge
            .say(
                Code::LongRetired,
                end.span,
                format!("{shown} ended more than a year ago"),
            )
            .help("remove the version: its paths then answer 404");
    }
    if let Some(successor) = &fields.successor {
        let versions = api.versions.iter().flat_map(|map| &map.here);
        let next = versions
            .filter(|(name, _)| name.value == successor.0)
            .find(|(_, next)| state(next) == Some(State::Deprecated));
        if let Some((next, _)) = next {
            judge
                .say(
                    Code::EndingSuccessor,
                    successor.span,
                    format!("{} is deprecated itself", quote(&next.value)),
                )
                .label(next.span, "it is here")
                .help("name a version that stays");
        }
    }
}

fn upstream(version: &Spanned<String>, fields: &VersionFields, judge: &mut Judge<'_>) {
    let Some(url) = &fields.upstream else { return };
    let host = host(&url.0).to_owned();
    let retired = state(fields) == Some(State::Retired);
    if !url.is_https() && !is_local(&host) {
        judge
            .say(
                Code::PlainUpstream,
                url.span,
                format!("{} is reached without TLS", quote(&host)),
            )
            .help("write `https://`");
    }
    if is_local(&host) && !judge.http_upstreams {
        judge
            .say(
                Code::LocalUpstream,
                url.span,
                format!("{} is no place that a deployed gateway can reach", quote(&host)),
            )
            .help("name the upstream by its host, or limit the version to development with `environments`");
    }
    let inside = judge.inside(&url.0).is_some();
    if matches!(Host::read(&host), Host::Address(_)) && !is_local(&host) && !inside {
        judge
            .say(
                Code::NumericUpstream,
                url.span,
                format!("the upstream is named by its address {}", quote(&host)),
            )
            .help("give it a name, with a certificate for it");
    }
    let hosts = judge.subject.gateway.and_then(|file| file.hosts.as_ref());
    if let Some(own) = hosts.iter().flat_map(|hosts| &hosts.0).find(|own| own.0 == host) {
        judge
            .say(Code::OwnHost, url.span, "this upstream is the gateway itself")
            .label(own.span, "the gateway answers this host")
            .help("name what stands behind the gateway");
    }
    if fields.upstream_credential.is_none() && !retired {
        judge
            .say(Code::AnonymousUpstream, url.span, format!("the gateway does not identify to the upstream of {}", quote(&version.value)))
            .help("write `upstream_credential: { secret: NAME_OF_A_WORKER_SECRET }`, and let the upstream ask for it");
    }
    let timeout = fields
        .timeouts
        .as_ref()
        .and_then(|timeouts| timeouts.first_byte.as_ref());
    match timeout.filter(|timeout| timeout.is_written()) {
        Some(timeout) if timeout.0 > LONG_TIMEOUT => {
            judge
                .say(
                    Code::LongTimeout,
                    timeout.span,
                    "an upstream may take longer than a minute",
                )
                .help("let it answer at once, and say later how the work went");
        }
        Some(_) => {}
        None if retired => {}
        None => {
            judge
                .say(
                    Code::DefaultTimeout,
                    version.span,
                    format!(
                        "{} does not say how long its upstream may take",
                        quote(&version.value)
                    ),
                )
                .help("write `timeouts: { first_byte: 5s }`, or what fits; left out it is 30s");
        }
    }
}

/// What is seen only with all versions of an API side by side.
fn together(name: &str, api: &ApiFile, judge: &mut Judge<'_>) {
    let Some(map) = &api.versions else { return };
    let states: Vec<_> = map.here.iter().filter_map(|(_, fields)| state(fields)).collect();
    let count = |wanted: State| states.iter().filter(|state| **state == wanted).count();
    if count(State::Active) > MANY_ACTIVE {
        judge
            .say(
                Code::ManyActive,
                map.key_span,
                format!("{} has {} active versions", quote(name), count(State::Active)),
            )
            .help("deprecate the oldest");
    }
    let living = count(State::Active) + count(State::Preview);
    if living == 0 && count(State::Deprecated) > 0 && map.others.is_empty() {
        judge
            .say(
                Code::OnlyDeprecated,
                map.key_span,
                format!("every version of {} is deprecated", quote(name)),
            )
            .help("add the version that callers shall move to, as a `preview` if it is not ready");
    }
}

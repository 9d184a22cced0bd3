//! Values in the words of the policy language, so that what is shown can be written.

use std::borrow::Cow;
use std::fmt::Write as _;

use serde::de::DeserializeOwned;
use turnpike_policy::{
    Allowance, Api, Binding, CertificateName, Compiled, Consumer, CredentialValue, Creditable, Handler, Lazy,
    Limit, LimitKind, Millis, Operation, ProviderKind, Rate, Reason, State, SubjectPart, Target, Unit,
    Window,
};

/// `30s`, `5m`, `250ms`.
pub(crate) fn duration(ms: Millis) -> String {
    for (unit, scale) in [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000)] {
        if ms >= scale && ms.is_multiple_of(scale) {
            return format!("{}{unit}", ms / scale);
        }
    }
    format!("{ms}ms")
}

/// `64KiB`, `10MiB`, `100B`.
pub(crate) fn size(bytes: u64) -> String {
    for (unit, shift) in [("GiB", 30_u32), ("MiB", 20), ("KiB", 10)] {
        if bytes >> shift > 0 && bytes.trailing_zeros() >= shift {
            return format!("{}{unit}", bytes >> shift);
        }
    }
    format!("{bytes}B")
}

/// `600/min, burst 50`; a burst as large as the count goes without saying.
pub(crate) fn rate(rate: &Rate) -> String {
    let period = match rate.period {
        1000 => "s".to_owned(),
        60_000 => "min".to_owned(),
        3_600_000 => "h".to_owned(),
        86_400_000 => "day".to_owned(),
        other => duration(other),
    };
    let mut text = format!("{}/{period}", rate.count);
    if rate.burst != rate.count {
        let _ = write!(text, ", burst {}", rate.burst);
    }
    text
}

/// A limit, with what is unusual about it: `600/min, burst 50 for smart (shadow)`.
pub(crate) fn limit(limit: &Limit) -> String {
    let mut text = kind(&limit.kind);
    if let Some(zone) = &limit.zone {
        let _ = write!(text, " in {zone}");
    }
    if !limit.models.is_empty() {
        let _ = write!(text, " for {}", limit.models.join(", "));
    }
    if let Some(split) = limit.split {
        let _ = match split.objects {
            all if all == split.parts => write!(text, " over {all} objects"),
            some => write!(text, " over {some} of {} objects", split.parts),
        };
    }
    if limit.shadow {
        text.push_str(" (shadow)");
    }
    text
}

/// The method of an operation, and the path by which it is called.
pub(crate) fn request(api: &Api, operation: &Operation) -> String {
    let path = turnpike_policy::called(&api.base, &operation.path);
    format!("{} {path}", operation.method.name())
}

/// Whom a limit counts: `consumer`, `operation of a consumer`.
pub(crate) fn subject(limit: &Limit) -> String {
    let parts = limit.subject.iter().rev().map(|part| {
        Cow::Borrowed(match part {
            SubjectPart::Consumer => "consumer",
            SubjectPart::Credential => "credential",
            SubjectPart::Address => "address",
            SubjectPart::Api => "API",
            SubjectPart::Operation => "operation",
            SubjectPart::Model => "model",
            SubjectPart::Upstream => "upstream",
            SubjectPart::Claim(name) => return Cow::Owned(format!("claim `{name}`")),
            SubjectPart::Header(name) => return Cow::Owned(format!("header `{name}`")),
        })
    });
    parts.collect::<Vec<_>>().join(" and ")
}

/// `600/min, burst 50`, `1000/month (quota)`.
fn kind(kind: &LimitKind) -> String {
    match kind {
        LimitKind::Rate(rate) => self::rate(rate),
        LimitKind::Quota { count, window } => {
            format!("{count}/{} (quota)", self::window(*window))
        }
        LimitKind::Budget { count, window, unit } => {
            let window = self::window(*window);
            match unit {
                Unit::Tokens => format!("{count}/{window} (tokens)"),
                Unit::InputTokens => format!("{count}/{window} (input tokens)"),
                Unit::OutputTokens => format!("{count}/{window} (output tokens)"),
                Unit::NanoUsd => format!("{} USD/{window} (spend)", usd(*count)),
                Unit::Bytes => format!("{count}/{window} (bytes)"),
            }
        }
        LimitKind::Concurrency { count } => format!("{count} at one time"),
    }
}

const fn window(window: Window) -> &'static str {
    match window {
        Window::Minute => "min",
        Window::Hour => "h",
        Window::Day | Window::DayAt(_) => "day",
        Window::Month | Window::MonthAt(_) => "month",
        Window::Rolling(60_000) => "any min",
        Window::Rolling(3_600_000) => "any h",
        Window::Rolling(86_400_000) => "any day",
        Window::Rolling(_) => "any 30 days",
    }
}

/// Thousand-millionths of a dollar, as dollars.
pub(crate) fn usd(nano: u64) -> String {
    let text = format!("{}.{:09}", nano / 1_000_000_000, nano % 1_000_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// What a consumer may do as an operator; none: it is none.
pub(crate) fn operator(consumer: &Consumer) -> Option<Vec<String>> {
    let operator = consumer.operator.as_ref()?;
    let credit = operator.credit.iter().map(|allowance| {
        let Allowance { of, count, window } = *allowance;
        let much = match of {
            Creditable::Requests => format!("{count} requests"),
            Creditable::Tokens => format!("{count} tokens"),
            Creditable::NanoUsd => format!("{} USD", usd(count)),
            Creditable::Bytes => format!("{count} bytes"),
        };
        format!("give back {much} in {}", self::window(window))
    });
    let deny = operator
        .deny
        .map(|longest| format!("deny for up to {}", duration(longest)));
    Some(
        std::iter::once("see every consumer's limits".to_owned())
            .chain(credit)
            .chain(deny)
            .collect(),
    )
}

pub(crate) const fn state(state: State) -> &'static str {
    match state {
        State::Preview => "preview",
        State::Active => "active",
        State::Deprecated => "deprecated",
        State::Retired => "retired",
    }
}

pub(crate) fn reasons(reasons: &[Reason]) -> String {
    let names: Vec<_> = reasons.iter().map(|reason| reason.name()).collect();
    names.join(", ")
}

/// What answers an operation.
pub(crate) fn handler(handler: &Handler) -> String {
    match handler {
        Handler::Proxy { url, .. } => url.clone(),
        Handler::Mock(examples) => format!(
            "mock: the document's examples ({})",
            count(examples.len(), "answer")
        ),
    }
}

/// `openai/gpt-5`.
pub(crate) fn target(compiled: &Compiled, target: &Target) -> String {
    let provider = at(&compiled.providers, target.provider);
    let (name, mock) = provider.map_or(("?", false), |provider| {
        (
            provider.name.as_str(),
            matches!(provider.kind, ProviderKind::Mock),
        )
    });
    let suffix = if mock && name != "mock" { " (mock)" } else { "" };
    format!("{name}/{}{suffix}", target.model)
}

/// How a consumer is known: `token of acme, key until 2027-01-01`.
pub(crate) fn credentials(compiled: &Compiled, index: u32) -> Vec<String> {
    let tokens = compiled
        .identities
        .iter()
        .filter(|identity| identity.consumer == index)
        .filter_map(|identity| at(&compiled.issuers, identity.issuer))
        .map(|issuer| format!("token of {}", issuer.name));
    let keys = compiled
        .keys
        .iter()
        .filter(|key| key.consumer == index)
        .map(|key| {
            key.expires.map_or_else(
                || "key".to_owned(),
                |expires| format!("key until {}", date(expires)),
            )
        });
    let certificates = compiled
        .certificates
        .iter()
        .filter(|certificate| certificate.consumer == index)
        .map(|certificate| {
            let name = certificate_name(&certificate.by);
            certificate.expires.map_or_else(
                || format!("certificate {name}"),
                |expires| format!("certificate {name} until {}", date(expires)),
            )
        });
    tokens.chain(keys).chain(certificates).collect()
}

/// How a client certificate is known: by the beginning of its key's hash, or by its subject.
pub(crate) fn certificate_name(by: &CertificateName) -> String {
    match by {
        CertificateName::Key(hash) => format!("{}…", short(hash)),
        CertificateName::Subject(_, subject) => subject.clone(),
    }
}

/// The beginning of a hash.
pub(crate) fn short(hash: &[u8; 32]) -> String {
    let [a, b, c, d, ..] = hash;
    turnpike_policy::hex(&[*a, *b, *c, *d])
}

/// Which tokens of an issuer that are bound to something are taken.
pub(crate) const fn binding(binding: Binding) -> &'static str {
    match binding {
        Binding::Refused => "refused",
        Binding::Accepted => "accepted",
        Binding::Required => "required",
    }
}

/// The operations that a consumer may call.
pub(crate) fn operations_of(compiled: &Compiled, consumer: &Consumer) -> Vec<String> {
    granted(compiled.operations.len(), |index| {
        consumer.operations.allows(index)
    })
    .filter_map(|index| operation(compiled, index))
    .collect()
}

/// The models that a consumer may call.
pub(crate) fn models_of(compiled: &Compiled, consumer: &Consumer) -> Vec<String> {
    granted(compiled.models.len(), |index| consumer.models.allows(index))
        .filter_map(|index| Some(at(&compiled.models, index)?.name.clone()))
        .collect()
}

fn granted(length: usize, allows: impl Fn(u32) -> bool) -> impl Iterator<Item = u32> {
    (0..u32::try_from(length).unwrap_or(u32::MAX)).filter(move |index| allows(*index))
}

/// `petstore/v1#listPets`.
pub(crate) fn operation(compiled: &Compiled, index: u32) -> Option<String> {
    let operation = at(&compiled.operations, index)?;
    let api = at(&compiled.apis, operation.api)?;
    Some(format!("{}/{}#{}", api.name, api.version, operation.id))
}

/// A day, or an instant where it is not the first one of its day.
pub(crate) fn date(at: u64) -> String {
    turnpike_policy::source::show_instant(at)
}

/// An instant at which something ends; the last of all: it does not.
pub(crate) fn end(at: u64) -> String {
    if at == u64::MAX {
        "never".to_owned()
    } else {
        date(at)
    }
}

/// The last day of what ends at an instant, as it is written; the instant itself where it ends within a day.
pub(crate) fn last(end: u64) -> String {
    match end.checked_sub(1) {
        Some(before) if end.is_multiple_of(86_400_000) => day(before),
        _ => self::end(end),
    }
}

/// The day of an instant, in UTC.
pub(crate) fn day(at: u64) -> String {
    let text = date(at - at % 86_400_000);
    text.split('T').next().unwrap_or_default().to_owned()
}

/// Things in their places, whether they are read already or not.
pub(crate) trait List<T> {
    /// What is at a place.
    fn entry(&self, place: usize) -> Option<&T>;
    /// How many places there are.
    fn places(&self) -> u32;
}

impl<T> List<T> for Vec<T> {
    fn entry(&self, place: usize) -> Option<&T> {
        self.get(place)
    }

    fn places(&self) -> u32 {
        u32::try_from(self.len()).unwrap_or(u32::MAX)
    }
}

impl<T: DeserializeOwned> List<T> for Lazy<T> {
    fn entry(&self, place: usize) -> Option<&T> {
        self.get(place)
    }

    fn places(&self) -> u32 {
        u32::try_from(self.len()).unwrap_or(u32::MAX)
    }
}

/// What an index of the bundle stands for.
pub(crate) fn at<T>(list: &impl List<T>, index: u32) -> Option<&T> {
    list.entry(usize::try_from(index).ok()?)
}

/// `1 file`, `2 files`.
pub(crate) fn count(number: usize, thing: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {thing}{plural}")
}

/// `a, b and c`.
pub(crate) fn list(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// What stands in a cell that would be empty.
pub(crate) fn or_none(text: String) -> String {
    if text.is_empty() { "none".to_owned() } else { text }
}

/// What a gateway sends an upstream of its own, without its value.
pub(crate) fn sent(value: &CredentialValue) -> String {
    match value {
        CredentialValue::Secret(name) => format!("<{name}>"),
        CredentialValue::Signed(token) => format!(
            "<token signed for {}, good for {}>",
            token.audience,
            duration(token.lifetime)
        ),
        CredentialValue::Granted(token) => format!("<token of {} for {}>", token.endpoint, token.client_id),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_they_are_written() {
        for (ms, text) in [
            (30_000, "30s"),
            (90_000, "90s"),
            (300_000, "5m"),
            (250, "250ms"),
            (86_400_000, "1d"),
            (0, "0ms"),
        ] {
            assert_eq!(duration(ms), text);
        }
        for (bytes, text) in [
            (65_536, "64KiB"),
            (10 << 20, "10MiB"),
            (100, "100B"),
            (1025, "1025B"),
            (3 << 30, "3GiB"),
        ] {
            assert_eq!(size(bytes), text);
        }
        let some = |count, period, burst| rate(&Rate { count, period, burst });
        assert_eq!(some(600, 60_000, 50), "600/min, burst 50");
        assert_eq!(some(5, 1000, 5), "5/s");
        assert_eq!(some(1, 10_000, 1), "1/10s");
    }
}

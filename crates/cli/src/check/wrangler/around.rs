//! What lies around the Worker of an environment: which files are taken for what as it is bundled, who sees what it does,
//! what wrangler passes on unread, and how much it may compute.

use std::path::Path;

use toml::Spanned;
use toml::de::DeValue;
use turnpike_policy::source::{Code, Severity};

use super::Check;
use super::place::Place;

/// What the gateway's own code ends with.
const CODE: [&str; 6] = ["js", "mjs", "cjs", "ts", "mts", "cts"];
/// What may bound the Worker, below which it ends requests that are good, and which these are.
const LIMITS: [(&str, u32, &str); 2] = [
    (
        "cpu_ms",
        1000,
        "a large body, or a long stream that is read as it passes, takes more",
    ),
    (
        "subrequests",
        50,
        "limits, keys, and each attempt at an upstream are fetches of one request",
    ),
];

impl Check<'_> {
    /// Which files are taken for what: the gateway's own are code.
    pub(super) fn rules(&mut self, place: &Place<'_>) {
        let rules = place.inherited("rules");
        let rules = rules.and_then(|rules| rules.get_ref().as_array());
        for rule in rules.into_iter().flatten() {
            let of = |key: &str| rule.get_ref().get(key).map(Spanned::get_ref);
            let kind = of("type").and_then(DeValue::as_str).unwrap_or_default();
            // wrangler bundles what these take, as it does all code.
            if matches!(kind, "ESModule" | "CommonJS") {
                continue;
            }
            let globs = of("globs").and_then(DeValue::as_array);
            let globs = globs.into_iter().flatten();
            for glob in globs.filter_map(|glob| glob.get_ref().as_str()) {
                let (what, write) = match ending(glob) {
                    Some("wasm") if kind == "CompiledWasm" => continue,
                    Some("wasm") => (
                        "make no code of `.wasm` modules".to_owned(),
                        "write in it: type = \"CompiledWasm\"",
                    ),
                    Some(ending) if !CODE.contains(&ending) => continue,
                    // One file by its name.
                    None if !glob
                        .rsplit('/')
                        .next()
                        .unwrap_or(glob)
                        .contains(['*', '?', '[', '{']) =>
                    {
                        continue;
                    }
                    _ => (
                        format!("take modules of the gateway for something else (`{glob}` as {kind})"),
                        "name no files but those meant, by their ending: globs = [\"**/*.txt\"]",
                    ),
                };
                self.say_once(
                    Code::OtherWorker,
                    Severity::Error,
                    rule.span(),
                    format!("the rules of {} {what}", place.shown()),
                    write.to_owned(),
                );
            }
        }
    }

    /// Who is told of each request, and sees its log lines.
    pub(super) fn watchers(&mut self, place: &Place<'_>) {
        for key in ["tail_consumers", "streaming_tail_consumers"] {
            let consumers = place.own(key).and_then(|list| list.get_ref().as_array());
            for consumer in consumers.into_iter().flatten() {
                let service = consumer.get_ref().get("service");
                let service = service.and_then(|service| service.get_ref().as_str());
                self.say_once(
                    Code::Watched,
                    Severity::Warning,
                    consumer.span(),
                    format!(
                        "{} shows the Worker `{}` every request and log line (`{key}`)",
                        place.shown(),
                        service.unwrap_or("?")
                    ),
                    "take it out, unless that Worker is kept as the gateway is".to_owned(),
                );
            }
        }
    }

    /// What wrangler passes on to the platform without knowing it.
    pub(super) fn unsafe_parts(&mut self, place: &Place<'_>) {
        let Some(parts) = place.own("unsafe") else { return };
        let named: Vec<_> = parts.get_ref().as_table().into_iter().flatten().collect();
        if named.is_empty() {
            return;
        }
        let named: Vec<_> = named
            .iter()
            .map(|(name, _)| format!("`{}`", name.get_ref()))
            .collect();
        self.say_once(
            Code::OtherWorker,
            Severity::Error,
            parts.span(),
            format!(
                "{} passes on what wrangler does not read (`unsafe`: {}): what the Worker is given is not known",
                place.shown(),
                named.join(", ")
            ),
            "take it out: the gateway needs none of it".to_owned(),
        );
    }

    /// How much a request may compute and fetch.
    pub(super) fn bounds(&mut self, place: &Place<'_>) {
        let limits = place.inherited("limits").map(Spanned::get_ref);
        for (key, least, why) in LIMITS {
            let Some(value) = limits.and_then(|limits| limits.get(key)) else {
                continue;
            };
            let said = match value.get_ref() {
                DeValue::Integer(number) => number.to_string(),
                DeValue::Float(number) => number.to_string(),
                _ => continue,
            };
            // What is no number is wrangler's to refuse.
            let said = said.replace('_', "").parse::<f64>();
            if said.map_or(true, |said| said >= f64::from(least)) {
                continue;
            }
            self.say_once(
                Code::OtherWorker,
                Severity::Warning,
                value.span(),
                format!(
                    "the `{key}` of {} are so few that requests are ended which are good: {why}",
                    place.shown()
                ),
                format!("write {least} or more, or take it out"),
            );
        }
    }
}

/// What the files end with that a glob takes; nothing where they may end with anything.
fn ending(glob: &str) -> Option<&str> {
    // As wrangler writes it for imports that say what they want.
    let glob = glob.strip_suffix("?module").unwrap_or(glob);
    let ending = Path::new(glob).extension()?.to_str()?;
    let plain = ending.bytes().all(|byte| byte.is_ascii_alphanumeric());
    plain.then_some(ending)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_glob_takes() {
        for (glob, takes) in [
            ("**/*.wasm", Some("wasm")),
            ("**/*.wasm?module", Some("wasm")),
            ("src/*.js", Some("js")),
            ("**/*.{txt,js}", None),
            ("**/*.*", None),
            ("**/*.[jt]s", None),
            ("**/*", None),
            ("src/**", None),
            (".js", None),
        ] {
            assert_eq!(ending(glob), takes, "{glob}");
        }
    }
}

//! As of which day an environment of wrangler runs, and with which flags: what the runtime does depends on both.

use turnpike_policy::source::{Code, Severity, parse_date};

use super::Check;
use super::place::Place;

/// The first day as of which the runtime tells of clients that left without being asked to.
const SIGNALS_SINCE: &str = "2026-11-17";
/// What asks it to, before that day.
const SIGNALS: &str = "enable_request_signal";
/// What asks it not to, whatever the day.
const NO_SIGNALS: &str = "disable_request_signal";
/// The flags with which it was tried.
const FLAGS: [&str; 3] = [SIGNALS, "no_nodejs_compat", "no_nodejs_compat_v2"];
/// The last day as of which the gateway was tried: that of this repository's own file. What the runtime changes as of
/// a later one is not known here.
const TRIED: &str = "2026-11-17";

impl Check<'_> {
    /// As of which day it runs, and with which flags.
    pub(super) fn runs(&mut self, place: &Place<'_>) {
        let flags = self.flags(place);
        let write = format!("write: compatibility_date = \"{TRIED}\"");
        let Some(value) = place.inherited("compatibility_date") else {
            let missing = "nothing says as of which day it runs: `compatibility_date` is missing";
            self.lacks(place, missing, write);
            return;
        };
        let day = |text: &&str| text.len() == TRIED.len() && parse_date(text).is_ok();
        let Some(date) = value.get_ref().as_str().filter(day) else {
            self.say_once(
                Code::OtherWorker,
                Severity::Error,
                value.span(),
                format!(
                    "the `compatibility_date` of {} is no day in quotes: as of which one it runs is not known",
                    place.shown()
                ),
                write,
            );
            return;
        };
        if date > TRIED {
            self.say_once(
                Code::OtherWorker,
                Severity::Warning,
                value.span(),
                format!(
                    "{} runs as of a later day than the gateway was tried with, {TRIED}",
                    place.shown()
                ),
                write,
            );
        }
        if date < SIGNALS_SINCE && !flags.contains(&SIGNALS) {
            self.say_once(
                Code::OtherWorker,
                Severity::Error,
                value.span(),
                format!(
                    "{} runs as of a day on which the runtime did not tell of clients that left",
                    place.shown()
                ),
                format!("write: compatibility_date = \"{SIGNALS_SINCE}\", which was tried"),
            );
        }
    }

    /// The flags that are set; says which of them were not tried.
    fn flags<'p>(&mut self, place: &Place<'p>) -> Vec<&'p str> {
        let flags = place.inherited("compatibility_flags");
        let flags = flags.and_then(|flags| flags.get_ref().as_array());
        let mut set = Vec::new();
        for value in flags.into_iter().flatten() {
            let Some(flag) = value.get_ref().as_str() else {
                continue;
            };
            set.push(flag);
            if flag == NO_SIGNALS {
                self.say_once(
                    Code::OtherWorker,
                    Severity::Error,
                    value.span(),
                    format!(
                        "{} keeps the runtime from telling of clients that left",
                        place.shown()
                    ),
                    "take it out".to_owned(),
                );
            } else if !FLAGS.contains(&flag) {
                self.say_once(
                    Code::OtherWorker,
                    Severity::Warning,
                    value.span(),
                    format!(
                        "{} runs with `{flag}`, with which the gateway was not tried",
                        place.shown()
                    ),
                    "take it out".to_owned(),
                );
            }
        }
        set
    }
}

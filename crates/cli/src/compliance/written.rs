//! What `gateway.yaml` itself says of exceptions and of rules that are off or weaker than they are by themselves: with
//! reasons and lines, which the bundle does not hold.

use std::rc::Rc;

use turnpike_policy::source::{Outcome, RULES, Said, Severity};

use crate::lines::{Behind, Lines};

/// An exception to the floor, as it is written.
pub(super) struct Exception {
    pub(super) rule: String,
    pub(super) target: String,
    pub(super) reason: String,
    pub(super) until: String,
    pub(super) origin: String,
    pub(super) behind: Rc<Behind>,
}

/// A rule of governance that weighs less than it does by itself.
pub(super) struct Weaker {
    pub(super) code: String,
    /// What it weighs; nothing: it is off.
    pub(super) level: Option<Severity>,
    /// What it would weigh.
    pub(super) usual: Severity,
    pub(super) origin: String,
    pub(super) behind: Rc<Behind>,
}

/// The exceptions of an environment, and the rules that are off or weaker there, as `gateway.yaml` writes them.
pub(super) fn written(
    gateway: Option<&Said>,
    outcome: &Outcome,
    lines: &Lines,
) -> (Vec<Exception>, Vec<Weaker>) {
    let Some(gateway) = gateway else {
        return (Vec::new(), Vec::new());
    };
    let items = gateway.get("exceptions").map(Said::items).unwrap_or_default();
    let exceptions = items.iter().map(|item| Exception {
        rule: item.text_of("rule").to_owned(),
        target: item.text_of("for").to_owned(),
        reason: item.text_of("reason").to_owned(),
        until: item.text_of("until").to_owned(),
        origin: item.origin.clone(),
        behind: lines.behind(&item.origin, "", &[]),
    });
    let levels = gateway.get("governance").map(Said::entries).unwrap_or_default();
    let weaker = levels.iter().filter_map(|(key, _)| {
        let code = key.text()?;
        let rule = RULES.iter().find(|rule| rule.code.number() == code)?;
        // What the floor demands the build knows.
        let level = outcome.level(rule.code);
        level.is_none_or(|level| level > rule.severity).then(|| Weaker {
            code: code.to_owned(),
            level,
            usual: rule.severity,
            origin: key.origin.clone(),
            behind: lines.behind(&key.origin, "", &[code]),
        })
    });
    (exceptions.collect(), weaker.collect())
}

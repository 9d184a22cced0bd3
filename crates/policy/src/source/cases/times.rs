//! How often a test asks, and for how long it plays.

use super::fields::{CaseFields, OneOr, RequestFields, UpstreamFields};
use crate::source::compile::Checker;
use crate::source::diagnostic::{Code, Span};
use crate::source::reader::{Fault, Scalar, Spanned};
use crate::source::scalars::{Duration, Number};

/// How many requests one step may send.
pub(super) const MOST: u32 = 100_000;

/// For how many days a test may play: what limits remember is over after a month, and what ends does so on a day that
/// `at` can name.
const MOST_DAYS: u64 = 3_660;
const DAY: u64 = 24 * 60 * 60 * 1000;

/// How often: at least once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Times(pub(crate) u32);

impl Scalar for Times {
    const EXPECTS: &'static str = <Number<1, MOST> as Scalar>::EXPECTS;
    const PLAIN: bool = true;

    fn schema() -> serde_json::Value {
        <Number<1, MOST> as Scalar>::schema()
    }

    fn parse(text: &str) -> Result<Self, Fault> {
        if text == "0" {
            let fault = Fault::new(
                Code::OutOfRange,
                "`times: 0` is never: nothing would be sent or answered",
            );
            return Err(fault.help(format!(
                "write how often, from 1 to {MOST}; leave out what is not sent and what is not expected: an answer that \
                 fits no item of `expect` fails the test"
            )));
        }
        Number::<1, MOST>::parse(text).map(|number| Self(number.0))
    }
}

/// Reports a test that would play for longer than anything is worth playing.
pub(super) fn check(case: &CaseFields, checker: &mut Checker) {
    let mut all = 0_u64;
    let mut add = |waits: &[Option<&Spanned<Duration>>]| {
        for wait in waits.iter().flatten() {
            let before = all;
            all = all.saturating_add(wait.0);
            if before <= MOST_DAYS * DAY && all > MOST_DAYS * DAY {
                too_long(wait.span, checker);
            }
        }
    };
    let over = |request: &Option<Spanned<RequestFields>>| request.as_ref()?.over.clone();
    add(&[over(&case.request).as_ref()]);
    for step in case.steps.iter().flat_map(|steps| &steps.0) {
        add(&[step.after.as_ref(), over(&step.request).as_ref()]);
    }
    let steps = case.steps.iter().flat_map(|steps| &steps.0);
    let upstreams = steps.map(|step| &step.upstream).chain([&case.upstream]);
    for upstream in upstreams.flatten() {
        slow(upstream, checker);
    }
}

fn slow(upstream: &Spanned<OneOr<UpstreamFields>>, checker: &mut Checker) {
    for after in upstream.0.iter().filter_map(|answer| answer.after.as_ref()) {
        if after.0 > DAY {
            checker
                .report()
                .error(
                    Code::OutOfRange,
                    after.span,
                    "no upstream is waited for as long as a day",
                )
                .help("write for example `after: 30s`, or `fails: timeout` for one that is not waited for");
        }
    }
}

fn too_long(span: Span, checker: &mut Checker) {
    checker
        .report()
        .error(
            Code::OutOfRange,
            span,
            format!("with this, the test plays for more than {MOST_DAYS}d, ten years"),
        )
        .help("no limit remembers more than a month; to play on a later day write `at: 2030-01-31`");
}

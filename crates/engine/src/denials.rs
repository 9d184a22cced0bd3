//! The list of denials as an isolate knows it, and how long it may go on knowing it.
//!
//! A request that finds the list older than [`FRESH`] looks again before it goes on, one at a time: it claims the
//! look, with a deadline, and the others go on with what is known. From [`STALE`] on every request looks itself.
//! So a denial holds in every isolate at most [`STALE`] after it was made, for all that is decided from then on,
//! and at once in the isolate that made it. A list that cannot be had is no reason to refuse anybody: the last
//! known one stands, the log says so ([`Denials::is_stale`]), and the next look is made [`PATIENCE`] later. The log
//! says the same while the list holds what only a later build knows how to refuse.
//!
//! What is not denied is found out by comparing one number where the list is empty, and by a few look-ups where it
//! is not. The names in it are resolved when it comes, not when a request does.

use std::collections::BTreeMap;

use turnpike_policy::{Compiled, Millis, Timestamp};

use crate::flight;
use crate::identify::{CredentialKind, Principal};
use crate::meter::denials::{Report, Target};

/// How old the list may be without anybody looking again, in milliseconds.
const FRESH: Millis = 25_000;
/// How old it may be at the most, in milliseconds, where the object can be reached.
const STALE: Millis = 55_000;
/// How long a claim to look stands, in milliseconds: longer than the object has to answer.
const CLAIM: Millis = 6_000;
/// How long nobody looks again after a look that failed, in milliseconds.
const PATIENCE: Millis = 5_000;
/// Within which time a denial holds everywhere, in milliseconds: [`STALE`], and what clocks may differ by.
pub(crate) const BOUND: Millis = 60_000;

/// What an isolate knows of the list.
#[derive(Debug, Default)]
pub(crate) struct Denials {
    /// When the last look that was answered was begun; none: there was none.
    looked: Option<Timestamp>,
    /// Until when somebody else has claimed to look.
    claimed: Timestamp,
    /// Until when nobody tries again.
    failed: Timestamp,
    /// [`Report::version`] of what is known.
    version: u64,
    /// How many denials are known.
    count: usize,
    /// Until when something is denied that only a later build knows how to refuse.
    beyond: Timestamp,
    keys: BTreeMap<String, Mark>,
    certificates: BTreeMap<String, Mark>,
    /// By the issuer's index.
    subjects: BTreeMap<u32, BTreeMap<String, Mark>>,
    consumers: BTreeMap<u32, Mark>,
    operations: BTreeMap<u32, Mark>,
    models: BTreeMap<u32, Mark>,
}

/// A denial that stands.
#[derive(Clone, Debug)]
struct Mark {
    id: String,
    until: Timestamp,
}

impl Denials {
    /// A list, where the policy lets anybody deny anything; elsewhere there is nothing to look at.
    pub(crate) fn of(policy: &Compiled) -> Option<Self> {
        policy.denials.then(Self::default)
    }

    /// Whether this request is to look before it goes on; if so, it has claimed it.
    pub(crate) fn due(&mut self, now: Timestamp) -> bool {
        let age = self.age(now);
        let due = match age {
            Some(age) if age < FRESH => false,
            // A claim further away than any can be was made by a clock that has been set back.
            Some(age) if age < STALE => !within(self.claimed, now, CLAIM),
            _ => true,
        };
        let due = due && !within(self.failed, now, PATIENCE);
        if due {
            self.claimed = now.saturating_add(CLAIM);
        }
        due
    }

    /// Whether more may be denied than is refused here: the list is older than it may be, because the object could not
    /// be reached, or it holds what this build does not know.
    pub(crate) fn is_stale(&self, now: Timestamp) -> bool {
        now < self.beyond || self.age(now).is_none_or(|age| age >= STALE)
    }

    fn age(&self, now: Timestamp) -> Option<Millis> {
        // From a clock that was set back nothing is known of its age.
        self.looked.and_then(|looked| now.checked_sub(looked))
    }

    /// Takes what a look, or an order of an operator, has brought; `began`: when it was asked.
    pub(crate) fn take(
        &mut self,
        policy: &Compiled,
        report: Option<&Report>,
        began: Timestamp,
        now: Timestamp,
    ) {
        self.claimed = 0;
        let Some(report) = report else {
            self.failed = now.saturating_add(PATIENCE);
            return;
        };
        self.failed = 0;
        let older = self.looked.is_some_and(|looked| began < looked && now >= looked);
        if !older {
            self.looked = Some(began);
        }
        if report.version < self.version {
            // Overtaken; or the object has forgotten a list that is over, as is what is known here.
            return;
        }
        let Self {
            looked,
            claimed,
            failed,
            ..
        } = *self;
        *self = Self {
            looked,
            claimed,
            failed,
            version: report.version,
            ..Self::default()
        };
        for denial in report.denials.iter().filter(|denial| denial.stands(now)) {
            let mark = Mark {
                id: denial.id.clone(),
                until: denial.until,
            };
            self.count += 1;
            self.add(policy, &denial.target, &mark);
        }
    }

    fn add(&mut self, policy: &Compiled, target: &Target, mark: &Mark) {
        match target {
            Target::Key(id) => put(&mut self.keys, id.clone(), mark),
            Target::Certificate(name) => put(&mut self.certificates, name.clone(), mark),
            Target::Subject(issuer, subject) => {
                for index in places(&policy.issuers, |known| known.issuer == *issuer) {
                    put(self.subjects.entry(index).or_default(), subject.clone(), mark);
                }
            }
            Target::Consumer(name) => {
                for index in places(&policy.consumers, |known| known.name == *name) {
                    put(&mut self.consumers, index, mark);
                }
            }
            Target::Operation(name) => {
                for index in operations(policy, name) {
                    put(&mut self.operations, index, mark);
                }
            }
            Target::Model(name) => {
                for index in places(&policy.models, |known| known.name == *name) {
                    put(&mut self.models, index, mark);
                }
            }
            Target::Other(..) => self.beyond = self.beyond.max(mark.until),
        }
    }

    /// The id of the denial that refuses a request, as far as it is known.
    pub(crate) fn refuses(
        &self,
        caller: Option<&Principal>,
        certificate: &[String],
        operation: Option<u32>,
        model: Option<u32>,
        now: Timestamp,
    ) -> Option<&str> {
        if self.count == 0 {
            return None;
        }
        let caller = caller.and_then(|caller| {
            let credential = match (caller.credential(), caller.issuer()) {
                (CredentialKind::Key, _) => self.keys.get(caller.subject()),
                // By all of its names, below.
                (CredentialKind::Certificate, _) => None,
                (CredentialKind::Token, issuer) => {
                    issuer.and_then(|issuer| self.subjects.get(&issuer)?.get(caller.subject()))
                }
            };
            let stands = |mark: &&Mark| now < mark.until;
            credential
                .filter(stands)
                .or_else(|| self.consumers.get(&caller.consumer()).filter(stands))
        });
        // Whatever else its caller has: a token that is bound to it, or a key beside it.
        let mut shown = certificate.iter().filter_map(|name| self.certificates.get(name));
        let certificate = shown.find(|mark| now < mark.until);
        let operation = operation.and_then(|index| self.operations.get(&index));
        let model = model.and_then(|index| self.models.get(&index));
        [caller, certificate, operation, model]
            .into_iter()
            .flatten()
            .find(|mark| now < mark.until)
            .map(|mark| mark.id.as_str())
    }
}

/// Whether a moment is still to come, and not further away than it was set.
const fn within(until: Timestamp, now: Timestamp, most: Millis) -> bool {
    now < until && until - now <= most
}

/// Of several denials of one thing, the one that ends last stands for all.
fn put<K: Ord>(marks: &mut BTreeMap<K, Mark>, key: K, mark: &Mark) {
    let known = marks.entry(key).or_insert_with(|| mark.clone());
    if known.until < mark.until {
        *known = mark.clone();
    }
}

fn places<'a, T: 'a>(
    list: impl IntoIterator<Item = &'a T>,
    is: impl Fn(&T) -> bool,
) -> impl Iterator<Item = u32> {
    (0_u32..)
        .zip(list)
        .filter_map(move |(index, item)| is(item).then_some(index))
}

/// The operations of this name (`petstore/v1#listPets`).
pub(crate) fn operations<'a>(policy: &'a Compiled, name: &'a str) -> impl Iterator<Item = u32> + 'a {
    places(&policy.operations, move |operation| {
        usize::try_from(operation.api)
            .ok()
            .and_then(|api| policy.apis.get(api))
            .is_some_and(|api| flight::operation_name(api, operation) == name)
    })
}

//! Subjects that are too hot for one object: which of its objects a request asks, and what their answers mean.
//!
//! Each object keeps an equal part of the limits ([`shards`]). A request is charged to one of them; where the first
//! refuses it asks a second, so what is left somewhere is found by who needs it. An isolate to which two have refused
//! asks only one for a moment, so that a flood above the limit does not double itself.

use turnpike_policy::{Limit, Millis, Precision, Split, Timestamp};

use super::subject::Group;
use crate::meter::{Answer, Asked, Outcome, Standing, shards};
use crate::seeded::{Named, named};

/// How many objects of a subject a request asks at most.
const TRIES: usize = 2;
/// For how long an isolate that was refused by as many asks only one, in milliseconds.
const FULL: Millis = 1_000;
/// Of how many subjects that is remembered.
const CAPACITY: usize = 4_096;

/// What an isolate knows of subjects with several objects.
#[derive(Debug)]
pub(crate) struct Spread {
    /// Its own number, so that what it takes in advance is of one object.
    isolate: [u8; 16],
    /// Subjects with nothing left, by their objects.
    full: Named<Full>,
}

/// A subject with nothing left.
#[derive(Debug)]
struct Full {
    /// Until when that is believed, and nobody else is looked at.
    until: Timestamp,
    /// What was found stricter when somebody else was.
    stricter: Option<Stricter>,
}

/// A limit that holds a request back longer than the one that refused it first.
#[derive(Clone, Debug)]
pub(super) struct Stricter {
    /// Its object, or what those of several objects begin with.
    pub(super) object: String,
    /// Its name there.
    pub(super) limit: String,
    /// When a request may pass it.
    pub(super) ends: Timestamp,
}

impl Spread {
    /// Of an isolate with a random number, which is secret.
    pub(crate) fn new(isolate: [u8; 16]) -> Self {
        Self {
            isolate,
            full: named(isolate),
        }
    }

    /// The objects of a subject that a request asks, in order.
    pub(super) fn shards(&self, group: &Group<'_>, request: &[u8], now: Timestamp) -> Vec<u32> {
        let Some(split) = group.split else { return vec![0] };
        let key = match group.kept {
            Precision::Leased => &self.isolate,
            Precision::Exact | Precision::Local => request,
        };
        let mut order = shards::order(key, split.objects.into());
        order.truncate(if self.is_full(group, now) { 1 } else { TRIES });
        order
    }

    /// Whether nothing was left of it a moment ago.
    pub(super) fn is_full(&self, group: &Group<'_>, now: Timestamp) -> bool {
        self.believed(group, now).is_some()
    }

    /// What was found stricter a moment ago, for who called with these groups.
    pub(super) fn stricter(&self, group: &Group<'_>, now: Timestamp) -> Option<&Stricter> {
        self.believed(group, now)?.stricter.as_ref()
    }

    fn believed(&self, group: &Group<'_>, now: Timestamp) -> Option<&Full> {
        // A clock that was set back must not make it last.
        let full = |full: &&Full| now < full.until && full.until <= now.saturating_add(FULL);
        self.full.get(&group.object).filter(full)
    }

    /// Notes that nothing was left for a request.
    pub(super) fn refused(&mut self, group: &Group<'_>, now: Timestamp) {
        if self.full.len() >= CAPACITY {
            self.full.retain(|_, full| now < full.until);
        }
        if self.full.len() < CAPACITY {
            let until = now.saturating_add(FULL);
            let stricter = None;
            self.full.insert(group.object.clone(), Full { until, stricter });
        }
    }

    /// Notes what was found stricter when the others were looked at.
    pub(super) fn found(&mut self, group: &Group<'_>, stricter: Stricter) {
        if let Some(full) = self.full.get_mut(&group.object) {
            full.stricter = Some(stricter);
        }
    }
}

impl Group<'_> {
    /// The object that keeps one part of it.
    pub(crate) fn object_of(&self, shard: u32) -> String {
        object_of(&self.object, self.split, shard)
    }

    /// The one that is asked by who asks one only.
    pub(crate) fn first_of(&self, key: &[u8]) -> u32 {
        let objects = self.split.map_or(1, |split| u32::from(split.objects));
        shards::order(key, objects).first().copied().unwrap_or(0)
    }

    /// What is asked of such an object.
    pub(crate) fn part<'a>(&self, asked: Asked<'a>, shard: u32) -> Asked<'a> {
        part(asked, self.split, shard)
    }

    /// What the standing of a part says of a limit.
    pub(super) fn whole(&self, limit: &Limit, standing: Standing) -> Standing {
        whole(limit, standing, self.split)
    }
}

/// The name of the object that keeps one part of a subject's limits.
pub(super) fn object_of(object: &str, split: Option<Split>, shard: u32) -> String {
    match split {
        None => object.to_owned(),
        // No name of a part of a subject has a colon, and none is called a shard.
        Some(_) => format!("{object}|shard:{shard}"),
    }
}

/// What is asked of such an object.
pub(super) fn part(asked: Asked<'_>, split: Option<Split>, shard: u32) -> Asked<'_> {
    match split {
        None => asked,
        Some(split) => Asked {
            kind: shards::share(&asked.kind, shard, split.parts.into()).unwrap_or(shards::NOTHING),
            ..asked
        },
    }
}

/// What the standing of a part says of the whole of a limit.
pub(super) fn whole(limit: &Limit, standing: Standing, split: Option<Split>) -> Standing {
    match split {
        None => standing,
        Some(Split { objects, parts }) => shards::whole(&limit.kind, standing, objects.into(), parts.into()),
    }
}

/// A refusal, as a client is told of it that was refused by another object before: it may come again as soon as one
/// of both has something.
pub(super) fn sooner(answer: Answer, before: Option<(u32, Millis)>) -> Answer {
    let outcome = match (answer.outcome, before) {
        (Outcome::Refused { retry_after_ms, .. }, Some((limit, wait))) if wait < retry_after_ms => {
            Outcome::Refused {
                limit,
                retry_after_ms: wait,
            }
        }
        (outcome, _) => outcome,
    };
    Answer { outcome, ..answer }
}

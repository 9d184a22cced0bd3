//! Subjects that are too hot for one object: which of its objects a request asks, and what their answers mean.
//!
//! Each object keeps an equal part of the limits ([`shards`]). A request is charged to one of them; where the first
//! refuses it asks a second, so what is left somewhere is found by who needs it. An isolate to which two have refused
//! asks only one for a moment, so that a flood above the limit does not double itself.

use std::collections::HashMap;

use turnpike_policy::{Limit, Millis, Precision, Split, Timestamp};

use super::subject::Group;
use crate::meter::{Answer, Asked, Outcome, Standing, shards};

/// How many objects of a subject a request asks at most.
const TRIES: usize = 2;
/// For how long an isolate that was refused by as many asks only one, in milliseconds.
const FULL: Millis = 1_000;
/// Of how many subjects that is remembered.
const CAPACITY: usize = 4_096;

/// What an isolate knows of subjects with several objects.
#[derive(Debug)]
pub struct Spread {
    /// Its own number, so that what it takes in advance is of one object.
    isolate: [u8; 16],
    /// Subjects with nothing left, and until when that is believed, and nobody else is looked at.
    full: HashMap<String, Timestamp>,
}

impl Spread {
    /// Of an isolate with a random number.
    pub(crate) fn new(isolate: [u8; 16]) -> Self {
        Self {
            isolate,
            full: HashMap::new(),
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
        // A clock that was set back must not make it last.
        let full = |until: &Timestamp| now < *until && *until <= now.saturating_add(FULL);
        self.full.get(&group.object).is_some_and(full)
    }

    /// Notes that nothing was left for a request.
    pub(super) fn refused(&mut self, group: &Group<'_>, now: Timestamp) {
        if self.full.len() >= CAPACITY {
            self.full.retain(|_, until| now < *until);
        }
        if self.full.len() < CAPACITY {
            self.full.insert(group.object.clone(), now.saturating_add(FULL));
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

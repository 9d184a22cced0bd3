//! What objects keep for one consumer, as an operator asks for it.
//!
//! A limit counts a consumer as a whole, or for each API, operation, model or upstream apart: then it is as many
//! counts as the consumer may call of these. All of them lie in the consumer's object, or in several where the limit
//! is spread; so one look takes several asks. What depends on a credential, an address, a claim or a header besides
//! is not among it, since the name of a consumer does not tell where that lies; nor is what isolates keep alone.

use std::borrow::Cow;
use std::hash::{BuildHasherDefault, DefaultHasher};

use turnpike_policy::{Compiled, Consumer, Limit, Precision, Split, SubjectPart, Timestamp, Zone};

use super::spread;
use super::subject::{Called, What, id_of};
use crate::error::Refusal;
use crate::look;
use crate::meter::{Asked, MAX_LIMITS, Standing, zoned};
use crate::sorted;

/// The most asks of one look.
const MAX_ASKS: usize = 80;

/// One count.
#[derive(Clone, Debug)]
pub(crate) struct Count<'a> {
    /// Its name in its object: the limit's, and what it is apart for: `gold:tokens-day@fast`.
    pub(crate) id: Cow<'a, str>,
    pub(crate) limit: &'a Limit,
}

/// The counts of a consumer, and the asks that it takes to see them.
#[derive(Debug)]
pub(crate) struct Kept<'a> {
    /// What is looked at: what lies in one object comes first.
    pub(crate) counts: Vec<Count<'a>>,
    /// How many there are that it would be too much to ask for.
    pub(crate) more: usize,
    consumer: &'a Consumer,
    asks: Vec<Asking>,
}

/// An ask for some counts that lie in one object.
#[derive(Clone, Copy, Debug)]
struct Asking {
    split: Option<Split>,
    shard: u32,
    /// The first of its counts, and how many.
    from: usize,
    len: usize,
    /// The first ask of this object.
    begins: bool,
}

impl<'a> Kept<'a> {
    /// All that is kept for a consumer; or of one limit, by its name with or without what it is apart for.
    pub(crate) fn of(policy: &'a Compiled, consumer: u32, only: Option<&str>) -> Result<Self, Refusal> {
        let consumer = look::consumer(policy, consumer)?;
        let mut all = counts(policy, consumer)?;
        if let Some(only) = only {
            all.retain(|count| count.id == only || count.limit.id == only);
        }
        let all = sorted::by(all, |a, b| a.limit.split.cmp(&b.limit.split));
        let mut kept = Self {
            counts: Vec::new(),
            more: 0,
            consumer,
            asks: Vec::new(),
        };
        for same in all.chunk_by(|a, b| a.limit.split == b.limit.split) {
            for some in same.chunks(MAX_LIMITS) {
                kept.add(some);
            }
        }
        Ok(kept)
    }

    /// Counts of the same objects, if they are not too many.
    fn add(&mut self, counts: &[Count<'a>]) {
        let split = counts.first().and_then(|count| count.limit.split);
        let objects = split.map_or(1, |split| split.objects);
        if self.asks.len() + usize::from(objects) > MAX_ASKS {
            self.more += counts.len();
            return;
        }
        for shard in (0..objects).map(u32::from) {
            let same = |ask: &Asking| ask.split.is_some() == split.is_some() && ask.shard == shard;
            self.asks.push(Asking {
                split,
                shard,
                from: self.counts.len(),
                len: counts.len(),
                begins: !self.asks.iter().any(same),
            });
        }
        self.counts.extend_from_slice(counts);
    }

    /// The object of an ask, what it is asked for, and whether it is asked for the first time; `None`: all are done.
    pub(crate) fn ask(
        &self,
        policy: &Compiled,
        turn: usize,
        now: u64,
    ) -> Option<(String, Vec<Asked<'_>>, bool)> {
        let ask = self.asks.get(turn)?;
        let asked = self.counts.iter().skip(ask.from).take(ask.len).map(|count| {
            let asked = Asked::new(&count.id, count.limit, &policy.zones, 0, now);
            spread::part(asked, ask.split, ask.shard)
        });
        let object = format!("consumer:{}", self.consumer.name);
        Some((
            spread::object_of(&object, ask.split, ask.shard),
            asked.collect(),
            ask.begins,
        ))
    }

    /// Adds how the counts of an ask stand to how all stand: what several objects have left is left of the whole.
    pub(crate) fn note(
        &self,
        (zones, now): (&[Zone], Timestamp),
        turn: usize,
        said: &[Standing],
        standings: &mut Vec<Standing>,
    ) {
        let Some(ask) = self.asks.get(turn) else { return };
        let counts = self.counts.iter().skip(ask.from).take(ask.len);
        for (place, (count, said)) in (ask.from..).zip(counts.zip(said)) {
            // As if the other objects stood like this one.
            let said = zoned::standing(*said, count.limit, zones, now);
            let whole = spread::whole(count.limit, said, ask.split);
            match standings.get_mut(place) {
                None => standings.push(Standing {
                    remaining: said.remaining,
                    ..whole
                }),
                Some(known) => {
                    known.remaining = known.remaining.saturating_add(said.remaining);
                    known.reset_ms = match (known.reset_ms, said.reset_ms) {
                        (0, some) | (some, 0) => some,
                        (one, other) => one.min(other),
                    };
                }
            }
        }
    }
}

/// The counts that a consumer's name leads to.
fn counts<'a>(policy: &'a Compiled, consumer: &'a Consumer) -> Result<Vec<Count<'a>>, Refusal> {
    let plan = look::plan(policy, consumer.plan)?;
    let mut found = Found::default();
    let called = |what, provider| Called {
        policy,
        what,
        provider,
    };
    found.add(called(What::Standing, None), &plan.limits)?;
    for (index, model) in (0_u32..).zip(&policy.models) {
        if !consumer.models.allows(index) {
            continue;
        }
        let targets = model.targets.iter().chain(&model.fallback);
        let mut providers = sorted::by(targets.map(|target| target.provider), Ord::cmp);
        providers.dedup();
        for provider in providers {
            let called = called(What::Model(index), Some(provider));
            found.add(called, &plan.limits)?;
            found.add(called, &model.limits)?;
        }
    }
    for (index, operation) in (0_u32..).zip(&policy.operations) {
        if consumer.operations.allows(index) {
            let called = called(What::Operation(index), None);
            found.add(called, &plan.limits)?;
            found.add(called, &look::api(policy, operation.api)?.limits)?;
        }
    }
    Ok(found.counts)
}

/// Names of counts. All of them are the policy's own, so it needs no seed.
#[expect(
    clippy::disallowed_types,
    reason = "its hasher is named, and no client chooses a key"
)]
type Known<'a> = std::collections::HashSet<Cow<'a, str>, BuildHasherDefault<DefaultHasher>>;

#[derive(Default)]
struct Found<'a> {
    counts: Vec<Count<'a>>,
    /// Versions of an API share its limits, and many calls those of a plan.
    known: Known<'a>,
}

impl<'a> Found<'a> {
    fn add(&mut self, called: Called<'a>, limits: &'a [Limit]) -> Result<(), Refusal> {
        for limit in limits {
            let whole = limit.subject == [SubjectPart::Consumer];
            if limit.precision == Precision::Local || (whole && self.known.contains(&*limit.id)) {
                continue;
            }
            let named = limit.subject.iter().all(|part| {
                !matches!(
                    part,
                    SubjectPart::Credential
                        | SubjectPart::Address
                        | SubjectPart::Claim(_)
                        | SubjectPart::Header(_)
                )
            });
            if !named || !limit.subject.contains(&SubjectPart::Consumer) || !called.has(limit)? {
                continue;
            }
            let Some((_, inner)) = called.inner(limit)? else {
                continue;
            };
            let id = id_of(limit, inner);
            if self.known.insert(id.clone()) {
                self.counts.push(Count { id, limit });
            }
        }
        Ok(())
    }
}

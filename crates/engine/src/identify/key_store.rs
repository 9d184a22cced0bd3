//! The keys of all issuers, and when to fetch them anew.
//!
//! A set from a URL is fresh for [`FRESH`] and may be used, should fetching fail, until [`STALE`]
//! after it was fetched: a key that its issuer has withdrawn stops working by then. Whether to
//! fetch is decided, and the decision written down, *before* the fetch; no request waits for
//! another's.

use serde::{Deserialize, Serialize};
use turnpike_policy::{Compiled, Issuer, Keys, Timestamp};

use super::keys::{Generation, KeySet};
use super::metadata;

/// How long a set is used without asking again.
pub(super) const FRESH: u64 = 10 * 60 * 1000;
/// How long a set is used when asking again fails, counted from when it was fetched.
pub(super) const STALE: u64 = 60 * 60 * 1000;
/// How long after a fetch the next one waits while there is a set to use.
pub(super) const COOL_DOWN: u64 = 30 * 1000;
/// How long after a failure the next one waits while there is none to use.
pub(super) const RETRY: u64 = 5 * 1000;
/// The most fetches within [`COOL_DOWN`] while there is none to use.
pub(super) const MAX_COLD: u32 = 100;

/// How long an issuer's word for where its keys are is taken without asking again.
pub(super) const FOUND: u64 = 60 * 60 * 1000;

/// What is fetched of an issuer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Part {
    /// Its metadata, which say where its keys are.
    Metadata,
    /// Its keys.
    Keys,
}

/// What can be done with the keys of an issuer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Access<'a> {
    /// Use these.
    Use(&'a KeySet),
    /// Fetch them first; this has been written down.
    Fetch,
    /// Nothing: there are none, and it is too early to ask again. What is known about it.
    Unavailable(&'static str),
}

/// The keys of all issuers, by index.
pub(super) struct KeyStore(Vec<Source>);

enum Source {
    /// In the policy; the error says why there are none.
    Fixed(Result<KeySet, &'static str>),
    /// Behind a URL.
    Remote(Remote),
    /// A secret: not here.
    Secret,
}

#[derive(Default)]
struct Remote {
    /// Where its metadata say that its keys are, and when they said so.
    found: Option<(Timestamp, String)>,
    set: Option<KeySet>,
    /// When `set` was confirmed.
    fetched: Timestamp,
    /// When a fetch was last decided on or ended.
    asked: Option<Timestamp>,
    /// When one last failed, and how.
    failed: Option<(Timestamp, &'static str)>,
    /// How many were decided on without a set to use, and since when.
    cold: (Timestamp, u32),
}

/// What generation a secret's keys have: it cannot change under a running instance.
const SECRET: Generation = 0;

impl KeyStore {
    /// The keys that the policy holds itself, and places for those that it names.
    pub(super) fn new(policy: &Compiled) -> Self {
        let source = |keys: &Keys| match keys {
            Keys::Inline(keys) => Source::Fixed(KeySet::from_keys(keys.iter().map(String::as_str))),
            Keys::Url(_) | Keys::Discovered { .. } => Source::Remote(Remote::default()),
            Keys::Secret(_) => Source::Secret,
        };
        Self(policy.issuers.iter().map(|issuer| source(&issuer.keys)).collect())
    }

    /// The generation of an issuer's keys, as they stand.
    pub(super) fn generation(&self, issuer: u32) -> Option<Generation> {
        match self.source(issuer)? {
            Source::Fixed(set) => set.as_ref().ok().map(KeySet::generation),
            Source::Remote(remote) => remote.set.as_ref().map(KeySet::generation),
            Source::Secret => Some(SECRET),
        }
    }

    /// Whether tokens verified with an issuer's keys of this generation still stand now, without
    /// anything having to be fetched.
    pub(super) fn stands(&self, issuer: u32, generation: Generation, now: Timestamp) -> bool {
        let current = match self.source(issuer) {
            Some(Source::Remote(remote)) => remote.age(now).is_some_and(|age| age < FRESH),
            _ => true,
        };
        current && self.generation(issuer) == Some(generation)
    }

    /// The keys of an issuer, or what is to be done about them.
    pub(super) fn access(&mut self, issuer: u32, now: Timestamp, may_fetch: bool) -> Access<'_> {
        let source = usize::try_from(issuer)
            .ok()
            .and_then(|index| self.0.get_mut(index));
        match source {
            Some(Source::Fixed(Ok(set))) => Access::Use(set),
            Some(Source::Fixed(Err(why))) => Access::Unavailable(why),
            Some(Source::Remote(remote)) => remote.access(now, may_fetch),
            Some(Source::Secret) | None => Access::Unavailable("there are none"),
        }
    }

    /// Whether to fetch an issuer's keys because they lack one: at most once in [`COOL_DOWN`],
    /// whatever they hold. The decision is written down.
    pub(super) fn refetch(&mut self, issuer: u32, now: Timestamp) -> bool {
        let source = usize::try_from(issuer)
            .ok()
            .and_then(|index| self.0.get_mut(index));
        if let Some(Source::Remote(remote)) = source {
            remote.claim(now)
        } else {
            false
        }
    }

    /// What to fetch of an issuer, and from where; nothing, if its keys are not fetched.
    pub(super) fn place(&self, issuer: u32, rules: &Issuer, now: Timestamp) -> Option<(Part, String)> {
        match &rules.keys {
            Keys::Url(url) => Some((Part::Keys, url.clone())),
            Keys::Discovered { url, .. } => {
                let found = match self.source(issuer)? {
                    Source::Remote(remote) => remote.found.as_ref(),
                    _ => None,
                };
                Some(match found {
                    Some((at, keys)) if now.saturating_sub(*at) < FOUND => (Part::Keys, keys.clone()),
                    _ => (Part::Metadata, url.clone()),
                })
            }
            Keys::Inline(_) | Keys::Secret(_) => None,
        }
    }

    /// Takes an issuer's metadata; whether they say where its keys are. If not, that counts as a
    /// fetch of its keys that failed.
    pub(super) fn discovered(
        &mut self,
        issuer: u32,
        rules: &Issuer,
        answer: Option<&[u8]>,
        now: Timestamp,
    ) -> bool {
        let source = usize::try_from(issuer)
            .ok()
            .and_then(|index| self.0.get_mut(index));
        let (Some(Source::Remote(remote)), Keys::Discovered { url, origins }) = (source, &rules.keys) else {
            return false;
        };
        let found = answer
            .ok_or("its metadata could not be fetched")
            .and_then(|answer| metadata::keys_url(answer, &rules.issuer, url, origins));
        match found {
            Ok(keys) => {
                remote.found = Some((now, keys));
                true
            }
            Err(why) => {
                remote.asked = Some(now);
                remote.failed = Some((now, why));
                false
            }
        }
    }

    /// Takes the answer to a fetch of keys. One that cannot be used changes nothing but the next
    /// attempt, which asks the metadata again where the keys are.
    pub(super) fn fetched(&mut self, issuer: u32, answer: Option<&[u8]>, now: Timestamp) {
        let source = usize::try_from(issuer)
            .ok()
            .and_then(|index| self.0.get_mut(index));
        let Some(Source::Remote(remote)) = source else {
            return;
        };
        remote.asked = Some(now);
        match answer
            .ok_or("they could not be fetched")
            .and_then(KeySet::from_jwks)
        {
            Ok(set) => {
                remote.set = Some(set);
                remote.fetched = now;
                remote.failed = None;
            }
            Err(why) => {
                remote.failed = Some((now, why));
                remote.found = None;
            }
        }
    }

    fn source(&self, issuer: u32) -> Option<&Source> {
        usize::try_from(issuer).ok().and_then(|index| self.0.get(index))
    }
}

impl Remote {
    /// How old the set is.
    fn age(&self, now: Timestamp) -> Option<u64> {
        self.set.as_ref().map(|_| now.saturating_sub(self.fetched))
    }

    fn access(&mut self, now: Timestamp, may_fetch: bool) -> Access<'_> {
        let age = self.age(now);
        let usable = age.is_some_and(|age| age < STALE);
        let fetch = match age {
            Some(age) if age < FRESH => false,
            _ if !may_fetch => false,
            _ if usable => self.claim(now),
            _ => self.claim_cold(now),
        };
        match &self.set {
            _ if fetch => Access::Fetch,
            Some(set) if usable => Access::Use(set),
            _ => Access::Unavailable(self.failed.map_or("too many fetches", |(_, why)| why)),
        }
    }

    /// Claims a fetch, unless one was claimed or ended just now.
    fn claim(&mut self, now: Timestamp) -> bool {
        let free = self
            .asked
            .is_none_or(|asked| now.saturating_sub(asked) >= COOL_DOWN);
        if free {
            self.asked = Some(now);
        }
        free
    }

    /// Claims a fetch while there is nothing to use: each request its own, but not right after a
    /// failure, and not without bound.
    fn claim_cold(&mut self, now: Timestamp) -> bool {
        if self
            .failed
            .is_some_and(|(failed, _)| now.saturating_sub(failed) < RETRY)
        {
            return false;
        }
        let (since, count) = &mut self.cold;
        if now.saturating_sub(*since) >= COOL_DOWN {
            (*since, *count) = (now, 0);
        }
        if *count >= MAX_COLD {
            return false;
        }
        *count += 1;
        self.asked = Some(now);
        true
    }
}

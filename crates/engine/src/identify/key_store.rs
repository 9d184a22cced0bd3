//! The keys of all issuers, and when to fetch them anew.
//!
//! A set from a URL is fresh for [`FRESH`] and may be used, should fetching fail, until [`STALE`]
//! after it was fetched: a key that its issuer has withdrawn stops working by then.
//!
//! Isolates of one place share what they were answered ([`Copies`]). A copy counts as if this isolate had asked when
//! the one that shared it did: it is fresh, and usable, no longer than it would be there. One that holds no key
//! for a token, or that cannot be used, is answered by asking the issuer itself.
//!
//! A fetch is claimed *before* it is made, and one claim stands at a time: for [`CLAIM`], as whoever
//! made it may never come back. Nobody waits for another's fetch itself, which may go with its request;
//! those who have nothing to use wait for a while, look again, and may claim when the time is over.

use serde::{Deserialize, Serialize};
use turnpike_policy::{Compiled, Issuer, Keys, Millis, Timestamp};

use super::keys::{Generation, KeySet};
use super::metadata;
use crate::step::Copies;

/// How long a set is used without asking again.
pub(super) const FRESH: u64 = 10 * 60 * 1000;
/// How long a set is used when asking again fails, counted from when it was fetched.
pub(super) const STALE: u64 = 60 * 60 * 1000;
/// How long after a fetch the next one waits while there is a set to use.
pub(super) const COOL_DOWN: u64 = 30 * 1000;
/// How long after a failure the next one waits while there is none to use.
pub(super) const RETRY: u64 = 5 * 1000;
/// How long a claimed fetch is waited for: longer than the shell takes to give it up.
pub(super) const CLAIM: u64 = 6 * 1000;
/// How long before a set is no longer fresh it is fetched anew beside a request, which does not wait.
pub(super) const EARLY: u64 = 2 * 60 * 1000;

/// How old a copy may be in place of asking the issuer: not so old that it would soon be asked anyway.
pub(super) const SHARED: u64 = FRESH - EARLY;

/// How long an issuer's word for where its keys are is taken without asking again.
pub(super) const FOUND: u64 = 60 * 60 * 1000;

/// What is fetched of an issuer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Part {
    /// Its metadata, which say where its keys are.
    Metadata,
    /// Its keys.
    Keys,
    /// A copy of its metadata, as what it answered is of no use.
    CopyOfMetadata,
    /// A copy of its keys, as what it answered is of no use.
    CopyOfKeys,
}

impl Part {
    /// Whether it is metadata.
    pub(super) const fn is_metadata(self) -> bool {
        matches!(self, Self::Metadata | Self::CopyOfMetadata)
    }

    /// The copy to look for where what was answered is of no use; none, where that was a copy.
    pub(super) const fn copy(self) -> Option<Self> {
        match self {
            Self::Metadata => Some(Self::CopyOfMetadata),
            Self::Keys => Some(Self::CopyOfKeys),
            Self::CopyOfMetadata | Self::CopyOfKeys => None,
        }
    }
}

/// What can be done with the keys of an issuer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Access<'a> {
    /// Use these.
    Use(&'a KeySet),
    /// Fetch them first; this has been claimed.
    Fetch,
    /// Look again a little later: somebody else fetches them.
    Wait,
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
    /// When a fetch was claimed that has not ended.
    claimed: Option<Timestamp>,
    /// When a fetch was last claimed or ended.
    asked: Option<Timestamp>,
    /// When one last failed, and how.
    failed: Option<(Timestamp, &'static str)>,
    /// Whether only the issuer itself will do: what copies say is not enough, or led nowhere.
    direct: bool,
}

/// What a request may do about keys that it lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct May {
    /// Claim a fetch.
    pub(super) fetch: bool,
    /// Wait for somebody else's.
    pub(super) wait: bool,
}

/// What is done about a key that a set lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refetch {
    /// Fetch the set anew; this has been claimed.
    Fetch,
    /// Look again a little later: somebody else fetches it.
    Wait,
    /// Nothing: it was fetched just now.
    No,
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
    pub(super) fn access(&mut self, issuer: u32, now: Timestamp, may: May) -> Access<'_> {
        match self.source_mut(issuer) {
            Some(Source::Fixed(Ok(set))) => Access::Use(set),
            Some(Source::Fixed(Err(why))) => Access::Unavailable(why),
            Some(Source::Remote(remote)) => remote.access(now, may),
            Some(Source::Secret) | None => Access::Unavailable("there are none"),
        }
    }

    /// Whether to fetch an issuer's keys because they lack one: at most once in [`COOL_DOWN`],
    /// whatever they hold.
    pub(super) fn refetch(&mut self, issuer: u32, now: Timestamp, may: May) -> Refetch {
        let Some(Source::Remote(remote)) = self.source_mut(issuer) else {
            return Refetch::No;
        };
        if may.fetch && remote.claim(now) {
            remote.direct = true;
            Refetch::Fetch
        } else if may.wait && remote.is_claimed(now) {
            Refetch::Wait
        } else {
            Refetch::No
        }
    }

    /// Whether an issuer's keys, which can be used, are to be fetched anew before they no longer can: in the
    /// last [`EARLY`] of their time, once in [`COOL_DOWN`]. This has been claimed then.
    pub(super) fn refresh(&mut self, issuer: u32, now: Timestamp) -> bool {
        match self.source_mut(issuer) {
            Some(Source::Remote(remote)) => {
                let ends = |age: u64| (FRESH - EARLY..FRESH).contains(&age);
                remote.age(now).is_some_and(ends) && remote.claim(now)
            }
            _ => false,
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

    /// Which copy will do of what is fetched next.
    pub(super) fn copies(&self, issuer: u32, now: Timestamp) -> Copies {
        let Some(Source::Remote(remote)) = self.source(issuer) else {
            return Copies::default();
        };
        if remote.direct {
            return Copies::default();
        }
        Copies {
            fresh: SHARED,
            stale: if remote.is_usable(now) { 0 } else { STALE },
            only: false,
        }
    }

    /// Whether a copy is worth looking for, as an issuer's answer is of no use: where there are no keys to use. Its
    /// fetch is not over then, and has as long again.
    pub(super) fn seeks_copy(&mut self, issuer: u32, now: Timestamp) -> bool {
        match self.source_mut(issuer) {
            Some(Source::Remote(remote)) if !remote.is_usable(now) => {
                remote.claimed = Some(now);
                true
            }
            _ => false,
        }
    }

    /// Notes that a fetch is over, whose issuer was asked now.
    pub(super) fn end(&mut self, issuer: u32, now: Timestamp) {
        if let Some(Source::Remote(remote)) = self.source_mut(issuer) {
            remote.ended(now);
        }
    }

    /// Takes a copy of an issuer's keys of this age; whether it can be used. If not, the issuer is to be asked
    /// itself, by the same claim.
    pub(super) fn copied(&mut self, issuer: u32, copy: &[u8], age: Millis, now: Timestamp) -> bool {
        let Some(Source::Remote(remote)) = self.source_mut(issuer) else {
            return false;
        };
        match KeySet::from_jwks(copy) {
            // Fetched by another request meanwhile: what its issuer has withdrawn since must not come back.
            Ok(_) if remote.set.is_some() && now.saturating_sub(age) <= remote.fetched => true,
            Ok(set) if age < STALE => {
                remote.ended(now);
                remote.set = Some(set);
                remote.fetched = now.saturating_sub(age);
                if age < SHARED {
                    // Nobody was asked now: a key that is not in it may be looked for as soon as elsewhere.
                    remote.asked = Some(remote.fetched);
                    remote.failed = None;
                } else {
                    remote.failed = Some((now, "they could not be fetched"));
                }
                true
            }
            _ => {
                remote.doubt(now);
                false
            }
        }
    }

    /// Takes an issuer's metadata; whether they say where its keys are. If not, that counts as a
    /// fetch of its keys that failed. `age` is that of a copy, or 0: one that cannot be used is to be
    /// answered by asking the issuer itself, by the same claim.
    pub(super) fn discovered(
        &mut self,
        issuer: u32,
        rules: &Issuer,
        (answer, age): (Option<&[u8]>, Millis),
        now: Timestamp,
    ) -> bool {
        let source = self.source_mut(issuer);
        let (Some(Source::Remote(remote)), Keys::Discovered { url, origins }) = (source, &rules.keys) else {
            return false;
        };
        let found = answer
            .filter(|_| age < FOUND)
            .ok_or("its metadata could not be fetched")
            .and_then(|answer| metadata::keys_url(answer, &rules.issuer, url, origins));
        match found {
            Ok(keys) => {
                remote.found = Some((now.saturating_sub(age), keys));
                // The keys are fetched next, by the same request: it has as long again.
                remote.claimed = Some(now);
                true
            }
            Err(_) if age > 0 => {
                remote.doubt(now);
                false
            }
            Err(why) => {
                remote.ended(now);
                remote.failed = Some((now, why));
                false
            }
        }
    }

    /// Takes the answer to a fetch of keys. One that cannot be used changes nothing but the next
    /// attempt, which asks the metadata again where the keys are. Whether it can be used.
    pub(super) fn fetched(&mut self, issuer: u32, answer: Option<&[u8]>, now: Timestamp) -> bool {
        let Some(Source::Remote(remote)) = self.source_mut(issuer) else {
            return false;
        };
        remote.ended(now);
        match answer
            .ok_or("they could not be fetched")
            .and_then(KeySet::from_jwks)
        {
            Ok(set) => {
                remote.set = Some(set);
                remote.fetched = now;
                remote.failed = None;
                remote.direct = false;
                true
            }
            Err(why) => {
                remote.failed = Some((now, why));
                // What led here may be a copy of what the issuer said once.
                remote.direct |= remote.found.take().is_some() || answer.is_some();
                false
            }
        }
    }

    fn source(&self, issuer: u32) -> Option<&Source> {
        usize::try_from(issuer).ok().and_then(|index| self.0.get(index))
    }

    fn source_mut(&mut self, issuer: u32) -> Option<&mut Source> {
        usize::try_from(issuer)
            .ok()
            .and_then(|index| self.0.get_mut(index))
    }
}

impl Remote {
    /// How old the set is.
    fn age(&self, now: Timestamp) -> Option<u64> {
        self.set.as_ref().map(|_| now.saturating_sub(self.fetched))
    }

    /// Whether there is a set that is not too old.
    fn is_usable(&self, now: Timestamp) -> bool {
        self.age(now).is_some_and(|age| age < STALE)
    }

    fn access(&mut self, now: Timestamp, may: May) -> Access<'_> {
        let age = self.age(now);
        let usable = self.is_usable(now);
        let fetch = match age {
            Some(age) if age < FRESH => false,
            _ if !may.fetch => false,
            _ if usable => self.claim(now),
            _ => self.claim_cold(now),
        };
        let wait = !usable && may.wait && self.is_claimed(now);
        match &self.set {
            _ if fetch => Access::Fetch,
            Some(set) if usable => Access::Use(set),
            _ if wait => Access::Wait,
            _ => Access::Unavailable(self.failed.map_or("they are being fetched", |(_, why)| why)),
        }
    }

    /// Whether a fetch is under way, as far as can be known.
    fn is_claimed(&self, now: Timestamp) -> bool {
        self.claimed
            .is_some_and(|claimed| now.saturating_sub(claimed) < CLAIM)
    }

    /// Claims a fetch, unless one was claimed or ended just now.
    fn claim(&mut self, now: Timestamp) -> bool {
        let free = self
            .asked
            .is_none_or(|asked| now.saturating_sub(asked) >= COOL_DOWN);
        if free {
            self.take(now);
        }
        free
    }

    /// Claims a fetch while there is nothing to use: not while one is under way, nor right after a failure.
    fn claim_cold(&mut self, now: Timestamp) -> bool {
        let failed = self
            .failed
            .is_some_and(|(failed, _)| now.saturating_sub(failed) < RETRY);
        let free = !failed && !self.is_claimed(now);
        if free {
            self.take(now);
        }
        free
    }

    /// Notes that a copy cannot be used: the issuer itself is asked instead, and has as long.
    fn doubt(&mut self, now: Timestamp) {
        (self.direct, self.claimed) = (true, Some(now));
    }

    fn take(&mut self, now: Timestamp) {
        (self.claimed, self.asked) = (Some(now), Some(now));
    }

    fn ended(&mut self, now: Timestamp) {
        (self.claimed, self.asked) = (None, Some(now));
    }
}

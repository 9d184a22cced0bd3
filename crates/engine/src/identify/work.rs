//! What identifying costs, in operations that a test counts: what is known and what is not, what is right and
//! what is wrong must cost the same. Outside of tests nothing is counted, and nothing of this is compiled in.

/// An operation whose number must not depend on a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Work {
    /// A hash of a credential.
    Hash,
    /// A HMAC of a token.
    Mac,
    /// Looking for a credential or an identity in a sorted list.
    Lookup,
    /// One step of such a search.
    Probe,
    /// A comparison of secrets, of all their bytes.
    Compare,
    /// A search for a key of an issuer's.
    KeySearch,
}

#[cfg(test)]
thread_local! {
    static NOTED: std::cell::RefCell<Vec<Work>> = const { std::cell::RefCell::new(Vec::new()) };
}

/// Counts an operation, in tests.
#[cfg(test)]
pub(super) fn note(work: Work) {
    NOTED.with_borrow_mut(|noted| noted.push(work));
}

/// Counts an operation, in tests.
#[cfg(not(test))]
#[inline]
pub(super) const fn note(_: Work) {}

/// What was counted in this thread, in order; it begins anew.
#[cfg(test)]
pub(super) fn noted() -> Vec<Work> {
    NOTED.take()
}

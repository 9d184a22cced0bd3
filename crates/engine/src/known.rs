//! A bounded table of what an isolate remembers for a while, by digests.

use std::collections::{BTreeMap, VecDeque};

use turnpike_policy::Timestamp;

/// The most digests that are remembered.
pub(crate) const MAX_KNOWN: usize = 4096;

/// Digests, and until when they are good. The oldest goes first.
#[derive(Debug, Default)]
pub(crate) struct Known {
    until: BTreeMap<[u8; 32], Timestamp>,
    order: VecDeque<[u8; 32]>,
}

impl Known {
    /// Whether it is known now.
    pub(crate) fn holds(&self, key: &[u8; 32], now: Timestamp) -> bool {
        self.until.get(key).is_some_and(|until| now < *until)
    }

    /// Remembers it.
    pub(crate) fn keep(&mut self, key: [u8; 32], until: Timestamp) {
        if self.until.insert(key, until).is_some() {
            return;
        }
        self.order.push_back(key);
        if self.order.len() > MAX_KNOWN
            && let Some(oldest) = self.order.pop_front()
        {
            self.until.remove(&oldest);
        }
    }

    /// Forgets it.
    pub(crate) fn forget(&mut self, key: &[u8; 32]) {
        // Its place in the order stays, and is good for one more entry of the same name.
        if let Some(until) = self.until.get_mut(key) {
            *until = 0;
        }
    }
}

//! Short lists, in order.
//!
//! What is sorted on the way of a request are the limits of a call, the keys of an issuer, the scopes of a token: some
//! few, or bounded to some hundred. The sorts of the standard library are made for long lists, and are each some
//! kilobytes of the Worker for each kind of list; this one is a search and an insertion.

use std::cmp::Ordering;

/// The items in order; equal ones stay as they came.
pub(crate) fn by<T>(list: impl IntoIterator<Item = T>, compare: impl Fn(&T, &T) -> Ordering) -> Vec<T> {
    let mut sorted = Vec::new();
    for item in list {
        let place = sorted.partition_point(|known| compare(known, &item) != Ordering::Greater);
        sorted.insert(place, item);
    }
    sorted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_sorts_as_the_standard_library_does() {
        let mut state = 7_u64;
        for length in 0..60 {
            let list: Vec<(u64, usize)> = (0..length)
                .map(|place| {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    (state >> 60, place)
                })
                .collect();
            let mut expected = list.clone();
            expected.sort_by_key(|(key, _)| *key);
            assert_eq!(by(list, |a, b| a.0.cmp(&b.0)), expected);
        }
    }
}

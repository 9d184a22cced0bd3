//! Shield: a limit per client address, before anything is known about the client.
//!
//! It is taken for every request that reaches it, whatever becomes of the request later, so that a
//! flood of bad requests costs one look into memory each. Only what the shield itself refuses is
//! not charged. It lives in the isolate ([`crate::meter::local`]) and is a shield, not a quota: each
//! isolate grants the whole.
//!
//! Addresses are grouped by who can have them: an IPv4 address is one client; of an IPv6 address the
//! first 64 bits are, as anyone on a network has the other 64 to choose from. An IPv4 address in
//! IPv6 clothes (`::ffff:192.0.2.1`) is the IPv4 address. Whatever does not parse strictly, nothing
//! at all included, shares one key: to be unreadable is no way around a limit.

use std::hash::{DefaultHasher, Hasher as _};
use std::net::{IpAddr, Ipv6Addr};

use serde::{Deserialize, Serialize};
use turnpike_policy::{Millis, Rate, Timestamp};

use crate::matching::Matched;
use crate::meter::local::Local;

/// An address that may send a request. Only [`Shield::take`] makes it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Passed(());

/// A request that was matched, from an address that may send it: without it nobody is identified, and nothing is open
/// to everybody. Only [`Passed::on`] makes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(Default))]
pub(crate) struct Shielded(());

impl Passed {
    /// The request that the shield was asked for, once it is matched.
    pub(crate) const fn on(self, _request: Matched) -> Shielded {
        let Self(()) = self;
        Shielded(())
    }
}

/// The shield of one isolate.
#[derive(Clone, Debug)]
pub(crate) struct Shield {
    local: Local,
    rate: Rate,
}

impl Shield {
    /// With the gateway's rate ([`turnpike_policy::Gateway::shield`]) and a random, secret seed.
    pub(crate) fn new(rate: Rate, seed: [u8; 16]) -> Self {
        Self {
            local: Local::new(seed),
            rate,
        }
    }

    /// Lets a request from `address` (as text, without port or brackets) pass at `now`, or tells
    /// how many milliseconds to wait (at least 1).
    pub(crate) fn take(&mut self, address: &str, now: Timestamp) -> Result<Passed, Millis> {
        self.local.take(&key(address), &self.rate, now).map(Passed)
    }
}

/// Who has an address, as the name of a subject: the address itself, of IPv6 its first 64 bits.
pub(crate) fn subject(address: &str) -> String {
    turnpike_policy::hex(&key(address))
}

/// The same as a number of 52 bits. Two may share one, and none of them can choose whose.
pub(crate) fn number(address: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(&key(address));
    hasher.finish() >> 12
}

/// The key of an address: its kind, then what counts of it.
fn key(address: &str) -> [u8; 9] {
    let mut key = [0; 9];
    let (kind, bytes) = key.split_at_mut(1);
    let mut put = |tag: u8, part: &[u8]| {
        kind.fill(tag);
        for (to, from) in bytes.iter_mut().zip(part) {
            *to = *from;
        }
    };
    match address.parse::<IpAddr>().map(canonical) {
        Ok(IpAddr::V4(v4)) => put(4, &v4.octets()),
        Ok(IpAddr::V6(v6)) => put(6, &v6.octets()),
        Err(_) => put(0, &[]),
    }
    key
}

/// An IPv4 address in IPv6 clothes is what it is.
fn canonical(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(v6) => Ipv6Addr::to_canonical(&v6),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_800_000_000_000;

    #[test]
    fn who_shares_a_key() {
        for (a, b, same) in [
            ("192.0.2.1", "192.0.2.1", true),
            ("192.0.2.1", "192.0.2.2", false),
            ("2001:db8::1", "2001:db8::2", true),
            ("2001:db8::1", "2001:0DB8:0:0:ffff::", true),
            ("2001:db8:0:1::1", "2001:db8::1", false),
            ("::ffff:192.0.2.1", "192.0.2.1", true),
            ("::ffff:192.0.2.1", "::ffff:192.0.2.2", false),
            ("::", "0.0.0.0", false),
            ("::", "", false),
            // None of these is an address.
            ("", "unknown", true),
            ("192.0.2.01", "", true),
            ("192.0.2.1 ", "", true),
            ("192.0.2.1:80", "", true),
            ("192.0.2", "", true),
            ("0x7f.1", "", true),
            ("[2001:db8::1]", "", true),
            ("fe80::1%eth0", "", true),
            ("192.0.2.1, 192.0.2.2", "", true),
        ] {
            assert_eq!(key(a) == key(b), same, "{a:?} and {b:?}");
        }
    }

    #[test]
    fn a_flood_from_one_address_stops_at_the_burst() {
        let mut shield = Shield::new(
            Rate {
                count: 100,
                period: 60_000,
                burst: 100,
            },
            [5; 16],
        );
        let mut flood = |address: &str, now| (0..1_022).filter(|_| shield.take(address, now).is_ok()).count();
        assert_eq!(flood("192.0.2.1", NOW), 100);
        assert_eq!(flood("192.0.2.2", NOW), 100);
        assert_eq!(flood("2001:db8::1", NOW), 100);
        assert_eq!(flood("2001:db8::2", NOW), 0);
        assert_eq!(flood("garbage", NOW), 100);
        assert_eq!(flood("other garbage", NOW), 0);
        assert_eq!(flood("192.0.2.1", NOW + 600), 1);
        assert_eq!(flood("192.0.2.1", NOW + 60_600), 100);
    }
}

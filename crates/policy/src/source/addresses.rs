//! Hosts that are on no public network: the machine itself, its own network, the metadata of a cloud.
//!
//! An address is read as whoever fetches reads it (WHATWG URL, 3.5): to that one `0x7f.1`, `2130706433` and `127.1` are
//! all 127.0.0.1. An address of version 6 has many spellings and one reading.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The host of a URL with its port, as it is written; of one without a scheme, too.
pub fn authority(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split(['/', '?', '#']).next().unwrap_or(rest)
}

/// The host of a URL, without its port.
pub fn host(url: &str) -> &str {
    let authority = authority(url);
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => host,
        _ => authority,
    }
}

/// Where a host is that is on no public network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Inside {
    /// The machine itself.
    Itself,
    /// Where a cloud tells its machines their secrets.
    Metadata,
    /// The wire that the machine hangs on.
    Link,
    /// A network that is not the world's.
    Private,
    /// A name of one label, which only a network of its own completes.
    Short,
    /// No host: many at once, or an address that nobody has.
    NoHost,
}

impl Inside {
    /// In the words of a message.
    pub(crate) const fn told(self) -> &'static str {
        match self {
            Self::Itself => "the machine itself",
            Self::Metadata => "where a cloud tells its machines their secrets",
            Self::Link => "a link-local address",
            Self::Private => "on a private network",
            Self::Short => "a name that only a network of its own knows",
            Self::NoHost => "the address of no host",
        }
    }
}

/// What a host is to whoever fetches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Host {
    /// A name.
    Name,
    /// An address, in whatever spelling.
    Address(IpAddr),
    /// It ends in a number and is no address, which whoever fetches refuses.
    Neither,
}

impl Host {
    /// Of a host in lower case, without its port.
    pub(crate) fn read(host: &str) -> Self {
        if let Some(text) = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
            return text
                .parse()
                .map_or(Self::Neither, |address| Self::Address(IpAddr::V6(address)));
        }
        let parts: Vec<&str> = host.split('.').collect();
        let last = parts.last().copied().unwrap_or_default();
        let digits = !last.is_empty() && last.bytes().all(|b| b.is_ascii_digit());
        if !digits && part(last).is_none() {
            return Self::Name;
        }
        address(&parts).map_or(Self::Neither, |address| Self::Address(IpAddr::V4(address)))
    }
}

/// Where a host is, in lower case and without its port; nothing: on a public network, as far as its name tells.
pub(crate) fn inside(host: &str) -> Option<Inside> {
    let host = host.strip_suffix('.').unwrap_or(host);
    match Host::read(host) {
        Host::Name => named(host),
        Host::Address(IpAddr::V4(address)) => inside_4(address),
        Host::Address(IpAddr::V6(address)) => inside_6(address),
        Host::Neither => None,
    }
}

fn named(host: &str) -> Option<Inside> {
    let below = |top: &str| {
        host.strip_suffix(top)
            .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    };
    if below("localhost") {
        Some(Inside::Itself)
    } else if matches!(host, "metadata.google.internal" | "metadata.goog" | "metadata") {
        Some(Inside::Metadata)
    } else if [
        "internal",
        "local",
        "localdomain",
        "home.arpa",
        "lan",
        "corp",
        "home",
        "intranet",
        "private",
    ]
    .into_iter()
    .any(below)
    {
        Some(Inside::Private)
    } else if !host.contains('.') {
        Some(Inside::Short)
    } else {
        None
    }
}

fn inside_4(address: Ipv4Addr) -> Option<Inside> {
    /// Of AWS, Azure, Google and others; of containers and of version 6 on AWS; of Alibaba; of Oracle.
    const METADATA: [[u8; 4]; 4] = [
        [169, 254, 169, 254],
        [169, 254, 170, 2],
        [100, 100, 100, 200],
        [192, 0, 0, 192],
    ];
    let [first, second, ..] = address.octets();
    if METADATA.contains(&address.octets()) {
        Some(Inside::Metadata)
    } else if first == 0 || address.is_loopback() {
        Some(Inside::Itself)
    } else if address.is_link_local() {
        Some(Inside::Link)
    } else if address.is_private()
        || (first == 100 && second & 0xc0 == 64)
        || (first == 198 && second & 0xfe == 18)
    {
        // Of carriers (RFC 6598), and for measurements (RFC 2544).
        Some(Inside::Private)
    } else if first >= 224 {
        Some(Inside::NoHost)
    } else {
        None
    }
}

fn inside_6(address: Ipv6Addr) -> Option<Inside> {
    let segments = address.segments();
    let [first, second, third, .., high, low] = segments;
    let within = |high: u16, low: u16| {
        let [a, b] = high.to_be_bytes();
        let [c, d] = low.to_be_bytes();
        inside_4(Ipv4Addr::new(a, b, c, d))
    };
    if address.is_loopback() || address.is_unspecified() {
        return Some(Inside::Itself);
    }
    // Addresses of version 4 in those of version 6: mapped, compatible, and through a gateway (RFC 6052).
    if matches!(
        segments,
        [0, 0, 0, 0, 0, 0 | 0xffff, ..] | [0x64, 0xff9b, 0, 0, 0, 0, ..]
    ) {
        return within(high, low);
    }
    // And those that say where a tunnel ends (6to4, RFC 3056).
    if first == 0x2002 {
        return within(second, third);
    }
    // A gateway of a network's own (RFC 8215).
    if matches!(segments, [0x64, 0xff9b, 1, ..]) {
        return within(high, low).or(Some(Inside::Private));
    }
    if first & 0xff00 == 0xff00 {
        return Some(Inside::NoHost);
    }
    if first == 0xfd00 && second == 0xec2 && low == 0x254 {
        Some(Inside::Metadata)
    } else if first & 0xffc0 == 0xfe80 {
        Some(Inside::Link)
    } else if first & 0xfe00 == 0xfc00 || first & 0xffc0 == 0xfec0 {
        Some(Inside::Private)
    } else {
        None
    }
}

fn address(parts: &[&str]) -> Option<Ipv4Addr> {
    let (last, before) = parts.split_last()?;
    let last = part(last)?;
    let mut address = 0;
    for part_before in before {
        address = address << 8 | part(part_before).filter(|number| *number <= 255)?;
    }
    // The last part has all the bytes that are left.
    let left = 4_u32.checked_sub(u32::try_from(before.len()).ok()?)?;
    let bits = left.checked_mul(8).filter(|bits| *bits > 0)?;
    let address = address << bits | Some(last).filter(|number| *number < 1 << bits)?;
    u32::try_from(address).ok().map(Ipv4Addr::from)
}

/// A part of an address: decimal, octal with a `0` before it, hexadecimal with `0x`.
fn part(text: &str) -> Option<u64> {
    let hexadecimal = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
    let (digits, radix) = match (hexadecimal, text.strip_prefix('0')) {
        (Some(""), _) => return Some(0),
        (Some(digits), _) => (digits, 16),
        (None, Some(digits)) if !digits.is_empty() => (digits, 8),
        _ => (text, 10),
    };
    // A sign is no digit.
    let plain = digits.bytes().all(|b| b.is_ascii_hexdigit());
    plain.then(|| u64::from_str_radix(digits, radix).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_of_urls() {
        for (url, with_port, without) in [
            ("https://a.example", "a.example", "a.example"),
            ("https://a.example:8443/v1/x", "a.example:8443", "a.example"),
            ("a.example/v1:2", "a.example", "a.example"),
            ("https://*.a.example/*", "*.a.example", "*.a.example"),
            ("https://a.example?to=b.example:1/", "a.example", "a.example"),
            ("http://[::1]/x", "[::1]", "[::1]"),
            ("http://[::1]:8787", "[::1]:8787", "[::1]"),
            ("", "", ""),
        ] {
            assert_eq!((authority(url), host(url)), (with_port, without), "{url}");
        }
    }

    #[test]
    fn where_hosts_are() {
        for (host, expected) in [
            ("localhost", Some(Inside::Itself)),
            ("a.localhost", Some(Inside::Itself)),
            ("localhost.", Some(Inside::Itself)),
            ("127.0.0.1", Some(Inside::Itself)),
            ("127.1", Some(Inside::Itself)),
            ("0x7f.1", Some(Inside::Itself)),
            ("2130706433", Some(Inside::Itself)),
            ("017700000001", Some(Inside::Itself)),
            ("0x7f000001", Some(Inside::Itself)),
            ("0177.0.0.0x1", Some(Inside::Itself)),
            ("0", Some(Inside::Itself)),
            ("0.0.0.0", Some(Inside::Itself)),
            ("[::1]", Some(Inside::Itself)),
            ("[::]", Some(Inside::Itself)),
            ("[0:0:0:0:0:0:0:1]", Some(Inside::Itself)),
            ("[::ffff:127.0.0.1]", Some(Inside::Itself)),
            ("[64:ff9b::7f00:1]", Some(Inside::Itself)),
            ("169.254.169.254", Some(Inside::Metadata)),
            ("2852039166", Some(Inside::Metadata)),
            ("[::ffff:a9fe:a9fe]", Some(Inside::Metadata)),
            ("[fd00:ec2::254]", Some(Inside::Metadata)),
            ("metadata.google.internal", Some(Inside::Metadata)),
            ("169.254.1.1", Some(Inside::Link)),
            ("[fe80::1]", Some(Inside::Link)),
            ("10.1.2.3", Some(Inside::Private)),
            ("172.31.0.1", Some(Inside::Private)),
            ("192.168.0.1", Some(Inside::Private)),
            ("100.64.0.1", Some(Inside::Private)),
            ("[fd00::1]", Some(Inside::Private)),
            ("orders.internal", Some(Inside::Private)),
            ("nas.local", Some(Inside::Private)),
            ("nas.lan", Some(Inside::Private)),
            ("git.corp", Some(Inside::Private)),
            ("nas.home", Some(Inside::Private)),
            ("orders", Some(Inside::Short)),
            ("orders.", Some(Inside::Short)),
            ("metadata", Some(Inside::Metadata)),
            ("198.18.0.1", Some(Inside::Private)),
            ("198.19.255.255", Some(Inside::Private)),
            ("224.0.0.1", Some(Inside::NoHost)),
            ("240.0.0.1", Some(Inside::NoHost)),
            ("255.255.255.255", Some(Inside::NoHost)),
            ("[ff02::1]", Some(Inside::NoHost)),
            ("[2002:7f00:1::]", Some(Inside::Itself)),
            ("[2002:a01:203::1]", Some(Inside::Private)),
            ("[64:ff9b::a01:203]", Some(Inside::Private)),
            ("[64:ff9b:1::a9fe:a9fe]", Some(Inside::Metadata)),
            ("[64:ff9b:1::808:808]", Some(Inside::Private)),
            // These are the world's.
            ("172.32.0.1", None),
            ("100.128.0.1", None),
            ("192.0.2.7", None),
            ("8.8.8.8", None),
            ("[2606:4700::1111]", None),
            ("127.example.com", None),
            ("10.example.com", None),
            ("notlocalhost.example", None),
            ("198.20.0.1", None),
            ("223.255.255.255", None),
            ("[2002:808:808::1]", None),
            ("[64:ff9b::808:808]", None),
            ("corp.example", None),
            ("orders.internal.example", None),
            ("256.1.1.1", None),
        ] {
            assert_eq!(inside(host), expected, "{host}");
        }
    }

    #[test]
    fn what_hosts_are() {
        for (host, expected) in [
            ("127.0.0.1", Some("127.0.0.1")),
            ("127.1", Some("127.0.0.1")),
            ("0x7f.1", Some("127.0.0.1")),
            ("010.0.0.1", Some("8.0.0.1")),
            ("1", Some("0.0.0.1")),
            ("[0:0::1]", Some("::1")),
            // They end in a number, and are no address.
            ("a.0x1", None),
            ("256.0.0.1", None),
            ("1.2.3.4.5", None),
            ("4294967296", None),
            ("08.0.0.1", None),
        ] {
            let expected = expected.map_or(Host::Neither, |text| Host::Address(text.parse().unwrap()));
            assert_eq!(Host::read(host), expected, "{host}");
        }
        for name in ["a.example", "10.example", "0x7f.example", "a1", "face", "1a"] {
            assert_eq!(Host::read(name), Host::Name, "{name}");
        }
    }
}

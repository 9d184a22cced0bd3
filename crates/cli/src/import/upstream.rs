//! Where an upstream is, as far as the edge can reach it.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use super::Import;
use super::names::{named, plain, shown};

/// The longest time-out that there is: an hour, in milliseconds.
const LONGEST: u64 = 3_600_000;

/// Where an upstream is. Names that only some network of its own knows (`orders_service`) cannot be reached from the
/// edge: a name that leads nowhere stands for them, until somebody says where it is.
pub(super) fn reachable(url: &str, at: &str, import: &mut Import) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
    let (authority, path) = match rest.find('/') {
        Some(end) => rest.split_at(end),
        None => (rest, ""),
    };
    let authority = match authority.rsplit_once('@') {
        Some((_, authority)) => {
            import.leave(
                at,
                "a credential in an address is not carried over: make it a Worker secret, and name that in \
                 `upstream_credential`",
            );
            authority
        }
        None => authority,
    };
    let path = path.trim_end_matches('/');
    let path = if path.is_empty() || (plain(path) && !path.contains('{')) {
        path
    } else {
        import.leave(
            at,
            format!(
                "`{}` is no path of an upstream: its address was written without",
                shown(path)
            ),
        );
        ""
    };
    let (host, port) = authority.rsplit_once(':').unwrap_or((authority, "80"));
    let port = port.parse::<u16>().is_ok_and(|port| port > 0);
    if host.len() <= 253 && host.split('.').all(is_label) && port && !of_its_own(host) {
        if host
            .parse::<Ipv4Addr>()
            .is_ok_and(|address| address.is_private() || address.is_link_local())
        {
            import.leave(
                at,
                format!("`{host}` is an address of some network of its own, which the platform must be connected to"),
            );
        }
        return format!("{scheme}://{authority}{path}");
    }
    let instead = format!("https://{}.invalid{path}", named(host, &mut BTreeSet::new()));
    let had = authority
        .rsplit_once(':')
        .map_or_else(String::new, |(_, port)| format!("; its port was {}", shown(port)));
    import.leave(
        at,
        format!(
            "`{}` is no host on the Internet: {instead} stands for it, until you say where it is{had}",
            shown(host)
        ),
    );
    instead
}

/// Whether only some network of its own knows the name.
fn of_its_own(host: &str) -> bool {
    const PRIVATE: [&str; 7] = ["local", "localhost", "internal", "lan", "home", "svc", "invalid"];
    let host = host.to_ascii_lowercase();
    let last = host.rsplit('.').next().unwrap_or(&host);
    let number = host.parse::<Ipv4Addr>();
    let loops = number
        .as_ref()
        .is_ok_and(|address| address.is_loopback() || address.is_unspecified());
    // An address in another spelling (`127.1`, `0x7f.0.0.1`): what it leads to, nobody sees.
    let digits = last.strip_prefix("0x").map_or_else(
        || !last.is_empty() && last.bytes().all(|b| b.is_ascii_digit()),
        |digits| digits.bytes().all(|b| b.is_ascii_hexdigit()),
    );
    loops || number.is_err() && (!host.contains('.') || digits || PRIVATE.contains(&last))
}

/// A time-out until the first byte, in milliseconds, if there is such a one.
pub(super) fn first_byte(ms: u64, at: &str, import: &mut Import) -> Option<u64> {
    let fits = (1..=LONGEST).contains(&ms);
    if !fits {
        import.leave(
            at,
            "a time-out is between 1ms and 1h: that of all APIs holds, 30s",
        );
    }
    fits.then_some(ms)
}

/// A part of a host's name between its dots (RFC 1123, 2.1).
pub(super) fn is_label(label: &str) -> bool {
    !label.is_empty()
        && label.len() <= 63
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

//! Time zones: how clocks are set where the days and months of a limit are counted.
//!
//! The bundle holds the changes of a span of years, so that the gateway needs no database. Past its end clocks
//! are taken to stay as they were set last.

use jiff::Timestamp as Instant;
use jiff::tz::TimeZone;

use super::diagnostic::Code;
use super::names::nearest;
use super::reader::{Fault, Scalar};
use super::secrets::quote;
use crate::{Timestamp, Zone};

/// 2020 and 2060, in Unix seconds: a bundle is neither older nor run for longer.
const FIRST: i64 = 1_577_836_800;
const LAST: i64 = 2_840_140_800;

/// The name of a time zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ZoneName(pub(crate) String);

impl Scalar for ZoneName {
    const EXPECTS: &'static str = "a time zone such as `Europe/Berlin`";

    fn parse(text: &str) -> Result<Self, Fault> {
        let known = jiff::tz::db().available();
        let names: Vec<String> = known.map(|name| name.to_string()).collect();
        if names.iter().any(|name| name == text) {
            return Ok(Self(text.to_owned()));
        }
        let fault = Fault::new(
            Code::UnknownWord,
            format!("there is no time zone {}", quote(text)),
        );
        let near = names
            .iter()
            .find(|name| name.eq_ignore_ascii_case(text))
            .map(String::as_str);
        Err(
            match near.or_else(|| nearest(text, names.iter().map(String::as_str))) {
                Some(near) => fault.help(format!("did you mean `{near}`?")),
                None => fault.help("write a name of the time zone database, such as `Europe/Berlin`"),
            },
        )
    }
}

/// How clocks are set in a zone that is known.
pub(crate) fn zone(name: &str) -> Option<Zone> {
    let zone = TimeZone::get(name).ok()?;
    let first = Instant::from_second(FIRST).ok()?;
    let mut offsets = vec![(0, zone.to_offset(first).seconds())];
    for change in zone.following(first) {
        let at = change.timestamp();
        if at.as_second() > LAST {
            break;
        }
        let since = Timestamp::try_from(at.as_millisecond()).ok()?;
        if offsets
            .last()
            .is_none_or(|(_, offset)| *offset != change.offset().seconds())
        {
            offsets.push((since, change.offset().seconds()));
        }
    }
    Some(Zone {
        name: name.to_owned(),
        offsets,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_are_set_as_they_are() {
        let berlin = zone("Europe/Berlin").unwrap();
        // 2026-03-29 and 2026-10-25, 01:00 UTC.
        for (at, before, after) in [
            (1_774_746_000_000, 3_600, 7_200),
            (1_792_890_000_000, 7_200, 3_600),
        ] {
            assert_eq!((berlin.offset(at - 1), berlin.offset(at)), (before, after));
        }
        assert_eq!(zone("Asia/Kathmandu").unwrap().offsets, [(0, 20_700)]);
        assert_eq!(zone("Nowhere"), None);
        assert!(ZoneName::parse("europe/berlin").is_err());
    }
}

//! What an object says of the windows of a place, put right for days on which clocks are set there.
//!
//! An object is told how clocks are set now ([`super::Asked::new`]), so of a window that ends after they are set
//! anew it names an end that is off by as much. Whoever asked knows the zone, and corrects what is said.
//!
//! Where clocks are set at midnight, who asks by a clock that is off, or a moment before the object decides, would name
//! a day that is not there yet. So around that instant the clocks that are behind count: by these a day begins later.

use turnpike_policy::{Limit, Millis, Timestamp, Zone};

use super::lease::SKEW;
use super::{Answer, Outcome, Standing};

/// How many seconds clocks are ahead of UTC in a zone, for a question that is put at an instant.
pub(super) fn offset(zone: &Zone, at: Timestamp) -> i32 {
    let before = zone.offset(at.saturating_sub(SKEW));
    before.min(zone.offset(at.saturating_add(SKEW)))
}

/// An answer to what was asked of these limits at an instant, with all waits put right.
pub fn answer<'a>(
    mut answer: Answer,
    mut limits: impl Iterator<Item = &'a Limit> + Clone,
    zones: &[Zone],
    now: Timestamp,
) -> Answer {
    for (standing, limit) in answer.standings.iter_mut().zip(limits.clone()) {
        *standing = self::standing(*standing, limit, zones, now);
    }
    if let Outcome::Refused {
        limit,
        retry_after_ms,
    } = &mut answer.outcome
        && let Some(limit) = usize::try_from(*limit).ok().and_then(|at| limits.nth(at))
    {
        *retry_after_ms = wait(limit, zones, now, *retry_after_ms);
    }
    answer
}

/// How a limit stands, with its reset put right.
pub fn standing(standing: Standing, limit: &Limit, zones: &[Zone], now: Timestamp) -> Standing {
    Standing {
        reset_ms: wait(limit, zones, now, standing.reset_ms),
        ..standing
    }
}

/// How long it is until a window of a limit ends that ends so much later by clocks as they are set now.
fn wait(limit: &Limit, zones: &[Zone], now: Timestamp, told: Millis) -> Millis {
    let zone = limit
        .zone
        .as_ref()
        .and_then(|name| zones.iter().find(|zone| zone.name == *name));
    let Some(zone) = zone.filter(|_| told > 0) else {
        return told;
    };
    let end = now.saturating_add(told);
    let (set, then) = (offset(zone, now), zone.offset(end));
    if set == then {
        return told;
    }
    let shift = (i64::from(set) - i64::from(then)).saturating_mul(1_000);
    // Where clocks are set at midnight and skip it, the day begins when they are set.
    let begins = end.saturating_add_signed(shift).max(zone.since(end));
    begins.saturating_sub(now).max(1)
}

#[cfg(test)]
mod tests {
    use turnpike_policy::{LimitKind, Precision, SubjectPart, Window};

    use super::*;
    use crate::meter::quota::span;

    const HOUR: u64 = 3_600_000;
    const DAY: u64 = 24 * HOUR;
    /// A midnight in UTC.
    const BASE: u64 = 1_800_000_000_000 / DAY * DAY;

    /// How long it is until the next day begins, by the object and put right, in hours.
    fn hours(offsets: &[(u64, i32)], now: u64) -> (u64, u64) {
        let zone = Zone {
            name: "Here".to_owned(),
            offsets: offsets.iter().map(|(at, hours)| (*at, hours * 3_600)).collect(),
        };
        let window = Window::DayAt(zone.offset(now));
        let limit = Limit {
            id: "quota".to_owned(),
            kind: LimitKind::Quota { count: 1, window },
            zone: Some("Here".to_owned()),
            subject: vec![SubjectPart::Consumer],
            models: Vec::new(),
            precision: Precision::Exact,
            split: None,
            shadow: false,
            origin: String::new(),
        };
        let told = span(window, now).end - now;
        let right = wait(&limit, &[zone], now, told);
        assert_eq!((told % HOUR, right % HOUR), (0, 0));
        (told / HOUR, right / HOUR)
    }

    #[test]
    fn a_day_on_which_clocks_are_set_ends_when_the_next_begins() {
        // (clocks before and after, when they are set, now; what the object says, what is)
        for (before, after, set, now, told, right) in [
            // Berlin: at 01:00 UTC, seen an hour before.
            (1, 2, 1, 0, 23, 22),
            (2, 1, 1, 0, 22, 23),
            // Already set: what is told is true.
            (1, 2, 1, 2, 20, 20),
            // A day before: it ends before they are set.
            (2, 1, 25, 0, 22, 22),
            // Santiago: at local midnight, which is skipped in spring and comes twice in autumn.
            (-4, -3, 28, 10, 18, 18),
            (-3, -4, 27, 10, 17, 18),
        ] {
            let offsets = [(0, before), (BASE + set * HOUR, after)];
            assert_eq!(
                hours(&offsets, BASE + now * HOUR),
                (told, right),
                "{before} to {after} at {set} from {now}"
            );
        }
    }
}

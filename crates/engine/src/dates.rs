//! Dates as headers write them.

const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// An HTTP-date (RFC 9110, 5.6.7) of a time in Unix milliseconds.
pub(crate) fn http_date(ms: u64) -> String {
    let seconds = ms / 1000;
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil(days);
    let weekday = named(&DAYS, days % 7);
    let month = named(&MONTHS, month - 1);
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!("{weekday}, {day:02} {month} {year:04} {hour:02}:{minute:02}:{second:02} GMT")
}

/// Fifty years: a date of two digits that lies further ahead is of the century before (RFC 9110, 5.6.7).
const AHEAD: u64 = 1_577_923_200_000;

/// The time in Unix milliseconds of an HTTP-date (RFC 9110, 5.6.7), in any of its three forms:
/// `Sun, 06 Nov 1994 08:49:37 GMT`, and of old `Sunday, 06-Nov-94 08:49:37 GMT` and `Sun Nov  6 08:49:37 1994`.
pub(crate) fn from_http_date(text: &str, now: u64) -> Option<u64> {
    let mut parts = text.split([' ', '-']).filter(|part| !part.is_empty());
    let mut next = || parts.next();
    let plain = !next()?.ends_with(',');
    let (mut day, mut month, mut year, mut clock) = (next()?, next()?, next()?, next()?);
    if plain {
        (day, month, year, clock) = (month, day, clock, year);
    }
    let right = if plain {
        day.len() < 3
    } else {
        day.len() == 2 && next() == Some("GMT")
    };
    let day = number(day, day.len())?;
    let month = MONTHS.iter().position(|known| *known == month)?;
    let month = u64::try_from(month).ok()? + 1;
    let mut clock = clock.split(':').map(|part| number(part, 2));
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
    if !right || clock.next().is_some() || next().is_some() {
        return None;
    }
    let at = |year| instant(year, [month, day, hour, minute, second]).filter(|_| year >= 1970);
    if year.len() == 4 {
        return at(number(year, 4)?);
    }
    let year = number(year, 2)? + civil(now / 86_400_000).0 / 100 * 100;
    at(year)
        .filter(|at| at.saturating_sub(now) <= AHEAD)
        .or_else(|| at(year - 100))
}

/// The time in Unix milliseconds of a year, and of a month (from 1), day, hour, minute and second; 0 for what lies
/// before 1970. A day that its month does not have counts on into the next one.
pub(crate) fn instant(year: u64, [month, day, hour, minute, second]: [u64; 5]) -> Option<u64> {
    let within = (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && year >= 1
        && hour < 24
        && minute < 60
        && second < 61;
    if !within || year < 1970 {
        return within.then_some(0);
    }
    Some((((days(year, month, day) * 24 + hour) * 60 + minute) * 60 + second) * 1000)
}

/// A number of exactly so many digits.
fn number(text: &str, digits: usize) -> Option<u64> {
    let number = crate::accept::digits(text)?;
    (text.len() == digits).then_some(number)
}

/// Days from 1970-01-01 to a day, as [`civil`] counts.
fn days(year: u64, month: u64, day: u64) -> u64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year / 400, year % 400);
    let shifted_month = (month + 9) % 12;
    let day_of_year = (153 * shifted_month + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    (era * 146_097 + day_of_era).saturating_sub(719_468)
}

fn named(names: &[&'static str], index: u64) -> &'static str {
    usize::try_from(index)
        .ok()
        .and_then(|index| names.get(index))
        .copied()
        .unwrap_or_default()
}

/// Year, month (1 to 12) and day (1 to 31) of a day since 1970-01-01, in the Gregorian calendar.
/// Counts in eras of 400 years that begin on a first of March, so that the leap day is a year's
/// last.
fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-22T20:45:11Z.
    const NOW: u64 = 1_795_380_311_000;

    #[test]
    fn known_dates() {
        for (ms, text) in [
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (951_782_400_000, "Tue, 29 Feb 2000 00:00:00 GMT"),
            (784_111_777_000, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (4_102_444_799_000, "Thu, 31 Dec 2099 23:59:59 GMT"),
        ] {
            assert_eq!(http_date(ms), text);
            assert_eq!(from_http_date(text, NOW), Some(ms / 1000 * 1000));
        }
        for day in 0..40_000_u64 {
            let ms = day * 86_400_000 + day % 86_400 * 1000;
            assert_eq!(from_http_date(&http_date(ms), NOW), Some(ms), "{}", http_date(ms));
        }
        for text in [
            "",
            "Sun, ",
            "Sun, 6 Nov 1994 08:49:37 GMT",
            "Sun, 06 Now 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:49:37",
            "Sun, 06 Nov 1994 08:49:37 GMT x",
            "Sun, 06 Nov 1994 24:49:37 GMT",
            "Sun, 06 Nov 1994 8:49:37 GMT",
            "Sun, 06 Nov 0094 08:49:37 GMT",
            "Sun, 06 Nov 994 08:49:37 GMT",
            "Sun, 006 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37",
            "Sunday, 06-Nov-94 08:49:37 GMT x",
            "Sunday, 06-Nov-9 08:49:37 GMT",
            "Sun Nov  6 08:49:37",
            "Sun Nov  6 08:49:37 1994 GMT",
            "Sun Nov 006 08:49:37 1994",
            "Sun Now  6 08:49:37 1994",
            "Sun Nov é 08:49:37 1994",
        ] {
            assert_eq!(from_http_date(text, NOW), None, "{text}");
        }
    }

    #[test]
    fn dates_of_old() {
        for (text, same) in [
            ("Sunday, 06-Nov-94 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:37 GMT"),
            ("Sun Nov  6 08:49:37 1994", "Sun, 06 Nov 1994 08:49:37 GMT"),
            ("Wed Nov 16 08:49:37 1994", "Wed, 16 Nov 1994 08:49:37 GMT"),
            ("Monday, 30-Nov-26 20:45:12 GMT", "Mon, 30 Nov 2026 20:45:12 GMT"),
            ("Mon Nov 30 20:45:12 2026", "Mon, 30 Nov 2026 20:45:12 GMT"),
            // More than fifty years ahead is of the century before.
            ("Sunday, 22-Nov-76 20:45:11 GMT", "Sun, 22 Nov 2076 20:45:11 GMT"),
            ("Tuesday, 23-Nov-76 20:45:11 GMT", "Tue, 23 Nov 1976 20:45:11 GMT"),
            ("Friday, 01-Jan-70 00:00:00 GMT", "Wed, 01 Jan 2070 00:00:00 GMT"),
        ] {
            assert_eq!(from_http_date(text, NOW), from_http_date(same, NOW), "{text}");
            assert!(from_http_date(text, NOW).is_some(), "{text}");
        }
    }
}

//! Values with units: durations, sizes, rates, quotas and dates.
//!
//! A number without its unit is refused, so that nobody has to guess whether `30` is seconds.

use crate::{Millis, Timestamp, Window};

/// Why a text is not such a value, and what would help.
pub(crate) type Wrong = (String, Option<String>);

const SECOND: u64 = 1000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// A whole number, with `_` between groups of digits.
pub(crate) fn integer(text: &str) -> Result<u64, Wrong> {
    let bad = || {
        (
            format!("{} is not a whole number", super::secrets::quote(text)),
            None,
        )
    };
    if let Some(number) = text.strip_prefix('-').filter(|_| text.len() < 20) {
        let help = "write a number that is not negative".to_owned();
        return match integer(number) {
            Ok(_) => Err((format!("{} is negative", super::secrets::quote(text)), Some(help))),
            Err(_) => Err(bad()),
        };
    }
    let grouped = !text.starts_with('_') && !text.ends_with('_') && !text.contains("__");
    let digits: String = text.chars().filter(|c| *c != '_').collect();
    if !grouped || digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(bad());
    }
    digits
        .parse()
        .map_err(|_| (format!("{} is too large", super::secrets::quote(text)), None))
}

/// Splits `10MiB` into the number and its unit.
fn with_unit(text: &str) -> Result<(u64, &str), Wrong> {
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '_')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(end).unwrap_or((text, ""));
    Ok((integer(number)?, unit.trim_start()))
}

/// A span of time: `250ms`, `30s`, `5m`, `1h`, `7d`.
pub(crate) fn duration(text: &str) -> Result<Millis, Wrong> {
    let help = || Some("write for example `250ms`, `30s`, `5m`, `1h` or `7d`".to_owned());
    let shown = super::secrets::quote(text);
    let too_long = || {
        let help = "write for example `7d`: nothing here lasts for thousands of years";
        (format!("{shown} is too long"), Some(help.to_owned()))
    };
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (count, unit) = match with_unit(text) {
        Ok(parts) => parts,
        // That many are a number, and no machine counts so far.
        Err(_) if digits > 19 => return Err(too_long()),
        Err(_) => return Err((format!("{shown} is not a duration"), help())),
    };
    let scale = match unit {
        "ms" => 1,
        "s" => SECOND,
        "m" => MINUTE,
        "h" => HOUR,
        "d" => DAY,
        "" => {
            return Err((
                format!("{shown} has no unit"),
                Some(format!(
                    "write `{count}s` for seconds, `{count}m` for minutes, `{count}ms` for milliseconds"
                )),
            ));
        }
        "min" | "mins" | "minutes" => {
            return Err((
                format!("{shown} has an unknown unit"),
                Some(format!("write `{count}m`")),
            ));
        }
        "sec" | "secs" | "seconds" => {
            return Err((
                format!("{shown} has an unknown unit"),
                Some(format!("write `{count}s`")),
            ));
        }
        _ if unit.starts_with('.') => {
            let help =
                "write it in a smaller unit, for example `1500ms` for one second and a half".to_owned();
            return Err((format!("{shown} is no whole number"), Some(help)));
        }
        _ => return Err((format!("{shown} has an unknown unit"), help())),
    };
    count.checked_mul(scale).ok_or_else(too_long)
}

/// A number of bytes: `500kB`, `64KiB`, `10MiB`.
pub(crate) fn size(text: &str) -> Result<u64, Wrong> {
    let help = || Some("write for example `64KiB`, `10MiB` or `500kB`".to_owned());
    let shown = super::secrets::quote(text);
    let (count, unit) = with_unit(text).map_err(|_| (format!("{shown} is not a size"), help()))?;
    let scale: u64 = match unit {
        "B" => 1,
        "kB" => 1_000,
        "KiB" => 1 << 10,
        "MB" => 1_000_000,
        "MiB" => 1 << 20,
        "GB" => 1_000_000_000,
        "GiB" => 1 << 30,
        "" => {
            return Err((
                format!("{shown} has no unit"),
                Some(format!("write `{count}B` for bytes, `{count}MiB` for mebibytes")),
            ));
        }
        other => {
            let near = ["B", "kB", "KiB", "MB", "MiB", "GB", "GiB"]
                .into_iter()
                .find(|known| known.eq_ignore_ascii_case(other));
            let help = near.map_or_else(help, |near| Some(format!("write `{count}{near}`")));
            return Err((format!("{shown} has an unknown unit"), help));
        }
    };
    count
        .checked_mul(scale)
        .ok_or_else(|| (format!("{shown} is too large"), None))
}

/// So many in a period: `5/s`, `600/min`, `100/h`, `10_000/day`, `20/10s`.
pub(crate) fn rate(text: &str) -> Result<(u32, Millis), Wrong> {
    let help = "write for example `5/s`, `600/min`, `100/h`, `10_000/day` or `20/10s`".to_owned();
    let shown = super::secrets::quote(text);
    let Some((count, period)) = text.split_once('/') else {
        return Err((format!("{shown} is not a rate"), Some(help)));
    };
    let count = integer(count.trim()).map_err(|(why, _)| (why, Some(help.clone())))?;
    let count = u32::try_from(count).map_err(|_| (format!("{shown} is too large"), None))?;
    if count == 0 {
        return Err((
            format!("{shown} lets nothing pass"),
            Some("a rate is at least 1".to_owned()),
        ));
    }
    let period = match period.trim() {
        "s" => SECOND,
        "min" => MINUTE,
        "h" => HOUR,
        "day" => DAY,
        "m" => {
            let help = format!("write `{count}/min` for minutes; a month is a `quota`");
            return Err((format!("the period of {shown} is unclear"), Some(help)));
        }
        "month" => {
            let help = format!("write `quota: {count}/month`");
            return Err((format!("{shown} is a quota, not a rate"), Some(help)));
        }
        "sec" | "second" => return Err(unknown_period(&shown, count, "s")),
        "minute" => return Err(unknown_period(&shown, count, "min")),
        "hour" => return Err(unknown_period(&shown, count, "h")),
        "d" => return Err(unknown_period(&shown, count, "day")),
        other if other.starts_with(|c: char| c.is_ascii_digit()) => {
            duration(other).map_err(|(why, _)| (why, Some(help.clone())))?
        }
        _ => return Err((format!("{shown} has an unknown period"), Some(help))),
    };
    if period == 0 || period > 30 * DAY {
        return Err((format!("the period of {shown} is not between 1ms and 30d"), None));
    }
    Ok((count, period))
}

/// So many in a calendar window (UTC): `1_000_000/month`.
pub(crate) fn quota(text: &str) -> Result<(u64, Window), Wrong> {
    let help = "write for example `1_000_000/month`, `5000/day`, `500/h` or `60/min`".to_owned();
    let shown = super::secrets::quote(text);
    let Some((count, window)) = text.split_once('/') else {
        return Err((format!("{shown} is not a quota"), Some(help)));
    };
    let count = integer(count.trim()).map_err(|(why, _)| (why, Some(help.clone())))?;
    if count == 0 {
        return Err((
            format!("{shown} lets nothing pass"),
            Some("a quota is at least 1".to_owned()),
        ));
    }
    let window = match window.trim() {
        "min" => Window::Minute,
        "h" => Window::Hour,
        "day" => Window::Day,
        "month" => Window::Month,
        "m" => {
            let help = format!("write `{count}/min` or `{count}/month`");
            return Err((format!("the window of {shown} is unclear"), Some(help)));
        }
        "minute" => return Err(unknown_period(&shown, count, "min")),
        "hour" => return Err(unknown_period(&shown, count, "h")),
        "d" => return Err(unknown_period(&shown, count, "day")),
        _ => return Err((format!("{shown} has an unknown window"), Some(help))),
    };
    Ok((count, window))
}

/// Money in a calendar window (UTC), in nano-USD: `50 USD/month`.
pub(crate) fn spend(text: &str) -> Result<(u64, Window), Wrong> {
    let help = "write for example `50 USD/month` or `0.50 USD/day`".to_owned();
    let shown = super::secrets::quote(text);
    let Some((amount, window)) = text.rsplit_once('/') else {
        return Err((format!("{shown} has no window"), Some(help)));
    };
    let nano = money(amount).ok_or_else(|| (format!("{shown} is not an amount of money"), Some(help)))?;
    if nano == 0 {
        return Err((
            format!("{shown} lets nothing pass"),
            Some("a budget is more than nothing".to_owned()),
        ));
    }
    Ok((nano, window_of(&shown, window)?))
}

/// The window of what is `shown`.
fn window_of(shown: &str, window: &str) -> Result<Window, Wrong> {
    // A quota of one knows the windows.
    let quota = quota(&format!("1/{window}")).map_err(|(_, _)| {
        (
            format!("{shown} has an unknown window"),
            Some("windows are `min`, `h`, `day` and `month`".to_owned()),
        )
    })?;
    Ok(quota.1)
}

/// Bytes in a calendar window (UTC): `10GiB/day`.
pub(crate) fn bytes(text: &str) -> Result<(u64, Window), Wrong> {
    let shown = super::secrets::quote(text);
    let Some((amount, window)) = text.rsplit_once('/') else {
        return Err((
            format!("{shown} has no window"),
            Some("write for example `10GiB/day` or `500MB/month`".to_owned()),
        ));
    };
    let count = size(amount.trim())?;
    if count == 0 {
        return Err((
            format!("{shown} lets nothing pass"),
            Some("a limit of bytes is more than none".to_owned()),
        ));
    }
    Ok((count, window_of(&shown, window)?))
}

/// A price in nano-USD for a million tokens: `1.25 USD/Mtok`.
pub(crate) fn token_price(text: &str) -> Result<u64, Wrong> {
    let wrong = || {
        let shown = super::secrets::quote(text);
        let help = "write US dollars for a million tokens, for example `1.25 USD/Mtok`";
        (format!("{shown} is not a price"), Some(help.to_owned()))
    };
    let (amount, per) = text.rsplit_once('/').ok_or_else(wrong)?;
    if per.trim() != "Mtok" {
        return Err(wrong());
    }
    money(amount).ok_or_else(wrong)
}

/// An amount of US dollars with up to nine decimals, in nano-USD.
pub(crate) fn money(text: &str) -> Option<u64> {
    let number = text.trim().strip_suffix("USD")?.trim_end();
    let (whole, decimals) = number.split_once('.').unwrap_or((number, ""));
    let good = decimals.len() <= 9
        && decimals.bytes().all(|b| b.is_ascii_digit())
        && (decimals.is_empty() != number.contains('.'));
    let whole = integer(whole).ok().filter(|_| good)?;
    let decimals: u64 = format!("{decimals:0<9}").parse().ok()?;
    whole.checked_mul(1_000_000_000)?.checked_add(decimals)
}

fn unknown_period(shown: &str, count: impl std::fmt::Display, right: &str) -> Wrong {
    (
        format!("{shown} has an unknown period"),
        Some(format!("write `{count}/{right}`")),
    )
}

/// A day (`2027-06-30`, its first instant in UTC) or an instant (`2027-06-30T12:00:00Z`).
pub(crate) fn date(text: &str) -> Result<Timestamp, Wrong> {
    let bad = || {
        let help = "write a day as `2027-06-30`, or an instant as `2027-06-30T12:00:00Z`".to_owned();
        (
            format!("{} is not a date", super::secrets::quote(text)),
            Some(help),
        )
    };
    let (day, time) = match text.split_once('T') {
        Some((day, time)) => (day, Some(time)),
        None => (text, None),
    };
    let [year, month, date] = numbers(day, '-', [4, 2, 2]).ok_or_else(bad)?;
    if !(1970..=9999).contains(&year) || !(1..=12).contains(&month) {
        return Err(bad());
    }
    if date == 0 || date > days_in(year, month) {
        return Err(bad());
    }
    let mut at = days_since_epoch(year, month, date) * DAY;
    if let Some(time) = time {
        let time = time.strip_suffix('Z').ok_or_else(bad)?;
        let [hour, minute, second] = numbers(time, ':', [2, 2, 2]).ok_or_else(bad)?;
        if hour > 23 || minute > 59 || second > 59 {
            return Err(bad());
        }
        at += hour * HOUR + minute * MINUTE + second * SECOND;
    }
    Ok(at)
}

/// A timestamp's day, as it is shown in messages.
pub(crate) fn show_day(at: Timestamp) -> String {
    // The calendar repeats itself every 400 years.
    const CYCLE: u64 = 146_097;
    let (mut days, mut year) = (at / DAY % CYCLE, 1970 + at / DAY / CYCLE * 400);
    loop {
        let length = if is_leap(year) { 366 } else { 365 };
        if days < length {
            break;
        }
        days -= length;
        year += 1;
    }
    let mut month = 1;
    while month < 12 && days >= days_in(year, month) {
        days -= days_in(year, month);
        month += 1;
    }
    format!("{year:04}-{month:02}-{:02}", days + 1)
}

/// An instant as it is written (RFC 3339).
pub(crate) fn show_instant(at: Timestamp) -> String {
    let (hour, minute, second) = (at % DAY / HOUR, at % HOUR / MINUTE, at % MINUTE / SECOND);
    format!("{}T{hour:02}:{minute:02}:{second:02}Z", show_day(at))
}

fn numbers(text: &str, separator: char, widths: [usize; 3]) -> Option<[u64; 3]> {
    let mut found = [0; 3];
    let mut parts = text.split(separator);
    for (slot, width) in found.iter_mut().zip(widths) {
        let part = parts.next()?;
        if part.len() != width || !part.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        *slot = part.parse().ok()?;
    }
    parts.next().is_none().then_some(found)
}

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

fn days_in(year: u64, month: u64) -> u64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

fn days_since_epoch(year: u64, month: u64, day: u64) -> u64 {
    let before = year - 1;
    let leaps = |y: u64| y / 4 - y / 100 + y / 400;
    let years = (year - 1970) * 365 + leaps(before) - leaps(1969);
    let months: u64 = (1..month).map(|m| days_in(year, m)).sum();
    years + months + day - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_with_units() {
        let (whole, remedy) = duration("1.5s").unwrap_err();
        assert_eq!(
            (whole.as_str(), remedy.unwrap_or_default().contains("1500ms")),
            ("`1.5s` is no whole number", true)
        );
        for long in ["99999999999999999999s", "9999999999999999d"] {
            assert_eq!(duration(long).unwrap_err().0, format!("`{long}` is too long"));
        }
        assert_eq!(integer("-1").unwrap_err().0, "`-1` is negative");
        assert_eq!(duration("250ms"), Ok(250));
        assert_eq!(duration("5m"), Ok(300_000));
        assert_eq!(size("10MiB"), Ok(10 << 20));
        assert_eq!(size("500kB"), Ok(500_000));
        assert_eq!(rate("600/min"), Ok((600, 60_000)));
        assert_eq!(rate("20/10s"), Ok((20, 10_000)));
        assert_eq!(quota("1_000_000/month"), Ok((1_000_000, Window::Month)));
        for wrong in [
            "",
            "5",
            "5 parsec",
            "-5s",
            "1__0s",
            "_1s",
            "99999999999999999999s",
            "5s5s",
            "ms",
        ] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
        for wrong in ["", "10", "10mib", "10 Mi", "18446744073709551615GiB"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
        for wrong in [
            "",
            "5",
            "0/s",
            "5/m",
            "5/month",
            "5/0s",
            "5/fortnight",
            "5000000000/s",
            "/s",
            "5/",
        ] {
            assert!(rate(wrong).is_err(), "{wrong}");
        }
        for wrong in ["", "5", "0/day", "5/m", "5/s", "5/year"] {
            assert!(quota(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn money_is_exact() {
        for (text, nano) in [
            ("1.25 USD/Mtok", 1_250_000_000),
            ("0.0375 USD/Mtok", 37_500_000),
            ("1_000 USD/Mtok", 1_000_000_000_000),
            ("0.000000001USD/Mtok", 1),
            ("0 USD/Mtok", 0),
        ] {
            assert_eq!(token_price(text), Ok(nano), "{text}");
        }
        for text in [
            "1.25",
            "1.25 USD",
            "USD/Mtok",
            "1. USD/Mtok",
            ".5 USD/Mtok",
            "-1 USD/Mtok",
            "1 EUR/Mtok",
            "1 USD/Ktok",
            "1.0000000001 USD/Mtok",
            "1e3 USD/Mtok",
            "99999999999999 USD/Mtok",
            "1.2.3 USD/Mtok",
        ] {
            assert!(token_price(text).is_err(), "{text}");
        }
        assert_eq!(spend("50 USD/month"), Ok((50_000_000_000, Window::Month)));
        assert_eq!(spend("0.50 USD/day"), Ok((500_000_000, Window::Day)));
        for text in ["50 USD", "0 USD/day", "50/month", "50 USD/fortnight", "50 USD/m"] {
            assert!(spend(text).is_err(), "{text}");
        }
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        assert_eq!(date("1970-01-01"), Ok(0));
        assert_eq!(date("2000-03-01"), Ok(951_868_800_000));
        assert_eq!(date("2026-11-22T20:45:11Z"), Ok(1_795_380_311_000));
        for day in [
            "1972-02-29",
            "2024-12-31",
            "2025-01-01",
            "2100-02-28",
            "2026-11-22",
            "2399-12-31",
            "9999-12-31",
        ] {
            assert_eq!(show_day(date(day).unwrap()), day);
        }
        assert_eq!(show_instant(1_795_380_311_000), "2026-11-22T20:45:11Z");
        // The end of what holds for the whole of the last day that can be written.
        assert_eq!(show_day(date("9999-12-31").unwrap() + DAY), "10000-01-01");
        for wrong in [
            "2023-02-29",
            "2023-13-01",
            "2023-00-10",
            "23-01-01",
            "2023-1-1",
            "2023-01-01T25:00:00Z",
            "2023-01-01T00:00:00",
            "tomorrow",
        ] {
            assert!(date(wrong).is_err(), "{wrong}");
        }
    }
}

//! Durations as Go writes them.

use serde_json::Value as Json;

use super::super::Import;

/// A field that is a duration of Go, in milliseconds; what is there and is none is listed.
pub(super) fn duration(at: &str, field: &str, json: &Json, import: &mut Import) -> Option<u64> {
    let value = json.get(field).filter(|value| !value.is_null())?;
    let ms = value.as_str().and_then(milliseconds);
    if ms.is_none() {
        import.leave(at, "it is no duration such as `1500ms`, `2s` or `1m30s`");
    }
    ms.filter(|ms| *ms > 0)
}

/// A duration of Go (`1500ms`, `2s`, `1m30s`, `1.5s`), in milliseconds.
fn milliseconds(text: &str) -> Option<u64> {
    let mut rest = text;
    // In microseconds, so that parts of a millisecond add up.
    let mut sum: u64 = 0;
    while !rest.is_empty() {
        let (number, unit) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit() && c != '.')?);
        let (unit, after) = unit.split_at(unit.find(|c: char| c.is_ascii_digit()).unwrap_or(unit.len()));
        let scale: u64 = match unit {
            "us" | "µs" => 1,
            "ms" => 1_000,
            "s" => 1_000_000,
            "m" => 60_000_000,
            "h" => 3_600_000_000,
            _ => return None,
        };
        let (whole, part) = number.split_once('.').unwrap_or((number, ""));
        sum = sum.checked_add(whole.parse::<u64>().ok()?.checked_mul(scale)?)?;
        if !part.is_empty() {
            let digits = u32::try_from(part.len()).ok().filter(|digits| *digits <= 6)?;
            let part = part.parse::<u64>().ok()?.checked_mul(scale)?;
            sum = sum.checked_add(part / 10_u64.pow(digits))?;
        }
        rest = after;
    }
    (!text.is_empty()).then_some(sum / 1_000)
}

#[cfg(test)]
mod tests {
    use super::milliseconds;

    #[test]
    fn durations_of_go() {
        for (text, ms) in [
            ("1500ms", Some(1500)),
            ("2s", Some(2000)),
            ("1m30s", Some(90_000)),
            ("1.5s", Some(1500)),
            ("12h", Some(43_200_000)),
            ("0s", Some(0)),
            ("", None),
            ("3", None),
            ("s", None),
            ("1d", None),
            ("-1s", None),
            ("99999999999h", None),
            ("1.5.5s", None),
        ] {
            assert_eq!(milliseconds(text), ms, "{text}");
        }
    }
}

//! Patterns of routes that are paths of a document by another spelling.

use std::fmt::Write as _;

use super::super::names::plain;

/// A path, and whether nothing but it fits the pattern: `/a/(?<id>\d+)$` is `/a/{id}`, and of `/a(/.*)?` all that
/// lies below `/a` is left out. Nothing, if it is no such pattern.
pub(super) fn path(pattern: &str) -> Option<(String, bool)> {
    let pattern = pattern.strip_prefix('^').unwrap_or(pattern);
    let (pattern, mut exact) = match pattern.strip_suffix('$') {
        Some(pattern) => (pattern, true),
        None => (pattern, false),
    };
    let tails = ["(/.*)?", "(?:/.*)?", "(/.*)*", "/.*", "/(.*)", "(.*)", ".*"];
    let pattern = match tails.iter().find_map(|tail| pattern.strip_suffix(tail)) {
        Some(pattern) => {
            exact = false;
            pattern
        }
        None => pattern.strip_suffix("/?").unwrap_or(pattern),
    };
    let mut path = String::new();
    let mut unnamed = 0;
    for segment in segments(pattern)? {
        if let Some(literal) = literal(segment) {
            let _ = write!(path, "/{literal}");
        } else if let Some(name) = named(segment) {
            let _ = write!(path, "/{{{name}}}");
        } else if any(segment) {
            unnamed += 1;
            let number = if unnamed == 1 {
                String::new()
            } else {
                unnamed.to_string()
            };
            let _ = write!(path, "/{{id{number}}}");
        } else {
            return None;
        }
    }
    plain(&path).then_some((path, exact))
}

/// Its segments: a `/` in brackets or parentheses parts none.
fn segments(pattern: &str) -> Option<Vec<&str>> {
    let rest = pattern.strip_prefix('/')?;
    let mut segments = Vec::new();
    let (mut begin, mut groups, mut class, mut escaped) = (0, 0_u32, false, false);
    for (at, c) in rest.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            ']' => class = false,
            '[' => class = true,
            '(' if !class => groups += 1,
            ')' if !class => groups = groups.checked_sub(1)?,
            '/' if !class && groups == 0 => {
                segments.push(rest.get(begin..at)?);
                begin = at + 1;
            }
            _ => {}
        }
    }
    segments.push(rest.get(begin..)?);
    (!class && groups == 0 && !escaped).then_some(segments)
}

/// A segment that is what it says; marks may be escaped.
fn literal(segment: &str) -> Option<String> {
    let mut text = String::new();
    let mut chars = segment.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => text.push(chars.next().filter(|c| "-._~".contains(*c))?),
            // A point that is not escaped is most often meant as one.
            c if c.is_ascii_alphanumeric() || "-._~".contains(c) => text.push(c),
            _ => return None,
        }
    }
    Some(text)
}

/// The name of a segment that is a group with a name: `(?<id>[^/]+)`.
fn named(segment: &str) -> Option<&str> {
    let group = segment
        .strip_prefix("(?<")
        .or_else(|| segment.strip_prefix("(?P<"))?;
    let (name, inner) = group.strip_suffix(')')?.split_once('>')?;
    any(inner).then_some(name)
}

/// Whether it stands for one segment, of whatever letters.
fn any(segment: &str) -> bool {
    let inner = segment.strip_prefix('(').and_then(|rest| rest.strip_suffix(')'));
    let inner = inner.map(|inner| inner.strip_prefix("?:").unwrap_or(inner));
    let inner = inner.unwrap_or(segment);
    // `\d+`, `[^/]+`, `[0-9a-f]{8}`, or several of them: but no choice between words, and nothing that spans segments.
    let begins = inner.starts_with(['[', '\\']);
    begins && !inner.contains(['|', '(', ')', '<']) && !inner.contains(".*") && !inner.contains(".+")
}

#[cfg(test)]
mod tests {
    use super::path;

    #[test]
    fn patterns_that_are_paths() {
        for (pattern, expected) in [
            ("/products$", Some(("/products", true))),
            ("/products", Some(("/products", false))),
            ("/products/(?<id>[^#?/]+)$", Some(("/products/{id}", true))),
            (
                "/products/(?<id>[^#?/]+)/reviews$",
                Some(("/products/{id}/reviews", true)),
            ),
            ("/v1/events/\\d+", Some(("/v1/events/{id}", false))),
            (
                "/v1/events/[^/]+/people/[0-9]+$",
                Some(("/v1/events/{id}/people/{id2}", true)),
            ),
            ("^/api/v1/bookings(/.*)?", Some(("/api/v1/bookings", false))),
            ("/a/(?:[a-z]+)/?$", Some(("/a/{id}", true))),
            ("/files/v1\\.0$", Some(("/files/v1.0", true))),
            ("/a|b", None),
            ("/(?<kind>cats|dogs)$", None),
            ("/(a|b)/c", None),
            ("/a/(?<rest>.+)$", None),
            ("/a/(?<id>[0-9]+)/(?<id>[0-9]+)$", None),
            ("/a/[0-9", None),
            ("/a)(", None),
            ("/a\\", None),
            ("a", None),
            ("", None),
        ] {
            let found = path(pattern);
            let expected = expected.map(|(path, exact)| (path.to_owned(), exact));
            assert_eq!(found, expected, "{pattern}");
        }
    }
}

//! What the platform does to a URL before the gateway sees it: it resolves the segments of dots in its path (WHATWG URL,
//! 4.4), as clients do before they send it.

use std::borrow::Cow;

/// A URL as the gateway sees it.
pub(crate) fn resolved(url: &str) -> Cow<'_, str> {
    let end = url.find(['?', '#']).unwrap_or(url.len());
    let (before, after) = url.split_at_checked(end).unwrap_or((url, ""));
    let begins = before.find("://").and_then(|at| {
        before
            .get(at + 3..)?
            .find(['/', '\\'])
            .map(|slash| at + 3 + slash)
    });
    let Some((server, path)) = begins.and_then(|at| before.split_at_checked(at)) else {
        return Cow::Borrowed(url);
    };
    // In an http URL a backslash separates as well.
    let mut segments = path.split(['/', '\\']).skip(1).peekable();
    let mut kept: Vec<&str> = Vec::new();
    while let Some(segment) = segments.next() {
        let up = is_dots(segment, 2);
        if up {
            kept.pop();
        }
        if !up && !is_dots(segment, 1) {
            kept.push(segment);
        } else if segments.peek().is_none() {
            kept.push("");
        }
    }
    let resolved = format!("/{}", kept.join("/"));
    if resolved == path {
        return Cow::Borrowed(url);
    }
    Cow::Owned(format!("{server}{resolved}{after}"))
}

/// Whether a segment is so many dots, each as it is or encoded.
fn is_dots(segment: &str, count: usize) -> bool {
    // Nothing longer is.
    segment.len() <= count * 3
        && segment.to_ascii_lowercase().replace("%2e", ".") == "..".get(..count).unwrap_or("")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dots_are_resolved() {
        for (path, expected) in [
            ("/a/../b", "/b"),
            ("/a/./b", "/a/b"),
            ("/a/%2e%2E/b", "/b"),
            ("/a/.%2e/b/%2e", "/b/"),
            ("/..", "/"),
            ("/../../a", "/a"),
            ("/a/..", "/"),
            ("/a/.", "/a/"),
            ("/a//../b", "/a/b"),
            ("/a/../b?x=/../y", "/b?x=/../y"),
            ("/a\\..\\b", "/b"),
            // Neither is a segment of dots.
            ("/a/.../b", "/a/.../b"),
            ("/a/..b/.c", "/a/..b/.c"),
            ("/a%2f../b", "/a%2f../b"),
            ("/a//b/", "/a//b/"),
            ("/", "/"),
        ] {
            assert_eq!(
                resolved(&format!("https://a.example{path}")),
                format!("https://a.example{expected}"),
                "{path}"
            );
        }
        assert_eq!(resolved("https://a.example"), "https://a.example");
        assert_eq!(resolved("https://a.example?q=/../x"), "https://a.example?q=/../x");
    }
}

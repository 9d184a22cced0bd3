//! Texts of a policy tree within Markdown of ours. A tree comes by pull request: what it says must not become markup,
//! lead anywhere, or call anybody.

use crate::say;

/// A text as it is: no HTML, no link, nobody mentioned, in one line that may be a cell of a table. What we say ourselves
/// has code in it, so backticks stay: nothing between them leads anywhere either.
pub(crate) fn text(text: &str) -> String {
    let mut shown = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        match character {
            '&' => shown.push_str("&amp;"),
            '<' => shown.push_str("&lt;"),
            '\\' | '[' | ']' | '|' => shown.extend(['\\', character]),
            // With nothing to be seen between them the name does not follow the sign.
            '@' => shown.push_str("@&#8203;"),
            _ if say::unseen(character) => shown.push(' '),
            _ => shown.push(character),
        }
    }
    // What hosts of code make links of by themselves.
    shown.replace("://", "&#58;//").replace("www.", "www&#46;")
}

/// A text as a piece of code.
pub(crate) fn code(text: &str) -> String {
    let plain: String = text
        .chars()
        .map(|character| match character {
            '`' => '\'',
            _ if say::unseen(character) => ' ',
            _ => character,
        })
        .collect();
    format!("`{plain}`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_tree_says_is_no_markup() {
        for (from, to) in [
            (
                r"please \[approve here\](https://evil.example)",
                r"please \\\[approve here\\\](https&#58;//evil.example)",
            ),
            ("<img src=x onerror=1>", "&lt;img src=x onerror=1>"),
            ("![i](http://a)", r"!\[i\](http&#58;//a)"),
            ("@everyone", "@&#8203;everyone"),
            ("a | b\n| c", r"a \| b \| c"),
            ("www.evil.example &#64;", "www&#46;evil.example &amp;#64;"),
            ("\u{1b}[31m\u{202e}x", r" \[31m x"),
        ] {
            assert_eq!(text(from), to);
        }
        assert_eq!(code("a`b\nc"), "`a'b c`");
    }
}

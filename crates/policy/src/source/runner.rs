//! What the runner of GitHub Actions would take for a command, among what is said about a tree.
//!
//! The runner reads what a step prints, and does what a line says that begins with `::add-path::` (blanks before it are
//! nothing) or that has `##[add-path]` anywhere. Lines of a tree come by pull request, and are shown beside what is wrong in
//! them.

use std::borrow::Cow;

/// A text for people, in which no line is a command: a blank stands within what would begin one.
pub fn harmless(text: &str) -> Cow<'_, str> {
    if !text.contains("::") && !text.contains("##[") {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 8);
    // The runner takes a carriage return for the end of a line, too.
    for line in text.split_inclusive(['\n', '\r']) {
        let said = begin(line);
        let before = line.get(..line.len() - said.len()).unwrap_or_default();
        safe.push_str(before);
        // Commands are words: `:::`, with which a place is shown, is none.
        let command = said
            .strip_prefix("::")
            .filter(|rest| rest.starts_with(|c: char| c.is_ascii_alphabetic()));
        if command.is_some() {
            safe.push_str(": :");
        }
        safe.push_str(&command.unwrap_or(said).replace("##[", "## ["));
    }
    Cow::Owned(safe)
}

/// What a line says after the blanks and colours at its beginning.
fn begin(line: &str) -> &str {
    let mut rest = line.trim_start();
    while let Some(colour) = rest.strip_prefix("\x1b[") {
        let after = colour.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';');
        match after.strip_prefix('m') {
            Some(after) => rest = after.trim_start(),
            None => break,
        }
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_line_is_a_command() {
        for (said, shown) in [
            ("::set-output name=a::b\n", ": :set-output name=a::b\n"),
            ("a\n  ::error::b", "a\n  : :error::b"),
            ("a\r::error::b", "a\r: :error::b"),
            (
                "\u{a0}\x1b[1;31m ::stop-commands::x",
                "\u{a0}\x1b[1;31m : :stop-commands::x",
            ),
            ("3 | a ##[add-path]/tmp", "3 | a ## [add-path]/tmp"),
            ("###[error]::", "### [error]::"),
        ] {
            assert_eq!(harmless(said), shown, "{said:?}");
        }
        // Places of other files, and what is no line's beginning.
        for said in [
            "  ::: policies/a.yaml:3:1\n",
            "a ::error::b",
            "## [a]",
            "a::b",
            ":: a",
            "",
        ] {
            assert_eq!(harmless(said), said);
        }
    }
}

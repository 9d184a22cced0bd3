//! The comments of a file, which are no part of its document: read by people, and searched for what must not stand there.

use super::yaml::Node;

/// Goes through the comments of a file that may hold what is looked for, each with the byte at which it begins.
///
/// Whether one may is asked once a line, so that a line as long as the file is not gone through for each of its `#`.
pub(crate) fn each(
    text: &str,
    root: &Node,
    may_hold_one: impl Fn(&str) -> bool,
    mut then: impl FnMut(usize, &str),
) {
    let bytes = text.as_bytes();
    // Where the line ends of which nothing more is to be looked at, and the one that may hold something.
    let (mut done, mut promising) = (0, 0);
    let mut texts = None;
    for (at, _) in text.match_indices('#') {
        let before = at.checked_sub(1).and_then(|before| bytes.get(before));
        if at < done || !before.is_none_or(u8::is_ascii_whitespace) {
            continue;
        }
        if at >= promising {
            let rest = text.get(at..).unwrap_or_default();
            let line = rest.lines().next().unwrap_or_default();
            promising = at + line.len();
            // Nearly every comment ends here.
            if !may_hold_one(line) {
                done = promising;
                continue;
            }
        }
        // What looks like a comment may be the text of a node.
        if texts.get_or_insert_with(|| root.texts()).hold(at) {
            continue;
        }
        done = promising;
        then(at, text.get(at..promising).unwrap_or_default());
    }
}

/// The words of a text, each with the byte at which it begins.
pub(crate) fn words(text: &str, ends: impl Fn(char) -> bool + Copy) -> impl Iterator<Item = (usize, &str)> {
    let mut next = 0;
    text.split_inclusive(ends).map(move |word| {
        let at = next;
        next += word.len();
        (at, word.trim_end_matches(ends))
    })
}

//! Characters that are not seen, or that turn the order of those around them: with them a text says something else than
//! whoever reviews it reads (Trojan Source, CVE-2021-42574).
//!
//! Some of them are a part of how words are written: joiners in Persian and in emoji, marks of direction in Hebrew and
//! Arabic. These are let be beside a letter that is not ASCII, in texts for people. In a name none has a place.

/// The first such character of a text for people, with its byte.
pub(crate) fn in_text(text: &str) -> Option<(usize, char)> {
    if text.is_ascii() {
        return None;
    }
    let mut before = '\0';
    text.char_indices().find(|(_, c)| {
        let written_so = is_of_script(*c) && !before.is_ascii();
        before = *c;
        is_hidden(*c) && !written_so
    })
}

/// The first such character of a name.
pub(crate) fn in_name(text: &str) -> Option<char> {
    text.chars().find(|c| is_hidden(*c))
}

/// Whether a character is not seen, or turns the order of those around it.
pub(crate) fn is_hidden(c: char) -> bool {
    is_of_script(c)
        || turns(c)
        || matches!(c, '\u{200b}' | '\u{2060}'..='\u{2064}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}

const fn is_of_script(c: char) -> bool {
    matches!(c, '\u{200c}'..='\u{200f}' | '\u{61c}')
}

const fn turns(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// What is said of such a character: `U+202E, which turns the order of what is shown`.
pub(crate) fn told(c: char) -> String {
    let does = if turns(c) {
        "turns the order of what is shown"
    } else {
        "is not seen"
    };
    format!("U+{:04X}, which {does}", u32::from(c))
}

/// What helps.
pub(crate) const REMEDY: &str =
    "take it out, best by writing the text anew: what is copied may hold more than is seen";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_so_is_let_be() {
        for text in [
            "plain",
            "caf\u{e9}",
            // Persian, a family of emoji, Hebrew with a mark after its last letter.
            "\u{645}\u{6cc}\u{200c}\u{62e}\u{648}\u{627}\u{647}\u{645}",
            "\u{1f469}\u{200d}\u{1f467}",
            "\u{5e9}\u{5dc}\u{200f} 1",
        ] {
            assert_eq!(in_text(text), None, "{text:?}");
        }
        for (text, at, c) in [
            ("a\u{202e}b", 1, '\u{202e}'),
            ("\u{2066}x\u{2069}", 0, '\u{2066}'),
            ("team\u{200b}-a", 4, '\u{200b}'),
            ("ad\u{200d}min", 2, '\u{200d}'),
            ("\u{e9}\u{200b}", 2, '\u{200b}'),
            ("x\u{e0041}", 1, '\u{e0041}'),
        ] {
            assert_eq!(in_text(text), Some((at, c)), "{text:?}");
            assert_eq!(in_name(text), Some(c), "{text:?}");
        }
        assert_eq!(in_name("\u{1f469}\u{200d}\u{1f467}"), Some('\u{200d}'));
    }
}

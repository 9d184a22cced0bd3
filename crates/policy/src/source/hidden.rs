//! Characters that are not seen, or that turn the order of those around them: with them a text says something else than
//! whoever reviews it reads (Trojan Source, CVE-2021-42574).
//!
//! Some of them are a part of how words are written: joiners in Persian and in emoji, marks of direction in Hebrew and
//! Arabic. These are let be beside a letter that is not ASCII, in texts for people, and so are what chooses the form of
//! an emoji or an ideograph, after one, and the letters of a flag. In a name none has a place.

use super::diagnostic::{Code, Report, Span};
use super::yaml::Node;

/// The first such character of a text for people, with its byte.
pub(crate) fn in_text(text: &str) -> Option<(usize, char)> {
    if text.is_ascii() {
        return None;
    }
    let mut before = '\0';
    // Where the letters of a flag end.
    let mut flag = 0;
    text.char_indices().find(|(at, c)| {
        let rest = || text.get(at + c.len_utf8()..).unwrap_or_default();
        if *c == '\u{1f3f4}' {
            flag = at + c.len_utf8() + letters_of_flag(rest());
        }
        let written_so = *at < flag
            || is_of_script(*c) && !before.is_ascii()
            || chooses_form(*c) && has_forms(before, *c, rest());
        before = *c;
        is_hidden(*c) && !written_so
    })
}

/// Reports what turns the order of the comments of a file, once a line. Texts of the document are looked at where they
/// are read.
pub(crate) fn search_comments(file: u32, text: &str, root: &Node, report: &mut Report) {
    if text.is_ascii() {
        return;
    }
    let mut line_ends = 0;
    let mut texts = None;
    for (at, found) in text.match_indices(turns) {
        let Some(c) = found.chars().next().filter(|_| at >= line_ends) else {
            continue;
        };
        if texts.get_or_insert_with(|| root.texts()).hold(at) {
            continue;
        }
        let rest = text.get(at..).unwrap_or_default();
        line_ends = at + rest.find('\n').unwrap_or(rest.len());
        let span = Span::new(file, at, at + found.len());
        report
            .error(Code::BadText, span, format!("a comment holds {}", told(c)))
            .help(REMEDY);
    }
}

/// How many bytes of a text are the letters of a flag, as of Scotland, of which it tells the country.
fn letters_of_flag(text: &str) -> usize {
    let letter = |c: char| matches!(c, '\u{e0030}'..='\u{e0039}' | '\u{e0061}'..='\u{e007a}');
    let rest = text.trim_start_matches(letter);
    let letters = text.len() - rest.len();
    // Up to six, of four bytes each, and their end.
    let whole = (1..=24).contains(&letters) && rest.starts_with('\u{e007f}');
    if whole { letters + 4 } else { 0 }
}

/// The first such character of a name.
pub(crate) fn in_name(text: &str) -> Option<char> {
    text.chars().find(|c| is_hidden(*c))
}

/// Whether a character is not seen, or turns the order of those around it.
pub(crate) fn is_hidden(c: char) -> bool {
    is_of_script(c)
        || turns(c)
        || chooses_form(c)
        || matches!(
            c,
            '\u{ad}' | '\u{34f}' | '\u{115f}' | '\u{1160}' | '\u{180e}' | '\u{200b}'
                | '\u{2060}'..='\u{2064}' | '\u{206a}'..='\u{206f}' | '\u{2800}' | '\u{3164}'
                | '\u{feff}' | '\u{ffa0}' | '\u{e0000}'..='\u{e007f}'
        )
}

/// Variation selectors.
const fn chooses_form(c: char) -> bool {
    matches!(c, '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}')
}

/// Whether a character has forms of which the next one chooses.
fn has_forms(c: char, next: char, rest: &str) -> bool {
    let ideograph = matches!(
        c,
        '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}'
    );
    // Symbols, of which many are emoji as well; and digits on keys.
    let symbol = matches!(
        c,
        '\u{a9}' | '\u{ae}' | '\u{203c}' | '\u{2049}' | '\u{2100}'..='\u{27ff}' | '\u{2900}'..='\u{2bff}'
            | '\u{3030}' | '\u{303d}' | '\u{3297}' | '\u{3299}' | '\u{1f000}'..='\u{1faff}'
    );
    let key = matches!(c, '0'..='9' | '#' | '*') && rest.starts_with('\u{20e3}');
    ideograph || next <= '\u{fe0f}' && (symbol || key)
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
            // A heart, a key of a telephone, two forms of ideographs, the flag of Scotland.
            "\u{2764}\u{fe0f}\u{200d}\u{1f525}",
            "1\u{fe0f}\u{20e3}",
            "\u{8fbb}\u{e0100}\u{8fbb}\u{fe00}",
            "\u{1f3f4}\u{e0067}\u{e0062}\u{e0073}\u{e0063}\u{e0074}\u{e007f}!",
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
            ("x\u{fe0f}", 1, '\u{fe0f}'),
            ("1\u{fe0f}", 1, '\u{fe0f}'),
            ("\u{2764}\u{e0100}", 3, '\u{e0100}'),
            ("\u{1f3f4}\u{e0067}", 4, '\u{e0067}'),
            ("a\u{ad}b", 1, '\u{ad}'),
            ("a\u{34f}b", 1, '\u{34f}'),
            ("a\u{115f}b", 1, '\u{115f}'),
            ("a\u{1160}b", 1, '\u{1160}'),
            ("a\u{180e}b", 1, '\u{180e}'),
            ("a\u{206a}b", 1, '\u{206a}'),
            ("a\u{2800}b", 1, '\u{2800}'),
            ("a\u{3164}b", 1, '\u{3164}'),
            ("a\u{ffa0}b", 1, '\u{ffa0}'),
        ] {
            assert_eq!(in_text(text), Some((at, c)), "{text:?}");
            assert_eq!(in_name(text), Some(c), "{text:?}");
        }
        // One form is chosen, and no more.
        assert_eq!(in_text("\u{8fbb}\u{e0100}\u{e0101}"), Some((7, '\u{e0101}')));
        assert_eq!(in_name("\u{1f469}\u{200d}\u{1f467}"), Some('\u{200d}'));
    }
}

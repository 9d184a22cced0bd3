//! Letters of other alphabets that look like those of names: who reads `plаn` cannot see that its `а` is none of the
//! letters of `plan`.

use std::borrow::Cow;

/// Each with what it looks like: Cyrillic, Greek, Armenian, Latin that is not ASCII, and dashes.
const ALIKE: &[(char, &str)] = &[
    ('a', "\u{430}\u{3b1}\u{251}"),
    ('b', "\u{184}\u{42c}"),
    ('c', "\u{441}\u{3f2}"),
    ('d', "\u{501}"),
    ('e', "\u{435}\u{4bd}"),
    ('g', "\u{261}\u{581}"),
    ('h', "\u{4bb}\u{570}"),
    ('i', "\u{456}\u{3b9}\u{131}\u{269}"),
    ('j', "\u{458}\u{3f3}"),
    ('k', "\u{43a}\u{3ba}"),
    ('l', "\u{4cf}\u{217c}\u{2113}"),
    ('m', "\u{43c}\u{217f}"),
    ('n', "\u{578}\u{57c}"),
    ('o', "\u{43e}\u{3bf}\u{585}\u{3c3}"),
    ('p', "\u{440}\u{3c1}"),
    ('q', "\u{51b}\u{566}"),
    ('r', "\u{433}"),
    ('s', "\u{455}"),
    ('t', "\u{442}\u{3c4}"),
    ('u', "\u{57d}\u{3c5}\u{28b}"),
    ('v', "\u{3bd}\u{475}\u{2174}"),
    ('w', "\u{51d}\u{461}\u{3c9}"),
    ('x', "\u{445}\u{3c7}\u{2179}"),
    ('y', "\u{443}\u{4af}\u{3b3}"),
    ('A', "\u{410}\u{391}"),
    ('B', "\u{412}\u{392}"),
    ('C', "\u{421}\u{3f9}"),
    ('E', "\u{415}\u{395}"),
    ('H', "\u{41d}\u{397}"),
    ('I', "\u{406}\u{399}\u{4c0}"),
    ('J', "\u{408}"),
    ('K', "\u{41a}\u{39a}"),
    ('M', "\u{41c}\u{39c}"),
    ('N', "\u{39d}"),
    ('O', "\u{41e}\u{39f}"),
    ('P', "\u{420}\u{3a1}"),
    ('S', "\u{405}"),
    ('T', "\u{422}\u{3a4}"),
    ('X', "\u{425}\u{3a7}"),
    ('Y', "\u{423}\u{3a5}"),
    ('Z', "\u{396}"),
    ('-', "\u{2010}\u{2011}\u{2012}\u{2013}\u{2014}\u{2212}"),
];

/// What a character looks like, where that is another one of ASCII.
fn looks_like(c: char) -> Option<char> {
    // The wide ones of Chinese and Japanese keyboards.
    if let wide @ '\u{ff01}'..='\u{ff5e}' = c {
        return char::from_u32(u32::from(wide) - 0xfee0);
    }
    let found = ALIKE.iter().find(|(_, alike)| alike.contains(c));
    found.filter(|_| !c.is_ascii()).map(|(plain, _)| *plain)
}

/// A name as it looks.
pub(crate) fn plain(name: &str) -> Cow<'_, str> {
    if name.is_ascii() {
        return Cow::Borrowed(name);
    }
    Cow::Owned(name.chars().map(|c| looks_like(c).unwrap_or(c)).collect())
}

/// What is to be said of a name beside what it is, where it is not what it looks like: which letter, and what of.
pub(crate) fn told(name: &str) -> String {
    // What has other letters as well is a word of that alphabet, and looks like one.
    if name.is_ascii() || !plain(name).is_ascii() {
        return String::new();
    }
    let first = name.chars().find_map(|c| Some((c, looks_like(c)?)));
    first.map_or_else(String::new, |(c, plain)| {
        format!(", with U+{:04X} in the place of `{plain}`", u32::from(c))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_like_another_letter_is_named() {
        assert_eq!(told("m\u{43e}dels"), ", with U+043E in the place of `o`");
        assert_eq!(told("max\u{ff3f}body"), ", with U+FF3F in the place of `_`");
        assert_eq!(plain("\u{440}l\u{430}n"), "plan");
        for fine in ["models", "Größe", "модели", ""] {
            assert_eq!(told(fine), "", "{fine}");
        }
        for (plain, alike) in ALIKE {
            for c in alike.chars() {
                assert!(!c.is_ascii() && looks_like(c) == Some(*plain), "{c} {plain}");
            }
        }
    }
}

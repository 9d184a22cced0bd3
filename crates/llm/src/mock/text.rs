//! The texts of scripted answers: filled in, counted, cut into the pieces of a stream.

/// Fills in `{{last_user_message}}` and `{{model}}`, in one pass: what was filled in is text and
/// never looked at again.
pub(super) fn fill(template: &str, model: &str, user_text: &str) -> String {
    let mut out = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        out.push_str(before);
        if let Some(after) = after.strip_prefix("last_user_message}}") {
            out.push_str(user_text);
            rest = after;
        } else if let Some(after) = after.strip_prefix("model}}") {
            out.push_str(model);
            rest = after;
        } else {
            // One brace only: the next one may open a mark.
            out.push('{');
            rest = rest.get(before.len() + 1..).unwrap_or_default();
        }
    }
    out.push_str(rest);
    out
}

/// Tokens of a text, for mocks: for each word between white space one for every four bytes begun.
pub fn count_tokens(text: &str) -> u64 {
    text.split_whitespace()
        .map(|word| word.len().div_ceil(4) as u64)
        .sum()
}

/// The text cut before each run of white space that follows a word: `Hello`, ` there`, ` you`.
pub(super) fn words(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let lead = rest
            .find(|character: char| !character.is_whitespace())
            .unwrap_or(rest.len());
        let end = rest
            .get(lead..)
            .and_then(|word| word.find(char::is_whitespace))
            .map_or(rest.len(), |length| lead + length);
        let (piece, tail) = rest
            .split_at_checked(end)
            .filter(|(piece, _)| !piece.is_empty())?;
        rest = tail;
        Some(piece)
    })
}

/// The text cut into fragments of a few characters, as arguments come in a stream.
pub(super) fn fragments(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let end = rest.ceil_char_boundary(8);
        let (piece, tail) = rest
            .split_at_checked(end)
            .filter(|(piece, _)| !piece.is_empty())?;
        rest = tail;
        Some(piece)
    })
}

/// An id: `prefix` and `length` letters and digits drawn from `seed`.
pub(super) fn id(prefix: &str, seed: u64, length: usize) -> String {
    const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let mut out = String::with_capacity(prefix.len() + length);
    out.push_str(prefix);
    let mut state = seed;
    let mut bits = 0;
    for index in 0..length {
        if index % 12 == 0 {
            // SplitMix64 (Steele, Lea and Flood 2014).
            state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
            bits = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            bits ^= bits >> 31;
        }
        let letter = usize::try_from(bits & 31)
            .ok()
            .and_then(|letter| ALPHABET.get(letter));
        out.push(char::from(letter.copied().unwrap_or(b'a')));
        bits >>= 5;
    }
    out
}

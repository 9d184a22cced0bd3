//! The end of an event that was passed on by half.
//!
//! What a client has of it cannot be taken back: an empty line would hand it a chunk that is no JSON, and the SDKs
//! would raise that (`SyntaxError`, `JSONDecodeError`), not why it came to that. So the chunk is made whole and told
//! to be an error: what is open in it is closed, and `error` is its last member, for which the SDKs raise their own
//! exception and hand out nothing of the chunk (`openai` of npm and `PyPI`: `if data.error`). Where no whole chunk can
//! be made of it, as of half a `[DONE]`, a client that reads events in order fails at it.
//!
//! The error follows as an event of its own in any case: a client may have got less than was seen of the stream, or more,
//! and no client may take what it has for whole. No empty line is written that ends nothing: after an `event` or an
//! `id` some readers take one for an event without data.

use serde::de::IgnoredAny;

use crate::error::event_of;
use crate::sse::{self, At};

/// The longest data that are made whole, in bytes.
const MOST: usize = 64 * 1024;

/// What follows `pending`, the begin of an event or nothing, so that its reader learns of an error; `body` is that of
/// the error, as [`crate::error::body`] writes it.
pub fn told(pending: &[u8], body: &[u8]) -> Vec<u8> {
    let event = event_of(body);
    let (data, at) = sse::begun(pending);
    if !data.trim_ascii().is_empty() {
        let rest = completed(&data, body).unwrap_or_default();
        let before: &[u8] = match at {
            At::Data => b"",
            _ if rest.is_empty() => b"",
            At::Line => b"data: ",
            At::Other => b"\ndata: ",
        };
        // After a CR the first LF ends no other line.
        let ended = rest.is_empty() && at == At::Line && !pending.ends_with(b"\r");
        let end: &[u8] = if ended { b"\n" } else { b"\n\n" };
        return [before, &*rest, end, &*event].concat();
    }
    // It has no data yet: its data are the error.
    match at {
        At::Data => [body, b"\n\n", &*event].concat(),
        At::Line => [&*event, &*event].concat(),
        At::Other => [b"\n".as_slice(), &*event, &*event].concat(),
    }
}

/// What makes JSON that ends anywhere an object whose last member is the one of `body`; none, where there is nothing
/// open, or what is open is no object.
fn completed(text: &[u8], body: &[u8]) -> Option<Vec<u8>> {
    /// Of what is open: nothing, a value, a name's value, a member, the rest of a number or of a word.
    const LEAVES: [&str; 14] = [
        "",
        "null",
        ":null",
        "\"\":null",
        "0",
        "rue",
        "ue",
        "e",
        "alse",
        "lse",
        "se",
        "ull",
        "ll",
        "l",
    ];
    let member = body.strip_prefix(b"{")?;
    let mut whole = text.get(..text.len().min(MOST + 1))?.to_vec();
    let (open, string) = open(&whole);
    if whole.len() > MOST || open.first() != Some(&b'}') {
        return None;
    }
    if let Some(escape) = string {
        finish_character(&mut whole);
        whole.extend_from_slice(escape.rest());
        whole.push(b'"');
    }
    let leaves = LEAVES.iter().step_by(if string.is_some() { 2 } else { 1 });
    let inner: Vec<u8> = open.iter().skip(1).rev().copied().collect();
    let stem = whole.len();
    for leaf in leaves {
        for comma in [b",".as_slice(), b""] {
            whole.truncate(stem);
            for part in [leaf.as_bytes(), &inner, comma, member] {
                whole.extend_from_slice(part);
            }
            if serde_json::from_slice::<IgnoredAny>(&whole).is_ok() {
                return whole.get(text.len()..).map(<[u8]>::to_vec);
            }
        }
    }
    None
}

/// How far an escape of a string has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Escape {
    /// There is none.
    None,
    /// Its backslash.
    Begun,
    /// So many of the four digits of a character's number.
    Digits(usize),
}

impl Escape {
    /// What it lacks.
    fn rest(self) -> &'static [u8] {
        match self {
            Self::None => b"",
            Self::Begun => b"\\",
            Self::Digits(had) => b"0000".get(had..).unwrap_or_default(),
        }
    }
}

/// What closes the arrays and objects that are open at the end of a text, from the outermost on; and whether a string
/// is.
fn open(text: &[u8]) -> (Vec<u8>, Option<Escape>) {
    let mut closers = Vec::new();
    let mut string = None;
    for byte in text {
        string = match (string, byte) {
            (Some(Escape::Begun), b'u') => Some(Escape::Digits(0)),
            (Some(Escape::Digits(had)), _) if had < 3 => Some(Escape::Digits(had + 1)),
            (Some(Escape::None), b'\\') => Some(Escape::Begun),
            (Some(Escape::None), b'"') => None,
            (Some(_), _) | (None, b'"') => Some(Escape::None),
            (None, _) => None,
        };
        match (string, byte) {
            (None, b'{') => closers.push(b'}'),
            (None, b'[') => closers.push(b']'),
            (None, b'}' | b']') => {
                closers.pop();
            }
            _ => {}
        }
    }
    (closers, string)
}

/// Makes whole a character at the end of which bytes are missing: some readers take nothing that is not UTF-8.
fn finish_character(text: &mut Vec<u8>) {
    while let Err(error) = str::from_utf8(text)
        && error.error_len().is_none()
    {
        let length = text.len();
        // Of what may follow a first byte one of these always may.
        let next = [0x80, 0xA0, 0x90].into_iter().find(|next| {
            text.truncate(length);
            text.push(*next);
            str::from_utf8(text).map_or_else(|error| error.error_len().is_none(), |_| true)
        });
        if next.is_none() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::sse::Decoder;

    /// The events of a stream, as JSON where they are that.
    fn events(stream: &[u8]) -> Vec<Option<Value>> {
        let mut events = Vec::new();
        let fed = Decoder::default().feed(stream, |block| {
            events.extend(block.event.map(|event| serde_json::from_slice(event.data).ok()));
        });
        fed.expect("no event is too large");
        events
    }

    fn error() -> Vec<u8> {
        crate::error::body(502, "stream_cut", "It was \"cut\".", "r1", None, None)
    }

    /// What a client is told that has the first bytes of a stream.
    fn after(stream: &[u8]) -> Vec<Option<Value>> {
        let mut decoder = Decoder::default();
        decoder.feed(stream, |_| {}).expect("no event is too large");
        events(&[stream, &told(decoder.pending(), &error())].concat())
    }

    const CHUNK: &str = r#"{"id":"é😀\u00e9\"}","n":-1.5e+3,"choices":[{"index":0,"delta":{"content":"[\"日","x":[[],{}]},"ok":true,"no":false,"finish_reason":null}],"s": {"a" : [ 1 , 2 ] } }"#;

    #[test]
    fn wherever_a_chunk_is_cut_its_reader_is_told_of_the_error() {
        for lines in [
            format!("data: {CHUNK}\n\n"),
            format!("event: x\r\nid: 1\r\ndata:{CHUNK}\r\n\r\n"),
            format!("data: {}\n\n", CHUNK.replace(",\"", "\ndata: ,\"")),
        ] {
            let stream = ["data: {}\n\n", &lines].concat();
            for end in 0..stream.len() {
                let told = after(&stream.as_bytes()[..end]);
                let whole = usize::from(end > 9);
                // What is whole, then one that says so, at the latest.
                let at = told.iter().position(|event| {
                    event
                        .as_ref()
                        .is_some_and(|event| event["error"]["code"] == "stream_cut")
                });
                let at = at.unwrap_or_else(|| panic!("cut at {end}: {told:?}"));
                assert!(
                    at >= whole && told[..at].iter().all(Option::is_some),
                    "cut at {end}: {told:?}"
                );
                assert!(told.last().unwrap().as_ref().unwrap()["error"]["request_id"] == "r1");
            }
        }
    }

    #[test]
    fn no_reader_is_handed_an_event_without_data() {
        let stream = format!("retry: 1\n\nevent: x\nid: 1\ndata: {CHUNK}\n\n");
        for end in 0..=stream.len() {
            let begun = &stream.as_bytes()[..end];
            let mut decoder = Decoder::default();
            decoder.feed(begun, |_| {}).expect("no event is too large");
            let whole = [begun, &told(decoder.pending(), &error())].concat();
            let whole = String::from_utf8(whole).expect("text");
            let mut blocks = whole.trim_end().split("\n\n").skip(usize::from(end > 9));
            assert!(
                blocks.all(|block| block.contains("data:")),
                "cut at {end}: {whole}"
            );
        }
        let marked = events(
            &[
                b"\xEF\xBB\xBFdata: {\"a\":1".as_slice(),
                &told(b"\xEF\xBB\xBFdata: {\"a\":1", &error()),
            ]
            .concat(),
        );
        assert!(marked.iter().all(|event| {
            event
                .as_ref()
                .is_some_and(|event| event["error"]["code"] == "stream_cut")
        }));
    }

    #[test]
    fn a_megabyte_of_lines_is_not_copied_for_each_of_them() {
        // Where it is, this takes minutes.
        let told = told(&b"data\n".repeat(200_000), &error());
        assert!(told.ends_with(&event_of(&error())));
    }

    #[test]
    fn what_cannot_be_made_whole_is_followed_by_the_error() {
        for data in [
            "[DO",
            "{\"a\":x",
            "{]",
            "\"a",
            "[1,",
            "1",
            "{\"a\":\"\\x",
            "{\"a\" \"b",
        ] {
            let told = after(format!("data: {data}").as_bytes());
            assert!(
                told.len() == 2 && told[0].as_ref().is_none_or(|event| !event.is_object()),
                "{data}: {told:?}"
            );
            assert_eq!(told[1].as_ref().unwrap()["error"]["code"], "stream_cut");
        }
        let long = format!("data: {{\"a\":\"{}", "x".repeat(MOST));
        assert!(after(long.as_bytes())[0].is_none());
    }

    #[test]
    fn what_was_passed_on_is_valid_text() {
        for text in ["é", "日", "😀", "\u{d7ff}", "\u{e000}", "\u{10ffff}", "ࠀ"] {
            for end in 1..text.len() {
                let half = [b"data: {\"a\":\"", &text.as_bytes()[..end]].concat();
                let whole = [half.clone(), told(&half, &error())].concat();
                assert!(str::from_utf8(&whole).is_ok(), "{text} {end}");
                assert!(events(&whole)[0].is_some(), "{text} {end}");
            }
        }
    }
}

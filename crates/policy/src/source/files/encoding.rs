//! Files that are not text in UTF-8: where that begins, and what they were probably saved as.

use std::fmt::Write as _;

use super::super::diagnostic::{Code, Report, Span};
use super::super::secrets;
use super::Files;

const REMEDY: &str = "save the file as UTF-8: editors call it the encoding that they save with";

/// Reports a file that is not UTF-8 from a byte on.
pub(super) fn report_other(path: &str, bytes: &[u8], at: usize, report: &mut Report) -> Span {
    let wide = match bytes {
        [0xff, 0xfe, 0, 0, ..] | [0, 0, 0xfe, 0xff, ..] => Some("UTF-32"),
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => Some("UTF-16"),
        _ => None,
    };
    let wrong = if let Some(wide) = wide {
        Some((
            format!("the file is {wide}, as its first bytes say, and not UTF-8"),
            REMEDY,
        ))
    } else if bytes.contains(&0) {
        let message = format!("the file is no text: the byte {at} is not UTF-8");
        Some((message, "a compressed or binary file has no place in the tree"))
    } else {
        None
    };
    if let Some((message, help)) = wrong {
        let span = Files::place(path, report);
        report.error(Code::NotUtf8, span, message).help(help);
        return span;
    }
    // What stands before is as it was, so that the place is right.
    let text = String::from_utf8_lossy(bytes);
    let file = report.add_file(path.to_owned(), &text);
    secrets::search_text(file, &text, report);
    let span = Span::new(file, at, at + char::REPLACEMENT_CHARACTER.len_utf8());
    let byte = bytes.get(at).copied().unwrap_or_default();
    let meant = char::from(byte);
    let mut message = format!("the byte 0x{byte:02X} is not UTF-8");
    if meant.is_alphabetic() {
        let _ = write!(message, ": in Latin-1 it is `{meant}`");
    }
    report.error(Code::NotUtf8, span, message).help(REMEDY);
    Span::new(file, 0, 0)
}

//! One file of a tree: opened within the bounds, parsed, and looked through for what must not be in it.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use super::super::diagnostic::{Code, Report, Span};
use super::super::yaml::{self, Node};
use super::super::{hidden, secrets};
use super::{Files, Item, MAX_FILE, encoding};

impl Files {
    /// Reads a file of the tree and makes it known to the report. The second part is nothing if it
    /// cannot be read, and that was reported.
    fn open(&mut self, path: &str, full: &Path, report: &mut Report) -> (Span, Option<String>) {
        self.read.insert(path.to_owned());
        let mut refuse = |code, why: String| {
            let span = Self::place(path, report);
            report.error(code, span, why);
            (span, None)
        };
        let size = fs::metadata(full).map_or(0, |metadata| metadata.len());
        self.total = self.total.saturating_add(size);
        if size > MAX_FILE {
            return refuse(
                Code::TooLarge,
                format!("the file has more than {} MiB", MAX_FILE >> 20),
            );
        }
        if self.total > self.most {
            return refuse(
                Code::TooLarge,
                format!("the files have more than {} MiB in all", self.most >> 20),
            );
        }
        let bytes = match fs::read(full) {
            Ok(bytes) => bytes,
            Err(error) => return refuse(Code::Unreadable, format!("the file cannot be read: {error}")),
        };
        match String::from_utf8(bytes) {
            Ok(text) => {
                let text = text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text);
                (
                    Span::new(report.add_file(path.to_owned(), &text), 0, 0),
                    Some(text),
                )
            }
            Err(error) => {
                let at = error.utf8_error().valid_up_to();
                (encoding::report_other(path, error.as_bytes(), at, report), None)
            }
        }
    }

    pub(super) fn item(&mut self, name: &str, path: &str, full: &Path, report: &mut Report) -> Item {
        self.placed.insert(path.to_owned());
        let left = self.most.saturating_sub(self.total);
        if let Some(parsed) = self.shelf.get(path).filter(|parsed| parsed.size <= left) {
            self.read.insert(path.to_owned());
            self.total += parsed.size;
            report.take_over(&parsed.found);
            return Item {
                name: name.to_owned(),
                span: Span::new(parsed.file, 0, 0),
                node: parsed.node.clone(),
            };
        }
        let (span, text) = self.open(path, full, report);
        let node = text.and_then(|text| parse(span.file, &text, report));
        Item {
            name: name.to_owned(),
            span,
            node: node.map(Arc::new),
        }
    }
}

/// Parses a file of the tree, and looks for what must not be in it.
pub(super) fn parse(file: u32, text: &str, report: &mut Report) -> Option<Node> {
    let mark = '\u{feff}';
    // The first one, which says how the text is encoded, is none of it: one that follows it would be, and is not seen.
    if text.starts_with(mark) {
        report
            .error(
                Code::BadText,
                Span::new(file, 0, mark.len_utf8()),
                "the file begins with U+FEFF, which is not seen, more than once",
            )
            .help("save the file as UTF-8 with one mark of the order of bytes, or better with none");
        secrets::search_text(file, text, report);
        return None;
    }
    let node = yaml::parse(file, text, report)?;
    secrets::search(&node, report);
    secrets::search_comments(file, text, &node, report);
    hidden::search_comments(file, text, &node, report);
    Some(node)
}

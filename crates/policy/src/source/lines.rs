//! The lines of files: where a place is, and what of it is shown.

use std::ops::Range;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use annotate_snippets::AnnotationKind;

use super::diagnostic::Span;

/// How much of a line is shown.
const MAX_LINE: usize = 2_000;

/// A file that was read. Builds of several environments share its text.
#[derive(Debug)]
pub(crate) struct Source {
    /// As shown.
    pub(crate) path: Arc<str>,
    /// Its text, with what must not be shown masked.
    pub(crate) text: Arc<String>,
    /// The byte at which each line begins, once somebody asks: of most files nobody does.
    lines: Arc<OnceLock<Box<[u32]>>>,
    /// Up to which byte of which line characters were counted last, and how many: a long line is
    /// not gone through anew for each of its faults.
    counted: Mutex<(usize, usize, usize)>,
}

/// A part of a file with marks in it.
pub(crate) struct Picture<'a> {
    pub(crate) text: &'a str,
    pub(crate) first_line: usize,
    pub(crate) marks: Vec<(Range<usize>, &'a str, AnnotationKind)>,
}

impl Clone for Source {
    fn clone(&self) -> Self {
        Self {
            path: Arc::clone(&self.path),
            text: Arc::clone(&self.text),
            lines: Arc::clone(&self.lines),
            counted: Mutex::default(),
        }
    }
}

impl Source {
    /// Of a file of less than 4 GiB.
    pub(crate) fn new(path: String, text: Arc<String>) -> Self {
        Self {
            path: path.into(),
            lines: Arc::default(),
            text,
            counted: Mutex::default(),
        }
    }

    fn lines(&self) -> &[u32] {
        self.lines.get_or_init(|| {
            let breaks = (1_u32..).zip(self.text.bytes()).filter(|(_, b)| *b == b'\n');
            std::iter::once(0).chain(breaks.map(|(after, _)| after)).collect()
        })
    }

    /// Shows another text, of as many bytes and lines, in a place.
    pub(crate) fn replace(&mut self, place: Range<usize>, with: &str) {
        // Copied once at most, where a build for another environment has it too: a large file may have many.
        Arc::make_mut(&mut self.text).replace_range(place, with);
        self.counted = Mutex::default();
    }

    /// Line and column (in characters), both from 1.
    pub(crate) fn place(&self, at: usize) -> (u32, u32) {
        let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let before = self.lines().partition_point(|start| *start <= number(at));
        let line = before.max(1);
        let start = self.start_of(line).unwrap_or(0);
        let at = at.min(self.text.len());
        let mut last = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        let (counted_line, counted_to, counted) = *last;
        let known =
            (counted_line == start && (start..=at).contains(&counted_to)).then_some((counted_to, counted));
        let (from, characters) = known.unwrap_or((start, 0));
        let between = self.text.get(from..at);
        let column = characters + between.map_or(0, |text| text.chars().count());
        if between.is_some() && (known.is_some() || counted_line != start) {
            *last = (start, at, column);
        }
        (number(line), number(column + 1))
    }

    /// The byte at which a line begins, the first being 1.
    fn start_of(&self, line: usize) -> Option<usize> {
        let start = self.lines().get(line.checked_sub(1)?)?;
        usize::try_from(*start).ok()
    }

    /// The lines that hold the marks. Marks far apart get a picture each, so that a large file is
    /// not gone through for each of its faults.
    pub(crate) fn pictures<'a>(&'a self, marks: &[(Span, &'a str, AnnotationKind)]) -> Vec<Picture<'a>> {
        let mut pictures: Vec<Picture<'a>> = Vec::new();
        for (span, text, kind) in marks {
            let (line, _) = self.place(span.start);
            let line = usize::try_from(line).unwrap_or(1);
            let start = self.start_of(line).unwrap_or(0);
            let end = self.start_of(line + 1).unwrap_or(self.text.len());
            let whole = self
                .text
                .get(start..end)
                .unwrap_or("")
                .trim_end_matches(['\n', '\r']);
            let mut cut = whole.len().min(MAX_LINE);
            while !whole.is_char_boundary(cut) {
                cut -= 1;
            }
            let shown = whole.get(..cut).unwrap_or("");
            // A mark ends with its line, and never inside a character.
            let (mut from, mut to) = (span.start.saturating_sub(start), span.end.saturating_sub(start));
            from = from.min(shown.len());
            to = to.clamp(from, shown.len());
            while !shown.is_char_boundary(from) {
                from -= 1;
            }
            while !shown.is_char_boundary(to) {
                to += 1;
            }
            let mark = (from..to, *text, *kind);
            match pictures.iter_mut().find(|picture| picture.first_line == line) {
                Some(picture) => picture.marks.push(mark),
                None => pictures.push(Picture {
                    text: shown,
                    first_line: line,
                    marks: vec![mark],
                }),
            }
        }
        pictures
    }
}

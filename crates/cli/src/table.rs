//! Tables for people: columns as wide as they must be.

use crate::say;

/// Rows under a heading. The last column is not padded.
#[derive(Debug, Default)]
pub(crate) struct Table {
    head: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(head: &[&str]) -> Self {
        Self {
            head: head.iter().map(|&cell| cell.to_owned()).collect(),
            rows: Vec::new(),
        }
    }

    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows
            .push(cells.into_iter().map(|cell| say::visible(&cell)).collect());
    }

    /// The table, each line after `indent`.
    pub(crate) fn text(&self, indent: &str) -> String {
        let head = Some(&self.head).filter(|head| !head.is_empty());
        let lines: Vec<&Vec<String>> = head.into_iter().chain(&self.rows).collect();
        let columns = lines.iter().map(|line| line.len()).max().unwrap_or(0);
        let width = |column: usize| {
            let cells = lines.iter().filter_map(|line| line.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let mut text = String::new();
        for (number, line) in lines.iter().enumerate() {
            let mut row = indent.to_owned();
            for (cell, width) in line.iter().zip(&widths) {
                row.push_str(cell);
                let pad = width.saturating_sub(cell.chars().count()) + 2;
                row.extend(std::iter::repeat_n(' ', pad));
            }
            let row = row.trim_end();
            if number == 0 && head.is_some() {
                text.push_str(&crate::say::bold(row));
            } else {
                text.push_str(row);
            }
            text.push('\n');
        }
        text
    }
}

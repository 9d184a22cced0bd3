//! What is on one line: the blanks between a key and its value, and what is in brackets: `{ a: 1, b: [c, d] }`.

use std::ops::Range;

use crate::outline::{Kind, Node};

/// The spelling of all that is on one line and written otherwise, in the order of the text.
pub(super) fn edits(root: &Node, text: &str) -> Vec<(Range<usize>, String)> {
    let mut edits = Vec::new();
    collect(root, text, &mut edits);
    edits.sort_by_key(|(range, _)| range.start);
    edits
}

fn collect(node: &Node, text: &str, edits: &mut Vec<(Range<usize>, String)>) {
    match &node.kind {
        Kind::List { flow: false, items } => {
            for item in items {
                collect(item, text, edits);
            }
        }
        Kind::Map { flow: false, entries } => {
            for (key, value) in entries {
                let between = text.get(key.bytes.end..value.bytes.start).unwrap_or_default();
                let rest = between.trim_start_matches([' ', '\t']);
                let rest = rest
                    .strip_prefix(':')
                    .map(|rest| rest.trim_start_matches([' ', '\t']));
                // A value on the next line is moved with it; a comment and a tag are their author's.
                if let Some(rest) = rest.filter(|rest| rest.is_empty() || rest.starts_with(['|', '>']))
                    && !value.is_null()
                {
                    let end = key.bytes.end + between.len() - rest.len();
                    if text.get(key.bytes.end..end) != Some(": ") {
                        edits.push((key.bytes.end..end, ": ".to_owned()));
                    }
                }
                collect(value, text, edits);
            }
        }
        Kind::Scalar { .. } => {}
        Kind::List { .. } | Kind::Map { .. } => {
            let written = text.get(node.bytes.clone()).unwrap_or_default();
            if written.contains('\n') {
                return;
            }
            // What is spelt in a way that is not known here is left as it is.
            if let Some(spelt) = spell(node, text).filter(|spelt| spelt != written) {
                edits.push((node.bytes.clone(), spelt));
            }
        }
    }
}

fn spell(node: &Node, text: &str) -> Option<String> {
    let written = text.get(node.bytes.clone())?;
    match &node.kind {
        Kind::Scalar { .. } => (!written.is_empty()).then(|| written.to_owned()),
        Kind::List { items, .. } => {
            let items: Option<Vec<_>> = items.iter().map(|item| spell(item, text)).collect();
            written.starts_with('[').then_some(())?;
            Some(format!("[{}]", items?.join(", ")))
        }
        Kind::Map { entries, .. } => {
            written.starts_with('{').then_some(())?;
            let entries: Option<Vec<_>> = entries
                .iter()
                .map(|(key, value)| Some(format!("{}: {}", spell(key, text)?, spell(value, text)?)))
                .collect();
            let entries = entries?;
            Some(if entries.is_empty() {
                "{}".to_owned()
            } else {
                format!("{{ {} }}", entries.join(", "))
            })
        }
    }
}

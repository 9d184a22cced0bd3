//! Writes an `operationId` into the text of an OpenAPI document for each operation that has none, as a person would.
//!
//! Nothing else in the text changes: comments, order and spacing stay. That what it says stays too is looked at
//! before a text is given back: read again it is the document of before, with these ids.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use serde_json::{Value as Json, json};
use turnpike_policy::source::{Earlier, Unnamed, parse_document, unnamed};

use crate::edit::{above_comments, line_start};
use crate::new::scalar;
use crate::{say, words};

/// A document in which every operation has an id.
#[derive(Debug)]
pub(crate) struct Named {
    pub(crate) text: String,
    /// The operations that had none, in the order of the document.
    pub(crate) given: Vec<Unnamed>,
}

/// Gives the operations of a document their ids: those that they have in earlier versions, where there are some. The
/// error says which cannot get one, where, and what to do.
pub(crate) fn named(text: &str, earlier: &Earlier) -> Result<Named, String> {
    let (mark, body) = match text.strip_prefix('\u{feff}') {
        Some(body) => ("\u{feff}", body),
        None => ("", text),
    };
    let given = unnamed(body, earlier);
    if given.is_empty() {
        let text = text.to_owned();
        return Ok(Named { text, given });
    }
    let mut aliases = given.iter().filter_map(|one| one.alias.map(|at| (one, at)));
    if let Some((one, at)) = aliases.next() {
        let (line, column) = place(body, at);
        let more = match aliases.count() {
            0 => String::new(),
            more => format!("; {more} more are so too"),
        };
        return Err(format!(
            "line {line}, column {column}: {} is written as an alias, into which no `operationId` of its own can be \
             written: write out here what it stands for{more}",
            shown(one)
        ));
    }
    match inserted(body, &given).filter(|after| is_same(body, after, &given)) {
        Some(after) => Ok(Named {
            text: format!("{mark}{after}"),
            given,
        }),
        None => Err(format!(
            "operations without an `operationId` are written in a way in which none can be added: write these \
             yourself\n{}",
            lines(&given)
        )),
    }
}

/// The list of what was given, for people; nothing where nothing was.
pub(crate) fn listed(given: &[Unnamed], document: &Path) -> String {
    if given.is_empty() {
        return String::new();
    }
    let have = if given.len() == 1 { "has" } else { "have" };
    format!(
        "\n{} had no `operationId`, and {have} one in {}:\n{}",
        words::count(given.len(), "operation"),
        document.display(),
        lines(given)
    )
}

/// The same for programs, as a whole.
pub(crate) fn json(given: &[Unnamed]) -> Json {
    let given = given.iter();
    given
        .map(|one| json!({ "id": one.id, "method": one.method, "path": one.path }))
        .collect()
}

fn lines(given: &[Unnamed]) -> String {
    const MOST: usize = 20;
    let mut lines = String::new();
    for one in given.iter().take(MOST) {
        let _ = writeln!(lines, "  {}: {}", say::bold(&one.id), shown(one));
    }
    let more = given.len().saturating_sub(MOST);
    if more > 0 {
        let _ = writeln!(lines, "  and {more} more");
    }
    lines
}

/// `GET /pets`, in one line and not too long.
fn shown(one: &Unnamed) -> String {
    let path: String = one.path.chars().take(120).collect();
    format!("{} {}", one.method, say::visible(&path))
}

/// Line and column of a byte, from 1.
fn place(text: &str, at: usize) -> (usize, usize) {
    let start = line_start(text, at);
    let count = |part: Option<&str>, what: fn(char) -> bool| {
        part.map_or(0, |part| part.chars().filter(|c| what(*c)).count()) + 1
    };
    (
        count(text.get(..start), |c| c == '\n'),
        count(text.get(start..at), |_| true),
    )
}

/// The text with every id; nothing where the shape of an operation is not plainly understood.
fn inserted(text: &str, given: &[Unnamed]) -> Option<String> {
    let pieces: Option<Vec<_>> = given.iter().map(|one| piece(text, one)).collect();
    let mut pieces = pieces?;
    // A document may tell paths in another order than that in which their operations stand.
    pieces.sort_by_key(|(at, _)| *at);
    let mut whole = String::with_capacity(text.len() + pieces.len() * 64);
    let mut from = 0;
    for (at, piece) in pieces {
        whole.push_str(text.get(from..at)?);
        whole.push_str(&piece);
        from = at;
    }
    whole.push_str(text.get(from..)?);
    Some(whole)
}

/// What is inserted for one operation, and before which byte.
fn piece(text: &str, one: &Unnamed) -> Option<(usize, String)> {
    let starts = |at: usize, with: char| text.get(at..).is_some_and(|rest| rest.starts_with(with));
    let braces = starts(one.says.start, '{');
    // Where its neighbour is quoted as in JSON, so is it; where nothing stands after a colon there, nothing does here.
    let neighbour = one.first.as_ref().unwrap_or(&one.key);
    let quoted = starts(neighbour.start, '"');
    let after = text.get(neighbour.end..)?.strip_prefix(':');
    let tight = quoted && after.is_some_and(|rest| !rest.starts_with(char::is_whitespace));
    let field = match (quoted && braces, tight) {
        (true, true) => format!("\"operationId\":\"{}\"", one.id),
        (true, false) => format!("\"operationId\": \"{}\"", one.id),
        // One that authors chose may be a number to YAML.
        (false, _) => format!("operationId: {}", scalar(&one.id)),
    };
    let Some(first) = &one.first else {
        let inside = one.says.start + 1;
        return match (tight, starts(inside, '}')) {
            (true, true) => Some((inside, field)),
            (false, true) => Some((inside, format!(" {field} "))),
            (_, false) => Some((inside, format!(" {field}"))),
        }
        .filter(|_| braces);
    };
    // A document may be one line of many megabytes: no further back than blanks go.
    let above = text.get(..first.start)?.trim_end_matches([' ', '\t']);
    let before = text.get(above.len()..first.start)?;
    let own_line = above.ends_with('\n') && (braces || !before.contains('\t'));
    let newline = if above.ends_with("\r\n") { "\r\n" } else { "\n" };
    match (braces, own_line) {
        (true, true) => Some((first.start, format!("{field},{newline}{before}"))),
        (true, false) if tight => Some((first.start, format!("{field},"))),
        (true, false) => Some((first.start, format!("{field}, "))),
        (false, true) => Some((
            above_comments(text, above.len()),
            format!("{before}{field}{newline}"),
        )),
        (false, false) => None,
    }
}

/// Whether a text says what another one did, and beside that nothing but these ids, each where it belongs.
fn is_same(before: &str, after: &str, given: &[Unnamed]) -> bool {
    let ids: BTreeSet<_> = given.iter().map(|one| one.id.as_str()).collect();
    let (Ok(before), Ok(read)) = (parse_document(before), parse_document(after)) else {
        return false;
    };
    same(&before, &read, &ids) && unnamed(after, &Earlier::default()).is_empty()
}

/// Whether two values are the same but for these ids.
fn same(before: &Json, after: &Json, ids: &BTreeSet<&str>) -> bool {
    match (before, after) {
        (Json::Object(before), Json::Object(after)) => {
            let given = |name: &str, value: &Json| {
                name == "operationId" && value.as_str().is_some_and(|id| ids.contains(id))
            };
            let mut after = after.iter().filter(|(name, value)| !given(name, value));
            let all = before.iter().all(|(name, value)| {
                let found = after.next();
                found.is_some_and(|(other, now)| name == other && same(value, now, ids))
            });
            all && after.next().is_none()
        }
        (Json::Array(before), Json::Array(after)) => {
            before.len() == after.len() && before.iter().zip(after).all(|(a, b)| same(a, b, ids))
        }
        _ => before == after,
    }
}

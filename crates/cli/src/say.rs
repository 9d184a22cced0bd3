//! What people read: in colour where they do (on a terminal, unless `NO_COLOR` says otherwise).

use std::io::{self, Write as _};

use turnpike_policy::source::{Diagnostic, harmless};

use crate::Failure;

const BOLD: &str = "\x1b[1m";
const RED: &str = "\x1b[1;31m";
const GREEN: &str = "\x1b[1;32m";
const YELLOW: &str = "\x1b[1;33m";
const BLUE: &str = "\x1b[1;34m";
const CYAN: &str = "\x1b[1;36m";
const PLAIN: &str = "\x1b[0m";

/// Writes text for people to standard output. Whoever closes it early (`| head`) has seen enough.
pub(crate) fn out(text: &str) -> Result<(), Failure> {
    exactly(&harmless(text))
}

/// Writes to standard output what is read by a program, as it is: also what a runner shall do.
pub(crate) fn exactly(text: &str) -> Result<(), Failure> {
    done(anstream::stdout().lock().write_all(text.as_bytes()))
}

/// Writes JSON for programs to standard output.
pub(crate) fn json(value: &serde_json::Value) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|error| Failure::refused(format!("this cannot be written as JSON: {error}")))?;
    // The same to whoever reads JSON, and no command of a runner, which would take it from within a line.
    let text = text.replace("##[", "##\\u005b");
    done(writeln!(io::stdout().lock(), "{text}"))
}

/// Writes one line, exactly as it is, to standard output: what a program reads, or a secret, which
/// must have arrived.
pub(crate) fn result(line: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}

/// Says something beside the result.
pub(crate) fn note(text: &str) {
    // Nobody is left to be told that nobody listens.
    let _ = writeln!(anstream::stderr().lock(), "{}", harmless(text));
}

/// Says why a command was not carried out.
pub(crate) fn error(message: &str) {
    note(&format!("{RED}error{PLAIN}{BOLD}:{PLAIN} {message}"));
}

/// What is as it should be.
pub(crate) fn good(text: &str) -> String {
    format!("{GREEN}{text}{PLAIN}")
}

/// What somebody should look at.
pub(crate) fn warn(text: &str) -> String {
    format!("{YELLOW}{text}{PLAIN}")
}

/// What is wrong.
pub(crate) fn bad(text: &str) -> String {
    format!("{RED}{text}{PLAIN}")
}

/// What stands out.
pub(crate) fn bold(text: &str) -> String {
    format!("{BOLD}{text}{PLAIN}")
}

/// Shows errors of the policies beside a result that cannot be had because of them.
pub(crate) fn findings(diagnostics: &[Diagnostic]) {
    for diagnostic in diagnostics.iter().filter(|diagnostic| diagnostic.is_error()) {
        note(&format!("{}\n", paint(&diagnostic.to_string())));
    }
}

fn done(written: io::Result<()>) -> Result<(), Failure> {
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::refused(format!(
            "cannot write to standard output: {error}"
        ))),
        _ => Ok(()),
    }
}

/// A rendered diagnostic with the colours that compilers use.
pub(crate) fn paint(rendered: &str) -> String {
    let lines: Vec<_> = rendered.lines().map(paint_line).collect();
    lines.join("\n")
}

fn paint_line(line: &str) -> String {
    for (label, colour) in [("error", RED), ("warning", YELLOW), ("note", CYAN)] {
        if let Some(rest) = line.strip_prefix(label)
            && let Some((code, message)) = rest.split_once(':')
            && (code.is_empty() || code.starts_with('['))
        {
            return format!("{colour}{label}{code}{PLAIN}{BOLD}:{message}{PLAIN}");
        }
    }
    let margin = line.len()
        - line
            .trim_start_matches([' ', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9'])
            .len();
    let (margin, rest) = line.split_at_checked(margin).unwrap_or(("", line));
    for gutter in ["-->", ":::", "|", "="] {
        if let Some(rest) = rest.strip_prefix(gutter) {
            let marks = rest.trim();
            let marked = !marks.is_empty() && marks.starts_with(['^', '-']);
            let rest = match (gutter, marked) {
                ("|", true) => format!("{RED}{rest}{PLAIN}"),
                ("=", _) => match rest.split_once(':') {
                    Some((label, text)) => format!("{CYAN}{label}{PLAIN}:{text}"),
                    None => rest.to_owned(),
                },
                _ => rest.to_owned(),
            };
            return format!("{BLUE}{margin}{gutter}{PLAIN}{rest}");
        }
    }
    line.to_owned()
}

/// What moves the cursor, colours, begins a line, or turns the order of what stands around it. Texts of a tree come by
/// pull request: shown as they are they could say anything, in a terminal and to whoever reads line by line.
pub(crate) fn unseen(character: char) -> bool {
    // Joiners move nothing, and are how some words and emoji are written.
    let joins = matches!(character, '\u{200c}' | '\u{200d}');
    character.is_control() || (!joins && turnpike_policy::source::is_hidden(character))
}

/// A text of a tree in one line, without such characters.
pub(crate) fn visible(text: &str) -> String {
    text.replace(unseen, " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colour_changes_no_character() {
        let picture = "error[P0201]: there is no field `x: y`\n --> policies/gateway.yaml:3:1\n  |\n3 | x: 1\n  | ^ - here\n  |\n  = help: write `hosts`\nelse";
        let painted = paint(picture);
        assert!(painted.contains(RED) && painted.contains(BLUE) && painted.contains(CYAN));
        assert_eq!(anstream::adapter::strip_str(&painted).to_string(), picture);
    }
}

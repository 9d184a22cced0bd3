//! Diagnostics about a file that lies beside the tree, and must agree with it (`wrangler.toml`).
//!
//! Whoever reads that file says what is wrong and where; here it becomes what all other faults are,
//! with a code, a place and the lines concerned.

use std::ops::Range;

use super::diagnostic::{Code, Diagnostic, Report, Severity, Span};
use super::{governance, secrets};

/// Whether a text looks like a secret of a known kind (a provider's key, a token, a private key).
pub fn is_secret(text: &str) -> bool {
    secrets::is_secret(text)
}

/// Whether a value holds a word that is as if drawn by lot, as secrets of no known kind are, and is not what its name
/// says: an id or a digest.
pub fn is_random(name: &str, value: &str) -> bool {
    governance::holds_random(name, value)
}

/// What is wrong in a file beside the tree.
#[derive(Clone, Debug)]
pub struct Remark {
    /// What it is about.
    pub code: Code,
    /// How bad it is.
    pub severity: Severity,
    /// The bytes of the file concerned.
    pub span: Range<usize>,
    /// What is wrong.
    pub message: String,
    /// What would help.
    pub help: String,
}

/// Remarks on a file as diagnostics, in the order of their places. `path` is how the file is shown;
/// of its text, what `secrets` name is masked wherever it would be shown.
pub fn diagnostics(
    path: &str,
    text: &str,
    remarks: Vec<Remark>,
    secrets: &[Range<usize>],
) -> Vec<Diagnostic> {
    let mut report = Report::default();
    let file = report.add_file(path.to_owned(), text);
    for secret in secrets {
        report.redact(Span::new(file, secret.start, secret.end));
    }
    for remark in remarks {
        let span = Span::new(file, remark.span.start, remark.span.end);
        report
            .found(remark.severity, remark.code, span, remark.message)
            .help(remark.help);
    }
    report.finish("")
}

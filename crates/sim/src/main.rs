//! How limits behave past one machine: 300 points of presence, 10 million subjects, the real meter.
//!
//! `turnpike-sim docs` runs everything (minutes) and writes the tables of `docs/scale.md` and the plots beside it;
//! `turnpike-sim --quick` runs it small (seconds), prints the tables and writes nothing. Both fail when a limit
//! that may not be exceeded was. `--threads N` for more than two.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a tool for a desk: it stops at a mistake of its own rather than print wrong figures"
)]

mod bench;
mod law;
mod load;
mod meter;
mod outcome;
mod plot;
mod report;
mod run;
mod study;
mod subject;
mod world;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use report::Findings;
use study::Size;

const USAGE: &str = "usage: turnpike-sim [--threads N] (DOCS | --quick)
DOCS is the directory with scale.md, whose tables and plots are written anew.";

fn main() -> ExitCode {
    let mut threads = 2;
    let mut docs = None;
    let mut quick = false;
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--quick" => quick = true,
            "--threads" => match arguments.next().and_then(|number| number.parse().ok()) {
                Some(number) => threads = number,
                None => return fail(USAGE),
            },
            path if !path.starts_with('-') && docs.is_none() => docs = Some(PathBuf::from(path)),
            _ => return fail(USAGE),
        }
    }
    let result = match (docs, quick) {
        (None, true) => small(threads),
        (Some(docs), false) => whole(&docs, threads),
        _ => return fail(USAGE),
    };
    match result {
        Ok(0) => ExitCode::SUCCESS,
        Ok(over) => fail(&format!(
            "{over} requests passed that a limit should have refused"
        )),
        Err(message) => fail(&message),
    }
}

fn fail(message: &str) -> ExitCode {
    // Nobody is left to tell when this fails too.
    let _ = writeln!(std::io::stderr(), "{message}");
    ExitCode::FAILURE
}

fn find(size: Size, threads: usize) -> Findings {
    Findings {
        precisions: study::all(study::precisions(size), threads),
        skews: study::all(study::skews(size), threads),
        splits: study::all(study::splits(size), threads),
        leases: study::all(study::leases(size), threads),
        bench: bench::rows(),
    }
}

/// How many requests passed against the law.
fn small(threads: usize) -> Result<u64, String> {
    let found = find(Size::Quick, threads);
    for (name, table) in found.tables() {
        writeln!(std::io::stdout(), "{name}\n{table}").map_err(|error| error.to_string())?;
    }
    Ok(found.over())
}

/// The same, and the document is written.
fn whole(docs: &Path, threads: usize) -> Result<u64, String> {
    let path = docs.join("scale.md");
    let told = |path: &Path, error: std::io::Error| format!("{}: {error}", path.display());
    let document = std::fs::read_to_string(&path).map_err(|error| told(&path, error))?;
    let found = find(Size::Full, threads);
    let document = report::fill(&document, &found.tables())
        .map_err(|name| format!("{}: there is no place for the table `{name}`", path.display()))?;
    let plots = docs.join("scale");
    std::fs::create_dir_all(&plots).map_err(|error| told(&plots, error))?;
    for (name, svg) in found.plots() {
        let plot = plots.join(name);
        std::fs::write(&plot, svg).map_err(|error| told(&plot, error))?;
    }
    std::fs::write(&path, document).map_err(|error| told(&path, error))?;
    Ok(found.over())
}

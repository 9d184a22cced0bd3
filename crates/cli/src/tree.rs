//! The policies at hand: where they are, which environments they have, what the build makes of
//! them. Also the words in which people name days, spans of time and scopes.

use std::path::{Path, PathBuf};
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Args;
use turnpike_policy::Timestamp;
pub(crate) use turnpike_policy::source::place;
use turnpike_policy::source::{self, Loaded, Options, Outcome, development};

use crate::{Failure, say, words};

/// Where the policies are.
#[derive(Debug, Args)]
pub(crate) struct Policies {
    /// The folder of the policies [default: $POLICIES, else `policies`]
    #[arg(long = "policies", value_name = "DIR")]
    directory: Option<PathBuf>,
}

impl Policies {
    pub(crate) fn root(&self) -> Result<PathBuf, Failure> {
        let named = || std::env::var_os("POLICIES").filter(|value| !value.is_empty());
        let root = self
            .directory
            .clone()
            .or_else(|| named().map(PathBuf::from))
            .unwrap_or_else(|| "policies".into());
        if root.is_dir() {
            Ok(root)
        } else if root.is_file() {
            Err(Failure::refused(format!(
                "{} is a file, and policies are a folder: name the one in which `gateway.yaml` lies",
                root.display()
            )))
        } else {
            Err(Failure::refused(format!(
                "there is no folder of policies at {}\n\
                 name it with --policies DIR or in $POLICIES, or run this where it lies",
                root.display()
            )))
        }
    }
}

/// The environments that `gateway.yaml` names. Where it names none, or cannot be read, one that
/// makes the build say so.
pub(crate) fn environments(root: &Path) -> Vec<String> {
    or_one(source::environments(root))
}

/// As [`environments`], of a tree that was read.
pub(crate) fn environments_of(tree: &Loaded) -> Vec<String> {
    or_one(tree.environments())
}

fn or_one(names: Vec<String>) -> Vec<String> {
    if names.is_empty() {
        vec!["dev".to_owned()]
    } else {
        names
    }
}

/// Whether `gateway.yaml` names an environment. Where it names none, or cannot be read, the build
/// says what is wrong with it.
pub(crate) fn has_environment(root: &Path, name: &str) -> Result<(), Failure> {
    let names = source::environments(root);
    if names.is_empty() {
        return Ok(());
    }
    let place = format!("in {}", root.display());
    find(name, "environment", names.iter().map(String::as_str), &place)
}

/// What the build makes of the policies in one environment, today or on another day.
///
/// The development key is made here if, and only if, an issuer of this environment needs it: as
/// the build does.
pub(crate) fn build(root: &Path, environment: &str, as_of: Option<&Date>) -> Result<Outcome, Failure> {
    build_one(&Loaded::read(root), environment, as_of)
}

/// As [`build`], of policies that were read.
pub(crate) fn build_one(
    loaded: &Loaded,
    environment: &str,
    as_of: Option<&Date>,
) -> Result<Outcome, Failure> {
    Ok(loaded.build(&options(loaded, environment, as_of)?))
}

/// What the build makes of policies that were read in each of these environments, in their order.
pub(crate) fn build_all(
    loaded: &Loaded,
    environments: &[String],
    as_of: Option<&Date>,
) -> Result<Vec<Outcome>, Failure> {
    let all: Result<Vec<_>, _> = environments
        .iter()
        .map(|environment| options(loaded, environment, as_of))
        .collect();
    let all = all?;
    thread::scope(|scope| {
        let started: Vec<_> = all
            .iter()
            .map(|options| scope.spawn(|| loaded.build(options)))
            .collect();
        started
            .into_iter()
            .map(|one| {
                one.join().map_err(|_| {
                    Failure::refused("the policies could not be checked: this is a fault of turnpike")
                })
            })
            .collect()
    })
}

fn options(loaded: &Loaded, environment: &str, as_of: Option<&Date>) -> Result<Options, Failure> {
    let as_of = match as_of {
        Some(date) => date.at,
        None => now()?,
    };
    let needs_key = loaded.needs_development_key(environment);
    let development_key = if needs_key {
        Some(key()?.public_jwk())
    } else {
        None
    };
    Ok(Options {
        environment: environment.to_owned(),
        as_of,
        development_key,
    })
}

/// How a command says what it found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// For people
    Text,
    /// For programs
    Json,
}

/// How to say what was found in files, or of a gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Report {
    /// For people
    Text,
    /// One JSON object
    Json,
    /// SARIF 2.1.0, for code scanning
    Sarif,
    /// Annotations of GitHub Actions
    Github,
}

/// The policies of one environment, which must be right; `then` says what to do once they are.
pub(crate) fn compiled(
    root: &Path,
    environment: &str,
    as_of: Option<&Date>,
    then: &str,
) -> Result<turnpike_policy::Compiled, Failure> {
    has_environment(root, environment)?;
    let outcome = build(root, environment, as_of)?;
    outcome.compiled.ok_or_else(|| {
        say::findings(&outcome.diagnostics);
        say::error(&format!(
            "the policies have errors in `{environment}`: mend these first, {then}"
        ));
        Failure::Findings
    })
}

/// This machine's development key, made if there is none yet.
pub(crate) fn key() -> Result<development::DevelopmentKey, Failure> {
    let path = development::default_path().ok_or_else(|| {
        Failure::refused(format!(
            "there is no home directory to keep the development key in: name a file in ${}",
            development::VARIABLE
        ))
    })?;
    development::ensure(&path).map_err(|error| Failure::refused(error.to_string()))
}

/// Whether something of this name is among those that there are.
pub(crate) fn find<'a>(
    name: &str,
    kind: &str,
    names: impl Iterator<Item = &'a str>,
    place: &str,
) -> Result<(), Failure> {
    let mut names: Vec<&str> = names.collect();
    names.sort_unstable();
    names.dedup();
    if names.contains(&name) {
        return Ok(());
    }
    let near = names
        .iter()
        .map(|known| (strsim::damerau_levenshtein(known, name), *known))
        .filter(|(distance, known)| *distance <= known.len().max(3) / 3)
        .min()
        .map(|(_, known)| known);
    // A short form of one name alone: `prod` for `production`.
    let mut longer = names
        .iter()
        .copied()
        .filter(|known| name.len() >= 3 && known.starts_with(name));
    let near = near.or_else(|| longer.next().filter(|_| longer.next().is_none()));
    let help = match (near, names.as_slice()) {
        (Some(near), _) => format!("did you mean `{near}`?"),
        (None, []) => format!("there is no {kind} at all"),
        (None, few) if few.len() <= 12 => format!("there are: {}", few.join(", ")),
        (None, many) => format!("there are {} others", many.len()),
    };
    let name: String = name.chars().filter(|c| !c.is_control()).take(80).collect();
    Err(Failure::refused(format!(
        "there is no {kind} `{name}` {place}\n{help}"
    )))
}

/// The time, in milliseconds since the Unix epoch.
#[expect(
    clippy::disallowed_methods,
    reason = "this is where time comes in from outside"
)]
pub(crate) fn now() -> Result<Timestamp, Failure> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).ok();
    since
        .and_then(|since| Timestamp::try_from(since.as_millis()).ok())
        .ok_or_else(|| Failure::refused("this machine's clock is wrong: it stands before 1970"))
}

/// A day or an instant, as it was written and as a timestamp.
#[derive(Clone, Debug)]
pub(crate) struct Date {
    pub(crate) text: String,
    pub(crate) at: Timestamp,
}

/// Reads a day (`2027-06-30`, its first instant in UTC) or an instant, as the policies do.
pub(crate) fn date(text: &str) -> Result<Date, String> {
    let at = source::parse_date(text)?;
    Ok(Date {
        text: text.to_owned(),
        at,
    })
}

/// The day that comes so many days after today, as it is written.
pub(crate) fn date_after(days: u64) -> Result<String, Failure> {
    const DAY: Timestamp = 86_400_000;
    Ok(words::day(now()?.saturating_add(days.saturating_mul(DAY))))
}

/// Reads a span of time, in seconds: `90s`, `30m`, `1h`, `7d`.
pub(crate) fn seconds(text: &str) -> Result<u64, String> {
    const HELP: &str = "write for example 90s, 30m, 1h or 7d";
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let scale = match text.strip_prefix(digits) {
        Some("s") => 1,
        Some("m") => 60,
        Some("h") => 60 * 60,
        Some("d") => 24 * 60 * 60,
        _ => return Err(HELP.to_owned()),
    };
    if !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(HELP.to_owned());
    }
    let count: u64 = digits.parse().map_err(|_| HELP.to_owned())?;
    match count.checked_mul(scale) {
        Some(0) => Err("that is over at once".to_owned()),
        Some(seconds) if seconds <= 10 * 365 * 24 * 60 * 60 => Ok(seconds),
        _ => Err("that is longer than ten years".to_owned()),
    }
}

/// Reads a scope (RFC 6749, 3.3: printable ASCII without blanks, quotes and backslashes).
pub(crate) fn scope(text: &str) -> Result<String, String> {
    if !text.is_empty()
        && text
            .bytes()
            .all(|b| b.is_ascii_graphic() && b != b'"' && b != b'\\')
    {
        Ok(text.to_owned())
    } else {
        Err(
            "a scope is one word of printable ASCII; for more, repeat the option or put commas between them"
                .to_owned(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_of_time() {
        assert_eq!(seconds("90s"), Ok(90));
        assert_eq!(seconds("7d"), Ok(604_800));
        for wrong in [
            "",
            "1",
            "h",
            "-1h",
            "+1h",
            "1 h",
            "1w",
            "0s",
            "99999999999d",
            "1h30m",
            "²h",
        ] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn scopes() {
        assert!(scope("pets:read").is_ok());
        for wrong in ["", "a b", "a\"", "a\\", "é", "a\n"] {
            assert!(scope(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_was_meant() {
        let near = |name| match find(name, "consumer", ["mobile-app", "trial-app"].into_iter(), "here") {
            Err(Failure::Refused(message)) => message,
            other => panic!("{other:?}"),
        };
        assert!(near("mobil-app").contains("did you mean `mobile-app`?"));
        assert!(near("mobile").contains("did you mean `mobile-app`?"));
        assert!(near("zzz").contains("there are: mobile-app, trial-app"));
        assert!(find("trial-app", "consumer", ["trial-app"].into_iter(), "here").is_ok());
    }
}

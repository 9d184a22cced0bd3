//! Checks and compiles the policies, and tells the crate what it was built from.
//!
//! Serves the root package and `crates/core`. It writes `policy.bin` (the bundle, which the core
//! embeds) and `facts.rs` (constants) into `OUT_DIR`. `POLICIES` names another tree than
//! `policies/`, `TURNPIKE_ENV` another environment than `dev`, `TURNPIKE_AS_OF` another day than
//! today to compare expiry dates with. Whatever is wrong with the tree is printed, all of it, and
//! stops the build.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use turnpike_policy::source::{self, Options, Severity, development};
use turnpike_policy::{Compiled, State};

fn main() {
    let mut lines = Vec::new();
    if let Err(why) = run(&mut lines) {
        lines.push(format!("cargo::error={}", why.replace('\n', " ")));
    }
    let mut out = std::io::stdout().lock();
    for line in lines {
        // Cargo reads this; if it cannot, nobody can be told.
        let _ = writeln!(out, "{line}");
    }
}

fn run(lines: &mut Vec<String>) -> Result<(), String> {
    let manifest = variable("CARGO_MANIFEST_DIR").ok_or("CARGO_MANIFEST_DIR is not set")?;
    let out = PathBuf::from(variable("OUT_DIR").ok_or("OUT_DIR is not set")?);
    let home = workspace(Path::new(&manifest));
    // So that places are shown as they are seen from there: `policies/gateway.yaml:3:1`.
    env::set_current_dir(&home).map_err(|error| format!("{}: {error}", home.display()))?;

    let root = PathBuf::from(variable("POLICIES").unwrap_or_else(|| "policies".to_owned()));
    let environment = variable("TURNPIKE_ENV").unwrap_or_else(|| "dev".to_owned());
    for name in [
        "POLICIES",
        "TURNPIKE_ENV",
        "TURNPIKE_AS_OF",
        "SOURCE_DATE_EPOCH",
        development::VARIABLE,
    ] {
        lines.push(format!("cargo::rerun-if-env-changed={name}"));
    }
    lines.push(format!("cargo::rerun-if-changed={}", home.join(&root).display()));
    lines.push(format!(
        "cargo::rerun-if-changed={}",
        home.join("build.rs").display()
    ));

    let mut options = Options {
        environment: environment.clone(),
        as_of: as_of()?,
        development_key: None,
    };
    if source::needs_development_key(&root, &environment) {
        let path = development::default_path().ok_or("there is no home directory for the development key")?;
        let key = development::ensure(&path).map_err(|error| error.to_string())?;
        lines.push(format!("cargo::rerun-if-changed={}", path.display()));
        options.development_key = Some(key.public_jwk());
    }
    let outcome = source::build(&root, &options);
    // The core is where the policies are obeyed: it alone speaks of warnings.
    let speaks = variable("CARGO_PKG_NAME").is_some_and(|name| name == "turnpike-core");
    for diagnostic in &outcome.diagnostics {
        let directive = match diagnostic.severity {
            Severity::Error => "error",
            Severity::Warning if speaks => "warning",
            // Notes are for whoever asks (`turnpike check`).
            Severity::Warning | Severity::Note => continue,
        };
        lines.push(format!("cargo::{directive}={}", diagnostic.one_line()));
        // The picture, without the title that was just said.
        lines.extend(
            diagnostic
                .to_string()
                .lines()
                .skip(1)
                .map(|line| format!("cargo::{directive}={line}")),
        );
    }
    let (Some((bundle, hash)), Some(compiled)) = (outcome.bundle, outcome.compiled) else {
        return Ok(());
    };
    write(&out.join("policy.bin"), &bundle)?;
    let git = Git::ask(lines);
    let facts = facts(&hash, &git, &compiled).map_err(|error| error.to_string())?;
    write(&out.join("facts.rs"), facts.as_bytes())
}

/// The constants that tell what was built.
fn facts(hash: &[u8; 32], git: &Git, compiled: &Compiled) -> Result<String, std::fmt::Error> {
    let Compiled {
        gateway,
        apis,
        secrets,
        ..
    } = compiled;
    let (environment, explain) = (&gateway.environment, gateway.explain);
    let mut text = String::new();
    writeln!(
        text,
        "/// The gateway's name.\npub const GATEWAY: &str = {:?};",
        gateway.name
    )?;
    writeln!(
        text,
        "/// The SHA-256 of the policies in their canonical form, in hexadecimal."
    )?;
    write!(text, "pub const POLICY_HASH: &str = \"")?;
    for byte in hash {
        write!(text, "{byte:02x}")?;
    }
    writeln!(text, "\";")?;
    writeln!(
        text,
        "/// The environment that was built.\npub const ENVIRONMENT: &str = {environment:?};"
    )?;
    writeln!(
        text,
        "/// The commit that was built, or `unknown`.\npub const COMMIT: &str = {:?};",
        git.commit
    )?;
    writeln!(
        text,
        "/// Whether the work tree held changes that are in no commit.\npub const DIRTY: bool = {};",
        git.dirty
    )?;
    writeln!(
        text,
        "/// The date of `SOURCE_DATE_EPOCH`, or else of the commit, or `unknown`.\npub const BUILT: &str = {:?};",
        git.date
    )?;
    writeln!(
        text,
        "/// The Worker secrets that must be there, sorted.\npub const SECRETS: &[&str] = &{secrets:?};"
    )?;
    let published = apis.iter().filter(|api| api.lifecycle.state != State::Retired);
    let published: Vec<_> = published
        .map(|api| {
            (
                format!("{} {}", api.title, api.version),
                &api.base,
                api.lifecycle.sunset,
            )
        })
        .collect();
    writeln!(
        text,
        "/// Published APIs: title with version, base path, and when it ends (milliseconds since the epoch)."
    )?;
    writeln!(
        text,
        "pub const APIS: &[(&str, &str, Option<u64>)] = &{published:?};"
    )?;
    writeln!(
        text,
        "/// Whether what is missing or refused may be explained to whoever asks.\npub const EXPLAIN: bool = {explain};"
    )?;
    Ok(text)
}

/// What Git knows about the work tree.
struct Git {
    commit: String,
    dirty: bool,
    date: String,
}

impl Git {
    fn ask(lines: &mut Vec<String>) -> Self {
        for name in ["HEAD", "index", "logs/HEAD"] {
            let path = git(&["rev-parse", "--git-path", name]);
            if let Some(path) = path
                .filter(|path| Path::new(path).exists())
                .and_then(|path| fs::canonicalize(path).ok())
            {
                lines.push(format!("cargo::rerun-if-changed={}", path.display()));
            }
        }
        let commit = git(&["rev-parse", "--verify", "--quiet", "HEAD"]);
        let epoch = variable("SOURCE_DATE_EPOCH").or_else(|| git(&["log", "-1", "--format=%ct"]));
        let date = epoch
            .and_then(|seconds| seconds.parse::<u64>().ok())
            .map(|seconds| source::show_instant(seconds.saturating_mul(1000)));
        Self {
            dirty: git(&["status", "--porcelain"]).is_some_and(|changes| !changes.is_empty()),
            commit: commit.unwrap_or_else(|| "unknown".to_owned()),
            date: date.unwrap_or_else(|| "unknown".to_owned()),
        }
    }
}

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git")
        .args(arguments)
        .output()
        .ok()
        .filter(|output| output.status.success())?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
}

/// The instant that expiry dates are compared with, in milliseconds since the epoch.
fn as_of() -> Result<u64, String> {
    if let Some(date) = variable("TURNPIKE_AS_OF") {
        return source::parse_date(&date).map_err(|why| format!("TURNPIKE_AS_OF: {why}"));
    }
    if let Some(seconds) = variable("SOURCE_DATE_EPOCH").and_then(|seconds| seconds.parse::<u64>().ok()) {
        return Ok(seconds.saturating_mul(1000));
    }
    #[expect(
        clippy::disallowed_methods,
        reason = "the build is the caller that hands time in"
    )]
    let now = std::time::SystemTime::now();
    let since = now
        .duration_since(std::time::UNIX_EPOCH)
        .map_err(|error| error.to_string())?;
    u64::try_from(since.as_millis()).map_err(|error| error.to_string())
}

/// The folder of the workspace: the nearest one above that holds the policies.
fn workspace(manifest: &Path) -> PathBuf {
    let holds = |name: &str| {
        manifest
            .ancestors()
            .take(4)
            .find(|folder| folder.join(name).is_dir())
    };
    holds("policies")
        .or_else(|| holds("crates"))
        .unwrap_or(manifest)
        .to_owned()
}

fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), String> {
    fs::write(path, bytes).map_err(|error| format!("{}: {error}", path.display()))
}

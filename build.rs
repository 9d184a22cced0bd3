//! Checks and compiles the policies, and tells the crate what it was built from.
//!
//! Serves the root package and `crates/core`. It writes `policy.bin` (the bundle, which the core embeds),
//! `facts.rs` (constants) and `facts.json` (for `scripts/artifact.mjs`) into `OUT_DIR`. `POLICIES` names
//! another tree than `policies/`, `TURNPIKE_ENV` another environment than `dev`, `TURNPIKE_AS_OF` another day
//! than today to compare expiry dates with. Whatever is wrong with the tree is printed, all of it, and
//! stops the build.
//!
//! Cargo runs it again when a policy changes, or Git's `HEAD`. Whether the work tree is dirty, no file
//! tells: `scripts/build` asks Git before every build, and says it in `TURNPIKE_COMMIT` and
//! `TURNPIKE_DIRTY`, so that what has not changed is not built. They also serve where there is no Git.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use turnpike_policy::source::{self, Options, Severity, development};
use turnpike_policy::{Binding, Bundle, Compiled, DPOP_ALGORITHMS, Stamp, State};

/// The commit of the policies, where Git shall not be asked.
const COMMIT: &str = "TURNPIKE_COMMIT";
/// Whether there are changes in no commit, `true` or `false`, where Git shall not be asked.
const DIRTY: &str = "TURNPIKE_DIRTY";

// Not private, so that a test can be cargo (crates/core/tests/build_script.rs).
pub(crate) fn main() {
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
        COMMIT,
        DIRTY,
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
        // Whatever a tree holds, it is one line: cargo does what the lines of a build script say.
        let told = diagnostic.one_line().replace(char::is_control, " ");
        lines.push(format!("cargo::{directive}={}", source::harmless(&told)));
        // The picture, without the title that was just said.
        lines.extend(
            diagnostic
                .to_string()
                .lines()
                .skip(1)
                .map(|line| format!("cargo::{directive}={}", source::harmless(line))),
        );
    }
    let Some(compiled) = outcome.compiled else {
        return Ok(());
    };
    let stamp = Git(&root).stamp(lines)?;
    let (bundle, hash) = Bundle::write(&compiled, &stamp).map_err(|error| error.to_string())?;
    write(&out.join("policy.bin"), &bundle)?;
    let facts = facts(&hash, &stamp, &compiled).map_err(|error| error.to_string())?;
    write(&out.join("facts.rs"), facts.as_bytes())?;
    let facts = facts_for_scripts(&hash, &stamp, &compiled.gateway.environment);
    write(&out.join("facts.json"), facts.as_bytes())
}

/// What was built, as JSON. A commit is hexadecimal, and environments are names: nothing is to be escaped,
/// and what is not so is left out.
fn facts_for_scripts(hash: &[u8; 32], stamp: &Stamp, environment: &str) -> String {
    let commit = Some(stamp.commit.as_str()).filter(|commit| commit.bytes().all(|b| b.is_ascii_hexdigit()));
    format!(
        "{{\"bundle\":\"{}\",\"commit\":\"{}\",\"dirty\":{},\"environment\":\"{environment}\",\"built\":\"{}\"}}\n",
        turnpike_policy::hex(hash),
        or_unknown(commit.unwrap_or_default()),
        stamp.dirty,
        or_unknown(&stamp.built.map(source::show_instant).unwrap_or_default()),
    )
}

/// The constants that tell what was built.
fn facts(hash: &[u8; 32], stamp: &Stamp, compiled: &Compiled) -> Result<String, std::fmt::Error> {
    let Compiled {
        gateway,
        apis,
        secrets,
        ..
    } = compiled;
    let (environment, explain) = (&gateway.environment, gateway.explain);
    let built = stamp.built.map(source::show_instant).unwrap_or_default();
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
    writeln!(
        text,
        "pub const POLICY_HASH: &str = \"{}\";",
        turnpike_policy::hex(hash)
    )?;
    writeln!(
        text,
        "/// The environment that was built.\npub const ENVIRONMENT: &str = {environment:?};"
    )?;
    writeln!(
        text,
        "/// The commit that was built, or `unknown`.\npub const COMMIT: &str = {:?};",
        or_unknown(&stamp.commit)
    )?;
    writeln!(
        text,
        "/// Whether the work tree held changes that are in no commit.\npub const DIRTY: bool = {};",
        stamp.dirty
    )?;
    writeln!(
        text,
        "/// The date of `SOURCE_DATE_EPOCH`, or else of the commit, or `unknown`.\npub const BUILT: &str = {:?};",
        or_unknown(&built)
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
    let signing = gateway.signing.as_ref().map(|signing| {
        let names: Vec<_> = std::iter::once(&signing.key).chain(&signing.published).collect();
        (signing.algorithm.name(), names)
    });
    let signing = signing.map_or_else(
        || "None".to_owned(),
        |(algorithm, names)| format!("Some(({algorithm:?}, &{names:?}))"),
    );
    writeln!(
        text,
        "/// The algorithm of the gateway's own tokens, and the secrets with its keys: first the one that signs.\n\
         pub const SIGNING: Option<(&str, &[&str])> = {signing};"
    )?;
    resources(&mut text, compiled)?;
    writeln!(
        text,
        "/// Whether what is missing or refused may be explained to whoever asks.\npub const EXPLAIN: bool = {explain};"
    )?;
    writeln!(
        text,
        "/// Whether every answer carries the hash of the policies.\npub const SHOW_HASH: bool = {};",
        gateway.show_hash
    )?;
    Ok(text)
}

/// The constants that tell what is protected, and by whom (RFC 9728).
fn resources(text: &mut String, compiled: &Compiled) -> std::fmt::Result {
    let Compiled { gateway, apis, .. } = compiled;
    let scopes_of = |index: Option<u32>| -> BTreeSet<&str> {
        let operations = compiled.operations.iter();
        let of = operations.filter(|operation| index.is_none_or(|index| operation.api == index));
        of.flat_map(|operation| &operation.scopes)
            .map(String::as_str)
            .collect()
    };
    let mut all = scopes_of(None);
    let models = compiled.models.iter().flat_map(|model| &model.scopes);
    all.extend(models.map(String::as_str));
    let whole = (gateway.name.clone(), String::new(), None, all);
    let each = (0..)
        .zip(apis)
        .filter(|(_, api)| api.lifecycle.state != State::Retired);
    let each = each.map(|(index, api)| {
        let title = format!("{} {}", api.title, api.version);
        (
            title,
            api.base.clone(),
            api.lifecycle.sunset,
            scopes_of(Some(index)),
        )
    });
    let mut resources = String::new();
    for (title, base, sunset, scopes) in std::iter::once(whole).chain(each) {
        let scopes: Vec<_> = scopes.into_iter().collect();
        write!(resources, "({title:?}, {base:?}, {sunset:?}, &{scopes:?}), ")?;
    }
    writeln!(
        text,
        "/// What is protected: the gateway as a whole, then each published API: title, base path, when it ends, scopes.\n\
         pub const RESOURCES: &[(&str, &str, Option<u64>, &[&str])] = &[{resources}];"
    )?;
    let issuers = compiled.issuers.iter().filter(|issuer| issuer.is_public());
    let issuers: Vec<_> = issuers.map(|issuer| &issuer.issuer).collect();
    writeln!(
        text,
        "/// Whom clients may ask for a token.\npub const ISSUERS: &[&str] = &{issuers:?};"
    )?;
    let public = || compiled.issuers.iter().filter(|issuer| issuer.is_public());
    let dpop = public().any(|issuer| issuer.dpop != Binding::Refused);
    let algorithms: Vec<&str> = DPOP_ALGORITHMS.split(' ').filter(|_| dpop).collect();
    let required = dpop && public().all(|issuer| issuer.dpop == Binding::Required);
    let certificate = public().any(|issuer| issuer.certificate_bound != Binding::Refused);
    writeln!(
        text,
        "/// How proofs may be signed that bind tokens to a key; whether all tokens are bound so; whether they may be bound to\n\
         /// a client certificate.\n\
         pub const BOUND: (&[&str], bool, bool) = (&{algorithms:?}, {required}, {certificate});"
    )
}

fn or_unknown(text: &str) -> &str {
    if text.is_empty() { "unknown" } else { text }
}

/// The work tree that a folder of policies belongs to, if it does.
struct Git<'a>(&'a Path);

impl Git<'_> {
    /// What is known of where the policies come from.
    fn stamp(&self, lines: &mut Vec<String>) -> Result<Stamp, String> {
        let commit = match variable(COMMIT) {
            Some(told) => told,
            None => {
                self.watch(lines);
                self.ask(&["rev-parse", "--verify", "--quiet", "HEAD"])
                    .unwrap_or_default()
            }
        };
        let dirty = match variable(DIRTY).as_deref() {
            Some("true") => true,
            Some("false") => false,
            Some(other) => return Err(format!("{DIRTY} is `true` or `false`, not {other:?}")),
            None => self.dirty(),
        };
        let epoch = match variable("SOURCE_DATE_EPOCH") {
            Some(epoch) => Some(epoch),
            None => self.ask(&["log", "-1", "--format=%ct", &commit]),
        };
        let built = epoch.and_then(|seconds| seconds.parse::<u64>().ok());
        Ok(Stamp {
            commit,
            dirty,
            built: built.map(|seconds| seconds.saturating_mul(1000)),
        })
    }

    /// Whether the work tree holds what is in no commit. What Git ignores is in none: elsewhere that is nobody's
    /// concern, but a policy is read whether Git ignores it or not. `scripts/build` asks the same.
    fn dirty(&self) -> bool {
        // Looking must not touch the index: others may be at work.
        let changed = &["--no-optional-locks", "status", "--porcelain"][..];
        // What is hidden is no policy, and systems leave it behind in every folder.
        let ignored = &[
            "ls-files",
            "--others",
            "--ignored",
            "--exclude-standard",
            "--",
            ".",
            ":(exclude,glob)**/.*",
        ];
        [changed, ignored]
            .iter()
            .any(|question| self.ask(question).is_some_and(|found| !found.is_empty()))
    }

    /// Has cargo look at what changes when `HEAD` moves: it is set to another branch, or its branch to
    /// another commit.
    fn watch(&self, lines: &mut Vec<String>) {
        let branch = self.ask(&["symbolic-ref", "--quiet", "HEAD"]);
        for name in ["HEAD", "logs/HEAD"].into_iter().chain(branch.as_deref()) {
            let path = self.ask(&["rev-parse", "--git-path", name]);
            // Git writes it as seen from the folder it was asked in.
            if let Some(path) = path.and_then(|path| fs::canonicalize(self.0.join(path)).ok()) {
                lines.push(format!("cargo::rerun-if-changed={}", path.display()));
            }
        }
    }

    fn ask(&self, arguments: &[&str]) -> Option<String> {
        let output = Command::new("git")
            .arg("-C")
            .arg(self.0)
            // The folder could be made to look like a repository of its own, which names programs to run.
            .args(["-c", "safe.bareRepository=explicit"])
            .args(arguments)
            .output()
            .ok()
            .filter(|output| output.status.success())?;
        Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
    }
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

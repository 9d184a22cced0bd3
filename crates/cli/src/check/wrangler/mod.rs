//! Whether `wrangler.toml`, beside the tree's folder, deploys what the tree needs.
//!
//! What wrangler inherits from the top of its file into an environment, and what it does not, is
//! kept in one place each ([`Place`]): bindings and `vars` are an environment's own.

mod around;
mod meter;
mod place;
mod runtime;
mod vars;
mod worker;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::{fs, io};

use toml::Spanned;
use toml::de::DeTable;
use turnpike_policy::Compiled;
use turnpike_policy::source::beside::{self, Remark};
use turnpike_policy::source::{Code, Diagnostic, Severity, host};

use place::{Place, Route, routes};

/// What is said of the file, if there is one.
pub(super) struct Checked {
    pub(super) file: PathBuf,
    pub(super) diagnostics: Vec<Diagnostic>,
}

/// Checks the file beside a tree against the environments that are checked; those with errors of
/// their own are `None`, and only their names count. `all` are those that the tree has.
pub(super) fn check(
    root: &Path,
    all: &[String],
    checked: &BTreeMap<String, Option<Compiled>>,
) -> Option<Checked> {
    let folder = folder_of(root)?;
    let file = folder.join("wrangler.toml");
    if fs::symlink_metadata(&file).is_err() {
        return unread(&folder);
    }
    let path = file.to_string_lossy().into_owned();
    let text = match read(&folder, &file) {
        Ok(text) => text,
        Err(remark) => {
            return Some(Checked {
                file,
                diagnostics: beside::diagnostics(&path, "", vec![remark], &[]),
            });
        }
    };
    let mut check = Check {
        root,
        all,
        checked,
        remarks: Vec::new(),
        masked: Vec::new(),
    };
    // What wrangler deploys by instead, or is led to.
    for other in ["wrangler.json", "wrangler.jsonc", ".wrangler/deploy/config.json"] {
        if fs::symlink_metadata(folder.join(other)).is_ok() {
            check.remarks.push(remark(
                Code::OtherWorker,
                Severity::Error,
                0..0,
                format!("wrangler takes `{other}` in place of this file: what is deployed is written there"),
                "take it away: what is checked here is wrangler.toml",
            ));
        }
    }
    match DeTable::parse(&text) {
        Ok(table) => check.file(table.get_ref()),
        Err(error) => check.remarks.push(remark(
            Code::NotToml,
            Severity::Error,
            error.span().unwrap_or(0..0),
            error.message().lines().collect::<Vec<_>>().join(" "),
            "mend the syntax: https://toml.io",
        )),
    }
    let diagnostics = beside::diagnostics(&path, &text, check.remarks, &check.masked);
    Some(Checked { file, diagnostics })
}

/// The text of the file. As in the tree, a link leads to what is reviewed with it, or nowhere.
fn read(folder: &Path, file: &Path) -> Result<String, Remark> {
    let unreadable = |error: io::Error| {
        remark(
            Code::NotToml,
            Severity::Error,
            0..0,
            format!("it cannot be read: {error}"),
            "make it text in UTF-8 that can be read",
        )
    };
    // A folder without a name is the one that this runs in.
    let here = Path::new(".");
    let folder = if folder.as_os_str().is_empty() {
        here
    } else {
        folder
    };
    let real = file.canonicalize().map_err(unreadable)?;
    if !real.starts_with(folder.canonicalize().map_err(unreadable)?) {
        return Err(remark(
            Code::LeavesTree,
            Severity::Error,
            0..0,
            "this link leads out of the folder that the policies lie in".to_owned(),
            "what is deployed is reviewed with the policies: copy the file",
        ));
    }
    // A pipe, for one, could be read for ever.
    if !real.is_file() {
        return Err(unreadable(io::Error::other("it is no file")));
    }
    fs::read_to_string(&real).map_err(unreadable)
}

/// The folder that the tree's folder lies in.
fn folder_of(root: &Path) -> Option<PathBuf> {
    match (root.file_name(), root.parent()) {
        (Some(_), Some(parent)) => Some(parent.to_owned()),
        // `.` and `..` have no name: where they are says what lies around them.
        _ => Some(root.canonicalize().ok()?.parent()?.to_owned()),
    }
}

/// A file of wrangler's in a format that is not read here: what it deploys is nowhere checked.
fn unread(folder: &Path) -> Option<Checked> {
    let mut files = ["wrangler.json", "wrangler.jsonc"]
        .map(|name| folder.join(name))
        .into_iter();
    let file = files.find(|file| file.is_file())?;
    let path = file.to_string_lossy().into_owned();
    let remark = remark(
        Code::NotRead,
        Severity::Warning,
        0..0,
        "it is not read: whether it deploys what the policies need is not known".to_owned(),
        "write it as wrangler.toml",
    );
    Some(Checked {
        diagnostics: beside::diagnostics(&path, "", vec![remark], &[]),
        file,
    })
}

fn remark(
    code: Code,
    severity: Severity,
    span: Range<usize>,
    message: String,
    help: impl Into<String>,
) -> Remark {
    Remark {
        code,
        severity,
        span,
        message,
        help: help.into(),
    }
}

struct Check<'a> {
    /// The folder of the tree.
    root: &'a Path,
    all: &'a [String],
    checked: &'a BTreeMap<String, Option<Compiled>>,
    remarks: Vec<Remark>,
    masked: Vec<Range<usize>>,
}

impl Check<'_> {
    fn say(
        &mut self,
        code: Code,
        severity: Severity,
        span: Range<usize>,
        message: String,
        help: impl Into<String>,
    ) {
        self.remarks.push(remark(code, severity, span, message, help));
    }

    fn file(&mut self, top: &DeTable<'_>) {
        let mut first = Place {
            name: None,
            span: 0..0,
            top,
            table: top,
        };
        first.span = first.start();
        let mut places = vec![first];
        let environments = top.get("env").and_then(|env| env.get_ref().as_table());
        for (name, value) in environments.into_iter().flatten() {
            if let Some(table) = value.get_ref().as_table() {
                places.push(Place {
                    name: Some(name.get_ref()),
                    span: name.span(),
                    top,
                    table,
                });
            }
        }
        let mut built = BTreeSet::new();
        for place in &places {
            let (name, span) = place.builds();
            self.mapping(place, &name, span);
            if let Some(compiled) = self.checked.get(&name) {
                self.place(place, compiled.as_ref());
            }
            built.insert(name);
        }
        let checked = self.checked;
        for name in checked.keys().filter(|name| !built.contains(*name)) {
            let span = top.get_key_value("env").map_or(0..0, |(key, _)| key.span());
            self.say(
                Code::NotDeployed,
                Severity::Warning,
                span,
                format!("nothing here builds the environment `{name}`"),
                format!(
                    "add [env.{name}] with build.command = \"{}\" and its own bindings",
                    self.call(name)
                ),
            );
        }
        self.names(&places);
        self.vars(&places);
    }

    /// Whether an environment of wrangler builds what its name says.
    fn mapping(&mut self, place: &Place<'_>, builds: &str, span: Range<usize>) {
        let known = |name: &str| self.all.iter().any(|known| known == name);
        // A file with environments may leave its top to nobody.
        if !known(builds) && (place.name.is_some() || place.own("build").is_some()) {
            self.say(
                Code::DeploysUnknown,
                Severity::Error,
                span,
                format!(
                    "{} builds the environment `{builds}`, which gateway.yaml does not list",
                    place.shown()
                ),
                format!("it lists: {}", self.all.join(", ")),
            );
        } else if let Some(name) = place.name
            && name != builds
            && known(name)
        {
            self.say(
                Code::DeploysOther,
                Severity::Error,
                span,
                format!("`env.{name}` builds the policies of `{builds}`"),
                format!("write in it: build.command = \"{}\"", self.call(name)),
            );
        }
    }

    /// Whether an environment has what the Worker needs there.
    fn place(&mut self, place: &Place<'_>, compiled: Option<&Compiled>) {
        self.worker(place);
        self.runs(place);
        self.build(place);
        self.files(place);
        self.tags(place);
        self.binding(place);
        self.watchers(place);
        self.unsafe_parts(place);
        self.bounds(place);
        let Some(compiled) = compiled else {
            return;
        };
        self.workers_dev(place, compiled);
        self.fails_open(place, compiled);
        self.hosts(place, compiled);
        let crons = place
            .inherited("triggers")
            .and_then(|triggers| triggers.get_ref().get("crons"));
        let any = crons
            .and_then(|crons| crons.get_ref().as_array())
            .is_some_and(|crons| !crons.is_empty());
        if !any && !compiled.secrets.is_empty() {
            let span = crons.map_or_else(|| place.span.clone(), Spanned::span);
            self.say(
                Code::NoCron,
                Severity::Warning,
                span,
                format!(
                    "{} has no cron trigger, so a secret that goes missing is noticed by callers first",
                    place.shown()
                ),
                "write triggers.crons = [\"17 * * * *\"]",
            );
        }
    }

    fn workers_dev(&mut self, place: &Place<'_>, compiled: &Compiled) {
        // Mocks are what no production has.
        if compiled.gateway.mocks {
            return;
        }
        let previews = place.inherited("preview_urls");
        if let Some(previews) = previews.filter(|value| value.get_ref().as_bool() == Some(true)) {
            self.say(
                Code::OpenWorkersDev,
                Severity::Warning,
                previews.span(),
                format!(
                    "{} builds `{}`, which forbids mocks, and each of its versions is reached at a preview address",
                    place.shown(),
                    compiled.gateway.environment
                ),
                "write in it: preview_urls = false",
            );
        }
        let written = place.inherited("workers_dev");
        let open = match written.and_then(|value| value.get_ref().as_bool()) {
            Some(open) => open,
            // wrangler's own rule where nothing is written.
            None => routes(place).is_empty(),
        };
        if open {
            let span = written.map_or_else(|| place.span.clone(), Spanned::span);
            self.say(
                Code::OpenWorkersDev,
                Severity::Warning,
                span,
                format!(
                    "{} builds `{}`, which forbids mocks, and is reached at workers.dev",
                    place.shown(),
                    compiled.gateway.environment
                ),
                "write in it: workers_dev = false, and the routes by which it is reached",
            );
        }
    }

    fn hosts(&mut self, place: &Place<'_>, compiled: &Compiled) {
        let hosts = &compiled.gateway.hosts;
        let routes = routes(place);
        if hosts.is_empty() {
            self.nowhere(place, &routes);
            return;
        }
        self.unreached(place, compiled, &routes);
        for Route { pattern, span, .. } in routes {
            let host = host_of(&pattern);
            // A pattern for many hosts leads at least one of them here.
            let fits = match host.strip_prefix('*') {
                Some(end) => hosts.iter().any(|known| known.ends_with(end)),
                None => hosts.contains(&host),
            };
            if !fits {
                self.say(
                    Code::OtherHost,
                    Severity::Warning,
                    span,
                    format!(
                        "`{host}` is not among the hosts of gateway.yaml, so each of its requests is refused"
                    ),
                    format!("it lists: {}", hosts.join(", ")),
                );
            }
        }
    }

    /// Whether anything leads here at all, where the gateway answers every host.
    fn nowhere(&mut self, place: &Place<'_>, routes: &[Route]) {
        if !is_closed(place) || !routes.is_empty() {
            return;
        }
        let span = place.own("workers_dev");
        self.say(
            Code::HostUnreached,
            Severity::Warning,
            span.map_or_else(|| place.span.clone(), Spanned::span),
            format!(
                "{} is reached nowhere: it is not at workers.dev, and has no route",
                place.shown()
            ),
            "write in it, with a host of yours: routes = [{ pattern = \"api.example.com\", custom_domain = true }]",
        );
    }

    /// Hosts that the gateway answers, and to which nothing leads.
    fn unreached(&mut self, place: &Place<'_>, compiled: &Compiled, routes: &[Route]) {
        // What is led here in another way is reached at workers.dev, or in a place that is not known here.
        if !is_closed(place) {
            return;
        }
        let leads = |route: &Route, known: &str| {
            let host = host_of(&route.pattern);
            match host.strip_prefix('*') {
                Some(end) => known.ends_with(end),
                None => host == known,
            }
        };
        let led = |known: &str| {
            routes
                .iter()
                .any(|route| is_whole(&route.pattern) && leads(route, known))
        };
        let hosts = compiled.gateway.hosts.iter();
        let (parts, missing): (Vec<&str>, Vec<&str>) = hosts
            .map(String::as_str)
            .filter(|host| !led(host))
            .partition(|host| routes.iter().any(|route| leads(route, host)));
        for host in parts {
            if let Some(route) = routes.iter().find(|route| leads(route, host)) {
                self.say(
                    Code::HostUnreached,
                    Severity::Warning,
                    route.span.clone(),
                    format!(
                        "`{}` leads only a part of `{host}` here, and nothing the rest",
                        route.pattern
                    ),
                    format!("write in it: routes = [{{ pattern = \"{host}\", custom_domain = true }}]"),
                );
            }
        }
        let Some(first) = missing.first() else { return };
        let at = ["routes", "route"].into_iter().find_map(|key| place.own(key));
        let span = at
            .or(place.own("workers_dev"))
            .map_or_else(|| place.span.clone(), Spanned::span);
        self.say(
            Code::HostUnreached,
            Severity::Warning,
            span,
            format!(
                "no route of {} leads `{}` here, and workers.dev does not either",
                place.shown(),
                missing.join("`, `")
            ),
            format!("write in it: routes = [{{ pattern = \"{first}\", custom_domain = true }}]"),
        );
    }
}

/// Whether it is not reached at workers.dev.
fn is_closed(place: &Place<'_>) -> bool {
    let written = place.inherited("workers_dev");
    written.and_then(|value| value.get_ref().as_bool()) == Some(false)
}

/// The host of a route's pattern: `https://*.example.com/*`.
fn host_of(pattern: &str) -> String {
    host(pattern).to_ascii_lowercase()
}

/// Whether the pattern of a route leads all of its hosts, and not only some of their paths.
fn is_whole(pattern: &str) -> bool {
    let bare = pattern.split_once("://").map_or(pattern, |(_, rest)| rest);
    bare.split_once('/').is_none_or(|(_, path)| path == "*")
}

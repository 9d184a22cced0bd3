//! Whether an environment of wrangler deploys this Worker, built of this tree, and under a name of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::ops::Range;
use std::path::PathBuf;

use toml::Spanned;
use turnpike_policy::Compiled;
use turnpike_policy::source::{Code, Severity};

use super::Check;
use super::place::{Place, is_plain, is_the_script, names_policies, routes};

/// The module that wrangler bundles.
const MAIN: &str = "src/entry.js";
/// The folder of the policies that the script builds, where nobody names one.
const POLICIES: &str = "policies";

impl Check<'_> {
    /// Says what may hold for several environments at once, when it stands at the top, for the first of them.
    pub(super) fn say_once(
        &mut self,
        code: Code,
        severity: Severity,
        span: Range<usize>,
        message: String,
        help: String,
    ) {
        let mut said = self.remarks.iter();
        if !said.any(|remark| remark.code == code && remark.span == span) {
            self.say(code, severity, span, message, help);
        }
    }

    /// Says once what stands nowhere in the file, and holds for all of it.
    pub(super) fn lacks(&mut self, place: &Place<'_>, message: &str, help: String) {
        let mut said = self.remarks.iter();
        if !said.any(|remark| remark.code == Code::OtherWorker && remark.message == message) {
            let message = message.to_owned();
            self.say(Code::OtherWorker, Severity::Error, place.start(), message, help);
        }
    }

    /// Which module is bundled, and with which others.
    pub(super) fn worker(&mut self, place: &Place<'_>) {
        let write = format!("write: main = \"{MAIN}\"");
        match place.inherited("main") {
            None => self.lacks(place, "nothing says what is deployed: `main` is missing", write),
            Some(value) => {
                let main = value.get_ref().as_str();
                if main.map(|main| main.strip_prefix("./").unwrap_or(main)) != Some(MAIN) {
                    self.say_once(
                        Code::OtherWorker,
                        Severity::Error,
                        value.span(),
                        format!("{} deploys another Worker than the gateway", place.shown()),
                        write,
                    );
                }
            }
        }
        self.modules(place);
        self.rules(place);
    }

    /// What makes other modules of the gateway's, or takes others along.
    fn modules(&mut self, place: &Place<'_>) {
        let set = |key: &str| {
            let value = place.inherited(key);
            value.filter(|value| value.get_ref().as_bool() == Some(true))
        };
        for (key, found, why) in [
            // wrangler reads it at the top alone, and for all of the file.
            (
                "alias",
                place.top.get("alias"),
                "other modules take the place of its own",
            ),
            (
                "define",
                place.own("define"),
                "names in its code stand for something else",
            ),
            (
                "tsconfig",
                place.inherited("tsconfig"),
                "it may say where other modules are found",
            ),
            (
                "base_dir",
                place.inherited("base_dir"),
                "what lies in that folder may go with it",
            ),
            (
                "no_bundle",
                set("no_bundle"),
                "its modules go as they lie there, with whatever lies beside them",
            ),
            (
                "find_additional_modules",
                set("find_additional_modules"),
                "modules go with it that it does not name",
            ),
        ] {
            let Some(value) = found else {
                continue;
            };
            self.say_once(
                Code::OtherWorker,
                Severity::Error,
                value.span(),
                format!(
                    "{} changes what the gateway is made of (`{key}`): {why}",
                    place.shown()
                ),
                "take it out".to_owned(),
            );
        }
    }

    /// What the folder of the policies is called.
    fn folder(&self) -> Option<String> {
        let named = self.root.file_name().map(OsStr::to_owned);
        // `.` has no name, but where it is has one.
        let named = named.or_else(|| Some(self.root.canonicalize().ok()?.file_name()?.to_owned()))?;
        Some(named.to_str()?.to_owned())
    }

    /// Whether the script builds this tree although the command does not name it: the surroundings do, as in a pipeline
    /// that checks and deploys (`scripts/ci`), or the usual name leads to it.
    fn named_around(&self) -> bool {
        let usual = super::folder_of(self.root).map(|folder| folder.join(POLICIES));
        let variable = std::env::var_os("POLICIES").map(PathBuf::from);
        self.root.canonicalize().is_ok_and(|real| {
            let mut others = [usual, variable].into_iter().flatten();
            others.any(|other| other.canonicalize().is_ok_and(|other| other == real))
        })
    }

    /// The command that builds an environment of this tree.
    pub(super) fn call(&self, environment: &str) -> String {
        match self.folder() {
            Some(folder) if folder != POLICIES => {
                format!("POLICIES={folder} scripts/build --env {environment}")
            }
            _ => format!("scripts/build --env {environment}"),
        }
    }

    /// Whether what is deployed is what the script builds of this tree.
    pub(super) fn build(&mut self, place: &Place<'_>) {
        let build = place.inherited("build").map(Spanned::get_ref);
        let of = |key: &str| build.and_then(|build| build.get(key));
        let policies = self.folder();
        let (name, _) = place.builds();
        let help = format!("write: build.command = \"{}\"", self.call(&name));
        let Some(command) = of("command") else {
            let missing =
                "nothing builds what is deployed (`build.command` is missing): it is whatever lies in build/";
            self.lacks(place, missing, help);
            return;
        };
        let text = command.get_ref().as_str();
        let Some(text) = text.filter(|text| is_the_script(text, policies.as_deref())) else {
            self.say_once(
                Code::OtherWorker,
                Severity::Error,
                command.span(),
                format!(
                    "the build command of {} is another than the call of scripts/build: what it builds is not known",
                    place.shown()
                ),
                help,
            );
            return;
        };
        if let Some(folder) =
            policies.filter(|folder| folder != POLICIES && !names_policies(text) && !self.named_around())
        {
            self.say_once(
                Code::OtherWorker,
                Severity::Error,
                command.span(),
                format!(
                    "the build command of {} builds the policies of the folder `{POLICIES}`, and these lie in `{folder}`",
                    place.shown()
                ),
                if is_plain(&folder) {
                    help
                } else {
                    format!("call the folder `{POLICIES}`")
                },
            );
        }
        if let Some(folder) = of("cwd")
            && !matches!(folder.get_ref().as_str(), Some("" | "." | "./"))
        {
            self.say_once(
                Code::OtherWorker,
                Severity::Error,
                folder.span(),
                format!("{} builds what lies in another folder", place.shown()),
                "take it out".to_owned(),
            );
        }
    }

    /// Files that are served beside the gateway.
    pub(super) fn files(&mut self, place: &Place<'_>) {
        for (key, why) in [
            (
                "assets",
                "they are served to everybody, before the gateway is asked",
            ),
            (
                "site",
                "the gateway serves none, and what would serve them is not the gateway",
            ),
        ] {
            let Some(files) = place.inherited(key) else {
                continue;
            };
            self.say_once(
                Code::OtherWorker,
                Severity::Error,
                files.span(),
                format!("{} deploys files (`{key}`): {why}", place.shown()),
                "take them out: serve them from a Worker of their own".to_owned(),
            );
        }
    }

    /// Migrations that one tag stands for: wrangler runs what comes after the tag that was run last.
    pub(super) fn tags(&mut self, place: &Place<'_>) {
        let migrations = place.inherited("migrations");
        let migrations = migrations.and_then(|all| all.get_ref().as_array());
        let mut tags = BTreeSet::new();
        for migration in migrations.into_iter().flatten() {
            let Some(tag) = migration.get_ref().get("tag") else {
                continue;
            };
            if let Some(text) = tag.get_ref().as_str()
                && !tags.insert(text)
            {
                self.say_once(
                    Code::DoubleMigration,
                    Severity::Error,
                    tag.span(),
                    format!("two migrations of {} have the tag `{text}`", place.shown()),
                    "give the later one a tag of its own".to_owned(),
                );
            }
        }
    }

    /// Routes past which requests go on when the Worker cannot run.
    pub(super) fn fails_open(&mut self, place: &Place<'_>, compiled: &Compiled) {
        if compiled.gateway.mocks {
            return;
        }
        for route in routes(place).into_iter().filter(|route| !route.custom_domain) {
            self.say_once(
                Code::RouteOpen,
                Severity::Warning,
                route.span,
                format!(
                    "`{}` is a route: a request that comes while the Worker cannot run goes on to what lies behind it",
                    route.pattern
                ),
                "write custom_domain = true (a host, without a path), or set the route's failure mode to closed in \
                 the dashboard"
                    .to_owned(),
            );
        }
    }

    /// Environments that are deployed as one Worker: the later deployment takes the place of the earlier.
    pub(super) fn names(&mut self, places: &[Place<'_>]) {
        let mut workers: BTreeMap<String, (String, String)> = BTreeMap::new();
        for place in places {
            let (builds, _) = place.builds();
            let Some((worker, span)) = place.worker().filter(|_| self.all.contains(&builds)) else {
                continue;
            };
            match workers.get(&worker) {
                None => {
                    workers.insert(worker, (builds, place.shown()));
                }
                Some((other, shown)) if *other != builds => {
                    let message = format!(
                        "{} deploys `{builds}` as the Worker `{worker}`, as which {shown} deploys `{other}`",
                        place.shown()
                    );
                    let help = "each deployment would take the other's place: give them names of their own";
                    self.say(Code::SameWorker, Severity::Error, span, message, help);
                }
                Some(_) => {}
            }
        }
    }
}

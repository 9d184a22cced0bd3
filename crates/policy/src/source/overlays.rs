//! `environments/<env>.yaml`: values that differ by environment, and where they go.
//!
//! An overlay holds values, never rules: variables, the hosts that are answered, and where upstreams are. What
//! one environment names and another does not is missing there, and fails the build of that one alone.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Deref;

use super::apis::ApiFile;
use super::catalogue::Catalogue;
use super::compile::Checker;
use super::containers::{List, Map};
use super::declare::record;
use super::diagnostic::{Code, Span};
use super::files::{Item, Tree};
use super::gateway::GatewayFile;
use super::names::{self, nearest};
use super::providers::ProviderFile;
use super::reader::{Fault, Field, Read, Reader, Scalar, Spanned, Variables};
use super::scalars::{Host, Name, Url};
use super::secrets::quote;
use super::yaml::{Node, Value};

record! {
    /// What differs by environment. Values only, never rules.
    EnvironmentFile = "environment" {
        /// Variables: `${name}` in a text of another file stands for the value.
        vars: default "{}" Vars,
        /// The host names that the gateway answers in this environment. Where one environment names its
        /// own, `gateway.yaml` names none, and every environment does.
        hosts: optional List<Host>,
        /// Where upstreams are in this environment, by the name that `upstream` of a version or `base_url` of
        /// a provider says.
        upstreams: default "{}" Map<Url>,
    }
}

/// Variables and their values; reading them makes them known to the reader.
#[derive(Clone, Debug)]
pub(crate) struct Vars;

impl Read for Vars {
    fn expects() -> String {
        "a map from names to texts".to_owned()
    }

    fn schema() -> serde_json::Value {
        super::schema::map(&super::schema::scalar("a value"))
    }

    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        let Value::Map(entries) = &node.value else {
            reader.report.error(
                Code::WrongType,
                node.span,
                format!("expected a map from names to texts, found {}", node.kind()),
            );
            reader.variables.broken |= reader.is_here();
            return None;
        };
        let mut vars = BTreeMap::new();
        for (key, value) in entries {
            let Some(name) = key.text() else { continue };
            if let Err(fault) = Name::parse(name) {
                reader
                    .report
                    .error(fault.code, key.span, fault.message)
                    .maybe_help(fault.help);
            }
            match value.text().filter(|_| !value.is_null()) {
                Some(text) => drop(vars.insert(name.to_owned(), Spanned::new(text.to_owned(), key.span))),
                None => {
                    reader.report.error(
                        Code::WrongType,
                        value.span,
                        format!("expected text, found {}", value.kind()),
                    );
                }
            }
        }
        // What follows them in the file may use them.
        if reader.is_here() {
            reader.variables.values = vars;
        }
        Some(Self)
    }
}

/// Where an upstream is: its URL, or the name that the environment has for it.
#[derive(Clone, Debug)]
pub(crate) struct Upstream {
    /// Its URL; of one that is named, nothing before [`give_upstreams`].
    url: Url,
    name: Option<String>,
    /// Where the environment says it.
    pub(crate) from: Option<Span>,
}

impl Deref for Upstream {
    type Target = Url;

    fn deref(&self) -> &Url {
        &self.url
    }
}

impl Scalar for Upstream {
    const EXPECTS: &'static str =
        "a URL such as `https://api.example.com/v1`, or a name under `upstreams` of the environment";

    fn parse(text: &str) -> Result<Self, Fault> {
        // What holds a dot, or cannot be a name, was meant for a URL.
        let named = !text.contains(['.', ':']) && Name::parse(text).is_ok();
        Ok(if named {
            Self {
                url: Url(String::new()),
                name: Some(text.to_owned()),
                from: None,
            }
        } else {
            Self {
                url: Url::parse(text)?,
                name: None,
                from: None,
            }
        })
    }
}

/// What an environment's file says of hosts and upstreams.
#[derive(Debug, Default)]
pub(crate) struct Overlay {
    /// Its path, for messages.
    file: String,
    hosts: Field<List<Host>>,
    upstreams: BTreeMap<String, Spanned<Url>>,
    /// Those that could not be read.
    lost: BTreeSet<String>,
    used: BTreeSet<String>,
    /// The file could not be read: nothing is known of what it says.
    broken: bool,
}

impl Overlay {
    /// Reads the files of all environments, and keeps what that of the one that is built says.
    pub(crate) fn read(tree: &Tree, reader: &mut Reader) -> Self {
        let name = reader.environment.clone();
        let mut overlay = Self {
            file: format!("environments/{name}.yaml"),
            ..Self::default()
        };
        reader.variables = Variables {
            file: overlay.file.clone(),
            ..Variables::default()
        };
        let misplaced = tree.misplaced.get("environments").into_iter().flatten();
        reader.variables.broken = misplaced.into_iter().any(|(misplaced, _)| *misplaced == name);
        for item in tree.kinds.get("environments").into_iter().flatten() {
            check_name(item, reader);
            let node = item.node.as_ref();
            if item.name != name {
                reader.elsewhere(|reader| node.and_then(|node| EnvironmentFile::read(node, reader)));
                continue;
            }
            match node.and_then(|node| EnvironmentFile::read(node, reader)) {
                Some(file) => overlay.take(file, reader),
                None => reader.variables.broken = true,
            }
        }
        overlay.broken |= reader.variables.broken;
        overlay
    }

    fn take(&mut self, file: EnvironmentFile, reader: &mut Reader) {
        reader.variables.broken |= file.vars.is_none();
        self.hosts = file.hosts;
        match file.upstreams {
            Some(upstreams) => {
                let Map { here, others } = upstreams.value;
                self.upstreams = here.into_iter().map(|(name, url)| (name.value, url)).collect();
                self.lost = others.into_iter().map(|name| name.value).collect();
            }
            None => self.broken = true,
        }
    }

    /// Lets the gateway answer the hosts of its environment.
    pub(crate) fn give_hosts(&self, file: &mut Spanned<GatewayFile>, tree: &Tree, reader: &mut Reader) {
        if let Some(hosts) = &self.hosts {
            if let Some(everywhere) = &file.value.hosts {
                reader
                    .report
                    .error(
                        Code::Conflict,
                        hosts.key_span,
                        "hosts are named here and in `gateway.yaml`",
                    )
                    .label(everywhere.key_span, "for every environment")
                    .help("remove one of them: those of `gateway.yaml`, if every environment names its own");
            }
            file.value.hosts = Some(hosts.clone());
            return;
        }
        let items = tree.kinds.get("environments").into_iter().flatten();
        let other = items
            .filter(|item| item.name != reader.environment)
            .find_map(|item| Some((item, item.node.as_ref()?.get("hosts")?)));
        if let Some((other, hosts)) = other
            && file.value.hosts.is_none()
            && !self.broken
        {
            let environment = reader.environment.clone();
            let own = tree.kinds.get("environments").into_iter().flatten();
            let own = own.into_iter().find(|item| item.name == environment);
            let message = format!("the hosts of {} are not named", quote(&environment));
            reader
                .report
                .error(
                    Code::MissingField,
                    own.map_or(file.span, |item| item.span),
                    message,
                )
                .label(hosts.span, format!("{} names its own", quote(&other.name)))
                .help(format!(
                    "write `hosts` in `{}`: without it every host would be answered there",
                    self.file
                ));
        }
    }

    /// What nothing refers to, with where it stands.
    pub(crate) fn unused(&self) -> Vec<(Span, String)> {
        let idle = self
            .upstreams
            .iter()
            .filter(|(name, _)| !self.used.contains(*name));
        idle.map(|(name, url)| {
            (
                url.key_span,
                format!("nothing reaches the upstream {}", quote(name)),
            )
        })
        .collect()
    }

    /// The URL that a name stands for.
    fn resolve(&mut self, field: &mut Field<Upstream>, needed: bool, reader: &mut Reader) {
        let Some(upstream) = field else { return };
        let Some(name) = upstream.value.name.clone() else {
            return;
        };
        self.used.insert(name.clone());
        if let Some(url) = self.upstreams.get(&name) {
            upstream.value.url = url.value.clone();
            upstream.value.from = Some(url.span);
            return;
        }
        if !needed {
            *field = None;
            return;
        }
        // Where it is shall be known from here on, so that nothing more is said of it.
        upstream.value.url = Url("https://unknown.invalid".to_owned());
        if self.broken || self.lost.contains(&name) {
            return;
        }
        let near = nearest(&name, self.upstreams.keys().map(String::as_str));
        let help = near.map_or_else(
            || format!("set it under `upstreams` in `{}`, or write a URL here", self.file),
            |near| format!("did you mean {}?", quote(near)),
        );
        let message = format!(
            "the environment {} says of no upstream {} where it is",
            quote(&reader.environment),
            quote(&name)
        );
        reader
            .report
            .error(Code::UnsetVariable, upstream.span, message)
            .help(help);
    }
}

fn check_name(item: &Item, reader: &mut Reader) {
    let known = reader.environments.clone();
    if let Some(known) = known.filter(|known| !known.contains(&item.name)) {
        let help = names::remedy(&item.name, "environment", known.iter().map(String::as_str));
        reader
            .report
            .error(
                Code::UnknownEnvironment,
                item.span,
                format!("`gateway.yaml` lists no environment {}", quote(&item.name)),
            )
            .help(help);
    }
}

/// Puts the URLs of the environment in the place of their names.
pub(crate) fn give_upstreams(
    apis: &mut Catalogue<ApiFile>,
    providers: &mut Catalogue<ProviderFile>,
    checker: &mut Checker,
) {
    let (overlay, reader) = (&mut checker.overlay, &mut checker.reader);
    let versions = apis
        .here
        .iter_mut()
        .filter_map(|(_, api)| api.value.versions.as_mut());
    for (_, version) in versions.flat_map(|versions| &mut versions.value.here) {
        // Where the version is mocked, nothing is reached.
        let mocked = version
            .mock
            .as_ref()
            .is_some_and(|mock| mock.here && mock.limited);
        overlay.resolve(&mut version.value.upstream, !mocked, reader);
        let credential = version.value.upstream_credential.as_mut();
        if let Some(grant) = credential.and_then(|credential| credential.value.grant.as_mut()) {
            overlay.resolve(&mut grant.value.endpoint, !mocked, reader);
        }
    }
    for (_, provider) in &mut providers.here {
        overlay.resolve(&mut provider.value.base_url, true, reader);
        if let Some(grant) = provider.value.grant.as_mut() {
            overlay.resolve(&mut grant.value.endpoint, true, reader);
        }
    }
}

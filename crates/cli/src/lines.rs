//! Which line of the policies says what holds.
//!
//! The bundle knows where operations, limits and conditions were written. Of a single field, an item of a
//! list or a grant only the files know: here each is looked up in the order in which it counts. What an
//! API or a model says itself is as narrow as what its template says, or narrower, and that than the floor;
//! so the first of these that says anything is the one that holds.

mod behind;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use turnpike_policy::source::folder;
use turnpike_policy::{Api, Consumer, Model, Operation};

use crate::outline::{Kind, Node, resolved};
pub(crate) use behind::Behind;

/// The files of a tree, read as far as they are asked for, as one environment has them.
pub(crate) struct Lines {
    root: PathBuf,
    environment: String,
    files: RefCell<BTreeMap<String, Option<Rc<File>>>>,
    /// What is behind lines, as many things are on the same ones.
    behind: RefCell<BTreeMap<String, Rc<Behind>>>,
}

struct File {
    /// The folder of the policies, as the bundle names it.
    folder: String,
    /// Below the folder of the policies.
    name: String,
    /// The byte at which each line begins.
    starts: Vec<usize>,
    node: Node,
}

/// By what a consumer is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shown<'a> {
    /// Its token of the issuer of this name.
    Token(&'a str),
    /// Its first key.
    Key,
    /// Its first certificate.
    Certificate,
}

impl Lines {
    pub(crate) fn new(root: &Path, environment: &str) -> Self {
        Self {
            root: root.to_owned(),
            environment: environment.to_owned(),
            files: RefCell::default(),
            behind: RefCell::default(),
        }
    }

    /// The line of a field of `gateway.yaml`.
    pub(crate) fn gateway(&self, path: &[&str]) -> Option<String> {
        self.called("gateway")?.field(path)
    }

    /// The line of the exception to a rule, for an API or a provider (`apis/pets`).
    pub(crate) fn exception(&self, rule: &str, target: &str) -> Option<String> {
        let file = self.called("gateway")?;
        let says = |item: &&Node, name, wanted| text(item, name) == Some(wanted);
        let item = self
            .items(&file.node, "exceptions")
            .find(|item| says(item, "rule", rule) && says(item, "for", target))?;
        Some(file.line(entry(item, "rule")?.0))
    }

    /// The line of a field in the file that an origin names.
    pub(crate) fn field(&self, origin: &str, path: &[&str]) -> Option<String> {
        self.of(origin)?.field(path)
    }

    /// The line of a field of a version.
    pub(crate) fn version(&self, api: &Api, field: &str) -> Option<String> {
        self.field(&api.origin, &["versions", &api.version, field])
    }

    /// The line of a field that a template may say too, of an API.
    pub(crate) fn api(&self, api: &Api, path: &[&str]) -> Option<String> {
        self.inherited(&api.origin, "api", path)
    }

    /// The line of a field that a template may say too, of a model.
    pub(crate) fn model(&self, model: &Model, path: &[&str]) -> Option<String> {
        self.inherited(&model.origin, "model", path)
    }

    fn inherited(&self, origin: &str, kind: &str, path: &[&str]) -> Option<String> {
        let template = || {
            let path: Vec<_> = [kind].iter().chain(path).copied().collect();
            let file = self.template(origin)?;
            let (key, value) = find(&file.node, &path)?;
            // What a parameter stands for is said where it is given.
            let parameter = value
                .text()
                .and_then(|text| text.strip_prefix("${")?.strip_suffix('}'));
            let given = parameter.and_then(|name| self.field(origin, &["with", name]));
            given.or_else(|| Some(file.line(key)))
        };
        self.field(origin, path).or_else(template)
    }

    /// The line that bounds one operation, where its API bounds it apart from the others.
    pub(crate) fn operation(&self, api: &Api, operation: &Operation, path: &[&str]) -> Option<String> {
        let file = self.of(&api.origin)?;
        self.items(&file.node, "operations")
            .filter(|item| names(item, "for", &operation.id))
            .find_map(|item| file.below(item, path))
    }

    /// The line that asks callers of an operation for a scope.
    pub(crate) fn scope(&self, api: &Api, operation: &Operation, scope: &str) -> Option<String> {
        self.asks(&api.origin, "api", scope, |item| {
            names(item, "operations", &operation.id)
        })
    }

    /// The line that asks callers of a model for a scope.
    pub(crate) fn scope_of_model(&self, model: &Model, scope: &str) -> Option<String> {
        self.asks(&model.origin, "model", scope, |_| true)
    }

    /// The line of an item of `authorize`, of a file or of its template, that asks for a scope.
    fn asks(&self, origin: &str, kind: &str, scope: &str, meant: impl Fn(&Node) -> bool) -> Option<String> {
        let own = self.of(origin).map(|file| (file, None));
        let template = self.template(origin).map(|file| (file, Some(kind)));
        let mut places = Vec::new();
        for (file, part) in own.into_iter().chain(template) {
            let rules = match part {
                None => Some(&file.node),
                Some(part) => entry(&file.node, part).map(|(_, rules)| rules),
            };
            for item in rules.into_iter().flat_map(|rules| self.items(rules, "authorize")) {
                if let Some((key, scopes)) = entry(item, "scopes")
                    && meant(item)
                {
                    let texts = list(scopes).iter().filter_map(Node::text);
                    // What a variable stands for is not known here: that it may be meant counts less.
                    let fit = texts.filter_map(|text| match text {
                        text if text == scope => Some(0),
                        text if text.contains("${") => Some(1),
                        _ => None,
                    });
                    places.extend(fit.min().map(|fit| (fit, file.line(key))));
                }
            }
        }
        let best = places.into_iter().min_by_key(|(fit, _)| *fit);
        best.map(|(_, line)| line)
    }

    /// The line that grants a consumer an operation.
    pub(crate) fn grants(&self, consumer: &Consumer, api: &Api, operation: &Operation) -> Option<String> {
        self.grant(consumer, |item| {
            entry(item, "apis").map(|(key, _)| key).or_else(|| {
                let (key, name) = entry(item, "api")?;
                let named = name.text() == Some(&api.name) && names(item, "operations", &operation.id);
                named.then_some(key)
            })
        })
    }

    /// The line that grants a consumer a model.
    pub(crate) fn grants_model(&self, consumer: &Consumer, model: &Model) -> Option<String> {
        self.grant(consumer, |item| {
            let (key, _) = entry(item, "models")?;
            names(item, "models", &model.name).then_some(key)
        })
    }

    fn grant(&self, consumer: &Consumer, granting: impl Fn(&Node) -> Option<&Node>) -> Option<String> {
        let file = self.of(&consumer.origin)?;
        let mut items = self.items(&file.node, "may");
        items.find_map(|item| granting(item).map(|key| file.line(key)))
    }

    /// The line of a consumer's credential.
    pub(crate) fn credential(&self, consumer: &Consumer, by: Shown<'_>) -> Option<String> {
        let file = self.of(&consumer.origin)?;
        let mut items = self.items(&file.node, "credentials");
        items.find_map(|item| {
            let key = match by {
                Shown::Key => entry(item, "key")?.0,
                Shown::Certificate => entry(item, "certificate")?.0,
                Shown::Token(issuer) => {
                    let (key, jwt) = entry(item, "jwt")?;
                    (text(jwt, "issuer") == Some(issuer)).then_some(key)?
                }
            };
            Some(file.line(key))
        })
    }

    /// The line of the credential of a consumer that says all of this, of a kind such as `key`; of all of them, if none does.
    pub(crate) fn credential_with(&self, origin: &str, kind: &str, says: &[(&str, &str)]) -> Option<String> {
        let file = self.of(origin)?;
        let is = |item: &Node, (field, wanted): &(&str, &str)| {
            text(item, field).is_some_and(|said| said.eq_ignore_ascii_case(wanted))
        };
        let mut items = self.items(&file.node, "credentials");
        let found = items.find_map(|item| {
            let (key, its) = entry(item, kind)?;
            says.iter().all(|says| is(its, says)).then(|| file.line(key))
        });
        found.or_else(|| file.field(&["credentials"]))
    }

    /// The line of one of a model's `targets`, or of its `fallback`; of the list, if the item is not to be
    /// told from others.
    pub(crate) fn target(&self, model: &Model, field: &str, target: &str) -> Option<String> {
        let file = self.of(&model.origin)?;
        let mut items = self.items(&file.node, field);
        let found = items.find_map(|item| match entry(item, "to") {
            Some((key, to)) => (to.text() == Some(target)).then_some(key),
            None => (item.text() == Some(target)).then_some(item),
        });
        found.map(|node| file.line(node)).or_else(|| file.field(&[field]))
    }

    /// The line of what an operation's document says of it: its `parameters`, say; else those of its path.
    pub(crate) fn document(&self, operation: &Operation, field: &str) -> Option<String> {
        let file = self.of(&operation.origin)?;
        let (_, paths) = entry(&file.node, "paths")?;
        let its = file.bytes(&operation.origin)?;
        paths.entries().iter().find_map(|(_, item)| {
            let mut methods = item.entries().iter();
            let (_, own) = methods.find(|(key, _)| its.contains(&key.bytes.start))?;
            let (key, _) = entry(own, field).or_else(|| entry(item, field))?;
            Some(file.line(key))
        })
    }

    /// The files beside the one that an origin names that also say what it says: its template, and the environment's
    /// where a value is taken from there.
    pub(crate) fn beside(&self, origin: &str) -> Vec<String> {
        let own = self.of(origin);
        let template = self.template(origin);
        let mut beside: Vec<_> = template.iter().map(|file| file.place()).collect();
        if let Some(values) = self.called(&format!("environments/{}", self.environment)) {
            let known = |field: &str| {
                let map = entry(&values.node, field).map(|(_, map)| map.entries());
                let keys = map.unwrap_or_default().iter();
                keys.filter_map(|(key, _)| key.text()).collect::<Vec<_>>()
            };
            let (vars, upstreams) = (known("vars"), known("upstreams"));
            let takes = |text: &str| {
                let mut named = text.split("${").skip(1).filter_map(|rest| rest.split('}').next());
                upstreams.contains(&text) || named.any(|name| vars.contains(&name))
            };
            if own.iter().chain(&template).any(|file| any(&file.node, &takes)) {
                beside.push(values.place());
            }
        }
        beside
    }

    /// The bytes of an operation in its document, if it can be told from those beside it.
    pub(crate) fn bytes(&self, operation: &Operation) -> Option<Range<usize>> {
        let file = self.of(&operation.origin)?;
        let (_, paths) = entry(&file.node, "paths")?;
        let its = file.bytes(&operation.origin)?;
        let methods = paths.entries().iter().flat_map(|(_, item)| item.entries());
        let here: Vec<_> = methods
            .filter(|(key, _)| its.contains(&key.bytes.start))
            .collect();
        // All of a document may be one line.
        let called = |own: &Node| text(own, "operationId") == Some(&operation.id);
        let (key, own) = match here.as_slice() {
            [one] => one,
            many => many.iter().find(|(_, own)| called(own))?,
        };
        Some(key.bytes.start..own.end())
    }

    /// The line, as the bundle names places, of a byte of a file that it names so.
    pub(crate) fn line_at(&self, file: &str, byte: usize) -> Option<String> {
        let file = self.file(file.split_once('/')?.1)?;
        Some(file.line_of(byte))
    }

    /// The file of a tree that an origin names: `policies/apis/pets/api.yaml:8`.
    fn of(&self, origin: &str) -> Option<Rc<File>> {
        let (name, _) = origin.split_once('/')?.1.rsplit_once(':')?;
        self.file(name)
    }

    /// The file of the template that a file builds on.
    fn template(&self, origin: &str) -> Option<Rc<File>> {
        let file = self.of(origin)?;
        self.called(&format!("templates/{}", text(&file.node, "template")?))
    }

    /// A file by its name without its ending.
    fn called(&self, name: &str) -> Option<Rc<File>> {
        let endings = ["yaml", "yml", "json"];
        endings
            .into_iter()
            .find_map(|ending| self.file(&format!("{name}.{ending}")))
    }

    fn file(&self, name: &str) -> Option<Rc<File>> {
        let mut files = self.files.borrow_mut();
        let read = files.entry(name.to_owned()).or_insert_with(|| {
            let text = fs::read_to_string(self.root.join(name)).ok()?;
            let node = resolved(&text)?;
            let name = name.to_owned();
            let folder = folder(&self.root);
            let starts = text.match_indices('\n').map(|(at, _)| at + 1);
            let starts = [0].into_iter().chain(starts).collect();
            Some(Rc::new(File {
                folder,
                name,
                starts,
                node,
            }))
        });
        read.clone()
    }

    /// The items of a list that exist in the environment.
    fn items<'n>(&self, node: &'n Node, field: &str) -> impl Iterator<Item = &'n Node> {
        let items = entry(node, field)
            .map(|(_, value)| list(value))
            .unwrap_or_default();
        items.iter().filter(|item| holds(item, &self.environment))
    }
}

impl File {
    /// Where a node begins, as the bundle names places.
    fn line(&self, node: &Node) -> String {
        self.line_of(node.bytes.start)
    }

    fn line_of(&self, byte: usize) -> String {
        let line = self.starts.partition_point(|start| *start <= byte);
        format!("{}/{}:{line}", self.folder, self.name)
    }

    /// The file as a whole, as the bundle names places.
    fn place(&self) -> String {
        format!("{}/{}", self.folder, self.name)
    }

    /// The bytes of a line that is named as [`Self::line`] does.
    fn bytes(&self, place: &str) -> Option<Range<usize>> {
        let (file, line) = place.rsplit_once(':')?;
        let here = file.strip_prefix(&self.folder)?.strip_prefix('/')? == self.name;
        let line: usize = line.parse().ok().filter(|_| here)?;
        let start = *self.starts.get(line.checked_sub(1)?)?;
        let end = self.starts.get(line).copied().unwrap_or(usize::MAX);
        Some(start..end)
    }

    fn field(&self, path: &[&str]) -> Option<String> {
        self.below(&self.node, path)
    }

    /// The line of a field, or of what an alias stands for that it is a part of: that one is here.
    fn below(&self, node: &Node, path: &[&str]) -> Option<String> {
        let (mut at, mut last) = (node, None::<&Node>);
        for (place, name) in path.iter().enumerate() {
            let (key, value) = entry(at, name)?;
            // What an anchor names was written before.
            if let Some(last) = last.filter(|last| key.bytes.start < last.bytes.start) {
                find(at, path.get(place..)?)?;
                return Some(self.line(last));
            }
            (last, at) = (Some(key), value);
        }
        last.map(|key| self.line(key))
    }
}

/// A field somewhere below a node: its key, and its value.
fn find<'n>(mut node: &'n Node, path: &[&str]) -> Option<(&'n Node, &'n Node)> {
    let mut found = None;
    for name in path {
        let (key, value) = entry(node, name)?;
        found = Some((key, value));
        node = value;
    }
    found
}

/// A field of a map: its key, and its value.
fn entry<'n>(node: &'n Node, name: &str) -> Option<(&'n Node, &'n Node)> {
    let mut entries = node.entries().iter();
    let (key, value) = entries.find(|(key, _)| key.text() == Some(name))?;
    Some((key, value))
}

fn text<'n>(node: &'n Node, name: &str) -> Option<&'n str> {
    entry(node, name)?.1.text()
}

fn list(node: &Node) -> &[Node] {
    match &node.kind {
        Kind::List { items, .. } => items,
        Kind::Scalar { .. } | Kind::Map { .. } => &[],
    }
}

/// Whether any text below a node is such a one.
fn any(node: &Node, is: &impl Fn(&str) -> bool) -> bool {
    match &node.kind {
        Kind::Scalar { text, .. } => is(text),
        Kind::List { items, .. } => items.iter().any(|item| any(item, is)),
        Kind::Map { entries, .. } => entries.iter().any(|(_, value)| any(value, is)),
    }
}

/// Whether a field that is `all` or a list of names is for one of them.
fn names(node: &Node, field: &str, name: &str) -> bool {
    entry(node, field).is_some_and(|(_, value)| match value.text() {
        Some(all) => all == "all",
        None => list(value).iter().any(|item| item.text() == Some(name)),
    })
}

/// Whether an item exists in an environment.
fn holds(item: &Node, environment: &str) -> bool {
    entry(item, "environments")
        .is_none_or(|(_, names)| list(names).iter().any(|name| name.text() == Some(environment)))
}

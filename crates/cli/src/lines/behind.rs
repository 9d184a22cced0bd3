//! What stands behind a line: where the values are that it names.
//!
//! A line may say `${body}`, or `*shared`, or take more than one line for what it says. Who asks since when something
//! holds wants to know since when all of that does: of what is written there, of the variable, the default of a
//! template's parameter or what an alias stands for, and of what names them.

use std::collections::BTreeSet;
use std::ops::Range;
use std::rc::Rc;

use super::{File, Lines, entry, find, holds};
use crate::outline::{Kind, Node};

/// The lines behind one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Behind {
    /// What it says there goes on in these lines.
    pub(crate) own: BTreeSet<String>,
    /// The values that it names, and whatever else it takes from elsewhere, are in these.
    pub(crate) values: BTreeSet<String>,
}

/// What is looked at: which file, and on whose behalf.
struct Looking<'a> {
    file: &'a Rc<File>,
    /// The file that builds on it, where it is a template.
    user: Option<&'a Rc<File>>,
    /// The byte at which it begins.
    start: usize,
}

impl Lines {
    /// What stands behind a line, for the file of an API or a model that `user` names; of what begins on that line, what
    /// is under one of these fields, where there is one.
    pub(crate) fn behind(&self, origin: &str, user: &str, fields: &[&str]) -> Rc<Behind> {
        // Who builds on it makes a difference to a template alone.
        let user = if origin.contains("/templates/") { user } else { "" };
        let asked = [&[origin, user], fields].concat().join("\n");
        if let Some(known) = self.behind.borrow().get(&asked) {
            return Rc::clone(known);
        }
        let found = Rc::new(self.find_behind(origin, user, fields));
        self.behind.borrow_mut().insert(asked, Rc::clone(&found));
        found
    }

    fn find_behind(&self, origin: &str, user: &str, fields: &[&str]) -> Behind {
        let mut behind = Behind::default();
        let Some(file) = self.of(origin) else {
            return behind;
        };
        let Some(line) = file.bytes(origin) else {
            return behind;
        };
        // Documents have no variables; and an operation is not older than its description.
        if ["openapi", "swagger"]
            .iter()
            .any(|field| entry(&file.node, field).is_some())
        {
            return behind;
        }
        let builds_on_it = file.name.starts_with("templates/");
        let user = if builds_on_it { self.of(user) } else { None };
        let mut begun = self.given(&file, &line, fields, &mut behind);
        if begun.is_empty() {
            beginning(&file.node, &line, &|key| fields.contains(&key), &mut begun);
        }
        if begun.is_empty() {
            beginning(&file.node, &line, &|_| true, &mut begun);
        }
        for (start, nodes) in begun {
            let looking = Looking {
                file: &file,
                user: user.as_ref(),
                start,
            };
            if let [key, value] = nodes.as_slice() {
                self.upstream(key, value, &mut behind);
            }
            for node in nodes {
                self.look(node, &looking, &mut behind);
            }
        }
        let Behind { own, values } = &mut behind;
        own.remove(origin);
        values.retain(|line| line != origin && !own.contains(line));
        behind
    }

    fn look(&self, node: &Node, looking: &Looking<'_>, behind: &mut Behind) {
        // What an anchor names was written before.
        let elsewhere = node.bytes.start < looking.start;
        let lines = if elsewhere {
            &mut behind.values
        } else {
            &mut behind.own
        };
        lines.insert(looking.file.line(node));
        match &node.kind {
            Kind::Scalar { text, .. } => {
                let last = node.bytes.end.saturating_sub(1).max(node.bytes.start);
                for start in looking
                    .file
                    .starts
                    .iter()
                    .filter(|start| node.bytes.start < **start && **start <= last)
                {
                    lines.insert(looking.file.line_of(*start));
                }
                for name in variables(text) {
                    self.variable(name, looking, behind);
                }
            }
            Kind::List { items, .. } => {
                for item in items.iter().filter(|item| holds(item, &self.environment)) {
                    self.look(item, looking, behind);
                }
            }
            Kind::Map { entries, .. } => {
                for (key, value) in entries {
                    self.look(key, looking, behind);
                    self.upstream(key, value, behind);
                    self.look(value, looking, behind);
                }
            }
        }
    }

    /// Where a variable has its value: with who builds on the template, else as the default of its parameter, else in
    /// the file of the environment.
    fn variable(&self, name: &str, looking: &Looking<'_>, behind: &mut Behind) {
        let given = looking
            .user
            .and_then(|user| Some((user, find(&user.node, &["with", name])?)));
        let default = || find(&looking.file.node, &["parameters", name, "default"]);
        let (file, (key, value)) = match given {
            Some(given) => given,
            None if looking.user.is_some() && default().is_some() => match default() {
                Some(default) => (looking.file, default),
                None => return,
            },
            None => return self.of_environment(&["vars", name], behind),
        };
        behind.values.insert(file.line(key));
        behind.values.insert(file.line(value));
        for name in value.text().into_iter().flat_map(variables) {
            self.of_environment(&["vars", name], behind);
        }
    }

    /// Where an upstream is that is called by a name of the environment's.
    fn upstream(&self, key: &Node, value: &Node, behind: &mut Behind) {
        if matches!(key.text(), Some("upstream" | "base_url"))
            && let Some(name) = value.text()
        {
            self.of_environment(&["upstreams", name], behind);
        }
    }

    fn of_environment(&self, path: &[&str], behind: &mut Behind) {
        if let Some(file) = self.called(&format!("environments/{}", self.environment))
            && let Some((key, value)) = find(&file.node, path)
        {
            behind.values.insert(file.line(key));
            behind.values.insert(file.line(value));
        }
    }

    /// The values for parameters of a template that a line gives; the template names them, and where it does is behind
    /// the line.
    fn given<'n>(
        &self,
        file: &'n File,
        line: &Range<usize>,
        fields: &[&str],
        behind: &mut Behind,
    ) -> Vec<Begun<'n>> {
        let with = entry(&file.node, "with").map(|(_, with)| with.entries());
        let here = with.unwrap_or_default().iter();
        let here: Vec<_> = here.filter(|(key, _)| line.contains(&key.bytes.start)).collect();
        let template = super::text(&file.node, "template").filter(|_| !here.is_empty());
        let Some(template) = template.and_then(|name| self.called(&format!("templates/{name}"))) else {
            return Vec::new();
        };
        let mut begun = Vec::new();
        // Those that one of the fields takes; else all.
        for anywhere in [false, true] {
            for (key, value) in &here {
                let mut naming = Vec::new();
                named(
                    &template.node,
                    key.text().unwrap_or_default(),
                    fields,
                    anywhere,
                    &mut naming,
                );
                for node in &naming {
                    behind.values.insert(template.line(node));
                }
                if !naming.is_empty() {
                    begun.push((key.bytes.start, vec![key, value]));
                }
            }
            if !begun.is_empty() {
                break;
            }
        }
        begun
    }
}

/// Where something begins, and what belongs to it.
type Begun<'n> = (usize, Vec<&'n Node>);

/// What begins within some bytes, but for all of the file: entries of such a key, and with any also items of lists. Of what
/// lies in one another, the outermost.
fn beginning<'n>(
    node: &'n Node,
    line: &Range<usize>,
    is: &impl Fn(&str) -> bool,
    found: &mut Vec<Begun<'n>>,
) {
    match &node.kind {
        Kind::Scalar { .. } => {}
        Kind::List { items, .. } => {
            for item in items {
                let here = line.contains(&item.bytes.start);
                // An item has no key: it is meant where any is.
                if here && is("") {
                    found.push((item.bytes.start, vec![item]));
                } else {
                    beginning(item, line, is, found);
                }
            }
        }
        Kind::Map { entries, .. } => {
            for (key, value) in entries {
                let here = line.contains(&key.bytes.start);
                if here && key.text().is_some_and(is) {
                    found.push((key.bytes.start, vec![key, value]));
                } else {
                    beginning(value, line, is, found);
                }
            }
        }
    }
}

/// The texts that name a variable: those under one of these fields, or all.
fn named<'n>(node: &'n Node, name: &str, fields: &[&str], here: bool, found: &mut Vec<&'n Node>) {
    match &node.kind {
        Kind::Scalar { text, .. } => {
            if here && variables(text).any(|one| one == name) {
                found.push(node);
            }
        }
        Kind::List { items, .. } => {
            for item in items {
                named(item, name, fields, here, found);
            }
        }
        Kind::Map { entries, .. } => {
            for (key, value) in entries {
                let here = here || key.text().is_some_and(|key| fields.contains(&key));
                named(value, name, fields, here, found);
            }
        }
    }
}

/// The names of the variables in a text.
fn variables(text: &str) -> impl Iterator<Item = &str> {
    // `$${` stands for the two characters themselves.
    let mut before = text;
    text.split("${").enumerate().filter_map(move |(at, part)| {
        let escaped = at > 0 && before.ends_with('$');
        before = part;
        part.split_once('}')
            .map(|(name, _)| name)
            .filter(|_| at > 0 && !escaped)
    })
}

//! What stands for a value and is filled in: variables of an environment, and parameters of a template.

use std::collections::{BTreeMap, BTreeSet};

use super::super::blanks;
use super::super::diagnostic::{Code, Span};
use super::super::names::nearest;
use super::super::secrets::quote;
use super::super::yaml::Node;
use super::{Reader, Spanned};

/// Values that differ by environment.
#[derive(Debug, Default)]
pub(crate) struct Variables {
    /// The file that sets them, for messages.
    pub(crate) file: String,
    pub(crate) values: BTreeMap<String, Spanned<String>>,
    pub(crate) used: BTreeSet<String>,
    /// That file could not be read: nothing is known about what it sets.
    pub(crate) broken: bool,
}

/// The parameters of the template that is read.
#[derive(Debug, Default)]
pub(crate) enum Parameters {
    /// None is.
    #[default]
    None,
    /// They are not known yet: what refers to one is not judged.
    Open,
    /// By name, with where the value stands; nothing for one whose value is wrong, which was reported.
    Given(BTreeMap<String, Option<(String, Span)>>),
}

impl Reader {
    /// Reads with the parameters of a template.
    pub(crate) fn with<T>(&mut self, parameters: Parameters, read: impl FnOnce(&mut Self) -> T) -> T {
        let before = std::mem::replace(&mut self.parameters, parameters);
        let read = read(self);
        self.parameters = before;
        read
    }

    /// Where the value was given, beside a template, that stands in this place of it since it was read last.
    pub(crate) fn given(&self, span: Span) -> Option<Span> {
        self.given.get(&span).copied()
    }

    /// Where the values come from that a text refers to.
    pub(super) fn origins(&self, text: &str) -> Vec<Span> {
        let names = text
            .split("${")
            .skip(1)
            .filter_map(|rest| Some(rest.split_once('}')?.0));
        let found = names.filter_map(|name| match &self.parameters {
            Parameters::Given(given) if given.contains_key(name) => Some(given.get(name)?.as_ref()?.1),
            _ => Some(self.variables.values.get(name)?.span),
        });
        found.collect()
    }

    /// The text of a scalar, with its variables filled in.
    pub(crate) fn text(&mut self, node: &Node, expects: &str) -> Option<String> {
        let Some(text) = node.text().filter(|_| !node.is_null()) else {
            self.wrong_type(node, expects);
            return None;
        };
        if let Some(message) = blanks::other_quotes(node) {
            self.report
                .error(Code::BadText, node.span, message)
                .help(blanks::QUOTES);
            return None;
        }
        if text.contains("${") {
            self.fill_in(text, node.span)
        } else {
            Some(text.to_owned())
        }
    }

    fn fill_in(&mut self, text: &str, span: Span) -> Option<String> {
        let (mut filled, mut rest, mut whole) = (String::new(), text, true);
        while let Some((before, after)) = rest.split_once("${") {
            // `$${` stands for `${` itself.
            if let Some(before) = before.strip_suffix('$') {
                filled.push_str(before);
                filled.push_str("${");
                rest = after;
                continue;
            }
            filled.push_str(before);
            let Some((name, after)) = after.split_once('}') else {
                self.report
                    .error(Code::UnsetVariable, span, "`${` is not closed")
                    .help("write `$${` where the two characters themselves are meant");
                return None;
            };
            if let Parameters::Given(given) = &self.parameters
                && let Some(value) = given.get(name)
            {
                match value {
                    Some((value, at)) => {
                        filled.push_str(value);
                        self.given.insert(span, *at);
                    }
                    None => {
                        whole = false;
                        self.unset.push(span);
                    }
                }
                rest = after;
                continue;
            }
            self.variables.used.insert(name.to_owned());
            match self.variables.values.get(name) {
                Some(value) => filled.push_str(&value.value),
                None => {
                    whole = false;
                    let open = matches!(self.parameters, Parameters::Open);
                    if self.variables.broken {
                        self.unset.push(span);
                    }
                    if self.dormant == 0 && !self.variables.broken && !open {
                        let message = format!("the variable {} is not set", quote(name));
                        let near = nearest(name, self.variables.values.keys().map(String::as_str));
                        let help = near.map_or_else(
                            || format!("set it under `vars` in `{}`", self.variables.file),
                            |near| format!("did you mean `${{{near}}}`?"),
                        );
                        self.report.error(Code::UnsetVariable, span, message).help(help);
                    }
                }
            }
            rest = after;
        }
        filled.push_str(rest);
        whole.then_some(filled)
    }
}

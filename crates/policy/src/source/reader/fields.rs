//! Records and items: the fields that are known, and which items exist in the environment that is built.

use std::collections::{BTreeMap, BTreeSet};

use super::super::declare::{FieldInfo, Shape};
use super::super::diagnostic::{Code, Span};
use super::super::look_alikes;
use super::super::names::{self, misspelt, nearest};
use super::super::reference;
use super::super::secrets::{self, quote};
use super::super::yaml::{self, Node, Value};
use super::{Field, Read, Reader, Spanned, meant};

/// The field that limits an item to some environments.
const ENVIRONMENTS: &str = "environments";

/// The fields of one map.
pub(crate) struct Fields<'n> {
    at: Span,
    /// By name, with the key as it was written.
    found: BTreeMap<&'static str, (Span, &'n Node)>,
}

impl Reader {
    /// Reads an item of a list or a named item: nothing if it is wrong or belongs to other
    /// environments only. Its shape is checked in any case.
    pub(crate) fn item<T: Read>(&mut self, node: &Node) -> Option<Spanned<T>> {
        let list = node.get("environments").or_else(|| misspelt(node, ENVIRONMENTS));
        let here = list.is_none_or(|list| self.exists_here(list));
        self.dormant += u32::from(!here);
        self.item = true;
        let value = T::read(node, self);
        self.item = false;
        self.dormant -= u32::from(!here);
        value.filter(|_| here).map(|value| Spanned::new(value, node.span))
    }

    /// Whether a list of environments names the one that is built.
    fn exists_here(&mut self, list: &Node) -> bool {
        if !matches!(list.value, Value::List(_)) {
            self.wrong_type(list, "a list of environments");
            return true;
        }
        if list.items().is_empty() {
            self.report
                .error(Code::EmptyList, list.span, "an item for no environment at all")
                .help("name the environments, or leave `environments` out for all of them");
        }
        let mut here = false;
        let mut seen = BTreeSet::new();
        for item in list.items() {
            // What cannot be read, or is spelt in another way, may be the one that is built.
            let Some(name) = item.text() else {
                self.wrong_type(item, "the name of an environment");
                here = true;
                continue;
            };
            here |= name == self.environment;
            if !seen.insert(name.to_owned()) {
                self.report
                    .error(
                        Code::Repeated,
                        item.span,
                        format!("{} is listed twice", quote(name)),
                    )
                    .help("remove one");
            }
            let Some(known) = &self.environments else { continue };
            if !known.iter().any(|known| known == name) {
                let known = known.iter().map(String::as_str);
                here |= nearest(name, known.clone()) == Some(self.environment.as_str());
                self.report
                    .error(
                        Code::UnknownEnvironment,
                        item.span,
                        format!("there is no environment {}", quote(name)),
                    )
                    .help(names::remedy(name, "environment", known));
            }
        }
        here
    }

    /// The fields of a record; reports what has no place in it.
    pub(crate) fn fields<'n>(&mut self, node: &'n Node, shape: &Shape) -> Option<Fields<'n>> {
        let item = std::mem::take(&mut self.item);
        let Value::Map(entries) = &node.value else {
            let names: Vec<_> = shape
                .fields
                .iter()
                .take(3)
                .map(|field| format!("`{}`", field.name))
                .collect();
            // Who writes a key itself here means no harm, and it must not be shown.
            if shape.name == "key" && node.text().is_some() && !node.is_null() {
                self.report.redact(node.span);
                self.report
                    .error(Code::BadHash, node.span, "a key never stands in the policies, only its hash")
                    .help("write `key: { sha256: ... }`, as `turnpike new key` does, and make a new key if this was one");
                return None;
            }
            let expects = format!("a map with {}", names.join(", "));
            match meant::record(shape, node) {
                Some(help) => {
                    let message = format!("expected {expects}, found {}", node.kind());
                    self.report.error(Code::WrongType, node.span, message).help(help);
                }
                None => self.wrong_type(node, &expects),
            }
            return None;
        };
        let at = entries.first().map_or(node.span, |(key, _)| key.span);
        let unindented = self.unindented(entries, shape);
        let mut found = BTreeMap::new();
        let mut strangers = Vec::new();
        for (key, value) in entries {
            let Some(name) = key.text() else { continue };
            if let Some(field) = shape.fields.iter().find(|field| field.name == name) {
                found.entry(field.name).or_insert((key.span, value));
            } else if shape.later.contains(&name) {
                self.not_built(key.span, &format!("`{name}`"));
            } else if !(item && name == ENVIRONMENTS) && name != "<<" && !secrets::is_secret(name) {
                // Merge keys and secrets were reported as the file was read.
                strangers.push((key, name, value));
            }
        }
        let mut seen = BTreeSet::new();
        for (key, name, value) in strangers {
            // The second one of a name was reported as the file was read; of what should be further in it is said
            // where it belongs.
            if !seen.insert(name) || unindented.contains(&key.span) {
                continue;
            }
            let known = shape.fields.iter().map(|field| field.name);
            let all = known.clone().chain(item.then_some(ENVIRONMENTS));
            let near = nearest(name, all.clone().chain(shape.later.iter().copied()));
            let other =
                |near: &&str| meant::is_of_request(shape, name) || meant::is_elsewhere(shape, name, near);
            let near = near.filter(|near| self.report.is_full() || !other(near));
            // It is read as what it was probably meant for, so that this is said and no more: not
            // that the field is missing, nor what follows from that.
            if let Some(field) = known.into_iter().find(|field| Some(*field) == near) {
                found.entry(field).or_insert((key.span, value));
            }
            let help = match (near, meant::field(shape, name, value)) {
                (Some(near), _) => format!("did you mean `{near}`?"),
                (None, Some(help)) => help,
                (None, None) => {
                    let all: Vec<_> = all.map(|name| format!("`{name}`")).collect();
                    let holder = (!self.report.is_full()).then(|| reference::holders(shape, name));
                    let holder = holder.flatten();
                    let elsewhere =
                        holder.map_or_else(String::new, |holder| format!("{holder} has it, and not this; "));
                    format!("{elsewhere}the fields here are {}", all.join(", "))
                }
            };
            self.report
                .error(
                    Code::UnknownField,
                    key.span,
                    format!("unknown field {}{}", quote(name), look_alikes::told(name)),
                )
                .help(help);
        }
        Some(Fields { at, found })
    }

    /// The keys that stand beside a field in which they belong, as it has nothing and they are none of the record's:
    /// what is written below a map without being indented.
    fn unindented(&mut self, entries: &[(Node, Node)], shape: &Shape) -> BTreeSet<Span> {
        let known = || shape.fields.iter().map(|field| field.name);
        let is_stranger = |key: &&Node| {
            let name = key.text().unwrap_or_default();
            name != ENVIRONMENTS && !shape.later.contains(&name) && known().all(|field| field != name)
        };
        let mut unindented = BTreeSet::new();
        for (at, (key, value)) in entries.iter().enumerate() {
            let empty = value.is_null() && value.text() == Some("");
            let field = shape.fields.iter().find(|field| key.text() == Some(field.name));
            if !empty || field.is_none_or(|field| !(field.expects)().starts_with("a map")) {
                continue;
            }
            let after = entries.iter().skip(at + 1).map(|(key, _)| key);
            let mut strangers = after.take_while(is_stranger);
            let Some(first) = strangers.next() else { continue };
            let between = Span::new(first.span.file, key.span.end, first.span.start);
            let below = self.report.text(between).is_some_and(|text| text.contains('\n'));
            // On one line, or with a name that is nearly one of the record's, something else was meant.
            if below && nearest(first.text().unwrap_or_default(), known()).is_none() {
                unindented.insert(first.span);
                unindented.extend(strangers.map(|key| key.span));
                self.unindented.insert(value.span, first.span);
            }
        }
        unindented
    }

    /// One field of a record.
    pub(crate) fn field<T: Read>(&mut self, fields: &Fields<'_>, info: &FieldInfo) -> Field<T> {
        if let Some((key, node)) = fields.found.get(info.name) {
            let value = T::read(node, self)?;
            return Some(Spanned {
                value,
                span: node.span,
                key_span: *key,
            });
        }
        if info.required {
            self.report
                .error(
                    Code::MissingField,
                    fields.at,
                    format!("`{}` is missing", info.name),
                )
                .help(format!("it is {}", T::expects()));
        }
        let node = yaml::parse(u32::MAX, info.default?, &mut self.report)?.moved(fields.at);
        let value = T::read(&node, self)?;
        Some(Spanned::new(value, fields.at))
    }
}

//! `authorize` of an API or a model: what a caller must have, and what must hold.

use std::collections::{BTreeMap, BTreeSet};

use super::apis::{ApiOperations, Apis, Shared};
use super::compile::Checker;
use super::conditions::{Checked, ConditionText};
use super::containers::{AllOr, List};
use super::declare::record;
use super::diagnostic::{Code, Span};
use super::names;
use super::narrowed;
use super::reader::Spanned;
use super::relations::{self, RelationFields};
use super::scalars::{Scope, Token};
use super::secrets::quote;
use crate::{Condition, Model, Operation, Rule};

/// The most conditions for one operation.
const MAX_RULES: usize = 16;

record! {
    /// What a caller must have for some operations, and what must hold. All items that name an operation
    /// hold for it.
    AuthorizeFields = "authorize" {
        /// Which operations: `all`, or a list of their ids.
        operations: required AllOr<Token>,
        /// Scopes that it must all have.
        scopes: optional List<Scope>,
        /// A condition on the claims of its token and on the request, in a part of CEL:
        /// `claims.department == 'stores' && request.hour < 18`. A claim that is missing makes it false,
        /// also where it is negated.
        when: optional ConditionText,
        /// What a decision point must say yes to, once all else holds.
        relation: optional RelationFields,
    }
    later { claims, roles }
}

record! {
    /// What a caller of a model must have, and what must hold. All items hold.
    ModelAuthorizeFields = "model authorize" {
        /// Scopes that it must all have.
        scopes: optional List<Scope>,
        /// A condition on the claims of its token, `request.country` and `request.hour`, in a part of CEL:
        /// `claims.department == 'research' && request.hour < 18`. A claim that is missing makes it false,
        /// also where it is negated.
        when: optional ConditionText,
    }
    later { claims, relation, roles }
}

/// Adds what `authorize` demands to the operations that it names.
pub(crate) fn authorize(
    shared: &Shared<'_>,
    known: &ApiOperations,
    compiled: &mut Apis,
    checker: &mut Checker,
) {
    let mut scopes_of: BTreeMap<usize, BTreeSet<String>> = BTreeMap::new();
    for entry in shared.file.authorize.iter().flat_map(|list| &list.0) {
        if shared.open.is_some() {
            let at = shared.file.authentication.as_ref();
            let at = at.map_or(entry.span, |field| field.span);
            let message = "an open API cannot ask its callers for anything";
            checker
                .report()
                .error(Code::Conflict, entry.span, message)
                .help("a caller that nobody knows has nothing: remove this, or `authentication: none`")
                .label(at, "open to everybody here");
        }
        if entry.scopes.is_none() && entry.when.is_none() && entry.relation.is_none() {
            asks_for_nothing(entry.span, checker);
        }
        let scopes = entry.scopes.as_ref().map(|list| scopes(list, checker));
        let when = entry.when.as_ref().map(|when| checked(when, checker));
        let relation = entry.relation.as_ref();
        let asked = relation.and_then(|fields| relations::check(fields, checker));
        let Some(operations) = &entry.operations else {
            continue;
        };
        let origin = checker.report().origin(entry.span);
        let mut unsaid = true;
        for at in narrowed::named(operations, "operations", shared.name, known, checker) {
            let Ok(at) = usize::try_from(at) else {
                continue;
            };
            let Some(operation) = compiled.operations.get_mut(at) else {
                continue;
            };
            if let Some(scopes) = &scopes {
                add_scopes(scopes_of.entry(at).or_default(), scopes);
                operation.scopes_origin.clone_from(&origin);
            }
            if let (Some(asked), true) = (&asked, unsaid) {
                unsaid = relations::add(operation, asked, entry.span, checker);
            }
            if let Some(when) = &when
                && unsaid
            {
                unsaid = add_rule(operation, when, entry, &origin, checker);
            }
        }
    }
    for (at, scopes) in scopes_of {
        if let Some(operation) = compiled.operations.get_mut(at) {
            operation.scopes = scopes.into_iter().collect();
        }
    }
}

/// Adds what `authorize` demands to a model.
pub(crate) fn model(
    list: Option<&Spanned<List<ModelAuthorizeFields>>>,
    model: &mut Model,
    checker: &mut Checker,
) {
    let mut all = BTreeSet::new();
    for entry in list.into_iter().flat_map(|list| &list.0) {
        if entry.scopes.is_none() && entry.when.is_none() {
            asks_for_nothing(entry.span, checker);
        }
        let origin = checker.report().origin(entry.span);
        if let Some(list) = &entry.scopes {
            let scopes = scopes(list, checker);
            add_scopes(&mut all, &scopes);
            model.scopes_origin.clone_from(&origin);
        }
        let Some(when) = entry.when.as_ref().map(|when| checked(when, checker)) else {
            continue;
        };
        let parameter = when
            .parameters
            .first()
            .map(|(_, span)| ("parameter of its path", *span));
        let method = when.method.map(|span| ("method that could differ", span));
        if let Some((what, span)) = method.or(parameter) {
            let message = format!("a model is called without a {what}");
            checker
                .report()
                .error(Code::UnknownReference, span, message)
                .help("what there is: `claims`, `request.country` and `request.hour`");
            continue;
        }
        if let Some(condition) = &when.condition {
            let name = quote(&model.name);
            push_rule(&mut model.rules, condition, &origin, (&name, entry.span), checker);
        }
    }
    model.scopes = all.into_iter().collect();
}

fn asks_for_nothing(at: Span, checker: &mut Checker) {
    if !checker.reader.reported_within(at) {
        checker
            .report()
            .error(Code::MissingField, at, "this asks for nothing")
            .help("write `scopes: [pets:write]`, or `when: claims.department == 'stores'`");
    }
}

fn scopes(list: &Spanned<List<Scope>>, checker: &mut Checker) -> Vec<String> {
    if checker.lacks_items(list) {
        checker
            .report()
            .error(Code::EmptyList, list.span, "no scope is asked for")
            .help("write for example `scopes: [pets:write]`, or remove the item");
    }
    checker.sorted(&list.0, |scope| scope.0.clone())
}

/// Adds scopes to those that other items ask for.
fn add_scopes(all: &mut BTreeSet<String>, more: &[String]) {
    for scope in more {
        if !all.contains(scope) {
            all.insert(scope.clone());
        }
    }
}

fn checked(when: &ConditionText, checker: &mut Checker) -> Checked {
    when.check(checker.declared.as_ref(), &mut checker.reader.report)
}

/// Adds a condition to an operation; false if it does not fit it, which was reported.
fn add_rule(
    operation: &mut Operation,
    when: &Checked,
    entry: &Spanned<AuthorizeFields>,
    origin: &str,
    checker: &mut Checker,
) -> bool {
    for (name, span) in &when.parameters {
        let known = || {
            let segments = operation.path.split('/');
            segments.filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'))
        };
        if !known().any(|one| one == name) {
            let known: Vec<_> = known().collect();
            let (id, parameter) = (quote(&operation.id), quote(name));
            checker
                .report()
                .error(
                    Code::UnknownReference,
                    *span,
                    format!("the path of {id} has no parameter {parameter}"),
                )
                .help(names::remedy(name, "parameter", known.into_iter()));
            return false;
        }
    }
    let Some(condition) = &when.condition else {
        return false;
    };
    let id = quote(&operation.id);
    push_rule(
        &mut operation.rules,
        condition,
        origin,
        (&id, entry.span),
        checker,
    )
}

/// Adds a condition to those of something; false if there are too many, which was reported.
fn push_rule(
    rules: &mut Vec<Rule>,
    condition: &Condition,
    origin: &str,
    (what, at): (&str, Span),
    checker: &mut Checker,
) -> bool {
    rules.push(Rule {
        when: condition.clone(),
        origin: origin.to_owned(),
    });
    // In which order they are written means nothing, nor that one is written twice.
    rules.sort_by_cached_key(|rule| rule.when.to_string());
    rules.dedup_by(|one, other| one.when == other.when);
    if rules.len() > MAX_RULES {
        // They are not run, and the more are kept, the longer the next one takes.
        rules.truncate(MAX_RULES);
        let message = format!("{what} has more than {MAX_RULES} conditions");
        checker
            .report()
            .error(Code::OutOfRange, at, message)
            .help("put some of them together with `&&`");
        return false;
    }
    true
}

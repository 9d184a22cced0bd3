//! `authorize` of an API: what a caller must have for some operations, and what must hold.

use super::apis::{ApiOperations, Apis, Shared};
use super::compile::Checker;
use super::conditions::{Checked, ConditionText};
use super::containers::{AllOr, List};
use super::declare::record;
use super::diagnostic::Code;
use super::names;
use super::narrowed;
use super::reader::Spanned;
use super::relations::{self, RelationFields};
use super::scalars::{Scope, Token};
use super::secrets::quote;
use crate::{Operation, Rule};

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

/// Adds what `authorize` demands to the operations that it names.
pub(crate) fn authorize(
    shared: &Shared<'_>,
    known: &ApiOperations,
    compiled: &mut Apis,
    checker: &mut Checker,
) {
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
        if entry.scopes.is_none()
            && entry.when.is_none()
            && entry.relation.is_none()
            && !checker.reader.reported_within(entry.span)
        {
            checker
                .report()
                .error(Code::MissingField, entry.span, "this asks for nothing")
                .help("write `scopes: [pets:write]`, or `when: claims.department == 'stores'`");
        }
        let scopes = entry.scopes.as_ref().map(|list| {
            if checker.lacks_items(list) {
                checker
                    .report()
                    .error(Code::EmptyList, list.span, "no scope is asked for")
                    .help("write for example `scopes: [pets:write]`, or remove the item");
            }
            checker.sorted(&list.0, |scope| scope.0.clone())
        });
        let declared = checker.declared.as_ref();
        let when = entry.when.as_ref();
        let when = when.map(|when| when.check(declared, &mut checker.reader.report));
        let relation = entry.relation.as_ref();
        let asked = relation.and_then(|fields| relations::check(fields, checker));
        let Some(operations) = &entry.operations else {
            continue;
        };
        let origin = checker.report().origin(entry.span);
        let mut unsaid = true;
        for at in narrowed::named(operations, "operations", shared.name, known, checker) {
            let at = usize::try_from(at).ok();
            let Some(operation) = at.and_then(|at| compiled.operations.get_mut(at)) else {
                continue;
            };
            if let Some(scopes) = &scopes {
                operation.scopes.extend(scopes.iter().cloned());
                operation.scopes.sort();
                operation.scopes.dedup();
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
    operation.rules.push(Rule {
        when: condition.clone(),
        origin: origin.to_owned(),
    });
    // In which order they are written means nothing, nor that one is written twice.
    operation.rules.sort_by_cached_key(|rule| rule.when.to_string());
    operation.rules.dedup_by(|one, other| one.when == other.when);
    if operation.rules.len() > MAX_RULES {
        let message = format!("{} has more than {MAX_RULES} conditions", quote(&operation.id));
        checker
            .report()
            .error(Code::OutOfRange, entry.span, message)
            .help("put some of them together with `&&`");
        return false;
    }
    true
}

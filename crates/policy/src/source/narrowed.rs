//! `operations` of an API: bounds of single operations below those of the API.

use std::collections::BTreeSet;

use super::apis::{ApiOperations, ApiTimeouts, Apis, Shared};
use super::compile::Checker;
use super::containers::AllOr;
use super::declare::record;
use super::diagnostic::{Code, Span};
use super::names;
use super::reader::Spanned;
use super::scalars::{Size, Token};
use super::secrets::quote;
use crate::Handler;

record! {
    /// Bounds of some operations, below those of their API.
    OperationFields = "operation" {
        /// Which operations: `all`, or a list of their ids.
        operations as "for": required AllOr<Token>,
        /// The upper bound of a request body; not above that of the API.
        max_body: optional Size,
        /// How long the upstream may take; not longer than their version says.
        timeouts: optional ApiTimeouts,
    }
}

/// Narrows the operations that an API names.
pub(crate) fn narrow(shared: &Shared<'_>, known: &ApiOperations, compiled: &mut Apis, checker: &mut Checker) {
    for entry in shared.file.operations.iter().flat_map(|list| &list.0) {
        if entry.max_body.is_none() && entry.timeouts.is_none() && !checker.reader.reported_within(entry.span)
        {
            checker
                .report()
                .error(Code::MissingField, entry.span, "this narrows nothing")
                .help("write `max_body` or `timeouts`, or remove the item");
        }
        let Some(operations) = &entry.operations else {
            continue;
        };
        let named = named(operations, "for", shared.name, known, checker);
        let body = entry.max_body.as_ref().filter(|size| {
            let wide = size.0 > shared.max_body;
            if wide {
                let at = shared
                    .file
                    .max_body
                    .as_ref()
                    .map_or(checker.floor.max_body_at, |above| above.span);
                widens("max_body", "larger", size.span, at, checker);
            }
            !wide && checker.is_size(size)
        });
        let timeout = entry
            .timeouts
            .as_ref()
            .and_then(|timeouts| timeouts.first_byte.as_ref());
        let timeout = timeout.filter(|timeout| timeout.is_written());
        let mut said = false;
        for at in named {
            let at = usize::try_from(at).ok();
            let Some(operation) = at.and_then(|at| compiled.operations.get_mut(at)) else {
                continue;
            };
            if let Some(size) = body {
                operation.max_body = operation.max_body.min(size.0);
            }
            let (Some(timeout), Handler::Proxy { timeouts, .. }) = (timeout, &mut operation.handler) else {
                continue;
            };
            // Its version's, which other items cannot have changed: they only made it shorter.
            let version = usize::try_from(operation.api)
                .ok()
                .and_then(|api| compiled.apis.get(api));
            let version = version.and_then(|api| {
                let versions = shared.file.versions.as_ref()?;
                versions.here.iter().find(|(name, _)| name.value == api.version)
            });
            let above = version.and_then(|(_, fields)| fields.timeouts.as_ref()?.first_byte.as_ref());
            let Some(above) = above else { continue };
            if timeout.0 > above.0 {
                if !std::mem::replace(&mut said, true) {
                    widens("first_byte", "longer", timeout.span, above.span, checker);
                }
                continue;
            }
            let own = checker.timeouts("first_byte", 30_000, Some(timeout), None, timeout);
            timeouts.first = timeouts.first.min(own.first);
            timeouts.idle = timeouts.idle.min(own.idle);
            timeouts.total = timeouts.total.min(own.total);
        }
    }
}

fn widens(what: &str, wider: &str, own: Span, above: Span, checker: &mut Checker) {
    checker
        .report()
        .error(
            Code::Widens,
            own,
            format!("this `{what}` is {wider} than what stands above the operation"),
        )
        .label(above, "above it")
        .help("what stands below can only narrow it");
}

/// The places of the operations that a list names.
pub(crate) fn named(
    operations: &Spanned<AllOr<Token>>,
    field: &str,
    api: &str,
    known: &ApiOperations,
    checker: &mut Checker,
) -> BTreeSet<u32> {
    let mut named = BTreeSet::new();
    let list = match &operations.value {
        AllOr::All => {
            named.extend(known.ids.values().flatten());
            return named;
        }
        AllOr::Only(list) => list,
    };
    if list.0.is_empty() && !checker.reader.reported_within(operations.span) {
        checker
            .report()
            .error(Code::EmptyList, operations.span, "no operation is named")
            .help(format!("write `{field}: all`, or list them"));
    }
    for id in &list.0 {
        match known.ids.get(&id.0) {
            Some(places) => named.extend(places),
            None if known.broken => {}
            None => {
                let help = names::remedy(&id.0, "operation", known.ids.keys().map(String::as_str));
                let message = format!("no version of {} has an operation {}", quote(api), quote(&id.0));
                checker
                    .report()
                    .error(Code::UnknownReference, id.span, message)
                    .help(help);
            }
        }
    }
    named
}

impl Checker {
    /// Whether a size is one that a body can have; reports one that is not.
    fn is_size(&mut self, size: &Spanned<Size>) -> bool {
        if size.0 == 0 {
            self.report()
                .error(Code::OutOfRange, size.span, "expected at least 1B")
                .help("write for example `64KiB`");
        }
        size.0 > 0
    }
}

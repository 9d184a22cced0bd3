//! `turnpike show inventory`: every route with whose it is, what holds for it, and when its files were last changed.
//!
//! Its files are those that are about it: of its API or model, its document, its template, its providers, and that of the
//! environment where one of them takes a value from there. What holds for every route (the floor) or every route of a
//! caller (its plan) is not of one route; `show compliance` tells it line by line.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value as Json, json};
use turnpike_policy::{Compiled, Limit};

use crate::git::{self, Changes, Commit};
use crate::lines::Lines;
use crate::links::Links;
use crate::show::{Shown, authentication};
use crate::tree;
use crate::words::{self, at};

/// Every route and model. `lines` are those of the environment.
pub(crate) fn inventory(compiled: &Compiled, root: &Path, lines: &Lines) -> Shown {
    git::note_if_unknown(root);
    let changes = Changes::read(root);
    let mut paths = Links::new(root);
    let mut shown = Shown::new(&[
        "ROUTE",
        "OWNER",
        "STATE",
        "AUTHENTICATION",
        "LIMITS",
        "LAST CHANGE OF ITS FILES",
    ]);
    let mut add =
        |route: String, owner: &str, state, authentication: &str, limits: &[Limit], origins: &[&str]| {
            let files = files(origins, lines, &mut paths);
            let change = changes
                .as_ref()
                .and_then(|changes| changes.of(files.iter().map(String::as_str)));
            let own: Vec<_> = limits.iter().map(words::limit).collect();
            let all: Vec<_> = own
                .into_iter()
                .chain((authentication == "required").then(|| "the caller's plan".to_owned()))
                .collect();
            let (text, json) = match change {
                Some(Commit { hash, .. }) if hash.is_empty() => {
                    ("not committed".to_owned(), json!("uncommitted"))
                }
                Some(Commit { hash, date }) => {
                    (format!("{date} {hash}"), json!({ "commit": hash, "date": date }))
                }
                None => ("unknown".to_owned(), Json::Null),
            };
            shown.json.push(json!({
                "route": route,
                "owner": owner,
                "state": state,
                "authentication": authentication,
                "limits": all,
                "files": files.iter().map(|file| tree::place(root, file)).collect::<Vec<_>>(),
                "last_change": json,
            }));
            let state: &str = state;
            shown.table.row([
                route,
                owner.to_owned(),
                state.to_owned(),
                authentication.to_owned(),
                all.join(" + "),
                text,
            ]);
        };
    for operation in &compiled.operations {
        let Some(api) = at(&compiled.apis, operation.api) else {
            continue;
        };
        add(
            words::request(api, operation),
            &api.owner,
            words::state(api.lifecycle.state),
            authentication(operation),
            &api.limits,
            &[&api.origin, &operation.origin],
        );
    }
    for model in &compiled.models {
        let targets = model.targets.iter().chain(&model.fallback);
        let providers = targets.filter_map(|target| at(&compiled.providers, target.provider));
        let origins = providers.map(|provider| provider.origin.as_str());
        let origins: Vec<_> = std::iter::once(model.origin.as_str()).chain(origins).collect();
        add(
            format!("model {}", model.name),
            &model.owner,
            words::state(model.lifecycle.state),
            "required",
            &model.limits,
            &origins,
        );
    }
    shown
}

/// The files of a route, without lines, as the bundle names places; `origins` are places in those that it is written in.
/// A link is one, and so is what it leads to: who changes either changes the route.
fn files(origins: &[&str], lines: &Lines, paths: &mut Links) -> BTreeSet<String> {
    let own = origins.iter().map(|origin| (*origin).to_owned());
    let beside = origins.iter().flat_map(|origin| lines.beside(origin));
    let bare = |place: String| match place.rsplit_once(':') {
        Some((file, _)) => file.to_owned(),
        None => place,
    };
    let mut all = BTreeSet::new();
    for file in own.chain(beside).map(bare) {
        if let Some((folder, below)) = file.split_once('/') {
            let through = paths.through(below).iter();
            all.extend(through.map(|path| format!("{folder}/{path}")));
        }
    }
    all
}

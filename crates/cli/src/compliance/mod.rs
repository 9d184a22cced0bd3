//! `turnpike show compliance`: for an auditor, what each route and model is held to, by which line of the
//! policies, and since which commit that line says so.
//!
//! Nothing here judges anew. What holds is what the build compiled, what is not met is what the check
//! found, and since when is what Git says of the line.

mod findings;
mod written;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::rc::Rc;

use serde_json::{Value as Json, json};
use turnpike_policy::hex;
use turnpike_policy::source::{Loaded, Severity};
use turnpike_policy::{Compiled, Handler, ProviderKind};

use crate::blame::Blame;
use crate::effective::{self, Fact};
use crate::git::{self, Commit};
use crate::lines::{Behind, Lines};
use crate::words::{self, at};
use crate::{Failure, markdown, say, tree};
use findings::Findings;
use written::{Exception, Weaker, written};

/// What of an operation's or a model's facts is a rule that it is held to.
const RULES_OF_ROUTES: [&str; 15] = [
    "owner",
    "state",
    "deprecated",
    "sunset",
    "authentication",
    "scopes",
    "condition",
    "relation",
    "granted to",
    "limit",
    "no limit",
    "body",
    "output",
    "timeout",
    "timeouts",
];

/// How many values behind a line are named in a table; `--format json` has them all.
const NAMED: usize = 5;

/// The record of one tree in one environment.
struct Record<'a> {
    root: &'a Path,
    compiled: &'a Compiled,
    blame: RefCell<Blame>,
    /// Since when lines are as they are, with what is behind them.
    since: RefCell<BTreeMap<(String, *const Behind), Option<Commit>>>,
    lines: Lines,
    exceptions: Vec<Exception>,
    /// Rules of governance that are off, or weaker than they are by themselves.
    weaker: Vec<Weaker>,
    findings: Findings<'a>,
}

/// One rule, as one route or model is held to it.
struct Row {
    rule: String,
    met: &'static str,
    by: String,
    /// A place as the bundle names it; empty: it holds whatever is written.
    origin: String,
    behind: Rc<Behind>,
}

pub(crate) fn show(
    root: &Path,
    environment: &str,
    as_of: Option<&tree::Date>,
    format: tree::Format,
) -> Result<(), Failure> {
    tree::has_environment(root, environment)?;
    let loaded = Loaded::read(root);
    let outcome = tree::build_one(&loaded, environment, as_of)?;
    let (Some(compiled), Some((_, hash))) = (&outcome.compiled, &outcome.bundle) else {
        say::findings(&outcome.diagnostics);
        say::error(&format!(
            "the policies have errors in `{environment}`: mend these first, then look again"
        ));
        return Err(Failure::Findings);
    };
    let at = match as_of {
        Some(date) => date.at,
        None => tree::now()?,
    };
    let lines = Lines::new(root, environment);
    let (exceptions, weaker) = written(loaded.governing(environment).gateway.as_ref(), &outcome, &lines);
    let record = Record {
        root,
        compiled,
        blame: RefCell::new(Blame::new(root)),
        since: RefCell::default(),
        exceptions,
        weaker,
        findings: Findings::new(&outcome, root, compiled, &lines),
        lines,
    };
    let head = json!({
        "gateway": compiled.gateway.name,
        "environment": environment,
        "as_of": words::day(at),
        "commit": git::head(root),
        "uncommitted": git::uncommitted(root),
        "bundle": hex(hash),
    });
    git::note_if_unknown(root);
    let things = record.things();
    // Of no route or model: what none of them took.
    let rest = record.rest();
    let said = match format {
        tree::Format::Json => say::json(&record.json(&head, &things, &rest)),
        tree::Format::Text => say::out(&record.markdown(&head, &things, &rest)),
    };
    record.blame.borrow().note_if_late();
    said
}

/// A route or a model, and its rows.
struct Thing {
    name: String,
    title: String,
    rows: Vec<Row>,
}

impl Record<'_> {
    fn things(&self) -> Vec<Thing> {
        let operations = indices(self.compiled.operations.len()).filter_map(|index| {
            let operation = at(&self.compiled.operations, index)?;
            let api = at(&self.compiled.apis, operation.api)?;
            let name = words::operation(self.compiled, index)?;
            let facts = effective::operation(self.compiled, index, None, &self.lines);
            let mut rows = self.rows(&facts, &format!("apis/{}", api.name));
            let line = |field| {
                let line = self.lines.version(api, field);
                line.unwrap_or_else(|| api.origin.clone())
            };
            rows.push(match &operation.handler {
                Handler::Mock(_) => {
                    Row::met("upstream", "none: the document's examples answer", &line("mock"))
                }
                Handler::Proxy { url, .. } => {
                    self.encrypted(&format!("apis/{}", api.name), url, &line("upstream"))
                }
            });
            self.look_behind(&mut rows, &api.origin);
            rows.extend(self.of_operation(index, api, operation));
            Some(Thing {
                title: words::request(api, operation),
                name,
                rows,
            })
        });
        let models = indices(self.compiled.models.len()).filter_map(|index| {
            let model = at(&self.compiled.models, index)?;
            let facts = effective::model(self.compiled, index, None, &self.lines);
            let mut rows = self.rows(&facts, "");
            for target in model.targets.iter().chain(&model.fallback) {
                if let Some(provider) = at(&self.compiled.providers, target.provider)
                    && let ProviderKind::OpenAi { base_url, .. } = &provider.kind
                {
                    let line = self.lines.field(&provider.origin, &["base_url"]);
                    let line = line.unwrap_or_else(|| provider.origin.clone());
                    rows.push(self.encrypted(&format!("providers/{}", provider.name), base_url, &line));
                }
            }
            self.look_behind(&mut rows, &model.origin);
            rows.extend(self.of_model(model));
            Some(Thing {
                title: format!("model {}", model.name),
                name: model.name.clone(),
                rows,
            })
        });
        operations.chain(models).collect()
    }

    /// The facts that are rules.
    fn rows(&self, facts: &[Fact], target: &str) -> Vec<Row> {
        let shield = words::rate(&self.compiled.gateway.shield);
        let line = self.lines.gateway(&["shield"]).unwrap_or_default();
        let shield = Row::met("shield", &format!("{shield} for each client address"), &line);
        let facts = facts.iter().filter(|fact| RULES_OF_ROUTES.contains(&fact.name));
        let rows = facts.map(|fact| {
            let open = fact.name == "authentication" && fact.value != "required";
            match self.exception("authentication", target).filter(|_| open) {
                Some(exception) => exception.row("authentication", &fact.value),
                // What nobody demands is neither met nor missed.
                None if fact.name == "scopes" && fact.origin.is_empty() => Row {
                    met: "not asked",
                    ..Row::met(fact.name, &fact.value, "")
                },
                None if fact.name == "no limit" => Row {
                    met: "no",
                    ..Row::met("limit", &format!("none {}", fact.value), &fact.origin)
                },
                None => Row::met(fact.name, &fact.value, &fact.origin),
            }
        });
        std::iter::once(shield).chain(rows).collect()
    }

    /// Looks for what is behind the lines of an API or a model: the values that they name.
    fn look_behind(&self, rows: &mut [Row], user: &str) {
        for row in rows.iter_mut().filter(|row| !row.origin.is_empty()) {
            let fields: &[&str] = match row.rule.as_str() {
                "body" => &["max_body"],
                "output" => &["max_output_tokens"],
                "timeout" => &["first_byte"],
                "condition" => &["when"],
                "upstream" => &["mock"],
                "upstream with TLS" => &["upstream", "base_url"],
                "granted to" | "limit" | "relation" => &[],
                name => &[name],
            };
            row.behind = self.lines.behind(&row.origin, user, fields);
        }
    }

    fn encrypted(&self, target: &str, url: &str, origin: &str) -> Row {
        if url.starts_with("https://") {
            return Row::met("upstream with TLS", url, origin);
        }
        match self.exception("upstreams", target) {
            Some(exception) => exception.row("upstream with TLS", url),
            None => Row {
                rule: "upstream with TLS".to_owned(),
                met: "no",
                by: format!("{url}: the environment allows it (`http_upstreams`)"),
                origin: origin.to_owned(),
                behind: Rc::default(),
            },
        }
    }

    /// The rules that are off.
    fn off(&self) -> impl Iterator<Item = &Weaker> {
        self.weaker.iter().filter(|one| one.level.is_none())
    }

    /// The rules that are weaker than they are by themselves, and what they weigh.
    fn weakened(&self) -> impl Iterator<Item = (&Weaker, Severity)> {
        self.weaker.iter().filter_map(|one| Some((one, one.level?)))
    }

    fn exception(&self, rule: &str, target: &str) -> Option<&Exception> {
        self.exceptions
            .iter()
            .find(|exception| exception.rule == rule && exception.target == target)
    }

    /// Since when a line says what it says, with all that is behind it.
    fn since(&self, origin: &str, behind: &Rc<Behind>) -> Option<Commit> {
        let lines = behind.own.iter().chain(&behind.values).map(String::as_str);
        let ask = || {
            let mut blame = self.blame.borrow_mut();
            blame.newest(std::iter::once(origin).chain(lines))
        };
        if behind.own.is_empty() && behind.values.is_empty() {
            return ask();
        }
        // Many routes may be held to one and the same, of many lines: these live as long as the record.
        let key = (origin.to_owned(), Rc::as_ptr(behind));
        self.since.borrow_mut().entry(key).or_insert_with(ask).clone()
    }

    fn line(&self, origin: &str, behind: &Behind) -> String {
        if origin.is_empty() {
            return "built in".to_owned();
        }
        let code = |origin: &str| markdown::code(&tree::place(self.root, origin));
        let values: Vec<_> = behind.values.iter().map(|value| code(value)).collect();
        match values.as_slice() {
            [] => code(origin),
            values => {
                let more = match values.len().saturating_sub(NAMED) {
                    0 => String::new(),
                    more => format!(" and {more} more"),
                };
                let named = values.get(..NAMED).unwrap_or(values).join(", ");
                format!("{} with {named}{more}", code(origin))
            }
        }
    }

    fn json(&self, head: &Json, things: &[Thing], rest: &[Row]) -> Json {
        let since = |origin: &str, behind: &Rc<Behind>| match self.since(origin, behind) {
            Some(Commit { hash, .. }) if hash.is_empty() => json!("uncommitted"),
            Some(Commit { hash, date }) => json!({ "commit": hash, "date": date }),
            None => Json::Null,
        };
        let place = |origin: &str| match origin {
            "" => Json::Null,
            origin => tree::place(self.root, origin).into(),
        };
        let values = |behind: &Behind| -> Json {
            let values = behind.values.iter();
            values.map(|value| tree::place(self.root, value)).collect()
        };
        let mut json = head.clone();
        if let Some(map) = json.as_object_mut() {
            let exceptions = self.exceptions.iter().map(|one| {
                json!({
                    "rule": one.rule, "for": one.target, "reason": one.reason, "until": one.until,
                    "line": place(&one.origin), "values": values(&one.behind),
                    "since": since(&one.origin, &one.behind),
                })
            });
            map.insert("exceptions".to_owned(), exceptions.collect());
            let off = self.off().map(|one| {
                json!({
                    "rule": one.code, "line": place(&one.origin), "values": values(&one.behind),
                    "since": since(&one.origin, &one.behind),
                })
            });
            map.insert("not_judged".to_owned(), off.collect());
            let weakened = self.weakened().map(|(one, level)| {
                let (level, usual) = (level.to_string(), one.usual.to_string());
                json!({
                    "rule": one.code, "level": level, "usually": usual,
                    "line": place(&one.origin), "values": values(&one.behind),
                    "since": since(&one.origin, &one.behind),
                })
            });
            map.insert("weakened".to_owned(), weakened.collect());
            let rules = |rows: &[Row]| -> Json {
                let rules = rows.iter().map(|row| {
                    json!({
                        "rule": row.rule, "met": row.met, "by": row.by,
                        "line": place(&row.origin), "values": values(&row.behind),
                        "since": since(&row.origin, &row.behind),
                    })
                });
                rules.collect()
            };
            map.insert("of_no_route".to_owned(), rules(rest));
            let routes = things.iter().map(
                |thing| json!({ "name": thing.name, "route": thing.title, "rules": rules(&thing.rows) }),
            );
            map.insert("routes".to_owned(), routes.collect());
        }
        json
    }

    fn markdown(&self, head: &Json, things: &[Thing], rest: &[Row]) -> String {
        let text = |name: &str| head.get(name).and_then(Json::as_str).unwrap_or("none");
        let since = |origin: &str, behind: &Rc<Behind>| match self.since(origin, behind) {
            Some(Commit { hash, .. }) if hash.is_empty() => "not committed".to_owned(),
            Some(Commit { hash, date }) => format!("{date} {hash}"),
            // What nobody wrote has no beginning.
            None if origin.is_empty() => String::new(),
            None => "unknown".to_owned(),
        };
        let changed = if head.get("uncommitted") == Some(&Json::Bool(true)) {
            ", with changes that are not committed"
        } else {
            ""
        };
        let mut out = format!(
            "# Compliance of {} in {}\n\nAs of {}. Commit {}{changed}; bundle {}.\n\n## Exceptions\n\n",
            markdown::text(text("gateway")),
            markdown::text(text("environment")),
            text("as_of"),
            text("commit"),
            text("bundle"),
        );
        if self.exceptions.is_empty() {
            out.push_str("None.\n");
        } else {
            out.push_str("| rule | for | reason | until | line | since |\n|---|---|---|---|---|---|\n");
        }
        for one in &self.exceptions {
            let cells = [&one.rule, &one.target, &one.reason, &one.until].map(|text| markdown::text(text));
            let _ = writeln!(
                out,
                "| {} | {} | {} |",
                cells.join(" | "),
                self.line(&one.origin, &one.behind),
                since(&one.origin, &one.behind)
            );
        }
        out.push_str("\n## Rules of governance that are not judged\n\n");
        if self.off().next().is_none() {
            out.push_str("None.\n");
        } else {
            out.push_str("| rule | line | since |\n|---|---|---|\n");
        }
        for one in self.off() {
            let line = self.line(&one.origin, &one.behind);
            let _ = writeln!(
                out,
                "| {} | {line} | {} |",
                one.code,
                since(&one.origin, &one.behind)
            );
        }
        out.push_str("\n## Rules of governance that are weakened\n\n");
        if self.weakened().next().is_none() {
            out.push_str("None.\n");
        } else {
            out.push_str("| rule | level | usually | line | since |\n|---|---|---|---|---|\n");
        }
        for (one, level) in self.weakened() {
            let line = self.line(&one.origin, &one.behind);
            let since = since(&one.origin, &one.behind);
            let _ = writeln!(
                out,
                "| {} | {level} | {} | {line} | {since} |",
                one.code, one.usual
            );
        }
        let table = |out: &mut String, rows: &[Row]| {
            out.push_str("| rule | met | by | line | since |\n|---|---|---|---|---|\n");
            for row in rows {
                let _ = writeln!(
                    out,
                    "| {} | {} | {} | {} | {} |",
                    row.rule,
                    row.met,
                    markdown::text(&row.by),
                    self.line(&row.origin, &row.behind),
                    since(&row.origin, &row.behind)
                );
            }
        };
        out.push_str("\n## Rules of governance that are not met, of no single route\n\n");
        if rest.is_empty() {
            out.push_str("None.\n");
        } else {
            table(&mut out, rest);
        }
        for thing in things {
            let (title, name) = (markdown::text(&thing.title), markdown::code(&thing.name));
            let _ = write!(out, "\n## {title}\n\n{name}\n\n");
            table(&mut out, &thing.rows);
        }
        out
    }
}

impl Row {
    fn met(rule: &str, by: &str, origin: &str) -> Self {
        Self {
            rule: rule.to_owned(),
            met: "yes",
            by: by.to_owned(),
            origin: origin.to_owned(),
            behind: Rc::default(),
        }
    }
}

impl Exception {
    fn row(&self, rule: &str, what: &str) -> Row {
        Row {
            rule: rule.to_owned(),
            met: "by exception",
            by: format!("{what}: {} (until {})", self.reason, self.until),
            origin: self.origin.clone(),
            behind: Rc::default(),
        }
    }
}

fn indices(length: usize) -> impl Iterator<Item = u32> {
    0..u32::try_from(length).unwrap_or(u32::MAX)
}

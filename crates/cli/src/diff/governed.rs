//! What governs a tree and is no part of a bundle: severities, the floor beneath what is written, exceptions, what
//! an environment may, templates, and rules of the tree's own.
//!
//! The same bundle may come from a tree that is held to less: what somebody may do tomorrow is a change that a
//! reviewer wants to see today. What it changes for the gateway already is told where it takes effect.

use std::collections::BTreeMap;

use serde_json::Value as Json;
use turnpike_policy::source::{Governing, RULES, Said, Severity, parse_date, parse_duration};

use super::change::{Changes, Class};
use super::side::Side;

/// What is told in other places, as the bundle holds it.
const COMPILED: [&str; 5] = [
    "max_body",
    "forward_headers",
    "answer_headers",
    "mocks",
    "explain",
];
/// How a level is that is not among those of severities.
const OFF: &str = "off";

/// Something that governs.
#[derive(Debug, PartialEq, Eq)]
struct Fact {
    /// What it says, as it is shown; empty: there is nothing to show.
    says: String,
    means: Means,
    origin: String,
    /// The fact that it is a part of, by name; empty: none. What comes and goes is told whole.
    of: String,
}

/// What more and less of it means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Means {
    /// A severity, and what it is unless something is written.
    Level(Option<Severity>),
    /// It lets pass what a rule forbids, until a day.
    Exception,
    /// A rule of one's own is not for it.
    Exempt,
    /// `allowed`, or something that is not.
    Permission,
    /// It holds things back: to have it is less.
    Demand,
    /// It holds things back that last longer: to have it is less, and so is a shorter one.
    Longest,
    /// A severity that holds things back: to have it is less, and so is a higher one.
    Least,
    /// What a rule of one's own asks for.
    Condition,
    /// What it says to people.
    Words,
    /// Its effects are told where they are.
    Template,
}

/// `before` is what the environment was called.
pub(super) fn compare(was: &Side, is: &Side, (before, environment): (&str, &str), changes: &mut Changes) {
    let (Some(old), Some(new)) = (was.governing(before), is.governing(environment)) else {
        // A bundle knows nothing of it.
        return;
    };
    let (old, new) = (facts(&old, before), facts(&new, environment));
    changes.begin("governance", environment);
    let mut names: Vec<_> = old.keys().chain(new.keys()).collect();
    names.sort_unstable();
    names.dedup();
    for name in names {
        let known = |facts: &BTreeMap<String, Fact>, of: &String| of.is_empty() || facts.contains_key(of);
        match (old.get(name), new.get(name)) {
            (None, Some(is)) if !known(&old, &is.of) => {}
            (Some(was), None) if !known(&new, &was.of) => {}
            (Some(was), Some(is)) if was.says != is.says => {
                changes.add(weight(was, is), &is.origin, changed(name, was, is));
            }
            (None, Some(is)) => {
                let class = match is.means {
                    Means::Level(default) => levels(default, rank(&is.says)),
                    Means::Permission if is.says == "forbidden" => Class::Safe,
                    // It says that a rule may be off, and demands nothing.
                    Means::Least if rank(&is.says) == 0 => Class::Loosening,
                    Means::Exception | Means::Exempt | Means::Permission => Class::Loosening,
                    Means::Demand | Means::Longest | Means::Least | Means::Condition => Class::Tightening,
                    Means::Template | Means::Words => Class::Safe,
                };
                changes.add(class, &is.origin, format!("{name}{} is added", shown(&is.says)));
            }
            (Some(was), None) => {
                let class = match was.means {
                    Means::Level(default) => reversed(levels(default, rank(&was.says))),
                    Means::Permission if was.says == "forbidden" => Class::Safe,
                    Means::Least if rank(&was.says) == 0 => Class::Tightening,
                    Means::Exception | Means::Exempt | Means::Permission => Class::Tightening,
                    Means::Demand | Means::Longest | Means::Least | Means::Condition => Class::Loosening,
                    Means::Template | Means::Words => Class::Safe,
                };
                changes.add(
                    class,
                    &was.origin,
                    format!("{name}{} is removed", shown(&was.says)),
                );
            }
            _ => {}
        }
    }
}

fn shown(says: &str) -> String {
    if says.is_empty() || says.contains('\n') || says.starts_with('{') {
        String::new()
    } else {
        format!(" ({says})")
    }
}

fn changed(name: &str, was: &Fact, is: &Fact) -> String {
    match is.means {
        Means::Template => format!("{name} is another: what that changes is told where it is used"),
        Means::Condition | Means::Words => format!("{name} is another"),
        _ => format!("{name}: {} → {}", was.says, is.says),
    }
}

fn weight(was: &Fact, is: &Fact) -> Class {
    match is.means {
        Means::Level(_) | Means::Least => {
            if rank(&is.says) > rank(&was.says) {
                Class::Tightening
            } else {
                Class::Loosening
            }
        }
        Means::Exception => match (parse_date(&was.says), parse_date(&is.says)) {
            (Ok(was), Ok(is)) if is < was => Class::Tightening,
            _ => Class::Loosening,
        },
        Means::Longest => match (parse_duration(&was.says), parse_duration(&is.says)) {
            (Some(was), Some(is)) if is == was => Class::Safe,
            (Some(was), Some(is)) if is < was => Class::Tightening,
            _ => Class::Loosening,
        },
        Means::Permission => match (is.says.as_str(), was.says.as_str()) {
            ("allowed", _) => Class::Loosening,
            ("forbidden", _) => Class::Tightening,
            _ => Class::Risky,
        },
        Means::Condition if tighter(&was.says, &is.says) => Class::Tightening,
        // What it let pass nobody can tell from its text: it may be all.
        Means::Condition => Class::Loosening,
        Means::Demand | Means::Exempt => Class::Risky,
        Means::Template | Means::Words => Class::Safe,
    }
}

/// Whether a rule asks in the same places for all that it asked for, and more.
fn tighter(was: &str, is: &str) -> bool {
    let read = |says| serde_json::from_str::<Json>(says).unwrap_or_default();
    let (was, is) = (read(was), read(is));
    let (Some(was), Some(is)) = (was.as_object(), is.as_object()) else {
        return false;
    };
    let fewer = |was: &Json, is: &Json| match (was.as_array(), is.as_array()) {
        (Some(was), Some(is)) => is.iter().all(|one| was.contains(one)),
        _ => false,
    };
    let kept = |was: &Json, is: &Json| match (was.as_object(), is.as_object()) {
        (Some(was), Some(is)) => was.iter().all(|(name, was)| {
            is.get(name)
                .is_some_and(|is| was == is || (name == "one_of" && fewer(was, is)))
        }),
        _ => false,
    };
    let still = |(name, was): (&String, &Json)| {
        is.get(name)
            .is_some_and(|is| was == is || (name == "must" && kept(was, is)))
    };
    let asks = |name: &String| was.contains_key(name) || name == "must" || name == "must_not";
    was.iter().all(still) && is.keys().all(asks)
}

/// What an environment may that was not there before, each by itself, and where that is written.
pub(super) fn permissions(side: &Side, environment: &str) -> Vec<(String, String)> {
    let gateway = side
        .governing(environment)
        .and_then(|governing| governing.gateway);
    let Some(gateway) = gateway else {
        return Vec::new();
    };
    let allowed = of_environment(&gateway, environment).iter();
    let allowed = allowed.filter(|(_, value)| value.text() == Some("allowed"));
    allowed
        .map(|(key, _)| {
            let said = format!(
                "the permission `{}` (allowed) is added",
                key.text().unwrap_or_default()
            );
            (said, key.origin.clone())
        })
        .collect()
}

/// What is written of an environment.
fn of_environment<'a>(gateway: &'a Said, environment: &str) -> &'a [(Said, Said)] {
    let here = gateway.get("environments").and_then(|all| all.get(environment));
    here.map(Said::entries).unwrap_or_default()
}

/// A level that is written in place of what holds otherwise; without that it is not known which way it goes.
fn levels(default: Option<Severity>, rank: u8) -> Class {
    let Some(default) = default else {
        return Class::Risky;
    };
    let default = match default {
        Severity::Note => 1,
        Severity::Warning => 2,
        Severity::Error => 3,
    };
    match rank.cmp(&default) {
        std::cmp::Ordering::Greater => Class::Tightening,
        std::cmp::Ordering::Equal => Class::Safe,
        std::cmp::Ordering::Less => Class::Loosening,
    }
}

const fn reversed(class: Class) -> Class {
    match class {
        Class::Tightening => Class::Loosening,
        Class::Loosening => Class::Tightening,
        other => other,
    }
}

fn rank(level: &str) -> u8 {
    ["note", "warning", "error"]
        .iter()
        .zip(1..)
        .find_map(|(name, rank)| (*name == level).then_some(rank))
        .unwrap_or(0)
}

/// All that governs a tree in an environment, by name.
fn facts(governing: &Governing, environment: &str) -> BTreeMap<String, Fact> {
    let mut facts = BTreeMap::new();
    let mut add = |name: String, says: Json, means: Means, origin: &str| {
        let (says, origin, of) = (says.to_string(), origin.to_owned(), String::new());
        let fact = Fact {
            says,
            means,
            origin,
            of,
        };
        facts.insert(name, fact);
    };
    for (name, said) in &governing.templates {
        let says = said.told();
        add(
            format!("the template `{name}`"),
            says,
            Means::Template,
            &said.origin,
        );
    }
    for (name, said) in &governing.rules {
        let mut says = said.told();
        if let Some(fields) = says.as_object_mut() {
            for of_its_own in ["severity", "except", "environments", "message", "help"] {
                fields.remove(of_its_own);
            }
        }
        add(format!("the rule `{name}`"), says, Means::Condition, &said.origin);
    }
    for (name, said) in &governing.rules {
        of_rule(&format!("the rule `{name}`"), said, &mut facts);
    }
    if let Some(gateway) = &governing.gateway {
        of_gateway(gateway, environment, &mut facts);
    }
    facts
}

/// What makes a rule of one's own weaker or stronger, whatever it asks for: how bad it is that it is not met, and what it
/// is not for. What it says to people does neither.
fn of_rule(rule: &str, said: &Said, facts: &mut BTreeMap<String, Fact>) {
    let mut add = |name: String, says: String, means: Means| {
        let (origin, of) = (said.origin.clone(), rule.to_owned());
        let fact = Fact {
            says,
            means,
            origin,
            of,
        };
        facts.insert(name, fact);
    };
    let severity = said.get("severity");
    let severity = severity.map_or("warning", |level| level.text().unwrap_or(OFF));
    add(
        format!("the severity of {rule}"),
        severity.to_owned(),
        Means::Level(None),
    );
    let words = format!("{:?}", (said.text_of("message"), said.text_of("help")));
    add(format!("the message of {rule}"), words, Means::Words);
    for name in said.get("except").map(Said::items).unwrap_or_default() {
        let name = name.text().unwrap_or_default();
        add(format!("{rule}, `except: {name}`"), String::new(), Means::Exempt);
    }
}

fn of_gateway(gateway: &Said, environment: &str, facts: &mut BTreeMap<String, Fact>) {
    let mut reasons = Vec::new();
    let mut add = |name: String, says: &str, means: Means, at: &Said| {
        let (says, origin, of) = (says.to_owned(), at.origin.clone(), String::new());
        let fact = Fact {
            says,
            means,
            origin,
            of,
        };
        facts.insert(name, fact);
    };
    for (code, level) in gateway.get("governance").map(Said::entries).unwrap_or_default() {
        let code_text = code.text().unwrap_or_default();
        let rule = RULES.iter().find(|rule| rule.code.number() == code_text);
        let means = Means::Level(rule.map(|rule| rule.severity));
        let says = level.text().unwrap_or(OFF);
        add(format!("the severity of {code_text}"), says, means, code);
    }
    for (key, value) in gateway.get("floor").map(Said::entries).unwrap_or_default() {
        let name = key.text().unwrap_or_default();
        match name {
            "governance" => {
                for (code, level) in value.entries() {
                    let code_text = code.text().unwrap_or_default();
                    let says = level.text().unwrap_or(OFF);
                    let name = format!("the floor's severity of {code_text}");
                    add(name, says, Means::Least, code);
                }
            }
            "never_forward" => {
                for header in value.items() {
                    let name = format!(
                        "the floor's `never_forward: {}`",
                        header.text().unwrap_or_default()
                    );
                    add(name, "", Means::Demand, header);
                }
            }
            _ if COMPILED.contains(&name) => {}
            _ => {
                let says = value.text().unwrap_or_default();
                add(format!("the floor's `{name}`"), says, Means::Demand, key);
            }
        }
    }
    for item in gateway.get("exceptions").map(Said::items).unwrap_or_default() {
        let target = match item.text_of("for") {
            "" => String::new(),
            target => format!(" for {target}"),
        };
        let name = format!("the exception from `{}`{target}", item.text_of("rule"));
        let until = format!("{name} until");
        add(until.clone(), item.text_of("until"), Means::Exception, item);
        // What it is for makes it the one that it is; its reason is a part of it.
        let reason = Fact {
            says: item.text_of("reason").to_owned(),
            means: Means::Words,
            origin: item.get("reason").unwrap_or(item).origin.clone(),
            of: until,
        };
        reasons.push((format!("the reason of {name}"), reason));
    }
    for (key, value) in of_environment(gateway, environment) {
        let name = key.text().unwrap_or_default();
        if name == "max_lifetime" {
            // What it does to the issuers that there are they tell; it holds for those to come, too.
            let says = value.text().unwrap_or_default();
            add(format!("the environment's `{name}`"), says, Means::Longest, key);
        } else if !COMPILED.contains(&name) {
            let says = value.text().unwrap_or_default();
            add(format!("the permission `{name}`"), says, Means::Permission, key);
        }
    }
    facts.extend(reasons);
}

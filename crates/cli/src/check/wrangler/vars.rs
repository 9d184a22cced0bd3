//! Whether a secret stands in `vars`, which are plain text wherever they are shown.

use std::collections::BTreeSet;

use toml::Spanned;
use toml::de::DeValue;
use turnpike_policy::source::beside::{is_random, is_secret};
use turnpike_policy::source::{Code, Severity};

use super::Check;
use super::place::Place;

impl Check<'_> {
    /// Secrets of any environment in the `vars` of any: they are plain text.
    pub(super) fn vars(&mut self, places: &[Place<'_>]) {
        let checked = self.checked;
        let secrets: BTreeSet<&str> = checked
            .values()
            .flatten()
            .flat_map(|compiled| compiled.secrets.iter().map(String::as_str))
            .collect();
        for place in places {
            let vars = place.own("vars").and_then(|vars| vars.get_ref().as_table());
            for (name, value) in vars.into_iter().flatten() {
                let name_text: &str = name.get_ref();
                let environment = place
                    .name
                    .map_or_else(String::new, |name| format!(" --env {name}"));
                if secrets.contains(name_text) {
                    self.masked.push(value.span());
                    self.say(
                        Code::SecretInVars,
                        Severity::Error,
                        name.span(),
                        format!("the secret `{name_text}` stands in `vars`, which is plain text"),
                        format!("take it out, make a new one, and set it: wrangler secret put {name_text}{environment}"),
                    );
                } else {
                    self.looks_secret(name_text, value, &environment);
                }
            }
        }
    }

    /// Texts in `vars` that look like secrets, whatever they are called.
    fn looks_secret(&mut self, name: &str, value: &Spanned<DeValue<'_>>, environment: &str) {
        let mut rest = vec![value];
        let (mut known, mut random) = (false, false);
        while let Some(value) = rest.pop() {
            match value.get_ref() {
                DeValue::String(text) if is_secret(text) || is_random(name, text) => {
                    known |= is_secret(text);
                    random = true;
                    self.masked.push(value.span());
                }
                DeValue::Array(items) => rest.extend(items.iter()),
                DeValue::Table(table) => rest.extend(table.values()),
                _ => {}
            }
        }
        let set = format!("take it out, make a new one, and set it: wrangler secret put {name}{environment}");
        if known {
            let said = format!("the value of `{name}` looks like a secret, and `vars` are plain text");
            self.say(Code::SecretInVars, Severity::Error, value.span(), said, set);
        } else if random {
            let said = format!("the value of `{name}` is as random as a secret, and `vars` are plain text");
            let help = format!("if it is one, {set}");
            self.say(Code::SecretInVars, Severity::Warning, value.span(), said, help);
        }
    }
}

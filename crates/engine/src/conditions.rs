//! Whether a condition of the policy holds: part of the phase authorize.
//!
//! The answer is yes, no, or not known (Kleene's logic of three values). Not known is what a claim gives that
//! the token does not have, or has as another type than its issuer declares. Since what is not known stays so
//! when it is negated, and a yes is only given where no value of it would have made a difference, nothing
//! passes because something is missing.

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use turnpike_policy::{ClaimKind, Comparison, Compiled, Condition, Method, Operand, Rule, claim_name};

use crate::error::{Code, Refusal};
use crate::identify::{ClaimValue, Principal};

/// What a condition looks at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts<'a> {
    /// The policy.
    pub policy: &'a Compiled,
    /// Who calls.
    pub caller: &'a Principal,
    /// The method of the operation.
    pub method: Method,
    /// The operation's path below its API, as in its document.
    pub template: &'a str,
    /// The path of the request below its API, in canonical form.
    pub path: &'a str,
    /// The country that the request comes from, if that is known.
    pub country: Option<&'a str>,
    /// The time, in Unix milliseconds.
    pub now: u64,
}

/// What stands in a condition, at one request.
enum Value<'a> {
    Text(Cow<'a, str>),
    Number(f64),
    Flag(bool),
    Texts(&'a [String]),
    Numbers(&'a [f64]),
}

impl<'a> Facts<'a> {
    /// Refuses a call for which not all of these rules hold. The client is not told which one it was, nor what
    /// it says: that is for the log.
    pub(crate) fn check(&self, rules: &[Rule], what: &str) -> Result<(), Refusal> {
        for rule in rules {
            let why = match self.holds(&rule.when) {
                Some(true) => continue,
                Some(false) => Cow::Borrowed("the condition does not hold"),
                None => self.unknown(&rule.when),
            };
            let detail = format!("`{what}` is not allowed to this caller in this way.");
            return Err(Refusal::new(Code::ConditionNotMet, detail)
                .because(why)
                .by(&rule.origin));
        }
        Ok(())
    }

    /// Whether a condition holds; none: that is not known.
    pub(crate) fn holds(&self, condition: &Condition) -> Option<bool> {
        match condition {
            Condition::All(parts) => self.joined(parts, false),
            Condition::Any(parts) => self.joined(parts, true),
            Condition::Not(part) => self.holds(part).map(|holds| !holds),
            Condition::Is(value) => match self.value(value)? {
                Value::Flag(flag) => Some(flag),
                _ => None,
            },
            Condition::StartsWith(value, start) => match self.value(value)? {
                Value::Text(text) if !start.is_empty() => Some(text.starts_with(start.as_str())),
                _ => None,
            },
            Condition::Compare(left, comparison, right) => {
                compare(&self.value(left)?, *comparison, &self.value(right)?)
            }
        }
    }

    /// Of several: the one answer that decides, wherever it stands, or that of all.
    fn joined(&self, parts: &[Condition], decides: bool) -> Option<bool> {
        let mut all_known = true;
        for part in parts {
            match self.holds(part) {
                Some(holds) if holds == decides => return Some(decides),
                Some(_) => {}
                None => all_known = false,
            }
        }
        all_known.then_some(!decides)
    }

    fn value(&self, operand: &'a Operand) -> Option<Value<'a>> {
        Some(match operand {
            Operand::Claim(path) => return self.claim(path),
            Operand::Method => Value::Text(Cow::Borrowed(self.method.name())),
            // `XX` is what the platform says of an address that it does not know.
            Operand::Country => Value::Text(Cow::Borrowed(self.country.filter(|country| *country != "XX")?)),
            Operand::Hour => {
                let hour = u8::try_from(self.now / 3_600_000 % 24).ok()?;
                Value::Number(f64::from(hour))
            }
            Operand::Parameter(name) => Value::Text(self.parameter(name)?),
            Operand::Text(text) => Value::Text(Cow::Borrowed(text)),
            Operand::Number(number) => Value::Number(*number),
            Operand::Flag(flag) => Value::Flag(*flag),
            Operand::Texts(texts) => Value::Texts(texts),
            Operand::Numbers(numbers) => Value::Numbers(numbers),
        })
    }

    fn claim(&self, path: &[String]) -> Option<Value<'a>> {
        let (kind, value) = self.caller.declared(self.policy, path)?;
        Some(match (kind, value) {
            (ClaimKind::Text, ClaimValue::Text(text)) => Value::Text(Cow::Borrowed(text)),
            (ClaimKind::Number, ClaimValue::Number(_)) => Value::Number(value.number()?),
            (ClaimKind::Flag, ClaimValue::Flag(flag)) => Value::Flag(*flag),
            (ClaimKind::Texts, ClaimValue::Texts(texts)) => Value::Texts(texts),
            _ => return None,
        })
    }

    /// The text that an operand is; none: it is not known, or no text.
    pub(crate) fn text(&self, operand: &'a Operand) -> Option<Cow<'a, str>> {
        match self.value(operand)? {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The segment of the path that stands for a parameter, percent-encoding undone.
    fn parameter(&self, name: &str) -> Option<Cow<'a, str>> {
        let named = |segment: &str| {
            let inner = segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
            inner == Some(name)
        };
        let place = self.template.split('/').position(named)?;
        decoded(self.path.split('/').nth(place)?)
    }

    /// Why nothing is known, for the log.
    fn unknown(&self, condition: &'a Condition) -> Cow<'static, str> {
        let mut missing = None;
        condition.operands(&mut |operand| {
            if missing.is_none() {
                missing = self.missing(operand);
            }
        });
        missing.map_or(Cow::Borrowed("the condition cannot be decided"), |name| {
            Cow::Owned(format!(
                "`{name}` is missing, or of another type than is declared"
            ))
        })
    }

    /// The name of what is not known.
    fn missing(&self, operand: &Operand) -> Option<String> {
        match operand {
            Operand::Claim(path) => self.claim(path).is_none().then(|| claim_name(path)),
            Operand::Country => {
                let known = self.country.is_some_and(|country| country != "XX");
                (!known).then(|| "request.country".to_owned())
            }
            Operand::Parameter(name) => {
                let known = self.parameter(name).is_some();
                (!known).then(|| format!("request.params.{name}"))
            }
            _ => None,
        }
    }
}

fn compare(left: &Value<'_>, comparison: Comparison, right: &Value<'_>) -> Option<bool> {
    use Comparison::{AtLeast, AtMost, Equal, Greater, In, Less, NotEqual};
    #[expect(clippy::float_cmp, reason = "numbers are whole, or written the same way")]
    Some(match (left, comparison, right) {
        (Value::Text(left), Equal, Value::Text(right)) => left == right,
        (Value::Text(left), NotEqual, Value::Text(right)) => left != right,
        (Value::Flag(left), Equal, Value::Flag(right)) => left == right,
        (Value::Flag(left), NotEqual, Value::Flag(right)) => left != right,
        (Value::Number(left), Equal, Value::Number(right)) => left == right,
        (Value::Number(left), NotEqual, Value::Number(right)) => left != right,
        (Value::Number(left), Less, Value::Number(right)) => left < right,
        (Value::Number(left), AtMost, Value::Number(right)) => left <= right,
        (Value::Number(left), Greater, Value::Number(right)) => left > right,
        (Value::Number(left), AtLeast, Value::Number(right)) => left >= right,
        (Value::Text(left), In, Value::Texts(right)) => right.iter().any(|item| *item == **left),
        (Value::Number(left), In, Value::Numbers(right)) => right.contains(left),
        _ => return None,
    })
}

/// A segment with its percent-encoding undone; none if that is no text.
fn decoded(segment: &str) -> Option<Cow<'_, str>> {
    if !segment.contains('%') {
        return Some(Cow::Borrowed(segment));
    }
    let mut bytes = segment.bytes();
    let mut plain = Vec::with_capacity(segment.len());
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let mut digit = || bytes.next().and_then(|byte| char::from(byte).to_digit(16));
            let (high, low) = (digit()?, digit()?);
            plain.push(u8::try_from(high * 16 + low).ok()?);
        } else {
            plain.push(byte);
        }
    }
    String::from_utf8(plain).ok().map(Cow::Owned)
}

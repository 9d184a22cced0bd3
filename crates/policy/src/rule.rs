//! Conditions on callers and requests: what `when` of the policies says, as it is run.
//!
//! A condition is a small tree. It has three answers: yes, no, and not known, which is what a claim gives
//! that is missing or of another type than its issuer declares. Only a yes lets a request pass, and what
//! negates something that is not known is not known either: no condition holds because a claim is not there.
//! Its notation is that of CEL; what is written by [`Display`](fmt::Display) reads back as the same tree.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The largest whole number, and its negative the smallest, that every part of the road holds exactly.
pub const MAX_NUMBER: f64 = 9_007_199_254_740_991.0;

/// What must hold for a call beside grants and scopes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rule {
    /// The condition.
    pub when: Condition,
    /// Where it was written.
    pub origin: String,
}

/// A condition.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Condition {
    /// All of these hold; at least two, none of them of this kind itself.
    All(Vec<Self>),
    /// Any of these holds; at least two, none of them of this kind itself.
    Any(Vec<Self>),
    /// It is known not to hold.
    Not(Box<Self>),
    /// A claim that is a boolean is true.
    Is(Operand),
    /// Two values stand in this relation.
    Compare(Operand, Comparison, Operand),
    /// A text begins with another one, which is not empty.
    StartsWith(Operand, String),
}

impl Condition {
    /// Calls `see` with every value that it looks at.
    pub fn operands<'a>(&'a self, see: &mut impl FnMut(&'a Operand)) {
        match self {
            Self::All(parts) | Self::Any(parts) => parts.iter().for_each(|part| part.operands(see)),
            Self::Not(part) => part.operands(see),
            Self::Is(value) | Self::StartsWith(value, _) => see(value),
            Self::Compare(left, _, right) => {
                see(left);
                see(right);
            }
        }
    }
}

/// How two values are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the words say it")]
pub enum Comparison {
    Equal,
    NotEqual,
    Less,
    AtMost,
    Greater,
    AtLeast,
    /// The left one is an item of the right one.
    In,
}

impl Comparison {
    /// Every comparison, in the order of the enum.
    pub const ALL: [Self; 7] = [
        Self::Equal,
        Self::NotEqual,
        Self::Less,
        Self::AtMost,
        Self::Greater,
        Self::AtLeast,
        Self::In,
    ];

    /// How it is written.
    pub const fn symbol(self) -> &'static str {
        match self {
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::AtMost => "<=",
            Self::Greater => ">",
            Self::AtLeast => ">=",
            Self::In => "in",
        }
    }
}

/// A value in a condition.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Operand {
    /// A claim of the caller's token, by its path: see [`Claim::path`].
    Claim(Vec<String>),
    /// The method of the operation (`GET` also where `HEAD` was sent), a text.
    Method,
    /// The country that the request comes from, as the platform tells it (ISO 3166-1, or `T1` for Tor), a text.
    Country,
    /// The hour of the day in UTC, 0 to 23, a number.
    Hour,
    /// A parameter of the operation's path, percent-encoding undone, a text.
    Parameter(String),
    /// A text.
    Text(String),
    /// A number, finite and at most [`MAX_NUMBER`] from 0.
    Number(f64),
    /// True or false.
    Flag(bool),
    /// Texts, never empty.
    Texts(Vec<String>),
    /// Numbers, never empty.
    Numbers(Vec<f64>),
}

/// What issuers may declare a claim to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ClaimKind {
    /// A JSON string.
    Text,
    /// A JSON number of at most [`MAX_NUMBER`] from 0.
    Number,
    /// `true` or `false`.
    Flag,
    /// A JSON array of strings.
    Texts,
}

impl ClaimKind {
    /// As an issuer declares it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Text => "string",
            Self::Number => "number",
            Self::Flag => "boolean",
            Self::Texts => "list of strings",
        }
    }
}

/// A claim of tokens that something in the tree looks at, and that is therefore kept with a caller.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// Its name; of what lies in an object, the names on the way to it.
    pub path: Vec<String>,
    /// What it is declared to be; none: only limits count by it, as it is.
    pub kind: Option<ClaimKind>,
    /// The issuers that declare it (indices into [`crate::Compiled::issuers`]), sorted. In the token of any
    /// other one it proves nothing.
    pub issuers: Vec<u32>,
}

/// A header that an upstream gets, with what the caller's token says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpstreamHeader {
    /// Its name, lower case.
    pub header: String,
    /// Which claim it says: see [`Claim::path`].
    pub claim: Vec<String>,
}

/// A claim as conditions name it: `claims.realm_access.roles`, `claims['https://acme.example/role']`.
pub fn claim_name(path: &[String]) -> String {
    let mut text = String::from("claims");
    for step in path {
        push_step(&mut text, step);
    }
    text
}

/// Words that CEL keeps for itself, so that they do not follow a dot.
pub(crate) const RESERVED: [&str; 21] = [
    "as",
    "break",
    "const",
    "continue",
    "else",
    "false",
    "for",
    "function",
    "if",
    "import",
    "in",
    "let",
    "loop",
    "namespace",
    "null",
    "package",
    "return",
    "true",
    "var",
    "void",
    "while",
];

fn push_step(out: &mut String, step: &str) {
    let mut bytes = step.bytes();
    let first = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_';
    let plain = bytes.next().is_some_and(first) && bytes.all(|byte| first(byte) || byte.is_ascii_digit());
    if plain && !RESERVED.contains(&step) {
        out.push('.');
        out.push_str(step);
    } else {
        out.push('[');
        push_text(out, step);
        out.push(']');
    }
}

fn push_text(out: &mut String, text: &str) {
    out.push('\'');
    for character in text.chars() {
        if matches!(character, '\'' | '\\') {
            out.push('\\');
        }
        out.push(character);
    }
    out.push('\'');
}

fn list<T>(f: &mut fmt::Formatter<'_>, items: &[T], push: impl Fn(&mut String, &T)) -> fmt::Result {
    let mut text = String::from("[");
    for (place, item) in items.iter().enumerate() {
        if place > 0 {
            text.push_str(", ");
        }
        push(&mut text, item);
    }
    text.push(']');
    f.write_str(&text)
}

impl fmt::Display for Operand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Claim(path) => f.write_str(&claim_name(path)),
            Self::Method => f.write_str("request.method"),
            Self::Country => f.write_str("request.country"),
            Self::Hour => f.write_str("request.hour"),
            Self::Parameter(name) => {
                let mut text = String::from("request.params");
                push_step(&mut text, name);
                f.write_str(&text)
            }
            Self::Text(text) => {
                let mut quoted = String::new();
                push_text(&mut quoted, text);
                f.write_str(&quoted)
            }
            Self::Number(number) => write!(f, "{number}"),
            Self::Flag(flag) => write!(f, "{flag}"),
            Self::Texts(texts) => list(f, texts, |out, text| push_text(out, text)),
            Self::Numbers(numbers) => list(f, numbers, |out, number| out.push_str(&number.to_string())),
        }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let joined = |f: &mut fmt::Formatter<'_>, parts: &[Self], between: &str| {
            for (place, part) in parts.iter().enumerate() {
                if place > 0 {
                    f.write_str(between)?;
                }
                match part {
                    Self::All(_) | Self::Any(_) => write!(f, "({part})")?,
                    _ => write!(f, "{part}")?,
                }
            }
            Ok(())
        };
        match self {
            Self::All(parts) => joined(f, parts, " && "),
            Self::Any(parts) => joined(f, parts, " || "),
            Self::Not(part) => match &**part {
                Self::Is(_) | Self::Not(_) | Self::StartsWith(..) => write!(f, "!{part}"),
                _ => write!(f, "!({part})"),
            },
            Self::Is(value) => write!(f, "{value}"),
            Self::Compare(left, comparison, right) => write!(f, "{left} {} {right}", comparison.symbol()),
            Self::StartsWith(value, start) => {
                let mut quoted = String::new();
                push_text(&mut quoted, start);
                write!(f, "{value}.startsWith({quoted})")
            }
        }
    }
}

//! From the words of a condition to its tree, with the type of each value.

use std::ops::Range;

use super::lexer::{self, Token};
use super::{MAX_DEPTH, MAX_LENGTH, MAX_NODES, Parsed, Wrong};
use crate::rule::RESERVED;
use crate::source::claims::Declared;
use crate::source::diagnostic::Code;
use crate::source::names::{nearest, remedy};
use crate::source::secrets::quote;
use crate::{ClaimKind, Comparison, Condition, Method, Operand, claim_name};

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    Number,
    Flag,
    Texts,
    Numbers,
    /// Whatever fits: it was reported, or nothing is known of it.
    Any,
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::Text => "a text",
            Self::Number => "a number",
            Self::Flag => "true or false",
            Self::Texts => "a list of texts",
            Self::Numbers => "a list of numbers",
            Self::Any => "something",
        }
    }

    fn is(self, other: Self) -> bool {
        self == other || self == Self::Any || other == Self::Any
    }
}

impl From<ClaimKind> for Kind {
    fn from(kind: ClaimKind) -> Self {
        match kind {
            ClaimKind::Text => Self::Text,
            ClaimKind::Number => Self::Number,
            ClaimKind::Flag => Self::Flag,
            ClaimKind::Texts => Self::Texts,
        }
    }
}

/// A value, what it is, and where.
struct Valued {
    operand: Operand,
    kind: Kind,
    range: Range<usize>,
}

impl Valued {
    /// Whether it is the same for every request.
    fn is_literal(&self) -> bool {
        matches!(
            self.operand,
            Operand::Text(_)
                | Operand::Number(_)
                | Operand::Flag(_)
                | Operand::Texts(_)
                | Operand::Numbers(_)
        )
    }
}

struct Parser<'t, 'd> {
    tokens: Vec<(Token<'t>, Range<usize>)>,
    at: usize,
    end: usize,
    depth: u32,
    nodes: u32,
    declared: Option<&'d Declared>,
    parameters: Vec<(String, Range<usize>)>,
    method: Option<Range<usize>>,
    wrong: Vec<Wrong>,
}

/// Reads a claim that stands by itself: its path, and what is wrong with its name.
pub(super) fn claim(text: &str, declared: Option<&Declared>) -> Result<(Vec<String>, Vec<Wrong>), Wrong> {
    let mut parser = Parser::new(text, declared)?;
    match parser.value()?.operand {
        Operand::Claim(path) if parser.at == parser.tokens.len() => Ok((path, parser.wrong)),
        _ => {
            let wrong = Wrong::syntax(0..text.len(), "one claim is meant here, and nothing else");
            Err(wrong.help("write for example `claims.sub`"))
        }
    }
}

/// Reads a condition. What is wrong with its form ends it, what is wrong with its types does not.
pub(super) fn parse(text: &str, declared: Option<&Declared>) -> Result<Parsed, Wrong> {
    let mut parser = Parser::new(text, declared)?;
    let condition = parser.any()?;
    if let Some((token, range)) = parser.tokens.get(parser.at) {
        let wrong = Wrong::syntax(range.clone(), format!("{} is one too many here", token.shown()));
        return Err(match token {
            Token::Name("and") | Token::Symbol("&") => wrong.help("both hold if `&&` stands between them"),
            Token::Name("or") | Token::Symbol("|") => {
                wrong.help("one of two holds if `||` stands between them")
            }
            Token::Symbol(symbol) if Comparison::ALL.iter().any(|one| one.symbol() == *symbol) => wrong.help(
                "two values are compared at a time; what is negated stands in parentheses: `!(a == b)`",
            ),
            _ => wrong.help("`&&` or `||` stands between two conditions"),
        });
    }
    Ok(Parsed {
        condition,
        parameters: parser.parameters,
        method: parser.method,
        wrong: parser.wrong,
    })
}

impl<'t, 'd> Parser<'t, 'd> {
    fn new(text: &'t str, declared: Option<&'d Declared>) -> Result<Self, Wrong> {
        if text.len() > MAX_LENGTH {
            let message = format!("a condition has at most {MAX_LENGTH} bytes");
            return Err(
                Wrong::syntax(0..text.len(), message).help("make it several items: all of them must hold")
            );
        }
        Ok(Self {
            tokens: lexer::tokens(text)?,
            at: 0,
            end: text.len(),
            depth: 0,
            nodes: 0,
            declared,
            parameters: Vec::new(),
            method: None,
            wrong: Vec::new(),
        })
    }

    fn peek(&self) -> Option<&Token<'t>> {
        self.tokens.get(self.at).map(|(token, _)| token)
    }

    fn is(&self, symbol: &str) -> bool {
        matches!(self.peek(), Some(Token::Symbol(next)) if *next == symbol)
    }

    fn take(&mut self, symbol: &str) -> bool {
        let there = self.is(symbol);
        self.at += usize::from(there);
        there
    }

    /// Where the next word stands; behind the last one, the last byte.
    fn here(&self) -> Range<usize> {
        let last = self.end.saturating_sub(1)..self.end;
        self.tokens.get(self.at).map_or(last, |(_, range)| range.clone())
    }

    fn expected(&self, what: &str) -> Wrong {
        let message = match self.peek() {
            Some(token) => format!("expected {what}, found {}", token.shown()),
            None => format!("expected {what}, and it ends here"),
        };
        Wrong::syntax(self.here(), message)
    }

    /// Counts one more value or negation.
    fn count(&mut self) -> Result<(), Wrong> {
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            let message = format!("a condition has at most {MAX_NODES} values and negations");
            return Err(
                Wrong::syntax(self.here(), message).help("make it several items: all of them must hold")
            );
        }
        Ok(())
    }

    fn deeper<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, Wrong>) -> Result<T, Wrong> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            let message = format!("conditions nest at most {MAX_DEPTH} deep");
            return Err(
                Wrong::syntax(self.here(), message).help("make it several items: all of them must hold")
            );
        }
        let read = read(self);
        self.depth -= 1;
        read
    }

    fn any(&mut self) -> Result<Condition, Wrong> {
        let mut parts = Vec::new();
        loop {
            match self.all()? {
                Condition::Any(mut inner) => parts.append(&mut inner),
                part => parts.push(part),
            }
            if !self.take("||") {
                return Ok(one_or(parts, Condition::Any));
            }
        }
    }

    fn all(&mut self) -> Result<Condition, Wrong> {
        let mut parts = Vec::new();
        loop {
            match self.term()? {
                Condition::All(mut inner) => parts.append(&mut inner),
                part => parts.push(part),
            }
            if !self.take("&&") {
                return Ok(one_or(parts, Condition::All));
            }
        }
    }

    fn term(&mut self) -> Result<Condition, Wrong> {
        if self.take("(") {
            let inner = self.deeper(Self::any)?;
            if !self.take(")") {
                return Err(self.expected("`)`"));
            }
            return Ok(inner);
        }
        if self.take("!") {
            self.count()?;
            let negated = self.deeper(|parser| {
                if parser.is("(") || parser.is("!") {
                    return parser.term();
                }
                let value = parser.value()?;
                parser.alone(value)
            })?;
            return Ok(Condition::Not(Box::new(negated)));
        }
        if matches!(self.peek(), Some(Token::Name("not"))) {
            return Err(self
                .expected("a condition")
                .help("what stands behind `!` must not hold: `!(a == b)`"));
        }
        let left = self.value()?;
        let comparison = match self.peek() {
            Some(Token::Symbol(symbol)) => Comparison::ALL.into_iter().find(|one| one.symbol() == *symbol),
            Some(Token::Name("in")) => Some(Comparison::In),
            _ => None,
        };
        let Some(comparison) = comparison else {
            return self.alone(left);
        };
        self.at += 1;
        let right = self.value()?;
        self.judge(&left, comparison, &right);
        Ok(Condition::Compare(left.operand, comparison, right.operand))
    }

    /// A value that stands for a condition: a boolean, or a text of which the beginning is asked for.
    fn alone(&mut self, value: Valued) -> Result<Condition, Wrong> {
        if self.is(".") {
            self.at += 1;
            return self.starts_with(value);
        }
        if value.is_literal() {
            let wrong = Wrong::new(
                Code::ConditionType,
                value.range,
                "this is the same for every request",
            );
            self.wrong
                .push(wrong.help("compare it with a claim, or leave it out"));
        } else if !value.kind.is(Kind::Flag) {
            let message = format!("{} is no condition, it is {}", value.operand, value.kind.name());
            let help = match value.kind {
                Kind::Texts => format!("ask for an item of it: `'...' in {}`", value.operand),
                _ => format!("compare it: `{} == ...`", value.operand),
            };
            self.wrong
                .push(Wrong::new(Code::ConditionType, value.range, message).help(help));
        }
        Ok(Condition::Is(value.operand))
    }

    /// `startsWith('...')`, behind its dot.
    fn starts_with(&mut self, value: Valued) -> Result<Condition, Wrong> {
        if !matches!(self.peek(), Some(Token::Name("startsWith"))) {
            let wrong = self.expected("`startsWith`");
            return Err(
                wrong.help("it is the only function that there is: docs/decisions/0010-conditions.md")
            );
        }
        self.at += 1;
        if !self.take("(") {
            return Err(self.expected("`(`"));
        }
        let range = self.here();
        let start = match self.peek() {
            Some(Token::Text(text)) => text.clone(),
            _ => return Err(self.expected("a text in quotes")),
        };
        self.count()?;
        self.at += 1;
        if !self.take(")") {
            return Err(self.expected("`)`"));
        }
        if start.is_empty() {
            let wrong = Wrong::new(Code::ConditionType, range, "every text begins with nothing");
            self.wrong.push(wrong.help("write what it must begin with"));
        }
        if value.is_literal() || !value.kind.is(Kind::Text) {
            let message = format!(
                "only a claim or a fact that is a text begins with something, not {}",
                value.kind.name()
            );
            self.wrong
                .push(Wrong::new(Code::ConditionType, value.range, message));
        }
        Ok(Condition::StartsWith(value.operand, start))
    }

    fn value(&mut self) -> Result<Valued, Wrong> {
        self.count()?;
        let (start, from) = (self.here(), self.at);
        let (operand, kind) = match self.peek().cloned() {
            Some(Token::Text(text)) => {
                self.at += 1;
                (Operand::Text(text), Kind::Text)
            }
            Some(Token::Number(_) | Token::Symbol("-")) => (Operand::Number(self.number()?), Kind::Number),
            Some(Token::Symbol("[")) => self.list()?,
            Some(Token::Name(word @ ("true" | "false"))) => {
                self.at += 1;
                (Operand::Flag(word == "true"), Kind::Flag)
            }
            Some(Token::Name("claims")) => self.claim()?,
            Some(Token::Name("request")) => self.fact()?,
            Some(Token::Name(name)) => {
                let message = format!("there is nothing called {}", quote(name));
                let wrong = Wrong::new(Code::UnknownReference, start, message);
                let help = nearest(name, ["claims", "request"].into_iter()).map_or_else(
                    || {
                        "what there is begins with `claims.` or `request.`; a text stands in quotes"
                            .to_owned()
                    },
                    |near| format!("did you mean `{near}`?"),
                );
                return Err(wrong.help(help));
            }
            _ => return Err(self.expected("a claim, a fact or a value")),
        };
        let end = self
            .tokens
            .get(self.at.saturating_sub(1).max(from))
            .map_or(start.end, |(_, range)| range.end);
        Ok(Valued {
            operand,
            kind,
            range: start.start..end,
        })
    }

    fn number(&mut self) -> Result<f64, Wrong> {
        let negative = self.take("-");
        let Some(Token::Number(number)) = self.peek().cloned() else {
            return Err(self.expected("a number"));
        };
        self.at += 1;
        // There is one zero.
        Ok(if negative && number != 0.0 {
            -number
        } else {
            number
        })
    }

    /// A list of texts, or of numbers.
    fn list(&mut self) -> Result<(Operand, Kind), Wrong> {
        let start = self.here();
        self.at += 1;
        let (mut texts, mut numbers) = (Vec::new(), Vec::new());
        loop {
            self.count()?;
            match self.peek().cloned() {
                Some(Token::Text(text)) if numbers.is_empty() => {
                    self.at += 1;
                    texts.push(text);
                }
                Some(Token::Number(_) | Token::Symbol("-")) if texts.is_empty() => {
                    numbers.push(self.number()?);
                }
                _ => return Err(self.expected("texts, or numbers, and never both in one list")),
            }
            if self.take("]") {
                break;
            }
            if !self.take(",") {
                return Err(self.expected("`,` or `]`"));
            }
        }
        let twice = texts
            .iter()
            .enumerate()
            .any(|(at, text)| texts.iter().skip(at + 1).any(|other| other == text));
        if twice {
            self.wrong.push(
                Wrong::new(Code::Repeated, start, "the same text is in this list twice").help("remove one"),
            );
        }
        Ok(if numbers.is_empty() {
            (Operand::Texts(texts), Kind::Texts)
        } else {
            (Operand::Numbers(numbers), Kind::Numbers)
        })
    }

    /// The names behind `claims` or `request.params`, with where they end.
    fn steps(&mut self) -> Result<Vec<String>, Wrong> {
        let mut steps = Vec::new();
        loop {
            if self.is(".") {
                let name = self.tokens.get(self.at + 1).map(|(token, _)| token);
                let called = matches!(self.tokens.get(self.at + 2), Some((Token::Symbol("("), _)));
                match name {
                    Some(Token::Name("startsWith")) if called => return Ok(steps),
                    Some(Token::Name(name)) if called => {
                        self.at += 1;
                        let message = format!("there is no function {}", quote(name));
                        return Err(Wrong::syntax(self.here(), message).help(
                            "what there is: `startsWith`, `in` and comparisons; a claim that is missing makes no condition true",
                        ));
                    }
                    Some(Token::Name(name)) if RESERVED.contains(name) => {
                        let name = (*name).to_owned();
                        self.at += 1;
                        let wrong = self.expected("a name that is no word of the language");
                        return Err(wrong.help(format!("write `['{name}']` instead of `.{name}`")));
                    }
                    Some(Token::Name(name)) => {
                        steps.push((*name).to_owned());
                        self.at += 2;
                    }
                    _ => {
                        self.at += 1;
                        let wrong = self.expected("a name");
                        return Err(
                            wrong.help("a name with other characters is written `claims['https://...']`")
                        );
                    }
                }
            } else if self.take("[") {
                let Some(Token::Text(name)) = self.peek().cloned() else {
                    return Err(self.expected("a name in quotes"));
                };
                self.at += 1;
                if !self.take("]") {
                    return Err(self.expected("`]`"));
                }
                steps.push(name);
            } else {
                return Ok(steps);
            }
        }
    }

    fn claim(&mut self) -> Result<(Operand, Kind), Wrong> {
        let start = self.here();
        self.at += 1;
        let path = self.steps()?;
        let range = start.start
            ..self
                .tokens
                .get(self.at - 1)
                .map_or(start.end, |(_, range)| range.end);
        if path.is_empty() {
            return Err(Wrong::syntax(range, "which claim?").help("write for example `claims.department`"));
        }
        let Some(declared) = self.declared else {
            return Ok((Operand::Claim(path), Kind::Any));
        };
        let kind = match declared.kind(&path) {
            Some(kind) => kind.into(),
            None => {
                let name = claim_name(&path);
                let message = format!("no issuer declares {}", quote(&name));
                let known: Vec<_> = declared.names().collect();
                let help = nearest(&name, known.iter().map(String::as_str)).map_or_else(
                    || "declare it where its issuer is named: `claims: { department: string }`".to_owned(),
                    |near| format!("did you mean {}?", quote(near)),
                );
                self.wrong
                    .push(Wrong::new(Code::UnknownReference, range, message).help(help));
                Kind::Any
            }
        };
        Ok((Operand::Claim(path), kind))
    }

    fn fact(&mut self) -> Result<(Operand, Kind), Wrong> {
        const FACTS: [&str; 4] = ["method", "country", "hour", "params"];
        self.at += 1;
        if !self.take(".") {
            return Err(self.expected("`.`").help("write for example `request.method`"));
        }
        let range = self.here();
        let Some(Token::Name(name)) = self.peek().cloned() else {
            return Err(self
                .expected("a fact")
                .help(remedy("", "fact", FACTS.into_iter())));
        };
        self.at += 1;
        Ok(match name {
            "method" => {
                self.method.get_or_insert(range);
                (Operand::Method, Kind::Text)
            }
            "country" => (Operand::Country, Kind::Text),
            "hour" => (Operand::Hour, Kind::Number),
            "params" => {
                let mut steps = self.steps()?.into_iter();
                let range = range.start
                    ..self
                        .tokens
                        .get(self.at - 1)
                        .map_or(range.end, |(_, range)| range.end);
                let (Some(name), None) = (steps.next(), steps.next()) else {
                    let wrong = Wrong::syntax(range, "one parameter of the path is meant");
                    return Err(wrong.help("write for example `request.params.petId`"));
                };
                self.parameters.push((name.clone(), range));
                (Operand::Parameter(name), Kind::Text)
            }
            _ => {
                let message = format!("nothing is known of a request that is called {}", quote(name));
                let wrong = Wrong::new(Code::UnknownReference, range, message);
                return Err(wrong.help(remedy(name, "fact", FACTS.into_iter())));
            }
        })
    }

    /// Whether two values can be compared so.
    fn judge(&mut self, left: &Valued, comparison: Comparison, right: &Valued) {
        let range = left.range.start..right.range.end;
        let mut wrong = |range: Range<usize>, message: String, help: String| {
            self.wrong
                .push(Wrong::new(Code::ConditionType, range, message).help(help));
        };
        if left.is_literal() && right.is_literal() {
            let help = "compare a claim or a fact with something".to_owned();
            return wrong(range, "this is the same for every request".to_owned(), help);
        }
        let symbol = comparison.symbol();
        match comparison {
            Comparison::In => {
                let item = match right.kind {
                    Kind::Texts => Kind::Text,
                    Kind::Numbers => Kind::Number,
                    Kind::Any => Kind::Any,
                    Kind::Text | Kind::Number | Kind::Flag => {
                        let message = format!("{} is no list, it is {}", right.operand, right.kind.name());
                        let help =
                            "a list is a claim that is a list of strings, or written `['a', 'b']`".to_owned();
                        return wrong(right.range.clone(), message, help);
                    }
                };
                let fits = matches!(left.kind, Kind::Text | Kind::Number | Kind::Any);
                if !fits || !left.kind.is(item) {
                    let message = format!(
                        "{} is {}, and never in {}",
                        left.operand,
                        left.kind.name(),
                        right.kind.name()
                    );
                    return wrong(left.range.clone(), message, "both must be of one kind".to_owned());
                }
            }
            Comparison::Equal | Comparison::NotEqual => {
                for side in [left, right] {
                    if matches!(side.kind, Kind::Texts | Kind::Numbers) {
                        let message = format!(
                            "{} is {}, and is compared with nothing",
                            side.operand,
                            side.kind.name()
                        );
                        return wrong(
                            side.range.clone(),
                            message,
                            "ask for an item of it: `... in ...`".to_owned(),
                        );
                    }
                }
                if !left.kind.is(right.kind) {
                    let message = format!(
                        "{} is {}, and {} is {}",
                        left.operand,
                        left.kind.name(),
                        right.operand,
                        right.kind.name()
                    );
                    return wrong(
                        range,
                        message,
                        format!("only values of one kind stand beside `{symbol}`"),
                    );
                }
            }
            _ => {
                for side in [left, right] {
                    if !side.kind.is(Kind::Number) {
                        let message = format!("{} is {}", side.operand, side.kind.name());
                        return wrong(
                            side.range.clone(),
                            message,
                            format!("only numbers stand beside `{symbol}`"),
                        );
                    }
                }
            }
        }
        self.possible(left, right);
        self.possible(right, left);
    }

    /// Reports what a fact is compared with and can never be.
    fn possible(&mut self, fact: &Valued, with: &Valued) {
        let texts: &[String] = match &with.operand {
            Operand::Text(text) => std::slice::from_ref(text),
            Operand::Texts(texts) => texts,
            _ => &[],
        };
        let numbers: &[f64] = match &with.operand {
            Operand::Number(number) => std::slice::from_ref(number),
            Operand::Numbers(numbers) => numbers,
            _ => &[],
        };
        let (never, help) = match fact.operand {
            Operand::Method => {
                let methods = || Method::ALL.iter().map(|method| method.name());
                let Some(text) = texts.iter().find(|text| Method::from_name(text).is_none()) else {
                    return;
                };
                (quote(text), remedy(text, "method", methods()))
            }
            Operand::Country => {
                let code = |text: &&String| {
                    text.len() == 2 && text.bytes().all(|b| b.is_ascii_uppercase()) && *text != "XX"
                        || *text == "T1"
                };
                let Some(text) = texts.iter().find(|text| !code(text)) else {
                    return;
                };
                let help =
                    "a country has two capital letters (ISO 3166-1); `T1` is the Tor network".to_owned();
                (quote(text), help)
            }
            Operand::Hour => {
                let hour = |number: &&f64| number.fract() == 0.0 && (0.0..24.0).contains(*number);
                let Some(number) = numbers.iter().find(|number| !hour(number)) else {
                    return;
                };
                (format!("`{number}`"), "hours are 0 to 23, in UTC".to_owned())
            }
            _ => return,
        };
        let message = format!("{} is never {never}", fact.operand);
        self.wrong
            .push(Wrong::new(Code::ConditionType, with.range.clone(), message).help(help));
    }
}

fn one_or(mut parts: Vec<Condition>, several: fn(Vec<Condition>) -> Condition) -> Condition {
    match parts.pop() {
        Some(only) if parts.is_empty() => only,
        Some(last) => {
            parts.push(last);
            several(parts)
        }
        // There is always one: each turn of both loops adds one.
        None => several(parts),
    }
}

//! `mocks/<name>.yaml`: scripted answers of models.

use super::compile::Checker;
use super::containers::List;
use super::declare::record;
use super::diagnostic::Code;
use super::json;
use super::names::nearest;
use super::reader::{Field, Read, Reader, Spanned};
use super::scalars::{Body, Duration, Flag, Name, Number, Text, Token};
use super::yaml::{Node, Value};
use crate::{Millis, MockAnswer, MockEnd, MockRule, MockToolCall};

const MAX_DELAY: Millis = 5 * 60 * 1000;

record! {
    /// Scripted answers of a model. The first rule that applies answers.
    MockFile = "mock" {
        /// Its name, as the file is called.
        mock: required Name,
        /// The rules, in order. The last one has no `when`, so that there is always an answer.
        rules: required List<RuleFields>,
    }
}

record! {
    /// One scripted answer, and when it is given.
    RuleFields = "rule" {
        /// When it applies; left out: always.
        when: optional WhenFields,
        /// The answer.
        answer: required AnswerFields,
    }
}

record! {
    /// When a rule applies: all that is written must hold.
    WhenFields = "when" {
        /// The last message of the user contains this text.
        contains: optional Text,
        /// The request offers tools (`true`), or does not (`false`).
        tools: optional Flag,
        /// The last message is the result of a tool (`true`), or is not (`false`).
        tool_result: optional Flag,
    }
    later { header, model, turn }
}

record! {
    /// A scripted answer.
    AnswerFields = "answer" {
        /// What the assistant says; `{{last_user_message}}` and `{{model}}` are filled in.
        text: optional Body,
        /// Tools that it calls.
        tool_calls: default "[]" List<ToolCallFields>,
        /// The tokens that it reports; left out: counted from the words.
        usage: optional UsageFields,
        /// How long until the first piece; at most 5m.
        first_delay: default "0s" Duration,
        /// How long between two pieces of a stream; at most 5m.
        delay: default "0s" Duration,
        /// The status; other than 200 (400 to 599) plays a failure.
        status: default "200" Number<200, 599>,
        /// For a failure: when to come back.
        retry_after: optional Duration,
        /// How it ends: `clean`, or after so many pieces with a lost connection (`{ cut: n }`), with
        /// silence (`{ stall: n }`), or as if whole (`{ no_terminator: n }`).
        end: default "clean" MockEnd,
    }
    later { reasoning, repeat }
}

record! {
    /// A scripted call of a tool.
    ToolCallFields = "tool call" {
        /// The tool's name.
        name: required Token,
        /// Its arguments.
        arguments: default "{}" JsonObject,
    }
}

record! {
    /// Tokens that an answer reports.
    UsageFields = "usage" {
        /// Those of the request.
        input: required Number<0, 1_000_000_000>,
        /// Those of the answer.
        output: required Number<0, 1_000_000_000>,
    }
}

/// A JSON object, as canonical text.
#[derive(Clone, Debug)]
pub(crate) struct JsonObject(String);

impl Read for JsonObject {
    fn expects() -> String {
        "a map of arguments".to_owned()
    }

    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        let object = Some(node)
            .filter(|node| matches!(node.value, Value::Map(_)))
            .and_then(json::value);
        if object.is_none() {
            reader.report.error(
                Code::WrongType,
                node.span,
                format!("expected a map that JSON can hold, found {}", node.kind()),
            );
        }
        object.map(|object| Self(json::text(&object)))
    }
}

impl Read for MockEnd {
    fn expects() -> String {
        "`clean`, `{ cut: n }`, `{ stall: n }` or `{ no_terminator: n }`".to_owned()
    }

    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        if node.text() == Some("clean") {
            return Some(Self::Clean);
        }
        let end = match node.entries() {
            [(key, count)] => match key.text() {
                Some("cut") => Some((Self::Cut as fn(u32) -> Self, count)),
                Some("stall") => Some((Self::Stall as fn(u32) -> Self, count)),
                Some("no_terminator") => Some((Self::NoTerminator as fn(u32) -> Self, count)),
                _ => None,
            },
            _ => None,
        };
        let Some((end, count)) = end else {
            let word = match node.entries() {
                [(key, _)] => key.text(),
                _ => node.text(),
            };
            let words = ["clean", "cut", "stall", "no_terminator"];
            let near = word.and_then(|word| nearest(word, words.into_iter()));
            let help = near.map_or_else(
                || "a connection that is lost after three pieces is `end: { cut: 3 }`".to_owned(),
                |near| format!("did you mean `{near}`?"),
            );
            reader
                .report
                .error(
                    Code::UnknownWord,
                    node.span,
                    format!("expected {}", Self::expects()),
                )
                .help(help);
            return None;
        };
        Number::<0, 1_000_000>::read(count, reader).map(|count| end(count.0))
    }
}

/// Checks a mock.
pub(crate) fn compile(name: &str, mock: &Spanned<MockFile>, checker: &mut Checker) -> Option<crate::Mock> {
    let at = mock.mock.as_ref().map_or(mock.span, |name| name.span);
    checker.check_mock(&format!("`mocks/{name}`"), at);
    let list = mock.rules.as_ref()?;
    let mut rules = Vec::new();
    for (position, rule) in list.0.iter().enumerate() {
        let is_last = position + 1 == list.0.len();
        match &rule.when {
            None if !is_last && !checker.reader.reported_within(rule.span) => {
                checker
                    .report()
                    .error(
                        Code::Unreachable,
                        rule.span,
                        "no rule after this one can apply: it has no `when`",
                    )
                    .help("put it last");
            }
            Some(when) if is_last => {
                checker
                    .report()
                    .error(Code::NoLastRule, when.span, "the last rule must always apply")
                    .help("add a rule without `when`, so that there is always an answer");
            }
            _ => {}
        }
        let answer = rule
            .answer
            .as_ref()
            .and_then(|answer| compile_answer(answer, checker));
        let when = rule.when.as_ref();
        let flag = |field: fn(&WhenFields) -> &Field<Flag>| {
            when.and_then(|when| field(when).as_ref()).map(|flag| flag.0)
        };
        rules.push(MockRule {
            contains: when
                .and_then(|when| when.contains.as_ref())
                .map(|text| text.0.clone()),
            tools: flag(|when| &when.tools),
            tool_result: flag(|when| &when.tool_result),
            answer: answer.unwrap_or_default(),
        });
    }
    if checker.lacks_items(list) {
        checker
            .report()
            .error(Code::EmptyList, list.span, "a mock must have a rule");
    }
    Some(crate::Mock {
        name: name.to_owned(),
        rules,
    })
}

fn compile_answer(answer: &Spanned<AnswerFields>, checker: &mut Checker) -> Option<MockAnswer> {
    let status = answer.status.as_ref()?;
    let code = u16::try_from(status.0).ok()?;
    if (201..400).contains(&code) {
        checker.report().error(
            Code::OutOfRange,
            status.span,
            "a mock answers 200, or fails with 400 to 599",
        );
    }
    let tool_calls: Vec<_> = answer
        .tool_calls
        .iter()
        .flat_map(|list| &list.0)
        .filter_map(|call| {
            Some(MockToolCall {
                name: call.name.as_ref()?.0.clone(),
                arguments: call.arguments.as_ref()?.0.clone(),
            })
        })
        .collect();
    if code == 200
        && answer.text.is_none()
        && tool_calls.is_empty()
        && !checker.reader.reported_within(answer.span)
    {
        checker
            .report()
            .error(
                Code::EmptyAnswer,
                answer.span,
                "this answers neither `text` nor `tool_calls`",
            )
            .help("write for example `text: Hello`");
    }
    let retry_after = answer.retry_after.as_ref().map(|wait| {
        if code == 200 {
            checker
                .report()
                .error(Code::Conflict, wait.span, "only a failure says when to come back")
                .help("write a `status` of 429 or 503 beside it");
        }
        checker.seconds(wait, 24 * 60 * 60)
    });
    for delay in [&answer.first_delay, &answer.delay].into_iter().flatten() {
        if delay.0 > MAX_DELAY {
            checker
                .report()
                .error(Code::OutOfRange, delay.span, "this is longer than 5m");
        }
    }
    let usage = answer
        .usage
        .as_ref()
        .and_then(|usage| Some((usage.input.as_ref()?.0, usage.output.as_ref()?.0)));
    Some(MockAnswer {
        status: code,
        retry_after,
        text: answer
            .text
            .as_ref()
            .map(|text| text.0.clone())
            .unwrap_or_default(),
        tool_calls,
        usage,
        first_delay: answer.first_delay.as_ref()?.0,
        delay: answer.delay.as_ref()?.0,
        end: answer.end.as_ref()?.value,
    })
}

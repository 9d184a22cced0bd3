//! Limits of subjects that are too hot for one object: over how many they are spread.

use super::compile::Checker;
use super::diagnostic::Code;
use super::limits::LimitFields;
use super::reader::{Fault, Scalar, Spanned};
use super::secrets::quote;
use super::units;
use crate::{LimitKind, Precision, Split};

/// Over how many objects: `8`, or `4 of 8` where more are taken into use in two steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shards(pub(crate) Split);

impl Scalar for Shards {
    const EXPECTS: &'static str = "a number of objects such as `8`, or `4 of 8`";

    fn parse(text: &str) -> Result<Self, Fault> {
        let (objects, parts) = text.split_once(" of ").unwrap_or((text, text));
        let number = |text: &str| {
            let number = units::integer(text.trim()).map_err(|(message, help)| Fault {
                code: Code::BadUnit,
                message,
                help: help.or_else(|| Some("write for example `8`, or `4 of 8`".to_owned())),
            })?;
            Ok(u8::try_from(number).unwrap_or(u8::MAX))
        };
        let (objects, parts) = (number(objects)?, number(parts)?);
        if !(2..=Split::MOST).contains(&parts) || !(1..=parts).contains(&objects) {
            let message = format!(
                "{} is not a number of objects from 2 to {}",
                quote(text),
                Split::MOST
            );
            return Err(Fault::new(Code::OutOfRange, message)
                .help("write for example `8`, `4 of 8` while more are taken into use, or leave it out"));
        }
        Ok(Self(Split { objects, parts }))
    }
}

/// Over which objects a limit is spread; reports one that cannot be.
pub(crate) fn split(
    item: &Spanned<LimitFields>,
    kind: LimitKind,
    precision: Precision,
    checker: &mut Checker,
) -> Option<Split> {
    let field = item.shards.as_ref()?;
    let mut wrong = |code, message: String, help: String| {
        checker.report().error(code, field.span, message).help(help);
        None
    };
    let whole = match kind {
        LimitKind::Rate(rate) => rate.burst.into(),
        LimitKind::Quota { count, .. } => count,
        LimitKind::Concurrency { count } => count.into(),
        LimitKind::Budget { .. } => {
            let message = "one request may need more of this limit than a part of it";
            let help = "remove `shards`: a budget is kept by one object";
            return wrong(Code::Conflict, message.to_owned(), help.to_owned());
        }
    };
    if precision == Precision::Local {
        let message = "what isolates count alone has no objects";
        return wrong(
            Code::Conflict,
            message.to_owned(),
            "remove `shards`, or write `precision: exact`".to_owned(),
        );
    }
    let Split { objects, parts } = field.value.0;
    let least = whole / u64::from(parts);
    if least < Split::LEAST {
        let most = whole / Split::LEAST;
        let help = match most {
            0 | 1 => "remove `shards`: one object is enough for it".to_owned(),
            most => format!("write `shards: {most}` or less"),
        };
        let message = format!(
            "one of {parts} parts of this limit lets {least} requests pass at once, fewer than {}",
            Split::LEAST
        );
        return wrong(Code::OutOfRange, message, help);
    }
    Some(Split { objects, parts })
}

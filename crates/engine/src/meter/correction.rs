//! Corrections: what operators are told of a subject's limits, and what they give back.
//!
//! A credit takes back what was used of a quota or a budget in the window that is open, never more than was
//! used: so a window never lets through more than its limit and the credits that were booked in it. It is
//! kept with its author and its reason until that window is over. Asked for again under the same id, it is
//! not given again.

use serde::{Deserialize, Serialize};
use turnpike_policy::{LimitKind, Timestamp};

use super::{Asked, MAX_ID, MAX_LIMITS, MeterError, Standing, exactly};

/// The longest reason, in bytes.
pub const MAX_REASON: usize = 300;
/// The first byte of an [`Order`].
const ORDER: u8 = 0x82;
/// The first byte of a [`Report`].
const REPORT: u8 = 0x83;

/// What an operator asks of a subject's object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order<'a> {
    /// The limits to report; at most [`MAX_LIMITS`], each id once.
    #[serde(borrow)]
    pub limits: Vec<Asked<'a>>,
    /// What to give back of the first of them.
    #[serde(borrow)]
    pub credit: Option<Credit<'a>>,
}

/// What is given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credit<'a> {
    /// Tells it from others: the same is given once.
    pub id: &'a str,
    /// How much, in the unit of its limit.
    pub amount: u64,
    /// The operator.
    pub by: &'a str,
    /// Why, in at most [`MAX_REASON`] bytes.
    pub reason: &'a str,
}

/// A credit that was booked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credited<'a> {
    /// [`Credit::id`].
    pub id: &'a str,
    /// The limit's id.
    pub limit: &'a str,
    /// How much was asked for.
    pub asked: u64,
    /// How much was booked: no more than was used.
    pub booked: u64,
    /// When.
    pub at: Timestamp,
    /// When its window is over, and it is forgotten.
    pub until: Timestamp,
    /// The operator.
    pub by: &'a str,
    /// Why.
    pub reason: &'a str,
}

/// What an object answers to an [`Order`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report<'a> {
    /// What became of the credit.
    pub given: Given,
    /// How each limit stands afterwards, in the order asked.
    pub standings: Vec<Standing>,
    /// The credits of the windows that are open, the oldest first.
    #[serde(borrow)]
    pub credits: Vec<Credited<'a>>,
}

/// What became of a credit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Given {
    /// None was asked for.
    Nothing,
    /// So much was booked.
    Booked(u64),
    /// So much had been booked when it was asked for first; now nothing was.
    Before(u64),
    /// Another credit has this id.
    Taken,
    /// The object keeps as many as it may.
    Full,
}

impl<'a> Order<'a> {
    /// As bytes, for the object.
    pub fn encode(&self) -> Result<Vec<u8>, MeterError> {
        postcard::to_extend(self, vec![ORDER]).map_err(|_| MeterError::Ask)
    }

    /// From bytes, within all bounds; `None`: they are something else.
    pub(super) fn decode(bytes: &'a [u8]) -> Option<Result<Self, MeterError>> {
        let (&ORDER, body) = bytes.split_first()? else {
            return None;
        };
        let order = exactly::<Self>(body).filter(Self::is_bounded);
        Some(order.ok_or(MeterError::Ask))
    }

    fn is_bounded(&self) -> bool {
        let limits = &self.limits;
        let distinct = |at: usize, id: &str| limits.iter().take(at).all(|other| other.id != id);
        let bounded = limits.len() <= MAX_LIMITS
            && limits
                .iter()
                .enumerate()
                .all(|(at, asked)| asked.id.len() <= MAX_ID && distinct(at, asked.id) && asked.is_lawful());
        bounded
            && self.credit.is_none_or(|credit| {
                let kind = limits.first().map(|asked| asked.kind);
                matches!(kind, Some(LimitKind::Quota { .. } | LimitKind::Budget { .. }))
                    && !credit.id.is_empty()
                    && credit.id.len() <= MAX_ID
                    && credit.by.len() <= MAX_ID
                    && credit.reason.len() <= MAX_REASON
            })
    }
}

impl<'a> Report<'a> {
    /// As bytes, for whoever asked.
    pub fn encode(&self) -> Result<Vec<u8>, MeterError> {
        postcard::to_extend(self, vec![REPORT]).map_err(|_| MeterError::Answer)
    }

    /// From the bytes that an object sent.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, MeterError> {
        match bytes.split_first() {
            Some((&REPORT, body)) => exactly(body).ok_or(MeterError::Answer),
            _ => Err(MeterError::Answer),
        }
    }
}

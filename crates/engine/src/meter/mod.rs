//! The arithmetic of limits: what a subject may still do, decided without a clock of its own.
//!
//! A subject's limits are asked for together and granted all or none ([`Ask`], [`Answer`]). Where
//! the answer is made depends on the precision of the plan: `exact` in the subject's own object
//! ([`object`]), `leased` in an isolate, out of portions that the object handed out ([`lease`]), `local` in
//! the memory of the isolate alone ([`local`]). Both judge by the same laws,
//! [`gcra`] for rates and [`quota`] for calendar windows, and answer in the same shape, which
//! [`headers`] writes out for the client.
//!
//! What a call of a model will use is not known before it is over. Its upper bound ([`amount`]) is
//! charged when it is admitted, and the object holds what it charged, so that a [`Settle`] can give back
//! the difference. Who never settles has paid in full.
//!
//! All times are Unix milliseconds, handed in.

use serde::{Deserialize, Serialize};
use turnpike_policy::{Limit, LimitKind, Millis, Timestamp, Window, Zone};

pub mod amount;
pub mod correction;
pub mod denials;
pub mod gcra;
pub mod headers;
pub mod lease;
pub mod local;
pub mod object;
pub mod proofs;
pub mod quota;
pub mod rolling;
pub mod shards;
pub mod zoned;

use gcra::Tat;
use quota::Used;
use rolling::Rolled;

/// The most limits that one request may have.
pub const MAX_LIMITS: usize = 32;
/// The longest id of a limit or a request, in bytes.
pub const MAX_ID: usize = 128;

/// How long what is only tried ([`Mode::Try`]) is kept, in milliseconds.
pub const TRIAL: Millis = 10_000;
/// The longest that an object holds what it charged, in milliseconds.
pub const MAX_HOLD: Millis = 2 * 60 * 60 * 1_000;

/// The version of [`Ask`] and [`Answer`] as bytes: their first byte. Two versions of the Worker
/// run side by side while one is rolled out, so either side may meet the other's bytes.
const WIRE: u8 = 3;
/// The first byte of a [`Settle`].
const SETTLE: u8 = 0x81;
/// The first byte of what takes an ask back.
const VOID: u8 = 0x86;

/// A limit that a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked<'a> {
    /// [`Limit::id`].
    pub id: &'a str,
    /// [`Limit::kind`].
    pub kind: LimitKind,
    /// Of a budget: how much is charged, in its unit. Of no meaning elsewhere.
    pub amount: u64,
    /// It holds nobody back: where it would, it is not charged, and the answer says so.
    pub shadow: bool,
}

impl<'a> Asked<'a> {
    /// A limit of which so much is asked at an instant; `id` tells its subject apart from others in the same
    /// object.
    pub fn new(id: &'a str, limit: &Limit, zones: &[Zone], amount: u64, now: Timestamp) -> Self {
        Self {
            id,
            kind: kind_at(limit, zones, now),
            amount,
            shadow: limit.shadow,
        }
    }

    /// Whether its numbers make a limit.
    fn is_lawful(&self) -> bool {
        match &self.kind {
            LimitKind::Rate(rate) => rate.count > 0 && rate.period > 0 && rate.burst > 0,
            LimitKind::Quota { .. } | LimitKind::Budget { .. } => true,
            LimitKind::Concurrency { count } => *count > 0,
        }
    }

    /// What the request costs under this limit.
    fn cost(&self, requests: u32) -> u64 {
        match self.kind {
            LimitKind::Rate(_) | LimitKind::Quota { .. } | LimitKind::Concurrency { .. } => requests.into(),
            LimitKind::Budget { .. } => self.amount,
        }
    }
}

/// What a limit counts, with clocks as they are set at an instant.
fn kind_at(limit: &Limit, zones: &[Zone], now: Timestamp) -> LimitKind {
    let Some(name) = &limit.zone else {
        return limit.kind;
    };
    let zone = zones.iter().find(|zone| zone.name == *name);
    let offset = zone.map_or(0, |zone| zoned::offset(zone, now));
    let window = |window| match window {
        Window::DayAt(_) => Window::DayAt(offset),
        Window::MonthAt(_) => Window::MonthAt(offset),
        other => other,
    };
    match limit.kind {
        LimitKind::Quota { count, window: of } => LimitKind::Quota {
            count,
            window: window(of),
        },
        LimitKind::Budget {
            count,
            window: of,
            unit,
        } => LimitKind::Budget {
            count,
            window: window(of),
            unit,
        },
        other => other,
    }
}

/// How an ask is meant.
///
/// A request whose limits lie in several objects is tried at all of them but the last, charged at the last,
/// and then charged at the others. What was tried is kept out of everybody else's way, so a charge that
/// follows within [`TRIAL`] passes; if none follows, nothing was ever charged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// It is charged.
    #[default]
    Charge,
    /// It is kept for a moment, and charged if the same request asks again with [`Mode::Confirm`].
    Try,
    /// It is charged in place of what was tried; without that, as any other.
    Confirm,
    /// It is judged as if it were charged, and is not.
    Look,
}

impl Mode {
    const ALL: [Self; 4] = [Self::Charge, Self::Try, Self::Confirm, Self::Look];

    const fn byte(self) -> u8 {
        match self {
            Self::Charge => 0,
            Self::Try => 1,
            Self::Confirm => 2,
            Self::Look => 3,
        }
    }
}

/// What is asked of a subject's limits: all of them, or nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ask<'a> {
    /// How it is meant; not among the bytes of the rest, so that it can be changed there.
    #[serde(skip)]
    pub mode: Mode,
    /// Names the request, so that asking again after a lost answer is not charged again. It must
    /// be made by the gateway: whoever can choose it passes for free. Empty: no such protection.
    pub request: &'a str,
    /// Which ask of the request it is: to reserve more is another one, to repeat one is not.
    pub part: u32,
    /// How many requests this counts for; 0: none, as when more is reserved for one that was admitted, or
    /// when somebody only looks.
    pub cost: u32,
    /// How long what is charged to budgets, and a place of a concurrency, is held for a [`Settle`], in
    /// milliseconds; at most [`MAX_HOLD`]. After it the charge stands, and the place is free.
    pub hold: Millis,
    /// How many requests more an isolate would like to take, to admit them by itself; none: it does not.
    pub lease: Option<LeaseAsk>,
    /// At most [`MAX_LIMITS`], each id once.
    #[serde(borrow)]
    pub limits: Vec<Asked<'a>>,
}

/// What an isolate would like to take in advance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseAsk {
    /// How many requests; 0: none now, but others may be out.
    pub wish: u32,
    /// How long it may spend them, in milliseconds from before it asked.
    pub life: Millis,
    /// How many it gives back of an earlier lease.
    pub back: u32,
    /// When that one was asked for, in Unix milliseconds.
    pub taken: Timestamp,
}

impl<'a> Ask<'a> {
    /// As bytes, for the object.
    pub fn encode(&self) -> Result<Vec<u8>, MeterError> {
        postcard::to_extend(self, vec![WIRE, self.mode.byte()]).map_err(|_| MeterError::Ask)
    }

    /// As bytes that take it back, whether it was charged or not: for who has no answer, and will not go on. What
    /// rates were charged stays, and is paid off; everything else comes back.
    pub fn encode_void(&self) -> Result<Vec<u8>, MeterError> {
        let mut bytes = vec![VOID];
        bytes.extend(self.encode()?);
        Ok(bytes)
    }

    /// From bytes, within all bounds.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, MeterError> {
        let Some((&WIRE, [mode, body @ ..])) = bytes.split_first() else {
            return Err(MeterError::Ask);
        };
        let mode = Mode::ALL.into_iter().find(|known| known.byte() == *mode);
        let ask: Self = exactly(body).ok_or(MeterError::Ask)?;
        ask.check()?;
        Ok(Self {
            mode: mode.ok_or(MeterError::Ask)?,
            ..ask
        })
    }

    /// Whether it keeps the bounds.
    fn check(&self) -> Result<(), MeterError> {
        let fits = self.request.len() <= MAX_ID
            && self.hold <= MAX_HOLD
            && self
                .lease
                .is_none_or(|lease| lease.life <= lease::LIFE && lease.wish <= lease::MOST)
            && self.limits.len() <= MAX_LIMITS
            && self.limits.iter().enumerate().all(|(index, asked)| {
                asked.is_lawful()
                    && asked.id.len() <= MAX_ID
                    && self.limits.iter().take(index).all(|other| other.id != asked.id)
            });
        if fits { Ok(()) } else { Err(MeterError::Ask) }
    }
}

/// What a request really used of the budgets that it was charged to. It also gives back its places under
/// limits of concurrency. To settle again, or what is no longer held, changes nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settle<'a> {
    /// [`Ask::request`].
    pub request: &'a str,
    /// For each budget its id, and how much was used: at most [`MAX_LIMITS`], each id once. Of one that is
    /// not named all that was charged was used.
    #[serde(borrow)]
    pub used: Vec<(&'a str, u64)>,
}

impl<'a> Settle<'a> {
    /// As bytes, for the object.
    pub fn encode(&self) -> Result<Vec<u8>, MeterError> {
        postcard::to_extend(self, vec![SETTLE]).map_err(|_| MeterError::Ask)
    }

    /// From bytes, within all bounds; `None`: they are something else.
    fn decode(bytes: &'a [u8]) -> Option<Result<Self, MeterError>> {
        let (&SETTLE, body) = bytes.split_first()? else {
            return None;
        };
        let settle = exactly::<Self>(body).filter(|settle| {
            settle.request.len() <= MAX_ID
                && settle.used.len() <= MAX_LIMITS
                && settle.used.iter().all(|(id, _)| id.len() <= MAX_ID)
        });
        Some(settle.ok_or(MeterError::Ask))
    }
}

/// What was decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// Whether the request may go on.
    pub outcome: Outcome,
    /// How many requests more were charged to all limits, for the isolate to admit by itself.
    pub leased: u32,
    /// Which limits in the shadow would have held it back: a bit for each, by its place.
    pub shadowed: u32,
    /// How each limit stands now, the request included if it was admitted; in the order asked.
    pub standings: Vec<Standing>,
}

impl Answer {
    /// As bytes, for the caller.
    pub fn encode(&self) -> Result<Vec<u8>, MeterError> {
        postcard::to_extend(self, vec![WIRE]).map_err(|_| MeterError::Answer)
    }

    /// From the bytes that an object sent.
    pub fn decode(bytes: &[u8]) -> Result<Self, MeterError> {
        unwire(bytes).ok_or(MeterError::Answer)
    }
}

/// Whether a request may go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// It was charged to every limit.
    Admitted,
    /// It was charged to none.
    Refused {
        /// The limit that holds it back longest: an index into [`Ask::limits`].
        limit: u32,
        /// After how many milliseconds it would pass all limits, if nothing else did; at least 1.
        retry_after_ms: Millis,
    },
    /// It was charged to none, as the object keeps as much as it may ([`object::MAX_HELD`], [`object::MAX_KEPT`]). That
    /// is no failure of the limiter: whoever holds so much could bring it about, and nothing is let pass for it.
    Crowded,
}

impl Outcome {
    /// As it is told to who lives by a clock that is behind the object's: it waits until that has come so far.
    const fn told(self, now: Timestamp, wall: Timestamp) -> Self {
        match self {
            Self::Refused {
                limit,
                retry_after_ms,
            } => Self::Refused {
                limit,
                retry_after_ms: retry_after_ms.saturating_add(now.saturating_sub(wall)),
            },
            Self::Admitted | Self::Crowded => self,
        }
    }
}

/// How one limit stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// What it allows per window: the count of a rate, a quota or a budget; or at one time.
    pub limit: u64,
    /// Its window in milliseconds: a rate's period, or this very window of the calendar; 0: it has none.
    pub window_ms: Millis,
    /// How much could pass at this instant (of a rate: up to its burst).
    pub remaining: u64,
    /// Milliseconds until more could pass than now; 0: nothing is used.
    pub reset_ms: Millis,
}

impl Standing {
    /// As [`Outcome::told`].
    const fn told(self, now: Timestamp, wall: Timestamp) -> Self {
        let behind = if self.reset_ms == 0 {
            0
        } else {
            now.saturating_sub(wall)
        };
        Self {
            reset_ms: self.reset_ms.saturating_add(behind),
            ..self
        }
    }
}

/// What could pass at an instant, and when more could.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Level {
    /// How many requests could pass now.
    pub remaining: u64,
    /// Milliseconds until at least one more could; 0: nothing is used.
    pub next_ms: Millis,
    /// Milliseconds until nothing is used.
    pub full_ms: Millis,
}

/// Why nothing could be decided. None of these is an allowance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MeterError {
    /// What was asked is damaged, of another version, or beyond a bound.
    Ask,
    /// The answer is damaged or of another version.
    Answer,
    /// The state is damaged or of another version.
    State,
    /// The subject has more live limits than one object keeps ([`object::MAX_KEPT`]).
    Crowded,
}

impl std::fmt::Display for MeterError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Ask => "the limiter was asked in a form that it does not know",
            Self::Answer => "the limiter answered in an unknown form",
            Self::State => "the limiter's state is damaged or of an unknown version",
            Self::Crowded => "the limiter keeps too many limits for one subject",
        })
    }
}

impl std::error::Error for MeterError {}

/// A clock that does not go back: the latest time that was seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Clock(Timestamp);

impl Clock {
    /// The time to decide by when the clock on the wall says `now`.
    pub fn at(&mut self, now: Timestamp) -> Timestamp {
        self.0 = self.0.max(now);
        self.0
    }
}

/// What is known of a subject under one limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Held {
    Rate(Tat),
    /// Of a quota or a budget.
    Quota(Used),
    /// Of one whose window rolls.
    Rolling(Rolled),
    /// Of a concurrency: how many are under way.
    Places(u64),
}

/// When to try again for a place that nobody knows when it will be free, in milliseconds.
const PLACE: Millis = 1_000;

impl Held {
    /// Of a subject that owes nothing.
    const fn idle(kind: &LimitKind) -> Self {
        match kind {
            LimitKind::Rate(_) => Self::Rate(Tat::IDLE),
            LimitKind::Quota {
                window: Window::Rolling(_),
                ..
            }
            | LimitKind::Budget {
                window: Window::Rolling(_),
                ..
            } => Self::Rolling(Rolled::IDLE),
            LimitKind::Quota { .. } | LimitKind::Budget { .. } => Self::Quota(Used::NONE),
            LimitKind::Concurrency { .. } => Self::Places(0),
        }
    }

    /// Charges so much, or tells how many milliseconds to wait (at least 1).
    fn take(self, kind: &LimitKind, now: Timestamp, cost: u64) -> Result<Self, Millis> {
        match (kind, self) {
            (LimitKind::Rate(rate), Self::Rate(tat)) => tat
                .take(rate, now, u32::try_from(cost).unwrap_or(u32::MAX))
                .map(Self::Rate),
            (
                LimitKind::Quota { count, window } | LimitKind::Budget { count, window, .. },
                Self::Quota(used),
            ) => used.take(*window, *count, now, cost).map(Self::Quota),
            (
                LimitKind::Quota {
                    count,
                    window: Window::Rolling(length),
                }
                | LimitKind::Budget {
                    count,
                    window: Window::Rolling(length),
                    ..
                },
                Self::Rolling(rolled),
            ) => rolled.take(*length, *count, now, cost).map(Self::Rolling),
            (LimitKind::Concurrency { count }, Self::Places(taken)) => taken
                .checked_add(cost)
                .filter(|taken| cost == 0 || *taken <= u64::from(*count))
                .map(Self::Places)
                .ok_or(PLACE),
            // Never paired so; if it were, nothing passes.
            _ => Err(1),
        }
        .map_err(|wait| wait.max(1))
    }

    /// How it stands for the client.
    fn standing(self, kind: &LimitKind, now: Timestamp) -> Standing {
        let (limit, window_ms, level) = match (kind, self) {
            (LimitKind::Rate(rate), Self::Rate(tat)) => {
                (u64::from(rate.count), rate.period, tat.level(rate, now))
            }
            (
                LimitKind::Quota { count, window } | LimitKind::Budget { count, window, .. },
                Self::Quota(used),
            ) => {
                let (_, span) = used.at(*window, now);
                (*count, span.length(), used.level(*window, *count, now))
            }
            (
                LimitKind::Quota {
                    count,
                    window: Window::Rolling(length),
                }
                | LimitKind::Budget {
                    count,
                    window: Window::Rolling(length),
                    ..
                },
                Self::Rolling(rolled),
            ) => (*count, *length, rolled.level(*length, *count, now)),
            (LimitKind::Concurrency { count }, Self::Places(taken)) => {
                let level = Level {
                    remaining: u64::from(*count).saturating_sub(taken),
                    ..Level::default()
                };
                (u64::from(*count), 0, level)
            }
            _ => (0, 0, Level::default()),
        };
        Standing {
            limit,
            window_ms,
            remaining: level.remaining,
            reset_ms: level.next_ms,
        }
    }
}

/// What a request comes to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Judged {
    /// What each limit would be after it.
    after: Vec<Held>,
    /// As [`Answer::shadowed`]; such limits are as they were.
    shadowed: u32,
}

/// Judges all limits at one instant: what each would be after the request, or who refuses.
///
/// Each of them passes at its own waiting time and stays open after it, so the longest wait is when
/// all of them pass.
fn judge<'a>(
    asked: impl Iterator<Item = (&'a Asked<'a>, Held)>,
    now: Timestamp,
    requests: u32,
) -> Result<Judged, Outcome> {
    let mut judged = Judged::default();
    let mut worst: Option<(u32, Millis)> = None;
    for (index, (asked, held)) in (0_u32..).zip(asked) {
        match held.take(&asked.kind, now, asked.cost(requests)) {
            Ok(held) => judged.after.push(held),
            Err(_) if asked.shadow => {
                judged.after.push(held);
                judged.shadowed |= 1_u32.checked_shl(index).unwrap_or(0);
            }
            Err(wait) if worst.is_none_or(|(_, longest)| wait > longest) => {
                worst = Some((index, wait));
            }
            Err(_) => {}
        }
    }
    match worst {
        None => Ok(judged),
        Some((limit, retry_after_ms)) => Err(Outcome::Refused {
            limit,
            retry_after_ms,
        }),
    }
}

/// Whether the limit at a place is among those of [`Answer::shadowed`].
pub(crate) fn is_shadowed(shadowed: u32, place: usize) -> bool {
    let bit = u32::try_from(place)
        .ok()
        .and_then(|place| 1_u32.checked_shl(place));
    bit.is_some_and(|bit| shadowed & bit != 0)
}

/// Takes the version off and decodes the whole of the rest.
fn unwire<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Option<T> {
    let Some((&WIRE, body)) = bytes.split_first() else {
        return None;
    };
    exactly(body)
}

/// Decodes a value that fills the bytes to their end.
fn exactly<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Option<T> {
    match postcard::take_from_bytes(bytes) {
        Ok((value, [])) => Some(value),
        _ => None,
    }
}

/// One number for a window, where it must be told apart from others.
const fn window_number(window: Window) -> u8 {
    match window {
        Window::Minute => 0,
        Window::Hour => 1,
        Window::Day => 2,
        Window::Month => 3,
        Window::DayAt(_) => 4,
        Window::MonthAt(_) => 5,
        Window::Rolling(_) => 6,
    }
}

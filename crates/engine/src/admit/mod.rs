//! Phase 7, admit: the limits of a request, reserved all together or not at all.
//!
//! The limits of the plan come first, those of the API or model on top: each of them must let the request
//! pass. Limits of one subject lie in one object and are decided in one call; nearly always that is the
//! consumer's. Of a call that is open to everybody the subject is the client's address, and the limits are
//! those of the API. The result is a [`Reservation`], without which nothing is answered.
//!
//! Where limits lie in several objects, these are asked one after the other, in one order for all requests:
//! tried at each but the last, charged at the last, then charged at the others ([`Mode`]). A request that is
//! refused anywhere was charged nowhere; what was tried when an isolate was lost is given back by itself.

pub(crate) mod kept;
pub(crate) mod more;
mod spread;
mod strictest;
pub(crate) mod subject;
mod uses;
mod verdict;

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use turnpike_policy::{Compiled, Limit, LimitKind, Plan, Precision, Unit, Zone};

use crate::account::{self, Account};
use crate::answer::Tried;
use crate::authorize::{Permit, Permitted, Seen};
use crate::error::{Code, Refusal};
use crate::look;
use crate::meter::lease::{Leases, Spent, Taken};
use crate::meter::local::Local;
use crate::meter::{Answer, Ask, Asked as AskedLimit, LeaseAsk, Mode, Outcome, Standing, is_shadowed, zoned};
pub(crate) use more::Admitted;
pub(crate) use spread::Spread;
pub(crate) use subject::Origin;
pub(crate) use subject::stands_for;
use subject::{Call, Called, Group, What};
pub(crate) use uses::{Asks, Uses};

/// A request that its limits let pass. Only this module makes it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Reservation {
    permit: Permit,
    headers: Headers,
    unlimited: bool,
    target: Option<Tried>,
    uses: Uses,
    accounts: Vec<Account>,
    shadowed: Vec<u32>,
    standings: Vec<(u32, Standing)>,
}

/// What an answer says of limits: names and values.
pub(crate) type Headers = Vec<(Cow<'static, str>, String)>;

impl Reservation {
    /// The right that was admitted.
    pub(crate) fn permit(&self) -> &Permit {
        &self.permit
    }

    /// Hands over what the answer says of the limits, and what objects keep for the call until it is settled.
    pub(crate) fn hand_over(&mut self) -> (Headers, Vec<Account>) {
        (
            std::mem::take(&mut self.headers),
            std::mem::take(&mut self.accounts),
        )
    }

    /// Whether the limiter could not be asked, and the plan lets pass then.
    pub(crate) const fn unlimited(&self) -> bool {
        self.unlimited
    }

    /// Of a model's call: the target that is tried first.
    pub(crate) const fn target(&self) -> Option<Tried> {
        self.target
    }

    /// What the call may use.
    pub(crate) const fn uses(&self) -> &Uses {
        &self.uses
    }

    /// The limits in the shadow that would have held it back (places among those of the call).
    pub(crate) fn shadowed(&self) -> &[u32] {
        &self.shadowed
    }

    /// How its limits stand, by their places; where that is what was asked.
    pub(crate) fn standings(&self) -> &[(u32, Standing)] {
        &self.standings
    }
}

/// How far a request has got with its limits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Asked {
    /// What it came to for this call.
    uses: Uses,
    /// The groups of limits that objects are asked for, by their places.
    todo: Vec<Todo>,
    /// Those that were paid out of leases, and of which of their objects these were.
    leased: Vec<(u32, u32)>,
    /// Which of them is asked now.
    turn: Turn,
    standings: Vec<(u32, Standing)>,
    shadowed: Vec<u32>,
    unlimited: bool,
    /// An object has refused; the others are only looked at.
    refused: Option<strictest::Refused>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Todo {
    group: u32,
    /// The objects of its subject that are left to ask; the first one is asked now.
    shards: Vec<u32>,
    /// What the one before said that refused: the limit's place in the group, and how long to wait.
    refused: Option<(u32, u64)>,
    /// What is asked for in advance.
    lease: Option<Lease>,
    /// It did not answer, and is not asked again.
    lost: bool,
}

/// What was asked for in advance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Lease {
    key: String,
    /// When, in Unix milliseconds.
    at: u64,
    ask: LeaseAsk,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Turn {
    /// All but the last are tried, the last is charged.
    Reserve(u32),
    /// The others are charged too.
    Confirm(u32),
}

/// What an isolate knows of limits by itself; it may vanish.
#[derive(Debug)]
pub(crate) struct Memory {
    /// Limits that it keeps alone.
    pub local: Local,
    /// What it took in advance.
    pub leases: Leases,
    /// Subjects with several objects.
    pub spread: Spread,
}

/// What admission came to.
#[derive(Clone, Debug)]
pub(crate) enum Admission {
    /// The request may go on.
    Reserved(Reservation),
    /// An object must be asked.
    Ask {
        /// Its name.
        object: String,
        /// The question.
        ask: Vec<u8>,
        /// The right that waits.
        permit: Permit,
        /// How far it has got.
        asked: Asked,
    },
}

/// Why there is no reservation.
#[derive(Debug)]
pub(crate) struct Unmetered {
    /// What the client is told.
    pub refusal: Box<Refusal>,
    /// What objects may keep for it, to be given back.
    pub accounts: Vec<Account>,
}

impl From<Refusal> for Unmetered {
    fn from(refusal: Refusal) -> Self {
        Self {
            refusal: Box::new(refusal),
            accounts: Vec::new(),
        }
    }
}

/// The limits of a call, looked up anew at each step.
struct Round<'a> {
    plan: Option<&'a Plan>,
    limits: Vec<&'a Limit>,
    groups: Vec<Group<'a>>,
    asks: Asks<'a>,
    /// How many requests it counts for: who only looks is not charged.
    cost: u32,
    zones: &'a [Zone],
    /// When the call was asked for ([`Uses::at`]), and the time.
    at: u64,
    now: u64,
}

/// Reserves what a request needs, or says whom to ask.
pub(crate) fn begin(
    policy: &Compiled,
    permit: Permit,
    asks: Asks<'_>,
    memory: &mut Memory,
    now: u64,
) -> Result<Admission, Refusal> {
    let uses = uses::of(policy, permit.to(), &limits_of(policy, &permit)?.1, &asks, now)?;
    let round = Round::new(policy, &permit, &uses, asks, now)?;
    if let Some(limit) = round.never(&uses) {
        return Err(verdict::never(&permit, limit));
    }
    let mut asked = Asked {
        uses,
        todo: Vec::new(),
        leased: Vec::new(),
        turn: Turn::Reserve(0),
        standings: Vec::new(),
        shadowed: Vec::new(),
        unlimited: false,
        refused: None,
    };
    for (place, group) in (0_u32..).zip(&round.groups) {
        let shards = memory.spread.shards(group, round.asks.request, now);
        let shard = shards.first().copied().unwrap_or(0);
        let limits = round.asked(group, shard, &asked.uses);
        let lease = match group.kept {
            Precision::Local => {
                let answer = memory.local.decide(&group.object, &limits, round.cost, now);
                let answer = round.said(group, answer);
                if let Outcome::Refused { .. } = answer.outcome {
                    round.undo(&asked, place, memory, now);
                    return Err(verdict::refused(&permit, &round, group, &answer, &asked));
                }
                asked.note(group, &answer);
                continue;
            }
            Precision::Leased if round.cost > 0 => {
                let key = lease_key(group, shard);
                match memory.leases.spend(&key, &limits, now) {
                    Spent::Admitted(standings) => {
                        let answer = Answer {
                            outcome: Outcome::Admitted,
                            leased: 0,
                            shadowed: 0,
                            standings,
                        };
                        asked.note(group, &answer);
                        asked.leased.push((place, shard));
                        continue;
                    }
                    Spent::Ask(ask) => Some(Lease { key, at: now, ask }),
                }
            }
            Precision::Leased | Precision::Exact => None,
        };
        asked.todo.push(Todo {
            group: place,
            shards,
            refused: None,
            lease,
            lost: false,
        });
    }
    round.ask_or_admit(policy, permit, asked)
}

/// Reads an object's answer; `None`: there was none.
pub(crate) fn metered(
    policy: &Compiled,
    permit: Permit,
    mut asked: Asked,
    asks: Asks<'_>,
    answer: Option<&[u8]>,
    memory: &mut Memory,
    now: u64,
) -> Result<Admission, Unmetered> {
    let round = Round::new(policy, &permit, &asked.uses, asks, now)?;
    let place = asked.place();
    let todo = asked.todo.get(place).ok_or_else(nobody_asked)?;
    let group = round.group(todo)?;
    let answer = answer
        .and_then(|answer| Answer::decode(answer).ok())
        .map(|answer| round.said(group, answer));
    if let Some(refused) = asked.refused {
        return round.looked(policy, permit, asked, refused, answer.as_ref(), memory);
    }
    if let Some(Lease { key, at, ask }) = todo
        .lease
        .as_ref()
        .filter(|_| asked.mode(round.cost) != Mode::Try)
    {
        let limits = round.asked(group, todo.shard(), &asked.uses);
        let taken = Taken {
            key,
            limits: &limits,
            asked: *at,
            ask: *ask,
        };
        match &answer {
            Some(answer) => memory.leases.grant(&taken, answer.leased, &answer.standings),
            None => memory.leases.grant(&taken, 0, &[]),
        }
    }
    let crowded = answer
        .as_ref()
        .is_some_and(|answer| answer.outcome == Outcome::Crowded);
    match answer.filter(|_| !crowded) {
        Some(answer) => {
            if let Outcome::Refused {
                limit,
                retry_after_ms,
            } = answer.outcome
            {
                let before = todo.refused;
                if asked.asks_another((limit, retry_after_ms)) {
                    return Ok(round.ask_or_admit(policy, permit, asked)?);
                }
                let answer = spread::sooner(answer, before);
                return round.refuse(policy, permit, asked, (&answer, before.is_some()), memory);
            }
            asked.note(group, &answer);
        }
        None if !crowded && round.plan.is_some_and(|plan| verdict::is_open(plan, group, now)) => {
            asked.unlimited = true;
            asked.lost(place);
        }
        // The answer may be lost, and the charge made: what can be is given back.
        None => {
            let upto = match asked.turn {
                Turn::Reserve(_) => place.saturating_add(1),
                Turn::Confirm(_) => asked.todo.len(),
            };
            return Err(round.failed(&asked, verdict::unavailable(), upto, memory));
        }
    }
    asked.turn = match asked.turn {
        Turn::Reserve(turn) if place + 1 < asked.todo.len() => Turn::Reserve(turn + 1),
        Turn::Reserve(_) => Turn::Confirm(0),
        Turn::Confirm(turn) => Turn::Confirm(turn + 1),
    };
    Ok(round.ask_or_admit(policy, permit, asked)?)
}

impl Todo {
    /// The object of its subject that is asked now.
    fn shard(&self) -> u32 {
        self.shards.first().copied().unwrap_or(0)
    }
}

impl Asked {
    /// Which of the groups to do is asked now.
    fn place(&self) -> usize {
        let (Turn::Reserve(turn) | Turn::Confirm(turn)) = self.turn;
        usize::try_from(turn).unwrap_or(usize::MAX)
    }

    /// Notes that one did not answer: to be asked again would not help it.
    fn lost(&mut self, place: usize) {
        if let Some(todo) = self.todo.get_mut(place) {
            todo.lost = true;
        }
    }

    /// Goes on past what is not confirmed.
    fn skip_lost(&mut self) {
        while let Turn::Confirm(turn) = self.turn
            && self.todo.get(self.place()).is_some_and(|todo| todo.lost)
        {
            self.turn = Turn::Confirm(turn.saturating_add(1));
        }
    }

    /// Goes on to another object of the subject that is asked now, where this one refused so; whether there is one.
    fn asks_another(&mut self, refused: (u32, u64)) -> bool {
        let place = self.place();
        let reserves = matches!(self.turn, Turn::Reserve(_));
        let Some(todo) = self
            .todo
            .get_mut(place)
            .filter(|todo| reserves && todo.shards.len() > 1)
        else {
            return false;
        };
        todo.shards.remove(0);
        (todo.refused, todo.lease) = (Some(refused), None);
        true
    }

    /// How it is asked.
    fn mode(&self, cost: u32) -> Mode {
        match self.turn {
            _ if self.refused.is_some() => Mode::Look,
            Turn::Confirm(_) => Mode::Confirm,
            Turn::Reserve(_) if cost > 0 && self.place() + 1 < self.todo.len() => Mode::Try,
            Turn::Reserve(_) => Mode::Charge,
        }
    }

    /// How one was asked last, of a call that is charged.
    fn mode_of(&self, place: usize) -> Mode {
        let is_last = place + 1 >= self.todo.len();
        match self.turn {
            _ if is_last => Mode::Charge,
            Turn::Confirm(_) if place <= self.place() => Mode::Confirm,
            Turn::Confirm(_) | Turn::Reserve(_) => Mode::Try,
        }
    }

    /// Whether nobody is left to ask.
    fn is_done(&self, cost: u32) -> bool {
        match self.turn {
            Turn::Reserve(_) => self.todo.is_empty(),
            // The last was charged when it was reserved; who only looks has charged nothing.
            Turn::Confirm(_) => cost == 0 || self.place() + 1 >= self.todo.len(),
        }
    }

    /// Notes what was said of a group.
    fn note(&mut self, group: &Group<'_>, answer: &Answer) {
        for (at, (counted, standing)) in group.limits.iter().zip(&answer.standings).enumerate() {
            self.standings.retain(|(place, _)| *place != counted.place);
            let standing = group.whole(counted.limit, *standing);
            self.standings.push((counted.place, standing));
            if is_shadowed(answer.shadowed, at) && !self.shadowed.contains(&counted.place) {
                self.shadowed.push(counted.place);
            }
        }
    }
}

impl<'a> Round<'a> {
    fn new(
        policy: &'a Compiled,
        permit: &Permit,
        uses: &Uses,
        asks: Asks<'a>,
        now: u64,
    ) -> Result<Self, Refusal> {
        let (plan, limits) = limits_of(policy, permit)?;
        let call = call(policy, permit, asks.from, uses.provider)?;
        let groups = call.groups(&limits)?;
        Ok(Self {
            plan,
            limits,
            groups,
            asks,
            cost: u32::from(!matches!(permit.to(), Permitted::Standing(_))),
            zones: &policy.zones,
            at: uses.at,
            now,
        })
    }

    /// The limits of a group, as one of its objects is asked for them.
    fn asked<'g>(&self, group: &'g Group<'_>, shard: u32, uses: &Uses) -> Vec<AskedLimit<'g>> {
        let amount = |limit: &Limit| match self.cost {
            0 => 0,
            _ => account::first(limit, uses.attempt(), uses.bytes),
        };
        let limits = group.limits.iter();
        limits
            .map(|counted| {
                let amount = amount(counted.limit);
                let asked = AskedLimit::new(&counted.id, counted.limit, self.zones, amount, self.at);
                group.part(asked, shard)
            })
            .collect()
    }

    /// A budget of which the call may use more than there is of it in all.
    fn never(&self, uses: &Uses) -> Option<&'a Limit> {
        let groups = self.groups.iter().filter(|_| self.cost > 0);
        let mut limits = groups
            .flat_map(|group| &group.limits)
            .map(|counted| counted.limit);
        limits.find(|limit| match limit.kind {
            LimitKind::Budget { count, .. } => {
                !limit.shadow && account::first(limit, uses.attempt(), uses.bytes) > count
            }
            _ => false,
        })
    }

    /// What was said of a group, with waits as long as clocks there say.
    fn said(&self, group: &Group<'_>, answer: Answer) -> Answer {
        let limits = group.limits.iter().map(|counted| counted.limit);
        zoned::answer(answer, limits, self.zones, self.at)
    }

    fn group(&self, todo: &Todo) -> Result<&Group<'a>, Refusal> {
        let place = usize::try_from(todo.group).ok();
        place
            .and_then(|place| self.groups.get(place))
            .ok_or_else(nobody_asked)
    }

    /// Asks for the group whose turn it is; if all have been, the request is admitted.
    fn ask_or_admit(
        &self,
        policy: &Compiled,
        permit: Permit,
        mut asked: Asked,
    ) -> Result<Admission, Refusal> {
        asked.skip_lost();
        if asked.is_done(self.cost) {
            return Ok(Admission::Reserved(self.admit(policy, permit, asked)));
        }
        let todo = asked.todo.get(asked.place()).ok_or_else(nobody_asked)?;
        let group = self.group(todo)?;
        let ask = self.ask(&asked, todo, asked.mode(self.cost), false)?;
        Ok(Admission::Ask {
            object: group.object_of(todo.shard()),
            ask,
            permit,
            asked,
        })
    }

    /// What an object is asked, as bytes; or what takes it back.
    fn ask(&self, asked: &Asked, todo: &Todo, mode: Mode, void: bool) -> Result<Vec<u8>, Refusal> {
        let group = self.group(todo)?;
        let id = turnpike_policy::hex(self.asks.request);
        let held = self.cost > 0 && group.limits.iter().any(|counted| account::is_held(counted.limit));
        let lease = todo.lease.as_ref().map(|lease| lease.ask);
        let ask = Ask {
            mode,
            request: &id,
            part: 0,
            cost: self.cost,
            hold: if held { asked.uses.hold } else { 0 },
            lease: lease
                .filter(|ask| self.cost > 0 && ask.life > 0 && matches!(mode, Mode::Charge | Mode::Confirm)),
            limits: self.asked(group, todo.shard(), &asked.uses),
        };
        let bytes = if void { ask.encode_void() } else { ask.encode() };
        bytes.map_err(|_| look::broken("the ask cannot be written"))
    }

    fn admit(&self, policy: &Compiled, permit: Permit, asked: Asked) -> Reservation {
        let headers = if policy.gateway.limit_headers {
            verdict::headers(self, &asked)
        } else {
            Vec::new()
        };
        let accounts = self.held(&asked);
        let looks = matches!(permit.to(), Permitted::Standing(_));
        Reservation {
            permit,
            headers,
            unlimited: asked.unlimited,
            target: asked.uses.target,
            accounts: if looks { Vec::new() } else { accounts },
            uses: asked.uses,
            shadowed: asked.shadowed,
            standings: if looks { asked.standings } else { Vec::new() },
        }
    }

    /// What objects keep of a call that is admitted until it is settled.
    fn held(&self, asked: &Asked) -> Vec<Account> {
        let groups = asked
            .todo
            .iter()
            .filter_map(|todo| Some((self.group(todo).ok()?, todo.shard())));
        groups
            .filter(|(group, _)| group.limits.iter().any(|counted| account::is_held(counted.limit)))
            .map(|(group, shard)| Account::of(group, shard, asked.uses.attempt(), asked.uses.hold))
            .collect()
    }

    /// What the first so many objects may keep of a call that is not admitted: what was tried is settled, what was
    /// charged, or may have been, is taken back.
    fn kept(&self, asked: &Asked, upto: usize) -> Vec<Account> {
        let todo = asked.todo.iter().take(upto).enumerate();
        todo.filter_map(|(place, todo)| {
            let group = self.group(todo).ok()?;
            let mode = asked.mode_of(place);
            if mode == Mode::Try {
                let uses = &asked.uses;
                return Some(Account::of(group, todo.shard(), uses.attempt(), uses.hold));
            }
            let is_rate = |limit: &Limit| matches!(limit.kind, LimitKind::Rate(_));
            if group.limits.iter().all(|counted| is_rate(counted.limit)) {
                return None;
            }
            let void = self.ask(asked, todo, mode, true).ok()?;
            Some(Account::void(group.object_of(todo.shard()), void))
        })
        .collect()
    }

    /// Why there is no reservation; the first so many objects may keep something for the call.
    fn failed(&self, asked: &Asked, refusal: Refusal, upto: usize, memory: &mut Memory) -> Unmetered {
        self.undo(asked, u32::MAX, memory, self.now);
        Unmetered {
            refusal: Box::new(refusal),
            accounts: self.kept(asked, upto),
        }
    }

    /// Takes back what this isolate charged to the groups before a place by itself.
    fn undo(&self, asked: &Asked, before: u32, memory: &mut Memory, now: u64) {
        for (place, group) in (0..before).zip(&self.groups) {
            if group.kept == Precision::Local {
                let limits = self.asked(group, 0, &asked.uses);
                memory.local.undo(&group.object, &limits, self.cost, now);
            } else if let Some((_, shard)) = asked.leased.iter().find(|(of, _)| *of == place) {
                memory.leases.give_back(&lease_key(group, *shard), now);
            }
        }
    }
}

/// Who asks for what.
pub(crate) fn call<'a, 'c>(
    policy: &'a Compiled,
    permit: &'c Permit,
    from: Origin<'c>,
    provider: Option<u32>,
) -> Result<Call<'a, 'c>, Refusal> {
    let caller = match permit.caller() {
        Some(caller) => Some((look::consumer(policy, caller.consumer())?, caller)),
        None => None,
    };
    Ok(Call {
        caller,
        from,
        called: Called {
            policy,
            what: What::from(permit.to()),
            provider,
        },
    })
}

/// Leases are for one subject and one set of limits.
fn lease_key(group: &Group<'_>, shard: u32) -> String {
    let mut key = group.object_of(shard);
    for counted in &group.limits {
        // Nothing that a name may hold.
        key.push('\n');
        key.push_str(&counted.id);
    }
    key
}

fn nobody_asked() -> Refusal {
    look::broken("nobody was asked for these limits")
}

/// The plan of a call and its limits: the plan's, then those of what it calls.
pub(crate) fn limits_of<'a>(
    policy: &'a Compiled,
    permit: &Permit,
) -> Result<(Option<&'a Plan>, Vec<&'a Limit>), Refusal> {
    let plan = match permit.caller() {
        Some(caller) => {
            let consumer = look::consumer(policy, caller.consumer())?;
            Some(look::plan(policy, consumer.plan)?)
        }
        None => None,
    };
    let own: &[Limit] = match permit.to() {
        Permitted::Operation(index) => &look::api(policy, look::operation(policy, *index)?.api)?.limits,
        Permitted::Standing(Some(Seen::Api(index))) => &look::api(policy, *index)?.limits,
        Permitted::Model(index, _) | Permitted::Standing(Some(Seen::Model(index))) => {
            &look::model(policy, *index)?.limits
        }
        Permitted::Models | Permitted::ModelCard(_) | Permitted::Standing(None) => &[],
    };
    let of_plan = plan.map_or(&[][..], |plan| &plan.limits);
    // Only a model's call uses tokens or money.
    let budgets = matches!(permit.to(), Permitted::Model(..) | Permitted::Standing(_));
    let counts = |limit: &&Limit| {
        budgets || !matches!(limit.kind, LimitKind::Budget { unit, .. } if unit != Unit::Bytes)
    };
    Ok((plan, of_plan.iter().chain(own).filter(counts).collect()))
}

/// What a limit is called where only its place is known.
pub(crate) fn name_of<'a>(limits: &[&'a Limit], place: u32) -> Option<&'a Limit> {
    usize::try_from(place)
        .ok()
        .and_then(|place| limits.get(place))
        .copied()
}

/// A refusal for a limit that held a request back, without its place.
pub(crate) const fn code_of(kind: &LimitKind) -> Code {
    match kind {
        LimitKind::Rate(_) => Code::RateLimited,
        LimitKind::Quota { .. } => Code::QuotaExceeded,
        LimitKind::Budget { .. } => Code::BudgetExceeded,
        LimitKind::Concurrency { .. } => Code::ConcurrencyLimited,
    }
}

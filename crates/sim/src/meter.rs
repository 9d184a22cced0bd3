//! The one place that calls the engine's meter: objects, leases and local limits as their shells keep them.

use turnpike_engine::meter::lease::{Leases, Spent, Taken};
use turnpike_engine::meter::local::Local;
use turnpike_engine::meter::{Answer, Ask, Asked, LeaseAsk, Mode, Outcome, object, shards};
use turnpike_policy::LimitKind;

/// The limits of a subject, or its shard's share of them.
#[derive(Clone, Debug)]
pub(crate) struct Limits(Vec<(String, LimitKind)>);

impl Limits {
    /// With ids as a compiled plan has them.
    pub(crate) fn new(plan: &str, kinds: &[LimitKind]) -> Self {
        let id = |kind: &LimitKind| match kind {
            LimitKind::Rate(rate) => format!("{plan}:rate-{}-{}ms", rate.count, rate.period),
            other => format!("{plan}:{other:?}").chars().take(40).collect(),
        };
        Self(kinds.iter().map(|kind| (id(kind), *kind)).collect())
    }

    /// The share of one shard; none where it has none.
    pub(crate) fn share(&self, shard: u32, of: u32) -> Option<Self> {
        let shares = self
            .0
            .iter()
            .map(|(id, kind)| Some((id.clone(), shards::share(kind, shard, of)?)));
        shares.collect::<Option<_>>().map(Self)
    }

    /// What is limited.
    pub(crate) fn kinds(&self) -> impl Iterator<Item = &LimitKind> {
        self.0.iter().map(|(_, kind)| kind)
    }

    fn asked(&self) -> Vec<Asked<'_>> {
        self.0
            .iter()
            .map(|(id, kind)| Asked {
                id,
                kind: *kind,
                amount: 0,
                shadow: false,
            })
            .collect()
    }
}

/// What an isolate wants of an object on top of one request; none: it takes no leases.
pub(crate) type Wish = Option<LeaseAsk>;

/// What an object said.
#[derive(Clone, Debug)]
pub(crate) struct Said {
    /// Whether the request passes.
    pub(crate) admitted: bool,
    /// The whole of it.
    answer: Answer,
}

/// An object's state as its shell keeps it.
#[derive(Debug, Default)]
pub(crate) struct Object {
    memory: Option<Vec<u8>>,
    stored: Option<Vec<u8>>,
}

/// What one call of an object leads to.
#[derive(Debug)]
pub(crate) struct Call {
    /// What it said.
    pub(crate) said: Said,
    /// How many bytes were written; none: nothing was.
    pub(crate) wrote: Option<usize>,
    /// Whether its alarm was set.
    pub(crate) alarm: bool,
    /// Whether its state was read from storage.
    pub(crate) read: bool,
}

impl Object {
    /// Asks for one request.
    pub(crate) fn ask(&mut self, limits: &Limits, request: u64, wish: Wish, now: u64) -> Call {
        let request = format!("{request:032x}");
        let ask = Ask {
            mode: Mode::Charge,
            request: &request,
            part: 0,
            cost: 1,
            hold: 0,
            lease: wish.filter(|wish| wish.life > 0),
            limits: limits.asked(),
        };
        let read = self.memory.is_none() && self.stored.is_some();
        if read {
            let stored = self.stored.as_deref().unwrap_or_default();
            self.memory = Some(object::resume(stored).expect("what was stored is whole"));
        }
        let ask = ask.encode().expect("an ask within all bounds");
        let decided = object::decide(self.memory.as_deref(), &ask, now).expect("a state that is whole");
        self.memory = Some(decided.state);
        let wrote = decided.persist.as_ref().map(Vec::len);
        if decided.persist.is_some() {
            self.stored = decided.persist;
        }
        let answer = Answer::decode(&decided.answer).expect("an answer of its own");
        Call {
            said: Said {
                admitted: answer.outcome == Outcome::Admitted,
                answer,
            },
            wrote,
            alarm: decided.alarm.is_some(),
            read,
        }
    }

    /// Its memory is lost.
    pub(crate) fn restart(&mut self) {
        self.memory = None;
    }

    /// How many bytes it has in memory.
    pub(crate) fn size(&self) -> usize {
        self.memory.as_ref().map_or(0, Vec::len)
    }
}

/// What an isolate keeps.
pub(crate) struct Isolate {
    leases: Leases,
    local: Option<Local>,
}

impl Default for Isolate {
    fn default() -> Self {
        Self {
            // Nobody here chooses names: it needs no secret.
            leases: Leases::new([0; 16]),
            local: None,
        }
    }
}

impl Isolate {
    /// Spends one request of a lease; or what to ask the object for.
    pub(crate) fn spend(&mut self, key: &str, limits: &Limits, now: u64) -> Result<(), LeaseAsk> {
        match self.leases.spend(key, &limits.asked(), now) {
            Spent::Admitted(_) => Ok(()),
            Spent::Ask(ask) => Err(ask),
        }
    }

    /// Keeps what was leased; `said`: none, if nobody answered. `asked`: when that was, by its own clock.
    pub(crate) fn grant(
        &mut self,
        key: &str,
        limits: &Limits,
        asked: u64,
        ask: LeaseAsk,
        said: Option<&Said>,
    ) {
        let limits = limits.asked();
        let taken = Taken {
            key,
            limits: &limits,
            asked,
            ask,
        };
        match said {
            Some(Said { answer, .. }) => self.leases.grant(&taken, answer.leased, &answer.standings),
            None => self.leases.grant(&taken, 0, &[]),
        }
    }

    /// Decides alone. `seed`: of its table.
    pub(crate) fn alone(&mut self, key: &str, limits: &Limits, now: u64, seed: u64) -> bool {
        let local = self
            .local
            .get_or_insert_with(|| Local::new(u128::from(seed).to_le_bytes()));
        local.decide(key, &limits.asked(), 1, now).outcome == Outcome::Admitted
    }
}

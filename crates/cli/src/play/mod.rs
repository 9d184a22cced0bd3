//! A gateway without its outside: the engine as it runs in the Worker, and everything around it
//! played, with a clock that stands still unless something takes time.
//!
//! Requests are carried on in the order of what happens: while one waits for its upstream, the others
//! go on. So requests of one instant meet the limits at one instant, as they would on the network.
//! What is played is what the shell does (`src/gateway.js`); the engine cannot tell.

mod certificate;
mod client;
mod credential;
mod outside;
mod platform;
mod stream;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use turnpike_engine::accept::Random;
use turnpike_engine::meter::object;
use turnpike_engine::step::{
    ANSWER_NAMES, AnswerHead, BodyFailure, Event, HEAD_NAMES, Head, PROOF_NAME, Step, StreamEnd, key_names,
};
use turnpike_engine::{Engine, Flight, Next, Settled};
use turnpike_policy::source::ScriptedAnswer;
use turnpike_policy::{Bundle, Compiled, Stamp, Timestamp};

pub(crate) use client::{Answer, Request, Sent, json_holds};
pub(crate) use credential::Mint;
use outside::Does;
pub(crate) use platform::resolved;

/// More steps than any request takes.
const MOST_STEPS: usize = 10_000;
/// As many bytes may all that is answered to the requests of one play have, with what reached upstreams.
const MOST_HELD: usize = 256 << 20;

/// A gateway and its outside.
pub(crate) struct World {
    engine: Engine,
    mint: Mint,
    random: u64,
    meters: BTreeMap<String, Meter>,
    /// What upstreams answer, and which of it comes next.
    script: Vec<ScriptedAnswer>,
    next: usize,
    /// Whether answers keep what was in flight at each step.
    pub(crate) traces: bool,
}

/// An object of the limiter.
#[derive(Default)]
struct Meter {
    memory: Option<Vec<u8>>,
    stored: Option<Vec<u8>>,
}

/// What follows, once it is time.
enum Pending {
    Begin,
    Verified(bool),
    Keys(Vec<u8>),
    Body(Result<Vec<u8>, BodyFailure>),
    Metered(Option<Vec<u8>>),
    Answered,
    Answer(Result<Vec<u8>, turnpike_engine::step::Failure>),
    Paused,
    Decided(Option<Vec<u8>>),
    Streamed {
        tracking: Vec<u8>,
        end: StreamEnd,
        committed: bool,
    },
}

/// A request on its way.
struct Running {
    began: Timestamp,
    flight: Option<Flight>,
    pending: Pending,
    /// What the upstream that was asked last does.
    does: Option<Does>,
    held: Vec<u8>,
    answer: Answer,
}

impl World {
    /// Around these policies. The credentials of their consumers become those of `mint`.
    pub(crate) fn new(compiled: &Compiled, mint: Mint) -> Self {
        let mut compiled = compiled.clone();
        mint.take_over(&mut compiled);
        let bundle = Bundle {
            hash: [0; 32],
            stamp: Stamp::default(),
            compiled,
        };
        Self {
            engine: Engine::new(bundle, [7; 16], |name| Some(mint.secret(name))),
            mint,
            random: 0x5EED,
            meters: BTreeMap::new(),
            script: Vec::new(),
            next: 0,
            traces: false,
        }
    }

    /// What upstreams answer from now on.
    pub(crate) fn script(&mut self, script: &[ScriptedAnswer]) {
        self.script = script.to_vec();
        self.next = 0;
    }

    /// Plays requests, each from its time on; answers in the order of the requests.
    pub(crate) fn play(&mut self, requests: &[(Timestamp, &Request)]) -> Result<Vec<Answer>, String> {
        let mut running: Vec<Running> = requests
            .iter()
            .map(|(at, _)| Running {
                began: *at,
                flight: None,
                pending: Pending::Begin,
                does: None,
                held: Vec::new(),
                answer: Answer::default(),
            })
            .collect();
        let mut due: BinaryHeap<_> = requests
            .iter()
            .enumerate()
            .map(|(index, (at, _))| Reverse((*at, index)))
            .collect();
        let mut held: usize = 0;
        while let Some(Reverse((now, index))) = due.pop() {
            let (Some(one), Some((_, request))) = (running.get_mut(index), requests.get(index)) else {
                continue;
            };
            let next = self.step(one, request, now)?;
            if let Some(at) = self.carry(one, request, next, now)? {
                due.push(Reverse((at, index)));
                continue;
            }
            let sent = one.answer.sent.iter().map(|sent| sent.body.len());
            held = held
                .saturating_add(one.answer.body.len())
                .saturating_add(sent.sum());
            if held > MOST_HELD {
                let most = MOST_HELD >> 20;
                return Err(format!(
                    "what is answered has more than {most} MiB: write fewer `times`, or shorter answers"
                ));
            }
        }
        Ok(running.into_iter().map(|one| one.answer).collect())
    }

    /// Tells the engine what followed.
    fn step(&mut self, one: &mut Running, request: &Request, now: Timestamp) -> Result<Next, String> {
        let pending = std::mem::replace(&mut one.pending, Pending::Paused);
        if matches!(pending, Pending::Begin) {
            let (headers, certificate) = request.sent_headers(&mut self.mint, self.engine.policy(), now)?;
            let url = resolved(&request.url);
            let mut head = Head {
                method: &request.method,
                url: &url,
                has_body: request.body.is_some(),
                ..Head::default()
            };
            for (slot, name) in head.headers.iter_mut().zip(HEAD_NAMES) {
                *slot = value_of(&headers, name);
            }
            let named = &self.engine.policy().headers;
            let named: Vec<Option<&str>> = named.iter().map(|name| value_of(&headers, name)).collect();
            head.named = &named;
            let keys = key_names(self.engine.policy());
            let keys: Vec<Option<&str>> = keys.map(|name| value_of(&headers, name)).collect();
            head.keys = &keys;
            head.country = request.country.as_deref();
            head.certificate = certificate.as_ref().map(certificate::Certificate::shown);
            head.proof = value_of(&headers, PROOF_NAME);
            let random = self.randoms();
            let next = self.engine.begin(&head, now, &random);
            one.answer.request_headers = headers;
            return Ok(next);
        }
        let lost = || "the engine lost a request".to_owned();
        let flight = one.flight.take().ok_or_else(lost)?;
        let random = self.rand();
        let event = match &pending {
            Pending::Begin | Pending::Paused => Event::Paused,
            Pending::Decided(answer) => {
                let none = turnpike_engine::step::Undecided::Unreachable;
                Event::Decided(answer.as_deref().ok_or(none))
            }
            Pending::Verified(right) => Event::Verified(*right),
            Pending::Keys(keys) => Event::Keys(Some(keys)),
            Pending::Body(body) => Event::Body(body.as_deref().map_err(|failure| *failure)),
            Pending::Metered(answer) => Event::Metered(answer.as_deref()),
            Pending::Answer(answer) => Event::Answer(answer.as_deref().map_err(|failure| *failure)),
            Pending::Streamed {
                tracking,
                end,
                committed,
            } => Event::Streamed {
                tracking,
                end: *end,
                client_gone: false,
                committed: *committed,
            },
            Pending::Answered => match one.does.as_ref().ok_or_else(lost)? {
                Does::Fails(failure) => Event::Answered(Err(*failure)),
                Does::Answers { status, headers, .. } => {
                    let mut head = AnswerHead {
                        status: *status,
                        ..AnswerHead::default()
                    };
                    for (slot, name) in head.headers.iter_mut().zip(ANSWER_NAMES) {
                        let found = headers.iter().find(|(known, _)| known == name);
                        *slot = found.map(|(_, value)| value.as_str());
                    }
                    Event::Answered(Ok(head))
                }
            },
        };
        Ok(self.engine.resume(flight, event, now, random))
    }

    /// Carries a step out. Says when what follows it is there; nothing: the request is over.
    fn carry(
        &mut self,
        one: &mut Running,
        request: &Request,
        next: Next,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, String> {
        let Next { step, flight } = next;
        one.answer.steps += 1;
        if one.answer.steps > MOST_STEPS {
            return Err("the request comes to no end".to_owned());
        }
        if self.traces {
            one.answer.trace.extend(flight.clone());
        }
        one.flight = flight;
        let (at, pending) = match step {
            Step::Verify {
                algorithm,
                input,
                signature,
                ..
            } => (
                now,
                Pending::Verified(self.mint.verify(algorithm, &input, &signature)),
            ),
            Step::FetchKeys(fetch) => (
                now,
                Pending::Keys(self.mint.key_set(self.engine.policy(), &fetch.url)),
            ),
            Step::ReadBody { max } => {
                let body = request.body.clone().unwrap_or_default();
                let fits = u64::try_from(body.len()).is_ok_and(|length| length <= max);
                let body = if fits {
                    Ok(body)
                } else {
                    Err(BodyFailure::TooLarge)
                };
                (now, Pending::Body(body))
            }
            Step::Meter { object, ask } => (now, Pending::Metered(self.decide(&object, &ask, now)?)),
            // An issuer knows the tokens that were made up for it. Nobody else decides here, and that is a no.
            Step::Decide(asked) => {
                let of_token = asked.client.is_some();
                (
                    now,
                    Pending::Decided(of_token.then(|| self.mint.introspect(&asked.body))),
                )
            }
            Step::Pause { ms } => (now.saturating_add(ms), Pending::Paused),
            Step::Attempt(attempt) => {
                let (takes, does) = self.attempt(&attempt, request, &mut one.answer, now);
                one.does = Some(does);
                (now.saturating_add(takes), Pending::Answered)
            }
            Step::ReadAnswer { max, within } => {
                let (takes, read) = outside::read_answer(one.does.as_ref(), max, within);
                if let Ok(body) = &read {
                    one.held.clone_from(body);
                }
                (now.saturating_add(takes), Pending::Answer(read))
            }
            Step::Relay(relay) => {
                let relayed = stream::relay(relay, one.does.as_ref(), now)?;
                one.answer.stream = Some(relayed.answer);
                (
                    relayed.at,
                    Pending::Streamed {
                        tracking: relayed.tracking,
                        end: relayed.end,
                        committed: relayed.committed,
                    },
                )
            }
            Step::Finish(finish) => {
                one.answer.took = now.saturating_sub(one.began);
                for Settled { object, settle, .. } in &finish.settle {
                    self.decide(object, settle, now)?;
                }
                let allowed = &self.engine.policy().gateway.answer_headers;
                one.answer
                    .finish(finish, one.does.take(), std::mem::take(&mut one.held), allowed);
                return Ok(None);
            }
            Step::End { tail, log, settle } => {
                one.answer.took = now.saturating_sub(one.began);
                for Settled { object, settle, .. } in &settle {
                    self.decide(object, settle, now)?;
                }
                one.answer.end(&tail, log.as_deref());
                return Ok(None);
            }
            Step::Cold => {
                one.answer.cold = true;
                return Ok(None);
            }
        };
        one.pending = pending;
        Ok(Some(at))
    }

    fn decide(&mut self, name: &str, ask: &[u8], now: Timestamp) -> Result<Option<Vec<u8>>, String> {
        let meter = self.meters.entry(name.to_owned()).or_default();
        let resumed = match (&meter.memory, &meter.stored) {
            (None, Some(stored)) => {
                Some(object::resume(stored).map_err(|error| format!("the limiter failed: {error:?}"))?)
            }
            (memory, _) => memory.clone(),
        };
        let decided = object::decide(resumed.as_deref(), ask, now)
            .map_err(|error| format!("the limiter failed: {error:?}"))?;
        if decided.persist.is_some() {
            meter.stored = decided.persist;
        }
        meter.memory = Some(decided.state);
        Ok(Some(decided.answer))
    }

    /// The next answer of the script; its last one stays.
    fn scripted(&mut self) -> Option<ScriptedAnswer> {
        let last = self.script.len().checked_sub(1)?;
        let answer = self.script.get(self.next.min(last)).cloned();
        self.next = self.next.saturating_add(1);
        answer
    }

    /// `SplitMix64`: the same in every run, so that a test that fails fails again.
    fn rand(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn randoms(&mut self) -> Random {
        let mut half = || self.rand().to_le_bytes();
        let mut whole = || {
            let mut bytes = [0; 16];
            let (one, other) = bytes.split_at_mut(8);
            one.copy_from_slice(&half());
            other.copy_from_slice(&half());
            bytes
        };
        let (trace, id) = (whole(), whole());
        Random {
            trace,
            id,
            span: self.rand().to_le_bytes(),
            choice: self.rand(),
        }
    }
}

/// The value of a header that was sent.
fn value_of<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let found = headers.iter().find(|(known, _)| known == name);
    found.map(|(_, value)| value.as_str())
}

//! From bytes to the engine and back: which message means what.

use turnpike_engine::accept::Random;
use turnpike_engine::meter::object;
use turnpike_engine::relay::Tracking;
use turnpike_engine::step::{
    ANSWER_NAMES, AnswerHead, Attempt, BodyFailure, Carried, ClientCertificate, CommitOn, Ending, Event,
    Failure, FetchKeys, HEAD_NAMES, Head, Outgoing, PROOF_NAME, Relay, Reply, Step, StreamEnd, Undecided,
    Upstream, Value, key_names,
};
use turnpike_engine::{Engine, Flight, Lost, Next, Settled};
use turnpike_policy::Bundle;

use crate::wire::{Reader, Writer};

/// The number of this way to speak. A shell that knows another one was not built with this core.
pub const WIRE: u32 = 17;

/// What the shell may ask: the first byte of a message. The shell's list is `src/wire.js`.
#[expect(missing_docs, reason = "each is explained where it is read, below")]
pub mod ask {
    pub const FACTS: u8 = 0;
    pub const START: u8 = 1;
    pub const BEGIN: u8 = 2;
    pub const VERIFIED: u8 = 3;
    pub const KEYS: u8 = 4;
    pub const BODY: u8 = 5;
    pub const METERED: u8 = 6;
    pub const ANSWERED: u8 = 7;
    pub const ANSWER: u8 = 8;
    pub const PAUSED: u8 = 9;
    pub const FOLLOW: u8 = 10;
    pub const STREAMED: u8 = 11;
    pub const METER: u8 = 12;
    pub const METER_ALARM: u8 = 13;
    pub const NAMES: u8 = 14;
    pub const FAULT: u8 = 15;
    pub const WHOLE: u8 = 16;
    pub const DECIDED: u8 = 17;
}

/// What the core may tell: the first byte of an answer.
#[expect(missing_docs, reason = "each is explained where it is written, below")]
pub mod tell {
    pub const ERROR: u8 = 0;
    pub const DATA: u8 = 1;
    pub const VERIFY: u8 = 2;
    pub const FETCH_KEYS: u8 = 3;
    pub const READ_BODY: u8 = 4;
    pub const METER: u8 = 5;
    pub const ATTEMPT: u8 = 6;
    pub const READ_ANSWER: u8 = 7;
    pub const RELAY: u8 = 8;
    pub const PAUSE: u8 = 9;
    pub const FINISH: u8 = 10;
    pub const END: u8 = 11;
    pub const COLD: u8 = 12;
    pub const DECIDE: u8 = 13;
}

/// What the core is between two messages.
#[derive(Default)]
pub enum Core {
    /// As it was instantiated.
    #[default]
    Fresh,
    /// Its bundle was read for FACTS, and is at hand for START: reading it is most of what a start costs.
    Read(Box<Bundle>),
    /// Its engine runs.
    Started(Box<Started>),
}

/// A started engine.
pub struct Started {
    engine: Engine,
}

/// Why a message was not answered as it should be.
enum Trouble {
    /// The shell and the core do not speak alike: they are not of one build.
    Malformed,
    /// The gateway was not started.
    NotStarted,
    /// Something to tell the operator.
    Told(String),
}

impl From<Trouble> for String {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Malformed => "the shell and the core are not of one build".to_owned(),
            Trouble::NotStarted => "the core was not started".to_owned(),
            Trouble::Told(text) => text,
        }
    }
}

/// Answers one message. What lay in `answer` before is gone.
pub fn dispatch(core: &mut Core, bundle: &[u8], message: &[u8], answer: &mut Writer) {
    answer.clear();
    if let Err(trouble) = attend(core, bundle, message, answer) {
        answer.clear();
        answer.u8(tell::ERROR);
        answer.text(&String::from(trouble));
    }
}

fn attend(core: &mut Core, bundle: &[u8], message: &[u8], out: &mut Writer) -> Result<(), Trouble> {
    let mut reader = Reader::new(message);
    let op = reader.u8().ok_or(Trouble::Malformed)?;
    match op {
        ask::FACTS => {
            let bundle = read(bundle)?;
            facts(&bundle, out);
            // Asked of one that runs, it goes on running.
            if !matches!(core, Core::Started(_)) {
                *core = Core::Read(Box::new(bundle));
            }
            Ok(())
        }
        ask::START => {
            let bundle = match std::mem::take(core) {
                Core::Read(bundle) => *bundle,
                Core::Fresh | Core::Started(_) => read(bundle)?,
            };
            *core = Core::Started(Box::new(start(bundle, &mut reader)?));
            out.u8(tell::DATA);
            Ok(())
        }
        ask::METER => meter(&mut reader, out),
        ask::METER_ALARM => meter_alarm(&mut reader, out),
        ask::FOLLOW => follow(&mut reader, out).ok_or(Trouble::Malformed),
        _ => match core {
            Core::Started(core) => core.attend(op, &mut reader, out),
            Core::Fresh | Core::Read(_) => Err(Trouble::NotStarted),
        },
    }
}

fn read(bundle: &[u8]) -> Result<Bundle, Trouble> {
    Bundle::from_bytes(bundle).map_err(|error| Trouble::Told(error.to_string()))
}

/// FACTS: what the shell must know before it can start the engine. Answers [`WIRE`], the names of the head's
/// headers (those that the engine reads, then those that the policy names, then that of proofs where there may be
/// any), of the answer's headers, the answer headers that may be copied, the secrets that the engine needs, and
/// whether it wants to know countries and client certificates.
fn facts(bundle: &Bundle, out: &mut Writer) {
    out.u8(tell::DATA);
    out.u32(WIRE);
    let named = bundle.compiled.headers.iter().map(String::as_str);
    let keys = key_names(&bundle.compiled);
    let proof = bundle.compiled.dpop.then_some(PROOF_NAME);
    let head: Vec<&str> = HEAD_NAMES
        .into_iter()
        .chain(named)
        .chain(keys)
        .chain(proof)
        .collect();
    out.texts(head.iter());
    out.texts(ANSWER_NAMES.iter());
    out.texts(bundle.compiled.gateway.answer_headers.iter());
    out.texts(Engine::own_secrets(&bundle.compiled).iter());
    out.flag(bundle.compiled.country);
    out.flag(bundle.compiled.client_certificates);
}

/// START: 16 random bytes, then name and value of each secret that FACTS named and that is there.
fn start(bundle: Bundle, reader: &mut Reader<'_>) -> Result<Started, Trouble> {
    let seed = reader.array().ok_or(Trouble::Malformed)?;
    let mut secrets = Vec::new();
    for _ in 0..reader.u32().ok_or(Trouble::Malformed)? {
        let name = reader.text().ok_or(Trouble::Malformed)?;
        secrets.push((name, reader.bytes().ok_or(Trouble::Malformed)?));
    }
    let secret = |wanted: &str| {
        secrets
            .iter()
            .find(|(name, _)| *name == wanted)
            .map(|(_, value)| value.to_vec())
    };
    Ok(Started {
        engine: Engine::new(bundle, seed, secret),
    })
}

/// METER: the time, the state (or none), whether the state was just read from storage, the ask.
/// Answers the new state, the answer, what to store (or nothing), when to set the alarm (or 0).
fn meter(reader: &mut Reader<'_>, out: &mut Writer) -> Result<(), Trouble> {
    let (now, state, ask) = (|| {
        let now = reader.ms()?;
        let stored = reader.flag()?;
        Some((now, (reader.optional()?, stored), reader.bytes()?))
    })()
    .ok_or(Trouble::Malformed)?;
    // A test has no other way into the object than the name of its plan, and the clock.
    #[cfg(feature = "faults")]
    fault(now % 1000 == 13 && holds(ask, b"fault-meter"), "meter");
    let told = |error: turnpike_engine::meter::MeterError| Trouble::Told(error.to_string());
    let resumed = match state {
        (Some(bytes), true) => Some(object::resume(bytes).map_err(told)?),
        _ => None,
    };
    let state = resumed.as_deref().or(state.0);
    let decided = object::decide(state, ask, now).map_err(told)?;
    out.u8(tell::DATA);
    out.bytes(&decided.state);
    out.bytes(&decided.answer);
    out.optional(decided.persist.as_deref());
    out.ms(decided.alarm.unwrap_or(0));
    Ok(())
}

/// `METER_ALARM`: as METER, without an ask. Answers when to set the alarm again; 0: forget it all.
fn meter_alarm(reader: &mut Reader<'_>, out: &mut Writer) -> Result<(), Trouble> {
    let (now, stored, state) =
        (|| Some((reader.ms()?, reader.flag()?, reader.bytes()?)))().ok_or(Trouble::Malformed)?;
    let alarm = if stored {
        object::on_stored_alarm(state, now)
    } else {
        object::on_alarm(state, now).map_err(|error| Trouble::Told(error.to_string()))?
    };
    out.u8(tell::DATA);
    out.ms(match alarm {
        object::Alarm::Forget => 0,
        object::Alarm::Rearm(at) => at,
    });
    Ok(())
}

/// FOLLOW: the time, what is known of the stream, one more chunk. Answers flags (1: started, 2:
/// over, 4: failed), how long the next progress may take, what is known now, what the client gets.
fn follow(reader: &mut Reader<'_>, out: &mut Writer) -> Option<()> {
    let now = reader.ms()?;
    let mut tracking: Tracking = postcard::from_bytes(reader.bytes()?).ok()?;
    let chunk = reader.bytes()?;
    #[cfg(feature = "faults")]
    fault(holds(chunk, b"fault=follow"), "follow");
    let mut passed = Vec::new();
    let progress = tracking.feed(chunk, now, &mut passed);
    out.u8(tell::DATA);
    out.u8(u8::from(progress.started) | u8::from(progress.over) << 1 | u8::from(progress.failed) << 2);
    out.ms(progress.within);
    out.filled(|buffer| append(buffer, &tracking));
    out.bytes(&passed);
    Some(())
}

/// What is in flight, and whether its client has left.
fn flight(reader: &mut Reader<'_>) -> Option<Flight> {
    let mut flight: Flight = postcard::from_bytes(reader.bytes()?).ok()?;
    if reader.flag()? {
        flight.left();
    }
    Some(flight)
}

/// Appends a value as postcard. What is in flight always serializes.
fn append<T: serde::Serialize>(buffer: &mut Vec<u8>, value: &T) {
    let taken = std::mem::take(buffer);
    if let Ok(extended) = postcard::to_extend(value, taken) {
        *buffer = extended;
    }
}

impl Started {
    fn attend(&mut self, op: u8, reader: &mut Reader<'_>, out: &mut Writer) -> Result<(), Trouble> {
        match op {
            ask::BEGIN => {
                let (next, now) = self.begin(reader).ok_or(Trouble::Malformed)?;
                tell_next(&next, out);
                tell_beside(&mut self.engine, now, out);
                Ok(())
            }
            // NAMES: which list. Answers the names.
            ask::NAMES => {
                let list = reader.u32().ok_or(Trouble::Malformed)?;
                out.u8(tell::DATA);
                out.texts(self.engine.names(list).iter());
                Ok(())
            }
            // FAULT: the time, randomness, what was in flight (or nothing), whether a part of a stream is
            // the client's, method and URL. Answers what a client gets after a trap.
            ask::FAULT => {
                let step = (|| {
                    let now = reader.ms()?;
                    let random = random(reader)?;
                    let flight = reader
                        .optional()?
                        .and_then(|bytes| postcard::from_bytes(bytes).ok());
                    let lost = Lost {
                        committed: reader.flag()?,
                        method: reader.text()?,
                        url: reader.text()?,
                    };
                    #[cfg(feature = "faults")]
                    fault(lost.url.contains("fault=twice"), "twice");
                    Some(self.engine.fault(&lost, flight, now, &random))
                })();
                tell_next(
                    &Next {
                        step: step.ok_or(Trouble::Malformed)?,
                        flight: None,
                    },
                    out,
                );
                out.u8(0);
                Ok(())
            }
            ask::WHOLE => {
                let next = self.whole(reader).ok_or(Trouble::Malformed)?;
                tell_next(&next, out);
                out.u8(0);
                Ok(())
            }
            _ => {
                let (next, now) = self.resume(op, reader).ok_or(Trouble::Malformed)?;
                tell_next(&next, out);
                tell_beside(&mut self.engine, now, out);
                Ok(())
            }
        }
    }

    /// WHOLE: as ANSWERED and ANSWER in one, for an answer that was read at once: the time, a random
    /// number, what is in flight and whether its client has left, after how many milliseconds the call was made again
    /// (0: it was not), the head, then the bytes or why there are none.
    fn whole(&mut self, reader: &mut Reader<'_>) -> Option<Next> {
        let now = reader.ms()?;
        let random = reader.u64()?;
        let mut flight = flight(reader)?;
        flight.repeated(reader.ms()?);
        #[cfg(feature = "faults")]
        fault(flight.query().contains("fault=answered"), "answered");
        let head = answer_head(reader)?;
        let answer = answer_bytes(reader)?;
        let next = self.engine.resume(flight, Event::Answered(Ok(head)), now, random);
        match next {
            Next {
                step: Step::ReadAnswer { .. },
                flight: Some(flight),
            } => Some(self.engine.resume(flight, Event::Answer(answer), now, random)),
            // Nobody wants to read it: its head said enough.
            other => Some(other),
        }
    }

    /// BEGIN: the time, randomness, whether there is a body, method, URL, the head's headers, and, where FACTS
    /// asked for them, the country and six words about the client's certificate. The time comes with what is next.
    fn begin(&mut self, reader: &mut Reader<'_>) -> Option<(Next, u64)> {
        let now = reader.ms()?;
        let random = random(reader)?;
        let has_body = reader.flag()?;
        let mut head = Head {
            has_body,
            method: reader.text()?,
            url: reader.text()?,
            ..Head::default()
        };
        for value in &mut head.headers {
            *value = reader.optional_text()?;
        }
        let named = &self.engine.policy().headers;
        let named: Option<Vec<_>> = named.iter().map(|_| reader.optional_text()).collect();
        let named = named?;
        head.named = &named;
        let keys: Option<Vec<_>> = key_names(self.engine.policy())
            .map(|_| reader.optional_text())
            .collect();
        let keys = keys?;
        head.keys = &keys;
        if self.engine.policy().dpop {
            head.proof = reader.optional_text()?;
        }
        if self.engine.policy().country {
            head.country = reader.optional_text()?;
        }
        if self.engine.policy().client_certificates {
            head.certificate = Some(ClientCertificate {
                presented: reader.optional_text()?,
                verified: reader.optional_text()?,
                revoked: reader.optional_text()?,
                whole: reader.optional_text()?,
                subject: reader.optional_text()?,
                issuer: reader.optional_text()?,
            });
        }
        #[cfg(feature = "faults")]
        fault(head.url.contains("fault=begin"), "begin");
        Some((self.engine.begin(&head, now, &random), now))
    }

    /// All others: the time, a random number, what is in flight and whether its client has left, then what the event
    /// says (ANSWERED begins with when the call was made again, as WHOLE). The time comes with what is next.
    fn resume(&mut self, op: u8, reader: &mut Reader<'_>) -> Option<(Next, u64)> {
        let now = reader.ms()?;
        let random = reader.u64()?;
        let mut flight = flight(reader)?;
        if op == ask::ANSWERED {
            flight.repeated(reader.ms()?);
        }
        #[cfg(feature = "faults")]
        for (asked, place) in [
            (ask::VERIFIED, "verified"),
            (ask::BODY, "body"),
            (ask::METERED, "metered"),
            (ask::ANSWERED, "answered"),
            (ask::STREAMED, "streamed"),
        ] {
            fault(
                op == asked && flight.query().contains(&format!("fault={place}")),
                place,
            );
        }
        let event = match op {
            ask::VERIFIED => Event::Verified(reader.flag()?),
            // What was had, or nothing; and its age, if it is a copy.
            ask::KEYS => match (reader.optional()?, reader.ms()?) {
                (Some(copy), age) if age > 0 => Event::Copied(copy, age),
                (answer, _) => Event::Keys(answer),
            },
            ask::BODY => Event::Body(match reader.u8()? {
                0 => Ok(reader.bytes()?),
                1 => Err(BodyFailure::TooLarge),
                2 => Err(BodyFailure::Incomplete),
                4 => Err(BodyFailure::Share),
                _ => Err(BodyFailure::Busy),
            }),
            ask::METERED => Event::Metered(reader.optional()?),
            ask::ANSWERED => Event::Answered(match failure(reader.u8()?) {
                Some(failure) => Err(failure),
                None => Ok(answer_head(reader)?),
            }),
            ask::ANSWER => Event::Answer(answer_bytes(reader)?),
            // Status 0: there is none, and why; else the answer, or nothing if it is not in JSON.
            ask::DECIDED => Event::Decided(match reader.u16()? {
                0 => Err(undecided(reader.u8()?)),
                200 => reader.optional()?.ok_or(Undecided::NotJson),
                status => Err(Undecided::Status(status)),
            }),
            ask::PAUSED => Event::Paused,
            ask::STREAMED => Event::Streamed {
                end: match reader.u8()? {
                    0 => StreamEnd::Closed,
                    1 => StreamEnd::Lost,
                    2 => StreamEnd::Late,
                    3 => StreamEnd::Abandoned,
                    5 => StreamEnd::Busy,
                    _ => StreamEnd::TooLarge,
                },
                client_gone: reader.flag()?,
                committed: reader.flag()?,
                tracking: reader.bytes()?,
            },
            _ => return None,
        };
        Some((self.engine.resume(flight, event, now, random), now))
    }
}

/// Panics where a test asks for it.
#[cfg(feature = "faults")]
fn fault(asked: bool, place: &str) {
    assert!(!asked, "a fault was asked for at {place}");
}

#[cfg(feature = "faults")]
fn holds(bytes: &[u8], mark: &[u8]) -> bool {
    bytes.windows(mark.len()).any(|window| window == mark)
}

fn failure(code: u8) -> Option<Failure> {
    match code {
        0 => None,
        1 => Some(Failure::Unreachable),
        2 => Some(Failure::Timeout),
        3 => Some(Failure::TooLarge),
        4 => Some(Failure::SecretMissing),
        5 => Some(Failure::Busy),
        7 => Some(Failure::NoToken),
        8 => Some(Failure::Unsent),
        _ => Some(Failure::Abandoned),
    }
}

/// Why a decision point gave no answer, by the numbers of [`failure`].
fn undecided(code: u8) -> Undecided {
    match code {
        2 => Undecided::Late,
        3 => Undecided::TooLarge,
        4 => Undecided::SecretMissing,
        5 => Undecided::Busy,
        _ => Undecided::Unreachable,
    }
}

/// The head of an upstream's answer: its status, then its headers.
fn answer_head<'a>(reader: &mut Reader<'a>) -> Option<AnswerHead<'a>> {
    let mut head = AnswerHead {
        status: reader.u16()?,
        ..AnswerHead::default()
    };
    for value in &mut head.headers {
        *value = reader.optional_text()?;
    }
    Some(head)
}

/// An answer that was read, or why it was not.
fn answer_bytes<'a>(reader: &mut Reader<'a>) -> Option<Result<&'a [u8], Failure>> {
    match failure(reader.u8()?) {
        Some(failure) => Some(Err(failure)),
        None => reader.bytes().map(Ok),
    }
}

fn random(reader: &mut Reader<'_>) -> Option<Random> {
    Some(Random {
        trace: reader.array()?,
        span: reader.array()?,
        id: reader.array()?,
        choice: reader.u64()?,
    })
}

/// Writes a step, then what is in flight, if anything.
fn tell_next(next: &Next, out: &mut Writer) {
    match &next.step {
        Step::Verify {
            algorithm,
            key,
            input,
            signature,
        } => {
            out.u8(tell::VERIFY);
            out.text(algorithm.name());
            out.text(key);
            out.bytes(input);
            out.bytes(signature);
        }
        Step::FetchKeys(fetch) => {
            out.u8(tell::FETCH_KEYS);
            tell_fetch(fetch, out);
        }
        Step::ReadBody { max } => {
            out.u8(tell::READ_BODY);
            out.ms(*max);
            out.ms(next.flight.as_ref().map_or(0, Flight::whose));
        }
        Step::Meter { object, ask } => {
            out.u8(tell::METER);
            out.text(object);
            out.bytes(ask);
        }
        Step::Attempt(attempt) => tell_attempt(attempt, out),
        Step::ReadAnswer { max, within } => {
            out.u8(tell::READ_ANSWER);
            out.ms(*max);
            out.ms(*within);
        }
        Step::Relay(relay) => tell_relay(relay, out),
        Step::Decide(asked) => {
            out.u8(tell::DECIDE);
            out.text(&asked.url);
            out.text(&asked.body);
            out.optional_text(asked.secret.as_deref());
            let client = asked.client.as_ref();
            out.optional_text(client.map(|client| client.id.as_str()));
            out.flag(client.is_some_and(|client| client.post));
            out.u32(asked.max);
            out.ms(asked.within);
        }
        Step::Pause { ms } => {
            out.u8(tell::PAUSE);
            out.ms(*ms);
        }
        Step::Finish(finish) => {
            out.u8(tell::FINISH);
            out.u16(finish.status);
            out.headers(&finish.set);
            out.flag(finish.copy);
            match &finish.body {
                Reply::None => out.u8(0),
                Reply::Bytes(bytes) => {
                    out.u8(1);
                    out.bytes(bytes);
                }
                Reply::Upstream => out.u8(2),
                Reply::Held => out.u8(3),
            }
            out.optional_text(finish.log.as_deref());
            tell_settled(&finish.settle, out);
        }
        Step::End { tail, log, settle } => {
            out.u8(tell::END);
            out.bytes(tail);
            out.optional_text(log.as_deref());
            tell_settled(settle, out);
        }
        Step::Cold => {
            out.u8(tell::COLD);
            // What the other half answers bears the id that the log line has.
            let id = next.flight.as_ref().map(Flight::id_text);
            out.text(&id.unwrap_or_default());
        }
    }
    if let Some(flight) = &next.flight {
        out.filled(|buffer| append(buffer, flight));
    }
}

/// What is to be done beside what was told: 1, a fetch of keys that nobody waits for; 2, the answer that was handed in
/// is worth sharing.
fn tell_beside(engine: &mut Engine, now: u64, out: &mut Writer) {
    let errand = engine.errand(now);
    let fetch = errand.as_ref().and_then(|next| match (&next.step, &next.flight) {
        (Step::FetchKeys(fetch), Some(flight)) => Some((fetch, flight)),
        _ => None,
    });
    out.u8(u8::from(fetch.is_some()) + 2 * u8::from(engine.shares()));
    if let Some((fetch, flight)) = fetch {
        tell_fetch(fetch, out);
        out.filled(|buffer| append(buffer, flight));
    }
}

fn tell_fetch(fetch: &FetchKeys, out: &mut Writer) {
    out.text(&fetch.url);
    out.u32(fetch.max);
    out.ms(fetch.copies.fresh);
    out.ms(fetch.copies.stale);
    out.flag(fetch.copies.only);
}

fn tell_settled(settled: &[Settled], out: &mut Writer) {
    for one in settled {
        out.optional_text(Some(&one.object));
        out.bytes(&one.settle);
        out.flag(one.place);
    }
    out.optional_text(None);
}

fn tell_attempt(attempt: &Attempt, out: &mut Writer) {
    out.u8(tell::ATTEMPT);
    out.ms(attempt.within);
    out.ms(attempt.whole);
    out.flag(attempt.ahead.is_some());
    if let Some(ahead) = &attempt.ahead {
        out.headers(&ahead.set);
        out.flag(ahead.body);
        out.ms(ahead.began);
        out.ms(ahead.attempted);
        out.texts(ahead.line.iter());
        out.flag(ahead.failures_only);
    }
    match &attempt.to {
        Upstream::Http {
            url,
            method,
            set,
            credential,
            copy,
            body,
        } => {
            out.u8(0);
            out.text(url);
            out.text(method);
            out.headers(set);
            tell_credential(credential.as_ref(), out);
            out.count(copy.len());
            for list in copy {
                out.u32(*list);
            }
            match body {
                Outgoing::None => out.u8(0),
                Outgoing::Client => out.u8(1),
                Outgoing::Held(edits) => {
                    out.u8(2);
                    out.flag(attempt.last);
                    out.count(edits.len());
                    for edit in edits {
                        out.u32(edit.at);
                        out.u32(edit.remove);
                        out.bytes(&edit.insert);
                    }
                }
            }
        }
        Upstream::Mock {
            status,
            headers,
            pieces,
            end,
        } => {
            out.u8(1);
            out.u16(*status);
            out.headers(headers);
            out.count(pieces.len());
            for (wait, bytes) in pieces {
                out.ms(*wait);
                out.bytes(bytes);
            }
            out.u8(match end {
                Ending::Close => 0,
                Ending::Lose => 1,
                Ending::Stall => 2,
            });
        }
    }
}

fn tell_credential(credential: Option<&Carried>, out: &mut Writer) {
    let Some(Carried {
        header,
        prefix,
        value,
    }) = credential
    else {
        return out.u8(0);
    };
    out.u8(match value {
        Value::Secret(_) => 1,
        Value::Signed { .. } => 2,
        Value::Granted(_) => 3,
    });
    out.text(header);
    out.text(prefix);
    match value {
        Value::Secret(name) => out.text(name),
        Value::Signed {
            algorithm,
            key,
            claims,
            lifetime,
        } => {
            out.text(algorithm.name());
            out.text(key);
            out.text(claims);
            out.ms(*lifetime);
        }
        Value::Granted(token) => {
            out.text(&token.object);
            out.text(&token.endpoint);
            out.text(&token.client_id);
            out.text(&token.secret);
            out.flag(token.post);
            out.headers(&token.form);
        }
    }
}

fn tell_relay(relay: &Relay, out: &mut Writer) {
    out.u8(tell::RELAY);
    out.u16(relay.status);
    out.headers(&relay.set);
    out.flag(relay.filter);
    out.u8(match relay.commit {
        CommitOn::Head => 0,
        CommitOn::FirstToken => 1,
        CommitOn::Whole => 2,
    });
    out.u32(relay.hold);
    out.ms(relay.within);
    out.bytes(&relay.tracking);
}

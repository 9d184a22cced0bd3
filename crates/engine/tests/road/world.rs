//! What lies outside of the engine, played: as the shell plays it (`src/gateway.js`, `src/relay.js`).

use std::collections::{BTreeMap, VecDeque};

use jwt_compact::alg::{Ed25519, Hs256, Hs256Key};
use jwt_compact::jwk::JsonWebKey;
use jwt_compact::{Algorithm as Verifier, AlgorithmSignature as _};
use serde_json::{Value, json};
use turnpike_engine::accept::Random;
use turnpike_engine::meter::object;
use turnpike_engine::relay::Tracking;
use turnpike_engine::step::{
    ANSWER_NAMES, AnswerHead, Attempt, BodyFailure, ClientCertificate, CommitOn, Decide, Ending, Event,
    Failure, FetchKeys, Finish, HEAD_NAMES, Head, Outgoing, PROOF_NAME, Relay, Reply, Step, StreamEnd,
    Undecided, Upstream, Value as Carries, key_names,
};
use turnpike_engine::{Engine, Flight, Next, Settled};
use turnpike_llm::chat::apply;
use turnpike_policy::{Algorithm, Compiled};

use crate::policy::{self, AUDIENCE, NOW, PRIVATE, key};

/// The value of every secret: it must never be seen in an answer or a log line.
pub(crate) const SECRET_VALUE: &str = "the-value-of-a-secret-of-forty-eight-bytes-or-so";
/// How long an upstream is heard out whose client has left.
const DRAIN: u64 = 25_000;
/// More steps than any request may take.
const MOST_STEPS: usize = 200;

/// A client's request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) url: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Option<Vec<u8>>,
    /// The country that it comes from, as the platform tells it.
    pub(crate) country: Option<String>,
    /// What the platform tells of its client's certificate.
    pub(crate) certificate: Option<ClientCertificate<'static>>,
    /// Reading the body fails so.
    pub(crate) broken: Option<BodyFailure>,
    /// The client leaves after so many milliseconds.
    pub(crate) leaves: Option<u64>,
}

impl Request {
    pub(crate) fn new(method: &str, path: &str) -> Self {
        Self {
            method: method.to_owned(),
            url: format!("https://api.example{path}"),
            ..Self::default()
        }
    }

    pub(crate) fn get(path: &str) -> Self {
        Self::new("GET", path)
    }

    #[must_use]
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.retain(|(known, _)| known != name);
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With the API key of a consumer.
    #[must_use]
    pub(crate) fn by(self, consumer: &str) -> Self {
        self.header("authorization", &format!("Bearer {}", key(consumer)))
    }

    /// With a body of announced length.
    #[must_use]
    pub(crate) fn body(self, kind: &str, body: &[u8]) -> Self {
        self.header("content-length", &body.len().to_string())
            .chunked(kind, body)
    }

    /// With a body of which no length is announced.
    #[must_use]
    pub(crate) fn chunked(mut self, kind: &str, body: &[u8]) -> Self {
        self.body = Some(body.to_vec());
        self.header("content-type", kind)
    }

    fn value(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }
}

/// A chat call by `demo`.
pub(crate) fn chat(body: &Value) -> Request {
    Request::new("POST", "/v1/chat/completions")
        .by("demo")
        .body("application/json", body.to_string().as_bytes())
}

/// A plain call of a model.
pub(crate) fn ask(model: &str) -> Request {
    chat(&json!({ "model": model, "messages": [{ "role": "user", "content": "hello there" }] }))
}

/// A streamed call of a model.
pub(crate) fn ask_stream(model: &str) -> Request {
    chat(
        &json!({ "model": model, "stream": true, "messages": [{ "role": "user", "content": "hello there" }] }),
    )
}

/// What an upstream does with one call.
#[derive(Clone, Debug)]
pub(crate) enum Does {
    Fails(Failure),
    /// It takes the request, and is lost after so long.
    Dies {
        after: u64,
    },
    Answers {
        after: u64,
        status: u16,
        headers: Vec<(String, String)>,
        pieces: Vec<(u64, Vec<u8>)>,
        end: Ending,
    },
}

impl Does {
    pub(crate) fn status(status: u16, body: &str) -> Self {
        Self::Answers {
            after: 5,
            status,
            headers: vec![("content-type".to_owned(), "application/json".to_owned())],
            pieces: vec![(0, body.as_bytes().to_vec())],
            end: Ending::Close,
        }
    }

    /// A chat completion that says `ok`.
    pub(crate) fn completes() -> Self {
        Self::status(
            200,
            r#"{"id":"c","object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"ok"},"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":3,"total_tokens":12}}"#,
        )
    }

    /// An event stream of these pieces, one every 10 ms.
    pub(crate) fn streams(pieces: &[&str], end: Ending) -> Self {
        Self::Answers {
            after: 5,
            status: 200,
            headers: vec![("content-type".to_owned(), "text/event-stream".to_owned())],
            pieces: pieces
                .iter()
                .map(|piece| (10, piece.as_bytes().to_vec()))
                .collect(),
            end,
        }
    }

    /// The same, with other waits before its pieces.
    #[must_use]
    pub(crate) fn waiting(mut self, waits: &[u64]) -> Self {
        if let Self::Answers { pieces, .. } = &mut self {
            for ((wait, _), new) in pieces.iter_mut().zip(waits) {
                *wait = *new;
            }
        }
        self
    }

    #[must_use]
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        if let Self::Answers { headers, .. } = &mut self {
            headers.retain(|(known, _)| known != name);
            headers.push((name.to_owned(), value.to_owned()));
        }
        self
    }

    #[must_use]
    pub(crate) fn after(mut self, ms: u64) -> Self {
        if let Self::Answers { after, .. } = &mut self {
            *after = ms;
        }
        self
    }
}

/// A call as an upstream saw it.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) at: u64,
    pub(crate) url: String,
    pub(crate) method: String,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
    pub(crate) within: u64,
    pub(crate) last: bool,
}

/// What the client got, and how it came about.
#[derive(Clone, Debug, Default)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) log: Option<Value>,
    pub(crate) log_text: String,
    /// Whether its end was told ahead of its upstream's answer.
    pub(crate) ahead: bool,
    /// The names of the steps, in order.
    pub(crate) steps: Vec<&'static str>,
    pub(crate) sent: Vec<Sent>,
    pub(crate) pauses: Vec<u64>,
    /// When the client had the first byte of a stream, from the begin on.
    pub(crate) first_byte: Option<u64>,
    /// How long it took.
    pub(crate) took: u64,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).expect("UTF-8")
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    /// The stable code, wherever the shape has it.
    pub(crate) fn code(&self) -> String {
        let body: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        let code = body.get("code").or_else(|| body.get("error")?.get("code"));
        code.and_then(Value::as_str).unwrap_or_default().to_owned()
    }

    pub(crate) fn log(&self) -> &Value {
        self.log.as_ref().expect("a log line")
    }

    /// The data of a stream's events.
    pub(crate) fn events(&self) -> Vec<String> {
        let text = self.text();
        text.split("\n\n")
            .filter_map(|event| event.trim_start().strip_prefix("data: "))
            .map(str::to_owned)
            .collect()
    }
}

/// An object of the limiter: what it has in memory, and what is stored.
#[derive(Default)]
struct Meter {
    memory: Option<Vec<u8>>,
    stored: Option<Vec<u8>>,
}

/// Everything around the engine.
pub(crate) struct World {
    compiled: Compiled,
    engine: Engine,
    /// Another instance, which knows nothing of what the first one keeps and is often replaced.
    other: Engine,
    /// Whether the other instance takes every other step.
    pub(crate) replaces: bool,
    pub(crate) now: u64,
    random: u64,
    pub(crate) secrets: Vec<&'static str>,
    /// What each upstream does with its calls, by host.
    upstreams: BTreeMap<String, VecDeque<Does>>,
    meters: BTreeMap<String, Meter>,
    /// The isolate has no room for what must be held back.
    pub(crate) full: bool,
    pub(crate) meter_down: bool,
    /// What the decision point says, one after another; then it cannot be reached.
    pub(crate) decides: VecDeque<Result<&'static str, Undecided>>,
    /// What it was asked.
    pub(crate) questions: Vec<Decide>,
    /// After so many milliseconds a call is made again, as its token was not taken; 0: it is not.
    pub(crate) again: u64,
    /// One object that cannot be reached.
    pub(crate) down: Option<&'static str>,
    /// One object that decides, and whose answer is lost.
    pub(crate) mute: Option<&'static str>,
    /// How many of its answers are heard before.
    pub(crate) heard: usize,
    /// The objects that were asked or told, in order.
    pub(crate) objects: Vec<String>,
    /// Asks of the limiter so far.
    pub(crate) asked: usize,
    /// The answer of the issuer's URL.
    pub(crate) keys: Option<Vec<u8>>,
    pub(crate) keys_fetched: usize,
    /// How often it was asked beside requests, which did not wait for it.
    pub(crate) refreshed: usize,
    /// Before every ask, the object loses its memory.
    pub(crate) evicts: bool,
    /// Settlements so far.
    pub(crate) settled: usize,
    /// Settlements do not reach their objects.
    pub(crate) loses_settlements: bool,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::of(policy::compiled())
    }

    /// With a tree that was changed.
    pub(crate) fn with(change: impl FnOnce(&mut Compiled)) -> Self {
        let mut compiled = policy::compiled();
        change(&mut compiled);
        Self::of(compiled)
    }

    fn of(compiled: Compiled) -> Self {
        let secrets = vec!["KEYED_SECRET", "MAC_KEY", "PETS_SECRET", "SIGNING_KEY"];
        Self {
            engine: engine(&compiled, &secrets),
            other: engine(&compiled, &secrets),
            compiled,
            replaces: true,
            now: NOW,
            random: 42,
            secrets,
            upstreams: BTreeMap::new(),
            meters: BTreeMap::new(),
            full: false,
            meter_down: false,
            decides: VecDeque::new(),
            questions: Vec::new(),
            again: 0,
            down: None,
            mute: None,
            heard: 0,
            objects: Vec::new(),
            asked: 0,
            keys: None,
            keys_fetched: 0,
            refreshed: 0,
            evicts: false,
            settled: 0,
            loses_settlements: false,
        }
    }

    /// Without these secrets.
    pub(crate) fn without_secrets(mut self) -> Self {
        self.secrets.clear();
        self.engine = engine(&self.compiled, &self.secrets);
        self.other = engine(&self.compiled, &self.secrets);
        self
    }

    /// What the next calls of an upstream lead to.
    pub(crate) fn expect(&mut self, host: &str, does: impl IntoIterator<Item = Does>) -> &mut Self {
        self.upstreams.entry(host.to_owned()).or_default().extend(does);
        self
    }

    pub(crate) fn engine(&mut self) -> &mut Engine {
        &mut self.engine
    }

    pub(crate) fn rand(&mut self) -> u64 {
        // SplitMix64.
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn randoms(&mut self) -> Random {
        let mut bytes = [0; 40];
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&self.rand().to_le_bytes());
        }
        let part = |from: usize| bytes[from..from + 16].try_into().unwrap();
        Random {
            trace: part(0),
            id: part(16),
            span: bytes[32..].try_into().unwrap(),
            choice: self.rand(),
        }
    }

    /// Begins a request and gives the first step.
    pub(crate) fn begin(&mut self, request: &Request) -> Next {
        let mut head = Head {
            method: &request.method,
            url: &request.url,
            has_body: request.body.is_some() || request.broken.is_some(),
            ..Head::default()
        };
        for (slot, name) in head.headers.iter_mut().zip(HEAD_NAMES) {
            *slot = request.value(name);
        }
        let named = &self.compiled.headers;
        let named: Vec<_> = named.iter().map(|name| request.value(name)).collect();
        head.named = &named;
        let keys: Vec<_> = key_names(&self.compiled)
            .map(|name| request.value(name))
            .collect();
        head.keys = &keys;
        head.country = request.country.as_deref();
        head.certificate = request.certificate;
        head.proof = request.value(PROOF_NAME);
        let random = self.randoms();
        let next = self.engine.begin(&head, self.now, &random);
        self.refreshed += aside(&mut self.engine, self.keys.as_deref(), self.now);
        next
    }

    /// Carries a request on, through bytes, in another instance every other time.
    pub(crate) fn resume(&mut self, flight: Option<Flight>, event: Event<'_>) -> Next {
        let bytes = postcard::to_allocvec(&flight.expect("something in flight")).expect("it serializes");
        let mut flight: Flight = postcard::from_bytes(&bytes).expect("it deserializes");
        if matches!(event, Event::Answered(_)) {
            flight.repeated(self.again);
        }
        let random = self.rand();
        if self.replaces && random & 1 == 0 {
            if random.is_multiple_of(16) {
                self.other = engine(&self.compiled, &self.secrets);
            }
            let next = self.other.resume(flight, event, self.now, random);
            self.refreshed += aside(&mut self.other, self.keys.as_deref(), self.now);
            return next;
        }
        let next = self.engine.resume(flight, event, self.now, random);
        self.refreshed += aside(&mut self.engine, self.keys.as_deref(), self.now);
        next
    }

    /// Takes over what another world's objects know, as the next version of a Worker does.
    pub(crate) fn take_meters(&mut self, other: &mut Self) {
        self.meters = std::mem::take(&mut other.meters);
    }

    /// Hands a request's body in, where that is what is waited for.
    pub(crate) fn read(&mut self, request: &Request, next: Next) -> Next {
        match next.step {
            Step::ReadBody { .. } => {
                let body = request.body.clone().unwrap_or_default();
                self.resume(next.flight, Event::Body(Ok(&body)))
            }
            _ => next,
        }
    }

    /// The whole road of one request.
    #[expect(clippy::too_many_lines, reason = "a table: one arm for each step")]
    pub(crate) fn send(&mut self, request: &Request) -> Answer {
        let began = self.now;
        let mut answer = Answer::default();
        let mut next = self.begin(request);
        let (mut upstream, mut held) = (None::<Does>, Vec::<u8>::new());
        for _ in 0..MOST_STEPS {
            answer.steps.push(name(&next.step));
            let Next { step, flight } = next;
            next = match step {
                Step::Verify {
                    algorithm,
                    key,
                    input,
                    signature,
                } => self.resume(
                    flight,
                    Event::Verified(verify(algorithm, &key, &input, &signature)),
                ),
                // No other isolate is there that could share one.
                Step::FetchKeys(FetchKeys { copies, .. }) if copies.only => {
                    self.resume(flight, Event::Keys(None))
                }
                Step::FetchKeys(FetchKeys { url, max, .. }) => {
                    assert_eq!(url, policy::KEYS_URL);
                    self.keys_fetched += 1;
                    let keys = self.keys.clone().filter(|keys| keys.len() <= max as usize);
                    self.resume(flight, Event::Keys(keys.as_deref()))
                }
                Step::ReadBody { max } => {
                    let body = request.body.clone().unwrap_or_default();
                    let read = match request.broken {
                        Some(failure) => Err(failure),
                        None if body.len() as u64 > max => Err(BodyFailure::TooLarge),
                        None => Ok(body.as_slice()),
                    };
                    self.resume(flight, Event::Body(read))
                }
                Step::Meter { object, ask } => {
                    let decided = self.decide(&object, &ask);
                    self.resume(flight, Event::Metered(decided.as_deref()))
                }
                Step::Attempt(attempt) => {
                    let does = self.attempt(&attempt, request, &mut answer);
                    let next = match &does {
                        Does::Fails(failure) => self.resume(flight, Event::Answered(Err(*failure))),
                        Does::Dies { .. } => panic!("it was to become a failure"),
                        Does::Answers { status, headers, .. } => {
                            let mut theirs = AnswerHead {
                                status: *status,
                                ..AnswerHead::default()
                            };
                            for (slot, name) in theirs.headers.iter_mut().zip(ANSWER_NAMES) {
                                let found = headers.iter().find(|(known, _)| known == name);
                                *slot = found.map(|(_, value)| value.as_str());
                            }
                            let next = self.resume(flight, Event::Answered(Ok(theirs)));
                            // What was told ahead is what is told now.
                            let ahead = attempt
                                .ahead
                                .filter(|_| self.again == 0 && (200..600).contains(status));
                            answer.ahead = ahead.is_some();
                            if let Some(ahead) = ahead {
                                assert_eq!(next.step, Step::Finish(ahead.finish(*status, self.now)));
                            }
                            next
                        }
                    };
                    upstream = Some(does);
                    next
                }
                Step::ReadAnswer { max, within } => {
                    let read = self.read_answer(upstream.as_ref().expect("an answer"), max, within);
                    if let Ok(body) = &read {
                        held.clone_from(body);
                    }
                    self.resume(flight, Event::Answer(read.as_deref().map_err(|failure| *failure)))
                }
                Step::Decide(asked) => {
                    let says = self.decides.pop_front().unwrap_or(Err(Undecided::Unreachable));
                    if says == Err(Undecided::Late) {
                        self.now += asked.within;
                    }
                    self.questions.push(asked);
                    self.resume(flight, Event::Decided(says.map(str::as_bytes)))
                }
                Step::Pause { ms } => {
                    answer.pauses.push(ms);
                    self.now += ms;
                    self.resume(flight, Event::Paused)
                }
                Step::Relay(relay) => {
                    match self.relay(
                        relay,
                        flight,
                        upstream.as_ref().expect("an answer"),
                        request,
                        began,
                        &mut answer,
                    ) {
                        Some(next) => next,
                        None => {
                            answer.took = self.now - began;
                            return answer;
                        }
                    }
                }
                Step::Finish(finish) => {
                    answer.took = self.now - began;
                    self.finish(finish, upstream, held, &mut answer);
                    return answer;
                }
                Step::End { .. } => panic!("an end without a stream"),
                Step::Cold => {
                    let status = match (&*request.method, request.url.ends_with("/_turnpike/none")) {
                        (_, true) => 404,
                        ("OPTIONS", false) => 204,
                        _ => 200,
                    };
                    let theirs = AnswerHead {
                        status,
                        ..AnswerHead::default()
                    };
                    self.resume(flight, Event::Answered(Ok(theirs)))
                }
            };
        }
        panic!("no end: {:?}", answer.steps);
    }

    pub(crate) fn decide(&mut self, object: &str, ask: &[u8]) -> Option<Vec<u8>> {
        self.asked += 1;
        self.objects.push(object.to_owned());
        if self.meter_down || self.down.is_some_and(|down| object.starts_with(down)) {
            return None;
        }
        let meter = self.meters.entry(object.to_owned()).or_default();
        if self.evicts {
            meter.memory = None;
        }
        let resumed = match (&meter.memory, &meter.stored) {
            (None, Some(stored)) => Some(object::resume(stored).expect("what was stored")),
            (memory, _) => memory.clone(),
        };
        let decided = object::decide(resumed.as_deref(), ask, self.now).expect("a decision");
        if decided.persist.is_some() {
            meter.stored = decided.persist;
        }
        meter.memory = Some(decided.state);
        if self.mute.is_some_and(|mute| object.starts_with(mute)) {
            self.heard = self.heard.checked_sub(1)?;
        }
        Some(decided.answer)
    }

    fn attempt(&mut self, attempt: &Attempt, request: &Request, answer: &mut Answer) -> Does {
        let does = match &attempt.to {
            Upstream::Mock {
                status,
                headers,
                pieces,
                end,
            } => {
                let streams = headers
                    .iter()
                    .any(|(_, value)| value.starts_with("text/event-stream"));
                let mut pieces = pieces.clone();
                let mut after = 0;
                if let Some((wait, _)) = pieces.first_mut().filter(|_| !streams) {
                    after = std::mem::take(wait);
                }
                let headers = headers
                    .iter()
                    .map(|(name, value)| (name.to_string(), value.clone()))
                    .collect();
                Does::Answers {
                    after,
                    status: *status,
                    headers,
                    pieces,
                    end: *end,
                }
            }
            Upstream::Http {
                url,
                method,
                set,
                credential,
                copy,
                body,
            } => {
                let mut headers = BTreeMap::new();
                for list in copy {
                    for name in self.engine.names(*list) {
                        if let Some(value) = request.value(name) {
                            headers.insert(name.to_owned(), value.to_owned());
                        }
                    }
                }
                headers.extend(set.iter().map(|(name, value)| (name.to_string(), value.clone())));
                if let Some(carried) = credential {
                    let value = match &carried.value {
                        Carries::Secret(name) | Carries::Signed { key: name, .. }
                            if !self.secrets.contains(&name.as_str()) =>
                        {
                            return Does::Fails(Failure::SecretMissing);
                        }
                        Carries::Secret(_) => SECRET_VALUE.to_owned(),
                        // What is signed, for tests to look at.
                        Carries::Signed { claims, .. } => claims.clone(),
                        Carries::Granted(token) => format!("token-of-{}", token.client_id),
                    };
                    headers.insert(carried.header.clone(), format!("{}{value}", carried.prefix));
                }
                let client = request.body.clone().unwrap_or_default();
                let body = match body {
                    Outgoing::None => Vec::new(),
                    Outgoing::Client => client,
                    Outgoing::Held(edits) => apply(&client, edits),
                };
                answer.sent.push(Sent {
                    at: self.now,
                    url: url.clone(),
                    method: (*method).to_owned(),
                    headers,
                    body,
                    within: attempt.within,
                    last: attempt.last,
                });
                let host = url.split('/').nth(2).unwrap().split('.').next().unwrap();
                let scripted = self.upstreams.get_mut(host).and_then(VecDeque::pop_front);
                scripted.unwrap_or_else(Does::completes)
            }
        };
        match does {
            Does::Answers { after, .. } if after > attempt.within => {
                self.now += attempt.within;
                Does::Fails(Failure::Timeout)
            }
            Does::Answers { after, .. } => {
                self.now += after;
                does
            }
            Does::Fails(Failure::Timeout) => {
                self.now += attempt.within;
                does
            }
            Does::Dies { after } => {
                self.now += after.min(attempt.within);
                Does::Fails(if after > attempt.within {
                    Failure::Timeout
                } else {
                    Failure::Unreachable
                })
            }
            Does::Fails(_) => does,
        }
    }

    #[expect(clippy::panic_in_result_fn, reason = "these are tests")]
    fn read_answer(&mut self, does: &Does, max: u64, within: u64) -> Result<Vec<u8>, Failure> {
        let Does::Answers { pieces, end, .. } = does else {
            panic!("there is no answer to read")
        };
        let by = self.now + within;
        let mut body = Vec::new();
        for (wait, piece) in pieces {
            if self.now + wait > by {
                self.now = by;
                return Err(Failure::Timeout);
            }
            self.now += wait;
            body.extend_from_slice(piece);
            if body.len() as u64 > max {
                return Err(Failure::TooLarge);
            }
        }
        match end {
            Ending::Close => Ok(body),
            Ending::Lose => Err(Failure::Unreachable),
            Ending::Stall => {
                self.now = by;
                Err(Failure::Timeout)
            }
        }
    }

    /// Why so much cannot be held back, if it cannot.
    fn no_room(&self, held: usize, most: usize) -> Option<StreamEnd> {
        if held > most {
            return Some(StreamEnd::TooLarge);
        }
        (self.full && held > 0).then_some(StreamEnd::Busy)
    }

    /// Passes a stream on; gives the next step where somebody else may answer.
    fn relay(
        &mut self,
        relay: Relay,
        flight: Option<Flight>,
        does: &Does,
        request: &Request,
        began: u64,
        answer: &mut Answer,
    ) -> Option<Next> {
        let Does::Answers { pieces, end, .. } = does else {
            panic!("there is no stream to pass on")
        };
        let mut tracking = relay.tracking;
        let mut late = self.now + relay.within;
        let mut committed = relay.commit == CommitOn::Head;
        let (mut gone, mut over) = (false, false);
        let mut client = Vec::new();
        let mut held: Vec<u8> = Vec::new();
        let mut how = None;
        for (wait, piece) in pieces {
            let comes = self.now + wait;
            if let Some(leaves) = request.leaves.map(|after| began + after)
                && !gone
                && !over
                && committed
                && leaves <= comes.min(late)
            {
                gone = true;
                late = late.min(leaves + DRAIN);
            }
            if comes > late {
                self.now = late;
                how = Some(if gone {
                    StreamEnd::Abandoned
                } else {
                    StreamEnd::Late
                });
                break;
            }
            self.now = comes;
            let mut followed: Tracking =
                postcard::from_bytes(&tracking).expect("what is known of the stream");
            let mut passed = Vec::new();
            let progress = followed.feed(piece, self.now, &mut passed);
            tracking = postcard::to_allocvec(&followed).expect("it serializes");
            over = progress.over;
            if !gone {
                late = self.now + progress.within;
            }
            if relay.commit == CommitOn::FirstToken && progress.started && !progress.failed {
                committed = true;
            }
            held.extend_from_slice(if relay.filter { &passed } else { piece });
            if progress.failed && !committed {
                break;
            }
            if !committed && let Some(end) = self.no_room(held.len(), relay.hold as usize) {
                how = Some(end);
                break;
            }
            if committed && !gone && !held.is_empty() {
                answer.first_byte.get_or_insert(self.now - began);
                client.append(&mut held);
            }
        }
        let how = how.unwrap_or_else(|| match end {
            Ending::Close => StreamEnd::Closed,
            Ending::Lose => StreamEnd::Lost,
            Ending::Stall => {
                if let Some(leaves) = request.leaves.map(|after| began + after)
                    && committed
                    && !over
                    && leaves <= late
                {
                    gone = true;
                    late = late.min(leaves + DRAIN);
                }
                self.now = late.max(self.now);
                if gone {
                    StreamEnd::Abandoned
                } else {
                    StreamEnd::Late
                }
            }
        });
        let event = Event::Streamed {
            tracking: &tracking,
            end: how,
            client_gone: gone,
            committed,
        };
        let next = self.resume(flight, event);
        let Step::End { tail, log, settle } = next.step else {
            return Some(next);
        };
        answer.steps.push("end");
        if !gone {
            client.append(&mut held);
            client.extend_from_slice(&tail);
        }
        answer.status = relay.status;
        answer.headers = owned(relay.set);
        answer.body = client;
        answer.note(log);
        self.settle(&settle);
        None
    }

    fn finish(&mut self, finish: Finish, upstream: Option<Does>, held: Vec<u8>, answer: &mut Answer) {
        let mut headers = Vec::new();
        let mut body = Vec::new();
        if let Some(Does::Answers {
            headers: theirs,
            pieces,
            ..
        }) = upstream
        {
            if finish.copy {
                let allowed = &self.compiled.gateway.answer_headers;
                headers = theirs
                    .into_iter()
                    .filter(|(name, _)| allowed.contains(name))
                    .collect();
            }
            body = pieces.into_iter().flat_map(|(_, piece)| piece).collect();
        }
        for (name, value) in owned(finish.set) {
            if !matches!(name.as_str(), "vary" | "link") {
                headers.retain(|(known, _)| *known != name);
            }
            headers.push((name, value));
        }
        answer.status = finish.status;
        answer.headers = headers;
        answer.body = match finish.body {
            Reply::None => Vec::new(),
            Reply::Bytes(bytes) => bytes,
            Reply::Upstream => body,
            Reply::Held => held,
        };
        answer.note(finish.log);
        self.settle(&finish.settle);
    }

    /// Tells an object what was used.
    pub(crate) fn settle(&mut self, settled: &[Settled]) {
        for Settled { object, settle, .. } in settled {
            self.settled += 1;
            if self.loses_settlements {
                continue;
            }
            let asked = self.asked;
            self.decide(object, settle);
            self.asked = asked;
        }
    }
}

impl Answer {
    fn note(&mut self, log: Option<String>) {
        self.log = log
            .as_deref()
            .map(|line| serde_json::from_str(line).expect("a line of JSON"));
        self.log_text = log.unwrap_or_default();
    }
}

fn owned(set: Vec<(std::borrow::Cow<'static, str>, String)>) -> Vec<(String, String)> {
    set.into_iter()
        .map(|(name, value)| (name.into_owned(), value))
        .collect()
}

pub(crate) fn engine(compiled: &Compiled, secrets: &[&'static str]) -> Engine {
    Engine::new(policy::bundle(compiled.clone()), [3; 16], |name| {
        secrets.contains(&name).then(|| SECRET_VALUE.as_bytes().to_vec())
    })
}

/// The name of a step.
pub(crate) fn name(step: &Step) -> &'static str {
    match step {
        Step::Verify { .. } => "verify",
        Step::FetchKeys(_) => "keys",
        Step::Decide(_) => "decide",
        Step::ReadBody { .. } => "body",
        Step::Meter { .. } => "meter",
        Step::Attempt(_) => "attempt",
        Step::ReadAnswer { .. } => "answer",
        Step::Relay(_) => "relay",
        Step::Pause { .. } => "pause",
        Step::Finish(_) => "finish",
        Step::End { .. } => "end",
        Step::Cold => "cold",
    }
}

fn verify(algorithm: Algorithm, key: &str, input: &[u8], signature: &[u8]) -> bool {
    assert_eq!(algorithm, Algorithm::EdDSA);
    let jwk: JsonWebKey<'_> = serde_json::from_str(key).expect("a JWK");
    let key = <Ed25519 as Verifier>::VerifyingKey::try_from(&jwk).expect("a public key");
    <Ed25519 as Verifier>::Signature::try_from_slice(signature)
        .is_ok_and(|signature| Ed25519.verify_signature(&signature, &key, input))
}

/// A token of the consumer claim `app`, valid for ten minutes.
pub(crate) fn token(issuer: &str, change: impl FnOnce(&mut Value)) -> String {
    token_as(issuer, change, |claims| claims)
}

/// Signs a header and claims with [`PRIVATE`].
pub(crate) fn signed(header: &Value, claims: &Value) -> String {
    let part = |value: &Value| base64url(value.to_string().as_bytes());
    let input = format!("{}.{}", part(header), part(claims));
    format!("{input}.{}", base64url(&by_private(&input)))
}

fn by_private(input: &str) -> Vec<u8> {
    let jwk: JsonWebKey<'_> = serde_json::from_str(PRIVATE).unwrap();
    let key = <Ed25519 as Verifier>::SigningKey::try_from(&jwk).unwrap();
    jwt_compact::AlgorithmSignature::as_bytes(&Ed25519.sign(&key, input.as_bytes())).into_owned()
}

/// The same, with its claims written as `write` has them.
pub(crate) fn token_as(
    issuer: &str,
    change: impl FnOnce(&mut Value),
    write: impl FnOnce(String) -> String,
) -> String {
    let seconds = NOW / 1000;
    let mut claims = json!({
        "iss": issuer, "aud": AUDIENCE, "sub": "somebody", "client_id": "app",
        "iat": seconds - 10, "exp": seconds + 600, "scope": "pets:write",
    });
    change(&mut claims);
    let algorithm = if issuer == policy::SECRET {
        "HS256"
    } else {
        "EdDSA"
    };
    let header = json!({ "alg": algorithm, "typ": "JWT", "kid": "ed" });
    let input = format!(
        "{}.{}",
        base64url(header.to_string().as_bytes()),
        base64url(write(claims.to_string()).as_bytes())
    );
    let signature = if algorithm == "HS256" {
        Hs256
            .sign(&Hs256Key::new(SECRET_VALUE), input.as_bytes())
            .as_bytes()
            .into_owned()
    } else {
        by_private(&input)
    };
    format!("{input}.{}", base64url(&signature))
}

pub(crate) fn base64url(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let number = (0..3).fold(0usize, |n, i| n << 8 | usize::from(*chunk.get(i).unwrap_or(&0)));
        for place in 0..=chunk.len() {
            text.push(char::from(ALPHABET[number >> (18 - 6 * place) & 63]));
        }
    }
    text
}

/// Carries out what is to be done beside a request; how many fetches that took.
fn aside(engine: &mut Engine, keys: Option<&[u8]>, now: u64) -> usize {
    let mut fetched = 0;
    let mut next = engine.errand(now);
    while let Some(Next {
        step: Step::FetchKeys(_),
        flight: Some(flight),
    }) = next
    {
        fetched += 1;
        let bytes = postcard::to_allocvec(&flight).expect("it serializes");
        let flight = postcard::from_bytes(&bytes).expect("it deserializes");
        next = Some(engine.resume(flight, Event::Keys(keys), now, 0));
    }
    fetched
}

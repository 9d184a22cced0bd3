//! What the engine asks of the outside, and what the outside tells it.
//!
//! The engine does nothing itself. It is handed the head of a request and the time, and answers
//! with one [`Step`]; whoever runs it carries the step out and comes back with the [`Event`] that
//! followed. A step says everything that is needed to carry it out, so that the one who does decides
//! nothing of what a request may do. What is left to it (how a granted token is had, that a call is repeated with
//! another one, an end that was told ahead) is in docs/architecture.md.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use turnpike_llm::chat::Edit;
use turnpike_policy::{Algorithm, Compiled, GrantedToken, Millis, Reason};

use crate::account::Settled;
pub use crate::identify::ClientCertificate;

/// The request headers that the engine reads, in the order in which their values are handed in. Those
/// of a body (`content-...`) are asked for only where there is one.
pub const HEAD_NAMES: [&str; 12] = [
    "authorization",
    "x-api-key",
    "api-key",
    "content-type",
    "content-length",
    "cf-connecting-ip",
    "traceparent",
    "origin",
    "access-control-request-method",
    "prefer",
    "content-encoding",
    "x-goog-api-key",
];

/// The head of a client's request.
#[derive(Clone, Copy, Debug, Default)]
pub struct Head<'a> {
    /// The method's token.
    pub method: &'a str,
    /// The absolute URL.
    pub url: &'a str,
    /// Whether there is a body.
    pub has_body: bool,
    /// Values of [`HEAD_NAMES`], in that order; values of a repeated header are joined by `, `.
    pub headers: [Option<&'a str>; HEAD_NAMES.len()],
    /// Values of [`turnpike_policy::Compiled::headers`], in that order, joined in the same way; what is
    /// missing here was not sent.
    pub named: &'a [Option<&'a str>],
    /// Values of the headers of [`key_names`], in that order, joined in the same way.
    pub keys: &'a [Option<&'a str>],
    /// The country that the request comes from, as the platform tells it: handed in where
    /// [`turnpike_policy::Compiled::country`] asks for it, and never what a client said.
    pub country: Option<&'a str>,
    /// What the platform says of the client's certificate: handed in where
    /// [`turnpike_policy::Compiled::client_certificates`] asks for it, and never what a client said.
    pub certificate: Option<ClientCertificate<'a>>,
    /// `DPoP`, where [`turnpike_policy::Compiled::dpop`] asks for it, joined as the others.
    pub proof: Option<&'a str>,
}

/// The request header that carries a proof (RFC 9449, 4.1).
pub const PROOF_NAME: &str = "dpop";

/// The request headers that may carry an API key because a policy says so, and that are not among
/// [`HEAD_NAMES`].
pub fn key_names(policy: &Compiled) -> impl Iterator<Item = &str> {
    let names = policy.gateway.api_keys.headers.iter().map(String::as_str);
    names.filter(|name| !HEAD_NAMES.contains(name))
}

impl<'a> Head<'a> {
    /// The value of one of [`HEAD_NAMES`].
    pub fn header(&self, name: &str) -> Option<&'a str> {
        let place = HEAD_NAMES.iter().position(|known| *known == name)?;
        self.headers.get(place).copied().flatten()
    }
}

/// The answer headers that the engine reads, in the order in which their values are handed in.
pub const ANSWER_NAMES: [&str; 4] = ["content-type", "content-length", "retry-after", "retry-after-ms"];

/// The head of an upstream's answer.
#[derive(Clone, Copy, Debug, Default)]
pub struct AnswerHead<'a> {
    /// Its status.
    pub status: u16,
    /// Values of [`ANSWER_NAMES`], in that order.
    pub headers: [Option<&'a str>; ANSWER_NAMES.len()],
}

impl<'a> AnswerHead<'a> {
    /// The value of one of [`ANSWER_NAMES`].
    pub fn header(&self, name: &str) -> Option<&'a str> {
        let place = ANSWER_NAMES.iter().position(|known| *known == name)?;
        self.headers.get(place).copied().flatten()
    }
}

/// What followed a step.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// After [`Step::Verify`]: whether the signature is right.
    Verified(bool),
    /// After [`Step::FetchKeys`]: a copy of a key set or of metadata that another isolate has shared, and its age.
    Copied(&'a [u8], Millis),
    /// After [`Step::FetchKeys`]: the bytes of a key set or of metadata, or that there are none to be had.
    Keys(Option<&'a [u8]>),
    /// After [`Step::ReadBody`].
    Body(Result<&'a [u8], BodyFailure>),
    /// After [`Step::Meter`]: the object's answer, or that it could not be asked.
    Metered(Option<&'a [u8]>),
    /// After [`Step::Attempt`].
    Answered(Result<AnswerHead<'a>, Failure>),
    /// After [`Step::ReadAnswer`].
    Answer(Result<&'a [u8], Failure>),
    /// After [`Step::Decide`]: the bytes of an answer of status 200 in JSON, or why there is none.
    Decided(Result<&'a [u8], Undecided>),
    /// After [`Step::Pause`].
    Paused,
    /// After [`Step::Relay`]: how the stream ended, and what was learnt from it.
    Streamed {
        /// What [`crate::relay::Tracking`] holds at the end.
        tracking: &'a [u8],
        /// How it ended.
        end: StreamEnd,
        /// Whether the client had gone by then.
        client_gone: bool,
        /// Whether the client has been sent a part of this answer.
        committed: bool,
    },
}

/// Why a client's body could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyFailure {
    /// It is larger than the step allowed.
    TooLarge,
    /// It did not come in time, or its connection was lost.
    Incomplete,
    /// This isolate holds as many bytes as it may.
    Busy,
    /// It holds as many of this caller as it may.
    Share,
}

/// Why an attempt has no answer, or lost it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Failure {
    /// No connection, or it was lost.
    Unreachable,
    /// It took longer than the step allowed.
    Timeout,
    /// The answer is larger than the step allowed.
    TooLarge,
    /// A secret that the step names is not there.
    SecretMissing,
    /// This isolate holds as many bytes as it may.
    Busy,
    /// The client has left, and the time for hearing the upstream out is over.
    Abandoned,
    /// The gateway's own token for the upstream cannot be had.
    NoToken,
    /// The client had left before it was made: it was not made.
    Unsent,
}

/// Why a service that decides gave no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Undecided {
    /// No connection, or it was lost.
    Unreachable,
    /// It took longer than the step allowed.
    Late,
    /// The answer is larger than the step allowed.
    TooLarge,
    /// The secret that the step names is not there.
    SecretMissing,
    /// This isolate holds as many bytes as it may.
    Busy,
    /// It is of this other status than 200; redirects are not followed.
    Status(u16),
    /// It is not in JSON, by its `content-type`.
    NotJson,
}

impl Undecided {
    /// Whether another question would fare no better: what else is wrong may be wrong with this one alone.
    pub(crate) const fn is_of_the_point(self) -> bool {
        match self {
            Self::Unreachable | Self::Late | Self::SecretMissing => true,
            Self::Status(status) => matches!(status, 401 | 403 | 429 | 500..),
            Self::TooLarge | Self::Busy | Self::NotJson => false,
        }
    }

    /// The same in words, for the log.
    pub(crate) fn why(self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::Unreachable => "it cannot be reached",
            Self::Late => "it did not answer in time",
            Self::TooLarge => "its answer is too large",
            Self::SecretMissing => "the secret for it is missing",
            Self::Busy => "this isolate holds as much as it may",
            Self::Status(status) => return Cow::Owned(format!("it answered {status}")),
            Self::NotJson => "its answer is not in JSON",
        })
    }
}

/// How a stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StreamEnd {
    /// The upstream closed it.
    Closed,
    /// The connection was lost.
    Lost,
    /// A deadline passed.
    Late,
    /// The client has gone and the time for draining is over.
    Abandoned,
    /// More would have to be held back than may be.
    TooLarge,
    /// This isolate holds as many bytes as it may, before the answer was the client's.
    Busy,
}

/// The next thing to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Verify a signature, come back with [`Event::Verified`].
    Verify {
        /// The algorithm, fixed by the policy and the key.
        algorithm: Algorithm,
        /// The public key as a JWK.
        key: String,
        /// What was signed.
        input: Vec<u8>,
        /// The signature.
        signature: Vec<u8>,
    },
    /// Fetch a key set or metadata, come back with [`Event::Keys`] or [`Event::Copied`].
    FetchKeys(FetchKeys),
    /// Read the client's body (or hand in again what was read), come back with [`Event::Body`].
    ReadBody {
        /// Upper bound of its size, in bytes.
        max: u64,
    },
    /// Ask the object of a subject, come back with [`Event::Metered`].
    Meter {
        /// The object's name.
        object: String,
        /// The question.
        ask: Vec<u8>,
    },
    /// Ask an upstream, come back with [`Event::Answered`].
    Attempt(Attempt),
    /// Read the whole of the upstream's answer, come back with [`Event::Answer`].
    ReadAnswer {
        /// Upper bound of its size, in bytes.
        max: u64,
        /// By when it must be there, in milliseconds from now.
        within: u64,
    },
    /// Pass the upstream's stream on, following it, come back with [`Event::Streamed`].
    Relay(Relay),
    /// Ask a service that decides, come back with [`Event::Decided`].
    Decide(Decide),
    /// Let time pass, come back with [`Event::Paused`].
    Pause {
        /// How long, in milliseconds.
        ms: u64,
    },
    /// Answer the client; nothing more is to be done.
    Finish(Finish),
    /// End a stream that has begun; nothing more is to be done.
    End {
        /// What to append before it is closed: an error event, or nothing.
        tail: Vec<u8>,
        /// The log line.
        log: Option<String>,
        /// Whom to tell what was used.
        settle: Vec<Settled>,
    },
    /// Hand the request to the half of the Worker that is off the hot path.
    Cold,
}

impl Step {
    /// The end of what answers nobody.
    pub(crate) fn nothing() -> Self {
        Self::End {
            tail: Vec::new(),
            log: None,
            settle: Vec::new(),
        }
    }
}

/// A key set or metadata of an issuer to fetch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchKeys {
    /// Its URL; redirects are not followed.
    pub url: String,
    /// Upper bound of its size, in bytes.
    pub max: u32,
    /// Which copy will do.
    pub copies: Copies,
}

/// How old a copy may be that isolates of one place share, from when the issuer was asked, in milliseconds; 0: none
/// will do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Copies {
    /// In place of asking the issuer.
    pub fresh: Millis,
    /// Where it was asked, and has not answered.
    pub stale: Millis,
    /// Nothing else will do: the issuer was asked, and what it answered is of no use.
    pub only: bool,
}

/// A question to a service that decides, a decision point or the issuer of an opaque token: a POST. Redirects are not
/// followed, and nothing is cached on the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decide {
    /// The URL.
    pub url: String,
    /// The question: JSON, or a form where there is a `client`.
    pub body: String,
    /// The Worker secret that is sent: as a bearer token, or as that of `client`.
    pub secret: Option<String>,
    /// Who asks, where it is a client of an authorization server (RFC 6749, 2.3.1).
    pub client: Option<Client>,
    /// Upper bound of the answer, in bytes.
    pub max: u32,
    /// How long the whole answer may take, in milliseconds.
    pub within: u64,
}

/// A client of an authorization server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// Its name there.
    pub id: String,
    /// Whether its secret is sent in the form; else by HTTP Basic.
    pub post: bool,
}

/// One call of an upstream.
#[derive(Clone, Debug, PartialEq)]
pub struct Attempt {
    /// Who is asked.
    pub to: Upstream,
    /// How long the head of the answer may take, in milliseconds.
    pub within: u64,
    /// Up to how many bytes of a good answer (2xx) will be read whole, which whoever carries this out may
    /// do at once, within the same time, to tell [`Event::Answered`] and [`Event::Answer`] together.
    /// 0: it will not be.
    pub whole: u64,
    /// Whether it is the last that the request asks for, and its answer is read whole: given up, it is given up with the
    /// request, and needs no way to be ended by itself.
    pub last: bool,
    /// How the request ends if the upstream answers, where that is known before: whoever carries this out may end it
    /// so, instead of telling [`Event::Answered`] of an answer with a final status.
    pub ahead: Option<Box<Ahead>>,
}

/// How the request ends whose operation is answered by its upstream, but for the status and the time, which only then
/// are known: the same [`Finish`] as for [`Event::Answered`], without another call of the engine.
#[derive(Clone, Debug, PartialEq)]
pub struct Ahead {
    /// Headers to set, over the allowed ones of the upstream's answer.
    pub set: Vec<(Cow<'static, str>, String)>,
    /// Whether the client gets the upstream's body, where there is one.
    pub body: bool,
    /// When the request came, in Unix milliseconds.
    pub began: u64,
    /// When its upstream was asked, in Unix milliseconds.
    pub attempted: u64,
    /// The log line in pieces: between them stand the milliseconds since `began`, the status, the milliseconds since
    /// `attempted`, and the status again.
    pub line: [String; 5],
    /// Whether only failures (a status from 400 on) are logged.
    pub failures_only: bool,
}

impl Ahead {
    /// The end of the request, now that the upstream has answered with this status.
    pub fn finish(self, status: u16, now: u64) -> Finish {
        let known = [
            now.saturating_sub(self.began),
            status.into(),
            now.saturating_sub(self.attempted),
            status.into(),
        ];
        let mut log = String::new();
        for (place, piece) in self.line.iter().enumerate() {
            log.push_str(piece);
            log.extend(known.get(place).map(u64::to_string));
        }
        let body = self.body && !matches!(status, 204 | 205 | 304);
        Finish {
            status,
            set: self.set,
            copy: true,
            body: if body { Reply::Upstream } else { Reply::None },
            log: (status >= 400 || !self.failures_only).then_some(log),
            settle: Vec::new(),
        }
    }
}

/// Who is asked.
#[derive(Clone, Debug, PartialEq)]
pub enum Upstream {
    /// An HTTP upstream. Redirects are not followed, and nothing is cached on the way.
    Http {
        /// The URL.
        url: String,
        /// The method.
        method: &'static str,
        /// Headers to set.
        set: Vec<(Cow<'static, str>, String)>,
        /// The gateway's own credential.
        credential: Option<Carried>,
        /// Which lists of the client's headers are copied first: see [`crate::Engine::names`].
        copy: Vec<u32>,
        /// The body.
        body: Outgoing,
    },
    /// A scripted answer, played as if it came from outside.
    Mock {
        /// Its status.
        status: u16,
        /// Its headers.
        headers: Vec<(Cow<'static, str>, String)>,
        /// What it consists of: how long to wait, in milliseconds, then which bytes.
        pieces: Vec<(u64, Vec<u8>)>,
        /// How it ends.
        end: Ending,
    },
}

/// A credential of the gateway's own, and the header that carries it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Carried {
    /// The header's name.
    pub header: String,
    /// What stands before the value.
    pub prefix: String,
    /// Where the value comes from.
    pub value: Value,
}

/// Where the value of a credential comes from. What it is, the engine never sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// The Worker secret of this name.
    Secret(String),
    /// A token to be signed, or one with the same claims that was signed in the first half of its lifetime.
    Signed {
        /// The algorithm.
        algorithm: Algorithm,
        /// The Worker secret that holds the private key, as a JWK.
        key: String,
        /// A JSON object with its claims, but for `iat` and `exp`.
        claims: String,
        /// How long it is good, in milliseconds.
        lifetime: u64,
    },
    /// A token that is granted. Where the upstream answers 401 to it, the call is made once more with another one, if
    /// there is and its body can be sent again: see [`crate::Flight::repeated`].
    Granted(Box<GrantedToken>),
}

/// How a scripted answer ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It is closed.
    Close,
    /// Its connection is lost.
    Lose,
    /// Nothing more comes.
    Stall,
}

/// What is sent to an upstream as body.
#[derive(Clone, Debug, PartialEq)]
pub enum Outgoing {
    /// Nothing.
    None,
    /// The client's body, as it comes.
    Client,
    /// The client's body, which was read, with these edits.
    Held(Vec<Edit>),
}

/// An answer to the client.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Finish {
    /// Its status.
    pub status: u16,
    /// Headers to set.
    pub set: Vec<(Cow<'static, str>, String)>,
    /// Whether the allowed headers of the upstream's answer are copied first.
    pub copy: bool,
    /// Its body.
    pub body: Reply,
    /// The log line.
    pub log: Option<String>,
    /// Whom to tell what was used, once the client has the last byte.
    pub settle: Vec<Settled>,
}

/// The body of an answer to the client.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Reply {
    /// None.
    #[default]
    None,
    /// These bytes.
    Bytes(Vec<u8>),
    /// The upstream's, as it comes.
    Upstream,
    /// The upstream's, which was read.
    Held,
}

/// A stream that is passed on and followed.
#[derive(Clone, Debug, PartialEq)]
pub struct Relay {
    /// The status.
    pub status: u16,
    /// Headers to set.
    pub set: Vec<(Cow<'static, str>, String)>,
    /// Whether bytes may change on their way. If not, they are passed on untouched and a copy is
    /// followed.
    pub filter: bool,
    /// When the answer is the client's.
    pub commit: CommitOn,
    /// What following begins with: see [`crate::relay::Tracking`].
    pub tracking: Vec<u8>,
    /// How many bytes may be held back before the answer is the client's.
    pub hold: u32,
    /// By when the next progress must be there, in milliseconds from now.
    pub within: u64,
}

/// When a stream is the client's, so that no other upstream is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommitOn {
    /// At once: there is nobody else to ask.
    Head,
    /// With its first token.
    FirstToken,
    /// When it is whole.
    Whole,
}

/// What an attempt came to, for the log and for what comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// An answer that counts.
    Good,
    /// A failure for which another try may be right.
    Retriable(Reason),
    /// A failure that another try would not mend.
    Final,
}

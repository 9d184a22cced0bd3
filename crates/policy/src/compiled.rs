//! A policy tree as it is run: checked, sorted, defaults filled, references resolved to indices.
//!
//! This is also the canonical form: the same rules, however written, give the same bytes. Whatever
//! is looked up at run time is kept in the order of its look-up. An index (`u32`) always points
//! into the list that its documentation names; the checker is the only maker of these values.

use serde::{Deserialize, Serialize};

use crate::Lazy;
use crate::decision::{DecisionPoint, Relation};
use crate::introspection::Introspection;
use crate::rule::{Claim, Rule, UpstreamHeader};

/// Milliseconds.
pub type Millis = u64;
/// Milliseconds since the Unix epoch.
pub type Timestamp = u64;

/// All that one gateway does in one environment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Compiled {
    /// Rules for the gateway as a whole.
    pub gateway: Gateway,
    /// Who may issue tokens, sorted by [`Issuer::issuer`].
    pub issuers: Vec<Issuer>,
    /// Limits by plan, sorted by name.
    pub plans: Vec<Plan>,
    /// Who may call, sorted by name.
    pub consumers: Lazy<Consumer>,
    /// API keys by the SHA-256 of the whole key, sorted by it.
    pub keys: Vec<KeyCredential>,
    /// Token identities, sorted by issuer index, then by the value of its consumer claim.
    pub identities: Lazy<Identity>,
    /// Client certificates, sorted by [`CertificateCredential::by`].
    pub certificates: Vec<CertificateCredential>,
    /// Published APIs, one entry for each version, sorted by name, then version.
    pub apis: Lazy<Api>,
    /// Every operation of every API.
    pub operations: Lazy<Operation>,
    /// Method and path to operation or model surface.
    pub routes: Routes,
    /// Models as clients name them, sorted by name.
    pub models: Vec<Model>,
    /// Where models run, sorted by name.
    pub providers: Vec<Provider>,
    /// Scripted answers of mock providers, sorted by name.
    pub mocks: Vec<Mock>,
    /// The time zones that limits name, sorted by name.
    pub zones: Vec<Zone>,
    /// The claims of tokens that something looks at, sorted by path.
    pub claims: Vec<Claim>,
    /// The request headers that limits count by, lower case, sorted.
    pub headers: Vec<String>,
    /// Names of the Worker secrets that something in this tree needs, sorted, each once.
    pub secrets: Vec<String>,
    /// Services that decide, sorted by name.
    pub points: Vec<DecisionPoint>,
    /// Whether a rule asks for the country that a request comes from, so that it must be known.
    pub country: bool,
    /// Whether client certificates prove anything here, so that they must be known.
    pub client_certificates: bool,
    /// Whether tokens may be bound to a key by DPoP here, so that proofs must be known.
    pub dpop: bool,
    /// Whether an operator may deny somebody something here, so that the list of denials must be known.
    pub denials: bool,
}

#[cfg(feature = "source")]
impl Compiled {
    /// Every condition of every operation and model.
    pub(crate) fn rules(&self) -> impl Iterator<Item = &Rule> {
        let models = self.models.iter().flat_map(|model| &model.rules);
        self.operations
            .iter()
            .flat_map(|operation| &operation.rules)
            .chain(models)
    }
}

/// Rules for the gateway as a whole.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Gateway {
    /// Its name, as in `gateway.yaml`.
    pub name: String,
    /// The environment that this tree was compiled for.
    pub environment: String,
    /// Host names answered, lower case, without port; empty: every one.
    pub hosts: Vec<String>,
    /// The limit per client address that is taken before identification; always there.
    pub shield: Rate,
    /// Upper bound of a request body, in bytes; operations may be lower.
    pub max_body: u64,
    /// Request headers that reach every upstream, lower case, sorted.
    pub forward_headers: Vec<String>,
    /// Answer headers of upstreams that reach the client, lower case, sorted.
    pub answer_headers: Vec<String>,
    /// Cross-origin rules; none: browsers of other origins are refused.
    pub cors: Option<Cors>,
    /// Whether answers say how the caller's limits stand; else only those do that a limit refused.
    pub limit_headers: bool,
    /// Which requests leave a log line.
    pub log: LogRequests,
    /// Whether refusals name the policy line that decided (environments that allow it).
    pub explain: bool,
    /// Whether a request may steer a mock by `Prefer` (environments that allow mocks).
    pub mocks: bool,
    /// Whether every answer names the hash of the policies (`x-turnpike-policy`).
    pub show_hash: bool,
    /// Where API keys may come besides `Authorization: Bearer`.
    pub api_keys: ApiKeys,
    /// What signs the gateway's own tokens; none: it signs none.
    pub signing: Option<Signing>,
}

/// Where API keys may come in a request, besides `Authorization: Bearer`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiKeys {
    /// Request headers, lower case, sorted.
    pub headers: Vec<String>,
    /// Schemes of `Authorization`, lower case, sorted.
    pub schemes: Vec<String>,
    /// Query parameters, sorted. They are never passed on, and not logged.
    pub query: Vec<String>,
    /// From when on those of the query are no credentials any more.
    pub query_until: Timestamp,
}

/// Which requests leave a log line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum LogRequests {
    /// Every one.
    #[default]
    All,
    /// Those that were refused or failed (status 400 and above, or a broken stream).
    Failures,
}

/// Cross-origin resource sharing, as in the Fetch standard.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Cors {
    /// Allowed origins, exact, sorted; `*` alone: every one (then never with credentials).
    pub origins: Vec<String>,
    /// Request headers a browser may send, lower case, sorted.
    pub headers: Vec<String>,
    /// Answer headers a page may read, lower case, sorted.
    pub expose: Vec<String>,
    /// How long a browser may keep a preflight's answer, in seconds.
    pub max_age: u32,
}

/// An issuer of tokens that is trusted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Issuer {
    /// Its name in the tree.
    pub name: String,
    /// What `iss` must equal, byte for byte.
    pub issuer: String,
    /// Any one of these must be in `aud`; never empty.
    pub audience: Vec<String>,
    /// The algorithms that are accepted, never mixing HMAC with others; empty only if its tokens are all opaque.
    pub algorithms: Vec<Algorithm>,
    /// The claim that names the consumer, for example `client_id` or `sub`.
    pub consumer_claim: String,
    /// How far clocks may differ, in seconds.
    pub clock_skew: u32,
    /// The longest lifetime (`exp` - `iat`) accepted, in seconds.
    pub max_lifetime: Option<u32>,
    /// Whether tokens must say that they are access tokens (`typ: at+jwt`, RFC 9068).
    pub access_tokens: bool,
    /// Tokens that are bound to a key of the client's (`cnf.jkt`, RFC 9449).
    pub dpop: Binding,
    /// Tokens that are bound to a certificate of the client's (`cnf.x5t#S256`, RFC 8705).
    pub certificate_bound: Binding,
    /// Where the keys come from.
    pub keys: Keys,
    /// How it is asked about its opaque tokens; none: it has none.
    pub introspection: Option<Introspection>,
}

/// Whether tokens that are bound to something of the client's are taken (RFC 7800).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Binding {
    /// They are refused.
    #[default]
    Refused,
    /// They are taken, with the proof; others too.
    Accepted,
    /// Only they are taken.
    Required,
}

/// The algorithms that DPoP proofs may be signed with, by their names: all that are built, but for those of shared keys.
pub const DPOP_ALGORITHMS: &str = "RS256 RS384 RS512 PS256 PS384 PS512 ES256 ES384 EdDSA";

impl Issuer {
    /// Whether clients are told to ask it for a token: it has a URL, and keys that anybody may check.
    pub fn is_public(&self) -> bool {
        self.issuer.starts_with("https://") && !matches!(self.keys, Keys::Secret(_))
    }
}

/// Where the keys of an issuer come from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Keys {
    /// A JWKS in the tree: each public key as JSON text (RFC 7517), only its public members.
    Inline(Vec<String>),
    /// The URL of a JWKS, `https` unless the environment allows otherwise.
    Url(String),
    /// The URL of the issuer's metadata (`OpenID` Connect Discovery, RFC 8414), which say where its
    /// keys are.
    Discovered {
        /// The metadata's URL.
        url: String,
        /// Origins at which the keys may be, beside that of the metadata, sorted.
        origins: Vec<String>,
    },
    /// The name of a Worker secret that holds an HMAC key.
    Secret(String),
}

/// A JWS algorithm (RFC 7518, RFC 8037).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names are those of the standard")]
pub enum Algorithm {
    HS256,
    HS384,
    HS512,
    RS256,
    RS384,
    RS512,
    PS256,
    PS384,
    PS512,
    ES256,
    ES384,
    EdDSA,
}

impl Algorithm {
    /// Every algorithm, in the order of the enum.
    pub const ALL: [Self; 12] = [
        Self::HS256,
        Self::HS384,
        Self::HS512,
        Self::RS256,
        Self::RS384,
        Self::RS512,
        Self::PS256,
        Self::PS384,
        Self::PS512,
        Self::ES256,
        Self::ES384,
        Self::EdDSA,
    ];

    /// The value of `alg` that names it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::HS256 => "HS256",
            Self::HS384 => "HS384",
            Self::HS512 => "HS512",
            Self::RS256 => "RS256",
            Self::RS384 => "RS384",
            Self::RS512 => "RS512",
            Self::PS256 => "PS256",
            Self::PS384 => "PS384",
            Self::PS512 => "PS512",
            Self::ES256 => "ES256",
            Self::ES384 => "ES384",
            Self::EdDSA => "EdDSA",
        }
    }

    /// The algorithm that a value of `alg` names.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name() == name)
    }

    /// The one kind of key that it is used with.
    pub const fn key_kind(self) -> KeyKind {
        match self {
            Self::HS256 | Self::HS384 | Self::HS512 => KeyKind::Secret,
            Self::RS256 | Self::RS384 | Self::RS512 | Self::PS256 | Self::PS384 | Self::PS512 => KeyKind::Rsa,
            Self::ES256 => KeyKind::P256,
            Self::ES384 => KeyKind::P384,
            Self::EdDSA => KeyKind::Ed25519,
        }
    }

    /// Whether its key is a shared secret.
    pub const fn is_hmac(self) -> bool {
        matches!(self.key_kind(), KeyKind::Secret)
    }
}

/// What kind of key an algorithm is used with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum KeyKind {
    /// A shared secret, never in a key set.
    Secret,
    /// RSA, for either padding and any hash (RFC 7518, 3.3 and 3.5).
    Rsa,
    /// The curve P-256 (RFC 7518, 3.4).
    P256,
    /// The curve P-384 (RFC 7518, 3.4).
    P384,
    /// Edwards25519 (RFC 8037).
    Ed25519,
}

impl KeyKind {
    /// The kind of a public JWK by its `kty` and `crv`; none if it has no use here.
    pub fn of(kty: &str, crv: Option<&str>) -> Option<Self> {
        match (kty, crv) {
            ("RSA", _) => Some(Self::Rsa),
            ("EC", Some("P-256")) => Some(Self::P256),
            ("EC", Some("P-384")) => Some(Self::P384),
            ("OKP", Some("Ed25519")) => Some(Self::Ed25519),
            _ => None,
        }
    }

    /// The algorithm that a JWK's own `alg` names, if it is one for this kind of key. RFC 9864 calls
    /// `EdDSA` with this curve `Ed25519`.
    pub fn algorithm(self, alg: &str) -> Option<Algorithm> {
        let alg = if self == Self::Ed25519 && alg == "Ed25519" {
            "EdDSA"
        } else {
            alg
        };
        Algorithm::from_name(alg).filter(|algorithm| algorithm.key_kind() == self)
    }
}

/// What a consumer may spend.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Its name.
    pub name: String,
    /// All of these hold at once; never empty; sorted by [`Limit::id`].
    pub limits: Vec<Limit>,
    /// How exactly they are kept.
    pub precision: Precision,
    /// What happens when the limiter cannot be reached.
    pub on_error: OnError,
    /// Until when that may be [`OnError::Open`], where only an exception allows it (Unix milliseconds).
    pub open_until: Option<Timestamp>,
}

/// One limit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limit {
    /// A name that is stable across deploys, for example `free:rate-60s`.
    pub id: String,
    /// What is limited.
    pub kind: LimitKind,
    /// Where its days and months are counted: a name in [`Compiled::zones`]; none: in UTC.
    pub zone: Option<String>,
    /// What is counted separately: sorted, each once, never empty.
    pub subject: Vec<SubjectPart>,
    /// The models that it is for, by name, sorted; none: all, and APIs too.
    pub models: Vec<String>,
    /// How exactly it is kept.
    pub precision: Precision,
    /// Over which objects it is spread; none: it has one. Never of budgets, and not where isolates count alone.
    pub split: Option<Split>,
    /// It is counted and reported, and holds nobody back.
    pub shadow: bool,
    /// Where it was written: `policies/plans/free.yaml:4`.
    pub origin: String,
}

/// How a limit is spread over objects, each of which keeps one equal part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Split {
    /// How many parts are in use, each in an object of its own: 1 to `parts`.
    pub objects: u8,
    /// How many equal parts the limit is divided into: 2 to [`Self::MOST`].
    pub parts: u8,
}

impl Split {
    /// The most parts.
    pub const MOST: u8 = 64;
    /// The least that a part may be, in requests: where it is less, chance alone empties one beside another
    /// that is full.
    pub const LEAST: u64 = 8;
}

/// A part of what a limit counts separately.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum SubjectPart {
    /// Each consumer; of a call that is open to everybody, each address.
    Consumer,
    /// Each credential: an API key, or the subject of an issuer's tokens.
    Credential,
    /// Each client address: IPv4 whole, IPv6 by its first 64 bits.
    Address,
    /// Each API, all its versions together; calls of APIs alone are counted.
    Api,
    /// Each operation of a version of an API; calls of APIs alone are counted.
    Operation,
    /// Each model; calls of models alone are counted.
    Model,
    /// Each provider that a model is called at, and each version of an API.
    Upstream,
    /// Each value of this claim among the tokens of one issuer; callers without it together.
    Claim(String),
    /// Each value of this request header, lower case; requests without it together.
    Header(String),
}

/// What is limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LimitKind {
    /// Requests by GCRA: in any interval `w` at most `burst + floor(count * w / period)` pass.
    Rate(Rate),
    /// Requests per calendar window (UTC), exactly.
    Quota {
        /// How many requests.
        count: u64,
        /// In which window.
        window: Window,
    },
    /// What calls of models use per calendar window (UTC): reserved at its upper bound before the call,
    /// settled at what was used.
    Budget {
        /// How much, in this unit.
        count: u64,
        /// In which window.
        window: Window,
        /// What is counted.
        unit: Unit,
    },
    /// Requests at one time, each until its last byte.
    Concurrency {
        /// How many; at least 1.
        count: u32,
    },
}

/// What a budget counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Unit {
    /// Tokens that the model reads and writes.
    Tokens,
    /// Tokens that it reads.
    InputTokens,
    /// Tokens that it writes.
    OutputTokens,
    /// Money: thousand-millionths of a US dollar.
    NanoUsd,
    /// Bytes of request bodies; of APIs' calls too, and never corrected.
    Bytes,
}

/// What a model's tokens cost at a target, each in nano-USD for a million.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Price {
    /// Of the input that was not read from the provider's cache.
    pub input: u64,
    /// Of the output, reasoning included.
    pub output: u64,
    /// Of the input that was read from the provider's cache.
    pub cached_input: u64,
    /// Of the input that was written to the provider's cache.
    pub cache_write: u64,
    /// What they cost instead in a call that reads many.
    pub long: Option<LongPrice>,
}

/// What the tokens of a call cost that reads more than so many, each in nano-USD for a million.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LongPrice {
    /// How many tokens of input a call reads that still costs the usual price.
    pub over: u64,
    /// As [`Price::input`].
    pub input: u64,
    /// As [`Price::output`].
    pub output: u64,
    /// As [`Price::cached_input`].
    pub cached_input: u64,
    /// As [`Price::cache_write`].
    pub cache_write: u64,
}

impl Price {
    /// What a call costs that reads so many tokens.
    #[must_use]
    pub fn reading(&self, tokens: u64) -> Self {
        match self.long {
            Some(long) if tokens > long.over => Self {
                input: long.input,
                output: long.output,
                cached_input: long.cached_input,
                cache_write: long.cache_write,
                long: None,
            },
            _ => *self,
        }
    }
}

/// A rate with its burst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rate {
    /// Requests per period; at least 1.
    pub count: u32,
    /// The period, in milliseconds; at least 1.
    pub period: Millis,
    /// How many may come at one instant; at least 1.
    pub burst: u32,
}

impl Default for Rate {
    /// The shield of a tree that names none: 100 a second.
    fn default() -> Self {
        Self {
            count: 100,
            period: 1000,
            burst: 200,
        }
    }
}

/// In which time something is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Window {
    /// A minute of the calendar.
    Minute,
    /// An hour of it, in UTC.
    Hour,
    /// A day, in UTC.
    Day,
    /// A month, in UTC.
    Month,
    /// A day where clocks are so many seconds ahead of UTC. In a policy 0: see [`Limit::zone`].
    DayAt(i32),
    /// A month there.
    MonthAt(i32),
    /// The last so many milliseconds, at every instant anew.
    Rolling(Millis),
}

/// How clocks are set somewhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Zone {
    /// Its name in the time zone database: `Europe/Berlin`.
    pub name: String,
    /// From when on clocks are how many seconds ahead of UTC; sorted, never empty.
    pub offsets: Vec<(Timestamp, i32)>,
}

impl Zone {
    /// How many seconds clocks there are ahead of UTC.
    pub fn offset(&self, at: Timestamp) -> i32 {
        let after = self.offsets.partition_point(|(since, _)| *since <= at);
        let known = self.offsets.get(after.saturating_sub(1));
        known.map_or(0, |(_, offset)| *offset)
    }

    /// Since when clocks there have been set as they are at an instant.
    pub fn since(&self, at: Timestamp) -> Timestamp {
        let after = self.offsets.partition_point(|(since, _)| *since <= at);
        let known = self.offsets.get(after.saturating_sub(1));
        known.map_or(0, |(since, _)| *since)
    }
}

/// How exactly a limit is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Precision {
    /// By one object for each subject: never more than the limit, one round trip a request.
    #[default]
    Exact,
    /// Taken from the subject's object in portions that an isolate spends by itself: never more than the
    /// limit, and a round trip for a portion only.
    Leased,
    /// In the memory of each isolate: a shield, approximate, without a round trip.
    Local,
}

/// What a limiter that cannot be reached means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum OnError {
    /// Refuse (503).
    #[default]
    Closed,
    /// Let pass, and say so in the log.
    Open,
}

/// Who calls.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Consumer {
    /// Its name.
    pub name: String,
    /// Who answers for it.
    pub owner: String,
    /// Index into [`Compiled::plans`].
    pub plan: u32,
    /// Operations it may call (indices into [`Compiled::operations`]).
    pub operations: Grant,
    /// Models it may call (indices into [`Compiled::models`]).
    pub models: Grant,
    /// What it may do as an operator of the gateway; none: it is none.
    pub operator: Option<Operator>,
    /// Where its grants were written (its `may`); without any, where it was.
    pub origin: String,
}

/// What an operator may do: look at the limits of every consumer, give back what was used of some, and deny.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operator {
    /// How much it may give back; of what is not listed, nothing.
    pub credit: Vec<Allowance>,
    /// For how long at most it may deny something, in milliseconds, at most [`MAX_DENIAL`]; none: it may not.
    pub deny: Option<Millis>,
}

/// The longest that a denial may stand, in milliseconds: 30 days. What must be refused for longer belongs in the
/// policies.
pub const MAX_DENIAL: Millis = 30 * 86_400_000;

/// Up to how much an operator may give back in a window of the calendar, to all consumers together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Allowance {
    /// Of what.
    pub of: Creditable,
    /// How much, in its unit.
    pub count: u64,
    /// In which time.
    pub window: Window,
}

/// What can be given back. Rates pay themselves off, and places come back by themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Creditable {
    /// Requests of a quota.
    Requests,
    /// Tokens, whichever are counted.
    Tokens,
    /// Money, in nano-USD.
    NanoUsd,
    /// Bytes of bodies.
    Bytes,
}

impl Creditable {
    /// What is given back of such a limit; none: nothing can be.
    pub const fn of(kind: &LimitKind) -> Option<Self> {
        match kind {
            LimitKind::Quota { .. } => Some(Self::Requests),
            LimitKind::Budget { unit, .. } => Some(match unit {
                Unit::Tokens | Unit::InputTokens | Unit::OutputTokens => Self::Tokens,
                Unit::NanoUsd => Self::NanoUsd,
                Unit::Bytes => Self::Bytes,
            }),
            LimitKind::Rate(_) | LimitKind::Concurrency { .. } => None,
        }
    }

    /// As policies call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Tokens => "tokens",
            Self::NanoUsd => "spend",
            Self::Bytes => "bytes",
        }
    }
}

/// What a consumer may use of one kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Grant {
    /// Every one there is.
    All,
    /// These, sorted; empty: none.
    Only(Vec<u32>),
}

impl Grant {
    /// Whether the thing at `index` is granted.
    pub fn allows(&self, index: u32) -> bool {
        match self {
            Self::All => true,
            Self::Only(list) => list.binary_search(&index).is_ok(),
        }
    }
}

/// An API key, known by its hash alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyCredential {
    /// SHA-256 of the whole key as it is sent.
    #[serde(with = "crate::digest")]
    pub sha256: [u8; 32],
    /// Index into [`Compiled::consumers`].
    pub consumer: u32,
    /// From this instant on it is refused.
    pub expires: Option<Timestamp>,
    /// Scopes that it carries, sorted.
    pub scopes: Vec<String>,
}

/// Which token belongs to which consumer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Index into [`Compiled::issuers`].
    pub issuer: u32,
    /// The value of the issuer's consumer claim.
    pub value: String,
    /// The client that the token must have been issued to (`client_id` or `azp`).
    pub client: Option<String>,
    /// Index into [`Compiled::consumers`].
    pub consumer: u32,
}

/// A client certificate that the platform has verified, and whose it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateCredential {
    /// How it is known.
    pub by: CertificateName,
    /// Index into [`Compiled::consumers`].
    pub consumer: u32,
    /// From this instant on it is refused, whatever it says itself.
    pub expires: Option<Timestamp>,
    /// Scopes that it carries, sorted.
    pub scopes: Vec<String>,
}

/// How a client certificate is known.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum CertificateName {
    /// By the SHA-256 of its public key (`SubjectPublicKeyInfo` in DER, RFC 5280, 4.1).
    Key(#[serde(with = "crate::digest")] [u8; 32]),
    /// By its issuer and its subject, as the platform writes them (RFC 2253).
    Subject(String, String),
}

/// One version of a published API.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Api {
    /// Its name, for example `petstore`.
    pub name: String,
    /// Its version, for example `v1`.
    pub version: String,
    /// What people call it.
    pub title: String,
    /// Who answers for it.
    pub owner: String,
    /// The path under which its operations lie, for example `/petstore/v1`; no trailing slash.
    pub base: String,
    /// Where it is in its life.
    pub lifecycle: Lifecycle,
    /// Limits of each consumer on this API, on top of its plan; sorted by id.
    pub limits: Vec<Limit>,
    /// Headers that tell its upstream what the caller's token says, sorted by name; a client's own of these
    /// names never pass.
    pub upstream_headers: Vec<UpstreamHeader>,
    /// Until when its upstream may be asked, where only an exception lets it be reached without TLS (Unix milliseconds).
    pub until: Option<Timestamp>,
    /// Where it was written.
    pub origin: String,
}

/// Where a version is in its life.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lifecycle {
    /// Its state.
    pub state: State,
    /// When it is deprecated (RFC 9745), if that is known.
    pub deprecated: Option<Timestamp>,
    /// When it ends (RFC 8594); from this instant on its operations answer 410.
    pub sunset: Option<Timestamp>,
    /// The base path of the version to use instead (RFC 5829 `successor-version`).
    pub successor: Option<String>,
}

/// The states of a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum State {
    /// For the curious; may change.
    Preview,
    /// In use.
    Active,
    /// In use, with an end announced.
    Deprecated,
    /// Gone: answers 410.
    Retired,
}

/// One operation of an API.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Operation {
    /// Its `operationId`, unique in its API.
    pub id: String,
    /// Index into [`Compiled::apis`].
    pub api: u32,
    /// Its method.
    pub method: Method,
    /// Its path below the API's base, as in the document: `/pets/{petId}`.
    pub path: String,
    /// Until when an exception opens it to everybody; none: callers must identify.
    pub open_until: Option<Timestamp>,
    /// Scopes that the caller must all have, sorted.
    pub scopes: Vec<String>,
    /// Where they were asked for.
    pub scopes_origin: String,
    /// What must hold beside that, all of it, in the order of what they say.
    pub rules: Vec<Rule>,
    /// What a decision point is asked once all of that holds.
    pub relation: Option<Relation>,
    /// Upper bound of a request body, in bytes.
    pub max_body: u64,
    /// Whether the document names a request body at all.
    pub accepts_body: bool,
    /// Media types of the request body, lower case, without parameters; empty: not stated.
    pub content_types: Vec<String>,
    /// Request headers that reach its upstream besides the gateway's, lower case, sorted.
    pub forward_headers: Vec<String>,
    /// Query parameters that reach its upstream, sorted.
    pub forward_query: Vec<String>,
    /// What answers.
    pub handler: Handler,
    /// Where it was written.
    pub origin: String,
}

/// What answers an operation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Handler {
    /// An upstream.
    Proxy {
        /// Scheme, host and base path, without a trailing slash.
        url: String,
        /// How long its answer's head may take, and the whole.
        timeouts: Timeouts,
        /// A header that carries a secret to the upstream, if it wants one.
        credential: Option<UpstreamCredential>,
    },
    /// The examples of its document, sorted by status, then media type (JSON first), then name, so
    /// that the order in which they were written means nothing; never empty.
    Mock(Vec<MockResponse>),
}

/// How the gateway identifies itself to an upstream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpstreamCredential {
    /// Header name, lower case.
    pub header: String,
    /// What stands before the value, for example `Bearer ` (with its space).
    pub prefix: String,
    /// Where the value comes from.
    pub value: CredentialValue,
}

/// Where the value of an [`UpstreamCredential`] comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CredentialValue {
    /// A Worker secret, by its name.
    Secret(String),
    /// A token that the gateway signs itself, by [`Gateway::signing`].
    Signed(SignedToken),
    /// A token that an authorization server gives to the gateway.
    Granted(Box<GrantedToken>),
}

/// What a token says that the gateway signs for an upstream, besides who calls.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedToken {
    /// Its `aud`.
    pub audience: String,
    /// From its `iat` to its `exp`; whole seconds.
    pub lifetime: Millis,
    /// Claims of the caller's token that it repeats, sorted by name.
    pub claims: Vec<RepeatedClaim>,
}

/// A claim of the caller's token that a signed token repeats.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepeatedClaim {
    /// Its name in the signed token.
    pub name: String,
    /// Its path in the caller's token.
    pub claim: Vec<String>,
}

/// A grant of client credentials (RFC 6749, 4.4).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrantedToken {
    /// The object that keeps the token: its name is made of all that is below, so that another grant is
    /// another object, and upstreams that share a grant share a token.
    pub object: String,
    /// The token endpoint.
    pub endpoint: String,
    /// Who the gateway is there.
    pub client_id: String,
    /// Name of the Worker secret that proves it.
    pub secret: String,
    /// Whether the secret goes into the form (`client_secret_post`), not into a header.
    pub post: bool,
    /// Members of the form besides `grant_type`, in order: `scope`, `audience`, `resource`.
    pub form: Vec<(String, String)>,
}

/// What signs the gateway's own tokens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signing {
    /// Their `iss`.
    pub issuer: String,
    /// ES256 or `EdDSA`.
    pub algorithm: Algorithm,
    /// Name of the Worker secret that holds the private key, as a JWK.
    pub key: String,
    /// Names of the Worker secrets whose public halves are published as well: the key before, or the next one.
    pub published: Vec<String>,
}

/// How long an upstream may take, each in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timeouts {
    /// Until the head of its answer (APIs) or the first token (models).
    pub first: Millis,
    /// Between two pieces of a stream.
    pub idle: Millis,
    /// In all.
    pub total: Millis,
}

/// One example answer of an operation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MockResponse {
    /// Its status.
    pub status: u16,
    /// The name of the example in the document; empty: its only one.
    pub name: String,
    /// Its media type; empty: no body.
    pub content_type: String,
    /// Its body.
    pub body: Vec<u8>,
}

/// Method and path to what answers: a tree of path segments, so that the cost of a look-up depends
/// on the length of the path and not on the number of routes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Routes {
    /// Node 0 is the root (the path `/` with no segments); empty only in an empty tree.
    pub nodes: Lazy<RouteNode>,
}

/// One place in the tree of paths.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RouteNode {
    /// Literal next segments, sorted, each with its node. A literal wins over a parameter.
    pub literals: Vec<(String, u32)>,
    /// The node of any one (non-empty) next segment.
    pub parameter: Option<u32>,
    /// What answers here, by method, sorted by method.
    pub methods: Vec<(Method, Route)>,
}

/// What a route leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Route {
    /// Index into [`Compiled::operations`].
    Operation(u32),
    /// A surface on which models are called.
    Surface(Surface),
}

/// The surfaces on which models are called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Surface {
    /// `POST /v1/chat/completions`.
    ChatCompletions,
    /// `GET /v1/models`.
    Models,
    /// `GET /v1/models/{model}`.
    Model,
}

/// Methods that an operation may have. `HEAD` and `OPTIONS` are the gateway's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names are those of RFC 9110 and RFC 5789")]
pub enum Method {
    Delete,
    Get,
    Head,
    Options,
    Patch,
    Post,
    Put,
}

impl Method {
    /// Every method, in the order of the enum.
    pub const ALL: [Self; 7] = [
        Self::Delete,
        Self::Get,
        Self::Head,
        Self::Options,
        Self::Patch,
        Self::Post,
        Self::Put,
    ];

    /// The method's token, as on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Delete => "DELETE",
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Options => "OPTIONS",
            Self::Patch => "PATCH",
            Self::Post => "POST",
            Self::Put => "PUT",
        }
    }

    /// The method that a token names. Methods are case-sensitive (RFC 9110, 9.1).
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|method| method.name() == name)
    }
}

/// A model as clients name it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Model {
    /// The name that clients send.
    pub name: String,
    /// Who answers for it.
    pub owner: String,
    /// Where it is in its life.
    pub lifecycle: Lifecycle,
    /// Where calls go, by weight; never empty.
    pub targets: Vec<Target>,
    /// Where they go when the chosen target fails for a reason in `retry.on`, in this order.
    pub fallback: Vec<Target>,
    /// How often one target is tried, and for which reasons.
    pub retry: Retry,
    /// How long a target may take.
    pub timeouts: Timeouts,
    /// When an answer is the client's.
    pub commit: Commit,
    /// Upper bound of a request body, in bytes.
    pub max_body: u64,
    /// The most tokens an answer can have, where that is known: the reservation's bound, and what is
    /// asked of the target.
    pub max_output_tokens: Option<u32>,
    /// The most tokens that a part of a message can have which is not text.
    pub max_media_tokens: u32,
    /// Limits of each consumer on this model, on top of its plan; sorted by id.
    pub limits: Vec<Limit>,
    /// Scopes that a caller must have, sorted.
    pub scopes: Vec<String>,
    /// Where they were asked for.
    pub scopes_origin: String,
    /// What must hold beside that, all of it, in the order of what they say; none asks for a method or a path.
    pub rules: Vec<Rule>,
    /// Where it was written.
    pub origin: String,
}

/// A place where a model runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// Index into [`Compiled::providers`].
    pub provider: u32,
    /// The model's name there.
    pub model: String,
    /// Its share among the targets; at least 1 (of no meaning in a fallback).
    pub weight: u32,
    /// What it costs, where that is written.
    pub price: Option<Price>,
}

/// How often one target is tried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retry {
    /// Tries on one target, the first included; at least 1.
    pub attempts: u32,
    /// The reasons for which another try, and then the next target, is right; sorted.
    pub on: Vec<Reason>,
}

/// Why a target failed: the closed list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Reason {
    /// It answered 429.
    RateLimited,
    /// It answered 503 or 529.
    Overloaded,
    /// It answered another 5xx, or 408.
    ServerError,
    /// No connection, or it was lost before the head of an answer.
    Unreachable,
    /// Nothing of the answer within `timeouts.first`.
    NoFirstToken,
    /// An answer that is not what the wire format says, or an error inside a 200, before any token.
    InvalidAnswer,
}

impl Reason {
    /// Every reason, in the order of the enum.
    pub const ALL: [Self; 6] = [
        Self::RateLimited,
        Self::Overloaded,
        Self::ServerError,
        Self::Unreachable,
        Self::NoFirstToken,
        Self::InvalidAnswer,
    ];

    /// The word that stands for it in policies and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::RateLimited => "rate_limited",
            Self::Overloaded => "overloaded",
            Self::ServerError => "server_error",
            Self::Unreachable => "unreachable",
            Self::NoFirstToken => "no_first_token",
            Self::InvalidAnswer => "invalid_answer",
        }
    }
}

/// When an answer of a target is the client's, so that no other target is tried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Commit {
    /// With its first token.
    #[default]
    FirstToken,
    /// When it is whole.
    Complete,
}

/// Where models run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Provider {
    /// Its name.
    pub name: String,
    /// How it is reached.
    pub kind: ProviderKind,
    /// Until when it may be asked, where only an exception lets it be reached without TLS (Unix milliseconds).
    pub until: Option<Timestamp>,
    /// Where it was written.
    pub origin: String,
}

/// How a provider is reached.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ProviderKind {
    /// An upstream that speaks the format of `OpenAI`'s chat completions.
    OpenAi {
        /// Up to and without `/chat/completions`, for example `https://api.openai.com/v1`.
        base_url: String,
        /// How the gateway identifies itself there.
        credential: Option<UpstreamCredential>,
        /// The member of a request that bounds the answer.
        output_cap: OutputCap,
    },
    /// Scripted answers; the target's model names the mock.
    Mock,
}

/// The member of a chat completion request that bounds the answer's tokens. Providers differ in which
/// they know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum OutputCap {
    /// `max_tokens`: the older name; most providers.
    #[default]
    MaxTokens,
    /// `max_completion_tokens`: `OpenAI`, whose reasoning models know only this one.
    MaxCompletionTokens,
}

/// Scripted answers of a mock model. The first rule that applies answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Mock {
    /// Its name.
    pub name: String,
    /// Its rules, in the order written; the last one always applies.
    pub rules: Vec<MockRule>,
}

/// One scripted answer, and when it is given.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MockRule {
    /// The last user message must contain this text; none: any.
    pub contains: Option<String>,
    /// Whether the request must offer tools (true), must not (false), or either (none).
    pub tools: Option<bool>,
    /// Whether the last message must be a tool's result (true), must not (false), or either.
    pub tool_result: Option<bool>,
    /// The answer.
    pub answer: MockAnswer,
}

/// A scripted answer of a model.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MockAnswer {
    /// The status; 200 unless a failure is played. Others answer an error in the wire format.
    pub status: u16,
    /// `Retry-After` of a failure, in seconds.
    pub retry_after: Option<u32>,
    /// What the assistant says; `{{last_user_message}}` and `{{model}}` are replaced.
    pub text: String,
    /// Tools it calls.
    pub tool_calls: Vec<MockToolCall>,
    /// Input and output tokens that it reports; none: counted from the words.
    pub usage: Option<(u32, u32)>,
    /// How long it takes before the first piece, in milliseconds.
    pub first_delay: Millis,
    /// How long it takes between two pieces of a stream, in milliseconds.
    pub delay: Millis,
    /// How it ends.
    pub end: MockEnd,
}

/// A scripted call of a tool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MockToolCall {
    /// The tool's name.
    pub name: String,
    /// Its arguments, as JSON text.
    pub arguments: String,
}

/// How a scripted answer ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum MockEnd {
    /// As it should.
    #[default]
    Clean,
    /// The connection is lost after this many pieces.
    Cut(u32),
    /// Nothing more comes after this many pieces.
    Stall(u32),
    /// It ends after this many pieces as if whole, without the format's terminator.
    NoTerminator(u32),
}

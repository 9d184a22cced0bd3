//! What happens to a request, as a state machine.
//!
//! The engine is synchronous and does no I/O: [`Engine::begin`] takes the head of a request and
//! returns the first [`Step`]; [`Engine::resume`] takes what is in flight and what followed the
//! step, and returns the next. Time and randomness are handed in. Each phase of a request's life is
//! a module; each takes what the one before has proved, as a value that only that one can make. Outside this crate
//! there is none of them but in a [`Flight`], which is opaque:
//!
//! | phase | module | makes | takes |
//! |---|---|---|---|
//! | accept | `accept` | `Accepted` | the head |
//! | match | `matching` | `Matched` | `Accepted` |
//! | shield | `shield` | `Shielded` | `Matched` |
//! | identify | `identify` | `Principal` | `Shielded` |
//! | inspect | `inspect` | `Inspected`, `Chat` | the body |
//! | authorize | `authorize` | `Permit` | `Principal`, `Matched`, and what inspect makes |
//! | admit | `admit` | `Reservation` | `Permit` |
//! | answer | `answer` | `Answering`, `Proxied` | `Reservation` |
//! | relay | `relay` | what passed | an `Answering` that is followed |
//! | settle | `settle` | the log line, and what is given back of a reservation | whatever there is: each request is settled |
//!
//! Nobody outside reaches a phase but through the engine:
//!
//! ```compile_fail,E0603
//! use turnpike_engine::authorize::Permit;
//! ```
//!
//! ```compile_fail,E0603
//! use turnpike_engine::identify::Principal;
//! ```
//!
//! ```compile_fail,E0603
//! use turnpike_engine::admit::Reservation;
//! ```

pub mod accept;
mod account;
mod admit;
mod answer;
mod authorize;
mod conditions;
mod cors;
mod dates;
mod decide;
mod denials;
mod deny;
mod drive;
mod egress;
pub mod error;
mod flight;
mod identify;
mod inspect;
mod known;
mod look;
mod matching;
pub mod meter;
mod operate;
pub mod relay;
mod seeded;
mod settle;
mod shield;
mod sorted;
mod standing;
pub mod step;
mod told;

use turnpike_policy::{Bundle, Compiled};

pub use account::Settled;
pub use drive::Lost;
pub use flight::Flight;
pub use step::{Event, Head, Step};

/// A gateway, ready for requests. It keeps nothing of a request; what it does keep (verified
/// tokens, key sets, local limits) may vanish at any time.
pub struct Engine {
    policy: Compiled,
    /// The bundle's hash, in hexadecimal digits.
    hash: String,
    identities: identify::Store,
    shield: shield::Shield,
    memory: admit::Memory,
    /// None: nobody may deny anything.
    denials: Option<denials::Denials>,
    decisions: decide::Decisions,
}

/// A step, and what is in flight while it is carried out.
#[derive(Clone, Debug)]
pub struct Next {
    /// The step.
    pub step: Step,
    /// What to hand back with the event that follows; nothing, when nothing follows.
    pub flight: Option<Flight>,
}

impl Engine {
    /// A gateway that runs `bundle`. `seed` is random and secret; `secret` reads the HMAC keys that
    /// issuers name, and nothing else.
    pub fn new(bundle: Bundle, seed: [u8; 16], secret: impl Fn(&str) -> Option<Vec<u8>>) -> Self {
        let policy = bundle.compiled;
        Self {
            hash: turnpike_policy::hex(&bundle.hash),
            identities: identify::Store::new(&policy, &bundle.hash, secret),
            shield: shield::Shield::new(policy.gateway.shield, seed),
            memory: admit::Memory {
                local: meter::local::Local::new(seed),
                leases: meter::lease::Leases::new(seed),
                spread: admit::Spread::new(seed),
            },
            denials: denials::Denials::of(&policy),
            decisions: decide::Decisions::default(),
            policy,
        }
    }

    /// The policy that is run.
    pub fn policy(&self) -> &Compiled {
        &self.policy
    }

    /// The names of the Worker secrets whose values the engine itself needs (HMAC keys).
    pub fn own_secrets(policy: &Compiled) -> Vec<&str> {
        let secret = |issuer: &'_ turnpike_policy::Issuer| match &issuer.keys {
            turnpike_policy::Keys::Secret(name) => Some(name.clone()),
            _ => None,
        };
        let named: Vec<String> = policy.issuers.iter().filter_map(secret).collect();
        policy
            .secrets
            .iter()
            .filter(|name| named.contains(name))
            .map(String::as_str)
            .collect()
    }

    /// The client's headers that a list of [`step::Upstream::Http`] stands for. The trace's own
    /// headers are never among them: the gateway sets them.
    pub fn names(&self, list: u32) -> Vec<&str> {
        let names = match list {
            answer::GATEWAY_NAMES => &self.policy.gateway.forward_headers,
            answer::TRACE_NAMES => return vec!["tracestate"],
            other => {
                let index = other.saturating_sub(answer::OPERATION_NAMES);
                match look::operation(&self.policy, index) {
                    Ok(operation) => &operation.forward_headers,
                    Err(_) => return Vec::new(),
                }
            }
        };
        let own = |name: &&str| !matches!(*name, "traceparent" | "tracestate" | "authorization" | "dpop");
        names.iter().map(String::as_str).filter(own).collect()
    }
}

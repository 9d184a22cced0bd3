//! Token introspection (RFC 7662): how an issuer is asked about a token that says nothing by itself.

use serde::{Deserialize, Serialize};

use crate::{Millis, Rate};

/// How an issuer is asked about its opaque tokens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Introspection {
    /// The URL of its introspection endpoint.
    pub endpoint: String,
    /// Who the gateway is there (RFC 6749, 2.3.1).
    pub client_id: String,
    /// The name of the Worker secret that proves it.
    pub secret: String,
    /// Whether the secret is sent in the form; else by HTTP Basic.
    pub post: bool,
    /// What its opaque tokens begin with; empty: all that no other issuer's prefix begins.
    pub prefix: String,
    /// How long an answer may take, whole.
    pub timeout: Millis,
    /// How long it is remembered that a token is active, never past its end; 0: it is not.
    pub active_for: Millis,
    /// How long it is remembered that a token is no good; 0: it is not.
    pub inactive_for: Millis,
    /// How often an isolate asks without finding a good token.
    pub rate: Rate,
}

//! The policy language, in its two forms.
//!
//! What an operator writes (`source`, with spans, behind the feature of that name) is parsed,
//! checked as a whole, and compiled to what the gateway runs ([`Compiled`]). The second form cannot
//! hold a wrong value: every reference is an index that exists, every duration a number of
//! milliseconds, every list sorted for the look-up that is made in it. Only it reaches the Wasm.

mod bundle;
mod compiled;
mod decision;
pub mod digest;
mod hex;
mod introspection;
mod lazy;
mod path;
mod rule;
#[cfg(feature = "source")]
pub mod source;

pub use bundle::{Bundle, BundleError, FORMAT, Stamp};
pub use compiled::*;
pub use decision::*;
pub use hex::{hex, push_hex};
pub use introspection::*;
pub use lazy::{Iter, Lazy, carry};
pub use path::called;
pub use rule::*;

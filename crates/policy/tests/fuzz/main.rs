//! What must hold whatever is written: the parser, the reader of OpenAPI documents, the reader of
//! conditions, the checker and the reader of bundles, on trees and bundles that were right and are damaged at random;
//! and the comparison of contracts, on documents made at random.
//!
//! `cargo test` plays a few seconds of it from a fixed seed; `make fuzz MINUTES=10` plays as long as it is
//! told to, from a seed that it names. A failure names its case, and `FUZZ_CASE` plays that one again.

#![expect(
    clippy::case_sensitive_file_extension_comparisons,
    clippy::disallowed_methods,
    clippy::redundant_closure_for_method_calls,
    reason = "texts are damaged where they are, and what takes long is to be noticed"
)]

#[cfg(test)]
mod bundles;
#[cfg(test)]
#[path = "../policy/common.rs"]
#[expect(dead_code, reason = "the other tests need more of it")]
mod common;
#[cfg(test)]
mod conditions;
#[cfg(test)]
mod contracts;
#[cfg(test)]
mod damage;
#[cfg(test)]
mod random;
#[cfg(test)]
mod trees;

//! The policy language from outside: trees in folders, built as `build.rs` builds them.

mod canonical;
mod common;
mod faults;
mod hostile;
mod sample;

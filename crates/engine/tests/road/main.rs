//! The engine as a whole, without I/O: requests travel the entire road, and a small world plays
//! what lies outside (time, clients, upstreams, signatures, limit objects). What is in flight goes
//! through bytes between every two steps, and the engine is replaced between many of them.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "these are tests"
)]

mod advisories;
mod apis;
mod bound;
mod budgets;
mod codes;
mod conditions;
mod cross_origin;
mod decisions;
mod denials;
mod egress;
mod identity;
mod introspection;
mod limits;
mod model_conditions;
mod models;
mod operators;
mod policy;
mod properties;
mod records;
mod shards;
mod streams;
mod subjects;
mod windows;
mod world;

//! The `turnpike` command as people run it: the built binary, a tree of policies, what it says.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::too_many_lines,
    reason = "a test fails by panicking; a table is as long as it is"
)]

mod bound;
mod check;
mod ci;
mod common;
mod compliance;
mod compliance_values;
mod conditions;
mod diff;
mod diff_asked;
mod diff_classes;
mod diff_governed;
mod diff_hidden;
mod diff_large;
mod diff_numbers;
mod diff_revisions;
mod diff_sides;
mod explain;
mod floods;
mod fmt;
mod guide;
mod ids;
mod ids_refused;
mod ids_written;
mod import;
mod import_fields;
mod import_kong;
mod import_krakend;
mod kept;
mod lines;
mod new;
mod new_odd;
mod schema;
mod show;
mod test;
mod verify;
mod verify_built;
mod workflows;
mod wrangler;
mod wrong;

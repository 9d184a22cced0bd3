//! What this build knows about itself: written by `build.rs` from the policies and the commit, so
//! that the policies themselves are embedded once, in the module that obeys them.

include!(concat!(env!("OUT_DIR"), "/facts.rs"));

//! The policy language from outside: trees in folders, built as `build.rs` builds them.

#![expect(
    clippy::case_sensitive_file_extension_comparisons,
    clippy::format_collect,
    clippy::format_push_string,
    clippy::redundant_closure_for_method_calls,
    clippy::string_slice,
    reason = "these texts are read by people and built once"
)]

#[cfg(test)]
mod api_keys;
#[cfg(test)]
mod canonical;
#[cfg(test)]
mod causes;
#[cfg(test)]
mod common;
#[cfg(test)]
mod conditions;
#[cfg(test)]
mod contract;
#[cfg(test)]
mod contract_around;
#[cfg(test)]
mod documents;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod governance;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod inherited;
#[cfg(test)]
mod introspection;
#[cfg(test)]
mod kept;
#[cfg(test)]
mod look_alikes;
#[cfg(test)]
mod meant;
#[cfg(test)]
mod model_conditions;
#[cfg(test)]
mod mutations;
#[cfg(test)]
mod overlays;
mod prices;
#[cfg(test)]
mod relations;
#[cfg(test)]
mod sample;
#[cfg(test)]
mod secrets;
#[cfg(test)]
mod shards;
#[cfg(test)]
mod syntax;
#[cfg(test)]
mod templates;
#[cfg(test)]
mod tighten;
#[cfg(test)]
mod upstream_tokens;
mod without_tls;

//! The bundle: a compiled tree as bytes, with the format it is written in and its hash.
//!
//! Layout: the magic `TPKB`, the format's version (two bytes, little endian), the hash, the body
//! (postcard). The hash is the identity of a policy: diff, caches, logs and the version endpoint
//! speak of it. It is the SHA-256 of the body with every `origin` left empty: where a rule stands is
//! kept for explanations, but a comment above it, which moves it down a line, changes no rule.

use crate::Compiled;

const MAGIC: &[u8; 4] = b"TPKB";
const HEADER: usize = 4 + 2 + 32;

/// The version of the format that this build writes and reads. It changes with every change of
/// [`Compiled`] that would make old bytes mean something else.
pub const FORMAT: u16 = 3;

/// A compiled tree and its hash.
#[derive(Clone, Debug, PartialEq)]
pub struct Bundle {
    /// SHA-256 of the rules in their canonical form.
    pub hash: [u8; 32],
    /// What the gateway runs.
    pub compiled: Compiled,
}

/// Why bytes are not a bundle that this build can run.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BundleError {
    /// They do not begin as a bundle does.
    NotABundle,
    /// They are of another format.
    OtherFormat {
        /// The format's version in the bytes.
        found: u16,
    },
    /// The body cannot be read.
    Damaged,
}

impl Bundle {
    /// Reads a bundle. The hash is taken as written: whoever embeds the bytes has made them.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, BundleError> {
        let (header, body) = bytes.split_at_checked(HEADER).ok_or(BundleError::NotABundle)?;
        let rest = header.strip_prefix(MAGIC).ok_or(BundleError::NotABundle)?;
        let (format, hash) = rest.split_first_chunk::<2>().ok_or(BundleError::NotABundle)?;
        let found = u16::from_le_bytes(*format);
        if found != FORMAT {
            return Err(BundleError::OtherFormat { found });
        }
        let hash = hash.try_into().map_err(|_| BundleError::NotABundle)?;
        let (compiled, rest) = postcard::take_from_bytes(body).map_err(|_| BundleError::Damaged)?;
        if rest.is_empty() {
            Ok(Self { hash, compiled })
        } else {
            Err(BundleError::Damaged)
        }
    }
}

#[cfg(feature = "source")]
impl Bundle {
    /// Writes a bundle; gives its bytes and its hash.
    pub fn write(compiled: &Compiled) -> Result<(Vec<u8>, [u8; 32]), postcard::Error> {
        use sha2::{Digest, Sha256};

        let rules = postcard::to_stdvec(&without_origins(compiled.clone()))?;
        let hash: [u8; 32] = Sha256::digest(&rules).into();
        let body = postcard::to_stdvec(compiled)?;
        let mut bytes = Vec::with_capacity(HEADER + body.len());
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&FORMAT.to_le_bytes());
        bytes.extend_from_slice(&hash);
        bytes.extend_from_slice(&body);
        Ok((bytes, hash))
    }
}

/// The rules alone, without the places where they were written.
#[cfg(feature = "source")]
fn without_origins(mut compiled: Compiled) -> Compiled {
    let clear = |limits: &mut Vec<crate::Limit>| limits.iter_mut().for_each(|limit| limit.origin.clear());
    compiled.plans.iter_mut().for_each(|plan| clear(&mut plan.limits));
    compiled
        .consumers
        .iter_mut()
        .for_each(|consumer| consumer.origin.clear());
    compiled
        .operations
        .iter_mut()
        .for_each(|operation| operation.origin.clear());
    compiled
        .providers
        .iter_mut()
        .for_each(|provider| provider.origin.clear());
    for api in &mut compiled.apis {
        api.origin.clear();
        clear(&mut api.limits);
    }
    for model in &mut compiled.models {
        model.origin.clear();
        clear(&mut model.limits);
    }
    compiled
}

impl std::fmt::Display for BundleError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotABundle => f.write_str("these bytes are not a policy bundle"),
            Self::OtherFormat { found } => write!(
                f,
                "the policy bundle is of format {found}, this gateway reads format {FORMAT}: \
                 build both from the same commit"
            ),
            Self::Damaged => f.write_str("the policy bundle is damaged: build it again"),
        }
    }
}

impl std::error::Error for BundleError {}

//! The bundle: a compiled tree as bytes, with the format it is written in and its hash.
//!
//! Layout: the magic `TPKB`, the format's version (two bytes, little endian), the hash, the stamp and
//! the body (postcard). The hash is the identity of a policy: diff, caches, logs and the version endpoint
//! speak of it. It is the SHA-256 of the body with every `origin` left empty: where a rule stands is
//! kept for explanations, but a comment above it, which moves it down a line, changes no rule. The stamp
//! is no part of it: the same rules from another commit are the same rules.

use serde::{Deserialize, Serialize};

use crate::{Compiled, Timestamp};

const MAGIC: &[u8; 4] = b"TPKB";
const HEADER: usize = 4 + 2 + 32;

/// The version of the format that this build writes and reads. It changes with every change of
/// [`Compiled`] that would make old bytes mean something else.
pub const FORMAT: u16 = 20;

/// Where a bundle comes from. The environment is in [`crate::Gateway::environment`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    /// The Git commit of the policies, as Git writes it; empty: not known.
    pub commit: String,
    /// Whether its work tree held changes that are in no commit.
    pub dirty: bool,
    /// The build's date: `SOURCE_DATE_EPOCH`, or else the commit's, so that the same source gives the same
    /// bytes.
    pub built: Option<Timestamp>,
}

/// A compiled tree, its hash, and where it comes from.
#[derive(Clone, Debug, PartialEq)]
pub struct Bundle {
    /// SHA-256 of the rules in their canonical form.
    pub hash: [u8; 32],
    /// Where it comes from.
    pub stamp: Stamp,
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
        let (stamp, body) = postcard::take_from_bytes(body).map_err(|_| BundleError::Damaged)?;
        let (compiled, rest) = postcard::take_from_bytes(body).map_err(|_| BundleError::Damaged)?;
        if rest.is_empty() {
            Ok(Self {
                hash,
                stamp,
                compiled,
            })
        } else {
            Err(BundleError::Damaged)
        }
    }
}

#[cfg(feature = "source")]
impl Bundle {
    /// Reads a bundle that may have been damaged where it lay: one whose rules have another hash than is
    /// written in it is [`BundleError::Damaged`].
    pub fn verified(bytes: &[u8]) -> Result<Self, BundleError> {
        let bundle = Self::from_bytes(bytes)?;
        match Self::hash(&bundle.compiled) {
            Ok(hash) if hash == bundle.hash => Ok(bundle),
            _ => Err(BundleError::Damaged),
        }
    }

    /// The identity of the rules: SHA-256 of their canonical form.
    pub fn hash(compiled: &Compiled) -> Result<[u8; 32], postcard::Error> {
        use sha2::{Digest, Sha256};

        let rules = postcard::to_stdvec(&without_origins(compiled.clone()))?;
        Ok(Sha256::digest(&rules).into())
    }

    /// Writes a bundle; gives its bytes and its hash.
    pub fn write(compiled: &Compiled, stamp: &Stamp) -> Result<(Vec<u8>, [u8; 32]), postcard::Error> {
        let hash = Self::hash(compiled)?;
        let mut bytes = Vec::from(MAGIC);
        bytes.extend_from_slice(&FORMAT.to_le_bytes());
        bytes.extend_from_slice(&hash);
        let bytes = postcard::to_extend(stamp, bytes)?;
        Ok((postcard::to_extend(compiled, bytes)?, hash))
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
    compiled.operations.iter_mut().for_each(|operation| {
        operation.origin.clear();
        operation.scopes_origin.clear();
        operation.rules.iter_mut().for_each(|rule| rule.origin.clear());
        if let Some(relation) = &mut operation.relation {
            relation.origin.clear();
        }
    });
    compiled.points.iter_mut().for_each(|point| point.origin.clear());
    compiled
        .providers
        .iter_mut()
        .for_each(|provider| provider.origin.clear());
    for api in compiled.apis.iter_mut() {
        api.origin.clear();
        clear(&mut api.limits);
    }
    for model in &mut compiled.models {
        model.origin.clear();
        model.scopes_origin.clear();
        model.rules.iter_mut().for_each(|rule| rule.origin.clear());
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

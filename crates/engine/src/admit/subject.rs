//! Whom a limit counts: from the parts of its subject to the object that keeps it, and to its name there.
//!
//! What belongs to a consumer, a credential or an address lies in an object of its own, so that the limits of
//! one subject are decided in one call. APIs, operations, models and upstreams are as many as the policy
//! lists: beside one of the others they only tell a limit's counts apart inside its object; alone, they are
//! the object. Claims and headers have as many values as others choose: they make objects of their own, named by a
//! hash, as what they hold is nobody's business who looks at names of objects.

use std::borrow::Cow;
use std::fmt::Write as _;

use sha2::{Digest, Sha256};
use turnpike_policy::{Compiled, Consumer, Limit, LimitKind, Precision, Split, SubjectPart, Unit};

use crate::accept::hex;
use crate::authorize::Permitted;
use crate::error::Refusal;
use crate::identify::Principal;
use crate::{look, shield};

/// The longest that tells counts apart inside an object as it is, in bytes; what is longer is hashed.
const MAX_NAME: usize = 30;

/// Who asks for what, as far as limits are concerned.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call<'a, 'c> {
    pub(crate) policy: &'a Compiled,
    /// None: it is open to everybody.
    pub(crate) caller: Option<(&'a Consumer, &'c Principal)>,
    pub(crate) from: Origin<'c>,
    pub(crate) to: &'c Permitted,
    /// Of a model's call: the provider that is called (index into the policy's list).
    pub(crate) provider: Option<u32>,
}

/// Where a request comes from, and what it says of itself.
#[derive(Clone, Copy, Debug)]
pub struct Origin<'c> {
    /// The client's address, as text.
    pub address: &'c str,
    /// What stands for the values of [`Compiled::headers`], in that order.
    pub headers: &'c [Option<String>],
}

/// Limits of a call that are kept in one place.
#[derive(Clone, Debug)]
pub(crate) struct Group<'a> {
    /// The name of the object, or what those of several objects begin with.
    pub(crate) object: String,
    /// Over which objects they are spread.
    pub(crate) split: Option<Split>,
    /// How: as exactly as the most exact of them.
    pub(crate) kept: Precision,
    pub(crate) limits: Vec<Counted<'a>>,
}

/// A limit, as an object knows it.
#[derive(Clone, Debug)]
pub(crate) struct Counted<'a> {
    /// Its name there.
    pub(crate) id: Cow<'a, str>,
    pub(crate) limit: &'a Limit,
    /// Its place among the limits of the call.
    pub(crate) place: u32,
}

impl<'a> Call<'a, '_> {
    /// The limits in groups, sorted by object, those that isolates keep alone first: the order in which all
    /// calls ask.
    pub(crate) fn groups(&self, limits: &[&'a Limit]) -> Result<Vec<Group<'a>>, Refusal> {
        let mut groups: Vec<Group<'a>> = Vec::new();
        // That of the consumer, or of whoever stands for one: nearly always the only one.
        let own = self.outer(&SubjectPart::Consumer)?;
        for (place, limit) in (0_u32..).zip(limits) {
            if !self.is_for(limit) {
                continue;
            }
            let (object, id) = if limit.subject == [SubjectPart::Consumer] {
                (Cow::Borrowed(&own), Cow::Borrowed(&*limit.id))
            } else {
                match self.located(limit)? {
                    Some((object, id)) => (Cow::Owned(object), id),
                    None => continue,
                }
            };
            let alone = limit.precision == Precision::Local;
            let counted = Counted { id, limit, place };
            let same = |group: &&mut Group<'_>| {
                group.object == *object
                    && group.split == limit.split
                    && (group.kept == Precision::Local) == alone
            };
            match groups.iter_mut().find(same) {
                Some(group) => {
                    if limit.precision == Precision::Exact {
                        group.kept = Precision::Exact;
                    }
                    group.limits.push(counted);
                }
                None => groups.push(Group {
                    object: object.into_owned(),
                    split: limit.split,
                    kept: limit.precision,
                    limits: vec![counted],
                }),
            }
        }
        if groups.len() > 1 {
            groups.sort_by(|a, b| {
                let key = |group: &Group<'_>| group.kept != Precision::Local;
                key(a)
                    .cmp(&key(b))
                    .then_with(|| a.object.cmp(&b.object))
                    .then_with(|| a.split.cmp(&b.split))
            });
        }
        Ok(groups)
    }

    /// Whether a limit is for such a call.
    fn is_for(&self, limit: &Limit) -> bool {
        let of_models = matches!(limit.kind, LimitKind::Budget { unit, .. } if unit != Unit::Bytes);
        match self.to {
            Permitted::Model(index, _) => {
                let model = || look::model(self.policy, *index).map(|model| &model.name);
                limit.models.is_empty() || model().is_ok_and(|name| limit.models.contains(name))
            }
            // All that is the caller's is shown.
            Permitted::Standing => true,
            Permitted::Operation(_) | Permitted::Models | Permitted::ModelCard(_) => {
                !of_models && limit.models.is_empty()
            }
        }
    }

    /// The object of a limit and its name there; `None`: the call has nothing that it counts.
    fn located(&self, limit: &'a Limit) -> Result<Option<(String, Cow<'a, str>)>, Refusal> {
        let (mut outer, mut inner) = (String::new(), String::new());
        let mut kind = "";
        for part in &limit.subject {
            let text = match part {
                SubjectPart::Consumer
                | SubjectPart::Credential
                | SubjectPart::Address
                | SubjectPart::Claim(_)
                | SubjectPart::Header(_) => {
                    let value = self.outer(part)?;
                    join(&mut outer, &value);
                    continue;
                }
                _ => self.inner(part)?,
            };
            let Some(text) = text else { return Ok(None) };
            kind = match part {
                SubjectPart::Api => "api",
                SubjectPart::Operation => "operation",
                SubjectPart::Model => "model",
                _ => "upstream",
            };
            join(&mut inner, &text);
        }
        if outer.is_empty() {
            return Ok(Some((format!("{kind}:{inner}"), Cow::Borrowed(&*limit.id))));
        }
        if inner.is_empty() {
            return Ok(Some((outer, Cow::Borrowed(&*limit.id))));
        }
        if inner.len() > MAX_NAME {
            inner = format!("#{}", digest(&[&inner]));
        }
        Ok(Some((outer, Cow::Owned(format!("{}@{inner}", limit.id)))))
    }

    /// A part that comes from outside, as an object is named after it.
    fn outer(&self, part: &SubjectPart) -> Result<String, Refusal> {
        Ok(match (part, self.caller) {
            (SubjectPart::Consumer, Some((consumer, _))) => format!("consumer:{}", consumer.name),
            (SubjectPart::Credential, Some((_, principal))) => {
                // Names of objects are for operators to see, and subjects of tokens may be names of people.
                let issuer = match principal.issuer {
                    Some(issuer) => look::issuer(self.policy, issuer)?.issuer.as_str(),
                    None => "",
                };
                format!("credential:{}", digest(&[issuer, &principal.subject]))
            }
            (SubjectPart::Claim(name), caller) => {
                let said = caller.and_then(|(_, principal)| {
                    let issuer = principal.issuer?;
                    Some((issuer, principal.claim(self.policy, name)?.plain()?))
                });
                // What one issuer calls a tenant is another tenant than the next one's.
                let digest = match said {
                    Some((issuer, value)) => {
                        digest(&[name, &look::issuer(self.policy, issuer)?.issuer, &value])
                    }
                    None => digest(&[name]),
                };
                format!("claim:{digest}")
            }
            (SubjectPart::Header(name), _) => {
                let place = self.policy.headers.iter().position(|known| known == name);
                let value = place.and_then(|place| self.from.headers.get(place)?.as_deref());
                let digest = match value {
                    Some(value) => digest(&[name, value]),
                    None => digest(&[name]),
                };
                format!("header:{digest}")
            }
            _ => format!("address:{}", shield::subject(self.from.address)),
        })
    }

    /// A part that the policy lists.
    fn inner(&self, part: &SubjectPart) -> Result<Option<String>, Refusal> {
        Ok(match (part, self.to) {
            (SubjectPart::Model, Permitted::Model(index, _)) => {
                Some(look::model(self.policy, *index)?.name.clone())
            }
            (SubjectPart::Upstream, Permitted::Model(..)) => match self.provider {
                Some(index) => Some(look::provider(self.policy, index)?.name.clone()),
                None => None,
            },
            (
                SubjectPart::Api | SubjectPart::Operation | SubjectPart::Upstream,
                Permitted::Operation(index),
            ) => {
                let operation = look::operation(self.policy, *index)?;
                let api = look::api(self.policy, operation.api)?;
                let mut text = api.name.clone();
                if *part != SubjectPart::Api {
                    // Writing to text cannot fail.
                    let _ = write!(text, "/{}", api.version);
                }
                if *part == SubjectPart::Operation {
                    let _ = write!(text, "#{}", operation.id);
                }
                Some(text)
            }
            _ => None,
        })
    }
}

/// Puts a part behind others; none of them can hold what separates them.
fn join(to: &mut String, part: &str) {
    if !to.is_empty() {
        to.push('|');
    }
    to.push_str(part);
}

/// What stands for the value of a header, so that a request need not carry it along.
pub(crate) fn stands_for(value: &str) -> String {
    digest(&[value])
}

/// What stands for texts of any length: half of the SHA-256 of them, each with its length.
fn digest(parts: &[&str]) -> String {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        hasher.update(part);
    }
    let digest: [u8; 32] = hasher.finalize().into();
    let (half, _) = digest.split_at(12);
    hex(half)
}

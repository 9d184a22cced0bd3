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

use crate::authorize::{Permitted, Seen};
use crate::error::Refusal;
use crate::identify::{CredentialKind, Principal};
use crate::{look, shield, sorted};
use turnpike_policy::hex;

/// The longest that tells counts apart inside an object as it is, in bytes; what is longer is hashed.
const MAX_NAME: usize = 30;
/// What stands for the issuer of a client certificate: no issuer of tokens has such a name.
const CERTIFICATES: &str = "client certificate";

/// Who asks for what, as far as limits are concerned.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call<'a, 'c> {
    /// None: it is open to everybody.
    pub(crate) caller: Option<(&'a Consumer, &'c Principal)>,
    pub(crate) from: Origin<'c>,
    pub(crate) called: Called<'a>,
}

/// What is called.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Called<'a> {
    pub(crate) policy: &'a Compiled,
    pub(crate) what: What,
    /// Of a model's call: the provider that is called (index into the policy's list).
    pub(crate) provider: Option<u32>,
}

/// An operation, a model (indices into the policy's lists), or neither.
#[derive(Clone, Copy, Debug)]
pub(crate) enum What {
    Operation(u32),
    Model(u32),
    /// A version of an API, as far as its operations do not matter.
    Api(u32),
    /// Lists and cards of models.
    Card,
    /// How limits stand.
    Standing,
}

impl From<&Permitted> for What {
    fn from(permitted: &Permitted) -> Self {
        match permitted {
            Permitted::Operation(index) => Self::Operation(*index),
            Permitted::Model(index, _) | Permitted::Standing(Some(Seen::Model(index))) => Self::Model(*index),
            Permitted::Models | Permitted::ModelCard(_) => Self::Card,
            Permitted::Standing(None) => Self::Standing,
            Permitted::Standing(Some(Seen::Api(index))) => Self::Api(*index),
        }
    }
}

/// Where a request comes from, and what it says of itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin<'c> {
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

impl Group<'_> {
    /// Whether it counts the calls of everybody.
    fn is_shared(&self) -> bool {
        let listed = |part: &SubjectPart| {
            matches!(
                part,
                SubjectPart::Api | SubjectPart::Operation | SubjectPart::Model | SubjectPart::Upstream
            )
        };
        self.limits
            .iter()
            .all(|counted| counted.limit.subject.iter().all(listed))
    }
}

impl<'a> Call<'a, '_> {
    /// The limits in groups, in the order in which all calls ask: those that isolates keep alone, those of the
    /// caller's own objects, those of objects that all callers share; each sorted by object.
    ///
    /// The last one is charged, and not tried before: so a caller whose own objects are slow keeps nothing of what
    /// is everybody's meanwhile, and the objects that are asked most are asked once.
    pub(crate) fn groups(&self, limits: &[&'a Limit]) -> Result<Vec<Group<'a>>, Refusal> {
        let mut groups: Vec<Group<'a>> = Vec::new();
        // That of the consumer, or of whoever stands for one: nearly always the only one.
        let own = self.outer(&SubjectPart::Consumer)?;
        for (place, limit) in (0_u32..).zip(limits) {
            if !self.called.has(limit)? {
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
            groups = sorted::by(groups, |a, b| {
                let key = |group: &Group<'_>| (group.kept != Precision::Local, group.is_shared());
                key(a)
                    .cmp(&key(b))
                    .then_with(|| a.object.cmp(&b.object))
                    .then_with(|| a.split.cmp(&b.split))
            });
        }
        Ok(groups)
    }

    /// The object of a limit and its name there; `None`: the call has nothing that it counts.
    fn located(&self, limit: &'a Limit) -> Result<Option<(String, Cow<'a, str>)>, Refusal> {
        let mut outer = String::new();
        for part in limit.subject.iter().filter(|part| is_outer(part)) {
            join(&mut outer, &self.outer(part)?);
        }
        let Some((kind, inner)) = self.called.inner(limit)? else {
            return Ok(None);
        };
        if outer.is_empty() {
            return Ok(Some((format!("{kind}:{inner}"), Cow::Borrowed(&*limit.id))));
        }
        Ok(Some((outer, id_of(limit, inner))))
    }

    /// A part that comes from outside, as an object is named after it.
    fn outer(&self, part: &SubjectPart) -> Result<String, Refusal> {
        Ok(match (part, self.caller) {
            (SubjectPart::Consumer, Some((consumer, _))) => format!("consumer:{}", consumer.name),
            (SubjectPart::Credential, Some((_, principal))) => {
                // Names of objects are for operators to see, and subjects of tokens may be names of people.
                let issuer = match (principal.issuer(), principal.credential()) {
                    (Some(issuer), _) => look::issuer(self.called.policy, issuer)?.issuer.as_str(),
                    (None, CredentialKind::Certificate) => CERTIFICATES,
                    (None, _) => "",
                };
                format!("credential:{}", digest(&[issuer, principal.subject()]))
            }
            (SubjectPart::Claim(name), caller) => {
                let said = caller.and_then(|(_, principal)| {
                    let issuer = principal.issuer()?;
                    Some((issuer, principal.claim(self.called.policy, name)?.plain()?))
                });
                // What one issuer calls a tenant is another tenant than the next one's.
                let digest = match said {
                    Some((issuer, value)) => {
                        digest(&[name, &look::issuer(self.called.policy, issuer)?.issuer, &value])
                    }
                    None => digest(&[name]),
                };
                format!("claim:{digest}")
            }
            (SubjectPart::Header(name), _) => {
                let place = self.called.policy.headers.iter().position(|known| known == name);
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
}

impl Called<'_> {
    /// Whether a limit is for such a call.
    pub(super) fn has(&self, limit: &Limit) -> Result<bool, Refusal> {
        let of_models = matches!(limit.kind, LimitKind::Budget { unit, .. } if unit != Unit::Bytes);
        Ok(match self.what {
            What::Model(index) => {
                limit.models.is_empty() || limit.models.contains(&look::model(self.policy, index)?.name)
            }
            // All that is the caller's is shown.
            What::Standing => true,
            What::Operation(_) | What::Api(_) | What::Card => !of_models && limit.models.is_empty(),
        })
    }

    /// What it is called among the parts of a limit's subject that the policy lists, and what the last of them is;
    /// `None`: it has nothing that the limit counts.
    pub(super) fn inner(&self, limit: &Limit) -> Result<Option<(&'static str, String)>, Refusal> {
        let (mut kind, mut inner) = ("", String::new());
        for part in limit.subject.iter().filter(|part| !is_outer(part)) {
            let Some(text) = self.part(part)? else {
                return Ok(None);
            };
            kind = match part {
                SubjectPart::Api => "api",
                SubjectPart::Operation => "operation",
                SubjectPart::Model => "model",
                _ => "upstream",
            };
            join(&mut inner, &text);
        }
        Ok(Some((kind, inner)))
    }

    fn part(&self, part: &SubjectPart) -> Result<Option<String>, Refusal> {
        Ok(match (part, self.what) {
            (SubjectPart::Model, What::Model(index)) => Some(look::model(self.policy, index)?.name.clone()),
            (SubjectPart::Upstream, What::Model(_)) => match self.provider {
                Some(index) => Some(look::provider(self.policy, index)?.name.clone()),
                None => None,
            },
            (SubjectPart::Api | SubjectPart::Operation | SubjectPart::Upstream, What::Operation(index)) => {
                let operation = look::operation(self.policy, index)?;
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
            (SubjectPart::Api, What::Api(index)) => Some(look::api(self.policy, index)?.name.clone()),
            (SubjectPart::Upstream, What::Api(index)) => {
                let api = look::api(self.policy, index)?;
                Some(format!("{}/{}", api.name, api.version))
            }
            _ => None,
        })
    }
}

/// Whether a part of a subject comes from outside: it makes objects of its own.
const fn is_outer(part: &SubjectPart) -> bool {
    matches!(
        part,
        SubjectPart::Consumer
            | SubjectPart::Credential
            | SubjectPart::Address
            | SubjectPart::Claim(_)
            | SubjectPart::Header(_)
    )
}

/// What an object calls the count of a limit for one of what the policy lists.
pub(super) fn id_of(limit: &Limit, mut inner: String) -> Cow<'_, str> {
    if inner.is_empty() {
        return Cow::Borrowed(&*limit.id);
    }
    if inner.len() > MAX_NAME {
        inner = format!("#{}", digest(&[&inner]));
    }
    Cow::Owned(format!("{}@{inner}", limit.id))
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

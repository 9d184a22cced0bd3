//! Look-ups by index. The compiler only writes indices that exist; should one not, the request ends
//! with `internal` instead of a panic.

use serde::de::DeserializeOwned;
use turnpike_policy::{Compiled, Consumer, Issuer, Lazy, Model, Operation, Plan, Provider};

use crate::error::{Code, Refusal};

fn at<'a, T>(list: &'a [T], index: u32, what: &'static str) -> Result<&'a T, Refusal> {
    usize::try_from(index)
        .ok()
        .and_then(|index| list.get(index))
        .ok_or_else(|| broken(what))
}

/// The same, of what is read when it is first asked for.
fn read<'a, T: DeserializeOwned>(
    list: &'a Lazy<T>,
    index: u32,
    what: &'static str,
) -> Result<&'a T, Refusal> {
    usize::try_from(index)
        .ok()
        .and_then(|index| list.get(index))
        .ok_or_else(|| broken(what))
}

/// The refusal for a bundle that contradicts itself.
pub(crate) fn broken(what: &'static str) -> Refusal {
    Refusal::new(Code::Internal, "The gateway failed.").because(what)
}

/// An issuer.
pub(crate) fn issuer(policy: &Compiled, index: u32) -> Result<&Issuer, Refusal> {
    at(&policy.issuers, index, "the bundle has no such issuer")
}

/// A consumer.
pub(crate) fn consumer(policy: &Compiled, index: u32) -> Result<&Consumer, Refusal> {
    read(&policy.consumers, index, "the bundle has no such consumer")
}

/// A plan.
pub(crate) fn plan(policy: &Compiled, index: u32) -> Result<&Plan, Refusal> {
    at(&policy.plans, index, "the bundle has no such plan")
}

/// An operation.
pub(crate) fn operation(policy: &Compiled, index: u32) -> Result<&Operation, Refusal> {
    read(&policy.operations, index, "the bundle has no such operation")
}

/// A version of an API.
pub(crate) fn api(policy: &Compiled, index: u32) -> Result<&turnpike_policy::Api, Refusal> {
    read(&policy.apis, index, "the bundle has no such API")
}

/// A model.
pub(crate) fn model(policy: &Compiled, index: u32) -> Result<&Model, Refusal> {
    at(&policy.models, index, "the bundle has no such model")
}

/// A provider.
pub(crate) fn provider(policy: &Compiled, index: u32) -> Result<&Provider, Refusal> {
    at(&policy.providers, index, "the bundle has no such provider")
}

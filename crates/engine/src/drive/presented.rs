//! Where a request may carry a credential: what the policy names, and nothing else.

use turnpike_policy::Compiled;

use crate::accept;
use crate::answer::is_named;
use crate::identify::Presented;
use crate::shield::Shielded;
use crate::step::Head;

/// What a client presents to be identified.
pub(super) fn of<'a>(policy: &Compiled, head: &Head<'a>, shielded: Shielded, now: u64) -> Presented<'a> {
    let places = &policy.gateway.api_keys;
    let listed = |name: &str| {
        let listed = places.headers.iter().any(|known| known == name);
        head.header(name).filter(|_| listed)
    };
    let mut presented = Presented {
        shielded,
        authorization: head.header("authorization"),
        x_api_key: listed("x-api-key"),
        api_key: listed("api-key"),
        x_goog_api_key: listed("x-goog-api-key"),
        other: None,
        several: false,
        certificate: head.certificate.filter(|_| policy.client_certificates),
        proof: head.proof.filter(|_| policy.dpop),
        method: head.method,
        url: head.url,
        dpop: policy.dpop,
    };
    // With its exception a parameter ends as a credential; it is kept from upstreams and logs all the same.
    let names = if now < places.query_until {
        places.query.as_slice()
    } else {
        &[]
    };
    let query = if names.is_empty() {
        ""
    } else {
        accept::query_of(head.url)
    };
    let pairs = query.split('&').filter(|pair| is_named(pair, names));
    let values = pairs.map(|pair| pair.split_once('=').map_or("", |(_, value)| value));
    // A parameter that is there twice may be read by others as either; a header that is, was refused.
    let mut asked = 0;
    let values = values.inspect(|_| asked += 1);
    let mut first = None;
    for value in head.keys.iter().copied().flatten().chain(values) {
        presented.several |= first.is_some_and(|first| first != value);
        first.get_or_insert(value);
    }
    presented.several |= asked > 1;
    presented.other = first;
    presented
}

/// A query without what may carry a credential, so that it is in no log line and reaches no upstream.
pub(super) fn without(policy: &Compiled, query: &str) -> String {
    let names = &policy.gateway.api_keys.query;
    if names.is_empty() || query.is_empty() {
        return query.to_owned();
    }
    // At a `;` some begin another parameter.
    let kept = query
        .split('&')
        .filter(|pair| !pair.split(';').any(|part| is_named(part, names)));
    kept.collect::<Vec<_>>().join("&")
}

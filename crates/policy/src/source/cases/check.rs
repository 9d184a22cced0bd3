//! Tests held against the tree: whom they name exists, what they say is whole.

use std::collections::BTreeMap;

use super::fields::{
    Caller as CallerField, CallerFields, CaseFields, ExpectFields, HeaderText, OneOr, Reached, RequestFields,
    SentFields, TestFile, UpstreamFields,
};
use super::times;
use super::{Caller, Case, CaseRequest, CaseStep, Expected, ExpectedCall, ExpectedCalls, ScriptedAnswer};
use crate::Compiled;
use crate::source::catalogue::Catalogue;
use crate::source::compile::Checker;
use crate::source::consumers::ConsumerFile;
use crate::source::containers::{List, Map};
use crate::source::diagnostic::{Code, Span};
use crate::source::files::Item;
use crate::source::names;
use crate::source::reader::Spanned;
use crate::source::scalars::{Header, Name, Text};
use crate::source::secrets::quote;
use serde_json::Value as Json;

/// How many requests all tests of an environment may send together: a run of them has an end.
const MOST_TOGETHER: u64 = 200_000;

/// How many bytes the requests of one step may have, with what upstreams answer to them: all may be on their way at once.
const MOST_BYTES: u64 = 64 << 20;

/// What tests are held against.
pub(crate) struct Against<'a> {
    pub(crate) compiled: &'a Compiled,
    pub(crate) consumers: &'a Catalogue<ConsumerFile>,
}

/// Checks every file of tests.
pub(crate) fn compile(
    items: &[Item],
    compiled: &Compiled,
    consumers: &Catalogue<ConsumerFile>,
    checker: &mut Checker,
) -> Vec<Case> {
    let against = Against { compiled, consumers };
    let mut cases = Vec::new();
    let mut requests: u64 = 0;
    for item in items {
        let Some(node) = &item.node else { continue };
        let Some(file) = checker.reader.item::<TestFile>(node) else {
            continue;
        };
        let mut seen: BTreeMap<&str, Span> = BTreeMap::new();
        for case in &file.value.0.0 {
            if let Some(name) = &case.name {
                if let Some(first) = seen.get(name.value.0.as_str()) {
                    checker
                        .report()
                        .error(Code::Repeated, name.span, "two tests of one file have this name")
                        .label(*first, "the other one")
                        .help("say what this one shows: a failure is told by its name");
                }
                seen.insert(&name.value.0, name.span);
            }
            times::check(case, checker);
            if let Some(steps) = steps(case, &against, checker) {
                let at = case.name.as_ref().map_or(case.span, |name| name.span);
                let before = requests;
                requests += steps
                    .iter()
                    .map(|step| u64::from(step.request.times))
                    .sum::<u64>();
                if before <= MOST_TOGETHER && requests > MOST_TOGETHER {
                    checker
                        .report()
                        .error(
                            Code::OutOfRange,
                            at,
                            format!(
                                "with this one, the tests send more than {MOST_TOGETHER} requests together"
                            ),
                        )
                        .help("write fewer `times`: a limit is shown by one request more than it admits");
                }
                cases.push(Case {
                    name: case.name.as_ref().map(|name| name.0.clone()).unwrap_or_default(),
                    file: format!("tests/{}", item.name),
                    origin: checker.report().origin(at),
                    at: case.at.as_ref().map(|at| at.0),
                    steps,
                });
            }
        }
    }
    cases
}

/// The steps of a test; nothing if they are wrong, and that was reported.
fn steps(case: &Spanned<CaseFields>, against: &Against<'_>, checker: &mut Checker) -> Option<Vec<CaseStep>> {
    if let Some(list) = &case.steps {
        let beside = [
            case.request.as_ref().map(|field| field.key_span),
            case.expect.as_ref().map(|field| field.key_span),
            case.upstream.as_ref().map(|field| field.key_span),
        ];
        for span in beside.into_iter().flatten() {
            checker
                .report()
                .error(Code::Conflict, span, "a test has one request, or `steps`")
                .label(list.key_span, "it has these already")
                .help("make it a step");
        }
        if list.0.is_empty() && !checker.reader.reported_within(list.span) {
            checker
                .report()
                .error(Code::EmptyList, list.span, "a test without a step tests nothing");
        }
        let steps: Vec<_> = list
            .0
            .iter()
            .filter_map(|step| {
                let request = step.request.as_ref()?;
                let after = step.after.as_ref().map_or(0, |after| after.0);
                one(
                    after,
                    request,
                    step.upstream.as_ref(),
                    step.expect.as_ref()?,
                    against,
                    checker,
                )
            })
            .collect();
        return (steps.len() == list.0.len() && !steps.is_empty()).then_some(steps);
    }
    match (&case.request, &case.expect) {
        (Some(request), Some(expect)) => {
            one(0, request, case.upstream.as_ref(), expect, against, checker).map(|step| vec![step])
        }
        (request, _) => {
            if !checker.reader.reported_within(case.span) {
                let missing = if request.is_some() { "expect" } else { "request" };
                checker
                    .report()
                    .error(Code::MissingField, case.span, format!("`{missing}` is missing"))
                    .help("a test has a `request` and what to `expect`, or `steps` that have them");
            }
            None
        }
    }
}

fn one(
    after: u64,
    request: &Spanned<RequestFields>,
    upstream: Option<&Spanned<OneOr<UpstreamFields>>>,
    expect: &Spanned<OneOr<ExpectFields>>,
    against: &Against<'_>,
    checker: &mut Checker,
) -> Option<CaseStep> {
    // Known even where the rest of the request is not.
    let times = request.times.as_ref().map(|times| times.0);
    let at = request.times.as_ref().map_or(request.span, |times| times.span);
    let request = self::request(request, against, checker);
    let scripted: Vec<_> = upstream
        .iter()
        .flat_map(|list| &list.0)
        .map(|answer| scripted(answer, checker))
        .collect();
    if request
        .as_ref()
        .is_some_and(|request| bytes(request, &scripted) > MOST_BYTES)
    {
        checker
            .report()
            .error(
                Code::OutOfRange,
                at,
                format!(
                    "these requests have more than {} MiB together, with what upstreams answer",
                    MOST_BYTES >> 20
                ),
            )
            .help("write fewer `times`, or shorter bodies: many requests show as much with small ones");
    }
    let expect = expected(expect, times, checker);
    Some(CaseStep {
        after,
        request: request?,
        upstream: scripted,
        expect: expect?,
    })
}

/// How many bytes are on their way if all requests of a step are at once.
fn bytes(request: &CaseRequest, scripted: &[ScriptedAnswer]) -> u64 {
    let of = |headers: &[(String, String)], body: usize| {
        let headers = headers.iter().map(|(name, value)| name.len() + value.len());
        headers.sum::<usize>() + body
    };
    let body = request.body.as_ref().map_or(0, Vec::len) + request.target.len();
    let answers = scripted
        .iter()
        .map(|answer| of(&answer.headers, answer.body.len()));
    let each = of(&request.headers, body) + answers.max().unwrap_or(0);
    u64::try_from(each)
        .unwrap_or(u64::MAX)
        .saturating_mul(u64::from(request.times))
}

fn request(
    fields: &Spanned<RequestFields>,
    against: &Against<'_>,
    checker: &mut Checker,
) -> Option<CaseRequest> {
    let named = [
        ("GET", &fields.get),
        ("POST", &fields.post),
        ("PUT", &fields.put),
        ("PATCH", &fields.patch),
        ("DELETE", &fields.delete),
        ("HEAD", &fields.head),
        ("OPTIONS", &fields.options),
    ];
    let mut written = named
        .into_iter()
        .filter_map(|(name, field)| Some((name, field.as_ref()?)));
    let first = written.next();
    if let (Some((_, first)), Some((_, second))) = (first, written.next()) {
        checker
            .report()
            .error(Code::Conflict, second.key_span, "a request has one method")
            .label(first.key_span, "it has this one already")
            .help("make it two tests, or two `steps`");
        return None;
    }
    let Some((method, target)) = first else {
        if !checker.reader.reported_within(fields.span) {
            checker
                .report()
                .error(
                    Code::MissingField,
                    fields.span,
                    "the request has no method and path",
                )
                .help("write for example `get: /petstore/v1/pets`");
        }
        return None;
    };
    if let (Some(json), Some(body)) = (&fields.json, &fields.body) {
        checker
            .report()
            .error(Code::Conflict, body.key_span, "a request has one body")
            .label(json.key_span, "it has this one already");
    }
    let times = fields.times.as_ref().map_or(1, |times| times.0);
    if let (Some(over), true) = (&fields.over, times < 2 && fields.times.is_some()) {
        checker
            .report()
            .error(
                Code::Conflict,
                over.key_span,
                "`over` needs `times`: it spreads several requests",
            )
            .help("write for example `times: 10, over: 3s`");
    }
    let mut headers = headers(fields.headers.as_ref());
    if fields.json.is_some() && !headers.iter().any(|(name, _)| name == "content-type") {
        headers.push(("content-type".to_owned(), "application/json".to_owned()));
    }
    let json = fields.json.as_ref().map(|json| json.0.to_string().into_bytes());
    let caller = match &fields.caller {
        Some(caller) => Some(self::caller(caller, against, checker)?),
        None => None,
    };
    Some(CaseRequest {
        method,
        target: target.0.clone(),
        caller,
        headers,
        body: json.or_else(|| fields.body.as_ref().map(|body| body.0.clone().into_bytes())),
        from: fields.from.as_ref().map(|from| from.0.clone()),
        country: fields.country.as_ref().map(|country| country.0.clone()),
        times,
        over: fields.over.as_ref().map(|over| over.0),
    })
}

/// Who calls; nothing if there is no such consumer, or not with this credential.
fn caller(field: &Spanned<CallerField>, against: &Against<'_>, checker: &mut Checker) -> Option<Caller> {
    let (name, span, fields): (&Name, Span, Option<&CallerFields>) = match &field.value {
        CallerField::Name(name) => (name, field.span, None),
        CallerField::Fields(fields) => {
            let name = fields.consumer.as_ref()?;
            (&name.value, name.span, Some(fields))
        }
    };
    let index = against
        .consumers
        .refer("consumer", &name.0, span, &mut checker.reader)?;
    let scopes = fields.and_then(|fields| fields.scopes.as_ref());
    let claims = fields.and_then(|fields| fields.claims.as_ref());
    let with = fields.and_then(|fields| fields.with.as_ref());
    if let Some(with) = with {
        credential(&name.0, index, with, against, checker)?;
        let own = scopes
            .filter(|scopes| !scopes.0.is_empty())
            .map(|field| field.key_span);
        let own = own.or(claims.map(|field| field.key_span));
        if let Some(span) = own.filter(|_| ["key", "certificate"].contains(&with.0.as_str())) {
            checker
                .report()
                .error(
                    Code::Conflict,
                    span,
                    format!("a {} has no scopes or claims but those of its policy", with.0),
                )
                .label(with.span, format!("it calls with a {}", with.0));
        }
    }
    let claims = match claims.map(|claims| (&claims.value.0, claims.span)) {
        None => Vec::new(),
        Some((Json::Object(map), _)) => map
            .iter()
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect(),
        Some((_, span)) => {
            checker
                .report()
                .error(Code::WrongType, span, "expected a map from claims to values");
            Vec::new()
        }
    };
    Some(Caller {
        consumer: name.0.clone(),
        scopes: scopes
            .iter()
            .flat_map(|list| &list.0)
            .map(|scope| scope.0.clone())
            .collect(),
        with: with.map(|with| with.0.clone()),
        claims,
    })
}

/// Whether a consumer has a credential of this kind.
fn credential(
    consumer: &str,
    index: u32,
    with: &Spanned<Name>,
    against: &Against<'_>,
    checker: &mut Checker,
) -> Option<()> {
    let Compiled {
        identities,
        issuers,
        keys,
        certificates,
        ..
    } = against.compiled;
    let mut known: Vec<&str> = identities
        .iter()
        .filter(|identity| identity.consumer == index)
        .filter_map(|identity| issuers.get(usize::try_from(identity.issuer).ok()?))
        .map(|issuer| issuer.name.as_str())
        .collect();
    if keys.iter().any(|key| key.consumer == index) {
        known.push("key");
    }
    if certificates
        .iter()
        .any(|certificate| certificate.consumer == index)
    {
        known.push("certificate");
    }
    // What is broken elsewhere may well be what is meant here.
    if known.contains(&with.0.as_str()) || checker.report().failed() {
        return Some(());
    }
    let message = format!("{} has no credential {} here", quote(consumer), quote(&with.0));
    let help = names::remedy(&with.0, "credential", known.iter().copied());
    checker
        .report()
        .error(Code::UnknownReference, with.span, message)
        .help(help);
    None
}

fn scripted(fields: &Spanned<UpstreamFields>, checker: &mut Checker) -> ScriptedAnswer {
    let body = match (&fields.json, &fields.body) {
        (Some(json), Some(body)) => {
            checker
                .report()
                .error(Code::Conflict, body.key_span, "an answer has one body")
                .label(json.key_span, "it has this one already");
            Vec::new()
        }
        (Some(json), None) => json.0.to_string().into_bytes(),
        (None, Some(body)) => body.0.clone().into_bytes(),
        (None, None) => Vec::new(),
    };
    if let (Some(fails), true) = (&fields.fails, fields.json.is_some() || fields.body.is_some()) {
        checker
            .report()
            .error(Code::Conflict, fails.key_span, "an upstream answers, or fails")
            .help("make it two items of a list: each call takes the next");
    }
    let mut headers = headers(fields.headers.as_ref());
    if fields.json.is_some() && !headers.iter().any(|(name, _)| name == "content-type") {
        headers.push(("content-type".to_owned(), "application/json".to_owned()));
    }
    ScriptedAnswer {
        status: status(fields.status.as_ref().map(|status| status.0)).unwrap_or(200),
        headers,
        body,
        after: fields.after.as_ref().map_or(0, |after| after.0),
        fails: fields.fails.as_ref().map(|fails| fails.value),
    }
}

fn expected(
    fields: &Spanned<OneOr<ExpectFields>>,
    times: Option<u32>,
    checker: &mut Checker,
) -> Option<Vec<Expected>> {
    let list = &fields.0;
    if list.is_empty() {
        if !checker.reader.reported_within(fields.span) {
            checker.report().error(
                Code::EmptyList,
                fields.span,
                "a test that expects nothing tests nothing",
            );
        }
        return None;
    }
    let share = if list.len() == 1 { times.unwrap_or(1) } else { 1 };
    let all: Vec<_> = list
        .iter()
        .map(|item| Expected {
            times: item.times.as_ref().map_or(share, |times| times.0),
            ..expectation(item, checker)
        })
        .collect();
    let sum = all.iter().fold(0_u64, |sum, item| sum + u64::from(item.times));
    if let Some(times) = times.filter(|times| sum != u64::from(*times))
        && !checker.reader.reported_within(fields.span)
    {
        checker
            .report()
            .error(
                Code::Conflict,
                fields.key_span,
                format!("{times} requests are sent, and {sum} answers expected"),
            )
            .help("the `times` of what is expected add up to the `times` of the request");
        return None;
    }
    Some(all)
}

fn expectation(fields: &Spanned<ExpectFields>, checker: &mut Checker) -> Expected {
    let says = [
        fields.status.is_some(),
        fields.code.is_some(),
        fields.headers.is_some(),
        fields.json.is_some(),
        fields.contains.is_some(),
        fields.policy.is_some(),
        fields.upstream.is_some(),
        fields.no_headers.as_ref().is_some_and(|list| !list.0.is_empty()),
    ];
    if !says.contains(&true) && !checker.reader.reported_within(fields.span) {
        checker
            .report()
            .error(
                Code::MissingField,
                fields.span,
                "this expects nothing of the answer",
            )
            .help("write for example `{ status: 200 }` or `{ code: rate_limited }`");
    }
    if let Some(policy) = &fields.policy {
        cited(policy, checker);
    }
    Expected {
        origin: checker.report().origin(fields.span),
        times: 1,
        status: status(fields.status.as_ref().map(|status| status.0)),
        code: fields.code.as_ref().map(|code| code.0.clone()),
        headers: headers(fields.headers.as_ref()),
        no_headers: absent(fields.no_headers.as_ref()),
        json: fields.json.as_ref().map(|json| json.0.clone()),
        contains: fields.contains.as_ref().map(|text| text.0.clone()),
        policy: fields.policy.as_ref().map(|policy| policy.0.clone()),
        upstream: fields.upstream.as_ref().map(|reached| match &reached.value {
            Reached::Nothing => ExpectedCalls::Nothing,
            Reached::Call(call) => ExpectedCalls::Call(Box::new(sent(call))),
        }),
    }
}

/// Checks that the file of a line that is to decide is there. The folder of the tree may have any name.
fn cited(policy: &Spanned<Text>, checker: &mut Checker) {
    let text = policy.0.as_str();
    let file = match text.rsplit_once(':') {
        Some((file, line)) if line.bytes().all(|byte| byte.is_ascii_digit()) => file,
        _ => text,
    };
    let (folder, below) = file.split_once('/').unwrap_or(("", file));
    let known = || checker.files.names();
    if !folder.is_empty() && known().any(|known| known == below) {
        return;
    }
    let whole = known().find(|known| *known == file);
    let help = match whole.or_else(|| names::nearest(below, known())) {
        Some(near) => format!("did you mean {}?", quote(&format!("policies/{near}"))),
        None => "write it as answers name it, for example `policies/plans/free.yaml:4`, or the file alone"
            .to_owned(),
    };
    checker
        .report()
        .error(
            Code::MissingFile,
            policy.span,
            format!("there is no file {} in the tree", quote(below)),
        )
        .help(help);
}

fn sent(fields: &SentFields) -> ExpectedCall {
    ExpectedCall {
        url: fields.url.as_ref().map(|url| url.0.clone()),
        method: fields.method.as_ref().map(|method| method.0.clone()),
        headers: headers(fields.headers.as_ref()),
        no_headers: absent(fields.no_headers.as_ref()),
        json: fields.json.as_ref().map(|json| json.0.clone()),
        calls: fields.calls.as_ref().map(|calls| calls.0),
    }
}

fn status(number: Option<u32>) -> Option<u16> {
    number.and_then(|number| u16::try_from(number).ok())
}

fn headers(fields: Option<&Spanned<Map<HeaderText>>>) -> Vec<(String, String)> {
    let all = fields.iter().flat_map(|map| &map.here);
    all.map(|(name, value)| (name.value.clone(), value.value.0.clone()))
        .collect()
}

fn absent(fields: Option<&Spanned<List<Header>>>) -> Vec<String> {
    let all = fields.iter().flat_map(|list| &list.0);
    all.map(|header| header.0.clone()).collect()
}

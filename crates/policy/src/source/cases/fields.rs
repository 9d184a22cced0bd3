//! A file of tests as it is written.

use serde_json::Value as Json;

use super::refusals::RefusalCode;
use super::times::{MOST, Times};
use crate::source::containers::{List, Map};
use crate::source::declare::{Shape, choice, record};
use crate::source::diagnostic::Code;
use crate::source::json;
use crate::source::reader::{Fault, Read, Reader, Scalar, Spanned};
use crate::source::scalars::{Body, Date, Duration, Header, Name, Number, Scope, Text, Token};
use crate::source::schema;
use crate::source::secrets::quote;
use crate::source::yaml::{Node, Value};

record! {
    /// Tests: requests, and what the policies must answer. Either a list of tests, or, where all of a
    /// file exist in some environments only, a map with `tests` and `environments`. They are run by
    /// `turnpike test`; nothing of them is in the bundle.
    TestRecord = "tests" {
        /// The tests.
        tests: required List<CaseFields>,
    }
}

record! {
    /// One test: one `request` with what to `expect`, or several `steps`. Each begins with full limits.
    CaseFields = "test" {
        /// What it shows, as a sentence.
        name: required Text,
        /// When it plays; left out: at noon (UTC) of the day on which it is run.
        at: optional Date,
        /// The request.
        request: optional RequestFields,
        /// What upstreams answer to it.
        upstream: optional OneOr<UpstreamFields>,
        /// What it must be answered.
        expect: optional OneOr<ExpectFields>,
        /// Requests one after another, where one is not enough.
        steps: optional List<StepFields>,
    }
}

record! {
    /// One of several requests, with what to expect of it.
    StepFields = "step" {
        /// How long after the step before: `61s`.
        after: default "0s" Duration,
        /// The request.
        request: required RequestFields,
        /// What upstreams answer to it.
        upstream: optional OneOr<UpstreamFields>,
        /// What it must be answered.
        expect: required OneOr<ExpectFields>,
    }
}

record! {
    /// A request: a method with a path (or a URL, where the host matters), and who sends it.
    RequestFields = "request" {
        /// `GET` this.
        get: optional Target,
        /// `POST` this.
        post: optional Target,
        /// `PUT` this.
        put: optional Target,
        /// `PATCH` this.
        patch: optional Target,
        /// `DELETE` this.
        delete: optional Target,
        /// `HEAD` of this.
        head: optional Target,
        /// `OPTIONS` of this.
        options: optional Target,
        /// The consumer that sends it; left out: somebody without a credential.
        caller as "as": optional Caller,
        /// Its headers.
        headers: optional Map<HeaderText>,
        /// Its body, as JSON; `content-type` is set unless `headers` do.
        json: optional Anything,
        /// Its body, as text.
        body: optional Body,
        /// The address that it comes from; left out: `192.0.2.1`.
        from: optional Token,
        /// The country that it comes from, as `request.country` of a condition: `DE`. Left out: not known.
        country: optional Token,
        /// How many such requests: all at one instant, unless `over` spreads them.
        times: default "1" Times,
        /// From the first to the last of them, evenly: `3s`.
        over: optional Duration,
    }
}

record! {
    /// Who sends a request, with what. The name of a consumer alone stands for `{ consumer: name }`.
    CallerFields = "as" {
        /// The consumer.
        consumer: required Name,
        /// Scopes of its token (a key or a certificate has those that its policy gives it).
        scopes: default "[]" List<Scope>,
        /// By which of its credentials: the name of an issuer, `key`, or `certificate`. Left out: the first
        /// token it has, else its first key, else its first certificate.
        with: optional Name,
        /// Further claims of its token.
        claims: optional Anything,
    }
}

record! {
    /// What an upstream answers: of a list, each call takes the next, and the last one stays. Without
    /// it every upstream answers 200 with an empty object, or with a completion that says `ok`.
    UpstreamFields = "upstream" {
        /// Its status.
        status: default "200" Number<200, 599>,
        /// Its headers.
        headers: optional Map<HeaderText>,
        /// Its body, as JSON.
        json: optional Anything,
        /// Its body, as text.
        body: optional Body,
        /// How long it takes.
        after: default "0s" Duration,
        /// Instead of an answer: `unreachable`, or `timeout`.
        fails: optional UpstreamFailure,
    }
}

record! {
    /// What must be answered: all that is written must hold. Of a list, each answer belongs to the
    /// first item that fits it, and each item must get as many as its `times` says.
    ExpectFields = "expect" {
        /// The status.
        status: optional Number<100, 599>,
        /// The stable code of a refusal, as in docs/errors.md; `none`: it must not be refused.
        code: optional RefusalCode,
        /// Headers with exactly these values.
        headers: optional Map<HeaderText>,
        /// Headers that must not be there.
        no_headers: default "[]" List<Header>,
        /// The body as JSON: members that are written must be there and equal, others may be.
        json: optional Anything,
        /// A text that the body holds.
        contains: optional Body,
        /// The policy line that decided (`policies/plans/free.yaml:4`), or its file alone.
        policy: optional Text,
        /// What reached upstreams: `none`, or what one of the calls looked like.
        upstream: optional Reached,
        /// How many answers look like this; left out: all, or one each where there is a list.
        times: optional Times,
    }
}

record! {
    /// A call that reached an upstream.
    SentFields = "call" {
        /// Its URL, with its query.
        url: optional Text,
        /// Its method.
        method: optional Token,
        /// Headers with exactly these values. A secret is its name: `Bearer <PETS_TOKEN>`.
        headers: optional Map<HeaderText>,
        /// Headers that must not be there.
        no_headers: default "[]" List<Header>,
        /// Its body as JSON: members that are written must be there and equal, others may be.
        json: optional Anything,
        /// How many calls there were in all.
        calls: optional Number<1, MOST>,
    }
}

/// How an upstream fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpstreamFailure {
    /// No connection.
    Unreachable,
    /// No answer within the time that the policy gives it.
    Timeout,
}

choice!(UpstreamFailure: "unreachable" => Self::Unreachable, "timeout" => Self::Timeout);

/// The tests of a file.
#[derive(Clone, Debug, Default)]
pub(crate) struct TestFile(pub(crate) List<CaseFields>);

impl TestFile {
    /// The JSON Schema of a file of tests.
    pub(crate) fn schema_of_file() -> serde_json::Value {
        schema::either([List::<CaseFields>::schema(), TestRecord::item_schema()])
    }
}

impl Read for TestFile {
    fn expects() -> String {
        "a list of tests, or a map with `tests`".to_owned()
    }

    fn schema() -> serde_json::Value {
        Self::schema_of_file()
    }

    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        match &node.value {
            Value::Map(_) => {
                let file = TestRecord::read(node, reader)?;
                Some(Self(file.tests.map(|tests| tests.value).unwrap_or_default()))
            }
            Value::List(_) => List::read(node, reader).map(Self),
            Value::Scalar { .. } => {
                reader.wrong_type(node, &Self::expects());
                None
            }
        }
    }

    fn shapes(out: &mut Vec<&'static Shape>) {
        TestRecord::shapes(out);
    }
}

/// One thing, or a list of them.
#[derive(Clone, Debug)]
pub(crate) struct OneOr<T>(pub(crate) Vec<Spanned<T>>);

impl<T: Read> Read for OneOr<T> {
    fn expects() -> String {
        format!("{}, or a list of them", T::expects())
    }

    fn schema() -> serde_json::Value {
        schema::either([T::schema(), List::<T>::schema()])
    }

    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        if matches!(node.value, Value::List(_)) {
            let list = List::<T>::read(node, reader)?;
            return Some(Self(list.0));
        }
        T::read(node, reader).map(|value| Self(vec![Spanned::new(value, node.span)]))
    }

    fn shapes(out: &mut Vec<&'static Shape>) {
        T::shapes(out);
    }

    fn later() -> &'static [&'static str] {
        T::later()
    }
}

/// A JSON value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Anything(pub(crate) Json);

impl Read for Anything {
    fn expects() -> String {
        "a value that JSON can hold".to_owned()
    }

    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        let value = json::value(node);
        if value.is_none() {
            reader.wrong_type(node, &Self::expects());
        }
        value.map(Self)
    }
}

/// What reached upstreams.
#[derive(Clone, Debug)]
pub(crate) enum Reached {
    Nothing,
    Call(Box<SentFields>),
}

impl Read for Reached {
    fn expects() -> String {
        "`none`, or a map (call)".to_owned()
    }

    fn schema() -> serde_json::Value {
        schema::either([schema::words(&["none"]), SentFields::schema()])
    }

    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        match (&node.value, node.text()) {
            (_, Some("none")) => Some(Self::Nothing),
            (Value::Map(_), _) => SentFields::read(node, reader).map(|call| Self::Call(Box::new(call))),
            _ => {
                reader.wrong_type(node, &Self::expects());
                None
            }
        }
    }

    fn shapes(out: &mut Vec<&'static Shape>) {
        SentFields::shapes(out);
    }
}

/// Who sends a request.
#[derive(Clone, Debug)]
pub(crate) enum Caller {
    Name(Name),
    Fields(Box<CallerFields>),
}

impl Read for Caller {
    fn expects() -> String {
        "the name of a consumer, or a map (as)".to_owned()
    }

    fn schema() -> serde_json::Value {
        schema::either([<Name as Read>::schema(), CallerFields::schema()])
    }

    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        if matches!(node.value, Value::Map(_)) {
            return CallerFields::read(node, reader).map(|fields| Self::Fields(Box::new(fields)));
        }
        Name::read(node, reader).map(Self::Name)
    }

    fn shapes(out: &mut Vec<&'static Shape>) {
        CallerFields::shapes(out);
    }
}

/// The value of a header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HeaderText(pub(crate) String);

impl Scalar for HeaderText {
    const EXPECTS: &'static str = "the value of a header";

    fn parse(text: &str) -> Result<Self, Fault> {
        if text.len() <= 64 * 1024 && text.chars().all(|c| c == '\t' || !c.is_control()) {
            Ok(Self(text.to_owned()))
        } else {
            Err(Fault::new(
                Code::BadText,
                "the value of a header is one line of at most 64 KiB",
            ))
        }
    }
}

/// Where a request goes. It is sent as it is written: how the gateway takes an odd path can be
/// tested as well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target(pub(crate) String);

impl Scalar for Target {
    const EXPECTS: &'static str = "a path such as `/petstore/v1/pets`, or a URL";

    fn parse(text: &str) -> Result<Self, Fault> {
        let rooted = text.starts_with('/') || text.starts_with("https://") || text.starts_with("http://");
        if !rooted {
            let fault = Fault::new(
                Code::BadPath,
                format!("{} is neither a path nor a URL", quote(text)),
            );
            return Err(fault.help(format!("write {}", quote(&format!("/{text}")))));
        }
        if text.len() > 16 * 1024 || text.chars().any(|c| c.is_control() || c == ' ') {
            return Err(Fault::new(
                Code::BadPath,
                "a path has no spaces and no control characters, and at most 16 KiB",
            ));
        }
        Ok(Self(text.to_owned()))
    }
}

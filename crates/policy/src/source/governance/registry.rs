//! Every governance rule: how bad it is unless the gateway says otherwise, and why it is one.

use super::super::diagnostic::{Code, Severity};

/// A rule of good practice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Its code, which `governance` of `gateway.yaml` names.
    pub code: Code,
    /// How bad it is unless the gateway says otherwise.
    pub severity: Severity,
    /// Why it is a rule.
    pub why: &'static str,
}

/// What a rule judges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    /// An API: its document, its operations, its versions, their upstreams.
    Api,
    /// A model, its targets and who may call it.
    Model,
    /// Any file, or what a rule of one's own names.
    Any,
    /// Neither: the gateway, issuers, providers, consumers, plans, exceptions; or a change, which `diff` judges.
    Else,
}

impl Rule {
    /// What it judges: codes are numbered by it.
    pub fn about(&self) -> About {
        match self.code {
            Code::AnonymousProvider
            | Code::BrokenPromise
            | Code::LongException
            | Code::NoBudget
            | Code::TwinProviders => return About::Else,
            Code::NotPublished => return About::Api,
            Code::SharedSubject | Code::SimilarNames => return About::Any,
            _ => {}
        }
        match self.code.number().get(..3) {
            Some("P12" | "P13" | "P14" | "P17") => About::Api,
            Some("P15") => About::Model,
            Some("P18" | "P19") => About::Any,
            _ => About::Else,
        }
    }
}

/// Declares the rules: code, severity and reason of each, once.
macro_rules! rules {
    ($($code:ident $severity:ident $why:literal)*) => {
        /// Every governance rule, in the order of its code.
        pub const RULES: &[Rule] = &[
            $(Rule { code: Code::$code, severity: Severity::$severity, why: $why },)*
        ];
    };
}

rules! {
    AnswersNothing Warning "A deployment that answers nothing is seldom meant."
    Unused Warning "What nobody uses is kept up by nobody, and misleads who reads it."
    NoCredential Warning "A consumer that can never call is either forgotten or unfinished."
    ExpiresSoon Warning "What ends next month has to be renewed this month: a build that fails is the last warning."
    UnusedException Warning "What is not needed should not be allowed."
    NotPublished Warning "Who reads the document expects what the gateway does not pass on."

    OpenHosts Note "A gateway that also answers under a preview or platform name can be reached around what protects its real name."
    WideShield Warning "The shield is what keeps a flood of refused requests cheap: a limit that no flood reaches protects nothing."
    AnyOrigin Warning "Any page that a user visits could then call with what the browser holds."
    WideEnvironment Warning "Mocks, explanations, development tokens and plain HTTP are for trying things out: in production each of them is a way in."
    CookiesPass Warning "A cookie of an upstream is a session beside the gateway, which no policy here ends or limits."
    SparseLog Note "An incident is told by the requests that succeeded as well as by those that failed."
    NoTests Note "A policy that is not tested is noticed to be wrong when it refuses, or fails to."
    LargeBodies Warning "Large bodies are the cheapest way to exhaust what stands behind the gateway."

    LongTokens Warning "A stolen token is good until it ends (RFC 9700, 2.2; OWASP API2)."
    EndlessTokens Warning "A token without an end cannot be taken back (OWASP API2)."
    SharedKey Warning "Whoever can check such a token can also make one: the key is then as widely held as it is used."
    UnusedIssuer Warning "An issuer that nobody needs is a way in that nobody watches."
    PlainIssuer Warning "Keys that are fetched without TLS are whatever the network says they are."

    NumericId Note "Numbers can be counted through: identifiers that cannot be guessed make a missing check less costly (OWASP API1)."
    CredentialInUrl Error "URLs end up in logs, histories and referrers (OWASP API2, RFC 6750 5.3)."
    BasicAuthentication Warning "A password on every request, and no end to it (OWASP API2, RFC 7617 4)."
    WeakScheme Warning "The implicit and password grants, keys in queries, and schemes that nobody registered are given up by current practice (RFC 9700, OWASP API2)."
    PlainServer Warning "Who reads the document would call without TLS (OWASP API8)."
    PlainAuthorization Warning "Codes and tokens would cross the network in the clear (OWASP API2)."
    AddressParameter Note "An upstream that fetches or redirects to an address from outside can be sent anywhere (OWASP API7)."
    UnscopedWrite Note "With a scope, who may only read cannot write by mistake (OWASP API5)."
    UnscopedAdmin Warning "Who may use an API may then administer it (OWASP API5)."
    UnboundedArray Note "What has no bound will be as large as somebody can make it (OWASP API4)."
    UnboundedText Note "What has no bound will be as large as somebody can make it (OWASP API4)."
    UnrestrictedText Note "A pattern, a format or a list of words is the first check of what is injected later (OWASP API4)."
    UnboundedNumber Note "Page sizes and amounts without bounds are asked for without bounds (OWASP API4)."
    NumberWithoutFormat Note "Clients choose their types by the format, and overflow without one (OWASP API4)."
    OpenObject Note "Members that nobody described may set what a caller must not set (OWASP API3)."
    NoUnauthorized Note "Clients are written from the document: what it does not tell they do not handle (OWASP API8)."
    NoTooMany Note "A client that does not expect 429 retries at once (OWASP API4)."
    NoServerError Note "Clients are written from the document: what it does not tell they do not handle (OWASP API8)."
    UnknownSecurity Warning "Whoever wrote it believes that the operation is protected in a way that does not exist."
    OpenInDocument Note "Who reads the document calls without a credential, and is refused."
    OpenWrite Warning "Whatever can be written by everybody will be (OWASP API2)."

    NoDescription Warning "The name of an operation does not tell its callers what it does."
    NoSuccess Warning "An operation whose success is not described cannot be called with any trust, nor mocked."
    NoClientError Warning "Every operation can be called wrongly, and its callers need to know how that looks (OWASP API8)."
    NotProblem Warning "One shape of errors lets every client handle those of every API."
    UnknownTag Note "Portals order operations by the tags that the document lists."
    NoDocumentDescription Note "It is the first that a reader of a portal sees."
    RepeatedEnum Warning "One of the two was meant to be something else."
    EnumType Warning "No value can be both: what is described cannot be sent."
    NoItems Warning "A list of anything is not described."
    NoParameterDescription Note "A name seldom tells the unit, the format, and what leaving it out means."
    UnusedComponent Note "What nobody uses is kept up by nobody, and misleads who reads it."
    ScriptInText Warning "Portals show these texts as Markdown or HTML to people who are signed in."
    VerbInPath Note "The method says what is done, the path to what."
    PathStyle Note "Paths are compared byte by byte: one style keeps callers from guessing."
    CrossedPaths Warning "Which one answers follows from a rule that few readers know."
    ShadowedPath Note "What has that value as its identifier can never be asked for."
    BodyWithoutSchema Warning "What is not described cannot be checked, by the gateway or by anybody."
    BodyOfReader Warning "A body of GET or DELETE has no meaning on its way, and is dropped or refused by some (RFC 9110, 9.3)."
    VersionDrift Warning "Callers compare the two, and one of them is wrong."
    UndefinedRequired Warning "A caller must send what nobody described, or the name is misspelt in one of the places."
    ExampleType Warning "Mocks answer with examples, and people copy them."
    IdStyle Note "Ids become names in clients, links and grants."
    ExampleServer Note "Who reads the document would call a place that is not there."
    AnswerWithoutSchema Note "A client cannot be generated for an answer that is not described."
    BrokenPromise Warning "Callers read from the first number whether they have to change: a break that it does not tell reaches them as a failure."
    SharedSubject Warning "A subject is somebody's within its issuer alone (RFC 7519, 4.1.2): whoever has the same one at another issuer is taken for them."
    ForeignCharset Warning "JSON is UTF-8 (RFC 8259, 8.1), and types are told apart without their parameters: bodies in every character set pass as this one."

    PlainUpstream Warning "Everything that the gateway checked can be read and changed on the way."
    DefaultTimeout Note "How long to wait is known to whoever knows the upstream; the default is only a bound."
    LongTimeout Warning "Requests that wait for a minute use up what others need."
    NumericUpstream Warning "An address has no certificate that anybody checks, and goes to somebody else when it is given back."
    AnonymousUpstream Note "An upstream that asks for nothing can be called around the gateway."
    OwnHost Error "Each request would come back until a limit stops it."
    LocalUpstream Warning "A deployed gateway has no such neighbour."
    SharedUpstream Note "A change for the one reaches the other, whose owner does not know."
    UncallableApi Warning "What nobody may call is published for nobody, and still has to be kept safe."
    SimilarNames Note "One will be granted where the other was meant."
    InsideAddress Warning "A deployed gateway has another network than whoever wrote it: it reaches nobody there, or what was never to be reached from outside (OWASP API7)."

    NoFallback Warning "When its one provider is down, so is the model."
    NoPrice Warning "What a call costs is then in no log, no budget and no report."
    NoOutputBound Note "An answer without end is paid to its end, and no budget can reserve for it."
    OneProvider Note "An outage of the provider takes both."
    AnonymousProvider Warning "A provider of models that asks for no key serves whoever finds it."
    IdleFallback Warning "It has just failed: trying it again is what `retry` is for."
    CannedFallback Warning "Callers would take a scripted answer for a real one."
    NoBudget Note "Requests are cheap to count and tokens are what is paid (OWASP API4)."
    LongAnswer Note "Most clients have given up by then, and the answer is paid nevertheless."
    UncallableModel Warning "What nobody may call is published for nobody."
    TwinProviders Note "Limits, health and prices are then kept twice for one place."

    GrantedNothing Warning "A consumer that may do nothing is either forgotten or unfinished."
    GrantedAll Note "What is published tomorrow is granted today, before anybody thought about it (least privilege)."
    EndlessKey Warning "A key that never ends is found one day, and nobody knows who still uses it."
    LongKey Warning "Keys that are replaced every year are replaced without an outage when it matters."
    KeysOnly Note "A key is the same on every request and says nothing but who had it; a token ends by itself (OWASP API2)."
    FailsOpen Warning "Who can overload the limiter has no limit."
    Inexact Note "With as many isolates, many times the limit pass."
    TwinPlans Note "One of them will be changed where both were meant."
    IdleLimit Warning "It looks like a bound and is none."
    SubjectCertificate Note "Whoever the authority gives a certificate of that name to is let in; the hash of a key stands for one key (RFC 9700, 2.6)."

    NoSunset Warning "Without a date nobody moves."
    NoSuccessor Warning "Who is told to leave must be told where to go."
    ShortNotice Warning "Callers plan in quarters."
    LongRetired Note "After a year its answer has reached whoever was left."
    EndingSuccessor Warning "Who follows it moves twice."
    ManyActive Note "Each version is kept up, tested and secured (OWASP API9)."
    OnlyDeprecated Warning "There is nowhere to go."
    LongException Warning "An exception that nobody looks at for a year has become the rule."

    HighEntropy Warning "Secrets in Git are found by others before they are found by their owners."
    Placeholder Warning "An owner or reason that is to be written later is asked for on the day of an incident."
    HiddenCharacter Warning "Whoever reviews it reads something else than it says (Trojan Source, CVE-2021-42574)."

    CustomRule Warning "An organization's own rules stand in its own tree; each says its own severity and reason."
}

/// The rule of a code, if it is one.
pub(crate) fn rule(code: Code) -> Option<&'static Rule> {
    let at = RULES.binary_search_by(|rule| rule.code.cmp(&code)).ok()?;
    RULES.get(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_rule_judges() {
        for (code, about) in [
            (Code::NoDescription, About::Api),
            (Code::UnscopedWrite, About::Api),
            (Code::NotPublished, About::Api),
            (Code::PlainUpstream, About::Api),
            (Code::NoSunset, About::Api),
            (Code::NoFallback, About::Model),
            (Code::UncallableModel, About::Model),
            (Code::HighEntropy, About::Any),
            (Code::SharedSubject, About::Any),
            (Code::CustomRule, About::Any),
            (Code::OpenHosts, About::Else),
            (Code::LongTokens, About::Else),
            (Code::TwinProviders, About::Else),
            (Code::EndlessKey, About::Else),
            (Code::LongException, About::Else),
            (Code::Unused, About::Else),
            (Code::BrokenPromise, About::Else),
        ] {
            assert_eq!(rule(code).map(Rule::about), Some(about), "{code:?}");
        }
    }
}

//! Every fault that a check can name, with the code that stands for it.

use serde::{Deserialize, Serialize};

/// Declares the codes: number, name and meaning of each, once.
macro_rules! codes {
    ($($name:ident $code:literal $meaning:literal)*) => {
        /// What a diagnostic is about. A code keeps its meaning for ever.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[non_exhaustive]
        pub enum Code { $(#[doc = $meaning] $name,)* }

        impl Code {
            /// Every code, in the order of its number.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// Its number, for example `P0101`.
            pub const fn number(self) -> &'static str {
                match self { $(Self::$name => $code,)* }
            }

            /// What it means, in one line.
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$name => $meaning,)* }
            }
        }
    };
}

codes! {
    Unreadable "P0001" "A file or folder cannot be read."
    TooLarge "P0002" "A file is larger, or the tree has more files, than a policy tree may have."
    LeavesTree "P0003" "A link or a path leads out of the tree."
    NotUtf8 "P0004" "A file is not text in UTF-8."
    UnknownFile "P0005" "A file or folder has no place in the tree, and nothing refers to it."
    MissingFile "P0006" "A file that must be there, or that something refers to, is not."
    NameDiffers "P0007" "An item is not called as its file or folder is."
    UnknownEnvironment "P0008" "An environment is not listed in `gateway.yaml`."
    AnswersNothing "P0009" "The tree has no operation and no model in this environment (a warning)."
    Unused "P0010" "Something is written and used by nothing (a warning)."
    TooManyErrors "P0011" "There are more faults than are shown."
    TwoFiles "P0012" "The same item is written in two files."

    Syntax "P0101" "The text is not YAML 1.2."
    DuplicateKey "P0102" "A key is written twice in one map."
    KeyNotText "P0103" "A key is not text, or is a merge key."
    TooDeep "P0104" "Lists and maps nest too deeply."
    Alias "P0105" "An alias stands inside its own anchor, or a file grows too large by aliases."
    Tag "P0106" "A value carries a YAML tag."
    SeveralDocuments "P0107" "A file holds more than one document."
    Empty "P0108" "A file says nothing."

    UnknownField "P0201" "A field does not exist here."
    MissingField "P0202" "A field that is required is missing."
    WrongType "P0203" "A value is of another type than its field."
    UnknownWord "P0204" "A value is not one of the words that its field knows."
    BadUnit "P0205" "A duration, size, rate or quota is malformed, or lacks its unit."
    OutOfRange "P0206" "A value is smaller or larger than its field allows."
    BadName "P0207" "A name is not made of lower case letters, digits, `.`, `_` and `-`."
    EmptyList "P0208" "A list that must have an item is empty."
    Repeated "P0209" "The same thing is listed twice."
    Conflict "P0210" "Fields exclude each other, or one needs another."
    UnsetVariable "P0211" "A variable is not set for this environment."
    BadUrl "P0212" "A URL or origin is malformed."
    BadDate "P0213" "A date is malformed."
    BadHeader "P0214" "A header has no valid name, or may not be named here."
    SecretInTree "P0215" "A secret, or what looks like one, is in the tree."
    BadSecretName "P0216" "The name of a Worker secret is malformed."
    BadHash "P0217" "The SHA-256 of a key is malformed."
    BadPath "P0218" "A path is malformed, or belongs to the gateway itself."
    BadText "P0219" "A text is empty, too long, or has characters that it may not have."
    BadCondition "P0220" "A condition is malformed, or too large."
    ConditionType "P0221" "A condition compares what cannot be compared, or can only be true or false."

    UnknownReference "P0301" "A reference names something that does not exist."
    OtherEnvironment "P0302" "A reference names something that does not exist in this environment."
    GrantsNothing "P0303" "A grant does not say what it grants."

    Widens "P0401" "A value is wider than what stands above it allows."
    NoAuthentication "P0402" "An API is open to everybody without an exception that allows it."
    MockForbidden "P0403" "A mock exists in an environment that forbids mocks."
    DevelopmentIssuerForbidden "P0404" "The development issuer exists in an environment that forbids it."
    PlainHttp "P0405" "An upstream is reached without TLS and no exception allows it."
    NoLimit "P0406" "An open API has no limit of its own."
    AlgorithmMismatch "P0407" "The algorithms of an issuer do not fit its keys."
    BadKeySet "P0408" "A JWKS is malformed or holds no key that can be used."
    DuplicateCredential "P0409" "Two consumers, or two entries of one, have the same credential."
    NoCredential "P0410" "A consumer has no credential and can never call (a warning)."
    NoDevelopmentKey "P0411" "The key of the development issuer is not at hand."
    DuplicateIssuer "P0412" "Two issuers have the same `issuer`."
    OpenBudget "P0413" "A plan lets pass what its quotas or budgets cannot be checked for, and no exception allows it."
    QueryCredential "P0414" "API keys may come in a query, and no exception allows it."

    Expired "P0501" "A date that ends something has passed."
    ExpiresSoon "P0502" "A date that ends something is within 30 days (a warning)."
    DatesDisagree "P0503" "The dates or the state of a version contradict each other."
    UnusedException "P0504" "An exception is needed by nothing (a warning)."

    NotOpenApi "P0601" "A document is not OpenAPI 3.0 or 3.1."
    NoOperationId "P0602" "An operation has no `operationId`."
    DuplicateOperation "P0603" "Two operations of one document have the same `operationId`."
    BadReference "P0604" "A `$ref` leads nowhere, out of the document, or in a circle."
    BadTemplate "P0605" "A path template is malformed."
    NothingToAnswer "P0606" "A mocked operation has no example, and none can be made from its schema."
    NotPublished "P0607" "A method or parameter of the document is not published (a warning)."
    MalformedDocument "P0608" "Something that the gateway uses is malformed in an OpenAPI document."
    PathParameters "P0609" "A path of a document and its declared parameters disagree."

    Ambiguous "P0701" "Two operations could match the same request."
    ReservedPath "P0702" "A path belongs to the gateway or to its model surfaces."

    NoTarget "P0801" "A model has no target in this environment."
    Unreachable "P0802" "A rule of a mock can never apply."
    NoLastRule "P0803" "The last rule of a mock does not always apply."
    EmptyAnswer "P0804" "A mock answers neither text nor tool calls."
    Unbounded "P0805" "Tokens or money are limited, and what a call can use is not known."

    NotBuilt "P0901" "A kind, field or value is part of the language, but its enforcement has not been built yet."

    // Governance: rules of good practice, whose severity a gateway sets (`governance/registry.rs`).
    OpenHosts "P1001" "The gateway answers every host name that leads to it."
    WideShield "P1002" "The limit for one client address is very high."
    AnyOrigin "P1003" "Pages of every origin may call."
    WideEnvironment "P1004" "A production environment allows what only development needs."
    CookiesPass "P1005" "Cookies of upstreams reach clients."
    SparseLog "P1006" "Requests that succeed are not logged."
    NoTests "P1007" "The tree has no tests."
    LargeBodies "P1008" "Very large request bodies are accepted."

    LongTokens "P1101" "Tokens of an issuer may live longer than a day."
    EndlessTokens "P1102" "Tokens of an issuer may live for any time."
    SharedKey "P1103" "An issuer signs with a key that the gateway also has (HMAC)."
    UnusedIssuer "P1104" "No consumer is known by a token of an issuer."
    PlainIssuer "P1105" "An issuer, or its key set, is named without TLS."

    NumericId "P1201" "A path has a number for an identifier."
    CredentialInUrl "P1202" "A credential is part of a URL."
    BasicAuthentication "P1203" "A document asks for HTTP basic authentication."
    WeakScheme "P1204" "A document asks for a way of identifying that is known to be weak."
    PlainServer "P1205" "A document names a server without TLS."
    PlainAuthorization "P1206" "A document names an authorization server without TLS."
    AddressParameter "P1207" "A parameter looks like an address that an upstream may fetch or redirect to."
    UnscopedWrite "P1208" "An operation that writes asks for no scope."
    UnscopedAdmin "P1209" "An operation for administrators asks for no scope of its own."
    UnboundedArray "P1210" "A list in a request has no upper bound."
    UnboundedText "P1211" "A text in a request has no upper bound."
    UnrestrictedText "P1212" "A text in a request may hold anything."
    UnboundedNumber "P1213" "A whole number in a request has no bounds."
    NumberWithoutFormat "P1214" "A whole number in a request does not say how large it may be (`format`)."
    OpenObject "P1215" "An object in a request body may have members that nobody described."
    NoUnauthorized "P1216" "Operations do not describe the answer to a caller that is not known (401)."
    NoTooMany "P1217" "Operations do not describe the answer to a caller over its limits (429)."
    NoServerError "P1218" "Operations do not describe the answer when something fails (5xx)."
    UnknownSecurity "P1219" "An operation asks for a security scheme that its document does not define."
    OpenInDocument "P1220" "A document says that nobody needs to identify, and the gateway asks for it."
    OpenWrite "P1221" "An operation that writes is open to everybody."

    NoDescription "P1301" "An operation has neither a summary nor a description."
    NoSuccess "P1302" "An operation describes no successful answer."
    NoClientError "P1303" "An operation describes no answer to a wrong request."
    NotProblem "P1304" "An error is not described as problem details (RFC 9457)."
    UnknownTag "P1305" "An operation has a tag that the document does not list."
    NoDocumentDescription "P1306" "A document does not say what it is about."
    RepeatedEnum "P1307" "An `enum` has the same value twice."
    EnumType "P1308" "An `enum` has a value of another type than its schema."
    NoItems "P1309" "A list does not say what its items are."
    NoParameterDescription "P1310" "A parameter has no description."
    UnusedComponent "P1311" "A component of a document is used by nothing."
    ScriptInText "P1312" "A text for people holds a script."
    VerbInPath "P1313" "A path holds the word for a method."
    PathStyle "P1314" "A path has upper case letters or underscores."
    CrossedPaths "P1315" "Two paths could match the same request, and neither is the more literal one."
    ShadowedPath "P1316" "A literal path takes a value away from a parameter beside it."
    BodyWithoutSchema "P1317" "A request body has no schema."
    BodyOfReader "P1318" "An operation that reads or removes has a request body."
    VersionDrift "P1319" "The number of a version is not that of its document."
    UndefinedRequired "P1320" "A property is required and not described."
    ExampleType "P1321" "An example does not fit its schema."
    IdStyle "P1322" "An `operationId` has characters that a URL must encode."
    ExampleServer "P1323" "A document names a server that is not there for its callers."
    AnswerWithoutSchema "P1324" "A successful answer has content without a schema."
    BrokenPromise "P1325" "A document breaks what the first number of its version promises."
    SharedSubject "P1326" "`claims.sub` is compared or told where callers of several issuers may have the same."
    ForeignCharset "P1327" "A media type of a document names another character set than UTF-8."

    PlainUpstream "P1401" "An upstream is reached without TLS, and an exception or the environment allows it."
    DefaultTimeout "P1402" "A version of an API does not say how long its upstream may take."
    LongTimeout "P1403" "An upstream may take longer than a minute."
    NumericUpstream "P1404" "An upstream is named by its IP address."
    AnonymousUpstream "P1405" "The gateway does not identify to an upstream."
    OwnHost "P1406" "An upstream is the gateway itself."
    LocalUpstream "P1407" "An upstream is on the machine itself, where a deployed gateway cannot reach it."
    SharedUpstream "P1408" "APIs of different owners have the same upstream."
    UncallableApi "P1409" "No consumer may call an API."
    SimilarNames "P1410" "Two names differ by punctuation only."
    InsideAddress "P1411" "What the gateway calls or asks is on a private network, or where a cloud keeps secrets."

    NoFallback "P1501" "A model has one target and no fallback."
    NoPrice "P1502" "A target has no price."
    NoOutputBound "P1503" "The answers of a model have no upper bound."
    OneProvider "P1504" "A fallback runs on the same provider as what it stands in for."
    AnonymousProvider "P1505" "The gateway does not identify to a provider."
    IdleFallback "P1506" "A fallback is a target that was tried already."
    CannedFallback "P1507" "A mock stands in for a real model."
    NoBudget "P1508" "A consumer may call a priced model without a limit of tokens or money."
    LongAnswer "P1509" "A model may take longer than ten minutes."
    UncallableModel "P1510" "No consumer may call a model."
    TwinProviders "P1511" "Two providers are the same place with the same secret."

    GrantedNothing "P1601" "A consumer may use nothing."
    GrantedAll "P1602" "A consumer may use everything of a kind, what is yet to come included."
    EndlessKey "P1603" "An API key has no last day."
    LongKey "P1604" "An API key is good for more than a year."
    KeysOnly "P1605" "A consumer is known by API keys only."
    FailsOpen "P1606" "A plan lets requests pass while its limits cannot be asked."
    Inexact "P1607" "A plan is counted by each isolate for itself."
    TwinPlans "P1608" "Two plans have the same limits."
    IdleLimit "P1609" "A limit is never reached, because another one is."
    SubjectCertificate "P1610" "A consumer is known by the subject of a client certificate."

    NoSunset "P1701" "A deprecated version does not say when it ends."
    NoSuccessor "P1702" "A deprecated version names no successor."
    ShortNotice "P1703" "A version ends less than 90 days after it was deprecated."
    LongRetired "P1704" "A version that ended more than a year ago is still there."
    EndingSuccessor "P1705" "The successor of a version is deprecated itself."
    ManyActive "P1706" "An API has more than two active versions."
    OnlyDeprecated "P1707" "Every version of an API is deprecated."
    LongException "P1708" "An exception is good for more than a year."

    HighEntropy "P1801" "A text looks like a secret of an unknown kind."
    Placeholder "P1802" "A text was left to be written later."
    HiddenCharacter "P1803" "A text holds a character that is not seen, or that turns the order of others."

    CustomRule "P1901" "A rule of `governance/` is not met."

    // `wrangler.toml` beside the tree: found by `turnpike check`, not by the build.
    NotToml "P2001" "`wrangler.toml` is not TOML, or cannot be read."
    NotDeployed "P2002" "No environment of `wrangler.toml` builds an environment of the tree (a warning)."
    DeploysUnknown "P2003" "`wrangler.toml` builds an environment that the tree does not have."
    DeploysOther "P2004" "An environment of `wrangler.toml` builds another one of the tree than it is called after."
    NoBinding "P2005" "The objects of the limits are not bound in an environment of `wrangler.toml`."
    NoMigration "P2006" "The class of the limits' objects is never created by a migration."
    OpenWorkersDev "P2007" "What forbids mocks is reached at workers.dev, too (a warning)."
    NoCron "P2008" "Nothing looks for secrets that went missing (a warning)."
    SecretInVars "P2009" "A secret stands in `vars`, where everybody reads it."
    OtherHost "P2010" "A route of `wrangler.toml` leads a host here that the gateway does not answer (a warning)."
    HostUnreached "P2011" "No route of `wrangler.toml` leads a host here that the gateway answers (a warning)."
    NotRead "P2012" "What is deployed is written in a file that is not read (a warning)."
    RouteOpen "P2013" "A route of `wrangler.toml` lets requests pass when the Worker cannot run (a warning)."
    DoubleMigration "P2014" "Two migrations of `wrangler.toml` have the same tag."
    OtherWorker "P2015" "`wrangler.toml` deploys another Worker, or runs it otherwise than it must be."
    SameWorker "P2016" "Two environments of `wrangler.toml` are deployed as one Worker."
    Watched "P2017" "Another Worker is shown each request and log line of the gateway (a warning)."
}

impl Code {
    /// The rule of governance that it stands for, if it is one: then its severity is the gateway's to
    /// set, but for `P1901`, whose files say their own.
    pub fn rule(self) -> Option<&'static super::governance::Rule> {
        super::governance::rule(self)
    }
}

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.number())
    }
}

//! Every fault that a check can name, with the code that stands for it.

/// Declares the codes: number, name and meaning of each, once.
macro_rules! codes {
    ($($name:ident $code:literal $meaning:literal)*) => {
        /// What a diagnostic is about. A code keeps its meaning for ever.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
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

    NotBuilt "P0901" "A kind, field or value is part of the language, but its enforcement has not been built yet."
}

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.number())
    }
}

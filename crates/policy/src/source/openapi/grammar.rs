//! What OpenAPI 3.0 and 3.1 let an object hold: the union of both, as the specifications list it.

use super::super::names::nearest;
use super::super::yaml::{Node, Value};
use super::check::{self, Rule};
use super::parameters;

/// A kind of object.
pub(super) struct Kind {
    /// As people call one: "a parameter".
    pub(super) name: &'static str,
    /// Its fields, and what each holds.
    pub(super) fields: &'static [(&'static str, Holds)],
    /// What another key means.
    pub(super) others: Others,
    /// Whether a `$ref` may stand in its place.
    pub(super) reference: bool,
    /// What else must hold of it.
    pub(super) rule: Option<Rule>,
}

/// What a field holds.
#[derive(Clone, Copy)]
pub(super) enum Holds {
    /// Anything that is not judged: texts, values, what the gateway does not use.
    Data,
    /// One of a kind.
    One(&'static Kind),
    /// A list of them.
    List(&'static Kind),
    /// A map from names to them.
    Map(&'static Kind),
}

/// What a key means that is not among the fields. `x-...` is always fine, but in a map from names.
#[derive(Clone, Copy)]
pub(super) enum Others {
    /// Nothing: it is a typo.
    Unknown,
    /// Anything: the gateway does not use such objects, or they are open by their own standard.
    Open,
    /// Another of a kind: the keys are paths, statuses or expressions.
    Each(&'static Kind),
}

impl Kind {
    /// Whether its objects must be maps with known keys.
    pub(super) fn judged(&self) -> bool {
        !matches!(self.others, Others::Open)
    }

    /// What a field holds.
    pub(super) fn field(&self, name: &str) -> Option<Holds> {
        self.fields
            .iter()
            .find(|(field, _)| *field == name)
            .map(|(_, holds)| *holds)
    }

    /// Whether a key has no place in it.
    pub(super) fn lacks(&self, name: &str) -> bool {
        let reference = self.reference && name == "$ref";
        matches!(self.others, Others::Unknown)
            && !reference
            && !name.starts_with("x-")
            && self.field(name).is_none()
    }

    /// The field that was probably meant.
    pub(super) fn meant(&self, name: &str) -> Option<&'static str> {
        let reference = self.reference.then_some("$ref");
        nearest(name, self.fields.iter().map(|(field, _)| *field).chain(reference))
    }

    /// Whether a field is there under a name that was probably meant for it, so that its absence is
    /// no fault of its own.
    pub(super) fn misspelt(&self, node: &Node, field: &str) -> bool {
        let keys = node.entries().iter().filter_map(|(key, _)| key.text());
        let mut unknown = keys.filter(|key| self.lacks(key));
        unknown.any(|key| self.meant(key) == Some(field))
    }
}

/// Whether an operation says its responses in a way that cannot be read, which was reported.
pub(crate) fn unclear_responses(operation: &Node) -> bool {
    match operation.get("responses") {
        Some(responses) => !matches!(responses.value, Value::Map(_)),
        None => OPERATION.misspelt(operation, "responses"),
    }
}

/// Whether the words that a mock would answer by stand under a name that was probably meant for
/// one of them.
pub(crate) fn misspelt_example(media: &Node) -> bool {
    ["schema", "example", "examples"]
        .iter()
        .any(|word| MEDIA_TYPE.misspelt(media, word))
}

/// Declares a kind.
macro_rules! kind {
    ($(#[doc = $doc:literal])* $id:ident = $name:literal, $others:expr $(, reference $reference:literal)? $(, rule $rule:path)?;
     $($field:literal $holds:ident $(($of:ident))?),* $(,)?) => {
        $(#[doc = $doc])*
        pub(super) static $id: Kind = Kind {
            name: $name,
            fields: &[$(($field, Holds::$holds $((&$of))?)),*],
            others: $others,
            reference: kind!(@or false $($reference)?),
            rule: kind!(@some $($rule)?),
        };
    };
    (@or false) => { false };
    (@or false $given:literal) => { $given };
    (@some) => { None };
    (@some $given:path) => { Some($given) };
}

kind! {
    DOCUMENT = "an OpenAPI document", Others::Unknown;
    "openapi" Data, "info" Data, "jsonSchemaDialect" Data, "servers" Data, "security" Data, "tags" Data,
    "externalDocs" Data, "paths" One(PATHS), "webhooks" Map(PATH_ITEM), "components" One(COMPONENTS),
}

kind! {
    COMPONENTS = "`components`", Others::Unknown;
    "schemas" Map(SCHEMA), "responses" Map(RESPONSE), "parameters" Map(PARAMETER), "examples" Map(EXAMPLE),
    "requestBodies" Map(REQUEST_BODY), "headers" Map(HEADER), "securitySchemes" Map(UNUSED),
    "links" Map(UNUSED), "callbacks" Map(CALLBACK), "pathItems" Map(PATH_ITEM),
}

kind! { PATHS = "a map of paths", Others::Each(&PATH_ITEM); }

kind! {
    /// `query` and `additionalOperations` are of OpenAPI 3.2: refused, with a reason, where operations are read.
    PATH_ITEM = "a path item", Others::Unknown, reference true, rule check::path_item;
    "summary" Data, "description" Data, "servers" Data, "parameters" List(PARAMETER),
    "get" One(OPERATION), "put" One(OPERATION), "post" One(OPERATION), "delete" One(OPERATION),
    "options" One(OPERATION), "head" One(OPERATION), "patch" One(OPERATION), "trace" One(OPERATION),
    "query" Data, "additionalOperations" Data,
}

kind! {
    OPERATION = "an operation", Others::Unknown, rule parameters::listed_twice;
    "tags" Data, "summary" Data, "description" Data, "externalDocs" Data, "operationId" Data,
    "parameters" List(PARAMETER), "requestBody" One(REQUEST_BODY), "responses" One(RESPONSES),
    "callbacks" Map(CALLBACK), "deprecated" Data, "security" Data, "servers" Data,
}

kind! {
    PARAMETER = "a parameter", Others::Unknown, reference true, rule parameters::parameter;
    "name" Data, "in" Data, "description" Data, "required" Data, "deprecated" Data,
    "allowEmptyValue" Data, "style" Data, "explode" Data, "allowReserved" Data, "schema" One(SCHEMA),
    "example" Data, "examples" Map(EXAMPLE), "content" Map(MEDIA_TYPE),
}

kind! {
    REQUEST_BODY = "a request body", Others::Unknown, reference true, rule check::request_body;
    "description" Data, "content" Map(MEDIA_TYPE), "required" Data,
}

kind! { RESPONSES = "a map of responses", Others::Each(&RESPONSE), rule check::responses; }

kind! {
    RESPONSE = "a response", Others::Unknown, reference true;
    "description" Data, "headers" Map(HEADER), "content" Map(MEDIA_TYPE), "links" Map(UNUSED),
}

kind! {
    MEDIA_TYPE = "a media type", Others::Unknown;
    "schema" One(SCHEMA), "example" Data, "examples" Map(EXAMPLE), "encoding" Map(ENCODING),
}

kind! {
    EXAMPLE = "an example", Others::Unknown, reference true;
    "summary" Data, "description" Data, "value" Data, "externalValue" Data,
}

kind! {
    HEADER = "a header", Others::Open, reference true;
    "schema" One(SCHEMA), "examples" Map(EXAMPLE), "content" Map(MEDIA_TYPE),
}

kind! { ENCODING = "an encoding", Others::Open; "headers" Map(HEADER) }

kind! { CALLBACK = "a callback", Others::Each(&PATH_ITEM), reference true; }

kind! { UNUSED = "an object", Others::Open, reference true; }

kind! {
    /// JSON Schema is open: unknown words are allowed, so only what may hold a `$ref` is listed.
    SCHEMA = "a schema", Others::Open, reference true;
    "not" One(SCHEMA), "if" One(SCHEMA), "then" One(SCHEMA), "else" One(SCHEMA), "items" One(SCHEMA),
    "additionalItems" One(SCHEMA), "additionalProperties" One(SCHEMA), "contains" One(SCHEMA),
    "unevaluatedItems" One(SCHEMA), "unevaluatedProperties" One(SCHEMA), "propertyNames" One(SCHEMA),
    "contentSchema" One(SCHEMA), "allOf" List(SCHEMA), "anyOf" List(SCHEMA), "oneOf" List(SCHEMA),
    "prefixItems" List(SCHEMA), "properties" Map(SCHEMA), "patternProperties" Map(SCHEMA),
    "dependentSchemas" Map(SCHEMA), "dependencies" Map(SCHEMA), "$defs" Map(SCHEMA), "definitions" Map(SCHEMA),
}

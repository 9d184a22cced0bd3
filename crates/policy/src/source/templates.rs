//! `templates/<name>.yaml`: rules that APIs and models build on, with parameters.
//!
//! A template is read anew for each API or model that names it, with the values that it gives, so
//! that what is wrong with a value is said where the value is used. What it says stands above the
//! one that names it, which may add to it and narrow it ([`super::tighten`]).

use std::collections::{BTreeMap, BTreeSet};

use super::apis::ApiTimeouts;
use super::authorize::{AuthorizeFields, ModelAuthorizeFields};
use super::catalogue::Catalogue;
use super::compile::Checker;
use super::containers::{List, Map};
use super::declare::{Shape, choice, record};
use super::diagnostic::{Code, Span};
use super::limits::LimitFields;
use super::models::{ModelTimeouts, RetryFields, StreamFields};
use super::names;
use super::reader::{Fault, Field, Parameters, Read, Reader, Scalar, Spanned};
use super::scalars::{
    Date, Duration, Flag, Header, MoneyPerWindow, Name, Number, PerPeriod, PerWindow, Scope, SecretName,
    Size, Text, Token, Url,
};
use super::secrets::quote;
use super::yaml::{Node, Value};

record! {
    /// Rules that APIs and models build on. They name it by `template`, and give its parameters by
    /// `with`; what they write themselves may add to it and narrow it.
    TemplateFile = "template" {
        /// Its name, as the file is called.
        template: required Name,
        /// What differs among those that build on it: `${name}` in `api` and `model` stands for the
        /// value. A parameter goes before a variable of the same name.
        parameters: default "{}" Map<ParameterFields>,
        /// What it says of an API.
        api: optional Unread<ApiRules>,
        /// What it says of a model.
        model: optional Unread<ModelRules>,
    }
}

record! {
    /// What an API or a model that builds on a template may choose.
    ParameterFields = "parameter" {
        /// What it is: `date`, `duration`, `flag`, `header`, `money`, `name`, `number`, `quota`, `rate`,
        /// `scope`, `secret`, `size`, `text`, `url` or `word`.
        kind as "type": required ParameterType,
        /// What it is if nobody says; left out: it must be given.
        default: optional Text,
        /// What it is for: said to who has not given it.
        description: optional Text,
    }
}

record! {
    /// What a template says of an API. The reference of an API tells what each field means.
    ApiRules = "api rules" {
        /// Nobody who builds on it can be open to everybody.
        authentication: optional super::gateway::Required,
        /// Limits of each consumer.
        limits: default "[]" List<LimitFields>,
        /// The upper bound of a request body.
        max_body: optional Size,
        /// Scopes that a caller must have; of a template, for `all` operations.
        authorize: default "[]" List<AuthorizeFields>,
        /// Request headers that no operation may add.
        never_forward: default "[]" List<Header>,
        /// How long the upstream of a version may take.
        timeouts: optional ApiTimeouts,
    }
    later { cache, cors, guardrails, transform, validate }
}

record! {
    /// What a template says of a model. The reference of a model tells what each field means.
    ModelRules = "model rules" {
        /// Limits of each consumer.
        limits: default "[]" List<LimitFields>,
        /// What callers must have, and what must hold.
        authorize: default "[]" List<ModelAuthorizeFields>,
        /// The upper bound of a request body.
        max_body: optional Size,
        /// The most tokens that an answer can have.
        max_output_tokens: optional Number<1, 100_000_000>,
        /// How often one target is tried, and for which reasons.
        retry: optional RetryFields,
        /// How long a target may take.
        timeouts: optional ModelTimeouts,
        /// When an answer is the client's.
        stream: optional StreamFields,
    }
    later { cache, guardrails, health, sticky }
}

/// The type of a parameter: how a value of it is read.
#[derive(Clone, Copy)]
pub(crate) struct ParameterType {
    parse: fn(&str) -> Result<(), Fault>,
    expects: &'static str,
}

impl std::fmt::Debug for ParameterType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.expects)
    }
}

impl ParameterType {
    fn of<T: Scalar>() -> Self {
        Self {
            parse: |text| T::parse(text).map(|_| ()),
            expects: T::EXPECTS,
        }
    }
}
choice!(ParameterType: "date" => Self::of::<Date>(), "duration" => Self::of::<Duration>(),
    "flag" => Self::of::<Flag>(), "header" => Self::of::<Header>(), "money" => Self::of::<MoneyPerWindow>(),
    "name" => Self::of::<Name>(), "number" => Self::of::<Number<0, { u32::MAX }>>(),
    "quota" => Self::of::<PerWindow>(), "rate" => Self::of::<PerPeriod>(), "scope" => Self::of::<Scope>(),
    "secret" => Self::of::<SecretName>(), "size" => Self::of::<Size>(), "text" => Self::of::<Text>(),
    "url" => Self::of::<Url>(), "word" => Self::of::<Token>());

/// Rules whose parameters are not known yet. Their shape was checked.
#[derive(Clone, Debug)]
pub(crate) struct Unread<T> {
    node: Node,
    kind: std::marker::PhantomData<T>,
}

impl<T: Read> Read for Unread<T> {
    fn expects() -> String {
        T::expects()
    }

    fn schema() -> serde_json::Value {
        T::schema()
    }

    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        reader.with(Parameters::Open, |reader| T::read(node, reader))?;
        Some(Self {
            node: node.clone(),
            kind: std::marker::PhantomData,
        })
    }

    fn shapes(out: &mut Vec<&'static Shape>) {
        T::shapes(out);
    }

    fn later() -> &'static [&'static str] {
        T::later()
    }
}

/// Values for the parameters of a template, as written.
#[derive(Clone, Debug, Default)]
pub(crate) struct With(Vec<(Spanned<String>, Node)>);

impl Read for With {
    fn expects() -> String {
        "a map from parameters to values".to_owned()
    }

    fn schema() -> serde_json::Value {
        super::schema::map(&super::schema::scalar("a value"))
    }

    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        let Value::Map(entries) = &node.value else {
            reader.wrong_type(node, &Self::expects());
            return None;
        };
        let named = entries.iter().filter_map(|(key, value)| {
            let name = Spanned::new(key.text()?.to_owned(), key.span);
            Some((name, value.clone()))
        });
        Some(Self(named.collect()))
    }
}

/// How many values of templates are read in all: one for each API or model that builds on it.
const MAX_READ: usize = 5_000_000;

/// The templates of a tree, and who uses them.
#[derive(Debug, Default)]
pub(crate) struct Templates {
    pub(crate) known: Catalogue<TemplateFile>,
    pub(crate) used: BTreeSet<String>,
    read: usize,
}

impl Templates {
    /// Checks the templates by themselves.
    pub(crate) fn new(known: Catalogue<TemplateFile>, checker: &mut Checker) -> Self {
        for (_, template) in &known.here {
            let at = template.template.as_ref().map_or(template.span, |name| name.span);
            if template.api.is_none()
                && template.model.is_none()
                && !checker.reader.reported_within(template.span)
            {
                checker
                    .report()
                    .error(
                        Code::MissingField,
                        at,
                        "a template says something of an API or of a model",
                    )
                    .help("write `api: { ... }` or `model: { ... }`");
            }
            for (_, parameter) in template.parameters.iter().flat_map(|map| &map.here) {
                if let (Some(kind), Some(default)) = (&parameter.kind, &parameter.default) {
                    check(kind.value, &default.0, default.span, &mut checker.reader);
                }
            }
        }
        for (_, template) in &known.here {
            unused(template, checker);
        }
        Self {
            known,
            used: BTreeSet::new(),
            read: 0,
        }
    }

    /// What a template says of an API, with the values that the API gives.
    pub(crate) fn for_api(
        &mut self,
        name: Option<&Spanned<Name>>,
        with: Option<&Spanned<With>>,
        checker: &mut Checker,
    ) -> Option<Spanned<ApiRules>> {
        self.rules(name, with, "an API", |file| &file.api, checker)
    }

    /// What a template says of a model, with the values that the model gives.
    pub(crate) fn for_model(
        &mut self,
        name: Option<&Spanned<Name>>,
        with: Option<&Spanned<With>>,
        checker: &mut Checker,
    ) -> Option<Spanned<ModelRules>> {
        self.rules(name, with, "a model", |file| &file.model, checker)
    }

    fn rules<T: Read>(
        &mut self,
        name: Option<&Spanned<Name>>,
        with: Option<&Spanned<With>>,
        what: &str,
        part: fn(&TemplateFile) -> &Field<Unread<T>>,
        checker: &mut Checker,
    ) -> Option<Spanned<T>> {
        let Some(name) = name else {
            if let Some(with) = with {
                checker
                    .report()
                    .error(
                        Code::Conflict,
                        with.key_span,
                        "`with` needs a `template` beside it",
                    )
                    .help("write `template: <name>`, or remove `with`");
            }
            return None;
        };
        let at = self
            .known
            .refer("template", &name.0, name.span, &mut checker.reader)?;
        self.used.insert(name.0.clone());
        let (_, file) = self.known.here.get(usize::try_from(at).ok()?)?;
        let values = values(file, name, with, &mut checker.reader);
        let Some(unread) = part(file) else {
            if !checker.reader.reported_within(file.span) {
                let message = format!("the template {} says nothing of {what}", quote(&name.0));
                checker
                    .report()
                    .error(Code::Conflict, name.span, message)
                    .label(file.span, "it is here")
                    .help("name another template, or let this one say something");
            }
            return None;
        };
        self.read = self.read.saturating_add(unread.value.node.size());
        if self.read > MAX_READ {
            checker
                .report()
                .error(
                    Code::TooLarge,
                    name.span,
                    format!("templates have more than {MAX_READ} values in all"),
                )
                .help("a template counts once for each API and model that builds on it: make it smaller");
            return None;
        }
        let values = Parameters::Given(values);
        let rules = checker
            .reader
            .with(values, |reader| T::read(&unread.value.node, reader))?;
        Some(Spanned::new(rules, unread.value.node.span))
    }
}

impl Templates {
    /// Reads what nothing builds on as if something did that gives no more than it must: it is wrong or right
    /// before somebody needs it.
    pub(crate) fn judge_idle(&self, checker: &mut Checker) {
        let idle = self
            .known
            .here
            .iter()
            .filter(|(name, _)| !self.used.contains(name));
        for (_, file) in idle {
            let mut values = BTreeMap::new();
            if let Some(map) = &file.parameters {
                let here = map
                    .here
                    .iter()
                    .map(|(name, fields)| (&name.value, by_default(fields)));
                let others = map.others.iter().map(|name| (&name.value, None));
                values.extend(here.chain(others).map(|(name, value)| (name.clone(), value)));
            }
            let (api, model) = checker.reader.with(Parameters::Given(values), |reader| {
                let api = file
                    .api
                    .as_ref()
                    .and_then(|rules| ApiRules::read(&rules.value.node, reader));
                let model = file
                    .model
                    .as_ref()
                    .and_then(|rules| ModelRules::read(&rules.value.node, reader));
                (api, model)
            });
            if let Some(api) = api {
                let _ = checker.max_body(api.max_body.as_ref());
                super::tighten::check_scopes(&api, checker);
            }
            if let Some(model) = model {
                let _ = checker.max_body(model.max_body.as_ref());
            }
        }
    }
}

/// The value of a parameter that nobody gives; nothing, if it has none or a wrong one, which was reported.
fn by_default(fields: &ParameterFields) -> Option<(String, Span)> {
    let (kind, default) = (fields.kind.as_ref()?, fields.default.as_ref()?);
    (kind.parse)(&default.0).ok()?;
    Some((default.0.clone(), default.span))
}

/// Names parameters that nothing in a template refers to.
fn unused(template: &TemplateFile, checker: &mut Checker) {
    let nodes = [
        template.api.as_ref().map(|rules| &rules.value.node),
        template.model.as_ref().map(|rules| &rules.value.node),
    ];
    let mut referred = BTreeSet::new();
    let mut rest: Vec<&Node> = nodes.into_iter().flatten().collect();
    // What could not be read may well refer to all of them.
    let whole = !checker.report().failed();
    while let Some(node) = rest.pop() {
        rest.extend(node.items());
        rest.extend(node.entries().iter().map(|(_, value)| value));
        let names = node.text().unwrap_or("").split("${").skip(1);
        referred.extend(names.filter_map(|rest| Some(rest.split_once('}')?.0)));
    }
    for (name, _) in template.parameters.iter().flat_map(|map| &map.here) {
        if whole && !referred.contains(name.value.as_str()) {
            checker
                .report()
                .warning(
                    Code::Unused,
                    name.span,
                    format!("nothing refers to the parameter {}", quote(&name.value)),
                )
                .help("use it or remove it");
        }
    }
}

/// Checks a value of a parameter.
fn check(kind: ParameterType, text: &str, span: Span, reader: &mut Reader) -> bool {
    let Err(fault) = (kind.parse)(text) else {
        return true;
    };
    if !super::secrets::is_secret(text) {
        let help = fault.help.unwrap_or_else(|| format!("write {}", kind.expects));
        reader.report.error(fault.code, span, fault.message).help(help);
    }
    false
}

/// The values of a template's parameters: given, or by default; nothing for those that are wrong.
fn values(
    file: &Spanned<TemplateFile>,
    name: &Spanned<Name>,
    with: Option<&Spanned<With>>,
    reader: &mut Reader,
) -> BTreeMap<String, Option<(String, Span)>> {
    let given = with.map(|with| with.value.0.as_slice()).unwrap_or_default();
    let mut values = BTreeMap::new();
    let parameters = file.parameters.as_ref();
    for (parameter, fields) in parameters.iter().flat_map(|map| &map.here) {
        let own = given.iter().find(|(name, _)| name.value == parameter.value);
        let value = match (own, &fields.default) {
            (Some((_, node)), _) => fields.kind.as_ref().and_then(|kind| {
                let text = reader.text(node, kind.expects)?;
                check(kind.value, &text, node.span, reader).then_some((text, node.span))
            }),
            // One that is wrong was reported where it stands.
            (None, Some(_)) => by_default(fields),
            (None, None) => {
                let expects = fields.kind.as_ref().map_or("", |kind| kind.expects);
                let what = fields
                    .description
                    .as_ref()
                    .map_or(expects, |text| text.0.as_str());
                if with.is_none_or(|with| !reader.reported_within(with.span)) {
                    let at = with.map_or(name.span, |with| with.key_span);
                    reader
                        .report
                        .error(
                            Code::MissingField,
                            at,
                            format!(
                                "the template {} needs {}",
                                quote(&name.0),
                                quote(&parameter.value)
                            ),
                        )
                        .label(parameter.span, "declared here, without a default")
                        .help(format!("write `with: {{ {}: ... }}`: {what}", parameter.value));
                }
                None
            }
        };
        values.insert(parameter.value.clone(), value);
    }
    for other in parameters.iter().flat_map(|map| &map.others) {
        values.insert(other.value.clone(), None);
    }
    for (own, _) in given {
        if parameters.is_some() && !values.contains_key(&own.value) {
            let known = values.keys().map(String::as_str);
            let help = names::remedy(&own.value, "parameter", known);
            let message = format!(
                "the template {} has no parameter {}",
                quote(&name.0),
                quote(&own.value)
            );
            reader
                .report
                .error(Code::UnknownField, own.span, message)
                .help(help);
        }
    }
    values
}

//! The whole of a tree: read, checked together, and put into the form that is run.

use std::collections::{BTreeMap, BTreeSet};

use super::Options;
use super::apis::{self, ApiFile, ApiOperations};
use super::catalogue::Catalogue;
use super::consumers::{self, ConsumerFile};
use super::containers::Map;
use super::declare::record;
use super::diagnostic::{Code, Report, Span};
use super::exceptions::Exception;
use super::files::{Files, Item, Tree};
use super::gateway::{self, Floor, GatewayFile, Rules};
use super::issuers::{self, Issuer};
use super::mocks::{self, MockFile};
use super::models::{self, ModelFile, Used};
use super::names;
use super::plans::{self, PlanFile};
use super::providers::{self, ProviderFile};
use super::reader::{Read, Reader, Scalar, Spanned, Variables};
use super::routes::RouteBuilder;
use super::scalars::Name;
use super::secrets::quote;
use super::yaml::{Node, Value};
use crate::{Compiled, Timestamp};

record! {
    /// What differs by environment. Values only, never rules.
    EnvironmentFile = "environment" {
        /// Variables: `${name}` in a text of another file stands for the value.
        vars: default "{}" Vars,
    }
    later { hosts, upstreams }
}

/// Variables and their values.
#[derive(Clone, Debug)]
pub(crate) struct Vars(Vec<(String, Spanned<String>)>);

impl Read for Vars {
    fn expects() -> String {
        "a map from names to texts".to_owned()
    }

    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        let Value::Map(entries) = &node.value else {
            reader.report.error(
                Code::WrongType,
                node.span,
                format!("expected a map from names to texts, found {}", node.kind()),
            );
            return None;
        };
        let mut vars = Vec::new();
        for (key, value) in entries {
            let Some(name) = key.text() else { continue };
            if let Err(fault) = Name::parse(name) {
                reader
                    .report
                    .error(fault.code, key.span, fault.message)
                    .maybe_help(fault.help);
            }
            match value.text().filter(|_| !value.is_null()) {
                Some(text) => vars.push((name.to_owned(), Spanned::new(text.to_owned(), key.span))),
                None => {
                    reader.report.error(
                        Code::WrongType,
                        value.span,
                        format!("expected text, found {}", value.kind()),
                    );
                }
            }
        }
        Some(Self(vars))
    }
}

/// What checks share: the reader, the files, and what things are compared with.
#[derive(Debug)]
pub(crate) struct Checker {
    pub(crate) reader: Reader,
    pub(crate) files: Files,
    pub(crate) as_of: Timestamp,
    pub(crate) development_key: Option<String>,
    pub(crate) rules: Rules,
    pub(crate) floor: Floor,
    pub(crate) exceptions: Vec<Exception>,
    /// Whether every exception could be read.
    pub(crate) exceptions_known: bool,
    pub(crate) secrets: BTreeSet<String>,
}

impl Checker {
    pub(crate) fn report(&mut self) -> &mut Report {
        &mut self.reader.report
    }
}

/// What references can lead to.
pub(crate) struct Known<'a> {
    pub(crate) plans: &'a Catalogue<PlanFile>,
    pub(crate) providers: &'a Catalogue<ProviderFile>,
    pub(crate) mocks: &'a Catalogue<MockFile>,
    pub(crate) models: &'a Catalogue<ModelFile>,
    pub(crate) apis: &'a Catalogue<ApiFile>,
    pub(crate) issuers: BTreeMap<String, u32>,
    pub(crate) issuer_map: &'a Map<Issuer>,
    /// Whether the issuers could be read.
    pub(crate) issuers_known: bool,
    pub(crate) operations: BTreeMap<String, ApiOperations>,
}

/// The names of the environments, as far as they can be read.
pub(crate) fn environment_names(gateway: Option<&Item>) -> Option<Vec<String>> {
    let map = gateway?.node.as_ref()?.get("environments")?;
    let Value::Map(entries) = &map.value else {
        return None;
    };
    Some(
        entries
            .iter()
            .filter_map(|(key, _)| key.text().map(str::to_owned))
            .collect(),
    )
}

/// Whether an issuer of the environment needs the development key.
pub(crate) fn needs_development_key(gateway: Option<&Item>, reader: &mut Reader) -> bool {
    let Some(node) = gateway.and_then(|item| item.node.as_ref()) else {
        return false;
    };
    let Some(issuers) = node.get("issuers") else {
        return false;
    };
    Map::<Issuer>::read(issuers, reader).is_some_and(|map| issuers::any_development(&map))
}

/// Checks the tree and compiles it; what comes back means something only if nothing was reported
/// as an error. The report and the files are handed back.
pub(crate) fn compile(
    mut files: Files,
    tree: &Tree,
    report: Report,
    options: &Options,
) -> (Compiled, Report, Files) {
    let mut reader = Reader::new(report, &options.environment);
    reader.environments = environment_names(tree.gateway.as_ref());
    read_variables(tree, &mut reader);
    let file = read_gateway(tree, &mut files, &mut reader);
    let mut checker = Checker {
        reader,
        files,
        as_of: options.as_of,
        development_key: options.development_key.clone(),
        rules: Rules::default(),
        // A floor that cannot be read bounds nothing.
        floor: Floor {
            max_body: u64::MAX,
            ..Floor::default()
        },
        exceptions: Vec::new(),
        exceptions_known: false,
        secrets: BTreeSet::new(),
    };
    checker.files.note_references(tree);
    let compiled = match &file {
        Some(file) => {
            // What holds in an environment that is not there cannot be said.
            if check_environment(tree, file, &mut checker) {
                compile_all(tree, Some(file), &mut checker)
            } else {
                Compiled::default()
            }
        }
        // Without a gateway the rest can still be read.
        None => {
            checker.rules = Rules::unknown();
            compile_all(tree, None, &mut checker)
        }
    };
    checker.files.report_strays(&mut checker.reader.report);
    (compiled, checker.reader.report, checker.files)
}

fn read_gateway(tree: &Tree, files: &mut Files, reader: &mut Reader) -> Option<Spanned<GatewayFile>> {
    let Some(item) = &tree.gateway else {
        let span = Span::new(reader.report.add_file("gateway.yaml".to_owned(), ""), 0, 0);
        let help = files.meant_for("", "gateway.yaml").map_or_else(
            || {
                "it names the gateway, its issuers and its environments; is this the folder of a policy tree?"
                    .to_owned()
            },
            |near| format!("rename {}", quote(&near)),
        );
        reader
            .report
            .error(Code::MissingFile, span, "the tree has no `gateway.yaml`")
            .help(help);
        return None;
    };
    let node = item.node.as_ref()?;
    GatewayFile::read(node, reader).map(|value| Spanned::new(value, node.span))
}

fn read_variables(tree: &Tree, reader: &mut Reader) {
    let name = reader.environment.clone();
    reader.variables = Variables {
        file: format!("environments/{name}.yaml"),
        ..Variables::default()
    };
    let misplaced = tree.misplaced.get("environments").into_iter().flatten();
    reader.variables.broken = misplaced.into_iter().any(|(misplaced, _)| *misplaced == name);
    for item in tree.kinds.get("environments").into_iter().flatten() {
        let known = reader.environments.clone();
        if let Some(known) = known.filter(|known| !known.contains(&item.name)) {
            let help = names::remedy(&item.name, "environment", known.iter().map(String::as_str));
            reader
                .report
                .error(
                    Code::UnknownEnvironment,
                    item.span,
                    format!("`gateway.yaml` lists no environment {}", quote(&item.name)),
                )
                .help(help);
        }
        let file = item
            .node
            .as_ref()
            .and_then(|node| EnvironmentFile::read(node, reader));
        if item.name == name {
            match file.and_then(|file| file.vars) {
                Some(vars) => reader.variables.values = vars.value.0.into_iter().collect(),
                None => reader.variables.broken = true,
            }
        }
    }
}

/// Takes over what the environment allows. Says whether there may be such an environment at all.
fn check_environment(tree: &Tree, file: &GatewayFile, checker: &mut Checker) -> bool {
    let name = checker.reader.environment.clone();
    let Some(map) = &file.environments else {
        checker.rules = Rules::unknown();
        return true;
    };
    let node = tree
        .gateway
        .as_ref()
        .and_then(|item| item.node.as_ref()?.get("environments"));
    for (_, fields) in node.map(Node::entries).unwrap_or_default() {
        if let Some(list) = fields.get("environments") {
            checker
                .report()
                .error(Code::UnknownField, list.span, "an environment exists everywhere")
                .help("remove `environments` here");
        }
    }
    if let Some((_, fields)) = map.here.iter().find(|(known, _)| known.value == name) {
        checker.rules = Rules::of(fields);
        return true;
    }
    if map.others.iter().any(|known| known.value == name) {
        checker.rules = Rules::unknown();
        return true;
    }
    let known = environment_names(tree.gateway.as_ref()).unwrap_or_default();
    let help = names::remedy(&name, "environment", known.iter().map(String::as_str));
    checker
        .report()
        .error(
            Code::UnknownEnvironment,
            map.span,
            format!("there is no environment {}", quote(&name)),
        )
        .help(help);
    false
}

fn compile_all(tree: &Tree, file: Option<&Spanned<GatewayFile>>, checker: &mut Checker) -> Compiled {
    let mut compiled = Compiled {
        gateway: file
            .map(|file| gateway::compile(file, checker))
            .unwrap_or_default(),
        ..Compiled::default()
    };
    let no_issuers = Map::default();
    let written = file.and_then(|file| file.issuers.as_ref());
    let issuer_map = written.map_or(&no_issuers, |issuers| &issuers.value);
    let (issuers, issuer_index) = issuers::compile(issuer_map, checker);
    compiled.issuers = issuers;

    let misplaced = |kind: &str| tree.misplaced.get(kind).map(Vec::as_slice).unwrap_or_default();
    let items = |kind: &str| {
        let items = tree.kinds.get(kind).map(Vec::as_slice).unwrap_or_default();
        (items, misplaced(kind))
    };
    let reader = &mut checker.reader;
    let plans = Catalogue::<PlanFile>::read(items("plans"), |plan| &plan.plan, reader);
    let consumers =
        Catalogue::<ConsumerFile>::read(items("consumers"), |consumer| &consumer.consumer, reader);
    let providers =
        Catalogue::<ProviderFile>::read(items("providers"), |provider| &provider.provider, reader);
    let mocks = Catalogue::<MockFile>::read(items("mocks"), |mock| &mock.mock, reader);
    let models = Catalogue::<ModelFile>::read(items("models"), |model| &model.model, reader);
    let apis = Catalogue::<ApiFile>::read((&tree.apis, misplaced("apis")), |api| &api.api, reader);

    let mut routes = RouteBuilder::default();
    if !models.here.is_empty() {
        routes.add_surfaces(checker.report());
    }
    let compiled_apis = apis::compile(&apis.here, &mut routes, checker);
    compiled.apis = compiled_apis.apis;
    compiled.operations = compiled_apis.operations;
    compiled.routes = routes.finish();

    let known = Known {
        plans: &plans,
        providers: &providers,
        mocks: &mocks,
        models: &models,
        apis: &apis,
        issuers: issuer_index,
        issuer_map,
        issuers_known: written.is_some(),
        operations: compiled_apis.by_api,
    };
    compiled.plans = plans
        .here
        .iter()
        .filter_map(|(name, plan)| plans::compile(name, plan, checker))
        .collect();
    let mut used = Used::default();
    compiled.models = models
        .here
        .iter()
        .filter_map(|(name, model)| models::compile(name, model, &known, &mut used, checker))
        .collect();
    compiled.providers = providers
        .here
        .iter()
        .filter_map(|(name, provider)| providers::compile(name, provider, checker))
        .collect();
    compiled.mocks = mocks
        .here
        .iter()
        .filter_map(|(name, mock)| mocks::compile(name, mock, checker))
        .collect();
    let callers = consumers::compile(&consumers.here, &known, checker);
    compiled.consumers = callers.list;
    compiled.keys = callers.keys;
    compiled.identities = callers.identities;
    compiled.secrets = checker.secrets.iter().cloned().collect();

    // What refers to it may be what is broken.
    if !checker.report().failed() {
        report_unused(&known, &used, &consumers, checker);
    }
    checker.report_unused_exceptions(&known);
    let empty = compiled.operations.is_empty() && compiled.models.is_empty();
    if let Some(file) = file.filter(|_| empty && !checker.reader.report.failed()) {
        let at = file.gateway.as_ref().map_or(file.span, |name| name.span);
        let environment = quote(&checker.reader.environment);
        checker
            .report()
            .warning(
                Code::AnswersNothing,
                at,
                format!("in {environment} this gateway answers nothing: it has no operation and no model"),
            )
            .help("items with `environments` exist in those only");
    }
    compiled
}

fn report_unused(known: &Known<'_>, used: &Used, consumers: &Catalogue<ConsumerFile>, checker: &mut Checker) {
    let plans: BTreeSet<&str> = consumers
        .here
        .iter()
        .filter_map(|(_, consumer)| consumer.plan.as_ref())
        .map(|plan| plan.0.as_str())
        .collect();
    let mut unused: Vec<(Span, String)> = Vec::new();
    // A tree without consumers, such as the sample's for production, is not scolded for its plans.
    let idle = known
        .plans
        .here
        .iter()
        .filter(|(name, _)| !plans.is_empty() && !plans.contains(name.as_str()));
    for (name, plan) in idle {
        unused.push((
            plan.plan.as_ref().map_or(plan.span, |f| f.span),
            format!("no consumer is on the plan {}", quote(name)),
        ));
    }
    for (name, provider) in known
        .providers
        .here
        .iter()
        .filter(|(name, _)| !used.providers.contains(name))
    {
        let at = provider.provider.as_ref().map_or(provider.span, |f| f.span);
        unused.push((at, format!("no model runs on the provider {}", quote(name))));
    }
    for (name, mock) in known
        .mocks
        .here
        .iter()
        .filter(|(name, _)| !used.mocks.contains(name))
    {
        unused.push((
            mock.mock.as_ref().map_or(mock.span, |f| f.span),
            format!("no model is answered by the mock {}", quote(name)),
        ));
    }
    for (span, message) in unused {
        checker
            .report()
            .warning(Code::Unused, span, message)
            .help("use it or remove it");
    }
    let file = checker.reader.variables.file.clone();
    let variables = std::mem::take(&mut checker.reader.variables);
    for (name, value) in variables
        .values
        .iter()
        .filter(|(name, _)| !variables.used.contains(*name))
    {
        checker
            .report()
            .warning(
                Code::Unused,
                value.span,
                format!("no text refers to `${{{name}}}` of `{file}`"),
            )
            .help("use it or remove it");
    }
}

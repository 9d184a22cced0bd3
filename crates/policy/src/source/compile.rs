//! The whole of a tree: read, checked together, and put into the form that is run.

use std::collections::{BTreeMap, BTreeSet};

use super::Options;
use super::apis::{self, ApiFile, ApiOperations};
use super::budgets;
use super::cases::{self, Case};
use super::catalogue::Catalogue;
use super::claims::{self, Declared};
use super::consumers::{self, ConsumerFile};
use super::containers::Map;
use super::diagnostic::{Code, Report, Span};
use super::exceptions::Exception;
use super::files::{Files, Item, Tree};
use super::gateway::{self, Floor, GatewayFile, Rules};
use super::governance::{self, GovernanceFile, Levels, Subject};
use super::issuers::{self, Issuer};
use super::limits;
use super::mocks::{self, MockFile};
use super::models::{self, ModelFile, Used};
use super::names;
use super::overlays::{self, Overlay};
use super::plans::{self, PlanFile};
use super::providers::{self, ProviderFile};
use super::reader::{Read, Reader, Spanned};
use super::relations;
use super::routes::RouteBuilder;
use super::secrets::quote;
use super::templates::{TemplateFile, Templates};
use super::tighten::{self, InheritedLimits};
use super::unused;
use super::yaml::{Node, Value};
use crate::{Binding, Compiled, Operand, Timestamp};

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
    /// When the exceptions end that let what is being checked be reached without TLS; none: it needs none.
    pub(crate) without_tls: Option<Timestamp>,
    pub(crate) secrets: BTreeSet<String>,
    /// What templates say of limits.
    pub(crate) inherited: InheritedLimits,
    /// The tests of the tree, which the bundle does not hold.
    pub(crate) cases: Vec<Case>,
    /// The values of the environment.
    pub(crate) overlay: Overlay,
    /// What issuers declare of claims; nothing if that is not known.
    pub(crate) declared: Option<Declared>,
    /// Whether the gateway has something to sign with, as far as that can be read.
    pub(crate) signs: bool,
    /// The names of the decision points that are written, sorted.
    pub(crate) points: Vec<String>,
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
/// as an error. The tests of the tree, the report and the files are handed back.
pub(crate) fn compile(
    mut files: Files,
    tree: &Tree,
    report: Report,
    options: &Options,
) -> (Compiled, Vec<Case>, Report, Files) {
    let mut reader = Reader::new(report, &options.environment);
    reader.environments = environment_names(tree.gateway.as_ref());
    let overlay = Overlay::read(tree, &mut reader);
    let mut file = read_gateway(tree, &mut files, &mut reader);
    if let Some(file) = &mut file {
        overlay.give_hosts(file, tree, &mut reader);
    }
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
        without_tls: None,
        secrets: BTreeSet::new(),
        inherited: InheritedLimits::new(),
        cases: Vec::new(),
        overlay,
        declared: None,
        points: Vec::new(),
        signs: file.as_ref().is_none_or(|file| file.signing.is_some()),
    };
    if let Some(file) = &file {
        let floor = file.floor.as_ref().and_then(|floor| floor.governance.as_ref());
        let levels = |field: Option<&Spanned<Levels>>| field.map(|field| field.value.clone());
        let (own, floor) = (levels(file.governance.as_ref()), levels(floor));
        governance::apply(own.as_ref(), floor.as_ref(), checker.report());
    }
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
    (compiled, checker.cases, checker.reader.report, checker.files)
}

fn read_gateway(tree: &Tree, files: &mut Files, reader: &mut Reader) -> Option<Spanned<GatewayFile>> {
    let Some(item) = &tree.gateway else {
        let span = Span::new(reader.report.add_file("gateway.yaml".to_owned(), ""), 0, 0);
        let near = files.meant_for("", "gateway.yaml");
        let near = || Some(format!("rename {}", quote(&near?)));
        let help = files.left_out("gateway.yaml").or_else(near).unwrap_or_else(|| {
            "it names the gateway, its issuers and its environments; is this the folder of a policy tree?"
                .to_owned()
        });
        reader
            .report
            .error(Code::MissingFile, span, "the tree has no `gateway.yaml`")
            .help(help);
        return None;
    };
    let node = item.node.as_ref()?;
    GatewayFile::read(node, reader).map(|value| Spanned::new(value, node.span))
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

/// Puts what templates say above the APIs and models that name them.
fn build_on_templates(
    apis: &mut Catalogue<ApiFile>,
    models: &mut Catalogue<ModelFile>,
    templates: &mut Templates,
    checker: &mut Checker,
) {
    for (name, api) in &mut apis.here {
        let rules = templates.for_api(api.template.as_ref(), api.with.as_ref(), checker);
        if let Some(rules) = rules {
            tighten::api(name, api, &rules, checker);
        }
    }
    for (name, model) in &mut models.here {
        let rules = templates.for_model(model.template.as_ref(), model.with.as_ref(), checker);
        if let Some(rules) = rules {
            tighten::model(name, model, &rules, checker);
        }
    }
}

/// What rules need beside themselves: the time zones that limits count in, so that the engine need not know the
/// world's clocks; the claims and the headers that limits and conditions look at; and the names of secrets.
fn name_what_is_needed(compiled: &mut Compiled, file: Option<&Spanned<GatewayFile>>, checker: &mut Checker) {
    let plans = compiled.plans.iter().flat_map(|plan| &plan.limits);
    let models = compiled.models.iter().flat_map(|model| &model.limits);
    let apis = compiled.apis.iter().flat_map(|api| &api.limits);
    compiled.zones = limits::zones(plans.chain(models).chain(apis));
    compiled.secrets = checker.secrets.iter().cloned().collect();
    let gateway = file.map(|file| file.span);
    (compiled.claims, compiled.headers) = claims::used(compiled, gateway, checker);
    let mut country = false;
    for rule in compiled.rules() {
        rule.when
            .operands(&mut |operand| country |= *operand == Operand::Country);
    }
    compiled.country = country;
    let denies = |right: &crate::Operator| right.deny.is_some();
    compiled.denials = compiled
        .consumers
        .iter()
        .any(|consumer| consumer.operator.as_ref().is_some_and(denies));
    let bound = |binding: fn(&crate::Issuer) -> Binding| {
        let mut issuers = compiled.issuers.iter();
        issuers.any(|issuer| binding(issuer) != Binding::Refused)
    };
    compiled.dpop = bound(|issuer| issuer.dpop);
    compiled.client_certificates =
        !compiled.certificates.is_empty() || bound(|issuer| issuer.certificate_bound);
}

#[expect(
    clippy::too_many_lines,
    reason = "one line for each part of a tree, in the order of their references"
)]
fn compile_all(tree: &Tree, file: Option<&Spanned<GatewayFile>>, checker: &mut Checker) -> Compiled {
    let mut compiled = Compiled {
        gateway: file
            .map(|file| gateway::compile(file, checker))
            .unwrap_or_default(),
        ..Compiled::default()
    };
    let written = file.and_then(|file| file.decision_points.as_ref());
    compiled.points = relations::points(written, checker);
    checker.points = relations::names_of(written);
    let no_issuers = Map::default();
    let written = file.and_then(|file| file.issuers.as_ref());
    let issuer_map = written.map_or(&no_issuers, |issuers| &issuers.value);
    let (issuers, issuer_index) = issuers::compile(issuer_map, checker);
    compiled.issuers = issuers;
    checker.declared = claims::declared(file, &issuer_index, checker);

    let misplaced = |kind: &str| tree.misplaced.get(kind).map(Vec::as_slice).unwrap_or_default();
    let items = |kind: &str| {
        let items = tree.kinds.get(kind).map(Vec::as_slice).unwrap_or_default();
        (items, misplaced(kind))
    };
    let reader = &mut checker.reader;
    let plans = Catalogue::<PlanFile>::read(items("plans"), |plan| &plan.plan, reader);
    let consumers =
        Catalogue::<ConsumerFile>::read(items("consumers"), |consumer| &consumer.consumer, reader);
    let mut providers =
        Catalogue::<ProviderFile>::read(items("providers"), |provider| &provider.provider, reader);
    let mocks = Catalogue::<MockFile>::read(items("mocks"), |mock| &mock.mock, reader);
    let mut models = Catalogue::<ModelFile>::read(items("models"), |model| &model.model, reader);
    let mut apis = Catalogue::<ApiFile>::read((&tree.apis, misplaced("apis")), |api| &api.api, reader);

    let templates =
        Catalogue::<TemplateFile>::read(items("templates"), |template| &template.template, reader);
    let custom = Catalogue::<GovernanceFile>::read(items("governance"), |rule| &rule.rule, reader);
    governance::check(&custom.here, checker);
    overlays::give_upstreams(&mut apis, &mut providers, checker);
    let mut templates = Templates::new(templates, checker);
    build_on_templates(&mut apis, &mut models, &mut templates, checker);
    templates.judge_idle(checker);

    let mut routes = RouteBuilder::default();
    if !models.here.is_empty() {
        routes.add_surfaces(checker.report());
    }
    let compiled_apis = apis::compile(&apis.here, &mut routes, checker);
    compiled.apis = compiled_apis.apis.into();
    compiled.operations = compiled_apis.operations.into();
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
    for (_, plan) in &plans.here {
        if let Some(list) = &plan.limits {
            limits::refer_models(list, &models, checker);
        }
    }
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
    compiled.consumers = callers.list.into();
    compiled.keys = callers.credentials.keys;
    compiled.identities = callers.credentials.identities.into();
    compiled.certificates = callers.credentials.certificates;
    name_what_is_needed(&mut compiled, file, checker);
    checker.cases = cases::compile(items("tests").0, &compiled, &consumers, checker);

    budgets::check(&compiled, &known, checker);
    // What refers to it may be what is broken.
    if !checker.report().failed() {
        unused::report(&known, &used, &consumers, &templates, checker);
    }
    checker.report_unused_exceptions(&known);
    unused::report_empty(file, &compiled, checker);
    let subject = Subject {
        tree,
        gateway: file,
        known: &known,
        consumers: &consumers,
        custom: &custom,
        compiled: &compiled,
    };
    governance::judge(&subject, checker);
    compiled
}

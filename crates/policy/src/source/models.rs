//! `models/<name>.yaml`: models as clients name them, and how they are routed.

use std::collections::BTreeSet;

use super::authorize::{self, ModelAuthorizeFields};
use super::compile::{Checker, Known};
use super::containers::List;
use super::declare::{choice, record};
use super::diagnostic::Code;
use super::limits::LimitFields;
use super::providers::Wire;
use super::reader::{Fault, Read, Reader, Scalar, Spanned};
use super::scalars::{Duration, Name, Number, Size, Text, TokenPrice};
use super::secrets::quote;
use super::templates::With;
use super::yaml::{Node, Value};
use crate::{Commit, Lifecycle, LongPrice, Millis, Price, Reason, Retry, State, Target, Timeouts};

record! {
    /// A model as clients name it, and how it is routed.
    ModelFile = "model" {
        /// The name that clients send, as the file is called.
        model: required Name,
        /// Who answers for it.
        owner: required Text,
        /// The template that it builds on.
        template: optional Name,
        /// Values for the parameters of the template.
        with: optional With,
        /// Where calls go, by weight.
        targets: required List<TargetFields>,
        /// Where they go, in this order, when the chosen target fails for a reason in `retry.on`.
        fallback: default "[]" List<TargetFields>,
        /// How often one target is tried, and for which reasons.
        retry: default "{}" RetryFields,
        /// How long a target may take.
        timeouts: default "{}" ModelTimeouts,
        /// When an answer is the client's.
        stream: default "{}" StreamFields,
        /// The most tokens that an answer can have. Asked of the target as well; needed where tokens or
        /// money are limited.
        max_output_tokens: optional Number<1, 100_000_000>,
        /// The most tokens that a part of a message can have which is not text (an image, a file): what is
        /// reserved for each where tokens or money are limited.
        max_media_tokens: default "50_000" Number<1, 100_000_000>,
        /// Limits of each consumer on this model, on top of its plan.
        limits: default "[]" List<LimitFields>,
        /// What its callers must have beside a grant, and what must hold.
        authorize: default "[]" List<ModelAuthorizeFields>,
        /// The upper bound of a request body; left out: that of the floor.
        max_body: optional Size,
        /// Where it is in its life: `preview`, `active` or `retired`.
        state: default "active" ModelState,
    }
    later { cache, deprecated, guardrails, health, prices, sticky, successor, sunset, versions }
}

record! {
    /// A place where the model runs. `openai/gpt-5` alone stands for `{ to: openai/gpt-5 }`.
    TargetMap = "target" {
        /// `provider/model`: a provider, and the model's name there. Of a mock provider the model is
        /// a mock.
        to: required TargetName,
        /// Its share among the targets.
        weight: default "1" Number<1, 1_000_000>,
        /// What its tokens cost; needed where money is limited.
        price: optional PriceFields,
    }
    later { region, when }
}

record! {
    /// What tokens cost.
    PriceFields = "price" {
        /// Of input.
        input: required TokenPrice,
        /// Of output, reasoning included.
        output: required TokenPrice,
        /// Of input that the provider read from its cache; left out: as other input.
        cached_input: optional TokenPrice,
        /// Of input that the provider wrote to its cache, where it bills that dearer; left out: as other input.
        cache_write: optional TokenPrice,
        /// What all of them cost instead in a call that reads many, where the provider bills that dearer.
        long: optional LongPriceFields,
    }
}

record! {
    /// What the tokens of a call cost that reads more of them than so many.
    LongPriceFields = "long price" {
        /// How many tokens of input a call reads that still costs the usual price.
        over: required Number<1, 1_000_000_000>,
        /// Of input.
        input: required TokenPrice,
        /// Of output, reasoning included.
        output: required TokenPrice,
        /// Of input that the provider read from its cache; left out: as other input.
        cached_input: optional TokenPrice,
        /// Of input that the provider wrote to its cache, where it bills that dearer; left out: as other input.
        cache_write: optional TokenPrice,
    }
}

impl PriceFields {
    fn compile(&self) -> Option<Price> {
        let input = self.input.as_ref()?.0;
        Some(Price {
            input,
            output: self.output.as_ref()?.0,
            cached_input: self.cached_input.as_ref().map_or(input, |price| price.0),
            cache_write: self.cache_write.as_ref().map_or(input, |price| price.0),
            long: self.long.as_ref().and_then(|long| long.compile()),
        })
    }
}

impl LongPriceFields {
    fn compile(&self) -> Option<LongPrice> {
        let input = self.input.as_ref()?.0;
        Some(LongPrice {
            over: self.over.as_ref()?.0.into(),
            input,
            output: self.output.as_ref()?.0,
            cached_input: self.cached_input.as_ref().map_or(input, |price| price.0),
            cache_write: self.cache_write.as_ref().map_or(input, |price| price.0),
        })
    }
}

record! {
    /// How often one target is tried, and for which reasons.
    RetryFields = "retry" {
        /// Tries on one target, the first included.
        attempts: default "1" Number<1, 5>,
        /// The reasons for which another try, and then the next target, is right: `rate_limited`,
        /// `overloaded`, `server_error`, `unreachable`, `no_first_token`, `invalid_answer`.
        on: default "[no_first_token, overloaded, rate_limited, server_error, unreachable]" List<Reason>,
    }
    later { backoff, budget }
}

record! {
    /// How long a target may take.
    ModelTimeouts = "model timeouts" {
        /// Until its first token; left out: 30s, or `total` if that is shorter.
        first_token: optional Duration,
        /// Between two pieces of a stream; left out: 30s, or `total` if that is shorter.
        idle: optional Duration,
        /// In all.
        total: default "5m" Duration,
    }
}

record! {
    /// When an answer is the client's, so that no other target is tried.
    StreamFields = "stream" {
        /// With its `first_token`, or when it is `complete`: then it is held back until it is whole.
        commit: default "first_token" Commit,
    }
    later { heartbeat }
}

choice!(Commit: "first_token" => Self::FirstToken, "complete" => Self::Complete);
choice!(State: "preview" => Self::Preview, "active" => Self::Active, "deprecated" => Self::Deprecated, "retired" => Self::Retired);

/// The state of a model. It has no dates yet, so that its clients would not be told that it ends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ModelState(pub(crate) State);

choice!(ModelState: "preview" => Self(State::Preview), "active" => Self(State::Active), "retired" => Self(State::Retired);
    later "deprecated");
choice!(Reason: "rate_limited" => Self::RateLimited, "overloaded" => Self::Overloaded,
    "server_error" => Self::ServerError, "unreachable" => Self::Unreachable,
    "no_first_token" => Self::NoFirstToken, "invalid_answer" => Self::InvalidAnswer);

/// A target, in its long or its short form.
#[derive(Clone, Debug)]
pub(crate) struct TargetFields {
    pub(crate) to: Option<Spanned<TargetName>>,
    pub(crate) weight: u32,
    pub(crate) price: Option<Price>,
}

impl Read for TargetFields {
    fn expects() -> String {
        "`provider/model`, or a map with `to`, `weight` and `price`".to_owned()
    }

    fn schema() -> serde_json::Value {
        super::schema::either([
            super::schema::scalar("`provider/model`"),
            TargetMap::item_schema(),
        ])
    }

    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        if matches!(node.value, Value::Scalar { .. }) {
            let to = TargetName::read(node, reader)?;
            return Some(Self {
                to: Some(Spanned::new(to, node.span)),
                weight: 1,
                price: None,
            });
        }
        let map = TargetMap::read(node, reader)?;
        Some(Self {
            to: map.to,
            weight: map.weight.map_or(1, |weight| weight.0),
            price: map.price.and_then(|price| price.value.compile()),
        })
    }

    fn shapes(out: &mut Vec<&'static super::declare::Shape>) {
        TargetMap::shapes(out);
    }
}

/// A provider and a model there.
#[derive(Clone, Debug)]
pub(crate) struct TargetName {
    pub(crate) provider: String,
    pub(crate) model: String,
}

impl Scalar for TargetName {
    const EXPECTS: &'static str = "`provider/model`";

    fn parse(text: &str) -> Result<Self, Fault> {
        let bad = || {
            Fault::new(Code::BadText, format!("{} is not a target", quote(text)))
                .help("write `provider/model`, for example `openai/gpt-5`")
        };
        let (provider, model) = text.split_once('/').ok_or_else(bad)?;
        let good_model =
            !model.is_empty() && model.len() <= 256 && model.bytes().all(|b| b.is_ascii_graphic());
        if Name::parse(provider).is_err() || !good_model {
            return Err(bad());
        }
        Ok(Self {
            provider: provider.to_owned(),
            model: model.to_owned(),
        })
    }
}

/// What targets use, so that what nothing uses can be named.
#[derive(Debug, Default)]
pub(crate) struct Used {
    pub(crate) providers: BTreeSet<String>,
    pub(crate) mocks: BTreeSet<String>,
}

/// Checks a model.
pub(crate) fn compile(
    name: &str,
    model: &Spanned<ModelFile>,
    known: &Known<'_>,
    used: &mut Used,
    checker: &mut Checker,
) -> Option<crate::Model> {
    let targets = model.targets.as_ref().map(|list| {
        if checker.lacks_items(list) {
            let message = format!(
                "the model {} has no target in {}",
                quote(name),
                quote(&checker.reader.environment)
            );
            checker
                .report()
                .error(Code::NoTarget, list.span, message)
                .help("give it one, or limit the model itself with `environments`");
        }
        read_targets(list, known, used, checker)
    });
    let fallback = model
        .fallback
        .as_ref()
        .map(|list| read_fallback(list, known, used, checker));
    let timeouts = model.timeouts.as_ref().and_then(|t| {
        Some(checker.timeouts(
            "first_token",
            30_000,
            t.first_token.as_ref(),
            t.idle.as_ref(),
            t.total.as_ref()?,
        ))
    });
    let retry = model.retry.as_ref().and_then(|retry| {
        let list = retry.on.as_ref()?;
        checker.sorted(&list.0, |reason| reason.name());
        let mut on: Vec<_> = list.0.iter().map(|reason| reason.value).collect();
        on.sort_unstable();
        on.dedup();
        let attempts = retry.attempts.as_ref()?;
        if on.is_empty() && checker.reader.reported_within(list.span) {
            return None;
        }
        if on.is_empty() && attempts.0 > 1 {
            checker
                .report()
                .error(
                    Code::Conflict,
                    attempts.span,
                    "nothing is ever tried again: `on` is empty",
                )
                .help("name reasons in `on`, or write `attempts: 1`")
                .label(list.span, "here");
        }
        Some(Retry {
            attempts: attempts.0,
            on,
        })
    });
    if let (Some(list), Some(retry)) = (model.fallback.as_ref().filter(|list| !list.0.is_empty()), &retry)
        && retry.on.is_empty()
    {
        checker
            .report()
            .error(
                Code::Conflict,
                list.span,
                "the fallback is never used: `retry.on` is empty",
            )
            .help("name the reasons in `retry.on` for which it is right, or leave `fallback` out");
    }
    let limits = checker.limits(model.limits.as_ref(), &format!("models/{name}"));
    let max_body = checker.max_body(model.max_body.as_ref());
    let origin = checker.report().origin(model.span);
    let mut compiled = crate::Model {
        name: name.to_owned(),
        owner: model.owner.as_ref()?.0.clone(),
        lifecycle: Lifecycle {
            state: model.state.as_ref()?.value.0,
            deprecated: None,
            sunset: None,
            successor: None,
        },
        targets: targets?,
        fallback: fallback?,
        retry: retry?,
        timeouts: timeouts?,
        commit: model.stream.as_ref()?.commit.as_ref()?.value,
        max_body,
        max_output_tokens: model.max_output_tokens.as_ref().map(|most| most.0),
        max_media_tokens: model.max_media_tokens.as_ref()?.0,
        limits,
        scopes: Vec::new(),
        scopes_origin: String::new(),
        rules: Vec::new(),
        origin,
    };
    authorize::model(model.authorize.as_ref(), &mut compiled, checker);
    Some(compiled)
}

/// Targets that are tried in their order, so that a weight means nothing.
fn read_fallback(
    list: &List<TargetFields>,
    known: &Known<'_>,
    used: &mut Used,
    checker: &mut Checker,
) -> Vec<Target> {
    let weighed = list.0.iter().filter(|target| target.weight != 1);
    for to in weighed.filter_map(|target| target.to.as_ref()) {
        checker
            .report()
            .error(
                Code::Conflict,
                to.span,
                "a `weight` means nothing in `fallback`: its targets are tried in their order",
            )
            .help("leave `weight` out");
    }
    read_targets(list, known, used, checker)
}

fn read_targets(
    list: &List<TargetFields>,
    known: &Known<'_>,
    used: &mut Used,
    checker: &mut Checker,
) -> Vec<Target> {
    let mut targets = Vec::new();
    let mut seen = BTreeSet::new();
    for target in &list.0 {
        let Some(to) = &target.to else { continue };
        let Some(provider) = known
            .providers
            .refer("provider", &to.provider, to.span, &mut checker.reader)
        else {
            continue;
        };
        used.providers.insert(to.provider.clone());
        let fields = usize::try_from(provider)
            .ok()
            .and_then(|at| known.providers.here.get(at));
        let wire = fields
            .and_then(|(_, fields)| fields.wire.as_ref())
            .map(|wire| wire.value);
        if wire == Some(Wire::Mock) {
            used.mocks.insert(to.model.clone());
            if known
                .mocks
                .refer("mock", &to.model, to.span, &mut checker.reader)
                .is_none()
            {
                continue;
            }
        }
        if !seen.insert((provider, to.model.clone())) {
            checker
                .report()
                .error(Code::Repeated, to.span, "this target is listed twice")
                .help("write one, with the sum of the weights");
            continue;
        }
        targets.push(Target {
            provider,
            model: to.model.clone(),
            weight: target.weight,
            price: target.price,
        });
    }
    targets
}

impl Checker {
    /// The bound of a body, which may lower that of the floor and never raise it.
    pub(crate) fn max_body(&mut self, own: Option<&Spanned<Size>>) -> u64 {
        let floor = self.floor.max_body;
        let Some(own) = own else { return floor };
        if own.0 > floor {
            let at = self.floor.max_body_at;
            // Of a template it is the value that somebody gave, if somebody did.
            let given = self.reader.given(own.span);
            let draft = self
                .reader
                .report
                .error(
                    Code::Widens,
                    given.unwrap_or(own.span),
                    "this is larger than the floor allows",
                )
                .label(at, "the floor");
            if given.is_some() {
                draft.label(own.span, "the template has it here");
            }
            draft.help("what stands below the floor can only narrow it");
        }
        if own.0 == 0 {
            self.report()
                .error(Code::OutOfRange, own.span, "expected at least 1B")
                .help("write for example `64KiB`");
        }
        own.0.min(floor)
    }

    /// Three timeouts that fit each other; `usual` stands for the first two where they are absent.
    pub(crate) fn timeouts(
        &mut self,
        first_name: &str,
        usual: Millis,
        first: Option<&Spanned<Duration>>,
        idle: Option<&Spanned<Duration>>,
        total: &Spanned<Duration>,
    ) -> Timeouts {
        let most = 60 * 60 * 1000;
        let out_of_range = |timeout: Millis| timeout == 0 || timeout > most;
        for (name, timeout) in [(first_name, first), ("idle", idle), ("total", Some(total))] {
            let Some(timeout) = timeout else { continue };
            if out_of_range(timeout.0) {
                self.report()
                    .error(
                        Code::OutOfRange,
                        timeout.span,
                        format!("`{name}` must be between 1ms and 1h"),
                    )
                    .help("write for example `30s`");
            } else if timeout.0 > total.0 && !out_of_range(total.0) {
                self.report()
                    .error(
                        Code::Conflict,
                        timeout.span,
                        format!("`{name}` is longer than `total`"),
                    )
                    .help("make it shorter, or `total` longer")
                    .label(total.span, "`total`");
            }
        }
        let or_usual = |own: Option<&Spanned<Duration>>| own.map_or(usual.min(total.0), |own| own.0);
        Timeouts {
            first: or_usual(first),
            idle: or_usual(idle),
            total: total.0,
        }
    }
}

//! For random trees: nothing below is weaker than what stands above it.

use proptest::prelude::*;

use turnpike_policy::{Handler, LimitKind};

use crate::common::{base, build, lines};

/// Something that may or may not be written, in a unit of its own.
fn maybe(most: u32) -> impl Strategy<Value = Option<u32>> {
    prop_oneof![1 => Just(None), 3 => (1..=most).prop_map(Some)]
}

/// Values from above to below, the first of which is always there.
type Chain = [Option<u32>; 4];

fn chain(most: u32) -> impl Strategy<Value = Chain> {
    [maybe(most), maybe(most), maybe(most), maybe(most)]
}

/// Whether no value is larger than the nearest one above it.
fn narrows(chain: &[Option<u32>]) -> bool {
    let written: Vec<u32> = chain.iter().flatten().copied().collect();
    written.windows(2).all(|pair| pair[1] <= pair[0])
}

fn line(indent: &str, key: &str, value: Option<u32>, unit: &str) -> String {
    value.map_or_else(String::new, |value| format!("{indent}{key}: {value}{unit}\n"))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    /// For random trees: what is built is nowhere weaker than anything above it, and what would be is
    /// not built.
    #[test]
    fn no_effective_policy_is_weaker_than_what_stands_above(
        body in chain(6), wait in chain(6), most in chain(6), tokens in chain(6), total in chain(6),
        attempts in chain(4), open in any::<bool>(), demanded in any::<bool>(),
    ) {
        let floor = body[0].unwrap_or(6);
        let body = [Some(floor), body[1], body[2], body[3]];
        // The floor does not speak of the others: their chains begin with the template.
        let (wait, most, tokens, total, attempts) = (&wait[1..], &most[1..3], &tokens[1..3], &total[1..3], &attempts[1..3]);
        let template = format!(
            "template: standard\napi:\n  limits: []\n{}{}{}model:\n  limits: []\n{}{}{}",
            line("  ", "max_body", body[1], "KiB"),
            wait[0].map_or_else(String::new, |value| format!("  timeouts: {{ first_byte: {value}s }}\n")),
            if demanded { "  authentication: required\n" } else { "" },
            line("  ", "max_output_tokens", tokens[0], ""),
            total[0].map_or_else(String::new, |value| format!("  timeouts: {{ total: {value}s }}\n")),
            attempts[0].map_or_else(String::new, |value| format!("  retry: {{ attempts: {value} }}\n")),
        );
        let limits = |value: Option<u32>| value.map_or_else(|| "[{ rate: 1/s }]".to_owned(), |value| format!("[{{ rate: 1/s }}, {{ concurrency: {value} }}]"));
        let template = template.replacen("limits: []", &format!("limits: {}", limits(most[0])), 1);
        let mut files = base();
        files.insert("templates/standard.yaml".to_owned(), template);
        let gateway = format!(
            "{}floor: {{ max_body: {floor}KiB }}\nexceptions: [{{ rule: authentication, for: apis/pets, reason: r, until: 2099-01-01 }}]\n",
            files["gateway.yaml"]
        );
        files.insert("gateway.yaml".to_owned(), gateway);
        let mut narrowed = String::new();
        if let Some(value) = body[3] {
            narrowed += &format!(", max_body: {value}KiB");
        }
        if let Some(value) = wait[2] {
            narrowed += &format!(", timeouts: {{ first_byte: {value}s }}");
        }
        let api = format!(
            "{}{}template: standard\n{}{}limits: {}\n{}",
            files["apis/pets/api.yaml"],
            wait[1].map_or_else(String::new, |value| format!("    timeouts: {{ first_byte: {value}s }}\n")),
            line("", "max_body", body[2], "KiB"),
            if open { "authentication: none\n" } else { "" },
            limits(most[1]).replace("rate: 1/s", "rate: 2/min"),
            if narrowed.is_empty() { String::new() } else { format!("operations: [{{ for: all{narrowed} }}]\n") },
        );
        files.insert("apis/pets/api.yaml".to_owned(), api);
        let model = format!(
            "{}template: standard\n{}{}{}",
            files["models/chat.yaml"],
            line("", "max_output_tokens", tokens[1], ""),
            total[1].map_or_else(String::new, |value| format!("timeouts: {{ total: {value}s }}\n")),
            attempts[1].map_or_else(String::new, |value| format!("retry: {{ attempts: {value} }}\n")),
        );
        files.insert("models/chat.yaml".to_owned(), model);

        let good = [&body[..], wait, most, tokens, total, attempts].into_iter().all(narrows) && !(open && demanded);
        let outcome = build(&files, "dev");
        let found = lines(&outcome);
        let errors: Vec<_> = found.iter().filter(|line| line.contains(": error[")).collect();
        prop_assert_eq!(good, outcome.bundle.is_some(), "{:#?} {:#?}", files, &found);
        prop_assert!(errors.iter().all(|line| line.contains("[P0401]")), "{:#?} {:#?}", files, &found);
        if let Some(compiled) = outcome.compiled {
            let operation = &compiled.operations[0];
            for above in body.iter().flatten() {
                prop_assert!(operation.max_body <= u64::from(*above) << 10);
            }
            let Handler::Proxy { timeouts, .. } = &operation.handler else { panic!("no upstream") };
            for above in wait.iter().flatten() {
                prop_assert!(timeouts.first <= u64::from(*above) * 1000);
            }
            prop_assert!(!(demanded && operation.open_until.is_some()));
            let api = &compiled.apis[0];
            for above in most.iter().flatten() {
                let held = |kind: LimitKind| matches!(kind, LimitKind::Concurrency { count } if count <= *above);
                prop_assert!(api.limits.iter().any(|limit| held(limit.kind)));
            }
            prop_assert!(api.limits.iter().any(|limit| matches!(limit.kind, LimitKind::Rate(rate) if rate.period == 1000)));
            let model = &compiled.models[0];
            for above in tokens.iter().flatten() {
                prop_assert!(model.max_output_tokens.is_some_and(|most| most <= *above));
            }
            for above in total.iter().flatten() {
                prop_assert!(model.timeouts.total <= u64::from(*above) * 1000);
                prop_assert!(model.timeouts.first <= model.timeouts.total);
            }
            for above in attempts.iter().flatten() {
                prop_assert!(model.retry.attempts <= *above);
            }
        }
    }
}

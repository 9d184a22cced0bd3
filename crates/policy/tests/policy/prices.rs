//! What tokens cost.

use turnpike_policy::{LongPrice, Price};

use crate::common::{base, build, lines};

#[test]
fn what_is_left_out_costs_as_much_as_other_input() {
    let mut files = base();
    let model = files.get_mut("models/chat.yaml").unwrap();
    *model = model.replace(
        "to: openai/gpt",
        "{ to: openai/gpt, price: { input: 1.25 USD/Mtok, output: 10 USD/Mtok, cached_input: 0.125 USD/Mtok, \
         long: { over: 200_000, input: 2.50 USD/Mtok, output: 15 USD/Mtok } } }",
    );
    let outcome = build(&files, "dev");
    assert_eq!(lines(&outcome), Vec::<String>::new());
    let compiled = outcome.compiled.unwrap();
    let model = compiled.models.iter().find(|model| model.name == "chat").unwrap();
    let price = model.targets[0].price.unwrap();
    let long = LongPrice {
        over: 200_000,
        input: 2_500_000_000,
        output: 15_000_000_000,
        cached_input: 2_500_000_000,
        cache_write: 2_500_000_000,
    };
    let expected = Price {
        input: 1_250_000_000,
        output: 10_000_000_000,
        cached_input: 125_000_000,
        cache_write: 1_250_000_000,
        long: Some(long),
    };
    assert_eq!(price, expected);
    assert_eq!(price.reading(200_000), expected);
    assert_eq!(price.reading(200_001).input, 2_500_000_000);
}

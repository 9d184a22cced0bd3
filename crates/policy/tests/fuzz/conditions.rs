//! Conditions, made and damaged at random: always an answer, and what could be read reads back as the same.

use turnpike_policy::source::conditions::parse;
use turnpike_policy::{Comparison, Condition, Operand};

use crate::random::Random;
use crate::trees::{SEED, play_on};

/// Pieces of which conditions are made, and some of which none is.
const PIECES: [&str; 44] = [
    "claims",
    "request",
    ".",
    "department",
    "roles",
    "['https://acme.example/role']",
    "[",
    "]",
    "method",
    "params",
    "hour",
    "country",
    "petId",
    "==",
    "!=",
    "<",
    "<=",
    ">",
    ">=",
    "in",
    "&&",
    "||",
    "!",
    "(",
    ")",
    "'stores'",
    "\"it's\"",
    "'a\\'b'",
    "3",
    "-2.5",
    "0.1",
    "true",
    "false",
    "['a', 'b']",
    "[1, 2]",
    ".startsWith('x')",
    "startsWith",
    " ",
    "\n",
    "=",
    "&",
    "'",
    "ü",
    "9007199254740991",
];

fn soup(random: &mut Random) -> String {
    (0..random.below(40)).map(|_| *random.pick(&PIECES)).collect()
}

fn name(random: &mut Random) -> String {
    let names = [
        "department",
        "a",
        "in",
        "startsWith",
        "https://acme.example/role",
        "it's",
        "\\",
        "ü",
        "",
        "x y",
    ];
    (*random.pick(&names)).to_owned()
}

fn text(random: &mut Random) -> Operand {
    match random.below(4) {
        0 => Operand::Claim((0..=random.below(3)).map(|_| name(random)).collect()),
        1 => Operand::Parameter(name(random)),
        2 => Operand::Country,
        _ => Operand::Method,
    }
}

/// A whole number or one with a fraction that is written as it is.
fn number(random: &mut Random) -> f64 {
    let whole = f64::from(u32::try_from(random.below(100_000)).unwrap());
    let number = if random.below(2) == 0 { whole } else { whole / 64.0 };
    if random.below(2) == 0 && number != 0.0 {
        -number
    } else {
        number
    }
}

/// A condition in its normal form: no list in a list of its kind.
fn condition(random: &mut Random, depth: usize) -> Condition {
    let claim = |random: &mut Random| Operand::Claim(vec![name(random)]);
    match random.below(if depth == 0 { 5 } else { 8 }) {
        0 => Condition::Is(claim(random)),
        1 => Condition::StartsWith(text(random), format!("x{}", name(random))),
        2 => {
            let items = (0..=random.below(4)).map(|at| format!("{at}{}", name(random)));
            let items = Operand::Texts(items.collect());
            Condition::Compare(claim(random), Comparison::In, items)
        }
        3 => {
            let numbers = (0..=random.below(4)).map(|_| number(random));
            let numbers = Operand::Numbers(numbers.collect());
            Condition::Compare(claim(random), Comparison::In, numbers)
        }
        4 => {
            let comparison = Comparison::ALL[random.below(6)];
            Condition::Compare(claim(random), comparison, Operand::Number(number(random)))
        }
        5 => Condition::Not(Box::new(condition(random, depth - 1))),
        kind => {
            let of_its_kind = |part: &Condition| match part {
                Condition::All(_) => kind == 6,
                Condition::Any(_) => kind == 7,
                _ => false,
            };
            let mut parts = Vec::new();
            while parts.len() < 2 {
                let part = condition(random, depth - 1);
                if !of_its_kind(&part) {
                    parts.push(part);
                }
            }
            if kind == 6 {
                Condition::All(parts)
            } else {
                Condition::Any(parts)
            }
        }
    }
}

#[test]
fn a_condition_is_read_or_refused_and_reads_back_as_what_it_was() {
    let (mut read, mut refused, mut made) = (0, 0, 0);
    let cases = play_on(SEED, |case| {
        let mut random = Random::new(case);
        let mut played = |text: &str| match parse(text) {
            Ok(condition) => {
                let printed = condition.to_string();
                assert_eq!(
                    parse(&printed).as_ref(),
                    Ok(&condition),
                    "case {case}: {text:?} as {printed:?}"
                );
                read += 1;
            }
            Err(why) => {
                assert!(!why.is_empty(), "case {case}: {text:?}");
                refused += 1;
            }
        };
        played(&soup(&mut random));
        let condition = condition(&mut random, 3);
        let printed = condition.to_string();
        if let Ok(again) = parse(&printed) {
            assert_eq!(again, condition, "case {case}: {printed:?}");
            made += 1;
        } else {
            // Only what is larger than a condition may be is refused.
            let large = printed.len() > 1024
                || printed.len() > 256 && parse(&printed).is_err_and(|why| why.contains("at most"));
            assert!(large, "case {case}: {printed:?}: {:?}", parse(&printed));
        }
        // One of its characters is another one, is missing, or is there twice.
        let mut characters: Vec<char> = printed.chars().collect();
        let at = random.below(characters.len());
        match random.below(3) {
            0 => characters[at] = random.pick(&PIECES).chars().next().unwrap(),
            1 => {
                characters.remove(at);
            }
            _ => characters.insert(at, characters[at]),
        }
        played(&characters.into_iter().collect::<String>());
    });
    println!("{cases} cases: {read} damaged conditions read, {refused} refused, {made} made ones read back");
    assert!(
        cases == 1 || read > 20 && refused > 20 && made > 50,
        "too little was played"
    );
}

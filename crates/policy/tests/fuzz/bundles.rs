//! Bundles, damaged: they are refused, at the latest by their hash.

use turnpike_policy::source::Loaded;
use turnpike_policy::{Bundle, BundleError, FORMAT, Stamp};

use crate::common::{Folder, sample};
use crate::random::Random;
use crate::trees::{SEED, options, play_on};

fn of_the_sample() -> (Vec<u8>, Bundle) {
    let folder = Folder::new();
    for (path, text) in sample() {
        folder.write(&path, text);
    }
    let compiled = Loaded::read(&folder.0).build(&options("dev")).compiled.unwrap();
    let stamp = Stamp {
        commit: "0123456789abcdef".to_owned(),
        dirty: true,
        built: Some(1_700_000_000_000),
    };
    let (bytes, _) = Bundle::write(&compiled, &stamp).unwrap();
    let bundle = Bundle::from_bytes(&bytes).unwrap();
    (bytes, bundle)
}

fn damage(bytes: &mut Vec<u8>, random: &mut Random) {
    let at = random.below(bytes.len());
    match random.below(5) {
        0 => bytes[at] ^= 1 << random.below(8),
        1 => bytes[at] = *random.pick(&[0, 1, 0x7f, 0x80, 0xff]),
        // A length or a number that is larger than all there is.
        2 => {
            let to = (at + 9).min(bytes.len());
            bytes[at..to].fill(0xff);
        }
        3 => bytes.truncate(at),
        _ => {
            let to = (at + 1 + random.below(40)).min(bytes.len());
            let part: Vec<u8> = bytes[at..to].to_vec();
            let into = random.below(bytes.len());
            bytes.splice(into..into, part);
        }
    }
}

#[test]
fn a_bundle_with_damaged_rules_is_refused() {
    let (bytes, right) = of_the_sample();
    let (mut refused, mut other, mut same) = (0, 0, 0);
    let cases = play_on(SEED, |case| {
        let mut random = Random::new(case);
        let mut damaged = bytes.clone();
        for _ in 0..=random.below(3) {
            if !damaged.is_empty() {
                damage(&mut damaged, &mut random);
            }
        }
        let read = Bundle::from_bytes(&damaged);
        match Bundle::verified(&damaged) {
            // Only what no rule depends on is damaged: the stamp, or where a rule stands.
            Ok(bundle) => {
                assert_eq!(bundle.hash, right.hash, "case {case}");
                same += 1;
            }
            Err(BundleError::Damaged) if read.is_ok() => other += 1,
            Err(why) => {
                assert_eq!(read.err(), Some(why.clone()));
                assert_ne!(why, BundleError::OtherFormat { found: FORMAT });
                assert!(!why.to_string().is_empty());
                refused += 1;
            }
        }
    });
    println!(
        "{cases} damaged bundles: {} refused, {other} of them by the hash, {same} with the same rules",
        refused + other
    );
    assert!(
        cases == 1 || cases > 100 && refused > 0 && other > 0,
        "too little was played"
    );
}

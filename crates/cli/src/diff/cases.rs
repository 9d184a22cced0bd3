//! Tests that are gone: what they showed nothing shows any more, and no pipeline that runs the rest will say so.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use turnpike_policy::source::Case;

use super::change::{Changes, Class};
use crate::words;

/// How many are named.
const LISTED: usize = 8;

/// Tells which tests are gone, wherever others of the same name are now.
pub(super) fn compare(was: Option<&[Case]>, is: Option<&[Case]>, environment: &str, changes: &mut Changes) {
    let (Some(was), Some(is)) = (was, is) else {
        // A bundle knows nothing of them.
        return;
    };
    let mut there: BTreeMap<&str, usize> = BTreeMap::new();
    for case in is {
        *there.entry(&case.name).or_default() += 1;
    }
    let gone: Vec<_> = was
        .iter()
        .filter(|case| match there.get_mut(case.name.as_str()) {
            Some(left) if *left > 0 => {
                *left -= 1;
                false
            }
            _ => true,
        })
        .collect();
    let Some(first) = gone.first() else { return };
    let named = gone.iter().take(LISTED).map(|case| format!("`{}`", case.name));
    let mut text = format!(
        "{} gone: {}",
        match gone.len() {
            1 => "1 test is".to_owned(),
            many => format!("{} are", words::count(many, "test")),
        },
        named.collect::<Vec<_>>().join(", ")
    );
    if gone.len() > LISTED {
        let _ = write!(text, " and {} more", gone.len() - LISTED);
    }
    changes.begin("tests", environment);
    changes.add(Class::Risky, &first.origin, text);
}

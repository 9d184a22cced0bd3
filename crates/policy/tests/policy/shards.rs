//! Limits that are spread over several objects.

use turnpike_policy::Split;

use crate::common::{base, build, lines};

#[test]
fn what_is_written_is_what_is_compiled() {
    let mut files = base();
    let limits = "plan: gold\nlimits:
  - { rate: 400/s }
  - { rate: 800/s, id: hot, shards: 8 }
  - { quota: 1_000/day, shards: 4 of 8, window: rolling }
  - { concurrency: 64, shards: 8 }
";
    files.insert("plans/gold.yaml".to_owned(), limits.to_owned());
    let outcome = build(&files, "dev");
    assert_eq!(lines(&outcome), Vec::<String>::new());
    let compiled = outcome.compiled.unwrap();
    let plan = compiled.plans.iter().find(|plan| plan.name == "gold").unwrap();
    let split = |id: &str| plan.limits.iter().find(|limit| limit.id == id).unwrap().split;
    let of = |objects, parts| Some(Split { objects, parts });
    assert_eq!(split("gold:rate-1s"), None);
    assert_eq!(split("gold:hot"), of(8, 8));
    // The number of objects is not in its name: more can be taken into use.
    assert_eq!(split("gold:quota-rolling-day"), of(4, 8));
    assert_eq!(split("gold:concurrency"), of(8, 8));
}

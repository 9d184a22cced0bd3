//! The report that CI systems read.

use std::path::Path;

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use super::{Outcome, Ran};
use crate::{Failure, disk};

/// Writes the report: one suite for each file and environment.
pub(super) fn write(file: &Path, ran: &[Ran]) -> Result<(), Failure> {
    let mut report = Report::new("turnpike test");
    let mut suites: Vec<(String, TestSuite)> = Vec::new();
    for test in ran {
        let name = format!("{} in {}", test.file, test.environment);
        if suites.last().is_none_or(|(last, _)| *last != name) {
            suites.push((name.clone(), TestSuite::new(name.as_str())));
        }
        let status = match &test.outcome {
            Outcome::Passed => TestCaseStatus::success(),
            Outcome::Skipped(why) => {
                let mut status = TestCaseStatus::skipped();
                status.set_message(why.as_str());
                status
            }
            Outcome::Failed(wrong) => {
                let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
                status.set_message(wrong.first().map_or("", String::as_str));
                status.set_description(wrong.join("\n"));
                status
            }
        };
        let mut case = TestCase::new(test.name.as_str(), status);
        case.set_classname(name.as_str());
        if let Some((file, line)) = test.origin.rsplit_once(':') {
            case.extra.insert("file".into(), file.into());
            case.extra.insert("line".into(), line.into());
        }
        if !test.notes.is_empty() {
            case.set_system_out(test.notes.join("\n"));
        }
        if let Some((_, suite)) = suites.last_mut() {
            suite.add_test_case(case);
        }
    }
    report.add_test_suites(suites.into_iter().map(|(_, suite)| suite));
    let text = report
        .to_string()
        .map_err(|error| Failure::refused(format!("the report cannot be made: {error}")))?;
    disk::write(file, &text)
}

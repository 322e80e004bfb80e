//! `junit.xml`: one test case for each claim, for the tools that read that format.
//!
//! XML has no way to write most control characters and some others, and the writer drops what it takes for colours; so
//! such characters are shown, as on every other surface.

use anyhow::Result;
use quick_junit::{NonSuccessKind, Report as Junit, TestCase, TestCaseStatus, TestSuite};

use crate::record::{ClaimRecord, Record};
use crate::report::render::escape::visible;
use crate::verdict::Verdict;

/// The XML of a record. A claim that is inconclusive is an error, one that was not tested is skipped.
///
/// # Errors
/// When the XML cannot be written.
pub fn render(record: &Record) -> Result<String> {
    let mut report = Junit::new(visible(&record.gate));
    let mut suite = TestSuite::new(visible(&record.suite));
    for claim in &record.claims {
        let mut case = TestCase::new(visible(&claim.id), status(claim));
        case.set_classname(claim.check.clone());
        suite.add_test_case(case);
    }
    for not_tested in &record.not_tested {
        let mut status = TestCaseStatus::skipped();
        status.set_message(visible(&not_tested.why));
        suite.add_test_case(TestCase::new(visible(&not_tested.claim), status));
    }
    report.add_test_suite(suite);
    Ok(report.to_string()?)
}

fn status(claim: &ClaimRecord) -> TestCaseStatus {
    let kind = match claim.verdict {
        Verdict::Pass | Verdict::Warn => return TestCaseStatus::success(),
        Verdict::Fail => NonSuccessKind::Failure,
        Verdict::Inconclusive => NonSuccessKind::Error,
    };
    let mut status = TestCaseStatus::non_success(kind);
    status.set_type(claim.verdict.name());
    if let Some(reason) = &claim.reason {
        status.set_message(visible(reason));
    }
    status
}

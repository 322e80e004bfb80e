//! What is said of a run: from a report, an error, or the reason why there is neither.

use anyhow::Result;

use crate::deliver::check_run::Conclusion;
use crate::deliver::comment::Standing;
use crate::deliver::policy::Lines;
use crate::deliver::runner::Level;
use crate::deliver::{Message, Remark};
use crate::record::{ClaimRecord, Record};
use crate::report::{Report, budget, render};
use crate::spec::problem::Problems;
use crate::verdict::Verdict;

/// What is said of a report.
pub(super) fn of_report(report: &Report, spec: &str, lines: &Lines) -> Result<Message> {
    let record = &report.record;
    let conclusion = if record.verdict.exit_code() == 0 { Conclusion::Success } else { Conclusion::Failure };
    let failed = record.claims.iter().filter(|claim| claim.verdict == Verdict::Fail).map(|claim| &claim.id);
    let failed: Vec<&String> = failed.collect();
    Ok(Message {
        standing: Some(standing(record.verdict)),
        conclusion,
        title: render::title(record)?,
        text: render::markdown(report, budget::COMMENT)?,
        summary: render::markdown(report, budget::JOB_SUMMARY)?,
        remarks: remarks(record, spec, lines)?,
        outputs: vec![
            ("verdict", record.verdict.name().to_owned()),
            ("failed-claims", serde_json::to_string(&failed)?),
        ],
    })
}

fn standing(verdict: Verdict) -> Standing {
    match verdict {
        Verdict::Pass => Standing::Pass,
        Verdict::Warn => Standing::Warn,
        Verdict::Inconclusive => Standing::Inconclusive,
        Verdict::Fail => Standing::Fail,
    }
}

/// What is said beside the lines of the spec, what blocks first.
fn remarks(record: &Record, spec: &str, lines: &Lines) -> Result<Vec<Remark>> {
    let mut remarks = Vec::new();
    for (wanted, level) in [(true, Level::Error), (false, Level::Warning)] {
        let spoken = record.claims.iter().filter(|claim| claim.verdict != Verdict::Pass);
        for claim in spoken.filter(|claim| (record.consequence(claim) > Verdict::Warn) == wanted) {
            remarks.push(remark(claim, level, spec, lines)?);
        }
    }
    Ok(remarks)
}

fn remark(claim: &ClaimRecord, level: Level, spec: &str, lines: &Lines) -> Result<Remark> {
    // A change of the policy already stands on its line of the pull request's spec.
    let line = if claim.check == "policy" { claim.line } else { lines.of(claim.line) };
    let (path, title) = (spec.to_owned(), claim.id.clone());
    Ok(Remark { level, path, line: line.max(1), title, message: render::annotation(claim)? })
}

/// What is said of an error: beside the lines of the spec, where it is at fault.
pub(super) fn of_error(gate: Option<&str>, error: &anyhow::Error, spec: &str) -> Result<Message> {
    let text = render::error_markdown(gate, error)?;
    let at = |line: Option<usize>, message: &str| Remark {
        level: Level::Error,
        path: spec.to_owned(),
        line: line.unwrap_or(1),
        title: "modelgate: the spec cannot be used".to_owned(),
        message: message.to_owned(),
    };
    let remarks = match error.downcast_ref::<Problems>() {
        Some(problems) => problems.messages().map(|(line, message)| at(line, message)).collect(),
        None => vec![Remark { title: "modelgate: nothing was judged".to_owned(), ..at(None, &format!("{error:#}")) }],
    };
    Ok(Message {
        standing: Some(Standing::Error),
        conclusion: Conclusion::Failure,
        title: "nothing was judged".to_owned(),
        summary: text.clone(),
        text,
        remarks,
        outputs: vec![("verdict", Standing::Error.name().to_owned())],
    })
}

/// What is said of a run that has no verdict.
pub(super) fn note(gate: Option<&str>, title: &str, why: &str, conclusion: Conclusion) -> Result<Message> {
    let sign = if conclusion == Conclusion::Cancelled { "🛑" } else { "➖" };
    let text = render::note(gate, sign, title, why)?;
    Ok(Message {
        standing: None,
        conclusion,
        title: title.to_owned(),
        summary: text.clone(),
        text,
        remarks: Vec::new(),
        outputs: Vec::new(),
    })
}

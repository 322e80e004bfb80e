//! What `modelgate plan` shows: the scans of a run, what each computes, what the checks ask of it, and what the data
//! can show.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::evidence::{Evidence, Finding, Limits};
use crate::gate::Prepared;
use crate::plan::{Ask, Input};
use crate::record;
use crate::spec::written::Policy;
use crate::stats::power;
use crate::target::Target;
use crate::verdict::{self, Statement};

/// A plan to be shown.
#[derive(Debug, Clone, Serialize)]
pub struct View {
    checks: Vec<Check>,
    scans: Vec<Scan>,
    relations: Vec<String>,
    /// What the data can show, where it was read.
    claims: Option<Vec<Claim>>,
}

/// The power of a claim, from the noise that was seen; an approximation.
#[derive(Debug, Clone, Serialize)]
struct Claim {
    id: String,
    line: usize,
    limit: Limits,
    rows: u64,
    /// The difference, or the value, nearest to the limit that is found to break it with a chance of 80 %.
    found: Option<f64>,
    /// The chance that a candidate equal to the baseline passes.
    passes: Option<f64>,
    /// Why there are no such numbers.
    unknown: Option<String>,
}

#[derive(Debug, Clone, Serialize)]
struct Check {
    name: String,
    line: usize,
}

#[derive(Debug, Clone, Serialize)]
struct Scan {
    dataset: String,
    files: usize,
    rows: u64,
    rows_scored: u64,
    /// What is read of them.
    columns: Vec<String>,
    summaries: Vec<String>,
    groupings: Vec<String>,
}

impl View {
    /// The view of what a prepared run would do first, which reads these columns of each dataset.
    #[must_use]
    pub fn new(target: &Target, prepared: &Prepared<'_>, columns: &BTreeMap<String, Vec<String>>) -> Self {
        let checks = prepared.checks.iter().map(|check| Check { name: check.name.to_owned(), line: check.line });
        let scans = scans(target, prepared, columns);
        Self { checks: checks.collect(), scans, relations: relations(prepared), claims: None }
    }

    /// The same view with what the data can show of each statement about it.
    #[must_use]
    pub fn measured(self, statements: &[Statement], policy: &Policy) -> Self {
        let levels = verdict::strictest_levels(statements, policy);
        let about_rows = statements
            .iter()
            .zip(levels)
            .filter(|(statement, _)| !matches!(statement.evidence.finding, Finding::Fact { .. }));
        let claims = about_rows.map(|(statement, level)| claim(statement, level, policy)).collect();
        Self { claims: Some(claims), ..self }
    }
}

fn claim(statement: &Statement, level: Option<f64>, policy: &Policy) -> Claim {
    let evidence = &statement.evidence;
    let power = level.and_then(|level| power::of_claim(&evidence.tests, level, policy.false_ship));
    // A margin is about the difference, a fixed limit about the value.
    let origin = |power: power::Power| if evidence.difference.is_some() { power.equal } else { 0.0 };
    Claim {
        id: record::id(statement.check, &evidence.subject),
        line: statement.line,
        limit: evidence.limit.clone(),
        rows: evidence.rows,
        found: power.and_then(|power| Some(power.found? - origin(power))),
        passes: power.map(|power| power.passes),
        unknown: power.is_none().then(|| unknown(evidence)),
    }
}

fn unknown(evidence: &Evidence) -> String {
    match &evidence.finding {
        Finding::Undecided { reason, .. } | Finding::NotTested { reason } => reason.clone(),
        Finding::Tested { .. } | Finding::Fact { .. } | Finding::Waived { .. } => {
            "no noise was seen, so nothing is known of it".to_owned()
        }
    }
}

fn scans(target: &Target, prepared: &Prepared<'_>, columns: &BTreeMap<String, Vec<String>>) -> Vec<Scan> {
    let mut scans: BTreeMap<&str, (Scan, Vec<&Input>)> = BTreeMap::new();
    for ask in prepared.plan.asks() {
        let Ask::Summary(ask) = ask else { continue };
        let Some(dataset) = target.datasets.get(&ask.dataset) else { continue };
        let (scan, inputs) = scans.entry(&ask.dataset).or_insert_with(|| {
            let (files, rows) = (dataset.files.paths.len(), dataset.rows);
            let scan = Scan {
                dataset: ask.dataset.clone(),
                files,
                rows,
                rows_scored: 0,
                columns: columns.get(&ask.dataset).cloned().unwrap_or_default(),
                summaries: vec![],
                groupings: vec![],
            };
            (scan, Vec::new())
        });
        scan.summaries.push(format!("{} {}", ask.summary, ask.params));
        for grouping in ask.groupings.iter().map(ToString::to_string) {
            if !scan.groupings.contains(&grouping) {
                scan.groupings.push(grouping);
            }
        }
        for input in &ask.inputs {
            let live = matches!(input, Input::Score { side, .. } if target.judged(*side).is_some_and(|judged| judged.is_live()));
            if live && !inputs.contains(&input) {
                inputs.push(input);
                scan.rows_scored += scan.rows;
            }
        }
    }
    scans.into_values().map(|(scan, _)| scan).collect()
}

fn relations(prepared: &Prepared<'_>) -> Vec<String> {
    let told = prepared.plan.asks().iter().filter_map(|ask| match ask {
        Ask::Summary(_) => None,
        Ask::Overlap(ask) => Some(format!("rows of {} whose {} stand in {}", ask.fresh, ask.key.join(", "), ask.seen)),
        Ask::Joined { side, datasets } => Some(format!("predictions of the {side} joined to {}", datasets.join(", "))),
    });
    told.collect()
}

//! What `modelgate plan` shows: the scans of a run, what each computes, and what the checks ask of it.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::gate::Prepared;
use crate::plan::{Ask, Input};
use crate::target::Target;

/// A plan to be shown.
#[derive(Debug, Clone, Serialize)]
pub struct View {
    checks: Vec<Check>,
    scans: Vec<Scan>,
    relations: Vec<String>,
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
    summaries: Vec<String>,
    groupings: Vec<String>,
}

impl View {
    /// The view of what a prepared run would do first.
    #[must_use]
    pub fn new(target: &Target, prepared: &Prepared<'_>) -> Self {
        let checks = prepared.checks.iter().map(|check| Check { name: check.name.to_owned(), line: check.line });
        Self { checks: checks.collect(), scans: scans(target, prepared), relations: relations(prepared) }
    }
}

fn scans(target: &Target, prepared: &Prepared<'_>) -> Vec<Scan> {
    let mut scans: BTreeMap<&str, (Scan, Vec<&Input>)> = BTreeMap::new();
    for ask in prepared.plan.asks() {
        let Ask::Summary(ask) = ask else { continue };
        let Some(dataset) = target.datasets.get(&ask.dataset) else { continue };
        let (scan, inputs) = scans.entry(&ask.dataset).or_insert_with(|| {
            let (files, rows) = (dataset.files.len(), dataset.rows);
            let scan = Scan {
                dataset: ask.dataset.clone(),
                files,
                rows,
                rows_scored: 0,
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

//! The one chart of a comment: by how much a metric differs from slice to slice, the worst slices first.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::record::{ClaimRecord, Record};

/// The most bars that can be told apart.
const MOST_BARS: usize = 12;

/// Bars of one metric.
#[derive(Debug, Clone, Serialize)]
pub struct Chart {
    /// The metric.
    pub metric: String,
    /// The bars, the worst first.
    pub bars: Vec<Bar>,
    /// How many slices there are.
    pub slices: usize,
}

/// One bar.
#[derive(Debug, Clone, Serialize)]
pub struct Bar {
    /// The slice.
    pub slice: String,
    /// Candidate minus baseline.
    pub difference: f64,
}

/// The chart of the metric that is compared on the most slices, if there are several.
#[must_use]
pub fn of(record: &Record) -> Option<Chart> {
    let mut metrics: BTreeMap<&str, Vec<&ClaimRecord>> = BTreeMap::new();
    let promised = record.claims.iter().filter(|claim| claim.standing == "promised");
    let compared = promised.filter(|claim| claim.check == "performance.regression");
    for claim in compared.filter(|claim| claim.subject.slice != "all" && claim.difference.is_some()) {
        metrics.entry(claim.subject.metric.as_deref()?).or_default().push(claim);
    }
    let (metric, claims) = metrics.into_iter().max_by_key(|(_, claims)| claims.len())?;
    let lower_is_better = claims.iter().any(|claim| claim.limit.contains_key("max_rise"));
    let mut bars: Vec<Bar> = claims.iter().filter_map(|claim| bar(claim)).collect();
    bars.sort_by(|a, b| {
        let worse = a.difference.total_cmp(&b.difference);
        if lower_is_better { worse.reverse() } else { worse }
    });
    let slices = bars.len();
    bars.truncate(MOST_BARS);
    (slices > 1).then(|| Chart { metric: metric.to_owned(), bars, slices })
}

fn bar(claim: &ClaimRecord) -> Option<Bar> {
    Some(Bar { slice: claim.subject.slice.clone(), difference: claim.difference?.value })
}

//! Evidence: what was measured about a claim, without prose and without a verdict.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::spec::limit::Amount;
use crate::stats::bound::{Outcome, Test, outcome};
use crate::stats::multiplicity::Dependence;

/// What a claim is about.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
pub struct Subject {
    /// The dataset.
    pub dataset: String,
    /// The metric, distance or fact.
    pub metric: Option<String>,
    /// The slice; `all` is every row.
    pub slice: String,
    /// The column, where the claim is about one.
    pub column: Option<String>,
}

impl Subject {
    /// A claim about all rows of a dataset.
    #[must_use]
    pub fn all(dataset: &str, metric: &str) -> Self {
        Self::slice(dataset, metric, "all")
    }

    /// A claim about a slice of a dataset.
    #[must_use]
    pub fn slice(dataset: &str, metric: &str, slice: &str) -> Self {
        Self { dataset: dataset.to_owned(), metric: Some(metric.to_owned()), slice: slice.to_owned(), column: None }
    }

    /// A claim about a column of a dataset.
    #[must_use]
    pub fn column(dataset: &str, metric: &str, column: &str) -> Self {
        Self { column: Some(column.to_owned()), ..Self::all(dataset, metric) }
    }
}

/// A number with its two-sided interval at `1 - 2 * false_ship`; without one where none is defined.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize, Serialize)]
pub struct Estimate {
    /// The estimate.
    pub value: f64,
    /// The lower end.
    pub low: Option<f64>,
    /// The upper end.
    pub high: Option<f64>,
}

/// What a claim allows, by key of the spec: `max_drop`, `min`.
pub type Limits = BTreeMap<String, Amount>;

/// What a claim with one bound allows.
#[must_use]
pub fn allowed(key: &str, amount: Amount) -> Limits {
    Limits::from([(key.to_owned(), amount)])
}

/// What the measurement says about the limit.
#[derive(Debug, Clone, PartialEq)]
pub enum Finding {
    /// An interval was compared with the limit.
    Tested {
        /// The one-sided interval lies inside the limit.
        inside: bool,
        /// One-sided p-value of the claim being true: small when the limit is clearly broken.
        p_value: f64,
        /// About how many more rows would decide it, where that can be said.
        needs_rows: Option<u64>,
    },
    /// A deterministic fact.
    Fact {
        /// The claim holds.
        holds: bool,
        /// What was found, when it does not.
        reason: Option<String>,
    },
    /// The claim could not be tested on this data.
    Undecided {
        /// Why.
        reason: String,
        /// About how many more rows would allow it, where that can be said.
        needs_rows: Option<u64>,
    },
    /// The claim does not hold, and a person who may do so let it through.
    Waived {
        /// Who.
        by: String,
    },
    /// The claim was not made: the slice is too small to say anything, or it counts only later.
    NotTested {
        /// Why.
        reason: String,
    },
}

/// What a claim weighs in the error budget.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Standing {
    /// The spec demands it. It blocks or warns as its check does, and passes only when it is shown.
    #[default]
    Promised,
    /// An alarm beside a promise, whose check may block: it only ever warns, and passes until there is evidence against
    /// it.
    Advisory {
        /// Why it is worth a look when it goes off.
        reason: String,
    },
    /// Found by a search and demanded by nobody: it only ever warns, at a false-discovery rate over the search, and
    /// passes until there is evidence against it.
    Exploratory(Search),
}

/// What was searched to find a claim: the same for all claims of one check, which reports those with the smallest
/// p-values, and at least one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Search {
    /// How many such claims were tested, those included that the check does not report for their larger p-values.
    pub searched: u64,
    /// How their tests hang together.
    pub dependence: Dependence,
}

impl Standing {
    /// The name in records.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Promised => "promised",
            Self::Advisory { .. } => "advisory",
            Self::Exploratory(_) => "exploratory",
        }
    }
}

/// What was measured about one claim.
#[derive(Debug, Clone, PartialEq)]
pub struct Evidence {
    /// What the claim is about.
    pub subject: Subject,
    /// What the claim weighs.
    pub standing: Standing,
    /// The candidate's value.
    pub candidate: Option<Estimate>,
    /// The baseline's value.
    pub baseline: Option<Estimate>,
    /// Candidate minus baseline.
    pub difference: Option<Estimate>,
    /// What is allowed.
    pub limit: Limits,
    /// The rows that the numbers rest on.
    pub rows: u64,
    /// How the interval was made.
    pub method: Option<String>,
    /// What the measurement says about the limit.
    pub finding: Finding,
    /// The tests that it rests on, for those who ask what they could have shown.
    pub tests: Vec<Test>,
    /// Counts beside the claim, by name: rows left out, decisions corrected and broken, examples.
    pub details: BTreeMap<String, serde_json::Value>,
}

impl Evidence {
    /// Evidence with nothing measured yet.
    #[must_use]
    pub fn new(subject: Subject, limit: Limits, finding: Finding) -> Self {
        Self {
            subject,
            standing: Standing::default(),
            candidate: None,
            baseline: None,
            difference: None,
            limit,
            rows: 0,
            method: None,
            finding,
            tests: Vec::new(),
            details: BTreeMap::new(),
        }
    }

    /// Evidence of the claim that all bounds are kept.
    #[must_use]
    pub fn tested(subject: Subject, limit: Limits, tests: Vec<Test>, level: f64) -> Self {
        let Outcome { inside, p_value, needs_rows } = outcome(&tests, level);
        Self { tests, ..Self::new(subject, limit, Finding::Tested { inside, p_value, needs_rows }) }
    }

    /// The same evidence as an alarm, and why it is worth a look when it goes off.
    #[must_use]
    pub fn advisory(self, reason: &str) -> Self {
        Self { standing: Standing::Advisory { reason: reason.to_owned() }, ..self }
    }

    /// The same evidence as a finding of a search.
    #[must_use]
    pub fn exploratory(self, search: Search) -> Self {
        Self { standing: Standing::Exploratory(search), ..self }.detail("searched", search.searched)
    }

    /// Adds a count or another fact beside the claim.
    #[must_use]
    pub fn detail(mut self, name: &str, value: impl Into<serde_json::Value>) -> Self {
        self.details.insert(name.to_owned(), value.into());
        self
    }
}

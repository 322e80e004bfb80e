//! From evidence to verdicts: one error budget for the whole gate.
//!
//! The gate passes only if every blocking claim passes, so each may be tested at `false_ship` without correction (an
//! intersection-union test: Berger, 1982). A fail of any blocking claim blocks, so fails are corrected together: Holm
//! (1979) over all blocking claims at `false_block`. Claims that only warn are a family of their own.
//!
//! What a search found is judged at a false-discovery rate of `false_block`, and only warns. Each of `s` searches has
//! `false_block / s` for itself. That is enough: with `V` wrong among `R` findings, `V / R` of all searches is at most
//! the sum of each one's own `V / R`, however the searches depend on each other.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::evidence::{Evidence, Finding, Search, Standing};
use crate::spec::written::{Consequence, Policy, Severity};
use crate::stats::bound::rows_to_break;
use crate::stats::multiplicity::{Judged, holm, step_up};

/// The verdict of a claim, a check or the gate, from good to bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Every claim was tested and holds.
    Pass,
    /// Something is wrong or undecided that the policy lets through.
    Warn,
    /// It cannot be said.
    Inconclusive,
    /// A claim does not hold.
    Fail,
}

impl Verdict {
    /// The exit code of a gate with this verdict.
    #[must_use]
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Pass | Self::Warn => 0,
            Self::Fail => 1,
            Self::Inconclusive => 3,
        }
    }

    /// The name in every report.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Warn => "warn",
            Self::Inconclusive => "inconclusive",
            Self::Fail => "fail",
        }
    }
}

/// What a check stated, before it is judged.
#[derive(Debug, Clone)]
pub struct Statement {
    /// The check.
    pub check: &'static str,
    /// The line of the spec that demands it.
    pub line: usize,
    /// Whether it blocks.
    pub severity: Severity,
    /// What was measured.
    pub evidence: Evidence,
}

impl Statement {
    /// Whether its fail blocks.
    #[must_use]
    pub fn blocks(&self) -> bool {
        self.severity == Severity::Block && self.evidence.standing == Standing::Promised
    }
}

/// Claims whose tests are corrected together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Family {
    Blocking,
    Warning,
    /// The search of the check on this line.
    Search(&'static str, usize),
}

/// A statement with its verdict.
#[derive(Debug, Clone)]
pub struct Claim {
    /// The statement.
    pub statement: Statement,
    /// The verdict.
    pub verdict: Verdict,
    /// Why, where a number alone does not say it.
    pub reason: Option<String>,
    /// The level that its p-value was held against, after the correction for its family.
    pub level: Option<f64>,
    /// The one-sided p-value of the claim, and the same adjusted for all claims of its family.
    pub p_value: Option<f64>,
    /// See [`Claim::p_value`].
    pub adjusted_p_value: Option<f64>,
    /// About how many more rows of what it is about would decide it, were the estimates to stay where they are.
    pub needs_rows: Option<u64>,
}

/// Judges all statements of a gate together. Statements that were not tested have no verdict and are left out.
#[must_use]
pub fn judge(statements: Vec<Statement>, policy: &Policy) -> Vec<Claim> {
    let corrected = corrected(&statements, policy.false_block, |p_value| p_value);
    statements
        .into_iter()
        .zip(corrected)
        .filter(|(statement, _)| {
            !matches!(statement.evidence.finding, Finding::NotTested { .. } | Finding::Waived { .. })
        })
        .map(|(statement, corrected)| claim(statement, corrected))
        .collect()
}

/// The smallest level that each tested statement may be judged at: as if none of its family were rejected before it.
#[must_use]
pub fn strictest_levels(statements: &[Statement], policy: &Policy) -> Vec<Option<f64>> {
    let corrected = corrected(statements, policy.false_block, |_| 1.0);
    corrected.into_iter().map(|judged| judged.map(|judged| judged.level)).collect()
}

/// The verdict of the gate.
#[must_use]
pub fn of_gate(claims: &[Claim], policy: &Policy) -> Verdict {
    // A gate that claimed nothing has tested nothing.
    let nothing = if claims.is_empty() { Verdict::Inconclusive } else { Verdict::Pass };
    let of_claim = |claim: &Claim| {
        let statement = &claim.statement;
        consequence(claim.verdict, statement.blocks(), &statement.evidence.subject.slice, policy)
    };
    claims.iter().map(of_claim).max().unwrap_or(nothing)
}

/// What a claim about a slice does to the gate.
#[must_use]
pub fn consequence(verdict: Verdict, blocking: bool, slice: &str, policy: &Policy) -> Verdict {
    match (verdict, blocking) {
        (Verdict::Pass, _) => Verdict::Pass,
        (_, false) => Verdict::Warn,
        (Verdict::Inconclusive, true) => {
            let on = if slice == "all" { policy.on_inconclusive.overall } else { policy.on_inconclusive.slice };
            if on == Consequence::Fail { Verdict::Inconclusive } else { Verdict::Warn }
        }
        (verdict, true) => verdict,
    }
}

/// The tested statements as judged in their families, by what is made of their p-values.
fn corrected(statements: &[Statement], alpha: f64, of: impl Fn(f64) -> f64) -> Vec<Option<Judged>> {
    let mut families: BTreeMap<Family, (Vec<usize>, Vec<f64>)> = BTreeMap::new();
    for (number, statement) in statements.iter().enumerate() {
        if let Finding::Tested { p_value, .. } = statement.evidence.finding {
            let (members, p_values) = families.entry(family(statement)).or_default();
            members.push(number);
            p_values.push(of(p_value));
        }
    }
    let searches = families.keys().filter(|family| matches!(family, Family::Search(..))).count();
    let mut corrected = vec![None; statements.len()];
    for (members, p_values) in families.into_values() {
        let judged = match statements[members[0]].evidence.standing {
            Standing::Exploratory(Search { searched, dependence }) => {
                step_up(&p_values, searched, dependence, alpha / searches as f64)
            }
            Standing::Promised | Standing::Advisory { .. } => holm(&p_values, alpha),
        };
        members.into_iter().zip(judged).for_each(|(member, judged)| corrected[member] = Some(judged));
    }
    corrected
}

fn family(statement: &Statement) -> Family {
    match statement.evidence.standing {
        Standing::Exploratory(_) => Family::Search(statement.check, statement.line),
        Standing::Promised if statement.severity == Severity::Block => Family::Blocking,
        Standing::Promised | Standing::Advisory { .. } => Family::Warning,
    }
}

fn claim(statement: Statement, corrected: Option<Judged>) -> Claim {
    let standing = &statement.evidence.standing;
    let (verdict, reason, needs_rows) = match &statement.evidence.finding {
        Finding::Tested { .. } if corrected.is_some_and(|judged| judged.rejected) => {
            (broken(standing), why(standing), None)
        }
        Finding::Tested { inside, needs_rows, .. } => match (inside, standing) {
            (false, Standing::Promised) => {
                let needs_rows = needs_rows_to_decide(&statement.evidence, *needs_rows, corrected);
                let reason = if needs_rows.is_some() { OPEN } else { ON_THE_LIMIT };
                (Verdict::Inconclusive, Some(reason.to_owned()), needs_rows)
            }
            _ => (Verdict::Pass, None, None),
        },
        Finding::Fact { holds: true, .. } => (Verdict::Pass, None, None),
        Finding::Fact { holds: false, reason } => (broken(standing), reason.clone().or_else(|| why(standing)), None),
        Finding::Undecided { reason, needs_rows } => (Verdict::Inconclusive, Some(reason.clone()), *needs_rows),
        Finding::NotTested { reason } => (Verdict::Inconclusive, Some(reason.clone()), None),
        Finding::Waived { .. } => (Verdict::Warn, None, None),
    };
    let p_value = match statement.evidence.finding {
        Finding::Tested { p_value, .. } => Some(p_value),
        _ => None,
    };
    let (level, adjusted_p_value) = corrected.map(|judged| (judged.level, judged.adjusted)).unzip();
    Claim { statement, verdict, reason, level, p_value, adjusted_p_value, needs_rows }
}

/// Why a tested claim is not decided.
const OPEN: &str = "the interval reaches beyond the limit, and not far enough to say that it is broken";
/// Why no number of rows is named for it.
const ON_THE_LIMIT: &str = "the estimate is on the limit, so that no number of rows can be expected to decide";

/// About how many more rows would decide: to a pass at the level of the interval where the estimate keeps the limit, to
/// a fail at the corrected level where it does not.
fn needs_rows_to_decide(evidence: &Evidence, to_pass: Option<u64>, corrected: Option<Judged>) -> Option<u64> {
    let to_fail = corrected.and_then(|judged| rows_to_break(&evidence.tests, judged.level));
    to_fail.or(to_pass).filter(|rows| *rows > 0)
}

/// The verdict of a claim that does not hold.
fn broken(standing: &Standing) -> Verdict {
    if *standing == Standing::Promised { Verdict::Fail } else { Verdict::Warn }
}

/// Why a claim that nobody demands is worth a look.
fn why(standing: &Standing) -> Option<String> {
    match standing {
        Standing::Promised => None,
        Standing::Advisory { reason } => Some(reason.clone()),
        Standing::Exploratory(Search { searched, .. }) => Some(format!("found among {searched} that were searched")),
    }
}

//! From evidence to verdicts: one error budget for the whole gate.
//!
//! The gate passes only if every blocking claim passes, so each may be tested at `false_ship` without correction (an
//! intersection-union test: Berger, 1982). A fail of any blocking claim blocks, so fails are corrected together: Holm
//! (1979) over all blocking claims at `false_block`. Claims that only warn are a family of their own.

use serde::{Deserialize, Serialize};

use crate::evidence::{Evidence, Finding};
use crate::spec::written::{Consequence, Policy, Severity};
use crate::stats::multiplicity::{self, holm};

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

/// A statement with its verdict.
#[derive(Debug, Clone)]
pub struct Claim {
    /// The statement.
    pub statement: Statement,
    /// The verdict.
    pub verdict: Verdict,
    /// Why, where a number alone does not say it.
    pub reason: Option<String>,
    /// The level that a fail was judged at, after Holm.
    pub level: Option<f64>,
    /// The one-sided p-value of the claim, and the same adjusted for all claims of its family.
    pub p_value: Option<f64>,
    /// See [`Claim::p_value`].
    pub adjusted_p_value: Option<f64>,
    /// About how many more rows would decide it, before the correction for the other claims.
    pub needs_rows: Option<u64>,
}

/// Judges all statements of a gate together. Statements that were not tested have no verdict and are left out.
#[must_use]
pub fn judge(statements: Vec<Statement>, policy: &Policy) -> Vec<Claim> {
    let families = [Severity::Block, Severity::Warn].map(|severity| family(&statements, severity, policy));
    let corrected: Vec<Option<multiplicity::Judged>> = (0..statements.len())
        .map(|number| families.iter().flatten().find(|(member, _)| *member == number).map(|(_, judged)| *judged))
        .collect();
    statements
        .into_iter()
        .zip(corrected)
        .filter(|(statement, _)| {
            !matches!(statement.evidence.finding, Finding::NotTested { .. } | Finding::Waived { .. })
        })
        .map(|(statement, corrected)| claim(statement, corrected))
        .collect()
}

/// The verdict of the gate.
#[must_use]
pub fn of_gate(claims: &[Claim], policy: &Policy) -> Verdict {
    // A gate that claimed nothing has tested nothing.
    let nothing = if claims.is_empty() { Verdict::Inconclusive } else { Verdict::Pass };
    let of_claim = |claim: &Claim| {
        let Statement { severity, evidence, .. } = &claim.statement;
        consequence(claim.verdict, *severity == Severity::Block, &evidence.subject.slice, policy)
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

fn family(statements: &[Statement], severity: Severity, policy: &Policy) -> Vec<(usize, multiplicity::Judged)> {
    let (members, p_values): (Vec<usize>, Vec<f64>) = statements
        .iter()
        .enumerate()
        .filter(|(_, statement)| statement.severity == severity)
        .filter_map(|(number, statement)| match statement.evidence.finding {
            Finding::Tested { p_value, .. } => Some((number, p_value)),
            _ => None,
        })
        .unzip();
    members.into_iter().zip(holm(&p_values, policy.false_block)).collect()
}

fn claim(statement: Statement, corrected: Option<multiplicity::Judged>) -> Claim {
    let rejected = corrected.as_ref().is_some_and(|judged| judged.rejected);
    let (verdict, reason, p_value, needs_rows) = match &statement.evidence.finding {
        Finding::Tested { p_value, .. } if rejected => (Verdict::Fail, None, Some(*p_value), None),
        Finding::Tested { inside: true, p_value, .. } => (Verdict::Pass, None, Some(*p_value), None),
        Finding::Tested { inside: false, p_value, needs_rows } => {
            let reason = "the interval reaches beyond the limit, and not far enough to say that it is broken";
            (Verdict::Inconclusive, Some(reason.to_owned()), Some(*p_value), needs_rows.filter(|rows| *rows > 0))
        }
        Finding::Fact { holds: true, .. } => (Verdict::Pass, None, None, None),
        Finding::Fact { holds: false, reason } => (Verdict::Fail, reason.clone(), None, None),
        Finding::Undecided { reason, needs_rows } => (Verdict::Inconclusive, Some(reason.clone()), None, *needs_rows),
        Finding::NotTested { reason } => (Verdict::Inconclusive, Some(reason.clone()), None, None),
        Finding::Waived { .. } => (Verdict::Warn, None, None, None),
    };
    let (level, adjusted_p_value) = corrected.map(|judged| (judged.level, judged.adjusted)).unzip();
    Claim { statement, verdict, reason, level, p_value, adjusted_p_value, needs_rows }
}

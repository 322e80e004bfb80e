//! The record of a run: `record.json`, version 1. A contract with other programs, and so a type of its own.
//!
//! Equal inputs give equal bytes: nothing here depends on time, machine, threads or the order of work.

use std::collections::BTreeMap;

use anyhow::Result;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::artifact::world::Found;
use crate::evidence::{Estimate, Finding, Limits, Standing, Subject};
use crate::score::Judged;
use crate::score::served::Description;
use crate::score::stability::Unstable;
use crate::spec::change::Change;
use crate::spec::written::{Model, Policy};
use crate::target::{FirstRelease, Side, Target};
use crate::verdict::{self, Claim, Statement, Verdict};

/// The record of a run.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub struct Record {
    /// The version of this format.
    pub version: u32,
    /// The gate: the name of the model.
    pub gate: String,
    /// The suite that ran.
    pub suite: String,
    /// The verdict of the gate.
    pub verdict: Verdict,
    /// The model section of the spec.
    pub model: Model,
    /// The policy that judged.
    pub policy: Policy,
    /// Where the policy of a pull request comes from.
    #[serde(default)]
    pub base: Option<Base>,
    /// What was read, with digests.
    pub inputs: Inputs,
    /// Every claim, in the order of the spec.
    pub claims: Vec<ClaimRecord>,
    /// What was named and not tested, and why.
    pub not_tested: Vec<NotTested>,
    /// Claims whose failure was waived.
    pub waived: Vec<Waived>,
}

/// Where the policy of a pull request comes from, and what the pull request changes in it.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub struct Base {
    /// The base commit.
    pub commit: String,
    /// Whether the spec of the base commit judged.
    pub spec: BaseSpec,
    /// Every difference that has a meaning, weakenings first. They count once they are merged.
    pub changes: Vec<Change>,
}

/// Whether the spec of a base commit judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BaseSpec {
    /// It judged.
    Judges,
    /// The base has no spec, and the pull request introduces the first one, which judged.
    Absent,
    /// The base has a spec with problems, so that of the pull request judged.
    Invalid,
}

/// A claim whose failure was waived.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub struct Waived {
    /// The claim.
    pub claim: String,
    /// Who let it through.
    pub by: String,
}

/// What was read.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub struct Inputs {
    /// The spec.
    pub spec: File,
    /// The model under judgement.
    pub candidate: Source,
    /// The model that it is compared with.
    pub baseline: Option<Source>,
    /// That there is no such model yet, where the spec names one and lets claims against it go untested.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_release: Option<FirstRelease>,
    /// The datasets, by name.
    pub data: Vec<Rows>,
}

/// A file with its digest.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub struct File {
    /// The path as given.
    pub path: String,
    /// The digest.
    pub sha256: String,
}

/// A model with its digest.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub struct Source {
    /// Where it comes from, as written.
    pub source: String,
    /// The digest; `null` for scores that are a column of the data, whose digest covers them.
    pub sha256: Option<String>,
    /// Why it is this model, of a baseline: `latest release below v1.4.0`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// The files that were found elsewhere, and as which version.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub found: Vec<Found>,
    /// What a server says of the model behind it, which nothing proves; absent where it says nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub served: Option<Description>,
    /// What differed when the model scored its first rows again in other batches; absent where no bit did. Such scores, and
    /// what follows from them, may differ in their last digits from run to run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unstable: Option<Unstable>,
}

/// A dataset with its digest.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub struct Rows {
    /// Its name.
    pub name: String,
    /// The number of its rows.
    pub rows: u64,
    /// The digest of its files.
    pub sha256: String,
    /// The files that were found elsewhere, and as which version.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub found: Vec<Found>,
}

/// One claim.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub struct ClaimRecord {
    /// Check, metric, slice or column: unique within a record.
    pub id: String,
    /// The check.
    pub check: String,
    /// The line of the spec that demands it.
    pub line: usize,
    /// What it is about.
    pub subject: Subject,
    /// The verdict.
    pub verdict: Verdict,
    /// Whether a fail blocks.
    pub blocking: bool,
    /// What it weighs: `promised`, `advisory` or `exploratory`. The last two only ever warn.
    #[serde(default = "promised")]
    pub standing: String,
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
    /// The level that its p-value was held against: by Holm among the claims that block or among those that warn, by
    /// Benjamini and Hochberg among what a search found.
    pub level: Option<f64>,
    /// The one-sided p-value of the claim.
    pub p_value: Option<f64>,
    /// The same, adjusted for all claims of its family.
    pub adjusted_p_value: Option<f64>,
    /// Why, where numbers alone do not say it.
    pub reason: Option<String>,
    /// About how many more rows of the slice would decide it.
    pub needs_rows: Option<u64>,
    /// The same in rows of the whole dataset, where the claim rests on a part of them: at the slice's share of it.
    #[serde(default)]
    pub needs_dataset_rows: Option<u64>,
    /// Counts beside the claim.
    pub details: BTreeMap<String, Value>,
}

fn promised() -> String {
    Standing::Promised.name().to_owned()
}

/// Something named and not tested.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub struct NotTested {
    /// The claim that was not made.
    pub claim: String,
    /// Why.
    pub why: String,
}

impl Record {
    /// The record of a run whose checks have stated their evidence.
    ///
    /// # Errors
    /// When nobody has found the digests of the data.
    pub fn new(target: &Target, suite: &str, base: Option<Base>, statements: Vec<Statement>) -> Result<Self> {
        let written = &target.spec.written;
        let not_tested = statements.iter().filter_map(not_tested).collect();
        let waived = statements.iter().filter_map(waived).collect();
        let claims = verdict::judge(statements, &written.policy);
        Ok(Self {
            version: 1,
            gate: written.model.name.clone(),
            suite: suite.to_owned(),
            verdict: verdict::of_gate(&claims, &written.policy),
            model: written.model.clone(),
            policy: written.policy.clone(),
            base,
            inputs: Inputs::of(target)?,
            claims: distinct(claims.into_iter().map(|claim| claim_record(claim, target)).collect()),
            not_tested,
            waived,
        })
    }

    /// What a claim does to the gate.
    #[must_use]
    pub fn consequence(&self, claim: &ClaimRecord) -> Verdict {
        verdict::consequence(claim.verdict, claim.blocking, &claim.subject.slice, &self.policy)
    }

    /// The bytes of `record.json`.
    ///
    /// # Errors
    /// When a number is not finite, which is a defect of ours.
    pub fn to_json(&self) -> Result<String> {
        let mut text = serde_json::to_string_pretty(self)?;
        text.push('\n');
        Ok(text)
    }
}

impl Inputs {
    /// Says which models do not give a row the same score in any batch.
    pub fn mark(&mut self, mut unstable: BTreeMap<Side, Unstable>) {
        self.candidate.unstable = unstable.remove(&Side::Candidate);
        if let Some(baseline) = &mut self.baseline {
            baseline.unstable = unstable.remove(&Side::Baseline);
        }
    }

    fn of(target: &Target) -> Result<Self> {
        let spec = File { path: target.spec.path.display().to_string(), sha256: target.spec.sha256.clone() };
        let source = |judged: &Judged, rule: Option<&String>| Source {
            source: judged.source.clone(),
            sha256: judged.sha256.clone(),
            rule: rule.cloned(),
            found: judged.found.clone(),
            served: judged.served.clone(),
            unstable: None,
        };
        let data = target.datasets.values().map(|data| {
            let (name, sha256) = (data.name.clone(), data.sha256.found()?.to_owned());
            Ok(Rows { name, rows: data.rows, sha256, found: data.found.clone() })
        });
        Ok(Self {
            spec,
            candidate: source(&target.candidate, None),
            baseline: target.baseline.as_ref().map(|baseline| source(baseline, target.choice.rule.as_ref())),
            first_release: target.choice.first_release.clone(),
            data: data.collect::<Result<_>>()?,
        })
    }
}

fn claim_record(claim: Claim, target: &Target) -> ClaimRecord {
    let needs_dataset_rows = needs_dataset_rows(&claim, target);
    let blocking = claim.statement.blocks();
    let Statement { check, line, evidence, .. } = claim.statement;
    ClaimRecord {
        id: id(check, &evidence.subject),
        check: check.to_owned(),
        line,
        subject: evidence.subject,
        verdict: claim.verdict,
        blocking,
        standing: evidence.standing.name().to_owned(),
        candidate: evidence.candidate,
        baseline: evidence.baseline,
        difference: evidence.difference,
        limit: evidence.limit,
        rows: evidence.rows,
        method: evidence.method,
        level: claim.level,
        p_value: claim.p_value,
        adjusted_p_value: claim.adjusted_p_value,
        reason: claim.reason,
        needs_rows: claim.needs_rows,
        needs_dataset_rows,
        details: evidence.details,
    }
}

/// What the rows that a claim needs are in rows of its dataset.
fn needs_dataset_rows(claim: &Claim, target: &Target) -> Option<u64> {
    let evidence = &claim.statement.evidence;
    let (needed, dataset) = (claim.needs_rows?, target.datasets.get(&evidence.subject.dataset)?);
    let is_part = (1..dataset.rows).contains(&evidence.rows);
    let rows = u128::from(needed) * u128::from(dataset.rows);
    is_part.then(|| u64::try_from(rows.div_ceil(u128::from(evidence.rows))).unwrap_or(u64::MAX))
}

fn not_tested(statement: &Statement) -> Option<NotTested> {
    let Finding::NotTested { reason } = &statement.evidence.finding else { return None };
    Some(NotTested { claim: id(statement.check, &statement.evidence.subject), why: reason.clone() })
}

fn waived(statement: &Statement) -> Option<Waived> {
    let Finding::Waived { by } = &statement.evidence.finding else { return None };
    Some(Waived { claim: id(statement.check, &statement.evidence.subject), by: by.clone() })
}

/// `performance.regression/roc_auc/carrier=UA`
pub(crate) fn id(check: &str, subject: &Subject) -> String {
    let metric = subject.metric.as_deref();
    let last = subject.column.as_deref().unwrap_or(&subject.slice);
    [Some(check), metric, Some(last)].into_iter().flatten().collect::<Vec<_>>().join("/")
}

/// Claims that would share an id are numbered in the order of the spec.
fn distinct(mut claims: Vec<ClaimRecord>) -> Vec<ClaimRecord> {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for claim in &mut claims {
        let times = seen.entry(claim.id.clone()).or_default();
        *times += 1;
        if *times > 1 {
            claim.id = format!("{}#{times}", claim.id);
        }
    }
    claims
}

//! The gate on trial: the claims of a suite, judged over and over on candidates of which is known whether they are harmless.
//!
//! Each model scores each dataset once. Then every trial takes candidates made of these scores, one for each split, and
//! judges them with the engine, the checks and the verdict of a run.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use tempfile::TempDir;
use tokio::task::JoinSet;

use crate::check::Refusal;
use crate::engine::Progress;
use crate::engine::scored::{self, Scored};
use crate::engine::session::{self, Settings};
use crate::evidence::{Estimate, Finding};
use crate::gate::{self, Reaches};
use crate::plan::{Ask, Input, Plan};
use crate::record::{Inputs, Record, id};
use crate::score::{Judged, Resampled, Scorer};
use crate::spec::written::Task;
use crate::spec::{Entry, Spec};
use crate::stats::distribution::Reference;
use crate::stats::proportion::Proportion;
use crate::stats::random;
use crate::target::{Choice, Dataset, Target};
use crate::verdict::{Statement, Verdict};

/// The shares of the baseline's scores that are replaced, from a small regression to a gross one.
const SHARES: [f64; 5] = [0.01, 0.02, 0.05, 0.1, 0.2];

/// Each side of the interval of a rate.
const ALPHA: f64 = 0.025;

/// How the gate is put on trial.
#[derive(Debug, Clone)]
pub struct Options {
    /// The models and the suite, as in a run.
    pub run: gate::Options,
    /// How often each trial is repeated.
    pub splits: u64,
    /// What the draws depend on, beside the name of the gate.
    pub seed: u64,
}

/// How far a calibration is.
#[derive(Debug, Default)]
pub struct Advance {
    /// The scoring of the rows.
    pub scoring: Arc<Progress>,
    judged: AtomicU64,
    expected: AtomicU64,
}

impl Advance {
    /// Splits judged so far, and those of all trials; nothing to be judged while rows are scored.
    #[must_use]
    pub fn splits(&self) -> (u64, u64) {
        (self.judged.load(Ordering::Relaxed), self.expected.load(Ordering::Relaxed))
    }
}

/// What came of it: `calibration.json`.
#[derive(Debug, Clone, Serialize)]
pub struct Calibration {
    /// The version of this format.
    pub version: u32,
    /// The gate: the name of the model.
    pub gate: String,
    /// The suite.
    pub suite: String,
    /// How often each trial was repeated.
    pub splits: u64,
    /// What the draws depend on.
    pub seed: u64,
    /// What the policy promises: the chance that a harmless candidate is blocked.
    pub false_block: f64,
    /// Whether that promise is kept: the rates of fails lie below it, or above it, or it takes more candidates to tell.
    pub verdict: Verdict,
    /// What was read, with digests.
    pub inputs: Inputs,
    /// Candidates that are harmless.
    pub harmless: Vec<Trial>,
    /// The baseline with a share of its scores replaced, the smallest share first.
    pub regressions: Vec<Trial>,
    /// The checks that took no part.
    pub left_out: Vec<LeftOut>,
}

/// A kind of candidate.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Candidate {
    /// The baseline itself, on a random half of the rows, or of the entities.
    Baseline,
    /// Of the two models' scores, one or the other by a coin for each row, or entity; the baseline gets what is left.
    Exchanged,
    /// The baseline, with so large a share of its scores drawn anew from all of them.
    Replaced(f64),
}

/// What came of one kind of candidate.
#[derive(Debug, Clone, Serialize)]
pub struct Trial {
    /// The candidates.
    pub candidate: Candidate,
    /// How often the gate passed, warned, could not say, and failed.
    pub verdicts: Verdicts,
    /// How often it failed.
    pub fails: Rate,
    /// How often it could not say, and let nothing through.
    pub inconclusive: Rate,
    /// How often it let nothing through, for one reason or the other.
    pub held: Rate,
    /// The claims, by id.
    pub claims: BTreeMap<String, Tally>,
    /// Claims that are left out, since they are beyond their limit on all rows although nothing got worse.
    pub beyond: Vec<String>,
}

/// Verdicts, counted.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct Verdicts {
    /// Passed.
    pub pass: u64,
    /// Let through with a warning.
    pub warn: u64,
    /// Could not be said.
    pub inconclusive: u64,
    /// Failed.
    pub fail: u64,
}

/// A share of the splits with its Wilson interval at 95 %.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Rate {
    /// The share.
    pub value: f64,
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

/// What became of a claim.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Tally {
    /// Its verdicts.
    pub verdicts: Verdicts,
    /// The mean of candidate minus baseline, where the claim has both.
    pub mean_difference: Option<f64>,
}

/// A check that takes no part.
#[derive(Debug, Clone, Serialize)]
pub struct LeftOut {
    /// The check.
    pub check: &'static str,
    /// Its line in the spec.
    pub line: usize,
    /// Why.
    pub why: String,
}

impl Verdicts {
    /// How many were counted.
    #[must_use]
    pub fn replicates(&self) -> u64 {
        self.ships() + self.inconclusive + self.fail
    }

    /// How many let the candidate through.
    #[must_use]
    pub fn ships(&self) -> u64 {
        self.pass + self.warn
    }

    /// Counts one more.
    pub fn take(&mut self, verdict: Verdict) {
        *match verdict {
            Verdict::Pass => &mut self.pass,
            Verdict::Warn => &mut self.warn,
            Verdict::Inconclusive => &mut self.inconclusive,
            Verdict::Fail => &mut self.fail,
        } += 1;
    }
}

impl Rate {
    fn of(count: u64, splits: u64) -> Self {
        let share = Proportion { successes: count as f64, trials: splits as f64 };
        let (low, high) = share.interval(Reference::Normal.critical(ALPHA));
        Self { value: share.successes / share.trials, low, high }
    }

    /// Whether the rate keeps a promise of at most so much.
    fn against(self, most: f64) -> Verdict {
        if self.high <= most {
            Verdict::Pass
        } else if self.low > most {
            Verdict::Fail
        } else {
            Verdict::Inconclusive
        }
    }
}

/// Puts the gate on trial.
///
/// # Errors
/// As [`gate::run`]; when there is no baseline; when no check of the suite reads the scores of both models.
pub async fn run(spec: Spec, options: &Options, advance: &Arc<Advance>) -> Result<Calibration> {
    let (target, selection) = gate::open(spec, &Reaches::default(), &options.run, &advance.scoring).await?;
    // What was fetched is read until the end.
    let _shelf = Arc::clone(&target.shelf);
    if let Some(first) = &target.choice.first_release {
        bail!("a calibration compares with a baseline, and there is none yet: {}", first.why);
    }
    ensure!(
        target.baseline.is_some(),
        "a calibration compares with a baseline, and the spec has none: add `baseline:` beside `candidate:`"
    );
    ensure!(
        target.spec.written.model.task != Task::Multiclass,
        "a multiclass model has a score for each class, which cannot be exchanged or replaced one by one: a calibration is \
         for binary models, regressions and rankings"
    );
    // Problems of the spec are problems of the spec here too, and not checks that are left out.
    gate::prepare(&target, selection.entries, session::open(&options.run.session))?;
    target.find_digests().await?;
    let inputs = Record::new(&target, &selection.suite, None, Vec::new())?.inputs;
    let folder = TempDir::new().context("no temporary folder for the scores")?;
    let (bench, left_out) = Bench::new(target, selection.suite, options, &folder, &advance.scoring).await?;
    let bench = Arc::new(bench);

    advance.expected.store(options.splits * (2 + SHARES.len() as u64), Ordering::Relaxed);
    let mut harmless = Vec::new();
    for candidate in [Candidate::Baseline, Candidate::Exchanged] {
        harmless.push(bench.trial(candidate, advance).await?);
    }
    let mut regressions = Vec::new();
    for share in SHARES {
        regressions.push(bench.trial(Candidate::Replaced(share), advance).await?);
    }
    let policy = &bench.spec.written.policy;
    Ok(Calibration {
        version: 1,
        gate: bench.spec.written.model.name.clone(),
        suite: bench.suite.clone(),
        splits: options.splits,
        seed: options.seed,
        false_block: policy.false_block,
        verdict: harmless
            .iter()
            .map(|trial| trial.fails.against(policy.false_block))
            .max()
            .unwrap_or(Verdict::Inconclusive),
        inputs,
        harmless,
        regressions,
        left_out,
    })
}

impl Calibration {
    /// The bytes of `calibration.json`.
    ///
    /// # Errors
    /// When a number is not finite, which is a defect of ours.
    pub fn to_json(&self) -> Result<String> {
        let mut text = serde_json::to_string_pretty(self)?;
        text.push('\n');
        Ok(text)
    }
}

/// The places of the checks of a suite that judge fixed scores, and the checks that do not.
fn judgeable(target: &Target, suite: &str) -> Result<(BTreeSet<usize>, Vec<LeftOut>)> {
    let (mut judging, mut left_out) = (BTreeSet::new(), Vec::new());
    for (place, Entry { name, at, line, check, .. }) in target.spec.select(Some(suite))?.entries.into_iter().enumerate()
    {
        let mut plan = Plan::new(target);
        plan.enter(&at);
        let why = match check.ask(&mut plan) {
            Err(Refusal::World(error)) => return Err(error.context(format!("`{name}` cannot ask"))),
            Err(Refusal::Spec(problem)) => problem.message,
            Err(Refusal::FirstRelease) => "there is no baseline yet".to_owned(),
            Ok(_) if plan.asks().iter().any(reads_scores) => {
                judging.insert(place);
                continue;
            }
            Ok(_) => "it reads no scores, so every candidate here is the same to it".to_owned(),
        };
        left_out.push(LeftOut { check: name, line, why });
    }
    Ok((judging, left_out))
}

/// The datasets that the judging checks read.
fn datasets(spec: &Spec, suite: &str, judging: &BTreeSet<usize>) -> Result<BTreeSet<String>> {
    let entries = spec.select(Some(suite))?.entries.into_iter().enumerate();
    let judging = entries.filter(|(place, _)| judging.contains(place));
    Ok(judging.flat_map(|(_, entry)| entry.check.datasets()).map(|(_, name)| name).collect())
}

fn reads_scores(ask: &Ask) -> bool {
    matches!(ask, Ask::Summary(ask) if ask.inputs.iter().any(|input| matches!(input, Input::Score { .. })))
}

/// Everything that a split is judged with.
struct Bench {
    spec: Spec,
    suite: String,
    judging: BTreeSet<usize>,
    scored: Vec<Scored>,
    pool: Arc<[f64]>,
    splits: u64,
    seed: String,
    session: Settings,
}

/// What came of one split.
struct Judgement {
    verdict: Verdict,
    claims: Vec<(String, Verdict, Option<f64>)>,
}

impl Bench {
    /// Scores what the judging checks read, and says which checks do not judge.
    async fn new(
        target: Target,
        suite: String,
        options: &Options,
        folder: &TempDir,
        progress: &Arc<Progress>,
    ) -> Result<(Self, Vec<LeftOut>)> {
        let seed = format!("{}/calibrate/{}", target.spec.written.model.name, options.seed);
        let session = &options.run.session;
        let fixed = Candidate::Exchanged.target(&target.spec, target.datasets.clone(), 0, &Arc::from([]));
        let (judging, left_out) = judgeable(&fixed, &suite)?;
        ensure!(!judging.is_empty(), "no check of suite `{suite}` compares scores: there is nothing to calibrate");
        let (cache, mut scored) = (options.run.cache.as_deref(), Vec::new());
        for dataset in datasets(&fixed.spec, &suite, &judging)? {
            let (dataset, seed) = (target.dataset(&dataset)?, random::seed(&[&seed, "parts"]));
            scored.push(scored::write(&target, dataset, seed, session, folder.path(), cache, progress).await?);
        }
        let mut pool = scored.iter().flat_map(|scored| scored.pool.iter().copied()).collect::<Vec<f64>>();
        pool.sort_by(f64::total_cmp);
        let (splits, pool, session) = (options.splits, pool.into(), session.clone());
        Ok((Self { spec: target.spec, suite, judging, scored, pool, splits, seed, session }, left_out))
    }

    /// Judges one kind of candidate as often as there are splits.
    async fn trial(self: &Arc<Self>, candidate: Candidate, advance: &Arc<Advance>) -> Result<Trial> {
        let beyond = Arc::new(self.beyond(candidate, &advance.scoring).await?);
        let mut workers = JoinSet::new();
        for first in 0..self.session.threads as u64 {
            let (bench, beyond, advance) = (Arc::clone(self), Arc::clone(&beyond), Arc::clone(advance));
            workers.spawn(async move {
                let mut judged = Vec::new();
                for split in (first..bench.splits).step_by(bench.session.threads) {
                    judged.push((split, bench.split(candidate, split, &beyond, &advance.scoring).await?));
                    advance.judged.fetch_add(1, Ordering::Relaxed);
                }
                anyhow::Ok(judged)
            });
        }
        let mut judged = BTreeMap::new();
        while let Some(worker) = workers.join_next().await {
            judged.extend(worker??);
        }
        Ok(summed(candidate, judged.into_values().collect(), &beyond))
    }

    async fn split(
        &self,
        candidate: Candidate,
        split: u64,
        beyond: &[Statement],
        progress: &Arc<Progress>,
    ) -> Result<Judgement> {
        let target = self.target(candidate, split, candidate == Candidate::Baseline);
        let mut statements = self.statements(&target, progress).await?;
        statements.retain(|statement| !beyond.iter().any(|other| is_same(statement, other)));
        let record = Record::new(&target, &self.suite, None, statements)?;
        let claims = record.claims.into_iter();
        let claims = claims.map(|claim| (claim.id, claim.verdict, difference(claim.candidate, claim.baseline)));
        Ok(Judgement { verdict: record.verdict, claims: claims.collect() })
    }

    async fn statements(&self, target: &Target, progress: &Arc<Progress>) -> Result<Vec<Statement>> {
        let entries = target.spec.select(Some(&self.suite))?.entries.into_iter().enumerate();
        let entries = entries.filter(|(place, _)| self.judging.contains(place)).map(|(_, entry)| entry).collect();
        let mut prepared = gate::prepare(target, entries, session::open(&self.session.on(1)))?;
        Ok(gate::state(target, &mut prepared, None, progress).await?.0)
    }

    /// The claims of which it cannot be said that a fail is wrong. Where candidate and baseline are compared, nothing is
    /// worse by construction. Other claims hold a value against a limit, and it may be beyond it as it is.
    async fn beyond(&self, candidate: Candidate, progress: &Arc<Progress>) -> Result<Vec<Statement>> {
        let as_it_is = match candidate {
            Candidate::Exchanged => candidate,
            Candidate::Baseline | Candidate::Replaced(_) => Candidate::Baseline,
        };
        let statements = self.statements(&self.target(as_it_is, 0, false), progress).await?;
        let broken = |statement: &Statement| match statement.evidence.finding {
            Finding::Tested { p_value, .. } => p_value < 0.5,
            Finding::Fact { holds, .. } => !holds,
            _ => false,
        };
        let compares =
            |statement: &Statement| statement.evidence.candidate.is_some() && statement.evidence.baseline.is_some();
        Ok(statements.into_iter().filter(|statement| !compares(statement) && broken(statement)).collect())
    }

    /// The models and the rows of a split.
    fn target(&self, candidate: Candidate, split: u64, half: bool) -> Target {
        let seed = random::seed(&[&self.seed, candidate.name(), &split.to_string()]);
        let datasets = self.scored.iter().map(|scored| {
            let files = if half { half_of(&scored.parts, seed) } else { scored.parts.concat() };
            (scored.dataset.name.clone(), Dataset { files: files.into(), ..scored.dataset.clone() })
        });
        candidate.target(&self.spec, datasets.collect(), seed, &self.pool)
    }
}

impl Candidate {
    /// The name that its draws depend on.
    fn name(self) -> &'static str {
        match self {
            Self::Baseline => "baseline",
            Self::Exchanged => "exchanged",
            Self::Replaced(_) => "replaced",
        }
    }

    /// What is judged with these models.
    fn target(self, spec: &Spec, datasets: BTreeMap<String, Dataset>, seed: u64, pool: &Arc<[f64]>) -> Target {
        let (baseline, candidate) = self.scorers(seed, pool);
        let source = || self.name().to_owned();
        let judged = |scorer| Judged { source: source(), sha256: None, found: Vec::new(), served: None, scorer };
        let (candidate, baseline) = (judged(candidate), Some(judged(baseline)));
        let (choice, shelf) = (Choice::default(), Arc::default());
        Target { spec: spec.clone(), datasets, candidate, baseline, choice, shelf }
    }

    /// The scorers of baseline and candidate.
    fn scorers(self, seed: u64, pool: &Arc<[f64]>) -> (Scorer, Scorer) {
        let column = |name: &str| Scorer::Columns(vec![name.to_owned()]);
        let exchanged = |heads: &str, tails: &str| {
            let (heads, tails, key) = (heads.to_owned(), tails.to_owned(), scored::UNIT.to_owned());
            Scorer::Resampled(Resampled::Exchanged { heads, tails, key, seed })
        };
        match self {
            Self::Baseline => (column(scored::BASELINE), column(scored::BASELINE)),
            Self::Exchanged => {
                (exchanged(scored::BASELINE, scored::CANDIDATE), exchanged(scored::CANDIDATE, scored::BASELINE))
            }
            Self::Replaced(share) => {
                let (name, key, pool) = (scored::BASELINE.to_owned(), scored::ROW.to_owned(), Arc::clone(pool));
                let replaced = Resampled::Replaced { column: name, share, pool, key, seed };
                (column(scored::BASELINE), Scorer::Resampled(replaced))
            }
        }
    }
}

/// The files of a random half of the parts.
fn half_of(parts: &[Vec<PathBuf>], seed: u64) -> Vec<PathBuf> {
    let mut order: Vec<usize> = (0..parts.len()).collect();
    order.sort_by(|a, b| drawn(seed, *a).total_cmp(&drawn(seed, *b)));
    let mut half = order[..parts.len().div_ceil(2)].to_vec();
    half.sort_unstable();
    half.into_iter().flat_map(|part| parts[part].clone()).collect()
}

fn drawn(seed: u64, part: usize) -> f64 {
    random::uniform(seed, 2, part as u64)
}

fn is_same(statement: &Statement, other: &Statement) -> bool {
    statement.line == other.line && statement.evidence.subject == other.evidence.subject
}

fn difference(candidate: Option<Estimate>, baseline: Option<Estimate>) -> Option<f64> {
    Some(candidate?.value - baseline?.value)
}

fn summed(candidate: Candidate, judged: Vec<Judgement>, beyond: &[Statement]) -> Trial {
    let splits = judged.len() as u64;
    let (mut verdicts, mut claims, mut differences) = (Verdicts::default(), BTreeMap::new(), BTreeMap::new());
    for judgement in judged {
        verdicts.take(judgement.verdict);
        for (id, verdict, difference) in judgement.claims {
            differences.entry(id.clone()).or_insert_with(Vec::new).extend(difference);
            claims.entry(id).or_insert_with(Tally::default).verdicts.take(verdict);
        }
    }
    for (id, tally) in &mut claims {
        let differences: &Vec<f64> = &differences[id];
        let mean = differences.iter().sum::<f64>() / differences.len() as f64;
        tally.mean_difference = (!differences.is_empty()).then_some(mean);
    }
    let rate = |count| Rate::of(count, splits);
    Trial {
        candidate,
        verdicts,
        fails: rate(verdicts.fail),
        inconclusive: rate(verdicts.inconclusive),
        held: rate(splits - verdicts.ships()),
        claims,
        beyond: beyond.iter().map(|statement| id(statement.check, &statement.evidence.subject)).collect(),
    }
}

//! `robustness.sensitivity`: what a little noise on the features does to the scores.

use anyhow::Result;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::answers::Answers;
use crate::check::{Check, Refusal};
use crate::checks::shared::{self, MetricTicket, Rows, Sample};
use crate::evidence::{Evidence, Finding, Limits, Subject, allowed};
use crate::measure::{self, Answer, Cell};
use crate::plan::{Grouping, Input, Noise, Plan, Ticket};
use crate::spec::limit::Amount;
use crate::spec::problem::{Path, Problem};
use crate::spec::written::Task;
use crate::stats::bound::{Bound, Test};
use crate::stats::metric::{Direction, Metric};
use crate::stats::random;
use crate::stats::undefined::Undefined;
use crate::summaries::rows;
use crate::summaries::spread::SpreadParams;
use crate::summaries::{Ranks, Spread};
use crate::target::Side;

/// Noise on the features hurts the candidate no more than it hurts the baseline.
///
/// # What it does
/// Adds Gaussian noise to every numeric feature, `noise` times the feature's standard deviation, and scores the same rows
/// again with both models. `loss` is how much worse the metric becomes; `flips` is the share of decisions that the noise
/// changes. Both are compared with the baseline's on the same rows: the candidate's may be larger by at most the limit.
///
/// # Why it matters
/// Measurements are never exact. A model that has learned the last digit of its features is accurate on the file that it
/// was tested on and on nothing else.
///
/// # What it assumes
/// The noise of a row depends on the gate, the feature and the row's id, so it is the same on every run and for both models.
/// Whole numbers stay whole; text is left as it is. When no row is changed by the noise, the claim is inconclusive: nothing
/// was tested. It needs models that are scored in process.
///
/// # Example
/// ```yaml
/// - robustness.sensitivity: { noise: 0.1, metric: roc_auc, max_loss: 0.02, max_flips: 5% }
/// ```
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RobustnessSensitivity {
    /// The size of the noise in standard deviations of each feature.
    #[serde(default = "noise")]
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub noise: f64,
    /// The metric that may be lost; `roc_auc`, `log_loss` for a multiclass model, `rmse` or `ndcg: { k: 10 }` unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metric: Option<Metric>,
    /// How much more of the metric the candidate may lose than the baseline, on the metric's own scale.
    #[serde(default = "max_loss")]
    #[schemars(range(min = 0.0))]
    pub max_loss: f64,
    /// How many more decisions the candidate may change than the baseline (binary and multiclass models): `0.05` or `5%` of the rows.
    #[serde(default = "max_flips")]
    pub max_flips: Amount,
    /// The dataset.
    #[serde(default = "shared::test")]
    pub data: String,
}

fn noise() -> f64 {
    0.1
}

fn max_loss() -> f64 {
    0.05
}

fn max_flips() -> Amount {
    Amount::Relative(0.05)
}

/// What was asked: first how far the features spread, then what noise of that size does.
#[derive(Debug)]
pub struct Asked {
    metric: Metric,
    spreads: Vec<(String, Ticket<Spread>)>,
    seed: u64,
    noisy: Option<Noisy>,
}

#[derive(Debug)]
struct Noisy {
    rows: Rows,
    metric: MetricTicket,
    decisions: Option<Decisions>,
    disturbed: Ticket<Spread>,
}

/// What tells the decisions of the models: cells of two classes, or the scores themselves.
#[derive(Debug)]
enum Decisions {
    Binary(MetricTicket),
    Multiclass(Ticket<Ranks>),
}

impl Check for RobustnessSensitivity {
    const NAME: &'static str = "robustness.sensitivity";
    type Asked = Asked;

    fn datasets(&self) -> Vec<(&'static str, &str)> {
        vec![("data", &self.data)]
    }

    fn ask(&self, plan: &mut Plan<'_>) -> Result<Asked, Refusal> {
        let metric = self.metric.clone().unwrap_or(match plan.model().task {
            Task::Binary => Metric::RocAuc,
            Task::Multiclass => Metric::LogLoss,
            Task::Regression => Metric::Rmse,
            Task::Ranking => Metric::Ndcg { k: 10 },
        });
        shared::metric_fits(plan, &metric, &self.data)?;
        live_models(plan)?;
        row_ids(plan, &self.data)?;
        let mut spreads = Vec::new();
        for feature in numeric_features(plan, &self.data)? {
            let inputs = vec![Input::Number(feature.clone())];
            spreads.push((feature, plan.summarise(&self.data, &SpreadParams {}, inputs, &[Grouping::All])?));
        }
        let seed = random::seed(&[&plan.model().name, Self::NAME]);
        Ok(Asked { metric, spreads, seed, noisy: None })
    }

    fn ask_again(&self, asked: &mut Asked, answers: &Answers, plan: &mut Plan<'_>) -> Result<(), Refusal> {
        if asked.noisy.is_some() {
            return Ok(());
        }
        let mut scale = Vec::new();
        for (feature, ticket) in &asked.spreads {
            if let Some(deviation) = answers.summary(ticket)?.all().deviation().filter(|deviation| *deviation > 0.0) {
                scale.push((feature.clone(), self.noise * deviation));
            }
        }
        let noise = Noise { scale, seed: asked.seed };
        let noisy = |side| (side, Some(noise.clone()));
        let scores = [(Side::Baseline, None), (Side::Candidate, None), noisy(Side::Baseline), noisy(Side::Candidate)];
        let rows = Rows::new(plan, &self.data, Input::Label, &scores)?;
        let metric = rows.metric(plan, &asked.metric, &[Grouping::All])?;
        let decisions = match plan.model().task {
            Task::Binary => Some(Decisions::Binary(rows.decisions(plan)?)),
            Task::Multiclass => Some(Decisions::Multiclass(rows.ranks(plan, &[Grouping::All])?)),
            Task::Regression | Task::Ranking => None,
        };
        let inputs = vec![Input::Disturbed(noise)];
        let disturbed = plan.summarise(&self.data, &SpreadParams {}, inputs, &[Grouping::All])?;
        asked.noisy = Some(Noisy { rows, metric, decisions, disturbed });
        Ok(())
    }

    fn judge(&self, asked: &Asked, answers: &Answers) -> Result<Vec<Evidence>> {
        let Some(noisy) = &asked.noisy else { return Ok(Vec::new()) };
        let disturbed = answers.summary(&noisy.disturbed)?.all().mean().unwrap_or(0.0);
        let mut evidence = Vec::new();
        for (_, sample) in noisy.metric.samples(answers, &Grouping::All)? {
            evidence.push(self.loss(asked, noisy, &sample, disturbed)?);
        }
        match &noisy.decisions {
            Some(Decisions::Binary(ticket)) => {
                for (_, sample) in ticket.samples(answers, &Grouping::All)? {
                    evidence.push(self.flips(noisy, &sample, disturbed)?);
                }
            }
            Some(Decisions::Multiclass(ticket)) => {
                let ranks = answers.summary(ticket)?.all();
                evidence.push(self.flips(noisy, &Sample::of(ranks, noisy.rows.columns().clone()), disturbed)?);
            }
            None => {}
        }
        let told = |evidence: Evidence| evidence.detail("disturbed_share", disturbed).detail("seed", asked.seed);
        Ok(evidence.into_iter().map(told).collect())
    }
}

impl RobustnessSensitivity {
    /// The models are clean baseline, clean candidate, noisy baseline, noisy candidate.
    fn loss(&self, asked: &Asked, noisy: &Noisy, sample: &Sample, disturbed: f64) -> Result<Evidence> {
        let limits = allowed("max_loss", Amount::Absolute(self.max_loss));
        let subject = Subject::all(&self.data, &format!("loss of {}", asked.metric.name()));
        if let Some(finding) = obstacle(noisy, sample.rows(), sample.positives(), disturbed)? {
            return Ok(shared::obstructed(subject, limits, sample.rows(), finding));
        }
        // What is lost is clean minus noisy where more is better, and noisy minus clean where less is.
        let sign = if asked.metric.direction() == Direction::Higher { 1.0 } else { -1.0 };
        let weigh = |weights: [f64; 4]| sample.measure(&asked.metric, &weights.map(|weight| sign * weight));
        let weights = [[1.0, 0.0, -1.0, 0.0], [0.0, 1.0, 0.0, -1.0], [-1.0, 1.0, 1.0, -1.0]];
        let level = noisy.rows.level();
        compared(weights.map(weigh), self.max_loss, level, subject.clone(), limits.clone())
            .map(|evidence| sample.counted(evidence, None))
            .or_else(|reason| Ok(shared::undecided(subject, limits, sample.rows(), &reason)))
    }

    fn flips(&self, noisy: &Noisy, sample: &Sample, disturbed: f64) -> Result<Evidence> {
        let limits = allowed("max_flips", self.max_flips);
        let (Amount::Absolute(limit) | Amount::Relative(limit)) = self.max_flips;
        let subject = Subject::all(&self.data, "flips");
        if let Some(finding) = obstacle(noisy, sample.rows(), sample.positives(), disturbed)? {
            return Ok(shared::obstructed(subject, limits, sample.rows(), finding));
        }
        let (baseline, candidate) = ((1.0, 0, 2), (1.0, 1, 3));
        let excess = [candidate, (-1.0, 0, 2)];
        let shares = [&[baseline][..], &[candidate], &excess].map(|pairs| changed(sample, pairs));
        compared(shares, limit, noisy.rows.level(), subject.clone(), limits.clone())
            .or_else(|reason| Ok(shared::undecided(subject, limits, sample.rows(), &reason)))
    }
}

/// The summed shares of decisions that differ between two models, each times its weight.
fn changed(sample: &Sample, pairs: &[(f64, usize, usize)]) -> Measured {
    match sample.answer() {
        Answer::Ranks(ranks, columns) if matches!(columns.task, rows::Task::Multiclass { .. }) => {
            measure::changed(ranks, columns, pairs)
        }
        answer => measure::share(answer, |cell: Cell| {
            let flip = |&(weight, a, b): &(f64, usize, usize)| {
                if cell.decision(a) == cell.decision(b) { 0.0 } else { weight }
            };
            pairs.iter().map(flip).sum()
        }),
    }
}

type Measured = Result<crate::stats::measurement::Measurement, Undefined>;

/// Baseline, candidate, and the candidate's excess, which is what is judged.
fn compared(
    measured: [Measured; 3],
    limit: f64,
    level: f64,
    subject: Subject,
    limits: Limits,
) -> Result<Evidence, Undefined> {
    let [baseline, candidate, excess] = measured;
    let excess = excess?;
    let test = Test { measured: excess.clone().into(), bound: Bound::AtMost(limit), equal: 0.0 };
    let mut evidence = Evidence::tested(subject, limits, vec![test], level);
    evidence.baseline = Some(shared::estimate(&baseline?, level));
    evidence.candidate = Some(shared::estimate(&candidate?, level));
    evidence.difference = Some(shared::estimate(&excess, level));
    evidence.rows = excess.rows;
    evidence.method = Some(excess.method.name().to_owned());
    Ok(shared::binned(shared::clustered(evidence, excess.clusters), excess.binning_error()))
}

fn obstacle(
    noisy: &Noisy,
    counts: &crate::summaries::rows::RowCounts,
    positives: u64,
    disturbed: f64,
) -> Result<Option<Finding>> {
    if let Some(finding) = noisy.rows.obstacle(&Grouping::All, counts, positives)? {
        return Ok(Some(finding));
    }
    let reason = "the noise changed no row, and would change no other: no numeric feature varies enough".to_owned();
    Ok((disturbed <= 0.0).then_some(Finding::Undecided { reason, needs_rows: None }))
}

fn live_models(plan: &Plan<'_>) -> Result<(), Refusal> {
    for side in [Side::Baseline, Side::Candidate] {
        if !shared::judged(plan, side)?.is_live() {
            let message = format!("noise needs a model to score again, and the {side} gives fixed scores");
            let problem = Problem::key(plan.here(), message);
            return Err(problem.remedy("give the model itself with `onnx:`, or remove this check").into());
        }
    }
    Ok(())
}

fn row_ids(plan: &Plan<'_>, dataset: &str) -> Result<(), Refusal> {
    let Some(id) = &plan.columns().id else {
        let problem = Problem::key(plan.here(), "noise is drawn by row id, and the spec declares none");
        return Err(problem.remedy("declare `columns.id`").into());
    };
    shared::column(plan, dataset, id, &Path::root().key("columns").key("id")).map(|_| ())
}

fn numeric_features(plan: &Plan<'_>, dataset: &str) -> Result<Vec<String>, Refusal> {
    let mut numeric = Vec::new();
    for (index, feature) in plan.columns().features.iter().enumerate() {
        let at = Path::root().key("columns").key("features").index(index);
        if shared::column(plan, dataset, feature, &at)?.is_numeric() {
            numeric.push(feature.clone());
        }
    }
    Ok(numeric)
}

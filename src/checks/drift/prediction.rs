//! `drift.prediction`: how far the candidate's scores are from the baseline's on the same rows.

use anyhow::Result;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::answers::Answers;
use crate::check::{Check, Refusal};
use crate::checks::shared::{self, MetricTicket, Rows, Sample};
use crate::evidence::{Estimate, Evidence, Subject, allowed};
use crate::measure;
use crate::plan::{Grouping, Plan, Ticket};
use crate::spec::limit::Amount;
use crate::spec::written;
use crate::stats::bound::{Bound, Test};
use crate::stats::random;
use crate::summaries::{Ranks, Task};

/// The candidate's scores are distributed like the baseline's, and few decisions change.
///
/// # What it does
/// Scores the same rows with both models. `distance` is the Kolmogorov-Smirnov distance between the two distributions of
/// scores: the largest difference between the shares of rows below any score. `flips` is the share of rows whose decision
/// changes, split into corrected (wrong before, right now) and broken (right before, wrong now). An interval of each is
/// compared with its limit; never a p-value with 0.05.
///
/// A multiclass model has a distance for each class, between the distributions of its probabilities, and every one of them
/// must stay within the limit. Its decision is the class of the highest probability, and a changed one may stay wrong.
///
/// # Why it matters
/// What follows a model is tuned to its scores: thresholds, queues, budgets, the habits of people. A model may be better
/// and still change one decision in five, and somebody must answer for each of them.
///
/// # What it assumes
/// Rows are independent, or entities are where `columns.entity` is given, or else groups in a ranking. Rows count by
/// `columns.weight` where it is given. The distance has a simultaneous band over all scores, by a seeded Gaussian
/// multiplier simulation; the flips have a score interval. A changed decision that stays wrong is impossible with two classes, so
/// there flips are corrected or broken.
///
/// More than 32,768 distinct tuples of scores are put into at most 16,384 cells, unless rows have weights, entities or
/// groups. The distance is then that at the cells' ends, and its interval holds the most by which it may be too low, which the
/// record names `binning_error`.
///
/// # Example
/// ```yaml
/// - drift.prediction: { against: baseline, max_distance: 0.2, max_flips: 10% }
/// ```
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DriftPrediction {
    /// Whose scores the candidate's are compared with.
    #[serde(default)]
    pub against: Against,
    /// The largest distance between the distributions, from 0 to 1.
    #[serde(default = "max_distance")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub max_distance: f64,
    /// The largest share of decisions that may change (binary and multiclass models): `0.05` or `5%`, which are the same here.
    #[serde(default = "max_flips")]
    pub max_flips: Amount,
    /// The dataset.
    #[serde(default = "shared::test")]
    pub data: String,
}

/// Whose scores the candidate's are compared with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Against {
    /// The baseline's, on the same rows.
    #[default]
    Baseline,
}

fn max_distance() -> f64 {
    0.15
}

fn max_flips() -> Amount {
    Amount::Relative(0.05)
}

/// What was asked.
#[derive(Debug)]
pub struct Asked {
    rows: Rows,
    ranks: Ticket<Ranks>,
    decisions: Option<MetricTicket>,
    seed: u64,
}

impl Check for DriftPrediction {
    const NAME: &'static str = "drift.prediction";
    type Asked = Asked;

    fn datasets(&self) -> Vec<(&'static str, &str)> {
        vec![("data", &self.data)]
    }

    fn ask(&self, plan: &mut Plan<'_>) -> Result<Asked, Refusal> {
        let rows = Rows::of_both(plan, &self.data)?;
        let ranks = rows.binned(plan, &[Grouping::All])?;
        let decisions = match plan.model().task {
            written::Task::Binary => Some(rows.decisions(plan)?),
            written::Task::Multiclass | written::Task::Regression | written::Task::Ranking => None,
        };
        let seed = random::seed(&[&plan.model().name, Self::NAME]);
        Ok(Asked { rows, ranks, decisions, seed })
    }

    fn judge(&self, asked: &Asked, answers: &Answers) -> Result<Vec<Evidence>> {
        let ranks = answers.summary(&asked.ranks)?.all();
        let Task::Multiclass { classes } = &asked.rows.columns().task else {
            let mut evidence = vec![self.distance(asked, &ranks, "distance", (0, 1))?];
            if let Some(ticket) = &asked.decisions {
                for (_, sample) in ticket.samples(answers, &Grouping::All)? {
                    evidence.push(self.flips(asked, &sample)?);
                }
            }
            return Ok(evidence);
        };
        let of_class = |(class, name): (usize, &String)| {
            self.distance(asked, &ranks, &format!("distance of {name}"), (class, classes.len() + class))
        };
        let mut evidence = classes.iter().enumerate().map(of_class).collect::<Result<Vec<_>>>()?;
        evidence.push(self.changed(asked, &ranks)?);
        Ok(evidence)
    }
}

impl DriftPrediction {
    /// The distance between two columns of scores, the baseline's first.
    fn distance(&self, asked: &Asked, ranks: &Ranks, name: &str, columns: (usize, usize)) -> Result<Evidence> {
        let subject = Subject::all(&self.data, name);
        let limits = allowed("max_distance", Amount::Absolute(self.max_distance));
        if let Some(finding) = asked.rows.obstacle_to_scores(&Grouping::All, ranks.rows())? {
            return Ok(shared::obstructed(subject, limits, ranks.rows(), finding));
        }
        let level = asked.rows.level();
        Ok(match measure::distance(ranks, asked.rows.columns(), columns.0, columns.1, asked.seed) {
            Err(reason) => shared::undecided(subject, limits, ranks.rows(), &reason),
            Ok(distance) => {
                let bound = Bound::AtMost(self.max_distance);
                let test = Test { measured: distance.clone().into(), bound, equal: 0.0 };
                let mut evidence = Evidence::tested(subject, limits, vec![test], level);
                let (low, high) = distance.interval(level);
                evidence.difference =
                    Some(Estimate { value: distance.value, low: shared::finite(low), high: shared::finite(high) });
                evidence.rows = distance.rows;
                evidence.method = Some(distance.method().to_owned());
                shared::binned(shared::clustered(evidence, distance.clusters), distance.binning_error)
                    .detail("at_score", distance.at)
                    .detail("seed", asked.seed)
            }
        })
    }

    /// The flips of a multiclass model.
    fn changed(&self, asked: &Asked, ranks: &Ranks) -> Result<Evidence> {
        let subject = Subject::all(&self.data, "flips");
        let limits = allowed("max_flips", self.max_flips);
        let (Amount::Absolute(limit) | Amount::Relative(limit)) = self.max_flips;
        if let Some(finding) = asked.rows.obstacle_to_scores(&Grouping::All, ranks.rows())? {
            return Ok(shared::obstructed(subject, limits, ranks.rows(), finding));
        }
        let (columns, level) = (asked.rows.columns(), asked.rows.level());
        let measured = measure::changed(ranks, columns, &[(1.0, 0, 1)])
            .and_then(|flips| Ok((flips, measure::changes(ranks, columns, 0, 1)?)));
        Ok(match measured {
            Err(reason) => shared::undecided(subject, limits, ranks.rows(), &reason),
            Ok((flips, [corrected, broken, still_wrong])) => {
                let test = Test { measured: flips.clone().into(), bound: Bound::AtMost(limit), equal: 0.0 };
                let mut evidence = Evidence::tested(subject, limits, vec![test], level);
                evidence.difference = Some(shared::estimate(&flips, level));
                evidence.rows = flips.rows;
                evidence.method = Some(flips.method.name().to_owned());
                shared::clustered(evidence, flips.clusters)
                    .detail("corrected", corrected)
                    .detail("broken", broken)
                    .detail("still_wrong", still_wrong)
            }
        })
    }

    fn flips(&self, asked: &Asked, sample: &Sample) -> Result<Evidence> {
        let subject = Subject::all(&self.data, "flips");
        let limits = allowed("max_flips", self.max_flips);
        let (Amount::Absolute(limit) | Amount::Relative(limit)) = self.max_flips;
        if let Some(finding) = asked.rows.obstacle_to_scores(&Grouping::All, sample.rows())? {
            return Ok(shared::obstructed(subject, limits, sample.rows(), finding));
        }
        let level = asked.rows.level();
        Ok(match measure::share(sample.answer(), |cell| f64::from(u8::from(cell.decision(0) != cell.decision(1)))) {
            Err(reason) => shared::undecided(subject, limits, sample.rows(), &reason),
            Ok(flips) => {
                let test = Test { measured: flips.clone().into(), bound: Bound::AtMost(limit), equal: 0.0 };
                let mut evidence = Evidence::tested(subject, limits, vec![test], level);
                evidence.difference = Some(shared::estimate(&flips, level));
                evidence.rows = flips.rows;
                evidence.method = Some(flips.method.name().to_owned());
                let (corrected, broken) = corrected_and_broken(sample);
                shared::clustered(evidence, flips.clusters).detail("corrected", corrected).detail("broken", broken)
            }
        })
    }
}

/// Rows whose decision became right, and rows whose decision became wrong.
fn corrected_and_broken(sample: &Sample) -> (u64, u64) {
    let mut counts = (0, 0);
    for (cell, rows) in measure::cells(sample.answer()).unwrap_or_default() {
        match (cell.decision(0) == cell.label(), cell.decision(1) == cell.label()) {
            (false, true) => counts.0 += rows,
            (true, false) => counts.1 += rows,
            (true, true) | (false, false) => {}
        }
    }
    counts
}

//! From summaries to measurements: what checks ask of the numbers.

pub mod shift;

use crate::stats::binned::Own;
use crate::stats::decision::Decisions;
use crate::stats::distance::{self, kolmogorov_smirnov};
use crate::stats::weights::{range, weighted};
use crate::stats::{
    Binned, Distance, Joint, Measurement, Metric, Sample, Threshold, Undefined, binary, multiclass, order, ranking,
    regression, threshold,
};
use crate::summaries::moments::Means;
use crate::summaries::ranks::RankColumns;
use crate::summaries::rows::{self, Columns, Task};
use crate::summaries::term::Term;
use crate::summaries::{Moments, Ranks, Spread, Sums};

/// What a metric can be measured on.
#[derive(Clone, Copy, Debug)]
pub enum Answer<'a> {
    /// For the metrics whose source is [`Source::Moments`](crate::stats::Source::Moments).
    Moments(&'a Moments),
    /// For any metric of labels and scores, with what the columns hold.
    Ranks(&'a Ranks, &'a Columns),
    /// For a ratio, the one whose expressions were summed.
    Sums(&'a Sums),
}

/// The weighted sum of a metric over the models of an answer, in the order of their score columns.
///
/// Weights `[1, 0]` measure the first model, `[1, -1]` the first minus the second, `[1, -(1 + r)]` the first against the
/// second and a relative margin, `[1, -1, -1, 1]` a difference of differences. The models with weight zero do not matter.
///
/// # Errors
/// When the metric is not defined on the usable rows, has no interval there, or is not in the answer.
pub fn measure(metric: &Metric, answer: Answer<'_>, weights: &[f64]) -> Result<Measurement, Undefined> {
    if answer.used() == 0 {
        return Err(Undefined::NoRows);
    }
    if answer.models() != weights.len() {
        return Err(Undefined::NotMeasured);
    }
    match answer {
        Answer::Moments(moments) => smooth(metric, moments, weights),
        Answer::Sums(sums) => ratio(metric, sums, weights),
        Answer::Ranks(ranks, columns) if ranks.are_binned() => {
            let levels = (0..ranks.models()).map(|model| ranks.level(model)).collect::<Vec<_>>();
            order::of_cells(metric, &binned(ranks, columns, &levels), weights)
        }
        Answer::Ranks(ranks, columns) => {
            let sample = sample(ranks, columns);
            match &columns.task {
                Task::Binary { .. } => binary::measure(metric, &sample, weights),
                Task::Multiclass { .. } => multiclass::measure(metric, &sample, weights),
                Task::Regression => regression::measure(metric, &sample, weights),
                Task::Ranking => ranking::measure(metric, &sample, weights),
            }
        }
    }
}

/// A decision cell: a label and the decisions of the models on rows that have both in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cell(pub usize);

impl Cell {
    /// Whether the label is positive.
    #[must_use]
    pub fn label(self) -> bool {
        self.0 & 1 == 1
    }

    /// Whether model `number` decided positive.
    #[must_use]
    pub fn decision(self, number: usize) -> bool {
        self.0 >> (1 + number) & 1 == 1
    }
}

/// The mean over rows, each by its weight, of a weight of -1, 0 or 1 for each decision cell: the share of changed decisions,
/// or the difference of two such shares on the same rows.
///
/// # Errors
/// When there are no usable rows or no decisions, or too few rows or clusters.
pub fn share(answer: Answer<'_>, weight: impl Fn(Cell) -> f64) -> Result<Measurement, Undefined> {
    let weights: Vec<f64> = (0..2 << answer.models()).map(|index| weight(Cell(index))).collect();
    match answer {
        Answer::Moments(moments) => decisions(moments)?.share_of_cells(&weights),
        Answer::Ranks(ranks, columns) => threshold::share_of_cells(&sample(ranks, columns), &weights),
        Answer::Sums(_) => Err(Undefined::NotMeasured),
    }
}

/// How many rows are in each decision cell.
///
/// # Errors
/// When there are no usable rows or no decisions.
pub fn cells(answer: Answer<'_>) -> Result<Vec<(Cell, u64)>, Undefined> {
    let rows = match answer {
        Answer::Moments(moments) => moments.cells(),
        Answer::Ranks(ranks, columns) => threshold::rows_of_cells(&sample(ranks, columns))?,
        Answer::Sums(_) => return Err(Undefined::NotMeasured),
    };
    Ok(rows.into_iter().enumerate().map(|(index, rows)| (Cell(index), rows)).collect())
}

/// The summed shares of rows on which the decisions of two models for a class differ, each times a weight of -1 or 1.
///
/// # Errors
/// With fewer than two usable rows or clusters, or without such models.
pub fn changed(ranks: &Ranks, columns: &Columns, pairs: &[(f64, usize, usize)]) -> Result<Measurement, Undefined> {
    multiclass::changed(&sample(ranks, columns), pairs)
}

/// The weights of the rows whose decision for a class changes from a wrong to the right one, from the right to a wrong one,
/// and from one wrong to another.
///
/// # Errors
/// Without usable rows or such models.
pub fn changes(ranks: &Ranks, columns: &Columns, a: usize, b: usize) -> Result<[f64; 3], Undefined> {
    multiclass::changes(&sample(ranks, columns), a, b)
}

/// The Kolmogorov-Smirnov distance between two columns of scores: of two models, or of two models for a class. Grouped rows
/// vary with their group.
///
/// # Errors
/// With fewer than two usable rows or clusters, or without such columns.
pub fn distance(ranks: &Ranks, columns: &Columns, a: usize, b: usize, seed: u64) -> Result<Distance, Undefined> {
    if ranks.are_binned() {
        let level = ranks.level(a).max(ranks.level(b));
        let distance = distance::of_cells(&binned(ranks, columns, &vec![level; ranks.models()]), a, b, seed)?;
        return Ok(Distance { at: ranks.lowest(level, distance.at), ..distance });
    }
    let mut sample = sample(ranks, columns);
    if sample.groups.is_some() {
        sample.clusters = Some(ranking::units(&sample));
    }
    let mut distance = kolmogorov_smirnov(&sample, a, b, seed)?;
    distance.clusters = distance.clusters.filter(|_| columns.clustered);
    Ok(distance)
}

/// How many groups of a ranking have a relevant row, and how many have none and are left out of its metrics.
#[must_use]
pub fn groups(ranks: &Ranks, columns: &Columns) -> (u64, u64) {
    ranking::count(&sample(ranks, columns))
}

/// The multiset as the statistics take it.
#[must_use]
pub fn sample(ranks: &Ranks, columns: &Columns) -> Sample {
    sample_of(ranks.columns(), columns)
}

fn sample_of(tuples: RankColumns, columns: &Columns) -> Sample {
    let RankColumns { clusters, weights, groups, labels, scores, counts } = tuples;
    let threshold = match &columns.task {
        Task::Binary { threshold: rows::Threshold::From(thresholds) } => Threshold::From(thresholds.clone()),
        Task::Binary { threshold: rows::Threshold::TopShare(share) } => Threshold::TopShare(*share),
        Task::Multiclass { .. } | Task::Regression | Task::Ranking => Threshold::default(),
    };
    let classes = if let Task::Multiclass { classes } = &columns.task { classes.clone() } else { Vec::new() };
    Sample { clusters, weights, groups, labels, scores, counts, threshold, classes }
}

/// The scores of each model as curves show them: of binned ones the middles of their cells.
#[must_use]
pub fn of_models(ranks: &Ranks, columns: &Columns) -> Vec<Sample> {
    let of_model = |model| {
        let level = ranks.level(model);
        let middle = |cell: f64| ranks.lowest(level, cell).midpoint(ranks.lowest(level, cell + 1.0));
        let mut own = sample_of(ranks.of_model(model, level), columns);
        own.scores.iter_mut().flatten().for_each(|score| *score = middle(*score));
        own
    };
    (0..ranks.models()).map(of_model).collect()
}

/// The multiset as the statistics take it where it is binned, the scores of each model in cells of a level.
fn binned(ranks: &Ranks, columns: &Columns, levels: &[u32]) -> Binned {
    let own = |(model, &level): (usize, &u32)| Own {
        sample: sample_of(ranks.of_model(model, level), columns),
        exact: level == 0,
    };
    Binned {
        joint: sample(ranks, columns),
        models: levels.iter().enumerate().map(own).collect(),
        twins: (0..levels.len()).map(|model| ranks.twin(model)).collect(),
    }
}

/// The mean of a column.
///
/// # Errors
/// Without a finite value, or when the sum is too large for a float.
pub fn mean(spread: &Spread) -> Result<f64, Undefined> {
    match spread.used() {
        0 => Err(Undefined::NoRows),
        _ => spread.mean().ok_or(Undefined::TooLarge),
    }
}

/// The sample standard deviation of a column.
///
/// # Errors
/// With fewer than two finite values, or when their squares are too large for a float.
pub fn deviation(spread: &Spread) -> Result<f64, Undefined> {
    match spread.used() {
        0 => Err(Undefined::NoRows),
        rows @ 1 => Err(Undefined::TooFewRows { rows }),
        _ => spread.deviation().ok_or(Undefined::TooLarge),
    }
}

impl Answer<'_> {
    fn used(self) -> i64 {
        match self {
            Self::Moments(moments) => moments.rows().used,
            Self::Sums(sums) => sums.rows().used,
            Self::Ranks(ranks, _) => ranks.rows().used,
        }
    }

    fn models(self) -> usize {
        match self {
            Self::Moments(moments) => moments.models(),
            Self::Sums(sums) => sums.models(),
            Self::Ranks(ranks, _) => ranks.models(),
        }
    }
}

fn smooth(metric: &Metric, moments: &Moments, weights: &[f64]) -> Result<Measurement, Undefined> {
    let range = range(metric, weights);
    let terms = |term| moments.terms(term).map(joint).ok_or(Undefined::NotMeasured);
    match metric {
        Metric::LogLoss => terms(Term::LogLoss)?.of_means(weights, range),
        Metric::Brier => terms(Term::Brier)?.of_means(weights, range),
        Metric::Mae => terms(Term::AbsoluteError)?.of_means(weights, range),
        Metric::Mse => terms(Term::SquaredError)?.of_means(weights, range),
        Metric::Rmse => terms(Term::SquaredError)?.of_roots(weights, range),
        _ if agree(moments, weights) => Ok(decisions(moments)?.measure(metric, weights)?.constant()),
        _ => decisions(moments)?.measure(metric, weights),
    }
}

/// Whether a contrast is between models that give equal scores, and decisions, on every row: the squared distances between
/// label and probability do not differ. Equal decisions alone would leave open what other rows may bring; equal scores do not.
fn agree(moments: &Moments, weights: &[f64]) -> bool {
    let squares = moments.terms(Term::Brier).map(joint);
    weights.iter().sum::<f64>() == 0.0
        && decide_alike(moments, weights)
        && squares.is_some_and(|squares| {
            squares.of_means(weights, range(&Metric::Brier, weights)).is_ok_and(|found| found.is_zero())
        })
}

/// Whether the weighted models, whose thresholds may differ, decide alike on every row.
fn decide_alike(moments: &Moments, weights: &[f64]) -> bool {
    let seen = moments.cells().into_iter().enumerate().filter(|(_, rows)| *rows > 0);
    seen.map(|(index, _)| Cell(index)).all(|cell| {
        let mut decisions = weighted(weights).map(|(model, _)| cell.decision(model));
        let first = decisions.next();
        decisions.all(|decision| Some(decision) == first)
    })
}

fn ratio(metric: &Metric, sums: &Sums, weights: &[f64]) -> Result<Measurement, Undefined> {
    match metric {
        Metric::Ratio { .. } => {
            joint(sums.means().ok_or(Undefined::NoRows)?).of_ratios(weights, range(metric, weights))
        }
        _ => Err(Undefined::NotMeasured),
    }
}

fn decisions(moments: &Moments) -> Result<Decisions, Undefined> {
    if moments.is_binary() != Some(true) {
        return Err(Undefined::NotMeasured);
    }
    let shares = moments.decisions().map(joint).ok_or(Undefined::NoRows)?;
    Ok(Decisions { cells: moments.cells(), shares })
}

fn joint(means: Means) -> Joint {
    let Means { rows, clusters, mean, covariance } = means;
    Joint { rows, clusters, mean, covariance }
}

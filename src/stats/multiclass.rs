//! The metrics of a multiclass task on labelled, scored rows.
//!
//! A model decides for the class with its highest score, and for the first of several. Every metric has an influence
//! function, so weights, clusters and contrasts between models need nothing of their own; a share of whole rows has a score
//! interval instead, which keeps its level for few rows.

use crate::stats::influence::{self, Influence};
use crate::stats::measurement::{Law, Measurement, Method, Scale};
use crate::stats::metric::Metric;
use crate::stats::proportion::{PairedDifference, Proportion};
use crate::stats::sample::Sample;
use crate::stats::undefined::Undefined;
use crate::stats::weights::{paired, range, single, weighted};

mod confusion;
mod placements;

use confusion::Confusion;
use placements::Against;

/// The weighted sum of a metric over the models.
///
/// A share of rows without weights and clusters: Wilson's interval for one model, Tango's for a plain difference. All else:
/// the influence function, and for decisions without variation what may have gone unseen in as many rows, or clusters, of
/// the rarest class that matters.
///
/// # Errors
/// When the metric is not defined on the rows, has no interval there, or is not of this task.
pub fn measure(metric: &Metric, sample: &Sample, weights: &[f64]) -> Result<Measurement, Undefined> {
    match metric {
        Metric::LogLoss => influence::measure(sample, weights, range(metric, weights), |model| {
            Ok(Rows::new(sample, model)?.mean(Rows::surprise))
        }),
        Metric::Brier => influence::measure(sample, weights, brier_range(weights), |model| {
            Ok(Rows::new(sample, model)?.mean(Rows::squared_distance))
        }),
        Metric::RocAucOneVsRest | Metric::RocAucOneVsOne => {
            let against = if *metric == Metric::RocAucOneVsRest { Against::Rest } else { Against::Each };
            let measured = bounded(metric, sample, weights, |rows| placements::mean_auc(rows, against))?;
            // Models that rank alike differ by nothing; one that ranks all rows rightly may still err on others.
            let alone = single(weights).is_some();
            if alone { unvaried(measured, rarest_class(sample, weights)?, weights) } else { Ok(measured) }
        }
        _ => match Share::of(metric, sample)? {
            Some(share) => share.measure(metric, sample, weights),
            None => {
                let measured = bounded(metric, sample, weights, |rows| Confusion::new(rows).influence(metric, rows))?;
                unvaried(measured, rarest_class(sample, weights)?, weights)
            }
        },
    }
}

/// The summed shares of rows on which the decisions of two models differ, each times a weight of -1 or 1.
///
/// # Errors
/// With fewer than two rows or clusters, or without such models.
pub fn changed(sample: &Sample, pairs: &[(f64, usize, usize)]) -> Result<Measurement, Undefined> {
    let mut moved = vec![0.0; sample.counts.len()];
    for &(weight, a, b) in pairs {
        let (a, b) = (Rows::new(sample, a)?, Rows::new(sample, b)?);
        for (entry, moved) in moved.iter_mut().enumerate() {
            *moved += if a.decision(entry) == b.decision(entry) { 0.0 } else { weight };
        }
    }
    let masses = sample.masses();
    let value = moved.iter().zip(&masses).map(|(moved, mass)| moved * mass).sum::<f64>() / masses.iter().sum::<f64>();
    let of_entry = moved.iter().map(|moved| moved - value).collect::<Vec<_>>();
    let is_share = pairs.iter().all(|(weight, ..)| *weight >= 0.0);
    let measured = influence::measurement(sample, value, 1.0, &of_entry, (if is_share { 0.0 } else { -1.0 }, 1.0))?;
    if sample.clusters.is_some() || is_weighted(sample) {
        return unvaried(measured, effective_rows(sample, |_| true), &[1.0]);
    }
    let count = |of: f64| -> f64 {
        let entries = sample.counts.iter().zip(&moved).filter(|(_, moved)| **moved == of);
        entries.map(|(count, _)| *count as f64).sum()
    };
    let (gained, lost) = (count(1.0), count(-1.0));
    let trials = sample.rows() as f64;
    let (method, law) = match is_share {
        true => (Method::Wilson, Law::Share(Proportion { successes: gained, trials }, Scale::Identity)),
        false => (Method::Tango, Law::Difference(PairedDifference { trials, gained, lost })),
    };
    Ok(Measurement { method, law, ..measured })
}

/// What the rows weigh whose decision changes between two models from a wrong to the right one, from the right to a wrong
/// one, and from one wrong to another.
///
/// # Errors
/// Without rows or such models.
pub fn changes(sample: &Sample, a: usize, b: usize) -> Result<[f64; 3], Undefined> {
    let (a, b) = (Rows::new(sample, a)?, Rows::new(sample, b)?);
    let mut changes = [0.0; 3];
    for (entry, mass) in a.masses.iter().enumerate() {
        let (before, after, label) = (a.decision(entry), b.decision(entry), a.label(entry));
        let kind = if after == label {
            0
        } else if before == label {
            1
        } else {
            2
        };
        changes[kind] += if before == after { 0.0 } else { *mass };
    }
    Ok(changes)
}

/// The rows as one model sees them.
struct Rows<'s> {
    sample: &'s Sample,
    /// Its scores by class.
    scores: &'s [Vec<f64>],
    masses: Vec<f64>,
    /// What all rows weigh together.
    mass: f64,
}

impl<'s> Rows<'s> {
    fn new(sample: &'s Sample, model: usize) -> Result<Self, Undefined> {
        let classes = sample.classes.len();
        if sample.counts.is_empty() {
            return Err(Undefined::NoRows);
        }
        let scores = sample.scores.get(model * classes..(model + 1) * classes).filter(|scores| !scores.is_empty());
        let (scores, masses) = (scores.ok_or(Undefined::NotMeasured)?, sample.masses());
        match masses.iter().sum::<f64>() {
            0.0 => Err(Undefined::NoWeight),
            mass => Ok(Self { sample, scores, masses, mass }),
        }
    }

    fn classes(&self) -> usize {
        self.scores.len()
    }

    fn label(&self, entry: usize) -> usize {
        self.sample.labels[entry] as usize
    }

    /// The class with the highest score, the first of several.
    fn decision(&self, entry: usize) -> usize {
        let better =
            |best: usize, class: usize| if self.scores[class][entry] > self.scores[best][entry] { class } else { best };
        (1..self.classes()).fold(0, better)
    }

    /// Whether the label is among the `k` classes with the highest scores; of equal ones the later come first, as in
    /// scikit-learn.
    fn is_among(&self, k: u64, entry: usize) -> bool {
        let label = self.label(entry);
        let own = self.scores[label][entry];
        let before = |&class: &usize| {
            let score = self.scores[class][entry];
            score > own || (score == own && class > label)
        };
        ((0..self.classes()).filter(before).count() as u64) < k
    }

    fn surprise(&self, entry: usize) -> f64 {
        -self.scores[self.label(entry)][entry].clamp(f64::EPSILON, 1.0 - f64::EPSILON).ln()
    }

    fn squared_distance(&self, entry: usize) -> f64 {
        let label = self.label(entry);
        let target = |class: usize| if class == label { 1.0 } else { 0.0 };
        self.scores.iter().enumerate().map(|(class, scores)| (scores[entry] - target(class)).powi(2)).sum()
    }

    fn mean(&self, of: impl Fn(&Self, usize) -> f64) -> Influence {
        let mut of_entry = (0..self.masses.len()).map(|entry| of(self, entry)).collect::<Vec<_>>();
        let value = of_entry.iter().zip(&self.masses).map(|(loss, mass)| loss * mass).sum::<f64>() / self.mass;
        of_entry.iter_mut().for_each(|loss| *loss -= value);
        Influence { value, of_entry }
    }
}

/// A metric that is a share of whole rows: which rows are tried, and which of them are successes.
#[derive(Clone, Copy)]
enum Share {
    /// All rows; those decided rightly.
    Right,
    /// All rows; those whose label is among so many classes.
    Top(u64),
    /// Rows of a class; those decided for it.
    Recall(usize),
    /// Rows decided for a class; those of it.
    Precision(usize),
}

impl Share {
    /// The metric as a share, if it is one. With one label and one decision a row, micro averages and the recall weighted by
    /// the rows of the classes are accuracy.
    fn of(metric: &Metric, sample: &Sample) -> Result<Option<Self>, Undefined> {
        Ok(Some(match metric {
            Metric::Accuracy
            | Metric::MicroPrecision
            | Metric::MicroRecall
            | Metric::MicroF1
            | Metric::WeightedRecall => Self::Right,
            Metric::TopKAccuracy { k } => Self::Top(*k),
            Metric::ClassRecall { class } => Self::Recall(index(sample, class)?),
            Metric::ClassPrecision { class } => Self::Precision(index(sample, class)?),
            _ => return Ok(None),
        }))
    }

    fn is_tried(self, rows: &Rows<'_>, entry: usize) -> bool {
        match self {
            Self::Right | Self::Top(_) => true,
            Self::Recall(class) => rows.label(entry) == class,
            Self::Precision(class) => rows.decision(entry) == class,
        }
    }

    fn is_success(self, rows: &Rows<'_>, entry: usize) -> bool {
        match self {
            Self::Right => rows.label(entry) == rows.decision(entry),
            Self::Top(k) => rows.is_among(k, entry),
            Self::Recall(class) | Self::Precision(class) => rows.label(entry) == class && rows.decision(entry) == class,
        }
    }

    fn undefined(self) -> Undefined {
        match self {
            Self::Right | Self::Top(_) => Undefined::NoRows,
            Self::Recall(class) => Undefined::NoRowOfClass { number: class + 1 },
            Self::Precision(class) => Undefined::NoDecisionForClass { number: class + 1 },
        }
    }

    /// The share, and `(success - share * tried) / share of the rows that are tried`.
    fn influence(self, rows: &Rows<'_>) -> Result<Influence, Undefined> {
        let (mut tried, mut successes) = (0.0, 0.0);
        for (entry, mass) in rows.masses.iter().enumerate() {
            tried += if self.is_tried(rows, entry) { *mass } else { 0.0 };
            successes += if self.is_success(rows, entry) { *mass } else { 0.0 };
        }
        if tried == 0.0 {
            return Err(self.undefined());
        }
        let (value, scale) = (successes / tried, rows.mass / tried);
        let of_entry = (0..rows.masses.len()).map(|entry| match self.is_tried(rows, entry) {
            false => 0.0,
            true => scale * (f64::from(u8::from(self.is_success(rows, entry))) - value),
        });
        Ok(Influence { value, of_entry: of_entry.collect() })
    }

    fn measure(self, metric: &Metric, sample: &Sample, weights: &[f64]) -> Result<Measurement, Undefined> {
        let measured = bounded(metric, sample, weights, |rows| self.influence(rows))?;
        let plain = sample.clusters.is_none() && !is_weighted(sample);
        let is_point = matches!(measured.law, Law::Point);
        let (method, law) = match (single(weights), paired(weights)) {
            (Some(model), _) if plain || is_point => {
                let rows = Rows::new(sample, model)?;
                let trials = effective_rows(sample, |entry| self.is_tried(&rows, entry));
                let share = Proportion { successes: measured.value * trials, trials };
                (Method::Wilson, Law::Share(if plain { self.count(&rows) } else { share }, Scale::Identity))
            }
            (_, Some((first, second))) if plain && !matches!(self, Self::Precision(_)) => {
                let models = (Rows::new(sample, first)?, Rows::new(sample, second)?);
                (Method::Tango, Law::Difference(self.difference(&models.0, &models.1)))
            }
            _ => {
                let mut fewest = f64::INFINITY;
                for (model, _) in weighted(weights) {
                    let rows = Rows::new(sample, model)?;
                    fewest = fewest.min(effective_rows(sample, |entry| self.is_tried(&rows, entry)));
                }
                return unvaried(measured, fewest, weights);
            }
        };
        Ok(Measurement { method, law, ..measured })
    }

    fn count(self, rows: &Rows<'_>) -> Proportion {
        let of = |meets: fn(Self, &Rows<'_>, usize) -> bool| {
            let counts = rows.sample.counts.iter().enumerate().filter(|(entry, _)| meets(self, rows, *entry));
            counts.map(|(_, count)| *count as f64).sum()
        };
        Proportion { successes: of(Self::is_success), trials: of(Self::is_tried) }
    }

    fn difference(self, first: &Rows<'_>, second: &Rows<'_>) -> PairedDifference {
        let won = |winner: &Rows<'_>, loser: &Rows<'_>| {
            let counts = winner.sample.counts.iter().enumerate();
            let only = counts.filter(|(entry, _)| self.is_success(winner, *entry) && !self.is_success(loser, *entry));
            only.map(|(_, count)| *count as f64).sum()
        };
        PairedDifference { trials: self.count(first).trials, gained: won(first, second), lost: won(second, first) }
    }
}

/// A metric on a bounded scale, whose rounding is that of numbers of size one.
fn bounded(
    metric: &Metric,
    sample: &Sample,
    weights: &[f64],
    of: impl Fn(&Rows<'_>) -> Result<Influence, Undefined>,
) -> Result<Measurement, Undefined> {
    let (mut value, mut size, mut total) = (0.0, 0.0, vec![0.0; sample.counts.len()]);
    for (model, weight) in weighted(weights) {
        let influence = of(&Rows::new(sample, model)?)?;
        value += weight * influence.value;
        size += weight.abs();
        total.iter_mut().zip(&influence.of_entry).for_each(|(total, influence)| *total += weight * influence);
    }
    influence::measurement(sample, value, size, &total, range(metric, weights))
}

/// A measurement that does not vary, with what may have gone unseen in so many rows instead: one row, or cluster, moves the
/// weighted sum by no more than all the weights of one sign.
fn unvaried(measured: Measurement, trials: f64, weights: &[f64]) -> Result<Measurement, Undefined> {
    if !matches!(measured.law, Law::Point) {
        return Ok(measured);
    }
    let side = |sign: f64| weights.iter().map(|weight| (sign * weight).max(0.0)).sum::<f64>();
    let law = Law::Unvaried { trials, step: side(1.0).max(side(-1.0)) };
    Ok(Measurement { method: Method::Unvaried, law, ..measured })
}

/// The effective rows of the rarest class that has any.
fn rarest_class(sample: &Sample, weights: &[f64]) -> Result<f64, Undefined> {
    let (model, _) = weighted(weights).next().ok_or(Undefined::NotMeasured)?;
    let rows = Rows::new(sample, model)?;
    let of_class = |class: usize| effective_rows(sample, |entry| rows.label(entry) == class);
    Ok((0..rows.classes()).map(of_class).filter(|rows| *rows > 0.0).fold(f64::INFINITY, f64::min))
}

/// The rows that equal weights would need for the same variance (Kish, Survey Sampling, 1965, section 8.2), and at most as
/// many as there are clusters.
fn effective_rows(sample: &Sample, counts: impl Fn(usize) -> bool) -> f64 {
    let (mut sum, mut squares) = (0.0, 0.0);
    for (entry, count) in sample.counts.iter().enumerate().filter(|(entry, _)| counts(*entry)) {
        let weight = sample.weights.as_ref().map_or(1.0, |weights| weights[entry]);
        sum += *count as f64 * weight;
        squares += *count as f64 * weight * weight;
    }
    let rows = if sum > 0.0 { sum * sum / squares } else { 0.0 };
    if sample.clusters.is_none() { rows } else { rows.min(sample.by_cluster().len() as f64) }
}

/// Whether rows weigh anything but 1.
fn is_weighted(sample: &Sample) -> bool {
    sample.weights.as_ref().is_some_and(|weights| weights.iter().any(|weight| *weight != 1.0))
}

fn index(sample: &Sample, class: &str) -> Result<usize, Undefined> {
    sample.classes.iter().position(|name| name == class).ok_or(Undefined::NotMeasured)
}

/// The squared distance between two distributions is at most 2.
fn brier_range(weights: &[f64]) -> (f64, f64) {
    single(weights).map_or((f64::NEG_INFINITY, f64::INFINITY), |_| (0.0, 2.0))
}

//! The metrics of a regression on labelled, scored rows.
//!
//! Errors are score minus label. Means of a loss have the loss itself as influence; what is a function of means has the
//! influence that the chain rule gives. What depends on the order of the errors has the bootstrap's interval.

use crate::stats::bootstrap;
use crate::stats::influence::{self, Influence};
use crate::stats::measurement::Measurement;
use crate::stats::metric::Metric;
use crate::stats::sample::Sample;
use crate::stats::undefined::Undefined;
use crate::stats::weights::range;

/// The weighted sum of a metric over the models.
///
/// # Errors
/// When the metric is not defined on the rows, has no interval there, or is not of this task.
pub fn measure(metric: &Metric, sample: &Sample, weights: &[f64]) -> Result<Measurement, Undefined> {
    let measure = |weights: &[f64], range| {
        influence::measure(sample, weights, range, |model| of(metric, &Rows::new(sample, model)?))
    };
    match metric {
        Metric::MedianAbsoluteError | Metric::MaxError | Metric::ResidualQuantile { .. } => {
            ordered(metric, sample, weights)
        }
        // One minus a share of variance: what is rounding is told by the share, not by a difference that may be nothing else.
        Metric::R2 | Metric::ExplainedVariance => {
            let negative = weights.iter().map(|weight| -weight).collect::<Vec<_>>();
            let share = measure(&negative, range(metric, weights))?;
            Ok(Measurement { value: weights.iter().sum::<f64>() + share.value, ..share })
        }
        _ => measure(weights, range(metric, weights)),
    }
}

fn of(metric: &Metric, rows: &Rows<'_>) -> Result<Influence, Undefined> {
    let error = |label: f64, score: f64| score - label;
    Ok(match metric {
        Metric::Mae => rows.mean(|label, score| error(label, score).abs()),
        Metric::Mse => rows.mean(|label, score| error(label, score).powi(2)),
        Metric::Rmse => root(rows.mean(|label, score| error(label, score).powi(2))),
        Metric::Rmsle => {
            rows.demand("labels and scores above -1", |label, score| label > -1.0 && score > -1.0)?;
            root(rows.mean(|label, score| (score.ln_1p() - label.ln_1p()).powi(2)))
        }
        Metric::Mape => rows.mean(|label, score| error(label, score).abs() / label.abs().max(f64::EPSILON)),
        Metric::Smape => rows.mean(symmetric),
        Metric::MeanError => rows.mean(error),
        Metric::PinballLoss { quantile } => rows.mean(|label, score| pinball(*quantile, label - score)),
        Metric::PoissonDeviance => {
            rows.demand("labels of at least 0 and scores above 0", |label, score| label >= 0.0 && score > 0.0)?;
            rows.mean(poisson)
        }
        Metric::GammaDeviance => {
            rows.demand("labels and scores above 0", |label, score| label > 0.0 && score > 0.0)?;
            rows.mean(|label, score| 2.0 * ((score / label).ln() + label / score - 1.0))
        }
        Metric::R2 => rows.unexplained(|error| error)?,
        Metric::ExplainedVariance => {
            let mean = rows.mean(error).value;
            rows.unexplained(|error| error - mean)?
        }
        _ => return Err(Undefined::NotMeasured),
    })
}

/// The metrics of order, whose intervals are the bootstrap's.
fn ordered(metric: &Metric, sample: &Sample, weights: &[f64]) -> Result<Measurement, Undefined> {
    let of_error = |error: f64| if matches!(metric, Metric::ResidualQuantile { .. }) { error } else { error.abs() };
    let errors = |model| -> Result<Ordered, Undefined> {
        let pairs = sample.labels.iter().zip(sample.model(model)?);
        Ok(Ordered::new(&pairs.map(|(label, score)| of_error(score - label)).collect::<Vec<_>>()))
    };
    let models = (0..weights.len()).map(errors).collect::<Result<Vec<_>, _>>()?;
    bootstrap::measure(sample, weights, range(metric, weights), |model, masses| {
        let errors = &models[model];
        let found = match metric {
            Metric::ResidualQuantile { quantile } => errors.first(masses, |share| share >= *quantile),
            Metric::MaxError => errors.last(masses),
            _ => {
                let lower = errors.first(masses, |share| share >= 0.5);
                lower.zip(errors.first(masses, |share| share > 0.5)).map(|(lower, upper)| lower.midpoint(upper))
            }
        };
        found.ok_or(Undefined::NoWeight)
    })
}

/// Numbers in ascending order, each with its entry.
struct Ordered(Vec<(f64, usize)>);

impl Ordered {
    fn new(values: &[f64]) -> Self {
        Self(Sample::ascending(values).into_iter().map(|entry| (values[entry], entry)).collect())
    }

    /// The first number up to which the share of the mass is enough; none without mass.
    fn first(&self, masses: &[f64], enough: impl Fn(f64) -> bool) -> Option<f64> {
        let total = self.0.iter().map(|(_, entry)| masses[*entry]).sum::<f64>();
        let mut below = 0.0;
        let reached = self.0.iter().find(|(_, entry)| {
            below += masses[*entry];
            enough(below / total)
        });
        reached.map(|(value, _)| *value)
    }

    /// The last number that has mass.
    fn last(&self, masses: &[f64]) -> Option<f64> {
        self.0.iter().rev().find(|(_, entry)| masses[*entry] > 0.0).map(|(value, _)| *value)
    }
}

/// The rows of one model.
struct Rows<'s> {
    labels: &'s [f64],
    scores: &'s [f64],
    counts: &'s [u64],
    masses: Vec<f64>,
}

impl<'s> Rows<'s> {
    fn new(sample: &'s Sample, model: usize) -> Result<Self, Undefined> {
        let (scores, masses) = (sample.model(model)?, sample.masses());
        Ok(Self { labels: &sample.labels, scores, counts: &sample.counts, masses })
    }

    /// `of` label and score, entry by entry.
    fn map(&self, of: impl Fn(f64, f64) -> f64) -> Vec<f64> {
        self.labels.iter().zip(self.scores).map(|(&label, &score)| of(label, score)).collect()
    }

    fn average(&self, values: &[f64]) -> f64 {
        let total = values.iter().zip(&self.masses).map(|(value, mass)| value * mass).sum::<f64>();
        total / self.masses.iter().sum::<f64>()
    }

    fn mean(&self, loss: impl Fn(f64, f64) -> f64) -> Influence {
        let mut of_entry = self.map(loss);
        let value = self.average(&of_entry);
        of_entry.iter_mut().for_each(|loss| *loss -= value);
        Influence { value, of_entry }
    }

    /// `A / B` of the mean squares `A` of the errors and `B` of the labels about their mean, whose influence is
    /// `(error^2 - A / B (label - mean)^2) / B`.
    fn unexplained(&self, error: impl Fn(f64) -> f64) -> Result<Influence, Undefined> {
        let center = self.average(self.labels);
        let errors = self.map(|label, score| error(score - label).powi(2));
        let labels = self.map(|label, _| (label - center).powi(2));
        let (unexplained, all) = (self.average(&errors), self.average(&labels));
        if self.is_constant() || all == 0.0 {
            return Err(Undefined::ConstantLabels);
        }
        let value = unexplained / all;
        let of_entry = errors.iter().zip(&labels).map(|(error, label)| (error - value * label) / all).collect();
        Ok(Influence { value, of_entry })
    }

    /// Whether all rows that weigh something have one label. The mean of equal labels need not be the label.
    fn is_constant(&self) -> bool {
        let mut weighing =
            self.labels.iter().zip(&self.masses).filter(|(_, mass)| **mass > 0.0).map(|(label, _)| label);
        weighing.next().is_none_or(|first| weighing.all(|label| label == first))
    }

    fn demand(&self, what: &'static str, fits: impl Fn(f64, f64) -> bool) -> Result<(), Undefined> {
        let pairs = self.labels.iter().zip(self.scores).zip(self.counts);
        let rows = pairs.filter(|((label, score), _)| !fits(**label, **score)).map(|(_, count)| count).sum();
        if rows == 0 { Ok(()) } else { Err(Undefined::OutsideDomain { rows, needed: what }) }
    }
}

/// The root of a mean. A mean of 0 has no influence either, so its infinite slope is of no consequence.
fn root(mean: Influence) -> Influence {
    let value = mean.value.sqrt();
    let slope = if value > 0.0 { 0.5 / value } else { 0.0 };
    Influence { value, of_entry: mean.of_entry.iter().map(|influence| influence * slope).collect() }
}

fn symmetric(label: f64, score: f64) -> f64 {
    let size = score.abs() + label.abs();
    if size == 0.0 { 0.0 } else { 2.0 * (score - label).abs() / size }
}

/// Koenker and Bassett (1978), of how far the label is above the score.
fn pinball(quantile: f64, above: f64) -> f64 {
    if above >= 0.0 { quantile * above } else { (quantile - 1.0) * above }
}

fn poisson(label: f64, score: f64) -> f64 {
    let surprise = if label == 0.0 { 0.0 } else { label * (label / score).ln() };
    2.0 * (surprise + score - label)
}

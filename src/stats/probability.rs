//! The metrics of probabilities: proper scores, and whether the probabilities promise as much as is seen.

use crate::stats::influence::Influence;
use crate::stats::metric::Metric;
use crate::stats::sample::Sample;
use crate::stats::undefined::Undefined;

/// The metric of one model, with its influences.
///
/// # Errors
/// Without rows or weight, when the metric is a division by zero, or not one of probabilities.
pub fn influence(metric: &Metric, sample: &Sample, model: usize) -> Result<Influence, Undefined> {
    let scores = sample.model(model)?;
    let rows = Rows { labels: &sample.labels, scores, masses: sample.masses() };
    if rows.mass() == 0.0 {
        return Err(Undefined::NoWeight);
    }
    match metric {
        Metric::LogLoss => Ok(rows.mean(log_loss)),
        Metric::Brier => Ok(rows.mean(brier)),
        Metric::BrierSkill => rows.brier_skill(),
        Metric::CalibrationRatio => rows.calibration_ratio(),
        _ => Err(Undefined::NotMeasured),
    }
}

/// Labels, probabilities of 1, and weights.
struct Rows<'a> {
    labels: &'a [f64],
    scores: &'a [f64],
    masses: Vec<f64>,
}

impl Rows<'_> {
    fn mass(&self) -> f64 {
        self.masses.iter().sum()
    }

    /// The mean of a function of label and score; its influence is the function itself, centred.
    fn mean(&self, of: impl Fn(f64, f64) -> f64) -> Influence {
        let of_entry = self.labels.iter().zip(self.scores).map(|(&label, &score)| of(label, score));
        let mut of_entry = of_entry.collect::<Vec<_>>();
        let value = of_entry.iter().zip(&self.masses).map(|(of, mass)| mass * of).sum::<f64>() / self.mass();
        of_entry.iter_mut().for_each(|of| *of -= value);
        Influence { value, of_entry }
    }

    fn brier_skill(&self) -> Result<Influence, Undefined> {
        let (brier, prevalence) = (self.mean(brier), self.mean(|label, _| label));
        let share = prevalence.value;
        if self.is_one_class() {
            return Err(if share > 0.0 { Undefined::NoNegatives } else { Undefined::NoPositives });
        }
        let (reference, slope) = (share * (1.0 - share), 1.0 - 2.0 * share);
        let ratio = brier.value / reference;
        let influence = |(brier, label): (&f64, &f64)| (ratio * slope * label - brier) / reference;
        let of_entry = brier.of_entry.iter().zip(&prevalence.of_entry).map(influence).collect();
        Ok(Influence { value: 1.0 - ratio, of_entry })
    }

    fn calibration_ratio(&self) -> Result<Influence, Undefined> {
        let (promised, seen) = (self.mean(|_, score| score).value, self.mean(|label, _| label).value);
        if seen == 0.0 {
            return Err(Undefined::NoPositives);
        }
        let ratio = promised / seen;
        let of_entry =
            self.labels.iter().zip(self.scores).map(|(label, score)| (score - ratio * label) / seen).collect();
        Ok(Influence { value: ratio, of_entry })
    }

    fn is_one_class(&self) -> bool {
        let weighs = |positive: bool| {
            self.labels.iter().zip(&self.masses).any(|(label, mass)| (*label == 1.0) == positive && *mass > 0.0)
        };
        !(weighs(true) && weighs(false))
    }
}

/// `-ln` of the probability given to the label, clipped to `[EPSILON, 1 - EPSILON]` as in scikit-learn.
fn log_loss(label: f64, score: f64) -> f64 {
    let clipped = score.clamp(f64::EPSILON, 1.0 - f64::EPSILON);
    if label == 1.0 { -clipped.ln() } else { -(-clipped).ln_1p() }
}

fn brier(label: f64, score: f64) -> f64 {
    (score - label) * (score - label)
}

//! Metrics of decisions as functions of the confusion matrix, with their derivatives.
//!
//! Let `p[i][j]` be the share of the rows with label `i` that are decided for `j`. A metric `f(p)` has the influence
//! `f'[i][j] - sum of f' p` on a row of that cell, which is the delta method for multinomial shares.

use super::{Rows, index};
use crate::stats::influence::Influence;
use crate::stats::metric::{KappaWeights, Metric};
use crate::stats::undefined::Undefined;

/// Shares of the rows, by label and by decision.
pub(super) struct Confusion {
    joint: Vec<Vec<f64>>,
    labels: Vec<f64>,
    decisions: Vec<f64>,
}

/// A function of the shares with its derivative by each.
struct Smooth {
    value: f64,
    slope: Vec<Vec<f64>>,
}

/// How the classes are averaged.
#[derive(Clone, Copy)]
enum Average {
    /// All alike.
    Macro,
    /// By their share of the labels.
    Weighted,
    /// One class.
    Only(usize),
}

/// A share of a class: its rightly decided rows above, and below them those of its label, its decision, or of both.
#[derive(Clone, Copy)]
struct Ratio {
    by_label: f64,
    by_decision: f64,
}

const RECALL: Ratio = Ratio { by_label: 1.0, by_decision: 0.0 };
const PRECISION: Ratio = Ratio { by_label: 0.0, by_decision: 1.0 };
const F1: Ratio = Ratio { by_label: 0.5, by_decision: 0.5 };

impl Confusion {
    pub(super) fn new(rows: &Rows<'_>) -> Self {
        let classes = rows.classes();
        let mut masses = vec![vec![0.0; classes]; classes];
        for (entry, mass) in rows.masses.iter().enumerate() {
            masses[rows.label(entry)][rows.decision(entry)] += mass;
        }
        let share = |mass: f64| mass / rows.mass;
        let labels = masses.iter().map(|row| share(row.iter().sum())).collect();
        let decisions = (0..classes).map(|class| share(masses.iter().map(|row| row[class]).sum())).collect();
        let joint = masses.into_iter().map(|row| row.into_iter().map(share).collect()).collect();
        Self { joint, labels, decisions }
    }

    /// The metric, and its influence on each entry.
    pub(super) fn influence(&self, metric: &Metric, rows: &Rows<'_>) -> Result<Influence, Undefined> {
        let Smooth { value, slope } = self.smooth(metric, rows)?;
        let mean = self.cells().map(|(i, j)| slope[i][j] * self.joint[i][j]).sum::<f64>();
        let of_entry = |entry| slope[rows.label(entry)][rows.decision(entry)] - mean;
        // Sums in another order may miss an end of the range by a bit.
        let value = value.clamp(metric.range().0, metric.range().1);
        Ok(Influence { value, of_entry: (0..rows.masses.len()).map(of_entry).collect() })
    }

    fn smooth(&self, metric: &Metric, rows: &Rows<'_>) -> Result<Smooth, Undefined> {
        Ok(match metric {
            Metric::BalancedAccuracy => {
                self.each_class_has_rows()?;
                self.average(RECALL, Average::Macro)
            }
            Metric::MacroRecall => self.average(RECALL, Average::Macro),
            Metric::MacroPrecision => self.average(PRECISION, Average::Macro),
            Metric::MacroF1 => self.average(F1, Average::Macro),
            Metric::WeightedPrecision => self.average(PRECISION, Average::Weighted),
            Metric::WeightedF1 => self.average(F1, Average::Weighted),
            Metric::ClassF1 { class } => {
                let class = index(rows.sample, class)?;
                if self.labels[class] + self.decisions[class] == 0.0 {
                    return Err(Undefined::NothingOfClass { number: class + 1 });
                }
                self.average(F1, Average::Only(class))
            }
            Metric::MatthewsCorrelation => self.correlation()?,
            Metric::CohenKappa { weights } => self.kappa(*weights)?,
            _ => return Err(Undefined::NotMeasured),
        })
    }

    fn each_class_has_rows(&self) -> Result<(), Undefined> {
        let absent = self.labels.iter().position(|share| *share == 0.0);
        absent.map_or(Ok(()), |class| Err(Undefined::NoRowOfClass { number: class + 1 }))
    }

    /// A class without anything below the line counts 0.
    fn average(&self, ratio: Ratio, average: Average) -> Smooth {
        let classes = self.labels.len();
        let mut smooth = Smooth { value: 0.0, slope: vec![vec![0.0; classes]; classes] };
        for class in 0..classes {
            let below = ratio.by_label * self.labels[class] + ratio.by_decision * self.decisions[class];
            if below == 0.0 {
                continue;
            }
            let value = self.joint[class][class] / below;
            let weight = match average {
                Average::Macro => 1.0 / classes as f64,
                Average::Weighted => self.labels[class],
                Average::Only(only) => f64::from(u8::from(only == class)),
            };
            smooth.value += weight * value;
            smooth.slope[class][class] += weight / below;
            for other in 0..classes {
                smooth.slope[class][other] -= weight * value * ratio.by_label / below;
                smooth.slope[other][class] -= weight * value * ratio.by_decision / below;
                if matches!(average, Average::Weighted) {
                    smooth.slope[class][other] += value;
                }
            }
        }
        smooth
    }

    /// Gorodkin, Computational Biology and Chemistry 28 (2004) 367-374, equation 8: with the shares `t` of the labels and
    /// `u` of the decisions, `(sum of p[i][i] - sum of t u) / sqrt((1 - sum of t^2) (1 - sum of u^2))`.
    fn correlation(&self) -> Result<Smooth, Undefined> {
        if is_one(&self.labels) || is_one(&self.decisions) {
            return Err(Undefined::OneClassOnly);
        }
        let spread = |shares: &[f64]| 1.0 - shares.iter().map(|share| share * share).sum::<f64>();
        let (of_labels, of_decisions) = (spread(&self.labels), spread(&self.decisions));
        let right = (0..self.labels.len()).map(|class| self.joint[class][class]).sum::<f64>();
        let by_chance = self.labels.iter().zip(&self.decisions).map(|(t, u)| t * u).sum::<f64>();
        let scale = (of_labels * of_decisions).sqrt();
        let value = (right - by_chance) / scale;
        let slope = self.square(|i, j| {
            let agrees = if i == j { 1.0 } else { 0.0 };
            (agrees - self.decisions[i] - self.labels[j]) / scale
                + value * (self.labels[i] / of_labels + self.decisions[j] / of_decisions)
        });
        Ok(Smooth { value, slope })
    }

    /// Cohen, Psychological Bulletin 70 (1968) 213-220: 1 minus the weighted disagreement over that expected by chance.
    fn kappa(&self, weights: KappaWeights) -> Result<Smooth, Undefined> {
        let weight = |i: usize, j: usize| {
            let distance = i.abs_diff(j) as f64;
            match weights {
                KappaWeights::None => distance.min(1.0),
                KappaWeights::Linear => distance,
                KappaWeights::Quadratic => distance * distance,
            }
        };
        let seen = self.cells().map(|(i, j)| weight(i, j) * self.joint[i][j]).sum::<f64>();
        let expected = self.cells().map(|(i, j)| weight(i, j) * self.labels[i] * self.decisions[j]).sum::<f64>();
        if expected == 0.0 {
            return Err(Undefined::OneClassOnly);
        }
        let of = |shares: &[f64], at: usize| {
            shares.iter().enumerate().map(|(class, share)| weight(at, class) * share).sum::<f64>()
        };
        let slope = self.square(|i, j| {
            let by_chance = of(&self.decisions, i) + of(&self.labels, j);
            (seen / expected * by_chance - weight(i, j)) / expected
        });
        Ok(Smooth { value: 1.0 - seen / expected, slope })
    }

    fn cells(&self) -> impl Iterator<Item = (usize, usize)> + use<> {
        let classes = self.labels.len();
        (0..classes).flat_map(move |i| (0..classes).map(move |j| (i, j)))
    }

    fn square(&self, of: impl Fn(usize, usize) -> f64) -> Vec<Vec<f64>> {
        let classes = self.labels.len();
        (0..classes).map(|i| (0..classes).map(|j| of(i, j)).collect()).collect()
    }
}

/// Whether one class has everything.
fn is_one(shares: &[f64]) -> bool {
    shares.iter().filter(|share| **share > 0.0).count() < 2
}

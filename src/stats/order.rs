//! The metrics of a binary task that depend on the scores through their order: areas, cuts and best thresholds.
//!
//! Areas are smooth in the rows, so their error comes from the placements (`DeLong`) or from the influence function. A cut
//! moves with the rows, and a best threshold jumps: there it is the bootstrap. All sums are over the rows by descending
//! score, those of one score at once.

use crate::stats::binned::Binned;
use crate::stats::bootstrap;
use crate::stats::influence::{self, Influence};
use crate::stats::measurement::{Law, Measurement, Method};
use crate::stats::metric::Metric;
use crate::stats::rank;
use crate::stats::sample::Sample;
use crate::stats::undefined::Undefined;
use crate::stats::weights::{range, single, weighted};

/// The weighted sum of a metric over the models.
///
/// # Errors
/// When the metric is not defined on the rows, has no interval there, or is not one of order.
pub fn measure(metric: &Metric, sample: &Sample, weights: &[f64]) -> Result<Measurement, Undefined> {
    let range = range(metric, weights);
    let found = match metric {
        Metric::RocAuc => return rank::auc(sample, weights),
        Metric::Gini => return Ok(gini(rank::auc(sample, weights)?, weights, range)),
        Metric::AveragePrecision => {
            influence::measure(sample, weights, range, |model| average_precision(&Ranking::new(sample, model)?))
        }
        _ => {
            let rankings = weighted(weights).map(|(model, _)| Ranking::new(sample, model).map(|found| (model, found)));
            let rankings = rankings.collect::<Result<Vec<_>, _>>()?;
            let ranking = |model: usize| rankings.iter().find(|(other, _)| *other == model).map(|(_, found)| found);
            let value =
                |model: usize, masses: &[f64]| ranking(model).ok_or(Undefined::NotMeasured)?.value(metric, masses);
            match metric {
                Metric::KolmogorovSmirnov | Metric::BestF1 | Metric::BestAccuracy => {
                    bootstrap::measure_biased(sample, weights, range, value)
                }
                _ => bootstrap::measure(sample, weights, range, value),
            }
        }
    };
    found.map(|found| if single(weights).is_some() { unvaried(found, metric, sample) } else { found })
}

/// The weighted sum of a metric over models whose scores are in cells.
///
/// # Errors
/// When the metric is not defined on the rows, or is not known from cells.
pub fn of_cells(metric: &Metric, binned: &Binned, weights: &[f64]) -> Result<Measurement, Undefined> {
    match metric {
        Metric::RocAuc => rank::auc_of_cells(binned, weights),
        Metric::Gini => Ok(gini(rank::auc_of_cells(binned, weights)?, weights, range(metric, weights))),
        _ => Err(Undefined::NotMeasured),
    }
}

/// Twice the area less one, for each model of the sum.
fn gini(area: Measurement, weights: &[f64], range: (f64, f64)) -> Measurement {
    let law = match area.law {
        Law::Studentised { error, reference } => Law::Studentised { error: 2.0 * error, reference },
        Law::Binned { error, reference, bound } => Law::Binned { error: 2.0 * error, reference, bound: 2.0 * bound },
        Law::Unvaried { trials, step } => Law::Unvaried { trials, step: 2.0 * step },
        other => other,
    };
    Measurement { value: 2.0 * area.value - weights.iter().sum::<f64>(), law, range, ..area }
}

/// A single model's metric that did not vary, with what may have gone unseen in the rows that it rests on: those above the
/// cut for a precision there, and else the rows, or clusters, of the rarer class.
fn unvaried(found: Measurement, metric: &Metric, sample: &Sample) -> Measurement {
    let step = found.range.1 - found.range.0;
    if !matches!(found.law, Law::Point) || step.is_infinite() {
        return found;
    }
    let trials = match metric {
        Metric::PrecisionAtShare { share } => share * found.rows as f64,
        Metric::PrecisionAtK { k } => *k as f64,
        _ => rank::units(sample).iter().copied().min().unwrap_or(0) as f64,
    };
    let trials = found.clusters.map_or(trials, |clusters| trials.min(clusters as f64));
    Measurement { method: Method::Unvaried, law: Law::Unvaried { trials, step }, ..found }
}

/// The entries of a sample by descending score.
struct Ranking<'a> {
    sample: &'a Sample,
    entries: Vec<Entry>,
    /// Where each run of equal scores ends.
    ends: Vec<usize>,
    /// Rows that weigh something.
    rows: f64,
}

#[derive(Clone, Copy)]
struct Entry {
    index: usize,
    positive: bool,
}

/// What rows of either label weigh.
#[derive(Clone, Copy, Default)]
struct Mass {
    positive: f64,
    negative: f64,
}

impl Mass {
    fn total(self) -> f64 {
        self.positive + self.negative
    }

    fn add(&mut self, more: Self, share: f64) {
        self.positive += share * more.positive;
        self.negative += share * more.negative;
    }
}

impl<'a> Ranking<'a> {
    fn new(sample: &'a Sample, model: usize) -> Result<Self, Undefined> {
        let scores = sample.model(model)?;
        let mut order = Sample::ascending(scores);
        order.reverse();
        let runs = order.chunk_by(|&left, &right| scores[left] == scores[right]).map(<[usize]>::len);
        let ends = runs.scan(0, |end, run| {
            *end += run;
            Some(*end)
        });
        let ends = ends.collect();
        let entries = order.iter().map(|&index| Entry { index, positive: sample.labels[index] == 1.0 }).collect();
        Ok(Self { sample, entries, ends, rows: rank::rows(sample).iter().sum::<u64>() as f64 })
    }

    fn value(&self, metric: &Metric, masses: &[f64]) -> Result<f64, Undefined> {
        let total = self.total(masses);
        self.check(metric, total)?;
        let Mass { positive, negative } = total;
        Ok(match metric {
            Metric::KolmogorovSmirnov => self.best(masses, |at| at.positive / positive - at.negative / negative),
            Metric::BestF1 => self.best(masses, |at| 2.0 * at.positive / (at.total() + positive)),
            Metric::BestAccuracy => self.best(masses, |at| (at.positive + negative - at.negative) / total.total()),
            Metric::RecallAtPrecision { precision } => self
                .best(masses, |at| if at.positive / at.total() >= *precision { at.positive / positive } else { 0.0 }),
            Metric::SensitivityAtSpecificity { specificity } => self.best(masses, |at| {
                if (negative - at.negative) / negative >= *specificity { at.positive / positive } else { 0.0 }
            }),
            Metric::Lift { share } => self.first(masses, *share).positive / positive / share,
            Metric::Gain { share } => self.first(masses, *share).positive / positive,
            Metric::PrecisionAtShare { share } => self.first(masses, *share).positive / (share * total.total()),
            Metric::PrecisionAtK { k } => {
                let first = self.first_rows(masses, *k)?;
                first.positive / first.total()
            }
            Metric::RecallAtK { k } => self.first_rows(masses, *k)?.positive / positive,
            _ => return Err(Undefined::NotMeasured),
        })
    }

    fn check(&self, metric: &Metric, total: Mass) -> Result<(), Undefined> {
        let [negatives, positives] = rank::rows(self.sample);
        match metric {
            _ if total.total() <= 0.0 => Err(Undefined::NoRows),
            Metric::BestAccuracy | Metric::PrecisionAtShare { .. } | Metric::PrecisionAtK { .. } => Ok(()),
            Metric::KolmogorovSmirnov | Metric::SensitivityAtSpecificity { .. } => {
                let both = total.positive > 0.0 && total.negative > 0.0;
                if both { Ok(()) } else { Err(Undefined::OneClass { positives, negatives }) }
            }
            _ => {
                if total.positive > 0.0 {
                    Ok(())
                } else {
                    Err(Undefined::NoPositives)
                }
            }
        }
    }

    /// The rows of each distinct score, from the highest.
    fn runs(&self) -> impl Iterator<Item = &[Entry]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, &end)| &self.entries[start..end])
    }

    /// Summed in the order of the scores, as everything here, so that what is reached at the end is all, to the bit.
    fn total(&self, masses: &[f64]) -> Mass {
        let mut total = Mass::default();
        self.runs().for_each(|run| total.add(mass(run, masses), 1.0));
        total
    }

    /// The highest score of any threshold, also of one that no row reaches.
    fn best(&self, masses: &[f64], score: impl Fn(Mass) -> f64) -> f64 {
        let mut reached = Mass::default();
        let mut best = score(reached).max(0.0);
        for run in self.runs() {
            reached.add(mass(run, masses), 1.0);
            best = best.max(score(reached));
        }
        best
    }

    /// The first rows that make up a share of the weight.
    fn first(&self, masses: &[f64], share: f64) -> Mass {
        self.until(masses, |index| masses[index], share * self.total(masses).total())
    }

    /// The first `k` rows, whatever they weigh. A replicate with more or fewer copies than there are rows has as many more
    /// or fewer first ones: `k` stands for a share of the rows.
    fn first_rows(&self, masses: &[f64], k: u64) -> Result<Mass, Undefined> {
        let rows = self.rows;
        if k as f64 > rows {
            return Err(Undefined::FewerThanFirst { rows: rows as u64, first: k });
        }
        let weights = self.sample.weights.as_deref();
        let copies = |index: usize| match weights.map_or(1.0, |weights| weights[index]) {
            0.0 => 0.0,
            weight => masses[index] / weight,
        };
        let drawn = self.entries.iter().map(|entry| copies(entry.index)).sum::<f64>();
        Ok(self.until(masses, copies, k as f64 * drawn / rows))
    }

    /// The first rows whose sizes add up to `cut`, of rows with equal scores at the cut as large a share as fits.
    fn until(&self, masses: &[f64], size: impl Fn(usize) -> f64, cut: f64) -> Mass {
        let (mut first, mut taken) = (Mass::default(), 0.0);
        for run in self.runs() {
            let run_size = run.iter().map(|entry| size(entry.index)).sum::<f64>();
            if taken + run_size >= cut {
                first.add(mass(run, masses), if run_size > 0.0 { (cut - taken) / run_size } else { 0.0 });
                break;
            }
            first.add(mass(run, masses), 1.0);
            taken += run_size;
        }
        first
    }
}

fn mass(run: &[Entry], masses: &[f64]) -> Mass {
    let mut mass = Mass::default();
    for entry in run {
        *(if entry.positive { &mut mass.positive } else { &mut mass.negative }) += masses[entry.index];
    }
    mass
}

/// With the positive weight `t` of each score, the positive weight `T` and the whole weight `N` of the rows that reach it,
/// and the positive weight `P` of all: `A = sum of t T / N / P`.
///
/// The influence of a row is the slope of that in its weight, times the weight of all rows. A row adds its label to the `t`
/// of its own score and to `P`, and to the `T` and `N` of all scores that it reaches.
fn average_precision(ranking: &Ranking<'_>) -> Result<Influence, Undefined> {
    let masses = ranking.sample.masses();
    let total = ranking.total(&masses);
    ranking.check(&Metric::AveragePrecision, total)?;
    let mut reached = Mass::default();
    let curve = ranking.runs().map(|run| {
        let here = mass(run, &masses);
        reached.add(here, 1.0);
        (here.positive / total.positive, reached)
    });
    let curve = curve.collect::<Vec<_>>();
    let precision = |at: Mass| if at.positive > 0.0 { at.positive / at.total() } else { 0.0 };
    let value = curve.iter().map(|&(step, at)| step * precision(at)).sum::<f64>();
    let mut of_entry = vec![0.0; masses.len()];
    // Over the scores that a row reaches: the sum of t / N, and of t T / N^2, by P.
    let (mut gained, mut diluted) = (0.0, 0.0);
    let runs = ranking.runs().zip(&curve).collect::<Vec<_>>();
    for (run, &(step, at)) in runs.into_iter().rev() {
        if step > 0.0 {
            gained += step / at.total();
            diluted += step * precision(at) / at.total();
        }
        for entry in run {
            let own = if entry.positive { (precision(at) - value) / total.positive + gained } else { 0.0 };
            of_entry[entry.index] = total.total() * (own - diluted);
        }
    }
    Ok(Influence { value, of_entry })
}

//! What bootstrap replicates say: an interval and the p-values that invert it.
//!
//! The interval is Efron's percentile interval, which for a quantile is about the exact one between two ranks, and is the
//! same on every scale. A metric that picks the best of many thresholds is biased upwards, and its replicates are so once
//! more; there the interval is the bias-corrected one, which takes the bias back (Efron, "Better bootstrap confidence
//! intervals", Journal of the American Statistical Association 82 (1987) 171-185, section 3; DiCiccio and Efron,
//! Statistical Science 11 (1996) 189-228). Replicates show the whole bias where the metric is smooth around its best
//! threshold. Where it is as rough as a random walk, as shares of continuous scores are, the best of the noise grows with
//! its variance to the power 2/3 (Kim and Pollard, "Cube root asymptotics", The Annals of Statistics 18 (1990) 191-219);
//! replicates have the noise twice, and so show only `2^(2/3) - 1` of the bias (on why replicates are then no law of the
//! estimate: Abrevaya and Huang, "On the bootstrap of the maximum score estimator", Econometrica 73 (2005) 1175-1204).
//! Each end of the interval is therefore corrected by the one of the two that puts it further out. The correction is not
//! for all: where an estimate jumps, as a recall at a fixed
//! precision does, its place among the replicates is noise. In simulations of a binormal model at a nominal 95 %
//! (1,000 rows, 30 % positives, 250 samples, so give or take 1.4 %), percentile, basic and BCa intervals had the truth in
//! 85, 92 and 94 % for Kolmogorov-Smirnov, 89, 91 and 93 % for the best F1, but 94, 87 and 92 % for the recall at precision
//! 0.7 of one model, and 96, 90 and 90 % for the difference of two.
//!
//! For few rows or clusters the normal quantile is replaced by Student's, widened by `sqrt(n / (n - 1))`, which makes good
//! that the bootstrap's variance has `n` below the line (Hesterberg, "What teachers should know about the bootstrap", The
//! American Statistician 69 (2015) 371-386, the expanded interval).
//!
//! The distribution of the replicates is taken as a curve of normal quantiles: straight between the replicates, and beyond
//! the outermost ones as the tail of a normal distribution. So p-values do not end at one in the number of replicates.
//! What lies outside of the rows stays unseen: a largest value's replicates never exceed it, and no bootstrap says by how
//! much the truth does.

use crate::stats::distribution::{Reference, normal_quantile};

/// The normal quantile by which the width of the tails is measured, that of 5 %.
const SHOULDER: f64 = 1.6449;

/// The bias that there is at most, as a multiple of the one that the replicates show: `1 / (2^(2/3) - 1)`.
const MOST_BIAS: f64 = 1.702_414_383_919_315_3;

/// The replicates of an estimate.
#[derive(Clone, PartialEq, Debug)]
pub struct Replicates {
    estimate: f64,
    /// Ascending.
    values: Vec<f64>,
    /// The normal quantile of each rank.
    quantiles: Vec<f64>,
    /// By how many normal quantiles the lower and the upper end of an interval are shifted against the bias; else 0.
    shifts: [f64; 2],
    /// What one standard error is below and above the replicates.
    tails: [f64; 2],
    /// Independent rows or clusters.
    units: f64,
}

impl Replicates {
    /// The law of an estimate with these replicates, not all equal to it, from `units` independent rows or clusters;
    /// `corrected` for the bias that they show.
    #[must_use]
    pub fn new(estimate: f64, mut values: Vec<f64>, corrected: bool, units: u64) -> Self {
        values.sort_by(f64::total_cmp);
        let count = values.len() as f64;
        let quantiles = (1..=values.len()).map(|rank| normal_quantile(rank as f64 / (count + 1.0))).collect::<Vec<_>>();
        let [below, upto] = ranks(&values, estimate).map(|rank| rank as f64);
        let shown = if corrected { normal_quantile((f64::midpoint(below, upto) + 0.5) / (count + 1.0)) } else { 0.0 };
        // Once for the estimate, whose bias the replicates have as well, and once for their own.
        let [least, most] = [1.0, MOST_BIAS].map(|share| (1.0 + share) * shown);
        let shifts = [least.min(most), least.max(most)];
        let mut replicates = Self { estimate, values, quantiles, shifts, tails: [1.0; 2], units: units as f64 };
        replicates.tails = replicates.measured_tails();
        replicates
    }

    /// The standard deviation of the replicates.
    #[must_use]
    pub fn standard_error(&self) -> f64 {
        let mean = self.values.iter().sum::<f64>() / self.values.len() as f64;
        let squares = self.values.iter().map(|value| (value - mean).powi(2)).sum::<f64>();
        (squares / (self.values.len() as f64 - 1.0)).sqrt()
    }

    /// The law of the studentised estimate.
    #[must_use]
    pub fn reference(&self) -> Reference {
        Reference::Student(self.units - 1.0)
    }

    /// All limits with statistics within `critical`, and always the estimate.
    #[must_use]
    pub fn interval(&self, critical: f64) -> (f64, f64) {
        let z = critical * self.widening();
        let [low, high] = [self.value_at(self.shifts[0] - z), self.value_at(self.shifts[1] + z)];
        (low.min(self.estimate), high.max(self.estimate))
    }

    /// How far the estimate is above `limit`, as the test of "at most `limit`" and that of "at least `limit`" see it: they
    /// differ where replicates are equal to the limit, and where they put the estimate outside its own interval.
    #[must_use]
    pub fn statistics(&self, limit: f64) -> [f64; 2] {
        let [low, high] = self.quantiles_at(limit);
        let statistic = |shift: f64, quantile: f64| (shift - quantile) / self.widening();
        let [above, below] = [statistic(self.shifts[0], high), statistic(self.shifts[1], low)];
        [
            if limit >= self.estimate { above.min(0.0) } else { above },
            if limit <= self.estimate { below.max(0.0) } else { below },
        ]
    }

    fn widening(&self) -> f64 {
        (self.units / (self.units - 1.0)).sqrt()
    }

    /// The value at a normal quantile of the replicates.
    fn value_at(&self, z: f64) -> f64 {
        let (values, quantiles) = (&self.values, &self.quantiles);
        let last = values.len() - 1;
        match quantiles.partition_point(|quantile| *quantile < z) {
            0 => values[0] + self.tails[0] * (z - quantiles[0]),
            rank if rank > last => values[last] + self.tails[1] * (z - quantiles[last]),
            rank => between(z, [quantiles[rank - 1], quantiles[rank]], [values[rank - 1], values[rank]]),
        }
    }

    /// The lowest and the highest normal quantile of the replicates at a value.
    fn quantiles_at(&self, value: f64) -> [f64; 2] {
        let (values, quantiles) = (&self.values, &self.quantiles);
        let last = values.len() - 1;
        let [below, upto] = ranks(values, value);
        if below < upto {
            return [quantiles[below], quantiles[upto - 1]];
        }
        let quantile = match below {
            0 => quantiles[0] + (value - values[0]) / self.tails[0],
            rank if rank > last => quantiles[last] + (value - values[last]) / self.tails[1],
            rank => between(value, [values[rank - 1], values[rank]], [quantiles[rank - 1], quantiles[rank]]),
        };
        [quantile; 2]
    }

    /// A tail has the width of its side between the middle and the outer 5 %, or of all replicates around the estimate if
    /// that is more: no limit is far away because the replicates happen to end.
    fn measured_tails(&self) -> [f64; 2] {
        let squares = self.values.iter().map(|value| (value - self.estimate).powi(2)).sum::<f64>();
        let spread = (squares / self.values.len() as f64).sqrt();
        [-SHOULDER, SHOULDER].map(|z| spread.max((self.value_at(z) - self.value_at(0.0)) / z))
    }
}

/// How many of the ascending values are below a value, and how many at most it.
fn ranks(values: &[f64], value: f64) -> [usize; 2] {
    [values.partition_point(|other| *other < value), values.partition_point(|other| *other <= value)]
}

/// On the line through two points, whose first coordinates differ.
fn between(x: f64, [x0, x1]: [f64; 2], [y0, y1]: [f64; 2]) -> f64 {
    y0 + (x - x0) / (x1 - x0) * (y1 - y0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::random::normal;

    /// Skewed, biased and tied replicates in turn.
    fn laws() -> Vec<Replicates> {
        let draws = |count: u64| (0..count).map(move |draw| normal(5, count, draw));
        let skewed = draws(999).map(|z| (0.3 * z).exp()).collect();
        let biased = draws(998).map(|z| 0.1 + 0.1 * z).collect();
        let tied = draws(997).map(|z| (4.0 * z).round() / 20.0).collect();
        vec![
            Replicates::new(1.0, skewed, false, 200),
            Replicates::new(0.0, biased, true, 15),
            Replicates::new(0.0, tied, true, 1000),
        ]
    }

    /// A limit is in the interval exactly when neither of its tests rejects it, from the widest to the narrowest.
    #[test]
    fn the_interval_holds_what_the_tests_do_not_reject() {
        for law in laws() {
            for alpha in [1e-12, 1e-4, 0.01, 0.025, 0.05, 0.3, 0.5] {
                let (low, high) = law.interval(law.reference().critical(alpha));
                assert!(low <= law.estimate && law.estimate <= high);
                for (limit, inside) in [
                    (low - 1e-6, false),
                    (low + 1e-6, true),
                    (law.estimate, true),
                    (high - 1e-6, true),
                    (high + 1e-6, false),
                ] {
                    let [above, below] = law.statistics(limit);
                    let [above, below] = [-above, below].map(|statistic| law.reference().at_most(statistic));
                    let narrow = inside && high - low < 4e-6;
                    assert!(narrow || (above.min(below) >= alpha) == inside, "{alpha} {limit} {law:?}");
                }
            }
        }
    }

    /// Normal replicates without bias give the normal interval, also at 1e-6, where the tail is drawn out from 999 of them.
    #[test]
    fn normal_replicates_give_the_normal_interval() {
        let values = (1..=999).map(|rank| 3.0 + 2.0 * normal_quantile(f64::from(rank) / 1000.0)).collect();
        let law = Replicates::new(3.0, values, true, 1_000_000);
        for (alpha, tolerance) in [(0.05, 0.001), (0.001, 0.001), (1e-6, 0.1)] {
            let z = Reference::Normal.critical(alpha);
            let (low, high) = law.interval(z);
            assert!(
                (high - 3.0 - 2.0 * z).abs() < tolerance && (3.0 - 2.0 * z - low).abs() < tolerance,
                "{low} {high}"
            );
        }
        assert!((law.standard_error() - 2.0).abs() < 0.03);
    }

    /// A bias of half an error is taken back: the interval reaches from the estimate less the most that it may be, to the
    /// estimate less what is shown.
    #[test]
    fn bias_is_taken_back() {
        let values = (1..=999).map(|rank| 0.5 + normal_quantile(f64::from(rank) / 1000.0)).collect();
        let (low, high) = Replicates::new(0.0, values, true, 1_000_000).interval(1.5);
        assert!((low + 1.5 + 0.5 * MOST_BIAS).abs() < 0.01 && (high - 1.0).abs() < 0.01, "{low} {high}");
    }
}

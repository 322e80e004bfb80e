//! Score tests of proportions and of paired differences of proportions, and the intervals that invert them.
//!
//! Score intervals, unlike Wald's, keep their level for few rows and for shares near 0 and 1, and never collapse to a
//! point (Newcombe 1998; Agresti and Coull 1998).

use crate::stats::bisection::bisect;

/// `successes` among `trials`. Need not be whole: clustered data are scaled to their number of clusters.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Proportion {
    /// Successes, at most `trials`.
    pub successes: f64,
    /// Trials, above 0.
    pub trials: f64,
}

impl Proportion {
    /// The score statistic of "the true share is `share`": positive when more was seen.
    #[must_use]
    pub fn statistic(self, share: f64) -> f64 {
        let share = share.clamp(0.0, 1.0);
        standardised(self.successes - self.trials * share, self.trials * share * (1.0 - share))
    }

    /// All shares with a statistic within `z`: the interval of Wilson (1927).
    #[must_use]
    pub fn interval(self, z: f64) -> (f64, f64) {
        let (n, p, z2) = (self.trials, self.successes / self.trials, z * z);
        let middle = p + z2 / (2.0 * n);
        let half = z * (p * (1.0 - p) / n + z2 / (4.0 * n * n)).sqrt();
        let scale = 1.0 + z2 / n;
        let low = if self.successes <= 0.0 { 0.0 } else { (middle - half) / scale };
        let high = if self.successes >= n { 1.0 } else { (middle + half) / scale };
        (low, high)
    }
}

/// Rows on which two models were both right or wrong, except `gained`, where only the first was right, and `lost`, where
/// only the second was.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct PairedDifference {
    /// Rows, above 0.
    pub trials: f64,
    /// Rows on which only the first model was right.
    pub gained: f64,
    /// Rows on which only the second model was right.
    pub lost: f64,
}

impl PairedDifference {
    /// The score statistic of "the true difference is `difference`": positive when more was seen.
    ///
    /// T. Tango, "Equivalence test and confidence interval for the difference in proportions for the paired-sample
    /// design", Statistics in Medicine 17 (1998) 891-908, with `difference` for his `-delta`. At 0 this is McNemar's.
    #[must_use]
    pub fn statistic(self, difference: f64) -> f64 {
        let d = difference.clamp(-1.0, 1.0);
        standardised(self.gained - self.lost - self.trials * d, self.variance(d))
    }

    /// The standard error of the difference if the truth is `difference`, which is what the statistic divides by.
    #[must_use]
    pub fn error_at(self, difference: f64) -> f64 {
        self.variance(difference.clamp(-1.0, 1.0)).max(0.0).sqrt() / self.trials
    }

    fn variance(self, d: f64) -> f64 {
        self.trials * (2.0 * self.nuisance(d) + d * (1.0 - d))
    }

    /// All differences with a statistic within `z`, by bisection, since the statistic falls as the difference rises.
    #[must_use]
    pub fn interval(self, z: f64) -> (f64, f64) {
        let value = (self.gained - self.lost) / self.trials;
        let low = bisect(-1.0, value, |difference| self.statistic(difference) > z);
        let high = bisect(value, 1.0, |difference| self.statistic(difference) > -z);
        (low, high)
    }

    /// The likeliest share of lost rows if the difference is `d`: the larger root of Tango's quadratic.
    fn nuisance(self, d: f64) -> f64 {
        let Self { trials, gained, lost } = self;
        let a = 2.0 * trials;
        let b = (2.0 * trials - gained + lost) * d - gained - lost;
        let c = -lost * d * (1.0 - d);
        let root = (b * b - 4.0 * a * c).max(0.0).sqrt();
        let share = if b > 0.0 { -2.0 * c / (b + root) } else { (root - b) / (2.0 * a) };
        share.max(-d).max(0.0)
    }
}

/// The score interval's width at the edge: what was seen in none of `trials` has at most this share, `z^2 / (n + z^2)`.
///
/// It is Wilson's limit for no success, and Tango's for no discordant row.
#[must_use]
pub fn unseen(trials: f64, z: f64) -> f64 {
    z * z / (trials + z * z)
}

/// The statistic of "what was seen in none of `trials` has the share `share`"; the inverse of [`unseen`].
#[must_use]
pub fn unseen_statistic(trials: f64, share: f64) -> f64 {
    let share = share.clamp(0.0, 1.0);
    (trials * share / (1.0 - share)).sqrt()
}

/// `excess / sqrt(variance)`, where without variance any excess is beyond chance.
fn standardised(excess: f64, variance: f64) -> f64 {
    match excess {
        0.0 => 0.0,
        _ if variance > 0.0 => excess / variance.sqrt(),
        _ => f64::INFINITY.copysign(excess),
    }
}

//! Score tests of proportions and of paired differences of proportions, and the intervals that invert them.
//!
//! Score intervals, unlike Wald's, keep their level for few rows and for shares near 0 and 1, and never collapse to a
//! point (Newcombe 1998; Agresti and Coull 1998). But one side of Wilson's interval does not keep the level of a one-sided
//! test while few of the rarer outcome were seen, so there the exact one stands in for it.

use statrs::function::beta::checked_beta_reg;

use crate::stats::bisection::bisect;

/// From this many of the rarer outcome on, Wilson's one-sided level is right to within a tenth at 0.5 %.
///
/// The size that matters is that of the rarer outcome, not of the trials. Summed over all outcomes of 50 to 10,000 trials,
/// the chance of a wrong rejection at its worst share is 4 times a level of 5 % and 150 times one of 0.05 %, with any number
/// of trials: one success in a million is no evidence for a share above one in ten million. With exact tests below 20 of
/// the rarer outcome it is 1.4 and 5 times, below 100 1.15 and 1.9 times; the error falls with the root of that number.
const MANY: f64 = 1000.0;

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

    /// Whether fewer than 1,000 of the rarer outcome were seen, so that tests are exact.
    #[must_use]
    pub fn is_exact(self) -> bool {
        self.successes.min(self.trials - self.successes) < MANY
    }

    /// The chance of as many successes as seen, or more, if the true share is `share`: the p-value of "at most `share`".
    ///
    /// It is the regularised incomplete beta function, which also takes numbers that are not whole.
    #[must_use]
    pub fn exact_p_above(self, share: f64) -> f64 {
        let Self { successes, trials } = self;
        match share {
            _ if successes <= 0.0 => 1.0,
            ..=0.0 => 0.0,
            1.0.. => 1.0,
            share => checked_beta_reg(successes, trials - successes + 1.0, share).unwrap_or(1.0),
        }
    }

    /// The chance of as many successes as seen, or fewer, if the true share is `share`: the p-value of "at least `share`".
    #[must_use]
    pub fn exact_p_below(self, share: f64) -> f64 {
        Self { successes: self.trials - self.successes, ..self }.exact_p_above(1.0 - share)
    }

    /// All shares whose exact p-values are at least `alpha_per_side`: the interval of Clopper and Pearson (Biometrika 26
    /// (1934) 404-413).
    #[must_use]
    pub fn exact_interval(self, alpha_per_side: f64) -> (f64, f64) {
        let value = self.successes / self.trials;
        let low = if self.successes <= 0.0 {
            0.0
        } else {
            bisect(0.0, value, |share| self.exact_p_above(share) < alpha_per_side)
        };
        let high = if self.successes >= self.trials {
            1.0
        } else {
            bisect(value, 1.0, |share| self.exact_p_below(share) >= alpha_per_side)
        };
        (low, high)
    }

    /// How many times as many trials, with as large a share of successes, reject `share` at `alpha` by the exact test; none
    /// when no number does.
    #[must_use]
    pub fn rows_for(self, share: f64, alpha: f64) -> Option<f64> {
        let excess = self.successes / self.trials - share;
        let decides = |factor: f64| {
            let more = Self { successes: factor * self.successes, trials: factor * self.trials };
            (if excess > 0.0 { more.exact_p_above(share) } else { more.exact_p_below(share) }) < alpha
        };
        let mut factors = std::iter::successors(Some(1.0), |factor| Some(2.0 * factor)).take(MAX_DOUBLINGS);
        let enough = factors.find(|&factor| excess != 0.0 && decides(factor))?;
        Some(if enough <= 1.0 { 1.0 } else { bisect(enough / 2.0, enough, |factor| !decides(factor)) })
    }
}

/// As many times more rows as this many doublings are not an answer.
const MAX_DOUBLINGS: usize = 30;

/// Two shares of independent rows: of two slices, or two windows.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct IndependentDifference {
    /// The share from which the other is subtracted.
    pub first: Proportion,
    /// The share that is subtracted.
    pub second: Proportion,
}

impl IndependentDifference {
    /// Newcombe's hybrid score interval: the distances of Wilson's limits from the shares, added as errors are. Method 10
    /// of R. G. Newcombe, "Interval estimation for the difference between independent proportions", Statistics in Medicine
    /// 17 (1998) 873-890.
    #[must_use]
    pub fn interval(self, z: f64) -> (f64, f64) {
        let [first, second] = [self.first, self.second].map(|share| {
            let (value, (low, high)) = (share.successes / share.trials, share.interval(z));
            (value, value - low, high - value)
        });
        let value = first.0 - second.0;
        (value - first.1.hypot(second.2), value + first.2.hypot(second.1))
    }

    /// The `z` at which the interval ends at `difference`, positive when more was seen; infinite when it never gets there.
    #[must_use]
    pub fn statistic(self, difference: f64) -> f64 {
        let value = self.first.successes / self.first.trials - self.second.successes / self.second.trials;
        let reaches = |z: f64| {
            let (low, high) = self.interval(z);
            if difference < value { low <= difference } else { high >= difference }
        };
        match difference {
            _ if difference == value => 0.0,
            _ if reaches(FARTHEST) => bisect(0.0, FARTHEST, |z| !reaches(z)).copysign(value - difference),
            _ => f64::INFINITY.copysign(value - difference),
        }
    }
}

/// A normal quantile beyond which no chance can be told from 0.
const FARTHEST: f64 = 40.0;

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
    ///
    /// There is no exact conditional test of a difference other than 0, and none is needed. Summed over all outcomes of 50,
    /// 200 and 1,000 rows with 0.5 to 40 expected gained rows, the chance of a wrong rejection at a difference of 0 is at
    /// most 1.06 times a level of 5 % and below smaller levels; at -0.01 and -0.03 with 1,000 rows it is at most 1.2 times
    /// 5 %, 1.7 times 0.5 % and 3.4 times 0.05 %, the last two in the direction of a worse model only.
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

//! A measured metric, or a weighted sum of metrics, with its interval and its tests.

use std::sync::Arc;

use serde::Serialize;

use crate::stats::distribution::Reference;
use crate::stats::proportion::{PairedDifference, Proportion, unseen, unseen_statistic};
use crate::stats::replicates::Replicates;

/// How an interval and its p-values were computed.
///
/// Each says from how many rows on a nominal 95 % is 93.5 to 96.5 %, as `bench/COVERAGE.md` shows by simulation. The policy's
/// `min_rows` of 100 and `min_positives` of 20 are these sizes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// Wilson's score interval of a share, from 1,000 of the rarer outcome on.
    Wilson,
    /// Clopper and Pearson's exact interval of a share, for any number of trials.
    ClopperPearson,
    /// Tango's score interval of a paired difference of shares. From 100 rows, 30 of them in the share, on.
    Tango,
    /// The delta method on means over rows. From 100 rows on; for a loss of which few rows have most, later: 200 for a cost
    /// and for the log-loss of a sharp model, 500 for deviances, RMSLE and squares of errors with heavy tails. Differences
    /// from 100. Average precision and the expected calibration error from 1,000.
    Delta,
    /// The delta method with cluster-robust covariance, and Student's t. From 20 clusters on; over the groups of a ranking
    /// from 100, and a hit rate from 200.
    DeltaClustered,
    /// `DeLong`, `DeLong` and Clarke-Pearson (1988), for one model, on the logit, with Satterthwaite's t. From 20 rows of
    /// each class on.
    Delong,
    /// The same for several models on the same rows, as it is, with the normal. From 20 rows of each class on.
    DelongPaired,
    /// `DeLong` on scores in cells, where rows have more than 32,768 distinct scores and labels: for one model on the logit
    /// with Satterthwaite's t, for several as it is with the normal. Beyond the cells' value the interval holds the most by
    /// which it may be off, half the share of pairs of a positive and a negative row that share a cell, and the standard
    /// error the most by which the cells may hide that rows vary. From 20 rows of each class on.
    DelongBinned,
    /// Obuchowski (1997): `DeLong` with clusters, and Student's t. From 20 clusters on.
    Obuchowski,
    /// The percentile interval of a Poisson bootstrap of rows, bias-corrected for the best of many (Efron 1987). From 2,000
    /// rows on. With fewer, what is cut off at a share, a precision or a specificity has too wide an interval, and the best
    /// of many too narrow a one: 92 to 98 % with 500 rows. A largest error is that of the rows seen, with any number.
    Bootstrap,
    /// The same with all rows of a cluster, or a group, drawn together. From 2,000 rows in 100 clusters on.
    BootstrapClustered,
    /// No variation was seen, so the interval is what may have gone unseen in as many rows or clusters.
    Unvaried,
    /// Every row agrees on the value, so the interval is a point.
    Constant,
}

impl Method {
    /// The name in records.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Wilson => "wilson",
            Self::ClopperPearson => "clopper-pearson",
            Self::Tango => "tango",
            Self::Delta => "delta",
            Self::DeltaClustered => "delta-clustered",
            Self::Delong => "delong",
            Self::DelongPaired => "delong-paired",
            Self::DelongBinned => "delong-binned",
            Self::Obuchowski => "obuchowski",
            Self::Bootstrap => "bootstrap",
            Self::BootstrapClustered => "bootstrap-clustered",
            Self::Unvaried => "unvaried",
            Self::Constant => "constant",
        }
    }
}

/// A value with what is known of its error.
///
/// The interval at `alpha` contains a limit exactly when neither one-sided p-value at that limit is below `alpha`, as long
/// as the limit is in the metric's range.
#[derive(Clone, PartialEq, Debug)]
pub struct Measurement {
    /// The metric, or the weighted sum of the models' metrics.
    pub value: f64,
    /// Usable rows.
    pub rows: u64,
    /// Their clusters, if rows are clustered.
    pub clusters: Option<u64>,
    /// How the interval and the p-values are computed.
    pub method: Method,
    pub(crate) law: Law,
    /// The values that are possible at all; intervals are cut there.
    pub(crate) range: (f64, f64),
}

/// The sampling law of the value.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Law {
    /// The value does not vary. The models agree to the bit on every row, or all losses are equal: nothing in the data
    /// speaks of another value, and a self-comparison must come out exact.
    Point,
    /// The studentised value follows the reference distribution.
    Studentised { error: f64, reference: Reference },
    /// The same, and the value is expected to be up to `above` higher than the truth, or `below` lower.
    Biased { error: f64, reference: Reference, above: f64, below: f64 },
    /// Some value that is at most `bound` away follows the reference distribution when it is studentised.
    Binned { error: f64, reference: Reference, bound: f64 },
    /// The value is a share, seen through a scale.
    Share(Proportion, Scale),
    /// The value is a paired difference of shares.
    Difference(PairedDifference),
    /// The value varies as its bootstrap replicates.
    Replicates(Arc<Replicates>),
    /// No variation in this many trials, each of which can move the value by at most `step`.
    Unvaried { trials: f64, step: f64 },
}

/// How a metric depends on a share.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Scale {
    /// The metric is the share.
    Identity,
    /// F1 is `2 J / (1 + J)` of the share `J = TP / (TP + FP + FN)`, the Jaccard index.
    F1,
}

impl Measurement {
    /// Whether it is a point at 0.
    #[must_use]
    pub fn is_zero(&self) -> bool {
        self.value == 0.0 && self.law == Law::Point
    }

    /// The same value, known to be without variation.
    #[must_use]
    pub fn constant(self) -> Self {
        Self { method: Method::Constant, law: Law::Point, ..self }
    }

    /// The limits that are exceeded with the chance `alpha_per_side` each: a two-sided interval at
    /// `1 - 2 alpha_per_side`, each end of which is a one-sided limit at `1 - alpha_per_side`.
    #[must_use]
    pub fn interval(&self, alpha_per_side: f64) -> (f64, f64) {
        let z = self.reference().critical(alpha_per_side.clamp(f64::MIN_POSITIVE, 0.5));
        let around = |half: f64| (self.value - half, self.value + half);
        let (low, high) = match &self.law {
            Law::Point => around(0.0),
            Law::Studentised { error, .. } => self.axis(self.value).interval(self.value, z * error),
            &Law::Binned { error, bound, .. } => {
                let (least, most) = (self.value - bound, self.value + bound);
                (self.axis(least).interval(least, z * error).0, self.axis(most).interval(most, z * error).1)
            }
            Law::Biased { error, above, below, .. } => (self.value - above - z * error, self.value + below + z * error),
            Law::Replicates(replicates) => replicates.interval(z),
            Law::Share(share, scale) if share.is_exact() => scale.interval(share.exact_interval(alpha_per_side)),
            Law::Share(share, scale) => scale.interval(share.interval(z)),
            Law::Difference(difference) => difference.interval(z),
            &Law::Unvaried { trials, step } => around(step * unseen(trials, z)),
        };
        (low.max(self.range.0), high.min(self.range.1))
    }

    /// The one-sided p-value of "the truth is at least `limit`" against "it is below".
    #[must_use]
    pub fn p_below(&self, limit: f64) -> f64 {
        match &self.law {
            Law::Share(share, scale) if share.is_exact() => share.exact_p_below(scale.share(limit)),
            _ => self.reference().at_most(self.statistics(limit)[1]),
        }
    }

    /// The one-sided p-value of "the truth is at most `limit`" against "it is above".
    #[must_use]
    pub fn p_above(&self, limit: f64) -> f64 {
        match &self.law {
            Law::Share(share, scale) if share.is_exact() => share.exact_p_above(scale.share(limit)),
            _ => self.reference().at_most(-self.statistics(limit)[0]),
        }
    }

    /// The standard error: estimated, or for a score method that of the plug-in variance; 0 without variation.
    #[must_use]
    pub fn standard_error(&self) -> f64 {
        match &self.law {
            Law::Point | Law::Unvaried { .. } => 0.0,
            Law::Studentised { error, .. } | Law::Biased { error, .. } | Law::Binned { error, .. } => *error,
            Law::Share(share, scale) => scale.standard_error(*share),
            Law::Replicates(replicates) => replicates.standard_error(),
            Law::Difference(PairedDifference { trials, gained, lost }) => {
                ((gained + lost) / trials - self.value * self.value).max(0.0).sqrt() / trials.sqrt()
            }
        }
    }

    /// The most by which the value may be off because scores are known by their cells only, where they are.
    #[must_use]
    pub fn binning_error(&self) -> Option<f64> {
        if let Law::Binned { bound, .. } = self.law { Some(bound) } else { None }
    }

    /// About how many more rows would decide: as many as put `limit` outside the one-sided interval at `alpha_per_side`,
    /// if the estimate stays where it is and new rows come in clusters like the old ones.
    ///
    /// Every statistic here grows with the root of the number of rows, which the answer inverts, but for exact tests, which
    /// are asked themselves. `Some(0)` when it is
    /// decided already; none when the estimate sits on the limit or does not vary.
    #[must_use]
    pub fn needs_rows(&self, limit: f64, alpha_per_side: f64) -> Option<u64> {
        if let Law::Share(share, scale) = &self.law
            && share.is_exact()
        {
            let share = share.rows_for(scale.share(limit), alpha_per_side);
            return share.map(|factor| ((factor - 1.0) * self.rows as f64).ceil() as u64);
        }
        let [above, below] = self.statistics(limit);
        let statistic = above.max(-below);
        if statistic <= 0.0 || statistic.is_infinite() {
            return None;
        }
        let mut factor = 1.0;
        for _ in 0..REFINEMENTS {
            let critical = self.reference_after(factor).critical(alpha_per_side.clamp(f64::MIN_POSITIVE, 0.5));
            factor = (critical / statistic).powi(2).max(1.0);
        }
        Some(((factor - 1.0) * self.rows as f64).ceil() as u64)
    }

    /// How far the value is above `limit`, in standard errors under "the truth is `limit`": for the test of "at most
    /// `limit`", and for that of "at least `limit`", which may differ.
    fn statistics(&self, limit: f64) -> [f64; 2] {
        let excess = self.value - limit;
        let statistic = match &self.law {
            Law::Replicates(replicates) => return replicates.statistics(limit),
            Law::Biased { error, above, below, .. } => return [(excess - above) / error, (excess + below) / error],
            Law::Binned { error, bound, .. } => {
                return [-bound, *bound].map(|off| {
                    let value = self.value + off;
                    self.axis(value).excess(value, limit) / error
                });
            }
            _ if excess == 0.0 => 0.0,
            Law::Point => f64::INFINITY.copysign(excess),
            Law::Studentised { error, .. } => self.axis(self.value).excess(self.value, limit) / error,
            Law::Share(share, scale) => share.statistic(scale.share(limit)),
            Law::Difference(difference) => difference.statistic(limit),
            &Law::Unvaried { trials, step } => unseen_statistic(trials, excess.abs() / step).copysign(excess),
        };
        [statistic; 2]
    }

    /// The axis along which a value is studentised; one at an end of its range has none but its own.
    fn axis(&self, value: f64) -> Axis {
        let (low, high) = self.range;
        if low < value && value < high { Axis { low, high } } else { Axis::STRAIGHT }
    }

    pub(crate) fn reference(&self) -> Reference {
        self.reference_after(1.0)
    }

    /// The reference distribution with `factor` times as many rows.
    fn reference_after(&self, factor: f64) -> Reference {
        let reference = match &self.law {
            Law::Studentised { reference, .. } | Law::Biased { reference, .. } | Law::Binned { reference, .. } => {
                *reference
            }
            Law::Replicates(replicates) => replicates.reference(),
            _ => Reference::Normal,
        };
        match reference {
            Reference::Student(degrees) => Reference::Student((degrees + 1.0) * factor - 1.0),
            Reference::Normal => Reference::Normal,
        }
    }
}

/// The axis along which a studentised value is taken as normal: the logarithm of the way to the end of the range, or of the
/// ways to both: the logit. A value near an end is skewed away from it, and its error grows with the way; on this axis
/// neither is so (for ROC AUC: Pepe, The Statistical Evaluation of Medical Tests (2003), section 5.2). `bench/COVERAGE.md`
/// has the proof: at 20 positives the straight interval of an AUC of 0.95 covers 86 % where 95 % are promised.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Axis {
    low: f64,
    high: f64,
}

impl Axis {
    const STRAIGHT: Self = Self { low: f64::NEG_INFINITY, high: f64::INFINITY };

    /// The values whose excess is within `half`.
    fn interval(self, value: f64, half: f64) -> (f64, f64) {
        let (place, half) = (self.place(value), half * self.slope(value));
        // The way there and back must not move an end past the value.
        (self.value(place - half).min(value), self.value(place + half).max(value))
    }

    /// How far `value` is above `limit` along the axis, in units of the value.
    fn excess(self, value: f64, limit: f64) -> f64 {
        (self.place(value) - self.place(limit.clamp(self.low, self.high))) / self.slope(value)
    }

    fn place(self, value: f64) -> f64 {
        match self.ends() {
            (true, true) => ((value - self.low) / (self.high - value)).ln(),
            (true, false) => (value - self.low).ln(),
            (false, true) => -(self.high - value).ln(),
            (false, false) => value,
        }
    }

    fn slope(self, value: f64) -> f64 {
        let way = |is_end: bool, way: f64| if is_end { way.recip() } else { 0.0 };
        match self.ends() {
            (false, false) => 1.0,
            (low, high) => way(low, value - self.low) + way(high, self.high - value),
        }
    }

    fn value(self, place: f64) -> f64 {
        match self.ends() {
            (true, true) => self.low + (self.high - self.low) / (1.0 + (-place).exp()),
            (true, false) => self.low + place.exp(),
            (false, true) => self.high - (-place).exp(),
            (false, false) => place,
        }
    }

    fn ends(self) -> (bool, bool) {
        (self.low.is_finite(), self.high.is_finite())
    }
}

/// Rounds of adapting Student's quantile to the number of clusters it asks for. The quantile hardly moves after two.
const REFINEMENTS: usize = 8;

impl Law {
    /// The law of a share, and its method: exact as long as few of the rarer outcome were seen.
    pub(crate) fn of_share(share: Proportion, scale: Scale) -> (Method, Self) {
        let method = if share.is_exact() { Method::ClopperPearson } else { Method::Wilson };
        (method, Self::Share(share, scale))
    }
}

impl Scale {
    fn interval(self, (low, high): (f64, f64)) -> (f64, f64) {
        (self.metric(low), self.metric(high))
    }

    /// The metric at a share.
    pub(crate) fn metric(self, share: f64) -> f64 {
        match self {
            Self::Identity => share,
            Self::F1 => 2.0 * share / (1.0 + share),
        }
    }

    /// The share at which the metric is `metric`.
    pub(crate) fn share(self, metric: f64) -> f64 {
        let metric = metric.clamp(0.0, 1.0);
        match self {
            Self::Identity => metric,
            Self::F1 => metric / (2.0 - metric),
        }
    }

    pub(crate) fn standard_error(self, Proportion { successes, trials }: Proportion) -> f64 {
        let share = successes / trials;
        let slope = match self {
            Self::Identity => 1.0,
            Self::F1 => 2.0 / (1.0 + share).powi(2),
        };
        slope * (share * (1.0 - share) / trials).max(0.0).sqrt()
    }
}

//! The decision table of one model, and the metrics that are formulas on it.

use crate::stats::dual::Dual;
use crate::stats::measurement::Scale;
use crate::stats::metric::Metric;
use crate::stats::undefined::Undefined;

/// What the rows weigh by label and decision.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Confusion {
    /// First the negatives, decided for 0 and for 1, then the positives.
    pub cells: [[f64; 2]; 2],
}

/// A metric at a decision table.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Rate {
    /// The metric.
    pub value: f64,
    /// By label and decision, the influence of a row there: to first order the error of the metric is its mean over the
    /// rows, each by its weight.
    pub influence: [[f64; 2]; 2],
}

/// Some of the rows, by label and decision.
pub type Chosen = fn(bool, bool) -> bool;

/// A metric as a share of whole rows.
#[derive(Clone, Copy, Debug)]
pub struct Share {
    /// The rows that count, which are among the trials.
    pub successes: Chosen,
    /// The rows that they are counted among.
    pub trials: Chosen,
    /// From the share to the metric.
    pub(crate) scale: Scale,
}

impl Confusion {
    /// The metric.
    ///
    /// Where this is a division by zero, scikit-learn returns 0 with a warning, and leaves an absent class out of balanced
    /// accuracy; here the metric is undefined, with the reason.
    ///
    /// # Errors
    /// When the metric is a division by zero, or not one of decisions.
    pub fn rate(&self, metric: &Metric) -> Result<Rate, Undefined> {
        let rows = self.weight(|_, _| true);
        if rows == 0.0 {
            return Err(Undefined::NoWeight);
        }
        self.is_defined(metric)?;
        let Dual { value, gradient } = self.dual(metric).ok_or(Undefined::NotMeasured)?;
        // A metric does not change when all cells grow alike, so its gradient is centred already.
        let influence =
            std::array::from_fn(|label| std::array::from_fn(|decision| gradient[2 * label + decision] * rows));
        Ok(Rate { value, influence })
    }

    /// What the chosen rows weigh.
    #[must_use]
    pub fn weight(&self, chosen: impl Fn(bool, bool) -> bool) -> f64 {
        let cells = [(false, false), (false, true), (true, false), (true, true)];
        let chosen = cells.into_iter().filter(|&(label, decision)| chosen(label, decision));
        chosen.map(|(label, decision)| self.cells[usize::from(label)][usize::from(decision)]).sum()
    }

    fn is_defined(&self, metric: &Metric) -> Result<(), Undefined> {
        let needs = |rows: Chosen, reason| if self.weight(rows) > 0.0 { Ok(()) } else { Err(reason) };
        let positives = || needs(|label, _| label, Undefined::NoPositives);
        let negatives = || needs(|label, _| !label, Undefined::NoNegatives);
        let ones = || needs(|_, decision| decision, Undefined::NoPredictedPositives);
        let zeros = || needs(|_, decision| !decision, Undefined::NoPredictedNegatives);
        match metric {
            Metric::Precision => ones(),
            Metric::NegativePredictiveValue => zeros(),
            Metric::Recall => positives(),
            Metric::Specificity => negatives(),
            Metric::F1 | Metric::FBeta { .. } | Metric::ThreatScore => {
                needs(|label, decision| label || decision, Undefined::NothingPositive)
            }
            Metric::BalancedAccuracy | Metric::Informedness => positives().and_then(|()| negatives()),
            Metric::MatthewsCorrelation => {
                positives().and_then(|()| negatives()).and_then(|()| ones()).and_then(|()| zeros())
            }
            _ => Ok(()),
        }
    }

    /// The formula, for a table where it is defined.
    fn dual(&self, metric: &Metric) -> Option<Dual> {
        let [[tn, fp], [fn_, tp]] = std::array::from_fn(|label| {
            std::array::from_fn(|decision| Dual::variable(2 * label + decision, self.cells[label][decision]))
        });
        let rows = tp + fp + fn_ + tn;
        let (recall, specificity) = (|| tp / (tp + fn_), || tn / (tn + fp));
        Some(match *metric {
            Metric::Accuracy => (tp + tn) / rows,
            Metric::BalancedAccuracy => 0.5 * (recall() + specificity()),
            Metric::Precision => tp / (tp + fp),
            Metric::Recall => recall(),
            Metric::Specificity => specificity(),
            Metric::NegativePredictiveValue => tn / (tn + fn_),
            Metric::F1 => 2.0 * tp / (2.0 * tp + fp + fn_),
            Metric::FBeta { beta } => {
                let square = beta * beta;
                (1.0 + square) * tp / ((1.0 + square) * tp + square * fn_ + fp)
            }
            Metric::MatthewsCorrelation => {
                // In these pairs the roots are exact where decisions and labels agree.
                let (ones, zeros) = (((tp + fp) * (tp + fn_)).sqrt(), ((tn + fp) * (tn + fn_)).sqrt());
                (tp * tn - fp * fn_) / (ones * zeros)
            }
            Metric::Informedness => recall() + specificity() - 1.0,
            Metric::ThreatScore => tp / (tp + fp + fn_),
            Metric::PositiveRate => (tp + fp) / rows,
            Metric::Prevalence => (tp + fn_) / rows,
            Metric::Cost { false_positive, false_negative, true_positive, true_negative } => {
                (false_positive * fp + false_negative * fn_ + true_positive * tp + true_negative * tn) / rows
            }
            _ => return None,
        })
    }
}

impl Share {
    /// The metric as a share, if it is one; F1 is one of the Jaccard index, which is the threat score.
    #[must_use]
    pub fn of(metric: &Metric) -> Option<Self> {
        let hits: Chosen = |label, decision| label && decision;
        let rejections: Chosen = |label, decision| !label && !decision;
        let (successes, trials): (Chosen, Chosen) = match metric {
            Metric::Accuracy => (|label, decision| label == decision, |_, _| true),
            Metric::Precision => (hits, |_, decision| decision),
            Metric::Recall => (hits, |label, _| label),
            Metric::Specificity => (rejections, |label, _| !label),
            Metric::NegativePredictiveValue => (rejections, |_, decision| !decision),
            Metric::F1 | Metric::ThreatScore => (hits, |label, decision| label || decision),
            Metric::PositiveRate => (|_, decision| decision, |_, _| true),
            Metric::Prevalence => (|label, _| label, |_, _| true),
            _ => return None,
        };
        Some(Self { successes, trials, scale: if *metric == Metric::F1 { Scale::F1 } else { Scale::Identity } })
    }

    /// The metric as a share of rows that are the same for every model, so that a difference is paired row by row.
    #[must_use]
    pub fn of_common_rows(metric: &Metric) -> Option<Self> {
        let common = matches!(metric, Metric::Accuracy | Metric::Recall | Metric::Specificity | Metric::PositiveRate);
        Self::of(metric).filter(|_| common)
    }
}

/// The groups of rows that a metric is made of: where it does not vary at all, nothing was seen in any of them.
#[must_use]
pub fn parts(metric: &Metric) -> Vec<Chosen> {
    match metric {
        Metric::BalancedAccuracy | Metric::Informedness => vec![|label, _| label, |label, _| !label],
        Metric::MatthewsCorrelation => {
            vec![|label, _| label, |label, _| !label, |_, decision| decision, |_, decision| !decision]
        }
        Metric::FBeta { .. } => vec![|label, decision| label || decision],
        _ => Share::of(metric).map_or_else(|| vec![(|_, _| true) as Chosen], |share| vec![share.trials]),
    }
}

/// How far a metric of this value can move, at most, for each share of a part that turns out otherwise.
#[must_use]
pub fn step(metric: &Metric, value: f64) -> f64 {
    // At 1 the score of a share u of misses is at least 1 - u; at 0 that of a share u of hits at most this times u.
    let of_f = |square: f64| if value > 0.0 { 1.0 } else { (1.0 + square) / square.min(1.0) };
    match *metric {
        Metric::Informedness | Metric::MatthewsCorrelation => 2.0,
        Metric::F1 => of_f(1.0),
        Metric::FBeta { beta } => of_f(beta * beta),
        Metric::Cost { false_positive, false_negative, true_positive, true_negative } => {
            let costs = [false_positive, false_negative, true_positive, true_negative];
            costs.into_iter().fold(f64::MIN, f64::max) - costs.into_iter().fold(f64::MAX, f64::min)
        }
        _ => 1.0,
    }
}

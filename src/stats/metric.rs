//! The metrics: their names, their directions, and what they are computed from.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How well scores agree with labels.
///
/// `TP`, `FP`, `FN` and `TN` count the rows by decision and label; a score that reaches the threshold decides for 1.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// The share of rows that are decided rightly, `(TP + TN) / rows`. Higher is better.
    Accuracy,
    /// The share of label 1 among the rows decided for 1, `TP / (TP + FP)`. Higher is better. Undefined when no row is
    /// decided for 1.
    Precision,
    /// The share of the rows with label 1 that are decided for 1, `TP / (TP + FN)`. Higher is better. Undefined when no
    /// row has label 1.
    Recall,
    /// The harmonic mean of precision and recall, `2 TP / (2 TP + FP + FN)`. Higher is better. Undefined when there is
    /// neither a row with label 1 nor one decided for 1.
    F1,
    /// The chance that a row with label 1 has a higher score than a row with label 0, ties counted half. Higher is
    /// better. Undefined when all rows have one label.
    RocAuc,
    /// The mean of `-ln` of the probability given to the label, probabilities clipped as scikit-learn does. Lower is
    /// better.
    LogLoss,
    /// The mean squared distance between probability and label. Lower is better.
    Brier,
    /// The root of the mean squared error, in units of the label. Lower is better.
    Rmse,
    /// The mean absolute error, in units of the label. Lower is better.
    Mae,
}

/// Which values are better.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Direction {
    /// Larger ones.
    Higher,
    /// Smaller ones.
    Lower,
    /// Neither.
    Neither,
}

/// The kind of label a metric is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Family {
    /// Labels are 0 or 1, scores are probabilities.
    Binary,
    /// Labels and scores are numbers on one scale.
    Regression,
}

/// The summary a metric is computed from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Source {
    /// Joint moments; memory does not grow with the rows.
    Moments,
    /// The exact multiset of labels and scores.
    Ranks,
}

impl Metric {
    /// All metrics, in reading order.
    pub const ALL: [Self; 9] = [
        Self::Accuracy,
        Self::Precision,
        Self::Recall,
        Self::F1,
        Self::RocAuc,
        Self::LogLoss,
        Self::Brier,
        Self::Rmse,
        Self::Mae,
    ];

    /// The name in specs and records.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Accuracy => "accuracy",
            Self::Precision => "precision",
            Self::Recall => "recall",
            Self::F1 => "f1",
            Self::RocAuc => "roc_auc",
            Self::LogLoss => "log_loss",
            Self::Brier => "brier",
            Self::Rmse => "rmse",
            Self::Mae => "mae",
        }
    }

    /// Whether a larger value is a better model.
    #[must_use]
    pub fn higher_is_better(self) -> bool {
        matches!(self, Self::Accuracy | Self::Precision | Self::Recall | Self::F1 | Self::RocAuc)
    }

    /// Which values are better.
    #[must_use]
    pub fn direction(self) -> Direction {
        if self.higher_is_better() { Direction::Higher } else { Direction::Lower }
    }

    /// The kind of label the metric is about.
    #[must_use]
    pub fn family(self) -> Family {
        if matches!(self, Self::Rmse | Self::Mae) { Family::Regression } else { Family::Binary }
    }

    /// The summary the metric is computed from.
    #[must_use]
    pub fn source(self) -> Source {
        if self == Self::RocAuc { Source::Ranks } else { Source::Moments }
    }

    /// The values that the metric of one model can have.
    #[must_use]
    pub fn range(self) -> (f64, f64) {
        match self {
            Self::LogLoss | Self::Rmse | Self::Mae => (0.0, f64::INFINITY),
            _ => (0.0, 1.0),
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_spec() {
        for metric in Metric::ALL {
            assert_eq!(serde_json::to_value(metric).unwrap(), metric.name());
        }
    }
}

//! Why a number is not defined.

use std::fmt;

use serde::Serialize;

/// The reason why a metric, or the interval around it, is not defined on the rows at hand.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case", tag = "reason")]
pub enum Undefined {
    /// No row can be used.
    NoRows,
    /// All usable rows have the same label, so there is nothing to rank.
    OneClass {
        /// Rows with label 1.
        positives: u64,
        /// Rows with label 0.
        negatives: u64,
    },
    /// No row has label 1.
    NoPositives,
    /// A model decides for 1 on no row.
    NoPredictedPositives,
    /// No row has label 1, and a model decides for 1 on none.
    NothingPositive,
    /// Too few rows for an interval.
    TooFewRows {
        /// Usable rows.
        rows: u64,
    },
    /// Too few clusters for an interval.
    TooFewClusters {
        /// Clusters of the usable rows.
        clusters: u64,
    },
    /// Too few rows, or clusters, of one class for an interval.
    TooFewOfAClass {
        /// Rows, or clusters with rows, of label 1.
        positives: u64,
        /// Rows, or clusters with rows, of label 0.
        negatives: u64,
    },
    /// A class has no row.
    NoRowOfClass {
        /// Which, counted from 1 in the order of the classes.
        number: usize,
    },
    /// A model decides for a class on no row.
    NoDecisionForClass {
        /// Which, counted from 1 in the order of the classes.
        number: usize,
    },
    /// A class has no row, and a model decides for it on none.
    NothingOfClass {
        /// Which, counted from 1 in the order of the classes.
        number: usize,
    },
    /// All labels or all decisions are one class.
    OneClassOnly,
    /// All usable rows weigh 0.
    NoWeight,
    /// The numbers are too large for 64-bit floats.
    TooLarge,
    /// The summary at hand does not hold what the metric needs, or holds another number of models.
    NotMeasured,
}

impl fmt::Display for Undefined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRows => write!(f, "no usable rows"),
            Self::OneClass { positives, negatives } => {
                write!(f, "only one class: {positives} positives and {negatives} negatives")
            }
            Self::NoPositives => write!(f, "no positives: no row has label 1"),
            Self::NoPredictedPositives => write!(f, "no predicted positives: no score reaches the threshold"),
            Self::NothingPositive => write!(f, "neither positives nor predicted positives"),
            Self::TooFewRows { rows } => write!(f, "too few rows: {rows}, at least 2 needed for an interval"),
            Self::TooFewClusters { clusters } => {
                write!(f, "too few clusters: {clusters}, at least 2 needed for an interval")
            }
            Self::TooFewOfAClass { positives, negatives } => {
                write!(
                    f,
                    "too few of a class: {positives} positives and {negatives} negatives, at least 2 of each needed"
                )
            }
            Self::NoRowOfClass { number } => write!(f, "no row of class number {number} of `model.classes`"),
            Self::NoDecisionForClass { number } => {
                write!(f, "a model decides on no row for class number {number} of `model.classes`")
            }
            Self::NothingOfClass { number } => {
                write!(f, "neither rows of class number {number} of `model.classes` nor decisions for it")
            }
            Self::OneClassOnly => write!(f, "one class only: all labels or all decisions of a model are the same"),
            Self::NoWeight => write!(f, "no weight: all usable rows weigh 0"),
            Self::TooLarge => write!(f, "numbers too large to compute with"),
            Self::NotMeasured => write!(f, "not measured: the summary does not hold this metric for these models"),
        }
    }
}

impl std::error::Error for Undefined {}

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
    /// No row has label 0.
    NoNegatives,
    /// A model decides for 1 on no row.
    NoPredictedPositives,
    /// A model decides for 0 on no row.
    NoPredictedNegatives,
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
    /// All rows have the same label, where the metric compares with how labels vary.
    ConstantLabels,
    /// Labels or scores lie where the metric is not defined.
    OutsideDomain {
        /// Rows that do.
        rows: u64,
        /// What would be needed.
        needed: &'static str,
    },
    /// All usable rows weigh 0.
    NoWeight,
    /// No group has a relevant row.
    NothingRelevant,
    /// Too few groups with a relevant row for an interval.
    TooFewGroups {
        /// Groups with a relevant row.
        groups: u64,
    },
    /// The sum below the line of a ratio is 0.
    ZeroDenominator,
    /// There are not as many rows as the first that are asked for.
    FewerThanFirst {
        /// Usable rows that weigh something.
        rows: u64,
        /// How many are asked for.
        first: u64,
    },
    /// The metric is undefined in too many bootstrap replicates for an interval.
    InReplicates {
        /// The replicates in which it is.
        undefined: u64,
        /// All replicates.
        replicates: u64,
    },
    /// All rows have the same score.
    ConstantScores,
    /// At the score where a share of the rows is cut off, so many rows tie that the cut may fall on either side of them.
    TiedCut,
    /// A score parts the labels, so that no logistic curve fits them best.
    Separated,
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
            Self::NoNegatives => write!(f, "no negatives: no row has label 0"),
            Self::NoPredictedPositives => write!(f, "no predicted positives: no score reaches the threshold"),
            Self::NoPredictedNegatives => write!(f, "no predicted negatives: every score reaches the threshold"),
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
            Self::ConstantLabels => write!(f, "constant labels: all rows have the same one"),
            Self::OutsideDomain { rows, needed } => write!(f, "not defined on {rows} rows: it needs {needed}"),
            Self::NoWeight => write!(f, "no weight: all usable rows weigh 0"),
            Self::NothingRelevant => write!(f, "nothing relevant: no group has a row with a label above 0"),
            Self::TooFewGroups { groups } => {
                write!(f, "too few groups: {groups} with a relevant row, at least 2 needed for an interval")
            }
            Self::ZeroDenominator => write!(f, "the sum below the line is 0"),
            Self::FewerThanFirst { rows, first } => {
                write!(f, "too few rows: {rows}, and the metric is of the first {first}")
            }
            Self::InReplicates { undefined, replicates } => {
                write!(
                    f,
                    "too few rows of what the metric rests on: it is undefined in {undefined} of {replicates} bootstrap \
                     replicates, at most 1 % allowed for an interval"
                )
            }
            Self::ConstantScores => write!(f, "constant scores: a model gives all rows the same one"),
            Self::TiedCut => write!(
                f,
                "tied rows at the cut: other rows like these may put them on either side of it; scores of more digits help"
            ),
            Self::Separated => {
                write!(f, "separated labels: a score parts them, or nearly so, and no logistic curve fits them best")
            }
            Self::NoRowOfClass { number } => write!(f, "no row of class number {number} of `model.classes`"),
            Self::NoDecisionForClass { number } => {
                write!(f, "a model decides on no row for class number {number} of `model.classes`")
            }
            Self::NothingOfClass { number } => {
                write!(f, "neither rows of class number {number} of `model.classes` nor decisions for it")
            }
            Self::OneClassOnly => write!(f, "one class only: all labels or all decisions of a model are the same"),
            Self::TooLarge => write!(f, "numbers too large to compute with"),
            Self::NotMeasured => write!(f, "not measured: the summary does not hold this metric for these models"),
        }
    }
}

impl std::error::Error for Undefined {}

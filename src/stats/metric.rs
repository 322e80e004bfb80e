//! The metrics: their names, their directions, and what they are computed from.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// How well scores agree with labels.
///
/// A metric that takes no parameters is written by its name, `roc_auc`; one that does as a mapping of its name,
/// `f_beta: { beta: 2 }`. `TP`, `FP`, `FN` and `TN` are the weights of the rows by decision and label; a score that
/// reaches the threshold decides for 1. Rows weigh 1 each unless `columns.weight` says otherwise.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Metric {
    /// Binary, multiclass: the share of rows that are decided rightly, for a binary task `(TP + TN) / rows`. Higher is
    /// better.
    Accuracy,
    /// Binary, multiclass: the mean over the classes of the share of its rows that are decided rightly; for a binary
    /// task the mean of recall and specificity. Higher is better. Undefined when a class has no row.
    BalancedAccuracy,
    /// Binary: the share of label 1 among the rows decided for 1, `TP / (TP + FP)`. Higher is better. Undefined when no
    /// row is decided for 1.
    Precision,
    /// Binary: the share of the rows with label 1 that are decided for 1, `TP / (TP + FN)`, also called sensitivity.
    /// Higher is better. Undefined when no row has label 1.
    Recall,
    /// Binary: the share of the rows with label 0 that are decided for 0, `TN / (TN + FP)`. Higher is better. Undefined
    /// when no row has label 0.
    Specificity,
    /// Binary: the share of label 0 among the rows decided for 0, `TN / (TN + FN)`. Higher is better. Undefined when no
    /// row is decided for 0.
    NegativePredictiveValue,
    /// Binary: the harmonic mean of precision and recall, `2 TP / (2 TP + FP + FN)`. Higher is better. Undefined when
    /// there is neither a row with label 1 nor one decided for 1.
    F1,
    /// Binary: the weighted harmonic mean of precision and recall, `(1 + b^2) TP / ((1 + b^2) TP + b^2 FN + FP)`: recall
    /// counts `b` times as much as precision. Higher is better. Undefined as `f1` is.
    FBeta {
        /// `b`: above 1 for recall, below for precision.
        #[schemars(extend("exclusiveMinimum" = 0))]
        beta: f64,
    },
    /// Binary, multiclass: the correlation of decisions with labels (Matthews 1975; Gorodkin 2004 for several classes).
    /// Higher is better. Undefined when all labels or all decisions are one class.
    MatthewsCorrelation,
    /// Binary: recall plus specificity minus 1, also called Youden's J or bookmaker informedness. Higher is better.
    /// Undefined when all rows have one label.
    Informedness,
    /// Binary: `TP / (TP + FN + FP)`, also called the critical success index or Jaccard index. Higher is better.
    /// Undefined as `f1` is.
    ThreatScore,
    /// Binary: the share of rows decided for 1, `(TP + FP) / rows`. Neither direction is better.
    PositiveRate,
    /// Binary: the share of rows with label 1, `(TP + FN) / rows`. A fact about the data. Neither direction is better.
    Prevalence,
    /// Binary: the mean cost of a decision. A profit is a negative cost. Lower is better.
    Cost {
        /// What deciding for 1 costs when the label is 0.
        false_positive: f64,
        /// What deciding for 0 costs when the label is 1.
        false_negative: f64,
        /// What deciding for 1 costs when the label is 1.
        #[serde(default)]
        true_positive: f64,
        /// What deciding for 0 costs when the label is 0.
        #[serde(default)]
        true_negative: f64,
    },
    /// Binary: the chance that a row with label 1 has a higher score than a row with label 0, ties counted half. Higher
    /// is better. Undefined when all rows have one label. More than 32,768 distinct tuples of label and scores, of a slice
    /// or of all rows, are put into at most 16,384 cells, unless rows have weights or entities; the interval then holds the
    /// most by which the number may be off, which the record names `binning_error`.
    RocAuc,
    /// Binary: the area under the precision-recall curve as the sum of precision times the step in recall over the
    /// distinct scores, which is scikit-learn's average precision. Higher is better. Undefined when no row has label 1.
    AveragePrecision,
    /// Binary: twice the ROC AUC minus 1. Higher is better. Undefined when all rows have one label.
    Gini,
    /// Binary: the largest difference between the share of label 1 and the share of label 0 that reach a threshold, over
    /// all thresholds. Higher is better. Undefined when all rows have one label.
    KolmogorovSmirnov,
    /// Binary: the prevalence among the rows with the highest scores over the prevalence of all; rows of equal score at
    /// the cut count in proportion. Higher is better. Undefined when no row has label 1.
    Lift {
        /// The share of rows with the highest scores.
        #[schemars(extend("exclusiveMinimum" = 0, "maximum" = 1))]
        share: f64,
    },
    /// Binary: the share of all label 1 that is among the rows with the highest scores, also called recall at a share.
    /// Ties count in proportion. Higher is better. Undefined when no row has label 1.
    Gain {
        /// The share of rows with the highest scores.
        #[schemars(extend("exclusiveMinimum" = 0, "maximum" = 1))]
        share: f64,
    },
    /// Binary: the share of label 1 among the rows with the highest scores, ties in proportion. Higher is better.
    PrecisionAtShare {
        /// The share of rows with the highest scores.
        #[schemars(extend("exclusiveMinimum" = 0, "maximum" = 1))]
        share: f64,
    },
    /// Binary: the share of label 1 among the `k` rows with the highest scores. Ranking: the mean over the groups of the
    /// relevant rows among the first `k` over `k`, also where a group has fewer rows. Ties in proportion. Higher is
    /// better.
    PrecisionAtK {
        /// How many rows, for a ranking in each group.
        #[schemars(range(min = 1))]
        k: u64,
    },
    /// Binary: the share of all label 1 that is among the `k` rows with the highest scores. Ranking: the mean over the
    /// groups of the share of relevant rows that are among the first `k`. Ties in proportion. Higher is better. Undefined
    /// when nothing is relevant.
    RecallAtK {
        /// How many rows, for a ranking in each group.
        #[schemars(range(min = 1))]
        k: u64,
    },
    /// Binary: the highest recall of a threshold whose precision is at least this. Higher is better. 0 when no threshold
    /// has it. Undefined when no row has label 1.
    RecallAtPrecision {
        /// The precision to be reached.
        #[schemars(range(min = 0.0, max = 1.0))]
        precision: f64,
    },
    /// Binary: the highest recall of a threshold whose specificity is at least this. Higher is better. Undefined when all
    /// rows have one label.
    SensitivityAtSpecificity {
        /// The specificity to be reached.
        #[schemars(range(min = 0.0, max = 1.0))]
        specificity: f64,
    },
    /// Binary: the highest F1 of any threshold. Higher is better. Undefined when no row has label 1.
    BestF1,
    /// Binary: the highest accuracy of any threshold. Higher is better.
    BestAccuracy,
    /// Binary, multiclass: the mean of `-ln` of the probability given to the label, probabilities clipped as scikit-learn
    /// does. Lower is better.
    LogLoss,
    /// Binary: the mean squared distance between probability and label. Multiclass: the mean over the rows of the summed
    /// squared distances between the probabilities and 1 for the label, 0 for the others, up to 2 (Brier 1950). Lower is
    /// better.
    Brier,
    /// Binary: 1 minus the Brier score over that of the prevalence, `p (1 - p)`. Higher is better. Undefined when all
    /// rows have one label.
    BrierSkill,
    /// Binary: the summed scores over the summed labels: above 1 the model promises too much. Best at 1. Undefined when
    /// no row has label 1.
    CalibrationRatio,
    /// Binary: the slope of the logistic regression of the label on the logit of the score (Cox 1958): below 1 the scores
    /// are too extreme. Best at 1. Undefined when all rows have one label, or the scores separate them.
    CalibrationSlope,
    /// Binary: the intercept of the logistic regression of the label with the logit of the score as offset: below 0 the
    /// scores are too high. Best at 0. Undefined when all rows have one label.
    CalibrationIntercept,
    /// Binary: the mean absolute difference between the mean score and the share of label 1 in bins of equal width over
    /// 0 to 1, closed on the right, each weighted by its rows. Lower is better. Biased upwards: even a perfect model has
    /// some, which the lower end of the interval allows for.
    ExpectedCalibrationError {
        /// How many bins.
        #[schemars(range(min = 1, max = 1000))]
        bins: u32,
    },
    /// Multiclass: the share of rows whose label is among the `k` classes with the highest scores; a tie at the cut goes
    /// to the classes that come later, as in scikit-learn. Higher is better.
    TopKAccuracy {
        /// How many classes.
        #[schemars(range(min = 1))]
        k: u64,
    },
    /// Multiclass: the mean of the classes' precision. Higher is better. A class that is never decided for counts 0.
    MacroPrecision,
    /// Multiclass: the mean of the classes' recall. Higher is better. A class without rows counts 0.
    MacroRecall,
    /// Multiclass: the mean of the classes' F1. Higher is better. A class that neither occurs nor is decided for counts 0.
    MacroF1,
    /// Multiclass: precision over all classes' decisions together; with one label and one decision a row it is accuracy.
    /// Higher is better.
    MicroPrecision,
    /// Multiclass: recall over all classes' rows together; with one label and one decision a row it is accuracy. Higher
    /// is better.
    MicroRecall,
    /// Multiclass: F1 over all classes together; with one label and one decision a row it is accuracy. Higher is better.
    MicroF1,
    /// Multiclass: the mean of the classes' precision, each weighted by its rows. Higher is better.
    WeightedPrecision,
    /// Multiclass: the mean of the classes' recall, each weighted by its rows. Higher is better.
    WeightedRecall,
    /// Multiclass: the mean of the classes' F1, each weighted by its rows. Higher is better.
    WeightedF1,
    /// Multiclass: the share of a class among the rows decided for it. Higher is better. Undefined when there are none.
    ClassPrecision {
        /// The class, as in `model.classes`.
        class: String,
    },
    /// Multiclass: the share of a class's rows that are decided for it. Higher is better. Undefined when there are none.
    ClassRecall {
        /// The class, as in `model.classes`.
        class: String,
    },
    /// Multiclass: the harmonic mean of a class's precision and recall. Higher is better. Undefined when the class
    /// neither occurs nor is decided for.
    ClassF1 {
        /// The class, as in `model.classes`.
        class: String,
    },
    /// Multiclass: agreement of decisions with labels beyond chance (Cohen 1960, 1968 with weights). Higher is better.
    /// Undefined when all labels and all decisions are one class.
    CohenKappa {
        /// How a disagreement counts by the distance of the classes in `model.classes`: all alike, in proportion, or
        /// squared.
        #[serde(default)]
        weights: KappaWeights,
    },
    /// Multiclass: the mean over the classes of the ROC AUC of its score, the class against all others. Higher is better.
    /// Undefined when a class has no row.
    RocAucOneVsRest,
    /// Multiclass: the mean over the pairs of classes of the ROC AUC between the two (Hand and Till 2001). Higher is
    /// better. Undefined when a class has no row.
    RocAucOneVsOne,
    /// Regression: the mean absolute error, in units of the label. Lower is better.
    Mae,
    /// Regression: the mean squared error, in squared units of the label. Lower is better.
    Mse,
    /// Regression: the root of the mean squared error, in units of the label. Lower is better.
    Rmse,
    /// Regression: the root of the mean squared difference of `ln(1 + value)`. Lower is better. Undefined when a label or
    /// a score is at most -1.
    Rmsle,
    /// Regression: the mean absolute error as a share of the absolute label, a label of 0 counting as `EPSILON`, as in
    /// scikit-learn. Lower is better.
    Mape,
    /// Regression: the mean of `2 |score - label| / (|score| + |label|)`, a row with both 0 counting 0. Lower is better.
    Smape,
    /// Regression: 1 minus the squared error over that of the mean label. Higher is better. Undefined when all labels are
    /// equal.
    R2,
    /// Regression: 1 minus the variance of the error over the variance of the label. Higher is better. Undefined when all
    /// labels are equal.
    ExplainedVariance,
    /// Regression: the mean of score minus label, in units of the label. Best at 0.
    MeanError,
    /// Regression: the weighted median of the absolute error, in units of the label: midway between the two middle ones
    /// where the weights divide evenly. Lower is better.
    MedianAbsoluteError,
    /// Regression: the largest absolute error of a row of any weight, in units of the label. Lower is better. Its interval
    /// is the bootstrap's, which knows of no error larger than those seen.
    MaxError,
    /// Regression: the mean of `q (label - score)` where the label is above, `(1 - q) (score - label)` where it is below.
    /// Lower is better.
    PinballLoss {
        /// `q`: the quantile that the scores claim to be.
        #[schemars(extend("exclusiveMinimum" = 0, "exclusiveMaximum" = 1))]
        quantile: f64,
    },
    /// Regression: the mean of `2 (label ln(label / score) + score - label)`. Lower is better. Undefined when a label is
    /// negative or a score is not positive.
    PoissonDeviance,
    /// Regression: the mean of `2 (ln(score / label) + label / score - 1)`. Lower is better. Undefined when a label or a
    /// score is not positive.
    GammaDeviance,
    /// Regression: a quantile of score minus label, in units of the label: the least error up to which the rows have this
    /// share of the weight, which is NumPy's `inverted_cdf`. Best at 0 for the median.
    ResidualQuantile {
        /// Which quantile.
        #[schemars(extend("exclusiveMinimum" = 0, "exclusiveMaximum" = 1))]
        quantile: f64,
    },
    /// Ranking: the mean over the groups of the discounted cumulative gain of the first `k` over the best possible, gains
    /// linear in the label and discounts `log2(1 + place)`, as in scikit-learn. As for every metric of a ranking, rows are
    /// relevant when their label is above 0; rows of equal score count as the mean over all their orders; a group weighs
    /// the mean of its rows' weights; groups without a relevant row are left out. Higher is better. Undefined when all are.
    Ndcg {
        /// How many places.
        #[schemars(range(min = 1))]
        k: u64,
    },
    /// Ranking: the mean over the groups of the average precision at the relevant rows among the first `k`, over the
    /// lesser of `k` and the relevant rows. Higher is better. Groups without a relevant row are left out. Undefined when
    /// all are.
    MeanAveragePrecision {
        /// How many places.
        #[schemars(range(min = 1))]
        k: u64,
    },
    /// Ranking: the mean over the groups of one over the place of the first relevant row. Higher is better. Groups
    /// without a relevant row are left out. Undefined when all are.
    MeanReciprocalRank,
    /// Ranking: the share of groups with a relevant row among the first `k`. Higher is better. Groups without a relevant
    /// row are left out. Undefined when all are.
    HitRate {
        /// How many places.
        #[schemars(range(min = 1))]
        k: u64,
    },
    /// Binary, regression, ranking: the sum of one SQL expression over the rows divided by the sum of another, each row by its weight. An
    /// expression sees one row: no aggregates, no subqueries, no functions that change from run to run. A row on which one
    /// is null or not finite is an error: say what it counts, as in `COALESCE(margin, 0)`. Undefined when the lower sum is 0.
    Ratio {
        /// What the number is called.
        #[schemars(length(min = 1))]
        name: String,
        /// What is summed above the line. Beside the columns, `score` is the model's score and, for a binary task,
        /// `decision` is 1 where it decides for 1, else 0; they hide columns of these names. Names are in lower case unless
        /// in double quotes.
        numerator: String,
        /// What is summed below the line: `1` for a mean over the rows.
        denominator: String,
        /// Which direction is better.
        better: Direction,
    },
}

/// How a disagreement between two classes counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum KappaWeights {
    /// All alike.
    #[default]
    None,
    /// By the distance of the classes.
    Linear,
    /// By its square.
    Quadratic,
}

/// Which values are better.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
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
    /// Labels are classes, scores are one probability per class.
    Multiclass,
    /// Labels and scores are numbers on one scale.
    Regression,
    /// Labels are relevances, scores put the rows of a group in order.
    Ranking,
}

/// The summary that is enough for a metric of unweighted rows with fixed thresholds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Source {
    /// Joint moments; memory does not grow with the rows.
    Moments,
    /// The exact multiset of labels and scores.
    Ranks,
    /// Two sums, for a metric in SQL.
    Sums,
}

impl Metric {
    /// The name in specs and records, with the parameters: `f_beta(beta=2)`. A ratio goes by its own name.
    #[must_use]
    pub fn name(&self) -> String {
        match (self, serde_json::to_value(self)) {
            (Self::Ratio { name, .. }, _) => name.clone(),
            (_, Ok(Value::Object(named))) => named.iter().map(|(name, parameters)| with(name, parameters)).collect(),
            (_, Ok(Value::String(name))) => name,
            _ => String::new(),
        }
    }

    /// Which values are a better model.
    #[must_use]
    pub fn direction(&self) -> Direction {
        match self {
            Self::Ratio { better, .. } => *better,
            Self::PositiveRate
            | Self::Prevalence
            | Self::CalibrationRatio
            | Self::CalibrationSlope
            | Self::CalibrationIntercept
            | Self::MeanError
            | Self::ResidualQuantile { .. } => Direction::Neither,
            Self::Cost { .. }
            | Self::LogLoss
            | Self::Brier
            | Self::ExpectedCalibrationError { .. }
            | Self::Mae
            | Self::Mse
            | Self::Rmse
            | Self::Rmsle
            | Self::Mape
            | Self::Smape
            | Self::MedianAbsoluteError
            | Self::MaxError
            | Self::PinballLoss { .. }
            | Self::PoissonDeviance
            | Self::GammaDeviance => Direction::Lower,
            _ => Direction::Higher,
        }
    }

    /// The kinds of label the metric is about.
    #[must_use]
    pub fn families(&self) -> &'static [Family] {
        match self {
            Self::Ratio { .. } => &[Family::Binary, Family::Regression, Family::Ranking],
            Self::Accuracy | Self::BalancedAccuracy | Self::MatthewsCorrelation | Self::LogLoss | Self::Brier => {
                &[Family::Binary, Family::Multiclass]
            }
            Self::PrecisionAtK { .. } | Self::RecallAtK { .. } => &[Family::Binary, Family::Ranking],
            Self::TopKAccuracy { .. }
            | Self::MacroPrecision
            | Self::MacroRecall
            | Self::MacroF1
            | Self::MicroPrecision
            | Self::MicroRecall
            | Self::MicroF1
            | Self::WeightedPrecision
            | Self::WeightedRecall
            | Self::WeightedF1
            | Self::ClassPrecision { .. }
            | Self::ClassRecall { .. }
            | Self::ClassF1 { .. }
            | Self::CohenKappa { .. }
            | Self::RocAucOneVsRest
            | Self::RocAucOneVsOne => &[Family::Multiclass],
            Self::Mae
            | Self::Mse
            | Self::Rmse
            | Self::Rmsle
            | Self::Mape
            | Self::Smape
            | Self::R2
            | Self::ExplainedVariance
            | Self::MeanError
            | Self::MedianAbsoluteError
            | Self::MaxError
            | Self::PinballLoss { .. }
            | Self::PoissonDeviance
            | Self::GammaDeviance
            | Self::ResidualQuantile { .. } => &[Family::Regression],
            Self::Ndcg { .. } | Self::MeanAveragePrecision { .. } | Self::MeanReciprocalRank | Self::HitRate { .. } => {
                &[Family::Ranking]
            }
            _ => &[Family::Binary],
        }
    }

    /// The summary the metric is computed from, where rows are unweighted and decided by fixed thresholds.
    #[must_use]
    pub fn source(&self) -> Source {
        match self {
            Self::Ratio { .. } => Source::Sums,
            Self::Accuracy
            | Self::BalancedAccuracy
            | Self::Precision
            | Self::Recall
            | Self::Specificity
            | Self::NegativePredictiveValue
            | Self::F1
            | Self::FBeta { .. }
            | Self::MatthewsCorrelation
            | Self::Informedness
            | Self::ThreatScore
            | Self::PositiveRate
            | Self::Prevalence
            | Self::Cost { .. }
            | Self::LogLoss
            | Self::Brier
            | Self::Mae
            | Self::Mse
            | Self::Rmse => Source::Moments,
            _ => Source::Ranks,
        }
    }

    /// Whether scores in cells are good enough, with a bound of what the cells hide, where their distinct values are too many.
    #[must_use]
    pub fn can_be_binned(&self) -> bool {
        matches!(self, Self::RocAuc | Self::Gini)
    }

    /// The values that the metric of one model can have.
    #[must_use]
    pub fn range(&self) -> (f64, f64) {
        match self {
            Self::MatthewsCorrelation | Self::Informedness | Self::Gini | Self::CohenKappa { .. } => (-1.0, 1.0),
            Self::LogLoss
            | Self::CalibrationRatio
            | Self::Lift { .. }
            | Self::Mae
            | Self::Mse
            | Self::Rmse
            | Self::Rmsle
            | Self::Mape
            | Self::MedianAbsoluteError
            | Self::MaxError
            | Self::PinballLoss { .. }
            | Self::PoissonDeviance
            | Self::GammaDeviance => (0.0, f64::INFINITY),
            Self::Smape => (0.0, 2.0),
            Self::BrierSkill | Self::R2 | Self::ExplainedVariance => (f64::NEG_INFINITY, 1.0),
            Self::Cost { .. }
            | Self::CalibrationSlope
            | Self::CalibrationIntercept
            | Self::MeanError
            | Self::ResidualQuantile { .. }
            | Self::Ratio { .. } => (f64::NEG_INFINITY, f64::INFINITY),
            _ => (0.0, 1.0),
        }
    }
}

/// `name(key=value,...)`.
fn with(name: &str, parameters: &Value) -> String {
    let parameter = |(key, value): (&String, &Value)| match (value.as_f64(), value) {
        (Some(number), _) => format!("{key}={number}"),
        (None, Value::String(text)) => format!("{key}={text}"),
        (None, other) => format!("{key}={other}"),
    };
    let parameters = parameters.as_object().into_iter().flatten().map(parameter).collect::<Vec<_>>();
    format!("{name}({})", parameters.join(","))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_the_parameters() {
        let read = |text| serde_json::from_str::<Metric>(text).unwrap().name();
        assert_eq!(read("\"roc_auc\""), "roc_auc");
        assert_eq!(read("{\"f_beta\": {\"beta\": 2}}"), "f_beta(beta=2)");
        assert_eq!(read("{\"class_recall\": {\"class\": \"a b\"}}"), "class_recall(class=a b)");
        assert!(serde_json::from_str::<Metric>("{\"f_beta\": {\"beta\": 2, \"gamma\": 1}}").is_err());
    }
}

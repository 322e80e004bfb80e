//! The intervals whose coverage is measured, one line each, and how it is measured.

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZero;

use modelgate::measure::shift::{Apart, of_numbers, of_texts};
use modelgate::measure::{Answer, distance, measure};
use modelgate::stats::metric::KappaWeights;
use modelgate::stats::random::seed as seed_of;
use modelgate::stats::{Direction, Distance as Found, Measurement, Metric, Source, Undefined};
use serde::Serialize;

use super::world::{Link, Rows, World};

/// The error of each side of the intervals: together 95 %.
pub(crate) const ALPHA_PER_SIDE: f64 = 0.025;

const BINARY: World = World {
    name: "AUC 0.80 and 0.78, 30 % positive",
    link: Link::Logistic { prevalence: 0.3 },
    skill: [1.19, 1.09],
    shared: 0.8,
    own: 0.6,
    cluster: 0.0,
    cluster_rows: 1,
    confidence: [1.0; 2],
    weighted: false,
    top_share: None,
};

const STRONG: World = World {
    name: "AUC 0.95 and 0.94, 20 % positive",
    link: Link::Logistic { prevalence: 0.2 },
    skill: [2.33, 2.2],
    ..BINARY
};

const EQUAL: World = World { name: "two models equally distributed", skill: [1.19, 1.19], ..BINARY };

const CLUSTERED: World =
    World { name: "clusters of 20 rows", shared: 0.7, own: 0.5, cluster: 0.5, cluster_rows: 20, ..BINARY };

const NORMAL: World = World { name: "normal errors", link: Link::Normal, skill: [0.0, 0.3], ..BINARY };

const LAPLACE: World = World { name: "double exponential errors", link: Link::Laplace, ..NORMAL };

const CLUSTERED_ERRORS: World =
    World { name: "normal errors, clusters of 20 rows", cluster: 0.5, cluster_rows: 20, ..NORMAL };

const OVERCONFIDENT: World =
    World { name: "AUC 0.80 and 0.78, too sure of themselves", confidence: [1.5; 2], ..BINARY };

const ONE_OVERCONFIDENT: World =
    World { name: "AUC 0.80 and 0.78, the second too sure of itself", confidence: [1.0, 1.5], ..BINARY };

const WEIGHTED: World = World { name: "AUC 0.80 and 0.78, weighted rows", weighted: true, ..BINARY };

const TOP: World = World { name: "AUC 0.80 and 0.78, the top 20 % decided for 1", top_share: Some(0.2), ..BINARY };

const LOGNORMAL: World =
    World { name: "log-normal labels and errors", link: Link::Lognormal, skill: [0.0, 0.1], ..BINARY };

const CLASSES: World =
    World { name: "three classes, 50, 30 and 20 %", link: Link::Softmax, skill: [1.5, 1.4], ..BINARY };

const RANKED: World = World { name: "groups of ten rows", link: Link::Ranked, skill: [1.0, 0.9], ..BINARY };

/// What an interval is about.
#[derive(Debug, Clone)]
pub(crate) enum Asked {
    /// A metric of the first model.
    One(Metric),
    /// The metric of the second model minus that of the first.
    Difference(Metric),
    /// The Kolmogorov-Smirnov distance between the scores of the two.
    Distance,
    /// The same between the scores of the one on some rows and of the other on as many others.
    Numbers,
    /// The total variation distance between them, the scores cut into so many texts.
    Texts(u64),
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One(metric) => f.write_str(&metric.name()),
            Self::Difference(metric) => write!(f, "difference of {}", metric.name()),
            Self::Distance => f.write_str("distance"),
            Self::Numbers => f.write_str("distance of two samples"),
            Self::Texts(values) => write!(f, "total variation of {values} values"),
        }
    }
}

/// An interval whose coverage is measured.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    /// The method, as records name it.
    pub(crate) method: &'static str,
    /// What the interval is about.
    pub(crate) asked: Asked,
    /// Where the rows come from.
    pub(crate) world: World,
    /// Whether the interval knows of the clusters.
    pub(crate) clustered: bool,
    /// The rows from which on the method is said to keep its promise.
    pub(crate) smallest: u64,
}

fn case(method: &'static str, asked: Asked, world: World, smallest: u64) -> Case {
    Case { method, asked, world, clustered: false, smallest }
}

fn clustered(method: &'static str, asked: Asked, world: World, smallest: u64) -> Case {
    Case { clustered: true, ..case(method, asked, world, smallest) }
}

use Asked::{Difference, Distance, Numbers, One, Texts};

const COST: Metric = Metric::Cost { false_positive: 1.0, false_negative: 5.0, true_positive: 0.0, true_negative: 0.0 };

const KAPPA: Metric = Metric::CohenKappa { weights: KappaWeights::Quadratic };

/// What a decision for 1 earns. The expressions stand for the arrays that [`Rows::sums`] makes.
fn ratio() -> Metric {
    let [name, numerator, denominator] = ["earned per decision", "earned", "decision"].map(str::to_owned);
    Metric::Ratio { name, numerator, denominator, better: Direction::Higher }
}

/// Every interval, one line each.
pub(crate) fn cases() -> Vec<Case> {
    vec![
        case("clopper-pearson", One(Metric::Accuracy), BINARY, 100),
        case("clopper-pearson", One(Metric::Accuracy), STRONG, 100),
        case("clopper-pearson", One(Metric::Precision), BINARY, 100),
        case("clopper-pearson", One(Metric::Recall), BINARY, 100),
        case("clopper-pearson", One(Metric::F1), BINARY, 100),
        case("wilson", One(Metric::Accuracy), BINARY, 5000),
        case("tango", Difference(Metric::Accuracy), BINARY, 100),
        case("tango", Difference(Metric::Accuracy), STRONG, 100),
        case("tango", Difference(Metric::Recall), BINARY, 100),
        case("delta", Difference(Metric::Precision), BINARY, 100),
        case("delta", Difference(Metric::Precision), STRONG, 100),
        case("delta", Difference(Metric::F1), BINARY, 100),
        case("delta", Difference(Metric::F1), STRONG, 100),
        case("delta", One(Metric::LogLoss), BINARY, 100),
        case("delta", One(Metric::LogLoss), STRONG, 200),
        case("delta", Difference(Metric::LogLoss), BINARY, 100),
        case("delta", Difference(Metric::LogLoss), STRONG, 100),
        case("delta", One(Metric::Brier), BINARY, 100),
        case("delta", Difference(Metric::Brier), BINARY, 100),
        case("delta", One(Metric::Mae), NORMAL, 100),
        case("delta", One(Metric::Mae), LAPLACE, 100),
        case("delta", Difference(Metric::Mae), NORMAL, 100),
        case("delta", One(Metric::Rmse), NORMAL, 100),
        case("delta", One(Metric::Rmse), LAPLACE, 500),
        case("delta", Difference(Metric::Rmse), NORMAL, 100),
        case("delta", Difference(Metric::Rmse), LAPLACE, 100),
        case("delong", One(Metric::RocAuc), BINARY, 100),
        case("delong", One(Metric::RocAuc), STRONG, 100),
        case("delong-paired", Difference(Metric::RocAuc), BINARY, 100),
        case("delong-paired", Difference(Metric::RocAuc), STRONG, 100),
        clustered("obuchowski", One(Metric::RocAuc), CLUSTERED, 400),
        clustered("obuchowski", Difference(Metric::RocAuc), CLUSTERED, 400),
        clustered("delta-clustered", One(Metric::Accuracy), CLUSTERED, 400),
        clustered("delta-clustered", Difference(Metric::Accuracy), CLUSTERED, 400),
        clustered("delta-clustered", Difference(Metric::F1), CLUSTERED, 400),
        clustered("delta-clustered", One(Metric::LogLoss), CLUSTERED, 400),
        clustered("delta-clustered", Difference(Metric::LogLoss), CLUSTERED, 400),
        clustered("delta-clustered", One(Metric::Rmse), CLUSTERED_ERRORS, 400),
        clustered("delta-clustered", Difference(Metric::Rmse), CLUSTERED_ERRORS, 400),
        case("delta", One(Metric::BalancedAccuracy), BINARY, 100),
        case("delta", One(Metric::FBeta { beta: 2.0 }), BINARY, 100),
        case("delta", One(Metric::MatthewsCorrelation), BINARY, 100),
        case("delta", One(Metric::MatthewsCorrelation), STRONG, 100),
        case("delta", Difference(Metric::MatthewsCorrelation), BINARY, 100),
        case("delta", One(Metric::Informedness), BINARY, 100),
        case("delta", Difference(Metric::Informedness), STRONG, 100),
        case("delta", One(COST), BINARY, 200),
        case("delta", Difference(COST), BINARY, 100),
        case("delta", One(ratio()), BINARY, 100),
        case("delta", Difference(ratio()), BINARY, 100),
        case("clopper-pearson", One(Metric::Accuracy), WEIGHTED, 100),
        case("clopper-pearson", One(Metric::F1), WEIGHTED, 100),
        case("delta", Difference(Metric::LogLoss), WEIGHTED, 100),
        case("delong", One(Metric::RocAuc), WEIGHTED, 100),
        case("delong-paired", Difference(Metric::RocAuc), WEIGHTED, 100),
        case("clopper-pearson", One(Metric::Precision), TOP, 100),
        case("clopper-pearson", One(Metric::Recall), TOP, 100),
        case("delta", Difference(Metric::F1), TOP, 100),
        case("delta", One(Metric::AveragePrecision), BINARY, 1000),
        case("delta", One(Metric::AveragePrecision), STRONG, 1000),
        case("delta", Difference(Metric::AveragePrecision), BINARY, 1000),
        case("delta", Difference(Metric::AveragePrecision), STRONG, 1000),
        case("delta", One(Metric::BrierSkill), BINARY, 100),
        case("delta", Difference(Metric::BrierSkill), BINARY, 100),
        case("delta", One(Metric::CalibrationRatio), BINARY, 100),
        case("delta", One(Metric::CalibrationRatio), OVERCONFIDENT, 100),
        case("delta", One(Metric::CalibrationSlope), BINARY, 100),
        case("delta", One(Metric::CalibrationSlope), OVERCONFIDENT, 100),
        case("delta", One(Metric::CalibrationIntercept), BINARY, 100),
        case("delta", One(Metric::CalibrationIntercept), OVERCONFIDENT, 100),
        case("delta", One(Metric::ExpectedCalibrationError { bins: 10 }), BINARY, 1000),
        case("delta", One(Metric::ExpectedCalibrationError { bins: 10 }), OVERCONFIDENT, 1000),
        case("delta", Difference(Metric::ExpectedCalibrationError { bins: 10 }), BINARY, 1000),
        case("delta", Difference(Metric::ExpectedCalibrationError { bins: 10 }), OVERCONFIDENT, 1000),
        case("delta", Difference(Metric::ExpectedCalibrationError { bins: 10 }), ONE_OVERCONFIDENT, 1000),
        case("delta", One(Metric::R2), NORMAL, 100),
        case("delta", One(Metric::ExplainedVariance), NORMAL, 100),
        case("delta", Difference(Metric::R2), NORMAL, 100),
        case("delta", One(Metric::MeanError), NORMAL, 100),
        case("delta", One(Metric::PinballLoss { quantile: 0.9 }), NORMAL, 100),
        case("delta", One(Metric::Rmsle), LOGNORMAL, 500),
        case("delta", One(Metric::Mape), LOGNORMAL, 100),
        case("delta", One(Metric::Smape), LOGNORMAL, 100),
        case("delta", One(Metric::PoissonDeviance), LOGNORMAL, 500),
        case("delta", One(Metric::GammaDeviance), LOGNORMAL, 500),
        case("delta", Difference(Metric::PoissonDeviance), LOGNORMAL, 500),
        case("wilson", One(Metric::Accuracy), CLASSES, 100),
        case("tango", Difference(Metric::Accuracy), CLASSES, 100),
        case("delta", One(Metric::MacroF1), CLASSES, 100),
        case("delta", Difference(Metric::MacroF1), CLASSES, 100),
        case("delta", One(Metric::BalancedAccuracy), CLASSES, 100),
        case("delta", One(Metric::WeightedF1), CLASSES, 100),
        case("delta", One(Metric::MatthewsCorrelation), CLASSES, 100),
        case("delta", Difference(Metric::MatthewsCorrelation), CLASSES, 100),
        case("delta", One(KAPPA), CLASSES, 100),
        case("delta", One(Metric::LogLoss), CLASSES, 100),
        case("delta", Difference(Metric::LogLoss), CLASSES, 100),
        case("delta", One(Metric::Brier), CLASSES, 100),
        case("delta", One(Metric::RocAucOneVsRest), CLASSES, 100),
        case("delta", Difference(Metric::RocAucOneVsRest), CLASSES, 100),
        case("delta", One(Metric::RocAucOneVsOne), CLASSES, 100),
        case("delta-clustered", One(Metric::Ndcg { k: 5 }), RANKED, 1000),
        case("delta-clustered", Difference(Metric::Ndcg { k: 5 }), RANKED, 1000),
        case("delta-clustered", One(Metric::MeanAveragePrecision { k: 5 }), RANKED, 1000),
        case("delta-clustered", One(Metric::MeanReciprocalRank), RANKED, 1000),
        case("delta-clustered", One(Metric::HitRate { k: 3 }), RANKED, 2000),
        case("delta-clustered", Difference(Metric::HitRate { k: 3 }), RANKED, 1000),
        case("delta-clustered", One(Metric::PrecisionAtK { k: 3 }), RANKED, 1000),
        case("bootstrap", One(Metric::KolmogorovSmirnov), BINARY, 2000),
        case("bootstrap", One(Metric::KolmogorovSmirnov), STRONG, 2000),
        case("bootstrap", Difference(Metric::KolmogorovSmirnov), BINARY, 2000),
        case("bootstrap", One(Metric::BestF1), BINARY, 2000),
        case("bootstrap", Difference(Metric::BestF1), BINARY, 2000),
        case("bootstrap", One(Metric::BestAccuracy), BINARY, 2000),
        case("bootstrap", One(Metric::Lift { share: 0.1 }), BINARY, 2000),
        case("bootstrap", Difference(Metric::Lift { share: 0.1 }), BINARY, 2000),
        case("bootstrap", One(Metric::Gain { share: 0.1 }), BINARY, 2000),
        case("bootstrap", One(Metric::PrecisionAtShare { share: 0.1 }), BINARY, 2000),
        case("bootstrap", Difference(Metric::PrecisionAtShare { share: 0.1 }), BINARY, 2000),
        case("bootstrap", One(Metric::RecallAtPrecision { precision: 0.6 }), BINARY, 2000),
        case("bootstrap", Difference(Metric::RecallAtPrecision { precision: 0.6 }), BINARY, 2000),
        case("bootstrap", One(Metric::SensitivityAtSpecificity { specificity: 0.9 }), BINARY, 2000),
        case("bootstrap", Difference(Metric::SensitivityAtSpecificity { specificity: 0.9 }), BINARY, 2000),
        case("bootstrap", One(Metric::MedianAbsoluteError), NORMAL, 2000),
        case("bootstrap", Difference(Metric::MedianAbsoluteError), NORMAL, 2000),
        case("bootstrap", One(Metric::ResidualQuantile { quantile: 0.9 }), NORMAL, 2000),
        clustered("bootstrap-clustered", One(Metric::KolmogorovSmirnov), CLUSTERED, 2000),
        clustered("bootstrap-clustered", One(Metric::Gain { share: 0.1 }), CLUSTERED, 2000),
        clustered("delta-clustered", One(Metric::AveragePrecision), CLUSTERED, 2000),
        clustered("delta-clustered", Difference(Metric::AveragePrecision), CLUSTERED, 2000),
        case("simulated-band", Distance, EQUAL, 100),
        case("simulated-band", Distance, STRONG, 100),
        case("two-sample-band", Numbers, EQUAL, 100),
        case("two-sample-band", Numbers, STRONG, 100),
        clustered("two-sample-band", Numbers, CLUSTERED, 2000),
        case("total-variation", Texts(2), EQUAL, 100),
        case("total-variation", Texts(20), EQUAL, 100),
        case("total-variation", Texts(20), STRONG, 100),
        case("total-variation", Texts(1000), EQUAL, 100),
        clustered("total-variation", Texts(20), CLUSTERED, 2000),
    ]
}

/// What came of the replicates.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(crate) struct Coverage {
    /// Replicates.
    pub(crate) replicates: u64,
    /// Those in which there was an interval.
    pub(crate) given: u64,
    /// Those whose interval contains the truth.
    pub(crate) covered: u64,
    /// Those whose interval lies above the truth.
    pub(crate) above: u64,
    /// Those whose interval lies below the truth.
    pub(crate) below: u64,
    /// Those in which the interval that knows of no clusters contains the truth, where there are clusters.
    pub(crate) naive: Option<u64>,
    /// The methods that gave the intervals.
    pub(crate) methods: BTreeMap<String, u64>,
}

impl Coverage {
    /// The share of the intervals that contain the truth.
    pub(crate) fn share(&self) -> f64 {
        self.covered as f64 / self.given as f64
    }

    fn add(&mut self, other: Self) {
        self.replicates += other.replicates;
        self.given += other.given;
        self.covered += other.covered;
        self.above += other.above;
        self.below += other.below;
        self.naive = other.naive.map(|naive| naive + self.naive.unwrap_or(0)).or(self.naive);
        for (method, count) in other.methods {
            *self.methods.entry(method).or_default() += count;
        }
    }

    fn take(&mut self, found: Result<(&'static str, (f64, f64)), Undefined>, truth: f64) {
        self.replicates += 1;
        let Ok((method, (low, high))) = found else { return };
        self.given += 1;
        self.covered += u64::from(low <= truth && truth <= high);
        self.above += u64::from(low > truth);
        self.below += u64::from(high < truth);
        *self.methods.entry(method.to_owned()).or_default() += 1;
    }
}

impl Case {
    /// The truth.
    ///
    /// # Panics
    /// When it is not defined, which would be a mistake in the table.
    pub(crate) fn truth(&self) -> f64 {
        let population = self.world.population();
        match &self.asked {
            Asked::One(metric) => self.value(&population, metric, &[1.0, 0.0]),
            Asked::Difference(metric) => self.value(&population, metric, &[-1.0, 1.0]),
            Asked::Distance => {
                let columns = self.world.columns(false);
                distance(&population.summary(&columns), &columns, 0, 1, 0).expect("the world has a distance").value
            }
            Asked::Numbers | Asked::Texts(_) => {
                self.shift([&population; 2], false, 0).expect("the world has a distance").value
            }
        }
    }

    /// How often the interval contains the truth.
    pub(crate) fn coverage(&self, truth: f64, rows: u64, replicates: u64) -> Coverage {
        let first = seed_of(&[self.method, &self.asked.to_string(), self.world.name, &rows.to_string()]);
        let mut coverage = Coverage::default();
        let one = |replicate: u64| {
            let (seed, mut coverage) = (first.wrapping_add(replicate), Coverage::default());
            let drawn = self.world.draw(seed, rows);
            coverage.take(self.interval(&drawn, self.clustered, seed), truth);
            if self.clustered {
                let naive = self.interval(&drawn, false, seed);
                let covers = naive.is_ok_and(|(_, (low, high))| low <= truth && truth <= high);
                coverage.naive = Some(u64::from(covers));
            }
            coverage
        };
        in_parallel(replicates, one).into_iter().for_each(|part| coverage.add(part));
        coverage
    }

    fn interval(&self, rows: &Rows, clustered: bool, seed: u64) -> Result<(&'static str, (f64, f64)), Undefined> {
        let (metric, weights) = match &self.asked {
            Asked::One(metric) => (metric, [1.0, 0.0]),
            Asked::Difference(metric) => (metric, [-1.0, 1.0]),
            Asked::Distance => {
                let columns = self.world.columns(clustered);
                let found = distance(&rows.summary(&columns), &columns, 0, 1, seed)?;
                return Ok((found.method(), found.interval(ALPHA_PER_SIDE)));
            }
            Asked::Numbers | Asked::Texts(_) => {
                let others = self.world.draw(seed_of(&["others", &seed.to_string()]), rows.rows());
                let found = self.shift([rows, &others], clustered, seed)?;
                return Ok((found.method(), found.interval(ALPHA_PER_SIDE)));
            }
        };
        let found = measured(rows, self.world, metric, clustered, &weights)?;
        Ok((found.method.name(), found.interval(ALPHA_PER_SIDE)))
    }

    /// The distance between the scores of the second model on some rows and those of the first on others.
    fn shift(&self, [sample, against]: [&Rows; 2], clustered: bool, seed: u64) -> Result<Found, Undefined> {
        if let Asked::Texts(values) = self.asked {
            let found = of_texts(&sample.texts(1, values, clustered), &against.texts(0, values, clustered));
            return found.map(|moved| moved.distance).map_err(|reason| match reason {
                Apart::Undefined(reason) => reason,
                Apart::TooManyValues => Undefined::NotMeasured,
            });
        }
        Ok(of_numbers(&sample.numbers(1, clustered), &against.numbers(0, clustered), seed)?.distance)
    }

    fn value(&self, population: &Rows, metric: &Metric, weights: &[f64]) -> f64 {
        measured(population, self.world, metric, false, weights).expect("the world has this metric").value
    }
}

/// A metric of the rows, weighted over the models.
fn measured(
    rows: &Rows,
    world: World,
    metric: &Metric,
    clustered: bool,
    weights: &[f64],
) -> Result<Measurement, Undefined> {
    let columns = world.columns(clustered);
    match metric.source() {
        Source::Sums => measure(metric, Answer::Sums(&rows.sums(&columns)), weights),
        Source::Moments if world.weighted || world.top_share.is_some() || world.link == Link::Softmax => {
            measure(metric, Answer::Ranks(&rows.summary(&columns), &columns), weights)
        }
        Source::Moments => measure(metric, Answer::Moments(&rows.summary(&columns)), weights),
        Source::Ranks => measure(metric, Answer::Ranks(&rows.summary(&columns), &columns), weights),
    }
}

/// What a function makes of the numbers from 0, in their order, whatever the number of processors.
pub(crate) fn in_parallel<T: Send>(count: u64, one: impl Fn(u64) -> T + Sync) -> Vec<T> {
    let threads = std::thread::available_parallelism().map_or(1, NonZero::get) as u64;
    let share = count.div_ceil(threads).max(1);
    let part = |first: u64| (first..(first + share).min(count)).map(&one).collect::<Vec<_>>();
    std::thread::scope(|scope| {
        let part = &part;
        let parts = (0..count).step_by(share as usize).map(|first| scope.spawn(move || part(first)));
        let parts = parts.collect::<Vec<_>>().into_iter();
        parts.flat_map(|part| part.join().expect("a replicate panicked")).collect()
    })
}

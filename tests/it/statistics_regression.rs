//! The metrics of a regression against the table that `tests/reference/make_regression.py` writes.

use modelgate::measure::{Answer, measure};
use modelgate::stats::random::normal;
use modelgate::stats::{Metric, Undefined};
use modelgate::summaries::{Moments, Task};
use modelgate::summary::Summary;
use serde::Deserialize;

use crate::scored::{Expected, Scored, assert_near, table};

#[derive(Deserialize)]
struct Rows {
    #[serde(flatten)]
    scored: Scored,
    measured: Vec<Expected>,
}

const SMOOTH: [Metric; 12] = [
    Metric::Mae,
    Metric::Mse,
    Metric::Rmse,
    Metric::Rmsle,
    Metric::Mape,
    Metric::Smape,
    Metric::R2,
    Metric::ExplainedVariance,
    Metric::MeanError,
    Metric::PinballLoss { quantile: 0.3 },
    Metric::PoissonDeviance,
    Metric::GammaDeviance,
];

/// The sample that every metric is defined on: positive labels, weights, no clusters.
fn positive() -> Scored {
    let mut rows = table::<Rows>("regression").into_iter().map(|rows| rows.scored);
    rows.find(|rows| rows.name == "positive labels" && rows.weights.is_some() && rows.clusters.is_none()).unwrap()
}

#[test]
fn values_and_errors_are_those_of_the_reference() {
    for Rows { scored, measured } in table("regression") {
        let what =
            format!("{}, {} weights, {} clusters", scored.name, scored.weights.is_some(), scored.clusters.is_some());
        for expected in measured {
            expected.compare(scored.measure(Task::Regression, &expected.metric, &expected.contrast), &what);
        }
    }
}

/// The bounded summary and the exact multiset tell the same.
#[test]
fn moments_agree_with_the_rows_themselves() {
    let rows = Scored { weights: None, ..positive() };
    let mut moments = Moments::default();
    moments.update(&rows.columns(Task::Regression), &rows.arrays()).unwrap();
    for metric in [Metric::Mae, Metric::Mse, Metric::Rmse] {
        let bounded = measure(&metric, Answer::Moments(&moments), &[1.0, -1.0]).unwrap();
        let whole = rows.measure(Task::Regression, &metric, &[1.0, -1.0]).unwrap();
        assert_near(bounded.value, whole.value, 1.0, &metric.name());
        assert_near(bounded.standard_error(), whole.standard_error(), 1.0, &metric.name());
    }
}

#[test]
fn order_equal_weights_and_duplicates_change_nothing() {
    let rows = positive();
    let ones = Scored { weights: Some(vec![1.0; rows.labels.len()]), ..rows.clone() };
    let none = Scored { weights: None, ..rows.clone() };
    let all = (0..rows.labels.len()).collect::<Vec<_>>();
    let doubled = none.at(&[&all[..], &all].concat());
    let twos = Scored { weights: Some(vec![2.0; rows.labels.len()]), ..rows.clone() };
    for metric in SMOOTH {
        let measure = |rows: &Scored| rows.measure(Task::Regression, &metric, &[1.0, -1.01]).unwrap();
        assert_eq!(measure(&rows), measure(&rows.reversed()), "{metric:?}");
        assert_eq!(measure(&ones), measure(&none), "{metric:?}");
        assert_near(measure(&twos).value, measure(&doubled).value, 1e-3, &metric.name());
    }
}

#[test]
fn a_model_does_not_differ_from_itself() {
    for metric in SMOOTH {
        let found = positive().against_itself().measure(Task::Regression, &metric, &[1.0, -1.0]).unwrap();
        assert_eq!((found.value, found.standard_error()), (0.0, 0.0), "{metric:?}");
    }
}

const ORDERED: [Metric; 3] =
    [Metric::MedianAbsoluteError, Metric::MaxError, Metric::ResidualQuantile { quantile: 0.8 }];

#[test]
fn the_metrics_of_order_know_no_order_and_no_difference_from_themselves() {
    let rows = positive();
    for clusters in [None, Some((0..rows.labels.len() as u64).map(|row| row % 12).collect())] {
        let rows = Scored { clusters, ..rows.clone() };
        for metric in ORDERED {
            let measure = |rows: &Scored| rows.measure(Task::Regression, &metric, &[1.0, -1.0]).unwrap();
            assert_eq!(measure(&rows), measure(&rows.reversed()), "{metric:?}");
            let itself = measure(&rows.against_itself());
            assert_eq!((itself.value, itself.standard_error()), (0.0, 0.0), "{metric:?}");
        }
    }
    let weightless = Scored { weights: Some(vec![0.0; rows.labels.len()]), ..rows };
    for metric in ORDERED {
        let found = weightless.measure(Task::Regression, &metric, &[1.0, 0.0]);
        assert_eq!(found.unwrap_err(), Undefined::NoWeight, "{metric:?}");
    }
}

/// Normal errors, whose true quantiles are known. Of 60 intervals at 90 %, 46 to 60 contain them with a chance of 99.7 %.
#[test]
fn intervals_of_quantiles_contain_the_truth() {
    let truths =
        [(Metric::MedianAbsoluteError, 0.674_489_75), (Metric::ResidualQuantile { quantile: 0.8 }, 0.841_621_23)];
    for (metric, truth) in truths {
        let covers = |&seed: &u64| {
            let error = (0..150).map(|row| normal(seed, 1, row)).collect::<Vec<_>>();
            let (name, labels) = (String::new(), vec![0.0; 150]);
            let rows = Scored { name, labels, scores: vec![error], weights: None, clusters: None, groups: None };
            let (low, high) = rows.measure(Task::Regression, &metric, &[1.0]).unwrap().interval(0.05);
            low <= truth && truth <= high
        };
        let covered = (0..60).filter(covers).count();
        assert!((46..=60).contains(&covered), "{metric:?}: {covered}");
    }
}

#[test]
fn what_is_not_defined_says_why() {
    let rows = positive();
    let measure = |rows: &Scored, metric| rows.measure(Task::Regression, &metric, &[1.0, 0.0]).unwrap_err();
    assert_eq!(measure(&rows.at(&[]), Metric::R2), Undefined::NoRows);
    assert_eq!(measure(&rows.at(&[0]), Metric::Mape), Undefined::TooFewRows { rows: 1 });
    let weightless = Scored { weights: Some(vec![0.0; rows.labels.len()]), ..rows.clone() };
    assert_eq!(measure(&weightless, Metric::MeanError), Undefined::NoWeight);
    let one = Scored { clusters: Some(vec![7; rows.labels.len()]), ..rows.clone() };
    assert_eq!(measure(&one, Metric::Smape), Undefined::TooFewClusters { clusters: 1 });
    let far = Scored { labels: vec![1e-300, 1e-300], scores: vec![vec![1e154, 1.0]; 2], weights: None, ..rows.clone() };
    assert_eq!(measure(&far, Metric::GammaDeviance), Undefined::TooLarge);
    assert_eq!(measure(&rows, Metric::RocAuc), Undefined::NotMeasured);
}

//! The metrics of decisions and of probabilities against the table that `tests/reference/make_binary.py` writes, and
//! against what must hold of them whatever the rows are.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, UInt64Array};
use modelgate::measure::{Answer, measure};
use modelgate::stats::random::{normal, uniform};
use modelgate::stats::{Measurement, Method, Metric, Source, Undefined};
use modelgate::summaries::{Columns, Moments, Ranks, Task, Threshold};
use modelgate::summary::Summary;
use serde::Deserialize;

use super::statistics::{assert_near, table};

#[derive(Deserialize, Clone)]
struct Rows {
    name: String,
    threshold: Threshold,
    labels: Vec<f64>,
    scores: Vec<Vec<f64>>,
    weights: Vec<f64>,
    clusters: Vec<u64>,
    #[serde(default)]
    measured: Vec<Expected>,
}

#[derive(Deserialize, Clone)]
struct Expected {
    metric: Metric,
    weighted: bool,
    /// For each model, why it has no value.
    reasons: Option<Vec<Option<String>>>,
    values: Option<Vec<f64>>,
    /// The standard errors of both models and of the first minus the second.
    errors: Option<Vec<f64>>,
    clustered_errors: Option<Vec<f64>>,
}

impl Rows {
    fn columns(&self, weighted: bool, clustered: bool) -> Columns {
        let task = Task::Binary { threshold: self.threshold.clone() };
        Columns { task, scores: self.scores.len(), clustered, weighted, grouped: false }
    }

    fn summary<S: Summary<Params: From<Columns>>>(&self, columns: &Columns) -> S {
        let floats = |values: &Vec<f64>| Arc::new(Float64Array::from(values.clone())) as ArrayRef;
        let mut arrays = vec![floats(&self.labels)];
        arrays.extend(self.scores.iter().map(floats));
        arrays.extend(columns.clustered.then(|| Arc::new(UInt64Array::from(self.clusters.clone())) as ArrayRef));
        arrays.extend(columns.weighted.then(|| floats(&self.weights)));
        let mut summary = S::default();
        summary.update(&columns.clone().into(), &arrays).unwrap();
        summary
    }

    /// From the rows themselves, as weighted ones are measured.
    fn measure(
        &self,
        metric: &Metric,
        (weighted, clustered): (bool, bool),
        weights: &[f64],
    ) -> Result<Measurement, Undefined> {
        let columns = self.columns(weighted, clustered);
        measure(metric, Answer::Ranks(&self.summary::<Ranks>(&columns), &columns), weights)
    }

    fn measure_moments(&self, metric: &Metric, clustered: bool, weights: &[f64]) -> Result<Measurement, Undefined> {
        measure(metric, Answer::Moments(&self.summary::<Moments>(&self.columns(false, clustered))), weights)
    }
}

const MODELS: [[f64; 2]; 2] = [[1.0, 0.0], [0.0, 1.0]];

/// Every metric that the table knows.
fn metrics() -> Vec<Metric> {
    let rows = table::<Rows>("binary");
    rows[0].measured.iter().filter(|row| row.weighted).map(|row| row.metric.clone()).collect()
}

fn reason(undefined: Undefined) -> String {
    serde_json::to_value(undefined).unwrap()["reason"].as_str().unwrap().to_owned()
}

#[test]
fn values_and_reasons_are_those_of_the_reference() {
    for rows in table::<Rows>("binary") {
        for expected in &rows.measured {
            for (model, weights) in MODELS.iter().enumerate() {
                let what = format!("{}, {} of model {model}, {}", rows.name, expected.metric.name(), expected.weighted);
                let known = expected.reasons.as_ref().and_then(|reasons| reasons[model].clone());
                match (rows.measure(&expected.metric, (expected.weighted, false), weights), known) {
                    (Ok(found), None) => {
                        if let Some(values) = &expected.values {
                            assert_near(found.value, values[model], 1e-3, &what);
                        }
                        let (low, high) = found.interval(0.05);
                        assert!(low <= found.value && found.value <= high, "{what}: {low} {high} {found:?}");
                    }
                    (Err(undefined), Some(known)) => assert_eq!(reason(undefined), known, "{what}"),
                    (found, known) => {
                        // A cut within a tie has no interval.
                        let tied = matches!(found, Err(Undefined::TiedCut)) && rows.name.contains("ties");
                        assert!(tied, "{what}: {found:?} is not {known:?}");
                    }
                }
            }
        }
    }
}

/// Errors that the reference takes as finite differences hold to seven digits; score methods leave out `n / (n - 1)`.
#[test]
fn errors_are_those_of_changed_weights() {
    let mut compared = 0;
    for rows in table::<Rows>("binary") {
        for expected in rows.measured.iter().filter(|expected| expected.errors.is_some()) {
            for clustered in [false, true] {
                let errors = if clustered { &expected.clustered_errors } else { &expected.errors };
                for (contrast, &error) in [[1.0, 0.0], [0.0, 1.0], [1.0, -1.0]].iter().zip(errors.as_ref().unwrap()) {
                    let metric = &expected.metric;
                    let what = format!("{}, {} {contrast:?} {clustered}", rows.name, metric.name());
                    let found = rows.measure(metric, (expected.weighted, clustered), contrast).unwrap();
                    let n = found.rows as f64;
                    let factor = factor_of(found.method, n);
                    assert!(
                        (found.standard_error() * factor - error).abs() <= 1e-7 * error.max(1e-4),
                        "{what} {error}"
                    );
                    if metric.source() == Source::Moments && !expected.weighted {
                        let summed = rows.measure_moments(metric, clustered, contrast).unwrap();
                        assert_near(summed.value, found.value, 1e-3, &what);
                        let factor = factor_of(summed.method, n);
                        assert!(
                            (summed.standard_error() * factor - error).abs() <= 1e-7 * error.max(1e-4),
                            "{what} {error}"
                        );
                    }
                    compared += 1;
                }
            }
        }
    }
    assert!(compared > 500, "{compared}");
}

/// What the laws of shares leave out.
fn factor_of(method: Method, rows: f64) -> f64 {
    let is_share = matches!(method, Method::Wilson | Method::ClopperPearson | Method::Tango);
    if is_share { (rows / (rows - 1.0)).sqrt() } else { 1.0 }
}

fn simulate(seed: u64, rows: u64, threshold: Threshold) -> Rows {
    let labels = (0..rows).map(|row| f64::from(uniform(seed, 0, row) < 0.3)).collect::<Vec<_>>();
    let score = |skill: f64, stream: u64| {
        let logit = |row: u64| {
            skill * labels[row as usize] - 0.8 + 0.7 * normal(seed, 1, row) + 0.6 * normal(seed, stream, row)
        };
        (0..rows).map(|row| 1.0 / (1.0 + (-logit(row)).exp())).collect::<Vec<_>>()
    };
    let scores = vec![score(1.6, 2), score(1.3, 3)];
    let weights = (0..rows).map(|row| 0.2 + 2.0 * uniform(seed, 4, row)).collect();
    let clusters = (0..rows).map(|row| row % 25).collect();
    Rows { name: String::new(), threshold, labels, scores, weights, clusters, measured: Vec::new() }
}

fn thresholds() -> [Threshold; 2] {
    [Threshold::From(vec![0.5, 0.45]), Threshold::TopShare(0.2)]
}

#[test]
fn the_order_of_rows_changes_no_bit() {
    for threshold in thresholds() {
        let rows = simulate(1, 120, threshold);
        let turn = |values: &Vec<f64>| values.iter().rev().copied().collect::<Vec<_>>();
        let reversed = Rows {
            labels: turn(&rows.labels),
            scores: rows.scores.iter().map(turn).collect(),
            weights: turn(&rows.weights),
            clusters: rows.clusters.iter().rev().copied().collect(),
            ..rows.clone()
        };
        for metric in metrics() {
            for kind in [(false, false), (true, false), (true, true)] {
                let found = [&rows, &reversed].map(|rows| rows.measure(&metric, kind, &[1.0, -1.01]));
                assert_eq!(found[0], found[1], "{metric:?}");
            }
        }
    }
}

#[test]
fn a_model_does_not_differ_from_itself() {
    for threshold in [Threshold::From(vec![0.5, 0.5]), Threshold::TopShare(0.2)] {
        let mut rows = simulate(2, 150, threshold);
        rows.scores[1] = rows.scores[0].clone();
        for metric in metrics() {
            for kind in [(false, false), (true, false), (true, true)] {
                let found = rows.measure(&metric, kind, &[1.0, -1.0]).unwrap();
                assert_eq!((found.value, found.standard_error()), (0.0, 0.0), "{metric:?}");
                assert_eq!(found.interval(0.05), (0.0, 0.0), "{metric:?}");
            }
        }
    }
}

#[test]
fn weights_of_one_are_none_and_weights_of_two_are_rows_twice() {
    for threshold in thresholds() {
        let ones = Rows { weights: vec![1.0; 120], ..simulate(3, 120, threshold) };
        let twos = Rows { weights: vec![2.0; 120], ..ones.clone() };
        let twice = |values: &Vec<f64>| values.iter().chain(values).copied().collect::<Vec<_>>();
        let doubled =
            Rows { labels: twice(&ones.labels), scores: ones.scores.iter().map(twice).collect(), ..ones.clone() };
        for metric in metrics() {
            for weights in [[1.0, 0.0], [1.0, -1.0]] {
                let plain = ones.measure(&metric, (false, false), &weights).unwrap();
                assert_eq!(ones.measure(&metric, (true, false), &weights), Ok(plain.clone()), "{metric:?}");
                let heavy = twos.measure(&metric, (true, false), &weights).unwrap();
                assert_near(heavy.value, plain.value, 1e-3, &metric.name());
                assert_near(heavy.standard_error(), plain.standard_error(), 1e-3, &metric.name());
                // Two equal rows tie at a cut.
                if let Ok(found) = doubled.measure(&metric, (false, false), &weights) {
                    assert_near(found.value, plain.value, 1e-3, &metric.name());
                }
            }
        }
    }
}

/// Where all rows are decided rightly the interval is what may have gone unseen, in as many rows as count.
#[test]
fn what_does_not_vary_is_not_certain() {
    let labels = (0..60).map(|row| f64::from(row % 3 == 0)).collect::<Vec<_>>();
    let scores = vec![labels.iter().map(|label| 0.1 + 0.8 * label).collect::<Vec<_>>(); 2];
    let rows = Rows {
        weights: (0..60).map(|row| 1.0 + f64::from(row % 2)).collect(),
        labels,
        scores,
        ..simulate(4, 60, Threshold::From(vec![0.5, 0.5]))
    };
    let varied = ["positive_rate", "prevalence"];
    for metric in metrics().into_iter().filter(|metric| metric.direction() != modelgate::stats::Direction::Neither) {
        let probability = metric.name().contains("brier")
            || metric.name().contains("log_loss")
            || metric.name().contains("calibration");
        if probability || varied.contains(&metric.name().as_str()) || matches!(metric, Metric::Cost { .. }) {
            continue;
        }
        for kind in [(false, false), (true, false), (true, true)] {
            let found = rows.measure(&metric, kind, &[1.0, 0.0]).unwrap();
            let (low, high) = found.interval(0.05);
            assert!(found.value == 1.0 && high == 1.0 && low < 0.99, "{metric:?} {kind:?} {low}");
        }
    }
}

/// Of 150 intervals at 90 %, 121 to 149 hold the truth with a chance above 99.9 %, if they keep their promise; the truth is
/// that of 40,000 rows.
#[test]
fn intervals_hold_the_truth_though_the_cut_is_estimated() {
    let threshold = Threshold::TopShare(0.2);
    for metric in [Metric::Recall, Metric::Precision, Metric::F1] {
        for weights in [[1.0, 0.0], [1.0, -1.0]] {
            let truth =
                simulate(1000, 40_000, threshold.clone()).measure(&metric, (true, false), &weights).unwrap().value;
            let holds = |seed: &u64| {
                let found = simulate(*seed, 300, threshold.clone()).measure(&metric, (true, false), &weights).unwrap();
                let (low, high) = found.interval(0.05);
                low <= truth && truth <= high
            };
            let held = (0..150).filter(holds).count();
            assert!((121..=149).contains(&held), "{metric:?} {weights:?}: {held}");
        }
    }
}

/// One label in three among rows of one score, of which a fifth is to be cut off: no cut of them is like another.
#[test]
fn a_cut_that_ties_make_jump_has_no_interval() {
    let mut rows = simulate(5, 200, Threshold::TopShare(0.2));
    rows.scores[0] = (0..200).map(|row| if row < 42 { 0.9 } else { 0.1 }).collect();
    assert_eq!(rows.measure(&Metric::Recall, (false, false), &[1.0, 0.0]), Err(Undefined::TiedCut));
    rows.scores[0] = vec![0.7; 200];
    let all = rows.measure(&Metric::Recall, (false, false), &[1.0, 0.0]).unwrap();
    assert_eq!(all.value, 1.0);
}

//! The metrics of a multiclass task against the table that `tests/reference/make_multiclass.py` writes, and against what holds
//! for any rows.

#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, UInt64Array};
use modelgate::measure::{self, Answer, changed, changes};
use modelgate::stats::{Measurement, Method, Metric, Undefined};
use modelgate::summaries::{Columns, Ranks, Task};
use modelgate::summary::Summary;
use serde::Deserialize;

const ALPHA: f64 = 0.05;

#[derive(Deserialize, Clone)]
struct Rows {
    name: String,
    classes: Vec<String>,
    labels: Vec<f64>,
    scores: Vec<Vec<Vec<f64>>>,
    weights: Vec<f64>,
    clusters: Vec<u64>,
    measured: Vec<Expected>,
}

#[derive(Deserialize, Clone)]
struct Expected {
    metric: Metric,
    contrast: Vec<f64>,
    weighted: bool,
    clustered: bool,
    reason: Option<String>,
    value: Option<f64>,
    error: Option<f64>,
}

impl Rows {
    fn columns(&self, weighted: bool, clustered: bool) -> Columns {
        let task = Task::Multiclass { classes: self.classes.clone() };
        Columns { task, scores: self.scores.len(), clustered, weighted, grouped: false }
    }

    fn ranks(&self, weighted: bool, clustered: bool) -> Ranks {
        let floats = |values: &Vec<f64>| Arc::new(Float64Array::from(values.clone())) as ArrayRef;
        let mut arrays = vec![floats(&self.labels)];
        arrays.extend(self.scores.iter().flatten().map(floats));
        arrays.extend(clustered.then(|| Arc::new(UInt64Array::from(self.clusters.clone())) as ArrayRef));
        arrays.extend(weighted.then(|| floats(&self.weights)));
        let mut ranks = Ranks::default();
        ranks.update(&self.columns(weighted, clustered).into(), &arrays).unwrap();
        ranks
    }

    fn measure(&self, metric: &Metric, of: (bool, bool), contrast: &[f64]) -> Result<Measurement, Undefined> {
        let (ranks, columns) = (self.ranks(of.0, of.1), self.columns(of.0, of.1));
        measure::measure(metric, Answer::Ranks(&ranks, &columns), contrast)
    }

    /// The same rows in another order.
    fn turned(&self) -> Self {
        let turn = |values: &Vec<f64>| values.iter().rev().copied().collect::<Vec<_>>();
        Self {
            labels: turn(&self.labels),
            scores: self.scores.iter().map(|model| model.iter().map(turn).collect()).collect(),
            weights: turn(&self.weights),
            clusters: self.clusters.iter().rev().copied().collect(),
            ..self.clone()
        }
    }
}

fn table() -> Vec<Rows> {
    let path = format!("{}/tests/reference/multiclass.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn smooth() -> Rows {
    table().remove(0)
}

/// Every metric of the table, once.
fn metrics(rows: &Rows) -> Vec<Metric> {
    let mut metrics: Vec<Metric> = Vec::new();
    for expected in &rows.measured {
        if !metrics.contains(&expected.metric) {
            metrics.push(expected.metric.clone());
        }
    }
    assert!(metrics.len() >= 25, "{}", metrics.len());
    metrics
}

#[track_caller]
fn assert_near(found: f64, expected: f64, scale: f64, accuracy: f64, what: &str) {
    assert!((found - expected).abs() <= accuracy * scale.max(expected.abs()), "{what}: {found:e} is not {expected:e}");
}

#[test]
fn metrics_are_those_of_the_reference() {
    let (mut values, mut errors) = (0, 0);
    for rows in table() {
        for expected in &rows.measured {
            let Expected { metric, contrast, weighted, clustered, reason, value, error } = expected;
            let what = format!("{}, {metric:?} {contrast:?} {weighted} {clustered}", rows.name);
            match (rows.measure(metric, (*weighted, *clustered), contrast), reason) {
                (Err(found), Some(reason)) => {
                    assert_eq!(&serde_json::to_value(found).unwrap()["reason"], reason, "{what}");
                }
                (Ok(found), None) => {
                    // A difference has the digits of what it is the difference of.
                    assert_near(found.value, value.unwrap(), 1.0, 1e-9, &what);
                    values += 1;
                    if let Some(error) = error {
                        assert_near(found.standard_error(), *error, 1e-3, 1e-5, &what);
                        errors += 1;
                    }
                    let (low, high) = found.interval(ALPHA);
                    assert!(low <= found.value && found.value <= high, "{what}: {low} {} {high}", found.value);
                }
                (found, reason) => panic!("{what}: {found:?} where {reason:?} is expected"),
            }
        }
    }
    assert!(values > 1500 && errors > 600, "{values} values, {errors} errors");
}

#[test]
fn the_order_of_rows_changes_no_bit() {
    let (rows, turned) = (smooth(), smooth().turned());
    for metric in metrics(&rows) {
        for of in [(false, false), (true, false), (true, true)] {
            let contrast = [1.0, -1.01];
            assert_eq!(rows.measure(&metric, of, &contrast), turned.measure(&metric, of, &contrast), "{metric:?}");
        }
    }
}

#[test]
fn a_model_does_not_differ_from_itself() {
    let mut rows = smooth();
    rows.scores[1] = rows.scores[0].clone();
    for metric in metrics(&rows) {
        for of in [(false, false), (true, false), (false, true), (true, true)] {
            let found = rows.measure(&metric, of, &[1.0, -1.0]).unwrap();
            assert_eq!((found.value, found.standard_error()), (0.0, 0.0), "{metric:?}");
            assert_eq!(found.p_below(0.0), 0.5, "{metric:?}");
        }
    }
}

#[test]
fn weights_of_one_are_none_and_whole_weights_are_copies() {
    let mut rows = smooth();
    rows.weights = vec![1.0; rows.labels.len()];
    for metric in metrics(&rows) {
        for contrast in [[1.0, 0.0], [1.0, -1.0]] {
            let plain = rows.measure(&metric, (false, false), &contrast);
            assert_eq!(rows.measure(&metric, (true, false), &contrast), plain, "{metric:?}");
        }
    }
    let twice = |values: &Vec<f64>| values.iter().chain(&values[..20]).copied().collect::<Vec<_>>();
    let copied = Rows {
        labels: twice(&rows.labels),
        scores: rows.scores.iter().map(|model| model.iter().map(twice).collect()).collect(),
        ..rows.clone()
    };
    rows.weights[..20].fill(2.0);
    for metric in metrics(&rows) {
        let found = rows.measure(&metric, (true, false), &[1.0, 0.0]).unwrap().value;
        let copied = copied.measure(&metric, (false, false), &[1.0, 0.0]).unwrap().value;
        assert_near(found, copied, 1.0, 1e-12, &format!("{metric:?}"));
    }
}

/// Nothing wrong was seen in 12 rows of a class, which does not say that nothing ever is.
#[test]
fn a_perfect_model_has_an_interval() {
    let labels = (0..36).map(|row| f64::from(row % 3)).collect::<Vec<_>>();
    let score = |class: i32| labels.iter().map(|label| if *label == f64::from(class) { 0.8 } else { 0.1 }).collect();
    let model: Vec<Vec<f64>> = (0..3).map(score).collect();
    let rows = Rows { clusters: vec![], weights: vec![], labels, scores: vec![model.clone(), model], ..smooth() };
    for metric in metrics(&rows) {
        let found = rows.measure(&metric, (false, false), &[1.0, 0.0]).unwrap();
        let losses = matches!(metric, Metric::LogLoss | Metric::Brier);
        assert_eq!(found.method == Method::Constant, losses, "{metric:?} {:?}", found.method);
        let (low, high) = found.interval(ALPHA);
        assert!(losses || (found.value == 1.0 && low < 0.95 && high == 1.0), "{metric:?} {low} {} {high}", found.value);
    }
}

#[test]
fn changed_decisions_are_counted() {
    // Decisions a a b c and a b c c where the labels are a b a c; then the models turned around.
    let one_hot = |decisions: [usize; 4]| -> Vec<Vec<f64>> {
        (0..3).map(|class| decisions.iter().map(|&decided| f64::from(u8::from(decided == class))).collect()).collect()
    };
    let (before, after) = (one_hot([0, 0, 1, 2]), one_hot([0, 1, 2, 2]));
    let scores = vec![before.clone(), after.clone(), after, before];
    let rows = Rows {
        labels: vec![0.0, 1.0, 0.0, 2.0],
        scores,
        clusters: vec![1, 1, 2, 2],
        weights: vec![1.0; 4],
        ..smooth()
    };
    let (ranks, columns) = (rows.ranks(false, false), rows.columns(false, false));
    let share = changed(&ranks, &columns, &[(1.0, 0, 1)]).unwrap();
    assert_eq!((share.value, share.method), (0.5, Method::Wilson));
    assert_eq!(changes(&ranks, &columns, 0, 1), Ok([1.0, 0.0, 1.0]));
    assert_eq!(changes(&ranks, &columns, 1, 0), Ok([0.0, 1.0, 1.0]));
    let excess = changed(&ranks, &columns, &[(1.0, 0, 1), (-1.0, 2, 3)]).unwrap();
    assert_eq!((excess.value, excess.method), (0.0, Method::Tango));
    let clustered = changed(&rows.ranks(true, true), &rows.columns(true, true), &[(1.0, 0, 1)]).unwrap();
    assert_eq!((clustered.value, clustered.method), (0.5, Method::Unvaried));
}

#[test]
fn rows_without_weight_say_nothing() {
    let rows = Rows { weights: vec![0.0; 80], ..smooth() };
    for metric in metrics(&rows) {
        assert_eq!(rows.measure(&metric, (true, false), &[1.0, 0.0]), Err(Undefined::NoWeight), "{metric:?}");
    }
    let unknown = Metric::ClassRecall { class: "violet".to_owned() };
    assert_eq!(rows.measure(&unknown, (false, false), &[1.0, 0.0]), Err(Undefined::NotMeasured));
}

//! Ratios of sums against the table that `tests/reference/make_ratio.py` writes.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array};
use modelgate::measure::{Answer, measure};
use modelgate::stats::random::normal;
use modelgate::stats::{Direction, Measurement, Metric, Undefined};
use modelgate::summaries::{Sums, Task};
use modelgate::summary::Summary;
use serde::Deserialize;

use crate::scored::{Expected, Scored, assert_near, table};

#[derive(Clone, Deserialize)]
struct Values {
    name: String,
    above: Vec<Vec<f64>>,
    below: Vec<Vec<f64>>,
    weights: Option<Vec<f64>>,
    clusters: Option<Vec<u64>>,
}

#[derive(Deserialize)]
struct Rows {
    #[serde(flatten)]
    values: Values,
    measured: Vec<Expected>,
}

impl Values {
    fn sums(&self) -> Sums {
        let rows = self.above[0].len();
        let Self { name, weights, clusters, .. } = self.clone();
        let scores = vec![vec![0.0; rows]; 2];
        let scored = Scored { name, labels: vec![1.0; rows], scores, weights, clusters, groups: None };
        let mut arrays = scored.arrays();
        let both = self.above.iter().zip(&self.below).flat_map(|(above, below)| [above, below]);
        arrays.extend(both.map(|values| Arc::new(Float64Array::from(values.clone())) as ArrayRef));
        let mut sums = Sums::default();
        sums.update(&scored.columns(Task::Regression), &arrays).unwrap();
        sums
    }

    fn measure(&self, contrast: &[f64]) -> Result<Measurement, Undefined> {
        measure(&ratio(), Answer::Sums(&self.sums()), contrast)
    }

    fn reversed(&self) -> Self {
        let turn = |values: &Vec<f64>| values.iter().rev().copied().collect::<Vec<_>>();
        Self {
            name: self.name.clone(),
            above: self.above.iter().map(turn).collect(),
            below: self.below.iter().map(turn).collect(),
            weights: self.weights.as_ref().map(turn),
            clusters: self.clusters.as_ref().map(|keys| keys.iter().rev().copied().collect()),
        }
    }
}

fn ratio() -> Metric {
    let [name, numerator, denominator] = ["r", "a", "b"].map(str::to_owned);
    Metric::Ratio { name, numerator, denominator, better: Direction::Higher }
}

fn all() -> Vec<Values> {
    let defined = |rows: &Values| rows.name != "no denominator";
    table::<Rows>("ratio").into_iter().map(|rows| rows.values).filter(defined).collect()
}

#[test]
fn values_and_errors_are_those_of_the_reference() {
    for Rows { values, measured } in table("ratio") {
        let what =
            format!("{}, {} weights, {} clusters", values.name, values.weights.is_some(), values.clusters.is_some());
        for expected in measured {
            expected.compare(values.measure(&expected.contrast), &what);
        }
    }
}

#[test]
fn order_and_equal_weights_change_nothing() {
    for values in all() {
        let contrast = [1.0, -1.01];
        assert_eq!(values.measure(&contrast), values.reversed().measure(&contrast), "{}", values.name);
        let rows = values.above[0].len();
        let ones = Values { weights: Some(vec![1.0; rows]), ..values.clone() };
        let none = Values { weights: None, ..values };
        assert_eq!(ones.measure(&contrast), none.measure(&contrast), "{}", none.name);
        let twos = Values { weights: Some(vec![2.0; rows]), ..none.clone() }.measure(&[1.0, 0.0]).unwrap();
        assert_near(twos.value, none.measure(&[1.0, 0.0]).unwrap().value, 0.0, &none.name);
    }
}

/// Profit per decision of two correlated models, in clusters with effects of their own or not.
fn simulate(seed: u64, rows: u64, clustered: bool) -> Values {
    let effect = |row: u64| if clustered { normal(seed, 3, row / 10) } else { 0.0 };
    let decides = |row: u64, stream: u64| normal(seed, 0, row) + 0.5 * normal(seed, stream, row) + effect(row) > 0.3;
    let per_model = |value: &dyn Fn(u64, u64) -> f64| {
        [1, 2].map(|stream| (0..rows).map(|row| value(row, stream)).collect::<Vec<_>>()).to_vec()
    };
    let margin = |row: u64| 1.0 + normal(seed, 0, row) + normal(seed, 4, row) + effect(row);
    let above = per_model(&|row, stream| if decides(row, stream) { margin(row) } else { 0.0 });
    let below = per_model(&|row, stream| f64::from(u8::from(decides(row, stream))));
    let clusters = clustered.then(|| (0..rows).map(|row| row / 10).collect());
    Values { name: String::new(), above, below, weights: None, clusters }
}

/// The truth of one model is taken from as many rows as all replicates together. Of 150 intervals at 90 %, 121 to 149
/// contain it with a chance above 99.9 %, if they keep their promise.
#[test]
fn intervals_contain_the_truth_as_often_as_they_promise() {
    for clustered in [false, true] {
        let truth = simulate(1000, 60_000, clustered).measure(&[1.0, 0.0]).unwrap().value;
        let covers = |&seed: &u64| {
            let (low, high) = simulate(seed, 400, clustered).measure(&[1.0, 0.0]).unwrap().interval(0.05);
            low <= truth && truth <= high
        };
        let covered = (0..150).filter(covers).count();
        assert!((121..=149).contains(&covered), "clustered: {clustered}, {covered}");
    }
}

#[test]
fn a_model_does_not_differ_from_itself() {
    for mut values in all() {
        (values.above[1], values.below[1]) = (values.above[0].clone(), values.below[0].clone());
        let found = values.measure(&[1.0, -1.0]).unwrap();
        assert_eq!((found.value, found.standard_error()), (0.0, 0.0), "{}", values.name);
    }
}

/// A row that gives no number for one model is in no sum, and is counted for that model.
#[test]
fn what_is_no_number_is_counted() {
    let above = vec![vec![1.0, f64::NAN, 3.0, 5.0], vec![1.0, 2.0, f64::INFINITY, 5.0]];
    let values = Values { name: String::new(), above, below: vec![vec![1.0; 4]; 2], weights: None, clusters: None };
    assert_eq!(values.sums().undefined(), [1, 1]);
    assert_eq!(values.measure(&[1.0, 0.0]).unwrap().value, 3.0);
    let none = Values { above: vec![vec![f64::NAN; 4]; 2], ..values };
    assert_eq!(none.measure(&[1.0, 0.0]).unwrap_err(), Undefined::NoRows);
    let moments = measure(&Metric::Mae, Answer::Sums(&none.sums()), &[1.0, 0.0]);
    assert_eq!(moments.unwrap_err(), Undefined::NotMeasured);
}

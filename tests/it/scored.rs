//! Labelled, scored rows as the reference tables hold them, and what the product measures on them.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, UInt64Array};
use modelgate::measure::{Answer, measure, sample};
use modelgate::stats::{Measurement, Metric, Sample, Undefined};
use modelgate::summaries::{Columns, Ranks, Task};
use modelgate::summary::Summary;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

pub(crate) fn table<T: DeserializeOwned>(name: &str) -> Vec<T> {
    let path = format!("{}/tests/reference/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// Within 1e-9 of the size of the parts that the number is made of.
#[track_caller]
pub(crate) fn assert_near(found: f64, expected: f64, scale: f64, what: &str) {
    assert!((found - expected).abs() <= 1e-9 * scale.max(expected.abs()), "{what}: {found:e} is not {expected:e}");
}

/// Rows of two models.
#[derive(Clone, Deserialize)]
pub(crate) struct Scored {
    pub(crate) name: String,
    pub(crate) labels: Vec<f64>,
    pub(crate) scores: Vec<Vec<f64>>,
    pub(crate) weights: Option<Vec<f64>>,
    pub(crate) clusters: Option<Vec<u64>>,
    #[serde(default)]
    pub(crate) groups: Option<Vec<u64>>,
}

impl Scored {
    pub(crate) fn columns(&self, task: Task) -> Columns {
        Columns {
            task,
            scores: self.scores.len(),
            clustered: self.clusters.is_some(),
            weighted: self.weights.is_some(),
            grouped: self.groups.is_some(),
        }
    }

    /// The columns of a batch.
    pub(crate) fn arrays(&self) -> Vec<ArrayRef> {
        let floats = |values: &Vec<f64>| Arc::new(Float64Array::from(values.clone())) as ArrayRef;
        let keys = |values: &Vec<u64>| Arc::new(UInt64Array::from(values.clone())) as ArrayRef;
        let mut arrays = vec![floats(&self.labels)];
        arrays.extend(self.scores.iter().map(floats));
        arrays.extend(self.clusters.as_ref().map(keys));
        arrays.extend(self.weights.as_ref().map(floats));
        arrays.extend(self.groups.as_ref().map(keys));
        arrays
    }

    pub(crate) fn ranks(&self, task: Task) -> Ranks {
        let mut ranks = Ranks::default();
        ranks.update(&self.columns(task).into(), &self.arrays()).unwrap();
        ranks
    }

    pub(crate) fn measure(&self, task: Task, metric: &Metric, contrast: &[f64]) -> Result<Measurement, Undefined> {
        measure(metric, Answer::Ranks(&self.ranks(task.clone()), &self.columns(task)), contrast)
    }

    pub(crate) fn sample(&self, task: Task) -> Sample {
        sample(&self.ranks(task.clone()), &self.columns(task))
    }

    /// The rows at these places, in this order.
    pub(crate) fn at(&self, rows: &[usize]) -> Self {
        let floats = |values: &Vec<f64>| rows.iter().map(|&row| values[row]).collect::<Vec<_>>();
        let keys = |values: &Vec<u64>| rows.iter().map(|&row| values[row]).collect::<Vec<_>>();
        Self {
            name: self.name.clone(),
            labels: floats(&self.labels),
            scores: self.scores.iter().map(floats).collect(),
            weights: self.weights.as_ref().map(floats),
            clusters: self.clusters.as_ref().map(keys),
            groups: self.groups.as_ref().map(keys),
        }
    }

    pub(crate) fn reversed(&self) -> Self {
        self.at(&(0..self.labels.len()).rev().collect::<Vec<_>>())
    }

    /// Both models are the first.
    pub(crate) fn against_itself(&self) -> Self {
        Self { scores: vec![self.scores[0].clone(); 2], ..self.clone() }
    }
}

/// One expected measurement.
#[derive(Deserialize)]
pub(crate) struct Expected {
    pub(crate) metric: Metric,
    pub(crate) contrast: Vec<f64>,
    pub(crate) reason: Option<String>,
    pub(crate) value: Option<f64>,
    /// None for a metric whose interval is the bootstrap's.
    pub(crate) error: Option<f64>,
    pub(crate) scale: Option<f64>,
}

impl Expected {
    pub(crate) fn compare(&self, found: Result<Measurement, Undefined>, what: &str) {
        let what = format!("{what}, {:?} {:?}", self.metric, self.contrast);
        let found = match (&self.reason, found) {
            (None, Ok(found)) => found,
            (Some(reason), Err(found)) => {
                return assert_eq!(
                    serde_json::to_value(found).unwrap()["reason"],
                    Value::from(reason.clone()),
                    "{what}"
                );
            }
            (reason, found) => panic!("{what}: {reason:?} is expected, {found:?} found"),
        };
        let value = self.value.unwrap();
        let scale = self.scale.unwrap_or(value.abs());
        assert_near(found.value, value, scale, &what);
        if let Some(error) = self.error {
            assert_near(found.standard_error(), error, scale * 1e-3, &what);
        }
        let (low, high) = found.interval(0.05);
        assert!(low <= found.value && found.value <= high, "{what}: {low} {} {high}", found.value);
    }
}

//! The statistics against tables from independent implementations, which `tests/reference/make.py` writes, and against
//! their promises on simulated data.

#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, UInt64Array};
use modelgate::measure::{Answer, distance, measure};
use modelgate::stats::distribution::Reference;
use modelgate::stats::multiplicity::{Dependence, holm, step_up};
use modelgate::stats::proportion::{PairedDifference, Proportion};
use modelgate::stats::random::{normal, uniform};
use modelgate::stats::{Distance, Measurement, Metric, Source, Undefined};
use modelgate::summaries::{Columns, Task, Threshold};
use modelgate::summary::Summary;
use serde::Deserialize;
use serde::de::DeserializeOwned;

const ALPHA: f64 = 0.05;

const BINARY: [Metric; 7] =
    [Metric::Accuracy, Metric::Precision, Metric::Recall, Metric::F1, Metric::RocAuc, Metric::LogLoss, Metric::Brier];

pub(super) fn table<T: DeserializeOwned>(name: &str) -> Vec<T> {
    let path = format!("{}/tests/reference/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

#[track_caller]
fn assert_close(found: f64, expected: f64, what: &str) {
    let tolerance = 1e-9 * expected.abs().max(1e-300);
    assert!(found == expected || (found - expected).abs() <= tolerance, "{what}: {found:e} is not {expected:e}");
}

/// For numbers that are small differences of numbers of size one, where nine digits of the result are not to be had.
#[track_caller]
pub(super) fn assert_near(found: f64, expected: f64, scale: f64, what: &str) {
    assert!((found - expected).abs() <= 1e-9 * scale.max(expected.abs()), "{what}: {found:e} is not {expected:e}");
}

#[derive(Deserialize)]
struct Quantile {
    degrees: Option<f64>,
    alpha: Option<f64>,
    critical: Option<f64>,
    x: Option<f64>,
    at_most: Option<f64>,
}

#[test]
fn quantiles_are_those_of_scipy() {
    for Quantile { degrees, alpha, critical, x, at_most } in table("quantiles") {
        let reference = degrees.map_or(Reference::Normal, Reference::Student);
        if let (Some(alpha), Some(critical)) = (alpha, critical) {
            assert_near(reference.critical(alpha), critical, 1e-3, &format!("{reference:?} above {alpha}"));
        }
        if let (Some(x), Some(at_most)) = (x, at_most) {
            assert_close(reference.at_most(x), at_most, &format!("{reference:?} at {x}"));
        }
    }
}

#[derive(Deserialize)]
struct Share {
    successes: f64,
    trials: f64,
    low: f64,
    high: f64,
    limit: f64,
    below: f64,
    above: f64,
}

#[test]
fn shares_are_those_of_statsmodels() {
    for Share { successes, trials, low, high, limit, below, above } in table("wilson") {
        let (share, what) = (Proportion { successes, trials }, format!("{successes} of {trials} at {limit}"));
        let found = share.interval(Reference::Normal.critical(ALPHA));
        assert_near(found.0, low, 1e-6, &what);
        assert_close(found.1, high, &what);
        assert_tails(share.statistic(limit), below, above, &what);
    }
}

#[derive(Deserialize)]
struct Paired {
    trials: f64,
    gained: f64,
    lost: f64,
    low: f64,
    high: f64,
    limit: f64,
    below: f64,
    above: f64,
}

#[test]
fn paired_differences_are_those_of_a_likelihood_search() {
    for Paired { trials, gained, lost, low, high, limit, below, above } in table("tango") {
        let difference = PairedDifference { trials, gained, lost };
        let what = format!("{difference:?} at {limit}");
        let found = difference.interval(Reference::Normal.critical(ALPHA));
        assert_near(found.0, low, 1e-2, &what);
        assert_near(found.1, high, 1e-2, &what);
        assert_tails(difference.statistic(limit), below, above, &what);
    }
}

fn assert_tails(statistic: f64, below: f64, above: f64, what: &str) {
    assert_close(Reference::Normal.at_most(statistic), below, what);
    assert_close(Reference::Normal.at_most(-statistic), above, what);
}

#[derive(Deserialize)]
struct Family {
    p_values: Vec<f64>,
    rejected: Vec<bool>,
    adjusted: Vec<f64>,
}

#[test]
fn holm_is_that_of_statsmodels_in_every_order() {
    for Family { p_values, rejected, adjusted } in table("holm") {
        for turn in 0..p_values.len() {
            let mut turned = p_values.clone();
            turned.rotate_left(turn);
            let mut judged = holm(&turned, ALPHA);
            judged.rotate_right(turn);
            assert_eq!(judged.iter().map(|judged| judged.rejected).collect::<Vec<_>>(), rejected);
            judged
                .iter()
                .zip(&adjusted)
                .for_each(|(judged, &adjusted)| assert_close(judged.adjusted, adjusted, "holm"));
            assert!(judged.iter().zip(&p_values).all(|(judged, p)| judged.rejected == (*p <= judged.level)));
        }
    }
}

#[derive(Deserialize)]
struct Search {
    method: String,
    searched: u64,
    p_values: Vec<f64>,
    rejected: Vec<bool>,
    adjusted: Vec<f64>,
}

#[test]
fn discoveries_are_those_of_statsmodels_in_every_order() {
    for Search { method, searched, p_values, rejected, adjusted } in table("discovery") {
        let dependence = if method == "fdr_bh" { Dependence::Positive } else { Dependence::Any };
        for turn in 0..p_values.len() {
            let mut turned = p_values.clone();
            turned.rotate_left(turn);
            let mut judged = step_up(&turned, searched, dependence, ALPHA);
            judged.rotate_right(turn);
            assert_eq!(judged.iter().map(|judged| judged.rejected).collect::<Vec<_>>(), rejected, "{method}");
            judged
                .iter()
                .zip(&adjusted)
                .for_each(|(judged, &adjusted)| assert_close(judged.adjusted, adjusted, &method));
            assert!(judged.iter().zip(&p_values).all(|(judged, p)| judged.rejected == (*p <= judged.level)));
        }
    }
}

#[derive(Deserialize)]
struct Rows {
    name: String,
    task: String,
    labels: Vec<f64>,
    scores: Vec<Vec<f64>>,
    clusters: Vec<u64>,
    distance: f64,
    measured: Vec<Expected>,
}

#[derive(Deserialize)]
struct Expected {
    metric: Metric,
    weights: Vec<f64>,
    clustered: bool,
    reason: Option<String>,
    value: Option<f64>,
    error: Option<f64>,
    low: Option<f64>,
    high: Option<f64>,
    limit: Option<f64>,
    below: Option<f64>,
    above: Option<f64>,
}

impl Rows {
    fn columns(&self, clustered: bool) -> Columns {
        let scores = self.scores.len();
        let threshold = Threshold::From(vec![0.5; scores]);
        let task = if self.task == "binary" { Task::Binary { threshold } } else { Task::Regression };
        Columns { task, scores, clustered, weighted: false, grouped: false }
    }

    fn summary<S: Summary<Params: From<Columns>>>(&self, clustered: bool) -> S {
        let params = self.columns(clustered);
        let floats = |values: &Vec<f64>| Arc::new(Float64Array::from(values.clone())) as ArrayRef;
        let mut arrays = vec![floats(&self.labels)];
        arrays.extend(self.scores.iter().map(floats));
        arrays.extend(clustered.then(|| Arc::new(UInt64Array::from(self.clusters.clone())) as ArrayRef));
        let mut summary = S::default();
        summary.update(&params.into(), &arrays).unwrap();
        summary
    }

    fn measure(&self, metric: &Metric, clustered: bool, weights: &[f64]) -> Result<Measurement, Undefined> {
        match metric.source() {
            Source::Moments => measure(metric, Answer::Moments(&self.summary(clustered)), weights),
            _ => measure(metric, Answer::Ranks(&self.summary(clustered), &self.columns(clustered)), weights),
        }
    }

    fn distance(&self, clustered: bool, seed: u64) -> Result<Distance, Undefined> {
        distance(&self.summary(clustered), &self.columns(clustered), 0, 1, seed)
    }
}

#[test]
fn metrics_and_their_intervals_are_those_of_the_reference() {
    for rows in table::<Rows>("samples") {
        for expected in &rows.measured {
            let what = format!("{}, {:?} {:?} {}", rows.name, expected.metric, expected.weights, expected.clustered);
            let found = rows.measure(&expected.metric, expected.clustered, &expected.weights);
            match (&expected.reason, found) {
                (None, Ok(found)) => expected.compare(&found, &what),
                (Some(reason), Err(found)) => {
                    assert_eq!(&serde_json::to_value(found).unwrap()["reason"], reason, "{what}")
                }
                (reason, found) => assert_eq!(format!("{reason:?}"), format!("{found:?}"), "{what}"),
            }
        }
    }
}

impl Expected {
    fn compare(&self, found: &Measurement, what: &str) {
        let scale = self.value.unwrap().abs().max(0.1);
        assert_near(found.value, self.value.unwrap(), scale * 1e-3, what);
        if let Some(error) = self.error {
            assert_near(found.standard_error(), error, 1e-3, what);
        }
        let (low, high) = found.interval(ALPHA);
        self.low.inspect(|&expected| assert_near(low, expected, scale, what));
        self.high.inspect(|&expected| assert_near(high, expected, scale, what));
        let limit = self.limit.unwrap();
        self.below.inspect(|&expected| assert_near(found.p_below(limit), expected, 1e-3, what));
        self.above.inspect(|&expected| assert_near(found.p_above(limit), expected, 1e-3, what));
        assert!(low <= found.value && found.value <= high, "{what}: {low} {} {high}", found.value);
    }
}

#[test]
fn distances_are_those_of_scipy() {
    for rows in table::<Rows>("samples") {
        let found = rows.distance(false, 1).unwrap();
        assert_close(found.value, rows.distance, &rows.name);
        let (low, high) = found.interval(ALPHA);
        assert!(low <= found.value && found.value <= high && found.p_above(found.value) == 1.0, "{}", rows.name);
    }
}

/// Rows of two correlated models: 20 clusters with effects of their own, labels and scores from one seed.
fn simulate(seed: u64, rows: u64) -> Rows {
    let draw = |stream: u64, row: u64| normal(seed, stream, row);
    let clusters = (0..rows).map(|row| row % 20).collect::<Vec<_>>();
    let labels = (0..rows).map(|row| f64::from(uniform(seed, 0, row) < 0.4)).collect::<Vec<_>>();
    let score = |skill: f64, stream: u64| {
        let logit = |row: u64| {
            let label = labels[row as usize] - 0.5;
            skill * label + 0.7 * draw(1, row) + 0.5 * draw(stream, row) + 0.5 * draw(4, row % 20)
        };
        (0..rows).map(|row| 1.0 / (1.0 + (-logit(row)).exp())).collect::<Vec<_>>()
    };
    let scores = vec![score(1.4, 2), score(1.2, 3)];
    Rows { name: String::new(), task: "binary".to_owned(), labels, scores, clusters, distance: 0.0, measured: vec![] }
}

/// The truth of each metric's difference is taken from as many rows as all replicates together. Of 150 intervals at
/// 90 %, 121 to 149 contain it with a chance above 99.9 %, if they keep their promise.
#[test]
fn intervals_contain_the_truth_as_often_as_they_promise() {
    let metrics = [Metric::Accuracy, Metric::F1, Metric::LogLoss, Metric::RocAuc];
    let truth =
        metrics.each_ref().map(|metric| simulate(1000, 20_000).measure(metric, false, &[1.0, -1.0]).unwrap().value);
    for clustered in [false, true] {
        let mut covered = metrics.each_ref().map(|_| 0);
        for seed in 0..150 {
            let rows = simulate(seed, 200);
            for (index, metric) in metrics.iter().enumerate() {
                let (low, high) = rows.measure(metric, clustered, &[1.0, -1.0]).unwrap().interval(ALPHA);
                covered[index] += usize::from(low <= truth[index] && truth[index] <= high);
            }
        }
        assert!(covered.iter().all(|hits| (121..=149).contains(hits)), "clustered: {clustered}, {covered:?}");
    }
}

/// Rows whose two scores have one distribution, so that every distance seen is noise: of the rows, and as much again of
/// the 30 clusters if `effect` is 1.
fn without_distance(seed: u64, effect: f64) -> Rows {
    let score = |model: u64| {
        let noise = move |row: u64| normal(seed, model, row) + effect * normal(seed, model, 1000 + row % 30);
        (0..200).map(move |row| normal(seed, 0, row) + noise(row)).collect::<Vec<_>>()
    };
    let (labels, clusters) = (vec![0.0; 200], (0..200).map(|row| row % 30).collect());
    Rows { task: "regression".to_owned(), labels, scores: vec![score(1), score(2)], clusters, ..simulate(seed, 0) }
}

/// More than 4 of 12 at 5 % have a chance of 0.02 %.
#[test]
fn a_distance_of_zero_is_rejected_no_more_often_than_promised() {
    for (clustered, effect) in [(false, 0.0), (true, 1.0)] {
        let rejects =
            |&seed: &u64| without_distance(seed, effect).distance(clustered, seed).unwrap().p_above(0.0) <= ALPHA;
        let rejected = (0..12).filter(rejects).count();
        assert!(rejected <= 4, "clustered: {clustered}, {rejected}");
    }
}

/// The same numbers to the bit, whatever the order of the rows.
#[test]
fn the_order_of_rows_changes_no_bit() {
    let rows = simulate(1, 120);
    let turn = |values: &Vec<f64>| values.iter().rev().copied().collect::<Vec<_>>();
    let reversed = Rows {
        labels: turn(&rows.labels),
        scores: rows.scores.iter().map(turn).collect(),
        clusters: rows.clusters.iter().rev().copied().collect(),
        ..simulate(1, 120)
    };
    for metric in BINARY {
        for clustered in [false, true] {
            let weights = [1.0, -1.01];
            assert_eq!(rows.measure(&metric, clustered, &weights), reversed.measure(&metric, clustered, &weights));
        }
    }
    let found = [&rows, &reversed].map(|rows| rows.distance(true, 3).unwrap());
    assert_eq!(found[0], found[1]);
}

/// A model against itself: the difference and its error are exactly zero, and the limits of a margin decide.
#[test]
fn a_model_does_not_differ_from_itself() {
    let mut rows = simulate(3, 400);
    rows.scores[1] = rows.scores[0].clone();
    for metric in [Metric::LogLoss, Metric::Brier, Metric::RocAuc, Metric::Accuracy, Metric::Precision, Metric::F1] {
        for clustered in [false, true] {
            let found = rows.measure(&metric, clustered, &[1.0, -1.0]).unwrap();
            assert_eq!((found.value, found.standard_error()), (0.0, 0.0), "{metric:?}");
            assert!(found.p_below(0.0) == 0.5 && found.p_above(-0.2) < ALPHA, "{metric:?} {found:?}");
        }
    }
    let same = rows.distance(false, 3).unwrap();
    assert_eq!((same.value, same.interval(ALPHA)), (0.0, (0.0, 0.0)));
}

/// As many rows as it asks for do decide, and somewhat fewer do not.
#[test]
fn the_rows_it_asks_for_would_decide() {
    let decides = |rows: f64| Proportion { successes: 0.8 * rows, trials: rows }.exact_p_above(0.78) < ALPHA;
    let rows = Rows { labels: vec![1.0; 100], clusters: vec![0; 100], ..simulate(1, 1) };
    let scores = (0..100).map(|row| if row < 80 { 0.9 } else { 0.1 }).collect::<Vec<_>>();
    let rows = Rows { scores: vec![scores.clone(), scores], ..rows };
    let found = rows.measure(&Metric::Accuracy, false, &[1.0, 0.0]).unwrap();
    let more = found.needs_rows(0.78, ALPHA).unwrap() as f64;
    assert!(decides(100.0 + more) && !decides(99.0 + more), "{more}");
    assert_eq!(found.needs_rows(0.5, ALPHA), Some(0));
    assert_eq!(found.needs_rows(0.8, ALPHA), None);
}

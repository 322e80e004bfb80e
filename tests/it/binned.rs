//! Scores in cells: within their bounds of the exact numbers, in bounded memory, the same for all partitions.

#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array};
use modelgate::measure::{Answer, distance, measure, of_models, sample};
use modelgate::stats::curve::roc;
use modelgate::stats::random::{normal, uniform};
use modelgate::stats::{Distance, Measurement, Method, Metric};
use modelgate::summaries::{Budget, Columns, RankParams, Ranks, Task, Threshold};
use modelgate::summary::Summary;

const SMALL: Budget = Budget { exact: 400, cells: 300 };

/// Labels and the scores of two models.
struct Rows {
    labels: Vec<f64>,
    scores: [Vec<f64>; 2],
    task: Task,
}

impl Rows {
    /// Scores from two noisy views of one propensity, of which few are large where the shift is negative.
    fn new(seed: u64, rows: u64, shift: f64) -> Self {
        let logistic = |x: f64| 1.0 / (1.0 + (-x).exp());
        let propensity = |row: u64| shift + 1.5 * normal(seed, 0, row);
        let label = |row: u64| f64::from(u8::from(uniform(seed, 1, row) < logistic(propensity(row))));
        let score =
            |model: u64| (0..rows).map(|row| logistic(propensity(row) + normal(seed, 2 + model, row))).collect();
        let task = Task::Binary { threshold: Threshold::From(vec![0.5; 2]) };
        Self { labels: (0..rows).map(label).collect(), scores: [score(0), score(1)], task }
    }

    fn columns(&self) -> Columns {
        Columns { task: self.task.clone(), scores: 2, clustered: false, weighted: false, grouped: false }
    }

    fn ranks(&self, binned: Option<Budget>) -> Ranks {
        self.part(binned, 0, self.labels.len())
    }

    fn part(&self, binned: Option<Budget>, from: usize, to: usize) -> Ranks {
        let params = RankParams { rows: self.columns(), binned };
        let mut ranks = Ranks::default();
        for from in (from..to).step_by(8192) {
            let to = to.min(from + 8192);
            let column = |values: &[f64]| Arc::new(Float64Array::from(values[from..to].to_vec())) as ArrayRef;
            let columns = [column(&self.labels), column(&self.scores[0]), column(&self.scores[1])];
            ranks.update(&params, &columns).unwrap();
        }
        ranks
    }

    fn measure(&self, metric: &Metric, binned: Option<Budget>, weights: [f64; 2]) -> Measurement {
        measure(metric, Answer::Ranks(&self.ranks(binned), &self.columns()), &weights).unwrap()
    }

    fn distance(&self, binned: Option<Budget>) -> Distance {
        distance(&self.ranks(binned), &self.columns(), 0, 1, 7).unwrap()
    }
}

/// The same bytes, whether all are in one or in parts of any size that are merged in any order.
#[test]
fn partitions_change_nothing_across_the_switch_and_across_levels() {
    let rows = Rows::new(3, 6000, -1.0);
    for budget in [SMALL, Budget { exact: 5000, cells: 60 }, Budget { exact: 5999, cells: 3000 }] {
        let whole = rows.ranks(Some(budget));
        assert!(whole.are_binned() && whole.level(0) > 0);
        for parts in [2, 7, 50] {
            let ends = (0..=parts).map(|part| 6000 * part * part / (parts * parts)).collect::<Vec<_>>();
            let mut parts = ends.windows(2).map(|ends| rows.part(Some(budget), ends[0], ends[1])).collect::<Vec<_>>();
            let forth = parts.iter().cloned().reduce(merged).unwrap();
            while parts.len() > 1 {
                let last = parts.pop().unwrap();
                parts = parts.into_iter().rev().collect();
                parts[0].merge(last);
            }
            assert_eq!((forth.write(), parts[0].write()), (whole.write(), whole.write()));
        }
    }
}

fn merged(mut left: Ranks, right: Ranks) -> Ranks {
    left.merge(right);
    left
}

#[test]
fn an_area_is_within_its_bound_and_its_interval_holds_the_exact_one() {
    for (seed, shift) in [(1, 0.0), (2, -3.0), (3, -6.0)] {
        let rows = Rows::new(seed, 8000, shift);
        for (metric, budget) in [(Metric::RocAuc, SMALL), (Metric::Gini, Budget { exact: 400, cells: 2000 })] {
            for weights in [[1.0, 0.0], [0.0, 1.0], [-1.0, 1.0], [-0.99, 1.0]] {
                let (exact, binned) =
                    (rows.measure(&metric, None, weights), rows.measure(&metric, Some(budget), weights));
                let bound = binned.binning_error().unwrap();
                assert!((exact.value - binned.value).abs() <= bound + 1e-12, "{weights:?} {bound}");
                assert!(bound < 0.02 && bound > 0.0, "{shift} {weights:?} {bound}");
                assert!(exact.standard_error() <= 1.001 * binned.standard_error(), "{shift} {weights:?}");
                let ((low, high), (exact_low, exact_high)) = (binned.interval(0.05), exact.interval(0.05));
                assert!(low <= exact_low && exact_high <= high, "{shift} {weights:?}");
                assert_eq!((binned.method, binned.rows, exact.binning_error()), (Method::DelongBinned, 8000, None));
            }
        }
    }
}

/// At the ends of the interval the p-values are its level, as everywhere.
#[test]
fn the_interval_of_an_area_agrees_with_its_tests() {
    let rows = Rows::new(4, 4000, -2.0);
    for weights in [[1.0, 0.0], [-1.0, 1.0]] {
        let binned = rows.measure(&Metric::RocAuc, Some(SMALL), weights);
        let (low, high) = binned.interval(0.05);
        assert!((binned.p_above(low) - 0.05).abs() < 1e-9 && (binned.p_below(high) - 0.05).abs() < 1e-9);
        let within = binned.value + binned.binning_error().unwrap() / 2.0;
        assert!(binned.p_above(within) > 0.5 && binned.p_below(within) > 0.5);
        assert_eq!((binned.needs_rows(within, 0.05), binned.needs_rows(high + 0.01, 0.05)), (None, Some(0)));
    }
}

#[test]
fn scores_of_few_digits_stay_exact_beside_joint_cells() {
    let mut rows = Rows::new(5, 8000, -1.0);
    rows.scores.iter_mut().flatten().for_each(|score| *score = (*score * 100.0).round() / 100.0);
    let ranks = rows.ranks(Some(SMALL));
    assert!(ranks.are_binned() && ranks.level(0) == 0 && ranks.level(1) == 0);
    for weights in [[1.0, 0.0], [-1.0, 1.0]] {
        let (exact, binned) =
            (rows.measure(&Metric::RocAuc, None, weights), rows.measure(&Metric::RocAuc, Some(SMALL), weights));
        assert!((exact.value - binned.value).abs() < 1e-15);
        assert_eq!(binned.binning_error(), Some(0.0));
    }
    let (exact, binned) = (rows.distance(None), rows.distance(Some(SMALL)));
    assert_eq!((exact.value, exact.at, binned.binning_error), (binned.value, binned.at, Some(0.0)));
}

#[test]
fn a_model_does_not_differ_from_itself() {
    let mut rows = Rows::new(6, 3000, 0.0);
    rows.scores[1] = rows.scores[0].clone();
    let found = rows.measure(&Metric::RocAuc, Some(SMALL), [-1.0, 1.0]);
    assert!(found.is_zero() && found.method == Method::Constant && found.interval(0.05) == (0.0, 0.0));
    let found = rows.distance(Some(SMALL));
    assert_eq!((found.value, found.interval(0.05), found.method()), (0.0, (0.0, 0.0), "constant"));
    rows.scores[1][17] = rows.scores[1][17].next_up();
    assert!(!rows.measure(&Metric::RocAuc, Some(SMALL), [-1.0, 1.0]).is_zero());
    assert!(rows.distance(Some(SMALL)).interval(0.05).1 > 0.0);
}

#[test]
fn models_that_separate_the_classes_do_so_in_cells() {
    let mut rows = Rows::new(7, 3000, 0.0);
    let labels = rows.labels.clone();
    for score in rows.scores.iter_mut() {
        score.iter_mut().zip(&labels).for_each(|(score, label)| *score = 0.4 * *score + 0.6 * label);
    }
    let found = rows.measure(&Metric::RocAuc, Some(SMALL), [1.0, 0.0]);
    assert_eq!((found.value, found.method), (1.0, Method::Unvaried));
}

#[test]
fn a_distance_is_within_its_bound() {
    for (seed, task) in [(8, Rows::new(0, 1, 0.0).task), (9, Task::Regression)] {
        let mut rows = Rows::new(seed, 8000, -2.0);
        rows.scores[1].iter_mut().for_each(|score| *score = score.powf(1.1));
        if task == Task::Regression {
            rows.scores.iter_mut().flatten().for_each(|score| *score = 1e6 * (*score - 0.2));
        }
        rows.task = task;
        let (exact, binned) = (rows.distance(None), rows.distance(Some(SMALL)));
        let error = binned.binning_error.unwrap();
        assert!(binned.value <= exact.value && exact.value <= binned.value + error, "{} {error}", exact.value);
        assert!(error > 0.0 && error < 0.05 && binned.method() == "simulated-band-binned");
        let scale = if rows.task == Task::Regression { 1e6 } else { 1.0 };
        assert!((exact.at - binned.at).abs() < 0.05 * scale, "{} {}", exact.at, binned.at);
        let ((low, high), (exact_low, exact_high)) = (binned.interval(0.05), exact.interval(0.05));
        assert!(low <= exact_low + 0.01 && exact_high <= high + 0.002, "{low} {high} {exact_low} {exact_high}");
        assert!(binned.p_below(exact.value) == 1.0 && binned.p_below(1.0) < 1e-3);
    }
}

#[test]
fn only_areas_and_distances_are_known_from_cells() {
    let rows = Rows::new(10, 2000, 0.0);
    let (ranks, columns) = (rows.ranks(Some(SMALL)), rows.columns());
    assert!(measure(&Metric::AveragePrecision, Answer::Ranks(&ranks, &columns), &[1.0, 0.0]).is_err());
    let binned = |columns: Columns| RankParams::binned(columns).binned.is_some();
    assert!(binned(columns.clone()));
    assert!(
        !binned(Columns { clustered: true, ..columns.clone() })
            && !binned(Columns { weighted: true, ..columns.clone() })
    );
    let (exact, binned) = (RankParams::exact(columns.clone()), RankParams::binned(columns));
    assert!(Ranks::serves(&exact, &binned) && !Ranks::serves(&binned, &exact));
}

#[test]
fn a_curve_goes_through_the_ends_of_the_cells() {
    let rows = Rows::new(11, 4000, -1.0);
    let exact = roc(&sample(&rows.ranks(None), &rows.columns()), 1).unwrap();
    let models = of_models(&rows.ranks(Some(SMALL)), &rows.columns());
    let binned = roc(&models[1], 0).unwrap();
    let height = |at: f64| exact.iter().rev().find(|point| point.false_positive_rate <= at).unwrap().true_positive_rate;
    assert!(binned.iter().all(|point| (height(point.false_positive_rate) - point.true_positive_rate).abs() < 0.02));
    let mean = |sample: &modelgate::stats::Sample, model: usize| {
        let scores = sample.scores[model].iter().zip(&sample.counts);
        scores.map(|(score, &count)| score * count as f64).sum::<f64>() / sample.rows() as f64
    };
    assert!((mean(&models[1], 0) - mean(&sample(&rows.ranks(None), &rows.columns()), 1)).abs() < 1e-3);
}

/// Nominal 90 %, from 300 samples of 400 rows in at most 100 cells: the bound makes it more, never less.
#[test]
fn intervals_hold_the_truth_as_often_as_they_say() {
    let truth = Rows::new(999, 200_000, -1.0);
    let budget = Some(Budget { exact: 100, cells: 100 });
    for weights in [[1.0, 0.0], [-1.0, 1.0]] {
        let expected = truth.measure(&Metric::RocAuc, Some(Budget::STANDARD), weights).value;
        let holds = |seed: &u64| {
            let (low, high) = Rows::new(*seed, 400, -1.0).measure(&Metric::RocAuc, budget, weights).interval(0.05);
            low <= expected && expected <= high
        };
        let held = (1000..1300).filter(holds).count();
        assert!(held >= 262, "{weights:?}: {held} of 300");
    }
}

/// Two million rows, no two alike: as much as fits the budget, whatever the partitions.
#[test]
fn memory_does_not_grow_with_the_rows() {
    let rows = Rows::new(12, 250_000, -1.0);
    let budget = Some(Budget::STANDARD);
    let part = rows.ranks(budget);
    let mut all = part.clone();
    (1..8).for_each(|_| all.merge(part.clone()));
    assert!(part.size() < 4 << 20 && all.size() < 4 << 20, "{} {}", part.size(), all.size());
    assert_eq!((all.rows().used, all.level(0), all.level(1)), (2_000_000, part.level(0), part.level(1)));
    let eighths = (0..8).map(|eighth| rows.part(budget, 31_250 * eighth, 31_250 * (eighth + 1)));
    assert_eq!(eighths.reduce(merged).unwrap().write(), part.write());
    let measured = |ranks: &Ranks, weights: [f64; 2]| {
        measure(&Metric::RocAuc, Answer::Ranks(ranks, &rows.columns()), &weights).unwrap()
    };
    assert!(measured(&all, [-1.0, 1.0]).binning_error().unwrap() < 3e-4);
    let exact = rows.ranks(None);
    for (weights, most) in [([1.0, 0.0], 1.001), ([-1.0, 1.0], 1.15)] {
        let ratio = measured(&part, weights).standard_error() / measured(&exact, weights).standard_error();
        assert!((1.0..most).contains(&ratio), "{weights:?} {ratio}");
    }
}

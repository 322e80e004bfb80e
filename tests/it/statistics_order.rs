//! The metrics of order, shares and the bootstrap against tables that `tests/reference/make_order.py` writes, and against
//! their promises.

#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use modelgate::stats::distribution::Reference;
use modelgate::stats::proportion::{IndependentDifference, Proportion};
use modelgate::stats::random::{normal, uniform};
use modelgate::stats::{Measurement, Method, Metric, Sample, Undefined, binary, bootstrap};
use serde::Deserialize;

#[derive(Deserialize)]
struct Tables {
    shares: Vec<Share>,
    differences: Vec<Difference>,
    samples: Vec<Rows>,
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

#[derive(Deserialize)]
struct Difference {
    counts: [f64; 4],
    low: f64,
    high: f64,
}

#[derive(Deserialize)]
struct Rows {
    name: String,
    labels: Vec<f64>,
    scores: Vec<Vec<f64>>,
    weights: Option<Vec<f64>>,
    clusters: Vec<u64>,
    measured: Vec<Expected>,
}

#[derive(Deserialize)]
struct Expected {
    metric: Metric,
    values: Vec<f64>,
    #[serde(default)]
    errors: Vec<ExpectedError>,
}

#[derive(Deserialize)]
struct ExpectedError {
    weights: Vec<f64>,
    clustered: bool,
    error: f64,
}

fn tables() -> Tables {
    let path = format!("{}/tests/reference/order.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

#[track_caller]
fn assert_close(found: f64, expected: f64, tolerance: f64, what: &str) {
    let near = (found - expected).abs() <= tolerance * expected.abs();
    assert!(found == expected || near, "{what}: {found:e} is not {expected:e}");
}

/// To nine digits, or as many as `ln gamma`, of the size `n ln n`, leaves of sixteen where `n` is large.
#[test]
fn exact_shares_are_those_of_scipy() {
    for Share { successes, trials, low, high, limit, below, above } in tables().shares {
        let (share, what) = (Proportion { successes, trials }, format!("{successes} of {trials} at {limit}"));
        assert!(share.is_exact(), "{what}");
        let tolerance = (1e-15 * trials * trials.ln()).max(1e-9);
        let found = share.exact_interval(0.05);
        assert_close(found.0, low, tolerance, &what);
        assert_close(found.1, high, tolerance, &what);
        assert_close(share.exact_p_below(limit), below, tolerance, &what);
        assert_close(share.exact_p_above(limit), above, tolerance, &what);
    }
}

/// The exact test keeps its level at every share; Wilson's, from 1,000 of the rarer outcome on, to within a tenth.
#[test]
fn a_share_is_rejected_no_more_often_than_promised() {
    let trials = 40.0;
    for share in [0.001, 0.01, 0.07, 0.3, 0.5, 0.9, 0.999] {
        let chance = |successes: f64| {
            let seen = Proportion { successes, trials };
            seen.exact_p_above(share) - Proportion { successes: successes + 1.0, trials }.exact_p_above(share)
        };
        let rejected = |p: fn(Proportion, f64) -> f64| {
            let counts = (0..=40).map(f64::from).filter(|&successes| p(Proportion { successes, trials }, share) < 0.05);
            counts.map(chance).sum::<f64>()
        };
        assert!(rejected(Proportion::exact_p_above) <= 0.05 && rejected(Proportion::exact_p_below) <= 0.05, "{share}");
    }
    assert!(!Proportion { successes: 1000.0, trials: 5000.0 }.is_exact());
}

#[test]
fn independent_differences_are_those_of_statsmodels() {
    for Difference { counts: [x1, n1, x2, n2], low, high } in tables().differences {
        let [first, second] = [(x1, n1), (x2, n2)].map(|(successes, trials)| Proportion { successes, trials });
        let (difference, z) = (IndependentDifference { first, second }, Reference::Normal.critical(0.05));
        let (what, found) = (format!("{difference:?}"), difference.interval(z));
        assert!((found.0 - low).abs() < 1e-9 && (found.1 - high).abs() < 1e-9, "{what}: {found:?} {low} {high}");
        let value = x1 / n1 - x2 / n2;
        assert_eq!(difference.statistic(value), 0.0);
        for (limit, expected) in [(low, z), (high, -z)] {
            if (limit - value).abs() > 1e-9 {
                assert_close(difference.statistic(limit), expected, 1e-7, &what);
            }
        }
        assert_eq!(difference.statistic(-1.5), f64::INFINITY);
    }
}

impl Rows {
    fn sample(&self, clustered: bool) -> Sample {
        Sample {
            clusters: clustered.then(|| self.clusters.clone()),
            weights: self.weights.clone(),
            labels: self.labels.clone(),
            scores: self.scores.clone(),
            counts: vec![1; self.labels.len()],
            ..Sample::default()
        }
    }
}

fn single(model: usize) -> [f64; 2] {
    [0, 1].map(|other| if other == model { 1.0 } else { 0.0 })
}

/// Values to nine digits; errors to nine where they are from all pairs, and to six where from finite differences.
#[test]
fn metrics_of_order_are_those_of_the_reference() {
    for rows in tables().samples {
        for Expected { metric, values, errors } in &rows.measured {
            let what = format!("{}, {}", rows.name, metric.name());
            for (model, &expected) in values.iter().enumerate() {
                let found = binary::measure(metric, &rows.sample(false), &single(model)).unwrap();
                assert!((found.value - expected).abs() <= 1e-9 * expected.abs().max(1e-3), "{what}: {}", found.value);
                let (low, high) = found.interval(0.05);
                assert!(low <= found.value && found.value <= high, "{what}: {low} {} {high}", found.value);
            }
            let tolerance = if *metric == Metric::AveragePrecision { 1e-6 } else { 1e-9 };
            for ExpectedError { weights, clustered, error } in errors {
                let found = binary::measure(metric, &rows.sample(*clustered), weights).unwrap();
                assert_close(found.standard_error(), *error, tolerance, &format!("{what} {weights:?} {clustered}"));
            }
        }
    }
}

fn metrics() -> Vec<Metric> {
    let [share, k] = [0.2, 10.0];
    vec![
        Metric::RocAuc,
        Metric::Gini,
        Metric::AveragePrecision,
        Metric::KolmogorovSmirnov,
        Metric::Lift { share },
        Metric::Gain { share },
        Metric::PrecisionAtShare { share },
        Metric::PrecisionAtK { k: k as u64 },
        Metric::RecallAtK { k: k as u64 },
        Metric::RecallAtPrecision { precision: 0.6 },
        Metric::SensitivityAtSpecificity { specificity: 0.8 },
        Metric::BestF1,
        Metric::BestAccuracy,
    ]
}

/// Two models on rows in 20 clusters, from one seed.
fn simulate(seed: u64, rows: u64) -> Sample {
    let labels = (0..rows).map(|row| f64::from(uniform(seed, 0, row) < 0.35)).collect::<Vec<_>>();
    let score = |skill: f64, stream: u64| {
        let noise = |row: u64| 0.7 * normal(seed, 1, row) + 0.7 * normal(seed, stream, row);
        (0..rows).map(|row| skill * labels[row as usize] + noise(row)).collect::<Vec<_>>()
    };
    let scores = vec![score(1.4, 2), score(1.1, 3)];
    Sample { scores, labels, counts: vec![1; rows as usize], ..Sample::default() }
}

fn clustered(sample: Sample) -> Sample {
    Sample { clusters: Some((0..sample.counts.len() as u64).map(|row| row % 20).collect()), ..sample }
}

#[test]
fn a_model_does_not_differ_from_itself_in_any_order() {
    let mut same = simulate(3, 60);
    same.scores[1] = same.scores[0].clone();
    for sample in [same.clone(), clustered(same)] {
        for metric in metrics() {
            let found = binary::measure(&metric, &sample, &[1.0, -1.0]).unwrap();
            assert_eq!((found.value, found.standard_error(), found.method), (0.0, 0.0, Method::Constant), "{metric:?}");
            assert_eq!((found.interval(0.05), found.p_below(0.0)), ((0.0, 0.0), 0.5), "{metric:?}");
        }
    }
}

#[test]
fn weights_of_one_change_no_bit_and_weights_of_two_are_two_rows() {
    let plain = simulate(4, 50);
    let ones = Sample { weights: Some(vec![1.0; 50]), ..plain.clone() };
    let twos = Sample { weights: Some(vec![2.0; 50]), ..plain.clone() };
    let doubled = Sample { counts: vec![2; 50], ..plain.clone() };
    for metric in metrics() {
        let value = |sample: &Sample| binary::measure(&metric, sample, &[1.0, -1.0]).unwrap().value;
        assert_eq!(value(&plain).to_bits(), value(&ones).to_bits(), "{metric:?}");
        match metric {
            // `k` counts rows and not their weight.
            Metric::PrecisionAtK { .. } | Metric::RecallAtK { .. } => assert_eq!(value(&twos), value(&plain)),
            _ => assert!((value(&twos) - value(&doubled)).abs() < 1e-14, "{metric:?}"),
        }
    }
    for metric in [Metric::RocAuc, Metric::AveragePrecision] {
        let found = [&plain, &ones].map(|sample| binary::measure(&metric, sample, &[1.0, 0.0]).unwrap());
        assert_eq!(found[0], found[1]);
    }
}

/// A row draws by its content: shuffled rows, sorted again as a summary sorts them, give the same to the bit, and so do
/// the rows of the other model in the first place, but for the sign.
#[test]
fn equal_rows_draw_equally() {
    let sample = simulate(5, 50);
    for metric in metrics() {
        let found = |weights: [f64; 2]| binary::measure(&metric, &sample, &weights).unwrap();
        let (there, back) = (found([1.0, -1.0]), found([-1.0, 1.0]));
        assert_eq!(there.value, -back.value, "{metric:?}");
        assert_close(there.standard_error(), back.standard_error(), 1e-9, &metric.name());
    }
}

#[test]
fn what_is_not_defined_says_why() {
    let sample = simulate(6, 50);
    let measure = |metric: Metric, sample: &Sample| binary::measure(&metric, sample, &[1.0, 0.0]);
    let of_label = |label: f64| Sample { labels: vec![label; 50], ..sample.clone() };
    let one_class = Err(Undefined::OneClass { positives: 0, negatives: 50 });
    for metric in [Metric::RocAuc, Metric::Gini, Metric::KolmogorovSmirnov] {
        assert_eq!(measure(metric, &of_label(0.0)), one_class);
    }
    for metric in [Metric::AveragePrecision, Metric::Lift { share: 0.1 }, Metric::BestF1, Metric::RecallAtK { k: 3 }] {
        assert_eq!(measure(metric, &of_label(0.0)), Err(Undefined::NoPositives));
    }
    assert_eq!(
        measure(Metric::PrecisionAtK { k: 51 }, &sample),
        Err(Undefined::FewerThanFirst { rows: 50, first: 51 })
    );
    let weightless = Sample { weights: Some(vec![0.0; 50]), ..sample.clone() };
    assert_eq!(measure(Metric::BestAccuracy, &weightless), Err(Undefined::NoRows));
    let one_cluster = Sample { clusters: Some(vec![7; 50]), ..sample.clone() };
    assert_eq!(measure(Metric::BestF1, &one_cluster), Err(Undefined::TooFewClusters { clusters: 1 }));
    let mut few = of_label(0.0);
    few.labels[..2].fill(1.0);
    let found = measure(Metric::Gain { share: 0.1 }, &few);
    // Two positives are both left out in one of e^2 = 7.4 replicates.
    assert!(
        matches!(found, Err(Undefined::InReplicates { undefined: 90..180, replicates: 999 })),
        "{:?}",
        found.map(|found| found.value)
    );
}

/// A model that ranks all rows rightly did so on 17 positives, and no more is known.
#[test]
fn perfect_models_are_as_certain_as_the_rarer_class() {
    let mut sample = simulate(7, 50);
    let positives = sample.labels.iter().sum::<f64>();
    sample.scores[0] = sample.labels.clone();
    let z = Reference::Normal.critical(0.05);
    let unseen = |trials: f64| 1.0 - z * z / (trials + z * z);
    for (metric, trials) in [
        (Metric::KolmogorovSmirnov, positives),
        (Metric::AveragePrecision, positives),
        (Metric::BestF1, positives),
        (Metric::PrecisionAtK { k: 5 }, 5.0),
    ] {
        let found = binary::measure(&metric, &sample, &[1.0, 0.0]).unwrap();
        assert_eq!((found.value, found.method), (1.0, Method::Unvaried), "{metric:?}");
        assert_close(found.interval(0.05).0, unseen(trials), 1e-9, &metric.name());
    }
}

fn mean(sample: &Sample) -> impl Fn(usize, &[f64]) -> Result<f64, Undefined> {
    move |model, masses| {
        let sum = masses.iter().zip(&sample.scores[model]).map(|(mass, score)| mass * score).sum::<f64>();
        Ok(sum / masses.iter().sum::<f64>())
    }
}

const ALL: (f64, f64) = (f64::NEG_INFINITY, f64::INFINITY);

fn of_mean(sample: &Sample, weights: &[f64]) -> Measurement {
    bootstrap::measure(sample, weights, ALL, mean(sample)).unwrap()
}

/// The standard deviation of 999 replicates is known to 2.2 %, so 9 % are four standard errors.
#[test]
fn the_error_of_a_mean_is_the_known_one() {
    let sample = simulate(8, 300);
    let error = |values: &[f64]| {
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (n - 1.0) / n).sqrt()
    };
    let differences = sample.scores[0].iter().zip(&sample.scores[1]).map(|(x, y)| x - y).collect::<Vec<_>>();
    assert_close(of_mean(&sample, &[1.0, 0.0]).standard_error(), error(&sample.scores[0]), 0.09, "one model");
    assert_close(of_mean(&sample, &[1.0, -1.0]).standard_error(), error(&differences), 0.09, "two models");
    let counted = Sample { counts: vec![4; 300], ..sample.clone() };
    assert_close(of_mean(&counted, &[1.0, 0.0]).standard_error(), error(&sample.scores[0]) / 2.0, 0.09, "counted");
    let grouped = clustered(sample.clone());
    let sums = (0..20).map(|cluster| sample.scores[0].iter().skip(cluster).step_by(20).sum::<f64>() / 15.0);
    let (found, sums) = (of_mean(&grouped, &[1.0, 0.0]), sums.collect::<Vec<_>>());
    assert_eq!((found.method, found.clusters), (Method::BootstrapClustered, Some(20)));
    assert_close(found.standard_error(), error(&sums) * (19.0_f64 / 20.0).sqrt(), 0.09, "clustered");
}

/// The asymptotic error of a median of normal numbers, `sqrt(pi / 2) / sqrt(n)`; the bootstrap's own is off by a term in
/// `n^(-1/4)`, here some 10 %, so within 30 %.
#[test]
fn the_error_of_a_median_is_the_known_one() {
    let scores = (0..600).map(|row| normal(9, 0, row)).collect::<Vec<_>>();
    let sample = Sample { labels: vec![0.0; 600], counts: vec![1; 600], scores: vec![scores], ..Sample::default() };
    let order = Sample::ascending(&sample.scores[0]);
    let median = |_: usize, masses: &[f64]| {
        let (half, mut below) = (masses.iter().sum::<f64>() / 2.0, 0.0);
        let middle = order.iter().find(|&&entry| {
            below += masses[entry];
            below >= half
        });
        middle.map(|&entry| sample.scores[0][entry]).ok_or(Undefined::NoRows)
    };
    let found = bootstrap::measure(&sample, &[1.0], ALL, median).unwrap();
    assert_close(found.standard_error(), (std::f64::consts::FRAC_PI_2 / 600.0).sqrt(), 0.3, "median");
    assert_close(found.p_below(found.interval(0.01).0 - 1.0), 1.0, 1e-9, "far below");
}

/// Of 30 intervals at 90 %, 21 to 30 contain the truth with a chance above 99.9 %, if they keep their promise; it is taken
/// from 20,000 rows.
#[test]
fn bootstrap_intervals_contain_the_truth_as_often_as_they_promise() {
    let truth_of = |metric: &Metric, weights: &[f64; 2]| {
        let sample = simulate(1000, 20_000);
        let value = |model: usize| {
            let chosen = Sample { scores: vec![sample.scores[model].clone()], ..sample.clone() };
            let ranked = Sample::ascending(&chosen.scores[0]);
            let first = ranked.iter().rev().take(4000).map(|&entry| sample.labels[entry]).sum::<f64>();
            match metric {
                Metric::Gain { .. } => first / sample.labels.iter().sum::<f64>(),
                _ => first / 4000.0,
            }
        };
        (0..2).map(|model| weights[model] * value(model)).sum::<f64>()
    };
    for weights in [[1.0, 0.0], [1.0, -1.0]] {
        for metric in [Metric::Gain { share: 0.2 }, Metric::PrecisionAtShare { share: 0.2 }] {
            let truth = truth_of(&metric, &weights);
            let contains = |&seed: &u64| {
                let (low, high) = binary::measure(&metric, &simulate(seed, 150), &weights).unwrap().interval(0.05);
                low <= truth && truth <= high
            };
            let hits = (0..30).filter(contains).count();
            assert!((21..=30).contains(&hits), "{metric:?} {weights:?} {hits}");
        }
    }
}

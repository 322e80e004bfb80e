//! Distances between two datasets against tables that `tests/reference/make_shift.py` writes, and against their promises.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, StringArray, UInt64Array};
use serde::Deserialize;
use serde_json::Value;

use super::*;
use crate::stats::bound::{Bound, Outcome, Test, outcome};
use crate::stats::random::{normal, seed, uniform};
use crate::summaries::frequencies::FrequencyParams;
use crate::summaries::{Budget, ValueParams};
use crate::summary::Summary;

#[derive(Deserialize)]
struct Tables {
    numbers: Vec<NumbersRow>,
    texts: Vec<TextsRow>,
}

#[derive(Deserialize)]
struct NumbersRow {
    name: String,
    sample: Vec<Value>,
    against: Vec<Value>,
    distance: f64,
    shares: [f64; 2],
    missing: [f64; 2],
    error: f64,
}

#[derive(Deserialize)]
struct TextsRow {
    name: String,
    sample: Vec<Option<String>>,
    against: Vec<Option<String>>,
    distance: f64,
    most: Option<String>,
    new: (u64, f64),
    bias: f64,
}

fn tables() -> Tables {
    serde_json::from_str(include_str!("../../../tests/reference/shift.json")).unwrap()
}

fn summary<S: Summary>(params: &S::Params, values: ArrayRef, entities: Option<Vec<u64>>) -> S {
    let mut summary = S::default();
    let entities = entities.map(|keys| Arc::new(UInt64Array::from(keys)) as ArrayRef);
    summary.update(params, &std::iter::once(values).chain(entities).collect::<Vec<_>>()).unwrap();
    summary
}

fn floats(values: impl IntoIterator<Item = Option<f64>>) -> ArrayRef {
    Arc::new(values.into_iter().collect::<Float64Array>())
}

fn strings<T: AsRef<str>>(values: impl IntoIterator<Item = Option<T>>) -> ArrayRef {
    Arc::new(values.into_iter().collect::<StringArray>())
}

fn numbers(values: impl IntoIterator<Item = Option<f64>>) -> Values {
    summary(&ValueParams::new(false), floats(values), None)
}

fn texts<T: AsRef<str>>(values: impl IntoIterator<Item = Option<T>>) -> Frequencies {
    summary(&FrequencyParams::default(), strings(values), None)
}

fn number(value: &Value) -> Option<f64> {
    value.as_f64().or_else(|| value.as_str().map(|text| text.parse().unwrap()))
}

fn near(found: f64, expected: f64) -> bool {
    (found - expected).abs() < 1e-12
}

fn at_most(distance: &Distance, limit: f64) -> Outcome {
    outcome(&[Test { measured: distance.clone().into(), bound: Bound::AtMost(limit), equal: 0.0 }], 0.05)
}

#[test]
fn numbers_are_as_far_apart_as_scipy_says() {
    for row in tables().numbers {
        let [sample, against] = [&row.sample, &row.against].map(|values| numbers(values.iter().map(number)));
        let Moved { distance, shares, missing, most, .. } = of_numbers(&sample, &against, 1).unwrap();
        assert!(near(distance.value, row.distance), "{}: {distance:?}", row.name);
        // Where two places are as far apart, either is right.
        assert!(near((shares.share - shares.against).abs(), row.distance), "{}: {shares:?}", row.name);
        assert!(near(missing.share, row.missing[0]) && near(missing.against, row.missing[1]), "{}", row.name);
        assert_eq!(most == Most::Nowhere, row.distance == 0.0, "{}", row.name);
        match distance.band.error() {
            // Of more places than the band is simulated at, the largest is hardly missed.
            Some(error) => assert!(error <= row.error + 1e-12 && error > 0.98 * row.error, "{}: {error}", row.name),
            None => assert!(near(row.error, 0.0), "{}", row.name),
        }
        if row.name == "continuous" {
            assert!(near(shares.share, row.shares[0]) && near(shares.against, row.shares[1]), "{shares:?}");
        }
    }
}

#[test]
fn texts_are_as_far_apart_as_a_count_says() {
    for row in tables().texts {
        let Moved { distance, most, new, .. } =
            of_texts(&texts(row.sample.clone()), &texts(row.against.clone())).unwrap();
        assert!(near(distance.value, row.distance), "{}: {distance:?}", row.name);
        assert!(near(distance.bias, row.bias), "{}: {distance:?}", row.name);
        let expected = match row.most {
            _ if row.distance == 0.0 => Most::Nowhere,
            None => Most::Missing,
            Some(text) => Most::Text(text),
        };
        assert_eq!(most, expected, "{}", row.name);
        let New { values, share } = new.unwrap();
        assert!(values == row.new.0 && near(share, row.new.1), "{}: {new:?}", row.name);
    }
}

#[test]
fn more_missing_values_are_drift_though_all_others_are_as_before() {
    let with_gaps = |share: u64| (0..2_000_u64).map(move |row| (row % 10 >= share).then_some((row / 10) as f64));
    let moved = of_numbers(&numbers(with_gaps(5)), &numbers(with_gaps(1)), 1).unwrap();
    assert!(near(moved.distance.value, 0.4) && moved.most == Most::Missing, "{moved:?}");
    assert!(at_most(&moved.distance, 0.2).p_value < 1e-9);
    let moved = of_texts(
        &texts(with_gaps(5).map(|value| value.map(|_| "a"))),
        &texts(with_gaps(1).map(|value| value.map(|_| "a"))),
    );
    assert_eq!(moved.unwrap().most, Most::Missing);
    let not_a_number = (0..2_000).map(|row| Some(if row % 2 == 0 { f64::NAN } else { 1.0 }));
    let missing = (0..2_000).map(|row| (row % 2 != 0).then_some(1.0));
    let moved = of_numbers(&numbers(not_a_number), &numbers(missing), 1).unwrap();
    assert!(near(moved.distance.value, 0.5) && moved.most == Most::Missing, "{moved:?}");
}

#[test]
fn nothing_is_invented_of_no_rows() {
    let (none, some) = (Values::default(), numbers([Some(1.0); 9]));
    for (sample, against) in [(&none, &some), (&some, &none), (&none, &none)] {
        assert_eq!(of_numbers(sample, against, 1), Err(Undefined::NoRows));
    }
    let (none, some) = (Frequencies::default(), texts([Some("a"); 9]));
    for (sample, against) in [(&none, &some), (&some, &none), (&none, &none)] {
        assert_eq!(of_texts(sample, against), Err(Apart::Undefined(Undefined::NoRows)));
    }
    let one_entity = || summary(&ValueParams::new(true), floats([Some(1.0); 9]), Some(vec![7; 9]));
    assert_eq!(of_numbers(&one_entity(), &one_entity(), 1), Err(Undefined::TooFewClusters { clusters: 1 }));
}

/// The same rows are no drift, however few they are and whatever they hold.
#[test]
fn a_dataset_does_not_drift_from_its_copy() {
    let values = (0..100_u64).map(|row| (row % 7 > 0).then(|| normal(3, 0, row)));
    let moved = of_numbers(&numbers(values.clone()), &numbers(values), 1).unwrap();
    assert!(moved.distance.value == 0.0 && at_most(&moved.distance, 0.2).inside, "{moved:?}");
    let ids = || texts((0..100).map(|row| Some(row.to_string())));
    let moved = of_texts(&ids(), &ids()).unwrap();
    assert!(moved.distance.value == 0.0 && at_most(&moved.distance, 0.2).inside, "{moved:?}");
    let constant = || numbers([Some(5.0); 100]);
    let moved = of_numbers(&constant(), &constant(), 1).unwrap();
    assert!(moved.most == Most::Nowhere && at_most(&moved.distance, 0.2).inside, "{moved:?}");
}

#[test]
fn a_thousand_values_in_two_thousand_rows_say_nothing() {
    let drawn = |stream| texts((0..2_000).map(move |row| Some((1000.0 * uniform(5, stream, row)).floor().to_string())));
    let Moved { distance, .. } = of_texts(&drawn(0), &drawn(1)).unwrap();
    let found = at_most(&distance, 0.2);
    assert!(distance.value > 0.3 && !found.inside && found.p_value > 0.5, "{distance:?}");
    assert_eq!(distance.interval(0.05).0, 0.0);
    // Of so many more rows of one dataset nothing would be known as long as the other has no more.
    assert_eq!(found.needs_rows, None);
}

#[test]
fn an_id_and_long_texts_are_no_categories() {
    let ids = |first: usize| texts((first..first + MAX_VALUES).map(|row| Some(row.to_string())));
    assert_eq!(of_texts(&ids(0), &ids(1)), Err(Apart::TooManyValues));
    assert!(of_texts(&ids(0), &ids(0)).is_ok());
    let long = |letter: &str, rows: usize| {
        let long = vec![Some(letter.repeat(65)); rows];
        texts(long.into_iter().chain(vec![Some("short".to_owned()); 300 - rows]))
    };
    let Moved { distance, most, .. } = of_texts(&long("a", 90), &long("b", 150)).unwrap();
    assert!(near(distance.value, 0.2) && most == Most::LongText, "{distance:?}");
    // They may all differ: none of them can be shown to be alike.
    assert_eq!(distance.binning_error, Some(0.3));
    assert!(distance.interval(0.05).1 > 0.5);
}

/// Cells know of the values within them that they may lie in any order.
#[test]
fn cells_bound_what_they_hide() {
    let draws = |stream, mean: f64| (0..20_000_u64).map(move |row| Some(mean + normal(11, stream, row)));
    let binned = |budget, values: ArrayRef| summary::<Values>(&ValueParams { clustered: false, budget }, values, None);
    let exact = Budget { exact: 1_000_000, cells: 1 };
    for mean in [0.0, 0.2] {
        let of = |budget| {
            let [sample, against] = [draws(0, mean), draws(1, 0.0)].map(|draws| binned(budget, floats(draws)));
            of_numbers(&sample, &against, 1).unwrap()
        };
        let truth = of(exact).distance;
        assert_eq!((truth.binning_error, truth.method()), (None, "two-sample-band"));
        for cells in [50, 500, 4_096] {
            let Moved { distance, shares, most, .. } = of(Budget { exact: 100, cells });
            let error = distance.binning_error.unwrap();
            assert!(distance.value <= truth.value && truth.value <= distance.value + error, "{cells}: {distance:?}");
            assert!(near((shares.share - shares.against).abs(), distance.value));
            assert!(cells < 4_096 || error < 0.01, "{error}");
            let Most::UpTo(threshold) = most else { panic!("{most:?}") };
            let below = draws(0, mean).filter(|value| value.unwrap() <= threshold).count() as f64 / 20_000.0;
            assert!(near(below, shares.share), "{below} {shares:?}");
            assert_eq!(distance.method(), "two-sample-band-binned");
        }
    }
}

/// How often the intervals at 95 % leave out the truth, on either side.
fn missed(rows: [u64; 2], truth: f64, of: impl Fn(u64, [u64; 2]) -> Distance) -> [usize; 2] {
    let intervals = (0..60).map(|replicate| of(seed(&["shift", &replicate.to_string()]), rows).interval(0.025));
    let [mut above, mut below] = [0, 0];
    for (low, high) in intervals {
        above += usize::from(low > truth + 1e-12);
        below += usize::from(high < truth - 1e-12);
    }
    [above, below]
}

/// Of 60 intervals, more than 7 on one side have a chance below one in a thousand where 2.5 % are promised, and more than
/// 10 hardly more where 5 % are, as of the lower end where nothing is different.
#[test]
fn intervals_hold_the_truth() {
    let sampled = |mean: f64| {
        move |seed: u64, [rows, others]: [u64; 2]| {
            let draws = |stream, rows, mean| numbers((0..rows).map(move |row| Some(mean + normal(seed, stream, row))));
            of_numbers(&draws(0, rows, mean), &draws(1, others, 0.0), seed).unwrap().distance
        }
    };
    let [above, below] = missed([100, 150], 0.0, sampled(0.0));
    assert!((1..=10).contains(&above) && below == 0, "{above} {below}");
    let truth = 2.0 * crate::stats::distribution::Reference::Normal.at_most(0.25) - 1.0;
    let [above, below] = missed([100, 150], truth, sampled(0.5));
    assert!(above <= 7 && below <= 7, "{above} {below}");
    let lettered = |values: f64, share: f64| {
        move |seed: u64, [rows, others]: [u64; 2]| {
            let draw = move |stream, row| (values * uniform(seed, stream, row)).floor();
            let moved = move |row| if uniform(seed, 7, row) < share { 0.0 } else { draw(0, row) };
            let sample = texts((0..rows).map(|row| Some(moved(row).to_string())));
            let against = texts((0..others).map(|row| Some(draw(1, row).to_string())));
            of_texts(&sample, &against).unwrap().distance
        }
    };
    for values in [2.0, 5.0, 50.0, 500.0] {
        for share in [0.0, 0.3] {
            let truth = share * (1.0 - 1.0 / values);
            let [above, below] = missed([400, 300], truth, lettered(values, share));
            assert!(above <= 7 && below <= 7, "{values} {share}: {above} {below}");
        }
    }
}

/// Rows of an entity are alike: intervals that took them for independent would be too narrow, as the second ones are.
#[test]
fn intervals_know_of_entities() {
    let of = |clustered: bool| {
        move |seed: u64, [rows, others]: [u64; 2]| {
            let value = |stream, row: u64| normal(seed, stream, row / 20) + 0.3 * normal(seed, 2 + stream, row);
            let sampled = |stream: u64, rows: u64| {
                let entities = (0..rows).map(|row| random_key(seed, stream, row / 20)).collect::<Vec<_>>();
                let values = floats((0..rows).map(|row| Some(value(stream, row))));
                summary::<Values>(&ValueParams::new(clustered), values, clustered.then_some(entities))
            };
            of_numbers(&sampled(0, rows), &sampled(1, others), seed).unwrap().distance
        }
    };
    let [aware, naive] = [true, false].map(|clustered| missed([4_000, 3_000], 0.0, of(clustered)));
    assert!(aware[0] <= 10 && naive[0] > 30, "{aware:?} {naive:?}");
    let of = |clustered: bool| {
        move |seed: u64, [rows, others]: [u64; 2]| {
            let sampled = |stream: u64, rows: u64| {
                let entities = (0..rows).map(|row| random_key(seed, stream, row / 20)).collect::<Vec<_>>();
                let letter = |row: u64| (5.0 * uniform(seed, stream, row / 20)).floor().to_string();
                let values = strings((0..rows).map(|row| Some(letter(row))));
                summary::<Frequencies>(&FrequencyParams { clustered }, values, clustered.then_some(entities))
            };
            of_texts(&sampled(0, rows), &sampled(1, others)).unwrap().distance
        }
    };
    let [aware, naive] = [true, false].map(|clustered| missed([4_000, 3_000], 0.0, of(clustered)));
    assert!(aware[0] <= 7 && naive[0] > 30, "{aware:?} {naive:?}");
}

fn random_key(seed: u64, stream: u64, entity: u64) -> u64 {
    crate::stats::random::key(format!("{seed} {stream} {entity}").as_bytes())
}

/// The number of missing rows is of the dataset that is looked at; the other stays as it is.
#[test]
fn more_rows_of_one_dataset_help_as_far_as_the_other_goes() {
    let draws = |stream, rows| numbers((0..rows).map(move |row| Some(normal(2, stream, row))));
    let needs = |rows, others, limit| {
        let distance = of_numbers(&draws(0, rows), &draws(1, others), 1).unwrap().distance;
        (at_most(&distance, limit).needs_rows, distance)
    };
    let (needed, distance) = needs(150, 100_000, 0.1);
    let needed = needed.unwrap();
    assert!(needed > 0, "{distance:?}");
    let enough = Distance { rows: 150 + needed, ..distance };
    assert_eq!(enough.against, Some(100_000));
    assert_eq!(needs(100_000, 150, 0.08).0, None);
}

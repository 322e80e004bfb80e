//! The metrics of a ranking against the table that `tests/reference/make_ranking.py` writes.

use modelgate::measure::{distance, groups};
use modelgate::stats::random::normal;
use modelgate::stats::{Metric, Undefined, ranking};
use modelgate::summaries::Task;
use serde::Deserialize;

use crate::scored::{Expected, Scored, assert_near, table};

#[derive(Deserialize)]
struct Rows {
    #[serde(flatten)]
    scored: Scored,
    measured: Vec<Expected>,
}

const METRICS: [Metric; 6] = [
    Metric::Ndcg { k: 3 },
    Metric::MeanAveragePrecision { k: 3 },
    Metric::MeanReciprocalRank,
    Metric::PrecisionAtK { k: 3 },
    Metric::RecallAtK { k: 3 },
    Metric::HitRate { k: 2 },
];

/// Groups of rows with tied scores, with or without weights.
fn tied(weighted: bool) -> Scored {
    let rows = table::<Rows>("ranking").into_iter().map(|rows| rows.scored);
    let mut wanted = rows.filter(|rows| rows.name == "ties" && rows.weights.is_some() == weighted);
    wanted.find(|rows| rows.clusters.is_none()).unwrap()
}

#[test]
fn values_and_errors_are_those_of_the_reference() {
    for Rows { scored, measured } in table("ranking") {
        let what =
            format!("{}, {} weights, {} clusters", scored.name, scored.weights.is_some(), scored.clusters.is_some());
        for expected in measured {
            expected.compare(scored.measure(Task::Ranking, &expected.metric, &expected.contrast), &what);
        }
    }
}

#[test]
fn order_and_equal_weights_change_nothing() {
    let (rows, none) = (tied(true), tied(false));
    let ones = Scored { weights: Some(vec![1.0; none.labels.len()]), ..none.clone() };
    for metric in METRICS {
        let measure = |rows: &Scored| rows.measure(Task::Ranking, &metric, &[1.0, -1.01]).unwrap();
        assert_eq!(measure(&rows), measure(&rows.reversed()), "{metric:?}");
        assert_eq!(measure(&ones), measure(&none), "{metric:?}");
    }
}

/// A group of weight 2 counts as two such groups.
#[test]
fn a_weight_of_two_is_another_such_group() {
    let none = tied(false);
    let twos = Scored { weights: Some(vec![2.0; none.labels.len()]), ..none.clone() };
    let all = (0..none.labels.len()).collect::<Vec<_>>();
    let mut doubled = none.at(&[&all[..], &all].concat());
    let groups = doubled.groups.as_mut().unwrap();
    groups[all.len()..].iter_mut().for_each(|group| *group += 1000);
    for metric in METRICS {
        let measure = |rows: &Scored| rows.measure(Task::Ranking, &metric, &[1.0, 0.0]).unwrap().value;
        assert_near(measure(&twos), measure(&doubled), 1.0, &metric.name());
    }
}

#[test]
fn a_model_does_not_differ_from_itself() {
    for metric in METRICS {
        let found = tied(true).against_itself().measure(Task::Ranking, &metric, &[1.0, -1.0]).unwrap();
        assert_eq!((found.value, found.standard_error()), (0.0, 0.0), "{metric:?}");
    }
}

/// Groups of five rows of two correlated models.
fn simulate(seed: u64, count: u64) -> Scored {
    let all = 0..5 * count;
    let labels =
        all.clone().map(|row| (normal(seed, 0, row) + 0.5 * normal(seed, 3, row / 5)).max(0.0)).collect::<Vec<_>>();
    let score = |skill: f64, stream: u64| {
        let score =
            |row: u64| skill * labels[row as usize] + 0.7 * normal(seed, 4, row) + 0.7 * normal(seed, stream, row);
        all.clone().map(score).collect::<Vec<_>>()
    };
    let scores = vec![score(1.0, 1), score(0.8, 2)];
    let groups = Some(all.clone().map(|row| row / 5).collect());
    Scored { name: String::new(), labels, scores, weights: None, clusters: None, groups }
}

/// The truth is taken from as many groups as all replicates together. Of 150 intervals at 90 %, 121 to 149 contain it with a
/// chance above 99.9 %, if they keep their promise.
#[test]
fn intervals_contain_the_truth_as_often_as_they_promise() {
    for metric in METRICS {
        let measure = |rows: &Scored| rows.measure(Task::Ranking, &metric, &[1.0, -1.0]).unwrap();
        let truth = measure(&simulate(1000, 6000)).value;
        let covers = |&seed: &u64| {
            let (low, high) = measure(&simulate(seed, 40)).interval(0.05);
            low <= truth && truth <= high
        };
        let covered = (0..150).filter(covers).count();
        assert!((121..=149).contains(&covered), "{metric:?}: {covered}");
    }
}

fn rows(labels: &[f64], groups: &[u64]) -> Scored {
    let scores = (0..labels.len()).map(|row| row as f64).collect::<Vec<_>>();
    let (name, labels, groups) = (String::new(), labels.to_vec(), Some(groups.to_vec()));
    Scored { name, labels, scores: vec![scores; 2], weights: None, clusters: None, groups }
}

#[test]
fn what_is_not_defined_says_why() {
    let measure = |rows: &Scored| rows.measure(Task::Ranking, &Metric::Ndcg { k: 5 }, &[1.0, 0.0]).unwrap_err();
    assert_eq!(measure(&rows(&[0.0, 0.0], &[1, 2])), Undefined::NothingRelevant);
    assert_eq!(measure(&rows(&[0.0, 1.0, 0.0], &[1, 1, 2])), Undefined::TooFewGroups { groups: 1 });
    assert_eq!(measure(&rows(&[], &[])), Undefined::NoRows);
    let weightless = Scored { weights: Some(vec![0.0; 2]), ..rows(&[1.0, 1.0], &[1, 2]) };
    assert_eq!(measure(&weightless), Undefined::NoWeight);
    let one = Scored { clusters: Some(vec![3; 2]), ..rows(&[1.0, 1.0], &[1, 2]) };
    assert_eq!(measure(&one), Undefined::TooFewClusters { clusters: 1 });
    let other = rows(&[1.0, 1.0], &[1, 2]).measure(Task::Ranking, &Metric::Rmse, &[1.0, 0.0]);
    assert_eq!(other.unwrap_err(), Undefined::NotMeasured);
}

#[test]
fn groups_without_a_relevant_row_are_counted() {
    let rows = rows(&[0.0, 1.0, 0.0, 0.0, 2.0], &[1, 1, 2, 3, 4]);
    assert_eq!(groups(&rows.ranks(Task::Ranking), &rows.columns(Task::Ranking)), (2, 2));
}

/// Entities that have rows in one group vary together, and so do those that each share a group with a third.
#[test]
fn groups_that_share_an_entity_are_one_unit() {
    let entities = Some(vec![7, 5, 5, 6, 9]);
    let rows = Scored { clusters: entities, ..rows(&[1.0; 5], &[1, 1, 2, 2, 3]) };
    let sample = rows.sample(Task::Ranking);
    let mut units = ranking::units(&sample).into_iter().zip(sample.clusters.unwrap()).collect::<Vec<_>>();
    units.sort_unstable();
    assert_eq!(units, [(5, 5), (5, 5), (5, 6), (5, 7), (9, 9)]);
    let found = rows.measure(Task::Ranking, &Metric::MeanReciprocalRank, &[1.0, 0.0]).unwrap();
    assert_eq!((found.rows, found.clusters), (5, Some(2)));
}

/// The distance between the scores of rankings varies with the groups as others do with entities.
#[test]
fn a_distance_varies_with_the_groups() {
    let rows = tied(false);
    let clustered = Scored { clusters: rows.groups.clone(), groups: None, ..rows.clone() };
    let found = distance(&rows.ranks(Task::Ranking), &rows.columns(Task::Ranking), 0, 1, 5).unwrap();
    let task = Task::Regression;
    let expected = distance(&clustered.ranks(task.clone()), &clustered.columns(task), 0, 1, 5).unwrap();
    assert_eq!((found.value, found.interval(0.05)), (expected.value, expected.interval(0.05)));
    assert_eq!((found.clusters, expected.clusters), (None, Some(40)));
}

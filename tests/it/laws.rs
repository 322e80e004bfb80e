//! The laws of [`Summary`], for every summary of the list, on generated rows with everything in them that rows can have.

#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, StringArray, UInt64Array};
use modelgate::summaries::frequencies::FrequencyParams;
use modelgate::summaries::presence::PresenceParams;
use modelgate::summaries::quantiles::QuantileParams;
use modelgate::summaries::regions::{Cuts, Loss, RegionParams};
use modelgate::summaries::total_order::to_key;
use modelgate::summaries::{
    Budget, Columns, Frequencies, Moments, Presence, Quantiles, RankParams, Ranks, Regions, Spread, SpreadParams, Sums,
    Task, Threshold, ValueParams, Values,
};
use modelgate::summary::Summary;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

/// The columns that a summary takes under given parameters.
trait Asked: Summary {
    fn asks() -> Vec<(Self::Params, Vec<Kind>)>;
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    /// A column of `Float64`.
    Number,
    /// A column of `UInt64`.
    Cluster,
    /// A column of `Utf8`.
    Text,
    /// A column of any type; here too the numbers.
    Any,
}

/// One generated row, of which a summary takes as many numbers as it has columns for.
#[derive(Clone, Debug)]
struct Row {
    numbers: [Option<f64>; 7],
    cluster: Option<u64>,
}

impl Asked for Frequencies {
    fn asks() -> Vec<(FrequencyParams, Vec<Kind>)> {
        let clustered = FrequencyParams { clustered: true };
        vec![(FrequencyParams::default(), vec![Kind::Text]), (clustered, vec![Kind::Text, Kind::Cluster])]
    }
}

impl Asked for Moments {
    fn asks() -> Vec<(Columns, Vec<Kind>)> {
        labelled_scores()
    }
}

impl Asked for Presence {
    fn asks() -> Vec<(PresenceParams, Vec<Kind>)> {
        vec![(PresenceParams { columns: 1 }, vec![Kind::Any]), (PresenceParams { columns: 3 }, vec![Kind::Any; 3])]
    }
}

impl Asked for Quantiles {
    fn asks() -> Vec<(QuantileParams, Vec<Kind>)> {
        vec![(QuantileParams {}, vec![Kind::Number])]
    }
}

impl Asked for Ranks {
    /// All of the rows, and as few tuples of them as make cells of several levels.
    fn asks() -> Vec<(RankParams, Vec<Kind>)> {
        let classes = vec!["a".to_owned(), "b".to_owned()];
        let share = Task::Binary { threshold: Threshold::TopShare(0.1) };
        let more = [
            (Columns { task: share, scores: 2, clustered: false, weighted: true, grouped: false }, 4),
            (Columns { task: Task::Ranking, scores: 1, clustered: true, weighted: false, grouped: true }, 2),
            (Columns { task: Task::Ranking, scores: 1, clustered: false, weighted: true, grouped: true }, 3),
            (
                Columns {
                    task: Task::Multiclass { classes },
                    scores: 2,
                    clustered: false,
                    weighted: false,
                    grouped: false,
                },
                5,
            ),
        ];
        let kinds = |columns: &Columns, numbers: usize| {
            let mut kinds = vec![Kind::Number; numbers];
            // The weight, a number, stands after the cluster; none of these has both.
            kinds.extend(columns.clustered.then_some(Kind::Cluster));
            kinds.extend(columns.grouped.then_some(Kind::Cluster));
            kinds
        };
        let more = more.map(|(columns, numbers)| (columns.clone(), kinds(&columns, numbers)));
        let all = labelled_scores().into_iter().chain(more).collect::<Vec<_>>();
        let of = |budget: Option<Budget>| {
            all.iter().map(move |(rows, kinds)| (RankParams { rows: rows.clone(), binned: budget }, kinds.clone()))
        };
        let budgets = [None, Some(Budget { exact: 8, cells: 5 }), Some(Budget { exact: 1, cells: 12 })];
        budgets.into_iter().flat_map(of).collect()
    }
}

impl Asked for Sums {
    /// After the columns of the rows one above and one below the line.
    fn asks() -> Vec<(Columns, Vec<Kind>)> {
        let columns = |clustered, weighted| {
            let task = Task::Binary { threshold: Threshold::From(vec![0.5]) };
            Columns { task, scores: 1, clustered, weighted, grouped: false }
        };
        let two = Columns { task: Task::Regression, scores: 2, clustered: false, weighted: false, grouped: false };
        let grouped = Columns { task: Task::Ranking, scores: 1, clustered: false, weighted: false, grouped: true };
        let number = Kind::Number;
        vec![
            (columns(false, false), vec![number; 4]),
            (columns(false, true), vec![number; 5]),
            (columns(true, false), vec![number, number, Kind::Cluster, number, number]),
            (grouped, vec![number, number, Kind::Cluster, number, number]),
            (two, vec![number; 7]),
        ]
    }
}

impl Asked for Regions {
    fn asks() -> Vec<(RegionParams, Vec<Kind>)> {
        let numbers = Cuts::Numbers([0.0, 0.3, 1.0].map(to_key).to_vec());
        let texts = Cuts::Texts(["0", "0.5", "1"].map(str::to_owned).to_vec());
        let columns = |task, weighted| Columns { task, scores: 2, clustered: false, weighted, grouped: false };
        let params = |task, weighted, loss, cuts| RegionParams {
            rows: columns(task, weighted),
            loss,
            weights: [-1.2, 1.0],
            margin: 0.01,
            cuts,
        };
        let binary = Task::Binary { threshold: Threshold::From(vec![0.5, 0.4]) };
        vec![
            (
                params(binary.clone(), false, Loss::Error, vec![numbers.clone(), texts.clone()]),
                vec![Kind::Number, Kind::Number, Kind::Number, Kind::Number, Kind::Text],
            ),
            (
                params(binary, true, Loss::LogLoss, vec![texts]),
                vec![Kind::Number, Kind::Number, Kind::Number, Kind::Number, Kind::Text],
            ),
            (params(Task::Regression, false, Loss::SquaredError, vec![numbers]), vec![Kind::Number; 4]),
        ]
    }
}

impl Asked for Spread {
    fn asks() -> Vec<(SpreadParams, Vec<Kind>)> {
        vec![(SpreadParams {}, vec![Kind::Number])]
    }
}

impl Asked for Values {
    /// All values, and as few of them as make cells of several levels.
    fn asks() -> Vec<(ValueParams, Vec<Kind>)> {
        let few = Budget { exact: 8, cells: 5 };
        vec![
            (ValueParams::new(false), vec![Kind::Number]),
            (ValueParams { clustered: false, budget: few }, vec![Kind::Number]),
            (ValueParams { clustered: true, budget: few }, vec![Kind::Number, Kind::Cluster]),
        ]
    }
}

fn labelled_scores() -> Vec<(Columns, Vec<Kind>)> {
    let shapes = [(1, false), (2, false), (2, true), (4, true)];
    let tasks = |(scores, clustered): (usize, bool)| {
        let thresholds = Threshold::From(vec![0.5; scores]);
        [Task::Binary { threshold: thresholds }, Task::Regression].map(|task| Columns {
            task,
            scores,
            clustered,
            weighted: false,
            grouped: false,
        })
    };
    let asks = shapes.into_iter().flat_map(tasks);
    let kinds = |columns: &Columns| {
        let mut kinds = vec![Kind::Number; 1 + columns.scores];
        kinds.extend(columns.clustered.then_some(Kind::Cluster));
        kinds
    };
    asks.map(|columns| (columns.clone(), kinds(&columns))).collect()
}

/// Mostly labels and probabilities, so that rows can be used; sometimes anything at all.
fn number() -> impl Strategy<Value = Option<f64>> {
    let hostile =
        [f64::NAN, -f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MAX, f64::MIN, f64::MIN_POSITIVE, 5e-324, -1.5];
    prop_oneof![
        6 => prop::sample::select(vec![0.0, 1.0, -0.0]).prop_map(Some),
        8 => (0..=20_i32).prop_map(|twentieths| Some(f64::from(twentieths) / 20.0)),
        4 => (0.0..1.0).prop_map(Some),
        1 => prop::sample::select(hostile.to_vec()).prop_map(Some),
        1 => any::<f64>().prop_map(Some),
        1 => Just(None),
    ]
}

fn row() -> impl Strategy<Value = Row> {
    let label = prop_oneof![9 => prop::sample::select(vec![0.0, 1.0]).prop_map(Some), 1 => number()];
    let cluster = prop_oneof![8 => (0..4_u64).prop_map(Some), 1 => Just(Some(u64::MAX)), 1 => Just(None)];
    let others = [number(), number(), number(), number(), number(), number()];
    (label, others, cluster)
        .prop_map(|(label, [a, b, c, d, e, f], cluster)| Row { numbers: [label, a, b, c, d, e, f], cluster })
}

fn rows() -> impl Strategy<Value = Vec<Row>> {
    vec(row(), 0..40)
}

fn arrays(kinds: &[Kind], rows: &[Row]) -> Vec<ArrayRef> {
    let column = |(index, kind): (usize, &Kind)| match kind {
        Kind::Number | Kind::Any => {
            Arc::new(rows.iter().map(|row| row.numbers[index]).collect::<Float64Array>()) as ArrayRef
        }
        Kind::Text => {
            let texts = rows.iter().map(|row| row.numbers[index].map(|number| number.to_string()));
            Arc::new(texts.collect::<StringArray>())
        }
        Kind::Cluster => Arc::new(rows.iter().map(|row| row.cluster).collect::<UInt64Array>()),
    };
    kinds.iter().enumerate().map(column).collect()
}

fn summary<S: Summary>(params: &S::Params, kinds: &[Kind], rows: &[Row]) -> S {
    let mut summary = S::default();
    summary.update(params, &arrays(kinds, rows)).unwrap();
    summary
}

fn merged<S: Summary>(parts: impl IntoIterator<Item = S>) -> S {
    parts.into_iter().fold(S::default(), |mut all, part| {
        all.merge(part);
        all
    })
}

/// Equal as values, and to the byte on the wire.
#[track_caller]
fn assert_same<S: Summary>(left: &S, right: &S) {
    assert_eq!(left, right);
    assert_eq!(left.write(), right.write());
}

fn merging_is_commutative_and_associative<S: Asked>(rows: &[Row]) {
    for (params, kinds) in S::asks() {
        let third = rows.len() / 3;
        let parts = [&rows[..third], &rows[third..2 * third], &rows[2 * third..]];
        let [a, b, c] = parts.map(|part| summary::<S>(&params, &kinds, part));
        let left = merged([merged([a.clone(), b.clone()]), c.clone()]);
        assert_same(&left, &merged([a.clone(), merged([b.clone(), c.clone()])]));
        assert_same(&left, &merged([c, b, a]));
    }
}

fn the_default_is_neutral<S: Asked>(rows: &[Row]) {
    for (params, kinds) in S::asks() {
        let own = summary::<S>(&params, &kinds, rows);
        assert_same(&merged([S::default(), own.clone()]), &own);
        assert_same(&merged([own.clone(), S::default()]), &own);
    }
}

fn chunking_and_order_change_nothing<S: Asked>(rows: &[Row], chunk: usize) {
    for (params, kinds) in S::asks() {
        let whole = summary::<S>(&params, &kinds, rows);
        let mut chunked = S::default();
        for part in rows.chunks(chunk).rev() {
            chunked.update(&params, &arrays(&kinds, part)).unwrap();
            chunked.update(&params, &arrays(&kinds, &[])).unwrap();
        }
        assert_same(&whole, &chunked);
        assert_same(&whole, &merged(rows.chunks(chunk).map(|part| summary(&params, &kinds, part))));
    }
}

/// So many rows, and in clusters that follow each other, that they are summed by column and in parts.
fn long_batches_change_nothing<S: Asked>() {
    let mut runner = TestRunner::deterministic();
    let mut rows = vec(row(), 10_000).new_tree(&mut runner).unwrap().current();
    rows.sort_by_key(|row| row.cluster);
    chunking_and_order_change_nothing::<S>(&rows, 50);
}

fn the_state_travels<S: Asked>(rows: &[Row]) {
    for (params, kinds) in S::asks() {
        let own = summary::<S>(&params, &kinds, rows);
        let state = own.write();
        assert_eq!(state.len(), S::fields().len());
        for (array, field) in state.iter().zip(&S::fields()) {
            assert_eq!((array.len(), array.data_type()), (1, field.data_type()), "{}", S::NAME);
        }
        assert_same(&S::read(&state, 0).unwrap(), &own);
        assert!(S::read(&state, 1).is_err() && S::read(&state[1..], 0).is_err());
    }
}

fn no_rows_leave_the_default<S: Asked>() {
    for (params, kinds) in S::asks() {
        assert_same(&summary::<S>(&params, &kinds, &[]), &S::default());
        assert_same(&S::read(&S::default().write(), 0).unwrap(), &S::default());
    }
}

fn wrong_columns_are_refused<S: Asked>(row: &Row) {
    for (params, kinds) in S::asks() {
        let good = arrays(&kinds, std::slice::from_ref(row));
        let wrong = match kinds[0] {
            Kind::Text => Arc::new(Float64Array::from(vec![1.0])) as ArrayRef,
            _ => Arc::new(StringArray::from(vec!["1"])),
        };
        let wrong_type = [&[wrong], &good[1..]].concat();
        let bad = [&good[1..], &[&good[..], &good[..1]].concat(), &wrong_type];
        for columns in bad.into_iter().take(if kinds[0] == Kind::Any { 2 } else { 3 }) {
            let mut summary = S::default();
            assert!(summary.update(&params, columns).is_err());
            assert_same(&summary, &S::default());
        }
    }
}

fn size_counts_what_is_held<S: Asked>(rows: &[Row]) {
    for (params, kinds) in S::asks() {
        assert!(summary::<S>(&params, &kinds, rows).size() >= S::default().size());
        assert!(S::default().size() >= size_of::<S>());
    }
}

fn names_are_distinct(names: &[&str]) {
    let distinct = names.iter().collect::<std::collections::BTreeSet<_>>();
    assert!(distinct.len() == names.len() && names.iter().all(|name| name.starts_with("mg_")), "{names:?}");
}

macro_rules! laws {
    ($($summary:ident),+) => {
        proptest! {
            #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

            #[test]
            fn merge(rows in rows()) {
                $(merging_is_commutative_and_associative::<$summary>(&rows);)+
            }

            #[test]
            fn neutral(rows in rows()) {
                $(the_default_is_neutral::<$summary>(&rows);)+
            }

            #[test]
            fn chunking(rows in rows(), chunk in 1..7_usize) {
                $(chunking_and_order_change_nothing::<$summary>(&rows, chunk);)+
            }

            #[test]
            fn travel(rows in rows()) {
                $(the_state_travels::<$summary>(&rows);)+
            }

            #[test]
            fn size(rows in rows()) {
                $(size_counts_what_is_held::<$summary>(&rows);)+
            }
        }

        #[test]
        fn long() {
            $(long_batches_change_nothing::<$summary>();)+
        }

        #[test]
        fn empty() {
            $(no_rows_leave_the_default::<$summary>();)+
        }

        #[test]
        fn refusal() {
            let row = Row { numbers: [Some(1.0); 7], cluster: Some(1) };
            $(wrong_columns_are_refused::<$summary>(&row);)+
        }

        #[test]
        fn names() {
            names_are_distinct(&[$($summary::NAME),+]);
        }
    };
}

modelgate::for_every_summary!(laws);

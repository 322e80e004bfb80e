//! What a row costs the hot summaries: taking it in, and merging it with others.
#![expect(clippy::expect_used, reason = "it runs at a desk")]

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, StringArray};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use modelgate::stats::random::uniform;
use modelgate::summaries::frequencies::FrequencyParams;
use modelgate::summaries::quantiles::QuantileParams;
use modelgate::summaries::{Budget, Columns, Frequencies, Moments, Quantiles, RankParams, Ranks, Task, Threshold};
use modelgate::summary::Summary;

/// Rows of a batch: DataFusion's.
const BATCH: u64 = 8_192;
/// Batches that are taken in; half of them stand on either side of a merge.
const BATCHES: u64 = 32;

/// The columns of one batch.
type Batch = Vec<ArrayRef>;

/// A column of each batch from what a row has by its number.
fn batches<T>(columns: u64, of: impl Fn(u64, u64) -> T, array: impl Fn(Vec<T>) -> ArrayRef) -> Vec<Batch> {
    let column = |batch: u64, column| array((batch * BATCH..(batch + 1) * BATCH).map(|row| of(column, row)).collect());
    (0..BATCHES).map(|batch| (0..columns).map(|number| column(batch, number)).collect()).collect()
}

/// A label and the scores of two models, of so many distinct values.
fn scored(values: f64) -> Vec<Batch> {
    let of = |column, row| {
        let drawn = uniform(1, column, row);
        if column == 0 { drawn.round() } else { (drawn * values).floor() / values }
    };
    batches(3, of, |values| Arc::new(Float64Array::from(values)))
}

fn numbers() -> Vec<Batch> {
    batches(1, |column, row| uniform(2, column, row), |values| Arc::new(Float64Array::from(values)))
}

fn texts() -> Vec<Batch> {
    let of = |column, row| format!("value {:03}", (uniform(3, column, row) * 100.0).floor());
    batches(1, of, |values| Arc::new(StringArray::from(values)))
}

fn taken<S: Summary>(params: &S::Params, batches: &[Batch]) -> S {
    let mut summary = S::default();
    for batch in batches {
        summary.update(params, batch).expect("the columns are those of the summary");
    }
    summary
}

fn measure<S: Summary>(criterion: &mut Criterion, name: &str, params: &S::Params, batches: &[Batch]) {
    let mut group = criterion.benchmark_group(name);
    group.throughput(Throughput::Elements(BATCH * BATCHES)).sample_size(20);
    group.bench_function("update", |bencher| bencher.iter(|| taken::<S>(params, batches)));
    let (left, right) = batches.split_at(batches.len() / 2);
    let halves = (taken::<S>(params, left), taken::<S>(params, right));
    let merged = |(mut left, right): (S, S)| {
        left.merge(right);
        left
    };
    group.bench_function("merge", |bencher| bencher.iter_batched(|| halves.clone(), merged, BatchSize::LargeInput));
    group.finish();
}

fn summaries(criterion: &mut Criterion) {
    let task = Task::Binary { threshold: Threshold::From(vec![0.5; 2]) };
    let columns = Columns { task, scores: 2, clustered: false, weighted: false, grouped: false };
    let distinct = scored(1e15);
    measure::<Moments>(criterion, "moments of two models", &columns, &distinct);
    let exact = RankParams::from(columns.clone());
    let binned = RankParams { binned: Some(Budget::STANDARD), ..exact.clone() };
    measure::<Ranks>(criterion, "ranks of distinct scores", &exact, &distinct);
    measure::<Ranks>(criterion, "ranks of distinct scores, binned", &binned, &distinct);
    measure::<Ranks>(criterion, "ranks of scores of two digits", &exact, &scored(100.0));
    measure::<Quantiles>(criterion, "quantiles of a number", &QuantileParams {}, &numbers());
    measure::<Frequencies>(criterion, "frequencies of 100 texts", &FrequencyParams::default(), &texts());
}

criterion_group!(benches, summaries);
criterion_main!(benches);

//! The record is the same to the byte for any number of threads, any size of batches, and any files that the rows are in.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{
    ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray, UInt64Array,
};
use arrow::compute::{concat_batches, take_record_batch};
use modelgate::engine::Progress;
use modelgate::engine::session::Settings;
use modelgate::gate::{self, Case, Options};
use modelgate::spec::Spec;
use modelgate::stats::random::{normal, uniform};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::Value;
use tempfile::TempDir;

/// Threads, and rows of a batch.
const WAYS: [(usize, usize); 4] = [(1, 65_536), (2, 1024), (2, 8192), (8, 1024)];

/// How many files rows are dealt into.
const FILES: usize = 50;

/// What a metric of ranks is measured from is put into cells where there are more distinct scores than this.
const MANY: u64 = 110_000;

const SCORED: &str = "version: 1
model: { name: bytes, task: binary }
candidate: { column: new }
baseline: { column: old }
data: { test: 'rows/*.parquet' }
policy: { min_rows: 20, min_positives: 3 }
slices: [{ by: region }, { name: late, where: 'x > 0.7' }]
";

/// Rows of a made-up model: everything follows from their numbers. The scores are floats of many digits, whose sums would
/// depend on their order.
fn scored(rows: u64) -> RecordBatch {
    let floats =
        |value: &dyn Fn(u64) -> f64| Arc::new(Float64Array::from_iter_values((0..rows).map(value))) as ArrayRef;
    let texts =
        |value: &dyn Fn(u64) -> String| Arc::new(StringArray::from_iter_values((0..rows).map(value))) as ArrayRef;
    let logistic = |x: f64| 1.0 / (1.0 + (-x).exp());
    let propensity = |row: u64| 1.5 * normal(1, 0, row) - 1.0;
    let label = |row: u64| i64::from(uniform(1, 1, row) < logistic(propensity(row)));
    let score = |model: u64| move |row: u64| logistic(propensity(row) + normal(1, 2 + model, row));
    let at = |late: i64| {
        let hours = (0..rows).map(|row| (uniform(1, 4, row) * 4_000.0) as i64 + late);
        Arc::new(TimestampMicrosecondArray::from_iter_values(hours.map(|hour| hour * 3_600_000_000))) as ArrayRef
    };
    // One region has more than nine tenths of the rows, so that its scores are too many as well.
    let region = |row: u64| if uniform(1, 5, row) < 0.92 { "wide".to_owned() } else { format!("r{}", row % 7) };
    let columns = vec![
        ("id", Arc::new(Int64Array::from_iter_values((0..rows).map(|row| row as i64))) as ArrayRef),
        ("label", Arc::new(Int64Array::from_iter_values((0..rows).map(label)))),
        ("old", floats(&score(0))),
        ("new", floats(&score(1))),
        ("x", floats(&|row| uniform(1, 6, row))),
        ("weight", floats(&|row| 0.5 + uniform(1, 7, row))),
        ("region", texts(&region)),
        ("shop", texts(&|row| format!("shop {}", row * 31 % 11))),
        ("entity", Arc::new(UInt64Array::from_iter_values((0..rows).map(|row| row / 3)))),
        ("at", at(0)),
        ("known", at(30)),
    ];
    RecordBatch::try_from_iter(columns).unwrap()
}

/// Flights of the example.
fn flights(rows: usize) -> RecordBatch {
    let file = File::open(example("data/flights-2013-07.parquet")).unwrap();
    let batches = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().with_limit(rows).build().unwrap();
    let batches = batches.map(Result::unwrap).collect::<Vec<_>>();
    concat_batches(&batches[0].schema(), &batches).unwrap()
}

fn example(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/flight-delay").join(path)
}

fn write(file: &Path, rows: &RecordBatch) {
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    let mut writer = ArrowWriter::try_new(File::create(file).unwrap(), rows.schema(), None).unwrap();
    writer.write(rows).unwrap();
    writer.close().unwrap();
}

/// The rows in another order, in many files of all sizes, whose names say nothing of it.
fn deal(folder: &Path, rows: &RecordBatch, seed: u64) {
    let mut order = (0..rows.num_rows() as u64).collect::<Vec<_>>();
    order.sort_by(|a, b| uniform(seed, 0, *a).total_cmp(&uniform(seed, 0, *b)));
    let shuffled = take_record_batch(rows, &UInt64Array::from(order)).unwrap();
    let ends = (0..=FILES).map(|file| rows.num_rows() * file * file / (FILES * FILES)).collect::<Vec<_>>();
    for (number, ends) in ends.windows(2).enumerate() {
        let name = format!("{:016x}.parquet", (uniform(seed, 1, number as u64) * 1e18) as u64);
        write(&folder.join(name), &shuffled.slice(ends[0], ends[1] - ends[0]));
    }
}

/// The record of a run in a folder, without the digests of the files.
async fn record(folder: &Path, (threads, batch): (usize, usize)) -> String {
    let session = Settings { batch, ..Settings::threads(threads) };
    let case = Case::from(Spec::read(&folder.join("modelgate.yaml")).unwrap());
    let report = gate::run(case, &Options { session, ..Options::default() }, &Arc::new(Progress::default())).await;
    let mut record = report.unwrap().record;
    record.inputs.data.iter_mut().for_each(|data| data.sha256.clear());
    record.inputs.spec.path.clear();
    record.to_json().unwrap()
}

/// Judges the same rows in every way, and gives the record that they have in common.
async fn the_same_in_every_way(spec: &str, rows: &RecordBatch) -> Value {
    let folders = [(); 3].map(|()| TempDir::new().unwrap());
    let [one, many, others] = folders.each_ref().map(TempDir::path);
    write(&one.join("rows/all.parquet"), rows);
    deal(&many.join("rows"), rows, 1);
    deal(&others.join("rows"), rows, 2);
    for folder in [one, many, others] {
        fs::write(folder.join("modelgate.yaml"), spec).unwrap();
    }
    let expected = record(one, (1, 8192)).await;
    let ways = WAYS.map(|way| (one, way)).into_iter();
    for (folder, way) in ways.chain([(many, (1, 1024)), (many, (2, 8192)), (others, (8, 65_536))]) {
        let found = record(folder, way).await;
        let apart = expected.lines().zip(found.lines()).find(|(expected, found)| expected != found);
        assert!(expected == found, "{way:?}, {}: {apart:?}", if folder == one { "one file" } else { "many files" });
    }
    serde_json::from_str(&expected).unwrap()
}

fn methods(record: &Value) -> Vec<&str> {
    let claims = record["claims"].as_array().unwrap().iter();
    claims.filter_map(|claim| claim["method"].as_str()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scores_in_cells() {
    let checks = "columns: { label: label }\nchecks:
  - performance.regression: { metric: roc_auc, max_drop: 0.1, slices: all }
  - performance.regression: { metric: log_loss, max_rise: 50%, slices: all }
  - drift.prediction: {}
";
    let record = the_same_in_every_way(&format!("{SCORED}{checks}"), &scored(MANY)).await;
    let methods = methods(&record);
    assert!(methods.contains(&"delong-binned") && methods.contains(&"simulated-band-binned"), "{methods:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_kind_of_metric() {
    let metrics = ["log_loss", "brier", "f1", "average_precision", "kolmogorov_smirnov", "{ lift: { share: 0.1 } }"];
    let metrics = metrics.map(|metric| format!("  - performance.metric: {{ metric: {metric}, min: 0.1 }}\n"));
    let checks = "  - performance.regression: { metric: roc_auc, max_drop: 0.1, slices: all }
  - performance.calibration: { max_ratio_error: 20%, min_slope: 0.5, max_slope: 1.5, max_rise: 0.1, slices: [region] }
  - performance.worst_slice: { metric: log_loss, max_loss: 20% }
  - drift.prediction: {}
  - data.schema: {}
  - backtest: { data: test, window: month, embargo: 1d, metric: roc_auc, max_drop: 0.1 }
";
    for columns in ["", "entity: entity, weight: weight, "] {
        let roles =
            format!("columns: {{ {columns}label: label, id: id, time: at, known_at: known, features: [x, shop] }}\n");
        let spec = format!("{SCORED}{roles}checks:\n{}{checks}", metrics.concat());
        let record = the_same_in_every_way(&spec, &scored(2_500)).await;
        assert!(record["claims"].as_array().unwrap().len() > 20, "{columns}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scores_of_models() {
    let [baseline, candidate] = ["baseline", "candidate"].map(|model| example(&format!("models/{model}.onnx")));
    let spec = format!(
        "version: 1
model: {{ name: flights, task: binary }}
candidate: {{ onnx: '{}' }}
baseline: {{ onnx: '{}' }}
columns:
  id: flight_id
  label: delayed
  entity: tail_number
  features: [carrier, origin, dest, dep_hour, weekday, distance, departures_in_hour, seats, temp, humid, wind_speed, precip, visib, pressure]
data: {{ test: 'rows/*.parquet' }}
slices: [{{ by: carrier }}, {{ name: far, where: 'distance > 1500' }}]
checks:
  - performance.regression: {{ metric: roc_auc, max_drop: 0.1, slices: all }}
  - performance.regression: {{ metric: log_loss, max_rise: 5%, slices: all }}
  - drift.prediction: {{ against: baseline, max_distance: 0.5, max_flips: 50% }}
  - robustness.sensitivity: {{ noise: 0.1, max_loss: 0.05 }}
",
        candidate.display(),
        baseline.display()
    );
    let record = the_same_in_every_way(&spec, &flights(9_001)).await;
    assert_eq!(record["claims"][0]["rows"], 9_001);
    assert!(["baseline", "candidate"].iter().all(|model| record["inputs"][model].get("unstable").is_none()));
}

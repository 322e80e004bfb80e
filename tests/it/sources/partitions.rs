//! Columns that stand in the paths of files: they are columns as any other, wherever the files come from.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use arrow::array::{BooleanArray, RecordBatch};
use arrow::compute::{concat_batches, filter_record_batch};
use arrow::util::display::array_value_to_string;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::Value;
use tempfile::TempDir;

use super::bucket::Bucket;
use super::gate;

/// The columns of the example that become folders: a text and a number.
const COLUMNS: [&str; 2] = ["origin", "weekday"];

/// The gate of the example with one month of its data.
fn spec(data: &str) -> String {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/flight-delay/models");
    format!(
        "version: 1
model: {{ name: flights, task: binary }}
candidate: {{ onnx: {} }}
baseline: {{ onnx: {} }}
columns:
  id: flight_id
  label: delayed
  features: [carrier, origin, dest, dep_hour, weekday, distance, departures_in_hour, seats, temp, humid, wind_speed, precip, visib, pressure]
data: {{ test: '{data}' }}
slices: [{{ by: origin }}, {{ by: weekday }}]
checks:
  - performance.metric: {{ metric: roc_auc, min: 0.5, slices: all }}
  - robustness.sensitivity: {{ noise: 0.1, max_loss: 0.5, max_flips: 50% }}
",
        models.join("candidate.onnx").display(),
        models.join("baseline.onnx").display()
    )
}

fn rows() -> RecordBatch {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/flight-delay/data/flights-2013-07.parquet");
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(file).unwrap()).unwrap().build().unwrap();
    let batches = reader.collect::<Result<Vec<_>, _>>().unwrap();
    concat_batches(&batches[0].schema(), &batches).unwrap()
}

/// The rows by the folders that they belong into, without the columns of these.
fn partitioned(rows: &RecordBatch) -> BTreeMap<PathBuf, Vec<u8>> {
    let folder = |row: usize| {
        let of = |name: &str| array_value_to_string(rows.column_by_name(name).unwrap(), row).unwrap();
        COLUMNS.map(|name| format!("{name}={}", of(name))).iter().collect::<PathBuf>()
    };
    let folders = (0..rows.num_rows()).map(folder).collect::<Vec<_>>();
    let kept =
        (0..rows.num_columns()).filter(|column| !COLUMNS.contains(&rows.schema().field(*column).name().as_str()));
    let kept = rows.project(&kept.collect::<Vec<_>>()).unwrap();
    let of = |folder: &PathBuf| {
        let is_in = folders.iter().map(|of| Some(of == folder)).collect::<BooleanArray>();
        gate::parquet_of(&filter_record_batch(&kept, &is_in).unwrap())
    };
    let mut found = BTreeMap::new();
    for folder in &folders {
        if !found.contains_key(folder) {
            found.insert(folder.clone(), of(folder));
        }
    }
    found
}

#[test]
fn columns_of_paths_are_columns() {
    let rows = rows();
    let (files, bucket) = (partitioned(&rows), Bucket::of_s3());
    assert_eq!(files.len(), 21);
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("whole.parquet"), gate::parquet_of(&rows)).unwrap();
    for (of, bytes) in &files {
        let local = folder.path().join("history").join(of);
        fs::create_dir_all(&local).unwrap();
        fs::write(local.join("part-0.parquet"), bytes).unwrap();
        bucket.put(&format!("history/{}/part-0.parquet", of.display()), bytes.clone());
    }
    let run = |data: &str, arguments: &[&str]| {
        fs::write(folder.path().join("modelgate.yaml"), spec(data)).unwrap();
        let (record, _) = gate::run_on(folder.path(), arguments, &bucket.variables());
        serde_json::from_slice::<Value>(&record).unwrap()
    };
    let expected = run("whole.parquet", &[]);
    let claims = expected["claims"].as_array().unwrap();
    let is_of = |claim: &&Value| claim["subject"]["slice"].as_str().is_some_and(|slice| slice == "weekday=3");
    assert_eq!(claims.iter().filter(is_of).count(), 1, "{claims:?}");
    let here = run("history/*/*/*.parquet", &["--threads", "1"]);
    assert_eq!(here["claims"], expected["claims"]);
    let there = "s3://acme/history/*/*/*.parquet";
    for (data, arguments) in [
        ("history/**/*.parquet", &["--threads", "3"][..]),
        // Scored anew, and then from the cache.
        (there, &["--cache", "kept"]),
        (there, &["--cache", "kept", "--threads", "2"]),
        (there, &["--memory", "256MiB"]),
    ] {
        let record = run(data, arguments);
        assert_eq!(record["claims"], expected["claims"], "{data} {arguments:?}");
        let of = |record: &Value| record["inputs"]["data"][0]["sha256"].clone();
        assert_eq!(of(&record), of(&here), "{data} {arguments:?}");
    }
    // The same bytes below other folders are other data.
    let moved = folder.path().join("moved");
    fs::rename(folder.path().join("history"), &moved).unwrap();
    fs::rename(moved.join("origin=EWR"), moved.join("origin=XYZ")).unwrap();
    let other = run("moved/*/*/*.parquet", &["--cache", "kept"]);
    assert_ne!(other["inputs"]["data"][0]["sha256"], here["inputs"]["data"][0]["sha256"]);
    assert_ne!(other["claims"], expected["claims"]);
}

#[test]
fn a_value_stands_as_it_is_in_the_path() {
    let folder = TempDir::new().unwrap();
    for value in ["a b,c:d+e", "07"] {
        let local = folder.path().join(format!("kind={value}"));
        fs::create_dir(&local).unwrap();
        fs::write(local.join("a.parquet"), gate::parquet()).unwrap();
    }
    gate::write(folder.path(), "kind=*/a.parquet");
    let spec = fs::read_to_string(folder.path().join("modelgate.yaml")).unwrap();
    let spec = spec
        .replace("columns: { id: id, ", "slices: [{ by: kind }]\ncolumns: { ")
        .replace("min: 0.5", "min: 0.5, slices: all");
    fs::write(folder.path().join("modelgate.yaml"), spec).unwrap();
    let (record, _) = gate::run_on(folder.path(), &[], &[]);
    let record = serde_json::from_slice::<Value>(&record).unwrap();
    let claims = record["claims"].as_array().unwrap().iter();
    let slices = claims.map(|claim| claim["subject"]["slice"].as_str().unwrap()).collect::<Vec<_>>();
    assert_eq!(slices, ["all", "kind=07", "kind=a b,c:d+e"]);
}

#[test]
fn files_whose_paths_disagree_are_no_dataset() {
    let folder = TempDir::new().unwrap();
    for name in ["month=01/a.parquet", "month=02/a.parquet", "day=1/a.parquet", "month=a%2Fb/a.parquet"] {
        fs::create_dir_all(folder.path().join(name).parent().unwrap()).unwrap();
        fs::write(folder.path().join(name), gate::parquet()).unwrap();
    }
    for (data, tells) in [
        ("*/a.parquet", "the path of `month=01/a.parquet` has other columns than that of `day=1/a.parquet`"),
        ("month=a*/a.parquet", "`month=a%2Fb/a.parquet` has `a%2Fb` as its month, which is no plain value"),
    ] {
        gate::write(folder.path(), data);
        let told = gate::fails_on(folder.path(), &[]);
        assert!(told.contains(tells), "{told}");
    }
}

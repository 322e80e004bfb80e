//! `--memory`: what does not fit goes to files, and the record is the same to the byte; or nothing is judged, and it is said
//! what to do.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use modelgate::stats::random::uniform;
use parquet::arrow::ArrowWriter;
use tempfile::TempDir;

/// Keys of forty bytes make ten megabytes on each side of a join, and two joins are made at once.
const ROWS: u64 = 250_000;

const SPEC: &str = "version: 1
model: { name: many, task: binary }
baseline: { predictions: old.parquet }
candidate: { predictions: new.parquet }
columns: { id: id, label: label }
data: { train: train.parquet, test: test.parquet }
checks:
  - leakage.overlap: { between: [train, test], on: [id], max_share: 0.5 }
  - data.schema: {}
  - performance.regression: { metric: log_loss, max_rise: 50% }
";

fn id(row: u64) -> String {
    format!("a row of some length, with the number {:08}", row * 7_919 % 10_000_000)
}

fn write(file: &Path, columns: Vec<(&str, ArrayRef)>) {
    let rows = RecordBatch::try_from_iter(columns).unwrap();
    let mut writer = ArrowWriter::try_new(File::create(file).unwrap(), rows.schema(), None).unwrap();
    writer.write(&rows).unwrap();
    writer.close().unwrap();
}

/// Rows of which some were seen, and some have no prediction, and predictions of which some have no row.
fn gate() -> TempDir {
    let folder = TempDir::new().unwrap();
    let ids = |rows: std::ops::Range<u64>| Arc::new(StringArray::from_iter_values(rows.map(id))) as ArrayRef;
    let labels = |rows: std::ops::Range<u64>| {
        Arc::new(Int64Array::from_iter_values(rows.map(|row| i64::from(uniform(1, 0, row) < 0.3)))) as ArrayRef
    };
    let scores = |rows: std::ops::Range<u64>, model: u64| {
        Arc::new(Float64Array::from_iter_values(rows.map(|row| uniform(2, model, row)))) as ArrayRef
    };
    for (name, rows) in [("train", 0..ROWS), ("test", ROWS / 2 - 17..ROWS + ROWS / 2)] {
        let file = folder.path().join(format!("{name}.parquet"));
        write(&file, vec![("id", ids(rows.clone())), ("label", labels(rows))]);
    }
    for (model, (name, rows)) in
        [("old", ROWS / 2..2 * ROWS), ("new", ROWS / 2 - 17..ROWS + ROWS / 2)].into_iter().enumerate()
    {
        let file = folder.path().join(format!("{name}.parquet"));
        write(&file, vec![("id", ids(rows.clone())), ("score", scores(rows, model as u64))]);
    }
    fs::write(folder.path().join("modelgate.yaml"), SPEC).unwrap();
    folder
}

/// Runs the gate with a folder of its own for temporary files, in which nothing may be left.
fn run(folder: &Path, arguments: &[&str]) -> (Output, Vec<u8>) {
    let temporary = folder.join("temporary");
    fs::create_dir_all(&temporary).unwrap();
    let ran = run_beside(folder, &temporary, arguments);
    let left = fs::read_dir(&temporary).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<PathBuf>>();
    assert!(left.is_empty(), "{left:?}");
    ran
}

fn run_beside(folder: &Path, temporary: &Path, arguments: &[&str]) -> (Output, Vec<u8>) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_modelgate"));
    command.current_dir(folder).arg("run").args(arguments).env("TMPDIR", temporary);
    let done = command.output().unwrap();
    (done, fs::read(folder.join(".modelgate/record.json")).unwrap_or_default())
}

fn said(done: &Output) -> String {
    String::from_utf8_lossy(&done.stderr).into_owned()
}

#[test]
fn joins_of_more_than_fits_give_the_same_bytes() {
    let gate = gate();
    let (done, record) = run(gate.path(), &["--threads", "2"]);
    assert!(!record.is_empty(), "{}", said(&done));
    for (threads, memory) in [("2", "24MiB"), ("8", "48MiB")] {
        let (done, limited) = run(gate.path(), &["--memory", memory, "--threads", threads]);
        assert!(limited == record, "{threads} threads: {}", said(&done));
    }
    // It was put into files: without a place for them nothing is judged.
    let nowhere = gate.path().join("nowhere");
    let (done, record) = run_beside(gate.path(), &nowhere, &["--memory", "24MiB", "--threads", "2"]);
    assert_eq!((done.status.code(), record.len()), (Some(2), 0), "{}", said(&done));
    assert!(said(&done).contains("nowhere"), "{}", said(&done));
}

#[test]
fn what_fits_nowhere_is_an_error_with_the_remedy_and_no_record() {
    let gate = gate();
    for memory in ["1KiB", "1MiB"] {
        let (done, record) = run(gate.path(), &["--memory", memory]);
        assert_eq!((done.status.code(), record.len()), (Some(2), 0), "{memory}: {}", said(&done));
        assert!(said(&done).contains("`--memory` allows less than this run needs"), "{memory}: {}", said(&done));
    }
}

#[test]
fn what_is_no_size_and_what_limits_nothing_is_refused() {
    for wrong in ["0GB", "512", "much", "-1GiB", "1.5GiB"] {
        let argument = format!("--memory={wrong}");
        let (done, record) = run(TempDir::new().unwrap().path(), &[&argument]);
        assert!(done.status.code() == Some(2) && record.is_empty(), "{wrong}");
        assert!(said(&done).contains("--memory") && said(&done).contains("512MiB"), "{wrong}: {}", said(&done));
    }
    let cluster = ["--memory", "1GiB", "--cluster", "df://localhost:1"];
    let (done, _) = run(TempDir::new().unwrap().path(), &cluster);
    assert!(done.status.code() == Some(2) && said(&done).contains("cannot be used with"), "{}", said(&done));
}

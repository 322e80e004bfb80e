//! Models that are programs: those that do as they should, and those that die, hang, babble and lie.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::Instant;

use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch};
use parquet::arrow::ArrowWriter;
use serde_json::Value;
use tempfile::TempDir;

use crate::services::program;

/// More rows than a batch has.
pub(crate) const ROWS: i32 = 20_000;

const SPEC: &str = "version: 1
model: { name: toy, task: binary }
candidate: CANDIDATE
columns: { id: id, label: label, features: [distance, dep_hour] }
data: { test: test.parquet }
checks:
  - performance.metric: { metric: roc_auc, min: LEAST }
";

/// A gate whose candidate is written like this, on rows with missing distances.
fn gate(candidate: &str) -> TempDir {
    let distances = (0..ROWS).map(|row| (row % 50 != 0).then(|| f64::from(row % 997))).collect::<Float64Array>();
    gate_of(candidate, "0.4", Arc::new(distances))
}

/// A gate with the least ROC AUC that it allows, and with these distances.
pub(crate) fn gate_of(candidate: &str, least: &str, distances: ArrayRef) -> TempDir {
    let folder = TempDir::new().unwrap();
    let spec = SPEC.replace("CANDIDATE", candidate).replace("LEAST", least);
    fs::write(folder.path().join("modelgate.yaml"), spec).unwrap();
    let columns: [(&str, ArrayRef); 4] = [
        ("id", Arc::new(Int64Array::from_iter_values(0..i64::from(ROWS)))),
        ("label", Arc::new(Int64Array::from_iter_values((0..i64::from(ROWS)).map(|row| row % 2)))),
        ("distance", distances),
        ("dep_hour", Arc::new(Int64Array::from_iter_values((0..i64::from(ROWS)).map(|row| row % 24)))),
    ];
    let rows = RecordBatch::try_from_iter(columns).unwrap();
    let file = File::create(folder.path().join("test.parquet")).unwrap();
    let mut writer = ArrowWriter::try_new(file, rows.schema(), None).unwrap();
    writer.write(&rows).unwrap();
    writer.close().unwrap();
    folder
}

/// A gate whose candidate is a shell script.
fn scripted(script: &str, more: &str) -> TempDir {
    let folder = gate(&format!("{{ process: [./model.sh], {more} }}"));
    let file = folder.path().join("model.sh");
    fs::write(&file, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

fn run(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_modelgate"));
    command.current_dir(folder).arg("run").args(arguments);
    command
        .env("GITHUB_TOKEN", "ghs_secret")
        .env("INPUT_TOKEN", "ghs_secret")
        .env("AWS_SECRET_ACCESS_KEY", "aws_secret");
    command.output().unwrap()
}

pub(crate) fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// What is said of a program that goes wrong.
fn refused(folder: &TempDir) -> String {
    let output = run(folder.path(), &["--allow-process"]);
    assert_eq!(output.status.code(), Some(2), "{}", told(&output));
    assert!(!folder.path().join(".modelgate/record.json").exists());
    told(&output)
}

/// A gate whose candidate is the example, fed by its helper.
fn example() -> TempDir {
    let python = program("mlflow", "python").display().to_string();
    let folder =
        gate(&format!("{{ process: ['{python}', score.py, '{{weights}}'], files: {{ weights: weights.json }} }}"));
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/process");
    for name in ["score.py", "modelgate_process.py", "weights.json"] {
        fs::copy(example.join(name), folder.path().join(name)).unwrap();
    }
    folder
}

#[test]
fn the_example_scores_alike_on_any_number_of_threads() {
    let folder = example();
    let record = |threads: &str| {
        let output = run(folder.path(), &["--allow-process", "--threads", threads, "--cache", "kept"]);
        assert_eq!(output.status.code(), Some(0), "{}", told(&output));
        assert!(told(&output).contains("  | weights of distance, dep_hour"), "{}", told(&output));
        fs::read(folder.path().join(".modelgate/record.json")).unwrap()
    };
    let first = record("1");
    assert!(first == record("4"));
    let digest =
        |record: &[u8]| serde_json::from_slice::<Value>(record).unwrap()["inputs"]["candidate"]["sha256"].clone();
    // Other weights and another program are other models, of which no score was kept.
    for (file, from, to) in [("weights.json", "-1.5", "-2.5"), ("score.py", "(-value)", "(value)")] {
        let before = (record("2"), fs::read_to_string(folder.path().join(file)).unwrap());
        assert!(before.1.contains(from));
        fs::write(folder.path().join(file), before.1.replace(from, to)).unwrap();
        let after = record("2");
        assert!(digest(&before.0) != digest(&after) && digest(&after).is_string());
    }
    assert!(!fs::read_dir(folder.path().join("kept")).unwrap().any(|_| true), "scores of a program are not kept");
}

#[test]
fn a_spec_alone_starts_no_program() {
    let folder = scripted("touch started", "");
    let output = run(folder.path(), &[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(told(&output).contains("--allow-process") && told(&output).contains("allow_process: true"));
    assert!(!folder.path().join("started").exists());
}

#[test]
fn a_program_has_no_secrets() {
    let folder = scripted("env > seen; exit 1", "environment: { GIVEN: value }");
    refused(&folder);
    let seen = fs::read_to_string(folder.path().join("seen")).unwrap();
    assert!(seen.contains("GIVEN=value") && seen.contains("PATH="), "{seen}");
    assert!(!seen.contains("secret"), "{seen}");
}

#[test]
fn a_program_that_ends_says_why() {
    let told = refused(&scripted("echo 'no module named torch' >&2; exit 3", ""));
    assert!(told.contains("exit status: 3") && told.contains("no module named torch"), "{told}");
    let told = refused(&gate("{ process: [./absent] }"));
    assert!(told.contains("absent") && told.contains("not found"), "{told}");
}

#[test]
fn a_program_that_hangs_is_ended_with_its_children() {
    let begun = Instant::now();
    let folder = scripted("sleep 1000 & echo $! > child; wait", "seconds: 1");
    let told = refused(&folder);
    assert!(told.contains("within 1 seconds") && told.contains("`seconds:`"), "{told}");
    assert!(begun.elapsed().as_secs() < 60);
    let child = fs::read_to_string(folder.path().join("child")).unwrap();
    let state = fs::read_to_string(format!("/proc/{}/stat", child.trim())).unwrap_or_default();
    assert!(state.is_empty() || state.contains(") Z "), "{state}");
}

#[test]
fn what_is_no_stream_is_no_score() {
    let told = refused(&scripted("echo 'loading the model'", ""));
    assert!(told.contains("begins with \"loading \"") && told.contains("standard error"), "{told}");
    let told = refused(&scripted("exec 1>&-; exit 0", ""));
    assert!(told.contains("ended before it answered"), "{told}");
}

#[test]
fn what_it_says_is_bounded_and_no_command() {
    let flood =
        "printf '::error::forged\\033[31m\\n' >&2; head -c 3000000 /dev/zero | tr '\\0' 'x' | fold -w 100 >&2; exit 1";
    let folder = scripted(flood, "");
    let mut command = Command::new(env!("CARGO_BIN_EXE_modelgate"));
    command.current_dir(folder.path()).args(["run", "--allow-process"]).env("GITHUB_ACTIONS", "true");
    let told = told(&command.output().unwrap());
    assert!(!told.contains("::error::") && !told.contains('\u{1b}'), "{}", &told[..500]);
    assert!(told.contains("beyond this is not shown") && told.len() < 200_000, "{}", told.len());
}

#[test]
fn memory_is_limited() {
    let python = program("mlflow", "python").display().to_string();
    let folder = gate(&format!("{{ process: ['{python}', -c, 'bytearray(1 << 30)'], memory_mib: 512 }}"));
    let told = refused(&folder);
    assert!(told.contains("MemoryError"), "{told}");
}

/// Answers of a program that speaks the protocol and gives no score for each row.
#[test]
fn missing_and_wrong_scores_are_no_numbers() {
    for (scores, expected) in [
        ("[0.5] * (len(rows) - 1)", "give one score for each row"),
        ("[None] + [0.5] * (len(rows) - 1)", "has no score for 1 of"),
        ("pa.array([1] * len(rows))", "holds Int64"),
        ("([0.5] * len(rows), [0.5] * len(rows))", "answers with 2 columns, and the model has 1"),
    ] {
        let folder = example();
        let script =
            format!("import pyarrow as pa\nfrom modelgate_process import serve\nserve(lambda rows: {scores})\n");
        fs::write(folder.path().join("score.py"), script).unwrap();
        let told = refused(&folder);
        assert!(told.contains(expected), "{scores}: {told}");
    }
}

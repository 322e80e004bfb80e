//! Cases as data: a spec, small tables, and what the gate says of them. And every check over every case, whatever fires.
//!
//! A table is CSV whose header gives each column a type: `id:int,score:float,shop:text,at:time`. An empty field is null.
//! `make generate` writes what is expected; the difference is what is reviewed.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, TimeUnit};
use parquet::arrow::ArrowWriter;
use serde_json::Value;
use tempfile::TempDir;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

pub(super) fn cases() -> Vec<PathBuf> {
    let folders = fs::read_dir(root().join("tests/cases")).unwrap().map(|entry| entry.unwrap().path());
    let mut folders: Vec<PathBuf> = folders.collect();
    folders.sort();
    assert!(folders.len() >= 10, "cases were lost: {folders:?}");
    folders
}

/// The folder of a case with its tables as Parquet and the models of the fixtures.
pub(super) fn laid_out(case: &Path) -> TempDir {
    let folder = TempDir::new().unwrap();
    for entry in fs::read_dir(case).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|ending| ending == "csv") {
            let name = path.file_stem().unwrap().to_str().unwrap();
            table(&fs::read_to_string(&path).unwrap(), &folder.path().join(format!("{name}.parquet")));
        }
    }
    fs::create_dir(folder.path().join("models")).unwrap();
    for model in ["sigmoid.onnx", "not_finite.onnx", "fruit.onnx", "fruit_columns.onnx"] {
        fs::copy(root().join("tests/fixtures/models").join(model), folder.path().join("models").join(model)).unwrap();
    }
    folder
}

pub(super) fn table(csv: &str, path: &Path) {
    let mut lines = csv.lines();
    let header: Vec<(&str, &str)> = lines.next().unwrap().split(',').map(|c| c.split_once(':').unwrap()).collect();
    let rows: Vec<Vec<&str>> = lines.map(|line| line.split(',').collect()).collect();
    let columns = header.iter().enumerate().map(|(number, (name, kind))| {
        let fields: Vec<Option<&str>> = rows.iter().map(|row| Some(row[number]).filter(|f| !f.is_empty())).collect();
        (*name, column(kind, &fields))
    });
    let batch = RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true))).unwrap();
    let mut writer = ArrowWriter::try_new(File::create(path).unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

fn column(kind: &str, fields: &[Option<&str>]) -> ArrayRef {
    let text: ArrayRef = Arc::new(StringArray::from(fields.to_vec()));
    match kind {
        "int" => Arc::new(fields.iter().map(|f| f.map(|f| f.parse().unwrap())).collect::<Int64Array>()),
        "float" => Arc::new(fields.iter().map(|f| f.map(|f| f.parse().unwrap())).collect::<Float64Array>()),
        "time" => cast(&text, &DataType::Timestamp(TimeUnit::Microsecond, None)).unwrap(),
        "text" => text,
        other => panic!("a column cannot be `{other}`"),
    }
}

struct Ran {
    code: Option<i32>,
    said: String,
    record: Option<Value>,
    markdown: String,
}

fn run(folder: &Path, spec: &str) -> Ran {
    fs::write(folder.join("modelgate.yaml"), spec).unwrap();
    let done = Command::new(env!("CARGO_BIN_EXE_modelgate")).current_dir(folder).arg("run").output().unwrap();
    let read = |name: &str| fs::read_to_string(folder.join(".modelgate").join(name)).ok();
    Ran {
        code: done.status.code(),
        said: String::from_utf8(done.stderr).unwrap(),
        record: read("record.json").map(|text| serde_json::from_str(&text).unwrap()),
        markdown: read("report.md").unwrap_or_default(),
    }
}

/// Compares with what is expected, or writes it when `MODELGATE_GENERATE` is set.
fn expect(path: &Path, found: &str) {
    if std::env::var_os("MODELGATE_GENERATE").is_some() {
        fs::write(path, found).unwrap();
    }
    let expected = fs::read_to_string(path).unwrap_or_default();
    assert!(
        found == expected,
        "{} is not what is found; look at the difference of `make generate`:\n{found}",
        path.display()
    );
}

#[test]
fn every_case_has_its_report() {
    for case in cases() {
        let folder = laid_out(&case);
        let ran = run(folder.path(), &fs::read_to_string(case.join("modelgate.yaml")).unwrap());
        expect(&case.join("expected.md"), &format!("{}{}", ran.markdown, ran.said));
    }
}

/// The plainest configuration of each check, by task.
const CHECKS: [(&str, [&str; 4]); 10] = [
    (
        "performance.metric",
        [
            "metric: roc_auc, min: 0.6, slices: all",
            "metric: macro_f1, min: 0.4, slices: all",
            "metric: rmse, max: 2.0, slices: all",
            "metric: { hit_rate: { k: 2 } }, min: 0.6, slices: all",
        ],
    ),
    (
        "performance.regression",
        [
            "metric: roc_auc, max_drop: 0.02, slices: all",
            "metric: accuracy, max_drop: 0.05, slices: all",
            "metric: mae, max_rise: 2%, slices: all",
            "metric: { ndcg: { k: 3 } }, max_drop: 0.02, slices: all",
        ],
    ),
    ("performance.worst_slice", [""; 4]),
    ("performance.calibration", [""; 4]),
    (
        "data.schema",
        [
            "columns: { x: { type: float } }",
            "columns: { x: { type: float } }",
            "columns: { x: { type: integer } }",
            "columns: { x: {} }",
        ],
    ),
    ("drift.prediction", [""; 4]),
    ("drift.feature", [""; 4]),
    ("leakage.overlap", ["between: [train, test]"; 4]),
    ("robustness.sensitivity", [""; 4]),
    (
        "backtest",
        [
            "metric: log_loss, max_rise: 5%, window: quarter",
            "metric: log_loss, max_rise: 5%, window: quarter",
            "metric: rmse, max_rise: 5%, window: quarter",
            "metric: mean_reciprocal_rank, max_drop: 5%, window: quarter",
        ],
    ),
];

/// The tasks, in the order of the configurations.
const TASKS: [&str; 4] = ["task: binary", "task: multiclass", "task: regression", "task: ranking"];

#[test]
fn every_check_over_every_case() {
    let known: Vec<&str> = modelgate::checks::CHECKS.iter().map(|kind| kind.name).collect();
    assert_eq!(CHECKS.map(|(name, _)| name).to_vec(), known, "a check lacks its plainest configuration");
    for case in cases() {
        let spec = fs::read_to_string(case.join("modelgate.yaml")).unwrap();
        let (head, _) = spec.split_once("checks:\n").unwrap();
        let folder = laid_out(&case);
        let mut found = String::new();
        let task = TASKS.iter().position(|task| spec.contains(task)).unwrap();
        for (name, configs) in CHECKS {
            let config = configs[task];
            let ran = run(folder.path(), &format!("{head}checks:\n  - {name}: {{ {config} }}\n"));
            found.push_str(&format!("{name}: exit code {}\n{}", ran.code.unwrap(), fired(&ran)));
        }
        expect(&case.join("every-check.txt"), &found);
    }
}

/// What a run says, a line for each claim, or its message.
fn fired(ran: &Ran) -> String {
    let Some(record) = &ran.record else { return ran.said.lines().map(|line| format!("  {line}\n")).collect() };
    let mut lines = String::new();
    for claim in record["claims"].as_array().unwrap() {
        let reason = claim["reason"].as_str().map_or_else(String::new, |reason| format!(": {reason}"));
        lines.push_str(&format!(
            "  {} {}{reason}\n",
            claim["verdict"].as_str().unwrap(),
            claim["id"].as_str().unwrap()
        ));
    }
    for item in record["not_tested"].as_array().unwrap() {
        lines.push_str(&format!(
            "  not tested {}: {}\n",
            item["claim"].as_str().unwrap(),
            item["why"].as_str().unwrap()
        ));
    }
    lines
}

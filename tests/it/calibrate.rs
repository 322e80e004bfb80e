//! `modelgate calibrate` on small data that is written here.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch};
use modelgate::stats::random::{normal, uniform};
use parquet::arrow::ArrowWriter;
use serde_json::Value;
use tempfile::TempDir;

const ROWS: u64 = 1500;

const SPEC: &str = "\
version: 1
model: { name: toy, task: binary }
candidate: { column: score_new }
baseline: { column: score_old }
columns: { id: id, label: label }
data: { test: test.parquet }
slices: [{ by: region }]
checks:
  - performance.regression: { metric: roc_auc, max_drop: 0.01, slices: all }
  - performance.regression: { metric: log_loss, max_rise: 0.02 }
  - performance.metric: { metric: accuracy, min: 0.99 }
  - data.schema: {}
";

/// Two models that are equally good and disagree, in 300 entities of five rows and two regions.
fn folder(spec: &str) -> TempDir {
    let label = |row| f64::from(u8::from(uniform(1, 0, row) < 0.4));
    let score = |model| {
        let logit = move |row| 2.0 * (label(row) - 0.5) + 0.8 * normal(1, 1, row) + 0.6 * normal(1, model, row);
        Float64Array::from_iter_values((0..ROWS).map(|row| 1.0 / (1.0 + f64::exp(0.4 - logit(row)))))
    };
    let integers = |value: fn(u64) -> u64| {
        Arc::new(Int64Array::from_iter_values((0..ROWS).map(|row| value(row).cast_signed()))) as ArrayRef
    };
    let columns = [
        ("id", integers(|row| row)),
        ("entity", integers(|row| row / 5)),
        ("region", integers(|row| row % 2)),
        ("label", Arc::new(Float64Array::from_iter_values((0..ROWS).map(label))) as ArrayRef),
        ("score_old", Arc::new(score(2))),
        ("score_new", Arc::new(score(3))),
    ];
    let (folder, batch) = (TempDir::new().unwrap(), RecordBatch::try_from_iter(columns).unwrap());
    let file = File::create(folder.path().join("test.parquet")).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    fs::write(folder.path().join("modelgate.yaml"), spec).unwrap();
    folder
}

fn run(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_modelgate"));
    command.current_dir(folder).arg("calibrate").args(arguments).output().unwrap()
}

/// The bytes of `calibration.json`, and what they say.
fn calibrate(folder: &Path, arguments: &[&str]) -> (Vec<u8>, Value) {
    let done = run(folder, arguments);
    // So few candidates cannot tell whether 5 % are kept.
    assert_eq!(done.status.code(), Some(3), "{}", String::from_utf8_lossy(&done.stderr));
    let bytes = fs::read(folder.join(".modelgate/calibration.json")).unwrap();
    let value = serde_json::from_slice(&bytes).unwrap();
    (bytes, value)
}

fn count(trial: &Value, verdict: &str) -> u64 {
    trial["verdicts"][verdict].as_u64().unwrap()
}

#[test]
fn harmless_candidates_are_let_through_and_gross_regressions_are_not() {
    let folder = folder(SPEC);
    let (_, found) = calibrate(folder.path(), &["--splits", "20"]);
    let harmless = found["harmless"].as_array().unwrap();
    assert_eq!(harmless.len(), 2);
    for trial in harmless {
        let verdicts = ["pass", "warn", "inconclusive", "fail"].map(|verdict| count(trial, verdict));
        assert_eq!(verdicts.iter().sum::<u64>(), 20, "{trial}");
        // Nothing got worse, and the margins leave room: even at the margin, a second fail has a chance of a quarter.
        assert!(count(trial, "fail") <= 1, "{trial}");
        assert!(trial["fails"]["low"].as_f64().unwrap() <= 0.05, "{trial}");
    }
    assert_eq!(found["verdict"], "inconclusive");
    // The baseline is the baseline, on whichever rows, and the two models are not each other.
    let auc = |trial: &Value| trial["claims"]["performance.regression/roc_auc/all"].clone();
    assert_eq!(auc(&harmless[0])["mean_difference"], 0.0);
    assert_eq!(auc(&harmless[0])["verdicts"]["pass"], 20);
    let mean = auc(&harmless[1])["mean_difference"].as_f64().unwrap();
    assert!(mean != 0.0 && mean.abs() < 0.005, "{mean}");

    let regressions = found["regressions"].as_array().unwrap();
    let losses: Vec<f64> = regressions.iter().map(|trial| -auc(trial)["mean_difference"].as_f64().unwrap()).collect();
    assert!(losses.is_sorted() && losses[0] > 0.0, "{losses:?}");
    let gross = regressions.last().unwrap();
    assert_eq!(gross["candidate"]["replaced"], 0.2);
    assert!(count(gross, "fail") >= 18, "{gross}");
    assert!(count(gross, "pass") + count(gross, "warn") == 0, "{gross}");
}

#[test]
fn checks_and_claims_that_take_no_part_are_named_with_the_reason() {
    let folder = folder(SPEC);
    let (_, found) = calibrate(folder.path(), &["--splits", "1"]);
    let left_out = found["left_out"].as_array().unwrap();
    assert_eq!(left_out.len(), 1, "{left_out:?}");
    assert_eq!(left_out[0]["check"], "data.schema");
    assert!(left_out[0]["why"].as_str().unwrap().contains("reads no scores"));
    // No model is right in 99 % of the rows: that the gate fails for it is no mistake.
    for trial in found["harmless"].as_array().unwrap() {
        assert_eq!(trial["beyond"], serde_json::json!(["performance.metric/accuracy/all"]));
        assert!(trial["claims"].get("performance.metric/accuracy/all").is_none());
    }
}

#[test]
fn the_number_of_threads_changes_no_byte() {
    let places = SPEC.replace("id: id, label", "label");
    let entities = SPEC.replace("id: id, label", "id: id, entity: entity, label");
    for spec in [SPEC, &places, &entities] {
        let folder = folder(spec);
        let found = ["1", "2"].map(|threads| calibrate(folder.path(), &["--splits", "3", "--threads", threads]).0);
        assert!(found[0] == found[1], "{spec}");
        let other = calibrate(folder.path(), &["--splits", "3", "--seed", "2"]).0;
        assert!(found[0] != other, "{spec}");
    }
}

#[test]
fn a_spec_without_a_baseline_is_told_what_to_do() {
    let spec = SPEC.replace("baseline: { column: score_old }\n", "");
    let done = run(folder(&spec).path(), &["--splits", "1"]);
    assert_eq!(done.status.code(), Some(2));
    let said = String::from_utf8(done.stderr).unwrap();
    assert!(said.contains("add `baseline:` beside `candidate:`"), "{said}");
}

//! A multiclass gate as a user runs it: classes and labels of every kind, scores in every form, and what is refused.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use modelgate::engine::Progress;
use modelgate::engine::session::Settings;
use modelgate::gate::{self, Case, Options};
use modelgate::spec::Spec;
use serde_json::Value;
use tempfile::TempDir;

use crate::cases::table;

const CHECKS: &str = "checks:\n  - performance.regression: { metric: accuracy, max_drop: 0.9 }\n  \
                      - performance.regression: { metric: log_loss, max_rise: 0.9 }\n  - drift.prediction: { max_distance: 1, max_flips: 1 }\n";

/// A spec of three classes, with what the model, the sides and the columns say more.
fn spec(classes: &str, candidate: &str, baseline: &str) -> String {
    format!(
        "version: 1\nmodel: {{ name: m, task: multiclass, classes: {classes} }}\ncandidate: {candidate}\n\
         baseline: {baseline}\ncolumns: {{ id: id, label: label, features: [x, w] }}\ndata: {{ test: test.parquet }}\n\
         policy: {{ min_rows: 2, min_positives: 1 }}\n{CHECKS}"
    )
}

/// 48 rows: labels from the list in turn, two models of three scores in tenths, and two features.
fn rows(kind: &str, labels: [&str; 3]) -> String {
    let mut csv =
        format!("id:int,label:{kind},x:float,w:float,a0:float,a1:float,a2:float,b0:float,b1:float,b2:float\n");
    for row in 0..48 {
        let scores = |shift: usize| match (row * 7 + shift) % 5 {
            0 => "0.2,0.3,0.5",
            1 => "0.6,0.2,0.2",
            2 => "0.1,0.8,0.1",
            3 => "0.4,0.4,0.2",
            _ => "0.3,0.1,0.6",
        };
        let x = f64::from(u32::try_from(row % 9).unwrap()) / 4.0 - 1.0;
        csv.push_str(&format!("{row},{},{x},{},{},{}\n", labels[row % 3], -x / 2.0, scores(0), scores(2)));
    }
    csv
}

const GIVEN: (&str, &str) = ("{ columns: [b0, b1, b2] }", "{ columns: [a0, a1, a2] }");

struct Ran {
    code: i32,
    said: String,
    record: String,
}

impl Ran {
    /// The values of every claim.
    fn values(&self) -> Vec<Value> {
        let record: Value = serde_json::from_str(&self.record).unwrap_or_else(|_| panic!("{}", self.said));
        let claims = record["claims"].as_array().unwrap().iter();
        claims.map(|claim| serde_json::json!([claim["candidate"], claim["baseline"], claim["difference"]])).collect()
    }
}

fn folder(csv: &str) -> TempDir {
    let folder = TempDir::new().unwrap();
    table(csv, &folder.path().join("test.parquet"));
    for model in ["fruit", "fruit_columns"] {
        let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/models/{model}.onnx"));
        fs::copy(fixture, folder.path().join(format!("{model}.onnx"))).unwrap();
    }
    folder
}

fn run(folder: &Path, spec: &str, arguments: &[&str]) -> Ran {
    fs::write(folder.join("modelgate.yaml"), spec).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_modelgate"));
    let done = command.current_dir(folder).arg("run").args(arguments).output().unwrap();
    let record = fs::read_to_string(folder.join(".modelgate/record.json")).unwrap_or_default();
    Ran { code: done.status.code().unwrap(), said: String::from_utf8(done.stderr).unwrap(), record }
}

#[test]
fn labels_of_every_kind_are_the_classes() {
    let kinds = [
        ("text", ["pear", "apple", "a b"], "[pear, apple, a b]"),
        ("int", ["7", "-1", "0"], "[7, -1, 0]"),
        ("float", ["7", "-1", "0"], "[7, -1, 0]"),
        ("text", ["7", "-1", "0"], "[7, -1, 0]"),
        ("int", ["7", "-1", "0"], "['7', '-1', '0']"),
        ("text", ["true", "false", "unknown"], "[true, false, unknown]"),
    ];
    let mut found = Vec::new();
    for (kind, labels, classes) in kinds {
        let ran = run(folder(&rows(kind, labels)).path(), &spec(classes, GIVEN.0, GIVEN.1), &[]);
        assert!(ran.code < 2, "{kind} {classes}: {}", ran.said);
        found.push(ran.values());
    }
    assert!(found.iter().all(|values| *values == found[0]), "{found:#?}");
    assert_eq!(found[0].len(), 6);
}

#[test]
fn a_label_that_is_no_class_is_broken_input() {
    for (kind, labels, classes) in
        [("text", ["pear", "plum", "zucchini"], "[pear, apple]"), ("float", ["1", "1.5", "2"], "[1, 2]")]
    {
        let two = ("{ columns: [b0, b1] }", "{ columns: [a0, a1] }");
        let ran = run(folder(&rows(kind, labels)).path(), &spec(classes, two.0, two.1), &[]);
        let named = format!("the label `{}` is none of `model.classes`", labels[1]);
        assert!(ran.code == 2 && ran.said.contains(&named), "{} {}", ran.code, ran.said);
    }
}

#[test]
fn scores_that_are_no_probabilities_are_broken_input_or_failed_evidence() {
    let folder = folder(&rows("text", ["pear", "apple", "quince"]));
    let ran = run(folder.path(), &spec("[pear, apple, quince]", "{ columns: [b0, b1, x] }", GIVEN.1), &[]);
    assert!(ran.code == 2 && ran.said.contains("probabilities that sum to 1, to 0.01"), "{}", ran.said);
}

#[test]
fn columns_predictions_and_models_given_instead_are_one() {
    let csv = rows("text", ["pear", "apple", "quince"]);
    let folder = folder(&csv);
    table(&csv, &folder.path().join("scored.parquet"));
    let classes = "[pear, apple, quince]";
    let columns = run(folder.path(), &spec(classes, GIVEN.0, GIVEN.1), &[]).values();
    let file = "{ predictions: scored.parquet, scores: [b0, b1, b2] }";
    assert_eq!(run(folder.path(), &spec(classes, file, GIVEN.1), &[]).values(), columns);
    let other = spec(classes, GIVEN.1, GIVEN.1);
    assert_eq!(run(folder.path(), &other, &["--candidate", "columns:b0,b1,b2"]).values(), columns);
    assert_eq!(run(folder.path(), &spec(classes, file, GIVEN.1), &["--candidate", "scored.parquet"]).values(), columns);
    let ran = run(folder.path(), &other, &["--candidate", "columns:b0,b1"]);
    assert!(ran.code == 2 && ran.said.contains("2 columns of scores for 3 classes"), "{}", ran.said);
}

#[test]
fn the_record_is_the_same_for_any_number_of_threads() {
    let folder = folder(&rows("text", ["pear", "apple", "quince"]));
    let live = spec(
        "[apple, quince, pear]",
        "{ onnx: fruit.onnx }",
        "{ onnx: fruit_columns.onnx, classes: [pear, apple, quince] }",
    );
    let one = run(folder.path(), &live, &["--threads", "1"]);
    assert!(!one.record.is_empty(), "{}", one.said);
    assert_eq!(run(folder.path(), &live, &["--threads", "4"]).record, one.record);
}

/// Three outputs of each of two models, asked for by three checks, cost each row one score of each model.
#[tokio::test]
async fn a_model_scores_a_row_once_for_all_classes() {
    let folder = folder(&rows("text", ["pear", "apple", "quince"]));
    let path = folder.path().join("modelgate.yaml");
    let live = spec(
        "[apple, quince, pear]",
        "{ onnx: fruit.onnx }",
        "{ onnx: fruit_columns.onnx, classes: [pear, apple, quince] }",
    );
    fs::write(&path, live).unwrap();
    let progress = Arc::new(Progress::default());
    let options = Options { session: Settings::threads(2), ..Options::default() };
    gate::run(Case::from(Spec::read(&path).unwrap()), &options, &progress).await.unwrap();
    assert_eq!((progress.scored(), progress.expected()), (96, 96));
}

#[test]
fn a_spec_that_does_not_fit_the_classes_is_a_located_problem() {
    let folder = folder(&rows("text", ["pear", "apple", "quince"]));
    let whole = spec("[pear, apple, quince]", GIVEN.0, GIVEN.1);
    let changes = [
        (", classes: [pear, apple, quince]", "", "a multiclass model without `classes`"),
        ("[pear, apple, quince]", "[pear]", "expected at least 2 items"),
        ("[pear, apple, quince]", "[1, '1', 2]", "the class `1` is listed twice"),
        ("[pear, apple, quince]", "[pear, pear, quince]", "is listed twice"),
        ("task: multiclass", "task: binary", "classes are for a multiclass model"),
        ("[pear, apple, quince]", "[pear, apple, quince], threshold: 0.4", "a threshold is for a binary model"),
        ("[b0, b1, b2]", "[b0, b1]", "2 columns of scores for 3 classes"),
        ("[b0, b1, b2]", "[b0, b1, label]", "the column `label` is the label"),
        ("columns: [b0, b1, b2]", "column: b0", "write `columns: [...]`"),
        ("columns: [b0, b1, b2]", "predictions: scored.parquet", "add `scores: [...]`"),
        ("columns: [b0, b1, b2]", "onnx: fruit.onnx, positive: 1", "a multiclass model has no positive class"),
        ("columns: [b0, b1, b2]", "onnx: fruit.onnx, classes: [pear, apple]", "other classes than those of"),
        ("metric: accuracy", "metric: roc_auc", "`roc_auc` is not a metric of this task"),
        ("metric: accuracy", "metric: { class_recall: { class: aple } }", "did you mean `apple`?"),
        ("metric: accuracy", "metric: { top_k_accuracy: { k: 3 } }", "always among 3 of 3 classes"),
    ];
    for (old, new, message) in changes {
        assert!(whole.contains(old), "{old}");
        let ran = run(folder.path(), &whole.replacen(old, new, 1), &[]);
        assert!(
            ran.code == 2 && ran.said.contains(message) && ran.said.contains("modelgate.yaml:"),
            "{message}:\n{}",
            ran.said
        );
    }
}

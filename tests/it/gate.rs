//! The program as a user runs it: on the example, on small data that is written here, and on everything that is broken.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::compute::{cast, concat_batches};
use arrow::datatypes::DataType;
use modelgate::artifact::reach::Reach;
use modelgate::artifact::world::World;
use modelgate::score::program::Programs;
use modelgate::score::{Bound as _, Judged, Scorer as Opened};
use modelgate::spec::Spec;
use modelgate::spec::written::Scorer;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::{Map, Value};
use tempfile::TempDir;

/// What a run left behind.
struct Run {
    code: i32,
    stderr: String,
    record: Option<Value>,
    bytes: Vec<u8>,
}

impl Run {
    fn record(&self) -> &Value {
        self.record.as_ref().unwrap_or_else(|| panic!("exit code {}, no record: {}", self.code, self.stderr))
    }

    fn claims(&self) -> &Vec<Value> {
        self.record()["claims"].as_array().unwrap()
    }

    fn claim(&self, id: &str) -> &Value {
        let known = || self.claims().iter().map(|claim| claim["id"].to_string()).collect::<Vec<_>>().join("\n");
        self.claims().iter().find(|claim| claim["id"] == id).unwrap_or_else(|| panic!("no {id} among\n{}", known()))
    }

    fn verdict(&self, id: &str) -> &str {
        self.claim(id)["verdict"].as_str().unwrap()
    }

    fn reason(&self, id: &str) -> &str {
        self.claim(id)["reason"].as_str().unwrap_or_else(|| panic!("{id} has no reason"))
    }
}

/// Runs the gate in a folder, with `out` in it as the folder of the reports.
fn run(folder: &Path, spec: &Path, out: &Path, arguments: &[&str]) -> Run {
    let mut command = Command::new(env!("CARGO_BIN_EXE_modelgate"));
    command.current_dir(folder).arg("run").arg(spec).arg("--out").arg(out).args(arguments);
    let done = command.output().unwrap();
    let bytes = fs::read(out.join("record.json")).unwrap_or_default();
    Run {
        code: done.status.code().unwrap(),
        stderr: String::from_utf8(done.stderr).unwrap(),
        record: (!bytes.is_empty()).then(|| serde_json::from_slice(&bytes).unwrap()),
        bytes,
    }
}

fn example() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/flight-delay")
}

fn run_example(arguments: &[&str]) -> Run {
    let out = TempDir::new().unwrap();
    run(&example(), Path::new("modelgate.yaml"), out.path(), arguments)
}

fn expected() -> Value {
    serde_json::from_slice(&fs::read(example().join("expected.json")).unwrap()).unwrap()
}

/// To a relative 1e-9, the promise of the product.
#[track_caller]
fn agrees(what: &str, found: &Value, expected: &Value) {
    let (Some(found), Some(expected)) = (found.as_f64(), expected.as_f64()) else {
        panic!("{what}: {found}, expected {expected}");
    };
    assert!((found - expected).abs() <= 1e-9 * expected.abs(), "{what}: {found}, expected {expected}");
}

#[track_caller]
fn both_agree(what: &str, claim: &Value, candidate: &Value, baseline: &Value) {
    agrees(&format!("{what}, candidate"), &claim["candidate"]["value"], candidate);
    agrees(&format!("{what}, baseline"), &claim["baseline"]["value"], baseline);
    let difference = candidate.as_f64().unwrap() - baseline.as_f64().unwrap();
    let found = claim["difference"]["value"].as_f64().unwrap();
    assert!((found - difference).abs() <= 1e-9, "{what}, difference: {found}, expected {difference}");
}

#[test]
fn reference() {
    let (run, expected) = (run_example(&["--suite", "release", "--threads", "1"]), expected());
    assert_eq!(run.code, 0, "{}", run.stderr);
    let (candidate, baseline) = (&expected["metrics"]["candidate"], &expected["metrics"]["baseline"]);
    let metric = &run.claim("performance.metric/roc_auc/all")["candidate"]["value"];
    agrees("performance.metric", metric, &candidate["all"]["roc_auc"]);
    let mut compared = 0;
    for claim in run.claims().iter().filter(|claim| claim["check"] == "performance.regression") {
        let (slice, metric) = (text(&claim["subject"]["slice"]), text(&claim["subject"]["metric"]));
        let slice = if slice == "long-haul" { "distance > 1500" } else { slice };
        let Some(of_slice) = candidate.get(slice) else { continue };
        both_agree(&format!("{metric} of {slice}"), claim, &of_slice[metric], &baseline[slice][metric]);
        assert_eq!(claim["rows"], of_slice["rows"], "{slice}");
        compared += 1;
    }
    // Two metrics over all rows, the long-haul flights, and thirteen of the sixteen carriers.
    assert_eq!(compared, 2 + 1 + 13);
    assert_eq!(run.record()["not_tested"].as_array().unwrap().len(), 3);
    drift_agrees(&run, &expected["against_baseline"]["candidate"]);
    backtest_agrees(&run, &expected["backtest"]);
    let seen = &run.claim("leakage.overlap/features/all")["details"]["shared_rows"];
    assert_eq!(*seen, expected["leakage"]["rows_with_features_in_train"]);
}

fn drift_agrees(run: &Run, expected: &Value) {
    agrees("ks", &run.claim("drift.prediction/distance/all")["difference"]["value"], &expected["ks"]);
    let flips = run.claim("drift.prediction/flips/all");
    agrees("flips", &flips["difference"]["value"], &expected["flips"]);
    assert_eq!(flips["details"]["corrected"], expected["corrected"]);
    assert_eq!(flips["details"]["broken"], expected["broken"]);
}

fn backtest_agrees(run: &Run, expected: &Value) {
    let pooled = run.claim("backtest/roc_auc/all");
    let area = &expected["pooled"]["roc_auc"];
    both_agree("pooled", pooled, &area["candidate"], &area["baseline"]);
    assert_eq!(pooled["rows"], expected["pooled"]["rows"]);
    assert_eq!(pooled["details"]["left_out"], expected["pooled"]["left_out"]);
    let (windows, months) = (pooled["details"]["windows"].as_array().unwrap(), expected["months"].as_object().unwrap());
    assert_eq!(windows.len(), months.len());
    for (window, (month, expected)) in windows.iter().zip(months) {
        assert_eq!(window["window"], month.as_str());
        assert_eq!(window["rows"], expected["rows"], "{month}");
        assert_eq!(window["left_out"], expected["left_out"], "{month}");
        both_agree(month, window, &expected["roc_auc"]["candidate"], &expected["roc_auc"]["baseline"]);
    }
}

const BINARY: [&str; 7] = ["roc_auc", "log_loss", "accuracy", "precision", "recall", "f1", "brier"];

/// A spec that asks for every metric of the example, for every slice however small.
fn every_metric(model: &str) -> String {
    let written = fs::read_to_string(example().join("modelgate.yaml")).unwrap();
    let (_, after) = written.split_once("\ncolumns:\n").unwrap();
    let (columns, _) = after.split_once("\ndata:\n").unwrap();
    let folder = example().canonicalize().unwrap();
    let at = |file: &str| format!("\"{}\"", folder.join(file).display());
    let test = at("data/flights-2013-0[7-9].parquet");
    let train = at("data/flights-2013-0[1-6].parquet");
    let (candidate, baseline) = (at(&format!("models/{model}.onnx")), at("models/baseline.onnx"));
    let lower = |metric: &str| ["log_loss", "brier"].contains(&metric);
    let checks: String = BINARY
        .iter()
        .map(|metric| {
            let (fixed, margin) = if lower(metric) { ("max", "max_rise") } else { ("min", "max_drop") };
            format!(
                "  - performance.metric: {{ metric: {metric}, {fixed}: 0.5, slices: all }}\n  \
                   - performance.regression: {{ metric: {metric}, {margin}: 0.5, slices: all }}\n"
            )
        })
        .collect();
    format!(
        "version: 1\nmodel: {{ name: every-metric, task: binary }}\n\
         candidate: {{ onnx: {candidate} }}\nbaseline: {{ onnx: {baseline} }}\ncolumns:\n{columns}\n\
         data: {{ test: {test}, train: {train} }}\npolicy: {{ min_rows: 1, min_positives: 1 }}\n\
         slices:\n  - by: carrier\n  - by: origin\n  - {{ name: long-haul, where: \"distance > 1500\" }}\n\
         checks:\n{checks}  - drift.prediction: {{ max_distance: 1, max_flips: 1 }}\n  \
           - leakage.overlap: {{ between: [train, test], on: [features, entity] }}\n"
    )
}

#[test]
fn reference_of_every_metric() {
    let expected = expected();
    for model in ["candidate", "leaky", "swapped"] {
        let run = run_every_metric(model);
        metrics_agree(&run, model, &expected["metrics"]);
        drift_agrees(&run, &expected["against_baseline"][model]);
        let entity = &run.claim("leakage.overlap/entity/all")["details"];
        assert_eq!(entity["shared_rows"], expected["leakage"]["rows_with_shared_tail_number"]);
        assert_eq!(entity["shared_keys"], expected["leakage"]["shared_tail_numbers"]);
    }
}

fn run_every_metric(model: &str) -> Run {
    let folder = TempDir::new().unwrap();
    let spec = folder.path().join("modelgate.yaml");
    fs::write(&spec, every_metric(model)).unwrap();
    run(folder.path(), &spec, &folder.path().join("out"), &[])
}

fn metrics_agree(run: &Run, model: &str, expected: &Value) {
    for metric in BINARY {
        for (slice, values) in expected[model].as_object().unwrap() {
            let name = if slice == "distance > 1500" { "long-haul" } else { slice };
            let what = format!("{model}: {metric} of {slice}");
            let (value, baseline) = (&values[metric], &expected["baseline"][slice][metric]);
            let alone = run.claim(&format!("performance.metric/{metric}/{name}"));
            let compared = run.claim(&format!("performance.regression/{metric}/{name}"));
            if value.is_null() {
                undefined(&what, alone);
            } else {
                agrees(&what, &alone["candidate"]["value"], value);
                assert_eq!(alone["rows"], values["rows"], "{what}");
            }
            if value.is_null() || baseline.is_null() {
                undefined(&what, compared);
            } else {
                both_agree(&what, compared, value, baseline);
            }
        }
    }
}

/// What is undefined is not decided, and has no number.
#[track_caller]
fn undefined(what: &str, claim: &Value) {
    assert_eq!(claim["verdict"], "inconclusive", "{what}");
    assert!(claim["reason"].is_string(), "{what}: {claim}");
    assert!(claim["difference"].is_null(), "{what}: {claim}");
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

#[test]
fn threads() {
    let [first, second, third] = ["1", "1", "2"].map(|n| run_example(&["--suite", "release", "--threads", n]));
    assert_eq!(first.code, 0, "{}", first.stderr);
    assert!(!first.bytes.is_empty());
    assert!(first.bytes == second.bytes, "two runs differ");
    assert!(first.bytes == third.bytes, "two threads give another record than one");
}

#[test]
fn verdicts() {
    let candidate = run_example(&["--suite", "check-in"]);
    assert_eq!(candidate.code, 0, "{}", candidate.stderr);

    let leaky = run_example(&["--suite", "check-in", "--candidate", "models/leaky.onnx"]);
    assert_eq!(leaky.code, 1, "{}", leaky.stderr);
    assert_eq!(leaky.record()["verdict"], "fail");
    assert_eq!(leaky.verdict("data.schema/inputs/all"), "fail");
    assert!(leaky.reason("data.schema/inputs/all").contains("`dep_delay`"));

    let swapped = run_example(&["--suite", "check-in", "--candidate", "models/swapped.onnx"]);
    assert_eq!(swapped.code, 1, "{}", swapped.stderr);
    assert_eq!(swapped.verdict("performance.regression/roc_auc/all"), "fail");
    assert_eq!(swapped.verdict("data.schema/inputs/all"), "pass");
}

/// Rows of a toy model: of two models that are about equally good.
const ROWS: u64 = 2000;
const SPEC: &str = "\
version: 1
model: { name: toy, task: binary }
candidate: { column: score_new }
baseline: { column: score_old }
columns: { id: id, label: label }
data: { test: test.parquet }
checks:
  - performance.regression: { metric: roc_auc, max_drop: 0.1 }
  - data.schema: {}
";

/// Columns by name, in order.
type Columns = Vec<(&'static str, ArrayRef)>;

/// A number from 0 to 1 that looks random: SplitMix64, Steele, Lea and Flood 2014.
fn uniform(seed: u64) -> f64 {
    let mut z = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
}

fn floats(value: impl Fn(u64) -> f64) -> ArrayRef {
    Arc::new(Float64Array::from_iter_values((1..=ROWS).map(value)))
}

fn integers(value: impl Fn(u64) -> i64) -> ArrayRef {
    Arc::new(Int64Array::from_iter_values((1..=ROWS).map(value)))
}

fn row_number(row: u64) -> i64 {
    i64::try_from(row).unwrap()
}

fn label(row: u64) -> i64 {
    i64::from(uniform(3 * row) < chance(row))
}

fn chance(row: u64) -> f64 {
    uniform(3 * row + 1)
}

fn score_old(row: u64) -> f64 {
    0.9 * chance(row) + 0.1 * uniform(3 * row + 2)
}

fn score_new(row: u64) -> f64 {
    0.8 * chance(row) + 0.2 * uniform(7 * row + 2)
}

fn toy() -> Columns {
    const HOUR: i64 = 3_600_000_000;
    let at = |row: u64| row_number(row) * HOUR;
    let times = |late: i64| Arc::new(TimestampMicrosecondArray::from_iter_values((1..=ROWS).map(|r| at(r) + late)));
    let region = |row: u64| if row.is_multiple_of(2) { "north" } else { "south" };
    vec![
        ("id", integers(row_number)),
        ("label", integers(label)),
        ("score_old", floats(score_old)),
        ("score_new", floats(score_new)),
        ("region", Arc::new(StringArray::from_iter_values((1..=ROWS).map(region)))),
        ("at", times(0)),
        ("known", times(HOUR)),
    ]
}

fn put(file: &Path, columns: Columns) {
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let mut writer = ArrowWriter::try_new(File::create(file).unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

/// The toy data with one column replaced.
fn put_with(folder: &Path, name: &str, values: ArrayRef) {
    let mut columns = toy();
    columns.iter_mut().find(|column| column.0 == name).unwrap().1 = values;
    put(&folder.join("test.parquet"), columns);
}

/// The toy spec with one text replaced.
fn spec_with(folder: &Path, old: &str, new: &str) {
    assert!(SPEC.contains(old), "{old}");
    fs::write(folder.join("modelgate.yaml"), SPEC.replace(old, new)).unwrap();
}

fn toy_folder() -> TempDir {
    let folder = TempDir::new().unwrap();
    put(&folder.path().join("test.parquet"), toy());
    fs::write(folder.path().join("modelgate.yaml"), SPEC).unwrap();
    folder
}

fn run_toy(folder: &Path) -> Run {
    run(folder, Path::new("modelgate.yaml"), &folder.join("out"), &[])
}

fn cut(file: &Path, bytes: usize) {
    let content = fs::read(file).unwrap();
    fs::write(file, &content[..bytes]).unwrap();
}

fn model(folder: &Path, content: &[u8]) {
    fs::write(folder.join("model.onnx"), content).unwrap();
    spec_with(folder, "candidate: { column: score_new }", "candidate: { onnx: model.onnx }");
}

fn baseline_model() -> Vec<u8> {
    fs::read(example().join("models/baseline.onnx")).unwrap()
}

fn write_spec(folder: &Path, content: &[u8]) {
    fs::write(folder.join("modelgate.yaml"), content).unwrap();
}

/// Each level of aliases holds the one before ten times.
fn anchor_bomb() -> String {
    let level = |n: usize| format!("l{n}: &l{n} [{}]\n", vec![format!("*l{}", n - 1); 10].join(", "));
    format!("l0: &l0 [x, x]\n{}{SPEC}", (1..10).map(level).collect::<String>())
}

/// What is broken, a phrase of the message, and how to break it.
type Case = (&'static str, &'static str, fn(&Path));

const BAD_DATA: &[Case] = &[
    ("missing file", "`test.parquet` names no file", |f| fs::remove_file(f.join("test.parquet")).unwrap()),
    ("empty file", "test.parquet` is empty", |f| cut(&f.join("test.parquet"), 0)),
    ("truncated file", "is not a complete Parquet file", |f| cut(&f.join("test.parquet"), 5000)),
    ("no label", "has no column `label`", |f| {
        put(&f.join("test.parquet"), toy().into_iter().filter(|(name, _)| *name != "label").collect());
    }),
    ("labels 0 to 2", "labels outside the task, such as 2", |f| {
        put_with(f, "label", integers(|row| row_number(row % 3)))
    }),
    ("NaN scores", "2000 are not finite", |f| put_with(f, "score_new", floats(|_| f64::NAN))),
    ("infinite scores", "1 are not finite", |f| {
        put_with(f, "score_new", floats(|row| if row == 7 { f64::INFINITY } else { 0.5 }));
    }),
    ("rows without a group", "2 rows without a group", |f| {
        ranked(f, "hit_rate: { k: 3 }");
        let group = (1..=ROWS).map(|row| (row > 2).then_some(row_number(row) / 5));
        put_with(f, "id", Arc::new(group.collect::<Int64Array>()));
    }),
    ("relevances below 0", "labels outside the task, such as -1: a ranking has relevances of at least 0", |f| {
        ranked(f, "mean_reciprocal_rank: {}");
        put_with(f, "label", integers(|row| if row == 9 { -1 } else { 1 }));
    }),
    ("null in a ratio", "an expression of `r` on dataset `test` is null or not finite on 979 rows", |f| {
        ratio(f, "CASE WHEN label = 1 THEN 1 END", "1");
    }),
    ("infinite ratio", "is null or not finite on", |f| ratio(f, "1.0 / (label - 1.0)", "1")),
    ("division by zero", "Divide by zero", |f| ratio(f, "1 / label", "1")),
    ("slice of no column", "there is no column `distance`", |f| {
        let slices = "slices: [{ name: far, where: \"distance > 1500\" }]\nchecks:";
        spec_with(f, "checks:", slices);
        let spec = fs::read_to_string(f.join("modelgate.yaml")).unwrap();
        write_spec(f, spec.replace("max_drop: 0.1", "max_drop: 0.1, slices: all").as_bytes());
    }),
];

const BAD_MODEL: &[Case] = &[
    ("no ONNX", "`model.onnx` is not a usable ONNX model", |f| model(f, &[0xa5; 4096])),
    ("truncated ONNX", "`model.onnx` is not a usable ONNX model", |f| {
        model(f, &baseline_model()[..baseline_model().len() / 2])
    }),
    ("inputs of other data", "`carrier`", |f| model(f, &baseline_model())),
    ("missing baseline", "`old.onnx` names no file", |f| spec_with(f, "{ column: score_old }", "{ onnx: old.onnx }")),
    ("no baseline", "this check compares with a baseline, and the spec has none", |f| {
        spec_with(f, "baseline: { column: score_old }\n", "");
    }),
];

/// What an expression of a ratio must not be, and what is said of it.
const BAD_EXPRESSIONS: &[(&str, &str)] = &[
    ("scor", "there is no column `scor`; did you mean `score`?"),
    ("sum(label)", "an aggregate looks beyond its row"),
    ("rank() over (order by label)", "an aggregate looks beyond its row"),
    ("(select 1)", "a subquery looks beyond its row"),
    ("label in (select 1)", "a subquery looks beyond its row"),
    ("random()", "a function that changes from run to run"),
    ("extract(year from now())", "a function that changes from run to run"),
    ("region", "it gives Utf8, where a number is needed"),
    ("NULL", "it gives Null, where a number is needed"),
    ("1; drop table x", "this is no SQL expression"),
    ("", "this is no SQL expression"),
    ("$1", "a variable is no column of the row"),
    ("\"mg:score:baseline\"", "there is no column `mg:score:baseline`"),
    ("test.label", "there is no column `test.label`; did you mean `label`?"),
];

/// An expression is untrusted text: every one that is no number of its row is refused where it stands.
#[test]
fn expressions_are_of_one_row() {
    let mut wrong = Vec::new();
    for (expression, phrase) in BAD_EXPRESSIONS {
        for (numerator, denominator, line) in [(*expression, "1", 11), ("1", *expression, 12)] {
            let folder = toy_folder();
            ratio(folder.path(), numerator, denominator);
            let run = run_toy(folder.path());
            let place = format!("modelgate.yaml:{line}:");
            if run.code != 2 || !run.stderr.contains(phrase) || !run.stderr.contains(&place) {
                wrong.push(format!("{expression}: exit code {}, no {phrase} at {place} in\n{}", run.code, run.stderr));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The toy spec with a ratio instead of its metric.
fn ratio(folder: &Path, numerator: &str, denominator: &str) {
    let [numerator, denominator] = [numerator, denominator].map(|text| text.replace('\'', "''"));
    let metric = format!(
        "\n      metric:\n        ratio:\n          numerator: '{numerator}'\n          denominator: '{denominator}'\n          \
         name: r\n          better: higher\n      max_drop: 0.1"
    );
    spec_with(folder, " { metric: roc_auc, max_drop: 0.1 }", &metric);
}

/// The toy spec as a ranking within hundreds of ids, with another metric.
fn ranked(folder: &Path, metric: &str) {
    spec_with(
        folder,
        "roc_auc",
        &format!("{{ {metric} }}").replace("{ mean_reciprocal_rank: {} }", "mean_reciprocal_rank"),
    );
    let spec = fs::read_to_string(folder.join("modelgate.yaml")).unwrap();
    let spec = spec.replace("task: binary", "task: ranking").replace("label: label", "label: label, group: id");
    write_spec(folder, spec.as_bytes());
}

const BAD_SPEC: &[Case] = &[
    ("ranking without groups", "a ranking without `group`", |f| spec_with(f, "task: binary", "task: ranking")),
    ("groups without ranking", "a group is for a ranking", |f| spec_with(f, "label: label", "label: label, group: id")),
    ("metric of another task", "`roc_auc` is not a metric of this task", |f| {
        ranked(f, "hit_rate: { k: 3 }");
        let spec = fs::read_to_string(f.join("modelgate.yaml")).unwrap();
        write_spec(f, spec.replace("{ hit_rate: { k: 3 } }", "roc_auc").as_bytes());
    }),
    ("missing spec", "there is no such file", |f| fs::remove_file(f.join("modelgate.yaml")).unwrap()),
    ("not UTF-8", "not UTF-8 at byte 2 (0xff)", |f| write_spec(f, b"# \xff\n")),
    ("large spec", "the file has 100000000 bytes", |f| {
        File::create(f.join("modelgate.yaml")).unwrap().set_len(100_000_000).unwrap();
    }),
    ("duplicate key", "duplicate key `version`", |f| spec_with(f, "version: 1", "version: 1\nversion: 1")),
    ("tab", "tabs may not indent YAML; use spaces", |f| spec_with(f, "  - data.schema", "\t- data.schema")),
    ("anchor bomb", "aliases written out", |f| write_spec(f, anchor_bomb().as_bytes())),
    ("unknown key", "did you mean `max_drop`?", |f| spec_with(f, "max_drop", "max_dorp")),
    ("unknown check", "did you mean `performance.regression`", |f| {
        spec_with(f, "performance.regression", "performance.regresion");
    }),
    ("threshold above 1", "1.5", |f| spec_with(f, "task: binary", "task: binary, threshold: 1.5")),
    ("threshold of one model", "`baseline`", |f| {
        spec_with(f, "task: binary", "task: binary, threshold: { candidate: 0.4 }");
    }),
    ("threshold by no share", "share", |f| spec_with(f, "task: binary", "task: binary, threshold: { share: 0 }")),
    ("threshold by what", "did you mean `share`?", |f| {
        spec_with(f, "task: binary", "task: binary, threshold: { shar: 0.1 }");
    }),
    ("unknown dataset", "`tset`", |f| spec_with(f, "data.schema: {}", "data.schema: { data: tset }")),
];

#[test]
fn bad_input() {
    let mut wrong = Vec::new();
    for (name, phrase, spoil) in [BAD_DATA, BAD_MODEL, BAD_SPEC].concat() {
        let folder = toy_folder();
        spoil(folder.path());
        // The verdict of an earlier run must not pass for one of this run.
        let out = folder.path().join("out");
        fs::create_dir(&out).unwrap();
        fs::write(out.join("record.json"), "{}").unwrap();
        let run = run_toy(folder.path());
        if run.code != 2 || !run.stderr.contains(phrase) || out.join("record.json").exists() {
            let record = run.bytes.len();
            wrong.push(format!(
                "{name}: exit code {}, {record} bytes of record, no {phrase} in\n{}",
                run.code, run.stderr
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn toy_passes() {
    let run = run_toy(toy_folder().path());
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert_eq!(run.record()["verdict"], "pass");
}

/// More scores than are kept are binned, and the record says by how much numbers may be off; for a metric that needs them
/// all, all are kept for those beside it as well.
#[test]
fn many_scores_are_binned_and_the_record_says_so() {
    let (folder, rows) = (TempDir::new().unwrap(), 1..=110_000_u64);
    let floats = |value: fn(u64) -> f64| Arc::new(Float64Array::from_iter_values(rows.clone().map(value))) as ArrayRef;
    let labels = Arc::new(Int64Array::from_iter_values(rows.clone().map(label)));
    let columns = vec![("label", labels as ArrayRef), ("old", floats(score_old)), ("new", floats(score_new))];
    put(&folder.path().join("test.parquet"), columns);
    let claims = |more: &str, arguments: &[&str]| {
        let spec = "version: 1\nmodel: { name: many, task: binary }\nbaseline: { column: old }\n\
                    candidate: { column: new }\ncolumns: { label: label }\ndata: { test: test.parquet }\nchecks:\n  \
                    - performance.regression: { metric: roc_auc, max_drop: 0.1 }\n  - drift.prediction: {}\n";
        write_spec(folder.path(), format!("{spec}{more}").as_bytes());
        let run = run(folder.path(), Path::new("modelgate.yaml"), &folder.path().join("out"), arguments);
        let record = run.record();
        [&record["claims"][0], &record["claims"][1]].map(|claim| claim.clone())
    };
    let [area, distance] = claims("", &["--threads", "1"]);
    assert_eq!([&area["method"], &distance["method"]], ["delong-binned", "simulated-band-binned"]);
    for claim in [&area, &distance] {
        let error = claim["details"]["binning_error"].as_f64().unwrap();
        assert!(error > 0.0 && error < 1e-3, "{error}");
        let width = claim["difference"]["high"].as_f64().unwrap() - claim["difference"]["value"].as_f64().unwrap();
        assert!(width > error);
    }
    assert_eq!([area.clone(), distance.clone()], claims("", &["--threads", "2"]));
    let precision = "  - performance.regression: { metric: average_precision, max_drop: 0.1 }\n";
    let [exact_area, exact_distance] = claims(precision, &[]);
    assert_eq!([&exact_area["method"], &exact_distance["method"]], ["delong-paired", "simulated-band"]);
    assert_eq!(exact_area["details"].get("binning_error"), None);
    let value = |claim: &Value| claim["difference"]["value"].as_f64().unwrap();
    assert!((value(&area) - value(&exact_area)).abs() <= area["details"]["binning_error"].as_f64().unwrap());
}

/// Two datasets of columns that hold all that a column can hold, and what is said of each.
#[test]
fn features_are_compared_whatever_they_hold() {
    let folder = TempDir::new().unwrap();
    let texts = |of: fn(u64) -> Option<String>| Arc::new((1..=ROWS).map(of).collect::<StringArray>()) as ArrayRef;
    let shop = |row: u64| Some(format!("shop {}", row % 5));
    let put_all = |name: &str, alone: ArrayRef, gaps: ArrayRef| {
        let mut columns = toy();
        let none = || Arc::new((1..=ROWS).map(|_| None).collect::<Float64Array>()) as ArrayRef;
        let hostile = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0, 1e300];
        columns.extend([
            ("alone", alone),
            ("gaps", gaps),
            ("same", floats(chance)),
            ("none", none()),
            ("flat", integers(|_| 7)),
            ("hostile", floats(|row| hostile[row as usize % 5])),
            ("truth", cast(&integers(|row| row_number(row % 2)), &DataType::Boolean).unwrap()),
            (
                "coded",
                cast(&texts(shop), &DataType::Dictionary(Box::new(DataType::Int8), Box::new(DataType::Utf8))).unwrap(),
            ),
        ]);
        // `put` takes no nulls where its columns have none.
        let batch =
            RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, column)| (name, column, true)));
        let batch = batch.unwrap();
        let mut writer =
            ArrowWriter::try_new(File::create(folder.path().join(name)).unwrap(), batch.schema(), None).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
    };
    put_all("test.parquet", texts(|row| Some(row.to_string())), texts(|row| (row % 2 > 0).then(|| "a".to_owned())));
    put_all("train.parquet", integers(row_number), texts(|row| (row % 9 > 0).then(|| "a".to_owned())));
    let spec = "version: 1\nmodel: { name: m, task: binary }\ncandidate: { column: score_new }\n\
                columns: { label: label, features: [same, none, flat, hostile, truth, coded] }\n\
                data: { test: test.parquet, train: train.parquet }\nchecks:\n  - drift.feature: {}\n  \
                - drift.feature: { features: [alone, gaps, at] }\n";
    let run_it = |arguments: &[&str]| {
        write_spec(folder.path(), spec.as_bytes());
        run(folder.path(), Path::new("modelgate.yaml"), &folder.path().join("out"), arguments)
    };
    let found = run_it(&["--threads", "1"]);
    assert_eq!(found.code, 1, "{}", found.stderr);
    for name in ["same", "none", "flat", "hostile", "truth", "coded"] {
        let claim = found.claim(&format!("drift.feature/distance/{name}"));
        assert_eq!((&claim["verdict"], &claim["difference"]["value"]), (&"pass".into(), &0.0.into()), "{claim}");
    }
    assert_eq!(found.verdict("drift.feature/distance/alone"), "fail");
    assert!(found.reason("drift.feature/distance/alone").contains("in `test`, and Int64 in `train`"));
    let gaps = found.claim("drift.feature/distance/gaps");
    assert_eq!((&gaps["verdict"], &gaps["details"]["most"]["where"]), (&"fail".into(), &"missing".into()), "{gaps}");
    assert!(found.reason("drift.feature/distance/at").contains("neither number, text nor truth value"));
    assert_eq!(found.bytes, run_it(&["--threads", "2"]).bytes);
}

/// What is held against nothing, itself, an unknown column, or an empty dataset.
#[test]
fn features_need_two_datasets_that_have_them() {
    let folder = toy_folder();
    put(&folder.path().join("train.parquet"), toy());
    let empty = toy().into_iter().map(|(name, column)| (name, column.slice(0, 0))).collect();
    put(&folder.path().join("empty.parquet"), empty);
    let run_with = |features: &str, check: &str| {
        let spec = format!(
            "version: 1\nmodel: {{ name: m, task: binary }}\ncandidate: {{ column: score_new }}\n\
             columns: {{ label: label, features: [{features}] }}\ndata: {{ test: test.parquet, train: train.parquet, \
             empty: empty.parquet }}\nchecks:\n  - drift.feature: {{ {check} }}\n"
        );
        write_spec(folder.path(), spec.as_bytes());
        run_toy(folder.path())
    };
    for (features, check, message) in [
        ("", "", "there is no feature to compare"),
        ("region", "against: test", "a dataset never drifts from itself"),
        ("region", "features: [regoin]", "did you mean `region`?"),
        ("region", "against: old", "dataset `old` is not declared"),
    ] {
        let run = run_with(features, check);
        assert!(run.code == 2 && run.stderr.contains(message), "{message}: {}", run.stderr);
    }
    for (check, dataset) in [("against: empty", "empty"), ("data: empty", "empty")] {
        let run = run_with("region, score_old", check);
        assert_eq!(run.code, 3, "{}", run.stderr);
        for name in ["region", "score_old"] {
            let reason = run.reason(&format!("drift.feature/distance/{name}"));
            assert_eq!(reason, format!("dataset `{dataset}` has no rows"));
        }
    }
    assert_eq!(run_with("region, score_old", "").code, 0);
}

/// The scores of a model on the test rows of the example, as the gate makes them.
fn example_scores(spec: &Spec, model: &str, batch: &RecordBatch) -> ArrayRef {
    let given = Scorer::given(&format!("models/{model}.onnx"));
    let world = World::new(&example(), Reach::Own, &Arc::default(), &Arc::default());
    let opened =
        tokio::runtime::Runtime::new().unwrap().block_on(Judged::open(&world, &Programs::default(), &given)).unwrap();
    let Judged { scorer: Opened::Onnx(onnx), .. } = opened else { unreachable!() };
    let binding = onnx.bind(&spec.written.model, &spec.written.columns.features, &batch.schema()).unwrap();
    let columns: Vec<ArrayRef> = binding.columns().iter().map(|name| batch[name.as_str()].clone()).collect();
    Arc::new(binding.score(&columns, batch.num_rows()).unwrap().remove(0))
}

/// The example's scores as predictions of a number, for the metrics of a regression.
#[test]
fn reference_of_the_errors() {
    let (expected, folder) = (expected(), TempDir::new().unwrap());
    let spec = Spec::read(&example().join("modelgate.yaml")).unwrap();
    let rows = example_rows(&["07", "08", "09"]);
    let scores = |model: &str| example_scores(&spec, model, &rows);
    let columns = vec![
        ("label", cast(&rows["delayed"], &DataType::Float64).unwrap()),
        ("carrier", rows["carrier"].clone()),
        ("baseline", scores("baseline")),
        ("candidate", scores("candidate")),
        ("leaky", scores("leaky")),
        ("swapped", scores("swapped")),
    ];
    put(&folder.path().join("test.parquet"), columns);
    for model in ["candidate", "leaky", "swapped"] {
        let check = |metric| format!("  - performance.regression: {{ metric: {metric}, max_rise: 1, slices: all }}\n");
        let head = "version: 1\nmodel: { name: errors, task: regression }\nbaseline: { column: baseline }\n\
                    columns: { label: label }\ndata: { test: test.parquet }\nslices: [{ by: carrier }]\n\
                    policy: { min_rows: 2 }\n";
        let spec = format!("{head}candidate: {{ column: {model} }}\nchecks:\n{}{}", check("rmse"), check("mae"));
        write_spec(folder.path(), spec.as_bytes());
        let run = run_toy(folder.path());
        let (ours, baseline) = (&expected["metrics"][model], &expected["metrics"]["baseline"]);
        for claim in run.claims() {
            let (slice, metric) = (text(&claim["subject"]["slice"]), text(&claim["subject"]["metric"]));
            both_agree(&format!("{model} {metric} {slice}"), claim, &ours[slice][metric], &baseline[slice][metric]);
        }
        assert_eq!(run.claims().len(), 2 * (1 + 16), "all rows and sixteen carriers");
    }
}

fn example_rows(months: &[&str]) -> RecordBatch {
    let batches = months.iter().flat_map(|month| {
        let file = File::open(example().join(format!("data/flights-2013-{month}.parquet"))).unwrap();
        ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap().map(Result::unwrap)
    });
    let batches: Vec<RecordBatch> = batches.collect();
    concat_batches(&batches[0].schema(), &batches).unwrap()
}

/// DataFusion tells sets of groups apart by the bits of a number, and there are more slices than bits.
#[test]
fn more_slices_than_bits() {
    let folder = toy_folder();
    let slices: Vec<String> = (0..150).map(|n| format!("{{ name: s{n}, where: \"id > {n}\" }}")).collect();
    let check = "performance.regression: { metric: roc_auc, max_drop: 0.1, slices: all }";
    spec_with(folder.path(), "checks:", &format!("slices: [{}]\nchecks:", slices.join(", ")));
    let spec = fs::read_to_string(folder.path().join("modelgate.yaml")).unwrap();
    write_spec(
        folder.path(),
        spec.replace("performance.regression: { metric: roc_auc, max_drop: 0.1 }", check).as_bytes(),
    );
    let run = run_toy(folder.path());
    assert_eq!(run.code, 0, "{}", run.stderr);
    for n in [0, 59, 60, 61, 63, 64, 65, 149] {
        let claim = run.claim(&format!("performance.regression/roc_auc/s{n}"));
        assert_eq!(claim["rows"], ROWS - n, "s{n}");
    }
}

#[test]
fn regression_metrics_are_those_of_their_formulas() {
    let folder = toy_folder();
    let check = |metric| format!("  - performance.regression: {{ metric: {metric}, max_rise: 0.5 }}\n");
    let (head, _) = SPEC.split_once("checks:\n").unwrap();
    let head = head.replace("task: binary", "task: regression");
    write_spec(folder.path(), format!("{head}checks:\n{}{}", check("rmse"), check("mae")).as_bytes());
    let run = run_toy(folder.path());
    assert_eq!(run.code, 0, "{}", run.stderr);
    let mean = |loss: &dyn Fn(f64) -> f64, score: fn(u64) -> f64| {
        (1..=ROWS).map(|row| loss(score(row) - label(row) as f64)).sum::<f64>() / ROWS as f64
    };
    let rmse = |score| Value::from(mean(&|error| error * error, score).sqrt());
    let mae = |score| Value::from(mean(&f64::abs, score));
    both_agree("rmse", run.claim("performance.regression/rmse/all"), &rmse(score_new), &rmse(score_old));
    both_agree("mae", run.claim("performance.regression/mae/all"), &mae(score_new), &mae(score_old));
}

/// The profit of a decision by hand, the score as the models give it, and the same to the byte for any number of threads.
#[test]
fn a_ratio_is_the_quotient_of_its_sums() {
    let folder = toy_folder();
    ratio(folder.path(), "CASE WHEN decision = 1 THEN 3 * label - 1 + score ELSE 0 END", "2 + label");
    let spec = Path::new("modelgate.yaml");
    let runs =
        ["1", "4"].map(|threads| run(folder.path(), spec, &folder.path().join(threads), &["--threads", threads]));
    assert_eq!(runs[0].code, 0, "{}", runs[0].stderr);
    assert_eq!(runs[0].bytes, runs[1].bytes);
    let sum = |value: &dyn Fn(u64) -> f64| (1..=ROWS).map(value).sum::<f64>();
    let expected = |score: fn(u64) -> f64| {
        let above = |row| if score(row) >= 0.5 { 3.0 * label(row) as f64 - 1.0 + score(row) } else { 0.0 };
        Value::from(sum(&above) / sum(&|row| 2.0 + label(row) as f64))
    };
    let claim = runs[0].claim("performance.regression/r/all");
    both_agree("ratio", claim, &expected(score_new), &expected(score_old));
    assert_eq!(claim["method"], "delta");
}

/// Columns that are called like the score and the decision are hidden by those of the model.
#[test]
fn an_expression_means_the_score_of_its_model() {
    let folder = toy_folder();
    let mut columns = toy();
    columns.iter_mut().find(|column| column.0 == "score_new").unwrap().0 = "score";
    columns.push(("decision", integers(|_| 7)));
    put(&folder.path().join("test.parquet"), columns);
    ratio(folder.path(), "score + decision", "1");
    let spec = fs::read_to_string(folder.path().join("modelgate.yaml")).unwrap();
    write_spec(folder.path(), spec.replace("column: score_new", "column: score").as_bytes());
    let run = run_toy(folder.path());
    assert_eq!(run.code, 0, "{}", run.stderr);
    let expected = |score: fn(u64) -> f64| {
        let value = |row| score(row) + f64::from(u8::from(score(row) >= 0.5));
        Value::from((1..=ROWS).map(value).sum::<f64>() / ROWS as f64)
    };
    both_agree("ratio", run.claim("performance.regression/r/all"), &expected(score_new), &expected(score_old));
}

#[test]
fn one_class_is_inconclusive() {
    let folder = toy_folder();
    put_with(folder.path(), "label", integers(|_| 0));
    let run = run_toy(folder.path());
    assert_eq!(run.code, 3, "{}", run.stderr);
    assert_eq!(run.record()["verdict"], "inconclusive");
    let id = "performance.regression/roc_auc/all";
    assert_eq!(run.verdict(id), "inconclusive");
    let reason = "too few positives: 0, at least 20 needed; these rows do not say how many more would change that";
    assert_eq!(run.reason(id), reason);
    assert!(run.claim(id)["needs_rows"].is_null());
}

#[test]
fn empty_slice_is_inconclusive() {
    let folder = toy_folder();
    let spec = SPEC.replace("max_drop: 0.1", "max_drop: 0.1, slices: all");
    let spec = spec.replace("checks:", "slices: [{ name: nobody, where: \"id < 0\" }]\nchecks:");
    write_spec(folder.path(), spec.as_bytes());
    let run = run_toy(folder.path());
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert_eq!(run.record()["verdict"], "warn");
    let id = "performance.regression/roc_auc/nobody";
    assert_eq!(run.verdict(id), "inconclusive");
    assert_eq!(run.reason(id), "no usable rows");
}

/// Values that happen to be rare are listed as not tested; a condition that the spec names is inconclusive. Both say
/// why.
#[test]
fn small_slices_are_listed_and_never_passed() {
    let of_a_class = "too few positives: 12, at least 20 needed";
    for (task, metric, limit, least, reason) in [
        ("binary", "roc_auc", "max_drop: 0.1", "min_rows: 1001", "too few rows: 1000, at least 1001 needed"),
        ("binary", "log_loss", "within: 0.5", "min_rows: 1001", "too few rows: 1000, at least 1001 needed"),
        ("binary", "roc_auc", "max_drop: 0.1", "min_rows: 10", of_a_class),
        ("regression", "rmse", "max_rise: 0.1", "min_rows: 1001", "too few rows: 1000, at least 1001 needed"),
    ] {
        let folder = toy_folder();
        if reason == of_a_class {
            put_with(folder.path(), "label", integers(|row| i64::from(row <= 24)));
        }
        let slices = "slices: [{ by: region }, { name: odd, where: \"id % 2 = 1\" }]";
        let check = format!("performance.regression: {{ metric: {metric}, {limit}, slices: all }}");
        let (head, _) = SPEC.split_once("checks:\n").unwrap();
        let head = head.replace("task: binary", &format!("task: {task}"));
        let spec = format!("{head}{slices}\npolicy: {{ {least} }}\nchecks:\n  - {check}\n");
        write_spec(folder.path(), spec.as_bytes());
        let run = run_toy(folder.path());
        let ids = ["region=north", "region=south"].map(|slice| format!("performance.regression/{metric}/{slice}"));
        let listed = run.record()["not_tested"].as_array().unwrap();
        let expected = ids.map(|id| serde_json::json!({ "claim": id, "why": reason }));
        assert_eq!(listed, &expected, "{}", run.stderr);
        let named = format!("performance.regression/{metric}/odd");
        assert_eq!((run.verdict(&named), run.reason(&named)), ("inconclusive", reason));
        // Every other row is in the slice, so twice as many are needed of the dataset.
        let needed = run.claim(&named)["needs_rows"].as_u64().unwrap();
        assert_eq!(needed, if reason == of_a_class { 8 * 84 } else { 1 });
        assert_eq!(run.claim(&named)["needs_dataset_rows"], 2 * needed);
    }
}

/// Runs `modelgate plan` on the toy.
fn plan_toy(folder: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_modelgate"));
    let done = command.current_dir(folder).arg("plan").args(arguments).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap()
}

/// The line of the regression in what a plan says.
fn power_of_regression(told: &str) -> Vec<String> {
    let line = told.lines().find(|line| line.contains("performance.regression/roc_auc/all"));
    line.unwrap_or_else(|| panic!("{told}")).split_whitespace().map(str::to_owned).collect()
}

#[test]
fn a_plan_says_what_the_data_can_show_and_judges_nothing() {
    let folder = toy_folder();
    let told = plan_toy(folder.path(), &[]);
    let wide = power_of_regression(&told);
    assert_eq!(wide[1..4], ["max_drop", "0.1", "2,000"], "{told}");
    let found: f64 = wide[4].parse().unwrap();
    assert!((-0.2..-0.1).contains(&found) && wide[5..] == ["100", "%"], "{told}");
    assert!(!folder.path().join(".modelgate").exists(), "a plan has written reports");
    spec_with(folder.path(), "max_drop: 0.1", "max_drop: 0.001");
    let narrow = power_of_regression(&plan_toy(folder.path(), &[]));
    let passes: f64 = narrow[5].parse().unwrap();
    assert!(passes < 90.0 && narrow[4].parse::<f64>().unwrap() > found, "{narrow:?}");
    let instant = plan_toy(folder.path(), &["--no-data"]);
    assert!(told.starts_with(&instant) && !instant.contains("can show"), "{instant}");
}

#[test]
fn a_model_never_fails_against_itself() {
    let folder = toy_folder();
    let higher = ["roc_auc", "accuracy", "precision", "recall", "f1"].map(|metric| (metric, "max_drop"));
    let lower = ["log_loss", "brier"].map(|metric| (metric, "max_rise"));
    let regressions: String = [higher.as_slice(), &lower]
        .concat()
        .into_iter()
        .map(|(metric, limit)| {
            format!("  - performance.regression: {{ metric: {metric}, {limit}: 0.01, slices: all }}\n")
        })
        .collect();
    let checks = format!(
        "slices: [{{ by: region }}, {{ name: early, where: \"id < 1000\" }}]\nchecks:\n{regressions}  \
         - drift.prediction: {{ max_distance: 0.1, max_flips: 1% }}\n  \
         - backtest: {{ data: test, metric: roc_auc, max_drop: 0.01 }}\n"
    );
    let (head, _) = SPEC.split_once("checks:\n").unwrap();
    let head =
        head.replace("score_old", "score_new").replace("label: label", "label: label, time: at, known_at: known");
    // Nothing would be compared, which is an error unless it is meant.
    write_spec(folder.path(), format!("{head}{checks}").as_bytes());
    let refused = run_toy(folder.path());
    assert_eq!(refused.code, 2, "{}", refused.stderr);
    for text in ["the baseline column:score_new is the candidate", "nothing would be compared", "`allow_same: true`"] {
        assert!(refused.stderr.contains(text), "no `{text}` in: {}", refused.stderr);
    }
    let head = head.replace("{ column: score_new }\ncolumns", "{ column: score_new, allow_same: true }\ncolumns");
    write_spec(folder.path(), format!("{head}{checks}").as_bytes());
    let run = run_toy(folder.path());
    assert_eq!(run.code, 0, "{}\n{:#}", run.stderr, run.record());
    // Seven metrics over all rows, two regions and one condition; distance, flips; the backtest and its worst window.
    assert_eq!(run.claims().len(), 7 * 4 + 2 + 2);
    let failed: Vec<_> = run.claims().iter().filter(|claim| claim["verdict"] == "fail").collect();
    assert!(failed.is_empty(), "{failed:?}");
    let moved = |claim: &&Value| claim["difference"]["value"].as_f64() != Some(0.0);
    let moved: Vec<_> = run.claims().iter().filter(moved).map(|claim| &claim["id"]).collect();
    assert!(moved.is_empty(), "{moved:?}");
}

/// Scored here, and disturbed: the noise depends on the row and not on the model, so nothing moves.
#[test]
fn a_live_model_never_fails_against_itself() {
    let folder = TempDir::new().unwrap();
    for part in ["models", "data"] {
        std::os::unix::fs::symlink(example().join(part), folder.path().join(part)).unwrap();
    }
    let spec = fs::read_to_string(example().join("modelgate.yaml")).unwrap();
    let allowed = spec.replace("models/baseline.onnx }", "models/baseline.onnx, allow_same: true }");
    assert_ne!(spec, allowed);
    write_spec(folder.path(), allowed.as_bytes());
    let out = folder.path().join("out");
    let arguments = ["--suite", "release", "--candidate", "models/baseline.onnx"];
    let run = run(folder.path(), Path::new("modelgate.yaml"), &out, &arguments);
    assert_eq!(run.code, 0, "{}", run.stderr);
    // What features are does not depend on the model.
    let compared = |claim: &&Value| claim["difference"]["value"].is_f64() && claim["check"] != "drift.feature";
    let moved = |claim: &&Value| claim["difference"]["value"].as_f64() != Some(0.0) || claim["verdict"] == "fail";
    let noisy = run.claims().iter().filter(|claim| claim["check"] == "robustness.sensitivity").count();
    assert_eq!(noisy, 2, "the loss and the flips");
    // AUC over all rows, thirteen carriers, six of origin and season, the long hauls; log-loss; distance and flips; the noise;
    // the backtest and its worst window.
    assert_eq!(run.claims().iter().filter(compared).count(), 21 + 1 + 2 + 2 + 2);
    let moved: Vec<_> = run.claims().iter().filter(compared).filter(moved).map(|claim| &claim["id"]).collect();
    assert!(moved.is_empty(), "{moved:?}");
}

/// Runs the toy with a predictions file of these ids.
fn run_predictions(ids: &[i64]) -> Run {
    let folder = toy_folder();
    let scores: ArrayRef =
        Arc::new(Float64Array::from_iter_values(ids.iter().map(|id| chance(u64::try_from(*id).unwrap()))));
    let columns: Columns = vec![("id", Arc::new(Int64Array::from(ids.to_vec()))), ("score", scores)];
    put(&folder.path().join("scores.parquet"), columns);
    spec_with(folder.path(), "{ column: score_new }", "{ predictions: scores.parquet }");
    run_toy(folder.path())
}

fn prediction_claim(run: &Run) -> &Map<String, Value> {
    run.claim("data.schema/predictions/candidate").as_object().unwrap()
}

#[test]
fn predictions() {
    let all: Vec<i64> = (1..=row_number(ROWS)).collect();
    let complete = run_predictions(&all);
    assert_eq!(complete.code, 0, "{}", complete.stderr);
    assert_eq!(prediction_claim(&complete)["verdict"], "pass");

    let missing = run_predictions(&all[5..]);
    assert_eq!(missing.code, 1, "{}", missing.stderr);
    assert_defects(&missing, "5 rows have no prediction, 0 predictions have no row, 0 ids");
    let performance = "performance.regression/roc_auc/all";
    assert_eq!(missing.verdict(performance), "fail");
    assert_eq!(missing.reason(performance), "the candidate gave no score for 5 of 2000 rows");

    let extra = run_predictions(&[all.as_slice(), &[90_001, 90_002]].concat());
    assert_eq!(extra.code, 1, "{}", extra.stderr);
    assert_defects(&extra, "0 rows have no prediction, 2 predictions have no row, 0 ids");

    let duplicate = run_predictions(&[all.as_slice(), &all[..3]].concat());
    assert_eq!(duplicate.code, 1, "{}", duplicate.stderr);
    assert_defects(&duplicate, "0 rows have no prediction, 0 predictions have no row, 3 ids");
}

#[track_caller]
fn assert_defects(run: &Run, counts: &str) {
    let claim = prediction_claim(run);
    assert_eq!(claim["verdict"], "fail");
    assert!(text(&claim["reason"]).starts_with(counts), "{}", claim["reason"]);
}

/// A record that cannot be made again to the byte says so, and so does every report.
#[test]
fn a_model_that_looks_at_its_batch_is_told() {
    let folder = toy_folder();
    let of_its_batch = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/models/of_its_batch.onnx");
    fs::copy(of_its_batch, folder.path().join("candidate.onnx")).unwrap();
    spec_with(folder.path(), "{ column: score_new }", "{ onnx: candidate.onnx, inputs: { x: score_new } }");
    let run = run_toy(folder.path());
    let inputs = &run.record()["inputs"];
    let unstable = &inputs["candidate"]["unstable"];
    assert_eq!((&unstable["rows"], inputs["baseline"].get("unstable")), (&Value::from(1024), None));
    assert!(unstable["differing"].as_u64().unwrap() > 0 && unstable["largest"].as_f64().unwrap() > 0.0, "{unstable}");
    for report in ["report.md", "report.html"] {
        let text = fs::read_to_string(folder.path().join("out").join(report)).unwrap();
        assert!(text.contains("scores of the candidate depend on the batch"), "{report}");
        assert!(!text.contains("scores of the baseline depend"), "{report}");
    }
}

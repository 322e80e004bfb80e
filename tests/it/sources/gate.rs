//! Whole runs on data and scores of a server.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch};
use parquet::arrow::ArrowWriter;
use serde_json::Value;
use tempfile::TempDir;

use super::{Reply, Server, TAG};

pub(super) const SPEC: &str = "version: 1
model: { name: toy, task: binary }
candidate: { column: score }
columns: { id: id, label: label }
data: { test: test.parquet }
checks:
  - performance.metric: { metric: roc_auc, min: 0.5 }
";

fn rows() -> RecordBatch {
    let ids = Int64Array::from_iter_values(0..2000);
    let labels = Int64Array::from_iter_values((0..2000).map(|row| row % 2));
    let scores =
        Float64Array::from_iter_values((0..2000_i32).map(|row| f64::from(row % 2) / 2.0 + f64::from(row) / 5000.0));
    let columns: [(&str, ArrayRef); 3] =
        [("id", Arc::new(ids)), ("label", Arc::new(labels)), ("score", Arc::new(scores))];
    RecordBatch::try_from_iter(columns).unwrap()
}

pub(super) fn parquet() -> Vec<u8> {
    parquet_of(&rows())
}

pub(super) fn parquet_of(rows: &RecordBatch) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, rows.schema(), None).unwrap();
    writer.write(rows).unwrap();
    writer.close().unwrap();
    bytes
}

/// Writes a gate that has this as its data.
pub(super) fn write(folder: &Path, data: &str) {
    let spec = SPEC.replace("{ test: test.parquet }", &format!("{{ test: '{data}' }}"));
    fs::write(folder.join("modelgate.yaml"), spec).unwrap();
}

/// Runs the program; its record, and all that it says and writes.
fn run(folder: &Path, arguments: &[&str]) -> (Vec<u8>, String) {
    run_on(folder, arguments, &[])
}

/// The same on a machine that has these variables.
pub(super) fn run_on(folder: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> (Vec<u8>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_modelgate"));
    command.current_dir(folder).arg("run").args(arguments).envs(variables.iter().copied());
    let done = command.output().unwrap();
    let mut told = format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert_eq!(done.status.code(), Some(0), "{told}");
    for entry in fs::read_dir(folder.join(".modelgate")).unwrap() {
        told += &fs::read_to_string(entry.unwrap().path()).unwrap();
    }
    (fs::read(folder.join(".modelgate/record.json")).unwrap(), told)
}

/// What it says where nothing can be judged.
pub(super) fn fails_on(folder: &Path, variables: &[(&str, &str)]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_modelgate"));
    let done = command.current_dir(folder).arg("run").envs(variables.iter().copied()).output().unwrap();
    let told = String::from_utf8(done.stderr).unwrap();
    assert_eq!(done.status.code(), Some(2), "{told}");
    told
}

#[test]
fn a_record_is_the_same_whether_the_cache_is_cold_or_warm() {
    let bytes = parquet();
    let server = Server::start(move |asked| Reply::file(asked, &bytes, Some(TAG)));
    let folder = TempDir::new().unwrap();
    let source = server.url("test.parquet?sig=secret");
    let spec = SPEC.replace("{ test: test.parquet }", &format!("{{ test: '{source}' }}"));
    let spec = spec.replace("{ column: score }", &format!("{{ predictions: '{source}' }}"));
    fs::write(folder.path().join("modelgate.yaml"), spec).unwrap();
    let (cold, told) = run(folder.path(), &["--cache", "kept"]);
    assert!(!told.contains("secret"), "{told}");
    let fetched = |server: &Server| server.asked().iter().filter(|asked| !asked.is_glance()).count();
    assert_eq!(fetched(&server), 1, "the candidate and the data are one file");
    let (warm, _) = run(folder.path(), &["--cache", "kept"]);
    assert_eq!(cold, warm);
    assert_eq!(fetched(&server), 1);
    let (without, _) = run(folder.path(), &[]);
    assert_eq!(cold, without);
    assert_eq!(fetched(&server), 2, "nothing is kept without a cache");
    let record = serde_json::from_slice::<Value>(&cold).unwrap();
    let found = &record["inputs"]["data"][0]["found"][0];
    let shown = server.url("test.parquet?...");
    assert_eq!(found["identity"], format!("{shown} {TAG}"));
    assert_eq!([&found["sha256"], &found["name"]], [&record["inputs"]["data"][0]["sha256"], &Value::from(shown)]);
    assert_eq!(record["inputs"]["candidate"]["found"][0], *found);
}

/// What a process has needed at most, in KiB, as long as it is there.
fn memory(process: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().trim_end_matches(" kB").parse().ok()
}

#[test]
fn a_large_file_takes_little_memory() {
    const BYTES: usize = 400 << 20;
    let body = vec![0; BYTES];
    let server = Server::start(move |asked| Reply::file(asked, &body, Some(TAG)));
    let folder = TempDir::new().unwrap();
    let data = format!("{{ test: '{}' }}", server.url("test.parquet"));
    fs::write(folder.path().join("modelgate.yaml"), SPEC.replace("{ test: test.parquet }", &data)).unwrap();
    let told = File::create(folder.path().join("told")).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_modelgate"));
    let mut child = command.current_dir(folder.path()).arg("run").stdout(Stdio::null()).stderr(told).spawn().unwrap();
    let mut most = 0;
    while child.try_wait().unwrap().is_none() {
        most = most.max(memory(child.id()).unwrap_or_default());
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let told = fs::read_to_string(folder.path().join("told")).unwrap();
    assert!(told.contains("is not a complete Parquet file"), "{told}");
    assert!(0 < most && most < 200 << 10, "{most} KiB for {} KiB", BYTES >> 10);
}

#[test]
fn a_file_that_is_no_data_is_named_by_its_source() {
    let server = Server::start(|asked| Reply::file(asked, b"no data", Some(TAG)));
    let (folder, source) = (TempDir::new().unwrap(), server.url("test.parquet?sig=secret"));
    write(folder.path(), &source);
    let told = fails_on(folder.path(), &[]);
    let shown = server.url("test.parquet?...");
    assert!(told.contains(&format!("`{shown}` is not a complete Parquet file")), "{told}");
    // So is one that is unlike another.
    fs::write(folder.path().join("a.parquet"), parquet()).unwrap();
    let other = Server::start(|asked| Reply::file(asked, &parquet_of(&rows().project(&[0, 1]).unwrap()), Some(TAG)));
    write(folder.path(), &other.url("test.parquet"));
    let spec = fs::read_to_string(folder.path().join("modelgate.yaml")).unwrap();
    let several = format!("[a.parquet, '{}']", other.url("test.parquet"));
    fs::write(
        folder.path().join("modelgate.yaml"),
        spec.replace(&format!("'{}'", other.url("test.parquet")), &several),
    )
    .unwrap();
    let told = fails_on(folder.path(), &[]);
    let expected = format!("`{}` has other columns or types than `a.parquet`", other.url("test.parquet"));
    assert!(told.contains(&expected), "{told}");
}

#[test]
fn every_report_says_which_baseline_it_is_and_how_old() {
    let bytes = parquet();
    let server = Server::start(move |asked| {
        Reply::file(asked, &bytes, Some(TAG)).with("last-modified", "Tue, 14 Nov 2023 22:13:20 GMT")
    });
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("test.parquet"), parquet()).unwrap();
    let source = server.url("old.parquet");
    let baseline = format!("candidate: {{ column: score }}\nbaseline: {{ predictions: '{source}' }}");
    fs::write(folder.path().join("modelgate.yaml"), SPEC.replace("candidate: { column: score }", &baseline)).unwrap();
    let (record, _) = run(folder.path(), &[]);
    let record = serde_json::from_slice::<Value>(&record).unwrap();
    let baseline = &record["inputs"]["baseline"];
    assert_eq!(baseline["found"][0]["version"], serde_json::json!({ "time": "2023-11-14T22:13:20Z" }));
    assert_eq!(baseline["rule"], "as the spec names it");
    let plain = |text: String| text.replace(['\\', '\u{200b}', '\u{2060}'], "");
    let done = Command::new(env!("CARGO_BIN_EXE_modelgate")).current_dir(folder.path()).arg("run").output().unwrap();
    let page = |name: &str| plain(fs::read_to_string(folder.path().join(".modelgate").join(name)).unwrap());
    for text in [plain(String::from_utf8(done.stdout).unwrap()), page("report.md"), page("report.html")] {
        let at = |part: &str| text.find(part).unwrap_or_else(|| panic!("no `{part}` in: {text}"));
        assert!(at(" days old, rule: as the spec names it") < at("performance.metric"), "{text}");
    }
    // With its digest, no server need be asked, and so no time is known.
    let digest = baseline["sha256"].as_str().unwrap();
    let pinned = fs::read_to_string(folder.path().join("modelgate.yaml")).unwrap();
    let pinned = pinned.replace("old.parquet", &format!("old.parquet@sha256:{digest}"));
    fs::write(folder.path().join("modelgate.yaml"), pinned).unwrap();
    let (record, told) = run(folder.path(), &[]);
    let record = serde_json::from_slice::<Value>(&record).unwrap();
    assert_eq!(record["inputs"]["baseline"]["rule"], "fixed digest");
    assert!(!told.contains(" old, "), "{told}");
}

//! A first release: a baseline that does not exist yet is told from one that cannot be had.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::gate::{SPEC, parquet};
use super::{Reply, Server, sha256};

/// Claims that need no baseline, claims that do, and a check that makes both.
const CHECKS: &str = "
  - performance.metric: { metric: roc_auc, min: 0.5 }
  - performance.regression: { metric: roc_auc, max_drop: 0.01 }
  - performance.calibration: { max_ratio_error: 100%, min_slope: -100, max_slope: 100, max_rise: 0.01 }
  - drift.prediction: {}
";

/// What a run with this baseline came to.
struct Run {
    code: i32,
    told: String,
    record: Option<Value>,
    folder: TempDir,
}

impl Run {
    fn record(&self) -> &Value {
        self.record.as_ref().unwrap_or_else(|| panic!("{}", self.told))
    }

    #[track_caller]
    fn is_refused(&self, text: &str) {
        assert_eq!(self.code, 2, "{}", self.told);
        assert!(self.told.contains("the baseline cannot be opened") && self.told.contains(text), "{}", self.told);
    }
}

fn run_with(checks: &str, baseline: &str, arguments: &[&str]) -> Run {
    let folder = TempDir::new().unwrap();
    let (head, _) = SPEC.split_once("\n  - ").unwrap();
    let head = head.replace("\ncolumns:", &format!("\nbaseline: {{ {baseline} }}\ncolumns:"));
    // The scores separate the classes, so that no slope can be told.
    let head = head.replace("checks:", "policy: { on_inconclusive: { overall: warn } }\nchecks:");
    fs::write(folder.path().join("modelgate.yaml"), format!("{head}{checks}")).unwrap();
    fs::write(folder.path().join("test.parquet"), parquet()).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_modelgate"));
    let done = command.current_dir(folder.path()).arg("run").args(arguments).output().unwrap();
    let told = format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    let record = fs::read(folder.path().join(".modelgate/record.json")).ok();
    let record = record.map(|record| serde_json::from_slice(&record).unwrap());
    Run { code: done.status.code().unwrap(), told, record, folder }
}

fn run(baseline: &str) -> Run {
    run_with(CHECKS, baseline, &[])
}

fn read(folder: &Path, name: &str) -> String {
    fs::read_to_string(folder.join(".modelgate").join(name)).unwrap().replace(['\\', '\u{200b}', '\u{2060}'], "")
}

#[test]
fn only_claims_that_need_no_baseline_are_made() {
    let server = Server::start(|_| Reply::of(404, ""));
    for source in ["champion.parquet".to_owned(), server.url("champion.parquet?sig=secret")] {
        let run = run(&format!("predictions: '{source}', on_missing: absolute-only"));
        let record = run.record();
        assert_eq!(run.code, 0, "{}", run.told);
        let ids = |list: &str, key: &str| {
            let all = record[list].as_array().unwrap().iter().map(|one| one[key].as_str().unwrap().to_owned());
            all.collect::<Vec<_>>()
        };
        let made = [
            "performance.metric/roc_auc/all",
            "performance.calibration/calibration_ratio/all",
            "performance.calibration/calibration_slope/all",
        ];
        assert_eq!(ids("claims", "id"), made);
        let untested = [
            "performance.regression/roc_auc/all",
            "performance.calibration/expected_calibration_error(bins=10)/all",
            "drift.prediction/all",
        ];
        assert_eq!(ids("not_tested", "claim"), untested);
        for item in record["not_tested"].as_array().unwrap() {
            assert!(item["why"].as_str().unwrap().starts_with("a first release has no baseline"), "{item}");
        }
        assert_eq!(record["inputs"]["baseline"], Value::Null);
        let first = &record["inputs"]["first_release"];
        assert!(first["baseline"].as_str().unwrap().starts_with("predictions:"), "{first}");
        assert!(run.told.contains("first release"), "{}", run.told);
        for (name, text) in [("report.md", "First release"), ("report.html", "first release")] {
            let report = read(run.folder.path(), name);
            assert!(report.contains(text) && !report.contains("secret"), "{report}");
        }
        assert!(!format!("{record} {}", run.told).contains("secret"));
    }
}

#[test]
fn unless_the_spec_says_so_nothing_is_judged() {
    for written in ["predictions: champion.parquet", "predictions: champion.parquet, on_missing: fail"] {
        run(written).is_refused("`champion.parquet` names no file");
    }
}

#[test]
fn what_cannot_be_had_is_no_first_release() {
    let absolute = |source: &str| run(&format!("predictions: '{source}', on_missing: absolute-only"));
    let forbidden = Server::start(|_| Reply::of(403, ""));
    absolute(&forbidden.url("m")).is_refused("it needs credentials");
    let nowhere = Server::start(|_| Reply::of(404, ""));
    // Somebody had it in hand once.
    absolute(&format!("{}@sha256:{}", nowhere.url("m"), sha256(b"m"))).is_refused("404");
    let other = Server::start(|asked| Reply::file(asked, b"another", None));
    absolute(&format!("{}@sha256:{}", other.url("m"), sha256(b"m"))).is_refused("find out who changed it");
    // It was there when it was asked for, and is gone when it is fetched.
    let gone =
        Server::start(|asked| if asked.is_glance() { Reply::file(asked, b"m", None) } else { Reply::of(404, "") });
    absolute(&gone.url("m")).is_refused("404");
    let broken = Server::start(|asked| Reply::file(asked, b"no Parquet", None));
    absolute(&broken.url("m")).is_refused("is not a complete Parquet file");
    // Who names one on the command line means it.
    let arguments = ["--baseline", "champion.parquet"];
    run_with(CHECKS, "predictions: other.parquet, on_missing: absolute-only", &arguments).is_refused("names no file");
}

#[test]
fn a_gate_that_only_compares_does_not_pass() {
    let checks = "\n  - performance.regression: { metric: roc_auc, max_drop: 0.01 }\n";
    let run = run_with(checks, "predictions: champion.parquet, on_missing: absolute-only", &[]);
    assert_eq!(run.code, 3, "{}", run.told);
    assert_eq!(run.record()["verdict"], json!("inconclusive"));
    assert_eq!(run.record()["claims"], json!([]));
}

//! A cache of scores: it changes how long a run takes and nothing else, whatever anyone leaves in its folder.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arrow::array::{ArrayRef, AsArray, Float64Array, RecordBatch};
use arrow::compute::concat_batches;
use arrow::datatypes::Float64Type;
use modelgate::engine::session::Settings;
use modelgate::engine::{CHECKED, Cache, MOST_BYTES, Progress, Used};
use modelgate::gate::{self, Case, Options};
use modelgate::spec::Spec;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::file::properties::WriterProperties;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

/// More than are checked, so that a check is of some rows only.
const ROWS: usize = 6000;

/// Both models, as they are and with noise.
const VIEWS: usize = 4;

const SPEC: &str = "version: 1
model: { name: flights, task: binary }
candidate: { onnx: candidate.onnx }
baseline: { onnx: baseline.onnx }
columns:
  id: flight_id
  label: delayed
  features: [carrier, origin, dest, dep_hour, weekday, distance, departures_in_hour, seats, temp, humid, wind_speed, precip, visib, pressure]
data: { test: 'test-*.parquet' }
slices: [{ name: far, where: 'distance > 1500' }]
checks:
  - performance.regression: { metric: log_loss, max_rise: 5%, slices: all }
  - drift.prediction: { against: baseline, max_distance: 0.5, max_flips: 50% }
  - robustness.sensitivity: { noise: 0.1, max_loss: 0.05 }
";

fn fixture(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn flights() -> RecordBatch {
    let file = File::open(fixture("examples/flight-delay/data/flights-2013-07.parquet")).unwrap();
    let batches = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().with_limit(ROWS).build().unwrap();
    let batches = batches.map(Result::unwrap).collect::<Vec<_>>();
    concat_batches(&batches[0].schema(), &batches).unwrap()
}

/// Writes rows in row groups of so many.
fn write(path: &Path, rows: &RecordBatch, group: usize) {
    let properties = WriterProperties::builder().set_max_row_group_row_count(Some(group)).build();
    let mut writer = ArrowWriter::try_new(File::create(path).unwrap(), rows.schema(), Some(properties)).unwrap();
    writer.write(rows).unwrap();
    writer.close().unwrap();
}

/// A gate with two models and rows in four files, one of them without any, and a folder for scores that is not there yet.
struct Gate {
    folder: TempDir,
}

impl Gate {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        for model in ["baseline", "candidate"] {
            let name = format!("{model}.onnx");
            fs::copy(fixture(&format!("examples/flight-delay/models/{name}")), folder.path().join(name)).unwrap();
        }
        fs::write(folder.path().join("modelgate.yaml"), SPEC).unwrap();
        let gate = Self { folder };
        gate.rows(&flights());
        gate
    }

    fn rows(&self, rows: &RecordBatch) {
        for (file, first, count, group) in
            [("a", 0, 2500, 900), ("b", 2500, 1, 1), ("c", 9, 0, 1), ("d", 2501, ROWS - 2501, 2000)]
        {
            write(&self.path(&format!("test-{file}.parquet")), &rows.slice(first, count), group);
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn scores(&self) -> PathBuf {
        self.path("scores")
    }

    /// The names in the folder of scores, in order.
    fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(self.scores()).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.collect::<BTreeSet<_>>().into_iter().collect()
    }

    fn spec_with(&self, old: &str, new: &str) {
        let spec = fs::read_to_string(self.path("modelgate.yaml")).unwrap();
        assert!(spec.contains(old), "{old}");
        fs::write(self.path("modelgate.yaml"), spec.replace(old, new)).unwrap();
    }

    async fn without(&self) -> Ran {
        self.run(None, 2).await
    }

    async fn with(&self) -> Ran {
        self.with_threads(2).await
    }

    async fn with_threads(&self, threads: usize) -> Ran {
        self.run(Some(Cache::open(&self.scores(), MOST_BYTES).unwrap()), threads).await
    }

    async fn run(&self, cache: Option<Cache>, threads: usize) -> Ran {
        let (cache, progress) = (cache.map(Arc::new), Arc::new(Progress::default()));
        let options = Options { session: Settings::threads(threads), cache: cache.clone(), ..Options::default() };
        let case = Case::from(Spec::read(&self.path("modelgate.yaml")).unwrap());
        let report = gate::run(case, &options, &progress).await.unwrap();
        assert_eq!(progress.scored(), progress.expected());
        let used = cache.map(|cache| cache.used()).unwrap_or_default();
        Ran { record: report.record.to_json().unwrap(), scored: progress.scored(), used }
    }
}

struct Ran {
    record: String,
    scored: u64,
    used: Used,
}

impl Ran {
    fn counts(&self) -> (usize, usize, usize) {
        (self.used.reused.len(), self.used.written.len(), self.used.refused.len())
    }

    /// Why something was refused.
    fn why(&self) -> &str {
        &self.used.refused[0].why
    }
}

#[tokio::test]
async fn the_record_is_the_same_without_a_cache_and_with_a_cold_and_a_warm_one() {
    let gate = Gate::new();
    let without = gate.without().await;
    let cold = gate.with().await;
    assert_eq!(cold.counts(), (0, VIEWS, 0));
    assert_eq!(cold.scored, (VIEWS * ROWS) as u64);
    assert!(cold.record == without.record, "a cold cache");
    let files = gate.files();
    assert_eq!(files.len(), VIEWS);
    for threads in [1, 2, 8] {
        let warm = gate.with_threads(threads).await;
        assert_eq!(warm.counts(), (VIEWS, 0, 0));
        // Rows may be drawn twice.
        let checked = VIEWS as u64 * CHECKED;
        assert!((checked / 2..=checked).contains(&warm.scored), "{} rows scored", warm.scored);
        assert!(warm.record == without.record, "{threads} threads");
    }
    assert_eq!(gate.files(), files);
}

#[tokio::test]
async fn a_cache_is_the_same_for_any_number_of_threads() {
    let (one, many) = (Gate::new(), Gate::new());
    one.with_threads(1).await;
    many.with_threads(8).await;
    assert_eq!(one.files(), many.files());
}

/// Something else, and how many views it makes others of.
type Change = (&'static str, fn(&Gate), usize);

#[tokio::test]
async fn what_the_scores_follow_from_is_in_their_name() {
    let changes: [Change; 7] = [
        ("another candidate", |gate| gate.spec_with("candidate.onnx", "leaky.onnx"), 2),
        (
            "the same models, exchanged",
            |gate| {
                gate.spec_with("onnx: candidate", "onnx: other");
                gate.spec_with("onnx: baseline", "onnx: candidate");
                gate.spec_with("onnx: other", "onnx: baseline");
            },
            0,
        ),
        (
            "one value",
            |gate| {
                let rows = flights();
                let (place, _) = rows.schema().column_with_name("delayed").unwrap();
                let mut columns = rows.columns().to_vec();
                columns[place] =
                    arrow::compute::concat(&[&columns[place].slice(1, ROWS - 1), &columns[place].slice(0, 1)]).unwrap();
                gate.rows(&RecordBatch::try_new(rows.schema(), columns).unwrap());
            },
            VIEWS,
        ),
        ("more noise", |gate| gate.spec_with("noise: 0.1", "noise: 0.2"), 2),
        ("another seed of the noise", |gate| gate.spec_with("name: flights", "name: other"), 2),
        ("another id, which the noise follows", |gate| gate.spec_with("id: flight_id", "id: distance"), 2),
        (
            "an output that is named",
            |gate| gate.spec_with("onnx: candidate.onnx", "onnx: candidate.onnx, positive: 1"),
            2,
        ),
    ];
    let gate = Gate::new();
    gate.with().await;
    for (what, change, written) in changes {
        let other = Gate::new();
        let leaky = fixture("examples/flight-delay/models/leaky.onnx");
        fs::copy(leaky, other.path("leaky.onnx")).unwrap();
        fs::create_dir(other.scores()).unwrap();
        for file in gate.files() {
            fs::copy(gate.scores().join(&file), other.scores().join(&file)).unwrap();
        }
        change(&other);
        let ran = other.with().await;
        assert_eq!(ran.counts(), (VIEWS - written, written, 0), "{what}");
    }
}

#[tokio::test]
async fn two_sides_of_one_model_are_one_view() {
    let gate = Gate::new();
    gate.spec_with("baseline: { onnx: baseline.onnx }", "baseline: { onnx: baseline.onnx, allow_same: true }");
    gate.spec_with("candidate.onnx", "baseline.onnx");
    let cold = gate.with().await;
    assert_eq!((cold.counts(), cold.scored), ((0, 2, 0), 2 * ROWS as u64));
    assert!(gate.with().await.record == gate.without().await.record);
}

/// The name that a file with this content has.
fn name_of(view: &str, content: &[u8]) -> String {
    let digest = Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    format!("{view}-{digest}.parquet")
}

/// Replaces the scores of a file by others, as someone would who knows everything about it.
fn forge(folder: &Path, name: &str, forged: impl Fn(usize, f64) -> f64) {
    let builder = ParquetRecordBatchReaderBuilder::try_new(File::open(folder.join(name)).unwrap()).unwrap();
    let entries = builder.metadata().file_metadata().key_value_metadata().unwrap().clone();
    let identity = entries.into_iter().filter(|entry| entry.key == "modelgate").collect();
    let batches = builder.build().unwrap().map(Result::unwrap).collect::<Vec<_>>();
    let batch = concat_batches(&batches[0].schema(), &batches).unwrap();
    let scores = batch.column(0).as_primitive::<Float64Type>().values().iter().enumerate();
    let scores: ArrayRef = Arc::new(Float64Array::from_iter_values(scores.map(|(row, score)| forged(row, *score))));
    let properties = WriterProperties::builder().set_key_value_metadata(Some(identity)).build();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties)).unwrap();
    writer.write(&RecordBatch::try_new(batch.schema(), vec![scores]).unwrap()).unwrap();
    let content = writer.into_inner().unwrap();
    fs::remove_file(folder.join(name)).unwrap();
    fs::write(folder.join(name_of(&name[..64], &content)), content).unwrap();
}

/// Something done to the files of a folder, the reason with which so many of them are then refused, and how many.
type Damage = (&'static str, fn(&Path, &[String]), &'static str, usize);

const DAMAGE: [Damage; 9] = [
    (
        "pages that are none, and the right name for it",
        |folder, files| {
            let mut content = fs::read(folder.join(&files[2])).unwrap();
            content[4..40].fill(0xff);
            fs::remove_file(folder.join(&files[2])).unwrap();
            fs::write(folder.join(name_of(&files[2][..64], &content)), content).unwrap();
        },
        "they are not what the model gives",
        1,
    ),
    (
        "cut off",
        |folder, files| {
            let content = fs::read(folder.join(&files[0])).unwrap();
            fs::write(folder.join(&files[0]), &content[..content.len() / 2]).unwrap();
        },
        "its content is not what its name says",
        1,
    ),
    ("empty", |folder, files| fs::write(folder.join(&files[1]), "").unwrap(), "its content", 1),
    (
        "one bit",
        |folder, files| {
            let mut content = fs::read(folder.join(&files[2])).unwrap();
            content[100] ^= 1;
            fs::write(folder.join(&files[2]), content).unwrap();
        },
        "its content",
        1,
    ),
    (
        "other bytes under their right name",
        |folder, files| {
            fs::remove_file(folder.join(&files[0])).unwrap();
            fs::write(folder.join(name_of(&files[0][..64], b"PAR1, they say")), b"PAR1, they say").unwrap();
        },
        "",
        1,
    ),
    (
        "the scores of one view under the name of another",
        |folder, files| {
            let content = fs::read(folder.join(&files[0])).unwrap();
            fs::remove_file(folder.join(&files[1])).unwrap();
            fs::write(folder.join(name_of(&files[1][..64], &content)), content).unwrap();
        },
        "it is of another view",
        1,
    ),
    (
        "scores that nobody gave",
        |folder, files| {
            files.iter().for_each(|file| forge(folder, file, |_, score| 1.0 - score));
        },
        "they are not what the model gives",
        VIEWS,
    ),
    (
        "scores that nobody gave, for some rows",
        |folder, files| {
            forge(folder, &files[3], |row, score| if row % 50 == 0 { 0.5 } else { score });
        },
        "they are not what the model gives",
        1,
    ),
    (
        "scores that are off by the last bit",
        |folder, files| {
            forge(folder, &files[0], |_, score| f64::from_bits(score.to_bits() ^ 1));
        },
        "they are not what the model gives",
        1,
    ),
];

#[tokio::test]
async fn what_was_damaged_or_made_up_is_refused_and_scored_again() {
    let gate = Gate::new();
    let (without, files) = (gate.without().await, {
        gate.with().await;
        gate.files()
    });
    for (what, damage, why, refused) in DAMAGE {
        damage(&gate.scores(), &files);
        let ran = gate.with().await;
        assert_eq!(ran.counts(), (VIEWS - refused, refused, refused), "{what}: {:?}", ran.used);
        assert!(ran.why().contains(why), "{what}: {}", ran.why());
        assert!(ran.record == without.record, "{what}");
        assert_eq!(gate.files(), files, "{what}");
    }
    // A link leads elsewhere, a pipe nowhere: neither is opened.
    let (linked, elsewhere) = (gate.scores().join(&files[0]), gate.path("elsewhere"));
    fs::rename(&linked, &elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, &linked).unwrap();
    let pipe = gate.scores().join(name_of(&files[1][..64], b"a pipe"));
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    assert_eq!(gate.with().await.counts(), (VIEWS - 1, 1, 0));
    assert!(elsewhere.exists() && !linked.is_symlink());
}

#[test]
fn runs_that_share_a_folder_do_not_meet() {
    let gate = Gate::new();
    let start = |out: &String| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_modelgate"));
        command.current_dir(gate.folder.path()).args(["run", "--cache", "scores", "--out", out]);
        command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let outs = ["one", "two", "three"].map(str::to_owned);
    let running = outs.iter().map(start).collect::<Vec<_>>();
    let stopped = running.into_iter().map(|run| run.wait_with_output().unwrap()).collect::<Vec<_>>();
    assert!(stopped.iter().all(|done| said(done).is_empty()), "{stopped:?}");
    command(&gate, &["run", "--out", "without"], None);
    let record = |out: &str| fs::read(gate.path(out).join("record.json")).unwrap();
    assert!(outs.iter().all(|out| record(out) == record("without")));
    assert_eq!(gate.files().len(), VIEWS);
}

#[tokio::test]
async fn a_folder_that_holds_too_little_changes_nothing_but_the_time() {
    let gate = Gate::new();
    let tight = gate.run(Some(Cache::open(&gate.scores(), 1).unwrap()), 2).await;
    assert_eq!((tight.counts(), tight.scored), ((0, VIEWS, 0), (VIEWS * ROWS) as u64));
    assert!(gate.files().is_empty());
    assert!(tight.record == gate.without().await.record);
}

#[tokio::test]
async fn what_was_not_used_for_longest_is_removed_first_and_nothing_of_others() {
    let gate = Gate::new();
    gate.with().await;
    let (files, now) = (gate.files(), SystemTime::now());
    let size = |file: &String| gate.scores().join(file).metadata().unwrap().len();
    let aged = |name: &str, hours: u64| {
        let file = File::options().write(true).create(true).truncate(false).open(gate.scores().join(name)).unwrap();
        file.set_modified(now - Duration::from_secs(hours * 3600)).unwrap();
    };
    let (stale, digest) = (&files[2], "0".repeat(64));
    let unused = [format!("{digest}-{digest}.parquet"), format!("{}-{}.parquet", "1".repeat(64), digest)];
    fs::write(gate.scores().join(&unused[0]), [0; 1000]).unwrap();
    fs::write(gate.scores().join(&unused[1]), [0; 1000]).unwrap();
    for (name, hours) in [(unused[0].as_str(), 30), (unused[1].as_str(), 20), (stale.as_str(), 40)] {
        aged(name, hours);
    }
    let others = ["notes.txt", "scores.parquet", ".unfinished-of-a-run-at-work"];
    others.iter().for_each(|name| aged(name, 1));
    aged(".unfinished-of-a-killed-run", 48);
    let most = files.iter().map(size).sum::<u64>() + 1500;
    let ran = gate.run(Some(Cache::open(&gate.scores(), most).unwrap()), 2).await;
    assert_eq!(ran.counts(), (VIEWS, 0, 0), "what is used is no longer old");
    let mut left = files.clone();
    left.push(unused[1].clone());
    left.extend(others.map(str::to_owned));
    assert_eq!(gate.files(), left.into_iter().collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>());
}

#[tokio::test]
async fn a_column_with_the_name_of_a_number_of_rows_is_refused() {
    let gate = Gate::new();
    let rows = flights();
    let mut fields = rows.schema().fields().to_vec();
    let mut columns = rows.columns().to_vec();
    let place = rows.schema().index_of("distance").unwrap();
    fields.push(Arc::new(fields[place].as_ref().clone().with_name("mg:place")));
    columns.push(Arc::clone(&columns[place]));
    gate.rows(&RecordBatch::try_new(Arc::new(arrow::datatypes::Schema::new(fields)), columns).unwrap());
    let cache = Some(Arc::new(Cache::open(&gate.scores(), MOST_BYTES).unwrap()));
    let options = Options { session: Settings::threads(2), cache, ..Options::default() };
    let case = Case::from(Spec::read(&gate.path("modelgate.yaml")).unwrap());
    let error = gate::run(case, &options, &Arc::default()).await.unwrap_err();
    assert!(
        format!("{error:#}").contains("the column `mg:place` has a name that a cache of scores needs"),
        "{error:#}"
    );
}

/// The scores of a file of predictions beside those of a model, which are cached.
#[tokio::test]
async fn predictions_are_joined_to_rows_whose_scores_are_cached() {
    let gate = Gate::new();
    let rows = flights();
    let score = rows.column_by_name("humid").unwrap();
    let score = arrow::compute::cast(score, &arrow::datatypes::DataType::Float64).unwrap();
    let score: ArrayRef = Arc::new(score.as_primitive::<Float64Type>().unary::<_, Float64Type>(|humid| humid / 101.0));
    let scores = RecordBatch::try_from_iter([
        ("flight_id", rows.column_by_name("flight_id").unwrap().clone()),
        ("score", score),
    ]);
    write(&gate.path("scores.parquet"), &scores.unwrap(), 1000);
    gate.spec_with("{ onnx: baseline.onnx }", "{ predictions: scores.parquet }");
    gate.spec_with("  - robustness.sensitivity: { noise: 0.1, max_loss: 0.05 }\n", "");
    let without = gate.without().await;
    assert_eq!(gate.with().await.counts(), (0, 1, 0));
    let warm = gate.with_threads(8).await;
    assert_eq!(warm.counts(), (1, 0, 0));
    assert!(warm.record == without.record);
}

/// A model of several outputs, and an expression of the spec that names the score.
#[tokio::test]
async fn all_outputs_of_a_model_are_cached() {
    let gate = Gate::new();
    for model in ["fruit", "fruit_columns"] {
        let name = format!("{model}.onnx");
        fs::copy(fixture(&format!("tests/fixtures/models/{name}")), gate.path(&name)).unwrap();
    }
    let mut csv = "id:int,label:text,x:float,w:float\n".to_owned();
    for row in 0..48 {
        let x = f64::from(row % 9) / 4.0 - 1.0;
        csv.push_str(&format!("{row},{},{x},{}\n", ["pear", "apple", "quince"][row as usize % 3], -x / 2.0));
    }
    crate::cases::table(&csv, &gate.path("fruit.parquet"));
    let spec = "version: 1\nmodel: { name: m, task: multiclass, classes: [apple, quince, pear] }\n\
        candidate: { onnx: fruit.onnx }\nbaseline: { onnx: fruit_columns.onnx, classes: [pear, apple, quince] }\n\
        columns: { id: id, label: label, features: [x, w] }\ndata: { test: fruit.parquet }\n\
        policy: { min_rows: 2, min_positives: 1 }\nchecks:\n\
        \x20 - performance.regression: { metric: log_loss, max_rise: 0.9 }\n\
        \x20 - drift.prediction: { max_distance: 1, max_flips: 1 }\n";
    fs::write(gate.path("modelgate.yaml"), spec).unwrap();
    let without = gate.without().await;
    let (cold, warm) = (gate.with().await, gate.with().await);
    assert_eq!((cold.counts(), cold.scored), ((0, 2, 0), 96));
    assert_eq!((warm.counts(), warm.scored), ((2, 0, 0), 96), "all of few rows are checked");
    assert!(cold.record == without.record && warm.record == without.record);
}

fn command(gate: &Gate, arguments: &[&str], cache: Option<&Path>) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_modelgate"));
    command.current_dir(gate.folder.path()).args(arguments).env_remove("MODELGATE_CACHE");
    if let Some(cache) = cache {
        command.env("MODELGATE_CACHE", cache);
    }
    command.output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// What `run.json` says of the cache.
fn told(gate: &Gate) -> Value {
    let run: Value = serde_json::from_slice(&fs::read(gate.path(".modelgate/run.json")).unwrap()).unwrap();
    run["cache"].clone()
}

#[test]
fn a_folder_is_given_by_an_option_or_by_the_environment_and_else_there_is_none() {
    let gate = Gate::new();
    let judged = |done: Output| assert!(matches!(done.status.code(), Some(0 | 1 | 3)), "{}", said(&done));
    judged(command(&gate, &["run"], None));
    assert_eq!(told(&gate), Value::Null);
    assert!(!gate.scores().exists());
    judged(command(&gate, &["run"], Some(&gate.scores())));
    assert_eq!(told(&gate)["written"].as_array().unwrap().len(), VIEWS);
    let other = gate.path("other");
    let done = command(&gate, &["run", "--cache", "scores"], Some(&other));
    assert_eq!(said(&done), "");
    assert_eq!(told(&gate)["reused"].as_array().unwrap().len(), VIEWS);
    assert!(!other.exists());
    judged(command(&gate, &["run"], Some(Path::new(""))));
    assert_eq!(told(&gate), Value::Null);
}

#[test]
fn a_refused_file_is_told() {
    let gate = Gate::new();
    command(&gate, &["run", "--cache", "scores"], None);
    let name = gate.files()[0].clone();
    forge(&gate.scores(), &name, |_, _| 0.5);
    let forged = gate.files().into_iter().find(|file| file[..64] == name[..64]).unwrap();
    let done = command(&gate, &["run", "--cache", "scores"], None);
    let warning = format!(
        "warning: the cached scores {forged} are not used: they are not what the model gives; the model has \
         scored the rows again\n"
    );
    assert_eq!(said(&done), warning);
    assert_eq!(told(&gate)["refused"][0]["file"], forged);
}

#[test]
fn a_folder_that_cannot_be_written_is_an_error_with_its_remedy() {
    let gate = Gate::new();
    fs::write(gate.scores(), "a file").unwrap();
    let done = command(&gate, &["run", "--cache", "scores"], None);
    let expected = "the cache `scores` cannot be written: name another folder with `--cache`, or none";
    assert!(done.status.code() == Some(2) && said(&done).contains(expected), "{}", said(&done));
    let done = command(&gate, &["run", "--cache", "other", "--cache-size", "0"], None);
    assert!(done.status.code() == Some(2) && said(&done).contains("--cache-size"), "{}", said(&done));
}

#[test]
fn a_plan_and_a_calibration_use_the_cache_too() {
    let gate = Gate::new();
    assert_eq!(command(&gate, &["plan", "--cache", "scores"], None).status.code(), Some(0));
    let files = gate.files();
    assert_eq!(files.len(), VIEWS);
    let arguments = ["calibrate", "--splits", "2", "--out", "plain"];
    command(&gate, &arguments, None);
    command(&gate, &[&arguments[..4], &["cached", "--cache", "scores"]].concat(), None);
    let calibration = |out: &str| fs::read(gate.path(out).join("calibration.json")).unwrap();
    assert!(calibration("plain") == calibration("cached"));
    assert_eq!(gate.files(), files);
}

//! A small gate that gives any verdict on demand, in a repository as `actions/checkout` leaves it.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch};
use parquet::arrow::ArrowWriter;

/// The rows of the data.
pub(super) const ROWS: u64 = 2000;
/// Where the spec lies in the repository.
pub(super) const SPEC_FILE: &str = "modelgate.yaml";
/// The gate's spec; one of its checks only warns, so that there is something to warn of.
pub(super) const SPEC: &str = "\
version: 1
model: { name: toy, task: binary }
candidate: { column: score_new }
baseline: { column: score_old, allow_same: true }
columns: { id: id, label: label }
data: { test: test.parquet }
policy: { false_block: 0.05 }
suites:
  check-in:
    on: [pull_request, pull_request_target, merge_group, push, schedule, workflow_dispatch, discussion]
    checks: [\"performance.*\"]
  release: { on: [\"tag:v*\", release], checks: [\"*\"] }
checks:
  - performance.regression: { metric: roc_auc, max_drop: 0.1 }
  - performance.regression: { metric: roc_auc, max_drop: 0.02, severity: warn }
  - data.schema: {}
";
/// The claim that fails where the gate fails.
pub(super) const CLAIM: &str = "performance.regression/roc_auc/all";

/// A verdict of the gate, and the candidate that gets it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Pass,
    Warn,
    Inconclusive,
    Fail,
}

impl Verdict {
    pub(super) const ALL: [Self; 4] = [Self::Pass, Self::Warn, Self::Inconclusive, Self::Fail];

    /// Its name in every report.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Warn => "warn",
            Self::Inconclusive => "inconclusive",
            Self::Fail => "fail",
        }
    }

    /// The exit code.
    pub(super) fn code(self) -> i32 {
        match self {
            Self::Pass | Self::Warn => 0,
            Self::Fail => 1,
            Self::Inconclusive => 3,
        }
    }

    /// How much of the candidate's score is noise: its area under the curve is lower by nothing, 0.06, 0.10 and 0.32.
    fn noise(self) -> f64 {
        match self {
            Self::Pass => 0.0,
            Self::Warn => 0.4,
            Self::Inconclusive => 0.49,
            Self::Fail => 1.0,
        }
    }
}

/// The line of the spec on which a text stands first, counted from 1.
pub(super) fn line_of(spec: &str, text: &str) -> usize {
    spec.lines().position(|line| line.contains(text)).unwrap() + 1
}

/// Writes the data of a candidate that gets this verdict.
pub(super) fn write_data(folder: &Path, verdict: Verdict) {
    write_rows(folder, verdict, ROWS);
}

/// As [`write_data`], with more rows or fewer.
pub(super) fn write_rows(folder: &Path, verdict: Verdict, rows: u64) {
    let noise = verdict.noise();
    let score_new = move |row| (1.0 - noise) * chance(row) + noise * uniform(7 * row + 2);
    let columns = [
        ("id", integers(rows, |row| row.cast_signed())),
        ("label", integers(rows, label)),
        ("score_old", floats(rows, |row| 0.9 * chance(row) + 0.1 * uniform(3 * row + 2))),
        ("score_new", floats(rows, score_new)),
        // Wrong on every row, for a spec that is to fail everywhere.
        ("score_wrong", floats(rows, |row| if label(row) == 1 { 0.1 } else { 0.9 })),
        ("bucket", integers(rows, |row| row.cast_signed() % 250)),
    ];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let mut writer =
        ArrowWriter::try_new(File::create(folder.join("test.parquet")).unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

fn integers(rows: u64, value: impl Fn(u64) -> i64) -> ArrayRef {
    Arc::new(Int64Array::from_iter_values((1..=rows).map(value)))
}

fn floats(rows: u64, value: impl Fn(u64) -> f64) -> ArrayRef {
    Arc::new(Float64Array::from_iter_values((1..=rows).map(value)))
}

fn label(row: u64) -> i64 {
    i64::from(uniform(3 * row) < chance(row))
}

fn chance(row: u64) -> f64 {
    uniform(3 * row + 1)
}

/// A number from 0 to 1 that looks random: SplitMix64, Steele, Lea and Flood 2014.
fn uniform(seed: u64) -> f64 {
    let mut z = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
}

/// The commits of the repository.
#[derive(Debug, Clone)]
pub(super) struct Commits {
    /// The tip of the branch that the pull request wants to change.
    pub(super) base: String,
    /// The tip of the pull request.
    pub(super) head: String,
    /// GitHub's test merge of the two.
    pub(super) merge: String,
    /// The object of the annotated tag at the head, which is no commit.
    pub(super) tag: String,
}

/// What is in the repository.
#[derive(Debug, Clone, Copy)]
pub(super) struct Contents<'c> {
    /// The spec of the base, if there is one.
    pub(super) base: Option<&'c str>,
    /// The spec of the head, if there is one.
    pub(super) head: Option<&'c str>,
}

impl Default for Contents<'_> {
    fn default() -> Self {
        Self { base: Some(SPEC), head: Some(SPEC) }
    }
}

/// Makes the repository: base, head, and a merge of the two that has both as parents.
pub(super) fn repository(workspace: &Path, contents: Contents<'_>) -> Commits {
    git(workspace, &["init", "--quiet", "--initial-branch=main", "."], b"");
    git(workspace, &["fast-import", "--quiet"], &history(contents));
    let names = ["origin/main", "origin/better-model", "pull/7/merge"].map(|name| format!("refs/remotes/{name}"));
    let [base, head, merge] = &names;
    let ids = git(workspace, &["rev-parse", base, head, merge, "refs/tags/v1.0.0"], b"");
    let mut ids = ids.lines().map(str::to_owned);
    let mut next = || ids.next().unwrap();
    Commits { base: next(), head: next(), merge: next(), tag: next() }
}

/// Puts a commit into the workspace.
pub(super) fn check_out(workspace: &Path, commit: &str) {
    git(workspace, &["checkout", "--quiet", "--detach", commit], b"");
}

/// Leaves of the history what a checkout of depth 1 brings: one commit, without its parents.
pub(super) fn make_shallow(workspace: &Path, commits: &Commits, kept: &str) {
    let folder = workspace.join(".git");
    fs::write(folder.join("shallow"), format!("{kept}\n")).unwrap();
    for name in ["refs/remotes/origin", "refs/remotes/pull", "refs/tags"] {
        fs::remove_dir_all(folder.join(name)).unwrap();
    }
    let Commits { base, head, merge, tag } = commits;
    for id in [base, head, merge, tag].into_iter().filter(|id| *id != kept) {
        fs::remove_file(object(&folder, id)).unwrap();
    }
}

fn object(folder: &Path, id: &str) -> PathBuf {
    folder.join("objects").join(&id[..2]).join(&id[2..])
}

/// A stream for `git fast-import`; equal contents give equal commits.
fn history(contents: Contents<'_>) -> Vec<u8> {
    let [base, head] = [contents.base, contents.head].map(file);
    let commit = |name: &str, mark: u8, parents: &str, file: &str| {
        let who = format!("Octo Cat <octocat@example.com> 17000000{mark:02} +0000");
        format!(
            "commit refs/remotes/{name}\nmark :{mark}\nauthor {who}\ncommitter {who}\ndata 4\nwork\n{parents}deleteall\n\
             M 100644 inline README.md\ndata 5\nhello\n{file}\n"
        )
    };
    let tag = "tag v1.0.0\nfrom :2\ntagger Octo Cat <octocat@example.com> 1700000009 +0000\ndata 7\nrelease\n";
    let stream = [
        commit("origin/main", 1, "", &base),
        commit("origin/better-model", 2, "from :1\n", &head),
        commit("pull/7/merge", 3, "from :1\nmerge :2\n", &head),
        tag.to_owned(),
    ];
    stream.concat().into_bytes()
}

fn file(spec: Option<&str>) -> String {
    spec.map_or_else(String::new, |spec| format!("M 100644 inline {SPEC_FILE}\ndata {}\n{spec}\n", spec.len()))
}

/// Runs git as nobody in particular.
pub(super) fn git(folder: &Path, arguments: &[&str], input: &[u8]) -> String {
    let mut command = Command::new("git");
    command.current_dir(folder).args(arguments).env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1");
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    let done = child.wait_with_output().unwrap();
    assert!(done.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap()
}

#[test]
fn every_verdict_can_be_had() {
    for verdict in Verdict::ALL {
        let folder = tempfile::TempDir::new().unwrap();
        write_data(folder.path(), verdict);
        fs::write(folder.path().join(SPEC_FILE), SPEC).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_modelgate"));
        let done = command.current_dir(folder.path()).args(["run", "--suite", "check-in"]).output().unwrap();
        let report = String::from_utf8_lossy(&done.stdout).into_owned();
        assert_eq!(done.status.code(), Some(verdict.code()), "{verdict:?}: {report}");
        let record = fs::read(folder.path().join(".modelgate/record.json")).unwrap();
        let record: serde_json::Value = serde_json::from_slice(&record).unwrap();
        assert_eq!(record["verdict"], verdict.name(), "{report}");
    }
}

#[test]
fn a_shallow_repository_has_one_commit_and_not_its_base() {
    let folder = tempfile::TempDir::new().unwrap();
    let commits = repository(folder.path(), Contents::default());
    let parents = git(folder.path(), &["log", "-1", "--format=%P", &commits.merge], b"");
    assert_eq!(parents.trim(), format!("{} {}", commits.base, commits.head));
    assert_eq!(git(folder.path(), &["cat-file", "-t", &commits.tag], b"").trim(), "tag");
    check_out(folder.path(), &commits.merge);
    make_shallow(folder.path(), &commits, &commits.merge);
    assert_eq!(git(folder.path(), &["rev-list", "--count", "HEAD"], b"").trim(), "1");
    assert_eq!(git(folder.path(), &["status", "--porcelain"], b""), "");
    let mut command = Command::new("git");
    let asked = command.current_dir(folder.path()).args(["cat-file", "-e", &commits.base]).output().unwrap();
    assert!(!asked.status.success(), "the base is there");
}

//! The runner of GitHub Actions: the folders, the files and the variables with which it starts a container, and what it
//! reads afterwards.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use super::double::{Double, Pull, REPOSITORY, TOKEN};
use super::event::{AUTHOR, BRANCH, Event, NUMBER};
use super::toy::{self, Commits, Contents, Verdict};

/// What the action's file declares, with its defaults; what is not given arrives as an empty text.
const INPUTS: [(&str, &str); 14] = [
    ("SPEC", "modelgate.yaml"),
    ("SUITE", ""),
    ("CANDIDATE", ""),
    ("BASELINE", ""),
    ("THREADS", ""),
    ("OUT", ".modelgate"),
    ("TOKEN", TOKEN),
    ("CHECK", "true"),
    ("STATUS", "false"),
    ("SUMMARY", "true"),
    ("ANNOTATIONS", "true"),
    ("COMMENT", "on-change"),
    ("STRICT_PUBLISH", "false"),
    ("PUBLISH", ""),
];

/// Commands that the runner knows and that cannot change what later steps do.
const HARMLESS: [&str; 7] = ["error", "warning", "notice", "debug", "group", "endgroup", "add-mask"];

/// No run may take longer.
const PATIENCE: Duration = Duration::from_secs(60);

/// One job of a workflow: a workspace, and an event.
pub(super) struct Job {
    folder: Arc<TempDir>,
    /// The commits of the repository in the workspace.
    pub(super) commits: Commits,
    event: Event,
    variables: BTreeMap<String, String>,
    runs: usize,
}

impl Job {
    /// A job on a pull request from a branch.
    pub(super) fn on_pull_request(double: &Double) -> Self {
        Self::new(double, super::event::pull_request)
    }

    /// A job on an event, of a repository where nothing about the spec changes.
    pub(super) fn new(double: &Double, event: fn(&Commits) -> Event) -> Self {
        Self::with(double, event, Contents::default())
    }

    /// A job on an event; the candidate is as good as the baseline.
    pub(super) fn with(double: &Double, event: fn(&Commits) -> Event, contents: Contents<'_>) -> Self {
        let folder = Arc::new(TempDir::new().unwrap());
        for name in ["workspace", "home", "workflow", "file_commands", "runner_temp"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        let workspace = folder.path().join("workspace");
        let commits = toy::repository(&workspace, contents);
        let event = event(&commits);
        toy::check_out(&workspace, &event.sha);
        toy::write_data(&workspace, Verdict::Pass);
        fs::write(folder.path().join("workflow/event.json"), event.payload.to_string()).unwrap();
        let variables = variables(folder.path(), &event, double);
        let pull =
            Pull { number: NUMBER, head_sha: commits.head.clone(), owner: "acme", branch: BRANCH, author: AUTHOR };
        double.state().pulls = vec![pull];
        Self { folder, commits, event, variables, runs: 0 }
    }

    /// With a candidate that gets this verdict.
    pub(super) fn candidate(self, verdict: Verdict) -> Self {
        toy::write_data(&self.workspace(), verdict);
        self
    }

    /// With an input, as the file of a workflow gives it.
    pub(super) fn input(self, id: &str, value: &str) -> Self {
        self.variable(&format!("INPUT_{}", id.to_uppercase()), value)
    }

    /// With a variable.
    pub(super) fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.insert(name.to_owned(), value.to_owned());
        self
    }

    /// As a run of the workflow and an attempt of it.
    pub(super) fn numbered(self, run: u64, attempt: u64) -> Self {
        self.variable("GITHUB_RUN_ID", &run.to_string()).variable("GITHUB_RUN_ATTEMPT", &attempt.to_string())
    }

    /// With a history of one commit, as a checkout has it unless it is told otherwise.
    pub(super) fn shallow(self) -> Self {
        toy::make_shallow(&self.workspace(), &self.commits, &self.event.sha);
        self
    }

    /// The folder that the steps of the job share.
    pub(super) fn workspace(&self) -> PathBuf {
        self.folder.path().join("workspace")
    }

    /// The folder that is the home of the program.
    pub(super) fn home(&self) -> PathBuf {
        self.folder.path().join("home")
    }

    /// Runs the action to its end.
    pub(super) fn run(&mut self) -> Finished {
        self.start().finish()
    }

    /// Starts the action.
    pub(super) fn start(&mut self) -> Running {
        self.runs += 1;
        let files = Files::new(self.folder.path(), self.runs);
        let mut command = Command::new(env!("CARGO_BIN_EXE_modelgate"));
        command.arg("action").current_dir(self.workspace()).env_clear().envs(&self.variables);
        command.env("GITHUB_OUTPUT", &files.output).env("GITHUB_STEP_SUMMARY", &files.summary);
        command.env("PATH", std::env::var_os("PATH").unwrap());
        if let Some(library) = std::env::var_os("ORT_DYLIB_PATH") {
            command.env("ORT_DYLIB_PATH", library);
        }
        command.stdin(Stdio::null());
        command.stdout(File::create(&files.stdout).unwrap()).stderr(File::create(&files.stderr).unwrap());
        let (folder, out) = (Arc::clone(&self.folder), self.workspace().join(&self.variables["INPUT_OUT"]));
        let token = self.variables["INPUT_TOKEN"].clone();
        Running { child: command.spawn().unwrap(), started: Instant::now(), files, folder, out, token }
    }
}

/// The environment of a container step; the runner clears nothing, but a container starts empty.
fn variables(folder: &Path, event: &Event, double: &Double) -> BTreeMap<String, String> {
    let at = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let mut variables: BTreeMap<String, String> = INPUTS
        .iter()
        .map(|(id, value)| (format!("INPUT_{id}"), (*value).to_owned()))
        .chain([("INPUT_PUBLISH_SECONDS".to_owned(), "20".to_owned())])
        .collect();
    let fixed = [
        ("CI", "true"),
        ("GITHUB_ACTION", "__acme_modelgate"),
        ("GITHUB_ACTIONS", "true"),
        ("GITHUB_ACTION_REF", "v1"),
        ("GITHUB_ACTION_REPOSITORY", "acme/modelgate"),
        ("GITHUB_ACTOR", AUTHOR),
        ("GITHUB_ACTOR_ID", "583231"),
        ("GITHUB_JOB", "gate"),
        ("GITHUB_REF_PROTECTED", "false"),
        ("GITHUB_REPOSITORY", REPOSITORY),
        ("GITHUB_REPOSITORY_OWNER", "acme"),
        ("GITHUB_RETENTION_DAYS", "90"),
        ("GITHUB_RUN_ATTEMPT", "1"),
        ("GITHUB_RUN_ID", "1000"),
        ("GITHUB_RUN_NUMBER", "12"),
        ("GITHUB_TRIGGERING_ACTOR", AUTHOR),
        ("GITHUB_WORKFLOW", "gate"),
        ("GITHUB_WORKFLOW_REF", "acme/delays/.github/workflows/gate.yml@refs/heads/main"),
        ("RUNNER_ARCH", "X64"),
        ("RUNNER_ENVIRONMENT", "github-hosted"),
        ("RUNNER_NAME", "GitHub Actions 2"),
        ("RUNNER_OS", "Linux"),
        ("RUNNER_TOOL_CACHE", "/opt/hostedtoolcache"),
    ];
    let of_event = [
        ("GITHUB_API_URL", double.api_url()),
        ("GITHUB_BASE_REF", event.base_ref.to_owned()),
        ("GITHUB_EVENT_NAME", event.name.to_owned()),
        ("GITHUB_EVENT_PATH", at("workflow/event.json")),
        ("GITHUB_GRAPHQL_URL", double.graphql_url()),
        ("GITHUB_HEAD_REF", event.head_ref.to_owned()),
        ("GITHUB_REF", event.reference.to_owned()),
        ("GITHUB_REF_NAME", event.ref_name().to_owned()),
        ("GITHUB_REF_TYPE", event.ref_type().to_owned()),
        ("GITHUB_SERVER_URL", double.server_url()),
        ("GITHUB_SHA", event.sha.clone()),
        ("GITHUB_WORKFLOW_SHA", event.sha.clone()),
        ("GITHUB_WORKSPACE", at("workspace")),
        ("HOME", at("home")),
        ("RUNNER_TEMP", at("runner_temp")),
        ("RUNNER_WORKSPACE", at("")),
    ];
    variables.extend(fixed.map(|(name, value)| (name.to_owned(), value.to_owned())));
    variables.extend(of_event.map(|(name, value)| (name.to_owned(), value)));
    variables
}

/// The files that a run writes for the runner.
struct Files {
    output: PathBuf,
    summary: PathBuf,
    stdout: PathBuf,
    stderr: PathBuf,
}

impl Files {
    /// The runner makes the two that are told to the program, empty.
    fn new(folder: &Path, run: usize) -> Self {
        let at = |name: &str| folder.join(format!("file_commands/{name}_{run}"));
        let files =
            Self { output: at("set_output"), summary: at("step_summary"), stdout: at("stdout"), stderr: at("stderr") };
        fs::write(&files.output, "").unwrap();
        fs::write(&files.summary, "").unwrap();
        files
    }
}

/// A run that has started.
pub(super) struct Running {
    child: Child,
    started: Instant,
    files: Files,
    folder: Arc<TempDir>,
    out: PathBuf,
    token: String,
}

impl Running {
    /// Sends a signal: `TERM`, `INT`.
    pub(super) fn signal(&self, name: &str) {
        let command = format!("kill -{name} {}", self.child.id());
        assert!(Command::new("sh").arg("-c").arg(command).status().unwrap().success(), "it ended by itself");
    }

    /// Waits for the end.
    pub(super) fn finish(mut self) -> Finished {
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            if self.started.elapsed() > PATIENCE {
                self.child.kill().unwrap();
                self.child.wait().unwrap();
                panic!("no end after {PATIENCE:?}: {}", fs::read_to_string(&self.files.stderr).unwrap());
            }
            std::thread::sleep(Duration::from_millis(3));
        };
        let Self { started, files, folder, out, token, .. } = self;
        let [stdout, stderr, summary, output] = [files.stdout, files.stderr, files.summary, files.output]
            .map(|file| String::from_utf8(fs::read(file).unwrap()).unwrap());
        let (code, elapsed, outputs) = (status.code(), started.elapsed(), outputs(&output));
        let done = Finished { code, stdout, stderr, summary, outputs, elapsed, out, folder };
        done.is_sane(&token);
        done
    }
}

/// What a run left behind.
#[derive(Debug)]
pub(super) struct Finished {
    /// The exit code; none after a signal that was not handled.
    pub(super) code: Option<i32>,
    pub(super) stdout: String,
    pub(super) stderr: String,
    /// The job summary.
    pub(super) summary: String,
    /// The outputs of the step, as the runner reads them.
    pub(super) outputs: BTreeMap<String, String>,
    pub(super) elapsed: Duration,
    /// The folder of the reports.
    pub(super) out: PathBuf,
    /// Keeps what is in the folders.
    folder: Arc<TempDir>,
}

/// An annotation that a workflow command makes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Annotation {
    pub(super) level: String,
    pub(super) file: String,
    pub(super) line: usize,
    pub(super) message: String,
}

impl Finished {
    /// Asserts the exit code.
    #[track_caller]
    pub(super) fn ends_with(&self, code: i32) -> &Self {
        assert_eq!(self.code, Some(code), "{self}");
        self
    }

    /// Asserts that the verdict is on disk and among the outputs, and that the exit code is its own.
    #[track_caller]
    pub(super) fn has_verdict(&self, verdict: Verdict) -> &Self {
        self.ends_with(verdict.code());
        assert_eq!(self.record()["verdict"], verdict.name(), "{self}");
        assert_eq!(self.output("verdict"), verdict.name(), "{self}");
        for file in ["report.md", "report.html", "junit.xml", "run.json"] {
            assert!(self.out.join(file).is_file(), "no {file}: {self}");
        }
        self
    }

    /// Asserts that something was told to the user: on a stream, where the runner shows it.
    #[track_caller]
    pub(super) fn tells(&self, phrase: &str) -> &Self {
        assert!(self.told().contains(phrase), "no {phrase:?}: {self}");
        self
    }

    /// Asserts that a warning was given, which says this.
    #[track_caller]
    pub(super) fn warns(&self, phrase: &str) -> &Self {
        let warnings: Vec<_> = self.stdout.lines().filter(|line| line.trim_start().starts_with("::warning")).collect();
        assert!(warnings.iter().any(|line| decoded(line).contains(phrase)), "no warning of {phrase:?}: {self}");
        self
    }

    /// Asserts that no warning about publishing was given.
    #[track_caller]
    pub(super) fn is_quiet(&self) -> &Self {
        let mut warnings = self.stdout.lines().filter(|line| line.trim_start().starts_with("::warning"));
        let warned = warnings.any(|line| annotation(line).is_none());
        assert!(!warned, "{self}");
        self
    }

    /// Everything on the two streams, commands decoded.
    pub(super) fn told(&self) -> String {
        decoded(&format!("{}\n{}", self.stdout, self.stderr))
    }

    /// The record.
    #[track_caller]
    pub(super) fn record(&self) -> Value {
        let bytes = fs::read(self.out.join("record.json")).unwrap_or_else(|_| panic!("no record: {self}"));
        serde_json::from_slice(&bytes).unwrap()
    }

    /// Whether there is a record.
    pub(super) fn has_record(&self) -> bool {
        self.out.join("record.json").exists()
    }

    /// The record's claims with a verdict, by id.
    #[track_caller]
    pub(super) fn claims(&self, verdict: Verdict) -> Vec<String> {
        let record = self.record();
        let claims = record["claims"].as_array().unwrap().iter();
        claims.filter(|claim| claim["verdict"] == verdict.name()).map(|claim| text(&claim["id"])).collect()
    }

    /// An output of the step; empty where it is absent, as an expression of a workflow sees it.
    pub(super) fn output(&self, name: &str) -> &str {
        self.outputs.get(name).map_or("", String::as_str)
    }

    /// The annotations of workflow commands that stand on a line of a file.
    pub(super) fn annotations(&self) -> Vec<Annotation> {
        self.stdout.lines().chain(self.stderr.lines()).filter_map(annotation).collect()
    }

    /// What holds for every run: no token anywhere, no command that could change later steps, outputs that exist.
    #[track_caller]
    fn is_sane(&self, token: &str) {
        // The runner takes the command that masks a text out of the log.
        let shown = self.stdout.lines().filter(|line| !line.starts_with("::add-mask::"));
        let mut texts = vec![shown.collect(), self.stderr.clone(), self.summary.clone()];
        texts.extend(self.outputs.values().cloned());
        texts
            .extend(files(&self.out).iter().map(|file| String::from_utf8_lossy(&fs::read(file).unwrap()).into_owned()));
        assert!(texts.iter().all(|text| !text.contains(token)), "the token is told: {self}");
        for stream in [&self.stdout, &self.stderr] {
            assert!(!stream.contains("##["), "an old command: {stream}");
            let unknown: Vec<_> = commands(stream).filter(|name| !HARMLESS.contains(name)).collect();
            assert!(unknown.is_empty(), "unknown commands {unknown:?}: {stream}");
        }
        for file in ["record", "report", "html"].map(|name| self.output(name)).iter().filter(|file| !file.is_empty()) {
            assert!(
                self.folder.path().join("workspace").join(file).is_file(),
                "the output names {file}, which is not there: {self}"
            );
        }
    }
}

impl std::fmt::Display for Finished {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { code, stdout, stderr, outputs, .. } = self;
        write!(f, "exit code {code:?}\n-- stdout\n{stdout}\n-- stderr\n{stderr}\n-- outputs\n{outputs:#?}")
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_file()).collect()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

fn decoded(text: &str) -> String {
    text.replace("%0D", "\r").replace("%0A", "\n").replace("%3A", ":").replace("%2C", ",").replace("%25", "%")
}

/// The names of the commands in a stream; those between `stop-commands` and its token are none.
fn commands(stream: &str) -> impl Iterator<Item = &str> {
    let mut stopped = None;
    stream.lines().filter_map(move |line| {
        let (head, rest) = line.trim_start().strip_prefix("::")?.split_once("::")?;
        let name = head.split(' ').next().unwrap_or_default();
        match stopped {
            Some(token) if token == name => stopped = None,
            Some(_) => {}
            None if name == "stop-commands" => stopped = Some(rest),
            None => return Some(name),
        }
        None
    })
}

/// `::error file=modelgate.yaml,line=13,title=...::message`
fn annotation(line: &str) -> Option<Annotation> {
    let (head, message) = line.trim_start().strip_prefix("::")?.split_once("::")?;
    let (level, properties) = head.split_once(' ')?;
    let properties: BTreeMap<&str, &str> = properties.split(',').filter_map(|pair| pair.split_once('=')).collect();
    Some(Annotation {
        level: level.to_owned(),
        file: decoded(properties.get("file")?),
        line: properties.get("line")?.parse().ok()?,
        message: decoded(message),
    })
}

/// Reads an output file by the runner's rules: of `=` and `<<`, what comes first decides.
fn outputs(text: &str) -> BTreeMap<String, String> {
    let (mut outputs, mut lines) = (BTreeMap::new(), text.lines());
    while let Some(line) = lines.next() {
        let [equals, heredoc] = ["=", "<<"].map(|sign| line.find(sign).unwrap_or(usize::MAX));
        let (key, value) = if equals < heredoc {
            (&line[..equals], line[equals + 1..].to_owned())
        } else if heredoc < usize::MAX {
            let delimiter = &line[heredoc + 2..];
            assert!(!delimiter.is_empty(), "an empty delimiter: {line}");
            (&line[..heredoc], heredoc_value(&mut lines, delimiter))
        } else {
            assert!(line.is_empty(), "neither a value nor a heredoc: {line}");
            continue;
        };
        assert!(!key.is_empty(), "a value without a name: {line}");
        assert!(outputs.insert(key.to_owned(), value).is_none(), "`{key}` is given twice");
    }
    outputs
}

fn heredoc_value<'t>(lines: &mut impl Iterator<Item = &'t str>, delimiter: &str) -> String {
    let mut value = Vec::new();
    loop {
        match lines.next() {
            Some(line) if line == delimiter => return value.join("\n"),
            Some(line) => value.push(line),
            None => panic!("no end of the heredoc {delimiter}"),
        }
    }
}

#[test]
fn outputs_are_read_as_the_runner_does() {
    let read = outputs("a=1=2\nb<<END\nx=1\n\ny<<z\nEND\n\nc<<=\n=\nd=\n");
    let expected = [("a", "1=2"), ("b", "x=1\n\ny<<z"), ("c", ""), ("d", "")];
    assert_eq!(read, expected.map(|(key, value)| (key.to_owned(), value.to_owned())).into());
}

#[test]
fn stopped_commands_are_none() {
    let stream = "::notice::a\n::stop-commands::t1\n::set-env name=x::y\n::t1::\n ::group::b\n::no command";
    assert_eq!(commands(stream).collect::<Vec<_>>(), ["notice", "group"]);
}

#[test]
fn commands_are_read_as_the_runner_does() {
    let read = annotation("  ::error file=a%2Cb.yaml,line=13,title=x::50%25 of%0Arows").unwrap();
    let (level, file, message) = ("error".to_owned(), "a,b.yaml".to_owned(), "50% of\nrows".to_owned());
    assert_eq!(read, Annotation { level, file, line: 13, message });
    assert_eq!(annotation("::warning::no place"), None);
}

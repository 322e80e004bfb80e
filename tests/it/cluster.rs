//! The cluster as a user runs it: a scheduler and two executors, each a process of its own, and what happens when one dies.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use clap::Parser as _;
use modelgate::cli::Cli;
use modelgate::engine::cluster::{Address, Role, agree};
use serde::Deserialize as _;
use serde_yaml::Value;
use tempfile::TempDir;

use super::cases::{cases, laid_out};

/// How long anything may take before a test gives up. A lost executor is noticed after 15 seconds.
const PATIENCE: Duration = Duration::from_secs(240);

/// A process that ends with the test.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Process {
    /// Ends it as the kernel ends what takes too much memory: at once, and it is not asked.
    fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    /// Whether it still works.
    fn works(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }
}

/// A scheduler and its executors.
struct Cluster {
    folder: TempDir,
    address: String,
    scheduler: Process,
    executors: Vec<Process>,
}

impl Cluster {
    fn start(executors: usize) -> Self {
        let folder = TempDir::new().unwrap();
        let (scheduler, said) = role(folder.path(), "scheduler", &["scheduler", "--listen", "127.0.0.1:0"]);
        let address = said.strip_prefix("the scheduler listens on ").unwrap_or_else(|| panic!("{said}"));
        let address = format!("df://{}", address.trim());
        let mut cluster = Self { folder, address, scheduler, executors: Vec::new() };
        for number in 0..executors {
            cluster.join(number);
        }
        cluster
    }

    fn join(&mut self, number: usize) {
        let (listen, folder) = (format!("127.0.0.1:{}", two_ports()), self.files_of(number));
        fs::create_dir(&folder).unwrap();
        let arguments = ["executor", "--scheduler", &self.address, "--listen", &listen, "--threads", "2"];
        let (executor, said) = role(&folder, "executor", &arguments);
        assert_eq!(said.trim(), format!("the executor has joined {}", self.address));
        self.executors.push(executor);
    }

    /// The temporary files of an executor.
    fn files_of(&self, number: usize) -> PathBuf {
        self.folder.path().join(number.to_string())
    }

    /// Waits until an executor has written something for others: it is in the middle of a run.
    fn wait_for_work_of(&self, number: usize) {
        let started = Instant::now();
        while !holds_a_file(&self.files_of(number)) {
            assert!(started.elapsed() < PATIENCE, "executor {number} never did anything");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// A role of the cluster and the first line that it says. What it complains of is kept beside its files.
fn role(folder: &Path, name: &str, arguments: &[&str]) -> (Process, String) {
    let complaints = File::create(folder.with_extension(format!("{name}.log"))).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_modelgate"));
    command.arg("cluster").args(arguments).env("TMPDIR", folder).stdout(Stdio::piped()).stderr(complaints);
    let mut process = Process(command.spawn().unwrap());
    let mut said = String::new();
    BufReader::new(process.0.stdout.take().unwrap()).read_line(&mut said).unwrap();
    (process, said)
}

/// Two free ports, one after the other: the first of them.
fn two_ports() -> u16 {
    loop {
        let first = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = first.local_addr().unwrap().port();
        if port.checked_add(1).is_some_and(|next| TcpListener::bind(("127.0.0.1", next)).is_ok()) {
            return port;
        }
    }
}

fn holds_a_file(folder: &Path) -> bool {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).any(|path| if path.is_dir() { holds_a_file(&path) } else { true })
}

/// What a run left behind.
struct Ran {
    code: Option<i32>,
    record: Option<String>,
    complaints: String,
}

impl Ran {
    /// Exit code and record are those of another run, the record to the byte; there is one only where something was judged.
    #[track_caller]
    fn is_like(&self, other: &Self, what: &str) {
        assert_eq!(self.code, other.code, "{what}: {}", self.complaints);
        assert_eq!(other.record.is_none(), other.code == Some(2), "{what}: {}", other.complaints);
        let lines = |ran: &Self| ran.record.iter().flat_map(|text| text.lines()).map(str::to_owned).collect::<Vec<_>>();
        let (own, others) = (lines(self), lines(other));
        let differing = own.iter().zip(&others).find(|(own, other)| own != other);
        assert!(self.record == other.record, "{what}: {differing:?}");
    }
}

fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_modelgate"));
    command.current_dir(folder).arg("run").args(arguments).stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

fn run(folder: &Path, arguments: &[&str]) -> Ran {
    finish(folder, Process(command(folder, arguments).spawn().unwrap()))
}

fn finish(folder: &Path, mut process: Process) -> Ran {
    let started = Instant::now();
    while process.works() {
        assert!(started.elapsed() < PATIENCE, "the run does not end");
        std::thread::sleep(Duration::from_millis(20));
    }
    let mut complaints = String::new();
    process.0.stderr.take().unwrap().read_to_string(&mut complaints).unwrap();
    let record = fs::read_to_string(folder.join(".modelgate/record.json")).ok();
    Ran { code: process.0.wait().unwrap().code(), record, complaints }
}

/// The example in a folder of its own, so that tests do not write into each other's reports.
fn example() -> TempDir {
    let (folder, root) = (TempDir::new().unwrap(), Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/flight-delay"));
    fs::copy(root.join("modelgate.yaml"), folder.path().join("modelgate.yaml")).unwrap();
    for part in ["data", "models"] {
        std::os::unix::fs::symlink(root.join(part), folder.path().join(part)).unwrap();
    }
    folder
}

/// The release suite of the example: both models scored, a backtest, slices, overlaps.
const RELEASE: [&str; 2] = ["--suite", "release"];

fn on(cluster: &Cluster) -> Vec<&str> {
    [&RELEASE[..], &["--cluster", &cluster.address]].concat()
}

#[test]
fn the_record_of_a_cluster_is_that_of_one_machine() {
    let (folder, cluster) = (example(), Cluster::start(2));
    let here = run(folder.path(), &RELEASE);
    assert_eq!(here.code, Some(0), "{}", here.complaints);
    run(folder.path(), &on(&cluster)).is_like(&here, "in sixteen parts");
    let parts = [&on(&cluster)[..], &["--threads", "5"]].concat();
    run(folder.path(), &parts).is_like(&here, "in five parts");
    let worked = (0..2).filter(|number| holds_a_file(&cluster.files_of(*number))).count();
    assert_eq!(worked, 2, "an executor was left without work");
}

#[test]
fn every_case_is_judged_alike_on_a_cluster() {
    let cluster = Cluster::start(2);
    for case in cases() {
        let folder = laid_out(&case);
        fs::copy(case.join("modelgate.yaml"), folder.path().join("modelgate.yaml")).unwrap();
        let here = run(folder.path(), &[]);
        let there = run(folder.path(), &["--cluster", &cluster.address]);
        there.is_like(&here, &case.display().to_string());
        assert_eq!(there.complaints, here.complaints, "{}", case.display());
    }
}

#[test]
fn a_run_outlives_an_executor() {
    let (folder, mut cluster) = (example(), Cluster::start(2));
    let here = run(folder.path(), &RELEASE);
    let mut running = Process(command(folder.path(), &on(&cluster)).spawn().unwrap());
    cluster.wait_for_work_of(1);
    cluster.executors[1].kill();
    assert!(running.works(), "the run was over before its executor was killed");
    let ran = finish(folder.path(), running);
    match ran.code {
        Some(2) => assert_eq!(ran.record, None, "a run that judged nothing left a record"),
        _ => ran.is_like(&here, "with an executor lost"),
    }
    run(folder.path(), &on(&cluster)).is_like(&here, "on the executor that is left");
}

#[test]
fn nothing_is_judged_without_executors_or_a_scheduler() {
    let (folder, mut cluster) = (example(), Cluster::start(0));
    let idle = run(folder.path(), &on(&cluster));
    assert_eq!((idle.code, &idle.record), (Some(2), &None));
    assert!(idle.complaints.contains("start one with `modelgate cluster executor`"), "{}", idle.complaints);

    cluster.join(0);
    let mut running = Process(command(folder.path(), &on(&cluster)).spawn().unwrap());
    cluster.wait_for_work_of(0);
    cluster.executors[0].kill();
    assert!(running.works(), "the run was over before its executor was killed");
    let lost = finish(folder.path(), running);
    assert_eq!((lost.code, &lost.record), (Some(2), &None), "{}", lost.complaints);

    cluster.scheduler.kill();
    let alone = run(folder.path(), &on(&cluster));
    assert_eq!((alone.code, &alone.record), (Some(2), &None));
    assert!(
        alone.complaints.contains(&format!("no scheduler answers at `{}`", cluster.address)),
        "{}",
        alone.complaints
    );
}

#[test]
fn another_version_is_refused_by_name() {
    let cluster = Cluster::start(1);
    let address: Address = cluster.address.parse().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let ask = |role, version: &str| runtime.block_on(agree(&address, role, version));
    let version = env!("CARGO_PKG_VERSION");
    for (role, name) in [(Role::Run, "run"), (Role::Executor, "executor")] {
        ask(role, version).unwrap();
        let refusal = ask(role, "0.0.9").unwrap_err().to_string();
        let named = format!("the scheduler is modelgate {version}, and the {name} is modelgate 0.0.9");
        assert!(refusal.starts_with(&named), "{refusal}");
    }
}

#[test]
fn what_is_no_scheduler_is_refused() {
    let folder = example();
    for (written, why) in [
        ("host:50050", "write `df://host:50050`"),
        ("df://host", "write `df://host:50050`"),
        ("df://host:none", "is no port"),
        ("df://:50050", "is no name or address"),
        ("df://user:secret@host:50050", "is no name or address"),
        ("df://host/path:50050", "is no name or address"),
    ] {
        let ran = run(folder.path(), &["--cluster", written]);
        assert_eq!((ran.code, &ran.record), (Some(2), &None), "{written}");
        assert!(ran.complaints.contains(why), "{written}: {}", ran.complaints);
    }
}

/// The command lines of a file of Compose or Kubernetes.
fn command_lines(value: &Value, found: &mut Vec<Vec<String>>) {
    let Value::Mapping(mapping) = value else {
        let inner = value.as_sequence().into_iter().flatten();
        return inner.for_each(|value| command_lines(value, found));
    };
    for (key, value) in mapping {
        match (key.as_str(), value) {
            (Some("args" | "command" | "entrypoint"), Value::Sequence(words)) => {
                found.push(words.iter().map(|word| word.as_str().unwrap().to_owned()).collect());
            }
            _ => command_lines(value, found),
        }
    }
}

#[test]
fn the_files_that_start_a_cluster_say_what_the_program_understands() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/cluster");
    for (file, expected) in [("compose.yaml", 3), ("kubernetes.yaml", 3)] {
        let (text, mut found) = (fs::read_to_string(folder.join(file)).unwrap(), Vec::new());
        for document in serde_yaml::Deserializer::from_str(&text) {
            command_lines(&Value::deserialize(document).unwrap(), &mut found);
        }
        assert_eq!(found.len(), expected, "{file}: {found:?}");
        for words in found {
            let program = (words[0] != "modelgate").then_some("modelgate".to_owned());
            let parsed = Cli::try_parse_from(program.into_iter().chain(words.clone()));
            assert!(parsed.is_ok(), "{file}: {words:?}: {}", parsed.unwrap_err());
        }
    }
}

/// Everything that a run says to its scheduler passes through here, in both directions.
fn overheard(scheduler: &str) -> (String, Arc<Mutex<Vec<u8>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("df://{}", listener.local_addr().unwrap());
    let (scheduler, heard) = (scheduler.strip_prefix("df://").unwrap().to_owned(), Arc::new(Mutex::new(Vec::new())));
    let ears = Arc::clone(&heard);
    std::thread::spawn(move || {
        for run in listener.incoming().flatten() {
            let there = TcpStream::connect(&scheduler).unwrap();
            for (mut from, mut to) in [(run.try_clone().unwrap(), there.try_clone().unwrap()), (there, run)] {
                let ears = Arc::clone(&ears);
                std::thread::spawn(move || {
                    let mut buffer = [0; 1 << 16];
                    while let Ok(read @ 1..) = from.read(&mut buffer) {
                        ears.lock().unwrap().extend_from_slice(&buffer[..read]);
                        if to.write_all(&buffer[..read]).is_err() {
                            break;
                        }
                    }
                    let _ = to.shutdown(Shutdown::Both);
                });
            }
        }
    });
    (address, heard)
}

#[test]
fn no_credential_is_sent() {
    let (folder, cluster) = (example(), Cluster::start(1));
    let (address, heard) = overheard(&cluster.address);
    let mut command = command(folder.path(), &["--cluster", &address]);
    for name in
        ["AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "GITHUB_TOKEN", "INPUT_TOKEN", "DATAFUSION_EXECUTION_TIME_ZONE"]
    {
        command.env(name, "hush-hush");
    }
    let ran = finish(folder.path(), Process(command.spawn().unwrap()));
    assert!(ran.record.is_some(), "{}", ran.complaints);
    let heard = heard.lock().unwrap();
    let holds = |text: &str| heard.windows(text.len()).any(|part| part == text.as_bytes());
    assert!(holds("datafusion.execution.batch_size"), "the properties of the session were not overheard");
    assert!(!holds("hush-hush"), "a secret of the environment was sent");
}

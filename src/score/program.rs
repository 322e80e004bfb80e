//! Programs that a run starts: only where whoever runs the gate has said so, with little of its environment, and gone with all
//! that they started when the run ends.
//!
//! A program may do whatever the user of the run may, so a spec alone never starts one. What it gets of the environment is
//! [`HANDED_ON`], and the memory of the run, where tokens are, is closed to it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use nix::sys::prctl;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

/// The variables of this process that a program gets. None of them is for a secret.
const HANDED_ON: [&str; 8] = ["PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "VIRTUAL_ENV"];

/// The bytes of what a program says that are shown.
const SHOWN: usize = 64 << 10;

/// The bytes of a line that are read as one.
const LONGEST_LINE: u64 = 2 << 10;

/// The last lines that an error repeats.
const LAST: usize = 12;

/// How long a program that closed its output may take to end by itself, and what is left of its words to come.
const END: Duration = Duration::from_secs(2);

/// Limits the memory of what it becomes, in KiB. The shell is the same program then, with the same number.
const LIMITED: &str = r#"ulimit -v "$1" || exit 126; shift; exec "$@""#;

/// Whether a run may start programs, and those that are running. Without [`Self::allowed`] it may start none.
#[derive(Clone, Default)]
pub struct Programs {
    allowed: Option<Arc<Allowed>>,
    /// Whether whoever waits for an answer, be it of a program or of a server, need wait no more.
    is_over: Arc<AtomicBool>,
}

struct Allowed {
    /// Takes a line that a program says, which may be any text.
    say: Box<dyn Fn(&str) + Send + Sync>,
    running: Mutex<Running>,
}

#[derive(Default)]
struct Running {
    /// The groups of processes.
    groups: BTreeSet<i32>,
    is_over: bool,
}

impl fmt::Debug for Programs {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = if self.allowed.is_some() { "Programs(allowed)" } else { "Programs(none)" };
        formatter.write_str(name)
    }
}

/// What is started, and how.
#[derive(Debug, Clone)]
pub(super) struct Start {
    /// The program and its arguments.
    pub(super) words: Vec<String>,
    /// Where it works.
    pub(super) folder: PathBuf,
    /// Variables beside those that every program gets.
    pub(super) environment: BTreeMap<String, String>,
    /// The most memory that it may address, in MiB.
    pub(super) memory_mib: u64,
}

impl Start {
    /// What it is called in messages.
    pub(super) fn name(&self) -> String {
        self.words.join(" ")
    }
}

impl Programs {
    /// Programs may be started. What they say on their standard error comes line by line, and is text of anyone.
    pub fn allowed(say: impl Fn(&str) + Send + Sync + 'static) -> Self {
        let allowed = Allowed { say: Box::new(say), running: Mutex::default() };
        Self { allowed: Some(Arc::new(allowed)), ..Self::default() }
    }

    /// Makes sure that a program may be started.
    ///
    /// # Errors
    /// When it may not, with the remedy.
    pub fn ensure_allowed(&self, name: &str) -> Result<()> {
        ensure!(
            self.allowed.is_some(),
            "`{name}` is a program, and this run may start none: allow it with `--allow-process`, on GitHub with \
             `allow_process: true`, if whoever may change the spec and the program may also run code here"
        );
        Ok(())
    }

    /// Ends all that runs, and starts nothing more.
    pub fn end(&self) {
        self.is_over.store(true, Ordering::Relaxed);
        let Some(allowed) = &self.allowed else { return };
        let mut running = allowed.running();
        running.is_over = true;
        running.groups.iter().for_each(|group| kill(*group));
    }

    /// Whether the run has ended.
    pub(super) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    /// Starts a program, with a pipe to its input if it is to be fed.
    pub(super) fn start(&self, start: &Start, is_fed: bool) -> Result<Program> {
        self.ensure_allowed(&start.name())?;
        let allowed = self.allowed.as_ref().context("no program may be started")?;
        // Otherwise a program of the same user could read tokens in the memory of this process, and in its environment.
        prctl::set_dumpable(false).context("the memory of this process cannot be closed to the program")?;
        let mut running = allowed.running();
        ensure!(!running.is_over, "the run is over");
        let piped = || if is_fed { Stdio::piped() } else { Stdio::null() };
        let mut child = command(start)
            .stdin(piped())
            .stdout(piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("`{}` cannot be started", start.name()))?;
        let group = i32::try_from(child.id()).context("the program has no number")?;
        running.groups.insert(group);
        drop(running);
        let words = Words::default();
        let heard = child.stderr.take().map(|from| listen(from, Arc::clone(allowed), words.clone()));
        Ok(Program { child, group, allowed: Arc::clone(allowed), words, heard })
    }
}

impl Allowed {
    fn running(&self) -> MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn command(start: &Start) -> Command {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", LIMITED, "sh"]).arg((start.memory_mib << 10).to_string()).args(&start.words);
    command.current_dir(&start.folder).env_clear();
    command.envs(HANDED_ON.iter().filter_map(|name| Some((*name, std::env::var_os(name)?))));
    command.envs(&start.environment).process_group(0);
    command
}

/// Ends a group of processes. One that is gone already is what is wanted.
fn kill(group: i32) {
    let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
}

/// A program that runs. It is ended with its children when it is dropped.
pub(super) struct Program {
    child: Child,
    group: i32,
    allowed: Arc<Allowed>,
    words: Words,
    /// Says when all that it says was heard.
    heard: Option<Receiver<()>>,
}

impl Program {
    /// The ends of its pipes.
    pub(super) fn pipes(&mut self) -> Result<(ChildStdin, ChildStdout)> {
        self.child.stdin.take().zip(self.child.stdout.take()).context("the program has no pipes")
    }

    /// Whether it has ended.
    pub(super) fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// Ends it, and tells how it ended where that was by itself, and what it said last.
    pub(super) fn end(&mut self) -> String {
        let begun = Instant::now();
        while !self.has_ended() && begun.elapsed() < END {
            thread::sleep(Duration::from_millis(10));
        }
        let status = self.child.try_wait().ok().flatten();
        self.stop();
        if let Some(heard) = &self.heard {
            // A grandchild may hold on to the pipe.
            let _ = heard.recv_timeout(END);
        }
        let ended = status.map_or_else(|| "it was stopped".to_owned(), |status| format!("it ended with {status}"));
        match self.words.last() {
            words if words.is_empty() => format!("{ended}, and said nothing"),
            words => format!("{ended}, and said last: {words}"),
        }
    }

    fn stop(&mut self) {
        kill(self.group);
        // So that it is no zombie.
        let _ = self.child.wait();
        self.allowed.running().groups.remove(&self.group);
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.stop();
    }
}

/// What a program said last.
#[derive(Debug, Clone, Default)]
struct Words(Arc<Mutex<VecDeque<String>>>);

impl Words {
    fn add(&self, line: &str) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == LAST {
            lines.pop_front();
        }
        lines.push_back(line.to_owned());
    }

    fn last(&self) -> String {
        let lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().map(String::as_str).collect::<Vec<_>>().join(" / ")
    }
}

/// Reads what a program says until there is no more, so that it never waits for a reader, and shows the beginning of it.
fn listen(from: ChildStderr, allowed: Arc<Allowed>, words: Words) -> Receiver<()> {
    let (end, heard) = mpsc::channel();
    thread::spawn(move || {
        let (mut from, mut shown) = (BufReader::new(from), 0);
        loop {
            let mut line = Vec::new();
            match from.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line) {
                Ok(0) | Err(_) => break,
                Ok(read) => {
                    let line = String::from_utf8_lossy(&line);
                    let line = line.trim_end();
                    if !line.is_empty() {
                        words.add(line);
                    }
                    if shown < SHOWN {
                        (allowed.say)(line);
                        shown += read;
                        if shown >= SHOWN {
                            (allowed.say)("(what it says beyond this is not shown)");
                        }
                    }
                }
            }
        }
        drop(end);
    });
    heard
}

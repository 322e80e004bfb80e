//! The command line: what may be said, and what is printed. The only place that prints.

use std::borrow::Cow;
use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, Result};
use clap::{Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};

use crate::deliver::{files, runner};
use crate::engine::session::{self, Settings};
use crate::engine::{self, Cache, MOST_BYTES, Memory, Progress};
use crate::gate::{self, Options, Reaches};
use crate::report::plan::View;
use crate::report::render::escape::visible;
use crate::report::{curves, render};
use crate::score::program::Programs;
use crate::spec::Spec;
use crate::spec::problem::{Problems, nearest};
use crate::{checks, docs};

mod action;
mod calibrate;
#[cfg(feature = "cluster")]
mod cluster;
mod progress;

/// The parts that work is cut into for a cluster, of which a run does not know how large it is.
const PARTS: usize = 16;

/// Exit code when nothing was judged.
const NOTHING_JUDGED: u8 = 2;

/// The gate between a pull request and production for machine-learning models.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Judge the candidate and write the reports. Exit code 0 pass or warn, 1 fail, 2 nothing was judged, 3 inconclusive.
    Run {
        #[command(flatten)]
        target: TargetArguments,
        /// The folder for record.json, report.md, report.html, junit.xml and run.json.
        #[arg(long, value_name = "DIR", default_value = ".modelgate")]
        out: PathBuf,
        /// Compute on the cluster of this scheduler, such as `df://host:50050`, which sees the data and the models at the same
        /// paths. `--threads` says into how many parts the work is cut; without it, into 16.
        #[arg(long, value_name = "URL", conflicts_with = "memory")]
        cluster: Option<String>,
    },
    /// Judge as a step of GitHub Actions: the event, the inputs and the token come from the runner.
    Action,
    /// Publish the record of another run, in a workflow that may write: a step of GitHub Actions as well.
    Publish {
        /// The folder that holds record.json.
        folder: PathBuf,
    },
    /// Check the spec and say everything that is wrong with it. Reads no data.
    Validate {
        /// The spec.
        #[arg(default_value = "modelgate.yaml")]
        spec: PathBuf,
    },
    /// Say what a run would read, score and ask, and how small a regression the data could show. Judges nothing.
    Plan {
        #[command(flatten)]
        target: TargetArguments,
        /// Read no data: at once, and without what the data could show.
        #[arg(long)]
        no_data: bool,
    },
    /// Put the gate on trial before it is trusted: judge candidates of which is known whether they are harmless.
    ///
    /// Scores the data once with both models and runs the claims of the suite on many candidates made of these scores. The
    /// baseline on random halves of the rows, and the two models' scores exchanged by coins, are harmless: how often they are
    /// blocked shows whether `policy.false_block` holds on this data. The baseline with 1, 2, 5, 10 and 20 % of its scores drawn
    /// anew is a regression of known size: how often it is blocked shows what the gate can see. Writes calibration.json. Exit
    /// code 0 when the promise is kept, 1 when harmless candidates are blocked more often, 2 when nothing was judged, 3 when it
    /// takes more candidates to tell.
    Calibrate(calibrate::Arguments),
    /// Play a role of a cluster on which runs compute: `modelgate run --cluster`.
    #[cfg(feature = "cluster")]
    #[command(subcommand)]
    Cluster(cluster::Command),
    /// Explain a check: what it does, why it matters, what it assumes, its keys.
    Explain {
        /// The check, such as `performance.regression`; without it, a list of all.
        check: Option<String>,
    },
    /// Print the JSON Schema of the spec, for editors.
    Schema,
}

#[derive(Debug, Clone, clap::Args)]
struct TargetArguments {
    /// The spec.
    #[arg(default_value = "modelgate.yaml")]
    spec: PathBuf,
    /// The suite; without it `check-in`, or the only one there is.
    #[arg(long)]
    suite: Option<String>,
    /// Judge this model instead of the spec's: the source of an ONNX file or of a Parquet file of predictions, the address of a
    /// model, `column:NAME`, or `columns:NAME,NAME,NAME`.
    #[arg(long, value_name = "MODEL")]
    candidate: Option<String>,
    /// Compare with this model instead of the spec's.
    #[arg(long, value_name = "MODEL")]
    baseline: Option<String>,
    /// The number of threads; without it, one for each processor. The result is the same for any number.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// How much memory sorts, joins, groups and summaries may take together, such as `512MiB` or `4GB`; what is more is put
    /// into temporary files, and what cannot be is an error. Without it, what there is. The result is the same.
    #[arg(long, value_name = "SIZE")]
    memory: Option<Memory>,
    /// Keep the scores of models and what was fetched in this folder and take them from there in the next run; without it,
    /// `MODELGATE_CACHE`, and without that, nothing is kept. The result is the same.
    #[arg(long, value_name = "DIR")]
    cache: Option<PathBuf>,
    /// How large that folder may become, in MiB; what was not used for longest is removed first.
    #[arg(long, value_name = "MIB", default_value_t = MOST_BYTES >> 20, value_parser = clap::value_parser!(u64).range(1..=1 << 30))]
    cache_size: u64,
    /// Let the spec start the programs that it names as models. They may do all that you may.
    #[arg(long)]
    allow_process: bool,
}

impl TargetArguments {
    fn options(&self) -> Result<Options> {
        let Self { spec: _, suite, candidate, baseline, threads, memory, cache, cache_size, allow_process } =
            self.clone();
        let from_environment = || std::env::var_os("MODELGATE_CACHE").filter(|folder| !folder.is_empty());
        let cache = cache.or_else(|| from_environment().map(PathBuf::from));
        let cache = cache.map(|folder| Cache::open(&folder, cache_size << 20)).transpose()?.map(Arc::new);
        let session = Settings { memory, ..Settings::threads(threads.map_or_else(processors, usize::from)) };
        let programs = if allow_process { Programs::allowed(say_of_program) } else { Programs::default() };
        Ok(Options { suite, candidate, baseline, session, cluster: None, cache, programs })
    }

    /// The options of a run that a cluster may compute. Executors do not see the scores that are kept here.
    fn options_on(&self, cluster: Option<String>) -> Result<Options> {
        let options = self.options()?;
        if cluster.is_none() {
            return Ok(options);
        }
        let session = Settings::threads(self.threads.map_or(PARTS, usize::from));
        Ok(Options { session, cluster, cache: None, ..options })
    }
}

fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Runs the program.
#[must_use]
pub fn main(cli: Cli) -> ExitCode {
    let done = match cli.command {
        Command::Run { target, out, cluster } => {
            target.options_on(cluster).and_then(|options| run(&target.spec, &options, &out))
        }
        Command::Action => action::action(None),
        Command::Publish { folder } => action::action(Some(folder)),
        Command::Validate { spec } => validate(&spec),
        Command::Plan { target, no_data } => target.options().and_then(|options| plan(&target.spec, &options, no_data)),
        Command::Calibrate(arguments) => calibrate::calibrate(&arguments),
        #[cfg(feature = "cluster")]
        Command::Cluster(command) => cluster::cluster(command),
        Command::Explain { check } => explain(check.as_deref()),
        Command::Schema => print(&format!("{:#}\n", docs::schema())),
    };
    done.unwrap_or_else(|error| {
        report_error(&error);
        ExitCode::from(NOTHING_JUDGED)
    })
}

fn run(spec: &Path, options: &Options, out: &Path) -> Result<ExitCode> {
    let started = Instant::now();
    files::clear(out)?;
    let case = Spec::read(spec)?.into();
    let progress = Arc::new(Progress::default());
    let report = match wait(options, scored(&progress), gate::run(case, options, &progress))? {
        Ok(report) => report,
        Err(cancelled) => return Ok(cancelled),
    };
    let cache = options.cache.as_deref();
    let written = files::write(out, &report, &files::Circumstances::of(options.session.threads, cache, started))?;
    warn_of_refused(cache)?;
    print(&render::terminal(&report, &written)?)?;
    Ok(ExitCode::from(report.record.verdict.exit_code()))
}

/// Waits for work that takes a while and shows its progress; the exit code if a signal ends the program first.
fn wait<T>(
    options: &Options,
    progress: impl Fn() -> String + Send + 'static,
    work: impl Future<Output = Result<T>>,
) -> Result<Result<T, ExitCode>> {
    let bar = progress::Bar::start(progress);
    let done = block_on(options.session.threads, &options.programs, work);
    bar.finish();
    done
}

/// Waits for work; the exit code if a signal ends the program first, and what it has started with it.
fn block_on<T>(
    threads: usize,
    programs: &Programs,
    work: impl Future<Output = Result<T>>,
) -> Result<Result<T, ExitCode>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build()?;
    runtime.block_on(async {
        tokio::select! {
            done = work => done.map(Ok),
            code = interrupted() => {
                // Threads that wait for an answer go on, and the runtime ends when they have.
                programs.end();
                Ok(Err(ExitCode::from(code)))
            }
        }
    })
}

/// Prints a line that a program says: it is no command of the runner, and no more than a line.
fn say_of_program(line: &str) {
    let text = format!("  | {}\n", visible(line));
    // Nobody is left to be told when standard error is closed.
    let _ = anstream::stderr().write_all(harmless(&text).as_bytes());
}

/// How far the scoring of a run is.
fn scored(progress: &Arc<Progress>) -> impl Fn() -> String + Send + 'static {
    let progress = Arc::clone(progress);
    move || progress::scored(&progress)
}

/// Waits for a signal that ends the program: its exit code.
async fn interrupted() -> u8 {
    // Where a signal cannot be watched, its default action ends the program, which is what is wanted.
    let watched = |kind, code| async move {
        let heard = match signal(kind) {
            Ok(mut signals) => signals.recv().await.is_some(),
            Err(_) => false,
        };
        if heard { code } else { std::future::pending().await }
    };
    tokio::select! {
        code = watched(SignalKind::interrupt(), 130) => code,
        code = watched(SignalKind::terminate(), 143) => code,
    }
}

/// Says which cached scores were not taken: someone may have made them up.
fn warn_of_refused(cache: Option<&Cache>) -> Result<()> {
    for refused in cache.map(Cache::used).unwrap_or_default().refused {
        let text = format!("warning: {}", render::refused(&refused)?);
        // Nobody is left to be told when standard error is closed.
        let _ = anstream::stderr().write_all(harmless(&text).as_bytes());
    }
    Ok(())
}

fn validate(spec: &Path) -> Result<ExitCode> {
    let spec = Spec::read(spec)?;
    print(&render::validated(&spec)?)
}

fn plan(spec: &Path, options: &Options, no_data: bool) -> Result<ExitCode> {
    let (spec, progress) = (Spec::read(spec)?, Arc::new(Progress::default()));
    let reaches = Reaches::default();
    let opened = gate::open(spec, &reaches, options, &progress);
    let (target, selection) = match wait(options, scored(&progress), opened)? {
        Ok(opened) => opened,
        Err(cancelled) => return Ok(cancelled),
    };
    let suite = selection.suite.clone();
    let mut prepared = gate::prepare(&target, selection.entries, session::open(&options.session))?;
    curves::ask(&mut prepared.plan)?;
    let columns = engine::columns(&prepared.context, &target, &prepared.plan);
    let columns = match wait(options, String::new, columns)? {
        Ok(columns) => columns,
        Err(cancelled) => return Ok(cancelled),
    };
    let view = View::new(&target, &prepared, &columns);
    if no_data {
        return print(&render::plan(&suite, &view)?);
    }
    let cache = options.cache.as_deref();
    match wait(options, scored(&progress), gate::state(&target, &mut prepared, cache, &progress))? {
        Ok((statements, _)) => {
            warn_of_refused(cache)?;
            print(&render::plan(&suite, &view.measured(&statements, &target.spec.written.policy))?)
        }
        Err(cancelled) => Ok(cancelled),
    }
}

fn explain(check: Option<&str>) -> Result<ExitCode> {
    let Some(name) = check else {
        let lines = checks::CHECKS.iter().map(|kind| format!("{:<26}{}\n", kind.name, docs::summary(kind)));
        return print(&lines.collect::<String>());
    };
    let kind =
        checks::find(name).with_context(|| match nearest(name, checks::CHECKS.iter().map(|kind| kind.name)) {
            Some(near) => format!("there is no check `{name}`; did you mean `{near}`?"),
            None => format!("there is no check `{name}`; `modelgate explain` lists them"),
        })?;
    print(&docs::page(kind))
}

/// Prints to standard output, without colour where that is no terminal. A reader that went away is no error.
fn print(text: &str) -> Result<ExitCode> {
    match anstream::stdout().write_all(harmless(text).as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error).context("standard output"),
        _ => Ok(ExitCode::SUCCESS),
    }
}

/// Text that the runner of GitHub Actions, which reads both streams, takes for text.
fn harmless(text: &str) -> Cow<'_, str> {
    match std::env::var_os("GITHUB_ACTIONS") {
        Some(_) => runner::inert(text).into(),
        None => text.into(),
    }
}

/// Prints to the log of a workflow, which shows colours and is no terminal.
fn say(text: &str) {
    let mut log = anstream::AutoStream::always(std::io::stdout().lock());
    // Nobody is left to be told when the log is closed.
    let _ = log.write_all(text.as_bytes()).and_then(|()| log.flush());
}

fn error_text(error: &anyhow::Error, colour: bool) -> String {
    match error.downcast_ref::<Problems>() {
        Some(problems) => problems.render(colour) + "\n",
        None => render::error(error),
    }
}

fn report_error(error: &anyhow::Error) {
    let text = error_text(error, std::io::stderr().is_terminal());
    // Nobody is left to be told when standard error is closed.
    let _ = anstream::stderr().write_all(harmless(&text).as_bytes());
}

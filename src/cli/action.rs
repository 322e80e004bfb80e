//! `modelgate action`: the gate as a step of GitHub Actions, from an event to a verdict that everyone can see.

use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use tokio::time::timeout;

use super::{NOTHING_JUDGED, error_text, interrupted, processors, say, say_of_program};
use crate::deliver::check_run::{CheckRun, Conclusion};
use crate::deliver::environment::Environment;
use crate::deliver::event::{Event, Trigger};
use crate::deliver::inputs::Inputs;
use crate::deliver::policy::{self, Judging, Lines, Workspace};
use crate::deliver::{Desk, Message, Subject, files, runner};
use crate::engine::session::Settings;
use crate::engine::{Cache, MOST_BYTES, Progress};
use crate::gate::{self, Case, Options};
use crate::report::{Report, render};
use crate::score::program::Programs;
use crate::spec::Spec;
use message::of_error;

mod message;
mod publish;

/// A step of a workflow.
struct Step<'s> {
    environment: &'s Environment,
    event: &'s Event,
    inputs: &'s Inputs,
    workspace: Workspace,
    desk: Desk<'s>,
    cache: Option<Arc<Cache>>,
    programs: Programs,
    started: Instant,
}

/// How a run can start.
enum Start {
    Ready(Box<Judging>, Subject),
    Nothing(String),
    /// With what is reported on, as far as that is known.
    Broken(Option<Subject>, anyhow::Error),
}

/// What is left for GitHub after a signal: the runner kills a step that takes longer.
const GRACE: Duration = Duration::from_secs(3);

/// Runs the step. With a folder, its record is published and nothing is judged.
pub(super) fn action(publish: Option<PathBuf>) -> Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let code = runtime.block_on(async {
        step(publish).await.unwrap_or_else(|error| {
            say(&runner::message(runner::Level::Error, &format!("{error:#}")));
            NOTHING_JUDGED
        })
    });
    // What a cancelled run has begun is not waited for.
    runtime.shutdown_background();
    Ok(ExitCode::from(code))
}

async fn step(publish: Option<PathBuf>) -> Result<u8> {
    let environment = Environment::of_process();
    let (event, idle) = Event::read(&environment)?;
    let mut inputs = Inputs::read(&environment, &event)?;
    inputs.publish = publish.or(inputs.publish);
    let workspace = Workspace::enter(&environment, &inputs.spec)?;
    let desk = Desk::new(&environment, &inputs, say);
    let cache = inputs.cache.as_deref().map(|folder| Cache::open(folder, MOST_BYTES)).transpose()?.map(Arc::new);
    let programs = if inputs.allow_process { Programs::allowed(say_of_program) } else { Programs::default() };
    let (environment, event, inputs, started) = (&environment, &event, &inputs, Instant::now());
    let step = Step { environment, event, inputs, workspace, desk, cache, programs, started };
    let code = match (&inputs.publish, idle) {
        (Some(folder), _) => publish::record(&step, folder).await?,
        (None, Some(why)) => step.nothing(&why),
        (None, None) => step.judge().await?,
    };
    let strict = inputs.strict_publish && step.desk.is_troubled();
    Ok(if strict && code == 0 { NOTHING_JUDGED } else { code })
}

impl Step<'_> {
    async fn judge(&self) -> Result<u8> {
        files::clear(&self.inputs.out)?;
        let mut signals = pin!(interrupted());
        let start = tokio::select! {
            start = self.start() => start,
            code = &mut signals => return Ok(code),
        };
        let (judging, subject) = match start {
            Start::Ready(judging, subject) => (judging, subject),
            Start::Nothing(why) => return Ok(self.nothing(&why)),
            Start::Broken(subject, error) => return self.broken(subject.as_ref(), None, &error).await,
        };
        let mut begin = pin!(self.desk.begin(&subject));
        let check = tokio::select! {
            check = &mut begin => check,
            code = &mut signals => {
                let check = timeout(GRACE, begin).await.ok().flatten();
                return self.cancelled(&subject, check, code).await;
            }
        };
        let end = tokio::select! {
            end = self.run(judging.case, &subject.suite) => end,
            code = &mut signals => return self.cancelled(&subject, check, code).await,
        };
        match end {
            Ok(report) => self.judged(&subject, check, &report, &judging.lines).await,
            Err(error) => self.broken(Some(&subject), check, &error).await,
        }
    }

    /// What judges, and what is reported on.
    async fn start(&self) -> Start {
        let base = match self.base().await {
            Ok(base) => base,
            Err(error) => return Start::Broken(None, error),
        };
        // The base's spec names the check run even where the one of the pull request cannot be read.
        let known = base.spec().and_then(|spec| self.subject(spec).ok()?);
        let judging = match self.judging(base).await {
            Ok(judging) => judging,
            Err(error) => return Start::Broken(known, error),
        };
        match self.subject(&judging.case.spec) {
            Ok(Some(subject)) => Start::Ready(Box::new(judging), subject),
            Ok(None) => Start::Nothing(format!("no suite of the spec runs on {}", self.happened())),
            Err(error) => Start::Broken(None, error),
        }
    }

    /// The spec of the base of a pull request, as it is.
    async fn base(&self) -> Result<policy::AtBase> {
        match (&self.event.base, self.event.is_pull_request()) {
            (Some(base), true) => policy::of_base(&self.workspace, base, self.desk.github()).await,
            (None, true) => Err(anyhow!("the event names no base commit, so it cannot be told whose policy judges")),
            (_, false) => Ok(policy::AtBase::Absent),
        }
    }

    async fn judging(&self, base: policy::AtBase) -> Result<Judging> {
        let (workspace, event, github) = (&self.workspace, self.event, self.desk.github());
        let candidate = self.inputs.candidate.as_deref();
        match event.trigger {
            Trigger::PullRequest => policy::of_pull_request(workspace, event, base, github).await,
            Trigger::PullRequestTarget => policy::of_target(workspace, event, self.environment, base, candidate),
            _ => policy::of_checkout(workspace),
        }
    }

    /// What is reported on; `None` where no suite runs.
    fn subject(&self, spec: &Spec) -> Result<Option<Subject>> {
        let by_hand = self.event.name == "workflow_dispatch";
        let suite = match &self.inputs.suite {
            Some(suite) => Some(spec.select(Some(suite))?.suite),
            None => spec.suite_on(by_hand, |on| self.event.selects(on))?,
        };
        Ok(suite.map(|suite| Subject {
            gate: spec.written.model.name.clone(),
            suite,
            head: self.event.head.clone(),
            pull_request: self.event.pull_request.as_ref().map(|pull_request| pull_request.number),
            run: self.run_number(),
            url: self.environment.run_url(),
        }))
    }

    /// The run and its attempt, which order the reports of several.
    fn run_number(&self) -> (u64, u64) {
        let number = |name| self.environment.get(name).and_then(|text| text.parse().ok()).unwrap_or_default();
        (number("GITHUB_RUN_ID"), number("GITHUB_RUN_ATTEMPT"))
    }

    async fn run(&self, case: Case, suite: &str) -> Result<Report> {
        let Inputs { candidate, baseline, threads, memory, .. } = self.inputs.clone();
        let session = Settings { memory, ..Settings::threads(threads.unwrap_or_else(processors)) };
        let cache = self.cache.clone();
        let (suite, programs) = (Some(suite.to_owned()), self.programs.clone());
        let options = Options { suite, candidate, baseline, session, cluster: None, cache, programs };
        let handle = tokio::runtime::Handle::current();
        // On a thread of its own, so that a signal is heard while files are read.
        let judging = tokio::task::spawn_blocking(move || {
            handle.block_on(gate::run(case, &options, &Arc::new(Progress::default())))
        });
        judging.await.unwrap_or_else(|panic| Err(anyhow!(panic).context("a defect of modelgate")))
    }

    async fn judged(&self, subject: &Subject, check: Option<CheckRun>, report: &Report, lines: &Lines) -> Result<u8> {
        let threads = self.inputs.threads.unwrap_or_else(processors);
        let cache = self.cache.as_deref();
        let written = files::write(&self.inputs.out, report, &files::Circumstances::of(threads, cache, self.started))?;
        for refused in cache.map(Cache::used).unwrap_or_default().refused {
            say(&runner::message(runner::Level::Warning, &render::refused(&refused)?));
        }
        say(&runner::inert(&render::terminal(report, &written)?));
        let mut message = message::of_report(report, &self.workspace.spec, lines)?;
        message.outputs.extend(files_of(&self.inputs.out));
        self.tell(subject, check, &message).await;
        Ok(report.record.verdict.exit_code())
    }

    async fn tell(&self, subject: &Subject, check: Option<CheckRun>, message: &Message) {
        self.desk.tell_runner(message);
        self.desk.tell_github(subject, check, message).await;
    }

    /// Nothing was judged, because something is broken. Said wherever something can be said.
    async fn broken(&self, subject: Option<&Subject>, check: Option<CheckRun>, error: &anyhow::Error) -> Result<u8> {
        say(&runner::inert(&error_text(error, false)));
        let message = of_error(subject.map(|subject| subject.gate.as_str()), error, &self.workspace.spec)?;
        let Some(subject) = subject else {
            self.desk.tell_runner(&message);
            return Ok(NOTHING_JUDGED);
        };
        let check = match check {
            Some(check) => Some(check),
            None => self.desk.begin(subject).await,
        };
        self.tell(subject, check, &message).await;
        Ok(NOTHING_JUDGED)
    }

    async fn cancelled(&self, subject: &Subject, check: Option<CheckRun>, code: u8) -> Result<u8> {
        self.programs.end();
        let message = message::note(Some(&subject.gate), "cancelled", "the run was cancelled", Conclusion::Cancelled)?;
        // What does not arrive in time is not worth being killed for.
        let _ = timeout(GRACE, self.tell(subject, check, &message)).await;
        Ok(code)
    }

    /// There is nothing to do, which is a success with its reason.
    fn nothing(&self, why: &str) -> u8 {
        say(&runner::inert(&format!("nothing to judge: {why}\n")));
        if let Ok(message) = message::note(None, "not applicable", why, Conclusion::Success) {
            self.desk.tell_runner(&message);
        }
        0
    }

    fn happened(&self) -> String {
        match &self.event.trigger {
            Trigger::Branch(branch) => format!("a push to `{branch}`"),
            Trigger::Tag(tag) => format!("the tag `{tag}`"),
            _ => format!("`{}`", self.event.name),
        }
    }
}

/// The outputs that are paths.
fn files_of(out: &Path) -> Vec<(&'static str, String)> {
    let path = |name: &str| out.join(name).display().to_string();
    vec![("record", path("record.json")), ("report", path("report.md")), ("html", path("report.html"))]
}

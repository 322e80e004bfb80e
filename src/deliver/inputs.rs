//! The inputs of the action, each read once.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::environment::Environment;
use super::event::Event;
use crate::engine::Memory;

/// The time for talking to GitHub, unless given.
const PUBLISH_SECONDS: u64 = 120;

/// What the workflow asks for.
#[derive(Debug, Clone)]
pub struct Inputs {
    /// The spec, relative to the workspace.
    pub spec: String,
    /// The suite; without it the event decides.
    pub suite: Option<String>,
    /// Judges this model instead of the spec's candidate.
    pub candidate: Option<String>,
    /// Compares with this model instead of the spec's baseline.
    pub baseline: Option<String>,
    /// The number of threads.
    pub threads: Option<usize>,
    /// What the engine may hold in memory.
    pub memory: Option<Memory>,
    /// The folder of the scores that are kept from run to run.
    pub cache: Option<PathBuf>,
    /// Whether the spec may start programs.
    pub allow_process: bool,
    /// The folder of the reports.
    pub out: PathBuf,
    /// The token.
    pub token: Option<String>,
    /// Whether there is a check run.
    pub check: bool,
    /// Whether there is a commit status.
    pub status: bool,
    /// Whether there is a job summary.
    pub summary: bool,
    /// Whether the lines of the spec are annotated.
    pub annotations: bool,
    /// When there is a comment.
    pub comment: CommentMode,
    /// Whether trouble with GitHub fails the step.
    pub strict_publish: bool,
    /// Publishes the record of this folder instead of judging.
    pub publish: Option<PathBuf>,
    /// The time for talking to GitHub, altogether.
    pub allowance: Duration,
}

/// When a pull request gets a comment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommentMode {
    /// Never.
    Off,
    /// When the gate blocks, and then until it no longer does.
    Failures,
    /// When there is something to say that was not said before: a first verdict that is no pass, or another one.
    OnChange,
    /// Always.
    Always,
}

impl Inputs {
    /// The inputs, and what a person wrote who started the workflow by hand.
    ///
    /// # Errors
    /// When an input is not of its kind.
    pub fn read(environment: &Environment, event: &Event) -> Result<Self> {
        let given = |id: &str| environment.input(id).map(str::to_owned).or_else(|| event.inputs.get(id).cloned());
        let threads = environment.number("threads")?.map(usize::try_from).transpose()?;
        let memory = environment.input("memory").map(str::parse).transpose().context("the input `memory`")?;
        let seconds = environment.number("publish_seconds")?.unwrap_or(PUBLISH_SECONDS);
        let cache = environment.input("cache").or_else(|| environment.get("MODELGATE_CACHE"));
        Ok(Self {
            spec: environment.input("spec").unwrap_or("modelgate.yaml").to_owned(),
            suite: given("suite"),
            candidate: given("candidate"),
            baseline: given("baseline"),
            threads,
            memory,
            cache: cache.map(PathBuf::from),
            allow_process: environment.flag("allow_process", false)?,
            out: environment.input("out").unwrap_or(".modelgate").into(),
            token: environment.token().map(str::to_owned),
            check: environment.flag("check", true)?,
            status: environment.flag("status", false)?,
            summary: environment.flag("summary", true)?,
            annotations: environment.flag("annotations", true)?,
            comment: comment(environment)?,
            strict_publish: environment.flag("strict_publish", false)?,
            publish: environment.input("publish").map(PathBuf::from),
            allowance: Duration::from_secs(seconds),
        })
    }
}

fn comment(environment: &Environment) -> Result<CommentMode> {
    Ok(match environment.input("comment") {
        Some("off") => CommentMode::Off,
        Some("failures") => CommentMode::Failures,
        None | Some("on-change") => CommentMode::OnChange,
        Some("always") => CommentMode::Always,
        Some(other) => bail!("the input `comment` is {other:?}: write off, failures, on-change or always"),
    })
}

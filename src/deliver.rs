//! Where the results of a run go: files first, then the log, the job summary, the outputs, the annotations, the check run,
//! the commit status and the comment. What comes later changes nothing of what came before.

use std::cell::Cell;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use crate::report::render;
use check_run::{CheckRun, Conclusion, Identity, Output};
use comment::{Comment, Marker, Standing};
use environment::Environment;
use github::trouble::Trouble;
use github::{GitHub, segment};
use inputs::{CommentMode, Inputs};
use runner::{Annotation, Level};

pub mod check_run;
pub mod comment;
pub mod environment;
pub mod event;
pub mod files;
pub mod github;
pub mod inputs;
pub mod policy;
pub mod runner;

/// The annotations of one level that the runner shows of one step.
const SHOWN_BY_RUNNER: usize = 10;
/// The characters of the description of a commit status.
const DESCRIPTION: usize = 140;

/// What is said of a run, in the forms of the surfaces.
#[derive(Debug)]
pub struct Message {
    /// How things stand; `None` where that is no verdict, because nothing was to do or the run was cancelled.
    pub standing: Option<Standing>,
    /// How the check run ends.
    pub conclusion: Conclusion,
    /// One line.
    pub title: String,
    /// Markdown for the check run and the comment.
    pub text: String,
    /// Markdown for the job summary.
    pub summary: String,
    /// What is said beside lines of the spec.
    pub remarks: Vec<Remark>,
    /// The outputs of the step.
    pub outputs: Vec<(&'static str, String)>,
}

/// What is said beside a line.
#[derive(Debug, Clone)]
pub struct Remark {
    /// How loud.
    pub level: Level,
    /// The file, relative to the repository.
    pub path: String,
    /// The line.
    pub line: usize,
    /// The claim.
    pub title: String,
    /// What was found.
    pub message: String,
}

impl Remark {
    fn annotation(&self) -> Annotation<'_> {
        let Self { level, path, line, title, message } = self;
        Annotation { level: *level, path, line: *line, title, message }
    }
}

/// What tells the report of one gate and suite on one commit from others.
#[derive(Debug, Clone)]
pub struct Subject {
    /// The gate.
    pub gate: String,
    /// The suite.
    pub suite: String,
    /// The commit that is reported on.
    pub head: String,
    /// The number of the pull request.
    pub pull_request: Option<u64>,
    /// The run and its attempt.
    pub run: (u64, u64),
    /// Where the run can be read.
    pub url: Option<String>,
}

impl Subject {
    fn identity(&self) -> Identity {
        let Self { gate, suite, head, run: (run, attempt), url, .. } = self;
        Identity {
            name: format!("Model gate: {gate} ({suite})"),
            external_id: format!("modelgate:{gate}:{suite}:{run}:{attempt}"),
            head: head.clone(),
            url: url.clone(),
        }
    }
}

/// Speaks to the runner and to GitHub, as far as the workflow allows, and remembers whether something went wrong.
pub struct Desk<'d> {
    environment: &'d Environment,
    inputs: &'d Inputs,
    github: Option<GitHub>,
    print: fn(&str),
    troubled: Cell<bool>,
}

impl<'d> Desk<'d> {
    /// A desk that prints through a function. Must be called within a runtime.
    #[must_use]
    pub fn new(environment: &'d Environment, inputs: &'d Inputs, print: fn(&str)) -> Self {
        let mut desk = Self { environment, inputs, github: None, print, troubled: Cell::new(false) };
        let token = inputs.token.as_deref();
        match token.map(|token| GitHub::connect(environment, Some(token), inputs.allowance)).transpose() {
            Ok(github) => desk.github = github,
            Err(error) => desk.warn("result", &format!("{error:#}"), &[]),
        }
        desk
    }

    /// GitHub, where there is a token.
    #[must_use]
    pub fn github(&self) -> Option<&GitHub> {
        self.github.as_ref()
    }

    /// Whether something was not delivered.
    #[must_use]
    pub fn is_troubled(&self) -> bool {
        self.troubled.get()
    }

    /// Begins the check run, so that a verdict of an earlier attempt does not stand while this one runs.
    pub async fn begin(&self, subject: &Subject) -> Option<CheckRun> {
        let github = self.github().filter(|_| self.inputs.check)?;
        let title = "judging".to_owned();
        let output = Output { summary: title.clone(), title };
        let begun = CheckRun::begin(github, &subject.identity(), &output).await;
        self.delivered("check run", begun)
    }

    /// Tells the runner, which needs no token: the job summary, the outputs, and the lines of the spec.
    pub fn tell_runner(&self, message: &Message) {
        if self.inputs.summary {
            self.append("GITHUB_STEP_SUMMARY", "job summary", &message.summary);
        }
        let outputs: String = message.outputs.iter().map(|(name, value)| runner::output(name, value)).collect();
        self.append("GITHUB_OUTPUT", "outputs", &outputs);
        if self.inputs.annotations {
            for level in [Level::Error, Level::Warning, Level::Notice] {
                let remarks = message.remarks.iter().filter(|remark| remark.level == level).take(SHOWN_BY_RUNNER);
                remarks.for_each(|remark| (self.print)(&runner::annotation(&remark.annotation())));
            }
        }
    }

    /// Tells GitHub: the check run, the commit status, the comment, and the outputs that are known only then.
    pub async fn tell_github(&self, subject: &Subject, begun: Option<CheckRun>, message: &Message) {
        let Some(github) = self.github() else { return };
        let check = self.end(github, begun, message).await;
        let url = check.as_ref().and_then(|check| check.html_url.clone());
        self.output("check-url", url.as_deref());
        if self.inputs.status {
            let told = status(github, subject, message, url.as_deref()).await;
            self.delivered("commit status", told);
        }
        if let (Some(number), Some(standing)) = (subject.pull_request, message.standing) {
            let marker = Marker::new(&subject.gate, &subject.suite, standing, &subject.head, subject.run);
            let comment = Comment { pull_request: number, marker, text: &message.text };
            let told = comment::deliver(github, self.inputs.comment, &comment).await;
            let url = self.delivered("comment", told).flatten();
            self.output("comment-url", url.as_deref());
        }
    }

    async fn end(&self, github: &GitHub, begun: Option<CheckRun>, message: &Message) -> Option<CheckRun> {
        let check = begun?;
        let output = Output { title: message.title.clone(), summary: message.text.clone() };
        let annotations: Vec<Annotation<'_>> = message.remarks.iter().map(Remark::annotation).collect();
        let ended = check.end(github, message.conclusion, &output, &annotations).await;
        self.delivered("check run", ended);
        Some(check)
    }

    fn output(&self, name: &'static str, value: Option<&str>) {
        if let Some(value) = value {
            self.append("GITHUB_OUTPUT", "outputs", &runner::output(name, value));
        }
    }

    /// What was delivered, or a warning.
    fn delivered<T>(&self, channel: &str, told: Result<T, Trouble>) -> Option<T> {
        match told {
            Ok(told) => Some(told),
            Err(trouble) => {
                let lacks = matches!(trouble, Trouble::Permission | Trouble::Absent);
                let permissions = if lacks { self.permissions() } else { Vec::new() };
                self.warn(channel, &trouble.to_string(), &permissions);
                None
            }
        }
    }

    /// What the token must be allowed to write. Whoever names one permission takes all others away, so all are named.
    fn permissions(&self) -> Vec<&'static str> {
        let Inputs { check, status, comment, .. } = self.inputs;
        let wanted = [(*check, "checks"), (*comment != CommentMode::Off, "pull-requests"), (*status, "statuses")];
        wanted.into_iter().filter(|(wanted, _)| *wanted).map(|(_, scope)| scope).collect()
    }

    fn warn(&self, channel: &str, trouble: &str, permissions: &[&str]) {
        self.troubled.set(true);
        let text = render::undelivered(channel, trouble, permissions).unwrap_or_else(|error| error.to_string());
        (self.print)(&runner::message(Level::Warning, &text));
    }

    /// Adds to a file that the runner reads when the step ends.
    fn append(&self, variable: &str, channel: &str, text: &str) {
        let Some(path) = self.environment.get(variable) else { return };
        if let Err(error) = append(Path::new(path), text) {
            self.warn(channel, &format!("{error:#}"), &[]);
        }
    }
}

fn append(path: &Path, text: &str) -> Result<()> {
    let context = || format!("`{}` cannot be written", path.display());
    let mut file = OpenOptions::new().create(true).append(true).open(path).with_context(context)?;
    file.write_all(text.as_bytes()).with_context(context)
}

async fn status(github: &GitHub, subject: &Subject, message: &Message, url: Option<&str>) -> Result<(), Trouble> {
    let state = match (message.conclusion, message.standing) {
        (Conclusion::Success, _) => "success",
        (_, Some(Standing::Error) | None) => "error",
        _ => "failure",
    };
    let mut body = json!({
        "state": state,
        "context": format!("modelgate/{}/{}", subject.gate, subject.suite),
        "description": message.title.chars().take(DESCRIPTION).collect::<String>(),
    });
    if let (Some(url), Some(fields)) = (url.or(subject.url.as_deref()), body.as_object_mut()) {
        fields.insert("target_url".to_owned(), json!(url));
    }
    // The same status once more changes nothing, so there is nothing to look for.
    let route = format!("statuses/{}", segment(&subject.head));
    github.create(&route, &body, async || Ok(None::<Value>)).await.map(|_| ())
}

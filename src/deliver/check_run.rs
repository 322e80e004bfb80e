//! The check run on the head commit: begun before the run, and brought to an end whatever happens.

use serde::Deserialize;
use serde_json::{Value, json};

use super::github::trouble::Trouble;
use super::github::{GitHub, parameter, segment};
use super::runner::{Annotation, Level};

/// The most annotations that one request may carry.
const BATCH: usize = 50;
/// The most annotations of a check run: failures come first, and nobody reads more.
const MOST: usize = 200;

/// How a check run ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Conclusion {
    /// The gate lets the candidate through.
    Success,
    /// The gate blocks, or nothing was judged.
    Failure,
    /// The run was cancelled.
    Cancelled,
}

impl Conclusion {
    fn name(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Cancelled => "cancelled",
        }
    }
}

/// What a reader of a check run sees.
#[derive(Debug, Clone)]
pub struct Output {
    /// One line.
    pub title: String,
    /// Markdown.
    pub summary: String,
}

/// What tells this run's check run from others.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The name, the same on every run, since required checks are matched by it.
    pub name: String,
    /// The gate, its suite, the run and the attempt.
    pub external_id: String,
    /// The commit.
    pub head: String,
    /// Where the run can be read.
    pub url: Option<String>,
}

/// A check run that has been made.
#[derive(Debug, Clone, Deserialize)]
pub struct CheckRun {
    id: u64,
    external_id: Option<String>,
    /// Its page.
    pub html_url: Option<String>,
    #[serde(default)]
    output: Counted,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Counted {
    annotations_count: usize,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct CheckRuns {
    check_runs: Vec<CheckRun>,
}

impl CheckRun {
    /// Begins a check run.
    ///
    /// # Errors
    /// [`Trouble`].
    pub async fn begin(github: &GitHub, identity: &Identity, output: &Output) -> Result<Self, Trouble> {
        let mut body = json!({
            "name": identity.name,
            "head_sha": identity.head,
            "status": "in_progress",
            "external_id": identity.external_id,
            "output": { "title": output.title, "summary": output.summary },
        });
        if let (Some(url), Some(fields)) = (&identity.url, body.as_object_mut()) {
            fields.insert("details_url".to_owned(), json!(url));
        }
        github.create("check-runs", &body, async || Self::find(github, identity).await).await
    }

    async fn find(github: &GitHub, identity: &Identity) -> Result<Option<Self>, Trouble> {
        let (head, name) = (segment(&identity.head), parameter(&identity.name));
        let route = format!("commits/{head}/check-runs?check_name={name}&filter=all&per_page=100");
        let found: CheckRuns = github.get_once(&route).await?;
        let ours = |run: &Self| run.external_id.as_deref() == Some(&identity.external_id);
        Ok(found.check_runs.into_iter().find(ours))
    }

    /// Ends the check run: the conclusion with the first annotations, then the others. Where GitHub refuses what is said,
    /// it ends with a few words, since a check run that never ends blocks for two weeks.
    ///
    /// # Errors
    /// [`Trouble`].
    pub async fn end(
        &self,
        github: &GitHub,
        conclusion: Conclusion,
        output: &Output,
        annotations: &[Annotation<'_>],
    ) -> Result<(), Trouble> {
        let route = format!("check-runs/{}", self.id);
        let told: Vec<Value> = annotations.iter().take(MOST).map(annotation).collect();
        let first = &told[..told.len().min(BATCH)];
        let ended = json!({ "status": "completed", "conclusion": conclusion.name(), "output": said(output, first) });
        if let Err(trouble) = self.send(github, &route, &ended, first.len()).await {
            let Trouble::Refused(_) = trouble else { return Err(trouble) };
            let short = Output { title: output.title.clone(), summary: output.title.clone() };
            let ended = json!({ "status": "completed", "conclusion": conclusion.name(), "output": said(&short, &[]) });
            github.change(&route, &ended).await?;
            return Err(trouble);
        }
        for (number, batch) in told.chunks(BATCH).enumerate().skip(1) {
            let body = json!({ "output": said(output, batch) });
            self.send(github, &route, &body, number * BATCH + batch.len()).await?;
        }
        Ok(())
    }

    /// Sends annotations, which GitHub adds to those that are there: a repetition must not add them twice.
    async fn send(&self, github: &GitHub, route: &str, body: &Value, total: usize) -> Result<(), Trouble> {
        let arrived = async || {
            let now: Self = github.get_once(route).await?;
            Ok((total > 0 && now.output.annotations_count >= total).then_some(Value::Null))
        };
        github.add(route, body, arrived).await
    }
}

fn said(output: &Output, annotations: &[Value]) -> Value {
    let mut said = json!({ "title": output.title, "summary": output.summary });
    if let (false, Some(fields)) = (annotations.is_empty(), said.as_object_mut()) {
        fields.insert("annotations".to_owned(), json!(annotations));
    }
    said
}

fn annotation(annotation: &Annotation<'_>) -> Value {
    let level = match annotation.level {
        Level::Error => "failure",
        Level::Warning => "warning",
        Level::Notice => "notice",
    };
    json!({
        "path": annotation.path,
        "start_line": annotation.line,
        "end_line": annotation.line,
        "annotation_level": level,
        "title": plain(annotation.title, 255),
        "message": plain(annotation.message, 4_000),
    })
}

/// A text of bounded length, in characters of the basic plane: GitHub has refused others here.
fn plain(text: &str, most: usize) -> String {
    text.chars().take(most).map(|c| if u32::from(c) > 0xffff { '\u{fffd}' } else { c }).collect()
}

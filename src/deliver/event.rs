//! What happened on GitHub, and what it means for the gate: which suite runs, which commit is reported on, and which one
//! it is compared with.
//!
//! The file at `GITHUB_EVENT_PATH` resembles the webhook's payload and is not equal to it, so only what is needed is
//! read, and everything may be absent.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde::Deserialize;
use serde_json::Value;

use super::environment::Environment;
use crate::spec::event::selects;

/// More than the largest payload that GitHub delivers, 25 MiB.
const MOST_BYTES: u64 = 32 << 20;

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The event's name: `pull_request`.
    pub name: String,
    /// What is known of this kind of event.
    pub trigger: Trigger,
    /// The commit to report on: the head, never the commit of a test merge.
    pub head: String,
    /// The commit that the head is compared with, whose policy judges a pull request.
    pub base: Option<String>,
    /// The pull request.
    pub pull_request: Option<PullRequest>,
    /// What a person wrote who started the workflow by hand.
    pub inputs: BTreeMap<String, String>,
}

/// What is known of a kind of event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trigger {
    /// `pull_request`.
    PullRequest,
    /// `pull_request_target`: with a token that may write, so nothing of the pull request may run.
    PullRequestTarget,
    /// A push to a branch.
    Branch(String),
    /// A push of a tag.
    Tag(String),
    /// A release.
    Release,
    /// The end of another workflow, whose head is reported on.
    Workflow(Workflow),
    /// `merge_group`, `workflow_dispatch`, `schedule`, and every event that is not known here.
    Other,
}

/// A pull request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PullRequest {
    /// Its number.
    pub number: u64,
    /// Who opened it.
    pub author: String,
}

/// A workflow that ended.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub struct Workflow {
    /// How it ended: `success`.
    pub conclusion: Option<String>,
    /// The branch that it ran on.
    pub head_branch: Option<String>,
    /// The repository of that branch; a fork's, perhaps.
    pub head_repository: Option<Repository>,
    /// The commit that it ran on.
    head_sha: Option<String>,
    /// The run, which orders its report among others.
    pub id: u64,
    /// The attempt of the run.
    pub run_attempt: u64,
}

/// A repository.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub struct Repository {
    /// Its owner.
    pub owner: User,
}

/// A person, an organisation or a program.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub struct User {
    /// The login.
    pub login: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Payload {
    action: Option<String>,
    before: Option<String>,
    deleted: Option<bool>,
    head_commit: Option<Commit>,
    inputs: Option<BTreeMap<String, Value>>,
    merge_group: Option<MergeGroup>,
    pull_request: Option<Pull>,
    workflow_run: Option<Workflow>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Commit {
    id: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct MergeGroup {
    base_sha: Option<String>,
    head_sha: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Pull {
    base: Reference,
    head: Reference,
    number: u64,
    user: Option<User>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Reference {
    sha: Option<String>,
}

impl Event {
    /// The event that this run is for, and why it asks for nothing, where that is so.
    ///
    /// # Errors
    /// When the runner's variables are absent or its file cannot be read.
    pub fn read(environment: &Environment) -> Result<(Self, Option<String>)> {
        let name = environment.need("GITHUB_EVENT_NAME")?;
        let path = Path::new(environment.need("GITHUB_EVENT_PATH")?);
        let payload: Payload = serde_json::from_slice(&read(path)?)
            .with_context(|| format!("the event file `{}` is not what GitHub writes", path.display()))?;
        let event = Self::of(name, &payload, environment)?;
        let idle = event.idle(&payload);
        Ok((event, idle))
    }

    fn of(name: &str, payload: &Payload, environment: &Environment) -> Result<Self> {
        let sha = environment.need("GITHUB_SHA")?;
        let pull = payload.pull_request.as_ref().filter(|_| name.starts_with("pull_request"));
        let trigger = trigger(name, payload, environment);
        let head = head(&trigger, name, payload).unwrap_or(sha).to_owned();
        let pull_request = pull.map(|pull| PullRequest {
            number: pull.number,
            author: pull.user.as_ref().map(|user| user.login.clone()).unwrap_or_default(),
        });
        let base = base(name, payload).map(str::to_owned);
        Ok(Self { name: name.to_owned(), trigger, head, base, pull_request, inputs: inputs(payload) })
    }

    /// Whether an entry below `on` of a suite means this event.
    #[must_use]
    pub fn selects(&self, on: &str) -> bool {
        match &self.trigger {
            Trigger::Branch(branch) => selects(on, "push", Some(branch)),
            Trigger::Tag(tag) => selects(on, "tag", Some(tag)),
            _ => selects(on, &self.name, None),
        }
    }

    /// Whether the policy of the base judges.
    #[must_use]
    pub fn is_pull_request(&self) -> bool {
        matches!(self.trigger, Trigger::PullRequest | Trigger::PullRequestTarget)
    }

    fn idle(&self, payload: &Payload) -> Option<String> {
        let action = payload.action.as_deref().unwrap_or_default();
        match (self.name.as_str(), action) {
            ("pull_request" | "pull_request_target", "closed") => Some("the pull request was closed".to_owned()),
            ("release", action) if action != "published" => Some(format!("the release was {action}, not published")),
            ("merge_group", "destroyed") => Some("the merge group was given up".to_owned()),
            ("push", _) if payload.deleted == Some(true) => Some("the branch or the tag was deleted".to_owned()),
            _ => None,
        }
    }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    let context = || format!("the event file `{}` cannot be read", path.display());
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(MOST_BYTES).read_to_end(&mut bytes)).with_context(context)?;
    Ok(bytes)
}

fn trigger(name: &str, payload: &Payload, environment: &Environment) -> Trigger {
    let reference = || environment.get("GITHUB_REF_NAME").unwrap_or_default().to_owned();
    match name {
        "pull_request" => Trigger::PullRequest,
        "pull_request_target" => Trigger::PullRequestTarget,
        "push" if environment.tag().is_some() => Trigger::Tag(reference()),
        "push" => Trigger::Branch(reference()),
        "release" => Trigger::Release,
        "workflow_run" => Trigger::Workflow(payload.workflow_run.clone().unwrap_or_default()),
        _ => Trigger::Other,
    }
}

/// The commit that is not `GITHUB_SHA`: the head of a pull request and not its test merge, what another workflow ran on,
/// and of an annotated tag the commit.
fn head<'p>(trigger: &'p Trigger, name: &str, payload: &'p Payload) -> Option<&'p str> {
    let id = match trigger {
        Trigger::PullRequest | Trigger::PullRequestTarget => payload.pull_request.as_ref()?.head.sha.as_deref(),
        Trigger::Workflow(workflow) => workflow.head_sha.as_deref(),
        Trigger::Tag(_) => payload.head_commit.as_ref().map(|commit| commit.id.as_str()),
        Trigger::Other if name == "merge_group" => payload.merge_group.as_ref()?.head_sha.as_deref(),
        _ => None,
    };
    id.filter(|id| is_commit(id))
}

fn base<'p>(name: &str, payload: &'p Payload) -> Option<&'p str> {
    let id = match name {
        "pull_request" | "pull_request_target" => payload.pull_request.as_ref()?.base.sha.as_deref(),
        "merge_group" => payload.merge_group.as_ref()?.base_sha.as_deref(),
        "push" => payload.before.as_deref(),
        _ => None,
    };
    // A new branch comes after a commit of zeros.
    id.filter(|id| is_commit(id) && id.bytes().any(|byte| byte != b'0'))
}

/// Whether a text is the name of a commit, so that it may stand in a path or a command line.
fn is_commit(id: &str) -> bool {
    matches!(id.len(), 40 | 64) && id.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn inputs(payload: &Payload) -> BTreeMap<String, String> {
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.trim().to_owned()).filter(|text| !text.is_empty()),
        Value::Null => None,
        other => Some(other.to_string()),
    };
    let given = payload.inputs.iter().flatten();
    given.filter_map(|(name, value)| Some((name.clone(), text(value)?))).collect()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
mod tests;

//! Publishing the record of another run: the second workflow of a pull request from a fork, whose first one has a token
//! that only reads.
//!
//! The record comes from a run of untrusted code. It is shown, and believed only as far as GitHub's own word on that run
//! goes; which commit and which pull request it is about is GitHub's word alone.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::time::SystemTime;

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;

use super::{Step, message};
use crate::deliver::check_run::Conclusion;
use crate::deliver::event::{Trigger, Workflow};
use crate::deliver::github::trouble::Trouble;
use crate::deliver::github::{GitHub, parameter};
use crate::deliver::policy::Lines;
use crate::deliver::{Message, Subject};
use crate::record::Record;
use crate::report::Report;

/// More than the record of a gate with thousands of claims.
const MOST_BYTES: u64 = 32 << 20;

/// Publishes the record of a folder.
pub(super) async fn record(step: &Step<'_>, folder: &Path) -> Result<u8> {
    let record = read(&folder.join("record.json"))?;
    let mut subject = Subject {
        gate: record.gate.clone(),
        suite: record.suite.clone(),
        head: step.event.head.clone(),
        pull_request: step.event.pull_request.as_ref().map(|pull_request| pull_request.number),
        run: step.run_number(),
        url: step.environment.run_url(),
    };
    let report = Report::new(record, None, SystemTime::now());
    let mut said = message::of_report(&report, &report.record.inputs.spec.path, &Lines::default())?;
    if let Trigger::Workflow(workflow) = &step.event.trigger {
        subject.run = (workflow.id, workflow.run_attempt);
        subject.pull_request = pull_request(step.desk.github(), workflow, &subject.head).await?;
        doubt(&mut said, workflow);
    }
    let check = step.desk.begin(&subject).await;
    step.tell(&subject, check, &said).await;
    Ok(0)
}

fn read(path: &Path) -> Result<Record> {
    let context = || format!("`{}` cannot be published", path.display());
    let facts = path.symlink_metadata().with_context(context)?;
    ensure!(facts.is_file() && facts.len() <= MOST_BYTES, "`{}` is not a record", path.display());
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(MOST_BYTES).read_to_end(&mut bytes)).with_context(context)?;
    let record: Record = serde_json::from_slice(&bytes).with_context(context)?;
    ensure!(record.version == 1, "`{}` is a record of version {}, not 1", path.display(), record.version);
    Ok(record)
}

/// A record that claims success, of a run that had none, is no success.
fn doubt(said: &mut Message, workflow: &Workflow) {
    let ended = workflow.conclusion.as_deref().unwrap_or("no conclusion");
    if ended != "success" && said.conclusion == Conclusion::Success {
        said.conclusion = Conclusion::Failure;
        said.title = format!("{}, but the run ended with {ended}", said.title);
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Pull {
    number: u64,
    head: Head,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Head {
    sha: String,
}

/// The open pull request whose newest commit the workflow ran on. GitHub's event names none for a fork.
async fn pull_request(github: Option<&GitHub>, workflow: &Workflow, head: &str) -> Result<Option<u64>> {
    let (Some(github), Some(branch), Some(repository)) = (github, &workflow.head_branch, &workflow.head_repository)
    else {
        return Ok(None);
    };
    let wanted = format!("{}:{branch}", repository.owner.login);
    let route = format!("pulls?head={}&state=open&per_page=100", parameter(&wanted));
    let found: Result<Vec<Pull>, Trouble> = github.get(&route).await;
    let found =
        found.context("the pull request of the run cannot be looked up: give the job `pull-requests: write`")?;
    Ok(found.into_iter().find(|pull| pull.head.sha == head).map(|pull| pull.number))
}

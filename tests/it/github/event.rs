//! Events as the runner hands them over: the payload's fields that matter, and some of those that only stand beside them.

use serde_json::{Value, json};

use super::double::REPOSITORY;
use super::toy::Commits;

/// The number of the pull request.
pub(super) const NUMBER: u64 = 7;
/// Who opened it.
pub(super) const AUTHOR: &str = "octocat";
/// Its branch.
pub(super) const BRANCH: &str = "better-model";
/// The owner of the fork that some pull requests come from.
pub(super) const FORK: &str = "octocat";

/// An event: its name, its payload, and the variables that depend on it.
#[derive(Debug, Clone)]
pub(super) struct Event {
    pub(super) name: &'static str,
    pub(super) payload: Value,
    /// `GITHUB_SHA`, which `actions/checkout` puts into the workspace.
    pub(super) sha: String,
    /// `GITHUB_REF`.
    pub(super) reference: &'static str,
    /// `GITHUB_BASE_REF` and `GITHUB_HEAD_REF`; empty where there is no pull request.
    pub(super) base_ref: &'static str,
    pub(super) head_ref: &'static str,
}

impl Event {
    fn new(name: &'static str, reference: &'static str, sha: &str, payload: Value) -> Self {
        let mut payload = payload;
        let common = payload.as_object_mut().unwrap();
        let owner = json!({ "login": "acme", "type": "Organization" });
        let repository = json!({ "full_name": REPOSITORY, "default_branch": "main", "fork": false, "owner": owner });
        common.insert("repository".to_owned(), repository);
        common.insert("sender".to_owned(), json!({ "login": AUTHOR, "type": "User" }));
        Self { name, payload, sha: sha.to_owned(), reference, base_ref: "", head_ref: "" }
    }

    fn of_pull_request(self) -> Self {
        Self { base_ref: "main", head_ref: BRANCH, ..self }
    }

    /// `GITHUB_REF_NAME`.
    pub(super) fn ref_name(&self) -> &'static str {
        let short = |prefix| self.reference.strip_prefix(prefix);
        short("refs/heads/").or_else(|| short("refs/tags/")).or_else(|| short("refs/pull/")).unwrap()
    }

    /// `GITHUB_REF_TYPE`.
    pub(super) fn ref_type(&self) -> &'static str {
        if self.reference.starts_with("refs/tags/") { "tag" } else { "branch" }
    }
}

fn pull(commits: &Commits, action: &str, head_repository: Value) -> Value {
    json!({
        "action": action, "number": NUMBER,
        "pull_request": {
            "number": NUMBER, "draft": false, "labels": [], "user": { "login": AUTHOR, "type": "User" },
            "merge_commit_sha": commits.merge, "body": null,
            "head": { "sha": commits.head, "ref": BRANCH, "label": format!("acme:{BRANCH}"), "repo": head_repository },
            "base": { "sha": commits.base, "ref": "main", "label": "acme:main", "repo": { "full_name": REPOSITORY } },
        },
    })
}

/// From a branch of the repository itself.
pub(super) fn pull_request(commits: &Commits) -> Event {
    let payload = pull(commits, "synchronize", json!({ "full_name": REPOSITORY, "fork": false }));
    Event::new("pull_request", "refs/pull/7/merge", &commits.merge, payload).of_pull_request()
}

/// From a fork that was deleted.
pub(super) fn pull_request_from_deleted_fork(commits: &Commits) -> Event {
    let payload = pull(commits, "opened", Value::Null);
    Event::new("pull_request", "refs/pull/7/merge", &commits.merge, payload).of_pull_request()
}

/// Runs on the base, with a token that may write.
pub(super) fn pull_request_target(commits: &Commits) -> Event {
    let payload = pull(commits, "opened", json!({ "full_name": format!("{FORK}/delays"), "fork": true }));
    Event::new("pull_request_target", "refs/heads/main", &commits.base, payload).of_pull_request()
}

/// Somebody closes the pull request.
pub(super) fn pull_request_closed(commits: &Commits) -> Event {
    let payload = pull(commits, "closed", json!({ "full_name": REPOSITORY, "fork": false }));
    Event::new("pull_request", "refs/pull/7/merge", &commits.merge, payload).of_pull_request()
}

fn push(commits: &Commits, reference: &str, after: &str) -> Value {
    json!({
        "ref": reference, "before": commits.base, "after": after, "created": false, "deleted": false, "forced": false,
        "base_ref": null, "head_commit": { "id": commits.head, "message": "work" },
    })
}

pub(super) fn push_branch(commits: &Commits) -> Event {
    Event::new("push", "refs/heads/main", &commits.head, push(commits, "refs/heads/main", &commits.head))
}

/// Of an annotated tag: what was pushed is the tag's own object.
pub(super) fn push_annotated_tag(commits: &Commits) -> Event {
    let mut payload = push(commits, "refs/tags/v1.0.0", &commits.tag);
    payload["before"] = json!("0".repeat(40));
    Event::new("push", "refs/tags/v1.0.0", &commits.tag, payload)
}

fn release(commits: &Commits, action: &str) -> Event {
    let release = json!({ "id": 1, "tag_name": "v1.0.0", "draft": false, "prerelease": false, "assets": [] });
    Event::new("release", "refs/tags/v1.0.0", &commits.head, json!({ "action": action, "release": release }))
}

pub(super) fn release_published(commits: &Commits) -> Event {
    release(commits, "published")
}

pub(super) fn release_edited(commits: &Commits) -> Event {
    release(commits, "edited")
}

/// By hand, with the inputs that a person typed.
pub(super) fn workflow_dispatch(commits: &Commits) -> Event {
    let inputs = json!({ "suite": "release", "candidate": "column:score_old", "baseline": "" });
    let payload = json!({ "inputs": inputs, "ref": "refs/heads/main", "workflow": ".github/workflows/gate.yml" });
    Event::new("workflow_dispatch", "refs/heads/main", &commits.head, payload)
}

/// By hand, of a workflow without inputs.
pub(super) fn workflow_dispatch_plain(commits: &Commits) -> Event {
    let payload = json!({ "inputs": null, "ref": "refs/heads/main", "workflow": ".github/workflows/gate.yml" });
    Event::new("workflow_dispatch", "refs/heads/main", &commits.head, payload)
}

pub(super) fn schedule(commits: &Commits) -> Event {
    Event::new("schedule", "refs/heads/main", &commits.head, json!({ "schedule": "17 4 * * 1" }))
}

pub(super) fn merge_group(commits: &Commits) -> Event {
    let group = json!({
        "head_sha": commits.merge, "head_ref": "refs/heads/gh-readonly-queue/main/pr-7-0123456",
        "base_sha": commits.base, "base_ref": "refs/heads/main", "head_commit": { "id": commits.merge },
    });
    let payload = json!({ "action": "checks_requested", "merge_group": group });
    Event::new("merge_group", "refs/heads/gh-readonly-queue/main/pr-7-0123456", &commits.merge, payload)
}

/// After a workflow on the pull request of a fork, which succeeded.
pub(super) fn workflow_run(commits: &Commits) -> Event {
    after_workflow(commits, "success")
}

/// After one that failed.
pub(super) fn workflow_run_failed(commits: &Commits) -> Event {
    after_workflow(commits, "failure")
}

fn after_workflow(commits: &Commits, conclusion: &str) -> Event {
    let owner = json!({ "login": FORK, "type": "User" });
    let head = json!({ "full_name": format!("{FORK}/delays"), "fork": true, "owner": owner });
    let run = json!({
        "id": 900, "run_attempt": 1, "event": "pull_request", "status": "completed", "conclusion": conclusion,
        "head_sha": commits.head, "head_branch": BRANCH, "head_repository": head, "pull_requests": [],
    });
    let payload = json!({ "action": "completed", "workflow_run": run, "workflow": { "name": "gate" } });
    Event::new("workflow_run", "refs/heads/main", &commits.base, payload)
}

/// One that nothing is known of.
pub(super) fn discussion(commits: &Commits) -> Event {
    let payload = json!({ "action": "created", "discussion": { "number": 3, "title": "hello" } });
    Event::new("discussion", "refs/heads/main", &commits.head, payload)
}

/// One that no suite of the spec asks for.
pub(super) fn watch(commits: &Commits) -> Event {
    Event::new("watch", "refs/heads/main", &commits.head, json!({ "action": "started" }))
}

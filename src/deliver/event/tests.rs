//! Events as the runner describes them: which commit is reported on, and against which.

use serde_json::{Value, json};
use tempfile::NamedTempFile;

use super::*;

const HEAD: &str = "1111111111111111111111111111111111111111";
const BASE: &str = "2222222222222222222222222222222222222222";
const MERGE: &str = "3333333333333333333333333333333333333333";
const TAG_OBJECT: &str = "4444444444444444444444444444444444444444";

/// The event that the runner would hand over, with `GITHUB_SHA` the merge commit.
fn read(name: &str, payload: &Value, more: &[(&str, &str)]) -> (Event, Option<String>) {
    let file = NamedTempFile::new().unwrap();
    std::fs::write(file.path(), payload.to_string()).unwrap();
    let path = file.path().display().to_string();
    let fixed = [("GITHUB_EVENT_NAME", name), ("GITHUB_EVENT_PATH", &path), ("GITHUB_SHA", MERGE)];
    let environment = fixed.iter().chain(more).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Event::read(&environment).unwrap()
}

fn pull_request() -> Value {
    json!({
        "action": "synchronize", "number": 7,
        "pull_request": {
            "number": 7, "user": { "login": "mallory" },
            "head": { "sha": HEAD, "ref": "topic", "repo": null }, "base": { "sha": BASE, "ref": "main" }
        }
    })
}

#[test]
fn a_pull_request_is_reported_on_its_head_and_never_on_the_test_merge() {
    for name in ["pull_request", "pull_request_target"] {
        let (event, idle) = read(name, &pull_request(), &[]);
        assert_eq!((event.head.as_str(), event.base.as_deref()), (HEAD, Some(BASE)));
        assert_eq!(event.pull_request, Some(PullRequest { number: 7, author: "mallory".to_owned() }));
        assert!(event.is_pull_request() && event.selects(name) && !event.selects("push"));
        assert_eq!(idle, None);
    }
}

#[test]
fn a_push_is_of_a_branch_or_of_a_tag() {
    let payload = json!({ "before": BASE, "after": MERGE, "head_commit": { "id": MERGE } });
    let (branch, _) = read("push", &payload, &[("GITHUB_REF_TYPE", "branch"), ("GITHUB_REF_NAME", "main")]);
    assert_eq!(branch.trigger, Trigger::Branch("main".to_owned()));
    assert_eq!(branch.base.as_deref(), Some(BASE));
    assert!(branch.selects("push") && branch.selects("push:main") && !branch.selects("tag:v*"));

    // Of an annotated tag, `after` is the tag itself, and the head commit is what it names.
    let annotated = json!({ "before": "0".repeat(40), "after": TAG_OBJECT, "head_commit": { "id": HEAD } });
    let (tag, _) = read("push", &annotated, &[("GITHUB_REF_TYPE", "tag"), ("GITHUB_REF_NAME", "v1.2.0")]);
    assert_eq!((tag.head.as_str(), tag.base), (HEAD, None));
    assert_eq!(tag.trigger, Trigger::Tag("v1.2.0".to_owned()));
}

#[test]
fn a_merge_group_has_its_own_commits() {
    let payload = json!({ "action": "checks_requested", "merge_group": { "head_sha": HEAD, "base_sha": BASE } });
    let (event, idle) = read("merge_group", &payload, &[]);
    assert_eq!((event.head.as_str(), event.base.as_deref(), idle), (HEAD, Some(BASE), None));
    assert!(!event.is_pull_request());
}

#[test]
fn a_workflow_that_ended_is_reported_on_what_it_ran_on() {
    let run = json!({
        "workflow_run": {
            "id": 11, "run_attempt": 2, "conclusion": "failure", "head_sha": HEAD, "head_branch": "topic",
            "head_repository": { "owner": { "login": "fork" } }, "pull_requests": []
        }
    });
    let (event, _) = read("workflow_run", &run, &[]);
    assert_eq!(event.head, HEAD);
    let Trigger::Workflow(workflow) = event.trigger else { unreachable!() };
    assert_eq!((workflow.id, workflow.run_attempt, workflow.conclusion.as_deref()), (11, 2, Some("failure")));
    assert_eq!(workflow.head_repository.unwrap().owner.login, "fork");
}

#[test]
fn inputs_are_texts_and_empty_ones_are_absent() {
    let payload = json!({ "inputs": { "suite": "release", "candidate": "", "dry": true, "baseline": null } });
    let (event, _) = read("workflow_dispatch", &payload, &[]);
    let expected = [("dry", "true"), ("suite", "release")].map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(event.inputs, BTreeMap::from(expected));
    let (without, _) = read("workflow_dispatch", &json!({ "inputs": null }), &[]);
    assert_eq!((without.head.as_str(), without.inputs.len()), (MERGE, 0));
}

#[test]
fn some_events_ask_for_nothing() {
    let idle = |name: &str, payload: Value| read(name, &payload, &[]).1.is_some();
    assert!(idle("pull_request", json!({ "action": "closed", "pull_request": {} })));
    assert!(idle("release", json!({ "action": "edited" })) && !idle("release", json!({ "action": "published" })));
    assert!(idle("push", json!({ "deleted": true })) && !idle("push", json!({ "deleted": false })));
    assert!(idle("merge_group", json!({ "action": "destroyed" })));
    assert!(!idle("schedule", json!({ "schedule": "0 5 * * 1" })) && !idle("deployment", json!({})));
}

#[test]
fn what_is_no_commit_is_not_taken_for_one() {
    let payload =
        json!({ "pull_request": { "number": 1, "head": { "sha": "--upload-pack=x" }, "base": { "sha": "main" } } });
    let (event, _) = read("pull_request", &payload, &[]);
    assert_eq!((event.head.as_str(), event.base), (MERGE, None));
}

#[test]
fn a_file_that_is_no_event_is_refused() {
    let file = NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "{\"inputs\": 7}").unwrap();
    let path = file.path().display().to_string();
    let fixed = [("GITHUB_EVENT_NAME", "push"), ("GITHUB_EVENT_PATH", path.as_str()), ("GITHUB_SHA", MERGE)];
    let environment = fixed.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    assert!(Event::read(&environment).unwrap_err().to_string().contains("not what GitHub writes"));
}

//! What starts a run: every kind of event, the inputs in all their spellings, and what is wrong before anything is judged.

use std::fs;
use std::path::Path;

use serde_json::json;

use super::double::{Double, Token};
use super::event::{self, Event, FORK, NUMBER};
use super::runner::{Finished, Job};
use super::toy::{Commits, Contents, SPEC, SPEC_FILE, Verdict, line_of};
use super::{completed, marker};

use Verdict::{Fail, Pass};

/// An event, the suite that it runs, the commit to report on, and whether there is a pull request to comment on.
type Triggered = (fn(&Commits) -> Event, &'static str, fn(&Commits) -> &str, usize);

const TRIGGERED: [Triggered; 11] = [
    (event::pull_request, "check-in", |commits| &commits.head, 1),
    (event::pull_request_from_deleted_fork, "check-in", |commits| &commits.head, 1),
    (event::pull_request_target, "check-in", |commits| &commits.head, 1),
    (event::push_branch, "check-in", |commits| &commits.head, 0),
    (event::push_annotated_tag, "release", |commits| &commits.head, 0),
    (event::release_published, "release", |commits| &commits.head, 0),
    (event::workflow_dispatch, "release", |commits| &commits.head, 0),
    (event::workflow_dispatch_plain, "check-in", |commits| &commits.head, 0),
    (event::schedule, "check-in", |commits| &commits.head, 0),
    (event::merge_group, "check-in", |commits| &commits.merge, 0),
    (event::discussion, "check-in", |commits| &commits.head, 0),
];

#[test]
fn every_event_runs_its_suite_and_is_reported_on_its_commit() {
    for (number, (event, suite, commit, comments)) in TRIGGERED.into_iter().enumerate() {
        let double = Double::start();
        let mut job = Job::new(&double, event).input("comment", "always").input("status", "true");
        let run = job.run();
        run.has_verdict(Pass).is_quiet();
        assert_eq!(run.record()["suite"], suite, "event {number}");
        let check = completed(&double);
        assert_eq!(check.head_sha, commit(&job.commits), "event {number}");
        assert_eq!(check.name, format!("Model gate: toy ({suite})"), "event {number}");
        let state = double.state();
        assert_eq!(state.statuses[0].sha, commit(&job.commits), "event {number}");
        assert_eq!(state.comments.len(), comments, "event {number}");
    }
}

#[test]
fn the_inputs_of_a_dispatch_are_read() {
    let double = Double::start();
    let run = Job::new(&double, event::workflow_dispatch).candidate(Fail).run();
    run.has_verdict(Pass);
    let candidate = run.record()["inputs"]["candidate"]["source"].to_string();
    assert!(candidate.contains("score_old"), "{candidate}");
}

#[test]
fn an_input_chooses_the_suite_and_the_models() {
    let double = Double::start();
    let job = Job::on_pull_request(&double).candidate(Fail).input("suite", "release");
    let run = job.input("candidate", "column:score_old").input("threads", "1").input("out", "made/reports").run();
    run.has_verdict(Pass).is_quiet();
    assert_eq!(run.record()["suite"], "release");
    assert_eq!(run.output("record"), "made/reports/record.json");
}

/// The scores of the toy are columns, so its folder stays empty; `cache.rs` fills folders.
#[test]
fn a_folder_of_scores_is_an_input_or_a_variable() {
    for (input, variable, folder) in [("kept/scores", "", "kept/scores"), ("", "other", "other"), ("a", "b", "a")] {
        let double = Double::start();
        let mut job = Job::on_pull_request(&double).input("cache", input).variable("MODELGATE_CACHE", variable);
        job.run().has_verdict(Pass).is_quiet();
        assert!(job.workspace().join(folder).is_dir(), "{folder}");
        let run = fs::read_to_string(job.workspace().join(".modelgate/run.json")).unwrap();
        assert!(run.contains("\"reused\": []"), "{run}");
    }
    let double = Double::start();
    let mut job = Job::on_pull_request(&double).input("cache", "toy.csv/scores");
    fs::write(job.workspace().join("toy.csv"), "").unwrap();
    job.run().ends_with(2).tells("the cache `toy.csv/scores` cannot be written");
}

#[test]
fn an_event_that_asks_for_nothing_is_a_success_with_the_reason() {
    for (event, reason) in [
        (event::watch as fn(&Commits) -> Event, "watch"),
        (event::release_edited, "edited"),
        (event::pull_request_closed, "closed"),
    ] {
        let double = Double::start();
        let run = Job::new(&double, event).candidate(Fail).run();
        run.ends_with(0).is_quiet();
        assert!(run.summary.contains(reason), "{reason}: {:?}", run.summary);
        assert!(!run.has_record(), "{reason}: nothing was judged");
        assert!(Verdict::ALL.iter().all(|verdict| run.output("verdict") != verdict.name()), "{reason}: {run}");
        let state = double.state();
        assert_eq!(state.comments.len(), 0, "{reason}");
        let good = |conclusion: &str| ["success", "skipped", "neutral"].contains(&conclusion);
        assert!(state.check_runs.iter().all(|check| check.conclusion.as_deref().is_some_and(good)), "{reason}");
    }
}

#[test]
fn an_event_that_asks_for_nothing_leaves_no_earlier_verdict() {
    let double = Double::start();
    let mut job = Job::new(&double, event::watch);
    fs::create_dir(job.workspace().join(".modelgate")).unwrap();
    fs::write(job.workspace().join(".modelgate/record.json"), "{}").unwrap();
    let run = job.run();
    run.ends_with(0);
    assert!(!run.has_record(), "it would pass for a verdict of this run");
}

/// The reports of a run on a fork's pull request, whose token may not write, and where they are published from.
fn published(candidate: Verdict, event: fn(&Commits) -> Event, double: &Double) -> (Job, Finished) {
    let fork = Double::start();
    fork.token(Token::READ_ONLY);
    let judged = Job::new(&fork, event::pull_request_from_deleted_fork).candidate(candidate).run();
    judged.has_verdict(candidate);
    let mut job = Job::new(double, event).input("publish", "downloaded").input("comment", "always");
    double.state().pulls[0].owner = FORK;
    copy(&judged.out, &job.workspace().join("downloaded"));
    let run = job.run();
    (job, run)
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

#[test]
fn a_second_workflow_publishes_what_a_fork_could_not() {
    for (candidate, event, conclusion) in [
        (Pass, event::workflow_run as fn(&Commits) -> Event, "success"),
        (Fail, event::workflow_run_failed, "failure"),
        // The record comes from the pull request, and GitHub's word on the run does not.
        (Pass, event::workflow_run_failed, "failure"),
    ] {
        let double = Double::start();
        let (job, run) = published(candidate, event, &double);
        run.ends_with(0).is_quiet();
        assert_eq!(run.output("verdict"), candidate.name(), "{run}");
        let check = completed(&double);
        assert_eq!((check.conclusion.as_deref(), &check.head_sha), (Some(conclusion), &job.commits.head));
        let state = double.state();
        let [comment] = state.comments.as_slice() else { panic!("{:?}", state.comments) };
        assert_eq!(comment.issue, NUMBER);
        let marker = marker(&comment.body);
        assert_eq!((marker["verdict"], marker["head"]), (candidate.name(), job.commits.head.as_str()));
    }
}

#[test]
fn a_record_that_is_none_is_not_published() {
    for content in ["", "{", "[]", "{\"version\": 2}", "{\"version\": 1, \"gate\": 3}"] {
        let double = Double::start();
        let mut job = Job::new(&double, event::workflow_run).input("publish", "downloaded");
        fs::create_dir(job.workspace().join("downloaded")).unwrap();
        fs::write(job.workspace().join("downloaded/record.json"), content).unwrap();
        job.run().ends_with(2).tells("record.json");
        assert_eq!(double.state().comments.len(), 0);
    }
}

#[test]
fn an_input_that_means_nothing_is_refused() {
    for (input, value, phrase) in [
        ("check", "yes", "check"),
        ("status", "1", "status"),
        ("summary", "tRue", "summary"),
        ("annotations", "on", "annotations"),
        ("strict-publish", "no", "strict_publish"),
        ("comment", "sometimes", "on-change"),
        ("publish_seconds", "soon", "publish_seconds"),
        ("threads", "-1", "threads"),
        ("memory", "much", "512MiB"),
        ("suite", "nightly", "nightly"),
        ("spec", "gate.yaml", "gate.yaml"),
    ] {
        let double = Double::start();
        let job = Job::on_pull_request(&double).input("strict_publish", "").input("publish_seconds", "");
        let run = job.input(input, value).run();
        run.ends_with(2).tells(phrase);
        assert!(!run.has_record(), "{input}");
        let state = double.state();
        assert!(state.check_runs.iter().all(|check| check.conclusion.as_deref() == Some("failure")), "{input}");
    }
}

#[test]
fn booleans_have_three_spellings_each() {
    for (value, check_runs) in
        [("true", 1), ("True", 1), ("TRUE", 1), ("", 1), ("false", 0), ("False", 0), ("FALSE", 0)]
    {
        let double = Double::start();
        Job::on_pull_request(&double).input("check", value).run().has_verdict(Pass).is_quiet();
        assert_eq!(double.state().check_runs.len(), check_runs, "{value:?}");
    }
}

#[test]
fn a_bad_spec_is_told_on_its_line() {
    let bad = SPEC.replace("max_drop: 0.1 }", "max_dorp: 0.1 }");
    let line = line_of(&bad, "max_dorp");
    // Where no spec can be read, the check run would have no name.
    for (event, check_runs) in [(event::pull_request as fn(&Commits) -> Event, 1), (event::push_branch, 0)] {
        let double = Double::start();
        let run = Job::with(&double, event, Contents { base: Some(SPEC), head: Some(&bad) }).run();
        run.ends_with(2).tells("did you mean `max_drop`?");
        assert!(!run.has_record(), "{run}");
        assert!(run.annotations().iter().any(|one| (one.file.as_str(), one.line) == (SPEC_FILE, line)), "{run}");
        let state = double.state();
        assert_eq!(state.check_runs.len(), check_runs, "{run}");
        for check in &state.check_runs {
            assert_eq!(check.conclusion.as_deref(), Some("failure"));
            let place = |one: &serde_json::Value| one["path"] == SPEC_FILE && one["start_line"] == json!(line);
            assert!(check.annotations.iter().any(place), "{:?}", check.annotations);
        }
    }
}

#[test]
fn a_broken_world_is_not_a_bad_model() {
    let double = Double::start();
    let mut job = Job::on_pull_request(&double).candidate(Fail);
    job.run().has_verdict(Fail);
    let bad_model = double.state().check_runs.pop().unwrap();
    fs::remove_file(job.workspace().join("test.parquet")).unwrap();
    let run = job.run();
    run.ends_with(2).tells("test.parquet");
    assert!(!run.has_record(), "the verdict of the earlier run is left: {run}");
    assert_eq!(run.output("verdict"), "error");
    let check = completed(&double);
    assert_eq!(check.conclusion.as_deref(), Some("failure"));
    assert_ne!(check.title, bad_model.title, "a reader must see that the gate is broken and not the model");
    assert!(run.summary.contains("test.parquet"), "{:?}", run.summary);
}

#[test]
fn without_its_event_the_action_says_so() {
    for (variable, value) in [("GITHUB_EVENT_PATH", "/nowhere/event.json"), ("GITHUB_EVENT_NAME", "")] {
        let double = Double::start();
        let run = Job::on_pull_request(&double).variable(variable, value).run();
        run.ends_with(2);
        assert!(run.told().to_lowercase().contains("event"), "{run}");
        assert_eq!(double.state().calls, []);
    }
}

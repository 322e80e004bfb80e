//! The check run, the commit status, and what needs no token: summary, outputs and annotations.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;

use serde_json::json;

use super::double::{Double, Operation, Token};
use super::event;
use super::runner::Job;
use super::toy::{CLAIM, Contents, ROWS, SPEC, SPEC_FILE, Verdict, line_of};
use super::{completed, marker, read};

use Verdict::{Fail, Inconclusive, Pass, Warn};

/// The line of the check whose claim fails.
fn failed_line() -> usize {
    line_of(SPEC, "max_drop: 0.1 }")
}

#[test]
fn the_check_run_is_completed_with_the_verdict() {
    for (verdict, conclusion) in [(Pass, "success"), (Warn, "success"), (Inconclusive, "failure"), (Fail, "failure")] {
        let double = Double::start();
        let mut job = Job::on_pull_request(&double).candidate(verdict).numbered(4711, 2);
        let run = job.run();
        run.has_verdict(verdict);
        let check = completed(&double);
        assert_eq!(check.conclusion.as_deref(), Some(conclusion), "{verdict:?}");
        assert_eq!(check.name, "Model gate: toy (check-in)");
        assert_eq!(check.external_id, "modelgate:toy:check-in:4711:2");
        assert_eq!(check.head_sha, job.commits.head, "it must stand on the head, not on the test merge");
        assert_eq!(run.output("check-url"), double.state().check_url(&check));
        assert!(!check.summary.contains("<!-- modelgate:"), "the marker belongs to the comment");
    }
}

#[test]
fn failed_claims_are_annotated_on_their_lines() {
    let double = Double::start();
    let run = Job::on_pull_request(&double).candidate(Fail).run();
    run.has_verdict(Fail);
    let check = completed(&double);
    let failed: Vec<_> =
        check.annotations.iter().filter(|annotation| annotation["annotation_level"] == "failure").collect();
    let [annotation] = failed.as_slice() else { panic!("{:?}", check.annotations) };
    assert_eq!((&annotation["path"], &annotation["start_line"]), (&json!(SPEC_FILE), &json!(failed_line())));
    assert!(annotation.to_string().contains(CLAIM), "{annotation}");
    let errors: Vec<_> = run.annotations().into_iter().filter(|annotation| annotation.level == "error").collect();
    let [error] = errors.as_slice() else { panic!("{run}") };
    assert_eq!((error.file.as_str(), error.line), (SPEC_FILE, failed_line()));
}

#[test]
fn outputs_are_as_documented() {
    let double = Double::start();
    let run = Job::on_pull_request(&double).candidate(Fail).run();
    run.has_verdict(Fail);
    let state = double.state();
    let expected = [
        ("check-url", state.check_url(&state.check_runs[0])),
        ("comment-url", state.comment_url(&state.comments[0])),
        ("failed-claims", json!(run.claims(Fail)).to_string()),
        ("html", ".modelgate/report.html".to_owned()),
        ("record", ".modelgate/record.json".to_owned()),
        ("report", ".modelgate/report.md".to_owned()),
        ("verdict", "fail".to_owned()),
    ];
    assert_eq!(run.outputs, expected.map(|(name, value)| (name.to_owned(), value)).into());
}

#[test]
fn a_pass_has_no_failed_claims() {
    let double = Double::start();
    let run = Job::on_pull_request(&double).run();
    run.has_verdict(Pass).is_quiet();
    assert_eq!((run.output("failed-claims"), run.output("comment-url")), ("[]", ""));
    assert_eq!(run.annotations(), []);
    assert_eq!(completed(&double).annotations, Vec::<serde_json::Value>::new());
}

#[test]
fn the_summary_is_the_report() {
    let double = Double::start();
    let run = Job::on_pull_request(&double).candidate(Fail).run();
    run.has_verdict(Fail);
    assert!(read(&run.summary).contains(CLAIM), "{}", run.summary);
    assert!(!run.summary.contains("<!-- modelgate:"), "the marker belongs to the comment");
    assert!(run.stdout.contains("toy"), "the verdict is printed: {run}");
}

#[test]
fn channels_can_be_switched_off() {
    let double = Double::start();
    let off = ["check", "summary", "annotations"];
    let job = off.iter().fold(Job::on_pull_request(&double), |job, input| job.input(input, "False"));
    let run = job.candidate(Fail).input("comment", "off").run();
    run.has_verdict(Fail).is_quiet();
    assert_eq!((run.summary.as_str(), run.output("check-url")), ("", ""));
    assert_eq!(run.annotations(), []);
    assert_eq!(double.state().calls, [], "nothing was to be said to GitHub");
}

#[test]
fn the_commit_status_is_for_those_who_ask() {
    for (verdict, expected) in [(Pass, "success"), (Warn, "success"), (Inconclusive, "failure"), (Fail, "failure")] {
        let double = Double::start();
        let mut job = Job::on_pull_request(&double).candidate(verdict);
        job.run().has_verdict(verdict);
        assert_eq!(double.state().statuses.len(), 0, "{verdict:?}");
        job.input("status", "true").run().has_verdict(verdict).is_quiet();
        let state = double.state();
        let [status] = state.statuses.as_slice() else { panic!("{verdict:?}: {:?}", state.statuses) };
        assert_eq!((status.context.as_str(), status.state.as_str()), ("modelgate/toy/check-in", expected));
        assert_eq!(status.sha, state.pulls[0].head_sha);
        assert!(!status.description.is_empty());
    }
}

/// A spec with this many checks that fail, each on a line of its own.
fn failing_spec(checks: usize) -> String {
    let (head, _) = SPEC.split_once("checks:\n  - ").unwrap();
    let head = head.replace("score_new", "score_wrong");
    (0..checks).fold(format!("{head}checks:\n  - data.schema: {{}}\n"), |mut spec, number| {
        writeln!(spec, "  - performance.metric: {{ metric: accuracy, min: 0.5{number:03} }}").unwrap();
        spec
    })
}

#[test]
fn more_than_fifty_annotations_come_in_batches() {
    let (double, spec) = (Double::start(), failing_spec(120));
    let contents = Contents { base: Some(&spec), head: Some(&spec) };
    let run = Job::with(&double, event::pull_request, contents).run();
    run.ends_with(1).is_quiet();
    let check = completed(&double);
    let lines: BTreeSet<u64> = check.annotations.iter().map(|one| one["start_line"].as_u64().unwrap()).collect();
    let first = line_of(&spec, "min: 0.5000") as u64;
    assert_eq!(lines, (first..first + 120).collect(), "every line once");
    assert_eq!(check.annotations.len(), 120, "every line once");
    assert_eq!(double.state().count(Operation::UpdateCheckRun), 3, "fifty, fifty, twenty");
    let errors = run.annotations().iter().filter(|annotation| annotation.level == "error").count();
    assert!((1..=10).contains(&errors), "the runner shows ten and drops the others: {errors}");
}

/// A spec that fails on each of 250 slices.
fn many_slices() -> String {
    let many =
        "slices: [{ by: bucket }]\nchecks:\n  - performance.metric: { metric: accuracy, min: 0.9, slices: all }\n";
    let (head, _) = SPEC.split_once("checks:\n  - ").unwrap();
    let few = "policy: { min_rows: 2, min_positives: 1 }";
    let head = head.replace("score_new", "score_wrong").replace("policy: { false_block: 0.05 }", few);
    format!("{head}{many}  - data.schema: {{}}\n")
}

#[test]
fn a_report_that_is_too_long_is_shortened_with_a_count() {
    let spec = many_slices();
    let double = Double::start();
    let contents = Contents { base: Some(&spec), head: Some(&spec) };
    let run = Job::with(&double, event::pull_request, contents).run();
    run.ends_with(1).is_quiet();
    let failed = run.claims(Fail).len();
    assert!(failed > 200, "{failed} of {ROWS} rows in 250 slices");
    let state = double.state();
    let [comment] = state.comments.as_slice() else { panic!("{:?}", state.comments) };
    assert_eq!(marker(&comment.body)["verdict"], "fail");
    assert!(comment.body.len() <= 65_536 && state.check_runs[0].summary.len() <= 65_535);
    let listed = |text: &str| text.matches("/bucket=").count();
    let whole = listed(&fs::read_to_string(run.out.join("report.md")).unwrap());
    assert!(whole >= failed, "the report on disk is whole");
    assert!(!state.check_runs[0].annotations.is_empty());
}

/// What the job of these tests needs: whoever names one permission gives up all that are not named.
const NEEDED: [&str; 4] = ["contents: read", "checks: write", "statuses: write", "pull-requests: write"];

/// The blocks that a user is told to paste.
fn blocks(told: &str) -> Vec<Vec<&str>> {
    let mut lines = told.lines().map(str::trim);
    let mut blocks = Vec::new();
    while lines.any(|line| line == "permissions:") {
        blocks.push(lines.by_ref().take_while(|line| line.contains(": ")).collect());
    }
    blocks
}

/// What a token lacks, and what must be told.
struct Denied {
    token: Token,
    lacks: &'static [&'static str],
    check_runs: usize,
    statuses: usize,
    comments: usize,
}

#[test]
fn what_the_token_may_not_do_is_told_and_changes_nothing() {
    let all = Token::default();
    for Denied { token, lacks, check_runs, statuses, comments } in [
        Denied {
            token: Token::READ_ONLY,
            lacks: &["checks", "pull-requests", "statuses"],
            check_runs: 0,
            statuses: 0,
            comments: 0,
        },
        Denied { token: Token { checks: false, ..all }, lacks: &["checks"], check_runs: 0, statuses: 1, comments: 1 },
        Denied {
            token: Token { statuses: false, ..all },
            lacks: &["statuses"],
            check_runs: 1,
            statuses: 0,
            comments: 1,
        },
        Denied {
            token: Token { pull_requests: false, ..all },
            lacks: &["pull-requests"],
            check_runs: 1,
            statuses: 1,
            comments: 0,
        },
    ] {
        for verdict in [Warn, Fail] {
            let double = Double::start();
            double.token(token);
            let run = Job::on_pull_request(&double).candidate(verdict).input("status", "true").run();
            run.has_verdict(verdict);
            assert_eq!(blocks(&run.told()).len(), lacks.len(), "{run}");
            for block in blocks(&run.told()) {
                assert!(NEEDED.iter().all(|scope| block.contains(scope)), "{scopes:?} in {block:?}", scopes = NEEDED);
            }
            assert!(read(&run.summary).contains(CLAIM), "{run}");
            assert!(!run.annotations().is_empty(), "{run}");
            let state = double.state();
            let made = (state.check_runs.len(), state.statuses.len(), state.comments.len());
            assert_eq!(made, (check_runs, statuses, comments), "{lacks:?}");
            for once in [Operation::CreateCheckRun, Operation::CreateStatus, Operation::CreateComment] {
                assert!(state.count(once) <= 1, "{lacks:?}: {once:?} was repeated");
            }
            assert!(state.check_runs.iter().all(|check| check.status == "completed"), "{lacks:?}");
        }
    }
}

#[test]
fn strict_publishing_fails_a_run_that_could_not_be_published() {
    for (verdict, token, code) in [
        (Pass, Token::READ_ONLY, 2),
        (Warn, Token::READ_ONLY, 2),
        (Fail, Token::READ_ONLY, 1),
        (Inconclusive, Token::READ_ONLY, 3),
        (Pass, Token::default(), 0),
        (Fail, Token::default(), 1),
    ] {
        for spelling in ["strict_publish", "strict-publish"] {
            let double = Double::start();
            double.token(token);
            let run = Job::on_pull_request(&double)
                .candidate(verdict)
                .input("strict_publish", "")
                .input(spelling, "true")
                .run();
            run.ends_with(code);
            assert_eq!(run.record()["verdict"], verdict.name());
            assert_eq!(run.output("verdict"), verdict.name(), "the verdict stays what it is");
        }
    }
}

#[test]
fn a_token_that_is_not_valid_changes_nothing() {
    let double = Double::start();
    let run = Job::on_pull_request(&double).candidate(Fail).input("token", "ghs_expired").run();
    run.has_verdict(Fail).warns("token");
}

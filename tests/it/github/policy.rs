//! The policy of a pull request is that of its base: nobody weakens a gate and passes it in one step.

use std::net::TcpListener;
use std::os::unix::fs::chown;
use std::path::Path;
use std::process::Command;

use super::double::{Double, Operation, Review, Token};
use super::event::{self, AUTHOR};
use super::runner::{Finished, Job};
use super::toy::{CLAIM, Contents, SPEC, SPEC_FILE, Verdict};

use Verdict::{Fail, Pass};

const WEAKENED: &str = "policy/weakening/";

/// A spec whose policy names who may approve a weakening.
fn with_approver(spec: &str, approver: &str) -> String {
    spec.replace("false_block: 0.05 }", &format!("false_block: 0.05, weakening_approvers: [{approver}] }}"))
}

/// A spec that allows more.
fn weaker(spec: &str) -> String {
    spec.replace("max_drop: 0.1 }", "max_drop: 0.5 }")
}

fn run(double: &Double, base: Option<&str>, head: Option<&str>) -> Finished {
    Job::with(double, event::pull_request, Contents { base, head }).run()
}

#[track_caller]
fn blocks(run: &Finished) {
    run.has_verdict(Fail);
    let failed = run.claims(Fail);
    assert!(failed.iter().any(|claim| claim.starts_with(WEAKENED)), "{failed:?}: {run}");
}

#[test]
fn a_weakening_blocks() {
    let severity = "max_drop: 0.1, severity: warn }";
    let policy = "false_block: 0.05, on_inconclusive: { overall: warn } }";
    for (what, old, new) in [
        ("a wider limit", "max_drop: 0.1 }", "max_drop: 0.5 }"),
        ("a check that only warns", "max_drop: 0.1 }", severity),
        ("a policy that lets the undecided pass", "false_block: 0.05 }", policy),
        ("a check that is gone", "  - performance.regression: { metric: roc_auc, max_drop: 0.1 }\n", ""),
        ("a suite that selects less", "checks: [\"performance.*\"]", "checks: [\"data.*\"]"),
        ("a suite for fewer events", "on: [pull_request, ", "on: ["),
    ] {
        assert!(SPEC.contains(old), "{what}");
        let double = Double::start();
        let run = run(&double, Some(SPEC), Some(&SPEC.replace(old, new)));
        assert_eq!(run.code, Some(1), "{what}: {run}");
        blocks(&run);
        assert_eq!(super::completed(&double).conclusion.as_deref(), Some("failure"), "{what}");
        assert_eq!(double.state().count(Operation::ListReviews), 0, "{what}: nobody could approve");
    }
}

#[test]
fn the_limits_of_the_base_judge() {
    let double = Double::start();
    let contents = Contents { base: Some(SPEC), head: Some(&weaker(SPEC)) };
    let run = Job::with(&double, event::pull_request, contents).candidate(Fail).run();
    blocks(&run);
    assert!(run.claims(Fail).contains(&CLAIM.to_owned()), "{:?}", run.claims(Fail));
}

#[test]
fn what_weakens_nothing_passes() {
    for (what, head) in [
        ("a narrower limit", SPEC.replace("max_drop: 0.1 }", "max_drop: 0.05 }")),
        (
            "another order of keys, and a remark",
            format!("# ours\n{}", SPEC.replace("metric: roc_auc, max_drop: 0.1", "max_drop: 0.1, metric: roc_auc")),
        ),
        ("one check more", format!("{SPEC}  - performance.metric: {{ metric: roc_auc, min: 0.6 }}\n")),
    ] {
        let double = Double::start();
        let run = run(&double, Some(SPEC), Some(&head));
        assert_eq!(run.code, Some(0), "{what}: {run}");
        assert_eq!(run.claims(Fail), Vec::<String>::new(), "{what}");
        assert_eq!(double.state().count(Operation::ListReviews), 0, "{what}");
    }
}

/// Reviews in the order of their submission: who, what, and whether of the head commit.
type Reviews = &'static [(&'static str, &'static str, bool)];

#[test]
fn a_weakening_needs_an_approval_of_the_head_by_somebody_whom_the_base_names() {
    let cases: [(&str, &str, Reviews, bool); 9] = [
        ("approved", "alice", &[("alice", "APPROVED", true)], true),
        ("approved and remarked on", "alice", &[("alice", "APPROVED", true), ("alice", "COMMENTED", true)], true),
        ("nobody reviewed", "alice", &[], false),
        ("somebody else approved", "alice", &[("mallory", "APPROVED", true)], false),
        ("an earlier commit was approved", "alice", &[("alice", "APPROVED", false)], false),
        ("the author approved", AUTHOR, &[(AUTHOR, "APPROVED", true)], false),
        ("remarked on", "alice", &[("alice", "COMMENTED", true)], false),
        ("the approval was dismissed", "alice", &[("alice", "DISMISSED", true)], false),
        ("thought better of", "alice", &[("alice", "APPROVED", true), ("alice", "CHANGES_REQUESTED", true)], false),
    ];
    for (what, approver, reviews, passes) in cases {
        let base = with_approver(SPEC, approver);
        let double = Double::start();
        let contents = Contents { base: Some(&base), head: Some(&weaker(&base)) };
        let mut job = Job::with(&double, event::pull_request, contents);
        let commit = |of_head| if of_head { job.commits.head.clone() } else { job.commits.base.clone() };
        let reviews = reviews.iter().map(|(author, state, head)| Review { author, state, commit: commit(*head) });
        double.state().reviews = reviews.collect();
        let run = job.run();
        assert_eq!(run.code, Some(if passes { 0 } else { 1 }), "{what}: {run}");
        if !passes {
            blocks(&run);
        }
    }
}

#[test]
fn an_approval_is_found_on_a_later_page() {
    let base = with_approver(SPEC, "alice");
    let double = Double::start();
    let mut job = Job::with(&double, event::pull_request, Contents { base: Some(&base), head: Some(&weaker(&base)) });
    let review = |author, state| Review { author, state, commit: job.commits.head.clone() };
    let mut reviews = vec![review("reviewer", "COMMENTED"); 130];
    reviews.push(review("alice", "APPROVED"));
    double.state().reviews = reviews;
    job.run().has_verdict(Pass);
    assert_eq!(double.state().count(Operation::ListReviews), 2);
}

#[test]
fn nobody_makes_himself_an_approver() {
    for base in [SPEC.to_owned(), with_approver(SPEC, "alice")] {
        let double = Double::start();
        let head = with_approver(&weaker(SPEC), "mallory");
        let mut job = Job::with(&double, event::pull_request, Contents { base: Some(&base), head: Some(&head) });
        let commit = job.commits.head.clone();
        double.state().reviews = vec![Review { author: "mallory", state: "APPROVED", commit }];
        blocks(&job.run());
    }
}

#[test]
fn reviews_that_cannot_be_read_approve_nothing() {
    use super::fault::{Fault, Kind};
    let base = with_approver(SPEC, "alice");
    let double = Double::start();
    double.fault(
        Fault::new(Operation::ListReviews, Kind::status(403, "Resource not accessible by integration")).always(),
    );
    blocks(&run(&double, Some(&base), Some(&weaker(&base))));
}

#[test]
fn a_first_spec_is_introduced() {
    let double = Double::start();
    let run = run(&double, None, Some(SPEC));
    run.has_verdict(Pass);
    assert!(run.summary.to_lowercase().contains("introduc"), "{}", run.summary);
}

#[test]
fn a_spec_that_is_removed_is_no_pass() {
    let double = Double::start();
    let run = run(&double, Some(SPEC), None);
    assert!(matches!(run.code, Some(1 | 2)), "{run}");
    assert_eq!(super::completed(&double).conclusion.as_deref(), Some("failure"));
}

/// A job whose checkout has no history, on a head that weakens the gate.
fn shallow(double: &Double) -> Job {
    let contents = Contents { base: Some(SPEC), head: Some(&weaker(SPEC)) };
    Job::with(double, event::pull_request, contents).candidate(Fail).shallow()
}

#[test]
fn a_base_that_git_lacks_is_asked_of_github() {
    let double = Double::start();
    let mut job = shallow(&double);
    let place = (job.commits.base.clone(), SPEC_FILE.to_owned());
    double.state().files.insert(place, SPEC.to_owned());
    let run = job.run();
    blocks(&run);
    assert!(run.claims(Fail).contains(&CLAIM.to_owned()), "the limits of the base judge: {:?}", run.claims(Fail));
    assert_eq!(double.state().count(Operation::ReadFile), 1);
}

#[test]
fn a_base_without_a_spec_is_told_by_github_too() {
    let double = Double::start();
    let run = Job::with(&double, event::pull_request, Contents { base: None, head: Some(SPEC) }).shallow().run();
    run.has_verdict(Pass);
    assert!(run.summary.to_lowercase().contains("introduc"), "{}", run.summary);
}

#[test]
fn a_base_that_cannot_be_read_judges_nothing() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let denied = Token { contents: false, ..Token::default() };
    for down in [false, true] {
        let double = Double::start();
        double.token(denied);
        let mut job = shallow(&double).input("publish_seconds", "3");
        if down {
            job = job.variable("GITHUB_API_URL", &format!("http://{closed}"));
        }
        let run = job.run();
        run.ends_with(2).tells("fetch-depth");
        assert!(!run.has_record(), "down: {down}");
        assert!(double.state().check_runs.iter().all(|check| check.conclusion.as_deref() == Some("failure")), "{run}");
    }
}

#[test]
fn a_target_event_judges_nothing_of_a_pull_request_that_is_checked_out() {
    let (double, head) = (Double::start(), weaker(SPEC));
    let contents = Contents { base: Some(SPEC), head: Some(&head) };
    let mut job = Job::with(&double, event::pull_request_target, contents).candidate(Fail);
    // The mistake that the trigger invites: the workflow checks the pull request out.
    super::toy::check_out(&job.workspace(), &job.commits.merge);
    let run = job.run();
    run.ends_with(2).tells("pull_request_target");
    assert!(!run.has_record(), "{run}");
    assert_eq!(super::completed(&double).conclusion.as_deref(), Some("failure"));
}

#[test]
fn a_target_event_runs_no_model_that_is_given() {
    for given in ["model.onnx", "http://127.0.0.1:1/invocations"] {
        let double = Double::start();
        let contents = Contents { base: Some(SPEC), head: Some(SPEC) };
        let run = Job::with(&double, event::pull_request_target, contents).input("candidate", given).run();
        run.ends_with(2).tells("a model that is given is not run");
        assert!(!run.has_record(), "{run}");
    }
}

#[test]
fn a_workspace_of_another_owner_is_read_all_the_same() {
    let double = Double::start();
    let contents = Contents { base: Some(SPEC), head: Some(&weaker(SPEC)) };
    let mut job = Job::with(&double, event::pull_request, contents);
    // Whoever may not give files away makes git believe that somebody did.
    if !give_away(&job.workspace()) {
        job = job.variable("GIT_TEST_ASSUME_DIFFERENT_OWNER", "true");
    }
    let mut git = Command::new("git");
    git.args(["rev-parse", "HEAD"])
        .current_dir(job.workspace())
        .env("HOME", job.home())
        .env("GIT_CONFIG_NOSYSTEM", "1");
    let refused = git.env("GIT_TEST_ASSUME_DIFFERENT_OWNER", "true").output().unwrap();
    assert!(String::from_utf8_lossy(&refused.stderr).contains("dubious ownership"), "git trusts it anyway");
    let run = job.run();
    blocks(&run);
    assert_eq!(double.state().count(Operation::ReadFile), 0, "git has the base: {run}");
}

/// Makes another user the owner of a folder and of all in it.
fn give_away(path: &Path) -> bool {
    let inside = path.read_dir().into_iter().flatten().map(|entry| entry.unwrap().path());
    chown(path, Some(1001), Some(1001)).is_ok() && inside.filter(|path| !path.is_symlink()).all(|path| give_away(&path))
}

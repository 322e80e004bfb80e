//! GitHub in trouble: limits, errors, silence. The verdict stands, the exit code is the verdict's, nothing is made twice.

use std::net::TcpListener;
use std::time::Duration;

use super::double::{Double, Operation};
use super::fault::{Fault, Kind, Wait};
use super::runner::{Finished, Job};
use super::toy::{CLAIM, Verdict};
use super::{completed, read};

use Operation::{
    Comments, CreateCheckRun, CreateComment, CreateStatus, DeleteComment, Minimize, UpdateCheckRun, UpdateComment,
};
use Verdict::{Fail, Warn};

/// What such a run asks for.
const EVERYTHING: [Operation; 6] = [CreateCheckRun, UpdateCheckRun, CreateStatus, Comments, CreateComment, Minimize];

/// A run that finds a comment of a milder verdict, so that it asks for everything but a deletion.
fn run_that_asks_for_everything(fault: impl FnOnce(&Double)) -> (Double, Finished) {
    let double = Double::start();
    Job::on_pull_request(&double).candidate(Warn).run().has_verdict(Warn);
    {
        let mut state = double.state();
        state.check_runs.clear();
        state.calls.clear();
    }
    fault(&double);
    let run = Job::on_pull_request(&double).candidate(Fail).input("status", "true").numbered(1001, 1).run();
    run.has_verdict(Fail);
    (double, run)
}

/// Asserts that everything was published, and nothing twice.
#[track_caller]
fn is_published_once(what: &str, double: &Double, run: &Finished) {
    run.is_quiet();
    let check = completed(double);
    assert_eq!(check.conclusion.as_deref(), Some("failure"), "{what}");
    let mut annotations: Vec<String> = check.annotations.iter().map(ToString::to_string).collect();
    annotations.sort();
    assert!(annotations.windows(2).all(|pair| pair[0] != pair[1]), "{what}: annotated twice: {annotations:#?}");
    let state = double.state();
    assert!(!state.statuses.is_empty(), "{what}");
    assert!(state.statuses.iter().all(|status| status.state == "failure"), "{what}");
    let minimised: Vec<bool> = state.comments.iter().map(|comment| comment.minimised).collect();
    assert_eq!(minimised, [true, false], "{what}");
    assert_eq!(run.output("comment-url"), state.comment_url(&state.comments[1]), "{what}");
}

#[test]
fn without_trouble_everything_is_published() {
    let (double, run) = run_that_asks_for_everything(|_| {});
    is_published_once("no trouble", &double, &run);
    for operation in EVERYTHING {
        assert!(double.state().count(operation) > 0, "{operation:?} was not asked for, so its trouble proves nothing");
    }
}

#[test]
fn a_limit_is_waited_for_as_long_as_it_says() {
    for (operation, status, wait) in [
        (CreateCheckRun, 403, Wait::RetryAfter(1)),
        (UpdateCheckRun, 429, Wait::RetryAfter(1)),
        (CreateStatus, 403, Wait::RetryAfter(1)),
        (Comments, 403, Wait::Reset(1)),
        (CreateComment, 429, Wait::RetryAfter(1)),
        (Minimize, 403, Wait::RetryAfter(1)),
    ] {
        let what = format!("{operation:?}, {status}, {wait:?}");
        let limit = Fault::new(operation, Kind::limited(status, wait));
        let (double, run) = run_that_asks_for_everything(|double| double.fault(limit));
        is_published_once(&what, &double, &run);
        // A reset is a whole second, and so up to one away.
        let least = if matches!(wait, Wait::Reset(_)) { 0.0 } else { 1.0 };
        assert!(run.elapsed.as_secs_f64() >= least, "{what}: it did not wait");
    }
}

/// GitHub asks for a minute at least where it names no time.
#[test]
fn a_limit_beyond_the_deadline_is_not_waited_for() {
    for (status, wait) in
        [(403, Wait::Unsaid), (429, Wait::Unsaid), (403, Wait::RetryAfter(600)), (403, Wait::Reset(3600))]
    {
        let what = format!("{status}, {wait:?}");
        let double = Double::start();
        double.fault(Fault::everywhere(Kind::limited(status, wait)));
        let run = Job::on_pull_request(&double).candidate(Fail).input("publish_seconds", "10").run();
        run.has_verdict(Fail).warns("limit");
        assert!(run.elapsed < Duration::from_secs(8), "{what}: {:?}", run.elapsed);
        let state = double.state();
        assert!(state.calls.len() <= 4, "{what}: it insists: {:?}", state.calls);
        assert!(read(&run.summary).contains(CLAIM) && !run.annotations().is_empty(), "{what}: {run}");
    }
}

#[test]
fn what_may_have_happened_is_looked_up_before_it_is_repeated() {
    for (name, kind) in [("502 after the write", Kind::Lost), ("half an answer", Kind::Malformed)] {
        for operation in EVERYTHING {
            let what = format!("{operation:?}, {name}");
            let fault = Fault::new(operation, kind.clone());
            let (double, run) = run_that_asks_for_everything(|double| double.fault(fault));
            is_published_once(&what, &double, &run);
        }
    }
}

#[test]
fn what_did_not_happen_is_repeated() {
    for status in [500, 502, 503] {
        let unwell = |operation| Fault::new(operation, Kind::status(status, "Unwell"));
        let (double, run) = run_that_asks_for_everything(|double| {
            for operation in EVERYTHING {
                double.fault(unwell(operation));
            }
        });
        is_published_once(&format!("{status}"), &double, &run);
    }
}

#[test]
fn a_comment_that_is_edited_or_deleted_stays_one() {
    let first = Double::start();
    Job::on_pull_request(&first).candidate(Fail).numbered(999, 1).run().has_verdict(Fail);
    let other = first.state().comments[0].body.clone();
    for operation in [UpdateComment, DeleteComment] {
        for kind in [Kind::Lost, Kind::Malformed, Kind::status(502, "Unwell")] {
            let double = Double::start();
            // Another run creates its comment between our look and our own.
            double.state().intruder = Some(other.clone());
            double.fault(Fault::new(operation, kind.clone()));
            let run = Job::on_pull_request(&double).candidate(Fail).run();
            run.has_verdict(Fail).is_quiet();
            let state = double.state();
            let [comment] = state.comments.as_slice() else { panic!("{operation:?}, {kind:?}: {:?}", state.comments) };
            assert_eq!(super::marker(&comment.body)["run"], "1000", "{operation:?}, {kind:?}");
        }
    }
}

/// Asserts what holds however little got through.
#[track_caller]
fn is_given_up(what: &str, double: &Double, run: &Finished, most: Duration) {
    run.has_verdict(Fail).warns("");
    assert!(run.elapsed < most, "{what}: it took {:?}", run.elapsed);
    assert!(read(&run.summary).contains(CLAIM) && !run.annotations().is_empty(), "{what}: {run}");
    let state = double.state();
    assert!(state.check_runs.len() <= 1 && state.visible().len() <= 1, "{what}: made twice");
}

#[test]
fn a_github_that_stays_unwell_is_given_up() {
    for kind in [Kind::status(503, "Unavailable"), Kind::Lost, Kind::Malformed] {
        let double = Double::start();
        double.fault(Fault::everywhere(kind.clone()));
        let run = Job::on_pull_request(&double).candidate(Fail).input("publish_seconds", "4").run();
        is_given_up(&format!("{kind:?}"), &double, &run, Duration::from_secs(9));
    }
}

#[test]
fn silence_is_given_up() {
    for operation in [CreateCheckRun, UpdateCheckRun, Comments, CreateComment] {
        let double = Double::start();
        double.fault(Fault::new(operation, Kind::Late(Duration::from_secs(20))).always());
        let run = Job::on_pull_request(&double).candidate(Fail).input("publish_seconds", "2").run();
        is_given_up(&format!("{operation:?}"), &double, &run, Duration::from_secs(7));
    }
}

#[test]
fn an_answer_that_is_merely_slow_is_waited_for() {
    let slow = |operation| Fault::new(operation, Kind::Late(Duration::from_millis(700)));
    let (double, run) = run_that_asks_for_everything(|double| {
        for operation in EVERYTHING {
            double.fault(slow(operation));
        }
    });
    is_published_once("slow", &double, &run);
    let state = double.state();
    assert_eq!((state.count(CreateCheckRun), state.count(CreateComment)), (1, 1));
}

#[test]
fn an_api_that_is_down_changes_nothing() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for verdict in Verdict::ALL {
        let double = Double::start();
        let job = Job::on_pull_request(&double).candidate(verdict).input("publish_seconds", "3");
        let job = job.variable("GITHUB_API_URL", &format!("http://{closed}"));
        let run = job.variable("GITHUB_GRAPHQL_URL", &format!("http://{closed}/graphql")).run();
        run.has_verdict(verdict).warns("");
        assert!(run.elapsed < Duration::from_secs(8), "{:?}", run.elapsed);
        assert!(run.summary.contains("toy"), "{run}");
        assert_eq!(double.state().calls, []);
    }
}

#[test]
fn without_a_look_at_the_comments_none_is_made() {
    let double = Double::start();
    double.fault(Fault::new(Comments, Kind::status(500, "Unwell")).always());
    let run = Job::on_pull_request(&double).candidate(Fail).input("publish_seconds", "3").run();
    run.has_verdict(Fail).warns("comment");
    assert_eq!(double.state().comments.len(), 0, "it might be the second");
    assert_eq!(completed(&double).conclusion.as_deref(), Some("failure"));
}

#[test]
fn a_refusal_is_told_and_not_repeated() {
    for (operation, message) in [
        (CreateComment, "Body is too long (maximum is 65536 characters)"),
        (CreateStatus, "This SHA and context has reached the maximum number of statuses."),
    ] {
        let double = Double::start();
        double.fault(Fault::new(operation, Kind::status(422, message)).always());
        let run = Job::on_pull_request(&double).candidate(Fail).input("status", "true").run();
        run.has_verdict(Fail).warns(message);
        let state = double.state();
        assert_eq!(state.count(operation), 1, "{operation:?}");
        assert_eq!(state.check_runs[0].conclusion.as_deref(), Some("failure"));
    }
}

#[test]
fn an_enterprise_server_has_bases_of_its_own() {
    let double = Double::enterprise();
    Job::on_pull_request(&double).candidate(Warn).run().has_verdict(Warn).is_quiet();
    let run = Job::on_pull_request(&double).candidate(Fail).numbered(1001, 1).run();
    run.has_verdict(Fail).is_quiet();
    let state = double.state();
    assert_eq!((state.check_runs.len(), state.comments.len(), state.visible().len()), (2, 2, 1));
}

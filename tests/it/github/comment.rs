//! The comment on a pull request: one that is found again, edited quietly, and renewed when the verdict gets worse.

use std::time::Duration;

use super::double::{Comment, Double, Operation, VIEWER};
use super::event::NUMBER;
use super::fault::{Fault, Kind};
use super::runner::Job;
use super::toy::{CLAIM, Verdict};
use super::{event, marker, read};

use Verdict::{Fail, Inconclusive, Pass, Warn};

#[test]
fn the_mode_decides_on_the_first_comment() {
    for (mode, commented) in [
        ("off", &[][..]),
        ("failures", &[Inconclusive, Fail]),
        ("on-change", &[Warn, Inconclusive, Fail]),
        ("always", &Verdict::ALL),
    ] {
        for verdict in Verdict::ALL {
            let double = Double::start();
            let run = Job::on_pull_request(&double).candidate(verdict).input("comment", mode).run();
            run.has_verdict(verdict).is_quiet();
            let comments = usize::from(commented.contains(&verdict));
            assert_eq!(double.state().comments.len(), comments, "{mode}, {verdict:?}");
        }
    }
}

#[test]
fn the_first_comment_says_whose_it_is() {
    let double = Double::start();
    let mut job = Job::on_pull_request(&double).candidate(Fail).numbered(4711, 3);
    let run = job.run();
    run.has_verdict(Fail);
    let state = double.state();
    let [comment] = state.comments.as_slice() else { panic!("{:?}", state.comments) };
    let marker = marker(&comment.body);
    assert_eq!((marker["verdict"], marker["run"], marker["attempt"]), ("fail", "4711", "3"));
    assert_eq!(marker["head"], job.commits.head);
    assert!(marker["gate"].len() >= 16 && marker["gate"].bytes().all(|byte| byte.is_ascii_hexdigit()), "{marker:?}");
    assert_eq!((comment.issue, comment.author.as_str(), comment.minimised), (NUMBER, VIEWER, false));
    assert!(read(&comment.body).contains(CLAIM), "{}", comment.body);
    assert_eq!(run.output("comment-url"), state.comment_url(comment));
}

/// What a second run does with the comment of the first.
struct Second {
    first: Verdict,
    second: Verdict,
    comments: usize,
    writes: &'static [Operation],
}

#[test]
fn a_later_run_edits_quietly_unless_it_is_worse() {
    use Operation::{CreateComment, Minimize, UpdateComment};
    const QUIET: &[Operation] = &[UpdateComment];
    const LOUD: &[Operation] = &[CreateComment, Minimize];
    for Second { first, second, comments, writes } in [
        Second { first: Fail, second: Fail, comments: 1, writes: QUIET },
        Second { first: Fail, second: Inconclusive, comments: 1, writes: QUIET },
        Second { first: Inconclusive, second: Warn, comments: 1, writes: QUIET },
        Second { first: Fail, second: Pass, comments: 1, writes: QUIET },
        Second { first: Pass, second: Warn, comments: 2, writes: LOUD },
        Second { first: Warn, second: Inconclusive, comments: 2, writes: LOUD },
        Second { first: Inconclusive, second: Fail, comments: 2, writes: LOUD },
    ] {
        let double = Double::start();
        let mut job = Job::on_pull_request(&double).input("comment", "always").candidate(first);
        job.run().has_verdict(first);
        double.state().calls.clear();
        let run = job.candidate(second).numbered(1001, 1).run();
        run.has_verdict(second).is_quiet();
        let state = double.state();
        let written = [CreateComment, UpdateComment, Minimize, Operation::DeleteComment];
        let wrote: Vec<_> = state.calls.iter().filter(|call| written.contains(call)).copied().collect();
        assert_eq!(wrote, writes, "{first:?}, then {second:?}");
        assert_eq!(state.comments.len(), comments, "{first:?}, then {second:?}");
        let visible = state.visible();
        let [comment] = visible.as_slice() else { panic!("{first:?}, then {second:?}: {visible:?}") };
        let marker = marker(&comment.body);
        assert_eq!((marker["verdict"], marker["run"]), (second.name(), "1001"), "{first:?}, then {second:?}");
        assert_eq!(run.output("comment-url"), state.comment_url(comment), "{first:?}, then {second:?}");
    }
}

#[test]
fn the_same_run_again_writes_nothing() {
    let double = Double::start();
    let mut job = Job::on_pull_request(&double).candidate(Fail);
    job.run().has_verdict(Fail);
    let before = double.state().comments.clone();
    double.state().calls.clear();
    let run = job.run();
    run.has_verdict(Fail);
    let state = double.state();
    assert_eq!(state.comments, before);
    assert_eq!(state.count(Operation::UpdateComment) + state.count(Operation::CreateComment), 0);
    assert_eq!(run.output("comment-url"), state.comment_url(&before[0]), "an unchanged comment is still the comment");
}

#[test]
fn without_comments_none_is_looked_for() {
    let double = Double::start();
    Job::on_pull_request(&double).candidate(Fail).run().has_verdict(Fail);
    double.state().calls.clear();
    let mut job = Job::on_pull_request(&double).candidate(Pass).input("comment", "off").numbered(1001, 1);
    job.run().has_verdict(Pass);
    let state = double.state();
    assert_eq!(state.count(Operation::Comments), 0);
    assert_eq!(marker(&state.comments[0].body)["verdict"], "fail");
}

/// Our comment of a run, made once so that its marker need not be written here.
fn one_comment(verdict: Verdict, run: u64, attempt: u64) -> Comment {
    let double = Double::start();
    let mut job = Job::on_pull_request(&double).candidate(verdict).input("comment", "always").numbered(run, attempt);
    job.run().has_verdict(verdict);
    double.state().comments[0].clone()
}

#[test]
fn ours_is_found_among_three_hundred() {
    let ours = one_comment(Fail, 1000, 1);
    let chatter = |state: &mut super::double::State, count: usize| {
        for number in 0..count {
            state.add_comment(NUMBER, "reviewer", &format!("remark {number}"));
        }
    };
    for place in ["first", "last"] {
        let double = Double::start();
        let mut job = Job::on_pull_request(&double).candidate(Fail).numbered(1001, 1);
        let (id, forged) = {
            let mut state = double.state();
            let first = (place == "first").then(|| state.add_comment(NUMBER, VIEWER, &ours.body));
            chatter(&mut state, 149);
            let forged = state.add_comment(NUMBER, "mallory", &ours.body.replace("run=1000", "run=999999"));
            chatter(&mut state, 149);
            (first.unwrap_or_else(|| state.add_comment(NUMBER, VIEWER, &ours.body)), forged)
        };
        job.run().has_verdict(Fail).is_quiet();
        let state = double.state();
        assert_eq!(state.comments.len(), 300, "{place}");
        assert!(state.count(Operation::Comments) >= 3, "{place}");
        assert_eq!(state.count(Operation::UpdateComment), 1, "{place}");
        let body = |id| state.comments.iter().find(|comment| comment.id == id).map(|comment| comment.body.as_str());
        assert_eq!(marker(body(id).unwrap())["run"], "1001", "{place}");
        assert_eq!(marker(body(forged).unwrap())["run"], "999999", "{place}: a forged comment is touched");
    }
}

#[test]
fn what_is_not_ours_is_left_alone() {
    let ours = one_comment(Fail, 1000, 1);
    let digest = marker(&ours.body)["gate"].to_owned();
    let other_gate = ours.body.replace(&digest, &"0".repeat(digest.len()));
    let later = format!("As the gate said:\n\n{}", ours.body);
    for (what, author, body, minimised) in [
        ("a comment of another author", "mallory", ours.body.as_str(), false),
        ("a comment of another gate", VIEWER, other_gate.as_str(), false),
        ("a marker that is quoted", VIEWER, later.as_str(), false),
        ("a comment that was minimised", VIEWER, ours.body.as_str(), true),
    ] {
        let double = Double::start();
        let mut job = Job::on_pull_request(&double).candidate(Fail).numbered(1001, 1);
        double.state().add_comment(NUMBER, author, body);
        double.state().comments[0].minimised = minimised;
        let before = double.state().comments.clone();
        job.run().has_verdict(Fail);
        let state = double.state();
        assert_eq!(state.comments.len(), 2, "{what}");
        assert_eq!(state.comments[0], before[0], "{what}");
        assert_eq!(marker(&state.comments[1].body)["run"], "1001", "{what}");
    }
}

#[test]
fn an_older_run_that_ends_last_changes_no_comment() {
    for (theirs, ours) in [((2000, 1), (1000, 1)), ((1000, 2), (1000, 1)), ((1000, 10), (1000, 9))] {
        let newer = one_comment(Pass, theirs.0, theirs.1);
        let double = Double::start();
        let mut job = Job::on_pull_request(&double).candidate(Fail).numbered(ours.0, ours.1);
        double.state().add_comment(NUMBER, VIEWER, &newer.body);
        let before = double.state().comments.clone();
        job.run().has_verdict(Fail);
        assert_eq!(double.state().comments, before, "{ours:?} after {theirs:?}");
        assert_eq!(super::completed(&double).conclusion.as_deref(), Some("failure"));
    }
}

#[test]
fn two_runs_that_both_create_leave_one_comment() {
    for (theirs, left) in [(999, "1000"), (1001, "1001")] {
        let other = one_comment(Warn, theirs, 1);
        let double = Double::start();
        let mut job = Job::on_pull_request(&double).candidate(Fail);
        double.state().intruder = Some(other.body.clone());
        job.run().has_verdict(Fail);
        let state = double.state();
        let [comment] = state.comments.as_slice() else { panic!("{theirs}: {:?}", state.comments) };
        assert_eq!(marker(&comment.body)["run"], left, "the other run is {theirs}");
        assert_eq!(state.count(Operation::DeleteComment), 1, "the other run is {theirs}");
    }
}

#[test]
fn two_runs_at_once_leave_the_comment_of_the_newer() {
    let double = Double::start();
    let mut older = Job::on_pull_request(&double).candidate(Fail).numbered(1000, 1);
    let mut newer = Job::on_pull_request(&double).candidate(Fail).numbered(1001, 1);
    // Both have listed before either has created.
    double.fault(Fault::new(Operation::Comments, Kind::Late(Duration::from_secs(3))).times(2));
    let running = [older.start(), newer.start()];
    for run in running.map(super::runner::Running::finish) {
        run.has_verdict(Fail).is_quiet();
    }
    let state = double.state();
    assert_eq!(state.count(Operation::CreateComment), 2, "they did not race");
    let [comment] = state.comments.as_slice() else { panic!("{:?}", state.comments) };
    assert_eq!(marker(&comment.body)["run"], "1001");
}

#[test]
fn a_comment_is_only_for_a_pull_request() {
    for event in [event::push_branch, event::merge_group, event::schedule, event::release_published] {
        let double = Double::start();
        let mut job = Job::new(&double, event).candidate(Fail).input("comment", "always");
        job.run().ends_with(1);
        let state = double.state();
        assert_eq!(state.comments.len(), 0);
        assert_eq!(state.count(Operation::Comments), 0);
    }
}

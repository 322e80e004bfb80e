//! A job that is cancelled: the check run does not stay in progress for a fortnight.

use std::time::{Duration, Instant};

use super::double::{Double, Operation};
use super::fault::{Fault, Kind};
use super::runner::{Job, Running};
use super::toy::{self, Verdict};
use super::{completed, double::State};

/// What the runner leaves a program between the signal and the end.
const GRACE: Duration = Duration::from_secs(7);

/// A job whose data keep two processors busy for a while.
fn long_job(double: &Double) -> Job {
    let job = Job::on_pull_request(double);
    toy::write_rows(&job.workspace(), Verdict::Fail, 300_000);
    job
}

fn wait_until(double: &Double, holds: impl Fn(&State) -> bool) {
    let started = Instant::now();
    while !holds(&double.state()) {
        assert!(started.elapsed() < Duration::from_secs(30), "it never came to that: {:?}", double.state().calls);
        std::thread::sleep(Duration::from_millis(3));
    }
}

/// Sends the signal once the check run stands, and asserts that it is cancelled in time.
fn cancel(double: &Double, running: Running, signal: &str, code: i32) {
    wait_until(double, |state| !state.check_runs.is_empty());
    running.signal(signal);
    let signalled = Instant::now();
    let run = running.finish();
    run.ends_with(code);
    assert!(signalled.elapsed() < GRACE, "the runner would have killed it: {run}");
    assert!(!run.has_record(), "nothing was judged");
    assert_eq!(completed(double).conclusion.as_deref(), Some("cancelled"));
    assert_eq!(double.state().comments.len(), 0);
}

#[test]
fn a_signal_during_the_run_cancels_the_check_run() {
    for (signal, code) in [("TERM", 143), ("INT", 130)] {
        let double = Double::start();
        cancel(&double, long_job(&double).start(), signal, code);
    }
}

#[test]
fn a_signal_while_the_check_run_is_created_cancels_it_too() {
    let double = Double::start();
    double.fault(Fault::new(Operation::CreateCheckRun, Kind::Late(Duration::from_secs(2))));
    let running = Job::on_pull_request(&double).start();
    cancel(&double, running, "TERM", 143);
}

#[test]
fn a_signal_while_github_is_silent_still_ends_the_run() {
    let double = Double::start();
    double.fault(Fault::new(Operation::UpdateCheckRun, Kind::Late(Duration::from_secs(30))).always());
    cancel(&double, long_job(&double).input("publish_seconds", "60").start(), "TERM", 143);
}

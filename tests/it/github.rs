//! The gate on GitHub, run exactly as the runner runs it, against a double of GitHub: what a run leaves behind, and what
//! it never does, whatever goes wrong.

use std::collections::BTreeMap;

mod answer;
mod cancel;
mod check_run;
mod comment;
mod double;
mod event;
mod example;
mod fault;
mod log;
mod policy;
mod runner;
mod sources;
mod toy;
mod trigger;
mod trouble;

use double::{CheckRun, Double};

/// The first line of one of our comments, read.
#[track_caller]
fn marker(body: &str) -> BTreeMap<&str, &str> {
    let first = body.lines().next().unwrap();
    let inner = first.strip_prefix("<!-- modelgate:1 ").and_then(|rest| rest.strip_suffix(" -->"));
    let inner = inner.unwrap_or_else(|| panic!("no marker: {first}"));
    inner.split(' ').map(|pair| pair.split_once('=').unwrap()).collect()
}

/// Markdown as a reader sees it: without the marks that keep a name from meaning something.
fn read(markdown: &str) -> String {
    markdown.replace(['\\', '\u{200b}', '\u{2060}'], "")
}

/// The check run, of which there is exactly one, and which is completed.
#[track_caller]
fn completed(double: &Double) -> CheckRun {
    let state = double.state();
    let [run] = state.check_runs.as_slice() else { panic!("not one check run: {:?}", state.check_runs) };
    assert_eq!(run.status, "completed", "{run:?}");
    run.clone()
}

//! What a pull request may have the gate read: what its base allows, and nothing by saying so itself.

use std::fs;

use md5::{Digest as _, Md5};

use super::double::Double;
use super::event;
use super::runner::{Finished, Job};
use super::toy::{Contents, SPEC, Verdict, write_data};
use crate::sources::server::{Reply, Server};

/// The policy of the gate's spec.
const POLICY: &str = "false_block: 0.05 }";

/// The spec with a candidate whose scores are in a file.
fn naming(source: &str) -> String {
    SPEC.replace("{ column: score_new }", &format!("{{ predictions: '{source}', score: score_new }}"))
}

fn allowing(spec: &str, host: &str) -> String {
    spec.replace(POLICY, &format!("false_block: 0.05, allowed_hosts: ['{host}'] }}"))
}

fn run(base: &str, head: &str) -> Finished {
    let double = Double::start();
    Job::with(&double, event::pull_request, Contents { base: Some(base), head: Some(head) }).run()
}

/// A file of good scores.
fn scores() -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    write_data(folder.path(), Verdict::Pass);
    fs::read(folder.path().join("test.parquet")).unwrap()
}

/// A server that has it.
fn server() -> Server {
    let scores = scores();
    Server::start(move |asked| Reply::file(asked, &scores, None))
}

#[test]
fn a_host_is_allowed_by_the_base_and_not_by_the_pull_request() {
    let (server, base) = (server(), naming("test.parquet"));
    let head = naming(&server.url("scores.parquet?sig=secret"));
    for head in [&head, &allowing(&head, &server.host)] {
        let run = run(&base, head);
        run.ends_with(2).tells("which the base does not allow").tells("policy.allowed_hosts");
        assert!(!run.told().contains("secret"), "{run}");
    }
    assert_eq!(server.asked().len(), 0);
    run(&allowing(&base, &server.host), &allowing(&head, &server.host)).ends_with(0);
    assert_ne!(server.asked().len(), 0);
}

#[test]
fn what_the_base_names_needs_no_permission() {
    let spec = naming(&server().url("scores.parquet"));
    let run = run(&spec, &spec);
    run.ends_with(0);
    assert!(run.record()["inputs"]["candidate"]["found"][0]["sha256"].is_string());
}

#[test]
fn a_remote_of_dvc_needs_permission_even_where_the_base_names_the_same() {
    let server = server();
    let md5 = Md5::digest(scores()).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let pointer = format!("outs:\n- md5: {md5}\n  hash: md5\n  path: scores.parquet\n");
    let config = format!("[core]\nremote = store\n['remote \"store\"']\nurl = {}\n", server.url("dvc"));
    let run = |spec: &str| {
        let double = Double::start();
        let contents = Contents { base: Some(spec), head: Some(spec) };
        let mut job = Job::with(&double, event::pull_request, contents);
        fs::create_dir(job.workspace().join(".dvc")).unwrap();
        fs::write(job.workspace().join(".dvc/config"), &config).unwrap();
        fs::write(job.workspace().join("scores.parquet.dvc"), &pointer).unwrap();
        job.run()
    };
    let data = SPEC.replace("test: test.parquet", "test: dvc:scores.parquet");
    for spec in [naming("dvc:scores.parquet"), data] {
        let asked = server.asked().len();
        run(&spec)
            .ends_with(2)
            .tells(&server.host)
            .tells("which the base does not allow")
            .tells("policy.allowed_hosts");
        assert_eq!(server.asked().len(), asked);
        run(&allowing(&spec, &server.host)).ends_with(0);
        assert_eq!(server.asked().len(), asked + 1);
    }
}

#[test]
fn to_allow_more_is_a_weakening() {
    let base = naming("test.parquet");
    let run = run(&base, &allowing(&base, "models.acme.com"));
    run.has_verdict(Verdict::Fail);
    let failed = run.claims(Verdict::Fail);
    assert!(failed.iter().any(|claim| claim.contains("policy.allowed_hosts")), "{failed:?}");
}

#[test]
fn a_pull_request_reads_no_file_outside_the_workspace() {
    for outside in ["../outside.parquet", "link.parquet"] {
        let (double, base) = (Double::start(), naming("test.parquet"));
        let contents = Contents { base: Some(&base), head: Some(&naming(outside)) };
        let mut job = Job::with(&double, event::pull_request, contents);
        let workspace = job.workspace();
        fs::copy(workspace.join("test.parquet"), workspace.join("../outside.parquet")).unwrap();
        std::os::unix::fs::symlink("../outside.parquet", workspace.join("link.parquet")).unwrap();
        job.run().ends_with(2).tells("leads out of the workspace");
    }
}

#[test]
fn a_pull_request_makes_no_first_release_by_deleting_the_baseline() {
    let baseline = "{ predictions: champion.parquet, on_missing: absolute-only }";
    let spec = SPEC.replace("{ column: score_old, allow_same: true }", baseline);
    assert_ne!(spec, SPEC);
    run(&spec, &spec).ends_with(2).tells("`champion.parquet` names no file");
}

#[test]
fn without_a_spec_of_the_base_no_host_is_allowed() {
    let server = server();
    let head = allowing(&naming(&server.url("scores.parquet")), &server.host);
    let double = Double::start();
    let contents = Contents { base: None, head: Some(&head) };
    Job::with(&double, event::pull_request, contents).run().ends_with(2).tells("which the base does not allow");
    assert_eq!(server.asked().len(), 0);
}

//! Artifacts of workflow runs, from a double of GitHub's API.

use std::fs;
use std::io::{Cursor, Write as _};
use std::process::{Command, Output};

use serde_json::{Value, json};
use tempfile::TempDir;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::release::{SPEC, TOKEN, on_github};
use super::{Asked, Fault, Reply, Run, Server, Stand, content, faulty, perseveres, sha256, verifies};

const HEAD: &str = "1111111111111111111111111111111111111111";

/// An archive with files of these names.
fn archive(names: &[&str]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for name in names {
        writer.start_file(*name, SimpleFileOptions::default()).unwrap();
        writer.write_all(format!("no model, {name}").as_bytes()).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

/// GitHub, whose artifacts lie on another host.
struct GitHub {
    api: Server,
    storage: Server,
}

impl GitHub {
    /// Has an archive, and says that it has this digest.
    fn start(bytes: Vec<u8>, digest: &str) -> Self {
        let storage = Server::on("127.0.0.2", move |asked| Reply::file(asked, &bytes, None));
        let (there, digest) = (storage.url("artifact?sig=secret"), format!("sha256:{digest}"));
        let api = Server::start(move |asked| answer(asked, &there, &digest));
        Self { api, storage }
    }

    fn of(bytes: Vec<u8>) -> Self {
        let digest = sha256(&bytes);
        Self::start(bytes, &digest)
    }

    /// Opens a model, as in a job for a push.
    fn run(&self, source: &str) -> String {
        self.run_in(&TempDir::new().unwrap(), source)
    }

    fn run_in(&self, folder: &TempDir, source: &str) -> String {
        fs::write(folder.path().join("modelgate.yaml"), SPEC.replace("SOURCE", source)).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_modelgate"));
        command.current_dir(folder.path()).args(["run", "--cache", "kept"]);
        command.env("GITHUB_API_URL", self.api.url("").trim_end_matches('/')).env("GITHUB_SHA", HEAD);
        command.env("GITHUB_REPOSITORY", "acme/delays").env("GITHUB_TOKEN", TOKEN);
        command.env_remove("GITHUB_ACTIONS").env_remove("GITHUB_EVENT_NAME");
        let Output { stderr, .. } = command.output().unwrap();
        let told = String::from_utf8(stderr).unwrap();
        assert!(!told.contains("secret"), "{told}");
        told
    }
}

/// An archive with the model as it is.
fn packed() -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    writer.start_file("m.onnx", stored).unwrap();
    writer.write_all(&content()).unwrap();
    writer.finish().unwrap().into_inner()
}

fn stand(fault: Fault) -> Stand {
    let (fault, bytes) = (faulty(fault), packed());
    let digest = format!("sha256:{}", sha256(&bytes));
    let storage = Server::on("127.0.0.2", move |asked| fault(Reply::file(asked, &bytes, None)));
    let there = storage.url("artifact?sig=secret");
    let api = Server::start(move |asked| answer(asked, &there, &digest));
    let run = Run { variables: on_github(&api), ..Run::new() };
    Stand { run, source: "actions:train.yml/model/m.onnx@main".to_owned(), servers: vec![api, storage] }
}

#[test]
fn faults_of_the_storage_of_artifacts() {
    perseveres(stand);
    verifies(stand, &sha256(&packed()));
}

fn answer(asked: &Asked, there: &str, digest: &str) -> Reply {
    if asked.header("authorization") != Some(&format!("Bearer {TOKEN}")) {
        return Reply::of(401, r#"{"message":"Bad credentials"}"#);
    }
    let json = |value: Value| Reply::of(200, value.to_string()).with("content-type", "application/json");
    let run = |id: u64, head: &str, conclusion: &str| {
        json!({ "id": id, "path": ".github/workflows/train.yml@main", "conclusion": conclusion,
            "head_repository": { "full_name": head }, "repository": { "full_name": "acme/delays" } })
    };
    let upload = |id: u64, name: &str, expired: bool| json!({ "id": id, "name": name, "expired": expired, "expires_at": "2026-03-01T00:00:00Z", "digest": digest });
    let (path, query) = asked
        .path
        .strip_prefix("/repos/acme/delays/actions/")
        .unwrap()
        .split_once('?')
        .unwrap_or((asked.path.strip_prefix("/repos/acme/delays/actions/").unwrap(), ""));
    let is_asked = |parameter: &str| query.split('&').any(|given| given == parameter);
    match path {
        "workflows/train.yml/runs" if is_asked("branch=main") => json(json!({ "workflow_runs": [
            run(9, "mallory/delays", "success"), run(8, "acme/delays", "failure"), run(7, "acme/delays", "success") ] })),
        "workflows/train.yml/runs" if is_asked(&format!("head_sha={HEAD}")) => {
            json(json!({ "workflow_runs": [run(6, "mallory/delays", "success")] }))
        }
        "workflows/train.yml/runs" => json(json!({ "workflow_runs": [] })),
        "runs/5" => json(run(5, "acme/delays", "success")),
        "runs/5/artifacts" => json(json!({ "artifacts": [upload(50, "model", true)] })),
        "runs/7/artifacts" | "runs/6/artifacts" if is_asked("name=absent") => json(json!({ "artifacts": [] })),
        "runs/7/artifacts" | "runs/6/artifacts" => {
            json(json!({ "artifacts": [upload(70, "model", false), upload(71, "model", false)] }))
        }
        "artifacts/71/zip" => Reply::redirect(there.to_owned()),
        _ => Reply::of(404, r#"{"message":"Not Found"}"#),
    }
}

#[test]
fn a_file_of_the_newest_artifact_is_unpacked() {
    for (source, run) in [("actions:train.yml/model/d/m.onnx@main", 7), ("actions:train.yml/model/d/m.onnx@head", 6)] {
        let (github, folder) = (GitHub::of(archive(&["README", "d/m.onnx"])), TempDir::new().unwrap());
        let told = github.run_in(&folder, source);
        // It is here whole, and it is no model.
        assert!(told.contains(&format!("`{source}` is not a usable ONNX model")), "{told}");
        let paths = github.api.asked().into_iter().map(|asked| asked.path).collect::<Vec<_>>();
        assert!(paths[1].contains(&format!("runs/{run}/artifacts")), "{paths:?}");
        let asked = github.storage.asked();
        assert!(asked.len() == 1 && asked[0].headers.values().all(|value| !value.contains(TOKEN)), "{asked:?}");
        // The next run fetches nothing.
        github.run_in(&folder, source);
        assert_eq!(github.storage.asked().len(), 1);
    }
}

#[test]
fn a_pin_is_that_of_the_file() {
    let (github, file) = (GitHub::of(archive(&["m.onnx"])), sha256(b"no model, m.onnx"));
    let told = github.run(&format!("actions:train.yml/model@main@sha256:{file}"));
    assert!(told.contains("is not a usable ONNX model"), "{told}");
    let told = github.run(&format!("actions:train.yml/model@main@sha256:{}", sha256(b"another")));
    assert!(told.contains(&format!("its SHA-256 is {file} and it is pinned to")), "{told}");
}

#[test]
fn what_is_not_there_is_told() {
    let github = GitHub::of(archive(&["a", "b"]));
    for (source, expected) in [
        ("actions:train.yml/model@main", "name one: `a`, `b`"),
        ("actions:train.yml/model/c@main", "no file `c`; it has `a`, `b`"),
        ("actions:train.yml/absent@main", "has no artifact `absent`; it has: `model`"),
        ("actions:train.yml/model@other", "`train.yml` has no successful run on `other`"),
        ("actions:train.yml/model@run:5", "expired at 2026-03-01T00:00:00Z: run the workflow again"),
        ("actions:test.yml/model@run:5", "the run 5 is one of `train.yml`, and not of `test.yml`"),
        ("actions:absent.yml/model@main", "`permissions: actions: read`"),
    ] {
        let told = github.run(source);
        assert!(told.contains(expected), "{source}: {told}");
    }
}

#[test]
fn what_is_damaged_or_evil_is_no_model() {
    let whole = archive(&["m.onnx"]);
    let told = GitHub::start(whole.clone(), &sha256(b"another")).run("actions:train.yml/model@main");
    assert!(told.contains("its SHA-256 is") && told.contains("must be"), "{told}");
    let told = GitHub::of(whole[..whole.len() / 2].to_vec()).run("actions:train.yml/model@main");
    assert!(told.contains("no whole zip archive"), "{told}");
    let told = GitHub::of(archive(&["../m.onnx"])).run("actions:train.yml/model/../m.onnx@main");
    assert!(told.contains("leads out of it"), "{told}");
}

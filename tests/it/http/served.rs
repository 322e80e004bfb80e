//! Models of MLflow that a program serves: one that ends, hangs, dies while it is asked, and looks around.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Instant;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{command, gate, told};
use crate::services::program;
use crate::sources::server::{Asked, Reply, Server};

/// A tracking server that has one model, of a flavour that is a program.
fn registry() -> Server {
    Server::start(|asked: &Asked| {
        let (path, query) = asked.path.split_once('?').unwrap_or((&asked.path, ""));
        let files = |files: Value| Reply::of(200, json!({ "files": files }).to_string());
        match path.strip_prefix("/api/2.0/").unwrap() {
            "mlflow/model-versions/get-download-uri" => {
                Reply::of(200, json!({ "artifact_uri": "mlflow-artifacts:/1/m" }).to_string())
            }
            "mlflow-artifacts/artifacts" if query == "path=1%2Fm" => {
                files(json!([{ "path": "MLmodel" }, { "path": "code", "is_dir": true }]))
            }
            "mlflow-artifacts/artifacts" if query == "path=1%2Fm%2Fcode" => {
                files(json!([{ "path": "more.py", "file_size": 7 }, { "path": "__init__.py", "file_size": 0 }]))
            }
            "mlflow-artifacts/artifacts/1/m/MLmodel" => Reply::of(200, "flavors: { sklearn: {}, python_function: {} }"),
            "mlflow-artifacts/artifacts/1/m/code/more.py" => Reply::of(200, "print()"),
            other => panic!("{other}?{query}"),
        }
    })
}

/// A gate whose candidate is that model, on a machine whose `mlflow` is this script.
struct Stand {
    folder: TempDir,
    registry: Server,
}

impl Stand {
    fn new(script: &str, seconds: u64) -> Self {
        let folder = gate(&format!("{{ mlflow: models:/delays/1, seconds: {seconds} }}"));
        let file = folder.path().join("bin/mlflow");
        fs::create_dir(file.parent().unwrap()).unwrap();
        fs::write(&file, script).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        Self { folder, registry: registry() }
    }

    fn seen(&self, name: &str) -> String {
        fs::read_to_string(self.folder.path().join(name)).unwrap_or_default()
    }

    /// What is said of the program.
    #[track_caller]
    fn fails(&self, tells: &[&str]) -> String {
        let path = format!("{}/bin:/usr/bin:/bin", self.folder.path().display());
        let mut command = command(self.folder.path(), &["--allow-process"]);
        command.env("PATH", path).env("MLFLOW_TRACKING_URI", self.registry.url(""));
        command.env("MLFLOW_TRACKING_TOKEN", "mlflow_secret").env("MODELGATE_TOKENS", "acme.com=http_secret");
        let output = command.output().unwrap();
        let said = told(&output);
        assert_eq!(output.status.code(), Some(2), "{said}");
        for text in tells {
            assert!(said.contains(text), "no `{text}` in: {said}");
        }
        assert!(!self.folder.path().join(".modelgate/record.json").exists());
        said
    }
}

/// Where the folder of the test is, for a script that gets no variable of the test's.
fn here(script: &str) -> String {
    format!("#!/bin/sh\nhere=$(dirname \"$0\")/..\n{script}\n")
}

#[test]
fn a_program_that_cannot_load_the_model_says_why() {
    let stand = Stand::new(
        &here("echo \"$@\" > $here/words; env > $here/seen; echo 'No module named sklearn' >&2; exit 3"),
        100,
    );
    stand.fails(&["exit status: 3", "No module named sklearn", "`requirements.txt`"]);
    let words = stand.seen("words");
    assert!(words.starts_with("models serve --model-uri /") && words.contains("--host 127.0.0.1 --port "), "{words}");
    assert!(words.contains("--env-manager local"), "{words}");
    assert_eq!(words.lines().count(), 1, "it is started once: {words}");
    let seen = stand.seen("seen");
    assert!(seen.contains("PATH=") && !seen.contains("secret"), "{seen}");
}

#[test]
fn a_program_that_is_never_well_is_ended_with_its_children() {
    let stand = Stand::new(&here("sleep 1000 & echo $! > $here/child; find \"$4\" > $here/files; wait"), 5);
    let begun = Instant::now();
    stand.fails(&["not ready within 5 seconds", "`seconds:`"]);
    assert!(begun.elapsed().as_secs() < 60);
    let files = stand.seen("files");
    assert!(
        files.contains("/model/MLmodel") && files.contains("/model/code/more.py") && files.contains("__init__"),
        "{files}"
    );
    let state = fs::read_to_string(format!("/proc/{}/stat", stand.seen("child").trim())).unwrap_or_default();
    assert!(state.is_empty() || state.contains(") Z "), "{state}");
}

#[test]
fn a_program_that_dies_while_it_is_asked_says_why() {
    let python = program("mlflow", "python");
    let script = format!(
        "#!{}
import http.server, os, sys

class Model(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()

    def do_POST(self):
        print('out of memory', file=sys.stderr, flush=True)
        os._exit(9)

port = int(sys.argv[sys.argv.index('--port') + 1])
http.server.HTTPServer(('127.0.0.1', port), Model).serve_forever()
",
        python.display()
    );
    Stand::new(&script, 100).fails(&["exit status: 9", "out of memory", "in 3 tries"]);
}

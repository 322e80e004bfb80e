//! Every request that the gate made in these tests, one JSON object a line, for whoever compares them with GitHub's own
//! description: the file that `MODELGATE_REQUESTS` names, or `github-requests.jsonl` in Cargo's folder for tests.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::sync::{LazyLock, Mutex};

use serde_json::{Value, json};
use wiremock::Request;

static LOG: LazyLock<Mutex<File>> = LazyLock::new(|| Mutex::new(open()));

/// Appends a request; the path as on github.com. What the double's own tests ask is none of the gate's.
pub(super) fn append(request: &Request, path: &str) {
    let header = |name| request.headers.get(name).and_then(|value| value.to_str().ok());
    if !header("user-agent").is_some_and(|agent| agent.starts_with("modelgate/")) {
        return;
    }
    let accept = header("accept");
    let text = || Value::from(String::from_utf8_lossy(&request.body));
    let body = match request.body.as_slice() {
        [] => Value::Null,
        bytes => serde_json::from_slice(bytes).unwrap_or_else(|_| text()),
    };
    let line = json!({
        "method": request.method.as_str(), "path": path, "query": request.url.query(),
        "headers": { "accept": accept }, "body": body,
    });
    // One write of a whole line: several test programs may share the file.
    LOG.lock().unwrap().write_all(format!("{line}\n").as_bytes()).unwrap();
}

/// The named file grows, as its owner may want; the other holds the requests of the last run.
fn open() -> File {
    let mut options = OpenOptions::new();
    options.create(true);
    match std::env::var_os("MODELGATE_REQUESTS") {
        Some(path) => options.append(true).open(path).unwrap(),
        None => {
            let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("github-requests.jsonl");
            drop(std::fs::remove_file(&path));
            options.append(true).open(path).unwrap()
        }
    }
}

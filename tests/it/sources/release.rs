//! Assets of releases, and files of commits that the checkout lacks, from a double of GitHub's API.

use std::fs;
use std::process::{Command, Output};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Asked, Fault, Reply, Run, Server, Stand, content, faulty, sha256, verifies, withstands};

pub(super) const TOKEN: &str = "ghs_secret";

pub(super) const SPEC: &str = "version: 1
model: { name: toy, task: binary }
candidate: { onnx: 'SOURCE' }
columns: { id: id, label: label }
data: { test: test.parquet }
checks:
  - performance.metric: { metric: roc_auc, min: 0.5 }
";

/// How a machine is set up for this double of GitHub.
pub(super) fn on_github(api: &Server) -> Vec<(&'static str, String)> {
    let address = api.url("");
    let variables = [
        ("GITHUB_API_URL", address.trim_end_matches('/')),
        ("GITHUB_REPOSITORY", "acme/delays"),
        ("GITHUB_TOKEN", TOKEN),
    ];
    variables.map(|(name, value)| (name, value.to_owned())).to_vec()
}

/// GitHub, whose assets lie on another host.
struct GitHub {
    api: Server,
    storage: Server,
}

impl GitHub {
    /// Has a file with these bytes, and says that it has this digest.
    fn start(bytes: &'static [u8], digest: String) -> Self {
        let storage = Server::on("127.0.0.2", move |asked| Reply::file(asked, bytes, None));
        let there = storage.url("asset?sig=1");
        let api = Server::start(move |asked| answer(asked, &there, bytes, &digest));
        Self { api, storage }
    }

    /// Opens a model, as on a run for a tag.
    fn run(&self, source: &str, tag: &str) -> String {
        self.run_spec(&SPEC.replace("SOURCE", source), tag)
    }

    fn run_spec(&self, spec: &str, tag: &str) -> String {
        let folder = TempDir::new().unwrap();
        fs::write(folder.path().join("modelgate.yaml"), spec).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_modelgate"));
        command.current_dir(folder.path()).arg("run").env("GITHUB_API_URL", self.api.url("").trim_end_matches('/'));
        command.env("GITHUB_REPOSITORY", "acme/delays").env("GITHUB_TOKEN", TOKEN);
        command.env("GITHUB_REF_TYPE", if tag.is_empty() { "branch" } else { "tag" }).env("GITHUB_REF_NAME", tag);
        command.env("GITHUB_EVENT_NAME", "release").env_remove("GITHUB_ACTIONS");
        let Output { stderr, .. } = command.output().unwrap();
        String::from_utf8(stderr).unwrap()
    }

    fn paths(&self) -> Vec<String> {
        self.api.asked().into_iter().map(|asked| asked.path).collect()
    }
}

fn answer(asked: &Asked, there: &str, bytes: &[u8], digest: &str) -> Reply {
    if asked.header("authorization") != Some(&format!("Bearer {TOKEN}")) {
        return Reply::of(401, r#"{"message":"Bad credentials"}"#);
    }
    let release = |tag: &str, draft: bool, prerelease: bool| {
        let asset = json!({ "id": 7, "name": "m.onnx", "state": "uploaded", "size": bytes.len(), "digest": digest,
            "updated_at": "2026-01-01T00:00:00Z" });
        json!({ "tag_name": tag, "draft": draft, "prerelease": prerelease, "assets": [asset] })
    };
    let all = || {
        Value::from(vec![
            release("v2.0.0", false, false),
            release("v1.10.0-rc.1", false, true),
            release("v1.9.0", false, false),
            release("v1.10.0", true, false),
            release("v1.8.0", false, false),
        ])
    };
    let json = |value: Value| Reply::of(200, value.to_string()).with("content-type", "application/json");
    match asked.path.strip_prefix("/repos/acme/delays/").unwrap().split('?').next().unwrap() {
        "releases/latest" | "releases/tags/v2.0.0" => json(release("v2.0.0", false, false)),
        "releases" => json(all()),
        "releases/assets/7" if asked.header("accept") == Some("application/octet-stream") => {
            Reply::redirect(there.to_owned())
        }
        "commits/main" => json(json!({ "sha": "1111111111111111111111111111111111111111" })),
        "contents/models/m.onnx" if asked.header("accept").is_some_and(|accept| accept.contains("raw")) => {
            Reply::file(asked, bytes, None)
        }
        "contents/models/m.onnx" => json(json!({ "type": "file", "size": bytes.len() })),
        _ => Reply::of(404, r#"{"message":"Not Found"}"#),
    }
}

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", sha256(bytes))
}

#[test]
fn an_asset_is_fetched_without_the_token_where_it_lies() {
    for (source, path) in [
        ("release:latest/m.onnx", "/repos/acme/delays/releases/latest"),
        ("release:v2.0.0/m.onnx", "/repos/acme/delays/releases/tags/v2.0.0"),
    ] {
        let github = GitHub::start(b"no model", digest(b"no model"));
        let told = github.run(source, "v3.0.0");
        // It is here whole, and it is no model.
        assert!(told.contains(&format!("`{source}` is not a usable ONNX model")), "{told}");
        assert_eq!(github.paths(), [path, "/repos/acme/delays/releases/assets/7"]);
        let asked = github.storage.asked();
        assert_eq!(asked.len(), 1);
        assert!(asked[0].headers.values().all(|value| !value.contains(TOKEN)), "{asked:?}");
    }
}

fn stand(fault: Fault) -> Stand {
    let (fault, bytes) = (faulty(fault), content());
    let storage = Server::on("127.0.0.2", move |asked| fault(Reply::file(asked, &bytes, None)));
    let (there, bytes) = (storage.url("asset?sig=1"), content());
    let api = Server::start(move |asked| answer(asked, &there, &bytes, &digest(&bytes)));
    let run = Run { variables: on_github(&api), ..Run::new() };
    Stand { run, source: "release:v2.0.0/m.onnx".to_owned(), servers: vec![api, storage] }
}

/// A file of a commit that no checkout has.
fn stand_without_checkout(fault: Fault) -> Stand {
    let (fault, bytes) = (faulty(fault), content());
    let api = Server::start(move |asked| {
        let reply = answer(asked, "", &bytes, "");
        let is_file = asked.header("accept").is_some_and(|accept| accept.contains("raw"));
        if is_file { fault(reply) } else { reply }
    });
    let run = Run { variables: on_github(&api), ..Run::at(TempDir::new().unwrap()) };
    Stand { run, source: "git:main:models/m.onnx".to_owned(), servers: vec![api] }
}

#[test]
fn faults_of_a_release() {
    withstands(stand);
    verifies(stand, &sha256(&content()));
}

#[test]
fn faults_of_a_commit() {
    withstands(stand_without_checkout);
}

#[test]
fn the_digest_of_an_asset_is_verified() {
    let github = GitHub::start(b"no model", digest(b"a model"));
    let told = github.run("release:latest/m.onnx", "v3.0.0");
    assert!(told.contains("`release:v2.0.0/m.onnx` cannot be fetched") && told.contains(&sha256(b"a model")), "{told}");
}

#[test]
fn the_previous_release_is_strictly_below_the_tag() {
    let github = GitHub::start(b"no model", digest(b"a model"));
    for (tag, expected) in [
        ("v2.0.0", "`release:v1.9.0/m.onnx` cannot be fetched"),
        ("v2.0.1", "`release:v2.0.0/m.onnx` cannot be fetched"),
        ("v1.10.0-rc.2", "`release:v1.9.0/m.onnx` cannot be fetched"),
        ("v1.9.0", "`release:v1.8.0/m.onnx` cannot be fetched"),
        ("v1.8.0", "there is no latest release below v1.8.0"),
        ("churn-v3.0.0", "there is no latest release below churn-v3.0.0"),
        ("nightly", "the tag `nightly` is no version"),
        // Not for a tag.
        ("", "`release:v2.0.0/m.onnx` cannot be fetched"),
    ] {
        let told = github.run("release:previous/m.onnx", tag);
        assert!(told.contains(expected), "{tag}: {told}");
    }
}

#[test]
fn a_release_is_not_compared_with_itself() {
    let github = GitHub::start(b"no model", digest(b"a model"));
    let spec = SPEC.replace("candidate: {", "candidate: { column: score }\nbaseline: {");
    let told = github.run_spec(&spec.replace("SOURCE", "release:latest/m.onnx"), "v2.0.0");
    assert!(told.contains("the latest release is v2.0.0, which is under test"), "{told}");
    assert!(told.contains("write `release:previous/...`"), "{told}");
    // As a candidate it is what the run is for.
    let told = github.run("release:latest/m.onnx", "v2.0.0");
    assert!(told.contains("`release:v2.0.0/m.onnx` cannot be fetched"), "{told}");
}

#[test]
fn what_is_not_there_is_told_with_what_is() {
    let github = GitHub::start(b"no model", digest(b"no model"));
    let told = github.run("release:v9/m.onnx", "v3.0.0");
    assert!(told.contains("there is no release `v9`") && told.contains("contents: read"), "{told}");
    let told = github.run("release:latest/other.onnx", "v3.0.0");
    assert!(told.contains("has no asset `other.onnx`; it has: `m.onnx`"), "{told}");
}

#[test]
fn a_commit_that_the_checkout_lacks_comes_through_the_api() {
    let github = GitHub::start(b"no model", String::new());
    let told = github.run("git:main:models/m.onnx", "v3.0.0");
    assert!(told.contains("`git:main:models/m.onnx` is not a usable ONNX model"), "{told}");
    let told = github.run("git:other:models/m.onnx", "v3.0.0");
    assert!(told.contains("neither checkout nor GitHub has `other`"), "{told}");
}

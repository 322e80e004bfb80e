//! Every example payload that GitHub publishes is read, and read right. `make test` writes them; this judges by the payload
//! itself, read as plain JSON.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use modelgate::deliver::event::{Event, Trigger};
use serde_json::Value;

/// The commit of a test merge, or of whatever else the runner checked out.
const SHA: &str = "9999999999999999999999999999999999999999";

fn examples() -> BTreeMap<String, Vec<PathBuf>> {
    let folder = std::env::var_os("MODELGATE_EVENTS")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target/github-events"), PathBuf::from);
    let entries = fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}; `make test` writes the examples there", folder.display()));
    let mut examples: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
    for entry in entries {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().split('.').next().unwrap().to_owned();
        examples.entry(name).or_default().push(path);
    }
    examples
}

fn read(name: &str, path: &Path) -> (Value, Event, Option<String>) {
    let payload: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    let reference = payload["ref"].as_str().unwrap_or_default();
    let (kind, short) = match reference.strip_prefix("refs/tags/") {
        Some(tag) => ("tag", tag),
        None => ("branch", reference.trim_start_matches("refs/heads/")),
    };
    let path = path.to_str().unwrap();
    let variables = [
        ("GITHUB_EVENT_NAME", name),
        ("GITHUB_EVENT_PATH", path),
        ("GITHUB_SHA", SHA),
        ("GITHUB_REF_TYPE", kind),
        ("GITHUB_REF_NAME", short),
    ];
    let environment = variables.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let (event, idle) = Event::read(&environment).unwrap_or_else(|error| panic!("{path}: {error:#}"));
    (payload, event, idle)
}

/// What an example says, against how it is read.
#[track_caller]
fn agrees(name: &str, payload: &Value, event: &Event, idle: Option<&str>) {
    let text = |pointer: &str| payload.pointer(pointer).and_then(Value::as_str);
    let zeros = "0".repeat(40);
    let (head, base, is_idle) = match name {
        "pull_request" | "pull_request_target" => {
            let number = payload["pull_request"]["number"].as_u64();
            assert_eq!(event.pull_request.as_ref().map(|pull_request| pull_request.number), number);
            assert_eq!(event.pull_request.as_ref().map(|one| one.author.as_str()), text("/pull_request/user/login"));
            (text("/pull_request/head/sha"), text("/pull_request/base/sha"), text("/action") == Some("closed"))
        }
        "push" => {
            let of_tag = text("/ref").is_some_and(|reference| reference.starts_with("refs/tags/"));
            assert_eq!(matches!(event.trigger, Trigger::Tag(_)), of_tag);
            let head = text("/head_commit/id").filter(|_| of_tag).or(Some(SHA));
            (head, text("/before").filter(|before| *before != zeros), payload["deleted"] == true)
        }
        "merge_group" => {
            (text("/merge_group/head_sha"), text("/merge_group/base_sha"), text("/action") == Some("destroyed"))
        }
        "release" => (Some(SHA), None, text("/action") != Some("published")),
        "workflow_run" => (text("/workflow_run/head_sha"), None, false),
        _ => (Some(SHA), None, false),
    };
    assert_eq!((Some(event.head.as_str()), event.base.as_deref(), idle.is_some()), (head, base, is_idle));
    assert_eq!(event.selects("pull_request"), name == "pull_request");
}

#[test]
fn every_example_of_github_is_read_right() {
    let examples = examples();
    let least = [
        ("pull_request", 30),
        ("pull_request_target", 30),
        ("push", 10),
        ("release", 10),
        ("workflow_dispatch", 3),
        ("merge_group", 2),
        ("workflow_run", 5),
        ("schedule", 1),
        ("check_run", 5),
        ("issues", 20),
    ];
    for (name, least) in least {
        let paths = examples.get(name).map_or(&[][..], Vec::as_slice);
        assert!(paths.len() >= least, "only {} examples of {name}", paths.len());
        for path in paths {
            let (payload, event, idle) = read(name, path);
            agrees(name, &payload, &event, idle.as_deref());
        }
    }
}

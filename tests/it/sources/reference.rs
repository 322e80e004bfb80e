//! What a run is compared with: the base, where the head left it, and the tag before, in a checkout and through the API.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::gate::{SPEC, parquet};
use super::git::git;
use super::{Asked, Reply, Server};

const TOKEN: &str = "ghs_secret";

/// A repository with a history, and what a run in it finds.
///
/// `main` has three commits, the first two of which are v1.0.0 and v1.1.0, and the third v1.2.0-rc.1 and, of another model,
/// churn-v1.1.5. `new` left it at the second, and is checked out.
struct History {
    folder: TempDir,
    commits: Vec<String>,
}

/// An event: its name, the tag that it is for, and its file.
#[derive(Clone, Copy)]
struct Event<'e> {
    name: &'e str,
    tag: Option<&'e str>,
    file: &'e Value,
}

impl History {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let here = folder.path();
        git(here, &["init", "--quiet"]);
        fs::write(here.join("scores.parquet"), parquet()).unwrap();
        let commit = |number: &str, tags: &[&str]| {
            fs::write(here.join("number"), number).unwrap();
            git(here, &["add", "number", "scores.parquet"]);
            git(here, &["commit", "--quiet", "--message", number]);
            tags.iter().for_each(|tag| drop(git(here, &["tag", tag])));
            git(here, &["rev-parse", "HEAD"])
        };
        let mut commits = vec![commit("1", &["v1.0.0"]), commit("2", &["v1.1.0", "nightly"])];
        commits.push(commit("3", &["v1.2.0-rc.1", "churn-v1.1.5"]));
        git(here, &["checkout", "--quiet", "-b", "new", &commits[1]]);
        commits.push(commit("4", &[]));
        Self { folder, commits }
    }

    /// A clone with the newest commit of `new` and nothing else.
    fn shallow(&self) -> TempDir {
        let folder = TempDir::new().unwrap();
        let address = format!("file://{}", self.folder.path().display());
        git(folder.path(), &["clone", "--quiet", "--depth", "1", "--branch", "new", "--no-tags", &address, "."]);
        folder
    }

    fn pull_request(&self) -> Value {
        let (base, head) = (json!({ "sha": self.commits[2] }), json!({ "sha": self.commits[3] }));
        json!({ "pull_request": { "number": 7, "base": base, "head": head, "user": { "login": "octocat" } } })
    }

    /// GitHub, which has the whole repository.
    fn github(&self) -> Server {
        let (folder, commits) = (self.folder.path().to_owned(), self.commits.clone());
        Server::start(move |asked| answer(asked, &folder, &commits))
    }

    /// The number of a commit that stands in what was found, counted from one.
    fn number(&self, found: &Value) -> Option<usize> {
        let identity = found["identity"].as_str()?.strip_prefix("git:")?.strip_suffix(":scores.parquet")?;
        self.commits.iter().position(|commit| commit == identity).map(|index| index + 1)
    }
}

fn answer(asked: &Asked, folder: &Path, commits: &[String]) -> Reply {
    assert_eq!(asked.header("authorization"), Some(&*format!("Bearer {TOKEN}")));
    let json = |value: Value| Reply::of(200, value.to_string()).with("content-type", "application/json");
    let (path, query) = asked.path.split_once('?').unwrap_or((&asked.path, ""));
    let path = path.strip_prefix("/repos/acme/delays/").unwrap();
    let named = |tag: &str, number: usize| json!({ "name": tag, "commit": { "sha": commits[number - 1] } });
    if let Some(name) = path.strip_prefix("commits/") {
        let time = git(folder, &["show", "--no-patch", "--format=%cI", name]);
        return json(json!({ "sha": git(folder, &["rev-parse", name]), "commit": { "committer": { "date": time } } }));
    }
    if let Some(ends) = path.strip_prefix("compare/") {
        let (base, head) = ends.split_once("...").unwrap();
        return json(json!({ "merge_base_commit": { "sha": git(folder, &["merge-base", base, head]) } }));
    }
    match path {
        "tags" => {
            json(json!([named("v1.2.0-rc.1", 3), named("churn-v1.1.5", 3), named("v1.0.0", 1), named("v1.1.0", 2)]))
        }
        "contents/scores.parquet" if asked.header("accept").is_some_and(|accept| accept.contains("raw")) => {
            Reply::file(asked, &parquet(), None)
        }
        "contents/scores.parquet" => {
            assert!(query.starts_with("ref="), "{query}");
            json(json!({ "type": "file", "size": parquet().len() }))
        }
        _ => Reply::of(404, r#"{"message":"Not Found"}"#),
    }
}

/// What a run finds behind a reference: the file, or the error.
fn found(folder: &Path, reference: &str, event: Option<Event<'_>>, github: Option<&Server>) -> Result<Value, String> {
    let spec = SPEC.replace("{ column: score }", &format!("{{ predictions: 'git:{reference}:scores.parquet' }}"));
    fs::write(folder.join("modelgate.yaml"), spec).unwrap();
    fs::write(folder.join("test.parquet"), parquet()).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_modelgate"));
    command.current_dir(folder).arg("run");
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("GITHUB_")) {
        command.env_remove(name);
    }
    if let Some(Event { name, tag, file }) = event {
        let path: PathBuf = folder.join(".git/event.json");
        fs::write(&path, file.to_string()).unwrap();
        command.env("GITHUB_EVENT_NAME", name).env("GITHUB_EVENT_PATH", path).env("GITHUB_SHA", "0".repeat(40));
        command.env("GITHUB_REF_TYPE", if tag.is_some() { "tag" } else { "branch" });
        command.env("GITHUB_REF_NAME", tag.unwrap_or("7/merge"));
    }
    if let Some(github) = github {
        command.env("GITHUB_API_URL", github.url("").trim_end_matches('/')).env("GITHUB_TOKEN", TOKEN);
        command.env("GITHUB_REPOSITORY", "acme/delays");
    }
    let done = command.output().unwrap();
    if done.status.code() != Some(0) {
        return Err(String::from_utf8(done.stderr).unwrap());
    }
    let record = fs::read(folder.join(".modelgate/record.json")).unwrap();
    let record = serde_json::from_slice::<Value>(&record).unwrap();
    Ok(record["inputs"]["candidate"]["found"][0].clone())
}

#[test]
fn a_pull_request_is_compared_with_its_base_and_with_where_it_left_it() {
    let history = History::new();
    let file = history.pull_request();
    let event = Some(Event { name: "pull_request", tag: None, file: &file });
    let (github, shallow) = (history.github(), history.shallow());
    for (reference, commit, rule) in [
        ("base", 3, "base of the event pull_request".to_owned()),
        (
            "merge-base",
            2,
            format!(
                "merge base of {} and {}, the base of the event pull_request",
                &history.commits[3][..12],
                &history.commits[2][..12]
            ),
        ),
        ("previous-tag", 2, "tag with the highest version".to_owned()),
    ] {
        let whole = found(history.folder.path(), reference, event, None).unwrap();
        assert_eq!(history.number(&whole), Some(commit), "{reference}: {whole}");
        assert_eq!(whole["version"]["rule"], rule, "{whole}");
        let time = git(history.folder.path(), &["show", "--no-patch", "--format=%ct", &history.commits[commit - 1]]);
        let seconds = modelgate::artifact::time::seconds(whole["version"]["time"].as_str().unwrap());
        assert_eq!(seconds, time.parse().ok(), "{whole}");
        // What a shallow checkout lacks is asked of GitHub, and the record is the same.
        assert_eq!(found(shallow.path(), reference, event, Some(&github)).unwrap(), whole);
    }
    let error = found(shallow.path(), "merge-base", event, None).unwrap_err();
    assert!(error.contains("the checkout is shallow") && error.contains("fetch-depth: 0"), "{error}");
    let error = found(shallow.path(), "previous-tag", event, None).unwrap_err();
    assert!(error.contains("may not have all tags") && error.contains("fetch-depth: 0"), "{error}");
}

#[test]
fn on_a_terminal_the_default_branch_is_the_base() {
    let history = History::new();
    let here = history.folder.path();
    for (reference, commit, title) in [
        ("base", 3, format!("commit {}", &history.commits[2][..12])),
        ("merge-base", 2, format!("commit {}", &history.commits[1][..12])),
        ("previous-tag", 2, "tag v1.1.0".to_owned()),
        ("refs/heads/new", 4, format!("commit {}", &history.commits[3][..12])),
    ] {
        let found = found(here, reference, None, None).unwrap();
        assert_eq!(history.number(&found), Some(commit), "{reference}: {found}");
        assert_eq!(found["version"]["title"], title);
    }
    // At a tag, it is the one before.
    git(here, &["checkout", "--quiet", "v1.1.0"]);
    assert_eq!(history.number(&found(here, "previous-tag", None, None).unwrap()), Some(1));
    // Of a clone, the branch of the remote counts.
    let clone = TempDir::new().unwrap();
    git(here, &["checkout", "--quiet", "main"]);
    git(clone.path(), &["clone", "--quiet", here.to_str().unwrap(), "."]);
    git(clone.path(), &["checkout", "--quiet", "origin/new"]);
    assert_eq!(history.number(&found(clone.path(), "merge-base", None, None).unwrap()), Some(2));
}

#[test]
fn the_previous_tag_is_strictly_below_the_one_under_test() {
    let history = History::new();
    let (file, github, shallow) = (json!({}), history.github(), history.shallow());
    for (tag, expected) in [
        ("v1.2.0", Ok(2)),
        ("v1.1.0", Ok(1)),
        // A prerelease is below its release, and none is compared with.
        ("v1.2.0-rc.1", Ok(2)),
        ("v1.0.0", Err("there is no such tag: tag with the highest version below v1.0.0")),
        ("churn-v1.1.5", Err("there is no such tag: tag with the highest version below churn-v1.1.5")),
        ("nightly", Err("the tag `nightly` is no version such as v1.4.0")),
    ] {
        let event = Some(Event { name: "push", tag: Some(tag), file: &file });
        for (folder, github) in [(history.folder.path(), None), (shallow.path(), Some(&github))] {
            match (found(folder, "previous-tag", event, github), expected) {
                (Ok(found), Ok(number)) => {
                    assert_eq!(history.number(&found), Some(number), "{tag}: {found}");
                    assert_eq!(found["version"]["rule"], format!("tag with the highest version below {tag}"));
                }
                (Err(error), Err(expected)) => assert!(error.contains(expected), "{tag}: {error}"),
                (other, _) => panic!("{tag}: {other:?}"),
            }
        }
    }
}

#[test]
fn an_event_without_a_base_says_so() {
    let history = History::new();
    for (name, tag, file) in [
        ("release", Some("v1.1.0"), json!({ "action": "published" })),
        ("workflow_dispatch", None, json!({})),
        // A new branch.
        ("push", None, json!({ "before": "0".repeat(40) })),
    ] {
        for reference in ["base", "merge-base"] {
            let event = Some(Event { name, tag, file: &file });
            let error = found(history.folder.path(), reference, event, None).unwrap_err();
            assert!(error.contains(&format!("`{name}` has no base here; name the branch itself")), "{error}");
        }
    }
}

//! Files of other commits, and what they point to in Git LFS.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Fault, Reply, Run, Server, Stand, content, faulty, is_same, sha256, verifies, withstands};
use crate::services::{Service, program};

/// The token that a checkout keeps.
const KEPT: &str = "AUTHORIZATION: basic c2VjcmV0";

pub(super) fn git(folder: &Path, arguments: &[&str]) -> String {
    git_with(&[], folder, arguments)
}

/// Git with these variables.
fn git_with(variables: &[(&str, &str)], folder: &Path, arguments: &[&str]) -> String {
    let mut git = Command::new("git");
    git.envs(variables.iter().copied());
    git.args(["-c", "user.name=a", "-c", "user.email=a@b", "-c", "init.defaultBranch=main"]).current_dir(folder);
    let done = git.args(arguments).output().unwrap();
    assert!(done.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap().trim().to_owned()
}

/// A repository whose branch `main` has this model, and whose checkout has another.
fn repository(model: &[u8]) -> TempDir {
    let folder = TempDir::new().unwrap();
    git(folder.path(), &["init", "--quiet"]);
    fs::create_dir(folder.path().join("models")).unwrap();
    let write = |bytes: &[u8]| fs::write(folder.path().join("models/m.onnx"), bytes).unwrap();
    write(model);
    git(folder.path(), &["add", "."]);
    git(folder.path(), &["commit", "--quiet", "--message", "old"]);
    git(folder.path(), &["checkout", "--quiet", "-b", "new"]);
    write(b"new");
    git(folder.path(), &["commit", "--quiet", "--all", "--message", "new"]);
    folder
}

#[test]
fn a_file_of_another_branch() {
    let model = super::content();
    let folder = repository(&model);
    let run = Run::new();
    let had = run.obtain_in(&folder.path().join("models"), "git:main:models/m.onnx").unwrap();
    assert_eq!(had.bytes(), model);
    let identity = had.obtained.found[0].identity.clone().unwrap();
    assert!(identity.ends_with(":models/m.onnx") && identity.len() == "git:".len() + 40 + ":models/m.onnx".len());
    assert_eq!(run.obtain_in(folder.path(), "git:new:models/m.onnx").unwrap().bytes(), b"new");
    let Err(error) = run.obtain_in(folder.path(), "git:main:models/other.onnx") else { panic!("it was had") };
    assert!(error.contains("there is no `models/other.onnx`"), "{error}");
    let Err(error) = run.obtain_in(folder.path(), "git:main:models") else { panic!("it was had") };
    assert!(error.contains("is no file"), "{error}");
}

#[test]
fn a_commit_that_only_the_remote_branch_has() {
    let upstream = repository(b"old");
    let folder = TempDir::new().unwrap();
    let address = upstream.path().to_str().unwrap();
    git(folder.path(), &["clone", "--quiet", "--branch", "new", address, "clone"]);
    let had = Run::new().obtain_in(&folder.path().join("clone"), "git:main:models/m.onnx").unwrap();
    assert_eq!(had.bytes(), b"old");
}

fn pointer(bytes: &[u8]) -> Vec<u8> {
    let (oid, size) = (sha256(bytes), bytes.len());
    format!("version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize {size}\n").into_bytes()
}

/// A server of Git LFS that gives these bytes from another host, for whatever is asked for.
fn lfs(bytes: Vec<u8>) -> (Server, Server) {
    faulty_lfs(bytes, |reply| reply)
}

fn faulty_lfs(bytes: Vec<u8>, fault: impl Fn(Reply) -> Reply + Send + Sync + 'static) -> (Server, Server) {
    let storage = Server::on("127.0.0.2", move |asked| fault(Reply::file(asked, &bytes, None)));
    let href = storage.url("object");
    let server = Server::start(move |asked| {
        let body = serde_json::from_slice::<Value>(&asked.body).unwrap();
        if (asked.method.as_str(), asked.path.as_str()) != ("POST", "/acme/delays.git/info/lfs/objects/batch") {
            return Reply::of(404, "");
        }
        let object = &body["objects"][0];
        let download = json!({ "href": href, "header": { "X-Storage": "granted" } });
        let object = json!({ "oid": object["oid"], "size": object["size"], "actions": { "download": download } });
        Reply::of(200, json!({ "objects": [object] }).to_string())
    });
    (server, storage)
}

#[test]
fn a_pointer_is_resolved_and_verified() {
    let model = super::content();
    let folder = repository(&pointer(&model));
    let (server, storage) = lfs(model.clone());
    git(folder.path(), &["remote", "add", "origin", &server.url("acme/delays")]);
    git(folder.path(), &["config", &format!("http.{}.extraheader", server.url("")), KEPT]);
    let run = Run::new();
    let had = run.obtain_in(folder.path(), "git:main:models/m.onnx").unwrap();
    assert_eq!(had.bytes(), model);
    assert_eq!(server.asked()[0].header("authorization"), Some("basic c2VjcmV0"));
    let asked = &storage.asked()[0];
    assert_eq!([asked.header("authorization"), asked.header("x-storage")], [None, Some("granted")]);
    // What the cache has is not fetched again.
    run.obtain_in(folder.path(), "git:main:models/m.onnx").unwrap();
    assert_eq!(storage.asked().len(), 1);

    let mut other = model.clone();
    other[0] ^= 1;
    let (server, _) = lfs(other);
    git(folder.path(), &["remote", "set-url", "origin", &server.url("acme/delays.git")]);
    let Err(error) = Run::new().obtain_in(folder.path(), "git:main:models/m.onnx") else { panic!("it was had") };
    assert!(error.contains(&format!("must be {}", sha256(&model))), "{error}");
}

fn stand(fault: Fault) -> Stand {
    let folder = repository(&pointer(&content()));
    let (server, storage) = faulty_lfs(content(), faulty(fault));
    git(folder.path(), &["remote", "add", "origin", &server.url("acme/delays")]);
    Stand { run: Run::at(folder), source: "git:main:models/m.onnx".to_owned(), servers: vec![server, storage] }
}

#[test]
fn faults_of_the_storage_of_git_lfs() {
    withstands(stand);
    verifies(stand, &sha256(&content()));
}

#[test]
fn an_object_of_the_checkout_needs_no_server() {
    let folder = repository(&pointer(b"large"));
    let oid = sha256(b"large");
    let object = folder.path().join(".git/lfs/objects").join(&oid[..2]).join(&oid[2..4]);
    fs::create_dir_all(&object).unwrap();
    fs::write(object.join(&oid), "large").unwrap();
    assert_eq!(Run::new().obtain_in(folder.path(), "git:main:models/m.onnx").unwrap().bytes(), b"large");
    fs::write(object.join(&oid), "lerge").unwrap();
    let Err(error) = Run::new().obtain_in(folder.path(), "git:main:models/m.onnx") else { panic!("it was had") };
    assert!(error.contains(&format!("must have {oid}; it is damaged: remove it, and fetch it again")), "{error}");
    assert!(!error.contains("pin"), "{error}");
    let pinned = format!("git:main:models/m.onnx@sha256:{}", sha256(b"lerge"));
    let Err(error) = Run::new().obtain_in(folder.path(), &pinned) else { panic!("it was had") };
    assert!(error.contains("pinned to another SHA-256"), "{error}");
}

#[test]
fn what_a_pull_request_says_of_the_server_is_not_asked() {
    let folder = repository(&pointer(b"large"));
    let mallory = Server::start(|_| Reply::of(500, ""));
    fs::write(folder.path().join(".lfsconfig"), format!("[lfs]\n\turl = {}\n", mallory.url("lfs"))).unwrap();
    let Err(error) = Run::new().obtain_in(folder.path(), "git:main:models/m.onnx") else { panic!("it was had") };
    assert!(error.contains("the checkout does not say where it came from") && error.contains("lfs: true"), "{error}");
    assert_eq!(mallory.asked().len(), 0);
}

/// Git's own server, and beside it one of Git LFS; what is there was pushed by their own clients.
#[test]
fn a_real_repository_with_git_lfs() {
    let service = Service::start("/", |port, folder| {
        git(folder, &["init", "--quiet", "--bare", "acme/delays.git"]);
        git(&folder.join("acme/delays.git"), &["config", "http.receivepack", "true"]);
        let mut command = Command::new(program("lfs", "python"));
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/services/lfs_server.py");
        command.arg(script).arg(port.to_string());
        command
    });
    let lfs = program("git-lfs", "git-lfs");
    let path = format!("{}:{}", lfs.parent().unwrap().display(), std::env::var("PATH").unwrap());
    let address = format!("{}/acme/delays.git", service.address());
    // As `actions/checkout` leaves it.
    let kept = format!("http.{}/.extraheader", service.address());
    let credentials = [kept.as_str(), "AUTHORIZATION: basic bWU6c2VjcmV0"];

    let pushed = TempDir::new().unwrap();
    let git_lfs = |arguments: &[&str]| git_with(&[("PATH", &path)], pushed.path(), arguments);
    git_lfs(&["init", "--quiet"]);
    git_lfs(&["config", credentials[0], credentials[1]]);
    git_lfs(&["lfs", "install", "--local"]);
    git_lfs(&["lfs", "track", "*.onnx"]);
    fs::create_dir(pushed.path().join("models")).unwrap();
    fs::write(pushed.path().join("models/m.onnx"), content()).unwrap();
    git_lfs(&["add", "."]);
    git_lfs(&["commit", "--quiet", "--message", "model"]);
    git_lfs(&["push", "--quiet", &address, "main"]);

    let checkout = TempDir::new().unwrap();
    let clone = |arguments: &[&str]| git_with(&[("GIT_LFS_SKIP_SMUDGE", "1")], checkout.path(), arguments);
    clone(&["init", "--quiet"]);
    clone(&["remote", "add", "origin", &address]);
    clone(&["config", credentials[0], credentials[1]]);
    clone(&["fetch", "--quiet", "origin"]);
    let (run, source) = (Run::at(checkout), "git:main:models/m.onnx");
    let had = run.obtain(source).unwrap();
    is_same(&had);
    is_same(&run.obtain(source).unwrap());
    let asked = |what: &str| service.said().lines().filter(|line| line.contains(what)).count();
    assert_eq!(asked("\"GET /acme/delays.git/info/lfs/objects/storage/"), 1, "{}", service.said());

    // On the server the object is damaged, and then gone.
    let object = service.folder.path().join("storage/acme/delays").join(sha256(&content()));
    let (anew, folder) = (Run::new(), run.checkout.as_ref().unwrap().path());
    fs::write(&object, vec![0; content().len()]).unwrap();
    let told = anew.obtain_in(folder, source).err().unwrap();
    assert!(told.contains(&format!("must be {}", sha256(&content()))), "{told}");
    fs::remove_file(&object).unwrap();
    let told = anew.obtain_in(folder, source).err().unwrap();
    assert!(told.contains("Git LFS does not give the object") && told.contains("404"), "{told}");
    // A checkout that kept no credentials.
    git(folder, &["config", "--unset", &kept]);
    let told = anew.obtain_in(folder, source).err().unwrap();
    assert!(told.contains("let the checkout keep the credentials of git") && told.contains("401"), "{told}");
    // What was checked out with Git LFS needs no server.
    drop(service);
    is_same(&anew.obtain_in(pushed.path(), source).unwrap());
}

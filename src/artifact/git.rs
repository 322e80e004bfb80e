//! Files of other commits: from the checkout, or through GitHub's API where that does not have them.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{ChildStdout, Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use schemars::JsonSchema;
use serde::Deserialize;

use self::lfs::Pointer;
use self::reference::{Meant, Reference};
use super::path::is_inside;
use super::trouble::{Absent, Trouble};
use super::world::World;
use super::{Body, Item, Kind, Malformed, Place, Remote, Source, Version, time};
use crate::deliver::github::{segment, trouble as github};

pub(super) use self::reference::tag_under_test;

mod lfs;
mod reference;

/// The media type of a file's bytes.
const RAW: &str = "application/vnd.github.raw+json";
/// Bytes that are read of a file at once.
const PIECE: usize = 1 << 18;

/// The kind of source.
pub(super) const KIND: Kind = Kind {
    name: "git",
    beginnings: &["git:"],
    parse: |text| Ok(Box::new(Blob::parse(text)?)),
    schema: |generator| Blob::json_schema(generator),
};

/// A file of another commit of this repository: of a branch, a tag, or a commit by its name, or of what the run itself is
/// compared with.
///
/// # Form
/// `git:REF:PATH`, such as `git:main:models/model.onnx`. As for git itself, the path begins at the root of the repository.
/// Three references say which commit is meant by what is under test:
///
/// | reference | in a workflow | on a terminal |
/// |---|---|---|
/// | `base` | the commit that the pull request or the merge group wants to change, or the one before the push | the default branch of `origin`, or else `main` or `master` |
/// | `merge-base` | where the head of the pull request, the merge group or the push left `base` | where `HEAD` left `base` |
/// | `previous-tag` | the tag with the highest version strictly below the one that the run is for; on other events, with the highest version | the same, with the tag at `HEAD` |
///
/// A branch that has one of these names is `refs/heads/base`. Versions are ordered as Semantic Versioning says, prereleases
/// are no previous tags, and only tags with the same text before the version count: below `delays-v1.4.0` comes
/// `delays-v1.3.2` and never `churn-v1.3.9`.
///
/// # What it does
/// Looks for the commit in the checkout, under the name or under that of the branch at `origin`. Where the checkout does not
/// have it, which is usual in a workflow, the file comes through GitHub's API (`permissions: contents: read`; files of up
/// to 100 MB). So does the answer which commit is meant, where the checkout is shallow: what it lacks it cannot tell. A pointer of Git LFS is resolved: from the checkout's own objects, else from the LFS server of `origin`, with the
/// credentials that git has for it (`persist-credentials` of the checkout, or `lfs: true`). Its bytes are verified.
///
/// # Identity
/// The commit and the path.
///
/// # Example
/// ```yaml
/// baseline: { onnx: git:merge-base:models/model.onnx }
/// ```
#[derive(Debug, JsonSchema)]
struct Blob {
    /// The branch, the tag or the commit.
    #[schemars(with = "String")]
    reference: Reference,
    /// The path from the root of the repository.
    path: String,
}

impl Blob {
    fn parse(text: &str) -> Result<Self, Malformed> {
        let rest = text.strip_prefix("git:").unwrap_or(text);
        let Some((reference, path)) =
            rest.split_once(':').filter(|(reference, path)| !reference.is_empty() && !path.is_empty())
        else {
            return Err(Malformed::new(format!("`{text}` names no file of a commit"), "write `git:REF:PATH`"));
        };
        let reference = Reference::parse(reference)?;
        if !is_inside(path) {
            return Err(Malformed::new(format!("`{path}` is no path from the root of the repository"), "write one"));
        }
        Ok(Self { reference, path: path.to_owned() })
    }

    /// The file of a commit of the checkout, if its bytes are there too.
    fn of_checkout(&self, folder: &Path, commit: &str) -> Result<Option<Found>> {
        let Some(listed) = git(folder, &["ls-tree", "-z", "-l", "--full-tree", commit, "--", &self.path]) else {
            return Ok(None);
        };
        let listed = String::from_utf8_lossy(&listed);
        let (facts, _) = listed.split_once('\t').ok_or_else(|| self.missing(commit))?;
        let [mode, kind, object, size] = facts.split_whitespace().collect::<Vec<_>>()[..] else {
            bail!("git does not say what `{}` is at {commit}", self.path)
        };
        ensure!(kind == "blob" && mode != "120000", "`{}` is no file at {commit}; name a file", self.path);
        // A clone may lack the bytes of files.
        let bytes = size.parse().ok().filter(|_| git(folder, &["cat-file", "-e", object]).is_some());
        let Some(bytes) = bytes else { return Ok(None) };
        let small = || git(folder, &["cat-file", "blob", object]).unwrap_or_default();
        let pointer = if bytes < lfs::MOST_BYTES { Pointer::read(&small()) } else { None };
        let place = Place::There(Box::new(Object { folder: folder.to_owned(), object: object.to_owned(), bytes }));
        let seconds = text_of(folder, &["-c", "log.showSignature=false", "show", "--no-patch", "--format=%ct", commit]);
        let time = seconds.and_then(|seconds| time::of_seconds(seconds.parse().ok()?));
        Ok(Some(Found { commit: commit.to_owned(), time, bytes, place, pointer }))
    }

    /// The file through GitHub's API.
    async fn of_github(&self, world: &World, name: &str) -> Result<Found> {
        let remedy = "fetch it in the checkout, or give the job `permissions: contents: read`";
        let repository =
            world.repository().await.with_context(|| format!("the checkout does not have it; {remedy}"))?;
        let commit = repository.api.get::<Commit>(&format!("commits/{}", segment(name))).await;
        let commit = commit.with_context(|| format!("neither checkout nor GitHub has `{name}`; {remedy}"))?;
        let time = time::of_text(&commit.commit.committer.date);
        let commit = commit.sha;
        let path = self.path.split('/').map(segment).collect::<Vec<_>>().join("/");
        let rest = format!("contents/{path}?ref={}", segment(&commit));
        let content = match repository.api.get::<Content>(&rest).await {
            // The commit is there, so that the token sees what is in it.
            Err(github::Trouble::Absent) => return Err(self.missing(&commit).into()),
            content => content.with_context(|| format!("`{}` at {commit} cannot be looked up", self.path))?,
        };
        ensure!(content.kind == "file", "`{}` is no file at {commit}; name a file", self.path);
        let pointer = if content.size < lfs::MOST_BYTES {
            let small = repository.api.file(&self.path, &commit).await;
            let small = small.with_context(|| format!("`{}` at {commit} cannot be read", self.path))?;
            Pointer::read(&small.unwrap_or_default())
        } else {
            None
        };
        let place = Place::There(Box::new(world.web.location(repository.request(&rest, RAW)?, true)));
        Ok(Found { commit, time, bytes: content.size, place, pointer })
    }

    fn missing(&self, commit: &str) -> Absent {
        let path = &self.path;
        Absent::new(format!("there is no `{path}` at {commit}; the path begins at the root of the repository"))
    }
}

/// The commit that a name means in the checkout.
fn commit(folder: &Path, name: &str) -> Option<String> {
    let branch = format!("refs/remotes/origin/{name}");
    [name, &branch].into_iter().find_map(|name| {
        let name = format!("{name}^{{commit}}");
        text_of(folder, &["rev-parse", "--verify", "--quiet", "--end-of-options", &name])
    })
}

/// A file of a commit.
struct Found {
    commit: String,
    time: Option<String>,
    bytes: u64,
    place: Place,
    pointer: Option<Pointer>,
}

#[derive(Debug, Deserialize)]
struct Commit {
    sha: String,
    #[serde(default)]
    commit: Told,
}

/// What a commit says of itself.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Told {
    committer: Committer,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Committer {
    date: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Content {
    #[serde(rename = "type")]
    kind: String,
    size: u64,
}

#[async_trait]
impl Source for Blob {
    async fn find(&self, world: &World) -> Result<Vec<Item>> {
        let folder = &world.folder;
        let Meant { name, title, rule } = self.reference.meant(world).await?;
        let here = commit(folder, &name).map(|commit| self.of_checkout(folder, &commit)).transpose()?.flatten();
        let found = match here {
            Some(found) => found,
            None => self.of_github(world, &name).await?,
        };
        let name = format!("git:{}:{}", self.reference, self.path);
        let identity = Some(format!("git:{}:{}", found.commit, self.path));
        let title = title.or_else(|| Some(format!("commit {}", short(&found.commit))));
        let version = Version { title, time: found.time, rule };
        let (sha256, bytes, place) = match found.pointer {
            Some(pointer) => {
                let place = pointer.place(world, folder).await?;
                (Some(pointer.sha256), pointer.bytes, place)
            }
            None => (None, found.bytes, found.place),
        };
        Ok(vec![Item { name, identity, sha256, md5: None, bytes: Some(bytes), version, place }])
    }
}

/// An object of the checkout.
struct Object {
    folder: PathBuf,
    object: String,
    bytes: u64,
}

#[async_trait]
impl Remote for Object {
    async fn open(&self, _: u64) -> Result<Body, Trouble> {
        let broken = |error: std::io::Error| Trouble::last(format!("git cannot be run: {error}"), "install git");
        let mut git = command(&self.folder, &["cat-file", "blob", &self.object]);
        let mut child = git.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().map_err(broken)?;
        let output = child.stdout.take();
        // It ends by itself, with its output, and what it leaves behind is what is read: its size is known.
        tokio::task::spawn_blocking(move || child.wait());
        let pieces = stream::unfold(output, |output| async { piece(output?).await }).boxed();
        Ok(Body { from: 0, bytes: Some(self.bytes), pieces })
    }

    fn is_pinned(&self) -> bool {
        true
    }
}

async fn piece(mut output: ChildStdout) -> Option<(Result<Bytes, Trouble>, Option<ChildStdout>)> {
    let read = tokio::task::spawn_blocking(move || {
        let mut buffer = vec![0; PIECE];
        output.read(&mut buffer).map(|read| {
            buffer.truncate(read);
            (buffer, output)
        })
    });
    match read.await.unwrap_or_else(|error| Err(error.into())) {
        Ok((buffer, _)) if buffer.is_empty() => None,
        Ok((buffer, output)) => Some((Ok(buffer.into()), Some(output))),
        Err(error) => Some((Err(Trouble::again(error.to_string())), None)),
    }
}

/// Git in a folder, which may belong to another user than the container's; an empty path is the current folder. It asks
/// nobody and fetches nothing.
fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut git = Command::new("git");
    git.arg("-C").arg(folder).args(["-c", "safe.directory=*", "-c", "core.fsmonitor=false"]).args(arguments);
    git.env("GIT_NO_LAZY_FETCH", "1").env("GIT_TERMINAL_PROMPT", "0").env("GIT_LITERAL_PATHSPECS", "1");
    git
}

/// What git says, where it says something.
pub(crate) fn git(folder: &Path, arguments: &[&str]) -> Option<Vec<u8>> {
    let done = command(folder, arguments).output().ok()?;
    done.status.success().then_some(done.stdout)
}

/// A text that git says.
fn text_of(folder: &Path, arguments: &[&str]) -> Option<String> {
    let text = String::from_utf8(git(folder, arguments)?).ok()?;
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

/// The commit that is checked out.
pub(super) fn head(folder: &Path) -> Option<String> {
    text_of(folder, &["rev-parse", "HEAD"])
}

/// Where the checkout came from.
pub(super) fn origin(folder: &Path) -> Option<String> {
    text_of(folder, &["config", "--get", "remote.origin.url"])
}

/// A commit as people are told of it.
fn short(commit: &str) -> &str {
    commit.get(..12).unwrap_or(commit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_is_no_option_and_a_path_stays_inside() {
        for wrong in [
            "git:",
            "git:main",
            "git:main:",
            "git::m",
            "git:-x:m",
            "git:a..b:m",
            "git:HEAD~1:m",
            "git:a b:m",
            "git:@{u}:m",
            "git:main:/m",
            "git:main:../m",
            "git:main:a//b",
        ] {
            assert!(Blob::parse(wrong).is_err(), "{wrong}");
        }
        for right in ["git:release/1.0:models/m.onnx", "git:merge-base:m.onnx", "git:refs/heads/base:m.onnx"] {
            assert!(Blob::parse(right).is_ok(), "{right}");
        }
    }
}

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
use super::trouble::Trouble;
use super::world::World;
use super::{Body, Item, Kind, Malformed, Place, Remote, Source};
use crate::deliver::github::segment;

mod lfs;

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

/// A file of another commit of this repository: of a branch, a tag, or a commit by its name.
///
/// # Form
/// `git:REF:PATH`, such as `git:main:models/model.onnx`. As for git itself, the path begins at the root of the repository.
///
/// # What it does
/// Looks for the commit in the checkout, under the name or under that of the branch at `origin`. Where the checkout does not
/// have it, which is usual in a workflow, the file comes through GitHub's API (`permissions: contents: read`; files of up
/// to 100 MB). A pointer of Git LFS is resolved: from the checkout's own objects, else from the LFS server of `origin`, with the
/// credentials that git has for it (`persist-credentials` of the checkout, or `lfs: true`). Its bytes are verified.
///
/// # Identity
/// The commit and the path.
///
/// # Example
/// ```yaml
/// baseline: { onnx: git:main:models/model.onnx }
/// ```
#[derive(Debug, JsonSchema)]
struct Blob {
    /// The branch, the tag or the commit.
    reference: String,
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
        let is_odd =
            |character: char| character.is_control() || character.is_whitespace() || "~^\\?*[".contains(character);
        if reference.starts_with('-')
            || reference.contains("..")
            || reference.contains("@{")
            || reference.contains(is_odd)
        {
            let message = format!("`{reference}` is no branch, tag or commit");
            return Err(Malformed::new(message, "write the name of one"));
        }
        if path.starts_with('/') || path.split('/').any(|part| matches!(part, "" | "." | "..")) {
            return Err(Malformed::new(format!("`{path}` is no path from the root of the repository"), "write one"));
        }
        Ok(Self { reference: reference.to_owned(), path: path.to_owned() })
    }

    /// The commit in the checkout.
    fn commit(&self, folder: &Path) -> Option<String> {
        let branch = format!("refs/remotes/origin/{}", self.reference);
        [self.reference.as_str(), &branch].into_iter().find_map(|name| {
            let name = format!("{name}^{{commit}}");
            text(git(folder, &["rev-parse", "--verify", "--quiet", "--end-of-options", &name])?)
        })
    }

    /// The file of a commit of the checkout, if its bytes are there too.
    fn of_checkout(&self, folder: &Path, commit: &str) -> Result<Option<Found>> {
        let Some(listed) = git(folder, &["ls-tree", "-z", "-l", "--full-tree", commit, "--", &self.path]) else {
            return Ok(None);
        };
        let listed = String::from_utf8_lossy(&listed);
        let (facts, _) = listed.split_once('\t').with_context(|| self.missing(commit))?;
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
        Ok(Some(Found { commit: commit.to_owned(), bytes, place, pointer }))
    }

    /// The file through GitHub's API.
    async fn of_github(&self, world: &World) -> Result<Found> {
        let remedy = "fetch it in the checkout, or give the job `permissions: contents: read`";
        let repository =
            world.repository().await.with_context(|| format!("the checkout does not have it; {remedy}"))?;
        let commit = repository.api.get::<Commit>(&format!("commits/{}", segment(&self.reference))).await;
        let commit =
            commit.with_context(|| format!("neither checkout nor GitHub has `{}`; {remedy}", self.reference))?.sha;
        let path = self.path.split('/').map(segment).collect::<Vec<_>>().join("/");
        let rest = format!("contents/{path}?ref={}", segment(&commit));
        let content = repository.api.get::<Content>(&rest).await.with_context(|| self.missing(&commit))?;
        ensure!(content.kind == "file", "`{}` is no file at {commit}; name a file", self.path);
        let pointer = if content.size < lfs::MOST_BYTES {
            let small = repository.api.file(&self.path, &commit).await.with_context(|| self.missing(&commit))?;
            Pointer::read(&small.unwrap_or_default())
        } else {
            None
        };
        let place = Place::There(Box::new(world.web.location(repository.request(&rest, RAW)?, true)));
        Ok(Found { commit, bytes: content.size, place, pointer })
    }

    fn missing(&self, commit: &str) -> String {
        format!("there is no `{}` at {commit}; the path begins at the root of the repository", self.path)
    }
}

/// A file of a commit.
struct Found {
    commit: String,
    bytes: u64,
    place: Place,
    pointer: Option<Pointer>,
}

#[derive(Debug, Deserialize)]
struct Commit {
    sha: String,
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
        let here = self.commit(folder).map(|commit| self.of_checkout(folder, &commit)).transpose()?.flatten();
        let found = match here {
            Some(found) => found,
            None => self.of_github(world).await?,
        };
        let name = format!("git:{}:{}", self.reference, self.path);
        let identity = Some(format!("git:{}:{}", found.commit, self.path));
        let (sha256, bytes, place) = match found.pointer {
            Some(pointer) => {
                let place = pointer.place(world, folder).await?;
                (Some(pointer.sha256), pointer.bytes, place)
            }
            None => (None, found.bytes, found.place),
        };
        Ok(vec![Item { name, identity, sha256, bytes: Some(bytes), place }])
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

/// A line that git says.
fn text(output: Vec<u8>) -> Option<String> {
    String::from_utf8(output).ok().map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
}

/// The commit that is checked out.
pub(super) fn head(folder: &Path) -> Option<String> {
    text(git(folder, &["rev-parse", "HEAD"])?)
}

/// Where the checkout came from.
pub(super) fn origin(folder: &Path) -> Option<String> {
    text(git(folder, &["config", "--get", "remote.origin.url"])?)
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
        assert!(Blob::parse("git:release/1.0:models/m.onnx").is_ok());
    }
}

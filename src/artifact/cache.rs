//! A folder whose files are named by digests: scores and what was fetched, kept from run to run.
//!
//! A name is two digests: of what the file follows from, so that other origins are other names, and of the file itself, so
//! that one which was cut off or damaged is not read. Files appear whole, by a rename within the folder. So runs that share
//! a folder need no lock. When a run ends, what was not used for longest is removed until the rest is small enough.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, ensure};
use tempfile::{Builder, NamedTempFile, TempDir};

use super::path;

/// What temporary files are called until they are whole, and the folders of what runs hold.
const UNFINISHED: &str = ".unfinished-";

/// After so long a temporary file is one that a run left which was killed.
const LEFT: Duration = Duration::from_secs(24 * 60 * 60);

/// What files of the folder hold, by their ending.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// Scores of a model.
    Scores,
    /// A file that was fetched.
    Fetched,
}

impl Content {
    const ALL: [Self; 2] = [Self::Scores, Self::Fetched];

    const fn ending(self) -> &'static str {
        match self {
            Self::Scores => ".parquet",
            Self::Fetched => ".fetched",
        }
    }
}

/// A folder that has at most so many bytes when a run ends.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    bytes: u64,
}

impl Folder {
    /// A folder, made if need be.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn open(path: &Path, bytes: u64) -> Result<Self> {
        fs::create_dir_all(path).with_context(|| cannot_be_written(path))?;
        Ok(Self { path: path.to_owned(), bytes })
    }

    /// What to say when it cannot be written.
    #[must_use]
    pub fn cannot_be_written(&self) -> String {
        cannot_be_written(&self.path)
    }

    /// A file to be written, which is gone unless it is kept.
    ///
    /// # Errors
    /// When the folder cannot be written to.
    pub fn unfinished(&self) -> Result<NamedTempFile> {
        // A temporary file is private, and a later step of a workflow, which keeps the folder, may be another user.
        let readable = Permissions::from_mode(0o644);
        Ok(Builder::new().prefix(UNFINISHED).permissions(readable).tempfile_in(&self.path)?)
    }

    /// A folder for what a run holds on to while others may remove it from here.
    ///
    /// # Errors
    /// When the folder cannot be written to.
    pub fn holding(&self) -> Result<TempDir> {
        Builder::new().prefix(UNFINISHED).tempdir_in(&self.path).with_context(|| self.cannot_be_written())
    }

    /// Keeps a file that is whole, and tells its name.
    ///
    /// # Errors
    /// When the folder cannot be written to.
    pub fn keep(&self, file: NamedTempFile, origin: &str, sha256: &str, content: Content) -> Result<(String, File)> {
        let name = named(origin, sha256, content);
        let file = file.persist(self.path.join(&name))?;
        Ok((name, file))
    }

    /// Where a file of the folder lies.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Removes a file that is not what its name says. Another run may have removed it already.
    pub fn remove(&self, name: &str) {
        let _ = fs::remove_file(self.path(name));
    }

    /// The files of the folder that are ours, in the order of their names. Others are not touched.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn names(&self) -> Result<Vec<String>> {
        let unread = || format!("the cache `{}` cannot be read", self.path.display());
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.path).with_context(unread)? {
            let entry = entry.with_context(unread)?;
            // No link and no pipe, which would lead elsewhere, or nowhere.
            if entry.file_type().is_ok_and(|kind| kind.is_file()) {
                names.extend(entry.file_name().to_str().filter(|name| digests(name).is_some()).map(str::to_owned));
            }
        }
        names.sort();
        Ok(names)
    }

    /// Removes the files that were not used for longest until the rest is small enough, and what killed runs left.
    fn trim(&self) {
        let Ok(names) = self.names() else { return };
        let files = names.into_iter().filter_map(|name| {
            let path = self.path(&name);
            let facts = path.metadata().ok()?;
            Some((facts.modified().ok()?, path, facts.len()))
        });
        let mut files = files.collect::<Vec<_>>();
        files.sort();
        let mut bytes = files.iter().map(|(.., bytes)| bytes).sum::<u64>();
        for (_, path, its) in files {
            if bytes <= self.bytes {
                break;
            }
            // What another run removes at the same time is gone as well.
            let _ = fs::remove_file(path);
            bytes -= its;
        }
        for path in left(&self.path) {
            let _ = fs::remove_file(&path).or_else(|_| fs::remove_dir_all(path));
        }
    }
}

/// Only when a run ends is it known what it has used.
impl Drop for Folder {
    fn drop(&mut self) {
        self.trim();
    }
}

fn cannot_be_written(folder: &Path) -> String {
    format!("the cache `{}` cannot be written: name another folder with `--cache`, or none", folder.display())
}

/// Makes sure that a file is what its name says; from then on it counts as used now.
///
/// # Errors
/// When it is not, or cannot be read.
pub fn ensure_whole(file: &File, name: &str) -> Result<()> {
    let sha256 = path::sha256_of(file)?;
    ensure!(digests(name).is_some_and(|(_, content)| content == sha256), "its content is not what its name says");
    // A file of another user stays as old as it is.
    let _ = file.set_modified(SystemTime::now());
    Ok(())
}

fn named(origin: &str, sha256: &str, content: Content) -> String {
    format!("{origin}-{sha256}{}", content.ending())
}

/// The digests of a name: of what the file follows from, and of the file.
#[must_use]
pub fn digests(name: &str) -> Option<(&str, &str)> {
    let stem = Content::ALL.into_iter().find_map(|content| name.strip_suffix(content.ending()));
    stem?.split_once('-').filter(|(origin, sha256)| path::is_sha256(origin) && path::is_sha256(sha256))
}

/// Whether a file holds this.
#[must_use]
pub fn holds(name: &str, content: Content) -> bool {
    name.ends_with(content.ending())
}

/// Temporary files and folders of runs that were killed.
fn left(folder: &Path) -> Vec<PathBuf> {
    let entries = folder.read_dir().into_iter().flatten().flatten();
    let old = |entry: &fs::DirEntry| {
        let age = entry.metadata().ok()?.modified().ok()?.elapsed().ok()?;
        Some(entry.file_name().to_str()?.starts_with(UNFINISHED) && age > LEFT)
    };
    entries.filter(|entry| old(entry) == Some(true)).map(|entry| entry.path()).collect()
}

//! A folder of scores that models gave before, so that they need not give them again.
//!
//! A file holds the scores of one view: a model, a dataset, and what is done to its features first. Its name is two
//! digests. The first is of what the scores follow from ([`view`]), so that another model, another row or another seed
//! is another name. The second is of the file itself, so that a file that was cut off or damaged is not read.
//!
//! Digests do not say who wrote a file. Whoever can write to the folder could put in scores that a model never gave, so
//! before a file counts the model scores rows again that are drawn anew in each run ([`CHECKED`]), and must give the same
//! bits. What does not hold is removed, told, and scored again.
//!
//! Files appear whole, by a rename within the folder, and are read through a handle that outlives their removal. So runs
//! that share a folder need no lock.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, Permissions};
use std::hash::{BuildHasher as _, RandomState};
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, ensure};
use datafusion::arrow::array::{ArrayRef, AsArray};
use datafusion::arrow::datatypes::Float64Type;
use datafusion::logical_expr::Expr;
use datafusion::prelude::SessionContext;
use serde::Serialize;
use tempfile::Builder;

use self::scores::{Scores, Writer};
use self::view::ScoredView;
use super::functions::Progress;
use crate::artifact::path;
use crate::plan::{Input, Noise};
use crate::target::{Dataset, Side, Target};

pub(super) mod numbered;
mod pass;
pub(super) mod scores;
mod view;

/// Rows of a view that the model scores again before scores from a file count. Made-up scores of a share s of the rows are
/// found with a chance of 1 - (1 - s)^4096: of one row in a thousand, with 98 %.
pub const CHECKED: u64 = 4096;

/// The bytes that a folder is kept below, unless said otherwise: a tenth of what GitHub keeps of all caches of a repository,
/// and scores of more than a hundred million rows.
pub const MOST_BYTES: u64 = 1 << 30;

/// What temporary files are called until they are whole.
const UNFINISHED: &str = ".unfinished-";

/// After so long a temporary file is one that a run left which was killed.
const LEFT: Duration = Duration::from_secs(24 * 60 * 60);

/// A folder of scores.
#[derive(Debug)]
pub struct Cache {
    folder: PathBuf,
    bytes: u64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// What this run has found or written, by view, so that it is checked once.
    held: BTreeMap<String, Arc<Scores>>,
    used: Used,
}

/// What a run took from the folder, and what it brought.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Used {
    /// Files whose scores were taken.
    pub reused: Vec<String>,
    /// Files that were written.
    pub written: Vec<String>,
    /// Files that were there and not taken.
    pub refused: Vec<Refused>,
}

/// A file that was there and not taken.
#[derive(Debug, Clone, Serialize)]
pub struct Refused {
    /// Its name.
    pub file: String,
    /// What is wrong with it.
    pub why: String,
}

/// The scores of a dataset that need no model, by side and noise.
#[derive(Debug, Default)]
pub(super) struct Held(Vec<(Side, Option<Noise>, Arc<Scores>)>);

impl Held {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn find(&self, side: Side, noise: Option<&Noise>) -> Option<&Arc<Scores>> {
        let found = self.0.iter().find(|(other, disturbed, _)| *other == side && disturbed.as_ref() == noise);
        found.map(|(.., scores)| scores)
    }
}

impl Cache {
    /// A folder, made if need be, that has at most so many bytes when a run ends.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn open(folder: &Path, bytes: u64) -> Result<Self> {
        fs::create_dir_all(folder).with_context(|| cannot_be_written(folder))?;
        Ok(Self { folder: folder.to_owned(), bytes, state: Mutex::default() })
    }

    /// What this run took from the folder so far, and what it brought.
    #[must_use]
    pub fn used(&self) -> Used {
        self.state().used.clone()
    }

    /// The scores of the models that some inputs ask for, from files. What no file has is scored, and written.
    pub(super) async fn hold(
        &self,
        context: &SessionContext,
        target: &Target,
        dataset: &Dataset,
        inputs: impl Iterator<Item = &Input>,
        progress: &Arc<Progress>,
    ) -> Result<Held> {
        let views = view::asked(target, dataset, inputs, progress)?;
        self.take(context, dataset, &views, progress).await?;
        self.fill(context, dataset, &views, progress).await?;
        let state = self.state();
        let held = |view: ScoredView| {
            let scores = state.held.get(&view.digest).context("a view without its scores")?;
            Ok((view.side, view.noise, Arc::clone(scores)))
        };
        views.into_iter().map(held).collect::<Result<_>>().map(Held)
    }

    /// Takes what the folder has of these views, if the models still give the same.
    async fn take(
        &self,
        context: &SessionContext,
        dataset: &Dataset,
        views: &[ScoredView],
        progress: &Arc<Progress>,
    ) -> Result<()> {
        let mut found = Vec::new();
        for view in self.missing(views) {
            found.extend(self.find(view, dataset.rows)?.map(|scores| (view, scores)));
        }
        if found.is_empty() {
            return Ok(());
        }
        let rows = drawn(dataset.rows);
        let models = found.iter().map(|(view, _)| view.model.clone()).collect::<Vec<_>>();
        let mut alike = vec![true; found.len()];
        progress.expect(rows.len() as u64 * found.len() as u64);
        pass::some(context, dataset, &models, &rows, |places, given| {
            for (given, ((_, scores), alike)) in given.iter().zip(found.iter().zip(&mut alike)) {
                *alike &= scores.at(places).is_ok_and(|found| is_same(&columns(given), &found));
            }
            Ok(())
        })
        .await?;
        let mut state = self.state();
        for ((view, scores), alike) in found.into_iter().zip(alike) {
            if alike {
                state.used.reused.push(scores.name().to_owned());
                state.held.insert(view.digest.clone(), Arc::new(scores));
            } else {
                self.refuse(&mut state.used, scores.name(), "they are not what the model gives");
            }
        }
        Ok(())
    }

    /// Scores the views that no file has, all in one pass over the rows.
    async fn fill(
        &self,
        context: &SessionContext,
        dataset: &Dataset,
        views: &[ScoredView],
        progress: &Arc<Progress>,
    ) -> Result<()> {
        let missing = self.missing(views);
        if missing.is_empty() {
            return Ok(());
        }
        let writers = missing.iter().map(|view| self.writer(view)).collect::<Result<Vec<_>>>();
        let mut writers = writers.with_context(|| cannot_be_written(&self.folder))?;
        let models = missing.iter().map(|view| view.model.clone()).collect::<Vec<Expr>>();
        progress.expect(dataset.rows * missing.len() as u64);
        pass::all(context, dataset, &models, |given| {
            let mut given = writers.iter_mut().zip(given);
            let mut written = |(writer, scores): (&mut Writer, &ArrayRef)| writer.write(columns(scores));
            given.try_for_each(&mut written).with_context(|| cannot_be_written(&self.folder))
        })
        .await?;
        for (view, writer) in missing.into_iter().zip(writers) {
            let scores = self.keep(view, writer, dataset.rows).with_context(|| cannot_be_written(&self.folder))?;
            let mut state = self.state();
            state.used.written.push(scores.name().to_owned());
            state.held.insert(view.digest.clone(), Arc::new(scores));
        }
        Ok(())
    }

    /// The views of which this run has no scores, equal ones once: the two models may be one.
    fn missing<'v>(&self, views: &'v [ScoredView]) -> Vec<&'v ScoredView> {
        let (state, mut seen) = (self.state(), BTreeSet::new());
        views.iter().filter(|view| !state.held.contains_key(&view.digest) && seen.insert(&view.digest)).collect()
    }

    /// The scores of a view, if a file in the folder has them and is whole.
    fn find(&self, view: &ScoredView, rows: u64) -> Result<Option<Scores>> {
        for name in self.names()? {
            if !name.starts_with(&view.digest) {
                continue;
            }
            let file = match File::open(self.folder.join(&name)) {
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                file => file.map_err(anyhow::Error::from),
            };
            match file.and_then(|file| read(file, &name, view, rows)) {
                Ok(scores) => return Ok(Some(scores)),
                Err(error) => self.refuse(&mut self.state().used, &name, &format!("{error:#}")),
            }
        }
        Ok(None)
    }

    fn refuse(&self, used: &mut Used, name: &str, why: &str) {
        // Another run may have removed it already; else it is refused again.
        let _ = fs::remove_file(self.folder.join(name));
        used.refused.push(Refused { file: name.to_owned(), why: why.to_owned() });
    }

    fn writer(&self, view: &ScoredView) -> Result<Writer> {
        // A temporary file is private, and a later step of a workflow, which keeps the folder, may be another user.
        let readable = Permissions::from_mode(0o644);
        let file = Builder::new().prefix(UNFINISHED).permissions(readable).tempfile_in(&self.folder)?;
        Writer::new(file, view)
    }

    fn keep(&self, view: &ScoredView, writer: Writer, rows: u64) -> Result<Scores> {
        let file = writer.finish()?;
        let name = named(&view.digest, &path::sha256_of(&file.reopen()?)?);
        let file = file.persist(self.folder.join(&name))?;
        Scores::open(file, &name, view, rows)
    }

    /// Removes the files that were not used for longest until the rest is small enough, and what killed runs left.
    fn trim(&self) {
        let Ok(names) = self.names() else { return };
        let files = names.into_iter().filter_map(|name| {
            let path = self.folder.join(name);
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
        for path in left(&self.folder) {
            let _ = fs::remove_file(path);
        }
    }

    /// The files of the folder that are ours, in the order of their names. Others are not touched.
    fn names(&self) -> Result<Vec<String>> {
        let unread = || format!("the cache of scores `{}` cannot be read", self.folder.display());
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.folder).with_context(unread)? {
            let entry = entry.with_context(unread)?;
            // No link and no pipe, which would lead elsewhere, or nowhere.
            if entry.file_type().is_ok_and(|kind| kind.is_file()) {
                names.extend(entry.file_name().to_str().filter(|name| is_ours(name)).map(str::to_owned));
            }
        }
        names.sort();
        Ok(names)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The scores of a view from a file that is whole, which counts as used now.
fn read(file: File, name: &str, view: &ScoredView, rows: u64) -> Result<Scores> {
    ensure!(name == named(&view.digest, &path::sha256_of(&file)?), "its content is not what its name says");
    // A file of another user stays as old as it is.
    let _ = file.set_modified(SystemTime::now());
    Scores::open(file, name, view, rows)
}

/// Only when a run ends is it known what it has used.
impl Drop for Cache {
    fn drop(&mut self) {
        self.trim();
    }
}

fn cannot_be_written(folder: &Path) -> String {
    let folder = folder.display();
    format!("the cache of scores `{folder}` cannot be written: name another folder with `--cache`, or none")
}

fn named(view: &str, content: &str) -> String {
    format!("{view}-{content}.parquet")
}

fn is_ours(name: &str) -> bool {
    let digest = |text: &str| text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let digests = name.strip_suffix(".parquet").and_then(|name| name.split_once('-'));
    digests.is_some_and(|(view, content)| digest(view) && digest(content))
}

/// Temporary files of runs that were killed.
fn left(folder: &Path) -> Vec<PathBuf> {
    let entries = folder.read_dir().into_iter().flatten().flatten();
    let old = |entry: &fs::DirEntry| {
        let age = entry.metadata().ok()?.modified().ok()?.elapsed().ok()?;
        Some(entry.file_name().to_str()?.starts_with(UNFINISHED) && age > LEFT)
    };
    entries.filter(|entry| old(entry) == Some(true)).map(|entry| entry.path()).collect()
}

/// Some rows, or all where there are few. Drawn from what the operating system gives, so that nobody knows beforehand which
/// rows are looked at; what is measured does not depend on it.
fn drawn(rows: u64) -> BTreeSet<u64> {
    if rows <= CHECKED {
        return (0..rows).collect();
    }
    let chance = RandomState::new();
    (0..CHECKED).map(|draw| chance.hash_one(draw) % rows).collect()
}

/// The outputs of a model.
fn columns(scores: &ArrayRef) -> Vec<ArrayRef> {
    scores.as_struct_opt().map_or_else(|| vec![Arc::clone(scores)], |outputs| outputs.columns().to_vec())
}

/// Whether scores are the same to the bit.
fn is_same(found: &[ArrayRef], expected: &[ArrayRef]) -> bool {
    let bits = |scores: &ArrayRef| {
        let scores = scores.as_primitive::<Float64Type>().values();
        scores.iter().map(|score| score.to_bits()).collect::<Vec<_>>()
    };
    found.iter().map(bits).eq(expected.iter().map(bits))
}

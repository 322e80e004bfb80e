//! A folder of scores that models gave before, so that they need not give them again.
//!
//! A file holds the scores of one view: a model, a dataset, and what is done to its features first. The first digest of its
//! name is of what the scores follow from ([`view`]), so that another model, another row or another seed is another name.
//! How files are named, appear and go is [the folder's](crate::artifact::cache).
//!
//! Digests do not say who wrote a file. Whoever can write to the folder could put in scores that a model never gave, so
//! before a file counts the model scores rows again that are drawn anew in each run ([`CHECKED`]), and must give the same
//! bits. What does not hold is removed, told, and scored again.
//!
//! Files are read through a handle that outlives their removal.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::hash::{BuildHasher as _, RandomState};
use std::io::ErrorKind;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};
use datafusion::arrow::array::{ArrayRef, AsArray};
use datafusion::arrow::datatypes::Float64Type;
use datafusion::common::ScalarValue;
use datafusion::logical_expr::Expr;
use datafusion::prelude::SessionContext;
use serde::Serialize;

use self::scores::{Scores, Writer};
use self::view::ScoredView;
use super::functions::Progress;
use crate::artifact::cache::{self, Content, Folder};
use crate::artifact::path;
use crate::plan::{Input, Noise};
use crate::target::{Dataset, Files, Side, Target};

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

/// A folder of scores.
#[derive(Debug)]
pub struct Cache {
    folder: Arc<Folder>,
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
        Ok(Self { folder: Arc::new(Folder::open(folder, bytes)?), state: Mutex::default() })
    }

    /// The folder, in which other things are kept as well.
    #[must_use]
    pub fn folder(&self) -> &Arc<Folder> {
        &self.folder
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
        let views = view::asked(target, dataset, inputs, progress).await?;
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
        let mut writers = writers.with_context(|| self.folder.cannot_be_written())?;
        let models = missing.iter().map(|view| view.model.clone()).collect::<Vec<Expr>>();
        progress.expect(dataset.rows * missing.len() as u64);
        pass::all(context, dataset, &models, |given| {
            let mut given = writers.iter_mut().zip(given);
            let mut written = |(writer, scores): (&mut Writer, &ArrayRef)| writer.write(columns(scores));
            given.try_for_each(&mut written).with_context(|| self.folder.cannot_be_written())
        })
        .await?;
        for (view, writer) in missing.into_iter().zip(writers) {
            let scores = self.keep(view, writer, dataset.rows).with_context(|| self.folder.cannot_be_written())?;
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
        for name in self.folder.names()? {
            if !name.starts_with(&view.digest) || !cache::holds(&name, Content::Scores) {
                continue;
            }
            let file = match File::open(self.folder.path(&name)) {
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
        self.folder.remove(name);
        used.refused.push(Refused { file: name.to_owned(), why: why.to_owned() });
    }

    fn writer(&self, view: &ScoredView) -> Result<Writer> {
        Writer::new(self.folder.unfinished()?, view)
    }

    fn keep(&self, view: &ScoredView, writer: Writer, rows: u64) -> Result<Scores> {
        let file = writer.finish()?;
        let sha256 = path::sha256_of(&file.reopen()?)?;
        let (name, file) = self.folder.keep(file, &view.digest, &sha256, Content::Scores)?;
        Scores::open(file, &name, view, rows)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The scores of a view from a file that is whole, which counts as used now.
fn read(file: File, name: &str, view: &ScoredView, rows: u64) -> Result<Scores> {
    cache::ensure_whole(&file, name)?;
    Scores::open(file, name, view, rows)
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
/// What the path of a file says of all its rows.
fn values(files: &Files, file: &Path) -> Result<Vec<ScalarValue>> {
    let Some(partitions) = &files.partitions else { return Ok(Vec::new()) };
    let values = partitions.values(file)?.into_iter().zip(&partitions.fields);
    values.map(|(value, field)| Ok(ScalarValue::try_from_string(value.to_owned(), field.data_type())?)).collect()
}

//! What a run judges: the spec with its models and datasets opened, their schemas, sizes and digests known.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use arrow::datatypes::{Schema, SchemaRef};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde::{Deserialize, Serialize};

use crate::artifact::world::{Found, Obtained, Shelf, World};
use crate::evidence::Finding;
use crate::score::Judged;
use crate::spec::Spec;

/// The two models of a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// The model that the candidate is compared with.
    Baseline,
    /// The model under judgement.
    Candidate,
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Baseline => "baseline",
            Self::Candidate => "candidate",
        })
    }
}

/// A dataset that has been opened.
#[derive(Debug, Clone)]
pub struct Dataset {
    /// Its name in the spec.
    pub name: String,
    /// Its Parquet files, sorted.
    pub files: Vec<PathBuf>,
    /// The schema of the files.
    pub schema: SchemaRef,
    /// The number of rows.
    pub rows: u64,
    /// The digest of the files.
    pub sha256: String,
    /// The files that were found elsewhere.
    pub found: Vec<Found>,
}

/// What a run judges.
#[derive(Debug)]
pub struct Target {
    /// The spec.
    pub spec: Spec,
    /// The datasets that the suite needs, by name.
    pub datasets: BTreeMap<String, Dataset>,
    /// The model under judgement.
    pub candidate: Judged,
    /// The model that it is compared with.
    pub baseline: Option<Judged>,
    /// How that one was chosen.
    pub choice: Choice,
    /// What was fetched, held for as long as it is read.
    pub shelf: Arc<Shelf>,
}

/// How a baseline was chosen.
#[derive(Debug, Clone, Default)]
pub struct Choice {
    /// Why it is the one that it is.
    pub rule: Option<String>,
    /// Why there is none, although the spec names one.
    pub first_release: Option<FirstRelease>,
}

/// That a baseline does not exist yet, and the spec lets claims that need it go untested.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
pub struct FirstRelease {
    /// What the spec names.
    pub baseline: String,
    /// Who says that there is none.
    pub why: String,
}

impl FirstRelease {
    /// What becomes of a claim against the baseline.
    #[must_use]
    pub fn finding(&self) -> Finding {
        let reason = format!("a first release has no baseline to be compared with: {}", self.why);
        Finding::NotTested { reason }
    }
}

/// Opens the named datasets of a spec.
///
/// # Errors
/// When a file is missing, empty, cut off, or unlike its neighbours.
pub async fn open(world: &World, spec: &Spec, names: &BTreeSet<String>) -> Result<BTreeMap<String, Dataset>> {
    let mut datasets = BTreeMap::new();
    for name in names {
        datasets.insert(name.clone(), Dataset::open(world, spec, name).await?);
    }
    Ok(datasets)
}

impl Target {
    /// The model of a side, if the spec has it.
    #[must_use]
    pub fn judged(&self, side: Side) -> Option<&Judged> {
        match side {
            Side::Candidate => Some(&self.candidate),
            Side::Baseline => self.baseline.as_ref(),
        }
    }

    /// An opened dataset.
    ///
    /// # Errors
    /// When the suite did not name it.
    pub fn dataset(&self, name: &str) -> Result<&Dataset> {
        self.datasets.get(name).with_context(|| format!("dataset `{name}` was not opened for this suite"))
    }
}

impl Dataset {
    async fn open(world: &World, spec: &Spec, name: &str) -> Result<Self> {
        let context = || format!("dataset `{name}` cannot be read");
        let data = spec.written.data.get(name).with_context(context)?;
        let Obtained { files, names, sha256, found } = world.obtain(data.patterns()).await.with_context(context)?;
        let (schema, rows) = parquet_facts(&files, &names).with_context(context)?;
        Ok(Self { name: name.to_owned(), files, schema, rows, sha256, found })
    }
}

/// The schema that all files share, and their rows together; what they are called is for messages.
///
/// # Errors
/// When a file is no Parquet, is cut off, or has other columns than the first.
pub fn parquet_facts(files: &[PathBuf], names: &[String]) -> Result<(SchemaRef, u64)> {
    let mut facts: Option<(SchemaRef, u64)> = None;
    for (file, name) in files.iter().zip(names) {
        let (schema, rows) = facts_of_one(file, name)?;
        facts = Some(match facts {
            None => (schema, rows),
            Some((first, so_far)) => {
                let alike = first.fields() == schema.fields();
                ensure!(alike, "`{name}` has other columns or types than `{}`", names[0]);
                (first, so_far + rows)
            }
        });
    }
    facts.context("no files")
}

fn facts_of_one(file: &Path, name: &str) -> Result<(SchemaRef, u64)> {
    let opened = File::open(file).with_context(|| format!("`{name}` cannot be opened"))?;
    let reader = ParquetRecordBatchReaderBuilder::try_new(opened)
        .with_context(|| format!("`{name}` is not a complete Parquet file"))?;
    let rows = u64::try_from(reader.metadata().file_metadata().num_rows()).unwrap_or(0);
    let fields = reader.schema().fields().clone();
    Ok((Arc::new(Schema::new(fields)), rows))
}

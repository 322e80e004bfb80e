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

use crate::artifact::digest::Digest;
use crate::artifact::world::{Found, Obtained, Shelf, World};
use crate::evidence::Finding;
use crate::score::Judged;
use crate::spec::Spec;

pub use self::partitions::Partitions;

mod partitions;

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
    pub files: Files,
    /// The schema of the files, and behind it the columns of their paths.
    pub schema: SchemaRef,
    /// The number of rows.
    pub rows: u64,
    /// The digest of the files, and of what their paths say.
    pub sha256: Digest,
    /// The files that were found elsewhere.
    pub found: Vec<Found>,
}

/// Parquet files, and what their paths say of their rows.
#[derive(Debug, Clone)]
pub struct Files {
    /// The files.
    pub paths: Vec<PathBuf>,
    /// The columns in their paths, if there are any.
    pub partitions: Option<Partitions>,
}

impl From<Vec<PathBuf>> for Files {
    fn from(paths: Vec<PathBuf>) -> Self {
        Self { paths, partitions: None }
    }
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

    /// Finds the digests of all data.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub async fn find_digests(&self) -> Result<()> {
        for (name, dataset) in &self.datasets {
            dataset.sha256.find().await.with_context(|| format!("dataset `{name}` cannot be read"))?;
        }
        Ok(())
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
        let opened = Self { name: name.to_owned(), files: files.into(), schema, rows, sha256, found };
        opened.partitioned(world, &names).with_context(context)
    }

    /// The same with the columns of the paths.
    fn partitioned(self, world: &World, names: &[String]) -> Result<Self> {
        let relative = |name: &String| {
            Path::new(name).strip_prefix(&world.folder).map_or_else(|_| name.clone(), |path| path.display().to_string())
        };
        let names = names.iter().map(relative).collect::<Vec<_>>();
        let Some((fields, folders)) = partitions::found(&names, self.schema.fields())? else { return Ok(self) };
        let said = folders.iter().map(|folder| folder.display().to_string()).collect::<Vec<_>>().join("\n");
        let sha256 = self.sha256.and(said);
        let (root, paths) = world.laid_out(&self.files.paths, &folders)?;
        let schema = Schema::new(self.schema.fields().iter().chain(&fields).cloned().collect::<Vec<_>>());
        let files = Files { paths, partitions: Some(Partitions { root, fields }) };
        Ok(Self { name: self.name, files, schema: Arc::new(schema), rows: self.rows, sha256, found: self.found })
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

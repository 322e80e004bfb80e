//! A dataset with the scores of both models beside its columns, written to Parquet, so that many judgements need one
//! scoring.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use datafusion::arrow::array::AsArray;
use datafusion::arrow::datatypes::{DataType, Float64Type};
use datafusion::dataframe::DataFrameWriteOptions;
use datafusion::functions::expr_fn::coalesce;
use datafusion::functions_window::expr_fn::row_number;
use datafusion::logical_expr::{Expr, cast, ident, lit};

use super::cache::{Cache, Held};
use super::functions::{Progress, Uniform};
use super::memory;
use super::session::{self, Settings};
use super::view::{self, View};
use crate::plan::Input;
use crate::target::{Dataset, Files, Side, Target, parquet_facts};

/// The column of the baseline's scores.
pub const BASELINE: &str = "mg:baseline";
/// The column of the candidate's scores.
pub const CANDIDATE: &str = "mg:candidate";
/// The column of the keys of rows.
pub const ROW: &str = "mg:row";
/// The column of the keys of what is independent: entities where the spec names them, else rows.
pub const UNIT: &str = "mg:unit";
/// The column of the number of a row's part.
const PART: &str = "mg:part";

/// The parts that a dataset is dealt into. Halves of the rows are halves of the parts.
const PARTS: u64 = 32;

/// Quantiles that stand for all scores.
const POOL: usize = 4096;

/// A scored dataset.
#[derive(Debug, Clone)]
pub struct Scored {
    /// The dataset.
    pub dataset: Dataset,
    /// Its files by part: random and disjoint parts of the rows, no unit in two of them.
    pub parts: Vec<Vec<PathBuf>>,
    /// Equally spaced quantiles of the baseline's scores; empty when it gave none.
    pub pool: Arc<[f64]>,
}

/// Scores a dataset with both models, once, into a folder.
///
/// # Errors
/// When data cannot be read, a model cannot score, or the folder cannot be written.
pub async fn write(
    target: &Target,
    dataset: &Dataset,
    seed: u64,
    session: &Settings,
    folder: &Path,
    cache: Option<&Cache>,
    progress: &Arc<Progress>,
) -> Result<Scored> {
    let roles = &target.spec.written.columns;
    let score = |side| Input::Score { side, noise: None, output: 0 };
    let scores = [(score(Side::Baseline), BASELINE), (score(Side::Candidate), CANDIDATE)];
    let held = match cache {
        Some(cache) => {
            let inputs = scores.iter().map(|(score, _)| score);
            cache.hold(&session::open(session), target, dataset, inputs, progress).await?
        }
        None => Held::default(),
    };
    let view = View::new(target, dataset, progress, &held);
    let mut columns: Vec<Expr> = dataset.schema.fields().iter().map(|field| ident(field.name())).collect();
    for (score, name) in &scores {
        columns.push(view.input(score)?.alias(*name));
    }
    let key = |column: &String| coalesce(vec![view::key(column), lit(0_u64)]);
    // Without an id, a row is known by its place, and places must not depend on threads. Nothing is joined then, which is
    // all that a limit of memory is for here, and on which it would put a second thread.
    let (row, session) = match &roles.id {
        Some(id) => (key(id), session.clone()),
        None => (cast(row_number(), DataType::UInt64), Settings { threads: 1, memory: None, ..*session }),
    };
    columns.push(row.alias(ROW));
    let unit = roles.entity.as_ref().map_or_else(|| ident(ROW), key);
    let drawn = Uniform::function().call(vec![ident(UNIT), lit(seed), lit(0_u64)]);
    let part = cast(cast(drawn * lit(PARTS as f64), DataType::UInt64), DataType::Utf8);

    let context = session::open(&session);
    let rows = view.rows(&context).await?.select(columns)?.with_column(UNIT, unit)?.with_column(PART, part)?;
    let to = folder.join(&dataset.name);
    let path = to.to_str().context("a path is not in UTF-8")?;
    let by_part = DataFrameWriteOptions::new().with_partition_by(vec![PART.to_owned()]);
    let written = rows.write_parquet(&format!("{path}/"), by_part, None).await;
    written.map_err(|error| memory::remedied(error.into()))?;

    let parts = parts(&to)?;
    let files = parts.concat();
    let names = files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>();
    let (schema, rows) = parquet_facts(&files, &names)?;
    let files = Files::from(files);
    let pool = pool(&files).await?;
    Ok(Scored { dataset: Dataset { files, schema, rows, ..dataset.clone() }, parts, pool })
}

/// The files below each folder of a folder, in the order of their names.
fn parts(folder: &Path) -> Result<Vec<Vec<PathBuf>>> {
    let mut parts: BTreeMap<PathBuf, Vec<PathBuf>> = BTreeMap::new();
    for part in std::fs::read_dir(folder).context("the scored rows cannot be read")? {
        let part = part?.path();
        for file in std::fs::read_dir(&part)? {
            parts.entry(part.clone()).or_default().push(file?.path());
        }
    }
    Ok(parts.into_values().collect())
}

async fn pool(files: &Files) -> Result<Arc<[f64]>> {
    let rows = session::read(&session::open(&Settings::default()), files).await?.select(vec![ident(BASELINE)])?;
    let mut scores = Vec::new();
    for batch in rows.collect().await? {
        scores.extend(batch.column(0).as_primitive::<Float64Type>().iter().flatten());
    }
    scores.sort_by(f64::total_cmp);
    let kept = scores.len().min(POOL);
    Ok((0..kept).map(|rank| scores[(2 * rank + 1) * scores.len() / (2 * kept)]).collect())
}

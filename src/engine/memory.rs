//! What the engine may hold in memory, and where it puts what is more.
//!
//! Limited are sorts, joins, groups and summaries, as DataFusion counts them. Sorts, joins and groups put what is too much
//! into files of a temporary folder, which is removed with the last session. Summaries are bounded by themselves, and cannot:
//! what does not fit is an error. Not counted are the batches under way and what models need to score them, which depend on
//! the number of threads and not on the rows.

use std::num::NonZeroUsize;
use std::str::FromStr;
use std::sync::Arc;

use anyhow::{Context, Error, Result};
use datafusion::common::DataFusionError;
use datafusion::execution::memory_pool::{FairSpillPool, TrackConsumersPool};
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};

/// The units of a size, in bytes.
const UNITS: [(&str, usize); 8] = [
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
];

/// How many sorted files are merged at once. Without a bound the first of several merges takes what there is for itself.
const MERGED: usize = 8;

/// A limit on the memory of all sessions of a run together, written `512MiB`, `2GB` or `4GiB`.
#[derive(Debug, Clone)]
pub struct Memory {
    bytes: usize,
    runtime: Arc<RuntimeEnv>,
}

impl FromStr for Memory {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let bytes = bytes(text).filter(|bytes| *bytes > 0).with_context(|| {
            format!("`{text}` is no size: write a whole number and its unit, as in `512MiB` or `4GB`")
        })?;
        // Several sorts and joins run at once, and each can go on with less. Where the first to come took all, as in a greedy
        // pool, the next would have nothing to begin with.
        // An error names the largest consumer.
        let pool = TrackConsumersPool::new(FairSpillPool::new(bytes), NonZeroUsize::MIN);
        // The disk is limited by its own size, whose end is an error that says so.
        let runtime = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(pool))
            .with_max_temp_directory_size(u64::MAX)
            .with_max_spill_merge_fan_in(MERGED);
        Ok(Self { bytes, runtime: runtime.build_arc()? })
    }
}

impl Memory {
    /// The limit.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn runtime(&self) -> Arc<RuntimeEnv> {
        Arc::clone(&self.runtime)
    }
}

fn bytes(text: &str) -> Option<usize> {
    let (number, unit) = text.split_at(text.find(|sign: char| !sign.is_ascii_digit())?);
    let (_, size) = UNITS.into_iter().find(|(name, _)| *name == unit)?;
    number.parse::<usize>().ok()?.checked_mul(size)
}

/// Says what to do where the memory that is allowed did not suffice.
pub(super) fn remedied(error: Error) -> Error {
    let exhausted = |cause: &(dyn std::error::Error + 'static)| {
        let cause = cause.downcast_ref::<DataFusionError>().map(DataFusionError::find_root);
        matches!(cause, Some(DataFusionError::ResourcesExhausted(_)))
    };
    if error.chain().any(exhausted) {
        return error.context("`--memory` allows less than this run needs: allow more, or leave it out");
    }
    error
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_a_whole_number_and_a_unit() {
        let size = |text: &str| text.parse::<Memory>().unwrap().bytes();
        assert_eq!((size("512MiB"), size("2GB"), size("4GiB")), (512 << 20, 2_000_000_000, 4 << 30));
        let largest = format!("{}TiB", usize::MAX);
        for wrong in ["", "0MiB", "512", "MiB", "-1GiB", "+1GiB", "1.5GiB", "1 GiB", "4gib", "4G", "many", &largest] {
            let refused = wrong.parse::<Memory>().unwrap_err().to_string();
            assert!(refused.contains("`512MiB`"), "{refused}");
        }
    }
}

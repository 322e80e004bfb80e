//! The files of a run, each written whole or not at all.

use std::fs::Permissions;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result};
use serde::Serialize;
use tempfile::Builder;

use crate::engine::{Cache, Used};
use crate::report::{Report, budget, junit, render};

/// The files of a run, the record last: where it stands, everything stands.
const FILES: [&str; 5] = ["run.json", "report.md", "report.html", "junit.xml", "record.json"];

/// What may differ between two runs on the same inputs.
#[derive(Debug, Clone, Serialize)]
pub struct Circumstances {
    /// The version of the program.
    pub modelgate: &'static str,
    /// The processor's architecture and the operating system.
    pub machine: String,
    /// The number of threads.
    pub threads: usize,
    /// How long it took.
    pub seconds: f64,
    /// Which scores came from a cache of them, where there is one.
    pub cache: Option<Used>,
}

impl Circumstances {
    /// The circumstances of a run that started then.
    #[must_use]
    pub fn of(threads: usize, cache: Option<&Cache>, started: Instant) -> Self {
        Self {
            modelgate: env!("CARGO_PKG_VERSION"),
            machine: format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS),
            threads,
            seconds: started.elapsed().as_secs_f64(),
            cache: cache.map(Cache::used),
        }
    }
}

/// Removes what an earlier run left: a verdict that is not of this run is worse than none.
///
/// # Errors
/// When a file cannot be removed.
pub fn clear(folder: &Path) -> Result<()> {
    for name in FILES {
        let file = folder.join(name);
        if file.exists() {
            std::fs::remove_file(&file)
                .with_context(|| format!("`{}` of an earlier run cannot be removed", file.display()))?;
        }
    }
    Ok(())
}

/// Writes all files of a run.
///
/// # Errors
/// When the folder cannot be written to. Then no record is there.
pub fn write(folder: &Path, report: &Report, circumstances: &Circumstances) -> Result<Vec<PathBuf>> {
    let mut run = serde_json::to_string_pretty(circumstances)?;
    run.push('\n');
    let contents = [
        run,
        render::markdown(report, budget::COMMENT)?,
        render::html(report)?,
        junit::render(&report.record)?,
        report.record.to_json()?,
    ];
    std::fs::create_dir_all(folder).with_context(|| format!("`{}` cannot be made", folder.display()))?;
    FILES.iter().zip(contents).map(|(name, content)| whole(folder, name, &content)).collect()
}

/// Writes `calibration.json`.
///
/// # Errors
/// When the folder cannot be written to.
pub fn write_calibration(folder: &Path, content: &str) -> Result<PathBuf> {
    std::fs::create_dir_all(folder).with_context(|| format!("`{}` cannot be made", folder.display()))?;
    whole(folder, "calibration.json", content)
}

fn whole(folder: &Path, name: &str, content: &str) -> Result<PathBuf> {
    let path = folder.join(name);
    let context = || format!("`{}` cannot be written", path.display());
    // A temporary file is private, and the next step of a workflow may run as another user.
    let readable = Permissions::from_mode(0o644);
    let mut file = Builder::new().permissions(readable).tempfile_in(folder).with_context(context)?;
    file.write_all(content.as_bytes()).with_context(context)?;
    file.persist(&path).with_context(context)?;
    Ok(path)
}

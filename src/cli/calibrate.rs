//! `modelgate calibrate`: the gate on trial, before anyone trusts it.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Result;

use super::{TargetArguments, print, progress, wait, warn_of_refused};
use crate::calibrate::{self, Advance, Options};
use crate::deliver::files;
use crate::report::render;
use crate::spec::Spec;

#[derive(Debug, Clone, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    target: TargetArguments,
    /// How many candidates of each kind are judged.
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    splits: u64,
    /// What the draws depend on: the same seed gives the same result.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The folder for calibration.json.
    #[arg(long, value_name = "DIR", default_value = ".modelgate")]
    out: PathBuf,
}

pub(super) fn calibrate(arguments: &Arguments) -> Result<ExitCode> {
    let Arguments { target, splits, seed, out } = arguments;
    let options = Options { run: target.options()?, splits: *splits, seed: *seed };
    let spec = Spec::read(&target.spec)?;
    let advance = Arc::new(Advance::default());
    let shown = Arc::clone(&advance);
    let progress = move || match shown.splits() {
        (_, 0) => progress::scored(&shown.scoring),
        (judged, expected) => progress::judged(judged, expected),
    };
    let calibration = match wait(&options.run, progress, calibrate::run(spec, &options, &advance))? {
        Ok(calibration) => calibration,
        Err(cancelled) => return Ok(cancelled),
    };
    warn_of_refused(options.run.cache.as_deref())?;
    let file = files::write_calibration(out, &calibration.to_json()?)?;
    print(&render::calibration(&calibration, &file)?)?;
    Ok(ExitCode::from(calibration.verdict.exit_code()))
}

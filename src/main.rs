//! The `modelgate` program.

use std::process::ExitCode;

use clap::Parser as _;
use modelgate::cli::{self, Cli};

fn main() -> ExitCode {
    cli::main(Cli::parse())
}

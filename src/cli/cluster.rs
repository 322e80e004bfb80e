//! `modelgate cluster`: the roles of a cluster that computes the plans of runs.

use std::io::Write as _;
use std::net::SocketAddr;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::Subcommand;
use tokio::net::TcpListener;

use super::{block_on, print, processors};
use crate::engine::cluster::{self, Address, Executor};
use crate::score::program::Programs;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Take in runs and hand out their work.
    Scheduler {
        /// Where to listen.
        #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:50050")]
        listen: SocketAddr,
    },
    /// Do the work of runs. Reads the data and models of the runs at the paths that the runs see.
    Executor {
        /// The scheduler to work for, such as `df://host:50050`.
        #[arg(long, value_name = "URL")]
        scheduler: Address,
        /// Where to listen for the scheduler and other executors; the next port is taken as well.
        #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:50051")]
        listen: SocketAddr,
        /// The name or address under which they reach it; without it, the address that the scheduler sees.
        #[arg(long, value_name = "HOST")]
        host: Option<String>,
        /// The number of tasks at once; without it, one for each processor.
        #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1024))]
        threads: Option<u16>,
    },
}

pub(super) fn cluster(command: Command) -> Result<ExitCode> {
    log::set_logger(&Log).map(|()| log::set_max_level(log::LevelFilter::Warn)).map_err(anyhow::Error::msg)?;
    match command {
        Command::Scheduler { listen } => schedule(listen),
        Command::Executor { scheduler, listen, host, threads } => {
            let threads = threads.map_or_else(processors, usize::from);
            execute(&Executor { scheduler, listen, host, threads })
        }
    }
}

fn schedule(listen: SocketAddr) -> Result<ExitCode> {
    let done = block_on(processors(), &Programs::default(), async {
        let listener = TcpListener::bind(listen).await.with_context(|| format!("`{listen}` cannot be listened on"))?;
        say(&format!("the scheduler listens on {}\n", listener.local_addr()?));
        cluster::schedule(listener).await
    })?;
    Ok(done.map_or_else(|interrupted| interrupted, |()| ExitCode::SUCCESS))
}

/// Ballista ends an executor that is told to end, after it has finished what was begun.
fn execute(executor: &Executor) -> Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let joined = || say(&format!("the executor has joined {}\n", executor.scheduler));
    runtime.block_on(cluster::execute(executor, joined))?;
    Ok(ExitCode::SUCCESS)
}

/// Says how a role is doing. That nobody listens is no reason to stop working.
fn say(text: &str) {
    let _ = print(text);
}

/// What Ballista warns of, on standard error.
struct Log;

impl log::Log for Log {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &log::Record<'_>) {
        if self.enabled(record.metadata()) {
            // Nobody is left to be told when standard error is closed.
            let _ = writeln!(anstream::stderr(), "{}: {}", record.level(), record.args());
        }
    }

    fn flush(&self) {}
}

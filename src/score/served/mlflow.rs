//! Models of MLflow: an ONNX file is scored in process, and a model of any other flavour by `mlflow models serve`, which the run
//! starts, asks whether it is well, and ends.
//!
//! The files of the model are fetched and verified first, and are never opened here: what loads them is the program.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::json;
use tempfile::TempDir;

use super::{INVOCATIONS, Inner, Model, Server, Slots, Speech};
use crate::artifact::endpoint::Endpoint;
use crate::artifact::mlflow::Whole;
use crate::artifact::path::sha256_of_bytes;
use crate::artifact::trouble::redacted;
use crate::artifact::world::World;
use crate::score::onnx::Mapping;
use crate::score::program::{Program, Programs, Start};
use crate::score::{Judged, Scorer, open_onnx};
use crate::spec::written;

/// The program.
const MLFLOW: &str = "mlflow";
/// The folder of the model, in the one that the program works in.
const MODEL: &str = "model";
/// What a served model answers when it is well.
const PING: &str = "/ping";
/// How often it is asked.
const PAUSE: Duration = Duration::from_millis(200);
/// The rows of a request. The server has one worker, to which one more may be on its way.
const BATCH_ROWS: usize = 1000;
const CONCURRENCY: usize = 2;

/// A model that is served by a program of this run.
pub(super) struct Serving {
    /// The files of the model, and where the program works.
    folder: TempDir,
    seconds: u64,
    memory_mib: u64,
    state: Mutex<State>,
}

/// What became of the program.
enum State {
    /// It was not needed yet.
    Idle,
    Running(Running),
    /// Why it is started no more.
    Broken(String),
}

struct Running {
    program: Program,
    endpoint: Arc<Endpoint>,
}

impl fmt::Debug for Serving {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Serving").field("folder", &self.folder).finish_non_exhaustive()
    }
}

/// Opens a model of MLflow, by its flavour.
///
/// # Errors
/// When it cannot be had, and where a program must serve it, when none may be started, or there is none.
pub(in crate::score) async fn open(
    world: &World,
    programs: &Programs,
    written: &written::MlflowScorer,
) -> Result<Judged> {
    let written::MlflowScorer { mlflow, output, positive, classes, seconds, memory_mib } = written.clone();
    let shown = redacted(&mlflow);
    let source = format!("mlflow:{}", shown.trim_start_matches("mlflow:"));
    let Whole { flavours, files, pin } = match world.whole_model(&mlflow).await? {
        whole if whole.flavours.iter().any(|flavour| flavour == "onnx") => {
            let inputs = BTreeMap::new();
            let onnx = written::OnnxScorer { onnx: mlflow, output, positive, classes, inputs };
            return Ok(Judged { source, ..open_onnx(world, &onnx).await? });
        }
        whole => whole,
    };
    let served = format!("{MLFLOW} models serve");
    programs.ensure_allowed(&served).with_context(|| {
        format!("`{shown}` has the flavours {} and not `onnx`, so that `{served}` must score it", flavours.join(", "))
    })?;
    ensure!(
        is_installed(MLFLOW),
        "`{shown}` has the flavours {} and not `onnx`, and there is no program `{MLFLOW}` that could serve it: install it \
         with what the model needs, `pip install mlflow` and the packages of its `requirements.txt`",
        flavours.join(", ")
    );
    // A server has nothing to give of an empty file, as an `__init__.py` may be.
    let (empty, files): (Vec<_>, Vec<_>) = files.into_iter().partition(|(_, item)| item.bytes == Some(0));
    let (names, items): (Vec<_>, Vec<_>) = files.into_iter().unzip();
    let here = world.all(items).await.with_context(|| format!("`{shown}` cannot be had"))?;
    let obtained = names.into_iter().zip(here).collect::<Vec<_>>();
    let folder = TempDir::new().context("no temporary folder for the model")?;
    let mut digests = BTreeMap::new();
    for (name, _) in empty {
        File::create(place(folder.path(), &name)?)?;
        digests.insert(name, sha256_of_bytes(b""));
    }
    for (name, one) in &obtained {
        // MLflow reads no link, and what it does with a copy harms no file that is kept.
        let copied = std::fs::copy(&one.file, place(folder.path(), name)?);
        copied.with_context(|| format!("`{shown}` cannot be laid out in a temporary folder"))?;
        digests.insert(name.clone(), one.sha256.find().await?);
    }
    let sha256 = sha256_of_bytes(json!({ "model": digests }).to_string().as_bytes());
    if let Some(pin) = pin {
        let wrong = "correct the pin, or name another";
        ensure!(sha256 == pin, "`{shown}` has the SHA-256 {sha256} and is pinned to {pin}; {wrong}");
    }
    let found = obtained.into_iter().filter_map(|(_, one)| one.found).collect();
    let classes = classes.iter().map(ToString::to_string).collect();
    let model = Model(Arc::new(Inner {
        name: shown,
        server: Server::Own(Serving { folder, seconds, memory_mib, state: Mutex::new(State::Idle) }),
        speech: Speech::Invocations,
        mapping: Mapping { output, positive, classes, inputs: BTreeMap::new() },
        batch_rows: BATCH_ROWS,
        slots: Slots::new(CONCURRENCY),
        programs: programs.clone(),
        broken: Mutex::default(),
    }));
    Ok(Judged { source, sha256: Some(sha256), found, served: None, scorer: Scorer::Http(model) })
}

/// The place of a file of the model, in a folder that is there.
fn place(folder: &Path, name: &str) -> Result<PathBuf> {
    let file = folder.join(MODEL).join(name);
    std::fs::create_dir_all(file.parent().unwrap_or(folder))?;
    Ok(file)
}

/// Whether there is a program of this name.
fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

impl Serving {
    /// The server, which is started when it is needed first.
    pub(super) fn endpoint(&self, programs: &Programs) -> Result<Arc<Endpoint>> {
        let mut state = self.state();
        if let State::Idle = &*state {
            *state = match self.start(programs) {
                Ok(running) => State::Running(running),
                Err(error) => State::Broken(format!("{error:#}")),
            };
        }
        match &*state {
            State::Running(running) => Ok(Arc::clone(&running.endpoint)),
            State::Broken(why) => bail!("{why}"),
            State::Idle => bail!("it is not running"),
        }
    }

    /// An error with what the program said last, where it has ended.
    pub(super) fn told(&self, error: anyhow::Error) -> anyhow::Error {
        if let State::Running(Running { program, .. }) = &mut *self.state()
            && program.has_ended()
        {
            return error.context(program.end());
        }
        error
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn start(&self, programs: &Programs) -> Result<Running> {
        // Another program may take it before this one does, which then ends.
        let port =
            TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).context("no port is free")?.port();
        let endpoint = Endpoint::here(port, INVOCATIONS, Duration::from_secs(self.seconds))?;
        let mut program = programs.start(&self.command(port)?, false)?;
        let begun = Instant::now();
        loop {
            if program.has_ended() {
                bail!("{}; if a package is missing, its `requirements.txt` has those that it needs", program.end());
            }
            if endpoint.is_well(PING) {
                return Ok(Running { program, endpoint: Arc::new(endpoint) });
            }
            if begun.elapsed() >= Duration::from_secs(self.seconds) {
                let told = program.end();
                bail!("it was not ready within {} seconds: allow more with `seconds:`; {told}", self.seconds);
            }
            thread::sleep(PAUSE);
        }
    }

    fn command(&self, port: u16) -> Result<Start> {
        let model = self.folder.path().join(MODEL);
        let model = model.to_str().context("the temporary folder has a name that is not in UTF-8")?;
        let (port, seconds) = (port.to_string(), self.seconds.to_string());
        let words = [MLFLOW, "models", "serve", "--model-uri", model, "--env-manager", "local"];
        let words = words.into_iter().chain(["--host", "127.0.0.1", "--port", &port, "--timeout", &seconds]);
        let environment = BTreeMap::from([("MLFLOW_DISABLE_TELEMETRY".to_owned(), "true".to_owned())]);
        Ok(Start {
            words: words.map(str::to_owned).collect(),
            folder: self.folder.path().to_owned(),
            environment,
            memory_mib: self.memory_mib,
        })
    }
}

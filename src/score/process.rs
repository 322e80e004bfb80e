//! Models that are programs, of any language: they are fed batches of rows as an Arrow IPC stream on their standard input, and
//! answer each batch with one of scores on their standard output.
//!
//! A program is started once, when the first rows are to be scored, and answers one batch after the other, whatever the number
//! of threads. What it does wrong is an error of the run, and then it is not asked again.

use std::collections::BTreeMap;
use std::fmt;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use arrow::array::{Array as _, ArrayRef, AsArray as _, Float64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Float64Type, SchemaRef};
use serde_json::json;
use tempfile::TempDir;

use super::definition::Definition;
use super::program::{Program, Programs, Start};
use super::{Bound, Judged, Live, Scorer, ensure_fed, frame};
use crate::artifact::path::{sha256, sha256_of_bytes};
use crate::artifact::world::{Found, Obtained, World};
use crate::artifact::{self, trouble::redacted};
use crate::spec::written::{self, Model as Written};

mod stream;

/// A program that scores rows.
#[derive(Debug, Clone)]
pub struct Model(Arc<Inner>);

struct Inner {
    programs: Programs,
    start: Start,
    seconds: u64,
    state: Mutex<State>,
    /// Where the files that were fetched have the names of their sources.
    _names: TempDir,
}

/// What became of the program.
enum State {
    /// It was not needed yet.
    Idle,
    Running(Talk),
    /// Why it is asked no more.
    Broken(String),
}

/// A program that is fed, and what it is fed with.
struct Talk {
    program: Program,
    schema: SchemaRef,
    batches: SyncSender<RecordBatch>,
    answers: Receiver<Result<RecordBatch>>,
}

impl fmt::Debug for Inner {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Process").field("start", &self.start).finish_non_exhaustive()
    }
}

/// Opens what the spec names, without starting it.
///
/// # Errors
/// When no program may be started, or a file is missing.
pub(super) async fn open(world: &World, programs: &Programs, written: &written::ProcessScorer) -> Result<Judged> {
    let shown = written.process.join(" ");
    programs.ensure_allowed(&shown)?;
    let names = TempDir::new().context("no temporary folder for the files of the program")?;
    let (mut words, mut digests, mut found) = (written.process.clone(), BTreeMap::new(), Vec::new());
    for (name, source) in &written.files {
        let file = file(world, source, &names.path().join(name)).await;
        let file = file.with_context(|| format!("the file `{name}` of `{shown}` cannot be had"))?;
        for word in &mut words {
            *word = word.replace(&format!("{{{name}}}"), &file.path);
        }
        digests.insert(name, file.sha256);
        found.extend(file.found);
    }
    let folder = std::path::absolute(if world.folder.as_os_str().is_empty() { Path::new(".") } else { &world.folder })?;
    let identity = json!({
        "command": written.process,
        "environment": written.environment,
        "files": digests,
        "named": named(&folder, &written.process)?,
    });
    let environment = written.environment.clone();
    let start = Start { words, folder, environment, memory_mib: written.memory_mib };
    let (programs, seconds, state) = (programs.clone(), written.seconds, Mutex::new(State::Idle));
    Ok(Judged {
        source: format!("process:{shown}"),
        sha256: Some(sha256_of_bytes(identity.to_string().as_bytes())),
        found,
        served: None,
        scorer: Scorer::Process(Model(Arc::new(Inner { programs, start, seconds, state, _names: names }))),
    })
}

/// A file that a program is given.
struct Given {
    path: String,
    sha256: String,
    found: Vec<Found>,
}

/// Has a file. One that was fetched gets the name that its source ends with, by whose ending programs tell what it is.
async fn file(world: &World, source: &String, folder: &Path) -> Result<Given> {
    let shown = redacted(source);
    let Obtained { files, found, sha256, .. } = world.obtain(std::slice::from_ref(source)).await?;
    let [file] = files.as_slice() else { bail!("`{shown}` names {} files; name one", files.len()) };
    let mut path = std::path::absolute(file)?;
    if !found.is_empty() {
        std::fs::create_dir(folder)?;
        let name = artifact::file_name(source).rsplit(['/', ':']).next().unwrap_or_default();
        let link = folder.join(name);
        symlink(&path, &link)?;
        path = link;
    }
    let path = path.to_str().with_context(|| format!("`{}` is not a path in UTF-8", path.display()))?.to_owned();
    Ok(Given { path, sha256: sha256.find().await?, found })
}

/// The digests of the files that a command itself names, such as `score.py`.
fn named<'w>(folder: &Path, words: &'w [String]) -> Result<BTreeMap<&'w String, String>> {
    let files = words.iter().map(|word| (word, folder.join(word))).filter(|(_, file)| file.is_file());
    files.map(|(word, file): (_, PathBuf)| Ok((word, sha256(&file)?))).collect()
}

impl Live for Model {
    fn tie(&self, model: &Written, features: &[String], schema: &SchemaRef) -> Result<(Arc<dyn Bound>, Definition)> {
        let schema = frame::schema(features, schema).with_context(|| format!("`{}` cannot be fed", self.name()))?;
        let outputs = model.outputs();
        let definition = Definition::Own { own: self.name(), outputs };
        Ok((Arc::new(Tied { model: self.clone(), columns: features.to_vec(), schema, outputs }), definition))
    }
}

/// A program that is fed from the columns of a dataset.
#[derive(Debug)]
struct Tied {
    model: Model,
    columns: Vec<String>,
    schema: SchemaRef,
    outputs: usize,
}

impl Bound for Tied {
    fn columns(&self) -> &[String] {
        &self.columns
    }

    fn outputs(&self) -> usize {
        self.outputs
    }

    fn score(&self, columns: &[ArrayRef], rows: usize) -> Result<Vec<Float64Array>> {
        ensure_fed(&self.columns, columns, rows)?;
        if rows == 0 {
            return Ok(vec![Float64Array::from(Vec::<f64>::new()); self.outputs]);
        }
        let batch = frame::batch(&self.schema, columns)?;
        let scores = self.model.ask(batch, self.outputs).and_then(|answer| scores(&answer, rows, self.outputs));
        scores.with_context(|| format!("`{}` gave no scores", self.model.name()))
    }
}

/// The scores that an answer holds.
fn scores(answer: &RecordBatch, rows: usize, outputs: usize) -> Result<Vec<Float64Array>> {
    let (columns, given) = (answer.num_columns(), answer.num_rows());
    ensure!(
        columns == outputs,
        "it answers with {columns} columns, and the model has {outputs}: one for each class in the order of \
         `model.classes`, else one"
    );
    ensure!(given == rows, "it answers {rows} rows with {given}: give one score for each row, in their order");
    let named = answer.schema();
    let score = |(field, scores): (&Arc<Field>, &ArrayRef)| {
        let (name, kind, missing) = (field.name(), field.data_type(), scores.null_count());
        ensure!(kind.is_floating(), "its column `{name}` holds {kind}: give probabilities or numbers as float64");
        ensure!(missing == 0, "its column `{name}` has no score for {missing} of {rows} rows");
        Ok(arrow::compute::cast(scores, &DataType::Float64)?.as_primitive::<Float64Type>().clone())
    };
    named.fields().iter().zip(answer.columns()).map(score).collect()
}

impl Model {
    fn name(&self) -> String {
        self.0.start.name()
    }

    /// Asks for the scores of a batch. One batch is answered at a time.
    fn ask(&self, batch: RecordBatch, outputs: usize) -> Result<RecordBatch> {
        let mut state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let State::Broken(why) = &*state {
            bail!("{why}");
        }
        // One that is fed with columns of other types reads them from another stream.
        if !matches!(&*state, State::Running(talk) if talk.schema == batch.schema()) {
            *state = State::Idle;
            *state = State::Running(self.begin(&batch.schema(), outputs)?);
        }
        let State::Running(talk) = &mut *state else { bail!("the program is not running") };
        let error = match talk.exchange(batch, self.0.seconds) {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        let error = error.context(talk.program.end());
        *state = State::Broken(format!("{error:#}"));
        Err(error)
    }

    fn begin(&self, schema: &SchemaRef, outputs: usize) -> Result<Talk> {
        let mut program = self.0.programs.start(&self.0.start, true)?;
        let (input, output) = program.pipes()?;
        let (batches, fed) = mpsc::sync_channel::<RecordBatch>(1);
        let (given, answers) = mpsc::channel();
        let its = Arc::clone(schema);
        thread::spawn(move || {
            // What cannot be sent is waited for no more, and a program that is gone gives no answer.
            let _ = stream::talk(&its, outputs, input, output, &fed, &given);
        });
        Ok(Talk { program, schema: Arc::clone(schema), batches, answers })
    }
}

impl Talk {
    fn exchange(&self, batch: RecordBatch, seconds: u64) -> Result<RecordBatch> {
        let rows = batch.num_rows();
        let gone = || anyhow!("what it wrote cannot be read");
        self.batches.send(batch).map_err(|_| gone())?;
        match self.answers.recv_timeout(Duration::from_secs(seconds)) {
            Ok(answer) => answer,
            Err(RecvTimeoutError::Timeout) => bail!(
                "it gave no answer for {rows} rows within {seconds} seconds: make it faster, or allow more with `seconds:`"
            ),
            Err(RecvTimeoutError::Disconnected) => Err(gone()),
        }
    }
}

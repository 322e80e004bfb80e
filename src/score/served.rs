//! Models behind an address: batches of rows are posted to it, several at once, and its answers are scores, or an error.
//!
//! How a server is spoken to is told by how its address ends. What it answers may be anything: no score is taken that is not
//! one finite number for a row.

use std::fmt::Debug;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use arrow::array::{ArrayRef, Float64Array};
use arrow::datatypes::SchemaRef;
use serde::{Deserialize, Serialize};

use super::definition::Definition;
use super::onnx::{Mapping, Task};
use super::program::Programs;
use super::{Bound, Judged, Live, Scorer, ensure_fed};
use crate::artifact::endpoint::Endpoint;
use crate::artifact::trouble::{Trouble, redacted};
use crate::artifact::world::World;
use crate::spec::written::{self, Model as Written};

mod inference;
mod invocations;
mod json;
pub(super) mod mlflow;

use self::inference::Metadata;
use self::mlflow::Serving;

/// How an address of the Open Inference Protocol ends.
pub const INFER: &str = "/infer";
/// How an address of MLflow's scoring protocol ends.
pub const INVOCATIONS: &str = "/invocations";

/// What stands around the scores of an answer: names, shapes, and whatever else a server says.
const BESIDE: usize = 1 << 20;
/// The bytes that describe a model.
const MOST_METADATA: usize = 1 << 20;
/// How often a thread that waits looks whether the run goes on.
const GLANCE: Duration = Duration::from_millis(100);

/// What a server says of the model behind it. Nothing proves it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
pub struct Description {
    /// What it is called.
    pub name: String,
    /// The versions that are there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub versions: Vec<String>,
    /// What runs it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
}

/// A model behind an address.
#[derive(Debug, Clone)]
pub struct Model(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    name: String,
    server: Server,
    speech: Speech,
    mapping: Mapping,
    batch_rows: usize,
    slots: Arc<Slots>,
    programs: Programs,
    /// Why it is asked no more.
    broken: Mutex<Option<String>>,
}

/// Whose server it is.
#[derive(Debug)]
enum Server {
    /// That of somebody else.
    Named(Arc<Endpoint>),
    /// One that this run starts when it needs it.
    Own(Serving),
}

/// How a server is spoken to.
#[derive(Debug)]
enum Speech {
    /// By the Open Inference Protocol, with what it says of its model.
    Inference(Option<Metadata>),
    /// By MLflow's scoring protocol.
    Invocations,
}

/// How a model is fed from the columns of a dataset, and how its answers are read.
trait Protocol: Debug + Send + Sync {
    /// The columns to feed, each once.
    fn columns(&self) -> &[String];

    /// How many scores a row has.
    fn outputs(&self) -> usize;

    /// The bytes that the scores of so many rows can have.
    fn most(&self, rows: usize) -> usize;

    /// What is posted for some rows.
    ///
    /// # Errors
    /// When they hold values that the protocol has no form for.
    fn body(&self, columns: &[ArrayRef], rows: usize) -> Result<Vec<u8>>;

    /// The finite scores that an answer holds, for each output one for each row.
    ///
    /// # Errors
    /// When the answer is anything else.
    fn scores(&self, answer: &[u8], rows: usize) -> Result<Vec<Vec<f64>>>;
}

/// Opens what the spec names, and asks what model is there.
///
/// # Errors
/// When the server may not or cannot be reached, or does not say what it should.
pub(super) async fn open(world: &World, programs: &Programs, written: &written::HttpScorer) -> Result<Judged> {
    let written::HttpScorer { http, output, positive, classes, inputs, seconds, batch_rows, concurrency } = written;
    let endpoint = world.endpoint(http, Duration::from_secs(*seconds))?;
    let name = redacted(http);
    let metadata = match endpoint.path().strip_suffix(INFER).map(str::to_owned) {
        Some(path) => {
            let said = endpoint.about(&path, MOST_METADATA).await?;
            Some(
                said.map(|said| Metadata::parse(&said))
                    .transpose()
                    .with_context(|| format!("`{name}` is not usable"))?,
            )
        }
        None => None,
    };
    let mapping = Mapping {
        output: output.clone(),
        positive: positive.clone(),
        classes: classes.iter().map(ToString::to_string).collect(),
        inputs: inputs.clone(),
    };
    let served = metadata.as_ref().and_then(Option::as_ref).map(Metadata::description);
    let model = Model(Arc::new(Inner {
        name: name.clone(),
        server: Server::Named(Arc::new(endpoint)),
        speech: metadata.map_or(Speech::Invocations, Speech::Inference),
        mapping,
        batch_rows: *batch_rows,
        slots: Slots::new(*concurrency),
        programs: programs.clone(),
        broken: Mutex::default(),
    }));
    Ok(Judged { source: format!("http:{name}"), sha256: None, found: Vec::new(), served, scorer: Scorer::Http(model) })
}

impl Live for Model {
    fn tie(&self, model: &Written, features: &[String], schema: &SchemaRef) -> Result<(Arc<dyn Bound>, Definition)> {
        let inner = &self.0;
        let task = Task::of(model);
        let protocol: Box<dyn Protocol> = match &inner.speech {
            Speech::Invocations => Box::new(invocations::Tied::new(task, features, schema, &inner.mapping)?),
            Speech::Inference(metadata) => {
                let (declared, available) = super::fields(features, schema);
                let tied = inference::Tied::new(metadata.as_ref(), task, &declared, &available, &inner.mapping);
                Box::new(tied.with_context(|| format!("`{}` cannot be fed", inner.name))?)
            }
        };
        let definition = Definition::Own { own: inner.name.clone(), outputs: protocol.outputs() };
        Ok((Arc::new(Tied { model: self.clone(), protocol }), definition))
    }
}

/// A model that is fed from the columns of a dataset.
#[derive(Debug)]
struct Tied {
    model: Model,
    protocol: Box<dyn Protocol>,
}

impl Bound for Tied {
    fn columns(&self) -> &[String] {
        self.protocol.columns()
    }

    fn outputs(&self) -> usize {
        self.protocol.outputs()
    }

    fn score(&self, columns: &[ArrayRef], rows: usize) -> Result<Vec<Float64Array>> {
        ensure_fed(self.columns(), columns, rows)?;
        let inner = &self.model.0;
        let scores = inner.ask(self.protocol.as_ref(), columns, rows).inspect_err(|error| inner.give_up(error));
        scores.with_context(|| format!("`{}` gave no scores", inner.name))
    }
}

/// An answer to some rows, which has come.
type Part = (usize, Result<Vec<u8>, Trouble>);

impl Inner {
    /// Asks for the scores of rows: so many in each request, and so many requests at once.
    fn ask(&self, protocol: &dyn Protocol, columns: &[ArrayRef], rows: usize) -> Result<Vec<Float64Array>> {
        let mut scores = vec![Vec::with_capacity(rows); protocol.outputs()];
        if rows == 0 {
            return Ok(scores.into_iter().map(Float64Array::from).collect());
        }
        let endpoint = match &self.server {
            Server::Named(endpoint) => Arc::clone(endpoint),
            Server::Own(serving) => serving.endpoint(&self.programs)?,
        };
        let answered = self.exchange(&endpoint, protocol, columns, rows);
        let parts = match (&self.server, answered) {
            (Server::Own(serving), Err(error)) => Err(serving.told(error)),
            (_, answered) => answered,
        }?;
        for part in parts {
            scores.iter_mut().zip(part).for_each(|(scores, part)| scores.extend(part));
        }
        Ok(scores.into_iter().map(Float64Array::from).collect())
    }

    fn exchange(
        &self,
        endpoint: &Endpoint,
        protocol: &dyn Protocol,
        columns: &[ArrayRef],
        rows: usize,
    ) -> Result<Vec<Vec<Vec<f64>>>> {
        let starts = (0..rows).step_by(self.batch_rows).collect::<Vec<_>>();
        let count = |start: usize| self.batch_rows.min(rows - start);
        let (give, answers) = mpsc::channel::<Part>();
        let (mut parts, mut awaited) = (vec![Vec::new(); starts.len()], 0);
        let mut read = |(part, answer): Part| {
            parts[part] = protocol.scores(&answer?, count(starts[part]))?;
            Ok::<_, anyhow::Error>(())
        };
        for (part, start) in starts.iter().enumerate() {
            let slot = self.slots.take(|| {
                for part in answers.try_iter() {
                    read(part)?;
                    awaited -= 1;
                }
                self.ensure_asked()
            })?;
            let some = columns.iter().map(|column| column.slice(*start, count(*start))).collect::<Vec<_>>();
            let (body, most) = (protocol.body(&some, count(*start))?, BESIDE + protocol.most(count(*start)));
            let give = give.clone();
            endpoint.post(body, most, move |answer| {
                drop(slot);
                // Whoever has asked may have given up.
                let _ = give.send((part, answer));
            })?;
            awaited += 1;
        }
        drop(give);
        for _ in 0..awaited {
            read(self.wait(&answers)?)?;
        }
        Ok(parts)
    }

    /// Waits for an answer, for as long as the run goes on.
    fn wait(&self, answers: &Receiver<Part>) -> Result<Part> {
        loop {
            match answers.recv_timeout(GLANCE) {
                Ok(part) => return Ok(part),
                Err(RecvTimeoutError::Timeout) => self.ensure_asked()?,
                Err(RecvTimeoutError::Disconnected) => bail!("nobody waits for its answer"),
            }
        }
    }

    fn ensure_asked(&self) -> Result<()> {
        ensure!(!self.programs.is_over(), "the run is over");
        match self.broken.lock().unwrap_or_else(PoisonError::into_inner).as_ref() {
            Some(why) => bail!("{why}"),
            None => Ok(()),
        }
    }

    /// Whoever else waits says the same.
    fn give_up(&self, error: &anyhow::Error) {
        let mut broken = self.broken.lock().unwrap_or_else(PoisonError::into_inner);
        broken.get_or_insert_with(|| format!("{error:#}"));
    }
}

/// How many requests there may be at once, for all threads.
#[derive(Debug)]
struct Slots {
    free: Mutex<usize>,
    freed: Condvar,
}

/// A request that there may be.
struct Slot(Arc<Slots>);

impl Slots {
    fn new(count: usize) -> Arc<Self> {
        Arc::new(Self { free: Mutex::new(count), freed: Condvar::new() })
    }

    /// Waits for a free one, and looks now and then whether there is still something to wait for.
    fn take(self: &Arc<Self>, mut goes_on: impl FnMut() -> Result<()>) -> Result<Slot> {
        loop {
            goes_on()?;
            let free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
            let waited = self.freed.wait_timeout_while(free, GLANCE, |free| *free == 0);
            let (mut free, _) = waited.unwrap_or_else(PoisonError::into_inner);
            if *free > 0 {
                *free -= 1;
                return Ok(Slot(Arc::clone(self)));
            }
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        *self.0.free.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.0.freed.notify_one();
    }
}

/// What is wrong with an address as it is written, with the remedy.
#[must_use]
pub fn unfit(address: &str) -> Option<(String, String)> {
    let path = address.split(['?', '#']).next().unwrap_or_default();
    let is_address = path.starts_with("https://") || path.starts_with("http://");
    let is_inference = path.ends_with(INFER) && path.contains("/v2/models/");
    if is_address && (is_inference || path.ends_with(INVOCATIONS)) {
        return None;
    }
    let message = format!("`{}` is no address of a model, by the end of which its protocol is told", redacted(address));
    let remedy = "write `https://HOST/v2/models/NAME/infer` for the Open Inference Protocol, or `https://HOST/invocations` \
                  for MLflow's";
    Some((message, remedy.to_owned()))
}

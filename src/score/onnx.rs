//! Models in ONNX format, scored in this process by ONNX Runtime.
//!
//! A model is hostile: it is loaded from bytes only, after a look at them ([`proto`]), and can read no other file.
//! It still runs in this process, in code written in C++: a corrupt one can abort it, which is never a pass.
//!
//! Scores depend neither on threads nor on batches: each session computes on the thread that calls it, in one fixed
//! order, on batches of whole vectors ([`tensor::fed_rows`]). Callers score in parallel by calling from several threads.

use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use arrow::datatypes::Field;
use ort::environment::Environment;
use ort::logging::LogLevel;
use ort::session::builder::SessionBuilder;
use ort::session::{OutputSelector, RunOptions, Session, SessionInputValue};
use ort::value::DynValue;

pub mod binding;
pub mod output;
pub mod proto;
pub mod runtime;
pub mod signature;
pub mod tensor;

pub use binding::{Binding, Columns, Layout, Mapping, Positive, Task};
pub use signature::{ElementKind, Form, Signature, ValueInfo, Width};

/// A loaded model.
pub struct Onnx {
    bytes: Vec<u8>,
    signature: Signature,
    /// Sessions that no thread uses now. `Session::run` needs a session for itself, so there are as many as there
    /// were threads at once.
    idle: Mutex<Vec<Session>>,
}

impl fmt::Debug for Onnx {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Onnx").field("signature", &self.signature).finish_non_exhaustive()
    }
}

impl Onnx {
    /// Loads a model from the bytes of its file.
    ///
    /// # Errors
    /// When ONNX Runtime is not installed, when the bytes are no whole ONNX model, when the model needs external
    /// data, and when ONNX Runtime does not accept it.
    pub fn open(bytes: Vec<u8>) -> Result<Arc<Self>> {
        let classes = proto::inspect(&bytes)?;
        let session = session(&bytes)?;
        let signature = Signature {
            inputs: session.inputs().iter().map(ValueInfo::from).collect(),
            outputs: session.outputs().iter().map(ValueInfo::from).collect(),
            classes,
        };
        Ok(Arc::new(Self { bytes, signature, idle: Mutex::new(vec![session]) }))
    }

    /// What the model takes and gives.
    #[must_use]
    pub fn signature(&self) -> &Signature {
        &self.signature
    }

    /// Ties the model to the columns of a dataset.
    ///
    /// `features` are the declared features in the spec's order, `available` all columns of the dataset. An input is
    /// fed from the columns that `mapping` names, else from the column of its name, be it a declared feature or not;
    /// the single input of a model that takes a matrix is fed from all features in order.
    ///
    /// # Errors
    /// When an input has no column, or columns of another number or type than it takes, and when it does not follow
    /// from the model which of its outputs is the score.
    pub fn bind(
        self: &Arc<Self>,
        task: Task,
        features: &[Field],
        available: &[Field],
        mapping: &Mapping,
    ) -> Result<Binding> {
        Binding::new(self.clone(), task, features, available, mapping)
    }

    /// Runs the model on a session of its own, and reads one of its outputs.
    fn run<T>(
        &self,
        inputs: Vec<(Cow<'_, str>, SessionInputValue<'_>)>,
        output: &str,
        read: impl FnOnce(&DynValue) -> Result<T>,
    ) -> Result<T> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut session = idle.map_or_else(|| session(&self.bytes), Ok)?;
        let result = run(&mut session, inputs, output, read);
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(session);
        result
    }
}

fn run<T>(
    session: &mut Session,
    inputs: Vec<(Cow<'_, str>, SessionInputValue<'_>)>,
    output: &str,
    read: impl FnOnce(&DynValue) -> Result<T>,
) -> Result<T> {
    let options = RunOptions::new()?.with_outputs(OutputSelector::no_default().with(output));
    let outputs = session.run_with_options(inputs, &options).context("the model failed on these rows")?;
    read(outputs.get(output).with_context(|| format!("the model gave no output `{output}`"))?)
}

fn session(bytes: &[u8]) -> Result<Session> {
    let mut builder = builder(runtime::environment()?).context("ONNX Runtime cannot make a session")?;
    builder.commit_from_memory(bytes).context("ONNX Runtime does not accept the model")
}

/// One thread and one order of execution; memory patterns are off because they are kept per size of batch.
fn builder(environment: &Environment) -> ort::Result<SessionBuilder> {
    Ok(Session::builder(environment)?
        .with_intra_threads(1)?
        .with_inter_threads(1)?
        .with_deterministic_compute(true)?
        .with_memory_pattern(false)?
        .with_log_level(LogLevel::Warning)?)
}

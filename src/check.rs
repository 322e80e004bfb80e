//! What a check is: it asks before the data and judges after it, and sees no file, clock, network or template.

use anyhow::Result;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::answers::Answers;
use crate::evidence::Evidence;
use crate::plan::Plan;
use crate::spec::problem::Problem;

/// A configured rule about a model. The implementing type is the configuration: its fields are the keys of the spec, its
/// doc comment is the page of the docs.
pub trait Check: DeserializeOwned + Serialize + JsonSchema + Send + Sync + 'static {
    /// The name in the spec and everywhere else: `drift.prediction`.
    const NAME: &'static str;
    /// What was asked, to be redeemed when the answers are there.
    type Asked: Send + 'static;

    /// The datasets that the check reads, each with the key of the spec that names it.
    fn datasets(&self) -> Vec<(&'static str, &str)>;

    /// Says what must be known.
    ///
    /// # Errors
    /// A [`Problem`] with the spec, or a broken world.
    fn ask(&self, plan: &mut Plan) -> Result<Self::Asked, Refusal>;

    /// Asks again where parameters come from the data. Most checks need not. It is called after each round of answers but
    /// the last, and does nothing once all is asked.
    ///
    /// # Errors
    /// As [`Check::ask`].
    fn ask_again(&self, _asked: &mut Self::Asked, _answers: &Answers, _plan: &mut Plan) -> Result<(), Refusal> {
        Ok(())
    }

    /// Says what the answers mean. Pure: equal answers give equal evidence.
    ///
    /// # Errors
    /// Only when an answer is not what was asked for: a broken world, never a bad model.
    fn judge(&self, asked: &Self::Asked, answers: &Answers) -> Result<Vec<Evidence>>;
}

/// Why a check cannot ask.
#[derive(Debug)]
pub enum Refusal {
    /// The spec is at fault.
    Spec(Problem),
    /// The world is.
    World(anyhow::Error),
    /// Nothing is: it compares with a baseline, of which there is none yet.
    FirstRelease,
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self::Spec(problem)
    }
}

impl From<anyhow::Error> for Refusal {
    fn from(error: anyhow::Error) -> Self {
        Self::World(error)
    }
}

/// A check that has been configured, of any kind.
pub trait Configured: Send + Sync {
    /// See [`Check::datasets`].
    fn datasets(&self) -> Vec<(&'static str, String)>;
    /// The configuration as JSON, its defaults written out.
    ///
    /// # Errors
    /// When it cannot be written as JSON.
    fn config(&self) -> serde_json::Result<Value>;
    /// See [`Check::ask`].
    ///
    /// # Errors
    /// As [`Check::ask`].
    fn ask(self: Box<Self>, plan: &mut Plan) -> Result<Box<dyn Asked>, Refusal>;
}

/// A check that has asked.
pub trait Asked: Send {
    /// See [`Check::ask_again`].
    ///
    /// # Errors
    /// As [`Check::ask`].
    fn ask_again(&mut self, answers: &Answers, plan: &mut Plan) -> Result<(), Refusal>;
    /// See [`Check::judge`].
    ///
    /// # Errors
    /// As [`Check::judge`].
    fn judge(&self, answers: &Answers) -> Result<Vec<Evidence>>;
}

struct Pending<C: Check> {
    check: C,
    asked: C::Asked,
}

impl<C: Check> Configured for C {
    fn datasets(&self) -> Vec<(&'static str, String)> {
        Check::datasets(self).into_iter().map(|(key, name)| (key, name.to_owned())).collect()
    }

    fn config(&self) -> serde_json::Result<Value> {
        serde_json::to_value(self)
    }

    fn ask(self: Box<Self>, plan: &mut Plan) -> Result<Box<dyn Asked>, Refusal> {
        let asked = Check::ask(&*self, plan)?;
        Ok(Box::new(Pending { check: *self, asked }))
    }
}

impl<C: Check> Asked for Pending<C> {
    fn ask_again(&mut self, answers: &Answers, plan: &mut Plan) -> Result<(), Refusal> {
        self.check.ask_again(&mut self.asked, answers, plan)
    }

    fn judge(&self, answers: &Answers) -> Result<Vec<Evidence>> {
        self.check.judge(&self.asked, answers)
    }
}

/// The static facts of a kind of check.
#[derive(Debug, Clone, Copy)]
pub struct Kind {
    /// The name in the spec.
    pub name: &'static str,
    /// The JSON Schema of the configuration; its description is the docs page.
    pub schema: fn(&mut SchemaGenerator) -> Schema,
    configure: fn(Value) -> serde_json::Result<Box<dyn Configured>>,
}

impl Kind {
    /// The facts of check `C`.
    #[must_use]
    pub const fn of<C: Check>() -> Self {
        Self { name: C::NAME, schema: C::json_schema, configure: configure::<C> }
    }

    /// A check of this kind with the given configuration.
    ///
    /// # Errors
    /// When the configuration does not fit the schema.
    pub fn configure(&self, config: Value) -> serde_json::Result<Box<dyn Configured>> {
        (self.configure)(config)
    }
}

fn configure<C: Check>(config: Value) -> serde_json::Result<Box<dyn Configured>> {
    Ok(Box::new(serde_json::from_value::<C>(config)?))
}

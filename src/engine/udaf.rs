//! The one aggregate: all summaries that are asked of a dataset, by all groupings, in one pass over its rows.
//!
//! A grouping costs a look at its key columns and a gathering of the inputs, and each summary is fed the rows of a group at
//! once. Where rows are also grouped by a column, what is asked of all rows is merged from the groups; and a summary that
//! merges at once is fed by several groupings together.
//!
//! The answer is the state: a list with an entry for each group and question, whatever the summaries are. So partial
//! results, results that travel and the answer have one form. The aggregate has no state of its own: its questions travel
//! as a trailing literal, canonical JSON, so that it can be found by name alone on another machine and `EXPLAIN` shows what
//! was asked.

use std::fmt::Debug;
use std::sync::Arc;

use anyhow::{Context, bail};
use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, LargeListArray, RecordBatch, StringArray, StructArray, UInt32Array,
};
use datafusion::arrow::buffer::OffsetBuffer;
use datafusion::arrow::compute::{cast, concat, take};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Fields, UInt32Type};
use datafusion::common::{DataFusionError, Result, ScalarValue, exec_datafusion_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::{AggregateOrderSensitivity, format_state_name};
use datafusion::logical_expr::{Accumulator, AggregateUDF, AggregateUDFImpl, Expr, Signature, Volatility, lit};
use datafusion::physical_expr::expressions::Literal;
use serde::{Deserialize, Serialize};

use super::table::{Parts, Table};
use super::together::{self, Together};
use super::waiting::{Gathered, Waiting};
use crate::summaries::{Frequencies, Moments, Presence, Quantiles, Ranks, Regions, Spread, Sums, Values, wire};
use crate::summary::Summary;

/// The name of the aggregate.
const NAME: &str = "mg_summaries";

/// What is asked of the rows. The arguments of the aggregate are the inputs, then the key columns of each grouping.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
pub(super) struct Questions {
    /// How many inputs there are.
    pub(super) inputs: usize,
    /// How the rows are grouped.
    pub(super) groupings: Vec<Keys>,
    /// What is asked.
    pub(super) questions: Vec<Question>,
}

/// What the rows of a group have in common.
#[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub(super) enum Keys {
    /// The values of so many columns; of none, all rows are one group.
    Columns(usize),
    /// That they meet a condition.
    Condition,
}

/// One summary that is asked.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
pub(super) struct Question {
    /// The name of the summary.
    pub(super) summary: String,
    /// Its parameters, as JSON.
    pub(super) params: String,
    /// The numbers of its inputs.
    pub(super) inputs: Vec<usize>,
    /// The numbers of its groupings.
    pub(super) groupings: Vec<usize>,
}

/// The state of one summary, of one group.
pub(super) struct Found {
    /// The number of the question.
    pub(super) question: usize,
    /// The number of the grouping.
    pub(super) grouping: usize,
    /// The key of the group.
    pub(super) key: String,
    /// The state, each array of length one.
    pub(super) state: Vec<ArrayRef>,
}

impl Keys {
    /// How many key columns there are.
    fn columns(self) -> usize {
        match self {
            Self::Columns(columns) => columns,
            Self::Condition => 1,
        }
    }
}

/// The call of the aggregate.
pub(super) fn call(questions: &Questions, mut arguments: Vec<Expr>) -> anyhow::Result<Expr> {
    let json = ScalarValue::Utf8(Some(serde_json::to_string(questions)?));
    // As a dictionary, it is not repeated for every row.
    arguments.push(lit(ScalarValue::Dictionary(Box::new(DataType::Int32), Box::new(json))));
    Ok(aggregate().call(arguments))
}

/// The aggregate.
pub(super) fn aggregate() -> AggregateUDF {
    AggregateUDF::new_from_impl(Summaries { signature: Signature::variadic_any(Volatility::Immutable) })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Summaries {
    signature: Signature,
}

impl AggregateUDFImpl for Summaries {
    fn name(&self) -> &str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(answer_type())
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        let literal = args.exprs.last().and_then(|expr| expr.downcast_ref::<Literal>()).map(Literal::value);
        let json = literal.and_then(ScalarValue::try_as_str).flatten();
        let json =
            json.ok_or_else(|| exec_datafusion_err!("{NAME} wants its questions as a last, literal argument"))?;
        let questions = serde_json::from_str(json).map_err(|error| DataFusionError::External(Box::new(error)))?;
        Ok(Box::new(Answering::new(questions).map_err(external)?))
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        Ok(vec![Arc::new(Field::new(format_state_name(args.name, "states"), answer_type(), false))])
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }
}

#[derive(Debug)]
struct Answering {
    questions: Questions,
    /// One for each grouping.
    tables: Vec<Table>,
    /// One for each question.
    answers: Vec<Box<dyn Answer>>,
    /// For each grouping, the questions that its rows are fed to.
    fed: Vec<Vec<usize>>,
    /// For each input, whether a grouping by keys needs it.
    is_kept: Vec<bool>,
    /// The rows that were not fed yet.
    waiting: Waiting,
    /// The most bytes that all of this took so far.
    most: usize,
}

impl Answering {
    fn new(questions: Questions) -> anyhow::Result<Self> {
        let table = |keys: &Keys| Table::new(if *keys == Keys::Condition { 0 } else { keys.columns() });
        let tables = questions.groupings.iter().map(table).collect();
        let answers = questions.questions.iter().map(answer).collect::<anyhow::Result<_>>()?;
        let fed = (0..questions.groupings.len()).map(|grouping| questions.fed(grouping)).collect::<Vec<_>>();
        let mut is_kept = vec![false; questions.inputs];
        for (fed, _) in fed.iter().zip(&questions.groupings).filter(|(_, kind)| **kind != Keys::Columns(0)) {
            let inputs = fed.iter().flat_map(|&question| &questions.questions[question].inputs);
            inputs.for_each(|&input| is_kept[input] = true);
        }
        Ok(Self { questions, tables, answers, fed, is_kept, waiting: Waiting::default(), most: 0 })
    }

    fn update(&mut self, arguments: &[ArrayRef]) -> anyhow::Result<()> {
        let rows = arguments.last().map_or(0, |argument| argument.len());
        let (inputs, mut keys) = arguments.split_at(self.questions.inputs);
        for grouping in 0..self.questions.groupings.len() {
            let kind = self.questions.groupings[grouping];
            let (own, others) = keys.split_at(kind.columns());
            keys = others;
            if rows == 0 || self.fed[grouping].is_empty() {
                continue;
            }
            let table = &mut self.tables[grouping];
            match kind {
                Keys::Columns(0) => {
                    let whole = Parts { order: None, groups: vec![(table.find("[]")?, 0, rows)] };
                    let inputs = inputs.iter().cloned().map(Some).collect::<Vec<_>>();
                    let questions = self.fed[grouping].clone();
                    self.feed(&questions, &Together::one(grouping, 1), &whole, &inputs)?;
                }
                Keys::Columns(_) => self.waiting.group(grouping, table.numbers(own, rows)?),
                Keys::Condition => self.waiting.group(grouping, table.met(&own[0])?),
            }
        }
        self.waiting.push(inputs, &self.is_kept, rows);
        if self.waiting.is_full() { self.feed_waiting() } else { Ok(()) }
    }

    /// Feeds the rows that wait: by each grouping, or by several together to summaries that merge at once.
    fn feed_waiting(&mut self) -> anyhow::Result<()> {
        let Gathered { inputs, numbers } = self.waiting.gather()?;
        let rows = numbers.iter().map(Vec::len).max().unwrap_or(0);
        let used = (0..numbers.len()).filter(|&grouping| !numbers[grouping].is_empty());
        let groups = used.map(|grouping| (grouping, self.tables[grouping].len() as u32)).collect::<Vec<_>>();
        let alone = groups.iter().map(|&(grouping, groups)| Together::one(grouping, groups));
        for (together, is_quick) in
            alone.map(|one| (one, false)).chain(together::of(&groups, rows).into_iter().map(|several| (several, true)))
        {
            let questions = self.fed_by(&together, is_quick);
            if !questions.is_empty() {
                self.feed(&questions, &together, &together.parts(&numbers), &inputs)?;
            }
        }
        Ok(())
    }

    /// The questions that any of these groupings feeds, those whose summaries merge at once or the others.
    fn fed_by(&self, together: &Together, is_quick: bool) -> Vec<usize> {
        let is_fed = |question: &usize| together.groupings().any(|grouping| self.fed[grouping].contains(question));
        let is_meant = |question: &usize| self.answers[*question].merges_at_once() == is_quick && is_fed(question);
        (0..self.answers.len()).filter(is_meant).collect()
    }

    /// Feeds rows to the summaries of their groups.
    fn feed(
        &mut self,
        questions: &[usize],
        together: &Together,
        parts: &Parts,
        inputs: &[Option<ArrayRef>],
    ) -> anyhow::Result<()> {
        let mut columns = vec![None; inputs.len()];
        for &input in questions.iter().flat_map(|&question| &self.questions.questions[question].inputs) {
            columns[input] = match (&columns[input], &inputs[input], &parts.order) {
                (None, Some(input), Some(order)) => Some(take(input, order, None)?),
                (None, input, _) => input.clone(),
                (gathered, ..) => gathered.clone(),
            };
        }
        for &question in questions {
            let is_fed = |(grouping, _): &(usize, u32)| self.fed[*grouping].contains(&question);
            for &(number, start, count) in &parts.groups {
                let groups = together.groups(number).filter(is_fed).collect::<Vec<_>>();
                if groups.is_empty() {
                    continue;
                }
                let column = |input: &usize| columns[*input].as_ref().map(|column| column.slice(start, count));
                let columns = self.questions.questions[question].inputs.iter().filter_map(column).collect::<Vec<_>>();
                self.answers[question].update(&groups, &columns)?;
            }
        }
        Ok(())
    }

    fn merge(&mut self, states: &ArrayRef) -> anyhow::Result<()> {
        for row in 0..states.len() {
            for Found { question, grouping, key, state } in found(states, row)? {
                let table = self.tables.get_mut(grouping).context("a state of another grouping")?;
                let answer = self.answers.get_mut(question).context("a state of another question")?;
                answer.merge(grouping, table.find(&key)?, &state)?;
            }
        }
        Ok(())
    }

    fn weigh(&mut self) {
        let answers = self.answers.iter().map(|answer| answer.size()).sum::<usize>();
        let tables = self.tables.iter().map(Table::size).sum::<usize>();
        self.most = self.most.max(size_of::<Self>() + answers + tables + self.waiting.size());
    }

    /// Makes what is asked of all rows from the groups.
    fn complete(&mut self) -> anyhow::Result<()> {
        self.feed_waiting()?;
        for (number, question) in self.questions.questions.iter().enumerate() {
            for &grouping in &question.groupings {
                if let Some(from) = self.questions.merged_from(question, grouping)
                    && self.tables[from].len() > 0
                {
                    let group = self.tables[grouping].find("[]")?;
                    self.answers[number].merge_groups(from, grouping, group);
                }
            }
        }
        Ok(())
    }

    fn write(&self) -> anyhow::Result<LargeListArray> {
        let (mut numbers, mut groupings, mut keys, mut states) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for (number, (question, answer)) in self.questions.questions.iter().zip(&self.answers).enumerate() {
            for &grouping in &question.groupings {
                for group in 0..answer.groups(grouping) {
                    numbers.push(number as u32);
                    groupings.push(grouping as u32);
                    keys.push(self.tables[grouping].key(group)?);
                    states.push(answer.write(grouping, group));
                }
            }
        }
        let lengths = states.iter().map(Vec::len).collect::<Vec<_>>();
        let lists = states.iter().flatten().map(AsRef::as_ref).collect::<Vec<&dyn Array>>();
        let lists = if lists.is_empty() { wire::none() } else { concat(&lists)? };
        let states = LargeListArray::new(list_of_integers(), OffsetBuffer::from_lengths(lengths), lists, None);
        let columns: Vec<ArrayRef> = vec![
            Arc::new(UInt32Array::from(numbers)),
            Arc::new(UInt32Array::from(groupings)),
            Arc::new(StringArray::from(keys)),
            Arc::new(states),
        ];
        let rows = columns[0].len();
        let entries = StructArray::new(entry_fields(), columns, None);
        Ok(LargeListArray::new(entry(), OffsetBuffer::from_lengths([rows]), Arc::new(entries), None))
    }
}

impl Questions {
    /// The questions that the rows of a grouping are fed to: not those whose answer is merged from another's groups.
    fn fed(&self, grouping: usize) -> Vec<usize> {
        let is_fed = |question: &Question| {
            question.groupings.contains(&grouping) && self.merged_from(question, grouping).is_none()
        };
        (0..self.questions.len()).filter(|&question| is_fed(&self.questions[question])).collect()
    }

    /// The grouping whose groups have every row in just one, where a question about all rows has one.
    fn merged_from(&self, question: &Question, grouping: usize) -> Option<usize> {
        let columns = |grouping: &&usize| matches!(self.groupings[**grouping], Keys::Columns(1..));
        let is_all = self.groupings[grouping] == Keys::Columns(0);
        question.groupings.iter().find(columns).copied().filter(|_| is_all)
    }
}

impl Accumulator for Answering {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.update(values).map_err(external)?;
        self.weigh();
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        self.complete().map_err(external)?;
        Ok(ScalarValue::LargeList(Arc::new(self.write().map_err(external)?)))
    }

    /// DataFusion adds up by how much this grows with each batch, and takes nothing off where it shrinks. So it never shrinks.
    fn size(&self) -> usize {
        self.most
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        self.feed_waiting().map_err(external)?;
        Ok(vec![ScalarValue::LargeList(Arc::new(self.write().map_err(external)?))])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        states.iter().try_for_each(|states| self.merge(states)).map_err(external)?;
        self.weigh();
        Ok(())
    }
}

/// The summaries of one question, by grouping and group.
trait Answer: Debug + Send + Sync {
    /// Whether rows may be fed by several groupings together.
    fn merges_at_once(&self) -> bool;
    /// Takes in rows that are in one group of each of some groupings.
    fn update(&mut self, groups: &[(usize, u32)], columns: &[ArrayRef]) -> anyhow::Result<()>;
    fn merge(&mut self, grouping: usize, group: u32, state: &[ArrayRef]) -> anyhow::Result<()>;
    /// Puts all groups of one grouping together as a group of another.
    fn merge_groups(&mut self, from: usize, grouping: usize, group: u32);
    /// How many groups of a grouping are known.
    fn groups(&self, grouping: usize) -> usize;
    fn write(&self, grouping: usize, group: usize) -> Vec<ArrayRef>;
    fn size(&self) -> usize;
}

#[derive(Debug)]
struct SummaryAnswer<S: Summary> {
    params: S::Params,
    groups: Vec<Vec<S>>,
}

impl<S: Summary> SummaryAnswer<S> {
    fn boxed(params: &str) -> anyhow::Result<Box<dyn Answer>> {
        let params = serde_json::from_str(params).with_context(|| format!("the parameters of `{}`", S::NAME))?;
        Ok(Box::new(Self { params, groups: Vec::new() }))
    }

    fn group(groups: &mut Vec<Vec<S>>, grouping: usize, group: u32) -> &mut S {
        let group = group as usize;
        groups.resize_with(groups.len().max(grouping + 1), Vec::new);
        let groups = &mut groups[grouping];
        groups.resize_with(groups.len().max(group + 1), S::default);
        &mut groups[group]
    }
}

impl<S: Summary> Answer for SummaryAnswer<S> {
    fn merges_at_once(&self) -> bool {
        S::merges_at_once(&self.params)
    }

    fn update(&mut self, groups: &[(usize, u32)], columns: &[ArrayRef]) -> anyhow::Result<()> {
        if let &[(grouping, group)] = groups {
            return Self::group(&mut self.groups, grouping, group).update(&self.params, columns);
        }
        let mut rows = S::default();
        rows.update(&self.params, columns)?;
        for &(grouping, group) in groups {
            Self::group(&mut self.groups, grouping, group).merge(rows.clone());
        }
        Ok(())
    }

    fn merge(&mut self, grouping: usize, group: u32, state: &[ArrayRef]) -> anyhow::Result<()> {
        Self::group(&mut self.groups, grouping, group).merge(S::read(state, 0)?);
        Ok(())
    }

    fn merge_groups(&mut self, from: usize, grouping: usize, group: u32) {
        let mut all = S::default();
        self.groups.get(from).into_iter().flatten().for_each(|summary| all.merge(summary.clone()));
        *Self::group(&mut self.groups, grouping, group) = all;
    }

    fn groups(&self, grouping: usize) -> usize {
        self.groups.get(grouping).map_or(0, Vec::len)
    }

    fn write(&self, grouping: usize, group: usize) -> Vec<ArrayRef> {
        self.groups[grouping][group].write()
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.groups.iter().flatten().map(Summary::size).sum::<usize>()
    }
}

macro_rules! answers {
    ($($summary:ident),*) => {
        /// The answer to a question, of the summary with its name.
        fn answer(question: &Question) -> anyhow::Result<Box<dyn Answer>> {
            match question.summary.as_str() {
                $(<$summary as Summary>::NAME => SummaryAnswer::<$summary>::boxed(&question.params),)*
                name => bail!("there is no summary `{name}`"),
            }
        }
    };
}
crate::for_every_summary!(answers);

/// What the aggregate has found, from its answer.
pub(super) fn answers(batches: &[RecordBatch], column: &str) -> anyhow::Result<Vec<Found>> {
    let columns = batches.iter().filter_map(|batch| batch.column_by_name(column));
    let rows = columns.flat_map(|column| (0..column.len()).map(move |row| found(column, row)));
    Ok(rows.collect::<anyhow::Result<Vec<_>>>()?.into_iter().flatten().collect())
}

/// The entries of a state. Arrow Flight, which carries what travels on a cluster, hands on a large list as a list
/// (`prepare_field_for_flight` in arrow-flight 59.3).
fn found(states: &ArrayRef, row: usize) -> anyhow::Result<Vec<Found>> {
    let states = &if *states.data_type() == answer_type() { Arc::clone(states) } else { cast(states, &answer_type())? };
    let entries = states.as_list_opt::<i64>().context("an answer is not a list of states")?.value(row);
    let entries = entries.as_struct_opt().context("an answer is not a list of states")?;
    let number =
        |column: usize| entries.column(column).as_primitive_opt::<UInt32Type>().context("a state without place");
    let (questions, groupings) = (number(0)?, number(1)?);
    let keys = entries.column(2).as_string_opt::<i32>().context("a state without a key")?;
    let states = entries.column(3).as_list_opt::<i64>().context("a state that is not a list")?;
    let entry = |entry: usize| {
        let lists = states.value(entry);
        Found {
            question: questions.value(entry) as usize,
            grouping: groupings.value(entry) as usize,
            key: keys.value(entry).to_owned(),
            state: (0..lists.len()).map(|list| lists.slice(list, 1)).collect(),
        }
    };
    Ok((0..entries.len()).map(entry).collect())
}

fn answer_type() -> DataType {
    DataType::LargeList(entry())
}

fn entry() -> FieldRef {
    Arc::new(Field::new("item", DataType::Struct(entry_fields()), false))
}

fn entry_fields() -> Fields {
    let number = |name: &str| Field::new(name, DataType::UInt32, false);
    let states = Field::new("state", DataType::LargeList(list_of_integers()), false);
    Fields::from(vec![number("question"), number("grouping"), Field::new("key", DataType::Utf8, false), states])
}

fn list_of_integers() -> FieldRef {
    Arc::new(Field::new("item", wire::none().data_type().clone(), false))
}

fn external(error: anyhow::Error) -> DataFusionError {
    DataFusionError::External(error.into())
}

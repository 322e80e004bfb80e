//! What checks that judge scores have in common: how they ask for a metric and how they compare it with a limit.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Result, bail, ensure};

use crate::answers::{Answers, Groups};
use crate::check::Refusal;
use crate::evidence::{Estimate, Evidence, Finding, Limits, Subject};
use crate::measure::{self, Answer, measure};
use crate::plan::{DECISION, Expression, Grouping, Input, Noise, Plan, SCORE, Ticket};
use crate::score::Judged;
use crate::spec::no_column;
use crate::spec::problem::{Path, Problem, nearest, quoted};
use crate::spec::written::{AllOrNone, Policy, Slices, Task, Threshold, ThresholdPerModel, ThresholdShare};
use crate::stats::measurement::Measurement;
use crate::stats::metric::{Family, Metric, Source};
use crate::stats::undefined::Undefined;
use crate::summaries::rows::{self, RowCounts};
use crate::summaries::{Moments, RankParams, Ranks, Sums};
use crate::target::Side;

mod margin;

pub(super) use margin::{Margin, alarm, compare};

/// The dataset that a check reads unless told otherwise.
pub(super) fn test() -> String {
    "test".to_owned()
}

/// A model's score, clean or with disturbed features.
pub(super) type ScoreOf = (Side, Option<Noise>);

/// Rows with a label and scores: how they are fed to a summary, and who gave the scores.
#[derive(Debug, Clone)]
pub(super) struct Rows {
    pub(super) dataset: String,
    params: rows::Columns,
    inputs: Vec<Input>,
    models: Vec<Model>,
    policy: Policy,
}

/// Whose score stands in a column.
#[derive(Debug, Clone)]
struct Model {
    side: Side,
    noise: Option<Noise>,
    live: bool,
}

impl Rows {
    /// The label and the given scores of a dataset, clustered by entity where the spec names one.
    pub(super) fn new(plan: &Plan<'_>, dataset: &str, label: Input, scores: &[ScoreOf]) -> Result<Self, Refusal> {
        let columns = plan.columns();
        let roles = Path::root().key("columns");
        label_column(plan, dataset, &columns.label, &roles.key("label"))?;
        let mut inputs = vec![label];
        let mut models = Vec::new();
        for (side, noise) in scores {
            models.push(model(plan, dataset, *side, noise.clone())?);
            let score = |output| Input::Score { side: *side, noise: noise.clone(), output };
            inputs.extend((0..plan.model().outputs()).map(score));
        }
        if let Some(entity) = &columns.entity {
            column(plan, dataset, entity, &roles.key("entity"))?;
            inputs.push(Input::Entity);
        }
        if let Some(weight) = &columns.weight {
            number_column(plan, dataset, weight, &roles.key("weight"))?;
            inputs.push(Input::Weight);
        }
        if let Some(group) = &columns.group {
            column(plan, dataset, group, &roles.key("group"))?;
            inputs.push(Input::Group);
        }
        let params = rows::Columns {
            task: task(plan, scores),
            scores: scores.len(),
            clustered: columns.entity.is_some(),
            weighted: columns.weight.is_some(),
            grouped: columns.group.is_some(),
        };
        Ok(Self { dataset: dataset.to_owned(), params, inputs, models, policy: plan.policy().clone() })
    }

    /// The clean scores of both models: the baseline's first.
    pub(super) fn of_both(plan: &Plan<'_>, dataset: &str) -> Result<Self, Refusal> {
        Self::new(plan, dataset, Input::Label, &[(Side::Baseline, None), (Side::Candidate, None)])
    }

    /// Asks for the joint moments of the scores.
    fn moments(&self, plan: &mut Plan<'_>, groupings: &[Grouping]) -> Result<Ticket<Moments>> {
        plan.summarise(&self.dataset, &self.params, self.inputs.clone(), groupings)
    }

    /// Asks for the scores themselves, in order.
    pub(super) fn ranks(&self, plan: &mut Plan<'_>, groupings: &[Grouping]) -> Result<Ticket<Ranks>> {
        plan.summarise(&self.dataset, &RankParams::exact(self.params.clone()), self.inputs.clone(), groupings)
    }

    /// Asks for the scores in order, in cells where they are too many.
    pub(super) fn binned(&self, plan: &mut Plan<'_>, groupings: &[Grouping]) -> Result<Ticket<Ranks>> {
        plan.summarise(&self.dataset, &RankParams::binned(self.params.clone()), self.inputs.clone(), groupings)
    }

    /// Asks for what a metric needs.
    pub(super) fn metric(&self, plan: &mut Plan<'_>, metric: &Metric, groupings: &[Grouping]) -> Result<MetricTicket> {
        if let Metric::Ratio { numerator, denominator, .. } = metric {
            let ticket = self.sums(plan, [numerator, denominator], groupings)?;
            let what = format!("an expression of {} on dataset {}", quoted(&metric.name()), quoted(&self.dataset));
            return Ok(MetricTicket::Sums(ticket, self.params.clone(), what));
        }
        Ok(match metric.source() {
            Source::Moments if Moments::can_hold(&self.params) => MetricTicket::Moments(self.moments(plan, groupings)?),
            _ if metric.can_be_binned() => MetricTicket::Ranks(self.binned(plan, groupings)?, self.params.clone()),
            Source::Moments | Source::Ranks | Source::Sums => {
                MetricTicket::Ranks(self.ranks(plan, groupings)?, self.params.clone())
            }
        })
    }

    /// Asks for the sums of what is above and below the line of a ratio.
    fn sums(&self, plan: &mut Plan<'_>, parts: [&String; 2], groupings: &[Grouping]) -> Result<Ticket<Sums>> {
        let mut inputs = self.inputs.clone();
        for (number, model) in self.models.iter().enumerate() {
            let threshold = threshold(&self.params.task, number);
            inputs.extend(parts.map(|expression| Input::Sql {
                expression: expression.clone(),
                side: model.side,
                noise: model.noise.clone(),
                threshold,
            }));
        }
        plan.summarise(&self.dataset, &self.params, inputs, groupings)
    }

    /// What the columns hold, and the columns, for a summary that takes every row for itself.
    pub(super) fn without_clusters(&self) -> (rows::Columns, Vec<Input>) {
        let params = rows::Columns { clustered: false, ..self.params.clone() };
        let inputs = self.inputs.iter().filter(|input| **input != Input::Entity).cloned().collect();
        (params, inputs)
    }

    /// Asks for the decisions.
    pub(super) fn decisions(&self, plan: &mut Plan<'_>) -> Result<MetricTicket> {
        self.metric(plan, &Metric::PositiveRate, &[Grouping::All])
    }

    /// What the columns hold.
    pub(super) fn columns(&self) -> &rows::Columns {
        &self.params
    }

    /// The level of a one-sided interval.
    pub(super) fn level(&self) -> f64 {
        self.policy.false_ship
    }

    /// What stands in the way of any claim about these rows.
    ///
    /// # Errors
    /// When the data itself is broken: labels outside the task, scores in the data that are no numbers.
    pub(super) fn obstacle(&self, slice: &Grouping, counts: &RowCounts, positives: u64) -> Result<Option<Finding>> {
        if let Some(obstacle) = self.obstacle_to_scores(slice, counts)? {
            return Ok(Some(obstacle));
        }
        let few_groups = || self.too_few_groups(counts, positives);
        let short = self.too_few_of_a_class(counts, positives).or_else(few_groups);
        Ok(short.map(|(reason, missing)| unsettled(slice, reason, missing)))
    }

    /// What stands in the way of a claim about scores alone, whatever the labels are.
    ///
    /// # Errors
    /// As [`Rows::obstacle`].
    pub(super) fn obstacle_to_scores(&self, slice: &Grouping, counts: &RowCounts) -> Result<Option<Finding>> {
        self.refuse_bad_labels(counts)?;
        self.refuse_bad_weights(counts)?;
        self.refuse_missing_groups(counts)?;
        for (number, model) in self.models.iter().enumerate() {
            if let Some(defect) = self.defect(model, number, counts)? {
                return Ok(Some(defect));
            }
        }
        Ok(self.too_few_rows(slice, counts))
    }

    fn refuse_bad_labels(&self, counts: &RowCounts) -> Result<()> {
        if counts.bad_labels == 0 {
            return Ok(());
        }
        let example = counts.bad_label().map_or_else(String::new, |label| format!(", such as {label}"));
        let allowed = match self.params.task {
            rows::Task::Binary { .. } => "a binary task has labels 0 and 1",
            rows::Task::Multiclass { .. } => "a multiclass task has the labels of `model.classes`",
            rows::Task::Regression => "a regression has finite labels",
            rows::Task::Ranking => "a ranking has relevances of at least 0",
        };
        bail!("dataset `{}` has {} labels outside the task{example}: {allowed}", self.dataset, counts.bad_labels)
    }

    fn refuse_bad_weights(&self, counts: &RowCounts) -> Result<()> {
        let (bad, dataset) = (counts.bad_weights, &self.dataset);
        ensure!(
            bad == 0,
            "dataset `{dataset}` has {bad} rows whose `columns.weight` is missing, negative or not finite"
        );
        Ok(())
    }

    fn refuse_missing_groups(&self, counts: &RowCounts) -> Result<()> {
        let (missing, dataset) = (counts.ungrouped, &self.dataset);
        ensure!(missing == 0, "dataset `{dataset}` has {missing} rows without a group: a ranking is of rows in groups");
        Ok(())
    }

    fn defect(&self, model: &Model, number: usize, counts: &RowCounts) -> Result<Option<Finding>> {
        let count = |counts: &[i64]| counts.get(number).copied().unwrap_or(0);
        let (missing, not_finite, outside) =
            (count(&counts.missing), count(&counts.not_finite), count(&counts.out_of_range));
        let side = model.side;
        if !model.live && not_finite + outside > 0 {
            bail!(
                "the scores of the {side} for dataset `{}` are broken: {not_finite} are not finite, {outside} are {}; \
                 {}",
                self.dataset,
                self.outside(),
                if self.is_multiclass() {
                    format!("a multiclass task needs probabilities that sum to 1, to {}", rows::SUM_TOLERANCE)
                } else {
                    "a binary task needs probabilities".to_owned()
                }
            );
        }
        let reason = match (missing, not_finite, outside) {
            (0, 0, 0) => return Ok(None),
            (missing, 0, 0) => format!("the {side} gave no score for {missing} of {} rows", counts.rows),
            (_, 0, outside) => format!("the {side} scored {outside} of {} rows {}", counts.rows, self.outside()),
            (_, bad, _) => format!("the {side} scored {bad} of {} rows as not finite", counts.rows),
        };
        Ok(Some(match side {
            Side::Candidate => Finding::Fact { holds: false, reason: Some(reason) },
            Side::Baseline => Finding::Undecided { reason, needs_rows: None },
        }))
    }

    fn is_multiclass(&self) -> bool {
        matches!(self.params.task, rows::Task::Multiclass { .. })
    }

    fn outside(&self) -> &'static str {
        if self.is_multiclass() { "outside 0 to 1, or not 1 in sum" } else { "outside 0 to 1" }
    }

    fn too_few_rows(&self, slice: &Grouping, counts: &RowCounts) -> Option<Finding> {
        let (used, least) = (used(counts), self.policy.min_rows);
        let reason = match used {
            0 => "no usable rows".to_owned(),
            few if few < least => format!("too few rows: {few}, at least {least} needed"),
            _ => return None,
        };
        Some(unsettled(slice, reason, Some(least - used)))
    }

    fn too_few_of_a_class(&self, counts: &RowCounts, positives: u64) -> Option<(String, Option<u64>)> {
        let used = used(counts);
        let classes = match self.params.task {
            rows::Task::Binary { .. } => {
                vec![("positives", positives), ("negatives", used.saturating_sub(positives))]
            }
            rows::Task::Multiclass { .. } => vec![("rows of the rarest class", positives)],
            rows::Task::Regression | rows::Task::Ranking => return None,
        };
        let least = self.policy.min_positives;
        classes.into_iter().find(|(_, found)| *found < least).map(|(what, found)| {
            // At the share seen so far, so many more rows bring the rest.
            let rows = (found > 0).then(|| (least - found) * used.div_ceil(found));
            (format!("too few {what}: {found}, at least {least} needed"), rows)
        })
    }

    /// The groups of a ranking are what varies, so it is they that must be many.
    fn too_few_groups(&self, counts: &RowCounts, groups: u64) -> Option<(String, Option<u64>)> {
        let (used, least) = (used(counts), self.policy.min_rows);
        let rows = (groups > 0).then(|| least.saturating_sub(groups) * used.div_ceil(groups));
        let reason = format!("too few groups with a relevant row: {groups}, at least {least} needed");
        (self.params.task == rows::Task::Ranking && groups < least).then_some((reason, rows))
    }
}

fn used(counts: &RowCounts) -> u64 {
    u64::try_from(counts.used).unwrap_or(0)
}

/// Values that happen to be rare are listed as not tested; what the spec names must be decided.
fn unsettled(slice: &Grouping, reason: String, missing: Option<u64>) -> Finding {
    match slice {
        Grouping::By(_) | Grouping::Windows(_) => Finding::NotTested { reason },
        Grouping::All | Grouping::Where { .. } => undecided_by(reason, missing),
    }
}

fn task(plan: &Plan<'_>, scores: &[ScoreOf]) -> rows::Task {
    match plan.model().task {
        Task::Binary => {
            rows::Task::Binary { threshold: thresholds(plan.model().threshold.unwrap_or_default(), scores) }
        }
        Task::Multiclass => rows::Task::Multiclass { classes: plan.model().class_names() },
        Task::Regression => rows::Task::Regression,
        Task::Ranking => rows::Task::Ranking,
    }
}

fn thresholds(written: Threshold, scores: &[ScoreOf]) -> rows::Threshold {
    let from = |candidate: f64, baseline: f64| {
        let of = |side: &Side| if *side == Side::Candidate { candidate } else { baseline };
        rows::Threshold::From(scores.iter().map(|(side, _)| of(side)).collect())
    };
    match written {
        Threshold::One(threshold) => from(threshold, threshold),
        Threshold::PerModel(ThresholdPerModel { candidate, baseline }) => from(candidate, baseline),
        Threshold::TopShare(ThresholdShare { share }) => rows::Threshold::TopShare(share),
    }
}

/// A model that a check needs.
pub(super) fn judged<'p>(plan: &'p Plan<'_>, side: Side) -> Result<&'p Judged, Refusal> {
    match (plan.target().judged(side), &plan.target().choice.first_release) {
        (Some(judged), _) => Ok(judged),
        (None, Some(_)) => Err(Refusal::FirstRelease),
        (None, None) => {
            let problem =
                Problem::key(plan.here(), format!("this check compares with a {side}, and the spec has none"));
            Err(problem.remedy(format!("add `{side}:` beside `candidate:`")).into())
        }
    }
}

fn model(plan: &Plan<'_>, dataset: &str, side: Side, noise: Option<Noise>) -> Result<Model, Refusal> {
    let judged = judged(plan, side)?;
    if let crate::score::Scorer::Columns(scores) = &judged.scorer {
        let at = Path::root().key(&side.to_string());
        for (index, score) in scores.iter().enumerate() {
            let is_list = plan.model().task == Task::Multiclass;
            let at = if is_list { at.key("columns").index(index) } else { at.key("column") };
            number_column(plan, dataset, score, &at)?;
        }
    }
    Ok(Model { side, noise, live: judged.is_live() })
}

/// A column that a dataset must have.
pub(super) fn column<'p>(
    plan: &'p Plan<'_>,
    dataset: &str,
    name: &str,
    at: &Path,
) -> Result<&'p arrow::datatypes::DataType, Refusal> {
    let schema = &plan.target().dataset(dataset)?.schema;
    if let Ok(field) = schema.field_with_name(name) {
        return Ok(field.data_type());
    }
    Err(no_column(at, dataset, name, schema).into())
}

/// A column of numbers, or in a multiclass task of classes.
fn label_column(plan: &Plan<'_>, dataset: &str, name: &str, at: &Path) -> Result<(), Refusal> {
    if plan.model().task != Task::Multiclass {
        return number_column(plan, dataset, name, at);
    }
    let kind = column(plan, dataset, name, at)?;
    let mut values = kind;
    while let arrow::datatypes::DataType::Dictionary(_, inner) = values {
        values = inner;
    }
    if values.is_numeric() || values.is_string() || *values == arrow::datatypes::DataType::Boolean {
        return Ok(());
    }
    let message = format!("column {} of dataset {} holds {kind}, which are no classes", quoted(name), quoted(dataset));
    Err(Problem::value(at, message).remedy("write texts, whole numbers or truth values to the Parquet file").into())
}

fn number_column(plan: &Plan<'_>, dataset: &str, name: &str, at: &Path) -> Result<(), Refusal> {
    let kind = column(plan, dataset, name, at)?;
    if kind.is_numeric() || *kind == arrow::datatypes::DataType::Boolean {
        return Ok(());
    }
    let message =
        format!("column {} of dataset {} holds {kind}, where a number is needed", quoted(name), quoted(dataset));
    Err(Problem::value(at, message).remedy("write numbers to the Parquet file, for classes 0 and 1").into())
}

/// The score from which on a model decides for 1, where that is known beforehand.
fn threshold(task: &rows::Task, model: usize) -> Option<f64> {
    match task {
        rows::Task::Binary { threshold: rows::Threshold::From(thresholds) } => thresholds.get(model).copied(),
        _ => None,
    }
}

/// Refuses a metric of another task, and has the expressions of a ratio looked at.
pub(super) fn metric_fits(plan: &mut Plan<'_>, metric: &Metric, dataset: &str) -> Result<(), Refusal> {
    let family = match plan.model().task {
        Task::Binary => Family::Binary,
        Task::Multiclass => Family::Multiclass,
        Task::Regression => Family::Regression,
        Task::Ranking => Family::Ranking,
    };
    if metric.families().contains(&family) {
        will_evaluate(plan, metric, dataset);
        return parameters_fit(plan, metric);
    }
    let problem =
        Problem::value(&plan.at("metric"), format!("{} is not a metric of this task", quoted(&metric.name())));
    Err(problem.remedy("`modelgate explain performance.metric` says which metrics are of which task").into())
}

fn will_evaluate(plan: &mut Plan<'_>, metric: &Metric, dataset: &str) {
    let Metric::Ratio { numerator, denominator, .. } = metric else { return };
    let mut names = vec![SCORE];
    names.extend(threshold(&task(plan, &[(Side::Candidate, None)]), 0).map(|_| DECISION));
    for (key, text) in [("numerator", numerator), ("denominator", denominator)] {
        let at = plan.at("metric").key("ratio").key(key);
        let (dataset, text) = (dataset.to_owned(), text.clone());
        plan.will_evaluate(Expression { at, dataset, text, names: names.clone() });
    }
}

/// Refuses parameters of a metric that mean nothing for the classes of the model.
fn parameters_fit(plan: &Plan<'_>, metric: &Metric) -> Result<(), Refusal> {
    let (at, classes) = (plan.at("metric"), plan.model().class_names());
    match metric {
        Metric::ClassPrecision { class } | Metric::ClassRecall { class } | Metric::ClassF1 { class }
            if !classes.contains(class) =>
        {
            let message = format!("{} is no class of `model.classes`", quoted(class));
            let remedy = match nearest(class, classes.iter().map(String::as_str)) {
                Some(near) => format!("did you mean `{near}`?"),
                None => {
                    format!("there are {}", classes.iter().map(|class| quoted(class)).collect::<Vec<_>>().join(", "))
                }
            };
            let name = metric.name();
            let at = at.key(name.split('(').next().unwrap_or_default()).key("class");
            Err(Problem::value(&at, message).remedy(remedy).into())
        }
        Metric::TopKAccuracy { k } if usize::try_from(*k).is_ok_and(|k| k >= classes.len()) => {
            let message = format!("the label is always among {k} of {} classes", classes.len());
            let problem = Problem::value(&at.key("top_k_accuracy").key("k"), message);
            Err(problem.remedy(format!("write at most {}", classes.len().saturating_sub(1))).into())
        }
        _ => Ok(()),
    }
}

/// The groups that a check makes claims about: all rows, and the slices that it asks for.
pub(super) fn groupings(plan: &Plan<'_>, slices: &Slices) -> Result<Vec<Grouping>, Refusal> {
    let declared: Vec<Grouping> = plan.target().spec.groupings();
    let mut chosen = vec![Grouping::All];
    match slices {
        Slices::Unset | Slices::Named(AllOrNone::None) => {}
        Slices::Named(AllOrNone::All) => chosen.extend(declared),
        Slices::Some(names) => {
            for (index, name) in names.iter().enumerate() {
                let found = declared.iter().find(|grouping| grouping.to_string() == *name);
                let known: Vec<_> = declared.iter().map(ToString::to_string).collect();
                chosen.push(found.cloned().ok_or_else(|| unknown_slice(plan, index, name, &known))?);
            }
        }
    }
    Ok(chosen)
}

fn unknown_slice(plan: &Plan<'_>, index: usize, name: &str, known: &[String]) -> Problem {
    let at = plan.at("slices").index(index);
    let problem = Problem::value(&at, format!("slice {} is not declared", quoted(name)));
    problem.remedy(match nearest(name, known.iter().map(String::as_str)) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "declare it below `slices`".to_owned(),
    })
}

/// Redeems the summary that a metric needs.
#[derive(Debug)]
pub(super) enum MetricTicket {
    Moments(Ticket<Moments>),
    Ranks(Ticket<Ranks>, rows::Columns),
    /// With what is summed, for a message.
    Sums(Ticket<Sums>, rows::Columns, String),
}

/// A summary of scored rows, and what was measured of it.
#[derive(Debug, Clone)]
pub(super) struct Sample {
    summary: ScoredRows,
    measured: Arc<Measured>,
}

#[derive(Debug, Clone)]
enum ScoredRows {
    Moments(Arc<Moments>),
    Ranks(Arc<Ranks>, rows::Columns),
    Sums(Arc<Sums>, rows::Columns),
}

/// The measurements of a group, by metric and by the bits of the weights of the models. Claims about the same rows that
/// differ only in their limits share them.
type Measured = Mutex<BTreeMap<(String, Vec<u64>), Result<Measurement, Undefined>>>;

/// The measurements of an ask by group.
type MeasuredGroups = Mutex<BTreeMap<(Grouping, String), Arc<Measured>>>;

impl MetricTicket {
    /// The samples of a grouping by name.
    pub(super) fn samples(&self, answers: &Answers, grouping: &Grouping) -> Result<Vec<(String, Sample)>> {
        let (ask, summaries) = match self {
            Self::Moments(ticket) => (ticket.ask, wrap(&*answers.summary(ticket)?, grouping, ScoredRows::Moments)),
            Self::Ranks(ticket, columns) => {
                let ranks = |ranks| ScoredRows::Ranks(ranks, columns.clone());
                (ticket.ask, wrap(&*answers.summary(ticket)?, grouping, ranks))
            }
            Self::Sums(ticket, columns, what) => {
                let groups = answers.summary(ticket)?;
                groups.of(grouping).iter().try_for_each(|(_, sums)| refuse_unknown_values(sums, what))?;
                (ticket.ask, wrap(&*groups, grouping, |sums| ScoredRows::Sums(sums, columns.clone())))
            }
        };
        let measured = answers.made_of(ask, || Ok(MeasuredGroups::default()))?;
        let sample = |(name, summary): (String, ScoredRows)| {
            let mut groups = measured.lock().unwrap_or_else(PoisonError::into_inner);
            let measured = Arc::clone(groups.entry((grouping.clone(), name.clone())).or_default());
            (name, Sample { summary, measured })
        };
        Ok(summaries.into_iter().map(sample).collect())
    }
}

/// Refuses rows on which an expression of a ratio gives no number: nobody knows what they would count.
fn refuse_unknown_values(sums: &Sums, what: &str) -> Result<()> {
    let unknown = sums.undefined().iter().copied().max().unwrap_or(0);
    ensure!(
        unknown == 0,
        "{what} is null or not finite on {unknown} rows: write what such a row counts, as in COALESCE(..., 0)"
    );
    Ok(())
}

fn wrap<S: crate::summary::Summary>(
    groups: &Groups<S>,
    grouping: &Grouping,
    into: impl Fn(Arc<S>) -> ScoredRows,
) -> Vec<(String, ScoredRows)> {
    groups.of(grouping).into_iter().map(|(name, summary)| (name, into(summary))).collect()
}

impl Sample {
    /// A sample of its own.
    pub(super) fn of(ranks: Arc<Ranks>, columns: rows::Columns) -> Self {
        Self { summary: ScoredRows::Ranks(ranks, columns), measured: Arc::default() }
    }

    pub(super) fn rows(&self) -> &RowCounts {
        match &self.summary {
            ScoredRows::Moments(moments) => moments.rows(),
            ScoredRows::Sums(sums, _) => sums.rows(),
            ScoredRows::Ranks(ranks, _) => ranks.rows(),
        }
    }

    /// What there may be too few of beside rows: those with label 1, or the groups of a ranking with a relevant row; in a
    /// multiclass task those of the class that has the fewest.
    pub(super) fn positives(&self) -> u64 {
        match &self.summary {
            ScoredRows::Moments(moments) => moments.positives(),
            ScoredRows::Sums(sums, columns) if columns.grouped => sums.clusters().unwrap_or(0),
            ScoredRows::Sums(sums, _) => sums.positives(),
            ScoredRows::Ranks(ranks, columns) if columns.grouped => measure::groups(ranks, columns).0,
            ScoredRows::Ranks(ranks, rows::Columns { task: rows::Task::Multiclass { classes }, .. }) => {
                (0..classes.len()).map(|class| ranks.labelled(class as f64)).min().unwrap_or(0)
            }
            ScoredRows::Ranks(ranks, _) => ranks.positives(),
        }
    }

    /// Adds how many entities or groups the numbers rest on, and how many groups were left out without a relevant row.
    pub(super) fn counted(&self, evidence: Evidence, clusters: Option<u64>) -> Evidence {
        match &self.summary {
            // A ratio has no order, so it leaves no group out.
            ScoredRows::Sums(_, columns) if columns.grouped && !columns.clustered => {
                clusters.map_or(evidence.clone(), |groups| evidence.detail("groups", groups))
            }
            ScoredRows::Ranks(ranks, columns) if columns.grouped => {
                let (groups, left_out) = measure::groups(ranks, columns);
                clustered(evidence, clusters).detail("groups", groups).detail("groups_left_out", left_out)
            }
            _ => clustered(evidence, clusters),
        }
    }

    /// A metric of the scores, weighted over the models.
    pub(super) fn measure(&self, metric: &Metric, weights: &[f64]) -> Result<Measurement, Undefined> {
        let key = (metric.name(), weights.iter().map(|weight| weight.to_bits()).collect::<Vec<_>>());
        let known = || self.measured.lock().unwrap_or_else(PoisonError::into_inner);
        let found = known().get(&key).cloned();
        found.unwrap_or_else(|| {
            let measured = measure(metric, self.answer(), weights);
            known().insert(key, measured.clone());
            measured
        })
    }

    /// What the numbers are computed from.
    pub(super) fn answer(&self) -> Answer<'_> {
        match &self.summary {
            ScoredRows::Moments(moments) => Answer::Moments(moments),
            ScoredRows::Ranks(ranks, columns) => Answer::Ranks(ranks, columns),
            ScoredRows::Sums(sums, _) => Answer::Sums(sums),
        }
    }
}

/// A measurement as the report shows it.
pub(super) fn estimate(measurement: &Measurement, level: f64) -> Estimate {
    let (low, high) = measurement.interval(level);
    Estimate { value: measurement.value, low: finite(low), high: finite(high) }
}

/// JSON has no infinity: an end that is not bounded is absent.
pub(super) fn finite(value: f64) -> Option<f64> {
    value.is_finite().then_some(value)
}

/// Evidence that something stands in the way of the claim.
pub(super) fn obstructed(subject: Subject, limits: Limits, counts: &RowCounts, obstacle: Finding) -> Evidence {
    let mut evidence = Evidence::new(subject, limits, obstacle);
    evidence.rows = used(counts);
    evidence
}

/// Evidence that there is no number, and why.
pub(super) fn undecided(subject: Subject, limits: Limits, counts: &RowCounts, reason: &Undefined) -> Evidence {
    let used = used(counts);
    let missing = match *reason {
        Undefined::TooFewRows { rows } => Some(2_u64.saturating_sub(rows)),
        Undefined::TooFewClusters { clusters: 1 } => Some(used),
        Undefined::TooFewOfAClass { positives, negatives } => {
            let fewest = positives.min(negatives);
            (fewest > 0).then(|| 2_u64.saturating_sub(fewest) * used.div_ceil(fewest))
        }
        _ => None,
    };
    obstructed(subject, limits, counts, undecided_by(reason.to_string(), missing))
}

/// Undecided for want of rows: how many are missing, or that nobody can say, because none of what is missing was seen.
fn undecided_by(reason: String, needs_rows: Option<u64>) -> Finding {
    let reason = match needs_rows {
        Some(_) => reason,
        None => format!("{reason}; these rows do not say how many more would change that"),
    };
    Finding::Undecided { reason, needs_rows }
}

/// Adds by how much a number may be off because scores were binned, where they were.
pub(super) fn binned(evidence: Evidence, error: Option<f64>) -> Evidence {
    match error {
        Some(error) => evidence.detail("binning_error", error),
        None => evidence,
    }
}

pub(super) fn clustered(evidence: Evidence, clusters: Option<u64>) -> Evidence {
    match clusters {
        Some(clusters) => evidence.detail("entities", clusters),
        None => evidence,
    }
}

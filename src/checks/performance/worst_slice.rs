//! `performance.worst_slice`: where the candidate loses most against the baseline, searched for over all columns.

use std::cmp::Ordering;

use anyhow::Result;
use arrow::datatypes::DataType;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::answers::Answers;
use crate::check::{Check, Refusal};
use crate::checks::shared::{self, MetricTicket, Rows, Sample};
use crate::evidence::{self, Evidence, Finding, Limits, Subject, allowed};
use crate::plan::{Grouping, Input, Plan, Ticket};
use crate::score::Scorer;
use crate::spec::limit::Amount;
use crate::spec::problem::{Path, Problem, quoted};
use crate::spec::region::{self, Literal, Part, Values};
use crate::spec::written::{Policy, Slice, SliceWhere, Task};
use crate::stats::bound::{Bound, Test};
use crate::stats::measurement::Measurement;
use crate::stats::metric::Metric;
use crate::stats::multiplicity::Dependence;
use crate::stats::undefined::Undefined;
use crate::summaries::frequencies::{FrequencyParams, MAX_VALUES};
use crate::summaries::quantiles::QuantileParams;
use crate::summaries::regions::{Cuts, Loss, MAX_REGIONS, Region, RegionParams};
use crate::summaries::total_order::{from_key, to_key};
use crate::summaries::{Frequencies, Quantiles, Regions, rows};
use crate::target::Side;

/// The candidate loses clearly more than the baseline nowhere, wherever one looks.
///
/// # What it does
/// Cuts every column into bins: numbers into at most 8 of about equal count, with round edges; texts into the 10 most
/// frequent values and the rest; nulls apart. Each bin, and each pair of bins of two columns, is a region. In one scan it
/// finds the regions in which the candidate's loss exceeds the baseline's most clearly, measures the clearest again as any
/// slice is measured, and reports the one with the smallest p-value; the next ones that are no part of it stand beside it.
/// A finding comes with the line that makes it a slice of the spec, to be watched from then on.
///
/// # Why it matters
/// A model may be better on the whole and worse for the evening flights from one airport. Slices that somebody thought of
/// are declared; this finds those that nobody thought of, before the people in them do.
///
/// # What it assumes
/// Rows are independent, or entities are where `columns.entity` is given. The p-value is multiplied by the number of regions
/// searched (Bonferroni): whatever the regions have in common, and many overlap, a model that is nowhere worse than allowed
/// is then reported with a chance of at most `policy.false_block`. The interval is that of the region as if it had been
/// declared. Regions with fewer than `policy.min_rows` rows or `policy.min_positives` of a class are counted and not
/// searched. The loss of `accuracy` is the share of wrong decisions; only metrics that are means over rows can be searched.
/// The data is read three times.
///
/// # Example
/// ```yaml
/// - performance.worst_slice: { metric: log_loss, max_loss: 20% }
/// ```
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PerformanceWorstSlice {
    /// The loss: `log_loss`, `brier` or `accuracy` for a binary model, `mae` or `mse` for a regression; the first unless
    /// given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metric: Option<Metric>,
    /// How much more the candidate may lose in a region: `20%` of what the baseline loses there, or `0.02` more.
    #[serde(default = "max_loss")]
    pub max_loss: Amount,
    /// The columns that are searched; the features and the columns of `slices` unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1), extend("uniqueItems" = true))]
    pub columns: Option<Vec<String>>,
    /// The dataset.
    #[serde(default = "shared::test")]
    pub data: String,
}

fn max_loss() -> Amount {
    Amount::Relative(0.2)
}

/// The bins of a column of numbers.
const NUMBER_BINS: usize = 8;

/// The texts of a column that have bins of their own.
const TEXT_BINS: usize = 10;

/// How many regions are measured again: the one that is reported, and the next ones.
const MEASURED: usize = 5;

/// The metrics that are means over rows of a loss, or one minus it; the first of a task is the default.
const LOSSES: [(Task, Metric, Loss); 5] = [
    (Task::Binary, Metric::LogLoss, Loss::LogLoss),
    (Task::Binary, Metric::Brier, Loss::Brier),
    (Task::Binary, Metric::Accuracy, Loss::Error),
    (Task::Regression, Metric::Mae, Loss::AbsoluteError),
    (Task::Regression, Metric::Mse, Loss::SquaredError),
];

/// What was asked: what the columns hold, what is lost in each region of them, and the worst regions as slices.
#[derive(Debug)]
pub struct Asked {
    rows: Rows,
    metric: Metric,
    loss: Loss,
    columns: Vec<(Column, Distribution)>,
    policy: Policy,
    search: Option<Search>,
    found: Option<Found>,
}

/// A column that is searched.
#[derive(Debug, Clone)]
struct Column {
    name: String,
    truth: bool,
}

#[derive(Debug)]
enum Distribution {
    Numbers(Ticket<Quantiles>),
    Texts(Ticket<Frequencies>),
    /// Nothing is known that could be cut.
    Unfit(String),
}

#[derive(Debug)]
struct Search {
    params: RegionParams,
    columns: Vec<Column>,
    /// Columns that were left out, and why.
    left_out: Vec<(String, String)>,
    regions: Ticket<Regions>,
}

#[derive(Debug)]
struct Found {
    ticket: MetricTicket,
    groupings: Vec<(Region, Grouping)>,
}

impl Check for PerformanceWorstSlice {
    const NAME: &'static str = "performance.worst_slice";
    type Asked = Asked;

    fn datasets(&self) -> Vec<(&'static str, &str)> {
        vec![("data", &self.data)]
    }

    fn ask(&self, plan: &mut Plan<'_>) -> Result<Asked, Refusal> {
        let (metric, loss) = self.loss(plan)?;
        let rows = Rows::of_both(plan, &self.data)?;
        if let (Loss::Error, rows::Task::Binary { threshold: rows::Threshold::TopShare(_) }) =
            (loss, &rows.columns().task)
        {
            let problem = Problem::key(plan.here(), "whether a row is among the highest scores depends on other rows");
            return Err(problem.remedy("search `log_loss` or `brier` instead of `accuracy`").into());
        }
        let mut columns = Vec::new();
        for (name, at) in self.searched(plan)? {
            let kind = shared::column(plan, &self.data, &name, &at)?.clone();
            let column = Column { name: name.clone(), truth: kind == DataType::Boolean };
            columns.push((column, distribution(plan, &self.data, &name, &kind)?));
        }
        Ok(Asked { rows, metric, loss, columns, policy: plan.policy().clone(), search: None, found: None })
    }

    fn ask_again(&self, asked: &mut Asked, answers: &Answers, plan: &mut Plan<'_>) -> Result<(), Refusal> {
        if asked.search.is_none() {
            asked.search = Some(self.search(asked, answers, plan)?);
        } else if asked.found.is_none() {
            asked.found = found(asked, answers, plan)?;
        }
        Ok(())
    }

    fn judge(&self, asked: &Asked, answers: &Answers) -> Result<Vec<Evidence>> {
        let Some(search) = &asked.search else { return Ok(Vec::new()) };
        let mut evidence = vec![self.worst(asked, search, answers)?];
        for (column, reason) in &search.left_out {
            let subject = Subject::column(&self.data, &asked.metric.name(), column);
            evidence.push(Evidence::new(subject, self.limits(), Finding::NotTested { reason: reason.clone() }));
        }
        Ok(evidence)
    }
}

impl PerformanceWorstSlice {
    fn loss(&self, plan: &Plan<'_>) -> Result<(Metric, Loss), Refusal> {
        let of_task: Vec<_> = LOSSES.iter().filter(|(task, ..)| *task == plan.model().task).collect();
        let metric = self.metric.as_ref().or(of_task.first().map(|(_, metric, _)| metric));
        let found = of_task.iter().find(|(_, known, _)| Some(known) == metric);
        found.map(|(_, metric, loss)| (metric.clone(), *loss)).ok_or_else(|| {
            let known: Vec<_> = of_task.iter().map(|(_, metric, _)| quoted(&metric.name())).collect();
            let what = metric.map_or_else(|| "nothing".to_owned(), |metric| quoted(&metric.name()));
            let problem = Problem::key(plan.here(), format!("{what} is no mean of a loss over the rows of this task"));
            let remedy = if known.is_empty() { "remove this check".to_owned() } else { known.join(", ") + " are" };
            problem.remedy(remedy).into()
        })
    }

    fn limits(&self) -> Limits {
        allowed("max_loss", self.max_loss)
    }

    /// The columns to search, each once, and where the spec names them.
    fn searched(&self, plan: &Plan<'_>) -> Result<Vec<(String, Path)>, Refusal> {
        let barred = barred(plan);
        let mut searched: Vec<(String, Path)> = Vec::new();
        let named = self.columns.as_ref().map(|columns| {
            columns.iter().enumerate().map(|(index, name)| (name.clone(), plan.at("columns").index(index))).collect()
        });
        let is_named = named.is_some();
        for (name, at) in named.unwrap_or_else(|| declared(plan)) {
            match barred.iter().find(|(column, _)| *column == name) {
                Some((_, role)) if is_named => {
                    let problem = Problem::value(&at, format!("{} is {role}, and no region", quoted(&name)));
                    return Err(problem.remedy("remove it from `columns`").into());
                }
                None if searched.iter().all(|(known, _)| *known != name) => searched.push((name, at)),
                Some(_) | None => {}
            }
        }
        if searched.is_empty() {
            let problem = Problem::key(plan.here(), "there is no column to search");
            return Err(problem.remedy("name some with `columns`, or declare `columns.features`").into());
        }
        Ok(searched)
    }

    /// Asks what is lost in each region.
    fn search(&self, asked: &Asked, answers: &Answers, plan: &mut Plan<'_>) -> Result<Search, Refusal> {
        let (mut cuts, mut columns, mut left_out, mut inputs) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for (column, distribution) in &asked.columns {
            match cut(distribution, answers)? {
                Ok((cut, input)) => {
                    inputs.push(input(column.name.clone()));
                    cuts.push(cut);
                    columns.push(column.clone());
                }
                Err(reason) => left_out.push((column.name.clone(), reason)),
            }
        }
        let (rows, mut scored) = asked.rows.without_clusters();
        scored.extend(inputs);
        let (weights, margin) = match self.max_loss {
            Amount::Absolute(margin) => ([-1.0, 1.0], margin),
            Amount::Relative(share) => ([-(1.0 + share), 1.0], 0.0),
        };
        let params = RegionParams { rows, loss: asked.loss, weights, margin, cuts };
        if params.count() > MAX_REGIONS {
            let message = format!("{} columns make {} regions, more than {MAX_REGIONS}", columns.len(), params.count());
            let problem = Problem::key(plan.here(), message);
            return Err(problem.remedy("choose fewer columns with `columns: [...]`").into());
        }
        let regions = plan.summarise(&self.data, &params, scored, &[Grouping::All])?;
        Ok(Search { params, columns, left_out, regions })
    }

    /// The evidence of the worst region.
    fn worst(&self, asked: &Asked, search: &Search, answers: &Answers) -> Result<Evidence> {
        let regions = answers.summary(&search.regions)?.all();
        let everywhere = Subject::all(&self.data, &asked.metric.name());
        let (_, positives) = regions.size(0);
        if let Some(finding) = asked.rows.obstacle(&Grouping::All, regions.rows(), positives)? {
            return Ok(Evidence::new(everywhere, self.limits(), finding));
        }
        let (large, small) = asked.sizes(search, &regions);
        let told = |evidence: Evidence| {
            let columns: Vec<&str> = search.columns.iter().map(|column| column.name.as_str()).collect();
            evidence.detail("too_small", small).detail("columns", columns)
        };
        let (mut measured, mut undefined) = (Vec::new(), None);
        for (region, grouping, slice, sample) in asked.samples(answers)? {
            match self.measure(asked, &sample) {
                Ok(of_region) => measured.push((region, grouping, slice, of_region)),
                Err(reason) => undefined = Some(reason.to_string()),
            }
        }
        measured.sort_by(|left, right| by_p_value(&left.3, &right.3));
        let Some((worst, ..)) = measured.first() else {
            let reason = undefined.unwrap_or_else(|| format!("none of {small} regions is large enough"));
            let finding = Finding::Undecided { reason, needs_rows: None };
            return Ok(told(Evidence::new(everywhere, self.limits(), finding)));
        };
        let rest = measured[1..].iter().filter(|(region, ..)| !contains(worst, region));
        let rest: Vec<Value> = rest.map(|(_, grouping, _, other)| other.row(grouping, large.len())).collect();
        let (_, grouping, slice, measured) = &measured[0];
        let subject = Subject::slice(&self.data, &asked.metric.name(), slice);
        Ok(told(measured.evidence(subject, self.limits(), asked, large.len()))
            .detail("paste", paste(grouping))
            .detail("others", rest))
    }

    fn measure(&self, asked: &Asked, sample: &Sample) -> Result<Measured, Undefined> {
        let measure = |weights: [f64; 2]| sample.measure(&asked.metric, &weights);
        // The loss of accuracy is what it lacks to 1, so that `candidate's - (1 + r) baseline's` has the constant -r.
        let (sign, constant) = if asked.loss == Loss::Error { (-1.0, 1.0) } else { (1.0, 0.0) };
        let (share, limit) = match self.max_loss {
            Amount::Absolute(margin) => (0.0, margin),
            Amount::Relative(share) => (share, share * constant),
        };
        let excess = measure([-(1.0 + share) * sign, sign])?;
        let baseline = measure([1.0, 0.0])?;
        Ok(Measured {
            p_value: excess.p_above(limit),
            beyond: excess.value - limit,
            test: Test { measured: excess.into(), bound: Bound::AtMost(limit), equal: -share * sign * baseline.value },
            baseline,
            candidate: measure([0.0, 1.0])?,
            difference: measure([-1.0, 1.0])?,
        })
    }
}

/// A region, measured as a slice.
struct Measured {
    /// Of "it loses no more than allowed", for this region alone.
    p_value: f64,
    /// How much more than allowed is lost.
    beyond: f64,
    test: Test,
    baseline: Measurement,
    candidate: Measurement,
    difference: Measurement,
}

impl Measured {
    fn adjusted(&self, searched: usize) -> f64 {
        (self.p_value * searched as f64).min(1.0)
    }

    fn evidence(&self, subject: Subject, limits: Limits, asked: &Asked, searched: usize) -> Evidence {
        let level = asked.rows.level();
        // Only the smallest p-value is reported, so that the step-up test is Bonferroni's, for which regions may hang together
        // in any way.
        let search = evidence::Search { searched: searched as u64, dependence: Dependence::Positive };
        let mut evidence = Evidence::tested(subject, limits, vec![self.test.clone()], level).exploratory(search);
        evidence.baseline = Some(shared::estimate(&self.baseline, level));
        evidence.candidate = Some(shared::estimate(&self.candidate, level));
        evidence.difference = Some(shared::estimate(&self.difference, level));
        evidence.rows = self.difference.rows;
        evidence.method = Some(self.difference.method.name().to_owned());
        shared::binned(shared::clustered(evidence, self.difference.clusters), self.difference.binning_error())
    }

    fn row(&self, grouping: &Grouping, searched: usize) -> Value {
        json!({
            "slice": grouping.to_string(), "rows": self.difference.rows, "difference": self.difference.value,
            "p_value": self.adjusted(searched), "paste": paste(grouping),
        })
    }
}

impl Asked {
    /// The regions that were measured again.
    fn samples(&self, answers: &Answers) -> Result<Vec<(&Region, &Grouping, String, Sample)>> {
        let mut samples = Vec::new();
        let Some(found) = &self.found else { return Ok(samples) };
        for (region, grouping) in &found.groupings {
            let of_region = found.ticket.samples(answers, grouping)?;
            samples.extend(of_region.into_iter().map(|(slice, sample)| (region, grouping, slice, sample)));
        }
        Ok(samples)
    }

    /// The regions that are large enough to be searched, and how many others have rows.
    fn sizes(&self, search: &Search, regions: &Regions) -> (Vec<usize>, usize) {
        let Policy { min_rows, min_positives, .. } = self.policy;
        let binary = matches!(search.params.rows.task, rows::Task::Binary { .. });
        let is_large = |region: &usize| {
            let (rows, positives) = regions.size(*region);
            rows >= min_rows && (!binary || positives.min(rows.saturating_sub(positives)) >= min_positives)
        };
        let there = (1..search.params.count()).filter(|region| regions.size(*region).0 > 0);
        let (large, small): (Vec<usize>, Vec<usize>) = there.partition(is_large);
        (large, small.len())
    }
}

/// Asks to measure the regions where the search finds the most, none of them a part of another with more.
fn found(asked: &Asked, answers: &Answers, plan: &mut Plan<'_>) -> Result<Option<Found>> {
    let Some(search) = &asked.search else { return Ok(None) };
    let regions = answers.summary(&search.regions)?.all();
    let (mut large, _) = asked.sizes(search, &regions);
    large.sort_by(|left, right| regions.statistic(*right).total_cmp(&regions.statistic(*left)));
    let all = search.params.regions();
    let mut chosen: Vec<&Region> = Vec::new();
    for region in large.into_iter().map(|region| &all[region]) {
        if chosen.len() < MEASURED && !chosen.iter().any(|larger| contains(larger, region)) {
            chosen.push(region);
        }
    }
    if chosen.is_empty() {
        return Ok(None);
    }
    let groupings: Vec<(Region, Grouping)> =
        chosen.into_iter().map(|region| (region.clone(), search.grouping(region))).collect();
    let ways: Vec<Grouping> = groupings.iter().map(|(_, grouping)| grouping.clone()).collect();
    let ticket = asked.rows.metric(plan, &asked.metric, &ways)?;
    Ok(Some(Found { ticket, groupings }))
}

/// Whether every row of `part` is in `region`.
fn contains(region: &Region, part: &Region) -> bool {
    region.iter().all(|bin| part.contains(bin))
}

fn by_p_value(left: &Measured, right: &Measured) -> Ordering {
    left.p_value.total_cmp(&right.p_value).then(right.beyond.total_cmp(&left.beyond))
}

fn paste(grouping: &Grouping) -> Option<String> {
    let Grouping::Where { name, condition } = grouping else { return None };
    Some(region::line(&SliceWhere { name: name.clone(), condition: condition.clone() }))
}

impl Search {
    fn grouping(&self, region: &Region) -> Grouping {
        let parts: Vec<Part> = region.iter().map(|(column, bin)| self.part(*column, *bin)).collect();
        let slice = region::slice(&parts);
        Grouping::Where { name: slice.name, condition: slice.condition }
    }

    fn part(&self, column: usize, bin: usize) -> Part {
        let Column { name, truth } = &self.columns[column];
        let literal = |text: &String| if *truth { Literal::Truth(text == "true") } else { Literal::Text(text.clone()) };
        let values = match &self.params.cuts[column] {
            cuts if bin + 1 == cuts.bins() => Values::Null,
            Cuts::Numbers(edges) => {
                let edge = |at: Option<usize>| at.and_then(|at| edges.get(at)).copied().map(from_key);
                Values::Between(edge(bin.checked_sub(1)), edge(Some(bin)))
            }
            Cuts::Texts(texts) => match texts.get(bin) {
                Some(text) => Values::Is(literal(text)),
                None => Values::NoneOf(texts.iter().map(literal).collect()),
            },
        };
        Part { column: name.clone(), values }
    }
}

/// The features, and the columns that slices are declared by.
fn declared(plan: &Plan<'_>) -> Vec<(String, Path)> {
    let features = Path::root().key("columns").key("features");
    let features =
        plan.columns().features.iter().enumerate().map(|(index, name)| (name.clone(), features.index(index)));
    let mut declared: Vec<(String, Path)> = features.collect();
    for (index, slice) in plan.target().spec.written.slices.iter().enumerate() {
        if let Slice::By(by) = slice {
            let at = Path::root().key("slices").index(index).key("by");
            declared.extend(by.by.names().iter().map(|name| (name.clone(), at.clone())));
        }
    }
    declared
}

/// Columns that are no property of a row, and what they are.
fn barred(plan: &Plan<'_>) -> Vec<(String, &'static str)> {
    let columns = plan.columns();
    let mut barred = vec![(columns.label.clone(), "the label")];
    let roles =
        [(&columns.id, "the id"), (&columns.time, "the event time"), (&columns.known_at, "the time of the label")];
    barred.extend(roles.into_iter().filter_map(|(name, role)| Some((name.clone()?, role))));
    for side in [Side::Baseline, Side::Candidate] {
        if let Some(Scorer::Columns(scores)) = plan.target().judged(side).map(|judged| &judged.scorer) {
            barred.extend(scores.iter().map(|score| (score.clone(), "a score")));
        }
    }
    barred
}

fn distribution(plan: &mut Plan<'_>, dataset: &str, column: &str, kind: &DataType) -> Result<Distribution> {
    Ok(match kind {
        kind if kind.is_numeric() => {
            let inputs = vec![Input::Number(column.to_owned())];
            Distribution::Numbers(plan.summarise(dataset, &QuantileParams {}, inputs, &[Grouping::All])?)
        }
        kind if is_text(kind) || *kind == DataType::Boolean => {
            let inputs = vec![Input::Text(column.to_owned())];
            Distribution::Texts(plan.summarise(dataset, &FrequencyParams::default(), inputs, &[Grouping::All])?)
        }
        kind => Distribution::Unfit(format!("it holds {kind}, and only numbers, texts and truths are cut into bins")),
    })
}

fn is_text(kind: &DataType) -> bool {
    match kind {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => true,
        DataType::Dictionary(_, values) => is_text(values),
        _ => false,
    }
}

type Cut = (Cuts, fn(String) -> Input);

/// The bins of a column, or why there are none.
fn cut(distribution: &Distribution, answers: &Answers) -> Result<Result<Cut, String>> {
    Ok(match distribution {
        Distribution::Unfit(reason) => Err(reason.clone()),
        Distribution::Numbers(ticket) => match answers.summary(ticket)?.all().edges(NUMBER_BINS) {
            edges if edges.is_empty() => Err("it has no two values".to_owned()),
            edges => Ok((Cuts::Numbers(edges.into_iter().map(to_key).collect()), Input::Number)),
        },
        Distribution::Texts(ticket) => {
            let frequencies = answers.summary(ticket)?.all();
            match frequencies.by_count() {
                None => Err(format!("it has more than {MAX_VALUES} values: an id, and no category")),
                Some(texts) if texts.len() < 2 && frequencies.long().iter().all(|rows| *rows == 0) => {
                    Err("it has no two values".to_owned())
                }
                Some(texts) => {
                    let mut texts: Vec<String> =
                        texts.into_iter().take(TEXT_BINS).map(|(text, _)| text.to_owned()).collect();
                    texts.sort();
                    Ok((Cuts::Texts(texts), Input::Text))
                }
            }
        }
    })
}

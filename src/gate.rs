//! The orchestrator: from a spec to a report, in eight steps.

use std::collections::BTreeSet;
use std::path::Path as FilePath;
use std::sync::Arc;
use std::time::SystemTime;

use anyhow::{Context, Result, bail, ensure};
use datafusion::prelude::SessionContext;
use futures_util::future::try_join;
use serde::Deserialize as _;

use crate::answers::Answers;
use crate::artifact;
use crate::artifact::mlflow::is_of_mlflow;
use crate::artifact::reach::Reach;
use crate::artifact::trouble::{Absent, redacted};
use crate::artifact::world::{Shelf, World};
use crate::check::{Asked, Configured, Refusal};
use crate::engine::session::{self, Settings};
use crate::engine::{self, Cache, Progress};
use crate::evidence::{Evidence, Limits, Subject};
use crate::plan::{Ask, Expression, Plan};
use crate::record::{Base, Record};
use crate::report::{Report, curves};
use crate::score::Judged;
use crate::score::program::Programs;
use crate::spec::problem::{Path, Problem};
use crate::spec::written::{self, OnMissing, Scorer, Severity, Slice};
use crate::spec::{Entry, Selection, Spec};
use crate::stats::metric::Metric;
use crate::target::{self, Choice, FirstRelease, Target};
use crate::verdict::Statement;

/// How often checks may ask again: for what the data shows, and for a closer look at what was found there.
const MOST_ROUNDS: usize = 2;

/// What judges.
#[derive(Debug)]
pub struct Case {
    /// The spec.
    pub spec: Spec,
    /// Where the policy of a pull request comes from.
    pub base: Option<Base>,
    /// What stands before any data is read.
    pub statements: Vec<Statement>,
    /// What its sources may reach.
    pub reaches: Reaches,
}

/// What the sources of a spec may reach.
#[derive(Debug, Clone, Default)]
pub struct Reaches {
    /// That of the candidate.
    pub candidate: Reach,
    /// Those of the baseline and the data.
    pub agreed: Reach,
}

impl From<Spec> for Case {
    fn from(spec: Spec) -> Self {
        Self { spec, base: None, statements: Vec::new(), reaches: Reaches::default() }
    }
}

/// What is run, and how.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The suite, where the spec leaves a choice.
    pub suite: Option<String>,
    /// Judges this model instead of the spec's candidate.
    pub candidate: Option<String>,
    /// Compares with this model instead of the spec's baseline.
    pub baseline: Option<String>,
    /// How sessions work.
    pub session: Settings,
    /// Where scores are kept from run to run.
    pub cache: Option<Arc<Cache>>,
    /// The scheduler of the cluster that computes, such as `df://host:50050`; without one, this process does.
    pub cluster: Option<String>,
    /// The programs that a model may be.
    pub programs: Programs,
}

/// A plan whose checks have asked their first questions.
pub struct Prepared<'t> {
    /// The plan.
    pub plan: Plan<'t>,
    /// The checks.
    pub checks: Vec<Pending>,
    /// The session that will answer.
    pub context: SessionContext,
}

/// A check that has asked.
pub struct Pending {
    /// Its name.
    pub name: &'static str,
    /// Where it stands in the spec.
    pub at: Path,
    /// The line of its name.
    pub line: usize,
    /// Whether it blocks.
    pub severity: Severity,
    /// What it asked.
    pub asked: Box<dyn Asked>,
}

/// Runs a gate to its report. Nothing is written.
///
/// # Errors
/// A bad spec ([`Problems`](crate::spec::problem::Problems)) or a broken world. A bad model is a verdict.
pub async fn run(case: Case, options: &Options, progress: &Arc<Progress>) -> Result<Report> {
    let (Case { spec, base, mut statements, reaches }, started) = (case, SystemTime::now());
    let (target, selection) = open(spec, &reaches, options, progress).await?;
    ensure_two(&target)?;
    let context = session::open_on(options.cluster.as_deref(), &options.session).await?;
    let mut prepared = prepare(&target, selection.entries, context)?;
    let curves = curves::ask(&mut prepared.plan)?;
    let stated = state(&target, &mut prepared, options.cache.as_deref(), progress);
    let (stated, answers) = try_join(target.find_digests(), stated).await?.1;
    statements.extend(stated);
    let mut record = Record::new(&target, &selection.suite, base, statements)?;
    record.inputs.mark(engine::unstable(&target, &prepared.plan).await?);
    Ok(Report::new(record, curves::draw(curves.as_ref(), &answers)?, started))
}

/// Selects the suite and opens what it needs, which is fetched where it is not here.
///
/// # Errors
/// As [`run`].
pub async fn open(
    spec: Spec,
    reaches: &Reaches,
    options: &Options,
    progress: &Progress,
) -> Result<(Target, Selection)> {
    let selection = spec.select(options.suite.as_deref())?;
    let datasets: BTreeSet<String> =
        selection.entries.iter().flat_map(|entry| entry.check.datasets()).map(|(_, name)| name).collect();
    let shelf = Arc::new(Shelf::new(options.cache.as_ref().map(|cache| Arc::clone(cache.folder()))));
    let world = |folder: &FilePath, reach: &Reach| World::new(folder, reach.clone(), &shelf, &progress.transfers);
    let given = || world(FilePath::new(""), &Reach::Own);
    let named = world(&spec.folder, &reaches.candidate);
    let agreed = world(&spec.folder, &reaches.agreed);
    let programs = &options.programs;
    let compared = world(&spec.folder, &reaches.agreed).of_baseline();
    let candidate = Some(&spec.written.candidate);
    let candidate = judged(&spec, candidate, &named, options.candidate.as_deref(), &given(), programs).await;
    let candidate = candidate.context("the candidate cannot be opened")?.context("the spec has no candidate")?;
    let outside = given().of_baseline();
    let (baseline, choice) = compared_with(&spec, &compared, options.baseline.as_deref(), &outside, programs).await?;
    let datasets = target::open(&agreed, &spec, &datasets).await?;
    Ok((Target { spec, datasets, candidate, baseline, choice, shelf }, selection))
}

/// The baseline and why it is that one; where the spec allows it, none if there is none yet.
async fn compared_with(
    spec: &Spec,
    named: &World,
    given: Option<&str>,
    outside: &World,
    programs: &Programs,
) -> Result<(Option<Judged>, Choice)> {
    let written = spec.written.baseline.as_ref();
    let opened = judged(spec, written.map(|baseline| &baseline.scorer), named, given, outside, programs).await;
    let may_be_missing = written.filter(|baseline| given.is_none() && baseline.on_missing == OnMissing::AbsoluteOnly);
    let source = written.and_then(|baseline| baseline.scorer.sources().into_iter().next());
    match (opened, may_be_missing, &source) {
        (Err(error), Some(_), Some((keys, text))) if error.is::<Absent>() => {
            let why = error.root_cause().to_string();
            let baseline = format!("{}:{}", keys.join("."), redacted(text));
            let first_release = Some(FirstRelease { baseline, why });
            Ok((None, Choice { rule: None, first_release }))
        }
        (opened, ..) => {
            let baseline = opened.context("the baseline cannot be opened")?;
            let rule =
                baseline.as_ref().map(|baseline| rule(baseline, given, source.as_ref().map(|(_, text)| text.as_str())));
            Ok((baseline, Choice { rule, first_release: None }))
        }
    }
}

/// Why a baseline is the one that it is.
fn rule(baseline: &Judged, given: Option<&str>, written: Option<&str>) -> String {
    let chosen = baseline.found.first().and_then(|found| found.version.rule.clone());
    let is_pinned = given.or(written).is_some_and(artifact::is_pinned);
    match chosen {
        Some(rule) => rule,
        None if is_pinned => "fixed digest".to_owned(),
        None if given.is_some() => "given for this run".to_owned(),
        None => "as the spec names it".to_owned(),
    }
}

/// Refuses a comparison of a model with itself.
fn ensure_two(target: &Target) -> Result<()> {
    let Some(baseline) = target.baseline.as_ref().filter(|baseline| baseline.is_same(&target.candidate)) else {
        return Ok(());
    };
    let digest = baseline.sha256.as_ref().map_or_else(String::new, |sha256| format!(", SHA-256 {sha256}"));
    ensure!(
        target.spec.written.baseline.as_ref().is_some_and(|baseline| baseline.allow_same),
        "the baseline {} is the candidate {}{digest}: nothing would be compared; name another baseline, such as \
         `release:previous/...` or `git:merge-base:...`, or add `allow_same: true` below `baseline` where that is meant",
        baseline.source,
        target.candidate.source
    );
    Ok(())
}

/// Lets every check ask its first questions, and makes sure that the data has the slices.
///
/// # Errors
/// Every problem that the checks find with the spec, together.
pub fn prepare(target: &Target, entries: Vec<Entry>, context: SessionContext) -> Result<Prepared<'_>> {
    let mut plan = Plan::new(target);
    let mut problems = Vec::new();
    let mut checks = Vec::new();
    for Entry { name, at, line, severity, check } in entries {
        plan.enter(&at);
        let claim = target.choice.first_release.as_ref().map(|first| untested(check.as_ref(), first)).transpose()?;
        let asked = match (check.ask(&mut plan), claim) {
            (Ok(asked), _) => asked,
            (Err(Refusal::FirstRelease), Some(claim)) => Box::new(claim),
            (Err(refusal), _) => {
                problems.push(problem(refusal, name)?);
                continue;
            }
        };
        checks.push(Pending { name, at, line, severity, asked });
    }
    problems.extend(unfit_slices(&context, target, &plan)?);
    problems.extend(unfit_expressions(&context, target, &plan)?);
    if !problems.is_empty() {
        return Err(target.spec.problems(problems).into());
    }
    Ok(Prepared { plan, checks, context })
}

/// Answers what the checks ask, and lets them state their evidence.
///
/// # Errors
/// As [`run`].
pub async fn state(
    target: &Target,
    prepared: &mut Prepared<'_>,
    cache: Option<&Cache>,
    progress: &Arc<Progress>,
) -> Result<(Vec<Statement>, Answers)> {
    let Prepared { plan, checks, context } = prepared;
    let mut answers = Answers::default();
    answer(context, target, plan, &mut answers, cache, progress).await?;
    for _ in 0..MOST_ROUNDS {
        ask_again(target, checks, &answers, plan)?;
        answer(context, target, plan, &mut answers, cache, progress).await?;
    }
    Ok((judge(checks, &answers)?, answers))
}

fn problem(refusal: Refusal, check: &str) -> Result<Problem> {
    match refusal {
        Refusal::Spec(problem) => Ok(problem),
        Refusal::World(error) => Err(error.context(format!("`{check}` cannot ask"))),
        Refusal::FirstRelease => bail!("`{check}` compares with a baseline that does not exist"),
    }
}

/// A claim that is not made, since there is nothing to compare with.
struct Untested(Evidence);

impl Asked for Untested {
    fn ask_again(&mut self, _: &Answers, _: &mut Plan<'_>) -> Result<(), Refusal> {
        Ok(())
    }

    fn judge(&self, _: &Answers) -> Result<Vec<Evidence>> {
        Ok(vec![self.0.clone()])
    }
}

/// What a check would claim, over all rows, of the dataset that it reads first.
fn untested(check: &dyn Configured, first: &FirstRelease) -> Result<Untested> {
    let metric = check.config()?.get("metric").and_then(|metric| Metric::deserialize(metric).ok());
    let dataset = check.datasets().into_iter().next().map(|(_, name)| name).unwrap_or_default();
    let metric = metric.map(|metric| metric.name());
    let subject = Subject { dataset, metric, slice: "all".to_owned(), column: None };
    Ok(Untested(Evidence::new(subject, Limits::new(), first.finding())))
}

async fn answer(
    context: &SessionContext,
    target: &Target,
    plan: &mut Plan<'_>,
    answers: &mut Answers,
    cache: Option<&Cache>,
    progress: &Arc<Progress>,
) -> Result<()> {
    if plan.is_open() {
        answers.extend(engine::answer(context, target, plan, cache, progress).await?);
        plan.close_round();
    }
    Ok(())
}

fn ask_again(target: &Target, checks: &mut [Pending], answers: &Answers, plan: &mut Plan<'_>) -> Result<()> {
    let mut problems = Vec::new();
    for check in checks {
        plan.enter(&check.at);
        if let Err(refusal) = check.asked.ask_again(answers, plan) {
            problems.push(problem(refusal, check.name)?);
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(target.spec.problems(problems).into()) }
}

fn judge(checks: &[Pending], answers: &Answers) -> Result<Vec<Statement>> {
    let mut statements = Vec::new();
    for Pending { name, line, severity, asked, .. } in checks {
        let evidence = asked.judge(answers).with_context(|| format!("`{name}` on line {line} cannot be judged"))?;
        statements.extend(evidence.into_iter().map(|evidence| Statement {
            check: name,
            line: *line,
            severity: *severity,
            evidence,
        }));
    }
    Ok(statements)
}

/// The model that the spec names, or the one given instead, whose path is relative to the current folder.
async fn judged(
    spec: &Spec,
    written: Option<&Scorer>,
    named: &World,
    given: Option<&str>,
    outside: &World,
    programs: &Programs,
) -> Result<Option<Judged>> {
    match (given, written) {
        (Some(given), written) => {
            let scorer = instead(given, written);
            crate::spec::scores_fit(&spec.written.model, &scorer)?;
            Judged::open(outside, programs, &scorer).await.map(Some)
        }
        (None, Some(written)) => Judged::open(named, programs, written).await.map(Some),
        (None, None) => Ok(None),
    }
}

/// A model given on the command line; what the spec says of reading a model of its kind, and of the columns of predictions
/// for the classes, stays.
fn instead(given: &str, written: Option<&Scorer>) -> Scorer {
    match (Scorer::given(given), written) {
        (Scorer::Onnx(mut onnx), Some(Scorer::Onnx(declared))) => {
            let written::OnnxScorer { output, positive, classes, inputs, .. } = declared.clone();
            (onnx.output, onnx.positive, onnx.classes, onnx.inputs) = (output, positive, classes, inputs);
            Scorer::Onnx(onnx)
        }
        (Scorer::Onnx(onnx), Some(Scorer::Mlflow(declared))) if is_of_mlflow(&onnx.onnx) => {
            Scorer::Mlflow(written::MlflowScorer { mlflow: onnx.onnx, ..declared.clone() })
        }
        (Scorer::Http(http), Some(Scorer::Http(declared))) => {
            Scorer::Http(written::HttpScorer { http: http.http, ..declared.clone() })
        }
        (Scorer::Predictions(predictions), Some(Scorer::Predictions(declared))) => {
            Scorer::Predictions(written::PredictionsScorer { scores: declared.scores.clone(), ..predictions })
        }
        (scorer, _) => scorer,
    }
}

/// Expressions of the spec that are no number of a row.
fn unfit_expressions(context: &SessionContext, target: &Target, plan: &Plan<'_>) -> Result<Vec<Problem>> {
    let mut problems = Vec::new();
    for Expression { at, dataset, text, names } in plan.expressions() {
        let schema = &target.dataset(dataset)?.schema;
        if let Err(error) = engine::condition::check_number(context, schema, names, text) {
            let beside = names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" and ");
            let remedy = format!("write a number in SQL of the columns of one row, and of {beside}");
            problems.push(Problem::value(at, error.to_string()).remedy(remedy));
        }
    }
    Ok(problems)
}

/// Slices that the spec declares and a dataset cannot have.
fn unfit_slices(context: &SessionContext, target: &Target, plan: &Plan<'_>) -> Result<Vec<Problem>> {
    let mut problems = Vec::new();
    for ask in plan.asks() {
        let Ask::Summary(ask) = ask else { continue };
        let schema = &target.dataset(&ask.dataset)?.schema;
        for (index, slice) in target.spec.written.slices.iter().enumerate() {
            let at = Path::root().key("slices").index(index);
            if !ask.groupings.contains(&crate::spec::grouping(slice)) {
                continue;
            }
            match slice {
                Slice::Where(slice) => {
                    if let Err(error) = engine::condition::check(context, schema, &slice.condition) {
                        problems.push(Problem::value(&at.key("where"), error.to_string()));
                    }
                }
                Slice::By(by) => problems.extend(by.by.names().iter().filter_map(|name| {
                    let missing = schema.field_with_name(name).is_err();
                    missing.then(|| crate::spec::no_column(&at.key("by"), &ask.dataset, name, schema))
                })),
            }
        }
    }
    problems.dedup();
    Ok(problems)
}

//! The spec: read, found whole, and ready to be used.

use std::collections::BTreeSet;
use std::path::{Path as FilePath, PathBuf};
use std::sync::LazyLock;

use anyhow::{Result, bail};
use arrow::datatypes::Schema;
use serde_json::{Map, Value};

use crate::artifact::mlflow::is_of_mlflow;
use crate::artifact::path::sha256_of_bytes;
use crate::artifact::{self, reach};
use crate::check::Configured;
use crate::checks;
use crate::plan::Grouping;
use crate::score::onnx::Positive;
use crate::score::served;

pub mod change;
pub mod choice;
pub mod event;
pub mod file;
pub mod glob;
pub mod kind;
pub mod limit;
pub mod place;
pub mod problem;
pub mod region;
pub mod shape;
pub mod source;
pub mod written;
pub mod yaml;

use glob::matches;
use problem::{Path, Problem, Problems, nearest, quoted};
use written::{Class, Data, Model, ProcessScorer, Scorer, Severity, Slice, Task, Written};
use yaml::Document;

/// What every spec must look like.
static SCHEMA: LazyLock<Value> = LazyLock::new(crate::docs::schema);

/// A spec in which no problem was found.
#[derive(Debug, Clone)]
pub struct Spec {
    /// The path as given.
    pub path: PathBuf,
    /// The folder that paths in the spec are relative to.
    pub folder: PathBuf,
    /// The digest of the file.
    pub sha256: String,
    /// The text with its places.
    pub document: Document,
    /// What was written.
    pub written: Written,
}

/// One check of the spec.
pub struct Entry {
    /// The name of its kind.
    pub name: &'static str,
    /// Where its configuration stands.
    pub at: Path,
    /// The line of its name.
    pub line: usize,
    /// Whether it blocks.
    pub severity: Severity,
    /// The check.
    pub check: Box<dyn Configured>,
}

/// The checks that a suite selects.
pub struct Selection {
    /// The suite's name.
    pub suite: String,
    /// Its checks, in the order of the spec.
    pub entries: Vec<Entry>,
}

impl Spec {
    /// Reads a spec and finds all its problems.
    ///
    /// # Errors
    /// Every problem found, with its place.
    pub fn read(path: &FilePath) -> Result<Self, Problems> {
        Self::of(Document::read_file(path)?, path)
    }

    /// Reads a spec from bytes that stood at a path, perhaps in another commit, and finds all its problems.
    ///
    /// # Errors
    /// Every problem found, with its place.
    pub fn parse(bytes: &[u8], path: &FilePath) -> Result<Self, Problems> {
        Self::of(Document::read(&path.display().to_string(), bytes)?, path)
    }

    fn of(document: Document, path: &FilePath) -> Result<Self, Problems> {
        let fail = |problems| Err(Problems::new(&document, problems));
        let problems = shape::check(&document, &SCHEMA);
        if !problems.is_empty() {
            return fail(problems);
        }
        let written: Written = match serde_json::from_value(document.value().clone()) {
            Ok(written) => written,
            Err(error) => return fail(vec![Problem::nowhere(error.to_string())]),
        };
        let problems = sense(&written);
        if !problems.is_empty() {
            return fail(problems);
        }
        let folder = path.parent().map_or_else(PathBuf::new, FilePath::to_path_buf);
        let sha256 = sha256_of_bytes(document.text().as_bytes());
        Ok(Self { path: path.to_path_buf(), folder, sha256, document, written })
    }

    /// The name of the suite that an event runs: the one whose `on` means the event. Where no suite says `on`, or a person
    /// started the run by hand, it is the one that runs without a name.
    ///
    /// # Errors
    /// When several suites mean the event.
    pub fn suite_on(&self, by_hand: bool, selects: impl Fn(&str) -> bool) -> Result<Option<String>> {
        let suites = &self.written.suites;
        let chosen: Vec<&str> = suites
            .iter()
            .filter(|(_, suite)| suite.on.iter().any(|on| selects(on)))
            .map(|(name, _)| name.as_str())
            .collect();
        let unsaid = suites.values().all(|suite| suite.on.is_empty());
        match chosen.as_slice() {
            [] if unsaid || by_hand => Ok(Some(self.suite_without_name()?.to_owned())),
            [] => Ok(None),
            [only] => Ok(Some((*only).to_owned())),
            several => bail!("the suites {} all run on this event; give one of them as `suite`", several.join(", ")),
        }
    }

    /// The checks of a suite: the named one, or `check-in`, or the only one there is.
    ///
    /// # Errors
    /// When the suite is not declared, or it must be named.
    pub fn select(&self, suite: Option<&str>) -> Result<Selection> {
        let suites = &self.written.suites;
        let name = suite.map_or_else(|| self.suite_without_name(), Ok)?;
        let patterns = match suites.get(name) {
            Some(suite) => suite.checks.clone(),
            None if suites.is_empty() && name == "all" => vec!["*".to_owned()],
            None => {
                let known: Vec<_> = suites.keys().map(String::as_str).collect();
                bail!("suite {} is not declared; there are: {}", quoted(name), known.join(", "))
            }
        };
        let entries =
            self.entries()?.into_iter().filter(|entry| patterns.iter().any(|p| matches(p, entry.name))).collect();
        Ok(Selection { suite: name.to_owned(), entries })
    }

    fn suite_without_name(&self) -> Result<&str> {
        let known: Vec<_> = self.written.suites.keys().map(String::as_str).collect();
        match known.as_slice() {
            [] => Ok("all"),
            [only] => Ok(only),
            several if several.contains(&"check-in") => Ok("check-in"),
            several => bail!("which suite? give `suite` with one of: {}", several.join(", ")),
        }
    }

    /// The declared ways to group rows, in the order of the spec.
    #[must_use]
    pub fn groupings(&self) -> Vec<Grouping> {
        self.written.slices.iter().map(grouping).collect()
    }

    /// Where the checks stand, in the order of the spec.
    pub fn checks(&self) -> impl Iterator<Item = Path> {
        let at = |(index, check): (usize, &Map<String, Value>)| {
            Some(Path::root().key("checks").index(index).key(check.keys().next()?))
        };
        self.written.checks.iter().enumerate().filter_map(at)
    }

    /// A problem of this spec as an error.
    #[must_use]
    pub fn problems(&self, problems: Vec<Problem>) -> Problems {
        Problems::new(&self.document, problems)
    }

    fn entries(&self) -> Result<Vec<Entry>, Problems> {
        let mut entries = Vec::new();
        let mut problems = Vec::new();
        for (index, written) in self.written.checks.iter().enumerate() {
            match entry(index, written) {
                Ok(entry) => entries.push(Entry { line: self.document.line(&entry.at), ..entry }),
                Err(problem) => problems.push(problem),
            }
        }
        if problems.is_empty() { Ok(entries) } else { Err(self.problems(problems)) }
    }
}

/// How a declared slice groups rows.
#[must_use]
pub fn grouping(slice: &Slice) -> Grouping {
    match slice {
        Slice::By(by) => Grouping::By(by.by.names().to_vec()),
        Slice::Where(slice) => Grouping::Where { name: slice.name.clone(), condition: slice.condition.clone() },
    }
}

/// The problem of a column that a dataset lacks.
#[must_use]
pub fn no_column(at: &Path, dataset: &str, name: &str, schema: &Schema) -> Problem {
    let known = schema.fields().iter().map(|field| field.name().as_str());
    let remedy = match nearest(name, known.clone()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("it has {}", known.map(quoted).collect::<Vec<_>>().join(", ")),
    };
    Problem::value(at, format!("dataset {} has no column {}", quoted(dataset), quoted(name))).remedy(remedy)
}

fn entry(index: usize, written: &Map<String, Value>) -> Result<Entry, Problem> {
    let here = Path::root().key("checks").index(index);
    let Some((name, config)) = written.iter().next() else {
        return Err(Problem::value(&here, "an empty check"));
    };
    let at = here.key(name);
    let Some(kind) = checks::find(name) else {
        return Err(Problem::key(&at, format!("unknown check {}", quoted(name))));
    };
    let mut config = config.as_object().cloned().unwrap_or_default();
    let severity = match config.remove("severity") {
        Some(severity) => {
            serde_json::from_value(severity).map_err(|e| Problem::value(&at.key("severity"), e.to_string()))?
        }
        None => Severity::default(),
    };
    let check = kind.configure(Value::Object(config)).map_err(|e| Problem::value(&at, e.to_string()))?;
    Ok(Entry { name: kind.name, at, line: 0, severity, check })
}

/// What the JSON Schema cannot say.
fn sense(written: &Written) -> Vec<Problem> {
    let mut problems = Vec::new();
    threshold_is_for_binary(written, &mut problems);
    groups_are_for_ranking(written, &mut problems);
    classes_are_for_multiclass(written, &mut problems);
    scores_fit_the_task(written, &mut problems);
    approvers_are_people(written, &mut problems);
    allowed_hosts_are_hosts(written, &mut problems);
    sources_are_known(written, &mut problems);
    scores_are_no_labels(written, &mut problems);
    slice_names_are_unique(written, &mut problems);
    suites_select_something(written, &mut problems);
    suites_name_known_events(written, &mut problems);
    checks_read_declared_datasets(written, &mut problems);
    problems
}

fn threshold_is_for_binary(written: &Written, problems: &mut Vec<Problem>) {
    if written.model.threshold.is_some() && written.model.task != Task::Binary {
        let at = Path::root().key("model").key("threshold");
        problems.push(Problem::key(&at, "a threshold is for a binary model").remedy("remove the key"));
    }
}

fn groups_are_for_ranking(written: &Written, problems: &mut Vec<Problem>) {
    let columns = Path::root().key("columns");
    match (written.model.task == Task::Ranking, &written.columns.group) {
        (true, None) => {
            let problem = Problem::key(&columns, "a ranking without `group`: what are rows ranked within?");
            problems.push(problem.remedy("add `group:` with the column of the query or session"));
        }
        (false, Some(_)) => {
            let problem = Problem::key(&columns.key("group"), "a group is for a ranking");
            problems.push(problem.remedy("remove the key, or write `task: ranking`"));
        }
        _ => {}
    }
}

fn classes_are_for_multiclass(written: &Written, problems: &mut Vec<Problem>) {
    let model = Path::root().key("model");
    let names = written.model.class_names();
    match (written.model.task == Task::Multiclass, names.is_empty()) {
        (true, true) => {
            let problem = Problem::key(&model, "a multiclass model without `classes`");
            problems.push(problem.remedy("add `classes: [...]` with every value that the label can have"));
        }
        (false, false) => {
            let problem = Problem::key(&model.key("classes"), "classes are for a multiclass model");
            problems.push(problem.remedy("remove the key, or write `task: multiclass`"));
        }
        _ => {}
    }
    for (index, name) in names.iter().enumerate().filter(|(index, name)| names[..*index].contains(name)) {
        let message = format!("the class {} is listed twice: labels are compared as text", quoted(name));
        problems.push(Problem::value(&model.key("classes").index(index), message).remedy("keep one of them"));
    }
}

/// What is wrong with the number of score columns that a scorer names, at which of its keys.
fn unfit_scores(model: &Model, scorer: &Scorer) -> Option<(&'static str, String, String)> {
    let classes = model.classes.len();
    let several = |key, columns: usize| {
        let message = format!("{columns} columns of scores for {classes} classes");
        (columns != classes)
            .then(|| (key, message, "name one for each class, in the order of `model.classes`".to_owned()))
    };
    let one = |key, remedy: &str| {
        let message = "one column for each class is for a multiclass model".to_owned();
        Some((key, message, format!("name the column of the scores with `{remedy}:`")))
    };
    let is_multiclass = model.task == Task::Multiclass;
    match scorer {
        Scorer::Column(_) if is_multiclass => {
            let message = "a multiclass model has one score for each class, and this is one column".to_owned();
            Some(("column", message, "write `columns: [...]` in the order of `model.classes`".to_owned()))
        }
        Scorer::Columns(scorer) if is_multiclass => several("columns", scorer.columns.len()),
        Scorer::Columns(_) => one("columns", "column"),
        Scorer::Predictions(scorer) if is_multiclass && scorer.score != written::default_score() => {
            let message = "a multiclass model has one score for each class, and this is one column".to_owned();
            Some(("score", message, "write `scores: [...]` in the order of `model.classes`".to_owned()))
        }
        Scorer::Predictions(scorer) if is_multiclass && scorer.scores.is_empty() => {
            let message = "which columns of the file hold the scores of the classes?".to_owned();
            Some(("predictions", message, "add `scores: [...]` in the order of `model.classes`".to_owned()))
        }
        Scorer::Predictions(scorer) if is_multiclass => several("scores", scorer.scores.len()),
        Scorer::Predictions(scorer) if !scorer.scores.is_empty() => one("scores", "score"),
        Scorer::Onnx(scorer) => unfit_classes(model, &scorer.classes, scorer.positive.as_ref()),
        Scorer::Http(scorer) => {
            let unfit = served::unfit(&scorer.http).map(|(message, remedy)| ("http", message, remedy));
            unfit.or_else(|| unfit_classes(model, &scorer.classes, scorer.positive.as_ref()))
        }
        Scorer::Mlflow(scorer) if !is_of_mlflow(&scorer.mlflow) => {
            let message = format!("{} is no model of MLflow", quoted(&scorer.mlflow));
            Some((
                "mlflow",
                message,
                "write `models:/NAME@ALIAS`, `models:/NAME/VERSION` or `runs:/RUN/PATH`".to_owned(),
            ))
        }
        Scorer::Mlflow(scorer) => unfit_classes(model, &scorer.classes, scorer.positive.as_ref()),
        Scorer::Process(scorer) => unused_file(scorer),
        Scorer::Column(_) | Scorer::Predictions(_) => None,
    }
}

/// A file that a command does not name.
fn unused_file(scorer: &ProcessScorer) -> Option<(&'static str, String, String)> {
    let is_named = |name: &str| scorer.process.iter().any(|word| word.contains(&format!("{{{name}}}")));
    let name = scorer.files.keys().find(|name| !is_named(name))?;
    let message = format!("no word of the command names the file {}", quoted(name));
    Some(("files", message, format!("write `{{{name}}}` where its path belongs")))
}

/// What a scorer says of the classes of a model that does not have them.
fn unfit_classes(
    model: &Model,
    classes: &[Class],
    positive: Option<&Positive>,
) -> Option<(&'static str, String, String)> {
    if model.task != Task::Multiclass {
        let message = "classes are for a multiclass model".to_owned();
        return (!classes.is_empty()).then(|| ("classes", message, "remove the key".to_owned()));
    }
    if positive.is_some() {
        let message = "a multiclass model has no positive class".to_owned();
        let remedy = "remove the key; `classes:` says which output is of which class".to_owned();
        return Some(("positive", message, remedy));
    }
    let sorted = |names: Vec<String>| names.into_iter().collect::<BTreeSet<_>>();
    let theirs = sorted(classes.iter().map(ToString::to_string).collect());
    let differ = !theirs.is_empty() && theirs != sorted(model.class_names());
    let message = "these are other classes than those of `model.classes`".to_owned();
    differ.then(|| ("classes", message, "write those classes, in the order of the model's outputs".to_owned()))
}

/// Refuses a scorer that gives another number of scores than the model has, for one that is not written in the spec.
///
/// # Errors
/// What is wrong, and the remedy.
pub fn scores_fit(model: &Model, scorer: &Scorer) -> Result<()> {
    match unfit_scores(model, scorer) {
        Some((_, message, remedy)) => bail!("{message}; {remedy}"),
        None => Ok(()),
    }
}

fn scores_fit_the_task(written: &Written, problems: &mut Vec<Problem>) {
    for (side, scorer) in written.scorers() {
        if let Some((key, message, remedy)) = unfit_scores(&written.model, scorer) {
            problems.push(Problem::key(&Path::root().key(side).key(key), message).remedy(remedy));
        }
    }
}

fn scores_are_no_labels(written: &Written, problems: &mut Vec<Problem>) {
    for (side, scorer) in written.scorers() {
        let at = Path::root().key(side);
        let columns = match scorer {
            Scorer::Column(scorer) => vec![(at.key("column"), &scorer.column)],
            Scorer::Columns(scorer) => {
                let numbered = scorer.columns.iter().enumerate();
                numbered.map(|(index, column)| (at.key("columns").index(index), column)).collect()
            }
            _ => Vec::new(),
        };
        for (at, column) in columns.into_iter().filter(|(_, column)| **column == written.columns.label) {
            let message = format!("the column {} is the label, not a score", quoted(column));
            problems.push(Problem::value(&at, message).remedy("name the column that holds the model's scores"));
        }
    }
}

fn approvers_are_people(written: &Written, problems: &mut Vec<Problem>) {
    for (index, name) in written.policy.weakening_approvers.iter().enumerate().filter(|(_, name)| name.contains('/')) {
        let at = Path::root().key("policy").key("weakening_approvers").index(index);
        let message = format!("{} is a team, whose members a workflow's token may not see", quoted(name));
        problems.push(Problem::value(&at, message).remedy("name people, such as `@alice`"));
    }
}

fn allowed_hosts_are_hosts(written: &Written, problems: &mut Vec<Problem>) {
    for (index, entry) in written.policy.allowed_hosts.iter().enumerate() {
        if let Some(remedy) = reach::unfit(entry) {
            let at = Path::root().key("policy").key("allowed_hosts").index(index);
            problems.push(Problem::value(&at, format!("{} is no host and no bucket", quoted(entry))).remedy(remedy));
        }
    }
}

fn sources_are_known(written: &Written, problems: &mut Vec<Problem>) {
    let mut sources = Vec::new();
    for (side, scorer) in written.scorers() {
        let at = |keys: Vec<&str>| keys.into_iter().fold(Path::root().key(side), |at, key| at.key(key));
        sources.extend(scorer.sources().into_iter().map(|(keys, text)| (at(keys), text)));
    }
    for (name, data) in &written.data {
        let at = Path::root().key("data").key(name);
        match data {
            Data::One(text) => sources.push((at, text)),
            Data::Many(texts) => sources.extend(texts.iter().enumerate().map(|(index, text)| (at.index(index), text))),
        }
    }
    for (at, text) in sources {
        if let Err(artifact::Malformed { message, remedy }) = artifact::Written::parse(text) {
            problems.push(Problem::value(&at, message).remedy(remedy));
        }
    }
}

fn slice_names_are_unique(written: &Written, problems: &mut Vec<Problem>) {
    let names: Vec<_> = written.slices.iter().map(|slice| grouping(slice).to_string()).collect();
    for (index, name) in names.iter().enumerate() {
        let at = Path::root().key("slices").index(index);
        if name == "all" {
            problems.push(Problem::value(&at, "a slice cannot be named `all`: that is the name of all rows"));
        }
        if names[..index].contains(name) {
            problems.push(Problem::value(&at, format!("slice {} is declared twice", quoted(name))));
        }
    }
}

fn suites_select_something(written: &Written, problems: &mut Vec<Problem>) {
    let names: Vec<&str> = written.checks.iter().flat_map(|check| check.keys().map(String::as_str)).collect();
    for (suite, chosen) in &written.suites {
        for (index, pattern) in chosen.checks.iter().enumerate() {
            if !names.iter().any(|name| matches(pattern, name)) {
                let at = Path::root().key("suites").key(suite).key("checks").index(index);
                let problem = Problem::value(&at, format!("{} selects no check of this spec", quoted(pattern)));
                problems.push(with_nearest(problem, pattern, &names, "declare it below `checks`, or remove it here"));
            }
        }
    }
}

fn suites_name_known_events(written: &Written, problems: &mut Vec<Problem>) {
    for (suite, chosen) in &written.suites {
        for (index, on) in chosen.on.iter().enumerate().filter(|(_, on)| !event::is_known(on)) {
            let at = Path::root().key("suites").key(suite).key("on").index(index);
            let problem = Problem::value(&at, format!("{} is no event of GitHub Actions", quoted(on)));
            let otherwise = "write an event such as `pull_request`, or `push:BRANCH`, or `tag:v*`";
            problems.push(with_nearest(problem, on, &event::EVENTS, otherwise));
        }
    }
}

fn checks_read_declared_datasets(written: &Written, problems: &mut Vec<Problem>) {
    let known: Vec<&str> = written.data.keys().map(String::as_str).collect();
    for (index, check) in written.checks.iter().enumerate() {
        let entry = match entry(index, check) {
            Ok(entry) => entry,
            Err(problem) => {
                problems.push(problem);
                continue;
            }
        };
        for (key, name) in entry.check.datasets() {
            if !known.contains(&name.as_str()) {
                let problem = Problem::value(&entry.at.key(key), format!("dataset {} is not declared", quoted(&name)));
                problems.push(with_nearest(problem, &name, &known, "declare it below `data`"));
            }
        }
    }
}

fn with_nearest(problem: Problem, name: &str, known: &[&str], otherwise: &str) -> Problem {
    match nearest(name, known.iter().copied()) {
        Some(near) => problem.remedy(format!("did you mean `{near}`?")),
        None => problem.remedy(otherwise),
    }
}

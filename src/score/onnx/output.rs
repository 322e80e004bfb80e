//! Which output of a model holds the scores, and how the scores of a row are read from it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;

use anyhow::{Context, Result, bail, ensure};
use arrow::array::Float64Array;
use ort::value::{DynMap, DynMapValueType, DynSequenceValueType, DynValue, PrimitiveTensorElementType, ValueType};
use serde::{Deserialize, Serialize};

use super::binding::{Mapping, Positive, Task, one_of};
use super::signature::{ElementKind, Form, Signature, ValueInfo, Width};
use super::tensor::fed_rows;

/// Names that exporters give to scores which are no probabilities.
const MARGINS: [&str; 4] = ["margin", "decision", "raw", "logit"];

/// How scores are read from one output.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reading {
    /// The output's name.
    pub output: String,
    task: Task,
    positive: Option<Positive>,
    /// For each class of a multiclass task, where the model keeps it.
    classes: Vec<Class>,
}

/// Where a model keeps the probability of a class.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Class {
    /// The column of a matrix.
    column: usize,
    /// The key of a map.
    key: String,
}

impl Reading {
    /// Settles which output is read, and how.
    ///
    /// # Errors
    /// When this does not follow from the model; the message says which key of the spec settles it.
    pub fn settle(signature: &Signature, task: Task, mapping: &Mapping) -> Result<Self> {
        let positive = mapping.positive.clone();
        ensure!(task == Task::Binary || positive.is_none(), "`positive:` is for classifiers of two classes: remove it");
        let output = match &mapping.output {
            Some(name) => named(&signature.outputs, name, &task)?,
            None => inferred(&signature.outputs, &task)?,
        };
        if let Task::Multiclass(names) = &task {
            let is_maps = matches!(output.form, Form::Maps { .. });
            // Other lists than of these classes are of parts that a classifier is made of, one against the others.
            let own = signature.classes.as_deref().filter(|own| own.len() == names.len());
            let classes = classes(&output.name, names, own, &mapping.classes, is_maps)?;
            let reading = Self { output: output.name.clone(), task, positive, classes };
            if let Form::Tensor { width: Width::Fixed(width), .. } = output.form {
                reading.refuse_width(width)?;
            }
            return Ok(reading);
        }
        let reading = Self { output: output.name.clone(), task, positive, classes: Vec::new() };
        match &output.form {
            Form::Tensor { width: Width::Fixed(width), .. } => reading.column(*width).map(drop)?,
            Form::Maps { key: ElementKind::Text, .. } if reading.positive.is_none() => {
                bail!(
                    "the classes of output `{}` are text: say which is positive with `positive: <class>`",
                    output.name
                )
            }
            _ => {}
        }
        reading.refuse_unordered(signature, output)?;
        Ok(reading)
    }

    /// How an output is read of which nothing is declared; `is_maps` if its scores have names.
    ///
    /// # Errors
    /// When a key is missing in the spec.
    pub fn undeclared(task: Task, mapping: &Mapping, is_maps: bool) -> Result<Self> {
        let (output, positive) = (mapping.output.clone().unwrap_or_default(), mapping.positive.clone());
        ensure!(task == Task::Binary || positive.is_none(), "`positive:` is for classifiers of two classes: remove it");
        let classes = match &task {
            Task::Multiclass(names) => classes(&output, names, None, &mapping.classes, is_maps)?,
            Task::Binary | Task::Regression => Vec::new(),
        };
        Ok(Self { output, task, positive, classes })
    }

    /// Whether the scores are probabilities.
    pub fn is_of_classes(&self) -> bool {
        self.task != Task::Regression
    }

    /// How many scores a row has.
    pub fn outputs(&self) -> usize {
        if let Task::Multiclass(classes) = &self.task { classes.len() } else { 1 }
    }

    fn refuse_width(&self, width: usize) -> Result<()> {
        let classes = self.classes.len();
        ensure!(
            width == classes,
            "output `{}` has {width} columns, and `model.classes` has {classes}: name another with `output:`",
            self.output
        );
        Ok(())
    }

    /// The order of columns follows from numbers as classes (0, 1), and not from text.
    fn refuse_unordered(&self, signature: &Signature, output: &ValueInfo) -> Result<()> {
        let text = |other: &ValueInfo| matches!(other.form, Form::Tensor { kind: ElementKind::Text, .. });
        let wide = matches!(output.form, Form::Tensor { width: Width::Fixed(2..) | Width::Dynamic, .. });
        ensure!(
            self.positive.is_some() || !wide || !signature.outputs.iter().any(text),
            "the classes are text, so which column of output `{}` is the positive one is not known: \
             say so with `positive: 0` or `positive: 1`",
            self.output
        );
        Ok(())
    }

    /// Which of `width` columns holds the score.
    fn column(&self, width: usize) -> Result<usize> {
        let name = &self.output;
        match (&self.positive, &self.task, width) {
            (None, _, 1) => Ok(0),
            (None, Task::Binary, 2) => Ok(1),
            (None, Task::Binary, _) => {
                bail!(
                    "output `{name}` has {width} columns, one per class: say which is positive with `positive: <column>`"
                )
            }
            (None, Task::Regression | Task::Multiclass(_), _) => {
                bail!(
                    "output `{name}` has {width} values per row, and regression takes one: name another with `output:`"
                )
            }
            (Some(_), _, 1) => bail!("output `{name}` has a single column: remove `positive:`"),
            (Some(Positive::Name(class)), ..) => bail!(
                "the columns of output `{name}` have no names, so `positive: {class}` cannot be found: \
                 give the number of the column, from 0 to {}",
                width.saturating_sub(1)
            ),
            (Some(Positive::Number(column)), ..) => {
                let column = usize::try_from(*column).ok().filter(|column| *column < width);
                column.with_context(|| {
                    format!("`positive:` must be from 0 to {} for output `{name}`", width.saturating_sub(1))
                })
            }
        }
    }

    /// For each output a score for each of `rows` rows of data, as the model gave it: NaN and infinities are kept.
    ///
    /// # Errors
    /// When the output has another number of rows than were fed, or is not what its declaration promised.
    pub fn read(&self, value: &DynValue, rows: usize) -> Result<Vec<Float64Array>> {
        let scores = match value.dtype() {
            ValueType::Tensor { .. } => self.read_tensor(value)?,
            ValueType::Sequence(_) => self.read_maps(value)?,
            other => bail!("output `{}` holds {other}, not scores", self.output),
        };
        let fed = fed_rows(rows);
        let whole = |mut scores: Vec<f64>| {
            let found = scores.len();
            ensure!(
                found == fed,
                "output `{}` has {found} rows where {fed} were fed: a model must give one score per row",
                self.output
            );
            scores.truncate(rows);
            Ok(Float64Array::from(scores))
        };
        scores.into_iter().map(whole).collect()
    }

    fn read_tensor(&self, value: &DynValue) -> Result<Vec<Vec<f64>>> {
        match value.dtype().tensor_type().map(ElementKind::from) {
            Some(ElementKind::Float32) => self.pick::<f32>(value),
            Some(ElementKind::Float64) => self.pick::<f64>(value),
            _ => bail!("output `{}` holds {}, not scores", self.output, value.dtype()),
        }
    }

    fn pick<T: PrimitiveTensorElementType + Copy + Into<f64>>(&self, value: &DynValue) -> Result<Vec<Vec<f64>>> {
        let (shape, values) = value.try_extract_tensor::<T>()?;
        let width = match **shape {
            [_] => 1,
            [_, width] => usize::try_from(width)?,
            _ => bail!("output `{}` has the shape {shape:?}, not one row per row of data", self.output),
        };
        let columns = self.columns(width)?;
        let scores = |column| values.iter().skip(column).step_by(width.max(1)).map(|score| (*score).into()).collect();
        Ok(columns.into_iter().map(scores).collect())
    }

    /// Which of `width` columns hold the scores.
    ///
    /// # Errors
    /// When this does not follow from the number of columns.
    pub fn columns(&self, width: usize) -> Result<Vec<usize>> {
        if let Task::Multiclass(_) = &self.task {
            self.refuse_width(width)?;
            return Ok(self.classes.iter().map(|class| class.column).collect());
        }
        Ok(vec![self.column(width)?])
    }

    /// Which of the scores that have names are those of the outputs, in their order.
    ///
    /// # Errors
    /// When this does not follow from the names.
    pub fn names(&self, found: &[&str]) -> Result<Vec<String>> {
        if let Task::Multiclass(_) = &self.task {
            let keys = self.classes.iter().map(|class| class.key.clone()).collect::<Vec<_>>();
            let whole = keys.len() == found.len() && keys.iter().all(|key| found.contains(&key.as_str()));
            ensure!(whole, "{}", other_classes(&self.output, found, &keys));
            return Ok(keys);
        }
        let positive = self.positive.as_ref().map(|positive| match positive {
            Positive::Number(class) => class.to_string(),
            Positive::Name(class) => class.clone(),
        });
        let given = positive.or_else(|| Some(self.output.clone()).filter(|output| !output.is_empty()));
        match (given, found) {
            (None, [only]) => Ok(vec![(*only).to_owned()]),
            (None, _) => {
                bail!("it has several columns: name the one of the scores with `output:`, of {}", one_of(found))
            }
            (Some(given), _) => {
                ensure!(found.contains(&given.as_str()), "it has no column `{given}`: it has {}", one_of(found));
                Ok(vec![given])
            }
        }
    }

    fn read_maps(&self, value: &DynValue) -> Result<Vec<Vec<f64>>> {
        let sequence = value.view().downcast::<DynSequenceValueType>()?;
        let mut scores = vec![Vec::new(); self.outputs()];
        for map in sequence.try_extract_sequence::<DynMapValueType>()? {
            scores.iter_mut().zip(self.read_map(&map)?).for_each(|(scores, score)| scores.push(score));
        }
        Ok(scores)
    }

    fn read_map(&self, map: &DynMap) -> Result<Vec<f64>> {
        let ValueType::Map { key, value } = map.dtype() else {
            bail!("output `{}` holds {}, not scores", self.output, map.dtype())
        };
        match (ElementKind::from(*key), ElementKind::from(*value)) {
            (ElementKind::Int64, ElementKind::Float32) => self.of_number(&map.try_extract_key_values::<i64, f32>()?),
            (ElementKind::Int64, ElementKind::Float64) => self.of_number(&map.try_extract_key_values::<i64, f64>()?),
            (ElementKind::Text, ElementKind::Float32) => self.of_text(&map.try_extract_key_values::<String, f32>()?),
            (ElementKind::Text, ElementKind::Float64) => self.of_text(&map.try_extract_key_values::<String, f64>()?),
            _ => bail!("output `{}` holds {}, not scores", self.output, map.dtype()),
        }
    }

    fn of_number<T: Copy + Into<f64>>(&self, scores: &[(i64, T)]) -> Result<Vec<f64>> {
        if matches!(self.task, Task::Multiclass(_)) {
            return self.of_each(scores);
        }
        let classes = || scores.iter().map(|(class, _)| class);
        let positive = match &self.positive {
            Some(Positive::Number(class)) => *class,
            None if classes().all(|class| matches!(class, 0 | 1)) || classes().all(|class| matches!(class, -1 | 1)) => {
                1
            }
            _ => bail!("`positive:` must be a class of output `{}`: {}", self.output, one_of(classes())),
        };
        Ok(vec![self.of_class(scores, &positive)?])
    }

    fn of_text<T: Copy + Into<f64>>(&self, scores: &[(String, T)]) -> Result<Vec<f64>> {
        if matches!(self.task, Task::Multiclass(_)) {
            return self.of_each(scores);
        }
        let positive = match &self.positive {
            Some(Positive::Name(class)) => class.clone(),
            Some(Positive::Number(class)) => class.to_string(),
            None => String::new(),
        };
        Ok(vec![self.of_class(scores, &positive)?])
    }

    /// The scores of the classes, in the order of the task, from a map that must have no others.
    fn of_each<K: Display, T: Copy + Into<f64>>(&self, scores: &[(K, T)]) -> Result<Vec<f64>> {
        let named = scores.iter().map(|(class, score)| (class.to_string(), *score)).collect::<BTreeMap<_, _>>();
        let found = self.classes.iter().map(|class| named.get(&class.key).map(|score| (*score).into()));
        match found.collect::<Option<Vec<f64>>>() {
            Some(found) if found.len() == scores.len() => Ok(found),
            _ => bail!("{}", other_classes(&self.output, named.keys(), self.classes.iter().map(|class| &class.key))),
        }
    }

    fn of_class<K: PartialEq + Display, T: Copy + Into<f64>>(&self, scores: &[(K, T)], positive: &K) -> Result<f64> {
        let score = scores.iter().find(|(class, _)| class == positive).map(|(_, score)| (*score).into());
        score.with_context(|| {
            let classes = one_of(scores.iter().map(|(class, _)| class));
            format!("`positive:` must be a class of output `{}`: {classes}", self.output)
        })
    }
}

/// Where the model keeps each of the classes `names`: the file says its own classes, and `given` says which these are.
fn classes(
    output: &str,
    names: &[String],
    own: Option<&[String]>,
    given: &[String],
    is_maps: bool,
) -> Result<Vec<Class>> {
    let numbered = (0..names.len()).map(|number| number.to_string()).collect::<Vec<_>>();
    let sorted = |names: &[String]| names.iter().cloned().collect::<BTreeSet<_>>();
    // The names of the outputs in their order, in the words of the task.
    let outputs = match (given, own) {
        ([], Some(own)) => own,
        ([], None) if is_maps => names,
        ([], None) => {
            ensure!(
                sorted(names) == sorted(&numbered),
                "which column of output `{output}` is of which class is not known from the model: \
                 say so with `classes: [...]`, in the order of the columns"
            );
            &numbered
        }
        (given, _) => given,
    };
    ensure!(sorted(outputs) == sorted(names), "{}", other_classes(output, outputs, names));
    let find = |name: &String| {
        let column = outputs.iter().position(|output| output == name).unwrap_or_default();
        Class { column, key: own.map_or(name, |own| &own[column]).clone() }
    };
    Ok(names.iter().map(find).collect())
}

fn other_classes(
    output: &str,
    found: impl IntoIterator<Item: Display>,
    expected: impl IntoIterator<Item: Display>,
) -> String {
    format!(
        "the classes of output `{output}` are {}, and those of `model.classes` are {}: \
         if they are the same under other names, say so with `classes: [...]`, in the order of the model's",
        one_of(found),
        one_of(expected)
    )
}

/// Whether an output can hold the scores of this task.
fn fits(output: &ValueInfo, task: &Task) -> bool {
    match &output.form {
        Form::Tensor { kind, width, .. } => kind.is_float() && !matches!(width, Width::Unfit(_)),
        Form::Maps { value, .. } => value.is_float() && *task != Task::Regression,
        Form::Other(_) => false,
    }
}

fn named<'a>(outputs: &'a [ValueInfo], name: &str, task: &Task) -> Result<&'a ValueInfo> {
    let output = outputs.iter().find(|output| output.name == name);
    let output = output.with_context(|| format!("the model has no output `{name}`: it has {}", one_of(outputs)))?;
    ensure!(fits(output, task), "output {output} holds no scores: the model has {}", one_of(outputs));
    Ok(output)
}

fn inferred<'a>(outputs: &'a [ValueInfo], task: &Task) -> Result<&'a ValueInfo> {
    let fitting: Vec<_> = outputs.iter().filter(|output| fits(output, task)).collect();
    let likely = |output: &&ValueInfo| *task != Task::Regression && output.name.to_lowercase().contains("prob");
    let probable: Vec<_> = fitting.iter().copied().filter(likely).collect();
    let output = match (fitting.as_slice(), probable.as_slice()) {
        ([output], _) | (_, [output]) => *output,
        ([], _) => bail!("no output of the model holds scores: it has {}", one_of(outputs)),
        _ => bail!("several outputs of the model may hold the scores: name one with `output:`, of {}", one_of(fitting)),
    };
    let margin = *task != Task::Regression && MARGINS.iter().any(|name| output.name.to_lowercase().contains(name));
    ensure!(
        !margin,
        "output `{0}` seems to hold raw margins, not probabilities: export probabilities, or insist with `output: {0}`",
        output.name
    );
    Ok(output)
}

//! The ONNX scorer against models of real exporters and hostile ones, made by `tests/fixtures/make.py`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Float64Array, Int64Array, StringArray};
use arrow::array::{BooleanArray, Decimal128Array, Int16Array, StringViewArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field};
use modelgate::artifact::path::{sha256, sha256_of_bytes};
use modelgate::score::definition::Definition;
use modelgate::score::onnx::{Binding, Columns, Mapping, Onnx, Positive, Task};
use modelgate::score::{Bound as _, OnnxModel, stability};
use serde_json::Value;
use tempfile::TempDir;

/// Columns of data by name, in order.
type Data = Vec<(String, ArrayRef)>;

fn models() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/models")
}

fn open(name: &str) -> Arc<Onnx> {
    Onnx::open(fs::read(models().join(format!("{name}.onnx"))).unwrap()).unwrap()
}

fn fields(data: &Data) -> Vec<Field> {
    data.iter().map(|(name, values)| Field::new(name, values.data_type().clone(), true)).collect()
}

fn column(name: &str, values: impl Array + 'static) -> (String, ArrayRef) {
    (name.to_owned(), Arc::new(values))
}

fn floats(name: &str, values: &[f64]) -> (String, ArrayRef) {
    column(name, Float64Array::from(values.to_vec()))
}

/// Binds with all columns as features.
fn bind(model: &str, task: Task, data: &Data, mapping: &Mapping) -> anyhow::Result<Binding> {
    let fields = fields(data);
    open(model).bind(task, &fields, &fields, mapping)
}

fn score(binding: &Binding, data: &Data) -> anyhow::Result<Float64Array> {
    let find = |name: &String| data.iter().find(|(column, _)| column == name).unwrap().1.clone();
    let columns: Vec<_> = binding.columns().iter().map(find).collect();
    Ok(binding.score(&columns, data[0].1.len())?.remove(0))
}

fn scores(model: &str, task: Task, data: &Data, mapping: &Mapping) -> anyhow::Result<Vec<f64>> {
    Ok(score(&bind(model, task, data, mapping)?, data)?.values().to_vec())
}

fn refusal(model: &str, task: Task, data: &Data, mapping: &Mapping) -> String {
    format!("{:#}", scores(model, task, data, mapping).unwrap_err())
}

fn positive(number: i64) -> Mapping {
    Mapping { positive: Some(Positive::Number(number)), ..Mapping::default() }
}

fn class(name: &str) -> Mapping {
    Mapping { positive: Some(Positive::Name(name.to_owned())), ..Mapping::default() }
}

fn output(name: &str) -> Mapping {
    Mapping { output: Some(name.to_owned()), ..Mapping::default() }
}

fn inputs<const N: usize>(inputs: [(&str, &[&str]); N]) -> Mapping {
    let many = |names: &[&str]| Columns::Many(names.iter().map(|name| (*name).to_owned()).collect());
    let inputs = inputs.into_iter().map(|(input, names)| (input.to_owned(), many(names))).collect();
    Mapping { inputs, ..Mapping::default() }
}

/// A column of `expected.json`.
fn parse(values: &Value) -> ArrayRef {
    let values = values.as_array().unwrap();
    if values[0].is_string() {
        return Arc::new(values.iter().map(Value::as_str).collect::<StringArray>());
    }
    if values[0].is_i64() {
        return Arc::new(values.iter().map(Value::as_i64).collect::<Int64Array>());
    }
    Arc::new(values.iter().map(Value::as_f64).collect::<Float64Array>())
}

struct Case {
    task: Task,
    mapping: Mapping,
    data: Data,
    scores: Vec<f64>,
}

/// The models whose scores are known from Python.
fn cases() -> BTreeMap<String, Case> {
    let text = fs::read_to_string(models().join("expected.json")).unwrap();
    let cases: BTreeMap<String, Value> = serde_json::from_str(&text).unwrap();
    let one_score = cases.into_iter().filter(|(_, case)| case["task"] != "multiclass");
    one_score.map(|(name, case)| (name.clone(), read_case(&name, &case))).collect()
}

fn read_case(name: &str, case: &Value) -> Case {
    let columns = case["columns"].as_object().unwrap();
    Case {
        task: if case["task"] == "binary" { Task::Binary } else { Task::Regression },
        mapping: match name {
            "sklearn_text_classes" => class("late"),
            "sklearn_text_columns" => positive(0),
            _ => Mapping::default(),
        },
        data: columns.iter().map(|(name, values)| (name.clone(), parse(values))).collect(),
        scores: case["scores"].as_array().unwrap().iter().map(float32).collect(),
    }
}

/// The float32 that the model gave; reading JSON may miss its float64 by a bit.
fn float32(score: &Value) -> f64 {
    f64::from(score.as_f64().unwrap() as f32)
}

fn repeated(data: &Data, rows: usize) -> Data {
    let indices = Int64Array::from_iter_values((0..rows).map(|row| (row % 10) as i64));
    data.iter().map(|(name, values)| (name.clone(), arrow::compute::take(values, &indices, None).unwrap())).collect()
}

#[test]
fn scores_are_those_of_python_to_the_bit() {
    let cases = cases();
    assert_eq!(cases.len(), 12);
    for (name, case) in cases {
        let found = scores(&name, case.task.clone(), &case.data, &case.mapping).unwrap();
        assert_eq!(found, case.scores, "{name}");
    }
}

/// A mapping that says the classes of the model's outputs.
fn classes(names: &[&str]) -> Mapping {
    Mapping { classes: names.iter().map(|name| (*name).to_owned()).collect(), ..Mapping::default() }
}

fn multiclass(names: &[&str]) -> Task {
    Task::Multiclass(names.iter().map(|name| (*name).to_owned()).collect())
}

/// The scores of each class, row by row.
fn by_class(model: &str, task: Task, data: &Data, mapping: &Mapping) -> anyhow::Result<Vec<Vec<f64>>> {
    let binding = bind(model, task, data, mapping)?;
    let find = |name: &String| data.iter().find(|(column, _)| column == name).unwrap().1.clone();
    let columns: Vec<_> = binding.columns().iter().map(find).collect();
    let scores = binding.score(&columns, data[0].1.len())?;
    Ok((0..data[0].1.len()).map(|row| scores.iter().map(|scores| scores.value(row)).collect()).collect())
}

#[test]
fn the_scores_of_classes_are_those_of_python_in_the_order_of_the_task() {
    let text = fs::read_to_string(models().join("expected.json")).unwrap();
    let known: BTreeMap<String, Value> = serde_json::from_str(&text).unwrap();
    let flights = ["on time", "late", "very late"];
    let cases = [
        ("multiclass_columns", flights, Mapping::default()),
        ("multiclass_zipmap", flights, Mapping::default()),
        ("multiclass_lightgbm", ["0", "1", "2"], Mapping::default()),
        ("multiclass_lightgbm", flights, classes(&flights)),
    ];
    for (model, names, mapping) in cases {
        let columns = known[model]["columns"].as_object().unwrap();
        let data: Data = columns.iter().map(|(name, values)| (name.clone(), parse(values))).collect();
        let expected: Vec<Vec<f64>> = known[model]["scores"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| row.as_array().unwrap().iter().map(float32).collect())
            .collect();
        assert_eq!(by_class(model, multiclass(&names), &data, &mapping).unwrap(), expected, "{model}");
        let turned = [names[2], names[0], names[1]];
        let found = by_class(model, multiclass(&turned), &data, &mapping).unwrap();
        assert_eq!(found, expected.iter().map(|row| vec![row[2], row[0], row[1]]).collect::<Vec<_>>(), "{model}");
    }
}

#[test]
fn which_output_is_of_which_class_must_be_known() {
    let data = vec![floats("x", &[0.5, -1.0]), floats("w", &[0.1, 2.0])];
    let fruit = ["apple", "pear", "quince"];
    let order = ["pear", "apple", "quince"];
    let maps = by_class("fruit", multiclass(&fruit), &data, &Mapping::default()).unwrap();
    assert_eq!(by_class("fruit_columns", multiclass(&fruit), &data, &classes(&order)).unwrap(), maps);
    let numbered = by_class("fruit_columns", multiclass(&["1", "0", "2"]), &data, &Mapping::default()).unwrap();
    assert_eq!(numbered, maps);

    let says = |model: &str, task: &[&str], mapping: &Mapping| {
        format!("{:#}", by_class(model, multiclass(task), &data, mapping).unwrap_err())
    };
    let unknown = says("fruit_columns", &fruit, &Mapping::default());
    assert!(unknown.contains("not known from the model") && unknown.contains("`classes: [...]`"), "{unknown}");
    let others = says("fruit", &["a", "b", "c"], &Mapping::default());
    assert!(others.contains("are pear, apple, quince, and those of `model.classes` are a, b, c"), "{others}");
    let fewer = says("fruit", &["pear", "apple"], &Mapping::default());
    assert!(fewer.contains("are apple, pear, quince, and those of `model.classes` are pear, apple"), "{fewer}");
    let narrow = says("fruit_columns", &["0", "1"], &Mapping::default());
    assert!(narrow.contains("has 3 columns, and `model.classes` has 2"), "{narrow}");
    assert!(says("fruit", &fruit, &positive(1)).contains("`positive:` is for classifiers of two classes"));
}

#[test]
fn the_score_of_a_row_does_not_depend_on_its_batch() {
    for (name, case) in cases() {
        let data = repeated(&case.data, 2000);
        let binding = bind(&name, case.task.clone(), &data, &case.mapping).unwrap();
        let whole = score(&binding, &data).unwrap();
        for size in [1, 7, 16, 1024] {
            for start in (0..2000).step_by(size) {
                let length = size.min(2000 - start);
                let batch = data.iter().map(|(name, values)| (name.clone(), values.slice(start, length))).collect();
                assert_eq!(score(&binding, &batch).unwrap(), whole.slice(start, length), "{name} by {size}");
            }
        }
    }
}

#[test]
fn a_model_that_looks_at_its_batch_is_found_out_and_no_other() {
    for (name, case) in cases() {
        let data = repeated(&case.data, stability::ROWS);
        let columns = data.iter().map(|(_, values)| values.clone()).collect::<Vec<_>>();
        let binding = bind(&name, case.task.clone(), &data, &case.mapping).unwrap();
        let columns = binding.columns().iter().map(|fed| {
            let place = data.iter().position(|(column, _)| column == fed).unwrap();
            columns[place].clone()
        });
        assert_eq!(stability::look(&binding, &columns.collect::<Vec<_>>(), stability::ROWS).unwrap(), None, "{name}");
    }
    for rows in [1, 5, 6, 300] {
        let data = vec![floats("x", &(0..rows).map(|row| f64::from(row) / 100.0).collect::<Vec<_>>())];
        let binding = bind("of_its_batch", Task::Binary, &data, &Mapping::default()).unwrap();
        let found = stability::look(&binding, &[data[0].1.clone()], data[0].1.len()).unwrap();
        match found {
            // All rows in one batch again.
            None => assert!(rows <= 5, "{rows}"),
            Some(found) => {
                let largest = found.largest.unwrap();
                assert!(rows > 5 && found.differing > 0 && found.rows == data[0].1.len(), "{found:?}");
                assert!(largest > 1e-8 && largest < 1e-4, "{largest}");
            }
        }
    }
}

/// The definition of a bound model whose file stands in a folder.
fn define(name: &str, file: &Path, case: &Case) -> String {
    let bytes = fs::read(models().join(format!("{name}.onnx"))).unwrap();
    fs::write(file, &bytes).unwrap();
    let (sha256, mapping) = (sha256_of_bytes(&bytes), case.mapping.clone());
    let model = OnnxModel { file: file.to_owned(), sha256, model: Onnx::open(bytes).unwrap(), mapping };
    let binding = bind(name, case.task.clone(), &case.data, &case.mapping).unwrap();
    Definition::new(&model, &binding).text().unwrap()
}

#[test]
fn a_model_is_opened_again_from_its_definition() {
    let folder = TempDir::new().unwrap();
    for (name, case) in cases() {
        let text = define(&name, &folder.path().join("model.onnx"), &case);
        let definition = Definition::parse(&text).unwrap();
        assert_eq!(definition.outputs(), 1, "{name}");
        assert_eq!(score(&definition.open().unwrap(), &case.data).unwrap().values(), &case.scores[..], "{name}");
    }
}

#[test]
fn another_model_at_the_path_of_a_definition_is_refused() {
    let (folder, case) = (TempDir::new().unwrap(), &cases()["sklearn_columns"]);
    let file = folder.path().join("model.onnx");
    let text = define("sklearn_columns", &file, case);
    let refusal = || format!("{:#}", Definition::parse(&text).unwrap().open().unwrap_err());

    let own = sha256(&file).unwrap();
    fs::copy(models().join("sklearn_forest.onnx"), &file).unwrap();
    let other = sha256(&file).unwrap();
    assert!(refusal().contains(&format!("has the digest {other} here, and the run judges {own}")), "{}", refusal());
    fs::remove_file(&file).unwrap();
    assert!(refusal().contains("every machine must see it at the path that the run sees it at"), "{}", refusal());
    assert!(Definition::parse("{}").is_err());
}

#[test]
fn several_threads_get_the_same_scores() {
    let case = &cases()["sklearn_columns"];
    let binding = bind("sklearn_columns", case.task.clone(), &case.data, &case.mapping).unwrap();
    std::thread::scope(|scope| {
        let work = || (0..50).for_each(|_| assert_eq!(score(&binding, &case.data).unwrap().values(), &case.scores[..]));
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(work)).collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
}

#[test]
fn columns_of_any_encoding_give_the_same_scores() {
    let case = &cases()["sklearn_columns"];
    let text = DataType::Dictionary(Box::new(DataType::Int8), Box::new(DataType::Utf8));
    for encoding in [text, DataType::Utf8View, DataType::LargeUtf8] {
        let encode = |(name, values): &(String, ArrayRef)| {
            let to = if values.data_type().is_string() { &encoding } else { &DataType::Int16 };
            let to = if values.data_type().is_floating() { &DataType::Float32 } else { to };
            (name.clone(), cast(values, to).unwrap())
        };
        let data: Data = case.data.iter().map(encode).collect();
        assert_eq!(
            scores("sklearn_columns", case.task.clone(), &data, &case.mapping).unwrap(),
            case.scores,
            "{encoding}"
        );
    }
}

#[test]
fn no_rows_give_no_scores() {
    let case = &cases()["xgboost_classifier"];
    let binding = bind("xgboost_classifier", case.task.clone(), &case.data, &case.mapping).unwrap();
    assert_eq!(score(&binding, &repeated(&case.data, 0)).unwrap().len(), 0);
}

#[test]
fn a_score_that_is_not_finite_is_kept() {
    let data = vec![floats("x", &[-1.0, 0.0, 1.0])];
    let found = scores("not_finite", Task::Regression, &data, &Mapping::default()).unwrap();
    assert!(found[0].is_nan());
    assert_eq!(found[1..], [f64::NEG_INFINITY, 0.0]);
}

#[test]
fn a_missing_number_is_nan_for_floats_and_an_error_for_the_rest() {
    let x = Float64Array::from(vec![Some(0.0), None]);
    let data = vec![column("x", x), floats("w", &[1.0, 1.0])];
    let found = scores("sigmoid", Task::Binary, &data, &Mapping::default()).unwrap();
    assert!(found[0] == 0.5 && found[1].is_nan());

    let data =
        vec![column("i", Int64Array::from(vec![Some(1), None])), column("b", BooleanArray::from(vec![true, false]))];
    let message = refusal("small_kinds", Task::Regression, &data, &Mapping::default());
    assert!(message.contains("column `i` has 1 missing value"), "{message}");

    let mut data = repeated(&cases()["sklearn_columns"].data, 2);
    data[0].1 = Arc::new(StringViewArray::from(vec![Some("UA"), None]));
    let message = refusal("sklearn_columns", Task::Binary, &data, &Mapping::default());
    assert!(message.contains("column `carrier` has 1 missing value") && message.contains("fill them"), "{message}");
}

#[test]
fn numbers_become_what_the_model_takes_or_are_refused() {
    let b = || column("b", BooleanArray::from(vec![true, false]));
    let fits = vec![column("i", Int64Array::from(vec![127, -128])), b()];
    assert_eq!(scores("small_kinds", Task::Regression, &fits, &Mapping::default()).unwrap(), [128.0, -128.0]);

    let large = vec![column("i", Int64Array::from(vec![128, 0])), b()];
    let message = refusal("small_kinds", Task::Regression, &large, &Mapping::default());
    assert!(message.contains("column `i` has values that do not fit"), "{message}");

    let fraction = vec![floats("i", &[1.5, 0.0]), b()];
    let message = refusal("small_kinds", Task::Regression, &fraction, &Mapping::default());
    assert!(message.contains("column `i` is Float64, and input `i` takes int8"), "{message}");

    let decimal = Decimal128Array::from(vec![0, 0]).with_precision_and_scale(9, 2).unwrap();
    let data = vec![column("x", decimal), column("w", Int16Array::from(vec![1, 2]))];
    assert_eq!(scores("sigmoid", Task::Binary, &data, &Mapping::default()).unwrap(), [0.5, 0.5]);

    let text = vec![column("x", StringArray::from(vec!["0"])), floats("w", &[0.0])];
    let message = refusal("sigmoid", Task::Binary, &text, &Mapping::default());
    assert!(message.contains("column `x` is Utf8, and input `x` takes float32"), "{message}");
}

#[test]
fn a_batch_of_another_type_than_was_bound_is_refused() {
    let binding =
        bind("sigmoid", Task::Binary, &vec![floats("x", &[]), floats("w", &[])], &Mapping::default()).unwrap();
    let text = vec![column("x", StringArray::from(vec!["0"])), floats("w", &[0.0])];
    assert!(score(&binding, &text).unwrap_err().to_string().contains("is Utf8"));
    let short = [floats("x", &[0.0]).1, floats("w", &[]).1];
    assert!(binding.score(&short, 1).unwrap_err().to_string().contains("`w` has 0 values for 1 rows"));
    assert!(binding.score(&short[..1], 1).unwrap_err().to_string().contains("1 columns given"));
}

#[test]
fn text_with_a_nul_character_is_refused() {
    let mut data = repeated(&cases()["sklearn_columns"].data, 1);
    data[0].1 = Arc::new(StringArray::from(vec!["U\0A"]));
    assert!(refusal("sklearn_columns", Task::Binary, &data, &Mapping::default()).contains("NUL"));
}

#[test]
fn a_matrix_is_fed_in_the_declared_order_or_the_mapped_one() {
    let case = &cases()["lightgbm_classifier"];
    let reversed: Data = case.data.iter().rev().cloned().collect();
    let swapped = scores("lightgbm_classifier", case.task.clone(), &reversed, &Mapping::default()).unwrap();
    assert_ne!(swapped, case.scores);
    let mapping = inputs([("X", &["distance", "temp", "wind_speed"])]);
    assert_eq!(scores("lightgbm_classifier", case.task.clone(), &reversed, &mapping).unwrap(), case.scores);
}

#[test]
fn a_matrix_of_another_width_is_refused() {
    let data = vec![floats("a", &[1.0]), floats("b", &[1.0])];
    let message = refusal("xgboost_classifier", Task::Binary, &data, &Mapping::default());
    assert!(message.contains("takes 3 values per row, and 2 columns are given"), "{message}");
}

#[test]
fn an_input_is_bound_to_a_column_that_is_no_feature() {
    let all = vec![floats("x", &[0.0]), floats("w", &[0.0])];
    let features = fields(&all[..1].to_vec());
    let binding = open("sigmoid").bind(Task::Binary, &features, &fields(&all), &Mapping::default()).unwrap();
    assert_eq!(binding.columns(), ["x", "w"]);
}

#[test]
fn an_input_without_a_column_is_an_error_with_the_nearest_name() {
    let mut data = repeated(&cases()["sklearn_columns"].data, 1);
    data[2].0 = "distances".to_owned();
    let message = refusal("sklearn_columns", Task::Binary, &data, &Mapping::default());
    assert!(message.contains("`distance` (did you mean column `distances`?)"), "{message}");
    assert!(
        message.contains("`carrier` (text [N, 1])") && message.contains("the features are carrier, dep_hour"),
        "{message}"
    );
    assert!(scores("sklearn_columns", Task::Binary, &data, &inputs([("distance", &["distances"])])).is_ok());

    let message = refusal("sklearn_columns", Task::Binary, &data, &inputs([("distance", &["distanced"])]));
    assert!(message.contains("did you mean `distances`?"), "{message}");
    let message = refusal("sklearn_columns", Task::Binary, &data, &inputs([("speed", &["temp"])]));
    assert!(message.contains("`inputs:` names `speed`"), "{message}");
}

#[test]
fn what_does_not_follow_from_the_model_is_asked_for() {
    let x = || vec![floats("x", &[0.0]), floats("w", &[1.0])];
    let asked = |model, task| refusal(model, task, &x(), &Mapping::default());
    assert!(asked("three_classes", Task::Binary).contains("3 columns, one per class: say which is positive"));
    assert!(asked("two_scores", Task::Binary).contains("name one with `output:`, of `a`"));
    assert!(asked("margin", Task::Binary).contains("insist with `output: margin`"));
    assert!(asked("no_scores", Task::Binary).contains("no output of the model holds scores: it has `label`"));
    assert!(asked("three_classes", Task::Regression).contains("3 values per row, and regression takes one"));
    let data = &cases()["sklearn_columns"].data;
    let text = refusal("sklearn_text_classes", Task::Binary, data, &Mapping::default());
    assert!(text.contains("say which is positive with `positive: <class>`"), "{text}");
    let text = refusal("sklearn_text_columns", Task::Binary, data, &Mapping::default());
    assert!(text.contains("say so with `positive: 0` or `positive: 1`"), "{text}");
}

#[test]
fn the_positive_class_of_maps_is_inferred_only_when_it_is_plain() {
    let x = vec![floats("x", &[30.0])];
    assert_eq!(scores("classes_signed", Task::Binary, &x, &Mapping::default()).unwrap(), [1.0]);
    assert_eq!(scores("classes_signed", Task::Binary, &x, &positive(-1)).unwrap()[0].round(), 0.0);
    let message = refusal("classes_ordinal", Task::Binary, &x, &Mapping::default());
    assert!(message.contains("`positive:` must be a class of output `scores`: 1, 2"), "{message}");
    assert_eq!(scores("classes_ordinal", Task::Binary, &x, &positive(2)).unwrap(), [1.0]);
}

#[test]
fn an_output_that_is_named_a_probability_is_preferred() {
    let x = vec![floats("x", &[0.0])];
    assert_eq!(scores("score_and_margin", Task::Binary, &x, &Mapping::default()).unwrap(), [0.5]);
    assert!(refusal("score_and_margin", Task::Regression, &x, &Mapping::default()).contains("several outputs"));
}

#[test]
fn the_mapping_settles_what_was_asked_for() {
    let x = vec![floats("x", &[0.0]), floats("w", &[30.0])];
    assert_eq!(scores("two_scores", Task::Binary, &x, &output("a")).unwrap(), [0.5]);
    assert_eq!(scores("margin", Task::Binary, &x, &output("margin")).unwrap(), [0.0]);
    let third = scores("three_classes", Task::Binary, &x, &positive(2)).unwrap();
    assert_eq!(third, [f64::from(1.0_f32 / 3.0)]);

    let case = &cases()["lightgbm_zipmap"];
    let negative = scores("lightgbm_zipmap", case.task.clone(), &case.data, &positive(0)).unwrap();
    for (negative, positive) in negative.iter().zip(&case.scores) {
        assert!((negative + positive - 1.0).abs() < 1e-6);
    }
}

#[test]
fn a_mapping_that_does_not_fit_is_an_error() {
    let x = vec![floats("x", &[0.0]), floats("w", &[1.0])];
    assert!(refusal("two_scores", Task::Binary, &x, &output("c")).contains("no output `c`: it has `a`"));
    assert!(refusal("no_scores", Task::Binary, &x, &output("label")).contains("holds no scores"));
    assert!(refusal("three_classes", Task::Binary, &x, &positive(3)).contains("from 0 to 2"));
    assert!(refusal("three_classes", Task::Binary, &x, &positive(-1)).contains("from 0 to 2"));
    assert!(refusal("sigmoid", Task::Binary, &x, &positive(1)).contains("single column"));
    assert!(refusal("sigmoid", Task::Regression, &x, &positive(1)).contains("for classifiers"));
    let wrong = [
        ("lightgbm_zipmap", positive(7), "must be a class of output `probabilities`: 0, 1"),
        ("lightgbm_zipmap", class("1"), "must be a class of output `probabilities`: 0, 1"),
        ("sklearn_text_classes", class("delayed"), "must be a class of output `output_probability`: late, on time"),
        ("sklearn_text_columns", class("late"), "give the number of the column, from 0 to 1"),
    ];
    for (model, mapping, expected) in wrong {
        let message = refusal(model, Task::Binary, &cases()[model].data, &mapping);
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn a_model_must_give_one_score_per_row() {
    let message = refusal("other_rows", Task::Regression, &vec![floats("x", &[1.0, 2.0])], &Mapping::default());
    assert!(message.contains("has 32 rows where 16 were fed"), "{message}");
}

#[test]
fn models_that_take_or_give_no_columns_are_refused() {
    let x = vec![floats("x", &[1.0])];
    assert!(refusal("fixed_rows", Task::Binary, &x, &Mapping::default()).contains("dynamic first dimension"));
    assert!(
        refusal("sequence", Task::Regression, &x, &Mapping::default()).contains("no output of the model holds scores")
    );
}

#[test]
fn vectors_of_doubles_are_fed_and_read() {
    let found = scores("flat_float64", Task::Binary, &vec![floats("x", &[0.0, 2.0])], &Mapping::default()).unwrap();
    assert_eq!(found[0], 0.5);
    assert!((found[1] - 1.0 / (1.0 + (-2.0_f64).exp())).abs() < 1e-15);
}

#[test]
fn external_data_is_never_loaded() {
    let bytes = fs::read(models().join("external_data.onnx")).unwrap();
    let message = Onnx::open(bytes).err().unwrap().to_string();
    assert!(message.contains("external data") && message.contains("save it as one file"), "{message}");
}

#[test]
fn corrupt_models_are_errors() {
    let whole = fs::read(models().join("sklearn_columns.onnx")).unwrap();
    assert!(Onnx::open(whole.clone()).is_ok());
    for length in (0..whole.len()).step_by(13) {
        assert!(Onnx::open(whole[..length].to_vec()).is_err(), "{length} bytes");
    }
    for position in (0..whole.len()).step_by(3) {
        let mut bytes = whole.clone();
        bytes[position] ^= 0xff;
        let fields = fields(&cases()["sklearn_columns"].data);
        if let Ok(onnx) = Onnx::open(bytes) {
            drop(onnx.bind(Task::Binary, &fields, &fields, &Mapping::default()));
        }
    }
}

#[test]
fn the_signature_is_plain_data() {
    let signature = open("sklearn_columns").signature().clone();
    let json = serde_json::to_value(&signature).unwrap();
    assert_eq!(
        json["inputs"][0],
        serde_json::json!({"name": "carrier", "form": {"tensor": {"kind": "text", "rows": null, "width": {"fixed": 1}}}})
    );
    assert_eq!(signature.outputs[1].to_string(), "`probabilities` (float32 [N, 2])");
}

#[test]
fn a_mapping_is_strict() {
    let mapping: Mapping =
        serde_json::from_str(r#"{"positive": "late", "inputs": {"X": ["a", "b"], "y": "c"}}"#).unwrap();
    assert_eq!(mapping.positive, Some(Positive::Name("late".to_owned())));
    assert_eq!(mapping.inputs["y"], Columns::One("c".to_owned()));
    assert!(serde_json::from_str::<Mapping>(r#"{"outputs": "a"}"#).is_err());
}

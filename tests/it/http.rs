//! Models behind an address: servers that do as they should, and those that are busy, hang, babble, lie and lead elsewhere.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use arrow::array::{ArrayRef, AsArray as _, Float64Array, Int64Array, RecordBatch, StringArray};
use modelgate::artifact::fetch::Limits;
use modelgate::artifact::reach::Reach;
use modelgate::artifact::world::{Shelf, World};
use modelgate::score::program::Programs;
use modelgate::score::{Bound, Judged};
use modelgate::spec::written::{Model, Scorer};
use proptest::prelude::*;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::process::{ROWS, gate_of, told};
use crate::sources::server::{Asked, Reply, Server};

mod real;
mod served;

const PATH: &str = "v2/models/delays/infer";

/// Rows of the features, a batch of any size.
fn rows(count: usize) -> RecordBatch {
    let rows = 0..i32::try_from(count).unwrap();
    let columns: [(&str, ArrayRef); 2] = [
        ("distance", Arc::new(Float64Array::from_iter_values(rows.clone().map(|row| f64::from(row % 997) / 8.0)))),
        ("dep_hour", Arc::new(Int64Array::from_iter_values(rows.map(|row| i64::from(row % 24))))),
    ];
    RecordBatch::try_from_iter(columns).unwrap()
}

/// What the model of the tests says of a row.
fn model(distance: f64, dep_hour: f64) -> f64 {
    1.0 / (1.0 + (0.04 * distance + 0.08 * dep_hour - 2.0).exp())
}

fn expected(rows: &RecordBatch) -> Vec<f64> {
    let distances = rows["distance"].as_primitive::<arrow::datatypes::Float64Type>().values();
    let hours = rows["dep_hour"].as_primitive::<arrow::datatypes::Int64Type>().values();
    distances.iter().zip(hours).map(|(distance, hour)| model(*distance, *hour as f64)).collect()
}

/// A run that asks a server.
struct Run {
    reach: Reach,
    variables: Vec<(&'static str, String)>,
    model: Value,
    features: Vec<&'static str>,
}

impl Run {
    fn new() -> Self {
        let model = json!({ "name": "m", "task": "binary" });
        Self { reach: Reach::Own, variables: Vec::new(), model, features: vec!["distance", "dep_hour"] }
    }

    /// Of a multiclass model.
    fn of_classes(classes: &Value) -> Self {
        Self { model: json!({ "name": "m", "task": "multiclass", "classes": classes }), ..Self::new() }
    }

    /// Of a pull request whose base allows these hosts.
    fn of_pull_request(allowed: &[&str]) -> Self {
        let allowed = allowed.iter().map(|&entry| entry.to_owned()).collect();
        Self { reach: Reach::Named { workspace: PathBuf::from("/"), allowed }, ..Self::new() }
    }

    fn open(&self, scorer: &Value) -> Result<Judged, String> {
        let world = World::new(Path::new(""), self.reach.clone(), &Arc::new(Shelf::new(None)), &Arc::default());
        let world = world.within(Limits { pause: Duration::from_millis(5), ..Limits::default() });
        let world = world.on(self.variables.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect());
        let written = serde_json::from_value::<Scorer>(scorer.clone()).unwrap();
        let opened =
            tokio::runtime::Runtime::new().unwrap().block_on(Judged::open(&world, &Programs::default(), &written));
        opened.map_err(|error| format!("{error:#}"))
    }

    fn tie(&self, scorer: &Value, rows: &RecordBatch) -> Result<Arc<dyn Bound>, String> {
        let judged = self.open(scorer)?;
        let model = serde_json::from_value::<Model>(self.model.clone()).unwrap();
        let features = self.features.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        let tied = judged.scorer.live().unwrap().tie(&model, &features, &rows.schema());
        Ok(tied.map_err(|error| format!("{error:#}"))?.0)
    }

    fn score_all(&self, scorer: &Value, rows: &RecordBatch) -> Result<Vec<Vec<f64>>, String> {
        let bound = self.tie(scorer, rows)?;
        let columns = bound.columns().iter().map(|name| Arc::clone(&rows[name.as_str()])).collect::<Vec<_>>();
        let scores = bound.score(&columns, rows.num_rows()).map_err(|error| format!("{error:#}"))?;
        Ok(scores.iter().map(|scores| scores.values().to_vec()).collect())
    }

    fn score(&self, scorer: &Value, rows: &RecordBatch) -> Result<Vec<f64>, String> {
        self.score_all(scorer, rows).map(|mut scores| scores.remove(0))
    }

    /// What is said of a server that goes wrong.
    #[track_caller]
    fn fails(&self, scorer: &Value, tells: &[&str]) {
        let error = self.score(scorer, &rows(10)).unwrap_err();
        for text in tells {
            assert!(error.contains(text), "no `{text}` in: {error}");
        }
    }
}

/// The rows that a request brings by MLflow's protocol.
fn frame(asked: &Asked) -> Vec<(f64, f64)> {
    let body = serde_json::from_slice::<Value>(&asked.body).unwrap();
    assert_eq!(body["dataframe_split"]["columns"], json!(["distance", "dep_hour"]));
    let rows = body["dataframe_split"]["data"].as_array().unwrap();
    rows.iter().map(|row| (row[0].as_f64().unwrap(), row[1].as_f64().unwrap())).collect()
}

/// The right answer by MLflow's protocol.
fn predictions(asked: &Asked) -> Value {
    let scores = frame(asked).into_iter().map(|(distance, hour)| model(distance, hour)).collect::<Vec<_>>();
    json!({ "predictions": scores })
}

fn answering(asked: &Asked) -> Reply {
    Reply::of(200, predictions(asked).to_string())
}

/// What a server of the Open Inference Protocol says of a model, with these inputs and outputs.
fn metadata(inputs: &Value, outputs: &Value) -> Value {
    json!({ "name": "delays", "versions": ["3"], "platform": "sklearn", "inputs": inputs, "outputs": outputs })
}

/// The right answer by the Open Inference Protocol, to a matrix.
fn inferred(asked: &Asked) -> Value {
    let body = serde_json::from_slice::<Value>(&asked.body).unwrap();
    let data = body["inputs"][0]["data"].as_array().unwrap().iter().map(|value| value.as_f64().unwrap());
    let scores = data.collect::<Vec<_>>().chunks(2).map(|row| model(row[0], row[1])).collect::<Vec<_>>();
    let shape = [scores.len(), 1];
    json!({ "model_name": "delays", "model_version": "3", "outputs": [
        { "name": "score", "datatype": "FP64", "shape": shape, "data": scores } ] })
}

/// A server of the Open Inference Protocol, and the scorer that asks it.
fn inference(described: Value, answer: impl Fn(&Asked) -> Value + Send + Sync + 'static) -> (Server, Value) {
    let server = Server::start(move |asked| match asked.method.as_str() {
        "GET" => Reply::of(200, described.to_string()),
        _ => Reply::of(200, answer(asked).to_string()),
    });
    let scorer = json!({ "http": server.url(PATH) });
    (server, scorer)
}

/// A server of MLflow's protocol, and the scorer that asks it.
fn invocations(reply: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> (Server, Value) {
    let server = Server::start(reply);
    let scorer = json!({ "http": server.url("invocations"), "batch_rows": 4 });
    (server, scorer)
}

fn with(scorer: &Value, key: &str, value: impl Into<Value>) -> Value {
    let mut scorer = scorer.clone();
    scorer[key] = value.into();
    scorer
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn batches_of_any_size_give_the_same_scores(count in 1_usize..200, batch in 1_usize..250, concurrency in 1_usize..9) {
        let rows = rows(count);
        let (asked, scorer) = invocations(answering);
        let scorer = with(&with(&scorer, "batch_rows", batch), "concurrency", concurrency);
        prop_assert_eq!(Run::new().score(&scorer, &rows).unwrap(), expected(&rows));
        prop_assert_eq!(asked.asked().len(), count.div_ceil(batch));
        let (server, scorer) = inference(metadata(&json!([]), &json!([])), inferred);
        let scorer = with(&with(&scorer, "batch_rows", batch), "concurrency", concurrency);
        prop_assert_eq!(Run::new().score(&scorer, &rows).unwrap(), expected(&rows));
        drop(server);
    }
}

#[test]
fn all_threads_together_ask_no_more_at_once_than_is_allowed() {
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (running, seen) = (Arc::clone(&now), Arc::clone(&most));
    let (_server, scorer) = invocations(move |asked| {
        seen.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(20));
        running.fetch_sub(1, Ordering::SeqCst);
        answering(asked)
    });
    let rows = rows(64);
    let bound = Run::new().tie(&with(&scorer, "concurrency", 3), &rows).unwrap();
    let expected = expected(&rows);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| assert_eq!(bound.score(rows.columns(), 64).unwrap()[0].values().to_vec(), expected));
        }
    });
    assert_eq!(most.load(Ordering::SeqCst), 3);
}

#[test]
fn inputs_are_fed_as_the_model_says_that_it_takes_them() {
    let texts: ArrayRef = Arc::new(StringArray::from(vec!["a\"b", "é"]));
    let mut columns = vec![("carrier", texts)];
    let numbers = rows(2);
    columns.extend([("distance", Arc::clone(&numbers["distance"])), ("dep_hour", Arc::clone(&numbers["dep_hour"]))]);
    let mixed = RecordBatch::try_from_iter(columns).unwrap();
    let answer = |_: &Asked| {
        json!({ "outputs": [
        { "name": "label", "datatype": "INT64", "shape": [2], "data": [0, 1] },
        { "name": "probabilities", "datatype": "FP32", "shape": [2, 2], "data": [[0.9, 0.1], [0.2, 0.8]] } ] })
    };
    let described = metadata(
        &json!([{ "name": "dep_hour", "datatype": "INT32", "shape": [-1] },
                { "name": "who", "datatype": "BYTES", "shape": [-1, 1] },
                { "name": "far", "datatype": "FP32", "shape": [-1, 1] }]),
        &json!([{ "name": "label", "datatype": "INT64", "shape": [-1] },
                { "name": "probabilities", "datatype": "FP32", "shape": [-1, 2] }]),
    );
    let (server, scorer) = inference(described, answer);
    let scorer = with(&scorer, "inputs", json!({ "who": "carrier", "far": "distance" }));
    let run = Run { features: vec!["distance", "dep_hour", "carrier"], ..Run::new() };
    // A float of 32 bits is that float, however many digits it was written with.
    assert_eq!(run.score(&scorer, &mixed).unwrap(), [f64::from(0.1_f32), f64::from(0.8_f32)]);
    let body = serde_json::from_slice::<Value>(&server.asked()[1].body).unwrap();
    assert_eq!(body["outputs"], json!([{ "name": "probabilities" }]));
    assert_eq!(
        body["inputs"],
        json!([
        { "name": "dep_hour", "datatype": "INT32", "shape": [2], "data": [0, 1] },
        { "name": "who", "datatype": "BYTES", "shape": [2, 1], "data": ["a\"b", "é"] },
        { "name": "far", "datatype": "FP32", "shape": [2, 1], "data": [0.0, 0.125] } ])
    );
    assert_eq!(server.asked()[0].path, "/v2/models/delays");
    let judged = run.open(&scorer).unwrap();
    let served = serde_json::to_value(judged.served).unwrap();
    assert_eq!(served, json!({ "name": "delays", "versions": ["3"], "platform": "sklearn" }));
    assert!(judged.sha256.is_none() && judged.source.starts_with("http:http://127.0.0.1"), "{}", judged.source);
    // Of a model that names no inputs, texts are the columns of a frame, and numbers alone one matrix.
    let (server, scorer) = inference(json!({ "name": "delays" }), answer);
    let scorer = with(&scorer, "output", "probabilities");
    assert_eq!(run.score(&scorer, &mixed).unwrap().len(), 2);
    let body = serde_json::from_slice::<Value>(&server.asked()[1].body).unwrap();
    assert_eq!(body["parameters"], json!({ "content_type": "pd" }));
    let kinds = body["inputs"].as_array().unwrap().iter().map(|input| &input["datatype"]).collect::<Vec<_>>();
    assert_eq!(kinds, ["FP64", "INT64", "BYTES"]);
    Run::new().score(&scorer, &mixed).unwrap();
    let body = serde_json::from_slice::<Value>(&server.asked()[3].body).unwrap();
    assert!(body["parameters"].is_null());
    assert_eq!(body["inputs"][0]["shape"], json!([2, 2]));
    assert_eq!(
        body["inputs"][0]["data"],
        json!([0.0, 0, 0.125, 1])
            .as_array()
            .map(|values| { Value::from(values.iter().map(|value| value.as_f64().unwrap()).collect::<Vec<_>>()) })
            .unwrap()
    );
}

#[test]
fn a_model_that_says_nothing_of_itself_is_asked_all_the_same() {
    let server = Server::start(|asked| match asked.method.as_str() {
        "GET" => Reply::of(404, ""),
        _ => Reply::of(200, inferred(asked).to_string()),
    });
    let scorer = json!({ "http": server.url(PATH) });
    assert_eq!(Run::new().score(&scorer, &rows(5)).unwrap(), expected(&rows(5)));
    assert!(Run::new().open(&scorer).unwrap().served.is_none());
    for (reply, tells) in [
        (Reply::of(200, "<html>"), "does not describe its model"),
        (Reply::of(401, ""), "`MODELGATE_TOKENS`"),
        (Reply::of(200, vec![b' '; 5 << 20]), "more than 1048576 bytes"),
    ] {
        let server = Server::start(move |_| reply.clone());
        let error = Run::new().open(&json!({ "http": server.url(PATH) })).unwrap_err();
        assert!(error.contains(tells), "{error}");
    }
}

#[test]
fn what_cannot_be_fed_is_said_before_anything_is_sent() {
    let values = |values: Vec<Option<f64>>| -> ArrayRef { Arc::new(Float64Array::from(values)) };
    let rows = |distance| {
        let hours: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), None]));
        RecordBatch::try_from_iter_with_nullable([("distance", distance, true), ("dep_hour", hours, true)]).unwrap()
    };
    let missing = rows(values(vec![None, Some(f64::NAN)]));
    let infinite = rows(values(vec![Some(1.0), Some(f64::INFINITY)]));
    let (server, scorer) = inference(metadata(&json!([]), &json!([])), inferred);
    let error = Run::new().score(&scorer, &missing).unwrap_err();
    assert!(error.contains("column `distance` has 2 missing values") && error.contains("MLflow"), "{error}");
    let declared = metadata(&json!([{ "name": "x", "datatype": "FP64", "shape": [-1, 3] }]), &json!([]));
    let (other, wide) = inference(declared, inferred);
    let error = Run::new().tie(&wide, &missing).unwrap_err();
    assert!(error.contains("takes 3 values per row, and 2 columns are given"), "{error}");
    assert!(server.asked().iter().chain(&other.asked()).all(|asked| asked.method == "GET"));
    // MLflow's frames have a form for what is missing, and none for what is infinite.
    let (server, scorer) = invocations(|_| Reply::of(200, json!({ "predictions": [0.5, 0.25] }).to_string()));
    assert_eq!(Run::new().score(&scorer, &missing).unwrap(), [0.5, 0.25]);
    let body = serde_json::from_slice::<Value>(&server.asked()[0].body).unwrap();
    assert_eq!(body["dataframe_split"]["data"], json!([[null, 1], [null, null]]));
    let error = Run::new().score(&scorer, &infinite).unwrap_err();
    assert!(error.contains("column `distance` has 1 infinite values"), "{error}");
}

#[test]
fn predictions_have_many_forms() {
    let score = |run: &Run, answer: Value, more: Value| {
        let (_server, scorer) = invocations(move |_| Reply::of(200, answer.to_string()));
        let mut scorer = scorer;
        more.as_object().unwrap().iter().for_each(|(key, value)| scorer[key] = value.clone());
        run.score_all(&scorer, &rows(2))
    };
    let binary = Run::new();
    for (answer, more) in [
        (json!({ "predictions": [0.25, 0.5] }), json!({})),
        (json!([0.25, 0.5]), json!({})),
        (json!({ "predictions": [[0.25], [0.5]] }), json!({})),
        (json!({ "predictions": [[0.75, 0.25], [0.5, 0.5]] }), json!({})),
        (json!({ "predictions": [[0.25, 0.75], [0.5, 0.5]] }), json!({ "positive": 0 })),
        (json!({ "predictions": [{ "p": 0.25 }, { "p": 0.5 }] }), json!({})),
        (json!({ "predictions": [{ "p": 0.25, "q": "x" }, { "p": 0.5, "q": "y" }] }), json!({ "output": "p" })),
        (
            json!({ "predictions": [{ "no": 0.75, "yes": 0.25 }, { "yes": 0.5, "no": 0.5 }] }),
            json!({ "positive": "yes" }),
        ),
        (json!({ "predictions": { "p": [0.25, 0.5], "q": [1, 2] } }), json!({ "output": "p" })),
    ] {
        assert_eq!(score(&binary, answer.clone(), more).unwrap(), [[0.25, 0.5]], "{answer}");
    }
    let classes = Run::of_classes(&json!(["b", "a"]));
    for (answer, more) in [
        (json!({ "predictions": [[0.25, 0.75], [0.5, 0.5]] }), json!({ "classes": ["a", "b"] })),
        (json!({ "predictions": [{ "a": 0.25, "b": 0.75 }, { "a": 0.5, "b": 0.5 }] }), json!({})),
    ] {
        assert_eq!(score(&classes, answer.clone(), more).unwrap(), [[0.75, 0.5], [0.25, 0.5]], "{answer}");
    }
    for (run, answer, more, tells) in [
        (&binary, json!({ "predictions": [0, 1] }), json!({}), "predict_proba"),
        (&binary, json!({ "predictions": ["a", "b"] }), json!({}), "which is no finite number"),
        (&binary, json!({ "predictions": [0.5, null] }), json!({}), "no score for 1 of 2 rows"),
        (&binary, json!({ "predictions": [0.5] }), json!({}), "answers 2 rows with 1"),
        (&binary, json!({ "predictions": [0.5, 0.5, 0.5] }), json!({}), "answers 2 rows with 3"),
        (&binary, json!({ "predictions": [[0.5], [0.5, 0.5]] }), json!({}), "rows of several lengths"),
        (&binary, json!({ "predictions": [[], []] }), json!({}), "0 columns"),
        (&binary, json!({ "predictions": [[0.1, 0.2, 0.7], [0.1, 0.2, 0.7]] }), json!({}), "`positive:"),
        (
            &binary,
            json!({ "predictions": [{ "p": 0.5, "q": 0.5 }, { "p": 0.5, "q": 0.5 }] }),
            json!({}),
            "`output:`, of p, q",
        ),
        (&binary, json!({ "predictions": [{ "p": 0.5 }, { "q": 0.5 }] }), json!({}), "no score for 1"),
        (&binary, json!({ "predictions": [{ "p": 0.5 }, 0.5] }), json!({}), "only some"),
        (&binary, json!({ "predictions": { "p": [0.5] } }), json!({}), "answers 2 rows with 1"),
        (&binary, json!({ "predictions": "done" }), json!({}), "neither a list nor a frame"),
        (&binary, json!({ "error": "x" }), json!({}), "no `predictions`"),
        (&binary, json!("x"), json!({}), "neither a list nor a frame"),
        (&classes, json!({ "predictions": [[0.5, 0.5], [0.5, 0.5]] }), json!({}), "`classes: [...]`"),
        (
            &classes,
            json!({ "predictions": [{ "a": 0.5 }, { "a": 0.5 }] }),
            json!({}),
            "those of `model.classes` are b, a",
        ),
    ] {
        let error = score(run, answer.clone(), more).unwrap_err();
        assert!(error.contains(tells), "{answer}: {error}");
    }
}

#[test]
fn a_tensor_that_lies_is_no_score() {
    let output = |datatype: &str, shape: Value, data: Value| json!([{ "name": "score", "datatype": datatype, "shape": shape, "data": data }]);
    let half = || json!(vec![0.5; 10]);
    for (outputs, tells) in [
        (output("INT64", json!([10]), json!(vec![1; 10])), "holds INT64, which are no probabilities"),
        (output("FP64", json!([9]), json!(vec![0.5; 9])), "has 9 rows where 10 were fed"),
        (output("FP64", json!([10, 2]), half()), "has 10 values, and the shape [10, 2] has 20"),
        (output("FP64", json!([10, 1_u64 << 62]), half()), "no size that can be"),
        (output("FP64", json!([10, 1, 1]), half()), "not one row per row of data"),
        (output("FP64", json!([]), half()), "not one row per row of data"),
        (output("FP64", json!([10]), json!("MA==")), "which is no finite number"),
        (
            output("FP64", json!([10]), json!([0.5, 0.5, 0.5, 0.5, null, 0.5, 0.5, 0.5, 0.5, 0.5])),
            "no score for 1 of 10",
        ),
        (output("FP64", json!([10, 3]), json!(vec![0.5; 30])), "`positive:"),
        (output("FP64", json!([-10]), half()), "has no shape"),
        (json!([]), "answers with 0 outputs"),
        (json!(null), "is not what the protocol"),
        (json!([{ "name": "a" }]), "is not what the protocol"),
    ] {
        let answer = json!({ "model_name": "delays", "outputs": outputs });
        let (_server, scorer) = inference(metadata(&json!([]), &json!([])), move |_| answer.clone());
        Run::new().fails(&scorer, &[tells, "gave no scores"]);
    }
    let (_server, scorer) = inference(metadata(&json!([]), &json!([])), inferred);
    Run::new().fails(&with(&scorer, "output", "other"), &["without the output `other`: there is `score`"]);
}

#[test]
fn numbers_that_are_none_are_named() {
    for (token, tells) in
        [("NaN", "holds `NaN`"), ("-Infinity", "holds `Infinity`"), ("nope", "is not what the protocol")]
    {
        let (_server, scorer) = invocations(move |_| Reply::of(200, format!(r#"{{"predictions": [0.5, {token}]}}"#)));
        Run::new().fails(&scorer, &[tells]);
    }
    // More than the largest number is none either.
    let numbers = ["1e999"; 10].join(", ");
    let (_server, scorer) = invocations(move |_| Reply::of(200, format!("[{numbers}]")));
    Run::new().fails(&with(&scorer, "batch_rows", 10), &["it predicts `1e999`, which is no finite number"]);
}

#[test]
fn a_server_that_is_replaced_while_it_is_asked_is_two_models() {
    let versions = AtomicUsize::new(0);
    let (_server, scorer) = inference(metadata(&json!([]), &json!([])), move |asked| {
        let mut answer = inferred(asked);
        answer["model_version"] = json!(if versions.fetch_add(1, Ordering::SeqCst) < 2 { "3" } else { "4" });
        answer
    });
    let scorer = with(&with(&scorer, "batch_rows", 2), "concurrency", 1);
    Run::new().fails(&scorer, &["`delays` version 3 answered first and `delays` version 4 now", "run again"]);
}

#[test]
fn what_was_wrong_first_is_what_every_thread_says() {
    let (_server, scorer) = invocations(|asked| match asked.before {
        0 => Reply::of(200, "{}"),
        _ => Reply { drip: Some(Duration::from_millis(50)), ..answering(asked) },
    });
    let rows = rows(64);
    let bound = Run::new().tie(&with(&scorer, "seconds", 600), &rows).unwrap();
    std::thread::scope(|scope| {
        let asked = (0..4).map(|_| scope.spawn(|| bound.score(rows.columns(), 64))).collect::<Vec<_>>();
        for thread in asked {
            let error = format!("{:#}", thread.join().unwrap().unwrap_err());
            assert!(error.contains("its answer has no `predictions`"), "{error}");
        }
    });
}

#[test]
fn a_server_that_is_busy_is_asked_again_when_it_says() {
    let (server, scorer) = invocations(|asked| match asked.before {
        0 => Reply::of(503, ""),
        1 => Reply::of(429, "").with("retry-after", "1"),
        2 => answering(asked).cut(10),
        _ => answering(asked),
    });
    let begun = Instant::now();
    assert_eq!(Run::new().score(&with(&scorer, "batch_rows", 100), &rows(10)).unwrap(), expected(&rows(10)));
    assert!(begun.elapsed() >= Duration::from_secs(1), "{:?}", begun.elapsed());
    assert_eq!(server.asked().len(), 4);
    for (reply, tells) in [
        (Reply::of(503, ""), ["503", "in 6 tries"]),
        (Reply::of(200, "[0.5]").cut(2), ["in 6 tries", "run again"]),
        (Reply::of(503, "").with("retry-after", "86400"), ["503", "in 1 tries"]),
    ] {
        let (_server, scorer) = invocations(move |_| reply.clone());
        Run::new().fails(&scorer, &tells);
    }
    let gone = json!({ "http": "http://127.0.0.1:1/invocations" });
    Run::new().fails(&gone, &["in 6 tries", "can be reached"]);
}

#[test]
fn what_a_server_refuses_is_asked_once_and_its_words_are_shown() {
    let trace = "Traceback\n  File\nValueError: Input contains NaN\n";
    for (status, body, tells) in [
        (
            400,
            json!({ "error_code": "BAD_REQUEST", "message": "Failed", "stack_trace": trace }).to_string(),
            "says: Failed / ValueError: Input contains NaN",
        ),
        (500, json!({ "error": "x\u{1b}[31m\nfell" }).to_string(), "fell"),
        (422, "y".repeat(100_000), "422"),
        (413, String::new(), "413"),
        (404, String::new(), "check the name"),
        (403, String::new(), "`MODELGATE_TOKENS`"),
    ] {
        let (server, scorer) = invocations(move |_| Reply::of(status, body.clone()));
        let error = Run::new().score(&with(&scorer, "batch_rows", 100), &rows(10)).unwrap_err();
        assert!(error.contains(tells) && error.len() < 1000, "{error}");
        assert_eq!(server.asked().len(), 1, "{status}");
    }
}

#[test]
fn a_server_that_does_not_answer_or_never_ends_is_given_up() {
    let slow = |asked: &Asked| Reply { drip: Some(Duration::from_secs(2)), ..answering(asked) };
    let (server, scorer) = invocations(slow);
    let scorer = with(&with(&scorer, "seconds", 1), "batch_rows", 100);
    let begun = Instant::now();
    Run::new().fails(&scorer, &["no answer within 1 seconds", "`seconds:`"]);
    assert!(begun.elapsed() < Duration::from_secs(60) && server.asked().len() == 1);
    let (_server, scorer) = invocations(|_| Reply { endless: true, ..Reply::of(200, vec![b' '; 8 << 20]) });
    Run::new().fails(&scorer, &["more than", "bytes"]);
}

#[test]
fn data_is_sent_to_no_other_address_than_the_one_that_was_named() {
    let other = Server::on("127.0.0.2", answering);
    let target = other.url("invocations?sig=secret");
    let (server, scorer) = invocations(move |_| Reply { status: 307, ..Reply::redirect(target.clone()) });
    Run::new()
        .fails(&with(&scorer, "batch_rows", 100), &["redirects to `http://127.0.0.2", "name the address", "?..."]);
    assert_eq!((server.asked().len(), other.asked().len()), (1, 0));
}

#[test]
fn a_pull_request_reaches_what_the_base_allows() {
    let (server, scorer) = invocations(answering);
    let refused = Run::of_pull_request(&["models.acme.com"]);
    let error = refused.open(&scorer).unwrap_err();
    assert!(error.contains("policy.allowed_hosts") && error.contains(&server.host), "{error}");
    assert!(server.asked().is_empty());
    let allowed = Run::of_pull_request(&[&server.host]);
    assert_eq!(allowed.score(&scorer, &rows(10)).unwrap(), expected(&rows(10)));
}

#[test]
fn a_token_goes_to_its_host_only() {
    let (server, scorer) = invocations(answering);
    let tokens = format!("models.acme.com=other {}=own==", server.host);
    let run = Run { variables: vec![("MODELGATE_TOKENS", tokens)], ..Run::new() };
    run.score(&scorer, &rows(2)).unwrap();
    let elsewhere = Run { variables: vec![("MODELGATE_TOKENS", "127.0.0.1=other".to_owned())], ..Run::new() };
    elsewhere.score(&scorer, &rows(2)).unwrap();
    let wrong = Run { variables: vec![("MODELGATE_TOKENS", "secret".to_owned())], ..Run::new() };
    let error = wrong.open(&scorer).unwrap_err();
    assert!(error.contains("pairs `HOST=TOKEN`") && !error.contains("secret"), "{error}");
    let with_password = format!("http://me:secret@{}/invocations", server.host);
    let judged = Run::new().open(&json!({ "http": with_password })).unwrap();
    assert!(!judged.source.contains("secret"), "{}", judged.source);
    Run::new().score(&json!({ "http": with_password }), &rows(2)).unwrap();
    let sent = server.asked().iter().map(|asked| asked.header("authorization").map(str::to_owned)).collect::<Vec<_>>();
    assert_eq!(sent, [Some("Bearer own==".to_owned()), None, Some("Basic bWU6c2VjcmV0".to_owned())]);
}

/// A gate whose candidate is written like this.
fn gate(candidate: &str) -> TempDir {
    let rows = rows(usize::try_from(ROWS).unwrap());
    gate_of(candidate, "0.1", Arc::clone(&rows["distance"]))
}

fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_modelgate"));
    command.current_dir(folder).arg("run").args(arguments);
    command
}

#[test]
fn a_run_is_the_same_on_any_number_of_threads_and_keeps_no_score() {
    let (server, scorer) = inference(metadata(&json!([]), &json!([])), inferred);
    let folder = gate(&scorer.to_string());
    let record = |threads: &str| {
        let output = command(folder.path(), &["--threads", threads, "--cache", "kept"]).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", told(&output));
        fs::read(folder.path().join(".modelgate/record.json")).unwrap()
    };
    let first = record("1");
    assert!(first == record("4"));
    let candidate = serde_json::from_slice::<Value>(&first).unwrap()["inputs"]["candidate"].clone();
    assert_eq!(candidate["source"], format!("http:{}", server.url(PATH)));
    assert_eq!((&candidate["sha256"], &candidate["served"]["name"]), (&Value::Null, &json!("delays")));
    assert!(candidate["unstable"].is_null());
    assert!(!fs::read_dir(folder.path().join("kept")).unwrap().any(|_| true), "scores of a server are not kept");
    // Given for a run, an address is told from a file by its end.
    let given = command(folder.path(), &["--candidate", &server.url(PATH)]).output().unwrap();
    assert_eq!(given.status.code(), Some(0), "{}", told(&given));
}

#[test]
fn a_server_that_lies_ends_the_run_without_a_verdict() {
    let (_server, scorer) = invocations(|_| Reply::of(200, r#"{"predictions": [NaN]}"#));
    let folder = gate(&scorer.to_string());
    let output = command(folder.path(), &[]).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", told(&output));
    assert!(told(&output).contains("holds `NaN`"), "{}", told(&output));
    assert!(!folder.path().join(".modelgate/record.json").exists());
}

#[test]
fn a_run_that_waits_for_an_answer_can_be_ended() {
    let (server, scorer) = invocations(|_| {
        std::thread::sleep(Duration::from_secs(100));
        Reply::of(200, "")
    });
    let folder = gate(&with(&scorer, "seconds", 1000).to_string());
    let mut child = command(folder.path(), &[]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    while server.asked().is_empty() {
        assert!(child.try_wait().unwrap().is_none());
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap().success());
    let begun = Instant::now();
    assert_eq!(child.wait().unwrap().code(), Some(143));
    assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
}

#[test]
fn an_address_says_by_its_end_how_it_is_spoken_to() {
    for (address, tells) in [
        ("https://models.acme.com/predict", "is no address of a model"),
        ("https://models.acme.com/infer", "is no address of a model"),
        ("models/invocations", "is no address of a model"),
        ("http://models.acme.com/invocations", "write `https://`"),
    ] {
        let folder = gate(&format!("{{ http: '{address}' }}"));
        let output = command(folder.path(), &[]).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        assert!(told(&output).contains(tells), "{}", told(&output));
    }
}

//! MLServer, a server of the Open Inference Protocol that teams have their models behind.

use std::fmt::Write as _;
use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray as _, RecordBatch, StringArray};
use arrow::datatypes::{Float64Type, Int64Type};
use serde_json::{Value, json};

use super::{Run, command, gate, rows, told, with};
use crate::services::{Service, program};

const ROWS: usize = 3000;

/// The rows of the tests with a column of texts.
fn mixed() -> RecordBatch {
    let numbers = rows(ROWS);
    let carriers: ArrayRef = Arc::new(StringArray::from_iter_values((0..ROWS).map(|row| ["AA", "B6", "UA"][row % 3])));
    let columns = ["distance", "dep_hour"].map(|name| (name, Arc::clone(&numbers[name])));
    RecordBatch::try_from_iter(columns.into_iter().chain([("carrier", carriers)])).unwrap()
}

/// The rows as a file, with labels that follow from them by and large.
fn csv(rows: &RecordBatch) -> String {
    let (distances, hours) = (&rows["distance"], &rows["dep_hour"]);
    let (distances, hours) = (distances.as_primitive::<Float64Type>(), hours.as_primitive::<Int64Type>());
    let mut text = "distance,dep_hour,carrier,label\n".to_owned();
    for row in 0..rows.num_rows() {
        let (distance, hour) = (distances.value(row), hours.value(row));
        let carrier = rows["carrier"].as_string::<i32>().value(row);
        let label = (row * 7 % 10) as f64 * 12.0 + hour as f64 > distance;
        writeln!(text, "{distance:?},{hour},{carrier},{}", u8::from(label)).unwrap();
    }
    text
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// It takes a while to start, so it is asked everything here.
#[test]
fn a_real_server_of_the_open_inference_protocol() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/services/mlserver_models.py");
    let rows = mixed();
    let service = Service::start("/v2/health/ready", |port, folder| {
        fs::write(folder.join("rows.csv"), csv(&rows)).unwrap();
        let mut models = Command::new(program("mlserver", "python"));
        let done = models.arg(script).arg(folder).arg(folder.join("rows.csv")).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        let settings = json!({ "host": "127.0.0.1", "http_port": port, "grpc_port": free_port(),
            "metrics_port": free_port(), "parallel_workers": 0 });
        fs::write(folder.join("settings.json"), settings.to_string()).unwrap();
        let mut command = Command::new(program("mlserver", "mlserver"));
        command.arg("start").arg(folder);
        command
    });
    let scorer = |name: &str| {
        let address = format!("{}/v2/models/{name}/infer", service.address());
        with(&json!({ "http": address, "output": "predict_proba" }), "batch_rows", ROWS)
    };
    let scores = |name: &str| {
        let text = fs::read_to_string(service.folder.path().join(format!("{name}.txt"))).unwrap();
        text.lines().map(|line| line.parse::<f64>().unwrap()).collect::<Vec<_>>()
    };
    let numbers = Run::new();
    let texts = Run { features: vec!["distance", "dep_hour", "carrier"], ..Run::new() };
    for (run, name, expected) in
        [(&numbers, "numbers", "numbers"), (&numbers, "declared", "numbers"), (&texts, "mixed", "mixed")]
    {
        let found = run.score(&scorer(name), &rows).unwrap_or_else(|error| panic!("{error}\n{}", service.said()));
        assert!(found == scores(expected), "{name}");
        assert!(found.iter().any(|score| *score > 0.5) && found.iter().any(|score| *score < 0.5), "{name}");
    }
    let judged = numbers.open(&scorer("declared")).unwrap();
    assert_eq!(serde_json::to_value(judged.served).unwrap()["name"], "declared");

    let mut without = scorer("numbers");
    without.as_object_mut().unwrap().remove("output");
    let error = numbers.score(&without, &rows).unwrap_err();
    assert!(error.contains("`predict` holds INT64") && error.contains("predict_proba"), "{error}");
    let error = numbers.score(&with(&scorer("numbers"), "output", "transform"), &rows).unwrap_err();
    assert!(error.contains("the server answers") && error.contains("transform"), "{error}");
    let error = numbers.score(&scorer("absent"), &rows).unwrap_err();
    assert!(error.contains("404"), "{error}");

    let folder = gate(&scorer("declared").to_string());
    let output = command(folder.path(), &[]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    let record = fs::read(folder.path().join(".modelgate/record.json")).unwrap();
    let record = serde_json::from_slice::<Value>(&record).unwrap();
    assert_eq!(record["inputs"]["candidate"]["served"]["name"], "declared");
}

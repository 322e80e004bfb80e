//! Models of a registry and artifacts of runs, from a double of MLflow's tracking server and from the real one.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use serde_json::{Value, json};

use super::bucket::Bucket;
use super::{Asked, Fault, Reply, Run, Server, Stand, content, faulty, gate, is_same, withstands};
use crate::services::{Service, program};

const TOKEN: &str = "mlflow_secret";
const ONNX: &str = "flavors: { onnx: { data: model.onnx }, python_function: { loader_module: mlflow.onnx } }";

/// The files that the server has, by their paths behind its proxy.
type Files = BTreeMap<&'static str, Vec<u8>>;

/// A registry as MLflow 3 lays it out, and a model of MLflow 2 beside it.
fn files() -> Files {
    let sklearn = "flavors: { sklearn: { pickled_model: model.pkl }, python_function: {} }";
    BTreeMap::from([
        ("1/models/m-1/artifacts/MLmodel", ONNX.into()),
        ("1/models/m-1/artifacts/model.onnx", content()),
        ("1/r1/artifacts/model/MLmodel", ONNX.into()),
        ("1/r1/artifacts/model/model.onnx", b"of MLflow 2".to_vec()),
        ("1/r1/artifacts/data/a.parquet", b"a".to_vec()),
        ("1/r1/artifacts/data/deep/b.parquet", b"b".to_vec()),
        ("1/models/m-2/artifacts/MLmodel", sklearn.into()),
        ("1/models/m-2/artifacts/model.pkl", b"a program".to_vec()),
        ("1/models/m-3/artifacts/MLmodel", b"flavors: { onnx: { data: ../m-1/model.onnx } }".to_vec()),
    ])
}

/// What is said of the registered models by name: their versions, and where the files of these are.
fn versions(name: &str, version: &str) -> Option<&'static str> {
    Some(match (name, version) {
        ("delays", "3") => "mlflow-artifacts:/1/models/m-1/artifacts",
        ("delays", "1") => "mlflow-artifacts:/1/r1/artifacts/model",
        ("plain", "1") => "mlflow-artifacts:/1/models/m-2/artifacts",
        ("hostile", "1") => "mlflow-artifacts:/1/models/m-3/artifacts",
        ("hostile", "2") => "mlflow-artifacts:/1/../../secret",
        ("hostile", "3") => "ftp://models.acme.com/m",
        _ => return None,
    })
}

fn query(asked: &Asked) -> BTreeMap<String, String> {
    let url = reqwest::Url::parse(&format!("http://localhost{}", asked.path)).unwrap();
    url.query_pairs().into_owned().collect()
}

fn listed(files: &Files, folder: &str) -> Value {
    let below = files.iter().filter_map(|(path, bytes)| {
        let rest = path.strip_prefix(folder)?.strip_prefix('/')?;
        Some(match rest.split_once('/') {
            Some((name, _)) => (name, json!({ "path": name, "is_dir": true })),
            None => (rest, json!({ "path": rest, "is_dir": false, "file_size": bytes.len() })),
        })
    });
    // As the server does, it answers nothing of what is no folder.
    let below = below.collect::<BTreeMap<_, _>>().into_values().collect::<Vec<_>>();
    if below.is_empty() { json!({}) } else { json!({ "files": below }) }
}

fn answer(asked: &Asked, files: &Files, others: &BTreeMap<&'static str, String>) -> Reply {
    if asked.header("authorization") != Some(&format!("Bearer {TOKEN}")) {
        return Reply::of(401, "");
    }
    let of = |value: Value| Reply::of(200, value.to_string());
    let path = asked.path.split('?').next().unwrap().strip_prefix("/prefix/api/2.0/").unwrap();
    let query = query(asked);
    let has = |key: &str| query.get(key).map_or("", String::as_str);
    match path {
        "mlflow/registered-models/alias" if (has("name"), has("alias")) == ("delays", "champion") => {
            of(json!({ "model_version": { "name": "delays", "version": "3" } }))
        }
        "mlflow/registered-models/alias" => Reply::of(400, "{}"),
        "mlflow/model-versions/get-download-uri" => {
            let found = others.get(has("name")).map(String::as_str).or(versions(has("name"), has("version")));
            found.map_or_else(|| Reply::of(404, "{}"), |uri| of(json!({ "artifact_uri": uri })))
        }
        "mlflow/runs/get" if has("run_id") == "r1" => of(json!({ "run": { "info": {
            "run_id": "r1", "experiment_id": "1", "artifact_uri": "mlflow-artifacts:/1/r1/artifacts" } } })),
        "mlflow/logged-models/search" => {
            let body = serde_json::from_slice::<Value>(&asked.body).unwrap();
            assert_eq!(body["experiment_ids"], json!(["1"]));
            let filter = body["filter"].as_str().unwrap();
            let uri = "mlflow-artifacts:/1/models/m-1/artifacts";
            let found = json!({ "models": [{ "info": { "artifact_uri": uri, "creation_timestamp_ms": 1 } }] });
            of(if filter == "name = 'logged' AND source_run_id = 'r1'" { found } else { json!({}) })
        }
        "mlflow-artifacts/artifacts" => of(listed(files, has("path"))),
        path => match path.strip_prefix("mlflow-artifacts/artifacts/").and_then(|path| files.get(path)) {
            Some(bytes) => Reply::of(200, bytes.clone()),
            None => Reply::of(404, "{}"),
        },
    }
}

/// The server, and a run that is set up for it. Of models in `others` it says that they are there.
fn stand_with(fault: Fault, others: BTreeMap<&'static str, String>) -> Stand {
    let (fault, files) = (faulty(fault), files());
    let server = Server::start(move |asked| {
        let reply = answer(asked, &files, &others);
        if asked.path.ends_with("m-1/artifacts/model.onnx") { fault(reply) } else { reply }
    });
    let run = Run::on([("MLFLOW_TRACKING_URI", &server.url("prefix/")), ("MLFLOW_TRACKING_TOKEN", TOKEN)]);
    Stand { run, source: "mlflow:models:/delays@champion".to_owned(), servers: vec![server] }
}

fn stand(fault: Fault) -> Stand {
    stand_with(fault, BTreeMap::new())
}

fn unharmed() -> Stand {
    stand(Box::new(|_, reply| reply))
}

#[test]
fn an_alias_means_a_version_whose_onnx_file_is_fetched_once() {
    let Stand { run, source, servers } = unharmed();
    let had = run.obtain(&source).unwrap();
    is_same(&had);
    let found = &had.obtained.found[0];
    assert_eq!(found.name, "mlflow:models:/delays/3/model.onnx");
    let identity = found.identity.as_deref().unwrap();
    assert!(identity.contains("m-1/artifacts/model.onnx MLmodel:") && !identity.contains(TOKEN), "{identity}");
    is_same(&run.obtain("mlflow:models:/delays/3").unwrap());
    let asked = servers[0].asked();
    assert_eq!(asked.iter().filter(|asked| asked.path.ends_with("model.onnx")).count(), 1, "{asked:?}");
    assert!(asked.iter().all(|asked| !asked.path.ends_with(".pkl")), "{asked:?}");
}

#[test]
fn a_model_of_mlflow_2_lies_below_its_run() {
    let Stand { run, servers: _servers, .. } = unharmed();
    let registered = run.obtain("mlflow:models:/delays/1").unwrap();
    assert_eq!(registered.bytes(), b"of MLflow 2");
    let of_run = run.obtain("mlflow:runs:/r1/model").unwrap();
    assert_eq!(of_run.bytes(), b"of MLflow 2");
    // What a run has logged may be written over.
    assert_eq!(of_run.obtained.found[0].identity, None);
}

#[test]
fn artifacts_of_a_run_are_a_file_or_a_folder_or_a_model_of_their_own() {
    let Stand { run, servers: _servers, .. } = unharmed();
    assert_eq!(run.obtain("mlflow:runs:/r1/data/a.parquet").unwrap().bytes(), b"a");
    let folder = run.obtain("mlflow:runs:/r1/data").unwrap();
    let names = folder.obtained.found.iter().map(|found| found.name.as_str()).collect::<Vec<_>>();
    assert_eq!(names, ["mlflow:runs:/r1/data/a.parquet", "mlflow:runs:/r1/data/deep/b.parquet"]);
    is_same(&run.obtain("mlflow:runs:/r1/logged").unwrap());
    is_same(&run.obtain("mlflow:runs:/r1/logged/model.onnx").unwrap());
    assert!(run.obtain("mlflow:runs:/r1/logged/other").is_err());
}

#[test]
fn what_is_not_there_and_what_is_a_program_is_told() {
    let Stand { mut run, servers, .. } = unharmed();
    for (source, tells) in [
        ("models:/delays@challenger", ["does not say which version", "`challenger`; set this alias"]),
        ("models:/delays/9", ["no version 9 of the model `delays`", "404"]),
        ("models:/plain/1", ["`python_function`, `sklearn` and not `onnx`", "`{ mlflow: models:/NAME@ALIAS }`"]),
        ("models:/hostile/1", ["`../m-1/model.onnx`", "not within the model"]),
        ("models:/hostile/2", ["1/../../secret", "leads elsewhere"]),
        ("models:/hostile/3", ["ftp://models.acme.com/m", "serve artifacts through the tracking server"]),
        ("runs:/r1/absent", ["has logged no `absent`", "check the path"]),
        ("runs:/r2/model", ["no run `r2`", "404"]),
    ] {
        run.fails(&format!("mlflow:{source}"), &tells);
    }
    assert!(servers[0].asked().iter().all(|asked| !asked.path.ends_with(".pkl")));
    run.variables.truncate(1);
    run.fails("mlflow:models:/delays/3", &["401", "it needs credentials"]);
    for address in ["", "sqlite:///m.db", "databricks"] {
        run.variables = vec![("MLFLOW_TRACKING_URI", address.to_owned())];
        run.fails("mlflow:models:/delays/3", &["set `MLFLOW_TRACKING_URI` to the address of the tracking server"]);
    }
}

#[test]
fn the_credentials_of_the_server_go_to_no_other() {
    let files = Arc::new(files());
    let other = Server::on("127.0.0.2", move |asked| {
        let path = asked.path.strip_prefix("/api/2.0/mlflow-artifacts/artifacts").unwrap();
        match path.strip_prefix('/').and_then(|path| files.get(path)) {
            Some(bytes) => Reply::of(200, bytes.clone()),
            None => Reply::of(200, listed(&files, &query(asked)["path"]).to_string()),
        }
    });
    let uri = format!("mlflow-artifacts://{}/1/models/m-1/artifacts", other.host);
    let others = || BTreeMap::from([("elsewhere", uri.clone())]);
    let Stand { run, servers, .. } = stand_with(Box::new(|_, reply| reply), others());
    is_same(&run.obtain("mlflow:models:/elsewhere/1").unwrap());
    let asked = other.asked();
    assert_eq!(asked.len(), 3, "{asked:?}");
    assert!(asked.iter().all(|asked| asked.header("authorization").is_none()), "{asked:?}");
    // The machine is set up for the tracking server, and for that only.
    let Run { reach, .. } = Run::of_pull_request(&[]);
    let run = Run { reach, variables: run.variables, ..Run::new() };
    is_same(&run.obtain("mlflow:models:/delays/3").unwrap());
    let Err(error) = run.obtain("mlflow:models:/elsewhere/1") else { panic!("it was had") };
    assert!(error.contains(&other.host) && error.contains("policy.allowed_hosts"), "{error}");
    assert_eq!((other.asked().len(), servers.len()), (3, 1));
}

#[test]
fn a_user_and_a_password_are_sent() {
    let server = Server::start(|_| Reply::of(403, ""));
    let run = Run::on([
        ("MLFLOW_TRACKING_URI", &server.url("")),
        ("MLFLOW_TRACKING_USERNAME", "user"),
        ("MLFLOW_TRACKING_PASSWORD", "secret"),
    ]);
    run.fails("mlflow:models:/delays/3", &["403"]);
    assert_eq!(server.asked()[0].header("authorization"), Some("Basic dXNlcjpzZWNyZXQ="));
}

#[test]
fn a_folder_of_this_machine_is_read_where_it_lies() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("MLmodel"), ONNX).unwrap();
    fs::write(folder.path().join("model.onnx"), content()).unwrap();
    let path = folder.path().to_str().unwrap();
    let others = BTreeMap::from([("plain", path.to_owned()), ("uri", format!("file://{path}"))]);
    let Stand { run, servers: _servers, .. } = stand_with(Box::new(|_, reply| reply), others);
    for name in ["plain", "uri"] {
        is_same(&run.obtain(&format!("mlflow:models:/{name}/1")).unwrap());
    }
    let workspace = tempfile::tempdir().unwrap();
    let reach = super::Reach::Named { workspace: workspace.path().to_owned(), allowed: Vec::new() };
    let run = Run { reach, variables: run.variables, ..Run::new() };
    run.fails("mlflow:models:/uri/1", &["leads out of the workspace"]);
}

#[test]
fn faults_of_the_tracking_server() {
    withstands(stand);
    // One that is busy when it is asked what there is.
    let (files, others) = (files(), BTreeMap::new());
    let server = Server::start(move |asked| match asked.before % 2 {
        0 => Reply::of(503, ""),
        _ => answer(asked, &files, &others),
    });
    let run = Run::on([("MLFLOW_TRACKING_URI", &server.url("prefix")), ("MLFLOW_TRACKING_TOKEN", TOKEN)]);
    is_same(&run.obtain("mlflow:models:/delays@champion").unwrap());
}

/// The gate of the example with one month of its data, whose candidate is a registered model.
const SPEC: &str = "version: 1
model: { name: flights, task: binary }
candidate: { onnx: mlflow:models:/delays@champion }
columns:
  id: flight_id
  label: delayed
  features: [carrier, origin, dest, dep_hour, weekday, distance, departures_in_hour, seats, temp, humid, wind_speed, precip, visib, pressure]
data: { test: flights-2013-07.parquet }
checks:
  - performance.metric: { metric: roc_auc, min: 0.5 }
";

/// MLflow's own server, filled by its own client. It takes half a minute to start, so it is asked everything here.
#[test]
fn the_real_tracking_server() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/flight-delay");
    let model = example.join("models/candidate.onnx");
    let service = Service::start("/health", |port, _| {
        let mut command = Command::new(program("mlflow", "mlflow"));
        command.args(["server", "--host", "127.0.0.1", "--workers", "1", "--port", &port.to_string()]);
        command.args(["--backend-store-uri", "sqlite:///mlflow.db", "--artifacts-destination", "artifacts"]);
        command
    });
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/services/mlflow_models.py");
    let mut client = Command::new(program("mlflow", "python"));
    client.arg(script).arg(&model).env("MLFLOW_TRACKING_URI", service.address()).current_dir(service.folder.path());
    let done = client.output().unwrap();
    let told = String::from_utf8(done.stdout).unwrap();
    assert!(done.status.success(), "{told}{}\n{}", String::from_utf8_lossy(&done.stderr), service.said());
    let id = told.lines().last().unwrap();

    let run = Run::on([("MLFLOW_TRACKING_URI", &service.address())]);
    let logged = fs::read(&model).unwrap();
    for (source, name) in [
        ("models:/delays@champion".to_owned(), "models:/delays/1/model.onnx".to_owned()),
        ("models:/delays@old".to_owned(), "models:/delays/2/model.onnx".to_owned()),
        (format!("runs:/{id}/model"), format!("runs:/{id}/model/model.onnx")),
        (format!("runs:/{id}/old"), format!("runs:/{id}/old/model.onnx")),
        (format!("runs:/{id}/files"), format!("runs:/{id}/files/deep/candidate.onnx")),
    ] {
        let had = run.obtain(&format!("mlflow:{source}")).unwrap();
        assert!(had.bytes() == logged, "{source}");
        assert_eq!(had.obtained.found[0].name, format!("mlflow:{name}"));
    }
    let refused = |source: &str, tells: &str| {
        let Err(error) = run.obtain(source) else { panic!("`{source}` was had") };
        assert!(error.contains(tells), "{error}");
    };
    refused("mlflow:models:/plain/1", "`{ mlflow: models:/NAME@ALIAS }`");
    refused("mlflow:models:/delays@challenger", "does not say which version");
    refused("mlflow:models:/delays/9", "no version 9");
    refused(&format!("mlflow:runs:/{id}/absent"), "has logged no `absent`");

    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("modelgate.yaml"), SPEC).unwrap();
    fs::copy(example.join("data/flights-2013-07.parquet"), folder.path().join("flights-2013-07.parquet")).unwrap();
    let (record, _) = gate::run_on(folder.path(), &[], &[("MLFLOW_TRACKING_URI", &service.address())]);
    let record = serde_json::from_slice::<Value>(&record).unwrap();
    assert_eq!(record["inputs"]["candidate"]["sha256"], super::sha256(&logged));

    // The registry says where it is, and the bucket has it.
    let bucket = Bucket::of_s3();
    for name in ["MLmodel", "model.onnx"] {
        bucket.put(&format!("models/delays/{name}"), fs::read(service.folder.path().join("saved").join(name)).unwrap());
    }
    fs::write(folder.path().join("modelgate.yaml"), SPEC.replace("delays@champion", "stored/1")).unwrap();
    let address = service.address();
    let mut variables = bucket.variables();
    variables.push(("MLFLOW_TRACKING_URI", &address));
    let (record, _) = gate::run_on(folder.path(), &[], &variables);
    let candidate = &serde_json::from_slice::<Value>(&record).unwrap()["inputs"]["candidate"];
    assert_eq!(candidate["sha256"], super::sha256(&logged));
    let found = &candidate["found"][0];
    assert_eq!(found["name"], "mlflow:models:/stored/1/model.onnx");
    assert!(found["identity"].as_str().unwrap().starts_with("s3://acme/models/delays/model.onnx "), "{found}");

    served(&service);
    // Of the same key, a model that is an ONNX file needs no program.
    let spec = SPEC.replace("{ onnx: mlflow:models:/delays@champion }", "{ mlflow: models:/delays@champion }");
    fs::write(folder.path().join("modelgate.yaml"), spec).unwrap();
    let (record, _) = gate::run_on(folder.path(), &[], &[("MLFLOW_TRACKING_URI", &service.address())]);
    let record = serde_json::from_slice::<Value>(&record).unwrap();
    assert_eq!(record["inputs"]["candidate"]["sha256"], super::sha256(&logged));
    assert_eq!(record["inputs"]["candidate"]["source"], "mlflow:models:/delays@champion");
}

/// A gate whose candidate is a pipeline of scikit-learn, and whose baseline is what it gave where it was fitted.
const SERVED: &str = "version: 1
model: { name: flights, task: binary }
candidate: { mlflow: models:/served/1 }
baseline: { predictions: scores.parquet }
columns: { id: id, label: label, features: [distance, dep_hour, carrier] }
data: { test: served.parquet }
checks:
  - performance.metric: { metric: roc_auc, min: 0.5 }
  - performance.regression: { metric: log_loss, max_rise: 0.001 }
  - drift.prediction: { against: baseline }
";

/// A model of another flavour is served by MLflow's own server, which the run starts and ends.
fn served(service: &Service) {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("modelgate.yaml"), SERVED).unwrap();
    for name in ["served.parquet", "scores.parquet"] {
        fs::copy(service.folder.path().join(name), folder.path().join(name)).unwrap();
    }
    let environment = program("mlflow", "mlflow").parent().unwrap().to_owned();
    let path = std::env::join_paths([&environment, Path::new("/usr/bin"), Path::new("/bin")]).unwrap();
    let run = |arguments: &[&str], path: &std::ffi::OsStr| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_modelgate"));
        command.current_dir(folder.path()).arg("run").args(arguments);
        command.env("MLFLOW_TRACKING_URI", service.address()).env("MLFLOW_TRACKING_TOKEN", TOKEN).env("PATH", path);
        let done = command.output().unwrap();
        (done.status.code(), String::from_utf8_lossy(&done.stderr).into_owned())
    };
    let (code, told) = run(&[], &path);
    assert_eq!(code, Some(2), "{told}");
    assert!(told.contains("flavours python_function, sklearn") && told.contains("--allow-process"), "{told}");
    let (code, told) = run(&["--allow-process"], "/usr/bin:/bin".as_ref());
    assert_eq!(code, Some(2), "{told}");
    assert!(told.contains("no program `mlflow`") && told.contains("pip install mlflow"), "{told}");

    let (code, told) = run(&["--allow-process", "--cache", "kept"], &path);
    assert_eq!(code, Some(0), "{told}");
    let record = fs::read(folder.path().join(".modelgate/record.json")).unwrap();
    let record = serde_json::from_slice::<Value>(&record).unwrap();
    let candidate = &record["inputs"]["candidate"];
    let names = candidate["found"].as_array().unwrap().iter().map(|found| found["name"].as_str().unwrap());
    let names = names.collect::<Vec<_>>();
    for name in ["MLmodel", "model.pkl", "requirements.txt"] {
        assert!(names.contains(&format!("mlflow:models:/served/1/{name}").as_str()), "{names:?}");
    }
    assert!(candidate["sha256"].is_string() && candidate["source"] == "mlflow:models:/served/1", "{candidate}");
    // What it gave where it was fitted, and what it gives here, is the same.
    let claim = |id: &str| {
        let claims = record["claims"].as_array().unwrap();
        claims
            .iter()
            .find(|claim| claim["id"].as_str().unwrap().starts_with(id))
            .unwrap_or_else(|| panic!("{record:#}"))
    };
    let difference = claim("performance.regression")["difference"]["value"].as_f64().unwrap();
    assert!(difference.abs() < 1e-12, "{difference}");
    assert_eq!(record["verdict"], "pass");
    // Its server is gone.
    let port = told.split("http://127.0.0.1:").nth(1).unwrap().split(' ').next().unwrap();
    assert!(std::net::TcpStream::connect(("127.0.0.1", port.parse::<u16>().unwrap())).is_err(), "{told}");
    assert!(!told.contains(TOKEN), "{told}");

    // A model that cannot be loaded there is no model of the gate.
    let (code, told) = run(&["--allow-process", "--candidate", "mlflow:models:/served/9"], &path);
    assert_eq!(code, Some(2), "{told}");
    assert!(told.contains("no version 9"), "{told}");
}

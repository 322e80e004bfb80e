//! Buckets of real servers: S3 as moto has it, and Azure's own emulator.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as STANDARD;
use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt as _};
use reqwest::Client;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::gate::{self, parquet};
use super::{Fault, Reply, Run, Server, Stand, content, faulty, perseveres, sha256, verifies};
use crate::services::{Service, program};

/// The account that every emulator has, and its key, which is no secret.
const ACCOUNT: &str = "devstoreaccount1";
const KEY: &str = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

/// A server with a bucket `acme`.
pub(super) struct Bucket {
    service: Service,
    store: Arc<dyn ObjectStore>,
    /// How a machine is set up for it.
    pub(super) variables: Vec<(&'static str, String)>,
}

impl Bucket {
    /// On moto.
    pub(super) fn of_s3() -> Self {
        let service = Service::start("/moto-api/", |port, _| {
            let mut command = std::process::Command::new(program("moto", "moto_server"));
            command.args(["--host", "127.0.0.1", "--port", &port.to_string()]);
            command
        });
        let address = service.address();
        put(&format!("{address}/acme"), &[]);
        let builder = AmazonS3Builder::new().with_bucket_name("acme").with_region("us-east-1").with_allow_http(true);
        let builder = builder.with_access_key_id("key").with_secret_access_key("secret").with_endpoint(&address);
        let variables = [
            ("AWS_ACCESS_KEY_ID", "key"),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
            ("AWS_REGION", "us-east-1"),
            ("AWS_ALLOW_HTTP", "true"),
            ("AWS_ENDPOINT_URL", &address),
        ];
        let variables = variables.map(|(name, value)| (name, value.to_owned())).to_vec();
        Self { service, store: Arc::new(builder.build().unwrap()), variables }
    }

    /// On Azurite.
    pub(super) fn of_azure() -> Self {
        let service = Service::start("/", |port, folder| {
            let mut command = std::process::Command::new(program("azurite", "azurite-blob"));
            command.args([
                "--skipApiVersionCheck",
                "--disableTelemetry",
                "--blobPort",
                &port.to_string(),
                "--location",
            ]);
            command.arg(folder);
            command
        });
        let endpoint = format!("{}/{ACCOUNT}", service.address());
        make_container(&endpoint);
        let builder = MicrosoftAzureBuilder::new().with_container_name("acme").with_account(ACCOUNT);
        let builder = builder.with_access_key(KEY).with_endpoint(endpoint).with_allow_http(true);
        let variables = [
            ("AZURE_STORAGE_USE_EMULATOR", "true".to_owned()),
            ("AZURITE_BLOB_STORAGE_URL", service.address()),
            ("AZURE_STORAGE_ACCOUNT_NAME", ACCOUNT.to_owned()),
            ("AZURE_STORAGE_ACCOUNT_KEY", KEY.to_owned()),
        ];
        let variables = variables.to_vec();
        Self { service, store: Arc::new(builder.build().unwrap()), variables }
    }

    /// Writes an object.
    pub(super) fn put(&self, key: &str, bytes: Vec<u8>) {
        Runtime::new().unwrap().block_on(self.store.put(&Path::parse(key).unwrap(), bytes.into())).unwrap();
    }

    pub(super) fn variables(&self) -> Vec<(&str, &str)> {
        self.variables.iter().map(|(name, value)| (*name, value.as_str())).collect()
    }

    /// Where it is.
    pub(super) fn address(&self) -> String {
        self.service.address()
    }
}

/// A bucket that is none of theirs: its server does what a fault says.
fn stand(fault: Fault) -> Stand {
    let (fault, bytes) = (faulty(fault), content());
    let server = Server::start(move |asked| {
        assert_eq!(asked.path, "/acme/models/m.onnx");
        let reply = Reply::file(asked, &bytes, Some("\"v1\""));
        let reply = if asked.method == "HEAD" { reply } else { fault(reply) };
        reply.with("last-modified", "Thu, 01 Jan 2026 00:00:00 GMT")
    });
    let variables = [
        ("AWS_ACCESS_KEY_ID", "key"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
        ("AWS_REGION", "us-east-1"),
        ("AWS_ALLOW_HTTP", "true"),
        ("AWS_ENDPOINT_URL", &server.url("")),
    ];
    let (run, source) = (Run::on(variables), format!("s3://acme/models/m.onnx@sha256:{}", sha256(&content())));
    Stand { run, source, servers: vec![server] }
}

#[test]
fn faults_of_a_bucket() {
    perseveres(stand);
    verifies(stand, &sha256(&content()));
}

/// A request without a body that makes something.
fn put(url: &str, headers: &[(&str, String)]) {
    let request = headers.iter().fold(Client::new().put(url), |request, (name, value)| request.header(*name, value));
    let answer = Runtime::new().unwrap().block_on(request.header("content-length", "0").send()).unwrap();
    assert!(answer.status().is_success(), "{answer:?}");
}

/// No crate at hand makes containers, so the request is signed here.
fn make_container(endpoint: &str) {
    let now = httpdate::fmt_http_date(std::time::SystemTime::now());
    let headers = format!("x-ms-date:{now}\nx-ms-version:2021-08-06\n");
    let signed = format!("PUT{}{headers}/{ACCOUNT}/{ACCOUNT}/acme\nrestype:container", "\n".repeat(12));
    let signature = STANDARD.encode(hmac(&STANDARD.decode(KEY).unwrap(), signed.as_bytes()));
    put(
        &format!("{endpoint}/acme?restype=container"),
        &[
            ("x-ms-date", now),
            ("x-ms-version", "2021-08-06".to_owned()),
            ("authorization", format!("SharedKey {ACCOUNT}:{signature}")),
        ],
    );
}

/// RFC 2104 with SHA-256, for a key of 64 bytes.
fn hmac(key: &[u8], message: &[u8]) -> [u8; 32] {
    assert_eq!(key.len(), 64);
    let padded = |pad: u8| key.iter().map(|byte| byte ^ pad).collect::<Vec<_>>();
    let inner = Sha256::digest([&padded(0x36), message].concat());
    Sha256::digest([&padded(0x5c), inner.as_slice()].concat()).into()
}

/// A folder whose gate has this as its data.
fn gate_of(data: &str) -> TempDir {
    let folder = TempDir::new().unwrap();
    gate::write(folder.path(), data);
    folder
}

/// Objects are found by their keys, fetched once, and told apart from what is not there.
fn serves(bucket: &Bucket, scheme: &str) {
    for (key, bytes) in [
        ("history/month=2025-12/a.parquet", b"an old one".to_vec()),
        ("history/month=2026-01/a.parquet", parquet()),
        ("history/month=2026-02/b c.parquet", parquet()),
        ("history/notes.txt", b"none".to_vec()),
    ] {
        bucket.put(key, bytes);
    }
    let folder = gate_of(&format!("{scheme}://acme/history/month=2026-*/*.parquet"));
    let run = || gate::run_on(folder.path(), &["--cache", "kept"], &bucket.variables()).0;
    let cold = run();
    let record = serde_json::from_slice::<Value>(&cold).unwrap();
    let data = &record["inputs"]["data"][0];
    let found = data["found"].as_array().unwrap();
    let names = found.iter().map(|found| found["name"].as_str().unwrap()).collect::<Vec<_>>();
    let months = ["month=2026-01/a.parquet", "month=2026-02/b c.parquet"];
    assert_eq!(names, months.map(|name| format!("{scheme}://acme/history/{name}")));
    assert!(
        found.iter().all(|found| found["identity"].as_str().unwrap().len() > found["name"].as_str().unwrap().len())
    );
    assert_eq!(data["rows"], 4000);
    // What was fetched is there, as it was.
    let kept = || {
        let entries = fs::read_dir(folder.path().join("kept")).unwrap().map(Result::unwrap);
        let facts = entries.map(|entry| (entry.file_name(), entry.metadata().unwrap().created().unwrap()));
        facts.collect::<BTreeMap<_, _>>()
    };
    let first = kept();
    assert_eq!(first.len(), 2, "{first:?}");
    assert_eq!(run(), cold);
    assert_eq!(kept(), first);
    for (source, tells) in [
        ("acme/history/month=2027-*/*", "names no object; check the key"),
        ("acme/absent.parquet", "names no object; check the key"),
        ("missing/absent.parquet", "there is no such object or bucket"),
        ("missing/history/*.parquet", "there is no such object or bucket"),
        ("missing/history/**/*.parquet", "there is no such object or bucket"),
    ] {
        let folder = gate_of(&format!("{scheme}://{source}"));
        let told = gate::fails_on(folder.path(), &bucket.variables());
        assert!(told.contains(tells), "{source}: {told}");
    }
}

#[test]
fn a_real_bucket_of_s3() {
    let bucket = Bucket::of_s3();
    serves(&bucket, "s3");
    let mut others = bucket.variables();
    others.retain(|(name, _)| *name != "AWS_ENDPOINT_URL");
    others.push(("AWS_ENDPOINT_URL", "http://127.0.0.1:1"));
    let told = gate::fails_on(gate_of("s3://acme/history/notes.txt").path(), &others);
    assert!(told.contains("run again, or check that the server can be reached"), "{told}");
}

#[test]
fn a_real_container_of_azure() {
    let bucket = Bucket::of_azure();
    serves(&bucket, "az");
    // Another key than the account has.
    let wrong = STANDARD.encode([0; 64]);
    let mut others = bucket.variables();
    others.push(("AZURE_STORAGE_ACCOUNT_KEY", &wrong));
    let told = gate::fails_on(gate_of("az://acme/history/month=2026-01/a.parquet").path(), &others);
    assert!(told.contains("give this run credentials that may read it"), "{told}");
}

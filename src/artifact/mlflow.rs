//! Models of an MLflow registry, and artifacts of runs, from a tracking server or the store that it leads to.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, anyhow, ensure};
use async_trait::async_trait;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as STANDARD;
use reqwest::Url;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::json;

use self::store::{Entry, Store};
use super::path::{is_inside, sha256_of_bytes};
use super::web::{Request, secret};
use super::world::World;
use super::{Item, Kind, Malformed, Source, Version, time};
use crate::deliver::environment::Environment;
use crate::deliver::github::parameter;
use crate::spec::yaml;

mod store;

/// Files that one folder of artifacts may have, however deep.
const MOST_FILES: usize = 10_000;
/// More than any description of a model has.
const MOST_DESCRIPTION: u64 = 4 << 20;
/// What describes a model, in the folder of its files.
const DESCRIPTION: &str = "MLmodel";

/// The kind of source.
pub(super) const KIND: Kind = Kind {
    name: "mlflow",
    beginnings: &["mlflow:", "models:/", "runs:/"],
    parse: |text| Ok(Box::new(Artifact::parse(text)?)),
    schema: |generator| Artifact::json_schema(generator),
};

/// A model of an MLflow registry, or an artifact of an MLflow run.
///
/// # Form
/// `mlflow:models:/NAME@ALIAS`, `mlflow:models:/NAME/VERSION`, `mlflow:runs:/RUN/PATH`, also without `mlflow:` before them.
///
/// # What it does
/// Asks the server at `MLFLOW_TRACKING_URI` which version an alias means and where its files are, and fetches them: through the
/// server itself, or from the bucket (`s3://`, `gs://`, and Azure's `wasbs://` and `abfss://`), the server or the folder that it
/// names. `MLFLOW_TRACKING_TOKEN`, or `MLFLOW_TRACKING_USERNAME` and `MLFLOW_TRACKING_PASSWORD`, are sent to the tracking
/// server only; a bucket is opened with the credentials of the machine, as by the source `bucket`.
///
/// Of a model with the flavour `onnx`, which its `MLmodel` says, the ONNX file is taken, and scored in process. A model of any
/// other flavour is a program, which is never opened here: `candidate: { mlflow: models:/delays@champion }` fetches its whole
/// folder, and `mlflow models serve` scores with it, which the run starts and ends. An artifact of a run that is no model is a
/// file, or a folder of files: `data: { test: mlflow:runs:/RUN/test.parquet }`.
///
/// # Identity
/// For a model of the registry: where its files are, their sizes, and the digest of its `MLmodel`, which is written anew with
/// every logged model. In a bucket it is the address with the version, or the `ETag`, of the object. What a run has logged
/// may be overwritten, so it has no identity where the store gives none, and is fetched in every run.
///
/// # Example
/// ```yaml
/// baseline: { onnx: mlflow:models:/delays@champion }
/// ```
#[derive(Debug, JsonSchema)]
enum Artifact {
    /// The version of a registered model that an alias means now.
    Alias {
        /// The model.
        name: String,
        /// The alias.
        alias: String,
    },
    /// A version of a registered model.
    Version {
        /// The model.
        name: String,
        /// The version.
        version: u64,
    },
    /// What a run has logged.
    Run {
        /// The run.
        run: String,
        /// The path below its artifacts.
        path: String,
    },
}

#[derive(Debug, Deserialize)]
struct OfAlias {
    model_version: Registered,
}

#[derive(Debug, Deserialize)]
struct Registered {
    version: String,
    /// In milliseconds.
    #[serde(default)]
    creation_timestamp: Option<i64>,
}

#[derive(Debug, Deserialize)]
struct Download {
    artifact_uri: String,
}

#[derive(Debug, Deserialize)]
struct OfRun {
    run: Run,
}

#[derive(Debug, Deserialize)]
struct Run {
    info: RunInfo,
}

#[derive(Debug, Deserialize)]
struct RunInfo {
    experiment_id: String,
    artifact_uri: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Logged {
    models: Vec<LoggedModel>,
}

#[derive(Debug, Deserialize)]
struct LoggedModel {
    info: LoggedInfo,
}

#[derive(Debug, Deserialize)]
struct LoggedInfo {
    artifact_uri: String,
    #[serde(default)]
    creation_timestamp_ms: i64,
}

/// What `MLmodel` says of a model, as far as it is needed.
#[derive(Debug, Deserialize)]
struct Described {
    #[serde(default)]
    flavors: BTreeMap<String, IgnoredAny>,
}

#[derive(Debug, Deserialize)]
struct DescribedOnnx {
    flavors: OnnxFlavor,
}

#[derive(Debug, Deserialize)]
struct OnnxFlavor {
    onnx: OnnxData,
}

#[derive(Debug, Deserialize)]
struct OnnxData {
    data: String,
}

impl Artifact {
    fn parse(text: &str) -> Result<Self, Malformed> {
        let rest = text.strip_prefix("mlflow:").unwrap_or(text);
        let wrong = |message: String| {
            let remedy = "write `mlflow:models:/NAME@ALIAS`, `mlflow:models:/NAME/VERSION` or `mlflow:runs:/RUN/PATH`";
            Err(Malformed::new(message, remedy))
        };
        if let Some(rest) = rest.strip_prefix("runs:/") {
            return match rest.split_once('/') {
                Some((run, path)) if is_name(run) && is_inside(path) => {
                    Ok(Self::Run { run: run.to_owned(), path: path.to_owned() })
                }
                _ => wrong(format!("`{text}` names no artifact of a run")),
            };
        }
        let Some(rest) = rest.strip_prefix("models:/") else {
            return wrong(format!("`{text}` names neither a model nor a run"));
        };
        if let Some((name, alias)) = rest.rsplit_once('@') {
            return match is_name(name) && is_name(alias) {
                true => Ok(Self::Alias { name: name.to_owned(), alias: alias.to_owned() }),
                false => wrong(format!("`{text}` names no alias of a model")),
            };
        }
        match rest.split_once('/').map(|(name, version)| (name, version.parse())) {
            Some((name, Ok(version))) if is_name(name) => Ok(Self::Version { name: name.to_owned(), version }),
            _ => wrong(format!("`{text}` names no version of a model, which is a number")),
        }
    }
}

/// Whether a text can be one part of an URI of MLflow's.
fn is_name(text: &str) -> bool {
    is_inside(text) && !text.contains('/')
}

#[async_trait]
impl Source for Artifact {
    async fn find(&self, world: &World) -> Result<Vec<Item>> {
        let Found { folder, path, is_registered, version } = self.locate(world).await?;
        let mut items = folder.items(world, &path, is_registered).await?;
        items.iter_mut().for_each(|item| item.version = version.clone());
        Ok(items)
    }
}

/// Where an artifact is.
struct Found {
    folder: Folder,
    /// The path in the folder.
    path: String,
    is_registered: bool,
    version: Version,
}

impl Artifact {
    async fn locate(&self, world: &World) -> Result<Found> {
        let server = Server::of(&world.environment)?;
        let (name, version, told) = match self {
            Self::Alias { name, alias } => {
                let rest = format!("registered-models/alias?name={}&alias={}", parameter(name), parameter(alias));
                let found = world.json::<OfAlias>(server.get(&rest)?, true).await.with_context(|| {
                    format!(
                        "the registry does not say which version of the model `{name}` is `{alias}`; set this alias"
                    )
                })?;
                let Registered { version, creation_timestamp } = found.model_version;
                let time = creation_timestamp.and_then(|milliseconds| time::of_seconds(milliseconds / 1000));
                (name, version, Version { time, rule: Some(format!("alias {alias}")), ..Version::default() })
            }
            Self::Version { name, version } => (name, version.to_string(), Version::default()),
            Self::Run { run, path } => return of_run(world, &server, run, path).await,
        };
        let rest = format!("model-versions/get-download-uri?name={}&version={}", parameter(name), parameter(&version));
        let found = world.json::<Download>(server.get(&rest)?, true).await;
        let found = found.with_context(|| format!("the registry has no version {version} of the model `{name}`"))?;
        let folder =
            Folder { uri: format!("models:/{name}/{version}"), store: server.store(world, &found.artifact_uri)? };
        let version = Version { title: Some(format!("version {version} of {name}")), ..told };
        Ok(Found { folder, path: String::new(), is_registered: true, version })
    }
}

/// A model, whatever flavour it has.
pub(crate) struct Whole {
    /// Its flavours, in the order of their names.
    pub(crate) flavours: Vec<String>,
    /// All its files, none of them fetched, by their paths within it.
    pub(crate) files: Vec<(String, Item)>,
    /// The digest that it must have.
    pub(crate) pin: Option<String>,
}

impl World {
    /// What a model is made of, whatever flavour it has.
    ///
    /// # Errors
    /// When there is no such model, or it cannot be looked for.
    pub(crate) async fn whole_model(&self, text: &str) -> Result<Whole> {
        let (source, pin) = super::split(text);
        let malformed = |wrong: Malformed| anyhow!("{}; {}", wrong.message, wrong.remedy);
        let artifact = Artifact::parse(source).map_err(malformed)?;
        let Found { folder, path, is_registered, version } = artifact.locate(self).await?;
        let entries = folder.store.list(self, &path).await?;
        let description = entries.iter().find(|entry| entry.name == DESCRIPTION && !entry.is_folder);
        let description = description.with_context(|| {
            format!("`{}` is no model of MLflow: it has no `{DESCRIPTION}`", joined(&folder.uri, &path))
        })?;
        let bytes = self.read(folder.item(self, &path, description, None)?, MOST_DESCRIPTION).await?;
        let described = yaml::of_program::<Described>(&bytes).context("its `MLmodel` cannot be read");
        let flavours = described.with_context(|| folder.uri.clone())?.flavors.into_keys().collect();
        let identity = is_registered.then(|| identity(&bytes));
        let mut files = folder.walk(self, &path, entries, identity.as_deref()).await?;
        files.iter_mut().for_each(|(_, item)| item.version = version.clone());
        files.sort_by(|(a, _), (b, _)| a.cmp(b));
        Ok(Whole { flavours, files, pin: pin.map(str::to_lowercase) })
    }
}

/// Whether a source is one of MLflow's.
pub(crate) fn is_of_mlflow(text: &str) -> bool {
    KIND.beginnings.iter().any(|beginning| text.starts_with(beginning))
}

/// What tells one logged model from another.
fn identity(description: &[u8]) -> String {
    format!("{DESCRIPTION}:{}", sha256_of_bytes(description))
}

/// What a run has logged: below its artifacts, or since MLflow 3, as a model of its own.
async fn of_run(world: &World, server: &Server, run: &str, path: &str) -> Result<Found> {
    let found = world.json::<OfRun>(server.get(&format!("runs/get?run_id={}", parameter(run)))?, true).await;
    let info = found.with_context(|| format!("the server has no run `{run}`"))?.run.info;
    let folder =
        |uri: &str| Ok::<_, anyhow::Error>(Folder { uri: format!("runs:/{run}"), store: server.store(world, uri)? });
    let found =
        |folder, path: &str| Found { folder, path: path.to_owned(), is_registered: false, version: Version::default() };
    let place = folder(&info.artifact_uri)?;
    if place.has(world, path).await? {
        return Ok(found(place, path));
    }
    let (name, inside) = path.split_once('/').unwrap_or((path, ""));
    ensure!(!format!("{name}{run}").contains('\''), "`{path}` is no name of a model");
    let filter = format!("name = '{name}' AND source_run_id = '{run}'");
    let body = json!({ "experiment_ids": [info.experiment_id], "filter": filter, "max_results": 100 });
    let logged = world.json::<Logged>(server.post("logged-models/search", &body)?, true).await;
    // Servers before MLflow 3 know no such models.
    let models = logged.map(|logged| logged.models).unwrap_or_default();
    let newest = models.into_iter().max_by_key(|model| model.info.creation_timestamp_ms);
    let newest = newest.with_context(|| format!("the run `{run}` has logged no `{path}`; check the path"))?;
    let place = Folder { uri: format!("runs:/{run}/{name}"), store: server.store(world, &newest.info.artifact_uri)? };
    Ok(found(place, inside))
}

/// The tracking server.
#[derive(Debug)]
struct Server {
    url: Url,
    credentials: HeaderMap,
}

impl Server {
    fn of(environment: &Environment) -> Result<Self> {
        let remedy =
            "set `MLFLOW_TRACKING_URI` to the address of the tracking server, such as `https://mlflow.acme.com`";
        let address = environment.get("MLFLOW_TRACKING_URI").context(remedy)?.trim_end_matches('/');
        let url = Url::parse(address).ok().filter(|url| matches!(url.scheme(), "http" | "https")).context(remedy)?;
        let basic = |user| {
            let password = environment.get("MLFLOW_TRACKING_PASSWORD").unwrap_or_default();
            format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
        };
        let token = environment.get("MLFLOW_TRACKING_TOKEN").map(|token| format!("Bearer {token}"));
        let value = token.or_else(|| environment.get("MLFLOW_TRACKING_USERNAME").map(basic));
        let value = value.map(|value| secret(&value)).transpose().context("`MLFLOW_TRACKING_TOKEN` is no token")?;
        let credentials = value.into_iter().map(|value| (AUTHORIZATION, value)).collect();
        Ok(Self { url, credentials })
    }

    /// What asks the API.
    fn get(&self, rest: &str) -> Result<Request> {
        let url = format!("{}/api/2.0/mlflow/{rest}", self.url.as_str().trim_end_matches('/'));
        let url = Url::parse(&url).context("`MLFLOW_TRACKING_URI` is no address")?;
        Ok(Request { credentials: self.credentials.clone(), ..Request::get(url) })
    }

    fn post(&self, rest: &str, body: &serde_json::Value) -> Result<Request> {
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
        Ok(Request { headers, body: Some(serde_json::to_vec(body)?), ..self.get(rest)? })
    }
}

/// A folder of artifacts.
struct Folder {
    /// What it is called by users: `models:/delays/3`.
    uri: String,
    store: Store,
}

impl Folder {
    /// The files of a path: of a model its ONNX file, of a folder all, or the file itself.
    async fn items(&self, world: &World, path: &str, is_registered: bool) -> Result<Vec<Item>> {
        let entries = self.store.list(world, path).await?;
        if let Some(description) = entries.iter().find(|entry| entry.name == DESCRIPTION && !entry.is_folder) {
            return self.model(world, path, &entries, description, is_registered).await.map(|item| vec![item]);
        }
        if entries.is_empty() {
            ensure!(!path.is_empty(), "`{}` has no files where the server says that they are; log it again", self.uri);
            let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
            let entries = self.store.list(world, folder).await?;
            let entry = entries.into_iter().find(|entry| entry.name == name && !entry.is_folder);
            let entry = entry.with_context(|| format!("`{}` has no `{path}`; check the path", self.uri))?;
            return Ok(vec![self.item(world, folder, &entry, None)?]);
        }
        Ok(self.walk(world, path, entries, None).await?.into_iter().map(|(_, item)| item).collect())
    }

    /// All files below a path with these entries, by their paths below it.
    async fn walk(
        &self,
        world: &World,
        path: &str,
        entries: Vec<Entry>,
        version: Option<&str>,
    ) -> Result<Vec<(String, Item)>> {
        let (mut folders, mut items) = (vec![(String::new(), entries)], Vec::new());
        while let Some((folder, entries)) = folders.pop() {
            for entry in entries {
                let (below, inside) = (joined(&folder, &entry.name), joined(path, &folder));
                if entry.is_folder {
                    let entries = self.store.list(world, &joined(path, &below)).await?;
                    folders.push((below, entries));
                } else {
                    items.push((below, self.item(world, &inside, &entry, version)?));
                }
                let many = items.len() + folders.len() > MOST_FILES;
                ensure!(
                    !many,
                    "`{}/{path}` has more than {MOST_FILES} files; name one, or a narrower folder",
                    self.uri
                );
            }
        }
        Ok(items)
    }

    /// The ONNX file of a model.
    async fn model(
        &self,
        world: &World,
        path: &str,
        entries: &[Entry],
        description: &Entry,
        is_registered: bool,
    ) -> Result<Item> {
        let bytes = world.read(self.item(world, path, description, None)?, MOST_DESCRIPTION).await?;
        let data = onnx_file(&bytes).map_err(|wrong| wrong.context(self.uri.clone()))?;
        let found;
        let (folder, entry) = match data.rsplit_once('/') {
            None => (path.to_owned(), entries.iter().find(|entry| entry.name == data)),
            Some((below, name)) => {
                let folder = joined(path, below);
                found = self.store.list(world, &folder).await?;
                (folder, found.iter().find(|entry| entry.name == name))
            }
        };
        let entry = entry.filter(|entry| !entry.is_folder);
        let entry =
            entry.with_context(|| format!("`{}` lacks the file `{data}` that its `MLmodel` names", self.uri))?;
        let version = is_registered.then(|| identity(&bytes));
        self.item(world, &folder, entry, version.as_deref())
    }

    /// Whether there is something at a path.
    async fn has(&self, world: &World, path: &str) -> Result<bool> {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        Ok(self.store.list(world, folder).await?.iter().any(|entry| entry.name == name))
    }

    fn item(&self, world: &World, folder: &str, entry: &Entry, version: Option<&str>) -> Result<Item> {
        let path = joined(folder, &entry.name);
        let item = self.store.item(world, &path, entry, version)?;
        Ok(Item { name: format!("mlflow:{}/{path}", self.uri), ..item })
    }
}

fn joined(folder: &str, name: &str) -> String {
    match (folder, name) {
        ("", one) | (one, "") => one.to_owned(),
        _ => format!("{folder}/{name}"),
    }
}

/// The ONNX file that the description of a model names.
fn onnx_file(description: &[u8]) -> Result<String> {
    let described = yaml::of_program::<Described>(description).context("its `MLmodel` cannot be read")?;
    let flavors = described.flavors.keys().map(|flavor| format!("`{flavor}`")).collect::<Vec<_>>().join(", ");
    ensure!(
        described.flavors.contains_key("onnx"),
        "the model has the flavours {flavors} and not `onnx`: log it with `mlflow.onnx.log_model`, or write \
         `{{ mlflow: models:/NAME@ALIAS }}` to have it served by a program, `mlflow models serve`"
    );
    let onnx = yaml::of_program::<DescribedOnnx>(description);
    let data = onnx.context("its `MLmodel` does not name the ONNX file; log it again")?.flavors.onnx.data;
    ensure!(is_inside(&data), "its `MLmodel` names the file `{data}`, which is not within the model; log it again");
    Ok(data)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
mod tests {
    use super::*;

    #[test]
    fn a_model_has_an_alias_or_a_version_and_a_run_has_a_path() {
        for right in ["models:/delays@champion", "models:/de lays/3", "runs:/0af3/model/deep", "models:/a@b@c"] {
            assert!(Artifact::parse(&format!("mlflow:{right}")).is_ok(), "{right}");
        }
        for wrong in [
            "",
            "delays",
            "models:/delays",
            "models:/delays/Production",
            "models:/delays/-1",
            "models:/@champion",
            "models:/delays@",
            "models:/a/b@c",
            "models:/../3",
            "runs:/0af3",
            "runs:/0af3/",
            "runs:/0af3/../x",
            "runs:/../x",
        ] {
            assert!(Artifact::parse(&format!("mlflow:{wrong}")).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_file_of_a_model_is_within_it() {
        let data = |text: &str| onnx_file(text.as_bytes());
        assert_eq!(data("flavors: { onnx: { data: model.onnx, code: null }, x: [1] }").unwrap(), "model.onnx");
        for (wrong, tells) in [
            ("flavors: { sklearn: { pickled_model: model.pkl } }", "`sklearn` and not `onnx`"),
            ("flavors: { onnx: { data: ../../model.onnx } }", "not within the model"),
            ("flavors: { onnx: { data: /etc/passwd } }", "not within the model"),
            ("flavors: { onnx: { data: [x] } }", "does not name the ONNX file"),
            ("flavors: { onnx: null }", "does not name the ONNX file"),
            ("flavors: [onnx]", "cannot be read"),
            ("a: &a [x]\nflavors: { &b onnx: *c }", "cannot be read"),
            ("{", "cannot be read"),
        ] {
            let told = format!("{:#}", data(wrong).unwrap_err());
            assert!(told.contains(tells), "{wrong}: {told}");
        }
    }

    #[test]
    fn a_description_does_not_grow() {
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..30 {
            let below = vec![format!("*a{}", level - 1); 10].join(", ");
            bomb += &format!("a{level}: &a{level} [{below}]\n");
        }
        assert!(onnx_file(format!("{bomb}flavors: {{ onnx: *a29 }}").as_bytes()).is_err());
    }
}

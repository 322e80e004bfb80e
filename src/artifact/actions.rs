//! Artifacts of workflow runs on GitHub.

use anyhow::{Context as _, Result, bail, ensure};
use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::github::Repository;
use super::world::World;
use super::{Archive, Item, Kind, Malformed, Place, Source, Version};
use crate::deliver::github::trouble::Trouble;
use crate::deliver::github::{parameter, segment};

/// The kind of source.
pub(super) const KIND: Kind = Kind {
    name: "actions",
    beginnings: &["actions:"],
    parse: |text| Ok(Box::new(Artifact::parse(text)?)),
    schema: |generator| Artifact::json_schema(generator),
};

/// A file of an artifact that a workflow of this repository has uploaded.
///
/// # Form
/// `actions:train.yml/model/model.onnx@main`: the workflow's file, the artifact's name, the file within it, and which run:
///
/// | behind `@` | run |
/// |---|---|
/// | `main`, `release/1.0` | the newest successful one on this branch |
/// | `head` | the newest successful one on the commit under test |
/// | `run:123456` | this one, whatever came of it |
///
/// Without a file, as in `actions:train.yml/model@main`, it is the only one in the artifact.
///
/// # What it does
/// Looks up the run and its artifact, fetches the archive, verifies the digest that GitHub has of it, and unpacks the one file. An
/// archive with names that lead out of it, links, names that stand twice, or more than data can unpack to, is refused as a
/// whole. A run on a branch is one of this repository: a fork's branch of the same name does not count. An artifact that
/// has expired is an error, and no older one is taken in its place.
///
/// The job needs `permissions: actions: read`. On a terminal `GITHUB_TOKEN` is needed, also for a public repository. The
/// repository is that of the workflow, or the one that the checkout came from; `GITHUB_REPOSITORY` names another.
///
/// # Identity
/// The number of the artifact, which never means other bytes, and the file. A pinned digest is that of the file, not of the
/// archive.
///
/// # Example
/// ```yaml
/// candidate: { onnx: actions:train.yml/model/model.onnx@head }
/// ```
#[derive(Debug, JsonSchema)]
struct Artifact {
    /// The file of the workflow.
    workflow: String,
    /// The name of the artifact.
    name: String,
    /// The file within.
    file: Option<String>,
    /// The run.
    run: Which,
}

/// Which run.
#[derive(Debug, PartialEq, Eq, JsonSchema)]
enum Which {
    /// The newest successful one on a branch.
    Branch(String),
    /// The newest successful one on the commit under test.
    Head,
    /// The one of this number.
    Run(u64),
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Runs {
    workflow_runs: Vec<Run>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Run {
    id: u64,
    path: String,
    conclusion: Option<String>,
    head_repository: Option<Named>,
    repository: Option<Named>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct Named {
    full_name: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Uploads {
    artifacts: Vec<Upload>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Upload {
    id: u64,
    name: String,
    expired: bool,
    expires_at: Option<String>,
    digest: Option<String>,
}

impl Artifact {
    fn parse(text: &str) -> Result<Self, Malformed> {
        let form = "write `actions:WORKFLOW.yml/ARTIFACT/FILE@BRANCH`, `@head` or `@run:NUMBER`";
        let wrong = |message: &str| Malformed::new(format!("`{text}` {message}"), form);
        let rest = text.strip_prefix("actions:").unwrap_or(text);
        let (rest, run) = rest.rsplit_once('@').ok_or_else(|| wrong("does not say of which run"))?;
        let mut parts = rest.splitn(3, '/');
        let mut part = || parts.next().filter(|part| !part.is_empty()).map(str::to_owned);
        let (workflow, name, file) = (part(), part(), part());
        let (Some(workflow), Some(name)) = (workflow, name) else { return Err(wrong("names no artifact")) };
        let is_file = [".yml", ".yaml"].iter().any(|ending| workflow.ends_with(ending));
        if !is_file || file.is_none() && rest.matches('/').count() > 1 {
            return Err(wrong("is no workflow's artifact"));
        }
        let run = match run {
            "" => return Err(wrong("does not say of which run")),
            "head" => Which::Head,
            run => match run.strip_prefix("run:") {
                Some(number) => Which::Run(number.parse().map_err(|_| wrong("has no number of a run"))?),
                None => Which::Branch(run.to_owned()),
            },
        };
        Ok(Self { workflow, name, file, run })
    }

    async fn run(&self, repository: &Repository) -> Result<u64> {
        let runs = format!("actions/workflows/{}/runs?status=success&per_page=50", segment(&self.workflow));
        let (query, what) = match &self.run {
            Which::Run(number) => return self.of_number(repository, *number).await,
            Which::Branch(branch) => (format!("{runs}&branch={}", parameter(branch)), format!("on `{branch}`")),
            Which::Head => {
                let head = repository.head.as_deref().context("which commit is under test is not known")?;
                (format!("{runs}&head_sha={}", parameter(head)), format!("on the commit {head}"))
            }
        };
        let Runs { workflow_runs } = get(repository, &query).await.with_context(|| self.unlisted())?;
        let may =
            |run: &&Run| run.conclusion.as_deref() == Some("success") && (self.run == Which::Head || run.is_own());
        let run = workflow_runs.iter().find(may);
        Ok(run.with_context(|| format!("`{}` has no successful run {what}", self.workflow))?.id)
    }

    async fn of_number(&self, repository: &Repository, number: u64) -> Result<u64> {
        let run: Run = get(repository, &format!("actions/runs/{number}")).await.with_context(|| self.unlisted())?;
        let file = run.path.split('@').next().unwrap_or_default().rsplit('/').next().unwrap_or_default();
        ensure!(file == self.workflow, "the run {number} is one of `{file}`, and not of `{}`", self.workflow);
        Ok(number)
    }

    /// Why it is this run, where none is named.
    fn rule(&self) -> Option<String> {
        match &self.run {
            Which::Branch(branch) => Some(format!("newest successful run on {branch}")),
            Which::Head => Some("newest successful run of the commit under test".to_owned()),
            Which::Run(_) => None,
        }
    }

    fn unlisted(&self) -> String {
        format!("the runs of `{}` cannot be looked up", self.workflow)
    }

    /// The newest upload under the name: a run that was repeated may have several.
    async fn upload(&self, repository: &Repository, run: u64) -> Result<Upload> {
        let uploads = format!("actions/runs/{run}/artifacts?per_page=100");
        let by_name = format!("{uploads}&name={}", parameter(&self.name));
        let unlisted = || format!("the artifacts of the run {run} cannot be listed");
        let Uploads { artifacts } = get(repository, &by_name).await.with_context(unlisted)?;
        let newest = artifacts.into_iter().filter(|upload| upload.name == self.name).max_by_key(|upload| upload.id);
        let Some(upload) = newest else {
            let Uploads { artifacts } = get(repository, &uploads).await.with_context(unlisted)?;
            let there = artifacts.iter().map(|upload| format!("`{}`", upload.name)).collect::<Vec<_>>().join(", ");
            bail!("the run {run} has no artifact `{}`; it has: {there}", self.name)
        };
        ensure!(
            !upload.expired,
            "the artifact `{}` of the run {run} expired at {}: run the workflow again, and keep it longer with \
             `retention-days`",
            self.name,
            upload.expires_at.as_deref().unwrap_or("a time that GitHub does not say")
        );
        Ok(upload)
    }
}

impl Run {
    /// Whether it is of this repository's own branch, and not of a fork's with the same name.
    fn is_own(&self) -> bool {
        self.head_repository.is_some() && self.head_repository == self.repository
    }
}

async fn get<T: DeserializeOwned>(repository: &Repository, rest: &str) -> Result<T> {
    match repository.api.get(rest).await {
        Err(Trouble::Absent) => bail!(
            "there is none, or the token may not see it; check the names, and give the job `permissions: actions: read`"
        ),
        found => Ok(found?),
    }
}

#[async_trait]
impl Source for Artifact {
    async fn find(&self, world: &World) -> Result<Vec<Item>> {
        let repository = world.repository().await?;
        let run = self.run(repository).await?;
        let Upload { id, digest, .. } = self.upload(repository, run).await?;
        let request = repository.request(&format!("actions/artifacts/{id}/zip"), "application/vnd.github+json")?;
        let archive = format!("actions:{}/{}@run:{run}", self.workflow, self.name);
        let within = self.file.as_ref().map_or_else(String::new, |file| format!("/{file}"));
        let name = format!("actions:{}/{}{within}@run:{run}", self.workflow, self.name);
        let item = Item {
            identity: Some(format!("{archive} {id}")),
            name: archive,
            sha256: digest.as_ref().and_then(|digest| digest.strip_prefix("sha256:")).map(str::to_lowercase),
            md5: None,
            bytes: None,
            version: Version::default(),
            place: Place::There(Box::new(world.web.location(request, true))),
        };
        Ok(vec![Item {
            identity: Some(format!("{name} {id}")),
            name,
            sha256: None,
            md5: None,
            bytes: None,
            version: Version { title: Some(format!("run {run} of {}", self.workflow)), rule: self.rule(), time: None },
            place: Place::Packed(Archive { item: Box::new(item), file: self.file.clone() }),
        }])
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
mod tests {
    use super::*;

    #[test]
    fn an_artifact_is_of_a_workflow_and_a_run() {
        for (text, name, file, run) in [
            ("actions:train.yml/model@main", "model", None, Which::Branch("main".to_owned())),
            ("actions:t.yaml/a b/m.onnx@r/1.0", "a b", Some("m.onnx"), Which::Branch("r/1.0".to_owned())),
            ("actions:train.yml/model/d/m@2.onnx@head", "model", Some("d/m@2.onnx"), Which::Head),
            ("actions:train.yml/model@run:7", "model", None, Which::Run(7)),
        ] {
            let artifact = Artifact::parse(text).unwrap();
            assert_eq!((artifact.name.as_str(), artifact.file.as_deref(), artifact.run), (name, file, run), "{text}");
        }
        for wrong in [
            "actions:train.yml",
            "actions:train.yml/model",
            "actions:train.yml/model@",
            "actions:train.yml@main",
            "actions:train/model@main",
            "actions:train.yml/@main",
            "actions:train.yml/model/@main",
            "actions:train.yml/model@run:x",
        ] {
            assert!(Artifact::parse(wrong).is_err(), "{wrong}");
        }
    }
}

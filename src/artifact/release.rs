//! Assets of releases on GitHub.

use anyhow::{Context as _, Error, Result, anyhow, bail, ensure};
use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;

use super::github::Repository;
use super::trouble::Absent;
use super::world::World;
use super::{Item, Kind, Malformed, Place, Source, Version, git, time, version};
use crate::deliver::github::segment;
use crate::deliver::github::trouble::Trouble;

/// The kind of source.
pub(super) const KIND: Kind = Kind {
    name: "release",
    beginnings: &["release:"],
    parse: |text| Ok(Box::new(Release::parse(text)?)),
    schema: |generator| Release::json_schema(generator),
};

/// An asset of a release of this repository on GitHub.
///
/// # Form
/// `release:v1.4.0/model.onnx`, `release:latest/model.onnx`, `release:previous/model.onnx`.
///
/// # What it does
/// `latest` is what GitHub calls the latest release: no draft and no prerelease. `previous` is the latest release below what is
/// under test: in a run for a tag or a release, also when it runs once more, the one with the highest version strictly below
/// that tag, by the rules of [`git:previous-tag`](git.md), without drafts and prereleases; in every other run, `latest`. Only
/// `previous` is fit for a baseline that releases are compared with: `latest` is the release itself once it is published, which
/// is refused. Of another repository than
/// that of the workflow `GITHUB_REPOSITORY` tells; on a terminal it is the one that the checkout came from, and a private one
/// needs `GITHUB_TOKEN`. The digest that GitHub has of the asset is verified.
///
/// # Identity
/// The tag, the asset's number and when it was last changed. An asset that is replaced under its name is another one.
///
/// # Example
/// ```yaml
/// baseline: { onnx: release:previous/model.onnx }
/// ```
#[derive(Debug, JsonSchema)]
struct Release {
    /// The tag, `latest` or `previous`.
    tag: String,
    /// The name of the asset.
    asset: String,
}

/// A release, as far as it is needed.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Published {
    tag_name: String,
    draft: bool,
    prerelease: bool,
    published_at: Option<String>,
    assets: Vec<Asset>,
}

/// The release that is meant, and why.
struct Meant {
    release: Published,
    rule: Option<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Asset {
    id: u64,
    name: String,
    size: Option<u64>,
    digest: Option<String>,
    updated_at: Option<String>,
    state: Option<String>,
}

impl Release {
    fn parse(text: &str) -> Result<Self, Malformed> {
        let rest = text.strip_prefix("release:").unwrap_or(text);
        match rest.rsplit_once('/') {
            Some((tag, asset)) if !tag.is_empty() && !asset.is_empty() => {
                Ok(Self { tag: tag.to_owned(), asset: asset.to_owned() })
            }
            _ => Err(Malformed::new(format!("`{text}` names no asset"), "write `release:TAG/ASSET`")),
        }
    }

    async fn meant(&self, world: &World, repository: &Repository) -> Result<Meant> {
        match self.tag.as_str() {
            "previous" => match git::tag_under_test(world)? {
                Some(tag) => below(repository, &tag).await,
                None => latest(repository).await,
            },
            "latest" => {
                let meant = latest(repository).await?;
                let tag = &meant.release.tag_name;
                let is_itself = world.is_of_baseline && world.environment.tag() == Some(tag);
                ensure!(!is_itself, "the latest release is {tag}, which is under test; write `release:previous/...`");
                Ok(meant)
            }
            tag => Ok(Meant { release: named(repository, tag).await?, rule: None }),
        }
    }

    fn asset_of<'r>(&self, release: &'r Published) -> Option<&'r Asset> {
        let is_meant = |asset: &&Asset| asset.name == self.asset && asset.state.as_deref() != Some("starter");
        release.assets.iter().find(is_meant)
    }

    /// Why a release has no such asset: where a release was chosen, and none before it ever had one, there is none yet.
    async fn missing(&self, repository: &Repository, meant: &Meant) -> Result<Error> {
        let (tag, name) = (&meant.release.tag_name, &self.asset);
        let there = meant.release.assets.iter().map(|asset| format!("`{}`", asset.name)).collect::<Vec<_>>().join(", ");
        let why = format!("the release {tag} has no asset `{name}`; it has: {there}");
        if meant.rule.is_some() {
            let earlier = version::below(tag, final_releases(repository).await?, |release| &release.tag_name);
            if earlier.is_ok_and(|earlier| earlier.iter().all(|release| self.asset_of(release).is_none())) {
                return Ok(Absent::new(format!("{why}; and no release before it had one")).into());
            }
        }
        Ok(anyhow!(why))
    }
}

async fn named(repository: &Repository, tag: &str) -> Result<Published> {
    match repository.api.get(&format!("releases/tags/{}", segment(tag))).await {
        Err(Trouble::Absent) => bail!(
            "there is no release `{tag}`, or the token may not see it; check the tag, and give the job \
             `permissions: contents: read`"
        ),
        found => found.context("the release cannot be looked up"),
    }
}

async fn latest(repository: &Repository) -> Result<Meant> {
    let rule = "latest release";
    match repository.api.get("releases/latest").await {
        // A token that may not see them is refused the list of them.
        Err(Trouble::Absent) if final_releases(repository).await?.is_empty() => Err(none(rule).into()),
        found => {
            let release = found.context("the latest release cannot be looked up")?;
            Ok(Meant { release, rule: Some(rule.to_owned()) })
        }
    }
}

async fn below(repository: &Repository, tag: &str) -> Result<Meant> {
    let rule = format!("latest release below {tag}");
    let below = version::below(tag, final_releases(repository).await?, |release| &release.tag_name)?;
    let release = below.into_iter().next().ok_or_else(|| none(&rule))?;
    Ok(Meant { release, rule: Some(rule) })
}

fn none(rule: &str) -> Absent {
    Absent::new(format!("there is no {rule}: drafts and prereleases aside, nothing was released"))
}

/// All releases but drafts and prereleases.
async fn final_releases(repository: &Repository) -> Result<Vec<Published>> {
    let mut releases = repository.api.list::<Published>("releases").await.context("the releases cannot be listed")?;
    releases.retain(|release| !release.draft && !release.prerelease);
    Ok(releases)
}

#[async_trait]
impl Source for Release {
    async fn find(&self, world: &World) -> Result<Vec<Item>> {
        let repository = world.repository().await?;
        let meant = self.meant(world, repository).await?;
        let Some(asset) = self.asset_of(&meant.release) else { return Err(self.missing(repository, &meant).await?) };
        let (tag, name) = (&meant.release.tag_name, &self.asset);
        let request = repository.request(&format!("releases/assets/{}", asset.id), "application/octet-stream")?;
        let sha256 = asset.digest.as_ref().and_then(|digest| digest.strip_prefix("sha256:")).map(str::to_lowercase);
        let changed = asset.updated_at.as_deref().unwrap_or_default();
        Ok(vec![Item {
            name: format!("release:{tag}/{name}"),
            identity: Some(format!("release:{tag}/{name} {} {changed}", asset.id)),
            sha256,
            md5: None,
            bytes: asset.size,
            version: Version {
                title: Some(format!("release {tag}")),
                time: meant.release.published_at.as_deref().and_then(time::of_text),
                rule: meant.rule.clone(),
            },
            place: Place::There(Box::new(world.web.location(request, true))),
        }])
    }
}

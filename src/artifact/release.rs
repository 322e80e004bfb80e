//! Assets of releases on GitHub.

use anyhow::{Context as _, Result, bail};
use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;

use super::github::Repository;
use super::world::World;
use super::{Item, Kind, Malformed, Place, Source};
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
/// `latest` is what GitHub calls the latest release: no draft and no prerelease. `previous` is for a run on a tag: the
/// release with the highest version strictly below that tag, without drafts and prereleases. Of another repository than
/// that of the workflow `GITHUB_REPOSITORY` tells; on a terminal it is the one that the checkout came from, and a private one
/// needs `GITHUB_TOKEN`. The digest that GitHub has of the asset is verified.
///
/// # Identity
/// The tag, the asset's number and when it was last changed. An asset that is replaced under its name is another one.
///
/// # Example
/// ```yaml
/// baseline: { onnx: release:latest/model.onnx }
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
    assets: Vec<Asset>,
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

    async fn release(&self, repository: &Repository) -> Result<Published> {
        let found = match self.tag.as_str() {
            "latest" => repository.api.get("releases/latest").await,
            "previous" => return self.previous(repository).await,
            tag => repository.api.get(&format!("releases/tags/{}", segment(tag))).await,
        };
        match found {
            Err(Trouble::Absent) => bail!(
                "there is no release `{}`, or the token may not see it; check the tag, and give the job \
                 `permissions: contents: read`",
                self.tag
            ),
            found => found.context("the release cannot be looked up"),
        }
    }

    async fn previous(&self, repository: &Repository) -> Result<Published> {
        let tag = repository.tag.as_deref().context("`previous` is for a run on a tag; write `latest`")?;
        let version =
            version(tag).with_context(|| format!("the tag `{tag}` is no version such as v1.4.0; write `latest`"))?;
        let releases = repository.api.list::<Published>("releases").await.context("the releases cannot be listed")?;
        let below = releases.into_iter().filter(|release| !release.draft && !release.prerelease);
        let below = below.filter_map(|release| Some((self::version(&release.tag_name)?, release)));
        let highest = below.filter(|(other, _)| *other < version).max_by_key(|(version, _)| *version);
        let (_, release) = highest.with_context(|| format!("there is no release with a version below {tag}"))?;
        Ok(release)
    }
}

/// The version of a tag, whatever stands before it: `v1.4.0`, `model-1.4.0`. A prerelease is below its version.
fn version(tag: &str) -> Option<(u64, u64, u64, bool)> {
    let numbers = &tag[tag.find(|character: char| character.is_ascii_digit())?..];
    let numbers = numbers.split('+').next()?;
    let (numbers, is_whole) = numbers.split_once('-').map_or((numbers, true), |(numbers, _)| (numbers, false));
    let mut numbers = numbers.split('.').map(str::parse);
    let version = (numbers.next()?.ok()?, numbers.next().unwrap_or(Ok(0)).ok()?, numbers.next().unwrap_or(Ok(0)).ok()?);
    numbers.next().is_none().then_some((version.0, version.1, version.2, is_whole))
}

#[async_trait]
impl Source for Release {
    async fn find(&self, world: &World) -> Result<Vec<Item>> {
        let repository = world.repository().await?;
        let release = self.release(repository).await?;
        let (tag, name) = (&release.tag_name, &self.asset);
        let there = release.assets.iter().map(|asset| format!("`{}`", asset.name)).collect::<Vec<_>>().join(", ");
        let uploaded = |asset: &&Asset| asset.name == *name && asset.state.as_deref() != Some("starter");
        let asset = release.assets.iter().find(uploaded);
        let asset = asset.with_context(|| format!("the release {tag} has no asset `{name}`; it has: {there}"))?;
        let request = repository.request(&format!("releases/assets/{}", asset.id), "application/octet-stream")?;
        let sha256 = asset.digest.as_ref().and_then(|digest| digest.strip_prefix("sha256:")).map(str::to_lowercase);
        let changed = asset.updated_at.as_deref().unwrap_or_default();
        Ok(vec![Item {
            name: format!("release:{tag}/{name}"),
            identity: Some(format!("release:{tag}/{name} {} {changed}", asset.id)),
            sha256,
            bytes: asset.size,
            place: Place::There(Box::new(world.web.location(request, true))),
        }])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        for (below, above) in [("v1.9.0", "v1.10.0"), ("v1.4.0-rc.1", "v1.4.0"), ("1.4", "v1.4.1"), ("m-2", "m-10")] {
            assert!(version(below) < version(above) && version(below).is_some(), "{below} {above}");
        }
        for none in ["latest", "v1.x", "v1.2.3.4"] {
            assert_eq!(version(none), None, "{none}");
        }
    }
}

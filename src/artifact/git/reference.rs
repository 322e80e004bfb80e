//! Which commit a reference means: one by its name, or what the run itself is compared with.

use std::fmt;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

use super::{commit, short, text_of};
use crate::artifact::trouble::Absent;
use crate::artifact::world::World;
use crate::artifact::{Malformed, version};
use crate::deliver::event::Event;
use crate::deliver::github::segment;

/// Where the default branch is, the likeliest place first.
const DEFAULT_BRANCHES: [&str; 5] =
    ["refs/remotes/origin/HEAD", "refs/remotes/origin/main", "refs/remotes/origin/master", "main", "master"];

/// A reference as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reference {
    /// A branch, a tag or a commit.
    Named(String),
    /// What a pull request wants to change.
    Base,
    /// Where the head left the base.
    MergeBase,
    /// The tag with the highest version below the one under test.
    PreviousTag,
}

/// What a reference means now.
#[derive(Debug, Default)]
pub(super) struct Meant {
    /// A name that git and GitHub know.
    pub(super) name: String,
    /// What the version is called, where that is not its commit.
    pub(super) title: Option<String>,
    /// Why it is this one.
    pub(super) rule: Option<String>,
}

/// The two commits of a comparison.
struct Ends {
    base: String,
    head: String,
    /// What the base is.
    rule: String,
}

#[derive(Debug, Deserialize)]
struct Comparison {
    merge_base_commit: Commit,
}

#[derive(Debug, Deserialize)]
struct Tag {
    name: String,
    commit: Commit,
}

#[derive(Debug, Deserialize)]
struct Commit {
    sha: String,
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Named(name) => name,
            Self::Base => "base",
            Self::MergeBase => "merge-base",
            Self::PreviousTag => "previous-tag",
        })
    }
}

impl Reference {
    pub(super) fn parse(text: &str) -> Result<Self, Malformed> {
        let known = [Self::Base, Self::MergeBase, Self::PreviousTag];
        if let Some(known) = known.into_iter().find(|known| known.to_string() == text) {
            return Ok(known);
        }
        let is_odd =
            |character: char| character.is_control() || character.is_whitespace() || "~^\\?*[".contains(character);
        if text.starts_with('-') || text.contains("..") || text.contains("@{") || text.contains(is_odd) {
            let remedy = "write the name of one, or `base`, `merge-base` or `previous-tag`";
            return Err(Malformed::new(format!("`{text}` is no branch, tag or commit"), remedy));
        }
        Ok(Self::Named(text.to_owned()))
    }

    /// What it means now.
    pub(super) async fn meant(&self, world: &World) -> Result<Meant> {
        match self {
            Self::Named(name) => Ok(Meant { name: name.clone(), ..Meant::default() }),
            Self::Base => {
                let Ends { base, rule, .. } = ends(world)?;
                Ok(Meant { name: base, title: None, rule: Some(rule) })
            }
            Self::MergeBase => merge_base(world).await,
            Self::PreviousTag => previous_tag(world).await,
        }
    }
}

/// The two ends of what is under test.
fn ends(world: &World) -> Result<Ends> {
    let (folder, environment) = (&world.folder, &world.environment);
    if environment.get("GITHUB_EVENT_NAME").is_none() {
        let branch = DEFAULT_BRANCHES.into_iter().find_map(|name| Some((name, commit(folder, name)?)));
        let (name, base) = branch.context("the checkout has no default branch; name the branch itself")?;
        let head = commit(folder, "HEAD").context("the checkout has no commit")?;
        return Ok(Ends { base, head, rule: format!("default branch ({name})") });
    }
    let (event, _) = Event::read(environment)?;
    let Event { name, head, base, .. } = event;
    let Some(base) = base else {
        bail!("`{name}` has no base here; name the branch itself, or on a tag `previous-tag`")
    };
    Ok(Ends { base, head, rule: format!("base of the event {name}") })
}

/// A shallow checkout may lack the commit, and take an older one for it.
fn is_shallow(folder: &Path) -> bool {
    text_of(folder, &["rev-parse", "--is-shallow-repository"]).as_deref() != Some("false")
}

async fn merge_base(world: &World) -> Result<Meant> {
    let Ends { base, head, rule } = ends(world)?;
    let rule = Some(format!("merge base of {} and {}, the {rule}", short(&head), short(&base)));
    let has = |commit: &str| super::commit(&world.folder, commit).is_some();
    if !is_shallow(&world.folder) && has(&base) && has(&head) {
        let name = text_of(&world.folder, &["merge-base", &base, &head]);
        let name = name.with_context(|| format!("{head} and {base} have no commit in common"))?;
        return Ok(Meant { name, title: None, rule });
    }
    let remedy = "check out with `fetch-depth: 0`, or give the job `permissions: contents: read`";
    let repository = world.repository().await;
    let repository = repository.with_context(|| format!("the checkout is shallow; {remedy}"))?;
    let route = format!("compare/{}...{}?per_page=1", segment(&base), segment(&head));
    let found = repository.api.get::<Comparison>(&route).await;
    let found = found.with_context(|| format!("GitHub does not tell where {head} left {base}; {remedy}"))?;
    Ok(Meant { name: found.merge_base_commit.sha, title: None, rule })
}

async fn previous_tag(world: &World) -> Result<Meant> {
    let folder = &world.folder;
    let under_test = tag_under_test(world)?;
    let rule = match &under_test {
        Some(tag) => format!("tag with the highest version below {tag}"),
        None => "tag with the highest version".to_owned(),
    };
    let meant = |name: String, tag: &str| Meant { name, title: Some(format!("tag {tag}")), rule: Some(rule.clone()) };
    let is_whole = !is_shallow(folder);
    if is_whole && let Some(tag) = chosen(under_test.as_deref(), &tags(folder, &[]))? {
        return Ok(meant(format!("refs/tags/{tag}"), tag));
    }
    let none = || Absent::new(format!("there is no such tag: {rule}, prereleases aside"));
    let repository = match (world.repository().await, is_whole) {
        (Ok(repository), _) => repository,
        // There is nobody else to ask.
        (Err(_), true) if world.environment.get("GITHUB_REPOSITORY").is_none() => return Err(none().into()),
        (Err(error), _) => {
            let remedy = "check out with `fetch-depth: 0`, or give the job `permissions: contents: read`";
            return Err(error.context(format!("the checkout may not have all tags; {remedy}")));
        }
    };
    let tags = repository.api.list::<Tag>("tags").await.context("the tags cannot be listed")?;
    let names = tags.iter().map(|tag| tag.name.clone()).collect::<Vec<_>>();
    let name = chosen(under_test.as_deref(), &names)?.ok_or_else(none)?;
    let tag = tags.iter().find(|tag| tag.name == *name).ok_or_else(none)?;
    Ok(meant(tag.commit.sha.clone(), name))
}

/// The tag that is meant.
fn chosen<'t>(under_test: Option<&str>, tags: &'t [String]) -> Result<Option<&'t String>> {
    match under_test {
        Some(tag) => Ok(version::below(tag, tags, |tag| tag.as_str())?.into_iter().next()),
        None => Ok(version::highest(tags)?.filter(|tag| !version::is_prerelease(tag))),
    }
}

/// The tag that the run is for: the one that the runner names, or on a terminal the one at `HEAD`.
pub(in crate::artifact) fn tag_under_test(world: &World) -> Result<Option<String>> {
    let environment = &world.environment;
    if environment.get("GITHUB_EVENT_NAME").is_some() || environment.tag().is_some() {
        return Ok(environment.tag().map(str::to_owned));
    }
    version::highest(&tags(&world.folder, &["--points-at", "HEAD"])).map(Option::<&String>::cloned)
}

/// The tags of the checkout.
fn tags(folder: &Path, which: &[&str]) -> Vec<String> {
    let arguments = [&["tag", "--list"], which].concat();
    text_of(folder, &arguments).map(|tags| tags.lines().map(str::to_owned).collect()).unwrap_or_default()
}

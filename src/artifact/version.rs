//! Versions in the names of tags: `v1.4.0`, `delays-1.4`, `v1.4.0-rc.1`.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use anyhow::{Context as _, Result, ensure};

/// A version, as Semantic Versioning orders them. Numbers that are left out are zero, and what stands behind a `+` does not
/// count.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Version {
    numbers: [u64; 3],
    /// What stands behind a `-`; of a release nothing.
    prerelease: Vec<Identifier>,
}

/// A part of the name of a prerelease: numbers are below texts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Identifier {
    Number(u64),
    Text(String),
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        let is_release = |version: &Self| version.prerelease.is_empty();
        let numbers = self.numbers.cmp(&other.numbers).then(is_release(self).cmp(&is_release(other)));
        numbers.then_with(|| self.prerelease.cmp(&other.prerelease))
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// A tag: what stands before the version, which tells the tags of one model from those of another, and the version.
fn parse(tag: &str) -> Option<(&str, Version)> {
    let begins = |at: &usize| {
        let before = tag[..*at].chars().next_back();
        tag[*at..].starts_with(|first: char| first.is_ascii_digit())
            && before.is_none_or(|before| !before.is_ascii_digit() && before != '.')
    };
    let starts = (0..tag.len()).filter(|at| tag.is_char_boundary(*at)).filter(begins);
    let found = starts.filter_map(|at| Some((at, version(&tag[at..])?)));
    // Of `model2-v1.4.0` the version is where most numbers are.
    let (at, (_, version)) = found.min_by_key(|(at, (numbers, _))| (3 - numbers, *at))?;
    let family = &tag[..at];
    Some((family.strip_suffix('v').unwrap_or(family), version))
}

/// A version, and how many numbers it is written with.
fn version(text: &str) -> Option<(usize, Version)> {
    let text = text.split('+').next()?;
    let (core, prerelease) = text.split_once('-').map_or((text, None), |(core, rest)| (core, Some(rest)));
    let written = core.split('.').map(str::parse).collect::<Result<Vec<u64>, _>>().ok()?;
    let identifier = |text: &str| match text.parse() {
        Ok(number) => Some(Identifier::Number(number)),
        Err(_) => (!text.is_empty()).then(|| Identifier::Text(text.to_owned())),
    };
    let prerelease = prerelease.map_or(Some(Vec::new()), |rest| rest.split('.').map(identifier).collect())?;
    let mut numbers = [0; 3];
    numbers.get_mut(..written.len())?.copy_from_slice(&written);
    Some((written.len(), Version { numbers, prerelease }))
}

/// The tags of the same model whose version is strictly below that of a tag, the highest first. Prereleases are none of
/// them.
///
/// # Errors
/// When the tag is no version.
pub(super) fn below<T>(tag: &str, tags: impl IntoIterator<Item = T>, name: impl Fn(&T) -> &str) -> Result<Vec<T>> {
    let (family, version) = parse(tag).with_context(|| format!("the tag `{tag}` is no version such as v1.4.0"))?;
    let mut lower = Vec::new();
    for candidate in tags {
        let Some((its, other)) = parse(name(&candidate)) else { continue };
        if its == family && other.prerelease.is_empty() && other < version {
            lower.push((other, candidate));
        }
    }
    lower.sort_by(|(one, first), (other, second)| (other, name(second)).cmp(&(one, name(first))));
    Ok(lower.into_iter().map(|(_, candidate)| candidate).collect())
}

/// The tag with the highest version: of those that are nothing but a version, or else of one model. A prerelease only
/// where there is nothing else.
///
/// # Errors
/// When they are of several models.
pub(super) fn highest(tags: &[String]) -> Result<Option<&String>> {
    let mut parsed = tags.iter().filter_map(|tag| Some((parse(tag)?, tag))).collect::<Vec<_>>();
    if parsed.iter().any(|((family, _), _)| family.is_empty()) {
        parsed.retain(|((family, _), _)| family.is_empty());
    }
    let families = parsed.iter().map(|((family, _), _)| *family).collect::<BTreeSet<_>>();
    let listed = || families.iter().map(|family| format!("`{family}`")).collect::<Vec<_>>().join(", ");
    ensure!(families.len() < 2, "tags begin with {}, and it is not known which of them is meant; name one", listed());
    let rank = |((_, version), tag): ((&str, Version), _)| (version.prerelease.is_empty(), version, tag);
    Ok(parsed.into_iter().map(rank).max().map(|(.., tag)| tag))
}

/// Whether a tag is that of a prerelease.
pub(super) fn is_prerelease(tag: &str) -> bool {
    parse(tag).is_some_and(|(_, version)| !version.prerelease.is_empty())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
mod tests {
    use super::*;

    fn previous(tag: &str, tags: &[&'static str]) -> Option<&'static str> {
        below(tag, tags.iter().copied(), |tag| tag).unwrap().first().copied()
    }

    #[test]
    fn versions_are_ordered_as_semantic_versioning_says() {
        // The example of its section 11.
        let ordered = [
            "1.0.0-alpha",
            "1.0.0-alpha.1",
            "1.0.0-alpha.beta",
            "1.0.0-beta",
            "1.0.0-beta.2",
            "1.0.0-beta.11",
            "1.0.0-rc.1",
            "1.0.0",
            "1.9.0",
            "1.10",
            "v2",
        ];
        let versions = ordered.map(|tag| parse(tag).unwrap().1);
        assert!(versions.windows(2).all(|pair| pair[0] < pair[1]), "{versions:?}");
        assert_eq!(parse("v1.4.0+build.7"), parse("1.4"));
        for none in ["latest", "v1.x", "v1.2.3.4", "v1.2.3-", "v1.0.0-a..b", ""] {
            assert_eq!(parse(none), None, "{none}");
        }
    }

    #[test]
    fn the_version_is_where_most_numbers_are() {
        for (tag, family) in [("v1.4.0", ""), ("delays-v1.4.0", "delays-"), ("model2-v1.4.0", "model2-"), ("m/1", "m/")]
        {
            assert_eq!(parse(tag).unwrap().0, family, "{tag}");
        }
        assert_eq!(parse("model2-v1.4.0").unwrap().1.numbers, [1, 4, 0]);
        assert_eq!(parse("v1.4.0-rc1.2").unwrap().1.numbers, [1, 4, 0]);
    }

    #[test]
    fn the_previous_one_is_strictly_below_and_no_prerelease() {
        let tags = ["v1.10.0", "v1.9.0", "v1.10.0-rc.1", "v1.8.0", "v2.0.0", "churn-v1.9.5", "nightly"];
        assert_eq!(previous("v1.10.0", &tags), Some("v1.9.0"), "a run for the tag itself, once more");
        assert_eq!(previous("v1.10.0-rc.2", &tags), Some("v1.9.0"), "a prerelease is below its release");
        assert_eq!(previous("v1.10.1", &tags), Some("v1.10.0"));
        assert_eq!(previous("1.10", &tags), Some("v1.9.0"), "the same version in other words");
        assert_eq!(previous("v1.8.0", &tags), None);
        assert_eq!(previous("churn-v2.0.0", &tags), Some("churn-v1.9.5"), "another model's tags are not below");
        assert!(below("nightly", tags, |tag| tag).is_err());
    }

    #[test]
    fn the_highest_is_of_one_model() {
        let of = |tags: &[&str]| {
            let tags = tags.iter().map(|&tag| tag.to_owned()).collect::<Vec<_>>();
            highest(&tags).map(|tag| tag.cloned())
        };
        assert_eq!(of(&["v1.9.0", "v1.10.0", "v1.11.0-rc.1", "churn-v3"]).unwrap().as_deref(), Some("v1.10.0"));
        assert_eq!(of(&["churn-v1", "churn-v2"]).unwrap().as_deref(), Some("churn-v2"));
        assert_eq!(of(&["v2.0.0-rc.1"]).unwrap().as_deref(), Some("v2.0.0-rc.1"));
        assert!(is_prerelease("v2.0.0-rc.1") && !is_prerelease("v2.0.0") && !is_prerelease("nightly"));
        assert_eq!(of(&["nightly"]).unwrap(), None);
        let error = of(&["churn-v1", "delays-v2"]).unwrap_err().to_string();
        assert!(error.contains("`churn-`, `delays-`"), "{error}");
    }
}

//! Files of repositories on the Hugging Face Hub, and on what is laid out as it is.

use anyhow::{Context as _, Result};
use async_trait::async_trait;
use percent_encoding::percent_decode_str;
use reqwest::Url;
use reqwest::header::{AUTHORIZATION, CONTENT_LENGTH, HeaderMap, LOCATION};
use schemars::JsonSchema;

use super::path::{is_inside, is_sha256};
use super::trouble::redacted;
use super::web::{Request, secret};
use super::world::World;
use super::{Item, Kind, Malformed, Place, Source, Version};
use crate::deliver::environment::Environment;
use crate::deliver::github::segment;

/// Where the hub is, unless `HF_ENDPOINT` says otherwise.
const ENDPOINT: &str = "https://huggingface.co";

/// The kind of source.
pub(super) const KIND: Kind = Kind {
    name: "hf",
    beginnings: &["hf:"],
    parse: |text| Ok(Box::new(File::parse(text)?)),
    schema: |generator| File::json_schema(generator),
};

/// A file of a repository on the Hugging Face Hub.
///
/// # Form
/// `hf:ORG/REPOSITORY@REVISION/PATH`, such as `hf:acme/delays@main/onnx/model.onnx`; of a dataset
/// `hf:datasets/ORG/REPOSITORY@REVISION/PATH`. The revision is a branch, a tag or a commit; a slash in it is written `%2F`.
///
/// # What it does
/// Asks the hub which commit the revision is now, and fetches the file of that commit. Where the file is in Git LFS, as large
/// ones are, the hub says its SHA-256, which is verified. `HF_TOKEN` is sent to the hub and not to the servers that it leads
/// to; `HF_ENDPOINT` names another hub than `https://huggingface.co`.
///
/// # Identity
/// The address of the file with the commit in it.
///
/// # Example
/// ```yaml
/// baseline: { onnx: hf:acme/delays@v1.4.0/model.onnx }
/// ```
#[derive(Debug, JsonSchema)]
struct File {
    /// The repository: `acme/delays`, `datasets/acme/flights`.
    repository: String,
    /// The branch, the tag or the commit.
    revision: String,
    /// The path from the root of the repository.
    path: String,
}

impl File {
    fn parse(text: &str) -> Result<Self, Malformed> {
        let rest = text.strip_prefix("hf:").unwrap_or(text);
        let parts = rest.split_once('@').and_then(|(repository, rest)| Some((repository, rest.split_once('/')?)));
        let Some((repository, (revision, path))) = parts else {
            let message = format!("`{text}` names no file of a revision");
            return Err(Malformed::new(message, "write `hf:ORG/REPOSITORY@REVISION/PATH`"));
        };
        let name = repository.strip_prefix("datasets/").unwrap_or(repository);
        let is_odd = |character: char| !character.is_ascii_alphanumeric() && !"-._/".contains(character);
        let is_name = is_inside(repository) && name.split('/').count() <= 2 && !repository.contains(is_odd);
        let revision = percent_decode_str(revision).decode_utf8_lossy().into_owned();
        for (is_right, part, noun) in [
            (is_name, repository, "repository"),
            (is_inside(&revision), &revision, "revision"),
            (is_inside(path), path, "path from the root of the repository"),
        ] {
            if !is_right {
                let message = format!("`{part}` is no {noun}");
                return Err(Malformed::new(message, "write `hf:ORG/REPOSITORY@REVISION/PATH`"));
            }
        }
        Ok(Self { repository: repository.to_owned(), revision, path: path.to_owned() })
    }

    /// What asks for the file of a revision.
    fn request(&self, environment: &Environment, revision: &str) -> Result<Request> {
        let endpoint = environment.get("HF_ENDPOINT").unwrap_or(ENDPOINT).trim_end_matches('/');
        let path = self.path.split('/').map(segment).collect::<Vec<_>>().join("/");
        let url = format!("{endpoint}/{}/resolve/{}/{path}", self.repository, segment(revision));
        let mut request = Request::get(Url::parse(&url).context("`HF_ENDPOINT` is no address")?);
        if let Some(token) = environment.get("HF_TOKEN") {
            let value = secret(&format!("Bearer {token}")).context("`HF_TOKEN` is no token")?;
            request.credentials = HeaderMap::from_iter([(AUTHORIZATION, value)]);
        }
        Ok(request)
    }
}

#[async_trait]
impl Source for File {
    async fn find(&self, world: &World) -> Result<Vec<Item>> {
        let Self { repository, revision, path } = self;
        let location = world.web.location(self.request(&world.environment, revision)?, true);
        let facts = world.ask(|| location.facts()).await.with_context(|| {
            format!("the hub does not give `{path}` of `{repository}` at `{revision}`; a private one needs `HF_TOKEN`")
        })?;
        let commit = text(&facts, "x-repo-commit").filter(|commit| is_commit(commit));
        let commit = commit.context("the server says no commit; check that `HF_ENDPOINT` is the address of a hub")?;
        let linked = text(&facts, "x-linked-etag").map(|tag| tag.trim_matches('"').to_lowercase());
        // The length of an answer that leads elsewhere is its own.
        let length = if facts.contains_key(LOCATION) { None } else { text(&facts, CONTENT_LENGTH.as_str()) };
        let bytes = text(&facts, "x-linked-size").or(length).and_then(|bytes| bytes.parse().ok());
        let request = self.request(&world.environment, commit)?;
        Ok(vec![Item {
            name: format!("hf:{repository}@{commit}/{path}"),
            identity: Some(redacted(request.url.as_str())),
            sha256: linked.filter(|tag| is_sha256(tag)),
            md5: None,
            bytes,
            version: Version { title: Some(format!("commit {}", &commit[..12])), ..Version::default() },
            place: Place::There(Box::new(world.web.location(request, true))),
        }])
    }
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

fn is_commit(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_one_of_a_revision() {
        for wrong in [
            "hf:",
            "hf:acme/delays/m.onnx",
            "hf:acme/delays@main",
            "hf:acme/delays@main/",
            "hf:acme/delays@/m",
            "hf:@main/m",
            "hf:a/b/c@main/m",
            "hf:../delays@main/m",
            "hf:acme/delays@main/../m",
            "hf:acme/delays@..%2Fx/m",
            "hf:acme/de?lays@main/m",
        ] {
            assert!(File::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_address_is_that_of_the_hub() {
        let url = |text: &str, variables: &[(&str, &str)]| {
            let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            let file = File::parse(text).unwrap();
            file.request(&variables.collect(), &file.revision).unwrap().url.to_string()
        };
        assert_eq!(url("hf:gpt2@main/m.onnx", &[]), "https://huggingface.co/gpt2/resolve/main/m.onnx");
        assert_eq!(
            url("hf:datasets/acme/flights@refs%2Fpr%2F1/a b?/c", &[("HF_ENDPOINT", "https://hub.acme.com/hf/")]),
            "https://hub.acme.com/hf/datasets/acme/flights/resolve/refs%2Fpr%2F1/a%20b%3F/c"
        );
    }
}

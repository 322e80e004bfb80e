//! The repository on GitHub whose releases and commits are sources, and the token for it, which goes to its API only.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use reqwest::Url;
use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderValue};

use super::git;
use super::web::{Request, secret};
use crate::deliver::environment::Environment;
use crate::deliver::event::Event;
use crate::deliver::github::GitHub;

/// The time for asking GitHub what there is.
const ALLOWANCE: Duration = Duration::from_secs(120);

/// A repository.
pub(super) struct Repository {
    /// Its API.
    pub(super) api: GitHub,
    /// The commit under test.
    pub(super) head: Option<String>,
    base: String,
    token: Option<String>,
}

impl Repository {
    /// The repository that the runner names, or else the one that the checkout came from.
    pub(super) fn connect(folder: &Path, mut environment: Environment) -> Result<Self> {
        if environment.get("GITHUB_REPOSITORY").is_none() {
            let name = git::origin(folder).and_then(|origin| name(&origin));
            let name = name.context("it is not known of which repository: set `GITHUB_REPOSITORY` to owner/name")?;
            environment.set("GITHUB_REPOSITORY", &name);
        }
        let token = environment.token().or_else(|| environment.get("GH_TOKEN")).map(str::to_owned);
        let head = head(&environment, folder);
        let base = environment.api_url().trim_end_matches('/').to_owned();
        Ok(Self { api: GitHub::connect(&environment, token.as_deref(), ALLOWANCE)?, head, base, token })
    }

    /// What asks the API for the bytes of something of the repository.
    pub(super) fn request(&self, rest: &str, accept: &'static str) -> Result<Request> {
        let url =
            Url::parse(&format!("{}{}", self.base, self.api.path(rest))).context("`GITHUB_API_URL` is no address")?;
        let mut request = Request::get(url);
        request.headers.insert(ACCEPT, HeaderValue::from_static(accept));
        if let Some(token) = &self.token {
            let value = secret(&format!("Bearer {token}")).context("the token is no text")?;
            request.credentials = HeaderMap::from_iter([(AUTHORIZATION, value)]);
        }
        Ok(request)
    }
}

/// The commit that the run is for, which on a pull request is its head, or else the one that is checked out.
fn head(environment: &Environment, folder: &Path) -> Option<String> {
    match Event::read(environment) {
        Ok((event, _)) => Some(event.head),
        Err(_) => environment.get("GITHUB_SHA").map(str::to_owned).or_else(|| git::head(folder)),
    }
}

/// Owner and name of a repository on github.com: `https://github.com/acme/delays.git`, `git@github.com:acme/delays`.
fn name(origin: &str) -> Option<String> {
    let rest = origin.split_once("github.com").map(|(_, rest)| rest.trim_start_matches(['/', ':']))?;
    let name = rest.trim_end_matches('/').trim_end_matches(".git");
    (name.split('/').count() == 2).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkout_says_which_repository_it_is_of() {
        for origin in
            ["https://github.com/acme/delays.git", "git@github.com:acme/delays", "https://me:x@github.com/acme/delays/"]
        {
            assert_eq!(name(origin).as_deref(), Some("acme/delays"), "{origin}");
        }
        assert_eq!(name("https://gitlab.com/acme/delays"), None);
        assert_eq!(name("https://github.com/acme"), None);
    }
}

//! What the runner of GitHub Actions says: its variables, and the inputs of the action among them.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail};

/// The variables of a process. Of an empty one the runner means that it is absent.
#[derive(Debug, Clone, Default)]
pub struct Environment(BTreeMap<String, String>);

impl Environment {
    /// The variables of this process.
    #[must_use]
    pub fn of_process() -> Self {
        let text = |value: std::ffi::OsString| value.to_string_lossy().into_owned();
        std::env::vars_os().map(|(name, value)| (text(name), text(value))).collect()
    }

    /// A variable that is not empty.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|value| value.trim()).filter(|value| !value.is_empty())
    }

    /// The variables whose names begin so, those that are not empty.
    pub fn beginning(&self, beginning: &str) -> impl Iterator<Item = (&str, &str)> {
        let names = self.0.keys().filter(move |name| name.starts_with(beginning));
        names.filter_map(|name| Some((name.as_str(), self.get(name)?)))
    }

    /// Sets a variable that is not there.
    pub fn set(&mut self, name: &str, value: &str) {
        self.0.insert(name.to_owned(), value.to_owned());
    }

    /// A variable without which there is nothing to do.
    ///
    /// # Errors
    /// When it is absent.
    pub fn need(&self, name: &str) -> Result<&str> {
        self.get(name).with_context(|| {
            format!("`{name}` is not set: `modelgate action` is a step of GitHub Actions, run for an event")
        })
    }

    /// The page of the run.
    #[must_use]
    pub fn run_url(&self) -> Option<String> {
        let (server, repository) = (self.get("GITHUB_SERVER_URL")?, self.get("GITHUB_REPOSITORY")?);
        Some(format!("{server}/{repository}/actions/runs/{}", self.get("GITHUB_RUN_ID")?))
    }

    /// The tag that the run is for.
    #[must_use]
    pub fn tag(&self) -> Option<&str> {
        self.get("GITHUB_REF_NAME").filter(|_| self.get("GITHUB_REF_TYPE") == Some("tag"))
    }

    /// The address of GitHub's API.
    #[must_use]
    pub fn api_url(&self) -> &str {
        self.get("GITHUB_API_URL").unwrap_or("https://api.github.com")
    }

    /// The token for GitHub's API.
    #[must_use]
    pub fn token(&self) -> Option<&str> {
        self.input("token").or_else(|| self.get("GITHUB_TOKEN"))
    }

    /// An input of the action. The runner keeps hyphens, so both spellings are read.
    #[must_use]
    pub fn input(&self, id: &str) -> Option<&str> {
        let name = format!("INPUT_{}", id.to_uppercase());
        self.get(&name).or_else(|| self.get(&name.replace('_', "-").replacen('-', "_", 1)))
    }

    /// An input that is true or false, by the rule of the runner's own toolkit.
    ///
    /// # Errors
    /// When it is neither.
    pub fn flag(&self, id: &str, default: bool) -> Result<bool> {
        match self.input(id) {
            None => Ok(default),
            Some("true" | "True" | "TRUE") => Ok(true),
            Some("false" | "False" | "FALSE") => Ok(false),
            Some(other) => bail!("the input `{id}` is {other:?}: write true or false"),
        }
    }

    /// An input that is a whole number from one on.
    ///
    /// # Errors
    /// When it is none.
    pub fn number(&self, id: &str) -> Result<Option<u64>> {
        let parse = |text: &str| text.parse().ok().filter(|number| *number > 0);
        let number = |text| parse(text).with_context(|| format!("the input `{id}` is {text:?}: write a whole number"));
        self.input(id).map(number).transpose()
    }
}

impl FromIterator<(String, String)> for Environment {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(variables: I) -> Self {
        Self(variables.into_iter().collect())
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
mod tests {
    use super::*;

    fn environment(variables: &[(&str, &str)]) -> Environment {
        variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn both_spellings_of_an_input_are_read_and_an_empty_one_is_absent() {
        let environment = environment(&[("INPUT_STRICT-PUBLISH", "true"), ("INPUT_SUITE", ""), ("INPUT_OUT", " out ")]);
        assert!(environment.flag("strict_publish", false).unwrap());
        assert_eq!(environment.input("suite"), None);
        assert_eq!(environment.input("out"), Some("out"));
    }

    #[test]
    fn what_is_no_boolean_and_no_number_is_refused() {
        let environment = environment(&[("INPUT_CHECK", "yes"), ("INPUT_THREADS", "0")]);
        assert!(environment.flag("check", true).unwrap_err().to_string().contains("true or false"));
        assert!(environment.number("threads").is_err());
        assert!(environment.flag("status", true).unwrap());
    }
}

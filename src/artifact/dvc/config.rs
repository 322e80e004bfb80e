//! How a repository of DVC's is set up: `.dvc/config`, and `.dvc/config.local` on top of it.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};

use super::checkout::Checkout;

/// What the sections of the files say, the names in small letters, as DVC takes them.
#[derive(Debug, Default)]
pub(super) struct Config(BTreeMap<String, BTreeMap<String, String>>);

impl Config {
    pub(super) fn of(checkout: &Checkout) -> Result<Self> {
        let mut config = Self::default();
        for path in [".dvc/config", ".dvc/config.local"] {
            let bytes = checkout.read(path)?.unwrap_or_default();
            config.add(std::str::from_utf8(&bytes).with_context(|| format!("`{path}` is not in UTF-8"))?);
        }
        Ok(config)
    }

    /// What a section says of a key.
    pub(super) fn get(&self, section: &str, key: &str) -> Option<&str> {
        self.0.get(section)?.get(key).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// What is said of a remote.
    pub(super) fn of_remote(&self, name: &str, key: &str) -> Option<&str> {
        self.get(&format!("remote \"{name}\""), key)
    }

    /// Lines that say nothing that is understood are passed over: what is missing then is told.
    fn add(&mut self, text: &str) {
        let mut section = String::new();
        for line in text.lines().map(str::trim) {
            if let Some(name) = line.strip_prefix('[').and_then(|line| line.rsplit_once(']')).map(|(name, _)| name) {
                section = unquoted(name.trim()).to_lowercase();
            } else if let Some((key, value)) = line.split_once('=').filter(|_| !line.starts_with('#')) {
                let key = unquoted(key.trim()).to_lowercase();
                self.0.entry(section.clone()).or_default().insert(key, unquoted(value.trim()).to_owned());
            }
        }
    }
}

/// A text without its quotes, or where it has none, without the comment behind it.
fn unquoted(text: &str) -> &str {
    for quote in ['\'', '"'] {
        if let Some((inside, _)) = text.strip_prefix(quote).and_then(|rest| rest.split_once(quote)) {
            return inside;
        }
    }
    text.split('#').next().unwrap_or_default().trim_end()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_read_as_dvc_reads_it() {
        let mut config = Config::default();
        config.add(
            "# a comment = none\n[core]\n    remote = Store # the team's\n['remote \"store\"']\n    url = \"s3://acme/a, b\"\n\
             \tregion=eu-west-1\nnonsense\n[ 'remote \"s 3\"' ]\nURL = ../../x\n",
        );
        config.add("['remote \"store\"']\nregion = 'us-east-1'\nprofile =\n");
        assert_eq!(config.get("core", "remote"), Some("Store"));
        assert_eq!(config.of_remote("store", "url"), Some("s3://acme/a, b"));
        assert_eq!(config.of_remote("store", "region"), Some("us-east-1"));
        assert_eq!(config.of_remote("store", "profile"), None);
        assert_eq!(config.of_remote("s 3", "url"), Some("../../x"));
    }
}

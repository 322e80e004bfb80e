//! What a run may reach: everything for a spec of one's own, little for what a pull request names.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::trouble::Trouble;

/// What a run may reach.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Reach {
    /// The sources are those of whoever runs the gate.
    #[default]
    Own,
    /// The sources are agreed upon in the base of a pull request, which may have changed the files in the checkout.
    Agreed {
        /// The checkout.
        workspace: PathBuf,
        /// The hosts and buckets that the base allows to what files of the checkout name.
        allowed: Vec<String>,
    },
    /// The sources are named by a pull request.
    Named {
        /// The checkout.
        workspace: PathBuf,
        /// The hosts and buckets that the base allows.
        allowed: Vec<String>,
    },
}

impl Reach {
    /// What may be reached of what a file of the checkout names: a pull request may have changed it.
    #[must_use]
    pub fn of_checkout(&self) -> Self {
        match self.clone() {
            Self::Agreed { workspace, allowed } => Self::Named { workspace, allowed },
            reach => reach,
        }
    }

    /// Refuses a file outside the checkout, whatever links lead there.
    ///
    /// # Errors
    /// When it lies outside, or cannot be found.
    pub fn ensure_file(&self, written: &str, file: &Path) -> Result<()> {
        let workspace = match self {
            Self::Own => return Ok(()),
            Self::Agreed { .. } if Path::new(written).is_absolute() => return Ok(()),
            Self::Agreed { workspace, .. } | Self::Named { workspace, .. } => workspace,
        };
        let real =
            |path: &Path| fs::canonicalize(path).with_context(|| format!("`{}` cannot be found", path.display()));
        let inside = real(file)?.starts_with(real(workspace)?);
        ensure!(
            inside,
            "`{written}` leads out of the workspace: on a pull request only files of the checkout are read"
        );
        Ok(())
    }

    /// Refuses an address that the base of a pull request does not allow.
    ///
    /// # Errors
    /// With the entry that would allow it.
    pub fn ensure_url(&self, url: &Url) -> Result<(), Trouble> {
        let Self::Named { allowed, .. } = self else { return Ok(()) };
        let host = url.host_str().unwrap_or_default();
        let entry = match url.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        };
        if !allowed.iter().any(|allowed| allows(allowed, &entry)) {
            return Err(refused(&entry));
        }
        let is_private = literal(host).is_some_and(is_private);
        if is_private && !allowed.contains(&entry) { Err(private(host)) } else { Ok(()) }
    }

    /// Refuses a bucket, such as `s3://acme-models`, that the base of a pull request does not allow.
    ///
    /// # Errors
    /// With the entry that would allow it.
    pub fn ensure_bucket(&self, bucket: &str) -> Result<(), Trouble> {
        match self {
            Self::Named { allowed, .. } if !allowed.iter().any(|allowed| allowed == bucket) => Err(refused(bucket)),
            _ => Ok(()),
        }
    }

    /// Refuses a server that the base of a pull request does not allow by its whole name, for a client that finds its
    /// addresses itself.
    ///
    /// # Errors
    /// With the entry that would allow it.
    pub fn ensure_endpoint(&self, url: &Url) -> Result<(), Trouble> {
        let Self::Named { allowed, workspace } = self else { return Ok(()) };
        let allowed = allowed.iter().filter(|entry| !entry.starts_with('*')).cloned().collect();
        Self::Named { workspace: workspace.clone(), allowed }.ensure_url(url)
    }

    /// Finds addresses of hosts, private ones only for hosts that are allowed by their whole name.
    pub(super) fn resolver(&self) -> Resolver {
        let named = match self {
            Self::Named { allowed, .. } => {
                Some(allowed.iter().map(|entry| entry.split(':').next().unwrap_or_default().to_lowercase()).collect())
            }
            _ => None,
        };
        Resolver { named }
    }
}

fn refused(entry: &str) -> Trouble {
    Trouble::last(
        format!("the pull request names `{entry}`, which the base does not allow"),
        format!("add `{entry}` to `policy.allowed_hosts`, in a pull request of its own"),
    )
}

fn private(host: &str) -> Trouble {
    Trouble::last(
        format!("`{host}` is an address within a private network"),
        format!("add `{host}` by its whole name to `policy.allowed_hosts`, in a pull request of its own"),
    )
}

/// What is wrong with an entry of `policy.allowed_hosts`, if anything is.
#[must_use]
pub fn unfit(entry: &str) -> Option<&'static str> {
    const REMEDY: &str =
        "write a host such as `models.acme.com`, `*.acme.com` or `localhost:9000`, or a bucket such as `s3://acme`";
    let host = match entry.split_once("://") {
        Some(("s3" | "gs" | "az", bucket)) => {
            return (bucket.is_empty() || bucket.contains(['/', '*'])).then_some(REMEDY);
        }
        Some(_) => return Some(REMEDY),
        None => entry.strip_prefix("*.").unwrap_or(entry),
    };
    let is_part = |character: char| character.is_ascii_alphanumeric() || "-.:[]".contains(character);
    let whole = host.chars().all(is_part) && !host.is_empty();
    // Of a whole top-level domain everybody has a part.
    let wide = entry.starts_with("*.") && !host.contains('.');
    (!whole || wide).then_some(REMEDY)
}

fn allows(allowed: &str, entry: &str) -> bool {
    let allowed = allowed.to_lowercase();
    match allowed.strip_prefix('*') {
        Some(domain) => entry.ends_with(domain) && entry.len() > domain.len(),
        None => allowed == entry,
    }
}

/// The address that a host is, where it is no name.
fn literal(host: &str) -> Option<IpAddr> {
    host.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

/// Whether an address is of this machine, of a private network, or of nobody.
fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_private_v4(address),
        IpAddr::V6(address) => is_private_v6(address),
    }
}

fn is_private_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let shared = a == 100 && (b & 0xc0) == 64;
    let benchmark = a == 198 && (b & 0xfe) == 18;
    let assigned = a == 0 || a >= 240 || [a, b, c] == [192, 0, 0];
    address.is_loopback()
        || address.is_private()
        || address.is_link_local()
        || address.is_multicast()
        || address.is_documentation()
        || shared
        || benchmark
        || assigned
}

fn is_private_v6(address: Ipv6Addr) -> bool {
    let segments = address.segments();
    let embedded = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    if let Some(mapped) = address.to_ipv4() {
        return is_private_v4(mapped);
    }
    match segments {
        // Addresses that hold one of version 4: translated, and of 6to4.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => is_private_v4(embedded(high, low)),
        [0x64, 0xff9b, 1, ..] => true,
        _ => {
            address.is_loopback()
                || address.is_unspecified()
                || address.is_multicast()
                || address.is_unique_local()
                || address.is_unicast_link_local()
                || segments[0] & 0xffc0 == 0xfec0
        }
    }
}

/// Finds the addresses of hosts; the connection goes to what was looked at, so that a name cannot change in between.
#[derive(Debug)]
pub(super) struct Resolver {
    /// The hosts whose addresses may be private; none where all may be.
    named: Option<Vec<String>>,
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let host = name.as_str().to_owned();
        let all = self.named.as_ref().is_none_or(|named| named.contains(&host));
        Box::pin(async move {
            let found = tokio::net::lookup_host((host.as_str(), 0)).await?.collect::<Vec<_>>();
            let may = found.iter().copied().filter(|address| all || !is_private(address.ip())).collect::<Vec<_>>();
            if may.is_empty() && !found.is_empty() {
                return Err(private(&host).to_string().into());
            }
            Ok(Box::new(may.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
mod tests {
    use super::*;

    fn named(allowed: &[&str]) -> Reach {
        Reach::Named { workspace: PathBuf::new(), allowed: allowed.iter().map(|&entry| entry.to_owned()).collect() }
    }

    fn reaches(allowed: &[&str], url: &str) -> bool {
        named(allowed).ensure_url(&url.parse().unwrap()).is_ok()
    }

    #[test]
    fn a_pull_request_reaches_what_the_base_allows() {
        assert!(Reach::Own.ensure_url(&"https://example.com/m".parse().unwrap()).is_ok());
        for (allowed, url, expected) in [
            ("models.acme.com", "https://models.acme.com/m", true),
            ("models.acme.com", "https://MODELS.acme.com/m", true),
            ("models.acme.com", "https://models.acme.com.evil.net/m", false),
            ("models.acme.com", "https://models.acme.com@evil.net/m", false),
            ("models.acme.com", "https://models.acme.com:8443/m", false),
            ("models.acme.com:8443", "https://models.acme.com:8443/m", true),
            ("*.acme.com", "https://a.b.acme.com/m", true),
            ("*.acme.com", "https://acme.com/m", false),
            ("*.acme.com", "https://evilacme.com/m", false),
        ] {
            assert_eq!(reaches(&[allowed], url), expected, "{allowed} {url}");
        }
    }

    #[test]
    fn a_private_address_must_be_named() {
        assert!(reaches(&["127.0.0.1:9000"], "http://127.0.0.1:9000/m"));
        assert!(!reaches(&["*.0.0.1"], "https://127.0.0.1/m"));
        // The same address, as others write it.
        assert!(!reaches(&["*.0.0.1"], "https://0x7f000001/m"));
        for private in [
            "10.1.2.3",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "::1",
            "fe80::1",
            "fd00::1",
            "::ffff:10.0.0.1",
            "64:ff9b::a00:1",
            "2002:a00:1::1",
        ] {
            assert!(is_private(private.parse().unwrap()), "{private}");
        }
        for public in ["1.1.1.1", "140.82.112.3", "2606:4700::1111", "64:ff9b::101:101"] {
            assert!(!is_private(public.parse().unwrap()), "{public}");
        }
    }

    #[tokio::test]
    async fn a_name_may_not_lead_into_a_private_network() {
        let addresses = |reach: Reach| async move { reach.resolver().resolve("localhost".parse().unwrap()).await };
        assert!(addresses(Reach::Own).await.is_ok());
        assert!(addresses(named(&["localhost:9000"])).await.is_ok());
        let Err(error) = addresses(named(&["*.acme.com"])).await else { panic!("a private address was found") };
        assert!(error.to_string().contains("within a private network"), "{error}");
    }

    #[test]
    fn entries_are_hosts_or_buckets() {
        for fit in ["models.acme.com", "*.acme.com", "localhost:9000", "s3://acme", "[::1]:9000"] {
            assert_eq!(unfit(fit), None, "{fit}");
        }
        for wrong in ["", "*", "*.com", "https://acme.com", "acme.com/models", "s3://acme/models", "s3://*", "a b"] {
            assert!(unfit(wrong).is_some(), "{wrong}");
        }
    }

    #[test]
    fn buckets_are_allowed_by_name() {
        assert!(named(&["s3://acme"]).ensure_bucket("s3://acme").is_ok());
        assert!(named(&["s3://acme"]).ensure_bucket("s3://acme-evil").is_err());
        assert!(Reach::Own.ensure_bucket("s3://acme").is_ok());
    }

    #[test]
    fn what_the_checkout_names_is_not_agreed_upon() {
        let url = "https://models.acme.com/m".parse().unwrap();
        let agreed = |entry: &str| Reach::Agreed { workspace: PathBuf::new(), allowed: vec![entry.to_owned()] };
        assert!(agreed("other.acme.com").ensure_url(&url).is_ok());
        assert!(agreed("other.acme.com").of_checkout().ensure_url(&url).is_err());
        assert!(agreed("*.acme.com").of_checkout().ensure_url(&url).is_ok());
        assert!(agreed("*.acme.com").of_checkout().ensure_endpoint(&url).is_err());
        assert!(agreed("models.acme.com").of_checkout().ensure_endpoint(&url).is_ok());
        assert!(Reach::Own.of_checkout().ensure_endpoint(&url).is_ok());
    }

    #[test]
    fn a_path_stays_in_the_workspace() {
        let (workspace, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let secret = outside.path().join("secret");
        fs::write(&secret, "s").unwrap();
        fs::write(workspace.path().join("model"), "m").unwrap();
        std::os::unix::fs::symlink(&secret, workspace.path().join("link")).unwrap();
        let reach = Reach::Named { workspace: workspace.path().to_owned(), allowed: Vec::new() };
        let agreed = Reach::Agreed { workspace: workspace.path().to_owned(), allowed: Vec::new() };
        let stays = |reach: &Reach, written: &str| reach.ensure_file(written, &workspace.path().join(written)).is_ok();
        assert!(stays(&reach, "model") && stays(&agreed, "model"));
        let absolute = secret.to_str().unwrap();
        let up = format!("../{}/secret", outside.path().file_name().unwrap().to_str().unwrap());
        assert!(!stays(&reach, "link") && !stays(&reach, absolute) && !stays(&reach, &up));
        // What was agreed upon is read where it lies, but a link is the pull request's.
        assert!(!stays(&agreed, "link") && !stays(&agreed, &up));
        assert!(stays(&agreed, absolute) && stays(&Reach::Own, "link"));
    }
}

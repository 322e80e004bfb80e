//! What goes wrong while something is fetched: what to try again, and what a user can do about the rest. No text here holds
//! a password or the query of an address, which may be a signature.

use std::error::Error;
use std::fmt;
use std::time::{Duration, SystemTime};

use reqwest::StatusCode;
use reqwest::header::{HeaderMap, RETRY_AFTER};

/// Why something could not be fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// Another try may have success.
    Again {
        /// What happened.
        why: String,
        /// The wait that the server asks for.
        wait: Option<Duration>,
    },
    /// Another try would end as this one.
    Last {
        /// What happened.
        why: String,
        /// What the user can do.
        remedy: String,
    },
    /// A server says that it is not there.
    Nothing {
        /// What happened.
        why: String,
        /// What the user can do.
        remedy: String,
    },
}

/// That there is no such thing, as whoever would have it says. Whatever else goes wrong leaves it open whether there is.
#[derive(Debug)]
pub struct Absent(String);

impl Absent {
    /// That there is no such thing, and what to do about it.
    pub fn new(why: impl Into<String>) -> Self {
        Self(redacted(&why.into()))
    }
}

impl fmt::Display for Absent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for Absent {}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Again { why, .. } => write!(f, "{why}; run again, or check that the server can be reached"),
            Self::Last { why, remedy } | Self::Nothing { why, remedy } => write!(f, "{why}; {remedy}"),
        }
    }
}

impl Error for Trouble {}

impl Trouble {
    /// Another try may have success.
    pub fn again(why: impl Into<String>) -> Self {
        Self::Again { why: redacted(&why.into()), wait: None }
    }

    /// Another try would end as this one.
    pub fn last(why: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::Last { why: redacted(&why.into()), remedy: redacted(&remedy.into()) }
    }

    /// What an answer without success means.
    #[must_use]
    pub fn of_answer(status: StatusCode, headers: &HeaderMap) -> Self {
        let why = format!("the server answers {status}");
        match status.as_u16() {
            408 | 425 | 429 | 500.. => Self::Again { why, wait: wait(headers) },
            401 | 403 => Self::last(why, "it needs credentials that this run does not have, or they may not read it"),
            404 | 410 => {
                let remedy = "check the name, and that the credentials of this run may see it".to_owned();
                Self::Nothing { why, remedy }
            }
            _ => Self::last(why, "check the address"),
        }
    }

    /// What an error of the transport means.
    #[must_use]
    pub fn of_transport(error: reqwest::Error) -> Self {
        let error = error.without_url();
        let why = innermost(&error);
        if error.is_builder() { Self::last(why, "check the address") } else { Self::again(why) }
    }
}

/// The innermost cause of an error, which says what happened.
pub(super) fn innermost(error: &dyn Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

/// The wait that a server asks for: seconds, or a date.
fn wait(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let until = || httpdate::parse_http_date(text).ok()?.duration_since(SystemTime::now()).ok();
    text.parse().ok().map(Duration::from_secs).or_else(until)
}

/// A text without what may be secret in its addresses: names and passwords before the host, and queries.
#[must_use]
pub fn redacted(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        let is_end = |character: char| character.is_whitespace() || "`\"'<>()".contains(character);
        let (address, tail) = after.split_at(after.find(is_end).unwrap_or(after.len()));
        shown.push_str(before);
        shown.push_str(&redacted_address(address));
        rest = tail;
    }
    shown.push_str(rest);
    shown
}

fn redacted_address(address: &str) -> String {
    let end = address.find(['?', '#']).unwrap_or(address.len());
    let (place, secret) = address.split_at(end);
    let (authority, path) = place.split_at(place.find('/').unwrap_or(place.len()));
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let mark = if host.len() < authority.len() { "...@" } else { "" };
    // A digest that is pinned is no secret.
    let pin = secret.rsplit_once("@sha256:").map_or(String::new(), |(_, digest)| format!("@sha256:{digest}"));
    format!("{mark}{host}{path}{}{pin}", if secret.is_empty() { "" } else { "?..." })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_secret_is_shown() {
        for (text, expected) in [
            ("models/m.onnx", "models/m.onnx"),
            ("release:v1/m@2.onnx", "release:v1/m@2.onnx"),
            ("https://acme.com/m.onnx", "https://acme.com/m.onnx"),
            ("https://acme.com/a@b/m.onnx", "https://acme.com/a@b/m.onnx"),
            ("https://me:pass@acme.com/m.onnx", "https://...@acme.com/m.onnx"),
            ("https://me:p@ss@acme.com/m", "https://...@acme.com/m"),
            ("https://acme.com/m?sig=x&se=y", "https://acme.com/m?..."),
            ("https://acme.com/m?sig=x@sha256:ab", "https://acme.com/m?...@sha256:ab"),
            (
                "GET `https://acme.com/m?sig=x`: gone, az://a/b?sig=y",
                "GET `https://acme.com/m?...`: gone, az://a/b?...",
            ),
        ] {
            assert_eq!(redacted(text), expected);
        }
    }

    #[test]
    fn a_server_says_how_long_to_wait() {
        let after = |value: &'static str| {
            let headers = [(RETRY_AFTER, http_value(value))].into_iter().collect();
            Trouble::of_answer(StatusCode::SERVICE_UNAVAILABLE, &headers)
        };
        let why = "the server answers 503 Service Unavailable".to_owned();
        assert_eq!(after("7"), Trouble::Again { why: why.clone(), wait: Some(Duration::from_secs(7)) });
        assert_eq!(after("Thu, 01 Jan 1970 00:00:00 GMT"), Trouble::Again { why: why.clone(), wait: None });
        assert_eq!(after("soon"), Trouble::Again { why, wait: None });
    }

    fn http_value(value: &'static str) -> reqwest::header::HeaderValue {
        reqwest::header::HeaderValue::from_static(value)
    }
}

//! What can go wrong between us and GitHub, told apart by what a user can do about it.

use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

/// Why a request had no success.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// The token may not do that.
    Permission,
    /// The token is not valid.
    Token,
    /// Too many requests; GitHub may say how long to wait.
    Limited {
        /// The wait that GitHub asks for.
        wait: Option<Duration>,
    },
    /// There is no such thing, or the token may not see it.
    Absent,
    /// GitHub refuses what was sent, and says why.
    Refused(String),
    /// GitHub cannot answer now: a status from 500 on.
    Unavailable(u16),
    /// No answer came.
    Unreachable(String),
    /// The answer is not what GitHub documents.
    Malformed,
    /// The time for talking to GitHub is used up.
    OutOfTime,
}

impl Trouble {
    /// Whether the request may have been carried out all the same.
    #[must_use]
    pub fn is_ambiguous(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Unreachable(_) | Self::Malformed)
    }
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Permission => f.write_str("the token may not do that"),
            Self::Token => f.write_str("the token is not valid"),
            Self::Limited { wait: Some(wait) } => write!(f, "GitHub's rate limit asks to wait {} s", wait.as_secs()),
            Self::Limited { wait: None } => f.write_str("GitHub's rate limit is reached"),
            Self::Absent => f.write_str("there is no such thing, or the token may not see it"),
            Self::Refused(message) => write!(f, "GitHub refuses it: {message}"),
            Self::Unavailable(status) => write!(f, "GitHub answers {status}"),
            Self::Unreachable(cause) => write!(f, "GitHub cannot be reached: {cause}"),
            Self::Malformed => f.write_str("the answer is not what GitHub documents"),
            Self::OutOfTime => f.write_str("the time for talking to GitHub is used up"),
        }
    }
}

impl std::error::Error for Trouble {}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Message {
    message: String,
    errors: Vec<Value>,
}

/// What an answer that is no success means. A 403 stands for a missing permission and for a limit.
pub(super) fn of_answer<'h>(
    status: u16,
    header: impl Fn(&str) -> Option<&'h str>,
    body: &[u8],
    now: Duration,
) -> Trouble {
    let message: Message = serde_json::from_slice(body).unwrap_or_default();
    let number = |name| header(name).and_then(|text| text.trim().parse::<u64>().ok());
    let exhausted = number("x-ratelimit-remaining") == Some(0);
    let wait = number("retry-after").map(Duration::from_secs).or_else(|| {
        let reset = Duration::from_secs(number("x-ratelimit-reset")?);
        exhausted.then(|| reset.saturating_sub(now) + Duration::from_secs(1))
    });
    let limited = wait.is_some() || exhausted || says_limit(&message.message);
    match status {
        401 => Trouble::Token,
        429 => Trouble::Limited { wait },
        403 if limited => Trouble::Limited { wait },
        403 => Trouble::Permission,
        404 | 410 => Trouble::Absent,
        500.. => Trouble::Unavailable(status),
        _ => Trouble::Refused(refusal(status, &message)),
    }
}

fn says_limit(message: &str) -> bool {
    let message = message.to_lowercase();
    ["rate limit", "abuse"].iter().any(|sign| message.contains(sign))
}

/// GitHub's words, and those of the first error beside them.
fn refusal(status: u16, message: &Message) -> String {
    let first = message.errors.first().map(|error| match error.get("message").and_then(Value::as_str) {
        Some(text) => text.to_owned(),
        None => error.to_string(),
    });
    let said = [Some(message.message.clone()), first].into_iter().flatten().filter(|text| !text.is_empty());
    let said: Vec<String> = said.collect();
    if said.is_empty() { format!("status {status}") } else { said.join(": ") }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct GraphQl {
    data: Value,
    errors: Vec<GraphQlError>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct GraphQlError {
    message: String,
    r#type: Option<String>,
}

/// The data of an answer of GraphQL, or what its first error means.
pub(super) fn of_graphql(answer: GraphQl) -> Result<Value, Trouble> {
    let Some(error) = answer.errors.into_iter().next() else { return Ok(answer.data) };
    Err(match error.r#type.as_deref() {
        Some("RATE_LIMITED") => Trouble::Limited { wait: None },
        Some("FORBIDDEN" | "INSUFFICIENT_SCOPES") => Trouble::Permission,
        Some("NOT_FOUND") => Trouble::Absent,
        _ if error.message.contains("not accessible by") => Trouble::Permission,
        _ => Trouble::Refused(error.message),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(1_000);

    fn of(status: u16, headers: &[(&str, &'static str)], body: &str) -> Trouble {
        let header = |name: &str| headers.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
        of_answer(status, header, body.as_bytes(), NOW)
    }

    fn limited(seconds: Option<u64>) -> Trouble {
        Trouble::Limited { wait: seconds.map(Duration::from_secs) }
    }

    #[test]
    fn a_403_is_a_permission_or_a_limit() {
        let integration = r#"{"message":"Resource not accessible by integration"}"#;
        let secondary = r#"{"message":"You have exceeded a secondary rate limit."}"#;
        let spent = [("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1030")];
        assert_eq!(of(403, &[("x-ratelimit-remaining", "4999")], integration), Trouble::Permission);
        assert_eq!(of(403, &[], secondary), limited(None));
        assert_eq!(of(403, &[("retry-after", "7")], secondary), limited(Some(7)));
        assert_eq!(of(403, &spent, r#"{"message":"API rate limit exceeded"}"#), limited(Some(31)));
        assert_eq!(of(429, &[], "slow down"), limited(None));
    }

    #[test]
    fn a_reset_in_the_past_is_a_short_wait() {
        let past = [("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "10")];
        assert_eq!(of(403, &past, ""), limited(Some(1)));
    }

    #[test]
    fn other_answers_say_what_they_are() {
        let too_long = r#"{"message":"Validation Failed","errors":[{"message":"Body is too long"}]}"#;
        assert_eq!(of(422, &[], too_long), Trouble::Refused("Validation Failed: Body is too long".to_owned()));
        assert_eq!(of(422, &[], "<html>"), Trouble::Refused("status 422".to_owned()));
        assert_eq!(of(502, &[], ""), Trouble::Unavailable(502));
        assert_eq!(of(401, &[], ""), Trouble::Token);
        assert_eq!(of(404, &[], ""), Trouble::Absent);
    }

    #[test]
    fn graphql_errors_are_told_apart() {
        let error = |kind: Option<&str>, message: &str| GraphQl {
            data: Value::Null,
            errors: vec![GraphQlError { message: message.to_owned(), r#type: kind.map(str::to_owned) }],
        };
        assert_eq!(of_graphql(error(Some("FORBIDDEN"), "")), Err(Trouble::Permission));
        let integration = "Resource not accessible by integration";
        assert_eq!(of_graphql(error(None, integration)), Err(Trouble::Permission));
        assert_eq!(of_graphql(error(Some("RATE_LIMITED"), "")), Err(limited(None)));
        assert_eq!(of_graphql(error(None, "odd")), Err(Trouble::Refused("odd".to_owned())));
    }
}

//! Instants as the record holds them: RFC 3339, in UTC, to the second.

use chrono::{DateTime, SecondsFormat, Utc};

/// The instant so many seconds after 1970 began.
#[must_use]
pub fn of_seconds(seconds: i64) -> Option<String> {
    Some(DateTime::<Utc>::from_timestamp(seconds, 0)?.to_rfc3339_opts(SecondsFormat::Secs, true))
}

/// An instant that somebody else wrote, in any zone.
#[must_use]
pub fn of_text(text: &str) -> Option<String> {
    of_seconds(seconds(text)?)
}

/// The seconds from the beginning of 1970 to an instant.
#[must_use]
pub fn seconds(text: &str) -> Option<i64> {
    Some(DateTime::parse_from_rfc3339(text).ok()?.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_is_written_in_one_way() {
        assert_eq!(of_seconds(1_700_000_000).as_deref(), Some("2023-11-14T22:13:20Z"));
        assert_eq!(of_text("2023-11-14T23:13:20.987+01:00").as_deref(), Some("2023-11-14T22:13:20Z"));
        assert_eq!(seconds("2023-11-14T22:13:20Z"), Some(1_700_000_000));
        for wrong in ["", "yesterday", "2023-11-14", "2023-02-30T00:00:00Z"] {
            assert_eq!(of_text(wrong), None, "{wrong}");
        }
        assert_eq!(of_seconds(i64::MAX), None);
    }
}

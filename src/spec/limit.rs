//! Limits: a bound on a metric, absolute or relative, never to be confused.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize, Serializer};

/// How much: `0.01` is absolute, `1%` is relative to the baseline.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Amount {
    /// On the metric's own scale.
    Absolute(f64),
    /// A share of the baseline's value; `Relative(0.01)` is written `1%`.
    Relative(f64),
}

impl Amount {
    /// Reads `1%` or `0.5 %`.
    fn parse(text: &str) -> Option<Self> {
        let number = text.strip_suffix('%')?.trim_end();
        let percent: f64 = number.parse().ok()?;
        (percent.is_finite() && percent >= 0.0).then_some(Self::Relative(percent / 100.0))
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absolute(amount) => write!(f, "{amount}"),
            Self::Relative(share) => write!(f, "{}%", round_percent(share * 100.0)),
        }
    }
}

/// Undoes the dust of dividing by a hundred, so that `1.1%` is printed as it was written.
fn round_percent(percent: f64) -> f64 {
    (percent * 1e9).round() / 1e9
}

impl Serialize for Amount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Absolute(amount) => serializer.serialize_f64(*amount),
            Self::Relative(_) => serializer.collect_str(self),
        }
    }
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AmountVisitor)
    }
}

struct AmountVisitor;

impl AmountVisitor {
    fn absolute<E: de::Error>(amount: f64) -> Result<Amount, E> {
        if amount.is_finite() && amount >= 0.0 {
            Ok(Amount::Absolute(amount))
        } else {
            Err(E::custom("a margin is not negative: the key already says the direction"))
        }
    }
}

impl Visitor<'_> for AmountVisitor {
    type Value = Amount;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an absolute amount such as 0.01, or a relative one such as 1%")
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Amount, E> {
        Self::absolute(value)
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Amount, E> {
        Self::absolute(value as f64)
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Amount, E> {
        Self::absolute(value as f64)
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Amount, E> {
        Amount::parse(value)
            .ok_or_else(|| E::custom(format!("`{value}` is neither a number nor a percentage such as `1%`")))
    }
}

impl JsonSchema for Amount {
    fn schema_name() -> Cow<'static, str> {
        "Amount".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "How much: `0.01` is absolute, `1%` is relative to the baseline.",
            "anyOf": [
                { "type": "number", "minimum": 0, "title": "an absolute amount such as 0.01" },
                { "type": "string", "pattern": "^[0-9.]+ ?%$", "title": "a relative amount such as 1%" }
            ]
        })
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
mod tests {
    use super::*;

    #[test]
    fn relative_and_absolute_are_told_apart() {
        let read = |text| serde_json::from_str::<Amount>(text).unwrap();
        assert_eq!(read("0.01"), Amount::Absolute(0.01));
        assert_eq!(read("1"), Amount::Absolute(1.0));
        assert_eq!(read("\"1%\""), Amount::Relative(0.01));
        assert_eq!(read("\"1.1 %\"").to_string(), "1.1%");
    }

    #[test]
    fn what_is_no_margin_is_refused() {
        for text in ["-0.01", "\"-1%\"", "\"0.01\"", "\"1 % of it\"", "\"nan%\"", "\"%\"", "true"] {
            assert!(serde_json::from_str::<Amount>(text).is_err(), "{text}");
        }
    }
}

//! A region of the data as a slice of the spec: its name, its condition in SQL, and the line that a person may paste.
//!
//! Column names and values are the data's, and whoever wrote the data may be hostile. So each is quoted for SQL and the
//! whole for YAML, and what is pasted means the region and nothing else.

use super::written::SliceWhere;

/// What a region demands of one column.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// The column.
    pub column: String,
    /// Its values.
    pub values: Values,
}

/// Values of a column.
#[derive(Debug, Clone, PartialEq)]
pub enum Values {
    /// From a number, which is included, up to another, which is not; without one, all from there on.
    Between(Option<f64>, Option<f64>),
    /// One value.
    Is(Literal),
    /// Any but these, and not null.
    NoneOf(Vec<Literal>),
    /// None.
    Null,
}

/// A value that is no number.
#[derive(Debug, Clone, PartialEq)]
pub enum Literal {
    /// Text.
    Text(String),
    /// True or false.
    Truth(bool),
}

/// The region as a slice of the spec.
#[must_use]
pub fn slice(parts: &[Part]) -> SliceWhere {
    let join = |of: fn(&Part) -> String, between: &str| parts.iter().map(of).collect::<Vec<_>>().join(between);
    SliceWhere { name: join(Part::name, " and "), condition: join(Part::condition, " AND ") }
}

/// A slice as a line below `slices:`, whatever its name and condition contain.
#[must_use]
pub fn line(slice: &SliceWhere) -> String {
    format!("- {{ name: {}, where: {} }}", yaml(&slice.name), yaml(&slice.condition))
}

impl Part {
    fn name(&self) -> String {
        let column = &self.column;
        match &self.values {
            Values::Between(Some(low), Some(high)) => format!("{column} in [{low}, {high})"),
            Values::Between(Some(low), None) => format!("{column} >= {low}"),
            Values::Between(None, Some(high)) => format!("{column} < {high}"),
            Values::Between(None, None) => format!("{column} is not null"),
            Values::Is(value) => format!("{column}={}", value.name()),
            Values::NoneOf(values) => format!("{column} not among the {} most frequent", values.len()),
            Values::Null => format!("{column} is null"),
        }
    }

    fn condition(&self) -> String {
        let column = identifier(&self.column);
        match &self.values {
            Values::Between(Some(low), Some(high)) => format!("{column} >= {low} AND {column} < {high}"),
            Values::Between(Some(low), None) => format!("{column} >= {low}"),
            Values::Between(None, Some(high)) => format!("{column} < {high}"),
            Values::Between(None, None) => format!("{column} IS NOT NULL"),
            Values::Is(value) => format!("{column} = {}", value.sql()),
            Values::NoneOf(values) => {
                let values = values.iter().map(Literal::sql).collect::<Vec<_>>();
                format!("{column} NOT IN ({})", values.join(", "))
            }
            Values::Null => format!("{column} IS NULL"),
        }
    }
}

impl Literal {
    fn name(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Truth(truth) => truth.to_string(),
        }
    }

    fn sql(&self) -> String {
        match self {
            Self::Text(text) => format!("'{}'", text.replace('\'', "''")),
            Self::Truth(truth) => truth.to_string(),
        }
    }
}

/// Words that SQL does not take for a column where a condition begins.
#[rustfmt::skip]
const RESERVED: [&str; 17] = [
    "ALL", "ANY", "COPY", "CREATE", "CURRENT_DATE", "CURRENT_TIME", "CURRENT_TIMESTAMP", "EXISTS", "EXPLAIN",
    "FALSE", "INTERVAL", "NOT", "NULL", "SOME", "STRUCT", "TRIM", "TRUE",
];

/// A column in SQL: bare where that is the same, else between double quotes.
fn identifier(column: &str) -> String {
    let simple = column.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && column.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if simple && !RESERVED.contains(&column.to_ascii_uppercase().as_str()) {
        column.to_owned()
    } else {
        format!("\"{}\"", column.replace('"', "\"\""))
    }
}

/// A double-quoted scalar of YAML 1.2: what is neither ASCII nor a letter nor a digit is escaped, so that nothing in it
/// can be unseen or reorder the line.
fn yaml(text: &str) -> String {
    let escaped = |c: char| match c {
        '"' | '\\' => format!("\\{c}"),
        '\n' => "\\n".to_owned(),
        ' '..='~' => c.to_string(),
        c if c.is_alphanumeric() => c.to_string(),
        c => format!("\\U{:08x}", u32::from(c)),
    };
    format!("\"{}\"", text.chars().map(escaped).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(column: &str, values: Values) -> Part {
        Part { column: column.to_owned(), values }
    }

    #[test]
    fn a_region_reads_as_a_person_would_write_it() {
        let origin = part("origin", Values::Is(Literal::Text("EWR".to_owned())));
        let hour = part("dep_hour", Values::Between(Some(17.0), Some(21.0)));
        assert_eq!(
            line(&slice(&[origin, hour])),
            "- { name: \"origin=EWR and dep_hour in [17, 21)\", \
             where: \"origin = 'EWR' AND dep_hour >= 17 AND dep_hour < 21\" }"
        );
    }

    #[test]
    fn what_is_hostile_is_quoted_twice() {
        let column = part("a\"b", Values::NoneOf(vec![Literal::Text("it's\n\\\u{202e}".to_owned())]));
        assert_eq!(
            line(&slice(&[column, part("ok", Values::Is(Literal::Truth(true)))])),
            "- { name: \"a\\\"b not among the 1 most frequent and ok=true\", \
             where: \"\\\"a\\\"\\\"b\\\" NOT IN ('it''s\\n\\\\\\U0000202e') AND ok = true\" }"
        );
    }
}

//! Patterns of the spec in which `*` stands for any part of a name.

/// Whether a pattern means a name.
#[must_use]
pub fn matches(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else { return false };
    let parts: Vec<_> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn a_star_stands_for_any_part() {
        for (pattern, name, expected) in [
            ("*", "performance.metric", true),
            ("performance.*", "performance.metric", true),
            ("performance.*", "drift.prediction", false),
            ("*.metric", "performance.metric", true),
            ("p*.m*c", "performance.metric", true),
            ("performance.metric", "performance.metric", true),
            ("performance.met", "performance.metric", false),
            ("", "performance.metric", false),
            ("metric*metric", "metric", false),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} on {name}");
        }
    }
}

//! Filters of the templates: how numbers, intervals and limits are written.

use anstyle::{AnsiColor, Style};
use minijinja::Environment;
use minijinja::value::Value;

use super::escape;
use crate::artifact::time;

/// A number of an estimate, if there is an estimate.
fn part(estimate: &Value, name: &str) -> Option<f64> {
    f64::try_from(estimate.get_attr(name).ok()?).ok()
}

/// Makes the filters known to the templates.
pub(super) fn register(environment: &mut Environment<'_>) {
    environment.add_filter("number", |value: f64| digits(number(value)));
    environment.add_filter("count", |value: u64| digits(count(value)));
    environment.add_filter("signed", |value: f64| digits(signed(value)));
    environment.add_filter("value", |estimate: &Value| part(estimate, "value").map(number).map(digits));
    environment.add_filter("interval", |estimate: &Value| interval(estimate).map(digits));
    environment.add_filter("percent", |share: f64| digits(format!("{} %", (share * 1e6).round() / 1e4)));
    environment.add_filter("about", |value: u64| digits(about(value)));
    environment.add_filter("percent_about", |share: f64| digits(format!("{:.0} %", share * 100.0)));
    environment.add_filter("chance", |value: f64| digits(chance(value)));
    environment.add_filter("limit", limit);
    environment.add_filter("age", |made: &str, now: u64| age(made, now));
    environment.add_filter("fixed", |value: f64| format!("{value:.6}"));
    environment.add_filter("compact", |value: &Value| serde_json::to_string(value).unwrap_or_default());
    environment.add_filter("preformatted", preformatted);
    environment.add_filter("pad", pad);
    environment.add_filter("paint", paint);
}

/// What is made of numbers alone is written as it is on every surface, to be copied from there.
fn digits(written: String) -> Value {
    Value::from_safe_string(written)
}

/// Four digits that matter: 0.7132, 12.35, 0.0004213.
pub(super) fn number(value: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    let magnitude = value.abs().log10().floor();
    if !(-5.0..7.0).contains(&magnitude) {
        return format!("{value:.2e}");
    }
    let decimals = (3.0 - magnitude).clamp(0.0, 9.0) as usize;
    format!("{value:.decimals$}")
}

fn signed(value: f64) -> String {
    if value >= 0.0 { format!("+{}", number(value)) } else { number(value) }
}

/// Two digits that matter of a p-value or a level, without an exponent: 0.83, 0.0042.
fn chance(value: f64) -> String {
    if value < 1e-6 {
        return "below 0.000001".to_owned();
    }
    let decimals = (1.0 - value.log10().floor()).clamp(1.0, 9.0) as usize;
    format!("{value:.decimals$}")
}

/// A number of rows that is not to be taken to the row: 12,871, 6.4 M.
fn about(value: u64) -> String {
    if value < 1_000_000 { count(value) } else { format!("{:.1} M", value as f64 / 1e6) }
}

fn count(value: u64) -> String {
    indicatif::HumanCount(value).to_string()
}

/// How old something is: `12 days`. Nothing where that is not known, or where a clock is wrong.
fn age(made: &str, now: u64) -> Option<String> {
    let seconds = now.checked_sub(u64::try_from(time::seconds(made)?).ok()?)?;
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    Some(match () {
        () if hours < 2 => format!("{minutes} minute{}", if minutes == 1 { "" } else { "s" }),
        () if days < 2 => format!("{hours} hours"),
        () => format!("{} days", count(days)),
    })
}

fn interval(estimate: &Value) -> Option<String> {
    let (low, high) = (part(estimate, "low"), part(estimate, "high"));
    let end = |end: Option<f64>, open: &str| end.map_or_else(|| open.to_owned(), number);
    (low.is_some() || high.is_some()).then(|| format!("[{}, {}]", end(low, "-∞"), end(high, "∞")))
}

/// `max_drop 0.01`
fn limit(limits: &Value) -> String {
    let keys = limits.try_iter().into_iter().flatten();
    let written = keys.map(|key| {
        let amount = limits.get_item(&key).unwrap_or_default();
        format!("{key} {amount}")
    });
    written.collect::<Vec<_>>().join(", ")
}

/// Lines as they are, between tags of HTML that keep them.
fn preformatted(text: &str) -> Value {
    let lines: Vec<String> = text.lines().map(escape::html).collect();
    Value::from_safe_string(lines.join("\n"))
}

fn pad(text: &Value, width: usize) -> Value {
    let text = escape::terminal(text.as_str().unwrap_or_default());
    let missing = width.saturating_sub(text.chars().count());
    Value::from_safe_string(format!("{text}{}", " ".repeat(missing)))
}

/// Colours text for a terminal by what it says.
fn paint(text: &Value, what: &str) -> Value {
    let style = match what {
        "pass" => AnsiColor::Green.on_default(),
        "fail" => AnsiColor::Red.on_default().bold(),
        "warn" | "inconclusive" => AnsiColor::Yellow.on_default(),
        "bold" => Style::new().bold(),
        _ => Style::new().dimmed(),
    };
    let plain = text.as_str().map_or_else(
        || text.to_string(),
        |plain| if text.is_safe() { plain.to_owned() } else { escape::terminal(plain) },
    );
    Value::from_safe_string(format!("{style}{plain}{style:#}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_is_told_in_units_that_matter() {
        let made = "2023-11-14T22:13:20Z";
        for (seconds, expected) in [
            (0, Some("0 minutes")),
            (60, Some("1 minute")),
            (7_199, Some("119 minutes")),
            (7_200, Some("2 hours")),
            (172_799, Some("47 hours")),
            (172_800, Some("2 days")),
            (86_400 * 1_234, Some("1,234 days")),
        ] {
            assert_eq!(age(made, 1_700_000_000 + seconds).as_deref(), expected, "{seconds}");
        }
        assert_eq!(age(made, 1_699_999_999), None, "made in the future");
        assert_eq!(age("yesterday", 1_700_000_000), None);
    }
}

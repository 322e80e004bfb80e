//! How much of a report fits where: rows are left out one by one, the least important first, and what was left out is
//! counted. A cut through the text would break its tables.

use anyhow::Result;
use serde::Serialize;

use crate::record::Record;
use crate::verdict::Verdict;

/// The bytes of a comment or of a check run's summary. GitHub takes 65,536 characters of the one and 65,535 bytes of the
/// other.
pub const COMMENT: usize = 60_000;
/// The bytes of a job summary. The runner takes a mebibyte.
pub const JOB_SUMMARY: usize = 1_000_000;

/// How many rows are shown of each part of a report, the most important part first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Shown {
    /// Changes of the policy.
    pub changes: usize,
    /// Claims that fail.
    pub failed: usize,
    /// Claims that warn.
    pub warned: usize,
    /// Claims that are not decided.
    pub open: usize,
    /// What was not tested.
    pub not_tested: usize,
    /// Claims that pass.
    pub passed: usize,
}

impl Shown {
    /// Every row of a record.
    #[must_use]
    pub fn all(record: &Record) -> Self {
        let of = |verdict| record.claims.iter().filter(|claim| claim.verdict == verdict).count();
        Self {
            changes: record.base.as_ref().map_or(0, |base| base.changes.len()),
            failed: of(Verdict::Fail),
            warned: of(Verdict::Warn),
            open: of(Verdict::Inconclusive),
            not_tested: record.not_tested.len(),
            passed: of(Verdict::Pass),
        }
    }

    fn rows(self) -> usize {
        let Self { changes, failed, warned, open, not_tested, passed } = self;
        changes + failed + warned + open + not_tested + passed
    }

    /// So many of these rows, the most important first.
    fn first(self, rows: usize) -> Self {
        let mut left = rows;
        let mut take = |part: usize| {
            let taken = part.min(left);
            left -= taken;
            taken
        };
        Self {
            changes: take(self.changes),
            failed: take(self.failed),
            warned: take(self.warned),
            open: take(self.open),
            not_tested: take(self.not_tested),
            passed: take(self.passed),
        }
    }
}

/// The text with as many rows as fit into so many bytes.
///
/// # Errors
/// When the text cannot be rendered.
pub fn fit(all: Shown, most: usize, render: impl Fn(Shown) -> Result<String>) -> Result<String> {
    let whole = render(all)?;
    if whole.len() <= most {
        return Ok(whole);
    }
    let (mut fits, mut exceeds) = (0, all.rows());
    while exceeds - fits > 1 {
        let middle = fits + (exceeds - fits) / 2;
        if render(all.first(middle))?.len() <= most { fits = middle } else { exceeds = middle }
    }
    render(all.first(fits))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
mod tests {
    use super::*;

    const ALL: Shown = Shown { changes: 2, failed: 3, warned: 1, open: 4, not_tested: 5, passed: 600 };

    fn of_ten_bytes_a_row(shown: Shown) -> Result<String> {
        Ok("x".repeat(100 + 10 * shown.rows()))
    }

    #[test]
    fn as_many_rows_as_fit_are_shown_and_no_more() {
        for most in [100, 109, 110, 150, 1_000, 6_249, 6_250, 9_999] {
            let length = fit(ALL, most, of_ten_bytes_a_row).unwrap().len();
            let expected = (100 + 10 * ((most - 100) / 10)).min(100 + 10 * ALL.rows());
            assert_eq!(length, expected, "{most}");
        }
    }

    #[test]
    fn what_passes_is_left_out_first() {
        assert_eq!(ALL.first(7), Shown { changes: 2, failed: 3, warned: 1, open: 1, not_tested: 0, passed: 0 });
        assert_eq!(ALL.first(1_000), ALL);
    }
}

//! Groupings that feed a summary together: rows that are in the same group of each of them are taken in once.
//!
//! Five columns of twenty values have a hundred groups, into which every row goes five times. The columns together have
//! millions of groups, but two of them only four hundred, with a thousand rows each where half a million wait.

use super::table::{self, Parts};

/// So many rows are worth a merge.
const FEW_ROWS: usize = 256;

/// Some groupings.
pub(super) struct Together {
    /// The number of each grouping, and how many groups it has, its last one being that of the rows that are in none.
    groupings: Vec<(usize, u32)>,
}

/// Groupings, by number and number of groups, put together in this order while groups of so many rows stay large.
pub(super) fn of(groupings: &[(usize, u32)], rows: usize) -> Vec<Together> {
    let most = rows / FEW_ROWS;
    let mut found = Vec::<Together>::new();
    for &(grouping, groups) in groupings {
        let one = Together::one(grouping, groups);
        match found.iter_mut().find(|several| several.len().saturating_mul(one.len()) <= most) {
            Some(several) => several.groupings.extend(one.groupings),
            None => found.push(one),
        }
    }
    found
}

impl Together {
    /// A grouping of so many groups.
    pub(super) fn one(grouping: usize, groups: u32) -> Self {
        Self { groupings: vec![(grouping, groups + 1)] }
    }

    /// The numbers of the groupings.
    pub(super) fn groupings(&self) -> impl Iterator<Item = usize> {
        self.groupings.iter().map(|(grouping, _)| *grouping)
    }

    /// The rows by what they have in common, from the numbers of their groups by each grouping.
    pub(super) fn parts(&self, numbers: &[Vec<u32>]) -> Parts {
        if let [(grouping, groups)] = self.groupings[..] {
            return table::parts(&numbers[grouping], groups as usize - 1);
        }
        let rows = self.groupings().map(|grouping| numbers[grouping].len()).max().unwrap_or(0);
        let mut own = vec![0; rows];
        for &(grouping, groups) in self.groupings.iter().rev() {
            own.iter_mut()
                .zip(&numbers[grouping])
                .for_each(|(own, &number)| *own = *own * groups + number.min(groups - 1));
        }
        table::parts(&own, self.len())
    }

    /// The groups, by grouping, of rows whose number among the parts is this.
    pub(super) fn groups(&self, number: u32) -> impl Iterator<Item = (usize, u32)> {
        let mut left = number;
        self.groupings.iter().filter_map(move |&(grouping, groups)| {
            let group = left % groups;
            left /= groups;
            (group < groups - 1).then_some((grouping, group))
        })
    }

    /// How many groups they have together.
    fn len(&self) -> usize {
        self.groupings.iter().map(|(_, groups)| *groups as usize).fold(1, usize::saturating_mul)
    }
}

#[cfg(test)]
mod tests {
    use super::super::table::NONE;
    use super::*;

    #[test]
    fn rows_are_in_the_groups_that_they_are_in_alone() {
        let numbers = [vec![0, 1, 2, 0, NONE, 1], vec![], vec![NONE, 0, 0, 1, NONE, 0]];
        let groups = [(0, 3), (2, 2)];
        let [together] = &of(&groups, 12 * FEW_ROWS)[..] else { panic!("they stay apart") };
        let Parts { order, groups } = together.parts(&numbers);
        let order = order.map_or_else(Vec::new, |order| order.values().to_vec());
        let mut found = vec![Vec::new(); 6];
        for (number, start, count) in groups {
            order[start..start + count].iter().for_each(|&row| found[row as usize].extend(together.groups(number)));
        }
        let expected = [
            vec![(0, 0)],
            vec![(0, 1), (2, 0)],
            vec![(0, 2), (2, 0)],
            vec![(0, 0), (2, 1)],
            vec![],
            vec![(0, 1), (2, 0)],
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn groupings_stay_apart_where_rows_would_be_few() {
        let groupings = [(0, 8), (1, 12), (2, 14), (3, 24), (4, 24)];
        let numbers = |rows| of(&groupings, rows).iter().map(|one| one.groupings().collect()).collect::<Vec<Vec<_>>>();
        assert_eq!(numbers(2048 * FEW_ROWS), [vec![0, 1, 2], vec![3, 4]]);
        assert_eq!(numbers(300 * FEW_ROWS), [vec![0, 1], vec![2], vec![3], vec![4]]);
        assert_eq!(numbers(0), [[0], [1], [2], [3], [4]]);
    }
}

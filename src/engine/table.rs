//! Which group a row belongs to: the values of its key columns as small numbers.
//!
//! Numbers are given in the order in which values come, so they mean nothing outside of the table that gave them; what
//! travels is a group's key. A text is looked up, and never copied but when it is new; a dictionary is looked up once a
//! batch.

use std::hash::BuildHasher as _;

use anyhow::{Context, Result, bail};
use datafusion::arrow::array::{Array, ArrayRef, AsArray, StringViewArray, UInt32Array};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Int64Type};
use hashbrown::{DefaultHashBuilder, HashMap};

/// The most groups that a dataset may be cut into. A column with more values is an id, not a slice.
pub(super) const MOST_GROUPS: usize = 10_000;

/// The number of a row that is in no group.
pub(super) const NONE: u32 = u32::MAX;

/// The groups of one way of grouping.
#[derive(Debug, Default)]
pub(super) struct Table {
    columns: Vec<Column>,
    /// For each column after the first, the number of each pair of a number so far and the column's own.
    pairs: Vec<HashMap<(u32, u32), u32>>,
    /// The numbers of the values of each group.
    groups: Vec<Vec<u32>>,
}

/// The values of a key column by their numbers.
#[derive(Debug, Default)]
struct Column {
    values: Vec<Option<Box<str>>>,
    null: Option<u32>,
    by_text: HashMap<Box<str>, u32>,
    recent: Recent,
    by_number: HashMap<i64, u32>,
}

/// The numbers of short texts that came lately. The view of a short text is the text itself, so that it is found without
/// reading the text.
#[derive(Debug)]
struct Recent {
    places: Vec<(u128, u32)>,
    hasher: DefaultHashBuilder,
}

/// Rows, those of a group together.
pub(super) struct Parts {
    /// The rows, unless they are as they come.
    pub(super) order: Option<UInt32Array>,
    /// For each group with rows, its number, where its rows start, and how many there are.
    pub(super) groups: Vec<(u32, usize, usize)>,
}

impl Table {
    /// A table of groups by the values of so many columns; of none, all rows are one group.
    pub(super) fn new(columns: usize) -> Self {
        let column = |_| Column::default();
        Self {
            columns: (0..columns).map(column).collect(),
            pairs: vec![HashMap::new(); columns.saturating_sub(1)],
            groups: Vec::new(),
        }
    }

    /// How many groups there are.
    pub(super) fn len(&self) -> usize {
        self.groups.len()
    }

    /// About how many bytes it takes: a group's numbers, and its part of what they are looked up in.
    pub(super) fn size(&self) -> usize {
        let group = size_of::<Vec<u32>>() + 64 * (1 + self.columns.len());
        self.groups.len() * group
    }

    /// The numbers of the groups of so many rows, by their key columns.
    pub(super) fn numbers(&mut self, columns: &[ArrayRef], rows: usize) -> Result<Vec<u32>> {
        let Some((first, others)) = columns.split_first() else { return Ok(vec![self.number(&[])?; rows]) };
        let mut numbers = self.columns[0].numbers(first)?;
        if self.pairs.is_empty() {
            self.take_first_column();
        }
        for (place, column) in others.iter().enumerate() {
            let others = self.columns[place + 1].numbers(column)?;
            for (number, other) in numbers.iter_mut().zip(others) {
                *number = self.pair(place + 1, *number, other);
            }
        }
        self.are_few()?;
        Ok(numbers)
    }

    /// The numbers of the groups of rows by a condition: those where it is true are one group, and the others in none.
    pub(super) fn met(&mut self, column: &ArrayRef) -> Result<Vec<u32>> {
        let met = column.as_boolean_opt().context("a condition that is not true or false")?;
        let group = self.number(&[])?;
        Ok(met.iter().map(|met| if met == Some(true) { group } else { NONE }).collect())
    }

    /// The key of a group: the texts of its values as JSON, which no two groups have in common.
    pub(super) fn key(&self, group: usize) -> Result<String> {
        let numbers = self.columns.iter().zip(&self.groups[group]);
        let values = numbers.map(|(column, &number)| column.values[number as usize].as_deref()).collect::<Vec<_>>();
        Ok(serde_json::to_string(&values)?)
    }

    /// The group of a key.
    pub(super) fn find(&mut self, key: &str) -> Result<u32> {
        self.number(&read_key(key)?)
    }

    fn number(&mut self, values: &[Option<String>]) -> Result<u32> {
        if values.is_empty() {
            if self.groups.is_empty() {
                self.groups.push(Vec::new());
            }
            return Ok(0);
        }
        let mut numbers = self.columns.iter_mut().zip(values).map(|(column, value)| column.number(value.as_deref()));
        let mut number = numbers.next().context("a group without a key")?;
        let others = numbers.collect::<Vec<_>>();
        if self.pairs.is_empty() {
            self.take_first_column();
        }
        for (place, other) in others.into_iter().enumerate() {
            number = self.pair(place + 1, number, other);
        }
        self.are_few()?;
        Ok(number)
    }

    /// The values of a single key column are the groups.
    fn take_first_column(&mut self) {
        let known = self.groups.len() as u32;
        self.groups.extend((known..self.columns[0].values.len() as u32).map(|number| vec![number]));
    }

    /// The number of the values up to the column at `place`, from that of those before it.
    fn pair(&mut self, place: usize, number: u32, other: u32) -> u32 {
        let pairs = &mut self.pairs[place - 1];
        if let Some(known) = pairs.get(&(number, other)) {
            return *known;
        }
        let new = pairs.len() as u32;
        pairs.insert((number, other), new);
        if place == self.pairs.len() {
            let group = self.values_of(place - 1, number).into_iter().chain([other]).collect();
            self.groups.push(group);
        }
        new
    }

    /// The numbers of the values that a number up to a column stands for. Asked once for each group.
    fn values_of(&self, place: usize, number: u32) -> Vec<u32> {
        if place == 0 {
            return vec![number];
        }
        let found = self.pairs[place - 1].iter().find(|(_, known)| **known == number).map(|(pair, _)| *pair);
        found.map_or_else(Vec::new, |(before, own)| [self.values_of(place - 1, before), vec![own]].concat())
    }

    fn are_few(&self) -> Result<()> {
        match self.groups.len() {
            found if found > MOST_GROUPS => {
                bail!("the slices cut the rows into more than {MOST_GROUPS} groups: slice by fewer values")
            }
            _ => Ok(()),
        }
    }
}

/// The values of a key.
pub(super) fn read_key(key: &str) -> Result<Vec<Option<String>>> {
    serde_json::from_str(key).context("a group without a key")
}

impl Column {
    /// The numbers of the values of an array.
    fn numbers(&mut self, array: &ArrayRef) -> Result<Vec<u32>> {
        Ok(match array.data_type() {
            DataType::Utf8 => self.texts(array.as_string::<i32>().iter()),
            DataType::LargeUtf8 => self.texts(array.as_string::<i64>().iter()),
            DataType::Utf8View => self.views(array.as_string_view()),
            DataType::Dictionary(_, _) => {
                let dictionary = array.as_any_dictionary();
                let values = self.numbers(dictionary.values())?;
                let null = if array.null_count() > 0 { self.number(None) } else { NONE };
                let keys = dictionary.normalized_keys();
                let number = |row: usize| if array.is_null(row) { null } else { values[keys[row]] };
                (0..array.len()).map(number).collect()
            }
            kind if kind.is_integer() && *kind != DataType::UInt64 || *kind == DataType::Date32 => {
                self.integers(array)?
            }
            _ => self.texts(cast(array, &DataType::Utf8)?.as_string::<i32>().iter()),
        })
    }

    fn texts<'a>(&mut self, texts: impl Iterator<Item = Option<&'a str>>) -> Vec<u32> {
        texts.map(|text| self.number(text)).collect()
    }

    fn views(&mut self, array: &StringViewArray) -> Vec<u32> {
        let mut numbers = Vec::with_capacity(array.len());
        for (row, &view) in array.views().iter().enumerate() {
            let known = if array.is_null(row) { None } else { self.recent.find(view) };
            numbers.push(known.unwrap_or_else(|| {
                let number = self.number(array.is_valid(row).then(|| array.value(row)));
                if array.is_valid(row) {
                    self.recent.keep(view, number);
                }
                number
            }));
        }
        numbers
    }

    /// An integer is written out once, when it is new.
    fn integers(&mut self, array: &ArrayRef) -> Result<Vec<u32>> {
        let wide = cast(array, &DataType::Int64)?;
        let mut numbers = Vec::with_capacity(array.len());
        for (row, value) in wide.as_primitive::<Int64Type>().iter().enumerate() {
            let known = value.map_or(self.null, |value| self.by_number.get(&value).copied());
            numbers.push(match (known, value) {
                (Some(number), _) => number,
                (None, None) => self.number(None),
                (None, Some(value)) => {
                    let text = cast(&array.slice(row, 1), &DataType::Utf8)?;
                    let number = self.number(Some(text.as_string::<i32>().value(0)));
                    self.by_number.insert(value, number);
                    number
                }
            });
        }
        Ok(numbers)
    }

    fn number(&mut self, value: Option<&str>) -> u32 {
        let known = value.map_or(self.null, |text| self.by_text.get(text).copied());
        known.unwrap_or_else(|| {
            let new = self.values.len() as u32;
            self.values.push(value.map(Box::from));
            match value {
                Some(text) => drop(self.by_text.insert(Box::from(text), new)),
                None => self.null = Some(new),
            }
            new
        })
    }
}

impl Recent {
    const PLACES: usize = 256;

    /// The longest text that is its own view.
    const SHORT: u32 = 12;

    fn find(&self, view: u128) -> Option<u32> {
        let (known, number) = self.places[self.place(view)];
        (known == view && number != NONE).then_some(number)
    }

    fn keep(&mut self, view: u128, number: u32) {
        if view as u32 <= Self::SHORT {
            let place = self.place(view);
            self.places[place] = (view, number);
        }
    }

    fn place(&self, view: u128) -> usize {
        self.hasher.hash_one(view) as usize % Self::PLACES
    }
}

impl Default for Recent {
    fn default() -> Self {
        Self { places: vec![(0, NONE); Self::PLACES], hasher: DefaultHashBuilder::default() }
    }
}

/// Rows by the numbers of their groups, in the order in which they come within each: a counting sort.
pub(super) fn parts(numbers: &[u32], groups: usize) -> Parts {
    let mut counts = vec![0_usize; groups];
    numbers.iter().filter(|number| **number != NONE).for_each(|&number| counts[number as usize] += 1);
    let mut start = 0;
    let mut found = Vec::new();
    for (group, &count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
        found.push((group as u32, start, count));
        start += count;
    }
    if let [(_, _, rows)] = found[..]
        && rows == numbers.len()
    {
        return Parts { order: None, groups: found };
    }
    let mut next = counts;
    found.iter().for_each(|&(group, start, _)| next[group as usize] = start);
    let mut order = vec![0_u32; start];
    for (row, &number) in numbers.iter().enumerate().filter(|(_, number)| **number != NONE) {
        let place = &mut next[number as usize];
        order[*place] = row as u32;
        *place += 1;
    }
    Parts { order: Some(UInt32Array::from(order)), groups: found }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
mod tests {
    use std::sync::Arc;

    use datafusion::arrow::array::{BooleanArray, Date32Array, DictionaryArray, Int16Array, StringArray};
    use datafusion::arrow::datatypes::Int8Type;

    use super::*;

    /// The key of each row.
    fn keys(table: &mut Table, columns: &[ArrayRef]) -> Vec<String> {
        let rows = columns[0].len();
        let numbers = table.numbers(columns, rows).unwrap();
        let Parts { order, groups } = parts(&numbers, table.len());
        let order = order.map_or_else(|| (0..rows as u32).collect(), |order| order.values().to_vec());
        let mut keys = vec![String::new(); rows];
        for (group, start, count) in groups {
            for &row in &order[start..start + count] {
                keys[row as usize] = table.key(group as usize).unwrap();
            }
        }
        keys
    }

    #[test]
    fn a_value_is_the_same_group_in_every_type() {
        let texts = [Some("b"), None, Some("a"), Some("b")];
        let plain = Arc::new(StringArray::from(texts.to_vec())) as ArrayRef;
        let expected = ["[\"b\"]", "[null]", "[\"a\"]", "[\"b\"]"];
        let mut table = Table::new(1);
        for kind in [DataType::Utf8, DataType::LargeUtf8, DataType::Utf8View] {
            assert_eq!(keys(&mut table, &[cast(&plain, &kind).unwrap()]), expected);
        }
        let dictionary = texts.into_iter().collect::<DictionaryArray<Int8Type>>();
        assert_eq!(keys(&mut table, &[Arc::new(dictionary)]), expected);
        assert_eq!(table.len(), 3);
    }

    #[test]
    fn views_are_the_texts_that_they_show() {
        let long = ["twelve bytes", "thirteen byte", "thirteen bytf", ""];
        let texts = (0..2000)
            .map(|row| (row % 7 > 0).then(|| if row % 3 > 0 { long[row % 4].to_owned() } else { row.to_string() }));
        let texts = texts.collect::<Vec<_>>();
        let views = Arc::new(texts.iter().map(Option::as_deref).collect::<StringViewArray>()) as ArrayRef;
        let expected = texts.iter().map(|text| serde_json::to_string(&[text]).unwrap()).collect::<Vec<_>>();
        let mut table = Table::new(1);
        assert_eq!(keys(&mut table, &[Arc::clone(&views)]), expected);
        assert_eq!(keys(&mut table, &[views]), expected);
    }

    #[test]
    fn integers_and_dates_are_written_out() {
        let numbers = Arc::new(Int16Array::from(vec![Some(-3), None, Some(7), Some(-3)])) as ArrayRef;
        assert_eq!(keys(&mut Table::new(1), &[numbers]), ["[\"-3\"]", "[null]", "[\"7\"]", "[\"-3\"]"]);
        let dates = Arc::new(Date32Array::from(vec![Some(0), Some(366)])) as ArrayRef;
        assert_eq!(keys(&mut Table::new(1), &[dates]), ["[\"1970-01-01\"]", "[\"1971-01-02\"]"]);
    }

    #[test]
    fn several_columns_make_a_group_for_each_combination() {
        let column = |texts: [&str; 4]| Arc::new(StringViewArray::from(texts.to_vec())) as ArrayRef;
        let columns =
            [column(["a", "a", "b", "a"]), column(["x,\"y", "z", "z", "x,\"y"]), column(["1", "1", "1", "1"])];
        let mut table = Table::new(3);
        let found = keys(&mut table, &columns);
        assert_eq!(found[0], "[\"a\",\"x,\\\"y\",\"1\"]");
        assert_eq!((found[0] == found[3], table.len()), (true, 3));
        let group = table.find(&found[2]).unwrap();
        assert_eq!((table.key(group as usize).unwrap(), table.len()), (found[2].clone(), 3));
    }

    #[test]
    fn only_rows_that_meet_a_condition_are_in_its_group() {
        let met = Arc::new(BooleanArray::from(vec![Some(false), Some(true), None, Some(true)])) as ArrayRef;
        let mut table = Table::new(0);
        let numbers = table.met(&met).unwrap();
        let Parts { order, groups } = parts(&numbers, table.len());
        assert_eq!((order.unwrap().values().to_vec(), groups), (vec![1, 3], vec![(0, 0, 2)]));
    }

    #[test]
    fn an_id_is_no_slice() {
        let ids = Arc::new(Int16Array::from_iter_values(0..=10_000)) as ArrayRef;
        let refused = Table::new(1).numbers(&[ids], 10_001).unwrap_err();
        assert!(refused.to_string().contains("more than 10000 groups"), "{refused}");
    }
}

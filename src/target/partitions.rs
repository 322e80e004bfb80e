//! Columns that stand in the paths of files, as Hive lays data out: `month=2026-01/part-0.parquet`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use arrow::datatypes::{DataType, Field, FieldRef, Fields};

/// What Hive calls the folder of rows without a value.
const NO_VALUE: &str = "__HIVE_DEFAULT_PARTITION__";

/// The columns in the paths of a dataset's files, and the folder where these lie by nothing but them.
#[derive(Debug, Clone)]
pub struct Partitions {
    /// The folder.
    pub root: PathBuf,
    /// The columns, in the order of the paths: whole numbers where all values are, else texts.
    pub fields: Fields,
}

/// What the path of one file says: the columns and their values.
type Said<'n> = Vec<(&'n str, &'n str)>;

impl Partitions {
    /// The values of the columns for a file below the folder.
    ///
    /// # Errors
    /// When it is no such file.
    pub fn values<'f>(&self, file: &'f Path) -> Result<Vec<&'f str>> {
        let inside =
            file.strip_prefix(&self.root).ok().and_then(Path::to_str).context("a file is not in its folder")?;
        Ok(said(inside).into_iter().map(|(_, value)| value).collect())
    }
}

/// The columns that the paths of files have and the files themselves have not, and the folders that have nothing else of each
/// path: `month=2026-01/day=3`. Without any such column, nothing.
///
/// # Errors
/// When the paths have different columns, or one has a value that is none.
pub(super) fn found(names: &[String], of_files: &Fields) -> Result<Option<(Fields, Vec<PathBuf>)>> {
    let mut rows = names.iter().map(|name| said(name)).collect::<Vec<_>>();
    rows.iter_mut().for_each(|row| row.retain(|(key, _)| of_files.find(key).is_none()));
    let keys = |row: &Said<'_>| row.iter().map(|(key, _)| (*key).to_owned()).collect::<Vec<_>>();
    let Some(first) = rows.first().map(keys) else { return Ok(None) };
    for (row, name) in rows.iter().zip(names) {
        let alike = keys(row) == first;
        ensure!(
            alike,
            "the path of `{name}` has other columns than that of `{}`; name files that have the same",
            names[0]
        );
        for (key, value) in row {
            let is_plain = |character: char| character.is_ascii_alphanumeric() || "-._:+, ".contains(character);
            ensure!(
                *value != NO_VALUE && value.chars().all(is_plain),
                "`{name}` has `{value}` as its {key}, which is no plain value; leave this folder out, or call it otherwise"
            );
        }
    }
    if first.is_empty() {
        return Ok(None);
    }
    let once = first.iter().collect::<BTreeSet<_>>().len() == first.len();
    ensure!(once, "the path of `{}` has a column twice; call a folder otherwise", names[0]);
    let field = |(index, key): (usize, &String)| -> FieldRef {
        let is_whole = |value: &str| value.parse::<i64>().is_ok_and(|number| number.to_string() == value);
        let all = rows.iter().all(|row| is_whole(row[index].1));
        Arc::new(Field::new(key, if all { DataType::Int64 } else { DataType::Utf8 }, false))
    };
    let fields = first.iter().enumerate().map(field).collect();
    let folder = |row: &Said<'_>| row.iter().map(|(key, value)| format!("{key}={value}")).collect();
    Ok(Some((fields, rows.iter().map(folder).collect())))
}

/// What the folders of a path say. What stands before a colon is the kind of a source.
fn said(name: &str) -> Said<'_> {
    let (folders, _) = name.rsplit_once('/').unwrap_or_default();
    let pairs = folders.split('/').filter_map(|folder| {
        let (key, value) = folder.split_once('=')?;
        Some((key.rsplit(':').next().unwrap_or_default(), value))
    });
    let is_name = |key: &str| {
        let is_part = |character: char| character.is_ascii_alphanumeric() || character == '_';
        key.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_') && key.chars().all(is_part)
    };
    pairs.filter(|(key, value)| is_name(key) && !value.is_empty()).collect()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
mod tests {
    use super::*;

    fn of(names: &[&str]) -> Result<Option<(Fields, Vec<PathBuf>)>> {
        let of_files = Fields::from(vec![Field::new("day", DataType::Utf8, true)]);
        found(&names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>(), &of_files)
    }

    #[test]
    fn columns_are_those_of_folders_that_the_files_have_not() {
        let names =
            ["s3://acme/year=2026/month=01/day=3/a.parquet", "s3://acme/x/year=2025/month=12/day=4/b=5.parquet"];
        let (fields, folders) = of(&names).unwrap().unwrap();
        let fields = fields.iter().map(|field| (field.name().as_str(), field.data_type().clone())).collect::<Vec<_>>();
        assert_eq!(fields, [("year", DataType::Int64), ("month", DataType::Utf8)]);
        assert_eq!(folders, ["year=2026/month=01", "year=2025/month=12"].map(PathBuf::from));
        for none in ["a.parquet", "history/a=1.parquet", "day=1/a.parquet", "=1/a", "x=/a", "https://h/a?b=1", "1=2/a"]
        {
            assert!(of(&[none]).unwrap().is_none(), "{none}");
        }
        assert!(of(&["dvc:month=1/a.parquet"]).unwrap().is_some());
    }

    #[test]
    fn paths_that_disagree_and_values_that_are_none_are_refused() {
        for (names, tells) in [
            (["a=1/x", "b=1/x"], "has other columns than that of `a=1/x`"),
            (["a=1/x", "x"], "has other columns"),
            (["a=1/x", "a=__HIVE_DEFAULT_PARTITION__/x"], "no plain value"),
            (["a=1/x", "a=%2F/x"], "no plain value"),
            (["a=1/x", "a=\n/x"], "no plain value"),
            (["a=1/a=2/x", "a=1/a=2/x"], "has a column twice"),
        ] {
            let told = of(&names).unwrap_err().to_string();
            assert!(told.contains(tells), "{told}");
        }
    }

    #[test]
    fn the_values_of_a_file_stand_in_its_path() {
        let partitions = Partitions { root: PathBuf::from("/x/a=0"), fields: Fields::empty() };
        assert_eq!(partitions.values(Path::new("/x/a=0/year=2026/month=01/0.parquet")).unwrap(), ["2026", "01"]);
        assert!(partitions.values(Path::new("/y/year=2026/0.parquet")).is_err());
    }
}

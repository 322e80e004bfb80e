//! The multiset of labels and scores, for what depends on their order: ROC AUC, distances, curves.
//!
//! Memory grows with the number of *distinct* tuples of cluster, label and scores: small for scores of few digits, the
//! number of rows at worst. Above [`MAX_TUPLES`] an update is refused.
//!
//! Where an ask says that binned scores are good enough, memory is bounded by a [`Budget`], as told in
//! [`cells`](crate::summaries::cells). Since several scores of one row need coarse cells to be few together, each model's
//! scores are then kept once more for themselves, by the same rule and so in finer cells.

use anyhow::{Context, Result, bail, ensure};
use arrow::array::ArrayRef;
use arrow::datatypes::Fields;
use serde::{Deserialize, Serialize};

use crate::summaries::cells::{Budget, Cells};
use crate::summaries::grid::Grid;
use crate::summaries::rows::{Columns, Row, RowCounts, Task};
use crate::summaries::total_order::{from_key, to_key};
use crate::summaries::wire;
use crate::summary::Summary;

/// The most distinct tuples that are kept where they must be exact: 2.6 GB for two models in clusters, at 52 bytes each.
pub const MAX_TUPLES: usize = 50_000_000;

/// So many rows are taken in before it is looked whether they are too many tuples.
const MOST_ROWS: usize = 1 << 15;

/// What [`Ranks`] is told.
#[derive(Serialize, Deserialize, Clone, PartialEq, Debug)]
pub struct RankParams {
    /// What the columns hold.
    #[serde(flatten)]
    pub rows: Columns,
    /// How many tuples are kept, if binned scores are good enough.
    #[serde(default)]
    pub binned: Option<Budget>,
}

/// The multiset.
#[derive(Clone, Debug, Default)]
pub struct Ranks {
    rows: RowCounts,
    shape: Shape,
    /// The tuples; then, where those of several models are binned, the scores of each model. None before a usable row.
    parts: Vec<Cells>,
    /// For each pair of models, in how many rows their scores differ, where they are binned: of `(0, 1)`, `(0, 2)`,
    /// `(1, 2)`, and so on.
    apart: Vec<i64>,
}

/// Distinct tuples with their counts, column by column, sorted by cluster, weight, group, label and scores; binned ones by
/// scores and label.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct RankColumns {
    /// The cluster of each tuple, if rows are clustered.
    pub clusters: Option<Vec<u64>>,
    /// The weight of each tuple, if rows are weighted.
    pub weights: Option<Vec<f64>>,
    /// The group of each tuple, if rows are grouped.
    pub groups: Option<Vec<u64>>,
    /// The label of each tuple; 0 for numbers that may be binned.
    pub labels: Vec<f64>,
    /// For each model, and within it for each class, its score in each tuple; or the numbers of the cells.
    pub scores: Vec<Vec<f64>>,
    /// How many rows each tuple stands for.
    pub counts: Vec<u64>,
}

impl RankParams {
    /// All tuples are kept.
    #[must_use]
    pub fn exact(rows: Columns) -> Self {
        Self { rows, binned: None }
    }

    /// Scores are binned where they are too many, and where that is possible: one score of each model, by rows that are
    /// independent and weigh alike.
    #[must_use]
    pub fn binned(rows: Columns) -> Self {
        let binned = grid(&rows).map(|_| Budget::STANDARD);
        Self { rows, binned }
    }
}

impl From<Columns> for RankParams {
    fn from(rows: Columns) -> Self {
        Self::exact(rows)
    }
}

/// The grid that scores can be put into, if there is one.
fn grid(rows: &Columns) -> Option<Grid> {
    let is_plain = !rows.clustered && !rows.weighted && !rows.grouped;
    match rows.task {
        Task::Binary { .. } if is_plain => Some(Grid::Probability),
        Task::Regression if is_plain => Some(Grid::Number),
        _ => None,
    }
}

impl Ranks {
    /// The rows seen and the reasons why some could not be used.
    #[must_use]
    pub fn rows(&self) -> &RowCounts {
        &self.rows
    }

    /// How many models scored the rows; 0 as long as no row was seen.
    #[must_use]
    pub fn models(&self) -> usize {
        self.rows.missing.len()
    }

    /// Usable rows with label 1.
    #[must_use]
    pub fn positives(&self) -> u64 {
        self.labelled(1.0)
    }

    /// Usable rows with a label.
    #[must_use]
    pub fn labelled(&self, label: f64) -> u64 {
        let is_labelled = |tuple: &[i64]| self.shape.label_of(tuple) == label;
        let mut rows = 0;
        if let Some(part) = self.parts.first() {
            part.tally.for_each(|tuple, count| rows += if is_labelled(tuple) { count.cast_unsigned() } else { 0 });
        }
        rows
    }

    /// Whether the tuples are those of cells.
    #[must_use]
    pub fn are_binned(&self) -> bool {
        self.parts.first().is_some_and(|part| part.level > 0)
    }

    /// The level of a model's own scores; 0 where they are exact.
    #[must_use]
    pub fn level(&self, model: usize) -> u32 {
        self.own(model).map_or(0, |part| part.level)
    }

    /// The multiset as columns.
    #[must_use]
    pub fn columns(&self) -> RankColumns {
        self.parts.first().map_or_else(RankColumns::default, |part| self.shape.columns(part))
    }

    /// The scores of one model, with their labels, in cells of a level of at least its own. Where scores may be binned.
    #[must_use]
    pub fn of_model(&self, model: usize, level: u32) -> RankColumns {
        let (Some(part), Some((grid, _))) = (self.own(model), self.shape.bins) else { return RankColumns::default() };
        let place = if part.tally.width() == 1 { 0 } else { model };
        let mut own = Cells::new(Some(grid), level, 1);
        part.tally.for_each(|tuple, count| own.tally.add(&[grid.coarser(tuple[place], part.level, level)], count));
        Shape { scores: 1, ..self.shape }.columns(&own)
    }

    /// The smallest score of a cell; the score itself at level 0.
    #[must_use]
    pub fn lowest(&self, level: u32, cell: f64) -> f64 {
        self.shape.bins.map_or(cell, |(grid, _)| grid.lowest(level, cell))
    }

    /// The first model that gave every row the score that this one gave, as far as binned ones are concerned.
    #[must_use]
    pub fn twin(&self, model: usize) -> usize {
        (0..model).find(|&first| self.apart.get(pair(first, model)) == Some(&0)).unwrap_or(model)
    }

    /// The part in which a model's scores are finest.
    fn own(&self, model: usize) -> Option<&Cells> {
        if self.parts.len() > 1 { self.parts.get(1 + model) } else { self.parts.first() }
    }

    /// Begins with the first usable row.
    fn start(&mut self, params: &RankParams) {
        if self.parts.is_empty() {
            self.shape = Shape::new(params);
            self.parts = vec![Cells::new(None, 0, self.shape.width())];
        }
    }

    /// Takes in rows whose scores may be binned, each a label and its scores: part by part, since each is large.
    fn push_binned(&mut self, grid: Grid, values: &[f64]) {
        let (joint, own) = self.parts.split_at_mut(1);
        let rows = || values.chunks_exact(1 + self.shape.scores).map(|row| (row[0], &row[1..]));
        // The finest cells are found once; those of each part follow from them.
        let finest = joint[0].level.min(1);
        let mut words = Vec::with_capacity(values.len());
        for (label, scores) in rows() {
            words.extend(scores.iter().map(|&score| grid.word(finest, label, score)));
        }
        let mut tuple = Vec::with_capacity(self.shape.scores);
        for words in words.chunks_exact(self.shape.scores) {
            tuple.clear();
            tuple.extend(words.iter().map(|&word| grid.coarser(word, finest, joint[0].level)));
            joint[0].tally.add(&tuple, 1);
        }
        for (model, part) in own.iter_mut().enumerate() {
            if part.level == 0 {
                rows().for_each(|(label, scores)| part.tally.add(&[grid.word(0, label, scores[model])], 1));
                continue;
            }
            let words = words.iter().skip(model).step_by(self.shape.scores);
            words.for_each(|&word| part.tally.add(&[grid.coarser(word, finest, part.level)], 1));
        }
        if !own.is_empty() {
            for (_, scores) in rows() {
                let apart = self.apart.iter_mut().zip(pairs(scores));
                apart.for_each(|(apart, (one, other))| *apart += i64::from(one != other));
            }
        }
    }

    /// Bins what is too much.
    fn fit(&mut self) {
        let Some((grid, budget)) = self.shape.bins else { return };
        if self.parts.len() == 1 && self.shape.scores > 1 && self.parts[0].tally.len() > budget.exact {
            self.keep_models(grid, budget);
        }
        self.parts.iter_mut().for_each(|part| part.fit(grid, budget));
    }

    /// Keeps the scores of each model for themselves, beside the tuples, which must be exact.
    fn keep_models(&mut self, grid: Grid, budget: Budget) {
        let tally = &self.parts[0].tally;
        let mut own = vec![Cells::new(None, 0, 1); self.shape.scores];
        let mut apart = vec![0_i64; pair(0, self.shape.scores)];
        tally.for_each(|tuple, count| {
            own.iter_mut().zip(tuple).for_each(|(part, &word)| part.tally.add(&[word], count));
            for (apart, (one, other)) in apart.iter_mut().zip(pairs(tuple)) {
                *apart = apart.saturating_add(if one == other { 0 } else { count });
            }
        });
        self.parts[0] = self.parts[0].finest(grid, budget);
        self.parts.extend(own);
        self.apart = apart;
    }
}

/// The place of a pair among all, the first being less than the second.
fn pair(first: usize, second: usize) -> usize {
    second * second.saturating_sub(1) / 2 + first
}

/// All pairs, in the order of [`pair`].
fn pairs<T: Copy>(values: &[T]) -> impl Iterator<Item = (T, T)> {
    values.iter().enumerate().flat_map(|(place, &second)| values[..place].iter().map(move |&first| (first, second)))
}

impl PartialEq for Ranks {
    fn eq(&self, other: &Self) -> bool {
        let same = |(mine, theirs): (&Cells, &Cells)| {
            mine.level == theirs.level
                && mine.tally.len() == theirs.tally.len()
                && mine.tally.sorted() == theirs.tally.sorted()
        };
        self.rows == other.rows
            && self.shape == other.shape
            && self.apart == other.apart
            && self.parts.len() == other.parts.len()
            && self.parts.iter().zip(&other.parts).all(same)
    }
}

impl Summary for Ranks {
    const NAME: &'static str = "mg_ranks";
    type Params = RankParams;

    fn fields() -> Fields {
        wire::fields(&["rows", "shape", "levels", "lengths", "tuples", "counts", "apart"])
    }

    fn serves(one: &RankParams, other: &RankParams) -> bool {
        one.rows == other.rows && (one.binned.is_none() || one.binned == other.binned)
    }

    fn update(&mut self, params: &RankParams, columns: &[ArrayRef]) -> Result<()> {
        let mut counts = std::mem::take(&mut self.rows);
        let taken = match Shape::new(params).grid() {
            Some(grid) => {
                let mut rows = Vec::new();
                let taken = counts.take(&params.rows, columns, |row| {
                    rows.push(row.label);
                    rows.extend_from_slice(row.scores);
                });
                for rows in rows.chunks(MOST_ROWS * (1 + params.rows.scores)) {
                    self.start(params);
                    self.push_binned(grid, rows);
                    self.fit();
                }
                taken
            }
            None => {
                let mut words = Vec::new();
                counts.take(&params.rows, columns, |row| {
                    self.start(params);
                    words.clear();
                    self.shape.write_row(row, &mut words);
                    self.parts[0].tally.add(&words, 1);
                })
            }
        };
        self.rows = counts;
        taken?;
        self.fit();
        ensure!(
            self.parts.iter().all(|part| part.tally.len() <= MAX_TUPLES),
            "more than {MAX_TUPLES} distinct rows of labels and scores; round the scores or declare a sample"
        );
        Ok(())
    }

    fn merge(&mut self, mut other: Self) {
        self.rows.merge(std::mem::take(&mut other.rows));
        if self.parts.len() < other.parts.len() {
            std::mem::swap(&mut self.shape, &mut other.shape);
            std::mem::swap(&mut self.parts, &mut other.parts);
            std::mem::swap(&mut self.apart, &mut other.apart);
        }
        if other.parts.is_empty() {
            return;
        }
        if let Some((grid, budget)) = self.shape.bins.filter(|_| other.parts.len() < self.parts.len()) {
            other.keep_models(grid, budget);
        }
        for (apart, more) in self.apart.iter_mut().zip(&other.apart) {
            *apart = apart.saturating_add(*more);
        }
        for (mine, theirs) in self.parts.iter_mut().zip(other.parts) {
            mine.merge(self.shape.grid(), theirs);
        }
        self.fit();
    }

    fn write(&self) -> Vec<ArrayRef> {
        let (mut lengths, mut tuples, mut counts) = (Vec::new(), Vec::new(), Vec::new());
        for part in &self.parts {
            let sorted = part.tally.sorted();
            lengths.push(part.tally.len() as i64);
            tuples.extend(sorted.0);
            counts.extend(sorted.1);
        }
        let levels = self.parts.iter().map(|part| i64::from(part.level)).collect();
        wire::write(vec![self.rows.write(), self.shape.write(), levels, lengths, tuples, counts, self.apart.clone()])
    }

    fn read(state: &[ArrayRef], row: usize) -> Result<Self> {
        let [rows, shape, levels, lengths, tuples, counts, apart] = wire::read(state, row)?;
        let (rows, shape) = (RowCounts::read(&rows)?, Shape::read(&shape)?);
        ensure!(shape.scores.is_multiple_of(rows.missing.len().max(1)), "ranks of impossible shape");
        ensure!(levels.len() == lengths.len(), "ranks whose parts do not agree in number");
        ensure!(shape.scores > 0 || levels.is_empty(), "ranks of tuples without scores");
        let (mut tuples, mut counts, mut parts) = (&tuples[..], &counts[..], Vec::new());
        for (&level, length) in levels.iter().zip(lengths) {
            let (width, length) = (if parts.is_empty() { shape.width() } else { 1 }, usize::try_from(length)?);
            let values = length.checked_mul(width).and_then(|values| tuples.split_off(..values));
            let (values, counts) = values.zip(counts.split_off(..length)).context("ranks without all their values")?;
            ensure!(rows.are_accounted_for(counts), "ranks of other rows than were counted");
            parts.push(Cells::read(shape.grid(), level, width, values, counts)?);
        }
        ensure!(tuples.is_empty() && counts.is_empty(), "ranks with more values than they have");
        let mut ranks = Self { rows, shape, parts, apart };
        ensure!(ranks.is_whole(), "ranks with parts that do not belong together");
        ranks.fit();
        Ok(ranks)
    }

    fn size(&self) -> usize {
        let parts = self.parts.iter().map(|part| size_of::<Cells>() + part.tally.heap_size());
        size_of::<Self>() + self.rows.heap_size() + parts.sum::<usize>() + self.apart.capacity() * size_of::<i64>()
    }
}

impl Ranks {
    /// Whether the parts are those that there must be.
    fn is_whole(&self) -> bool {
        let (used, models) = (self.rows.used, if self.shape.scores > 1 { self.shape.scores } else { 0 });
        let expected = if self.are_binned() { (1 + models, pair(0, models)) } else { (usize::from(used > 0), 0) };
        let differ = self.apart.iter().all(|differ| (0..=used).contains(differ));
        (self.parts.len(), self.apart.len()) == expected && differ
    }
}

/// What a tuple consists of, in this order: cluster, weight, group, label, scores. Where scores may be binned, it is only
/// scores, each together with the label.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
struct Shape {
    clustered: bool,
    weighted: bool,
    grouped: bool,
    /// Scores of all models together; 0 as long as no usable row was seen.
    scores: usize,
    /// The cells, and how many are kept, where scores may be binned.
    bins: Option<(Grid, Budget)>,
}

impl Shape {
    fn new(params: &RankParams) -> Self {
        let &Columns { clustered, weighted, grouped, scores, .. } = &params.rows;
        let bins = grid(&params.rows).zip(params.binned);
        Self { clustered, weighted, grouped, scores: scores * params.rows.outputs(), bins }
    }

    fn grid(self) -> Option<Grid> {
        self.bins.map(|(grid, _)| grid)
    }

    /// Where the label stands, if it stands for itself.
    fn label(self) -> usize {
        [self.clustered, self.weighted, self.grouped].map(usize::from).iter().sum()
    }

    fn width(self) -> usize {
        self.scores + if self.bins.is_some() { 0 } else { self.label() + 1 }
    }

    fn label_of(self, tuple: &[i64]) -> f64 {
        self.grid().map_or_else(|| from_key(tuple[self.label()]), |grid| grid.label(tuple[0]))
    }

    fn write_row(self, row: Row<'_>, words: &mut Vec<i64>) {
        words.extend(self.clustered.then(|| signed(row.cluster)));
        words.extend(self.weighted.then(|| to_key(row.weight)));
        words.extend(self.grouped.then(|| signed(row.group)));
        words.push(to_key(row.label));
        words.extend(row.scores.iter().map(|&score| to_key(score)));
    }

    fn columns(self, part: &Cells) -> RankColumns {
        let (values, counts) = part.tally.sorted();
        let counts = counts.into_iter().map(i64::cast_unsigned).collect();
        let column = |index: usize| values.iter().skip(index).step_by(self.width()).copied();
        if let Some(grid) = self.grid() {
            let labels = column(0).map(|word| grid.label(word)).collect();
            let scores = |score: usize| column(score).map(|word| grid.number(word, part.level)).collect();
            return RankColumns {
                labels,
                scores: (0..self.scores).map(scores).collect(),
                counts,
                ..RankColumns::default()
            };
        }
        let numbers = |index: usize| column(index).map(from_key).collect::<Vec<_>>();
        let keys = |index: usize| column(index).map(unsigned).collect::<Vec<_>>();
        let label = self.label();
        RankColumns {
            clusters: self.clustered.then(|| keys(0)),
            weights: self.weighted.then(|| numbers(usize::from(self.clustered))),
            groups: self.grouped.then(|| keys(label - 1)),
            labels: numbers(label),
            scores: (0..self.scores).map(|score| numbers(label + 1 + score)).collect(),
            counts,
        }
    }

    fn write(self) -> Vec<i64> {
        let flags = [self.clustered, self.weighted, self.grouped].map(i64::from);
        let grid = match self.grid() {
            None => 0,
            Some(Grid::Probability) => 1,
            Some(Grid::Number) => 2,
        };
        let [exact, cells] = self.bins.map_or([0; 2], |(_, Budget { exact, cells })| [exact, cells]);
        let numbers = [self.scores, exact, cells].map(|number| i64::try_from(number).unwrap_or(i64::MAX));
        [&flags[..], &[grid], &numbers].concat()
    }

    fn read(wire: &[i64]) -> Result<Self> {
        let &[clustered, weighted, grouped, grid, scores, exact, cells] = wire else {
            bail!("ranks without their shape")
        };
        let [clustered, weighted, grouped] = [clustered, weighted, grouped].map(|flag| flag == 1);
        let grid = match grid {
            0 => None,
            1 => Some(Grid::Probability),
            2 => Some(Grid::Number),
            _ => bail!("ranks in unknown cells"),
        };
        let is_plain = !clustered && !weighted && !grouped;
        ensure!(grid.is_none() || is_plain, "ranks in cells with more than scores");
        let budget = Budget { exact: usize::try_from(exact)?, cells: usize::try_from(cells)? };
        let bins = grid.map(|grid| (grid, budget));
        Ok(Self { clustered, weighted, grouped, scores: u16::try_from(scores)?.into(), bins })
    }
}

/// A key as an integer that sorts as it does.
fn signed(key: u64) -> i64 {
    (key ^ 1 << 63).cast_signed()
}

fn unsigned(key: i64) -> u64 {
    key.cast_unsigned() ^ 1 << 63
}

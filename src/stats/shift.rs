//! How far apart the distributions of a column are in two samples of different rows, with an honest interval.
//!
//! Both distances are the largest difference between the shares of rows that the samples have in a set of places: of the
//! first so many places, where values have an order (Kolmogorov-Smirnov), or of any places, where they have none (total
//! variation). Rows of two samples are independent of each other, and within each; or else entities are, and then those
//! of a [unit](Shift::new) vary together.
//!
//! Kolmogorov-Smirnov: a simulated band, as in [`distance`](crate::stats::distance), of the process `F(t) - G(t)`. Its
//! covariance is that of two independent empirical distribution functions, `F(s) (1 - F(t)) / n + G(s) (1 - G(t)) / m` for
//! `s <= t`, so the band is narrower than two of Dvoretzky, Kiefer and Wolfowitz (Massart, Annals of Probability 18 (1990)
//! 1269-1283), by a third for continuous values and more for discrete ones, and holds as well: `bench/COVERAGE.md`.
//!
//! Total variation: chance adds to it, the more the more values there are. With `d` the noise of the difference of shares at
//! each place, the value is at most the truth plus `sum |d| / 2`, whose expectation is at most half the sum of the standard
//! errors (Jensen): the bias that the lower end allows for. Beyond its expectation that sum, a convex function of normal
//! numbers, has a lighter tail than the normal distribution of the largest standard error of a set (Gaussian isoperimetry;
//! Boucheron, Lugosi and Massart, Concentration Inequalities (2013), theorem 5.6, and by McDiarmid's inequality without
//! normality, with a worse constant). From below, the value is at least what was seen in the one set that has the truth, and
//! needs no such care. A set or its complement lacks the most frequent value, and so no share of a set varies more than the
//! lesser of a half and what that value leaves.

use crate::stats::band::Band;
use crate::stats::distance::{Distance, GRID};
use crate::stats::distribution::Reference;
use crate::stats::undefined::Undefined;

/// Rows are added to both sides of a share before its variance is taken, so that none is nothing (Agresti and Coull, The
/// American Statistician 52 (1998) 119-126).
const ADDED: f64 = 2.0;

/// Two samples as counts by unit and place: the looked at, and what it is held against.
#[derive(Clone, Debug, PartialEq)]
pub struct Shift {
    samples: [Sampled; 2],
    is_clustered: bool,
}

#[derive(Clone, Debug, PartialEq)]
struct Sampled {
    /// For each unit, its rows at each place.
    units: Vec<Vec<u64>>,
    /// Rows of each unit.
    sizes: Vec<u64>,
    /// Rows at each place.
    places: Vec<u64>,
    rows: u64,
}

/// The rows of two samples at one place.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Shares {
    /// The share of rows of the sample that is looked at.
    pub share: f64,
    /// The share of rows of the other.
    pub against: f64,
}

impl Sampled {
    fn new(units: Vec<Vec<u64>>) -> Self {
        let places = units.first().map_or(0, Vec::len);
        let places = (0..places).map(|place| units.iter().map(|unit| unit[place]).sum()).collect::<Vec<u64>>();
        let sizes = units.iter().map(|unit| unit.iter().sum()).collect::<Vec<u64>>();
        let rows = sizes.iter().sum();
        Self { units, sizes, places, rows }
    }

    fn share(&self, place: usize) -> f64 {
        self.places[place] as f64 / self.rows as f64
    }

    /// What a unit adds to the share of rows in a set, beyond what its size lets expect: of its own rows and of all in the set.
    fn residual(&self, unit: usize, own: f64, all: f64) -> f64 {
        let rows = self.rows as f64;
        (own - self.sizes[unit] as f64 * all / rows) / rows
    }

    /// The most that the share of a set may vary with, if rows are independent.
    fn largest_variance(&self) -> f64 {
        let (rows, most) = (self.rows as f64, self.places.iter().copied().max().unwrap_or(0) as f64);
        let share = ((rows - most + ADDED) / (rows + 2.0 * ADDED)).min(0.5);
        share * (1.0 - share) / rows
    }
}

impl Shift {
    /// Two samples as rows by unit and place. Units are what is independent: random groups of entities, the same in both
    /// samples, or a single one where every row is independent for itself. (Random groups: Wolter, Introduction to Variance
    /// Estimation (2007), chapter 2.)
    #[must_use]
    pub fn new(sample: Vec<Vec<u64>>, against: Vec<Vec<u64>>) -> Self {
        let is_clustered = sample.len().max(against.len()) > 1;
        Self { samples: [Sampled::new(sample), Sampled::new(against)], is_clustered }
    }

    /// Whether a sample has no rows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.samples.iter().any(|sample| sample.rows == 0)
    }

    /// The shares of rows at a place.
    #[must_use]
    pub fn at(&self, place: usize) -> Shares {
        let [sample, against] = &self.samples;
        Shares { share: sample.share(place), against: against.share(place) }
    }

    /// The shares of rows up to a place.
    #[must_use]
    pub fn up_to(&self, place: usize) -> Shares {
        let [share, against] = [0, 1].map(|number| {
            let sample = &self.samples[number];
            sample.places[..=place].iter().sum::<u64>() as f64 / sample.rows as f64
        });
        Shares { share, against }
    }

    /// The Kolmogorov-Smirnov distance, where places have an order; of binned values they are cells, within which nothing is
    /// known of the order of rows. The number of the place up to which shares differ most is in `at`.
    ///
    /// # Errors
    /// Without rows in either sample, and with fewer than two units where there are units.
    pub fn kolmogorov_smirnov(&self, is_binned: bool, seed: u64) -> Result<Distance, Undefined> {
        self.is_enough()?;
        let net = self.net();
        let scale = self.samples[0].rows as f64 * self.samples[1].rows as f64;
        let (at, most) = largest(&net);
        let value = most as f64 / scale;
        let grid = self.grid();
        let on_grid = grid.iter().map(|&place| net[place].unsigned_abs()).max().unwrap_or(0) as f64 / scale;
        let error = (self.possible(&net) as f64 / scale - value).max(0.0);
        let (covariance, reference) = self.covariance(&grid);
        let units = self.samples[0].rows.min(self.samples[1].rows);
        let band = Band::new(&covariance, self.units().map_or(units, |units| units as u64), reference, seed);
        Ok(Distance { binning_error: is_binned.then_some(error), ..self.distance(value, at, on_grid, band) })
    }

    /// The total variation distance, where places have no order. Of `hidden`, a share of rows, is not known at which places
    /// they are, so that the truth of these rows may be larger by as much. The number of the place with the largest
    /// difference is in `at`.
    ///
    /// # Errors
    /// As [`Shift::kolmogorov_smirnov`].
    pub fn total_variation(&self, hidden: f64) -> Result<Distance, Undefined> {
        self.is_enough()?;
        let [sample, against] = &self.samples;
        let net = (0..sample.places.len()).map(|place| self.net_at(place)).collect::<Vec<_>>();
        let (at, _) = largest(&net);
        let scale = sample.rows as f64 * against.rows as f64;
        let value = net.iter().map(|net| net.unsigned_abs()).sum::<u128>() as f64 / 2.0 / scale;
        let (variances, design) = self.variances();
        let bias = variances.iter().map(|variance| variance.sqrt()).sum::<f64>() / 2.0;
        let error = (design * (sample.largest_variance() + against.largest_variance())).sqrt();
        let band = Band::Normal { error, reference: self.reference() };
        let binning_error = (hidden > 0.0).then_some(hidden);
        Ok(Distance { bias, binning_error, ..self.distance(value, at, value, band) })
    }

    fn distance(&self, value: f64, at: usize, on_grid: f64, band: Band) -> Distance {
        let [sample, against] = &self.samples;
        Distance {
            value,
            at: at as f64,
            rows: sample.rows,
            clusters: self.units().map(|units| units as u64),
            binning_error: None,
            against: Some(against.rows),
            on_grid,
            bias: 0.0,
            band,
        }
    }

    fn is_enough(&self) -> Result<(), Undefined> {
        match self.units() {
            _ if self.is_empty() => Err(Undefined::NoRows),
            Some(clusters @ 0..2) => Err(Undefined::TooFewClusters { clusters: clusters as u64 }),
            _ => Ok(()),
        }
    }

    /// How many units have rows, where there are units.
    fn units(&self) -> Option<usize> {
        let has_rows = |unit: &usize| {
            let rows = |sample: &Sampled| sample.sizes.get(*unit).is_some_and(|rows| *rows > 0);
            self.samples.iter().any(rows)
        };
        let units = self.samples.iter().map(|sample| sample.sizes.len()).max().unwrap_or(0);
        self.is_clustered.then(|| (0..units).filter(has_rows).count())
    }

    fn reference(&self) -> Reference {
        self.units().map_or(Reference::Normal, |units| Reference::Student(units as f64 - 1.0))
    }

    /// The difference of the shares at a place times the rows of both, which is a whole number, and exact.
    fn net_at(&self, place: usize) -> i128 {
        let [sample, against] = &self.samples;
        let product = |one: u64, other: u64| i128::from(one) * i128::from(other);
        product(sample.places[place], against.rows) - product(against.places[place], sample.rows)
    }

    /// The same of all places up to each.
    fn net(&self) -> Vec<i128> {
        let mut net = 0;
        let step = |place| {
            net += self.net_at(place);
            net
        };
        (0..self.samples[0].places.len()).map(step).collect()
    }

    /// The largest difference that is possible within a place, where all rows of one sample may lie before those of the
    /// other.
    fn possible(&self, net: &[i128]) -> u128 {
        let [sample, against] = &self.samples;
        let within = |place: usize| {
            let before = if place == 0 { 0 } else { net[place - 1] };
            let up = i128::from(sample.places[place]) * i128::from(against.rows);
            let down = i128::from(against.places[place]) * i128::from(sample.rows);
            (before + up).unsigned_abs().max((before - down).unsigned_abs())
        };
        (0..net.len()).map(within).max().unwrap_or(0)
    }

    /// All places if they are at most [`GRID`], or else those at which the pooled distribution passes a multiple of
    /// `1 / GRID`, each sample having the same say in it.
    fn grid(&self) -> Vec<usize> {
        let places = self.samples[0].places.len();
        let (mut passed, mut quantile) = (0.0, 0.0);
        let passes = |place: &usize| {
            passed += (self.samples[0].share(*place) + self.samples[1].share(*place)) / 2.0;
            let before = quantile;
            quantile = (passed * GRID as f64).floor();
            places <= GRID || quantile > before
        };
        (0..places).filter(passes).collect()
    }

    /// The covariance of the difference of the shares up to some places, and the law of what is studentised by it.
    fn covariance(&self, grid: &[usize]) -> (Vec<Vec<f64>>, Reference) {
        let square = |entry: &dyn Fn(usize, usize) -> f64| {
            (0..grid.len()).map(|i| (0..grid.len()).map(|j| entry(i, j)).collect()).collect()
        };
        let up_to = |counts: &[u64]| {
            let (mut sum, mut next) = (0, 0);
            let running = grid.iter().map(|&place| {
                sum += counts[next..=place].iter().sum::<u64>();
                next = place + 1;
                sum as f64
            });
            running.collect::<Vec<_>>()
        };
        let shares = self.samples.each_ref().map(|sample| (up_to(&sample.places), sample.rows as f64));
        if !self.is_clustered {
            let entry = |i: usize, j: usize| {
                let (least, most) = (i.min(j), i.max(j));
                let of = |(counts, rows): &(Vec<f64>, f64)| {
                    counts[least] / rows * (1.0 - counts[most] / rows) / (rows - 1.0).max(1.0)
                };
                shares.iter().map(of).sum::<f64>()
            };
            return (square(&entry), Reference::Normal);
        }
        let mut residuals: Vec<Vec<f64>> = Vec::new();
        for (sample, ((all, _), sign)) in self.samples.iter().zip(shares.iter().zip([1.0, -1.0])) {
            for (unit, counts) in sample.units.iter().enumerate() {
                residuals.resize(residuals.len().max(unit + 1), vec![0.0; grid.len()]);
                let own = up_to(counts);
                let added = own.iter().zip(all).map(|(own, all)| sign * sample.residual(unit, *own, *all));
                residuals[unit].iter_mut().zip(added).for_each(|(residual, added)| *residual += added);
            }
        }
        let units = self.units().unwrap_or(0) as f64;
        let entry =
            |i: usize, j: usize| units / (units - 1.0) * residuals.iter().map(|unit| unit[i] * unit[j]).sum::<f64>();
        (square(&entry), self.reference())
    }

    /// The variance of the difference of the shares at each place; and how many times larger than those of independent rows
    /// they are in the mean, at least 1 (Rao and Scott, Journal of the American Statistical Association 76 (1981) 221-230).
    fn variances(&self) -> (Vec<f64>, f64) {
        let places = self.samples[0].places.len();
        let independent = |place: usize| {
            let of = |sample: &Sampled| sample.share(place) * (1.0 - sample.share(place)) / sample.rows as f64;
            self.samples.iter().map(of).sum::<f64>()
        };
        let independent = (0..places).map(independent).collect::<Vec<_>>();
        let Some(units) = self.units() else { return (independent, 1.0) };
        let mut variances = vec![0.0; places];
        let count = self.samples.iter().map(|sample| sample.units.len()).max().unwrap_or(0);
        for unit in 0..count {
            for (place, variance) in variances.iter_mut().enumerate() {
                let of = |sample: &Sampled| {
                    let own = |unit: &Vec<u64>| (unit[place] as f64, sample.places[place] as f64);
                    sample.units.get(unit).map(own).map_or(0.0, |(own, all)| sample.residual(unit, own, all))
                };
                let [sample, against] = self.samples.each_ref().map(of);
                *variance += (sample - against).powi(2) * units as f64 / (units as f64 - 1.0);
            }
        }
        let [clustered, independent] = [&variances, &independent].map(|variances| variances.iter().sum::<f64>());
        let design = if independent > 0.0 { (clustered / independent).max(1.0) } else { 1.0 };
        (variances, design)
    }
}

/// The first place with the largest absolute difference.
fn largest(net: &[i128]) -> (usize, u128) {
    let first = |best: (usize, u128), (place, net): (usize, &i128)| {
        if net.unsigned_abs() > best.1 { (place, net.unsigned_abs()) } else { best }
    };
    net.iter().enumerate().fold((0, 0), first)
}

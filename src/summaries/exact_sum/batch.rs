//! Many additions to one sum: first into bins on the stack, without carries or a window, then into the digits.
//!
//! After the large superaccumulator of Neal (2015), which has a bin for each exponent, into which significands are
//! added as they are. Here eight exponents share a bin of 128 bits, so that products have bins too.
//!
//! ```text
//! sum of the products = sum of bins[i] * 2^(8 * i - 2 * 1074)
//! ```

use super::{ExactSum, LOWEST_EXPONENT, Scaled};

/// How many exponents share a bin.
const SHARED: u32 = 8;

/// Two exponents of at most 2045 have their sum in the last of these.
const ALL_BINS: usize = 512;

/// So many are enough for most batches, whose values are alike; fewer take less time to clear and to look through.
const SOME_BINS: usize = 32;

/// A product of 106 bits, shifted by at most seven, can be added this often to the 127 bits of a bin.
const ROOM: usize = 1 << 14;

/// Below this many additions it takes longer to clear the bins than to do without them.
const FEW: usize = 16;

/// The bins from one on, each in parts: neighbours in a batch mostly fall into one bin, and an addition need not wait for the one
/// before.
struct Bins<const N: usize> {
    first: u32,
    bins: [[i128; 4]; N],
}

impl ExactSum {
    /// Adds all of `values`.
    pub fn add_all(&mut self, values: &[Scaled]) {
        values.chunks(ROOM).for_each(|values| self.add_pairs(values.iter().map(|value| (*value, Scaled::ONE))));
    }

    /// Adds the products of each value of `x` and the one of `y` in its place.
    pub fn add_products(&mut self, x: &[Scaled], y: &[Scaled]) {
        let parts = x.chunks(ROOM).zip(y.chunks(ROOM));
        parts.for_each(|(x, y)| self.add_pairs(x.iter().copied().zip(y.iter().copied())));
    }

    /// Adds the products of at most [`ROOM`] pairs.
    fn add_pairs(&mut self, pairs: impl ExactSizeIterator<Item = (Scaled, Scaled)> + Clone) {
        if pairs.len() < FEW {
            return pairs.for_each(|(x, y)| self.add_pair(x, y));
        }
        let (lowest, highest) = pairs.clone().fold((u32::MAX, 0), |(lowest, highest), (x, y)| {
            // A product of nothing may be added anywhere.
            let (exponent, is_zero) = (x.exponent + y.exponent, x.significand == 0 || y.significand == 0);
            (lowest.min(if is_zero { lowest } else { exponent }), highest.max(if is_zero { 0 } else { exponent }))
        });
        let (first, last) = (lowest / SHARED, highest / SHARED);
        match last.checked_sub(first) {
            None => {}
            Some(bins) if (bins as usize) < SOME_BINS => Bins::<SOME_BINS>::of(first, pairs).add_to(self),
            Some(_) => Bins::<ALL_BINS>::of(0, pairs).add_to(self),
        }
    }
}

impl<const N: usize> Bins<N> {
    fn of(first: u32, pairs: impl Iterator<Item = (Scaled, Scaled)>) -> Self {
        let mut bins = Self { first, bins: [[0; 4]; N] };
        pairs.enumerate().for_each(|(index, (x, y))| bins.add(index, x, y));
        bins
    }

    fn add(&mut self, index: usize, x: Scaled, y: Scaled) {
        let exponent = x.exponent + y.exponent;
        let bin = &mut self.bins[(exponent / SHARED).wrapping_sub(self.first) as usize % N][index % 4];
        *bin += i128::from(x.significand << (exponent % SHARED)) * i128::from(y.significand);
    }

    fn add_to(&self, sum: &mut ExactSum) {
        for (bin, parts) in (self.first..).zip(&self.bins) {
            let total = parts.iter().sum::<i128>();
            if total != 0 {
                sum.add_wide(total, (bin * SHARED).cast_signed() + 2 * LOWEST_EXPONENT);
            }
        }
    }
}

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
const BINS: usize = 512;

/// How many bins are looked at together.
const GROUP: usize = 16;

/// A product of 106 bits, shifted by at most seven, can be added this often to the 127 bits of a bin.
const ROOM: usize = 1 << 14;

/// Below this many additions it takes longer to clear the bins than to do without them.
const FEW: usize = 64;

/// The bins, twice: neighbours in a batch mostly fall into one bin, and an addition need not wait for the one before.
struct Bins([[i128; 2]; BINS]);

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
    fn add_pairs(&mut self, pairs: impl ExactSizeIterator<Item = (Scaled, Scaled)>) {
        if pairs.len() < FEW {
            return pairs.for_each(|(x, y)| self.add_pair(x, y));
        }
        let mut bins = Bins([[0; 2]; BINS]);
        pairs.enumerate().for_each(|(index, (x, y))| bins.add(index, x, y));
        bins.add_to(self);
    }
}

impl Bins {
    fn add(&mut self, index: usize, x: Scaled, y: Scaled) {
        let exponent = x.exponent + y.exponent;
        let bin = &mut self.0[(exponent / SHARED) as usize % BINS][index % 2];
        *bin += i128::from(x.significand << (exponent % SHARED)) * i128::from(y.significand);
    }

    fn add_to(&self, sum: &mut ExactSum) {
        for (group, bins) in (0..).zip(self.0.chunks(GROUP)) {
            // Most groups are empty, and this is seen at a glance.
            if bins.iter().fold(0, |bits, [even, odd]| bits | even | odd) == 0 {
                continue;
            }
            for (bin, [even, odd]) in (0..).zip(bins) {
                let place = group * GROUP as i32 + bin;
                sum.add_wide(even + odd, place * SHARED.cast_signed() + 2 * LOWEST_EXPONENT);
            }
        }
    }
}

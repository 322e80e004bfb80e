//! Exact sums of floats, the same for every order of the additions.
//!
//! After the small superaccumulator of R. Neal, "Fast exact summation using small and large superaccumulators" (2015,
//! arXiv:1505.05571): a float is an integer times a power of two, so the sum is kept as one long integer in digits of
//! 32 bits, each in an `i64`, whose upper half takes the carries of many additions before they must be passed on. Two
//! things differ. Only the window of digits in use is stored, because values of similar magnitude touch three or four
//! of the 65 and thousands of sums live at once. And products are exact too, since two 53-bit integers have a 106-bit
//! product.
//!
//! ```text
//! value = sum of digits[i] * 2^(32 * (first + i))
//! ```

mod batch;

use anyhow::{Context, Result, ensure};

const DIGIT_BITS: i32 = 32;
const DIGIT_MASK: i64 = 0xffff_ffff;

/// Each addition changes a digit by less than 2^32, so that 2^30 of them stay below 2^63 with room to spare.
const CARRY_AFTER: u32 = 1 << 30;

/// The exponent of the smallest float: all are multiples of 2^-1074.
const LOWEST_EXPONENT: i32 = -1074;

/// Digits below and above the point that any sum of floats or of their products can have, with room to spare: products
/// reach from 2^-2148 to 2^2048, which is 68 digits. A state that claims more was not written by us.
const MAX_PLACE: i64 = 128;

/// A finite float as `significand * 2^(exponent - 1074)`, taken apart once for all sums that it goes into.
#[derive(Clone, Copy, Debug)]
pub struct Scaled {
    significand: i64,
    exponent: u32,
}

/// An exact sum of finite floats and of products of finite floats.
#[derive(Clone, Debug, Default)]
pub struct ExactSum {
    first: i32,
    digits: Vec<i64>,
    /// Additions since the carries were last passed on: every digit is at most `(pending + 1) * 2^32` in magnitude.
    pending: u32,
}

impl ExactSum {
    /// Adds `value`. Values that are not finite have no place in a sum and are left out; callers count them.
    pub fn add(&mut self, value: f64) {
        self.add_pair(value.into(), Scaled::ONE);
    }

    /// Adds `x * y` without rounding, overflow or underflow. Leaves the product out when a factor is not finite.
    pub fn add_product(&mut self, x: f64, y: f64) {
        self.add_pair(x.into(), y.into());
    }

    /// Adds everything that `other` has taken in.
    pub fn merge(&mut self, other: &Self) {
        if self.pending + other.pending < CARRY_AFTER {
            return self.merge_digits(other);
        }
        *self = self.canonical();
        self.merge_digits(&other.canonical());
    }

    /// The sum, rounded once, to the nearest float with ties to even; infinite when no float is near.
    #[must_use]
    pub fn value(&self) -> f64 {
        let sum = self.canonical();
        let Some(&leading) = sum.digits.last() else { return 0.0 };
        let magnitude = sum.digits.iter().rev().map(|digit| digit.unsigned_abs());
        let lowest = sum.first + length(&sum.digits) - 4;
        let rounded = round(magnitude, lowest * DIGIT_BITS);
        if leading < 0 { -rounded } else { rounded }
    }

    /// `n * sum(xy) - sum(x) * sum(y)` without cancellation, rounded once: `n` times the centred sum of products.
    ///
    /// Dividing by `n (n - 1)` gives the sample covariance, exactly zero when `x` or `y` is constant.
    #[must_use]
    pub fn comoment(n: u64, xy: &Self, x: &Self, y: &Self) -> f64 {
        let mut count = Self::default();
        count.add_scaled(false, n, 0);
        let mut comoment = count.times(xy);
        let mut means = x.times(y);
        means.negate();
        comoment.merge(&means);
        comoment.value()
    }

    /// Appends the canonical form to `wire`: the number of digits, the place of the first, the digits. Equal sums have
    /// equal forms.
    pub fn write(&self, wire: &mut Vec<i64>) {
        let sum = self.canonical();
        wire.extend([i64::from(length(&sum.digits)), i64::from(sum.first)]);
        wire.extend(sum.digits);
    }

    /// Takes one canonical form off the front of `wire`.
    ///
    /// # Errors
    /// When the integers are not what [`ExactSum::write`] makes.
    pub fn read(wire: &mut &[i64]) -> Result<Self> {
        let (&[digits, first], rest) = wire.split_first_chunk().context("a sum that ends before its digits")?;
        ensure!((0..2 * MAX_PLACE).contains(&digits) && first.abs() <= MAX_PLACE, "a sum with impossible digits");
        let (digits, rest) = rest.split_at_checked(usize::try_from(digits)?).context("a sum without all its digits")?;
        ensure!(
            digits.iter().all(|digit| digit.abs_diff(0) <= DIGIT_MASK.unsigned_abs()),
            "a sum with a digit too large"
        );
        *wire = rest;
        Ok(Self { first: i32::try_from(first)?, digits: digits.to_vec(), pending: 0 })
    }

    /// Bytes held on the heap.
    #[must_use]
    pub fn heap_size(&self) -> usize {
        self.digits.capacity() * size_of::<i64>()
    }

    /// Adds `x * y`.
    fn add_pair(&mut self, x: Scaled, y: Scaled) {
        let exponent = (x.exponent + y.exponent).cast_signed() + 2 * LOWEST_EXPONENT;
        self.add_wide(i128::from(x.significand) * i128::from(y.significand), exponent);
    }

    /// Adds `integer * 2^exponent`.
    fn add_wide(&mut self, integer: i128, exponent: i32) {
        let bits = integer.unsigned_abs();
        self.add_scaled(integer < 0, bits as u64, exponent);
        if bits >> 64 != 0 {
            self.add_scaled(integer < 0, (bits >> 64) as u64, exponent + 64);
        }
    }

    /// Adds `bits * 2^exponent`: to the three digits which that touches at most, if the window has them.
    fn add_scaled(&mut self, negative: bool, bits: u64, exponent: i32) {
        let start = (exponent.div_euclid(DIGIT_BITS) - self.first) as usize;
        let Some(digits) = self.digits.get_mut(start..).and_then(|digits| digits.first_chunk_mut::<3>()) else {
            return self.add_outside(negative, bits, exponent);
        };
        add_digits(digits, negative, u128::from(bits) << exponent.rem_euclid(DIGIT_BITS));
        self.count_additions(1);
    }

    /// Adds `bits * 2^exponent`. Trailing zero bits are dropped first, which keeps the window of small integers small.
    fn add_outside(&mut self, negative: bool, bits: u64, exponent: i32) {
        if bits == 0 {
            return;
        }
        let zeros = bits.trailing_zeros();
        let exponent = exponent + zeros.cast_signed();
        let bits = u128::from(bits >> zeros) << exponent.rem_euclid(DIGIT_BITS);
        let used = (u128::BITS - bits.leading_zeros()).div_ceil(DIGIT_BITS.cast_unsigned());
        add_digits(self.window(exponent.div_euclid(DIGIT_BITS), used as usize), negative, bits);
        self.count_additions(1);
    }

    /// The digits at places `first..first + len`, after widening the window to hold them.
    fn window(&mut self, first: i32, len: usize) -> &mut [i64] {
        if self.digits.is_empty() {
            self.first = first;
        }
        if first < self.first {
            self.digits.splice(0..0, std::iter::repeat_n(0, self.first.abs_diff(first) as usize));
            self.first = first;
        }
        let start = first.abs_diff(self.first) as usize;
        if self.digits.len() < start + len {
            self.digits.resize(start + len, 0);
        }
        &mut self.digits[start..start + len]
    }

    fn count_additions(&mut self, additions: u32) {
        self.pending += additions;
        if self.pending >= CARRY_AFTER {
            *self = self.canonical();
        }
    }

    fn merge_digits(&mut self, other: &Self) {
        if other.digits.is_empty() {
            return;
        }
        for (digit, more) in self.window(other.first, other.digits.len()).iter_mut().zip(&other.digits) {
            *digit += more;
        }
        self.count_additions(other.pending + 1);
    }

    /// Passes the carries on: afterwards all digits are in `0..2^32` but the last, which holds the sign.
    fn carry(&mut self) {
        let mut carry = 0;
        for digit in &mut self.digits {
            let total = *digit + carry;
            *digit = total & DIGIT_MASK;
            carry = total >> DIGIT_BITS;
        }
        if carry != 0 {
            self.digits.push(carry);
        }
        self.pending = 0;
    }

    fn negate(&mut self) {
        self.digits.iter_mut().for_each(|digit| *digit = -*digit);
    }

    /// The one form of this sum: digits all of its sign, none at either end zero.
    fn canonical(&self) -> Self {
        let mut sum = self.clone();
        sum.carry();
        let negative = sum.digits.last().is_some_and(|&digit| digit < 0);
        if negative {
            sum.negate();
            sum.carry();
        }
        sum.trim();
        if negative {
            sum.negate();
        }
        sum
    }

    fn trim(&mut self) {
        let used = self.digits.iter().rposition(|&digit| digit != 0).map_or(0, |last| last + 1);
        self.digits.truncate(used);
        let zeros = self.digits.iter().take_while(|&&digit| digit == 0).count();
        self.first = if used == 0 { 0 } else { self.first + length(&self.digits[..zeros]) };
        self.digits.drain(..zeros);
    }

    fn times(&self, other: &Self) -> Self {
        let (left, right) = (self.canonical(), other.canonical());
        let mut product = Self::default();
        for (i, &x) in (left.first..).zip(&left.digits) {
            for (j, &y) in (right.first..).zip(&right.digits) {
                product.add_scaled((x < 0) != (y < 0), x.unsigned_abs() * y.unsigned_abs(), (i + j) * DIGIT_BITS);
            }
        }
        product
    }
}

impl Scaled {
    /// The factor that makes a sum of a sum of products.
    const ONE: Self = Self { significand: 1, exponent: LOWEST_EXPONENT.unsigned_abs() };
}

/// A value that is not finite becomes 0, which leaves it out of every sum.
impl From<f64> for Scaled {
    fn from(value: f64) -> Self {
        let bits = value.to_bits();
        let (biased, fraction) = (bits >> 52 & 0x7ff, bits & ((1 << 52) - 1));
        let normal = u64::from(biased != 0);
        let magnitude = if biased == 0x7ff { 0 } else { (fraction | normal << 52).cast_signed() };
        let significand = if value.is_sign_negative() { -magnitude } else { magnitude };
        Self { significand, exponent: (biased - normal) as u32 }
    }
}

impl PartialEq for ExactSum {
    fn eq(&self, other: &Self) -> bool {
        let (left, right) = (self.canonical(), other.canonical());
        left.first == right.first && left.digits == right.digits
    }
}

/// Adds the digits of `bits`, the lowest first.
fn add_digits(digits: &mut [i64], negative: bool, mut bits: u128) {
    for digit in digits {
        let part = bits as i64 & DIGIT_MASK;
        *digit += if negative { -part } else { part };
        bits >>= DIGIT_BITS;
    }
}

fn length(digits: &[i64]) -> i32 {
    digits.len() as i32
}

/// Rounds a magnitude, given by its digits from the leading one down, the fourth of which is worth `2^exponent`.
///
/// The leading four digits hold at least 97 bits. What lies below them matters only by being there, so it is folded
/// into the lowest bit.
fn round(mut digits: impl Iterator<Item = u64>, exponent: i32) -> f64 {
    let leading = (0..4).fold(0_u128, |bits, _| bits << DIGIT_BITS | u128::from(digits.next().unwrap_or(0)));
    let bits = leading | u128::from(digits.any(|digit| digit != 0));
    let highest = exponent + bits.ilog2().cast_signed();
    let unit = (highest - 52).max(-1074);
    let dropped = (unit - exponent).cast_unsigned();
    if dropped > 128 {
        return 0.0;
    }
    let half = 1_u128 << (dropped - 1);
    let kept = bits.checked_shr(dropped).unwrap_or(0);
    let rest = bits - kept.checked_shl(dropped).unwrap_or(0);
    let up = rest > half || (rest == half && kept & 1 == 1);
    (kept as u64 + u64::from(up)) as f64 * power_of_two(unit)
}

/// `2^exponent` for exponents from -1074; infinite where no float holds it.
fn power_of_two(exponent: i32) -> f64 {
    match exponent {
        ..=-1023 => f64::from_bits(1 << (exponent + 1074)),
        -1022..=1023 => f64::from_bits(((exponent + 1023) as u64) << 52),
        _ => f64::INFINITY,
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
mod tests;

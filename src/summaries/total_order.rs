//! Floats as integers in the same order, so that they can be sorted, compared and kept as exact keys.

/// The place of `value` in the IEEE 754 total order, as an integer; both zeros have the place of `0.0`, and every NaN
/// that of the positive quiet one.
#[must_use]
pub fn to_key(value: f64) -> i64 {
    let canonical = if value.is_nan() { f64::NAN.abs() } else { value + 0.0 };
    flip(canonical.to_bits().cast_signed())
}

/// The float whose place is `key`; the inverse of [`to_key`].
#[must_use]
pub fn from_key(key: i64) -> f64 {
    f64::from_bits(flip(key).cast_unsigned())
}

/// Reverses the order of the negative floats, whose bit patterns grow with their magnitude. Its own inverse.
fn flip(bits: i64) -> i64 {
    if bits < 0 { bits ^ i64::MAX } else { bits }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_sort_as_the_floats_do() {
        let ordered =
            [f64::NEG_INFINITY, -1.5, -f64::MIN_POSITIVE, 0.0, 5e-324, 1.0, f64::MAX, f64::INFINITY, f64::NAN];
        assert!(ordered.windows(2).all(|pair| to_key(pair[0]) < to_key(pair[1])));
        assert!(ordered.iter().all(|&value| from_key(to_key(value)).total_cmp(&value.abs().copysign(value)).is_eq()));
    }

    #[test]
    fn zeros_and_nans_are_one_each() {
        assert_eq!(to_key(-0.0), to_key(0.0));
        assert_eq!(to_key(-f64::NAN), to_key(f64::NAN));
    }
}

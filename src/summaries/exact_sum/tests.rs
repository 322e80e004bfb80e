//! The sums against arithmetic on whole numbers, where a `u128` or `i128` is the oracle, and against permutations.

use proptest::collection::vec;
use proptest::num::f64::{NEGATIVE, NORMAL, POSITIVE, SUBNORMAL, ZERO};
use proptest::prelude::*;

use super::*;

fn sum(values: &[f64]) -> ExactSum {
    let mut sum = ExactSum::default();
    values.iter().for_each(|&value| sum.add(value));
    sum
}

fn wire(sum: &ExactSum) -> Vec<i64> {
    let mut wire = Vec::new();
    sum.write(&mut wire);
    wire
}

/// Any finite float.
fn finite() -> impl Strategy<Value = f64> {
    POSITIVE | NEGATIVE | NORMAL | SUBNORMAL | ZERO
}

/// Floats at every end of their range, and some that are none.
fn hostile() -> impl Strategy<Value = f64> + Clone {
    let ends = [f64::MAX, f64::MIN, 1e308, 5e-324, -5e-324, f64::MIN_POSITIVE, 0.0, -0.0, f64::NAN, f64::INFINITY];
    prop_oneof![finite(), SUBNORMAL, prop::sample::select(ends.to_vec()), 0.0..1.0]
}

/// Floats of about one size, and zeros.
fn alike() -> impl Strategy<Value = f64> + Clone {
    prop_oneof![-1.0..1.0, 0.0..36.0, Just(0.0), Just(-0.0)]
}

fn batch(values: impl Strategy<Value = f64> + Clone) -> impl Strategy<Value = Vec<(f64, f64)>> {
    vec((values.clone(), values), 0..300)
}

fn scaled_values(values: &[f64]) -> Vec<Scaled> {
    values.iter().copied().map(Scaled::from).collect()
}

/// Integers times a power of two, so that an `i128` holds their sum.
fn scaled() -> impl Strategy<Value = (Vec<i64>, i32)> {
    (vec(any::<i64>().prop_map(|bits| bits >> 11), 0..40), -1074..=900_i32)
}

proptest! {
    /// Rust rounds an `i128` to the nearest float, ties to even, as the sum should.
    #[test]
    fn equals_integer_arithmetic((integers, exponent) in scaled()) {
        let scale = power_of_two(exponent);
        let oracle = integers.iter().map(|&integer| i128::from(integer)).sum::<i128>();
        let values = integers.iter().map(|&integer| integer as f64 * scale).collect::<Vec<_>>();
        prop_assert_eq!(sum(&values).value(), oracle as f64 * scale);
    }

    #[test]
    fn products_equal_integer_arithmetic(pairs in vec((any::<i32>(), any::<i32>()), 0..40), exponent in -500..=400_i32) {
        let scale = power_of_two(exponent);
        let mut products = ExactSum::default();
        pairs.iter().for_each(|&(x, y)| products.add_product(f64::from(x) * scale, f64::from(y) * scale));
        let oracle = pairs.iter().map(|&(x, y)| i128::from(x) * i128::from(y)).sum::<i128>();
        prop_assert_eq!(products.value(), oracle as f64 * scale * scale);
    }

    #[test]
    fn order_and_grouping_change_nothing(mut values in vec(finite(), 0..60), cut in any::<prop::sample::Index>()) {
        let forward = sum(&values);
        values.reverse();
        let cut = if values.is_empty() { 0 } else { cut.index(values.len()) };
        let mut parts = sum(&values[..cut]);
        parts.merge(&sum(&values[cut..]));
        prop_assert_eq!(wire(&parts), wire(&forward));
        prop_assert_eq!(parts, forward);
    }

    #[test]
    fn a_batch_equals_one_after_the_other(pairs in prop_oneof![batch(hostile()), batch(alike())]) {
        let (x, y): (Vec<_>, Vec<_>) = pairs.iter().copied().unzip();
        let [scaled_x, scaled_y] = [&x, &y].map(|values| scaled_values(values));
        let (mut batch, mut products, mut expected) = (sum(&y), sum(&x), sum(&x));
        batch.add_all(&scaled_x);
        products.add_products(&scaled_x, &scaled_y);
        pairs.iter().for_each(|&(x, y)| expected.add_product(x, y));
        prop_assert_eq!(wire(&batch), wire(&sum(&[y, x].concat())));
        prop_assert_eq!(wire(&products), wire(&expected));
    }

    #[test]
    fn a_value_minus_itself_leaves_nothing(values in vec(finite(), 0..40)) {
        let mut both = sum(&values);
        values.iter().rev().for_each(|&value| both.add(-value));
        prop_assert_eq!(wire(&both), [0, 0]);
        prop_assert_eq!(both.value().to_bits(), 0);
    }

    #[test]
    fn one_value_comes_back(value in finite()) {
        prop_assert_eq!(sum(&[value]).value(), value + 0.0);
    }

    #[test]
    fn the_wire_brings_it_back(values in vec(finite(), 0..40)) {
        let sum = sum(&values);
        let state = wire(&sum);
        let mut rest = &state[..];
        prop_assert_eq!(&ExactSum::read(&mut rest).unwrap(), &sum);
        prop_assert!(rest.is_empty());
    }

    /// Of integers, where `n sum(xy) - sum(x) sum(y)` fits an `i128`.
    #[test]
    fn comoment_equals_integer_arithmetic(pairs in vec((any::<i32>(), any::<i32>()), 1..40)) {
        let mut sums: [ExactSum; 3] = Default::default();
        for &(x, y) in &pairs {
            sums[0].add_product(f64::from(x), f64::from(y));
            sums[1].add(f64::from(x));
            sums[2].add(f64::from(y));
        }
        let total = |part: fn(&(i32, i32)) -> i128| pairs.iter().map(part).sum::<i128>();
        let products = total(|&(x, y)| i128::from(x) * i128::from(y));
        let oracle = pairs.len() as i128 * products - total(|pair| pair.0.into()) * total(|pair| pair.1.into());
        prop_assert_eq!(ExactSum::comoment(pairs.len() as u64, &sums[0], &sums[1], &sums[2]), oracle as f64);
    }
}

#[test]
fn rounds_to_even_with_everything_below_seen() {
    let half = f64::EPSILON / 2.0;
    assert_eq!(sum(&[1.0, half]).value(), 1.0);
    assert_eq!(sum(&[1.0, half, 5e-324]).value(), 1.0 + f64::EPSILON);
    assert_eq!(sum(&[1.0 + f64::EPSILON, half]).value(), 1.0 + 2.0 * f64::EPSILON);
    assert_eq!(sum(&[1.0 + f64::EPSILON, half, -5e-324]).value(), 1.0 + f64::EPSILON);
}

#[test]
fn survives_overflow_on_the_way() {
    assert_eq!(sum(&[f64::MAX, f64::MAX, -f64::MAX]).value(), f64::MAX);
    assert_eq!(sum(&[f64::MAX, f64::MAX]).value(), f64::INFINITY);
    assert_eq!(sum(&[f64::NAN, f64::INFINITY, 2.0]).value(), 2.0);
}

#[test]
fn underflow_of_a_product_is_kept() {
    let mut products = ExactSum::default();
    products.add_product(5e-324, 5e-324);
    assert_eq!(products.value(), 0.0);
    assert_ne!(products, ExactSum::default());
}

/// Doubling by merging makes 2^45 additions of a value with all bits set.
#[test]
fn many_additions_do_not_overflow() {
    let value = f64::MAX.sqrt().next_down();
    let mut many = sum(&[value]);
    (0..45).for_each(|_| many.merge(&many.clone()));
    assert_eq!(many.value(), value * (1_u64 << 45) as f64);
    let mut negative = sum(&[-value]);
    (0..45).for_each(|_| negative.merge(&negative.clone()));
    many.merge(&negative);
    assert_eq!(many, ExactSum::default());
}

/// All bits of the significands are set, and the exponents shift their products as far as a bin allows.
#[test]
fn bins_have_room_for_long_batches() {
    let rows = 40_000;
    for value in [f64::MAX, f64::MIN, f64::MIN_POSITIVE.next_down(), 1_f64.next_down(), -(2_f64.next_down())] {
        let values = scaled_values(&vec![value; rows]);
        let (mut batch, mut products, mut one, mut square) = <(ExactSum, ExactSum, ExactSum, ExactSum)>::default();
        batch.add_all(&values);
        products.add_products(&values, &scaled_values(&vec![1.9999999999999998; rows]));
        (0..rows).for_each(|_| one.add(value));
        (0..rows).for_each(|_| square.add_product(value, 1.9999999999999998));
        assert_eq!((batch, products), (one, square), "{value}");
    }
}

/// One exponent after the other, each in products that fill its bin.
#[test]
fn every_exponent_has_a_bin() {
    for exponent in -1074..=1023 {
        let value = power_of_two(exponent) * if exponent > -1023 { 2_f64.next_down() } else { 1.0 };
        let (mut batch, mut expected) = (ExactSum::default(), ExactSum::default());
        batch.add_products(&scaled_values(&[value; 100]), &scaled_values(&[-value; 100]));
        (0..100).for_each(|_| expected.add_product(value, -value));
        assert_eq!(wire(&batch), wire(&expected), "{value}");
    }
}

#[test]
fn similar_values_stay_small() {
    let losses = (1..1000).map(|row| 1.0 / f64::from(row)).collect::<Vec<_>>();
    assert!(sum(&losses).digits.len() <= 4);
}

#[test]
fn impossible_states_are_refused() {
    for state in [&[][..], &[1], &[1, 0], &[1, 1000, 5], &[-1, 0], &[1, 0, 1 << 32], &[1, 0, i64::MIN], &[i64::MAX, 0]]
    {
        assert!(ExactSum::read(&mut &state[..]).is_err(), "{state:?}");
    }
}

//! Random numbers as a function of where they are used.
//!
//! A number depends on a seed, a stream and a counter and on nothing that happened before, so threads and machines that
//! share work draw the same numbers. The generator is Philox4x32-10 of Salmon, Moraes, Dror and Shaw, "Parallel random
//! numbers: as easy as 1, 2, 3" (SC 2011).

use xxhash_rust::xxh3::xxh3_64;

use crate::stats::distribution::normal_quantile;

const MULTIPLIERS: [u32; 2] = [0xD251_1F53, 0xCD9E_8D57];
const WEYL: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];
const ROUNDS: usize = 10;

/// A uniform number in the open interval `(0, 1)`, a multiple of 2^-53.
#[must_use]
pub fn uniform(seed: u64, stream: u64, counter: u64) -> f64 {
    let [counter_low, counter_high] = halves(counter);
    let [stream_low, stream_high] = halves(stream);
    let [low, high, ..] = philox([counter_low, counter_high, stream_low, stream_high], halves(seed));
    let bits = (u64::from(high) << 32 | u64::from(low)) >> 12;
    (bits as f64 + 0.5) / (1_u64 << 52) as f64
}

/// Four uniform numbers in `(0, 1)` at the cost of one, of 32 bits each.
#[must_use]
pub fn uniforms(seed: u64, stream: u64, counter: u64) -> [f64; 4] {
    let [counter_low, counter_high] = halves(counter);
    let [stream_low, stream_high] = halves(stream);
    let words = philox([counter_low, counter_high, stream_low, stream_high], halves(seed));
    words.map(|word| (f64::from(word) + 0.5) / (1_u64 << 32) as f64)
}

/// A standard normal number: the quantile of the uniform one.
#[must_use]
pub fn normal(seed: u64, stream: u64, counter: u64) -> f64 {
    normal_quantile(uniform(seed, stream, counter))
}

/// A seed from names. Parts are kept apart, so `["ab", "c"]` and `["a", "bc"]` give different seeds.
#[must_use]
pub fn seed(parts: &[&str]) -> u64 {
    let mut bytes = Vec::new();
    for part in parts {
        bytes.extend((part.len() as u64).to_le_bytes());
        bytes.extend(part.as_bytes());
    }
    key(&bytes)
}

/// The key of a value given by its bytes, the same on every machine and in every version: XXH3, 64 bits.
#[must_use]
pub fn key(bytes: &[u8]) -> u64 {
    xxh3_64(bytes)
}

fn philox(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    for _ in 0..ROUNDS {
        counter = round(counter, key);
        key = [key[0].wrapping_add(WEYL[0]), key[1].wrapping_add(WEYL[1])];
    }
    counter
}

fn round([a, b, c, d]: [u32; 4], [left, right]: [u32; 2]) -> [u32; 4] {
    let [low_a, high_a] = halves(u64::from(MULTIPLIERS[0]) * u64::from(a));
    let [low_c, high_c] = halves(u64::from(MULTIPLIERS[1]) * u64::from(c));
    [high_c ^ b ^ left, low_c, high_a ^ d ^ right, low_a]
}

/// The low and the high half.
fn halves(word: u64) -> [u32; 2] {
    [word as u32, (word >> 32) as u32]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The known answers that come with the authors' Random123 library (`kat_vectors`, philox 4x32 10).
    #[test]
    fn philox_gives_the_published_answers() {
        let ones = u32::MAX;
        assert_eq!(philox([0; 4], [0; 2]), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        assert_eq!(philox([ones; 4], [ones; 2]), [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]);
        let pi = [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344];
        assert_eq!(philox(pi, [0xa409_3822, 0x299f_31d0]), [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]);
    }

    /// Means and variances within four standard errors of 4,000 draws.
    #[test]
    fn draws_have_the_moments_of_their_distribution() {
        let draws = (0..4000).map(|counter| uniform(1, 2, counter)).collect::<Vec<_>>();
        let four = (0..1000).flat_map(|counter| uniforms(1, 2, counter)).collect::<Vec<_>>();
        let normals = (0..4000).map(|counter| normal(1, 3, counter)).collect::<Vec<_>>();
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
        let squares = |values: &[f64]| mean(&values.iter().map(|value| value * value).collect::<Vec<_>>());
        assert!(draws.iter().all(|draw| (f64::MIN_POSITIVE..1.0).contains(draw)));
        for draws in [&draws, &four] {
            assert!((mean(draws) - 0.5).abs() < 4.0 * (1.0 / 12.0_f64 / 4000.0).sqrt());
            assert!((squares(draws) - 1.0 / 3.0).abs() < 4.0 * (4.0 / 45.0_f64 / 4000.0).sqrt());
        }
        assert!(mean(&normals).abs() < 4.0 / 4000.0_f64.sqrt());
        assert!((squares(&normals) - 1.0).abs() < 4.0 * (2.0 / 4000.0_f64).sqrt());
    }

    #[test]
    fn seeds_keep_parts_apart() {
        assert_ne!(seed(&["ab", "c"]), seed(&["a", "bc"]));
        assert_ne!(seed(&[]), seed(&[""]));
        assert_eq!(key(b""), 0x2d06_8005_38d3_94c2);
    }
}

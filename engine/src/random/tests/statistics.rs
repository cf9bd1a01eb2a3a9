//! Do the draws have the distributions that they claim? Fixed streams, so that a verdict never changes by itself.
//!
//! Each statistic is brought to a standard deviation of one under the hypothesis and must stay within [`LIMIT`].

use super::{context, small};
use crate::random::Stream;

/// In standard deviations; a normal statistic exceeds it once in 150,000 samples.
const LIMIT: f64 = 4.5;

/// Draws of a large sample.
fn large() -> usize {
    if small() { 1 << 14 } else { 1 << 21 }
}

fn assert_normal(z: f64, what: &str) {
    assert!(z.abs() <= LIMIT, "{what}: {z} standard deviations");
}

/// The chi-square statistic of counts with equal expectations, as standard deviations.
fn chi_square(counts: &[u64]) -> f64 {
    let cells = counts.len() as f64;
    let expected = counts.iter().sum::<u64>() as f64 / cells;
    let sum: f64 = counts.iter().map(|&n| (n as f64 - expected) * (n as f64 - expected) / expected).sum();
    (sum - (cells - 1.0)) / (2.0 * (cells - 1.0)).sqrt()
}

fn words(purpose: &str, step: u64) -> Vec<u32> {
    let mut words = vec![0; large()];
    Stream::new(2024, purpose, step).fill_u32(&context(), 0, &mut words).unwrap();
    words
}

fn normals(purpose: &str) -> Vec<f64> {
    let mut z = vec![0.0; large()];
    Stream::new(2024, purpose, 0).fill_normal(&context(), 0, &mut z, 0.0, 1.0).unwrap();
    z.into_iter().map(f64::from).collect()
}

/// How far the number of equal bits in `a` and the beginning of `b` lies from a half.
fn agreement(a: &[u32], b: &[u32]) -> f64 {
    let bits = 32.0 * a.len() as f64;
    let equal: u64 = a.iter().zip(b).map(|(a, b)| u64::from((!(a ^ b)).count_ones())).sum();
    (equal as f64 - bits / 2.0) / (bits / 4.0).sqrt()
}

#[test]
fn every_bit_of_a_word_is_fair() {
    let words = words("bits", 0);
    let n = words.len() as f64;
    for bit in 0..32 {
        let ones = words.iter().filter(|&w| w >> bit & 1 == 1).count() as f64;
        assert_normal((ones - n / 2.0) / (n / 4.0).sqrt(), &format!("bit {bit}"));
    }
}

#[test]
fn bytes_and_leading_bits_fill_their_cells_evenly() {
    let words = words("cells", 0);
    for shift in [0, 8, 16, 24] {
        let mut counts = [0; 256];
        words.iter().for_each(|w| counts[(w >> shift) as usize & 255] += 1);
        assert_normal(chi_square(&counts), &format!("the byte at bit {shift}"));
    }
    // Pairs of neighbours, on a square of 32 by 32.
    let mut counts = [0; 1024];
    words.as_chunks::<2>().0.iter().for_each(|[a, b]| counts[(a >> 27 << 5 | b >> 27) as usize] += 1);
    assert_normal(chi_square(&counts), "pairs");
}

#[test]
fn words_do_not_depend_on_words_at_the_strides_of_the_layout() {
    let words = words("lags", 0);
    // Neighbouring lanes, vectors, groups, and tasks.
    for lag in [1, 2, 8, 15, 16, 17, 32, 128, 255, 256, 257, 4096] {
        assert_normal(agreement(&words[lag..], &words), &format!("lag {lag}"));
    }
}

#[test]
fn neighbouring_seeds_purposes_and_steps_give_unrelated_words() {
    let n = large() / 16;
    let draw = |seed: u64, purpose: &str, step: u64| {
        let mut words = vec![0; n];
        Stream::new(seed, purpose, step).fill_u32(&context(), 0, &mut words).unwrap();
        words
    };
    let base = draw(7, "a", 0);
    let others = [
        ("seed 8", draw(8, "a", 0)),
        ("seed 6", draw(6, "a", 0)),
        ("seed 7 + 2^63", draw(7 + (1 << 63), "a", 0)),
        ("another purpose", draw(7, "b", 0)),
        ("a longer purpose", draw(7, "aa", 0)),
        ("no purpose", draw(7, "", 0)),
        ("step 1", draw(7, "a", 1)),
        ("step 2^32", draw(7, "a", 1 << 32)),
        ("step 2^64 - 1", draw(7, "a", u64::MAX)),
    ];
    for (what, other) in &others {
        assert_normal(agreement(&base, other), what);
    }
}

#[test]
fn uniform_numbers_have_their_moments_and_distribution() {
    let mut x = vec![0.0f32; large()];
    Stream::new(2024, "uniform", 0).fill_uniform(&context(), 0, &mut x, 0.0, 1.0).unwrap();
    let n = x.len() as f64;
    let mut x: Vec<f64> = x.into_iter().map(f64::from).collect();
    // The mean of x^k is 1 / (k + 1), its variance 1 / (2k + 1) less the square of that.
    for k in 1..=4 {
        let mean = x.iter().map(|x| (0..k).fold(1.0, |p, _| p * x)).sum::<f64>() / n;
        let (expected, second) = (1.0 / f64::from(k + 1), 1.0 / f64::from(2 * k + 1));
        assert_normal((mean - expected) / ((second - expected * expected) / n).sqrt(), &format!("moment {k}"));
    }
    // Kolmogorov and Smirnov: sqrt(n) D exceeds 2.2 once in 8000 samples.
    x.sort_unstable_by(f64::total_cmp);
    let far = x.iter().enumerate().map(|(i, x)| (x - (i as f64 + 0.5) / n).abs()).max_by(f64::total_cmp).unwrap();
    assert!(far * n.sqrt() < 2.2, "Kolmogorov and Smirnov: {}", far * n.sqrt());
}

#[test]
fn normal_numbers_have_their_moments() {
    let z = normals("normal moments");
    let n = z.len() as f64;
    // E z^k and the variance of z^k.
    for (k, expected, variance) in [(1, 0.0, 1.0), (2, 1.0, 2.0), (3, 0.0, 15.0), (4, 3.0, 96.0)] {
        let mean = z.iter().map(|z| (0..k).fold(1.0, |p, _| p * z)).sum::<f64>() / n;
        assert_normal((mean - expected) / (variance / n).sqrt(), &format!("moment {k}"));
    }
    for lag in [1, 16, 256] {
        let products: f64 = z.iter().zip(&z[lag..]).map(|(a, b)| a * b).sum();
        assert_normal(products / (n - lag as f64).sqrt(), &format!("correlation at lag {lag}"));
    }
}

#[test]
fn normal_numbers_lie_between_quantiles_and_beyond_limits_as_often_as_they_should() {
    let z = normals("normal cells");
    // The deciles of the standard normal distribution.
    const DECILES: [f64; 9] = [
        -1.2815515655446004,
        -0.8416212335729142,
        -0.5244005127080407,
        -0.2533471031357997,
        0.0,
        0.2533471031357997,
        0.5244005127080407,
        0.8416212335729142,
        1.2815515655446004,
    ];
    let mut counts = [0; 10];
    z.iter().for_each(|z| counts[DECILES.partition_point(|d| d < z)] += 1);
    assert_normal(chi_square(&counts), "deciles");
    // P(|z| > 1, 2, 3, 4).
    for (limit, p) in [
        (1.0, 0.31731050786291415),
        (2.0, 0.04550026389635842),
        (3.0, 0.0026997960632601866),
        (4.0, 6.334248366623996e-5),
    ] {
        let beyond = z.iter().filter(|z| z.abs() > limit).count() as f64;
        let n = z.len() as f64;
        assert_normal((beyond - n * p) / (n * p * (1.0 - p)).sqrt(), &format!("beyond {limit}"));
    }
}

#[test]
fn bernoulli_draws_come_true_as_often_as_they_should() {
    for (step, p) in [0.001, 0.1, 0.5, 0.9, 0.999].into_iter().enumerate() {
        let mut x = vec![0.0f32; large()];
        Stream::new(2024, "bernoulli", step as u64).fill_bernoulli(&context(), 0, &mut x, p, 1.0).unwrap();
        let (n, count) = (x.len() as f64, x.iter().filter(|&&x| x == 1.0).count() as f64);
        assert_normal((count - n * p) / (n * p * (1.0 - p)).sqrt(), &format!("p = {p}"));
    }
}

#[test]
fn bounded_integers_are_even() {
    for n in [2, 3, 10, 1000] {
        let stream = Stream::new(2024, "below", n);
        let mut counts = vec![0; n as usize];
        (0..large() as u64 / 16).for_each(|i| counts[stream.below_at(i, n) as usize] += 1);
        assert_normal(chi_square(&counts), &format!("below {n}"));
    }
}

#[test]
fn every_order_place_and_subset_is_equally_likely() {
    let stream = Stream::new(2024, "orders", 0);
    let trials = if small() { 1000 } else { 60_000 };
    let mut orders = [0; 24];
    let mut places = [[0; 10]; 10];
    let mut pairs = [0; 15];
    let mut chosen = [0; 20];
    let labels: Vec<u8> = (0..40).map(|i| i % 2).collect();
    for step in 0..trials {
        let stream = stream.at_step(step);
        // An order as a number: how many later items are smaller.
        let order = stream.permutation(4);
        let smaller = |i: usize| order[i + 1..].iter().filter(|&&x| x < order[i]).count();
        orders[6 * smaller(0) + 2 * smaller(1) + smaller(2)] += 1;
        for (place, item) in stream.permutation(10).into_iter().enumerate() {
            places[place][item] += 1;
        }
        let pair = stream.sample(6, 2).unwrap();
        let (low, high) = (pair[0].min(pair[1]), pair[0].max(pair[1]));
        pairs[high * (high - 1) / 2 + low] += 1;
        // One of twenty odd examples.
        chosen[stream.class_balanced(&labels, &[0, 1], &[]).unwrap()[0] / 2] += 1;
    }
    assert_normal(chi_square(&orders), "orders of four");
    for (place, items) in places.iter().enumerate() {
        assert_normal(chi_square(items), &format!("items at place {place} of ten"));
    }
    assert_normal(chi_square(&pairs), "two of six");
    assert_normal(chi_square(&chosen), "one of a class");
}

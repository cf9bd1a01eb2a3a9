//! Properties of orders and subsets that hold for every draw.

use crate::error::Error;
use crate::random::Stream;

#[test]
fn a_permutation_has_every_number_once_and_begins_with_every_sample() {
    for n in [0, 1, 2, 3, 127, 128, 129, 1000] {
        let stream = Stream::new(n as u64, "permutation", 1);
        let order = stream.permutation(n);
        let mut sorted = order.clone();
        sorted.sort_unstable();
        assert!(sorted.into_iter().eq(0..n));
        for k in [0, n / 3, n] {
            assert_eq!(stream.sample(n, k).unwrap(), order[..k]);
        }
        assert!(matches!(stream.sample(n, n + 1), Err(Error::Argument { .. })));
        let mut items: Vec<usize> = (0..n).collect();
        for i in 0..n {
            items.swap(i, i + stream.below_at(i as u64, (n - i) as u64) as usize);
        }
        assert_eq!(items, order, "the definition by single draws, n = {n}");
    }
}

#[test]
fn a_balanced_subset_has_its_counts_in_rounds_and_skips_the_excluded() {
    let labels: Vec<u8> = (0..1000u32).map(|i| (i * i % 7 % 4) as u8).collect();
    let exclude: Vec<usize> = (0..1000).step_by(3).collect();
    let stream = Stream::new(1, "subset", 0);
    let chosen = stream.class_balanced(&labels, &[20, 30, 10, 0], &exclude).unwrap();
    let of_class = |c: u8| chosen.iter().filter(|&&i| labels[i] == c).count();
    assert_eq!([0, 1, 2, 3].map(of_class), [20, 30, 10, 0]);
    assert!(chosen.iter().all(|i| i % 3 != 0));
    let mut different = chosen.clone();
    different.sort_unstable();
    different.dedup();
    assert_eq!(different.len(), chosen.len());
    let classes: Vec<u8> = chosen.iter().map(|&i| labels[i]).collect();
    assert!(classes[..30].chunks(3).all(|round| round == [0, 1, 2]));
    assert!(classes[30..50].chunks(2).all(|round| round == [0, 1]));
    assert!(classes[50..].iter().all(|&c| c == 1));
    // Fewer are the beginning of more, class by class.
    assert_eq!(stream.class_balanced(&labels, &[10, 10, 10, 0], &exclude).unwrap(), chosen[..30]);
    // A class's choice does not depend on what others want.
    let alone = stream.class_balanced(&labels, &[0, 30, 0, 0], &exclude).unwrap();
    assert!(alone.iter().eq(chosen.iter().filter(|&&i| labels[i] == 1)));
    assert!(stream.class_balanced::<u8>(&[], &[], &[]).unwrap().is_empty());
}

#[test]
fn a_class_that_is_too_small_is_named() {
    let stream = Stream::new(1, "subset", 0);
    let message = |labels: &[u32], per_class: &[usize], exclude: &[usize]| {
        stream.class_balanced(labels, per_class, exclude).unwrap_err().to_string()
    };
    assert!(message(&[0, 1, 1, 0], &[1, 2], &[2]).contains("2 for class 1, which has 1"));
    assert!(message(&[0, 5], &[1, 1], &[]).contains("5 at example 1"));
    assert!(message(&[0, 1], &[1, 1], &[2]).contains("2, with 2 examples"));
}

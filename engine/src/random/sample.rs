//! Orders and subsets: shuffles, samples without replacement, class-balanced subsets.

use super::Stream;
use super::chacha::{BLOCK, GROUP, LANES, one_block};
use super::draw::multiply_high;
use crate::error::{Error, Result};

/// 64-bit words that are computed together.
const WORDS: usize = GROUP / 2;

/// The words `u64_at(first)`, `u64_at(first + 1)`, ...
struct Words<'a> {
    stream: &'a Stream,
    next: u64,
    /// The words of the run that `next - 1` belongs to.
    run: [u64; WORDS],
}

impl<'a> Words<'a> {
    fn new(stream: &'a Stream, first: u64) -> Self {
        let mut words = Self { stream, next: first, run: [0; WORDS] };
        if !first.is_multiple_of(WORDS as u64) {
            words.fill();
        }
        words
    }
    fn fill(&mut self) {
        let group = self.next / WORDS as u64;
        for lane in 0..LANES {
            let block = one_block(&self.stream.key, self.stream.step, group * LANES as u64 + lane as u64);
            for pair in 0..BLOCK / 2 {
                self.run[pair * LANES + lane] = u64::from(block[2 * pair]) | u64::from(block[2 * pair + 1]) << 32;
            }
        }
    }
    fn next(&mut self) -> u64 {
        let place = (self.next % WORDS as u64) as usize;
        if place == 0 {
            self.fill();
        }
        self.next = self.next.wrapping_add(1);
        self.run[place]
    }
}

impl Stream {
    /// Brings `items` into a random order, each equally likely.
    ///
    /// R. A. Fisher and F. Yates' method from the front: item `i` is swapped with item `i + below_at(i, n - i)`. The
    /// first `k` items are final after `k` swaps, which is what [`sample`](Self::sample) uses. (Each swap's choice is
    /// off by less than `2^-64` a result, see [`below_at`](Self::below_at); nothing else is inexact.)
    pub fn shuffle<T>(&self, items: &mut [T]) {
        self.shuffle_front(items, items.len(), 0);
    }

    /// The first `count` swaps of a shuffle whose draws begin at index `first`.
    fn shuffle_front<T>(&self, items: &mut [T], count: usize, first: u64) {
        let n = items.len();
        let mut words = Words::new(self, first);
        for i in 0..count.min(n) {
            items.swap(i, i + multiply_high(words.next(), (n - i) as u64) as usize);
        }
    }

    /// The numbers 0, ..., `n - 1` in a random order.
    #[must_use]
    pub fn permutation(&self, n: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..n).collect();
        self.shuffle(&mut order);
        order
    }

    /// `k` different numbers out of 0, ..., `n - 1`, in random order: the first `k` of
    /// [`permutation`](Self::permutation). So a smaller sample is the beginning of a larger one.
    ///
    /// # Errors
    /// [`Error::Argument`] if `k > n`.
    pub fn sample(&self, n: usize, k: usize) -> Result<Vec<usize>> {
        if k > n {
            let (op, what, requirement) = ("sample", "k", "at most n");
            return Err(Error::Argument { op, what, requirement, actual: format!("{k} of {n}") });
        }
        let mut order: Vec<usize> = (0..n).collect();
        self.shuffle_front(&mut order, k, 0);
        order.truncate(k);
        Ok(order)
    }

    /// A random subset with `per_class[c]` examples of class `c`, as indices into `labels`; none is in `exclude`.
    ///
    /// The candidates of class `c` are its examples in ascending order, less the excluded; they are shuffled with the
    /// draws `c 2^32`, `c 2^32 + 1`, ..., so that a class's choice depends on nothing in the other classes.
    ///
    /// The result is in rounds: the first choice of every class, by class, then the second choice of every class that
    /// still wants one, and so on. So a subset with fewer in each class is the beginning of one with more, and
    /// beginnings are balanced.
    ///
    /// # Errors
    /// [`Error::Argument`] if a class has fewer candidates than wanted (naming the class), if a label is not below
    /// `per_class.len()`, or if an excluded index is not below `labels.len()`.
    pub fn class_balanced<L: Copy + Into<u64>>(
        &self,
        labels: &[L],
        per_class: &[usize],
        exclude: &[usize],
    ) -> Result<Vec<usize>> {
        let refuse =
            |what, requirement, actual| Err(Error::Argument { op: "class_balanced", what, requirement, actual });
        let mut allowed = vec![true; labels.len()];
        for &i in exclude {
            let Some(allowed) = allowed.get_mut(i) else {
                return refuse("exclude", "indices of examples", format!("{i}, with {} examples", labels.len()));
            };
            *allowed = false;
        }
        let mut classes: Vec<Vec<usize>> = vec![Vec::new(); per_class.len()];
        for (i, (&label, allowed)) in labels.iter().zip(allowed).enumerate() {
            let label: u64 = label.into();
            match usize::try_from(label).ok().and_then(|c| classes.get_mut(c)) {
                Some(class) if allowed => class.push(i),
                Some(_) => (),
                None => {
                    let actual = format!("{label} at example {i}, with {} classes", per_class.len());
                    return refuse("a label", "below the number of classes", actual);
                }
            }
        }
        for (c, (class, &wanted)) in classes.iter_mut().zip(per_class).enumerate() {
            if class.len() < wanted {
                let actual = format!("{wanted} for class {c}, which has {}", class.len());
                return refuse("per_class", "at most the number of examples that the class has to offer", actual);
            }
            self.shuffle_front(class, wanted, (c as u64) << 32);
        }
        let rounds = per_class.iter().copied().max().unwrap_or(0);
        let chosen = |round: usize| {
            classes
                .iter()
                .zip(per_class)
                .filter(move |&(_, &wanted)| round < wanted)
                .map(move |(class, _)| class[round])
        };
        Ok((0..rounds).flat_map(chosen).collect())
    }
}

//! Slices cut into the parts that tasks own.

use crate::error::Result;
use crate::parallel::{Context, Shards};

/// A mutable slice and the length of its parts: part `i` is `slice[i * part ..][.. part]`, the last ones may be shorter
/// or empty.
#[derive(Debug)]
pub(super) struct Parts<'a, T> {
    slice: &'a mut [T],
    part: usize,
}

impl<'a, T> Parts<'a, T> {
    pub(super) fn new(slice: &'a mut [T], part: usize) -> Self {
        Self { slice, part }
    }
    /// Parts without elements, where a second output is not wanted.
    pub(super) fn none() -> Self {
        Self { slice: &mut [], part: 0 }
    }
}

/// The left-balanced tree of `combine` over `leaf(i, part i of a, part i of b)`; None for no leaves.
///
/// # Errors
/// As [`Context::tree`].
pub(super) fn tree_over<A: Send, B: Send, R: Send>(
    context: &Context,
    count: usize,
    a: Parts<'_, A>,
    b: Parts<'_, B>,
    leaf: impl Fn(usize, &mut [A], &mut [B]) -> R + Sync,
    combine: impl Fn(R, R) -> R + Sync,
) -> Result<Option<R>> {
    let (a_len, a_part, b_len, b_part) = (a.slice.len(), a.part, b.slice.len(), b.part);
    let (a, b) = (Shards::new(a.slice), Shards::new(b.slice));
    let range = |i: usize, len: usize, part: usize| {
        let from = i.saturating_mul(part).min(len);
        from..from.saturating_add(part).min(len)
    };
    context.tree(
        count,
        |i| {
            // SAFETY: the tree calls each leaf once, and the ranges of two leaves do not overlap.
            let (a, b) = unsafe { (a.slice(range(i, a_len, a_part)), b.slice(range(i, b_len, b_part))) };
            leaf(i, a, b)
        },
        combine,
    )
}

/// `task(i, part i of a)` for every part.
///
/// # Errors
/// As [`Context::tasks`].
pub(super) fn for_each_part<T: Send>(
    context: &Context,
    slice: &mut [T],
    part: usize,
    task: impl Fn(usize, &mut [T]) + Sync,
) -> Result<()> {
    let count = slice.len().div_ceil(part.max(1));
    tree_over(context, count, Parts::new(slice, part), Parts::<T>::none(), |i, part, _| task(i, part), |(), ()| ())
        .map(|_| ())
}

/// `task(i, part i of each slice)` for every part of slices of one length.
///
/// # Errors
/// As [`Context::tasks`].
///
/// # Panics
/// If the slices have not one length.
pub(crate) fn for_each_parts<T: Send, const N: usize>(
    context: &Context,
    slices: [&mut [T]; N],
    part: usize,
    task: impl Fn(usize, [&mut [T]; N]) + Sync,
) -> Result<()> {
    let len = slices.first().map_or(0, |slice| slice.len());
    assert!(slices.iter().all(|slice| slice.len() == len), "slices of one length");
    let slices = slices.map(Shards::new);
    context.tasks(len.div_ceil(part.max(1)), |i| {
        let range = i * part..((i + 1) * part).min(len);
        // SAFETY: each task runs once, and the ranges of two tasks do not overlap.
        task(i, slices.each_ref().map(|slice| unsafe { slice.slice(range.clone()) }));
    })
}

//! Writing past the caches: for results that will not be read soon.
//!
//! A store that bypasses the caches does not read the line that it overwrites, and drives nothing else out; a tensor
//! larger than the caches is written in two thirds of the time. The bits are the same.

use super::{Real, Tier, Vector};

/// Writes a slice from front to back. Only [`stream_into`] makes one.
#[derive(Debug)]
pub struct StreamWriter<'a, S, T> {
    tier: S,
    rest: &'a mut [T],
}

impl<'a, S: Tier, T: Real> StreamWriter<'a, S, T> {
    /// The next `len` elements.
    #[inline(always)]
    fn take(&mut self, len: usize) -> &'a mut [T] {
        let (dst, rest) = std::mem::take(&mut self.rest).split_at_mut(len);
        self.rest = rest;
        dst
    }

    /// Writes the next elements.
    ///
    /// # Panics
    /// If fewer are left.
    #[inline(always)]
    pub fn push(&mut self, src: &[T]) {
        let dst = self.take(src.len());
        let line = T::V::<S>::LANES;
        // Whole lines past the caches, what lies before and behind them through.
        let head = dst.as_ptr().align_offset(line * size_of::<T>()).min(dst.len());
        let (src_head, src) = src.split_at(head);
        let (dst_head, dst) = dst.split_at_mut(head);
        dst_head.copy_from_slice(src_head);
        let mut dst = dst.chunks_exact_mut(line);
        let src = src.chunks_exact(line);
        let src_tail = src.remainder();
        for (src, dst) in src.zip(&mut dst) {
            // SAFETY: a line of the slice, which starts on a boundary; `stream_into` holds the borrow of the slice until
            // it has called the fence.
            unsafe { T::V::<S>::load(self.tier, src).stream_ptr(dst.as_mut_ptr()) };
        }
        dst.into_remainder().copy_from_slice(src_tail);
    }

    /// Writes the next vector, past the caches if its place is a cache line.
    ///
    /// # Panics
    /// If less than a vector is left.
    #[inline(always)]
    pub fn push_vector(&mut self, vector: T::V<S>) {
        let dst = self.take(T::V::<S>::LANES).as_mut_ptr();
        if dst.addr().is_multiple_of(T::V::<S>::LANES * size_of::<T>()) {
            // SAFETY: as in `push`.
            unsafe { vector.stream_ptr(dst) }
        } else {
            // SAFETY: the slice has a vector's elements.
            unsafe { vector.store_ptr(dst) }
        }
    }
}

/// Lets `fill` write `dst` past the caches; what it leaves out stays. Complete, for all threads, when this returns.
#[inline(always)]
pub fn stream_into<S: Tier, T: Real>(tier: S, dst: &mut [T], fill: impl FnOnce(&mut StreamWriter<'_, S, T>)) {
    /// The fence, also if `fill` panics.
    struct Fence<S: Tier>(S);
    impl<S: Tier> Drop for Fence<S> {
        #[inline(always)]
        fn drop(&mut self) {
            self.0.stream_fence();
        }
    }
    let _fence = Fence(tier);
    fill(&mut StreamWriter { tier, rest: dst });
}

//! Writing past the caches: for results that will not be read soon.
//!
//! A store that bypasses the caches does not read the line that it overwrites, and drives nothing else out; a tensor
//! larger than the caches is written in two thirds of the time. The bits are the same.

use super::Tier;

/// Elements of a cache line.
const LINE: usize = 16;

/// Writes a slice from front to back. Only [`stream_into`] makes one.
#[derive(Debug)]
pub struct StreamWriter<'a, S> {
    tier: S,
    rest: &'a mut [f32],
}

impl<S: Tier> StreamWriter<'_, S> {
    /// Writes the next elements.
    ///
    /// # Panics
    /// If fewer are left.
    #[inline(always)]
    pub fn push(&mut self, src: &[f32]) {
        let (dst, rest) = std::mem::take(&mut self.rest).split_at_mut(src.len());
        self.rest = rest;
        // Whole lines past the caches, what lies before and behind them through.
        let head = dst.as_ptr().align_offset(4 * LINE).min(dst.len());
        let (src_head, src) = src.split_at(head);
        let (dst_head, dst) = dst.split_at_mut(head);
        dst_head.copy_from_slice(src_head);
        let (src, src_tail) = src.as_chunks::<LINE>();
        let (dst, dst_tail) = dst.as_chunks_mut::<LINE>();
        for (src, dst) in src.iter().zip(dst) {
            // SAFETY: a line of the slice, which starts on a boundary; `stream_into` holds the borrow of the slice until
            // it has called the fence.
            unsafe { self.tier.stream_line(src, dst.as_mut_ptr()) };
        }
        dst_tail.copy_from_slice(src_tail);
    }
}

/// Lets `fill` write `dst` past the caches; what it leaves out stays. Complete, for all threads, when this returns.
#[inline(always)]
pub fn stream_into<S: Tier>(tier: S, dst: &mut [f32], fill: impl FnOnce(&mut StreamWriter<'_, S>)) {
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

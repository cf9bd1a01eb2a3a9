//! Where work meets threads: the only user of the thread pool.
//!
//! A computation is cut into numbered tasks by its shape alone, never by the number of threads. Tasks write disjoint
//! outputs, or return values that are combined by a fixed tree:
//!
//! ```text
//! tree(1) = leaf                 tree(n) = combine(tree of the first l leaves, tree of the others),
//!                                          l = the largest power of two below n
//! ```
//!
//! This *left-balanced* tree has two virtues: a run of leaves whose length is a power of two and which starts at a
//! multiple of it is always one subtree, so that batches can be cut there; and it can be built from left to right with
//! one stored value a level ([`TreeFold`]).

use std::marker::PhantomData;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::{Error, Result};
use crate::memory::{Scratch, ScratchPool};
use crate::simd::{Isa, Kernel, Real, check_float_environment, dispatch};

/// What a computation runs on: an instruction-set tier, a pool of threads, and scratch memory.
///
/// Results never depend on any of the three. A context is made once and shared; every kernel takes it by reference.
/// Calls from several threads, from inside a task, and from a pool of another context work. More threads than cores
/// work too.
///
/// ```
/// use regularity_engine::{Context, Isa};
/// let context = Context::new(Isa::detect(), 2)?;
/// assert_eq!(context.threads(), 2);
/// # Ok::<(), regularity_engine::Error>(())
/// ```
#[derive(Debug)]
pub struct Context {
    isa: Isa,
    threads: usize,
    /// None for one thread: work then stays on the caller's.
    pool: Option<rayon::ThreadPool>,
    scratch: ScratchPool,
}

impl Context {
    /// A context with its own pool of `threads` threads.
    ///
    /// # Errors
    /// [`Error::IsaUnavailable`] if the CPU lacks the tier, [`Error::Threads`] for zero threads or if the system
    /// refuses to start them, [`Error::FloatEnvironment`] if the calling thread, from which the pool inherits, does
    /// not compute as IEEE-754 says.
    pub fn new(isa: Isa, threads: usize) -> Result<Self> {
        isa.require()?;
        check_float_environment()?;
        let pool = match threads {
            0 => return Err(Error::Threads { threads, reason: "at least one is needed".to_owned() }),
            1 => None,
            _ => Some(
                rayon::ThreadPoolBuilder::new()
                    .num_threads(threads)
                    .thread_name(|i| format!("regularity-{i}"))
                    .build()
                    .map_err(|e| Error::Threads { threads, reason: e.to_string() })?,
            ),
        };
        Ok(Self { isa, threads, pool, scratch: ScratchPool::default() })
    }

    /// The widest tier of this CPU and as many threads as it runs at once.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn auto() -> Result<Self> {
        Self::new(Isa::detect(), std::thread::available_parallelism().map_or(1, usize::from))
    }

    /// The tier.
    #[must_use]
    pub fn isa(&self) -> Isa {
        self.isa
    }

    /// The number of threads.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.threads
    }

    /// Runs `f` on a thread of the pool.
    ///
    /// A kernel that is called from outside of the pool enters it each time, which costs some microseconds and, now
    /// and then, an allocation in the pool's queue. A program that calls many should do it in here.
    pub fn install<R: Send>(&self, f: impl FnOnce() -> R + Send) -> R {
        match &self.pool {
            Some(pool) if pool.current_thread_index().is_none() => pool.install(f),
            _ => f(),
        }
    }

    /// Runs `task(0)`, ..., `task(count - 1)`, each once, in any order, on any thread.
    ///
    /// # Errors
    /// [`Error::FloatEnvironment`] if a thread that took part does not compute as IEEE-754 says. The tasks of that
    /// thread were not run.
    pub fn tasks(&self, count: usize, task: impl Fn(usize) + Sync) -> Result<()> {
        self.run_tasks(count, &task)
    }

    // The closures of this and the two like it below are trait objects: a call a task costs nothing, and the machinery
    // of the pool is compiled once instead of for every kernel and tier.
    fn run_tasks(&self, count: usize, task: &(dyn Fn(usize) + Sync)) -> Result<()> {
        check_float_environment()?;
        let deviates = AtomicBool::new(false);
        let run = |i: usize| {
            if check_float_environment().is_ok() {
                task(i);
            } else {
                deviates.store(true, Ordering::Relaxed);
            }
        };
        if count == 1 || self.threads == 1 {
            (0..count).for_each(run);
        } else if count > 1 {
            self.install(|| split(0, count, &run));
        }
        if deviates.into_inner() {
            return Err(Error::FloatEnvironment { what: "on a thread of the pool" });
        }
        Ok(())
    }

    /// Runs `task(start, part)` for each run of `size` elements of `data` (the last may be shorter), in any order, on
    /// any thread; `start` is the place of the part in `data`. Returns the first error in the order of the parts.
    ///
    /// # Errors
    /// What a task returns; [`Error::FloatEnvironment`] as [`tasks`](Self::tasks).
    pub(crate) fn chunks<T: Send>(
        &self,
        data: &mut [T],
        size: usize,
        task: impl Fn(usize, &mut [T]) -> Result<()> + Sync,
    ) -> Result<()> {
        self.run_chunks(data, size, &task)
    }

    fn run_chunks<T: Send>(
        &self,
        data: &mut [T],
        size: usize,
        task: &(dyn Fn(usize, &mut [T]) -> Result<()> + Sync),
    ) -> Result<()> {
        check_float_environment()?;
        if data.len() <= size || self.threads == 1 {
            data.chunks_mut(size).enumerate().try_for_each(|(i, part)| task(i * size, part))
        } else {
            self.install(|| split_chunks(0, data, size, task))
        }
    }

    /// The left-balanced tree of `combine` over `leaf(0)`, ..., `leaf(count - 1)`; None for no leaves.
    ///
    /// # Errors
    /// As [`tasks`](Self::tasks).
    pub fn tree<T: Send>(
        &self,
        count: usize,
        leaf: impl Fn(usize) -> T + Sync,
        combine: impl Fn(T, T) -> T + Sync,
    ) -> Result<Option<T>> {
        self.run_tree(count, &leaf, &combine)
    }

    fn run_tree<T: Send>(
        &self,
        count: usize,
        leaf: &(dyn Fn(usize) -> T + Sync),
        combine: &(dyn Fn(T, T) -> T + Sync),
    ) -> Result<Option<T>> {
        check_float_environment()?;
        if count == 0 {
            return Ok(None);
        }
        Ok(Some(if count == 1 || self.threads == 1 {
            tree(0, count, leaf, combine, false)
        } else {
            self.install(|| tree(0, count, leaf, combine, true))
        }))
    }

    /// Runs `kernel` compiled for the tier of this context.
    #[inline]
    pub(crate) fn dispatch<K: Kernel>(&self, kernel: K) -> Result<K::Output> {
        dispatch(self.isa, kernel)
    }

    /// Scratch elements of unspecified value.
    #[allow(dead_code, reason = "for kernels that need room of their own")]
    pub(crate) fn scratch<T: Real>(&self, len: usize) -> Result<Scratch<'_, T>> {
        self.scratch.take(len)
    }
}

/// A slice of which tasks take disjoint parts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shards<'a, T> {
    start: *mut T,
    len: usize,
    borrow: PhantomData<&'a mut [T]>,
}

// SAFETY: it hands out parts of a slice of `T`, which may be sent and shared; that the parts are disjoint is the
// promise of whoever calls `slice`.
unsafe impl<T: Send> Send for Shards<'_, T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for Shards<'_, T> {}

impl<'a, T> Shards<'a, T> {
    /// All of `slice`, to be divided.
    pub(crate) fn new(slice: &'a mut [T]) -> Self {
        Self { start: slice.as_mut_ptr(), len: slice.len(), borrow: PhantomData }
    }
    /// One part.
    ///
    /// # Safety
    /// No two parts that live at the same time overlap.
    ///
    /// # Panics
    /// If the range is not within the slice.
    #[allow(clippy::mut_from_ref)] // disjointness is the caller's promise
    pub(crate) unsafe fn slice(&self, range: Range<usize>) -> &'a mut [T] {
        assert!(range.start <= range.end && range.end <= self.len);
        // SAFETY: within the slice, which is borrowed for 'a; disjoint from other parts by the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(range.start), range.len()) }
    }
    /// The address of the first element.
    pub(crate) fn as_mut_ptr(&self) -> *mut T {
        self.start
    }
}

/// Equal parts of a slice, each of which is handed out once, to whoever asks first.
///
/// So that objects which many threads share can write numbered results, and need not trust their callers to number
/// them apart.
#[derive(Debug)]
pub(crate) struct Slots<'a, T> {
    shards: Shards<'a, T>,
    part: usize,
    taken: &'a [AtomicBool],
}

impl<'a, T> Slots<'a, T> {
    /// Part `i` is `slice[i * part ..][.. part]`; there are as many as fit and as there are flags, none of them taken.
    pub(crate) fn new(slice: &'a mut [T], part: usize, taken: &'a mut [AtomicBool]) -> Self {
        let count = taken.len().min(slice.len().checked_div(part).unwrap_or(0));
        let taken = &mut taken[..count];
        taken.iter_mut().for_each(|flag| *flag.get_mut() = false);
        Self { shards: Shards::new(slice), part, taken }
    }
    /// Part `i`, unless it does not exist or has been taken.
    pub(crate) fn take(&self, i: usize) -> Option<&'a mut [T]> {
        // Relaxed: the flag guards no data but the part itself, which nobody else has written since `new`.
        if self.taken.get(i)?.swap(true, Ordering::Relaxed) {
            return None;
        }
        // SAFETY: the flag was false, and is true from now on, so that this part is handed out once; parts are disjoint.
        Some(unsafe { self.shards.slice(i * self.part..(i + 1) * self.part) })
    }
}

/// Flags for [`Slots`].
pub(crate) fn flags(count: usize) -> Vec<AtomicBool> {
    (0..count).map(|_| AtomicBool::new(false)).collect()
}

/// Halves the range until one task is left. The halves go to whichever thread is free.
fn split(from: usize, to: usize, run: &(dyn Fn(usize) + Sync)) {
    if to - from == 1 {
        return run(from);
    }
    let middle = from + (to - from) / 2;
    rayon::join(|| split(from, middle, run), || split(middle, to, run));
}

/// Halves the parts until one is left.
fn split_chunks<T: Send>(
    start: usize,
    data: &mut [T],
    size: usize,
    task: &(dyn Fn(usize, &mut [T]) -> Result<()> + Sync),
) -> Result<()> {
    if data.len() <= size {
        check_float_environment()?;
        return task(start, data);
    }
    let middle = data.len().div_ceil(size) / 2 * size;
    let (left, right) = data.split_at_mut(middle);
    let (left, right) =
        rayon::join(|| split_chunks(start, left, size, task), || split_chunks(start + middle, right, size, task));
    left.and(right)
}

fn tree<T: Send>(
    from: usize,
    to: usize,
    leaf: &(dyn Fn(usize) -> T + Sync),
    combine: &(dyn Fn(T, T) -> T + Sync),
    parallel: bool,
) -> T {
    let count = to - from;
    if count == 1 {
        return leaf(from);
    }
    let middle = from + left_size(count);
    let (left, right) = if parallel {
        rayon::join(|| tree(from, middle, leaf, combine, true), || tree(middle, to, leaf, combine, true))
    } else {
        (tree(from, middle, leaf, combine, false), tree(middle, to, leaf, combine, false))
    };
    combine(left, right)
}

/// Leaves in the left branch of a left-balanced tree of `count > 1` leaves: the largest power of two below `count`.
#[must_use]
pub const fn left_size(count: usize) -> usize {
    1 << (usize::BITS - 1 - (count - 1).leading_zeros())
}

/// Builds the left-balanced tree from leaves that arrive one after another.
///
/// Keeps one value a level: 64 suffice for any count.
///
/// ```
/// use regularity_engine::parallel::TreeFold;
/// let mut fold = TreeFold::new(|a: String, b: String| format!("({a}{b})"));
/// for leaf in ["a", "b", "c", "d", "e", "f", "g"] {
///     fold.push(leaf.to_owned());
/// }
/// assert_eq!(fold.finish().unwrap(), "(((ab)(cd))((ef)g))");
/// ```
#[derive(Debug)]
pub struct TreeFold<T, F> {
    /// Complete subtrees of falling size; a set bit of `count` each.
    levels: [Option<T>; usize::BITS as usize],
    depth: usize,
    count: usize,
    combine: F,
}

impl<T, F: FnMut(T, T) -> T> TreeFold<T, F> {
    /// An empty tree whose inner nodes are `combine(left, right)`.
    pub fn new(combine: F) -> Self {
        Self { levels: [const { None }; usize::BITS as usize], depth: 0, count: 0, combine }
    }

    /// Adds the next leaf.
    pub fn push(&mut self, leaf: T) {
        let mut value = leaf;
        // As in binary addition of one: each trailing set bit is a subtree of the same size to the left.
        for _ in 0..self.count.trailing_ones() {
            self.depth -= 1;
            if let Some(left) = self.levels[self.depth].take() {
                value = (self.combine)(left, value);
            }
        }
        self.levels[self.depth] = Some(value);
        self.depth += 1;
        self.count += 1;
    }

    /// The value at the root; None without leaves.
    pub fn finish(mut self) -> Option<T> {
        let mut value = None;
        for level in self.levels[..self.depth].iter_mut().rev() {
            value = match (level.take(), value) {
                (Some(left), Some(right)) => Some((self.combine)(left, right)),
                (left, right) => left.or(right),
            };
        }
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;

    fn brackets(count: usize) -> String {
        fn go(from: usize, to: usize) -> String {
            if to - from == 1 {
                return from.to_string();
            }
            let mut left = 1;
            while left * 2 < to - from {
                left *= 2;
            }
            format!("({},{})", go(from, from + left), go(from + left, to))
        }
        if count == 0 { String::new() } else { go(0, count) }
    }

    #[test]
    fn the_tree_is_the_documented_one_at_every_thread_count() {
        for threads in [1, 2, 3, 5, 8] {
            let context = Context::new(Isa::Portable, threads).unwrap();
            for count in 0..70 {
                let got = context.tree(count, |i| i.to_string(), |a, b| format!("({a},{b})")).unwrap();
                assert_eq!(got.unwrap_or_default(), brackets(count), "{threads} threads, {count} leaves");
            }
        }
    }

    #[test]
    fn the_streaming_tree_is_the_same_tree() {
        for count in 0..200 {
            let mut fold = TreeFold::new(|a, b| format!("({a},{b})"));
            (0..count).for_each(|i: usize| fold.push(i.to_string()));
            assert_eq!(fold.finish().unwrap_or_default(), brackets(count));
        }
    }

    #[test]
    fn every_task_runs_once_nested_and_oversubscribed() {
        for threads in [1, 2, 3, 5, 8, 32] {
            let context = Context::new(Isa::Portable, threads).unwrap();
            let other = Context::new(Isa::Portable, 3).unwrap();
            let counts: Vec<AtomicUsize> = (0..60).map(|_| AtomicUsize::new(0)).collect();
            let inner = |i: usize| {
                // Nested in the same pool, and in the pool of another context.
                let count = |k: usize| {
                    counts[k].fetch_add(1, Ordering::Relaxed);
                };
                context.tasks(3, |j| count(i * 6 + j)).unwrap();
                other.tasks(3, |j| count(i * 6 + 3 + j)).unwrap();
            };
            context.tasks(10, inner).unwrap();
            assert!(counts.iter().all(|c| c.load(Ordering::Relaxed) == 1));
        }
    }

    #[test]
    fn chunks_cover_the_slice_once_and_the_first_error_is_returned() {
        for threads in [1, 2, 3, 5, 8] {
            let context = Context::new(Isa::Portable, threads).unwrap();
            for len in 0..30 {
                let mut data = vec![0; len];
                let add = |start: usize, part: &mut [usize]| {
                    assert!(start.is_multiple_of(4) && (part.len() == 4 || start + part.len() == len));
                    part.iter_mut().enumerate().for_each(|(i, x)| *x += start + i + 1);
                    Ok(())
                };
                context.chunks(&mut data, 4, add).unwrap();
                assert!(data.iter().enumerate().all(|(i, &x)| x == i + 1), "{threads} threads, {len} elements");
            }
            let fail = |start: usize, _: &mut [u8]| Err(Error::UnknownIsa(start.to_string()));
            assert_eq!(context.chunks(&mut [0; 30], 4, fail), Err(Error::UnknownIsa("0".to_owned())));
        }
    }

    #[test]
    fn a_slot_is_handed_out_once_whoever_asks() {
        let context = Context::new(Isa::Portable, 8).unwrap();
        let (mut data, mut taken) = (vec![0; 3 * 100 + 2], flags(101));
        for round in 0..3 {
            let slots = Slots::new(&mut data, 3, &mut taken);
            context
                .tasks(400, |i| {
                    if let Some(part) = slots.take(i / 4) {
                        part.iter_mut().for_each(|x| *x += 1);
                    }
                })
                .unwrap();
            assert!(slots.take(100).is_none() && slots.take(usize::MAX).is_none());
            assert!(data[..300].iter().all(|&x| x == round + 1) && data[300..] == [0, 0]);
        }
    }

    #[test]
    fn zero_threads_are_refused() {
        assert!(matches!(Context::new(Isa::Portable, 0), Err(Error::Threads { threads: 0, .. })));
    }
}

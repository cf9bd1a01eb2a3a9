//! Aligned memory, and scratch space that is allocated once.
//!
//! Buffers start on a cache line, large ones on a huge page where the system has them: a first touch then costs one
//! fault for 2 MiB instead of 512. Contents are always initialised, so a buffer is an ordinary slice.

use std::alloc::{Layout, alloc, dealloc};
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::sync::{Mutex, PoisonError};

use crate::error::{Error, Result};
use crate::simd::Real;

/// Alignment of every buffer in bytes: a cache line, and the widest vector register.
pub const ALIGNMENT: usize = 64;
/// From this size in bytes on, a buffer is aligned to it and huge pages are asked for.
const HUGE_PAGE: usize = 2 << 20;

/// Owned, aligned, initialised bytes.
#[derive(Debug)]
struct Block {
    start: NonNull<u8>,
    layout: Layout,
}

// SAFETY: a block owns its bytes and has no interior mutability; it behaves like a `Box<[u8]>`.
unsafe impl Send for Block {}
// SAFETY: as above.
unsafe impl Sync for Block {}

impl Block {
    fn zeroed(bytes: usize, what: &'static str) -> Result<Self> {
        let out_of_memory = Error::OutOfMemory { bytes, what };
        let align = if bytes >= HUGE_PAGE { HUGE_PAGE } else { ALIGNMENT };
        // At least one line, so that the pointer is a real allocation.
        let layout = bytes
            .max(ALIGNMENT)
            .checked_next_multiple_of(ALIGNMENT)
            .and_then(|size| Layout::from_size_align(size, align).ok())
            .ok_or(out_of_memory.clone())?;
        // SAFETY: the layout's size is not zero.
        let start = NonNull::new(unsafe { alloc(layout) }).ok_or(out_of_memory)?;
        advise_huge_pages(start, layout);
        // SAFETY: the allocation has `layout.size()` bytes.
        unsafe { start.as_ptr().write_bytes(0, layout.size()) };
        Ok(Self { start, layout })
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        // SAFETY: allocated in `zeroed` with this layout, and freed only here.
        unsafe { dealloc(self.start.as_ptr(), self.layout) }
    }
}

#[cfg(all(target_os = "linux", not(miri)))]
fn advise_huge_pages(start: NonNull<u8>, layout: Layout) {
    if layout.size() >= HUGE_PAGE {
        // SAFETY: the range is this allocation; the advice changes no contents, and a refusal changes nothing.
        unsafe { libc::madvise(start.as_ptr().cast(), layout.size(), libc::MADV_HUGEPAGE) };
    }
}
#[cfg(not(all(target_os = "linux", not(miri))))]
fn advise_huge_pages(_: NonNull<u8>, _: Layout) {}

/// An aligned buffer of elements, initially `+0`; dereferences to a slice.
///
/// ```
/// use regularity_engine::memory::Buffer;
/// let mut buffer = Buffer::<f32>::zeroed(3)?;
/// buffer[1] = 2.0;
/// assert_eq!(&buffer[..], [0.0, 2.0, 0.0]);
/// # Ok::<(), regularity_engine::Error>(())
/// ```
#[derive(Debug)]
pub struct Buffer<T: Real> {
    block: Block,
    len: usize,
    elements: PhantomData<T>,
}

impl<T: Real> Buffer<T> {
    /// A buffer of `len` zeros.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`] if the memory cannot be had, [`Error::Overflow`] if the size in bytes does not fit.
    pub fn zeroed(len: usize) -> Result<Self> {
        let bytes = size_in_bytes::<T>(len)?;
        Ok(Self { block: Block::zeroed(bytes, "a buffer")?, len, elements: PhantomData })
    }
    /// A copy of `values`.
    ///
    /// # Errors
    /// As [`zeroed`](Self::zeroed).
    pub fn from_slice(values: &[T]) -> Result<Self> {
        let mut buffer = Self::zeroed(values.len())?;
        buffer.copy_from_slice(values);
        Ok(buffer)
    }
}

fn size_in_bytes<T>(len: usize) -> Result<usize> {
    len.checked_mul(size_of::<T>()).ok_or(Error::Overflow { op: "allocate", what: "a buffer" })
}

impl<T: Real> Deref for Buffer<T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        // SAFETY: the block has room for `len` elements, aligned and initialised; every bit pattern is a valid float.
        unsafe { std::slice::from_raw_parts(self.block.start.as_ptr().cast(), self.len) }
    }
}
impl<T: Real> DerefMut for Buffer<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as in `deref`, and the borrow is unique.
        unsafe { std::slice::from_raw_parts_mut(self.block.start.as_ptr().cast(), self.len) }
    }
}

/// A place in an [`Arena`], given by a [`Planner`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Region {
    offset: usize,
    len: usize,
}

impl Region {
    /// No element; apart from every other region.
    pub const EMPTY: Self = Self { offset: 0, len: 0 };

    /// Elements that it has room for.
    #[must_use]
    pub const fn capacity(&self) -> usize {
        self.len
    }
    /// Its first `len` elements: a smaller batch in the place of a full one.
    ///
    /// # Errors
    /// [`Error::Shape`] if it has not so many.
    pub fn first(self, len: usize) -> Result<Self> {
        if len <= self.len {
            return Ok(Self { len, ..self });
        }
        Err(Error::Shape { op: "arena", what: "elements of a region", expected: self.len, actual: len })
    }
}

/// Decides where the tensors of a computation lie, before it runs: whoever builds the computation goes through it once
/// in the order of its steps, takes a region for each tensor and gives it back where the tensor is used last. Regions
/// that live at different times share memory.
#[derive(Debug, Default)]
pub struct Planner {
    /// Unused ranges below `end`, ascending, with something in use between each two.
    holes: Vec<(usize, usize)>,
    end: usize,
    /// The largest `end` so far.
    most: usize,
}

impl Planner {
    /// Nothing in use.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A region of `len` elements, at the front of the smallest hole that is large enough.
    ///
    /// # Errors
    /// [`Error::Overflow`] if all together has no place in the address space.
    pub fn take(&mut self, len: usize) -> Result<Region> {
        const LINE: usize = ALIGNMENT / size_of::<f32>();
        let overflow = Error::Overflow { op: "plan memory", what: "the tensors" };
        let room = len.checked_next_multiple_of(LINE).ok_or(overflow.clone())?;
        let fits = (0..self.holes.len()).filter(|&i| self.holes[i].1 - self.holes[i].0 >= room);
        let offset = match fits.min_by_key(|&i| self.holes[i].1 - self.holes[i].0) {
            Some(i) => {
                let offset = self.holes[i].0;
                self.holes[i].0 += room;
                self.holes.retain(|(from, to)| from < to);
                offset
            }
            None => {
                // A hole at the end grows.
                let offset = match self.holes.last() {
                    Some(&(from, to)) if to == self.end => {
                        self.holes.pop();
                        from
                    }
                    _ => self.end,
                };
                self.end = offset.checked_add(room).ok_or(overflow)?;
                self.most = self.most.max(self.end);
                offset
            }
        };
        Ok(Region { offset, len })
    }

    /// Gives a region back.
    pub fn give(&mut self, region: Region) {
        let to = region.offset + region.len.next_multiple_of(ALIGNMENT / size_of::<f32>());
        let at = self.holes.partition_point(|hole| hole.0 < region.offset);
        self.holes.insert(at, (region.offset, to));
        self.holes.dedup_by(|right, left| {
            let touch = left.1 == right.0;
            if touch {
                left.1 = right.1;
            }
            touch
        });
    }

    /// Memory for all that was planned.
    ///
    /// # Errors
    /// As [`Buffer::zeroed`].
    pub fn finish(self) -> Result<Arena> {
        Ok(Arena { elements: Buffer::zeroed(self.most)? })
    }
}

/// Memory for tensors whose places a [`Planner`] decided.
#[derive(Debug)]
pub struct Arena {
    elements: Buffer<f32>,
}

impl Arena {
    /// Some regions to read and some to write, at the same time.
    ///
    /// # Errors
    /// [`Error::Argument`] if a region that is written overlaps another one of the call, [`Error::TooShort`] if one
    /// belongs to a larger arena.
    pub fn view<const R: usize, const W: usize>(
        &mut self,
        read: [Region; R],
        write: [Region; W],
    ) -> Result<([&[f32]; R], [&mut [f32]; W])> {
        let op = "arena";
        for region in read.iter().chain(&write) {
            let needed = region.offset + region.len;
            if needed > self.elements.len() {
                return Err(Error::TooShort { op, what: "the arena", needed, actual: self.elements.len() });
            }
        }
        let apart = |a: &Region, b: &Region| {
            a.len == 0 || b.len == 0 || a.offset + a.len <= b.offset || b.offset + b.len <= a.offset
        };
        for (i, w) in write.iter().enumerate() {
            if !read.iter().chain(&write[..i]).all(|other| apart(w, other)) {
                let (what, requirement) = ("a region that is written", "apart from all others");
                return Err(Error::Argument { op, what, requirement, actual: format!("{w:?}") });
            }
        }
        let start = self.elements.as_mut_ptr();
        // SAFETY: the ranges lie within the buffer, and those to be written overlap no other; the borrow of `self` is
        // unique and lasts as long as the slices.
        let slices = unsafe {
            (
                read.map(|region| std::slice::from_raw_parts(start.add(region.offset).cast_const(), region.len)),
                write.map(|region| std::slice::from_raw_parts_mut(start.add(region.offset), region.len)),
            )
        };
        Ok(slices)
    }

    /// Elements of the arena.
    #[must_use]
    #[allow(clippy::len_without_is_empty, reason = "a size in memory")]
    pub fn len(&self) -> usize {
        self.elements.len()
    }
}

/// A store of scratch blocks: what a kernel gives back is used again, so that calls after the first allocate nothing.
///
/// Sizes are rounded up to classes, and a request is met from its own class alone. A larger block that happens to be free
/// would do as well, but then the order of requests decided who gets which block, and the request that comes after might
/// find the only one that is large enough gone: the same calls would allocate again.
#[derive(Debug, Default)]
pub(crate) struct ScratchPool {
    free: Mutex<Vec<Block>>,
}

/// The size in bytes of the blocks that serve a request of `bytes`: at most a quarter more.
fn size_class(bytes: usize) -> Option<usize> {
    let quarter = bytes.max(4 * ALIGNMENT).checked_add(1)?.next_power_of_two() / 8;
    bytes.max(ALIGNMENT).checked_next_multiple_of(quarter.max(ALIGNMENT))
}

impl ScratchPool {
    /// `len` elements of unspecified value.
    pub(crate) fn take<T: Real>(&self, len: usize) -> Result<Scratch<'_, T>> {
        if len == 0 {
            return Ok(Scratch { pool: self, block: None, len, elements: PhantomData });
        }
        let overflow = Error::Overflow { op: "allocate", what: "scratch space" };
        let size = size_class(size_in_bytes::<T>(len)?).ok_or(overflow)?;
        let reused = {
            let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
            let found = free.iter().rposition(|block| block.layout.size() == size);
            found.map(|i| free.swap_remove(i))
        };
        let block = match reused {
            Some(block) => block,
            None => {
                let block = Block::zeroed(size, "scratch space")?;
                // Room for every block that is out, so that giving one back never allocates.
                self.free.lock().unwrap_or_else(PoisonError::into_inner).reserve(64);
                block
            }
        };
        Ok(Scratch { pool: self, block: Some(block), len, elements: PhantomData })
    }
}

/// Scratch elements of unspecified value; goes back to its pool when dropped.
#[derive(Debug)]
pub(crate) struct Scratch<'a, T: Real> {
    pool: &'a ScratchPool,
    block: Option<Block>,
    len: usize,
    elements: PhantomData<T>,
}

impl<T: Real> Scratch<'_, T> {
    fn start(&self) -> *mut T {
        self.block.as_ref().map_or(NonNull::dangling().as_ptr(), |block| block.start.as_ptr().cast())
    }
}

impl<T: Real> Deref for Scratch<'_, T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        // SAFETY: the block is there until the drop, and has room for `len` elements, aligned and initialised; every
        // bit pattern is a valid float.
        unsafe { std::slice::from_raw_parts(self.start(), self.len) }
    }
}
impl<T: Real> DerefMut for Scratch<'_, T> {
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as in `deref`, and the borrow is unique.
        unsafe { std::slice::from_raw_parts_mut(self.start(), self.len) }
    }
}
impl<T: Real> Drop for Scratch<'_, T> {
    fn drop(&mut self) {
        if let Some(block) = self.block.take() {
            self.pool.free.lock().unwrap_or_else(PoisonError::into_inner).push(block);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_are_aligned_and_zero_at_every_size() {
        for len in [0, 1, 15, 16, 17, 1000, (HUGE_PAGE / 4) - 1, HUGE_PAGE / 4, HUGE_PAGE / 4 + 1] {
            let buffer = Buffer::<f32>::zeroed(len).unwrap();
            assert_eq!(buffer.len(), len);
            assert_eq!(buffer.as_ptr() as usize % ALIGNMENT, 0);
            assert!(buffer.iter().all(|x| x.to_bits() == 0));
        }
    }

    #[test]
    fn a_size_beyond_the_address_space_is_an_error() {
        assert!(matches!(Buffer::<f64>::zeroed(usize::MAX), Err(Error::Overflow { .. })));
        assert!(matches!(Buffer::<f64>::zeroed(usize::MAX / 8), Err(Error::OutOfMemory { .. })));
    }

    #[test]
    fn planned_regions_that_live_together_never_overlap_and_memory_is_used_again() {
        let mut planner = Planner::new();
        let [a, b, c] = [100, 20, 48].map(|len| planner.take(len).unwrap());
        planner.give(b);
        planner.give(a);
        let d = planner.take(130).unwrap(); // in the place of a and b, which have met
        let e = planner.take(40).unwrap(); // at the end
        planner.give(e);
        let f = planner.take(64).unwrap(); // the end grows
        let mut arena = planner.finish().unwrap();
        assert_eq!((arena.len(), d.offset, f.offset), (144 + 48 + 64, 0, 192));
        let ([], [c, d, f]) = arena.view([], [c, d, f]).unwrap();
        c.fill(1.0);
        d.fill(2.0);
        f.fill(3.0);
        assert!(c.iter().all(|x| *x == 1.0) && d.iter().all(|x| *x == 2.0));
        assert_eq!(d.as_ptr() as usize % ALIGNMENT, 0);
    }

    #[test]
    fn an_arena_lends_nothing_twice() {
        let mut planner = Planner::new();
        let [a, b] = [32, 32].map(|len| planner.take(len).unwrap());
        let mut arena = planner.finish().unwrap();
        assert!(arena.view([a, a], [b]).is_ok());
        assert!(arena.view([a], [a]).is_err() && arena.view([], [b, b]).is_err());
        assert!(arena.view([], [a.first(16).unwrap(), b]).is_ok());
        assert!(a.first(33).is_err());
        let beyond = Region { offset: 64, len: 1 };
        assert!(matches!(arena.view([beyond], []), Err(Error::TooShort { .. })));
    }

    #[test]
    fn scratch_is_used_again() {
        let pool = ScratchPool::default();
        let first = pool.take::<f32>(1000).unwrap().start() as usize;
        let second = pool.take::<f64>(500).unwrap().start() as usize;
        assert_eq!(first, second);
        let (a, b) = (pool.take::<f32>(10).unwrap(), pool.take::<f32>(10).unwrap());
        assert_ne!(a.start(), b.start());
        assert!(pool.take::<f32>(0).unwrap().is_empty());
    }

    #[test]
    fn the_same_requests_in_another_order_of_sizes_find_the_same_blocks() {
        let pool = ScratchPool::default();
        let round = |sizes: [usize; 4]| {
            for pair in sizes.windows(2) {
                let _both = (pool.take::<f32>(pair[0]).unwrap(), pool.take::<f32>(pair[1]).unwrap());
            }
            pool.free.lock().unwrap().len()
        };
        let blocks = round([100, 5000, 70_000, 300]);
        assert_eq!(blocks, 4);
        assert_eq!(round([300, 70_000, 5000, 100]), blocks);
    }

    #[test]
    fn a_size_class_wastes_at_most_a_quarter_and_few_bytes() {
        for bytes in (1..5000).chain([1 << 20, (1 << 20) + 1, 7 << 20, (7 << 20) + 1]) {
            let size = size_class(bytes).unwrap();
            assert!(size >= bytes && size.is_multiple_of(ALIGNMENT), "{bytes}: {size}");
            assert!(size <= bytes + (bytes / 4).max(ALIGNMENT), "{bytes}: {size}");
            assert_eq!(size_class(size), Some(size), "{bytes}");
        }
        assert_eq!(size_class(usize::MAX), None);
    }
}

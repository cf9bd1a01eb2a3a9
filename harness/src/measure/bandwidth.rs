//! How fast memory is read, copied and combined, at each level of the hierarchy.

use std::hint::black_box;

use regularity_engine::kernels::probe::{self, BLOCK};
use regularity_engine::memory::Buffer;
use regularity_engine::{Context, Isa};
use serde::Serialize;

use super::{Sample, Spread, calibrate, in_turns, seconds, together};
use crate::error::Result;
use crate::host::Caches;

/// Where the arrays of a measurement lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// First-level cache.
    L1,
    /// Second-level cache.
    L2,
    /// Third-level cache.
    L3,
    /// Main memory, or a cache too large to be told from it.
    Memory,
}

/// What is done to the arrays. Bytes are counted as the program moves them; a cache may move more, since it reads a
/// line before it writes a part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Operation {
    /// One array is summed: 4 bytes an element.
    Read,
    /// One array is copied to another with plain stores: 8 bytes an element.
    Copy,
    /// `c = 3 a + b`: 12 bytes an element.
    Triad,
}

impl Operation {
    const ALL: [Operation; 3] = [Operation::Read, Operation::Copy, Operation::Triad];
    const fn bytes(self) -> usize {
        match self {
            Self::Read => 4,
            Self::Copy => 8,
            Self::Triad => 12,
        }
    }
}

/// The bandwidth of one operation at one level on a number of threads.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Bandwidth {
    /// Where the arrays lie.
    pub level: Level,
    /// What is done to them.
    pub operation: Operation,
    /// Threads at work, each on its own arrays.
    pub threads: usize,
    /// Bytes of one array of one thread.
    pub array_bytes: usize,
    /// GB/s (10^9 bytes) of all threads together.
    pub gb_per_s: Spread,
}

/// Bytes of each of the three arrays, all threads together, when memory is measured.
const MEMORY_ARRAY: usize = 128 << 20;
/// Bytes by which equal places in the arrays differ: a load must not look like it waits for the store before it, which
/// happens where the low twelve bits of their addresses are the same.
const STAGGER: usize = 640;

/// The array size of one thread at each level that can be told apart on this machine.
fn sizes(caches: Caches, threads: usize) -> Vec<(Level, usize)> {
    let l1 = caches.l1_data.unwrap_or(32 << 10);
    let l2 = caches.l2.unwrap_or(512 << 10);
    // Three arrays fill half of a level, or less.
    let mut sizes = vec![(Level::L1, l1 / 6), (Level::L2, l2 / 8)];
    let l3_array = l2 * 3 / 2;
    if caches.l3.is_some_and(|l3| l3 / threads >= 4 * l3_array) {
        sizes.push((Level::L3, l3_array));
    }
    sizes.push((Level::Memory, MEMORY_ARRAY / threads));
    let whole = |bytes: usize| (bytes / (4 * BLOCK)).max(1) * 4 * BLOCK;
    sizes.into_iter().map(|(level, bytes)| (level, whole(bytes))).collect()
}

/// The three arrays of one thread.
struct Arrays {
    buffers: [Buffer<f32>; 3],
}

impl Arrays {
    fn new(bytes: usize) -> Result<Self> {
        let make = || Buffer::zeroed((bytes + 3 * STAGGER) / 4);
        Ok(Self { buffers: [make()?, make()?, make()?] })
    }

    fn run(
        &mut self,
        context: &Context,
        operation: Operation,
        len: usize,
        passes: usize,
    ) -> regularity_engine::Result<()> {
        let [a, b, c] = &mut self.buffers;
        let from = |i: usize| i * STAGGER / 4..i * STAGGER / 4 + len;
        let (a, b, c) = (&a[from(0)], &b[from(1)], &mut c[from(2)]);
        match operation {
            Operation::Read => {
                black_box(probe::read(context, passes, a)?);
                Ok(())
            }
            Operation::Copy => probe::copy(context, passes, a, c),
            Operation::Triad => probe::triad(context, passes, a, b, c),
        }
    }
}

/// Measures every operation at every level, on each of `thread_counts`, in turns; a sample lasts about `target`
/// seconds, or as long as one pass over memory.
///
/// # Errors
/// Those of the engine: memory that cannot be had.
pub fn bandwidths(
    isa: Isa,
    caches: Caches,
    thread_counts: &[usize],
    rounds: usize,
    target: f64,
) -> Result<Vec<Bandwidth>> {
    let context = Context::new(isa, 1)?;
    let mut all = Vec::new();
    for &threads in thread_counts {
        let sizes = sizes(caches, threads);
        let largest = sizes.iter().map(|&(_, bytes)| bytes).max().unwrap_or(0);
        let mut arrays = (0..threads).map(|_| Arrays::new(largest)).collect::<Result<Vec<_>>>()?;
        for (level, array_bytes) in sizes {
            let len = array_bytes / 4;
            let arrays = std::cell::RefCell::new(&mut arrays);
            let mut samples: Vec<Sample<'_>> = Vec::new();
            for operation in Operation::ALL {
                let passes = calibrate(target, |passes| {
                    seconds(|| arrays.borrow_mut()[0].run(&context, operation, len, passes))
                })?;
                let (arrays, context) = (&arrays, &context);
                samples.push(Box::new(move || {
                    let mut arrays = arrays.borrow_mut();
                    let work = arrays.iter_mut().map(|a| || a.run(context, operation, len, passes));
                    let taken = together(work.collect())?;
                    Ok((threads * passes * len * operation.bytes()) as f64 / taken / 1e9)
                }));
            }
            for (operation, taken) in Operation::ALL.into_iter().zip(in_turns(rounds, &mut samples)?) {
                let Some(gb_per_s) = Spread::of(&taken) else { continue };
                all.push(Bandwidth { level, operation, threads, array_bytes, gb_per_s });
            }
        }
    }
    Ok(all)
}

/// A calibrated copy of a given size: what traffic of so many bytes costs at least.
pub struct CopyProbe {
    context: Context,
    arrays: Vec<Arrays>,
    len: usize,
    passes: usize,
}

impl CopyProbe {
    /// A probe that moves `bytes` a pass, half of them read and half written, cut evenly among `threads`.
    ///
    /// # Errors
    /// Those of the engine: memory that cannot be had.
    pub fn new(isa: Isa, threads: usize, bytes: usize, target: f64) -> Result<Self> {
        let context = Context::new(isa, 1)?;
        let len = (bytes / 8 / threads / BLOCK).max(1) * BLOCK;
        let mut arrays = (0..threads).map(|_| Arrays::new(4 * len)).collect::<Result<Vec<_>>>()?;
        let passes = calibrate(target, |passes| seconds(|| arrays[0].run(&context, Operation::Copy, len, passes)))?;
        Ok(Self { context, arrays, len, passes })
    }

    /// One measurement, in GB/s of all threads together.
    ///
    /// # Errors
    /// Those of the engine.
    pub fn sample(&mut self) -> Result<f64> {
        let (context, len, passes, threads) = (&self.context, self.len, self.passes, self.arrays.len());
        let work = self.arrays.iter_mut().map(|a| || a.run(context, Operation::Copy, len, passes));
        let taken = together(work.collect())?;
        Ok((threads * passes * len * Operation::Copy.bytes()) as f64 / taken / 1e9)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_whole_blocks_and_l3_is_left_out_where_it_cannot_be_told_from_memory() {
        let caches = Caches { l1_data: Some(48 << 10), l2: Some(2 << 20), l3: Some(480 << 20) };
        let expected = [(Level::L1, 8 << 10), (Level::L2, 256 << 10), (Level::L3, 3 << 20), (Level::Memory, 64 << 20)];
        assert_eq!(sizes(caches, 2), expected);
        let small = Caches { l3: Some(4 << 20), ..caches };
        assert!(sizes(small, 2).iter().all(|&(level, _)| level != Level::L3));
        for (_, bytes) in sizes(Caches::default(), 7) {
            assert_eq!(bytes % (4 * BLOCK), 0);
        }
    }
}

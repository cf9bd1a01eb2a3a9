//! Kernels without a purpose but to be timed: what this machine can do at most.
//!
//! A speed is judged against the machine's own limits, and these kernels are the limits: multiply-adds that wait for
//! nothing ([`fma_chains`]), and memory read, copied and combined as fast as plain loads and stores go ([`read`],
//! [`copy`], [`triad`]). They are written against the same vectors as the kernels that are judged, so a bound that they
//! find is one that those could reach. This crate has no clock; whoever calls them holds it.
//!
//! Each call repeats its pass so often that entering the tier costs nothing beside it. What a pass computes is returned,
//! or written where the caller can see it, and every pass starts behind a [`black_box`]: none can be left out.

use std::hint::black_box;

use crate::error::{Error, Result};
use crate::kernels::compiled_once;
use crate::parallel::Context;
use crate::simd::{Kernel, Real, Tier, Vector, stream_into};

/// Vectors that a pass over memory has in flight.
const UNROLL: usize = 4;
/// A pass over memory takes slices whose length is a multiple of this many elements, which is 1 KiB of `f32`.
pub const BLOCK: usize = 256;
/// Multiply-adds of each accumulator in one round of [`fma_chains`].
const STEPS: usize = 8;

/// Independent chains: enough to hide the latency of a multiply-add, and few enough to stay in registers.
const fn accumulators<S: Tier>() -> usize {
    if S::VECTOR_REGISTERS >= 16 { 12 } else { 6 }
}

compiled_once! { Entries<T>:
/// Floating-point operations of one [`fma_chains`] call with `rounds` rounds on this context.
///
/// # Errors
/// Those of the dispatch.
pub fn fma_chains_flops(context: &Context, rounds: usize) -> Result<u64> {
    struct Count<T>(std::marker::PhantomData<T>);
    impl<T: Real> Kernel for Count<T> {
        type Output = usize;
        #[inline(always)]
        fn run<S: Tier>(self, _: S) -> usize {
            2 * STEPS * accumulators::<S>() * <T::V<S> as Vector>::LANES
        }
    }
    Ok(context.dispatch(Count::<T>(std::marker::PhantomData))? as u64 * rounds as u64)
}

/// Runs `rounds` rounds of `acc = a acc + b`, 12 independent vectors wide where the registers hold as many, else 6.
///
/// With `0 < a < 1` the values converge to `b / (1 - a)`, so that no operand is special. Returns the sum of all lanes.
///
/// # Errors
/// Those of the dispatch.
pub fn fma_chains(context: &Context, rounds: usize, a: T, b: T) -> Result<T> {
    context.dispatch(Chains { rounds, a, b })
}
}

struct Chains<T> {
    rounds: usize,
    a: T,
    b: T,
}
impl<T: Real> Kernel for Chains<T> {
    type Output = T;
    #[inline(always)]
    fn run<S: Tier>(self, tier: S) -> T {
        if accumulators::<S>() == 12 { self.chains::<S, 12>(tier) } else { self.chains::<S, 6>(tier) }
    }
}
impl<T: Real> Chains<T> {
    #[inline(always)]
    fn chains<S: Tier, const N: usize>(self, tier: S) -> T {
        let (a, b) = (T::V::<S>::splat(tier, self.a), T::V::<S>::splat(tier, self.b));
        let mut acc = [T::V::<S>::zero(tier); N];
        for (i, x) in acc.iter_mut().enumerate() {
            *x = T::V::<S>::splat(tier, T::from_f64(i as f64));
        }
        for _ in 0..self.rounds {
            for _ in 0..STEPS {
                for x in &mut acc {
                    *x = a.fma(*x, b);
                }
            }
        }
        let mut sum = acc[0];
        for x in &acc[1..] {
            sum = sum + *x;
        }
        sum.fold_halves()
    }
}

/// Adds up `source`, `passes` times over. Moves `4 len` bytes a pass.
///
/// # Errors
/// [`Error::Argument`] unless the length is a multiple of [`BLOCK`], and those of the dispatch.
pub fn read(context: &Context, passes: usize, source: &[f32]) -> Result<f32> {
    whole_blocks("probe::read", source)?;
    context.dispatch(Read { passes, source })
}

struct Read<'a> {
    passes: usize,
    source: &'a [f32],
}
impl Kernel for Read<'_> {
    type Output = f32;
    #[inline(always)]
    fn run<S: Tier>(self, tier: S) -> f32 {
        // Twice the unrolling of the others: an addition has latency, a store has none that matters.
        let mut acc = [S::F32::zero(tier); 2 * UNROLL];
        for _ in 0..self.passes {
            for block in black_box(self.source).chunks_exact(16 * acc.len()) {
                for (x, part) in acc.iter_mut().zip(block.chunks_exact(16)) {
                    *x = *x + S::F32::load(tier, part);
                }
            }
        }
        let mut sum = acc[0];
        for x in &acc[1..] {
            sum = sum + *x;
        }
        sum.fold_halves()
    }
}

/// Copies `source` to `target`, `passes` times over, with plain stores. Moves `8 len` bytes a pass.
///
/// # Errors
/// [`Error::Argument`] unless the length is a multiple of [`BLOCK`], [`Error::Shape`] unless the lengths agree, and
/// those of the dispatch.
pub fn copy(context: &Context, passes: usize, source: &[f32], target: &mut [f32]) -> Result<()> {
    whole_blocks("probe::copy", source)?;
    same_length("probe::copy", "length of target", source.len(), target.len())?;
    context.dispatch(Copy { passes, source, target })
}

/// Copies `source` to `target` once, past the caches, on all threads of the context. Moves `8 len` bytes.
///
/// # Errors
/// [`Error::Shape`] unless the lengths agree, and those of the dispatch.
pub fn stream_copy(context: &Context, source: &[f32], target: &mut [f32]) -> Result<()> {
    same_length("probe::stream_copy", "length of target", source.len(), target.len())?;
    context.chunks(target, 1 << 16, |start, target| {
        context.dispatch(StreamCopy { source: &source[start..start + target.len()], target })
    })
}

struct StreamCopy<'a> {
    source: &'a [f32],
    target: &'a mut [f32],
}
impl Kernel for StreamCopy<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Tier>(self, tier: S) {
        stream_into(
            tier,
            self.target,
            #[inline(always)]
            |writer| writer.push(self.source),
        );
    }
}

struct Copy<'a> {
    passes: usize,
    source: &'a [f32],
    target: &'a mut [f32],
}
impl Kernel for Copy<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Tier>(self, tier: S) {
        for _ in 0..self.passes {
            let (source, target) = black_box((self.source, &mut *self.target));
            for (from, to) in source.chunks_exact(16 * UNROLL).zip(target.chunks_exact_mut(16 * UNROLL)) {
                let mut block = [S::F32::zero(tier); UNROLL];
                for (x, from) in block.iter_mut().zip(from.chunks_exact(16)) {
                    *x = S::F32::load(tier, from);
                }
                store_all(&block, to);
            }
        }
    }
}

#[inline(always)]
fn store_all<V: Vector<Elem = f32>>(block: &[V; UNROLL], to: &mut [f32]) {
    for (x, part) in block.iter().zip(to.chunks_exact_mut(16)) {
        x.store(part);
    }
}

/// `target = 3 a + b`, `passes` times over, with plain stores. Moves `12 len` bytes a pass.
///
/// # Errors
/// As [`copy`].
pub fn triad(context: &Context, passes: usize, a: &[f32], b: &[f32], target: &mut [f32]) -> Result<()> {
    whole_blocks("probe::triad", a)?;
    same_length("probe::triad", "length of b", a.len(), b.len())?;
    same_length("probe::triad", "length of target", a.len(), target.len())?;
    context.dispatch(Triad { passes, a, b, target })
}

struct Triad<'a> {
    passes: usize,
    a: &'a [f32],
    b: &'a [f32],
    target: &'a mut [f32],
}
impl Kernel for Triad<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Tier>(self, tier: S) {
        let factor = S::F32::splat(tier, 3.0);
        for _ in 0..self.passes {
            let (a, b, target) = black_box((self.a, self.b, &mut *self.target));
            let sources = a.chunks_exact(16 * UNROLL).zip(b.chunks_exact(16 * UNROLL));
            for ((a, b), to) in sources.zip(target.chunks_exact_mut(16 * UNROLL)) {
                let mut block = [S::F32::zero(tier); UNROLL];
                for (x, (a, b)) in block.iter_mut().zip(a.chunks_exact(16).zip(b.chunks_exact(16))) {
                    *x = S::F32::load(tier, a).fma(factor, S::F32::load(tier, b));
                }
                store_all(&block, to);
            }
        }
    }
}

fn whole_blocks(op: &'static str, slice: &[f32]) -> Result<()> {
    if slice.len().is_multiple_of(BLOCK) {
        return Ok(());
    }
    Err(Error::Argument {
        op,
        what: "the length",
        requirement: "a multiple of probe::BLOCK",
        actual: slice.len().to_string(),
    })
}

fn same_length(op: &'static str, what: &'static str, expected: usize, actual: usize) -> Result<()> {
    if expected == actual { Ok(()) } else { Err(Error::Shape { op, what, expected, actual }) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::Isa;

    #[test]
    fn each_probe_does_the_work_that_it_is_timed_for_on_every_tier() {
        let a: Vec<f32> = (0..2 * BLOCK).map(|i| i as f32).collect();
        for isa in Isa::available() {
            let context = Context::new(isa, 1).unwrap();
            // 12 or 6 chains of 16 lanes, all at the fixed point 0.5 / (1 - 0.5) after so many halvings.
            let sum = fma_chains::<f32>(&context, 20, 0.5, 0.5).unwrap();
            let chains = fma_chains_flops::<f32>(&context, 1).unwrap() / (2 * STEPS as u64);
            assert_eq!(sum, chains as f32, "{isa}");
            assert_eq!(read(&context, 3, &a).unwrap(), 3.0 * 511.0 * 256.0, "{isa}");
            let mut target = vec![0.0; a.len()];
            copy(&context, 2, &a, &mut target).unwrap();
            assert_eq!(a, target, "{isa}");
            triad(&context, 2, &a, &a, &mut target).unwrap();
            assert!(target.iter().enumerate().all(|(i, &x)| x == 4.0 * i as f32), "{isa}");
        }
    }

    #[test]
    fn lengths_that_do_not_fit_are_refused() {
        let context = Context::new(Isa::Portable, 1).unwrap();
        assert!(matches!(read(&context, 1, &[0.0; 100]), Err(Error::Argument { .. })));
        assert!(matches!(copy(&context, 1, &[0.0; BLOCK], &mut []), Err(Error::Shape { .. })));
    }
}

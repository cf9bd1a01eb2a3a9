//! The pass over the arena that all optimisers share.

use crate::error::Result;
use crate::kernels::chunks::for_each_parts;
use crate::parallel::Context;
use crate::simd::{Kernel, Tier, Vector};

/// Elements that one task takes. Bit-neutral.
const TASK: usize = 1 << 15;

/// What a step makes of a parameter (`state[0]`), its optimiser state (the others) and its gradient.
pub(super) trait Update<const N: usize>: Copy + Send + Sync {
    /// Must be `#[inline(always)]`.
    fn apply<V: Vector<Elem = f32>>(self, tier: V::Tier, state: [V; N], g: V) -> [V; N];
}

struct Pass<'a, U, const N: usize> {
    context: &'a Context,
    update: U,
    state: [&'a mut [f32]; N],
    g: &'a [f32],
}

impl<U: Update<N>, const N: usize> Kernel for Pass<'_, U, N> {
    type Output = Result<()>;
    #[inline(always)]
    fn run<S: Tier>(self, tier: S) -> Result<()> {
        let Self { context, update, state, g } = self;
        for_each_parts(context, state, TASK, |i, state| {
            tier.vectorize(
                #[inline(always)]
                || part(tier, update, state, &g[i * TASK..]),
            );
        })
    }
}

#[inline(always)]
fn part<S: Tier, U: Update<N>, const N: usize>(tier: S, update: U, mut state: [&mut [f32]; N], g: &[f32]) {
    const LANES: usize = 16;
    let len = state[0].len();
    let full = len - len % LANES;
    let mut from = 0;
    while from < full {
        let old = state.each_ref().map(|state| S::F32::load(tier, &state[from..from + LANES]));
        let new = update.apply(tier, old, S::F32::load(tier, &g[from..from + LANES]));
        for (state, new) in state.iter_mut().zip(new) {
            new.store(&mut state[from..from + LANES]);
        }
        from += LANES;
    }
    if full < len {
        let old = state.each_ref().map(|state| S::F32::load_partial(tier, &state[full..]));
        let new = update.apply(tier, old, S::F32::load_partial(tier, &g[full..len]));
        for (state, new) in state.iter_mut().zip(new) {
            new.store_partial(&mut state[full..]);
        }
    }
}

/// Applies `update` to every element of slices of one length.
pub(super) fn pass<U: Update<N>, const N: usize>(
    context: &Context,
    update: U,
    state: [&mut [f32]; N],
    g: &[f32],
) -> Result<()> {
    context.dispatch(Pass { context, update, state, g })?
}

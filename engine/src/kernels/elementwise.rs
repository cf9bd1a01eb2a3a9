//! Operations on each element by itself.
//!
//! The order of the elements does not enter, so every result depends on the elements at one index alone, whatever the
//! tier, the alignment and the number of threads. What does enter is the number of roundings: `fma(a, b, c)` is
//! `a b + c` rounded once, every other operation rounds by itself.
//!
//! Operands are slices of one length; Rust's borrow rules keep an output from overlapping an input, so where an
//! operation makes sense in place it has a form with one mutable operand.
//!
//! # Comparisons
//! [`clip`], [`relu_forward`] and [`relu_backward`] compare and select; [`crate::simd`] has the table. Their treatment
//! of NaN and of signed zeros stands at each.

use super::chunks::for_each_part;
use super::compiled_once;
use super::reduce::norm;
use crate::error::{Error, Result};
use crate::parallel::Context;
use crate::simd::{Kernel, Real, Tier, Vector, stream_into};

/// Elements that one task takes. Bit-neutral.
const TASK: usize = 1 << 16;
/// Vectors in a step of the main loop. Bit-neutral.
const UNROLL: usize = 4;
/// From so many bytes on, a destination that is only written is written past the caches. Bit-neutral.
const STREAM: usize = 32 << 20;
/// Bytes between a load and what is then asked for in the second-level cache, for such operands: a few dozen cache
/// lines under way, more than the hardware asks for by itself. Bit-neutral.
const AHEAD: usize = 8 << 10;
/// Stores of a step start at a multiple of this many bytes where they can. Bit-neutral.
const STORE_ALIGNMENT: usize = 64;

/// What becomes of one element of the destination and of `N` sources.
trait Lanewise<T: Real, const N: usize>: Copy + Send + Sync {
    /// Whether the destination's own elements enter.
    const READS: bool;
    fn apply<V: Vector<Elem = T>>(self, tier: V::Tier, dst: V, src: [V; N]) -> V;
}

/// `dst = apply(dst, src)` for all elements.
struct Map<'a, T, F, const N: usize> {
    context: &'a Context,
    f: F,
    dst: &'a mut [T],
    src: [&'a [T]; N],
    /// Past the caches, unless the operation reads its destination.
    stream: bool,
}

impl<T: Real, F: Lanewise<T, N>, const N: usize> Kernel for Map<'_, T, F, N> {
    type Output = Result<()>;
    #[inline(always)]
    fn run<S: Tier>(self, tier: S) -> Result<()> {
        let Self { context, f, dst, src, stream } = self;
        for_each_part(context, dst, TASK, |i, dst| {
            tier.vectorize(
                #[inline(always)]
                || part(tier, f, src.map(|src| &src[i * TASK..][..dst.len()]), dst, stream),
            );
        })
    }
}

/// One task: a short step up to an aligned store, long steps, short steps.
#[inline(always)]
fn part<T: Real, S: Tier, F: Lanewise<T, N>, const N: usize>(
    tier: S,
    f: F,
    mut src: [&[T]; N],
    mut dst: &mut [T],
    stream: bool,
) {
    let lanes = T::V::<S>::LANES;
    let long = UNROLL * lanes;
    let head = dst.as_ptr().align_offset(STORE_ALIGNMENT);
    if head > 0 && head < lanes && dst.len() > long {
        let (front, rest) = dst.split_at_mut(head);
        short(tier, f, src.map(|src| &src[..head]), front);
        src = src.map(|src| &src[head..]);
        dst = rest;
    }
    let end = dst.len() - dst.len() % long;
    let (steps, rest) = dst.split_at_mut(end);
    if !F::READS && stream {
        stream_into(
            tier,
            steps,
            #[inline(always)]
            |writer| {
                let dst = [T::V::<S>::zero(tier); UNROLL];
                for from in (0..end).step_by(long) {
                    for src in src {
                        for v in 0..UNROLL {
                            tier.prefetch_far(src.as_ptr().wrapping_add(from + v * lanes + AHEAD / size_of::<T>()));
                        }
                    }
                    for out in step(tier, f, src, dst, from) {
                        writer.push_vector(out);
                    }
                }
            },
        );
    } else {
        for (i, dst) in steps.chunks_exact_mut(long).enumerate() {
            let mut before = [T::V::<S>::zero(tier); UNROLL];
            if F::READS {
                for (before, dst) in before.iter_mut().zip(dst.chunks_exact(lanes)) {
                    *before = T::V::<S>::load(tier, dst);
                }
            }
            for (out, dst) in step(tier, f, src, before, i * long).into_iter().zip(dst.chunks_exact_mut(lanes)) {
                out.store(dst);
            }
        }
    }
    for (i, dst) in rest.chunks_mut(lanes).enumerate() {
        short(tier, f, src.map(|src| &src[end + i * lanes..][..dst.len()]), dst);
    }
}

/// The vectors of a long step, from the elements `from..` of the sources.
#[inline(always)]
fn step<T: Real, S: Tier, F: Lanewise<T, N>, const N: usize>(
    tier: S,
    f: F,
    mut src: [&[T]; N],
    dst: [T::V<S>; UNROLL],
    from: usize,
) -> [T::V<S>; UNROLL] {
    let lanes = T::V::<S>::LANES;
    for src in &mut src {
        *src = &src[from..][..UNROLL * lanes];
    }
    let mut out = dst;
    for (v, out) in out.iter_mut().enumerate() {
        let at = v * lanes;
        // A loop and no closure: `map` is not always inlined, and each load would be a call.
        let mut x = [T::V::<S>::zero(tier); N];
        for (x, src) in x.iter_mut().zip(src) {
            *x = T::V::<S>::load(tier, &src[at..at + lanes]);
        }
        *out = f.apply(tier, *out, x);
    }
    out
}

/// At most one vector.
#[inline(always)]
fn short<T: Real, S: Tier, F: Lanewise<T, N>, const N: usize>(tier: S, f: F, src: [&[T]; N], dst: &mut [T]) {
    let mut x = [T::V::<S>::zero(tier); N];
    for (x, src) in x.iter_mut().zip(src) {
        *x = T::V::<S>::load_partial(tier, src);
    }
    f.apply(tier, T::V::<S>::load_partial(tier, dst), x).store_partial(dst);
}

fn map<T: Real, F: Lanewise<T, N>, const N: usize>(
    context: &Context,
    op: &'static str,
    f: F,
    dst: &mut [T],
    src: [&[T]; N],
) -> Result<()> {
    for src in src {
        check_len(op, dst.len(), src.len())?;
    }
    let stream = size_of_val(dst) >= STREAM;
    context.dispatch(Map { context, f, dst, src, stream })?
}

fn check_len(op: &'static str, expected: usize, actual: usize) -> Result<()> {
    if expected == actual {
        return Ok(());
    }
    Err(Error::Shape { op, what: "the length of an operand", expected, actual })
}

/// A struct with scalar constants, and what it makes of the lanes.
macro_rules! lanewise {
    ($($name:ident { $($constant:ident),* } |$dst:tt, [$($src:pat_param),*]| $value:expr;)*) => {$(
        #[derive(Clone, Copy)]
        struct $name<T> { $($constant: T,)* #[allow(dead_code)] unit: std::marker::PhantomData<T> }
        impl<T: Real> Lanewise<T, { lanewise!(@count $($src),*) }> for $name<T> {
            const READS: bool = lanewise!(@reads $dst);
            #[inline(always)]
            fn apply<V: Vector<Elem = T>>(
                self,
                #[allow(unused_variables)] tier: V::Tier,
                $dst: V,
                [$($src),*]: [V; { lanewise!(@count $($src),*) }],
            ) -> V {
                $(let $constant = V::splat(tier, self.$constant);)*
                $value
            }
        }
    )*};
    (@reads _) => { false };
    (@reads $dst:ident) => { true };
    (@count) => { 0 };
    (@count $a:pat_param) => { 1 };
    (@count $a:pat_param, $b:pat_param) => { 2 };
}
lanewise! {
    Fill { value } |_, []| value;
    Copied {} |_, [x]| x;
    Axpy { a } |y, [x]| a.fma(x, y);
    Scale { a } |x, []| a * x;
    ScaleAdd { a, b } |y, [x]| a.fma(x, b * y);
    Add {} |_, [a, b]| a + b;
    Sub {} |_, [a, b]| a - b;
    Mul {} |_, [a, b]| a * b;
    AddAssign {} |y, [x]| y + x;
    SubAssign {} |y, [x]| y - x;
    MulAssign {} |y, [x]| y * x;
    Clip { low, high } |x, []| high.min(low.max(x));
    ReluForward { zero } |_, [x]| zero.max(x);
    ReluForwardInPlace { zero } |x, []| zero.max(x);
    ReluBackward { zero } |_, [x, d_y]| V::select(x.le(zero), zero, d_y);
    ReluBackwardInPlace { zero } |d, [x]| V::select(x.le(zero), zero, d);
    TanhBackwardInPlace { one } |d, [y]| d * (-y).fma(y, one);
    Lerp { t } |y, [x]| t.fma(x - y, y);
    AddScaledDifference { a } |d, [x, y]| a.fma(x - y, d);
}

/// Calls [`map`] with an operation made from its constants.
macro_rules! run {
    ($context:expr, $op:literal, $name:ident { $($constant:ident: $value:expr),* }, $dst:expr, [$($src:expr),*]) => {
        map($context, $op, $name { $($constant: $value,)* unit: std::marker::PhantomData }, $dst, [$($src),*])
    };
}

compiled_once! { Entries<T>:
/// `y[i] = fma(a, x[i], y[i])`.
///
/// # Errors
/// [`Error::Shape`] if the lengths differ, else as [`Context::tasks`].
pub fn axpy(context: &Context, a: T, x: &[T], y: &mut [T]) -> Result<()> {
    run!(context, "axpy", Axpy { a: a }, y, [x])
}

/// `y[i] = fma(a, x[i], b * y[i])`: `b y` rounds, then the sum.
///
/// # Errors
/// [`Error::Shape`] if the lengths differ, else as [`Context::tasks`].
pub fn scale_add(context: &Context, a: T, x: &[T], b: T, y: &mut [T]) -> Result<()> {
    run!(context, "scale_add", ScaleAdd { a: a, b: b }, y, [x])
}

/// `y[i] = fma(t, x[i] - y[i], y[i])`: a step of the fraction `t` from `y` to `x`, as running statistics take it.
///
/// # Errors
/// [`Error::Shape`] if the lengths differ, else as [`Context::tasks`].
pub fn lerp(context: &Context, t: T, x: &[T], y: &mut [T]) -> Result<()> {
    run!(context, "lerp", Lerp { t: t }, y, [x])
}

/// `d[i] = fma(a, x[i] - y[i], d[i])`: the gradient of `a/2 (x - y)^2` by `x`, added to another.
///
/// # Errors
/// [`Error::Shape`] if the lengths differ, else as [`Context::tasks`].
pub fn add_scaled_difference(context: &Context, a: T, x: &[T], y: &[T], d: &mut [T]) -> Result<()> {
    run!(context, "add_scaled_difference", AddScaledDifference { a: a }, d, [x, y])
}

/// `x[i] = a * x[i]`.
///
/// # Errors
/// As [`Context::tasks`].
pub fn scale(context: &Context, a: T, x: &mut [T]) -> Result<()> {
    run!(context, "scale", Scale { a: a }, x, [])
}

/// `out[i] = a[i] + b[i]`.
///
/// # Errors
/// [`Error::Shape`] if the lengths differ, else as [`Context::tasks`].
pub fn add(context: &Context, a: &[T], b: &[T], out: &mut [T]) -> Result<()> {
    run!(context, "add", Add {}, out, [a, b])
}

/// `out[i] = a[i] - b[i]`.
///
/// # Errors
/// [`Error::Shape`] if the lengths differ, else as [`Context::tasks`].
pub fn sub(context: &Context, a: &[T], b: &[T], out: &mut [T]) -> Result<()> {
    run!(context, "sub", Sub {}, out, [a, b])
}

/// `out[i] = a[i] * b[i]`.
///
/// # Errors
/// [`Error::Shape`] if the lengths differ, else as [`Context::tasks`].
pub fn mul(context: &Context, a: &[T], b: &[T], out: &mut [T]) -> Result<()> {
    run!(context, "mul", Mul {}, out, [a, b])
}

/// `y[i] = y[i] + x[i]`.
///
/// # Errors
/// [`Error::Shape`] if the lengths differ, else as [`Context::tasks`].
pub fn add_assign(context: &Context, x: &[T], y: &mut [T]) -> Result<()> {
    run!(context, "add_assign", AddAssign {}, y, [x])
}

/// `y[i] = y[i] - x[i]`.
///
/// # Errors
/// [`Error::Shape`] if the lengths differ, else as [`Context::tasks`].
pub fn sub_assign(context: &Context, x: &[T], y: &mut [T]) -> Result<()> {
    run!(context, "sub_assign", SubAssign {}, y, [x])
}

/// `y[i] = y[i] * x[i]`.
///
/// # Errors
/// [`Error::Shape`] if the lengths differ, else as [`Context::tasks`].
pub fn mul_assign(context: &Context, x: &[T], y: &mut [T]) -> Result<()> {
    run!(context, "mul_assign", MulAssign {}, y, [x])
}

/// `x[i] = value`.
///
/// # Errors
/// As [`Context::tasks`].
pub fn fill(context: &Context, value: T, x: &mut [T]) -> Result<()> {
    run!(context, "fill", Fill { value: value }, x, [])
}

/// `y[i] = x[i]`, bit patterns of NaN included.
///
/// # Errors
/// [`Error::Shape`] if the lengths differ, else as [`Context::tasks`].
pub fn copy(context: &Context, x: &[T], y: &mut [T]) -> Result<()> {
    run!(context, "copy", Copied {}, y, [x])
}

/// `x[i] = low` where `low > x[i]`, `high` where `high < x[i]`, else `x[i]` with its own bits: a zero keeps its sign
/// beside a bound of zero, and NaN stays NaN.
///
/// # Errors
/// [`Error::Argument`] unless `low <= high` (so NaN is none), else as [`Context::tasks`].
pub fn clip(context: &Context, low: T, high: T, x: &mut [T]) -> Result<()> {
    if low <= high {
        return run!(context, "clip", Clip { low: low, high: high }, x, []);
    }
    let actual = format!("{low:?} above {high:?}");
    Err(Error::Argument { op: "clip", what: "the lower bound", requirement: "at most the upper one", actual })
}

/// Scales `x` by `max_norm / norm` if its Euclidean norm is larger than `max_norm`; gives the norm from before.
///
/// The norm is [`norm`], the quotient rounds once and every product once, so that the new norm is `max_norm` up to
/// rounding. If a square overflowed or an element is infinite, the quotient is zero, and then so is every finite
/// element; if the norm is NaN, nothing is scaled. The norm that is returned tells.
///
/// # Errors
/// [`Error::Argument`] unless `max_norm >= 0`, else as [`Context::tasks`].
pub fn clip_norm(context: &Context, max_norm: T, x: &mut [T]) -> Result<T> {
    if max_norm < T::ZERO || max_norm.to_f64().is_nan() {
        let actual = format!("{max_norm:?}");
        return Err(Error::Argument { op: "clip_norm", what: "the largest norm", requirement: "at least 0", actual });
    }
    let before = norm(context, x)?;
    if before > max_norm {
        scale(context, max_norm / before, x)?;
    }
    Ok(before)
}

/// `y[i] = 0 if 0 > x[i], else x[i]`: `-0` stays `-0`, and NaN stays NaN.
///
/// # Errors
/// [`Error::Shape`] if the lengths differ, else as [`Context::tasks`].
pub fn relu_forward(context: &Context, x: &[T], y: &mut [T]) -> Result<()> {
    run!(context, "relu_forward", ReluForward { zero: T::ZERO }, y, [x])
}

/// [`relu_forward`] in place.
///
/// # Errors
/// As [`Context::tasks`].
pub fn relu_forward_in_place(context: &Context, x: &mut [T]) -> Result<()> {
    run!(context, "relu_forward", ReluForwardInPlace { zero: T::ZERO }, x, [])
}

/// `d_x[i] = +0 if x[i] <= 0, else d_y[i]`: the derivative at zero is zero, and NaN lets the gradient pass.
///
/// The forward's output serves as well as its input: one is at most zero exactly where the other is.
///
/// # Errors
/// [`Error::Shape`] if the lengths differ, else as [`Context::tasks`].
pub fn relu_backward(context: &Context, x: &[T], d_y: &[T], d_x: &mut [T]) -> Result<()> {
    run!(context, "relu_backward", ReluBackward { zero: T::ZERO }, d_x, [x, d_y])
}

/// [`relu_backward`] in place: `d` holds `d_y` before and `d_x` after.
///
/// # Errors
/// [`Error::Shape`] if the lengths differ, else as [`Context::tasks`].
pub fn relu_backward_in_place(context: &Context, x: &[T], d: &mut [T]) -> Result<()> {
    run!(context, "relu_backward", ReluBackwardInPlace { zero: T::ZERO }, d, [x])
}

/// `d[i] = d[i] * fma(-y[i], y[i], 1)`: the gradient of a hyperbolic tangent whose output is `y`, in place.
///
/// # Errors
/// [`Error::Shape`] if the lengths differ, else as [`Context::tasks`].
pub fn tanh_backward_in_place(context: &Context, y: &[T], d: &mut [T]) -> Result<()> {
    run!(context, "tanh_backward", TanhBackwardInPlace { one: T::ONE }, d, [y])
}
}

#[cfg(test)]
mod tests;

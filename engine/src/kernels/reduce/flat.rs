//! Flat reductions: stripes, halving, tree.

use crate::error::Result;
use crate::parallel::Context;
use crate::simd::{Kernel, Mask, Real, Tier, Vector};

/// Shards that one task reduces by itself; a power of two, so that they are a subtree. Bit-neutral.
const GROUP: usize = 8;
/// Vectors that hold the stripes at most: 64 stripes of eight lanes.
const MAX_VECTORS: usize = 8;

/// A reduction of one or two operands; [the module](super) has the table.
pub(crate) trait Fold<T: Real>: Copy + Send + Sync {
    /// Where a chain starts; also what stands for elements that are not there.
    fn start(self) -> T;
    /// One step of a chain. A reduction of one operand does not look at `b`.
    fn step<V: Vector<Elem = T>>(self, acc: V, a: V, b: V) -> V;
    /// Joins partial results lane by lane.
    fn join<V: Vector<Elem = T>>(self, left: V, right: V) -> V;
    /// Joins lane `i` and lane `i + h` for `h` = half of the lanes, ..., 1.
    fn join_lanes<V: Vector<Elem = T>>(self, stripes: V) -> T;
    /// Joins partial results.
    fn join_one(self, left: T, right: T) -> T;
}

macro_rules! additive {
    ($(#[$doc:meta])* $name:ident, |$acc:ident, $a:ident, $b:ident| $step:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy)]
        pub(crate) struct $name;
        impl<T: Real> Fold<T> for $name {
            #[inline(always)]
            fn start(self) -> T {
                T::ZERO
            }
            #[inline(always)]
            fn step<V: Vector<Elem = T>>(self, $acc: V, $a: V, $b: V) -> V {
                $step
            }
            #[inline(always)]
            fn join<V: Vector<Elem = T>>(self, left: V, right: V) -> V {
                left + right
            }
            #[inline(always)]
            fn join_lanes<V: Vector<Elem = T>>(self, stripes: V) -> T {
                stripes.fold_halves()
            }
            #[inline(always)]
            fn join_one(self, left: T, right: T) -> T {
                left + right
            }
        }
    };
}
additive!(
    /// `s + x`.
    Sum,
    |acc, a, _b| acc + a
);
additive!(
    /// `fma(x, x, s)`.
    SumOfSquares,
    |acc, a, _b| a.fma(a, acc)
);
additive!(
    /// `fma(a, b, s)`.
    Dot,
    |acc, a, b| a.fma(b, acc)
);
additive!(
    /// `fma(a - b, a - b, s)`.
    SquaredDistance,
    |acc, a, b| {
        let difference = a - b;
        difference.fma(difference, acc)
    }
);

macro_rules! maximal {
    ($(#[$doc:meta])* $name:ident, $start:expr, |$a:ident| $value:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy)]
        pub(crate) struct $name;
        impl<T: Real> Fold<T> for $name {
            #[inline(always)]
            fn start(self) -> T {
                T::from_f64($start)
            }
            #[inline(always)]
            fn step<V: Vector<Elem = T>>(self, acc: V, $a: V, _: V) -> V {
                $value.max(acc)
            }
            #[inline(always)]
            fn join<V: Vector<Elem = T>>(self, left: V, right: V) -> V {
                left.max(right)
            }
            #[inline(always)]
            fn join_lanes<V: Vector<Elem = T>>(self, stripes: V) -> T {
                stripes.fold_halves_max()
            }
            #[inline(always)]
            fn join_one(self, left: T, right: T) -> T {
                left.max_select(right)
            }
        }
    };
}
maximal!(
    /// `if x > s { x } else { s }`.
    Max,
    f64::NEG_INFINITY,
    |a| a
);
maximal!(
    /// `if |x| > s { |x| } else { s }`.
    MaxAbs,
    0.0,
    |a| a.abs()
);

/// Where a vector's elements stand in a slice.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span {
    /// Index of the first element.
    pub from: usize,
    /// Number of elements: all lanes, or fewer at the end.
    pub count: usize,
}

impl Span {
    /// The elements of `x` in this span; lanes beyond it are `+0`.
    #[inline(always)]
    pub(crate) fn load<V: Vector>(self, tier: V::Tier, x: &[V::Elem]) -> V {
        let x = &x[self.from..self.from + self.count];
        if self.count == V::LANES { V::load(tier, x) } else { V::load_partial(tier, x) }
    }
    /// Writes the lanes of this span to `x`.
    #[inline(always)]
    pub(crate) fn store<V: Vector>(self, v: V, x: &mut [V::Elem]) {
        let x = &mut x[self.from..self.from + self.count];
        if self.count == V::LANES { v.store(x) } else { v.store_partial(x) }
    }
    /// The elements of `x` in this span; lanes beyond it are `fill`.
    #[inline(always)]
    pub(crate) fn load_or<V: Vector>(self, tier: V::Tier, x: &[V::Elem], fill: V::Elem) -> V {
        let v = self.load::<V>(tier, x);
        if self.count == V::LANES { v } else { self.keep(tier, v, fill) }
    }
    /// Lanes of `v` inside of the span, `fill` beyond it.
    #[inline(always)]
    pub(crate) fn keep<V: Vector>(self, tier: V::Tier, v: V, fill: V::Elem) -> V {
        if self.count == V::LANES {
            return v;
        }
        let inside = indices::<V>(tier).lt(V::splat(tier, V::Elem::from_f64(self.count as f64)));
        V::select(inside, v, V::splat(tier, fill))
    }
}

/// 0, 1, 2, ...
#[inline(always)]
pub(crate) fn indices<V: Vector>(tier: V::Tier) -> V {
    let lanes: [V::Elem; 16] = std::array::from_fn(|i| V::Elem::from_f64(i as f64));
    V::load(tier, &lanes)
}

/// Runs the stripes over elements `0..len` and halves them down to one vector.
///
/// `step` continues a chain with the elements of a span, `join` halves. What `start` and `step` make of lanes beyond the
/// span must not change what `join` gives.
#[inline(always)]
pub(crate) fn striped<V: Vector, const STRIPES: usize>(
    len: usize,
    start: V,
    mut step: impl FnMut(V, Span) -> V,
    join: impl Fn(V, V) -> V,
) -> V {
    let vectors = const {
        assert!(STRIPES.is_multiple_of(V::LANES) && STRIPES / V::LANES <= MAX_VECTORS);
        STRIPES / V::LANES
    };
    let mut acc = [start; MAX_VECTORS];
    let full = len - len % STRIPES;
    let mut row = 0;
    while row < full {
        for (v, acc) in acc[..vectors].iter_mut().enumerate() {
            *acc = step(*acc, Span { from: row + v * V::LANES, count: V::LANES });
        }
        row += STRIPES;
    }
    for (v, acc) in acc[..vectors].iter_mut().enumerate() {
        let from = full + v * V::LANES;
        if from < len {
            *acc = step(*acc, Span { from, count: (len - from).min(V::LANES) });
        }
    }
    let mut half = vectors / 2;
    while half > 0 {
        // A stripe without elements changes nothing.
        if len > half * V::LANES {
            for v in 0..half {
                acc[v] = join(acc[v], acc[v + half]);
            }
        }
        half /= 2;
    }
    acc[0]
}

/// One shard, without the canonical zero.
#[inline(always)]
fn shard<T: Real, S: Tier, F: Fold<T>, const STRIPES: usize>(tier: S, fold: F, a: &[T], b: &[T]) -> T {
    let start = fold.start();
    let b = &b[..a.len()];
    let stripes = striped::<T::V<S>, STRIPES>(
        a.len(),
        T::V::<S>::splat(tier, start),
        #[inline(always)]
        |acc, span| fold.step(acc, span.load_or(tier, a, start), span.load(tier, b)),
        #[inline(always)]
        |left, right| fold.join(left, right),
    );
    fold.join_lanes(stripes)
}

/// The left-balanced tree over at most [`GROUP`] shards.
#[inline(always)]
fn subtree<T: Real, S: Tier, F: Fold<T>, const STRIPES: usize>(
    tier: S,
    fold: F,
    shard_len: usize,
    a: &[T],
    b: &[T],
) -> T {
    if a.len() <= shard_len {
        return shard::<T, S, F, STRIPES>(tier, fold, a, b);
    }
    let mut partials = [fold.start(); GROUP];
    let count = a.len().div_ceil(shard_len);
    for (i, partial) in partials[..count].iter_mut().enumerate() {
        let range = i * shard_len..((i + 1) * shard_len).min(a.len());
        *partial = shard::<T, S, F, STRIPES>(tier, fold, &a[range.clone()], &b[range]);
    }
    fold_in_place(&mut partials[..count], |left, right| fold.join_one(left, right))
}

/// The left-balanced tree over values that may be overwritten, level by level from the leaves. There must be one.
#[inline(always)]
pub(crate) fn fold_in_place<T: Copy>(values: &mut [T], join: impl Fn(T, T) -> T) -> T {
    let mut width = 1;
    while width < values.len() {
        let mut i = 0;
        while i + width < values.len() {
            values[i] = join(values[i], values[i + width]);
            i += 2 * width;
        }
        width *= 2;
    }
    values[0]
}

struct Flat<'a, T, F, const STRIPES: usize> {
    context: &'a Context,
    fold: F,
    shard_len: usize,
    a: &'a [T],
    b: &'a [T],
}

impl<T: Real, F: Fold<T>, const STRIPES: usize> Kernel for Flat<'_, T, F, STRIPES> {
    type Output = Result<T>;
    #[inline(always)]
    fn run<S: Tier>(self, tier: S) -> Result<T> {
        let Self { context, fold, shard_len, a, b } = self;
        let group = GROUP * shard_len;
        let root = context.tree(
            a.len().div_ceil(group),
            |i| {
                let range = i * group..((i + 1) * group).min(a.len());
                tier.vectorize(
                    #[inline(always)]
                    || subtree::<T, S, F, STRIPES>(tier, fold, shard_len, &a[range.clone()], &b[range]),
                )
            },
            |left, right| fold.join_one(left, right),
        )?;
        Ok(T::ZERO + root.unwrap_or(fold.start()))
    }
}

/// A flat reduction over `a`, and over `b` of the same length. The contract's `STRIPES` and `shard_len` are parameters
/// only so that tests can see what others would give.
pub(super) fn flat<T: Real, F: Fold<T>, const STRIPES: usize>(
    context: &Context,
    fold: F,
    shard_len: usize,
    a: &[T],
    b: &[T],
) -> Result<T> {
    context.dispatch(Flat::<T, F, STRIPES> { context, fold, shard_len, a, b })?
}

/// The flat rule for one row, in the calling thread.
#[inline(always)]
pub(crate) fn reduce_row<T: Real, S: Tier, F: Fold<T>>(tier: S, fold: F, a: &[T], b: &[T]) -> T {
    let root = if a.len() <= super::SHARD {
        shard::<T, S, F, { super::STRIPES }>(tier, fold, a, b)
    } else {
        let mut tree = crate::parallel::TreeFold::new(|left, right| fold.join_one(left, right));
        for (a, b) in a.chunks(super::SHARD).zip(b.chunks(super::SHARD)) {
            tree.push(shard::<T, S, F, { super::STRIPES }>(tier, fold, a, b));
        }
        tree.finish().unwrap_or(fold.start())
    };
    T::ZERO + root
}

/// [`reduce_row`] with [`Sum`] for as many rows as there are sums, `stride` elements apart.
///
/// Rows of one shard are taken many at a time: their lanes are folded together.
#[inline(always)]
pub(super) fn sum_rows<T: Real, S: Tier>(tier: S, x: &[T], cols: usize, stride: usize, sums: &mut [T]) {
    let lanes = T::V::<S>::LANES;
    let together = if cols <= super::SHARD { sums.len() - sums.len() % lanes } else { 0 };
    let (many, rest) = sums.split_at_mut(together);
    for (i, many) in many.chunks_exact_mut(lanes).enumerate() {
        let mut rows = [T::V::<S>::zero(tier); 16];
        for (r, row) in rows[..lanes].iter_mut().enumerate() {
            *row = sum_stripes(tier, &x[(i * lanes + r) * stride..][..cols]);
        }
        (T::V::<S>::zero(tier) + T::V::<S>::fold_halves_each(tier, rows)).store(many);
    }
    for (i, sum) in rest.iter_mut().enumerate() {
        let x = &x[(together + i) * stride..][..cols];
        *sum = reduce_row(tier, Sum, x, x);
    }
}

/// The stripes of a sum over at most one shard, halved down to one vector. Chains start at `+0` and so are never `-0`;
/// stripes without elements can take part.
#[inline(always)]
fn sum_stripes<T: Real, S: Tier>(tier: S, row: &[T]) -> T::V<S> {
    let lanes = T::V::<S>::LANES;
    let vectors = const { super::STRIPES / T::V::<S>::LANES };
    let mut acc = [T::V::<S>::zero(tier); MAX_VECTORS];
    let (blocks, tail) = row.as_chunks::<{ super::STRIPES }>();
    for block in blocks {
        for (acc, x) in acc[..vectors].iter_mut().zip(block.chunks_exact(lanes)) {
            *acc = *acc + T::V::<S>::load(tier, x);
        }
    }
    if !tail.is_empty() {
        for (acc, x) in acc[..vectors].iter_mut().zip(tail.chunks(lanes)) {
            *acc = *acc + T::V::<S>::load_partial(tier, x);
        }
    }
    // Eight lanes need one halving more than sixteen.
    if vectors == MAX_VECTORS {
        for v in 0..4 {
            acc[v] = acc[v] + acc[v + 4];
        }
    }
    (acc[0] + acc[2]) + (acc[1] + acc[3])
}

struct FirstNonFinite<'a, T> {
    context: &'a Context,
    x: &'a [T],
}

/// The first element of `x` that is not finite.
#[inline(always)]
fn first_in<T: Real, S: Tier>(tier: S, x: &[T]) -> Option<usize> {
    const BLOCK: usize = 64;
    let infinity = T::V::<S>::splat(tier, T::from_f64(f64::INFINITY));
    let mut blocks = x.chunks_exact(BLOCK);
    let mut from = 0;
    for block in &mut blocks {
        // NaN compares false, so lanes that stay set are finite.
        let mut finite = T::V::<S>::load(tier, block).abs().lt(infinity);
        for part in block.chunks_exact(T::V::<S>::LANES).skip(1) {
            finite = finite & T::V::<S>::load(tier, part).abs().lt(infinity);
        }
        if !finite.all() {
            break;
        }
        from += BLOCK;
    }
    x[from..].iter().position(|x| !x.to_f64().is_finite()).map(|i| from + i)
}

impl<T: Real> Kernel for FirstNonFinite<'_, T> {
    type Output = Result<Option<usize>>;
    #[inline(always)]
    fn run<S: Tier>(self, tier: S) -> Result<Option<usize>> {
        let Self { context, x } = self;
        let group = GROUP * super::SHARD;
        let first = context.tree(
            x.len().div_ceil(group),
            |i| {
                let part = &x[i * group..((i + 1) * group).min(x.len())];
                let first = tier.vectorize(
                    #[inline(always)]
                    || first_in(tier, part),
                );
                first.map(|first| i * group + first)
            },
            Option::or,
        )?;
        Ok(first.flatten())
    }
}

pub(super) fn first_non_finite<T: Real>(context: &Context, x: &[T]) -> Result<Option<usize>> {
    context.dispatch(FirstNonFinite { context, x })?
}

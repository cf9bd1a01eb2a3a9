//! The vector loops of this module. Each equals its twin in [`crate::reference::linalg`] bit for bit.

use crate::error::Result;
use crate::kernels::reduce::{self, Dot, reduce_row};
use crate::parallel::Context;
use crate::simd::{Kernel, Tier, Vector};
use crate::tensor::MatRef;

/// Lanes of a vector of `f64`; rows are padded to a multiple of it.
pub(super) const LANES: usize = 8;
/// Rows in a shard of `symmetric_product`. Part of the contract.
pub const SHARD_ROWS: usize = 64;
/// Rows that one pass over the columns takes along. Bit-neutral.
const GROUP: usize = 4;
/// Columns that a task of [`combine`] takes. Bit-neutral.
const TASK_COLUMNS: usize = 1024;
/// Rows that a task of [`row_dots`] takes. Bit-neutral.
const TASK_ROWS: usize = 8;
/// Columns of a panel of [`rotate`]: two vectors.
pub(super) const PANEL: usize = 2 * LANES;

/// Room for the partial results of [`symmetric_product`] on matrices of `size` rows: for each shard of rows a row of
/// `size` sums and the dot products of its own rows.
pub(super) fn product_scratch(size: usize) -> usize {
    size.div_ceil(SHARD_ROWS) * (size + SHARD_ROWS)
}

/// `y = A x` for the symmetric matrix of which `upper` holds the strict upper triangle and `diagonal` the rest, in the
/// rows and columns from `from` on. Elements of `y` before `from` are meaningless.
///
/// Shapes: `upper` is size x size, row after row; `diagonal`, `x` and `y` have `size` elements, a multiple of eight.
/// Elements on and below the diagonal that share a group of eight columns with it are zero in `upper`; others below it
/// are not read. `x` is zero before `from`; rows before `from` may hold anything finite. `scratch` has
/// [`product_scratch`] elements, and was zero before its first use.
///
/// Every element above the diagonal is read once and used twice, so the product costs half of the memory traffic of one
/// with the full matrix.
pub(super) fn symmetric_product(
    context: &Context,
    upper: &[f64],
    diagonal: &[f64],
    from: usize,
    x: &[f64],
    scratch: &mut [f64],
    y: &mut [f64],
) -> Result<()> {
    let size = x.len();
    let pitch = size + SHARD_ROWS;
    let first = from / SHARD_ROWS;
    context.dispatch(SymmetricProduct { context, upper, from, x, scratch: &mut scratch[first * pitch..] })??;
    let shards = size.div_ceil(SHARD_ROWS) - first;
    let partials = &scratch[first * pitch..];
    // The first shard may have been written from here on; what lies to the left of it is not asked for.
    let begin = from / LANES * LANES;
    let sums = MatRef::with_strides(&partials[begin..], shards, size - begin, pitch, 1)?;
    reduce::column_sums(context, sums, &mut y[begin..])?;
    for (i, y) in y.iter_mut().enumerate().skip(from) {
        let dot = partials[(i / SHARD_ROWS - first) * pitch + size + i % SHARD_ROWS];
        *y = (*y + dot) + diagonal[i] * x[i];
    }
    Ok(())
}

struct SymmetricProduct<'a> {
    context: &'a Context,
    upper: &'a [f64],
    from: usize,
    x: &'a [f64],
    scratch: &'a mut [f64],
}

impl Kernel for SymmetricProduct<'_> {
    type Output = Result<()>;
    #[inline(always)]
    fn run<S: Tier>(self, tier: S) -> Result<()> {
        let Self { context, upper, from, x, scratch } = self;
        let size = x.len();
        let pitch = size + SHARD_ROWS;
        let first = from / SHARD_ROWS;
        context.chunks(scratch, pitch, |start, part| {
            let row = (first + start / pitch) * SHARD_ROWS;
            let (sums, dots) = part.split_at_mut(size);
            // Whole groups; those of their rows that are not asked for meet zeros of x.
            let begin = from.max(row) / LANES * LANES;
            tier.vectorize(
                #[inline(always)]
                || product_of_rows(tier, upper, begin..size.min(row + SHARD_ROWS), x, sums, &mut dots[begin - row..]),
            );
            Ok(())
        })
    }
}

/// The products of some rows of one shard.
#[inline(always)]
fn product_of_rows<S: Tier>(
    tier: S,
    upper: &[f64],
    rows: std::ops::Range<usize>,
    x: &[f64],
    sums: &mut [f64],
    dots: &mut [f64],
) {
    let size = x.len();
    sums[rows.start..].fill(0.0);
    for (group, i) in rows.step_by(GROUP).enumerate() {
        let left = i / LANES * LANES;
        let row: [&[f64]; GROUP] = std::array::from_fn(|r| &upper[(i + r) * size + left..(i + r + 1) * size]);
        let factor: [S::F64; GROUP] = std::array::from_fn(|r| S::F64::splat(tier, x[i + r]));
        let mut dot = [S::F64::zero(tier); GROUP];
        let columns = sums[left..].chunks_exact_mut(LANES).zip(x[left..].chunks_exact(LANES));
        let rows01 = row[0].chunks_exact(LANES).zip(row[1].chunks_exact(LANES));
        let rows23 = row[2].chunks_exact(LANES).zip(row[3].chunks_exact(LANES));
        for (((sum, x), (a0, a1)), (a2, a3)) in columns.zip(rows01).zip(rows23) {
            let x = S::F64::load(tier, x);
            let mut s = S::F64::load(tier, sum);
            for (r, a) in [a0, a1, a2, a3].into_iter().enumerate() {
                let a = S::F64::load(tier, a);
                s = a.fma(factor[r], s);
                dot[r] = a.fma(x, dot[r]);
            }
            s.store(sum);
        }
        for (dot, out) in dot.into_iter().zip(&mut dots[group * GROUP..]) {
            *out = dot.fold_halves();
        }
    }
}

/// `y[j] = fma(-factors[p], rows[p][j], y[j])` for p = 0, 1, ...: a combination of rows is taken away from `y`.
///
/// Row `p` is `rows[p * pitch + j]`.
pub(super) fn combine(context: &Context, factors: &[f64], rows: &[f64], pitch: usize, y: &mut [f64]) -> Result<()> {
    context.dispatch(Combine { context, factors, rows, pitch, y })?
}

struct Combine<'a> {
    context: &'a Context,
    factors: &'a [f64],
    rows: &'a [f64],
    pitch: usize,
    y: &'a mut [f64],
}

impl Kernel for Combine<'_> {
    type Output = Result<()>;
    #[inline(always)]
    fn run<S: Tier>(self, tier: S) -> Result<()> {
        let Self { context, factors, rows, pitch, y } = self;
        context.chunks(y, TASK_COLUMNS, |start, y| {
            tier.vectorize(
                #[inline(always)]
                || {
                    for (block, y) in y.chunks_mut(2 * LANES).enumerate() {
                        let from = start + block * 2 * LANES;
                        let (low, high) = y.split_at_mut(LANES.min(y.len()));
                        let mut acc = [S::F64::load_partial(tier, low), S::F64::load_partial(tier, high)];
                        for (p, &factor) in factors.iter().enumerate() {
                            let row = &rows[p * pitch + from..][..low.len() + high.len()];
                            let (row_low, row_high) = row.split_at(low.len());
                            let factor = S::F64::splat(tier, -factor);
                            acc[0] = factor.fma(S::F64::load_partial(tier, row_low), acc[0]);
                            acc[1] = factor.fma(S::F64::load_partial(tier, row_high), acc[1]);
                        }
                        acc[0].store_partial(low);
                        acc[1].store_partial(high);
                    }
                },
            );
            Ok(())
        })
    }
}

/// `dots[p]` is the dot product of row `p` and `x`, by the rule of [`reduce::dot`].
pub(super) fn row_dots(context: &Context, rows: &[f64], pitch: usize, x: &[f64], dots: &mut [f64]) -> Result<()> {
    context.dispatch(RowDots { context, rows, pitch, x, dots })?
}

struct RowDots<'a> {
    context: &'a Context,
    rows: &'a [f64],
    pitch: usize,
    x: &'a [f64],
    dots: &'a mut [f64],
}

impl Kernel for RowDots<'_> {
    type Output = Result<()>;
    #[inline(always)]
    fn run<S: Tier>(self, tier: S) -> Result<()> {
        let Self { context, rows, pitch, x, dots } = self;
        context.chunks(dots, TASK_ROWS, |start, dots| {
            tier.vectorize(
                #[inline(always)]
                || {
                    for (p, dot) in dots.iter_mut().enumerate() {
                        *dot = reduce_row(tier, Dot, &rows[(start + p) * pitch..][..x.len()], x);
                    }
                },
            );
            Ok(())
        })
    }
}

/// Plane rotations of neighbouring rows, one after another along the rows.
///
/// Rotation `k` of `length` meets rows `first - k` and `first - k - 1` if `falling`, else `first + k` and
/// `first + k + 1`: the row that the one before left is `z`, the next one `y`, and with its cosine `c` and sine `s`
/// ```text
/// z = fma(s, y, c z)        y = fma(-s, z, c y)
/// ```
/// from the old values on the right.
#[derive(Debug, Clone, Copy)]
pub struct Sweep {
    /// The row where the sweep starts.
    pub first: usize,
    /// Whether it goes to rows of lower index.
    pub falling: bool,
    /// Number of rotations.
    pub length: usize,
}

impl Sweep {
    /// The row that is reached after `k` rotations.
    #[inline(always)]
    #[must_use]
    pub fn row(&self, k: usize) -> usize {
        if self.falling { self.first - k } else { self.first + k }
    }
}

/// Applies `sweeps` to a matrix that is cut into panels of [`PANEL`] columns: `panels` holds one after another, each
/// `height` rows of [`PANEL`] elements. `rotations` has the (cosine, sine) of all rotations, sweep after sweep.
///
/// A panel stays in the second-level cache while all sweeps pass over it.
pub(super) fn rotate(
    context: &Context,
    height: usize,
    sweeps: &[Sweep],
    rotations: &[[f64; 2]],
    panels: &mut [f64],
) -> Result<()> {
    context.dispatch(Rotate { context, height, sweeps, rotations, panels })?
}

struct Rotate<'a> {
    context: &'a Context,
    height: usize,
    sweeps: &'a [Sweep],
    rotations: &'a [[f64; 2]],
    panels: &'a mut [f64],
}

impl Kernel for Rotate<'_> {
    type Output = Result<()>;
    #[inline(always)]
    fn run<S: Tier>(self, tier: S) -> Result<()> {
        let Self { context, height, sweeps, rotations, panels } = self;
        context.chunks(panels, height * PANEL, |_, panel| {
            tier.vectorize(
                #[inline(always)]
                || rotate_panel(tier, sweeps, rotations, panel),
            );
            Ok(())
        })
    }
}

#[inline(always)]
fn rotate_panel<S: Tier>(tier: S, sweeps: &[Sweep], mut rotations: &[[f64; 2]], panel: &mut [f64]) {
    for sweep in sweeps {
        let (own, rest) = rotations.split_at(sweep.length);
        rotations = rest;
        let mut z = load_row(tier, panel, sweep.first);
        for (k, &[c, s]) in own.iter().enumerate() {
            let (c, s) = (S::F64::splat(tier, c), S::F64::splat(tier, s));
            let y = load_row(tier, panel, sweep.row(k + 1));
            let stay = [s.fma(y[0], c * z[0]), s.fma(y[1], c * z[1])];
            z = [(-s).fma(z[0], c * y[0]), (-s).fma(z[1], c * y[1])];
            store_row(stay, panel, sweep.row(k));
        }
        store_row(z, panel, sweep.row(sweep.length));
    }
}

#[inline(always)]
fn load_row<S: Tier>(tier: S, panel: &[f64], row: usize) -> [S::F64; 2] {
    let row = &panel[row * PANEL..][..PANEL];
    [S::F64::load(tier, &row[..LANES]), S::F64::load(tier, &row[LANES..])]
}

#[inline(always)]
fn store_row<V: Vector<Elem = f64>>(values: [V; 2], panel: &mut [f64], row: usize) {
    let row = &mut panel[row * PANEL..][..PANEL];
    values[0].store(&mut row[..LANES]);
    values[1].store(&mut row[LANES..]);
}

/// `y = fma(-s, z, c y)`, `z = fma(s, y, c z)` for two rows, from the old values on the right.
pub(super) fn rotate_pair(context: &Context, c: f64, s: f64, z: &mut [f64], y: &mut [f64]) -> Result<()> {
    context.dispatch(RotatePair { c, s, z, y })
}

struct RotatePair<'a> {
    c: f64,
    s: f64,
    z: &'a mut [f64],
    y: &'a mut [f64],
}

impl Kernel for RotatePair<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Tier>(self, tier: S) {
        let (c, s) = (S::F64::splat(tier, self.c), S::F64::splat(tier, self.s));
        for (z, y) in self.z.chunks_mut(LANES).zip(self.y.chunks_mut(LANES)) {
            let (old_z, old_y) = (S::F64::load_partial(tier, z), S::F64::load_partial(tier, y));
            s.fma(old_y, c * old_z).store_partial(z);
            (-s).fma(old_z, c * old_y).store_partial(y);
        }
    }
}

/// Solves `L X = B` in place for a small lower triangle: `x_j = (b_j - sum_{p<j} l_jp x_p) / l_jj`, the sum one chain of
/// `fma(-l_jp, x_p, .)` over ascending p.
///
/// Shapes: `triangle` is n x n with any strides, `b` has n rows of `pitch` elements of which the first `columns` are
/// solved. With `backward` the triangle is an upper one, and p and j descend.
pub(super) fn solve_block(
    context: &Context,
    triangle: MatRef<'_, f64>,
    backward: bool,
    b: &mut [f64],
    pitch: usize,
    columns: usize,
) -> Result<()> {
    context.dispatch(SolveBlock { triangle, backward, b, pitch, columns })
}

struct SolveBlock<'a> {
    triangle: MatRef<'a, f64>,
    backward: bool,
    b: &'a mut [f64],
    pitch: usize,
    columns: usize,
}

impl Kernel for SolveBlock<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Tier>(self, tier: S) {
        let Self { triangle, backward, b, pitch, columns } = self;
        let n = triangle.rows();
        let place = |k: usize| if backward { n - 1 - k } else { k };
        for from in (0..columns).step_by(LANES) {
            let width = LANES.min(columns - from);
            for j in 0..n {
                let at = place(j) * pitch + from;
                let mut acc = S::F64::load_partial(tier, &b[at..at + width]);
                for p in 0..j {
                    let solved = place(p) * pitch + from;
                    let x = S::F64::load_partial(tier, &b[solved..solved + width]);
                    acc = S::F64::splat(tier, -triangle.at(place(j), place(p))).fma(x, acc);
                }
                let divisor = S::F64::splat(tier, triangle.at(place(j), place(j)));
                ((S::F64::zero(tier) + acc) / divisor).store_partial(&mut b[at..at + width]);
            }
        }
    }
}

//! Eigenvalues and eigenvectors of symmetric matrices.

use super::kernels::{PANEL, Sweep, rotate};
use super::tridiagonal::Tridiagonal;
use super::{EPSILON, check_finite, check_square, power_scale};
use crate::error::{Error, Result};
use crate::memory::Buffer;
use crate::parallel::Context;
use crate::simd::Real;
use crate::tensor::MatRef;

const OP: &str = "symmetric eigenproblem";
/// QL iterations for each eigenvalue at most; two are usual.
const MOST_ITERATIONS: usize = 30;
/// Rotations that are noted down before they are applied: so many for each row of the matrix. Bit-neutral.
const SWEEPS_IN_BATCH: usize = 48;

/// `A = V' D V`: D holds the eigenvalues in descending order, the rows of V are the eigenvectors.
///
/// # Canonical form
/// Equal eigenvalues keep the order in which the tridiagonal form had them. Of each eigenvector, the first element whose
/// magnitude is at least half of the largest is positive: half, so that rounding cannot decide between the equal
/// elements that a symmetric problem has.
#[derive(Debug)]
pub struct SymmetricEigen {
    values: Vec<f64>,
    vectors: Buffer<f64>,
}

impl SymmetricEigen {
    /// Decomposes the n x n matrix `a`; strides are free.
    ///
    /// Costs about `9 n^3` operations, and memory for `3 n^2` numbers.
    ///
    /// # Errors
    /// [`Error::Shape`] unless `a` is square, [`Error::NotFinite`] for an infinity or NaN, [`Error::NotSymmetric`] if two
    /// elements that should be equal differ by more than `n 2^-52` of the largest, [`Error::NoConvergence`] after 30 n
    /// iterations (none is known), [`Error::OutOfMemory`].
    pub fn new(context: &Context, a: MatRef<'_, f64>) -> Result<Self> {
        context.install(|| decompose(context, a))
    }

    /// The eigenvalues, the largest first.
    #[must_use]
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// The eigenvectors as rows (n x n): row k belongs to value k.
    #[must_use]
    pub fn vectors(&self) -> &[f64] {
        &self.vectors
    }

    /// The eigenvectors as a matrix.
    ///
    /// # Errors
    /// None; the signature is that of the view's constructor.
    pub fn matrix(&self) -> Result<MatRef<'_, f64>> {
        MatRef::new(&self.vectors, self.values.len(), self.values.len())
    }
}

fn decompose(context: &Context, a: MatRef<'_, f64>) -> Result<SymmetricEigen> {
    check_square(OP, &a)?;
    let largest = check_finite(OP, &a)?;
    check_symmetric(&a, largest)?;
    let (n, scale) = (a.rows(), power_scale(largest));
    let mut form = Tridiagonal::new(context, a, scale)?;
    let mut vectors = Panels::identity(n)?;
    diagonalise(context, &mut form.diagonal, &mut form.beside, &mut vectors)?;
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|&i, &j| form.diagonal[j].total_cmp(&form.diagonal[i]));
    let mut rows = vectors.into_rows(&order)?;
    form.apply_back(context, &mut rows)?;
    for row in rows.chunks_mut(n.max(1)) {
        make_sign_canonical(row);
    }
    Ok(SymmetricEigen { values: order.iter().map(|&i| form.diagonal[i] / scale).collect(), vectors: rows })
}

fn check_symmetric(a: &MatRef<'_, f64>, largest: f64) -> Result<()> {
    /// Rows and columns of a tile, both of whose images stay in cache.
    const TILE: usize = 32;
    let (n, tolerance) = (a.rows(), a.rows() as f64 * EPSILON * largest);
    for top in (0..n).step_by(TILE) {
        for left in (top..n).step_by(TILE) {
            for row in top..n.min(top + TILE) {
                for column in left.max(row + 1)..n.min(left + TILE) {
                    let difference = (a.at(row, column) - a.at(column, row)).abs();
                    if difference > tolerance {
                        return Err(Error::NotSymmetric { op: OP, row, column, difference: format!("{difference:e}") });
                    }
                }
            }
        }
    }
    Ok(())
}

fn make_sign_canonical(row: &mut [f64]) {
    let largest = row.iter().fold(0.0, |m: f64, x| if x.abs() > m { x.abs() } else { m });
    let first = row.iter().find(|x| x.abs() >= 0.5 * largest);
    if first.is_some_and(|&x| x < 0.0) {
        row.iter_mut().for_each(|x| *x = -*x);
    }
}

/// An n x n matrix whose rows are rotated, cut into panels of columns.
struct Panels {
    n: usize,
    data: Buffer<f64>,
}

impl Panels {
    fn identity(n: usize) -> Result<Self> {
        let mut data = Buffer::zeroed(n.next_multiple_of(PANEL) * n)?;
        for i in 0..n {
            data[(i / PANEL * n + i) * PANEL + i % PANEL] = 1.0;
        }
        Ok(Self { n, data })
    }

    /// The rows in the given order, one after another.
    fn into_rows(self, order: &[usize]) -> Result<Buffer<f64>> {
        let n = self.n;
        let mut rows = Buffer::zeroed(n * n)?;
        for (row, &from) in rows.chunks_mut(n.max(1)).zip(order) {
            for (panel, part) in row.chunks_mut(PANEL).enumerate() {
                part.copy_from_slice(&self.data[(panel * n + from) * PANEL..][..part.len()]);
            }
        }
        Ok(rows)
    }
}

/// `c`, `s` and `r` with `c g + s f = r` and `c f - s g = 0`.
fn plane_rotation(f: f64, g: f64) -> (f64, f64, f64) {
    if f == 0.0 {
        return (1.0, 0.0, g);
    }
    // The smaller over the larger, so that no square overflows.
    if g.abs() > f.abs() {
        let t = f / g;
        let u = (1.0 + t * t).sqrt();
        let c = 1.0 / u;
        (c, c * t, g * u)
    } else {
        let t = g / f;
        let u = (1.0 + t * t).sqrt();
        let s = 1.0 / u;
        (s * t, s, f * u)
    }
}

/// Rotations that wait to be applied.
struct Pending {
    sweeps: Vec<Sweep>,
    rotations: Vec<[f64; 2]>,
}

impl Pending {
    fn apply(&mut self, context: &Context, to: &mut Panels) -> Result<()> {
        if self.sweeps.is_empty() {
            return Ok(());
        }
        rotate(context, to.n, &self.sweeps, &self.rotations, &mut to.data)?;
        self.sweeps.clear();
        self.rotations.clear();
        Ok(())
    }
}

/// The implicit QL algorithm with Wilkinson's shift on the tridiagonal matrix with diagonal `d` and `e` beside it.
///
/// Of each block that does not fall apart, the end with the smaller diagonal element converges first: that suits graded
/// matrices. An element beside the diagonal counts as zero when it is at most `2^-53` of the sum of its neighbours on the
/// diagonal, or of the largest element of the matrix: either changes the eigenvalues by no more than rounding does.
fn diagonalise(context: &Context, d: &mut [f64], e: &mut [f64], vectors: &mut Panels) -> Result<()> {
    let n = d.len();
    let half_epsilon = 0.5 * EPSILON;
    let norm = d.iter().chain(e.iter()).fold(0.0, |m: f64, x| if x.abs() > m { x.abs() } else { m });
    let negligible =
        |d: &[f64], e: &[f64], i: usize| e[i].abs() <= half_epsilon * (d[i].abs() + d[i + 1].abs()).max_select(norm);
    let mut pending = Pending { sweeps: Vec::new(), rotations: Vec::new() };
    let mut iterations = 0;
    let mut next = 0;
    while next < n {
        // A block of rows: nothing in it is negligible.
        let first = next;
        let mut last = first;
        while last + 1 < n && !negligible(d, e, last) {
            last += 1;
        }
        next = last + 1;
        // Places count from the end that converges first.
        let upwards = d[last].abs() < d[first].abs();
        let place = |k: usize| if upwards { last - k } else { first + k };
        // The element beside the diagonal between places k and k + 1.
        let between = |k: usize| if upwards { last - k - 1 } else { first + k };
        let length = last - first;
        let mut done = 0;
        while done <= length {
            let mut end = done;
            while end < length && !negligible(d, e, between(end)) {
                end += 1;
            }
            if end < length {
                e[between(end)] = 0.0;
            }
            if end == done {
                done += 1;
                continue;
            }
            if iterations == MOST_ITERATIONS * n {
                return Err(Error::NoConvergence { op: OP, iterations });
            }
            iterations += 1;
            sweep(d, e, done, end, &place, &between, &mut pending.rotations);
            pending.sweeps.push(Sweep { first: place(end), falling: !upwards, length: end - done });
            if pending.rotations.len() >= SWEEPS_IN_BATCH * n {
                pending.apply(context, vectors)?;
            }
        }
    }
    pending.apply(context, vectors)
}

/// One implicit step on places `from..=to`, from the far end to the one that converges.
fn sweep(
    d: &mut [f64],
    e: &mut [f64],
    from: usize,
    to: usize,
    place: &impl Fn(usize) -> usize,
    between: &impl Fn(usize) -> usize,
    rotations: &mut Vec<[f64; 2]>,
) {
    // The eigenvalue of the leading two by two block that is nearer to its first element.
    let (head, beside) = (d[place(from)], e[between(from)]);
    let half = (d[place(from + 1)] - head) / (2.0 * beside);
    let root = if half.abs() > 1e150 { half.abs() } else { (half * half + 1.0).sqrt() };
    let mut g = d[place(to)] - head + beside / (half + if half < 0.0 { -root } else { root });
    let (mut s, mut c, mut p) = (1.0, 1.0, 0.0);
    for k in (from..to).rev() {
        let f = s * e[between(k)];
        let b = c * e[between(k)];
        let r;
        (c, s, r) = plane_rotation(f, g);
        if k + 1 < to {
            e[between(k + 1)] = r;
        }
        g = d[place(k + 1)] - p;
        let q = (d[place(k)] - g) * s + 2.0 * c * b;
        p = s * q;
        d[place(k + 1)] = g + p;
        g = c * q - b;
        rotations.push([c, s]);
    }
    d[place(from)] -= p;
    e[between(from)] = g;
}

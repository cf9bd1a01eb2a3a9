//! The extreme eigenvalues of an operator, by the Lanczos method (C. Lanczos, 1950).
//!
//! In exact arithmetic an orthonormal basis `q_1, q_2, ...` of the spaces spanned by `q, H q, H^2 q, ...` makes H
//! tridiagonal:
//!
//! ```text
//! b_(k+1) q_(k+1) = H q_k - a_k q_k - b_k q_(k-1)          a_k = q_k' H q_k
//! ```
//!
//! and the eigenvalues of the leading k x k part, the Ritz values, approach those of H, the extreme ones first. Rounding
//! costs the basis its orthogonality as soon as a value has converged, after which copies of it appear; so each new
//! vector is made orthogonal to all before it, twice (B. N. Parlett, "The Symmetric Eigenvalue Problem", 1980). For each
//! Ritz value there is an eigenvalue of H within `b_(k+1) |s|`, s the last element of its vector in the basis.

use super::{Operator, RUN, check_count, dot, signs};
use crate::error::{Error, Result};
use crate::linalg::SymmetricEigen;
use crate::memory::Buffer;
use crate::parallel::Context;
use crate::random::Stream;
use crate::tensor::MatRef;

/// Ritz values.
#[derive(Debug, Clone, PartialEq)]
pub struct Spectrum {
    /// The values, the largest first.
    pub values: Vec<f64>,
    /// For each a distance within which H has an eigenvalue, up to the rounding of the products.
    pub errors: Vec<f64>,
    /// The squared first element of each value's vector: the share of it in the random start. Values and weights are a
    /// Gauss quadrature of the spectral density.
    pub weights: Vec<f64>,
}

/// `y = y - a x`, in `f64`, rounded once.
fn subtract(context: &Context, a: f64, x: &[f32], y: &mut [f32]) -> Result<()> {
    context.chunks(y, RUN, |start, y| {
        for (y, x) in y.iter_mut().zip(&x[start..]) {
            *y = (f64::from(*y) - a * f64::from(*x)) as f32;
        }
        Ok(())
    })
}

fn divide(context: &Context, by: f64, y: &mut [f32]) -> Result<()> {
    context.chunks(y, RUN, |_, y| {
        y.iter_mut().for_each(|y| *y = (f64::from(*y) / by) as f32);
        Ok(())
    })
}

/// The Ritz values after `steps` products, or fewer where the space is exhausted. The start has the signs of the stream
/// `curvature/lanczos`. Keeps `steps` vectors.
///
/// # Errors
/// [`Error::Argument`] for no steps, [`Error::NonFinite`] if a product is not finite; [`Error::OutOfMemory`]; else as
/// [`Operator::apply`].
pub fn lanczos(context: &Context, operator: &mut dyn Operator, seed: u64, steps: usize) -> Result<Spectrum> {
    let op = "lanczos";
    check_count(op, "the number of steps", steps)?;
    let dimension: usize = operator.segments().iter().map(|segment| segment.len()).sum();
    check_count(op, "the number of dimensions", dimension)?;
    let mut basis: Vec<Buffer<f32>> = Vec::new();
    let (mut diagonal, mut beside): (Vec<f64>, Vec<f64>) = (Vec::new(), Vec::new());
    let mut next = Buffer::zeroed(operator.size())?;
    signs(context, operator, &Stream::new(seed, "curvature/lanczos", 0), &mut next)?;
    divide(context, (dimension as f64).sqrt(), &mut next)?;
    let mut scale = 0.0f64;
    for _ in 0..steps.min(dimension) {
        basis.push(std::mem::replace(&mut next, Buffer::zeroed(operator.size())?));
        let k = basis.len() - 1;
        operator.apply(context, &basis[k], &mut next)?;
        let a = dot(context, &basis[k], &next)?;
        diagonal.push(a);
        for _ in 0..2 {
            for q in basis.iter().rev() {
                let part = dot(context, q, &next)?;
                subtract(context, part, q, &mut next)?;
            }
        }
        let b = dot(context, &next, &next)?.sqrt();
        if !(a.is_finite() && b.is_finite()) {
            return Err(Error::NonFinite { quantity: "product", name: format!("step {k} of {op}") });
        }
        beside.push(b);
        let size = a.abs() + b;
        scale = if size > scale { size } else { scale };
        // What is left is the rounding of the products: the space holds no further direction.
        if b <= scale * f64::from(f32::EPSILON) {
            break;
        }
        divide(context, b, &mut next)?;
    }
    ritz(context, &diagonal, &beside)
}

fn ritz(context: &Context, diagonal: &[f64], beside: &[f64]) -> Result<Spectrum> {
    let k = diagonal.len();
    let mut matrix = vec![0.0; k * k];
    for i in 0..k {
        matrix[i * k + i] = diagonal[i];
        if i + 1 < k {
            (matrix[i * k + i + 1], matrix[(i + 1) * k + i]) = (beside[i], beside[i]);
        }
    }
    let eigen = SymmetricEigen::new(context, MatRef::new(&matrix, k, k)?)?;
    let vectors = eigen.vectors().chunks_exact(k);
    Ok(Spectrum {
        values: eigen.values().to_vec(),
        errors: vectors.clone().map(|vector| beside[k - 1] * vector[k - 1].abs()).collect(),
        weights: vectors.map(|vector| vector[0] * vector[0]).collect(),
    })
}

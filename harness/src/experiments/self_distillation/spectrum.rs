//! The kernel matrix in its eigenbasis, in which everything else is done element by element.

use regularity_engine::Context;
use regularity_engine::kernels::gemm::{Options, gemm};
use regularity_engine::linalg::SymmetricEigen;
use regularity_engine::tensor::{MatMut, MatRef};

use super::refusal::{Refusal, Result};

/// `G = V' D V`: eigenvalues d in descending order, none negative, and the eigenvectors as the rows of V.
///
/// Eigenvalues below `K 2^-52 d_max` are rounding errors and become zero: the kernel does not reach those directions.
#[derive(Debug)]
pub struct Spectrum {
    d: Vec<f64>,
    eigen: SymmetricEigen,
}

impl Spectrum {
    /// Decomposes the kernel matrix (size x size, row after row).
    ///
    /// # Errors
    /// [`Refusal::NotPositive`] for an eigenvalue that is negative beyond rounding; those of [`SymmetricEigen::new`].
    pub fn new(context: &Context, matrix: &[f64], size: usize) -> Result<Self> {
        let eigen = SymmetricEigen::new(context, MatRef::new(matrix, size, size)?)?;
        let (first, last) = (eigen.values().first(), eigen.values().last());
        let (largest, smallest) = (first.copied().unwrap_or(0.0), last.copied().unwrap_or(0.0));
        let rounding = size as f64 * f64::EPSILON * largest.abs();
        // The decomposition itself is exact to some units of that.
        let allowed = -16.0 * rounding;
        if smallest < allowed || smallest < 0.0 && largest <= 0.0 {
            return Err(Refusal::NotPositive { eigenvalue: smallest, allowed });
        }
        let d = eigen.values().iter().map(|&d| if d < rounding { 0.0 } else { d }).collect();
        Ok(Self { d, eigen })
    }

    /// The eigenvalues, the largest first; zeros at the end for what the kernel does not reach.
    #[must_use]
    pub fn d(&self) -> &[f64] {
        &self.d
    }

    /// The number of points.
    #[must_use]
    pub fn size(&self) -> usize {
        self.d.len()
    }

    /// The number of eigenvalues above zero.
    #[must_use]
    pub fn rank(&self) -> usize {
        rank(&self.d)
    }

    /// `V Y`: targets (size x columns) in the eigenbasis.
    ///
    /// # Errors
    /// [`Refusal::Engine`] if the number of targets does not fit.
    pub fn project(&self, context: &Context, y: &[f64], columns: usize) -> Result<Vec<f64>> {
        self.multiply(context, y, columns, false)
    }

    /// `V' Z`: back from the eigenbasis.
    ///
    /// # Errors
    /// As [`project`](Self::project).
    pub fn lift(&self, context: &Context, z: &[f64], columns: usize) -> Result<Vec<f64>> {
        self.multiply(context, z, columns, true)
    }

    /// `K V'`: rows of kernel values (rows x size) against the eigenvectors.
    ///
    /// # Errors
    /// [`Refusal::Engine`] if the shapes do not fit.
    pub fn project_rows(&self, context: &Context, kernel: &[f64], rows: usize) -> Result<Vec<f64>> {
        let n = self.size();
        let mut out = vec![0.0; rows * n];
        let v = self.eigen.matrix()?.transposed();
        gemm(context, MatRef::new(kernel, rows, n)?, v, MatMut::new(&mut out, rows, n)?, &Options::default())?;
        Ok(out)
    }

    fn multiply(&self, context: &Context, x: &[f64], columns: usize, transposed: bool) -> Result<Vec<f64>> {
        let n = self.size();
        let mut out = vec![0.0; n * columns];
        let v = self.eigen.matrix()?;
        let v = if transposed { v.transposed() } else { v };
        gemm(context, v, MatRef::new(x, n, columns)?, MatMut::new(&mut out, n, columns)?, &Options::default())?;
        Ok(out)
    }
}

/// The number of eigenvalues above zero.
#[must_use]
pub fn rank(d: &[f64]) -> usize {
    d.iter().filter(|&&d| d > 0.0).count()
}

/// `sum over q of z[k, q]^2` for every direction k: with several outputs under one constraint, all that the equation for c
/// sees of the targets.
#[must_use]
pub fn weights(z: &[f64], columns: usize) -> Vec<f64> {
    z.chunks(columns.max(1)).map(|row| row.iter().map(|x| x * x).sum()).collect()
}

//! Dense linear algebra.

use regularity_engine::linalg::{SymmetricEigen, cholesky, solve_lower, solve_upper, svd};
use regularity_engine::tensor::MatRef;
use regularity_engine::{Context, Result};

use crate::selftest::{Case, Inputs, Values};

pub const CASES: &[Case] = &[
    Case { name: "linalg/symmetric_eigen", run: symmetric_eigen },
    Case { name: "linalg/cholesky", run: factors },
    Case { name: "linalg/svd", run: singular_values },
];

/// Symmetric with entries in [-1, 1).
fn symmetric(name: &str, n: usize) -> Vec<f64> {
    let mut a: Vec<f64> = Inputs::new(name).uniform(n * n);
    for i in 0..n {
        for j in 0..i {
            a[i * n + j] = a[j * n + i];
        }
    }
    a
}

/// Around panels, shards and blocks, and small ones.
fn symmetric_eigen(context: &Context) -> Result<Values> {
    let mut all = Vec::new();
    for n in [1, 2, 3, 11, 34, 70] {
        let a = symmetric("linalg/symmetric_eigen", n);
        let eigen = SymmetricEigen::new(context, MatRef::new(&a, n, n)?)?;
        all.extend_from_slice(eigen.values());
        all.extend_from_slice(eigen.vectors());
    }
    Ok(Values::list(&all))
}

fn factors(context: &Context) -> Result<Values> {
    let mut all = Vec::new();
    for n in [1, 5, 33, 70] {
        let mut a = symmetric("linalg/cholesky", n);
        // Diagonally dominant, so positive definite.
        (0..n).for_each(|i| a[i * n + i] += n as f64);
        cholesky(context, &mut a, n)?;
        let mut x: Vec<f64> = Inputs::new("linalg/cholesky/b").uniform(3 * n);
        let l = MatRef::new(&a, n, n)?;
        solve_lower(context, l, &mut x, 3)?;
        all.extend_from_slice(&x);
        solve_upper(context, l.transposed(), &mut x, 3)?;
        all.extend_from_slice(&x);
        all.extend_from_slice(&a);
    }
    Ok(Values::list(&all))
}

fn singular_values(context: &Context) -> Result<Values> {
    let mut all = Vec::new();
    for (m, n) in [(1, 1), (3, 7), (20, 9)] {
        let a: Vec<f64> = Inputs::new("linalg/svd").wide(m * n);
        let found = svd(context, MatRef::new(&a, m, n)?)?;
        all.extend(found.values.into_iter().chain(found.left).chain(found.right));
    }
    Ok(Values::list(&all))
}

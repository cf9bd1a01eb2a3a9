//! The matrix product: shapes with tails, every layout of the operands, every epilogue.

use regularity_engine::kernels::Scalar;
use regularity_engine::kernels::gemm::{Bias, Options, PackedA, PackedB, Sums, gemm, gemm_with_sums};
use regularity_engine::simd::Real;
use regularity_engine::tensor::{MatMut, MatRef};
use regularity_engine::{Context, Result};

use crate::selftest::values::Value;
use crate::selftest::{Case, Inputs, Values};

pub const CASES: &[Case] = &[
    Case { name: "gemm/shapes_f32", run: shapes::<f32> },
    Case { name: "gemm/shapes_f64", run: shapes::<f64> },
    Case { name: "gemm/layouts_f32", run: layouts::<f32> },
    Case { name: "gemm/layouts_f64", run: layouts::<f64> },
    Case { name: "gemm/alpha_beta_f32", run: alpha_beta::<f32> },
    Case { name: "gemm/alpha_beta_f64", run: alpha_beta::<f64> },
    Case { name: "gemm/epilogues_f32", run: epilogues::<f32> },
    Case { name: "gemm/epilogues_f64", run: epilogues::<f64> },
    Case { name: "gemm/sums_f32", run: sums::<f32> },
    Case { name: "gemm/sums_f64", run: sums::<f64> },
    Case { name: "gemm/prepacked_f32", run: prepacked::<f32> },
    Case { name: "gemm/prepacked_f64", run: prepacked::<f64> },
    Case { name: "gemm/adversarial_f32", run: adversarial::<f32> },
    Case { name: "gemm/adversarial_f64", run: adversarial::<f64> },
];

/// Tiny, one-row, one-column, skinny, deep, and larger than a block; (m, n, k).
const SHAPES: [(usize, usize, usize); 14] = [
    (1, 1, 1),
    (3, 2, 0),
    (1, 17, 33),
    (33, 1, 17),
    (5, 7, 11),
    (16, 16, 16),
    (17, 15, 31),
    (16, 1030, 9),
    (130, 10, 64),
    (31, 33, 1030),
    (65, 97, 129),
    (128, 10, 512),
    (16, 27, 4099),
    (150, 200, 300),
];

/// A matrix's worth of inputs.
fn inputs<T: Real>(name: &str, rows: usize, columns: usize) -> Vec<T> {
    Inputs::new(&format!("gemm/{name}/{rows}x{columns}")).uniform(rows * columns)
}

fn shapes<T: Scalar + Value>(context: &Context) -> Result<Values> {
    let mut all: Vec<T> = Vec::new();
    for (m, n, k) in SHAPES {
        let (a, b) = (inputs::<T>("a", m, k), inputs::<T>("b", k, n));
        let mut c = vec![T::ZERO; m * n];
        gemm(context, MatRef::new(&a, m, k)?, MatRef::new(&b, k, n)?, MatMut::new(&mut c, m, n)?, &Options::default())?;
        all.extend(c);
    }
    Ok(Values::list(&all))
}

/// Transposed operands, gaps between rows, strides in both directions, and a C in columns.
fn layouts<T: Scalar + Value>(context: &Context) -> Result<Values> {
    let mut all: Vec<T> = Vec::new();
    for (m, n, k) in [(37, 50, 41), (8, 200, 100), (200, 8, 100)] {
        for (a_rows, a_columns) in [(k, 1), (k + 3, 1), (1, m), (2, 2 * m + 1), (3 * k, 3)] {
            for (b_rows, b_columns) in [(n, 1), (n + 5, 1), (1, k), (2 * n, 2)] {
                let reach = |rows: usize, columns: usize, r: usize, c: usize| (rows - 1) * r + (columns - 1) * c + 1;
                let a = inputs::<T>("a", 1, reach(m, k, a_rows, a_columns));
                let b = inputs::<T>("b", 1, reach(k, n, b_rows, b_columns));
                let a = MatRef::with_strides(&a, m, k, a_rows, a_columns)?;
                let b = MatRef::with_strides(&b, k, n, b_rows, b_columns)?;
                let mut c = vec![T::ZERO; m * (n + 1)];
                gemm(context, a, b, MatMut::with_strides(&mut c, m, n, n + 1, 1)?, &Options::default())?;
                all.extend(&c);
                gemm(context, a, b, MatMut::with_strides(&mut c, m, n, 1, m)?, &Options::default())?;
                all.extend(&c);
            }
        }
    }
    Ok(Values::list(&all))
}

fn alpha_beta<T: Scalar + Value>(context: &Context) -> Result<Values> {
    let (m, n, k) = (47, 53, 61);
    let (a, b) = (inputs::<T>("a", m, k), inputs::<T>("b", k, n));
    let mut all: Vec<T> = Vec::new();
    for alpha in [1.0, -1.0, 0.0, 0.3].map(T::from_f64) {
        for beta in [0.0, 1.0, -0.7].map(T::from_f64) {
            let mut c = inputs::<T>("c", m, n);
            let options = Options { alpha, beta, ..Options::default() };
            gemm(context, MatRef::new(&a, m, k)?, MatRef::new(&b, k, n)?, MatMut::new(&mut c, m, n)?, &options)?;
            all.extend(c);
        }
    }
    Ok(Values::list(&all))
}

fn epilogues<T: Scalar + Value>(context: &Context) -> Result<Values> {
    let (m, n, k) = (67, 45, 70);
    let (a, b, residual) = (inputs::<T>("a", m, k), inputs::<T>("b", k, n), inputs::<T>("residual", m, n));
    let (columns, rows) = (inputs::<T>("columns", 1, n), inputs::<T>("rows", 1, m));
    let mut all: Vec<T> = Vec::new();
    for bias in [Bias::None, Bias::Columns(&columns), Bias::Rows(&rows)] {
        for residual in [None, Some(MatRef::new(&residual, m, n)?)] {
            for relu in [false, true] {
                let mut c = vec![T::ZERO; m * n];
                let options = Options { bias, residual, relu, ..Options::default() };
                gemm(context, MatRef::new(&a, m, k)?, MatRef::new(&b, k, n)?, MatMut::new(&mut c, m, n)?, &options)?;
                all.extend(c);
            }
        }
    }
    Ok(Values::list(&all))
}

fn sums<T: Scalar + Value>(context: &Context) -> Result<Values> {
    let mut all: Vec<T> = Vec::new();
    for (m, n, k) in [(1, 1, 1), (33, 65, 9), (400, 70, 20), (70, 400, 20)] {
        let (a, b) = (inputs::<T>("a", m, k), inputs::<T>("b", k, n));
        let mut c = vec![T::ZERO; m * n];
        let [mut columns, mut column_squares] = [vec![T::ZERO; n], vec![T::ZERO; n]];
        let [mut rows, mut row_squares] = [vec![T::ZERO; m], vec![T::ZERO; m]];
        let sums = Sums {
            columns: Some(&mut columns),
            column_squares: Some(&mut column_squares),
            rows: Some(&mut rows),
            row_squares: Some(&mut row_squares),
        };
        let c = MatMut::new(&mut c, m, n)?;
        let options = Options { relu: true, ..Options::default() };
        gemm_with_sums(context, MatRef::new(&a, m, k)?, MatRef::new(&b, k, n)?, c, &options, sums)?;
        [columns, column_squares, rows, row_squares].into_iter().for_each(|sums| all.extend(sums));
    }
    Ok(Values::list(&all))
}

fn prepacked<T: Scalar + Value>(context: &Context) -> Result<Values> {
    let mut all: Vec<T> = Vec::new();
    for (m, n, k) in SHAPES {
        let (a, b) = (inputs::<T>("a", m, k), inputs::<T>("b", k, n));
        let (a, b) = (MatRef::new(&a, m, k)?, MatRef::new(&b, k, n)?);
        let packed_a = PackedA::new(context, T::from_f64(0.3), a)?;
        let packed_b = PackedB::new(context, b)?;
        let mut c = vec![T::ZERO; m * n];
        let options = Options::default();
        gemm(context, &packed_a, b, MatMut::new(&mut c, m, n)?, &options)?;
        all.extend(&c);
        gemm(context, a, &packed_b, MatMut::new(&mut c, m, n)?, &options)?;
        all.extend(&c);
        gemm(context, &packed_a, &packed_b, MatMut::new(&mut c, m, n)?, &options)?;
        all.extend(&c);
    }
    Ok(Values::list(&all))
}

fn adversarial<T: Scalar + Value>(context: &Context) -> Result<Values> {
    let (m, n, k) = (33, 49, 257);
    let a: Vec<T> = Inputs::new("gemm/adversarial/a").adversarial(m * k);
    let b: Vec<T> = Inputs::new("gemm/adversarial/b").adversarial(k * n);
    let mut c = vec![T::ZERO; m * n];
    gemm(context, MatRef::new(&a, m, k)?, MatRef::new(&b, k, n)?, MatMut::new(&mut c, m, n)?, &Options::default())?;
    Ok(Values::shaped(&[m, n], &c))
}

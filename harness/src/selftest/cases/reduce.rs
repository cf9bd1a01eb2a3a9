//! Sums and other reductions.

use regularity_engine::kernels::Scalar;
use regularity_engine::kernels::reduce;
use regularity_engine::tensor::MatRef;
use regularity_engine::{Context, Result};

use crate::selftest::values::Value;
use crate::selftest::{Case, Inputs, Values};

pub const CASES: &[Case] = &[
    Case { name: "reduce/flat_f32", run: flat::<f32> },
    Case { name: "reduce/flat_f64", run: flat::<f64> },
    Case { name: "reduce/columns_f32", run: columns::<f32> },
    Case { name: "reduce/columns_f64", run: columns::<f64> },
    Case { name: "reduce/rows_f32", run: rows::<f32> },
    Case { name: "reduce/rows_f64", run: rows::<f64> },
    Case { name: "reduce/first_non_finite", run: first_non_finite },
];

/// Around the stripes and the shards, and up to several shards of an odd number.
fn lengths() -> impl Iterator<Item = usize> {
    let shard = reduce::SHARD;
    (0..=130).chain([1000, shard - 1, shard, shard + 1, 3 * shard + 77, 7 * shard, 11 * shard + 1])
}

/// Every flat reduction, on values whose sums cancel.
fn flat<T: Scalar + Value>(context: &Context) -> Result<Values> {
    let longest = lengths().max().unwrap_or(0);
    let (a, b) = (Inputs::new("reduce/a").wide::<T>(longest), Inputs::new("reduce/b").uniform::<T>(longest));
    let mut all: Vec<T> = Vec::new();
    for n in lengths() {
        let (a, b) = (&a[..n], &b[..n]);
        all.extend([
            reduce::sum(context, a)?,
            reduce::sum_of_squares(context, a)?,
            reduce::norm(context, b)?,
            reduce::dot(context, a, b)?,
            reduce::max(context, a)?,
            reduce::max_abs(context, a)?,
        ]);
        if n > 0 {
            all.push(reduce::mean(context, a)?);
        }
    }
    Ok(Values::list(&all))
}

/// Shapes of the row and column reductions: (rows, columns, elements from row to row).
const SHAPES: [(usize, usize, usize); 8] =
    [(1, 1, 1), (1, 33, 40), (63, 17, 17), (64, 16, 16), (65, 100, 103), (1000, 7, 7), (3000, 65, 65), (5, 3000, 3001)];

fn columns<T: Scalar + Value>(context: &Context) -> Result<Values> {
    let mut all: Vec<T> = Vec::new();
    for (rows, columns, pitch) in SHAPES {
        let x: Vec<T> = Inputs::new("reduce/columns").wide(rows * pitch);
        let x = MatRef::with_strides(&x, rows, columns, pitch, 1)?;
        let [mut sums, mut moments, mut squares] = [(); 3].map(|()| vec![T::ZERO; columns]);
        reduce::column_sums(context, x, &mut sums)?;
        reduce::column_moments(context, x, &mut moments, &mut squares)?;
        [sums, moments, squares].into_iter().for_each(|sums| all.extend(sums));
    }
    Ok(Values::list(&all))
}

fn rows<T: Scalar + Value>(context: &Context) -> Result<Values> {
    let mut all: Vec<T> = Vec::new();
    for (rows, columns, pitch) in SHAPES {
        let x: Vec<T> = Inputs::new("reduce/rows").wide(rows * pitch);
        let mut sums = vec![T::ZERO; rows];
        reduce::row_sums(context, MatRef::with_strides(&x, rows, columns, pitch, 1)?, &mut sums)?;
        all.extend(sums);
    }
    Ok(Values::list(&all))
}

/// Where the first of two odd values stands, or the length if there is none.
fn first_non_finite(context: &Context) -> Result<Values> {
    let mut all = Vec::new();
    for n in [0, 1, 100, reduce::SHARD + 5, 3 * reduce::SHARD] {
        let mut x: Vec<f32> = Inputs::new("reduce/finite").adversarial(n);
        all.push(reduce::first_non_finite(context, &x)?.unwrap_or(n) as u64);
        for (place, odd) in [(n / 2, f32::NAN), (n / 3, f32::NEG_INFINITY)] {
            if let Some(x) = x.get_mut(place) {
                *x = odd;
            }
            all.push(reduce::first_non_finite(context, &x)?.unwrap_or(n) as u64);
        }
    }
    Ok(Values::list(&all))
}

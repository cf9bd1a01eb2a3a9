//! The elementary functions, on a grid over all bit patterns.

use regularity_engine::math::unary::{Cos, Erf, Exp, Expm1, Ln, Ln1p, Sigmoid, Sin, Softplus, Tanh};
use regularity_engine::math::{Unary, map, map_normal_quantile, scalar};
use regularity_engine::{Context, Result};

use crate::selftest::{Case, Inputs, Values};

pub const CASES: &[Case] = &[
    Case { name: "math/exp", run: |context| unary(context, Exp) },
    Case { name: "math/expm1", run: |context| unary(context, Expm1) },
    Case { name: "math/ln", run: |context| unary(context, Ln) },
    Case { name: "math/ln_1p", run: |context| unary(context, Ln1p) },
    Case { name: "math/tanh", run: |context| unary(context, Tanh) },
    Case { name: "math/sigmoid", run: |context| unary(context, Sigmoid) },
    Case { name: "math/softplus", run: |context| unary(context, Softplus) },
    Case { name: "math/erf", run: |context| unary(context, Erf) },
    Case { name: "math/sin", run: |context| unary(context, Sin) },
    Case { name: "math/cos", run: |context| unary(context, Cos) },
    Case { name: "math/normal_quantile", run: normal_quantile },
    Case { name: "math/scalar/exp", run: |_| scalar(scalar::exp) },
    Case { name: "math/scalar/expm1", run: |_| scalar(scalar::expm1) },
    Case { name: "math/scalar/ln", run: |_| scalar(scalar::ln) },
    Case { name: "math/scalar/ln_1p", run: |_| scalar(scalar::ln_1p) },
    Case { name: "math/scalar/cos", run: |_| scalar(scalar::cos) },
    Case { name: "math/scalar/tanh", run: |_| scalar(scalar::tanh) },
    Case { name: "math/scalar/acos", run: |_| scalar(scalar::acos) },
];

/// Distance between neighbours on the grid, an odd number so that all low bits occur.
const STEP: u32 = 262_139;

fn unary<U: Unary>(context: &Context, f: U) -> Result<Values> {
    // The whole range (both signs, subnormals, infinities, NaN), and more points where the functions are curved.
    let grid = (0..=u32::MAX / STEP).map(|i| f32::from_bits(i * STEP));
    let x: Vec<f32> = grid.chain(Inputs::new("math").uniform::<f32>(4099).iter().map(|x| 8.0 * x)).collect();
    let mut y = vec![0.0; x.len()];
    map(context.isa(), f, &x, &mut y)?;
    Ok(Values::list(&y))
}

fn normal_quantile(context: &Context) -> Result<Values> {
    let words: Vec<u32> = [0, 1, u32::MAX].into_iter().chain((0..=u32::MAX / STEP).map(|i| i * STEP)).collect();
    let mut y = vec![0.0; words.len()];
    map_normal_quantile(context.isa(), &words, &mut y)?;
    Ok(Values::list(&y))
}

/// The scalar functions, over all exponents and where they are curved.
fn scalar(f: fn(f64) -> f64) -> Result<Values> {
    let grid = (0..=u16::MAX).map(|i| f64::from_bits(u64::from(i) << 48 | 0x0000_5a3c_99e1_7b0d));
    let special = [0.0, -0.0, 1.0, -1.0, f64::INFINITY, f64::NEG_INFINITY, f64::MIN_POSITIVE];
    let near: Vec<f64> = Inputs::new("math/scalar").uniform(4099);
    let x = grid.chain(special).chain(near.iter().map(|x| 8.0 * x)).chain(near.iter().map(|x| 800.0 * x));
    Ok(Values::list(&x.map(f).collect::<Vec<_>>()))
}

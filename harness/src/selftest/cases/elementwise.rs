//! Kernels that treat each element by itself.

use regularity_engine::kernels::Scalar;
use regularity_engine::kernels::elementwise as ew;
use regularity_engine::{Context, Result};

use crate::selftest::values::Value;
use crate::selftest::{Case, Inputs, Values};

pub const CASES: &[Case] = &[
    Case { name: "elementwise/linear_f32", run: linear::<f32> },
    Case { name: "elementwise/linear_f64", run: linear::<f64> },
    Case { name: "elementwise/clip_f32", run: clip::<f32> },
    Case { name: "elementwise/clip_f64", run: clip::<f64> },
    Case { name: "elementwise/relu_f32", run: relu::<f32> },
    Case { name: "elementwise/relu_f64", run: relu::<f64> },
    Case { name: "elementwise/gradients_f32", run: gradients::<f32> },
    Case { name: "elementwise/gradients_f64", run: gradients::<f64> },
];

/// Every tail, and enough for several tasks.
fn lengths() -> impl Iterator<Item = usize> {
    (0..=33).chain([50_003])
}

/// A kernel that reads `x` and `z` and changes `y`.
type Update<T> = fn(&Context, &[T], &[T], &mut [T]) -> Result<()>;

/// Runs each kernel on the same operands, of every length.
fn run<T: Scalar + Value>(context: &Context, kernels: &[Update<T>]) -> Result<Values> {
    let mut all: Vec<T> = Vec::new();
    for n in lengths() {
        let [x, y, z] = ["x", "y", "z"].map(|name| Inputs::new(&format!("elementwise/{name}")).adversarial::<T>(n));
        for kernel in kernels {
            let mut y = y.clone();
            kernel(context, &x, &z, &mut y)?;
            all.extend(y);
        }
    }
    Ok(Values::list(&all))
}

fn linear<T: Scalar + Value>(context: &Context) -> Result<Values> {
    let kernels: [Update<T>; 12] = [
        |c, x, _, y| ew::axpy(c, T::from_f64(-0.3), x, y),
        |c, x, _, y| ew::scale_add(c, T::from_f64(0.7), x, T::from_f64(-1.1), y),
        |c, x, _, y| ew::lerp(c, T::from_f64(0.1), x, y),
        |c, _, _, y| ew::scale(c, T::from_f64(0.3), y),
        ew::add,
        ew::sub,
        ew::mul,
        |c, x, _, y| ew::add_assign(c, x, y),
        |c, x, _, y| ew::sub_assign(c, x, y),
        |c, x, _, y| ew::mul_assign(c, x, y),
        |c, _, _, y| ew::fill(c, T::from_f64(0.3), y),
        |c, x, _, y| ew::copy(c, x, y),
    ];
    run(context, &kernels)
}

fn clip<T: Scalar + Value>(context: &Context) -> Result<Values> {
    let kernels: [Update<T>; 4] = [
        |c, _, _, y| ew::clip(c, T::from_f64(-0.5), T::from_f64(0.25), y),
        |c, _, _, y| ew::clip(c, T::ZERO, T::ONE, y),
        |c, _, _, y| ew::clip_norm(c, T::from_f64(1.5), y).map(drop),
        // The norm itself, in place of the first element.
        |c, _, _, y| {
            let norm = ew::clip_norm(c, T::from_f64(0.3), y)?;
            y.iter_mut().take(1).for_each(|y| *y = norm);
            Ok(())
        },
    ];
    run(context, &kernels)
}

fn relu<T: Scalar + Value>(context: &Context) -> Result<Values> {
    let kernels: [Update<T>; 4] = [
        |c, x, _, y| ew::relu_forward(c, x, y),
        |c, _, _, y| ew::relu_forward_in_place(c, y),
        ew::relu_backward,
        |c, x, _, y| ew::relu_backward_in_place(c, x, y),
    ];
    run(context, &kernels)
}

fn gradients<T: Scalar + Value>(context: &Context) -> Result<Values> {
    let kernels: [Update<T>; 2] = [
        |c, x, z, y| ew::add_scaled_difference(c, T::from_f64(-0.3), x, z, y),
        |c, x, _, y| ew::tanh_backward_in_place(c, x, y),
    ];
    run(context, &kernels)
}

//! Convolution forward and backward to data: odd shapes, strides, kernels larger than the image, few and many examples.

use regularity_engine::kernels::conv::{Geometry, PackedBackward, PackedForward, backward_data, forward};
use regularity_engine::kernels::stage::{Keep, Plain};
use regularity_engine::{Context, Result};

use crate::selftest::{Case, Inputs, Values};

pub const CASES: &[Case] = &[
    Case { name: "conv/forward", run: |context| run(context, false, uniform) },
    Case { name: "conv/backward_data", run: |context| run(context, true, uniform) },
    Case { name: "conv/forward_adversarial", run: |context| run(context, false, adversarial) },
    Case { name: "conv/backward_data_adversarial", run: |context| run(context, true, adversarial) },
];

/// (height, width, input channels, output channels, kernel height and width, stride, padding, examples).
const SHAPES: [(usize, usize, usize, usize, usize, usize, usize, usize, usize); 12] = [
    (1, 1, 1, 1, 1, 1, 1, 0, 1),
    (1, 1, 3, 17, 3, 3, 1, 1, 2),
    (8, 8, 16, 16, 3, 3, 1, 1, 9),
    (9, 7, 3, 18, 3, 3, 1, 1, 3),
    (7, 8, 17, 33, 3, 3, 2, 1, 10),
    (8, 8, 16, 48, 1, 1, 2, 0, 3),
    (5, 6, 40, 21, 1, 1, 1, 0, 1),
    (11, 13, 3, 20, 7, 7, 2, 3, 2),
    (2, 3, 4, 16, 5, 5, 1, 4, 2),
    (7, 5, 5, 16, 2, 3, 3, 1, 3),
    (4, 4, 70, 64, 3, 3, 1, 1, 8),
    (4, 4, 130, 40, 3, 3, 1, 1, 3),
];

fn uniform(name: &str, len: usize) -> Vec<f32> {
    Inputs::new(&format!("conv/{name}")).uniform(len)
}
fn adversarial(name: &str, len: usize) -> Vec<f32> {
    Inputs::new(&format!("conv/{name}")).adversarial(len)
}

/// All shapes in one direction.
fn run(context: &Context, backward: bool, inputs: fn(&str, usize) -> Vec<f32>) -> Result<Values> {
    let mut all = Vec::new();
    for (h, w, c_in, c_out, kernel_h, kernel_w, stride, padding, n) in SHAPES {
        let g = Geometry { h, w, c_in, c_out, kernel_h, kernel_w, stride, padding };
        let weights = inputs("w", g.weight_len());
        if backward {
            let mut packed = PackedBackward::new(context, &g)?;
            packed.pack(context, &weights)?;
            let d_y = inputs("d_y", n * g.output_len());
            let mut d_x = vec![0.0; n * g.input_len()];
            let source = Plain::new(&d_y, g.out_h(), g.out_w(), c_out);
            backward_data(context, &packed, n, &source, &mut d_x, &Keep)?;
            all.extend(d_x);
        } else {
            let mut packed = PackedForward::new(context, &g)?;
            packed.pack(context, &weights)?;
            let (x, bias) = (inputs("x", n * g.input_len()), inputs("bias", c_out));
            let mut y = vec![0.0; n * g.output_len()];
            forward(context, &packed, n, &Plain::new(&x, h, w, c_in), Some(&bias), &mut y, &Keep)?;
            all.extend(y);
        }
    }
    Ok(Values::list(&all))
}

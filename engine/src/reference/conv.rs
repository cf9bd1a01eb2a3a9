//! Convolution forward and backward to data, as the contract defines them.

use crate::kernels::conv::Geometry;
use crate::simd::Real;

/// The forward pass of `n` examples; the definition stands at [`crate::kernels::conv`].
///
/// Shapes: `x` is `[n, h, w, c_in]`, `w` is `[c_out, c_in, kernel_h, kernel_w]`, `y` is `[n, out_h, out_w, c_out]`, a bias
/// has one value for each output channel.
///
/// # Panics
/// If the shapes do not fit.
pub fn forward<T: Real>(g: &Geometry, n: usize, x: &[T], w: &[T], bias: Option<&[T]>, y: &mut [T]) {
    let (oh_count, ow_count) = (g.out_h(), g.out_w());
    assert_eq!((x.len(), w.len(), y.len()), (n * g.input_len(), g.weight_len(), n * g.output_len()));
    for (place, y) in y.iter_mut().enumerate() {
        let (pixel, oc) = (place / g.c_out, place % g.c_out);
        let (example, oh, ow) = (pixel / (oh_count * ow_count), pixel / ow_count % oh_count, pixel % ow_count);
        let mut acc = bias.map_or(T::ZERO, |bias| bias[oc]);
        for ic in 0..g.c_in {
            for kh in g.taps_h(oh) {
                for kw in g.taps_w(ow) {
                    let (ih, iw) = (oh * g.stride + kh - g.padding, ow * g.stride + kw - g.padding);
                    let x = x[((example * g.h + ih) * g.w + iw) * g.c_in + ic];
                    acc = x.fma(w[((oc * g.c_in + ic) * g.kernel_h + kh) * g.kernel_w + kw], acc);
                }
            }
        }
        *y = T::ZERO + acc;
    }
}

/// The gradient of the input of `n` examples; the definition stands at [`crate::kernels::conv`].
///
/// Shapes: `d_y` is `[n, out_h, out_w, c_out]`, `w` is `[c_out, c_in, kernel_h, kernel_w]`, `d_x` is `[n, h, w, c_in]`.
///
/// # Panics
/// If the shapes do not fit.
pub fn backward_data<T: Real>(g: &Geometry, n: usize, d_y: &[T], w: &[T], d_x: &mut [T]) {
    let (oh_count, ow_count) = (g.out_h(), g.out_w());
    assert_eq!((d_y.len(), w.len(), d_x.len()), (n * g.output_len(), g.weight_len(), n * g.input_len()));
    // The output row or column that meets input row or column `i` under tap `k`.
    let meets = |i: usize, k: usize, count: usize| {
        let start = (i + g.padding).checked_sub(k)?;
        (start % g.stride == 0 && start / g.stride < count).then_some(start / g.stride)
    };
    for (place, d_x) in d_x.iter_mut().enumerate() {
        let (pixel, ic) = (place / g.c_in, place % g.c_in);
        let (example, ih, iw) = (pixel / (g.h * g.w), pixel / g.w % g.h, pixel % g.w);
        let mut acc = T::ZERO;
        for oc in 0..g.c_out {
            for kh in 0..g.kernel_h {
                let Some(oh) = meets(ih, kh, oh_count) else { continue };
                for kw in 0..g.kernel_w {
                    let Some(ow) = meets(iw, kw, ow_count) else { continue };
                    let d_y = d_y[((example * oh_count + oh) * ow_count + ow) * g.c_out + oc];
                    acc = d_y.fma(w[((oc * g.c_in + ic) * g.kernel_h + kh) * g.kernel_w + kw], acc);
                }
            }
        }
        *d_x = T::ZERO + acc;
    }
}

//! Convolution backward to weights, as the contract defines it: [`mod@crate::kernels::conv::backward_weight`] has the same
//! in words.

use super::reduce::tree;
use crate::kernels::conv::{Geometry, VirtualShards};
use crate::simd::Real;

/// Output pixels (example, row, column) of shard `s` of `n` examples, in the order of the chains.
fn pixels(g: &Geometry, shards: VirtualShards, s: usize, n: usize) -> impl Iterator<Item = (usize, usize, usize)> {
    let (out_h, out_w) = (g.out_h(), g.out_w());
    let first = s / shards.parts * shards.examples;
    let part = s % shards.parts;
    let rows = part * out_h / shards.parts..(part + 1) * out_h / shards.parts;
    (first..(first + shards.examples).min(n))
        .flat_map(move |e| rows.clone().flat_map(move |oh| (0..out_w).map(move |ow| (e, oh, ow))))
}

/// The gradient of the weights (`d_w`, `[c_out, c_in, kernel_h, kernel_w]`) and of the biases (`d_b`, one for each
/// output channel) from `n` examples of x, `[n, h, w, c_in]`, and d_y, `[n, out_h, out_w, c_out]`.
pub fn backward_weight<T: Real>(g: &Geometry, n: usize, x: &[T], d_y: &[T], d_w: &mut [T], d_b: &mut [T]) {
    let shards = VirtualShards::of(g);
    let count = shards.count(n);
    let reduce = |chain: &dyn Fn(usize) -> T| {
        if count == 0 { T::ZERO } else { T::ZERO + tree(count, &chain, &|l: T, r: T| l + r) }
    };
    let gradient =
        |e: usize, oh: usize, ow: usize, oc: usize| d_y[((e * g.out_h() + oh) * g.out_w() + ow) * g.c_out + oc];
    let mut place = 0;
    for oc in 0..g.c_out {
        for ic in 0..g.c_in {
            for kh in 0..g.kernel_h {
                for kw in 0..g.kernel_w {
                    d_w[place] = reduce(&|s| {
                        let mut acc = T::ZERO;
                        for (e, oh, ow) in pixels(g, shards, s, n) {
                            let row = (oh * g.stride + kh).checked_sub(g.padding).filter(|&row| row < g.h);
                            let column = (ow * g.stride + kw).checked_sub(g.padding).filter(|&column| column < g.w);
                            // A tap that falls on padding takes no part.
                            if let (Some(row), Some(column)) = (row, column) {
                                let x = x[((e * g.h + row) * g.w + column) * g.c_in + ic];
                                acc = x.fma(gradient(e, oh, ow, oc), acc);
                            }
                        }
                        acc
                    });
                    place += 1;
                }
            }
        }
    }
    for (oc, d_b) in d_b.iter_mut().enumerate() {
        *d_b = reduce(&|s| pixels(g, shards, s, n).fold(T::ZERO, |acc, (e, oh, ow)| acc + gradient(e, oh, ow, oc)));
    }
}

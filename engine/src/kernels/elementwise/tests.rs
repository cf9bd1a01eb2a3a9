//! Every operation against its twin, edge cases of comparisons, and refusals.
#![allow(clippy::unwrap_used)] // a test fails by panicking

use super::*;
use crate::kernels::Scalar;
use crate::reference::elementwise as reference;
use crate::testing::{Placed, compare, contexts, lengths};

/// `run` on a copy of `y` that keeps its distance from a boundary.
fn changed<T: Scalar>(y: &[T], run: impl FnOnce(&mut [T])) -> Vec<T> {
    let mut placed = Placed::new(y, (y.as_ptr() as usize / size_of::<T>()) % 17);
    run(placed.get_mut());
    placed.get().to_vec()
}

/// Two constants that round.
fn constants<T: Scalar>() -> (T, T) {
    (T::from_f64(0.3), T::from_f64(-1.7))
}

fn references<T: Scalar>(x: &[T], y: &[T]) -> Vec<T> {
    let (a, b) = constants::<T>();
    let mut norm = T::ZERO;
    let mut results = [
        changed(y, |y| reference::axpy(a, x, y)),
        changed(y, |y| reference::scale_add(a, x, b, y)),
        changed(y, |y| reference::lerp(a, x, y)),
        changed(y, |d| reference::add_scaled_difference(a, x, y, d)),
        changed(y, |d| reference::tanh_backward(x, d)),
        changed(y, |y| reference::scale(a, y)),
        changed(y, |out| reference::add(x, y, out)),
        changed(y, |out| reference::sub(x, y, out)),
        changed(y, |out| reference::mul(x, y, out)),
        changed(y, |y| reference::add_assign(x, y)),
        changed(y, |y| reference::sub_assign(x, y)),
        changed(y, |y| reference::mul_assign(x, y)),
        changed(y, |y| reference::fill(a, y)),
        changed(y, |y| reference::copy(x, y)),
        changed(y, |y| reference::clip(b, a, y)),
        changed(y, |y| norm = reference::clip_norm(a, y)),
        changed(y, |out| reference::relu_forward(x, out)),
        changed(x, |out| reference::relu_forward(x, out)),
        changed(y, |out| reference::relu_backward(x, y, out)),
        changed(y, |out| reference::relu_backward(x, y, out)),
    ]
    .concat();
    results.push(norm);
    results
}

fn kernels<T: Scalar>(c: &Context, x: &[T], y: &[T]) -> Vec<T> {
    let (a, b) = constants::<T>();
    let mut norm = T::ZERO;
    let mut results = [
        changed(y, |y| axpy(c, a, x, y).unwrap()),
        changed(y, |y| scale_add(c, a, x, b, y).unwrap()),
        changed(y, |y| lerp(c, a, x, y).unwrap()),
        changed(y, |d| add_scaled_difference(c, a, x, y, d).unwrap()),
        changed(y, |d| tanh_backward_in_place(c, x, d).unwrap()),
        changed(y, |y| scale(c, a, y).unwrap()),
        changed(y, |out| add(c, x, y, out).unwrap()),
        changed(y, |out| sub(c, x, y, out).unwrap()),
        changed(y, |out| mul(c, x, y, out).unwrap()),
        changed(y, |y| add_assign(c, x, y).unwrap()),
        changed(y, |y| sub_assign(c, x, y).unwrap()),
        changed(y, |y| mul_assign(c, x, y).unwrap()),
        changed(y, |y| fill(c, a, y).unwrap()),
        changed(y, |y| copy(c, x, y).unwrap()),
        changed(y, |y| clip(c, b, a, y).unwrap()),
        changed(y, |y| norm = clip_norm(c, a, y).unwrap()),
        changed(y, |out| relu_forward(c, x, out).unwrap()),
        changed(x, |x| relu_forward_in_place(c, x).unwrap()),
        changed(y, |out| relu_backward(c, x, y, out).unwrap()),
        changed(y, |d| relu_backward_in_place(c, x, d).unwrap()),
    ]
    .concat();
    results.push(norm);
    results
}

/// The short lengths, and one with more than one task.
fn short_lengths() -> Vec<usize> {
    lengths().into_iter().filter(|&len| len <= 70).chain([1000, TASK + 70]).collect()
}

#[test]
fn operations_are_the_reference_everywhere() {
    compare::<f32>(&short_lengths(), |c| references(c.a, c.b), |context, c| kernels(context, c.a, c.b)).unwrap();
    compare::<f64>(&short_lengths(), |c| references(c.a, c.b), |context, c| kernels(context, c.a, c.b)).unwrap();
}

#[test]
fn results_written_past_the_caches_are_the_same() {
    fn check<T: Scalar>(context: &Context, len: usize, offset: usize) {
        let x: Vec<T> = (0..len).map(|i| T::from_f64(0.1 * i as f64 - 3.0)).collect();
        let y: Vec<T> = (0..len).map(|i| T::from_f64(7.0 - 0.3 * i as f64)).collect();
        let run = |stream: bool| {
            let mut out = vec![T::ONE; offset + 4 * len];
            let mut parts = out[offset..].chunks_mut(len.max(1));
            let mut next = || parts.next().unwrap_or_default();
            let unit = std::marker::PhantomData;
            context
                .dispatch(Map { context, f: Fill { value: x[len / 2], unit }, dst: next(), src: [], stream })
                .unwrap()
                .unwrap();
            context.dispatch(Map { context, f: Copied { unit }, dst: next(), src: [&x], stream }).unwrap().unwrap();
            context.dispatch(Map { context, f: Add { unit }, dst: next(), src: [&x, &y], stream }).unwrap().unwrap();
            // Reads what is there, so it does not stream.
            context.dispatch(Map { context, f: AddAssign { unit }, dst: next(), src: [&x], stream }).unwrap().unwrap();
            out.into_iter().map(|x| x.bits()).collect::<Vec<_>>()
        };
        assert_eq!(run(false), run(true), "{} length {len}, offset {offset}", context.isa());
    }
    for context in contexts() {
        for len in [1, 31, 32, 64, 65, 127, 128, 200, 1000, TASK + 70] {
            // Several tasks are the same work at every place, and take an emulator long.
            for offset in if len > TASK { &[5][..] } else { &[0, 1, 5, 16] }.iter().copied() {
                check::<f32>(context, len, offset);
                check::<f64>(context, len, offset);
            }
        }
    }
}

#[test]
fn a_split_multiply_add_is_noticed() {
    let split = |context: &Context, x: &[f32], y: &[f32]| {
        changed(y, |y| y.iter_mut().zip(x).for_each(|(y, x)| *y += 0.3 * x)).into_iter().chain({
            let len = y.len();
            kernels(context, x, y).into_iter().skip(len)
        })
    };
    let lens = [64];
    assert!(compare::<f32>(&lens, |c| references(c.a, c.b), |k, c| split(k, c.a, c.b).collect()).is_err());
}

#[test]
fn comparisons_keep_nan_and_signed_zeros() {
    for context in contexts() {
        let x = [f32::NAN, -0.0, 0.0, -1.0, 2.0, f32::NEG_INFINITY, f32::INFINITY];
        let mut y = [7.0; 7];
        relu_forward(context, &x, &mut y).unwrap();
        assert!(y[0].is_nan());
        assert_eq!(y[1..].iter().map(|y| y.to_bits()).collect::<Vec<_>>(), {
            [-0.0f32, 0.0, 0.0, 2.0, 0.0, f32::INFINITY].map(f32::to_bits)
        });
        let mut d = [3.0f32; 7];
        relu_backward_in_place(context, &x, &mut d).unwrap();
        assert_eq!(d.map(f32::to_bits), [3.0f32, 0.0, 0.0, 0.0, 3.0, 0.0, 3.0].map(f32::to_bits));
        let mut z = x;
        clip(context, 0.0, 1.0, &mut z).unwrap();
        assert!(z[0].is_nan() && z[1].to_bits() == (-0.0f32).to_bits());
        assert_eq!(&z[2..], [0.0, 0.0, 1.0, 0.0, 1.0]);
    }
}

#[test]
fn bad_arguments_are_errors() {
    let context = &contexts()[0];
    let mut y = [1.0f32; 2];
    assert!(matches!(axpy(context, 1.0, &[1.0], &mut y), Err(Error::Shape { op: "axpy", expected: 2, actual: 1, .. })));
    assert!(matches!(copy(context, &[1.0], &mut y), Err(Error::Shape { op: "copy", .. })));
    assert!(matches!(clip(context, 1.0, -1.0, &mut y), Err(Error::Argument { op: "clip", .. })));
    assert!(matches!(clip(context, f32::NAN, 1.0, &mut y), Err(Error::Argument { op: "clip", .. })));
    assert!(matches!(clip_norm(context, f32::NAN, &mut y), Err(Error::Argument { op: "clip_norm", .. })));
    assert!(matches!(clip_norm(context, -1.0, &mut y), Err(Error::Argument { op: "clip_norm", .. })));
}

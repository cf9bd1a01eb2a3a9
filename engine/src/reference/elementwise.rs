//! Operations on each element, as the contract defines them: [`crate::kernels::elementwise`] has the words.

use super::reduce::norm;
use crate::simd::Real;

fn map<T: Real>(y: &mut [T], f: impl Fn(usize, T) -> T) {
    for (i, y) in y.iter_mut().enumerate() {
        *y = f(i, *y);
    }
}

/// `y = fma(a, x, y)`.
pub fn axpy<T: Real>(a: T, x: &[T], y: &mut [T]) {
    map(y, |i, y| a.fma(x[i], y));
}
/// `y = fma(a, x, b y)`.
pub fn scale_add<T: Real>(a: T, x: &[T], b: T, y: &mut [T]) {
    map(y, |i, y| a.fma(x[i], b * y));
}
/// `y = fma(t, x - y, y)`.
pub fn lerp<T: Real>(t: T, x: &[T], y: &mut [T]) {
    map(y, |i, y| t.fma(x[i] - y, y));
}
/// `d = fma(a, x - y, d)`.
pub fn add_scaled_difference<T: Real>(a: T, x: &[T], y: &[T], d: &mut [T]) {
    map(d, |i, d| a.fma(x[i] - y[i], d));
}
/// `x = a x`.
pub fn scale<T: Real>(a: T, x: &mut [T]) {
    map(x, |_, x| a * x);
}
/// `out = a + b`.
pub fn add<T: Real>(a: &[T], b: &[T], out: &mut [T]) {
    map(out, |i, _| a[i] + b[i]);
}
/// `out = a - b`.
pub fn sub<T: Real>(a: &[T], b: &[T], out: &mut [T]) {
    map(out, |i, _| a[i] - b[i]);
}
/// `out = a b`.
pub fn mul<T: Real>(a: &[T], b: &[T], out: &mut [T]) {
    map(out, |i, _| a[i] * b[i]);
}
/// `y = y + x`.
pub fn add_assign<T: Real>(x: &[T], y: &mut [T]) {
    map(y, |i, y| y + x[i]);
}
/// `y = y - x`.
pub fn sub_assign<T: Real>(x: &[T], y: &mut [T]) {
    map(y, |i, y| y - x[i]);
}
/// `y = y x`.
pub fn mul_assign<T: Real>(x: &[T], y: &mut [T]) {
    map(y, |i, y| y * x[i]);
}
/// `x = value`.
pub fn fill<T: Real>(value: T, x: &mut [T]) {
    map(x, |_, _| value);
}
/// `y = x`.
pub fn copy<T: Real>(x: &[T], y: &mut [T]) {
    map(y, |i, _| x[i]);
}
/// `x` between two bounds.
pub fn clip<T: Real>(low: T, high: T, x: &mut [T]) {
    map(x, |_, x| high.min_select(low.max_select(x)));
}
/// `x` scaled down to a norm; gives the norm from before.
pub fn clip_norm<T: Real>(max_norm: T, x: &mut [T]) -> T {
    let before = norm(x);
    if before > max_norm {
        scale(max_norm / before, x);
    }
    before
}
/// `y = 0 if 0 > x, else x`.
pub fn relu_forward<T: Real>(x: &[T], y: &mut [T]) {
    map(y, |i, _| T::ZERO.max_select(x[i]));
}
/// `d_x = 0 if x <= 0, else d_y`.
pub fn relu_backward<T: Real>(x: &[T], d_y: &[T], d_x: &mut [T]) {
    map(d_x, |i, _| if x[i] <= T::ZERO { T::ZERO } else { d_y[i] });
}
/// `d = d fma(-y, y, 1)`.
pub fn tanh_backward<T: Real>(y: &[T], d: &mut [T]) {
    map(d, |i, d| d * (-y[i]).fma(y[i], T::ONE));
}

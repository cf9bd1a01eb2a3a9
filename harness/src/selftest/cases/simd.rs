//! The lanes: every operation on values that trip implementations.

use regularity_engine::simd::{Bits, Kernel, Mask, Real, Tier, Vector, dispatch, soft_fma};
use regularity_engine::{Context, Result};

use crate::selftest::values::Value;
use crate::selftest::{Case, Inputs, Values};

pub const CASES: &[Case] = &[
    Case { name: "simd/soft_fma_f32", run: soft_fma_f32 },
    Case { name: "simd/soft_fma_f64", run: soft_fma_f64 },
    Case { name: "simd/arithmetic_f32", run: arithmetic::<f32> },
    Case { name: "simd/arithmetic_f64", run: arithmetic::<f64> },
    Case { name: "simd/select_f32", run: selects::<f32> },
    Case { name: "simd/select_f64", run: selects::<f64> },
    Case { name: "simd/fold_halves_f32", run: folds::<f32> },
    Case { name: "simd/fold_halves_f64", run: folds::<f64> },
    Case { name: "simd/partial_f32", run: partial::<f32> },
    Case { name: "simd/partial_f64", run: partial::<f64> },
    Case { name: "simd/widen_narrow", run: widen_narrow },
    Case { name: "simd/bits", run: bits },
];

/// Elements of each operand.
const LEN: usize = 4096;

fn soft_fma_f32(_: &Context) -> Result<Values> {
    let [a, b, c] = operands::<f32>();
    let known =
        soft_fma::fma_f32(f32::from_bits(0x9700_0800), f32::from_bits(0x1cff_f001), f32::from_bits(0x0001_0002));
    let fused = (0..LEN).map(|i| soft_fma::fma_f32(a[i], b[i], c[i]));
    Ok(Values::list(&fused.chain([known]).collect::<Vec<_>>()))
}

fn soft_fma_f64(_: &Context) -> Result<Values> {
    let [a, b, c] = operands::<f64>();
    Ok(Values::list(&(0..LEN).map(|i| soft_fma::fma_f64(a[i], b[i], c[i])).collect::<Vec<_>>()))
}

/// Three operands; the third is often close to minus the product of the others, so that a sum cancels.
fn operands<T: Real>() -> [Vec<T>; 3] {
    let inputs = ["a", "b", "c"].map(|name| Inputs::new(&format!("simd/{name}")));
    let [a, b, mut c] = inputs.map(|inputs| inputs.adversarial::<T>(LEN));
    for i in (0..LEN).step_by(3) {
        c[i] = -(a[i] * b[i]);
    }
    [a, b, c]
}

/// Runs `$body` on each whole vector of the operands and gathers what it pushes. A kernel has a generic method, which
/// a closure cannot have; hence a macro.
macro_rules! each_vector {
    ($context:expr, $T:ident, |$tier:ident, $a:ident, $b:ident, $c:ident| $body:expr) => {{
        struct Each<T>([Vec<T>; 3]);
        impl<$T: Real> Kernel for Each<$T> {
            type Output = Vec<$T>;
            #[inline(always)]
            fn run<S: Tier>(self, $tier: S) -> Vec<$T> {
                let lanes = <$T::V<S> as Vector>::LANES;
                let mut all = Vec::new();
                let mut buffer = [$T::ZERO; 16];
                let [a, b, c] = &self.0;
                for i in (0..LEN).step_by(lanes) {
                    let $a = $T::V::<S>::load($tier, &a[i..]);
                    let $b = $T::V::<S>::load($tier, &b[i..]);
                    let $c = $T::V::<S>::load($tier, &c[i..]);
                    for x in $body {
                        x.store(&mut buffer[..lanes]);
                        all.extend_from_slice(&buffer[..lanes]);
                    }
                }
                all
            }
        }
        dispatch($context.isa(), Each(operands::<$T>()))?
    }};
}

fn arithmetic<T: Real + Value>(context: &Context) -> Result<Values> {
    let values = each_vector!(context, T, |tier, a, b, c| {
        let denominator = T::V::<S>::select(b.eq(T::V::<S>::zero(tier)), T::V::<S>::splat(tier, T::ONE), b);
        [a + b, a - c, a * b, a / denominator, a.fma(b, c), a.abs().sqrt(), -a, c.abs()]
    });
    Ok(Values::shaped(&[8, LEN], &values))
}

fn selects<T: Real + Value>(context: &Context) -> Result<Values> {
    let values = each_vector!(context, T, |tier, a, b, c| {
        let zero = T::V::<S>::zero(tier);
        let any = T::V::<S>::splat(tier, if a.lt(b).any() { T::ONE } else { T::ZERO });
        let all = T::V::<S>::splat(tier, if a.le(c).all() { T::ONE } else { T::ZERO });
        [
            a.max(b),
            a.min(b),
            a.max(zero),
            T::V::<S>::select(a.lt(b) & b.le(c), a, c),
            T::V::<S>::select(!a.eq(b) | c.lt(zero), b, c),
            any,
            all,
        ]
    });
    Ok(Values::shaped(&[7, LEN], &values))
}

fn folds<T: Real + Value>(context: &Context) -> Result<Values> {
    let values = each_vector!(context, T, |tier, a, b, c| {
        let fold = |x: T::V<S>| T::V::<S>::splat(tier, x.fold_halves());
        [fold(a), fold(b + c), T::V::<S>::splat(tier, a.fold_halves_max())]
    });
    Ok(Values::shaped(&[3, LEN], &values))
}

/// Loads and stores of 0 to LANES elements, at every offset within a vector.
fn partial<T: Real + Value>(context: &Context) -> Result<Values> {
    struct Partial<T>(Vec<T>);
    impl<T: Real> Kernel for Partial<T> {
        type Output = Vec<T>;
        #[inline(always)]
        fn run<S: Tier>(self, tier: S) -> Vec<T> {
            let lanes = <T::V<S> as Vector>::LANES;
            let mut all = Vec::new();
            for n in 0..=lanes {
                for offset in 0..lanes {
                    let x = T::V::<S>::load_partial(tier, &self.0[offset..offset + n]);
                    let (mut whole, mut part) = ([T::ONE; 16], [T::ONE; 16]);
                    x.store(&mut whole[..lanes]);
                    x.store_partial(&mut part[..n]);
                    all.extend_from_slice(&whole[..lanes]);
                    all.extend_from_slice(&part[..lanes]);
                }
            }
            all
        }
    }
    let [a, ..] = operands::<T>();
    Ok(Values::list(&dispatch(context.isa(), Partial(a))?))
}

fn widen_narrow(context: &Context) -> Result<Values> {
    struct WidenNarrow;
    impl Kernel for WidenNarrow {
        type Output = Vec<f32>;
        #[inline(always)]
        fn run<S: Tier>(self, tier: S) -> Vec<f32> {
            let [a, b, c] = operands::<f32>();
            let mut all = vec![0.0; LEN];
            for i in (0..LEN).step_by(16) {
                // a b + c is exact in neither type, so narrowing rounds.
                let [a, b, c] = [&a, &b, &c].map(
                    #[inline(always)]
                    |x| tier.widen(S::F32::load(tier, &x[i..])),
                );
                let fused = [a[0].fma(b[0], c[0]), a[1].fma(b[1], c[1])];
                tier.narrow(fused).store(&mut all[i..]);
            }
            all
        }
    }
    Ok(Values::list(&dispatch(context.isa(), WidenNarrow)?))
}

fn bits(context: &Context) -> Result<Values> {
    struct Integers;
    impl Kernel for Integers {
        type Output = Vec<u32>;
        #[inline(always)]
        fn run<S: Tier>(self, tier: S) -> Vec<u32> {
            let [a, b, _] = operands::<f32>();
            let mut all = Vec::new();
            let mut buffer = [0.0f32; 16];
            for i in (0..LEN).step_by(16) {
                let (a, b) = (S::F32::load(tier, &a[i..]).to_bits(), S::F32::load(tier, &b[i..]).to_bits());
                for x in [a + b, a - b, a & b, a | b, a ^ b, a.shl::<9>(), b.shr::<9>()] {
                    x.to_float().store(&mut buffer);
                    all.extend(buffer.map(f32::to_bits));
                }
                let [low, high] = tier.widen_bits(a);
                for x in [low, high] {
                    let mut wide = [0.0f64; 8];
                    x.shl::<20>().to_float().store(&mut wide);
                    all.extend(wide.iter().flat_map(|x| [x.to_bits() as u32, (x.to_bits() >> 32) as u32]));
                }
            }
            all
        }
    }
    Ok(Values::list(&dispatch(context.isa(), Integers)?))
}

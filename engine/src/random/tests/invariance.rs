//! A fill is its single draws, on every tier, at every thread count, from every offset.

use super::small;
use crate::error::Error;
use crate::math::map_normal_quantile;
use crate::random::{Fan, Gain, Init, Stream};
use crate::simd::soft_fma::fma_f32;
use crate::{Context, Isa};

const LOW: f32 = -1.5;
const HIGH: f32 = 0.3;
const MEAN: f32 = 0.1;
const STD: f32 = 0.7;
const P: f64 = 0.3;
const VALUE: f32 = 1.0 / 0.3;

/// The draws one by one, by the definitions.
struct Expected {
    words: Vec<u32>,
    uniform: Vec<f32>,
    bernoulli: Vec<f32>,
    normal: Vec<f32>,
}

impl Expected {
    fn new(stream: &Stream, first: u64, len: usize) -> Self {
        let indices = || (0..len as u64).map(|i| first.wrapping_add(i));
        let words: Vec<u32> = indices().map(|i| stream.u32_at(i)).collect();
        let uniform = |i| {
            let x = fma_f32(stream.uniform_at(i), HIGH - LOW, LOW);
            if x < HIGH { x } else { HIGH.next_down() }
        };
        let bernoulli = |i| if stream.bernoulli_at(i, P).unwrap() { VALUE } else { 0.0 };
        let mut normal = vec![0.0; len];
        map_normal_quantile(Isa::Portable, &words, &mut normal).unwrap();
        normal.iter_mut().for_each(|z| *z = fma_f32(*z, STD, MEAN));
        Self { uniform: indices().map(uniform).collect(), bernoulli: indices().map(bernoulli).collect(), words, normal }
    }
}

#[test]
fn fills_are_their_single_draws_on_every_tier_thread_count_offset_and_length() {
    let stream = Stream::new(5, "invariance", 9);
    let offsets = [0, 1, 15, 16, 17, 250, 256, (1 << 32) - 5, 1 << 36, u64::MAX - 20];
    let large = if small() { [257, 600, 1000] } else { [257, 16 * 1024 + 1, 40_003] };
    let contexts = || {
        let threads = if small() { &[1, 3][..] } else { &[1, 2, 3, 5, 8] };
        let pairs = Isa::available().into_iter().flat_map(|isa| threads.iter().map(move |&threads| (isa, threads)));
        pairs.map(|(isa, threads)| Context::new(isa, threads).unwrap()).collect::<Vec<_>>()
    };
    let contexts = contexts();
    for (case, first) in offsets.into_iter().enumerate() {
        let longest = if case % 3 == 2 { large[2] } else { large[0] };
        let want = Expected::new(&stream, first, longest);
        for context in &contexts {
            for len in (0..=33).chain(large).filter(|&len| len <= longest) {
                let what = format!("{}, {} threads, offset {first}, length {len}", context.isa(), context.threads());
                let mut words = vec![0; len];
                stream.fill_u32(context, first, &mut words).unwrap();
                assert!(words == want.words[..len], "words, {what}");

                let mut out = vec![f32::NAN; len];
                stream.fill_uniform(context, first, &mut out, LOW, HIGH).unwrap();
                assert!(out == want.uniform[..len], "uniform, {what}");
                stream.fill_bernoulli(context, first, &mut out, P, VALUE).unwrap();
                assert!(out == want.bernoulli[..len], "bernoulli, {what}");
                // The software FMA takes a microsecond a value here.
                if context.isa() != Isa::Portable || len <= large[0] || (case == 2 && context.threads() == 3) {
                    stream.fill_normal(context, first, &mut out, MEAN, STD).unwrap();
                    assert!(out == want.normal[..len], "normal, {what}");
                }
            }
        }
    }
}

#[test]
fn uniform_numbers_stay_below_the_upper_end() {
    // The largest draw times the width rounds up to `high` for about one word in four.
    let context = super::context();
    let (low, high) = (1.0f32, 1.0 + 2.0 * f32::EPSILON);
    let mut out = [0.0; 1000];
    Stream::new(0, "ends", 0).fill_uniform(&context, 0, &mut out, low, high).unwrap();
    assert!(out.iter().all(|&x| low <= x && x < high));
    assert!(out.contains(&low) && out.contains(&high.next_down()));
}

#[test]
fn bernoulli_zero_and_one_are_certain_and_a_half_is_the_top_bit() {
    let (context, stream) = (super::context(), Stream::new(0, "certain", 0));
    let draw = |p| {
        let mut out = [0.5; 1000];
        stream.fill_bernoulli(&context, 3, &mut out, p, 2.0).unwrap();
        out
    };
    assert!(draw(0.0).iter().all(|x| x.to_bits() == 0));
    assert!(draw(f64::from_bits(1)).iter().all(|&x| x == 0.0));
    assert!(draw(1.0).iter().all(|&x| x == 2.0));
    for (i, x) in draw(0.5).into_iter().enumerate() {
        assert_eq!(x == 2.0, stream.u32_at(3 + i as u64) < 1 << 31);
    }
}

#[test]
fn arguments_outside_of_their_domain_are_refused() {
    let (context, stream, out) = (super::context(), Stream::new(0, "", 0), &mut [0.0; 2]);
    let refused = |result| assert!(matches!(result, Err(Error::Argument { .. })));
    for (low, high) in [(1.0, 1.0), (1.0, 0.0), (f32::NAN, 1.0), (0.0, f32::INFINITY), (f32::MIN, f32::MAX)] {
        refused(stream.fill_uniform(&context, 0, out, low, high));
    }
    for (mean, std) in [(0.0, -1.0), (f32::NAN, 1.0), (0.0, f32::INFINITY)] {
        refused(stream.fill_normal(&context, 0, out, mean, std));
    }
    for p in [-0.1, 1.1, f64::NAN] {
        refused(stream.fill_bernoulli(&context, 0, out, p, 1.0));
        refused(stream.bernoulli_at(0, p).map(|_| ()));
    }
    refused(Init::UniformFanIn { fan_in: 0 }.fill(&context, &stream, 0, out));
    refused(Init::HeNormal { fan: 1, gain: Gain::Other { squared: -1.0 } }.fill(&context, &stream, 0, out));
    assert!(matches!(Fan::conv(usize::MAX, 1, 9), Err(Error::Overflow { .. })));
}

#[test]
fn initialisers_have_the_scales_of_their_formulas() {
    let (context, stream) = (super::context(), Stream::new(3, "init", 0));
    let fan = Fan::conv(16, 32, 9).unwrap();
    assert_eq!(fan, Fan { fan_in: 144, fan_out: 288 });
    assert_eq!(Fan::linear(3, 5), Fan { fan_in: 3, fan_out: 5 });
    let scale = |init: Init| init.scale().unwrap();
    assert_eq!(scale(Init::HeNormal { fan: fan.fan_out, gain: Gain::Relu }), (1.0f64 / 12.0) as f32);
    assert_eq!(scale(Init::UniformFanIn { fan_in: fan.fan_in }), (1.0f64 / 12.0) as f32);
    // PyTorch's way to the same bound: a gain for the slope sqrt 5.
    let slope = 5.0f64.sqrt();
    let by_gain = scale(Init::HeUniform { fan: 144, gain: Gain::LeakyRelu { slope } });
    assert!((by_gain - 1.0 / 12.0).abs() < 1e-8);

    let filled = |init: Init| {
        let mut out = [f32::NAN; 40];
        init.fill(&context, &stream, 7, &mut out).unwrap();
        out
    };
    let mut want = [0.0; 40];
    stream.fill_normal(&context, 7, &mut want, 0.0, 0.01).unwrap();
    assert_eq!(filled(Init::Normal { std: 0.01 }), want);
    stream.fill_uniform(&context, 7, &mut want, -0.25, 0.25).unwrap();
    assert_eq!(filled(Init::UniformFanIn { fan_in: 16 }), want);
    assert_eq!(filled(Init::Constant(1.0)), [1.0; 40]);
    assert_eq!(filled(Init::HeUniform { fan: 1, gain: Gain::Other { squared: 0.0 } }), [0.0; 40]);
}

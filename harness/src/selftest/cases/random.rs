//! Keyed draws, orders, subsets and initial values.

use regularity_engine::random::{Fan, Gain, Init, Stream};
use regularity_engine::{Context, Result};

use crate::selftest::{Case, Inputs, Values};

pub const CASES: &[Case] = &[
    Case { name: "random/words", run: words },
    Case { name: "random/single_draws", run: single_draws },
    Case { name: "random/uniform", run: uniform },
    Case { name: "random/normal", run: normal },
    Case { name: "random/bernoulli", run: bernoulli },
    Case { name: "random/permutation", run: permutation },
    Case { name: "random/sample", run: sample },
    Case { name: "random/class_balanced", run: class_balanced },
    Case { name: "random/init", run: init },
];

/// Enough for several tasks and an odd tail.
const LEN: usize = 100_003;
/// A first index that is a multiple of nothing.
const FIRST: u64 = 1_000_003;

fn stream(step: u64) -> Stream {
    Stream::new(20_240_229, "selftest", step)
}

fn words(context: &Context) -> Result<Values> {
    let mut out = vec![0; LEN];
    stream(0).fill_u32(context, FIRST, &mut out)?;
    Ok(Values::list(&out))
}

/// Draws by index, at the ends of the range too, over several steps.
fn single_draws(_: &Context) -> Result<Values> {
    let mut all = Vec::new();
    for (step, index) in [0, 1, u64::from(u32::MAX), u64::MAX].into_iter().zip([0, 15, 1 << 40, u64::MAX]) {
        let stream = stream(step);
        for index in (0..40).map(|i| index.wrapping_sub(20).wrapping_add(i)) {
            all.push(u64::from(stream.u32_at(index)));
            all.push(stream.u64_at(index));
            all.push(u64::from(stream.uniform_at(index).to_bits()));
            all.push(stream.uniform_f64_at(index).to_bits());
            all.push(stream.below_at(index, 10));
            all.push(u64::from(stream.bernoulli_at(index, 0.3)?));
        }
    }
    Ok(Values::list(&all))
}

fn uniform(context: &Context) -> Result<Values> {
    let mut out = vec![0.0; LEN];
    stream(1).fill_uniform(context, FIRST, &mut out, -0.1, 0.7)?;
    Ok(Values::list(&out))
}

fn normal(context: &Context) -> Result<Values> {
    let mut out = vec![0.0; LEN];
    stream(2).fill_normal(context, FIRST, &mut out, 0.25, 0.02)?;
    Ok(Values::list(&out))
}

fn bernoulli(context: &Context) -> Result<Values> {
    let mut out = vec![0.0; LEN];
    stream(3).fill_bernoulli(context, FIRST, &mut out, 0.7, 1.0 / 0.7)?;
    Ok(Values::list(&out))
}

fn permutation(_: &Context) -> Result<Values> {
    let orders = [0, 1, 2, 33, 50_000].map(|n| stream(4).permutation(n));
    Ok(Values::list(&indices(orders.concat())))
}

fn sample(_: &Context) -> Result<Values> {
    let samples = [(5, 0), (5, 5), (60_000, 1000)].map(|(n, k)| stream(5).sample(n, k));
    let samples: Result<Vec<_>> = samples.into_iter().collect();
    Ok(Values::list(&indices(samples?.concat())))
}

fn class_balanced(_: &Context) -> Result<Values> {
    let labels: Vec<u64> = Inputs::new("random/labels").below(5000, 10).into_iter().map(|label| label as u64).collect();
    let per_class = [100, 100, 100, 100, 100, 0, 1, 100, 7, 100];
    let excluded: Vec<usize> = (0..5000).step_by(97).collect();
    Ok(Values::list(&indices(stream(6).class_balanced(&labels, &per_class, &excluded)?)))
}

fn init(context: &Context) -> Result<Values> {
    let fan = Fan::conv(16, 32, 9)?;
    let mut all = Vec::new();
    for init in [
        Init::HeNormal { fan: fan.fan_in, gain: Gain::Relu },
        Init::HeNormal { fan: fan.fan_out, gain: Gain::LeakyRelu { slope: 0.1 } },
        Init::HeUniform { fan: fan.fan_in, gain: Gain::Linear },
        Init::UniformFanIn { fan_in: fan.fan_in },
    ] {
        let mut out = vec![0.0; 32 * 16 * 9];
        init.fill(context, &stream(7), 0, &mut out)?;
        all.extend(out);
    }
    Ok(Values::list(&all))
}

fn indices(indices: Vec<usize>) -> Vec<u64> {
    indices.into_iter().map(|index| index as u64).collect()
}

//! The speed of a training step of a whole network, and of its convolutions one by one.

use std::time::Instant;

use regularity_engine::kernels::conv::{
    Geometry, PackedBackward, PackedForward, backward_data, backward_weight, forward,
};
use regularity_engine::kernels::loss::Targets;
use regularity_engine::kernels::norm::Shape;
use regularity_engine::kernels::stage::{Keep, Plain};
use regularity_engine::layers::{Mode, NormKind};
use regularity_engine::memory::Buffer;
use regularity_engine::models::{Folded, gradients};
use regularity_engine::optim::{Rate, Sgd};
use regularity_engine::params::Groups;
use regularity_engine::random::Stream;
use regularity_engine::{Context, Isa, Result as EngineResult};
use serde::Serialize;

use super::{FmaProbe, Sample, Spread, calibrate, in_turns, seconds};
use crate::error::Result;
use crate::host;
use crate::network::Network;

/// Batches that take turns.
const BATCHES: u64 = 4;
/// Classes of the keyed labels.
const CLASSES: usize = 10;
/// Seconds of a sample of the multiply-add peak or of one convolution.
const SAMPLE_S: f64 = 0.05;

/// The training step to be timed: forward, backward and stochastic gradient descent with momentum 0.9 and weight decay
/// 5e-4, on keyed images and labels.
#[derive(Debug, Clone, Copy)]
pub struct StepProblem {
    /// The network.
    pub network: Network,
    /// Its normalisation.
    pub norm: NormKind,
    /// Images in a batch.
    pub batch: usize,
    /// Height and width of an image.
    pub pixels: usize,
    /// The tier.
    pub isa: Isa,
    /// The number of threads.
    pub threads: usize,
    /// Steps to make; the first, which allocates, is timed by itself.
    pub steps: usize,
    /// Whether to take the digest of the parameters after the last step.
    pub digest: bool,
}

/// What was measured.
#[derive(Debug, Clone, Serialize)]
pub struct StepSpeed {
    /// The network.
    pub model: String,
    /// Trained parameters.
    pub parameters: usize,
    /// Images in a batch.
    pub batch: usize,
    /// Height and width of an image.
    pub pixels: usize,
    /// The tier.
    pub isa: &'static str,
    /// The number of threads.
    pub threads: usize,
    /// Steps that were made.
    pub steps: usize,
    /// From the start of building the network to the end of the first step.
    pub first_ms: f64,
    /// The median step.
    pub ms_median: f64,
    /// The fastest.
    pub ms_min: f64,
    /// The slowest.
    pub ms_max: f64,
    /// Images a second, by the median.
    pub images_per_s: f64,
    /// Images a second of the forward pass in evaluation mode, by the median of as many passes.
    pub eval_images_per_s: f64,
    /// The same with the normalisations folded into the convolutions; none for a normalisation of each image by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub folded_images_per_s: Option<f64>,
    /// What the multiply-adds of the convolutions take at the peak that the same run measured, padded taps left out.
    pub floor_ms: f64,
    /// The greatest rate of multiply-adds that wait for nothing, on as many threads.
    pub peak_gflops: f64,
    /// The largest resident memory of the process until the last step, in MiB, where the system tells.
    pub peak_rss_mib: Option<f64>,
    /// The digest of the parameters and running statistics after the last step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
}

/// Keyed images and labels.
fn batches(context: &Context, input: Shape) -> EngineResult<Vec<(Buffer<f32>, Vec<u32>)>> {
    (0..BATCHES)
        .map(|step| {
            let mut images = Buffer::zeroed(input.len())?;
            Stream::new(1, "bench/images", step).fill_normal(context, 0, &mut images, 0.0, 1.0)?;
            let labels = Stream::new(1, "bench/labels", step);
            Ok((images, (0..input.n as u64).map(|i| labels.below_at(i, CLASSES as u64) as u32).collect()))
        })
        .collect()
}

impl StepProblem {
    /// Makes the steps.
    ///
    /// # Errors
    /// Those of the engine: a tier that this CPU lacks, threads or memory that cannot be had, images that are too small,
    /// and numbers that are not finite.
    pub fn measure(&self) -> Result<StepSpeed> {
        let Self { network, norm, batch, pixels, isa, threads, steps, digest } = *self;
        let context = Context::new(isa, threads)?;
        let input = Shape::new(batch, pixels, pixels, 3)?;
        let batches = batches(&context, input)?;
        let start = Instant::now();
        let mut net = network.build(&context, norm, input, CLASSES, 1)?;
        let (mut values, mut gradient) = (net.table().values()?, net.table().gradients()?);
        net.init(&context, 1, &mut values)?;
        let (mut sgd, groups) = (Sgd::new(net.table(), 0.9, false)?, Groups::one(net.table()));
        let rates = [Rate { lr: 0.05, weight_decay: 5e-4 }];
        let (mut first_ms, mut times, mut memory) = (0.0, Vec::with_capacity(steps), None);
        let (mut after, mut eval_times, mut folded_times) = (None, Vec::with_capacity(steps), Vec::new());
        context.install(|| -> EngineResult<()> {
            for step in 0..steps as u64 {
                let (images, labels) = &batches[(step % BATCHES) as usize];
                let taken = seconds(|| {
                    gradients(&context, &mut *net, &mut values, images, Targets::Hard(labels), step, &mut gradient)?;
                    sgd.step(&context, &groups, &rates, &mut values, &gradient)
                })?;
                if step == 0 {
                    first_ms = start.elapsed().as_secs_f64() * 1e3;
                }
                if step > 0 || steps == 1 {
                    times.push(taken * 1e3);
                }
            }
            // Before the network with folded normalisations, which training has no use for, is made.
            memory = host::peak_memory();
            after = Some(net.table().digest(&values)?.to_string());
            for step in 0..times.len() {
                let (images, _) = &batches[step % BATCHES as usize];
                eval_times.push(seconds(|| net.forward(&context, &mut values, images, Mode::Eval))?);
            }
            if !matches!(norm, NormKind::Group(_)) {
                let mut folded = Folded::new(&context, &*net, &values)?;
                // The first pass meets cold memory, as the first step does.
                folded.forward(&context, &batches[0].0)?;
                for step in 0..times.len() {
                    let (images, _) = &batches[step % BATCHES as usize];
                    folded_times.push(seconds(|| folded.forward(&context, images).map(drop))?);
                }
            }
            Ok(())
        })?;
        let peak_rss_mib = memory.map(|bytes| bytes as f64 / f64::from(1 << 20));
        let peak = FmaProbe::<f32>::new(isa, threads, SAMPLE_S)?;
        let taken = in_turns(5, &mut [Box::new(|| peak.sample()) as Sample<'_>])?;
        let spread = |samples: &[f64]| Spread::of(samples).unwrap_or(Spread { min: 0.0, median: 0.0, max: 0.0 });
        let (steps_ms, peak) = (spread(&times), spread(&taken[0]).max);
        let work: u64 = net.convolutions().iter().map(|(_, g, back)| g.multiply_adds() * (2 + u64::from(*back))).sum();
        Ok(StepSpeed {
            model: network.to_string(),
            parameters: net.table().parameters(),
            batch,
            pixels,
            isa: isa.name(),
            threads,
            steps,
            first_ms,
            ms_median: steps_ms.median,
            ms_min: steps_ms.min,
            ms_max: steps_ms.max,
            images_per_s: batch as f64 / steps_ms.median * 1e3,
            eval_images_per_s: batch as f64 / spread(&eval_times).median,
            folded_images_per_s: Spread::of(&folded_times).map(|spread| batch as f64 / spread.median),
            floor_ms: 2.0 * work as f64 * batch as f64 / peak / 1e6,
            peak_gflops: peak,
            peak_rss_mib,
            digest: after.filter(|_| digest),
        })
    }
}

/// One convolution of a network, in one direction.
#[derive(Debug, Clone, Serialize)]
pub struct LayerSpeed {
    /// The layer.
    pub name: String,
    /// `forward`, `backward_data` or `backward_weight`.
    pub direction: &'static str,
    /// Layers of this shape in the network.
    pub count: usize,
    /// The median time of one.
    pub ms_median: f64,
    /// The fastest.
    pub ms_min: f64,
    /// What its multiply-adds take at peak, padded taps left out.
    pub floor_ms: f64,
    /// Floor by fastest.
    pub fraction: f64,
}

/// Measures each convolution of a network by itself, plain tensors in and out, in turns with the multiply-add peak.
///
/// # Errors
/// As [`StepProblem::measure`].
pub fn layer_speeds(problem: &StepProblem, rounds: usize) -> Result<Vec<LayerSpeed>> {
    let StepProblem { network, norm, batch, pixels, isa, threads, .. } = *problem;
    let context = Context::new(isa, threads)?;
    let net = network.build(&context, norm, Shape::new(1, pixels, pixels, 3)?, CLASSES, 1)?;
    let peak = FmaProbe::<f32>::new(isa, threads, SAMPLE_S)?;
    let mut shapes: Vec<(String, Geometry, bool, usize)> = Vec::new();
    for (name, geometry, back) in net.convolutions() {
        match shapes.iter_mut().find(|(_, known, passes, _)| (*known, *passes) == (geometry, back)) {
            Some((.., count)) => *count += 1,
            None => shapes.push((name, geometry, back, 1)),
        }
    }
    let mut speeds = Vec::new();
    for (name, g, back, count) in shapes {
        let mut w = Buffer::zeroed(g.weight_len())?;
        Stream::new(1, "bench/weights", 0).fill_normal(&context, 0, &mut w, 0.0, 0.1)?;
        let (mut forward_weights, mut backward_weights) =
            (PackedForward::new(&context, &g)?, PackedBackward::new(&context, &g)?);
        forward_weights.pack(&context, &w)?;
        backward_weights.pack(&context, &w)?;
        let (mut x, mut y) = (Buffer::zeroed(batch * g.input_len())?, Buffer::zeroed(batch * g.output_len())?);
        Stream::new(1, "bench/images", 0).fill_normal(&context, 0, &mut x, 0.0, 1.0)?;
        let (mut d_x, mut d_w) = (Buffer::zeroed(x.len())?, Buffer::zeroed(w.len())?);
        let mut d_y = Buffer::zeroed(y.len())?;
        Stream::new(1, "bench/gradients", 0).fill_normal(&context, 0, &mut d_y, 0.0, 1.0)?;
        let (x, d_y) = (Plain::new(&x, g.h, g.w, g.c_in), Plain::new(&d_y, g.out_h(), g.out_w(), g.c_out));
        let mut runs: Vec<(&'static str, Box<dyn FnMut() -> EngineResult<()> + '_>)> = vec![
            ("forward", Box::new(|| forward(&context, &forward_weights, batch, &x, None, &mut y, &Keep))),
            ("backward_weight", Box::new(|| backward_weight(&context, &g, batch, &x, &d_y, &mut d_w, None))),
        ];
        if back {
            let run = || backward_data(&context, &backward_weights, batch, &d_y, &mut d_x, &Keep);
            runs.insert(1, ("backward_data", Box::new(run)));
        }
        let flops = 2.0 * g.multiply_adds() as f64 * batch as f64;
        for (direction, run) in &mut runs {
            let time = |calls: usize, run: &mut dyn FnMut() -> EngineResult<()>| {
                seconds(|| (0..calls).try_for_each(|_| run()))
            };
            let calls = calibrate(SAMPLE_S, |calls| time(calls, run))?;
            let mut samples: [Sample<'_>; 2] =
                [Box::new(|| Ok(time(calls, run)? / calls as f64 * 1e3)), Box::new(|| peak.sample())];
            let taken = in_turns(rounds, &mut samples)?;
            let spread = |i: usize| Spread::of(&taken[i]).unwrap_or(Spread { min: 0.0, median: 0.0, max: 0.0 });
            let floor_ms = flops / spread(1).max / 1e6;
            speeds.push(LayerSpeed {
                name: name.clone(),
                direction,
                count,
                ms_median: spread(0).median,
                ms_min: spread(0).min,
                floor_ms,
                fraction: floor_ms / spread(0).min,
            });
        }
    }
    Ok(speeds)
}

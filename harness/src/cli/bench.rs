//! `regularity bench`: the speed of this machine against its own limits.

use std::path::PathBuf;

use clap::Subcommand;
use regularity_engine::Isa;
use regularity_engine::layers::NormKind;

use super::options::{isa_parser, size_parser, threads_parser};
use super::terminal::{Terminal, Tone};
use crate::error::{Error, Result};
use crate::exchange::exchange;
use crate::host;
use crate::measure::{GemmProblem, GemmSpeed, StepProblem, StepSpeed, layer_speeds};

/// Measure the speed of a kernel against the limits of this machine
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Gemm(GemmArgs),
    Step(StepArgs),
    Layers(LayersArgs),
    Exchange(ExchangeArgs),
}

/// Measure the matrix product C = A B in f32
///
/// The product, multiply-adds that wait for nothing, and copies of as many bytes are timed in turns, so that a machine
/// that is slower for a while is slower for all of them.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  regularity bench gemm --m 512 --n 512 --k 512 --threads 1")]
struct GemmArgs {
    /// Rows of A and C
    #[arg(long, value_name = "M", value_parser = size_parser())]
    m: usize,
    /// Columns of B and C
    #[arg(long, value_name = "N", value_parser = size_parser())]
    n: usize,
    /// Columns of A, rows of B
    #[arg(long, value_name = "K", value_parser = size_parser())]
    k: usize,
    /// A lies transposed in memory
    #[arg(long)]
    trans_a: bool,
    /// B lies transposed in memory
    #[arg(long)]
    trans_b: bool,
    /// The instruction-set tier to run
    #[arg(long, value_name = "TIER", value_parser = isa_parser(), default_value = "auto")]
    isa: Isa,
    /// Threads [default: as many as this process may run at once]
    #[arg(long, value_name = "N", value_parser = threads_parser())]
    threads: Option<usize>,
    /// Samples to take, each of some 10 ms or one product
    #[arg(long, value_name = "N", default_value = "21", value_parser = clap::value_parser!(u16).range(1..))]
    repetitions: u16,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// The network to be timed
#[derive(Debug, clap::Args)]
struct NetworkArgs {
    /// resnet8, resnet14, resnet20, resnet18, resnet50, vgg16, or wrn-D-K such as wrn-16-4
    #[arg(long, value_name = "NAME")]
    model: String,
    /// Normalisation: of the batch, of groups of channels (eight), or stochastic (p = 0.5)
    #[arg(long, value_name = "KIND", default_value = "batch")]
    norm: NormArg,
    /// Images in a batch
    #[arg(long, value_name = "N", value_parser = size_parser(), default_value = "128")]
    batch: usize,
    /// Height and width of an image
    #[arg(long, value_name = "PIXELS", value_parser = size_parser(), default_value = "32")]
    size: usize,
    /// The instruction-set tier to run
    #[arg(long, value_name = "TIER", value_parser = isa_parser(), default_value = "auto")]
    isa: Isa,
    /// Threads [default: as many as this process may run at once]
    #[arg(long, value_name = "N", value_parser = threads_parser())]
    threads: Option<usize>,
}

/// Normalisations by the names that people type.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum NormArg {
    Batch,
    Group,
    Stoch,
}

/// Measure a training step: forward, backward, SGD with momentum and weight decay
///
/// Images and labels are keyed draws, so that the digest of the parameters after the steps is the same on every machine,
/// tier and number of threads.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  regularity bench step --model resnet20 --threads 2 --digest")]
struct StepArgs {
    #[command(flatten)]
    network: NetworkArgs,
    /// Steps to make; the first is timed by itself
    #[arg(long, value_name = "N", default_value = "20", value_parser = clap::value_parser!(u32).range(1..))]
    steps: u32,
    /// Print the digest of the parameters after the last step
    #[arg(long)]
    digest: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Measure each convolution of a network against the multiply-add peak
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  regularity bench layers --model resnet20 --threads 1")]
struct LayersArgs {
    #[command(flatten)]
    network: NetworkArgs,
    /// Samples to take of each, of some 50 ms
    #[arg(long, value_name = "N", default_value = "5", value_parser = clap::value_parser!(u16).range(1..))]
    repetitions: u16,
    /// Print a JSON list
    #[arg(long)]
    json: bool,
}

/// Write a short training run to files, for comparison with another system
///
/// Weights, batch, the logits, loss and gradients of the first step, and the weights after the last are safetensors files;
/// benches/peers/torch_parity.py reads them.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  regularity bench exchange --model resnet20 --batch 16 --out /tmp/resnet20")]
struct ExchangeArgs {
    #[command(flatten)]
    network: NetworkArgs,
    /// Steps to make, all on one batch
    #[arg(long, value_name = "N", default_value = "3", value_parser = clap::value_parser!(u32).range(1..))]
    steps: u32,
    /// The folder to write to; it is made if it is not there
    #[arg(long, value_name = "FOLDER")]
    out: PathBuf,
}

pub fn run(args: &Args, terminal: &mut Terminal) -> Result<()> {
    match &args.what {
        What::Gemm(args) => gemm(args, terminal),
        What::Step(args) => step(args, terminal),
        What::Layers(args) => layers(args, terminal),
        What::Exchange(args) => {
            exchange(&args.network.problem(args.steps as usize, false)?, &args.out)?;
            terminal.line(format_args!("written to {}", args.out.display()))
        }
    }
}

impl NetworkArgs {
    fn problem(&self, steps: usize, digest: bool) -> Result<StepProblem> {
        let norm = match self.norm {
            NormArg::Batch => NormKind::Batch,
            NormArg::Group => NormKind::Group(8),
            NormArg::Stoch => NormKind::Stochastic(0.5),
        };
        let threads = self.threads.unwrap_or_else(host::threads);
        let (network, batch, pixels, isa) = (self.model.parse()?, self.batch, self.size, self.isa);
        Ok(StepProblem { network, norm, batch, pixels, isa, threads, steps, digest })
    }
}

fn step(args: &StepArgs, terminal: &mut Terminal) -> Result<()> {
    let speed = args.network.problem(args.steps as usize, args.digest)?.measure()?;
    if args.json { terminal.json(&speed) } else { print_step(&speed, terminal) }
}

fn print_step(s: &StepSpeed, terminal: &mut Terminal) -> Result<()> {
    let threads = host::threads_text(s.threads);
    let title = format!(
        "{}, {} parameters, batch {} of {} x {} pixels, {}, {threads}",
        s.model, s.parameters, s.batch, s.pixels, s.pixels, s.isa
    );
    let title = terminal.paint(Tone::Heading, &title).to_string();
    terminal.line(title)?;
    terminal.line(format_args!(
        "step    {:.2} ms median ({:.2} to {:.2}, of {}), {:.1} images/s",
        s.ms_median, s.ms_min, s.ms_max, s.steps, s.images_per_s
    ))?;
    let folded = s.folded_images_per_s.map_or(String::new(), |speed| format!("; folded {speed:.1} images/s"));
    terminal.line(format_args!("eval    {:.1} images/s{folded}", s.eval_images_per_s))?;
    terminal.line(format_args!(
        "floor   {:.2} ms: the convolutions' multiply-adds at {:.1} GFLOP/s, the peak of the same run; the best step is \
         {:.1} % of it",
        s.floor_ms,
        s.peak_gflops,
        100.0 * s.floor_ms / s.ms_min
    ))?;
    let memory = s.peak_rss_mib.map_or(String::new(), |mib| format!("; {mib:.0} MiB of memory at most while training"));
    terminal.line(format_args!("start   {:.1} ms until the first step is done{memory}", s.first_ms))?;
    s.digest.as_ref().map_or(Ok(()), |digest| terminal.line(format_args!("digest  {digest}")))
}

fn layers(args: &LayersArgs, terminal: &mut Terminal) -> Result<()> {
    let speeds = layer_speeds(&args.network.problem(1, false)?, args.repetitions.into())?;
    if args.json {
        return terminal.json(&speeds);
    }
    let title = format!("{:<26} {:<16} {:>5} {:>10} {:>10} {:>6}", "layer", "direction", "count", "ms", "floor", "%");
    let title = terminal.paint(Tone::Heading, &title).to_string();
    terminal.line(title)?;
    let (mut time, mut floor) = (0.0, 0.0);
    for s in &speeds {
        (time, floor) = (time + s.ms_min * s.count as f64, floor + s.floor_ms * s.count as f64);
        terminal.line(format_args!(
            "{:<26} {:<16} {:>5} {:>10.3} {:>10.3} {:>6.1}",
            s.name,
            s.direction,
            s.count,
            s.ms_min,
            s.floor_ms,
            100.0 * s.fraction
        ))?;
    }
    terminal.line(format_args!("{:<49} {time:>10.3} {floor:>10.3} {:>6.1}", "all", 100.0 * floor / time))
}

fn gemm(args: &GemmArgs, terminal: &mut Terminal) -> Result<()> {
    let &GemmArgs { m, n, k, trans_a, trans_b, isa, .. } = args;
    let threads = args.threads.unwrap_or_else(host::threads);
    let problem = GemmProblem { m, n, k, trans_a, trans_b, isa, threads };
    let bytes = problem.bytes()?;
    if let Some(available) = host::available_memory().filter(|&available| bytes > available / 2) {
        return Err(Error::Usage {
            message: format!("the matrices take {} MiB, and {} MiB of memory are free", bytes >> 20, available >> 20),
            help: "ask for a smaller problem; half of the free memory is the limit".to_owned(),
        });
    }
    let speed = problem.measure(args.repetitions.into())?;
    if args.json { terminal.json(&speed) } else { print(&speed, terminal) }
}

fn print(s: &GemmSpeed, terminal: &mut Terminal) -> Result<()> {
    let (a, b) = (if s.trans_a { "A^T" } else { "A" }, if s.trans_b { "B^T" } else { "B" });
    let threads = host::threads_text(s.threads);
    let title = format!("C = {a} {b}, f32, m {}, n {}, k {}, {}, {threads}", s.m, s.n, s.k, s.isa);
    let title = terminal.paint(Tone::Heading, &title).to_string();
    terminal.line(title)?;
    terminal.line(format_args!(
        "speed   {:.1} GFLOP/s median ({:.1} to {:.1}); at best {:.1} % of the multiply-add peak, {:.1}",
        s.gflops_median,
        s.gflops_min,
        s.gflops_max,
        100.0 * s.fraction_of_peak,
        s.peak_gflops
    ))?;
    terminal.line(format_args!(
        "time    {} a product at best, of {} samples with {} products each",
        time_text(s.best_s),
        s.repetitions,
        s.calls_per_sample
    ))?;
    terminal.line(format_args!(
        "floor   {} of arithmetic; {} of traffic ({:.1} MiB once at {:.1} GB/s, as copies of that size run)",
        time_text(s.floor_arithmetic_s),
        time_text(s.floor_traffic_s),
        s.bytes as f64 / f64::from(1 << 20),
        s.copy_gb_per_s
    ))
}

fn time_text(seconds: f64) -> String {
    match seconds {
        s if s < 1e-3 => format!("{:.2} us", s * 1e6),
        s if s < 1.0 => format!("{:.2} ms", s * 1e3),
        s => format!("{s:.2} s"),
    }
}

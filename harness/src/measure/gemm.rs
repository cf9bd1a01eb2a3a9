//! The speed of a matrix product, beside what the machine could do at most.

use regularity_engine::kernels::gemm::{Options, gemm};
use regularity_engine::memory::Buffer;
use regularity_engine::tensor::{MatMut, MatRef};
use regularity_engine::{Context, Error as EngineError, Isa};
use serde::Serialize;

use super::{CopyProbe, FmaProbe, Sample, Spread, calibrate, in_turns, seconds};
use crate::error::Result;

/// The product `C = A B` to be timed, in `f32`.
#[derive(Debug, Clone, Copy)]
pub struct GemmProblem {
    /// Rows of A and C.
    pub m: usize,
    /// Columns of B and C.
    pub n: usize,
    /// Columns of A, rows of B.
    pub k: usize,
    /// Whether A lies transposed in memory.
    pub trans_a: bool,
    /// Whether B lies transposed in memory.
    pub trans_b: bool,
    /// The tier.
    pub isa: Isa,
    /// The number of threads.
    pub threads: usize,
}

/// What was measured. Product, multiply-add peak and copy are sampled in turns.
#[derive(Debug, Clone, Serialize)]
pub struct GemmSpeed {
    /// Rows of A and C.
    pub m: usize,
    /// Columns of B and C.
    pub n: usize,
    /// Columns of A, rows of B.
    pub k: usize,
    /// Whether A lay transposed in memory.
    pub trans_a: bool,
    /// Whether B lay transposed in memory.
    pub trans_b: bool,
    /// The tier.
    pub isa: &'static str,
    /// The number of threads.
    pub threads: usize,
    /// Samples taken.
    pub repetitions: usize,
    /// Products in each.
    pub calls_per_sample: usize,
    /// The median speed.
    pub gflops_median: f64,
    /// The least speed of a sample.
    pub gflops_min: f64,
    /// The greatest speed of a sample.
    pub gflops_max: f64,
    /// The greatest rate of multiply-adds that wait for nothing, on as many threads.
    pub peak_gflops: f64,
    /// `gflops_max / peak_gflops`: best against best, since a disturbance makes either slower and neither faster.
    pub fraction_of_peak: f64,
    /// The median bandwidth of copies that move as many bytes as the product must, on as many threads.
    pub copy_gb_per_s: f64,
    /// Bytes of A, B and C, each once.
    pub bytes: usize,
    /// Seconds that the multiply-adds take at peak.
    pub floor_arithmetic_s: f64,
    /// Seconds that moving the bytes takes at copy bandwidth.
    pub floor_traffic_s: f64,
    /// Seconds of a product in the fastest sample.
    pub best_s: f64,
}

/// Seconds of a sample: short, so that many are taken and some are not disturbed.
const SAMPLE_S: f64 = 0.01;
/// Copies are no larger than this: from here on they all run at the speed of memory.
const LARGEST_COPY: usize = 256 << 20;

impl GemmProblem {
    /// Bytes of A, B and C.
    ///
    /// # Errors
    /// [`EngineError::Overflow`] if they do not fit into the address space.
    pub fn bytes(&self) -> Result<usize> {
        let Self { m, n, k, .. } = *self;
        let bytes = [(m, k), (k, n), (m, n)].into_iter().try_fold(0usize, |sum, (rows, columns)| {
            rows.checked_mul(columns)?.checked_mul(size_of::<f32>())?.checked_add(sum)
        });
        Ok(bytes.ok_or(EngineError::Overflow { op: "bench gemm", what: "the matrices" })?)
    }

    /// Measures with `repetitions` samples.
    ///
    /// # Errors
    /// Those of the engine: a tier that this CPU lacks, threads or memory that cannot be had.
    pub fn measure(&self, repetitions: usize) -> Result<GemmSpeed> {
        let Self { m, n, k, trans_a, trans_b, isa, threads } = *self;
        let bytes = self.bytes()?;
        let context = Context::new(isa, threads)?;
        let (a, b) = (ramp(m * k)?, ramp(k * n)?);
        let mut c = Buffer::<f32>::zeroed(m * n)?;
        let a = if trans_a { MatRef::new(&a, k, m)?.transposed() } else { MatRef::new(&a, m, k)? };
        let b = if trans_b { MatRef::new(&b, n, k)?.transposed() } else { MatRef::new(&b, k, n)? };
        let mut run = |calls: usize| {
            context.install(|| {
                seconds(|| {
                    for _ in 0..calls {
                        gemm(&context, a, b, MatMut::new(&mut c, m, n)?, &Options::default())?;
                    }
                    Ok::<(), EngineError>(())
                })
            })
        };
        let calls = calibrate(SAMPLE_S, &mut run)?;
        let flops = 2.0 * m as f64 * n as f64 * k as f64;
        let peak = FmaProbe::<f32>::new(isa, threads, SAMPLE_S)?;
        let mut copy = CopyProbe::new(isa, threads, bytes.min(LARGEST_COPY), SAMPLE_S)?;
        let mut samples: [Sample<'_>; 3] = [
            Box::new(|| Ok(flops * calls as f64 / run(calls)? / 1e9)),
            Box::new(|| peak.sample()),
            Box::new(|| copy.sample()),
        ];
        let taken = in_turns(repetitions, &mut samples)?;
        let spread = |samples: &[f64]| Spread::of(samples).unwrap_or(Spread { min: 0.0, median: 0.0, max: 0.0 });
        let [speed, peak, copy] = [0, 1, 2].map(|i| spread(&taken[i]));
        Ok(GemmSpeed {
            m,
            n,
            k,
            trans_a,
            trans_b,
            isa: isa.name(),
            threads,
            repetitions,
            calls_per_sample: calls,
            gflops_median: speed.median,
            gflops_min: speed.min,
            gflops_max: speed.max,
            peak_gflops: peak.max,
            fraction_of_peak: speed.max / peak.max,
            copy_gb_per_s: copy.median,
            bytes,
            floor_arithmetic_s: flops / peak.max / 1e9,
            floor_traffic_s: bytes as f64 / copy.median / 1e9,
            best_s: flops / speed.max / 1e9,
        })
    }
}

/// Small integers: no operand is special, and no sum overflows.
fn ramp(len: usize) -> Result<Buffer<f32>> {
    let mut buffer = Buffer::zeroed(len)?;
    for (i, x) in buffer.iter_mut().enumerate() {
        *x = (i % 17) as f32 - 8.0;
    }
    Ok(buffer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_count_each_matrix_once_and_never_wrap() {
        let problem = GemmProblem { m: 2, n: 3, k: 5, trans_a: false, trans_b: false, isa: Isa::Portable, threads: 1 };
        assert_eq!(problem.bytes().unwrap(), 4 * (10 + 15 + 6));
        let huge = GemmProblem { m: usize::MAX / 4, n: 2, k: 1, ..problem };
        assert!(huge.bytes().is_err());
    }
}

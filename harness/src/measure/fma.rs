//! The multiply-add peak of a tier.

use std::hint::black_box;

use regularity_engine::kernels::Scalar;
use regularity_engine::kernels::probe;
use regularity_engine::{Context, Isa};
use serde::Serialize;

use super::{Sample, Spread, calibrate, in_turns, seconds, together};
use crate::error::Result;

/// The multiply-add rate of one tier on a number of threads.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FmaPeak {
    /// The tier's name.
    pub isa: &'static str,
    /// Threads at work.
    pub threads: usize,
    /// `f32` multiply-adds in GFLOP/s, two operations each.
    pub gflops: Spread,
}

/// A calibrated run of independent multiply-adds on several threads.
#[derive(Debug)]
pub struct FmaProbe<T> {
    context: Context,
    threads: usize,
    rounds: usize,
    element: std::marker::PhantomData<T>,
}

impl<T: Scalar> FmaProbe<T> {
    /// A probe whose samples last about `target` seconds.
    ///
    /// # Errors
    /// Those of the engine: a tier that this CPU lacks.
    pub fn new(isa: Isa, threads: usize, target: f64) -> Result<Self> {
        let mut probe = Self { context: Context::new(isa, 1)?, threads, rounds: 1, element: std::marker::PhantomData };
        probe.rounds = calibrate(target, |rounds| seconds(|| probe.work(rounds)))?;
        Ok(probe)
    }

    fn work(&self, rounds: usize) -> regularity_engine::Result<()> {
        let (a, b) = (T::from_f64(0.75), T::from_f64(0.125));
        black_box(probe::fma_chains(&self.context, rounds, black_box(a), black_box(b))?);
        Ok(())
    }

    /// One measurement, in GFLOP/s of all threads together.
    ///
    /// # Errors
    /// Those of the engine.
    pub fn sample(&self) -> Result<f64> {
        let taken = together((0..self.threads).map(|_| || self.work(self.rounds)).collect())?;
        let flops = probe::fma_chains_flops::<T>(&self.context, self.rounds)? * self.threads as u64;
        Ok(flops as f64 / taken / 1e9)
    }
}

/// Measures the given tiers, on one thread and on all, in turns.
///
/// # Errors
/// Those of the engine.
pub fn fma_peaks(tiers: &[Isa], threads: &[usize], rounds: usize, target: f64) -> Result<Vec<FmaPeak>> {
    let mut probes = Vec::new();
    for &isa in tiers {
        for &threads in threads {
            probes.push(FmaProbe::<f32>::new(isa, threads, target)?);
        }
    }
    let mut samples: Vec<Sample<'_>> = probes.iter().map(|probe| Box::new(|| probe.sample()) as Sample<'_>).collect();
    let taken = in_turns(rounds, &mut samples)?;
    let peak = |(probe, taken): (&FmaProbe<f32>, &Vec<f64>)| {
        let isa = probe.context.isa().name();
        Some(FmaPeak { isa, threads: probe.threads, gflops: Spread::of(taken)? })
    };
    Ok(probes.iter().zip(&taken).filter_map(peak).collect())
}

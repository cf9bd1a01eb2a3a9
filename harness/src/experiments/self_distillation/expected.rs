//! The numbers that the runs are held to.
//!
//! Those of the illustrative example were derived for this project from the problem statement and checked by a second
//! program; the paper gives no table for it. Those of the extension were published by its authors.

/// A row of [`ILLUSTRATION`].
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// The ridge coefficient; relative tolerance 1e-9.
    pub c: f64,
    /// The norm of the targets, and of the predictions; 1e-8.
    pub norms: [f64; 2],
    /// The mean squared error against the labels; 1e-7.
    pub training_error: f64,
    /// The mean squared error against the truth; 1e-7.
    pub test_error: f64,
    /// The roughness; 1e-5.
    pub roughness: f64,
    /// The trace of B; 1e-5.
    pub degrees_of_freedom: f64,
    /// The sparsity index; 1e-5.
    pub sparsity: f64,
}

const fn row(c: f64, before: f64, after: f64, rest: [f64; 5]) -> Row {
    let [training_error, test_error, roughness, degrees_of_freedom, sparsity] = rest;
    Row { c, norms: [before, after], training_error, test_error, roughness, degrees_of_freedom, sparsity }
}

/// The rounds of the illustrative example.
pub const ILLUSTRATION: [Row; 4] = [
    row(2.7052529165e-6, 2.51176046, 2.36368976, [0.04500000, 0.15412772, 3812.63894, 7.03722, 1.00435]),
    row(8.7627611730e-5, 2.36368976, 1.88092182, [0.10348796, 0.06882613, 806.18132, 2.92224, 1.14445]),
    row(2.7375541267e-4, 1.88092182, 1.24745278, [0.22193523, 0.12137002, 246.85746, 1.75702, 1.63352]),
    row(7.9001765283e-4, 1.24745278, 0.58569456, [0.39605098, 0.30712465, 41.31670, 1.15987, 2.64117]),
];

/// Single fits of the same training error as rounds 1, 2, 3: c (relative 1e-6), test error (1e-6), roughness (1e-3).
pub const SINGLE: [[f64; 3]; 3] =
    [[9.41860279e-5, 0.06926515, 805.083], [4.55562275e-4, 0.13469629, 242.195], [1.88438217e-3, 0.31616016, 39.656]];

/// Rounds on the interior grid: c and test error (relative 1e-4).
pub const INTERIOR: [[f64; 2]; 4] = [
    [4.9074424713e-5, 0.08727068],
    [1.7456789192e-4, 0.05989930],
    [4.0301613379e-4, 0.15512120],
    [1.2331444737e-3, 0.35187519],
];
/// Tolerances of which the number of fits on the interior grid is counted.
pub const INTERIOR_TOLERANCES: [f64; 7] = [0.2, 0.1, 0.02, 0.01, 1e-3, 1e-4, 1e-5];
/// Those numbers.
pub const INTERIOR_FITS: [u64; 7] = [1, 2, 7, 10, 33, 108, 345];
/// On the interior grid: condition number, guaranteed rounds, crossing, excess over 1 of the sparsity bound and its limit.
pub const INTERIOR_BOUNDS: [(&str, f64, f64); 5] = [
    ("condition", 9547.5553, 1e-4),
    ("guaranteed_rounds", 3.03e-4, 2e-3),
    ("crossing", 0.1875, 3e-4),
    ("sparsity_bound_excess", 1.6448e-7, 1e-4),
    ("sparsity_limit_excess", 1.645350e-7, 1e-4),
];

/// A row of [`GAUSSIAN`].
#[derive(Debug, Clone, Copy)]
pub struct GaussianRow {
    /// `|y| / sqrt(K eps)`.
    pub r0: f64,
    /// Rounds that the paper's bound guarantees, and the crossing of the norm bound; printed with three decimals.
    pub rounds: [f64; 2],
    /// Fits before the collapse.
    pub fits: u64,
    /// The sparsity index that is guaranteed.
    pub bound: f64,
    /// That of the last fit.
    pub sparsity: f64,
    /// The round of the smallest test error, and that error.
    pub best: (u64, f64),
}

const fn gaussian(r0: f64, rounds: [f64; 2], fits: u64, bound: f64, sparsity: f64, best: (u64, f64)) -> GaussianRow {
    GaussianRow { r0, rounds, fits, bound, sparsity, best }
}

/// Tolerances for the well-conditioned kernel.
pub const GAUSSIAN_TOLERANCES: [f64; 5] = [0.1, 0.01, 1e-3, 1e-4, 1e-5];
/// What they give.
pub const GAUSSIAN: [GaussianRow; 5] = [
    gaussian(2.3949, [0.145, 0.529], 2, 1.00065266, 1.0674, (0, 0.16203)),
    gaussian(7.5732, [0.685, 1.633], 7, 1.00069170, 1.1102, (1, 0.14980)),
    gaussian(23.949, [2.392, 3.600], 24, 1.00069975, 1.1801, (6, 0.14875)),
    gaussian(75.732, [7.790, 9.088], 79, 1.00070202, 1.3392, (22, 0.14854)),
    gaussian(239.49, [24.86, 26.19], 250, 1.00070271, 1.4282, (72, 0.14850)),
];
/// What the bound tends to.
pub const GAUSSIAN_LIMIT: f64 = 1.0007030279584;

/// Shares of the ground truth in the extension.
pub const SHARES: [f64; 3] = [0.0, 0.25, 0.35];
/// Steps of which its test error was published: six, and the limit.
pub const STEPS: usize = 7;
/// Published test errors, to five digits (README of `Kennethborup/self_distillation`; its table headed 0.25 has those of
/// 0.35, as its notebook shows).
pub const EXTENSION: [[f64; STEPS]; 3] = [
    [0.16477, 0.15076, 0.14915, 0.15561, 0.16735, 0.18251, 0.49505],
    [0.16477, 0.15309, 0.14958, 0.14903, 0.14946, 0.15011, 0.15250],
    [0.16477, 0.15424, 0.15089, 0.14983, 0.14954, 0.14948, 0.14959],
];

/// What the tolerance of the illustrative example leaves beside the irreducible part.
pub const DRAW_EXCESS: f64 = 0.0031389;
/// The share of 4000 draws of another generator in which the second fit was better than the first.
pub const SECOND_BETTER: f64 = 0.926;

//! The tables of cases. A golden lists them in this order.

mod conv;
mod curvature;
mod elementwise;
mod gemm;
mod linalg;
mod loss;
mod math;
mod norm;
mod parallel;
mod random;
mod reduce;
mod simd;
mod training;

use super::Case;

/// Every case.
pub const ALL: &[&[Case]] = &[
    simd::CASES,
    parallel::CASES,
    math::CASES,
    random::CASES,
    reduce::CASES,
    elementwise::CASES,
    gemm::CASES,
    conv::CASES,
    norm::CASES,
    linalg::CASES,
    loss::CASES,
    training::CASES,
    curvature::CASES,
];

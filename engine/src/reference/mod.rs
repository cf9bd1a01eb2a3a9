//! Plain scalar twins of every kernel, generic over `f32` and `f64`. They are the contract, in code.

pub mod conv;
pub mod conv_weight;
pub mod elementary;
pub mod elementwise;
pub mod gemm;
pub mod linalg;
pub mod loss;
pub mod norm;
pub mod optim;
pub mod pool;
pub mod reduce;

//! Normalisations, pooling and dropout.

use regularity_engine::kernels::norm::{
    BackwardStatistics, BatchNorm, Branch, GroupNorm, Noise, Post, Residual, Running, Shape, write,
};
use regularity_engine::kernels::stage::{Keep, Plain};
use regularity_engine::kernels::{dropout, pool};
use regularity_engine::random::Stream;
use regularity_engine::{Context, Result};

use crate::selftest::{Case, Inputs, Values};

pub const CASES: &[Case] = &[
    Case { name: "norm/batch", run: |context| batch(context, &[Branch::Batch]) },
    Case { name: "norm/stochastic", run: stochastic },
    Case { name: "norm/group", run: group },
    Case { name: "pool/windows", run: windows },
    Case { name: "pool/global_average", run: global_average },
    Case { name: "dropout/dropout", run: dropouts },
];

/// Around runs of pixels and vectors of channels.
const SHAPES: [(usize, usize, usize, usize); 6] =
    [(2, 1, 1, 3), (3, 7, 9, 1), (2, 8, 8, 17), (5, 5, 13, 33), (3, 12, 11, 64), (2, 2, 3, 100)];

fn shapes() -> impl Iterator<Item = Result<Shape>> {
    SHAPES.into_iter().map(|(n, h, w, c)| Shape::new(n, h, w, c))
}

fn input(name: &str, len: usize) -> Vec<f32> {
    Inputs::new(&format!("norm/{name}")).uniform(len)
}

/// Training forward and backward, with everything that can be fused behind it.
fn batch(context: &Context, branches: &[Branch]) -> Result<Values> {
    let mut all = Vec::new();
    for shape in shapes() {
        let shape = shape?;
        let [x, residual, d_a] = ["x", "residual", "d_a"].map(|name| input(name, shape.len()));
        let [gamma, beta] = ["gamma", "beta"].map(|name| input(name, shape.c));
        let map = input("map", shape.pixels());
        for &branch in branches {
            for post in
                [Post::RELU, Post { residual: Residual::Plain(&residual), noise: Noise::Shared(&map), relu: true }]
            {
                let (mut mean, mut var) = (vec![0.25; shape.c], vec![1.5; shape.c]);
                let (mut y, mut d_x) = (vec![0.0; shape.len()], vec![0.0; shape.len()]);
                let (mut d_gamma, mut d_beta) = (vec![0.0; shape.c], vec![0.0; shape.c]);
                let mut layer = BatchNorm::new(shape)?;
                layer.measure(context, &x)?;
                layer.train(context, &gamma, &beta, Running { mean: &mut mean, var: &mut var }, branch)?;
                write(context, &layer.forward(&x, post)?, shape, &mut y)?;
                let rows = [&mut d_gamma[..], &mut d_beta[..]];
                let statistics = BackwardStatistics::Exact;
                layer.backward(context, &x, post, None, &d_a, &gamma, &mut d_x, rows, statistics)?;
                [y, mean, var, d_x, d_gamma, d_beta].into_iter().for_each(|part| all.extend(part));
            }
        }
    }
    Ok(Values::list(&all))
}

fn stochastic(context: &Context) -> Result<Values> {
    let stream = Stream::new(1, "selftest/norm", 2);
    let branches = [
        Branch::PerChannel { p: 0.5, stream },
        Branch::PerLayer { p: 0.5, stream },
        Branch::Mixed { p: 0.25 },
        Branch::Moving,
    ];
    batch(context, &branches)
}

fn group(context: &Context) -> Result<Values> {
    let mut all = Vec::new();
    for shape in shapes() {
        let shape = shape?;
        let [x, d_a] = ["x", "d_a"].map(|name| input(name, shape.len()));
        let [gamma, beta] = ["gamma", "beta"].map(|name| input(name, shape.c));
        for groups in [1, 4, shape.c] {
            if !shape.c.is_multiple_of(groups) || shape.pixels() * shape.c == groups {
                continue;
            }
            let (mut y, mut d_x) = (vec![0.0; shape.len()], vec![0.0; shape.len()]);
            let (mut d_gamma, mut d_beta) = (vec![0.0; shape.c], vec![0.0; shape.c]);
            let mut layer = GroupNorm::new(shape, groups)?;
            layer.measure(context, &x, &gamma, &beta)?;
            write(context, &layer.forward(&x, Post::RELU)?, shape, &mut y)?;
            let rows = [&mut d_gamma[..], &mut d_beta[..]];
            layer.backward(context, &x, Post::RELU, None, &d_a, &gamma, &mut d_x, rows)?;
            [y, d_x, d_gamma, d_beta].into_iter().for_each(|part| all.extend(part));
        }
    }
    Ok(Values::list(&all))
}

fn windows(context: &Context) -> Result<Values> {
    let mut all = Vec::new();
    for (h, w, c, kernel, stride, padding) in
        [(1, 1, 3, 1, 1, 0), (4, 6, 17, 2, 2, 0), (9, 7, 33, 3, 2, 1), (6, 6, 64, 5, 3, 2)]
    {
        let (g, n) = (pool::window(h, w, c, kernel, stride, padding)?, 2);
        let x: Vec<f32> = Inputs::new("pool/x").adversarial(n * g.input_len());
        let d_y: Vec<f32> = Inputs::new("pool/d_y").wide(n * g.output_len());
        let source = Plain::new(&x, h, w, c);
        let (mut y, mut d_x) = (vec![0.0; d_y.len()], vec![0.0; x.len()]);
        pool::max_forward(context, &g, &source, n, &mut y)?;
        all.extend_from_slice(&y);
        pool::max_backward(context, &g, &source, n, &d_y, &mut d_x, &Keep)?;
        all.extend_from_slice(&d_x);
        pool::average_forward(context, &g, &source, n, &mut y)?;
        all.extend_from_slice(&y);
        pool::average_backward(context, &g, n, &d_y, &mut d_x, &Keep)?;
        all.extend_from_slice(&d_x);
    }
    Ok(Values::list(&all))
}

fn global_average(context: &Context) -> Result<Values> {
    let mut all = Vec::new();
    for shape in shapes() {
        let shape = shape?;
        let x: Vec<f32> = Inputs::new("pool/x").wide(shape.len());
        let (mut y, mut d_x) = (vec![0.0; shape.n * shape.c], vec![0.0; shape.len()]);
        pool::global_average_forward(context, shape, &Plain::new(&x, shape.h, shape.w, shape.c), &mut y)?;
        pool::global_average_backward(context, shape, &y, &mut d_x, &Keep)?;
        all.extend(y);
        all.extend(d_x);
    }
    Ok(Values::list(&all))
}

fn dropouts(context: &Context) -> Result<Values> {
    let stream = Stream::new(4, "selftest/dropout", 1);
    let mut all = Vec::new();
    for (n, p) in [(1, 0.5), (33, 0.1), (40_001, 0.3)] {
        let mut x = input("dropout", n);
        dropout::dropout(context, &stream, p, 77, &mut x)?;
        all.extend(x);
    }
    Ok(Values::list(&all))
}

//! The ordered trees.

use regularity_engine::parallel::TreeFold;
use regularity_engine::{Context, Result};

use crate::selftest::{Case, Inputs, Values};

/// Leaves of the trees: each number up to 34, where every shape of a tree occurs, and some larger ones.
const LEAVES: [usize; 3] = [1000, 1023, 4097];

pub const CASES: &[Case] =
    &[Case { name: "parallel/tree", run: tree }, Case { name: "parallel/tree_fold", run: tree_fold }];

fn tree(context: &Context) -> Result<Values> {
    let x: Vec<f32> = Inputs::new("parallel/tree").wide(5000);
    let sums = (0..=34).chain(LEAVES).map(|n| Ok(context.tree(n, |i| x[i], |a, b| a + b)?.unwrap_or(0.0)));
    Ok(Values::list(&sums.collect::<Result<Vec<_>>>()?))
}

fn tree_fold(_: &Context) -> Result<Values> {
    let x: Vec<f32> = Inputs::new("parallel/tree").wide(5000);
    let sum = |n: usize| {
        let mut fold = TreeFold::new(|a: f32, b: f32| a + b);
        x[..n].iter().for_each(|&x| fold.push(x));
        fold.finish().unwrap_or(0.0)
    };
    Ok(Values::list(&(0..=34).chain(LEAVES).map(sum).collect::<Vec<_>>()))
}

//! Losses and their gradients: every kind of targets, rows with tails, batches of several tasks.

use regularity_engine::kernels::loss::{
    Gradient, LossSum, Targets, logistic, softmax_backward, softmax_cross_entropy, softmax_forward, squared_error,
};
use regularity_engine::tensor::MatRef;
use regularity_engine::{Context, Result};

use crate::selftest::{Case, Inputs, Values};

pub const CASES: &[Case] = &[
    Case { name: "loss/softmax_hard", run: |context| cross_entropy(context, Kind::Hard) },
    Case { name: "loss/softmax_smoothed", run: |context| cross_entropy(context, Kind::Smoothed) },
    Case { name: "loss/softmax_soft", run: |context| cross_entropy(context, Kind::Soft) },
    Case { name: "loss/softmax_forward_backward", run: softmax },
    Case { name: "loss/squared_error", run: squared },
    Case { name: "loss/logistic", run: logistic_loss },
];

/// The kind of targets.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Hard,
    Smoothed,
    Soft,
}

/// (examples, classes, elements from row to row): around a vector, around the stripes, one class, several tasks.
const SHAPES: [(usize, usize, usize); 10] = [
    (1, 1, 1),
    (3, 2, 5),
    (16, 10, 10),
    (17, 15, 16),
    (33, 17, 17),
    (5, 63, 70),
    (5, 65, 65),
    (130, 100, 100),
    (4, 1000, 1003),
    (3000, 10, 10),
];

/// Logits of some size, a few of them far from the others.
fn logits(name: &str, len: usize) -> Vec<f32> {
    let inputs = Inputs::new(name);
    let near: Vec<f32> = inputs.uniform(len);
    near.into_iter().enumerate().map(|(i, x)| x * if inputs.bits(i).is_multiple_of(29) { 90.0 } else { 4.0 }).collect()
}

/// One batch: the losses of the examples, the gradient, the sum and the number that are right, behind those so far.
fn batch(
    all: &mut Vec<f32>,
    n: usize,
    width: usize,
    run: impl FnOnce(Gradient<'_>, &mut [f32]) -> Result<LossSum>,
) -> Result<()> {
    let (mut d, mut losses) = (vec![0.0; n * width], vec![0.0; n]);
    let sum = run(Gradient { d: &mut d, scale: 1.0 / n as f32 }, &mut losses)?;
    all.extend(losses);
    all.extend(d);
    all.extend([sum.sum, sum.mean(), sum.correct as f32]);
    Ok(())
}

fn cross_entropy(context: &Context, kind: Kind) -> Result<Values> {
    let mut all = Vec::new();
    for (n, k, pitch) in SHAPES {
        let x = logits("loss/logits", n * pitch);
        let x = MatRef::with_strides(&x, n, k, pitch, 1)?;
        let labels: Vec<u32> = Inputs::new("loss/labels").below(n, k).into_iter().map(|y| y as u32).collect();
        let soft: Vec<f32> = Inputs::new("loss/targets").uniform::<f32>(n * k).into_iter().map(f32::abs).collect();
        let targets = match kind {
            Kind::Hard => Targets::Hard(&labels),
            Kind::Smoothed => Targets::uniform(&labels, 0.1, k),
            Kind::Soft => Targets::Soft(MatRef::new(&soft, n, k)?),
        };
        batch(&mut all, n, k, |gradient, losses| {
            softmax_cross_entropy(context, x, targets, Some(gradient), Some(losses))
        })?;
        // The value alone is another piece of code.
        all.push(softmax_cross_entropy(context, x, targets, None, None)?.sum);
    }
    Ok(Values::list(&all))
}

fn softmax(context: &Context) -> Result<Values> {
    let mut all = Vec::new();
    for (n, k, pitch) in SHAPES {
        let x = logits("loss/softmax", n * pitch);
        let mut p = vec![0.0; n * k];
        softmax_forward(context, MatRef::with_strides(&x, n, k, pitch, 1)?, &mut p)?;
        let mut d = Inputs::new("loss/d_p").uniform(n * k);
        softmax_backward(context, MatRef::new(&p, n, k)?, &mut d)?;
        all.extend(p);
        all.extend(d);
    }
    Ok(Values::list(&all))
}

fn squared(context: &Context) -> Result<Values> {
    let mut all = Vec::new();
    for (n, k, pitch) in SHAPES {
        let x: Vec<f32> = Inputs::new("loss/x").wide(n * pitch);
        let t: Vec<f32> = Inputs::new("loss/t").uniform(n * k);
        let (x, t) = (MatRef::with_strides(&x, n, k, pitch, 1)?, MatRef::new(&t, n, k)?);
        batch(&mut all, n, k, |gradient, losses| squared_error(context, x, t, Some(gradient), Some(losses)))?;
    }
    Ok(Values::list(&all))
}

fn logistic_loss(context: &Context) -> Result<Values> {
    let mut all = Vec::new();
    for n in [1, 2, 15, 16, 17, 33, 100, 20_001] {
        let x = logits("loss/logistic", n);
        let signs = Inputs::new("loss/signs");
        let labels: Vec<f32> = (0..n).map(|i| if signs.bits(i).is_multiple_of(2) { 1.0 } else { -1.0 }).collect();
        batch(&mut all, n, 1, |gradient, losses| logistic(context, &x, &labels, Some(gradient), Some(losses)))?;
    }
    Ok(Values::list(&all))
}

//! Losses against their twins, against slopes, and against planted faults.
#![allow(clippy::unwrap_used)] // a test fails by panicking

use super::*;
use crate::reference::elementary::Elementary;
use crate::reference::loss as reference;
use crate::simd::Real;
use crate::tensor::MatMut;
use crate::testing::{Kind, Outcome, Placed, Rng, compare_values, contexts, in_turns, small_scale};

/// One batch, with every kind of targets.
struct Batch {
    n: usize,
    k: usize,
    stride: usize,
    x: Vec<f32>,
    labels: Vec<u32>,
    soft: Vec<f32>,
}

const ON: f32 = 0.8;
const OFF: f32 = 0.022_222_223;
const SCALE: f32 = 0.01;

impl Batch {
    fn new(n: usize, k: usize, kind: Kind) -> Self {
        let mut rng = Rng((n * 1000 + k) as u64);
        let stride = k + n % 3;
        let labels = (0..n).map(|_| rng.below(k) as u32).collect();
        let mut soft = Kind::Uniform.vector::<f32>(9, n * k);
        soft.iter_mut().for_each(|t| *t = t.abs());
        Self { n, k, stride, x: kind.vector(7, n * stride), labels, soft }
    }
    fn logits<'a>(&self, x: &'a [f32]) -> MatRef<'a, f32> {
        MatRef::with_strides(x, self.n, self.k, self.stride, 1).unwrap()
    }
    fn soft(&self) -> MatRef<'_, f32> {
        MatRef::new(&self.soft, self.n, self.k).unwrap()
    }
    fn targets(&self) -> [(Targets<'_>, reference::Targets<'_, f32>); 3] {
        let labels = &self.labels[..];
        [
            (Targets::Hard(labels), reference::Targets::Hard(labels)),
            (Targets::Smoothed { labels, on: ON, off: OFF }, reference::Targets::Smoothed(labels, ON, OFF)),
            (Targets::Soft(self.soft()), reference::Targets::Soft(self.soft())),
        ]
    }
    /// Results of a loss in one list: losses, gradient, sum, correct.
    fn results(&self, width: usize, run: impl FnOnce(&mut [f32], &mut [f32]) -> (f32, usize)) -> Vec<f32> {
        let (mut losses, mut d) = (vec![f32::NAN; self.n], Placed::new(&vec![f32::NAN; self.n * width], self.n % 16));
        let (sum, correct) = run(&mut losses, d.get_mut());
        [&losses, d.get(), &[sum, correct as f32]].concat()
    }
    /// The reference's list for some targets.
    fn expected(&self, targets: reference::Targets<'_, f32>) -> Vec<f32> {
        self.results(self.k, |losses, d| {
            let d = MatMut::new(d, self.n, self.k).unwrap();
            let correct = reference::softmax_cross_entropy(self.logits(&self.x), targets, SCALE, losses, d);
            (reference::batch(losses), correct)
        })
    }
}

/// The kernel on every context and alignment against what `expected` says of each kind of targets.
fn compare(batch: &Batch, expected: impl Fn(&Batch, reference::Targets<'_, f32>) -> Vec<f32>) -> Outcome {
    for (form, (targets, twin)) in batch.targets().into_iter().enumerate() {
        let expected = expected(batch, twin);
        for (turn, offset) in [0, 5, 15].into_iter().enumerate() {
            let placed = Placed::new(&batch.x, offset);
            let x = batch.logits(placed.get());
            let all = || contexts().iter().collect();
            for context in if batch.n * batch.k < TASK { in_turns(batch.n + batch.k + form + turn) } else { all() } {
                let place = format!("{} x {}, form {form}, offset {offset}, {context:?}", batch.n, batch.k);
                let whole = batch.results(batch.k, |losses, d| {
                    let gradient = Some(Gradient { d, scale: SCALE });
                    let loss = softmax_cross_entropy(context, x, targets, gradient, Some(losses)).unwrap();
                    (loss.sum, loss.correct)
                });
                compare_values(&expected, &whole).map_err(|m| format!("{place}: {m}"))?;
                let value = softmax_cross_entropy(context, x, targets, None, None).unwrap();
                let value = [value.sum, value.correct as f32];
                compare_values(&expected[expected.len() - 2..], &value).map_err(|m| format!("{place}, value: {m}"))?;
            }
        }
    }
    Ok(())
}

#[test]
fn softmax_cross_entropy_is_the_reference_everywhere() {
    let few = small_scale();
    let classes: Vec<usize> =
        if few { vec![1, 10, 17, 100] } else { (1..=20).chain([31, 33, 63, 64, 65, 100, 130, 1000]).collect() };
    for k in classes {
        for n in if few || k > 130 { vec![1, 17] } else { vec![1, 16, 17, 40] } {
            for kind in Kind::ALL {
                compare(&Batch::new(n, k, kind), Batch::expected).unwrap_or_else(|m| panic!("{kind:?}: {m}"));
            }
        }
    }
    if !few {
        // More than one task; a row beyond a shard of flat reductions; no examples.
        for (n, k) in [(17_001, 1), (3400, 10), (260, 130), (2, 16_390), (0, 10)] {
            compare(&Batch::new(n, k, Kind::Uniform), Batch::expected).unwrap();
        }
    }
}

/// Spoils losses and gradient.
type Fault<'a> = dyn Fn(&Batch, reference::Targets<'_, f32>, &mut [f32], &mut [f32]) + 'a;

#[test]
fn planted_faults_are_noticed() {
    let batch = Batch::new(40, 100, Kind::Uniform);
    compare(&batch, Batch::expected).unwrap();
    let flawed = |fault: &Fault<'_>| {
        compare(&batch, |batch, targets| {
            batch.results(batch.k, |losses, d| {
                let x = batch.logits(&batch.x);
                let matrix = MatMut::new(d, batch.n, batch.k).unwrap();
                let correct = reference::softmax_cross_entropy(x, targets, SCALE, losses, matrix);
                fault(batch, targets, losses, d);
                (reference::batch(losses), correct)
            })
        })
    };
    flawed(&|_, _, _, _| ()).unwrap();
    // The scale is multiplied in before the target is subtracted.
    let distributed = |batch: &Batch, targets: reference::Targets<'_, f32>, _: &mut [f32], d: &mut [f32]| {
        let mut p = vec![0.0; d.len()];
        reference::softmax_forward(batch.logits(&batch.x), MatMut::new(&mut p, batch.n, batch.k).unwrap());
        if let reference::Targets::Soft(t) = targets {
            for (i, d) in d.iter_mut().enumerate() {
                *d = p[i] * SCALE - t.at(i / batch.k, i % batch.k) * SCALE;
            }
        }
    };
    assert!(flawed(&distributed).is_err());
    // The sum of the exponentials is one chain; the maximum is not subtracted.
    for subtract in [true, false] {
        let other = |batch: &Batch, _: reference::Targets<'_, f32>, losses: &mut [f32], _: &mut [f32]| {
            for (i, loss) in losses.iter_mut().enumerate() {
                let x = &batch.x[i * batch.stride..][..batch.k];
                let m = if subtract { x.iter().fold(f32::NEG_INFINITY, |m, &x| x.max_select(m)) } else { 0.0 };
                let s = x.iter().fold(0.0, |s, &x| s + Elementary::exp(x - m));
                *loss = Elementary::ln(s) - (x[batch.labels[i] as usize] - m);
            }
        };
        assert!(flawed(&other).is_err());
    }
    // The batch is summed in a chain.
    let chain = compare(&batch, |batch, targets| {
        let mut results = batch.expected(targets);
        let at = results.len() - 2;
        results[at] = results[..batch.n].iter().fold(0.0, |s, x| s + x);
        results
    });
    assert!(chain.is_err());
}

#[test]
fn micro_batches_join_to_the_bits_of_the_batch() {
    let (n, k) = (70, 10);
    let batch = Batch { stride: k, ..Batch::new(n, k, Kind::Cancelling) };
    for context in contexts() {
        let run = |from: usize, to: usize, d: &mut [f32]| {
            let x = MatRef::new(&batch.x[from * k..to * k], to - from, k).unwrap();
            let gradient = Some(Gradient { d: &mut d[from * k..to * k], scale: 1.0 / n as f32 });
            softmax_cross_entropy(context, x, Targets::Hard(&batch.labels[from..to]), gradient, None).unwrap()
        };
        let (mut whole, mut parts) = (vec![0.0; n * k], vec![0.0; n * k]);
        let together = run(0, n, &mut whole);
        let left = run(0, 32, &mut parts).join(run(32, 64, &mut parts));
        let joined = left.join(run(64, n, &mut parts));
        assert_eq!((joined, joined.sum.to_bits()), (together, together.sum.to_bits()));
        assert_eq!(joined.mean().to_bits(), together.mean().to_bits());
        compare_values(&whole, &parts).unwrap();
    }
}

#[test]
fn softmax_is_the_reference_everywhere() {
    let examples = if small_scale() { 20 } else { 2000 };
    for (n, k) in [(1, 1), (3, 10), (17, 33), (5, 100), (examples, 10), (4, 0)] {
        for kind in Kind::ALL {
            let batch = Batch { n, k, stride: k, labels: vec![], soft: vec![], x: kind.vector(1, n * k) };
            let (x, mut p, mut d) = (batch.logits(&batch.x), vec![0.0; n * k], vec![0.0; n * k]);
            let d_p = kind.vector::<f32>(2, n * k);
            reference::softmax_forward(x, MatMut::new(&mut p, n, k).unwrap());
            let p_view = MatRef::new(&p, n, k).unwrap();
            let d_p_view = MatRef::new(&d_p, n, k).unwrap();
            reference::softmax_backward(p_view, d_p_view, MatMut::new(&mut d, n, k).unwrap());
            for context in contexts() {
                let mut actual = Placed::new(&vec![f32::NAN; n * k], 3);
                softmax_forward(context, x, actual.get_mut()).unwrap();
                compare_values(&p, actual.get()).unwrap();
                let mut actual = Placed::new(&d_p, 5);
                softmax_backward(context, p_view, actual.get_mut()).unwrap();
                compare_values(&d, actual.get()).unwrap();
            }
        }
    }
}

#[test]
fn squared_error_and_logistic_loss_are_the_reference_everywhere() {
    let few = [(0, 1), (1, 1), (16, 1), (35, 1), (3, 2), (20, 17)];
    let many = (0..40).map(|n| (n, 1)).chain([(3, 2), (20, 17), (5, 300), (70_000, 1), (700, 65)]);
    for (n, k) in if small_scale() { few.to_vec() } else { many.collect() } {
        for kind in Kind::ALL {
            let batch = Batch::new(n, k, kind);
            let x = batch.logits(&batch.x);
            let squared = batch.results(k, |losses, d| {
                let d = MatMut::new(d, n, k).unwrap();
                reference::squared_error(x, batch.soft(), SCALE, losses, d);
                (reference::batch(losses), 0)
            });
            let signs: Vec<f32> =
                batch.labels.iter().zip(&batch.soft).map(|(_, t)| if *t < 0.5 { -1.0 } else { 1.0 }).collect();
            let logistic_twin = batch.results(1, |losses, d| {
                let correct = reference::logistic(&batch.x[..n], &signs, SCALE, losses, d);
                (reference::batch(losses), correct)
            });
            for context in contexts() {
                let found = batch.results(k, |losses, d| {
                    let gradient = Some(Gradient { d, scale: SCALE });
                    let loss = squared_error(context, x, batch.soft(), gradient, Some(losses)).unwrap();
                    (loss.sum, loss.correct)
                });
                compare_values(&squared, &found).unwrap_or_else(|m| panic!("squared {n} x {k} {kind:?}: {m}"));
                let found = batch.results(1, |losses, d| {
                    let gradient = Some(Gradient { d, scale: SCALE });
                    let loss = logistic(context, &batch.x[..n], &signs, gradient, Some(losses)).unwrap();
                    (loss.sum, loss.correct)
                });
                compare_values(&logistic_twin, &found).unwrap_or_else(|m| panic!("logistic {n} {kind:?}: {m}"));
            }
        }
    }
}

/// The loss of logits, and its gradient.
type Loss<'a> = dyn Fn(&[f64], &mut [f64]) -> f64 + 'a;

/// Two rows of seven.
fn view(x: &[f64]) -> MatRef<'_, f64> {
    MatRef::new(x, 2, 7).unwrap()
}

#[test]
fn gradients_are_slopes() {
    let (n, k) = (2, 7);
    let mut rng = Rng(3);
    let x: Vec<f64> = (0..n * k).map(|_| 3.0 * rng.signed::<f64>()).collect();
    let soft = [0.1, 0.2, 0.3, 0.05, 0.05, 0.2, 0.1].repeat(n);
    let signs: Vec<f64> = (0..n * k).map(|i| if i % 3 == 0 { -1.0 } else { 1.0 }).collect();
    let losses: [&Loss<'_>; 5] = [
        &|x, d| cross_entropy(view(x), reference::Targets::Hard(&[2, 0]), d),
        &|x, d| cross_entropy(view(x), reference::Targets::Smoothed(&[2, 0], 0.7, 0.05), d),
        &|x, d| cross_entropy(view(x), reference::Targets::Soft(view(&soft)), d),
        &|x, d| {
            let mut losses = [0.0; 2];
            reference::squared_error(view(x), view(&soft), 1.0, &mut losses, MatMut::new(d, n, k).unwrap());
            reference::batch(&losses)
        },
        &|x, d| {
            let mut losses = [0.0; 14];
            reference::logistic(x, &signs, 1.0, &mut losses, d);
            reference::batch(&losses)
        },
    ];
    for (l, loss) in losses.iter().enumerate() {
        let (mut d, mut unused) = ([0.0; 14], [0.0; 14]);
        loss(&x, &mut d);
        for i in 0..n * k {
            let mut at = |h: f64| {
                let mut x = x.clone();
                x[i] += h;
                loss(&x, &mut unused)
            };
            let slope = (at(1e-5) - at(-1e-5)) / 2e-5;
            assert!((slope - d[i]).abs() < 1e-8, "loss {l}, element {i}: {slope} {}", d[i]);
        }
    }
}

fn cross_entropy(x: MatRef<'_, f64>, targets: reference::Targets<'_, f64>, d: &mut [f64]) -> f64 {
    let mut losses = [0.0; 2];
    let d = MatMut::new(d, x.rows(), x.cols()).unwrap();
    reference::softmax_cross_entropy(x, targets, 1.0, &mut losses, d);
    reference::batch(&losses)
}

#[test]
fn logits_that_are_not_finite_give_what_is_documented() {
    let inf = f32::INFINITY;
    for context in contexts() {
        let loss = |x: &[f32], label: u32| {
            let logits = MatRef::new(x, 1, x.len()).unwrap();
            softmax_cross_entropy(context, logits, Targets::Hard(&[label]), None, None).unwrap()
        };
        for x in [[f32::NAN, 0.0, 1.0], [inf, 0.0, 1.0], [-inf; 3], [f32::NAN; 3]] {
            assert!(loss(&x, 1).sum.is_nan() && loss(&x, 1).correct == 0);
        }
        assert_eq!(loss(&[-inf, 0.0, -inf], 0).sum, inf);
        assert_eq!(loss(&[-inf, 0.0, -inf], 1).sum.to_bits(), 0);
        // Of two largest logits the first is the prediction.
        assert_eq!([0, 1, 2].map(|y| loss(&[0.0, 5.0, 5.0], y).correct), [0, 1, 0]);
    }
}

#[test]
fn bad_arguments_are_errors() {
    let context = &contexts()[0];
    let x = MatRef::new(&[1.0, 3.0, 0.0, 2.0], 2, 2).unwrap();
    let run = |targets| softmax_cross_entropy(context, x, targets, None, None);
    let error = run(Targets::Hard(&[0, 2])).unwrap_err();
    assert!(matches!(&error, Error::Argument { actual, .. } if actual == "2 in row 1 (there are 2 classes)"));
    assert!(matches!(run(Targets::flipped(&[7, 0], 0.1, 2)), Err(Error::Argument { .. })));
    assert!(matches!(run(Targets::Hard(&[0])), Err(Error::Shape { expected: 2, actual: 1, .. })));
    assert!(matches!(run(Targets::Soft(x.transposed())), Err(Error::Argument { .. })));
    let gradient = Some(Gradient { d: &mut [0.0; 3], scale: 1.0 });
    assert!(matches!(softmax_cross_entropy(context, x, Targets::Soft(x), gradient, None), Err(Error::Shape { .. })));
    let losses = Some(&mut [0.0; 3][..]);
    assert!(matches!(squared_error(context, x, x, None, losses), Err(Error::Shape { .. })));
    let none = MatRef::new(&[], 2, 0).unwrap();
    assert!(softmax_cross_entropy(context, none, Targets::Hard(&[0, 0]), None, None).is_err());
    assert_eq!(squared_error(context, none, none, None, None).unwrap().mean().to_bits(), 0);
    let error = logistic(context, &[1.0, 2.0], &[1.0, 0.0], None, None).unwrap_err();
    assert!(matches!(&error, Error::Argument { actual, .. } if actual == "0 in row 1"));
}

#[test]
fn smoothed_targets_sum_to_one() {
    let sum = |targets: Targets<'_>| match targets {
        Targets::Smoothed { on, off, .. } => on + 9.0 * off,
        _ => 0.0,
    };
    assert!((sum(Targets::flipped(&[], 0.2, 10)) - 1.0).abs() < 1e-6);
    assert!((sum(Targets::uniform(&[], 0.1, 10)) - 1.0).abs() < 1e-6);
    assert!(matches!(Targets::flipped(&[], 0.2, 1), Targets::Smoothed { off: 0.0, .. }));
}

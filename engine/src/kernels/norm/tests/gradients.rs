//! The twins' backward passes in `f64` against central differences of their forward passes.

use super::twin::{Data, Results, batch_twin, group_twin};
use super::*;
use crate::simd::Real;

/// A function of the data, at whose result the loss `sum(a d_a)` is taken; its gradients are held against differences.
fn check(shape: Shape, what: &str, run: impl Fn(&Data<f64>) -> Results<f64>, z: impl Fn(&Data<f64>) -> Vec<f64>) {
    // Data whose pre-activations keep away from the kink of the rectifier.
    let data = |seed| {
        let mut data = Data::<f64>::new(shape, Kind::Uniform, seed);
        data.x.iter_mut().enumerate().for_each(|(i, x)| *x = *x * 2.0 + 3.0 + (i % shape.c) as f64);
        data
    };
    let away = |data: &Data<f64>| z(data).iter().all(|z| z.abs() > 1e-3);
    let mut data = (0..1000).map(data).find(away).unwrap();
    let results = run(&data);
    let loss = |data: &Data<f64>| -> f64 { run(data).a.iter().zip(&data.d_a).map(|(a, d)| a * d).sum() };
    let parts: [(&str, fn(&mut Data<f64>) -> &mut Vec<f64>, &[f64]); 3] = [
        ("d_x", |data| &mut data.x, &results.d_x),
        ("d_gamma", |data| &mut data.gamma, &results.d_gamma),
        ("d_beta", |data| &mut data.beta, &results.d_beta),
    ];
    for (name, part, gradient) in parts {
        let largest = gradient.iter().fold(0.0, |m: f64, g| g.abs().max_select(m));
        assert!(largest > 1e-3, "{what}: {name} vanishes");
        for (i, &gradient) in gradient.iter().enumerate() {
            let h = 1e-5;
            let value = part(&mut data)[i];
            part(&mut data)[i] = value + h;
            let right = loss(&data);
            part(&mut data)[i] = value - h;
            let left = loss(&data);
            part(&mut data)[i] = value;
            let difference = (right - left) / (2.0 * h);
            let error = (difference - gradient).abs() / largest;
            assert!(error < 1e-6, "{shape:?} {what}: {name}[{i}] is {gradient}, differences say {difference}");
        }
    }
}

#[test]
fn batch_gradients_agree_with_differences() {
    // Without the residual's own normalisation, which shares gamma and beta in these data.
    for (shape, picks) in [
        (Shape { n: 3, h: 1, w: 1, c: 3 }, [1, 4]),
        (Shape { n: 2, h: 5, w: 13, c: 3 }, [1, 2]),
        (Shape { n: 3, h: 3, w: 7, c: 5 }, [0, 4]),
        (Shape { n: 1, h: 2, w: 33, c: 2 }, [5, 1]),
    ] {
        for pick in picks {
            for branch in branches() {
                let exact = BackwardStatistics::Exact;
                // Picks 0 and 5 have no kink to keep away from.
                let z = |data: &Data<f64>| if pick % 5 == 0 { vec![1.0] } else { unrectified(data, branch, pick) };
                check(shape, &format!("{branch:?} {pick}"), |data| batch_twin(data, branch, pick, exact), z);
            }
        }
    }
}

/// The pre-activation of a batch-normalised layer.
fn unrectified(data: &Data<f64>, branch: Branch, pick: usize) -> Vec<f64> {
    let plain = batch_twin(data, branch, 0, BackwardStatistics::Exact).a;
    match pick {
        2 => plain.iter().zip(&data.residual).map(|(z, r)| z + r).collect(),
        4 => (0..plain.len()).map(|i| plain[i] + data.residual[i] + data.noise[i]).collect(),
        _ => plain,
    }
}

#[test]
fn group_gradients_agree_with_differences() {
    for (shape, groups) in [
        (Shape { n: 3, h: 1, w: 1, c: 6 }, 2),
        (Shape { n: 2, h: 5, w: 13, c: 3 }, 3),
        (Shape { n: 2, h: 3, w: 7, c: 6 }, 3),
        (Shape { n: 2, h: 2, w: 5, c: 5 }, 1),
    ] {
        for pick in [0, 1] {
            let z = |data: &Data<f64>| if pick == 0 { vec![1.0] } else { group_twin(data, groups, 0).a };
            check(shape, &format!("{groups} groups, {pick}"), |data| group_twin(data, groups, pick), z);
        }
    }
}

#[test]
fn gradients_of_the_branches_keep_their_identities() {
    let shape = Shape { n: 4, h: 5, w: 3, c: 4 };
    let data = Data::<f64>::new(shape, Kind::Uniform, 1);
    let count = (shape.n * shape.pixels()) as f64;
    let exact = BackwardStatistics::Exact;
    let batch = batch_twin(&data, Branch::Batch, 0, exact);
    let moving = batch_twin(&data, Branch::Moving, 0, exact);
    for channel in 0..shape.c {
        let of = |values: &[f64]| values[channel..].iter().step_by(shape.c).copied().collect::<Vec<f64>>();
        let (x, d_x, d) = (of(&data.x), of(&batch.d_x), of(&data.d_a));
        let mean = x.iter().sum::<f64>() / count;
        let var = x.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / count;
        let std = (var + 1e-5).sqrt();
        // Batch branch: the gradient is orthogonal to the constant, and nearly so to the normalised values.
        assert!(d_x.iter().sum::<f64>().abs() < 1e-12);
        let along: f64 = d_x.iter().zip(&x).map(|(d, x)| d * (x - mean) / std).sum();
        let expected = data.gamma[channel] * batch.d_gamma[channel] * 1e-5 / (std * std * std);
        assert!((along - expected).abs() < 1e-12, "{along} {expected}");
        // Moving branch: a factor.
        let factor = data.gamma[channel] / (data.running_var[channel] + 1e-5).sqrt();
        assert!(of(&moving.d_x).iter().zip(&d).all(|(d_x, d)| (d_x - factor * d).abs() < 1e-12));
    }
    // After the update the moving statistics are others, and so are the gradients of that branch alone.
    let post = BackwardStatistics::PostUpdate;
    let updated = batch_twin(&data, Branch::Moving, 0, post);
    assert!(updated.compare(&moving).is_err());
    batch.compare(&batch_twin(&data, Branch::Batch, 0, post)).unwrap();
    for channel in 0..shape.c {
        let (mean, var) = (moving.running[channel], moving.running[shape.c + channel]);
        let r = 1.0 / (var + 1e-5).sqrt();
        let pairs = (channel..shape.len()).step_by(shape.c).map(|i| (data.x[i], data.d_a[i], updated.d_x[i]));
        let d_gamma: f64 = pairs.clone().map(|(x, d, _)| d * (x - mean) * r).sum();
        assert!((d_gamma - updated.d_gamma[channel]).abs() < 1e-12);
        assert!(pairs.into_iter().all(|(_, d, d_x)| (d_x - data.gamma[channel] * r * d).abs() < 1e-12));
    }
}

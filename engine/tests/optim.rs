//! Optimisers, schedules and penalties: against their scalar twins bit for bit, and against closed forms.
#![allow(clippy::unwrap_used)] // a test may panic
#![allow(missing_docs)] // no one reads the documentation of a test

mod common;

use common::{Inputs, assert_same, contexts};
use regularity_engine::Error;
use regularity_engine::math::scalar::{expm1, ln};
use regularity_engine::optim::penalty::{delta, l2_sp};
use regularity_engine::optim::{Adam, Rate, Schedule, Sgd};
use regularity_engine::params::{Groups, Kind, Table, TableBuilder};
use regularity_engine::reference::optim as reference;

/// A backbone of more than one task with a tail, and a head.
fn table() -> Table {
    let mut builder = TableBuilder::new();
    builder.push("conv.weight", &[40_001], Kind::Weight).unwrap();
    builder.push("bn.weight", &[7], Kind::Scale).unwrap();
    builder.push("bn.running_mean", &[7], Kind::Buffer).unwrap();
    builder.push("fc.weight", &[33], Kind::Weight).unwrap();
    builder.finish().unwrap()
}

fn head(table: &Table) -> Groups {
    Groups::by(table, |entry| usize::from(entry.name().starts_with("fc")))
}

const RATES: [Rate; 2] = [Rate { lr: 0.1, weight_decay: 5e-4 }, Rate { lr: 1.0, weight_decay: 0.0 }];

/// The rate of each element.
fn rate_of(groups: &Groups, i: usize) -> Rate {
    RATES[groups.segments().iter().find(|(range, _)| range.contains(&i)).unwrap().1]
}

/// The numbers of step `t`, from the documented formulas.
fn adam_step(rate: Rate, betas: [f64; 2], t: u64) -> reference::AdamStep<f32> {
    let power_rest = |beta: f64| -expm1(t as f64 * ln(beta));
    reference::AdamStep {
        weight_decay: rate.weight_decay,
        betas: betas.map(|beta| beta as f32),
        rests: betas.map(|beta| (1.0 - beta) as f32),
        rate: (f64::from(rate.lr) / power_rest(betas[0])) as f32,
        root: (1.0 / power_rest(betas[1]).sqrt()) as f32,
        epsilon: 1e-8,
    }
}

#[test]
fn sgd_equals_its_twin_on_every_tier_and_thread_count() {
    let table = table();
    let groups = head(&table);
    for (momentum, nesterov) in [(0.9, true), (0.9, false), (0.0, false)] {
        for kind in [Inputs::Uniform, Inputs::Tiny, Inputs::Special] {
            let start = kind.vector(1, table.len());
            let gradients: Vec<_> = (2..5).map(|seed| kind.vector(seed, table.trained_len())).collect();
            let (mut w, mut v) = (start.clone(), vec![0.0; table.trained_len()]);
            for g in &gradients {
                for i in 0..g.len() {
                    let rate = rate_of(&groups, i);
                    reference::sgd(rate.lr, rate.weight_decay, momentum, nesterov, &mut w[i], &mut v[i], g[i]);
                }
            }
            for context in contexts() {
                let mut actual = start.clone();
                let mut sgd = Sgd::new(&table, momentum, nesterov).unwrap();
                gradients.iter().for_each(|g| sgd.step(context, &groups, &RATES, &mut actual, g).unwrap());
                assert_same(&w, &actual);
                assert_same(&v, sgd.velocity());
                assert_eq!(sgd.steps(), 3);
            }
        }
    }
}

#[test]
fn adam_equals_its_twin_on_every_tier_and_thread_count() {
    let (table, betas) = (table(), [0.9, 0.999]);
    let groups = head(&table);
    for kind in [Inputs::Uniform, Inputs::Tiny, Inputs::Special] {
        let start = kind.vector(1, table.len());
        let gradients: Vec<_> = (2..5).map(|seed| kind.vector(seed, table.trained_len())).collect();
        let mut w = start.clone();
        let (mut m, mut s) = (vec![0.0; table.trained_len()], vec![0.0; table.trained_len()]);
        for (t, g) in gradients.iter().enumerate() {
            for i in 0..g.len() {
                let step = adam_step(rate_of(&groups, i), betas, t as u64 + 1);
                reference::adam(&step, &mut w[i], &mut m[i], &mut s[i], g[i]);
            }
        }
        for context in contexts() {
            let mut actual = start.clone();
            let mut adam = Adam::new(&table, betas, 1e-8).unwrap();
            gradients.iter().for_each(|g| adam.step(context, &groups, &RATES, &mut actual, g).unwrap());
            assert_same(&w, &actual);
            assert_same(&m, adam.first_moment());
            assert_same(&s, adam.second_moment());
        }
    }
}

/// The closed form on a constant gradient: after the bias correction each step is `lr` times the sign.
#[test]
fn adam_walks_at_the_learning_rate_under_a_constant_gradient() {
    let mut builder = TableBuilder::new();
    builder.push("w", &[2], Kind::Weight).unwrap();
    let table = builder.finish().unwrap();
    let (groups, context) = (Groups::one(&table), &contexts()[0]);
    let (mut w, mut g) = (table.values().unwrap(), table.gradients().unwrap());
    g[..2].copy_from_slice(&[3.0, -0.01]);
    let mut adam = Adam::new(&table, [0.9, 0.999], 1e-8).unwrap();
    for step in 1..=200u16 {
        adam.step(context, &groups, &[Rate { lr: 0.125, weight_decay: 0.0 }], &mut w, &g).unwrap();
        let expected = 0.125 * f32::from(step);
        assert!(
            (w[0] + expected).abs() < 1e-4 * expected && (w[1] - expected).abs() < 1e-4 * expected,
            "{step}: {w:?}"
        );
    }
}

/// Momentum 0.5 on gradient 1: v is 1, 1.5, 1.75, and Nesterov steps by 1 + v / 2.
#[test]
fn momentum_and_nesterov_take_the_published_steps() {
    let mut builder = TableBuilder::new();
    builder.push("w", &[1], Kind::Weight).unwrap();
    let table = builder.finish().unwrap();
    let (groups, context) = (Groups::one(&table), &contexts()[0]);
    for (nesterov, expected) in [(false, [-1.0, -2.5, -4.25]), (true, [-1.5, -3.25, -5.125])] {
        let (mut w, mut g) = (table.values().unwrap(), table.gradients().unwrap());
        g[0] = 1.0;
        let mut sgd = Sgd::new(&table, 0.5, nesterov).unwrap();
        for expected in expected {
            sgd.step(context, &groups, &[Rate { lr: 1.0, weight_decay: 0.0 }], &mut w, &g).unwrap();
            assert_eq!(w[0], expected);
        }
    }
}

#[test]
fn padding_stays_zero() {
    let table = table();
    let (groups, context) = (Groups::one(&table), &contexts()[0]);
    let (mut w, g) = (table.values().unwrap(), table.gradients().unwrap());
    let rates = [Rate { lr: 0.1, weight_decay: 0.1 }];
    Adam::new(&table, [0.9, 0.999], 1e-8).unwrap().step(context, &groups, &rates, &mut w, &g).unwrap();
    Sgd::new(&table, 0.9, true).unwrap().step(context, &groups, &rates, &mut w, &g).unwrap();
    assert!(w.iter().all(|w| *w == 0.0));
}

#[test]
fn operands_that_do_not_fit_are_refused() {
    let table = table();
    let (groups, context) = (head(&table), &contexts()[0]);
    let (mut w, g) = (table.values().unwrap(), table.gradients().unwrap());
    let mut sgd = Sgd::new(&table, 0.9, true).unwrap();
    assert!(matches!(sgd.step(context, &groups, &RATES[..1], &mut w, &g), Err(Error::Shape { what: "rates", .. })));
    assert!(sgd.step(context, &groups, &RATES, &mut w, &g[1..]).is_err());
    assert!(sgd.step(context, &groups, &RATES, &mut w[..100], &g).is_err());
    assert_eq!(sgd.steps(), 0);
    assert!(Sgd::new(&table, 1.0, true).is_err() && Sgd::new(&table, f32::NAN, true).is_err());
    assert!(Adam::new(&table, [0.9, -0.1], 1e-8).is_err());
}

#[test]
fn schedules_have_their_published_values() {
    let default = Schedule::Steps { milestones: vec![60, 120, 150], factor: 0.2 };
    let multipliers = [0, 59, 60, 120, 150, 1000].map(|t| default.multiplier(t));
    assert_eq!(multipliers, [1.0, 1.0, 0.2, 0.2 * 0.2, 0.2 * 0.2 * 0.2, 0.2 * 0.2 * 0.2]);
    let cosine = Schedule::Cosine { length: 100, last: 0.1 };
    assert_eq!([0, 100, 101].map(|t| cosine.multiplier(t)), [1.0, 0.1, 0.1]);
    assert!((cosine.multiplier(50) - 0.55).abs() < 1e-15);
    assert_eq!(Schedule::Exponential { rate: 0.5 }.multiplier(10), 1.0 / 1024.0);
    let warm = Schedule::WarmUp { length: 4, then: Box::new(Schedule::Constant) };
    assert_eq!([0, 1, 3, 4].map(|t| warm.multiplier(t)), [0.25, 0.5, 1.0, 1.0]);
    assert_eq!(Schedule::Cosine { length: 0, last: 0.5 }.multiplier(0), 0.5);
}

#[test]
fn penalties_equal_their_twins_and_vanish_at_the_start() {
    let table = table();
    let (groups, strengths) = (head(&table), [0.01, 0.1]);
    let (w, start) = (Inputs::Uniform.vector(1, table.len()), Inputs::Uniform.vector(2, table.len()));
    let g = Inputs::Uniform.vector(3, table.trained_len());
    let (mut expected, mut penalty) = (g.clone(), 0.0);
    for (range, group) in groups.segments() {
        let (w, start) = (&w[range.clone()], &start[range.clone()]);
        penalty += reference::pull(strengths[*group], w, start, &mut expected[range.clone()]);
    }
    for context in contexts() {
        let mut actual = g.clone();
        let loss = l2_sp(context, &groups, &strengths, &w, &start, &mut actual).unwrap();
        assert_eq!(loss.to_bits(), penalty.to_bits());
        assert_same(&expected, &actual);
        assert_eq!(l2_sp(context, &groups, &strengths, &w, &w, &mut actual).unwrap(), 0.0);
        assert_same(&expected, &actual);
        let mut d = vec![0.0; w.len()];
        let loss = delta(context, 0.5, &w, &start, &mut d).unwrap();
        let exact: f64 = (0..w.len()).map(|i| f64::from(w[i] - start[i])).map(|d| 0.25 * d * d).sum();
        assert!((f64::from(loss) - exact).abs() < 1e-5 * exact);
        assert!(d.iter().enumerate().all(|(i, d)| *d == 0.5 * (w[i] - start[i])));
        assert!(delta(context, 0.5, &w, &start[1..], &mut d).is_err());
    }
}

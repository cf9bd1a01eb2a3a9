//! The data, the gradient against differences, bits over tiers and threads, resuming.

use regularity_engine::random::Stream;
use regularity_engine::{Context, Isa};

use super::data::{Counts, Examples, Kind, Patterns, Ray};
use super::network::{Network, Noise, Shape, Step};
use super::run::{LARGE, Run, SMALL_NO_Q};
use crate::config::Profile;
use crate::experiments::large_lr::{Settings, Theory};
use crate::experiments::{Arm, Progress, State};
use crate::record::{Recorder, Tensors};

const COUNTS: Counts = Counts { p_only: 6, q_only: 8, both: 10 };
const SHAPE: Shape = Shape { d: 7, units_p: 10, units_q: 140, copies: 1, scale: 2.0, opening: 0.4 };
const COLD: Step = Step { size: 0.125, temperature: 0.0, weight_decay: 0.0 };

fn context() -> Context {
    Context::new(Isa::detect(), 1).unwrap()
}

fn examples(alpha_min: f32) -> Examples {
    Examples::draw(&context(), "train", 3, SHAPE.d, COUNTS, alpha_min).unwrap()
}

#[test]
fn patterns_are_as_defined() {
    let d = 400;
    let counts = Counts { p_only: 600, q_only: 400, both: 1000 };
    let examples = Examples::draw(&context(), "train", 1, d, counts, 0.25).unwrap();
    let count = |kind| examples.kind.iter().filter(|&&k| k == kind).count();
    assert_eq!([Kind::POnly, Kind::QOnly, Kind::Both].map(count), [600, 400, 1000]);
    assert_eq!(examples.label.iter().sum::<f32>(), 0.0);
    assert!(examples.alpha.iter().all(|alpha| (0.25..1.0).contains(alpha)));
    let (mut margin, mut square, mut plus, mut minus) = (0.0, 0.0, 0, 0);
    for i in 0..examples.len() {
        let y = examples.label[i];
        assert_eq!(examples.row[i].is_none(), examples.kind[i] == Kind::QOnly);
        assert_eq!(examples.ray[i].is_none(), examples.kind[i] == Kind::POnly);
        if let Some(row) = examples.row[i] {
            let x = &examples.x[row * d..][..d];
            assert!(y * x[0] >= 1.0 / 20.0, "the margin along w is at least gamma");
            margin += f64::from(y * x[0]);
            square += x[1..].iter().map(|x| f64::from(x * x)).sum::<f64>();
        }
        match examples.ray[i] {
            Some(Ray::Middle) => assert!(y > 0.0),
            Some(ray) => {
                assert!(y < 0.0);
                *(if ray == Ray::Plus { &mut plus } else { &mut minus }) += 1;
            }
            None => {}
        }
    }
    // E y x_1 = gamma (1 + sqrt(2 / pi)); all other directions together have variance (d - 1) / d.
    let (margin, square) = (margin / 1600.0, square / 1600.0);
    assert!((margin - 0.05 * 1.797_88).abs() < 0.003 && (square - 399.0 / 400.0).abs() < 0.01, "{margin} {square}");
    assert_eq!((plus, minus), (350, 350));
}

#[test]
fn patterns_that_are_left_out_leave_the_others_as_they_were() {
    let all = examples(0.0);
    let p = all.only(Patterns::WithoutQ, SHAPE.d);
    assert_eq!((p.len(), p.total, p.has_q), (16, 24, false));
    assert_eq!(p.x, all.x);
    let few = all.only(Patterns::POnly, SHAPE.d);
    assert_eq!((few.len(), few.total), (6, 24));
    assert_eq!(few.x[..], all.x[..6 * SHAPE.d]);
    assert_eq!(all.only(Patterns::All, SHAPE.d), all);
}

/// The mean loss in `f64`, from the definition, without the two coordinates' shortcut: each `x2` is written out.
fn loss(w: &[f64], v: &[f64], examples: &Examples) -> f64 {
    let Shape { d, units_p, units_q, scale, opening, .. } = SHAPE;
    let relu = |x: f64| if x > 0.0 { x } else { 0.0 };
    let branch = |weights: &[f64], units: usize, x: &[f64]| {
        let a = 1.0 / ((2 * units) as f64).sqrt();
        let unit = |j: usize| relu(x.iter().enumerate().map(|(k, x)| weights[k * units + j] * x).sum());
        (0..units).map(|j| if j < units / 2 { a * unit(j) } else { -a * unit(j) }).sum::<f64>()
    };
    let one = |i: usize| {
        let p = examples.row[i].map_or(0.0, |row| {
            let x: Vec<f64> = examples.x[row * d..][..d].iter().map(|&x| f64::from(x)).collect();
            branch(w, units_p, &x)
        });
        let q = examples.ray[i].map_or(0.0, |ray| {
            let alpha = f64::from(examples.alpha[i]) * f64::from(scale);
            let side = [0.0, 1.0, -1.0][ray as usize] * f64::from(opening);
            branch(v, units_q, &[alpha, alpha * side])
        });
        (-f64::from(examples.label[i]) * (p + q)).softplus()
    };
    (0..examples.len()).map(one).sum::<f64>() / examples.total as f64
}

/// `ln(1 + e^z)`.
trait Softplus {
    fn softplus(self) -> f64;
}
impl Softplus for f64 {
    fn softplus(self) -> f64 {
        use regularity_engine::math::scalar::{exp, ln_1p};
        ln_1p(exp(self))
    }
}

#[test]
fn a_step_goes_down_the_gradient_of_the_loss() {
    let context = context();
    for (patterns, alpha_min) in [(Patterns::All, 0.0), (Patterns::All, 0.5), (Patterns::WithoutQ, 0.0)] {
        let examples = examples(alpha_min).only(patterns, SHAPE.d);
        let mut network = Network::new(SHAPE, 0.5, 1, &context).unwrap();
        // Away from the mirrored start, where the output is zero.
        let mut step = Step { temperature: 0.3, ..COLD };
        network.step(&context, &examples, step, &Noise::new(1), 0).unwrap();
        step.temperature = 0.0;
        let before: Vec<Vec<f64>> =
            network.weights().iter().map(|w| w.2.iter().map(|&x| f64::from(x)).collect()).collect();
        let seen = network.step(&context, &examples, step, &Noise::new(1), 1).unwrap();
        let [w, v] = &before[..] else { unreachable!() };
        assert!((f64::from(seen.loss) - loss(w, v, &examples)).abs() < 1e-6);
        let gradient: f32 = network.gradient().iter().sum();
        assert!(gradient.abs() < 1.0);
        for which in 0..2 {
            let after = network.weights()[which].2;
            for k in (0..after.len()).step_by(3) {
                let moved = (f64::from(after[k]) - before[which][k]) / f64::from(step.size);
                let at = |shift: f64| {
                    let mut weights = before.clone();
                    weights[which][k] += shift;
                    loss(&weights[0], &weights[1], &examples)
                };
                let difference = (at(1e-5) - at(-1e-5)) / 2e-5;
                assert!((moved + difference).abs() < 3e-5, "{patterns:?}, weight {k} of {which}: {moved} {difference}");
            }
        }
    }
}

#[test]
fn noise_and_decay_are_those_of_the_rule() {
    let context = context();
    let examples = examples(0.5);
    let step = Step { size: 0.25, temperature: 0.01, weight_decay: 0.5 };
    for (copies, stds) in [(1, [0.05, 0.05]), (4, [0.05, 0.1])] {
        // sqrt(0.25 * 0.01), and in V by the root of the copies more
        let shape = Shape { copies, ..SHAPE };
        let mut cold = Network::new(shape, 0.5, 1, &context).unwrap();
        let mut hot = Network::new(shape, 0.5, 1, &context).unwrap();
        cold.step(&context, &examples, Step { temperature: 0.0, ..step }, &Noise::new(9), 5).unwrap();
        hot.step(&context, &examples, step, &Noise::new(9), 5).unwrap();
        for (which, (name, std)) in ["w", "v"].into_iter().zip(stds).enumerate() {
            let (cold, hot) = (cold.weights()[which].2, hot.weights()[which].2);
            let mut normals = vec![0.0; cold.len()];
            let stream = Stream::new(9, &format!("large-lr/theory/noise/{name}"), 5);
            stream.fill_normal(&context, 0, &mut normals, 0.0, std).unwrap();
            for ((cold, hot), normal) in cold.iter().zip(hot).zip(normals) {
                assert_eq!(*hot, cold + normal);
            }
        }
    }
    // Without a gradient, decay alone: V where there is no Q pattern is left alone, W shrinks by 1 - 0.125 at most.
    let none = Examples { x: vec![0.0; 7], row: vec![Some(0)], ..examples.only(Patterns::POnly, SHAPE.d) };
    let none = Examples { ray: vec![None], alpha: vec![1.0], label: vec![1.0], kind: vec![Kind::POnly], ..none };
    let mut network = Network::new(SHAPE, 0.5, 1, &context).unwrap();
    let before: Vec<f32> = network.weights()[0].2.to_vec();
    network.step(&context, &none, Step { temperature: 0.0, ..step }, &Noise::new(9), 0).unwrap();
    assert!(before.iter().zip(network.weights()[0].2).all(|(before, after)| *after == 0.875 * before));
}

/// The network that copies stand for, with each of them simulated: the same outputs on the way down the gradient, and the
/// same deviation of the first weights.
#[test]
fn a_unit_stands_for_its_copies() {
    const COPIES: usize = 4;
    let context = context();
    let examples = examples(0.5);
    let shape = Shape { copies: COPIES, ..SHAPE };
    let mut some = Network::new(shape, 0.5, 1, &context).unwrap();
    let mut all = Network::new(Shape { units_q: COPIES * SHAPE.units_q, ..SHAPE }, 0.5, 1, &context).unwrap();
    let [(_, _, w), (_, _, v)] = some.weights();
    // V holds sqrt(copies) times the weights, and 4 has an exact root. Mirrored halves stay halves.
    let half = SHAPE.units_q / 2;
    let each: Vec<f32> = v.chunks_exact(half).flat_map(|v| [v; COPIES]).flatten().map(|&v| v / 2.0).collect();
    let plain = Network::new(SHAPE, 0.5, 1, &context).unwrap();
    assert!(plain.weights()[1].2.iter().zip(v).all(|(plain, v)| 2.0 * plain == *v));
    assert!(all.set_weights(w, &each));
    for t in 0..40 {
        let seen = some.step(&context, &examples, COLD, &Noise::new(1), t).unwrap();
        let of_all = all.step(&context, &examples, COLD, &Noise::new(1), t).unwrap();
        assert!((seen.loss - of_all.loss).abs() < 1e-5, "step {t}: {seen:?} {of_all:?}");
        assert!(seen.g.iter().zip(of_all.g).all(|(g, h)| (g - h).abs() < 1e-4), "step {t}: {seen:?} {of_all:?}");
        assert!(t == 0 || seen.g[0].abs() > 1e-3, "nothing has moved");
    }
}

#[test]
fn the_output_begins_at_zero_and_the_kink_needs_both_sides() {
    let context = context();
    let mut network = Network::new(SHAPE, 0.5, 1, &context).unwrap();
    assert!(network.q_branch(&context).unwrap().iter().all(|g| g.abs() < 1e-5));
    // One unit that sees the ray on one side only.
    let [(_, _, w), (_, _, v)] = network.weights();
    let (w, mut v) = (w.to_vec(), vec![0.0; v.len()]);
    v[0] = -1.0;
    v[SHAPE.units_q] = 5.0; // -1 along z, 5 along zeta: active where zeta / z > 0.2
    assert!(network.set_weights(&w, &v) && !network.set_weights(&w, &w));
    let g = network.q_branch(&context).unwrap();
    assert!(g[Ray::Middle as usize] == 0.0 && g[Ray::Plus as usize] > 0.0 && g[Ray::Minus as usize] == 0.0);
    let mut patterns = Vec::new();
    network.patterns(&mut patterns);
    assert_eq!((patterns[0], patterns[1], patterns.len()), (0b010, 0, SHAPE.units_q));
}

fn small() -> Theory {
    Theory { units_q: 1000, units_p: 34, time1: 3.0, time2: 3.0, test: 60, ..Settings::of(Profile::Smoke).theory }
}

/// Runs an arm to its end; every `pause` calls it is saved, and goes on in a new one. Gives tensors and metrics.
fn run(theory: &Theory, plan: super::run::Plan, isa: Isa, threads: usize, pause: u64) -> (String, String) {
    let context = Context::new(isa, threads).unwrap();
    let start = || Run::new(theory, plan, 1, &context).unwrap();
    let (mut arm, mut recorder) = (start(), Recorder::new());
    for call in 1.. {
        if arm.step(&context, &mut recorder).unwrap() == Progress::Finished {
            break;
        }
        if call % pause == 0 {
            let mut state = State::default();
            arm.save(&mut state).unwrap();
            arm = start();
            arm.restore(&state).unwrap();
        }
    }
    let mut tensors = Tensors::new();
    arm.finish(&mut tensors).unwrap();
    let series = recorder.into_series();
    let metrics: Vec<String> = series.iter().map(|(name, s)| s.digest(name).unwrap().to_string()).collect();
    (tensors.digest().unwrap().to_string(), metrics.join("\n"))
}

#[test]
fn every_tier_and_number_of_threads_gives_the_same_run() {
    let theory = small();
    for plan in [LARGE, SMALL_NO_Q] {
        let expected = run(&theory, plan, Isa::Portable, 1, u64::MAX);
        for isa in Isa::available() {
            for threads in [1, 2, 3, 5, 8] {
                assert_eq!(run(&theory, plan, isa, threads, u64::MAX), expected, "{}, {isa}, {threads}", plan.arm);
            }
        }
    }
}

#[test]
fn a_run_that_is_interrupted_often_ends_the_same() {
    let theory = small();
    for plan in [LARGE, SMALL_NO_Q] {
        let expected = run(&theory, plan, Isa::detect(), 1, u64::MAX);
        for pause in [1, 3] {
            assert_eq!(run(&theory, plan, Isa::detect(), 1, pause), expected, "{}, every {pause}", plan.arm);
        }
    }
}

#[test]
fn smaller_time_steps_follow_the_same_path_without_noise() {
    let context = context();
    let examples = examples(0.5);
    let after = |divisor: u64| {
        let mut network = Network::new(SHAPE, 0.5, 1, &context).unwrap();
        let step = Step { size: 0.125 / divisor as f32, ..COLD };
        let steps = 40 * divisor;
        (0..steps).map(|t| network.step(&context, &examples, step, &Noise::new(1), t).unwrap().loss).last().unwrap()
    };
    let (coarse, fine) = (after(4), after(16));
    assert!((coarse - fine).abs() < 0.01 * coarse && coarse < 0.65, "{coarse} {fine}");
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    for profile in Profile::ALL {
        Settings::of(profile).theory.check().unwrap();
    }
    let theory = small();
    for wrong in [
        Theory { p_only: 3, ..theory.clone() },
        Theory { units_q: 0, ..theory.clone() },
        Theory { alpha_min: 1.0, ..theory.clone() },
        Theory { step: f64::NAN, ..theory.clone() },
        Theory { temperature: -1.0, ..theory.clone() },
    ] {
        assert!(wrong.check().is_err(), "{wrong:?}");
    }
}

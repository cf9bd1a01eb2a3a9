//! Networks: the losses against their formulas, the networks of the paper for a few steps, what is concluded from chains.

use std::collections::BTreeMap;

use super::super::networks::trainer::loss;
use super::super::networks::verdicts::{Chains, conclude};
use super::super::networks::{Loss, recipes};
use super::super::{SelfDistillation, Settings};
use super::arms::{lab, run, settings};
use super::context;
use crate::config::Profile;
use crate::experiments::{Conclusion, Experiment, State, Verdict};
use crate::record::{Recorder, Records, TaskRecord};

/// The mean loss in `f64`, from its definition.
fn defined(kind: Loss, logits: &[f64], targets: &[f64], classes: usize) -> f64 {
    let exp = regularity_engine::math::scalar::exp;
    let rows = logits.chunks(classes).zip(targets.chunks(classes));
    let row = |(z, t): (&[f64], &[f64])| -> f64 {
        let sum: f64 = z.iter().map(|&z| exp(z)).sum();
        let p = z.iter().map(|&z| exp(z) / sum);
        match kind {
            Loss::Squared => p.zip(t).map(|(p, t)| (p - t) * (p - t)).sum(),
            Loss::Entropy => p.zip(t).map(|(p, t)| -t * regularity_engine::math::scalar::ln(p)).sum(),
        }
    };
    rows.map(row).sum::<f64>() / (logits.len() / classes) as f64
}

#[test]
fn losses_and_their_gradients_are_those_of_the_definitions() {
    let (context, classes, n) = (context(), 4, 3);
    let logits: Vec<f32> = (0..n * classes).map(|i| (i * 7 % 11) as f32 * 0.3 - 1.4).collect();
    let targets: Vec<f32> = (0..n * classes).map(|i| [0.125, 0.5, 0.25, 0.125][(i * 3 + i / 4) % 4]).collect();
    let wide = |x: &[f32]| x.iter().map(|&x| f64::from(x)).collect::<Vec<_>>();
    for kind in [Loss::Squared, Loss::Entropy] {
        let (mut p, mut d) = (vec![0.0; n * classes], vec![0.0; n * classes]);
        let sum = loss(&context, kind, &logits, &targets, classes, &mut p, Some(&mut d)).unwrap();
        let same = loss(&context, kind, &logits, &targets, classes, &mut p, None).unwrap();
        assert_eq!(sum.to_bits(), same.to_bits());
        let (z, t) = (wide(&logits), wide(&targets));
        assert!((sum / n as f64 - defined(kind, &z, &t, classes)).abs() < 1e-6, "{kind:?}");
        for i in 0..z.len() {
            let at = |h: f64| {
                let mut moved = z.clone();
                moved[i] += h;
                defined(kind, &moved, &t, classes)
            };
            let difference = (at(1e-5) - at(-1e-5)) / 2e-5;
            assert!((difference - f64::from(d[i])).abs() < 1e-7, "{kind:?} {i}: {difference} but {}", d[i]);
        }
    }
}

/// ResNet-50 and VGG-16, with views of the images: two steps, one of them after an interruption, give the weights of two
/// steps in one go.
#[test]
fn networks_of_the_paper_take_steps_and_resume_to_the_bit() {
    let mut settings = settings();
    let paper = Settings::of(Profile::Paper).networks;
    settings.images.size = 32;
    settings.networks.deep = paper.deep;
    let deep = &mut settings.networks.deep;
    (deep.chains, deep.train, deep.test, deep.batch, deep.epochs) = (1, 20, 10, 4, 1);
    deep.entropy_decays.clear();
    settings.networks.deep_networks = paper.deep_networks;
    settings.networks.deep_sources = vec!["procedural".to_owned()];
    let (lab, context) = (lab(settings), context());
    let plan = SelfDistillation.plan(&lab.settings, 1).unwrap();
    let mut seen = Vec::new();
    for task in plan.iter().filter(|task| task.arm.contains("procedural")) {
        let mut recorder = Recorder::new();
        let mut arm = SelfDistillation.start(&lab, task, &context).unwrap();
        let saved = |arm: &dyn crate::experiments::Arm| {
            let mut state = State::default();
            arm.save(&mut state).unwrap();
            state
        };
        let digest = |state: &State| state.tensors.digest().unwrap();
        let before = digest(&saved(&*arm));
        arm.step(&context, &mut recorder).unwrap();
        let state = saved(&*arm);
        assert_ne!(before, digest(&state));
        let mut resumed = SelfDistillation.start(&lab, task, &context).unwrap();
        resumed.restore(&state).unwrap();
        for arm in [&mut arm, &mut resumed] {
            arm.step(&context, &mut recorder).unwrap();
        }
        assert_eq!(digest(&saved(&*arm)), digest(&saved(&*resumed)), "{}", task.id());
        assert_eq!(saved(&*arm).note, saved(&*resumed).note);
        seen.push(task.arm.clone());
    }
    assert_eq!(seen, ["resnet50-procedural-l2-wd1e-4", "vgg16-procedural-l2-wd1e-4"]);
}

#[test]
fn a_chain_with_a_tolerance_stops_at_it() {
    let mut settings = settings();
    settings.networks.tolerance = 0.9;
    settings.networks.perceptron.rounds = 4;
    settings.networks.perceptron.epochs = 30;
    let lab = lab(settings);
    let plan = SelfDistillation.plan(&lab.settings, 1).unwrap();
    let record = run(&lab, plan.iter().find(|task| task.arm == "mlp-l2-tolerance").unwrap(), false);
    let values = |name: &str| record.series(name).unwrap().values();
    let rounds = record.last("rounds").unwrap() as usize;
    assert!(rounds >= 1 && values("epochs").len() == rounds);
    assert!(values("target_loss").iter().all(|&loss| loss <= 0.9 * 0.9));
    // The squared distance of the labels from having no preference.
    assert!((values("spread")[0] - 0.9).abs() < 1e-6);
    assert!(record.last("collapsed").unwrap() == 1.0 || rounds == 4 || values("epochs").iter().any(|&e| e < 30.0));
}

/// Records of the arms of `settings`, each with these metrics in every chain, moved by a little from chain to chain.
fn made_up(settings: &Settings, chains: u64, metrics: &[(&str, &[f64])]) -> Records {
    let mut tasks = Vec::new();
    for recipe in recipes(&settings.networks).unwrap() {
        for seed in 1..=chains {
            let mut recorder = Recorder::new();
            for (metric, values) in metrics {
                for (t, value) in values.iter().enumerate() {
                    recorder.record(metric, t as u64, value + 1e-4 * seed as f64).unwrap();
                }
            }
            let (arm, series) = (recipe.arm.clone(), recorder.into_series());
            tasks.push(TaskRecord { arm, seed: Some(seed), parameters: String::new(), series });
        }
    }
    Records { tasks }
}

fn verdicts(settings: &Settings, records: &Records) -> BTreeMap<&'static str, Verdict> {
    let mut conclusion = Conclusion::new();
    conclude(&settings.networks, records, &mut conclusion).unwrap();
    conclusion.check(SelfDistillation.about()).unwrap();
    conclusion.findings(SelfDistillation.about()).into_iter().map(|(claim, f)| (claim.id, f.verdict)).collect()
}

#[test]
fn verdicts_follow_the_numbers() {
    let settings = settings();
    let twin_loss = [0.6, 0.5, 0.4, 0.3, 0.2];
    let metrics = |test: &'static [f64], twin: &'static [f64]| -> Vec<(&'static str, &'static [f64])> {
        vec![
            ("train_accuracy", &[0.9, 0.8, 0.7, 0.65]),
            ("test_accuracy", test),
            ("train_loss", &[0.25, 0.35, 0.45, 0.55]),
            ("twin/test_accuracy", twin),
        ]
    };
    let with_twin = |mut records: Records| {
        for task in &mut records.tasks {
            let mut recorder = Recorder::new();
            for (epoch, loss) in twin_loss.iter().enumerate() {
                recorder.record("twin/train_loss", epoch as u64, *loss).unwrap();
            }
            task.series.extend(recorder.into_series());
        }
        records
    };
    let good = with_twin(made_up(&settings, 5, &metrics(&[0.5, 0.6, 0.55, 0.54], &[0.3, 0.4, 0.5, 0.52, 0.5])));
    let of = verdicts(&settings, &good);
    for id in ["N1", "N2", "N3", "N5", "N6", "V1", "V2"] {
        assert_eq!(of[id], Verdict::Reproduced, "{id}");
    }
    // All arms are alike, so the gain without decay is not the smaller one.
    assert_eq!((of["N4"], of["P1"]), (Verdict::NotReproduced, Verdict::NotTested));
    // Losses of the twin at the epochs: 0.6, 0.5, 0.4, ...; those of the rounds a little above 0.25, 0.35, 0.45, 0.55.
    let first = &recipes(&settings.networks).unwrap()[0];
    let matched: Vec<f64> = Chains::of(&good, first).matched().iter().map(|pairs| pairs[0].1 - 1e-4).collect();
    assert_eq!(matched.iter().map(|x| (x * 100.0).round()).collect::<Vec<_>>(), [50.0, 52.0, 50.0, 40.0]);
    // Four chains are too few for a sign test; a curve that only falls, or ends at its best, has no interior peak.
    let few = with_twin(made_up(&settings, 4, &metrics(&[0.6, 0.5, 0.4, 0.3], &[0.5; 5])));
    let of = verdicts(&settings, &few);
    assert_eq!((of["N2"], of["N3"], of["V2"]), (Verdict::NotTested, Verdict::NotReproduced, Verdict::NotReproduced));
    let rising = with_twin(made_up(&settings, 5, &metrics(&[0.3, 0.4, 0.5, 0.6], &[0.5; 5])));
    assert_eq!(verdicts(&settings, &rising)["N3"], Verdict::NotReproduced);
}

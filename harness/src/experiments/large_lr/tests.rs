//! Whole profiles, from the plan to the verdicts.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use regularity_engine::{Context, Isa};

use super::about::ABOUT;
use super::{LargeLr, Settings};
use crate::config::Profile;
use crate::experiments::{Conclusion, Experiment, Lab, Progress, Verdict};
use crate::record::{Recorder, Records, TaskRecord, Tensors};

/// Runs every task of the settings, two side by side, and concludes.
fn conclude(settings: &Settings, seed: u64) -> Conclusion {
    let tasks = LargeLr.plan(settings, seed).unwrap();
    let load = Context::new(Isa::detect(), 1).unwrap();
    let data = LargeLr.load(&load, settings, None).unwrap().data;
    let lab = Lab { settings: settings.clone(), data };
    let records: Vec<Mutex<Option<TaskRecord>>> = tasks.iter().map(|_| Mutex::new(None)).collect();
    let next = AtomicUsize::new(0);
    let work = || {
        let context = Context::new(Isa::detect(), 1).unwrap();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(task) = tasks.get(index) else { return };
            let mut arm = LargeLr.start(&lab, task, &context).unwrap();
            let mut recorder = Recorder::new();
            while arm.step(&context, &mut recorder).unwrap() != Progress::Finished {}
            let mut tensors = Tensors::new();
            arm.finish(&mut tensors).unwrap();
            let parameters = tensors.digest().unwrap().to_string();
            let series: BTreeMap<_, _> = recorder.into_series();
            let record = TaskRecord { arm: task.arm.clone(), seed: task.seed, parameters, series };
            *records[index].lock().unwrap() = Some(record);
        }
    };
    std::thread::scope(|scope| (0..2).for_each(|_| drop(scope.spawn(work))));
    let tasks = records.into_iter().map(|record| record.into_inner().unwrap().unwrap()).collect();
    LargeLr.conclude(settings, &Records { tasks }).unwrap()
}

#[test]
fn the_smoke_profile_judges_every_claim_and_draws_six_figures() {
    let conclusion = conclude(&Settings::of(Profile::Smoke), 1);
    conclusion.check(&ABOUT).unwrap();
    let findings = conclusion.findings(&ABOUT);
    assert_eq!(findings.len(), 24);
    for (claim, finding) in findings {
        assert_ne!(finding.measured.text, "not measured in this run", "{}", claim.id);
    }
    assert_eq!(conclusion.figures().len(), 6);
}

#[test]
#[ignore = "takes some minutes; `regularity check large-lr` compares the same with the golden"]
fn the_theory_of_the_quick_profile_shows_the_mechanism() {
    let mut settings = Settings::of(Profile::Quick);
    (settings.patch.seeds, settings.plain.seeds) = (0, 0);
    let conclusion = conclude(&settings, 1);
    let mut failed = Vec::new();
    for (claim, finding) in conclusion.findings(&ABOUT) {
        println!("{} {}: {}", claim.id, finding.verdict.name(), finding.measured.text);
        if let Some(spread) = &finding.spread {
            println!("    {:.3} to {:.3}, {}", spread.low, spread.high, spread.text);
        }
        if ["T1", "T3", "T4"].contains(&claim.id) && finding.verdict != Verdict::Reproduced {
            failed.push(claim.id);
        }
    }
    assert!(failed.is_empty(), "not reproduced: {failed:?}");
}

//! Patches and their shares, noise and rates at the step, resuming to the bit.

use regularity_engine::{Context, Isa};

use super::load::Pictures;
use super::patch::{Kind, Patches, Recipe};
use super::run::{PATCH_FEW, PATCH_LARGE, PATCH_NOISE, PATCH_SMALL, PLAIN_LARGE, PLAIN_SMALL, Plan, Run};
use super::settings::{Images, Schedule};
use crate::config::Profile;
use crate::data::Shape;
use crate::error::Error;
use crate::experiments::large_lr::{LargeLr, Settings};
use crate::experiments::{Arm, Experiment, Progress, State};
use crate::record::{Recorder, Series, Tensors};

const SHAPE: Shape = Shape { height: 16, width: 16, channels: 3 };

fn context() -> Context {
    Context::new(Isa::detect(), 1).unwrap()
}

fn patches(settings: &Settings, seed: u64) -> Patches {
    Patches::draw(&context(), &settings.patch, SHAPE, 10, seed).unwrap()
}

#[test]
fn a_patch_replaces_the_middle_and_nothing_else() {
    let settings = Settings::of(Profile::Standard);
    let patches = patches(&settings, 5);
    let mut image: Vec<f32> = (0..SHAPE.len()).map(|i| i as f32).collect();
    patches.put(3, -1.0, &mut image);
    let mut values = patches.patch(3, -1.0);
    for (i, &x) in image.iter().enumerate() {
        let (row, column) = (i / 48, i / 3 % 16);
        let inside = (6..10).contains(&row) && (6..10).contains(&column);
        // Rows and columns 6 to 9, in the order of the patch.
        assert_eq!(x, if inside { values.next().unwrap() } else { i as f32 }, "{row} {column}");
    }
    assert_eq!(values.next(), None);
}

#[test]
fn the_two_patches_of_every_class_have_the_same_mean_and_classes_differ() {
    let settings = Settings::of(Profile::Standard);
    let patches = patches(&settings, 5);
    let carrier: Vec<f32> = patches.patch(0, 0.0).collect();
    let square = carrier.iter().map(|z| f64::from(z * z)).sum::<f64>() / carrier.len() as f64;
    assert!((0.8..1.8).contains(&square.sqrt()), "the deviation is 1.25: {square}");
    for class in 0..10 {
        let half = settings.patch.separation as f32;
        for ((plus, minus), z) in patches.patch(class, 1.0).zip(patches.patch(class, -1.0)).zip(&carrier) {
            assert!((0.5 * (plus + minus) - z).abs() < 1e-6 && (plus - z).abs() <= half + 1e-6);
        }
        let other = (class + 1) % 10;
        assert!(patches.patch(class, 1.0).zip(patches.patch(other, 1.0)).any(|(a, b)| (a - b).abs() > 0.1 * half));
    }
    assert_ne!(
        carrier,
        Patches::draw(&context(), &settings.patch, SHAPE, 10, 6).unwrap().patch(0, 0.0).collect::<Vec<_>>()
    );
}

#[test]
fn a_fifth_stays_clean_and_a_fifth_of_the_others_shows_the_patch_alone() {
    let mut settings = Settings::of(Profile::Standard);
    for split in ["fixed", "per-read"] {
        settings.patch.split = split.to_owned();
        let recipe = Recipe::new(&settings.patch, "train", 1);
        let kinds = |epoch| (0..6000).map(|i| recipe.kind(epoch, i)).collect::<Vec<_>>();
        let (first, second) = (kinds(0), kinds(1));
        for (kind, share) in [(Kind::Clean, 0.2), (Kind::PatchOnly, 0.16), (Kind::Mixed, 0.64)] {
            let count = second.iter().filter(|&&k| k == kind).count() as f64 / 6000.0;
            assert!((count - share).abs() < 0.015, "{split} {kind:?}: {count}");
        }
        assert_eq!(first == second, split == "fixed");
        let clean = |kinds: &[Kind]| kinds.iter().map(|&k| k == Kind::Clean).collect::<Vec<_>>();
        assert_eq!(clean(&first), clean(&second), "whether an image is patched is drawn once");
    }
}

#[test]
fn signs_are_drawn_at_each_read_and_only_patch_only_images_are_stretched() {
    let settings = Settings::of(Profile::Standard);
    let recipe = Recipe::new(&settings.patch, "train", 1);
    let factors = |epoch, stretched| (0..4000).map(|i| recipe.factor(epoch, i, stretched)).collect::<Vec<f32>>();
    let (plain, next, stretched) = (factors(0, false), factors(1, false), factors(0, true));
    assert!(plain.iter().all(|f| f.abs() == 1.0));
    let positive = plain.iter().filter(|&&f| f > 0.0).count();
    let changed = plain.iter().zip(&next).filter(|(a, b)| a != b).count();
    assert!((1850..2150).contains(&positive) && (1850..2150).contains(&changed), "{positive} {changed}");
    let mean = stretched.iter().map(|f| f64::from(f.abs())).sum::<f64>() / 4000.0;
    assert!(stretched.iter().all(|f| f.abs() < 1.75) && (mean - 0.875).abs() < 0.03, "{mean}");
}

#[test]
fn a_patch_only_image_is_zero_around_the_patch_of_its_own_class() {
    let settings = Settings::of(Profile::Standard);
    let (patches, recipe) = (patches(&settings, 1), Recipe::new(&settings.patch, "train", 1));
    let of = |kind| (0..100).find(|&i| recipe.kind(0, i) == kind).unwrap();
    let read = |image, class| {
        let mut pixels = vec![0.5; SHAPE.len()];
        recipe.apply(&patches, 0, image, class, &mut pixels);
        pixels
    };
    assert!(read(of(Kind::Clean), 4).iter().all(|&x| x == 0.5));
    let count = |pixels: &[f32], value: f32| pixels.iter().filter(|&&x| x == value).count();
    assert_eq!(count(&read(of(Kind::Mixed), 4), 0.5), SHAPE.len() - 48);
    assert_eq!(count(&read(of(Kind::PatchOnly), 4), 0.0), SHAPE.len() - 48);
    assert_ne!(read(of(Kind::Mixed), 4), read(of(Kind::Mixed), 5));
}

/// The smoke profile, its images, and a context.
fn smoke() -> (Settings, Pictures, Context) {
    let (settings, context) = (Settings::of(Profile::Smoke), context());
    let pictures = LargeLr.load(&context, &settings, None).unwrap().data;
    (settings, pictures, context)
}

/// Runs an arm; with `interrupt`, every call in an arm that was just restored. Gives its metrics and its parameters.
fn run(settings: &Settings, pictures: &Pictures, plan: Plan, interrupt: bool) -> (Vec<(String, Series)>, String) {
    let context = context();
    let start = || Run::new(settings, pictures, plan, 7, &context).unwrap();
    let (mut arm, mut recorder) = (start(), Recorder::new());
    while arm.step(&context, &mut recorder).unwrap() != Progress::Finished {
        if interrupt {
            let mut state = State::default();
            arm.save(&mut state).unwrap();
            arm = start();
            arm.restore(&state).unwrap();
        }
    }
    let mut tensors = Tensors::new();
    arm.finish(&mut tensors).unwrap();
    (recorder.into_series().into_iter().collect(), tensors.digest().unwrap().to_string())
}

#[test]
fn an_interrupted_arm_ends_with_the_same_bits() {
    let (settings, pictures, _) = smoke();
    for plan in [PATCH_LARGE, PATCH_NOISE, PATCH_FEW] {
        assert_eq!(run(&settings, &pictures, plan, false), run(&settings, &pictures, plan, true), "{}", plan.arm);
    }
}

#[test]
fn rates_and_noise_differ_before_annealing_and_not_after() {
    let (mut settings, pictures, _) = smoke();
    let ends =
        |settings: &Settings| [PATCH_LARGE, PATCH_SMALL, PATCH_NOISE].map(|p| run(settings, &pictures, p, false).1);
    let [large, small, noise] = ends(&settings);
    assert!(large != small && noise != small && large != noise);
    // A large rate that is the small one, and noise without strength, leave nothing that differs.
    (settings.images.large, settings.images.noise) = (settings.images.small, 0.0);
    let [large, same, noise] = ends(&settings);
    assert_eq!((&large, &noise, &same), (&small, &small, &small));
    // Annealed after the first epoch, a large rate counts for one epoch.
    settings.images.large = 0.1;
    settings.images.anneal = 2;
    let early = run(&settings, &pictures, PATCH_LARGE, false);
    let first = |series: &[(String, Series)]| series.iter().find(|s| s.0 == "train_loss").unwrap().1.points()[0];
    settings.images.anneal = 4;
    let late = run(&settings, &pictures, PATCH_LARGE, false);
    assert_eq!(first(&early.0), first(&late.0));
    assert_ne!(early.1, late.1);
}

#[test]
fn a_schedule_of_its_own_falls_at_each_milestone_and_leaves_patched_arms_alone() {
    let authors = Settings::of(Profile::Paper).plain.schedule;
    assert_eq!(
        [1, 59, 60, 119, 120, 150].map(|epoch| authors.factor(epoch)),
        [1.0, 1.0, 0.2, 0.2, 0.2 * 0.2, 0.2 * 0.2 * 0.2]
    );

    let (mut settings, pictures, _) = smoke();
    let (patched, plain) =
        (run(&settings, &pictures, PATCH_LARGE, false), run(&settings, &pictures, PLAIN_LARGE, false));
    // A second one changes what comes after it; more epochs give more of them.
    settings.plain.schedule.milestones = vec![3, 4];
    assert_eq!(run(&settings, &pictures, PATCH_LARGE, false), patched);
    assert_ne!(run(&settings, &pictures, PLAIN_LARGE, false).1, plain.1);
    settings.plain.schedule.epochs = 5;
    let (series, _) = run(&settings, &pictures, PLAIN_LARGE, true);
    assert_eq!(series.iter().find(|s| s.0 == "train_loss").unwrap().1.points().len(), 5);
}

#[test]
fn every_profile_has_settings_that_can_be_planned() {
    for profile in Profile::ALL {
        let settings = Settings::of(profile);
        assert!(!LargeLr.plan(&settings, 1).unwrap().is_empty(), "{profile}");
    }
}

#[test]
fn without_patched_images_the_recipe_changes_nothing() {
    let (mut settings, pictures, _) = smoke();
    settings.patch.clean = 1.0;
    // What `images` says in the words of a schedule, for the large rate and for a small one that does not fall.
    let Images { epochs, anneal, large, small, noise, .. } = settings.images;
    let schedule = |factor| Schedule { epochs, milestones: vec![anneal], factor, small, noise };
    settings.plain.schedule = schedule(small / large);
    let plain = run(&settings, &pictures, PLAIN_LARGE, false).1;
    assert_eq!(run(&settings, &pictures, PATCH_LARGE, false).1, plain);
    settings.plain.schedule = schedule(1.0);
    let plain = run(&settings, &pictures, PLAIN_SMALL, false).1;
    assert_eq!(run(&settings, &pictures, PATCH_SMALL, false).1, plain);
    assert_eq!(run(&settings, &pictures, PATCH_FEW, false).1, plain);
}

#[test]
fn test_images_are_looked_at_as_often_as_asked_and_at_the_ends() {
    let (mut settings, pictures, _) = smoke();
    (settings.images.epochs, settings.images.anneal, settings.images.every) = (7, 4, 2);
    let (series, _) = run(&settings, &pictures, PATCH_FEW, false);
    let epochs = |name: &str| {
        let found = series.iter().find(|s| s.0 == name).unwrap();
        found.1.points().iter().map(|p| p.0).collect::<Vec<_>>()
    };
    assert_eq!(epochs("test_accuracy"), [0, 2, 3, 4, 6, 7]);
    assert_eq!(epochs("patch_only_accuracy"), epochs("test_accuracy"));
    assert_eq!(epochs("train_accuracy"), [1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(epochs("final_accuracy"), [7]);
}

#[test]
fn training_that_diverges_is_told_with_its_step() {
    let (mut settings, pictures, context) = smoke();
    settings.images.large = 1e30;
    let mut arm = Run::new(&settings, &pictures, PATCH_LARGE, 7, &context).unwrap();
    let mut recorder = Recorder::new();
    let error = (0..100).find_map(|_| arm.step(&context, &mut recorder).err()).unwrap();
    assert!(matches!(error, Error::NonFinite { step: 1.., .. }), "{error}");
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    let refused = |change: &dyn Fn(&mut Settings)| {
        let mut settings = Settings::of(Profile::Smoke);
        change(&mut settings);
        match LargeLr.plan(&settings, 1) {
            Err(Error::Usage { message, .. }) => message,
            other => panic!("not refused: {other:?}"),
        }
    };
    assert!(refused(&|s| s.images.anneal = 9).contains("images.anneal"));
    assert!(refused(&|s| s.images.every = 0).contains("images.every"));
    assert!(refused(&|s| s.images.watched = 1000).contains("images.watched"));
    assert!(refused(&|s| s.images.network = "resnet20".to_owned()).contains("resnet20"));
    assert!(refused(&|s| s.images.momentum = 1.0).contains("images.momentum"));
    assert!(refused(&|s| s.patch.split = "often".to_owned()).contains("patch.split"));
    assert!(refused(&|s| s.patch.side = 9).contains("patch.side"));
    assert!(refused(&|s| s.patch.clean = 0.0).contains("patch.clean"));
    let scheduled = |s: &mut Settings, milestones: &[u64], factor| {
        s.plain.schedule = Schedule { epochs: 9, milestones: milestones.to_vec(), factor, small: 0.1, noise: 0.4 };
    };
    assert!(refused(&|s| scheduled(s, &[], 0.2)).contains("plain.schedule.milestones"));
    assert!(refused(&|s| scheduled(s, &[4, 4], 0.2)).contains("plain.schedule.milestones"));
    assert!(refused(&|s| scheduled(s, &[4, 10], 0.2)).contains("plain.schedule.milestones"));
    assert!(refused(&|s| scheduled(s, &[4], 1.0)).contains("plain.schedule.factor"));
    let nothing = |s: &mut Settings| (s.theory.seeds, s.patch.seeds, s.plain.seeds) = (0, 0, 0);
    assert!(refused(&nothing).contains("nothing is left"));
}

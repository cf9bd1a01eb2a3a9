//! The procedural images: pinned, independent of how they are asked for, and as their settings say.

use super::*;

fn digest(images: &Images) -> String {
    let all = Subset {
        source: "procedural",
        split: Split::Train,
        records: (0..images.len() as u32).collect(),
        images: images.clone(),
    };
    all.digest().unwrap().short()
}

fn procedural(size: usize, train: usize, nuisance: Nuisance, seed: u64) -> Images {
    Procedural::new(size, train, 0, nuisance, seed).unwrap().load(&context(), Split::Train).unwrap()
}

#[test]
fn the_images_are_the_pinned_ones() {
    // A change here is another data set: every golden on it changes too.
    assert_eq!(digest(&procedural(16, 40, Nuisance::default(), 0)), "c106c766b2d2");
    assert_eq!(digest(&procedural(32, 20, Nuisance::level(0.5), 1)), "2517a5314fee");
}

#[test]
fn every_tier_and_number_of_threads_gives_the_same_images() {
    let source = Procedural::new(16, 50, 20, Nuisance::default(), 3).unwrap();
    let expected = Split::ALL.map(|split| source.load(&context(), split).unwrap());
    for isa in Isa::available() {
        for threads in [1, 2, 3, 5, 8] {
            let context = Context::new(isa, threads).unwrap();
            assert_eq!(Split::ALL.map(|split| source.load(&context, split).unwrap()), expected, "{isa}, {threads}");
        }
    }
}

#[test]
fn an_image_does_not_depend_on_how_many_there_are() {
    let few = procedural(8, 23, Nuisance::default(), 0);
    let many = procedural(8, 60, Nuisance::default(), 0);
    assert_eq!(few.pixels[..], many.pixels[..few.pixels.len()]);
    assert_eq!(many.histogram(10), [6; 10]);
}

#[test]
fn seeds_and_splits_are_different_data() {
    let a = procedural(8, 20, Nuisance::default(), 0);
    assert_ne!(a.pixels, procedural(8, 20, Nuisance::default(), 1).pixels);
    let both = Procedural::new(8, 20, 20, Nuisance::default(), 0).unwrap();
    assert_ne!(a.pixels, both.load(&context(), Split::Test).unwrap().pixels);
}

/// The mean squared distance, in units of a byte, between images of one class (`same`) or of neighbouring classes.
fn distance(nuisance: Nuisance, same: bool) -> f64 {
    let images = procedural(16, 300, nuisance, 0);
    let step = if same { 10 } else { 11 };
    let pairs = (0..300 - step).map(|i| {
        let squares = images.image(i).iter().zip(images.image(i + step));
        squares.map(|(&a, &b)| (f64::from(a) - f64::from(b)) * (f64::from(a) - f64::from(b))).sum::<f64>()
    });
    pairs.sum::<f64>() / ((300 - step) * images.shape.len()) as f64
}

#[test]
fn nuisance_is_what_makes_images_of_a_class_differ() {
    // Without any, colours and brightness still vary around those of the class.
    let (calm, full) = (distance(Nuisance::level(0.0), true), distance(Nuisance::default(), true));
    assert!(calm < 0.8 * full, "{calm} against {full}");
    // And at the default level a pair of one class is hardly nearer than any other pair: the class is not in plain sight.
    let other = distance(Nuisance::default(), false);
    assert!(full > 0.85 * other && full < other, "{full} against {other}");
}

#[test]
fn pixels_use_the_whole_range_of_bytes() {
    let images = procedural(16, 100, Nuisance::default(), 0);
    let mean = images.pixels.iter().map(|&x| f64::from(x)).sum::<f64>() / images.pixels.len() as f64;
    assert!((80.0..150.0).contains(&mean), "{mean}");
    assert!(images.pixels.contains(&0) && images.pixels.contains(&255));
}

#[test]
fn settings_out_of_range_are_refused() {
    let refused = |size, train, level| Procedural::new(size, train, 0, Nuisance::level(level), 0).is_err();
    assert!(!refused(16, 10, 1.0));
    assert!(refused(3, 10, 1.0) && refused(257, 10, 1.0) && refused(16, 10_000_001, 1.0));
    assert!(refused(16, 10, -0.1) && refused(16, 10, 4.1) && refused(16, 10, f64::NAN));
}

//! Selection, pooling, normalisation, views.

use std::collections::BTreeSet;

use super::*;

/// A source whose records 3 and 4 are excluded; 6 x 4 pixels, two channels, 4 classes in turn.
#[derive(Debug)]
struct Small;

const SMALL: Shape = Shape { height: 4, width: 6, channels: 2 };

impl Source for Small {
    fn name(&self) -> &'static str {
        "small"
    }
    fn shape(&self) -> Shape {
        SMALL
    }
    fn classes(&self) -> &[&'static str] {
        &["a", "b", "c", "d"]
    }
    fn load(&self, _: &Context, _: Split) -> Result<Images> {
        let pixels = (0..40 * SMALL.len()).map(|i| (i * i + i / 48) as u8).collect();
        Ok(Images { shape: SMALL, pixels, labels: (0..40).map(|i| i % 4).collect() })
    }
    fn excluded(&self, _: Split) -> Vec<usize> {
        vec![3, 4, 1000]
    }
}

fn images() -> Images {
    Small.load(&context(), Split::Train).unwrap()
}

#[test]
fn selections_are_balanced_nested_and_leave_out_the_excluded() {
    let images = images();
    let subset = |per_class, seed| select(&Small, &images, Split::Train, per_class, seed).unwrap();
    let nine = subset(Some(9), 1);
    assert_eq!(nine.images.histogram(4), [9; 4]);
    assert!(!nine.records.iter().any(|&r| r == 3 || r == 4));
    assert_eq!(nine.records.iter().collect::<BTreeSet<_>>().len(), 36, "no record twice");
    assert_eq!(nine.records[..12], subset(Some(3), 1).records[..]);
    assert_ne!(nine.records, subset(Some(9), 2).records);
    for (place, &record) in nine.records.iter().enumerate() {
        assert_eq!(nine.images.image(place), images.image(record as usize));
        assert_eq!(nine.images.labels[place], images.labels[record as usize]);
    }
    let all = subset(None, 1);
    assert_eq!(all.records, (0..40).filter(|r| ![3, 4].contains(r)).collect::<Vec<u32>>());
    let e = select(&Small, &images, Split::Train, Some(10), 1).unwrap_err();
    assert!(e.to_string().contains("class 0 (a) of small train has 9"), "{e}");
}

#[test]
fn the_digest_covers_the_selected_records_alone() {
    let digest = |images: &Images, seed| {
        select(&Small, images, Split::Train, Some(2), seed).unwrap().digest().unwrap().to_string()
    };
    let original = images();
    let subset = select(&Small, &original, Split::Train, Some(2), 7).unwrap();
    let chosen = subset.records[5] as usize;
    let other = (0..40).find(|record| !subset.records.contains(record)).unwrap() as usize;
    let changed = |record: usize| {
        let mut images = original.clone();
        images.pixels[record * SMALL.len() + 11] ^= 1;
        images
    };
    assert_eq!(digest(&changed(other), 7), digest(&original, 7));
    assert_ne!(digest(&changed(chosen), 7), digest(&original, 7));
    assert_ne!(digest(&original, 8), digest(&original, 7));
}

#[test]
fn pooling_is_the_exact_mean_of_blocks() {
    let images = images();
    let by = Normalization { mean: vec![0.0; 2], std: vec![1.0; 2] };
    let pooled = Examples::new(&images).pool().unwrap();
    assert_eq!(pooled.shape(), Shape { height: 2, width: 3, channels: 2 });
    let mut out = vec![0.0; 12];
    pooled.normalized(&by).unwrap().fill(&[17], Augment::default(), 0, 0, &mut out, &mut [0]).unwrap();
    let at = |y: usize, x: usize, c: usize| f64::from(images.image(17)[(y * 6 + x) * 2 + c]);
    for (i, &got) in out.iter().enumerate() {
        let (y, x, c) = (i / 6, i / 2 % 3, i % 2);
        let sum = at(2 * y, 2 * x, c) + at(2 * y + 1, 2 * x, c) + at(2 * y, 2 * x + 1, c) + at(2 * y + 1, 2 * x + 1, c);
        assert_eq!(f64::from(got), sum / 4.0, "row {y}, column {x}, channel {c}");
    }
    assert!(matches!(pooled.pool(), Err(DataError::Request { .. })), "three columns have no halves");
}

#[test]
fn pooling_stops_before_it_overflows() {
    let white =
        Images { shape: Shape { height: 32, width: 32, channels: 1 }, pixels: vec![255; 1024], labels: vec![0] };
    let mut examples = Examples::new(&white);
    let by = Normalization { mean: vec![0.0], std: vec![1.0] };
    for _ in 0..4 {
        examples = examples.pool().unwrap();
        let mut out = vec![0.0; examples.shape().len()];
        examples.normalized(&by).unwrap().fill(&[0], Augment::default(), 0, 0, &mut out, &mut [0]).unwrap();
        assert!(out.iter().all(|&x| x == 255.0));
    }
    assert!(examples.pool().is_err());
}

#[test]
fn statistics_are_those_of_the_definition_and_normalise() {
    let examples = Examples::new(&images()).pool().unwrap();
    let by = examples.statistics().unwrap();
    let all: Vec<u32> = (0..40).collect();
    let mut out = vec![0.0; 40 * 12];
    examples.normalized(&by).unwrap().fill(&all, Augment::default(), 0, 0, &mut out, &mut [0; 40]).unwrap();
    for channel in 0..2 {
        let values: Vec<f64> = out.iter().skip(channel).step_by(2).map(|&x| f64::from(x)).collect();
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let variance = values.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / values.len() as f64;
        assert!(mean.abs() < 1e-6 && (variance - 1.0).abs() < 1e-6, "{mean} {variance}");
    }
    let black = Images { pixels: vec![0; 40 * 48], ..images() };
    assert!(matches!(Examples::new(&black).statistics(), Err(DataError::Request { .. })));
}

#[test]
fn views_reflect_shift_and_mirror() {
    let show = |view: View| {
        let mut out = String::new();
        for row in 0..4 {
            for column in 0..6 {
                let (y, x) = view.source(SMALL, row, column);
                out += &format!("{y}{x} ");
            }
        }
        out
    };
    let straight = show(View::default());
    assert!(straight.starts_with("00 01 02 03 04 05 10"));
    assert!(show(View { flip: true, ..View::default() }).starts_with("05 04 03 02 01 00 15"));
    // One up and two to the left: the edge is not repeated.
    assert!(show(View { down: -1, right: -2, flip: false }).starts_with("12 11 10 11 12 13 02"));
    assert!(show(View { down: 1, right: 2, flip: false }).ends_with("22 23 24 25 24 23 "));
}

#[test]
fn augmentation_depends_on_seed_epoch_and_example_alone() {
    let examples = Examples::new(&images());
    let by = examples.statistics().unwrap();
    let batches = examples.normalized(&by).unwrap();
    let augment = Augment { padding: 2, flip: true };
    let fill = |indices: &[u32], seed, epoch| {
        let mut out = vec![0.0; indices.len() * SMALL.len()];
        let mut labels = vec![0; indices.len()];
        batches.fill(indices, augment, seed, epoch, &mut out, &mut labels).unwrap();
        (out, labels)
    };
    let (together, labels) = fill(&[30, 5, 22], 1, 4);
    assert_eq!(labels, [2, 1, 2]);
    assert_eq!(together[SMALL.len()..2 * SMALL.len()], fill(&[5], 1, 4).0[..]);
    assert_ne!(together, fill(&[30, 5, 22], 2, 4).0);
    assert_ne!(together, fill(&[30, 5, 22], 1, 5).0);
    // Every offset occurs, and both directions about equally often.
    let views: Vec<View> = (0..4000).map(|example| augment.view(3, 0, example)).collect();
    let offsets: BTreeSet<_> = views.iter().map(|view| (view.down, view.right)).collect();
    assert_eq!(offsets.len(), 25);
    let flips = views.iter().filter(|view| view.flip).count();
    assert!((1850..2150).contains(&flips), "{flips} of 4000");
}

#[test]
fn impossible_batches_are_refused() {
    let examples = Examples::new(&images());
    let batches = examples.normalized(&examples.statistics().unwrap()).unwrap();
    let mut out = vec![0.0; SMALL.len()];
    let mut fill = |indices: &[u32], padding| {
        batches.fill(indices, Augment { padding, flip: false }, 0, 0, &mut out, &mut [0]).is_err()
    };
    assert!(!fill(&[39], 3));
    assert!(fill(&[40], 0) && fill(&[0], 4) && fill(&[0, 1], 0));
    let by = Normalization { mean: vec![0.0; 2], std: vec![1.0, 0.0] };
    assert!(matches!(examples.normalized(&by), Err(DataError::Request { .. })));
}

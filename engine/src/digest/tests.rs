use super::*;

/// A digest of the table that a second implementation made.
fn published(name: &str) -> Digest {
    let table = include_str!("../../tests/vectors/random.txt");
    let line = table.lines().find(|line| line.starts_with(&format!("digest | {name} |"))).unwrap();
    line.rsplit(" | ").next().unwrap().parse().unwrap()
}

#[test]
fn digests_equal_the_published_ones() {
    let weight = [1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0];
    let weight_and_step = Digester::new().tensor("weight", &[2, 3], &weight).unwrap().tensor("step", &[], &[7u64]);
    let all = || {
        Digester::default()
            .tensor("é", &[1, 2], &[-0.0f64, 5e-324])?
            .tensor("", &[3], &[0u8, 1, 255])?
            .tensor("u", &[1], &[0xdead_beefu32])?
            .tensor("i", &[2], &[-1, i64::MIN])?
            .tensor::<f32>("empty", &[5, 0], &[])
    };
    let long: Vec<f32> = (0..10_000u16).map(f32::from).collect();
    assert_eq!(Digester::new().finish(), published("nothing"));
    assert_eq!(weight_and_step.unwrap().finish(), published("weight, step"));
    assert_eq!(all().unwrap().finish(), published("all types"));
    assert_eq!(Digester::new().tensor("x", &[10_000], &long).unwrap().finish(), published("10000 f32"));
}

#[test]
fn every_part_of_a_tensor_counts() {
    let x = [1.0f32, 2.0, 3.0, 4.0];
    let one = |name: &str, shape: &[usize], x: &[f32]| Digester::new().tensor(name, shape, x).unwrap().finish();
    let two = |a: (&str, &[f32]), b: (&str, &[f32])| {
        let first = Digester::new().tensor(a.0, &[a.1.len()], a.1).unwrap();
        first.tensor(b.0, &[b.1.len()], b.1).unwrap().finish()
    };
    let digests = [
        one("x", &[4], &x),
        one("y", &[4], &x),
        one("x", &[2, 2], &x),
        one("x", &[4, 1], &x),
        one("x", &[4], &[1.0, 2.0, 4.0, 3.0]),
        Digester::new().tensor("x", &[4], &x.map(f32::to_bits)).unwrap().finish(),
        Digester::new().tensor("x", &[2], &[0x4000_0000_3f80_0000u64, 0x4080_0000_4040_0000]).unwrap().finish(),
        two(("x", &x[..2]), ("", &x[2..])),
        two(("", &x[..2]), ("x", &x[2..])),
        two(("x", &x), ("", &[])),
        one("x", &[1], &[0.0]),
        one("x", &[1], &[-0.0]),
    ];
    for (i, a) in digests.iter().enumerate() {
        assert!(digests[..i].iter().all(|b| a != b), "digest {i}");
    }
}

#[test]
fn a_shape_that_does_not_fit_the_data_is_refused() {
    let shape = Digester::new().tensor("x", &[2, 2], &[0u8; 3]).unwrap_err();
    assert_eq!(shape, Error::Shape { op: "digest", what: "elements of data", expected: 4, actual: 3 });
    let overflow = Digester::new().tensor::<u8>("x", &[usize::MAX, 2], &[]);
    assert!(matches!(overflow, Err(Error::Overflow { .. })));
}

#[test]
fn text_is_read_back_and_other_text_refused() {
    let digest = published("nothing");
    let text = digest.to_string();
    assert_eq!(text.len(), 64);
    assert_eq!(text.parse(), Ok(digest));
    assert_eq!(text.to_uppercase().parse(), Ok(digest));
    assert!(text.starts_with(&digest.short()) && digest.short().len() == Digest::SHORT);
    assert_eq!(format!("{digest:?}"), format!("Digest({text})"));
    for bad in ["", &text[1..], &format!("{text}00"), &text.replace('d', "g"), &format!("é{}", &text[2..])] {
        assert!(matches!(bad.parse::<Digest>(), Err(Error::Argument { .. })), "{bad}");
    }
}

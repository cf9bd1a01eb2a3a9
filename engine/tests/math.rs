//! The elementary functions on every tier of this CPU, sampled; `examples/exhaustive.rs` takes all inputs.

mod oracle;

use oracle::{CASES, Case, quantile, same, scalar};
use regularity_engine::error::Error;
use regularity_engine::math::{map, map_in_place, map_normal_quantile, unary};
use regularity_engine::simd::Isa;

const INF: f32 = f32::INFINITY;

fn case(name: &str) -> &'static Case {
    CASES.iter().find(|c| c.name == name).expect("a function of that name")
}

fn apply(case: &Case, isa: Isa, x: &[f32]) -> Vec<f32> {
    let mut y = vec![0.0; x.len()];
    (case.map)(isa, x, &mut y).expect("an available tier");
    y
}

/// Every failing input of `case` on `isa`, as text.
fn failures(case: &Case, isa: Isa, x: &[f32], expected: &[f32]) -> Vec<String> {
    let y = apply(case, isa, x);
    (0..x.len())
        .filter(|&i| !same(y[i], expected[i]))
        .map(|i| format!("{}({:e}) on {isa}: {:e}, expected {:e}", case.name, x[i], y[i], expected[i]))
        .collect()
}

fn assert_none(failures: &[String]) {
    assert!(failures.is_empty(), "{} wrong:\n{}", failures.len(), failures[..failures.len().min(50)].join("\n"));
}

#[test]
fn special_values_are_as_the_table_says() {
    let nan = f32::NAN;
    let table: &[(&str, &[(f32, f32)])] = &[
        (
            "exp",
            &[
                (0.0, 1.0),
                (-0.0, 1.0),
                (INF, INF),
                (-INF, 0.0),
                (nan, nan),
                (88.8, INF),
                (-104.0, 0.0),
                (-103.9, 1e-45),
            ],
        ),
        ("expm1", &[(0.0, 0.0), (-0.0, -0.0), (INF, INF), (-INF, -1.0), (nan, nan), (1e-45, 1e-45), (-1e-45, -1e-45)]),
        ("ln", &[(1.0, 0.0), (0.0, -INF), (-0.0, -INF), (INF, INF), (-INF, nan), (nan, nan), (-1e-45, nan)]),
        (
            "ln_1p",
            &[
                (0.0, 0.0),
                (-0.0, -0.0),
                (-1.0, -INF),
                (-1.5, nan),
                (INF, INF),
                (-INF, nan),
                (nan, nan),
                (-1e-45, -1e-45),
            ],
        ),
        ("tanh", &[(0.0, 0.0), (-0.0, -0.0), (INF, 1.0), (-INF, -1.0), (nan, nan), (-1e-45, -1e-45)]),
        ("sigmoid", &[(0.0, 0.5), (-0.0, 0.5), (INF, 1.0), (-INF, 0.0), (nan, nan), (-103.9, 1e-45)]),
        ("softplus", &[(INF, INF), (-INF, 0.0), (nan, nan), (f32::MAX, f32::MAX), (-103.9, 1e-45)]),
        ("erf", &[(0.0, 0.0), (-0.0, -0.0), (INF, 1.0), (-INF, -1.0), (nan, nan), (-1e-45, -1e-45)]),
        ("sin", &[(0.0, 0.0), (-0.0, -0.0), (INF, nan), (-INF, nan), (nan, nan), (-1e-45, -1e-45)]),
        ("cos", &[(0.0, 1.0), (-0.0, 1.0), (INF, nan), (-INF, nan), (nan, nan)]),
    ];
    let mut failed = Vec::new();
    for isa in Isa::available() {
        for (name, rows) in table {
            let (x, y): (Vec<f32>, Vec<f32>) = rows.iter().copied().unzip();
            failed.extend(failures(case(name), isa, &x, &y));
        }
    }
    assert_none(&failed);
}

#[test]
fn sampled_bit_patterns_round_correctly_on_every_tier() {
    let mut failed = Vec::new();
    for isa in Isa::available() {
        // The soft multiply-add makes the portable tier a hundred times slower.
        let step = if isa == Isa::Portable { 131_101 } else { 4_099 };
        let x: Vec<f32> = (0..=u32::MAX).step_by(step).map(f32::from_bits).collect();
        for case in CASES {
            let expected: Vec<f32> = x.iter().map(|&x| (case.reference)(x)).collect();
            failed.extend(failures(case, isa, &x, &expected));
        }
    }
    assert_none(&failed);
}

#[test]
fn inputs_around_borders_and_near_ties_round_correctly_on_every_tier() {
    // Bit patterns of borders of the methods (range ends, clamps, switches) and of the hardest inputs found.
    let centres: &[(&str, &[f32])] = &[
        ("exp", &[-104.0, -103.97208, -87.33655, 88.72284, 89.0, 1e-7, -6e-8, 0.346_573_6]),
        ("expm1", &[-40.0, -17.328_68, 88.72284, 89.0, 1e-38, 0.346_573_6, -0.346_573_6]),
        ("ln", &[1.0, 0.70710677, std::f32::consts::SQRT_2, 1.1754944e-38]),
        ("ln_1p", &[-1.0, -0.29289323, 0.41421357, 1.8626451e-9, 5.368_709e8, 1e-38]),
        ("tanh", &[9.010_913, 10.0, 0.173_286_8, 2.4414062e-4, 1e-38]),
        ("sigmoid", &[-104.0, -103.97208, 104.0, 1.2207031e-4, 1.1920929e-7, 5.9604645e-8, 17.32868]),
        ("softplus", &[-104.0, -103.97208, -0.881_373_6, 0.881_373_6, 104.0, 16.635532]),
        ("erf", &[3.832_507, 4.0, 1e-38, 0.3]),
        ("sin", &[1.5707964, std::f32::consts::PI, 16_777_216.0, 1e22, 3.4028235e38, 1e-38]),
        ("cos", &[1.5707964, std::f32::consts::PI, 16_777_216.0, 1e22, 3.4028235e38, 2.4414062e-4]),
    ];
    let near_ties: &[(&str, &[u32])] = &[
        ("ln", &[0x3c41_3d3a, 0x4117_8feb, 0x4c5d_65a5, 0x65d8_90d3, 0x6f31_a8ec]),
        ("ln_1p", &[0x3540_0003, 0x3710_001b, 0x3efd_81ad, 0x4107_8feb, 0x65d8_90d3, 0x6f31_a8ec]),
        ("ln_1p", &[0xb53f_fffd, 0xb70f_ffe5, 0xbb0e_c8c4]),
        ("sigmoid", &[0xba92_8601]),
        ("softplus", &[0x39ea_41d0]),
        ("sin", &[0x4619_9998]),
        ("cos", &[0x6115_cb11, 0x7908_cd73]),
    ];
    let mut failed = Vec::new();
    for isa in Isa::available() {
        let reach = if isa == Isa::Portable { 20 } else { 2_000 };
        let mut check = |name: &str, centre: u32| {
            let x: Vec<f32> = (-reach..=reach)
                .flat_map(|d| [0, 0x8000_0000].map(|sign| f32::from_bits(centre.wrapping_add_signed(d) ^ sign)))
                .collect();
            let case = case(name);
            let expected: Vec<f32> = x.iter().map(|&x| (case.reference)(x)).collect();
            failed.extend(failures(case, isa, &x, &expected));
        };
        for (name, list) in centres {
            list.iter().for_each(|x| check(name, x.to_bits()));
        }
        for (name, list) in near_ties {
            list.iter().for_each(|&bits| check(name, bits));
        }
    }
    assert_none(&failed);
}

#[test]
fn all_tiers_give_the_same_bits() {
    let x: Vec<f32> = (0..=u32::MAX).step_by(65_537 * 3).map(f32::from_bits).collect();
    for case in CASES {
        let portable = apply(case, Isa::Portable, &x);
        for isa in Isa::available() {
            let y = apply(case, isa, &x);
            let differing = (0..x.len()).find(|&i| !same(portable[i], y[i]));
            assert_eq!(differing.map(|i| x[i]), None, "{} on {isa}", case.name);
        }
    }
}

/// Words over the whole range, at its ends, its middle, and the one near-tie.
fn words(step: usize) -> Vec<u32> {
    let around = |centre: u32| (-50i32..=50).map(move |d| centre.wrapping_add_signed(d));
    let mut words: Vec<u32> = (0..=u32::MAX).step_by(step).collect();
    words.extend([0, 1 << 31, 0xb817_2ade, !0xb817_2ade].into_iter().flat_map(around));
    words
}

#[test]
fn the_normal_quantile_rounds_correctly_and_is_odd_on_every_tier() {
    for isa in Isa::available() {
        let words = words(if isa == Isa::Portable { 262_147 } else { 16_411 });
        let mirrored: Vec<u32> = words.iter().map(|w| !w).collect();
        let (mut y, mut opposite) = (vec![0.0; words.len()], vec![0.0; words.len()]);
        map_normal_quantile(isa, &words, &mut y).expect("an available tier");
        map_normal_quantile(isa, &mirrored, &mut opposite).expect("an available tier");
        let mut oracle = quantile::Oracle::default();
        for ((&w, &y), &opposite) in words.iter().zip(&y).zip(&opposite) {
            assert!(oracle.accepts(w, y), "{isa}: {w:#010x} gave {y:e}");
            assert_eq!(opposite.to_bits(), (-y).to_bits(), "{isa}: {w:#010x} is not mirrored");
        }
    }
}

#[test]
fn the_quantile_oracle_rejects_the_neighbours_of_a_correct_value() {
    let words = words(1 << 20);
    let mut y = vec![0.0; words.len()];
    map_normal_quantile(Isa::detect(), &words, &mut y).expect("an available tier");
    let mut oracle = quantile::Oracle::default();
    for (&w, &y) in words.iter().zip(&y) {
        for d in [-1, 1] {
            assert!(!oracle.accepts(w, f32::from_bits(y.to_bits().wrapping_add_signed(d))), "{w:#010x}");
        }
    }
}

#[test]
fn a_slice_of_any_length_equals_its_elements_one_by_one() {
    let x: Vec<f32> = (0..40).map(|i| i as f32 * 0.37 - 5.0).collect();
    for isa in Isa::available() {
        for n in 0..=x.len() {
            let mut whole = vec![7.0; n];
            map(isa, unary::Exp, &x[..n], &mut whole).expect("an available tier");
            let mut in_place = x[..n].to_vec();
            map_in_place(isa, unary::Exp, &mut in_place).expect("an available tier");
            let single = x[..n].iter().map(|&x| {
                let mut y = [x];
                map_in_place(isa, unary::Exp, &mut y).expect("an available tier");
                y[0]
            });
            assert_eq!(whole, single.collect::<Vec<_>>());
            assert_eq!(whole, in_place);
        }
    }
}

#[test]
fn slices_of_different_lengths_are_refused() {
    let refused = map(Isa::Portable, unary::Tanh, &[0.0; 3], &mut [0.0; 4]);
    assert!(matches!(refused, Err(Error::Shape { op: "tanh", expected: 3, actual: 4, .. })), "{refused:?}");
    let refused = map_normal_quantile(Isa::Portable, &[0; 3], &mut [0.0; 2]);
    assert!(matches!(refused, Err(Error::Shape { expected: 3, actual: 2, .. })), "{refused:?}");
}

#[test]
fn scalar_functions_stay_within_one_unit_of_correct_rounding() {
    for case in scalar::CASES {
        for i in 0..400_000 {
            let x = case.sample(i);
            let (y, expected) = ((case.function)(x), (case.reference)(x));
            assert!(scalar::ulps(y, expected) <= 1, "{}({x:e}) gave {y:e}, correct is {expected:e}", case.name);
        }
    }
}

#[test]
fn scalar_special_values_agree_with_the_reference() {
    let mut values = vec![0.0, 1.0, f64::INFINITY, f64::NAN, 5e-324, f64::MIN_POSITIVE, f64::MAX, 0.5, 2.0];
    values.extend([709.782712893384, 709.7827128933841, 710.0, 745.1, 745.2, 746.0, 44.9, 45.1, 20.0, 36.7, 1e-17]);
    for case in scalar::CASES {
        for x in values.iter().flat_map(|&x| [x, -x]) {
            let (y, expected) = ((case.function)(x), (case.reference)(x));
            let served = case.name != "cos" || x.is_nan() || x.abs() <= regularity_engine::math::scalar::COS_LIMIT;
            let expected = if served { expected } else { f64::NAN };
            assert!(scalar::ulps(y, expected) <= 1, "{}({x:e}) gave {y:e}, correct is {expected:e}", case.name);
            if expected == 0.0 {
                assert_eq!(y.to_bits(), expected.to_bits(), "{}({x:e}): the sign of the zero", case.name);
            }
        }
    }
}

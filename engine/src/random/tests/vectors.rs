//! The published table, line by line.

use std::str::FromStr;

use super::context;
use crate::random::Stream;

const TABLE: &str = include_str!("../../../tests/vectors/random.txt");

fn numbers<T: FromStr<Err: std::fmt::Debug>>(text: &str) -> Vec<T> {
    text.split_whitespace().map(|x| x.parse().unwrap()).collect()
}

/// `fill` for the single elements at `indices`, as hexadecimal digits.
fn floats(indices: &[u64], fill: impl Fn(u64, &mut [f32])) -> Vec<String> {
    let draw = |&i: &u64| {
        let mut out = [0.0];
        fill(i, &mut out);
        format!("{:08x}", out[0].to_bits())
    };
    indices.iter().map(draw).collect()
}

/// What this crate draws for a line: its kind, arguments and stream.
fn draws(kind: &[&str], arguments: &str, s: Stream) -> Vec<String> {
    let indices = || numbers::<u64>(arguments);
    let each = |f: &dyn Fn(u64) -> String| indices().into_iter().map(f).collect();
    let decimal = |values: Vec<usize>| values.iter().map(usize::to_string).collect();
    let context = context();
    match *kind {
        ["u32"] => each(&|i| format!("{:08x}", s.u32_at(i))),
        ["u64"] => each(&|i| format!("{:016x}", s.u64_at(i))),
        ["uniform"] => each(&|i| format!("{:08x}", s.uniform_at(i).to_bits())),
        ["uniform_f64"] => each(&|i| format!("{:016x}", s.uniform_f64_at(i).to_bits())),
        ["fill_uniform", low, high] => {
            let (low, high) = (low.parse().unwrap(), high.parse().unwrap());
            floats(&indices(), |i, out| s.fill_uniform(&context, i, out, low, high).unwrap())
        }
        ["fill_normal", mean, std] => {
            let (mean, std) = (mean.parse().unwrap(), std.parse().unwrap());
            floats(&indices(), |i, out| s.fill_normal(&context, i, out, mean, std).unwrap())
        }
        ["below", n] => each(&|i| s.below_at(i, n.parse().unwrap()).to_string()),
        ["bernoulli", p] => each(&|i| u8::from(s.bernoulli_at(i, p.parse().unwrap()).unwrap()).to_string()),
        ["permutation"] => match arguments {
            "20" => decimal(s.permutation(20)),
            "300, the last 10" => decimal(s.permutation(300).split_off(290)),
            _ => panic!("unknown arguments {arguments}"),
        },
        ["sample"] => {
            let nk = numbers(arguments);
            decimal(s.sample(nk[0], nk[1]).unwrap())
        }
        ["class_balanced"] => {
            assert_eq!(arguments, "i^2 mod 11 mod 3, i < 40; 4 2 3; less 0 1 2");
            let labels: Vec<u8> = (0..40u32).map(|i| (i * i % 11 % 3) as u8).collect();
            decimal(s.class_balanced(&labels, &[4, 2, 3], &[0, 1, 2]).unwrap())
        }
        _ => panic!("unknown kind {kind:?}"),
    }
}

#[test]
fn every_draw_equals_the_published_table() {
    let mut lines = 0;
    for line in TABLE.lines().skip(1).filter(|line| !line.starts_with("digest")) {
        let fields: Vec<&str> = line.split(" | ").collect();
        let [kind, seed, purpose, step, arguments, values] = fields[..] else { panic!("{line}") };
        let stream = Stream::new(seed.parse().unwrap(), purpose, 0).at_step(step.parse().unwrap());
        assert_eq!(stream, Stream::new(seed.parse().unwrap(), purpose, step.parse().unwrap()));
        let kind: Vec<&str> = kind.split(' ').collect();
        assert_eq!(draws(&kind, arguments, stream).join(" "), values, "{line}");
        lines += 1;
    }
    assert_eq!(lines, 31);
}

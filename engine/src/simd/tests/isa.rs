//! Choosing a tier by detection and by name.

use super::super::{Isa, Kernel, Tier, Vector, dispatch};
use crate::error::Error;

struct Describe;

impl Kernel for Describe {
    type Output = (Isa, usize, usize, usize);
    #[inline(always)]
    fn run<S: Tier>(self, _: S) -> Self::Output {
        (S::ISA, S::F32::LANES, S::F64::LANES, S::VECTOR_REGISTERS)
    }
}

#[test]
fn an_available_tier_runs_as_itself_with_the_fixed_lanes() {
    let available = Isa::available();
    assert_eq!(available[0], Isa::Portable);
    assert_eq!(Isa::detect(), available[available.len() - 1]);
    for isa in available {
        let (ran, lanes_32, lanes_64, registers) = dispatch(isa, Describe).expect("it is available");
        assert_eq!((ran, lanes_32, lanes_64), (isa, 16, 8));
        assert!(registers >= 4, "{isa} has {registers} registers");
    }
}

#[test]
fn an_unavailable_tier_is_refused_by_name() {
    let available = Isa::available();
    let missing: Vec<Isa> = Isa::ALL.into_iter().filter(|isa| !available.contains(isa)).collect();
    assert!(!missing.is_empty(), "no machine has the tiers of two architectures");
    for isa in missing {
        let error = isa.require().expect_err("it is not available");
        assert!(matches!(error, Error::IsaUnavailable { isa: named, .. } if named == isa), "{error:?}");
        assert!(error.to_string().contains(&format!("`{isa}`")), "{error}");
        assert_eq!(dispatch(isa, Describe), Err(error));
    }
}

#[test]
fn every_tier_is_read_back_from_its_name() {
    for isa in Isa::ALL {
        assert_eq!(isa.to_string().parse(), Ok(isa));
    }
    assert_eq!("auto".parse(), Ok(Isa::detect()));
}

#[test]
fn an_unknown_name_is_refused_and_told_the_known_ones() {
    for name in ["", "AVX2", "avx", "avx2 ", "sse2", "auto,avx2"] {
        let error = name.parse::<Isa>().expect_err("no tier has this name");
        assert_eq!(error, Error::UnknownIsa(name.to_owned()));
        let text = error.to_string();
        for isa in Isa::ALL {
            assert!(text.contains(isa.name()), "{text} does not name {isa}");
        }
    }
}

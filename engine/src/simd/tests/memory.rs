//! Loads and stores: every length, every offset, nothing outside.

use super::super::{Bits, Isa, Kernel, Real, Tier, Vector, stream_into};
use super::{Failures, hex, run_on};

/// What lies around the elements; no lane ever holds it.
fn guard<E: Real>() -> E {
    E::from_bits_u64(0x7ead_beef_7ead_beef)
}

/// Loads `n` elements at `offset` of `source` and stores `m` of them at `offset` of `target`, by pointers.
struct Move<'a, E> {
    source: &'a [E],
    target: &'a mut [E],
    offset: usize,
    n: usize,
    m: usize,
}

impl<E: Real> Kernel for Move<'_, E> {
    type Output = ();
    #[inline(always)]
    fn run<S: Tier>(self, tier: S) {
        let lanes = E::V::<S>::LANES;
        let (source, target) = (&self.source[self.offset..], &mut self.target[self.offset..]);
        let x = if self.n == lanes {
            E::V::<S>::load(tier, source)
        } else {
            E::V::<S>::load_partial(tier, &source[..self.n])
        };
        if self.m == lanes { x.store(target) } else { x.store_partial(&mut target[..self.m]) }
    }
}

fn moves_stay_inside<E: Real>(lanes: usize) {
    // Every offset within a cache line, and room for guards on both sides.
    let offsets = 64 / size_of::<E>();
    let length = offsets + 2 * lanes;
    let source: Vec<E> = (0..length).map(|i| E::from_f64(i as f64 + 1.0)).collect();
    let mut failures = Failures::default();
    for isa in Isa::available() {
        for offset in 1..=offsets {
            for n in 0..=lanes {
                for m in 0..=lanes {
                    let mut target = vec![guard::<E>(); length];
                    run_on(isa, Move { source: &source, target: &mut target, offset, n, m });
                    for (i, &got) in target.iter().enumerate() {
                        let expected = match i.checked_sub(offset) {
                            Some(lane) if lane < m => {
                                if lane < n {
                                    source[i]
                                } else {
                                    E::ZERO
                                }
                            }
                            _ => guard(),
                        };
                        failures.check(got.bits() == expected.bits(), || {
                            let (name, got, expected) = (E::NAME, hex(got), hex(expected));
                            format!("{isa} {name} offset {offset} n {n} m {m}: [{i}] is {got}, not {expected}")
                        });
                    }
                }
            }
        }
    }
    failures.report();
}

#[test]
fn loads_and_stores_of_every_length_and_offset_stay_inside_f32() {
    moves_stay_inside::<f32>(16);
}
#[test]
fn loads_and_stores_of_every_length_and_offset_stay_inside_f64() {
    moves_stay_inside::<f64>(8);
}

/// Allocations of exactly the elements that are touched, for AddressSanitizer (`.ci/sanitize`).
fn exact_allocations_suffice<E: Real>(lanes: usize) {
    for isa in Isa::available() {
        for n in 0..=lanes {
            let source = vec![E::ONE; n].into_boxed_slice();
            let mut target = vec![guard::<E>(); n].into_boxed_slice();
            run_on(isa, Move { source: &source, target: &mut target, offset: 0, n, m: n });
            assert_eq!(source, target, "{isa} {} n {n}", E::NAME);
        }
    }
}

#[test]
fn nothing_past_an_exact_allocation_is_touched() {
    exact_allocations_suffice::<f32>(16);
    exact_allocations_suffice::<f64>(8);
}

/// A masked load that reads whole registers would not show in values; here it would fault.
#[cfg(target_os = "linux")]
#[test]
fn nothing_past_the_last_mapped_page_is_touched() {
    /// The largest page size in use on the tested architectures.
    const PAGE: usize = 65_536;
    unsafe extern "C" {
        fn mmap(address: *mut u8, length: usize, protection: i32, flags: i32, file: i32, offset: i64) -> *mut u8;
        fn mprotect(address: *mut u8, length: usize, protection: i32) -> i32;
        fn munmap(address: *mut u8, length: usize) -> i32;
    }
    const READ_WRITE: i32 = 3;
    const PRIVATE_ANONYMOUS: i32 = 0x22;

    fn at_the_edges<E: Real>(base: *mut u8, lanes: usize) {
        for isa in Isa::available() {
            for n in 0..=lanes {
                // SAFETY: the middle page is mapped for reading and writing; both ends are aligned, and `n` elements fit.
                let edges = unsafe { [base.add(PAGE), base.add(2 * PAGE - n * size_of::<E>())] };
                for edge in edges {
                    let source = vec![E::ONE; n];
                    // SAFETY: as above, and no other reference to the page lives.
                    let page = unsafe { std::slice::from_raw_parts_mut(edge.cast::<E>(), n) };
                    run_on(isa, Move { source: &source, target: page, offset: 0, n, m: n });
                    let mut target = vec![E::ZERO; n];
                    run_on(isa, Move { source: page, target: &mut target, offset: 0, n, m: n });
                    assert_eq!(source, target, "{isa} {} n {n}", E::NAME);
                }
            }
        }
    }

    // SAFETY: a fresh mapping of three pages, of which the outer two are then made inaccessible; it is unmapped when
    // nothing refers to it any more.
    unsafe {
        let base = mmap(std::ptr::null_mut(), 3 * PAGE, READ_WRITE, PRIVATE_ANONYMOUS, -1, 0);
        assert!(base as isize != -1, "mmap failed");
        assert_eq!(mprotect(base, PAGE, 0), 0);
        assert_eq!(mprotect(base.add(2 * PAGE), PAGE, 0), 0);
        at_the_edges::<f32>(base, 16);
        at_the_edges::<f64>(base, 8);
        assert_eq!(munmap(base, 3 * PAGE), 0);
    }
}

#[test]
fn slices_of_a_wrong_length_panic_on_every_tier() {
    fn panics(f: impl FnOnce() + std::panic::UnwindSafe) -> bool {
        std::panic::catch_unwind(f).is_err()
    }
    for isa in Isa::available() {
        for (len, n) in [(15, 16), (0, 16), (17, 17), (20, 18)] {
            let (long, short) = (vec![1.0f32; 40], vec![1.0f32; len]);
            let bad_load = panics(|| {
                let mut target = vec![0.0f32; 40];
                run_on(isa, Move { source: &short, target: &mut target, offset: 0, n, m: 1 });
            });
            let bad_store = panics(|| {
                let mut target = vec![0.0f32; len];
                run_on(isa, Move { source: &long, target: &mut target, offset: 0, n: 1, m: n });
            });
            assert!(bad_load && bad_store, "{isa}: length {len}, {n} lanes: load {bad_load}, store {bad_store}");
        }
    }
}

/// Loads integers from every byte offset of `bytes`.
struct LoadBits<'a>(&'a [u8; 128]);

impl Kernel for LoadBits<'_> {
    type Output = Vec<([f32; 16], [f64; 8])>;
    #[inline(always)]
    fn run<S: Tier>(self, tier: S) -> Self::Output {
        let mut results = Vec::new();
        for offset in 0..=64 {
            let (mut singles, mut doubles) = ([0.0; 16], [0.0; 8]);
            // SAFETY: 64 bytes follow the offset in an array of 128.
            let src = unsafe { self.0.as_ptr().add(offset) };
            // SAFETY: as above; sixteen 32-bit integers, or eight of 64 bits, are 64 bytes.
            let (x, y) = unsafe {
                (<S::F32 as Vector>::Bits::load_ptr(tier, src), <S::F64 as Vector>::Bits::load_ptr(tier, src))
            };
            x.to_float().store(&mut singles);
            y.to_float().store(&mut doubles);
            results.push((singles, doubles));
        }
        results
    }
}

#[test]
fn integers_load_from_any_byte_offset() {
    let bytes: [u8; 128] = std::array::from_fn(|i| (i * 37 + 11) as u8);
    for isa in Isa::available() {
        for (offset, (singles, doubles)) in run_on(isa, LoadBits(&bytes)).into_iter().enumerate() {
            let moved = &bytes[offset..offset + 64];
            let got: Vec<u8> = singles.iter().flat_map(|x| x.to_bits().to_ne_bytes()).collect();
            assert_eq!(got, moved, "{isa} u32 offset {offset}");
            let got: Vec<u8> = doubles.iter().flat_map(|x| x.to_bits().to_ne_bytes()).collect();
            assert_eq!(got, moved, "{isa} u64 offset {offset}");
        }
    }
}

struct Prefetch;

impl Kernel for Prefetch {
    type Output = ();
    #[inline(always)]
    fn run<S: Tier>(self, tier: S) {
        let here = 0.0f32;
        // The last one is not canonical on x86-64, and in the kernel's half elsewhere.
        let far =
            [std::ptr::null(), std::ptr::without_provenance(usize::MAX), std::ptr::without_provenance(1 << 63 | 1)];
        for address in [&raw const here].into_iter().chain(far) {
            tier.prefetch(address);
            tier.prefetch_far(address);
        }
    }
}

#[test]
fn prefetch_faults_on_no_address() {
    for isa in Isa::available() {
        run_on(isa, Prefetch);
    }
}

struct StreamCopy<'a>(&'a [f32], &'a mut [f32]);
impl Kernel for StreamCopy<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Tier>(self, tier: S) {
        // In two parts, the first of an odd length.
        let (a, b) = self.0.split_at(self.0.len().min(5));
        stream_into(
            tier,
            self.1,
            #[inline(always)]
            |writer| {
                writer.push(a);
                writer.push(b);
            },
        );
    }
}

#[test]
fn copies_past_the_caches_of_every_length_and_offset_keep_bits_and_stay_inside() {
    let source: Vec<f32> = (0..130).map(|i| f32::from_bits(0x7fa0_0000 + i)).collect(); // NaN with payloads
    for isa in Isa::available() {
        for offset in 0..17 {
            for n in (0..70).chain([100, 112]) {
                let mut target = vec![guard::<f32>(); 130];
                run_on(isa, StreamCopy(&source[7..7 + n], &mut target[offset..offset + n]));
                for (i, got) in target.iter().enumerate() {
                    let inside = i >= offset && i < offset + n;
                    let expected = if inside { source[7 + i - offset] } else { guard() };
                    assert_eq!(got.to_bits(), expected.to_bits(), "{isa} offset {offset}, {n} elements: [{i}]");
                }
            }
        }
    }
}

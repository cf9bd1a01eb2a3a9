//! ChaCha8 (D. J. Bernstein, "ChaCha, a variant of Salsa20", 2008), once, for one block and for sixteen.
//!
//! The state is sixteen words: four constants, eight of key, a block counter of 64 bits and a nonce of 64 bits. Eight
//! rounds mix it; the mixed state plus the state before is the block. [`block`] is written over a word type: a `u32`
//! gives one block, the vector of a tier gives sixteen, one in each lane, at no cost for shuffling.

use crate::simd::{Bits, Tier, Vector};

/// Words in a block.
pub(super) const BLOCK: usize = 16;
/// Blocks that are generated side by side; the number of lanes.
pub(super) const LANES: usize = 16;
/// Words in that many blocks.
pub(super) const GROUP: usize = BLOCK * LANES;

/// "expand 32-byte k" as little-endian words.
const CONSTANTS: [u32; 4] = [0x6170_7865, 0x3320_646e, 0x7962_2d32, 0x6b20_6574];

/// What ChaCha does with words.
pub(super) trait Word: Copy {
    /// The sum modulo 2^32.
    fn add(self, o: Self) -> Self;
    /// Exclusive or.
    fn xor(self, o: Self) -> Self;
    /// Left by `L` bits and right by `R = 32 - L`, joined.
    fn rotate<const L: i32, const R: i32>(self) -> Self;
}

impl Word for u32 {
    #[inline(always)]
    fn add(self, o: Self) -> Self {
        self.wrapping_add(o)
    }
    #[inline(always)]
    fn xor(self, o: Self) -> Self {
        self ^ o
    }
    #[inline(always)]
    fn rotate<const L: i32, const R: i32>(self) -> Self {
        self.rotate_left(L as u32)
    }
}

impl<B: Bits> Word for B {
    #[inline(always)]
    fn add(self, o: Self) -> Self {
        self + o
    }
    #[inline(always)]
    fn xor(self, o: Self) -> Self {
        self ^ o
    }
    #[inline(always)]
    fn rotate<const L: i32, const R: i32>(self) -> Self {
        self.shl::<L>() | self.shr::<R>()
    }
}

/// Four of the state's words, mixed.
#[inline(always)]
fn quarter_round<W: Word>([a, b, c, d]: [W; 4]) -> [W; 4] {
    let a = a.add(b);
    let d = d.xor(a).rotate::<16, 16>();
    let c = c.add(d);
    let b = b.xor(c).rotate::<12, 20>();
    let a = a.add(b);
    let d = d.xor(a).rotate::<8, 24>();
    let c = c.add(d);
    let b = b.xor(c).rotate::<7, 25>();
    [a, b, c, d]
}

/// The block that belongs to a state.
#[inline(always)]
fn block<W: Word>(state: [W; 16]) -> [W; 16] {
    let mut x = state;
    for _ in 0..4 {
        for [a, b, c, d] in [[0, 4, 8, 12], [1, 5, 9, 13], [2, 6, 10, 14], [3, 7, 11, 15]] {
            [x[a], x[b], x[c], x[d]] = quarter_round([x[a], x[b], x[c], x[d]]);
        }
        for [a, b, c, d] in [[0, 5, 10, 15], [1, 6, 11, 12], [2, 7, 8, 13], [3, 4, 9, 14]] {
            [x[a], x[b], x[c], x[d]] = quarter_round([x[a], x[b], x[c], x[d]]);
        }
    }
    for (x, before) in x.iter_mut().zip(state) {
        *x = x.add(before);
    }
    x
}

/// The low and the high word of `x`.
#[inline(always)]
fn halves(x: u64) -> [u32; 2] {
    [x as u32, (x >> 32) as u32]
}

/// The state before mixing.
#[inline(always)]
fn state(key: &[u32; 8], nonce: u64, counter: u64) -> [u32; 16] {
    let [n0, n1] = halves(nonce);
    let [t0, t1] = halves(counter);
    let [c0, c1, c2, c3] = CONSTANTS;
    let [k0, k1, k2, k3, k4, k5, k6, k7] = *key;
    [c0, c1, c2, c3, k0, k1, k2, k3, k4, k5, k6, k7, t0, t1, n0, n1]
}

/// One block.
pub(super) fn one_block(key: &[u32; 8], nonce: u64, counter: u64) -> [u32; BLOCK] {
    block(state(key, nonce, counter))
}

/// Blocks `16 group` to `16 group + 15`, for `group < 2^60`: lane `l` of vector `j` is word `j` of the block `l`.
#[inline(always)]
pub(super) fn sixteen_blocks<S: Tier>(
    tier: S,
    key: &[u32; 8],
    nonce: u64,
    group: u64,
) -> [<S::F32 as Vector>::Bits; BLOCK] {
    type B<S> = <<S as Tier>::F32 as Vector>::Bits;
    let mut vectors = [B::<S>::splat(tier, 0); BLOCK];
    for (v, w) in vectors.iter_mut().zip(state(key, nonce, group * LANES as u64)) {
        *v = B::<S>::splat(tier, u64::from(w));
    }
    // The lower four bits of the counter are zero in lane 0, so that adding a lane number carries into nothing.
    let mut numbers = [0.0; LANES];
    for (i, number) in numbers.iter_mut().enumerate() {
        *number = f32::from_bits(i as u32);
    }
    vectors[12] = vectors[12] | S::F32::load(tier, &numbers).to_bits();
    block(vectors)
}

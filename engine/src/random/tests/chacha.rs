//! The generator against a published vector and against an independent implementation.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use crate::Isa;
use crate::random::Stream;
use crate::random::chacha::{BLOCK, LANES, one_block, sixteen_blocks};
use crate::simd::{Bits, Kernel, Tier, Vector, dispatch};

/// Blocks by rand_chacha.
fn oracle(key: &[u32; 8], nonce: u64, counter: u64) -> [u32; BLOCK] {
    let mut seed = [0; 32];
    for (bytes, word) in seed.as_chunks_mut::<4>().0.iter_mut().zip(key) {
        *bytes = word.to_le_bytes();
    }
    let mut rng = ChaCha8Rng::from_seed(seed);
    rng.set_stream(nonce);
    rng.set_word_pos(u128::from(counter) * BLOCK as u128);
    std::array::from_fn(|_| rng.next_u32())
}

struct Sixteen<'a>(&'a [u32; 8], u64, u64);
impl Kernel for Sixteen<'_> {
    type Output = [[f32; LANES]; BLOCK];
    #[inline(always)]
    fn run<S: Tier>(self, tier: S) -> Self::Output {
        let mut words = [[0.0; LANES]; BLOCK];
        for (out, words) in words.iter_mut().zip(sixteen_blocks(tier, self.0, self.1, self.2)) {
            words.to_float().store(out);
        }
        words
    }
}

/// J. Strombergson's test vectors of 2013, 256-bit keys, 8 rounds, case 1.
#[test]
fn the_published_block_of_the_zero_key() {
    let words = one_block(&[0; 8], 0, 0);
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    assert_eq!(bytes[..16], 0x3e00_ef2f_895f_40d6_7f5b_b8e8_1f09_a5a1_u128.to_be_bytes());
}

#[test]
fn blocks_equal_an_independent_implementation_on_every_tier() {
    let edges = [0, 1, 2, 0xffff_ffff >> 4, 0x1_0000_0000 >> 4, 0x0123_4567_89ab, (1 << 56) - 1];
    for (i, group) in edges.into_iter().enumerate() {
        for step in [0, 1, 0xffff_ffff, 0x1_0000_0000, u64::MAX] {
            let Stream { key, .. } = Stream::new(i as u64, "oracle", 0);
            let blocks: Vec<_> = (0..16).map(|lane| oracle(&key, step, 16 * group + lane)).collect();
            for (lane, block) in blocks.iter().enumerate() {
                assert_eq!(one_block(&key, step, 16 * group + lane as u64), *block, "group {group}, step {step}");
            }
            for isa in Isa::available() {
                let words = dispatch(isa, Sixteen(&key, step, group)).unwrap();
                for (j, lanes) in words.iter().enumerate() {
                    for (lane, word) in lanes.iter().enumerate() {
                        assert_eq!(word.to_bits(), blocks[lane][j], "{isa}, group {group}, step {step}, word {j}");
                    }
                }
            }
        }
    }
}

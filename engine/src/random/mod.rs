//! Keyed random draws: each is a pure function of (seed, purpose, step, index).
//!
//! There is no generator that moves on. Whoever draws says *what for* (a purpose, such as `init/conv1.weight` or
//! `augment/flip`), *when* (a step or an epoch) and *for which* element or example, and gets the same bits whether it
//! asks first or last, for one element or for a million, on any machine, tier or number of threads. So there is no
//! state to save with a checkpoint, and a new draw somewhere changes none elsewhere.
//!
//! ```
//! use regularity_engine::{Context, random::Stream};
//! let context = Context::auto()?;
//! let noise = Stream::new(42, "label noise", 7); // seed 42, step 7
//! let mut out = [0.0; 100];
//! noise.fill_normal(&context, 0, &mut out, 0.0, 1.0)?;
//! // The last two alone are the same two.
//! let mut tail = [0.0; 2];
//! noise.fill_normal(&context, 98, &mut tail, 0.0, 1.0)?;
//! assert_eq!(tail, out[98..]);
//! # Ok::<(), regularity_engine::Error>(())
//! ```
//!
//! # Streams: the exact bytes
//! Frozen in numerics version 1.
//!
//! ```text
//! key          = SHA-256(b"regularity/random/1" ++ seed as 8 bytes, little-endian ++ purpose as UTF-8)
//! nonce        = step, 64 bits
//! block(c)     = the 16 words of ChaCha8 for this key, this nonce and the 64-bit block counter c
//!                (D. J. Bernstein's layout: state words 4-11 the key as little-endian words, 12-13 the counter,
//!                14-15 the nonce, low words first)
//! u32_at(i)    = word (i / 16) mod 16  of  block(16 (i / 256) + i mod 16)
//! u64_at(i)    = word 2 ((i / 16) mod 8), and the next word times 2^32,  of  block(16 (i / 128) + i mod 16)
//! ```
//!
//! Words are dealt out over sixteen blocks at a time, because sixteen blocks are computed at a time, one in each lane
//! of a vector: the vector of the `j`-th words is stored as it is. Every index of 64 bits has its own word, and the
//! counter never wraps.
//!
//! Two purposes or seeds share a key only where SHA-256 collides: the prefix and the seed have fixed lengths, so that
//! no two requests hash the same bytes. Two steps differ in the nonce. A 32-bit and a 64-bit draw of one stream use
//! common words: give each kind its own purpose, as any two things that should be independent.
//!
//! # Draws
//! | draw | definition |
//! |---|---|
//! | [`uniform_at`](Stream::uniform_at) | `floor(u32 / 2^8) 2^-24`, exact, in [0, 1) |
//! | [`uniform_f64_at`](Stream::uniform_f64_at) | `floor(u64 / 2^11) 2^-53`, exact, in [0, 1) |
//! | [`fill_uniform`](Stream::fill_uniform) | `x = fma(uniform, high - low, low)` in `f32`; where `x >= high`, the `f32` below `high` |
//! | [`fill_normal`](Stream::fill_normal) | `fma(z, std, mean)` in `f32`, `z = ` [`normal_quantile`](crate::math::normal_quantile())`(u32)` |
//! | [`below_at`](Stream::below_at) | `floor(n u64 / 2^64)`; each result's probability is off by less than `2^-64` |
//! | [`bernoulli_at`](Stream::bernoulli_at) | `u32 < floor(p 2^32 + 1/2)`; the probability is off by at most `2^-33`, and exact for 0 and 1 |
//! | [`shuffle`](Stream::shuffle) | for `i` = 0, 1, ..., `n - 1`: swap items `i` and `i + below_at(i, n - i)` |
//! | [`sample`](Stream::sample) | the first `k` of the shuffled 0, ..., `n - 1` |
//! | [`class_balanced`](Stream::class_balanced) | a sample of each class, class `c` drawing at `c 2^32`, `c 2^32 + 1`, ... |
//!
//! # Test vectors
//! Made by a second implementation in another language (`engine/tests/vectors/random.py`), checked by this crate's
//! tests, and frozen with the definitions. The last four are [digests](crate::digest).
//!
#![doc = concat!("```text\n", include_str!("../../tests/vectors/random.txt"), "```")]

mod chacha;
mod draw;
mod fill;
mod init;
mod sample;
#[cfg(test)]
mod tests;

use sha2::{Digest, Sha256};

pub use init::{Fan, Gain, Init};

/// The first bytes of what is hashed into a key.
const DOMAIN: &[u8] = b"regularity/random/1";

/// The random words of one seed, purpose and step. The [module](self) defines them byte by byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stream {
    key: [u32; 8],
    step: u64,
}

impl Stream {
    /// The stream of `seed`, for `purpose`, at `step` (or epoch; 0 for what is drawn once).
    ///
    /// Costs one or two rounds of SHA-256; in a loop over steps, [`at_step`](Self::at_step) costs nothing.
    #[must_use]
    pub fn new(seed: u64, purpose: &str, step: u64) -> Self {
        let hash = Sha256::new().chain_update(DOMAIN).chain_update(seed.to_le_bytes()).chain_update(purpose).finalize();
        let mut key = [0; 8];
        for (word, bytes) in key.iter_mut().zip(hash.as_chunks().0) {
            *word = u32::from_le_bytes(*bytes);
        }
        Self { key, step }
    }

    /// The stream of the same seed and purpose at another step.
    #[must_use]
    pub const fn at_step(self, step: u64) -> Self {
        Self { key: self.key, step }
    }

    /// The step.
    #[must_use]
    pub const fn step(&self) -> u64 {
        self.step
    }
}

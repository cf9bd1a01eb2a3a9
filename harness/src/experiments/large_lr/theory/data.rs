//! The data of the theory: P and Q patterns.
//!
//! A label `y` is -1 or +1, half of the examples each. An example holds a P pattern, a Q pattern, or both:
//!
//! - P: `x1 = y (gamma w + h)`, `gamma = 1 / sqrt(d)`, `h` normal with variance `1 / d` in each direction, given that
//!   `w . h >= 0`. A linear classifier can find `w`, and needs many examples for it. (`w` is the first unit vector; the
//!   network treats all directions alike.)
//! - Q: `x2 = alpha z` for `y = +1`, `alpha (z + zeta)` or `alpha (z - zeta)`, each half the time, for `y = -1`: three rays
//!   close to each other, the middle one positive. No linear classifier can tell, and few examples suffice. `alpha` is
//!   uniform in `[alpha_min, 1)`; the paper's `alpha_min` is 0.
//!
//! The numbers of examples with P alone, Q alone and both are exact and the same for both labels, and negative Q patterns
//! alternate between their two rays; the paper draws all of these.
//! Draws: streams `large-lr/theory/<set>/...`; example i takes the normals `i d, ..., i d + d - 1` and the word `i`.

use regularity_engine::random::Stream;
use regularity_engine::{Context, Result};

/// What an example holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A P pattern alone.
    POnly,
    /// A Q pattern alone.
    QOnly,
    /// Both.
    Both,
}

/// One of the three rays of Q patterns; the numbers are their places among [`super::network::Network::q_branch`]'s.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ray {
    /// Along `z`, positive.
    Middle = 0,
    /// Along `z + zeta`, negative.
    Plus = 1,
    /// Along `z - zeta`, negative.
    Minus = 2,
}

/// How many examples there are, of each kind for both labels together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// P alone, even.
    pub p_only: usize,
    /// Q alone, even.
    pub q_only: usize,
    /// Both, even.
    pub both: usize,
}

/// Which patterns take part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patterns {
    /// As they come.
    All,
    /// Q patterns are left out (`x2 = 0`), and with them the examples that held nothing else.
    WithoutQ,
    /// Only the examples with P alone.
    POnly,
}

/// Examples of any kinds, those with equal labels alternating.
#[derive(Debug, Clone, PartialEq)]
pub struct Examples {
    /// P patterns, `[rows, d]`.
    pub x: Vec<f32>,
    /// For each example the row of its P pattern.
    pub row: Vec<Option<usize>>,
    /// For each example the ray of its Q pattern.
    pub ray: Vec<Option<Ray>>,
    /// For each example the length of its Q pattern over that of its ray.
    pub alpha: Vec<f32>,
    /// -1 or +1.
    pub label: Vec<f32>,
    /// What each example held before any pattern was left out.
    pub kind: Vec<Kind>,
    /// What means are taken over: the number of examples before any was left out.
    pub total: usize,
    /// Whether there is any Q pattern.
    pub has_q: bool,
}

impl Examples {
    /// Draws a set of examples.
    ///
    /// # Errors
    /// Those of the engine.
    pub fn draw(context: &Context, set: &str, seed: u64, d: usize, counts: Counts, alpha_min: f32) -> Result<Self> {
        let Counts { p_only, q_only, both } = counts;
        let total = p_only + q_only + both;
        let stream = |name: &str| Stream::new(seed, &format!("large-lr/theory/{set}/{name}"), 0);
        let mut normals = vec![0.0f32; total * d];
        let std = 1.0 / (d as f64).sqrt();
        stream("x").fill_normal(context, 0, &mut normals, 0.0, std as f32)?;
        let mut alpha = vec![0.0f32; total];
        stream("alpha").fill_uniform(context, 0, &mut alpha, alpha_min, 1.0)?;

        let mut examples = Self {
            x: Vec::with_capacity((p_only + both) * d),
            row: Vec::new(),
            ray: Vec::new(),
            alpha,
            label: Vec::new(),
            kind: Vec::new(),
            total,
            has_q: q_only + both > 0,
        };
        for i in 0..total {
            let kind = if i < p_only {
                Kind::POnly
            } else if i < p_only + q_only {
                Kind::QOnly
            } else {
                Kind::Both
            };
            let y = if i % 2 == 0 { 1.0 } else { -1.0 };
            examples.row.push((kind != Kind::QOnly).then(|| {
                let h = &normals[i * d..][..d];
                examples.x.push(y * (std as f32 + h[0].abs()));
                examples.x.extend(h[1..].iter().map(|&h| y * h));
                examples.x.len() / d - 1
            }));
            // i is even for positive labels, so that negative ones are i = 1, 3, 5, ...
            examples.ray.push((kind != Kind::POnly).then_some(match i % 4 {
                1 => Ray::Plus,
                3 => Ray::Minus,
                _ => Ray::Middle,
            }));
            examples.label.push(y);
            examples.kind.push(kind);
        }
        Ok(examples)
    }

    /// The number of examples.
    #[must_use]
    pub fn len(&self) -> usize {
        self.label.len()
    }
    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.label.is_empty()
    }

    /// The examples with fewer patterns; those that hold none are dropped, and means are still over all.
    #[must_use]
    pub fn only(&self, patterns: Patterns, d: usize) -> Self {
        if patterns == Patterns::All {
            return self.clone();
        }
        let stays = |kind: Kind| match patterns {
            Patterns::All => true,
            Patterns::WithoutQ => kind != Kind::QOnly,
            Patterns::POnly => kind == Kind::POnly,
        };
        let mut kept = Self {
            x: Vec::new(),
            row: Vec::new(),
            ray: Vec::new(),
            alpha: Vec::new(),
            label: Vec::new(),
            kind: Vec::new(),
            total: self.total,
            has_q: false,
        };
        for i in (0..self.len()).filter(|&i| stays(self.kind[i])) {
            if let Some(row) = self.row[i] {
                kept.row.push(Some(kept.x.len() / d));
                kept.x.extend_from_slice(&self.x[row * d..][..d]);
                kept.ray.push(None);
                kept.alpha.push(self.alpha[i]);
                kept.label.push(self.label[i]);
                kept.kind.push(self.kind[i]);
            }
        }
        kept
    }
}

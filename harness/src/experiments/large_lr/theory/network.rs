//! The two-layer network and one step of noisy gradient descent on it.
//!
//! # The network
//! `f(x1, x2) = r(x1) + g(x2)`: half of the hidden units read `x1` (weights W, the P branch `r`), half read `x2`
//! (weights V, the Q branch `g`). A unit contributes `a relu(u . x)` with a frozen `a = +-1 / sqrt(2 m)`, `m` the units of
//! its branch. Units come in pairs with the same first weights and opposite `a`, so the output starts at zero.
//!
//! All `x2` lie in one plane, on three rays: the directions `z`, `z + zeta` and `z - zeta`. Noise and weight decay treat
//! all directions alike, so the coordinates of V outside of the plane touch nothing: V is kept in two coordinates, along
//! `z` and along `zeta / |zeta|`. This is exact in law. And `g` is homogeneous: `g(alpha x) = alpha g(x)`, so three
//! products serve all examples.
//!
//! # Copies
//! How far the Q branch is from its linearisation is decided by its number of units. Each simulated unit of V stands for
//! `c` units that share their first weights and their noise, so the branch has `c units_q`, with `a = 1 / sqrt(2 c units_q)`.
//! `c` such units with weights `v` are one unit with weights `u = sqrt(c) v`: their sum is `c a relu(v . x) = a' relu(u . x)`
//! with `a' = sqrt(c) a = 1 / sqrt(2 units_q)`, and a step that moves each `v` by `-step C a x` moves `u` by
//! `-step C a' x`. So V holds `u`, and all that shows of the copies is its first deviation, `sqrt(c) tau`, and its noise, of
//! the temperature `c D`. This is exact; what differs from `c units_q` units with draws of their own is that fluctuations
//! of `g` are `sqrt(c)` times larger.
//!
//! # One step
//! ```text
//! f_i    = r(x1_i) + alpha_i g(ray of i)
//! c_i    = -y_i sigmoid(-y_i f_i) / n                        the gradient of the mean logistic loss
//! dW     = sum over i of c_i x1_i (a * 1[W x1_i > 0])
//! dV     = sum over rays of C_ray x_ray (a * 1[V x_ray > 0])     C_ray = sum over the ray's examples of c_i alpha_i
//! U      = (1 - step lambda) U - step dU + sqrt(step temperature) normal       (of V: sqrt(step temperature copies))
//! ```
//! `step^2 tau_xi^2 = step temperature`: the paper's noise of standard deviation `tau_xi` a weight, by its temperature.
//!
//! # Order of the arithmetic
//! Products are those of [`gemm`]: chains over ascending examples (at most some hundreds), units of W, coordinates and
//! rays; the update is the same product, which begins its chains with `(1 - step lambda) U`. Sums over the units of V are
//! those of [`reduce::dot`]. `C_ray` is summed in `f64` over ascending examples.

use regularity_engine::kernels::gemm::{Options, gemm};
use regularity_engine::kernels::loss::{Gradient, logistic};
use regularity_engine::kernels::{elementwise, reduce};
use regularity_engine::random::Stream;
use regularity_engine::tensor::{MatMut, MatRef};
use regularity_engine::{Context, Result};

use super::data::Examples;

/// The sizes of a network and its input.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shape {
    /// Coordinates of `x1`.
    pub d: usize,
    /// Units of the P branch, even.
    pub units_p: usize,
    /// Simulated units of the Q branch, even.
    pub units_q: usize,
    /// How many units of the Q branch each simulated one stands for.
    pub copies: usize,
    /// Length of `z`.
    pub scale: f32,
    /// Length of `zeta` over that of `z`.
    pub opening: f32,
}

/// What a step does beside following the gradient.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    /// The learning rate.
    pub size: f32,
    /// `learning rate * tau_xi^2`: the variance that the noise adds to a weight in a unit of time.
    pub temperature: f32,
    /// `lambda`.
    pub weight_decay: f32,
}

/// Weights of the network, and room for a step.
#[derive(Debug)]
pub struct Network {
    shape: Shape,
    /// W, `[d, units_p]`.
    w: Vec<f32>,
    /// `sqrt(copies)` V, `[2, units_q]`: along `z`, along `zeta`.
    v: Vec<f32>,
    /// Output weights of the branches.
    output_p: Vec<f32>,
    output_q: Vec<f32>,
    /// `[2, 3]`: each ray as a column, in the coordinates of V.
    rays: [f32; 6],
    noise: Vec<f32>,
    hidden_q: Vec<f32>,
    room: Room,
}

/// Buffers for the examples of a step.
#[derive(Debug, Default)]
struct Room {
    hidden_p: Vec<f32>,
    masked_p: Vec<f32>,
    outputs_p: Vec<f32>,
    scaled_x: Vec<f32>,
    logits: Vec<f32>,
    gradient: Vec<f32>,
}

/// The streams of one run's noise; step t takes its numbers at step t of each.
#[derive(Debug, Clone, Copy)]
pub struct Noise {
    w: Stream,
    v: Stream,
}

impl Noise {
    /// The noise of a seed. Arms of one seed share it, so that their difference is theirs alone.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let stream = |name: &str| Stream::new(seed, &format!("large-lr/theory/noise/{name}"), 0);
        Self { w: stream("w"), v: stream("v") }
    }
}

/// What a step saw before it moved.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Seen {
    /// The mean logistic loss.
    pub loss: f32,
    /// `g` on the three rays.
    pub g: [f32; 3],
}

impl Network {
    /// A network at its beginning: weights normal with deviation `tau` (of V, which holds `sqrt(copies)` times the weights,
    /// so much more), in mirrored pairs.
    ///
    /// # Errors
    /// Those of the engine.
    pub fn new(shape: Shape, tau: f32, seed: u64, context: &Context) -> Result<Self> {
        let (w, output_p) = mirrored(shape.d, shape.units_p, tau, "w", seed, context)?;
        let tau_q = (f64::from(tau) * (shape.copies as f64).sqrt()) as f32;
        let (v, output_q) = mirrored(2, shape.units_q, tau_q, "v", seed, context)?;
        let (z, zeta) = (shape.scale, shape.scale * shape.opening);
        Ok(Self {
            shape,
            noise: vec![0.0; w.len().max(v.len())],
            hidden_q: vec![0.0; 3 * shape.units_q],
            w,
            v,
            output_p,
            output_q,
            rays: [z, z, z, 0.0, zeta, -zeta],
            room: Room::default(),
        })
    }

    /// W (`[d, units_p]`) and `sqrt(copies)` V (`[2, units_q]`).
    #[must_use]
    pub fn weights(&self) -> [(&'static str, [usize; 2], &[f32]); 2] {
        let Shape { d, units_p, units_q, .. } = self.shape;
        [("w", [d, units_p], &self.w), ("v", [2, units_q], &self.v)]
    }

    /// Takes up other weights of the same shapes; gives false, and takes none, if they have others.
    #[must_use]
    pub fn set_weights(&mut self, w: &[f32], v: &[f32]) -> bool {
        let fit = w.len() == self.w.len() && v.len() == self.v.len();
        if fit {
            self.w.copy_from_slice(w);
            self.v.copy_from_slice(v);
        }
        fit
    }

    /// `r` for rows `x` (`[n, d]`), into `outputs`.
    ///
    /// # Errors
    /// Those of the engine.
    pub fn p_branch(&mut self, context: &Context, x: &[f32], outputs: &mut Vec<f32>) -> Result<()> {
        let mut hidden = std::mem::take(&mut self.room.hidden_p);
        let done = self.p_forward(context, x, &mut hidden, outputs);
        self.room.hidden_p = hidden;
        done
    }

    fn p_forward(&self, context: &Context, x: &[f32], hidden: &mut Vec<f32>, outputs: &mut Vec<f32>) -> Result<()> {
        let (d, units) = (self.shape.d, self.shape.units_p);
        let n = x.len() / d;
        hidden.resize(n * units, 0.0);
        outputs.resize(n, 0.0);
        let relu = Options { relu: true, ..Options::default() };
        let (x, w) = (MatRef::new(x, n, d)?, MatRef::new(&self.w, d, units)?);
        gemm(context, x, w, MatMut::new(hidden, n, units)?, &relu)?;
        let (hidden, a) = (MatRef::new(hidden, n, units)?, MatRef::new(&self.output_p, units, 1)?);
        gemm(context, hidden, a, MatMut::new(outputs, n, 1)?, &Options::default())
    }

    /// `g` on the three rays at unit `alpha`: `z`, `z + zeta`, `z - zeta`.
    ///
    /// # Errors
    /// Those of the engine.
    pub fn q_branch(&mut self, context: &Context) -> Result<[f32; 3]> {
        let units = self.shape.units_q;
        let relu = Options { relu: true, ..Options::default() };
        let (rays, v) = (MatRef::new(&self.rays, 2, 3)?.transposed(), MatRef::new(&self.v, 2, units)?);
        gemm(context, rays, v, MatMut::new(&mut self.hidden_q, 3, units)?, &relu)?;
        let mut g = [0.0; 3];
        for (g, hidden) in g.iter_mut().zip(self.hidden_q.chunks_exact(units)) {
            *g = reduce::dot(context, hidden, &self.output_q)?;
        }
        Ok(g)
    }

    /// The activation pattern of each Q unit: bit k tells whether it is active on ray k, as of the last
    /// [`q_branch`](Self::q_branch).
    pub fn patterns(&self, patterns: &mut Vec<u8>) {
        let units = self.shape.units_q;
        patterns.clear();
        let active = |j: usize, ray: usize| u8::from(self.hidden_q[ray * units + j] > 0.0) << ray;
        patterns.extend((0..units).map(|j| active(j, 0) | active(j, 1) | active(j, 2)));
    }

    /// The logits of `examples`, given `g`.
    ///
    /// # Errors
    /// Those of the engine.
    pub fn logits(&mut self, context: &Context, examples: &Examples, g: [f32; 3]) -> Result<&[f32]> {
        let mut outputs = std::mem::take(&mut self.room.outputs_p);
        self.p_branch(context, &examples.x, &mut outputs)?;
        self.room.logits.clear();
        for i in 0..examples.len() {
            let p = examples.row[i].map_or(0.0, |row| outputs[row]);
            let q = examples.ray[i].map_or(0.0, |ray| examples.alpha[i] * g[ray as usize]);
            self.room.logits.push(p + q);
        }
        self.room.outputs_p = outputs;
        Ok(&self.room.logits)
    }

    /// One step, the `t`-th; tells the loss before it.
    ///
    /// # Errors
    /// Those of the engine.
    pub fn step(&mut self, context: &Context, examples: &Examples, step: Step, noise: &Noise, t: u64) -> Result<Seen> {
        let g = if examples.has_q { self.q_branch(context)? } else { [0.0; 3] };
        self.logits(context, examples, g)?;
        let n = examples.total;
        self.room.gradient.resize(examples.len(), 0.0);
        let gradient = Gradient { d: &mut self.room.gradient, scale: 1.0 / n as f32 };
        let sum = logistic(context, &self.room.logits, &examples.label, Some(gradient), None)?;
        self.update_w(context, examples, step)?;
        add_noise(context, step, 1, &noise.w.at_step(t), &mut self.noise, &mut self.w)?;
        if examples.has_q {
            self.update_v(context, examples, step)?;
            add_noise(context, step, self.shape.copies, &noise.v.at_step(t), &mut self.noise, &mut self.v)?;
        }
        Ok(Seen { loss: sum.sum / n as f32, g })
    }

    fn update_w(&mut self, context: &Context, examples: &Examples, step: Step) -> Result<()> {
        let Shape { d, units_p: units, .. } = self.shape;
        let Room { hidden_p, masked_p, scaled_x, gradient, .. } = &mut self.room;
        let n = examples.x.len() / d;
        // a 1[W x > 0], row by row; then the gradient of each example goes into its x.
        masked_p.resize(n * units, 0.0);
        for (masked, hidden) in masked_p.chunks_exact_mut(units).zip(hidden_p.chunks_exact(units)) {
            for ((masked, &hidden), &a) in masked.iter_mut().zip(hidden).zip(&self.output_p) {
                *masked = if hidden > 0.0 { a } else { 0.0 };
            }
        }
        scaled_x.clear();
        for (row, &c) in examples.row.iter().zip(gradient.iter()) {
            if let Some(row) = row {
                scaled_x.extend(examples.x[row * d..][..d].iter().map(|&x| c * x));
            }
        }
        let x = MatRef::new(scaled_x, n, d)?.transposed();
        let options = Options { alpha: -step.size, beta: keep(step), ..Options::default() };
        gemm(context, x, MatRef::new(masked_p, n, units)?, MatMut::new(&mut self.w, d, units)?, &options)
    }

    fn update_v(&mut self, context: &Context, examples: &Examples, step: Step) -> Result<()> {
        let units = self.shape.units_q;
        let mut on_ray = [0.0f64; 3];
        for ((ray, &alpha), &c) in examples.ray.iter().zip(&examples.alpha).zip(&self.room.gradient) {
            if let Some(ray) = ray {
                on_ray[*ray as usize] += f64::from(c) * f64::from(alpha);
            }
        }
        for hidden in self.hidden_q.chunks_exact_mut(units) {
            for (hidden, &a) in hidden.iter_mut().zip(&self.output_q) {
                *hidden = if *hidden > 0.0 { a } else { 0.0 };
            }
        }
        let mut rays = self.rays;
        for (x, c) in rays.iter_mut().zip(on_ray.iter().cycle()) {
            *x = (c * f64::from(*x)) as f32;
        }
        let options = Options { alpha: -step.size, beta: keep(step), ..Options::default() };
        let (rays, masked) = (MatRef::new(&rays, 2, 3)?, MatRef::new(&self.hidden_q, 3, units)?);
        gemm(context, rays, masked, MatMut::new(&mut self.v, 2, units)?, &options)
    }

    /// The gradient of each example in the last [`step`](Self::step): `-y sigmoid(-y f) / n`.
    #[cfg(test)]
    pub(super) fn gradient(&self) -> &[f32] {
        &self.room.gradient
    }
}

/// What remains of the weights before the gradient: `1 - step lambda`.
fn keep(step: Step) -> f32 {
    1.0 - step.size * step.weight_decay
}

/// `weights += sqrt(step temperature copies) normal`.
fn add_noise(
    context: &Context,
    step: Step,
    copies: usize,
    stream: &Stream,
    noise: &mut [f32],
    weights: &mut [f32],
) -> Result<()> {
    let std = (f64::from(step.size) * f64::from(step.temperature) * copies as f64).sqrt() as f32;
    if std == 0.0 {
        return Ok(());
    }
    let noise = &mut noise[..weights.len()];
    stream.fill_normal(context, 0, noise, 0.0, std)?;
    elementwise::add_assign(context, noise, weights)
}

/// Weights `[rows, units]` and outputs of a branch: unit `j` and unit `j + units / 2` start alike, with opposite outputs.
fn mirrored(
    rows: usize,
    units: usize,
    tau: f32,
    name: &str,
    seed: u64,
    context: &Context,
) -> Result<(Vec<f32>, Vec<f32>)> {
    let half = units / 2;
    let mut drawn = vec![0.0; rows * half];
    Stream::new(seed, &format!("large-lr/theory/init/{name}"), 0).fill_normal(context, 0, &mut drawn, 0.0, tau)?;
    let weights = drawn.chunks_exact(half).flat_map(|row| [row, row]).flatten().copied().collect();
    let a = (1.0 / ((2 * units) as f64).sqrt()) as f32;
    Ok((weights, [vec![a; half], vec![-a; half]].concat()))
}

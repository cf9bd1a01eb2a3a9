//! Whole networks, composed of the scalar twins in [`regularity_engine::reference`], generic over `f32` and `f64`.
//!
//! Everything is written out here once more, from the published descriptions and without a look at memory or speed; the
//! engine's networks must equal it bit for bit in `f32`, and it must have the right gradients in `f64`.

use std::cell::Cell;
use std::collections::HashMap;

use regularity_engine::kernels::conv::Geometry;
use regularity_engine::layers::NormKind;
use regularity_engine::params::Table;
use regularity_engine::random::Stream;
use regularity_engine::reference::elementary::Elementary;
use regularity_engine::reference::loss::{Targets, batch, softmax_cross_entropy};
use regularity_engine::reference::norm::{self, Channel, Moments, Residual};
use regularity_engine::reference::reduce::tree;
use regularity_engine::reference::{conv, conv_weight, pool};
use regularity_engine::simd::Real;
use regularity_engine::tensor::{MatMut, MatRef};

/// The settings of a step.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    pub norm: NormKind,
    pub seed: u64,
    pub step: u64,
    /// Standard deviation of the noise of a wide residual network.
    pub noise: f32,
}

/// A network in the middle of a step.
pub struct Twin<'a, T> {
    pub table: &'a Table,
    pub setting: Setting,
    pub values: Vec<T>,
    pub gradients: Vec<T>,
    /// The activations of a residual network's stem and blocks.
    pub activations: Vec<Vec<T>>,
    /// For each output of a convolution by name: what its elements are multiplied by in a term of the loss, their sum.
    pub taps: HashMap<String, Vec<T>>,
    /// The value of that term.
    pub tapped: Cell<f64>,
    n: usize,
}

/// A tensor of images: elements, height and width, channels.
#[derive(Debug, Clone)]
pub struct Images<T> {
    pub x: Vec<T>,
    pub h: usize,
    pub w: usize,
    pub c: usize,
}

/// What a normalisation remembers.
struct Normalised<T> {
    name: String,
    x: Images<T>,
    /// Of each example and channel.
    coefficients: Vec<[T; 3]>,
    channels: Vec<Channel>,
    /// Mean and `1 / sqrt(var + eps)` of each example and group.
    groups: Vec<[f64; 2]>,
}

const EPS: f64 = 1e-5;

impl<T> Normalised<T>
where
    T: Real,
{
    fn of(&self) -> impl Fn(usize, usize) -> [T; 3] {
        let c = self.x.c;
        move |example, channel| self.coefficients[example * c + channel]
    }
}

impl<'a, T: Elementary> Twin<'a, T> {
    /// The network with these parameters.
    pub fn new(table: &'a Table, setting: Setting, values: &[f32]) -> Self {
        let values = values.iter().map(|&x| T::from_f64(f64::from(x))).collect();
        Self {
            table,
            setting,
            values,
            gradients: vec![T::ZERO; table.trained_len()],
            activations: Vec::new(),
            taps: HashMap::new(),
            tapped: Cell::new(0.0),
            n: 0,
        }
    }

    fn range(&self, name: &str) -> std::ops::Range<usize> {
        self.table.range(self.table.find(name).unwrap_or_else(|| panic!("no tensor {name}")))
    }
    fn get(&self, name: &str) -> Vec<T> {
        self.values[self.range(name)].to_vec()
    }
    fn set_gradient(&mut self, name: &str, d: &[T]) {
        let range = self.range(name);
        self.gradients[range].copy_from_slice(d);
    }

    fn geometry(&self, name: &str, x: &Images<T>, stride: usize) -> Geometry {
        let entry = self.table.entry(self.table.find(&format!("{name}.weight")).unwrap());
        let [c_out, c_in, kernel, _] = entry.shape().try_into().unwrap();
        assert_eq!(c_in, x.c);
        Geometry::same(x.h, x.w, c_in, c_out, kernel, stride).unwrap()
    }

    fn conv(&self, name: &str, stride: usize, x: &Images<T>) -> Images<T> {
        let g = self.geometry(name, x, stride);
        let mut y = vec![T::ZERO; self.n * g.output_len()];
        let bias = self.table.find(&format!("{name}.bias")).map(|id| &self.values[self.table.range(id)]);
        conv::forward(&g, self.n, &x.x, &self.get(&format!("{name}.weight")), bias, &mut y);
        if let Some(tap) = self.taps.get(name) {
            let term: f64 = tap.iter().zip(&y).map(|(&tap, &y)| tap.to_f64() * y.to_f64()).sum();
            self.tapped.set(self.tapped.get() + term);
        }
        Images { x: y, h: g.out_h(), w: g.out_w(), c: g.c_out }
    }

    /// The gradient of a convolution's input; its weight's is noted.
    fn conv_backward(&mut self, name: &str, stride: usize, x: &Images<T>, d_y: &[T]) -> Vec<T> {
        let g = self.geometry(name, x, stride);
        let tapped: Vec<T>;
        let mut d_y = d_y;
        if let Some(tap) = self.taps.get(name) {
            tapped = d_y.iter().zip(tap).map(|(&d, &tap)| d + tap).collect();
            d_y = &tapped;
        }
        let (mut d_w, mut d_b) = (vec![T::ZERO; g.weight_len()], vec![T::ZERO; g.c_out]);
        conv_weight::backward_weight(&g, self.n, &x.x, d_y, &mut d_w, &mut d_b);
        self.set_gradient(&format!("{name}.weight"), &d_w);
        if self.table.find(&format!("{name}.bias")).is_some() {
            self.set_gradient(&format!("{name}.bias"), &d_b);
        }
        let mut d_x = vec![T::ZERO; self.n * g.input_len()];
        conv::backward_data(&g, self.n, d_y, &self.get(&format!("{name}.weight")), &mut d_x);
        d_x
    }

    /// Statistics, coefficients and running statistics.
    fn norm(&mut self, name: &str, x: Images<T>) -> Normalised<T> {
        let (n, c) = (self.n, x.c);
        let (gamma, beta) = (self.get(&format!("{name}.weight")), self.get(&format!("{name}.bias")));
        let example = x.x.len() / n;
        let mut state = Normalised {
            name: name.to_owned(),
            x,
            coefficients: vec![[T::ZERO; 3]; n * c],
            channels: Vec::new(),
            groups: Vec::new(),
        };
        if let NormKind::Group(groups) = self.setting.norm {
            let width = c / groups;
            for i in 0..n {
                for group in 0..groups {
                    let x = &state.x.x[i * example..][..example];
                    let m = norm::group_moments(x, c, group * width..(group + 1) * width);
                    state.groups.push([m.mean, m.invstd(EPS)]);
                    let channel =
                        Channel { weight: 1.0, batch_mean: m.mean, batch_invstd: m.invstd(EPS), ..Channel::default() };
                    for j in group * width..(group + 1) * width {
                        state.coefficients[i * c + j] = channel.forward(gamma[j], beta[j]);
                    }
                }
            }
            return state;
        }
        let stream = Stream::new(self.setting.seed, &format!("stoch_norm/{name}"), self.setting.step);
        let (means, vars) = (self.range(&format!("{name}.running_mean")), self.range(&format!("{name}.running_var")));
        for j in 0..c {
            let m: Moments = norm::batch_moments(&state.x.x, n, c, j);
            let (mean, var) = (self.values[means.start + j], self.values[vars.start + j]);
            let weight = match self.setting.norm {
                NormKind::Stochastic(p) => f64::from(stream.bernoulli_at(j as u64, p).unwrap()),
                NormKind::StochasticByLayer(p) => f64::from(stream.bernoulli_at(0, p).unwrap()),
                NormKind::Mixed(p) => p,
                NormKind::Moving | NormKind::Frozen => 0.0,
                NormKind::Batch | NormKind::Group(_) => 1.0,
            };
            let channel = Channel {
                weight,
                batch_mean: m.mean,
                batch_invstd: m.invstd(EPS),
                moving_mean: mean.to_f64(),
                moving_invstd: norm::invstd(var.to_f64(), EPS),
            };
            if self.setting.norm != NormKind::Frozen {
                let (mut mean, mut var) = (mean, var);
                norm::update_running(&mut mean, &mut var, m, 0.1);
                (self.values[means.start + j], self.values[vars.start + j]) = (mean, var);
            }
            let row = channel.forward(gamma[j], beta[j]);
            (0..n).for_each(|i| state.coefficients[i * c + j] = row);
            state.channels.push(channel);
        }
        state
    }

    /// The pre-activation.
    fn z(&self, state: &Normalised<T>, residual: &Residual<'_, T>, noise: Option<&[T]>) -> Images<T> {
        let Images { h, w, c, .. } = state.x;
        let z = norm::pre_activation([self.n, h * w, c], &state.x.x, &state.of(), residual, noise);
        Images { x: z, h, w, c }
    }

    fn norm_backward(&mut self, state: &Normalised<T>, d_z: &[T]) -> Vec<T> {
        let (n, c) = (self.n, state.x.c);
        let (example, gamma) = (d_z.len() / n, self.get(&format!("{}.weight", state.name)));
        let mut slopes = vec![[T::ZERO; 3]; n * c];
        let (mut d_gamma, mut d_beta) = (vec![T::ZERO; c], vec![T::ZERO; c]);
        if let NormKind::Group(groups) = self.setting.norm {
            let width = c / groups;
            let mut parts = vec![(0.0, 0.0); n * c];
            for i in 0..n {
                for group in 0..groups {
                    let channels = group * width..(group + 1) * width;
                    let part = |x: &'_ [T]| x[i * example..][..example].to_vec();
                    let (x, d) = (part(&state.x.x), part(d_z));
                    let center = state.coefficients[i * c + channels.start][0];
                    let sums: Vec<_> = channels.clone().map(|j| norm::example_sums(&x, &d, c, j, center)).collect();
                    let count = (example / c * width) as f64;
                    let statistics = state.groups[i * groups + group];
                    let rows = norm::group_backward(statistics, center, &gamma[channels.clone()], &sums, count);
                    for (j, (slope, part)) in channels.zip(rows) {
                        slopes[i * c + j] = slope;
                        parts[i * c + j] = part;
                    }
                }
            }
            for j in 0..c {
                let (a, b) = tree(n, &|i| parts[i * c + j], &|a: (f64, f64), b: (f64, f64)| (a.0 + b.0, a.1 + b.1));
                (d_gamma[j], d_beta[j]) = (T::from_f64(0.0 + a), T::from_f64(0.0 + b));
            }
        } else {
            for j in 0..c {
                let center = state.coefficients[j][0];
                let (s, t) = norm::batch_sums(&state.x.x, d_z, n, c, j, center);
                let g = state.channels[j].backward(gamma[j], center, s, t, (d_z.len() / c) as f64);
                (d_gamma[j], d_beta[j]) = (g.d_gamma, g.d_beta);
                (0..n).for_each(|i| slopes[i * c + j] = [g.scale, g.p, g.q]);
            }
        }
        self.set_gradient(&format!("{}.weight", state.name), &d_gamma);
        self.set_gradient(&format!("{}.bias", state.name), &d_beta);
        let place = |i: usize| i / example * c + i % c;
        (0..d_z.len())
            .map(|i| norm::d_x(state.x.x[i], d_z[i], state.coefficients[place(i)][0], slopes[place(i)]))
            .collect()
    }

    /// The mean over pixels, the linear layer, the loss and its gradient down to the images before the mean. Gives the
    /// logits, the mean loss and that gradient.
    fn head(&mut self, name: &str, a: &Images<T>, labels: &[u32]) -> (Vec<T>, T, Vec<T>) {
        let (n, example) = (self.n, a.x.len() / self.n);
        let mean: Vec<T> =
            (0..n).flat_map(|i| pool::global_average_forward(&a.x[i * example..][..example], a.c)).collect();
        let weight = self.get(&format!("{name}.weight"));
        let (bias, k) = (self.get(&format!("{name}.bias")), self.get(&format!("{name}.bias")).len());
        let g = Geometry::same(1, 1, a.c, k, 1, 1).unwrap();
        let mut logits = vec![T::ZERO; n * k];
        conv::forward(&g, n, &mean, &weight, Some(&bias), &mut logits);
        let (mut losses, mut d) = (vec![T::ZERO; n], vec![T::ZERO; n * k]);
        let scale = T::from_f64(f64::from(1.0 / n as f32));
        softmax_cross_entropy(
            MatRef::new(&logits, n, k).unwrap(),
            Targets::Hard(labels),
            scale,
            &mut losses,
            MatMut::new(&mut d, n, k).unwrap(),
        );
        let (mut d_w, mut d_b) = (vec![T::ZERO; weight.len()], vec![T::ZERO; k]);
        conv_weight::backward_weight(&g, n, &mean, &d, &mut d_w, &mut d_b);
        self.set_gradient(&format!("{name}.weight"), &d_w);
        self.set_gradient(&format!("{name}.bias"), &d_b);
        let mut d_mean = vec![T::ZERO; n * a.c];
        conv::backward_data(&g, n, &d, &weight, &mut d_mean);
        let pixels = a.h * a.w;
        let d_a = d_mean.chunks(a.c).flat_map(|d| pool::global_average_backward(d, pixels)).collect();
        (logits, batch(&losses) * scale, d_a)
    }

    /// A post-activation residual network of basic blocks, `stages` of them; gives the logits and the mean loss, and
    /// leaves all gradients.
    pub fn resnet(&mut self, stages: &[usize], images: &Images<f32>, labels: &[u32]) -> (Vec<T>, T) {
        self.n = labels.len();
        let mut x = self.convert(images);
        struct Done<T> {
            names: Vec<String>,
            stride: usize,
            x: Images<T>,
            states: Vec<Normalised<T>>,
            activations: Vec<Images<T>>,
            z: Images<T>,
        }
        let mut done: Vec<Done<T>> = Vec::new();
        let stem = self.conv("conv1", 1, &x);
        let stem = self.norm("bn1", stem);
        let z = self.z(&stem, &Residual::None, None);
        let images = std::mem::replace(&mut x, relu(&z));
        let stem = Done { names: vec![], stride: 1, x: images, states: vec![stem], activations: vec![], z };
        for (stage, &count) in stages.iter().enumerate() {
            for i in 0..count {
                let prefix = format!("layer{}.{i}", stage + 1);
                let stride = if stage > 0 && i == 0 { 2 } else { 1 };
                let y = self.conv(&format!("{prefix}.conv1"), stride, &x);
                let first = self.norm(&format!("{prefix}.bn1"), y);
                let a = relu(&self.z(&first, &Residual::None, None));
                let y = self.conv(&format!("{prefix}.conv2"), 1, &a);
                let second = self.norm(&format!("{prefix}.bn2"), y);
                let mut states = vec![first, second];
                let z = if stride == 2 || x.c != states[1].x.c {
                    let y = self.conv(&format!("{prefix}.downsample.0"), stride, &x);
                    let projected = self.norm(&format!("{prefix}.downsample.1"), y);
                    let z = self.z(&states[1], &Residual::Normalised(&projected.x.x, &projected.of()), None);
                    states.push(projected);
                    z
                } else {
                    self.z(&states[1], &Residual::Plain(&x.x), None)
                };
                let x_before = std::mem::replace(&mut x, relu(&z));
                let names = ["conv1", "conv2", "downsample.0"].map(|name| format!("{prefix}.{name}")).to_vec();
                done.push(Done { names, stride, x: x_before, states, activations: vec![a], z });
            }
        }
        self.activations = [&stem].into_iter().chain(&done).map(|block| relu(&block.z).x).collect();
        let (logits, loss, mut d) = self.head("fc", &x, labels);
        for block in done.iter().rev() {
            let d_z = norm::gate(&block.z.x, &d);
            let mut shortcut = d_z.clone();
            if let Some(projected) = block.states.get(2) {
                let d_y = self.norm_backward(projected, &d_z);
                shortcut = self.conv_backward(&block.names[2], block.stride, &block.x, &d_y);
            }
            let d_y = self.norm_backward(&block.states[1], &d_z);
            let d_a = self.conv_backward(&block.names[1], 1, &block.activations[0], &d_y);
            let z = self.z(&block.states[0], &Residual::None, None);
            let d_y = self.norm_backward(&block.states[0], &norm::gate(&z.x, &d_a));
            let d_x = self.conv_backward(&block.names[0], block.stride, &block.x, &d_y);
            d = d_x.iter().zip(&shortcut).map(|(&a, &b)| a + b).collect();
        }
        let d_y = self.norm_backward(&stem.states[0], &norm::gate(&stem.z.x, &d));
        self.conv_backward("conv1", 1, &stem.x, &d_y);
        (logits, loss)
    }

    /// A plain network of convolutions with these strides.
    pub fn convnet(&mut self, strides: &[usize], images: &Images<f32>, labels: &[u32]) -> (Vec<T>, T) {
        self.n = labels.len();
        let mut activations = vec![self.convert(images)];
        for (i, &stride) in strides.iter().enumerate() {
            let y = self.conv(&format!("convs.{i}"), stride, &activations[i]);
            activations.push(relu(&y));
        }
        let (logits, loss, mut d) = self.head("fc", &activations[strides.len()], labels);
        for (i, &stride) in strides.iter().enumerate().rev() {
            let d_y = norm::gate(&activations[i + 1].x, &d);
            d = self.conv_backward(&format!("convs.{i}"), stride, &activations[i], &d_y);
        }
        (logits, loss)
    }

    /// A wide residual network with `blocks` blocks in each group.
    pub fn wide_resnet(&mut self, blocks: usize, images: &Images<f32>, labels: &[u32]) -> (Vec<T>, T) {
        self.n = labels.len();
        let images = self.convert(images);
        struct Done<T> {
            prefix: String,
            stride: usize,
            states: [Normalised<T>; 2],
            z: [Images<T>; 2],
            projected: bool,
        }
        let mut x = self.conv("conv1", 1, &images);
        let mut done: Vec<Done<T>> = Vec::new();
        for group in 0..3 {
            for i in 0..blocks {
                let prefix = format!("layer{}.{i}", group + 1);
                let stride = if group > 0 && i == 0 { 2 } else { 1 };
                let first = self.norm(&format!("{prefix}.bn1"), x.clone());
                let noise = self.noise(&format!("{prefix}.bn1"), &x);
                let z1 = self.z(&first, &Residual::None, noise.as_deref());
                let h = relu(&z1);
                let y = self.conv(&format!("{prefix}.conv1"), stride, &h);
                let second = self.norm(&format!("{prefix}.bn2"), y.clone());
                let noise = self.noise(&format!("{prefix}.bn2"), &y);
                let z2 = self.z(&second, &Residual::None, noise.as_deref());
                let mut out = self.conv(&format!("{prefix}.conv2"), 1, &relu(&z2));
                let projected = self.table.find(&format!("{prefix}.downsample.0.weight")).is_some();
                let shortcut = if projected { self.conv(&format!("{prefix}.downsample.0"), stride, &h) } else { x };
                out.x.iter_mut().zip(&shortcut.x).for_each(|(y, &s)| *y = *y + s);
                x = out;
                done.push(Done { prefix, stride, states: [first, second], z: [z1, z2], projected });
            }
        }
        let last = self.norm("bn1", x.clone());
        let noise = self.noise("bn1", &x);
        let z = self.z(&last, &Residual::None, noise.as_deref());
        let (logits, loss, d) = self.head("fc", &relu(&z), labels);
        let mut d = self.norm_backward(&last, &norm::gate(&z.x, &d));
        for block in done.iter().rev() {
            let prefix = &block.prefix;
            let d_a = self.conv_backward(&format!("{prefix}.conv2"), 1, &relu(&block.z[1]), &d);
            let d_y = self.norm_backward(&block.states[1], &norm::gate(&block.z[1].x, &d_a));
            let h = relu(&block.z[0]);
            let mut d_h = self.conv_backward(&format!("{prefix}.conv1"), block.stride, &h, &d_y);
            if block.projected {
                let d_p = self.conv_backward(&format!("{prefix}.downsample.0"), block.stride, &h, &d);
                d_h.iter_mut().zip(&d_p).for_each(|(d, &p)| *d = *d + p);
            }
            let d_x = self.norm_backward(&block.states[0], &norm::gate(&block.z[0].x, &d_h));
            d = if block.projected { d_x } else { d_x.iter().zip(&d).map(|(&a, &b)| a + b).collect() };
        }
        self.conv_backward("conv1", 1, &images, &d);
        (logits, loss)
    }

    fn noise(&self, name: &str, x: &Images<T>) -> Option<Vec<T>> {
        if self.setting.noise == 0.0 {
            return None;
        }
        let context = regularity_engine::Context::new(regularity_engine::Isa::Portable, 1).unwrap();
        let stream = Stream::new(self.setting.seed, &format!("noise/{name}"), self.setting.step);
        let mut map = vec![0.0f32; x.h * x.w];
        stream.fill_normal(&context, 0, &mut map, 0.0, self.setting.noise).unwrap();
        Some(map.iter().map(|&x| T::from_f64(f64::from(x))).collect())
    }

    fn convert(&self, images: &Images<f32>) -> Images<T> {
        let x = images.x.iter().map(|&x| T::from_f64(f64::from(x))).collect();
        Images { x, h: images.h, w: images.w, c: images.c }
    }
}

fn relu<T: Real>(z: &Images<T>) -> Images<T> {
    Images { x: norm::relu(&z.x), h: z.h, w: z.w, c: z.c }
}

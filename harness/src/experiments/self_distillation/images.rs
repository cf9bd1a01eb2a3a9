//! Kernel matrices of images.
//!
//! Pixels from 0 to 1, minus the mean training image, each image scaled to a unit vector. Then all that a kernel sees of
//! two images is the cosine u of their angle:
//!
//! ```text
//! Gaussian    exp(-gamma |x - x'|^2), gamma = 1 / median of |x - x'|^2 over 1000 pairs of training images
//! NTK         of a ReLU network with two hidden layers, infinitely wide:
//!             Sigma_0 = Theta_0 = u,  Sigma_l = k1(Sigma_(l-1)),  Theta_l = Sigma_l + Theta_(l-1) k0(Sigma_(l-1)),
//!             k0(u) = (pi - arccos u) / pi,  k1(u) = (u (pi - arccos u) + sqrt(1 - u^2)) / pi
//! ```
//! (A. Jacot, F. Gabriel and C. Hongler, 2018, with the arc-cosine kernels of Y. Cho and L. Saul, 2009.)

use regularity_engine::simd::Real;
use std::f64::consts::PI;

use regularity_engine::Context;
use regularity_engine::kernels::gemm::{Options, gemm};
use regularity_engine::math::scalar;
use regularity_engine::random::Stream;
use regularity_engine::tensor::{MatMut, MatRef};

use super::refusal::{Refusal, Result};

/// Pairs of images whose median distance sets the width of the Gaussian kernel.
const PAIRS: u64 = 1000;
/// Hidden layers of the network behind the NTK.
const HIDDEN_LAYERS: usize = 2;

/// A kernel of images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImageKernel {
    /// A Gaussian of the distance.
    Gaussian,
    /// The neural tangent kernel of a ReLU network with two hidden layers.
    Ntk,
}

impl ImageKernel {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Gaussian, Self::Ntk];

    /// The name in arms and figures.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gaussian => "rbf",
            Self::Ntk => "ntk",
        }
    }
}

/// Images as unit vectors.
#[derive(Debug)]
pub struct Vectors {
    /// An image a row.
    data: Vec<f64>,
    /// The number of images.
    pub count: usize,
    /// Values of an image.
    pub length: usize,
}

/// Training and test images as unit vectors; the mean of the training images is taken from both.
///
/// Shapes: `length` bytes an image, one image after another.
///
/// # Errors
/// [`Refusal::Duplicate`] for two training images that are the same; [`Refusal::Input`] for one that equals the mean image.
pub fn vectors(train: &[u8], test: &[u8], length: usize) -> Result<(Vectors, Vectors)> {
    check_duplicates(train, length)?;
    let count = train.len() / length.max(1);
    // Exact: bytes are summed as integers.
    let mut sums = vec![0u64; length];
    for image in train.chunks_exact(length.max(1)) {
        sums.iter_mut().zip(image).for_each(|(sum, &pixel)| *sum += u64::from(pixel));
    }
    let mean: Vec<f64> = sums.iter().map(|&sum| sum as f64 / (255.0 * count as f64)).collect();
    Ok((unit(train, &mean)?, unit(test, &mean)?))
}

fn unit(pixels: &[u8], mean: &[f64]) -> Result<Vectors> {
    let length = mean.len();
    let mut data = Vec::with_capacity(pixels.len());
    for image in pixels.chunks_exact(length.max(1)) {
        let start = data.len();
        data.extend(image.iter().zip(mean).map(|(&pixel, mean)| f64::from(pixel) / 255.0 - mean));
        let row = &mut data[start..];
        let norm = row.iter().map(|x| x * x).sum::<f64>().sqrt();
        if norm == 0.0 {
            let (what, requirement) = ("the distance of an image from the mean image", "above zero");
            return Err(Refusal::Input { what, requirement, actual: norm });
        }
        row.iter_mut().for_each(|x| *x /= norm);
    }
    Ok(Vectors { count: pixels.len() / length.max(1), length, data })
}

/// Two images that are the same make the kernel matrix singular.
fn check_duplicates(pixels: &[u8], length: usize) -> Result<()> {
    let image = |i: usize| &pixels[i * length..(i + 1) * length];
    let mut order: Vec<usize> = (0..pixels.len() / length.max(1)).collect();
    order.sort_by(|&i, &j| image(i).cmp(image(j)).then(i.cmp(&j)));
    match order.windows(2).find(|pair| image(pair[0]) == image(pair[1])) {
        Some(pair) => Err(Refusal::Duplicate { first: pair[0], second: pair[1] }),
        None => Ok(()),
    }
}

impl Vectors {
    /// Cosines of all images of `self` with all of `other`: count x other.count.
    fn cosines(&self, context: &Context, other: &Self) -> Result<Vec<f64>> {
        let mut out = vec![0.0; self.count * other.count];
        let (a, b) = (self.view()?, other.view()?.transposed());
        gemm(context, a, b, MatMut::new(&mut out, self.count, other.count)?, &Options::default())?;
        Ok(out)
    }

    fn view(&self) -> Result<MatRef<'_, f64>> {
        Ok(MatRef::new(&self.data, self.count, self.length)?)
    }

    fn distance(&self, i: usize, j: usize) -> f64 {
        let row = |i: usize| &self.data[i * self.length..(i + 1) * self.length];
        row(i).iter().zip(row(j)).map(|(x, y)| (x - y) * (x - y)).sum()
    }
}

/// The median squared distance over a thousand pairs of different images.
///
/// # Errors
/// [`Refusal::Input`] for fewer than two images.
pub fn median_distance(vectors: &Vectors, seed: u64) -> Result<f64> {
    let n = vectors.count as u64;
    if n < 2 {
        let (what, requirement) = ("the number of training images", "at least 2");
        return Err(Refusal::Input { what, requirement, actual: n as f64 });
    }
    let draw = |what: &str| Stream::new(seed, &format!("self-distillation/pairs/{what}"), 0);
    let (first, second) = (draw("first"), draw("second"));
    let mut distances: Vec<f64> = (0..PAIRS)
        .map(|p| {
            let i = first.below_at(p, n);
            // Another image: one of those that are left.
            let j = (i + 1 + second.below_at(p, n - 1)) % n;
            vectors.distance(i as usize, j as usize)
        })
        .collect();
    distances.sort_by(f64::total_cmp);
    let middle = distances.len() / 2;
    Ok(0.5 * (distances[middle - 1] + distances[middle]))
}

/// A kernel with its width.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Fixed {
    /// A Gaussian with this gamma.
    Gaussian(f64),
    /// The NTK.
    Ntk,
}

impl Fixed {
    /// The kernel of two unit vectors with cosine `u`.
    #[must_use]
    pub fn of_cosine(self, u: f64) -> f64 {
        // Rounding may leave the interval.
        let u = (-1.0f64).max_select(1.0f64.min_select(u));
        match self {
            // |x - x'|^2 = 2 - 2 u
            Self::Gaussian(gamma) => scalar::exp(-gamma * (2.0 - 2.0 * u)),
            Self::Ntk => {
                let (mut sigma, mut theta) = (u, u);
                for _ in 0..HIDDEN_LAYERS {
                    let angle = PI - scalar::acos(sigma);
                    let next = (sigma * angle + (1.0 - sigma * sigma).sqrt()) / PI;
                    theta = next + theta * (angle / PI);
                    sigma = if next > 1.0 { 1.0 } else { next };
                }
                theta
            }
        }
    }

    /// The kernel matrix of the training images, divided by their number: `G`, count x count and exactly symmetric.
    ///
    /// # Errors
    /// Those of the engine.
    pub fn matrix(self, context: &Context, train: &Vectors) -> Result<Vec<f64>> {
        let n = train.count;
        let mut g = train.cosines(context, train)?;
        for i in 0..n {
            for j in i..n {
                // The same chain of the same products on both sides of the diagonal.
                let u = if i == j { 1.0 } else { g[i * n + j] };
                let value = self.of_cosine(u) / n as f64;
                (g[i * n + j], g[j * n + i]) = (value, value);
            }
        }
        Ok(g)
    }

    /// Kernel values of test images with the training images, divided by the number of the latter: test x train.
    ///
    /// # Errors
    /// Those of the engine.
    pub fn rows(self, context: &Context, test: &Vectors, train: &Vectors) -> Result<Vec<f64>> {
        let mut g = test.cosines(context, train)?;
        g.iter_mut().for_each(|u| *u = self.of_cosine(*u) / train.count as f64);
        Ok(g)
    }
}

/// Labels of which each was drawn anew, uniformly over all classes, with probability `share`.
///
/// # Errors
/// [`Refusal::Engine`] unless the share is from 0 to 1.
pub fn noisy_labels(labels: &[u8], classes: usize, share: f64, seed: u64) -> Result<Vec<u8>> {
    let whether = Stream::new(seed, "self-distillation/noise", 0);
    let which = Stream::new(seed, "self-distillation/noise/class", 0);
    let draw = |(i, &label): (usize, &u8)| {
        let noisy = whether.bernoulli_at(i as u64, share)?;
        Ok(if noisy { which.below_at(i as u64, classes as u64) as u8 } else { label })
    };
    labels.iter().enumerate().map(draw).collect()
}

/// One-hot targets minus their mean 1/Q (labels x classes): a collapse then means "no preference".
#[must_use]
pub fn centred_targets(labels: &[u8], classes: usize) -> Vec<f64> {
    let off = 1.0 / classes as f64;
    let row = |&label: &u8| (0..classes).map(move |q| if usize::from(label) == q { 1.0 - off } else { -off });
    labels.iter().flat_map(row).collect()
}

/// The share of rows whose largest entry, the first of equals, stands at the label.
#[must_use]
pub fn accuracy(outputs: &[f64], labels: &[u8], classes: usize) -> f64 {
    let best = |row: &[f64]| (1..row.len()).fold(0, |best, q| if row[q] > row[best] { q } else { best });
    let rows = outputs.chunks_exact(classes.max(1)).zip(labels);
    let right = rows.filter(|(row, label)| best(row) == usize::from(**label)).count();
    right as f64 / labels.len().max(1) as f64
}

//! Images made by a procedure: ten classes of coloured, textured, deformed shapes.
//!
//! They stand in for photographs where nothing can be downloaded. A class is a shape; everything else is nuisance: place,
//! size, turn, shear, a wavy deformation, colours, textures on shape and background, smaller shapes of other classes in
//! between, light, noise. Colours and textures are weak cues besides, as grass is for deer: each class has favourites.
//! So a class has to be learned from many examples; the test `ten_times_the_images_are_learned_clearly_better` measures
//! that, beside CIFAR-10 where it is at hand (a perceptron with 128 hidden units, 16 x 16 pixels, 1500 steps; a prototype of
//! it had 19.9, 27.6 and 36.4 % of the test images right from 600, 2000 and 6000 images, and on CIFAR-10 30.0, 36.4 and
//! 43.4 %).
//!
//! # Determinism
//! Image `i` of a split is a pure function of the settings, the split and `i`: its parameters are the draws of the stream
//! (seed, `data/procedural/<split>`, step `i`) at the places that `Draws` names, its noise the bytes of
//! (seed, `data/procedural/<split>/noise`, step `i`). The rest is `+ - * /`, square roots, comparisons and rounding to
//! integers, in `f64`; where a sine would be usual there is a parabola (`wave`). Classes take turns:
//! the label of image `i` is `i mod 10`.

mod paint;
mod shapes;

use std::sync::Mutex;

use regularity_engine::Context;
use regularity_engine::random::Stream;

use super::error::{DataError, Result};
use super::{Images, Shape, Source, Split};

/// Classes; each is a shape.
const CLASSES: [&str; 10] =
    ["disc", "ring", "square", "triangle", "cross", "crescent", "star", "arrow", "bars", "hourglass"];

/// How much each nuisance varies: 0 not at all, 1 as much as the default. Values up to 2 make sense.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Nuisance {
    /// Place of the shape.
    pub position: f64,
    /// Size of the shape.
    pub scale: f64,
    /// Turn and shear.
    pub rotation: f64,
    /// Waves in the outline.
    pub deformation: f64,
    /// Contrast of the textures, on the shape and behind it.
    pub texture: f64,
    /// Size of the smaller shapes of other classes.
    pub clutter: f64,
    /// How far the light falls off across the image.
    pub light: f64,
    /// Noise of each pixel.
    pub noise: f64,
    /// How often colours and textures are drawn without regard to the class. At 0 the class can be told from them; from 2
    /// on they say nothing.
    pub palette: f64,
}

impl Nuisance {
    /// All nuisances at the same level.
    #[must_use]
    pub const fn level(level: f64) -> Self {
        Self {
            position: level,
            scale: level,
            rotation: level,
            deformation: level,
            texture: level,
            clutter: level,
            light: level,
            noise: level,
            palette: level,
        }
    }

    const fn named(&self) -> [(&'static str, f64); 9] {
        [
            ("the nuisance `position`", self.position),
            ("the nuisance `scale`", self.scale),
            ("the nuisance `rotation`", self.rotation),
            ("the nuisance `deformation`", self.deformation),
            ("the nuisance `texture`", self.texture),
            ("the nuisance `clutter`", self.clutter),
            ("the nuisance `light`", self.light),
            ("the nuisance `noise`", self.noise),
            ("the nuisance `palette`", self.palette),
        ]
    }
}

impl Default for Nuisance {
    fn default() -> Self {
        Self::level(1.0)
    }
}

/// The procedural data set. Another seed is another data set of the same kind.
#[derive(Debug, Clone, PartialEq)]
pub struct Procedural {
    size: usize,
    train: usize,
    test: usize,
    nuisance: Nuisance,
    seed: u64,
}

impl Procedural {
    /// `train` and `test` colour images of `size` by `size` pixels.
    ///
    /// # Errors
    /// [`DataError::Request`] unless the size is from 4 to 256, the numbers are at most 10^7, and every nuisance is from 0
    /// to 4.
    pub fn new(size: usize, train: usize, test: usize, nuisance: Nuisance, seed: u64) -> Result<Self> {
        let refuse = |what, requirement, actual: String| Err(DataError::Request { what, requirement, actual });
        if !(4..=256).contains(&size) {
            return refuse("the size of a procedural image", "from 4 to 256 pixels", size.to_string());
        }
        for images in [train, test] {
            if images > 10_000_000 {
                return refuse("the number of procedural images", "at most 10,000,000", images.to_string());
            }
        }
        for (what, level) in nuisance.named() {
            if !(0.0..=4.0).contains(&level) {
                return refuse(what, "from 0 to 4", level.to_string());
            }
        }
        Ok(Self { size, train, test, nuisance, seed })
    }

    /// Image `index` of a split, `[row, column, channel]`, into `out`.
    fn image(&self, parameters: &Stream, noise: &Stream, index: u64, context: &Context, out: &mut [u8]) -> Result<()> {
        let mut uniform = [0.0f32; paint::DRAWS];
        parameters.at_step(index).fill_uniform(context, 0, &mut uniform, 0.0, 1.0)?;
        let scene = paint::Scene::new(label(index), &paint::Draws::new(&uniform), &self.nuisance);
        let mut words = vec![0u32; out.len().div_ceil(4)];
        noise.at_step(index).fill_u32(context, 0, &mut words)?;
        let noise: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        scene.render(self.size, &noise, out);
        Ok(())
    }
}

/// The class of an image: they take turns.
const fn label(index: u64) -> usize {
    (index % CLASSES.len() as u64) as usize
}

impl Source for Procedural {
    fn name(&self) -> &'static str {
        "procedural"
    }
    fn shape(&self) -> Shape {
        Shape { height: self.size, width: self.size, channels: 3 }
    }
    fn classes(&self) -> &[&'static str] {
        &CLASSES
    }
    fn load(&self, context: &Context, split: Split) -> Result<Images> {
        /// Images that one task makes.
        const TASK: usize = 16;
        let shape = self.shape();
        let count = match split {
            Split::Train => self.train,
            Split::Test => self.test,
        };
        let purpose = format!("data/procedural/{split}");
        let parameters = Stream::new(self.seed, &purpose, 0);
        let noise = Stream::new(self.seed, &(purpose + "/noise"), 0);
        let mut pixels = vec![0; count * shape.len()];
        // Each task locks the part that is its own, so nobody waits; the first error of all is kept.
        let parts: Vec<Mutex<&mut [u8]>> = pixels.chunks_mut(TASK * shape.len()).map(Mutex::new).collect();
        let failure = Mutex::new(None);
        context.tasks(parts.len(), |task| {
            let made = parts[task].lock().map_or(Ok(()), |mut part| {
                part.chunks_exact_mut(shape.len())
                    .zip((task * TASK) as u64..)
                    .try_for_each(|(out, index)| self.image(&parameters, &noise, index, context, out))
            });
            if let (Err(error), Ok(mut failure)) = (made, failure.lock()) {
                failure.get_or_insert(error);
            }
        })?;
        drop(parts);
        match failure.into_inner() {
            Ok(None) => {
                let labels = (0..count as u64).map(|index| label(index) as u8).collect();
                Ok(Images { shape, pixels, labels })
            }
            Ok(Some(error)) => Err(error),
            // A task that panicked has already taken the program along.
            Err(poisoned) => poisoned.into_inner().map_or_else(|| unreachable!("a poisoned lock holds an error"), Err),
        }
    }
}

//! VGG-16 with normalisation (K. Simonyan and A. Zisserman, 2015; S. Ioffe and C. Szegedy, 2015).
//!
//! Thirteen 3x3 convolutions with biases, each normalised and rectified, in five stages of 64, 128, 256, 512 and 512
//! channels that end in a 2x2 max pooling. The tensors of the stages have torchvision's names, `features.0.weight` and so
//! on. For small images the three linear layers are one, from the mean of each channel to the classes: `classifier`.

use super::chain::{BlockSpec, Chain, HeadInit, ShortcutSpec, Spec, UnitSpec};
use crate::error::Result;
use crate::kernels::norm::Shape;
use crate::layers::NormKind;
use crate::parallel::Context;

/// Channels of each stage.
const CHANNELS: [usize; 5] = [64, 128, 256, 512, 512];
/// Convolutions of each stage.
const CONVOLUTIONS: [usize; 5] = [2, 2, 3, 3, 3];

/// VGG-16 for batches of at most `input`, with images of at least 32 pixels. `seed` keys the draws of a stochastic
/// normalisation.
///
/// # Errors
/// [`crate::Error::Argument`] if the images are too small or the groups do not divide the channels;
/// [`crate::Error::OutOfMemory`].
pub fn vgg16(context: &Context, norm: NormKind, input: Shape, classes: usize, seed: u64) -> Result<Chain> {
    vgg16_with_channels(context, CHANNELS, norm, input, classes, seed)
}

/// The same with other numbers of channels in its stages, for small problems and tests.
///
/// # Errors
/// As [`vgg16`].
pub fn vgg16_with_channels(
    context: &Context,
    channels: [usize; 5],
    norm: NormKind,
    input: Shape,
    classes: usize,
    seed: u64,
) -> Result<Chain> {
    let (mut blocks, mut place) = (Vec::new(), 0);
    for (c_out, count) in channels.into_iter().zip(CONVOLUTIONS) {
        for i in 0..count {
            // A convolution, its normalisation, its rectification.
            let [conv, norm] = [place, place + 1].map(|place| format!("features.{place}"));
            place += 3;
            let units = vec![UnitSpec { conv, norm, c_out, kernel: 3, stride: 1, bias: true }];
            let pool = (i + 1 == count).then_some([2, 2, 0]);
            blocks.push(BlockSpec { units, shortcut: ShortcutSpec::None, pool });
        }
        place += 1;
    }
    let (head, head_init) = ("classifier".to_owned(), HeadInit::Normal(0.01));
    Chain::new(context, input, &Spec { blocks, head, head_init, norm, classes, seed })
}

//! Residual networks (K. He et al., "Deep Residual Learning for Image Recognition", 2016).
//!
//! | network | stem | stages | block |
//! |---|---|---|---|
//! | ResNet-8, -14, -20 | 3x3, 16 channels | 16, 32, 64 channels, 1, 2 or 3 blocks each | two 3x3 |
//! | ResNet-18 for small images | 3x3, 64 channels | 64, 128, 256, 512 channels, 2 blocks each | two 3x3 |
//! | ResNet-50 | 7x7 stride 2, 64 channels, max pooling 3x3 stride 2 | 64, 128, 256, 512 channels, 3, 4, 6, 3 blocks | 1x1, 3x3, 1x1 to four times the channels |
//!
//! The first block of every stage but the first halves the image, in its (first) 3x3 convolution. Where the shape changes
//! the shortcut is a 1x1 convolution with its own normalisation, as in torchvision, whose names the tensors have.

use super::chain::{BlockSpec, Chain, HeadInit, ShortcutSpec, Spec, UnitSpec};
use crate::error::Result;
use crate::kernels::norm::Shape;
use crate::layers::NormKind;
use crate::parallel::Context;

/// A residual network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResNet {
    /// 3 blocks, for small images.
    ResNet8,
    /// 6 blocks, for small images.
    ResNet14,
    /// 9 blocks, for small images.
    ResNet20,
    /// 8 wide blocks with a stem for small images.
    ResNet18,
    /// 16 bottleneck blocks, for images of 224 pixels.
    ResNet50,
}

impl ResNet {
    /// Channels of the stem.
    fn stem(self) -> usize {
        match self {
            Self::ResNet8 | Self::ResNet14 | Self::ResNet20 => 16,
            Self::ResNet18 | Self::ResNet50 => 64,
        }
    }
    /// Blocks of each stage.
    fn stages(self) -> &'static [usize] {
        match self {
            Self::ResNet8 => &[1; 3],
            Self::ResNet14 => &[2; 3],
            Self::ResNet20 => &[3; 3],
            Self::ResNet18 => &[2; 4],
            Self::ResNet50 => &[3, 4, 6, 3],
        }
    }
}

/// A residual network for batches of at most `input`. `seed` keys the draws of a stochastic normalisation.
///
/// # Errors
/// [`crate::Error::Argument`] if the images are too small or the groups do not divide the channels;
/// [`crate::Error::OutOfMemory`].
pub fn resnet(
    context: &Context,
    kind: ResNet,
    norm: NormKind,
    input: Shape,
    classes: usize,
    seed: u64,
) -> Result<Chain> {
    let bottleneck = kind == ResNet::ResNet50;
    let unit = |prefix: &str, i: usize, c_out: usize, kernel: usize, stride: usize| UnitSpec {
        conv: format!("{prefix}conv{i}"),
        norm: format!("{prefix}bn{i}"),
        c_out,
        kernel,
        stride,
        bias: false,
    };
    let stem = if bottleneck { unit("", 1, 64, 7, 2) } else { unit("", 1, kind.stem(), 3, 1) };
    let pool = bottleneck.then_some([3, 2, 1]);
    let mut blocks = vec![BlockSpec { units: vec![stem], shortcut: ShortcutSpec::None, pool }];
    let mut c_in = kind.stem();
    for (stage, &count) in kind.stages().iter().enumerate() {
        let width = kind.stem() << stage;
        let c_out = if bottleneck { 4 * width } else { width };
        for i in 0..count {
            let prefix = format!("layer{}.{i}.", stage + 1);
            let stride = if stage > 0 && i == 0 { 2 } else { 1 };
            let units = if bottleneck {
                vec![unit(&prefix, 1, width, 1, 1), unit(&prefix, 2, width, 3, stride), unit(&prefix, 3, c_out, 1, 1)]
            } else {
                vec![unit(&prefix, 1, width, 3, stride), unit(&prefix, 2, width, 3, 1)]
            };
            let shortcut = if stride == 1 && c_in == c_out {
                ShortcutSpec::Identity
            } else {
                let [conv, norm] = [0, 1].map(|i| format!("{prefix}downsample.{i}"));
                ShortcutSpec::Projection(UnitSpec { conv, norm, c_out, kernel: 1, stride, bias: false })
            };
            blocks.push(BlockSpec { units, shortcut, pool: None });
            c_in = c_out;
        }
    }
    let spec = Spec { blocks, head: "fc".to_owned(), head_init: HeadInit::Uniform, norm, classes, seed };
    Chain::new(context, input, &spec)
}

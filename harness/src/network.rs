//! Networks by the names that people type.

use std::fmt;
use std::str::FromStr;

use regularity_engine::kernels::norm::Shape;
use regularity_engine::layers::NormKind;
use regularity_engine::models::{Model, ResNet, resnet, vgg16, wide_resnet};
use regularity_engine::{Context, Result as EngineResult};

use crate::error::Error;

/// A network of the papers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    /// A residual network: `resnet8`, `resnet14`, `resnet20`, `resnet18`, `resnet50`.
    ResNet(ResNet),
    /// A wide residual network: `wrn-16-4` has depth 16 and width 4.
    Wide {
        /// Convolutions, about.
        depth: usize,
        /// Factor of the channels.
        width: usize,
    },
    /// `vgg16`, with normalisation.
    Vgg16,
}

/// The residual networks and their names.
const RESNETS: [(&str, ResNet); 5] = [
    ("resnet8", ResNet::ResNet8),
    ("resnet14", ResNet::ResNet14),
    ("resnet20", ResNet::ResNet20),
    ("resnet18", ResNet::ResNet18),
    ("resnet50", ResNet::ResNet50),
];

impl FromStr for Network {
    type Err = Error;
    fn from_str(name: &str) -> Result<Self, Error> {
        let residual = || RESNETS.iter().find(|(known, _)| *known == name).map(|(_, kind)| Self::ResNet(*kind));
        let wide = || {
            let (depth, width) = name.strip_prefix("wrn-")?.split_once('-')?;
            let (depth, width) = (depth.parse().ok()?, width.parse().ok()?);
            // What the engine refuses is refused here too, before anything is allocated.
            (depth >= 10 && (depth - 4) % 6 == 0 && width >= 1).then_some(Self::Wide { depth, width })
        };
        let vgg = || (name == "vgg16").then_some(Self::Vgg16);
        residual().or_else(wide).or_else(vgg).ok_or_else(|| Error::Usage {
            message: format!("`{name}` is no network"),
            help:
                "known are resnet8, resnet14, resnet20, resnet18, resnet50, vgg16 and wrn-D-K, such as wrn-16-4, with \
                   D = 10, 16, 22, ..."
                    .to_owned(),
        })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ResNet(kind) => {
                f.write_str(RESNETS.iter().find(|(_, known)| known == kind).map_or("resnet", |(name, _)| name))
            }
            Self::Wide { depth, width } => write!(f, "wrn-{depth}-{width}"),
            Self::Vgg16 => f.write_str("vgg16"),
        }
    }
}

impl Network {
    /// Builds it for batches of at most `input`; `seed` keys its draws.
    ///
    /// # Errors
    /// Those of the engine: images that are too small, groups that do not divide the channels, no memory.
    pub fn build(
        self,
        context: &Context,
        norm: NormKind,
        input: Shape,
        classes: usize,
        seed: u64,
    ) -> EngineResult<Box<dyn Model>> {
        Ok(match self {
            Self::ResNet(kind) => Box::new(resnet(context, kind, norm, input, classes, seed)?),
            Self::Wide { depth, width } => Box::new(wide_resnet(context, [depth, width], norm, input, classes, seed)?),
            Self::Vgg16 => Box::new(vgg16(context, norm, input, classes, seed)?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_and_written() {
        for name in ["resnet8", "resnet20", "resnet18", "resnet50", "vgg16", "wrn-16-4", "wrn-10-1"] {
            assert_eq!(name.parse::<Network>().unwrap().to_string(), name);
        }
        for name in ["", "resnet21", "wrn-16", "wrn-12-4", "wrn-16-0", "wrn-1-1", "wrn--4"] {
            assert!(matches!(name.parse::<Network>(), Err(Error::Usage { .. })), "{name}");
        }
    }
}

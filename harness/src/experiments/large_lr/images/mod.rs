//! The paper's experiments with a wide residual network (its section 6), at a size that minutes can pay for.
//!
//! [`patch`] makes the images of which four in five hold a patch that can be memorised, [`load`] prepares images, [`run`] is
//! an arm, [`settings`] what can be set.
//!
//! | arm | images | learning rate | noise |
//! |---|---|---|---|
//! | `patch-large` | a fifth clean, the others with the patch | large, annealed to the small one | |
//! | `patch-small` | the same | small | |
//! | `patch-noise` | the same | small | before activations, removed where the large rate is annealed |
//! | `patch-few` | the clean fifth alone | small | |
//! | `plain-large`, `plain-small`, `plain-noise` | all images as they are | as above | as above |
//!
//! All arms of a seed share the initial weights, the order of the images, the patches and which images have them. An arm
//! takes `epochs` times as many steps as all training images fill batches, `patch-few` too: it reads its images five times
//! as often.
//!
//! # Departures from the authors' code
//! - Images are pooled to 16 x 16 pixels and fewer, the network is WRN-10-1, the patch is 4 x 4, an epoch is shorter, the
//!   batch is 64 (there: 32 x 32, 50,000 images, WRN-16-10, 7 x 7, batch 128, 60 epochs with annealing from epoch 30).
//! - Patch-only images are so for the whole run (`patch.split`).
//! - The patch-only test set has as many images of each class as of any other.
//! - The last state of a network is judged, not that with the best validation accuracy.

pub(super) mod claims;
pub(super) mod figures;
pub mod load;
pub mod patch;
pub mod run;
pub mod settings;
#[cfg(test)]
mod tests;

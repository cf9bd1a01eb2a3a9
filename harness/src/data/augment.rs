//! Random views of images: a crop out of the reflected surroundings, and a mirror image.

use regularity_engine::random::Stream;

use super::Shape;

/// How training images are varied. The default varies nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Augment {
    /// Pixels of reflected surroundings on each side, from which a window of the image's size is cut; below the image's
    /// height and width.
    pub padding: usize,
    /// Whether each image is mirrored left to right with probability 1/2.
    pub flip: bool,
}

/// One view of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct View {
    /// Rows that the window is moved down, negative upwards.
    pub down: isize,
    /// Columns that the window is moved right, negative to the left.
    pub right: isize,
    /// Whether the window is mirrored left to right.
    pub flip: bool,
}

impl Augment {
    /// The standard recipe for CIFAR: surroundings of 4 pixels, and mirroring.
    pub const CIFAR: Self = Self { padding: 4, flip: true };

    /// The view of `example` in `epoch`: a pure function of the arguments.
    ///
    /// Keys: purposes `data/augment/crop` (draws `2 example` down and `2 example + 1` right, each uniform over
    /// `2 padding + 1` offsets) and `data/augment/flip` (the top bit of draw `example`), step `epoch`.
    #[must_use]
    pub fn view(&self, seed: u64, epoch: u64, example: u64) -> View {
        if *self == Self::default() {
            return View::default();
        }
        self.view_from(&Stream::new(seed, CROP, epoch), &Stream::new(seed, FLIP, epoch), example)
    }

    pub(super) fn view_from(&self, crop: &Stream, flip: &Stream, example: u64) -> View {
        let offset = |index: u64| crop.below_at(index, 2 * self.padding as u64 + 1) as isize - self.padding as isize;
        let (down, right) = if self.padding == 0 { (0, 0) } else { (offset(2 * example), offset(2 * example + 1)) };
        View { down, right, flip: self.flip && flip.u32_at(example) >> 31 == 1 }
    }
}

pub(super) const CROP: &str = "data/augment/crop";
pub(super) const FLIP: &str = "data/augment/flip";

impl View {
    /// The place in the image that the window shows at (`row`, `column`). Beyond an edge the image is reflected, the
    /// edge itself not repeated: `-1` shows 1.
    #[must_use]
    #[inline]
    pub fn source(&self, shape: Shape, row: usize, column: usize) -> (usize, usize) {
        let column = if self.flip { shape.width - 1 - column } else { column };
        (reflect(row as isize + self.down, shape.height), reflect(column as isize + self.right, shape.width))
    }
}

/// `place` reflected into `0..len`; it lies at most `len - 1` outside.
#[inline]
fn reflect(place: isize, len: usize) -> usize {
    let last = len as isize - 1;
    let place = if place < 0 { -place } else { place };
    (if place > last { 2 * last - place } else { place }) as usize
}

//! The pixels of a class one after the other: where each is read and written.

use super::kernel::{MOST_PIXELS, Tile};
use super::plan::MOST_EXAMPLES;

/// Pixels of a unit whose places are listed once, for all blocks of channels.
pub(super) const MOST_PLACES: usize = 1024;

/// Where the pixels of a unit are read and written. Every block of channels needs that again, and where rows are short
/// finding it takes as long as a good part of the arithmetic.
pub(super) struct Places {
    pub x: [*const f32; MOST_PLACES + MOST_PIXELS],
    pub y: [*mut f32; MOST_PLACES + MOST_PIXELS],
}

impl Places {
    pub(super) const NONE: Self =
        Self { x: [std::ptr::null(); MOST_PLACES + MOST_PIXELS], y: [std::ptr::null_mut(); MOST_PLACES + MOST_PIXELS] };
}

/// The pixels of a pair of classes one after the other.
pub(super) enum Pixels<'a> {
    /// From the list of the unit, from this place on; the plane and the channel are still to be added.
    Listed { places: &'a Places, from: usize, plane: usize, channel: usize },
    /// Found on the way.
    Walked(Walk<'a>),
}

impl Pixels<'_> {
    /// Puts the next `count` pixels into the tile.
    #[inline(always)]
    pub(super) fn next(&mut self, tile: &mut Tile, count: usize) {
        match self {
            Self::Listed { places, from, plane, channel } => {
                // All places of the tile are filled: that is a few vector operations, and nobody looks at the rest.
                let (x, y) = (&places.x[*from..*from + MOST_PIXELS], &places.y[*from..*from + MOST_PIXELS]);
                for i in 0..MOST_PIXELS {
                    (tile.x[i], tile.y[i]) = (x[i].wrapping_add(*plane), y[i].wrapping_add(*channel));
                }
                *from += count;
            }
            Self::Walked(walk) => walk.next(tile, count),
        }
    }
}

/// The pixels of a pair of classes one after the other: columns fastest, then rows, then examples.
pub(super) struct Walk<'a> {
    pub images: &'a [*const f32; MOST_EXAMPLES],
    /// From the start of an image to where the way of the first pixel starts (modulo the address space), and on from there
    /// to the next row and column.
    pub first_read: usize,
    pub read_row: usize,
    pub read_column: usize,
    /// What the first pixel writes, and from there on.
    pub first_write: *mut f32,
    pub write_row: usize,
    pub write_column: usize,
    pub write_example: usize,
    pub rows: usize,
    pub columns: usize,
    /// The next pixel.
    pub example: usize,
    pub row: usize,
    pub column: usize,
    /// Where the way of the first pixel of its row starts, and what it writes.
    pub x_row: *const f32,
    pub y_row: *mut f32,
}

impl Walk<'_> {
    /// Puts the next `count` pixels into the tile.
    #[inline(always)]
    pub(super) fn next(&mut self, tile: &mut Tile, count: usize) {
        if self.column + count <= self.columns {
            // All places are filled: that is one vector operation or two, and nobody looks at the rest.
            let column = self.column;
            tile.x = std::array::from_fn(|i| self.x(column + i));
            tile.y = std::array::from_fn(|i| self.y(column + i));
            self.advance(count);
        } else {
            for i in 0..count {
                (tile.x[i], tile.y[i]) = (self.x(self.column), self.y(self.column));
                self.advance(1);
            }
        }
    }
    #[inline(always)]
    pub(super) fn x(&self, column: usize) -> *const f32 {
        self.x_row.wrapping_add(column.wrapping_mul(self.read_column))
    }
    #[inline(always)]
    pub(super) fn y(&self, column: usize) -> *mut f32 {
        self.y_row.wrapping_add(column.wrapping_mul(self.write_column))
    }
    /// Goes on by `count` pixels, at most to the end of the row.
    #[inline(always)]
    pub(super) fn advance(&mut self, count: usize) {
        self.column += count;
        if self.column == self.columns {
            self.column = 0;
            self.row += 1;
            if self.row == self.rows {
                (self.row, self.example) = (0, self.example + 1);
            }
            self.enter();
        }
    }
    /// Finds the row.
    #[inline(always)]
    pub(super) fn enter(&mut self) {
        // Beyond the last example there is nothing, and nobody asks.
        let image = self.images.get(self.example).copied().unwrap_or(std::ptr::null());
        self.x_row = image.wrapping_add(self.first_read.wrapping_add(self.row * self.read_row));
        self.y_row = self.first_write.wrapping_add(self.example * self.write_example + self.row * self.write_row);
    }
}

//! Which taps an output has: its pixels sorted into classes of equal taps, one axis at a time.

use std::ops::Range;

use super::Geometry;

/// Which way a convolution runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    /// From the input to the output.
    Forward,
    /// From the gradient of the output to that of the input.
    Backward,
}

/// Rows or columns that have the same taps, at equal distances.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Class {
    /// The first tap.
    pub first: usize,
    /// How many there are.
    pub count: usize,
    /// The first row or column of what is written, and from one to the next.
    pub write: usize,
    pub write_step: usize,
    /// What is read under the first tap of the first one (0 without taps), and from one to the next.
    pub read: usize,
    pub read_step: usize,
    /// Number of rows or columns.
    pub len: usize,
}

/// One axis of a convolution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Axis {
    /// Disjoint, and together all rows or columns.
    pub classes: Vec<Class>,
    /// From one tap to the next.
    pub tap_step: usize,
    /// From what is read under one tap to what is read under the next.
    pub tap_read_step: isize,
}

impl Axis {
    /// `size` and `out` rows (or columns) of the input and the output, and a kernel of `kernel`.
    ///
    /// Backward, the output row under tap `k` of input row `i` is `(i + padding - k) / stride`, if that is a whole number
    /// and there is such a row: every `stride`-th tap, and the rows descend.
    pub(super) fn new(
        direction: Direction,
        size: usize,
        out: usize,
        kernel: usize,
        stride: usize,
        padding: usize,
    ) -> Self {
        let read = |write: usize, k: usize| match direction {
            Direction::Forward => (write * stride + k).checked_sub(padding).filter(|&r| r < size),
            Direction::Backward => (write + padding)
                .checked_sub(k)
                .filter(|r| r.is_multiple_of(stride))
                .map(|r| r / stride)
                .filter(|&r| r < out),
        };
        let (writes, tap_step, tap_read_step) = match direction {
            Direction::Forward => (out, 1, 1),
            Direction::Backward => (size, stride, -1),
        };
        let mut classes: Vec<Class> = Vec::new();
        for write in 0..writes {
            let (first, place) = (0..kernel).find_map(|k| Some((k, read(write, k)?))).unwrap_or((0, 0));
            let count = (0..kernel).filter(|&k| read(write, k).is_some()).count();
            let fits = |class: &&mut Class| {
                (class.first, class.count) == (first, count)
                    && (class.len == 1 || (write, place) == (class.write(class.len), class.read(class.len)))
            };
            if let Some(class) = classes.iter_mut().find(fits) {
                (class.write_step, class.read_step) =
                    (write - class.write(class.len - 1), place - class.read(class.len - 1));
                class.len += 1;
            } else {
                classes.push(Class { first, count, write, write_step: 1, read: place, read_step: 0, len: 1 });
            }
        }
        Self { classes, tap_step, tap_read_step }
    }

    /// The rows and the columns of a geometry.
    pub(super) fn both(g: &Geometry, direction: Direction) -> (Self, Self) {
        (
            Self::new(direction, g.h, g.out_h(), g.kernel_h, g.stride, g.padding),
            Self::new(direction, g.w, g.out_w(), g.kernel_w, g.stride, g.padding),
        )
    }

    /// The first and last of what is read for the rows of `writes`; None if nothing is.
    pub(super) fn reach(&self, writes: &Range<usize>) -> Option<(usize, usize)> {
        let mut reach: Option<(usize, usize)> = None;
        for class in self.classes.iter().filter(|class| class.count > 0) {
            let within = class.within(writes);
            if !within.is_empty() {
                let taps = (class.count as isize - 1) * self.tap_read_step;
                let (first, last) = (class.read(within.start), class.read(within.end - 1));
                let low = first.min(first.wrapping_add_signed(taps));
                let high = last.max(last.wrapping_add_signed(taps));
                reach = Some(reach.map_or((low, high), |(from, to)| (from.min(low), to.max(high))));
            }
        }
        reach
    }
}

impl Class {
    /// The row or column number `i` of those that are written.
    pub(super) fn write(&self, i: usize) -> usize {
        self.write + i * self.write_step
    }
    /// What is read under its first tap.
    pub(super) fn read(&self, i: usize) -> usize {
        self.read + i * self.read_step
    }
    /// Which of its rows or columns lie within `writes`.
    pub(super) fn within(&self, writes: &Range<usize>) -> Range<usize> {
        let below = |bound: usize| bound.saturating_sub(self.write).div_ceil(self.write_step).min(self.len);
        below(writes.start)..below(writes.end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tap_is_there_once_and_both_ways_agree() {
        for (size, kernel, stride, padding) in [
            (8, 3, 1, 1),
            (9, 3, 2, 1),
            (1, 3, 1, 1),
            (5, 7, 2, 3),
            (6, 1, 2, 0),
            (7, 2, 3, 0),
            (4, 3, 3, 2),
            (2, 5, 1, 4),
        ] {
            let out = (size + 2 * padding - kernel) / stride + 1;
            let pairs = |direction: Direction| {
                let axis = Axis::new(direction, size, out, kernel, stride, padding);
                let mut pairs = Vec::new();
                for class in &axis.classes {
                    for p in 0..class.len {
                        for i in 0..class.count {
                            let read = class.read(p).wrapping_add_signed(i as isize * axis.tap_read_step);
                            pairs.push((class.write(p), class.first + i * axis.tap_step, read));
                        }
                    }
                }
                pairs.sort_unstable();
                pairs
            };
            let mut expected = Vec::new();
            for o in 0..out {
                for k in 0..kernel {
                    if let Some(i) = (o * stride + k).checked_sub(padding).filter(|&i| i < size) {
                        expected.push((o, k, i));
                    }
                }
            }
            assert_eq!(pairs(Direction::Forward), expected);
            let mut backward: Vec<_> = expected.iter().map(|&(o, k, i)| (i, k, o)).collect();
            backward.sort_unstable();
            assert_eq!(pairs(Direction::Backward), backward);
        }
    }
}

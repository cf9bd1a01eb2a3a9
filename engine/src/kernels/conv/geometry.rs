//! The shape of a convolution.

use std::ops::Range;

use crate::error::{Error, Result};

/// The shape of a convolution of images of `h` by `w` pixels.
///
/// Activations are `[n, h, w, c]`, channels innermost; weights are `[c_out, c_in, kernel_h, kernel_w]`. The batch size
/// is no part of it: nothing about an example depends on how many others there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Geometry {
    /// Height of the input in pixels.
    pub h: usize,
    /// Width of the input in pixels.
    pub w: usize,
    /// Channels of the input.
    pub c_in: usize,
    /// Channels of the output.
    pub c_out: usize,
    /// Height of the kernel in pixels.
    pub kernel_h: usize,
    /// Width of the kernel in pixels.
    pub kernel_w: usize,
    /// Distance in input pixels between neighbouring output pixels, both ways.
    pub stride: usize,
    /// Pixels of padding on each side of the input. Padding has no values: a tap that falls on it does not take part.
    pub padding: usize,
}

impl Geometry {
    /// A square kernel of `kernel` pixels with `padding = kernel / 2`: with stride 1 and an odd kernel the output is as
    /// large as the input.
    ///
    /// # Errors
    /// As [`check`](Self::check).
    pub fn same(h: usize, w: usize, c_in: usize, c_out: usize, kernel: usize, stride: usize) -> Result<Self> {
        let g = Self { h, w, c_in, c_out, kernel_h: kernel, kernel_w: kernel, stride, padding: kernel / 2 };
        g.check()?;
        Ok(g)
    }

    /// Whether the sizes make sense together.
    ///
    /// # Errors
    /// [`Error::Argument`] if a size or the stride is zero, the kernel is larger than the padded image or the padding is
    /// as large as the kernel (there would be outputs without any tap), [`Error::Overflow`] if an example or the weights
    /// have more elements than the address space.
    pub fn check(&self) -> Result<()> {
        let op = "convolution";
        let Self { h, w, c_in, c_out, kernel_h, kernel_w, stride, padding } = *self;
        for (what, size) in [
            ("the height", h),
            ("the width", w),
            ("the number of input channels", c_in),
            ("the number of output channels", c_out),
            ("the height of the kernel", kernel_h),
            ("the width of the kernel", kernel_w),
            ("the stride", stride),
        ] {
            if size == 0 {
                return Err(Error::Argument { op, what, requirement: "at least 1", actual: "0".to_owned() });
            }
        }
        if padding >= kernel_h || padding >= kernel_w {
            let requirement = "less than the kernel is high and wide";
            return Err(Error::Argument { op, what: "the padding", requirement, actual: padding.to_string() });
        }
        for (what, size, kernel) in
            [("the height of the kernel", h, kernel_h), ("the width of the kernel", w, kernel_w)]
        {
            if kernel > size.saturating_add(2 * padding) {
                let requirement = "at most the image with its padding";
                return Err(Error::Argument { op, what, requirement, actual: kernel.to_string() });
            }
        }
        let product = |sizes: &[usize]| sizes.iter().try_fold(1usize, |p, &s| p.checked_mul(s));
        for (what, sizes) in [
            ("an input example", [h, w, c_in, 4]),
            ("an output example", [self.out_h(), self.out_w(), c_out, 4]),
            ("the weights", [c_out, c_in, kernel_h.saturating_mul(kernel_w), 4]),
        ] {
            product(&sizes).ok_or(Error::Overflow { op, what })?;
        }
        Ok(())
    }

    /// Height of the output in pixels.
    #[must_use]
    pub fn out_h(&self) -> usize {
        (self.h + 2 * self.padding - self.kernel_h) / self.stride + 1
    }
    /// Width of the output in pixels.
    #[must_use]
    pub fn out_w(&self) -> usize {
        (self.w + 2 * self.padding - self.kernel_w) / self.stride + 1
    }
    /// Elements of an input example.
    #[must_use]
    pub fn input_len(&self) -> usize {
        self.h * self.w * self.c_in
    }
    /// Elements of an output example.
    #[must_use]
    pub fn output_len(&self) -> usize {
        self.out_h() * self.out_w() * self.c_out
    }
    /// Elements of the weights.
    #[must_use]
    pub fn weight_len(&self) -> usize {
        self.c_out * self.c_in * self.kernel_h * self.kernel_w
    }
    /// Whether it is a linear layer: one tap, from one pixel to one.
    #[must_use]
    pub fn is_linear(&self) -> bool {
        [self.input_len(), self.output_len(), self.weight_len()] == [self.c_in, self.c_out, self.c_in * self.c_out]
    }
    /// The kernel rows that meet the image for output row `oh`.
    #[must_use]
    pub fn taps_h(&self, oh: usize) -> Range<usize> {
        taps(oh * self.stride, self.padding, self.kernel_h, self.h)
    }
    /// The kernel columns that meet the image for output column `ow`.
    #[must_use]
    pub fn taps_w(&self, ow: usize) -> Range<usize> {
        taps(ow * self.stride, self.padding, self.kernel_w, self.w)
    }
    /// Multiply-adds of one example's forward pass, without the taps that fall on padding. Backward to data and backward
    /// to weights have as many each.
    #[must_use]
    pub fn multiply_adds(&self) -> u64 {
        let rows: usize = (0..self.out_h()).map(|oh| self.taps_h(oh).len()).sum();
        let columns: usize = (0..self.out_w()).map(|ow| self.taps_w(ow).len()).sum();
        rows as u64 * columns as u64 * self.c_in as u64 * self.c_out as u64
    }
}

/// The taps `k` of a kernel of `kernel` for which `start + k - padding` lies in `0..size`.
fn taps(start: usize, padding: usize, kernel: usize, size: usize) -> Range<usize> {
    let from = padding.saturating_sub(start);
    let to = kernel.min((size + padding).saturating_sub(start));
    from..to.max(from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn taps_are_those_that_meet_the_image() {
        for (h, kernel, stride, padding) in
            [(5, 3, 1, 1), (6, 3, 2, 1), (7, 7, 2, 3), (4, 1, 2, 0), (1, 3, 1, 1), (2, 5, 1, 2)]
        {
            let g = Geometry { h, w: h, c_in: 3, c_out: 2, kernel_h: kernel, kernel_w: kernel, stride, padding };
            g.check().unwrap();
            let mut count = 0;
            for oh in 0..g.out_h() {
                let meets = |k: &usize| (oh * stride + k).checked_sub(padding).is_some_and(|i| i < h);
                let expected: Vec<usize> = (0..kernel).filter(meets).collect();
                assert_eq!(g.taps_h(oh).collect::<Vec<_>>(), expected, "{g:?} {oh}");
                count += expected.len();
            }
            assert_eq!(g.multiply_adds(), (count * count * 6) as u64);
        }
    }

    #[test]
    fn sizes_that_make_no_sense_are_refused() {
        let good = Geometry { h: 8, w: 8, c_in: 3, c_out: 4, kernel_h: 3, kernel_w: 3, stride: 1, padding: 1 };
        good.check().unwrap();
        let bad = [
            Geometry { h: 0, ..good },
            Geometry { c_in: 0, ..good },
            Geometry { stride: 0, ..good },
            Geometry { padding: 3, ..good },
            Geometry { kernel_h: 11, ..good },
            Geometry { c_out: usize::MAX / 2, ..good },
        ];
        for g in bad {
            assert!(g.check().is_err(), "{g:?}");
        }
    }
}

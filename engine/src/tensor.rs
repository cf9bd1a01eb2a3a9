//! Shapes and views; no operations.

use crate::error::{Error, Result};

/// A read-only matrix over a slice: element (i, j) is `data[i * row_stride + j * col_stride]`.
///
/// Strides are in elements. A stride of zero repeats a row or a column.
#[derive(Debug, Clone, Copy)]
pub struct MatRef<'a, T> {
    data: &'a [T],
    rows: usize,
    cols: usize,
    row_stride: usize,
    col_stride: usize,
}

/// A matrix over a mutable slice, with the same addressing as [`MatRef`]; no two elements share a place.
#[derive(Debug)]
pub struct MatMut<'a, T> {
    data: &'a mut [T],
    rows: usize,
    cols: usize,
    row_stride: usize,
    col_stride: usize,
}

/// The number of elements that a matrix reaches to, checked against the buffer.
fn check_reach(rows: usize, cols: usize, row_stride: usize, col_stride: usize, len: usize) -> Result<()> {
    let op = "matrix view";
    if rows == 0 || cols == 0 {
        return Ok(());
    }
    let needed = (rows - 1)
        .checked_mul(row_stride)
        .and_then(|r| (cols - 1).checked_mul(col_stride).and_then(|c| r.checked_add(c)))
        .and_then(|last| last.checked_add(1))
        .ok_or(Error::Overflow { op, what: "rows times stride plus columns times stride" })?;
    if needed > len {
        return Err(Error::TooShort { op, what: "the buffer", needed, actual: len });
    }
    Ok(())
}

impl<'a, T> MatRef<'a, T> {
    /// A matrix whose rows follow each other without gaps.
    ///
    /// # Errors
    /// [`Error::TooShort`] if `data` is smaller than `rows * cols`, [`Error::Overflow`] if that is no `usize`.
    pub fn new(data: &'a [T], rows: usize, cols: usize) -> Result<Self> {
        Self::with_strides(data, rows, cols, cols, 1)
    }

    /// A matrix with any strides, in elements.
    ///
    /// # Errors
    /// [`Error::TooShort`] if `data` ends before the last element, [`Error::Overflow`] if its place is no `usize`.
    pub fn with_strides(data: &'a [T], rows: usize, cols: usize, row_stride: usize, col_stride: usize) -> Result<Self> {
        check_reach(rows, cols, row_stride, col_stride, data.len())?;
        Ok(Self { data, rows, cols, row_stride, col_stride })
    }

    /// The same elements with rows and columns exchanged; nothing moves.
    #[must_use]
    pub fn transposed(self) -> Self {
        Self {
            data: self.data,
            rows: self.cols,
            cols: self.rows,
            row_stride: self.col_stride,
            col_stride: self.row_stride,
        }
    }

    /// Number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }
    /// Number of columns.
    #[must_use]
    pub fn cols(&self) -> usize {
        self.cols
    }
    /// Distance in elements between neighbours in a column.
    #[must_use]
    pub fn row_stride(&self) -> usize {
        self.row_stride
    }
    /// Distance in elements between neighbours in a row.
    #[must_use]
    pub fn col_stride(&self) -> usize {
        self.col_stride
    }
    /// The slice under the view, from element (0, 0) on.
    #[must_use]
    pub fn data(&self) -> &'a [T] {
        self.data
    }
}

impl<T: Copy> MatRef<'_, T> {
    /// Element (i, j).
    ///
    /// # Panics
    /// If the place lies outside of the slice.
    #[must_use]
    #[inline(always)]
    pub fn at(&self, i: usize, j: usize) -> T {
        self.data[i * self.row_stride + j * self.col_stride]
    }
}

impl<'a, T> MatMut<'a, T> {
    /// A matrix whose rows follow each other without gaps.
    ///
    /// # Errors
    /// As [`MatRef::new`].
    pub fn new(data: &'a mut [T], rows: usize, cols: usize) -> Result<Self> {
        Self::with_strides(data, rows, cols, cols, 1)
    }

    /// A matrix with any strides that keep its elements apart.
    ///
    /// # Errors
    /// As [`MatRef::with_strides`], and [`Error::Argument`] if two elements would share a place.
    pub fn with_strides(
        data: &'a mut [T],
        rows: usize,
        cols: usize,
        row_stride: usize,
        col_stride: usize,
    ) -> Result<Self> {
        check_reach(rows, cols, row_stride, col_stride, data.len())?;
        // One direction must step over the whole extent of the other.
        let steps_over = |outer: usize, outer_stride: usize, inner: usize, inner_stride: usize| {
            (inner <= 1 || inner_stride > 0) && (outer <= 1 || outer_stride > (inner - 1) * inner_stride)
        };
        let empty = rows == 0 || cols == 0;
        if !empty && !steps_over(rows, row_stride, cols, col_stride) && !steps_over(cols, col_stride, rows, row_stride)
        {
            return Err(Error::Argument {
                op: "matrix view",
                what: "the strides of a mutable matrix",
                requirement: "such that no two elements share a place",
                actual: format!("{row_stride} and {col_stride} for {rows} rows and {cols} columns"),
            });
        }
        Ok(Self { data, rows, cols, row_stride, col_stride })
    }

    /// The same elements with rows and columns exchanged; nothing moves.
    #[must_use]
    pub fn transposed(self) -> Self {
        Self {
            data: self.data,
            rows: self.cols,
            cols: self.rows,
            row_stride: self.col_stride,
            col_stride: self.row_stride,
        }
    }

    /// A shorter borrow of the same matrix.
    #[must_use]
    pub fn reborrow(&mut self) -> MatMut<'_, T> {
        MatMut {
            data: self.data,
            rows: self.rows,
            cols: self.cols,
            row_stride: self.row_stride,
            col_stride: self.col_stride,
        }
    }

    /// The same matrix, read-only.
    #[must_use]
    pub fn as_ref(&self) -> MatRef<'_, T> {
        MatRef {
            data: self.data,
            rows: self.rows,
            cols: self.cols,
            row_stride: self.row_stride,
            col_stride: self.col_stride,
        }
    }

    /// Number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }
    /// Number of columns.
    #[must_use]
    pub fn cols(&self) -> usize {
        self.cols
    }
    /// Distance in elements between neighbours in a column.
    #[must_use]
    pub fn row_stride(&self) -> usize {
        self.row_stride
    }
    /// Distance in elements between neighbours in a row.
    #[must_use]
    pub fn col_stride(&self) -> usize {
        self.col_stride
    }
    /// The slice under the view, from element (0, 0) on.
    #[must_use]
    pub fn data_mut(&mut self) -> &mut [T] {
        self.data
    }
}

impl<T: Copy> MatMut<'_, T> {
    /// A reference to element (i, j).
    ///
    /// # Panics
    /// If the place lies outside of the slice.
    #[inline(always)]
    pub fn at_mut(&mut self, i: usize, j: usize) -> &mut T {
        &mut self.data[i * self.row_stride + j * self.col_stride]
    }
}

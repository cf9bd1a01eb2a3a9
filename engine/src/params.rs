//! The parameters of a network: one aligned arena, and the table of the tensors in it.
//!
//! Weights, gradients and each kind of optimiser state are one [`Buffer`] each, laid out by one [`Table`]. So a digest, a
//! checkpoint, weight decay, a penalty or an optimiser step is one loop over a slice, and a model holds wiring alone.
//!
//! # Layout
//! Each tensor starts on a cache line; what lies between two of them is zero and stays so. What is trained comes first, in
//! the order in which the model named it; statistics that a forward pass keeps ([`Kind::Buffer`]) come after. Gradients
//! and optimiser state are as long as the trained part, [`Table::trained_len`]; the values of a network are as long as
//! both, [`Table::len`]. A flat reduction over an arena, such as the norm for gradient clipping, runs over these places,
//! so that the layout is part of the contract.
//!
//! The names are those of torchvision's state dictionaries, and so is the order of [`Table::entries`].

use std::ops::Range;

use crate::digest::{Digest, Digester};
use crate::error::{Error, Result};
use crate::kernels::reduce::first_non_finite;
use crate::memory::{ALIGNMENT, Buffer};
use crate::parallel::Context;

/// Elements in a cache line.
const LINE: usize = ALIGNMENT / size_of::<f32>();

/// What a tensor is for, where optimisers, penalties and initialisers tell tensors apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The weight of a convolution or of a linear layer.
    Weight,
    /// The factor of a normalisation.
    Scale,
    /// What is added: by a linear layer or by a normalisation.
    Bias,
    /// Kept by the forward pass, not trained: a running mean or variance.
    Buffer,
}

/// One tensor of a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    name: String,
    shape: Vec<usize>,
    kind: Kind,
    offset: usize,
    len: usize,
}

impl Entry {
    /// Its name, as torchvision spells it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
    /// Its shape, row-major.
    #[must_use]
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }
    /// What it is for.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }
    /// Its place in an arena.
    #[must_use]
    pub fn range(&self) -> Range<usize> {
        self.offset..self.offset + self.len
    }
}

/// A tensor of the table that gave it, by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TensorId(usize);

/// The tensors of a network, and where they lie. Made by a [`TableBuilder`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    entries: Vec<Entry>,
    trained_len: usize,
    len: usize,
}

/// Collects the tensors of a network in the order in which they should be listed.
#[derive(Debug, Default)]
pub struct TableBuilder {
    entries: Vec<Entry>,
}

impl TableBuilder {
    /// No tensor yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a tensor.
    ///
    /// # Errors
    /// [`Error::Argument`] if the name is taken, [`Error::Overflow`] if the shape has more elements than a `usize` holds.
    pub fn push(&mut self, name: impl Into<String>, shape: &[usize], kind: Kind) -> Result<TensorId> {
        let (op, name) = ("parameter table", name.into());
        if self.entries.iter().any(|entry| entry.name == name) {
            let (what, requirement) = ("the name of a tensor", "new");
            return Err(Error::Argument { op, what, requirement, actual: format!("`{name}`") });
        }
        let len = shape.iter().try_fold(1usize, |len, &n| len.checked_mul(n));
        let len = len.ok_or(Error::Overflow { op, what: "a tensor" })?;
        self.entries.push(Entry { name, shape: shape.to_vec(), kind, offset: 0, len });
        Ok(TensorId(self.entries.len() - 1))
    }

    /// Gives each tensor its place.
    ///
    /// # Errors
    /// [`Error::Overflow`] if all together have more elements than a `usize` holds.
    pub fn finish(mut self) -> Result<Table> {
        let overflow = Error::Overflow { op: "parameter table", what: "the network" };
        let (mut len, mut trained_len) = (0usize, 0);
        for trained in [true, false] {
            for entry in self.entries.iter_mut().filter(|entry| (entry.kind != Kind::Buffer) == trained) {
                entry.offset = len;
                let padded = entry.len.checked_next_multiple_of(LINE).ok_or(overflow.clone())?;
                len = len.checked_add(padded).ok_or(overflow.clone())?;
            }
            if trained {
                trained_len = len;
            }
        }
        Ok(Table { entries: self.entries, trained_len, len })
    }
}

impl Table {
    /// All tensors, in the order of the model.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The tensor with that number, which this table gave.
    ///
    /// # Panics
    /// If another table gave it, and this one is shorter.
    #[must_use]
    pub fn entry(&self, id: TensorId) -> &Entry {
        &self.entries[id.0]
    }

    /// The tensor of that name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<TensorId> {
        self.entries.iter().position(|entry| entry.name == name).map(TensorId)
    }

    /// The place of a tensor in an arena.
    ///
    /// # Panics
    /// As [`entry`](Self::entry).
    #[must_use]
    pub fn range(&self, id: TensorId) -> Range<usize> {
        self.entry(id).range()
    }

    /// The places of two tensors in an arena, of which the second is listed, and so lies, after the first.
    pub(crate) fn pair_mut<'a, T>(
        &self,
        arena: &'a mut [T],
        first: TensorId,
        second: Option<TensorId>,
    ) -> (&'a mut [T], Option<&'a mut [T]>) {
        let first = self.range(first);
        let (low, high) = arena.split_at_mut(first.end);
        let second = second.map(|id| self.range(id)).map(|range| range.start - first.end..range.end - first.end);
        (&mut low[first], second.map(|range| &mut high[range]))
    }

    /// Elements of an arena for what is trained: gradients, optimiser state.
    #[must_use]
    pub fn trained_len(&self) -> usize {
        self.trained_len
    }

    /// Elements of an arena for the network's values: what is trained, and its running statistics.
    #[must_use]
    #[allow(clippy::len_without_is_empty, reason = "the length of an arena, not a number of entries")]
    pub fn len(&self) -> usize {
        self.len
    }

    /// The number of trained parameters, as papers count them.
    #[must_use]
    pub fn parameters(&self) -> usize {
        self.trained().map(|entry| entry.len).sum()
    }

    /// The tensors that are trained, in the order of the model.
    pub fn trained(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(|entry| entry.kind != Kind::Buffer)
    }

    /// An arena of zeros for the values of the network.
    ///
    /// # Errors
    /// As [`Buffer::zeroed`].
    pub fn values(&self) -> Result<Buffer<f32>> {
        Buffer::zeroed(self.len)
    }

    /// An arena of zeros for what is trained: gradients, optimiser state.
    ///
    /// # Errors
    /// As [`Buffer::zeroed`].
    pub fn gradients(&self) -> Result<Buffer<f32>> {
        Buffer::zeroed(self.trained_len)
    }

    /// The digest of all tensors of an arena of values, or of the trained tensors of a shorter one, under their names
    /// and in their order.
    ///
    /// # Errors
    /// [`Error::Shape`] if the arena is of neither length.
    pub fn digest(&self, arena: &[f32]) -> Result<Digest> {
        self.check_len("digest", arena)?;
        let mut inside = self.entries.iter().filter(|entry| entry.range().end <= arena.len());
        let add = |digester: Digester, entry: &Entry| digester.tensor(&entry.name, &entry.shape, &arena[entry.range()]);
        Ok(inside.try_fold(Digester::new(), add)?.finish())
    }

    /// Refuses an arena with a number that is not finite, and names the first tensor concerned; `quantity` says what the
    /// arena holds, such as `gradient`.
    ///
    /// # Errors
    /// [`Error::NonFinite`]; [`Error::Shape`] if the arena has not the length of one; else as [`Context::tree`].
    pub fn check_finite(&self, context: &Context, quantity: &'static str, arena: &[f32]) -> Result<()> {
        self.check_len("check finite", arena)?;
        let Some(index) = first_non_finite(context, arena)? else { return Ok(()) };
        // Between tensors there is nothing but zeros, unless someone wrote there.
        let entry = self.entries.iter().find(|entry| entry.range().contains(&index));
        let name = entry.map_or_else(|| format!("element {index}"), |entry| entry.name.clone());
        Err(Error::NonFinite { quantity, name })
    }

    fn check_len(&self, op: &'static str, arena: &[f32]) -> Result<()> {
        if [self.len, self.trained_len].contains(&arena.len()) {
            return Ok(());
        }
        Err(Error::Shape { op, what: "elements of the arena", expected: self.len, actual: arena.len() })
    }
}

/// The trained part of an arena cut into groups that are treated alike, such as backbone and head.
///
/// Neighbours of one group are one segment, padding included: a network with a single group is one slice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Groups {
    segments: Vec<(Range<usize>, usize)>,
    count: usize,
    trained_len: usize,
}

impl Groups {
    /// Every trained tensor in group 0.
    #[must_use]
    pub fn one(table: &Table) -> Self {
        Self::by(table, |_| 0)
    }

    /// Each trained tensor in the group that `group` says.
    #[must_use]
    pub fn by(table: &Table, group: impl Fn(&Entry) -> usize) -> Self {
        let mut segments: Vec<(Range<usize>, usize)> = Vec::new();
        for entry in table.trained() {
            let (range, group) = (entry.offset..entry.offset + entry.len.next_multiple_of(LINE), group(entry));
            match segments.last_mut() {
                Some((last, same)) if *same == group => last.end = range.end,
                _ => segments.push((range, group)),
            }
        }
        let count = segments.iter().map(|(_, group)| group + 1).max().unwrap_or(0);
        Self { segments, count, trained_len: table.trained_len }
    }

    /// The segments in ascending order, each with its group.
    #[must_use]
    pub fn segments(&self) -> &[(Range<usize>, usize)] {
        &self.segments
    }

    /// One more than the largest group.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }

    /// Elements of the trained part that is cut.
    #[must_use]
    pub fn trained_len(&self) -> usize {
        self.trained_len
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::Isa;

    fn table() -> Table {
        let mut builder = TableBuilder::new();
        builder.push("conv1.weight", &[5, 3, 1, 1], Kind::Weight).unwrap();
        builder.push("bn1.weight", &[5], Kind::Scale).unwrap();
        builder.push("bn1.running_mean", &[5], Kind::Buffer).unwrap();
        builder.push("fc.weight", &[2, 16], Kind::Weight).unwrap();
        builder.push("fc.bias", &[2], Kind::Bias).unwrap();
        builder.finish().unwrap()
    }

    #[test]
    fn tensors_are_aligned_and_trained_ones_come_first() {
        let table = table();
        let places: Vec<_> = table.entries().iter().map(|entry| (entry.name(), entry.range())).collect();
        let expected = [
            ("conv1.weight", 0..15),
            ("bn1.weight", 16..21),
            ("bn1.running_mean", 80..85),
            ("fc.weight", 32..64),
            ("fc.bias", 64..66),
        ];
        assert_eq!(places, expected);
        assert_eq!((table.trained_len(), table.len(), table.parameters()), (80, 96, 15 + 5 + 32 + 2));
        assert_eq!(table.find("fc.bias").map(|id| table.range(id)), Some(64..66));
        assert_eq!(table.find("fc"), None);
    }

    #[test]
    fn a_name_stands_once_and_sizes_do_not_wrap() {
        let mut builder = TableBuilder::new();
        builder.push("a", &[usize::MAX], Kind::Weight).unwrap();
        assert!(matches!(builder.push("a", &[1], Kind::Bias), Err(Error::Argument { .. })));
        assert!(matches!(builder.push("b", &[usize::MAX, 2], Kind::Bias), Err(Error::Overflow { .. })));
        assert!(matches!(builder.finish(), Err(Error::Overflow { .. })));
    }

    #[test]
    fn groups_join_neighbours_with_their_padding() {
        let table = table();
        assert_eq!(Groups::one(&table).segments(), [(0..80, 0)]);
        let head = Groups::by(&table, |entry| usize::from(entry.name().starts_with("fc")));
        assert_eq!((head.segments(), head.count()), (&[(0..32, 0), (32..80, 1)][..], 2));
        let decayed = Groups::by(&table, |entry| usize::from(entry.kind() == Kind::Weight));
        assert_eq!(decayed.segments(), [(0..16, 1), (16..32, 0), (32..64, 1), (64..80, 0)]);
    }

    #[test]
    fn the_first_tensor_that_is_not_finite_is_named() {
        let (table, context) = (table(), Context::new(Isa::detect(), 2).unwrap());
        let mut arena = table.values().unwrap();
        table.check_finite(&context, "value", &arena).unwrap();
        arena[82] = f32::NAN;
        let named = |arena: &[f32]| table.check_finite(&context, "gradient", arena).unwrap_err().to_string();
        assert!(named(&arena).contains("bn1.running_mean"));
        arena[33] = f32::INFINITY;
        assert!(named(&arena).contains("gradient") && named(&arena).contains("fc.weight"));
        assert!(matches!(table.check_finite(&context, "value", &arena[1..]), Err(Error::Shape { .. })));
    }

    #[test]
    fn the_digest_sees_values_and_not_padding() {
        let table = table();
        let mut arena = table.values().unwrap();
        let before = table.digest(&arena).unwrap();
        arena[15] = 1.0; // between two tensors
        assert_eq!(table.digest(&arena).unwrap(), before);
        arena[16] = 1.0;
        assert_ne!(table.digest(&arena).unwrap(), before);
        assert_ne!(table.digest(&arena).unwrap(), table.digest(&arena[..80]).unwrap());
    }
}

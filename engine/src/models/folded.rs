//! Inference with the normalisations folded into the convolutions: a function of its own, near to that of
//! [`Mode::Eval`](crate::layers::Mode::Eval) but not the same bits.
//!
//! In evaluation a normalisation is the same affine map for every image, and a convolution before it can do its work. With
//! `k = gamma / sqrt(running_var + eps)` for each output channel, in `f64`, each result rounded once
//! ([`fold_into_convolution`]):
//!
//! ```text
//! w' = w k          b' = beta - running_mean k, and where the convolution has a bias, b' = b' + b k
//! y  = conv(x, w') from b'          y = y + shortcut          y = 0 if 0 > y, else y
//! ```
//!
//! Sum and rectification happen to each example while it is in the cache. A normalisation that does not follow a
//! convolution which nobody else reads (of a sum, in a wide residual network) stays what it is in evaluation,
//! `fma(x - center, scale, shift)`, computed on the way into the convolutions that read it. An image has the same bits
//! alone and in any batch.
//!
//! Weights are folded and packed once, when the object is made; a forward pass allocates nothing.

use super::{Model, NormTensors, Op, check_len, examples};
use crate::error::{Error, Result};
use crate::kernels::conv::{Geometry, PackedForward, forward as conv_forward};
use crate::kernels::gemm::{Bias, Options, gemm};
use crate::kernels::norm::{BatchNorm, Post, Shape, fold_into_convolution};
use crate::kernels::pool::{global_average_forward, max_forward};
use crate::kernels::stage::{Plain, Source};
use crate::layers::{Activation, Finish, NormKind};
use crate::memory::{Arena, Planner, Region};
use crate::parallel::Context;
use crate::params::{Table, TensorId};
use crate::reference::norm::invstd;
use crate::tensor::{MatMut, MatRef};

/// Added to a variance, as in training.
const EPS: f64 = 1e-5;

/// A normalisation that could not be folded, and what it reads.
#[derive(Debug)]
struct Apart {
    x: usize,
    y: usize,
    relu: bool,
    norm: BatchNorm,
    /// Factors, biases, running means and variances.
    rows: [Vec<f32>; 4],
}

#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "a network has a handful, in one list for all its life")]
enum Step {
    Conv { x: usize, y: usize, packed: PackedForward, bias: Option<Vec<f32>>, add: Option<usize>, relu: bool },
    Linear { x: usize, y: usize, weight: Vec<f32>, bias: Option<Vec<f32>> },
    Activation { y: usize, activation: Activation },
    MaxPool { x: usize, y: usize, window: Geometry },
    Average { x: usize, y: usize },
}

/// A network for inference, with its parameters.
#[derive(Debug)]
pub struct Folded {
    steps: Vec<Step>,
    apart: Vec<Apart>,
    shapes: Vec<Shape>,
    regions: Vec<Region>,
    arena: Arena,
    n: usize,
}

/// Building: what a slot is called after operations were joined.
struct Building<'a> {
    context: &'a Context,
    table: &'a Table,
    values: &'a [f32],
    steps: Vec<Step>,
    apart: Vec<Apart>,
    /// The slot in which a slot's tensor lies: that of a normalisation is the convolution's.
    lies: Vec<usize>,
    readers: Vec<usize>,
}

impl<'a> Building<'a> {
    fn value(&self, id: TensorId) -> &'a [f32] {
        &self.values[self.table.range(id)]
    }

    /// Factors, biases, running means and variances.
    fn rows(&self, norm: &NormTensors) -> Result<[&'a [f32]; 4]> {
        let (Some([mean, var]), false) = (norm.running, matches!(norm.kind, NormKind::Group(_))) else {
            let (op, what) = ("fold normalisations", "the normalisation");
            let requirement = "one by running statistics: others differ from image to image";
            return Err(Error::Argument { op, what, requirement, actual: format!("{:?}", norm.kind) });
        };
        Ok([self.value(norm.gamma), self.value(norm.beta), self.value(mean), self.value(var)])
    }

    /// Weights and bias of a convolution, after the normalisation if there is one.
    fn weights(
        &self,
        geometry: &Geometry,
        weight: &[f32],
        bias: Option<&[f32]>,
        norm: Option<&NormTensors>,
    ) -> Result<(PackedForward, Option<Vec<f32>>)> {
        let mut packed = PackedForward::new(self.context, geometry)?;
        let Some(norm) = norm else {
            packed.pack(self.context, weight)?;
            return Ok((packed, bias.map(<[f32]>::to_vec)));
        };
        let rows = self.rows(norm)?;
        let (mut folded, mut sums) = (vec![0.0; weight.len()], vec![0.0; geometry.c_out]);
        fold_into_convolution(weight, rows, EPS, &mut folded, &mut sums)?;
        if let Some(bias) = bias {
            let [gamma, _, _, var] = rows;
            for (i, sum) in sums.iter_mut().enumerate() {
                let k = f64::from(gamma[i]) * invstd(f64::from(var[i]), EPS);
                *sum = (f64::from(*sum) + f64::from(bias[i]) * k) as f32;
            }
        }
        packed.pack(self.context, &folded)?;
        Ok((packed, Some(sums)))
    }

    /// Adds the operations from the front of `ops` that are one step; gives how many they were.
    fn push(&mut self, ops: &[Op], shapes: &[Shape]) -> Result<usize> {
        let relu_follows = |place: usize, slot: usize| matches!(ops.get(place), Some(Op::Activation { y, activation: Activation::Relu }) if *y == slot);
        match &ops[0] {
            Op::Conv { x, y, geometry, weight, bias } => {
                let (weight, bias) = (self.value(*weight), bias.map(|bias| self.value(bias)));
                let normalised = matches!(ops.get(1), Some(Op::Norm { x: read, .. }) if read == y);
                if geometry.is_linear() && !normalised {
                    let (weight, bias) = (weight.to_vec(), bias.map(<[f32]>::to_vec));
                    self.steps.push(Step::Linear { x: *x, y: *y, weight, bias });
                    return Ok(1);
                }
                let (mut taken, mut y, mut norm) = (1, *y, None);
                if let Some(Op::Norm { x, y: z, norm: tensors }) = ops.get(1)
                    && (*x, self.readers[y]) == (y, 1)
                {
                    (taken, norm) = (2, Some(tensors));
                    self.lies[*z] = y;
                    y = *z;
                }
                let (packed, bias) = self.weights(geometry, weight, bias, norm)?;
                let mut add = None;
                if let Some(Op::Add { x, y: to }) = ops.get(taken)
                    && *to == y
                {
                    (taken, add) = (taken + 1, Some(self.lies[*x]));
                }
                let relu = relu_follows(taken, y);
                self.steps.push(Step::Conv { x: *x, y: self.lies[y], packed, bias, add, relu });
                return Ok(taken + usize::from(relu));
            }
            Op::Norm { x, y, norm } => {
                let rows = self.rows(norm)?.map(<[f32]>::to_vec);
                let (relu, norm) = (relu_follows(1, *y), BatchNorm::new(shapes[*x])?);
                self.apart.push(Apart { x: self.lies[*x], y: *y, relu, norm, rows });
                return Ok(1 + usize::from(relu));
            }
            Op::Add { .. } => {
                let (op, what) = ("fold normalisations", "a sum");
                let requirement = "right after the convolution that it is added to";
                return Err(Error::Argument { op, what, requirement, actual: "elsewhere".to_owned() });
            }
            Op::Activation { y, activation } => {
                self.steps.push(Step::Activation { y: self.lies[*y], activation: *activation });
            }
            Op::MaxPool { x, y, window } => self.steps.push(Step::MaxPool { x: *x, y: *y, window: *window }),
            Op::Average { x, y } => self.steps.push(Step::Average { x: *x, y: *y }),
        }
        Ok(1)
    }
}

impl Step {
    /// What it reads, as slots of the wiring, and what it writes or changes.
    fn slots(&self) -> ([Option<usize>; 2], usize) {
        match *self {
            Self::Conv { x, y, add, .. } => ([Some(x), add], y),
            Self::Linear { x, y, .. } | Self::MaxPool { x, y, .. } | Self::Average { x, y } => ([Some(x), None], y),
            Self::Activation { y, .. } => ([None; 2], y),
        }
    }
}

impl Folded {
    /// The network of `model` with the parameters and running statistics `values`, which are copied. The capacity is that
    /// of `model`.
    ///
    /// # Errors
    /// [`Error::Shape`] if `values` does not fit, [`Error::Argument`] for a normalisation of each example by itself;
    /// [`Error::OutOfMemory`].
    pub fn new(context: &Context, model: &dyn Model, values: &[f32]) -> Result<Self> {
        let (table, wiring) = (model.table(), model.wiring()?);
        check_len("fold normalisations", "elements of the values", table.len(), values.len())?;
        let (ops, shapes) = (wiring.ops(), wiring.shapes());
        let mut readers = vec![0; shapes.len()];
        for op in ops {
            if let Op::Conv { x, .. }
            | Op::Norm { x, .. }
            | Op::Add { x, .. }
            | Op::MaxPool { x, .. }
            | Op::Average { x, .. } = op
            {
                readers[*x] += 1;
            }
        }
        let (steps, apart, lies) = (Vec::new(), Vec::new(), (0..shapes.len()).collect());
        let mut building = Building { context, table, values, steps, apart, lies, readers };
        let mut place = 0;
        while place < ops.len() {
            place += building.push(&ops[place..], shapes)?;
        }
        let Building { mut steps, apart, lies, .. } = building;
        // Inputs by the slot where they lie; those of a normalisation that stands apart keep their own.
        for step in &mut steps {
            if let Step::Conv { x, .. } | Step::Linear { x, .. } | Step::MaxPool { x, .. } | Step::Average { x, .. } =
                step
            {
                *x = lies[*x];
            }
        }
        let (regions, arena) = plan(&steps, &apart, shapes)?;
        Ok(Self { steps, apart, shapes: shapes.to_vec(), regions, arena, n: 0 })
    }

    /// The logits of the images `x`, `[n, h, w, c]`: `[n, classes]`.
    ///
    /// # Errors
    /// As [`Model::forward`].
    pub fn forward(&mut self, context: &Context, x: &[f32]) -> Result<&[f32]> {
        let n = examples(self.shapes[0], x)?;
        self.n = n;
        for Apart { norm, rows: [gamma, beta, mean, var], .. } in &mut self.apart {
            norm.eval(n, gamma, beta, mean, var)?;
        }
        let Self { steps, apart, shapes, regions, arena, .. } = self;
        let of = |slot: usize| regions[slot].first(n * shapes[slot].example());
        for step in steps.iter() {
            let ([from, add], to) = step.slots();
            let through = apart.iter().find(|apart| Some(apart.y) == from);
            let from = through.map_or(from, |apart| Some(apart.x));
            let reads = [from.filter(|&from| from != 0), add].map(|slot| slot.map_or(Ok(Region::EMPTY), of));
            let [from_region, add_region] = reads;
            let ([stored, added], [y]) = arena.view([from_region?, add_region?], [of(to)?])?;
            let (input, shape) = (if from == Some(0) { x } else { stored }, shapes[from.unwrap_or(0)]);
            let plain = Plain::new(input, shape.h, shape.w, shape.c);
            let normalised = match through {
                Some(Apart { norm, relu, .. }) => Some(norm.forward(input, Post { relu: *relu, ..Post::default() })?),
                None => None,
            };
            let source: &dyn Source = normalised.as_ref().map_or(&plain, |source| source as &dyn Source);
            match step {
                Step::Conv { packed, bias, add, relu, .. } => {
                    let sink = Finish { add: add.map(|_| added), relu: *relu };
                    conv_forward(context, packed, n, source, bias.as_deref(), y, &sink)?;
                }
                Step::Linear { weight, bias, .. } => {
                    let (c_in, c_out) = (shape.example(), shapes[to].c);
                    let bias = bias.as_deref().map_or(Bias::None, Bias::Columns);
                    let (x, w) = (MatRef::new(input, n, c_in)?, MatRef::new(weight, c_out, c_in)?);
                    let options = Options { bias, ..Options::default() };
                    gemm(context, x, w.transposed(), MatMut::new(y, n, c_out)?, &options)?;
                }
                Step::Activation { activation, .. } => activation.forward(context, y)?,
                Step::MaxPool { window, .. } => max_forward(context, window, source, n, y)?,
                Step::Average { .. } => global_average_forward(context, shape.with_examples(n), source, y)?,
            }
        }
        let last = shapes.len() - 1;
        let ([logits], []) = arena.view([of(last)?], [])?;
        Ok(logits)
    }
}

/// The slot that is read for slot `x`: that before a normalisation that stands apart.
fn read(apart: &[Apart], x: usize) -> usize {
    apart.iter().find(|apart| apart.y == x).map_or(x, |apart| apart.x)
}

/// A place for each tensor that is written, given back after the step that reads it last.
fn plan(steps: &[Step], apart: &[Apart], shapes: &[Shape]) -> Result<(Vec<Region>, Arena)> {
    let (mut planner, mut regions) = (Planner::new(), vec![Region::EMPTY; shapes.len()]);
    let mut last = vec![0; shapes.len()];
    for (place, step) in steps.iter().enumerate() {
        let (reads, y) = step.slots();
        reads.into_iter().flatten().for_each(|x| last[read(apart, x)] = place);
        last[y] = place;
    }
    for (place, step) in steps.iter().enumerate() {
        let (reads, y) = step.slots();
        if regions[y] == Region::EMPTY {
            regions[y] = planner.take(shapes[y].len())?;
        }
        let mut done: Vec<usize> = reads.into_iter().flatten().map(|x| read(apart, x)).collect();
        done.dedup();
        for x in done.into_iter().filter(|&x| x != 0 && last[x] == place) {
            planner.give(regions[x]);
        }
    }
    Ok((regions, planner.finish()?))
}

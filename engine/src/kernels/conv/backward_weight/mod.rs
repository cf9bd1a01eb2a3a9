//! Convolution backward to weights.
//!
//! # Definition
//! With stride s and padding p, d_y `[n, out_h, out_w, c_out]` and x `[n, h, w, c_in]`, the gradient of the weights is
//!
//! ```text
//! d_w[oc, ic, kh, kw] = sum over n, oh, ow of d_y[n, oh, ow, oc] x[n, oh s + kh - p, ow s + kw - p, ic]
//! d_b[oc]             = sum over n, oh, ow of d_y[n, oh, ow, oc]
//! ```
//!
//! over the pixels whose tap meets the image; padding has no values and takes no part. Added up like this, and no other
//! way:
//! 1. The batch is cut into [`VirtualShards`], some examples or some rows of one, by the geometry alone.
//! 2. In a shard one chain for each weight, `acc = fma(x, d_y, acc)` (bias: `acc = acc + d_y`) from `+0`, over examples
//!    ascending, then output rows, then output columns.
//! 3. The left-balanced binary tree of [`crate::parallel`] over the shards.
//! 4. `+0 + sum`. An empty batch gives `+0`.
//!
//! A batch that comes in pieces gives the same bits as the whole, if every piece but the last is a multiple of
//! [`VirtualShards::examples`] long: see [`WeightGradient`]. [`crate::reference::conv_weight`] is this text in code.
//!
//! # Method
//! Lanes are output channels. A tile, six input channels by sixteen output channels on AVX2, stays in registers for a
//! whole shard; for each tap it walks the rectangle of output pixels where that tap meets the image, so that the inner
//! loop knows no edges and padding costs nothing. Panels (a few channels of all pixels side by side) keep the walk
//! sequential. With up to four input channels the rows of a tile are taps instead, and the edges have a loop of their
//! own. The sum of a finished shard climbs its tree in registers: subtrees of a block of weights stay in the first-level
//! cache while the block meets a group of shards.

mod driver;
mod kernel;
mod pack;
mod plan;
#[cfg(test)]
mod tests;

use std::ops::Range;

pub use plan::{VirtualShards, WeightBlocking};

use self::driver::{Batch, Gradient, Room, Target, by_weights, each, finish, group, levels, same, task_count};
use self::pack::Examples;
use self::plan::Plan;
use super::Geometry;
use crate::error::{Error, Result};
use crate::kernels::stage::Source;
use crate::memory::{Buffer, Scratch};
use crate::parallel::{Context, Shards};
use crate::simd::{Kernel, Tier};

const OP: &str = "convolution backward to weights";

/// The gradient of the weights, and of the biases if `d_b` is given, from `n` examples.
///
/// `x` gives the input, `[n, h, w, c_in]`, and `d_y` the gradient of the output, `[n, out_h, out_w, c_out]`. `d_w` is
/// `[c_out, c_in, kernel_h, kernel_w]`, `d_b` has one element for each output channel; both are overwritten. A source is
/// asked for the rows that are needed only, each once, but rows of x that two shards of an example share twice.
///
/// # Errors
/// Those of [`Geometry::check`]; [`Error::Shape`] if a length does not fit, [`Error::Overflow`] if the work space would
/// not fit into the address space, [`Error::OutOfMemory`] if it cannot be had, [`Error::FloatEnvironment`] if a thread
/// does not compute as IEEE-754 says.
pub fn backward_weight(
    context: &Context,
    g: &Geometry,
    n: usize,
    x: &dyn Source,
    d_y: &dyn Source,
    d_w: &mut [f32],
    d_b: Option<&mut [f32]>,
) -> Result<()> {
    g.check()?;
    backward_weight_with(context, g, WeightBlocking::of(g, n), n, x, d_y, d_w, d_b)
}

/// [`backward_weight`] in pieces of chosen sizes, which cannot change a bit.
///
/// # Errors
/// As [`backward_weight`], and [`Error::Argument`] if a size is zero.
pub fn backward_weight_with(
    context: &Context,
    g: &Geometry,
    blocking: WeightBlocking,
    n: usize,
    x: &dyn Source,
    d_y: &dyn Source,
    d_w: &mut [f32],
    d_b: Option<&mut [f32]>,
) -> Result<()> {
    let plan = plan(context, g, n, blocking, d_w, d_b.as_deref())?;
    check_source("elements of an example of x", x, n, g.input_len())?;
    check_source("elements of an example of d_y", d_y, n, g.output_len())?;
    run(context, &plan, n, (x, d_y, 0), true, &mut Gradient { d_w, d_b })
}

/// The gradient of a batch whose examples a caller prepares, task by task: for the backward pass of a layer that makes
/// d_y once and wants it for both gradients while it is in the cache.
///
/// `work` is called once for each task, on any thread. It must feed all groups of the task in turn:
///
/// ```text
/// while let Some(examples) = task.examples() {
///     // ... make x and d_y of these examples, pass d_y backward to data ...
///     task.add(&x, &d_y)?;
/// }
/// ```
///
/// The rest is as in [`backward_weight_with`], of which this has all the bits; `blocking.divide_weights` is ignored.
///
/// # Errors
/// As [`backward_weight_with`]; those of `work`; [`Error::Argument`] if it left out a group.
pub fn backward_weight_by(
    context: &Context,
    g: &Geometry,
    blocking: WeightBlocking,
    n: usize,
    work: &(dyn Fn(&mut WeightTask<'_>) -> Result<()> + Sync),
    d_w: &mut [f32],
    d_b: Option<&mut [f32]>,
) -> Result<()> {
    let plan = plan(context, g, n, blocking, d_w, d_b.as_deref())?;
    by_examples(context, &plan, n, work, true, &mut Gradient { d_w, d_b })
}

/// Checks the lengths and cuts the work.
fn plan(
    context: &Context,
    g: &Geometry,
    n: usize,
    blocking: WeightBlocking,
    d_w: &[f32],
    d_b: Option<&[f32]>,
) -> Result<Plan> {
    struct Make<'a>(&'a Geometry, usize, bool, WeightBlocking);
    impl Kernel for Make<'_> {
        type Output = Result<Plan>;
        #[inline(always)]
        fn run<S: Tier>(self, _: S) -> Result<Plan> {
            Plan::new::<S>(self.0, self.1, self.2, self.3)
        }
    }
    g.check()?;
    same("elements of d_w", g.weight_len(), d_w.len())?;
    if let Some(d_b) = d_b {
        same("elements of d_b", g.c_out, d_b.len())?;
    }
    context.dispatch(Make(g, n, d_b.is_some(), blocking))?
}

fn check_source(what: &'static str, source: &dyn Source, n: usize, len: usize) -> Result<()> {
    (0..n).filter_map(|e| source.in_place(e)).try_for_each(|example| same(what, len, example.len()))
}

/// Adds up `n` examples, the first of which has the number `shift` in both sources.
fn run(
    context: &Context,
    plan: &Plan,
    n: usize,
    (x, d_y, shift): (&dyn Source, &dyn Source, usize),
    last: bool,
    gradient: &mut Gradient<'_>,
) -> Result<()> {
    if plan.blocking.divide_weights && n > 0 {
        let mut root = context.scratch(plan.region())?;
        let (x, d_y) = (Examples { source: x, shift }, Examples { source: d_y, shift });
        by_weights(context, Batch { plan, n, x, d_y }, &mut root)?;
        return finish(context, plan, &mut root, last, gradient);
    }
    let work = |task: &mut WeightTask<'_>| {
        while let Some(examples) = task.examples() {
            let first = examples.start + shift;
            task.add_from((x, first), (d_y, first))?;
        }
        Ok(())
    };
    by_examples(context, plan, n, &work, last, gradient)
}

fn by_examples(
    context: &Context,
    plan: &Plan,
    n: usize,
    work: &(dyn Fn(&mut WeightTask<'_>) -> Result<()> + Sync),
    last: bool,
    gradient: &mut Gradient<'_>,
) -> Result<()> {
    if n == 0 {
        gradient.d_w.fill(0.0);
        gradient.d_b.as_deref_mut().unwrap_or_default().fill(0.0);
        return Ok(());
    }
    let tasks = task_count(plan, n);
    let overflow = Error::Overflow { op: OP, what: "the partial sums" };
    let mut roots = context.scratch(tasks.checked_mul(plan.region()).ok_or(overflow)?)?;
    let regions = Shards::new(&mut roots);
    each(context, tasks, |task| {
        let groups = plan.shards.count(n).div_ceil(plan.blocking.group);
        let first = task * plan.blocking.task_groups;
        let count = plan.blocking.task_groups.min(groups - first);
        // SAFETY: each task has a region of its own.
        let root = unsafe { regions.slice(task * plan.region()..(task + 1) * plan.region()) };
        let slots = context.scratch(levels(count) * plan.region())?;
        let room = Room::new(context, plan)?;
        let mut task = WeightTask { context, plan, n, first, count, index: 0, root, slots, room };
        work(&mut task)?;
        if let Some(examples) = task.examples() {
            let (what, requirement) = ("the last group of a task", "added");
            return Err(Error::Argument { op: OP, what, requirement, actual: format!("left out: {examples:?}") });
        }
        Ok(())
    })?;
    finish(context, plan, &mut roots, last, gradient)
}

/// One task of [`backward_weight_by`]: a run of examples, in groups of whole virtual shards.
pub struct WeightTask<'a> {
    context: &'a Context,
    plan: &'a Plan,
    n: usize,
    /// The task's groups, and how many of them are done.
    first: usize,
    count: usize,
    index: usize,
    root: &'a mut [f32],
    slots: Scratch<'a, f32>,
    room: Room<'a>,
}

impl std::fmt::Debug for WeightTask<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WeightTask").field("examples", &self.examples()).finish_non_exhaustive()
    }
}

impl WeightTask<'_> {
    fn shards(&self) -> Range<usize> {
        let group = self.plan.blocking.group;
        let from = (self.first + self.index) * group;
        from..(from + group).min(self.plan.shards.count(self.n))
    }

    /// The examples that [`add`](Self::add) wants next, or None if the task is done.
    #[must_use]
    pub fn examples(&self) -> Option<Range<usize>> {
        if self.index == self.count {
            return None;
        }
        let (shards, of) = (self.shards(), &self.plan.shards);
        Some(of.examples_of(shards.start, self.n).start..of.examples_of(shards.end - 1, self.n).end)
    }

    /// Adds those [`examples`](Self::examples), whose first one has the number 0 in both sources.
    ///
    /// # Errors
    /// [`Error::Argument`] if the task is done, [`Error::Shape`] if an example has not the size that the geometry says.
    pub fn add(&mut self, x: &dyn Source, d_y: &dyn Source) -> Result<()> {
        let n = self.examples().map_or(0, |examples| examples.len());
        check_source("elements of an example of x", x, n, self.plan.g.input_len())?;
        check_source("elements of an example of d_y", d_y, n, self.plan.g.output_len())?;
        self.add_from((x, 0), (d_y, 0))
    }

    /// The same with sources in which the first example has these numbers.
    fn add_from(&mut self, x: (&dyn Source, usize), d_y: (&dyn Source, usize)) -> Result<()> {
        let Some(examples) = self.examples() else {
            let (what, requirement) = ("the number of groups", "that of the task");
            return Err(Error::Argument { op: OP, what, requirement, actual: "one more".to_owned() });
        };
        let of = |(source, first): (_, usize)| Examples { source, shift: first.wrapping_sub(examples.start) };
        let batch = Batch { plan: self.plan, n: self.n, x: of(x), d_y: of(d_y) };
        let (slots, root) = (self.slots.as_mut_ptr(), self.root.as_mut_ptr());
        let target = Target { index: self.index, count: self.count, slots, root };
        // SAFETY: the regions are this task's own, of the size that the plan says.
        unsafe { group(self.context, batch, self.shards(), target, &mut self.room)? };
        self.index += 1;
        Ok(())
    }
}

/// The gradient of a batch that comes in micro-batches.
///
/// It has the bits of [`backward_weight`] over all examples at once, however they are divided: every piece but the last
/// must be a multiple of [`VirtualShards::examples`] long, which a multiple of 8 always is.
#[derive(Debug)]
pub struct WeightGradient {
    g: Geometry,
    bias: bool,
    /// Shards that are in.
    count: usize,
    /// Whether the last one was not whole.
    closed: bool,
    /// For each bit of `count` that is set the sums of a subtree of as many shards, weights then biases.
    subtrees: Vec<Option<Buffer<f32>>>,
    spare: Vec<Buffer<f32>>,
}

impl WeightGradient {
    /// A gradient of no examples.
    ///
    /// # Errors
    /// Those of [`Geometry::check`].
    pub fn new(g: &Geometry, bias: bool) -> Result<Self> {
        g.check()?;
        Ok(Self { g: *g, bias, count: 0, closed: false, subtrees: Vec::new(), spare: Vec::new() })
    }

    /// Adds the next `n` examples.
    ///
    /// # Errors
    /// As [`backward_weight`]; [`Error::Argument`] if the examples before were no whole number of shards.
    pub fn add(&mut self, context: &Context, n: usize, x: &dyn Source, d_y: &dyn Source) -> Result<()> {
        let g = self.g;
        if n == 0 {
            return Ok(());
        }
        let shards = VirtualShards::of(&g);
        if self.closed {
            let (what, requirement) =
                ("the length of a micro-batch before the last", "a whole number of virtual shards");
            let actual = format!("no multiple of {} examples", shards.examples);
            return Err(Error::Argument { op: OP, what, requirement, actual });
        }
        check_source("elements of an example of x", x, n, g.input_len())?;
        check_source("elements of an example of d_y", d_y, n, g.output_len())?;
        // Aligned runs of 2^b shards, each of which is a subtree.
        let (start, end) = (self.count, self.count + shards.count(n));
        while self.count < end {
            let aligned = if self.count == 0 { usize::MAX } else { 1 << self.count.trailing_zeros() };
            let run = aligned.min(1 << (end - self.count).ilog2());
            let from = shards.examples_of(self.count - start, n).start;
            let to = shards.examples_of(self.count + run - 1 - start, n).end;
            let mut sums = self.sums(context, from, to - from, x, d_y)?;
            let mut bit = run.ilog2() as usize;
            while self.count >> bit & 1 == 1 {
                if let Some(left) = self.subtrees.get_mut(bit).and_then(Option::take) {
                    crate::kernels::elementwise::add_assign(context, &left, &mut sums)?;
                    self.spare.push(left);
                }
                bit += 1;
            }
            if self.subtrees.len() <= bit {
                self.subtrees.resize_with(bit + 1, || None);
            }
            self.subtrees[bit] = Some(sums);
            self.count += run;
        }
        self.closed = !n.is_multiple_of(shards.examples);
        Ok(())
    }

    /// The tree's value over some examples.
    fn sums(
        &mut self,
        context: &Context,
        from: usize,
        n: usize,
        x: &dyn Source,
        d_y: &dyn Source,
    ) -> Result<Buffer<f32>> {
        let weights = self.g.weight_len();
        let mut sums = match self.spare.pop() {
            Some(spare) => spare,
            None => Buffer::zeroed(weights + if self.bias { self.g.c_out } else { 0 })?,
        };
        let (d_w, d_b) = sums.split_at_mut(weights);
        let d_b = self.bias.then_some(d_b);
        let plan = plan(context, &self.g, n, WeightBlocking::of(&self.g, n), d_w, d_b.as_deref())?;
        run(context, &plan, n, (x, d_y, from), false, &mut Gradient { d_w, d_b })?;
        Ok(sums)
    }

    /// The gradient of all examples that are in; the next one starts from nothing. Memory is kept for it.
    ///
    /// # Errors
    /// [`Error::Shape`] if a length does not fit, or biases are wanted that were not added up.
    pub fn finish(&mut self, context: &Context, d_w: &mut [f32], d_b: Option<&mut [f32]>) -> Result<()> {
        let weights = self.g.weight_len();
        same("elements of d_w", weights, d_w.len())?;
        if let Some(d_b) = &d_b {
            same("elements of d_b", if self.bias { self.g.c_out } else { 0 }, d_b.len())?;
        }
        let mut sum: Option<Buffer<f32>> = None;
        for left in &mut self.subtrees {
            let Some(left) = left.take() else { continue };
            match &mut sum {
                Some(sum) => {
                    crate::kernels::elementwise::add_assign(context, &left, sum)?;
                    self.spare.push(left);
                }
                None => sum = Some(left),
            }
        }
        (self.count, self.closed) = (0, false);
        let canonical = |to: &mut [f32], from: &[f32]| {
            for (to, from) in to.iter_mut().zip(from) {
                *to = 0.0 + from;
            }
        };
        match sum {
            Some(sum) => {
                canonical(d_w, &sum[..weights]);
                if let Some(d_b) = d_b {
                    canonical(d_b, &sum[weights..]);
                }
                self.spare.push(sum);
            }
            None => {
                d_w.fill(0.0);
                d_b.unwrap_or_default().fill(0.0);
            }
        }
        Ok(())
    }
}

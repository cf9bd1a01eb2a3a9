//! A short training run in files, for comparison with another system.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use regularity_engine::kernels::loss::Targets;
use regularity_engine::kernels::norm::Shape;
use regularity_engine::layers::Mode;
use regularity_engine::models::gradients;
use regularity_engine::optim::{Rate, Sgd};
use regularity_engine::params::{Entry, Groups};
use regularity_engine::random::Stream;
use regularity_engine::{Context, Result as EngineResult};

use crate::checkpoint::{Tensor, write_tensors};
use crate::error::{Error, Result};
use crate::measure::StepProblem;

/// Classes of the keyed labels.
const CLASSES: usize = 10;

/// Makes the steps of `problem` on one batch and writes to `folder`, each a safetensors file:
///
/// | file | tensors |
/// |---|---|
/// | `weights` | parameters and running statistics at the start, under their names |
/// | `batch` | `images` `[n, h, w, c]`, `labels` `[n]` |
/// | `first` | of the first step: `logits` `[n, classes]`, `loss`, and `gradient.` with each parameter's name |
/// | `activations-0`, `-1`, ... | of each step: what each rectifier gave, under the name of the normalisation before it, `[n, h, w, c]` |
/// | `after` | parameters and running statistics after the last step |
///
/// # Errors
/// Those of the engine; [`Error::Write`] if the system refuses.
pub fn exchange(problem: &StepProblem, folder: &Path) -> Result<()> {
    let StepProblem { network, norm, batch, pixels, isa, threads, steps, .. } = *problem;
    fs::create_dir_all(folder).map_err(|source| Error::Write { path: folder.to_owned(), source })?;
    let context = Context::new(isa, threads)?;
    let input = Shape::new(batch, pixels, pixels, 3)?;
    let mut images = vec![0.0; input.len()];
    Stream::new(1, "exchange/images", 0).fill_normal(&context, 0, &mut images, 0.0, 1.0)?;
    let labels = Stream::new(1, "exchange/labels", 0);
    let labels: Vec<u32> = (0..batch as u64).map(|i| labels.below_at(i, CLASSES as u64) as u32).collect();

    let mut net = network.build(&context, norm, input, CLASSES, 1)?;
    let (mut values, mut gradient) = (net.table().values()?, net.table().gradients()?);
    net.init(&context, 1, &mut values)?;
    let write = |name: &str, tensors: &BTreeMap<String, Tensor>| {
        write_tensors(&folder.join(format!("{name}.safetensors")), tensors)
    };
    let of = |entries: &[&Entry], prefix: &str, arena: &[f32]| -> BTreeMap<String, Tensor> {
        let tensor = |entry: &&Entry| Tensor { shape: entry.shape().to_vec(), data: arena[entry.range()].to_vec() };
        entries.iter().map(|entry| (format!("{prefix}{}", entry.name()), tensor(entry))).collect()
    };
    let table = net.table().clone();
    let (all, trained) = (table.entries().iter().collect::<Vec<_>>(), table.trained().collect::<Vec<_>>());
    write("weights", &of(&all, "", &values))?;
    let shape = vec![batch, pixels, pixels, 3];
    let mut tensors = BTreeMap::from([("images".to_owned(), Tensor { shape, data: images.clone() })]);
    let data = labels.iter().map(|&label| label as f32).collect();
    tensors.insert("labels".to_owned(), Tensor { shape: vec![batch], data });
    write("batch", &tensors)?;

    let mut sgd = Sgd::new(&table, 0.9, false)?;
    let groups = Groups::one(&table);
    for step in 0..steps as u64 {
        // On a copy: a forward pass updates the running statistics, and the step below makes its own.
        let mut tensors = BTreeMap::new();
        context.install(|| -> EngineResult<()> {
            net.forward(&context, &mut values.to_vec(), &images, Mode::Train { step })?;
            net.activations(&context, &mut |name, shape, x| {
                let shape = vec![shape.n, shape.h, shape.w, shape.c];
                tensors.insert(name.to_owned(), Tensor { shape, data: x.to_vec() });
            })
        })?;
        write(&format!("activations-{step}"), &tensors)?;
        let loss = context.install(|| -> EngineResult<f32> {
            let targets = Targets::Hard(&labels);
            Ok(gradients(&context, &mut *net, &mut values, &images, targets, step, &mut gradient)?.mean())
        })?;
        if step == 0 {
            let mut tensors = of(&trained, "gradient.", &gradient);
            let logits = net.outputs()?.0.to_vec();
            tensors.insert("logits".to_owned(), Tensor { shape: vec![batch, CLASSES], data: logits });
            tensors.insert("loss".to_owned(), Tensor { shape: vec![], data: vec![loss] });
            write("first", &tensors)?;
        }
        sgd.step(&context, &groups, &[Rate { lr: 0.05, weight_decay: 5e-4 }], &mut values, &gradient)?;
    }
    write("after", &of(&all, "", &values))
}

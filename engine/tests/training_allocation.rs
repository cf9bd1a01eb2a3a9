//! A training step allocates nothing once the first is done.
#![allow(clippy::unwrap_used)] // a test may panic
#![allow(missing_docs)] // no one reads the documentation of a test

#[path = "common/counting.rs"]
mod counting;

use counting::allocations;
use regularity_engine::kernels::loss::Targets;
use regularity_engine::kernels::norm::Shape;
use regularity_engine::layers::NormKind;
use regularity_engine::models::{Model, ResNet, convnet, gradients, resnet, vgg16, wide_resnet};
use regularity_engine::optim::{Rate, Sgd};
use regularity_engine::params::Groups;
use regularity_engine::{Context, Isa};

/// Allocations of each of some steps.
fn steps(context: &Context, net: &mut dyn Model, count: u64) -> Vec<usize> {
    let input = net.input();
    let (mut values, mut gradient) = (net.table().values().unwrap(), net.table().gradients().unwrap());
    net.init(context, 1, &mut values).unwrap();
    let (mut sgd, groups) = (Sgd::new(net.table(), 0.9, true).unwrap(), Groups::one(net.table()));
    let images: Vec<f32> = (0..input.len()).map(|i| (i * 37 % 101) as f32 / 50.0 - 1.0).collect();
    let labels: Vec<u32> = (0..input.n as u32).map(|i| i % 10).collect();
    let mut counts = Vec::with_capacity(count as usize);
    // Inside of the pool: entering it from outside may allocate in its queue.
    context.install(|| {
        for step in 0..count {
            let before = allocations(context);
            gradients(context, net, &mut values, &images, Targets::Hard(&labels), step, &mut gradient).unwrap();
            let rates = [Rate { lr: 0.01, weight_decay: 5e-4 }];
            sgd.step(context, &groups, &rates, &mut values, &gradient).unwrap();
            counts.push(allocations(context) - before);
        }
    });
    counts
}

/// One test, since the counter is the process's.
#[test]
fn steps_after_the_first_allocate_nothing() {
    let (small, large) = (Shape::new(6, 8, 8, 3).unwrap(), Shape::new(2, 32, 32, 3).unwrap());
    let build = |context: &Context| -> Vec<Box<dyn Model>> {
        let mut wide = wide_resnet(context, [10, 1], NormKind::Batch, small, 10, 1).unwrap();
        wide.set_noise(0.1);
        let residual = |norm| Box::new(resnet(context, ResNet::ResNet8, norm, small, 10, 1).unwrap());
        vec![
            residual(NormKind::Stochastic(0.5)),
            residual(NormKind::Group(4)),
            Box::new(wide),
            Box::new(vgg16(context, NormKind::Batch, large, 10, 1).unwrap()),
            Box::new(convnet(context, &[(16, 1), (32, 2)], small, 10).unwrap()),
        ]
    };
    let alone = Context::new(Isa::detect(), 1).unwrap();
    let before = allocations(&alone);
    let nets = build(&alone);
    assert!(allocations(&alone) > before, "the counter does not count");
    for mut net in nets {
        let counts = steps(&alone, &mut *net, 4);
        assert!(counts[1..].iter().all(|&count| count == 0), "{counts:?}");
    }
    // How many tasks run at once is up to the scheduler, so the scratch for two may be wanted in any step; but it is
    // allocated only once.
    let two = Context::new(Isa::detect(), 2).unwrap();
    for mut net in build(&two) {
        let counts = steps(&two, &mut *net, 12);
        assert!(counts.iter().sum::<usize>() <= 2 * counts[0].max(64), "{counts:?}");
        assert!(counts[4..].iter().filter(|&&count| count == 0).count() >= 4, "{counts:?}");
    }
}

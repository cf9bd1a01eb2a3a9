//! Every experiment's smallest run against its golden, the same file that `regularity check` reads.

#![allow(clippy::unwrap_used)] // a test that unwraps says where it failed

use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use regularity::config::Profile;
use regularity::experiments::REGISTRY;
use regularity::run::{Pace, Prepared, Request};
use regularity_engine::{Context, Isa};

#[test]
fn the_smoke_golden_of_every_experiment_holds() {
    for experiment in REGISTRY {
        let id = experiment.about().id;
        assert!(experiment.about().profiles.contains(&Profile::Smoke), "{id} has no smoke profile");
        let out = tempfile::tempdir().unwrap();
        // Other numbers of threads than the golden was written with, and between them.
        let threads = 1 + id.len() % 3;
        let context = Context::new(Isa::detect(), threads).unwrap();
        let prepared = Prepared::new(*experiment, &Request::of(Profile::Smoke), &context).unwrap();
        let pace = Pace { isa: Isa::detect(), threads, interval: Duration::from_secs(60), trace: false };
        let finished = prepared.run(out.path(), false, &pace, &AtomicBool::new(false), &()).unwrap();
        let body = finished.outline().body().unwrap();
        let folder = Path::new("../../golden").join(id);
        insta::with_settings!({ snapshot_path => folder, prepend_module_to_snapshot => false }, {
            insta::assert_snapshot!("smoke", body);
        });
    }
}

//! `regularity selftest` and its golden, which holds on every tier and at every thread count.

#![allow(clippy::unwrap_used)] // a test that unwraps says where it failed

mod common;

use std::path::{Path, PathBuf};

use common::{command, finish, flat, run};
use regularity::golden::Snapshot;
use regularity::selftest;
use regularity_engine::Isa;
use serde_json::Value;

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../golden/selftest.snap")
}

/// Runs the selftest against a golden with these contents.
fn against(contents: &str, args: &[&str]) -> common::Run {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("selftest.snap");
    std::fs::write(&path, contents).unwrap();
    finish(command().args(["selftest", "--isa", "auto", "--threads", "1", "--golden"]).arg(path).args(args))
}

#[test]
fn every_tier_and_thread_count_computes_the_golden() {
    for threads in [1, 2, 3, 5, 8] {
        let outcomes = selftest::run(&Isa::available(), threads).unwrap();
        let body = selftest::body(&outcomes).unwrap();
        insta::with_settings!({ snapshot_path => "../../golden", prepend_module_to_snapshot => false }, {
            insta::assert_snapshot!("selftest", body);
        });
    }
}

#[test]
fn the_golden_that_is_built_in_is_the_committed_one() {
    let built_in = Snapshot::parse("built in", selftest::GOLDEN).unwrap();
    assert_eq!(built_in, Snapshot::read(&golden()).unwrap());
    assert!(!built_in.description.is_empty(), "a golden tells why it was blessed");
}

#[test]
fn selftest_passes_and_prints_the_lines_of_the_golden() {
    let lines = Snapshot::read(&golden()).unwrap().body;
    let tiers = Isa::available().into_iter().map(|isa| vec!["--isa", isa.name(), "--threads", "3"]);
    for args in tiers.chain([vec![], vec!["--isa", "auto"]]) {
        let run = run(&[&["selftest"], &args[..]].concat());
        assert_eq!(run.code, 0, "{args:?}: {run:?}");
        assert_eq!(run.stdout, lines, "{args:?}");
        assert!(run.stderr.starts_with("fine: "), "{run:?}");
    }
}

#[test]
fn json_tells_each_kernel_on_each_tier() {
    let run = run(&["selftest", "--json", "--threads", "2"]);
    assert_eq!(run.code, 0, "{run:?}");
    let json: Value = serde_json::from_str(&run.stdout).unwrap();
    let keys: Vec<_> = json.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["differences", "golden", "kernels", "numerics_version", "pass", "threads", "tiers", "version"]);
    assert_eq!((&json["pass"], &json["threads"]), (&true.into(), &2.into()));
    let tiers: Vec<_> = Isa::available().into_iter().map(Isa::name).collect();
    assert_eq!(json["tiers"], Value::from(tiers.clone()));
    for kernel in json["kernels"].as_array().unwrap() {
        for tier in &tiers {
            assert_eq!(kernel["digests"][tier], kernel["expected"], "{kernel}");
        }
    }
}

#[test]
fn a_digest_that_differs_exits_with_1_and_names_the_kernel_and_the_remedy() {
    let good = std::fs::read_to_string(golden()).unwrap();
    let line = good.lines().find(|line| line.starts_with("math/exp ")).unwrap();
    let (start, last) = line.split_at(line.len() - 1);
    let bad = good.replace(line, &format!("{start}{}", if last == "0" { "1" } else { "0" }));
    let run = against(&bad, &[]);
    assert_eq!(run.code, 1, "{run:?}");
    let stderr = flat(&run.stderr);
    assert!(stderr.contains(&format!("math/exp: differs on {}", Isa::detect())), "{stderr}");
    assert!(stderr.contains("1 of the golden's lines") && stderr.contains("regularity doctor --json"), "{stderr}");
    let json: Value = serde_json::from_str(&against(&bad, &["--json"]).stdout).unwrap();
    assert_eq!(json["pass"], false);
    assert_eq!(json["differences"][0]["name"], "math/exp");
}

#[test]
fn a_kernel_too_few_or_too_many_exits_with_1() {
    let good = std::fs::read_to_string(golden()).unwrap();
    let few = against(&good.lines().filter(|line| !line.starts_with("simd/bits ")).collect::<Vec<_>>().join("\n"), &[]);
    assert_eq!(few.code, 1);
    assert!(flat(&few.stderr).contains("simd/bits: the golden does not have it"), "{few:?}");
    let many = against(&(good + "simd/other f32 3 00\n"), &[]);
    assert_eq!(many.code, 1);
    assert!(flat(&many.stderr).contains("simd/other: the golden has it"), "{many:?}");
}

#[test]
fn a_damaged_golden_exits_with_3_and_a_missing_one_with_5() {
    let good = std::fs::read_to_string(golden()).unwrap();
    for (what, contents) in [
        ("empty", String::new()),
        ("no header", "numerics version 1\n".to_owned()),
        ("header not closed", "---\nsource: harness\n".to_owned()),
        ("short line", good + "simd/other f32\n"),
    ] {
        let run = against(&contents, &[]);
        assert_eq!(run.code, 3, "{what}: {run:?}");
        assert!(flat(&run.stderr).contains("git restore golden"), "{what}: {}", run.stderr);
    }
    let run = run(&["selftest", "--golden", "no/such/file"]);
    assert_eq!(run.code, 5, "{run:?}");
    assert!(flat(&run.stderr).contains("no/such/file"), "{run:?}");
}

#[test]
fn bless_writes_what_selftest_accepts_and_keeps_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new.snap");
    let bless = |reason: &str| finish(command().args(["bless", "selftest", "--reason", reason, "--golden"]).arg(&path));
    let first = bless("a \"first\" reason");
    assert_eq!(first.code, 0, "{first:?}");
    assert!(first.stdout.contains("+ numerics version"), "{first:?}");
    let written = Snapshot::read(&path).unwrap();
    assert_eq!(written.description, "a \"first\" reason");
    assert_eq!(written.body, Snapshot::read(&golden()).unwrap().body);
    assert_eq!(finish(command().args(["selftest", "--golden"]).arg(&path)).code, 0);
    // Nothing changed, so nothing is written and the reason stays.
    let second = bless("another");
    assert_eq!((second.code, second.stdout.as_str()), (0, ""), "{second:?}");
    assert_eq!(Snapshot::read(&path).unwrap(), written);
}

#[test]
fn bless_needs_a_reason_a_person_and_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new.snap");
    let bless = |reason: &str, ci: &str, path: &Path| {
        finish(command().env("CI", ci).args(["bless", "selftest", "--reason", reason, "--golden"]).arg(path)).code
    };
    assert_eq!(bless(" ", "", &path), 2);
    assert_eq!(bless("a reason", "true", &path), 2);
    assert!(!path.exists());
    assert_eq!(bless("a reason", "false", &folder.path().join("no/new.snap")), 5);
}

//! The command line as its users meet it: help, exit codes, streams, and JSON.

#![allow(clippy::unwrap_used)] // a test that unwraps says where it failed

mod common;

use std::collections::BTreeSet;
use std::process::Stdio;

use common::{command, finish, flat, run};
use regularity_engine::Isa;
use serde_json::Value;

const SUBCOMMANDS: [&[&str]; 16] = [
    &["list"],
    &["run"],
    &["check"],
    &["bless"],
    &["report"],
    &["compare"],
    &["trace"],
    &["sweep"],
    &["sweep", "plan"],
    &["sweep", "run"],
    &["sweep", "collect"],
    &["doctor"],
    &["selftest"],
    &["bench"],
    &["bench", "gemm"],
    &["completions"],
];

fn keys(value: &Value) -> BTreeSet<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

/// A tier that this CPU cannot run; every CPU lacks one, since two architectures are known.
fn missing_tier() -> &'static str {
    Isa::ALL.into_iter().find(|isa| isa.require().is_err()).unwrap().name()
}

#[test]
fn help_goes_to_stdout_and_names_subcommands_and_exit_codes() {
    let top = run(&["--help"]);
    assert_eq!(top.code, 0, "{top:?}");
    for word in [
        "list",
        "run",
        "check",
        "report",
        "compare",
        "trace",
        "sweep",
        "doctor",
        "selftest",
        "bless",
        "bench",
        "completions",
        "130  interrupted",
        "NO_COLOR",
    ] {
        assert!(top.stdout.contains(word), "{word}: {}", top.stdout);
    }
    assert!(top.stderr.is_empty());
    for subcommand in SUBCOMMANDS {
        let help = run(&[subcommand, &["--help"]].concat());
        assert_eq!(help.code, 0, "{subcommand:?}");
        assert!(help.stdout.contains(&format!("Usage: regularity {}", subcommand.join(" "))), "{}", help.stdout);
    }
    assert_eq!(run(&["--version"]).stdout, format!("regularity {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn usage_errors_exit_with_2_and_say_nothing_on_stdout() {
    let gemm = |size: &'static str| vec!["bench", "gemm", "--m", size, "--n", size, "--k", "8"];
    let cases: [(Vec<&str>, &str); 14] = [
        (vec![], "Usage"),
        (vec!["selftets"], "selftest"),
        (vec!["selftest", "--isa", "nean"], "neon"),
        (vec!["selftest", "--isa", missing_tier()], "results are the same on every tier"),
        (vec!["bench", "gemm", "--m", "8", "--n", "8"], "--k <K>"),
        (gemm("0"), "1.."),
        (gemm("4294967296"), "overflows the address space"),
        (gemm("16777216"), "ask for a smaller problem"),
        (vec!["selftest", "--threads", "0"], "1..=1024"),
        (vec!["selftest", "--threads", "1025"], "1..=1024"),
        (vec!["selftest", "--threads", "many"], "invalid digit"),
        (vec!["doctor", "--threads", "0"], "1..=1024"),
        (vec!["bless", "selftest"], "--reason <TEXT>"),
        (vec!["completions", "dos"], "bash"),
    ];
    for (args, expected) in cases {
        let run = run(&args);
        assert_eq!(run.code, 2, "{args:?}: {run:?}");
        assert!(flat(&run.stderr).contains(expected), "{args:?}: {}", run.stderr);
        assert!(run.stdout.is_empty(), "{args:?}");
    }
}

#[test]
fn a_folder_without_data_exits_with_3_and_names_the_sets_that_were_looked_for() {
    let empty = tempfile::tempdir().unwrap();
    let folder = empty.path().to_str().unwrap();
    let out = empty.path().join("runs");
    let run = run(&["run", "large-lr", "--profile", "smoke", "--data", folder, "--out", out.to_str().unwrap()]);
    assert_eq!(run.code, 3, "{run:?}");
    assert!(run.stdout.is_empty(), "{run:?}");
    let talk = flat(&run.stderr);
    for word in ["CIFAR-10 or MNIST is not there", "data_batch_1.bin", "train-images", "leave --data away"] {
        assert!(talk.contains(word), "no {word} in {talk}");
    }
}

#[test]
fn doctor_tells_facts_about_every_tier() {
    let run = run(&["doctor", "--no-measure", "--threads", "3"]);
    assert_eq!(run.code, 0, "{run:?}");
    for isa in Isa::ALL {
        let line = run.stdout.lines().find(|line| line.starts_with(isa.name())).unwrap();
        assert_eq!(line.contains("not on this CPU: "), isa.require().is_err(), "{line}");
    }
    assert!(run.stdout.contains("threads       3\n") && run.stderr.is_empty(), "{run:?}");
}

#[test]
fn doctor_json_has_its_keys_and_every_measurement() {
    let run = run(&["doctor", "--json"]);
    assert_eq!(run.code, 0, "{run:?}");
    let doctor: Value = serde_json::from_str(&run.stdout).unwrap();
    let expected = "architecture caches cpu float_environment measured numerics_version system threads tiers version";
    assert_eq!(keys(&doctor), expected.split(' ').collect());
    assert_eq!(doctor["float_environment"]["fine"], true);
    assert_eq!(doctor["tiers"].as_array().unwrap().len(), Isa::ALL.len());
    let measured = &doctor["measured"];
    let counts = if doctor["threads"] == 1 { 1 } else { 2 };
    let peaks = measured["fma_peak"].as_array().unwrap();
    assert_eq!(peaks.len(), counts * Isa::available().len());
    let bandwidth = measured["bandwidth"].as_array().unwrap();
    assert!(bandwidth.len() >= counts * 9, "three operations at three levels at least");
    for entry in peaks {
        assert_eq!(keys(entry), ["isa", "threads", "gflops"].into());
        assert_eq!(keys(&entry["gflops"]), ["min", "median", "max"].into());
    }
    for entry in bandwidth {
        assert_eq!(keys(entry), ["level", "operation", "threads", "array_bytes", "gb_per_s"].into());
    }
}

#[test]
fn bench_gemm_json_has_its_keys() {
    let args = ["--m", "33", "--n", "17", "--k", "65", "--trans-b", "--isa", "portable", "--threads", "2", "--json"];
    let run = run(&[&["bench", "gemm"], &args[..]].concat());
    assert_eq!(run.code, 0, "{run:?}");
    let bench: Value = serde_json::from_str(&run.stdout).unwrap();
    let expected = "m n k trans_a trans_b isa threads repetitions calls_per_sample gflops_median gflops_min gflops_max \
                    peak_gflops fraction_of_peak copy_gb_per_s bytes floor_arithmetic_s floor_traffic_s best_s";
    assert_eq!(keys(&bench), expected.split_whitespace().collect());
    for (key, value) in [("m", 33), ("n", 17), ("k", 65), ("threads", 2)] {
        assert_eq!(bench[key], value, "{key}");
    }
    assert_eq!(
        (&bench["trans_a"], &bench["trans_b"], &bench["isa"]),
        (&false.into(), &true.into(), &"portable".into())
    );
    assert!(bench["gflops_median"].as_f64().unwrap() > 0.0 && bench["peak_gflops"].as_f64().unwrap() > 0.0);
}

#[test]
fn a_reader_that_goes_away_ends_the_program_quietly() {
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_regularity-under-test"))
        .args(["completions", "bash"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // The reading end closes before anything was read, like that of `head` does after its line.
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_under_stdout_exits_with_5() {
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_regularity-under-test"))
        .args(["completions", "bash"])
        .stdout(full)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(5), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("standard output"), "{output:?}");
}

#[test]
fn nothing_is_coloured_where_no_person_watches_or_no_color_is_set() {
    let failing = ["selftest", "--isa", missing_tier()];
    for args in [&["doctor", "--no-measure"][..], &["--help"], &failing] {
        for no_color in [None, Some("1")] {
            let mut command = command();
            command.args(args).envs(no_color.map(|value| ("NO_COLOR", value)));
            let run = finish(&mut command);
            assert!(!run.stdout.contains('\x1b') && !run.stderr.contains('\x1b'), "{args:?} {no_color:?}: {run:?}");
        }
    }
}

#[test]
fn completions_know_every_flag() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let run = run(&["completions", shell]);
        assert_eq!(run.code, 0, "{shell}");
        for word in ["selftest", "threads", "doctor"] {
            assert!(run.stdout.contains(word), "{shell}: {word}");
        }
    }
}

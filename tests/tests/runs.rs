//! Runs as a user meets them: folders, interruption, refusals, goldens, reports. The experiment is the lab's, so that
//! each run takes milliseconds.

#![allow(clippy::unwrap_used)] // a test that unwraps says where it failed

mod common;

use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use assert_cmd::Command;
use common::{Run, finish, flat};
use serde_json::Value;

const LAB: &str = env!("CARGO_BIN_EXE_regularity-with-lab");

fn lab(out: &Path, args: &[&str]) -> Run {
    let mut command = Command::new(LAB);
    for name in ["CI", "NO_COLOR"] {
        command.env_remove(name);
    }
    finish(command.args(args).arg("--out").arg(out))
}

/// Arguments of a run with a person's patience: rests in each step, a checkpoint every few of them.
const SLOW: [&str; 9] =
    ["run", "descent", "--profile", "smoke", "--set", "rest_us=4000", "--checkpoint-every", "0.02", "--resume"];

fn start(out: &Path, args: &[&str]) -> Child {
    let mut command = std::process::Command::new(LAB);
    command.args(args).arg("--out").arg(out).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().unwrap()
}

/// The one run folder below `out`.
fn folder(out: &Path) -> PathBuf {
    let mut folders: Vec<_> = std::fs::read_dir(out).unwrap().map(|e| e.unwrap().path()).collect();
    assert_eq!(folders.len(), 1, "{folders:?}");
    folders.remove(0)
}

fn json(path: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn digest(out: &Path) -> String {
    json(&folder(out).join("manifest.json"))["digest"].as_str().unwrap().to_owned()
}

#[test]
fn a_run_leaves_everything_it_promises_and_is_not_run_again() {
    let out = tempfile::tempdir().unwrap();
    let args = ["run", "descent", "--profile", "smoke", "--json"];
    let first = lab(out.path(), &args);
    assert_eq!(first.code, 0, "{first:?}");
    let told: Value = serde_json::from_str(&first.stdout).unwrap();
    assert_eq!((&told[0]["experiment"], &told[0]["finished_before"]), (&"descent".into(), &false.into()));
    let run = folder(out.path());
    let name = run.file_name().unwrap().to_string_lossy().into_owned();
    let manifest = json(&run.join("manifest.json"));
    let short = &manifest["configuration_digest"].as_str().unwrap()[..12];
    assert_eq!(name, format!("descent-smoke-{short}"));
    for key in ["schema", "configuration", "numerics_version", "data", "tasks", "digest", "host"] {
        assert!(!manifest[key].is_null(), "{key}");
    }
    for claim in json(&run.join("claims.json")).as_array().unwrap() {
        let keys: Vec<_> = claim.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(keys, ["id", "measured", "paper", "spread", "statement", "verdict"]);
        assert!(!claim["paper"]["status"].is_null() && !claim["paper"]["figure"].is_null());
    }
    let metrics = std::fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    assert_eq!(metrics.lines().count(), 4 * 60, "one line for each step of each task");
    let line: Value = serde_json::from_str(metrics.lines().next().unwrap()).unwrap();
    let loss = &line["values"]["loss"];
    let bits = u32::from_str_radix(loss["bits"].as_str().unwrap(), 16).unwrap();
    assert_eq!(loss["value"].as_f64().unwrap() as f32, f32::from_bits(bits));
    for file in ["final-large-s1.safetensors", "final-small-s2.safetensors", "figures/loss.svg", "report.html"] {
        assert!(run.join(file).exists(), "{file}");
    }
    assert!(!run.join("tasks").exists() && !run.join("started.json").exists());

    let again: Value = serde_json::from_str(&lab(out.path(), &args).stdout).unwrap();
    assert_eq!(again[0]["finished_before"], true);
    assert_eq!(again[0]["digest"], told[0]["digest"]);
}

#[test]
fn the_digest_and_every_result_file_are_the_same_at_every_thread_count_and_tier() {
    let mut expected: Option<Vec<Vec<u8>>> = None;
    let files = ["metrics.jsonl", "claims.json", "final-large-s2.safetensors", "figures/loss.svg"];
    for args in [["--threads", "1"], ["--threads", "2"], ["--threads", "3"], ["--threads", "8"], ["--isa", "portable"]]
    {
        let out = tempfile::tempdir().unwrap();
        let run = lab(out.path(), &[&["run", "descent", "--profile", "smoke"], &args[..]].concat());
        assert_eq!(run.code, 0, "{run:?}");
        let mut bytes = vec![digest(out.path()).into_bytes()];
        bytes.extend(files.map(|file| std::fs::read(folder(out.path()).join(file)).unwrap()));
        assert!(expected.as_ref().is_none_or(|expected| *expected == bytes), "{args:?}");
        expected = Some(bytes);
    }
}

#[test]
fn kill_9_at_any_moment_and_resume_gives_the_same_digest() {
    let reference = tempfile::tempdir().unwrap();
    assert_eq!(lab(reference.path(), &SLOW).code, 0);
    let expected = digest(reference.path());

    let mut out = tempfile::tempdir().unwrap();
    let (mut kills, mut finished, mut state) = (0, 0, 1u64);
    let deadline = Instant::now() + Duration::from_secs(300);
    while kills < 24 || finished < 2 {
        assert!(Instant::now() < deadline, "{kills} kills, {finished} finished");
        // Every time after another while, on the way from the start of the process to well into its work.
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        // The range grows, so that runs come to an end on a slow machine too.
        let patience = Duration::from_millis(3 + (state >> 33) % (200 + 30 * kills as u64));
        let threads = ["1", "2", "3"][kills % 3];
        let mut child = start(out.path(), &[&SLOW[..], &["--threads", threads]].concat());
        std::thread::sleep(patience);
        if let Some(status) = child.try_wait().unwrap() {
            assert!(status.success(), "{status}");
            assert_eq!(digest(out.path()), expected);
            finished += 1;
            out = tempfile::tempdir().unwrap();
        } else {
            child.kill().unwrap();
            child.wait().unwrap();
            kills += 1;
        }
    }
    let last = lab(out.path(), &SLOW);
    assert_eq!(last.code, 0, "{last:?}");
    assert_eq!(digest(out.path()), expected);
}

/// Sends a signal to a run once it is at work.
#[cfg(unix)]
fn interrupt(out: &Path, signal: &str) -> std::process::Output {
    let mut command = std::process::Command::new(LAB);
    let args = ["run", "descent", "--profile", "quick", "--set", "rest_us=10000"];
    let child = command.args(args).arg("--out").arg(out).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    let at_work = || {
        let folder = std::fs::read_dir(out).ok()?.next()?.ok()?.path();
        std::fs::read_dir(folder.join("tasks")).ok()?.next()
    };
    while at_work().is_none() {
        assert!(Instant::now() < deadline);
        std::thread::sleep(Duration::from_millis(5));
    }
    let sent = std::process::Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
    child.wait_with_output().unwrap()
}

#[test]
#[cfg(unix)]
fn ctrl_c_and_sigterm_save_exit_with_130_and_resume_gives_the_same_digest() {
    let resume = ["run", "descent", "--profile", "quick", "--set", "rest_us=10000", "--resume", "--threads", "8"];
    let mut digests = Vec::new();
    for signal in ["-INT", "-TERM"] {
        let out = tempfile::tempdir().unwrap();
        let output = interrupt(out.path(), signal);
        let stderr = flat(&String::from_utf8(output.stderr).unwrap());
        assert_eq!(output.status.code(), Some(130), "{stderr}");
        assert!(stderr.contains("--resume"), "{stderr}");
        let without = lab(out.path(), &resume[..6]);
        assert_eq!(without.code, 2, "{without:?}");
        assert!(flat(&without.stderr).contains("add --resume"), "{without:?}");
        assert_eq!(lab(out.path(), &resume).code, 0);
        assert_eq!(json(&folder(out.path()).join("manifest.json"))["host"]["resumed"], 1);
        digests.push(digest(out.path()));
    }
    assert_eq!(digests[0], digests[1]);
}

#[test]
fn a_second_run_in_the_same_folder_is_refused() {
    let out = tempfile::tempdir().unwrap();
    let args = ["run", "descent", "--profile", "quick", "--set", "rest_us=10000", "--resume"];
    let mut first = start(out.path(), &args);
    let deadline = Instant::now() + Duration::from_secs(60);
    while std::fs::read_dir(out.path()).unwrap().next().is_none_or(|e| !e.unwrap().path().join("tasks").exists()) {
        assert!(Instant::now() < deadline);
        std::thread::sleep(Duration::from_millis(5));
    }
    let second = lab(out.path(), &args);
    first.kill().unwrap();
    first.wait().unwrap();
    assert_eq!(second.code, 2, "{second:?}");
    assert!(flat(&second.stderr).contains("another process runs in"), "{second:?}");
}

#[test]
fn requests_that_cannot_be_carried_out_say_what_would_be_right() {
    let out = tempfile::tempdir().unwrap();
    let cases: [(&[&str], i32, &str); 8] = [
        (&["run", "desent"], 2, "did you mean `descent`?"),
        (&["run", "descent", "--set", "stepz=3"], 2, "did you mean `steps`?"),
        (&["run", "descent", "--set", "large=3"], 2, "did you mean `rates.large`?"),
        (&["run", "descent", "--set", "steps=many"], 2, "`steps` is an integer"),
        (&["run", "descent", "--profile", "paper"], 2, "it has smoke, quick"),
        (&["run", "descent", "--profile", "smok"], 2, "smoke"),
        (&["run", "descent", "--set", "rates.large=9.0"], 4, "`loss` is inf"),
        (&["sweep", "run", "descent", "--task", "1", "--profile", "smoke"], 2, "there is no run 1"),
    ];
    for (args, code, expected) in cases {
        let run = lab(out.path(), args);
        assert_eq!(run.code, code, "{args:?}: {run:?}");
        assert!(flat(&run.stderr).contains(expected), "{args:?}: {}", run.stderr);
    }
}

#[test]
fn a_place_that_cannot_be_written_is_found_before_the_work() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let run = lab(&file.join("runs"), &["run", "descent", "--profile", "smoke"]);
    assert_eq!(run.code, 5, "{run:?}");
}

#[test]
fn a_checkpoint_that_is_cut_off_is_named_and_not_taken_for_a_whole_one() {
    let out = tempfile::tempdir().unwrap();
    let args = ["run", "descent", "--profile", "quick", "--set", "rest_us=10000", "--resume"];
    let mut child = start(out.path(), &args);
    let deadline = Instant::now() + Duration::from_secs(60);
    let checkpoint = loop {
        assert!(Instant::now() < deadline);
        let found = std::fs::read_dir(out.path()).unwrap().next().and_then(|e| {
            let tasks = std::fs::read_dir(e.ok()?.path().join("tasks")).ok()?;
            tasks.flatten().map(|e| e.path()).find(|path| path.extension().is_some_and(|e| e == "checkpoint"))
        });
        if let Some(found) = found {
            break found;
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    child.kill().unwrap();
    child.wait().unwrap();
    let Ok(whole) = std::fs::read(&checkpoint) else { panic!("the checkpoint went away") };
    std::fs::write(&checkpoint, &whole[..whole.len() - 7]).unwrap();
    let run = lab(out.path(), &args);
    assert_eq!(run.code, 3, "{run:?}");
    let stderr: String = run.stderr.replace('│', "").split_whitespace().collect();
    assert!(stderr.contains(".checkpointisdamaged"), "{run:?}");
}

#[test]
fn a_blessed_golden_holds_and_a_changed_number_is_told_in_ulps() {
    let place = tempfile::tempdir().unwrap();
    let (out, golden) = (place.path().join("runs"), place.path().join("golden"));
    let golden_text = golden.to_str().unwrap();
    let bless = |reason: &str| {
        lab(&out, &["bless", "descent", "--profile", "smoke", "--reason", reason, "--golden", golden_text])
    };
    let check = |args: &[&str]| lab(&out, &[&["check", "--golden", golden_text], args].concat());
    let missing = check(&["descent", "--profile", "smoke"]);
    assert_eq!(missing.code, 1, "{missing:?}");
    assert_eq!(check(&[]).code, 2, "no golden at all");
    let first = bless("the first");
    assert_eq!(first.code, 0, "{first:?}");
    let path = golden.join("descent/smoke.snap");
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains("the first") && text.contains("claim D3 not-tested"), "{text}");
    for args in [&["--threads", "3"][..], &["--isa", "portable"], &["descent", "--profile", "smoke"]] {
        let run = check(args);
        assert_eq!(run.code, 0, "{args:?}: {run:?}");
    }
    assert!(bless("again").stderr.contains("holds as it is"));

    // The last bit of one listed number.
    let line = text.lines().find(|line| line.starts_with("metric small-s1 loss")).unwrap();
    let bits = line.split(' ').nth(5).unwrap();
    let other = format!("{:08x}", u32::from_str_radix(bits, 16).unwrap() ^ 1);
    std::fs::write(&path, text.replace(line, &line.replace(bits, &other))).unwrap();
    let run = check(&[]);
    assert_eq!(run.code, 1, "{run:?}");
    let told = flat(&run.stderr);
    for part in ["small-s1 loss @", bits, &other, "1 ulps", "regularity trace descent"] {
        assert!(told.contains(part), "{part}: {told}");
    }
    let told: Value = serde_json::from_str(&check(&["--json"]).stdout).unwrap();
    assert_eq!((&told[0]["holds"], &told[0]["deviations"][0]["ulps"]), (&false.into(), &1.into()));
}

#[test]
fn traces_tell_the_step_and_the_tensor_where_runs_part() {
    let place = tempfile::tempdir().unwrap();
    let trace = |name: &str, set: &str| {
        let out = place.path().join(name);
        let run = lab(&out, &["trace", "descent", "--profile", "smoke", "--set", set]);
        assert_eq!(run.code, 0, "{run:?}");
        folder(&out)
    };
    let (a, same, b) = (trace("a", "seeds=1"), trace("same", "seeds=1"), trace("b", "noise=0.011"));
    let compare = |a: &Path, b: &Path| {
        let mut command = Command::new(LAB);
        finish(command.arg("compare").args([a, b]).arg("--json"))
    };
    let told: Value = serde_json::from_str(&compare(&a, &same).stdout).unwrap();
    assert_eq!((&told["same"], &told["traced"]), (&true.into(), &true.into()));
    let told: Value = serde_json::from_str(&compare(&a, &b).stdout).unwrap();
    assert_eq!(told["same"], false);
    assert_eq!((&told["trace"][0]["step"], &told["trace"][0]["tensor"]), (&0.into(), &"apart".into()));
    assert_eq!((&told["metrics"][0]["metric"], &told["metrics"][0]["step"]), (&"loss".into(), &0.into()));
}

#[test]
fn shares_of_a_sweep_add_up_to_all_of_it() {
    let out = tempfile::tempdir().unwrap();
    let grid = ["descent", "--profile", "smoke", "--grid", "noise=[0.01, 0.02]", "--seeds", "2", "--set", "seeds=1"];
    let sweep = |what: &str, args: &[&str]| lab(out.path(), &[&["sweep", what], &grid[..], args].concat());
    let plan: Value = serde_json::from_str(&sweep("plan", &["--json"]).stdout).unwrap();
    let points: Vec<_> = plan.as_array().unwrap().iter().map(|p| (p["seed"].as_u64(), p["set"][0].as_str())).collect();
    let (a, b) = (Some("noise=0.01"), Some("noise=0.02"));
    assert_eq!(points, [(Some(1), a), (Some(2), a), (Some(1), b), (Some(2), b)]);
    assert_eq!(sweep("run", &["--shard", "2/3"]).code, 0);
    assert_eq!(sweep("run", &["--task", "0"]).code, 0);
    let partial = sweep("collect", &["--json"]);
    assert!(partial.stderr.contains("not finished: 2 3"), "{partial:?}");
    assert_eq!(sweep("run", &["--quiet"]).code, 0);
    let all: Value = serde_json::from_str(&sweep("collect", &["--json"]).stdout).unwrap();
    let indices: Vec<_> = all.as_array().unwrap().iter().map(|row| row["index"].as_u64().unwrap()).collect();
    assert_eq!(indices, [0, 1, 2, 3]);
}

#[test]
fn the_list_and_the_dry_run_tell_without_running() {
    let listed = finish(Command::new(LAB).args(["list", "--json"]));
    let list: Value = serde_json::from_str(&listed.stdout).unwrap();
    assert_eq!((&list[0]["id"], list[0]["claims"].as_array().unwrap().len()), (&"descent".into(), 3));
    let out = tempfile::tempdir().unwrap();
    let dry = lab(&out.path().join("runs"), &["run", "--dry-run", "--profile", "smoke"]);
    assert_eq!(dry.code, 0, "{dry:?}");
    assert!(dry.stdout.contains("rates.large = 0.2") && dry.stdout.contains("large-s1"), "{dry:?}");
    assert!(!out.path().join("runs").exists());
}

/// The width of the page that chromium lays out for a window of `width`, after it has drawn it; None without chromium.
fn chromium(page: &Path, width: u32, shot: &Path) -> Option<()> {
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let name = names.into_iter().find(|name| std::process::Command::new(name).arg("--version").output().is_ok())?;
    let output = std::process::Command::new(name)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"])
        .arg(format!("--window-size={width},1400"))
        .arg(format!("--screenshot={}", shot.display()))
        .arg(format!("file://{}", page.display()))
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    Some(())
}

#[test]
fn the_report_is_one_file_without_network_and_a_browser_draws_it() {
    let place = tempfile::tempdir().unwrap();
    let out = place.path().join("runs");
    assert_eq!(lab(&out, &["run", "descent", "--profile", "smoke", "--set", "noise=0.02"]).code, 0);
    let page = place.path().join("page.html");
    let run = finish(Command::new(LAB).arg("report").arg(folder(&out)).arg("-o").arg(&page));
    assert_eq!(run.code, 0, "{run:?}");
    let text = std::fs::read_to_string(&page).unwrap();
    assert_eq!(text, std::fs::read_to_string(folder(&out).join("report.html")).unwrap(), "made anew, the same");
    for part in
        ["A test &amp; nothing else", "unverified", "not tested", "<svg", "--set 'noise=0.02'", "prefers-color-scheme"]
    {
        assert!(text.contains(part), "{part}");
    }
    for part in ["<script", "src=\"http", "@import", "url("] {
        assert!(!text.contains(part), "{part}: a page without network");
    }
    let shot = place.path().join("shot.png");
    if chromium(&page, 1200, &shot).is_none() {
        println!("skipped: no chromium here to draw the page");
        return;
    }
    // A page of one colour compresses to a few kilobytes.
    assert!(std::fs::metadata(&shot).unwrap().len() > 20_000);
}

//! The page: one HTML file, no network, no script, light and dark.

use std::fmt::Write;

use super::{View, base64, svg};
use crate::config::Configuration;
use crate::error::Result;
use crate::experiments::{Status, Verdict};
use crate::host;
use crate::record::{ClaimEntry, Host};

/// A text in HTML.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// The page of one run, or of several one below the other.
///
/// # Errors
/// Those of figures.
pub fn page(views: &[View]) -> Result<String> {
    let title = match views {
        [one] => one.about.title.to_owned(),
        _ => format!("{} runs", views.len()),
    };
    let mut body = String::new();
    for view in views {
        body += &article(view)?;
    }
    Ok(format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>{} · regularity</title>\n<style>\n{}</style>\n</head>\n<body>\n<main>\n{body}</main>\n</body>\n</html>\n",
        escape(&title),
        include_str!("style.css")
    ))
}

fn article(view: &View) -> Result<String> {
    let about = view.about;
    let mut out = format!(
        "<article>\n<header>\n<p class=\"eyebrow\">{}, <a href=\"{}\">{}</a>, {}</p>\n<h1>{}</h1>\n<p>{}</p>\n{}</header>\n",
        escape(about.paper.authors),
        escape(about.paper.link),
        escape(about.paper.title),
        escape(about.paper.venue),
        escape(about.title),
        escape(about.summary),
        tally(&view.claims)
    );
    out += "<section>\n<h2>Claims</h2>\n<div class=\"claims\">\n";
    for claim in &view.claims {
        out += &claim_card(claim);
    }
    out += "</div>\n</section>\n";
    if !view.conclusion.figures().is_empty() {
        out += "<section>\n<h2>Figures</h2>\n";
        for figure in view.conclusion.figures() {
            let drawn = svg(figure)?;
            let caption = escape(&figure.caption);
            let _ = writeln!(
                out,
                "<figure>\n<div class=\"figure-scroll\">{}</div>\n<figcaption>{caption}</figcaption>\n</figure>",
                drawn.trim_end()
            );
        }
        out += "</section>\n";
    }
    out += &data(view);
    out += &run(view);
    out += "</article>\n";
    Ok(out)
}

fn tally(claims: &[ClaimEntry]) -> String {
    let mut out = "<ul class=\"tally\">".to_owned();
    for (verdict, phrase) in [
        (Verdict::Reproduced, "reproduced"),
        (Verdict::NotReproduced, "not reproduced"),
        (Verdict::NotTested, "not tested"),
    ] {
        let name = verdict.name();
        let count = claims.iter().filter(|claim| claim.verdict == name).count();
        if count > 0 {
            let _ = write!(out, "<li class=\"{name}\"><b>{count}</b>{phrase}</li>");
        }
    }
    out + "</ul>\n"
}

fn claim_card(claim: &ClaimEntry) -> String {
    let status = escape(&claim.paper.status);
    // Only what was read stands without a mark of doubt.
    let sure = [Status::Read, Status::Derived, Status::None].map(Status::phrase).contains(&claim.paper.status.as_str());
    let doubt = if sure { "" } else { " doubt" };
    let figure = if claim.paper.figure.is_empty() { "\u{2014}".to_owned() } else { escape(&claim.paper.figure) };
    let measured = escape(claim.measured["text"].as_str().unwrap_or_default());
    let spread = claim.spread.as_ref().map_or_else(String::new, |spread| {
        let number = |key: &str| spread[key].as_f64().map_or_else(String::new, brief);
        let text = escape(spread["text"].as_str().unwrap_or_default());
        format!("<div class=\"spread\">{} to {}, {text}</div>", number("low"), number("high"))
    });
    let verdict = &claim.verdict;
    format!(
        "<div class=\"claim {verdict}\">\n<div><h3><span class=\"id\">{}</span>{}</h3>\
         <span class=\"badge {verdict}\">{}</span></div>\n\
         <dl><dt>The paper</dt><dd>{figure}<br><span class=\"status{doubt}\">{status}</span></dd></dl>\n\
         <dl><dt>Measured</dt><dd>{measured}{spread}</dd></dl>\n</div>\n",
        escape(&claim.id),
        escape(&claim.statement),
        verdict.replace('-', " ")
    )
}

/// Four significant digits, for reading.
fn brief(x: f64) -> String {
    let magnitude = x.abs();
    if magnitude != 0.0 && !(1e-3..1e5).contains(&magnitude) {
        return format!("{x:.3e}");
    }
    let digits = match magnitude {
        m if m >= 1000.0 => 0,
        m if m >= 100.0 => 1,
        m if m >= 10.0 => 2,
        m if m >= 1.0 => 3,
        _ => 4,
    };
    format!("{x:.digits$}")
}

fn data(view: &View) -> String {
    if view.pictures.is_empty() {
        return String::new();
    }
    let mut out = "<section>\n<h2>The data</h2>\n<div class=\"pictures\">\n".to_owned();
    for (caption, png) in &view.pictures {
        let caption = escape(caption);
        let png = base64(png);
        let _ = writeln!(out, "<div><img alt=\"{caption}\" src=\"data:image/png;base64,{png}\">{caption}</div>");
    }
    out + "</div>\n</section>\n"
}

/// The command that makes the run again.
fn command(configuration: &Configuration, usual: &toml::Table, external: bool) -> String {
    let Configuration { experiment, profile, seed, .. } = configuration;
    let mut command = format!("cargo run --release -- run {experiment} --profile {profile}");
    if *seed != crate::config::DEFAULT_SEED {
        let _ = write!(command, " --seed {seed}");
    }
    if external {
        command += " --data DIR";
    }
    let plain = Configuration { settings: usual.clone(), ..configuration.clone() };
    let plain = plain.canonical();
    for line in configuration.canonical().lines().filter(|line| !plain.lines().any(|p| p == *line)) {
        if let Some((key, value)) = line.strip_prefix("settings.").and_then(|line| line.split_once(" = ")) {
            let _ = write!(command, " --set '{key}={value}'");
        }
    }
    command
}

fn run(view: &View) -> String {
    let manifest = &view.manifest;
    let configuration = &manifest.configuration;
    let Host { finished, seconds, resumed, isa, threads, cpu, architecture, system, version } = &manifest.host;
    let external = manifest.data.as_ref().is_some_and(|d| d.external);
    let mut out = format!(
        "<section>\n<h2>Run it again</h2>\n<pre>{}</pre>\n<p>On every machine, at every number of threads, the outcome has \
         the digest</p>\n<pre>{}</pre>\n</section>\n<section>\n<h2>How it was run</h2>\n<table>\n",
        escape(&command(configuration, &view.usual, external)),
        manifest.digest
    );
    let mut row = |name: &str, value: String| {
        let _ = writeln!(out, "<tr><th scope=\"row\">{name}</th><td>{value}</td></tr>");
    };
    row("Profile", configuration.profile.to_string());
    row("First seed", configuration.seed.to_string());
    if let Some(data) = &manifest.data {
        row("Data", escape(&data.name));
        if let Some(digest) = &data.digest {
            row("Data digest", format!("<code>{digest}</code>"));
        }
    }
    row("Configuration digest", format!("<code>{}</code>", manifest.configuration_digest));
    row("Numerics version", manifest.numerics_version.to_string());
    let cpu = cpu.as_ref().map_or_else(String::new, |cpu| format!("{}, ", escape(cpu)));
    row("Machine", format!("{cpu}{architecture}, {system}; {isa}, {}", host::threads_text(*threads)));
    let resumed = match resumed {
        0 => String::new(),
        1 => ", resumed once".to_owned(),
        n => format!(", resumed {n} times"),
    };
    row("Finished", format!("{} after {:.1} s{resumed}, regularity {version}", escape(finished), seconds));
    out += "</table>\n<details><summary>Every setting</summary>\n<pre>";
    out += escape(&configuration.canonical()).trim_end();
    out += "</pre>\n</details>\n<details><summary>Digests of the final tensors</summary>\n<div class=\"scroll\"><table>\n\
            <thead><tr><th>Task</th><th>Seed</th><th>SHA-256</th></tr></thead>\n";
    for task in &manifest.tasks {
        let seed = task.seed.map_or_else(|| "\u{2014}".to_owned(), |seed| seed.to_string());
        let arm = escape(&task.arm);
        let _ = writeln!(out, "<tr><td>{arm}</td><td>{seed}</td><td><code>{}</code></td></tr>", task.parameters);
    }
    out + "</table></div>\n</details>\n</section>\n"
}

//! `regularity list`: what there is to run.

use regularity_engine::Isa;
use serde_json::json;

use super::estimate::{Speed, time_text};
use super::terminal::{Terminal, Tone};
use crate::error::Result;
use crate::experiments::{Registered, Registry};
use crate::host;
use crate::run::Request;

/// List the experiments, what they claim, and how long they take here
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Print one JSON array
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args, registry: &Registry, terminal: &mut Terminal) -> Result<()> {
    let threads = host::threads();
    let speed = Speed::measure(Isa::detect(), threads)?;
    let times = |experiment: &dyn Registered| -> Result<Vec<(&'static str, Option<f64>)>> {
        let profiles = experiment.about().profiles.iter();
        let time = |&profile| {
            let tasks = experiment.plan(&Request::of(profile).configuration(experiment)?)?;
            Ok((profile.name(), speed.seconds(&tasks)))
        };
        profiles.map(time).collect()
    };
    if args.json {
        let mut list = Vec::new();
        for experiment in registry {
            let about = experiment.about();
            let profiles: Vec<_> = times(*experiment)?
                .into_iter()
                .map(|(name, seconds)| json!({ "name": name, "estimated_s": seconds }))
                .collect();
            let claims: Vec<_> = about
                .claims
                .iter()
                .map(|c| json!({ "id": c.id, "statement": c.statement, "paper": c.paper }))
                .collect();
            list.push(json!({
                "id": about.id, "title": about.title, "paper": about.paper, "claims": claims, "profiles": profiles
            }));
        }
        return terminal.json(&list);
    }
    for (index, experiment) in registry.iter().enumerate() {
        let about = experiment.about();
        if index > 0 {
            terminal.line("")?;
        }
        let id = terminal.paint(Tone::Heading, about.id).to_string();
        terminal.line(format_args!("{id}  {}", about.title))?;
        let times: Vec<_> =
            times(*experiment)?.into_iter().map(|(name, s)| format!("{name} {}", time_text(s))).collect();
        terminal.line(format_args!("  {}", times.join(", ")))?;
        for claim in about.claims {
            let id = terminal.paint(Tone::Dim, &format!("{:<4}", claim.id)).to_string();
            terminal.line(format_args!("  {id} {}", claim.statement))?;
        }
    }
    let with = host::threads_text(threads);
    terminal.line(format_args!("\nTimes are rough estimates for this machine, {with} and nothing else running."))
}

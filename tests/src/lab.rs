//! The command line with one more experiment, `descent`, which only tests need: noisy gradient descent on a square, small
//! enough to be killed and resumed many times, and with everything that a real experiment has.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use regularity::Result;
use regularity::config::Profile;
use regularity::experiments::{
    About, Arm, Axis, Claim, Conclusion, DataFacts, Dataset, Experiment, Figure, Lab, Mark, Measured, Panel, Paper,
    Picture, Progress, Quoted, State, Status, Style, Task, Verdict, statistics,
};
use regularity::record::{Recorder, Records, Tensors};
use regularity_engine::Context;
use regularity_engine::digest::Digester;
use regularity_engine::kernels::reduce;
use regularity_engine::random::Stream;
use serde::{Deserialize, Serialize};

/// Parameters.
const N: usize = 512;

struct Descent;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    steps: u64,
    seeds: u64,
    noise: f64,
    /// Microseconds that each step rests, so that tests can meet it at work.
    rest_us: u64,
    rates: Rates,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rates {
    large: f64,
    small: f64,
}

static ABOUT: About = About {
    id: "descent",
    title: "Noisy descent on a square",
    summary: "A large and a small step size go down the same square under the same noise. The large one gets there first, \
              and then stays further away.",
    paper: Paper { title: "A test & nothing else", authors: "Nobody", venue: "nowhere", link: "https://example.org/" },
    claims: &[
        Claim {
            id: "D1",
            statement: "The large step is ahead in the middle.",
            paper: Quoted { figure: "0.1 < 0.2", status: Status::Unverified },
        },
        Claim {
            id: "D2",
            statement: "The small step ends nearer.",
            paper: Quoted { figure: "", status: Status::None },
        },
        Claim {
            id: "D3",
            statement: "The moon is made of cheese.",
            paper: Quoted { figure: "always", status: Status::Read },
        },
    ],
    profiles: &[Profile::Smoke, Profile::Quick],
};

struct Walk<'a> {
    settings: &'a Settings,
    target: &'a [f32],
    seed: u64,
    rate: f32,
    step: u64,
    w: Vec<f32>,
}

impl Experiment for Descent {
    type Settings = Settings;
    type Data = Vec<f32>;

    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn settings(&self, profile: Profile) -> Settings {
        let rates = Rates { large: 0.2, small: 0.02 };
        let steps = if profile == Profile::Smoke { 60 } else { 400 };
        Settings { steps, seeds: 2, noise: 0.01, rest_us: 0, rates }
    }

    fn load(&self, context: &Context, _: &Settings, folder: Option<&Path>) -> Result<Dataset<Vec<f32>>> {
        let mut target = vec![0.0; N];
        Stream::new(0, "descent/target", 0).fill_normal(context, 0, &mut target, 0.0, 1.0)?;
        let digest = Digester::new().tensor("target", &[N], &target)?.finish();
        let picture = |i: u8| Picture {
            caption: format!("class {i}"),
            width: 8,
            height: 8,
            rgb: (0..192).map(|p: u8| p.wrapping_mul(i + 1)).collect(),
        };
        let name = Some(if folder.is_some() { "folder" } else { "procedural" }.to_owned());
        let pictures = (0..6).map(picture).collect();
        let facts = DataFacts { name, external: folder.is_some(), digest: Some(digest), pictures };
        Ok(Dataset { data: target, facts })
    }

    fn plan(&self, settings: &Settings, seed: u64) -> Result<Vec<Task>> {
        Ok(Task::grid(&["large", "small"], seed, settings.seeds))
    }

    fn start<'a>(&'a self, lab: &'a Lab<Settings, Vec<f32>>, task: &Task, _: &Context) -> Result<Box<dyn Arm + 'a>> {
        let Settings { rates, .. } = &lab.settings;
        let rate = if task.arm == "large" { rates.large } else { rates.small } as f32;
        let seed = task.seed.unwrap_or_default();
        Ok(Box::new(Walk { settings: &lab.settings, target: &lab.data, seed, rate, step: 0, w: vec![0.0; N] }))
    }

    fn conclude(&self, settings: &Settings, records: &Records) -> Result<Conclusion> {
        let mut conclusion = Conclusion::new();
        let loss = |arm: &str, step: u64| -> Result<Vec<f64>> {
            records.arm(arm).map(|task| Ok(task.series("loss")?.at(step).unwrap_or_default())).collect()
        };
        let middle = settings.steps / 4;
        for (id, step, ahead, behind) in
            [("D1", middle, "large", "small"), ("D2", settings.steps - 1, "small", "large")]
        {
            let (a, b) = (loss(ahead, step)?, loss(behind, step)?);
            let (mean_a, mean_b) = (statistics::mean(&a), statistics::mean(&b));
            let measured = Measured::new(format!("{mean_a:.4} against {mean_b:.4} at step {step}"));
            let measured = measured.with(ahead, mean_a).with(behind, mean_b);
            conclusion.claim(id, Verdict::of(mean_a < mean_b), measured, statistics::paired(&b, &a).map(Into::into));
        }
        let mut panel = Panel::new("Loss", Axis::linear("step"), Axis::log("squared distance"))
            .with(Mark::Vertical(middle as f64, "the middle".to_owned()));
        for (colour, arm) in ["large", "small"].into_iter().enumerate() {
            let tasks: Vec<_> = records.arm(arm).map(|task| task.series("loss")).collect::<Result<_>>()?;
            let of = |step: u64| tasks.iter().filter_map(move |series| series.at(step));
            let band = (0..settings.steps).map(|step| {
                let (low, high) =
                    of(step).fold((f64::MAX, 0.0), |(l, h), x| (if x < l { x } else { l }, if x > h { x } else { h }));
                (step as f64, low, high)
            });
            panel = panel.with(Mark::Band(Style::new("", colour), band.collect()));
            panel = panel.line(Style::new(format!("{arm} step"), colour), tasks[0].xy());
        }
        let ends = |arm: &str| loss(arm, settings.steps - 1).map(|l| statistics::mean(&l));
        let bars = Panel::new(
            "At the end",
            Axis::linear("").names([(0.0, "large".into()), (1.0, "small".into())]),
            Axis::linear("squared distance"),
        )
        .with(Mark::Bars(Style::new("", 0), 0.6, vec![(0.0, ends("large")?)]))
        .with(Mark::Bars(Style::new("", 1), 0.6, vec![(1.0, ends("small")?)]));
        conclusion.figure(
            Figure::new("loss", "Distance to the target", "The large step gets there first, then noise keeps it away.")
                .panel(panel)
                .panel(bars),
        );
        Ok(conclusion)
    }
}

impl Arm for Walk<'_> {
    fn step(&mut self, context: &Context, recorder: &mut Recorder) -> Result<Progress> {
        let mut noise = vec![0.0; N];
        let std = self.settings.noise as f32;
        Stream::new(self.seed, "descent/noise", self.step).fill_normal(context, 0, &mut noise, 0.0, std)?;
        for ((w, t), n) in self.w.iter_mut().zip(self.target).zip(&noise) {
            *w -= self.rate * (*w - t + 10.0 * n);
        }
        let apart: Vec<f32> = self.w.iter().zip(self.target).map(|(w, t)| w - t).collect();
        recorder.trace("apart", self.step, &[N], &apart)?;
        recorder.record("loss", self.step, reduce::sum_of_squares(context, &apart)?)?;
        std::thread::sleep(Duration::from_micros(self.settings.rest_us));
        self.step += 1;
        Ok(Progress::of(self.step, self.settings.steps))
    }

    fn save(&self, state: &mut State) -> Result<()> {
        state.tensors.put("w", &[N], &self.w)?;
        state.set_note(&self.step)
    }

    fn restore(&mut self, state: &State) -> Result<()> {
        state.tensors.copy_to("w", &mut self.w)?;
        self.step = state.note()?;
        Ok(())
    }

    fn finish(&self, tensors: &mut Tensors) -> Result<()> {
        tensors.put("w", &[N], &self.w)
    }
}

fn main() -> ExitCode {
    regularity::cli::main_with(&[&Descent])
}

//! From a request to a finished run folder.
//!
//! [`Prepared`] resolves the configuration, loads the data and plans the tasks; [`Prepared::run`] locks the folder,
//! executes, concludes and writes everything down, the manifest last. Whatever interrupts it, the folder holds either a
//! finished run or one that `--resume` takes to the same bits.

mod execute;
mod folder;

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use regularity_engine::{Context, NUMERICS_VERSION};

pub use execute::{Pace, TaskOutcome, Watch};
pub use folder::{Found, Identity, RunFolder};

use crate::config::{Configuration, DEFAULT_SEED, Override, Profile};
use crate::error::{Error, Result};
use crate::experiments::{Conclusion, Picture, Registered, Registry, Session, Task, find};
use crate::files;
use crate::golden::Outline;
use crate::host;
use crate::record::{
    ClaimEntry, DataEntry, Host, Manifest, PaperEntry, Records, SCHEMA, TaskEntry, TraceLine, metrics_text,
    outcome_digest, read_metrics, task_id,
};
use crate::report;

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Request {
    /// The profile.
    pub profile: Profile,
    /// The first seed.
    pub seed: u64,
    /// Overrides of settings.
    pub overrides: Vec<Override>,
    /// The folder with data, if any.
    pub data: Option<PathBuf>,
}

impl Request {
    /// A profile as it is.
    #[must_use]
    pub fn of(profile: Profile) -> Self {
        Self { profile, seed: DEFAULT_SEED, overrides: Vec::new(), data: None }
    }

    /// The configuration of an experiment, without the data's name, which only loading tells.
    ///
    /// # Errors
    /// [`Error::Usage`] for a profile that the experiment lacks, or an override that does not fit.
    pub fn configuration(&self, experiment: &dyn Registered) -> Result<Configuration> {
        let mut configuration = Configuration {
            experiment: experiment.about().id.to_owned(),
            profile: self.profile,
            seed: self.seed,
            data: None,
            settings: experiment.settings(self.profile)?,
        };
        configuration.apply(&self.overrides)?;
        Ok(configuration)
    }
}

/// An experiment ready to run.
pub struct Prepared<'a> {
    /// The experiment.
    pub experiment: &'a dyn Registered,
    /// The tasks.
    pub tasks: Vec<Task>,
    /// The configuration and the data.
    pub identity: Identity,
    session: Box<dyn Session + 'a>,
}

/// A finished run.
#[derive(Debug)]
pub struct Finished {
    /// Its folder.
    pub path: PathBuf,
    /// Its manifest.
    pub manifest: Manifest,
    /// Its claims.
    pub claims: Vec<ClaimEntry>,
    /// Its metrics.
    pub records: Records,
    /// Whether it was finished before.
    pub before: bool,
}

impl<'a> Prepared<'a> {
    /// Resolves, loads and plans.
    ///
    /// # Errors
    /// Those of settings and of data.
    pub fn new(experiment: &'a dyn Registered, request: &Request, context: &Context) -> Result<Self> {
        let mut configuration = request.configuration(experiment)?;
        // Planned before the data is loaded, so that settings that make no sense are told at once.
        let tasks = experiment.plan(&configuration)?;
        let session = experiment.open(context, &configuration, request.data.as_deref())?;
        let facts = session.facts();
        configuration.data.clone_from(&facts.name);
        let data = facts.name.as_ref().map(|name| DataEntry {
            name: name.clone(),
            external: facts.external,
            digest: facts.digest.map(|d| d.to_string()),
        });
        Ok(Self { experiment, tasks, identity: Identity::new(configuration, data), session })
    }

    /// Runs to the end, or takes a finished run as it is.
    ///
    /// # Errors
    /// See [`RunFolder::open`]; those of training; [`Error::Interrupted`].
    pub fn run(&self, out: &Path, resume: bool, pace: &Pace, stop: &AtomicBool, watch: &dyn Watch) -> Result<Finished> {
        let start = Instant::now();
        let (folder, found) = RunFolder::open(out, &self.identity, resume)?;
        if let Found::Finished = found {
            return Finished::read(folder.path());
        }
        let digest = self.identity.configuration.digest()?.to_string();
        let outcomes = execute::execute(self.session.as_ref(), &self.tasks, &folder, &digest, pace, stop, watch)?;
        let records = Records { tasks: outcomes.into_iter().map(|o| o.record).collect() };
        self.finish(&folder, records, pace, start)
    }

    /// Runs without checkpoints and notes digests of every tensor after every step, in `trace.jsonl` of the folder. An
    /// earlier trace there is replaced.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn trace(&self, out: &Path, pace: &Pace, stop: &AtomicBool, watch: &dyn Watch) -> Result<Finished> {
        let start = Instant::now();
        RunFolder::discard(out, &self.identity)?;
        let (folder, _) = RunFolder::open(out, &self.identity, false)?;
        let digest = self.identity.configuration.digest()?.to_string();
        let pace = Pace { trace: true, ..pace.clone() };
        let outcomes = execute::execute(self.session.as_ref(), &self.tasks, &folder, &digest, &pace, stop, watch)?;
        let path = folder.path().join("trace.jsonl");
        let mut text = String::new();
        for (task, outcome) in self.tasks.iter().zip(&outcomes) {
            for line in &outcome.trace {
                let TraceLine { step, tensor, digest } = line;
                let line = serde_json::json!({ "task": task.id(), "step": step, "tensor": tensor, "digest": digest });
                text += &format!("{line}\n");
            }
        }
        files::write_whole(&path, text.as_bytes())?;
        let records = Records { tasks: outcomes.into_iter().map(|o| o.record).collect() };
        self.finish(&folder, records, &pace, start)
    }

    fn finish(&self, folder: &RunFolder, records: Records, pace: &Pace, start: Instant) -> Result<Finished> {
        let configuration = &self.identity.configuration;
        let conclusion = self.experiment.conclude(configuration, &records)?;
        let claims = claim_entries(self.experiment, &conclusion);
        let path = folder.path().to_owned();
        files::write_whole(&path.join("metrics.jsonl"), metrics_text(&path, &records)?.as_bytes())?;
        files::write_json(&path.join("claims.json"), &claims)?;
        let figures = path.join("figures");
        files::make_folder(&figures)?;
        for figure in conclusion.figures() {
            let svg = report::svg(figure)?;
            files::write_whole(&figures.join(format!("{}.svg", figure.name)), svg.as_bytes())?;
        }
        let pictures = write_pictures(&figures, &self.session.facts().pictures)?;
        let manifest = Manifest {
            schema: SCHEMA,
            configuration: configuration.clone(),
            configuration_digest: configuration.digest()?.to_string(),
            numerics_version: NUMERICS_VERSION,
            data: self.identity.data.clone(),
            tasks: records
                .tasks
                .iter()
                .map(|t| TaskEntry {
                    arm: t.arm.clone(),
                    seed: t.seed,
                    parameters: t.parameters.clone(),
                    file: RunFolder::final_name(&task_id(&t.arm, t.seed)),
                })
                .collect(),
            digest: outcome_digest(&records, &claims)?.to_string(),
            host: Host {
                finished: host::now_utc(),
                seconds: start.elapsed().as_secs_f64(),
                resumed: folder.resumed(),
                isa: pace.isa.name().to_owned(),
                threads: pace.threads,
                cpu: host::cpu_name(),
                architecture: std::env::consts::ARCH.to_owned(),
                system: std::env::consts::OS.to_owned(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
            },
        };
        let usual = self.experiment.settings(configuration.profile)?;
        let view = report::View { about: self.experiment.about(), manifest, claims, conclusion, pictures, usual };
        files::write_whole(&path.join("report.html"), report::page(std::slice::from_ref(&view))?.as_bytes())?;
        files::write_json(&path.join("manifest.json"), &view.manifest)?;
        folder.tidy()?;
        Ok(Finished { path, manifest: view.manifest, claims: view.claims, records, before: false })
    }
}

/// Writes pictures beside the figures and returns them as the report shows them: caption and PNG.
fn write_pictures(folder: &Path, pictures: &[Picture]) -> Result<Vec<(String, Vec<u8>)>> {
    let mut shown = Vec::new();
    for (index, picture) in pictures.iter().enumerate() {
        let png = report::png(picture.width, picture.height, &picture.rgb)?;
        files::write_whole(&folder.join(format!("data-{index:02}.png")), &png)?;
        shown.push((picture.caption.clone(), png));
    }
    if !shown.is_empty() {
        let captions: Vec<_> = shown.iter().map(|p| p.0.as_str()).collect();
        files::write_json(&folder.join("data.json"), &captions)?;
    }
    Ok(shown)
}

fn read_pictures(folder: &Path) -> Result<Vec<(String, Vec<u8>)>> {
    let captions = folder.join("data.json");
    if !captions.exists() {
        return Ok(Vec::new());
    }
    let captions: Vec<String> = files::read_json(&captions)?;
    let read = |(index, caption): (usize, String)| {
        let path = folder.join(format!("data-{index:02}.png"));
        let png = std::fs::read(&path).map_err(|source| Error::Read { path, source })?;
        Ok((caption, png))
    };
    captions.into_iter().enumerate().map(read).collect()
}

fn claim_entries(experiment: &dyn Registered, conclusion: &Conclusion) -> Vec<ClaimEntry> {
    let findings = conclusion.findings(experiment.about());
    findings
        .into_iter()
        .map(|(claim, finding)| {
            let values: serde_json::Map<_, _> =
                finding.measured.values.iter().map(|(name, value)| (name.clone(), (*value).into())).collect();
            ClaimEntry {
                id: claim.id.to_owned(),
                statement: claim.statement.to_owned(),
                paper: PaperEntry {
                    figure: claim.paper.figure.to_owned(),
                    status: claim.paper.status.phrase().to_owned(),
                },
                measured: serde_json::json!({ "text": finding.measured.text, "values": values }),
                spread: finding.spread.map(|s| serde_json::json!({ "text": s.text, "low": s.low, "high": s.high })),
                verdict: finding.verdict.name().to_owned(),
            }
        })
        .collect()
}

fn read_manifest(path: &Path) -> Result<Manifest> {
    let manifest = path.join("manifest.json");
    if !manifest.exists() {
        let unfinished = path.join("started.json").exists();
        let what = if unfinished { "a run that is not finished" } else { "no run" };
        return Err(Error::Usage {
            message: format!("{} holds {what}", path.display()),
            help: "name the folder of a finished run, such as one below runs/".to_owned(),
        });
    }
    let read: Manifest = files::read_json(&manifest)?;
    if read.schema != SCHEMA {
        let reason = format!("its schema is {}, and this program's {SCHEMA}", read.schema);
        return Err(Error::Damaged { path: manifest, reason });
    }
    Ok(read)
}

/// A finished run, read from its folder and concluded anew from its metrics.
///
/// # Errors
/// [`Error::Usage`] if it is none, or one of an experiment that this program does not have; [`Error::Damaged`].
pub fn open_finished(registry: &Registry, path: &Path) -> Result<(report::View, Records)> {
    let manifest = read_manifest(path)?;
    let experiment = find(registry, &manifest.configuration.experiment)?;
    let records = read_metrics(&path.join("metrics.jsonl"), &manifest)?;
    let conclusion = experiment.conclude(&manifest.configuration, &records)?;
    let claims = claim_entries(experiment, &conclusion);
    if outcome_digest(&records, &claims)?.to_string() != manifest.digest {
        let reason = "what metrics.jsonl and its claims add up to does not have the digest that it states".to_owned();
        return Err(Error::Damaged { path: path.join("manifest.json"), reason });
    }
    let usual = experiment.settings(manifest.configuration.profile)?;
    let pictures = read_pictures(&path.join("figures"))?;
    Ok((report::View { about: experiment.about(), manifest, claims, conclusion, pictures, usual }, records))
}

impl Finished {
    /// A finished run as its folder has it, nothing concluded anew.
    ///
    /// # Errors
    /// As [`open_finished`].
    pub fn read(path: &Path) -> Result<Self> {
        let manifest = read_manifest(path)?;
        let records = read_metrics(&path.join("metrics.jsonl"), &manifest)?;
        let claims = files::read_json(&path.join("claims.json"))?;
        Ok(Self { path: path.to_owned(), manifest, claims, records, before: true })
    }

    /// What a golden holds of it.
    #[must_use]
    pub fn outline(&self) -> Outline<'_> {
        Outline { manifest: &self.manifest, claims: &self.claims, records: &self.records }
    }
}

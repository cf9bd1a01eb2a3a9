//! While experiments run: progress for a person who watches, and the signals that ask to stop.

use regularity_engine::simd::Real;
use std::io::IsTerminal;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use crate::error::{Exit, Result};
use crate::experiments::Task;
use crate::run::Watch;

/// Units of a whole bar.
const WHOLE: u64 = 10_000;

/// A flag that Ctrl-C or a polite `kill` sets; the second time they end the process at once.
pub fn stop_flag() -> Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        // Asked in this order, so that the first signal finds the flag not set yet.
        flag::register_conditional_shutdown(signal, Exit::Interrupted as i32, Arc::clone(&stop))?;
        flag::register(signal, Arc::clone(&stop))?;
    }
    Ok(stop)
}

/// A bar on standard error, if a person watches there.
pub struct Bar {
    bar: ProgressBar,
    weights: Vec<f64>,
    shares: Mutex<Vec<f64>>,
}

impl Bar {
    /// A bar for these tasks.
    pub fn new(name: &str, tasks: &[Task], quiet: bool) -> Self {
        let visible = !quiet && std::io::stderr().is_terminal();
        let target = if visible { ProgressDrawTarget::stderr_with_hz(8) } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(Some(WHOLE), target);
        let template = "{prefix}  {wide_bar} {percent:>3} %  {msg}  {elapsed} gone, {eta} left";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("━╸ "));
        }
        bar.set_prefix(name.to_owned());
        bar.set_message(format!("0 of {} tasks", tasks.len()));
        if visible {
            bar.enable_steady_tick(Duration::from_millis(250));
        }
        // Tasks without an estimate weigh alike.
        let known = tasks.iter().all(|task| task.gflop > 0.0);
        let weights: Vec<_> = tasks.iter().map(|task| if known { task.gflop } else { 1.0 }).collect();
        Self { bar, shares: Mutex::new(vec![0.0; weights.len()]), weights }
    }

    /// Takes the bar away.
    pub fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

impl Watch for Bar {
    fn progress(&self, index: usize, share: f64) {
        let mut shares = self.shares.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(place) = shares.get_mut(index) else { return };
        let finished = share >= 1.0 && *place < 1.0;
        *place = share.max_select(0.0).min_select(1.0);
        let done: f64 = shares.iter().zip(&self.weights).map(|(s, w)| s * w).sum();
        let total: f64 = self.weights.iter().sum();
        self.bar.set_position((done / total * WHOLE as f64) as u64);
        if finished {
            let count = shares.iter().filter(|&&s| s >= 1.0).count();
            self.bar.set_message(format!("{count} of {} tasks", shares.len()));
        }
    }
}

/// Whether the flag was set.
pub fn stopped(stop: &AtomicBool) -> bool {
    stop.load(Ordering::Relaxed)
}

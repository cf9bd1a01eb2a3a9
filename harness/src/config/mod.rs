//! Settings of a run: defaults in the code, a profile on top, then `--set key=value`; one canonical form and its digest.
//!
//! An experiment's settings are a plain struct of its own (serde, with `deny_unknown_fields`). Each profile is a value of
//! that struct. Here it becomes a TOML table, takes the overrides, and must fit the struct again. What results, the
//! [`Configuration`], names the run: its digest is over [`Configuration::canonical`], sorted lines `key = value` which no
//! order of fields, no formatting and no library can change.
//!
//! Settings are numbers, texts, switches, lists and nested tables. Fractions are `f64` (an `f32` would show its
//! rounding); an `Option` has no place here, because TOML cannot say "none", so use an enum or a number that means it.

mod canonical;
mod overrides;

use std::fmt;
use std::str::FromStr;

use regularity_engine::digest::{Digest, Digester};
use serde::{Deserialize, Serialize};

pub use overrides::{Override, nearest};

use crate::error::{Error, Result};

/// The first seed of reported runs. Calibration takes seeds from 100 on.
pub const DEFAULT_SEED: u64 = 1;

/// How large a run is. Each experiment has its own settings for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// Seconds: that everything works. Its numbers show nothing about the paper.
    Smoke,
    /// Minutes: the effect, as small as it can be shown.
    Quick,
    /// Up to an hour: the effect on real data, with several seeds.
    Standard,
    /// The authors' own settings.
    Paper,
}

impl Profile {
    /// All of them, the smallest first.
    pub const ALL: [Self; 4] = [Self::Smoke, Self::Quick, Self::Standard, Self::Paper];

    /// The name, as flags and folders spell it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Smoke => "smoke",
            Self::Quick => "quick",
            Self::Standard => "standard",
            Self::Paper => "paper",
        }
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Profile {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|profile| profile.name() == text).ok_or_else(|| Error::Usage {
            message: format!("`{text}` is no profile"),
            help: "profiles are smoke, quick, standard and paper".to_owned(),
        })
    }
}

/// All that decides the results of a run, beside the numerics version and the contents of the data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Configuration {
    /// The experiment's id.
    pub experiment: String,
    /// The profile that the settings started from. Not part of the digest: only the settings count.
    pub profile: Profile,
    /// The first seed; tasks use it and those that follow.
    pub seed: u64,
    /// The name of the data, if the experiment uses any, such as `cifar10` or `procedural`.
    pub data: Option<String>,
    /// Every setting, resolved.
    pub settings: toml::Table,
}

impl Configuration {
    /// The canonical text: one line `key = value` for each setting, sorted by key.
    #[must_use]
    pub fn canonical(&self) -> String {
        let mut text = format!("experiment = {}\nseed = {}\n", canonical::quoted(&self.experiment), self.seed);
        if let Some(data) = &self.data {
            text += &format!("data = {}\n", canonical::quoted(data));
        }
        for (key, value) in canonical::flatten(&self.settings) {
            text += &format!("settings.{key} = {}\n", canonical::value(value));
        }
        text
    }

    /// The SHA-256 digest of the canonical text.
    ///
    /// # Errors
    /// None in practice; the engine's error type for the shape of a text.
    pub fn digest(&self) -> Result<Digest> {
        let text = self.canonical();
        Ok(Digester::new().tensor("configuration", &[text.len()], text.as_bytes())?.finish())
    }

    /// The settings as the experiment's own type.
    ///
    /// # Errors
    /// [`Error::Usage`] if they do not fit it.
    pub fn typed<S: serde::de::DeserializeOwned>(&self) -> Result<S> {
        S::deserialize(toml::Value::Table(self.settings.clone())).map_err(|e| Error::Usage {
            message: format!("the settings do not fit {}: {}", self.experiment, e.to_string().trim()),
            help: format!("`regularity run {} --dry-run` shows every setting with its value", self.experiment),
        })
    }

    /// Applies overrides in their order.
    ///
    /// # Errors
    /// [`Error::Usage`] for a key that does not exist, with the nearest that does, and for a value of another kind.
    pub fn apply(&mut self, overrides: &[Override]) -> Result<()> {
        overrides.iter().try_for_each(|o| o.apply(&mut self.settings))
    }
}

/// Settings as a TOML table.
///
/// # Errors
/// [`Error::Defect`] if the type holds what TOML cannot say.
pub fn table<S: Serialize>(experiment: &str, settings: &S) -> Result<toml::Table> {
    toml::Table::try_from(settings)
        .map_err(|e| Error::Defect { what: format!("the settings of {experiment} are no TOML table: {e}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Settings {
        epochs: u64,
        rates: Vec<f64>,
        kernel: String,
        inner: Inner,
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Inner {
        noise: f64,
        flip: bool,
    }

    fn configuration() -> Configuration {
        let inner = Inner { noise: 1e-5, flip: false };
        let settings = Settings { epochs: 3, rates: vec![0.1, 2.0], kernel: "a \"b\"".into(), inner };
        Configuration {
            experiment: "x".into(),
            profile: Profile::Smoke,
            seed: 7,
            data: None,
            settings: table("x", &settings).unwrap(),
        }
    }

    fn with(texts: &[&str]) -> Result<Configuration> {
        let mut configuration = configuration();
        let overrides: Vec<Override> = texts.iter().map(|text| text.parse()).collect::<Result<_>>()?;
        configuration.apply(&overrides)?;
        configuration.typed::<Settings>()?;
        Ok(configuration)
    }

    #[test]
    fn the_canonical_text_is_sorted_and_exact() {
        let expected = "experiment = \"x\"\nseed = 7\nsettings.epochs = 3\nsettings.inner.flip = false\n\
                        settings.inner.noise = 1e-5\nsettings.kernel = \"a \\\"b\\\"\"\nsettings.rates = [0.1, 2.0]\n";
        assert_eq!(configuration().canonical(), expected);
    }

    #[test]
    fn the_digest_sees_settings_seed_and_data_but_not_the_profile_name() {
        let digest = |c: &Configuration| c.digest().unwrap();
        let base = configuration();
        assert_eq!(digest(&base), digest(&Configuration { profile: Profile::Paper, ..base.clone() }));
        assert_ne!(digest(&base), digest(&Configuration { seed: 8, ..base.clone() }));
        assert_ne!(digest(&base), digest(&Configuration { data: Some("cifar10".into()), ..base.clone() }));
        assert_ne!(digest(&base), digest(&with(&["inner.noise=2e-5"]).unwrap()));
    }

    #[test]
    fn overrides_take_every_kind_and_the_last_one_counts() {
        let c = with(&["epochs=5", "epochs = 6", "rates=[1, 0.5]", "kernel=rbf", "inner.flip=true", "inner.noise=3"]);
        let settings = c.unwrap().typed::<Settings>().unwrap();
        let inner = Inner { noise: 3.0, flip: true };
        assert_eq!(settings, Settings { epochs: 6, rates: vec![1.0, 0.5], kernel: "rbf".into(), inner });
    }

    #[test]
    fn a_wrong_override_says_what_would_be_right() {
        let cases = [
            ("epoch=3", "no setting `epoch`", "did you mean `epochs`?"),
            ("inner.nois=3", "no setting `inner.nois`", "did you mean `inner.noise`?"),
            ("noise=3", "no setting `noise`", "did you mean `inner.noise`?"),
            ("epochs=many", "`epochs` is an integer", "3"),
            ("inner.flip=1", "`inner.flip` is true or false", "false"),
            ("inner=1", "`inner` is a group of settings", "inner.flip"),
            ("epochs", "`epochs` is not key=value", "--set"),
            ("epochs=-1", "do not fit", "--dry-run"),
        ];
        for (text, message, help) in cases {
            let Err(Error::Usage { message: m, help: h }) = with(&[text]) else { panic!("{text} was accepted") };
            assert!(m.contains(message) && h.contains(help), "{text}: {m}; {h}");
        }
    }
}

//! `--set key=value`.

use regularity_engine::simd::Real;
use std::str::FromStr;

use toml::{Table, Value};

use super::canonical;
use crate::error::{Error, Result};

/// One override of a setting.
#[derive(Debug, Clone, PartialEq)]
pub struct Override {
    /// The dotted key.
    pub key: String,
    /// The new value.
    pub value: Value,
}

impl FromStr for Override {
    type Err = Error;

    /// Reads `key=value`, the value in TOML; what is no TOML value is a text, so that `kernel=rbf` needs no quotes.
    fn from_str(text: &str) -> Result<Self> {
        let (key, value) = text.split_once('=').ok_or_else(|| Error::Usage {
            message: format!("`{text}` is not key=value"),
            help: "write for example --set epochs=3 or --set optimiser.momentum=0.9".to_owned(),
        })?;
        let value = value.trim();
        let parsed = toml::from_str::<Table>(&format!("value = {value}")).ok().and_then(|mut t| t.remove("value"));
        Ok(Self { key: key.trim().to_owned(), value: parsed.unwrap_or_else(|| Value::String(value.to_owned())) })
    }
}

impl Override {
    /// Puts the value where its key is.
    ///
    /// # Errors
    /// [`Error::Usage`] if there is no such key, or if it holds a value of another kind.
    pub fn apply(&self, settings: &mut Table) -> Result<()> {
        let Some(place) = find(settings, &self.key) else { return Err(self.unknown(settings)) };
        let value = coerce(place, self.value.clone()).ok_or_else(|| self.misfit(place))?;
        *place = value;
        Ok(())
    }

    fn unknown(&self, settings: &Table) -> Error {
        let keys: Vec<_> = canonical::flatten(settings).into_iter().map(|(key, _)| key).collect();
        let help = match nearest(&self.key, keys.iter().map(String::as_str)) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("settings are {}", keys.join(", ")),
        };
        Error::Usage { message: format!("there is no setting `{}`", self.key), help }
    }

    fn misfit(&self, place: &Value) -> Error {
        let help = match place {
            Value::Table(inner) => {
                let keys: Vec<_> =
                    canonical::flatten(inner).into_iter().map(|(k, _)| format!("{}.{k}", self.key)).collect();
                format!("set one of {}", keys.join(", "))
            }
            _ => format!("without the override it is {}", canonical::value(place)),
        };
        let value = canonical::value(&self.value);
        Error::Usage { message: format!("`{}` is {}, which {value} is not", self.key, kind(place)), help }
    }
}

fn find<'a>(settings: &'a mut Table, key: &str) -> Option<&'a mut Value> {
    match key.split_once('.') {
        None => settings.get_mut(key),
        Some((first, rest)) => find(settings.get_mut(first)?.as_table_mut()?, rest),
    }
}

/// The value as one of the kind that stands there now; an integer may stand for a fraction.
fn coerce(place: &Value, value: Value) -> Option<Value> {
    Some(match (place, value) {
        // Every integer that a person writes for a fraction is small enough to be exact.
        (Value::Float(_), Value::Integer(n)) => Value::Float(n as f64),
        (Value::Array(old), Value::Array(new)) => match old.first() {
            Some(first) if !matches!(first, Value::Table(_)) => {
                Value::Array(new.into_iter().map(|v| coerce(first, v)).collect::<Option<_>>()?)
            }
            _ => Value::Array(new),
        },
        (Value::Table(_), _) => return None,
        (old, new) if old.same_type(&new) => new,
        // An enum that is a text may be spelt like a number or a switch.
        (Value::String(_), new @ (Value::Integer(_) | Value::Float(_) | Value::Boolean(_))) => {
            Value::String(canonical::value(&new))
        }
        _ => return None,
    })
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "a text",
        Value::Integer(_) => "an integer",
        Value::Float(_) => "a number",
        Value::Boolean(_) => "true or false",
        Value::Datetime(_) => "a date",
        Value::Array(_) => "a list of values of one kind",
        Value::Table(_) => "a group of settings",
    }
}

/// The name that was probably meant: the nearest by edits, or one whose last part is the text.
#[must_use]
pub fn nearest<'a>(text: &str, names: impl Iterator<Item = &'a str> + Clone) -> Option<&'a str> {
    let last = |name: &'a str| name.rsplit('.').next().unwrap_or(name);
    if let Some(name) = names.clone().find(|name| last(name) == text) {
        return Some(name);
    }
    let score = |name: &'a str| strsim::jaro_winkler(text, name).max_select(strsim::jaro_winkler(text, last(name)));
    names.map(|name| (score(name), name)).filter(|(s, _)| *s > 0.8).max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, n)| n)
}

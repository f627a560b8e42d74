//! What is remembered.

use std::{fmt, str::FromStr, sync::Arc};

use domain::{
    ids::ClientId,
    input::{InvalidInput, Problem},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Length of every vector.
pub const DIMENSIONS: usize = 256;
/// Most characters of an id, a fingerprint or a title.
const SHORT: usize = 500;
/// Most bytes of a text.
const LONG: usize = 32 * 1024;
/// Most fingerprints of an incident.
const FINGERPRINTS: usize = 200;

/// A past incident.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Incident {
    /// Its id, unique for its client.
    pub id: String,
    /// Whose it was.
    pub client: ClientId,
    /// Fingerprints of its alerts.
    pub fingerprints: Vec<String>,
    /// One line.
    pub title: String,
    /// What was behind it, when that was found.
    pub cause: Option<String>,
    /// What ended it, when something did.
    pub what_worked: Option<String>,
    /// What its alerts said.
    pub text: String,
    /// When it was over.
    pub closed_at: Timestamp,
}

impl Incident {
    /// Returns all its words: what a search for text looks in.
    #[must_use]
    pub fn words(&self) -> String {
        let parts = [
            Some(self.title.as_str()),
            self.cause.as_deref(),
            self.what_worked.as_deref(),
            Some(self.text.as_str()),
        ];
        let said: Vec<&str> = parts
            .into_iter()
            .flatten()
            .filter(|part| !part.is_empty())
            .collect();
        said.join("\n")
    }

    /// Returns what a model makes a vector of: what its alerts said, or its title. What was found out
    /// about it later is left out, because nobody who asks knows that yet.
    #[must_use]
    pub fn look(&self) -> String {
        let said = if self.text.is_empty() {
            &self.title
        } else {
            &self.text
        };
        said.clone()
    }

    /// Key of its record: the same for each repetition, another one for each client.
    pub(super) fn key(&self) -> String {
        key(&self.client, &self.id)
    }

    /// Changes with its words, so that a vector made of older ones is known.
    pub(super) fn digest(&self) -> String {
        short_hash(&[&self.words()])
    }

    /// Checks what no adapter could keep.
    ///
    /// # Errors
    /// With every field that is not allowed.
    pub fn check(&self) -> Result<(), InvalidInput> {
        let mut problems = vec![];
        if self.id.is_empty() || self.id.chars().count() > SHORT {
            problems.push(Problem::new("id", &self.id, "1 to 500 characters"));
        }
        if self.title.chars().count() > SHORT {
            problems.push(Problem::new("title", &self.title, "up to 500 characters"));
        }
        if self.fingerprints.len() > FINGERPRINTS {
            let count = self.fingerprints.len();
            problems.push(Problem::new("fingerprints", count, "up to 200 of them"));
        }
        for fingerprint in &self.fingerprints {
            if fingerprint.is_empty() || fingerprint.chars().count() > SHORT {
                problems.push(Problem::new(
                    "fingerprints",
                    fingerprint,
                    "1 to 500 characters each",
                ));
            }
        }
        for (field, text) in [
            ("text", Some(&self.text)),
            ("cause", self.cause.as_ref()),
            ("what_worked", self.what_worked.as_ref()),
        ] {
            if let Some(text) = text.filter(|text| text.len() > LONG) {
                problems.push(Problem::new(field, text, "up to 32 KiB"));
            }
        }
        InvalidInput::when(problems)
    }
}

/// Key of the record of an incident.
pub(super) fn key(client: &ClientId, id: &str) -> String {
    short_hash(&[client.as_str(), id])
}

/// 128 bits of SHA-256 as hex.
pub(super) fn short_hash(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.len().to_be_bytes());
        hash.update(part);
    }
    hex::encode(&hash.finalize()[..16])
}

/// A direction in a space of 256 dimensions, of length 1.
#[derive(Clone, PartialEq)]
pub struct Vector(Arc<[f32]>);

impl Vector {
    /// Brings values to length 1.
    ///
    /// # Errors
    /// When there are not 256 of them, one is not a finite number, or all are zero: such a vector has
    /// no direction.
    pub fn new(values: &[f32]) -> Result<Self, InvalidInput> {
        let refused = |value: String, allowed: &str| {
            InvalidInput::one(Problem::new("vector", value, allowed))
        };
        if values.len() != DIMENSIONS {
            let count = format!("{} numbers", values.len());
            return Err(refused(count, "256 numbers"));
        }
        if let Some(value) = values.iter().find(|value| !value.is_finite()) {
            return Err(refused(value.to_string(), "finite numbers"));
        }
        let squares: f64 = values.iter().map(|value| f64::from(*value).powi(2)).sum();
        if squares == 0.0 {
            return Err(refused("all zero".to_owned(), "at least one that is not 0"));
        }
        let length = squares.sqrt();
        let unit = values
            .iter()
            .map(|value| (f64::from(*value) / length) as f32);
        Ok(Self(unit.collect()))
    }

    /// Returns its 256 numbers.
    #[must_use]
    pub fn as_slice(&self) -> &[f32] {
        &self.0
    }
}

impl fmt::Debug for Vector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Vector({}, {}, …)", self.0[0], self.0[1])
    }
}

/// Name of an embedding model, such as `amazon.titan-embed-text-v2:0`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ModelName(String);

impl ModelName {
    /// Returns the name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ModelName {
    type Err = InvalidInput;

    fn from_str(name: &str) -> Result<Self, InvalidInput> {
        let is_allowed = |c: char| c.is_ascii_alphanumeric() || "._:/-".contains(c);
        if name.is_empty() || name.len() > 120 || !name.chars().all(is_allowed) {
            return Err(InvalidInput::one(Problem::new(
                "embedding model",
                name,
                "1 to 120 letters, digits and . _ : / -",
            )));
        }
        Ok(Self(name.to_owned()))
    }
}

impl TryFrom<String> for ModelName {
    type Error = InvalidInput;

    fn try_from(name: String) -> Result<Self, InvalidInput> {
        name.parse()
    }
}

impl From<ModelName> for String {
    fn from(name: ModelName) -> Self {
        name.0
    }
}

impl fmt::Display for ModelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A vector of a model.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelVector {
    /// Which model made it.
    pub model: ModelName,
    /// What it made.
    pub vector: Vector,
}

/// An incident with where it lies.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// The incident.
    pub incident: Incident,
    /// Where it lies by rule.
    pub rule: Vector,
    /// Where it lies by a model, if one was at hand.
    pub model: Option<ModelVector>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vector_is_brought_to_length_one_however_long_it_is() {
        for scale in [1e-30, 1.0, 1e37] {
            let mut values = [0.0; DIMENSIONS];
            (values[0], values[255]) = (3.0 * scale, 4.0 * scale);
            let vector = Vector::new(&values).unwrap();
            assert!((vector.as_slice()[0] - 0.6).abs() < 1e-6, "{vector:?}");
            assert!((vector.as_slice()[255] - 0.8).abs() < 1e-6, "{vector:?}");
        }
    }

    #[test]
    fn what_has_no_direction_is_refused_and_says_why() {
        let (mut endless, mut none) = ([1.0; DIMENSIONS], [1.0; DIMENSIONS]);
        (endless[7], none[7]) = (f32::INFINITY, f32::NAN);
        for (values, told) in [
            (&[1.0; 255][..], "255 numbers"),
            (&[], "0 numbers"),
            (&[0.0; DIMENSIONS], "all zero"),
            (&endless, "inf"),
            (&none, "NaN"),
        ] {
            let error = Vector::new(values).unwrap_err().to_string();
            assert!(
                error.starts_with("vector: ") && error.contains(told),
                "{error}"
            );
        }
    }

    #[test]
    fn a_key_is_the_same_each_time_and_another_one_for_each_client() {
        let (one, other): (ClientId, ClientId) = ("7".parse().unwrap(), "71".parse().unwrap());
        assert_eq!(key(&one, "12"), key(&one, "12"));
        assert_ne!(key(&one, "12"), key(&other, "2"));
        assert_eq!(key(&one, "12").len(), 32);
    }

    #[test]
    fn a_name_of_a_model_is_checked() {
        for good in ["amazon.titan-embed-text-v2:0", "local/hash_256"] {
            assert_eq!(good.parse::<ModelName>().unwrap().as_str(), good);
        }
        for bad in ["", "a b", "ä", &"x".repeat(121)] {
            assert!(bad.parse::<ModelName>().is_err(), "{bad}");
        }
    }
}

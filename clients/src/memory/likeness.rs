//! Where an incident lies by rule: what it looked like, hashed into the dimensions of a vector
//! (feature hashing, Weinberger et al., ICML 2009). Incidents of the same kinds lie close together.

use domain::input::InvalidInput;
use sha2::{Digest, Sha256};

use super::{DIMENSIONS, Vector};

/// What an incident looks like.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Look {
    /// Fingerprints of its alerts.
    pub fingerprints: Vec<String>,
    /// What its alerts say, as templates.
    pub templates: Vec<String>,
    /// Updates that are suspected.
    pub kbs: Vec<String>,
}

/// Weights, ours: the kind of alert says most, an update that is suspected nearly as much; words only
/// bring alike what has no kind in common.
const KIND: f32 = 3.0;
const KB: f32 = 2.0;
const WORD: f32 = 0.5;

impl Look {
    /// Returns where it lies.
    ///
    /// # Errors
    /// When nothing is known of it, so that it has no direction.
    pub fn vector(&self) -> Result<Vector, InvalidInput> {
        let mut values = [0.0; DIMENSIONS];
        let words = self.templates.iter().flat_map(|text| text.split(' '));
        let words = words.filter(|word| word.len() > 2 && !word.starts_with('<'));
        let words = words.map(str::to_lowercase);
        let mut all: Vec<(&str, String, f32)> = Vec::new();
        all.extend(
            self.fingerprints
                .iter()
                .map(|kind| ("kind", kind.clone(), KIND)),
        );
        all.extend(self.kbs.iter().map(|kb| ("kb", kb.clone(), KB)));
        all.extend(words.map(|word| ("word", word, WORD)));
        all.sort_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
        all.dedup_by(|a, b| a.0 == b.0 && a.1 == b.1);
        for (sort, text, weight) in all {
            let digest = Sha256::digest(format!("{sort}/{text}"));
            let sign = if digest[1] % 2 == 0 { 1.0 } else { -1.0 };
            values[usize::from(digest[0])] += sign * weight;
        }
        Vector::new(&values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(kinds: &[&str], template: &str) -> Look {
        Look {
            fingerprints: kinds.iter().map(|kind| (*kind).to_owned()).collect(),
            templates: vec![template.to_owned()],
            kbs: Vec::new(),
        }
    }

    fn cosine(one: &Look, other: &Look) -> f32 {
        let (one, other) = (one.vector().unwrap(), other.vector().unwrap());
        let pairs = one.as_slice().iter().zip(other.as_slice());
        pairs.map(|(a, b)| a * b).sum()
    }

    #[test]
    fn incidents_of_the_same_kinds_lie_closer_than_others() {
        let this = look(&["a1", "b2"], "disk <path> is <percent> full");
        let again = look(&["b2", "a1", "a1"], "disk <path> is <percent> full");
        let like = look(&["a1", "c3"], "disk <path> is <percent> full");
        let other = look(&["d4"], "service stopped");
        assert!(cosine(&this, &again) > 0.999);
        assert!(cosine(&this, &like) > 0.4 && cosine(&this, &like) < 0.9);
        assert!(cosine(&this, &other).abs() < 0.4);
    }

    #[test]
    fn what_nothing_is_known_of_has_no_place() {
        assert!(Look::default().vector().is_err());
        assert!(look(&[], "<path> <number>").vector().is_err());
    }
}

//! What a fingerprint stands for, in words.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{lexer::is_sign, parameter::Parameter, shape::HOLE};

/// Names a template: equal for messages of the same template, written as 16 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Fingerprint(u64);

impl Fingerprint {
    /// Makes the fingerprint of a shape that is seen for the first time.
    pub(super) fn of_key(key: &str) -> Self {
        let digest = Sha256::digest(key.as_bytes());
        let head = digest.first_chunk().copied().unwrap_or_default();
        Self(u64::from_be_bytes(head))
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// A fingerprint that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("fingerprint {0:?} is not allowed: 16 hexadecimal digits")]
pub struct InvalidFingerprint(String);

impl FromStr for Fingerprint {
    type Err = InvalidFingerprint;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_hex = text.len() == 16 && text.bytes().all(|c| c.is_ascii_hexdigit());
        let value = is_hex.then(|| u64::from_str_radix(text, 16).ok()).flatten();
        value
            .map(Self)
            .ok_or_else(|| InvalidFingerprint(text.chars().take(40).collect()))
    }
}

impl TryFrom<String> for Fingerprint {
    type Error = InvalidFingerprint;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Fingerprint> for String {
    fn from(fingerprint: Fingerprint) -> Self {
        fingerprint.to_string()
    }
}

/// A template and how often it was seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Template {
    /// Its name.
    pub fingerprint: Fingerprint,
    /// The words of the message with typed parameters, such as `disk <path> is <percent> full`.
    pub text: String,
    /// What its parameters hold, in order.
    pub parameters: Vec<Parameter>,
    /// Messages seen.
    pub messages: u64,
}

/// Writes a key as people write: no blanks inside brackets and around signs, typed placeholders.
pub(super) fn text_of(key: &str, parameters: &[Parameter]) -> String {
    let mut text = String::with_capacity(key.len());
    let mut parameters = parameters.iter();
    let mut glued = true;
    let mut open = None;
    for token in key.split(' ') {
        let first = token.as_bytes().first().copied().unwrap_or_default();
        let sign = token.len() == 1 && is_sign(first);
        let quote = sign && (first == b'"' || first == b'\'');
        let closes = quote && open == Some(first);
        if !(glued || closes || sign && b"=:,;)]}>|".contains(&first)) {
            text.push(' ');
        }
        if token.starts_with(HOLE) {
            let parameter = parameters.next().copied().unwrap_or(Parameter::Value);
            text.push_str(parameter.placeholder());
        } else {
            text.extend(token.chars().map(visible));
        }
        if quote {
            open = if closes { None } else { Some(first) };
        }
        glued = sign && b"=([{<|".contains(&first) || quote && !closes;
    }
    text
}

/// Replaces what does not show or turns the direction of text.
fn visible(c: char) -> char {
    let turns = matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}');
    if c.is_control() || turns {
        '\u{fffd}'
    } else {
        c
    }
}

//! Checks of what people write: every finding names the field, the value and what is allowed.

use std::fmt;

use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// One finding about one field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// Path of the field, such as `rings[1].percent`.
    pub field: String,
    /// The value that was refused, shortened.
    pub value: String,
    /// What is allowed instead.
    pub allowed: String,
}

impl Problem {
    /// Makes a finding.
    pub fn new(
        field: impl Into<String>,
        value: impl fmt::Display,
        allowed: impl Into<String>,
    ) -> Self {
        let value = value.to_string();
        let mut short: String = value.chars().take(120).collect();
        if short.len() < value.len() {
            short.push('…');
        }
        Self {
            field: field.into(),
            value: short,
            allowed: allowed.into(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: `{}` is not allowed: {}",
            self.field, self.value, self.allowed
        )
    }
}

/// All findings about one input.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct InvalidInput {
    /// At least one finding.
    pub problems: Vec<Problem>,
}

impl InvalidInput {
    /// Makes an input error of one finding.
    #[must_use]
    pub fn one(problem: Problem) -> Self {
        Self {
            problems: vec![problem],
        }
    }

    /// Succeeds when there is no finding.
    ///
    /// # Errors
    /// With all findings, when there is one.
    pub fn when(problems: Vec<Problem>) -> Result<(), Self> {
        if problems.is_empty() {
            Ok(())
        } else {
            Err(Self { problems })
        }
    }
}

impl fmt::Display for InvalidInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.problems.iter().enumerate() {
            if i > 0 {
                f.write_str("; ")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

/// Reads a value and names the field where it does not fit.
///
/// # Errors
/// When a field is unknown, missing or of the wrong shape.
pub fn from_json<T: DeserializeOwned>(value: &serde_json::Value) -> Result<T, InvalidInput> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let path = error.path().to_string();
        let found = lookup(value, error.path());
        let message = error.into_inner().to_string();
        InvalidInput::one(Problem::new(
            if path == "." {
                "input".to_owned()
            } else {
                path
            },
            found.map_or_else(String::new, ToString::to_string),
            message,
        ))
    })
}

fn lookup<'a>(
    value: &'a serde_json::Value,
    path: &serde_path_to_error::Path,
) -> Option<&'a serde_json::Value> {
    path.iter().try_fold(value, |at, segment| match segment {
        serde_path_to_error::Segment::Seq { index } => at.get(index),
        serde_path_to_error::Segment::Map { key } => at.get(key),
        _ => Some(at),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Sample {
        #[expect(dead_code)]
        percent: u8,
    }

    #[test]
    fn a_typo_in_a_field_name_is_named_with_what_is_allowed() {
        let error = from_json::<Vec<Sample>>(&serde_json::json!([{ "percnt": 3 }])).unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains("[0]") && text.contains("percnt") && text.contains("percent"),
            "{text}"
        );
    }

    #[test]
    fn a_wrong_value_is_named() {
        let error = from_json::<Sample>(&serde_json::json!({ "percent": 300 })).unwrap_err();
        assert_eq!(error.problems[0].field, "percent");
        assert_eq!(error.problems[0].value, "300");
    }
}

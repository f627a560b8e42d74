//! Checks of what people write: every finding names the field, the value and what is allowed.

use std::fmt;

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{DeserializeOwned, Error as _, Visitor},
};

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
    let fields = fields_of::<T>();
    // The parser would take a list for one, too.
    if !fields.is_empty() && !value.is_object() {
        let allowed = format!("an object with the fields {}", fields.join(", "));
        return Err(InvalidInput::one(Problem::new("input", value, allowed)));
    }
    serde_path_to_error::deserialize(value).map_err(|error| {
        let path = error.path().to_string();
        let found = lookup(value, error.path());
        let allowed = in_words(&error.into_inner().to_string(), &path);
        InvalidInput::one(Problem::new(
            if path == "." {
                "input".to_owned()
            } else {
                path
            },
            found.map_or_else(String::new, ToString::to_string),
            allowed,
        ))
    })
}

/// Says what is allowed where the parser speaks of the types of a program.
fn in_words(message: &str, path: &str) -> String {
    let is_about_type =
        message.starts_with("invalid type: ") || message.starts_with("invalid value: ");
    let expected = message.rsplit_once(", expected ").filter(|_| is_about_type);
    let Some((_, expected)) = expected else {
        return message.to_owned();
    };
    match expected {
        "u64" | "usize" if path.ends_with("_secs") => "seconds, 0 or more".to_owned(),
        "u64" | "usize" => "a whole number, 0 or more".to_owned(),
        "u32" => format!("a whole number, 0 to {}", u32::MAX),
        "u16" => format!("a whole number, 0 to {}", u16::MAX),
        "u8" => format!("a whole number, 0 to {}", u8::MAX),
        "a boolean" => "true or false".to_owned(),
        "a string" => "text, in quotes".to_owned(),
        "a sequence" => "a list".to_owned(),
        "a map" => "an object".to_owned(),
        object if object.starts_with("struct ") => "an object with named fields".to_owned(),
        other => other.to_owned(),
    }
}

/// Returns the names of the fields of a type; none when it is no struct.
fn fields_of<T: DeserializeOwned>() -> &'static [&'static str] {
    let mut fields: &[&str] = &[];
    // It only asks; there is nothing to read.
    let _nothing = T::deserialize(AskForFields(&mut fields));
    fields
}

struct AskForFields<'a>(&'a mut &'static [&'static str]);

impl<'de> Deserializer<'de> for AskForFields<'_> {
    type Error = serde::de::value::Error;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Self::Error> {
        Err(Self::Error::custom("nothing to read"))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        *self.0 = fields;
        self.deserialize_any(visitor)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
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
    use serde_json::json;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only read")]
    struct Sample {
        percent: u8,
        #[serde(default)]
        wait_secs: u64,
        #[serde(default)]
        inner: Vec<Sample>,
    }

    fn refused(value: serde_json::Value) -> String {
        from_json::<Sample>(&value).unwrap_err().to_string()
    }

    #[test]
    fn a_typo_in_a_field_name_is_named_with_what_is_allowed() {
        let error = from_json::<Vec<Sample>>(&json!([{ "percnt": 3 }])).unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains("[0]") && text.contains("percnt") && text.contains("percent"),
            "{text}"
        );
    }

    #[test]
    fn a_wrong_value_is_named_and_what_is_allowed_is_said_in_words() {
        for (value, said) in [
            (
                json!({ "percent": 300 }),
                "percent: `300` is not allowed: a whole number, 0 to 255",
            ),
            (
                json!({ "percent": 1, "wait_secs": -1 }),
                "wait_secs: `-1` is not allowed: seconds, 0 or more",
            ),
            (
                json!({ "percent": 1, "inner": 2 }),
                "inner: `2` is not allowed: a list",
            ),
            (
                json!({ "percent": 1, "inner": [2] }),
                "inner[0]: `2` is not allowed: an object with named fields",
            ),
        ] {
            assert_eq!(refused(value), said);
        }
    }

    #[test]
    fn what_is_no_object_at_all_is_told_the_fields() {
        for value in [json!(null), json!([]), json!([1]), json!("text")] {
            let said = format!(
                "input: `{value}` is not allowed: an object with the fields percent, wait_secs, inner"
            );
            assert_eq!(refused(value), said);
        }
    }
}

//! Files people write: YAML, of which JSON is a part, and TOML. What is wrong is named by field.

use std::{fs::File, io::Read, path::Path};

use anyhow::{Context, bail};
use domain::input;
use serde::de::DeserializeOwned;

/// Largest file that is read at all, in bytes.
const MAX_BYTES: u64 = 1024 * 1024;

/// Reads a file, or stdin for `-`, as a JSON value.
///
/// # Errors
/// When the file cannot be read, is too big or is neither YAML nor JSON.
pub fn value(path: &Path) -> anyhow::Result<serde_json::Value> {
    read(path, parse)
}

/// Reads a TOML file, or stdin for `-`, as a JSON value.
///
/// # Errors
/// When the file cannot be read, is too big or is no TOML.
pub fn toml(path: &Path) -> anyhow::Result<serde_json::Value> {
    read(path, parse_toml)
}

fn read(
    path: &Path,
    parse: impl Fn(&str) -> anyhow::Result<serde_json::Value>,
) -> anyhow::Result<serde_json::Value> {
    let bytes = bytes(path, MAX_BYTES)?;
    let text = String::from_utf8(bytes).context("not UTF-8");
    text.and_then(|text| parse(&text))
        .with_context(|| path.display().to_string())
}

/// Reads a file, or stdin for `-`, of at most so many bytes.
///
/// # Errors
/// When it cannot be read or is too big.
pub fn bytes(path: &Path, most: u64) -> anyhow::Result<Vec<u8>> {
    let bytes = if path.as_os_str() == "-" {
        up_to(most, std::io::stdin().lock())
    } else {
        File::open(path)
            .map_err(Into::into)
            .and_then(|file| up_to(most, file))
    };
    bytes.with_context(|| path.display().to_string())
}

/// Reads TOML text as a JSON value.
///
/// # Errors
/// With line and column of what is wrong.
pub fn parse_toml(text: &str) -> anyhow::Result<serde_json::Value> {
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
        let before = &text[..error.span().map_or(0, |span| span.start.min(text.len()))];
        let line = before.matches('\n').count() + 1;
        anyhow::anyhow!("line {line}: {}", error.message())
    })?;
    json_of(toml::Value::Table(table))
}

/// JSON has no times; a workflow reads them as text.
fn json_of(value: toml::Value) -> anyhow::Result<serde_json::Value> {
    use serde_json::Value as Json;
    Ok(match value {
        toml::Value::String(text) => Json::String(text),
        toml::Value::Integer(number) => Json::from(number),
        toml::Value::Float(number) => serde_json::Number::from_f64(number)
            .map(Json::Number)
            .with_context(|| format!("`{number}` is not allowed: a finite number"))?,
        toml::Value::Boolean(is) => Json::Bool(is),
        toml::Value::Datetime(at) => Json::String(at.to_string()),
        toml::Value::Array(items) => {
            Json::Array(items.into_iter().map(json_of).collect::<Result<_, _>>()?)
        }
        toml::Value::Table(fields) => {
            let fields = fields
                .into_iter()
                .map(|(key, value)| Ok((key, json_of(value)?)));
            Json::Object(fields.collect::<anyhow::Result<_>>()?)
        }
    })
}

/// Reads a file as a typed value.
///
/// # Errors
/// As [`value`], and when a field is unknown, missing or of the wrong shape.
pub fn typed<T: DeserializeOwned>(path: &Path) -> anyhow::Result<T> {
    let value = value(path)?;
    input::from_json(&value).with_context(|| path.display().to_string())
}

/// Reads YAML or JSON text as a JSON value.
///
/// # Errors
/// With line and column of what is wrong.
pub fn parse(text: &str) -> anyhow::Result<serde_json::Value> {
    // YAML 1.2: an id `y` or `no` is text.
    let options = serde_saphyr::options! { strict_booleans: true };
    // The first line of the parser's message says what and where; the rest is a picture of it.
    serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        let message = error.to_string();
        anyhow::anyhow!(
            "{}",
            message
                .lines()
                .next()
                .unwrap_or("not YAML or JSON")
                .to_owned()
        )
    })
}

fn up_to(most: u64, source: impl Read) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    source.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        bail!("more than {most} bytes");
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_stay_text_and_broken_text_names_its_line() {
        let value = parse("from: 22:00\nto: \"04:00\"\nn: 3\nid: no\nall: true").unwrap();
        let expected =
            serde_json::json!({ "from": "22:00", "to": "04:00", "n": 3, "id": "no", "all": true });
        assert_eq!(value, expected);
        let error = parse("a: 1\nb: [1, 2\n").unwrap_err().to_string();
        assert!(error.contains("line") && !error.contains('\n'), "{error}");
    }

    #[test]
    fn toml_is_read_as_json_and_broken_toml_names_its_line() {
        let value = parse_toml("a = 1\n[[b]]\nc = 2026-12-01\nd = [1.5, true]\n").unwrap();
        let expected =
            serde_json::json!({ "a": 1, "b": [{ "c": "2026-12-01", "d": [1.5, true] }] });
        assert_eq!(value, expected);
        let error = parse_toml("a = 1\nb = [1, 2\nc = ü")
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with("line ") && !error.contains('\n'),
            "{error}"
        );
        let error = parse_toml("a = nan").unwrap_err().to_string();
        assert!(error.contains("finite"), "{error}");
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = value(Path::new("/nowhere/plan.yaml")).unwrap_err();
        assert!(
            format!("{error:#}").starts_with("/nowhere/plan.yaml: "),
            "{error:#}"
        );
    }
}

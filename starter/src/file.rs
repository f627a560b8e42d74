//! Files people write: YAML, of which JSON is a part. What is wrong is named by field.

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
    let name = path.display().to_string();
    let text = if name == "-" {
        text(std::io::stdin().lock())
    } else {
        File::open(path).map_err(Into::into).and_then(text)
    }
    .with_context(|| name.clone())?;
    parse(&text).with_context(|| name)
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

fn text(source: impl Read) -> anyhow::Result<String> {
    let mut text = String::new();
    source.take(MAX_BYTES + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MAX_BYTES {
        bail!("more than {MAX_BYTES} bytes");
    }
    Ok(text)
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
    fn a_missing_file_is_named() {
        let error = value(Path::new("/nowhere/plan.yaml")).unwrap_err();
        assert!(
            format!("{error:#}").starts_with("/nowhere/plan.yaml: "),
            "{error:#}"
        );
    }
}

//! What a person or script sees: tables, lines and JSON on stdout, errors on stderr. Nothing that
//! came from outside reaches a terminal with control characters in it.

use std::{fmt::Display, io::Write};

use comfy_table::{ContentArrangement, Table, presets};
use domain::input::InvalidInput;
use serde::Serialize;

/// Exit status for wrong usage, or when Temporal or the store cannot be used.
pub const USAGE_OR_CONNECTION: u8 = 1;

/// Whether a person or a program reads the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Words and tables.
    Text,
    /// One JSON document on one line.
    Json,
}

impl Format {
    /// Returns true for JSON.
    #[must_use]
    pub fn is_json(self) -> bool {
        self == Self::Json
    }
}

/// Replaces control characters and those that turn the direction of writing, so that text from
/// outside can neither move the cursor nor show something else than it is.
#[must_use]
pub fn clean(text: impl Display) -> String {
    let safe = |c: char| match c {
        '\n' | '\r' | '\t' => ' ',
        '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '\u{fffd}',
        c if c.is_control() => '\u{fffd}',
        c => c,
    };
    text.to_string().chars().map(safe).collect()
}

/// As [`clean`], and no longer than `most` characters.
#[must_use]
pub fn short(text: impl Display, most: usize) -> String {
    let text = clean(text);
    if text.chars().count() <= most {
        return text;
    }
    let mut cut: String = text.chars().take(most.saturating_sub(1)).collect();
    cut.push('…');
    cut
}

/// Prints a line.
pub fn line(text: impl Display) {
    print(clean(text));
}

/// Prints a remark to stderr.
pub fn remark(text: impl Display) {
    // As in `print`.
    let _ = writeln!(std::io::stderr().lock(), "{}", clean(text));
}

/// A reader that has gone, as `head` does, is no reason to panic.
fn print(text: impl Display) {
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}

/// Prints a value as one line of JSON.
///
/// # Errors
/// When the value cannot be JSON.
pub fn json<T: Serialize>(value: &T) -> anyhow::Result<()> {
    print(serde_json::to_string(value)?);
    Ok(())
}

/// Prints what came of something a person asked for, and returns the exit status. A program gets the report
/// either way; what is not good goes to stderr.
///
/// # Errors
/// When the report cannot be JSON.
pub fn outcome<T: Serialize>(
    format: Format,
    report: &T,
    good: bool,
    words: &str,
) -> anyhow::Result<u8> {
    if format.is_json() {
        json(report)?;
    }
    if !good {
        error(&anyhow::anyhow!(words.to_owned()));
        return Ok(USAGE_OR_CONNECTION);
    }
    if !format.is_json() {
        line(words);
    }
    Ok(0)
}

/// Prints a value as JSON that people edit.
///
/// # Errors
/// When the value cannot be JSON.
pub fn pretty_json<T: Serialize>(value: &T) -> anyhow::Result<()> {
    print(serde_json::to_string_pretty(value)?);
    Ok(())
}

/// Prints a table; says `none` instead of an empty one.
pub fn table<const N: usize>(header: [&str; N], rows: impl IntoIterator<Item = [String; N]>) {
    let mut rows = rows.into_iter().peekable();
    if rows.peek().is_none() {
        print("none");
        return;
    }
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED);
    table.set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(header);
    for row in rows {
        table.add_row(row.map(clean));
    }
    print(table);
}

/// Prints an error with its causes; each finding about an input has its own line.
pub fn error(error: &anyhow::Error) {
    for line in error_lines(error) {
        remark(line);
    }
}

/// Returns the lines [`error`] prints.
#[must_use]
pub fn error_lines(error: &anyhow::Error) -> Vec<String> {
    match error.downcast_ref::<InvalidInput>() {
        Some(invalid) if invalid.problems.len() > 1 => {
            let what = error.to_string();
            let head = if what == invalid.to_string() {
                "input is refused".to_owned()
            } else {
                what
            };
            let head = format!("error: {}:", clean(head));
            let findings = invalid
                .problems
                .iter()
                .map(|problem| format!("  {}", clean(problem)));
            std::iter::once(head).chain(findings).collect()
        }
        _ => vec![format!("error: {}", clean(format!("{error:#}")))],
    }
}

#[cfg(test)]
mod tests {
    use anyhow::Context;
    use domain::input::Problem;

    use super::*;

    #[test]
    fn text_from_outside_cannot_move_the_cursor() {
        assert_eq!(
            clean("a\u{1b}[2Jb\nc\u{202e}d\u{9b}e"),
            "a\u{fffd}[2Jb c\u{fffd}d\u{fffd}e"
        );
        assert_eq!(short("ü".repeat(10), 4), "üüü…");
    }

    #[test]
    fn every_finding_has_its_line_and_the_file_is_named() {
        let problems = vec![Problem::new("a", 1, "2"), Problem::new("b", "\u{7}", "3")];
        let error = Err::<(), _>(InvalidInput { problems })
            .context("plan.yaml")
            .unwrap_err();
        let lines = error_lines(&error);
        assert_eq!(lines[0], "error: plan.yaml:");
        assert_eq!(lines[1], "  a: `1` is not allowed: 2");
        assert!(lines[2].contains('\u{fffd}'));
    }
}

//! Tables of docs/reliability.md, written by the tests that measure them.

use std::{
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

/// Set to write the tables anew.
pub const WRITE: &str = "AUTOOPS_WRITE_DOCS";

/// Tests of one binary write side by side.
static WRITING: Mutex<()> = Mutex::new(());

fn document() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reliability.md")
}

/// Writes a section whose figures vary from run to run, if asked to; shows it in any case.
///
/// # Panics
/// When the document has no such section or cannot be written.
pub fn written(name: &str, table: &str) {
    println!("{table}");
    let _mine = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
    let text = std::fs::read_to_string(document()).unwrap();
    let changed = replaced(&text, name, table);
    if std::env::var_os(WRITE).is_some() {
        std::fs::write(document(), changed).unwrap();
    }
}

/// Holds a section that is the same in every run against the document, or writes it if asked to.
///
/// # Panics
/// When the document has no such section, says something else or cannot be written.
pub fn holds(name: &str, table: &str) {
    let _mine = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
    let text = std::fs::read_to_string(document()).unwrap();
    let changed = replaced(&text, name, table);
    if std::env::var_os(WRITE).is_some() {
        std::fs::write(document(), changed).unwrap();
    } else {
        assert!(
            text == changed,
            "docs/reliability.md is stale in section {name}; set {WRITE}=1 and run again:\n{table}"
        );
    }
}

/// Puts a table between the marks of a section.
fn replaced(text: &str, name: &str, table: &str) -> String {
    let (begin, end) = (
        format!("<!-- {name}:begin -->\n"),
        format!("<!-- {name}:end -->"),
    );
    let parts = text
        .split_once(&begin)
        .and_then(|(before, rest)| Some((before, rest.split_once(&end)?.1)));
    let (before, after) =
        parts.unwrap_or_else(|| panic!("docs/reliability.md has no section {name}"));
    format!("{before}{begin}{}\n{end}{after}", table.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_goes_between_its_marks_and_nowhere_else() {
        let text = "a\n<!-- x:begin -->\nold\n<!-- x:end -->\n<!-- y:begin -->\n<!-- y:end -->\n";
        let once = replaced(text, "x", "| new |\n");
        assert_eq!(
            once,
            "a\n<!-- x:begin -->\n| new |\n<!-- x:end -->\n<!-- y:begin -->\n<!-- y:end -->\n"
        );
        assert_eq!(replaced(&once, "x", "| new |"), once);
    }

    #[test]
    #[should_panic(expected = "has no section z")]
    fn a_section_that_is_not_there_is_named() {
        replaced("<!-- x:begin -->\n<!-- x:end -->", "z", "");
    }
}

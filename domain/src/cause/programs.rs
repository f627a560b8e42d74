//! Which installed programs alerts speak of.

use std::collections::BTreeSet;

use crate::{alert::clean, software::Program};

/// Programs of one device that are named.
const MOST: usize = 5;
/// Bytes of a name or version that are kept.
const BYTES: usize = 120;
/// Shorter words say too little.
const LEAST: usize = 4;
/// Words of program names that stand in alerts of anything.
const COMMON: [&str; 28] = [
    "agent",
    "application",
    "backup",
    "client",
    "component",
    "desktop",
    "device",
    "disk",
    "driver",
    "edition",
    "error",
    "host",
    "microsoft",
    "monitor",
    "network",
    "package",
    "runtime",
    "security",
    "server",
    "service",
    "setup",
    "software",
    "support",
    "system",
    "tools",
    "update",
    "version",
    "windows",
];

/// Returns programs with a word in their name that one of the titles has too, those with most such words
/// first. Names and versions are shortened. Untrusted.
#[must_use]
pub fn spoken_of<'a>(
    titles: impl IntoIterator<Item = &'a str>,
    programs: &[Program],
) -> Vec<Program> {
    let said: BTreeSet<String> = titles.into_iter().flat_map(words).collect();
    let mut named: Vec<(usize, &Program)> = programs
        .iter()
        .map(|program| {
            (
                words(&program.name)
                    .filter(|word| said.contains(word))
                    .count(),
                program,
            )
        })
        .filter(|(shared, _)| *shared > 0)
        .collect();
    named.sort_by_key(|(shared, program)| (std::cmp::Reverse(*shared), *program));
    let short = |text: &str| clean(text, BYTES).0;
    let first = named.into_iter().take(MOST).map(|(_, program)| Program {
        name: short(&program.name),
        version: program.version.as_deref().map(short),
    });
    first.collect()
}

/// Cuts a text into words that tell a program from others.
fn words(text: &str) -> impl Iterator<Item = String> {
    let words = text.split(|c: char| !c.is_alphanumeric());
    let words = words.map(str::to_lowercase);
    words.filter(|word| {
        word.chars().count() >= LEAST
            && !word.chars().all(|c| c.is_ascii_digit())
            && !COMMON.contains(&word.as_str())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(name: &str) -> Program {
        Program {
            name: name.to_owned(),
            version: Some("1.2".to_owned()),
        }
    }

    #[test]
    fn a_program_is_named_by_its_own_words_and_not_by_common_ones() {
        let programs = [
            program("Microsoft Exchange Server 2019"),
            program("Veeam Backup Agent for Windows"),
            program("Exchange Online Tools"),
            program("7-Zip 24.08"),
        ];
        let titles = ["Service stopped: Microsoft Exchange Transport on server 2019"];
        let named = spoken_of(titles, &programs);
        let names: Vec<&str> = named.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(
            names,
            ["Exchange Online Tools", "Microsoft Exchange Server 2019"]
        );
        assert_eq!(named[0].version.as_deref(), Some("1.2"));
        assert!(spoken_of(["Disk of the backup server is full"], &programs).is_empty());
    }

    #[test]
    fn what_is_long_is_cut_and_what_is_much_is_left_out() {
        let programs: Vec<Program> = (0..50)
            .map(|n| program(&format!("Acrobat {n} {}", "x".repeat(500))))
            .collect();
        let named = spoken_of(["acrobat crashed"], &programs);
        assert_eq!(named.len(), MOST);
        assert!(named.iter().all(|one| one.name.len() <= BYTES));
    }
}

//! The commands of the README, as people copy them.

/// One block of commands.
pub(crate) struct Block {
    pub(crate) script: String,
    /// Exit status it ends with, as its last comment says.
    pub(crate) status: i32,
    /// Line of error it ends with, as its last comment says.
    pub(crate) error: Option<String>,
}

/// Returns the blocks of commands below a heading, up to the next heading.
pub(crate) fn blocks<const N: usize>(heading: &str) -> [Block; N] {
    let readme = concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md");
    let readme = std::fs::read_to_string(readme).unwrap();
    let mut lines = readme.lines().skip_while(|line| *line != heading);
    assert!(lines.next().is_some(), "the README has no `{heading}`");
    let mut found = Vec::new();
    let mut inside: Option<Vec<&str>> = None;
    for line in lines {
        match &mut inside {
            Some(block) if line == "```" => {
                found.push(Block::of(block));
                inside = None;
            }
            Some(block) => block.push(line),
            None if line == "```sh" => inside = Some(Vec::new()),
            None if line.starts_with('#') => break,
            None => {}
        }
    }
    let count = found.len();
    let blocks = found.try_into().ok();
    blocks.unwrap_or_else(|| panic!("{count} blocks below `{heading}`, {N} are driven here"))
}

impl Block {
    fn of(lines: &[&str]) -> Self {
        let said = |what: &str| lines.last().and_then(|line| line.strip_prefix(what));
        let error = said("# error: ").map(str::to_owned);
        let status = said("# exit status ").map(|status| status.parse().unwrap());
        Self {
            script: lines.join("\n"),
            status: status.unwrap_or_else(|| i32::from(error.is_some())),
            error,
        }
    }
}

//! `autoops eval`: the analysis on records from a file, without server, network or model.

pub mod deadlines;
mod line;

use clap::Subcommand;

/// What is tried.
#[derive(Debug, Subcommand)]
pub enum EvalCommand {
    /// Read CVE records, one JSON object per line, and print deadline and exploit score of each
    Deadlines(deadlines::DeadlinesArgs),
}

/// Reads standard input, writes standard output.
///
/// # Errors
/// When the catalogue cannot be read, or input or output breaks.
pub fn run(command: &EvalCommand) -> anyhow::Result<u8> {
    match command {
        EvalCommand::Deadlines(args) => deadlines::run(args),
    }
}

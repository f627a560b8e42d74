//! `eval`: tries the product's analysis on files, without server, network or model.
//!
//! Standard input to standard output, so that a user can look at his own history before he trusts a
//! rule. A line that cannot be read is counted and told on standard error, never fatal.

mod deadlines;
mod fingerprints;
mod incidents;
mod lines;
mod record;
mod root_cause;
mod spool;

use std::io::{self, BufWriter, Write};

use clap::Subcommand;

use deadlines::DeadlinesArgs;
use root_cause::RootCauseArgs;

/// Tries the analysis on files.
#[derive(Debug, Subcommand)]
pub enum EvalCommand {
    /// Print deadline and exploit score of each CVE record: JSON lines
    Deadlines(DeadlinesArgs),
    /// Print the fingerprint of each message: one line each, equal for the same template
    Fingerprints,
    /// Put alerts into incidents: JSON lines with time, name, ip, host, in order of time
    Incidents,
    /// Rank the causes of what was noticed at a node of a call graph
    RootCause(RootCauseArgs),
}

/// Does what was asked and returns the exit status.
///
/// # Errors
/// When input or output fails as a whole.
pub(crate) fn run(command: &EvalCommand) -> anyhow::Result<u8> {
    let mut output = BufWriter::with_capacity(1 << 16, io::stdout().lock());
    let mut input = io::stdin().lock();
    let done = match command {
        EvalCommand::Deadlines(args) => deadlines::run(args, &mut input, &mut output),
        EvalCommand::Fingerprints => fingerprints::run(&mut input, &mut output),
        EvalCommand::Incidents => incidents::run(&mut input, &mut output),
        EvalCommand::RootCause(args) => root_cause::run(args, &mut input, &mut output),
    };
    let done = done.and_then(|()| Ok(output.flush()?));
    match done {
        Err(error) if is_closed(&error) => Ok(0),
        Err(error) => Err(error),
        Ok(()) => Ok(0),
    }
}

/// Tells whether the reader of our output went away, as `head` does.
fn is_closed(error: &anyhow::Error) -> bool {
    let io = error.downcast_ref::<io::Error>();
    io.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

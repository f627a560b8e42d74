//! Command line of `autoops-dev`.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Runs AutoOps on this machine: Temporal, simulators of the outside systems, the worker, a demo fleet.
#[derive(Debug, Parser)]
#[command(name = "autoops-dev", version)]
pub struct Cli {
    /// Something else than running everything.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Options of running everything.
    #[command(flatten)]
    pub run: RunOptions,
}

/// Something else than running everything.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Find the Temporal server, or fetch it once; prints its path.
    FindTemporal,
}

/// Options of running everything.
#[derive(Debug, Clone, Args)]
pub struct RunOptions {
    /// Folder for everything that is kept; starting again on it goes on where it stopped
    #[arg(long, default_value = ".autoops")]
    pub data_dir: PathBuf,
    /// Folder for links to the programs, `autoops` and `temporal`
    #[arg(long, default_value = "bin")]
    pub bin_dir: PathBuf,
    /// Use the ports from this one on instead of the usual ones, 0 for free ones; taken ports are
    /// replaced by free ones
    #[arg(long)]
    pub port_base: Option<u16>,
    /// Simulated seconds per real second on the devices of the demo
    #[arg(long, default_value_t = 30.0, value_parser = speed)]
    pub speed: f64,
    /// Fleet to simulate instead of the demo (YAML)
    #[arg(long, value_name = "FILE")]
    pub fleet: Option<PathBuf>,
    /// People who may decide, instead of those of the demo (YAML)
    #[arg(long, value_name = "FILE")]
    pub people: Option<PathBuf>,
    /// Start empty; what was in the data folder is moved to `old` inside it
    #[arg(long)]
    pub fresh: bool,
    /// Where records are kept: in a file, or as on AWS, on engines of this machine (needs Java 17)
    #[arg(long, value_enum, default_value_t)]
    pub store: StoreChoice,
    /// Leave out the Temporal Web UI
    #[arg(long)]
    pub headless: bool,
    /// Do not start a worker: you run one yourself
    #[arg(long)]
    pub no_worker: bool,
}

/// Where records are kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum StoreChoice {
    /// In a file.
    #[default]
    Embedded,
    /// On DynamoDB Local, an S3 server and OpenSearch.
    AwsLocal,
}

fn speed(text: &str) -> Result<f64, String> {
    let speed = text
        .parse::<f64>()
        .ok()
        .filter(|speed| (0.1..=1000.0).contains(speed));
    speed.ok_or_else(|| "a number from 0.1 to 1000".to_owned())
}

/// Ports to try first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Ports {
    pub temporal: u16,
    pub temporal_ui: u16,
    pub callback: u16,
    pub superops: u16,
    pub nvd: u16,
    pub bedrock: u16,
    pub dynamodb: u16,
    pub s3: u16,
    pub opensearch: u16,
    pub kev: u16,
    pub epss: u16,
    pub msrc: u16,
    pub cve_services: u16,
    pub prometheus: u16,
}

impl Ports {
    /// The usual ones, or consecutive ones from a base; with base 0 any that are free.
    #[must_use]
    pub fn new(base: Option<u16>) -> Self {
        let at = |usual: u16, offset: u16| match base {
            Some(0) => 0,
            Some(base) => base.saturating_add(offset),
            None => usual,
        };
        Self {
            temporal: at(7233, 0),
            temporal_ui: at(8233, 1),
            callback: at(4000, 2),
            superops: at(4010, 3),
            nvd: at(4020, 4),
            bedrock: at(4030, 5),
            dynamodb: at(8000, 6),
            s3: at(9000, 7),
            opensearch: at(9200, 8),
            kev: at(4040, 9),
            epss: at(4050, 10),
            msrc: at(4060, 11),
            cve_services: at(4070, 12),
            prometheus: at(4080, 13),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent_and_strict() {
        Cli::command().debug_assert();
        let cli = Cli::parse_from(["autoops-dev"]);
        assert!(cli.command.is_none() && cli.run.data_dir.ends_with(".autoops"));
        assert!(Cli::try_parse_from(["autoops-dev", "--speed", "0"]).is_err());
        assert!(Cli::try_parse_from(["autoops-dev", "--speed", "NaN"]).is_err());
        assert!(
            Cli::parse_from(["autoops-dev", "find-temporal"])
                .command
                .is_some()
        );
    }

    #[test]
    fn wrong_usage_exits_with_1_and_help_with_0() {
        let status = |arg: &str| worker::read_args::<Cli, _, _>(["autoops-dev", arg]).unwrap_err();
        assert_eq!(["--nonsense", "--help", "--version"].map(status), [1, 0, 0]);
    }

    #[test]
    fn a_base_moves_all_ports() {
        assert_eq!(Ports::new(None).temporal, 7233);
        assert_eq!(Ports::new(Some(9100)).bedrock, 9105);
        assert_eq!(Ports::new(Some(9100)).cve_services, 9112);
        assert_eq!(Ports::new(Some(0)).callback, 0);
        assert_eq!(Ports::new(Some(0)).nvd, 0);
    }
}

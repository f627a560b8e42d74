//! What the worker is told at its start.

use std::{ffi::OsString, net::SocketAddr, path::PathBuf, time::Duration};

use clap::{Parser, ValueEnum};
use clients::config::{Config, ConfigError, Secrets};

use crate::connect::TemporalTarget;

/// Runs workflows and activities of AutoOps until it is told to stop.
///
/// The connection to Temporal is set as for every Temporal tool: `TEMPORAL_ADDRESS`,
/// `TEMPORAL_NAMESPACE`, or a profile in temporal.toml. Secrets are variables, see the configuration.
#[derive(Debug, Clone, Parser)]
#[command(name = "autoops-worker", version)]
pub struct Args {
    /// Configuration file; `AUTOOPS_CONFIG` when absent.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// People file that is loaded into the store at start.
    #[arg(long, env = "AUTOOPS_PEOPLE", value_name = "FILE")]
    pub people: Option<PathBuf>,
    /// Seconds a workflow waits for the worker that has it in memory, 1 or more.
    #[arg(long, env = "AUTOOPS_STICKY_SECS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub sticky_secs: u64,
    /// Seconds that running activities get to end by themselves when the worker is told to stop.
    #[arg(long, env = "AUTOOPS_DRAIN_SECS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(0..=3600))]
    pub drain_secs: u64,
    /// Address on which Prometheus may read figures, such as 127.0.0.1:9464; nowhere when absent.
    #[arg(long, env = "AUTOOPS_METRICS_ADDRESS", value_name = "ADDRESS")]
    pub metrics_address: Option<SocketAddr>,
    /// How log lines are written; `RUST_LOG` says which.
    #[arg(long, env = "AUTOOPS_LOG_FORMAT", value_enum, default_value_t)]
    pub log_format: LogFormat,
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

/// Waits of the worker itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tuning {
    /// How long a workflow waits for the worker that has it in memory: what a killed worker costs.
    pub sticky: Duration,
    /// How long running activities get when the worker is told to stop.
    pub drain: Duration,
}

impl Default for Tuning {
    fn default() -> Self {
        Self {
            sticky: Duration::from_secs(10),
            drain: Duration::from_secs(30),
        }
    }
}

/// All a worker needs to know.
#[derive(Debug)]
pub struct Setup {
    /// Configuration.
    pub config: Config,
    /// Secrets.
    pub secrets: Secrets,
    /// Where Temporal is.
    pub temporal: TemporalTarget,
    /// People file.
    pub people: Option<PathBuf>,
    /// Waits of the worker itself.
    pub tuning: Tuning,
    /// Where figures are shown.
    pub metrics: Option<SocketAddr>,
}

/// Reads a command line.
///
/// # Errors
/// With the exit status, after help, version or the mistake was printed; it is that of all our
/// programs.
pub fn read_args<P, I, T>(args: I) -> Result<P, u8>
where
    P: Parser,
    I: IntoIterator<Item = T>,
    T: Into<OsString> + Clone,
{
    P::try_parse_from(args).map_err(|told| {
        // Nobody is left to be told when the terminal is gone.
        let _ = told.print();
        u8::from(told.use_stderr())
    })
}

impl Args {
    /// Reads configuration and secrets.
    ///
    /// # Errors
    /// When the configuration cannot be read.
    pub fn load(self) -> Result<Setup, ConfigError> {
        Ok(Setup {
            config: Config::load(self.config.as_deref())?,
            secrets: Secrets::from_env(),
            temporal: TemporalTarget::default(),
            people: self.people,
            tuning: Tuning {
                sticky: Duration::from_secs(self.sticky_secs),
                drain: Duration::from_secs(self.drain_secs),
            },
            metrics: self.metrics_address,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_usage_exits_with_1_and_help_with_0() {
        let status = |arg: &str| read_args::<Args, _, _>(["autoops-worker", arg]).unwrap_err();
        assert_eq!(["--nonsense", "--help", "--version"].map(status), [1, 0, 0]);
    }
}

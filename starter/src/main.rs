//! Binary `autoops`: see the crate documentation.

use std::process::ExitCode;

use autoops_starter::{cli, output};

#[tokio::main]
async fn main() -> ExitCode {
    start_logging();
    let cli = match cli::parse(std::env::args_os()) {
        Ok(cli) => cli,
        Err(status) => return ExitCode::from(status),
    };
    match cli::run(cli).await {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            output::error(&error);
            ExitCode::from(output::USAGE_OR_CONNECTION)
        }
    }
}

/// Logs go to stderr, and only when `RUST_LOG` asks for them: what a person sees is written on purpose.
fn start_logging() {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("off"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
}

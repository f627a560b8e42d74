//! Binary `autoops-worker`: runs workflows and activities until it is told to stop.

use std::process::ExitCode;

use autoops_worker::{Args, LogFormat, logs, read_args, run};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

#[tokio::main]
async fn main() -> ExitCode {
    let args: Args = match read_args(std::env::args_os()) {
        Ok(args) => args,
        Err(status) => return ExitCode::from(status),
    };
    let log_format = args.log_format;
    logs::start(log_format);
    let Err(failure) = start(args).await else {
        return ExitCode::SUCCESS;
    };
    // One line with all causes, no stack trace.
    match log_format {
        LogFormat::Text => eprintln!("autoops-worker: {failure:#}"),
        LogFormat::Json => error!("{failure:#}"),
    }
    ExitCode::FAILURE
}

async fn start(args: Args) -> anyhow::Result<()> {
    let setup = args.load()?;
    let until = CancellationToken::new();
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let stop = until.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => info!("told to stop by SIGTERM"),
            _ = interrupt.recv() => info!("told to stop by SIGINT"),
        }
        stop.cancel();
        // Whoever asks twice does not want to wait.
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        error!("stopped without draining");
        std::process::exit(1);
    });
    run(setup, until).await
}

//! Binary `autoops-dev`: everything on this machine, until Ctrl-C.

use std::{process::ExitCode, sync::Arc};

use autoops_dev_server::{
    Say,
    data_dir::DataDir,
    options::{Cli, Command, RunOptions},
    process::open_log,
    stack::Stack,
    table, temporal,
};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

#[tokio::main]
async fn main() -> ExitCode {
    let cli: Cli = match worker::read_args(std::env::args_os()) {
        Ok(cli) => cli,
        Err(status) => return ExitCode::from(status),
    };
    let done = match cli.command {
        Some(Command::FindTemporal) => find_temporal().await,
        None => run(&cli.run).await,
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("autoops-dev: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn find_temporal() -> anyhow::Result<()> {
    let cli = temporal::find_here(&|line| eprintln!("{line}")).await?;
    eprintln!("Temporal server {} ({})", cli.server_version, cli.source);
    println!("{}", cli.path.display());
    Ok(())
}

async fn run(options: &RunOptions) -> anyhow::Result<()> {
    let data = DataDir::take(&options.data_dir, options.fresh)?;
    log_to(&data)?;
    let say: Say = Arc::new(|line: &str| {
        tracing::info!("{line}");
        println!("{line}");
    });
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let stack = tokio::select! {
        stack = Stack::start(options, data, say) => stack?,
        _ = interrupt.recv() => return Ok(()),
        _ = terminate.recv() => return Ok(()),
    };
    println!("{}", table::render(&stack.info, options));
    let ended = tokio::select! {
        _ = interrupt.recv() => Ok(()),
        _ = terminate.recv() => Ok(()),
        () = stack.temporal_ended() => Err(anyhow::anyhow!("the Temporal server has ended, see its log")),
    };
    println!("stopping");
    tokio::select! {
        () = stack.stop() => println!("stopped"),
        _ = interrupt.recv() => println!("stopped in a hurry"),
    }
    ended
}

fn log_to(data: &DataDir) -> anyhow::Result<()> {
    let file = open_log(&data.logs().join("autoops-dev.log"))?;
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(false)
        .with_writer(Arc::new(file))
        .init();
    Ok(())
}

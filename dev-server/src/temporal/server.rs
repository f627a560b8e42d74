//! A running Temporal server with Web UI, set up as AutoOps needs it.

use std::{
    fs, io,
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::bail;
use contracts::search;
use temporalio_client::{Client, ClientOptions, Connection, ConnectionOptions};
use worker::register_search_attributes;

use super::find_here;
use crate::process::{Guarded, NO_FILE, Program, open_log};

/// Name space of everything on one machine.
pub(super) const NAMESPACE: &str = "default";
/// How long a start may take; opening a large database file is slow.
const START: Duration = Duration::from_secs(60);
const STOP: Duration = Duration::from_secs(10);
/// Between two tries to connect.
const RETRY: Duration = Duration::from_millis(50);
/// A free port may be gone before the server opens it.
const TRIES: u32 = 3;

/// How a server is started. The default is for tests: in memory, on free ports, without Web UI.
#[derive(Debug, Clone, Default)]
pub struct DevTemporalOptions {
    /// Binary; found as `temporal::find` does when absent.
    pub cli: Option<PathBuf>,
    /// Port; 0 takes a free one.
    pub port: u16,
    /// Port of the Web UI, 0 for a free one; no Web UI when absent.
    pub ui_port: Option<u16>,
    /// Database file, so that it goes on after a restart (and is about four times slower); in memory
    /// when absent.
    pub db_file: Option<PathBuf>,
    /// File its log is added to; thrown away when absent.
    pub log_file: Option<PathBuf>,
}

/// A server that runs until it is stopped or dropped, or this process ends.
#[derive(Debug)]
pub struct DevTemporal {
    /// Address for clients, such as `127.0.0.1:7233`.
    pub address: String,
    /// Address of the Web UI, if it has one.
    pub ui_url: Option<String>,
    /// Binary: also the command line tool for this server.
    pub cli: PathBuf,
    process: Guarded,
    connection: Connection,
}

impl DevTemporal {
    /// Starts a server and waits until it serves and knows our search attributes.
    ///
    /// # Errors
    /// When there is no binary, or it does not come up; then with the end of its log.
    pub async fn start(options: DevTemporalOptions) -> anyhow::Result<Self> {
        let cli = match &options.cli {
            Some(path) => path.clone(),
            None => find_here(&|line| tracing::info!("{line}")).await?.path,
        };
        let mut tried = 1;
        loop {
            match Self::try_start(&options, cli.clone()).await {
                Err(error) if options.port == 0 && tried < TRIES => {
                    tracing::warn!("starting Temporal once more: {error:#}");
                    tried += 1;
                }
                other => return other,
            }
        }
    }

    async fn try_start(options: &DevTemporalOptions, cli: PathBuf) -> anyhow::Result<Self> {
        let port = free_or(options.port)?;
        let ui_port = options.ui_port.map(free_or).transpose()?;
        let scratch = tempfile::NamedTempFile::new()?;
        let log = options
            .log_file
            .clone()
            .unwrap_or_else(|| scratch.path().to_owned());
        let process = Program::new("temporal", &cli)
            .args(arguments(options, port, ui_port))
            // Settings of the user for another server must not reach this one.
            .without_env(&["TEMPORAL_"])
            .envs([("TEMPORAL_CONFIG_FILE", NO_FILE)])
            .log_to(open_log(&log)?)?
            .start()?;
        let address = format!("127.0.0.1:{port}");
        let connection = match serving(&process, &address).await {
            Ok(connection) => connection,
            Err(error) => {
                drop(process);
                bail!(
                    "{} does not serve on {address}: {error:#}{}",
                    cli.display(),
                    last_lines(&log)
                );
            }
        };
        let ui_url = ui_port.map(|port| format!("http://127.0.0.1:{port}"));
        Ok(Self {
            address,
            ui_url,
            cli,
            process,
            connection,
        })
    }

    /// Makes a client with our data converter. It shares one connection with all others.
    ///
    /// # Errors
    /// Never with these settings; the error is kept instead of a panic.
    pub fn client(&self) -> anyhow::Result<Client> {
        client(self.connection.clone())
    }

    /// Returns true until the server has ended.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.process.is_running()
    }

    /// Returns the id of the server's process group.
    #[must_use]
    pub fn group(&self) -> i32 {
        self.process.group()
    }

    /// Waits until the server has ended, by whatever cause.
    pub async fn ended(&self) {
        self.process.ended().await;
    }

    /// Asks the server to end and waits for it; kills it when it takes too long.
    pub async fn stop(self) {
        self.process.stop(STOP).await;
    }

    /// Kills the server on the spot, as a crash would.
    pub fn kill(&self) {
        self.process.kill();
    }
}

fn arguments(options: &DevTemporalOptions, port: u16, ui_port: Option<u16>) -> Vec<String> {
    let mut args: Vec<String> = Vec::new();
    let mut add = |name: &str, value: String| args.extend([name.to_owned(), value]);
    add("--ip", Ipv4Addr::LOCALHOST.to_string());
    add("--port", port.to_string());
    if let Some(port) = ui_port {
        add("--ui-port", port.to_string());
    }
    if let Some(file) = &options.db_file {
        add("--db-filename", file.display().to_string());
    }
    add("--log-level", "warn".to_owned());
    for (name, kind) in search::ALL {
        add("--search-attribute", format!("{name}={kind}"));
    }
    // Activity priorities need the new matcher. A rate limit of a queue is divided by its partitions,
    // so that it is exact only with one; the command line sets them for all queues alike. A server with one
    // shard that has more than three batches of timers in a second takes its reader for stuck, and puts the
    // others of that second where they are read up to a minute late.
    for setting in [
        "matching.useNewMatcher=true",
        "matching.numTaskqueueReadPartitions=1",
        "matching.numTaskqueueWritePartitions=1",
        "history.queueReaderStuckCriticalAttempts=0",
    ] {
        add("--dynamic-config-value", setting.to_owned());
    }
    if ui_port.is_none() {
        args.push("--headless".to_owned());
    }
    ["server", "start-dev"]
        .into_iter()
        .map(str::to_owned)
        .chain(args)
        .collect()
}

/// Returns the port, or a free one for 0.
pub(crate) fn free_or(port: u16) -> io::Result<u16> {
    if port != 0 {
        return Ok(port);
    }
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?
        .local_addr()?
        .port())
}

fn last_lines(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().rev().take(8).collect();
    lines
        .iter()
        .rev()
        .map(|line| format!("\n  {line}"))
        .collect()
}

/// Connects, again and again, until it works or cannot work any more.
async fn serving(process: &Guarded, address: &str) -> anyhow::Result<Connection> {
    let begin = Instant::now();
    loop {
        let tried = async {
            let connection = connect(address).await?;
            // A database file of an older version may lack some.
            register_search_attributes(&client(connection.clone())?).await?;
            anyhow::Ok(connection)
        };
        let problem = match tried.await {
            // Another program may have taken the port: then ours has ended.
            Ok(connection) if process.is_running() => return Ok(connection),
            Ok(_) => anyhow::anyhow!("it has ended"),
            Err(error) => error,
        };
        if !process.is_running() {
            bail!("it has ended");
        }
        if begin.elapsed() > START {
            return Err(problem.context(format!("not after {} s", START.as_secs())));
        }
        tokio::select! {
            _ = process.ended() => {}
            () = tokio::time::sleep(RETRY) => {}
        }
    }
}

async fn connect(address: &str) -> anyhow::Result<Connection> {
    let options = ConnectionOptions::new(format!("http://{address}").parse::<url::Url>()?)
        .identity("autoops-dev")
        .connect_timeout(Duration::from_secs(2))
        .build();
    Ok(Connection::connect(options).await?)
}

fn client(connection: Connection) -> anyhow::Result<Client> {
    let options = ClientOptions::new(NAMESPACE)
        .data_converter(contracts::converter::data_converter())
        .build();
    Ok(Client::new(connection, options)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_search_attribute_and_the_queue_settings_are_passed_on() {
        let args = arguments(&DevTemporalOptions::default(), 7000, None).join(" ");
        for (name, kind) in search::ALL {
            assert!(
                args.contains(&format!("--search-attribute {name}={kind}")),
                "{args}"
            );
        }
        assert!(args.contains("matching.useNewMatcher=true") && args.contains("--headless"));
    }

    #[tokio::test]
    async fn what_is_no_server_is_named_with_its_last_words() {
        let folder = tempfile::tempdir().unwrap();
        let cli = folder.path().join("temporal");
        let write = r#"printf '#!/bin/sh\necho "unable to open the database"; exit 1\n' > "$1"; chmod +x "$1""#;
        assert!(
            std::process::Command::new("sh")
                .args(["-c", write, "sh"])
                .arg(&cli)
                .status()
                .unwrap()
                .success()
        );
        let options = DevTemporalOptions {
            cli: Some(cli),
            ..DevTemporalOptions::default()
        };
        let text = DevTemporal::start(options).await.unwrap_err().to_string();
        assert!(
            text.contains("it has ended") && text.contains("unable to open the database"),
            "{text}"
        );
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_real_server_serves_and_goes_on_from_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let options = DevTemporalOptions {
            ui_port: Some(0),
            db_file: Some(folder.path().join("temporal.db")),
            ..DevTemporalOptions::default()
        };
        for _ in 0..2 {
            let server = DevTemporal::start(options.clone()).await.unwrap();
            let ui = server.ui_url.clone().unwrap();
            assert!(reqwest::get(&ui).await.unwrap().status().is_success());
            server.client().unwrap();
            server.stop().await;
            assert!(reqwest::get(&ui).await.is_err());
        }
    }
}

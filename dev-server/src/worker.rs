//! Keeps the real worker running as a process of its own, as in production: when it dies it is
//! started again, and somebody is told.

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitStatus,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::{
    Say,
    process::{Guarded, Program, open_log},
};

/// Time a worker has to finish what it holds.
const DRAIN: Duration = Duration::from_secs(20);
/// A worker that lived this long was well.
const HEALTHY: Duration = Duration::from_secs(60);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// How to run a worker.
#[derive(Clone)]
pub struct WorkerSpec {
    /// The program.
    pub binary: PathBuf,
    /// Variables of its environment; some are secret.
    pub env: Vec<(&'static str, String)>,
    /// How variables of ours begin that it must not see.
    pub without: &'static [&'static str],
    /// Its log.
    pub log_file: PathBuf,
}

impl std::fmt::Debug for WorkerSpec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WorkerSpec")
            .field("binary", &self.binary)
            .finish_non_exhaustive()
    }
}

impl WorkerSpec {
    fn start(&self) -> anyhow::Result<Guarded> {
        Program::new("worker", &self.binary)
            .without_env(self.without)
            .envs(self.env.iter().map(|(k, v)| (k, v)))
            .log_to(open_log(&self.log_file)?)?
            .start()
    }
}

/// A worker that is started again whenever it dies.
#[derive(Debug)]
pub struct KeptWorker {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl KeptWorker {
    /// Starts the worker.
    ///
    /// # Errors
    /// When the program is not there or cannot be started.
    pub fn start(spec: WorkerSpec, say: Say) -> anyhow::Result<Self> {
        let shown = spec.binary.display();
        ensure!(
            spec.binary.is_file(),
            "{shown} is not built yet: cargo build --workspace --bins"
        );
        let first = spec.start().with_context(|| format!("starting {shown}"))?;
        let stop = CancellationToken::new();
        let task = tokio::spawn(keep(spec, first, say, stop.clone()));
        Ok(Self { stop, task })
    }

    /// Stops it for good and waits until it is gone.
    pub async fn stop(self) {
        self.stop.cancel();
        if let Err(error) = self.task.await {
            tracing::warn!(%error, "the keeper of the worker ended badly");
        }
    }
}

async fn keep(spec: WorkerSpec, first: Guarded, say: Say, stop: CancellationToken) {
    let mut running = Some(first);
    let mut deaths = 0;
    loop {
        if let Some(process) = running.take() {
            let since = Instant::now();
            let status = tokio::select! {
                () = stop.cancelled() => return process.stop(DRAIN).await,
                status = process.ended() => status,
            };
            deaths = if since.elapsed() >= HEALTHY {
                1
            } else {
                deaths + 1
            };
            let pause = pause_after(deaths);
            say(&obituary(status, &spec.log_file, pause));
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
        match spec.start() {
            Ok(process) => running = Some(process),
            Err(error) => {
                say(&format!("the worker cannot be started: {error:#}"));
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(LONGEST_PAUSE) => {}
                }
            }
        }
    }
}

/// 1, 2, 4 … 30 seconds.
fn pause_after(deaths: u32) -> Duration {
    let doubled = 1_u64
        .checked_shl(deaths.saturating_sub(1))
        .unwrap_or(u64::MAX);
    Duration::from_secs(doubled).min(LONGEST_PAUSE)
}

fn obituary(status: Option<ExitStatus>, log: &Path, pause: Duration) -> String {
    let how = status.map_or_else(
        || "for an unknown reason".to_owned(),
        |status| format!("with {status}"),
    );
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text[text.len().saturating_sub(4096)..]).into_owned();
    let last = text
        .lines()
        .rev()
        .find(|line| !line.trim().is_empty())
        .unwrap_or("nothing");
    format!(
        "the worker ended {how}, starting it again in {} s\n  last line of {}: {last}",
        pause.as_secs(),
        log.display()
    )
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tokio::sync::Notify;

    use super::*;

    /// A worker made of shell; the script is an argument of `sh` by way of a file.
    fn spec(folder: &Path, script: &str) -> WorkerSpec {
        let binary = folder.join("worker");
        let write = std::process::Command::new("sh")
            .args([
                "-c",
                r#"printf '#!/bin/sh\n%s\n' "$1" > "$2" && chmod +x "$2""#,
                "sh",
                script,
            ])
            .arg(&binary)
            .status();
        assert!(write.unwrap().success());
        WorkerSpec {
            binary,
            // HOME is set anew after it was taken out.
            env: vec![("WORD", "hello".into()), ("HOME", "sweet home".into())],
            without: &["CARGO_", "HOME"],
            log_file: folder.join("log"),
        }
    }

    #[tokio::test]
    async fn a_worker_that_dies_is_started_again_and_its_last_words_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let spec = spec(
            folder.path(),
            r#"echo "$WORD $HOME ${CARGO_MANIFEST_DIR:-nowhere}"; exit 3"#,
        );
        let (said, twice) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Notify::new()));
        let say: Say = {
            let (said, twice) = (said.clone(), twice.clone());
            Arc::new(move |line: &str| {
                said.lock().unwrap().push(line.to_owned());
                if said.lock().unwrap().len() == 2 {
                    twice.notify_one();
                }
            })
        };
        let worker = KeptWorker::start(spec, say).unwrap();
        tokio::time::timeout(Duration::from_secs(20), twice.notified())
            .await
            .unwrap();
        worker.stop().await;
        let said = said.lock().unwrap().clone();
        assert!(
            said[0].contains("exit status: 3") && said[0].contains("hello sweet home nowhere"),
            "{said:?}"
        );
        assert!(
            said[0].contains("again in 1 s") && said[1].contains("again in 2 s"),
            "{said:?}"
        );
    }

    #[test]
    fn the_pause_doubles_and_stays_bearable() {
        let seconds: Vec<u64> = [1, 2, 3, 6, 200]
            .map(|deaths| pause_after(deaths).as_secs())
            .to_vec();
        assert_eq!(seconds, [1, 2, 4, 30, 30]);
    }

    #[tokio::test]
    async fn a_worker_that_is_not_built_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let spec = WorkerSpec {
            binary: folder.path().join("none"),
            ..spec(folder.path(), "")
        };
        let error = KeptWorker::start(spec, Arc::new(|_: &str| {}))
            .unwrap_err()
            .to_string();
        assert!(error.contains("cargo build --workspace --bins"), "{error}");
    }
}

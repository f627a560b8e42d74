//! Gets the Temporal CLI from elsewhere: a download by Temporal's SDK, else a build with Go. It is
//! kept in our cache, and a lock keeps two processes from doing it at once.

use std::{
    fs::{self, File},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use temporalio_sdk_core::ephemeral_server::{
    EphemeralExe, EphemeralExeVersion, TemporalDevServerConfig,
};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::Command,
};

use super::find::{FindOptions, RELEASE, Source, TemporalCli, usable};

/// Under this and its own version the test environment of Temporal's SDK keeps its download.
const SDK_DOWNLOAD: &str = "temporal-sdk-rust-";
/// End of the name of a download that is not complete.
const INCOMPLETE: &str = ".downloading";
const PACKAGE: &str = "github.com/temporalio/cli/cmd/temporal";
const DOWNLOADS: &str = "https://temporal.download";
/// Without a network it must not take long to say so.
const PROBE: Duration = Duration::from_secs(5);
const DOWNLOAD: Duration = Duration::from_secs(300);
const BUILD: Duration = Duration::from_secs(1800);
const REPORT_EVERY: Duration = Duration::from_secs(10);

/// Where we keep what we fetched.
pub(super) fn cached(cache: &Path) -> PathBuf {
    cache.join(format!("temporal-{RELEASE}"))
}

/// Returns the newest download of the test environment of Temporal's SDK. It lies where everybody may
/// write, so only a file of our own user counts.
pub(super) fn of_sdk(folder: &Path) -> Option<PathBuf> {
    let us = tempfile::tempfile().ok()?.metadata().ok()?.uid();
    let downloads = fs::read_dir(folder).ok()?.flatten().filter_map(|entry| {
        let name = entry.file_name().into_string().ok()?;
        let found = entry.metadata().ok()?;
        let fits = name.starts_with(SDK_DOWNLOAD) && !name.ends_with(INCOMPLETE);
        (fits && found.is_file() && found.uid() == us)
            .then_some((found.modified().ok()?, entry.path()))
    });
    downloads.max().map(|(_, path)| path)
}

/// Downloads or builds; adds to `tried` what did not work.
pub(super) async fn fetch(
    options: &FindOptions,
    tried: &mut Vec<String>,
    say: &(dyn Fn(&str) + Sync),
) -> Option<TemporalCli> {
    if !options.download && !options.build {
        return None;
    }
    let _only_one = match lock(&options.cache, say).await {
        Ok(lock) => lock,
        Err(error) => {
            tried.push(format!("{}: {error:#}", options.cache.display()));
            return None;
        }
    };
    let target = cached(&options.cache);
    // Whoever held the lock before us may have been faster.
    if let Ok(cli) = usable(&target, Source::Cache).await {
        return Some(cli);
    }
    if options.download {
        match download(&options.cache, &target, say).await {
            Ok(()) => match usable(&target, Source::Download).await {
                Ok(cli) => return Some(cli),
                Err(problem) => tried.push(format!("download: {problem}")),
            },
            Err(error) => {
                say(&format!("Temporal cannot be downloaded ({error:#})"));
                tried.push(format!("download: {error:#}"));
            }
        }
    }
    if options.build {
        match build(options, &target, say).await {
            Ok(()) => match usable(&target, Source::Built).await {
                Ok(cli) => return Some(cli),
                Err(problem) => tried.push(format!("go install: {problem}")),
            },
            Err(error) => tried.push(format!("go install: {error:#}")),
        }
    }
    None
}

async fn lock(cache: &Path, say: &(dyn Fn(&str) + Sync)) -> anyhow::Result<File> {
    fs::create_dir_all(cache)?;
    let file = File::create(cache.join("temporal.lock"))?;
    if file.try_lock().is_err() {
        say("another process is fetching the Temporal server, waiting for it");
        let other = file.try_clone()?;
        tokio::task::spawn_blocking(move || other.lock()).await??;
    }
    Ok(file)
}

/// The SDK downloads only on the way to a running server, so one is started and stopped again.
async fn download(cache: &Path, target: &Path, say: &(dyn Fn(&str) + Sync)) -> anyhow::Result<()> {
    let client = reqwest::Client::builder().timeout(PROBE).build()?;
    let answer = client
        .get(format!("{DOWNLOADS}/cli/{RELEASE}"))
        .query(&[("arch", "amd64"), ("platform", "linux")])
        .send()
        .await;
    answer
        .and_then(reqwest::Response::error_for_status)
        .map_err(|error| {
            anyhow::anyhow!(
                "{DOWNLOADS} cannot be reached: {}",
                innermost(&error.without_url())
            )
        })?;
    say(&format!("downloading Temporal CLI {RELEASE} (once)"));
    // Left behind by a process that died; nobody else writes it, we hold the lock.
    let _gone = fs::remove_file(target.with_added_extension(&INCOMPLETE[1..]));
    let config = TemporalDevServerConfig::builder()
        .exe(EphemeralExe::CachedDownload {
            version: EphemeralExeVersion::Fixed(RELEASE.to_owned()),
            dest_dir: Some(
                cache
                    .to_str()
                    .context("the cache folder has a strange name")?
                    .to_owned(),
            ),
            ttl: None,
        })
        .log(("pretty".to_owned(), "never".to_owned()))
        .build();
    let starting = config.start_server_with_output(Stdio::null(), Stdio::null());
    match tokio::time::timeout(DOWNLOAD, starting).await {
        Ok(Ok(mut server)) => server.shutdown().await?,
        // It is there, it only did not start in time: that is for later to find out.
        Ok(Err(_)) if target.is_file() => {}
        Ok(Err(error)) => return Err(error.into()),
        Err(_) => bail!("not finished after {} minutes", DOWNLOAD.as_secs() / 60),
    }
    Ok(())
}

fn innermost(error: &dyn std::error::Error) -> String {
    let mut at = error;
    while let Some(source) = at.source() {
        at = source;
    }
    at.to_string()
}

async fn build(
    options: &FindOptions,
    target: &Path,
    say: &(dyn Fn(&str) + Sync),
) -> anyhow::Result<()> {
    let go = options.on_path("go").context("no `go` on PATH")?;
    say(&format!(
        "building Temporal CLI {RELEASE} with Go (once, about 3 minutes on 2 cores)"
    ));
    let folder = tempfile::Builder::new()
        .prefix("building-")
        .tempdir_in(&options.cache)?;
    let mut child = Command::new(go)
        .args(["install", "-v", &format!("{PACKAGE}@{RELEASE}")])
        .env("GOBIN", folder.path())
        .env("CGO_ENABLED", "0")
        // Go refuses GOBIN while it builds for another system.
        .env_remove("GOOS")
        .env_remove("GOARCH")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let begin = Instant::now();
    let mut lines = BufReader::new(child.stderr.take().context("no output of go")?).lines();
    let mut tick =
        tokio::time::interval_at(tokio::time::Instant::now() + REPORT_EVERY, REPORT_EVERY);
    let (mut packages, mut last) = (0, String::new());
    loop {
        tokio::select! {
            line = lines.next_line() => match line? {
                Some(line) => {
                    packages += 1;
                    last = line;
                }
                None => break,
            },
            _ = tick.tick() => {
                ensure!(begin.elapsed() < BUILD, "not finished after {} minutes", BUILD.as_secs() / 60);
                say(&format!("  still building: {} s, {packages} packages", begin.elapsed().as_secs()));
            }
        }
    }
    let status = child.wait().await?;
    ensure!(status.success(), "ended with {status}: {last}");
    fs::rename(folder.path().join("temporal"), target).context("go built no `temporal`")?;
    say(&format!(
        "built in {} s: {}",
        begin.elapsed().as_secs(),
        target.display()
    ));
    Ok(())
}

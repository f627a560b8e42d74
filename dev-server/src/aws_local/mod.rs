//! Real engines of AWS services on this machine: DynamoDB Local, with the tables of the template
//! that production uses, OpenSearch, and an S3 server.

mod opensearch;
mod s3;
mod tables;

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use clients::{aws::StaticCredentials, store::DynamoConfig};
use reqwest::StatusCode;

pub use opensearch::OpenSearchLocal;
pub use s3::S3Local;
pub use tables::create;

use crate::{
    process::{Guarded, Program, open_log},
    temporal::{FindOptions, free_or},
};

const JARS: Jars = Jars {
    title: "DynamoDB Local",
    variable: "AUTOOPS_DYNAMODB_LOCAL",
    folder: "dynamodb-local-2.6.1",
    script: "scripts/dynamodb-local",
};
/// Prefix and region of the defaults, so that only its address has to be told.
pub const PREFIX: &str = "autoops";
const REGION: &str = "eu-central-1";
const START: Duration = Duration::from_secs(60);
const STOP: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(50);
/// Lines of its log that are told when an engine does not come up.
const LAST_WORDS: usize = 30;

/// A running DynamoDB Local, in memory or in a folder.
#[derive(Debug)]
pub struct DynamoLocal {
    /// Address of its API.
    pub url: String,
    process: Guarded,
}

impl DynamoLocal {
    /// Starts it and waits until it answers; `folder` keeps what is written over a restart.
    ///
    /// # Errors
    /// When there is no Java or no jars, or it does not come up; then with its last words.
    pub async fn start(port: u16, folder: Option<&Path>, log: &Path) -> anyhow::Result<Self> {
        let jars = JARS.find()?;
        let port = free_or(port)?;
        let mut arguments = vec![
            "-Xmx512m".to_owned(),
            format!("-Djava.library.path={}", jars.display()),
            "-cp".to_owned(),
            format!("{}/*", jars.display()),
            "com.amazonaws.services.dynamodbv2.local.main.ServerRunner".to_owned(),
            "-port".to_owned(),
            port.to_string(),
            "-sharedDb".to_owned(),
            "-disableTelemetry".to_owned(),
        ];
        match folder {
            Some(folder) => {
                std::fs::create_dir_all(folder)?;
                arguments.extend(["-dbPath".to_owned(), folder.display().to_string()]);
            }
            None => arguments.push("-inMemory".to_owned()),
        }
        let process = Program::new("dynamodb", "java")
            .args(arguments)
            .without_env(&["AWS_", "JAVA_TOOL_OPTIONS"])
            .log_to(open_log(log)?)?
            .start()?;
        let local = Self {
            url: format!("http://127.0.0.1:{port}"),
            process,
        };
        // It refuses what it is asked here, but it answers.
        JARS.until(&local.process, (&local.url, |_| true), START, log)
            .await?;
        Ok(local)
    }

    /// Says how a store reaches the tables with a prefix.
    #[must_use]
    pub fn config(&self, prefix: &str) -> DynamoConfig {
        DynamoConfig {
            prefix: prefix.to_owned(),
            region: REGION.to_owned(),
            endpoint_url: Some(self.url.clone()),
            credentials: Some(StaticCredentials::of_this_machine()),
        }
    }

    /// Stops it.
    pub async fn stop(self) {
        self.process.stop(STOP).await;
    }
}

/// Says loudly that nothing can be tested on these engines; false where they are, and where CI is set:
/// a build server must not pass without them.
#[must_use]
pub fn is_skipped() -> bool {
    JARS.is_skipped()
}

/// The jars of an engine.
struct Jars {
    title: &'static str,
    /// Variable that names their folder.
    variable: &'static str,
    /// Folder in the cache, as the script makes it.
    folder: &'static str,
    /// What fetches them.
    script: &'static str,
}

impl Jars {
    fn is_skipped(&self) -> bool {
        let skipped = std::env::var_os("CI").is_none() && self.find().is_err();
        if skipped {
            eprintln!(
                "!!! SKIPPED: no {} here; {} fetches it",
                self.title, self.script
            );
        }
        skipped
    }

    /// Waits until a process made of them answers at an address as it should.
    async fn until(
        &self,
        process: &Guarded,
        (url, is_good): (&str, fn(StatusCode) -> bool),
        longest: Duration,
        log: &Path,
    ) -> anyhow::Result<()> {
        let begin = Instant::now();
        let http = reqwest::Client::builder().no_proxy().build()?;
        loop {
            let answer = http.get(url).send().await;
            if answer.is_ok_and(|answer| is_good(answer.status())) {
                return Ok(());
            }
            if !process.is_running() || begin.elapsed() > longest {
                let words = std::fs::read_to_string(log).unwrap_or_default();
                let words: Vec<&str> = words.trim().lines().collect();
                let last = &words[words.len().saturating_sub(LAST_WORDS)..];
                bail!("{} does not come up: {}", self.title, last.join("\n"));
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Finds them, unless they were never fetched.
    fn find(&self) -> anyhow::Result<PathBuf> {
        let named = std::env::var_os(self.variable).map(PathBuf::from);
        let folder = named.unwrap_or_else(|| FindOptions::from_env().cache.join(self.folder));
        let is_there = folder.join("complete").is_file();
        is_there.then_some(folder.clone()).with_context(|| {
            format!(
                "no {} in {}: run {}",
                self.title,
                folder.display(),
                self.script
            )
        })
    }
}

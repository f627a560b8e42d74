//! OpenSearch with k-NN, on one node.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use clients::{aws::StaticCredentials, memory::OpenSearchConfig};

use super::{Jars, REGION};
use crate::{
    process::{Guarded, Program, open_log},
    temporal::free_or,
};

const JARS: Jars = Jars {
    title: "OpenSearch",
    variable: "AUTOOPS_OPENSEARCH_LOCAL",
    folder: "opensearch-local-2.19.1",
    script: "scripts/opensearch-local",
};
/// The program that starts a node; Java runs it from its source.
const NODE: &str = include_str!("OpenSearchNode.java");
/// It takes 10 seconds where nothing else runs.
const START: Duration = Duration::from_secs(180);
const STOP: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(100);

/// A running OpenSearch.
#[derive(Debug)]
pub struct OpenSearchLocal {
    /// Address of its API.
    pub url: String,
    process: Guarded,
}

impl OpenSearchLocal {
    /// Starts it and waits until it takes requests. What is written stays in `folder` over a restart.
    ///
    /// # Errors
    /// When there is no Java or no jars, or it does not come up; then with its last words.
    pub async fn start(port: u16, folder: &Path, log: &Path) -> anyhow::Result<Self> {
        let jars = JARS.find()?;
        let port = free_or(port)?;
        std::fs::create_dir_all(folder)?;
        let source = folder.join("OpenSearchNode.java");
        std::fs::write(&source, NODE).with_context(|| format!("writing {}", source.display()))?;
        let process = Program::new("opensearch", "java")
            .args(["-Xmx512m", "-cp"])
            .args([format!("{0}/*:{0}/plugin/*", jars.display())])
            .args([source.as_path(), folder])
            .args([port.to_string()])
            .without_env(&["JAVA_TOOL_OPTIONS", "OPENSEARCH_"])
            .log_to(open_log(log)?)?
            .start()?;
        let local = Self {
            url: format!("http://127.0.0.1:{port}"),
            process,
        };
        let begin = Instant::now();
        let http = reqwest::Client::builder().no_proxy().build()?;
        // Yellow: every index that is there can be read and written.
        let health = format!(
            "{}/_cluster/health?wait_for_status=yellow&timeout=1s",
            local.url
        );
        loop {
            let answer = http.get(&health).send().await;
            if answer.is_ok_and(|answer| answer.status().is_success()) {
                return Ok(local);
            }
            if !local.process.is_running() || begin.elapsed() > START {
                let words = std::fs::read_to_string(log).unwrap_or_default();
                let last: Vec<&str> = words.lines().rev().take(30).collect();
                let last: Vec<&str> = last.into_iter().rev().collect();
                bail!("OpenSearch does not come up: {}", last.join("\n"));
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Says how a memory reaches the indexes with a prefix.
    #[must_use]
    pub fn config(&self, prefix: &str) -> OpenSearchConfig {
        OpenSearchConfig {
            url: self.url.clone(),
            prefix: prefix.to_owned(),
            region: Some(REGION.to_owned()),
            credentials: Some(StaticCredentials::of_this_machine()),
        }
    }

    /// Says loudly that nothing can be tested on it; see [`super::is_skipped`].
    #[must_use]
    pub fn is_skipped() -> bool {
        JARS.is_skipped()
    }

    /// Stops it.
    pub async fn stop(self) {
        self.process.stop(STOP).await;
    }
}

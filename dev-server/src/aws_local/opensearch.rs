//! OpenSearch with k-NN, on one node.

use std::{path::Path, time::Duration};

use anyhow::Context;
use clients::{aws::StaticCredentials, memory::OpenSearchConfig};
use reqwest::StatusCode;

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
        // Yellow: every index that is there can be read and written.
        let health = format!(
            "{}/_cluster/health?wait_for_status=yellow&timeout=1s",
            local.url
        );
        let is_good = |status: StatusCode| status.is_success();
        JARS.until(&local.process, (&health, is_good), START, log)
            .await?;
        Ok(local)
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

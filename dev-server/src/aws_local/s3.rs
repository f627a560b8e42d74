//! An S3 server on this machine, inside this process: objects are files of a folder.

use std::path::Path;

use anyhow::{Context, anyhow};
use axum::{Router, error_handling::HandleError, http::StatusCode};
use clients::{aws::LOCAL_KEY, objects::S3Config};
use s3s::{HttpError, auth::SimpleAuth, service::S3ServiceBuilder};
use s3s_fs::FileSystem;

use crate::sim::{RunningSim, serve};

/// A running S3 server.
#[derive(Debug)]
pub struct S3Local {
    /// Address of its API.
    pub url: String,
    running: RunningSim,
}

impl S3Local {
    /// Starts it with the buckets of a configuration; `folder` keeps what is written.
    ///
    /// # Errors
    /// When the folder cannot be made or the port is taken.
    pub async fn start(port: u16, folder: &Path) -> anyhow::Result<Self> {
        let ours = S3Config::of_this_machine("");
        for bucket in [
            &ours.playbooks_bucket,
            &ours.logs_bucket,
            &ours.reports_bucket,
        ] {
            std::fs::create_dir_all(folder.join(bucket))
                .with_context(|| format!("making bucket {bucket}"))?;
        }
        let files = FileSystem::new(folder).map_err(|error| anyhow!("S3 server: {error:?}"))?;
        let mut service = S3ServiceBuilder::new(files);
        service.set_auth(SimpleAuth::from_single(LOCAL_KEY, LOCAL_KEY));
        let service = HandleError::new(service.build(), async |error: HttpError| {
            (StatusCode::INTERNAL_SERVER_ERROR, format!("{error:?}"))
        });
        let running = serve(Router::new().fallback_service(service), port)
            .await
            .context("S3 server")?;
        Ok(Self {
            url: running.url.clone(),
            running,
        })
    }

    /// Says how objects are reached.
    #[must_use]
    pub fn config(&self) -> S3Config {
        S3Config::of_this_machine(&self.url)
    }

    /// Stops it.
    pub async fn stop(self) {
        self.running.stop().await;
    }
}

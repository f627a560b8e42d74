//! What every command needs: how to print, where Temporal and the store are.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clients::store::Store;

use crate::{
    dev::{self, DevEnvironment},
    output::Format,
    temporal::Temporal,
};

/// Global settings of one call.
#[derive(Debug)]
pub struct Setup {
    /// Who reads the answer.
    pub format: Format,
    config: Option<PathBuf>,
    dev: Option<DevEnvironment>,
}

impl Setup {
    /// Looks for the development environment; nothing is opened yet.
    #[must_use]
    pub fn new(format: Format, config: Option<PathBuf>) -> Self {
        let dev = std::env::current_dir().ok().and_then(|folder| dev::find(&folder));
        Self { format, config, dev }
    }

    /// Connects to Temporal.
    ///
    /// # Errors
    /// When no server answers within some seconds.
    pub async fn temporal(&self) -> anyhow::Result<Temporal> {
        Temporal::connect(self.dev.as_ref()).await
    }

    /// Opens the store that the worker writes; it must be there.
    ///
    /// # Errors
    /// When there is none, or it cannot be used.
    pub fn store(&self) -> anyhow::Result<Store> {
        let path = self.store_path()?;
        if !path.exists() {
            anyhow::bail!("no store at {}: start the worker, or name it by AUTOOPS_STORE_PATH", path.display());
        }
        open(&path)
    }

    /// Opens the store, and makes it when it is not there yet.
    ///
    /// # Errors
    /// When it cannot be used.
    pub fn store_or_new(&self) -> anyhow::Result<Store> {
        open(&self.store_path()?)
    }

    fn store_path(&self) -> anyhow::Result<PathBuf> {
        todo!("{:?}", self.config)
    }
}

fn open(path: &Path) -> anyhow::Result<Store> {
    Store::embedded(path).with_context(|| format!("store {}", path.display()))
}

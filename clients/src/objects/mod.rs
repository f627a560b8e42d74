//! Objects: playbooks, logs, reports. One code path over a folder of this machine and S3, by the
//! crate `object_store`.
//!
//! Playbooks and logs are written once: the storage itself refuses a second write (`If-None-Match`
//! on S3, a hard link in the folder), so that two writers cannot race.

#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
mod error;
mod key;
mod s3;
#[cfg(test)]
mod tests;

use std::{path::Path, sync::Arc};

use bytes::Bytes;
use domain::input::{InvalidInput, Problem};
use futures::TryStreamExt;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions, local::LocalFileSystem};

pub use self::{
    error::ObjectsError,
    key::{ObjectKey, Shelf},
    s3::{Encryption, S3Config},
};
use crate::config::{ObjectsKind, ObjectsSection};

/// Result of a call about objects.
pub type ObjectsResult<T> = Result<T, ObjectsError>;

/// Largest object in bytes: it is held in memory.
pub const LARGEST: usize = 256 * 1024 * 1024;

/// What a create-only write did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Created {
    /// The object is new.
    Now,
    /// It was there already, byte by byte the same: a retry whose first answer was lost.
    Before,
}

/// Where the objects of a shelf are.
#[derive(Debug, Clone)]
struct Place {
    name: String,
    store: Arc<dyn ObjectStore>,
}

/// All objects of AutoOps. Clones share connections.
#[derive(Debug, Clone)]
pub struct Objects {
    playbooks: Place,
    logs: Place,
    reports: Place,
}

impl Objects {
    /// Opens the storage that the configuration names. Asks no service yet.
    ///
    /// # Errors
    /// When the folder cannot be made, or a setting cannot be used.
    pub async fn open(section: &ObjectsSection) -> ObjectsResult<Self> {
        match section.kind {
            ObjectsKind::Folder => Self::in_folder(&section.path),
            ObjectsKind::S3 => Self::on_s3(&section.s3).await,
        }
    }

    /// Keeps objects in a folder, which is created when it is not there. What was written is on the
    /// disk when a write returns.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn in_folder(path: &Path) -> ObjectsResult<Self> {
        let name = format!("folder {}", path.display());
        let opened = std::fs::create_dir_all(path)
            .map_err(|source| object_store::Error::Generic {
                store: "folder",
                source: source.into(),
            })
            .and_then(|()| LocalFileSystem::new_with_prefix(path));
        let store = opened.map_err(|error| error::explain(&name, "", error))?;
        let place = Place {
            name,
            store: Arc::new(store.with_fsync(true)),
        };
        Ok(Self {
            playbooks: place.clone(),
            logs: place.clone(),
            reports: place,
        })
    }

    /// Keeps objects in buckets of S3.
    ///
    /// # Errors
    /// When a setting cannot be used.
    pub async fn on_s3(config: &S3Config) -> ObjectsResult<Self> {
        let buckets = s3::Buckets::new(config).await;
        let place = |bucket: &str| -> ObjectsResult<Place> {
            let store = buckets.open(bucket);
            Ok(Place {
                name: bucket.to_owned(),
                store: Arc::new(store.map_err(|error| error::explain(bucket, "", error))?),
            })
        };
        Ok(Self {
            playbooks: place(&config.playbooks_bucket)?,
            logs: place(&config.logs_bucket)?,
            reports: place(&config.reports_bucket)?,
        })
    }

    /// Writes an object that is not there yet. The same content again is a success, so that a retry
    /// is safe.
    ///
    /// # Errors
    /// `Conflict` when it is there with other content.
    pub async fn create(&self, key: &ObjectKey, body: impl Into<Bytes>) -> ObjectsResult<Created> {
        let body = fitting(key, body.into())?;
        let place = self.place(key);
        let options = PutOptions::from(PutMode::Create);
        let written = place
            .store
            .put_opts(&key.path(), body.clone().into(), options)
            .await;
        match written.map_err(|error| error::explain(&place.name, key.as_str(), error)) {
            Ok(_) => Ok(Created::Now),
            Err(ObjectsError::Conflict { key: shown }) => match self.read(key).await? {
                there if there == body => Ok(Created::Before),
                _ => Err(ObjectsError::Conflict { key: shown }),
            },
            Err(error) => Err(error),
        }
    }

    /// Writes an object of a shelf that allows it, over what was there.
    ///
    /// # Errors
    /// `Invalid` for a playbook or log: these are written once.
    pub async fn replace(&self, key: &ObjectKey, body: impl Into<Bytes>) -> ObjectsResult<()> {
        if key.shelf() != Shelf::Reports {
            let allowed = "a report; playbooks and logs are written once";
            return Err(InvalidInput::one(Problem::new("key", key.as_str(), allowed)).into());
        }
        let body = fitting(key, body.into())?;
        let place = self.place(key);
        let written = place.store.put(&key.path(), body.into()).await;
        written
            .map(|_| ())
            .map_err(|error| error::explain(&place.name, key.as_str(), error))
    }

    /// Reads an object.
    ///
    /// # Errors
    /// `NotFound` when there is none.
    pub async fn read(&self, key: &ObjectKey) -> ObjectsResult<Bytes> {
        let place = self.place(key);
        let read = async { place.store.get(&key.path()).await?.bytes().await };
        read.await
            .map_err(|error| error::explain(&place.name, key.as_str(), error))
    }

    /// Lists the objects below a key, sorted. Meant for folders whose size is bounded.
    ///
    /// # Errors
    /// When the storage cannot be asked.
    pub async fn list(&self, below: &ObjectKey) -> ObjectsResult<Vec<ObjectKey>> {
        let place = self.place(below);
        let found = place.store.list(Some(&below.path()));
        let found: Vec<_> = found
            .map_ok(|object| object.location)
            .try_collect()
            .await
            .map_err(|error| error::explain(&place.name, below.as_str(), error))?;
        // What others have put there under a name that cannot be ours is not ours.
        let mut keys: Vec<ObjectKey> = found
            .iter()
            .filter_map(|path| path.as_ref().parse().ok())
            .collect();
        keys.sort_unstable();
        Ok(keys)
    }

    fn place(&self, key: &ObjectKey) -> &Place {
        match key.shelf() {
            Shelf::Playbooks => &self.playbooks,
            Shelf::Logs => &self.logs,
            Shelf::Reports => &self.reports,
        }
    }
}

fn fitting(key: &ObjectKey, body: Bytes) -> ObjectsResult<Bytes> {
    if body.len() <= LARGEST {
        return Ok(body);
    }
    let (field, size) = (format!("object {key}"), format!("{} bytes", body.len()));
    let allowed = format!("at most {LARGEST} bytes");
    Err(InvalidInput::one(Problem::new(&field, &size, &allowed)).into())
}

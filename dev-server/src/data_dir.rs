//! The folder that holds everything of one machine: databases, state of the simulators, logs, keys.
//! One process at a time uses it.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use anyhow::{Context, bail, ensure};
use jiff::Timestamp;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use crate::{sim::RunningSim, simulators::Simulators, temporal::DevTemporal};

const LOCK: &str = "lock";
const OLD: &str = "old";
const DEV_JSON: &str = "dev.json";
const KEY: &str = "callback.key";

/// Where everything is reached; other programs read it from `dev.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DevInfo {
    /// Temporal server, such as `127.0.0.1:7233`.
    pub temporal_address: String,
    /// Temporal command line tool.
    pub temporal_cli: PathBuf,
    /// Temporal Web UI, unless left out.
    pub temporal_ui_url: Option<String>,
    /// Base address of the callback receiver.
    pub callback_url: String,
    /// Simulator of SuperOps: its GraphQL endpoint.
    pub superops_url: String,
    /// Simulator of NVD.
    pub nvd_url: String,
    /// Simulator of CISA's catalogue of known exploited vulnerabilities.
    pub kev_url: String,
    /// Simulator of EPSS.
    pub epss_url: String,
    /// Simulator of Microsoft's security updates.
    pub msrc_url: String,
    /// Simulator of CVE Services.
    pub cve_services_url: String,
    /// Simulator of Bedrock.
    pub bedrock_url: String,
    /// Simulator of Prometheus.
    #[serde(default)]
    pub prometheus_url: String,
    /// SQLite file of the store.
    pub store_path: PathBuf,
    /// Folder of objects.
    pub objects_path: PathBuf,
    /// DynamoDB, when records are kept there instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dynamodb_url: Option<String>,
    /// S3, when objects are kept there instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub s3_url: Option<String>,
    /// File of the memory.
    pub memory_path: PathBuf,
    /// OpenSearch, when the memory is there instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opensearch_url: Option<String>,
    /// API; comes with it.
    pub api_url: Option<String>,
    /// Web app; comes with it.
    pub web_url: Option<String>,
}

impl DevInfo {
    /// Returns where these are reached.
    #[must_use]
    pub fn of(
        temporal: &DevTemporal,
        simulators: &Simulators,
        callbacks: &RunningSim,
        data: &DataDir,
    ) -> Self {
        Self {
            temporal_address: temporal.address.clone(),
            temporal_cli: temporal.cli.clone(),
            temporal_ui_url: temporal.ui_url.clone(),
            callback_url: callbacks.url.clone(),
            superops_url: simulators.superops_url(),
            nvd_url: simulators.nvd_url(),
            kev_url: simulators.kev_url(),
            epss_url: simulators.epss_url(),
            msrc_url: simulators.msrc_url(),
            cve_services_url: simulators.cve_services_url(),
            bedrock_url: simulators.bedrock_url(),
            prometheus_url: simulators.prometheus_url(),
            store_path: data.store_path(),
            objects_path: data.objects_path(),
            dynamodb_url: None,
            s3_url: None,
            memory_path: data.file("memory.sqlite"),
            opensearch_url: None,
            api_url: None,
            web_url: None,
        }
    }
}

/// A data folder that is ours until this is dropped.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    // The system lets go of it when we end, in whatever way: there are no stale locks.
    lock: File,
}

impl DataDir {
    /// Returns the file of the embedded store.
    #[must_use]
    pub fn store_path(&self) -> PathBuf {
        self.file("store.sqlite")
    }

    /// Returns the folder of objects.
    #[must_use]
    pub fn objects_path(&self) -> PathBuf {
        self.file("objects")
    }

    /// Creates the folder if needed, and takes it; `fresh` moves what is in it into `old`.
    ///
    /// # Errors
    /// When another process uses it, or it cannot be written.
    pub fn take(path: &Path, fresh: bool) -> anyhow::Result<Self> {
        let shown = path.display();
        let mut builder = fs::DirBuilder::new();
        builder
            .recursive(true)
            .mode(0o700)
            .create(path)
            .with_context(|| format!("creating {shown}"))?;
        let path = path
            .canonicalize()
            .with_context(|| format!("opening {shown}"))?;
        let lock = take_lock(&path)?;
        let taken = Self { path, lock };
        if fresh {
            taken.move_aside()?;
        }
        fs::create_dir_all(taken.logs()).context("creating the folder of logs")?;
        // Of a run that could not clean up.
        taken.remove_info();
        Ok(taken)
    }

    fn move_aside(&self) -> anyhow::Result<()> {
        let stamp = Timestamp::now().strftime("%Y-%m-%dT%H-%M-%SZ").to_string();
        let target = self.path.join(OLD).join(stamp);
        for entry in fs::read_dir(&self.path)? {
            let name = entry?.file_name();
            if name != LOCK && name != OLD {
                fs::create_dir_all(&target)?;
                fs::rename(self.path.join(&name), target.join(&name))
                    .context("moving old data aside")?;
            }
        }
        Ok(())
    }

    /// Returns the path of a file in it.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Returns the folder of logs.
    #[must_use]
    pub fn logs(&self) -> PathBuf {
        self.path.join("logs")
    }

    /// Reads the master key of callbacks, and makes one the first time. Only its owner can read it.
    ///
    /// # Errors
    /// When it cannot be read or written.
    pub fn callback_key(&self) -> anyhow::Result<SecretString> {
        let path = self.file(KEY);
        if !path.exists() {
            // Two random UUIDs: 244 random bits of the system's generator.
            let key = format!(
                "{}{}",
                uuid::Uuid::new_v4().simple(),
                uuid::Uuid::new_v4().simple()
            );
            let beside = self.file("callback.key.new");
            let mut file = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(&beside)?;
            file.write_all(key.as_bytes())?;
            file.sync_all()?;
            fs::rename(beside, &path)?;
        }
        let key =
            fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        ensure!(
            key.trim().len() >= 32,
            "{} is damaged; delete it to get a new key",
            path.display()
        );
        Ok(key.trim().into())
    }

    /// Writes `dev.json`, whole or not at all.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_info(&self, info: &DevInfo) -> anyhow::Result<()> {
        let beside = self.file("dev.json.new");
        let mut text = serde_json::to_string_pretty(info)?;
        text.push('\n');
        fs::write(&beside, text).with_context(|| format!("writing {}", beside.display()))?;
        fs::rename(beside, self.info_file()).context("writing dev.json")
    }

    /// Returns the path of `dev.json`.
    #[must_use]
    pub fn info_file(&self) -> PathBuf {
        self.file(DEV_JSON)
    }

    /// Removes `dev.json`: nothing runs any more.
    pub fn remove_info(&self) {
        let _not_there = fs::remove_file(self.info_file());
    }
}

// Closing it would not do: a child that is being started holds a copy of it until its program runs.
impl Drop for DataDir {
    fn drop(&mut self) {
        let _gone_with_us_at_the_latest = self.lock.unlock();
    }
}

fn take_lock(folder: &Path) -> anyhow::Result<File> {
    let path = folder.join(LOCK);
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .with_context(|| format!("opening {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            let _unknown = file.read_to_string(&mut holder);
            bail!(
                "{} is in use by another autoops-dev (process {}). Stop that one, or take another folder: --data-dir DIR",
                folder.display(),
                holder.trim()
            );
        }
        Err(TryLockError::Error(error)) => {
            return Err(error).with_context(|| format!("locking {}", path.display()));
        }
    }
    file.set_len(0)?;
    file.write_all(std::process::id().to_string().as_bytes())?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use secrecy::ExposeSecret;

    use super::*;

    fn info() -> DevInfo {
        DevInfo {
            temporal_address: "127.0.0.1:7233".into(),
            temporal_cli: "/bin/temporal".into(),
            temporal_ui_url: None,
            callback_url: "http://127.0.0.1:4000".into(),
            superops_url: "http://127.0.0.1:4010/msp".into(),
            nvd_url: "http://127.0.0.1:4020".into(),
            kev_url: "http://127.0.0.1:4040".into(),
            epss_url: "http://127.0.0.1:4050".into(),
            msrc_url: "http://127.0.0.1:4060".into(),
            cve_services_url: "http://127.0.0.1:4070".into(),
            bedrock_url: "http://127.0.0.1:4030".into(),
            prometheus_url: "http://127.0.0.1:4080".into(),
            store_path: "/data/store.sqlite".into(),
            objects_path: "/data/objects".into(),
            dynamodb_url: None,
            s3_url: None,
            memory_path: "/data/memory.sqlite".into(),
            opensearch_url: None,
            api_url: None,
            web_url: None,
        }
    }

    #[test]
    fn a_second_one_is_refused_by_name_and_let_in_afterwards() {
        let folder = tempfile::tempdir().unwrap();
        let first = DataDir::take(folder.path(), false).unwrap();
        let text = DataDir::take(folder.path(), true).unwrap_err().to_string();
        assert!(
            text.contains(&format!("process {}", std::process::id()))
                && text.contains("--data-dir"),
            "{text}"
        );
        // As a child holds one that is being started at this moment.
        let _copy = first.lock.try_clone().unwrap();
        drop(first);
        // The file is still there, as after a crash, and does not matter.
        assert!(folder.path().join(LOCK).exists());
        DataDir::take(folder.path(), false).unwrap();
    }

    #[test]
    fn the_key_is_made_once_and_only_for_its_owner() {
        let folder = tempfile::tempdir().unwrap();
        let data = DataDir::take(&folder.path().join("new/folder"), false).unwrap();
        let key = data.callback_key().unwrap();
        assert_eq!(
            key.expose_secret(),
            data.callback_key().unwrap().expose_secret()
        );
        assert_eq!(key.expose_secret().len(), 64);
        let mode = |path: PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(data.file(KEY)), 0o600);
        assert_eq!(mode(data.file("")), 0o700);
        fs::write(data.file(KEY), "short").unwrap();
        assert!(data.callback_key().is_err());
    }

    #[test]
    fn dev_json_has_every_address_under_its_agreed_name() {
        let folder = tempfile::tempdir().unwrap();
        let data = DataDir::take(folder.path(), false).unwrap();
        data.write_info(&info()).unwrap();
        let text = fs::read_to_string(data.file(DEV_JSON)).unwrap();
        assert_eq!(serde_json::from_str::<DevInfo>(&text).unwrap(), info());
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        let names: Vec<&String> = value.as_object().unwrap().keys().collect();
        let mut agreed = [
            "temporal_address",
            "temporal_cli",
            "temporal_ui_url",
            "callback_url",
            "superops_url",
            "nvd_url",
            "kev_url",
            "epss_url",
            "msrc_url",
            "cve_services_url",
            "bedrock_url",
            "prometheus_url",
            "store_path",
            "objects_path",
            "memory_path",
            "api_url",
            "web_url",
        ];
        agreed.sort_unstable();
        let mut names: Vec<&str> = names.into_iter().map(String::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, agreed);
        assert!(value["api_url"].is_null());
        drop(data);
        // Left behind by a crash, it would send people to a port where nobody is.
        DataDir::take(folder.path(), false).unwrap();
        assert!(!folder.path().join(DEV_JSON).exists());
    }

    #[test]
    fn fresh_moves_everything_aside_and_loses_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let data = DataDir::take(folder.path(), false).unwrap();
        fs::write(data.file("temporal.db"), "x").unwrap();
        drop(data);
        let data = DataDir::take(folder.path(), true).unwrap();
        assert!(!data.file("temporal.db").exists() && data.logs().exists());
        let stamp = fs::read_dir(data.file(OLD))
            .unwrap()
            .next()
            .unwrap()
            .unwrap();
        assert!(stamp.path().join("temporal.db").exists());
    }
}

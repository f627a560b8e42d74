//! The development environment leaves `.autoops/dev.json` behind while it runs: with it, commands
//! in a second terminal need no environment variables. It is the last source that is asked. An
//! environment in another folder is named by a variable; `bin/autoops` sets it.

use std::path::{Path, PathBuf};

use serde::Deserialize;

/// Variable that names the file of the environment that is meant.
pub const VARIABLE: &str = "AUTOOPS_DEV";

/// What of `dev.json` this program uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DevEnvironment {
    /// The file itself.
    pub file: PathBuf,
    /// Address of the Temporal server.
    pub temporal_address: Option<String>,
    /// The SQLite file of the store.
    pub store_path: Option<PathBuf>,
    /// The folder of objects.
    pub objects_path: Option<PathBuf>,
    /// DynamoDB, when the store is there instead.
    pub dynamodb_url: Option<String>,
    /// S3, when objects are there instead.
    pub s3_url: Option<String>,
}

#[derive(Deserialize)]
struct Written {
    #[serde(default)]
    temporal_address: Option<String>,
    #[serde(default)]
    store_path: Option<PathBuf>,
    #[serde(default)]
    objects_path: Option<PathBuf>,
    #[serde(default)]
    dynamodb_url: Option<String>,
    #[serde(default)]
    s3_url: Option<String>,
}

/// Reads the file that `named` says, and no other; without it, the one of the environment that runs
/// in `from` or a folder above. A file that cannot be read counts as absent: nothing runs there, or
/// it is written at this moment.
#[must_use]
pub fn find(named: Option<&Path>, from: &Path) -> Option<DevEnvironment> {
    match named {
        Some(file) => read(file),
        None => from
            .ancestors()
            .find_map(|folder| read(&folder.join(".autoops").join("dev.json"))),
    }
}

fn read(file: &Path) -> Option<DevEnvironment> {
    let text = std::fs::read_to_string(file).ok()?;
    let written: Written = serde_json::from_str(&text).ok()?;
    // Paths in it start where the data folder lies.
    let from = file.ancestors().nth(2).unwrap_or_else(|| Path::new(""));
    Some(DevEnvironment {
        file: file.to_owned(),
        temporal_address: written.temporal_address,
        store_path: written.store_path.map(|path| from.join(path)),
        objects_path: written.objects_path.map(|path| from.join(path)),
        dynamodb_url: written.dynamodb_url,
        s3_url: written.s3_url,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch(name: &str) -> PathBuf {
        let folder =
            std::env::temp_dir().join(format!("autoops-starter-{name}-{}", std::process::id()));
        std::fs::create_dir_all(folder.join(".autoops")).unwrap();
        std::fs::create_dir_all(folder.join("a/b")).unwrap();
        folder
    }

    #[test]
    fn the_environment_of_a_folder_above_is_found() {
        let root = scratch("found");
        let text = r#"{"temporal_address":"127.0.0.1:7299","store_path":"data/store.sqlite","api_url":"x"}"#;
        std::fs::write(root.join(".autoops/dev.json"), text).unwrap();
        let found = find(None, &root.join("a/b")).unwrap();
        assert_eq!(found.temporal_address.as_deref(), Some("127.0.0.1:7299"));
        assert_eq!(found.store_path, Some(root.join("data/store.sqlite")));
        assert_eq!(found.file, root.join(".autoops/dev.json"));
        std::fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn a_half_written_file_counts_as_absent() {
        let root = scratch("half");
        std::fs::write(root.join(".autoops/dev.json"), r#"{"temporal_addr"#).unwrap();
        assert_ne!(
            find(None, &root.join("a")).map(|found| found.file),
            Some(root.join(".autoops/dev.json"))
        );
        std::fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn the_one_that_is_named_is_taken_and_no_other() {
        let root = scratch("named");
        let text = |port: u16| format!(r#"{{"temporal_address":"127.0.0.1:{port}"}}"#);
        std::fs::write(root.join(".autoops/dev.json"), text(1)).unwrap();
        std::fs::write(root.join("a/b/dev.json"), text(2)).unwrap();
        let named = find(Some(&root.join("a/b/dev.json")), &root).unwrap();
        assert_eq!(named.temporal_address.as_deref(), Some("127.0.0.1:2"));
        assert_eq!(find(Some(&root.join("gone.json")), &root), None);
        std::fs::remove_dir_all(root).unwrap();
    }
}

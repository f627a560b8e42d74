//! The development environment leaves `.autoops/dev.json` behind while it runs: with it, commands
//! in a second terminal need no environment variables. It is the last source that is asked.

use std::path::{Path, PathBuf};

use serde::Deserialize;

/// What of `dev.json` this program uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DevEnvironment {
    /// The file itself.
    pub file: PathBuf,
    /// Address of the Temporal server.
    pub temporal_address: Option<String>,
    /// The SQLite file of the store.
    pub store_path: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Written {
    #[serde(default)]
    temporal_address: Option<String>,
    #[serde(default)]
    store_path: Option<PathBuf>,
}

/// Finds the environment that runs in `from` or a folder above it. A file that cannot be read
/// counts as absent: it may be written at this moment.
#[must_use]
pub fn find(from: &Path) -> Option<DevEnvironment> {
    from.ancestors().find_map(|folder| {
        let file = folder.join(".autoops").join("dev.json");
        let text = std::fs::read_to_string(&file).ok()?;
        let written: Written = serde_json::from_str(&text).ok()?;
        Some(DevEnvironment {
            file,
            temporal_address: written.temporal_address,
            store_path: written.store_path.map(|path| folder.join(path)),
        })
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
        let found = find(&root.join("a/b")).unwrap();
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
            find(&root.join("a")).map(|found| found.file),
            Some(root.join(".autoops/dev.json"))
        );
        std::fs::remove_dir_all(root).unwrap();
    }
}

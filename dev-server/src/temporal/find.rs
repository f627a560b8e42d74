//! Looks for the Temporal CLI, which holds a whole Temporal server, in a fixed order: the one we are
//! told to use, PATH, our cache, a download, and at last a build with Go.

use std::{
    env, fmt,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use tokio::process::Command;

use super::fetch;
use crate::links::is_our_script;

/// Variable that names the binary to use.
pub(super) const VARIABLE: &str = "AUTOOPS_TEMPORAL_CLI";
/// Oldest server we work with: activity priorities came with it.
pub(super) const OLDEST: (u32, u32) = (1, 29);
/// What is downloaded or built: the newest release that `go install` builds.
pub(super) const RELEASE: &str = "v1.5.1";

/// A usable Temporal CLI.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemporalCli {
    /// The binary.
    pub path: PathBuf,
    /// Version of the server in it, such as `1.29.1`.
    pub server_version: String,
    /// Where it was found.
    pub source: Source,
}

/// Where the Temporal CLI was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// Named by `AUTOOPS_TEMPORAL_CLI`.
    Variable,
    /// On PATH.
    Path,
    /// Fetched earlier.
    Cache,
    /// Downloaded just now, or earlier by the test environment of Temporal's SDK.
    Download,
    /// Built just now.
    Built,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Variable => VARIABLE,
            Self::Path => "PATH",
            Self::Cache => "cache",
            Self::Download => "download",
            Self::Built => "built with Go",
        })
    }
}

/// Where to look.
#[derive(Debug, Clone)]
pub struct FindOptions {
    /// The binary to use, and no other.
    pub explicit: Option<PathBuf>,
    /// Folders of PATH.
    pub search_path: Vec<PathBuf>,
    /// Folder of what we fetched.
    pub cache: PathBuf,
    /// Folder in which the test environment of Temporal's SDK keeps its download.
    pub sdk_cache: PathBuf,
    /// Whether the network may be asked.
    pub download: bool,
    /// Whether it may be built with Go.
    pub build: bool,
}

impl FindOptions {
    /// Takes the settings of this process.
    #[must_use]
    pub fn from_env() -> Self {
        let path = env::var_os("PATH").unwrap_or_default();
        Self {
            explicit: env::var_os(VARIABLE)
                .filter(|value| !value.is_empty())
                .map(PathBuf::from),
            search_path: env::split_paths(&path).collect(),
            cache: cache_folder(|name| {
                env::var_os(name)
                    .filter(|value| !value.is_empty())
                    .map(PathBuf::from)
            }),
            sdk_cache: env::temp_dir(),
            download: true,
            build: true,
        }
    }

    /// Returns the first program of this name on PATH. Our own script for people is none: it would
    /// call itself.
    pub(super) fn on_path(&self, name: &str) -> Option<PathBuf> {
        self.search_path
            .iter()
            .map(|folder| folder.join(name))
            .find(|path| path.is_file() && !is_our_script(path))
    }
}

/// `$AUTOOPS_CACHE`, else `autoops` in the user's cache folder.
fn cache_folder(variable: impl Fn(&str) -> Option<PathBuf>) -> PathBuf {
    let of_user = || {
        let named = variable("XDG_CACHE_HOME").filter(|path| path.is_absolute());
        let cache = named.or_else(|| variable("HOME").map(|home| home.join(".cache")));
        cache.unwrap_or_else(env::temp_dir).join("autoops")
    };
    variable("AUTOOPS_CACHE").unwrap_or_else(of_user)
}

/// No usable Temporal CLI: what was tried, and what a person can do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct FindError {
    /// One line per place.
    pub tried: Vec<String>,
}

impl fmt::Display for FindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (major, minor) = OLDEST;
        writeln!(f, "no Temporal server found. Tried:")?;
        for line in &self.tried {
            writeln!(f, "  - {line}")?;
        }
        writeln!(f, "Choose one:")?;
        writeln!(
            f,
            "  - install the Temporal CLI (https://docs.temporal.io/cli), server {major}.{minor} or later, so that `temporal` is on PATH"
        )?;
        writeln!(f, "  - or set {VARIABLE} to such a binary")?;
        write!(
            f,
            "  - or install Go (https://go.dev/dl) and start again: it is then built once, in about 3 minutes"
        )
    }
}

/// Finds a usable Temporal CLI, fetching one if there is none. `say` hears of everything that takes
/// more than a moment.
///
/// # Errors
/// When there is none, or the one that was named is not usable.
pub async fn find(
    options: &FindOptions,
    say: &(dyn Fn(&str) + Sync),
) -> Result<TemporalCli, FindError> {
    let mut tried = Vec::new();
    if let Some(path) = &options.explicit {
        // Somebody chose it: another one would be a surprise.
        return usable(path, Source::Variable)
            .await
            .map_err(|problem| FindError {
                tried: vec![format!("{VARIABLE}: {problem}")],
            });
    }
    tried.push(format!("{VARIABLE}: not set"));
    match options.on_path("temporal") {
        None => tried.push("PATH: no `temporal`".to_owned()),
        Some(path) => match usable(&path, Source::Path).await {
            Ok(cli) => return Ok(cli),
            Err(problem) => tried.push(format!("PATH: {problem}")),
        },
    }
    let cached = fetch::cached(&options.cache);
    for (path, source, place) in [
        (
            cached.is_file().then(|| cached.clone()),
            Source::Cache,
            &cached,
        ),
        (
            fetch::of_sdk(&options.sdk_cache),
            Source::Download,
            &options.sdk_cache,
        ),
    ] {
        let Some(path) = path else {
            tried.push(format!("{source}: none at {}", place.display()));
            continue;
        };
        match usable(&path, source).await {
            Ok(cli) => return Ok(cli),
            Err(problem) => tried.push(format!("{source}: {problem}")),
        }
    }
    fetch::fetch(options, &mut tried, say)
        .await
        .ok_or(FindError { tried })
}

/// Asks a binary for its version and refuses one that is too old.
pub(super) async fn usable(path: &Path, source: Source) -> Result<TemporalCli, String> {
    let shown = path.display();
    if is_our_script(path) {
        return Err(format!(
            "{shown} is the script of autoops-dev, which needs a Temporal CLI itself"
        ));
    }
    let text = version_of(path)
        .await
        .map_err(|error| format!("{shown} cannot be used: {error}"))?;
    let server_version = server_version(&text).ok_or_else(|| {
        format!(
            "{shown} is no Temporal CLI: `--version` says `{}`",
            text.trim()
        )
    })?;
    let (major, minor) = OLDEST;
    if numbers(&server_version).is_none_or(|version| version < OLDEST) {
        return Err(format!(
            "{shown} has server {server_version}, {major}.{minor} or later is needed"
        ));
    }
    // It is also called from other folders. Links stay: some programs go by the name of the link.
    let path = std::path::absolute(path).map_err(|error| format!("{shown}: {error}"))?;
    Ok(TemporalCli {
        path,
        server_version,
        source,
    })
}

/// Returns what `--version` prints.
///
/// # Errors
/// When the program does not start, fails, or does not answer.
pub async fn version_of(path: &Path) -> Result<String, String> {
    let asking = Command::new(path)
        .arg("--version")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let answer = tokio::time::timeout(Duration::from_secs(20), asking).await;
    let output = answer
        .map_err(|_| "no answer to `--version`".to_owned())?
        .map_err(|error| error.to_string())?;
    if !output.status.success() {
        return Err(format!("`--version` ended with {}", output.status));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Reads `temporal version 1.5.1 (Server 1.29.1, UI 2.42.1)`.
fn server_version(text: &str) -> Option<String> {
    let (_, rest) = text.split_once("(Server ")?;
    let version = rest.split([',', ')']).next()?.trim();
    numbers(version).map(|_| version.to_owned())
}

fn numbers(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

#[cfg(test)]
#[path = "find_tests.rs"]
mod tests;

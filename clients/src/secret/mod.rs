//! A secret that is asked for whenever it is used, so that a rotated one needs no restart.
//!
//! It comes from a variable, a file or AWS Secrets Manager. A file is read again when it has
//! changed; Secrets Manager is asked again after a while, and at once when the value was refused. A
//! new value that cannot be read or used leaves the last good one in use, and a line in the log.

mod error;
mod file;
mod manager;
#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) mod vault;

use std::{
    fmt,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use secrecy::{ExposeSecret, SecretString};
use tokio::time::Instant;

pub use self::error::SecretError;
use self::file::Stamp;
pub(crate) use self::manager::Manager;

/// How long Secrets Manager may take for one answer; at the start credentials have to be found too.
const ANSWER: Duration = Duration::from_secs(10);
/// How long a look may take whoever needs the secret now: a request that waits for it has to be over
/// before the activity around it is.
const PATIENCE: Duration = Duration::from_secs(2);
/// Pause after a failed look, and between two looks because a value was refused.
const PAUSE: Duration = Duration::from_secs(30);
/// Least length of a key that signs, in bytes.
const KEY_BYTES: usize = 32;

/// What a secret is for decides what it may look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use {
    /// Sent in a header. The one before it is of no use.
    Header,
    /// Signs. What the key before it signed is still good.
    Signing,
}

impl Use {
    fn check(self, value: &SecretString) -> Result<(), &'static str> {
        let value = value.expose_secret();
        match self {
            Self::Header if !value.chars().all(|c| c.is_ascii_graphic()) => {
                Err("is not usable: it has spaces, line ends or letters that no token has")
            }
            Self::Signing if value.len() < KEY_BYTES => Err(
                "is too short for a key: at least 32 characters, for example from `openssl rand -hex 32`",
            ),
            _ => Ok(()),
        }
    }
}

/// Where it comes from.
#[derive(Clone)]
pub(crate) enum Source {
    /// A value that never changes.
    Fixed(SecretString),
    /// The path of a file.
    File(SecretString),
    /// The name or ARN of a secret of Secrets Manager.
    Manager {
        manager: Manager,
        id: SecretString,
        /// How long a value is used without asking again.
        refresh: Duration,
    },
}

/// A handle to a secret; clones share what was read. Shows its variable only.
#[derive(Clone)]
pub struct Secret(Arc<Inner>);

struct Inner {
    variable: String,
    used_for: Use,
    source: Source,
    held: Mutex<Held>,
    /// One looks, the others go on with what is held.
    looking: tokio::sync::Mutex<Looked>,
}

struct Held {
    value: SecretString,
    previous: Option<SecretString>,
}

/// When and at what one looked.
#[derive(Default)]
struct Looked {
    stamp: Option<Stamp>,
    version: Option<String>,
    due: Option<Instant>,
    /// When one looked because the value had been refused.
    refused: Option<Instant>,
}

/// What one look found.
struct Found {
    value: SecretString,
    /// The one before it; unknown to a file, which has no memory.
    previous: Option<SecretString>,
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Secret").field(&self.0.variable).finish()
    }
}

impl Default for Secret {
    fn default() -> Self {
        Self::from("")
    }
}

impl From<&str> for Secret {
    fn from(value: &str) -> Self {
        SecretString::from(value).into()
    }
}

impl From<SecretString> for Secret {
    /// One that never changes.
    fn from(value: SecretString) -> Self {
        let held = Held {
            value: value.clone(),
            previous: None,
        };
        Self::new(String::new(), Use::Header, Source::Fixed(value), held)
    }
}

impl Secret {
    fn new(variable: String, used_for: Use, source: Source, held: Held) -> Self {
        Self(Arc::new(Inner {
            variable,
            used_for,
            source,
            held: Mutex::new(held),
            looking: tokio::sync::Mutex::default(),
        }))
    }

    /// Reads it for the first time. `variable` is the one that holds or names it.
    pub(crate) async fn open(
        variable: String,
        used_for: Use,
        source: Source,
    ) -> Result<Self, SecretError> {
        let nothing = Held {
            value: SecretString::default(),
            previous: None,
        };
        let secret = Self::new(variable, used_for, source, nothing);
        {
            let mut looked = secret.0.looking.lock().await;
            let found = secret.0.look(&mut looked).await?;
            let mut held = secret.0.held();
            (held.value, held.previous) = (found.value, found.previous);
        }
        Ok(secret)
    }

    /// Returns the value to use now. Looks for a new one when it is time to.
    pub async fn current(&self) -> SecretString {
        self.0.renew_when_due().await;
        self.last_read()
    }

    /// Returns the value that was read last, without looking.
    #[must_use]
    pub fn last_read(&self) -> SecretString {
        self.0.held().value.clone()
    }

    /// Says that `used` was refused, and returns true when there is another value now. Looks at once,
    /// but not again within 30 seconds, so that a wrong secret hammers nobody.
    pub async fn refused(&self, used: &SecretString) -> bool {
        let mut looked = self.0.looking.lock().await;
        let differs = || self.last_read().expose_secret() != used.expose_secret();
        // Another call may have found it meanwhile.
        if differs() {
            return true;
        }
        if looked.refused.is_some_and(|at| at.elapsed() < PAUSE) {
            return false;
        }
        looked.refused = Some(Instant::now());
        self.0.renew(&mut looked).await;
        differs()
    }

    /// Returns true when `fits` is true of the key, or of the one before it: what was signed before
    /// a rotation is still good. When neither fits, looks for a newer one as [`Self::refused`] does.
    pub async fn fits(&self, fits: impl Fn(&SecretString) -> bool) -> bool {
        let used = self.current().await;
        let any = || {
            let (value, previous) = {
                let held = self.0.held();
                (held.value.clone(), held.previous.clone())
            };
            fits(&value) || previous.as_ref().is_some_and(&fits)
        };
        any() || (self.refused(&used).await && any())
    }
}

impl Inner {
    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn renew_when_due(&self) {
        let Ok(mut looked) = self.looking.try_lock() else {
            return;
        };
        let due = match &self.source {
            Source::Fixed(_) => false,
            Source::File(path) => file::stamp(&file::path(path)).await != looked.stamp,
            Source::Manager { .. } => looked.due.is_none_or(|due| due <= Instant::now()),
        };
        if due {
            self.renew(&mut looked).await;
        }
    }

    /// Takes a new value if there is a good one, else keeps the last.
    async fn renew(&self, looked: &mut Looked) {
        let variable = &self.variable;
        let looking = tokio::time::timeout(PATIENCE, self.look(looked)).await;
        let in_time = looking.unwrap_or_else(|_| {
            Err(SecretError::Unavailable {
                variable: variable.clone(),
                advice: format!("no answer within {} seconds", PATIENCE.as_secs()),
                source: None,
            })
        });
        match in_time {
            Ok(found) => {
                let mut held = self.held();
                let is_new = found.value.expose_secret() != held.value.expose_secret();
                if is_new {
                    let before = std::mem::replace(&mut held.value, found.value);
                    held.previous = found.previous.or(Some(before));
                    tracing::info!(secret = %variable, "the secret of {variable} was rotated");
                } else if found.previous.is_some() {
                    held.previous = found.previous;
                }
            }
            Err(error) => {
                looked.due = Some(Instant::now() + PAUSE);
                tracing::warn!(
                    secret = %variable,
                    error = &error as &dyn std::error::Error,
                    "the last good secret stays in use: {error}"
                );
            }
        }
    }

    async fn look(&self, looked: &mut Looked) -> Result<Found, SecretError> {
        let found = match &self.source {
            Source::Fixed(value) => Found {
                value: value.clone(),
                previous: None,
            },
            Source::File(path) => {
                let path: PathBuf = file::path(path);
                // Before it is read: what is written meanwhile is seen the next time.
                looked.stamp = file::stamp(&path).await;
                Found {
                    value: file::read(&path, &self.variable).await?,
                    previous: None,
                }
            }
            Source::Manager {
                manager,
                id,
                refresh,
            } => {
                let version = manager.current(id, &self.variable).await?;
                self.check(&version.value)?;
                let known = looked.version.is_some() && looked.version == version.id;
                let previous = match self.used_for {
                    Use::Signing if !known => manager.previous(id, &self.variable).await?,
                    _ => None,
                };
                looked.version = version.id;
                looked.due = Some(Instant::now() + *refresh);
                Found {
                    value: version.value,
                    previous: previous.filter(|key| self.used_for.check(key).is_ok()),
                }
            }
        };
        self.check(&found.value)?;
        Ok(found)
    }

    fn check(&self, value: &SecretString) -> Result<(), SecretError> {
        self.used_for
            .check(value)
            .map_err(|why| SecretError::unusable(self.variable.clone(), why))
    }
}

//! Secrets: from a variable, or from the file that a variable with `_FILE` after its name names.

use std::{collections::BTreeMap, env, fmt, fs, io::ErrorKind};

use secrecy::{ExposeSecret, SecretString};

use super::ConfigError;

/// Variable of the API token of SuperOps.
pub const SUPEROPS_TOKEN: &str = "AUTOOPS_SUPEROPS_TOKEN";
/// Variable of the API key of NVD.
pub const NVD_API_KEY: &str = "AUTOOPS_NVD_API_KEY";
/// Variable of the master key of device callbacks.
pub const CALLBACK_KEY: &str = "AUTOOPS_CALLBACK_KEY";
/// Variable of the key that signs decisions.
pub const DECISION_KEY: &str = "AUTOOPS_DECISION_KEY";

/// Least length of a key that signs, in bytes.
const KEY_BYTES: usize = 32;

/// The variables that hold or name secrets. Shows none of them.
pub struct Secrets {
    variables: BTreeMap<String, SecretString>,
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secrets")
            .field("set", &self.variables.keys())
            .finish()
    }
}

impl Secrets {
    /// Takes them from the environment of this process. Files are read when they are asked for.
    #[must_use]
    pub fn from_env() -> Self {
        let names = [SUPEROPS_TOKEN, NVD_API_KEY, CALLBACK_KEY, DECISION_KEY]
            .into_iter()
            .flat_map(|name| [name.to_owned(), file_variable(name)]);
        Self::of(names.filter_map(|name| env::var(&name).ok().map(|value| (name, value))))
    }

    /// Takes them from pairs, for tests and for programs that start others.
    #[must_use]
    pub fn of(variables: impl IntoIterator<Item = (String, String)>) -> Self {
        Self {
            variables: variables
                .into_iter()
                .map(|(name, value)| (name, value.into()))
                .collect(),
        }
    }

    /// Reads a secret that may be absent; an empty variable counts as absent.
    ///
    /// # Errors
    /// When both of its variables are set, or its file cannot be read or is empty.
    pub fn optional(&self, variable: &'static str) -> Result<Option<SecretString>, ConfigError> {
        let set = |name: &str| {
            self.variables
                .get(name)
                .filter(|value| !value.expose_secret().trim().is_empty())
        };
        let by = file_variable(variable);
        match (set(variable), set(&by)) {
            (None, None) => Ok(None),
            (Some(value), None) => Ok(Some(value.expose_secret().trim().into())),
            (Some(_), Some(_)) => Err(bad(
                by,
                "is set beside the variable without _FILE: keep one of the two",
            )),
            (None, Some(path)) => {
                let path = path.expose_secret();
                // Never the path: somebody may have put the secret itself there.
                let text = fs::read_to_string(path).map_err(|error| {
                    let why = match error.kind() {
                        ErrorKind::NotFound => "names a file that does not exist",
                        ErrorKind::PermissionDenied => "names a file that may not be read",
                        ErrorKind::InvalidData => "names a file that is not text",
                        _ => "names a file that cannot be read",
                    };
                    bad(by.clone(), why)
                })?;
                match text.trim() {
                    "" => Err(bad(by, "names an empty file")),
                    secret => Ok(Some(secret.into())),
                }
            }
        }
    }

    /// Reads a secret that has to be there.
    ///
    /// # Errors
    /// As [`Self::optional`], and when it is absent.
    pub fn required(
        &self,
        what: &'static str,
        variable: &'static str,
    ) -> Result<SecretString, ConfigError> {
        self.optional(variable)?
            .ok_or(ConfigError::MissingSecret { what, variable })
    }

    pub(super) fn optional_key(
        &self,
        variable: &'static str,
    ) -> Result<Option<SecretString>, ConfigError> {
        match self.optional(variable)? {
            Some(key) if key.expose_secret().len() < KEY_BYTES => Err(bad(
                variable.to_owned(),
                "is too short for a key: at least 32 characters, for example from `openssl rand -hex 32`",
            )),
            key => Ok(key),
        }
    }

    pub(super) fn required_key(
        &self,
        what: &'static str,
        variable: &'static str,
    ) -> Result<SecretString, ConfigError> {
        self.optional_key(variable)?
            .ok_or(ConfigError::MissingSecret { what, variable })
    }
}

fn file_variable(variable: &str) -> String {
    format!("{variable}_FILE")
}

fn bad(variable: String, why: &'static str) -> ConfigError {
    ConfigError::BadSecret { variable, why }
}

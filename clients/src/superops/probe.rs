//! One cheap question before work starts: does the token work, and is our script there?

use domain::{
    failure::{Classify, FailureKind},
    input::InvalidInput,
    script::SCRIPT_NAME,
};

use super::{SuperOps, SuperOpsError};

/// What the question showed, short of a refused token.
#[derive(Debug)]
pub enum Probe {
    /// The token works and the script fits.
    Ready,
    /// No script of our name was uploaded; no device can be patched.
    ScriptMissing {
        /// The name looked for.
        name: &'static str,
    },
    /// The script's variables are not the ones we pass; no device can be patched.
    ScriptDiffers(InvalidInput),
    /// It could not be asked now; activities wait for the end of an outage.
    Unreachable(SuperOpsError),
}

impl SuperOps {
    /// Asks for our script.
    ///
    /// # Errors
    /// When the token does not work: a person has to act.
    pub async fn probe(&self) -> Result<Probe, SuperOpsError> {
        match self.find_script(SCRIPT_NAME).await {
            Ok(script) => Ok(script
                .check_variables()
                .err()
                .map_or(Probe::Ready, Probe::ScriptDiffers)),
            Err(error) => match error.kind() {
                FailureKind::Unauthorized => Err(error),
                FailureKind::NotFound => Ok(Probe::ScriptMissing { name: SCRIPT_NAME }),
                _ => Ok(Probe::Unreachable(error)),
            },
        }
    }
}

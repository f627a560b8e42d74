//! How the AI of AutoOps thinks: evidence in, a question for the model out, its reply parsed and
//! checked. Pure; whoever asks the model lives elsewhere.
//!
//! Three rules hold for every agent:
//! 1. Only [`prompt::PromptText`] enters a prompt, so text of vendors and devices cannot speak.
//! 2. A reply is untrusted: it may only name evidence that exists, move figures within bounds, and
//!    explain in plain text.
//! 3. Without a model the rule-based answer stands, marked `degraded`.

pub mod cause;
pub mod check;
pub mod correlation;
mod labels;
pub mod likeness;
pub mod prioritisation;
pub mod prompt;
pub mod question;
pub mod risk;

//! Failures on demand, in front of every fake activity, and a log of all calls.

use std::sync::Arc;

use contracts::activities::superops::RunScriptInput;
use temporalio_common::error::ApplicationFailure;
use temporalio_sdk::{
    activities::ActivityError,
    interceptors::{ActivityInboundInterceptor, ExecuteActivityInput, ExecuteActivityOutput, Next},
};

use crate::world::Worlds;

/// How a call fails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lost {
    /// Before it did anything; Temporal tries again.
    Retryable,
    /// Before it did anything, for good, with this failure type.
    Refused(&'static str),
    /// Before it did anything, with this failure type, until a person has mended something.
    Unmended(&'static str),
    /// After it did its work: the answer is lost and Temporal tries again.
    Answer,
    /// It does nothing and says nothing, until it is called again or the deployment is over.
    Silent,
}

/// A failure on demand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Activity, such as `plans.seal`; `device/plans.seal` are calls of devices alone, and
    /// `superops.run_script/reboot` those in a mode.
    pub activity: &'static str,
    /// The calls that fail, from 1; every one when absent. [`Lost::Answer`] counts calls that succeeded: an
    /// answer that was not given cannot be lost.
    pub call: Option<u32>,
    /// How.
    pub how: Lost,
}

impl Fault {
    pub(crate) fn meets(&self, activity: &str, number: u32) -> bool {
        self.activity == activity && self.call.is_none_or(|call| call == number)
    }
}

/// Builds the failure of an activity.
#[must_use]
pub fn failure(type_name: &str, message: &str, retryable: bool) -> ActivityError {
    let cause = Box::<dyn std::error::Error + Send + Sync>::from(message.to_owned());
    ActivityError::Application(Box::new(
        ApplicationFailure::builder(cause)
            .type_name(type_name.to_owned())
            .non_retryable(!retryable)
            .build(),
    ))
}

/// Stands in front of every fake activity.
#[derive(Debug)]
pub(crate) struct Gate {
    worlds: Arc<Worlds>,
}

impl Gate {
    pub(crate) fn new(worlds: Arc<Worlds>) -> Self {
        Self { worlds }
    }
}

impl ActivityInboundInterceptor for Gate {
    fn execute_activity<'a>(
        &'a self,
        input: ExecuteActivityInput,
        next: Next<'a, ExecuteActivityInput, ExecuteActivityOutput<'a>>,
    ) -> ExecuteActivityOutput<'a> {
        let info = input.activity_info();
        let name = info.activity_type.clone();
        let names = names_of(&input);
        let workflow = info.workflow_id.clone().unwrap_or_default();
        Box::pin(async move {
            // A world that has gone: its test is over, and so is its workflow.
            let world = self.worlds.of_workflow(&workflow)?;
            let (fault, number) =
                world.change(|model| (model.note_call(&names), model.calls_of(&name)));
            world.until_open(&name).await;
            match fault {
                Some(Lost::Silent) => {
                    world.until_called_again(&name, number).await;
                    return Err(failure("harness.unavailable", "nobody waits for it", true));
                }
                Some(Lost::Retryable) => {
                    return Err(failure("harness.unavailable", "failed on demand", true));
                }
                Some(Lost::Refused(kind)) => {
                    return Err(failure(kind, "refused on demand", false));
                }
                Some(Lost::Unmended(kind)) => {
                    let words = "refused: the credentials have expired";
                    return Err(failure(kind, words, true));
                }
                Some(Lost::Answer) | None => {}
            }
            drop(world);
            let answer = next.run(input).await?;
            // Its test may be over meanwhile.
            let Ok(world) = self.worlds.of_workflow(&workflow) else {
                return Ok(answer);
            };
            if world.change(|model| model.note_answer(&names)) {
                // As its client says it, after which it is not simply tried again.
                let is_start = name == "superops.run_script";
                let kind = if is_start {
                    "superops.ambiguous"
                } else {
                    "harness.unavailable"
                };
                return Err(failure(kind, "the answer was lost", !is_start));
            }
            Ok(answer)
        })
    }
}

/// The names that a call goes by; see [`Fault::activity`].
fn names_of(input: &ExecuteActivityInput) -> Vec<String> {
    let info = input.activity_info();
    let name = &info.activity_type;
    let workflow = info.workflow_id.as_deref().unwrap_or_default();
    let mut names = vec![name.clone()];
    if workflow.starts_with("device-patch/") {
        names.push(format!("device/{name}"));
    }
    if let Some(script) = input.args_ref::<RunScriptInput>() {
        names.push(format!("{name}/{}", script.mode.as_str()));
    }
    names
}

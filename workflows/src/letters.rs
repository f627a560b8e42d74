//! A letter for a person when a workflow gives up: who has mended what it says may start it again.

use contracts::{activities::records::SaveLetter, failures, schedule::ScheduleKind};
use domain::{
    dead_letter::{DeadLetter, LetterKind, Rerun},
    ids::ClientId,
    ledger::PROVIDER,
};
use serde::Serialize;
use temporalio_common::error::OutgoingWorkflowError;
use temporalio_workflow::{WorkflowContext, WorkflowTermination};

use crate::{clock, options};

/// Leaves a letter when the workflow fails. What nobody can mend but who started it, its input, leaves
/// none.
pub(crate) async fn left<W: 'static>(
    ctx: &WorkflowContext<W>,
    client: Option<&ClientId>,
    kind: ScheduleKind,
    input: impl Serialize,
    ended: WorkflowTermination,
) -> WorkflowTermination {
    let WorkflowTermination::Failed(failure @ OutgoingWorkflowError::Application(_)) = &ended
    else {
        return ended;
    };
    if is_of_input(failure) {
        return ended;
    }
    // What is done for all clients is in the name of the provider, as in the ledger.
    let client = client.cloned().or_else(|| PROVIDER.parse().ok());
    let (Some(client), Ok(input)) = (client, serde_json::to_value(input)) else {
        return ended;
    };
    let letter = DeadLetter {
        again: Some(Rerun {
            workflow: kind.workflow_type().to_owned(),
            input,
        }),
        // Another run that fails leaves a letter of its own: this one may be settled by then.
        ..DeadLetter::new(
            LetterKind::WorkflowFailed,
            client,
            (ctx.workflow_id(), ctx.run_id()),
            &failure.to_string(),
            clock::now(ctx),
        )
    };
    // Who cannot be written to is told by the failure itself.
    let _ = ctx
        .execute_activity(SaveLetter, letter, options::last_letter())
        .await;
    ended
}

/// Returns true for a failure that nobody can mend but who gave the input.
pub(crate) fn is_of_input(failure: &OutgoingWorkflowError) -> bool {
    matches!(failure, OutgoingWorkflowError::Application(failure)
        if failure.type_name() == Some(failures::INVALID_INPUT))
}

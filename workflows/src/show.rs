//! What people see of a workflow while it runs.

use contracts::search;
use temporalio_workflow::WorkflowContext;

/// Shows its stage in lists, and details in the Web UI.
pub(crate) fn show<W>(ctx: &WorkflowContext<W>, stage: &str, details: String) {
    ctx.upsert_search_attributes(vec![search::STAGE.value_set(stage.to_owned())]);
    ctx.set_current_details(details);
}

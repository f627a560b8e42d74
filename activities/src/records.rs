//! What is written down: audit, states, results.

use std::sync::Arc;

use clients::store::{DeviceRow, Store};
use contracts::activities::records::{Audited, SaveDeviceInput, SaveStatusInput};
use domain::{audit::AuditRecord, dead_letter::DeadLetter, deployment::Stage};
use jiff::{SignedDuration, Timestamp};
use temporalio_sdk::activities::{ActivityContext, ActivityError, activities};

use crate::{Clock, Deps, failure::Outcome};

/// How long a finished deployment stays in lists.
const KEEP_FINISHED: SignedDuration = SignedDuration::from_hours(90 * 24);

/// Records.
#[derive(Debug)]
pub struct RecordActivities {
    store: Store,
    clock: Arc<dyn Clock>,
}

impl RecordActivities {
    pub(crate) fn new(deps: &Deps) -> Self {
        Self {
            store: deps.store.clone(),
            clock: Arc::clone(&deps.clock),
        }
    }
}

#[activities]
impl RecordActivities {
    /// Appends to the audit trail; a repeat with the same key finds its own entry.
    #[activity(definition = contracts::activities::records::AppendAudit)]
    pub async fn append_audit(
        self: Arc<Self>,
        _ctx: ActivityContext,
        input: AuditRecord,
    ) -> Result<Audited, ActivityError> {
        Ok(self.append(input).await?)
    }

    /// Writes where a deployment stands, for lists.
    #[activity(definition = contracts::activities::records::SaveStatus)]
    pub async fn save_status(
        self: Arc<Self>,
        _ctx: ActivityContext,
        input: SaveStatusInput,
    ) -> Result<(), ActivityError> {
        Ok(self.status(input).await?)
    }

    /// Writes how a device ended.
    #[activity(definition = contracts::activities::records::SaveDevice)]
    pub async fn save_device(
        self: Arc<Self>,
        _ctx: ActivityContext,
        input: SaveDeviceInput,
    ) -> Result<(), ActivityError> {
        Ok(self.device(input).await?)
    }

    /// Keeps a dead letter; a repeat finds its own.
    #[activity(definition = contracts::activities::records::SaveLetter)]
    pub async fn save_letter(
        self: Arc<Self>,
        _ctx: ActivityContext,
        letter: DeadLetter,
    ) -> Result<(), ActivityError> {
        Ok(self.letter(letter).await?)
    }
}

impl RecordActivities {
    async fn append(&self, record: AuditRecord) -> Outcome<Audited> {
        let entry = self.store.actions.append_audit(record).await?;
        Ok(Audited {
            sequence: entry.sequence,
            hash: entry.hash,
        })
    }

    async fn status(&self, input: SaveStatusInput) -> Outcome<()> {
        let status = input.status;
        let is_over = status.stage == Stage::Done;
        let expires_at = is_over.then(|| {
            status
                .updated_at
                .saturating_add(KEEP_FINISHED)
                .unwrap_or(Timestamp::MAX)
        });
        let executions = &self.store.executions;
        Ok(executions.put_status(status, expires_at).await?)
    }

    async fn letter(&self, letter: DeadLetter) -> Outcome<()> {
        Ok(self.store.executions.put_dead_letter(letter).await?)
    }

    async fn device(&self, input: SaveDeviceInput) -> Outcome<()> {
        let at = self.clock.now();
        let executions = &self.store.executions;
        // The row is taken for the end of the run, so the letter has to be there before it.
        if let Some(letter) = input.dead_letter(at) {
            executions.put_dead_letter(letter).await?;
        }
        Ok(executions.put_device_row(row_of(input, at)).await?)
    }
}

/// The row of a device that has ended.
pub(crate) fn row_of(input: SaveDeviceInput, at: Timestamp) -> DeviceRow {
    DeviceRow {
        plan: input.plan,
        ring: input.ring,
        attempt: input.attempt,
        result: input.result,
        at,
    }
}

#[cfg(test)]
mod tests;

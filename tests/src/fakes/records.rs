//! What is written down: the audit trail and dead letters in a real store, the rest in the model.

use std::sync::Arc;

use contracts::activities::{
    alerts::ExpectInput,
    records::{Audited, SaveDeviceInput, SaveStatusInput},
    windows::{NextOpeningInput, NextOpeningResult, OpeningTimes},
};
use domain::{audit::AuditRecord, dead_letter::DeadLetter, windows};
use jiff::{SignedDuration, Timestamp};
use temporalio_sdk::activities::{ActivityContext, ActivityError, activities};

use super::invalid;
use crate::{
    faults::failure,
    model::Row,
    world::{World, Worlds},
};

/// Records and windows.
#[derive(Debug)]
pub struct FakeRecords(Arc<Worlds>);

impl FakeRecords {
    pub(crate) fn new(worlds: Arc<Worlds>) -> Self {
        Self(worlds)
    }
}

#[activities]
impl FakeRecords {
    /// Appends to the audit trail of the world's store.
    #[activity(definition = contracts::activities::records::AppendAudit)]
    pub async fn append_audit(
        self: Arc<Self>,
        ctx: ActivityContext,
        input: AuditRecord,
    ) -> Result<Audited, ActivityError> {
        let world = self.0.of(&ctx)?;
        let appended = world.store().actions.append_audit(input).await;
        let entry = appended.map_err(|e| failure("store.unavailable", &e.to_string(), true))?;
        Ok(Audited {
            sequence: entry.sequence,
            hash: entry.hash,
        })
    }

    /// Keeps the newest status.
    #[activity(definition = contracts::activities::records::SaveStatus)]
    pub async fn save_status(
        self: Arc<Self>,
        ctx: ActivityContext,
        input: SaveStatusInput,
    ) -> Result<(), ActivityError> {
        let world = self.0.of(&ctx)?;
        let executions = world.ledger().executions;
        let put = executions.put_status(input.status.clone(), None).await;
        put.map_err(|e| failure("store.unavailable", &e.to_string(), true))?;
        world.change(|m| m.status = Some(input.status));
        Ok(())
    }

    /// Keeps what a wave announced.
    #[activity(definition = contracts::activities::alerts::Expect)]
    pub async fn expect(
        self: Arc<Self>,
        ctx: ActivityContext,
        input: ExpectInput,
    ) -> Result<(), ActivityError> {
        let world = self.0.of(&ctx)?;
        world.change(|m| m.announced.push(input.expectation));
        Ok(())
    }

    /// Keeps how a device ended.
    #[activity(definition = contracts::activities::records::SaveDevice)]
    pub async fn save_device(
        self: Arc<Self>,
        ctx: ActivityContext,
        input: SaveDeviceInput,
    ) -> Result<(), ActivityError> {
        let world = self.0.of(&ctx)?;
        if let Some(letter) = input.dead_letter(Timestamp::now()) {
            keep(&world, letter).await?;
        }
        world.change(|m| {
            let row = Row {
                ring: input.ring,
                attempt: input.attempt,
                result: input.result,
            };
            m.rows.insert(row.result.device.clone(), row);
        });
        Ok(())
    }

    /// Keeps a dead letter in the world's store.
    #[activity(definition = contracts::activities::records::SaveLetter)]
    pub async fn save_letter(
        self: Arc<Self>,
        ctx: ActivityContext,
        letter: DeadLetter,
    ) -> Result<(), ActivityError> {
        let world = self.0.of(&ctx)?;
        keep(&world, letter).await
    }

    /// Computes the window by the real rules, unless the test has an opening of its own.
    #[activity(definition = contracts::activities::windows::NextOpening)]
    pub async fn next_opening(
        self: Arc<Self>,
        ctx: ActivityContext,
        input: NextOpeningInput,
    ) -> Result<NextOpeningResult, ActivityError> {
        let world = self.0.of(&ctx)?;
        let given = world.change(|m| Some((m.openings.pop_front()?, m.opening_lasts)));
        if let Some((given, lasts)) = given {
            let span = |time| SignedDuration::try_from(time).unwrap_or_default();
            let opens_at = input.from + span(given.0);
            let opening = OpeningTimes {
                opens_at,
                closes_at: lasts.map(|time| opens_at + span(time)),
            };
            return Ok(NextOpeningResult {
                opening: Some(opening),
            });
        }
        let zone = windows::zone_for(input.time_zone.as_deref(), None, None);
        let found = windows::next_opening(&input.windows, &input.blackouts, zone, input.from);
        let opening = found.map_err(|e| invalid(&e))?.map(|o| OpeningTimes {
            opens_at: o.opens_at,
            closes_at: o.closes_at,
        });
        Ok(NextOpeningResult { opening })
    }
}

/// Puts a dead letter into the world's store.
async fn keep(world: &World, letter: DeadLetter) -> Result<(), ActivityError> {
    let kept = world.store().executions.put_dead_letter(letter).await;
    kept.map_err(|e| failure("store.unavailable", &e.to_string(), true))
}

//! Fake activities: every declared one, on the queue where the real worker has it. They work on the
//! model of the test that the calling workflow belongs to.

#![expect(
    missing_debug_implementations,
    reason = "the macro makes the marker types"
)]

pub mod alerts;
pub mod campaign;
pub mod incidents;
pub mod intel;
pub mod inventory;
pub mod ledger;
pub mod people;
mod planning;
pub mod plans;
pub mod records;
pub mod reports;
pub mod risk;
pub mod seal;
pub mod superops;

use std::sync::Arc;

use contracts::{failures, queues};
use domain::input::InvalidInput;
use temporalio_sdk::{WorkerOptions, activities::ActivityError};

use crate::{faults::failure, world::Worlds};

/// Registers the fakes that belong to a queue.
pub(crate) fn register(options: &mut WorkerOptions, queue: &str, worlds: &Arc<Worlds>) {
    let worlds = || Arc::clone(worlds);
    match queue {
        queues::MAIN => {
            options
                .register_activities(alerts::FakeAlerts::new(worlds()))
                .register_activities(plans::FakePlans::new(worlds()))
                .register_activities(people::FakePeople::new(worlds()))
                .register_activities(inventory::FakeSnapshot::new(worlds()))
                .register_activities(ledger::FakeLedger::new(worlds()))
                .register_activities(records::FakeRecords::new(worlds()))
                .register_activities(risk::FakeRisk::new(worlds()))
                .register_activities(seal::FakeSeals::new(worlds()))
                .register_activities(incidents::FakeIncidents::new(worlds()))
                .register_activities(intel::FakeIntel::new(worlds()))
                .register_activities(campaign::FakeCampaign::new(worlds()))
                .register_activities(reports::FakeReports::new(worlds()));
        }
        queues::SUPEROPS => {
            options
                .register_activities(superops::FakeSuperOps::new(worlds()))
                .register_activities(alerts::FakeAlertList::new(worlds()))
                .register_activities(incidents::FakeLooks::new(worlds()));
        }
        queues::INVENTORY => {
            options
                .register_activities(inventory::FakeSync::new(worlds()))
                .register_activities(campaign::FakePatchLists::new(worlds()));
        }
        queues::NVD => {
            options
                .register_activities(risk::FakeNvd::new(worlds()))
                .register_activities(intel::FakeIntelNvd::new(worlds()));
        }
        _ => {}
    }
}

fn invalid(found: &InvalidInput) -> ActivityError {
    failure(failures::INVALID_INPUT, &found.to_string(), false)
}

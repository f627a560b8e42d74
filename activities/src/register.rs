//! Which activity runs on which task queue. Worker and tests register by this one function.

use std::sync::Arc;

use contracts::queues;
use temporalio_sdk::WorkerOptions;

use crate::{
    Deps,
    alerts::{AlertActivities, AlertReadActivities},
    approvals::ApprovalActivities,
    campaign::{CampaignActivities, PatchListActivities},
    guardrails::Guardrails,
    incidents::{IncidentActivities, IncidentLookActivities},
    intel::{IntelActivities, IntelNvdActivities},
    inventory::{InventoryActivities, InventorySyncActivities},
    ledger::LedgerActivities,
    model::ModelActivities,
    notify::NotifyActivities,
    nvd::NvdActivities,
    plans::PlanActivities,
    policy::PolicyActivities,
    prioritisation::PrioritisationActivities,
    records::RecordActivities,
    reports::ReportActivities,
    risk::RiskActivities,
    seal::SealActivities,
    superops::SuperOpsActivities,
    windows::WindowActivities,
};

/// Every task queue that has activities.
pub const QUEUES: [&str; 4] = [
    queues::MAIN,
    queues::SUPEROPS,
    queues::INVENTORY,
    queues::NVD,
];

/// Registers the activities that belong to a task queue: those of a rate-limited system on the
/// system's own queue, all others on [`queues::MAIN`]. `queue` is the name in `contracts::queues`,
/// whatever the options call theirs: tests run every queue under a name of their own.
pub fn register(options: &mut WorkerOptions, queue: &str, deps: &Deps) {
    match queue {
        queues::MAIN => {
            let guardrails = Guardrails::new(deps.store.clone(), Arc::clone(&deps.clock));
            options
                .register_activities(AlertActivities::new(deps))
                .register_activities(ApprovalActivities::new(deps, guardrails.clone()))
                .register_activities(CampaignActivities::new(deps))
                .register_activities(IncidentActivities::new(deps))
                .register_activities(IntelActivities::new(deps))
                .register_activities(InventoryActivities::new(deps))
                .register_activities(LedgerActivities::new(deps))
                .register_activities(ModelActivities::new(deps))
                .register_activities(NotifyActivities::new(deps))
                .register_activities(PlanActivities::new(deps, guardrails.clone()))
                .register_activities(PolicyActivities::new(deps, guardrails))
                .register_activities(PrioritisationActivities::new(deps))
                .register_activities(RecordActivities::new(deps))
                .register_activities(ReportActivities::new(deps))
                .register_activities(RiskActivities::new(deps))
                .register_activities(SealActivities::new(deps))
                .register_activities(WindowActivities::new(deps));
        }
        queues::SUPEROPS => {
            options
                .register_activities(SuperOpsActivities::new(deps))
                .register_activities(AlertReadActivities::new(deps))
                .register_activities(IncidentLookActivities::new(deps));
        }
        queues::INVENTORY => {
            options
                .register_activities(InventorySyncActivities::new(deps))
                .register_activities(PatchListActivities::new(deps));
        }
        queues::NVD => {
            options
                .register_activities(NvdActivities::new(deps))
                .register_activities(IntelNvdActivities::new(deps));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::World;

    #[tokio::test]
    async fn every_declared_activity_is_registered_on_one_queue() {
        let world = World::new().await;
        let mut found = Vec::new();
        for queue in QUEUES {
            let mut options = WorkerOptions::new(queue).build();
            register(&mut options, queue, &world.deps);
            // The names are in the debug output only.
            let shown = format!("{:?}", options.activities());
            found.extend(
                shown
                    .split('"')
                    .filter(|word| word.contains('.'))
                    .map(str::to_owned),
            );
        }
        found.sort_unstable();
        let mut declared: Vec<_> = contracts::activities::all().map(str::to_owned).collect();
        declared.sort_unstable();
        assert_eq!(found, declared);
    }
}

//! Declarations of the activities: names, inputs and results, apart from their code, so that
//! workflows are compiled without any client and the compiler checks both sides.

#![expect(
    missing_debug_implementations,
    reason = "the macro makes the marker types"
)]

pub mod alerts;
pub mod approvals;
pub mod campaign;
pub mod incidents;
pub mod intel;
pub mod inventory;
pub mod ledger;
pub mod notify;
pub mod plans;
pub mod policy;
pub mod records;
pub mod risk;
pub mod seal;
pub mod superops;
pub mod vulnerabilities;
pub mod windows;

/// Activities of patch deployments and device runs, by name.
pub const PATCHING: [&str; 32] = [
    "approvals.authorize",
    "inventory.sync_client",
    "inventory.sync_sites_page",
    "inventory.sync_devices_page",
    "inventory.get_device",
    "inventory.acquire_lease",
    "inventory.release_lease",
    "ledger.count",
    "notify.send",
    "plans.check",
    "plans.resolve",
    "plans.seal",
    "plans.load_page",
    "plans.next_stragglers",
    "plans.give_up_stragglers",
    "plans.list_installed",
    "plans.check_children",
    "plans.difference",
    "policy.evaluate",
    "store.append_audit",
    "store.save_status",
    "store.save_device",
    "store.save_letter",
    "risk.assess",
    "bedrock.refine_risk",
    "superops.list_patches",
    "superops.run_script",
    "superops.find_run",
    "superops.critical_alerts",
    "alerts.expect",
    "nvd.lookup_cve",
    "windows.next_opening",
];

/// The activity of seals, by name.
pub const SEALING: &str = "audit.seal";

/// The activity that writes reports of campaigns, by name.
pub const REPORTING: &str = "campaign.report";

/// Activities of reports of campaigns, by name.
pub const REPORTS: [&str; 2] = ["campaign.find_newest", REPORTING];

/// Activities of the reading of sources, by name.
pub const READING: [&str; 7] = [
    "intel.read_kev",
    "intel.list_releases",
    "intel.read_release",
    "intel.read_nvd_page",
    "intel.next_due",
    "intel.read_record",
    "intel.read_predictions",
];

/// Activities of campaigns, by name.
pub const CAMPAIGNS: [&str; 7] = [
    "campaign.next_lists",
    "inventory.read_patch_list",
    "inventory.read_software_list",
    "campaign.draft",
    "campaign.prioritise",
    "campaign.next_plan",
    "campaign.note_plan",
];

/// Activities of alerts and incidents, by name.
pub const ALERTING: [&str; 17] = [
    "alerts.begin_poll",
    "superops.read_alerts",
    "alerts.miss",
    "alerts.end_poll",
    "alerts.end_unheard",
    "alerts.busy_clients",
    "alerts.triage",
    "incidents.deliver",
    "incidents.load",
    "incidents.close",
    "incidents.explain",
    "incidents.read_metrics",
    "incidents.narrate",
    "incidents.advise",
    "incidents.remember",
    "superops.read_figures",
    "superops.read_script_runs",
];

/// Lists the name of every declared activity; tests hold tables of faults and registrations against
/// it.
pub fn all() -> impl Iterator<Item = &'static str> {
    PATCHING
        .into_iter()
        .chain([SEALING])
        .chain(READING)
        .chain(CAMPAIGNS)
        .chain(REPORTS)
        .chain(ALERTING)
}

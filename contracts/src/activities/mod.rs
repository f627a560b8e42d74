//! Declarations of the activities: names, inputs and results, apart from their code, so that
//! workflows are compiled without any client and the compiler checks both sides.

#![expect(
    missing_debug_implementations,
    reason = "the macro makes the marker types"
)]

pub mod approvals;
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

/// Number of [`PATCHING`].
const PATCHING_COUNT: usize = 30;

/// Activities of patch deployments and device runs, by name.
pub const PATCHING: [&str; PATCHING_COUNT] = [
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
    "risk.assess",
    "bedrock.refine_risk",
    "superops.list_patches",
    "superops.run_script",
    "superops.find_run",
    "superops.critical_alerts",
    "nvd.lookup_cve",
    "windows.next_opening",
];

/// The activity of seals, by name.
pub const SEALING: &str = "audit.seal";

/// Name of every declared activity; tests hold tables of faults and registrations against it.
pub const ALL: [&str; PATCHING_COUNT + 1] = {
    let mut all = [SEALING; PATCHING_COUNT + 1];
    let mut next = 0;
    while next < PATCHING_COUNT {
        all[next] = PATCHING[next];
        next += 1;
    }
    all
};

//! How each activity fails, and what is seen of it.

use std::fmt;

use domain::outcome::{DeploymentOutcome as E, DeviceOutcome as D};

/// A story that needs the activity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    /// One device, a CVE, an approval, a restart.
    Plain,
    /// The plan that is approved first is one that was never asked about.
    WrongPlan,
    /// A device is offline and comes back after its ring.
    ComesBack,
    /// A device never comes back.
    StaysAway,
    /// The second device fails, and the first is rolled back with it.
    Undone,
    /// The device waits longer than its silence is borne.
    Silent,
    /// The answer to the first start of the script is lost, and it did not start.
    NotStarted,
    /// People cannot be told anything.
    Untold,
}

/// How a deployment ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ends {
    /// With an outcome, and its first device with one.
    With(E, Option<D>),
    /// Refused, before any device was touched.
    Refused,
}

impl fmt::Display for Ends {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused => f.write_str("refused; no device touched"),
            Self::With(outcome, None) => write!(f, "{}; no device touched", outcome.as_str()),
            Self::With(outcome, Some(device)) => {
                write!(f, "{}; device {}", outcome.as_str(), device.as_str())
            }
        }
    }
}

pub(super) const AS_EVER: Ends = Ends::With(E::Verified, Some(D::Verified));
/// Devices at work end in peace; a person takes over.
const BROKEN: Ends = Ends::With(E::Incomplete, Some(D::Verified));
const NEEDS_HUMAN: Ends = Ends::With(E::Incomplete, Some(D::NeedsHuman));

pub(super) struct Row {
    pub(super) activity: &'static str,
    pub(super) told: Told,
    /// The end when it is refused for good, at each of its calls.
    pub(super) refused: Ends,
    /// What people see of that.
    pub(super) seen: &'static str,
}

const fn row(activity: &'static str, told: Told, refused: Ends, seen: &'static str) -> Row {
    Row {
        activity,
        told,
        refused,
        seen,
    }
}

/// Calls of devices alone, of activities whose first call is the deployment's; and each mode of the device
/// script that may be refused by itself.
pub(super) const OF_DEVICES: [Row; 7] = {
    use Told::{Plain, Undone};
    [
        row(
            "device/policy.evaluate",
            Plain,
            NEEDS_HUMAN,
            "guardrails could not be asked",
        ),
        row(
            "device/store.append_audit",
            Plain,
            AS_EVER,
            "audit entries that are missing",
        ),
        row(
            "device/superops.list_patches",
            Plain,
            NEEDS_HUMAN,
            "the patch list could not be read",
        ),
        row(
            "superops.run_script/install",
            Plain,
            NEEDS_HUMAN,
            "not started",
        ),
        row(
            "superops.run_script/reboot",
            Plain,
            NEEDS_HUMAN,
            "the restart could not be started",
        ),
        row(
            "superops.run_script/verify",
            Plain,
            AS_EVER,
            "a scan after the installation says installed",
        ),
        row(
            "superops.run_script/uninstall",
            Undone,
            NEEDS_HUMAN,
            "the removal could not be started",
        ),
    ]
};

/// In the order of `contracts::activities::PATCHING`; the one of seals is in `sealing`.
pub(super) const TABLE: [Row; 32] = {
    use Told::{ComesBack, NotStarted, Plain, Silent, StaysAway, Undone, Untold, WrongPlan};
    [
        row(
            "approvals.authorize",
            Plain,
            Ends::With(E::TimedOut, None),
            "nobody answered before the deadline",
        ),
        row(
            "inventory.sync_client",
            Plain,
            Ends::Refused,
            "refused on demand",
        ),
        row(
            "inventory.sync_sites_page",
            Plain,
            Ends::Refused,
            "refused on demand",
        ),
        row(
            "inventory.sync_devices_page",
            Plain,
            Ends::Refused,
            "refused on demand",
        ),
        row(
            "inventory.get_device",
            Plain,
            NEEDS_HUMAN,
            "the inventory could not be read",
        ),
        row(
            "inventory.acquire_lease",
            Plain,
            NEEDS_HUMAN,
            "the lease could not be taken",
        ),
        row(
            "inventory.release_lease",
            Plain,
            AS_EVER,
            "the lease ends by itself",
        ),
        row("ledger.count", Plain, AS_EVER, "not counted in the ledger"),
        row("notify.send", Plain, AS_EVER, "people were not told"),
        row("plans.check", Plain, Ends::Refused, "refused on demand"),
        row("plans.resolve", Plain, Ends::Refused, "refused on demand"),
        row("plans.seal", Plain, Ends::Refused, "refused on demand"),
        row("plans.load_page", Plain, Ends::Refused, "refused on demand"),
        row(
            "plans.next_stragglers",
            ComesBack,
            BROKEN,
            "it could not go on",
        ),
        row(
            "plans.give_up_stragglers",
            StaysAway,
            BROKEN,
            "it could not go on",
        ),
        row("plans.list_installed", Undone, BROKEN, "it could not go on"),
        row(
            "plans.check_children",
            Silent,
            Ends::With(E::Incomplete, Some(D::Aborted)),
            "it could not go on",
        ),
        row(
            "plans.difference",
            WrongPlan,
            AS_EVER,
            "plans could not be compared",
        ),
        row("policy.evaluate", Plain, Ends::Refused, "refused on demand"),
        row(
            "store.append_audit",
            Plain,
            AS_EVER,
            "audit entries that are missing",
        ),
        row(
            "store.save_status",
            Plain,
            AS_EVER,
            "lists show an old state",
        ),
        row("store.save_device", Plain, AS_EVER, "result verified of 81"),
        row(
            "store.save_letter",
            Untold,
            AS_EVER,
            "dead letter notice_undelivered",
        ),
        row("risk.assess", Plain, Ends::Refused, "refused on demand"),
        row(
            "bedrock.refine_risk",
            Plain,
            AS_EVER,
            "the risk is marked degraded",
        ),
        row(
            "superops.list_patches",
            Plain,
            Ends::Refused,
            "refused on demand",
        ),
        row("superops.run_script", Plain, NEEDS_HUMAN, "not started"),
        row(
            "superops.find_run",
            NotStarted,
            NEEDS_HUMAN,
            "the script run could not be read back",
        ),
        row(
            "superops.critical_alerts",
            Plain,
            NEEDS_HUMAN,
            "alerts could not be read",
        ),
        row(
            "alerts.expect",
            Plain,
            AS_EVER,
            "alerts of the wave are news",
        ),
        row("nvd.lookup_cve", Plain, AS_EVER, "confidence 850 of 1000"),
        row(
            "windows.next_opening",
            Plain,
            NEEDS_HUMAN,
            "the window could not be computed",
        ),
    ]
};

impl Row {
    /// The activity without the device or the mode.
    pub(super) fn own_activity(&self) -> &'static str {
        let name = self.activity.trim_start_matches("device/");
        name.split_once('/').map_or(name, |(name, _)| name)
    }

    /// As people read it.
    pub(super) fn title(&self) -> String {
        let name = self.own_activity();
        if self.activity.starts_with("device/") {
            return format!("`{name}` of a device");
        }
        match self.activity.split_once('/') {
            Some((_, mode)) => format!("`{name}` to {mode}"),
            None => format!("`{name}`"),
        }
    }
}

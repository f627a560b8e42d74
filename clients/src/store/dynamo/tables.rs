//! Which record is in which table.

use crate::store::{StoreError, StoreResult};

/// Partitions of places begin with this and go on with the name of their list.
pub(super) const LIST: &str = "list/";
/// Partitions of what did not fit into an item begin with this.
pub(super) const PART: &str = "part/";

/// A table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// Versions of policy sets.
    Policies,
    /// The audit trail.
    Actions,
    /// Plans, deployments, device rows, dead letters.
    Executions,
    /// Alerts and incidents.
    Incidents,
    /// Facts about vulnerabilities.
    Intel,
    /// Devices and leases.
    Inventory,
    /// People.
    Identities,
    /// Counters, buckets, flags, claims.
    Counters,
    /// Changes for live views.
    Outbox,
}

impl Table {
    /// Every table.
    pub const ALL: [Self; 9] = [
        Self::Policies,
        Self::Actions,
        Self::Executions,
        Self::Incidents,
        Self::Intel,
        Self::Inventory,
        Self::Identities,
        Self::Counters,
        Self::Outbox,
    ];

    /// Returns its name without the prefix.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Policies => "Policies",
            Self::Actions => "Actions",
            Self::Executions => "Executions",
            Self::Incidents => "Incidents",
            Self::Intel => "Intel",
            Self::Inventory => "Inventory",
            Self::Identities => "Identities",
            Self::Counters => "Counters",
            Self::Outbox => "Outbox",
        }
    }

    /// Says where a partition is.
    pub(super) fn of(pk: &str) -> StoreResult<Self> {
        let name = pk
            .strip_prefix(LIST)
            .or_else(|| pk.strip_prefix(PART))
            .unwrap_or(pk);
        Ok(match name.split('/').next().unwrap_or_default() {
            "policy" => Self::Policies,
            "audit" | "audit-chains" | "audit-days" => Self::Actions,
            "plan" | "status" | "kb" | "results" | "dead-letters" | "letters" | "campaign"
            | "campaigns" => Self::Executions,
            "alert" | "alerts" | "active" | "active-of" | "heard" | "news" | "orders"
            | "waiting-orders" | "triage" | "busy-clients" | "incident" | "incidents"
            | "open-incidents" | "undelivered" | "incident-alerts" | "alert-rules" | "topology"
            | "expected" => Self::Incidents,
            "cve" | "update" | "reader" | "followed" | "application" | "applications" => {
                Self::Intel
            }
            "client" | "device" | "devices" => Self::Inventory,
            "people" | "people-of" => Self::Identities,
            "counter" | "bucket" | "flag" | "claim" => Self::Counters,
            "changes" => Self::Outbox,
            _ => {
                return Err(StoreError::Invalid {
                    what: format!("no table has records of `{pk}`"),
                });
            }
        })
    }
}

//! People, what they may do and for whom.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::ids::{ClientId, PersonId};

/// What a person is trusted with; a higher role includes the lower ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// May look.
    Viewer,
    /// May start, pause and halt deployments.
    Technician,
    /// May approve.
    Approver,
    /// May approve what needs a lead, resume after a halt, do without evidence, change policy.
    Lead,
}

impl Role {
    /// Returns the word used in files and tables.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Technician => "technician",
            Self::Approver => "approver",
            Self::Lead => "lead",
        }
    }
}

/// A person of the provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Person {
    /// The name used in decisions.
    pub id: PersonId,
    /// Display name.
    #[serde(default)]
    pub name: String,
    /// What the person is trusted with.
    pub role: Role,
    /// Clients the person works for; empty means all.
    #[serde(default)]
    pub clients: BTreeSet<ClientId>,
}

impl Person {
    /// Returns true when the person works for this client.
    #[must_use]
    pub fn works_for(&self, client: &ClientId) -> bool {
        self.clients.is_empty() || self.clients.contains(client)
    }
}

/// What somebody asks to do to a deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ControlAction {
    /// Approve or reject.
    Decide,
    /// Stop starting new devices.
    Pause,
    /// Go on after a pause or halt.
    Resume,
    /// Stop at once because something is wrong.
    Halt,
    /// End the deployment.
    Abort,
    /// Change the plan.
    Amend,
    /// Give approvers more time.
    Extend,
    /// Try again what a dead letter is about.
    Retry,
    /// Drop a dead letter.
    Drop,
    /// Let devices be patched without the evidence that should be taken first.
    WaiveEvidence,
    /// Merge, split or close incidents.
    ArrangeIncidents,
    /// Say which alerts are kept back, and who depends on whom.
    SetAlertRules,
}

impl ControlAction {
    /// Returns the word used in the audit trail.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Decide => "decide",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Halt => "halt",
            Self::Abort => "abort",
            Self::Amend => "amend",
            Self::Extend => "extend",
            Self::Retry => "retry",
            Self::Drop => "drop",
            Self::WaiveEvidence => "waive_evidence",
            Self::ArrangeIncidents => "arrange_incidents",
            Self::SetAlertRules => "set_alert_rules",
        }
    }
}

/// How sure we are who spoke.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Identity {
    /// A name in a signal sent by hand: anyone with access to Temporal can write it.
    Claimed,
    /// Signed by the API, which knows who is logged in.
    Proven,
}

/// What the Identities store and policy say about a person and an action.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Authority {
    /// May do it.
    Allowed {
        /// Role of the person.
        role: Role,
        /// How sure we are who spoke.
        identity: Identity,
    },
    /// May not.
    Denied {
        /// Why, to be shown to the person and kept in the audit trail.
        reason: String,
        /// How sure we are who spoke.
        identity: Identity,
    },
}

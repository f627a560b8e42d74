//! Approvals: one request at a time, decided by people, by the rules of docs/approvals.md.
//!
//! Pure state: the workflow feeds decisions in the order of their arrival, together with what an
//! activity looked up about the person, and asks what came of it.

mod book;
mod deciding;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use self::book::{ApprovalBook, MAX_ANSWERS, MAX_EARLY, Next};
use crate::{
    guardrail::OnTimeout,
    ids::{PersonId, RequestId},
    people::{Identity, Role},
};

/// An approval request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// `{plan}/{ordinal}`.
    pub id: RequestId,
    /// Hash of the exact plan that is signed.
    pub plan_hash: String,
    /// Version of the policy set that asked for it.
    pub policy_version: String,
    /// Least role that may decide.
    pub role: Role,
    /// How many different people have to approve.
    pub quorum: u32,
    /// When it was opened.
    pub opened_at: Timestamp,
    /// When silence becomes an answer.
    pub deadline: Timestamp,
    /// When which role is asked as well.
    pub escalation: Option<(Timestamp, Role)>,
    /// Set once the next role was asked.
    #[serde(default)]
    pub escalated: bool,
    /// Who asked for the plan.
    pub requester: Option<PersonId>,
    /// The requester may not approve.
    pub four_eyes: bool,
    /// What silence means.
    pub on_timeout: OnTimeout,
}

/// Yes or no.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Choice {
    /// Go.
    Approve,
    /// Do not.
    Reject,
}

/// A decision as it arrived.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// Names this decision, so that a second delivery has no second effect.
    pub id: String,
    /// Yes or no.
    pub choice: Choice,
    /// Who says so.
    pub by: PersonId,
    /// The request meant; a decision by hand means the one that was open when it arrived.
    pub request: Option<RequestId>,
    /// The plan meant.
    pub plan_hash: Option<String>,
    /// Why.
    pub reason: Option<String>,
    /// Signature of the API over the decision, if it came through the API.
    #[serde(default)]
    pub proof: Option<String>,
    /// When it arrived.
    pub received_at: Timestamp,
}

/// What came of a decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Answer {
    /// It counts.
    Counted {
        /// Approvals so far.
        approvals: u32,
        /// Approvals needed.
        quorum: u32,
    },
    /// The same person had already said the same.
    Duplicate,
    /// Kept until a request with its plan hash opens.
    Kept,
    /// No request is open and the decision names no plan.
    NothingOpen,
    /// It came after the deadline; ask again with the same hash.
    Late {
        /// When the request ended.
        deadline: Timestamp,
    },
    /// The plan has changed since.
    WrongHash {
        /// Hash of the plan that is asked about now.
        current: String,
        /// What differs, in words.
        difference: Vec<String>,
    },
    /// The person may not decide this.
    NotAllowed {
        /// Why.
        reason: String,
    },
    /// Somebody was faster.
    AlreadyDecided {
        /// Who decided.
        by: Vec<PersonId>,
        /// What was decided.
        choice: Choice,
    },
}

/// A vote that counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vote {
    /// Yes or no.
    pub choice: Choice,
    /// Why.
    pub reason: Option<String>,
    /// How sure we are who spoke.
    pub identity: Identity,
    /// When it arrived.
    pub at: Timestamp,
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// Enough people approved.
    Approved,
    /// Somebody who may said no.
    Rejected,
    /// Nobody answered; counts as no.
    TimedOut,
    /// Nobody answered; it is asked again at the next window.
    Held,
    /// The plan changed while it was open.
    Superseded,
    /// The deployment ended while it was open.
    Cancelled,
}

/// The end of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// How.
    pub how: How,
    /// Who made it so; empty when it was the clock.
    pub by: Vec<PersonId>,
    /// When.
    pub at: Timestamp,
}

/// What has to happen before a decision can be answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Check {
    /// The answer is known.
    Answered(Answer),
    /// Ask who the person is and what they may do, then [`ApprovalBook::count`].
    NeedsAuthority,
    /// Ask for the difference between the plan meant and the current one, then answer `WrongHash`.
    NeedsDifference {
        /// Hash of the plan meant.
        meant: String,
        /// Hash of the plan that is asked about now.
        current: String,
    },
}

#[cfg(test)]
mod interleaving;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod reference;
#[cfg(test)]
mod steps;
#[cfg(test)]
mod tests;

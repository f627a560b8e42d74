//! The book of one workflow: its newest request, the votes on it, what was answered.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Answer, Choice, Decision, Ended, How, Request, Vote};
use crate::{
    guardrail::OnTimeout,
    ids::{PersonId, RequestId},
    people::Role,
};

/// Early decisions kept for a request that is not open yet; more are refused.
pub const MAX_EARLY: usize = 20;
/// Answers remembered for repeated deliveries of one decision.
pub const MAX_ANSWERS: usize = 50;
/// Earlier requests remembered for decisions that name them.
const MAX_PAST: usize = 10;

/// All approval state of one workflow; carried over continue-as-new.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApprovalBook {
    /// The newest request, open or ended.
    pub(super) request: Option<Request>,
    /// Its end.
    pub(super) ended: Option<Ended>,
    /// Votes on it, one per person.
    pub(super) votes: BTreeMap<PersonId, Vote>,
    /// Decisions that came before their request.
    pub(super) early: Vec<Decision>,
    /// Answers given, oldest first, for repeated deliveries.
    pub(super) answers: Vec<(String, Answer)>,
    /// Requests before the newest, oldest first.
    #[serde(default)]
    pub(super) past: Vec<Past>,
    /// What will be asked next, whatever the newest request came to.
    #[serde(default)]
    pub(super) next: Option<Next>,
}

/// What will be asked next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Next {
    /// Another plan: somebody changed it.
    OtherPlan,
    /// This plan or one like it: guardrails ask for more than they did.
    SamePlan,
}

/// What a decision by hand needs to know about a request that is not the newest any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Past {
    pub(super) id: RequestId,
    pub(super) plan_hash: String,
    pub(super) ended: Ended,
}

impl ApprovalBook {
    /// Returns the newest request, open or ended.
    #[must_use]
    pub fn request(&self) -> Option<&Request> {
        self.request.as_ref()
    }

    /// Returns the open request, if there is one.
    #[must_use]
    pub fn open_request(&self) -> Option<&Request> {
        if self.ended.is_none() {
            self.request.as_ref()
        } else {
            None
        }
    }

    /// Returns how the newest request ended.
    #[must_use]
    pub fn ended(&self) -> Option<&Ended> {
        self.ended.as_ref()
    }

    /// Returns the votes on the newest request.
    #[must_use]
    pub fn votes(&self) -> &BTreeMap<PersonId, Vote> {
        &self.votes
    }

    /// Opens a request and returns the early decisions that named its plan hash, in the order in
    /// which they count: a "no" that came before the request must not lose to an early "yes".
    pub fn open(&mut self, request: Request) -> Vec<Decision> {
        let (mut matching, rest): (Vec<_>, Vec<_>) = std::mem::take(&mut self.early)
            .into_iter()
            .partition(|d| d.plan_hash.as_deref() == Some(request.plan_hash.as_str()));
        matching.sort_by_key(|d| d.choice != Choice::Reject);
        self.early = rest;
        self.votes.clear();
        self.next = None;
        if let (Some(before), Some(ended)) = (self.request.take(), self.ended.take()) {
            self.past.push(Past {
                id: before.id,
                plan_hash: before.plan_hash,
                ended,
            });
            if self.past.len() > MAX_PAST {
                self.past.remove(0);
            }
        }
        self.request = Some(request);
        matching
    }

    /// Returns the end that a decision of this time finds. Whether the clock was asked in between
    /// makes no difference: a worker may have been away.
    pub(super) fn over_at(&self, at: Timestamp) -> Option<Ended> {
        self.ended.clone().or_else(|| self.end_by_clock(at))
    }

    fn end_by_clock(&self, now: Timestamp) -> Option<Ended> {
        let request = self.open_request().filter(|r| now >= r.deadline)?;
        Some(Ended {
            how: match request.on_timeout {
                OnTimeout::Reject => How::TimedOut,
                OnTimeout::Hold => How::Held,
            },
            by: Vec::new(),
            at: request.deadline,
        })
    }

    pub(super) fn end(&mut self, how: How, by: Vec<PersonId>, at: Timestamp) {
        self.ended = Some(Ended { how, by, at });
    }

    /// Marks that the next role was asked; returns that role the first time.
    pub fn escalate(&mut self, now: Timestamp) -> Option<Role> {
        // After the deadline there is nothing left to ask.
        if self.over_at(now).is_some() {
            return None;
        }
        let request = self.request.as_mut()?;
        let (at, role) = request.escalation?;
        if request.escalated || now < at {
            return None;
        }
        request.escalated = true;
        Some(role)
    }

    /// Ends the open request by the clock, when its deadline has passed.
    pub fn expire(&mut self, now: Timestamp) -> Option<How> {
        let ended = self.end_by_clock(now)?;
        let how = ended.how;
        self.ended = Some(ended);
        Some(how)
    }

    /// Notes that people will be asked anew: an open request is superseded, an answer that was given
    /// does not stand any more. Returns true when a request was open.
    pub fn ask_anew(&mut self, next: Next, at: Timestamp) -> bool {
        self.next = self.request.is_some().then_some(next);
        self.close(How::Superseded, at)
    }

    /// Ends the open request because the plan changed or the deployment ended.
    pub fn close(&mut self, how: How, at: Timestamp) -> bool {
        let open = self.open_request().is_some();
        if open {
            self.end(how, Vec::new(), at);
        }
        open
    }

    /// Moves the deadline of the open request; only later ones are taken. Ask [`Self::expire`]
    /// first: this cannot tell that the deadline has passed.
    pub fn extend(&mut self, deadline: Timestamp) -> bool {
        let open = self.ended.is_none();
        match &mut self.request {
            Some(request) if open && deadline > request.deadline => {
                request.deadline = deadline;
                true
            }
            _ => false,
        }
    }
}

//! Approvals: one request at a time, decided by people, by the rules of docs/approvals.md.
//!
//! Pure state: the workflow feeds decisions in the order of their arrival, together with what an
//! activity looked up about the person, and asks what came of it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    guardrail::OnTimeout,
    ids::{PersonId, RequestId},
    people::{Authority, Identity, Role},
};

/// Early decisions kept for a request that is not open yet; more are refused.
pub const MAX_EARLY: usize = 20;
/// Answers remembered for repeated deliveries of one decision.
pub const MAX_ANSWERS: usize = 50;

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

/// All approval state of one workflow; carried over continue-as-new.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApprovalBook {
    /// The newest request, open or ended.
    request: Option<Request>,
    /// Its end.
    ended: Option<Ended>,
    /// Votes on it, one per person.
    votes: BTreeMap<PersonId, Vote>,
    /// Decisions that came before their request.
    early: Vec<Decision>,
    /// Answers given, oldest first, for repeated deliveries.
    answers: Vec<(String, Answer)>,
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

    /// Opens a request and returns the early decisions that named its plan hash, oldest first.
    pub fn open(&mut self, request: Request) -> Vec<Decision> {
        let (matching, rest) = std::mem::take(&mut self.early)
            .into_iter()
            .partition(|d| d.plan_hash.as_deref() == Some(request.plan_hash.as_str()));
        self.early = rest;
        self.votes.clear();
        self.ended = None;
        self.request = Some(request);
        matching
    }

    /// Answers what needs no look-up. A decision that was kept is checked again after [`Self::open`].
    pub fn check(&mut self, decision: &Decision) -> Check {
        if let Some((_, answer)) = self
            .answers
            .iter()
            .find(|(id, answer)| *id == decision.id && *answer != Answer::Kept)
        {
            return Check::Answered(answer.clone());
        }
        let Some(request) = &self.request else {
            return Check::Answered(self.keep(decision));
        };
        if let Some(answer) = self.between_requests(decision, request) {
            return Check::Answered(answer.unwrap_or_else(|| self.keep(decision)));
        }
        let meant_other = decision
            .plan_hash
            .as_ref()
            .is_some_and(|h| *h != request.plan_hash)
            || decision
                .request
                .as_ref()
                .is_some_and(|r| *r != request.id && decision.plan_hash.is_none());
        if meant_other {
            return Check::NeedsDifference {
                meant: decision.plan_hash.clone().unwrap_or_default(),
                current: request.plan_hash.clone(),
            };
        }
        if let Some(ended) = &self.ended {
            return Check::Answered(match ended.how {
                How::Approved => Answer::AlreadyDecided {
                    by: ended.by.clone(),
                    choice: Choice::Approve,
                },
                How::Rejected => Answer::AlreadyDecided {
                    by: ended.by.clone(),
                    choice: Choice::Reject,
                },
                How::Superseded | How::Held | How::TimedOut | How::Cancelled => {
                    Answer::Late { deadline: ended.at }
                }
            });
        }
        if decision.received_at >= request.deadline {
            return Check::Answered(Answer::Late {
                deadline: request.deadline,
            });
        }
        Check::NeedsAuthority
    }

    /// After a superseded or held request and before the next one: `None` inside means that the
    /// decision waits for the request it names.
    fn between_requests(&self, decision: &Decision, request: &Request) -> Option<Option<Answer>> {
        let meant_this = decision
            .plan_hash
            .as_ref()
            .is_none_or(|hash| *hash == request.plan_hash);
        match self.ended.as_ref()?.how {
            How::Superseded if meant_this => Some(Some(Answer::WrongHash {
                current: String::new(),
                difference: vec!["the plan is being changed; a new request follows".to_owned()],
            })),
            How::Superseded | How::Held => Some(None),
            How::Approved | How::Rejected | How::TimedOut | How::Cancelled => None,
        }
    }

    fn keep(&mut self, decision: &Decision) -> Answer {
        if decision.plan_hash.is_none() || self.early.len() >= MAX_EARLY {
            return Answer::NothingOpen;
        }
        if !self.early.iter().any(|d| d.id == decision.id) {
            self.early.push(decision.clone());
        }
        Answer::Kept
    }

    /// Counts a decision of a person about whom `authority` was looked up.
    pub fn count(&mut self, decision: &Decision, authority: &Authority) -> Answer {
        if let Check::Answered(answer) = self.check(decision) {
            return answer;
        }
        let identity = match authority {
            Authority::Denied { reason, .. } => {
                return Answer::NotAllowed {
                    reason: reason.clone(),
                };
            }
            Authority::Allowed { identity, .. } => *identity,
        };
        let Some(request) = &self.request else {
            return Answer::NothingOpen;
        };
        let quorum = request.quorum;
        if self
            .votes
            .get(&decision.by)
            .is_some_and(|vote| vote.choice == decision.choice)
        {
            return Answer::Duplicate;
        }
        let vote = Vote {
            choice: decision.choice,
            reason: decision.reason.clone(),
            identity,
            at: decision.received_at,
        };
        self.votes.insert(decision.by.clone(), vote);
        let approvals = self.people_who(Choice::Approve);
        let at = decision.received_at;
        if decision.choice == Choice::Reject {
            self.end(How::Rejected, vec![decision.by.clone()], at);
        } else if approvals.len() as u64 >= u64::from(quorum) {
            self.end(How::Approved, approvals.clone(), at);
        }
        Answer::Counted {
            approvals: u32::try_from(approvals.len()).unwrap_or(u32::MAX),
            quorum,
        }
    }

    /// Remembers the answer given to a decision, so that a second delivery gets the same.
    pub fn remember(&mut self, decision_id: &str, answer: &Answer) {
        self.answers.retain(|(id, _)| id != decision_id);
        self.answers.push((decision_id.to_owned(), answer.clone()));
        if self.answers.len() > MAX_ANSWERS {
            self.answers.remove(0);
        }
    }

    /// Returns the answer given to a decision, if it was answered.
    #[must_use]
    pub fn answer_to(&self, decision_id: &str) -> Option<&Answer> {
        self.answers
            .iter()
            .find(|(id, _)| id == decision_id)
            .map(|(_, answer)| answer)
    }

    fn people_who(&self, choice: Choice) -> Vec<PersonId> {
        self.votes
            .iter()
            .filter(|(_, v)| v.choice == choice)
            .map(|(p, _)| p.clone())
            .collect()
    }

    fn end(&mut self, how: How, by: Vec<PersonId>, at: Timestamp) {
        self.ended = Some(Ended { how, by, at });
    }

    /// Marks that the next role was asked; returns that role the first time.
    pub fn escalate(&mut self, now: Timestamp) -> Option<Role> {
        if self.ended.is_some() {
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
        let request = self.open_request()?;
        if now < request.deadline {
            return None;
        }
        let how = match request.on_timeout {
            OnTimeout::Reject => How::TimedOut,
            OnTimeout::Hold => How::Held,
        };
        let at = request.deadline;
        self.end(how, Vec::new(), at);
        Some(how)
    }

    /// Ends the open request because the plan changed or the deployment ended.
    pub fn close(&mut self, how: How, at: Timestamp) -> bool {
        let open = self.open_request().is_some();
        if open {
            self.end(how, Vec::new(), at);
        }
        open
    }

    /// Moves the deadline of the open request; only later ones are taken.
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

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn request(quorum: u32) -> Request {
        Request {
            id: "plan/1".parse().unwrap(),
            plan_hash: "h1".into(),
            policy_version: "v".into(),
            role: Role::Approver,
            quorum,
            opened_at: at(0),
            deadline: at(100),
            escalation: Some((at(50), Role::Lead)),
            escalated: false,
            requester: None,
            four_eyes: false,
            on_timeout: OnTimeout::Reject,
        }
    }

    fn decision(by: &str, choice: Choice, second: i64) -> Decision {
        Decision {
            id: format!("{by}-{second}"),
            choice,
            by: by.parse().unwrap(),
            request: None,
            plan_hash: None,
            reason: None,
            proof: None,
            received_at: at(second),
        }
    }

    fn allowed() -> Authority {
        Authority::Allowed {
            role: Role::Approver,
            identity: Identity::Claimed,
        }
    }

    fn decide(book: &mut ApprovalBook, decision: &Decision) -> Answer {
        let answer = match book.check(decision) {
            Check::Answered(answer) => answer,
            Check::NeedsAuthority => book.count(decision, &allowed()),
            Check::NeedsDifference { current, .. } => Answer::WrongHash {
                current,
                difference: vec![],
            },
        };
        book.remember(&decision.id, &answer);
        answer
    }

    #[test]
    fn a_decision_with_the_hash_is_kept_until_its_request_opens() {
        let mut book = ApprovalBook::default();
        let mut early = decision("dana", Choice::Approve, 1);
        early.plan_hash = Some("h1".into());
        assert_eq!(decide(&mut book, &early), Answer::Kept);
        let waiting = book.open(request(1));
        assert_eq!(waiting, vec![early.clone()]);
        assert_eq!(
            decide(&mut book, &early),
            Answer::Counted {
                approvals: 1,
                quorum: 1
            }
        );
        assert_eq!(book.ended().unwrap().how, How::Approved);
    }

    #[test]
    fn a_decision_without_a_hash_before_the_request_has_no_effect() {
        let mut book = ApprovalBook::default();
        assert_eq!(
            decide(&mut book, &decision("dana", Choice::Approve, 1)),
            Answer::NothingOpen
        );
        assert!(book.open(request(1)).is_empty());
    }

    #[test]
    fn the_same_person_counts_once_and_may_change_the_vote() {
        let mut book = ApprovalBook::default();
        book.open(request(2));
        decide(&mut book, &decision("dana", Choice::Approve, 1));
        assert_eq!(
            decide(&mut book, &decision("dana", Choice::Approve, 2)),
            Answer::Duplicate
        );
        assert!(book.open_request().is_some());
        decide(&mut book, &decision("dana", Choice::Reject, 3));
        assert_eq!(book.ended().unwrap().how, How::Rejected);
    }

    #[test]
    fn a_second_delivery_of_one_decision_gets_the_first_answer() {
        let mut book = ApprovalBook::default();
        book.open(request(1));
        let yes = decision("dana", Choice::Approve, 1);
        let first = decide(&mut book, &yes);
        assert_eq!(decide(&mut book, &yes), first);
    }

    #[test]
    fn after_the_quorum_a_rejection_is_told_who_decided() {
        let mut book = ApprovalBook::default();
        book.open(request(1));
        decide(&mut book, &decision("dana", Choice::Approve, 1));
        assert_eq!(
            decide(&mut book, &decision("lee", Choice::Reject, 2)),
            Answer::AlreadyDecided {
                by: vec!["dana".parse().unwrap()],
                choice: Choice::Approve
            }
        );
    }

    #[test]
    fn a_quorum_of_two_waits_for_two_people() {
        let mut book = ApprovalBook::default();
        book.open(request(2));
        decide(&mut book, &decision("dana", Choice::Approve, 1));
        assert!(book.ended().is_none());
        decide(&mut book, &decision("lee", Choice::Approve, 2));
        assert_eq!(book.ended().unwrap().by.len(), 2);
    }

    #[test]
    fn silence_never_approves_and_what_comes_later_is_late() {
        let mut book = ApprovalBook::default();
        book.open(request(1));
        assert_eq!(book.escalate(at(49)), None);
        assert_eq!(book.escalate(at(50)), Some(Role::Lead));
        assert_eq!(book.escalate(at(51)), None);
        assert_eq!(book.expire(at(99)), None);
        assert_eq!(book.expire(at(100)), Some(How::TimedOut));
        assert!(matches!(
            decide(&mut book, &decision("dana", Choice::Approve, 101)),
            Answer::Late { .. }
        ));
    }

    #[test]
    fn a_person_without_the_role_is_not_allowed() {
        let mut book = ApprovalBook::default();
        book.open(request(1));
        let denied = Authority::Denied {
            reason: "needs approver".into(),
            identity: Identity::Claimed,
        };
        let answer = book.count(&decision("vic", Choice::Approve, 1), &denied);
        assert!(matches!(answer, Answer::NotAllowed { .. }));
        assert!(book.open_request().is_some() && book.votes().is_empty());
    }

    #[test]
    fn a_decision_for_another_plan_needs_the_difference() {
        let mut book = ApprovalBook::default();
        book.open(request(1));
        let mut old = decision("dana", Choice::Approve, 1);
        old.plan_hash = Some("h0".into());
        assert!(matches!(book.check(&old), Check::NeedsDifference { .. }));
    }

    #[test]
    fn between_two_requests_the_old_plan_is_gone_and_the_new_one_is_waited_for() {
        let mut book = ApprovalBook::default();
        book.open(request(1));
        book.close(How::Superseded, at(10));
        let mut old = decision("dana", Choice::Approve, 11);
        old.plan_hash = Some("h1".into());
        assert!(matches!(decide(&mut book, &old), Answer::WrongHash { .. }));
        let mut early = decision("lee", Choice::Approve, 12);
        early.plan_hash = Some("h2".into());
        assert_eq!(decide(&mut book, &early), Answer::Kept);
        let next = Request {
            id: "plan/2".parse().unwrap(),
            plan_hash: "h2".into(),
            ..request(1)
        };
        assert_eq!(book.open(next), vec![early]);
    }

    #[test]
    fn extending_moves_only_an_open_deadline_and_only_later() {
        let mut book = ApprovalBook::default();
        book.open(request(1));
        assert!(!book.extend(at(50)));
        assert!(book.extend(at(200)));
        assert_eq!(book.expire(at(150)), None);
        book.close(How::Cancelled, at(150));
        assert!(!book.extend(at(300)));
    }
}

//! What a decision comes to.

use super::{
    Answer, ApprovalBook, Check, Choice, Decision, Ended, How, MAX_ANSWERS, MAX_EARLY, Next, Vote,
};
use crate::{ids::PersonId, people::Authority};

impl ApprovalBook {
    /// Answers what needs no look-up. A decision that was kept is checked again after [`Self::open`].
    pub fn check(&mut self, decision: &Decision) -> Check {
        if let Some(answer) = self.given_before(&decision.id) {
            return Check::Answered(answer);
        }
        let Some(request) = &self.request else {
            return Check::Answered(self.keep(decision));
        };
        let current = &request.plan_hash;
        let over = self.over_at(decision.received_at);
        if self.waits_for_a_request(decision, current, over.as_ref()) {
            return Check::Answered(self.keep(decision));
        }
        let superseded = match self.next {
            Some(next) => next == Next::OtherPlan,
            None => over.as_ref().is_some_and(|e| e.how == How::Superseded),
        };
        if superseded {
            return Check::Answered(Answer::WrongHash {
                current: String::new(),
                difference: vec!["the plan is being changed; a new request follows".to_owned()],
            });
        }
        let (meant, over) = match (&decision.plan_hash, &decision.request) {
            (Some(hash), _) => (hash.as_str(), over),
            (None, Some(id)) if *id != request.id => self
                .past
                .iter()
                .find(|past| past.id == *id)
                .map_or(("", over), |past| {
                    (past.plan_hash.as_str(), Some(past.ended.clone()))
                }),
            (None, _) => (current.as_str(), over),
        };
        if meant != current {
            return Check::NeedsDifference {
                meant: meant.to_owned(),
                current: current.clone(),
            };
        }
        over.map_or(Check::NeedsAuthority, |ended| {
            Check::Answered(after_the_end(ended))
        })
    }

    /// The first answer stays, except that a kept decision is answered once more when it counts.
    fn given_before(&self, decision_id: &str) -> Option<Answer> {
        if self.early.iter().any(|d| d.id == decision_id) {
            return Some(Answer::Kept);
        }
        self.answer_to(decision_id)
            .filter(|answer| **answer != Answer::Kept)
            .cloned()
    }

    /// After a superseded or held request another one follows, and a decision that names its plan
    /// waits for it. Whoever has a vote waiting may still change it.
    fn waits_for_a_request(
        &self,
        decision: &Decision,
        current: &str,
        over: Option<&Ended>,
    ) -> bool {
        let Some(hash) = &decision.plan_hash else {
            return false;
        };
        let follows = match (self.next, over.map(|ended| ended.how)) {
            (Some(Next::SamePlan), _) => true,
            (Some(Next::OtherPlan), _) => hash != current,
            (None, None) if hash == current => return false,
            (None, Some(How::Superseded)) => hash != current,
            (None, Some(How::Held)) => true,
            _ => false,
        };
        let has_one = |d: &Decision| d.by == decision.by && d.plan_hash == decision.plan_hash;
        follows || self.early.iter().any(has_one)
    }

    fn keep(&mut self, decision: &Decision) -> Answer {
        if decision.plan_hash.is_none() || self.early.len() >= MAX_EARLY {
            return Answer::NothingOpen;
        }
        self.early.push(decision.clone());
        Answer::Kept
    }

    /// Counts a decision of a person about whom `authority` was looked up.
    pub fn count(&mut self, decision: &Decision, authority: &Authority) -> Answer {
        // Much may have happened during the look-up.
        match self.check(decision) {
            Check::Answered(answer) => return answer,
            Check::NeedsDifference { current, .. } => {
                return Answer::WrongHash {
                    current,
                    difference: vec!["the plan changed while the person was looked up".to_owned()],
                };
            }
            Check::NeedsAuthority => {}
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

    /// Remembers the answer given to a decision, so that a second delivery gets the same. An
    /// answer that was given stays; only a kept decision is answered once more.
    pub fn remember(&mut self, decision_id: &str, answer: &Answer) {
        match self.answer_to(decision_id) {
            Some(Answer::Kept) if *answer != Answer::Kept => {
                self.answers.retain(|(id, _)| id != decision_id);
            }
            Some(_) => return,
            None => {}
        }
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
}

/// What somebody is told who decides about a request that has ended.
fn after_the_end(ended: Ended) -> Answer {
    match ended.how {
        How::Approved => Answer::AlreadyDecided {
            by: ended.by,
            choice: Choice::Approve,
        },
        How::Rejected => Answer::AlreadyDecided {
            by: ended.by,
            choice: Choice::Reject,
        },
        How::Superseded | How::Held | How::TimedOut | How::Cancelled => {
            Answer::Late { deadline: ended.at }
        }
    }
}

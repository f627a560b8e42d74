//! Plays what people, the clock and the workflow may do, in any order, to the book and to the
//! reference at once, and checks after every step what must always hold.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use jiff::Timestamp;
use proptest::prelude::*;

use super::{
    reference::{Asked, Ballot, People, Reference, Told},
    steps::{Aim, Moment, Pace, REQUESTER, Step, WITHOUT_ROLE},
    *,
};
use crate::people::Authority;

/// What a person sends, as often as it is delivered.
#[derive(Debug, Clone)]
struct Letter {
    id: String,
    by: &'static str,
    choice: Choice,
    request: Option<RequestId>,
    plan_hash: Option<String>,
}

/// A decision with the first thing its sender was told.
#[derive(Debug)]
struct Heard {
    decision: Decision,
    answer: Answer,
}

#[derive(Debug, Default)]
pub(super) struct Play {
    now: i64,
    book: ApprovalBook,
    reference: Reference,
    requests: Vec<Request>,
    letters: Vec<Letter>,
    inbox: VecDeque<Decision>,
    looked_up: VecDeque<Decision>,
    heard: Vec<Heard>,
    /// How often what happened: a test that meets nothing proves nothing.
    pub(super) seen: BTreeMap<&'static str, u32>,
}

type Checked = Result<(), TestCaseError>;

impl Play {
    pub(super) fn step(&mut self, step: &Step) -> Checked {
        let before = self.book.clone();
        self.take(step)?;
        let open = self.book.open_request().is_some();
        prop_assert_eq!(open, self.reference.is_open());
        prop_assert_eq!(self.book.ended().map(|e| e.how), self.reference.how());
        prop_assert_eq!(approvers(&self.book), self.reference.approvers());
        self.an_end_is_final(&before)?;
        let news = |ended: &&Ended| {
            let same = before.request().map(|r| &r.id) == self.book.request().map(|r| &r.id);
            !same || before.ended() != Some(*ended)
        };
        if let Some(ended) = self.book.ended().filter(news).cloned() {
            self.saw(how_name(ended.how));
            let by_people = matches!(ended.how, How::Approved | How::Rejected);
            let decides = matches!(
                step,
                Step::Decide { .. } | Step::Repeat(..) | Step::CatchUp | Step::Ask { .. }
            );
            prop_assert!(decides || !by_people, "silence decides nothing");
            prop_assert_eq!(ended.by.is_empty(), !by_people);
        }
        Ok(())
    }

    fn an_end_is_final(&self, before: &ApprovalBook) -> Checked {
        let same = before.request().map(|r| &r.id) == self.book.request().map(|r| &r.id);
        if same && before.ended().is_some() {
            prop_assert_eq!(before.ended(), self.book.ended(), "an end is final");
            prop_assert_eq!(before.votes(), self.book.votes(), "an end is final");
        }
        Ok(())
    }

    fn take(&mut self, step: &Step) -> Checked {
        match step {
            Step::Ask {
                hash,
                quorum,
                timeout,
                on_timeout,
                four_eyes,
            } => self.ask(hash, *quorum, *timeout, *on_timeout, *four_eyes)?,
            Step::Decide {
                by,
                choice,
                aim,
                pace,
            } => {
                let (request, plan_hash) = self.named(*aim);
                self.letters.push(Letter {
                    id: format!("d{}", self.letters.len()),
                    by,
                    choice: *choice,
                    request,
                    plan_hash,
                });
                self.deliver(self.letters.len() - 1, *pace)?;
            }
            Step::Repeat(which, pace) => {
                if !self.letters.is_empty() {
                    self.deliver(which.index(self.letters.len()), *pace)?;
                }
            }
            Step::CatchUp => {
                while let Some(decision) = self.looked_up.pop_front() {
                    self.count(&decision)?;
                }
                while let Some(decision) = self.inbox.pop_front() {
                    self.work_off(decision, Pace::AtOnce)?;
                }
            }
            Step::Wait(seconds) => self.now += seconds,
            Step::WaitFor(moment) => {
                if let Some(request) = self.book.open_request() {
                    let then = match moment {
                        Moment::Escalation => request.escalation.map(|(at, _)| at.as_second()),
                        Moment::BeforeTheDeadline => Some(request.deadline.as_second() - 1),
                        Moment::Deadline => Some(request.deadline.as_second()),
                    };
                    self.now = self.now.max(then.unwrap_or(0));
                }
            }
            Step::Escalate => {
                let asks = self.book.escalate(at(self.now)).is_some();
                prop_assert_eq!(asks, self.reference.escalate(self.now));
                self.saw_if(asks, "next role asked");
            }
            Step::Expire => self.expire()?,
            Step::Extend(seconds) => {
                // The clock is asked first: a deadline that has passed stays.
                self.expire()?;
                let deadline = self.book.open_request().map(|r| r.deadline.as_second());
                let to = deadline.unwrap_or(self.now) + seconds;
                let moved = self.book.extend(at(to));
                prop_assert_eq!(moved, self.reference.extend(to));
                self.saw_if(moved, "deadline moved");
            }
            Step::Close(how) => {
                let closed = self.book.close(*how, at(self.now));
                prop_assert_eq!(closed, self.reference.close(*how));
            }
            Step::AskAnew(next) => {
                let over = self.book.ended().map(|e| e.how);
                self.saw_if(over == Some(How::Approved), "asked anew after a yes");
                let closed = self.book.ask_anew(*next, at(self.now));
                let same_plan = *next == Next::SamePlan;
                prop_assert_eq!(closed, self.reference.ask_anew(same_plan));
            }
            Step::CarryOver => {
                let text = serde_json::to_string(&self.book).unwrap();
                let read: ApprovalBook = serde_json::from_str(&text).unwrap();
                prop_assert_eq!(&read, &self.book);
                self.saw_if(!read.votes().is_empty(), "votes carried over");
                self.book = read;
            }
        }
        Ok(())
    }

    fn ask(
        &mut self,
        hash: &str,
        quorum: u32,
        timeout: i64,
        on_timeout: OnTimeout,
        four_eyes: bool,
    ) -> Checked {
        let superseded = self.book.close(How::Superseded, at(self.now));
        prop_assert_eq!(superseded, self.reference.close(How::Superseded));
        self.saw_if(superseded, how_name(How::Superseded));
        let held = self.book.ended().is_some_and(|e| e.how == How::Held);
        let same = self.book.request().is_some_and(|r| r.plan_hash == hash);
        self.saw_if(held && same, "held and asked again");
        let escalation = self.now + timeout / 2;
        let request = Request {
            id: format!("plan/{}", self.requests.len() + 1).parse().unwrap(),
            plan_hash: hash.to_owned(),
            policy_version: "v".to_owned(),
            role: Role::Approver,
            quorum,
            opened_at: at(self.now),
            deadline: at(self.now + timeout),
            escalation: Some((at(escalation), Role::Lead)),
            escalated: false,
            requester: Some(REQUESTER.parse().unwrap()),
            four_eyes,
            on_timeout,
        };
        self.requests.push(request.clone());
        let waiting = self.reference.ask(Asked {
            id: request.id.to_string(),
            hash: hash.to_owned(),
            quorum: quorum as usize,
            deadline: self.now + timeout,
            hold: on_timeout == OnTimeout::Hold,
            escalation: Some(escalation),
        });
        let early = self.book.open(request);
        let ids: Vec<_> = early.iter().map(|d| d.id.clone()).collect();
        prop_assert_eq!(ids, waiting);
        for decision in early {
            prop_assert_eq!(decision.plan_hash.as_deref(), Some(hash));
            self.saw("kept decision counts");
            self.work_off(decision, Pace::AtOnce)?;
        }
        Ok(())
    }

    fn expire(&mut self) -> Checked {
        let how = self.book.expire(at(self.now));
        prop_assert_eq!(how, self.reference.expire(self.now));
        prop_assert!(matches!(how, None | Some(How::TimedOut | How::Held)));
        Ok(())
    }

    fn named(&self, aim: Aim) -> (Option<RequestId>, Option<String>) {
        match aim {
            Aim::ByHand => (None, None),
            Aim::Plan(hash) => (None, Some(hash.to_owned())),
            Aim::Card { back, with_hash } => match self.requests.iter().rev().nth(back) {
                Some(r) => (Some(r.id.clone()), with_hash.then(|| r.plan_hash.clone())),
                None => (None, None),
            },
        }
    }

    /// What the handlers of a workflow do: they only record.
    fn deliver(&mut self, letter: usize, pace: Pace) -> Checked {
        let letter = self.letters[letter].clone();
        let open = self.book.open_request().map(|r| r.id.clone());
        let by_hand = open.filter(|_| letter.plan_hash.is_none());
        let decision = Decision {
            id: letter.id,
            choice: letter.choice,
            by: letter.by.parse().unwrap(),
            request: letter.request.or(by_hand),
            plan_hash: letter.plan_hash,
            reason: None,
            proof: None,
            received_at: at(self.now),
        };
        if pace == Pace::Left {
            self.inbox.push_back(decision);
            return Ok(());
        }
        self.work_off(decision, pace)
    }

    /// What `run` of a workflow does.
    fn work_off(&mut self, decision: Decision, pace: Pace) -> Checked {
        let before = self.book.clone();
        let aimless = decision.request.is_none() && decision.plan_hash.is_none();
        let answer = match self.book.check(&decision) {
            Check::Answered(answer) => answer,
            Check::NeedsAuthority if aimless => Answer::NothingOpen,
            Check::NeedsAuthority if pace == Pace::SlowLookUp => {
                self.looked_up.push_back(decision);
                return Ok(());
            }
            Check::NeedsAuthority => return self.count(&decision),
            Check::NeedsDifference { current, .. } => Answer::WrongHash {
                current,
                difference: Vec::new(),
            },
        };
        self.answered(&before, &decision, answer)
    }

    fn count(&mut self, decision: &Decision) -> Checked {
        let before = self.book.clone();
        let identity = Identity::Claimed;
        let authority = if may(before.open_request(), decision) {
            let role = Role::Approver;
            Authority::Allowed { role, identity }
        } else {
            let reason = String::new();
            Authority::Denied { reason, identity }
        };
        let answer = self.book.count(decision, &authority);
        let changed = matches!(answer, Answer::WrongHash { .. });
        self.saw_if(changed, "plan changed during a look-up");
        self.answered(&before, decision, answer)
    }

    fn answered(&mut self, before: &ApprovalBook, decision: &Decision, answer: Answer) -> Checked {
        self.book.remember(&decision.id, &answer);
        let may = may(before.open_request(), decision);
        let told = self.reference.decide(&ballot(decision), may);
        prop_assert_eq!(words(&answer), told);
        self.saw(answer_name(&answer));
        self.an_end_is_final(before)?;

        let open = before.open_request().filter(|r| {
            let in_time = decision.received_at < r.deadline;
            in_time && means(decision, r)
        });
        let position = self.heard.iter().position(|h| h.decision.id == decision.id);
        if let Some(first) = position.map(|p| &self.heard[p]) {
            let kept = first.answer == Answer::Kept;
            if !kept || answer == Answer::Kept {
                prop_assert_eq!(&answer, &first.answer, "delivered twice");
                prop_assert_eq!(before, &self.book, "delivered twice");
                self.saw("delivered twice");
                return Ok(());
            }
        }
        let other = before
            .open_request()
            .is_some_and(|r| decision.received_at < r.deadline && !means(decision, r));
        self.saw_if(other && answer == Answer::Kept, "waiting vote changed");
        if let Some(request) = open
            && may
            && decision.choice == Choice::Reject
        {
            let how = self.book.ended().map(|e| (e.how, e.by.clone()));
            let rejected = Some((How::Rejected, vec![decision.by.clone()]));
            prop_assert_eq!(how, rejected, "an authorised reject ends {}", &request.id);
            self.saw_if(
                before.votes().contains_key(&decision.by),
                "earlier vote replaced",
            );
            let own = request.four_eyes && decision.by.as_str() == REQUESTER;
            self.saw_if(own, "own request rejected");
        }
        if matches!(answer, Answer::Counted { .. }) {
            prop_assert!(open.is_some() && may, "counted for nothing");
        }
        match position {
            Some(p) => self.heard[p].answer = answer,
            None => self.heard.push(Heard {
                decision: decision.clone(),
                answer,
            }),
        }
        match self.book.ended() {
            Some(ended) if before.ended().is_none() && ended.how == How::Approved => {
                self.is_signed(ended)
            }
            _ => Ok(()),
        }
    }

    /// Enough different people who may, whose latest word on exactly this plan is "yes", in time.
    fn is_signed(&self, ended: &Ended) -> Checked {
        let request = self.book.request().unwrap();
        let people: BTreeSet<_> = ended.by.iter().collect();
        prop_assert!(people.len() == ended.by.len() && people.len() >= request.quorum as usize);
        for person in people {
            let latest = self.heard.iter().rfind(|h| {
                let d = &h.decision;
                let heeded = h.answer != Answer::NothingOpen && may(Some(request), d);
                let in_time = d.received_at < request.deadline;
                d.by == *person && means(d, request) && heeded && in_time
            });
            let choice = latest.map(|h| h.decision.choice);
            prop_assert_eq!(choice, Some(Choice::Approve), "signed by {}", person);
        }
        Ok(())
    }

    fn saw(&mut self, what: &'static str) {
        *self.seen.entry(what).or_default() += 1;
    }

    fn saw_if(&mut self, holds: bool, what: &'static str) {
        if holds {
            self.saw(what);
        }
    }
}

/// What the activity would find out: cases 6 and 7.
fn may(request: Option<&Request>, decision: &Decision) -> bool {
    let own = decision.by.as_str() == REQUESTER && request.is_some_and(|r| r.four_eyes);
    decision.by.as_str() != WITHOUT_ROLE && !(own && decision.choice == Choice::Approve)
}

fn means(decision: &Decision, request: &Request) -> bool {
    match &decision.plan_hash {
        Some(hash) => *hash == request.plan_hash,
        None => decision.request.as_ref() == Some(&request.id),
    }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn people(by: &[PersonId]) -> People {
    by.iter().map(ToString::to_string).collect()
}

fn approvers(book: &ApprovalBook) -> People {
    let votes = book.votes().iter();
    votes
        .filter(|(_, vote)| vote.choice == Choice::Approve)
        .map(|(by, _)| by.to_string())
        .collect()
}

fn ballot(decision: &Decision) -> Ballot {
    Ballot {
        id: decision.id.clone(),
        by: decision.by.to_string(),
        choice: decision.choice,
        request: decision.request.as_ref().map(ToString::to_string),
        hash: decision.plan_hash.clone(),
        at: decision.received_at.as_second(),
    }
}

fn words(answer: &Answer) -> Told {
    match answer {
        Answer::Counted { approvals, quorum } => Told::Counted {
            approvals: *approvals as usize,
            quorum: *quorum as usize,
        },
        Answer::Duplicate => Told::Duplicate,
        Answer::Kept => Told::Kept,
        Answer::NothingOpen => Told::NothingOpen,
        Answer::Late { .. } => Told::Late,
        Answer::WrongHash { .. } => Told::WrongHash,
        Answer::NotAllowed { .. } => Told::NotAllowed,
        Answer::AlreadyDecided { by, choice } => Told::AlreadyDecided(*choice, people(by)),
    }
}

fn answer_name(answer: &Answer) -> &'static str {
    match answer {
        Answer::Counted { .. } => "counted",
        Answer::Duplicate => "duplicate",
        Answer::Kept => "kept",
        Answer::NothingOpen => "nothing open",
        Answer::Late { .. } => "late",
        Answer::WrongHash { .. } => "wrong hash",
        Answer::NotAllowed { .. } => "not allowed",
        Answer::AlreadyDecided { .. } => "already decided",
    }
}

fn how_name(how: How) -> &'static str {
    match how {
        How::Approved => "approved",
        How::Rejected => "rejected",
        How::TimedOut => "timed out",
        How::Held => "held",
        How::Superseded => "superseded",
        How::Cancelled => "cancelled",
    }
}

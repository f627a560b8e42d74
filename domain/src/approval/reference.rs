//! The twelve cases of docs/approvals.md read literally, to judge the book by. Slow and plain on
//! purpose: the whole log is kept and every question is answered by looking back. It shares no
//! code with the book, only the words [`Choice`] and [`How`].

use std::collections::{BTreeMap, BTreeSet};

use super::{Choice, How, MAX_EARLY};

pub(super) type People = BTreeSet<String>;

/// A request, as far as the table speaks of it.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) id: String,
    pub(super) hash: String,
    pub(super) quorum: usize,
    pub(super) deadline: i64,
    pub(super) hold: bool,
    pub(super) escalation: Option<i64>,
}

/// A decision, as far as the table speaks of it.
#[derive(Debug, Clone)]
pub(super) struct Ballot {
    pub(super) id: String,
    pub(super) by: String,
    pub(super) choice: Choice,
    pub(super) request: Option<String>,
    pub(super) hash: Option<String>,
    pub(super) at: i64,
}

/// What the person is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Told {
    Counted { approvals: usize, quorum: usize },
    Duplicate,
    Kept,
    NothingOpen,
    Late,
    WrongHash,
    NotAllowed,
    AlreadyDecided(Choice, People),
}

#[derive(Debug)]
enum Event {
    Asked(Asked),
    Extended(i64),
    Escalated,
    Kept(Ballot),
    Voted(String, Choice),
    Ended(How, People),
    /// People will be asked anew, about the same plan or not.
    Anew(bool),
    Told(String, Told),
}

#[derive(Debug, Default)]
pub(super) struct Reference {
    log: Vec<Event>,
}

impl Reference {
    // What people and the clock do.

    /// Opens a request; returns the ids of the decisions that waited for its plan, in the order in
    /// which they count. Case 3: no quorum was reached before, so every "no" comes first.
    pub(super) fn ask(&mut self, asked: Asked) -> Vec<String> {
        let (no, yes): (Vec<_>, Vec<_>) = self
            .waiting()
            .into_iter()
            .filter(|b| b.hash.as_ref() == Some(&asked.hash))
            .partition(|b| b.choice == Choice::Reject);
        let counting = no.into_iter().chain(yes).map(|b| b.id.clone()).collect();
        self.log.push(Event::Asked(asked));
        counting
    }

    /// Answers a decision of somebody who may decide, or may not.
    pub(super) fn decide(&mut self, ballot: &Ballot, may: bool) -> Told {
        let told = match self.told_before(&ballot.id) {
            Some(first) => first,
            None => self.judge(ballot, may),
        };
        let id = ballot.id.clone();
        self.log.push(Event::Told(id, told.clone()));
        told
    }

    /// Case 9.
    pub(super) fn escalate(&mut self, now: i64) -> bool {
        let again = self.since().iter().any(|e| matches!(e, Event::Escalated));
        let due = self.asked().and_then(|asked| asked.escalation);
        let asks = self.over(now).is_none() && !again && due.is_some_and(|at| now >= at);
        if asks {
            self.log.push(Event::Escalated);
        }
        asks
    }

    /// Case 10.
    pub(super) fn expire(&mut self, now: i64) -> Option<How> {
        let open = self.end().is_none();
        let (how, _) = self.over(now).filter(|_| open)?;
        self.log.push(Event::Ended(how, People::new()));
        Some(how)
    }

    pub(super) fn extend(&mut self, to: i64) -> bool {
        let later = self.is_open() && to > self.deadline();
        if later {
            self.log.push(Event::Extended(to));
        }
        later
    }

    /// Case 11; and an answer that was given before does not stand any more.
    pub(super) fn ask_anew(&mut self, same_plan: bool) -> bool {
        let closed = self.close(How::Superseded);
        if self.asked().is_some() {
            self.log.push(Event::Anew(same_plan));
        }
        closed
    }

    /// Case 11.
    pub(super) fn close(&mut self, how: How) -> bool {
        let open = self.is_open();
        if open {
            self.log.push(Event::Ended(how, People::new()));
        }
        open
    }

    // The table.

    fn judge(&mut self, ballot: &Ballot, may: bool) -> Told {
        let Some(asked) = self.asked() else {
            // Case 1: before any request. By hand it means what is open, and nothing is.
            return match ballot.hash {
                Some(_) => self.keep(ballot),
                None => Told::NothingOpen,
            };
        };
        let over = self.over(ballot.at);
        // To be asked anew about the same plan is as after a hold, about another as when superseded.
        let how = match self.anew() {
            Some(true) => Some(How::Held),
            Some(false) => Some(How::Superseded),
            None => over.as_ref().map(|(how, _)| *how),
        };
        if let Some(hash) = &ballot.hash {
            let same = *hash == asked.hash;
            return match how {
                None if same => self.vote(ballot, may),
                // Case 1: the same plan is asked about again, or another one will be.
                Some(How::Held) => self.keep(ballot),
                Some(How::Superseded) if !same => self.keep(ballot),
                // Case 2: who has a vote waiting for this plan may replace it.
                _ if self.has_one_waiting(ballot) => self.keep(ballot),
                // Case 11, then 5.
                Some(How::Superseded) => Told::WrongHash,
                _ if !same => Told::WrongHash,
                _ => after(over),
            };
        }
        if how == Some(How::Superseded) {
            return Told::WrongHash;
        }
        match &ballot.request {
            // By hand when nothing was open: it must not count for what is open now.
            None if how.is_none() => Told::NothingOpen,
            None => after(over),
            Some(id) if *id == asked.id && how.is_none() => self.vote(ballot, may),
            Some(id) if *id == asked.id => after(over),
            // Case 5 for another plan; case 4 when the same plan is asked about anew.
            Some(id) => match self.earlier(id) {
                Some((hash, end)) if hash == asked.hash => after(end),
                _ => Told::WrongHash,
            },
        }
    }

    /// Cases 2, 3, 6, 7 and 8.
    fn vote(&mut self, ballot: &Ballot, may: bool) -> Told {
        if !may {
            return Told::NotAllowed;
        }
        if self.votes().get(&ballot.by) == Some(&ballot.choice) {
            return Told::Duplicate;
        }
        let by = ballot.by.clone();
        self.log.push(Event::Voted(by.clone(), ballot.choice));
        let approvers = self.approvers();
        let approvals = approvers.len();
        let quorum = self.asked().map_or(0, |asked| asked.quorum);
        if ballot.choice == Choice::Reject {
            self.log
                .push(Event::Ended(How::Rejected, People::from([by])));
        } else if approvals >= quorum {
            self.log.push(Event::Ended(How::Approved, approvers));
        }
        Told::Counted { approvals, quorum }
    }

    fn keep(&mut self, ballot: &Ballot) -> Told {
        if self.waiting().len() >= MAX_EARLY {
            return Told::NothingOpen;
        }
        self.log.push(Event::Kept(ballot.clone()));
        Told::Kept
    }

    // Looking back.

    fn start(&self) -> Option<usize> {
        self.log.iter().rposition(|e| matches!(e, Event::Asked(_)))
    }

    /// What happened since the newest request opened.
    fn since(&self) -> &[Event] {
        self.start().map_or(&[], |start| &self.log[start..])
    }

    fn asked(&self) -> Option<&Asked> {
        self.log.iter().rev().find_map(|e| match e {
            Event::Asked(asked) => Some(asked),
            _ => None,
        })
    }

    fn deadline(&self) -> i64 {
        let moved = self.since().iter().rev().find_map(|e| match e {
            Event::Extended(to) => Some(*to),
            _ => None,
        });
        moved
            .or(self.asked().map(|asked| asked.deadline))
            .unwrap_or(0)
    }

    fn end(&self) -> Option<(How, People)> {
        end_in(self.since())
    }

    /// The end that this moment finds: at the deadline silence is an end, noticed or not (case 12).
    fn over(&self, at: i64) -> Option<(How, People)> {
        let asked = self.asked()?;
        let silence = if asked.hold { How::Held } else { How::TimedOut };
        let by_clock = (at >= self.deadline()).then(|| (silence, People::new()));
        self.end().or(by_clock)
    }

    fn anew(&self) -> Option<bool> {
        self.since().iter().rev().find_map(|e| match e {
            Event::Anew(same_plan) => Some(*same_plan),
            _ => None,
        })
    }

    fn votes(&self) -> BTreeMap<String, Choice> {
        self.since()
            .iter()
            .filter_map(|e| match e {
                Event::Voted(by, choice) => Some((by.clone(), *choice)),
                _ => None,
            })
            .collect()
    }

    fn earlier(&self, id: &str) -> Option<(String, Option<(How, People)>)> {
        let at = |e: &Event| matches!(e, Event::Asked(asked) if asked.id == id);
        let start = self.log.iter().position(at)?;
        let Event::Asked(asked) = &self.log[start] else {
            return None;
        };
        Some((asked.hash.clone(), end_in(&self.log[start..])))
    }

    /// Kept and not yet asked about: no request for its plan has opened since.
    fn waiting(&self) -> Vec<&Ballot> {
        let open = |hash: &Option<String>, later: &[Event]| {
            later
                .iter()
                .any(|e| matches!(e, Event::Asked(asked) if Some(&asked.hash) == hash.as_ref()))
        };
        self.log
            .iter()
            .enumerate()
            .filter_map(|(at, e)| match e {
                Event::Kept(ballot) if !open(&ballot.hash, &self.log[at..]) => Some(ballot),
                _ => None,
            })
            .collect()
    }

    fn has_one_waiting(&self, ballot: &Ballot) -> bool {
        let same = |b: &&Ballot| b.by == ballot.by && b.hash == ballot.hash;
        self.waiting().iter().any(same)
    }

    /// A second delivery is told what the first was told; one that was kept, what came of it.
    fn told_before(&self, id: &str) -> Option<Told> {
        if self.waiting().iter().any(|b| b.id == id) {
            return Some(Told::Kept);
        }
        self.log.iter().find_map(|e| match e {
            Event::Told(of, told) if of == id && *told != Told::Kept => Some(told.clone()),
            _ => None,
        })
    }

    // What is compared after every step.

    pub(super) fn is_open(&self) -> bool {
        self.asked().is_some() && self.end().is_none()
    }

    pub(super) fn how(&self) -> Option<How> {
        self.end().map(|(how, _)| how)
    }

    pub(super) fn approvers(&self) -> People {
        let votes = self.votes().into_iter();
        votes
            .filter(|(_, choice)| *choice == Choice::Approve)
            .map(|(by, _)| by)
            .collect()
    }
}

/// The first end after a request opened.
fn end_in(log: &[Event]) -> Option<(How, People)> {
    log.iter().find_map(|e| match e {
        Event::Ended(how, by) => Some((*how, by.clone())),
        _ => None,
    })
}

/// Case 3: who comes after a decision is told who decided. Case 4: anything else is late.
fn after(end: Option<(How, People)>) -> Told {
    match end {
        Some((How::Approved, by)) => Told::AlreadyDecided(Choice::Approve, by),
        Some((How::Rejected, by)) => Told::AlreadyDecided(Choice::Reject, by),
        _ => Told::Late,
    }
}

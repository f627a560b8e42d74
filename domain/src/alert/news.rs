//! What is new about an alert.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Alert, AlertId, AlertSeverity, Closing, HeardSince, Sighting, machine};

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// It was raised, or came back after it was over.
    Raised,
    /// It happened again, or got worse, while it was active.
    Repeated,
    /// It is over.
    Cleared,
}

/// News about an alert, with all that triage needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// The alert.
    pub alert: AlertId,
    /// Which of its news this is, from 1.
    pub number: u32,
    /// What happened.
    pub kind: EventKind,
    /// When, not later than it was seen.
    pub at: Timestamp,
    /// Its title. Untrusted.
    pub title: String,
    /// The machine; empty when unknown.
    pub machine: String,
    /// The network address; empty when unknown.
    pub address: String,
    /// The site; empty when unknown.
    pub site: String,
    /// How bad it is.
    pub severity: AlertSeverity,
    /// Whether its source says when it is over; otherwise it is of the moment.
    #[serde(default = "super::lasting")]
    pub lasting: bool,
    /// Whether it is over only because nobody spoke of it any more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unheard: bool,
}

/// What a sighting leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// The alert as it is now.
    pub alert: Alert,
    /// News, in order; none when it was known.
    pub news: Vec<Event>,
}

impl Alert {
    /// Joins what a source says with what is known. A sighting that is older than what is known changes
    /// nothing; `None` when there is nothing to write. A `walk` over everything that is open writes down
    /// that it has found an alert, see [`Alert::miss`]; so does each word of a source that is not asked, see
    /// [`Alert::unheard`].
    ///
    /// - Unknown: it is raised, and cleared as well when it is over already.
    /// - Active and said to be over: it clears, at the time the source says or when it was seen.
    /// - Over and said to be active: it was raised again if it began after it was over, has happened more
    ///   often, or was over only because nobody spoke of it; otherwise the source's list is behind, and
    ///   nothing happens.
    /// - Active, more often or worse than before, or of the moment and raised since: it repeats.
    #[must_use]
    pub fn take(known: Option<Self>, said: Sighting, walk: bool) -> Option<Taken> {
        let said = in_time(said);
        let Some(known) = known else {
            return Some(Self::first(said));
        };
        if said.seen_at < known.said.seen_at {
            return None;
        }
        let over = said.cleared.map(|at| at.unwrap_or(said.seen_at));
        let was_unheard = known.closing == Some(Closing::Unheard);
        let kind = match (known.cleared_at, over) {
            (None, Some(_)) => Some(EventKind::Cleared),
            (Some(cleared), None) => {
                let again = said.raised_at > cleared || said.occurrences > known.said.occurrences;
                if !again && !was_unheard {
                    return None;
                }
                Some(EventKind::Raised)
            }
            (None, None) => {
                let worse = said.occurrences > known.said.occurrences
                    || said.severity > known.said.severity;
                // Of the moment: it happened another time, before the first one was forgotten.
                let again = !said.lasting && said.raised_at > known.said.raised_at;
                (worse || again).then_some(EventKind::Repeated)
            }
            // Raised and over again since we looked.
            (Some(cleared), Some(_)) if said.raised_at > cleared => Some(EventKind::Raised),
            (Some(_), Some(_)) => None,
        };
        let mut alert = Self {
            said,
            missed: 0,
            missed_by: None,
            ..known.clone()
        };
        let mut news = Vec::new();
        if let Some(kind) = kind {
            let at = match kind {
                EventKind::Raised => {
                    (alert.cleared_at, alert.closing) = (None, None);
                    // It may have begun before: what counts is that it is back.
                    alert
                        .said
                        .raised_at
                        .max(known.cleared_at.unwrap_or_default())
                }
                EventKind::Repeated => alert.said.seen_at,
                EventKind::Cleared => {
                    let at = over.unwrap_or(alert.said.seen_at);
                    alert.over(at, Closing::Cleared);
                    at
                }
            };
            news.push(alert.event(kind, at));
            if kind == EventKind::Raised
                && let Some(over) = over
            {
                alert.over(over, Closing::Cleared);
                news.push(alert.event(EventKind::Cleared, over));
            }
        }
        let mut same = known;
        same.said.seen_at = alert.said.seen_at;
        let found = walk || !alert.said.id.source().is_asked();
        let heard = found && alert.is_active();
        (heard || alert != same).then_some(Taken { alert, news })
    }

    fn first(said: Sighting) -> Taken {
        let over = said.cleared.map(|at| at.unwrap_or(said.seen_at));
        let mut alert = Self {
            first_seen_at: said.seen_at,
            said,
            cleared_at: None,
            closing: None,
            missed: 0,
            missed_by: None,
            news: 0,
            placement: None,
        };
        let raised = alert.said.raised_at;
        let mut news = vec![alert.event(EventKind::Raised, raised)];
        if let Some(over) = over {
            alert.over(over, Closing::Cleared);
            news.push(alert.event(EventKind::Cleared, over));
        }
        Taken { alert, news }
    }

    fn over(&mut self, at: Timestamp, closing: Closing) {
        (self.cleared_at, self.closing) = (Some(at), Some(closing));
    }

    /// Ends an alert that a walk over everything open did not find for the second time: one walk may
    /// miss a row, because rows move up when others end. A walk counts once. `None` when there is nothing
    /// to write.
    #[must_use]
    pub fn miss(mut self, walk_began: Timestamp, now: Timestamp) -> Option<Taken> {
        const ENOUGH: u32 = 2;
        let counted = self.missed_by >= Some(walk_began);
        if !self.is_active() || self.said.seen_at >= walk_began || counted {
            return None;
        }
        self.missed += 1;
        self.missed_by = Some(walk_began);
        let mut news = Vec::new();
        if self.missed >= ENOUGH {
            self.over(now, Closing::Missed);
            self.said.cleared = Some(None);
            self.said.seen_at = now;
            news.push(self.event(EventKind::Cleared, now));
        }
        Some(Taken { alert: self, news })
    }

    /// Ends an alert of which its source, which is never asked, has not spoken since then: it says nothing of
    /// ends, or its word of this one was lost. `None` when there is nothing to write.
    #[must_use]
    pub fn unheard(mut self, since: &HeardSince, now: Timestamp) -> Option<Taken> {
        let since = match self.said.lasting {
            true => since.lasting,
            false => since.of_moment,
        };
        let asked = self.said.id.source().is_asked();
        if !self.is_active() || asked || self.said.seen_at >= since {
            return None;
        }
        self.over(now, Closing::Unheard);
        let news = vec![self.event(EventKind::Cleared, now)];
        Some(Taken { alert: self, news })
    }

    /// Tells again how it began, and how it ended if it has; what happened in between is not kept.
    #[must_use]
    pub fn retell(&self) -> Vec<Event> {
        let raised = self.described(1, EventKind::Raised, self.said.raised_at);
        let cleared = self.cleared_at.map(|at| {
            let at = at.max(self.said.raised_at);
            self.described(2, EventKind::Cleared, at)
        });
        std::iter::once(raised).chain(cleared).collect()
    }

    fn event(&mut self, kind: EventKind, at: Timestamp) -> Event {
        self.news += 1;
        self.described(self.news, kind, at)
    }

    fn described(&self, number: u32, kind: EventKind, at: Timestamp) -> Event {
        let said = &self.said;
        Event {
            alert: said.id.clone(),
            number,
            kind,
            at,
            title: said.title.clone(),
            machine: machine(said.device.as_ref(), said.host.as_deref()).to_owned(),
            address: said.address.clone().unwrap_or_default(),
            site: said.site.clone().unwrap_or_default(),
            severity: said.severity,
            lasting: said.lasting,
            unheard: kind == EventKind::Cleared && self.closing == Some(Closing::Unheard),
        }
    }
}

/// Clocks of others run ahead: nothing happened later than it was seen, and nothing is over before it
/// began.
fn in_time(mut said: Sighting) -> Sighting {
    said.raised_at = said.raised_at.min(said.seen_at);
    let (raised, seen) = (said.raised_at, said.seen_at);
    said.cleared = said.cleared.map(|at| at.map(|at| at.clamp(raised, seen)));
    said
}

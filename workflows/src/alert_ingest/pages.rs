//! Pages of alerts: new ones, and all that is open.

use contracts::activities::alerts::{
    Backlog, MissAlerts, MissAlertsInput, ReadAlerts, ReadAlertsInput, ReadAlertsResult, WalkPlace,
};
use jiff::{SignedDuration, Timestamp};

use super::Work;
use crate::{failure::Failed, options};

/// How far new alerts were read.
pub(super) enum Read {
    /// Until what is known; when the newest was raised.
    All(Option<Timestamp>),
    /// Pages were left.
    Until {
        /// These.
        backlog: Backlog,
        /// Up to then all is known, although not by this reading alone.
        reached: Option<Timestamp>,
    },
}

/// Notes what the page of a walk had; says whether pages follow it.
fn came_to(place: &mut WalkPlace, read: &ReadAlertsResult) -> bool {
    place.oldest = place.oldest.into_iter().chain(read.oldest).min();
    read.has_more
}

impl Work<'_> {
    /// Reads pages from the newest on, until what is known. When pages are left, the next reading first goes on
    /// where this one has stopped, and then takes what is newer: in a storm that lasts, what came first does not
    /// wait for its end.
    pub(super) async fn new_ones(
        &self,
        until: Option<Timestamp>,
        backlog: Option<Backlog>,
    ) -> Result<Read, Failed> {
        let mut left = self.input.most_pages;
        let (mut until, mut reached) = (until, None);
        if let Some(mut gap) = backlog {
            left += 1;
            gap.page = self.behind(&gap).await?;
            let newest = gap.newest;
            let is_closed = self.down_to(until, &mut gap, &mut left).await?;
            gap.newest = newest;
            if !is_closed {
                let backlog = gap;
                return Ok(Read::Until { backlog, reached });
            }
            if left == 0 {
                return Ok(Read::All(newest));
            }
            let overlap = SignedDuration::from_secs(self.input.overlap_secs.cast_signed());
            until = newest.and_then(|newest| newest.checked_sub(overlap).ok());
            reached = newest;
        }
        let mut place = Backlog {
            page: 1,
            newest: None,
            oldest: None,
        };
        match self.down_to(until, &mut place, &mut left).await? {
            true => Ok(Read::All(place.newest)),
            false => Ok(Read::Until {
                backlog: place,
                reached,
            }),
        }
    }

    /// Reads on until what is known; `false` when pages were left.
    async fn down_to(
        &self,
        until: Option<Timestamp>,
        place: &mut Backlog,
        left: &mut u32,
    ) -> Result<bool, Failed> {
        while *left > 0 {
            *left -= 1;
            let read = self.page(place.page, false).await?;
            place.page += 1;
            place.newest = place.newest.max(read.newest);
            place.oldest = place.oldest.into_iter().chain(read.oldest).min();
            // The first reading takes the newest page; a walk takes what is open.
            let known = until.is_none_or(|until| read.oldest.is_none_or(|oldest| oldest < until));
            if !read.has_more || known {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Finds the page on which a gap begins: what is newer has moved it to a later one. Far fewer pages are read
    /// than it has moved by.
    async fn behind(&self, gap: &Backlog) -> Result<u32, Failed> {
        // Pages up to `before` are newer than all that is missing; `at` is not.
        let (mut before, mut at, mut ahead) = (gap.page - 1, gap.page, 1);
        while self.is_newer(at, gap).await? {
            before = at;
            at += ahead;
            ahead *= 2;
        }
        while at - before > 1 {
            let middle = before + (at - before) / 2;
            match self.is_newer(middle, gap).await? {
                true => before = middle,
                false => at = middle,
            }
        }
        Ok(at)
    }

    async fn is_newer(&self, page: u32, gap: &Backlog) -> Result<bool, Failed> {
        let read = self.page(page, false).await?;
        Ok(read.has_more && gap.oldest.is_some() && read.oldest > gap.oldest)
    }

    /// Reads everything that is open, and looks what was not there. `false` when pages were left.
    pub(super) async fn walk(&self, place: &mut WalkPlace) -> Result<bool, Failed> {
        let mut has_more = place.page == 0 || self.find(place).await?;
        let mut left = self.input.most_pages;
        while has_more {
            if left == 0 {
                return Ok(false);
            }
            left -= 1;
            let read = self.page(place.page + 1, true).await?;
            place.page += 1;
            has_more = came_to(place, &read);
        }
        let mut after = None;
        loop {
            let input = MissAlertsInput {
                walk_began: place.began,
                after,
            };
            let how = options::store("alerts that are gone");
            let missed = self.ctx.execute_activity(MissAlerts, input, how).await;
            let missed = missed.map_err(|error| Failed::of(&error))?;
            self.ctx
                .state_mut(|ingest| ingest.done.cleared += missed.cleared);
            after = missed.next;
            if after.is_none() {
                break;
            }
        }
        self.ctx.state_mut(|ingest| ingest.done.walked = true);
        Ok(true)
    }

    /// Finds the page on which a walk goes on: the last one it has read, or an earlier one when so many alerts
    /// have ended since that their rows have moved over its beginning. Says whether pages follow it.
    async fn find(&self, place: &mut WalkPlace) -> Result<bool, Failed> {
        let mut back = 1;
        loop {
            let read = self.page(place.page, true).await?;
            if place.page == 1 || read.newest >= place.oldest {
                return Ok(came_to(place, &read));
            }
            place.page = place.page.saturating_sub(back).max(1);
            back *= 2;
        }
    }

    async fn page(&self, page: u32, walk: bool) -> Result<ReadAlertsResult, Failed> {
        let input = ReadAlertsInput { page, walk };
        let which = if walk { "open alerts" } else { "alerts" };
        let how = options::alerts(format!("{which}, page {page}"));
        let read = self.ctx.execute_activity(ReadAlerts, input, how).await;
        let read = read.map_err(|error| Failed::of(&error))?;
        self.ctx.state_mut(|ingest| {
            ingest.done.pages += 1;
            ingest.done.alerts += read.alerts;
            ingest.done.new += read.new;
            ingest.done.changed += read.changed;
        });
        Ok(read)
    }
}

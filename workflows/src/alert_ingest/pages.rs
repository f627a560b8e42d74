//! Pages of alerts: new ones, and all that is open.

use contracts::activities::alerts::{
    Backlog, MissAlerts, MissAlertsInput, ReadAlerts, ReadAlertsInput, ReadAlertsResult, WalkPlace,
};
use jiff::Timestamp;

use super::Work;
use crate::{failure::Failed, options};

/// How far new alerts were read.
pub(super) enum Read {
    /// Until what is known; when the newest was raised.
    All(Option<Timestamp>),
    /// Pages were left.
    Until(Backlog),
}

/// Notes what the page of a walk had; says whether pages follow it.
fn came_to(place: &mut WalkPlace, read: &ReadAlertsResult) -> bool {
    place.oldest = place.oldest.into_iter().chain(read.oldest).min();
    read.has_more
}

impl Work<'_> {
    /// Reads pages from the newest on, until what is known. When pages are left, the next reading takes what
    /// is newer and goes on where this one has stopped.
    pub(super) async fn new_ones(
        &self,
        until: Option<Timestamp>,
        backlog: Option<Backlog>,
    ) -> Result<Read, Failed> {
        let mut newest = backlog.and_then(|left| left.newest);
        let mut page = 1;
        // With pages that were left, the newest one is read besides.
        for _ in 0..self.input.most_pages + u32::from(backlog.is_some()) {
            let read = self.page(page, false).await?;
            newest = newest.max(read.newest);
            // The first reading takes the newest page; a walk takes what is open.
            let known = until.is_none_or(|until| read.oldest.is_none_or(|oldest| oldest < until));
            if !read.has_more || known {
                return Ok(Read::All(newest));
            }
            page += 1;
            if let Some(left) = backlog
                && page < left.page
                && read.oldest <= left.newest
            {
                page = left.page;
            }
        }
        Ok(Read::Until(Backlog { page, newest }))
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

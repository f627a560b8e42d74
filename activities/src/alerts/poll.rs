//! Reading alerts: how far, page by page, and what is no longer there.

use clients::store::{BusyClient, ReaderState, StoreError};
use contracts::activities::alerts::{
    Backlog, BeginPollInput, BeginPollResult, BusyClientsInput, BusyClientsResult, EndPollInput,
    EndUnheardInput, EndUnheardResult, MissAlertsInput, MissAlertsResult, ReadAlertsInput,
    ReadAlertsResult, WalkPlace,
};
use domain::alert::{AlertSource, HeardSince};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{AlertReadActivities, Alerting, PAGE};
use crate::failure::{Outcome, bug_because};

/// Active alerts that are looked at in one go after a walk: few of them were not found.
const MISSED: usize = 1_000;
/// Active alerts that are looked at in one go because they were not heard of: as a rule each of them ends.
const UNHEARD: usize = 500;
/// Names what the reading of alerts remembers.
const READER: &str = "superops-alerts";

/// How far alerts were read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct Mark {
    /// When the newest known alert was raised.
    newest: Option<Timestamp>,
    /// When the last walk over everything open began that came to its end.
    walked: Option<Timestamp>,
    /// Where the last reading has stopped in the middle.
    backlog: Option<Backlog>,
    /// Where a walk has stopped in the middle.
    walk_place: Option<WalkPlace>,
}

fn span(secs: u64) -> SignedDuration {
    SignedDuration::from_secs(i64::try_from(secs).unwrap_or(i64::MAX))
}

impl Alerting {
    async fn mark(&self) -> Outcome<(Mark, u64)> {
        let facts = self.store.vulnerabilities.as_ref();
        let Some(state) = facts.reader_state(READER).await? else {
            return Ok((Mark::default(), 0));
        };
        let mark = serde_json::from_value(state.body)
            .map_err(|error| bug_because("how far alerts were read cannot be read", error))?;
        Ok((mark, state.version))
    }

    /// Says how far to read.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn begin(&self, input: &BeginPollInput) -> Outcome<BeginPollResult> {
        let (mark, _) = self.mark().await?;
        let now = self.clock.now();
        let overlap = span(input.overlap_secs);
        let next = mark.walked.map(|at| {
            at.checked_add(span(input.walk_secs))
                .unwrap_or(Timestamp::MAX)
        });
        Ok(BeginPollResult {
            until: mark
                .newest
                .map(|at| at.checked_sub(overlap).unwrap_or(Timestamp::MIN)),
            // One that has begun goes on, at whatever time the next one is due.
            walk: match mark.walk_place {
                Some(place) => Some(place.began),
                None => next.is_none_or(|next| next <= now).then_some(now),
            },
            backlog: mark.backlog,
            walk_place: mark.walk_place,
        })
    }

    /// Moves the mark on, never back: another reading may have come further.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn end(&self, input: &EndPollInput) -> Outcome<()> {
        loop {
            let (mark, version) = self.mark().await?;
            let moved = Mark {
                newest: mark.newest.max(input.newest),
                walked: mark.walked.max(input.walked),
                backlog: input.backlog,
                walk_place: input.walk_place,
            };
            if moved == mark {
                return Ok(());
            }
            let body = serde_json::to_value(moved).map_err(|error| {
                bug_because("how far alerts were read cannot be written", error)
            })?;
            let state = ReaderState {
                version: version + 1,
                body,
            };
            let facts = self.store.vulnerabilities.as_ref();
            match facts.move_reader(READER, state).await {
                // Somebody else has moved it: looked at again.
                Err(StoreError::Conflict { .. }) => {}
                done => return Ok(done?),
            }
        }
    }

    /// Notes what a walk has not found.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn miss(&self, input: &MissAlertsInput) -> Outcome<MissAlertsResult> {
        let alerts = self.store.alerts.as_ref();
        let (source, now) = (AlertSource::Superops, self.clock.now());
        let missed = alerts
            .miss_alerts(
                source,
                input.walk_began,
                now,
                input.after.as_deref(),
                MISSED,
            )
            .await?;
        metrics::counter!("autoops_alerts_missed_by_walks").increment(missed.missed);
        Ok(MissAlertsResult {
            cleared: missed.cleared,
            next: missed.next,
        })
    }

    /// Ends what sources that are not asked have not spoken of; those of longest ago first, so that a repeat
    /// goes on behind what is ended already.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn end_unheard(&self, input: &EndUnheardInput) -> Outcome<EndUnheardResult> {
        let now = self.clock.now();
        let before = |secs| now.checked_sub(span(secs)).unwrap_or(Timestamp::MIN);
        let since = HeardSince {
            lasting: before(input.unheard_secs),
            of_moment: before(input.moment_secs),
        };
        let mut result = EndUnheardResult {
            ended: 0,
            more: false,
        };
        for lasting in [false, true] {
            let alerts = self.store.alerts.as_ref();
            let page = alerts.end_unheard(lasting, since, now, None, UNHEARD);
            let page = page.await?;
            result.ended += page.ended;
            result.more |= page.next.is_some();
        }
        metrics::counter!("autoops_alerts_unheard").increment(result.ended);
        Ok(result)
    }

    /// Lists clients whose triage has something to do.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn busy(&self, input: &BusyClientsInput) -> Outcome<BusyClientsResult> {
        let alerts = self.store.alerts.as_ref();
        let page = alerts.busy_clients(input.after.as_deref(), PAGE).await?;
        let (news, waiting): (Vec<_>, Vec<_>) =
            page.items.into_iter().partition(|busy| busy.has_news);
        let ids = |busy: Vec<BusyClient>| busy.into_iter().map(|busy| busy.client).collect();
        Ok(BusyClientsResult {
            clients: ids(news),
            waiting: ids(waiting),
            next: page.next,
        })
    }
}

impl AlertReadActivities {
    pub(super) async fn page(&self, input: &ReadAlertsInput) -> Outcome<ReadAlertsResult> {
        // What is said of the state of an alert is as old as the request.
        let asked_at = self.clock.now();
        let page = self
            .superops
            .list_alerts(input.page, input.walk, asked_at)
            .await?;
        let raised = page.items.iter().map(|said| said.raised_at.min(asked_at));
        let (newest, oldest) = (raised.clone().max(), raised.min());
        let alerts = page.items.len() as u64;
        let taken = self
            .store
            .alerts
            .take_sightings(page.items, input.walk)
            .await?;
        let source = AlertSource::Superops.as_str();
        metrics::counter!("autoops_alerts_read", "source" => source).increment(alerts);
        metrics::counter!("autoops_alerts_news", "source" => source).increment(taken.news);
        Ok(ReadAlertsResult {
            alerts,
            new: taken.new,
            changed: taken.changed,
            newest,
            oldest,
            has_more: page.has_more,
        })
    }
}

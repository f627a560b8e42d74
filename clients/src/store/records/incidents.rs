//! Incidents: partition `incident/{key}`, lists `incidents/{client}`, `open-incidents/{client}`,
//! `open-incidents` and `undelivered/{client}`; and the port as a whole.

use async_trait::async_trait;
use domain::{
    alert::{Alert, AlertId, AlertSource, Event, HeardSince, Sighting},
    ids::{ClientId, DeviceId},
    triage::{
        Expectation, IncidentKey, IncidentNews, IncidentRecord, IncidentStatus, Order, Outcome,
    },
};
use futures::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;

use super::{
    Backend, Records, alert_facts as facts, alerts,
    items::{Order as Direction, Tx, moment, number},
    triage,
};
use crate::store::{
    Alerts, AlertsOf, BusyClient, IncidentChange, IncidentsOf, KEEP_ALERTS, Listing, Missed,
    RulesVersion, StatedTopology, StoreError, StoreResult, Taking, Turn, TurnEnd, Unheard,
};

const FACTS: &str = "facts";
/// Devices of one read, and reads at the same time, of what waves announce.
const DEVICES: usize = 50;
const AT_ONCE: usize = 4;
/// An incident, its places and a change.
const WRITES_OF_AN_INCIDENT: usize = 6;

fn partition(key: &IncidentKey) -> String {
    format!("incident/{key}")
}

fn list_of(of: &IncidentsOf) -> String {
    match of {
        IncidentsOf::Client(client) => format!("incidents/{client}"),
        IncidentsOf::OpenOf(client) => format!("open-incidents/{client}"),
        IncidentsOf::Open => "open-incidents".to_owned(),
        IncidentsOf::UndeliveredOf(client) => format!("undelivered/{client}"),
    }
}

fn put(tx: &Tx<'_>, record: &IncidentRecord) -> StoreResult<()> {
    let (pk, client) = (partition(&record.key), record.key.client());
    let is_open = record.status == IncidentStatus::Open;
    let end = record.updated_at.checked_add(KEEP_ALERTS).ok();
    tx.put_until(&pk, FACTS, record, end.filter(|_| !is_open))?;
    let sort = format!(
        "{}/{client}/{}",
        moment(record.opened_at),
        number(record.key.number().0)
    );
    let mut lists = vec![IncidentsOf::Client(client.clone())];
    if is_open {
        lists.push(IncidentsOf::OpenOf(client.clone()));
        lists.push(IncidentsOf::Open);
    }
    if record.is_undelivered() {
        lists.push(IncidentsOf::UndeliveredOf(client.clone()));
    }
    let places: Vec<_> = lists.iter().map(|of| (list_of(of), sort.clone())).collect();
    tx.place(&pk, FACTS, &places)?;
    tx.change("incident", Some(client), &record.key.to_string())
        .map(drop)
}

fn take(tx: &Tx<'_>, client: &ClientId, news: IncidentNews, now: Timestamp) -> StoreResult<()> {
    let key = IncidentKey::new(client.clone(), news.incident.id);
    let known = tx.get(&partition(&key), FACTS)?;
    match IncidentRecord::take(known, client, news, now) {
        Some(record) => put(tx, &record),
        None => Ok(()),
    }
}

fn change(tx: &Tx<'_>, key: &IncidentKey, change: &IncidentChange) -> StoreResult<IncidentRecord> {
    let missing = || StoreError::NotFound {
        what: format!("incident `{key}`"),
    };
    let known: IncidentRecord = tx.get(&partition(key), FACTS)?.ok_or_else(missing)?;
    let mut record = known.clone();
    match change {
        IncidentChange::Delivered(version) => record.delivered = record.delivered.max(*version),
        IncidentChange::Cause(cause) => record.cause = Some(cause.clone()),
        IncidentChange::Closed {
            version,
            closing,
            at,
        } => {
            if record.version == *version && record.status == IncidentStatus::Open {
                record.status = IncidentStatus::Closed {
                    at: *at,
                    closing: closing.clone(),
                };
                record.updated_at = *at;
            }
        }
    }
    if record != known {
        put(tx, &record)?;
    }
    Ok(record)
}

impl<B: Backend> Records<B> {
    async fn state_of(
        &self,
        client: &ClientId,
        head: triage::Head,
    ) -> StoreResult<Option<Vec<u8>>> {
        if head.version == 0 {
            return Ok(None);
        }
        let mut state = Vec::new();
        for part in 0..head.parts {
            let (client, head) = (client.clone(), head.clone());
            let read = self
                .0
                .read(move |tx| triage::read_part(tx, &client, &head, part));
            state.extend(read.await?);
        }
        Ok(Some(state))
    }

    /// Deletes what is no longer needed; what is left of it harms nobody and is deleted by the next turn.
    async fn clean(&self, client: &ClientId, taken: &[String], left: &[String]) -> StoreResult<()> {
        for keys in taken.chunks(B::MOST_WRITES) {
            let (client, keys) = (client.clone(), keys.to_vec());
            self.0
                .write(move |tx| triage::forget_news(tx, &client, &keys))
                .await?;
        }
        for written_by in left.iter().filter(|by| !by.is_empty()) {
            let delete = || {
                let (client, written_by) = (client.clone(), written_by.clone());
                self.0
                    .write(move |tx| triage::delete_part(tx, &client, &written_by))
            };
            while delete().await? {}
        }
        Ok(())
    }
}

#[async_trait]
impl<B: Backend> Alerts for Records<B> {
    async fn take_sightings(&self, sightings: Vec<Sighting>, walk: bool) -> StoreResult<Taking> {
        let mut sum = Taking::default();
        for chunk in sightings.chunks(B::MOST_WRITES / alerts::WRITES_OF_AN_ALERT) {
            let chunk = chunk.to_vec();
            let work = move |tx: &Tx<'_>| {
                let mut sum = Taking::default();
                for said in &chunk {
                    alerts::take(tx, said.clone(), walk, &mut sum)?;
                }
                Ok(sum)
            };
            let taken = self.0.write(work).await?;
            sum.new += taken.new;
            sum.changed += taken.changed;
            sum.news += taken.news;
        }
        Ok(sum)
    }

    async fn get_alerts(&self, ids: &[AlertId]) -> StoreResult<Vec<Alert>> {
        let pks: Vec<String> = ids.iter().map(alerts::partition).collect();
        self.0.read(move |tx| tx.get_all(&pks, alerts::FACTS)).await
    }

    async fn list_alerts(
        &self,
        of: &AlertsOf,
        cursor: Option<&str>,
        limit: usize,
    ) -> StoreResult<Listing<Alert>> {
        let (of, cursor) = (of.clone(), cursor.map(ToOwned::to_owned));
        self.0
            .read(move |tx| alerts::list(tx, &of, cursor.as_deref(), limit))
            .await
    }

    async fn miss_alerts(
        &self,
        source: AlertSource,
        walk_began: Timestamp,
        now: Timestamp,
        cursor: Option<&str>,
        limit: usize,
    ) -> StoreResult<Missed> {
        let cursor = cursor.map(ToOwned::to_owned);
        let page = self
            .0
            .read(move |tx| alerts::active(tx, source, cursor.as_deref(), limit))
            .await?;
        let unseen = page
            .items
            .into_iter()
            .filter(|alert| alert.said.seen_at < walk_began);
        let unseen: Vec<AlertId> = unseen.map(|alert| alert.said.id).collect();
        let mut sum = Missed {
            next: page.next,
            ..Missed::default()
        };
        for chunk in unseen.chunks(B::MOST_WRITES / alerts::WRITES_OF_AN_ALERT) {
            let chunk = chunk.to_vec();
            let work = move |tx: &Tx<'_>| {
                let each = chunk.iter().map(|id| alerts::miss(tx, id, walk_began, now));
                each.collect::<StoreResult<Vec<_>>>()
            };
            for (missed, cleared) in self.0.write(work).await? {
                sum.missed += u64::from(missed);
                sum.cleared += u64::from(cleared);
            }
        }
        Ok(sum)
    }

    async fn end_unheard(
        &self,
        lasting: bool,
        since: HeardSince,
        now: Timestamp,
        cursor: Option<&str>,
        limit: usize,
    ) -> StoreResult<Unheard> {
        let cursor = cursor.map(ToOwned::to_owned);
        let page = self
            .0
            .read(move |tx| alerts::heard(tx, lasting, cursor.as_deref(), limit))
            .await?;
        let all = page.items.len();
        let due = page.items.into_iter();
        let due = due.map_while(|alert| alert.unheard(&since, now).map(|over| over.alert.said.id));
        let due: Vec<AlertId> = due.collect();
        let mut sum = Unheard {
            // What comes after one that was heard of was heard of later.
            next: page.next.filter(|_| due.len() == all),
            ..Unheard::default()
        };
        for chunk in due.chunks(B::MOST_WRITES / alerts::WRITES_OF_AN_ALERT) {
            let chunk = chunk.to_vec();
            let work = move |tx: &Tx<'_>| {
                let each = chunk.iter();
                let each = each.map(|id| alerts::end_unheard(tx, id, &since, now));
                each.collect::<StoreResult<Vec<_>>>()
            };
            let ended = self.0.write(work).await?;
            sum.ended += ended.into_iter().filter(|ended| *ended).count() as u64;
        }
        Ok(sum)
    }

    async fn busy_clients(
        &self,
        cursor: Option<&str>,
        limit: usize,
    ) -> StoreResult<Listing<BusyClient>> {
        let cursor = cursor.map(ToOwned::to_owned);
        self.0
            .read(move |tx| triage::busy_clients(tx, cursor.as_deref(), limit))
            .await
    }

    async fn begin_turn(&self, client: &ClientId, claim: &str) -> StoreResult<Turn> {
        let (whose, claim) = (client.clone(), claim.to_owned());
        let (turn, head) = self
            .0
            .write(move |tx| triage::begin(tx, &whose, &claim))
            .await?;
        self.clean(client, &head.taken, &head.left).await?;
        // The one that the last turn has left is no news; each try that was lost leaves one more.
        if head.left.len() > 1 {
            let turn = turn.clone();
            self.0
                .write(move |tx| triage::forget_left(tx, &turn))
                .await?;
        }
        let state = self.state_of(client, head).await?;
        Ok(Turn { state, ..turn })
    }

    async fn read_news(
        &self,
        client: &ClientId,
        until: Timestamp,
        limit: usize,
    ) -> StoreResult<Vec<Event>> {
        let client = client.clone();
        self.0
            .read(move |tx| triage::news(tx, &client, until, limit))
            .await
    }

    async fn read_orders(&self, client: &ClientId, limit: usize) -> StoreResult<Vec<Order>> {
        let client = client.clone();
        self.0
            .read(move |tx| triage::orders(tx, &client, limit))
            .await
    }

    async fn put_order(&self, client: &ClientId, order: Order) -> StoreResult<Order> {
        let client = client.clone();
        self.0
            .write(move |tx| triage::put_order(tx, &client, &order))
            .await
    }

    async fn get_order(&self, client: &ClientId, id: &str) -> StoreResult<Option<Order>> {
        let (client, id) = (client.clone(), id.to_owned());
        self.0
            .read(move |tx| triage::get_order(tx, &client, &id))
            .await
    }

    async fn write_outcome(
        &self,
        turn: &Turn,
        outcome: Outcome,
        now: Timestamp,
    ) -> StoreResult<()> {
        let turn = Turn {
            state: None,
            ..turn.clone()
        };
        // Incidents first: an alert never names one that is not there.
        for chunk in outcome
            .incidents
            .chunks(B::MOST_WRITES / WRITES_OF_AN_INCIDENT)
        {
            let (turn, chunk) = (turn.clone(), chunk.to_vec());
            let work = move |tx: &Tx<'_>| {
                triage::fence(tx, &turn)?;
                let mut each = chunk.iter().cloned();
                each.try_for_each(|news| take(tx, &turn.client, news, now))
            };
            self.0.write(work).await?;
        }
        for chunk in outcome
            .placements
            .chunks(B::MOST_WRITES / alerts::WRITES_OF_AN_ALERT)
        {
            let (turn, chunk) = (turn.clone(), chunk.to_vec());
            let work = move |tx: &Tx<'_>| {
                triage::fence(tx, &turn)?;
                let mut each = chunk.iter();
                each.try_for_each(|(id, placement)| alerts::place(tx, id, placement))
            };
            self.0.write(work).await?;
        }
        Ok(())
    }

    async fn end_turn(&self, turn: &Turn, end: TurnEnd) -> StoreResult<()> {
        let bare = Turn {
            state: None,
            ..turn.clone()
        };
        let whose = turn.client.clone();
        let before = self.0.read(move |tx| triage::head(tx, &whose)).await?;
        let mut parts = 0;
        for part in end.state.chunks(triage::PART) {
            let (turn, bytes, number) = (bare.clone(), part.to_vec(), parts);
            self.0
                .write(move |tx| triage::write_part(tx, &turn, number, &bytes))
                .await?;
            parts += 1;
        }
        let mut taken: Vec<String> = end.taken.iter().map(alerts::news_key).collect();
        taken.sort_unstable();
        let (turn, keys, answers, more) = (bare.clone(), taken.clone(), end.answers, end.more);
        let work = move |tx: &Tx<'_>| {
            for (id, answer) in &answers {
                triage::answer(tx, &turn.client, id, answer)?;
            }
            triage::commit(tx, &turn, parts, keys.clone(), more)
        };
        self.0.write(work).await?;
        self.clean(&bare.client, &taken, &[before.written_by]).await
    }

    async fn get_incident(&self, key: &IncidentKey) -> StoreResult<Option<IncidentRecord>> {
        let pk = partition(key);
        self.0.read(move |tx| tx.get(&pk, FACTS)).await
    }

    async fn list_incidents(
        &self,
        of: &IncidentsOf,
        cursor: Option<&str>,
        limit: usize,
    ) -> StoreResult<Listing<IncidentRecord>> {
        let (list, cursor) = (list_of(of), cursor.map(ToOwned::to_owned));
        let direction = match of {
            // While a storm lasts there are new ones at each turn: nobody waits for its end.
            IncidentsOf::UndeliveredOf(_) => Direction::Ascending,
            IncidentsOf::Client(_) | IncidentsOf::OpenOf(_) | IncidentsOf::Open => {
                Direction::Descending
            }
        };
        self.0
            .read(move |tx| tx.list(&list, cursor.as_deref(), limit, direction))
            .await
    }

    async fn change_incident(
        &self,
        key: &IncidentKey,
        wanted: IncidentChange,
    ) -> StoreResult<IncidentRecord> {
        let key = key.clone();
        self.0.write(move |tx| change(tx, &key, &wanted)).await
    }

    async fn put_rules(&self, rules: RulesVersion) -> StoreResult<()> {
        self.0.write(move |tx| facts::put_rules(tx, &rules)).await
    }

    async fn latest_rules(&self, client: &ClientId) -> StoreResult<Option<RulesVersion>> {
        let client = client.clone();
        self.0
            .read(move |tx| facts::latest_rules(tx, &client))
            .await
    }

    async fn put_topology(&self, topology: StatedTopology) -> StoreResult<()> {
        self.0
            .write(move |tx| facts::put_topology(tx, &topology))
            .await
    }

    async fn get_topology(&self, client: &ClientId) -> StoreResult<Option<StatedTopology>> {
        let client = client.clone();
        self.0.read(move |tx| facts::topology(tx, &client)).await
    }

    async fn put_expectation(&self, expectation: Expectation) -> StoreResult<()> {
        self.0
            .write(move |tx| facts::put_expectation(tx, expectation.clone()))
            .await
    }

    async fn get_expectations(&self, devices: &[DeviceId]) -> StoreResult<Vec<Expectation>> {
        let chunks: Vec<_> = devices.chunks(DEVICES).map(<[_]>::to_vec).collect();
        let each = chunks.into_iter().map(|some| {
            self.0.read(move |tx| {
                let each = some.iter().map(|device| facts::expectations(tx, device));
                each.collect::<StoreResult<Vec<_>>>()
            })
        });
        let all: Vec<_> = stream::iter(each).buffered(AT_ONCE).try_collect().await?;
        Ok(all.into_iter().flatten().flatten().collect())
    }
}

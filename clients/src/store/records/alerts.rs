//! Alerts: partition `alert/{id}`, lists `alerts/{client}`, `active/{client}`; of active ones `active-of/{source}`
//! where we ask, else `heard/{how long}` by when they were heard of; news in partition `news/{client}` by time;
//! orders in `orders/{client}`.

use domain::{
    alert::{Alert, AlertId, AlertSource, Event, HeardSince, Placement, Sighting, Taken},
    ids::ClientId,
    incident::IncidentId,
    triage::IncidentKey,
};
use jiff::Timestamp;

use super::{
    items::{Order as Direction, Place, Tx, moment, number},
    triage,
};
use crate::store::{AlertsOf, KEEP_ALERTS, Listing, StoreResult, Taking};

pub(super) const FACTS: &str = "facts";
/// An alert, four places out of which and four into which it moves, its news, a change, and who is busy.
pub(super) const WRITES_OF_AN_ALERT: usize = 13;

pub(super) fn partition(id: &AlertId) -> String {
    format!("alert/{id}")
}

pub(super) fn news_of(client: &ClientId) -> String {
    format!("news/{client}")
}

/// Sorts by time; the rest tells apart what happened at once.
pub(super) fn news_key(event: &Event) -> String {
    format!(
        "{}/{}/{}",
        moment(event.at),
        event.alert,
        number(event.number.into())
    )
}

pub(super) fn list_of(of: &AlertsOf) -> String {
    match of {
        AlertsOf::Client(client) => format!("alerts/{client}"),
        AlertsOf::ActiveOf(client) => format!("active/{client}"),
        AlertsOf::Incident(key) | AlertsOf::FirstOf(key) => format!("incident-alerts/{key}"),
    }
}

fn active_of(source: AlertSource) -> String {
    format!("active-of/{source}")
}

fn heard_of(lasting: bool) -> String {
    let how_long = if lasting { "lasting" } else { "moment" };
    format!("heard/{how_long}")
}

fn put(tx: &Tx<'_>, alert: &Alert) -> StoreResult<()> {
    let (id, client) = (&alert.said.id, &alert.said.client);
    let pk = partition(id);
    let end = alert
        .cleared_at
        .and_then(|at| at.checked_add(KEEP_ALERTS).ok());
    tx.put_until(&pk, FACTS, alert, end)?;
    let sort = format!("{}/{id}", moment(alert.said.raised_at));
    let place = |of: AlertsOf| -> Place { (list_of(&of), sort.clone()) };
    let mut places = vec![place(AlertsOf::Client(client.clone()))];
    if alert.is_active() {
        places.push(place(AlertsOf::ActiveOf(client.clone())));
        places.push(match id.source().is_asked() {
            true => (active_of(id.source()), id.to_string()),
            false => {
                let heard = format!("{}/{id}", moment(alert.said.seen_at));
                (heard_of(alert.said.lasting), heard)
            }
        });
    }
    if let Some(incident) = alert.placement.as_ref().and_then(|placed| placed.incident) {
        let key = IncidentKey::new(client.clone(), IncidentId(incident));
        places.push(place(AlertsOf::Incident(key)));
    }
    tx.place(&pk, FACTS, &places)?;
    tx.change("alert", Some(client), id.as_str()).map(drop)
}

fn write_down(tx: &Tx<'_>, taken: &Taken) -> StoreResult<()> {
    put(tx, &taken.alert)?;
    let client = &taken.alert.said.client;
    for event in &taken.news {
        tx.put(&news_of(client), &news_key(event), event)?;
    }
    if !taken.news.is_empty() {
        triage::mark_busy(tx, client)?;
    }
    Ok(())
}

/// Takes in one sighting.
pub(super) fn take(tx: &Tx<'_>, said: Sighting, walk: bool, sum: &mut Taking) -> StoreResult<()> {
    let known: Option<Alert> = tx.get(&partition(&said.id), FACTS)?;
    // An alert that names another client now stays where its incident is.
    let said = match &known {
        Some(known) => Sighting {
            client: known.said.client.clone(),
            ..said
        },
        None => said,
    };
    let before = known.clone();
    let Some(taken) = Alert::take(known, said, walk) else {
        return Ok(());
    };
    write_down(tx, &taken)?;
    sum.new += u64::from(before.is_none());
    // That it was found, or spoken of again, changes nothing about it.
    let changed = before.is_some_and(|mut before| {
        before.said.seen_at = taken.alert.said.seen_at;
        before != taken.alert
    });
    sum.changed += u64::from(changed);
    sum.news += taken.news.len() as u64;
    Ok(())
}

/// Notes that a walk has not found an alert; says whether it did not, and whether it is over by that.
pub(super) fn miss(
    tx: &Tx<'_>,
    id: &AlertId,
    walk_began: Timestamp,
    now: Timestamp,
) -> StoreResult<(bool, bool)> {
    let known: Option<Alert> = tx.get(&partition(id), FACTS)?;
    let Some(taken) = known.and_then(|alert| alert.miss(walk_began, now)) else {
        return Ok((false, false));
    };
    write_down(tx, &taken)?;
    Ok((true, !taken.news.is_empty()))
}

/// Ends an alert that was not heard of; says whether it did.
pub(super) fn end_unheard(
    tx: &Tx<'_>,
    id: &AlertId,
    since: &HeardSince,
    now: Timestamp,
) -> StoreResult<bool> {
    // What was heard of since the list was read goes on.
    let known: Option<Alert> = tx.get(&partition(id), FACTS)?;
    let Some(taken) = known.and_then(|alert| alert.unheard(since, now)) else {
        return Ok(false);
    };
    write_down(tx, &taken)?;
    Ok(true)
}

pub(super) fn place(tx: &Tx<'_>, id: &AlertId, placement: &Placement) -> StoreResult<()> {
    let known: Option<Alert> = tx.get(&partition(id), FACTS)?;
    // Forgotten meanwhile: there is nothing to say of it.
    let Some(mut alert) = known else {
        return Ok(());
    };
    if alert.placement.as_ref() == Some(placement) {
        return Ok(());
    }
    alert.placement = Some(placement.clone());
    put(tx, &alert)
}

pub(super) fn list(
    tx: &Tx<'_>,
    of: &AlertsOf,
    cursor: Option<&str>,
    limit: usize,
) -> StoreResult<Listing<Alert>> {
    let direction = match of {
        AlertsOf::FirstOf(_) => Direction::Ascending,
        AlertsOf::Client(_) | AlertsOf::ActiveOf(_) | AlertsOf::Incident(_) => {
            Direction::Descending
        }
    };
    tx.list(&list_of(of), cursor, limit, direction)
}

pub(super) fn active(
    tx: &Tx<'_>,
    source: AlertSource,
    cursor: Option<&str>,
    limit: usize,
) -> StoreResult<Listing<Alert>> {
    tx.list(&active_of(source), cursor, limit, Direction::Ascending)
}

pub(super) fn heard(
    tx: &Tx<'_>,
    lasting: bool,
    cursor: Option<&str>,
    limit: usize,
) -> StoreResult<Listing<Alert>> {
    tx.list(&heard_of(lasting), cursor, limit, Direction::Ascending)
}

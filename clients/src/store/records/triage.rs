//! Turns of triage: partition `triage/{client}` with `head`, `busy` and the state in parts; orders of people
//! in `orders/{client}`.

use base64::{Engine, engine::general_purpose::STANDARD};
use domain::{
    alert::Event,
    ids::ClientId,
    triage::{Order, OrderAnswer},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    alerts::{news_key, news_of},
    items::{Order as Direction, Tx, moment, number},
};
use crate::store::{BusyClient, KEEP_ALERTS, Listing, StoreError, StoreResult, Turn};

const HEAD: &str = "head";
const BUSY: &str = "busy";
/// Bytes of one part of a state, before it is written as text.
pub(super) const PART: usize = 512 * 1024;

/// The list of clients whose triage has something to do.
pub(super) const BUSY_CLIENTS: &str = "busy-clients";

/// Where the triage of a client stands.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Head {
    /// Turns that have ended.
    pub(super) version: u64,
    /// Who may write.
    pub(super) claim: String,
    /// Who wrote the state, and in how many parts.
    pub(super) written_by: String,
    pub(super) parts: u64,
    /// News that were taken in and may not have been deleted yet.
    pub(super) taken: Vec<String>,
    /// Who wrote states that are not needed, or began to, and may not have been deleted yet.
    #[serde(default)]
    pub(super) left: Vec<String>,
}

#[derive(Serialize, Deserialize)]
struct Busy {
    /// How often there was news.
    marked: u64,
    /// How much of that the last ended turn knew of.
    #[serde(default)]
    settled: u64,
    client: ClientId,
}

fn partition(client: &ClientId) -> String {
    format!("triage/{client}")
}

fn parts_of(written_by: &str) -> String {
    format!("state/{written_by}/")
}

fn part_key(written_by: &str, part: u64) -> String {
    format!("{}{}", parts_of(written_by), number(part))
}

fn orders_of(client: &ClientId) -> String {
    format!("orders/{client}")
}

fn waiting_orders(client: &ClientId) -> String {
    format!("waiting-orders/{client}")
}

fn put_busy(tx: &Tx<'_>, busy: &Busy) -> StoreResult<()> {
    let pk = partition(&busy.client);
    tx.put(&pk, BUSY, busy)?;
    let place = (BUSY_CLIENTS.to_owned(), busy.client.to_string());
    tx.place(&pk, BUSY, &[place])
}

/// Notes that there is something to do.
pub(super) fn mark_busy(tx: &Tx<'_>, client: &ClientId) -> StoreResult<()> {
    let known: Option<Busy> = tx.get(&partition(client), BUSY)?;
    let (marked, settled) = known.map_or((0, 0), |busy| (busy.marked, busy.settled));
    let busy = Busy {
        marked: marked + 1,
        settled,
        client: client.clone(),
    };
    put_busy(tx, &busy)
}

/// Lists the busy ones, and says of each whether there is news.
pub(super) fn busy_clients(
    tx: &Tx<'_>,
    cursor: Option<&str>,
    limit: usize,
) -> StoreResult<Listing<BusyClient>> {
    let found = tx.list::<Busy>(BUSY_CLIENTS, cursor, limit, Direction::Ascending)?;
    let items = found.items.into_iter().map(|busy| BusyClient {
        has_news: busy.marked != busy.settled,
        client: busy.client,
    });
    Ok(Listing {
        items: items.collect(),
        next: found.next,
    })
}

pub(super) fn head(tx: &Tx<'_>, client: &ClientId) -> StoreResult<Head> {
    Ok(tx.get(&partition(client), HEAD)?.unwrap_or_default())
}

/// Takes the turn; returns it without its state, and the head it stands on.
pub(super) fn begin(tx: &Tx<'_>, client: &ClientId, claim: &str) -> StoreResult<(Turn, Head)> {
    let pk = partition(client);
    let mut head = head(tx, client)?;
    if head.written_by == claim {
        return Err(StoreError::Conflict {
            what: format!("claim `{claim}` has ended a turn already"),
        });
    }
    if head.claim != claim {
        let lost = std::mem::replace(&mut head.claim, claim.to_owned());
        if lost != head.written_by {
            head.left.push(lost);
        }
        tx.put(&pk, HEAD, &head)?;
    }
    let busy: Option<Busy> = tx.get(&pk, BUSY)?;
    let turn = Turn {
        client: client.clone(),
        claim: claim.to_owned(),
        version: head.version,
        marked: busy.map_or(0, |busy| busy.marked),
        state: None,
    };
    Ok((turn, head))
}

/// Refuses those who no longer have the turn.
pub(super) fn fence(tx: &Tx<'_>, turn: &Turn) -> StoreResult<Head> {
    let head = head(tx, &turn.client)?;
    if head.claim == turn.claim && head.version == turn.version {
        return Ok(head);
    }
    Err(StoreError::Conflict {
        what: format!("somebody else does the triage of client {}", turn.client),
    })
}

pub(super) fn read_part(
    tx: &Tx<'_>,
    client: &ClientId,
    head: &Head,
    part: u64,
) -> StoreResult<Vec<u8>> {
    let (pk, sk) = (partition(client), part_key(&head.written_by, part));
    let lost = || StoreError::corrupt(format!("record `{pk} {sk}`"));
    let text: String = tx.get(&pk, &sk)?.ok_or_else(lost)?;
    STANDARD.decode(text).map_err(|_| lost())
}

pub(super) fn write_part(tx: &Tx<'_>, turn: &Turn, part: u64, bytes: &[u8]) -> StoreResult<()> {
    fence(tx, turn)?;
    let sk = part_key(&turn.claim, part);
    tx.put(&partition(&turn.client), &sk, &STANDARD.encode(bytes))
}

/// Deletes the next part of a state that is not needed any more; says whether there was one.
pub(super) fn delete_part(tx: &Tx<'_>, client: &ClientId, written_by: &str) -> StoreResult<bool> {
    let (pk, prefix, head) = (partition(client), parts_of(written_by), head(tx, client)?);
    if head.claim == written_by || head.written_by == written_by {
        return Ok(false);
    }
    let Some(part) = tx.range(&pk, &prefix, None, 1, Direction::Ascending)?.pop() else {
        return Ok(false);
    };
    tx.delete(&pk, &part.sk)?;
    Ok(true)
}

/// Notes that the states that are not needed any more are deleted.
pub(super) fn forget_left(tx: &Tx<'_>, turn: &Turn) -> StoreResult<()> {
    let head = fence(tx, turn)?;
    let left = Vec::new();
    tx.put(&partition(&turn.client), HEAD, &Head { left, ..head })
}

/// Moves the head to the state that was written.
pub(super) fn commit(
    tx: &Tx<'_>,
    turn: &Turn,
    parts: u64,
    taken: Vec<String>,
    more: bool,
) -> StoreResult<()> {
    let before = fence(tx, turn)?;
    let pk = partition(&turn.client);
    let head = Head {
        version: turn.version + 1,
        claim: turn.claim.clone(),
        written_by: turn.claim.clone(),
        parts,
        taken,
        left: vec![before.written_by],
    };
    tx.put(&pk, HEAD, &head)?;
    let Some(busy) = tx.get::<Busy>(&pk, BUSY)? else {
        return Ok(());
    };
    if !more && busy.marked == turn.marked {
        return tx.delete(&pk, BUSY);
    }
    let settled = turn.marked;
    put_busy(tx, &Busy { settled, ..busy })
}

pub(super) fn forget_news(tx: &Tx<'_>, client: &ClientId, keys: &[String]) -> StoreResult<()> {
    let pk = news_of(client);
    keys.iter().try_for_each(|key| tx.delete(&pk, key))
}

/// Reads news up to a time, without those that were taken in.
pub(super) fn news(
    tx: &Tx<'_>,
    client: &ClientId,
    until: Timestamp,
    limit: usize,
) -> StoreResult<Vec<Event>> {
    let taken = head(tx, client)?.taken;
    let all = limit.saturating_add(taken.len());
    let (mut found, mut after) = (Vec::new(), None::<String>);
    loop {
        let page = tx.page::<Event>(
            &news_of(client),
            "",
            after.as_deref(),
            all,
            Direction::Ascending,
        )?;
        for event in page.items {
            if event.at > until || found.len() >= limit {
                return Ok(found);
            }
            if taken.binary_search(&news_key(&event)).is_err() {
                found.push(event);
            }
        }
        after = page.next;
        if after.is_none() {
            return Ok(found);
        }
    }
}

fn order_place(client: &ClientId, order: &Order) -> (String, String) {
    (
        waiting_orders(client),
        format!("{}/{}", moment(order.at), order.id),
    )
}

pub(super) fn put_order(tx: &Tx<'_>, client: &ClientId, order: &Order) -> StoreResult<Order> {
    let pk = orders_of(client);
    if let Some(known) = tx.get(&pk, &order.id)? {
        return Ok(known);
    }
    let end = order.at.checked_add(KEEP_ALERTS).ok();
    tx.put_until(&pk, &order.id, order, end)?;
    tx.place(&pk, &order.id, &[order_place(client, order)])?;
    mark_busy(tx, client)?;
    tx.change("order", Some(client), &order.id)?;
    Ok(order.clone())
}

pub(super) fn get_order(tx: &Tx<'_>, client: &ClientId, id: &str) -> StoreResult<Option<Order>> {
    tx.get(&orders_of(client), id)
}

pub(super) fn orders(tx: &Tx<'_>, client: &ClientId, limit: usize) -> StoreResult<Vec<Order>> {
    let found = tx.list(&waiting_orders(client), None, limit, Direction::Ascending)?;
    Ok(found.items)
}

pub(super) fn answer(
    tx: &Tx<'_>,
    client: &ClientId,
    id: &str,
    answer: &OrderAnswer,
) -> StoreResult<()> {
    let pk = orders_of(client);
    let Some(mut order) = tx.get::<Order>(&pk, id)? else {
        return Ok(());
    };
    order.answer = Some(answer.clone());
    tx.put_until(&pk, id, &order, order.at.checked_add(KEEP_ALERTS).ok())?;
    tx.place(&pk, id, &[])?;
    tx.change("order", Some(client), id).map(drop)
}

//! What triage goes by: rules in `alert-rules/{client}`, topology in `topology/{client}`, what patch waves
//! announce in `expected/{device}`.

use domain::{
    ids::{ClientId, DeviceId},
    triage::{Expectation, SUSPECTED},
};
use jiff::SignedDuration;

use super::items::{Order, Tx, number};
use crate::store::{RulesVersion, StatedTopology, StoreError, StoreResult};

const FACTS: &str = "facts";
/// Attempts of plans at one device that are looked at.
const MOST: usize = 50;

fn rules_of(client: &ClientId) -> String {
    format!("alert-rules/{client}")
}

pub(super) fn latest_rules(tx: &Tx<'_>, client: &ClientId) -> StoreResult<Option<RulesVersion>> {
    let newest = tx.last(&rules_of(client), "")?;
    newest.map(|item| item.parse()).transpose()
}

pub(super) fn put_rules(tx: &Tx<'_>, rules: &RulesVersion) -> StoreResult<()> {
    let newest = latest_rules(tx, &rules.client)?.map_or(0, |known| known.version);
    if newest + 1 != rules.version {
        return Err(StoreError::Conflict {
            what: format!(
                "the rules of client {} are at version {newest}: version {} cannot follow",
                rules.client, rules.version
            ),
        });
    }
    tx.put(&rules_of(&rules.client), &number(rules.version), rules)?;
    let key = format!("{}/{}", rules.client, rules.version);
    tx.change("alert-rules", Some(&rules.client), &key)
        .map(drop)
}

fn topology_of(client: &ClientId) -> String {
    format!("topology/{client}")
}

pub(super) fn topology(tx: &Tx<'_>, client: &ClientId) -> StoreResult<Option<StatedTopology>> {
    tx.get(&topology_of(client), FACTS)
}

pub(super) fn put_topology(tx: &Tx<'_>, stated: &StatedTopology) -> StoreResult<()> {
    let known = topology(tx, &stated.client)?;
    if known.is_some_and(|known| known.at > stated.at || known == *stated) {
        return Ok(());
    }
    tx.put(&topology_of(&stated.client), FACTS, stated)?;
    tx.change("topology", Some(&stated.client), stated.client.as_str())
        .map(drop)
}

fn expected_of(device: &DeviceId) -> String {
    format!("expected/{device}")
}

pub(super) fn put_expectation(tx: &Tx<'_>, mut expectation: Expectation) -> StoreResult<()> {
    let pk = expected_of(&expectation.device);
    let sk = format!(
        "{}/{}",
        expectation.plan,
        number(expectation.attempt.into())
    );
    let known: Option<Expectation> = tx.get(&pk, &sk)?;
    if let Some(known) = &known {
        expectation.from = expectation.from.min(known.from);
    }
    if known.as_ref() == Some(&expectation) {
        return Ok(());
    }
    let last = expectation
        .until
        .checked_add(SUSPECTED + SignedDuration::from_hours(24));
    tx.put_until(&pk, &sk, &expectation, last.ok())
}

pub(super) fn expectations(tx: &Tx<'_>, device: &DeviceId) -> StoreResult<Vec<Expectation>> {
    let found = tx.page(&expected_of(device), "", None, MOST, Order::Ascending)?;
    Ok(found.items)
}

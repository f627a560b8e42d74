//! What updates close on a device: the vulnerabilities behind them, ready to be judged; and on which
//! devices a plan closes something that evidence is taken of first.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;

use super::{Facts, PatchList, chain::Chains};
use crate::{
    device::Device,
    ids::{CveId, DeviceId, KbId},
    plan::PatchSelector,
    vulnerability::ranking::{self, Target, Threat},
};

/// A vulnerability, ready to be judged.
pub(super) struct Open {
    pub(super) id: CveId,
    pub(super) threat: Threat,
    /// Since when one can know of it.
    pub(super) since: Option<Date>,
}

/// Lists what these updates close, as far as anything is known of it.
pub(super) fn open<'a>(facts: &Facts, updates: impl Iterator<Item = &'a KbId>) -> Vec<Open> {
    let updates = updates.filter_map(|kb| facts.updates.get(kb));
    let ids: BTreeSet<&CveId> = updates.flat_map(|update| &update.cves).collect();
    of(facts, ids.into_iter())
}

fn of<'a>(facts: &Facts, ids: impl Iterator<Item = &'a CveId>) -> Vec<Open> {
    let records = ids.filter_map(|id| facts.vulnerabilities.get(id));
    records
        .filter(|record| !record.rejected)
        .map(|record| Open {
            id: record.id.clone(),
            threat: record.threat(&facts.histories),
            since: record.known_since(),
        })
        .collect()
}

/// Says of which devices evidence has to be taken before these patches are installed: those on which
/// they close something whose deadline asks for it.
///
/// What comes with a patch is found along the chain of replaced updates, as in a draft. Of a device
/// whose patch list nobody has read the whole chain counts: what a restart has destroyed cannot be
/// taken any more.
#[must_use]
pub fn evidence_first(facts: &Facts, patches: &[PatchSelector]) -> BTreeSet<DeviceId> {
    let chains = Chains::new(&facts.updates);
    let threats = threats(facts, patches);
    let first = |device: &&Device| {
        let target = Target::from(*device);
        let list = facts.lists.get(&device.id);
        patches.iter().any(|patch| {
            let closed = closed_by(facts, &chains, patch, list);
            closed.into_iter().any(|id| {
                let threat = threats.get(id);
                threat.is_some_and(|threat| ranking::deadline(threat, &target).needs_evidence())
            })
        })
    };
    let devices = facts.devices.iter().filter(first);
    devices.map(|device| device.id.clone()).collect()
}

/// Says whether anything that these patches may close could ask for evidence, on the most exposed
/// device there is: where it could not, patch lists need not be read.
#[must_use]
pub fn may_ask_for_evidence(facts: &Facts) -> bool {
    let mut records = facts.vulnerabilities.values();
    records.any(|record| !record.rejected && record.in_kev())
}

/// Each vulnerability is judged once, not once for each device.
fn threats(facts: &Facts, patches: &[PatchSelector]) -> BTreeMap<CveId, Threat> {
    let named = patches.iter().flat_map(|patch| &patch.cves);
    let known = facts.updates.values().flat_map(|update| &update.cves);
    let ids: BTreeSet<&CveId> = named.chain(known).collect();
    let open = of(facts, ids.into_iter()).into_iter();
    open.map(|one| (one.id, one.threat)).collect()
}

fn closed_by<'a>(
    facts: &'a Facts,
    chains: &Chains<'_>,
    patch: &'a PatchSelector,
    list: Option<&PatchList>,
) -> BTreeSet<&'a CveId> {
    let covered = match list {
        // It closes nothing here any more.
        Some(list) if list.installed.contains(&patch.kb) => return BTreeSet::new(),
        Some(list) => {
            let missing = list.missing.iter().map(|patch| &patch.kb).collect();
            chains.covered(&patch.kb, &missing, &list.installed)
        }
        None => chains.below(&patch.kb),
    };
    let updates = covered.iter().chain([&patch.kb]);
    let updates = updates.filter_map(|kb| facts.updates.get(kb));
    let closed = updates.flat_map(|update| &update.cves);
    closed.chain(&patch.cves).collect()
}

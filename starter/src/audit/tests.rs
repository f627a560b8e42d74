//! Shows and checks of the audit trail.

use std::collections::BTreeMap;

use async_trait::async_trait;
use clients::store::{Listing, Store, StoreResult};
use domain::{
    audit::{AuditRecord, ChainHead},
    people::Identity,
};

use super::*;

fn record(chain: &str, key: &str) -> AuditRecord {
    AuditRecord {
        chain: chain.into(),
        key: key.into(),
        at: jiff::Timestamp::UNIX_EPOCH,
        client: "7".parse().unwrap(),
        actor: Actor::Person {
            name: "dana".into(),
            identity: Identity::Claimed,
        },
        what: "decision_counted".into(),
        evidence: vec![],
        detail: serde_json::json!({ "choice": "approve", "reason": null, "n": 3 }),
        plan_hash: None,
        policy_version: None,
        tokens: None,
    }
}

#[tokio::test]
async fn a_deployment_is_checked_with_its_device_runs_only() {
    let path = std::env::temp_dir().join(format!("autoops-audit-{}/store.db", std::process::id()));
    let store = Store::embedded(&path).unwrap();
    for chain in [
        "patch-deployment/p",
        "device-patch/p/81",
        "device-patch/p/82/2",
        "device-patch/p2/81",
    ] {
        for key in ["a", "b", "b"] {
            store
                .actions
                .append_audit(record(chain, key))
                .await
                .unwrap();
        }
    }
    let actions = store.actions.as_ref();
    let one = verify(actions, Some("patch-deployment/p")).await.unwrap();
    assert_eq!(
        one,
        Verification {
            chains: 3,
            entries: 6,
            ..Verification::default()
        }
    );
    assert_eq!(verify(actions, None).await.unwrap().chains, 4);
    assert!(verify(actions, Some("patch-deployment/q")).await.is_err());
    std::fs::remove_dir_all(path.parent().unwrap()).unwrap();
}

/// A store whose audit trail can be damaged.
#[derive(Debug)]
struct Damaged {
    chains: BTreeMap<&'static str, Vec<AuditEntry>>,
    heads: BTreeMap<&'static str, ChainHead>,
    unreadable: (&'static str, u64),
}

fn entries(chain: &str, count: u64) -> Vec<AuditEntry> {
    let mut entries: Vec<AuditEntry> = Vec::new();
    for sequence in 1..=count {
        let previous = entries
            .last()
            .map_or(audit::GENESIS.to_owned(), |entry| entry.hash.clone());
        let record = record(chain, &format!("k{sequence}"));
        entries.push(AuditEntry::seal(record, sequence, &previous).unwrap());
    }
    entries
}

#[async_trait]
impl Actions for Damaged {
    async fn append_audit(&self, _: AuditRecord) -> StoreResult<AuditEntry> {
        unreachable!("a check writes nothing")
    }

    async fn chain_head(&self, chain: &str) -> StoreResult<Option<ChainHead>> {
        Ok(self.heads.get(chain).cloned())
    }

    async fn read_chain(
        &self,
        chain: &str,
        after: u64,
        limit: usize,
    ) -> StoreResult<Vec<AuditEntry>> {
        let behind = self.chains[chain].iter().filter(|e| e.sequence > after);
        let page: Vec<_> = behind.take(limit).cloned().collect();
        let is_bad = |entry: &AuditEntry| (chain, entry.sequence) == self.unreadable;
        match page.iter().any(is_bad) {
            true => Err(StoreError::Corrupt {
                what: format!("record of {chain}"),
                source: None,
            }),
            false => Ok(page),
        }
    }

    async fn list_chains(&self, _: Option<&str>, _: usize) -> StoreResult<Listing<String>> {
        let items = self.chains.keys().map(|chain| (*chain).to_owned());
        Ok(Listing {
            items: items.collect(),
            next: None,
        })
    }

    async fn audit_of_day(
        &self,
        _: &domain::ids::ClientId,
        _: jiff::civil::Date,
        _: Option<&str>,
        _: usize,
    ) -> StoreResult<Listing<AuditEntry>> {
        unreachable!("a check reads chains")
    }

    async fn audited_days(
        &self,
        _: Option<jiff::civil::Date>,
        _: Option<&str>,
        _: usize,
    ) -> StoreResult<Listing<(jiff::civil::Date, domain::ids::ClientId)>> {
        unreachable!("a check reads chains")
    }
}

#[tokio::test]
async fn every_broken_chain_is_named_with_its_first_bad_entry_and_the_check_goes_on() {
    let mut store = Damaged {
        chains: BTreeMap::new(),
        heads: BTreeMap::new(),
        unreadable: ("damaged", 203),
    };
    for (chain, count) in [("cut", 5), ("damaged", 300), ("emptied", 2), ("whole", 3)] {
        let whole = entries(chain, count);
        store
            .heads
            .insert(chain, ChainHead::of(whole.last().unwrap()));
        store.chains.insert(chain, whole);
    }
    store.chains.get_mut("cut").unwrap().truncate(3);
    store.chains.get_mut("emptied").unwrap().clear();
    let found = verify(&store, None).await.unwrap();
    let broken: Vec<_> = found
        .broken
        .iter()
        .map(|broken| (broken.chain.as_str(), broken.sequence, broken.why))
        .collect();
    assert_eq!(
        broken,
        [
            ("cut", 4, "it is missing"),
            ("damaged", 203, "it cannot be read"),
            ("emptied", 1, "it is missing"),
        ]
    );
    assert_eq!((found.chains, found.entries), (4, 3 + 202 + 3));
    let json = serde_json::to_value(&found).unwrap();
    assert_eq!(json["broken"][1]["sequence"], 203);
}

#[test]
fn who_spoke_is_marked_as_claimed() {
    let record = record("c", "k");
    assert_eq!(actor(&record.actor), "dana (claimed)");
    assert_eq!(detail(&record.detail), "choice: approve; n: 3");
    assert_eq!(chain("p").unwrap(), "patch-deployment/p");
    assert!(chain("My Plan").is_err());
}

//! The ledger of bad patches in the store: counters per update and OS build that name no client and
//! no device, and the flag that stops an update.
//!
//! Counters are named `ledger/{kb}/{epoch}/{build}/good|bad`; build `all` is the total. A person who
//! clears an update starts its next epoch, and all counts are zero again.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use domain::{
    audit::{Actor, AuditRecord},
    ids::{ClientId, DeviceId, KbId, PersonId, PlanId},
    ledger::{self, Evidence, HELD_FOR, PROVIDER, Tally, Verdict},
    people::Identity,
};
use jiff::Timestamp;

use crate::store::{Store, StoreError, StoreResult};

/// Stands for all builds.
const ALL: &str = "all";
/// Entries of a chain read at once.
const ENTRIES: usize = 200;

/// The audit chain of an update: what the ledger and people decided about it.
#[must_use]
pub fn chain_of(kb: &KbId) -> String {
    format!("{}/{kb}", ledger::NAME)
}

/// What a device of a plan says about an update, and when it was known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said<'a> {
    /// Update.
    pub kb: &'a KbId,
    /// Plan; kept as a hash only.
    pub plan: &'a PlanId,
    /// Device; kept as a hash only.
    pub device: &'a DeviceId,
    /// Its OS build, by [`ledger::build_of`].
    pub build: &'a str,
    /// Good or bad.
    pub evidence: Evidence,
    /// When.
    pub at: Timestamp,
}

/// What the ledger holds about an update.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// How often it was cleared.
    pub epoch: i64,
    /// All builds together.
    pub all: Tally,
    /// Build by build.
    pub builds: BTreeMap<String, Tally>,
    /// When a device failed last.
    pub last_bad: Option<Timestamp>,
    /// The flag that stops it, as it was set: who, then why.
    pub stopped: Option<String>,
}

impl Page {
    /// Judges the update over all builds.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        ledger::judge(self.all, self.stopped.as_deref())
    }
}

/// What became of clearing an update.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cleared {
    /// The epoch that counts from now on.
    pub epoch: i64,
    /// The flag that was removed.
    pub was_stopped: Option<String>,
}

/// What became of a stop by hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stopped {
    /// The epoch that it ends.
    pub epoch: i64,
    /// The flag that was there before, and stays.
    pub was_stopped: Option<String>,
}

/// The ledger of a store.
#[derive(Debug, Clone, Copy)]
pub struct Ledger<'a> {
    store: &'a Store,
}

impl<'a> Ledger<'a> {
    /// Opens the ledger of a store.
    #[must_use]
    pub fn new(store: &'a Store) -> Self {
        Self { store }
    }

    /// Counts what a device says, once per plan, device and update, and judges the update. A stop is
    /// written down, then the flag is set, so that no stop is without its entry. A repeat changes
    /// nothing.
    ///
    /// # Errors
    /// When the store cannot be used.
    pub async fn count(&self, said: &Said<'_>) -> StoreResult<Verdict> {
        let counters = &self.store.counters;
        let (kb, epoch) = (said.kb, self.epoch(said.kb).await?);
        let key = ledger::key_of(said.plan, said.device, kb);
        // Before it counts: who sees the counts that stop it also sees the time.
        if said.evidence == Evidence::Bad {
            self.note_bad(kb, epoch, said.at).await?;
        }
        for build in [said.build, ALL] {
            let name = counter(kb, epoch, build, said.evidence);
            counters.add(&name, &key, 1).await?;
        }
        self.note_build(kb, epoch, said.build).await?;
        let flag = counters.get_flag(&ledger::flag_of(kb)).await?;
        let (of_build, of_all) = (
            self.tally(kb, epoch, said.build).await?,
            self.tally(kb, epoch, ALL).await?,
        );
        let verdict = ledger::judge_both(said.build, of_build, of_all, flag.as_deref());
        if flag.is_none()
            && let Verdict::Stop { reason } = &verdict
        {
            self.stop(said, epoch, reason).await?;
        }
        Ok(verdict)
    }

    /// Says since when and why an update is held; nothing when it is not.
    ///
    /// # Errors
    /// When the store cannot be used.
    pub async fn held(&self, kb: &KbId, now: Timestamp) -> StoreResult<Option<String>> {
        let epoch = self.epoch(kb).await?;
        let Verdict::Hold { reason } = ledger::judge(self.tally(kb, epoch, ALL).await?, None)
        else {
            return Ok(None);
        };
        let last = self.last_bad(kb, epoch).await?;
        let until = last.and_then(|last| last.checked_add(HELD_FOR).ok());
        Ok(until.filter(|until| now < *until).map(|until| {
            format!(
                "{}: {kb}, over all clients: {reason}; rings after the first wait until {until:.0}",
                ledger::NAME
            )
        }))
    }

    /// Judges an update over all builds, as it was counted until now.
    ///
    /// # Errors
    /// When the store cannot be used.
    pub async fn verdict(&self, kb: &KbId) -> StoreResult<Verdict> {
        let epoch = self.epoch(kb).await?;
        let stopped = self.store.counters.get_flag(&ledger::flag_of(kb)).await?;
        let all = self.tally(kb, epoch, ALL).await?;
        Ok(ledger::judge(all, stopped.as_deref()))
    }

    /// Reads what is known of an update.
    ///
    /// # Errors
    /// When the store cannot be used.
    pub async fn page(&self, kb: &KbId) -> StoreResult<Page> {
        let epoch = self.epoch(kb).await?;
        let mut builds = BTreeMap::new();
        for build in self.builds(kb, epoch).await? {
            let tally = self.tally(kb, epoch, &build).await?;
            builds.insert(build, tally);
        }
        Ok(Page {
            epoch,
            all: self.tally(kb, epoch, ALL).await?,
            builds,
            last_bad: self.last_bad(kb, epoch).await?,
            stopped: self.store.counters.get_flag(&ledger::flag_of(kb)).await?,
        })
    }

    /// Stops an update in the name of a person, as the ledger does by itself: written down, then
    /// flagged. A flag that is there stays as it was set, and nothing is written.
    ///
    /// # Errors
    /// When the store cannot be used, or the person has the name of the ledger: deployments believe
    /// that name by the flag.
    pub async fn stop_by(
        &self,
        kb: &KbId,
        by: &PersonId,
        reason: &str,
        at: Timestamp,
    ) -> StoreResult<Stopped> {
        if by.as_str() == ledger::NAME {
            return Err(StoreError::Invalid {
                what: format!("by: `{by}` is the ledger itself; the name of a person is allowed"),
            });
        }
        let counters = &self.store.counters;
        let before = self.page(kb).await?;
        let epoch = before.epoch;
        if before.stopped.is_none() {
            // One that died before it had set the flag has written this.
            let key = format!("stopped-{epoch}-{by}");
            if !self.is_written(kb, &key).await? {
                let record = AuditRecord {
                    key,
                    actor: Actor::Person {
                        name: by.to_string(),
                        identity: Identity::Claimed,
                    },
                    what: "ledger_stop".to_owned(),
                    detail: serde_json::json!({
                        "why": reason, "counted": before.all, "epoch": epoch,
                    }),
                    ..record(kb, at)?
                };
                self.store.actions.append_audit(record).await?;
            }
            let flag = format!("{by}: {reason}");
            counters.set_flag(&ledger::flag_of(kb), Some(&flag)).await?;
        }
        Ok(Stopped {
            epoch,
            was_stopped: before.stopped,
        })
    }

    /// Starts the next epoch of an update and removes its flag, whoever has set it. The epoch comes
    /// first: what is counted meanwhile must not set the flag again. Whoever repeats it after a crash
    /// starts another epoch, with the same effect.
    ///
    /// # Errors
    /// When the store cannot be used.
    pub async fn clear(
        &self,
        kb: &KbId,
        by: &PersonId,
        reason: &str,
        at: Timestamp,
    ) -> StoreResult<Cleared> {
        let counters = &self.store.counters;
        let before = self.page(kb).await?;
        let epoch = counters.add(&epoch_of(kb), &format!("{at}"), 1).await?;
        let record = AuditRecord {
            key: format!("cleared-{epoch}"),
            actor: Actor::Person {
                name: by.to_string(),
                identity: Identity::Claimed,
            },
            what: "ledger_cleared".to_owned(),
            detail: serde_json::json!({
                "reason": reason, "was": before.stopped, "counted": before.all, "epoch": epoch,
            }),
            ..record(kb, at)?
        };
        self.store.actions.append_audit(record).await?;
        counters.set_flag(&ledger::flag_of(kb), None).await?;
        Ok(Cleared {
            epoch,
            was_stopped: before.stopped,
        })
    }

    async fn stop(&self, said: &Said<'_>, epoch: i64, reason: &str) -> StoreResult<()> {
        let kb = said.kb;
        // Cleared since it was counted: what it was judged by is over.
        if self.epoch(kb).await? != epoch {
            return Ok(());
        }
        // Devices that fail at the same moment say the same, and so write one entry.
        let at = self.last_bad(kb, epoch).await?.unwrap_or(said.at);
        let key = format!("stop-{epoch}");
        if !self.is_written(kb, &key).await? {
            let record = AuditRecord {
                key,
                actor: Actor::Agent {
                    name: ledger::NAME.to_owned(),
                    model: None,
                },
                what: "ledger_stop".to_owned(),
                detail: serde_json::json!({ "why": reason, "epoch": epoch }),
                ..record(kb, at)?
            };
            self.store.actions.append_audit(record).await?;
        }
        let flag = ledger::flagged(reason);
        let counters = &self.store.counters;
        counters.set_flag(&ledger::flag_of(kb), Some(&flag)).await
    }

    /// A device that comes a little later stops it for a reason that differs by a count: one entry is
    /// enough.
    async fn is_written(&self, kb: &KbId, key: &str) -> StoreResult<bool> {
        let (chain, mut after) = (chain_of(kb), 0);
        loop {
            let entries = self.store.actions.read_chain(&chain, after, ENTRIES);
            let entries = entries.await?;
            if entries.iter().any(|entry| entry.record.key == key) {
                return Ok(true);
            }
            match entries.last() {
                Some(last) if entries.len() == ENTRIES => after = last.sequence,
                _ => return Ok(false),
            }
        }
    }

    /// Reads how often an update was cleared.
    ///
    /// # Errors
    /// When the store cannot be used.
    pub async fn epoch(&self, kb: &KbId) -> StoreResult<i64> {
        self.store.counters.read(&epoch_of(kb)).await
    }

    async fn tally(&self, kb: &KbId, epoch: i64, build: &str) -> StoreResult<Tally> {
        let read = async |evidence| {
            let name = counter(kb, epoch, build, evidence);
            let count = self.store.counters.read(&name).await?;
            StoreResult::Ok(u32::try_from(count.max(0)).unwrap_or(u32::MAX))
        };
        Ok(Tally {
            good: read(Evidence::Good).await?,
            bad: read(Evidence::Bad).await?,
        })
    }

    /// The builds that were counted, for people: two that come at the same moment may hide one, until
    /// it is counted again. Nothing is judged by it.
    async fn builds(&self, kb: &KbId, epoch: i64) -> StoreResult<Vec<String>> {
        let list = self.store.counters.get_flag(&builds_of(kb, epoch)).await?;
        let list = list.unwrap_or_default();
        Ok(list
            .split(' ')
            .filter(|build| !build.is_empty())
            .map(ToOwned::to_owned)
            .collect())
    }

    async fn note_build(&self, kb: &KbId, epoch: i64, build: &str) -> StoreResult<()> {
        let mut builds = self.builds(kb, epoch).await?;
        if builds.iter().any(|known| known == build) {
            return Ok(());
        }
        builds.push(build.to_owned());
        let list = builds.join(" ");
        let counters = &self.store.counters;
        counters.set_flag(&builds_of(kb, epoch), Some(&list)).await
    }

    async fn last_bad(&self, kb: &KbId, epoch: i64) -> StoreResult<Option<Timestamp>> {
        let last = self
            .store
            .counters
            .get_flag(&last_bad_of(kb, epoch))
            .await?;
        Ok(last.and_then(|at| at.parse().ok()))
    }

    async fn note_bad(&self, kb: &KbId, epoch: i64, at: Timestamp) -> StoreResult<()> {
        if self
            .last_bad(kb, epoch)
            .await?
            .is_some_and(|last| at <= last)
        {
            return Ok(());
        }
        let counters = &self.store.counters;
        counters
            .set_flag(&last_bad_of(kb, epoch), Some(&at.to_string()))
            .await
    }
}

fn counter(kb: &KbId, epoch: i64, build: &str, evidence: Evidence) -> String {
    format!(
        "{}/{kb}/{epoch}/{build}/{}",
        ledger::NAME,
        evidence.as_str()
    )
}

fn epoch_of(kb: &KbId) -> String {
    format!("{}/{kb}/epoch", ledger::NAME)
}

fn builds_of(kb: &KbId, epoch: i64) -> String {
    format!("{}/{kb}/{epoch}/builds", ledger::NAME)
}

fn last_bad_of(kb: &KbId, epoch: i64) -> String {
    format!("{}/{kb}/{epoch}/last-bad", ledger::NAME)
}

/// An entry about an update; it belongs to no client.
fn record(kb: &KbId, at: Timestamp) -> StoreResult<AuditRecord> {
    let client: ClientId = PROVIDER.parse().map_err(|error| StoreError::Invalid {
        what: format!("an entry of the ledger: {error}"),
    })?;
    Ok(AuditRecord {
        chain: chain_of(kb),
        key: String::new(),
        at,
        client,
        actor: Actor::Workflow,
        what: String::new(),
        evidence: vec![kb.to_string()],
        detail: serde_json::Value::Null,
        plan_hash: None,
        policy_version: None,
        tokens: None,
    })
}

//! Evidence of devices in the storage of objects: written once, before anybody is told of it.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use bytes::Bytes;
use domain::{
    audit::{Actor, AuditRecord},
    evidence::{REFUSED, STORED, StoredEvidence},
    failure::{Classify, FailureKind},
    ids::{ClientId, DeviceId, JobId, PlanId},
    input::InvalidInput,
};
use jiff::Timestamp;
use sha2::{Digest, Sha256};

use crate::{
    objects::{ObjectKey, Objects, ObjectsError},
    store::{Store, StoreError},
};

/// Entries read at once.
const PAGE: usize = 200;

/// Why evidence was not kept, or cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum EvidenceError {
    /// Other evidence of this job is there: what was written first stays.
    #[error("other evidence of job {job} is kept already; what came first stays")]
    Different {
        /// The job.
        job: JobId,
    },
    /// Nobody knows a plan of this name.
    #[error("no plan {plan} is known")]
    UnknownPlan {
        /// The plan.
        plan: PlanId,
    },
    /// The bytes are not those that the audit trail names.
    #[error("object {key} has SHA-256 {found}, and the audit trail says {written}")]
    Altered {
        /// The object.
        key: String,
        /// Hash of its bytes.
        found: String,
        /// Hash that was written down.
        written: String,
    },
    /// The storage of objects failed.
    #[error(transparent)]
    Objects(#[from] ObjectsError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An id cannot be part of a key.
    #[error(transparent)]
    Invalid(#[from] InvalidInput),
}

impl Classify for EvidenceError {
    fn kind(&self) -> FailureKind {
        match self {
            Self::Different { .. } => FailureKind::Conflict,
            Self::UnknownPlan { .. } => FailureKind::NotFound,
            Self::Altered { .. } => FailureKind::Malformed,
            Self::Objects(error) => error.kind(),
            Self::Store(error) => error.kind(),
            Self::Invalid(_) => FailureKind::InvalidInput,
        }
    }

    fn may_pass(&self) -> bool {
        match self {
            Self::Store(error) => error.may_pass(),
            other => other.kind().is_retryable(),
        }
    }
}

/// Where a report says that its evidence comes from.
#[derive(Debug, Clone, Copy)]
pub struct Origin<'a> {
    /// Plan.
    pub plan: &'a PlanId,
    /// Device.
    pub device: &'a DeviceId,
    /// Job.
    pub job: &'a JobId,
    /// Chain of the device run in the audit trail: its workflow id.
    pub chain: &'a str,
}

/// Evidence that is kept, as the audit trail of its device run tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Device.
    pub device: DeviceId,
    /// The device run.
    pub chain: String,
    /// When it was written down.
    pub at: Timestamp,
    /// Where it is, and its hash.
    pub stored: StoredEvidence,
}

/// Keeps evidence and finds it again.
#[derive(Debug, Clone)]
pub struct EvidenceRoom {
    store: Store,
    objects: Objects,
}

impl EvidenceRoom {
    /// Makes one over a store and a storage of objects.
    #[must_use]
    pub fn new(store: Store, objects: Objects) -> Self {
        Self { store, objects }
    }

    /// Keeps a document. The same again is a success; other evidence of the same job is refused, and the
    /// audit trail of the device run says so.
    ///
    /// # Errors
    /// `Different` when other evidence is there; `UnknownPlan`; otherwise when a store fails.
    pub async fn keep(
        &self,
        origin: Origin<'_>,
        document: Bytes,
        at: Timestamp,
    ) -> Result<StoredEvidence, EvidenceError> {
        let client = self.client_of(origin.plan).await?;
        let key = key_of(&client, origin)?;
        let stored = StoredEvidence {
            key: key.to_string(),
            sha256: hex::encode(Sha256::digest(&document)),
            bytes: document.len() as u64,
        };
        match self.objects.create(&key, document).await {
            Ok(_) => Ok(stored),
            Err(ObjectsError::Conflict { .. }) => {
                self.note_refusal(origin, client, &stored, at).await?;
                Err(EvidenceError::Different {
                    job: origin.job.clone(),
                })
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn client_of(&self, plan: &PlanId) -> Result<ClientId, EvidenceError> {
        let status = self.store.executions.get_status(plan).await?;
        let status = status.ok_or_else(|| EvidenceError::UnknownPlan { plan: plan.clone() })?;
        Ok(status.client)
    }

    async fn note_refusal(
        &self,
        origin: Origin<'_>,
        client: ClientId,
        refused: &StoredEvidence,
        at: Timestamp,
    ) -> Result<(), EvidenceError> {
        let record = AuditRecord {
            chain: origin.chain.to_owned(),
            // The same content is refused once.
            key: format!("{REFUSED}-{}", refused.sha256),
            at,
            client,
            actor: Actor::Workflow,
            what: REFUSED.to_owned(),
            evidence: refused.named(),
            detail: serde_json::json!({
                "device": origin.device, "job": origin.job, "bytes": refused.bytes,
                "why": "other evidence of this job is kept already",
            }),
            plan_hash: None,
            policy_version: None,
            tokens: None,
        };
        self.store.actions.append_audit(record).await?;
        Ok(())
    }

    /// Lists the evidence of a plan that audit trails tell of, by device. `chain_of` names the chain of an
    /// attempt on a device.
    ///
    /// # Errors
    /// `UnknownPlan`; otherwise when a store fails.
    pub async fn list(
        &self,
        plan: &PlanId,
        chain_of: impl Fn(&DeviceId, u32) -> String + Sync,
    ) -> Result<Vec<Kept>, EvidenceError> {
        let client = self.client_of(plan).await?;
        let keys = self
            .objects
            .list(&ObjectKey::evidence_of(&client, plan)?)
            .await?;
        let runs = keys.iter().filter_map(run_of_key);
        let runs: BTreeSet<(DeviceId, u32)> = runs.collect();
        let mut kept = Vec::new();
        for (device, attempt) in runs {
            let chain = chain_of(&device, attempt);
            self.told_by(&chain, &device, &mut kept).await?;
        }
        Ok(kept)
    }

    async fn told_by(
        &self,
        chain: &str,
        device: &DeviceId,
        kept: &mut Vec<Kept>,
    ) -> Result<(), EvidenceError> {
        let mut after = 0;
        loop {
            let entries = self.store.actions.read_chain(chain, after, PAGE).await?;
            let Some(last) = entries.last() else {
                return Ok(());
            };
            after = last.sequence;
            let stored = entries.iter().filter(|entry| entry.record.what == STORED);
            kept.extend(stored.filter_map(|entry| {
                Some(Kept {
                    device: device.clone(),
                    chain: chain.to_owned(),
                    at: entry.record.at,
                    stored: StoredEvidence::of_record(&entry.record)?,
                })
            }));
        }
    }

    /// Reads a document and compares it with its hash.
    ///
    /// # Errors
    /// `Altered` when it is another one; otherwise when the storage fails.
    pub async fn fetch(&self, stored: &StoredEvidence) -> Result<Bytes, EvidenceError> {
        let bytes = self.objects.read(&stored.key.parse()?).await?;
        let found = hex::encode(Sha256::digest(&bytes));
        if found != stored.sha256 {
            return Err(EvidenceError::Altered {
                key: stored.key.clone(),
                found,
                written: stored.sha256.clone(),
            });
        }
        Ok(bytes)
    }
}

fn key_of(client: &ClientId, origin: Origin<'_>) -> Result<ObjectKey, InvalidInput> {
    let run = format!("{}/{}/", origin.plan, origin.device);
    let job = origin.job.as_str();
    let job = job.strip_prefix(run.as_str()).unwrap_or(job);
    ObjectKey::evidence(client, origin.plan, origin.device, job)
}

/// Reads device and attempt out of a key: `…/{device}/evidence-all-0.json`, and with the attempt in
/// front from the second on.
fn run_of_key(key: &ObjectKey) -> Option<(DeviceId, u32)> {
    let mut parts = key.as_str().rsplit('/');
    let (job, device) = (parts.next()?, parts.next()?);
    let (attempt, _) = job.split_once('-')?;
    // The first attempt has no number.
    let attempt = attempt.parse().unwrap_or(1);
    Some((device.parse().ok()?, attempt))
}

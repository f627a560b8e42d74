use domain::deployment::Stage;

use super::*;
use crate::store::conformance;

const CHAIN: &str = "device-patch/p/81";

struct Place {
    room: EvidenceRoom,
    folder: tempfile::TempDir,
}

impl Place {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::embedded(&folder.path().join("store.db")).unwrap();
        let objects = Objects::in_folder(&folder.path().join("objects")).unwrap();
        let status = conformance::status("p", "7", Stage::Deploying, 0, 0);
        store.executions.put_status(status, None).await.unwrap();
        Self {
            room: EvidenceRoom::new(store, objects),
            folder,
        }
    }

    async fn keep(
        &self,
        job: &str,
        document: &'static str,
    ) -> Result<StoredEvidence, EvidenceError> {
        let (plan, device, job) = (
            "p".parse().unwrap(),
            "81".parse().unwrap(),
            job.parse().unwrap(),
        );
        let origin = Origin {
            plan: &plan,
            device: &device,
            job: &job,
            chain: CHAIN,
        };
        let at = Timestamp::UNIX_EPOCH;
        self.room.keep(origin, Bytes::from(document), at).await
    }
}

#[tokio::test]
async fn the_same_again_is_kept_once_and_another_one_is_refused_and_written_down() {
    let place = Place::new().await;
    let first = place.keep("p/81/evidence-all-0", "one").await.unwrap();
    assert_eq!(first.key, "logs/evidence/7/p/81/evidence-all-0.json");
    assert_eq!(first.bytes, 3);
    assert_eq!(
        place.keep("p/81/evidence-all-0", "one").await.unwrap(),
        first
    );
    for _ in 0..2 {
        let error = place.keep("p/81/evidence-all-0", "two").await.unwrap_err();
        assert!(matches!(error, EvidenceError::Different { .. }), "{error}");
    }
    assert_eq!(&place.room.fetch(&first).await.unwrap()[..], b"one");
    let actions = &place.room.store.actions;
    let chain = actions.read_chain(CHAIN, 0, 10).await.unwrap();
    let told: Vec<_> = chain.iter().map(|entry| &*entry.record.what).collect();
    assert_eq!(told, [REFUSED]);
    let later = place.keep("p/81/2/evidence-all-0", "two").await.unwrap();
    assert_eq!(later.key, "logs/evidence/7/p/81/2-evidence-all-0.json");
}

#[tokio::test]
async fn nothing_is_kept_for_a_plan_that_nobody_knows() {
    let place = Place::new().await;
    let plan = "unknown".parse().unwrap();
    let (device, job) = ("81".parse().unwrap(), "unknown/81/x".parse().unwrap());
    let origin = Origin {
        plan: &plan,
        device: &device,
        job: &job,
        chain: "device-patch/unknown/81",
    };
    let kept = place
        .room
        .keep(origin, Bytes::from("x"), Timestamp::UNIX_EPOCH);
    assert!(matches!(kept.await, Err(EvidenceError::UnknownPlan { .. })));
    assert!(!place.folder.path().join("objects/logs").exists());
}

#[tokio::test]
async fn what_was_changed_afterwards_is_found_out() {
    let place = Place::new().await;
    let stored = place.keep("p/81/evidence-all-0", "one").await.unwrap();
    let record = AuditRecord {
        chain: CHAIN.to_owned(),
        key: STORED.to_owned(),
        at: Timestamp::UNIX_EPOCH,
        client: "7".parse().unwrap(),
        actor: Actor::Workflow,
        what: STORED.to_owned(),
        evidence: stored.named(),
        detail: serde_json::json!({ "device": "81", "bytes": stored.bytes }),
        plan_hash: None,
        policy_version: None,
        tokens: None,
    };
    place.room.store.actions.append_audit(record).await.unwrap();
    let plan = "p".parse().unwrap();
    let listed = place
        .room
        .list(&plan, |device, _| format!("device-patch/p/{device}"));
    let listed = listed.await.unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!(
        (&listed[0].stored, listed[0].device.as_str()),
        (&stored, "81")
    );
    std::fs::write(place.folder.path().join("objects").join(&stored.key), "two").unwrap();
    let error = place.room.fetch(&stored).await.unwrap_err();
    assert!(matches!(error, EvidenceError::Altered { .. }), "{error}");
}

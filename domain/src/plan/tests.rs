use serde_json::json;

use super::*;

const HASH: &str = "3a0264694bfaebc959a1c3d25d610b1d1a8687bcd3b012c8dfc2ea33a02e32ef";

fn document(marked: &[u32]) -> PlanDocument {
    let device = |n: u32| PlannedDevice {
        ring: 0,
        id: (80 + n).to_string().parse().unwrap(),
        evidence: marked.contains(&n),
    };
    PlanDocument {
        devices: (1..=3).map(device).collect(),
        actions: PlannedActions {
            install: vec!["KB5034441".parse().unwrap()],
            reboot: RebootPolicy::IfNeeded,
        },
        windows: Vec::new(),
        blackouts: Vec::new(),
        time_zone: None,
        deadline: None,
        rollback: RollbackSpec::default(),
        evidence_waived: None,
    }
}

fn waiver() -> PlanWaiver {
    PlanWaiver {
        by: "lee".parse().unwrap(),
        reason: "imaged".into(),
    }
}

#[test]
fn the_hash_of_a_plan_without_evidence_is_what_it_was_before_there_was_any() {
    let written = serde_json::to_value(document(&[])).unwrap();
    assert_eq!(
        written["devices"],
        json!([{ "ring": 0, "id": "81" }, { "ring": 0, "id": "82" }, { "ring": 0, "id": "83" }])
    );
    assert!(written.get("evidence_waived").is_none());
    // SHA-256 of its canonical JSON, computed by another tool.
    assert_eq!(document(&[]).hash().unwrap(), HASH);
}

#[test]
fn who_signs_a_plan_signs_which_devices_evidence_is_taken_of_and_who_waives_it() {
    let plain = document(&[]);
    let marked = document(&[2]);
    let waived = PlanDocument {
        evidence_waived: Some(waiver()),
        ..document(&[2])
    };
    let hashes: BTreeSet<String> = [&plain, &marked, &document(&[3]), &waived]
        .map(|plan| plan.hash().unwrap())
        .into();
    assert_eq!(hashes.len(), 4);
    assert_eq!((plain.evidence_first(), marked.evidence_first()), (0, 1));
    for (from, to, said) in [
        (
            &plain,
            &marked,
            "evidence first on 1 devices instead of on 0 devices",
        ),
        (
            &marked,
            &waived,
            "evidence first waived on 1 devices by lee: imaged instead of on 1 devices",
        ),
    ] {
        assert_eq!(from.difference(to), [said]);
    }
    assert!(marked.difference(&marked).is_empty());
}

#[test]
fn an_amendment_may_change_the_rule() {
    let mut request: PlanRequest = serde_json::from_value(json!({
        "client": "7", "patches": [{ "kb": "KB5034441" }], "devices": { "all": true },
    }))
    .unwrap();
    assert_eq!(request.evidence, EvidenceRule::AsDeadlinesSay);
    let change: PlanChange = serde_json::from_value(json!({ "evidence": "required" })).unwrap();
    assert!(!change.is_empty());
    change.apply(&mut request);
    assert_eq!(request.evidence, EvidenceRule::Required);
}

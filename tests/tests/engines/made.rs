//! What the writes write; all of it has a token, a number, in its keys.

use std::{collections::BTreeSet, time::Duration};

use clients::store::{
    Bucket, DeadLetter, DeviceRow, Store, StoreResult,
    conformance::{self, record, row, sealed},
};
use domain::{
    audit::AuditRecord,
    campaign::{Campaign, CampaignAdvice, Draft, DraftPlan, PatchList, RankedPlan},
    dead_letter::LetterKind,
    device::Device,
    ids::{ClientId, CveId, DeviceId, KbId, PersonId, PlanId},
    outcome::DeviceOutcome,
    people::{Person, Role},
    plan::PlanRequest,
    software::{Program, SoftwareList},
    vulnerability::deadline::Deadline,
};
use jiff::Timestamp;

/// More devices than one transaction of DynamoDB takes.
pub(crate) const DEVICES: u32 = 40;
/// Characters that do not fit into one item of DynamoDB, even packed.
pub(crate) const LARGE: usize = 900_000;

pub(crate) const HOUR: Duration = Duration::from_secs(3600);
pub(crate) const BUCKET: Bucket = Bucket {
    capacity: 3,
    per: HOUR,
};

pub(crate) fn at(secs: i64) -> Timestamp {
    Timestamp::from_second(1_900_000_000 + secs).unwrap()
}

pub(crate) fn name(token: &str) -> String {
    format!("p{token}")
}

pub(crate) fn client(token: &str) -> ClientId {
    token.parse().unwrap()
}

pub(crate) fn plan(token: &str) -> PlanId {
    name(token).parse().unwrap()
}

pub(crate) fn person(token: &str, who: &str) -> PersonId {
    format!("{who}-{token}").parse().unwrap()
}

pub(crate) fn device_id(token: &str, number: u32) -> DeviceId {
    format!("{token}{number:02}").parse().unwrap()
}

pub(crate) fn entry(token: &str, key: &str) -> AuditRecord {
    AuditRecord {
        client: client(token),
        ..record(&name(token), key)
    }
}

/// Text that looks random and is the same for a token.
pub(crate) fn noise(token: &str) -> String {
    let mut state: u64 = token.parse().unwrap();
    let mut text = String::with_capacity(LARGE);
    while text.len() < LARGE {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        text += &format!("{:08x}", state >> 32);
    }
    text
}

pub(crate) fn device_row(token: &str, attempt: u32, outcome: DeviceOutcome) -> DeviceRow {
    DeviceRow {
        plan: plan(token),
        ..row(1, attempt, outcome)
    }
}

pub(crate) fn letter(token: &str) -> DeadLetter {
    let workflow = format!("device-patch/{}/1", name(token));
    let kind = LetterKind::DeviceNeedsHuman;
    DeadLetter {
        id: format!("letter-{token}"),
        plan: Some(plan(token)),
        ..DeadLetter::new(
            kind,
            client(token),
            (&workflow, "result"),
            "disk full",
            at(1),
        )
    }
}

pub(crate) fn devices(token: &str) -> Vec<Device> {
    let device = |number| Device {
        id: device_id(token, number),
        seen_at: at(0),
        ..conformance::device(number, token, 0)
    };
    (0..DEVICES).map(device).collect()
}

pub(crate) fn someone(token: &str, who: &str) -> Person {
    Person {
        id: person(token, who),
        name: who.to_owned(),
        role: Role::Approver,
        clients: BTreeSet::new(),
    }
}

pub(crate) fn cve(token: &str) -> CveId {
    format!("CVE-2026-{token:0>6}").parse().unwrap()
}

pub(crate) fn kb(token: &str) -> KbId {
    format!("{token:0>7}").parse().unwrap()
}

pub(crate) fn patch_list(token: &str) -> PatchList {
    PatchList {
        device: device_id(token, 0),
        client: client(token),
        read_at: at(0),
        missing: vec![],
        installed: BTreeSet::from([kb(token)]),
    }
}

pub(crate) fn software_list(token: &str) -> SoftwareList {
    let programs = (0..2000).map(|number| Program {
        name: format!("Program {number} of {token}"),
        version: Some(format!("1.{number}")),
    });
    SoftwareList {
        device: device_id(token, 0),
        client: client(token),
        read_at: at(0),
        programs: programs.collect(),
        flaws: 0,
        beyond: 0,
    }
}

/// Its requests are written before it: two transactions.
pub(crate) fn campaign(token: &str) -> (Campaign, Vec<PlanRequest>) {
    let plan_of_one = DraftPlan {
        ranked: RankedPlan {
            patches: vec![],
            band: Deadline::Days14,
            due: None,
            overdue: false,
            urgency_permille: 0,
            restart: true,
            needs_approval: true,
            reasons: vec![],
            impact: None,
            schedule: None,
        },
        devices: vec![device_id(token, 0)],
    };
    let draft = Draft {
        plans: vec![plan_of_one; 5],
        ..Draft::default()
    };
    let workflow = format!("patch-campaign/{token}/x");
    let campaign = Campaign::new(plan(token), client(token), workflow, at(0), &draft);
    let request = sealed(&name(token), 1, &[1], 0).request;
    let requests = vec![request; draft.plans.len()];
    (campaign, requests)
}

pub(crate) fn advice(token: &str) -> CampaignAdvice {
    let (campaign, _) = campaign(token);
    CampaignAdvice {
        at: at(1),
        degraded: None,
        model: Some("m".to_owned()),
        tokens: 7,
        asked: 5,
        order: campaign
            .plans
            .iter()
            .rev()
            .map(|plan| plan.plan.clone())
            .collect(),
        plans: [].into(),
        dropped: vec![],
    }
}

pub(crate) async fn people_of(store: &Store, token: &str, who: &[&str]) -> StoreResult<()> {
    let people = who.iter().map(|who| someone(token, who)).collect();
    let source = name(token);
    let lowered = store.identities.put_people_of(&source, people).await;
    lowered.map(drop)
}

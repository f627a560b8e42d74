//! What every adapter of the store must do. Each check takes a fresh store. The embedded adapter runs
//! them here, on a file of its own per check; [`checks`] is for adapters that need an engine.

#![expect(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "a check may fail where it stands"
)]

mod alerts;
mod campaigns;
mod chains;
mod changes;
mod counters;
mod executions;
mod inventory;
mod letters;
mod policies;
mod vulnerabilities;

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use domain::{
    audit::{self, Actor, AuditRecord, ChainHead},
    dead_letter::{LetterKind, Rerun},
    deployment::{DeploymentStatus, Stage},
    device::{Device, Platform},
    ids::{ClientId, DeviceId, PlanId},
    ledger::PROVIDER,
    outcome::{DeviceOutcome, DeviceResult, OutcomeCounts},
    people::{Person, Role},
    plan::{
        PAGE_SIZE, PlanDocument, PlanRequest, PlannedActions, PlannedDevice, RebootPolicy,
        RollbackSpec,
    },
};
use futures::{FutureExt, future::BoxFuture};
use jiff::Timestamp;
use serde_json::json;

use self::{
    alerts::*, campaigns::*, chains::*, changes::*, counters::*, executions::*, inventory::*,
    letters::*, policies::*, vulnerabilities::*,
};
use super::*;

/// How long a change may take to be seen.
const PATIENCE: Duration = Duration::from_secs(10);

fn at(secs: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + secs).unwrap()
}

fn client(id: &str) -> ClientId {
    id.parse().unwrap()
}

fn plan(id: &str) -> PlanId {
    id.parse().unwrap()
}

fn device_id(number: u32) -> DeviceId {
    format!("{number:05}").parse().unwrap()
}

/// Makes a record of a chain.
pub fn record(chain: &str, key: &str) -> AuditRecord {
    AuditRecord {
        chain: chain.into(),
        key: key.into(),
        at: at(0),
        client: client("7"),
        actor: Actor::Workflow,
        what: "step".into(),
        evidence: vec!["e1".into()],
        detail: json!({ "of": key }),
        plan_hash: None,
        policy_version: None,
        tokens: Some(3),
    }
}

/// Makes the state of a deployment of a client, with the seconds of its start and its writing.
pub fn status(id: &str, of: &str, stage: Stage, started: i64, updated: i64) -> DeploymentStatus {
    DeploymentStatus {
        plan: plan(id),
        workflow_id: format!("patch-deployment/{id}"),
        client: client(of),
        kbs: vec!["5034441".parse().unwrap()],
        stage,
        note: format!("written at {updated}"),
        trouble: None,
        audit_gaps: 0,
        plan_hash: None,
        revision: 0,
        risk: None,
        approval: None,
        needs_approval: stage == Stage::AwaitingApproval,
        approved_by: vec![],
        forbidden: vec![],
        evidence_first: 0,
        evidence_waived: None,
        rings: vec![],
        stragglers: 0,
        counts: OutcomeCounts::default(),
        deadline: None,
        started_at: at(started),
        updated_at: at(updated),
        outcome: None,
    }
}

/// Makes a revision of a plan with so many devices in each ring.
pub fn sealed(id: &str, revision: u32, rings: &[u32], deadline: i64) -> SealedPlan {
    let request: PlanRequest = domain::input::from_json(&json!({
        "client": "7", "patches": [{ "kb": "5034441" }], "devices": { "all": true }
    }))
    .unwrap();
    let mut next = 0..;
    let ring = |(ring, count): (u32, &u32)| -> Vec<PlannedDevice> {
        next.by_ref()
            .take(*count as usize)
            .map(|n| PlannedDevice {
                ring,
                id: device_id(n),
                evidence: false,
            })
            .collect()
    };
    let document = PlanDocument {
        devices: (0..).zip(rings).flat_map(ring).collect(),
        actions: PlannedActions {
            install: vec!["5034441".parse().unwrap()],
            reboot: RebootPolicy::Never,
        },
        windows: vec![],
        blackouts: vec![],
        time_zone: None,
        deadline: Some(at(deadline)),
        rollback: RollbackSpec::default(),
        evidence_waived: None,
    };
    SealedPlan {
        plan: plan(id),
        revision,
        hash: document.hash().unwrap(),
        request,
        removed: vec![device_id(90_000)],
        forbidden: vec![],
        forbidden_count: 0,
        document,
    }
}

/// Makes the row of a device of plan `p`.
pub fn row(device: u32, attempt: u32, outcome: DeviceOutcome) -> DeviceRow {
    let result = DeviceResult {
        device: device_id(device),
        outcome,
        detail: "d".into(),
        patches: vec![],
        evidence: None,
    };
    DeviceRow {
        plan: plan("p"),
        ring: 0,
        attempt,
        result,
        at: at(0),
    }
}

/// Makes a device of a client, seen at a second.
pub fn device(number: u32, of: &str, seen: i64) -> Device {
    let (id, client, tags) = (device_id(number), client(of), BTreeSet::new());
    Device {
        name: format!("device {number}"),
        online: true,
        ..Device::new(id, client, Platform::WindowsServer, tags, at(seen))
    }
}

fn policy(of: Option<&str>, version: u64, by: &str) -> PolicyVersion {
    PolicyVersion {
        client: of.map(client),
        version,
        by: by.into(),
        at: at(0),
        body: json!({ "by": by }),
    }
}

/// Numbers that look random and are the same in each run.
fn dice(seed: u64) -> impl FnMut(u64) -> u64 {
    let mut state = seed;
    move |below| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    }
}

/// A check: it gets two handles on the same fresh store, which stand for two processes.
pub type Check = fn(Store, Store) -> BoxFuture<'static, ()>;

macro_rules! checks {
    ($($check:ident)*) => {
        /// Returns the checks of every adapter, by name.
        #[must_use]
        pub fn checks() -> Vec<(&'static str, Check)> {
            vec![
                ("concurrent_appends_make_one_unbroken_chain", |one, other| {
                    concurrent_appends_make_one_unbroken_chain(one, other).boxed()
                }),
                $((stringify!($check), |one, _| $check(one).boxed())),*
            ]
        }

        #[cfg(test)]
        mod embedded {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $check() {
                    let (_folder, path) = super::file();
                    super::$check(super::Store::embedded(&path).unwrap()).await;
                }
            )*
        }
    };
}

checks! {
    a_repeated_audit_record_is_one_entry
    another_audit_record_under_a_known_key_is_not_lost
    the_head_of_a_chain_is_its_last_entry
    days_with_entries_are_listed_with_their_clients
    a_policy_changed_by_somebody_else_is_a_conflict
    a_sealed_plan_is_kept_once_and_read_by_page
    an_older_status_is_ignored_and_lists_follow_the_newest
    lists_come_page_by_page_without_loss
    a_device_row_is_written_once_per_attempt
    a_dead_letter_is_kept_once_and_listed_newest_first
    a_dead_letter_is_settled_once_and_says_by_whom
    that_a_workflow_was_started_again_is_kept_with_its_letter
    of_many_who_settle_a_dead_letter_at_once_one_wins
    devices_are_never_replaced_by_what_was_seen_before
    a_lease_belongs_to_one_owner_until_it_ends
    a_patch_list_is_replaced_when_its_last_page_is_there
    a_software_list_of_two_thousand_programs_is_kept_whole
    an_alert_is_news_once_and_stands_in_its_lists
    what_waits_for_a_time_is_busy_and_no_news
    two_walks_end_what_they_do_not_find
    what_nobody_speaks_of_any_more_ends_page_by_page
    what_came_first_in_a_storm_is_looked_at_first
    a_turn_that_was_taken_away_writes_nothing
    an_incident_is_delivered_and_closed_once_nothing_is_new
    orders_wait_until_they_are_answered
    triage_goes_by_the_newest_rules_and_what_waves_announce
    a_campaign_is_written_once_and_its_plans_are_noted
    advice_is_written_once_and_never_after_a_start
    people_are_read_as_written
    who_is_no_longer_of_a_source_may_only_look
    a_blocked_bucket_gives_nothing_until_then
    a_bucket_never_gives_more_than_its_capacity_in_any_window
    counters_flags_and_claims
    what_sources_say_is_merged_in_any_order
    vulnerabilities_are_listed_by_the_applications_they_are_in
    updates_gather_what_they_close
    of_two_readers_one_moves_on
    every_visible_write_is_a_change_in_order
}

#[cfg(test)]
fn file() -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data/autoops.db");
    (folder, path)
}

#[cfg(test)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn embedded_concurrent_appends_make_one_unbroken_chain() {
    let (_folder, path) = file();
    let (one, other) = (
        Store::embedded(&path).unwrap(),
        Store::embedded(&path).unwrap(),
    );
    concurrent_appends_make_one_unbroken_chain(one, other).await;
}

//! Evidence before the installation: taken first, kept once, and never done without by accident.

use std::sync::Arc;

use autoops_tests::{Deployment, Evidence, FakeDevice, World, plan, run, site, wire};
use contracts::{activities::notify::NoticeKind, deployment::ControlAnswer, device::DeviceStage};
use domain::{
    audit::{Actor, AuditEntry},
    evidence::EvidenceRule,
    outcome::{DeploymentOutcome, DeviceOutcome},
    plan::PlanRequest,
    script::{ScriptMode, ScriptOutcome},
};
use serde_json::json;
use temporalio_client::{UntypedSignal, UntypedWorkflow, WorkflowSignalOptions};

/// Devices of which the deadline of what the plan closes asks for evidence.
async fn forensic(
    name: &str,
    devices: u32,
    marked: &[&str],
    turn: impl Fn(&mut FakeDevice),
    change: impl FnOnce(&mut PlanRequest),
) -> (Arc<World>, Deployment) {
    let site = site().await;
    let world = World::new(site, name, devices);
    world.change(|m| {
        m.forensic = marked.iter().map(|id| id.parse().unwrap()).collect();
        m.every_device(turn);
    });
    let deployment = world.deploy(site, change).await;
    (world, deployment)
}

fn modes_on(world: &World, device: &str) -> Vec<ScriptMode> {
    world.read(|m| {
        let of = m.scripts.iter().filter(|s| s.device.as_str() == device);
        of.map(|s| s.mode).collect()
    })
}

/// What the audit trail of a device run says of one thing.
async fn told(world: &World, device: &str, what: &str) -> Vec<AuditEntry> {
    let plan = world.read(|m| m.plan.clone());
    let chain = world.chain(&format!("device-patch/{plan}/{device}")).await;
    let of = chain.into_iter().filter(|entry| entry.record.what == what);
    of.collect()
}

/// Waits until the deployment has told people that a device waits for them.
pub(crate) async fn until_asked(world: &World) {
    world
        .until("people are told of missing evidence", |m| {
            m.told().contains(&NoticeKind::EvidenceMissing)
        })
        .await;
}

#[test]
fn evidence_is_taken_before_the_installation_of_marked_devices_only() {
    run(async {
        let (world, deployment) = forensic("forensic", 2, &["81"], |_| {}, |_| {}).await;
        deployment.ends(DeploymentOutcome::Verified).await;
        let on = modes_on(&world, "81");
        assert_eq!(on[..2], [ScriptMode::Evidence, ScriptMode::Install]);
        assert!(!modes_on(&world, "82").contains(&ScriptMode::Evidence));
        let stored = told(&world, "81", "evidence_stored").await;
        let [entry] = stored.as_slice() else {
            panic!("{stored:?}")
        };
        assert_eq!(
            entry.record.evidence,
            [
                "logs/evidence/7001/forensic/81/evidence-all-0.json".to_owned(),
                format!("sha256:{}", "beef".repeat(16)),
            ]
        );
        let row = world.read(|m| m.rows[&"81".parse().unwrap()].clone());
        assert_eq!(row.result.evidence.unwrap().bytes, 4711);
        assert_eq!(world.read(|m| m.status.clone().unwrap().evidence_first), 1);
    });
}

#[test]
fn a_plan_may_ask_for_evidence_of_all_its_devices() {
    run(async {
        let required = |r: &mut PlanRequest| r.evidence = EvidenceRule::Required;
        let (world, deployment) = forensic("evidence-required", 2, &[], |_| {}, required).await;
        deployment.ends(DeploymentOutcome::Verified).await;
        assert_eq!(world.read(|m| m.starts_of(ScriptMode::Evidence)), 2);
    });
}

#[test]
fn without_evidence_and_without_a_person_nothing_is_installed() {
    run(async {
        for (name, becomes) in [
            ("evidence-fails", Evidence::Fails),
            ("evidence-forgotten", Evidence::Forgotten),
        ] {
            let (world, deployment) = forensic(
                name,
                1,
                &["81"],
                |d| d.evidence = becomes,
                |r| r.waits.evidence_decision_secs = 1,
            )
            .await;
            deployment.result().await;
            let row = world.read(|m| m.rows[&"81".parse().unwrap()].clone());
            assert_eq!(row.result.outcome, DeviceOutcome::NeedsHuman);
            let detail = &row.result.detail;
            assert!(detail.contains("no evidence could be taken"), "{detail}");
            assert_eq!(modes_on(&world, "81"), [ScriptMode::Evidence]);
            assert!(told(&world, "81", "install_started").await.is_empty());
            assert!(world.read(|m| m.told().contains(&NoticeKind::EvidenceMissing)));
        }
    });
}

#[test]
fn a_lost_report_is_no_evidence() {
    run(async {
        let lost = |d: &mut FakeDevice| d.reports_get_lost = true;
        let impatient = |r: &mut PlanRequest| {
            r.waits.callback_secs = 1;
            r.waits.script_timeout_secs = 3;
            r.waits.evidence_decision_secs = 0;
        };
        let (world, deployment) = forensic("evidence-lost", 1, &["81"], lost, impatient).await;
        deployment.result().await;
        assert_eq!(
            world.read(|m| m.outcome_of("81")),
            Some(DeviceOutcome::NeedsHuman)
        );
        assert_eq!(world.read(|m| m.starts_of(ScriptMode::Install)), 0);
    });
}

#[test]
fn a_lead_may_waive_it_with_a_reason_and_nobody_else() {
    run(async {
        let fails = |d: &mut FakeDevice| d.evidence = Evidence::Fails;
        let (world, deployment) =
            forensic("evidence-waived", 2, &["81", "82"], fails, |_| {}).await;
        until_asked(&world).await;
        let update = "request_waive_evidence";
        let by = |by: &str| json!({ "by": by, "reason": "imaged by the insurer", "device": "81" });
        for person in ["dana", "tom", "olga", "nobody"] {
            let answer = deployment.control(update, by(person)).await;
            assert!(
                matches!(answer, ControlAnswer::NotAllowed { .. }),
                "{person}: {answer:?}"
            );
        }
        let silent = json!({ "by": "lee" });
        let answer = deployment.control(update, silent).await;
        assert!(
            matches!(&answer, ControlAnswer::Refused { problem } if problem.starts_with("reason")),
            "{answer:?}"
        );
        assert_eq!(world.read(|m| m.starts_of(ScriptMode::Install)), 0);
        let answer = deployment.control(update, by("lee")).await;
        assert!(matches!(answer, ControlAnswer::Done { .. }), "{answer:?}");
        world
            .until("device 81 goes on", |m| m.installed_on() == ["81"])
            .await;
        // As a person with the temporal CLI does it: for all, by signal.
        let all = json!({ "by": "lee", "reason": "the attack is over" });
        deployment.signal("waive_evidence", all).await;
        deployment.ends(DeploymentOutcome::Verified).await;

        let audited = deployment.audited().await;
        let count = |what: &str| audited.iter().filter(|said| *said == what).count();
        assert_eq!(count("control_not_allowed"), 4);
        assert_eq!(count("message_refused"), 1);
        assert_eq!(count("control_waive_evidence"), 2);
        for (device, why) in [
            ("81", "imaged by the insurer"),
            ("82", "the attack is over"),
        ] {
            let waived = told(&world, device, "evidence_waived").await;
            let [entry] = waived.as_slice() else {
                panic!("{waived:?}")
            };
            assert!(
                matches!(&entry.record.actor, Actor::Person { name, .. } if name == "lee"),
                "{entry:?}"
            );
            assert_eq!(entry.record.detail["why"], why);
        }
    });
}

#[test]
fn a_waiver_sent_past_the_deployment_is_checked_like_one_sent_to_it() {
    run(async {
        let fails = |d: &mut FakeDevice| d.evidence = Evidence::Fails;
        let (world, deployment) = forensic("evidence-forged", 1, &["81"], fails, |_| {}).await;
        until_asked(&world).await;
        let client = site().await.client();
        let device =
            client.get_workflow_handle::<UntypedWorkflow>("device-patch/evidence-forged/81");
        let send = async |by: &str| {
            let input = wire::json(&json!({ "by": by, "reason": "trust me" }));
            let signal = UntypedSignal::new("waive_evidence");
            let options = WorkflowSignalOptions::default();
            device.signal(signal, input, options).await.unwrap();
        };
        send("tom").await;
        world
            .until("the first is looked up", |m| {
                m.calls_of("approvals.authorize") == 1
            })
            .await;
        send("lee").await;
        deployment.ends(DeploymentOutcome::Verified).await;
        assert_eq!(told(&world, "81", "control_not_allowed").await.len(), 1);
        assert_eq!(told(&world, "81", "evidence_waived").await.len(), 1);
    });
}

#[test]
fn a_waiver_holds_for_devices_that_are_started_later() {
    run(async {
        let fails = |d: &mut FakeDevice| d.evidence = Evidence::Fails;
        let one_by_one = |r: &mut PlanRequest| r.limits.max_in_flight = 1;
        let marked = ["81", "82", "83"];
        let (world, deployment) = forensic("evidence-later", 3, &marked, fails, one_by_one).await;
        until_asked(&world).await;
        let all = json!({ "by": "lee", "reason": "lab devices" });
        deployment.control("request_waive_evidence", all).await;
        deployment.ends(DeploymentOutcome::Verified).await;
        // Only the first one was tried: those after it began with the waiver.
        assert_eq!(world.read(|m| m.starts_of(ScriptMode::Evidence)), 1);
        for device in marked {
            assert_eq!(told(&world, device, "evidence_waived").await.len(), 1);
        }
    });
}

#[test]
fn a_waiver_in_the_plan_asks_a_person_even_where_policy_would_not() {
    run(async {
        let waived = |r: &mut PlanRequest| {
            r.evidence = serde_json::from_value(
                json!({ "waived": { "by": "tom", "reason": "imaged before" } }),
            )
            .unwrap();
        };
        let (world, deployment) = forensic("evidence-planned", 1, &["81"], |_| {}, waived).await;
        deployment.open_request().await;
        world
            .until("people are told", |m| !m.notices.is_empty())
            .await;
        let summary = world.read(|m| m.notices[0].summary.clone());
        assert!(
            summary.contains("waived by tom: imaged before"),
            "{summary}"
        );
        deployment.decide("approve", "dana").await;
        deployment.ends(DeploymentOutcome::Verified).await;
        assert_eq!(world.read(|m| m.starts_of(ScriptMode::Evidence)), 0);
        assert_eq!(told(&world, "81", "evidence_waived").await.len(), 1);
    });
}

#[test]
fn a_second_attempt_does_not_take_evidence_again() {
    run(async {
        // The installation is taken up too late the first time.
        let late = |d: &mut FakeDevice| {
            d.install = autoops_tests::Install::Ends(ScriptOutcome::OutsideWindow);
        };
        let (world, deployment) = forensic("evidence-once", 1, &["81"], late, |_| {}).await;
        world
            .until("the first attempt is put off", |m| {
                m.outcome_of("81") == Some(DeviceOutcome::Deferred)
            })
            .await;
        world.change(|m| m.device("81").install = autoops_tests::Install::Works);
        deployment.ends(DeploymentOutcome::Verified).await;
        assert_eq!(world.read(|m| m.starts_of(ScriptMode::Evidence)), 1);
        let row = world.read(|m| m.rows[&"81".parse().unwrap()].clone());
        assert!(row.attempt > 1);
        let evidence = row.result.evidence.unwrap();
        assert!(
            evidence
                .key
                .ends_with("evidence-once/81/evidence-all-0.json")
        );
    });
}

#[test]
fn an_amended_rule_is_approved_anew() {
    run(async {
        let site = site().await;
        let world = World::new(site, "evidence-amended", 1);
        world.change(|m| m.verdict = plan::asks(|_| {}));
        let deployment = world.deploy(site, |_| {}).await;
        let before = deployment.open_request().await.plan_hash;
        let change = json!({ "by": "dana", "change": { "evidence": "required" } });
        deployment.control("amend", change).await;
        deployment
            .until_status("another plan", |s| {
                s.needs_approval && s.plan_hash.as_ref() != Some(&before)
            })
            .await;
        assert_eq!(world.read(|m| m.status.clone().unwrap().evidence_first), 1);
        deployment.decide("approve", "dana").await;
        deployment.ends(DeploymentOutcome::Verified).await;
        assert_eq!(world.read(|m| m.starts_of(ScriptMode::Evidence)), 1);
    });
}

#[test]
fn who_waits_for_a_decision_shows_it_and_an_abort_ends_the_wait() {
    run(async {
        let fails = |d: &mut FakeDevice| d.evidence = Evidence::Fails;
        let (world, deployment) = forensic("evidence-aborted", 1, &["81"], fails, |_| {}).await;
        until_asked(&world).await;
        let client = site().await.client();
        let device =
            client.get_workflow_handle::<UntypedWorkflow>("device-patch/evidence-aborted/81");
        let status: contracts::device::DevicePatchStatus = wire::read(
            &device
                .query(
                    temporalio_client::UntypedQuery::new("status"),
                    temporalio_common::data_converters::RawValue::new(vec![]),
                    temporalio_client::WorkflowQueryOptions::default(),
                )
                .await
                .unwrap(),
        );
        assert_eq!(status.stage, DeviceStage::CollectingEvidence);
        assert!(
            status.note.contains("waits for a person"),
            "{}",
            status.note
        );
        let abort = json!({ "by": "dana", "reason": "wrong week" });
        deployment.control("request_abort", abort).await;
        deployment.ends(DeploymentOutcome::Aborted).await;
        assert_eq!(
            world.read(|m| m.outcome_of("81")),
            Some(DeviceOutcome::Aborted)
        );
    });
}

#[test]
fn a_plan_without_marked_devices_has_nothing_to_waive() {
    run(async {
        let site = site().await;
        let world = World::new(site, "evidence-none", 1);
        world.change(|m| m.hold_reports = true);
        let deployment = world.deploy(site, |_| {}).await;
        world
            .until("the first script", |m| m.installed_on() == ["81"])
            .await;
        let all = json!({ "by": "lee", "reason": "just in case" });
        let answer = deployment.control("request_waive_evidence", all).await;
        assert!(
            matches!(answer, ControlAnswer::NothingToDo { .. }),
            "{answer:?}"
        );
        world.change(|m| m.hold_reports = false);
        deployment.ends(DeploymentOutcome::Verified).await;
    });
}

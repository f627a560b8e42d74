//! Stories whose histories are kept in `tests/histories` for replay: `make histories` writes them.

use autoops_tests::{
    Evidence, Install, World,
    histories::{RECORD, record},
    plan::asks,
    run, site,
};
use domain::{outcome::DeploymentOutcome as Outcome, script::ScriptOutcome};
use serde_json::json;

use crate::{
    alerts,
    campaigns::campaign,
    evidence::until_asked,
    incidents,
    reading::read,
    reports,
    sealing::{seal, world},
};

#[test]
fn records_histories() {
    if std::env::var_os(RECORD).is_none() {
        return;
    }
    run(async {
        for (name, outcome) in [
            ("approved", Outcome::Verified),
            ("rejected", Outcome::Rejected),
        ] {
            let choice = if outcome == Outcome::Verified {
                "approve"
            } else {
                "reject"
            };
            story(name, 3, outcome, choice).await;
        }
        story("timed_out", 1, Outcome::TimedOut, "").await;
        story("rolled_back", 2, Outcome::RolledBack, "approve").await;
        story("needs_human", 1, Outcome::Incomplete, "approve").await;
        story("evidence_waived", 1, Outcome::Verified, "approve").await;
        story("aborted", 2, Outcome::Aborted, "abort").await;
        story("continued_as_new", 4, Outcome::Verified, "approve").await;
        let _world = world("recorded-seal").await;
        seal("recorded-seal", None).await.unwrap();
        record(site().await.client(), "daily-seal/recorded-seal", "sealed").await;
        let client = site().await.client();
        let _world = World::new(site().await, "recorded-read", 1);
        read("recorded-read", json!({})).await.unwrap();
        record(client, "intel-sync/recorded-read", "facts_read").await;
        let _world = World::new(site().await, "recorded-campaign", 2);
        campaign("recorded-campaign", json!({})).await.unwrap();
        let id = "patch-campaign/7001/recorded-campaign";
        record(client, id, "campaign").await;
        let _reported = reports::world("recorded-report").await;
        reports::report("recorded-report", json!({})).await.unwrap();
        let id = reports::id("recorded-report");
        record(client, &id, "campaign_report").await;
        let world = World::new(site().await, "incident-90", 1);
        let id = incidents::answered(&world, 900).await;
        record(client, &id, "incident_answered").await;
        let [read, waiting] = alerts::read_and_waiting("recorded-alerts").await;
        record(client, &read, "alerts_read").await;
        record(client, &waiting, "alerts_triaged").await;
    });
}

async fn story(name: &str, devices: u32, outcome: Outcome, signal: &str) {
    let site = site().await;
    let plan = format!("recorded-{}", name.replace('_', "-"));
    let world = World::new(site, &plan, devices);
    world.change(|m| {
        m.verdict = asks(|n| n.timeout_secs = if signal.is_empty() { 1 } else { 30 });
        if matches!(outcome, Outcome::RolledBack | Outcome::Incomplete) {
            m.every_device(|d| d.install = Install::Fails { installed: None });
        }
        if name == "evidence_waived" {
            m.forensic = m.devices.keys().cloned().collect();
            m.every_device(|d| d.evidence = Evidence::Fails);
        }
        if outcome == Outcome::Incomplete {
            m.every_device(|d| d.uninstall = ScriptOutcome::NotRemovable);
        }
    });
    let deployment = world
        .deploy(site, |r| {
            if name == "continued_as_new" {
                r.limits.continue_after_events = 50;
            }
        })
        .await;
    if !signal.is_empty() {
        deployment.open_request().await;
        deployment.signal(signal, json!({ "by": "dana" })).await;
    }
    if name == "evidence_waived" {
        until_asked(&world).await;
        let waiver = json!({ "by": "lee", "reason": "imaged" });
        deployment.signal("waive_evidence", waiver).await;
    }
    deployment.ends(outcome).await;
    record(site.client(), deployment.id(), name).await;
    let device = match name {
        "approved" => "verified",
        "rolled_back" | "needs_human" | "evidence_waived" => name,
        _ => return,
    };
    let id = format!("device-patch/{plan}/81");
    record(site.client(), &id, &format!("device_{device}")).await;
}

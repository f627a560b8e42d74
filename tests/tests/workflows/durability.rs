//! Nothing is lost or done twice: workers that go, histories that end, starts that repeat.

use autoops_tests::{
    Deployment, Site, World, deployment::start_raw, histories::input_of, plan, run, site, wire,
};
use contracts::{deployment::ControlAnswer, failures::INVALID_INPUT};
use domain::outcome::{DeploymentOutcome, DeviceOutcome};
use serde_json::json;
use temporalio_client::errors::WorkflowStartError;

use crate::deploying::rings_of;

#[test]
fn workers_that_go_around_a_decision_change_nothing() {
    run(async {
        let site = Site::start().await.unwrap();
        let world = World::new(&site, "workers-go", 2);
        world.change(|m| {
            m.verdict = plan::asks(|_| {});
            m.hold_reports = true;
        });
        let deployment = world
            .deploy(&site, |r| r.rings = rings_of(&["81", "82"]))
            .await;
        deployment.open_request().await;
        site.stop_workers().await;
        deployment.signal("approve", json!({ "by": "dana" })).await;
        site.start_workers().await.unwrap();
        world
            .until("the first script", |m| m.installed_on() == ["81"])
            .await;
        site.stop_workers().await;
        world.change(|m| m.hold_reports = false);
        site.start_workers().await.unwrap();
        deployment.ends(DeploymentOutcome::Verified).await;
        assert_eq!(world.read(|m| m.installed_on()), ["81", "82"]);
        let audited = deployment.audited().await;
        let counted = audited.iter().filter(|w| *w == "decision_counted");
        assert_eq!(counted.count(), 1);
        site.stop_workers().await;
    });
}

#[test]
fn a_long_deployment_continues_as_new_and_loses_nothing() {
    run(async {
        let site = site().await;
        let world = World::new(site, "continues", 4);
        world.change(|m| m.hold_reports = true);
        let deployment = world
            .deploy(site, |r| {
                r.rings = vec![plan::ring("one", 2), plan::ring("two", 2)];
                r.limits.continue_after_events = 50;
            })
            .await;
        world
            .until("two scripts", |m| m.installed_on().len() == 2)
            .await;
        // With devices in flight, in whichever run they find the workflow.
        for (update, by) in [
            ("request_pause", "tom"),
            ("request_resume", "lee"),
            ("request_pause", "tom"),
        ] {
            let answer = deployment.control(update, json!({ "by": by })).await;
            assert!(matches!(answer, ControlAnswer::Done { .. }), "{answer:?}");
        }
        let resume = deployment
            .send_update::<ControlAnswer>("request_resume", json!({ "by": "lee" }))
            .await;
        world.change(|m| m.hold_reports = false);
        assert!(matches!(resume.await, ControlAnswer::Done { .. }));
        let result = deployment.ends(DeploymentOutcome::Verified).await;
        assert_eq!(result.counts.of(DeviceOutcome::Verified), 4);
        assert_eq!(world.read(|m| m.installed_on().len()), 4);
        let runs = deployment.histories().await;
        assert!(runs.len() >= 2, "{} runs", runs.len());

        let forged = World::new(site, "forged", 1);
        let mut input = input_of(&runs[1]).unwrap();
        assert!(input.get("carry").is_some());
        input["id"] = json!("forged");
        let refused = Deployment::start(site, &forged, &input).await;
        let (kind, words) = refused.failure().await;
        assert_eq!(kind, INVALID_INPUT);
        assert!(words.contains("carry: only the workflow itself"), "{words}");
    });
}

#[test]
fn a_second_start_of_a_plan_is_refused_while_it_runs_and_after_its_end() {
    run(async {
        let site = site().await;
        let world = World::new(site, "started-twice", 1);
        let deployment = world.deploy(site, |_| {}).await;
        let again = || async {
            let input = world.read(|m| serde_json::to_value(plan::request(m)).unwrap());
            let id = deployment.id();
            let started = start_raw(site.client(), "PatchDeployment", id, wire::json(&input)).await;
            matches!(started, Err(WorkflowStartError::AlreadyStarted { .. }))
        };
        assert!(again().await);
        deployment.ends(DeploymentOutcome::Verified).await;
        assert!(again().await);
    });
}

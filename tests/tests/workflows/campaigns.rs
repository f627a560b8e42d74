//! A campaign finds what devices miss, and starts deployments that live on without it.

use autoops_tests::{Lost, World, deployment::ended, model::Model, run, site, wire};
use contracts::{activities::CAMPAIGNS, campaign::PatchCampaignResult, failures::INVALID_INPUT};
use domain::campaign::{Degraded, PlanState};
use futures::future::join_all;
use serde_json::{Value, json};
use temporalio_client::{UntypedWorkflow, WorkflowDescribeOptions, WorkflowGetResultOptions};

use crate::letters::open_letters;

fn id(world: &str) -> String {
    format!("patch-campaign/7001/{world}")
}

pub(crate) async fn campaign(
    world: &str,
    input: Value,
) -> Result<PatchCampaignResult, (String, String)> {
    let mut all = json!({ "client": "7001" });
    for (field, value) in input.as_object().unwrap() {
        all[field] = value.clone();
    }
    let (client, id) = (site().await.client(), id(world));
    ended(client, "PatchCampaign", &id, wire::json(&all)).await
}

/// Waits for the end of the first plan's deployment.
async fn deployed(world: &str) {
    let id = format!("patch-deployment/{world}-1");
    let handle = site()
        .await
        .client()
        .get_workflow_handle::<UntypedWorkflow>(id);
    let result = handle.get_result(WorkflowGetResultOptions::default());
    let result: Value = wire::read(&result.await.unwrap());
    assert_eq!(result["outcome"], "verified", "{result}");
}

/// The deployment of a plan was started.
async fn started(world: &str, number: u32) {
    let id = format!("patch-deployment/{world}-{number}");
    let handle = site()
        .await
        .client()
        .get_workflow_handle::<UntypedWorkflow>(id);
    let found = handle.describe(WorkflowDescribeOptions::default()).await;
    assert!(found.is_ok(), "plan {number} of {world}");
}

#[test]
fn each_plan_is_deployed_and_the_campaign_ends_before_them() {
    run(async {
        let name = "campaign-full";
        let world = World::new(site().await, name, 3);
        world.change(|m| m.plays_deployments = true);
        let result = campaign(name, json!({})).await.unwrap();
        let counts = result.counts;
        assert_eq!((counts.lists, counts.plans, counts.started), (3, 3, 3));
        assert_eq!((counts.software_lists, counts.software_flaws), (3, 3));
        assert_eq!(result.held, None);
        assert!(result.campaign.as_str().starts_with("c-"));
        for number in 1..=3 {
            started(name, number).await;
        }
        deployed(name).await;
        assert_eq!(world.read(Model::installed_on), ["81"]);
        let started = |state: &PlanState| matches!(state, PlanState::Started { .. });
        assert!(world.read(|m| m.plan_states.values().all(started)));
        // The model has moved one: plans are started in the final order.
        assert_eq!(
            (counts.moved, counts.tokens, counts.degraded),
            (1, 42, false)
        );
        let begun = world.read(|m| m.begun.clone());
        let expected = [1, 3, 2].map(|n| format!("{name}-{n}").parse().unwrap());
        assert_eq!(begun, expected);
    });
}

#[test]
fn without_a_model_plans_start_in_the_order_of_the_rule() {
    run(async {
        let refused = Lost::Refused("harness.unauthorized");
        let cases = [
            (
                "off",
                json!({ "limits": { "ask_model": false } }),
                None,
                vec![Some(Degraded::SwitchedOff)],
            ),
            ("away", json!({}), None, vec![None]),
            // Tried by Temporal until it is given up, then the reason is written down.
            (
                "down",
                json!({}),
                Some((3, Lost::Retryable)),
                vec![Some(Degraded::Unavailable)],
            ),
            (
                "refused",
                json!({}),
                Some((1, refused.clone())),
                vec![Some(Degraded::Unavailable)],
            ),
            ("lost", json!({}), Some((9, refused)), vec![]),
        ];
        for (word, input, fault, unasked) in cases {
            let name = format!("campaign-model-{word}");
            let world = World::new(site().await, &name, 3);
            world.change(|m| {
                m.plays_deployments = true;
                m.model_away = true;
                if let Some((calls, lost)) = fault {
                    for call in 1..=calls {
                        m.fail("campaign.prioritise", Some(call), lost.clone());
                    }
                }
            });
            let counts = campaign(&name, input).await.unwrap().counts;
            assert_eq!(
                (counts.started, counts.degraded, counts.moved),
                (3, true, 0),
                "{name}"
            );
            assert_eq!(world.read(|m| m.unasked.clone()), unasked, "{name}");
            let begun = world.read(|m| m.begun.clone());
            let expected = [1, 2, 3].map(|n| format!("{name}-{n}").parse().unwrap());
            assert_eq!(begun, expected, "{name}");
        }
    });
}

#[test]
fn a_campaign_over_several_runs_forgets_nothing() {
    run(async {
        let name = "campaign-runs";
        let world = World::new(site().await, name, 6);
        let limits = json!({ "limits": { "continue_after_events": 50, "lists_at_once": 1, "most_open_of_client": 6 } });
        let result = campaign(name, limits).await.unwrap();
        assert_eq!((result.counts.lists, result.counts.started), (6, 6));
        for number in 1..=6 {
            started(name, number).await;
        }
        // Each page of each list once, whatever run it was.
        for list in ["inventory.read_patch_list", "inventory.read_software_list"] {
            assert_eq!(world.read(|m| m.calls_of(list)), 12, "{list}");
        }
        assert_eq!(world.read(|m| m.calls_of("campaign.draft")), 1);
    });
}

#[test]
fn without_room_plans_wait_for_the_next_campaign() {
    run(async {
        let name = "campaign-room";
        let world = World::new(site().await, name, 3);
        world.change(|m| m.plays_deployments = true);
        let limits = json!({ "limits": { "most_open_of_client": 1 } });
        let result = campaign(name, limits).await.unwrap();
        assert_eq!((result.counts.plans, result.counts.started), (3, 1));
        assert!(result.held.unwrap().contains("open deployments"));
        deployed(name).await;
        assert_eq!(world.read(|m| m.plan_states.len()), 1);
    });
}

#[test]
fn each_activity_of_a_campaign_may_fail_or_not_be_heard() {
    run(async {
        for activity in CAMPAIGNS {
            for (word, lost) in [("away", Lost::Retryable), ("unheard", Lost::Answer)] {
                let name = format!("campaign-{}-{word}", activity.replace(['.', '_'], "-"));
                let world = World::new(site().await, &name, 1);
                world.change(|m| {
                    m.plays_deployments = true;
                    m.fail(activity, Some(1), lost.clone());
                });
                let result = campaign(&name, json!({})).await.unwrap();
                assert_eq!(result.counts.started, 1, "{name}: {result:?}");
                deployed(&name).await;
                assert_eq!(world.read(|m| m.installed_on().len()), 1, "{name}");
            }
        }
    });
}

#[test]
fn what_a_campaign_is_refused_for_good_is_counted_or_leaves_a_letter() {
    run(async {
        let each = CAMPAIGNS.map(|activity| async move {
            let name = format!("campaign-{}-refused", activity.replace(['.', '_'], "-"));
            let world = World::new(site().await, &name, 1);
            world.change(|m| m.fail(activity, None, Lost::Refused("harness.unauthorized")));
            let ended = campaign(&name, json!({})).await;
            let letters = open_letters(&world).await.len();
            match activity {
                // Lists and the model can be done without.
                "inventory.read_patch_list" => assert_eq!(ended.unwrap().counts.lists_failed, 1),
                "inventory.read_software_list" => {
                    assert_eq!(ended.unwrap().counts.software_failed, 1);
                }
                "campaign.prioritise" => assert!(ended.unwrap().counts.degraded),
                _ => {
                    assert_eq!(ended.unwrap_err().0, "harness.unauthorized", "{name}");
                    assert_eq!(letters, 1, "{name}");
                    return;
                }
            }
            assert_eq!(letters, 0, "{name}");
        });
        join_all(each).await;
    });
}

#[test]
fn a_patch_list_that_is_refused_does_not_hold_the_others_up() {
    run(async {
        let name = "campaign-refused";
        let world = World::new(site().await, name, 2);
        let refused = Lost::Refused("harness.unauthorized");
        world.change(|m| m.fail("inventory.read_patch_list", Some(1), refused));
        let result = campaign(name, json!({})).await.unwrap();
        assert_eq!((result.counts.lists, result.counts.lists_failed), (1, 1));
        assert_eq!(result.counts.started, 2);
        let draft = Lost::Refused("harness.unauthorized");
        let broken = World::new(site().await, "campaign-broken", 1);
        broken.change(|m| m.fail("campaign.draft", None, draft));
        let (kind, _) = campaign("campaign-broken", json!({})).await.unwrap_err();
        assert_eq!(kind, "harness.unauthorized");
    });
}

#[test]
fn software_lists_hold_no_plan_up_and_can_be_left_out() {
    run(async {
        let refused = Lost::Refused("harness.unauthorized");
        let name = "campaign-programs";
        let world = World::new(site().await, name, 2);
        world.change(|m| m.fail("inventory.read_software_list", Some(1), refused));
        let counts = campaign(name, json!({})).await.unwrap().counts;
        assert_eq!((counts.software_lists, counts.software_failed), (1, 1));
        assert_eq!((counts.lists, counts.started), (2, 2));
        let name = "campaign-no-programs";
        let world = World::new(site().await, name, 1);
        let off = json!({ "limits": { "software_secs": 0 } });
        let counts = campaign(name, off).await.unwrap().counts;
        assert_eq!((counts.software_lists, counts.started), (0, 1));
        assert_eq!(
            world.read(|m| m.calls_of("inventory.read_software_list")),
            0
        );
    });
}

#[test]
fn input_that_cannot_be_used_is_named() {
    run(async {
        for (name, input, field) in [
            ("campaign-typo", json!({ "rule": {} }), "rule"),
            (
                "campaign-zero",
                json!({ "rules": { "most_plans": 0 } }),
                "rules.most_plans: `0`",
            ),
            (
                "campaign-zone",
                json!({ "plan": { "windows": [{ "from": "22:00", "to": "22:00" }] } }),
                "plan.windows[0].to",
            ),
            (
                "campaign-ring",
                json!({ "plan": { "rings": [{ "name": "a", "devices": ["81"] }] } }),
                "plan.rings[0].devices",
            ),
            (
                "campaign-room-0",
                json!({ "limits": { "most_open": 0 } }),
                "limits.most_open: `0`",
            ),
        ] {
            let (kind, words) = campaign(name, input).await.unwrap_err();
            assert_eq!(kind, INVALID_INPUT, "{words}");
            assert!(words.contains(field), "{words}");
        }
    });
}

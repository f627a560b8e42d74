use contracts::campaign::CampaignLimits;
use domain::campaign::PlanState;
use serde_json::{Value, json};
use wiremock::{Mock, ResponseTemplate, matchers::body_string_contains};

use super::*;
use crate::testing::{World, client, environment};

fn row(kb: &str, status: &str) -> Value {
    json!({ "installationStatus": status, "patchDetail": { "title": format!("update {kb}"),
        "severity": "Critical", "category": "Security Updates", "kbNumbers": [{ "kbNumber": kb }] } })
}

/// Plays the patch list of every device.
async fn lists(world: &World, rows: &[Value]) {
    let data = json!({ "getAssetPatchDetails": { "assetPatches": rows, "listInfo": { "hasMore": null } } });
    Mock::given(body_string_contains("getAssetPatchDetails"))
        .respond_with(ResponseTemplate::new(200).set_body_json(json!({ "data": data })))
        .mount(&world.server)
        .await;
}

fn draft_input() -> DraftInput {
    DraftInput {
        campaign: "c-1".parse().unwrap(),
        client: client(),
        workflow_id: "patch-campaign/7/x".into(),
        requested_by: None,
        rules: domain::campaign::CampaignRules {
            devices_per_plan: 2,
            ..Default::default()
        },
        plan: domain::campaign::PlanTemplate::default(),
    }
}

#[tokio::test]
async fn what_devices_miss_becomes_plans_that_are_there_once() {
    let world = World::new().await;
    world.seed(4).await;
    lists(
        &world,
        &[row("5034441", "NewOrMissing"), row("5034122", "Installed")],
    )
    .await;
    let steps = environment(CampaignActivities::new(&world.deps));
    let reads = environment(PatchListActivities::new(&world.deps));
    let input = NextListsInput {
        client: client(),
        older_secs: 60,
        after: None,
    };
    let due = steps
        .run(CampaignActivities::next_lists, input.clone())
        .await
        .unwrap();
    assert_eq!((due.devices.len(), due.next), (4, None));
    for device in due.devices {
        let input = ReadListInput {
            client: client(),
            device,
            page: 1,
        };
        let read = reads.run(PatchListActivities::read_patch_list, input).await;
        assert_eq!(read.unwrap().missing, 1);
    }
    let due = steps
        .run(CampaignActivities::next_lists, input)
        .await
        .unwrap();
    assert_eq!(due.devices, []);
    let drafted = steps
        .run(CampaignActivities::draft, draft_input())
        .await
        .unwrap();
    assert_eq!((drafted.pairs, drafted.unread), (4, 0));
    let again = steps
        .run(CampaignActivities::draft, draft_input())
        .await
        .unwrap();
    assert_eq!(again, drafted);
    let next = |limits| NextPlanInput {
        campaign: "c-1".parse().unwrap(),
        client: client(),
        number: 0,
        limits,
    };
    let plan = steps.run(
        CampaignActivities::next_plan,
        next(CampaignLimits::default()),
    );
    let NextPlanResult::Start(request) = plan.await.unwrap() else {
        panic!("there is room");
    };
    assert_eq!(request.id, "c-1-1".parse().ok());
    assert!(request.approval.required);
    let noted = NotePlanInput {
        campaign: "c-1".parse().unwrap(),
        number: 0,
        plan: None,
        state: PlanState::Started {
            at: world.deps.clock.now(),
        },
    };
    steps
        .run(CampaignActivities::note_plan, noted)
        .await
        .unwrap();
    let full = CampaignLimits {
        most_open_of_client: 1,
        ..CampaignLimits::default()
    };
    let held = steps.run(CampaignActivities::next_plan, next(full)).await;
    assert!(
        matches!(held.unwrap(), NextPlanResult::Held(_)),
        "one has begun"
    );
    // Its deployment has not sealed its plan yet; the next campaign leaves its pairs out.
    let second = DraftInput {
        campaign: "c-2".parse().unwrap(),
        ..draft_input()
    };
    let second = steps.run(CampaignActivities::draft, second).await.unwrap();
    let taken = request.devices.ids.len() as u64;
    assert_eq!((second.pairs, second.left_out), (4 - taken, taken));
}

//! Campaigns.

use domain::campaign::{
    Campaign, CampaignAdvice, Degraded, Draft, DraftPlan, PlanState, RankedPlan,
};
use domain::vulnerability::deadline::Deadline;

use super::*;

fn campaign(id: &str, drafted: i64, plans: u32) -> (Campaign, Vec<PlanRequest>) {
    let one = DraftPlan {
        ranked: RankedPlan {
            patches: vec![],
            band: Deadline::Days14,
            due: None,
            overdue: false,
            urgency_permille: 7,
            restart: true,
            needs_approval: true,
            reasons: vec![],
            impact: None,
            schedule: None,
        },
        devices: vec![device_id(1)],
    };
    let draft = Draft {
        plans: vec![one; plans as usize],
        ..Draft::default()
    };
    let workflow = format!("patch-campaign/7/{id}");
    let campaign = Campaign::new(plan(id), client("7"), workflow, at(drafted), &draft);
    let request = |number: u32| PlanRequest {
        id: Some(plan(&format!("{id}-{}", number + 1))),
        ..sealed("p", 1, &[1], 9).request
    };
    (campaign, (0..plans).map(request).collect())
}

pub(super) async fn a_campaign_is_written_once_and_its_plans_are_noted(store: Store) {
    let campaigns = &store.campaigns;
    let (first, requests) = campaign("c-1", 1, 60);
    let written = campaigns
        .put_campaign(first.clone(), requests.clone())
        .await;
    assert_eq!(written.unwrap(), first);
    let (another, _) = campaign("c-1", 9, 1);
    let repeated = campaigns.put_campaign(another, vec![]).await.unwrap();
    assert_eq!(repeated, first, "the first one holds");
    let last = campaigns.campaign_request(&plan("c-1"), 59).await.unwrap();
    assert_eq!(last.as_ref(), requests.last());
    assert_eq!(
        campaigns.campaign_request(&plan("c-1"), 60).await.unwrap(),
        None
    );

    let begun = PlanState::Started { at: at(2) };
    let refused = PlanState::Refused { why: "late".into() };
    for (number, state) in [
        (0, begun.clone()),
        (0, refused.clone()),
        (1, refused.clone()),
    ] {
        campaigns
            .put_plan_state(&plan("c-1"), number, state)
            .await
            .unwrap();
    }
    let noted = campaigns.get_campaign(&plan("c-1")).await.unwrap().unwrap();
    assert_eq!(noted.plans[0].state, begun, "what is started stays so");
    assert_eq!(noted.plans[1].state, refused);
    let unknown = campaigns.put_plan_state(&plan("c-1"), 60, begun).await;
    assert!(
        matches!(unknown, Err(StoreError::NotFound { .. })),
        "{unknown:?}"
    );

    let (second, requests) = campaign("c-2", 2, 1);
    campaigns.put_campaign(second, requests).await.unwrap();
    let begin = Instant::now();
    let newest = loop {
        let list = campaigns
            .list_campaigns(&client("7"), None, 1)
            .await
            .unwrap();
        if list.items[0].id == plan("c-2") || begin.elapsed() > PATIENCE {
            break list;
        }
    };
    assert_eq!(newest.items[0].id, plan("c-2"));
    let rest = campaigns
        .list_campaigns(&client("7"), newest.next.as_deref(), 9)
        .await;
    assert_eq!(rest.unwrap().items, [noted]);
}

fn advice(of: &Campaign, tokens: u64) -> CampaignAdvice {
    CampaignAdvice {
        at: at(2),
        degraded: Some(Degraded::NoModel),
        model: None,
        tokens,
        asked: 2,
        order: of
            .plans
            .iter()
            .rev()
            .map(|plan| plan.plan.clone())
            .collect(),
        plans: [].into(),
        dropped: vec![],
    }
}

pub(super) async fn advice_is_written_once_and_never_after_a_start(store: Store) {
    let campaigns = &store.campaigns;
    let (never_put, _) = campaign("c-9", 1, 1);
    let unknown = campaigns
        .put_advice(&never_put.id, advice(&never_put, 1))
        .await;
    assert!(
        matches!(unknown, Err(StoreError::NotFound { .. })),
        "{unknown:?}"
    );
    for (id, is_begun) in [("c-3", false), ("c-4", true)] {
        let (drafted, requests) = campaign(id, 1, 3);
        campaigns
            .put_campaign(drafted.clone(), requests)
            .await
            .unwrap();
        if is_begun {
            let begun = campaigns.put_plan_state(&drafted.id, 0, PlanState::Started { at: at(2) });
            begun.await.unwrap();
        }
        for tokens in [7, 9] {
            let said = advice(&drafted, tokens);
            let now = campaigns.put_advice(&drafted.id, said).await.unwrap();
            assert_eq!(
                now.advice.as_ref().map(|a| a.tokens),
                (!is_begun).then_some(7)
            );
            let kept = campaigns.get_campaign(&drafted.id).await.unwrap().unwrap();
            assert_eq!(now, kept);
        }
    }
    let kept = campaigns.get_campaign(&plan("c-3")).await.unwrap().unwrap();
    let order = kept.in_order().into_iter().map(|(place, _)| place);
    assert_eq!(order.collect::<Vec<_>>(), [2, 1, 0]);
}

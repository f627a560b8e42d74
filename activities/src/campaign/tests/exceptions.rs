//! An exception that ends between two campaigns.

use domain::campaign::{CampaignRules, Exception};
use jiff::civil::date;

use super::*;

/// A campaign of its own over the same lists: pairs that it takes, and what it says of both kinds.
async fn campaign(world: &World, name: &str) -> (u64, Vec<String>, Vec<String>) {
    let put_off = Exception {
        kb: "KB5034441".parse().unwrap(),
        devices: [crate::testing::device(1).id].into(),
        tags: BTreeSet::new(),
        owner: "dana".parse().unwrap(),
        reason: "end of quarter".into(),
        expires: date(2026, 11, 3),
    };
    let input = DraftInput {
        campaign: name.parse().unwrap(),
        rules: CampaignRules {
            exceptions: vec![put_off],
            ..CampaignRules::default()
        },
        ..draft_input()
    };
    let steps = environment(CampaignActivities::new(&world.deps));
    let drafted = steps.run(CampaignActivities::draft, input.clone()).await;
    let kept = world.deps.store.campaigns.get_campaign(&input.campaign);
    let kept = kept.await.unwrap().unwrap();
    let left_out = kept.left_out.into_iter().map(|left| left.reason);
    let plans = kept.plans.into_iter();
    let reasons = plans.flat_map(|plan| plan.ranked.reasons);
    let woken = reasons.filter(|reason| reason.contains("exception"));
    (drafted.unwrap().pairs, left_out.collect(), woken.collect())
}

#[tokio::test]
async fn an_update_that_was_put_off_is_found_by_the_first_campaign_after_its_last_day() {
    let mut world = World::new().await;
    world.seed(3).await;
    lists(&world, &[row("5034441", "NewOrMissing")]).await;
    let reads = environment(PatchListActivities::new(&world.deps));
    for number in 1..=3 {
        let input = ReadListInput {
            client: client(),
            device: crate::testing::device(number).id,
            page: 1,
        };
        let read = reads.run(PatchListActivities::read_patch_list, input).await;
        assert_eq!(read.unwrap().missing, 1);
    }
    let until = "exception of dana until 2026-11-03".to_owned();
    let holds = (2, vec![until], vec![]);
    assert_eq!(campaign(&world, "c-1").await, holds);
    // From 10:00:30 to the last second of that day in UTC, and one more.
    let to_midnight = 13 * 3600 + 59 * 60 + 30;
    world.later(to_midnight - 1);
    assert_eq!(campaign(&world, "c-2").await, holds);
    world.later(to_midnight);
    let ended = "the exception of dana ended on 2026-11-03".to_owned();
    assert_eq!(
        campaign(&world, "c-3").await,
        (3, vec![], vec![ended]),
        "nobody had to end it"
    );
}

//! Reports of campaigns.

use std::sync::Arc;

use clients::{
    campaign::report::{self, Written},
    objects::Objects,
    store::Store,
};
use contracts::activities::campaign::{
    FindNewestInput, FindNewestResult, ReportInput, ReportKeys, ReportResult, ReportWritten,
};
use temporalio_sdk::activities::{ActivityContext, ActivityError, activities};
use tokio::sync::Notify;

use crate::{Deps, failure::Outcome, heartbeat};

/// Reports of campaigns.
#[derive(Debug)]
pub struct ReportActivities {
    store: Store,
    objects: Objects,
}

impl ReportActivities {
    pub(crate) fn new(deps: &Deps) -> Self {
        Self {
            store: deps.store.clone(),
            objects: deps.objects.clone(),
        }
    }

    async fn newest(&self, input: &FindNewestInput) -> Outcome<FindNewestResult> {
        let campaign = report::newest(&self.store, &input.client).await?;
        Ok(FindNewestResult {
            campaign: campaign.map(|campaign| campaign.id),
        })
    }
}

#[activities]
impl ReportActivities {
    /// Finds the newest campaign of a client.
    #[activity(definition = contracts::activities::campaign::FindNewest)]
    pub async fn find_newest(
        self: Arc<Self>,
        _ctx: ActivityContext,
        input: FindNewestInput,
    ) -> Result<FindNewestResult, ActivityError> {
        Ok(self.newest(&input).await?)
    }

    /// Writes what became of a campaign into the storage of objects.
    #[activity(definition = contracts::activities::campaign::Report)]
    pub async fn report(
        self: Arc<Self>,
        ctx: ActivityContext,
        input: ReportInput,
    ) -> Result<ReportResult, ActivityError> {
        let progress = Notify::new();
        let alive = || progress.notify_one();
        let whose = (&input.client, input.campaign.as_ref());
        let writing = report::write(&self.store, &self.objects, whose, input.at, &alive);
        Ok(result_of(
            heartbeat::during(writing, &progress, &ctx).await?,
        ))
    }
}

/// Says what a report came to, as workflows see it.
#[must_use]
pub fn result_of(written: Option<Written>) -> ReportResult {
    let Some(written) = written else {
        return ReportResult::NoCampaign;
    };
    ReportResult::Written(ReportWritten {
        campaign: written.campaign,
        keys: ReportKeys {
            json: written.keys.json.to_string(),
            csv: written.keys.csv.to_string(),
            html: written.keys.html.to_string(),
            software: written.keys.software.map(|key| key.to_string()),
        },
        is_new: written.is_new,
        plans: written.plans,
        devices: written.devices,
    })
}

#[cfg(test)]
mod tests {
    use clients::objects::ObjectKey;
    use domain::{
        campaign::{Campaign, Draft},
        ids::ClientId,
    };

    use super::*;
    use crate::testing::{CLIENT, NOW, World, client, environment, failure};

    fn asked(campaign: Option<&str>) -> ReportInput {
        ReportInput {
            client: client(),
            campaign: campaign.map(|id| id.parse().unwrap()),
            at: NOW.parse().unwrap(),
        }
    }

    async fn with_campaign() -> World {
        let world = World::new().await;
        let (id, at) = ("c-1".parse().unwrap(), NOW.parse().unwrap());
        let campaign = Campaign::new(id, client(), "w".into(), at, &Draft::default());
        let campaigns = &world.deps.store.campaigns;
        campaigns.put_campaign(campaign, vec![]).await.unwrap();
        world
    }

    fn key(ending: &str) -> ObjectKey {
        let name = format!("reports/{CLIENT}/campaigns/c-1/2026-11-03T10-00.{ending}");
        name.parse().unwrap()
    }

    #[tokio::test]
    async fn a_repeat_finds_its_own_objects() {
        let world = with_campaign().await;
        let run = environment(ReportActivities::new(&world.deps));
        let mut new = Vec::new();
        for campaign in [None, Some("c-1")] {
            let result = run.run(ReportActivities::report, asked(campaign)).await;
            let ReportResult::Written(written) = result.unwrap() else {
                panic!()
            };
            assert_eq!(written.keys.json, key("json").as_str());
            new.push(written.is_new);
        }
        assert_eq!(new, [true, false]);
    }

    #[tokio::test]
    async fn what_a_try_that_died_has_left_is_not_mixed_with_another_report() {
        let world = with_campaign().await;
        let objects = &world.deps.objects;
        objects.create(&key("csv"), "of a try").await.unwrap();
        let run = environment(ReportActivities::new(&world.deps));
        let result = run.run(ReportActivities::report, asked(None)).await;
        let ReportResult::Written(written) = result.unwrap() else {
            panic!()
        };
        assert!(written.keys.csv.ends_with("T10-00-2.csv"), "{written:?}");
        assert_eq!(objects.read(&key("csv")).await.unwrap(), "of a try");
        for ending in ["html", "json"] {
            assert!(objects.read(&key(ending)).await.is_err(), "{ending}");
        }
    }

    #[tokio::test]
    async fn the_newest_campaign_is_named_and_none_at_all_is_an_answer() {
        let world = with_campaign().await;
        let run = environment(ReportActivities::new(&world.deps));
        let newest = async |client: ClientId| {
            let input = FindNewestInput { client };
            let found = run.run(ReportActivities::find_newest, input).await;
            found.unwrap().campaign
        };
        assert_eq!(newest(client()).await, "c-1".parse().ok());
        assert_eq!(newest("7".parse().unwrap()).await, None);
    }

    #[tokio::test]
    async fn an_unknown_campaign_is_named_and_none_at_all_is_an_answer() {
        let world = with_campaign().await;
        let run = environment(ReportActivities::new(&world.deps));
        let result = run.run(ReportActivities::report, asked(Some("c-2"))).await;
        let found = failure(result);
        assert_eq!(found.type_name(), Some(contracts::failures::INVALID_INPUT));
        assert!(found.is_non_retryable());
        assert!(found.to_string().contains("campaign: `c-2`"), "{found}");
        let nobody = ReportInput {
            client: "7".parse().unwrap(),
            ..asked(None)
        };
        let result = run.run(ReportActivities::report, nobody).await.unwrap();
        assert_eq!(result, ReportResult::NoCampaign);
    }
}

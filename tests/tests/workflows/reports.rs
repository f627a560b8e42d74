//! What became of a campaign is written down by a workflow, whatever becomes of its activity.

use std::sync::Arc;

use autoops_tests::{Lost, World, deployment::ended, plan, run, site, wire};
use clients::{objects::ObjectKey, store::DeviceRow};
use contracts::{
    activities::{
        REPORTING, REPORTS,
        campaign::{ReportKeys, ReportResult, ReportWritten},
    },
    failures::INVALID_INPUT,
    ids::patch_deployment,
    search,
};
use domain::{
    campaign::{
        Campaign, Draft, DraftPatch, DraftPlan, PlanState, RankedPlan,
        report::{Due, Fate, Report, Standing},
    },
    deployment::{DeploymentStatus, Stage},
    outcome::{DeploymentOutcome, DeviceOutcome, DeviceResult, OutcomeCounts},
    vulnerability::deadline::Deadline,
};
use jiff::{SignedDuration, Timestamp, civil::date};
use serde_json::{Value, json};
use temporalio_client::{UntypedWorkflow, WorkflowDescribeOptions};

const CLIENT: &str = "7001";
const HOSTILE: &str = "=1+1 <script>alert(1)</script>";

fn status(campaign: &Campaign, number: usize, at: Timestamp) -> DeploymentStatus {
    let plan = &campaign.plans[number].plan;
    let outcome = (number == 0).then_some(DeploymentOutcome::Verified);
    DeploymentStatus {
        plan: plan.clone(),
        workflow_id: patch_deployment(plan),
        client: campaign.client.clone(),
        kbs: vec![plan::KB.parse().unwrap()],
        stage: outcome.map_or(Stage::Deploying, |_| Stage::Done),
        note: HOSTILE.to_owned(),
        trouble: None,
        audit_gaps: 0,
        plan_hash: None,
        revision: 1,
        risk: None,
        approval: None,
        needs_approval: false,
        approved_by: vec![],
        forbidden: vec![],
        evidence_first: 0,
        evidence_waived: None,
        rings: vec![],
        stragglers: 0,
        counts: OutcomeCounts::default(),
        deadline: None,
        started_at: at,
        updated_at: at,
        outcome,
    }
}

/// A campaign with two plans of two devices each: one is verified, the other is at work and has one
/// device done.
pub(crate) async fn campaign(world: &World, name: &str) -> Campaign {
    let at = Timestamp::now() - SignedDuration::from_hours(1);
    let of = |devices: [&str; 2], due| DraftPlan {
        ranked: RankedPlan {
            patches: vec![DraftPatch {
                kb: plan::KB.parse().unwrap(),
                title: HOSTILE.to_owned(),
                cves: vec![],
                closes: 2,
                supersedes: [].into(),
            }],
            band: Deadline::Days14,
            due: Some(due),
            overdue: false,
            urgency_permille: 500,
            restart: true,
            needs_approval: false,
            reasons: vec![],
            impact: None,
            schedule: None,
        },
        devices: devices.map(|id| id.parse().unwrap()).to_vec(),
    };
    let draft = Draft {
        plans: vec![
            of(["81", "82"], date(2100, 1, 1)),
            of(["83", "84"], date(2024, 1, 1)),
        ],
        pairs: 4,
        unread: 1,
        ..Draft::default()
    };
    let (id, client) = (name.parse().unwrap(), CLIENT.parse().unwrap());
    let workflow = format!("patch-campaign/{CLIENT}/{name}");
    let campaign = Campaign::new(id, client, workflow, at, &draft);
    let requests = draft
        .plans
        .iter()
        .zip(&campaign.plans)
        .map(|(plan, named)| {
            let mut request = world.read(plan::request);
            request.id = Some(named.plan.clone());
            request.devices.ids.clone_from(&plan.devices);
            request
        });
    let store = world.store();
    let requests = requests.collect();
    let put = store.campaigns.put_campaign(campaign, requests);
    let campaign = put.await.unwrap();
    for (number, ended) in [(0, vec!["81", "82"]), (1, vec!["83"])] {
        let plan = &campaign.plans[number].plan;
        let state = PlanState::Started { at };
        let noted = u32::try_from(number).unwrap();
        let noted = store.campaigns.put_plan_state(&campaign.id, noted, state);
        noted.await.unwrap();
        let status = status(&campaign, number, at);
        store.executions.put_status(status, None).await.unwrap();
        for device in ended {
            verified(world, plan, device, at).await;
        }
    }
    campaign
}

async fn verified(world: &World, plan: &domain::ids::PlanId, device: &str, at: Timestamp) {
    let row = DeviceRow {
        plan: plan.clone(),
        ring: 0,
        attempt: 1,
        result: DeviceResult {
            device: device.parse().unwrap(),
            outcome: DeviceOutcome::Verified,
            detail: HOSTILE.to_owned(),
            patches: vec![],
            evidence: None,
        },
        at,
    };
    world.store().executions.put_device_row(row).await.unwrap();
}

pub(crate) async fn world(name: &str) -> (Arc<World>, Campaign) {
    let world = World::new(site().await, name, 4);
    let campaign = campaign(&world, &format!("c-{name}")).await;
    (world, campaign)
}

pub(crate) fn id(name: &str) -> String {
    format!("campaign-report/{CLIENT}/{name}")
}

/// Reports as a schedule of the world's name does it.
pub(crate) async fn report(name: &str, more: Value) -> Result<ReportResult, (String, String)> {
    report_as(&id(name), more).await
}

/// The id of another run: the server appends the time of each.
fn run_of(name: &str, second: i64) -> String {
    format!("{}-{}", id(name), Timestamp::from_second(second).unwrap())
}

async fn report_as(id: &str, more: Value) -> Result<ReportResult, (String, String)> {
    let mut input = json!({ "client": CLIENT });
    for (field, value) in more.as_object().unwrap() {
        input[field] = value.clone();
    }
    let client = site().await.client();
    ended(client, "CampaignReport", id, wire::json(&input)).await
}

async fn written(id: &str, more: Value) -> ReportWritten {
    match report_as(id, more).await.unwrap() {
        ReportResult::Written(written) => written,
        ReportResult::NoCampaign => panic!("no campaign for {id}"),
    }
}

async fn read(world: &World, key: &str) -> String {
    let bytes = world.objects().read(&key.parse().unwrap()).await.unwrap();
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Every object of the campaigns of the client.
async fn objects(world: &World) -> Vec<String> {
    let below: ObjectKey = format!("reports/{CLIENT}").parse().unwrap();
    let keys = world.objects().list(&below).await.unwrap();
    keys.iter().map(ToString::to_string).collect()
}

#[test]
fn the_newest_campaign_becomes_three_objects() {
    run(async {
        let name = "report-plain";
        let (world, campaign) = world(name).await;
        let result = written(&id(name), json!({})).await;
        assert_eq!((&result.campaign, result.plans), (&campaign.id, 2));
        let ReportKeys {
            json, csv, html, ..
        } = &result.keys;
        assert!(json.starts_with(&format!("reports/{CLIENT}/campaigns/c-{name}/20")));
        assert_eq!(objects(&world).await, [csv, html, json].map(Clone::clone));

        let report: Report = serde_json::from_str(&read(&world, json).await).unwrap();
        let devices = &report.totals.devices;
        assert_eq!(*devices, result.devices);
        assert_eq!((devices.of(Fate::Verified), devices.of(Fate::Open)), (3, 1));
        assert_eq!(report.totals.pairs.total(), 4);
        let [done, open] = &report.plans[..] else {
            panic!("{report:?}")
        };
        assert_eq!((done.due, open.due), (Due::Kept, Due::Overdue));
        assert!(matches!(open.standing, Standing::Open { .. }));
        assert_eq!(report.unread, 1);

        let csv = read(&world, csv).await;
        assert_eq!(csv.lines().count(), 5, "{csv}");
        assert!(!csv.contains(",=1+1") && csv.contains(",'=1+1"), "{csv}");
        let html = read(&world, html).await;
        assert!(!html.contains("<script") && html.contains("&lt;script&gt;"));

        let client = site().await.client();
        let handle = client.get_workflow_handle::<UntypedWorkflow>(id(name));
        let shown = handle.describe(WorkflowDescribeOptions::default()).await;
        let shown = shown.unwrap();
        let attributes = shown.search_attributes();
        assert_eq!(attributes.get(&search::STAGE), Some("done".to_owned()));
        assert_eq!(attributes.get(&search::CLIENT), Some(CLIENT.to_owned()));
    });
}

#[test]
fn a_report_survives_an_activity_that_fails_is_silent_or_is_not_heard() {
    run(async {
        for activity in REPORTS {
            for (word, lost) in [
                ("unavailable", Lost::Retryable),
                ("silent", Lost::Silent),
                ("unheard", Lost::Answer),
            ] {
                let name = format!("{}-{word}", activity.replace(['.', '_'], "-"));
                let (world, campaign) = world(&name).await;
                world.change(|m| m.fail(activity, Some(1), lost.clone()));
                let result = written(&id(&name), json!({ "try_secs": 2 })).await;
                assert_eq!(result.campaign, campaign.id, "{name}");
                assert!(world.read(|m| m.calls_of(activity)) >= 2, "{name}");
                // What was not heard is found done.
                let is_new = activity != REPORTING || lost != Lost::Answer;
                assert_eq!(result.is_new, is_new, "{name}");
                assert_eq!(objects(&world).await.len(), 3, "{name}");
            }
        }
    });
}

#[test]
fn a_later_report_leaves_the_one_before_alone() {
    run(async {
        let name = "report-later";
        let (world, campaign) = world(name).await;
        let first = written(&run_of(name, 1), json!({})).await;
        let before = read(&world, &first.keys.csv).await;
        verified(&world, &campaign.plans[1].plan, "84", Timestamp::now()).await;
        // Perhaps in the same minute.
        let second = written(&run_of(name, 2), json!({})).await;
        assert!(second.is_new);
        assert_ne!(first.keys, second.keys);
        assert_eq!(second.devices.of(Fate::Verified), 4);
        assert_eq!(read(&world, &first.keys.csv).await, before);
        assert_eq!(objects(&world).await.len(), 6);
    });
}

#[test]
fn a_report_that_is_refused_says_why() {
    run(async {
        for activity in REPORTS {
            let name = format!("{}-refused", activity.replace(['.', '_'], "-"));
            let (world, _) = world(&name).await;
            world.change(|m| m.fail(activity, None, Lost::Refused("harness.unauthorized")));
            let (kind, words) = report(&name, json!({})).await.unwrap_err();
            assert_eq!(kind, "harness.unauthorized");
            assert!(words.contains("refused on demand"), "{words}");
        }
    });
}

#[test]
fn a_client_without_campaigns_has_nothing_to_report() {
    run(async {
        let name = "report-nothing";
        let _world = World::new(site().await, name, 1);
        let result = report(name, json!({})).await.unwrap();
        assert_eq!(result, ReportResult::NoCampaign);
    });
}

#[test]
fn an_unknown_campaign_one_of_another_client_and_a_typo_are_named() {
    run(async {
        let (_world, campaign) = world("report-unknown").await;
        let other = json!({ "client": "7002", "campaign": campaign.id });
        let inputs = [
            (json!({ "campaign": "c-none" }), "campaign: `c-none`"),
            (other, "campaign: `c-report-unknown`"),
            (json!({ "campaing": "c-none" }), "campaing"),
            (json!({ "try_secs": 0 }), "try_secs: `0`"),
        ];
        for (second, (input, words)) in (1..).zip(inputs) {
            let id = run_of("report-unknown", second);
            let (kind, found) = report_as(&id, input).await.unwrap_err();
            assert_eq!(kind, INVALID_INPUT, "{found}");
            assert!(found.contains(words), "{found}");
        }
    });
}

use jiff::civil::date;

use super::*;
use crate::{
    approval::Request,
    campaign::{Campaign, CampaignPlan, PlanState, RankedPlan},
    deployment::DeploymentStatus,
    guardrail::OnTimeout,
    ids::DeviceId,
    outcome::{DeviceResult, OutcomeCounts, PatchResult},
    software::{NameCount, ProductFindings},
    vulnerability::cpe::Product,
};

const HOSTILE: &str = "=cmd|'/c calc'!A1 <script>alert(\"1\")</script> & \u{202e}\n\0";

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn kb(number: u32) -> KbId {
    (5_000_000 + number).to_string().parse().unwrap()
}

fn patch(number: u32) -> DraftPatch {
    DraftPatch {
        kb: kb(number),
        title: HOSTILE.to_owned(),
        cves: vec![],
        closes: 3,
        supersedes: BTreeSet::new(),
    }
}

fn plan(number: u32, devices: u64, state: PlanState) -> CampaignPlan {
    CampaignPlan {
        plan: format!("c-1-{number}").parse().unwrap(),
        ranked: RankedPlan {
            patches: vec![patch(1), patch(number + 1)],
            band: Deadline::Days14,
            due: Some(date(2026, 11, 28)),
            overdue: false,
            urgency_permille: 700,
            restart: true,
            needs_approval: false,
            reasons: vec![HOSTILE.to_owned()],
            impact: None,
            schedule: None,
        },
        devices,
        state,
    }
}

fn software() -> SoftwareSummary {
    let found = ProductFindings {
        product: Product {
            vendor: HOSTILE.to_owned(),
            product: "chrome".to_owned(),
        },
        name: HOSTILE.to_owned(),
        versions: vec![HOSTILE.to_owned()],
        devices: 3,
        examples: vec![],
        vulnerabilities: 2,
        cves: vec!["CVE-2024-4761".parse().unwrap()],
        in_kev: true,
        band: Deadline::Days3,
        due: Some(date(2026, 11, 22)),
        overdue: true,
        urgency_permille: 700,
        exploit_permille: 1000,
        fixed_in: Some(HOSTILE.to_owned()),
        without_fix: 1,
        why: HOSTILE.to_owned(),
    };
    SoftwareSummary {
        products: vec![found.clone()],
        uncertain: vec![found],
        unmatched: 4,
        unmatched_names: vec![NameCount {
            name: HOSTILE.to_owned(),
            devices: 4,
        }],
        ..SoftwareSummary::default()
    }
}

fn campaign(plans: Vec<CampaignPlan>) -> Campaign {
    Campaign {
        id: "c-1".parse().unwrap(),
        client: "7".parse().unwrap(),
        workflow_id: format!("patch-campaign/7/{HOSTILE}"),
        drafted_at: at("2026-11-20T10:00:00Z"),
        pairs: 0,
        devices: 40,
        left_out: vec![LeftOut {
            reason: HOSTILE.to_owned(),
            pairs: 9,
            examples: vec![("81".parse().unwrap(), kb(9))],
        }],
        unread: 2,
        without_facts: BTreeSet::from([kb(8)]),
        plans,
        software: Some(software()),
        advice: None,
    }
}

fn status(outcome: Option<DeploymentOutcome>, updated_at: &str) -> DeploymentStatus {
    DeploymentStatus {
        plan: "c-1-1".parse().unwrap(),
        workflow_id: "patch-deployment/c-1-1".into(),
        client: "7".parse().unwrap(),
        kbs: vec![],
        stage: outcome.map_or(Stage::Deploying, |_| Stage::Done),
        note: HOSTILE.to_owned(),
        trouble: None,
        audit_gaps: 0,
        plan_hash: None,
        revision: 1,
        risk: None,
        approval: Some(Request {
            id: "c-1-1/1".parse().unwrap(),
            plan_hash: String::new(),
            policy_version: "1".into(),
            role: Role::Technician,
            quorum: 1,
            opened_at: at("2026-11-20T11:00:00Z"),
            deadline: at("2026-11-21T11:00:00Z"),
            escalation: None,
            escalated: false,
            requester: None,
            four_eyes: false,
            on_timeout: OnTimeout::Reject,
        }),
        needs_approval: false,
        approved_by: vec!["dana".parse().unwrap()],
        forbidden: vec![],
        evidence_first: 0,
        evidence_waived: None,
        rings: vec![],
        stragglers: 0,
        counts: OutcomeCounts::default(),
        deadline: None,
        started_at: at("2026-11-20T10:00:00Z"),
        updated_at: at(updated_at),
        outcome,
    }
}

fn result(device: &str, outcome: DeviceOutcome, patches: Vec<PatchResult>) -> DeviceResult {
    DeviceResult {
        device: device.parse().unwrap(),
        outcome,
        detail: HOSTILE.to_owned(),
        patches,
        evidence: None,
    }
}

fn seen(result: &DeviceResult) -> SeenDevice<'_> {
    SeenDevice {
        result,
        ring: 0,
        attempt: 1,
        at: at("2026-11-21T12:00:00Z"),
    }
}

/// A plan that has ended with a failure on one of two devices, one that is at work on one of three,
/// one that waits.
fn sample() -> (Report, String) {
    use DeviceOutcome as D;
    let started = || PlanState::Started {
        at: at("2026-11-20T10:00:00Z"),
    };
    let plans = vec![
        plan(1, 2, started()),
        plan(2, 3, started()),
        plan(3, 4, PlanState::Waiting),
    ];
    let campaign = campaign(plans);
    let mut builder = ReportBuilder::new(&campaign, at("2026-11-29T00:00:00Z"));
    let mut table = DeviceTable::new().unwrap();
    let ended = status(Some(DeploymentOutcome::Incomplete), "2026-11-22T10:00:00Z");
    let of = |number, outcome| PatchResult {
        kb: kb(number),
        outcome,
        detail: String::new(),
    };
    let good = result("81", D::Verified, vec![]);
    let bad = result("82", D::Failed, vec![of(1, D::Verified), of(2, D::Failed)]);
    builder.plan(&campaign.plans[0], Some(&ended));
    let mut lines = vec![
        builder.seen(seen(&good)).unwrap(),
        builder.seen(seen(&bad)).unwrap(),
    ];
    builder.plan(
        &campaign.plans[1],
        Some(&status(None, "2026-11-22T10:00:00Z")),
    );
    let away = result("83", D::Deferred, vec![]);
    lines.push(builder.seen(seen(&away)).unwrap());
    // The third device of it is counted without a name.
    lines.push(builder.unseen(&"84".parse::<DeviceId>().unwrap()).unwrap());
    builder.plan(&campaign.plans[2], None);
    let report = builder.finish();
    for line in &lines {
        let plan = report.plans.iter().find(|plan| plan.plan == line.plan);
        table.add(plan.unwrap(), line).unwrap();
    }
    let table = String::from_utf8(table.finish().unwrap()).unwrap();
    (report, table)
}

#[test]
fn each_device_and_pair_counts_once() {
    let (report, _) = sample();
    let Totals { devices, pairs, .. } = &report.totals;
    assert_eq!((devices.total(), pairs.total()), (9, 18));
    assert_eq!(devices.of(Fate::Verified), 1);
    assert_eq!(devices.of(Fate::Failed), 1);
    assert_eq!(devices.of(Fate::Open), 7);
    // One update of the failed device is there.
    assert_eq!((pairs.of(Fate::Verified), pairs.of(Fate::Failed)), (3, 1));
    let everywhere = &report.updates[&kb(1)];
    assert_eq!((everywhere.plans, everywhere.devices.total()), (3, 9));
    assert_eq!(everywhere.devices.of(Fate::Verified), 2);
    assert_eq!(report.look_after.len(), 1);
    let approval = report.plans[0].approval.as_ref().unwrap();
    assert_eq!(approval.approved_by[0].as_str(), "dana");
}

#[test]
fn a_due_day_is_kept_only_by_verified_devices() {
    let due = Some(date(2026, 11, 28));
    let ended = |outcome, on: &str| Standing::Ended {
        outcome,
        at: at(on),
    };
    let (last, after) = ("2026-11-28T23:59:59Z", "2026-11-29T00:00:00Z");
    let verified = DeploymentOutcome::Verified;
    for (standing, today, expected) in [
        (ended(verified, last), after, Due::Kept),
        (ended(verified, after), after, Due::Missed),
        (ended(DeploymentOutcome::Rejected, last), last, Due::Ahead),
        (ended(DeploymentOutcome::Rejected, last), after, Due::Missed),
        (Standing::Waiting, last, Due::Ahead),
        (Standing::Waiting, after, Due::Overdue),
        (Standing::Unknown, after, Due::Overdue),
    ] {
        let found = Due::of(due, &standing, build::day(at(today)));
        assert_eq!(found, expected, "{standing:?} {today}");
        let never = Due::of(None, &standing, build::day(at(today)));
        assert_eq!(never, Due::None);
    }
}

#[test]
fn every_outcome_has_a_fate_and_an_end_leaves_nothing_open() {
    let outcomes = [
        DeviceOutcome::Verified,
        DeviceOutcome::VerifiedByScript,
        DeviceOutcome::Deferred,
        DeviceOutcome::Unreached,
        DeviceOutcome::Aborted,
    ];
    for outcome in outcomes.map(Some).into_iter().chain([None]) {
        assert_ne!(Fate::of(outcome, true), Fate::Open, "{outcome:?}");
    }
    assert_eq!(Fate::of(Some(DeviceOutcome::Deferred), false), Fate::Open);
    assert_eq!(Fate::of(None, false), Fate::Open);
}

#[test]
fn a_plan_that_was_refused_is_not_done() {
    let refused = PlanState::Refused {
        why: HOSTILE.to_owned(),
    };
    let campaign = campaign(vec![plan(1, 5, refused)]);
    let mut builder = ReportBuilder::new(&campaign, at("2026-11-21T10:00:00Z"));
    assert!(builder.unseen(&"81".parse().unwrap()).is_none());
    builder.plan(&campaign.plans[0], None);
    let report = builder.finish();
    assert_eq!(report.totals.devices.of(Fate::NotDone), 5);
    assert_eq!(report.totals.due[&Due::Ahead], 1);
}

#[test]
fn json_reads_back() {
    let (report, _) = sample();
    let json = report.to_json().unwrap();
    assert_eq!(serde_json::from_slice::<Report>(&json).unwrap(), report);
    let value: serde_json::Value = serde_json::from_slice(&json).unwrap();
    assert_eq!(
        value["totals"]["devices"]["rolled_back"],
        serde_json::Value::Null
    );
    assert_eq!(value["totals"]["devices"]["open"], 7);
    assert_eq!(value["plans"][1]["due"], "overdue");
}

#[test]
fn csv_has_a_line_for_each_plan_and_device_and_no_formula() {
    let (_, table) = sample();
    let mut reader = csv::Reader::from_reader(table.as_bytes());
    assert_eq!(reader.headers().unwrap().len(), 14);
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    assert_eq!(rows.len(), 4);
    for cell in rows.iter().flatten() {
        assert!(
            !cell.starts_with(['=', '+', '-', '@', '\t', '\r']),
            "{cell}"
        );
    }
    assert_eq!(rows[1].get(4), Some(format!("'{HOSTILE}").as_str()));
    assert_eq!(rows[1].get(5), Some("KB5000001:verified KB5000002:failed"));
    assert_eq!((rows[3].get(1), rows[3].get(2)), (Some("84"), Some("open")));
}

#[test]
fn what_a_spreadsheet_would_compute_is_made_text() {
    for formula in [
        "=1+1",
        "+1",
        "-1",
        "@SUM(A1)",
        "\t=1",
        "\r=1",
        "\n=1",
        " =1",
        "\u{feff}=1",
        "＝1",
        "−1",
    ] {
        assert_eq!(table::inert(formula), format!("'{formula}"));
    }
    for text in [
        "",
        "KB5000001:verified",
        "a=b",
        "2026-11-28",
        "c-1-1",
        "'=1",
    ] {
        assert_eq!(table::inert(text), text);
    }
}

#[test]
fn the_page_holds_texts_of_others_as_text_only() {
    let (report, _) = sample();
    let page = report.to_html();
    assert!(
        !page.contains("<script") && !page.contains("</script"),
        "{page}"
    );
    assert!(!page.contains(['\0', '\u{202e}']));
    // Title, reason, note and detail.
    assert!(page.matches("&lt;script&gt;alert(&quot;1&quot;)").count() >= 4);
    assert!(
        !page.contains("http://") && !page.contains("https://"),
        "nothing from elsewhere"
    );
    for shown in ["c-1-1", "KB5000001", "overdue", "by dana", "never read: 2"] {
        assert!(page.contains(shown), "{shown}");
    }
}

#[test]
fn a_report_names_no_more_devices_than_it_may() {
    let many = MOST_NAMED + 20;
    let ended = status(Some(DeploymentOutcome::Incomplete), "2026-11-22T10:00:00Z");
    let state = PlanState::Started {
        at: at("2026-11-20T10:00:00Z"),
    };
    let campaign = campaign(vec![plan(1, many as u64, state)]);
    let mut builder = ReportBuilder::new(&campaign, at("2026-11-23T10:00:00Z"));
    builder.plan(&campaign.plans[0], Some(&ended));
    for number in 0..many {
        let bad = result(&number.to_string(), DeviceOutcome::Failed, vec![]);
        builder.seen(seen(&bad));
    }
    let report = builder.finish();
    assert_eq!(report.look_after.len(), MOST_NAMED);
    assert_eq!(report.totals.devices.of(Fate::Failed), many as u64);
    assert!(report.to_html().contains("the CSV file has all"));
}

#[test]
fn the_page_says_when_what_and_who_has_moved_a_plan() {
    use crate::campaign::{CampaignAdvice, Degraded, Moved, PlanAdvice, ScheduleAdvice, When};
    let mut campaign = campaign(vec![
        plan(1, 2, PlanState::Waiting),
        plan(2, 2, PlanState::Waiting),
    ]);
    let page = |campaign: &Campaign| {
        let mut builder = ReportBuilder::new(campaign, at("2026-11-23T10:00:00Z"));
        for (_, plan) in campaign.in_order() {
            builder.plan(plan, None);
        }
        builder.finish()
    };
    let by_rule = page(&campaign);
    assert_eq!(by_rule.degraded, Some(Degraded::NotAsked));
    assert!(
        by_rule
            .to_html()
            .contains("Degraded: the order is that of the rules")
    );
    campaign.plans[1].ranked.schedule = Some(ScheduleAdvice {
        when: When::OutsideWindows,
        opens_at: None,
        evidence_first: false,
        doubted: false,
        reasons: vec![HOSTILE.to_owned()],
    });
    let names: Vec<PlanId> = campaign
        .plans
        .iter()
        .map(|plan| plan.plan.clone())
        .collect();
    let said = PlanAdvice {
        explanation: HOSTILE.to_owned(),
        evidence: vec![],
        moved: Some(Moved {
            asked: 1,
            places: 1,
        }),
    };
    campaign.advice = Some(CampaignAdvice {
        at: at("2026-11-20T10:00:00Z"),
        degraded: None,
        model: Some("m".to_owned()),
        tokens: 7,
        asked: 2,
        order: names.iter().rev().cloned().collect(),
        plans: [(names[1].clone(), said)].into(),
        dropped: vec![],
    });
    let moved = page(&campaign);
    assert_eq!(
        (moved.plans[0].plan.clone(), moved.degraded),
        (names[1].clone(), None)
    );
    let html = moved.to_html();
    for shown in [
        "outside of windows: needs a person",
        "moved up 1 by the model",
    ] {
        assert!(html.contains(shown), "{shown}");
    }
    assert!(!html.contains("<script") && !html.contains("Degraded"));
}

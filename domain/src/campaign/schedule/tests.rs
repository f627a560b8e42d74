use jiff::civil::date;

use super::*;
use crate::{
    campaign::DraftPatch,
    device::Platform,
    plan::{RebootPolicy, WindowSpec},
    vulnerability::deadline::Deadline,
};

fn now() -> Timestamp {
    "2026-11-28T10:00:00Z".parse().unwrap()
}

fn kb() -> KbId {
    "KB5034441".parse().unwrap()
}

fn plan(band: Deadline, due: Option<Date>) -> RankedPlan {
    RankedPlan {
        patches: vec![DraftPatch {
            kb: kb(),
            title: String::new(),
            cves: vec![],
            closes: 1,
            supersedes: BTreeSet::new(),
        }],
        band,
        due,
        overdue: due.is_some_and(|due| due < date(2026, 11, 28)),
        urgency_permille: 500,
        restart: true,
        needs_approval: true,
        reasons: vec![],
        impact: None,
        schedule: None,
    }
}

fn device(number: u32, tags: &[&str]) -> Device {
    let tags = tags.iter().map(|tag| (*tag).to_owned()).collect();
    let id = number.to_string().parse().unwrap();
    Device::new(
        id,
        "7".parse().unwrap(),
        Platform::WindowsWorkstation,
        tags,
        now(),
    )
}

fn opens_in(hours: i64) -> Option<Opening> {
    let opens_at = now() + SignedDuration::from_hours(hours);
    Some(Opening {
        opens_at,
        closes_at: Some(opens_at + SignedDuration::from_hours(4)),
    })
}

fn advised(plan: &RankedPlan, opening: Option<Opening>, ledger: &[Verdict]) -> ScheduleAdvice {
    let one = device(1, &["exposure:exposed"]);
    let impact = BusinessImpact::of(&[&one], 9, plan.restart, RebootPolicy::IfNeeded);
    let ledger = ledger.iter().map(|said| (kb(), said.clone())).collect();
    let timing = Timing {
        now: now(),
        has_windows: true,
        opening,
        ledger: &ledger,
    };
    recommend(plan, &impact, &timing)
}

#[test]
fn what_presses_goes_in_the_next_window_that_comes_in_time() {
    use Deadline as D;
    for (band, due, opens, when) in [
        (D::Days3, Some(date(2026, 11, 30)), opens_in(0), When::Now),
        (
            D::Days3,
            Some(date(2026, 11, 30)),
            opens_in(10),
            When::NextWindow,
        ),
        // The due day ends at midnight, in 62 hours.
        (
            D::Days3,
            Some(date(2026, 11, 30)),
            opens_in(61),
            When::NextWindow,
        ),
        (
            D::Days3,
            Some(date(2026, 11, 30)),
            opens_in(62),
            When::OutsideWindows,
        ),
        (
            D::Days3Forensic,
            Some(date(2026, 11, 27)),
            opens_in(23),
            When::NextWindow,
        ),
        (
            D::Days14,
            Some(date(2026, 11, 27)),
            opens_in(24),
            When::OutsideWindows,
        ),
        (
            D::Days14,
            Some(date(2026, 12, 9)),
            None,
            When::OutsideWindows,
        ),
        (
            D::Days60,
            Some(date(2026, 12, 12)),
            opens_in(10),
            When::NextWindow,
        ),
        (
            D::Days60,
            Some(date(2026, 12, 13)),
            opens_in(0),
            When::RegularCycle,
        ),
        (
            D::Days60,
            Some(date(2026, 11, 1)),
            opens_in(100),
            When::OutsideWindows,
        ),
        (D::Days3, None, opens_in(500), When::NextWindow),
        (D::OnUpgrade, None, opens_in(0), When::RegularCycle),
        (D::OnUpgrade, None, None, When::RegularCycle),
    ] {
        let advice = advised(&plan(band, due), opens, &[]);
        assert_eq!(advice.when, when, "{band} {due:?}: {advice:?}");
        assert_eq!(advice.evidence_first, band == D::Days3Forensic);
        assert!(!advice.reasons.is_empty() && !advice.doubted);
    }
}

#[test]
fn the_ledger_has_the_first_word() {
    let said = |reason: &str| reason.to_owned();
    let urgent = plan(Deadline::Days3, Some(date(2026, 11, 30)));
    let stop = Verdict::Stop {
        reason: said("<script>"),
    };
    let advice = advised(&urgent, opens_in(0), &[stop]);
    assert_eq!((advice.when, advice.doubted), (When::Stopped, true));
    assert!(
        !advice.reasons.concat().contains("script"),
        "words of others stay out"
    );
    let hold = Verdict::Hold { reason: said("x") };
    let advice = advised(&urgent, opens_in(0), &[hold]);
    assert_eq!((advice.when, advice.doubted), (When::Now, true));
    let go = Verdict::Go { reason: said("x") };
    assert!(!advised(&urgent, opens_in(0), &[go]).doubted);
}

#[test]
fn a_draft_is_advised_by_the_windows_of_the_latest_zone() {
    let ranked = plan(Deadline::Days3, Some(date(2026, 11, 30)));
    let mut devices = vec![device(1, &[]), device(2, &[])];
    devices[0].time_zone = Some("Asia/Tokyo".to_owned());
    devices[1].time_zone = Some("no such zone".to_owned());
    let mut draft = Draft {
        plans: vec![super::super::DraftPlan {
            ranked,
            devices: devices.iter().map(|d| d.id.clone()).collect(),
        }],
        ..Draft::default()
    };
    let facts = Facts {
        devices,
        ..Facts::default()
    };
    let mut template = PlanTemplate::default();
    draft.recommend(&facts, &template, now());
    let advice = draft.plans[0].ranked.schedule.clone().unwrap();
    assert_eq!((advice.when, advice.opens_at), (When::Now, None));
    assert!(advice.reasons.concat().contains("while people may work"));
    let window: WindowSpec =
        serde_json::from_value(serde_json::json!({ "from": "22:00", "to": "23:00" })).unwrap();
    template.windows = vec![window];
    draft.recommend(&facts, &template, now());
    let advice = draft.plans[0].ranked.schedule.clone().unwrap();
    // 22:00 in Tokyo is 13:00 UTC; UTC stands for the zone that nobody knows.
    assert_eq!(advice.opens_at, "2026-11-28T22:00:00Z".parse().ok());
    assert_eq!(advice.when, When::NextWindow);
    assert_eq!(
        draft.plans[0]
            .ranked
            .impact
            .as_ref()
            .unwrap()
            .devices
            .client_total,
        2
    );
}

use domain::vulnerability::{
    deadline::Automatable,
    record::{Said, Source, VulnerabilityRecord},
};
use domain::{
    campaign::{
        BusinessImpact, Campaign, CampaignAdvice, Degraded, Draft, DraftPlan, Moved, PlanAdvice,
        RankedPlan, ScheduleAdvice, When,
    },
    device::{Device, Platform},
    plan::RebootPolicy,
    vulnerability::deadline::Deadline,
};
use jiff::Timestamp;

use super::{advice, facts::lines};

fn at() -> Timestamp {
    "2026-11-01T00:00:00Z".parse().unwrap()
}

#[test]
fn each_fact_has_its_source_and_who_disagrees_is_named() {
    let mut record = VulnerabilityRecord::new("CVE-2024-0001".parse().unwrap());
    let vector = |value: &str, source| Said {
        value: value.to_owned(),
        source,
        at: at(),
        because: None,
    };
    record.vector.say(vector("CVSS:3.1/by-nvd", Source::Nvd));
    record.vector.say(vector("CVSS:3.1/by-cna", Source::Cna));
    record.automatable.say(Said {
        value: Automatable::Yes,
        source: Source::Derived,
        at: at(),
        because: Some("no login is needed".to_owned()),
    });
    record
        .description
        .say(vector("\u{1b}[2Jgone\u{202e}", Source::Cna));
    record.read_at.insert(Source::Nvd, at());
    let text = lines(&record).join("\n");
    assert!(
        text.contains("vector: CVSS:3.1/by-cna (publisher, 2026-11-01T00:00:00Z)"),
        "{text}"
    );
    assert!(text.contains("  but CVSS:3.1/by-nvd (NVD, "), "{text}");
    assert!(
        text.contains(
            "automatable: yes (derived by rule, 2026-11-01T00:00:00Z: no login is needed)"
        ),
        "{text}"
    );
    assert!(
        text.contains("catalogue of known exploited vulnerabilities: no"),
        "{text}"
    );
    assert!(
        !text.contains('\u{1b}') && !text.contains('\u{202e}'),
        "{text:?}"
    );
    assert!(text.ends_with("read: NVD 2026-11-01T00:00:00Z"), "{text}");
}

fn ranked() -> RankedPlan {
    let tags = ["cash".to_owned()].into();
    let (id, client) = ("1".parse().unwrap(), "7".parse().unwrap());
    let device = Device {
        site: Some("8".to_owned()),
        ..Device::new(id, client, Platform::WindowsServer, tags, at())
    };
    RankedPlan {
        patches: vec![],
        band: Deadline::Days3,
        due: None,
        overdue: false,
        urgency_permille: 1,
        restart: true,
        needs_approval: true,
        reasons: vec![],
        impact: Some(BusinessImpact::of(
            &[&device],
            9,
            true,
            RebootPolicy::IfNeeded,
        )),
        schedule: Some(ScheduleAdvice {
            when: When::NextWindow,
            opens_at: Some(at()),
            evidence_first: false,
            doubted: false,
            reasons: vec!["due in 3 days".to_owned()],
        }),
    }
}

#[test]
fn a_plan_says_when_it_should_go_and_whom_it_interrupts() {
    let text = advice::of_rule(&ranked()).join("\n");
    for shown in [
        "schedule: in the next window, opens 2026-11-01",
        "- due in 3 days",
        "business impact: high",
        "1 of 9 devices; 1 servers",
        "about 20 minutes over all devices (assumed, not measured",
        "1 sites: 8 (1)",
        "groups: cash (1)",
    ] {
        assert!(text.contains(shown), "{shown}: {text}");
    }
}

#[test]
fn a_campaign_says_who_made_its_order_and_what_was_moved_because_of_what() {
    let plan = DraftPlan {
        ranked: ranked(),
        devices: vec![],
    };
    let draft = Draft {
        plans: vec![plan.clone(), plan],
        ..Draft::default()
    };
    let (id, client) = ("c-1".parse().unwrap(), "7".parse().unwrap());
    let mut campaign = Campaign::new(id, client, "w".to_owned(), at(), &draft);
    let line = advice::of_campaign(&campaign);
    assert_eq!(line, "order: by rule alone (degraded: no model was asked)");
    let said = PlanAdvice {
        explanation: "It is exploited.".to_owned(),
        evidence: vec!["p2_urgency".to_owned()],
        moved: Some(Moved {
            asked: 2,
            places: 1,
        }),
    };
    let second = campaign.plans[1].plan.clone();
    campaign.advice = Some(CampaignAdvice {
        at: at(),
        degraded: None,
        model: Some("m-1".to_owned()),
        tokens: 450,
        asked: 2,
        order: vec![second.clone(), campaign.plans[0].plan.clone()],
        plans: [(second.clone(), said)].into(),
        dropped: vec!["p9".to_owned()],
    });
    assert_eq!(
        advice::of_campaign(&campaign),
        "order: by rule; the model m-1 explained 1 of 2 plans and moved 1 (450 tokens); dropped: p9"
    );
    let lines = advice::of_model(campaign.advice_on(&second).unwrap());
    assert_eq!(
        lines[0],
        "  moved up 1 by the model, because: It is exploited."
    );
    campaign.advice.as_mut().unwrap().degraded = Some(Degraded::SwitchedOff);
    let line = advice::of_campaign(&campaign);
    assert!(
        line.contains("degraded: the model is switched off"),
        "{line}"
    );
}

use jiff::Timestamp;
use serde_json::json;

use super::*;
use crate::{alert::EventKind, incident::State};

mod behind;
mod moment;
mod people;
mod routine;
mod same;
mod unheard;

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

fn at(seconds: i64) -> Timestamp {
    "2026-11-28T12:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_secs(seconds)
}

fn id(number: u32) -> AlertId {
    format!("superops/{number}").parse().unwrap()
}

fn event(number: u32, kind: EventKind, seconds: i64, title: &str, machine: &str) -> Event {
    Event {
        alert: id(number),
        number: 1,
        kind,
        at: at(seconds),
        title: title.to_owned(),
        machine: machine.to_owned(),
        address: String::new(),
        site: String::new(),
        severity: AlertSeverity::High,
        lasting: true,
        unheard: false,
    }
}

/// A client with its triage, driven by hand.
struct Client {
    triage: Triage,
    rules: ReadyRules,
    expectations: Vec<Expectation>,
    topology: Topology,
    machines: u32,
    placed: BTreeMap<AlertId, Placement>,
    incidents: BTreeMap<IncidentId, IncidentNews>,
}

impl Client {
    fn new(rules: serde_json::Value) -> Self {
        let rules: Rules = serde_json::from_value(rules).unwrap();
        Self {
            triage: Triage::new(),
            rules: rules.ready().unwrap(),
            expectations: vec![],
            topology: Topology::default(),
            machines: 0,
            placed: BTreeMap::new(),
            incidents: BTreeMap::new(),
        }
    }

    fn turn(&mut self, seconds: i64, events: &[Event]) {
        // It is stored and read between any two turns.
        let stored = serde_json::to_string(&self.triage).unwrap();
        self.triage = serde_json::from_str(&stored).unwrap();
        self.triage.set_topology(&self.topology);
        let facts = Facts {
            rules: &self.rules,
            expectations: &self.expectations,
            machines: self.machines,
            now: at(seconds) + BEHIND,
        };
        for event in events {
            self.triage.take(event, &facts);
        }
        self.triage.settle(&facts);
        self.note();
    }

    fn note(&mut self) {
        let outcome = self.triage.turn();
        self.placed.extend(outcome.placements);
        let news = outcome.incidents.into_iter();
        self.incidents
            .extend(news.map(|news| (news.incident.id, news)));
    }

    fn raise(&mut self, number: u32, seconds: i64, title: &str, machine: &str) -> Placement {
        self.turn(
            seconds,
            &[event(number, EventKind::Raised, seconds, title, machine)],
        );
        self.placed[&id(number)].clone()
    }

    fn clear(&mut self, number: u32, seconds: i64) -> Placement {
        self.turn(
            seconds,
            &[event(number, EventKind::Cleared, seconds, "", "")],
        );
        self.placed[&id(number)].clone()
    }

    fn news(&self, placement: &Placement) -> &IncidentNews {
        &self.incidents[&IncidentId(placement.incident.unwrap())]
    }
}

fn wave(from: i64, until: i64) -> Expectation {
    Expectation {
        plan: "p-1".parse().unwrap(),
        ring: 1,
        attempt: 1,
        kbs: vec!["KB5034441".parse().unwrap()],
        device: "81".parse().unwrap(),
        symptoms: vec![Symptom::Down, Symptom::Service],
        from: at(from),
        until: at(until),
    }
}

#[test]
fn an_alert_opens_an_incident_and_its_clearing_clears_it() {
    let mut client = Client::new(json!({}));
    let placed = client.raise(1, 0, "disk C: is 91 % full", "81");
    assert_eq!(placed.treatment, Treatment::Incident);
    let news = client.news(&placed);
    assert_eq!(
        (news.incident.live, news.severity, news.over),
        (1, AlertSeverity::High, false)
    );
    assert!(news.rank_so_far.is_some());
    client.clear(1, 10 * MINUTE);
    let news = client.news(&placed);
    assert_eq!(news.incident.state, State::Cleared);
    assert!(!news.over, "it may come back");
    // Ranked after half an hour, over an hour after it cleared.
    client.turn(2 * HOUR, &[]);
    let news = client.news(&placed);
    assert!(news.over && news.incident.priority.is_some());
    assert_eq!(client.triage.next_due(), None);
    assert_eq!(client.triage.active(), 0);
}

#[test]
fn a_kind_that_is_soon_over_waits_and_bothers_nobody() {
    let mut client = Client::new(json!({}));
    for n in 0..6 {
        let begin = i64::from(n) * 2 * HOUR;
        client.raise(n, begin, "high latency to gateway", "81");
        client.clear(n, begin + 50);
    }
    let begin = 20 * HOUR;
    let held = client.raise(10, begin, "high latency to gateway", "81");
    let Treatment::Held { until, why } = &held.treatment else {
        panic!("{held:?}")
    };
    assert_eq!(*until, at(begin + 60));
    assert!(why.contains("within 60 s"), "{why}");
    assert_eq!(client.clear(10, begin + 45).treatment, Treatment::Passed);
    // One that stays is told when its time is over.
    let begin = 22 * HOUR;
    client.raise(11, begin, "high latency to gateway", "81");
    client.turn(begin + 61, &[]);
    assert_eq!(client.placed[&id(11)].treatment, Treatment::Incident);
    // What is critical never waits.
    let critical = Event {
        severity: AlertSeverity::Critical,
        ..event(
            12,
            EventKind::Raised,
            24 * HOUR,
            "high latency to gateway",
            "82",
        )
    };
    client.turn(24 * HOUR, &[critical]);
    assert_eq!(client.placed[&id(12)].treatment, Treatment::Incident);
}

#[test]
fn what_comes_and_goes_counts_once_and_again_when_it_stays() {
    let mut client =
        Client::new(json!({ "hold": { "enabled": false }, "flapping": { "times": 3 } }));
    let first = client.raise(1, 0, "vpn tunnel is down", "81");
    client.clear(1, 60);
    for n in 2..6 {
        let begin = i64::from(n) * 4 * MINUTE;
        let placed = client.raise(n, begin, "vpn tunnel is down", "81");
        match &placed.treatment {
            Treatment::Incident => assert_eq!(n, 2),
            Treatment::Flapping { times } => assert_eq!(*times, n),
            other => panic!("{other:?}"),
        }
        assert_eq!(placed.incident, first.incident);
        if n < 5 {
            client.clear(n, begin + 60);
        }
    }
    let before = client.news(&first).incident.alerts;
    client.turn(5 * 4 * MINUTE + 16 * MINUTE, &[]);
    assert_eq!(client.placed[&id(5)].treatment, Treatment::Incident);
    assert_eq!(client.news(&first).incident.alerts, before + 1);
}

#[test]
fn a_silence_ends_and_what_is_still_there_is_told() {
    let mut client = Client::new(json!({ "silences": [{
        "name": "noisy printer", "matches": { "title": "toner|paper" }, "until": at(HOUR), "by": "dana", "reason": "ordered",
    }] }));
    let silent = client.raise(1, 0, "Out of PAPER", "81");
    assert!(
        matches!(&silent.treatment, Treatment::Silenced { rule, .. } if rule == "noisy printer"),
        "{silent:?}"
    );
    assert!(client.incidents.is_empty());
    let due = client.triage.next_due().unwrap();
    assert!(due >= at(HOUR) + BEHIND, "{due}");
    client.turn(HOUR + 1, &[]);
    assert_eq!(client.placed[&id(1)].treatment, Treatment::Incident);
}

#[test]
fn in_a_maintenance_window_nothing_is_news() {
    // A Saturday; 12:00 is 13:00 in Berlin.
    let mut client = Client::new(json!({ "maintenance": [{
        "name": "saturdays", "time_zone": "Europe/Berlin",
        "windows": [{ "days": ["sat"], "from": "12:00", "to": "14:00" }],
    }] }));
    let silent = client.raise(1, 0, "raid is degraded", "81");
    let until = Some(at(HOUR));
    assert_eq!(
        silent.treatment,
        Treatment::Silenced {
            rule: "saturdays".to_owned(),
            until
        }
    );
    assert_eq!(
        client
            .raise(2, HOUR + 5, "raid is degraded", "82")
            .treatment,
        Treatment::Incident
    );
    client.turn(HOUR + 10, &[]);
    assert_eq!(client.placed[&id(1)].treatment, Treatment::Incident);
}

#[test]
fn what_a_wave_announced_is_held_and_what_is_left_over_accuses_it() {
    let mut client = Client::new(json!({}));
    client.expectations = vec![wave(0, 30 * MINUTE)];
    let offline = client.raise(1, 5 * MINUTE, "device is offline", "81");
    let until = at(30 * MINUTE);
    let plan: crate::ids::PlanId = "p-1".parse().unwrap();
    assert_eq!(offline.treatment, Treatment::Expected { plan, until });
    assert_eq!(client.clear(1, 9 * MINUTE).treatment, Treatment::Passed);
    assert!(client.incidents.is_empty());
    // What it did not announce is news at once, and suspected.
    let disk = client.raise(2, 10 * MINUTE, "raid is degraded", "81");
    let suspects = &client.news(&disk).suspects;
    assert_eq!(suspects[0].words(), "suspect: KB5034441, ring 2");
    assert!(!suspects[0].left_over);
    let service = client.raise(3, 12 * MINUTE, "service Spooler stopped", "81");
    assert!(matches!(service.treatment, Treatment::Expected { .. }));
    client.turn(31 * MINUTE, &[]);
    let placed = client.placed[&id(3)].clone();
    assert_eq!(placed.treatment, Treatment::Incident);
    assert!(
        client.news(&placed).suspects[0].left_over,
        "{:?}",
        client.news(&placed)
    );
    // Other devices have nothing to do with it.
    let other = client.raise(4, 2 * HOUR, "service Spooler stopped", "99");
    assert!(client.news(&other).suspects.is_empty());
}

#[test]
fn what_is_bad_or_may_be_the_work_of_an_update_is_read_first() {
    let mut client = Client::new(json!({}));
    client.expectations = vec![wave(0, 30 * MINUTE)];
    let mut ranked = |number, severity, machine: &str, seconds| {
        let alert = Event {
            severity,
            ..event(
                number,
                EventKind::Raised,
                seconds,
                "raid is degraded",
                machine,
            )
        };
        client.turn(seconds, &[alert]);
        let placed = client.placed[&id(number)].clone();
        client.clear(number, seconds + MINUTE);
        client.turn(seconds + 2 * HOUR, &[]);
        let rank = client.news(&placed).incident.priority.clone().unwrap();
        let sum: u32 = rank.reasons.iter().map(|reason| reason.points).sum();
        assert_eq!(rank.points, sum);
        let reasons = rank.reasons.into_iter();
        let reasons = reasons.map(|reason| (reason.text, reason.points));
        reasons.skip(1).collect::<Vec<_>>()
    };
    let reason = |text: &str, points| (text.to_owned(), points);
    assert_eq!(
        ranked(1, AlertSeverity::Critical, "81", HOUR),
        [
            reason("an alert of it is critical", 600),
            reason("suspect: KB5034441, ring 2", 400),
        ]
    );
    assert_eq!(
        ranked(2, AlertSeverity::High, "82", 8 * HOUR),
        [reason("an alert of it is of high severity", 200)]
    );
    assert!(ranked(3, AlertSeverity::Medium, "83", 16 * HOUR).is_empty());
}

#[test]
fn a_wave_that_needs_longer_is_waited_for() {
    let mut client = Client::new(json!({}));
    client.expectations = vec![wave(0, 30 * MINUTE)];
    client.raise(1, 5 * MINUTE, "device is offline", "81");
    client.expectations.push(Expectation {
        attempt: 2,
        ..wave(29 * MINUTE, 60 * MINUTE)
    });
    client.turn(31 * MINUTE, &[]);
    let placed = &client.placed[&id(1)];
    assert!(
        matches!(&placed.treatment, Treatment::Expected { until, .. } if *until == at(60 * MINUTE)),
        "{placed:?}"
    );
}

#[test]
fn a_wave_that_is_done_sooner_is_waited_for_no_longer() {
    let mut client = Client::new(json!({}));
    client.expectations = vec![wave(0, 120 * MINUTE)];
    let placed = client.raise(1, 5 * MINUTE, "Service Spooler stopped", "81");
    assert!(matches!(placed.treatment, Treatment::Expected { .. }));
    client.expectations[0].until = at(20 * MINUTE);
    client.turn(10 * MINUTE, &[]);
    assert!(
        matches!(&client.placed[&id(1)].treatment, Treatment::Expected { until, .. } if *until == at(20 * MINUTE))
    );
    assert!(client.incidents.is_empty());
    client.turn(21 * MINUTE, &[]);
    let placed = client.placed[&id(1)].clone();
    assert_eq!(placed.treatment, Treatment::Incident);
    let news = client.news(&placed);
    assert!(news.suspects[0].left_over, "{:?}", news.suspects);
}

#[test]
fn rules_are_refused_by_field_with_the_place_in_a_pattern() {
    let rules: Rules = serde_json::from_value(json!({
        "silences": [
            { "name": "a", "matches": { "title": "disk (full" }, "until": at(0), "by": "dana", "reason": "x" },
            { "name": "a", "matches": {}, "from": at(5), "until": at(5), "by": "", "reason": "x" },
        ],
        "maintenance": [{ "name": "m", "windows": [], "time_zone": "Mars/Base" }],
        "flapping": { "times": 1 },
    }))
    .unwrap();
    let error = rules.ready().unwrap_err();
    let told: Vec<String> = error.problems.iter().map(ToString::to_string).collect();
    for part in [
        "silences[0].matches.title",
        "silences[1].name",
        "silences[1].matches",
        "silences[1].until",
        "silences[1].by",
        "maintenance[0].windows",
        "maintenance[0].time_zone",
        "flapping.times",
    ] {
        assert!(
            told.iter().any(|one| one.starts_with(part)),
            "{part}: {told:?}"
        );
    }
    // The mark below the pattern shows the place.
    assert!(
        told[0].contains("unclosed group") && told[0].contains('^'),
        "{}",
        told[0]
    );
}

use jiff::Timestamp;
use serde_json::json;

use super::*;
use crate::{
    alert::EventKind,
    incident::{CannotSplit, State},
};

mod moment;

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
fn the_same_of_the_same_machine_is_said_once_until_all_of_it_is_over() {
    let mut client = Client::new(json!({}));
    let first = client.raise(1, 0, "disk C: is 91 % full", "81");
    let second = client.raise(2, 40, "disk C: is 93 % full", "81");
    assert_eq!(second.treatment, Treatment::Duplicate { of: id(1) });
    assert_eq!(second.incident, first.incident);
    assert_eq!(client.news(&first).hidden, 1);
    // Another machine is another matter.
    let other = client.raise(3, HOUR, "disk C: is 93 % full", "82");
    assert_eq!(other.treatment, Treatment::Incident);
    client.clear(1, 2 * HOUR);
    assert_eq!(client.placed[&id(2)].treatment, Treatment::Incident);
    assert_eq!(
        (
            client.news(&first).incident.live,
            client.news(&first).hidden
        ),
        (1, 0)
    );
    client.clear(2, 3 * HOUR);
    assert_eq!(client.news(&first).incident.live, 0);
}

#[test]
fn two_services_of_a_machine_stay_two_matters_however_many_services_were_seen() {
    let mut client = Client::new(json!({ "hold": { "enabled": false } }));
    let services = [
        "DHCP", "Netlogon", "Spooler", "Themes", "Audio", "Fax", "Search", "Print", "Time",
    ];
    let spooler = client.raise(90, 0, "service Spooler stopped", "81");
    // By now the miner takes the name of a service for a parameter.
    for (n, service) in (0..).zip(services) {
        let begin = HOUR + i64::from(n) * 20 * MINUTE;
        client.raise(
            n,
            begin,
            &format!("service {service} stopped"),
            &format!("m{n}"),
        );
    }
    let dns = client.raise(91, 9 * HOUR, "service DNS stopped", "81");
    assert_eq!(dns.treatment, Treatment::Incident);
    assert_eq!(
        dns.kind,
        client.raise(92, 9 * HOUR, "service Web stopped", "82").kind
    );
    let again = client.raise(93, 10 * HOUR, "service Spooler stopped", "81");
    assert_eq!(again.treatment, Treatment::Duplicate { of: id(90) });
    for n in [90, 91, 92, 93] {
        client.clear(n, 11 * HOUR);
    }
    client.turn(14 * HOUR, &[]);
    for placed in [&spooler, &dns] {
        let news = client.news(placed);
        assert!(news.over && news.incident.live == 0, "{news:?}");
    }
}

#[test]
fn an_alert_that_its_source_calls_otherwise_later_still_clears() {
    let mut client = Client::new(json!({}));
    let placed = client.raise(1, 0, "disk C: is nearly full", "81");
    let worse = Event {
        severity: AlertSeverity::Critical,
        ..event(
            1,
            EventKind::Repeated,
            20 * MINUTE,
            "disk C: has no room left",
            "81",
        )
    };
    client.turn(20 * MINUTE, &[worse]);
    assert_eq!(client.news(&placed).severity, AlertSeverity::Critical);
    client.clear(1, HOUR);
    client.turn(3 * HOUR, &[]);
    assert!(client.news(&placed).over, "{:?}", client.news(&placed));
}

#[test]
fn an_incident_of_alerts_without_machine_ends_with_the_last_of_them() {
    let mut client = Client::new(json!({}));
    let first = client.raise(1, 0, "backup failed", "");
    let second = client.raise(2, 30, "backup failed", "");
    assert_eq!(first.incident, second.incident);
    client.clear(1, 20 * MINUTE);
    let news = client.news(&first);
    assert_eq!((news.incident.state, news.incident.live), (State::Open, 1));
    client.clear(2, HOUR);
    client.turn(3 * HOUR, &[]);
    assert!(client.news(&first).over);
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

/// A client one machine of which says the same every two hours, for a day.
fn used_to(rules: serde_json::Value, title: &str, machine: &str) -> Client {
    let mut client = Client::new(rules);
    for n in 0..12 {
        let begin = i64::from(n) * 2 * HOUR;
        client.raise(n, begin, title, machine);
        client.clear(n, begin + 12 * MINUTE);
    }
    client
}

fn told_loud() -> serde_json::Value {
    json!({ "hold": { "enabled": false } })
}

#[test]
fn what_is_usual_on_a_machine_is_gathered_and_says_so() {
    let mut client = used_to(told_loud(), "CPU usage is high", "81");
    let usual = client.raise(50, DAY, "CPU usage is high", "81");
    assert_eq!(usual.treatment, Treatment::Routine { per_day: 10 });
    assert!(client.news(&usual).incident.routine);
    // On another machine it is not.
    let other = client.raise(51, DAY + 1, "CPU usage is high", "82");
    assert_eq!(other.treatment, Treatment::Incident);
    client.clear(50, DAY + HOUR);
    client.turn(DAY + 3 * HOUR, &[]);
    assert!(client.news(&usual).over);
    // People may say what is usual, and what never is.
    for routine in [
        json!({ "enabled": false }),
        json!({ "per_day": 100 }),
        json!({ "never_from": "high" }),
    ] {
        let rules = json!({ "hold": { "enabled": false }, "routine": routine });
        let mut client = used_to(rules, "CPU usage is high", "81");
        let told = client.raise(50, DAY, "CPU usage is high", "81");
        assert_eq!(told.treatment, Treatment::Incident, "{routine}");
    }
}

#[test]
fn what_is_critical_is_told_however_usual_it_is() {
    let mut client = used_to(told_loud(), "database is slow", "81");
    let critical = |number, kind, seconds| Event {
        severity: AlertSeverity::Critical,
        ..event(number, kind, seconds, "database is slow", "81")
    };
    // One that says the same as a usual one, one that was usual until it got worse.
    let usual = client.raise(50, DAY, "database is slow", "81");
    assert!(matches!(usual.treatment, Treatment::Routine { .. }));
    client.turn(DAY + 60, &[critical(51, EventKind::Raised, DAY + 60)]);
    let told = client.placed[&id(51)].clone();
    assert_eq!(told.treatment, Treatment::Incident);
    assert!(!client.news(&told).incident.routine);
    client.turn(DAY + 90, &[critical(50, EventKind::Repeated, DAY + 90)]);
    let worse = client.placed[&id(50)].clone();
    assert_eq!(
        (worse.treatment, worse.incident),
        (Treatment::Incident, told.incident)
    );
    assert_eq!(
        (
            client.news(&told).incident.live,
            client.news(&usual).incident.live
        ),
        (2, 0)
    );
    for n in [50, 51] {
        client.clear(n, DAY + 2 * HOUR);
    }
    client.turn(DAY + 5 * HOUR, &[]);
    assert!(client.news(&told).over && client.news(&usual).over);
}

#[test]
fn what_a_wave_leaves_over_halts_it_although_the_same_is_usual_on_that_machine() {
    let mut client = used_to(told_loud(), "service Spooler stopped", "81");
    client.expectations = vec![wave(DAY, DAY + 30 * MINUTE)];
    let announced = client.raise(50, DAY + 60, "service Spooler stopped", "81");
    assert!(matches!(announced.treatment, Treatment::Expected { .. }));
    client.turn(DAY + 31 * MINUTE, &[]);
    let left_over = client.placed[&id(50)].clone();
    assert_eq!(left_over.treatment, Treatment::Incident);
    let news = client.news(&left_over);
    assert!(
        !news.incident.routine && news.suspects[0].left_over,
        "{news:?}"
    );
}

#[test]
fn machines_behind_a_switch_that_is_down_as_usual_are_told() {
    let mut client = used_to(told_loud(), "switch is offline", "81");
    client.topology.depends_on = vec![("82".to_owned(), "81".to_owned())];
    let switch = client.raise(50, DAY, "switch is offline", "81");
    assert!(matches!(switch.treatment, Treatment::Routine { .. }));
    let behind = client.raise(51, DAY + 60, "backup failed", "82");
    assert_eq!(behind.treatment, Treatment::Incident);
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
fn machines_behind_one_that_is_down_are_shown_in_its_incident() {
    let mut client = Client::new(json!({}));
    client.topology.depends_on = vec![
        ("82".to_owned(), "81".to_owned()),
        ("83".to_owned(), "81".to_owned()),
    ];
    let switch = client.raise(1, 0, "switch is offline", "81");
    let behind = client.raise(2, 20 * MINUTE, "device offline", "82");
    assert_eq!(
        behind.treatment,
        Treatment::Inhibited {
            by: "81".to_owned()
        }
    );
    assert_eq!(behind.incident, switch.incident);
    let third = client.raise(3, 21 * MINUTE, "backup failed", "83");
    assert_eq!(third.incident, switch.incident);
    assert_eq!(client.news(&switch).hidden, 2);
    // The switch is back; one of the two is not.
    client.clear(1, 30 * MINUTE);
    client.clear(3, 31 * MINUTE);
    client.turn(36 * MINUTE, &[]);
    assert_eq!(client.placed[&id(2)].treatment, Treatment::Incident);
    assert_eq!(client.news(&switch).hidden, 0);
}

#[test]
fn devices_of_a_dead_switch_that_are_noticed_one_after_the_other_are_one_incident() {
    let mut client = Client::new(json!({}));
    let placed: Vec<Placement> = (0..6_u32)
        .map(|n| {
            let seconds = i64::from(n) * 100;
            client.raise(n, seconds, "Asset is offline", &format!("pc{n}"))
        })
        .collect();
    assert!(
        placed.iter().all(|one| one.incident == placed[0].incident),
        "{placed:?}"
    );
    assert_eq!(client.news(&placed[0]).incident.live, 6);
}

#[test]
fn a_router_that_is_down_explains_what_is_behind_its_switches_and_no_further() {
    let mut client = Client::new(json!({}));
    let behind = |one: &str, other: &str| (one.to_owned(), other.to_owned());
    client.topology.depends_on = vec![
        behind("pc", "switch"),
        behind("switch", "floor"),
        behind("floor", "router"),
        behind("camera", "pc"),
        // What devices say of their site may close a circle.
        behind("router", "switch"),
    ];
    let router = client.raise(1, 0, "router is down", "router");
    let pc = client.raise(2, 30 * MINUTE, "backup failed", "pc");
    let by = "router".to_owned();
    assert_eq!(pc.treatment, Treatment::Inhibited { by });
    assert_eq!(pc.incident, router.incident);
    let camera = client.raise(3, 31 * MINUTE, "no picture", "camera");
    assert_eq!(camera.treatment, Treatment::Incident, "four steps away");
}

#[test]
fn when_most_machines_are_silent_the_monitoring_is_what_is_down() {
    let mut client = Client::new(json!({}));
    client.machines = 10;
    let mut all = Vec::new();
    let words = [
        "agent is offline",
        "no response to ping",
        "host unreachable",
    ];
    for n in 0..8_u32 {
        let title = words[n as usize % words.len()];
        all.push(client.raise(n, i64::from(n) * 30, title, &format!("m{n}")));
    }
    let first = all[0].incident;
    assert!(
        client
            .placed
            .values()
            .all(|placed| placed.incident == first),
        "{:?}",
        client.placed
    );
    assert!(client.incidents[&IncidentId(first.unwrap())].blackout);
    assert_eq!(
        all[7].treatment,
        Treatment::Inhibited {
            by: "monitoring".to_owned()
        }
    );
    let merged = client
        .incidents
        .values()
        .filter(|news| news.merged_into.is_some());
    assert!(
        merged.count() >= 1,
        "the first ones were incidents of their own"
    );
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
fn people_merge_split_and_close_and_it_is_learnt() {
    let mut client = Client::new(json!({}));
    let one = client.raise(1, 0, "mail queue is growing", "81");
    let two = client.raise(2, 30, "certificate expired", "82");
    assert_ne!(one.incident, two.incident);
    let (one, two) = (
        IncidentId(one.incident.unwrap()),
        IncidentId(two.incident.unwrap()),
    );
    assert!(client.triage.merge(two, one) && !client.triage.merge(two, one));
    client.note();
    assert_eq!(client.placed[&id(2)].incident, Some(one.0));
    assert_eq!(client.incidents[&two].merged_into, Some(one));
    assert_eq!(client.incidents[&one].incident.live, 2);
    // The next time they come together.
    let third = client.raise(3, 5 * HOUR, "mail queue is growing", "83");
    let fourth = client.raise(4, 5 * HOUR + 2, "certificate expired", "84");
    assert_eq!(third.incident, fourth.incident);
    let whole = IncidentId(third.incident.unwrap());
    let new = client.triage.split(whole, &["84"]).unwrap();
    let again = client.triage.split(whole, &["84"]);
    assert_eq!(again, Err(CannotSplit::NothingOfThem));
    client.note();
    assert_eq!(client.placed[&id(4)].incident, Some(new.0));
    assert_eq!(
        (
            client.incidents[&whole].incident.live,
            client.incidents[&new].incident.live
        ),
        (1, 1)
    );
    let fifth = client.raise(5, 9 * HOUR, "mail queue is growing", "85");
    let sixth = client.raise(6, 9 * HOUR + 2, "certificate expired", "86");
    assert_ne!(fifth.incident, sixth.incident);
    // Closed by hand; when it is raised again it is a new one.
    assert!(client.triage.close(whole) && !client.triage.close(whole));
    client.note();
    let again = Event {
        number: 2,
        ..event(
            3,
            EventKind::Repeated,
            20 * HOUR,
            "mail queue is growing",
            "83",
        )
    };
    client.turn(20 * HOUR, &[again]);
    assert_ne!(client.placed[&id(3)].incident, Some(whole.0));
    // Clearing brings nothing into disorder.
    for n in 1..7 {
        client.clear(n, 21 * HOUR);
    }
    client.turn(30 * HOUR, &[]);
    assert!(
        client.incidents.values().all(|news| news.over),
        "{:?}",
        client.incidents
    );
}

#[test]
fn a_machine_is_taken_out_of_many_that_have_shown_the_same() {
    let mut client = Client::new(json!({}));
    let mut placed = Vec::new();
    for n in 0..4_u32 {
        placed.push(client.raise(n, i64::from(n), "Asset is offline", &format!("pc{n}")));
    }
    client.raise(9, 5, "Asset is offline", "pc2");
    let whole = IncidentId(placed[0].incident.unwrap());
    assert!(placed.iter().all(|one| one.incident == Some(whole.0)));
    let own = client.triage.split(whole, &["pc2"]).unwrap();
    client.note();
    assert_eq!(client.placed[&id(2)].incident, Some(own.0));
    let parts = [(whole, "pc0", 3), (own, "pc2", 1)];
    for (part, device, live) in parts {
        let news = &client.incidents[&part];
        assert_eq!(news.incident.live, live, "{news:?}");
        assert_eq!(news.incident.devices[0], device);
        assert_eq!(news.incident.titles, ["Asset is offline"]);
    }
    // It is not learnt that offline machines never belong together.
    let again: Vec<Placement> = (20..22_u32)
        .map(|n| client.raise(n, 5 * HOUR, "Asset is offline", &format!("other{n}")))
        .collect();
    assert_eq!(again[0].incident, again[1].incident);
    for n in [0, 1, 2, 3, 9, 20, 21] {
        client.clear(n, 6 * HOUR);
    }
    client.turn(9 * HOUR, &[]);
    for part in [whole, own] {
        assert!(client.incidents[&part].over, "{part}");
    }
}

#[test]
fn who_cannot_be_taken_out_of_an_incident_is_told_why() {
    let mut client = Client::new(json!({}));
    client.topology.depends_on = vec![("82".to_owned(), "81".to_owned())];
    let switch = client.raise(1, 0, "switch is offline", "81");
    client.raise(2, 20 * MINUTE, "backup failed", "82");
    let whole = IncidentId(switch.incident.unwrap());
    let mut why = |machine: &str| {
        let refused = client.triage.split(whole, &[machine]).unwrap_err();
        refused.to_string()
    };
    assert_eq!(
        why("82"),
        "only shows alerts of 82 as hidden: they are behind 81, which is down; they are told when that is over"
    );
    assert_eq!(why("99"), "has no alert of these machines");
    assert_eq!(why("81"), "has no alert of other machines");
    client.triage.close(whole);
    let over = client.triage.split(whole, &["81"]).unwrap_err();
    assert_eq!(over.to_string(), "is over");
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

#[test]
fn a_server_that_could_not_download_hides_nothing_that_depends_on_it() {
    let mut client = Client::new(json!({}));
    client.topology.depends_on = vec![("82".to_owned(), "81".to_owned())];
    for (number, title) in [
        "Download failed: definitions of the virus scanner",
        "Shutdown scheduled for tonight",
        "Upstream proxy is slow",
        "Service Spooler is down",
        "Downtime of last month: 12 minutes",
    ]
    .into_iter()
    .enumerate()
    {
        client.raise(u32::try_from(number).unwrap(), 0, title, "81");
    }
    let behind = client.raise(9, HOUR, "backup failed", "82");
    assert_eq!(behind.treatment, Treatment::Incident);
}

use super::*;

const MINUTE: i64 = 60;

fn alert<'a>(at: i64, title: &'a str, device: &'a str) -> Alert<'a> {
    Alert {
        at_ms: at * 1_000,
        title,
        device,
        address: "",
        lasting: false,
        routine_from: Some(ROUTINE_PER_DAY),
    }
}

fn lasting<'a>(at: i64, title: &'a str, device: &'a str) -> Alert<'a> {
    Alert {
        lasting: true,
        ..alert(at, title, device)
    }
}

fn see(correlator: &mut Correlator, at: i64, title: &str, device: &str) -> IncidentId {
    correlator.observe(&alert(at, title, device))
}

/// Lets a device send its usual alerts for a day, one every five minutes.
fn after_a_usual_day(title: &str, device: &str) -> Correlator {
    let mut correlator = Correlator::new();
    for n in 0..288 {
        see(&mut correlator, n * 5 * MINUTE, title, device);
    }
    correlator
}

const DAY: i64 = 24 * 60 * MINUTE;

#[test]
fn what_starts_on_one_device_at_one_time_is_one_incident() {
    let mut correlator = Correlator::new();
    let first = see(&mut correlator, 0, "disk is failing", "SRV01");
    let second = see(&mut correlator, 3, "backup failed", "SRV01");
    let other = see(&mut correlator, 4, "printer is out of paper", "PRN07");
    let late = see(&mut correlator, 15, "service stopped", "SRV01");
    assert_eq!(first, second);
    assert_ne!(first, other);
    assert_ne!(first, late);
    let links = correlator.incident(first).unwrap().links;
    assert_eq!(links.len(), 1);
    assert_eq!((links[0].topology, links[0].time), (1_000, 850));
    assert_eq!(links[0].words(), "same device, at the same time");
}

#[test]
fn one_kind_of_alert_on_many_devices_at_one_time_is_one_incident() {
    let mut correlator = Correlator::new();
    let ids: Vec<_> = (0..50)
        .map(|n| {
            see(
                &mut correlator,
                n / 10,
                "agent went silent",
                &format!("PC{n}"),
            )
        })
        .collect();
    assert!(ids.iter().all(|id| *id == ids[0]));
    assert_eq!(correlator.incident(ids[0]).unwrap().alerts, 50);
}

#[test]
fn devices_behind_one_that_failed_join_its_incident_for_minutes() {
    let topology = Topology {
        depends_on: (0..5)
            .map(|n| (format!("PC{n}"), "SWITCH".to_owned()))
            .collect(),
        ..Topology::default()
    };
    let mut correlator = Correlator::new();
    correlator.set_topology(&topology);
    let switch = see(&mut correlator, 0, "switch does not answer", "SWITCH");
    assert_eq!(
        see(&mut correlator, 4 * MINUTE, "agent went silent", "PC3"),
        switch
    );
    assert_ne!(
        see(&mut correlator, 5 * MINUTE, "agent went silent", "PC9"),
        switch
    );
    assert_ne!(
        see(&mut correlator, 11 * MINUTE, "agent went silent", "PC4"),
        switch
    );
    let links = correlator.incident(switch).unwrap().links;
    assert_eq!(
        links[0].words(),
        "one depends on the other, at the same time"
    );
}

#[test]
fn what_lasts_is_noticed_minutes_apart_and_still_one_incident() {
    let mut correlator = Correlator::new();
    let first = correlator.observe(&lasting(0, "raid is degraded", "SRV01"));
    // The RMM looks every few minutes; meanwhile the first one is over.
    correlator.clear(2 * MINUTE * 1_000, first, "raid is degraded", "SRV01");
    let second = correlator.observe(&lasting(5 * MINUTE, "backup failed", "SRV01"));
    assert_eq!(second, first);
    let open = correlator.incident(first).unwrap();
    assert_eq!((open.state, open.live), (State::Open, 1));
    let late = correlator.observe(&lasting(11 * MINUTE, "service stopped", "SRV01"));
    assert_ne!(late, first);
    // What is of the moment is noticed at the moment.
    let moment = see(&mut correlator, 20 * MINUTE, "forbidden url", "WEB");
    let next = see(&mut correlator, 20 * MINUTE + 11, "sql injection", "WEB");
    assert_ne!(next, moment);
}

#[test]
fn devices_of_one_recent_change_join() {
    let mut correlator = Correlator::new();
    let devices = vec!["PC1".to_owned(), "PC2".to_owned()];
    correlator.note_change(&Change { at_ms: 0, devices });
    let first = see(&mut correlator, 10 * MINUTE, "spooler stopped", "PC1");
    assert_eq!(see(&mut correlator, 14 * MINUTE, "no sound", "PC2"), first);
    assert_ne!(
        see(&mut correlator, 14 * MINUTE, "no picture", "PC3"),
        first
    );
    let link = correlator.incident(first).unwrap().links[0];
    assert_eq!((link.change, link.topology), (1_000, 0));
    // Two hours later nobody suspects it any more.
    let much_later = see(&mut correlator, 130 * MINUTE, "no sound", "PC1");
    assert_ne!(
        see(&mut correlator, 131 * MINUTE, "no net", "PC2"),
        much_later
    );
}

#[test]
fn the_same_site_alone_is_not_enough() {
    let sites = ["A", "B"].map(|device| (device.to_owned(), "Graz".to_owned()));
    let mut correlator = Correlator::new();
    correlator.set_topology(&Topology {
        sites: sites.into(),
        ..Topology::default()
    });
    let one = see(&mut correlator, 0, "disk is failing", "A");
    assert_ne!(see(&mut correlator, 1, "user locked out", "B"), one);
}

#[test]
fn alerts_without_a_device_are_not_on_one_device() {
    let mut correlator = Correlator::new();
    let one = see(&mut correlator, 0, "disk is failing", "");
    assert_ne!(see(&mut correlator, 1, "user locked out", ""), one);
    assert_eq!(correlator.counts().without_device, 2);
}

#[test]
fn usual_alerts_are_gathered_and_rank_below_rare_ones() {
    let mut correlator = after_a_usual_day("login succeeded", "MAIL");
    let usual = see(&mut correlator, DAY, "login succeeded", "MAIL");
    let rare = see(&mut correlator, DAY + 1, "raid is degraded", "MAIL");
    assert!(correlator.incident(usual).unwrap().routine);
    assert_ne!(usual, rare);
    let all = correlator.finish();
    let points = |id| {
        all.iter()
            .find(|i| i.id == id)
            .unwrap()
            .priority
            .clone()
            .unwrap()
            .points
    };
    assert!(
        points(rare) > points(usual),
        "{} {}",
        points(rare),
        points(usual)
    );
    let routine = all.iter().filter(|incident| incident.routine).count();
    assert!((200..=288).contains(&routine), "{routine}");
}

#[test]
fn a_burst_goes_on_in_ever_longer_incidents_that_count_less() {
    let mut correlator = after_a_usual_day("login succeeded", "MAIL");
    let ids: Vec<_> = (0..600)
        .map(|n| see(&mut correlator, DAY + n, "forbidden url", "WEB"))
        .collect();
    let mut parts = ids.clone();
    parts.dedup();
    assert_eq!(parts.len(), 6, "10 + 20 + 40 + 80 + 160 + 290 seconds");
    let all = correlator.finish();
    let points = parts.iter().map(|id| {
        let incident = all.iter().find(|i| i.id == *id).unwrap();
        incident.priority.clone().unwrap().points
    });
    let points: Vec<u32> = points.collect();
    assert!(
        points[0] > 2 * points[1] && points[1] > points[2],
        "{points:?}"
    );
}

#[test]
fn a_rank_is_given_once_with_its_reasons() {
    let mut correlator = Correlator::new();
    let id = see(&mut correlator, 0, "raid is degraded", "SRV01");
    assert_eq!(correlator.incident(id).unwrap().priority, None);
    let so_far = correlator.rank_so_far(id).unwrap().points;
    correlator.advance(1_801_000);
    let ended = correlator.take_finished();
    let priority = ended[0].priority.clone().unwrap();
    assert_eq!(
        (priority.ranked_at_ms, priority.points),
        (1_800_000, so_far)
    );
    assert_eq!(
        priority.reasons[0].text,
        "raid is degraded: never seen before"
    );
    assert_eq!(
        priority.points,
        priority.reasons.iter().map(|r| r.points).sum::<u32>()
    );
    assert_eq!(ended[0].state, State::Quiet);
}

#[test]
fn what_happens_close_to_something_unusual_is_lifted() {
    let mut calm = after_a_usual_day("login succeeded", "MAIL");
    let mut busy = after_a_usual_day("login succeeded", "MAIL");
    for title in ["raid is degraded", "fan failed", "too hot", "psu failed"] {
        see(&mut busy, DAY, title, "SRV01");
    }
    let points = |correlator: &mut Correlator| {
        let id = see(correlator, DAY + 10 * MINUTE, "user locked out", "PC1");
        let all = correlator.finish();
        all.iter()
            .find(|i| i.id == id)
            .unwrap()
            .priority
            .clone()
            .unwrap()
    };
    let (calm, busy) = (points(&mut calm), points(&mut busy));
    assert!(busy.points > calm.points);
    let reason = &busy.reasons.last().unwrap().text;
    assert!(reason.starts_with("10 min after incident #"), "{reason}");
}

#[test]
fn an_incident_stays_open_until_its_alerts_clear() {
    let mut correlator = Correlator::new();
    let id = correlator.observe(&lasting(0, "disk is failing", "SRV01"));
    assert_eq!(
        correlator.observe(&lasting(2, "backup failed", "SRV01")),
        id
    );
    // A repeat, hours later, is the same alert.
    assert_eq!(
        correlator.repeat(&lasting(300 * MINUTE, "disk is failing", "SRV01"), id),
        id
    );
    let open = correlator.incident(id).unwrap();
    assert_eq!((open.state, open.live, open.alerts), (State::Open, 2, 3));
    correlator.clear(301 * MINUTE * 1_000, id, "disk is failing", "SRV01");
    assert_eq!(correlator.incident(id).unwrap().state, State::Open);
    correlator.clear(302 * MINUTE * 1_000, id, "backup failed", "SRV01");
    correlator.clear(302 * MINUTE * 1_000, id, "backup failed", "SRV01");
    assert_eq!(correlator.incident(id).unwrap().state, State::Cleared);
}

#[test]
fn two_alerts_of_one_kind_on_one_device_are_over_when_both_are() {
    let mut correlator = Correlator::new();
    // No tool says which machine it is.
    let id = correlator.observe(&lasting(0, "backup failed", ""));
    assert_eq!(correlator.observe(&lasting(5, "backup failed", "")), id);
    correlator.clear(MINUTE * 1_000, id, "backup failed", "");
    let open = correlator.incident(id).unwrap();
    assert_eq!((open.state, open.live), (State::Open, 1));
    correlator.clear(2 * MINUTE * 1_000, id, "backup failed", "");
    assert_eq!(correlator.incident(id).unwrap().state, State::Cleared);
}

#[test]
fn an_alert_clears_where_it_counts_whoever_has_joined_whom() {
    let mut correlator = Correlator::new();
    let one = correlator.observe(&lasting(0, "disk is failing", "SRV01"));
    let two = correlator.observe(&lasting(30, "certificate expired", "WEB"));
    assert!(correlator.merge(two, one));
    correlator.clear(MINUTE * 1_000, one, "disk is failing", "SRV01");
    assert_eq!(correlator.incident(one).unwrap().live, 1);
    let own = correlator.split(one, &["WEB"]).unwrap();
    correlator.clear(2 * MINUTE * 1_000, own, "certificate expired", "WEB");
    for id in [one, own] {
        assert_eq!(correlator.incident(id).unwrap().live, 0);
    }
    let ended = correlator.finish().len();
    assert_eq!(ended, 2);
}

#[test]
fn a_cleared_incident_opens_again_within_an_hour_only() {
    let mut correlator = Correlator::new();
    let id = correlator.observe(&lasting(0, "disk is failing", "SRV01"));
    correlator.clear(10 * MINUTE * 1_000, id, "disk is failing", "SRV01");
    assert_eq!(
        correlator.observe(&lasting(40 * MINUTE, "disk is failing", "SRV01")),
        id
    );
    let again = correlator.incident(id).unwrap();
    assert_eq!(
        (again.state, again.reopened, again.live),
        (State::Open, 1, 1)
    );
    correlator.clear(50 * MINUTE * 1_000, id, "disk is failing", "SRV01");
    let later = correlator.observe(&lasting(120 * MINUTE, "disk is failing", "SRV01"));
    assert_ne!(later, id);
    let finished = correlator.take_finished();
    assert_eq!(finished.len(), 1);
    assert_eq!((finished[0].id, finished[0].state), (id, State::Cleared));
}

#[test]
fn late_and_absurd_times_are_counted_and_harmless() {
    let mut correlator = Correlator::new();
    let one = see(&mut correlator, 100, "disk is failing", "SRV01");
    assert_eq!(see(&mut correlator, 50, "backup failed", "SRV01"), one);
    correlator.observe(&Alert {
        at_ms: i64::MIN,
        ..alert(0, "x", "y")
    });
    correlator.observe(&Alert {
        at_ms: i64::MAX,
        ..alert(0, "x", "y")
    });
    correlator.observe(&Alert {
        at_ms: i64::MAX,
        ..alert(0, "x", "z")
    });
    assert_eq!(correlator.counts().late, 2);
    let alerts: u64 = correlator
        .finish()
        .iter()
        .map(|incident| incident.alerts)
        .sum();
    assert_eq!(alerts, 5);
}

#[test]
fn any_number_of_devices_is_bounded_and_counted() {
    let mut correlator = Correlator::new();
    let mut finished = 0;
    for n in 0..120_000_i64 {
        see(&mut correlator, n, "agent went silent", &format!("PC{n}"));
        finished += correlator.take_finished().len();
    }
    let counts = correlator.counts();
    assert_eq!(counts.crowded, 20_000);
    assert!(
        counts.incidents - (finished as u64) < 2_000,
        "open incidents stay few"
    );
}

#[test]
fn what_another_version_stored_is_refused() {
    let mut stored = serde_json::to_value(Correlator::new()).unwrap();
    stored["version"] = 1.into();
    let error = serde_json::from_value::<Correlator>(stored).unwrap_err();
    assert_eq!(error.to_string(), "version 1 is not allowed: 2");
}

#[test]
fn a_network_and_changes_survive_a_restart() {
    let mut correlator = Correlator::new();
    correlator.set_topology(&Topology {
        sites: vec![("PC1".to_owned(), "Graz".to_owned())],
        depends_on: vec![("PC1".to_owned(), "SWITCH".to_owned())],
    });
    correlator.note_change(&Change {
        at_ms: 0,
        devices: vec!["SWITCH".to_owned(), "PC2".to_owned()],
    });
    let switch = see(&mut correlator, 60, "switch does not answer", "SWITCH");
    let stored = serde_json::to_string(&correlator).unwrap();
    let mut again: Correlator = serde_json::from_str(&stored).unwrap();
    assert_eq!(
        see(&mut again, 4 * MINUTE, "agent went silent", "PC1"),
        switch
    );
    assert_eq!(see(&mut again, 5 * MINUTE, "no sound", "PC2"), switch);
}

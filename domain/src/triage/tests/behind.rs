//! What lies behind a machine that is down.

use super::*;

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
    // The way is back, and one of them is really dead.
    for n in 0..7 {
        client.clear(n, HOUR + i64::from(n));
    }
    client.turn(HOUR + 6 * MINUTE, &[]);
    let dead = &client.placed[&id(7)];
    assert_eq!(dead.treatment, Treatment::Incident);
    let news = client.news(dead);
    assert_eq!((news.incident.live, news.over), (1, false), "{news:?}");
}

#[test]
fn an_incident_that_a_person_has_closed_hides_and_takes_in_nothing_more() {
    let mut client = Client::new(json!({}));
    client.topology.depends_on = vec![("82".to_owned(), "81".to_owned())];
    let switch = client.raise(1, 0, "switch is offline", "81");
    assert!(client.triage.close(IncidentId(switch.incident.unwrap())));
    let behind = client.raise(2, 5 * MINUTE, "RAID degraded", "82");
    assert_eq!(behind.treatment, Treatment::Incident);
    let moment = client.say(3, 6 * MINUTE, "backup failed", "82");
    assert_eq!(moment.treatment, Treatment::Incident);
    for placed in [behind, moment] {
        assert_ne!(placed.incident, switch.incident);
        assert!(!client.news(&placed).over);
    }
}

#[test]
fn who_goes_on_for_one_that_was_hidden_is_looked_at_when_that_is_up_again() {
    let mut client = Client::new(json!({}));
    client.topology.depends_on = vec![("82".to_owned(), "81".to_owned())];
    client.raise(1, 0, "switch is offline", "81");
    client.raise(2, MINUTE, "backup failed", "82");
    let same = client.raise(3, 2 * MINUTE, "backup failed", "82");
    assert_eq!(same.treatment, Treatment::Duplicate { of: id(2) });
    client.clear(1, 10 * MINUTE);
    client.clear(2, 12 * MINUTE);
    client.turn(20 * MINUTE, &[]);
    assert_eq!(client.placed[&id(3)].treatment, Treatment::Incident);
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
        "Interface Gi0/12 is down",
        "NTP server unreachable",
        "Disk 2 offline",
    ]
    .into_iter()
    .enumerate()
    {
        client.raise(u32::try_from(number).unwrap(), 0, title, "81");
    }
    let behind = client.raise(9, HOUR, "backup failed", "82");
    assert_eq!(behind.treatment, Treatment::Incident);
}

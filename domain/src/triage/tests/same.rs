//! Alerts that say the same, and what clears when.

use super::*;

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
fn an_incident_is_as_bad_as_the_worst_of_those_that_say_the_same() {
    let mut client = Client::new(json!({}));
    let first = client.raise(1, 0, "disk C: is 91 % full", "81");
    let critical = |kind, seconds| Event {
        severity: AlertSeverity::Critical,
        ..event(2, kind, seconds, "disk C: is 99 % full", "81")
    };
    client.turn(60, &[critical(EventKind::Raised, 60)]);
    assert!(client.placed[&id(2)].treatment.is_hidden());
    assert_eq!(client.news(&first).severity, AlertSeverity::Critical);
}

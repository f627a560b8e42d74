//! What is usual on a machine.

use super::*;

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

//! Alerts of tools that never say when an alert is over.

use super::*;

impl Client {
    pub(super) fn say(
        &mut self,
        number: u32,
        seconds: i64,
        title: &str,
        machine: &str,
    ) -> Placement {
        let said = Event {
            lasting: false,
            ..event(number, EventKind::Raised, seconds, title, machine)
        };
        self.turn(seconds, &[said]);
        self.placed[&id(number)].clone()
    }
}

#[test]
fn an_incident_of_moments_ends_when_nothing_comes_any_more() {
    let mut client = Client::new(json!({}));
    let first = client.say(1, 0, "backup job failed", "nas-1");
    let again = client.say(2, 5, "backup job failed", "nas-1");
    assert_eq!(again.treatment, Treatment::Incident, "it speaks for itself");
    assert_eq!(again.incident, first.incident);
    client.clear(1, MINUTE);
    client.clear(2, MINUTE + 5);
    let news = client.news(&first);
    assert_eq!((news.incident.alerts, news.incident.live), (2, 0));
    client.turn(24 * HOUR, &[]);
    let news = client.news(&first);
    assert!(news.over, "{news:?}");
    assert_eq!(news.incident.state, crate::incident::State::Quiet);
    assert_eq!(client.triage.next_due(), None);
}

#[test]
fn moments_are_never_waited_for_and_teach_nobody_to_wait() {
    let mut client = Client::new(json!({ "flapping": { "times": 100 } }));
    for n in 0..6 {
        let begin = i64::from(n) * 5 * HOUR;
        let placed = client.say(n, begin, "high latency to gateway", "81");
        assert_eq!(placed.treatment, Treatment::Incident);
        client.clear(n, begin + 50);
    }
    let lasting = client.raise(10, 40 * HOUR, "high latency to gateway", "81");
    assert_eq!(lasting.treatment, Treatment::Incident);
    // What the lasting ones have taught holds for them alone.
    client.clear(10, 40 * HOUR + 50);
    for n in 11..17 {
        let begin = i64::from(n) * 5 * HOUR;
        client.raise(n, begin, "high latency to gateway", "81");
        client.clear(n, begin + 50);
    }
    let held = client.raise(20, 90 * HOUR, "high latency to gateway", "81");
    assert!(matches!(held.treatment, Treatment::Held { .. }), "{held:?}");
    client.clear(20, 90 * HOUR + 40);
    let moment = client.say(21, 100 * HOUR, "high latency to gateway", "81");
    assert_eq!(moment.treatment, Treatment::Incident);
}

#[test]
fn the_end_of_a_moment_is_not_the_end_of_what_lasts() {
    let mut client = Client::new(json!({}));
    let lasting = client.raise(1, 0, "disk C: is 91 % full", "81");
    let moment = client.say(2, 40, "disk C: is 91 % full", "81");
    assert_eq!(moment.treatment, Treatment::Duplicate { of: id(1) });
    client.clear(2, 100);
    assert_eq!(client.news(&lasting).incident.live, 1);
    // And it does not go on in the place of what has cleared.
    client.say(3, 10 * MINUTE, "disk C: is 91 % full", "81");
    client.clear(1, 10 * MINUTE + 5);
    assert_eq!(client.news(&lasting).incident.live, 0);
    client.clear(3, 11 * MINUTE);
    let news = client.news(&lasting);
    assert_eq!((news.incident.live, news.hidden), (0, 0));
}

#[test]
fn a_moment_that_comes_again_after_its_speaker_has_cleared_speaks_for_itself() {
    let mut client = Client::new(json!({}));
    let lasting = client.raise(1, 0, "RAID degraded", "nas-1");
    let moment = client.say(2, 30, "RAID degraded", "nas-1");
    assert_eq!(moment.treatment, Treatment::Duplicate { of: id(1) });
    client.clear(1, 60);
    let again = Event {
        lasting: false,
        number: 2,
        ..event(2, EventKind::Repeated, 80, "RAID degraded", "nas-1")
    };
    client.turn(80, &[again]);
    assert_eq!(client.placed[&id(2)].treatment, Treatment::Incident);
    assert_eq!(client.news(&lasting).hidden, 0);
}

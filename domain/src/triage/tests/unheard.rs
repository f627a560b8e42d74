//! Alerts that are over only because nobody spoke of them any more.

use super::*;

const ONE: u32 = 1;
const OTHER: u32 = 2;

impl Client {
    fn forget(&mut self, number: u32, seconds: i64) {
        let over = Event {
            unheard: true,
            ..event(number, EventKind::Cleared, seconds, "", "")
        };
        self.turn(seconds, &[over]);
    }

    /// Says in which words an incident is closed that is over by then.
    fn closed_as(&mut self, placement: &Placement, seconds: i64) -> String {
        self.turn(seconds, &[]);
        let (client, news) = ("7001".parse().unwrap(), self.news(placement).clone());
        let record = IncidentRecord::take(None, &client, news, at(seconds)).unwrap();
        record.may_close().unwrap().words()
    }
}

#[test]
fn an_incident_is_closed_in_words_that_hold_for_how_its_alerts_ended() {
    let stories = [
        (&[][..], "all its alerts cleared"),
        (&[ONE, OTHER], "its alerts were not heard of any more"),
        (
            &[OTHER],
            "some of its alerts cleared, the others were not heard of any more",
        ),
        (
            &[ONE],
            "some of its alerts cleared, the others were not heard of any more",
        ),
    ];
    // The other one is about another matter of the machine, or says the same.
    for title in ["backup job failed", "RAID degraded"] {
        for (forgotten, words) in stories {
            let mut client = Client::new(json!({}));
            let first = client.raise(ONE, 0, "RAID degraded", "nas-1");
            let other = client.raise(OTHER, 30, title, "nas-1");
            assert_eq!(first.incident, other.incident);
            for number in [ONE, OTHER] {
                let end = DAY + i64::from(number);
                if forgotten.contains(&number) {
                    client.forget(number, end);
                } else {
                    client.clear(number, end);
                }
            }
            assert_eq!(client.closed_as(&first, DAY + 3 * HOUR), words, "{title}");
        }
    }
}

#[test]
fn an_alert_that_is_back_and_clears_has_cleared() {
    let mut client = Client::new(json!({}));
    let first = client.raise(ONE, 0, "RAID degraded", "nas-1");
    client.forget(ONE, DAY);
    assert_eq!(client.news(&first).unheard, Some(Unheard::All));
    let back = client.raise(ONE, DAY + MINUTE, "RAID degraded", "nas-1");
    assert_eq!(back.incident, first.incident);
    assert_eq!(client.news(&first).unheard, None);
    client.clear(ONE, DAY + HOUR);
    let words = client.closed_as(&first, DAY + 3 * HOUR);
    assert_eq!(words, "all its alerts cleared");
}

#[test]
fn the_last_end_of_an_alert_counts() {
    let mut client = Client::new(json!({}));
    let first = client.raise(ONE, 0, "RAID degraded", "nas-1");
    client.clear(ONE, HOUR);
    let back = client.raise(ONE, HOUR + MINUTE, "RAID degraded", "nas-1");
    assert_eq!(back.incident, first.incident);
    client.forget(ONE, DAY);
    let words = client.closed_as(&first, DAY + 3 * HOUR);
    assert_eq!(words, "its alerts were not heard of any more");
}

#[test]
fn what_is_split_takes_along_how_its_alerts_ended() {
    const THIRD: u32 = 3;
    let mut client = Client::new(json!({}));
    let first = client.raise(ONE, 0, "RAID degraded", "nas-1");
    for (number, title, machine) in [
        (OTHER, "backup job failed", "nas-1"),
        (THIRD, "RAID degraded", "web-1"),
    ] {
        let joined = client.raise(number, 30, title, machine);
        assert_eq!(joined.incident, first.incident, "{machine}");
    }
    client.forget(ONE, DAY);
    let id = IncidentId(first.incident.unwrap());
    client.triage.split(id, &["nas-1"]).unwrap();
    client.note();
    let alone = client.triage.active[&super::id(OTHER)].placement(at(DAY));
    client.clear(OTHER, DAY + MINUTE);
    client.clear(THIRD, DAY + MINUTE);
    assert_eq!(
        client.closed_as(&alone, DAY + 3 * HOUR),
        "some of its alerts cleared, the others were not heard of any more"
    );
    let words = client.closed_as(&first, DAY + 3 * HOUR);
    assert_eq!(words, "all its alerts cleared");
}

#[test]
fn what_is_merged_brings_along_how_its_alerts_ended() {
    let mut client = Client::new(json!({}));
    let gone = client.raise(ONE, 0, "RAID degraded", "nas-1");
    let into = client.raise(OTHER, 20 * MINUTE, "certificate expired", "web-1");
    let number = |placement: &Placement| IncidentId(placement.incident.unwrap());
    client.forget(ONE, DAY);
    assert!(client.triage.merge(number(&gone), number(&into)));
    client.clear(OTHER, DAY + MINUTE);
    let words = client.closed_as(&into, DAY + 3 * HOUR);
    assert_eq!(
        words,
        "some of its alerts cleared, the others were not heard of any more"
    );
}

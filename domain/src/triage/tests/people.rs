//! What people say of incidents.

use super::*;
use crate::incident::CannotSplit;

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
    assert_eq!(client.incidents[&new].incident.parted_from, Some(whole));
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
fn nothing_is_kept_of_an_incident_that_people_have_closed() {
    let mut client = Client::new(json!({}));
    let first = client.raise(1, 0, "disk C: is 91 % full", "81");
    // It has its rank.
    client.turn(HOUR, &[]);
    assert!(client.triage.close(IncidentId(first.incident.unwrap())));
    client.note();
    assert!(client.triage.asides.is_empty());
    // The first alert is still there, and speaks for others that say the same.
    let same = client.raise(2, 2 * HOUR, "disk C: is 93 % full", "81");
    assert_eq!(same.treatment, Treatment::Duplicate { of: id(1) });
    assert!(client.triage.asides.is_empty());
    client.clear(1, 3 * HOUR);
    client.clear(2, 4 * HOUR);
    assert!(client.triage.asides.is_empty());
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

//! States that earlier programs have stored.

use super::*;

/// As a program of form 1 wrote it: a RAID is degraded, which was said twice; a switch is offline, and a server
/// behind it complains; a certificate has been renewed.
const FORM_1: &str = include_str!("form_1.json");

#[test]
fn a_state_of_form_1_goes_on_where_it_was() {
    let mut client = Client::new(json!({}));
    client.topology.depends_on = vec![("srv-1".to_owned(), "sw-1".to_owned())];
    client.triage = Triage::read(FORM_1.as_bytes()).unwrap();
    let raid = client.raise(6, 3 * HOUR, "RAID degraded", "nas-1");
    assert_eq!(raid.treatment, Treatment::Duplicate { of: id(1) });
    let news = client.news(&raid);
    assert_eq!((news.incident.live, news.hidden), (1, 2));
    let down = client.raise(7, 3 * HOUR, "switch is offline", "sw-1");
    assert_eq!(down.treatment, Treatment::Duplicate { of: id(3) });
    let clear = |client: &mut Client, number: u32, seconds: i64| {
        let cleared = event(number, EventKind::Cleared, seconds, "", "");
        client.turn(seconds, &[cleared]);
    };
    for number in [1, 6] {
        clear(&mut client, number, 4 * HOUR);
        assert_eq!(client.news(&raid).incident.live, 1, "{number}");
    }
    for number in [2, 3, 4, 7] {
        clear(&mut client, number, 5 * HOUR);
    }
    client.turn(9 * HOUR, &[]);
    assert_eq!(client.incidents.len(), 3);
    for news in client.incidents.values() {
        assert!(
            news.over && news.incident.state == State::Cleared,
            "{news:?}"
        );
    }
    assert_eq!(client.triage.next_due(), None);
}

#[test]
fn what_no_program_has_written_so_far_is_refused() {
    let now = serde_json::to_string(&Triage::new()).unwrap();
    assert!(Triage::read(now.as_bytes()).is_ok());
    let later = now.replace("\"version\":2", "\"version\":3");
    let error = Triage::read(later.as_bytes()).unwrap_err().to_string();
    assert!(error.contains("version 3 is not allowed"), "{error}");
    let broken = Triage::read(br#"{"version":1,"correlator":{}}"#);
    assert!(broken.is_err());
}

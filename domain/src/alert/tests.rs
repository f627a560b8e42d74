use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::*;

fn at(seconds: i64) -> Timestamp {
    "2026-11-28T12:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_secs(seconds)
}

fn said(seconds: i64) -> Sighting {
    Sighting {
        id: "superops/4411".parse().unwrap(),
        client: "77".parse().unwrap(),
        device: Some("81".parse().unwrap()),
        host: Some("SRV01".to_owned()),
        address: None,
        site: None,
        title: "disk C: is 91 % full".to_owned(),
        description: String::new(),
        severity: AlertSeverity::High,
        raised_at: at(0),
        cleared: None,
        lasting: true,
        occurrences: 1,
        seen_at: at(seconds),
    }
}

fn kinds(taken: &Taken) -> Vec<(EventKind, Timestamp)> {
    taken
        .news
        .iter()
        .map(|event| (event.kind, event.at))
        .collect()
}

fn take(known: Option<Alert>, said: Sighting) -> Option<Taken> {
    Alert::take(known, said, false)
}

fn first() -> Alert {
    take(None, said(10)).unwrap().alert
}

#[test]
fn an_alert_is_news_once_however_often_it_is_seen() {
    let taken = take(None, said(10)).unwrap();
    assert_eq!(kinds(&taken), [(EventKind::Raised, at(0))]);
    assert_eq!(take(Some(taken.alert.clone()), said(70)), None);
    // A walk wants to know that it was there.
    let walked = Alert::take(Some(taken.alert), said(70), true).unwrap();
    assert_eq!((walked.news.len(), walked.alert.said.seen_at), (0, at(70)));
}

#[test]
fn what_repeats_clears_and_comes_back_is_told_in_that_order() {
    let more = Sighting {
        occurrences: 3,
        ..said(70)
    };
    let taken = take(Some(first()), more).unwrap();
    assert_eq!(kinds(&taken), [(EventKind::Repeated, at(70))]);
    let over = Sighting {
        cleared: Some(Some(at(90))),
        occurrences: 3,
        ..said(130)
    };
    let taken = take(Some(taken.alert), over.clone()).unwrap();
    assert_eq!(kinds(&taken), [(EventKind::Cleared, at(90))]);
    assert_eq!(
        take(
            Some(taken.alert.clone()),
            Sighting {
                seen_at: at(190),
                ..over
            }
        ),
        None
    );
    let back = Sighting {
        occurrences: 4,
        ..said(250)
    };
    let taken = take(Some(taken.alert), back).unwrap();
    assert_eq!(kinds(&taken), [(EventKind::Raised, at(90))]);
    assert!(taken.alert.is_active());
    assert_eq!(taken.alert.news, 4);
}

#[test]
fn a_list_that_is_behind_does_not_open_what_is_over() {
    let over = Sighting {
        cleared: Some(None),
        ..said(70)
    };
    let alert = take(Some(first()), over).unwrap().alert;
    assert_eq!(take(Some(alert.clone()), said(130)), None);
    assert_eq!(take(Some(alert), said(30)), None);
}

#[test]
fn short_ones_between_two_polls_are_raised_and_cleared() {
    let over = Sighting {
        cleared: Some(Some(at(5))),
        ..said(60)
    };
    let taken = take(None, over).unwrap();
    assert_eq!(
        kinds(&taken),
        [(EventKind::Raised, at(0)), (EventKind::Cleared, at(5))]
    );
    let again = Sighting {
        raised_at: at(20),
        cleared: Some(Some(at(30))),
        ..said(120)
    };
    let taken = take(Some(taken.alert), again).unwrap();
    assert_eq!(
        kinds(&taken),
        [(EventKind::Raised, at(20)), (EventKind::Cleared, at(30))]
    );
}

#[test]
fn times_of_a_clock_that_runs_ahead_are_taken_as_the_moment_they_came() {
    let ahead = Sighting {
        raised_at: at(9_000),
        cleared: Some(Some(at(-50))),
        ..said(60)
    };
    let taken = take(None, ahead).unwrap();
    assert_eq!(
        kinds(&taken),
        [(EventKind::Raised, at(60)), (EventKind::Cleared, at(60))]
    );
}

#[test]
fn two_walks_that_do_not_find_an_alert_end_it_and_one_does_not() {
    let once = first().miss(at(600), at(610)).unwrap();
    assert!(once.news.is_empty() && once.alert.is_active());
    let seen = take(Some(once.alert.clone()), said(700)).unwrap().alert;
    assert_eq!(seen.missed, 0);
    assert_eq!(
        once.alert.clone().miss(at(600), at(620)),
        None,
        "told again"
    );
    let twice = once.alert.miss(at(1_200), at(1_210)).unwrap();
    assert_eq!(kinds(&twice), [(EventKind::Cleared, at(1_210))]);
    assert_eq!(twice.alert.miss(at(1_800), at(1_810)), None);
    assert_eq!(seen.miss(at(650), at(710)), None);
}

#[test]
fn a_webhook_of_alertmanager_is_read_alert_by_alert() {
    let body = json!({
        "version": "4", "groupKey": "{}", "status": "firing", "receiver": "autoops", "truncatedAlerts": 2,
        "alerts": [
            { "status": "firing", "labels": { "alertname": "DiskFull", "instance": "10.0.0.7:9100", "client": "77", "severity": "critical" },
              "annotations": { "summary": "disk is full", "description": "a\u{7}b" }, "startsAt": "2026-11-28T11:59:00Z",
              "endsAt": "0001-01-01T00:00:00Z", "fingerprint": "c1d2e3f405162738" },
            { "status": "resolved", "labels": { "alertname": "Down", "host": "db01" }, "startsAt": "2026-11-28T11:00:00Z",
              "endsAt": "2026-11-28T11:30:00Z" },
            { "status": "melting", "labels": { "alertname": "x" }, "startsAt": "2026-11-28T11:00:00Z" },
            { "status": "firing", "labels": {}, "startsAt": "soon" },
        ],
    });
    let intake = read_alertmanager(body.to_string().as_bytes(), &Labels::default(), at(0)).unwrap();
    let [one, two] = &intake.sightings[..] else {
        panic!("{intake:?}")
    };
    assert_eq!(
        (one.id.as_str(), one.host.as_deref()),
        ("alertmanager/c1d2e3f405162738", Some("10.0.0.7"))
    );
    assert_eq!(
        (one.address.as_deref(), one.client.as_str()),
        (Some("10.0.0.7"), "77")
    );
    assert_eq!(
        (one.severity, one.description.as_str()),
        (AlertSeverity::Critical, "a b")
    );
    assert_eq!(
        (two.client.as_str(), two.title.as_str()),
        ("unknown", "Down")
    );
    assert_eq!(
        two.cleared,
        Some(Some("2026-11-28T11:30:00Z".parse().unwrap()))
    );
    let counts = intake.counts;
    assert_eq!(
        (counts.refused, counts.without_client, counts.beyond),
        (2, 1, 2)
    );
    assert!(
        intake.problems[0]
            .to_string()
            .contains("alerts[2].status: `melting`"),
        "{:?}",
        intake.problems
    );
    assert!(
        intake.problems[1].field.contains("alerts[3]"),
        "{:?}",
        intake.problems
    );
    for wrong in ["{", "[]", r#"{"version":"3","alerts":[]}"#] {
        assert!(
            read_alertmanager(wrong.as_bytes(), &Labels::default(), at(0)).is_err(),
            "{wrong}"
        );
    }
}

#[test]
fn the_plain_form_takes_one_or_many_and_says_what_it_refuses() {
    let long = "x".repeat(1_000_000);
    let body = json!([
        { "client": "77", "title": long, "host": "pc-4", "raised_at": "2026-11-28T11:00:00Z" },
        { "client": "no such client!", "title": "printer offline", "device": "81" },
        { "client": "77", "title": "  \u{0}  " },
        { "client": "77", "title": "x", "colour": "red" },
        { "id": "a b", "client": "77", "title": "x" },
    ]);
    let intake = read_plain(body.to_string().as_bytes(), at(0)).unwrap();
    assert_eq!(intake.sightings.len(), 2);
    assert_eq!(intake.sightings[0].title.len(), TITLE_BYTES);
    assert_eq!(intake.sightings[1].client, ClientId::unknown());
    assert_eq!(
        intake.counts,
        IntakeCounts {
            refused: 3,
            without_client: 1,
            cut: 1,
            ..IntakeCounts::default()
        }
    );
    let told: Vec<String> = intake.problems.iter().map(ToString::to_string).collect();
    assert!(
        told[0].starts_with("alerts[2].title")
            && told[1].contains("colour")
            && told[2].contains("alerts[4].id"),
        "{told:?}"
    );
    // The same alert has the same id, however often it is sent.
    let one = json!({ "client": "77", "title": "printer offline", "host": "pc-4" }).to_string();
    let id = |body: &str| {
        read_plain(body.as_bytes(), at(0)).unwrap().sightings[0]
            .id
            .clone()
    };
    assert_eq!(id(&one), id(&one));
    assert!(read_plain(b"7", at(0)).is_err());
}

#[test]
fn one_byte_that_is_no_utf8_loses_nothing_but_itself() {
    let body = b"[{\"client\":\"77\",\"title\":\"Dienst Pr\xfcfung steht\"},{\"client\":\"77\",\"title\":\"disk full\"}]";
    let intake = read_plain(body, at(0)).unwrap();
    let titles: Vec<&str> = intake
        .sightings
        .iter()
        .map(|one| one.title.as_str())
        .collect();
    assert_eq!(titles, ["Dienst Pr\u{fffd}fung steht", "disk full"]);
    assert_eq!((intake.counts.not_utf8, intake.counts.refused), (1, 0));
    let body = b"{\"version\":\"4\",\"alerts\":[{\"status\":\"firing\",\"startsAt\":\"2026-11-28T11:00:00Z\",\"labels\":{\"alertname\":\"Pr\xfcfung\"}}]}";
    let intake = read_alertmanager(body, &Labels::default(), at(0)).unwrap();
    assert_eq!((intake.sightings.len(), intake.counts.not_utf8), (1, 1));
}

#[test]
fn of_a_request_that_is_too_large_the_alerts_that_came_first_are_kept() {
    // As most tools list them: the newest first.
    let alerts: Vec<_> = (0..10_050)
        .map(|n| json!({ "id": n.to_string(), "client": "77", "title": "x", "raised_at": at(-n) }))
        .collect();
    let intake = read_plain(json!(alerts).to_string().as_bytes(), at(0)).unwrap();
    assert_eq!((intake.sightings.len(), intake.counts.beyond), (10_000, 50));
    assert_eq!(intake.sightings[0].raised_at, at(-10_049));
    assert!(intake.sightings.iter().all(|one| one.raised_at <= at(-50)));
}

fn sent(seconds: i64, lasting: bool) -> Sighting {
    Sighting {
        id: "plain/4411".parse().unwrap(),
        lasting,
        ..said(seconds)
    }
}

#[test]
fn what_its_source_does_not_speak_of_any_more_is_over() {
    let since = |seconds| HeardSince {
        lasting: at(seconds - 3_600),
        of_moment: at(seconds - 60),
    };
    for (lasting, patience) in [(false, 60), (true, 3_600)] {
        let alert = take(None, sent(10, lasting)).unwrap().alert;
        // Whoever sends it again is heard, although that is no news.
        let again = take(Some(alert), sent(30, lasting)).unwrap();
        assert_eq!((again.news.len(), again.alert.said.seen_at), (0, at(30)));
        let end = 30 + patience;
        let heard = again.alert;
        assert_eq!(heard.clone().unheard(&since(end), at(end)), None);
        let over = heard.unheard(&since(end + 1), at(end + 1)).unwrap();
        assert_eq!(kinds(&over), [(EventKind::Cleared, at(end + 1))]);
        assert!(over.news[0].unheard, "nobody says that it cleared");
        let over = over.alert;
        let retold: Vec<bool> = over.retell().iter().map(|event| event.unheard).collect();
        assert_eq!(retold, [false, true]);
        assert_eq!(over.closing, Some(Closing::Unheard));
        assert_eq!(over.clone().unheard(&since(99_999), at(99_999)), None);
        // It was there all the time: its source says the very same as before.
        let back = take(Some(over), sent(end + 9, lasting)).unwrap();
        assert_eq!(kinds(&back), [(EventKind::Raised, at(end + 1))]);
        assert!(!back.news[0].unheard);
        assert_eq!((back.alert.is_active(), back.alert.closing), (true, None));
    }
    // What is of the moment happens again each time it is raised.
    let raised = |lasting| Sighting {
        raised_at: at(25),
        ..sent(30, lasting)
    };
    for (lasting, news) in [(false, 1), (true, 0)] {
        let alert = take(None, sent(10, lasting)).unwrap().alert;
        let again = take(Some(alert), raised(lasting)).unwrap();
        assert_eq!(again.news.len(), news);
    }
    // Who is asked need not speak.
    assert_eq!(first().unheard(&since(99_999), at(99_999)), None);
}

#[test]
fn who_speaks_of_the_end_of_an_alert_is_expected_to_say_it() {
    let plain = |more: serde_json::Value| {
        let mut alert = json!({ "client": "77", "title": "backup failed", "host": "nas-1" });
        let (all, more) = (alert.as_object_mut().unwrap(), more.as_object().cloned());
        all.extend(more.unwrap());
        let intake = read_plain(alert.to_string().as_bytes(), at(0)).unwrap();
        Alert::take(None, intake.sightings[0].clone(), false).unwrap()
    };
    let cases = [
        (json!({}), false),
        (json!({ "cleared": false }), true),
        (json!({ "cleared": true }), true),
        (json!({ "cleared_at": at(0) }), true),
        (json!({ "lasting": true }), true),
        (json!({ "cleared": false, "lasting": false }), false),
    ];
    for (more, lasting) in cases {
        let taken = plain(more.clone());
        let told = taken.news.iter().map(|event| event.lasting);
        let all: Vec<bool> = std::iter::once(taken.alert.said.lasting)
            .chain(told)
            .collect();
        assert!(all.iter().all(|one| *one == lasting), "{more}: {all:?}");
    }
    let body = json!({ "version": "4", "alerts": [{ "status": "firing", "startsAt": at(0),
        "labels": { "alertname": "DiskFull", "client": "77" } }] });
    let intake = read_alertmanager(body.to_string().as_bytes(), &Labels::default(), at(0)).unwrap();
    assert!(intake.sightings[0].lasting, "it sends what is resolved");
    // What was kept before this was noted is of the RMM.
    let mut kept = serde_json::to_value(said(0)).unwrap();
    kept.as_object_mut().unwrap().remove("lasting");
    assert_eq!(serde_json::from_value::<Sighting>(kept).unwrap(), said(0));
}

#[test]
fn ids_name_their_source_and_nothing_else() {
    let id: AlertId = "superops/4411092338412345678".parse().unwrap();
    assert_eq!(
        (id.source(), id.own()),
        (AlertSource::Superops, "4411092338412345678")
    );
    for wrong in [
        "",
        "4411",
        "nagios/4411",
        "superops/",
        "superops/a b",
        &format!("plain/{}", "x".repeat(129)),
    ] {
        assert!(wrong.parse::<AlertId>().is_err(), "{wrong}");
    }
}

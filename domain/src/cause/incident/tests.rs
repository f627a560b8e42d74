use super::*;
use crate::{
    alert::{AlertId, AlertSource, Sighting},
    ids::DeviceId,
    triage::Expectation,
};

const NOON: i64 = 1_795_000_000;

fn at(minute: i64) -> Timestamp {
    Timestamp::from_second(NOON + minute * 60).unwrap()
}

fn alert(number: u32, machine: &str, minute: i64, title: &str) -> Alert {
    let said = Sighting {
        id: AlertId::new(AlertSource::Superops, &number.to_string()).unwrap(),
        client: "7001".parse().unwrap(),
        device: machine.parse().ok(),
        host: None,
        address: None,
        site: None,
        title: title.to_owned(),
        description: String::new(),
        severity: AlertSeverity::High,
        raised_at: at(minute),
        cleared: None,
        lasting: true,
        occurrences: 1,
        seen_at: at(minute),
    };
    Alert {
        said,
        first_seen_at: at(minute),
        cleared_at: None,
        closing: None,
        missed: 0,
        missed_by: None,
        news: 0,
        placement: None,
    }
}

fn wave(device: &str, minute: i64, left_over: bool) -> Suspect {
    Suspect {
        plan: "weekly-1".parse().unwrap(),
        ring: 1,
        kbs: vec!["KB5034441".parse().unwrap()],
        device: device.parse().unwrap(),
        left_over,
        since: at(minute),
    }
}

fn known<'a>(
    alerts: &'a [Alert],
    depends_on: &'a [(String, String)],
    suspects: &'a [Suspect],
) -> Known<'a> {
    Known {
        version: 3,
        at: at(60),
        machines: &[],
        depends_on,
        alerts,
        suspects,
    }
}

fn on(machine: &str, other: &str) -> (String, String) {
    (machine.to_owned(), other.to_owned())
}

#[test]
fn the_machine_that_others_depend_on_and_that_failed_first_is_the_cause() {
    let alerts = [
        alert(1, "81", 0, "disk is 99% full"),
        alert(2, "82", 5, "service stopped"),
        alert(3, "83", 6, "service stopped"),
        alert(4, "83", 7, "website down"),
    ];
    let network = [on("82", "81"), on("83", "81")];
    let report = explain(&known(&alerts, &network, &[]), None).unwrap();
    assert_eq!(report.suspects[0].machine, "81");
    assert!(!report.abstain, "{report:?}");
    assert!(!report.memory_asked);
    // One piece for each machine: the first alert.
    assert_eq!(report.evidence.len(), 3);
    assert_eq!(report.machines()[0], "81");
    assert!(report.words().unwrap().contains("disk is 99% full"));
}

#[test]
fn a_wave_that_reached_the_machine_just_before_is_the_first_reason() {
    let alerts = [
        alert(1, "81", 10, "service stopped"),
        alert(2, "82", 10, "service stopped"),
    ];
    let report = explain(&known(&alerts, &[], &[wave("82", 5, true)]), None).unwrap();
    let first = &report.suspects[0];
    assert_eq!(first.machine, "82");
    assert_eq!(first.because[0].evidence, "wave_1");
    assert!(
        first.because[0].text.contains("KB5034441"),
        "{}",
        first.because[0].text
    );
}

#[test]
fn every_reason_names_evidence_that_is_there_and_the_report_stays_small() {
    let long = "ü".repeat(5_000);
    let alerts: Vec<Alert> = (0..300)
        .map(|n| alert(n, &(100 + n).to_string(), i64::from(n % 7), &long))
        .collect();
    let waves: Vec<Suspect> = (0..50)
        .map(|n| wave(&(100 + n).to_string(), 0, n % 2 == 0))
        .collect();
    let network: Vec<_> = (101..400).map(|n| on(&n.to_string(), "100")).collect();
    let report = explain(&known(&alerts, &network, &waves), Some(vec![])).unwrap();
    let ids: BTreeSet<&str> = report.evidence.iter().map(|one| one.id.as_str()).collect();
    assert_eq!(ids.len(), report.evidence.len());
    for because in report.suspects.iter().flat_map(|one| &one.because) {
        assert!(ids.contains(because.evidence.as_str()), "{because:?}");
    }
    let bytes = serde_json::to_vec(&report).unwrap().len();
    assert!(bytes < 32 * 1024, "{bytes}");
    let back = serde_json::to_value(&report).unwrap();
    assert_eq!(CauseReport::of(Some(&back)), Some(report));
}

#[test]
fn without_alerts_of_a_machine_it_abstains() {
    for alerts in [vec![], vec![alert(1, "", 0, "backup failed")]] {
        let report = explain(&known(&alerts, &[], &[]), Some(vec![])).unwrap();
        assert!(report.abstain && report.suspects.is_empty() && report.memory_asked);
        assert_eq!(report.words(), None);
    }
}

#[test]
fn what_was_asked_twice_is_there_once() {
    let alerts = [alert(1, "81", 0, "disk full")];
    let mut report = explain(&known(&alerts, &[], &[]), None).unwrap();
    let figures = |device: &str| Fact::Figures {
        device: device.parse().unwrap(),
        at: at(1),
        figures: crate::cause::Figures::default(),
    };
    for device in ["81", "82", "81"] {
        report.add("figures", figures(device));
    }
    let ids: Vec<&str> = report.evidence.iter().map(|one| one.id.as_str()).collect();
    assert_eq!(ids, ["alert_1", "figures_1", "figures_2"]);
    assert_eq!(
        CauseReport::of(Some(&serde_json::json!({ "old": 1 }))),
        None
    );
}

fn announced(plan: &str, device: &str, minute: i64) -> Expectation {
    Expectation {
        plan: plan.parse().unwrap(),
        ring: 0,
        attempt: 1,
        kbs: vec!["KB5034441".parse().unwrap()],
        device: device.parse().unwrap(),
        symptoms: vec![],
        from: at(minute),
        until: at(minute + 10),
    }
}

#[test]
fn a_patched_server_that_says_nothing_is_suspected_for_those_that_depend_on_it() {
    // 90 is the file server of three workstations. It shows nothing, and was patched ten minutes before.
    let alerts = [
        alert(1, "81", 0, "mapped drive is unreachable"),
        alert(2, "82", 1, "mapped drive is unreachable"),
        alert(3, "83", 1, "mapped drive is unreachable"),
    ];
    let network = [
        on("81", "90"),
        on("82", "90"),
        on("83", "90"),
        on("70", "81"),
    ];
    let quiet = known(&alerts, &network, &[]);
    let silent = silent_around(&quiet);
    let names: Vec<&str> = silent.iter().map(DeviceId::as_str).collect();
    assert_eq!(names, ["90", "70"]);
    let share = |report: &CauseReport| {
        let mut suspects = report.suspects.iter();
        suspects
            .find(|one| one.machine == "90")
            .map(|one| one.share_permille)
    };
    let without = share(&explain(&quiet, None).unwrap());
    let waves = [
        announced("weekly-1", "90", -10),
        announced("weekly-1", "70", -20),
        // Too old, and too late.
        announced("weekly-0", "90", -60 * 8),
        announced("weekly-2", "90", 30),
    ];
    let suspects = changed_around(&quiet, &waves, &silent);
    assert!(
        suspects.iter().all(|one| !one.left_over),
        "it halts nothing"
    );
    let report = explain(&known(&alerts, &network, &suspects), None).unwrap();
    let first = &report.suspects[0];
    assert_eq!(
        (first.machine.as_str(), first.because[0].evidence.as_str()),
        ("90", "wave_1")
    );
    assert_eq!(
        first.because[0].text,
        "ring 1 of KB5034441 was installed 15 min before"
    );
    assert!(share(&report) > without, "{without:?} {report:?}");
    // What depends on a suspect explains nothing of it: its wave is told.
    let waves = report
        .evidence
        .iter()
        .filter_map(|piece| match &piece.fact {
            Fact::Wave(wave) => Some(wave.device.as_str()),
            _ => None,
        });
    assert_eq!(waves.collect::<Vec<_>>(), ["90", "70"]);
    assert!(report.suspects.iter().all(|one| one.machine != "70"));
}

#[test]
fn a_patched_server_that_says_nothing_is_found_behind_however_many_waves_of_its_clients() {
    // Workstations lost their drives, and each was patched: last night, or five hours ago. Their file server was
    // patched ten minutes before.
    for (many, patched) in [(30, -60 * 14), (30, -60 * 5), (1_200, -60 * 5)] {
        let workstations: Vec<String> = (101..101 + many).map(|n| n.to_string()).collect();
        let alerts: Vec<Alert> = (1..)
            .zip(&workstations)
            .map(|(n, one)| alert(n, one, 0, "mapped drive is unreachable"))
            .collect();
        let network: Vec<_> = workstations.iter().map(|one| on(one, "90")).collect();
        let own: Vec<Suspect> = workstations
            .iter()
            .map(|one| wave(one, patched, false))
            .collect();
        let known = known(&alerts, &network, &own);
        let silent = silent_around(&known);
        let suspects = changed_around(&known, &[announced("weekly-2", "90", -10)], &silent);
        assert_eq!(suspects.len(), workstations.len() + 1);
        let known = Known {
            suspects: &suspects,
            ..known
        };
        let report = explain(&known, None).unwrap();
        let first = &report.suspects[0];
        assert_eq!(first.machine, "90", "{many} {patched}");
        assert!(first.because[0].text.contains("was installed"), "{first:?}");
        let is_wave = |piece: &&Piece| matches!(piece.fact, Fact::Wave(_));
        let waves: Vec<&Piece> = report.evidence.iter().filter(is_wave).collect();
        assert!(waves.iter().any(|one| one.id == first.because[0].evidence));
        // What no reason rests on is written down as far as there is room.
        assert!(waves.len() <= WAVES + SUSPECTS, "{}", waves.len());
    }
}

#[test]
fn what_is_too_old_to_be_the_cause_takes_no_place_of_what_may_be() {
    let alerts = [alert(1, "81", 0, "service stopped")];
    let machines: Vec<String> = (101..125).map(|n| n.to_string()).collect();
    let old = machines[..12].iter().map(|one| wave(one, -60 * 14, false));
    let left_over = [wave("81", -60 * 9, true)];
    let recent = machines[12..15].iter().map(|one| wave(one, -30, false));
    let suspects: Vec<Suspect> = old.chain(left_over).chain(recent).collect();
    let report = explain(&known(&alerts, &[], &suspects), None).unwrap();
    let waves = report
        .evidence
        .iter()
        .filter_map(|piece| match &piece.fact {
            Fact::Wave(wave) => Some(wave.device.as_str()),
            _ => None,
        });
    let waves: Vec<&str> = waves.collect();
    assert_eq!(waves[..5], ["81", "113", "114", "115", "101"]);
    assert_eq!(waves.len(), WAVES);
}

#[test]
fn a_wave_that_triage_suspects_is_told_once() {
    let alerts = [alert(1, "81", 0, "service stopped")];
    let own = [wave("81", -5, true)];
    let machines = ["81".to_owned(), "82".to_owned()];
    let known = Known {
        machines: &machines,
        ..known(&alerts, &[], &own)
    };
    let silent = silent_around(&known);
    let waves = [
        announced("weekly-1", "82", -5),
        announced("weekly-1", "81", -5),
    ];
    let suspects = changed_around(&known, &waves, &silent);
    let devices: Vec<&str> = suspects.iter().map(|one| one.device.as_str()).collect();
    assert_eq!(devices, ["81", "82"]);
}

#[test]
fn a_script_that_ran_just_before_makes_its_device_the_first_suspect() {
    let alerts = [
        alert(1, "81", 0, "service stopped"),
        alert(2, "82", 0, "service stopped"),
    ];
    let known = known(&alerts, &[], &[]);
    let past = Past {
        incident: "7001-1".to_owned(),
        likeness_permille: 900,
        title: "service stopped".to_owned(),
        cause: None,
        what_worked: None,
        closed_at: at(-9_000),
    };
    let ran = |minutes: &[i64]| Fact::Scripts {
        device: "82".parse().unwrap(),
        at: at(20),
        runs: crate::cause::ScriptRuns {
            runs: 2,
            failed: 0,
            newest: None,
            times: minutes.iter().map(|minute| at(*minute)).collect(),
        },
    };
    let again = |minutes: &[i64]| {
        let mut report = explain(&known, Some(vec![past.clone()])).unwrap();
        report.add("scripts", ran(minutes));
        rank_again(&known, report).unwrap()
    };
    // One that ran while people looked into it does not hide the one before.
    let report = again(&[15, -3]);
    let first = &report.suspects[0];
    assert_eq!(first.machine, "82");
    assert_eq!(first.because[0].evidence, "scripts_1");
    assert_eq!(first.because[0].text, "a script ran on it 8 min before");
    let ids: Vec<&str> = report.evidence.iter().map(|one| one.id.as_str()).collect();
    assert_eq!(ids, ["alert_1", "alert_2", "past_1", "scripts_1"]);
    assert!(report.memory_asked);
    for unrelated in [&[15][..], &[-60 * 7], &[]] {
        assert_eq!(again(unrelated).suspects[0].machine, "81", "{unrelated:?}");
    }
}

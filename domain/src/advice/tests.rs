use super::*;
use crate::{
    alert::{Alert, AlertId, AlertSeverity, AlertSource, Sighting},
    incident::{Incident, IncidentId, State, Topology},
    triage::{IncidentNews, IncidentRecord, IncidentStatus, Suspect},
};

const NOON: i64 = 1_795_000_000;

fn at(minute: i64) -> Timestamp {
    Timestamp::from_second(NOON + minute * 60).unwrap()
}

fn key(number: u64) -> IncidentKey {
    IncidentKey::new("7001".parse().unwrap(), IncidentId(number))
}

fn record(number: u64, minute: i64, machines: &[&str], title: &str) -> IncidentRecord {
    let incident = Incident {
        id: IncidentId(number),
        state: State::Open,
        opened_ms: at(minute).as_millisecond(),
        last_ms: at(minute).as_millisecond(),
        alerts: 1,
        live: 1,
        reopened: 0,
        routine: false,
        goes_on_from: None,
        parted_from: None,
        titles: vec![title.to_owned()],
        devices: machines.iter().map(|one| (*one).to_owned()).collect(),
        links: vec![],
        priority: None,
    };
    let news = IncidentNews {
        incident,
        rank_so_far: None,
        severity: AlertSeverity::High,
        suspects: vec![],
        hidden: 0,
        unheard: None,
        blackout: false,
        over: false,
        merged_into: None,
    };
    let record = IncidentRecord::take(None, &"7001".parse().unwrap(), news, at(minute));
    record.unwrap()
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

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    let own = |(a, b): &(&str, &str)| ((*a).to_owned(), (*b).to_owned());
    pairs.iter().map(own).collect()
}

fn found(
    record: &IncidentRecord,
    alerts: &[Alert],
    others: &[IncidentRecord],
    topology: &Topology,
) -> Vec<Candidate> {
    let known = Known {
        record,
        alerts,
        others,
        topology,
    };
    near_misses(&known).0
}

#[test]
fn a_switch_that_failed_a_quarter_of_an_hour_before_is_asked_about() {
    let topology = Topology {
        sites: vec![],
        depends_on: pairs(&[("81", "90")]),
    };
    let late = record(5, 15, &["81"], "website is down");
    let switch = record(3, 0, &["90"], "port is flapping");
    let stranger = record(4, 10, &["77"], "toner is low");
    let others = [switch.clone(), stranger.clone()];
    let alerts = [alert(1, "81", 15, "website is down")];
    let candidates = found(&late, &alerts, &others, &topology);
    let [one] = candidates.as_slice() else {
        panic!("{candidates:?}");
    };
    assert_eq!(
        (one.id.as_str(), &one.proposal),
        ("merge_1", &Proposal::Merge { into: key(3) })
    );
    assert_eq!(one.words(), "one depends on the other, 15 min apart");
    assert_eq!(
        one.proposal.command(&late.key, &one.words()).unwrap(),
        "autoops incidents merge 7001-5 --into 7001-3 --by NAME --reason 'one depends on the other, 15 min apart'"
    );
    // The older one does not ask the same again, and nothing is asked about what is over or too long ago.
    assert!(found(&switch, &[], &[late.clone(), stranger], &topology).is_empty());
    let mut over = switch.clone();
    over.status = IncidentStatus::MergedInto { incident: key(1) };
    assert!(found(&late, &alerts, &[over], &topology).is_empty());
    let long_ago = record(3, -50, &["90"], "port is flapping");
    assert!(found(&late, &alerts, &[long_ago], &topology).is_empty());
}

#[test]
fn what_people_have_parted_or_goes_on_is_not_asked_about() {
    let topology = Topology::default();
    let first = record(3, 0, &["81"], "service stopped");
    let mut second = record(5, 1, &["81"], "service stopped");
    let others = [first];
    assert_eq!(found(&second, &[], &others, &topology).len(), 1);
    second.news.incident.parted_from = Some(IncidentId(3));
    assert!(found(&second, &[], &others, &topology).is_empty());
    second.news.incident.parted_from = None;
    second.news.incident.goes_on_from = Some(IncidentId(3));
    assert!(found(&second, &[], &others, &topology).is_empty());
}

#[test]
fn two_waves_of_one_plan_bring_incidents_together() {
    let wave = |device: &str| Suspect {
        plan: "weekly-1".parse().unwrap(),
        ring: 0,
        kbs: vec!["KB5034441".parse().unwrap()],
        device: device.parse().unwrap(),
        left_over: false,
        since: at(-30),
    };
    let mut first = record(3, 0, &["81"], "service stopped");
    let mut second = record(5, 40, &["82"], "printer is away");
    (first.news.suspects, second.news.suspects) = (vec![wave("81")], vec![wave("82")]);
    let candidates = found(&second, &[], &[first], &Topology::default());
    assert_eq!(candidates[0].words(), "same recent change, 40 min apart");
}

fn office() -> (IncidentRecord, Vec<Alert>, Topology) {
    let mut record = record(5, 0, &["81", "82", "70", "71"], "disk is failing");
    record.news.incident.links = vec![Link {
        time: 990,
        topology: 300,
        text: 300,
        change: 0,
    }];
    let alerts = vec![
        alert(1, "81", 0, "disk is failing"),
        alert(2, "82", 1, "backup was missed"),
        alert(3, "70", 1, "toner is low"),
        alert(4, "71", 2, "toner is low"),
    ];
    let topology = Topology {
        sites: pairs(&[("81", "a"), ("82", "a"), ("70", "a"), ("71", "a")]),
        depends_on: pairs(&[("82", "81")]),
    };
    (record, alerts, topology)
}

#[test]
fn printers_that_only_share_the_site_are_asked_about_together() {
    let (record, alerts, topology) = office();
    let candidates = found(&record, &alerts, &[], &topology);
    let [one] = candidates.as_slice() else {
        panic!("{candidates:?}");
    };
    let machines = vec!["70".to_owned(), "71".to_owned()];
    assert_eq!(one.proposal, Proposal::Split { machines });
    assert_eq!(
        one.proposal.command(&record.key, &one.words()).unwrap(),
        "autoops incidents split 7001-5 --machine 70,71 --by NAME --reason 'same site, 0 s apart'"
    );
    let known = Known {
        record: &record,
        alerts: &alerts,
        others: &[],
        topology: &topology,
    };
    // Those in question come first.
    let said = near_misses(&known).1;
    let of: Vec<&str> = said
        .iter()
        .filter_map(|one| one.machine.as_deref())
        .collect();
    assert_eq!(of, ["70", "71", "81", "82"]);
}

#[test]
fn nothing_is_split_that_joined_firmly_or_that_people_have_merged() {
    let (firm, alerts, topology) = office();
    let mut joined = firm.clone();
    joined.news.incident.links[0].topology = 900;
    assert!(found(&joined, &alerts, &[], &topology).is_empty());
    let mut printers = record(4, 0, &["70", "71"], "toner is low");
    printers.status = IncidentStatus::MergedInto { incident: key(5) };
    assert!(found(&firm, &alerts, &[printers], &topology).is_empty());
    let mut over = firm;
    over.status = IncidentStatus::MergedInto { incident: key(1) };
    assert!(found(&over, &alerts, &[], &topology).is_empty());
}

#[test]
fn a_name_that_a_shell_could_read_is_in_no_command() {
    for name in ["a;reboot", "$(reboot)", "-x", "a b", "a,b", "a'b", ""] {
        let proposal = Proposal::Split {
            machines: vec![name.to_owned()],
        };
        assert_eq!(proposal.command(&key(5), "same site"), None, "{name}");
    }
    let merge = Proposal::Merge { into: key(3) };
    let command = merge.command(&key(5), "it's over; reboot").unwrap();
    assert!(command.ends_with("--reason 'as advised'"), "{command}");
}

#[test]
fn the_same_proposals_have_the_same_hash_whatever_their_score() {
    let (record, alerts, topology) = office();
    let mut candidates = found(&record, &alerts, &[], &topology);
    let hash = IncidentAdvice::hash_of(&candidates).unwrap();
    candidates[0].link.time = 1;
    assert_eq!(IncidentAdvice::hash_of(&candidates).unwrap(), hash);
    candidates.clear();
    assert_ne!(IncidentAdvice::hash_of(&candidates).unwrap(), hash);
}

#[test]
fn the_busiest_client_has_advice_of_a_size_that_fits() {
    let long = "ü".repeat(5_000);
    let others: Vec<IncidentRecord> = (1..300)
        .map(|number| record(number, 0, &["81"], &long))
        .collect();
    let mut own = record(900, 1, &["81"], &long);
    own.news.incident.links = vec![Link::default()];
    let alerts: Vec<Alert> = (0..300)
        .map(|n| {
            let letter = |n: u32| char::from_u32(u32::from(b'a') + n).unwrap();
            let title = format!("z{}{}", letter(n / 26), letter(n % 26)).repeat(1_000);
            alert(n, &(100 + n).to_string(), 1, &title)
        })
        .collect();
    let topology = Topology::default();
    let known = Known {
        record: &own,
        alerts: &alerts,
        others: &others,
        topology: &topology,
    };
    let (candidates, said) = near_misses(&known);
    assert_eq!(candidates.len(), 7);
    let ids: std::collections::BTreeSet<&str> =
        candidates.iter().map(|one| one.id.as_str()).collect();
    assert_eq!(ids.len(), 7);
    let bytes = serde_json::to_vec(&(candidates, said)).unwrap().len();
    assert!(bytes < 16 * 1024, "{bytes}");
}

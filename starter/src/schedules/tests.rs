use std::path::{Path, PathBuf};

use clap::Parser;
use clients::store::{ClientRecord, Store};
use serde_json::{Value, json};

use super::{apply::differences, entries::Entry, *};
use crate::{file, output::Format};

const GOOD: &str = "[[schedule]]\nname = 'nightly'\nkind = 'daily-seal'\ncron = '15 0 * * *'\n";

fn entries(toml: &str) -> Result<Vec<Entry>, Vec<String>> {
    let parsed = entries::parse(&file::parse_toml(toml).unwrap());
    parsed.map_err(|wrong| wrong.problems.iter().map(ToString::to_string).collect())
}

/// An entry of a good file, with lines added.
fn one(more: &str) -> Result<Entry, Vec<String>> {
    entries(&format!("{GOOD}{more}")).map(|mut all| all.remove(0))
}

/// A schedule of another kind, with lines added.
fn of_kind(kind: &str, more: &str) -> Result<Entry, Vec<String>> {
    let toml = format!("[[schedule]]\nname = 'a'\nkind = '{kind}'\nevery_secs = 60\n{more}");
    entries(&toml).map(|mut all| all.remove(0))
}

#[test]
fn the_example_is_accepted_and_needs_no_store() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/schedules.example.toml");
    let all = entries::parse(&file::toml(&path).unwrap()).unwrap();
    let kinds: std::collections::BTreeSet<_> = all.iter().map(|entry| entry.kind).collect();
    assert_eq!(kinds.len(), 5, "every kind is shown");
    for entry in &all {
        let needs_store = entry.client.is_some() && entry.time_zone.is_empty();
        assert!(!needs_store && !entry.next(jiff::Timestamp::now(), 3).is_empty());
    }
}

#[test]
fn the_file_of_the_storm_is_accepted() {
    let path = "../dev-server/examples/storm-schedules.toml";
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    let all = entries::parse(&file::toml(&path).unwrap()).unwrap();
    assert_eq!(all.len(), 1);
}

#[test]
fn the_documentation_shows_a_file_that_is_accepted() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/schedules.md");
    let docs = std::fs::read_to_string(docs).unwrap();
    let (_, rest) = docs.split_once("```toml\n").unwrap();
    let (toml, _) = rest.split_once("```").unwrap();
    entries(toml).unwrap();
}

#[test]
fn the_client_becomes_a_part_of_the_input_and_of_the_workflow_id() {
    let entry = of_kind(
        "patch-campaign",
        "client = '7'\n[schedule.input]\nrequested_by = 'lee'\n",
    );
    let entry = entry.unwrap();
    assert_eq!(
        Value::Object(entry.input.clone()),
        json!({ "client": "7", "requested_by": "lee" })
    );
    assert_eq!(entry.workflow_id().unwrap(), "patch-campaign/7/a");
    let entry = one("").unwrap();
    assert_eq!(Value::Object(entry.input.clone()), json!({}));
    assert_eq!(entry.workflow_id().unwrap(), "daily-seal/nightly");
}

#[test]
fn every_wrong_field_is_named_with_its_value_and_what_is_allowed() {
    for (toml, field, allowed) in [
        (
            "name = 'Nightly'",
            "schedule[0].name: `Nightly`",
            "joined by -",
        ),
        (
            "kind = 'seal'",
            "schedule[0].kind: `seal`",
            "patch-campaign, intel-sync",
        ),
        (
            "cron = '61 * * * *'",
            "schedule[0].cron: `61 * * * *`",
            "five fields",
        ),
        ("cron = 5", "schedule[0].cron: `5`", "text, in quotes"),
        (
            "every_secs = 60",
            "schedule[0].cron: `both`",
            "cron or every_secs",
        ),
        (
            "time_zone = 'Berlin'",
            "schedule[0].time_zone: `Berlin`",
            "IANA",
        ),
        ("note = ''", "schedule[0].note", "1 to 500"),
        ("client = '7'", "schedule[0].client: `7`", "no client"),
        ("pause = true", "pause", "`paused`"),
        ("paused = 'no'", "schedule[0].paused", "true or false"),
        (
            "[schedule.input]\ntrough = 'x'",
            "schedule[0].input",
            "`through`",
        ),
        (
            "[schedule.input]\nclient = '7'",
            "schedule[0].input.client: `\"7\"`",
            "is added",
        ),
    ] {
        // What is wrong replaces what was good.
        let key = toml.split(' ').next().unwrap();
        let good = GOOD.lines().filter(|line| !line.starts_with(key));
        let text = good.chain([toml]).collect::<Vec<_>>().join("\n");
        let problems = entries(&text).unwrap_err().join("\n");
        assert!(
            problems.contains(field) && problems.contains(allowed),
            "{toml}: {problems}"
        );
    }
    let problems = of_kind("patch-campaign", "").unwrap_err().join("\n");
    assert!(
        problems.contains("schedule[0].client: `nothing`"),
        "{problems}"
    );
    let problems = of_kind("intel-sync", "client = 'x y'\n").unwrap_err();
    assert_eq!(problems.len(), 2, "{problems:?}");
    let huge = format!("[schedule.input]\nx = '{}'\n", "y".repeat(70_000));
    let problems = of_kind("intel-sync", &huge).unwrap_err().join("\n");
    assert!(problems.contains("65536 bytes"), "{problems}");
}

#[test]
fn all_findings_of_a_file_come_at_once_and_a_name_is_used_once() {
    let file = format!("{GOOD}{GOOD}[[schedule]]\nname = 'B'\nkind = 'x'\n");
    let problems = entries(&file).unwrap_err().join("\n");
    for field in [
        "schedule[1].name",
        "schedule[2].name",
        "schedule[2].kind",
        "schedule[2].cron",
    ] {
        assert!(problems.contains(field), "{field}: {problems}");
    }
    let problems = entries("").unwrap_err().join("\n");
    assert!(problems.contains("at least one [[schedule]]"), "{problems}");
    assert!(entries("[[schedules]]\n").is_err());
}

#[test]
fn a_zone_is_called_what_the_server_looks_for() {
    let entry = one("time_zone = 'europe/berlin'\n").unwrap();
    assert_eq!(entry.time_zone, "Europe/Berlin");
}

/// A file and a store beside it, which the configuration names.
async fn setup(name: &str, toml: &str, zone: Option<&str>) -> (tempfile::TempDir, Setup, PathBuf) {
    let folder = tempfile::Builder::new().prefix(name).tempdir().unwrap();
    let (config, file, path) = (
        folder.path().join("config.toml"),
        folder.path().join("schedules.toml"),
        folder.path().join("store.db"),
    );
    let record = ClientRecord {
        id: "7".parse().unwrap(),
        name: "Contoso".to_owned(),
        time_zone: zone.map(str::to_owned),
        sites: std::collections::BTreeMap::new(),
        synced_at: None,
    };
    let store = Store::embedded(&path).unwrap();
    store.inventory.put_client(record).await.unwrap();
    std::fs::write(&config, format!("[store]\npath = '{}'\n", path.display())).unwrap();
    std::fs::write(&file, toml).unwrap();
    let setup = Setup::new(Format::Json, Some(config));
    (folder, setup, file)
}

#[tokio::test]
async fn the_zone_of_the_client_is_taken_and_utc_where_there_is_no_client() {
    let campaign =
        "[[schedule]]\nname = 'a'\nkind = 'patch-campaign'\nclient = '7'\ncron = '0 4 * * *'\n";
    let file = format!("{GOOD}{campaign}");
    let (_folder, setup, path) = setup("zones", &file, Some("America/New_York")).await;
    let all = entries::read(&setup, &path).await.unwrap();
    assert_eq!(all[0].time_zone, "UTC");
    assert_eq!(all[1].time_zone, "America/New_York");
}

#[tokio::test]
async fn a_client_whose_zone_nobody_knows_needs_one_in_the_file() {
    let campaign = |client| {
        format!(
            "[[schedule]]\nname = 'a'\nkind = 'patch-campaign'\nclient = '{client}'\ncron = '0 4 * * *'\n"
        )
    };
    for client in ["7", "8"] {
        let (_folder, setup, path) = setup("no-zone", &campaign(client), None).await;
        let wrong = entries::read(&setup, &path).await.unwrap_err();
        let text = format!("{wrong:#}");
        assert!(
            text.contains("schedule[0].time_zone") && text.contains("is not known"),
            "{text}"
        );
    }
}

/// What the server says of an entry that was applied.
fn applied(entry: &Entry) -> Standing {
    Standing {
        entry: Some(entry.clone()),
        ..Standing::example()
    }
}

#[test]
fn an_equal_entry_has_no_difference_and_each_changed_field_is_one() {
    let old = one("").unwrap();
    assert_eq!(differences(&applied(&old), &old), Vec::<String>::new());
    for (more, difference) in [
        (
            "time_zone = 'Europe/Berlin'\n",
            "time_zone:  -> Europe/Berlin",
        ),
        ("note = 'x'\n", "note: none -> x"),
        ("paused = true\n", "paused: false -> true"),
        ("[schedule.input]\ntry_secs = 60\n", "input"),
    ] {
        let new = one(more).unwrap();
        assert_eq!(differences(&applied(&old), &new), [difference]);
    }
    let new = entries(&GOOD.replace("15 0", "30 1")).unwrap().remove(0);
    assert_eq!(
        differences(&applied(&old), &new),
        ["when: 15 0 * * * -> 30 1 * * *"]
    );
}

#[test]
fn what_was_broken_off_or_changed_by_hand_is_found() {
    let entry = one("").unwrap();
    let broken = Standing {
        half_made: true,
        ..applied(&entry)
    };
    assert!(differences(&broken, &entry)[0].contains("broken off"));
    let by_hand = Standing {
        as_applied: false,
        ..applied(&entry)
    };
    assert!(differences(&by_hand, &entry)[0].contains("somebody else"));
    let foreign = Standing {
        entry: None,
        ..applied(&entry)
    };
    assert!(differences(&foreign, &entry)[0].contains("cannot be read"));
    // A person has paused it: that stays.
    let paused = Standing {
        paused: true,
        ..applied(&entry)
    };
    assert_eq!(differences(&paused, &entry), Vec::<String>::new());
}

#[test]
fn what_is_kept_on_the_server_reads_back() {
    let entry = one("note = 'x'\n[schedule.input]\ntry_secs = 60\n").unwrap();
    let kept = serde_json::to_value(&entry).unwrap();
    let expected = json!({
        "name": "nightly", "kind": "daily-seal", "client": null, "cron": "15 0 * * *",
        "time_zone": "", "note": "x", "paused": false,
    });
    assert_eq!(kept, expected);
    let mut back: Entry = serde_json::from_value(kept).unwrap();
    back.input.clone_from(&entry.input);
    assert_eq!(back, entry);
}

#[derive(Debug, Parser)]
struct Flags {
    #[command(subcommand)]
    command: SchedulesCommand,
}

#[test]
fn names_and_reasons_are_checked_on_the_command_line() {
    let parse = |args: &[&str]| Flags::try_parse_from([&["x"], args].concat());
    assert!(parse(&["show", "nightly-seal"]).is_ok());
    let wrong = parse(&["show", "Nightly Seal"]).unwrap_err().to_string();
    assert!(
        wrong.contains("Nightly Seal") && wrong.contains("allowed"),
        "{wrong}"
    );
    assert!(parse(&["pause", "nightly"]).is_err(), "nobody says who");
    assert!(parse(&["pause", "nightly", "--by", "tim", "--reason", " "]).is_err());
    let asked = parse(&["pause", "nightly", "--by", "tim", "--reason", "moving"]).unwrap();
    let SchedulesCommand::Pause(ask) = asked.command else {
        panic!("{asked:?}")
    };
    assert_eq!(ask.note("paused"), "paused by tim: moving");
}

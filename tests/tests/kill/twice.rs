//! Every activity does its work twice with the same input, on the whole system, because its first
//! answer is lost. What is left behind is what a run leaves in which each answer was heard.

use std::time::Duration;

use autoops_tests::{
    chain::whole_chain,
    deployment::ended,
    ground::{Ground, Memory, Scene, WORKER_TWICE},
    report, wire,
};
use clients::{seal::check, store::LetterFilter};
use contracts::{
    activities,
    campaign::{CampaignCarry, CampaignCounts, CampaignStep, PatchCampaignResult},
    ids,
    intel::{IntelSyncResult, SourceEnd, SourceReading},
    seal::DailySealResult,
};
use domain::dead_letter::LetterKind;
use futures::future::join_all;
use jiff::{Timestamp, tz::TimeZone};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use temporalio_client::{UntypedSignal, UntypedWorkflow, WorkflowSignalOptions};

use crate::{
    effort::Machine,
    fleet::{Job, KB, SPEED, fleet},
    kept,
    lies::{approved_to_its_end, waits_for_people},
    rollout::Rollout,
    watched,
};

/// What keeps a repeat from being a second effect. In the order of `contracts::activities::all`.
const WRITES: [(&str, &str, &str); 40] = [
    (
        "inventory.sync_client",
        "row of the client",
        "the row is written whole",
    ),
    (
        "inventory.sync_sites_page",
        "row of the client",
        "sites are set by their id",
    ),
    (
        "inventory.sync_devices_page",
        "rows of devices, claim of the walk",
        "rows are written whole; a second try belongs to the claim of the first",
    ),
    (
        "inventory.acquire_lease",
        "lease of the device",
        "who holds it gets it again",
    ),
    (
        "inventory.release_lease",
        "lease of the device",
        "only its holder gives it back; one that is free stays free",
    ),
    (
        "ledger.count",
        "counters of the update, its flag, an audit entry, signals to deployments",
        "the same plan, device and update: counted already; the flag is set; the server knows the signal",
    ),
    (
        "notify.send",
        "a line of the log",
        "the same key: a reader knows the repeat",
    ),
    (
        "plans.seal",
        "plan and its pages",
        "the same revision with the same hash is there already",
    ),
    (
        "plans.give_up_stragglers",
        "rows of devices",
        "rows given up before are counted, not written",
    ),
    (
        "plans.check_children",
        "rows of devices that ended without a word, dead letters",
        "the row of the attempt is there already",
    ),
    (
        "store.append_audit",
        "entry of the audit chain",
        "the same key of the record: the entry is there already",
    ),
    (
        "store.save_status",
        "row of the deployment",
        "older than the one that is there: left alone",
    ),
    (
        "store.save_device",
        "row of the device, dead letter",
        "the row of the attempt is there already, and so is the letter of this id",
    ),
    (
        "store.save_letter",
        "dead letter",
        "the letter of this id is there already",
    ),
    (
        "superops.run_script",
        "script run on the device",
        "the same job: the device reports again and does nothing",
    ),
    (
        "alerts.expect",
        "what a device is expected to show",
        "the same attempt: the row is there already",
    ),
    (
        "audit.seal",
        "copies of audit entries, a seal, in write-once storage",
        "the same object is there already: it is read and taken as it is",
    ),
    (
        "intel.read_kev",
        "facts of vulnerabilities, what its reader remembers",
        "it was read a short while ago: nobody is asked",
    ),
    (
        "intel.list_releases",
        "what its reader remembers",
        "the documents that are still to be read are the same",
    ),
    (
        "intel.read_release",
        "facts of vulnerabilities and updates, what its reader remembers",
        "facts are merged: the same words change nothing",
    ),
    (
        "intel.read_nvd_page",
        "facts of vulnerabilities, place of the next page",
        "the next page is read, or nothing when that was the last",
    ),
    (
        "intel.read_record",
        "facts of a vulnerability",
        "facts are merged: the same words change nothing",
    ),
    (
        "intel.read_predictions",
        "facts of vulnerabilities",
        "facts are merged: the same words change nothing",
    ),
    (
        "inventory.read_patch_list",
        "patch list of a device",
        "a page is written whole",
    ),
    (
        "inventory.read_software_list",
        "software list of a device",
        "a page is written whole; a program that is there already counts once",
    ),
    (
        "campaign.draft",
        "campaign, requests of its plans",
        "the campaign of this name is there already",
    ),
    (
        "campaign.prioritise",
        "advice on a campaign, an audit entry",
        "what was written first is read, and nobody is asked; the entry is there already",
    ),
    ("campaign.note_plan", "campaign", "what is started stays so"),
    (
        "campaign.report",
        "three objects of a report",
        "the same objects are there already; if more has happened meanwhile, three others, and only these are named",
    ),
    (
        "superops.read_alerts",
        "alerts, news for triage",
        "what is known is no news",
    ),
    (
        "alerts.miss",
        "alerts that a walk has not found, news for triage",
        "a walk counts once for an alert; one that is over stays over",
    ),
    (
        "alerts.end_poll",
        "how far alerts were read",
        "the mark never moves back",
    ),
    (
        "alerts.end_unheard",
        "alerts that were not heard of, news for triage",
        "what is over stays over; what was heard of meanwhile goes on",
    ),
    (
        "alerts.triage",
        "placements of alerts, incidents, the state of a client, an audit entry for each order",
        "news that were taken in are gone; a try that lost its turn writes nothing; the entry is there already",
    ),
    (
        "incidents.deliver",
        "a signal to the workflow of an incident, the version it knows",
        "the version is known already",
    ),
    (
        "incidents.close",
        "incident",
        "what is closed stays closed; a newer version is not closed",
    ),
    (
        "incidents.explain",
        "cause of an incident, an audit entry",
        "the report of this version is there already, and so is the entry",
    ),
    (
        "incidents.narrate",
        "cause of an incident, an audit entry",
        "the report of this version is there already, and so is the entry",
    ),
    (
        "incidents.advise",
        "advice on an incident, an audit entry",
        "the advice on this set of candidates is there already, and so is the entry",
    ),
    (
        "incidents.remember",
        "past incident in the memory",
        "it is written whole; an embedding model is asked again",
    ),
];

/// Activities that only read: a repeat costs a request.
const READS: [&str; 26] = [
    "alerts.begin_poll",
    "alerts.busy_clients",
    "incidents.load",
    "incidents.read_metrics",
    "superops.read_figures",
    "superops.read_script_runs",
    "approvals.authorize",
    "inventory.get_device",
    "plans.check",
    "plans.resolve",
    "plans.load_page",
    "plans.next_stragglers",
    "plans.list_installed",
    "plans.difference",
    "policy.evaluate",
    "risk.assess",
    "bedrock.refine_risk",
    "superops.list_patches",
    "superops.find_run",
    "superops.critical_alerts",
    "nvd.lookup_cve",
    "windows.next_opening",
    "intel.next_due",
    "campaign.next_lists",
    "campaign.next_plan",
    "campaign.find_newest",
];

/// Each repeat waits a while.
const LONGEST: Duration = Duration::from_secs(300);

/// Effects on a device, by the simulator's own log.
const EFFECTS: [&str; 4] = ["run_started", "installed", "rebooting", "uninstalled"];

/// Deployments that need every activity between them.
fn jobs() -> [Job; 4] {
    let plain = |plan: &mut Value| plan["waits"]["script_timeout_secs"] = json!(600);
    [
        Job::lied_to("plain", 1, 1, plain),
        Job::lied_to("breaks_every_third", 2, 3, |plan| {
            plan["health"]["services"] = json!(["Spooler"]);
            plan["rollback"] = json!({ "scope": "all_devices" });
        }),
        Job::lied_to("silent_scripts", 3, 1, |plan| {
            plan["waits"]["script_timeout_secs"] = json!(20);
            plan["waits"]["verify_secs"] = json!(20);
        }),
        Job::lied_to("away", 4, 4, |plan| {
            plan["waits"]["script_timeout_secs"] = json!(30);
            plan["waits"]["max_wait_secs"] = json!(3);
        }),
    ]
}

/// All that deployments have left behind, without times and hashes.
async fn left_behind(scene: Scene) -> (Vec<String>, Vec<String>) {
    let twice = scene.program == WORKER_TWICE;
    let ground = Ground::set(scene).await;
    // Before anything is done to devices: the alerts of all clients are read.
    watched::raised(&ground).await;
    let jobs = jobs();
    let [plain, breaks, silent, away] = &jobs;
    // Known to be away before anybody plans.
    let first = json!({ "devices": [away.devices[0]] });
    ground.play("away", &first).await;
    let rollouts = jobs
        .iter()
        .map(|job| waits_for_people(&ground, job.clone(), LONGEST));
    let rollouts = join_all(rollouts).await;
    mean_another_plan(&ground, plain).await;
    for (scenario, job) in [("breaks_every_third", breaks), ("silent_scripts", silent)] {
        let whom = json!({ "devices": job.devices, "kb": KB });
        ground.play(scenario, &whom).await;
    }
    let ends = rollouts
        .into_iter()
        .map(|rollout| approved_to_its_end(&ground, rollout, LONGEST));
    let mut all = Vec::new();
    for rollout in join_all(ends).await {
        all.extend(of_deployment(&ground, &rollout).await);
    }
    all.extend(watched::left(&ground, LONGEST).await);
    all.push(sealed(&ground).await);
    let executions = &ground.store.executions;
    let every = LetterFilter::default();
    let letters = executions.list_dead_letters(&every, None, 500).await;
    all.extend(letters.unwrap().items.iter().map(|letter| {
        format!(
            "letter {} {:?} {}",
            letter.id, letter.kind, letter.workflow_id
        )
    }));
    for action in EFFECTS {
        let rows = ground.simulator_log(action).await;
        all.extend(
            rows.iter()
                .map(|row| format!("{action} {} {}", row["device"], row["kb"])),
        );
    }
    all.push(gave_up(&ground, away).await);
    all.extend(read_facts(&ground).await);
    for job in &jobs {
        all.extend(kept::of_devices(&ground, job).await);
    }
    all.extend(kept::in_the_ledger(&ground).await);
    all.push(campaigned(&ground, away).await);
    all.push(reported(&ground, away).await);
    all.sort_unstable();
    let repeated = if twice { ground.done_twice() } else { vec![] };
    ground.stop().await;
    (all, repeated)
}

/// Seals everything that was written down, and says how many entries agree with it.
async fn sealed(ground: &Ground) -> String {
    let through = TimeZone::UTC.to_datetime(Timestamp::now()).date();
    let id = ids::daily_seal(through);
    let seal: DailySealResult =
        ends(ground, "DailySeal", &id, &json!({ "through": through })).await;
    let found = check(ground.store.actions.as_ref(), &ground.objects).await;
    let found = found.unwrap();
    assert_eq!(found.broken, []);
    assert_eq!(found.entries, seal.entries);
    format!("{} seals, {} entries", found.seals, found.entries)
}

/// Reads a little of each source, and says what is known then.
async fn read_facts(ground: &Ground) -> Vec<String> {
    let input = json!({ "months": 2, "most_records": 3, "nvd_since": "2024-01-01T00:00:00Z" });
    let read: IntelSyncResult = ends(ground, "IntelSync", "intel-sync/twice", &input).await;
    let failed = |reading: &&SourceReading| matches!(reading.end, SourceEnd::Failed { .. });
    let failed: Vec<_> = read.sources.iter().filter(failed).collect();
    assert!(failed.is_empty(), "{failed:?}");
    let facts = &ground.store.vulnerabilities;
    let followed = facts.list_followed(None, 1000).await.unwrap().items;
    assert!(followed.len() > 20, "{}", followed.len());
    let facts = followed.iter().map(|record| {
        let sources: Vec<_> = record.read_at.keys().collect();
        let vector = record.vector.holds().map(|said| (&said.value, said.source));
        format!("{} read at {sources:?}: {vector:?}", record.id)
    });
    facts.collect()
}

/// Lets a campaign go on that nobody has drafted: it gives up, and leaves a letter.
async fn gave_up(ground: &Ground, job: &Job) -> String {
    let id = format!("patch-campaign/{}/given-up", job.client);
    let carry = CampaignCarry {
        id: "c-given-up".parse().unwrap(),
        step: CampaignStep::Start { next: 0 },
        done: CampaignCounts {
            plans: 1,
            ..CampaignCounts::default()
        },
    };
    let input = wire::json(&json!({ "client": job.client, "carry": carry }));
    let given_up = ended::<PatchCampaignResult>(&ground.client, "PatchCampaign", &id, input).await;
    let (why, _) = given_up.unwrap_err();
    let filter = LetterFilter {
        kind: Some(LetterKind::WorkflowFailed),
        ..LetterFilter::default()
    };
    let executions = &ground.store.executions;
    let letters = executions.list_dead_letters(&filter, None, 10).await;
    let letters = letters.unwrap().items;
    let of: Vec<_> = letters.iter().map(|letter| &letter.workflow_id).collect();
    format!("{why}: letters of {of:?}")
}

/// Starts a campaign for whom nothing could be done.
async fn campaigned(ground: &Ground, job: &Job) -> String {
    let id = format!("patch-campaign/{}/twice", job.client);
    let input = json!({ "client": job.client });
    let campaign: PatchCampaignResult = ends(ground, "PatchCampaign", &id, &input).await;
    let kept = ground
        .store
        .campaigns
        .get_campaign(&campaign.campaign)
        .await;
    let kept = kept.unwrap().unwrap();
    assert!(campaign.counts.started > 0, "{campaign:?}");
    let plans = kept.plans.iter().map(|plan| {
        let kbs: Vec<_> = plan
            .ranked
            .patches
            .iter()
            .map(|p| (&p.kb, &p.cves))
            .collect();
        format!("{} devices, {kbs:?}", plan.devices)
    });
    let plans: Vec<String> = plans.collect();
    format!("campaign: {:?}: {}", campaign.counts, plans.join("; "))
}

/// Reports on that campaign.
async fn reported(ground: &Ground, job: &Job) -> String {
    let id = format!("campaign-report/{}/twice", job.client);
    let input = json!({ "client": job.client });
    let report: Value = ends(ground, "CampaignReport", &id, &input).await;
    let written = &report["written"];
    let keys = written["keys"].as_object().map_or(0, serde_json::Map::len);
    format!("report: {} plans in {keys} objects", written["plans"])
}

async fn ends<T: DeserializeOwned>(ground: &Ground, workflow: &str, id: &str, input: &Value) -> T {
    let ended = ended(&ground.client, workflow, id, wire::json(input)).await;
    ended.unwrap()
}

async fn mean_another_plan(ground: &Ground, job: &Job) {
    let id = ids::patch_deployment(&job.plan.parse().unwrap());
    let handle = ground.client.get_workflow_handle::<UntypedWorkflow>(id);
    let meant = wire::json(&json!({ "by": "dana", "plan_hash": "f".repeat(64) }));
    let sent = handle.signal(
        UntypedSignal::new("approve"),
        meant,
        WorkflowSignalOptions::default(),
    );
    sent.await.unwrap();
}

async fn of_deployment(ground: &Ground, rollout: &Rollout) -> Vec<String> {
    let job = &rollout.job;
    let plan = job.plan.parse().unwrap();
    let result = rollout.result(ground).await;
    let mut left = vec![format!(
        "{plan} ended {:?}: {}",
        result.outcome, result.detail
    )];
    let executions = &ground.store.executions;
    for revision in 1..=2 {
        let sealed = executions.get_plan(&plan, revision).await.unwrap();
        let devices = sealed.map(|sealed| sealed.document.devices.len());
        left.push(format!("{plan} revision {revision}: devices {devices:?}"));
    }
    let rows = executions
        .list_device_rows(&plan, None, None, 500)
        .await
        .unwrap();
    left.extend(rows.items.iter().map(|row| {
        let (attempt, result) = (row.attempt, &row.result);
        format!(
            "{plan} {} attempt {attempt}: {:?} {:?} {}",
            result.device, result.outcome, result.patches, result.detail
        )
    }));
    let of_devices = job
        .devices
        .iter()
        .map(|id| format!("device-patch/{plan}/{id}"));
    for chain in [ids::patch_deployment(&plan)].into_iter().chain(of_devices) {
        let entries = whole_chain(&ground.store, &chain).await;
        left.extend(
            entries
                .iter()
                .map(|entry| format!("{chain} {} {:?}", entry.record.what, entry.record.actor)),
        );
    }
    let client = job.client.parse().unwrap();
    let devices = ground
        .store
        .inventory
        .list_devices(&client, None, 500)
        .await;
    left.push(format!(
        "{plan} inventory: {}",
        devices.unwrap().items.len()
    ));
    left
}

#[test]
fn what_is_done_twice_leaves_what_is_done_once() {
    let _shared = Machine::shared(2);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let clients = jobs().into_iter().chain([watched::job()]);
    let clients: Vec<Job> = clients.collect();
    let scene = || Scene::new(fleet(&clients), SPEED, Memory::None);
    let twice = Scene {
        program: WORKER_TWICE,
        ..scene()
    };
    let both = futures::future::join(left_behind(scene()), left_behind(twice));
    let ((once, _), (again, repeated)) = runtime.block_on(both);
    assert!(once.len() > 60, "{once:#?}");
    assert_eq!(only_in(&once, &again), only_in(&again, &once));
    assert_eq!(once, again);
    let mut all: Vec<_> = activities::all().collect();
    all.sort_unstable();
    assert_eq!(repeated, all, "not every activity was called and repeated");
}

fn only_in<'a>(these: &'a [String], those: &[String]) -> Vec<&'a String> {
    these.iter().filter(|line| !those.contains(line)).collect()
}

#[test]
fn every_activity_reads_or_says_why_a_repeat_is_no_second_effect() {
    let writes = WRITES.iter().map(|(name, ..)| *name);
    let mut named: Vec<_> = writes.chain(READS).collect();
    let mut all = activities::all().collect::<Vec<_>>();
    named.sort_unstable();
    all.sort_unstable();
    assert_eq!(named, all);
    let mut table = String::from("| Activity | Writes | Done again |\n| --- | --- | --- |\n");
    for (name, what, why) in WRITES {
        table += &format!("| `{name}` | {what} | {why} |\n");
    }
    let reads = READS.map(|name| format!("`{name}`")).join(", ");
    report::holds("writes", &format!("{table}\nOnly read: {reads}.\n"));
}

use std::collections::BTreeSet;

use jiff::civil::date;
use proptest::prelude::*;

use super::*;
use crate::{
    device::Platform,
    patch::Severity,
    vulnerability::{
        cve_json::say,
        deadline::Automatable,
        record::{Exploited, Source},
    },
};

fn now() -> Timestamp {
    "2026-11-28T10:00:00Z".parse().unwrap()
}

fn kb(number: u32) -> KbId {
    (5_000_000 + number).to_string().parse().unwrap()
}

fn cve(number: u32) -> CveId {
    format!("CVE-2026-{number:04}").parse().unwrap()
}

fn device(number: u32, tags: &[&str]) -> Device {
    let tags: BTreeSet<String> = tags.iter().map(|tag| (*tag).to_owned()).collect();
    let id = format!("{number:04}").parse().unwrap();
    let client = "7".parse().unwrap();
    Device::new(id, client, Platform::WindowsWorkstation, tags, now())
}

fn patch(number: u32) -> PatchFacts {
    PatchFacts {
        kb: kb(number),
        title: format!("update {number}"),
        severity: Severity::Important,
        category: "Security Updates".into(),
        published: Some(date(2026, 11, 10)),
        restart_required: Some(true),
        cves: vec![],
    }
}

/// Update `n` closes vulnerability `n` and replaces update `n - 1`.
fn update(number: u32) -> Update {
    Update {
        kb: kb(number),
        cves: BTreeSet::from([cve(number)]),
        supersedes: (number > 1).then(|| kb(number - 1)).into_iter().collect(),
        restart: Some(true),
        published: Some(date(2026, 11, 10)),
    }
}

/// Exploited ones can be automated and give full control.
fn vulnerability(number: u32, exploited: bool) -> VulnerabilityRecord {
    let mut record = VulnerabilityRecord::new(cve(number));
    let vector = if exploited {
        "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"
    } else {
        "CVSS:3.1/AV:L/AC:H/PR:H/UI:R/S:U/C:L/I:N/A:N"
    };
    say(&mut record.vector, vector.to_owned(), Source::Cna, now());
    let published = date(2026, 11, 10);
    say(&mut record.published, published, Source::Cna, now());
    if exploited {
        let exploited = Exploited {
            listed: true,
            since: Some(date(2026, 11, 27)),
            due: None,
            ransomware: true,
        };
        say(&mut record.exploited, exploited, Source::Kev, now());
    }
    record
}

struct World(Facts);

impl World {
    fn new(updates: u32, exploited: &[u32]) -> Self {
        let all = 1..=updates;
        Self(Facts {
            updates: all.clone().map(|n| (kb(n), update(n))).collect(),
            vulnerabilities: all
                .map(|n| (cve(n), vulnerability(n, exploited.contains(&n))))
                .collect(),
            ..Facts::default()
        })
    }

    fn device(mut self, number: u32, tags: &[&str], missing: &[u32], installed: &[u32]) -> Self {
        let device = device(number, tags);
        let list = PatchList {
            device: device.id.clone(),
            client: device.client.clone(),
            read_at: now(),
            missing: missing.iter().map(|n| patch(*n)).collect(),
            installed: installed.iter().map(|n| kb(*n)).collect(),
        };
        self.0.lists.insert(device.id.clone(), list);
        self.0.devices.push(device);
        self
    }

    fn draft(&self, rules: &CampaignRules) -> Draft {
        draft(&self.0, rules, now())
    }
}

#[test]
fn what_is_exploited_on_an_exposed_device_comes_first_with_its_day() {
    let world =
        World::new(9, &[3])
            .device(1, &[], &[9], &[8])
            .device(2, &["exposure:exposed"], &[3], &[2]);
    let draft = world.draft(&CampaignRules::default());
    assert_eq!((draft.plans.len(), draft.pairs), (2, 2));
    let first = &draft.plans[0];
    assert_eq!(first.devices, [device(2, &[]).id]);
    assert_eq!(first.ranked.band, Deadline::Days3Forensic);
    assert_eq!(first.ranked.due, Some(date(2026, 11, 30)));
    assert!(!first.ranked.overdue && first.ranked.restart && first.ranked.needs_approval);
    let why = first.ranked.reasons.join("; ");
    assert!(why.contains("CVE-2026-0003"), "{why}");
    assert!(why.contains("known to be exploited"), "{why}");
    assert_eq!(draft.plans[1].devices, [device(1, &[]).id]);
}

#[test]
fn a_cumulative_update_counts_for_what_it_brings_with_it() {
    let exposed = ["exposure:exposed"];
    let found = |missing: &[u32], installed: &[u32]| {
        let world = World::new(5, &[3]).device(1, &exposed, missing, installed);
        world.draft(&CampaignRules::default())
    };
    // The list names the newest one only; the device stopped at update 1.
    let behind = found(&[5], &[1]);
    assert_eq!(behind.plans[0].ranked.band, Deadline::Days3Forensic);
    assert_eq!(behind.plans[0].ranked.patches[0].closes, 4);
    // One that has update 4 is not threatened by what update 3 closed.
    let fresh = found(&[5], &[4]);
    assert_eq!(fresh.plans[0].ranked.patches[0].closes, 1);
    assert!(fresh.plans[0].ranked.band < Deadline::Days3);
    // Missing ones of one chain become one.
    let all = found(&[3, 4, 5], &[]);
    let [patch] = &all.plans[0].ranked.patches[..] else {
        panic!("{all:?}")
    };
    assert_eq!((&patch.kb, patch.closes), (&kb(5), 3));
    assert_eq!(patch.supersedes, BTreeSet::from([kb(3), kb(4)]));
    assert_eq!(all.left_out[0].pairs, 2);
    assert_eq!(all.left_out[0].reason, "comes with a newer update");
}

#[test]
fn denied_beats_all_and_an_exception_wakes_up_when_it_is_over() {
    let world = World::new(4, &[3]).device(1, &["till"], &[3], &[2]);
    let exception = |expires| Exception {
        kb: kb(3),
        devices: BTreeSet::new(),
        tags: BTreeSet::from(["till".to_owned()]),
        owner: "dana".parse().unwrap(),
        reason: "season".into(),
        expires,
    };
    let mut rules = CampaignRules {
        exceptions: vec![exception(date(2026, 11, 28))],
        ..CampaignRules::default()
    };
    let draft = world.draft(&rules);
    assert!(draft.plans.is_empty());
    let until = "exception of dana until 2026-11-28";
    assert_eq!(draft.left_out[0].reason, until);
    rules.exceptions = vec![exception(date(2026, 11, 27))];
    let draft = world.draft(&rules);
    let woken = "the exception of dana ended on 2026-11-27".to_owned();
    assert!(draft.plans[0].ranked.reasons.contains(&woken));
    rules.deny = vec![Denied {
        kb: kb(3),
        reason: "breaks the tills".into(),
    }];
    let draft = world.draft(&rules);
    assert_eq!(draft.left_out[0].reason, "denied: breaks the tills");
}

#[test]
fn a_baseline_chooses_by_class_and_age_and_a_deadline_beats_both() {
    let world = World::new(9, &[3])
        .device(1, &["exposure:exposed"], &[3], &[2])
        .device(2, &[], &[9], &[8]);
    let baseline = |days| CampaignRules {
        baselines: vec![Baseline {
            severities: BTreeSet::from([Severity::Important]),
            min_age_days: days,
            approve: true,
            ..Baseline::default()
        }],
        ..CampaignRules::default()
    };
    let old = world.draft(&baseline(18));
    assert!(old.plans.iter().all(|plan| !plan.ranked.needs_approval));
    assert_eq!(old.plans.len(), 2);
    let young = world.draft(&baseline(19));
    let [plan] = &young.plans[..] else {
        panic!("{young:?}")
    };
    assert!(
        plan.ranked.needs_approval,
        "it is not old enough to go by itself"
    );
    let reason = "younger than its baseline asks for";
    assert_eq!(young.left_out[0].reason, reason);
}

#[test]
fn devices_that_need_the_same_go_together_and_open_pairs_stay_out() {
    let mut world = World::new(9, &[]);
    for number in 1..=5 {
        world = world.device(number, &[], &[9], &[8]);
    }
    world.0.open.insert((device(5, &[]).id, kb(9)));
    world.0.devices.push(device(6, &[]));
    let rules = CampaignRules {
        devices_per_plan: 3,
        ..CampaignRules::default()
    };
    let draft = world.draft(&rules);
    let sizes: Vec<usize> = draft.plans.iter().map(|plan| plan.devices.len()).collect();
    assert_eq!(sizes, [3, 1]);
    assert_eq!(draft.left_out[0].reason, "in an open deployment");
    assert_eq!(draft.unread, 1);
    let few = CampaignRules {
        most_plans: 1,
        ..rules
    };
    let draft = world.draft(&few);
    assert_eq!((draft.plans.len(), draft.pairs), (1, 3));
}

#[test]
fn an_update_without_facts_is_ranked_by_its_vendor_and_told_so() {
    let world = World::new(0, &[]).device(1, &[], &[1], &[]);
    let draft = world.draft(&CampaignRules::default());
    assert_eq!(draft.without_facts, BTreeSet::from([kb(1)]));
    let why = &draft.plans[0].ranked.reasons[0];
    assert!(why.contains("does not mean that it closes none"), "{why}");
    assert_eq!(draft.plans[0].ranked.band, Deadline::OnUpgrade);
}

#[test]
fn a_plan_of_a_campaign_passes_the_checks_of_plans() {
    let world = World::new(9, &[3]).device(1, &["exposure:exposed"], &[3], &[2]);
    let draft = world.draft(&CampaignRules::default());
    let template = PlanTemplate::default();
    let client: ClientId = "7".parse().unwrap();
    let id = "c-1".parse().unwrap();
    let request = template.request(id, &client, None, &draft.plans[0], now());
    assert_eq!(crate::plan_check::check(&request, now()), Ok(()));
    assert!(request.approval.required);
    assert_eq!(
        request.deadline, None,
        "two days are less than a window is away"
    );
    assert_eq!(template.check(&client, now()), Ok(()));
    let mut odd = template;
    odd.time_zone = Some("Mars/Base".into());
    odd.rings = vec![crate::plan::RingSpec {
        name: "first".into(),
        devices: vec![device(1, &[]).id],
        ..crate::plan::RingSpec::default()
    }];
    let found = odd.check(&client, now()).unwrap_err().to_string();
    assert!(found.contains("plan.rings[0].devices"), "{found}");
    assert!(found.contains("plan."), "{found}");
}

#[test]
fn a_circle_of_updates_ends() {
    let mut world = World::new(3, &[]).device(1, &[], &[1, 2, 3], &[]);
    let first = world.0.updates.get_mut(&kb(1)).unwrap();
    first.supersedes.insert(kb(3));
    let draft = world.draft(&CampaignRules::default());
    assert_eq!(draft.plans[0].ranked.patches.len(), 1);
}

proptest! {
    #[test]
    fn each_pair_is_in_one_plan_or_left_out_and_plans_are_in_order(
        lists in proptest::collection::vec(
            (
                proptest::collection::btree_set(1_u32..8, 0..5),
                proptest::collection::btree_set(1_u32..8, 0..3),
                any::<bool>(),
            ),
            1..20,
        ),
        per_plan in 1_u32..6,
    ) {
        let mut world = World::new(7, &[2, 5]);
        let mut pairs = 0;
        for ((missing, installed, exposed), number) in lists.iter().zip(1..) {
            let tags: &[&str] = if *exposed { &["exposure:exposed"] } else { &[] };
            let missing: Vec<u32> = missing.iter().copied().collect();
            let installed: Vec<u32> = installed.iter().copied().collect();
            pairs += missing.len() as u64;
            world = world.device(number, tags, &missing, &installed);
        }
        let rules = CampaignRules { devices_per_plan: per_plan, ..CampaignRules::default() };
        let draft = world.draft(&rules);
        let left: u64 = draft.left_out.iter().map(|left| left.pairs).sum();
        prop_assert_eq!(draft.pairs + left, pairs);
        let pairs_of = |plan: &DraftPlan| {
            let devices = plan.devices.clone().into_iter();
            let kbs: Vec<KbId> = plan.ranked.patches.iter().map(|patch| patch.kb.clone()).collect();
            let pairs = devices.flat_map(move |d| kbs.clone().into_iter().map(move |kb| (d.clone(), kb)));
            pairs.collect::<Vec<_>>()
        };
        let planned: Vec<_> = draft.plans.iter().flat_map(pairs_of).collect();
        let once: BTreeSet<_> = planned.iter().collect();
        prop_assert_eq!(once.len(), planned.len());
        prop_assert_eq!(planned.len() as u64, draft.pairs);
        prop_assert!(draft.plans.iter().all(|plan| plan.devices.len() <= per_plan as usize));
        let ranks = draft.plans.iter().map(|plan| (plan.ranked.band, plan.ranked.urgency_permille));
        let ranks: Vec<_> = ranks.collect();
        prop_assert!(ranks.is_sorted_by(|a, b| a >= b));
    }
}

/// A plan of these updates, which names no vulnerabilities.
fn selected(numbers: &[u32]) -> Vec<crate::plan::PatchSelector> {
    let patch = |n: &u32| crate::plan::PatchSelector {
        kb: kb(*n),
        cves: Vec::new(),
    };
    numbers.iter().map(patch).collect()
}

#[test]
fn evidence_is_taken_where_a_patch_closes_what_asks_for_it_and_nowhere_else() {
    let exposed = ["exposure:exposed"];
    let mut world = World::new(5, &[3])
        .device(1, &exposed, &[5], &[1])
        .device(2, &[], &[5], &[1])
        .device(3, &exposed, &[5], &[4])
        .device(4, &exposed, &[5], &[3])
        .device(5, &exposed, &[], &[5])
        .device(6, &exposed, &[5], &[2]);
    let exploited = world.0.vulnerabilities.get_mut(&cve(3)).unwrap();
    // No script hits every target: inside of a network it asks for no evidence.
    say(
        &mut exploited.automatable,
        Automatable::No,
        Source::Cna,
        now(),
    );
    // Nobody has read its list.
    world.0.devices.push(device(7, &exposed));
    let first = |numbers: &[u32]| -> Vec<u32> {
        let found = evidence_first(&world.0, &selected(numbers));
        found
            .iter()
            .map(|id| id.as_str().parse().unwrap())
            .collect()
    };
    assert_eq!(first(&[5]), [1, 6, 7]);
    // Update 2 comes before what is exploited.
    assert_eq!(first(&[2]), [0; 0]);
    assert_eq!(first(&[]), [0; 0]);
    // What a plan itself says of an update counts as well.
    let mut named = selected(&[2]);
    named[0].cves.push(cve(3));
    let found = evidence_first(&world.0, &named);
    assert_eq!(
        found.len(),
        5,
        "all exposed ones that do not have it: {found:?}"
    );
    world.0.vulnerabilities.get_mut(&cve(3)).unwrap().rejected = true;
    assert!(evidence_first(&world.0, &selected(&[5])).is_empty());
}

proptest! {
    /// The plans of a campaign ask for evidence exactly where their deadline does.
    #[test]
    fn the_deadline_of_a_draft_and_the_evidence_of_its_plan_agree(
        exploited in proptest::collection::btree_set(1_u32..=6, 0..4),
        missing in 1_u32..=6,
        installed in 0_u32..=6,
        is_exposed in any::<bool>(),
    ) {
        let tags: &[&str] = if is_exposed { &["exposure:exposed"] } else { &[] };
        let exploited: Vec<u32> = exploited.into_iter().collect();
        let installed: Vec<u32> = (installed > 0 && installed < missing).then_some(installed).into_iter().collect();
        let world = World::new(6, &exploited).device(1, tags, &[missing], &installed);
        let draft = world.draft(&CampaignRules::default());
        prop_assert_eq!(draft.plans.len(), 1);
        let asks = draft.plans[0].ranked.band.needs_evidence();
        let first = evidence_first(&world.0, &selected(&[missing]));
        prop_assert_eq!(!first.is_empty(), asks);
    }
}

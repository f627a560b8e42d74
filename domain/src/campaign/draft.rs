//! Makes plans: judges each update once per kind of device, and puts devices together that need the
//! same. Linear in the number of pairs.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, HashMap},
};

use jiff::{Timestamp, ToSpan, civil::Date, tz::TimeZone};

use super::{
    CampaignRules, Draft, DraftPatch, DraftPlan, Facts, LeftOut, MOST_CVES, PatchList, RankedPlan,
    chain::Chains,
    closing::{self, Open},
    rules::Ruling,
};
use crate::{
    device::{Criticality, Device, Exposure},
    ids::{CveId, DeviceId, KbId},
    patch::{PatchFacts, Severity},
    plan_check::MAX_PATCHES,
    vulnerability::{
        deadline::Deadline,
        ranking::{self, Pair, Ranked, Target, Threat},
    },
};

/// Examples that are kept for a reason.
const EXAMPLES: usize = 5;
/// Reasons that a plan shows.
const REASONS: usize = 8;

/// What an update on a kind of device comes to.
#[derive(Clone)]
struct Judged {
    band: Deadline,
    due: Option<Date>,
    urgency_permille: u16,
    cves: Vec<CveId>,
    closes: u64,
    reasons: Vec<String>,
}

impl Judged {
    fn order(&self) -> Reverse<(Deadline, u16)> {
        Reverse((self.band, self.urgency_permille))
    }
}

/// Devices with the same of these go into one plan.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Kind {
    band: Reverse<Deadline>,
    restart: bool,
    needs_approval: bool,
    kbs: Vec<KbId>,
}

/// A plan that grows.
#[derive(Default)]
struct Group {
    devices: Vec<DeviceId>,
    due: Option<Date>,
    urgency_permille: u16,
    patches: Vec<(Judged, DraftPatch)>,
    woken: BTreeSet<String>,
}

/// An update that goes on a device.
struct Taken<'a> {
    patch: &'a PatchFacts,
    covered: BTreeSet<KbId>,
    judged: Judged,
    needs_approval: bool,
    woken: Option<String>,
}

/// Makes the plans of a campaign.
#[must_use]
pub fn draft(facts: &Facts, rules: &CampaignRules, now: Timestamp) -> Draft {
    let mut drafting = Drafting {
        facts,
        rules,
        today: TimeZone::UTC.to_datetime(now).date(),
        chains: Chains::new(&facts.updates),
        judged: HashMap::new(),
        left_out: BTreeMap::new(),
        groups: BTreeMap::new(),
        draft: Draft::default(),
    };
    for device in &facts.devices {
        match facts.lists.get(&device.id) {
            Some(list) => drafting.device(device, list),
            None => drafting.draft.unread += 1,
        }
    }
    drafting.done()
}

struct Drafting<'a> {
    facts: &'a Facts,
    rules: &'a CampaignRules,
    today: Date,
    chains: Chains<'a>,
    judged: HashMap<(KbId, BTreeSet<KbId>, Exposure, Criticality), Judged>,
    left_out: BTreeMap<String, LeftOut>,
    groups: BTreeMap<Kind, Group>,
    draft: Draft,
}

impl<'a> Drafting<'a> {
    fn device(&mut self, device: &Device, list: &'a PatchList) {
        let missing: BTreeSet<&KbId> = list.missing.iter().map(|patch| &patch.kb).collect();
        let collapsed = self.chains.collapsed(&missing);
        let mut taken = Vec::new();
        for patch in &list.missing {
            let pair = (device.id.clone(), patch.kb.clone());
            if collapsed.contains(&patch.kb) {
                self.leave_out(pair, "comes with a newer update".to_owned());
                continue;
            }
            if self.facts.open.contains(&pair) {
                self.leave_out(pair, "in an open deployment".to_owned());
                continue;
            }
            let mut covered = self.chains.covered(&patch.kb, &missing, &list.installed);
            let judged = self.judge(patch, &covered, device);
            let has_deadline = judged.band.days().is_some_and(|days| days <= 14);
            match self.rules.ruling(patch, device, has_deadline, self.today) {
                Ruling::LeftOut(reason) => self.leave_out(pair, reason),
                Ruling::Taken {
                    needs_approval,
                    woken,
                } => {
                    covered.retain(|older| missing.contains(older));
                    taken.push(Taken {
                        patch,
                        covered,
                        judged,
                        needs_approval,
                        woken,
                    });
                }
            }
        }
        taken.sort_by_key(|one: &Taken<'_>| (one.judged.order(), &one.patch.kb));
        for late in taken
            .drain(MAX_PATCHES.min(taken.len())..)
            .collect::<Vec<_>>()
        {
            let pair = (device.id.clone(), late.patch.kb.clone());
            self.leave_out(pair, "less urgent than what one plan takes".to_owned());
        }
        if !taken.is_empty() {
            self.draft.pairs += taken.len() as u64;
            self.group(device, taken);
        }
    }

    fn group(&mut self, device: &Device, taken: Vec<Taken<'a>>) {
        let bands = taken.iter().map(|one| one.judged.band);
        let mut kbs: Vec<KbId> = taken.iter().map(|one| one.patch.kb.clone()).collect();
        kbs.sort_unstable();
        let kind = Kind {
            band: Reverse(bands.max().unwrap_or(Deadline::OnUpgrade)),
            restart: taken.iter().any(|one| self.restarts(one.patch)),
            needs_approval: taken.iter().any(|one| one.needs_approval),
            kbs,
        };
        let group = self.groups.entry(kind).or_default();
        group.devices.push(device.id.clone());
        for one in taken {
            group.add(one);
        }
    }

    fn restarts(&self, patch: &PatchFacts) -> bool {
        let told = self.facts.updates.get(&patch.kb);
        let told = told.and_then(|update| update.restart);
        // Who does not know has to count on it.
        patch.restart_required.or(told).unwrap_or(true)
    }

    fn leave_out(&mut self, pair: (DeviceId, KbId), reason: String) {
        let left = left_out(&mut self.left_out, reason);
        left.pairs += 1;
        if left.examples.len() < EXAMPLES {
            left.examples.push(pair);
        }
    }

    fn judge(&mut self, patch: &PatchFacts, covered: &BTreeSet<KbId>, device: &Device) -> Judged {
        let (exposure, criticality) = (device.exposure.value, device.criticality.value);
        let key = (patch.kb.clone(), covered.clone(), exposure, criticality);
        if let Some(judged) = self.judged.get(&key) {
            return judged.clone();
        }
        let open = closing::open(self.facts, covered.iter().chain([&patch.kb]));
        let judged = if open.is_empty() {
            self.draft.without_facts.insert(patch.kb.clone());
            without_facts(patch)
        } else {
            judge(&open, &Target::from(device))
        };
        self.judged.insert(key, judged.clone());
        judged
    }

    fn done(mut self) -> Draft {
        let per_plan = self.rules.devices_per_plan.max(1) as usize;
        let groups = self.groups.into_iter();
        let mut plans: Vec<DraftPlan> = groups
            .flat_map(|(kind, group)| group.plans(&kind, per_plan, self.today))
            .collect();
        plans.sort_by_key(|plan| {
            (
                Reverse((plan.ranked.band, plan.ranked.urgency_permille)),
                plan.ranked.due.unwrap_or(Date::MAX),
                Reverse(plan.devices.len()),
                plan.devices.first().cloned(),
            )
        });
        let most = plans.len().min(self.rules.most_plans as usize);
        for late in plans.drain(most..) {
            let pairs = (late.devices.len() * late.ranked.patches.len()) as u64;
            self.draft.pairs -= pairs;
            let reason = "less urgent than what one campaign takes".to_owned();
            left_out(&mut self.left_out, reason).pairs += pairs;
        }
        let mut left_out: Vec<LeftOut> = self.left_out.into_values().collect();
        left_out.sort_by_key(|left| Reverse(left.pairs));
        Draft {
            plans,
            left_out,
            ..self.draft
        }
    }
}

fn left_out(all: &mut BTreeMap<String, LeftOut>, reason: String) -> &mut LeftOut {
    all.entry(reason.clone()).or_insert_with(|| LeftOut {
        reason,
        pairs: 0,
        examples: Vec::new(),
    })
}

impl Group {
    fn add(&mut self, one: Taken<'_>) {
        let Taken {
            patch,
            covered,
            judged,
            woken,
            ..
        } = one;
        self.due = self.due.into_iter().chain(judged.due).min();
        self.urgency_permille = self.urgency_permille.max(judged.urgency_permille);
        self.woken.extend(woken);
        let mut known = self.patches.iter_mut();
        match known.find(|(_, known)| known.kb == patch.kb) {
            Some((worst, known)) => {
                known.supersedes.extend(covered);
                let rank = |one: &Judged| (one.band, one.urgency_permille, one.closes);
                if rank(&judged) > rank(worst) {
                    (known.cves, known.closes) = (judged.cves.clone(), judged.closes);
                    *worst = judged;
                }
            }
            None => {
                let drafted = DraftPatch {
                    kb: patch.kb.clone(),
                    title: patch.title.clone(),
                    cves: judged.cves.clone(),
                    closes: judged.closes,
                    supersedes: covered,
                };
                self.patches.push((judged, drafted));
            }
        }
    }

    fn plans(mut self, kind: &Kind, per_plan: usize, today: Date) -> Vec<DraftPlan> {
        self.patches
            .sort_by_key(|(judged, patch)| (judged.order(), patch.kb.clone()));
        let reasons = self.patches.iter().flat_map(|(judged, _)| &judged.reasons);
        let reasons = reasons.take(REASONS).cloned().chain(self.woken);
        let reasons = reasons.collect();
        let patches = self.patches.into_iter().map(|(_, patch)| patch);
        let ranked = RankedPlan {
            patches: patches.collect(),
            band: kind.band.0,
            due: self.due,
            overdue: self.due.is_some_and(|due| due < today),
            urgency_permille: self.urgency_permille,
            restart: kind.restart,
            needs_approval: kind.needs_approval,
            reasons,
            impact: None,
            schedule: None,
        };
        let plan = |devices: &[DeviceId]| DraftPlan {
            ranked: ranked.clone(),
            devices: devices.to_vec(),
        };
        self.devices.chunks(per_plan).map(plan).collect()
    }
}

fn judge(open: &[Open], target: &Target) -> Judged {
    let threats: Vec<Threat> = open.iter().map(|one| one.threat).collect();
    let pairs = (0..)
        .zip(open)
        .map(|(threat, _)| Pair { threat, target: 0 });
    // Equal ones stay in the order of their ids.
    let ranked = ranking::rank(&threats, &[*target], &pairs.collect::<Vec<_>>());
    let one = |ranked: &Ranked| &open[ranked.pair.threat as usize];
    let first = &ranked[0];
    let mut reasons = vec![format!("most urgent: {} of {}", one(first).id, open.len())];
    reasons.extend(ranking::reasons(&one(first).threat, target));
    let due = |ranked: &Ranked| {
        let days = i64::from(ranked.deadline.days()?);
        one(ranked).since?.checked_add(days.days()).ok()
    };
    Judged {
        band: first.deadline,
        due: ranked.iter().filter_map(due).min(),
        urgency_permille: first.urgency_permille,
        cves: ranked
            .iter()
            .take(MOST_CVES)
            .map(|ranked| one(ranked).id.clone())
            .collect(),
        closes: open.len() as u64,
        reasons,
    }
}

/// The vendor's rating is all there is.
fn without_facts(patch: &PatchFacts) -> Judged {
    let (urgency_permille, word) = match patch.severity {
        Severity::Critical => (500, "critical"),
        Severity::Important => (350, "important"),
        Severity::Moderate => (150, "moderate"),
        Severity::Low => (70, "low"),
        Severity::Unknown => (50, "not at all"),
    };
    Judged {
        band: Deadline::OnUpgrade,
        due: None,
        urgency_permille,
        cves: Vec::new(),
        closes: 0,
        reasons: vec![format!(
            "no vulnerability is known of KB{}, which does not mean that it closes none; its vendor rates it {word}",
            patch.kb.digits()
        )],
    }
}

//! What a client wants of its campaigns: what needs no question, what never goes, and what was put off.

use std::collections::BTreeSet;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::{
    device::Device,
    ids::{DeviceId, KbId, PersonId},
    input::Problem,
    patch::{PatchFacts, Severity},
};

/// Rules of a campaign.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CampaignRules {
    /// Classes of updates that the campaign takes; all, with people asked, when there is none.
    pub baselines: Vec<Baseline>,
    /// Updates that never go; beats everything else.
    pub deny: Vec<Denied>,
    /// Updates that are put off on some devices until a day.
    pub exceptions: Vec<Exception>,
    /// Most devices of a plan, 1 to 200.
    pub devices_per_plan: u32,
    /// Most plans of one campaign; the least urgent ones wait for the next.
    pub most_plans: u32,
}

impl Default for CampaignRules {
    fn default() -> Self {
        Self {
            baselines: Vec::new(),
            deny: Vec::new(),
            exceptions: Vec::new(),
            devices_per_plan: 200,
            most_plans: 50,
        }
    }
}

/// A class of updates.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Baseline {
    /// Categories in the vendor's words, such as `Security Updates`; all when empty.
    pub categories: BTreeSet<String>,
    /// Ratings of the vendor; all when empty.
    pub severities: BTreeSet<Severity>,
    /// Only updates that are so many days old.
    pub min_age_days: u16,
    /// No person has to agree, as far as policy allows it.
    pub approve: bool,
}

/// An update that never goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Denied {
    /// Update.
    pub kb: KbId,
    /// Why.
    #[serde(default)]
    pub reason: String,
}

/// An update that is put off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exception {
    /// Update.
    pub kb: KbId,
    /// On these devices; with `tags` empty as well, on all.
    #[serde(default)]
    pub devices: BTreeSet<DeviceId>,
    /// On devices with one of these tags.
    #[serde(default)]
    pub tags: BTreeSet<String>,
    /// Who answers for it.
    pub owner: PersonId,
    /// Why.
    #[serde(default)]
    pub reason: String,
    /// Last day on which it holds, in UTC.
    pub expires: Date,
}

impl Exception {
    fn means(&self, kb: &KbId, device: &Device) -> bool {
        let everywhere = self.devices.is_empty() && self.tags.is_empty();
        let here = self.devices.contains(&device.id) || !self.tags.is_disjoint(&device.tags);
        self.kb == *kb && (everywhere || here)
    }
}

impl Baseline {
    fn takes(&self, patch: &PatchFacts) -> bool {
        let mut categories = self.categories.iter();
        let category = self.categories.is_empty()
            || categories.any(|category| category.eq_ignore_ascii_case(&patch.category));
        let severity = self.severities.is_empty() || self.severities.contains(&patch.severity);
        category && severity
    }

    fn is_old_enough(&self, patch: &PatchFacts, today: Date) -> bool {
        let age = patch.published.and_then(|day| today.since(day).ok());
        self.min_age_days == 0
            || age.is_some_and(|age| age.get_days() >= i32::from(self.min_age_days))
    }
}

/// What rules say of an update on a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ruling {
    /// It goes.
    Taken {
        /// People are asked whatever policy says.
        needs_approval: bool,
        /// An exception that is over.
        woken: Option<String>,
    },
    /// It stays out, for a reason.
    LeftOut(String),
}

impl CampaignRules {
    /// Says what cannot be used.
    #[must_use]
    pub fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        for (field, value, most) in [
            ("devices_per_plan", self.devices_per_plan, 200),
            ("most_plans", self.most_plans, 500),
        ] {
            if !(1..=most).contains(&value) {
                let field = format!("rules.{field}");
                problems.push(Problem::new(field, value, format!("1 to {most}")));
            }
        }
        problems
    }

    /// Rules on an update on a device. A deadline of days beats the class and the age that baselines
    /// ask for: what has to be closed soon is not left out for its category, but people are asked.
    pub(super) fn ruling(
        &self,
        patch: &PatchFacts,
        device: &Device,
        has_deadline: bool,
        today: Date,
    ) -> Ruling {
        if let Some(denied) = self.deny.iter().find(|denied| denied.kb == patch.kb) {
            return Ruling::LeftOut(match denied.reason.as_str() {
                "" => "denied".to_owned(),
                reason => format!("denied: {reason}"),
            });
        }
        let meant = self.exceptions.iter();
        let meant = meant.filter(|exception| exception.means(&patch.kb, device));
        let (holding, over): (Vec<_>, Vec<_>) = meant.partition(|e| e.expires >= today);
        if let Some(Exception { owner, expires, .. }) = holding.first() {
            return Ruling::LeftOut(format!("exception of {owner} until {expires}"));
        }
        let woken = over.first().map(|exception| {
            let Exception { owner, expires, .. } = exception;
            format!("the exception of {owner} ended on {expires}")
        });
        let taken = |needs_approval| Ruling::Taken {
            needs_approval,
            woken: woken.clone(),
        };
        let classes = self.baselines.iter().filter(|class| class.takes(patch));
        let classes: Vec<&Baseline> = classes.collect();
        let ready = classes
            .iter()
            .filter(|class| class.is_old_enough(patch, today));
        let ready: Vec<_> = ready.collect();
        if !ready.is_empty() {
            return taken(!ready.iter().any(|class| class.approve));
        }
        if self.baselines.is_empty() || has_deadline {
            return taken(true);
        }
        Ruling::LeftOut(if classes.is_empty() {
            "in no baseline".to_owned()
        } else {
            "younger than its baseline asks for".to_owned()
        })
    }
}

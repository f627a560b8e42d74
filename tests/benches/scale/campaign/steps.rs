//! How long the steps of a campaign took, by its histories; what they cost, by looks at the workers.

use std::{collections::BTreeMap, time::SystemTime};

use autoops_tests::scale::campaign::Step;
use contracts::campaign::CampaignStep;
use temporalio_common::protos::temporal::api::history::v1::{
    HistoryEvent, history_event::Attributes,
};

/// Steps as they follow, with their activities.
const STEPS: [(&str, &[&str]); 6] = [
    (
        "inventory",
        &[
            "inventory.sync_client",
            "inventory.sync_sites_page",
            "inventory.sync_devices_page",
        ],
    ),
    ("patch lists", &["inventory.read_patch_list"]),
    ("software lists", &["inventory.read_software_list"]),
    ("drafting", &["campaign.draft"]),
    ("advice", &["campaign.prioritise"]),
    ("starting", &["campaign.next_plan", "campaign.note_plan"]),
];

fn name_of(step: &CampaignStep) -> &'static str {
    let at = match step {
        CampaignStep::Inventory { .. } => 0,
        CampaignStep::Lists { .. } => 1,
        CampaignStep::Software { .. } => 2,
        CampaignStep::Draft => 3,
        CampaignStep::Prioritise => 4,
        CampaignStep::Start { .. } => 5,
    };
    STEPS[at].0
}

/// When activities of a name began and ended, and how many there were.
#[derive(Debug, Clone, Copy)]
struct Span {
    from: SystemTime,
    until: SystemTime,
    count: u32,
}

/// What looks at the workers found in a step: CPU at its first one, and CPU and peak at its last one.
#[derive(Debug, Clone, Copy)]
struct Look {
    first_cpu: f64,
    last_cpu: f64,
    peak_mb: f64,
}

#[derive(Debug, Default)]
pub(crate) struct Steps {
    spans: BTreeMap<String, Span>,
    looks: BTreeMap<&'static str, Look>,
}

impl Steps {
    pub(crate) fn look(&mut self, step: &CampaignStep, cpu: f64, peak_mb: f64) {
        let name = name_of(step);
        let look = self.looks.entry(name).or_insert(Look {
            first_cpu: cpu,
            last_cpu: cpu,
            peak_mb,
        });
        (look.last_cpu, look.peak_mb) = (cpu, peak_mb);
    }

    /// Adds the history of a run.
    pub(crate) fn add(&mut self, events: Vec<HistoryEvent>) {
        let mut asked = BTreeMap::new();
        for event in events {
            let at = event
                .event_time
                .and_then(|at| SystemTime::try_from(at).ok());
            let at = at.expect("an event has a time");
            match event.attributes {
                Some(Attributes::ActivityTaskScheduledEventAttributes(of)) => {
                    let name = of.activity_type.unwrap_or_default().name;
                    let span = self.spans.entry(name.clone()).or_insert(Span {
                        from: at,
                        until: at,
                        count: 0,
                    });
                    span.from = span.from.min(at);
                    span.count += 1;
                    asked.insert(event.event_id, name);
                }
                Some(Attributes::ActivityTaskCompletedEventAttributes(of)) => {
                    let name = asked.get(&of.scheduled_event_id);
                    if let Some(span) = name.and_then(|name| self.spans.get_mut(name)) {
                        span.until = span.until.max(at);
                    }
                }
                _ => {}
            }
        }
    }

    pub(crate) fn finish(&self) -> Vec<Step> {
        let steps = STEPS.iter().map(|(name, activities)| {
            let spans = activities.iter().filter_map(|name| self.spans.get(*name));
            let spans: Vec<&Span> = spans.collect();
            let from = spans.iter().map(|span| span.from).min();
            let until = spans.iter().map(|span| span.until).max();
            let long = from.zip(until).and_then(|(a, b)| b.duration_since(a).ok());
            let look = self.looks.get(name);
            Step {
                name,
                seconds: long.unwrap_or_default().as_secs_f64(),
                activities: spans.iter().map(|span| span.count).sum(),
                worker_cpu: look.map(|look| look.last_cpu - look.first_cpu),
                peak_mb: look.map(|look| look.peak_mb),
            }
        });
        steps.collect()
    }
}

//! When plans should go, what they do to the business, and what a model said of them, in lines.

use domain::campaign::{BusinessImpact, Campaign, PlanAdvice, RankedPlan, Share};

use crate::words;

/// What rules say of a plan.
pub(super) fn of_rule(plan: &RankedPlan) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(schedule) = &plan.schedule {
        let opens = schedule.opens_at;
        let opens = opens.map_or(String::new(), |at| format!(", opens {}", words::time(at)));
        lines.push(format!("  schedule: {}{opens}", schedule.when));
        lines.extend(schedule.reasons.iter().map(reason));
    }
    if let Some(impact) = &plan.impact {
        lines.push(format!("  business impact: {}", impact.level));
        lines.extend(impact.reasons.iter().map(reason));
        lines.extend(counts(impact));
    }
    lines
}

fn reason(reason: &String) -> String {
    format!("    - {reason}")
}

fn counts(impact: &BusinessImpact) -> Vec<String> {
    let counts = impact.devices;
    let mut lines = vec![format!(
        "    {} of {} devices; {} servers, {} of high and {} of critical importance",
        counts.total, counts.client_total, counts.servers, counts.high, counts.critical
    )];
    if let Some(restart) = &impact.restart {
        lines.push(format!(
            "    {} restarts, about {} minutes over all devices ({})",
            restart.devices, restart.device_minutes, restart.basis
        ));
    }
    let named = |shares: &[Share]| {
        let named = shares.iter();
        let named = named.map(|share| format!("{} ({})", share.name, share.devices));
        named.collect::<Vec<_>>().join(", ")
    };
    if !impact.largest_sites.is_empty() {
        let (sites, largest) = (impact.sites, named(&impact.largest_sites));
        lines.push(format!("    {sites} sites: {largest}"));
    }
    if !impact.groups.is_empty() {
        lines.push(format!("    groups: {}", named(&impact.groups)));
    }
    lines
}

/// Who made the order of a campaign.
pub(super) fn of_campaign(campaign: &Campaign) -> String {
    match (campaign.degraded(), &campaign.advice) {
        (Some(why), _) => format!("order: by rule alone (degraded: {why})"),
        (None, None) => "order: by rule alone".to_owned(),
        (None, Some(advice)) => {
            let moved = advice.plans.values().filter_map(|said| said.moved);
            let moved = moved.filter(|moved| moved.places != 0).count();
            let mut line = format!(
                "order: by rule; the model {} explained {} of {} plans and moved {moved} ({} tokens)",
                advice.model.as_deref().unwrap_or("unknown"),
                advice.plans.len(),
                campaign.plans.len(),
                advice.tokens
            );
            if !advice.dropped.is_empty() {
                line += &format!("; dropped: {}", advice.dropped.join(", "));
            }
            line
        }
    }
}

/// What a model said of a plan.
pub(super) fn of_model(said: &PlanAdvice) -> Vec<String> {
    let why = &said.explanation;
    let line = match said.moved {
        Some(moved) => format!("  {}, because: {why}", moved.words()),
        None => format!("  the model says: {why}"),
    };
    vec![line, format!("    by {}", said.evidence.join(", "))]
}

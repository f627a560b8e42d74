//! Plans and campaigns, for people.

use domain::{
    campaign::{Campaign, Draft, DraftPatch, LeftOut, PlanState},
    deployment::DeploymentStatus,
    vulnerability::deadline::Deadline,
};
use jiff::civil::Date;

use super::advice;
use crate::{
    output::{self, short},
    progress, words,
};

/// Longest title that is shown, in characters.
const TITLE: usize = 80;
/// CVEs that are named for an update.
const CVES: usize = 5;

pub(super) fn draft(draft: &Draft, explain: bool) {
    let header = [
        "#", "Deadline", "Due", "Urgency", "Devices", "Updates", "Restart", "Asks",
    ];
    let rows = draft.plans.iter().enumerate().map(|(place, plan)| {
        [
            (place + 1).to_string(),
            plan.ranked.band.to_string(),
            due(plan.ranked.band, plan.ranked.due, plan.ranked.overdue),
            plan.ranked.urgency_permille.to_string(),
            plan.devices.len().to_string(),
            kbs(&plan.ranked.patches),
            yes(plan.ranked.restart),
            yes(plan.ranked.needs_approval),
        ]
    });
    output::table(header, rows);
    let plans = draft.plans.len();
    output::line(format!(
        "{plans} plans with {} pairs of device and update; nothing was started",
        draft.pairs
    ));
    if explain {
        for (place, plan) in draft.plans.iter().enumerate() {
            output::line("");
            output::line(format!("Plan {}", place + 1));
            plan.ranked.patches.iter().for_each(patch);
            for reason in &plan.ranked.reasons {
                output::line(format!("  - {}", output::clean(reason)));
            }
            advice::of_rule(&plan.ranked).iter().for_each(output::line);
        }
        output::line("");
        output::line("by rule alone: only a campaign asks the model about the order");
        left_out(&draft.left_out);
    }
    remarks(draft.unread, draft.without_facts.len());
}

fn patch(patch: &DraftPatch) {
    let named: Vec<String> = patch
        .cves
        .iter()
        .take(CVES)
        .map(ToString::to_string)
        .collect();
    let more = patch.closes.saturating_sub(named.len() as u64);
    let more = if more > 0 {
        format!(" and {more} more")
    } else {
        String::new()
    };
    let closes = if named.is_empty() {
        "nothing that is known".to_owned()
    } else {
        named.join(", ")
    };
    output::line(format!("  {} {}", patch.kb, short(&patch.title, TITLE)));
    output::line(format!("    closes {closes}{more}"));
    if !patch.supersedes.is_empty() {
        let brings: Vec<String> = patch.supersedes.iter().map(ToString::to_string).collect();
        output::line(format!("    brings {}", brings.join(", ")));
    }
}

fn left_out(all: &[LeftOut]) {
    for left in all {
        let examples = left.examples.iter().take(3);
        let examples: Vec<String> = examples
            .map(|(device, kb)| format!("{kb} on {device}"))
            .collect();
        let examples = if examples.is_empty() {
            String::new()
        } else {
            format!(", such as {}", examples.join(", "))
        };
        output::line(format!(
            "left out: {} pairs, {}{examples}",
            left.pairs,
            output::clean(&left.reason)
        ));
    }
}

fn remarks(unread: u64, without_facts: usize) {
    if unread > 0 {
        output::line(format!(
            "{unread} devices are not ranked: their patch lists were never read"
        ));
    }
    if without_facts > 0 {
        output::line(format!(
            "of {without_facts} updates no vulnerability is known, which does not mean that they close none"
        ));
    }
}

pub(super) fn campaigns(all: &[Campaign]) {
    let header = [
        "Campaign", "Drafted", "Devices", "Plans", "Started", "Pairs", "Left out",
    ];
    let rows = all.iter().map(|campaign| {
        let begun = |state: &PlanState| matches!(state, PlanState::Started { .. });
        let started = campaign
            .plans
            .iter()
            .filter(|plan| begun(&plan.state))
            .count();
        let left: u64 = campaign.left_out.iter().map(|left| left.pairs).sum();
        [
            campaign.id.to_string(),
            words::time(campaign.drafted_at),
            campaign.devices.to_string(),
            campaign.plans.len().to_string(),
            started.to_string(),
            campaign.pairs.to_string(),
            left.to_string(),
        ]
    });
    output::table(header, rows);
}

pub(super) fn campaign(campaign: &Campaign, deployments: &[Option<DeploymentStatus>]) {
    output::line(format!("{} ({})", campaign.id, campaign.workflow_id));
    output::line(format!("drafted {}", words::time(campaign.drafted_at)));
    let header = [
        "Plan", "Deadline", "Due", "Devices", "Updates", "Asks", "State",
    ];
    let plans = campaign.in_order();
    let rows = plans
        .iter()
        .zip(deployments)
        .map(|((_, plan), deployment)| {
            [
                plan.plan.to_string(),
                plan.ranked.band.to_string(),
                due(plan.ranked.band, plan.ranked.due, plan.ranked.overdue),
                plan.devices.to_string(),
                kbs(&plan.ranked.patches),
                yes(plan.ranked.needs_approval),
                match (&plan.state, deployment) {
                    (_, Some(status)) => progress::stage(status),
                    (PlanState::Waiting, None) => "waits for the next campaign".to_owned(),
                    (PlanState::Started { .. }, None) => "started".to_owned(),
                    (PlanState::Refused { why }, None) => format!("refused: {}", short(why, TITLE)),
                },
            ]
        });
    output::table(header, rows);
    output::line(advice::of_campaign(campaign));
    for (_, plan) in &plans {
        output::line("");
        output::line(plan.plan.to_string());
        advice::of_rule(&plan.ranked).iter().for_each(output::line);
        let said = campaign.advice_on(&plan.plan).map(advice::of_model);
        said.iter().flatten().for_each(output::line);
    }
    output::line("");
    left_out(&campaign.left_out);
    remarks(campaign.unread, campaign.without_facts.len());
}

pub(super) fn due(band: Deadline, due: Option<Date>, overdue: bool) -> String {
    match due {
        Some(due) if overdue => format!("{due} (over)"),
        Some(due) => due.to_string(),
        None if band.days().is_some() => "unknown".to_owned(),
        None => String::new(),
    }
}

fn kbs(patches: &[DraftPatch]) -> String {
    let kbs: Vec<String> = patches
        .iter()
        .take(4)
        .map(|patch| patch.kb.to_string())
        .collect();
    let more = if patches.len() > kbs.len() {
        ", …"
    } else {
        ""
    };
    format!("{}{more}", kbs.join(", "))
}

pub(super) fn yes(value: bool) -> String {
    if value { "yes" } else { "no" }.to_owned()
}

//! What people see: status, live details, search attributes, audit entries, notices.

use std::fmt::Write as _;

use contracts::{
    activities::{
        notify::{NoticeInput, NoticeKind, SendNotice},
        records::{SaveStatus, SaveStatusInput},
    },
    search,
};
use domain::{
    audit::Actor,
    dead_letter::LetterKind,
    deployment::{DeploymentStatus, Stage},
};
use temporalio_common::search_attributes::Timestamp as SearchTime;

use super::Story;
use crate::{clock, options};

impl Story {
    /// Moves to a stage: shown in the query, the Web UI, the search attributes and the store.
    pub(super) async fn stage(&self, stage: Stage, note: impl Into<String>) {
        let note = note.into();
        let changed = self.s_mut(|s| {
            let status = &mut s.carry.status;
            let changed = status.stage != stage || status.note != note;
            status.stage = stage;
            status.note = note;
            changed
        });
        if changed {
            self.show().await;
        }
    }

    /// Writes the status where people look.
    pub(super) async fn show(&self) {
        let now = clock::now(&self.ctx);
        let status = self.s_mut(|s| {
            let open = s.carry.book.open_request().cloned();
            let status = &mut s.carry.status;
            status.needs_approval = open.is_some();
            status.approval = open.or_else(|| s.carry.book.request().cloned());
            for (index, ring) in status.rings.iter_mut().enumerate() {
                let flying = s
                    .carry
                    .in_flight
                    .values()
                    .filter(|f| f.ring as usize == index)
                    .count();
                ring.in_flight = u32::try_from(flying).unwrap_or(u32::MAX);
            }
            status.updated_at = now;
            status.clone()
        });
        let seen = vec![
            status.stage.as_str().to_owned(),
            status.needs_approval.to_string(),
            status
                .risk_level()
                .map_or("", |level| level.as_str())
                .to_owned(),
            status
                .deadline
                .map_or_else(String::new, |at| at.to_string()),
        ];
        if self.shown.replace(seen.clone()) != seen {
            self.ctx.upsert_search_attributes(attributes(&status));
        }
        self.ctx.set_current_details(details(&status));
        let input = SaveStatusInput { status };
        let saved = self.write(|| SaveStatus, input, "save status").await;
        let refused = saved.err().map(|failed| failed.message);
        self.note_unwritten(|unwritten| unwritten.set_status(refused.as_deref()));
    }

    /// Tells people. A chat that is down does not hold the deployment up; a dead letter stays.
    pub(super) async fn notify(&self, kind: NoticeKind, summary: String, difference: Vec<String>) {
        let (step, notice) = self.s_mut(|s| {
            s.carry.message_ordinal += 1;
            let step = format!("notice-{}", s.carry.message_ordinal);
            let request = s.carry.book.request();
            let notice = NoticeInput {
                key: format!("{}/{step}", s.carry.status.workflow_id),
                client: s.request.client.clone(),
                workflow_id: s.carry.status.workflow_id.clone(),
                kind,
                summary: summary.clone(),
                request: request.map(|r| r.id.clone()),
                plan_hash: s.carry.plan.as_ref().map(|p| p.hash.clone()),
                role: request.map(|r| r.role),
                deadline: request.map(|r| r.deadline),
                difference,
            };
            (step, notice)
        });
        let sent = self
            .call(SendNotice, notice, options::notify("tell people"))
            .await;
        if let Err(error) = sent {
            let detail = serde_json::json!({ "notice": summary, "why": error.message });
            self.audit("notice_not_sent", Actor::Workflow, vec![], detail)
                .await;
            let cause = format!("people were not told \"{summary}\": {}", error.message);
            self.leave_letter(LetterKind::NoticeUndelivered, &step, &cause)
                .await;
        }
    }
}

fn attributes(
    status: &DeploymentStatus,
) -> Vec<temporalio_common::search_attributes::SearchAttributeUpdate> {
    let mut updates = vec![
        search::CLIENT.value_set(status.client.to_string()),
        search::STAGE.value_set(status.stage.as_str().to_owned()),
        search::NEEDS_APPROVAL.value_set(status.needs_approval),
    ];
    if let Some(level) = status.risk_level() {
        updates.push(search::RISK.value_set(level.as_str().to_owned()));
    }
    if let Some(deadline) = status.deadline {
        updates.push(search::DEADLINE.value_set(SearchTime::new(deadline.as_second(), 0)));
    }
    updates
}

/// Live details for the Web UI, in markdown.
pub(super) fn details(status: &DeploymentStatus) -> String {
    let mut text = format!("**{}** {}\n\n", status.stage.as_str(), status.note);
    if let Some(trouble) = &status.trouble {
        let _ = writeln!(text, "**Trouble**: {trouble}\n");
    }
    let kbs = status
        .kbs
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(", ");
    let _ = writeln!(text, "Patches: {kbs}\n");
    if let Some(risk) = &status.risk {
        let degraded = if risk.degraded {
            ", degraded: no model"
        } else {
            ""
        };
        let _ = writeln!(
            text,
            "Risk: **{}** ({} of 1000), urgency {}{degraded}\n",
            risk.level.as_str(),
            risk.score_permille,
            risk.urgency_permille
        );
    }
    if let Some(request) = &status.approval {
        let open = if status.needs_approval {
            "open"
        } else {
            "closed"
        };
        let _ = writeln!(
            text,
            "Approval `{}` ({open}): {} x {}, until {:.0}, plan hash `{}`\n",
            request.id,
            request.quorum,
            request.role.as_str(),
            request.deadline,
            request.plan_hash
        );
    }
    if status.evidence_first > 0 {
        let waived = status.evidence_waived.as_ref().map_or_else(
            || "is taken first".to_owned(),
            |waiver| format!("is waived by {}: {}", waiver.by, waiver.reason),
        );
        let _ = writeln!(
            text,
            "Evidence {waived} ({} devices)\n",
            status.evidence_first
        );
    }
    if !status.rings.is_empty() {
        text.push_str(
            "| Ring | Devices | In flight | Done | Passed |\n| --- | --- | --- | --- | --- |\n",
        );
        for ring in &status.rings {
            let _ = writeln!(
                text,
                "| {} | {} | {} | {} | {} |",
                ring.name,
                ring.devices,
                ring.in_flight,
                ring.counts.total(),
                if ring.passed { "yes" } else { "" }
            );
        }
    }
    let counted: Vec<_> = status
        .counts
        .0
        .iter()
        .map(|(o, n)| format!("{n} {}", o.as_str()))
        .collect();
    if !counted.is_empty() {
        let _ = writeln!(text, "\n{}", counted.join(", "));
    }
    if status.stragglers > 0 {
        let _ = writeln!(text, "\n{} stragglers are waited for", status.stragglers);
    }
    text
}

//! Halting the patch wave that an incident probably comes from: what it had announced did not clear.

use contracts::{alerts::HaltAsked, deployment::ControlInput, ids};
use domain::{
    audit::{Actor, AuditRecord},
    triage::{IncidentRecord, RESPONSE, Suspect},
};
use serde_json::json;
use temporalio_workflow::{SignalWorkflowOptions, WorkflowCancellationToken};

use super::story::Story;
use crate::{clock, patch_deployment::PatchDeployment};

impl Story<'_> {
    /// Tells each suspect deployment once. Whether it halts is its own decision: it checks what is said
    /// here against the store.
    pub(super) async fn halt_suspects(&self, record: &IncidentRecord) {
        let left_over = record.news.suspects.iter().filter(|one| one.left_over);
        for suspect in left_over {
            let is_told = self.ctx.state(|answer| {
                let mut halts = answer.carry.halts.iter();
                halts.any(|halt| halt.plan == suspect.plan)
            });
            if !is_told {
                self.halt(record, suspect).await;
            }
        }
    }

    async fn halt(&self, record: &IncidentRecord, suspect: &Suspect) {
        self.stage("halting a patch wave");
        let reason = format!("{} (incident {})", suspect.words(), record.key);
        let kb = suspect.kbs.first().cloned();
        let halt = ControlInput {
            by: RESPONSE.to_owned(),
            reason: Some(
                reason
                    .chars()
                    .take(contracts::deployment::MAX_REASON)
                    .collect(),
            ),
            kb: kb.clone(),
            incident: Some(record.key.clone()),
            proof: None,
        };
        let deployment = ids::patch_deployment(&suspect.plan);
        let how = SignalWorkflowOptions::builder()
            .cancellation_token(WorkflowCancellationToken::new())
            .summary(format!("halt {}", suspect.plan))
            .build();
        let running = self.ctx.external_workflow(deployment, None);
        let sent = running
            .signal(PatchDeployment::halt, halt.into(), how)
            .await;
        let asked = HaltAsked {
            plan: suspect.plan.clone(),
            kb,
            reason,
            reached: sent.is_ok(),
        };
        self.ctx.state_mut(|answer| {
            answer.carry.halts.push(asked.clone());
            answer.status.halts.push(asked.clone());
        });
        self.audit_halt(record, &asked).await;
        self.show();
    }

    async fn audit_halt(&self, record: &IncidentRecord, asked: &HaltAsked) {
        let kb = asked.kb.iter().map(ToString::to_string);
        let entry = AuditRecord {
            chain: ids::incident(&record.key),
            key: format!("deployment_halt_asked/{}", asked.plan),
            at: clock::now(self.ctx),
            client: record.key.client().clone(),
            actor: Actor::Agent {
                name: RESPONSE.to_owned(),
                model: None,
            },
            what: "deployment_halt_asked".to_owned(),
            evidence: kb.chain([asked.plan.to_string()]).collect(),
            detail: json!({ "why": asked.reason, "reached": asked.reached }),
            plan_hash: None,
            policy_version: None,
            tokens: None,
        };
        self.audit(entry).await;
    }
}

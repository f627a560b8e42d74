//! What a deployment writes down: audit entries and letters, and in the end what could not be written.

use contracts::{
    activities::records::{AppendAudit, SaveLetter},
    deployment::WORKFLOW_TYPE,
};
use domain::{
    audit::{Actor, AuditRecord},
    dead_letter::{DeadLetter, LetterKind, Rerun},
    unwritten::Unwritten,
};
use temporalio_common::{ActivityDefinition, data_converters::TemporalDeserializable};

use super::{Story, show::details};
use crate::{call, clock, failure::Failed};

impl Story {
    /// Writes an audit entry. A store that is away or refuses us is waited for; what it refuses for good
    /// is shown and counted.
    pub(super) async fn audit(
        &self,
        what: &str,
        actor: Actor,
        evidence: Vec<String>,
        detail: serde_json::Value,
    ) {
        self.audit_with_tokens(what, actor, evidence, detail, None)
            .await;
    }

    pub(super) async fn audit_with_tokens(
        &self,
        what: &str,
        actor: Actor,
        evidence: Vec<String>,
        detail: serde_json::Value,
        tokens: Option<u64>,
    ) {
        let record = self.s_mut(|s| {
            s.carry.audit_ordinal += 1;
            let request = s.carry.book.request();
            AuditRecord {
                chain: s.carry.status.workflow_id.clone(),
                key: format!("{}-{what}", s.carry.audit_ordinal),
                at: clock::now(&self.ctx),
                client: s.request.client.clone(),
                actor,
                what: what.to_owned(),
                evidence,
                detail,
                plan_hash: s.carry.plan.as_ref().map(|p| p.hash.clone()),
                policy_version: request.map(|r| r.policy_version.clone()),
                tokens,
            }
        });
        if let Err(failed) = self.write(|| AppendAudit, record, what).await {
            self.note_unwritten(|unwritten| unwritten.add_audit(what, &failed.message));
        }
    }

    /// Leaves something to a person, once per step.
    pub(super) async fn leave_letter(&self, kind: LetterKind, step: &str, cause: &str) {
        let now = clock::now(&self.ctx);
        let letter = self.s(|s| {
            let status = &s.carry.status;
            let from = (status.workflow_id.as_str(), step);
            DeadLetter {
                plan: Some(status.plan.clone()),
                kbs: status.kbs.clone(),
                // Of a plan that was never sealed nothing else remembers what was asked for.
                again: (kind == LetterKind::DeploymentRefused)
                    .then(|| serde_json::to_value(&s.request).ok())
                    .flatten()
                    .map(|input| Rerun {
                        workflow: WORKFLOW_TYPE.to_owned(),
                        input,
                    }),
                ..DeadLetter::new(kind, status.client.clone(), from, cause, now)
            }
        });
        let left = self.write(|| SaveLetter, letter, "leave a dead letter");
        if let Err(failed) = left.await {
            let what = format!("dead letter {} ({cause})", kind.as_str());
            self.note_unwritten(|unwritten| unwritten.add_record(&what, &failed.message));
        }
    }

    /// Leaves a letter about what could not be written down, if anything could not.
    pub(super) async fn leave_unwritten(&self) {
        if let Some(cause) = self.s(|s| s.carry.unwritten.cause()) {
            self.leave_letter(LetterKind::RecordRefused, "unwritten", &cause)
                .await;
            // Somebody may have asked meanwhile.
            self.answer_everybody().await;
        }
    }

    /// Writes what must not be lost.
    pub(super) async fn write<A: ActivityDefinition>(
        &self,
        activity: impl Fn() -> A,
        input: A::Input,
        summary: &str,
    ) -> Result<A::Output, Failed>
    where
        A::Input: Clone,
        A::Output: TemporalDeserializable,
    {
        let waits = self.s(|s| s.request.waits);
        let trouble = |why: Option<&str>| self.show_trouble(why);
        call::writing(&self.ctx, &waits, (activity, input), summary, trouble).await
    }

    /// Notes what could not be written down, and shows it.
    pub(super) fn note_unwritten(&self, note: impl FnOnce(&mut Unwritten)) {
        let changed = self.s_mut(|s| {
            let before = s.carry.unwritten.clone();
            note(&mut s.carry.unwritten);
            s.carry.status.audit_gaps = s.carry.unwritten.audit_gaps;
            s.carry.unwritten != before
        });
        if changed {
            self.show_trouble(None);
        }
    }

    /// Shows what is waited for; when nothing is, what is missing for good. Only where no store is
    /// needed.
    fn show_trouble(&self, why: Option<&str>) {
        let status = self.s_mut(|s| {
            let missing = s.carry.unwritten.cause();
            s.carry.status.trouble = why.map(str::to_owned).or(missing);
            s.carry.status.clone()
        });
        self.ctx.set_current_details(details(&status));
    }
}

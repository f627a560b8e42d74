//! What a run writes down: audit entries, its result, and in the end what could not be written.

use contracts::{
    activities::records::{AppendAudit, SaveDevice, SaveDeviceInput, SaveLetter},
    device::Intent,
};
use domain::{
    audit::{Actor, AuditRecord},
    dead_letter::{DeadLetter, LetterKind},
    ids::KbId,
    outcome::DeviceResult,
    unwritten::Unwritten,
};
use temporalio_common::{ActivityDefinition, data_converters::TemporalDeserializable};

use super::attempt::Attempt;
use crate::{call, clock, failure::Failed};

impl Attempt {
    /// Writes an audit entry; a store that is away or refuses us is waited for.
    pub(super) async fn audit(&self, what: &str, kbs: &[KbId], detail: &str) {
        let digits = kbs.iter().map(KbId::digits).collect::<Vec<_>>();
        let key = format!("{what}-{}", digits.join("-"));
        let evidence = kbs.iter().map(ToString::to_string).collect();
        let detail = serde_json::json!({ "device": self.input.device, "note": detail });
        self.audit_as(Actor::Workflow, (what, &key), evidence, detail)
            .await;
    }

    /// Writes an audit entry of somebody, under a key of its own.
    pub(super) async fn audit_as(
        &self,
        actor: Actor,
        (what, key): (&str, &str),
        evidence: Vec<String>,
        detail: serde_json::Value,
    ) {
        let record = AuditRecord {
            chain: self.ctx.workflow_id().to_owned(),
            key: key.to_owned(),
            at: clock::now(&self.ctx),
            client: self.input.client.clone(),
            actor,
            what: what.to_owned(),
            evidence,
            detail,
            plan_hash: Some(self.input.plan_hash.clone()),
            policy_version: None,
            tokens: None,
        };
        if let Err(failed) = self.write(|| AppendAudit, record, what).await {
            self.note_unwritten(|unwritten| unwritten.add_audit(what, &failed.message));
        }
    }

    /// Writes down how it ended.
    pub(super) async fn write_down(&self, result: &DeviceResult) {
        self.audit(
            &format!("device_{}", result.outcome.as_str()),
            &self.input.kbs,
            &result.detail,
        )
        .await;
        let input = SaveDeviceInput {
            plan: self.input.plan.clone(),
            client: self.input.client.clone(),
            workflow_id: self.ctx.workflow_id().to_owned(),
            ring: self.input.ring,
            attempt: self.input.attempt,
            result: result.clone(),
            kbs: self.input.kbs.clone(),
            jobs: self.ctx.state(|s| s.jobs.clone()),
            rollback_failed: self.input.intent == Intent::RollBack
                || self.ctx.state(|s| s.rollback_failed),
        };
        if let Err(failed) = self.write(|| SaveDevice, input, "write the result").await {
            let what = format!("result {} of {}", result.outcome.as_str(), result.device);
            self.note_unwritten(|unwritten| unwritten.add_record(&what, &failed.message));
        }
    }

    /// Leaves a letter about what could not be written down, if anything could not.
    pub(super) async fn leave_unwritten(&self) {
        let Some(cause) = self.ctx.state(|s| s.unwritten.cause()) else {
            return;
        };
        let letter = DeadLetter::new(
            LetterKind::RecordRefused,
            self.input.client.clone(),
            (self.ctx.workflow_id(), "unwritten"),
            &cause,
            clock::now(&self.ctx),
        );
        let letter = DeadLetter {
            plan: Some(self.input.plan.clone()),
            device: Some(self.input.device.clone()),
            kbs: self.input.kbs.clone(),
            ..letter.with_jobs(&self.ctx.state(|s| s.jobs.clone()))
        };
        let left = self.write(|| SaveLetter, letter, "leave a dead letter");
        if let Err(failed) = left.await {
            self.note_unwritten(|unwritten| unwritten.add_record("dead letter", &failed.message));
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
        let trouble = |why: Option<&str>| self.show_trouble(why);
        let asked = (activity, input);
        call::writing(&self.ctx, &self.input.waits, asked, summary, trouble).await
    }

    /// Notes what could not be written down, and shows it.
    pub(super) fn note_unwritten(&self, note: impl FnOnce(&mut Unwritten)) {
        self.ctx.state_mut(|s| note(&mut s.unwritten));
        self.show_trouble(None);
    }

    /// Shows what is waited for; when nothing is, what is missing for good.
    fn show_trouble(&self, why: Option<&str>) {
        self.ctx.state_mut(|s| {
            s.trouble = why.map(str::to_owned).or_else(|| s.unwritten.cause());
        });
        let note = self.ctx.state(|s| s.note.clone());
        self.note(&note);
    }
}

//! What an answer writes down, and what is left to a person when it cannot.

use contracts::activities::records::{AppendAudit, SaveLetter};
use domain::{
    audit::AuditRecord,
    dead_letter::{DeadLetter, LetterKind},
    plan::Waits,
    unwritten::Unwritten,
};
use temporalio_common::{ActivityDefinition, data_converters::TemporalDeserializable};

use super::{AUDIT, story::Story};
use crate::{call, clock, failure::Failed};

impl Story<'_> {
    /// Writes an audit entry; a store that is away or refuses us is waited for.
    pub(super) async fn audit(&self, entry: AuditRecord) {
        let (what, key) = (entry.what.clone(), entry.key.clone());
        if let Err(failed) = self.write(|| AppendAudit, entry, &what).await {
            self.note_unwritten(|unwritten| unwritten.add_audit(&key, &failed.message));
            // At once, because an incident may stay open for weeks.
            self.leave_unwritten(&key).await;
        }
    }

    /// Leaves a letter about what could not be written down, once for each entry.
    async fn leave_unwritten(&self, key: &str) {
        let Some(cause) = self.ctx.state(|answer| answer.carry.unwritten.cause()) else {
            return;
        };
        let letter = DeadLetter::new(
            LetterKind::RecordRefused,
            self.input.incident.client().clone(),
            (self.ctx.workflow_id(), &format!("unwritten/{key}")),
            &cause,
            clock::now(self.ctx),
        );
        let left = self.write(|| SaveLetter, letter, "leave a dead letter");
        if let Err(failed) = left.await {
            self.note_unwritten(|unwritten| unwritten.add_record("dead letter", &failed.message));
        }
    }

    /// Writes what must not be lost.
    async fn write<A: ActivityDefinition>(
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
        // An incident has no plan that says how long to wait.
        let waits = Waits::default();
        call::writing(self.ctx, &waits, (activity, input), summary, trouble).await
    }

    fn note_unwritten(&self, note: impl FnOnce(&mut Unwritten)) {
        self.ctx
            .state_mut(|answer| note(&mut answer.carry.unwritten));
        self.show_trouble(None);
    }

    /// Shows what is waited for; when nothing is, what is missing for good.
    fn show_trouble(&self, why: Option<&str>) {
        let missing = || self.ctx.state(|answer| answer.carry.unwritten.cause());
        self.note(AUDIT, why.map(str::to_owned).or_else(missing));
    }
}

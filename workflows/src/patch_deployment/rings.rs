//! Step 5: ring by ring. Each turn of the loop works off what came in, then does one thing.

use contracts::{
    activities::{
        notify::NoticeKind,
        plans::PageDevice,
        policy::{Evaluate, EvaluateInput, EvaluateResult},
    },
    device::Stop,
};
use domain::{
    approval::Next,
    audit::Actor,
    deployment::Stage,
    guardrail::{ActionType, Verdict},
    outcome::DeviceOutcome,
    plan::RebootPolicy,
};
use jiff::Timestamp;
use temporalio_workflow::WorkflowTermination;

use super::{Deployed, Story};
use crate::{
    clock,
    device_patch::asks_for_more,
    failure::{self, Failed},
    options,
};

/// What one run of the loop remembers; all of it can be found out again after continue-as-new.
#[derive(Debug, Default)]
pub(super) struct Rounds {
    /// The page at the cursor.
    pub(super) page: Option<Vec<PageDevice>>,
    /// When the online snapshot is read again.
    pub(super) refresh_at: Option<Timestamp>,
    /// Since when `SuperOps` does not answer.
    pub(super) away_since: Option<Timestamp>,
    /// What in-flight devices were told last.
    told: Option<Stop>,
}

impl Rounds {
    /// What people read while devices of a ring are at work.
    pub(super) fn note(&self, ring: &str) -> String {
        match self.away_since {
            Some(since) => format!(
                "ring {ring}: SuperOps does not answer since {since:.0}; devices wait for it"
            ),
            None => format!("ring {ring}"),
        }
    }
}

impl Story {
    /// Deploys the sealed plan from the cursor on.
    pub(super) async fn deploy(&self) -> Result<Deployed, WorkflowTermination> {
        let mut rounds = Rounds::default();
        loop {
            self.work_off_inbox().await;
            self.heed_cancel();
            self.count_finished().await;
            self.continue_as_new_if_due().await?;
            match self.turn(&mut rounds).await {
                Ok(Some(deployed)) => return Ok(deployed),
                Ok(None) => {}
                // What was let go for an abort ends as one, not as a failure.
                Err(_) if self.s(|s| s.carry.aborted.is_some()) => {}
                Err(why) => return Err(why),
            }
        }
    }

    async fn turn(&self, rounds: &mut Rounds) -> Result<Option<Deployed>, WorkflowTermination> {
        let idle = self.s(|s| s.carry.in_flight.is_empty());
        if let Some(why) = self.s(|s| s.carry.aborted.clone()) {
            if idle {
                return Ok(Some(Deployed::Through));
            }
            self.stage(Stage::Deploying, format!("stopping: {why}"))
                .await;
            self.tell_in_flight(rounds, Stop::Aborted).await;
            self.wait_a_round(rounds, None, "devices in flight").await?;
            return Ok(None);
        }
        if self.s(|s| s.carry.stopped_by_gate || s.carry.turn_asked.is_some()) {
            if idle {
                let again = self.s(|s| !s.carry.stopped_by_gate);
                return Ok(Some(if again {
                    Deployed::Again
                } else {
                    Deployed::Through
                }));
            }
            self.stage(Stage::Deploying, "waiting for devices in flight")
                .await;
            let gate = self.s(|s| s.carry.stopped_by_gate);
            self.tell_in_flight(rounds, if gate { Stop::Stopped } else { Stop::StandDown })
                .await;
            self.wait_a_round(rounds, None, "devices in flight").await?;
            return Ok(None);
        }
        if self.is_held_up(rounds).await? {
            return Ok(None);
        }
        if let Some((ring, reason)) = self.failed_gate() {
            self.gate_failed(ring, reason).await;
            return Ok(None);
        }
        self.refresh_snapshot(rounds).await;
        self.start_stragglers().await?;
        let rings = self.s(|s| s.carry.status.rings.len());
        if self.s(|s| s.carry.cursor.ring as usize) >= rings {
            return self.finish_stragglers(rounds).await;
        }
        self.ring_turn(rounds).await?;
        Ok(None)
    }

    /// Halted or paused: nothing is started, what runs goes on.
    async fn is_held_up(&self, rounds: &mut Rounds) -> Result<bool, WorkflowTermination> {
        if let Some(why) = self.s(|s| s.carry.halted.clone()) {
            let now = clock::now(&self.ctx);
            // What has not begun must not begin while somebody looks.
            self.tell_in_flight(rounds, Stop::StandDown).await;
            if self.s(|s| s.carry.halted_at.is_none()) {
                self.s_mut(|s| s.carry.halted_at = Some(now));
                self.notify(NoticeKind::Halted, format!("halted: {why}"), vec![])
                    .await;
            }
            self.stage(Stage::Halted, why.clone()).await;
            let since = self.s(|s| s.carry.halted_at).unwrap_or(now);
            let until = clock::after(since, self.s(|s| s.request.waits.halt_secs));
            if now >= until {
                self.s_mut(|s| {
                    s.carry.aborted = Some(format!("nobody resumed it after its halt: {why}"))
                });
                self.audit(
                    "halt_expired",
                    Actor::Workflow,
                    vec![],
                    serde_json::json!({ "why": why }),
                )
                .await;
                return Ok(true);
            }
            self.wait_a_round(rounds, Some(until), "halted").await?;
            return Ok(true);
        }
        rounds.told = None;
        if self.s(|s| s.carry.paused) {
            self.stage(Stage::Paused, "paused by a person").await;
            self.wait_a_round(rounds, None, "paused").await?;
            return Ok(true);
        }
        Ok(false)
    }

    /// One step of the ring at the cursor.
    async fn ring_turn(&self, rounds: &mut Rounds) -> Result<(), WorkflowTermination> {
        let (ring, open, soak_until) =
            self.s(|s| (s.carry.cursor.ring, s.carry.ring_open, s.carry.soak_until));
        let name = self.s(|s| s.carry.status.rings[ring as usize].name.clone());
        if !open {
            return self.open_ring(ring, &name, rounds).await;
        }
        if let Some(until) = soak_until {
            return self.soak(ring, &name, until, rounds).await;
        }
        if self.start_next_batch(ring, &name, rounds).await? {
            return Ok(());
        }
        let working = self.s(|s| {
            s.carry
                .in_flight
                .values()
                .any(|f| f.ring == ring && !f.straggler)
        });
        if working {
            self.stage(Stage::Deploying, rounds.note(&name)).await;
            return self.wait_a_round(rounds, None, "devices in flight").await;
        }
        let soak = self.gate_spec(ring).soak_secs;
        // One that was forbidden an update may have got another one.
        let touched = self.ring_counts(ring).0.attempted > 0
            || self.s(|s| {
                let counts = &s.carry.status.rings[ring as usize].counts;
                counts.of(DeviceOutcome::Forbidden) > 0
            });
        let until = clock::after(clock::now(&self.ctx), if touched { soak } else { 0 });
        self.s_mut(|s| s.carry.soak_until = Some(until));
        self.stage(
            Stage::Soaking,
            format!("ring {name} soaks until {until:.0}"),
        )
        .await;
        Ok(())
    }

    /// Guardrails, pause flags and the ledger are asked again before each ring.
    async fn open_ring(
        &self,
        ring: u32,
        name: &str,
        rounds: &mut Rounds,
    ) -> Result<(), WorkflowTermination> {
        let answer = self.ask_guardrails(Some(ring)).await?;
        if let Some(why) = answer.paused {
            self.stage(Stage::Paused, why).await;
            let next = clock::after(
                clock::now(&self.ctx),
                self.s(|s| s.request.waits.pause_poll_secs),
            );
            return self.wait_a_round(rounds, Some(next), "pause flag").await;
        }
        let stop = answer
            .stopped
            .first()
            .map(|s| format!("{} is stopped: {}", s.kb, s.reason));
        let policies = answer.decision.policies.join(", ");
        let forbidden = (answer.decision.verdict == Verdict::Forbidden)
            .then(|| format!("guardrails now forbid ring {name}: {policies}"));
        if let Some(why) = stop.or(forbidden) {
            let actor = Actor::Policy {
                ids: answer.decision.policies.clone(),
            };
            self.audit(
                "ring_forbidden",
                actor,
                vec![],
                serde_json::json!({ "ring": name, "why": why }),
            )
            .await;
            self.s_mut(|s| s.carry.halted = Some(why));
            return Ok(());
        }
        let cleared = self.s(|s| s.carry.cleared.clone());
        if cleared.is_none_or(|c| asks_for_more(&answer.decision.verdict, &c.verdict)) {
            self.ask_anew(format!("guardrails now ask for more: {policies}"))
                .await;
            return Ok(());
        }
        self.s_mut(|s| s.carry.ring_open = true);
        let actor = Actor::Policy {
            ids: answer.decision.policies,
        };
        let detail =
            serde_json::json!({ "ring": name, "policy_version": answer.decision.policy_version });
        self.audit("ring_opened", actor, vec![], detail).await;
        self.stage(Stage::Deploying, format!("ring {name}")).await;
        Ok(())
    }

    /// A stricter need supersedes the approval: another turn through planning and approval.
    pub(super) async fn ask_anew(&self, why: String) {
        self.audit(
            "approval_outdated",
            Actor::Workflow,
            vec![],
            serde_json::json!({ "why": why }),
        )
        .await;
        self.s_mut(|s| {
            s.carry.cleared = None;
            s.carry.turn_asked = Some(why);
        });
        self.outdate_request(Next::SamePlan).await;
    }

    async fn ask_guardrails(
        &self,
        ring: Option<u32>,
    ) -> Result<EvaluateResult, WorkflowTermination> {
        let input = self.s(|s| {
            let plan = s.carry.plan.as_ref()?;
            let figures = s.carry.figures?;
            Some(EvaluateInput {
                client: s.request.client.clone(),
                plan: plan.id.clone(),
                revision: plan.revision,
                action: ActionType::InstallPatch,
                kbs: s.carry.status.kbs.clone(),
                device: None,
                ring,
                figures,
                may_reboot: s.request.reboot != RebootPolicy::Never,
                // Every device waits for its window.
                inside_window: true,
            })
        });
        let input =
            input.ok_or_else(|| failure::invalid_input("plan: no sealed plan to deploy"))?;
        self.read(Evaluate, input, options::store("ask guardrails"))
            .await
            .map_err(Failed::into_termination)
    }

    /// Tells devices in flight once why they are to stop.
    pub(super) async fn tell_in_flight(&self, rounds: &mut Rounds, why: Stop) {
        if rounds.told != Some(why) {
            rounds.told = Some(why);
            self.stop_in_flight(why).await;
        }
    }
}

//! Gates between rings: what must hold before the next ring starts, and what happens when it does not.

use contracts::activities::notify::NoticeKind;
use domain::{
    audit::Actor,
    deployment::Stage,
    outcome::DeviceOutcome,
    plan::{GateSpec, OnGateFailure},
    rings::{GateState, RingCounts, gate},
};
use jiff::Timestamp;
use temporalio_workflow::WorkflowTermination;

use super::{Story, rings::Rounds};
use crate::clock;

impl Story {
    pub(super) async fn soak(
        &self,
        ring: u32,
        name: &str,
        until: Timestamp,
        rounds: &mut Rounds,
    ) -> Result<(), WorkflowTermination> {
        if clock::now(&self.ctx) < until {
            self.stage(
                Stage::Soaking,
                format!("ring {name} soaks until {until:.0}"),
            )
            .await;
            return self.wait_a_round(rounds, Some(until), "soak").await;
        }
        let waived = self.s(|s| s.carry.status.rings[ring as usize].waived);
        match self.gate_of(ring, true) {
            state if waived || state == GateState::Open => {
                self.s_mut(|s| {
                    s.carry.status.rings[ring as usize].passed = true;
                    s.carry.cursor = contracts::deployment::Cursor {
                        ring: ring + 1,
                        ..Default::default()
                    };
                    s.carry.ring_open = false;
                    s.carry.soak_until = None;
                });
                rounds.page = None;
                let (counts, _) = self.ring_counts(ring);
                let detail = serde_json::json!({ "ring": name, "counts": counts });
                self.audit("gate_opened", Actor::Workflow, vec![], detail)
                    .await;
                Ok(())
            }
            GateState::Failed { reason } => {
                self.gate_failed(ring, reason).await;
                Ok(())
            }
            GateState::Open | GateState::Undecided => {
                // Too few were reached: stragglers of this ring decide, or a person does.
                let waiting =
                    self.s(|s| s.carry.status.stragglers > 0 || !s.carry.in_flight.is_empty());
                if !waiting || self.time_for_stragglers_is_over() {
                    let why =
                        format!("ring {name}: too few devices could be attempted to judge it");
                    self.s_mut(|s| {
                        s.carry.halted = Some(why);
                        s.carry.status.rings[ring as usize].waived = true;
                    });
                    return Ok(());
                }
                self.stage(
                    Stage::Stragglers,
                    format!("ring {name} waits for devices that are offline"),
                )
                .await;
                self.wait_a_round(rounds, None, "too few devices to judge")
                    .await
            }
        }
    }

    /// The first ring up to the cursor whose gate has failed: stragglers count for their ring later,
    /// too. One that a person has waived is left alone.
    pub(super) fn failed_gate(&self) -> Option<(u32, String)> {
        let rings = self.s(|s| {
            let last = (s.carry.cursor.ring as usize + 1).min(s.carry.status.rings.len());
            u32::try_from(last).unwrap_or(u32::MAX)
        });
        (0..rings)
            .filter(|ring| !self.s(|s| s.carry.status.rings[*ring as usize].waived))
            .find_map(|ring| match self.gate_of(ring, false) {
                GateState::Failed { reason } => Some((ring, reason)),
                GateState::Open | GateState::Undecided => None,
            })
    }

    pub(super) async fn gate_failed(&self, ring: u32, reason: String) {
        let name = self.s(|s| s.carry.status.rings[ring as usize].name.clone());
        let detail = serde_json::json!({ "ring": name, "why": reason });
        self.audit("gate_failed", Actor::Workflow, vec![], detail)
            .await;
        let why = format!("ring {name}: {reason}");
        match self.gate_spec(ring).on_failure {
            OnGateFailure::Stop => {
                self.s_mut(|s| s.carry.stopped_by_gate = true);
                self.notify(
                    NoticeKind::Halted,
                    format!("stopped by its gate: {why}"),
                    vec![],
                )
                .await;
            }
            OnGateFailure::Hold => self.s_mut(|s| {
                s.carry.halted = Some(why);
                // A person who resumes has seen it: the rest of the ring goes on.
                s.carry.status.rings[ring as usize].waived = true;
            }),
        }
    }

    pub(super) fn gate_of(&self, ring: u32, finished: bool) -> GateState {
        let (counts, size) = self.ring_counts(ring);
        gate(&self.gate_spec(ring), size, &counts, finished)
    }

    /// Attempted devices of a ring, and its size without devices that need nothing.
    pub(super) fn ring_counts(&self, ring: u32) -> (RingCounts, u32) {
        self.s(|s| {
            let status = &s.carry.status.rings[ring as usize];
            let counts = RingCounts {
                attempted: status.counts.matching(DeviceOutcome::was_attempted),
                failed: status.counts.matching(DeviceOutcome::is_failure),
            };
            let idle = status.counts.matching(|o| {
                o.is_settled_without_work()
                    || matches!(o, DeviceOutcome::Forbidden | DeviceOutcome::Aborted)
            });
            (counts, status.devices.saturating_sub(idle))
        })
    }

    pub(super) fn gate_spec(&self, ring: u32) -> GateSpec {
        self.s(|s| {
            s.request
                .rings
                .get(ring as usize)
                .map(|r| r.gate)
                .unwrap_or_default()
        })
    }
}

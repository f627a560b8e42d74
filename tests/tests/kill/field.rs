//! Deployments side by side that are driven to their ends, while something may happen to what they run on.

use std::time::{Duration, Instant};

use autoops_tests::ground::{Ground, Memory};

use crate::{
    effort::Dice,
    fleet::{Job, SPEED, fleet},
    proof::{Seen, prove},
    rollout::{Rollout, Silence, look_at},
};

/// Between two looks.
const LOOK: Duration = Duration::from_millis(50);

/// Deployments that run, and what happened to them.
pub(crate) struct Field {
    pub(crate) ground: Ground,
    pub(crate) rollouts: Vec<Rollout>,
    pub(crate) begin: Instant,
    longest: Duration,
}

impl Field {
    /// Starts them; they have to end within `longest`.
    pub(crate) async fn start(jobs: Vec<Job>, memory: Memory, longest: Duration) -> Self {
        let ground = Ground::start(fleet(&jobs), SPEED, memory).await;
        let mut rollouts = Vec::new();
        for job in jobs {
            rollouts.push(Rollout::start(&ground, job).await);
        }
        Self {
            ground,
            rollouts,
            begin: Instant::now(),
            longest,
        }
    }

    /// Events of all histories so far.
    pub(crate) fn events(&self) -> u64 {
        let events: i64 = self.rollouts.iter().map(Rollout::events).sum();
        events.unsigned_abs()
    }

    pub(crate) fn is_over(&self) -> bool {
        self.rollouts.iter().all(Rollout::is_over)
    }

    /// Goes on until histories have so many events, or all is over.
    pub(crate) async fn until(&mut self, events: u64) {
        let mut silence = Silence::default();
        while self.events() < events && !self.is_over() {
            assert!(
                self.begin.elapsed() < self.longest,
                "it does not end\n{}",
                self.ground.log_tail()
            );
            tokio::time::sleep(LOOK).await;
            look_at(&mut self.rollouts, &self.ground, &mut silence).await;
            for rollout in &mut self.rollouts {
                rollout.approve_if_asked(&self.ground).await;
            }
        }
    }

    /// Kills the worker, so often at most and so many events apart at most, and goes on to the end. Returns
    /// how often.
    pub(crate) async fn kill_now_and_then(&mut self, dice: &mut Dice, far: u64, most: u32) -> u32 {
        let mut kills = 0;
        while kills < most {
            let next = self.events() + dice.from(1, far);
            self.until(next).await;
            if self.is_over() {
                break;
            }
            self.ground.kill_worker().await;
            self.ground.start_worker();
            kills += 1;
        }
        self.until(u64::MAX).await;
        kills
    }

    /// Checks every deployment.
    pub(crate) async fn prove(&self) -> Seen {
        let seen = Seen::by(&self.ground).await;
        for rollout in &self.rollouts {
            prove(&self.ground, &seen, rollout).await;
        }
        seen
    }
}

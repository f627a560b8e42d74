//! One worker that is killed again and again, and the deployments it works on.
//!
//! The worker is frozen for a look, so that it cannot run away from what was seen; it is killed when
//! deployments stand where none has been hit before, and goes on otherwise.

use std::{
    cell::RefCell,
    time::{Duration, Instant},
};

use autoops_tests::ground::{Ground, Memory};

use crate::{
    effort::Dice,
    fleet::{Job, SPEED, fleet},
    proof::{Seen, prove},
    rollout::{Rollout, Silence, look_at},
    sweep::Hits,
    trail::Place,
};

/// Deployments at once.
const LANES: usize = 8;
/// A worker that does nothing for so long after its start is broken.
const IDLE: Duration = Duration::from_secs(60);
/// Between two looks while something is waited for.
const LOOK: Duration = Duration::from_millis(20);

pub(crate) struct Stand<'a> {
    ground: Ground,
    dice: Dice,
    hits: &'a RefCell<Hits>,
    jobs: Vec<Job>,
    live: Vec<Rollout>,
    over: Vec<Rollout>,
    /// When the worker that runs was seen at work.
    woken: Instant,
    silence: Silence,
}

impl<'a> Stand<'a> {
    pub(crate) async fn start(jobs: Vec<Job>, seed: u64, hits: &'a RefCell<Hits>) -> Self {
        Self {
            ground: Ground::start(fleet(&jobs), SPEED, Memory::None).await,
            dice: Dice(seed),
            hits,
            jobs,
            live: vec![],
            over: vec![],
            woken: Instant::now(),
            silence: Silence::default(),
        }
    }

    /// Kills until all is hit, then lets the deployments end.
    pub(crate) async fn run(&mut self, longest: Duration) {
        let begin = Instant::now();
        let (mut new_worker, mut looked) = (true, Duration::ZERO);
        while !(self.is_done() && self.live.is_empty()) {
            assert!(
                begin.elapsed() < longest,
                "{} deployments do not end\n{}",
                self.live.len(),
                self.ground.log_tail()
            );
            self.fill_lanes().await;
            if new_worker {
                self.wait_for_the_worker().await;
                self.woken = Instant::now();
                new_worker = false;
            }
            // On a busy machine a look takes long: the worker gets as much time as it was frozen.
            let pause = Duration::from_millis(self.dice.from(2, 30)) + looked;
            tokio::time::sleep(pause).await;
            let (done, begin) = (self.is_done(), Instant::now());
            if !done {
                self.ground.worker.freeze();
            }
            let seen = self.look().await;
            looked = begin.elapsed();
            // What was not seen stands elsewhere by now.
            if seen && self.is_worth_a_kill() {
                self.kill().await;
                new_worker = true;
            } else if !done {
                self.ground.worker.thaw();
            }
            self.approve_and_clear().await;
        }
    }

    /// Checks every deployment; returns how many there were, and how many script starts were repeated.
    pub(crate) async fn prove_and_stop(self) -> (usize, usize) {
        let seen = Seen::by(&self.ground).await;
        for rollout in &self.over {
            prove(&self.ground, &seen, rollout).await;
        }
        self.ground.stop().await;
        (self.over.len(), seen.repeated_starts())
    }

    fn is_done(&self) -> bool {
        self.hits.borrow().is_done()
    }

    async fn fill_lanes(&mut self) {
        // One at a time, so that they are at different places.
        if self.live.len() < LANES
            && !self.is_done()
            && let Some(job) = self.jobs.pop()
        {
            self.live.push(Rollout::start(&self.ground, job).await);
        }
    }

    async fn look(&mut self) -> bool {
        look_at(&mut self.live, &self.ground, &mut self.silence).await
    }

    fn places(&self) -> Vec<Place> {
        let trails = self.live.iter().flat_map(|r| &r.trails);
        trails.filter_map(|trail| trail.place()).collect()
    }

    /// One kill is to hit several new places; after a while a single one is enough.
    fn is_worth_a_kill(&self) -> bool {
        let (places, hits) = (self.places(), self.hits.borrow());
        let new = places.iter().filter(|place| hits.lacks(place)).count();
        let enough = match self.woken.elapsed().as_millis() {
            0..700 => 3,
            700..1500 => 2,
            _ => 1,
        };
        !hits.is_done() && new >= enough
    }

    /// Waits until a worker that was just started has done something.
    async fn wait_for_the_worker(&mut self) {
        let turns = |s: &Self| -> u32 {
            let trails = s.live.iter().flat_map(|r| &r.trails);
            trails.map(|trail| trail.turns).sum()
        };
        let (before, begin) = (turns(self), Instant::now());
        while turns(self) == before {
            assert!(
                begin.elapsed() < IDLE,
                "the worker does nothing\n{}",
                self.ground.log_tail()
            );
            tokio::time::sleep(LOOK).await;
            self.look().await;
        }
    }

    /// Where histories stand while nobody works is where they were hit.
    async fn kill(&mut self) {
        self.ground.kill_worker().await;
        while !self.look().await {
            tokio::time::sleep(LOOK).await;
        }
        self.hits.borrow_mut().count(self.places());
        self.ground.start_worker();
    }

    async fn approve_and_clear(&mut self) {
        for rollout in &mut self.live {
            rollout.approve_if_asked(&self.ground).await;
        }
        let (over, live) = std::mem::take(&mut self.live)
            .into_iter()
            .partition(Rollout::is_over);
        self.live = live;
        self.over.extend(over);
    }
}

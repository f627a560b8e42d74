//! The worker dies once at every place of the small deployment.
//!
//! Several deployments run side by side on each of several stands, and one kill hits all of a stand:
//! each deployment wherever it is.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use futures::future::join_all;

use autoops_tests::ground::Memory;

use crate::{
    effort::{Effort, Machine},
    field::Field,
    fleet::Job,
    stand::Stand,
    trail::{Kind, Place, Turn},
};

/// Deployments that run undisturbed at first: what all of them pass must be hit.
const UNDISTURBED: u32 = 3;
/// Most of the time is spent waiting for the time-outs that follow a kill.
const STANDS: u32 = 2;
/// Deployments of a stand, at most.
const MOST_DEPLOYMENTS: u32 = 40;
/// For the kills, in a usual run.
const ENOUGH: Duration = Duration::from_secs(150);
/// For all of it, in a usual run.
const LONGEST: Duration = Duration::from_secs(240);

/// What has to be hit, and what was.
pub(crate) struct Hits {
    wanted: BTreeSet<Place>,
    hit: BTreeSet<Place>,
    kills: u32,
    /// Workflows that a kill hit, summed up over all kills.
    victims: usize,
    since: Instant,
    enough: Duration,
}

impl Hits {
    /// Nothing is left to hit, or the time for it is over.
    pub(crate) fn is_done(&self) -> bool {
        self.since.elapsed() > self.enough || !self.wanted.iter().any(|p| self.lacks(p))
    }

    pub(crate) fn lacks(&self, place: &Place) -> bool {
        self.wanted.contains(place) && !self.hit.contains(place)
    }

    /// One kill hit workflows here.
    pub(crate) fn count(&mut self, places: Vec<Place>) {
        self.kills += 1;
        self.victims += places.len();
        self.hit.extend(places);
    }

    fn missing(&self) -> Vec<String> {
        let missing = self.wanted.iter().filter(|place| self.lacks(place));
        missing.map(ToString::to_string).collect()
    }
}

#[test]
fn a_worker_killed_at_every_event_loses_nothing_and_does_nothing_twice() {
    let _alone = Machine::alone();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let effort = Effort::of_this_run();
        let (wanted, events) = undisturbed().await;
        let hits = RefCell::new(Hits {
            wanted,
            hit: BTreeSet::new(),
            kills: 0,
            victims: 0,
            since: Instant::now(),
            enough: ENOUGH * effort.patience,
        });
        let most = MOST_DEPLOYMENTS * effort.patience;
        let stands = (0..STANDS).map(|number| {
            let jobs = (number * most..(number + 1) * most).map(Job::small);
            let seed = effort.seed + u64::from(number);
            let longest = LONGEST * effort.patience;
            let hits = &hits;
            async move {
                let mut stand = Stand::start(jobs.collect(), seed, hits).await;
                stand.run(longest).await;
                stand.prove_and_stop().await
            }
        });
        let ended = join_all(stands).await;
        let deployments = ended.iter().map(|(deployments, _)| deployments).sum();
        let sent_again = ended.iter().map(|(_, sent_again)| sent_again).sum();
        let hits = hits.into_inner();
        tell(&hits, &events, deployments, sent_again, effort.seed);
        let (missing, wanted) = (hits.missing(), hits.wanted.len());
        assert!(
            (wanted - missing.len()) * 100 >= wanted * effort.least,
            "not hit: {missing:#?}"
        );
    });
}

/// Runs deployments to their ends; returns the places that all of them pass, and the events of the
/// longest history of each type.
async fn undisturbed() -> (BTreeSet<Place>, BTreeMap<Kind, i64>) {
    let jobs: Vec<_> = (0..UNDISTURBED).map(Job::small).collect();
    let mut field = Field::start(jobs, Memory::None, LONGEST).await;
    field.until(u64::MAX).await;
    field.prove().await;
    let mut events = BTreeMap::<Kind, i64>::new();
    let mut passed = Vec::<BTreeSet<Place>>::new();
    for rollout in &field.rollouts {
        for (trail, kind) in rollout.trails.iter().zip(Kind::ALL) {
            let longest = events.entry(kind).or_default();
            *longest = trail.length.max(*longest);
        }
        let places = rollout.trails.iter().flat_map(|trail| &trail.passed);
        passed.push(places.cloned().collect());
    }
    field.ground.stop().await;
    let mut wanted = passed.swap_remove(0);
    wanted.retain(|place| passed.iter().all(|others| others.contains(place)));
    (wanted, events)
}

fn tell(
    hits: &Hits,
    events: &BTreeMap<Kind, i64>,
    deployments: usize,
    sent_again: usize,
    seed: u64,
) {
    let mut table = String::from(
        "| Workflow | Events | Places | of them with a task begun | Hit |\n| --- | ---: | ---: | ---: | ---: |\n",
    );
    for (kind, events) in events {
        let places: Vec<_> = hits.wanted.iter().filter(|p| p.kind == *kind).collect();
        let begun = places.iter().filter(|p| p.turn == Turn::Worker).count();
        let hit = places.iter().filter(|p| !hits.lacks(p)).count();
        table += &format!(
            "| `{}` | {events} | {} | {begun} | {hit} |\n",
            kind.name(),
            places.len()
        );
    }
    table += &format!(
        "\n{} kills of workers within {} s hit the workflows of {deployments} deployments {} times. {sent_again} script starts were sent again, no script ran twice. Seed {seed}.\n",
        hits.kills,
        hits.since.elapsed().as_secs(),
        hits.victims,
    );
    if let missing @ [_, ..] = &hits.missing()[..] {
        println!("not hit: {missing:#?}");
    }
    autoops_tests::report::written("kills-events", &table);
}

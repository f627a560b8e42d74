//! `autoops health`: whether everything that a deployment needs is there.

use anyhow::Context;
use clap::Args;
use clients::{
    breaker::{Note, State, UPSTREAMS, read_note},
    objects::ObjectKey,
    store::{StatusFilter, Store},
};
use contracts::queues;
use domain::{deployment::Stage, ids::PlanId};
use jiff::Timestamp;
use serde::Serialize;

use crate::{
    output::{self, USAGE_OR_CONNECTION, short},
    setup::Setup,
    temporal::Temporal,
    words,
};

/// Queues that need a worker.
const QUEUES: [&str; 4] = [
    queues::MAIN,
    queues::SUPEROPS,
    queues::INVENTORY,
    queues::NVD,
];
/// Rows read at once.
const PAGE: usize = 100;

/// Nothing to set.
#[derive(Debug, Args)]
pub struct HealthArgs {}

/// What was found.
#[derive(Debug, Serialize)]
struct Health {
    healthy: bool,
    temporal: Place,
    queues: Vec<Queue>,
    store: Place,
    /// Absent while nothing was ever kept there.
    #[serde(skip_serializing_if = "Option::is_none")]
    objects: Option<Place>,
    upstreams: Vec<Upstream>,
    waiting: Vec<Waiting>,
    problems: Vec<String>,
}

/// Something that is reached at an address or path.
#[derive(Debug, Serialize)]
struct Place {
    at: Option<String>,
    reachable: bool,
    error: Option<String>,
}

#[derive(Debug, Serialize)]
struct Queue {
    name: &'static str,
    /// Workers that ask for tasks; absent when nobody could be asked.
    pollers: Option<usize>,
    error: Option<String>,
}

#[derive(Debug, Serialize)]
struct Upstream {
    name: &'static str,
    /// Absent when nothing is known.
    state: Option<State>,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
    last_error: Option<String>,
    by: Option<String>,
    /// The process that said so has died, or has nothing to ask.
    stale: bool,
}

/// An open deployment that is not at work.
#[derive(Debug, Serialize)]
struct Waiting {
    plan: PlanId,
    stage: Stage,
    note: String,
}

/// Shows whether everything is there.
///
/// # Errors
/// When the answer cannot be printed; what is missing is part of the answer.
pub async fn run(setup: &Setup, _: &HealthArgs) -> anyhow::Result<u8> {
    let mut health = look(setup).await;
    health.problems = problems(&health);
    health.healthy = health.problems.is_empty();
    if setup.format.is_json() {
        output::json(&health)?;
    } else {
        output::table(["what", "state", "more"], rows(&health));
        for problem in &health.problems {
            output::remark(format!("error: {problem}"));
        }
        if health.healthy {
            output::line("healthy");
        }
    }
    Ok(if health.healthy {
        0
    } else {
        USAGE_OR_CONNECTION
    })
}

async fn look(setup: &Setup) -> Health {
    let (temporal, queues) = match setup.temporal().await {
        Ok(temporal) => {
            let place = Place::found(temporal.address().to_owned());
            (place, pollers(&temporal).await)
        }
        Err(error) => (Place::missing(None, &error), unasked()),
    };
    let (store, upstreams, waiting) = match setup.store().await {
        Ok(store) => of_store(setup, &store).await,
        Err(error) => (Place::missing(setup.store_name(), &error), vec![], vec![]),
    };
    Health {
        healthy: false,
        temporal,
        queues,
        store,
        objects: objects(setup).await,
        upstreams,
        waiting,
        problems: Vec::new(),
    }
}

async fn objects(setup: &Setup) -> Option<Place> {
    let asked = async {
        let Some(objects) = setup.objects().await? else {
            return Ok(false);
        };
        objects.list(&ObjectKey::seals()?).await?;
        anyhow::Ok(true)
    };
    let at = setup.objects_name();
    match asked.await.context("objects cannot be read") {
        Ok(true) => Some(Place::found(at.unwrap_or_default())),
        Ok(false) => None,
        Err(error) => Some(Place::missing(at, &error)),
    }
}

async fn of_store(setup: &Setup, store: &Store) -> (Place, Vec<Upstream>, Vec<Waiting>) {
    let read = async {
        let now = Timestamp::now();
        let mut upstreams = Vec::new();
        for name in UPSTREAMS {
            let note = read_note(store.counters.as_ref(), name).await?;
            upstreams.push(Upstream::of(name, note, now));
        }
        anyhow::Ok((upstreams, waiting(store).await?))
    };
    match read.await.context("the store cannot be read") {
        Ok((upstreams, waiting)) => {
            let at = setup.store_name().unwrap_or_default();
            (Place::found(at), upstreams, waiting)
        }
        Err(error) => (Place::missing(setup.store_name(), &error), vec![], vec![]),
    }
}

async fn pollers(temporal: &Temporal) -> Vec<Queue> {
    let mut queues = Vec::new();
    for name in QUEUES {
        let (pollers, error) = match temporal.pollers(name).await {
            Ok(pollers) => (Some(pollers), None),
            Err(error) => (None, Some(format!("{error:#}"))),
        };
        queues.push(Queue {
            name,
            pollers,
            error,
        });
    }
    queues
}

fn unasked() -> Vec<Queue> {
    let queue = |name| Queue {
        name,
        pollers: None,
        error: None,
    };
    QUEUES.map(queue).into()
}

async fn waiting(store: &Store) -> anyhow::Result<Vec<Waiting>> {
    let filter = StatusFilter {
        open: true,
        ..StatusFilter::default()
    };
    let mut waiting = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let page = store
            .executions
            .list_statuses(&filter, cursor.as_deref(), PAGE)
            .await?;
        let still = page.items.into_iter().filter(|status| {
            matches!(
                status.stage,
                Stage::AwaitingApproval | Stage::Paused | Stage::Halted | Stage::Stragglers
            )
        });
        waiting.extend(still.map(|status| Waiting {
            plan: status.plan,
            stage: status.stage,
            note: status.note,
        }));
        cursor = page.next;
        if cursor.is_none() {
            return Ok(waiting);
        }
    }
}

/// One line for each thing that is not as it should be; a deployment that waits is none.
fn problems(health: &Health) -> Vec<String> {
    let mut problems = Vec::new();
    problems.extend(health.temporal.error.clone());
    for queue in &health.queues {
        match (&queue.error, queue.pollers) {
            (Some(error), _) => problems.push(error.clone()),
            (None, Some(0)) => {
                problems.push(format!("no worker polls the queue {}", queue.name));
            }
            (None, _) => {}
        }
    }
    problems.extend(health.store.error.clone());
    problems.extend(
        health
            .objects
            .iter()
            .filter_map(|place| place.error.clone()),
    );
    for upstream in health
        .upstreams
        .iter()
        .filter(|upstream| upstream.is_away())
    {
        problems.push(format!(
            "{} does not answer: {}",
            upstream.name,
            upstream.details()
        ));
    }
    problems
}

fn rows(health: &Health) -> Vec<[String; 3]> {
    let place = |what: &str, place: &Place| {
        let state = if place.reachable {
            "reachable"
        } else {
            "missing"
        };
        let at = place.at.clone().unwrap_or_default();
        [what.to_owned(), state.to_owned(), at]
    };
    let mut rows = vec![place("temporal", &health.temporal)];
    rows.extend(health.queues.iter().map(|queue| {
        let pollers = queue.pollers.map_or("unknown".to_owned(), |count| {
            format!("{count} {}", if count == 1 { "poller" } else { "pollers" })
        });
        [format!("queue {}", queue.name), pollers, String::new()]
    }));
    rows.push(place("store", &health.store));
    rows.extend(health.objects.iter().map(|at| place("objects", at)));
    rows.extend(
        health
            .upstreams
            .iter()
            .map(|up| [up.name.to_owned(), up.state().to_owned(), up.details()]),
    );
    rows.extend(health.waiting.iter().map(|waiting| {
        [
            format!("plan {}", waiting.plan),
            words::plain(waiting.stage.as_str()),
            short(&waiting.note, 100),
        ]
    }));
    rows
}

impl Place {
    fn found(at: String) -> Self {
        Self {
            at: Some(at),
            reachable: true,
            error: None,
        }
    }

    fn missing(at: Option<String>, error: &anyhow::Error) -> Self {
        Self {
            at,
            reachable: false,
            error: Some(format!("{error:#}")),
        }
    }
}

impl Upstream {
    fn of(name: &'static str, note: Option<Note>, now: Timestamp) -> Self {
        let stale = note.as_ref().is_some_and(|note| note.is_stale(now));
        Self {
            name,
            state: note.as_ref().map(|note| note.state),
            since: note.as_ref().and_then(|note| note.since),
            until: note.as_ref().and_then(|note| note.until),
            last_error: note
                .as_ref()
                .map(|note| note.last_error.clone())
                .filter(|error| !error.is_empty()),
            by: note.map(|note| note.by),
            stale,
        }
    }

    fn is_away(&self) -> bool {
        !self.stale && !matches!(self.state, None | Some(State::Closed))
    }

    fn state(&self) -> &'static str {
        match self.state {
            _ if self.stale => "unknown",
            None => "no trouble noted",
            Some(State::Closed) => "closed",
            Some(State::HalfOpen) => "half open",
            Some(State::Open) => "open",
        }
    }

    fn details(&self) -> String {
        let mut parts = Vec::new();
        if self.stale {
            parts.push("an old note, nobody has asked since".to_owned());
        }
        if let Some(since) = self.since {
            parts.push(format!("since {}", words::time(since)));
        }
        if let Some(until) = self.until.filter(|_| self.state == Some(State::Open)) {
            parts.push(format!("asked again at {}", words::time(until)));
        }
        parts.extend(self.last_error.clone());
        if let Some(by) = self.by.as_ref().filter(|_| self.since.is_some()) {
            parts.push(format!("says {by}"));
        }
        parts.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(time: &str) -> Timestamp {
        format!("2026-11-03T{time}Z").parse().unwrap()
    }

    fn note(state: &str) -> Note {
        serde_json::from_value(serde_json::json!({
            "state": state, "since": at("10:02:00"), "until": at("10:05:00"),
            "last_error": "HTTP 502", "by": "autoops-worker@7",
        }))
        .unwrap()
    }

    fn health(pollers: Option<usize>, superops: Option<Note>, now: &str) -> Health {
        let mut queues = unasked();
        for queue in &mut queues {
            queue.pollers = pollers;
        }
        Health {
            healthy: false,
            temporal: Place::found("127.0.0.1:7233".to_owned()),
            queues,
            store: Place::found("autoops.db".to_owned()),
            objects: None,
            upstreams: vec![Upstream::of("superops", superops, at(now))],
            waiting: Vec::new(),
            problems: Vec::new(),
        }
    }

    #[test]
    fn objects_that_cannot_be_read_are_trouble() {
        let mut found = health(Some(1), None, "10:03:00");
        let error = anyhow::anyhow!("the disk failed");
        found.objects = Some(Place::missing(Some("/objects".to_owned()), &error));
        assert_eq!(problems(&found), ["the disk failed"]);
        assert_eq!(rows(&found)[6], ["objects", "missing", "/objects"]);
    }

    #[test]
    fn all_is_well_when_everybody_polls_and_nobody_had_trouble() {
        let found = health(Some(1), None, "10:03:00");
        assert_eq!(problems(&found), Vec::<String>::new());
        let rows = rows(&found);
        assert_eq!(rows[0], ["temporal", "reachable", "127.0.0.1:7233"]);
        assert_eq!(rows[1], ["queue autoops", "1 poller", ""]);
        assert_eq!(rows[6], ["superops", "no trouble noted", ""]);
    }

    #[test]
    fn a_superops_that_does_not_answer_is_named_with_since_until_and_why() {
        for (state, word) in [("open", "open"), ("half_open", "half open")] {
            let found = health(Some(2), Some(note(state)), "10:03:00");
            let told = problems(&found).join("\n");
            assert!(
                told.starts_with("superops does not answer: since"),
                "{told}"
            );
            assert!(told.contains("HTTP 502"), "{told}");
            assert_eq!(rows(&found)[6][1], word);
        }
    }

    #[test]
    fn the_note_of_a_worker_that_died_is_no_trouble_and_shown_as_old() {
        let found = health(Some(1), Some(note("open")), "10:30:00");
        assert_eq!(problems(&found), Vec::<String>::new());
        let row = &rows(&found)[6];
        assert_eq!(row[1], "unknown");
        assert!(row[2].starts_with("an old note"), "{row:?}");
        let json = serde_json::to_value(&found).unwrap();
        assert_eq!(json["upstreams"][0]["stale"], true);
        assert_eq!(json["upstreams"][0]["state"], "open");
    }

    #[test]
    fn each_thing_that_is_missing_has_its_line() {
        let mut found = health(Some(0), None, "10:03:00");
        let nobody = anyhow::anyhow!("no store at x.db");
        found.store = Place::missing(Some("x.db".to_owned()), &nobody);
        let told = problems(&found);
        assert_eq!(told.len(), 5, "{told:?}");
        assert_eq!(told[1], "no worker polls the queue autoops-superops");
        assert_eq!(told[4], "no store at x.db");
        // Without a server nobody knows about pollers: one line is enough.
        let mut found = health(None, None, "10:03:00");
        let nobody = anyhow::anyhow!("no Temporal server at 127.0.0.1:9");
        found.temporal = Place::missing(None, &nobody);
        assert_eq!(problems(&found), ["no Temporal server at 127.0.0.1:9"]);
    }
}

use std::{sync::Arc, time::Duration};

use domain::failure::FailureKind;

use super::*;
use crate::store::Store;

const HOUR: Duration = Duration::from_secs(3600);
/// The pause is over as soon as it begins.
const NO_TIME: Duration = Duration::ZERO;

#[derive(Debug)]
enum Ends {
    Away(&'static str),
    Refuses,
}

impl Classify for Ends {
    fn kind(&self) -> FailureKind {
        match self {
            Self::Away(_) => FailureKind::Unavailable,
            Self::Refuses => FailureKind::InvalidInput,
        }
    }
}

impl Outage for Ends {
    fn outage(&self) -> Option<&str> {
        match self {
            Self::Away(words) => Some(words),
            Self::Refuses => None,
        }
    }
}

fn at_ten() -> Timestamp {
    "2026-11-03T10:02:00Z".parse().unwrap()
}

fn breaker(failures: u32, pause: Duration) -> Breaker {
    let mut breaker = Breaker::with_pauses("superops", failures, pause, pause);
    breaker.clock = at_ten;
    breaker
}

async fn call(breaker: &Breaker, ends: Option<Ends>) {
    breaker.ask().await.unwrap().ended(ends.as_ref()).await;
}

fn state(breaker: &Breaker) -> State {
    breaker.lock().note.state
}

#[tokio::test]
async fn failures_in_a_row_open_it_and_an_answer_between_them_starts_the_count_anew() {
    let breaker = breaker(2, HOUR);
    for ends in [
        Some(Ends::Away("HTTP 502")),
        Some(Ends::Refuses),
        Some(Ends::Away("HTTP 502")),
        None,
        Some(Ends::Away("no connection")),
    ] {
        call(&breaker, ends).await;
    }
    assert_eq!(state(&breaker), State::Closed);
    call(&breaker, Some(Ends::Away("HTTP 503"))).await;
    let refused = breaker.ask().await.unwrap_err();
    assert_eq!(refused.retry_after, HOUR + Duration::from_secs(1));
    assert_eq!(
        refused.to_string(),
        "not asked, it does not answer since 2026-11-03T10:02:00Z (HTTP 503)"
    );
}

#[tokio::test]
async fn after_the_pause_one_call_is_let_through_and_its_answer_closes_it() {
    let breaker = breaker(1, NO_TIME);
    call(&breaker, Some(Ends::Away("HTTP 502"))).await;
    let probe = breaker.ask().await.unwrap();
    assert_eq!(state(&breaker), State::HalfOpen);
    assert!(breaker.ask().await.is_err(), "one probe at a time");
    probe.ended(None::<&Ends>).await;
    assert_eq!(state(&breaker), State::Closed);
    let (one, other) = (breaker.ask().await.unwrap(), breaker.ask().await.unwrap());
    drop((one, other));
}

#[tokio::test]
async fn a_probe_that_was_not_sent_or_failed_leaves_the_next_one_its_place() {
    let breaker = breaker(1, NO_TIME);
    call(&breaker, Some(Ends::Away("HTTP 502"))).await;
    // As when there is no token for it, or its caller was cancelled.
    drop(breaker.ask().await.unwrap());
    assert_eq!(state(&breaker), State::HalfOpen);
    call(&breaker, Some(Ends::Away("no answer in time"))).await;
    assert_eq!(state(&breaker), State::Open);
    let note = breaker.lock().note.clone();
    assert_eq!(note.last_error, "no answer in time");
    assert_eq!(note.since, Some(at_ten()), "the first failure counts");
    call(&breaker, None).await;
    assert_eq!(state(&breaker), State::Closed);
}

#[tokio::test]
async fn calls_that_began_before_it_opened_do_not_prolong_the_pause() {
    let breaker = breaker(1, NO_TIME);
    let late = breaker.ask().await.unwrap();
    call(&breaker, Some(Ends::Away("HTTP 502"))).await;
    let probe = breaker.ask().await.unwrap();
    late.ended(Some(&Ends::Away("HTTP 502"))).await;
    assert_eq!(state(&breaker), State::HalfOpen, "the probe decides");
    probe.ended(None::<&Ends>).await;
    assert_eq!(state(&breaker), State::Closed);
}

#[test]
fn pauses_double_up_to_the_longest() {
    let pauses = Pauses {
        next: Duration::from_secs(10),
        longest: Duration::from_secs(60),
        last_millis: Arc::default(),
    };
    let secs: Vec<_> = pauses.clone().take(5).map(|p| p.as_secs()).collect();
    assert_eq!(secs, [10, 20, 40, 60, 60]);
    assert_eq!(pauses.given(), Duration::from_secs(60));
}

#[tokio::test]
async fn every_change_is_told_to_other_processes_and_nothing_else_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::embedded(&folder.path().join("autoops.db")).unwrap();
    let mut breaker = breaker(1, NO_TIME);
    breaker.share(Arc::clone(&store.counters));
    let seen = async || {
        read_note(store.counters.as_ref(), "superops")
            .await
            .unwrap()
    };
    call(&breaker, None).await;
    assert_eq!(seen().await, None, "nothing has changed");
    call(&breaker, Some(Ends::Away("HTTP 502"))).await;
    let note = seen().await.unwrap();
    assert_eq!(note.state, State::Open);
    assert_eq!(note.away_since(at_ten()), Some(at_ten()));
    let probe = breaker.ask().await.unwrap();
    assert_eq!(seen().await.unwrap().state, State::HalfOpen);
    probe.ended(None::<&Ends>).await;
    let note = seen().await.unwrap();
    assert_eq!((note.state, note.since), (State::Closed, None));
}

#[test]
fn the_note_of_a_process_that_died_says_nothing_any_more() {
    let later = |secs| at_ten() + jiff::SignedDuration::from_secs(secs);
    let note = Note {
        state: State::Open,
        since: Some(at_ten()),
        until: Some(later(60)),
        ..Note::closed()
    };
    assert_eq!(note.away_since(later(70)), Some(at_ten()));
    assert!(!note.is_stale(later(70)));
    assert_eq!(note.away_since(later(80)), None);
    assert!(note.is_stale(later(80)));
    assert!(!Note::closed().is_stale(later(80)));
}

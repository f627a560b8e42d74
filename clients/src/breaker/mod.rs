//! Circuit breakers: a system that does not answer is left alone for a while, then asked once.
//!
//! One [`Breaker`] per system and process, on the state machine of the crate `failsafe`. Only what
//! says that the system itself is away counts: no connection, no answer in time, a 5xx. A refusal is
//! an answer, unless everything is refused, as with a token that has expired.
//!
//! Each change of state is written to the store's flags, so that other processes see it
//! ([`Note`]); no call waits for more than that write, and none fails by it.

mod config;
mod note;

#[cfg(test)]
mod tests;

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU8, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use domain::failure::Classify;
use failsafe::{Instrument, StateMachine, failure_policy, failure_policy::ConsecutiveFailures};
use jiff::Timestamp;

pub use config::BreakerConfig;
pub use note::{Note, State, read_note};

use crate::store::Counters;

/// Every system that has a breaker.
pub const UPSTREAMS: [&str; 9] = [
    "superops",
    "nvd",
    "bedrock",
    "embeddings",
    "prometheus",
    "kev",
    "epss",
    "msrc",
    "cve_services",
];

/// How long a probe may be under way before its note says nothing any more.
const PROBE: Duration = Duration::from_secs(60);

/// What an error says about the system that was asked.
pub(crate) trait Outage: Classify {
    /// Words for people when the system itself is away; nothing when it answered.
    fn outage(&self) -> Option<&str>;
}

/// Not asked, because the system does not answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not asked, it does not answer since {since:.0} ({last_error})")]
pub(crate) struct Refused {
    /// When it may be asked again.
    pub(crate) retry_after: Duration,
    since: Timestamp,
    last_error: String,
}

/// The breaker of one system in this process.
pub(crate) struct Breaker {
    upstream: &'static str,
    first_pause: Duration,
    inner: Mutex<Inner>,
    shared: Option<Arc<dyn Counters>>,
    /// Notes are written one after the other, so that the newest one stays.
    writing: tokio::sync::Mutex<()>,
    clock: fn() -> Timestamp,
}

struct Inner {
    machine: StateMachine<ConsecutiveFailures<Pauses>, Watch>,
    /// What the machine says it is.
    told: Watch,
    pauses: Pauses,
    /// A probe is under way: nobody else is let through.
    probing: bool,
    note: Note,
    unwritten: bool,
}

impl fmt::Debug for Breaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Breaker")
            .field("upstream", &self.upstream)
            .field("note", &self.lock().note)
            .finish_non_exhaustive()
    }
}

impl Breaker {
    /// Expects a validated configuration.
    pub(crate) fn new(upstream: &'static str, config: BreakerConfig) -> Self {
        let secs = Duration::from_secs;
        Self::with_pauses(
            upstream,
            config.failures,
            secs(config.first_pause_secs),
            secs(config.longest_pause_secs),
        )
    }

    fn with_pauses(
        upstream: &'static str,
        failures: u32,
        first: Duration,
        longest: Duration,
    ) -> Self {
        let pauses = Pauses {
            next: first,
            longest,
            last_millis: Arc::default(),
        };
        let told = Watch::default();
        let policy = failure_policy::consecutive_failures(failures, pauses.clone());
        show(upstream, State::Closed);
        Self {
            upstream,
            first_pause: first,
            inner: Mutex::new(Inner {
                machine: StateMachine::new(policy, told.clone()),
                told,
                pauses,
                probing: false,
                note: Note::closed(),
                unwritten: false,
            }),
            shared: None,
            writing: tokio::sync::Mutex::default(),
            clock: Timestamp::now,
        }
    }

    /// Lets other processes see its state.
    pub(crate) fn share(&mut self, counters: Arc<dyn Counters>) {
        self.shared = Some(counters);
    }

    /// Asks whether the system may be called; nothing was sent and no budget used when it may not.
    pub(crate) async fn ask(&self) -> Result<Permit<'_>, Refused> {
        let answer = {
            let mut inner = self.lock();
            let now = (self.clock)();
            let waits_for_probe = inner.probing && inner.note.state == State::HalfOpen;
            if waits_for_probe {
                Err(inner.refused(self.first_pause))
            } else if inner.machine.is_call_permitted() {
                inner.settle(self.upstream, now, None);
                let probe = inner.note.state == State::HalfOpen;
                inner.probing |= probe;
                Ok(Permit {
                    breaker: self,
                    probe,
                    began: Instant::now(),
                })
            } else {
                let left = inner.note.until.map(|until| until.duration_since(now));
                let left = left.and_then(|left| Duration::try_from(left).ok());
                Err(inner.refused(left.unwrap_or_default()))
            }
        };
        match &answer {
            Ok(_) => self.write_down().await,
            Err(_) => count(self.upstream, "refused"),
        }
        answer
    }

    /// Writes the state where other processes see it, if it has changed.
    async fn write_down(&self) {
        let Some(counters) = &self.shared else { return };
        if !self.lock().unwritten {
            return;
        }
        let _one_by_one = self.writing.lock().await;
        let note = {
            let mut inner = self.lock();
            if !std::mem::take(&mut inner.unwritten) {
                return;
            }
            inner.note.clone()
        };
        if let Err(error) = note.write(self.upstream, counters.as_ref()).await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the state of the breaker of {} could not be written, others do not see it",
                self.upstream
            );
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn refused(&self, left: Duration) -> Refused {
        Refused {
            // Whole seconds: a timer that is a little early would ask in vain.
            retry_after: Duration::from_secs(left.as_secs() + 1),
            since: self.note.since.unwrap_or_default(),
            last_error: self.note.last_error.clone(),
        }
    }

    /// Takes over what the machine has become.
    fn settle(&mut self, upstream: &'static str, now: Timestamp, error: Option<&str>) {
        let state = self.told.state();
        if state == self.note.state {
            return;
        }
        let before = std::mem::replace(&mut self.note, Note::closed());
        if state != State::Closed {
            let time = match state {
                State::Open => self.pauses.given(),
                _ => PROBE,
            };
            self.note = Note {
                state,
                since: before.since.or(Some(now)),
                until: Some(now.checked_add(time).unwrap_or(Timestamp::MAX)),
                last_error: error.map_or(before.last_error, ToOwned::to_owned),
                by: note::process(),
            };
        }
        self.unwritten = true;
        show(upstream, state);
        match state {
            State::Open => tracing::warn!(
                "{upstream} does not answer ({}), left alone until {:.0}",
                self.note.last_error,
                self.note.until.unwrap_or_default()
            ),
            State::HalfOpen => {}
            State::Closed => tracing::info!("{upstream} answers again"),
        }
    }
}

/// A call that may be made. Dropped without [`Permit::ended`], it says nothing about the system.
#[derive(Debug)]
#[must_use]
pub(crate) struct Permit<'a> {
    breaker: &'a Breaker,
    probe: bool,
    began: Instant,
}

impl Permit<'_> {
    /// Starts the watch: what came before, such as waiting for the store, is not the system's.
    pub(crate) fn begins(&mut self) {
        self.began = Instant::now();
    }

    /// Says how the call ended.
    pub(crate) async fn ended<E: Outage>(self, error: Option<&E>) {
        let breaker = self.breaker;
        let upstream = breaker.upstream;
        count(upstream, error.map_or("ok", |error| error.kind().as_str()));
        metrics::histogram!("autoops_call_seconds", "upstream" => upstream)
            .record(self.began.elapsed());
        {
            let mut inner = breaker.lock();
            match error.and_then(Outage::outage) {
                None => inner.machine.on_success(),
                // Others that began before it opened say nothing new.
                Some(_) if !self.probe && inner.note.state != State::Closed => {}
                Some(_) => inner.machine.on_error(),
            }
            let words = error.and_then(Outage::outage);
            inner.settle(upstream, (breaker.clock)(), words);
        }
        drop(self);
        breaker.write_down().await;
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        if self.probe {
            self.breaker.lock().probing = false;
        }
    }
}

fn count(upstream: &'static str, outcome: &'static str) {
    metrics::counter!("autoops_calls_total", "upstream" => upstream, "outcome" => outcome)
        .increment(1);
}

fn show(upstream: &'static str, state: State) {
    metrics::gauge!("autoops_breaker_state", "upstream" => upstream).set(f64::from(state as u8));
}

/// Pauses that double up to the longest one; the last one given is remembered.
#[derive(Debug, Clone)]
struct Pauses {
    next: Duration,
    longest: Duration,
    last_millis: Arc<AtomicU64>,
}

impl Pauses {
    fn given(&self) -> Duration {
        Duration::from_millis(self.last_millis.load(Ordering::Relaxed))
    }
}

impl Iterator for Pauses {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let pause = self.next.min(self.longest);
        self.next = pause.saturating_mul(2);
        let millis = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
        self.last_millis.store(millis, Ordering::Relaxed);
        Some(pause)
    }
}

/// Hears from the machine what it has become: it does not say so when asked.
#[derive(Debug, Clone, Default)]
struct Watch(Arc<AtomicU8>);

impl Watch {
    fn state(&self) -> State {
        match self.0.load(Ordering::Relaxed) {
            0 => State::Closed,
            1 => State::HalfOpen,
            _ => State::Open,
        }
    }

    fn is(&self, state: State) {
        self.0.store(state as u8, Ordering::Relaxed);
    }
}

impl Instrument for Watch {
    fn on_call_rejected(&self) {}

    fn on_open(&self) {
        self.is(State::Open);
    }

    fn on_half_open(&self) {
        self.is(State::HalfOpen);
    }

    fn on_closed(&self) {
        self.is(State::Closed);
    }
}

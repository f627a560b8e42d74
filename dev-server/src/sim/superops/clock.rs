//! The devices' clock. It is the real one; only durations of simulated work are shortened.

use std::time::Duration;

use jiff::Timestamp;

/// Where time comes from.
#[derive(Debug, Clone)]
pub(super) enum Clock {
    System,
    #[cfg(test)]
    Manual(std::sync::Arc<manual::ManualClock>),
}

impl Clock {
    pub(super) fn now(&self) -> Timestamp {
        match self {
            Self::System => Timestamp::now(),
            #[cfg(test)]
            Self::Manual(clock) => clock.now(),
        }
    }

    pub(super) async fn sleep(&self, time: Duration) {
        match self {
            Self::System => tokio::time::sleep(time).await,
            #[cfg(test)]
            Self::Manual(clock) => clock.sleep(time).await,
        }
    }
}

/// Time that stands still until a test moves it, always to the next thing that is due.
#[cfg(test)]
pub(super) mod manual {
    use std::{collections::BTreeMap, sync::Mutex, time::Duration};

    use jiff::{SignedDuration, Timestamp};
    use tokio::sync::watch;

    #[derive(Debug)]
    pub(in super::super) struct ManualClock {
        start: Timestamp,
        elapsed: watch::Sender<Duration>,
        due: Mutex<BTreeMap<Duration, usize>>,
    }

    struct Due<'a>(&'a ManualClock, Duration);

    impl Drop for Due<'_> {
        fn drop(&mut self) {
            let mut due = self.0.due.lock().unwrap();
            let sleepers = due.get_mut(&self.1).unwrap();
            *sleepers -= 1;
            if *sleepers == 0 {
                due.remove(&self.1);
            }
        }
    }

    impl ManualClock {
        pub(in super::super) fn new(start: Timestamp) -> Self {
            Self {
                start,
                elapsed: watch::Sender::new(Duration::ZERO),
                due: Mutex::default(),
            }
        }

        pub(super) fn now(&self) -> Timestamp {
            self.start + SignedDuration::try_from(*self.elapsed.borrow()).unwrap()
        }

        pub(super) async fn sleep(&self, time: Duration) {
            let at = *self.elapsed.borrow() + time;
            *self.due.lock().unwrap().entry(at).or_default() += 1;
            let _due = Due(self, at);
            self.elapsed
                .subscribe()
                .wait_for(|now| *now >= at)
                .await
                .unwrap();
        }

        /// Lets every task run until all of them wait.
        async fn settle() {
            for _ in 0..300 {
                tokio::task::yield_now().await;
            }
        }

        /// Moves time from one due thing to the next until the test holds.
        pub(in super::super) async fn run_until(&self, test: impl Fn() -> bool) {
            for _ in 0..10_000 {
                Self::settle().await;
                if test() {
                    return;
                }
                let next = *self
                    .due
                    .lock()
                    .unwrap()
                    .keys()
                    .next()
                    .expect("nothing is due any more");
                self.elapsed.send_replace(next);
            }
            panic!("it never came");
        }

        /// Moves time by so much, one due thing after the other.
        pub(in super::super) async fn pass(&self, time: Duration) {
            let end = *self.elapsed.borrow() + time;
            loop {
                Self::settle().await;
                let next = self
                    .due
                    .lock()
                    .unwrap()
                    .keys()
                    .next()
                    .copied()
                    .unwrap_or(end)
                    .min(end);
                self.elapsed.send_replace(next);
                if next == end {
                    return Self::settle().await;
                }
            }
        }
    }
}

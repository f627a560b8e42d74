//! Starting the workflow of a letter again, once in all: Temporal forgets what it has run, so that it was
//! started is kept with the letter.

use anyhow::{Context, bail};
use clients::store::{DeadLetter, LetterState};
use domain::dead_letter::Rerun;
use jiff::{SignedDuration, Timestamp};

use super::settle::{Again, Desk, Starts};
use crate::temporal::Started;

/// Temporal remembers every workflow that has ended for so long, at least.
const REMEMBERED: SignedDuration = SignedDuration::from_hours(24);

impl Desk<'_> {
    /// Starts the workflow of a letter again, once in all.
    pub(super) async fn start_again(
        &self,
        starts: &impl Starts,
        letter: DeadLetter,
        now: Timestamp,
    ) -> anyhow::Result<Again> {
        let is_new = match &letter.state {
            // The store remembers for longer than Temporal.
            LetterState::Retried {
                started: Some(_), ..
            } => false,
            _ => start_once(starts, &letter, now).await?,
        };
        Ok(Again {
            letter: self.note_started(letter, now).await?,
            plan: None,
            started: is_new,
            left_out: Vec::new(),
        })
    }

    /// Keeps with the letter that its workflow was started.
    async fn note_started(&self, letter: DeadLetter, now: Timestamp) -> anyhow::Result<DeadLetter> {
        let mut state = letter.state.clone();
        match &mut state {
            LetterState::Retried { started, .. } if started.is_none() => *started = Some(now),
            _ => return Ok(letter),
        }
        self.settle(&letter.id, state).await
    }
}

/// Starts a workflow again unless that was done since its letter was left, by whomever.
async fn start_once(
    starts: &impl Starts,
    letter: &DeadLetter,
    now: Timestamp,
) -> anyhow::Result<bool> {
    let id = &letter.workflow_id;
    let not_started = || {
        format!(
            "dead letter {} is marked as retried and {id} is not started; the same command again starts it",
            letter.id
        )
    };
    match starts.last_began(id).await.with_context(not_started)? {
        Some(began) if began > letter.at => return Ok(false),
        Some(_) => {}
        None => check_remembered(letter, now)?,
    }
    let started = starts.start_again(id, rerun(letter)?).await;
    Ok(matches!(
        started.with_context(not_started)?,
        Started::Yes { .. }
    ))
}

/// A workflow that was started when its letter was marked is known for [`REMEMBERED`]: when that is over, one
/// that is not known may have done its work.
fn check_remembered(letter: &DeadLetter, now: Timestamp) -> anyhow::Result<()> {
    let LetterState::Retried { at, .. } = &letter.state else {
        return Ok(());
    };
    if now.duration_since(*at) < REMEMBERED {
        return Ok(());
    }
    bail!(
        "dead letter {} was {}, and nobody knows any more whether {} was started then, so it is not started now: look whether its work is done; if it is not, start it under another id",
        letter.id,
        letter.state,
        letter.workflow_id
    )
}

/// What a letter says is to be started again.
pub(super) fn rerun(letter: &DeadLetter) -> anyhow::Result<&Rerun> {
    let again = letter.again.as_ref();
    again.with_context(|| format!("dead letter {} names no workflow to start", letter.id))
}

//! Dead letters in words.

use clients::store::{DeadLetter, LetterState};
use domain::ids::{PersonId, PlanId};

use super::{device_of, plan_of, settle::Again};
use crate::{output::short, words};

/// One line of the list.
pub(super) fn row(letter: &DeadLetter) -> [String; 8] {
    [
        letter.id.clone(),
        words::plain(letter.kind.as_str()),
        letter.client.to_string(),
        plan_of(letter).map_or(String::new(), |plan| plan.to_string()),
        device_of(letter).map_or(String::new(), |device| device.to_string()),
        words::time(letter.at),
        letter.state.as_str().to_owned(),
        short(&letter.cause, 80),
    ]
}

/// All of a letter, and what to do next.
pub(super) fn describe(letter: &DeadLetter) -> Vec<String> {
    let id = &letter.id;
    let list = |items: Vec<String>| items.join(", ");
    let mut lines = vec![
        format!("dead letter {id}: {}", letter.state),
        format!(
            "{} since {}, client {}",
            words::plain(letter.kind.as_str()),
            words::time(letter.at),
            letter.client
        ),
    ];
    if let Some(plan) = plan_of(letter) {
        lines.push(format!("plan: {plan}"));
    }
    if let Some(device) = device_of(letter) {
        lines.push(format!("device: {device}"));
    }
    if !letter.kbs.is_empty() {
        let kbs = letter.kbs.iter().map(ToString::to_string);
        lines.push(format!("patches not finished: {}", list(kbs.collect())));
    }
    lines.push(format!("cause: {}", letter.cause));
    lines.push(format!(
        "workflow in the Temporal Web UI: {}",
        letter.workflow_id
    ));
    lines.push(format!(
        "audit trail: autoops audit show {}",
        letter.workflow_id
    ));
    if !letter.jobs.is_empty() {
        let jobs = letter.jobs.iter().map(ToString::to_string);
        lines.push(format!("script runs: {}", list(jobs.collect())));
    }
    match (&letter.state, letter.kind.why_no_retry()) {
        (LetterState::Open, None) => lines.push(format!(
            "next: autoops dead-letters retry {id} --by NAME, or autoops dead-letters drop {id} --by NAME --reason TEXT"
        )),
        (LetterState::Open, Some(why)) => lines.push(format!(
            "not retried: {why}: autoops dead-letters drop {id} --by NAME --reason TEXT"
        )),
        (LetterState::Retried { plan, .. }, _) => {
            lines.push(next_step(plan.as_ref(), &letter.workflow_id));
        }
        (LetterState::Dropped { .. }, _) => {}
    }
    lines
}

/// Where to look after a retry.
fn next_step(plan: Option<&PlanId>, workflow_id: &str) -> String {
    match plan {
        Some(plan) => format!("next: autoops status {plan}"),
        None => format!("next: workflow {workflow_id} in the Temporal Web UI"),
    }
}

impl Again {
    /// Where to look now.
    pub(super) fn next_step(&self) -> String {
        next_step(self.plan.as_ref(), &self.letter.workflow_id)
    }
}

/// Says what came of a retry, and whether it is as asked now.
pub(super) fn words_of(again: &Again, by: &PersonId) -> (bool, String) {
    let Again {
        letter,
        plan,
        started,
        ..
    } = again;
    let what = plan.as_ref().map_or_else(
        || format!("workflow {}", letter.workflow_id),
        |plan| format!("plan {plan}"),
    );
    let (id, state) = (&letter.id, &letter.state);
    let own = matches!(state, LetterState::Retried { by: who, .. } if who == by);
    match (started, own) {
        (true, true) => (true, format!("dead letter {id} is retried: started {what}")),
        (true, false) => (
            true,
            format!("dead letter {id} was {state}, which had not been started: started it now"),
        ),
        (false, true) => (
            true,
            format!("dead letter {id} was {state} already; nothing was started again"),
        ),
        (false, false) => (
            false,
            format!(
                "dead letter {id} was {state} before; nothing was started again; {}",
                again.next_step()
            ),
        ),
    }
}

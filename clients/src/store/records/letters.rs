//! Items of dead letters: each is in partition `dead-letters`, and in one list per filter.

use domain::ids::ClientId;

use super::items::{Place, Tx, moment};
use crate::store::{DeadLetter, KEEP_LETTERS, LetterFilter, LetterState, StoreError, StoreResult};

pub(super) const LETTERS: &str = "dead-letters";

/// Name of the list that serves a filter.
pub(super) fn letter_list(filter: &LetterFilter) -> String {
    format!(
        "letters/{}/{}/{}",
        filter.client.as_ref().map_or("*", ClientId::as_str),
        filter.kind.map_or("*", |kind| kind.as_str()),
        if filter.open { "open" } else { "all" }
    )
}

/// Every list a letter stands in.
fn places(letter: &DeadLetter) -> Vec<Place> {
    let sort = format!("{}/{}", moment(letter.at), letter.id);
    let mut places = Vec::new();
    for client in [None, Some(letter.client.clone())] {
        for kind in [None, Some(letter.kind)] {
            for open in [false, true] {
                if !open || letter.state.is_open() {
                    let filter = LetterFilter {
                        client: client.clone(),
                        kind,
                        open,
                    };
                    places.push((letter_list(&filter), sort.clone()));
                }
            }
        }
    }
    places
}

fn write(tx: &Tx<'_>, letter: &DeadLetter) -> StoreResult<()> {
    let expires_at = letter.at.saturating_add(KEEP_LETTERS).ok();
    tx.put_until(LETTERS, &letter.id, letter, expires_at)?;
    tx.place(LETTERS, &letter.id, &places(letter))?;
    tx.change("dead_letter", Some(&letter.client), &letter.id)?;
    Ok(())
}

pub(super) fn put_letter(tx: &Tx<'_>, letter: &DeadLetter) -> StoreResult<()> {
    match tx.get::<DeadLetter>(LETTERS, &letter.id)? {
        None => write(tx, letter),
        Some(stored) if stored.workflow_id == letter.workflow_id => Ok(()),
        Some(stored) => Err(StoreError::Conflict {
            what: format!(
                "dead letter {} is one of {}, not of {}",
                letter.id, stored.workflow_id, letter.workflow_id
            ),
        }),
    }
}

pub(super) fn settle_letter(tx: &Tx<'_>, id: &str, state: LetterState) -> StoreResult<DeadLetter> {
    let Some(mut letter) = tx.get::<DeadLetter>(LETTERS, id)? else {
        return Err(StoreError::NotFound {
            what: format!("dead letter {id}"),
        });
    };
    if letter.state.is_started_by(&state) {
        letter.state = state;
        write(tx, &letter)?;
        return Ok(letter);
    }
    if letter.state.is_said_again_by(&state) {
        return Ok(letter);
    }
    if !letter.state.is_open() {
        return Err(StoreError::Conflict {
            what: format!("dead letter {id} was {} before", letter.state),
        });
    }
    if state.is_open() {
        return Err(StoreError::Invalid {
            what: format!("dead letter {id} is open already: allowed is retried or dropped"),
        });
    }
    letter.state = state;
    write(tx, &letter)?;
    Ok(letter)
}

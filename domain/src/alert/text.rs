//! Text of others: bounded, and without what does not show.

use std::borrow::Cow;

use sha2::{Digest, Sha256};

/// Reads text that may not be UTF-8 all through: what is not shows as `\u{fffd}`. Says in how many places.
pub(super) fn lossy(text: &[u8]) -> (Cow<'_, str>, u64) {
    let chunks = text.utf8_chunks();
    let wrong = chunks.filter(|chunk| !chunk.invalid().is_empty()).count();
    (String::from_utf8_lossy(text), wrong as u64)
}

/// Keeps at most so many bytes of a text: control characters become blanks, ends are trimmed, characters
/// stay whole. Says whether something was cut off.
#[must_use]
pub fn clean(text: &str, most: usize) -> (String, bool) {
    // What is far beyond the limit is not even looked at.
    let head = &text[..floor(text, most.saturating_mul(2))];
    let mut kept: String = head
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    let end = floor(&kept, most);
    let cut = text.len() > most;
    kept.truncate(end);
    (kept.trim().to_owned(), cut)
}

fn floor(text: &str, most: usize) -> usize {
    let mut end = most.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    end
}

/// Makes an id of what tells an alert from others, for sources that have none: 32 hexadecimal digits.
#[must_use]
pub fn key_of(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    let digest = hash.finalize();
    digest[..16]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

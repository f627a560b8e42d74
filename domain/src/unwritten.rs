//! What a workflow could finally not write down: counted, shown, and told in one letter when it ends.

use serde::{Deserialize, Serialize};

use crate::dead_letter::MAX_CAUSE;

/// Records that are named; the others are counted.
const MAX_NAMED: usize = 20;
/// Longest name of a record that is kept, in characters.
const MAX_WHAT: usize = 100;
/// Longest reason that is kept, in characters.
const MAX_WHY: usize = 200;
/// Stands for what was cut off.
const CUT: char = '…';

/// Records that are missing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Unwritten {
    /// Entries of the audit trail.
    pub audit_gaps: u32,
    /// Other records: results, dead letters.
    pub records: u32,
    /// The first ones, and why.
    pub named: Vec<String>,
    /// Why the state was not saved when it was to be saved last.
    pub status: Option<String>,
}

impl Unwritten {
    /// Notes an entry of the audit trail.
    pub fn add_audit(&mut self, what: &str, why: &str) {
        self.audit_gaps += 1;
        self.name(&format!("audit entry {what}"), why);
    }

    /// Notes a record.
    pub fn add_record(&mut self, what: &str, why: &str) {
        self.records += 1;
        self.name(what, why);
    }

    /// Notes what became of the state: only the last one counts.
    pub fn set_status(&mut self, refused: Option<&str>) {
        self.status = refused.map(|why| clipped(why, MAX_WHY));
    }

    /// Says what is missing, if anything is: all that a letter has room for, and how much more there is.
    #[must_use]
    pub fn cause(&self) -> Option<String> {
        let counts = [
            ("audit entries", self.audit_gaps),
            ("records", self.records),
        ];
        let counts = counts.into_iter().filter(|(_, missing)| *missing > 0);
        let mut parts: Vec<String> = counts
            .map(|(what, missing)| format!("{what} that are missing: {missing}"))
            .collect();
        let unsaved = |why| format!("lists show an old state: {why}");
        parts.extend(self.status.as_ref().map(unsaved));
        let mut cause = parts.join("; ");
        let mut left = self.audit_gaps.saturating_add(self.records);
        for name in &self.named {
            let longer = format!("{cause}; {name}");
            let rest = more(left.saturating_sub(1));
            if longer.chars().count() + rest.chars().count() > MAX_CAUSE {
                break;
            }
            (cause, left) = (longer, left.saturating_sub(1));
        }
        cause += &more(left);
        (!cause.is_empty()).then_some(cause)
    }

    fn name(&mut self, what: &str, why: &str) {
        if self.named.len() < MAX_NAMED {
            let (what, why) = (clipped(what, MAX_WHAT), clipped(why, MAX_WHY));
            self.named.push(format!("{what}: {why}"));
        }
    }
}

fn more(left: u32) -> String {
    match left {
        0 => String::new(),
        left => format!("; and {left} more, which only the history of the workflow names"),
    }
}

fn clipped(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most - 1).chain([CUT]).collect()
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::dead_letter::{DeadLetter, LetterKind};

    #[test]
    fn all_are_counted_and_the_first_ones_are_named() {
        let mut unwritten = Unwritten::default();
        assert_eq!(unwritten.cause(), None);
        for n in 0..30 {
            unwritten.add_audit(&format!("step-{n}"), "too large");
        }
        unwritten.add_record("result of device 81", &"x".repeat(1000));
        let cause = unwritten.cause().unwrap();
        assert!(cause.starts_with("audit entries that are missing: 30; records that are missing: 1; audit entry step-0: too large"), "{cause}");
        assert!(cause.contains("step-19") && !cause.contains("step-20"));
        assert!(cause.contains("; and 11 more, "), "{cause}");
        let read = serde_json::from_value(serde_json::to_value(&unwritten).unwrap());
        assert_eq!(read.ok(), Some(unwritten));
    }

    #[test]
    fn what_a_letter_has_no_room_for_is_counted_in_it() {
        let mut unwritten = Unwritten::default();
        let long = "w".repeat(400);
        unwritten.set_status(Some(&long));
        for n in 0..8 {
            unwritten.add_record(&format!("dead letter {n} ({long})"), &long);
        }
        let cause = unwritten.cause().unwrap();
        let letter = DeadLetter::new(
            LetterKind::RecordRefused,
            "7".parse().unwrap(),
            ("patch-deployment/p", "unwritten"),
            &cause,
            Timestamp::UNIX_EPOCH,
        );
        assert_eq!(letter.cause, cause, "the letter cuts nothing off");
        let named = (0..8).filter(|n| cause.contains(&format!("dead letter {n} (")));
        let named = named.count();
        assert!(named >= 2, "{cause}");
        let more = format!("; and {} more, ", 8 - named);
        assert!(
            cause.contains("lists show an old state: ww") && cause.contains(&more),
            "{cause}"
        );
    }

    #[test]
    fn a_state_that_was_saved_later_is_no_loss() {
        let mut unwritten = Unwritten::default();
        unwritten.set_status(Some("the hash is not its own"));
        let cause = unwritten.cause().unwrap();
        assert!(cause.contains("old state: the hash"), "{cause}");
        unwritten.set_status(None);
        assert_eq!(unwritten.cause(), None);
    }
}

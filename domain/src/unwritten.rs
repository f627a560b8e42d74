//! What a workflow could finally not write down: counted, shown, and told in one letter when it ends.

use serde::{Deserialize, Serialize};

/// Records that are named; the others are counted.
const MAX_NAMED: usize = 5;
/// Longest reason that is kept, in characters.
const MAX_WHY: usize = 200;

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
        self.status = refused.map(clipped);
    }

    /// Says what is missing, if anything is.
    #[must_use]
    pub fn cause(&self) -> Option<String> {
        let mut parts = Vec::new();
        if self.audit_gaps > 0 {
            parts.push(format!(
                "audit entries that are missing: {}",
                self.audit_gaps
            ));
        }
        if self.records > 0 {
            parts.push(format!("records that are missing: {}", self.records));
        }
        parts.extend(self.named.iter().cloned());
        let unsaved = |why| format!("lists show an old state: {why}");
        parts.extend(self.status.as_ref().map(unsaved));
        (!parts.is_empty()).then(|| parts.join("; "))
    }

    fn name(&mut self, what: &str, why: &str) {
        if self.named.len() < MAX_NAMED {
            self.named.push(format!("{what}: {}", clipped(why)));
        }
    }
}

fn clipped(why: &str) -> String {
    why.chars().take(MAX_WHY).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_are_counted_and_the_first_ones_are_named() {
        let mut unwritten = Unwritten::default();
        assert_eq!(unwritten.cause(), None);
        for n in 0..9 {
            unwritten.add_audit(&format!("step-{n}"), "too large");
        }
        unwritten.add_record("result of device 81", &"x".repeat(1000));
        let cause = unwritten.cause().unwrap();
        assert!(cause.starts_with("audit entries that are missing: 9; records that are missing: 1; audit entry step-0: too large"), "{cause}");
        assert!(!cause.contains("step-5") && cause.len() < 1000, "{cause}");
        let read = serde_json::from_value(serde_json::to_value(&unwritten).unwrap());
        assert_eq!(read.ok(), Some(unwritten));
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

//! Failure types as workflows see them: `{system}.{kind}`. Workflows match on these, never on text.

use domain::failure::FailureKind;

/// Input that cannot be used; the workflow fails at once.
pub const INVALID_INPUT: &str = "autoops.invalid_input";

/// Builds a failure type, such as `superops.throttled`.
#[must_use]
pub fn failure_type(system: &str, kind: FailureKind) -> String {
    format!("{system}.{}", kind.as_str())
}

/// Returns true when a failure type is of this kind, whatever the system.
#[must_use]
pub fn is_kind(failure_type: &str, kind: FailureKind) -> bool {
    failure_type
        .rsplit_once('.')
        .is_some_and(|(_, word)| word == kind.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_type_tells_its_kind_for_every_system() {
        let text = failure_type("superops", FailureKind::Ambiguous);
        assert_eq!(text, "superops.ambiguous");
        assert!(is_kind(&text, FailureKind::Ambiguous));
        assert!(!is_kind(&text, FailureKind::NotFound));
    }
}

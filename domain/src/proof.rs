//! What a proof signs: everything that gives a decision its meaning, so that a proof counts for that
//! decision and for no other.

use serde::Serialize;

use crate::{
    approval::Choice,
    canonical,
    ids::{DeviceId, PersonId, RequestId},
    people::ControlAction,
};

/// A decision as it is signed. Whoever signs and whoever checks build it from what they know; it is
/// never sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct SignedDecision<'a> {
    /// Workflow it is about.
    pub workflow_id: &'a str,
    /// What is done to it.
    pub action: ControlAction,
    /// Who does it.
    pub by: &'a PersonId,
    /// What was decided, for decisions.
    pub choice: Option<Choice>,
    /// Request meant.
    pub request: Option<&'a RequestId>,
    /// Plan meant.
    pub plan_hash: Option<&'a str>,
    /// Device meant, where an order is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<&'a DeviceId>,
}

impl SignedDecision<'_> {
    /// Returns the bytes that are signed: canonical JSON with every field, `null` where absent.
    ///
    /// # Errors
    /// As [`canonical::canonical_json`]; not for these fields.
    pub fn bytes(&self) -> Result<Vec<u8>, serde_json::Error> {
        canonical::canonical_json(self).map(String::into_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_are_fixed_and_hold_every_field() {
        let (by, request) = ("dana".parse().unwrap(), "first-plan/1".parse().unwrap());
        let approval = SignedDecision {
            workflow_id: "patch-deployment/first-plan",
            action: ControlAction::Decide,
            by: &by,
            choice: Some(Choice::Approve),
            request: Some(&request),
            plan_hash: Some("beef"),
            device: None,
        };
        let text = |decision: SignedDecision<'_>| String::from_utf8(decision.bytes().unwrap());
        assert_eq!(
            text(approval).unwrap(),
            r#"{"action":"decide","by":"dana","choice":"approve","plan_hash":"beef","request":"first-plan/1","workflow_id":"patch-deployment/first-plan"}"#
        );
        let pause = SignedDecision {
            action: ControlAction::Pause,
            choice: None,
            request: None,
            plan_hash: None,
            ..approval
        };
        assert_eq!(
            text(pause).unwrap(),
            r#"{"action":"pause","by":"dana","choice":null,"plan_hash":null,"request":null,"workflow_id":"patch-deployment/first-plan"}"#
        );
    }
}

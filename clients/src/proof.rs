//! How a decision is proven: whoever knows who is logged in signs it with the decision key, and
//! whoever acts on it checks that it is the same decision.

use domain::proof::SignedDecision;
use hmac::Mac;
use secrecy::SecretString;

use crate::signature::{fits, keyed, written};

/// Signs a decision: `v1=hex(HMAC-SHA256(decision key, bytes of the decision))`.
///
/// # Errors
/// As [`SignedDecision::bytes`].
pub fn sign(
    key: &SecretString,
    decision: &SignedDecision<'_>,
) -> Result<String, serde_json::Error> {
    Ok(written(keyed(key).chain_update(decision.bytes()?)))
}

/// Returns true when the proof is of exactly this decision. Compares in constant time.
///
/// # Errors
/// As [`SignedDecision::bytes`].
pub fn verify(
    key: &SecretString,
    decision: &SignedDecision<'_>,
    proof: &str,
) -> Result<bool, serde_json::Error> {
    Ok(fits(keyed(key).chain_update(decision.bytes()?), proof))
}

#[cfg(test)]
mod tests {
    use domain::{approval::Choice, people::ControlAction};

    use super::*;

    // printf '%s' '{"action":"decide",...}' | openssl dgst -sha256 -hmac 'decision key', with the
    // bytes that the test of `domain::proof` fixes.
    const PROOF: &str = "v1=2017fa707f6243714c112ef9906795a133cba13cdbac5a774bae7b32140195d4";

    #[test]
    fn a_proof_is_the_one_another_tool_computes_and_no_other_is_taken() {
        let (by, request) = ("dana".parse().unwrap(), "first-plan/1".parse().unwrap());
        let decision = SignedDecision {
            workflow_id: "patch-deployment/first-plan",
            action: ControlAction::Decide,
            by: &by,
            choice: Some(Choice::Approve),
            request: Some(&request),
            plan_hash: Some("beef"),
        };
        let key = "decision key".into();
        assert_eq!(sign(&key, &decision).unwrap(), PROOF);
        assert!(verify(&key, &decision, PROOF).unwrap());
        assert!(!verify(&"other".into(), &decision, PROOF).unwrap());
        let cut = &PROOF[..PROOF.len() - 2];
        for bad in ["", "v1=", "v1=zz", cut, &PROOF[3..]] {
            assert!(!verify(&key, &decision, bad).unwrap(), "{bad}");
        }
        let rejection = SignedDecision {
            choice: Some(Choice::Reject),
            ..decision
        };
        assert!(!verify(&key, &rejection, PROOF).unwrap());
    }
}

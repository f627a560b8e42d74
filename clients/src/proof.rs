//! How a decision is proven: whoever knows who is logged in signs it with the decision key, and
//! whoever acts on it checks that it is the same decision.

use domain::proof::SignedDecision;
use hmac::Mac;
use secrecy::SecretString;

use crate::{
    secret::Secret,
    signature::{fits, keyed, written},
};

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

/// Returns true when the proof is of exactly this decision, by the key or the one before its last
/// rotation. Compares in constant time.
///
/// # Errors
/// As [`SignedDecision::bytes`].
pub async fn verify(
    key: &Secret,
    decision: &SignedDecision<'_>,
    proof: &str,
) -> Result<bool, serde_json::Error> {
    let bytes = decision.bytes()?;
    let of = |key: &SecretString| fits(keyed(key).chain_update(&bytes), proof);
    Ok(key.fits(of).await)
}

#[cfg(test)]
mod tests {
    use domain::{approval::Choice, people::ControlAction};

    use super::*;

    // printf '%s' '{"action":"decide",...}' | openssl dgst -sha256 -hmac 'decision key', with the
    // bytes that the test of `domain::proof` fixes.
    const PROOF: &str = "v1=2017fa707f6243714c112ef9906795a133cba13cdbac5a774bae7b32140195d4";

    #[tokio::test]
    async fn a_proof_is_the_one_another_tool_computes_and_no_other_is_taken() {
        let (by, request) = ("dana".parse().unwrap(), "first-plan/1".parse().unwrap());
        let decision = SignedDecision {
            workflow_id: "patch-deployment/first-plan",
            action: ControlAction::Decide,
            by: &by,
            choice: Some(Choice::Approve),
            request: Some(&request),
            plan_hash: Some("beef"),
            device: None,
        };
        let key = Secret::from("decision key");
        assert_eq!(sign(&"decision key".into(), &decision).unwrap(), PROOF);
        assert!(verify(&key, &decision, PROOF).await.unwrap());
        assert!(!verify(&"other".into(), &decision, PROOF).await.unwrap());
        let cut = &PROOF[..PROOF.len() - 2];
        for bad in ["", "v1=", "v1=zz", cut, &PROOF[3..]] {
            assert!(!verify(&key, &decision, bad).await.unwrap(), "{bad}");
        }
        let rejection = SignedDecision {
            choice: Some(Choice::Reject),
            ..decision
        };
        assert!(!verify(&key, &rejection, PROOF).await.unwrap());
    }
}

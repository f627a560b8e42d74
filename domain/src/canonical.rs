//! Canonical JSON (RFC 8785) and SHA-256 over it: the same content always gives the same hash.

use serde::Serialize;
use sha2::{Digest, Sha256};

/// Returns the canonical JSON (RFC 8785) of a value.
///
/// # Errors
/// When the value cannot be JSON, such as a map with keys that are not text.
pub fn canonical_json<T: Serialize>(value: &T) -> Result<String, serde_json::Error> {
    serde_json_canonicalizer::to_string(value)
}

/// Returns the SHA-256 of the canonical JSON of a value, as 64 lower-case hex digits.
///
/// # Errors
/// As [`canonical_json`].
pub fn content_hash<T: Serialize>(value: &T) -> Result<String, serde_json::Error> {
    Ok(sha256(canonical_json(value)?.as_bytes()))
}

/// Returns the SHA-256 of bytes, as 64 lower-case hex digits.
#[must_use]
pub fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    #[test]
    fn key_order_does_not_change_the_hash() {
        let one: serde_json::Value = serde_json::from_str(r#"{"b":1,"a":[1,2]}"#).unwrap();
        assert_eq!(
            super::content_hash(&one).unwrap(),
            super::content_hash(&json!({"a":[1,2],"b":1})).unwrap()
        );
    }
}

//! HMAC-SHA256 as we write it: `v1=` and lower-case hex digits.

use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;

/// Version of the signature, in front of its digits.
const VERSION: &str = "v1=";

/// Starts a signature; the signed bytes are added with `update`.
pub(crate) fn keyed(key: &SecretString) -> Hmac<Sha256> {
    match Hmac::new_from_slice(key.expose_secret().as_bytes()) {
        Ok(mac) => mac,
        Err(_) => unreachable!("HMAC takes keys of any length"),
    }
}

/// Returns the signature as text.
pub(crate) fn written(mac: Hmac<Sha256>) -> String {
    format!("{VERSION}{}", hex::encode(mac.finalize().into_bytes()))
}

/// Returns true when the text is this signature. Compares in constant time.
pub(crate) fn fits(mac: Hmac<Sha256>, given: &str) -> bool {
    given
        .strip_prefix(VERSION)
        .and_then(|digits| hex::decode(digits).ok())
        .is_some_and(|given| mac.verify_slice(&given).is_ok())
}

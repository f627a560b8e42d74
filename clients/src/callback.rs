//! How the device script proves that a report is its own.
//!
//! Each script run gets a token of its own, `hex(HMAC-SHA256(master key, jobId + "|" + device))`, so
//! nothing has to be stored: whoever holds the master key derives it again. The script signs what it
//! posts with that token, over the raw bytes and a timestamp. A stolen token opens one job only.

use domain::{
    ids::{DeviceId, JobId},
    plan_check::MAX_SERVICES,
    script::ScriptReport,
};
use hmac::{Hmac, Mac};
use jiff::Timestamp;
use secrecy::SecretString;
use serde::Deserialize;
use sha2::Sha256;

use crate::{
    secret::Secret,
    signature::{fits, keyed, written},
};

/// Largest report that is read, in bytes.
pub const MAX_BODY_BYTES: usize = 64 * 1024;
/// Most bytes of a log that are kept: its tail.
pub const MAX_LOG_BYTES: usize = 4 * 1024;
/// How far the clock of a device may be off, in seconds; also how long a signature is good.
pub const TOLERANCE_SECS: i64 = 5 * 60;
/// Longest name of a service that is kept, in characters.
const MAX_SERVICE_NAME: usize = 256;

/// Why a report was not accepted. Never says what the right signature would be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallbackError {
    /// More than [`MAX_BODY_BYTES`].
    #[error("the report is larger than {MAX_BODY_BYTES} bytes")]
    TooLarge,
    /// The timestamp is more than [`TOLERANCE_SECS`] away from now, or is no number.
    #[error(
        "the timestamp is not within {TOLERANCE_SECS} seconds of now: is the clock of the device right?"
    )]
    Old,
    /// The signature is missing or wrong, or the body names no job and device to check it for.
    #[error("the signature does not fit")]
    BadSignature,
    /// Properly signed, and still not a report.
    #[error("not a report: {0}")]
    Malformed(String),
}

/// What is read before the signature is checked, and used for nothing else.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Claim {
    job_id: JobId,
    device: DeviceId,
}

/// Derives the token of one script run. It goes to the device and nowhere else: not into a history,
/// not into a log.
#[must_use]
pub fn device_token(master: &SecretString, job: &JobId, device: &DeviceId) -> SecretString {
    let mut mac = keyed(master);
    // No id contains the bar, so no two pairs give the same text.
    mac.update(format!("{job}|{device}").as_bytes());
    hex::encode(mac.finalize().into_bytes()).into()
}

/// Signs a report as the script does: `v1=hex(HMAC-SHA256(token, timestamp + "." + body))`.
#[must_use]
pub fn sign(token: &SecretString, timestamp: &str, body: &[u8]) -> String {
    written(signed(token, timestamp, body))
}

/// Checks a report against its two headers and reads it. The log comes back as its tail, without
/// control characters. A token of the master key before the last rotation is good as well.
///
/// # Errors
/// When it is too large, too old, not signed with the token of its job and device, or no report.
pub async fn verify(
    master: &Secret,
    timestamp: &str,
    signature: &str,
    body: &[u8],
    now: Timestamp,
) -> Result<ScriptReport, CallbackError> {
    if body.len() > MAX_BODY_BYTES {
        return Err(CallbackError::TooLarge);
    }
    let sent: i64 = timestamp.parse().map_err(|_| CallbackError::Old)?;
    if sent.abs_diff(now.as_second()) > TOLERANCE_SECS.unsigned_abs() {
        return Err(CallbackError::Old);
    }
    let claim: Claim = serde_json::from_slice(body).map_err(|_| CallbackError::BadSignature)?;
    let of = |master: &SecretString| {
        let token = device_token(master, &claim.job_id, &claim.device);
        fits(signed(&token, timestamp, body), signature)
    };
    if !master.fits(of).await {
        return Err(CallbackError::BadSignature);
    }
    let report: ScriptReport = serde_json::from_slice(body)
        .map_err(|error| CallbackError::Malformed(error.to_string()))?;
    Ok(cleaned(report))
}

fn signed(token: &SecretString, timestamp: &str, body: &[u8]) -> Hmac<Sha256> {
    let mut mac = keyed(token);
    mac.update(timestamp.as_bytes());
    mac.update(b".");
    mac.update(body);
    mac
}

/// A device is not trusted to send what people can safely look at.
fn cleaned(mut report: ScriptReport) -> ScriptReport {
    report.log = tail(&printable(&report.log), MAX_LOG_BYTES).to_owned();
    report.services.truncate(MAX_SERVICES);
    for service in &mut report.services {
        service.name = printable(&service.name)
            .chars()
            .take(MAX_SERVICE_NAME)
            .collect();
    }
    report
}

/// Drops control characters but line ends, and those that turn the direction of text around.
fn printable(text: &str) -> String {
    let turns = |c: char| matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars()
        .map(|c| if c == '\t' { ' ' } else { c })
        .filter(|c| (*c == '\n' || !c.is_control()) && !turns(*c))
        .collect()
}

fn tail(text: &str, bytes: usize) -> &str {
    let mut start = text.len().saturating_sub(bytes);
    while !text.is_char_boundary(start) {
        start += 1;
    }
    &text[start..]
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    const BODY: &str = r#"{"jobId":"first-plan/4100000000000000001/install-5034441-0","device":"4100000000000000001","mode":"install","kb":"5034441","outcome":"succeeded","finishedAt":"2024-11-12T10:00:00Z"}"#;
    const SENT: &str = "1731405600";
    // Made with `openssl dgst -sha256 -hmac`, once for the token and once for the signature.
    const TOKEN: &str = "bd8bd0ad6b1b87fb42a446139e6e3e658146e58ef81cf16e6b1ce48e59e207c4";
    const SIGNATURE: &str = "v1=748a80bde1b0df6ff35da3de8a73a561af8715d9e5db616601a1518b2d18557a";

    fn master() -> SecretString {
        "master key".into()
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_731_405_600 + seconds).unwrap()
    }

    async fn signed_report(body: &str) -> Result<ScriptReport, CallbackError> {
        let claim: Claim = serde_json::from_str(body).unwrap();
        let token = device_token(&master(), &claim.job_id, &claim.device);
        verify(
            &master().into(),
            SENT,
            &sign(&token, SENT, body.as_bytes()),
            body.as_bytes(),
            at(0),
        )
        .await
    }

    #[test]
    fn token_and_signature_are_those_another_tool_computes() {
        let job = "first-plan/4100000000000000001/install-5034441-0"
            .parse()
            .unwrap();
        let token = device_token(&master(), &job, &"4100000000000000001".parse().unwrap());
        assert_eq!(token.expose_secret(), TOKEN);
        assert_eq!(sign(&token, SENT, BODY.as_bytes()), SIGNATURE);
        assert!(!format!("{token:?}").contains(TOKEN));
    }

    #[tokio::test]
    async fn only_a_fresh_report_signed_for_its_own_job_is_accepted() {
        use CallbackError as E;
        let other_job = BODY.replace("install-5034441-0", "install-5034441-1");
        let other_device = BODY.replace(
            r#""device":"4100000000000000001""#,
            r#""device":"4100000000000000002""#,
        );
        let huge = format!("{BODY}{}", " ".repeat(MAX_BODY_BYTES));
        let cut = &SIGNATURE[..SIGNATURE.len() - 2];
        let table = [
            ("as sent", SENT, SIGNATURE, BODY, 0, Ok(())),
            ("at the edge", SENT, SIGNATURE, BODY, 300, Ok(())),
            (
                "clock of the device ahead",
                SENT,
                SIGNATURE,
                BODY,
                -300,
                Ok(()),
            ),
            ("too late", SENT, SIGNATURE, BODY, 301, Err(E::Old)),
            ("from the future", SENT, SIGNATURE, BODY, -301, Err(E::Old)),
            ("no timestamp", "", SIGNATURE, BODY, 0, Err(E::Old)),
            (
                "absurd timestamp",
                "-9223372036854775808",
                SIGNATURE,
                BODY,
                0,
                Err(E::Old),
            ),
            (
                "another timestamp",
                "1731405601",
                SIGNATURE,
                BODY,
                0,
                Err(E::BadSignature),
            ),
            ("no signature", SENT, "", BODY, 0, Err(E::BadSignature)),
            (
                "without its version",
                SENT,
                &SIGNATURE[3..],
                BODY,
                0,
                Err(E::BadSignature),
            ),
            ("cut short", SENT, cut, BODY, 0, Err(E::BadSignature)),
            ("not hex", SENT, "v1=zz", BODY, 0, Err(E::BadSignature)),
            (
                "another job",
                SENT,
                SIGNATURE,
                &other_job,
                0,
                Err(E::BadSignature),
            ),
            (
                "another device",
                SENT,
                SIGNATURE,
                &other_device,
                0,
                Err(E::BadSignature),
            ),
            ("not JSON", SENT, SIGNATURE, "{", 0, Err(E::BadSignature)),
            ("too large", SENT, SIGNATURE, &huge, 0, Err(E::TooLarge)),
        ];
        for (case, timestamp, signature, body, seconds, expected) in table {
            let answer = verify(
                &master().into(),
                timestamp,
                signature,
                body.as_bytes(),
                at(seconds),
            )
            .await;
            assert_eq!(answer.map(|_| ()), expected, "{case}");
        }
        let stranger = verify(&"other".into(), SENT, SIGNATURE, BODY.as_bytes(), at(0)).await;
        assert_eq!(stranger, Err(E::BadSignature));
    }

    #[tokio::test]
    async fn a_signed_body_that_is_no_report_names_what_is_wrong() {
        let error = signed_report(r#"{"jobId":"p/1/x","device":"1","mode":"format"}"#)
            .await
            .unwrap_err();
        assert!(error.to_string().contains("format"), "{error}");
    }

    #[tokio::test]
    async fn the_log_comes_back_short_and_harmless() {
        let log = format!("{}\\u001b[31mred\\u0000\\u202e\\ttab\\nä", "x".repeat(9000));
        let body = BODY.replace(r#""finishedAt""#, &format!(r#""log":"{log}","finishedAt""#));
        let report = signed_report(&body).await.unwrap();
        assert!(
            report.log.len() <= MAX_LOG_BYTES && report.log.ends_with("[31mred tab\nä"),
            "{}",
            report.log
        );
    }

    #[test]
    fn a_character_is_never_cut_in_two() {
        assert_eq!(tail("äöü", 3), "ü");
        assert_eq!(tail("abc", 9), "abc");
    }
}

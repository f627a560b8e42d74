//! How the device script proves that a report is its own.
//!
//! Each script run gets a token of its own, `hex(HMAC-SHA256(master key, jobId + "|" + device))`, so
//! nothing has to be stored: whoever holds the master key derives it again. The script signs what it
//! posts with that token, over the raw bytes and a timestamp. A stolen token opens one job only.

use std::io::Read;

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use domain::{
    evidence::{EvidenceDocument, MAX_DOCUMENT_BYTES, MAX_ENCODED_BYTES},
    ids::{DeviceId, JobId},
    plan_check::MAX_SERVICES,
    script::{ScriptMode, ScriptReport},
};
use flate2::read::GzDecoder;
use hmac::{Hmac, Mac};
use jiff::Timestamp;
use secrecy::SecretString;
use serde::Deserialize;
use sha2::Sha256;

use crate::{
    secret::Secret,
    signature::{fits, keyed, written},
};

/// Largest report that is read, in bytes, without the evidence in it.
pub const MAX_BODY_BYTES: usize = 64 * 1024;
/// Largest report that is read, in bytes, with the evidence in it; larger ones are refused unread.
pub const MAX_BODY_WITH_EVIDENCE_BYTES: usize = MAX_BODY_BYTES + 2 * MAX_ENCODED_BYTES;
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
    /// The evidence is more than [`MAX_ENCODED_BYTES`] as it is sent, or than [`MAX_DOCUMENT_BYTES`]
    /// unpacked.
    #[error(
        "the evidence is larger than {MAX_ENCODED_BYTES} bytes as sent, or {MAX_DOCUMENT_BYTES} bytes unpacked; send the report again without it, as failed"
    )]
    EvidenceTooLarge,
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

/// A report as it was posted, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Posted {
    /// The report, without evidence.
    pub report: ScriptReport,
    /// The document of evidence, unpacked. It is kept before the report is passed on.
    pub evidence: Option<Bytes>,
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
/// control characters, evidence unpacked and as the device wrote it. A token of the master key before
/// the last rotation is good as well.
///
/// # Errors
/// When it is too large, too old, not signed with the token of its job and device, or no report.
pub async fn verify(
    master: &Secret,
    timestamp: &str,
    signature: &str,
    body: &[u8],
    now: Timestamp,
) -> Result<Posted, CallbackError> {
    if body.len() > MAX_BODY_WITH_EVIDENCE_BYTES {
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
    read(body)
}

/// The script sends evidence itself where a report says where evidence is kept: a device has no say in
/// that.
fn read(body: &[u8]) -> Result<Posted, CallbackError> {
    let malformed = |error: serde_json::Error| CallbackError::Malformed(error.to_string());
    let mut value: serde_json::Value = serde_json::from_slice(body).map_err(malformed)?;
    let evidence = value
        .as_object_mut()
        .and_then(|fields| fields.remove("evidence"))
        .filter(|evidence| !evidence.is_null());
    let report: ScriptReport = serde_json::from_value(value).map_err(malformed)?;
    let sent = match &evidence {
        Some(serde_json::Value::String(sent)) if report.mode == ScriptMode::Evidence => Some(sent),
        Some(serde_json::Value::String(_)) => {
            let why = format!("evidence: not of mode {}", report.mode);
            return Err(CallbackError::Malformed(why));
        }
        Some(_) => return Err(CallbackError::Malformed("evidence: not a text".to_owned())),
        None => None,
    };
    if body.len() - sent.map_or(0, String::len) > MAX_BODY_BYTES {
        return Err(CallbackError::TooLarge);
    }
    let evidence = sent.map(|sent| unpacked(sent, &report)).transpose()?;
    Ok(Posted {
        report: cleaned(report),
        evidence,
    })
}

fn unpacked(sent: &str, report: &ScriptReport) -> Result<Bytes, CallbackError> {
    if sent.len() > MAX_ENCODED_BYTES {
        return Err(CallbackError::EvidenceTooLarge);
    }
    let malformed = |why: String| CallbackError::Malformed(format!("evidence: {why}"));
    let packed = STANDARD
        .decode(sent)
        .map_err(|e| malformed(e.to_string()))?;
    let mut document = Vec::new();
    // No more than it takes to see that it is too much: a few bytes can unpack to anything.
    let most = MAX_DOCUMENT_BYTES as u64 + 1;
    let unpacking = GzDecoder::new(packed.as_slice()).take(most);
    let read = { unpacking }.read_to_end(&mut document);
    read.map_err(|e| malformed(e.to_string()))?;
    if document.len() > MAX_DOCUMENT_BYTES {
        return Err(CallbackError::EvidenceTooLarge);
    }
    EvidenceDocument::read(&document, &report.job_id, &report.device).map_err(malformed)?;
    Ok(document.into())
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
mod tests;

//! Triage evidence: what a device remembers of an attack and a restart may destroy, so it is taken before
//! anything is installed.
//!
//! Who asks for it: the row "3 days & forensic investigation" of CISA BOD 26-04
//! ([`crate::vulnerability::deadline`]), or a person who asks for a plan.

use serde::{Deserialize, Serialize};

use crate::{
    audit::AuditRecord,
    ids::{DeviceId, JobId, PersonId},
    people::Identity,
};

/// Longest text of field `evidence` of a report, in bytes: base64 of what gzip made of the document.
pub const MAX_ENCODED_BYTES: usize = 256 * 1024;
/// Longest document, unpacked, in bytes.
pub const MAX_DOCUMENT_BYTES: usize = 4 * 1024 * 1024;
/// Most sections of a document.
const MAX_SECTIONS: usize = 64;
/// What the audit trail of a device run says of evidence that is kept.
pub const STORED: &str = "evidence_stored";
/// What it says of other evidence of the same job, which is not kept.
pub const REFUSED: &str = "evidence_refused";
/// Form of the document that this program reads.
pub const FORMAT: u32 = 1;

/// Of which devices of a plan evidence is taken first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EvidenceRule {
    /// Of those on which the plan closes something that asks for it.
    #[default]
    AsDeadlinesSay,
    /// Of all.
    Required,
    /// Of none, whatever deadlines say. A person has to approve such a plan.
    Waived(PlanWaiver),
}

impl EvidenceRule {
    /// Returns who does without evidence and why, if the plan says so.
    #[must_use]
    pub fn waiver(&self) -> Option<&PlanWaiver> {
        match self {
            Self::Waived(waiver) => Some(waiver),
            Self::AsDeadlinesSay | Self::Required => None,
        }
    }
}

/// Who does without evidence in a whole plan, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanWaiver {
    /// Who; a claim, like all of a plan file.
    pub by: PersonId,
    /// Why.
    pub reason: String,
}

/// Who lets a device be patched without evidence, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Waiver {
    /// Who.
    pub by: PersonId,
    /// Why.
    pub reason: String,
    /// How sure we are who it was.
    pub identity: Identity,
}

impl From<&PlanWaiver> for Waiver {
    fn from(plan: &PlanWaiver) -> Self {
        Self {
            by: plan.by.clone(),
            reason: plan.reason.clone(),
            identity: Identity::Claimed,
        }
    }
}

/// Evidence that is in the storage of objects.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoredEvidence {
    /// Key of the object.
    pub key: String,
    /// SHA-256 of its bytes, 64 hex digits.
    pub sha256: String,
    /// Its size in bytes.
    pub bytes: u64,
}

impl StoredEvidence {
    /// Names it in an audit entry: its key, then its hash.
    #[must_use]
    pub fn named(&self) -> Vec<String> {
        vec![self.key.clone(), format!("sha256:{}", self.sha256)]
    }

    /// Reads it out of an audit entry that [`Self::named`] has made.
    #[must_use]
    pub fn of_record(record: &AuditRecord) -> Option<Self> {
        let [key, hash] = record.evidence.as_slice() else {
            return None;
        };
        Some(Self {
            key: key.clone(),
            sha256: hash.strip_prefix("sha256:")?.to_owned(),
            bytes: record.detail.get("bytes")?.as_u64()?,
        })
    }
}

/// What a device script has collected, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EvidenceDocument {
    /// Form of the document: [`FORMAT`].
    pub format: u32,
    /// The job it was taken by.
    pub job_id: JobId,
    /// The device it is of.
    pub device: DeviceId,
    /// When it was taken, by the clock of the device.
    pub taken_at: String,
    /// What was collected, in the order of collection.
    pub sections: Vec<EvidenceSection>,
}

/// One kind of facts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EvidenceSection {
    /// Kind, such as `processes`.
    pub name: String,
    /// There was more than was kept.
    #[serde(default)]
    pub truncated: bool,
    /// Facts, one a line; untrusted text.
    pub lines: Vec<String>,
}

impl EvidenceDocument {
    /// Reads a document, and checks that it is of this job and device.
    ///
    /// # Errors
    /// In words, when it is something else.
    pub fn read(bytes: &[u8], job: &JobId, device: &DeviceId) -> Result<Self, String> {
        let document: Self = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if document.format != FORMAT {
            return Err(format!(
                "format: `{}` is not allowed: {FORMAT}",
                document.format
            ));
        }
        if document.job_id != *job || document.device != *device {
            return Err(format!(
                "jobId and device: `{}` of `{}` is not allowed: those of the report",
                document.job_id, document.device
            ));
        }
        if document.sections.is_empty() || document.sections.len() > MAX_SECTIONS {
            return Err(format!(
                "sections: `{} sections` is not allowed: 1 to {MAX_SECTIONS}",
                document.sections.len()
            ));
        }
        Ok(document)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::input::from_json;

    #[test]
    fn a_rule_is_a_word_or_names_who_waives_it_and_why() {
        for (written, meant) in [
            (json!("as_deadlines_say"), EvidenceRule::AsDeadlinesSay),
            (json!("required"), EvidenceRule::Required),
            (
                json!({ "waived": { "by": "lee", "reason": "imaged by the insurer" } }),
                EvidenceRule::Waived(PlanWaiver {
                    by: "lee".parse().unwrap(),
                    reason: "imaged by the insurer".into(),
                }),
            ),
        ] {
            assert_eq!(from_json::<EvidenceRule>(&written), Ok(meant.clone()));
            assert_eq!(serde_json::to_value(meant).unwrap(), written);
        }
        for (wrong, said) in [
            (json!("never"), "required"),
            (json!({ "waived": { "by": "lee" } }), "reason"),
            (json!({ "waived": { "by": "lee", "why": "x" } }), "reason"),
        ] {
            let error = from_json::<EvidenceRule>(&wrong).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
    }

    #[test]
    fn a_document_is_of_its_job_and_device_and_no_other() {
        let (job, device) = (
            "p/81/evidence-all-0".parse().unwrap(),
            "81".parse().unwrap(),
        );
        let document = |change: serde_json::Value| {
            let mut document = json!({
                "format": 1, "jobId": "p/81/evidence-all-0", "device": "81", "takenAt": "2026-11-28T10:00:00Z",
                "sections": [{ "name": "processes", "truncated": true, "lines": ["1 init"] }],
            });
            for (field, value) in change.as_object().unwrap() {
                document[field] = value.clone();
            }
            EvidenceDocument::read(document.to_string().as_bytes(), &job, &device)
        };
        let read = document(json!({})).unwrap();
        assert!(read.sections[0].truncated);
        for wrong in [
            json!({ "format": 2 }),
            json!({ "jobId": "p/82/evidence-all-0" }),
            json!({ "device": "82" }),
            json!({ "sections": [] }),
            json!({ "sections": "none" }),
        ] {
            assert!(document(wrong.clone()).is_err(), "{wrong}");
        }
    }
}

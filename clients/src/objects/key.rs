//! Keys of objects: which shelf, and where on it.

use std::{fmt, str::FromStr};

use domain::{
    ids::{ClientId, DeviceId, PlanId},
    input::{InvalidInput, Problem},
};
use jiff::{Timestamp, civil::Date, tz::TimeZone};
use object_store::path::Path;

/// Longest key; S3 takes 1024 bytes.
const LONGEST: usize = 512;
const ALLOWED: &str = "parts with slashes between them, each of A-Z a-z 0-9 . _ -, beginning with a letter or digit; \
                       at most 512 characters; the first part is playbooks, logs or reports";

/// What kind of object it is. On S3 each kind has a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Shelf {
    /// Versions of playbooks: written once, kept for ever.
    Playbooks,
    /// Execution logs and seals: written once, locked for a time.
    Logs,
    /// Reports: may be made again.
    Reports,
}

impl Shelf {
    /// Every shelf.
    pub const ALL: [Self; 3] = [Self::Playbooks, Self::Logs, Self::Reports];

    /// Returns the first part of its keys.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Playbooks => "playbooks",
            Self::Logs => "logs",
            Self::Reports => "reports",
        }
    }
}

/// Names an object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKey(String);

impl ObjectKey {
    /// Names a version of a playbook.
    ///
    /// # Errors
    /// When the name cannot be part of a key.
    pub fn playbook(name: &str, version: u32) -> Result<Self, InvalidInput> {
        format!("playbooks/{name}/{version:08}").parse()
    }

    /// Names a copy of audit entries of a client on a day.
    ///
    /// # Errors
    /// When the client's id cannot be part of a key.
    pub fn audit_part(client: &ClientId, day: Date, number: u32) -> Result<Self, InvalidInput> {
        format!("{}/{number:08}.jsonl", Self::audit_day(client, day)?).parse()
    }

    /// Names the folder of these copies.
    ///
    /// # Errors
    /// As [`Self::audit_part`].
    pub fn audit_day(client: &ClientId, day: Date) -> Result<Self, InvalidInput> {
        format!("logs/clients/{client}/{day}/audit").parse()
    }

    /// Names a seal.
    ///
    /// # Errors
    /// Never: there is no such number.
    pub fn seal(sequence: u64) -> Result<Self, InvalidInput> {
        format!("{}/{sequence:020}.json", Self::seals()?).parse()
    }

    /// Names the folder of seals.
    ///
    /// # Errors
    /// Never.
    pub fn seals() -> Result<Self, InvalidInput> {
        "logs/seals".parse()
    }

    /// Names the evidence that a job has taken of a device; `job` is the part of its id behind plan and
    /// device.
    ///
    /// # Errors
    /// When an id cannot be part of a key.
    pub fn evidence(
        client: &ClientId,
        plan: &PlanId,
        device: &DeviceId,
        job: &str,
    ) -> Result<Self, InvalidInput> {
        let job = job.replace('/', "-");
        format!("{}/{device}/{job}.json", Self::evidence_of(client, plan)?).parse()
    }

    /// Names the folder of the evidence of a plan.
    ///
    /// # Errors
    /// When an id cannot be part of a key.
    pub fn evidence_of(client: &ClientId, plan: &PlanId) -> Result<Self, InvalidInput> {
        format!("logs/evidence/{client}/{plan}").parse()
    }

    /// Names a file of a report of a campaign; `number` tells reports of one minute apart, from 1.
    ///
    /// # Errors
    /// When an id cannot be part of a key.
    pub fn campaign_report(
        client: &ClientId,
        campaign: &PlanId,
        (at, number): (Timestamp, u32),
        ending: &str,
    ) -> Result<Self, InvalidInput> {
        let minute = TimeZone::UTC.to_datetime(at).strftime("%Y-%m-%dT%H-%M");
        let number = match number {
            1 => String::new(),
            more => format!("-{more}"),
        };
        format!("reports/{client}/campaigns/{campaign}/{minute}{number}.{ending}").parse()
    }

    /// Returns the key as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the number at its end, before a dot.
    #[must_use]
    pub fn number(&self) -> Option<u64> {
        let name = self.0.rsplit('/').next()?;
        name.split('.').next()?.parse().ok()
    }

    pub(super) fn shelf(&self) -> Shelf {
        let first = self.0.split('/').next().unwrap_or_default();
        let known = Shelf::ALL.into_iter().find(|shelf| shelf.as_str() == first);
        // It was parsed.
        known.unwrap_or(Shelf::Reports)
    }

    pub(super) fn path(&self) -> Path {
        Path::from(self.0.as_str())
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ObjectKey {
    type Err = InvalidInput;

    fn from_str(text: &str) -> Result<Self, InvalidInput> {
        let is_part = |part: &str| {
            part.starts_with(|c: char| c.is_ascii_alphanumeric())
                && part
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))
        };
        let of_shelf = |shelf: Shelf| {
            let rest = text.strip_prefix(shelf.as_str());
            rest.is_some_and(|rest| rest.starts_with('/'))
        };
        let fits = text.len() <= LONGEST
            && text.split('/').all(is_part)
            && Shelf::ALL.into_iter().any(of_shelf);
        if fits {
            return Ok(Self(text.to_owned()));
        }
        let shown: String = text.chars().take(80).collect();
        Err(InvalidInput::one(Problem::new("key", &shown, ALLOWED)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_says_what_it_is() {
        let client = "7".parse().unwrap();
        let day = "2026-11-27".parse().unwrap();
        let part = ObjectKey::audit_part(&client, day, 2).unwrap();
        assert_eq!(
            part.as_str(),
            "logs/clients/7/2026-11-27/audit/00000002.jsonl"
        );
        assert_eq!((part.shelf(), part.number()), (Shelf::Logs, Some(2)));
        let playbook = ObjectKey::playbook("restart-service", 3).unwrap();
        assert_eq!(
            (playbook.shelf(), playbook.number()),
            (Shelf::Playbooks, Some(3))
        );
        assert_eq!(ObjectKey::seal(7).unwrap().number(), Some(7));
        let (plan, device) = ("p-1".parse().unwrap(), "81".parse().unwrap());
        let evidence = ObjectKey::evidence(&client, &plan, &device, "2/evidence-all-0").unwrap();
        assert_eq!(
            evidence.as_str(),
            "logs/evidence/7/p-1/81/2-evidence-all-0.json"
        );
        assert_eq!(evidence.shelf(), Shelf::Logs);
        let at = "2026-11-27T09:05:59Z".parse().unwrap();
        let campaign = "c-1".parse().unwrap();
        for (number, name) in [(1, "2026-11-27T09-05.csv"), (2, "2026-11-27T09-05-2.csv")] {
            let report = ObjectKey::campaign_report(&client, &campaign, (at, number), "csv");
            let report = report.unwrap();
            assert_eq!(report.as_str(), format!("reports/7/campaigns/c-1/{name}"));
            assert_eq!(report.shelf(), Shelf::Reports);
        }
    }

    #[test]
    fn a_key_cannot_leave_its_shelf() {
        let long = format!("logs/{}", "a".repeat(LONGEST));
        for bad in [
            "",
            "logs",
            "logs/",
            "logs//a",
            "logs/../playbooks/a",
            "/logs/a",
            "other/a",
            "logs/.hidden",
            "logs/a b",
            "logs/a%2e",
            "logs/a#1",
            "logs/ä",
            &long,
        ] {
            assert!(bad.parse::<ObjectKey>().is_err(), "{bad}");
        }
        assert!(ObjectKey::playbook("../x", 1).is_err());
    }
}

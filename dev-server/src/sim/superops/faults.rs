//! Trouble on demand, set by `POST /faults`.

use std::collections::{BTreeMap, BTreeSet};

use domain::input::{InvalidInput, from_json};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// All trouble that is asked for. Counts go down as they are used.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Faults {
    /// Every answer of the API comes this late.
    pub latency_ms: u64,
    /// The next requests fail.
    pub fail_next: Option<FailNext>,
    /// The next mutations get an internal error.
    pub ambiguous_writes: Option<AmbiguousWrites>,
    /// Reports of scripts get lost.
    pub drop_callbacks: DropCallbacks,
    /// The next reports are posted twice.
    pub duplicate_callbacks: u32,
    /// The next reports come only after the next one of their device.
    pub late_callbacks: u32,
    /// Devices whose patch scan never comes.
    pub stale_scans: BTreeSet<String>,
    /// Trouble with one update, by KB digits.
    pub kbs: BTreeMap<String, KbFault>,
    /// Alerts of disks, processors, backups and links, in a simulated hour.
    pub noise_per_hour: u32,
    /// Trouble with one device, by id.
    pub devices: BTreeMap<String, DeviceFault>,
    /// Installations tried so far, by KB: for "every nth".
    #[serde(skip)]
    attempts: BTreeMap<String, u32>,
}

/// How requests fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailWith {
    /// HTTP 500.
    Http500,
    /// HTTP 200 with the rate limit error.
    RateLimit,
    /// The connection closes without an answer.
    Drop,
}

/// The next requests that fail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FailNext {
    /// How many.
    pub count: u32,
    /// How.
    pub with: FailWith,
    /// The request is carried out all the same; only its answer is lost.
    #[serde(default)]
    pub applied: bool,
}

/// The next mutations that are answered with an internal error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AmbiguousWrites {
    /// How many.
    pub count: u32,
    /// Carried out, or not.
    pub applied: bool,
}

/// Reports that get lost, all attempts of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DropCallbacks {
    /// The next so many.
    pub count: u32,
    /// All of these devices.
    pub devices: BTreeSet<String>,
}

/// Trouble with one update.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KbFault {
    /// The installation fails on these devices.
    pub fails_on: BTreeSet<String>,
    /// Every nth installation fails.
    pub fails_every: Option<u32>,
    /// The installation works and something else breaks.
    pub breaks: Option<Breaks>,
    /// Windows refuses to remove it.
    pub not_removable: bool,
}

/// What breaks once the update is in effect, until it is removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Breaks {
    /// Only on these devices; everywhere if empty.
    pub devices: BTreeSet<String>,
    /// Services that stop.
    pub services: BTreeSet<String>,
    /// An alert is raised.
    pub critical_alert: bool,
    /// Its severity.
    pub severity: String,
}

impl Default for Breaks {
    fn default() -> Self {
        Self {
            devices: BTreeSet::new(),
            services: BTreeSet::from(["Spooler".to_owned()]),
            critical_alert: true,
            severity: "Critical".to_owned(),
        }
    }
}

/// Trouble with one device.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DeviceFault {
    /// Offline for as long as this is set.
    pub offline: bool,
    /// Goes offline at the end of its next installation, before it can report.
    pub offline_after_install: bool,
    /// Does not come back from a restart until `POST /devices/{id}` says so.
    pub never_back_after_reboot: bool,
    /// Evidence cannot be collected on it.
    pub evidence_fails: bool,
    /// It collects more evidence than the receiver takes.
    pub evidence_too_large: bool,
}

impl Faults {
    /// Replaces the named parts and keeps the others.
    pub(super) fn merged(&self, change: &Value) -> Result<Self, InvalidInput> {
        let mut all = serde_json::to_value(self).unwrap_or_default();
        let checked: Self = from_json(change)?;
        let (Some(all), Some(change)) = (all.as_object_mut(), change.as_object()) else {
            return Ok(checked);
        };
        all.extend(change.clone());
        let mut merged: Self = from_json(&Value::Object(all.clone()))?;
        merged.attempts.clone_from(&self.attempts);
        Ok(merged)
    }

    pub(super) fn take_failure(&mut self) -> Option<FailNext> {
        let next = self.fail_next.as_mut().filter(|next| next.count > 0)?;
        next.count -= 1;
        Some(next.clone())
    }

    pub(super) fn take_ambiguous(&mut self) -> Option<AmbiguousWrites> {
        let next = self
            .ambiguous_writes
            .as_mut()
            .filter(|next| next.count > 0)?;
        next.count -= 1;
        Some(next.clone())
    }

    pub(super) fn take_dropped_callback(&mut self, device: &str) -> bool {
        if self.drop_callbacks.devices.contains(device) {
            return true;
        }
        let dropped = self.drop_callbacks.count > 0;
        self.drop_callbacks.count = self.drop_callbacks.count.saturating_sub(1);
        dropped
    }

    pub(super) fn take_duplicate_callback(&mut self) -> bool {
        let twice = self.duplicate_callbacks > 0;
        self.duplicate_callbacks = self.duplicate_callbacks.saturating_sub(1);
        twice
    }

    pub(super) fn take_late_callback(&mut self) -> bool {
        let late = self.late_callbacks > 0;
        self.late_callbacks = self.late_callbacks.saturating_sub(1);
        late
    }

    /// Counts one installation and says whether it fails.
    pub(super) fn installation_fails(&mut self, kb: &str, device: &str) -> bool {
        let attempts = self.attempts.entry(kb.to_owned()).or_default();
        *attempts += 1;
        let Some(fault) = self.kbs.get(kb) else {
            return false;
        };
        fault.fails_on.contains(device)
            || fault
                .fails_every
                .is_some_and(|n| n > 0 && attempts.is_multiple_of(n))
    }

    pub(super) fn breaks(&self, kb: &str, device: &str) -> Option<Breaks> {
        let breaks = self.kbs.get(kb)?.breaks.as_ref()?;
        (breaks.devices.is_empty() || breaks.devices.contains(device)).then(|| breaks.clone())
    }

    pub(super) fn device(&self, device: &str) -> DeviceFault {
        self.devices.get(device).cloned().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_change_keeps_what_it_does_not_name() {
        let faults = Faults::default()
            .merged(&json!({ "latency_ms": 20 }))
            .unwrap();
        let faults = faults
            .merged(&json!({ "fail_next": { "count": 2, "with": "rate_limit" } }))
            .unwrap();
        assert_eq!(
            (faults.latency_ms, faults.fail_next.unwrap().count),
            (20, 2)
        );
    }

    #[test]
    fn a_typo_is_named() {
        let text = Faults::default()
            .merged(&json!({ "latency": 20 }))
            .unwrap_err()
            .to_string();
        assert!(text.contains("latency_ms"), "{text}");
    }

    #[test]
    fn every_nth_installation_fails() {
        let mut faults = Faults::default()
            .merged(&json!({ "kbs": { "5034441": { "fails_every": 3 } } }))
            .unwrap();
        let failed: Vec<bool> = (0..6)
            .map(|_| faults.installation_fails("5034441", "1"))
            .collect();
        assert_eq!(failed, [false, false, true, false, false, true]);
    }
}

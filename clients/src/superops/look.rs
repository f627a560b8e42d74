//! Evidence of a suspect device. Each request first takes from a small budget of its own, so that
//! incidents never take what patching needs.

use domain::{
    cause::{Figures, ScriptRuns},
    ids::DeviceId,
};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::{
    SuperOps, SuperOpsError,
    operations::{DeviceSummary, device_summary},
    read,
};

/// Name of the shared bucket that requests for evidence take from, on top of [`super::BUCKET`].
pub const EVIDENCE_BUCKET: &str = "superops_evidence";
/// Script runs older than this say nothing about trouble of now.
const RECENT: SignedDuration = SignedDuration::from_hours(24);

impl SuperOps {
    /// Asks how busy a device is. What is not said, or not as a share, is absent.
    ///
    /// # Errors
    /// As [`SuperOpsError`]; `Throttled` also when the budget for evidence is used up.
    pub async fn device_figures(&self, device: &DeviceId) -> Result<Figures, SuperOpsError> {
        self.transport.take(EVIDENCE_BUCKET).await?;
        let call = read("device", device.as_str());
        let input = device_summary::AssetIdentifierInput {
            asset_id: device.to_string(),
        };
        let data = self
            .post::<DeviceSummary>(call, device_summary::Variables { input })
            .await?;
        let summary = data.get_asset_summary.ok_or_else(|| call.not_found())?;
        let cpu = summary.cpu.and_then(|cpu| percent(cpu.cpu_usage.as_ref()));
        let memory = summary.memory.and_then(|memory| {
            percent(memory.memory_usage.as_ref()).or_else(|| {
                share(
                    number(memory.used_memory.as_ref())?,
                    number(memory.total_memory.as_ref())?,
                )
            })
        });
        let disks = summary.disk.and_then(|disk| disk.disks).unwrap_or_default();
        let disks = disks.into_iter().flatten().filter_map(|disk| {
            percent(disk.drive_usage.as_ref()).or_else(|| {
                let size = number(disk.size.as_ref())?;
                share(size - number(disk.free_size.as_ref())?, size)
            })
        });
        Ok(Figures {
            cpu_permille: cpu,
            memory_permille: memory,
            disk_permille: disks.max(),
        })
    }

    /// Counts the script runs on a device within the day before `now`; one page of its activity.
    ///
    /// # Errors
    /// As [`SuperOpsError`]; `Throttled` also when the budget for evidence is used up.
    pub async fn recent_scripts(
        &self,
        device: &DeviceId,
        now: Timestamp,
    ) -> Result<ScriptRuns, SuperOpsError> {
        self.transport.take(EVIDENCE_BUCKET).await?;
        let page = self.device_activity(device, 1).await?;
        let since = now.checked_sub(RECENT).unwrap_or(Timestamp::MIN);
        let recent = page.items.iter();
        let recent = recent.filter(|row| row.created_at.is_some_and(|at| at >= since));
        let (mut runs, mut failed, mut times) = (0, 0, Vec::new());
        for row in recent {
            runs += 1;
            let status = row.status.as_deref().unwrap_or_default();
            failed += u32::from(status.to_ascii_lowercase().contains("fail"));
            times.extend(row.created_at);
        }
        times.sort_unstable_by(|one, other| other.cmp(one));
        times.truncate(ScriptRuns::TIMES);
        Ok(ScriptRuns {
            runs,
            failed,
            newest: times.first().copied(),
            times,
        })
    }
}

/// Reads a number, also one that is sent as text, with or without `%`.
fn number(value: Option<&Value>) -> Option<f64> {
    let number = match value? {
        Value::Number(number) => number.as_f64()?,
        Value::String(text) => text.trim().trim_end_matches('%').trim().parse().ok()?,
        _ => return None,
    };
    (number.is_finite() && number >= 0.0).then_some(number)
}

/// Reads a percentage.
fn percent(value: Option<&Value>) -> Option<u16> {
    share(number(value)?, 100.0)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "0 to 1000"
)]
fn share(part: f64, whole: f64) -> Option<u16> {
    let share = part / whole * 1000.0;
    // More than all is no share of it: another unit, or a mistake.
    (whole > 0.0 && (0.0..=1000.0).contains(&share)).then(|| share.round() as u16)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_percentage_is_read_in_every_form_and_nonsense_is_not() {
        for (value, expected) in [
            (json!(97.5), Some(975)),
            (json!("97.5"), Some(975)),
            (json!("97.5 %"), Some(975)),
            (json!(0), Some(0)),
            (json!(100), Some(1000)),
            (json!(8_192), None),
            (json!(-1), None),
            (json!("busy"), None),
            (json!(null), None),
            (json!([1]), None),
        ] {
            assert_eq!(percent(Some(&value)), expected, "{value}");
        }
        assert_eq!(percent(None), None);
        assert_eq!(share(6.0, 8.0), Some(750));
        assert_eq!(share(1.0, 0.0), None);
    }
}

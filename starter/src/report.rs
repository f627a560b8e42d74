//! How a deployment ended: for people a table and a few lines, for programs one document, for
//! scripts an exit status.

use anyhow::anyhow;
use clients::store::Store;
use domain::{
    deployment::DeploymentMetrics,
    ids::{DeviceId, PlanId},
    outcome::{DeploymentOutcome, DeviceOutcome, OutcomeCounts},
};
use serde::Serialize;

use crate::{
    output::{self, USAGE_OR_CONNECTION},
    setup::Setup,
    temporal::End,
    words,
};

/// Device rows read at once.
const PAGE: usize = 200;

/// How one device ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DeviceEnd {
    /// Device.
    pub device: DeviceId,
    /// Its display name, if the inventory knows it.
    pub name: Option<String>,
    /// Index of its ring.
    pub ring: u32,
    /// Attempt that led to it.
    pub attempt: u32,
    /// How it ended.
    pub outcome: DeviceOutcome,
    /// A few words.
    pub detail: String,
}

/// The end of a deployment, as programs read it.
#[derive(Debug, Serialize)]
struct Report<'a> {
    plan: &'a PlanId,
    workflow_id: String,
    ended: &'static str,
    outcome: Option<DeploymentOutcome>,
    detail: &'a str,
    counts: OutcomeCounts,
    plan_hash: Option<&'a str>,
    metrics: Option<&'a DeploymentMetrics>,
    devices: Vec<DeviceEnd>,
    exit_status: u8,
}

/// Returns the exit status that stands for an end.
#[must_use]
pub fn exit_status(end: &End) -> u8 {
    match end {
        End::Completed(result) => result.outcome.exit_status(),
        End::Failed(_) => USAGE_OR_CONNECTION,
        End::Stopped(_) => DeploymentOutcome::Aborted.exit_status(),
    }
}

/// Prints how it ended and returns the exit status.
///
/// # Errors
/// When the report cannot be printed.
pub async fn print(
    setup: &Setup,
    plan: &PlanId,
    workflow_id: &str,
    end: &End,
) -> anyhow::Result<u8> {
    // The result stands without the rows: a starter far from the store still tells how it ended.
    let devices = match devices(setup, plan).await {
        Ok(devices) => devices,
        Err(error) => {
            output::remark(format!("devices cannot be listed: {error:#}"));
            Vec::new()
        }
    };
    let exit_status = exit_status(end);
    let (ended, detail, result) = match end {
        End::Completed(result) => ("completed", result.detail.as_str(), Some(result)),
        End::Failed(message) => ("failed", message.as_str(), None),
        End::Stopped(how) => (*how, "ended from outside", None),
    };
    if setup.format.is_json() {
        output::json(&Report {
            plan,
            workflow_id: workflow_id.to_owned(),
            ended,
            outcome: result.map(|result| result.outcome),
            detail,
            counts: result
                .map(|result| result.counts.clone())
                .unwrap_or_default(),
            plan_hash: result.and_then(|result| result.plan_hash.as_deref()),
            metrics: result.and_then(|result| result.metrics.as_ref()),
            devices,
            exit_status,
        })?;
        return Ok(exit_status);
    }
    if !devices.is_empty() {
        table(devices);
    }
    match result {
        Some(result) => {
            let outcome = words::plain(result.outcome.as_str());
            // Some details begin with the outcome.
            let ended = match detail.starts_with(&outcome) {
                true => detail.to_owned(),
                false => format!("{outcome}: {detail}"),
            };
            output::line(format!("plan {plan} ended: {ended}"));
            output::line(format!("devices: {}", words::counts(&result.counts)));
            if let Some(metrics) = &result.metrics {
                output::line(format!(
                    "took {} s in all, {} s of it waiting for approval, {} s deploying; {} per mille of attempted devices verified",
                    metrics.total_secs,
                    metrics.approval_secs,
                    metrics.deploy_secs,
                    metrics.success_permille,
                ));
            }
        }
        None => output::error(&anyhow!("plan {plan} {ended}: {detail}")),
    }
    Ok(exit_status)
}

fn table(mut devices: Vec<DeviceEnd>) {
    devices.sort_by(|a, b| (a.outcome, &a.device).cmp(&(b.outcome, &b.device)));
    let row = |end: DeviceEnd| {
        let outcome = words::plain(end.outcome.as_str());
        [
            end.device.to_string(),
            end.name.unwrap_or_default(),
            outcome,
            output::short(end.detail, 200),
        ]
    };
    output::table(
        ["device", "name", "outcome", "detail"],
        devices.into_iter().map(row),
    );
}

async fn devices(setup: &Setup, plan: &PlanId) -> anyhow::Result<Vec<DeviceEnd>> {
    let Store {
        executions,
        inventory,
        ..
    } = setup.store().await?;
    let mut ends = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let page = executions
            .list_device_rows(plan, None, cursor.as_deref(), PAGE)
            .await?;
        for row in page.items {
            let known = inventory.get_device(&row.result.device).await?;
            ends.push(DeviceEnd {
                device: row.result.device,
                name: known.map(|device| device.name),
                ring: row.ring,
                attempt: row.attempt,
                outcome: row.result.outcome,
                detail: row.result.detail,
            });
        }
        match page.next {
            Some(next) => cursor = Some(next),
            None => return Ok(ends),
        }
    }
}

#[cfg(test)]
mod tests {
    use contracts::deployment::DeploymentResult;

    use super::*;

    #[test]
    fn every_end_has_its_exit_status() {
        use DeploymentOutcome as D;
        let outcomes = [
            (D::Verified, 0),
            (D::Rejected, 2),
            (D::TimedOut, 2),
            (D::Forbidden, 2),
            (D::RolledBack, 3),
            (D::Incomplete, 4),
            (D::Aborted, 5),
        ];
        for (outcome, status) in outcomes {
            let end = End::Completed(Box::new(DeploymentResult {
                outcome,
                detail: String::new(),
                counts: OutcomeCounts::default(),
                plan_hash: None,
                metrics: None,
            }));
            assert_eq!(exit_status(&end), status, "{outcome:?}");
        }
        assert_eq!(exit_status(&End::Failed("no such client".into())), 1);
        assert_eq!(exit_status(&End::Stopped("terminated")), 5);
    }
}

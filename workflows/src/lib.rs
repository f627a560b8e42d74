//! When things happen: deterministic orchestration. Handlers only record; `run` acts.

pub mod alert_ingest;
pub mod alert_processing;
mod approvals;
mod call;
pub mod campaign_report;
mod clock;
pub mod daily_seal;
pub mod device_patch;
mod failure;
pub mod incident_response;
pub mod intel_sync;
mod letters;
mod options;
pub mod patch_campaign;
pub mod patch_deployment;
mod show;

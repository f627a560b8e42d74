//! Every recorded history replays with today's workflows. `make histories` records them anew.

#![expect(clippy::unwrap_used, reason = "a check that cannot look has to fail")]

use autoops_tests::histories::{IDENTITY, recorded};
use contracts::converter::data_converter;
use prost::Message;
use temporalio_common::protos::temporal::api::history::v1::{History, history_event::Attributes};
use temporalio_sdk::workflow_replayer::{WorkflowReplayer, WorkflowReplayerOptions};
use workflows::{
    alert_ingest::AlertIngest, alert_processing::AlertProcessing, campaign_report::CampaignReport,
    daily_seal::DailySeal, device_patch::DevicePatch, incident_response::IncidentResponse,
    intel_sync::IntelSync, patch_campaign::PatchCampaign, patch_deployment::PatchDeployment,
};

/// Stories that must be among the recorded ones.
const STORIES: [&str; 19] = [
    "aborted",
    "alerts_read",
    "alerts_triaged",
    "approved",
    "campaign",
    "campaign_report",
    "continued_as_new",
    "continued_as_new_2",
    "device_evidence_waived",
    "device_needs_human",
    "device_rolled_back",
    "device_verified",
    "evidence_waived",
    "facts_read",
    "incident_answered",
    "rejected",
    "rolled_back",
    "sealed",
    "timed_out",
];

fn replayer() -> WorkflowReplayer {
    let options = WorkflowReplayerOptions::new()
        .register_workflow::<PatchDeployment>()
        .unwrap()
        .register_workflow::<DevicePatch>()
        .unwrap()
        .register_workflow::<DailySeal>()
        .unwrap()
        .register_workflow::<IntelSync>()
        .unwrap()
        .register_workflow::<PatchCampaign>()
        .unwrap()
        .register_workflow::<CampaignReport>()
        .unwrap()
        .register_workflow::<IncidentResponse>()
        .unwrap()
        .register_workflow::<AlertIngest>()
        .unwrap()
        .register_workflow::<AlertProcessing>()
        .unwrap()
        .data_converter(data_converter())
        .build();
    WorkflowReplayer::new(options).unwrap()
}

/// Returns why each history does not replay.
async fn failures(histories: &[(String, History)]) -> Vec<Option<String>> {
    let all = histories.iter().map(|(_, history)| history.clone().into());
    let results = replayer().replay_workflows(all).await.unwrap();
    let failures = results.into_iter().map(|result| result.replay_failure);
    failures.map(|f| f.map(|f| f.to_string())).collect()
}

#[tokio::test]
async fn every_recorded_history_replays() {
    let histories = recorded();
    let names: Vec<_> = histories.iter().map(|(name, _)| name.as_str()).collect();
    for story in STORIES {
        assert!(
            names.contains(&story),
            "{story} is not recorded: make histories"
        );
    }
    for ((name, _), failure) in histories.iter().zip(failures(&histories).await) {
        assert_eq!(failure, None, "{name}");
    }
}

#[tokio::test]
async fn a_history_of_other_workflows_does_not_replay() {
    let mut histories = recorded();
    for (name, history) in &mut histories {
        assert!(swap_last_activity(history), "{name} runs no activity");
    }
    for ((name, _), failure) in histories.iter().zip(failures(&histories).await) {
        assert!(failure.is_some(), "{name} replays although it was changed");
    }
}

/// Gives the last activity of a history another name, as a workflow would that was changed there.
fn swap_last_activity(history: &mut History) -> bool {
    for event in history.events.iter_mut().rev() {
        if let Some(Attributes::ActivityTaskScheduledEventAttributes(activity)) =
            &mut event.attributes
            && let Some(kind) = &mut activity.activity_type
        {
            kind.name = "other.activity".to_owned();
            return true;
        }
    }
    false
}

#[test]
fn recorded_histories_hold_no_secrets_and_no_names() {
    for (name, history) in recorded() {
        // Payloads are plain JSON inside.
        let bytes = history.encode_to_vec();
        let text = String::from_utf8_lossy(&bytes);
        for word in ["Display Name", "callbackUrl", "callback_url", "\"token\""] {
            assert!(!text.contains(word), "{name} holds {word}");
        }
        let shown = serde_json::to_string(&history).unwrap();
        for part in shown.split(r#""identity":""#).skip(1) {
            let identity = part.split('"').next().unwrap_or_default();
            assert!(
                identity == IDENTITY || identity.is_empty(),
                "{name} holds {identity}"
            );
        }
    }
}

//! Evidence before the installation: what a restart would destroy is taken first, or a person lets the
//! device be patched without it. Nothing is done to the device before that.

use contracts::{
    activities::approvals::{Authorize, AuthorizeInput},
    deployment::EvidenceMissing,
    device::{DeviceStage, EvidenceNeed, WaiverInput},
    ids,
};
use domain::{
    audit::Actor,
    evidence::{STORED, StoredEvidence, Waiver},
    input::{InvalidInput, Problem},
    outcome::DeviceOutcome,
    people::{Authority, ControlAction, Identity},
    script::{ScriptMode, ScriptOutcome},
};
use temporalio_workflow::{SignalWorkflowOptions, WorkflowCancellationToken};

use super::{
    attempt::{Attempt, Ends, OpenWindow},
    script::{Job, Ran},
};
use crate::{approvals, clock, options, patch_deployment::PatchDeployment};

impl Attempt {
    /// Takes the evidence that the plan asks for. True when a person had to be waited for: hours may have
    /// gone, and what was asked before is out of date.
    pub(super) async fn take_evidence(&self, window: OpenWindow) -> Result<bool, Ends> {
        match &self.input.evidence {
            EvidenceNeed::NotNeeded | EvidenceNeed::Stored(_) => return Ok(false),
            EvidenceNeed::Waived(waiver) => {
                self.note_waiver(waiver).await;
                return Ok(false);
            }
            EvidenceNeed::First => {}
        }
        if self.is_waived().await {
            return Ok(false);
        }
        self.renew_lease().await?;
        self.stage(DeviceStage::CollectingEvidence, "taking evidence");
        let why = match self.collect(window).await? {
            Ok(stored) => {
                self.keep(stored).await;
                return Ok(false);
            }
            Err(why) => why,
        };
        self.audit("evidence_not_taken", &[], &why).await;
        self.wait_for_waiver(&why).await?;
        Ok(true)
    }

    /// What is known of evidence, for the result: an attempt that took none has that of the one before.
    pub(super) fn evidence(&self) -> Option<StoredEvidence> {
        let taken = self.ctx.state(|s| s.evidence.clone());
        taken.or_else(|| match &self.input.evidence {
            EvidenceNeed::Stored(stored) => Some(stored.clone()),
            _ => None,
        })
    }

    /// Runs the script; inside says why there is no evidence.
    async fn collect(&self, window: OpenWindow) -> Result<Result<StoredEvidence, String>, Ends> {
        let job = Job {
            mode: ScriptMode::Evidence,
            kb: None,
            not_after: window.closes_at,
        };
        let report = match self.run_job(job).await? {
            Ran::Reported(report) => report,
            Ran::Barred(ends) => return Err(ends),
            Ran::NotSent(why) => {
                return Err(Ends::with(
                    DeviceOutcome::Deferred,
                    format!("evidence was not taken before its window closed: {why}"),
                ));
            }
            Ran::NotStarted(why) => return Ok(Err(format!("the script was not started: {why}"))),
            Ran::FailedSilently => {
                return Ok(Err("the script failed without a report".to_owned()));
            }
            Ran::Unknown => return Ok(Err("the script did not report".to_owned())),
        };
        match (report.outcome, report.evidence) {
            (ScriptOutcome::OutsideWindow, _) => Err(Ends::with(
                DeviceOutcome::Deferred,
                "the device took the job up after its window had closed",
            )),
            (ScriptOutcome::Succeeded, Some(stored)) => Ok(Ok(stored)),
            (ScriptOutcome::Succeeded, None) => Ok(Err("the report came without it".to_owned())),
            _ => Ok(Err("the script could not take it".to_owned())),
        }
    }

    async fn keep(&self, stored: StoredEvidence) {
        let detail = serde_json::json!({ "device": self.input.device, "bytes": stored.bytes });
        self.audit_as(Actor::Workflow, (STORED, STORED), stored.named(), detail)
            .await;
        self.ctx.state_mut(|s| s.evidence = Some(stored));
    }

    async fn note_waiver(&self, waiver: &Waiver) {
        let actor = Actor::Person {
            name: waiver.by.to_string(),
            identity: waiver.identity,
        };
        let detail = serde_json::json!({ "device": self.input.device, "why": waiver.reason });
        let what = "evidence_waived";
        self.audit_as(actor, (what, what), vec![], detail).await;
    }

    /// Waits for a person, as long as the plan says.
    async fn wait_for_waiver(&self, why: &str) -> Result<(), Ends> {
        let patience = self.input.waits.evidence_decision_secs;
        let until = clock::after(clock::now(&self.ctx), patience);
        self.stage(
            DeviceStage::CollectingEvidence,
            &format!("no evidence, waits for a person until {until:.0}: {why}"),
        );
        self.ask_for_waiver(why).await;
        loop {
            if self.is_waived().await {
                return Ok(());
            }
            if clock::now(&self.ctx) >= until {
                return Err(Ends::human(format!(
                    "no evidence could be taken, so nothing was installed: {why}"
                )));
            }
            self.pause_unless(until, "decision on evidence", |s| !s.waivers.is_empty())
                .await?;
        }
    }

    /// The deployment tells people; one that is over has nobody who could decide.
    async fn ask_for_waiver(&self, why: &str) {
        let parent = ids::patch_deployment(&self.input.plan);
        let parent = self.ctx.external_workflow(parent, None);
        let missing = EvidenceMissing {
            device: self.input.device.clone(),
            why: why.to_owned(),
        };
        let options = SignalWorkflowOptions::builder()
            .cancellation_token(WorkflowCancellationToken::new())
            .summary(format!("no evidence of {}", self.input.device))
            .build();
        let signal = PatchDeployment::evidence_missing;
        if parent
            .signal(signal, missing.into(), options)
            .await
            .is_err()
        {
            self.note("no evidence, and the deployment is over: nobody was told");
        }
    }

    /// Works off the waivers that have come; true when one counts.
    async fn is_waived(&self) -> bool {
        while let Some(input) = self
            .ctx
            .state_mut(|s| (!s.waivers.is_empty()).then(|| s.waivers.remove(0)))
        {
            match self.checked(&input).await {
                Ok(waiver) => {
                    self.note_waiver(&waiver).await;
                    return true;
                }
                Err((reason, identity)) => self.refuse(&input, &reason, identity).await,
            }
        }
        false
    }

    /// Looks up whether the person may: the order may have been sent here by hand.
    async fn checked(&self, input: &WaiverInput) -> Result<Waiver, (String, Identity)> {
        let claimed = |why: String| (why, Identity::Claimed);
        let by = approvals::person(&input.by).map_err(|error| claimed(error.to_string()))?;
        let reason = needed_reason(Some(&input.reason));
        let reason = reason.map_err(|error| claimed(error.to_string()))?;
        if input
            .device
            .as_ref()
            .is_some_and(|named| *named != self.input.device)
        {
            return Err(claimed("it is for another device".to_owned()));
        }
        let asked = AuthorizeInput {
            by: by.clone(),
            action: ControlAction::WaiveEvidence,
            workflow_id: ids::patch_deployment(&self.input.plan),
            client: self.input.client.clone(),
            least_role: None,
            requester: None,
            four_eyes: false,
            halted: false,
            choice: None,
            request: None,
            plan_hash: None,
            kb: None,
            incident: None,
            device: input.device.clone(),
            proof: input.proof.clone(),
        };
        let how = options::store(format!("may {by} waive evidence?"));
        match self.call(Authorize, asked, how).await {
            Ok(Authority::Allowed { identity, .. }) => Ok(Waiver {
                by,
                reason,
                identity,
            }),
            Ok(Authority::Denied { reason, identity }) => Err((reason, identity)),
            Err(error) => Err(claimed(format!(
                "the person could not be looked up: {}",
                error.message
            ))),
        }
    }

    async fn refuse(&self, input: &WaiverInput, why: &str, identity: Identity) {
        let ordinal = self.ctx.state_mut(|s| {
            s.waivers_refused += 1;
            s.waivers_refused
        });
        let actor = Actor::Person {
            name: input.by.clone(),
            identity,
        };
        let action = ControlAction::WaiveEvidence.as_str();
        let detail =
            serde_json::json!({ "action": action, "device": self.input.device, "why": why });
        let (what, key) = ("control_not_allowed", format!("waiver-refused-{ordinal}"));
        self.audit_as(actor, (what, &key), vec![], detail).await;
    }
}

/// Reads a reason that has to be given.
pub(crate) fn needed_reason(text: Option<&str>) -> Result<String, InvalidInput> {
    let read = approvals::reason(text)?.unwrap_or_default();
    if read.trim().is_empty() {
        let allowed = "why evidence is done without, in words";
        return Err(InvalidInput::one(Problem::new("reason", read, allowed)));
    }
    Ok(read)
}

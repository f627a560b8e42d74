//! Steps 1 to 3: patch details, risk, guardrails. Ends with a sealed plan.

use contracts::{
    activities::{
        inventory::{
            SyncClient, SyncClientInput, SyncDevicesPage, SyncPageInput, SyncPageResult,
            SyncSitesPage,
        },
        plans::{
            Check, CheckInput, Resolve, ResolveInput, ResolveResult, Seal, SealInput, SealResult,
        },
        policy::Figures,
        risk::{Assess, AssessInput, Refine, RefineInput},
        superops::{ListPatches, ListPatchesInput},
        vulnerabilities::{LookupCve, LookupCveInput},
    },
    deployment::Cursor,
};
use domain::{
    audit::Actor,
    deployment::{RingStatus, Stage},
    guardrail::Verdict,
    ids::{CveId, DeviceId, KbId},
    patch::{CveFacts, PatchFacts},
    plan::RebootPolicy,
    risk::{DeviceSummary, RiskAssessment},
};
use temporalio_workflow::{ActivityOptions, WorkflowTermination};

use super::Story;
use crate::{
    failure::{self, Failed},
    options,
};

/// How long a look at the device list may take after an abort.
const LAST_READS_SECS: u64 = 120;

impl Story {
    /// Checks what was asked for, once.
    pub(super) async fn begin(&self) -> Result<(), WorkflowTermination> {
        if self.s(|s| s.carry.plan.is_some() || s.carry.audit_ordinal > 0) {
            return Ok(());
        }
        let request = self.s(|s| s.request.clone());
        let check = CheckInput {
            request: request.clone(),
            started_at: Some(self.s(|s| s.carry.status.started_at)),
        };
        self.call(Check, check, options::store("check the request"))
            .await
            .map_err(Failed::into_termination)?;
        let requester = request
            .requested_by
            .map_or("nobody".to_owned(), |p| p.to_string());
        let detail = serde_json::json!({ "requested_by": requester, "client": request.client });
        self.audit("deployment_started", Actor::Workflow, vec![], detail)
            .await;
        self.stage(Stage::Planning, "reading devices").await;
        self.read_inventory().await
    }

    /// Reads client, sites and devices from `SuperOps` into the store, page by page.
    async fn read_inventory(&self) -> Result<(), WorkflowTermination> {
        let client = self.s(|s| s.request.client.clone());
        let known = SyncClientInput {
            client: client.clone(),
        };
        self.read(SyncClient, known, options::inventory("read the client"))
            .await
            .map_err(Failed::into_termination)?;
        for page in 1.. {
            let input = SyncPageInput {
                client: client.clone(),
                page,
                max_age_secs: 0,
                wanted: vec![],
            };
            let answer = self
                .read(SyncSitesPage, input, options::inventory("read sites"))
                .await
                .map_err(Failed::into_termination)?;
            if !answer.has_more {
                break;
            }
        }
        self.read_devices().await
    }

    /// Walks over the whole device list.
    async fn read_devices(&self) -> Result<(), WorkflowTermination> {
        for page in 1.. {
            let how = options::inventory("read devices");
            let answer = self.read_device_page(page, 0, vec![], how).await;
            if !answer.map_err(Failed::into_termination)?.has_more {
                break;
            }
        }
        Ok(())
    }

    /// Reads a page of the device list into the snapshot. After an abort devices at work need it still, and
    /// nobody waits for it long.
    pub(super) async fn read_device_page(
        &self,
        page: u32,
        max_age_secs: u64,
        wanted: Vec<DeviceId>,
        how: ActivityOptions,
    ) -> Result<SyncPageResult, Failed> {
        let input = SyncPageInput {
            client: self.s(|s| s.request.client.clone()),
            page,
            max_age_secs,
            wanted,
        };
        if self.s(|s| s.carry.aborted.is_some() && !s.carry.in_flight.is_empty()) {
            let how = options::in_steps(how, LAST_READS_SECS);
            return self.call(SyncDevicesPage, input, how).await;
        }
        self.read(SyncDevicesPage, input, how).await
    }

    /// Finds devices and patch details, assesses risk, seals the plan with guardrails' answer.
    pub(super) async fn plan(&self) -> Result<SealResult, WorkflowTermination> {
        self.stage(Stage::Planning, "finding devices and patches")
            .await;
        let resolved = self.resolve().await?;
        let patches = self.patch_details(&resolved).await?;
        self.stage(Stage::Assessing, "assessing risk").await;
        let assessed = self.assess(patches, &resolved).await?;
        self.seal(&assessed).await
    }

    async fn resolve(&self) -> Result<ResolveResult, WorkflowTermination> {
        let input = self.s(|s| ResolveInput {
            plan: s.plan_id.clone(),
            request: s.request.clone(),
            removed: s.carry.removed.clone(),
        });
        self.read(Resolve, input, options::store("find devices"))
            .await
            .map_err(Failed::into_termination)
    }

    /// Reads the patch lists of some devices until every KB is found.
    async fn patch_details(
        &self,
        resolved: &ResolveResult,
    ) -> Result<Vec<PatchFacts>, WorkflowTermination> {
        let selectors = self.s(|s| s.request.patches.clone());
        let mut missing: Vec<KbId> = selectors.iter().map(|p| p.kb.clone()).collect();
        let mut found: Vec<PatchFacts> = Vec::new();
        'probes: for device in &resolved.probes {
            for page in 1.. {
                if missing.is_empty() {
                    break 'probes;
                }
                let input = ListPatchesInput {
                    device: device.clone(),
                    kbs: missing.clone(),
                    page,
                };
                let answer = self
                    .read(
                        ListPatches,
                        input,
                        options::superops_read("read patch details"),
                    )
                    .await
                    .map_err(Failed::into_termination)?;
                for row in answer.rows {
                    if missing.contains(&row.facts.kb) {
                        missing.retain(|kb| *kb != row.facts.kb);
                        found.push(row.facts);
                    }
                }
                if !answer.has_more {
                    break;
                }
            }
        }
        if let Some(kb) = missing.first() {
            let index = selectors
                .iter()
                .position(|p| p.kb == *kb)
                .unwrap_or_default();
            let more = if resolved.probes_are_all {
                ""
            } else {
                "; limits.detail_probes asks more of them"
            };
            return Err(failure::invalid_input(format!(
                "patches[{index}].kb: `{kb}` is not allowed: a KB that SuperOps lists for at least one of the {} \
                 devices asked, of {} in the plan{more}",
                resolved.probes.len(),
                resolved.devices.total
            )));
        }
        let mut ordered = Vec::new();
        for selector in selectors {
            if let Some(mut facts) = found.iter().find(|f| f.kb == selector.kb).cloned() {
                facts.cves = self.look_up(&selector.cves).await;
                ordered.push(facts);
            }
        }
        Ok(ordered)
    }

    /// Asks NVD for each CVE; what cannot be asked is marked, never guessed.
    async fn look_up(&self, cves: &[CveId]) -> Vec<CveFacts> {
        let mut facts = Vec::new();
        for cve in cves {
            let input = LookupCveInput { cve: cve.clone() };
            let answer = self
                .read(LookupCve, input, options::nvd(format!("look up {cve}")))
                .await;
            facts.push(answer.unwrap_or_else(|_| unavailable_cve(cve)));
        }
        facts
    }

    async fn assess(
        &self,
        patches: Vec<PatchFacts>,
        resolved: &ResolveResult,
    ) -> Result<Assessed, WorkflowTermination> {
        let input = self.s(|s| AssessInput {
            patches: patches.clone(),
            devices: resolved.devices,
            may_reboot: s.request.reboot != RebootPolicy::Never,
            rollback: s.request.rollback.enabled,
        });
        let rule = self
            .read(Assess, input.clone(), options::store("assess risk by rule"))
            .await
            .map_err(Failed::into_termination)?;
        let refine = RefineInput {
            assessed: input,
            risk: rule.clone(),
        };
        let refined = self
            .read(
                Refine,
                refine,
                options::model("ask the model about the risk"),
            )
            .await;
        let (risk, tokens, note) = match refined {
            Ok(refined) if refined.dropped.is_empty() => (refined.risk, refined.tokens, None),
            Ok(refined) => {
                let note = format!(
                    "dropped evidence that does not exist: {}",
                    refined.dropped.join(", ")
                );
                (refined.risk, refined.tokens, Some(note))
            }
            // Without the model everything still works, marked degraded.
            Err(error) => {
                let mut risk = rule;
                risk.degraded = true;
                (risk, 0, Some(error.message))
            }
        };
        let assessed = Assessed {
            patches,
            devices: resolved.devices,
            risk,
        };
        let risk = assessed.risk.clone();
        self.s_mut(|s| {
            s.carry.status.risk = Some(risk.clone());
            s.carry.figures = Some(figures(&assessed));
        });
        let actor = Actor::Agent {
            name: "risk_assessment".to_owned(),
            model: risk.model.clone(),
        };
        let evidence = risk
            .contributions
            .iter()
            .map(|c| c.evidence.clone())
            .collect();
        let detail = serde_json::json!({
            "score_permille": risk.score_permille, "level": risk.level, "urgency_permille": risk.urgency_permille,
            "confidence_permille": risk.confidence_permille, "degraded": risk.degraded, "note": note,
        });
        self.audit_with_tokens("risk_assessed", actor, evidence, detail, Some(tokens))
            .await;
        Ok(assessed)
    }

    async fn seal(&self, assessed: &Assessed) -> Result<SealResult, WorkflowTermination> {
        let figures = figures(assessed);
        let input = self.s(|s| SealInput {
            plan: s.plan_id.clone(),
            revision: s.carry.plan.as_ref().map_or(1, |p| p.revision + 1),
            request: s.request.clone(),
            removed: s.carry.removed.clone(),
            figures,
        });
        let sealed = self
            .call(Seal, input, options::store("seal the plan"))
            .await
            .map_err(Failed::into_termination)?;
        self.s_mut(|s| {
            let carry = &mut s.carry;
            carry.status.plan_hash = Some(sealed.plan.hash.clone());
            carry.status.revision = sealed.plan.revision;
            carry.status.evidence_first = sealed.plan.evidence_first;
            carry.status.evidence_waived = s.request.evidence.waiver().cloned();
            carry
                .status
                .forbidden
                .clone_from(&sealed.decision.forbidden);
            // Devices done under an earlier revision are counted again as their pages are read.
            carry.status.rings = sealed
                .plan
                .rings
                .iter()
                .map(|r| RingStatus {
                    name: r.name.clone(),
                    devices: r.count,
                    ..RingStatus::default()
                })
                .collect();
            // Stragglers of an earlier revision come back with their pages.
            carry.status.stragglers = 0;
            carry.plan = Some(sealed.plan.clone());
            carry.cursor = Cursor::default();
            carry.ring_open = false;
            carry.soak_until = None;
            carry.rings_done_at = None;
            carry.turn_asked = None;
        });
        let actor = Actor::Policy {
            ids: sealed.decision.policies.clone(),
        };
        let verdict = match &sealed.decision.verdict {
            Verdict::Forbidden => "forbidden",
            Verdict::NeedsApproval(_) => "needs approval",
            Verdict::Auto => "unattended",
        };
        let detail = serde_json::json!({
            "verdict": verdict, "policy_version": sealed.decision.policy_version, "revision": sealed.plan.revision,
            "forbidden_devices": sealed.forbidden_count, "errors": sealed.decision.errors,
            "difference": sealed.difference, "evidence_first": sealed.plan.evidence_first,
        });
        self.audit("plan_sealed", actor, vec![sealed.plan.hash.clone()], detail)
            .await;
        Ok(sealed)
    }
}

/// What was found out in this turn.
struct Assessed {
    patches: Vec<PatchFacts>,
    devices: DeviceSummary,
    risk: RiskAssessment,
}

/// Figures guardrails are asked with.
fn figures(assessed: &Assessed) -> Figures {
    let exploited = assessed
        .patches
        .iter()
        .any(|p| p.cves.iter().any(|c| c.known_exploited));
    Figures::of(&assessed.risk, exploited, assessed.devices.total)
}

fn unavailable_cve(cve: &CveId) -> CveFacts {
    CveFacts {
        id: cve.clone(),
        base_score_tenths: None,
        cvss_version: None,
        vector: None,
        score_source: None,
        known_exploited: false,
        status: None,
        unavailable: true,
    }
}
